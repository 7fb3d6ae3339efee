//! Neural networks as static graphs, differentiated twice on the CPU: exact products with the Hessian, the Gauss–Newton
//! matrix and the Fisher matrices of a loss over a data set.
//!
//! A Hessian-vector product is forward-over-reverse: the tangent of the gradient along v. [`risk`] computes it, [`network`] binds
//! a network to data and a loss, [`zoo`] has networks by name, and [`train`] trains them. A network of your own is a
//! [`graph`] of [`ops`].
//!
//! ```
//! use saddlescope_data::{Split, digits};
//! use saddlescope_nn::network::LossKind;
//! use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};
//! use saddlescope_nn::zoo;
//!
//! let mut network = zoo::by_name("digits-mlp").expect("a network of the zoo");
//! let (_, weights, _) = zoo::TRAINED[0];
//! let theta = network.load(&saddlescope_data::weights::TensorMap::parse(weights)?)?;
//! let data = digits::load(Split::Train, Some(0..64), None)?;
//! let risk = Risk::<f64>::new(network.objective(LossKind::CrossEntropy, &data)?, RiskOptions::default())?;
//!
//! let v = vec![1.0; theta.len()];
//! let mut hv = vec![0.0; theta.len()];
//! risk.at(&theta).product(Curvature::Hessian, &v, &mut hv)?;
//! assert!(hv.iter().all(|x| x.is_finite()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(unreachable_pub)]

mod aligned;
mod dtype;
mod elementary;
mod execute;
mod forward;
mod fuse;
pub mod graph;
mod kernels;
pub mod network;
pub mod op;
pub mod ops;
mod parallel;
mod plan;
pub mod profile;
pub mod risk;
mod scalar;
mod scratch;
#[cfg(test)]
mod testkit;
pub mod train;
pub mod tree;
pub mod units;
pub mod zoo;

pub use forward::{Computed, forward};
pub use kernels::{Isa, conformance};
pub use scalar::{Dtype, Scalar};

/// The kernels that the benchmarks in `examples/` time.
#[doc(hidden)]
pub mod bench {
    pub use crate::kernels::simd::{Element, Job, Simd};
    pub use crate::kernels::{
        ConvGeometry, ConvShape, Filter, Isa, Method, Scratch, filter_adjoint_on, forward, forward_pair,
        input_adjoint, input_adjoint_pair, matmul,
    };
}
