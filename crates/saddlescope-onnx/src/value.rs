//! A tensor of any ONNX element type, as the reference interpreter holds it.
//!
//! Floats of every width are held as `f64` and integers as `i128`; the element type is remembered, and results are
//! rounded or wrapped to it ([`ElementType::round`], [`ElementType::wrap`]). So each operator is written once for
//! floats and once for integers. The interpreter sees shapes, masks, indices and constants; weights go to the engine.

use super::element::ElementType;
use super::error::OpError;

/// The numbers of a [`Value`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Any floating-point type.
    Float(Vec<f64>),
    /// Any integer type.
    Int(Vec<i128>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Text.
    Text(Vec<String>),
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::Float(v) => v.len(),
            Data::Int(v) => v.len(),
            Data::Bool(v) => v.len(),
            Data::Text(v) => v.len(),
        }
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements at these positions (each below [`Data::len`]), in this order.
    pub(crate) fn take(&self, positions: &[usize]) -> Data {
        fn pick<T: Clone>(v: &[T], positions: &[usize]) -> Vec<T> {
            positions.iter().map(|&i| v[i].clone()).collect()
        }
        match self {
            Data::Float(v) => Data::Float(pick(v, positions)),
            Data::Int(v) => Data::Int(pick(v, positions)),
            Data::Bool(v) => Data::Bool(pick(v, positions)),
            Data::Text(v) => Data::Text(pick(v, positions)),
        }
    }

    /// The elements at these positions, the first element of `fill` where there is none.
    pub(crate) fn take_or(&self, positions: &[Option<usize>], fill: &Data) -> Result<Data, OpError> {
        fn pick<T: Clone>(v: &[T], positions: &[Option<usize>], fill: &[T]) -> Vec<T> {
            positions.iter().map(|p| p.map_or_else(|| fill[0].clone(), |i| v[i].clone())).collect()
        }
        if fill.is_empty() {
            return Err(OpError::new("the fill value is empty"));
        }
        Ok(match (self, fill) {
            (Data::Float(v), Data::Float(f)) => Data::Float(pick(v, positions, f)),
            (Data::Int(v), Data::Int(f)) => Data::Int(pick(v, positions, f)),
            (Data::Bool(v), Data::Bool(f)) => Data::Bool(pick(v, positions, f)),
            (Data::Text(v), Data::Text(f)) => Data::Text(pick(v, positions, f)),
            _ => return Err(OpError::new("the fill value has another element type than the data")),
        })
    }

    /// `len` zeros, falses or empty strings for this type.
    pub(crate) fn zeros(element: ElementType, len: usize) -> Data {
        match element {
            ElementType::Bool => Data::Bool(vec![false; len]),
            ElementType::String => Data::Text(vec![String::new(); len]),
            e if e.is_integer() => Data::Int(vec![0; len]),
            _ => Data::Float(vec![0.0; len]),
        }
    }

    /// All elements of `self`, then all of `other`.
    pub(crate) fn extend(&mut self, other: Data) -> Result<(), OpError> {
        match (self, other) {
            (Data::Float(a), Data::Float(b)) => a.extend(b),
            (Data::Int(a), Data::Int(b)) => a.extend(b),
            (Data::Bool(a), Data::Bool(b)) => a.extend(b),
            (Data::Text(a), Data::Text(b)) => a.extend(b),
            _ => return Err(OpError::new("inputs differ in element type")),
        }
        Ok(())
    }
}

/// A tensor of any ONNX element type: row-major data whose length is the product of the shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    element: ElementType,
    shape: Vec<usize>,
    data: Data,
}

/// Product of the dimensions, or `None` if it does not fit.
pub fn numel(shape: &[usize]) -> Option<usize> {
    // A zero anywhere makes the tensor empty, whatever the other dimensions multiply to.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

impl Value {
    /// A tensor from its parts.
    ///
    /// # Errors
    /// The kind of data does not belong to the element type, or its length is not the product of the shape.
    pub fn new(element: ElementType, shape: Vec<usize>, data: Data) -> Result<Self, OpError> {
        let kind_fits = match &data {
            Data::Float(_) => element.is_float(),
            Data::Int(_) => element.is_integer(),
            Data::Bool(_) => element == ElementType::Bool,
            Data::Text(_) => element == ElementType::String,
        };
        if !kind_fits {
            return Err(OpError::new(format!("data of another kind than {element}")));
        }
        if numel(&shape) != Some(data.len()) {
            return Err(OpError::new(format!("{} elements for shape {shape:?}", data.len())));
        }
        Ok(Self { element, shape, data })
    }

    /// Floats, rounded to `element`.
    pub(crate) fn floats(
        element: ElementType,
        shape: Vec<usize>,
        mut data: Vec<f64>,
    ) -> Result<Self, OpError> {
        if element != ElementType::F64 {
            data.iter_mut().for_each(|x| *x = element.round(*x));
        }
        Self::new(element, shape, Data::Float(data))
    }

    /// Integers, wrapped to `element`.
    pub(crate) fn integers(
        element: ElementType,
        shape: Vec<usize>,
        mut data: Vec<i128>,
    ) -> Result<Self, OpError> {
        data.iter_mut().for_each(|x| *x = element.wrap(*x));
        Self::new(element, shape, Data::Int(data))
    }

    /// Truth values.
    pub(crate) fn bools(shape: Vec<usize>, data: Vec<bool>) -> Result<Self, OpError> {
        Self::new(ElementType::Bool, shape, Data::Bool(data))
    }

    /// A vector of int64, as shapes and index lists are.
    pub(crate) fn int64_vector(data: impl IntoIterator<Item = i64>) -> Self {
        let data: Vec<i128> = data.into_iter().map(i128::from).collect();
        Self { element: ElementType::I64, shape: vec![data.len()], data: Data::Int(data) }
    }

    /// Element type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The numbers, row-major.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The same data under another shape of as many elements.
    pub(crate) fn with_shape(&self, shape: Vec<usize>) -> Result<Self, OpError> {
        Self::new(self.element, shape, self.data.clone())
    }

    /// Floats of any width.
    pub fn as_floats(&self) -> Result<&[f64], OpError> {
        match &self.data {
            Data::Float(v) => Ok(v),
            _ => Err(OpError::new(format!("expected floating-point numbers, found {}", self.element))),
        }
    }

    /// Integers of any width.
    pub fn as_integers(&self) -> Result<&[i128], OpError> {
        match &self.data {
            Data::Int(v) => Ok(v),
            _ => Err(OpError::new(format!("expected integers, found {}", self.element))),
        }
    }

    /// Truth values.
    pub fn as_bools(&self) -> Result<&[bool], OpError> {
        match &self.data {
            Data::Bool(v) => Ok(v),
            _ => Err(OpError::new(format!("expected bool, found {}", self.element))),
        }
    }

    /// Integers that fit `i64`, as axes, sizes and indices must.
    pub(crate) fn to_i64s(&self) -> Result<Vec<i64>, OpError> {
        self.as_integers()?
            .iter()
            .map(|&x| i64::try_from(x).map_err(|_| OpError::new(format!("{x} does not fit int64"))))
            .collect()
    }

    /// Every element as `f64` (integers rounded, false = 0, true = 1): how data enter the engine.
    pub fn to_f64s(&self) -> Result<Vec<f64>, OpError> {
        match &self.data {
            Data::Float(v) => Ok(v.clone()),
            Data::Int(v) => Ok(v.iter().map(|&x| x as f64).collect()),
            Data::Bool(v) => Ok(v.iter().map(|&x| f64::from(u8::from(x))).collect()),
            Data::Text(_) => Err(OpError::new("text cannot be used as a number")),
        }
    }

    /// The only element of an integer tensor.
    pub(crate) fn scalar_i64(&self) -> Result<i64, OpError> {
        match self.to_i64s()?.as_slice() {
            [x] => Ok(*x),
            other => Err(OpError::new(format!("expected one integer, found {}", other.len()))),
        }
    }

    /// The only element of a numeric tensor.
    pub(crate) fn scalar_f64(&self) -> Result<f64, OpError> {
        match self.to_f64s()?.as_slice() {
            [x] => Ok(*x),
            other => Err(OpError::new(format!("expected one number, found {}", other.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_refuses_wrong_lengths_and_kinds() {
        assert!(Value::new(ElementType::F32, vec![2, 3], Data::Float(vec![0.0; 5])).is_err());
        assert!(Value::new(ElementType::F32, vec![1], Data::Int(vec![0])).is_err());
        assert!(Value::new(ElementType::F32, vec![usize::MAX, 2], Data::Float(vec![])).is_err());
        assert!(Value::new(ElementType::F32, vec![0, usize::MAX, 2], Data::Float(vec![])).is_ok());
    }
}
