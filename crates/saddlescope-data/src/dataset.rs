//! The data set: named inputs, targets, and what is known about where they came from.

use std::ops::Range;
use std::path::Path;

use super::random::{Purpose, permutation, stream};
use super::{DataError, Normalization, Values, fingerprint};

/// The label of a position that no loss counts, as in PyTorch's `ignore_index`.
pub const IGNORED_LABEL: i64 = -100;

/// Integers up to this size are exact in `f32`.
pub(crate) const MAX_EXACT_INTEGER: f32 = 16_777_216.0;

/// One named input of a network, for all samples.
#[derive(Clone, Debug, PartialEq)]
pub struct InputTensor {
    /// Name of the input; networks with a single input ignore it.
    pub name: String,
    /// Shape of one sample, row-major; images are `[channels, height, width]`.
    pub shape_per_sample: Vec<usize>,
    /// The samples one after the other, each flattened row-major.
    pub values: Values,
    /// Whether the values are integers (token numbers, indices): they are then neither normalised nor differentiated.
    pub integer: bool,
}

impl InputTensor {
    /// Number of values in one sample.
    pub fn values_per_sample(&self) -> usize {
        self.shape_per_sample.iter().product()
    }
}

/// What the network's output is compared with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Targets {
    /// One class per sample.
    Classes {
        /// One label per sample, each less than `classes`.
        labels: Vec<u32>,
        /// Number of classes.
        classes: usize,
    },
    /// One class per position of a sequence (or per pixel).
    ClassesPerPosition {
        /// `positions` labels per sample, each less than `classes` or [`IGNORED_LABEL`].
        labels: Vec<i64>,
        /// Positions per sample.
        positions: usize,
        /// Number of classes.
        classes: usize,
    },
    /// Numbers, for regression (or for labels between 0 and 1).
    Values {
        /// The samples' values one after the other.
        values: Vec<f32>,
        /// Shape of one sample.
        shape: Vec<usize>,
    },
    /// No targets; enough for a network whose output is itself the loss.
    None,
}

/// A data set, checked when it was put together and never changed afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    inputs: Vec<InputTensor>,
    targets: Targets,
    samples: usize,
    normalization: Normalization,
    provenance: String,
}

impl Dataset {
    /// Puts a data set together from inputs that are already normalised.
    ///
    /// `normalization` records what was applied to them and `provenance` where they came from; neither changes a value.
    ///
    /// # Errors
    /// No inputs or no samples, two inputs of one name, a shape with a zero or whose size overflows, a number of values that
    /// is no multiple of the sample's size, inputs or targets for a different number of samples, an integer input with
    /// values that are no integers of magnitude at most 2²⁴, a label outside its range.
    pub fn new(
        inputs: Vec<InputTensor>,
        targets: Targets,
        normalization: Normalization,
        provenance: impl Into<String>,
    ) -> Result<Self, DataError> {
        let Some(first) = inputs.first() else {
            return Err(DataError::inconsistent("inputs", "none", "at least one"));
        };
        let samples = count_samples(first)?;
        for (i, input) in inputs.iter().enumerate() {
            let found = count_samples(input)?;
            if found != samples {
                return Err(DataError::inconsistent(
                    format!("input {:?}", input.name),
                    format!("{found} samples"),
                    format!("{samples}, as in input {:?}", first.name),
                ));
            }
            if inputs[..i].iter().any(|other| other.name == input.name) {
                return Err(DataError::inconsistent(
                    "inputs",
                    format!("two named {:?}", input.name),
                    "different names",
                ));
            }
        }
        check_targets(&targets, samples)?;
        Ok(Self { inputs, targets, samples, normalization, provenance: provenance.into() })
    }

    /// Like [`Dataset::new`], but for inputs that are not normalised yet: normalises those of floating point.
    ///
    /// # Errors
    /// Those of [`Dataset::new`]; an input whose number of channels is not that of the normalisation.
    pub fn normalized(
        inputs: Vec<InputTensor>,
        targets: Targets,
        normalization: Normalization,
        provenance: impl Into<String>,
    ) -> Result<Self, DataError> {
        let mut set = Self::new(inputs, targets, normalization, provenance)?;
        for input in set.inputs.iter_mut().filter(|i| !i.integer) {
            input.values.normalize(&set.normalization, &input.shape_per_sample)?;
        }
        Ok(set)
    }

    /// Number of samples, at least one.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> &[InputTensor] {
        &self.inputs
    }

    /// The input of a name.
    pub fn input(&self, name: &str) -> Option<&InputTensor> {
        self.inputs.iter().find(|i| i.name == name)
    }

    /// The targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The normalisation that was applied to the floating-point inputs.
    pub fn normalization(&self) -> &Normalization {
        &self.normalization
    }

    /// Where the samples came from, in words.
    pub fn provenance(&self) -> &str {
        &self.provenance
    }

    /// SHA-256 of shapes, inputs and targets as 64 hexadecimal digits: equal for equal data on every machine.
    ///
    /// The provenance does not enter it.
    ///
    /// # Errors
    /// Values in a file that cannot be read.
    pub fn fingerprint(&self) -> Result<String, DataError> {
        fingerprint::fingerprint(&self.inputs, &self.targets)
    }

    /// The same, but where inputs stay in their files it is computed once and kept in `folder`, beside the files' places, sizes and
    /// times; as long as these are the same, the files are not read. Nothing is kept of files that changed within the last two
    /// seconds, and where the folder cannot be written.
    ///
    /// # Errors
    /// As [`Dataset::fingerprint`].
    pub fn fingerprint_kept_in(&self, folder: &Path) -> Result<String, DataError> {
        fingerprint::kept(&self.inputs, &self.targets, folder)
    }

    /// The same data set with its labels counted out of `classes` classes.
    ///
    /// Files that hold labels only do not say how many classes there are; readers assume the largest label plus one.
    ///
    /// # Errors
    /// A label that is too large for it; targets that are no classes.
    pub fn with_classes(mut self, count: usize) -> Result<Self, DataError> {
        match &mut self.targets {
            Targets::Classes { classes, .. } | Targets::ClassesPerPosition { classes, .. } => {
                *classes = count
            }
            Targets::Values { .. } | Targets::None => {
                return Err(DataError::inconsistent("targets", "no class labels", "class labels"));
            }
        }
        check_targets(&self.targets, self.samples)?;
        Ok(self)
    }

    /// The samples of a range, in order.
    ///
    /// # Errors
    /// [`DataError::Range`] if it is empty or reaches past the end.
    pub fn select(&self, range: Range<usize>) -> Result<Self, DataError> {
        check_range(&range, self.samples, &self.provenance)?;
        let provenance = format!("{}, samples {}..{}", self.provenance, range.start, range.end);
        let indices: Vec<usize> = range.clone().collect();
        let targets = self.targets.gather(&indices);
        // Samples in a row are shared, not copied.
        let inputs = (self.inputs.iter())
            .map(|input| {
                let row = input.values_per_sample();
                InputTensor { values: input.values.part(range.start * row..range.end * row), ..input.clone() }
            })
            .collect();
        Self::new(inputs, targets, self.normalization.clone(), provenance)
    }

    /// `n` different samples drawn at random, in random order: the first n of a shuffle by `seed`.
    ///
    /// So a larger n with the same seed only adds samples.
    ///
    /// # Errors
    /// [`DataError::Range`] if n is zero or larger than the number of samples.
    pub fn shuffled_subset(&self, n: usize, seed: u64) -> Result<Self, DataError> {
        check_range(&(0..n), self.samples, &self.provenance)?;
        let order = permutation(self.samples, &mut stream(seed, Purpose::Subset, 0, 0));
        let provenance = format!("{}, {n} samples shuffled by seed {seed}", self.provenance);
        self.gather(&order[..n], provenance)
    }

    /// The samples of a list, in its order; a sample may occur more than once.
    ///
    /// # Errors
    /// [`DataError::Range`] if the list is empty or names a sample that does not exist.
    pub fn select_indices(&self, indices: &[usize]) -> Result<Self, DataError> {
        let end = indices.iter().max().map_or(0, |&m| m.saturating_add(1));
        check_range(&(0..end), self.samples, &self.provenance)?;
        self.gather(indices, format!("{}, {} listed samples", self.provenance, indices.len()))
    }

    fn gather(&self, indices: &[usize], provenance: String) -> Result<Self, DataError> {
        let inputs = (self.inputs.iter())
            .map(|input| {
                let row = input.values_per_sample();
                let mut values = vec![0.0; row * indices.len()];
                for (&i, to) in indices.iter().zip(values.chunks_exact_mut(row)) {
                    input.values.read(i * row, to)?;
                }
                Ok(InputTensor { values: values.into(), ..input.clone() })
            })
            .collect::<Result<_, DataError>>()?;
        let targets = self.targets.gather(indices);
        Self::new(inputs, targets, self.normalization.clone(), provenance)
    }
}

impl Targets {
    /// The targets of the listed samples, which must exist.
    pub(crate) fn gather(&self, indices: &[usize]) -> Self {
        match self {
            Self::Classes { labels, classes } => {
                Self::Classes { labels: gather_rows(labels, 1, indices), classes: *classes }
            }
            Self::ClassesPerPosition { labels, positions, classes } => Self::ClassesPerPosition {
                labels: gather_rows(labels, *positions, indices),
                positions: *positions,
                classes: *classes,
            },
            Self::Values { values, shape } => Self::Values {
                values: gather_rows(values, shape.iter().product(), indices),
                shape: shape.clone(),
            },
            Self::None => Self::None,
        }
    }
}

fn gather_rows<T: Copy>(values: &[T], row: usize, indices: &[usize]) -> Vec<T> {
    let mut out = Vec::with_capacity(row * indices.len());
    indices.iter().for_each(|&i| out.extend_from_slice(&values[i * row..(i + 1) * row]));
    out
}

/// Fails unless `range` is not empty and lies in 0..available.
pub(crate) fn check_range(range: &Range<usize>, available: usize, what: &str) -> Result<(), DataError> {
    if range.start < range.end && range.end <= available {
        return Ok(());
    }
    Err(DataError::Range { what: what.into(), requested: range.clone(), available })
}

/// The product of a shape; `None` on overflow.
pub(crate) fn checked_product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

fn count_samples(input: &InputTensor) -> Result<usize, DataError> {
    let place = || format!("input {:?}", input.name);
    let per_sample = match checked_product(&input.shape_per_sample) {
        Some(n) if n > 0 => n,
        _ => {
            return Err(DataError::inconsistent(
                place(),
                format!("shape {:?} per sample", input.shape_per_sample),
                "positive sizes whose product fits the memory",
            ));
        }
    };
    let values = input.values.len();
    if values == 0 || !values.is_multiple_of(per_sample) {
        return Err(DataError::inconsistent(
            place(),
            format!("{values} values"),
            format!("a positive multiple of {per_sample}, the size of shape {:?}", input.shape_per_sample),
        ));
    }
    if input.integer {
        input.values.for_each_block(|values| {
            match values.iter().find(|v| !(v.fract() == 0.0 && v.abs() <= MAX_EXACT_INTEGER)) {
                None => Ok(()),
                Some(bad) => Err(DataError::inconsistent(
                    place(),
                    format!("{bad} in an integer input"),
                    "integers of magnitude at most 2^24",
                )),
            }
        })?;
    }
    Ok(values / per_sample)
}

fn check_targets(targets: &Targets, samples: usize) -> Result<(), DataError> {
    let count = |found: usize, per_sample: Option<usize>| -> Result<(), DataError> {
        let expected = per_sample.filter(|&p| p > 0).and_then(|p| p.checked_mul(samples));
        if expected == Some(found) {
            return Ok(());
        }
        let expected = match per_sample {
            Some(p) if p > 0 => format!("{p} for each of {samples} samples"),
            _ => "a positive number of values per sample".into(),
        };
        Err(DataError::inconsistent("targets", format!("{found} values"), expected))
    };
    let label = |sample: usize, found: i64, classes: usize| {
        let place = format!("targets, sample {sample}");
        DataError::inconsistent(
            place,
            format!("label {found}"),
            format!("0 to {}", classes.saturating_sub(1)),
        )
    };
    match targets {
        Targets::None => Ok(()),
        Targets::Values { values, shape } => count(values.len(), checked_product(shape)),
        Targets::Classes { labels, classes } => {
            count(labels.len(), Some(1))?;
            match labels.iter().position(|&l| l as usize >= *classes) {
                Some(i) => Err(label(i, i64::from(labels[i]), *classes)),
                None => Ok(()),
            }
        }
        Targets::ClassesPerPosition { labels, positions, classes } => {
            count(labels.len(), Some(*positions))?;
            let in_range = |l: i64| usize::try_from(l).is_ok_and(|l| l < *classes);
            match labels.iter().position(|&l| l != IGNORED_LABEL && !in_range(l)) {
                Some(i) => Err(label(i / positions, labels[i], *classes)),
                None => Ok(()),
            }
        }
    }
}

#[cfg(test)]
#[path = "dataset_tests.rs"]
mod tests;
