//! Matrix-free curvature for any symmetric operator known only by its action.
//!
//! This crate knows slices of numbers and operators; it knows nothing of networks, files or plots.

mod operator;

pub use operator::{LinearOperator, SymmetricOperator};
