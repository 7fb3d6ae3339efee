//! A model as it comes out of its file: a checked graph.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;

use super::error::OnnxError;
use super::graph::Graph;
use super::limits::MAX_MODEL_BYTES;
use super::proto::ModelProto;
use super::reader::{Reader, opsets};
use super::tensor::ExternalFolder;

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
