//! Neural networks as static graphs, differentiated twice on the CPU: exact products with the Hessian, the Gauss–Newton
//! matrix and the Fisher matrices of a loss over a data set.
//!
//! A Hessian-vector product is forward-over-reverse: the tangent of the gradient along v. [`network`] binds a network to
//! data, [`risk`] evaluates, [`zoo`] has networks by name, [`train`] trains them.
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
//!
//! The modules that are not listed here (operations, plans, kernels) are for the crates of this workspace and may change at
//! any time.

#[doc(hidden)]
pub mod aligned;
mod dtype;
mod elementary;
#[doc(hidden)]
pub mod execute;
mod fuse;
pub mod graph;
#[doc(hidden)]
pub mod kernels;
pub mod network;
#[doc(hidden)]
pub mod op;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod parallel;
#[doc(hidden)]
pub mod plan;
pub mod profile;
pub mod risk;
pub mod scalar;
#[doc(hidden)]
pub mod scratch;
#[doc(hidden)]
pub mod testkit;
pub mod train;
pub mod tree;
pub mod units;
pub mod zoo;

pub use scalar::{Dtype, Scalar};
