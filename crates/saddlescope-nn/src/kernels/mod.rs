//! Compute kernels: convolution, matrix multiplication, batch-norm style affine maps.
//!
//! Each kernel runs on one thread and returns the same bits every time it is called on the same machine; threads work
//! on different micro-batches outside. Activations are NHWC, filters HWIO. Every kernel exists for `f32` and `f64` on
//! four code paths ([`Isa`]): plain Rust, AVX2 with FMA, AVX-512, and AVX-512 with AMX, chosen at run time.
#![allow(unsafe_code)]

pub(crate) mod affine;
pub mod conformance;
mod conv;
mod correlate;
mod depthwise;
mod filter;
mod filter_gradient;
mod gemm;
mod geometry;
pub(crate) mod loops;
mod method;
pub(crate) mod number;
mod plan;
mod scratch;
mod shape;
pub(crate) mod simd;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile_permission;
mod winograd;

pub(crate) use conv::{filter_adjoint, filter_adjoint_pair};
pub use conv::{filter_adjoint_on, forward, forward_pair, input_adjoint, input_adjoint_pair};
pub use filter::Filter;
pub use gemm::matmul;
use gemm::matmul_on;
pub(crate) use gemm::{matmul_pair, matmul_plus_row};
pub use geometry::ConvGeometry;
pub(crate) use geometry::GeometryError;
pub use method::Method;
pub use scratch::Scratch;
pub use shape::ConvShape;
pub use simd::Isa;
