//! Reading networks from ONNX files: from a file to a risk with exact Hessian-vector products.
//!
//! ```
//! use saddlescope_data::{DataSource, Split};
//! use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};
//! use saddlescope_onnx::{ImportOptions, OnnxModel};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/small");
//! let data = DataSource::parse(&format!("npz:{folder}/lstm.npz"))?.load(Split::Train, None, None)?;
//! let model = OnnxModel::load(format!("{folder}/lstm.onnx").as_ref(), &ImportOptions::for_dataset(&data))?;
//! let loss = model.suggest_loss(&data)?.loss;
//! let objective = model.network_for(loss).objective(loss, &model.prepare(&data)?)?;
//! let risk = Risk::<f64>::new(objective, RiskOptions::default())?;
//!
//! let (v, mut hv) = (vec![1.0; risk.dim()], vec![0.0; risk.dim()]);
//! risk.at(&model.theta).product(Curvature::Hessian, &v, &mut hv)?;
//! assert!(hv.iter().any(|x| *x != 0.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How a file is read: bytes → [`proto`] (decoding, bounded by `prescan`) → `reader` → [`model`] (checked graph) → [`eval`]
//! for the part that depends on constants or data only, and the engine's graph for the part that depends on parameters.

pub mod element;
mod ending;
pub mod error;
pub mod eval;
pub mod graph;
mod independence;
mod inputs;
pub mod interpret;
mod limits;
pub mod load;
pub mod model;
pub(crate) mod prescan;
pub mod proto;
mod reader;
pub mod reference;
pub mod roles;
pub mod suggestion;
pub mod tensor;
pub(crate) mod translate;
pub mod value;

pub use element::ElementType;
pub use ending::Ending;
pub use error::{OnnxError, OpError};
pub use load::{ImportOptions, ModelInput, OnnxModel};
pub use reference::{Measured, Reference};
pub use roles::ParameterSource;
pub use suggestion::{LossSuggestion, suggest_loss};
pub use translate::evaluate;
pub use value::{Data, Value};
