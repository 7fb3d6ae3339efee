//! Neural networks differentiated twice on the CPU.

pub mod aligned;
mod elementary;
pub mod execute;
pub mod graph;
pub mod kernels;
pub mod network;
pub mod op;
pub mod ops;
pub mod parallel;
pub mod plan;
pub mod profile;
pub mod risk;
pub mod scalar;
pub mod scratch;
pub mod testkit;
pub mod train;
pub mod tree;
pub mod zoo;

pub use scalar::{Dtype, Scalar};
