//! Compute kernels: convolution, matrix multiplication, batch-norm style affine maps.
//!
//! Each kernel runs on one thread and returns the same bits every time it is called on the same machine; threads work
//! on different micro-batches outside. Activations are NHWC, filters HWIO. Every kernel exists for `f32` and `f64` on
//! three code paths ([`Isa`]): plain Rust, AVX2 with FMA, AVX-512, chosen at run time.
//!
//! ```
//! use saddlescope_nn::kernels::{ConvGeometry, ConvShape, Filter, Scratch, forward};
//! let g = ConvGeometry::new(ConvShape {
//!     n: 1,
//!     input: [3, 3],
//!     c_in: 1,
//!     c_out: 1,
//!     kernel: [3, 3],
//!     stride: [1, 1],
//!     pad: [0; 4],
//!     dilation: [1, 1],
//!     groups: 1,
//! })?;
//! let filter = Filter::pack(&g, &[1.0_f64; 9]);
//! let mut y = [0.0];
//! forward(&g, &[2.0; 9], &filter, &mut y, false, &mut Scratch::new());
//! assert_eq!(y, [18.0]);
//! # Ok::<(), saddlescope_nn::kernels::GeometryError>(())
//! ```
#![allow(unsafe_code)]

pub mod affine;
#[doc(hidden)]
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
#[doc(hidden)]
pub mod number;
mod plan;
mod scratch;
mod shape;
#[doc(hidden)]
pub mod simd;
#[cfg(test)]
mod tests;
mod winograd;

#[doc(hidden)]
pub use conv::filter_adjoint_on;
pub use conv::{
    filter_adjoint, filter_adjoint_pair, forward, forward_pair, input_adjoint, input_adjoint_pair,
};
pub use filter::Filter;
use gemm::matmul_on;
pub use gemm::{matmul, matmul_pair, matmul_plus_row};
pub use geometry::{ConvGeometry, GeometryError};
#[doc(hidden)]
pub use method::Method;
pub use scratch::Scratch;
pub use shape::ConvShape;
pub use simd::Isa;
