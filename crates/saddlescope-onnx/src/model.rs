//! A model as it comes out of its file: a checked graph.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;

use super::element::ElementType;
use super::error::OnnxError;
use super::node::Node;
use super::proto::ModelProto;
use super::reader::{Reader, opsets};
use super::tensor::ExternalFolder;
use super::value::Value;

/// Largest model file that is read (the limit of protobuf itself); larger weights belong in external data.
pub const MAX_MODEL_BYTES: u64 = 1 << 31;
/// Most numbers in all initialisers and constants together.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// Length of a declared dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Known length.
    Fixed(usize),
    /// Known by name only.
    Named(String),
    /// Not declared.
    Open,
}

/// Declared name, element type and shape of an input or output.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Name of the value.
    pub name: String,
    /// Element type, if it is declared and supported.
    pub element: Option<ElementType>,
    /// Dimensions, if declared.
    pub shape: Option<Vec<Dim>>,
}

/// A checked graph: the model's own or the branch of an `If`.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Declared inputs that are not initialisers.
    pub inputs: Vec<Declaration>,
    /// Declared outputs.
    pub outputs: Vec<Declaration>,
    /// Initialisers in the order of the file.
    pub initializers: Vec<(String, Value)>,
    /// Nodes; every input is an input of the graph, an initialiser, or an output of an earlier node.
    pub nodes: Vec<Node>,
}

/// A checked model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Program that wrote the file, with its version.
    pub producer: String,
    /// Version of the standard operator set; 0 if the model imports only other domains.
    pub opset: i64,
    /// What the exporter wrote down beside the graph, by key: the model's properties and those of its graph.
    pub metadata: BTreeMap<String, String>,
    /// The graph.
    pub graph: Graph,
}

impl Model {
    /// Reads and checks a model file.
    ///
    /// # Errors
    /// The file cannot be read, is too large, is no ONNX model or breaks a rule; see [`OnnxError`].
    pub fn read(path: &Path) -> Result<Self, OnnxError> {
        let failed = |reason| OnnxError::Io { path: path.to_path_buf(), reason };
        let len = std::fs::metadata(path).map_err(failed)?.len();
        if len > MAX_MODEL_BYTES {
            return Err(OnnxError::Decode(format!("{len} bytes; at most {MAX_MODEL_BYTES} are read")));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        Self::decode(bytes, &ExternalFolder::of_model(path))
    }

    /// Checks a model in memory; `folder` says where external data may lie.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn decode(bytes: Vec<u8>, folder: &ExternalFolder) -> Result<Self, OnnxError> {
        super::prescan::check(&bytes).map_err(|e| OnnxError::Decode(e.to_string()))?;
        let model = ModelProto::decode(Bytes::from(bytes)).map_err(|e| OnnxError::Decode(e.to_string()))?;
        let Some(graph) = &model.graph else {
            return Err(OnnxError::Decode("no graph in the file".into()));
        };
        let opsets = opsets(&model.opset_import)?;
        let opset = opsets.get("").copied().unwrap_or(0);
        let graph = Reader::new(&model.functions, folder).whole(graph, &opsets)?;
        let producer = format!("{} {}", model.producer_name, model.producer_version).trim().to_string();
        let properties = model.graph.iter().flat_map(|g| &g.metadata_props).chain(&model.metadata_props);
        let metadata = properties.map(|p| (p.key.clone(), p.value.clone())).collect();
        Ok(Self { producer, opset, metadata, graph })
    }
}
