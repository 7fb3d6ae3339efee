//! What is analysed: a model at its trained point, with the risk on the samples chosen and on the other split.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::empirical_risk::EmpiricalRisk;
use crate::model::Model;

/// A model with its risk on the samples of the analysis and, where there is one, on the other split.
pub struct Subject {
    /// The model.
    pub model: Model,
    /// The risk whose curvature is analysed.
    pub risk: EmpiricalRisk,
    /// The samples of `risk` in words, for example `train`.
    pub split: String,
    /// The risk on fewer of those samples, for surfaces; `None`: `risk` itself.
    pub slices: Option<EmpiricalRisk>,
    /// The risk on other samples, for slices and for the escape.
    pub other: Option<(String, EmpiricalRisk)>,
    /// What else the results depend on: data fingerprints, loss, batch-norm mode.
    pub identity: BTreeMap<String, Value>,
}

impl Subject {
    /// θ.
    pub fn theta(&self) -> &[f64] {
        &self.model.theta
    }

    /// The risk that surfaces are made of.
    pub fn slice_risk(&self) -> &EmpiricalRisk {
        self.slices.as_ref().unwrap_or(&self.risk)
    }

    /// Everything about the subject that results depend on.
    pub fn identity(&self) -> BTreeMap<String, Value> {
        let mut identity = self.identity.clone();
        let mut put = |name: &str, value: Value| {
            identity.insert(name.into(), value);
        };
        put("model", self.model.network.name.clone().into());
        put("parameters", self.model.theta.len().into());
        put("weights.sha256", fingerprint(&self.model).into());
        put("samples", self.risk.samples().into());
        put("split", self.split.clone().into());
        put("dtype", self.risk.dtype().to_string().into());
        put("engine", env!("CARGO_PKG_VERSION").into());
        identity
    }
}

/// SHA-256 over names, shapes and values of parameters and buffers.
pub fn fingerprint(model: &Model) -> String {
    let mut hash = Sha256::new();
    let graph = &model.network.graph;
    for parameter in graph.parameters() {
        hash.update(parameter.name.as_bytes());
        hash.update(format!("{:?}", parameter.shape).as_bytes());
    }
    for value in &model.theta {
        hash.update(value.to_le_bytes());
    }
    for buffer in graph.buffers() {
        hash.update(buffer.name.as_bytes());
        for value in &buffer.values {
            hash.update(value.to_le_bytes());
        }
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
