//! Neural networks differentiated twice on the CPU.

pub mod graph;
pub mod op;
pub mod ops;
pub mod scalar;
pub mod scratch;
pub mod testkit;

pub use scalar::{Dtype, Scalar};
