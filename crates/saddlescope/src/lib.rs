//! What the loss landscape around a trained network really looks like, with proof.
//!
//! This crate binds our engine ([`nn`], [`onnx`], [`data`]) to the analysis of any loss ([`analysis`]) and re-exports
//! both, so that a program needs only this one dependency.
//!
//! ```no_run
//! use saddlescope::analysis::{Selection, analyze};
//! use saddlescope::data::{DataSource, Split};
//! use saddlescope::nn::{Dtype, risk::RiskOptions};
//! use saddlescope::{NetworkRisk, NetworkSubject, model};
//!
//! let data = DataSource::parse("digits")?.load(Split::Train, None, None)?;
//! let model = model::load("digits-mlp", None, Some(&data))?;
//! let loss = model.suggest_loss(&data)?.loss;
//! let risk = NetworkRisk::new(model.network.objective(loss, &data)?, Dtype::F32, RiskOptions::default())?;
//! let subject = NetworkSubject { model, risk, split: "train".into(), slices: None, other: None, about: vec![] };
//! let found = analyze(&subject.subject(), &Selection::default(), None, "digits".as_ref(), &mut ())?;
//! println!("{}", found.results.verdict.join(" "));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod model;
mod network_risk;
mod network_subject;
pub mod verify;

pub use network_risk::{NetworkRisk, layout};
pub use network_subject::{NetworkSubject, training_position, weights_fingerprint, weights_of};

pub use saddlescope_data as data;
pub use saddlescope_figure as figure;
pub use saddlescope_krylov as krylov;
pub use saddlescope_landscape::*;
pub use saddlescope_nn as nn;
pub use saddlescope_onnx as onnx;
pub use saddlescope_paper as paper;
