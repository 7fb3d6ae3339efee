//! Reading networks from ONNX files.
//!
//! The way of a file: bytes → [`proto`] (decoding, bounded by `prescan`) → `reader` → [`model`] (checked graph) → [`eval`]
//! for the part that depends on constants or data only, and the engine's graph for the part that depends on parameters.

pub mod element;
mod ending;
pub mod error;
pub mod eval;
pub mod graph;
mod independence;
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
pub use suggestion::LossSuggestion;
pub use translate::evaluate;
pub use value::{Data, Value};
