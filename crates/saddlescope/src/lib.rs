//! What the loss landscape around a trained network really looks like, with proof.
//!
//! This crate binds our engine ([`nn`], [`onnx`], [`data`]) to the analysis of any loss ([`analysis`]) and re-exports
//! both, so that a program needs only this one dependency.

pub mod model;
mod network_risk;
mod network_subject;

pub use network_risk::{NetworkRisk, layout};
pub use network_subject::{NetworkSubject, weights_fingerprint};

pub use saddlescope_data as data;
pub use saddlescope_figure as figure;
pub use saddlescope_krylov as krylov;
pub use saddlescope_landscape::*;
pub use saddlescope_nn as nn;
pub use saddlescope_onnx as onnx;
pub use saddlescope_paper as paper;
