//! The values of data inputs.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use saddlescope_data::{DataError, Values};

use super::error::RiskError;
use crate::execute::permute;
use crate::graph::Graph;
use crate::op::{Element, numel};

/// Values of a data input. Data sets hold f32; f64 is for callers whose data are that exact.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// Single precision, in memory or in files.
    F32(Values),
    /// Double precision.
    F64(Arc<Vec<f64>>),
}

impl Numbers {
    pub(super) fn len(&self) -> usize {
        match self {
            Numbers::F32(v) => v.len(),
            Numbers::F64(v) => v.len(),
        }
    }

    /// Some of the values.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Numbers::F32(v) => Numbers::F32(v.part(range)),
            Numbers::F64(v) => Numbers::F64(Arc::new(v[range].to_vec())),
        }
    }

    /// Bytes of memory that they take.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Numbers::F32(v) => v.bytes_in_memory(),
            Numbers::F64(v) => v.len() * size_of::<f64>(),
        }
    }

    /// Bytes that they would take in memory where they stay in files, else 0.
    pub(super) fn bytes_in_files(&self) -> usize {
        match self {
            Numbers::F32(v) => v.bytes_in_files(),
            Numbers::F64(_) => 0,
        }
    }

    /// The first `len` values.
    pub(super) fn first(&self, len: usize) -> Self {
        match self {
            Numbers::F32(v) => Numbers::F32(v.part(0..len.min(v.len()))),
            Numbers::F64(v) => Numbers::F64(Arc::new(v[..len.min(v.len())].to_vec())),
        }
    }

    /// Some of the values in single precision.
    ///
    /// # Errors
    /// Values in a file that cannot be read.
    pub fn slice_f32(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>, DataError> {
        Ok(match self {
            Numbers::F32(v) => v.slice(range)?,
            Numbers::F64(v) => Cow::Owned(v[range].iter().map(|&x| x as f32).collect()),
        })
    }

    /// The first value that is NaN or infinite, and its place. Values in files are read in parts.
    ///
    /// # Errors
    /// Values in a file that cannot be read.
    pub(super) fn first_not_finite(&self) -> Result<Option<(usize, f64)>, DataError> {
        match self {
            Numbers::F32(v) => {
                let (mut start, mut found) = (0, None);
                v.for_each_block(|block| {
                    let place = || block.iter().position(|x| !x.is_finite());
                    found = found.or_else(|| place().map(|i| (start + i, f64::from(block[i]))));
                    start += block.len();
                    Ok(())
                })?;
                Ok(found)
            }
            Numbers::F64(v) => Ok(v.iter().position(|x| !x.is_finite()).map(|i| (i, v[i]))),
        }
    }

    /// Binds the samples from number `sample` on, as many as fit, in the engine's order of axes.
    ///
    /// # Errors
    /// Values in a file that cannot be read.
    pub(crate) fn bind<T: Element>(
        &self,
        sample: usize,
        shape: &[usize],
        permutation: Option<&[usize]>,
        to: &mut [T],
    ) -> Result<(), DataError> {
        let len = numel(shape).max(1);
        let range = sample * len..sample * len + to.len();
        match self {
            Numbers::F32(v) => {
                for (from, to) in v.slice(range)?.chunks_exact(len).zip(to.chunks_exact_mut(len)) {
                    permute(shape, permutation, from, to, |x| T::from_f64(f64::from(x)));
                }
            }
            Numbers::F64(v) => {
                for (from, to) in v[range].chunks_exact(len).zip(to.chunks_exact_mut(len)) {
                    permute(shape, permutation, from, to, T::from_f64);
                }
            }
        }
        Ok(())
    }
}

/// Whether the data inputs of `graph` have as many numbers as `samples` samples need.
pub(crate) fn check_data(graph: &Graph, data: &[Numbers], samples: usize) -> Result<(), RiskError> {
    for (i, input) in graph.data_inputs().iter().enumerate() {
        let expected = samples * numel(&input.shape);
        let found = data.get(i).map_or(0, Numbers::len);
        if found != expected {
            return Err(RiskError::Data {
                name: input.name.clone(),
                found,
                expected,
                samples,
                shape: input.shape.clone(),
            });
        }
    }
    Ok(())
}
