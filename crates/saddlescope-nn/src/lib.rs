//! Neural networks differentiated twice on the CPU.

pub mod scalar;

pub use scalar::{Dtype, Scalar};
