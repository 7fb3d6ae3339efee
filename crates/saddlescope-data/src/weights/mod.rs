//! Weights: named tensors in and out of safetensors files, checked against what a network expects.
//!
//! ```
//! use saddlescope_data::weights::{ExpectedTensor, TensorData, TensorMap};
//!
//! let mut map = TensorMap::new();
//! map.insert("fc.weight", [1, 2], TensorData::F32(vec![0.5, -0.5]))?;
//! let again = TensorMap::parse(&map.to_bytes()?)?;
//! assert_eq!(again, map);
//!
//! let other = ExpectedTensor { name: "fc.weight".into(), shape: vec![2, 1] };
//! assert!(again.check([&other]).unwrap_err().to_string().contains("[1, 2], expected [2, 1]"));
//! # Ok::<(), saddlescope_data::weights::WeightsError>(())
//! ```

mod error;
mod index;
mod read;
mod tensor_map;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use index::repeated_key;

pub use error::{Difference, WeightsError};
pub use tensor_map::{ExpectedTensor, Tensor, TensorData, TensorMap};
