//! Named tensors in a fixed order.

use std::collections::BTreeMap;

use super::{Difference, WeightsError};

/// The numbers of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TensorData {
    /// 32-bit floating point; also what 16-bit types are widened to, exactly.
    F32(Vec<f32>),
    /// 64-bit floating point.
    F64(Vec<f64>),
    /// 64-bit integers, for counters such as PyTorch's `num_batches_tracked`.
    I64(Vec<i64>),
}

impl TensorData {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::I64(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as `f64`; exact for floating point, and for integers up to 2⁵³ in magnitude.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::F64(v) => v.clone(),
            Self::I64(v) => v.iter().map(|&x| x as f64).collect(),
        }
    }

    /// The values as `f32`, rounded to nearest where they are wider.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(v) => v.clone(),
            Self::F64(v) => v.iter().map(|&x| x as f32).collect(),
            Self::I64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }
}

/// A tensor: a shape and its elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The shape, row-major; `[]` for a single number.
    pub shape: Vec<usize>,
    /// The elements; as many as the shape's product.
    pub data: TensorData,
}

/// A tensor a network expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// Name, for example `layer1.0.conv1.weight`.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
}

/// Named tensors in a fixed order, with text metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorMap {
    entries: Vec<(String, Tensor)>,
    positions: BTreeMap<String, usize>,
    /// Free text by key, stored in the file's header.
    pub metadata: BTreeMap<String, String>,
}

impl TensorMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a tensor.
    ///
    /// # Errors
    /// The name is taken or reserved by the format (`__metadata__`); the number of elements is not the product of the shape.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        data: TensorData,
    ) -> Result<(), WeightsError> {
        let (name, shape) = (name.into(), shape.into());
        let wrong = |found: String, expected: &str| WeightsError::Tensor {
            name: name.clone(),
            found,
            expected: expected.into(),
        };
        if name == "__metadata__" {
            return Err(wrong("a name reserved by the safetensors format".into(), "another name"));
        }
        if self.positions.contains_key(&name) {
            return Err(wrong("a second tensor of that name".into(), "different names"));
        }
        let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if size != Some(data.len()) {
            return Err(wrong(
                format!("{} elements for shape {shape:?}", data.len()),
                "as many elements as the shape has",
            ));
        }
        self.positions.insert(name.clone(), self.entries.len());
        self.entries.push((name, Tensor { shape, data }));
        Ok(())
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.positions.get(name).map(|&i| &self.entries[i].1)
    }

    /// Names and tensors, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Checks that the tensors are exactly those expected: all there, of the same shapes, of real numbers, and no others.
    ///
    /// PyTorch's counters `….num_batches_tracked` may be there without being expected: they do not enter evaluation.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`] with every difference.
    pub fn check<'a>(
        &self,
        expected: impl IntoIterator<Item = &'a ExpectedTensor>,
    ) -> Result<(), WeightsError> {
        let mut differences = Vec::new();
        let mut known = vec![false; self.entries.len()];
        for want in expected {
            let Some(&i) = self.positions.get(&want.name) else {
                differences.push(Difference::Missing { name: want.name.clone(), shape: want.shape.clone() });
                continue;
            };
            known[i] = true;
            let tensor = &self.entries[i].1;
            if tensor.shape != want.shape {
                differences.push(Difference::Shape {
                    name: want.name.clone(),
                    found: tensor.shape.clone(),
                    expected: want.shape.clone(),
                });
            } else if matches!(tensor.data, TensorData::I64(_)) {
                differences.push(Difference::Integer { name: want.name.clone() });
            }
        }
        for ((name, tensor), known) in self.entries.iter().zip(known) {
            if !known && !name.ends_with("num_batches_tracked") {
                differences.push(Difference::Unexpected { name: name.clone(), shape: tensor.shape.clone() });
            }
        }
        if differences.is_empty() { Ok(()) } else { Err(WeightsError::Mismatch { differences }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(name: &str, shape: &[usize]) -> ExpectedTensor {
        ExpectedTensor { name: name.into(), shape: shape.into() }
    }

    #[test]
    fn check_names_every_difference_at_once() {
        let mut map = TensorMap::new();
        map.insert("right", [2], TensorData::F32(vec![1.0, 2.0])).unwrap();
        map.insert("turned", [1, 2], TensorData::F64(vec![1.0, 2.0])).unwrap();
        map.insert("extra", [], TensorData::F32(vec![1.0])).unwrap();
        map.insert("bn.num_batches_tracked", [], TensorData::I64(vec![9])).unwrap();
        map.insert("counter", [], TensorData::I64(vec![9])).unwrap();
        let want = [
            expected("right", &[2]),
            expected("turned", &[2, 1]),
            expected("absent", &[3]),
            expected("counter", &[]),
        ];
        let Err(WeightsError::Mismatch { differences }) = map.check(&want) else { panic!("accepted") };
        assert_eq!(differences.len(), 4);
        let text = WeightsError::Mismatch { differences }.to_string();
        for part in [
            r#""turned" has shape [1, 2], expected [2, 1]"#,
            r#"missing "absent" of shape [3]"#,
            r#"unexpected "extra" of shape []"#,
            r#""counter" holds integers"#,
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(map.check(&want[..1]).is_err());
    }

    #[test]
    fn long_lists_are_cut() {
        let want: Vec<_> = (0..20).map(|i| expected(&format!("w{i}"), &[1])).collect();
        let text = TensorMap::new().check(&want).unwrap_err().to_string();
        assert!(text.contains("w7") && !text.contains("w8") && text.ends_with("and 12 more"), "{text}");
    }

    #[test]
    fn insert_checks_shape_and_name() {
        let mut map = TensorMap::new();
        map.insert("a", [2, 0, 5], TensorData::F32(vec![])).unwrap();
        assert!(map.insert("a", [1], TensorData::F32(vec![0.0])).is_err());
        assert!(map.insert("b", [2], TensorData::F32(vec![0.0])).is_err());
        assert!(map.insert("c", [usize::MAX, 2], TensorData::F32(vec![])).is_err());
        assert!(map.insert("__metadata__", [], TensorData::F32(vec![0.0])).is_err());
        assert_eq!(map.len(), 1);
    }
}
