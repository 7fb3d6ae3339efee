//! What the loss landscape around a trained network really looks like, with proof.

pub mod empirical_risk;
mod objective;

pub use objective::{Objective, ParamBlock, ParamKind, ParamLayout, Point};
