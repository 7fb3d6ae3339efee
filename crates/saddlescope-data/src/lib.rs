//! Data sets: readers of the common formats, normalisation, sample ranges, shuffles, and a fingerprint of what was used.
//!
//! A [`Dataset`] holds named inputs and targets; large inputs stay in their files and are read sample by sample. Every reader checks the sizes a file declares against the
//! file's own size before it allocates, and has a form that takes bytes, so that it can be tested with hostile input.
//! Nothing here knows networks; of what engines and analyses share, the words are here: [`ParameterKind`], [`Curvature`], [`UnitGroup`].
//!
//! ```
//! use saddlescope_data::{DataSource, Split};
//!
//! let data = "digits".parse::<DataSource>()?.load(Split::Test, Some(0..10), None)?;
//! assert_eq!((data.samples(), data.inputs()[0].shape_per_sample.as_slice()), (10, &[1, 8, 8][..]));
//! println!("{}", data.fingerprint()?);
//! # Ok::<(), saddlescope_data::DataError>(())
//! ```

mod array;
mod curvature;
mod dataset;
mod error;
mod files;
mod fingerprint;
mod named_arrays;
mod normalization;
mod parameters;
mod random;
mod segments;
mod source;
mod training;
mod values;

pub mod cifar;
pub mod digits;
pub mod folder;
pub mod mnist;
pub mod npy;
pub mod npz;
pub mod safetensors;
pub mod weights;

pub use array::{Array, ArrayValues, ElementType};
pub use curvature::Curvature;
pub use dataset::{Dataset, IGNORED_LABEL, InputTensor, Targets};
pub use error::DataError;
pub use normalization::Normalization;
pub use parameters::{ParameterKind, UnitAxis, UnitGroup};
pub use random::epoch_order;
pub use source::{DATA_MEMORY, DataSource, data_share, parse_samples};
pub use training::{Augment, Batch, CropFlip};
pub use values::Values;

/// Which part of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// The samples networks are trained on.
    #[default]
    Train,
    /// The samples held out.
    Test,
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}
