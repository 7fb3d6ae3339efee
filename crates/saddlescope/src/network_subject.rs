//! A network at its trained point with the risks on the samples chosen, ready for an analysis.

use std::collections::BTreeMap;
use std::sync::Arc;

use saddlescope_landscape::Risk;
use saddlescope_landscape::analysis::{Split, Subject, WeightsHash};
use saddlescope_landscape::between::{ModelLosses, TrainingPosition, Weights, clean};
use serde_json::Value;

use crate::model::Model;
use crate::network_risk::{NetworkRisk, layout};

/// A model with its risk on the samples of the analysis and, where there is one, on the other split.
pub struct NetworkSubject {
    /// The model.
    pub model: Model,
    /// The risk whose curvature is analysed.
    pub risk: NetworkRisk,
    /// The samples of `risk` in words, for example `train`.
    pub split: String,
    /// The risk on fewer of those samples, for cuts and surfaces; `None`: `risk` itself.
    pub slices: Option<NetworkRisk>,
    /// The risk on other samples, for slices and for the escape.
    pub other: Option<(String, NetworkRisk)>,
    /// What is analysed, in sentences: loss and how it was chosen, parameters and buffers, batch norm, samples.
    pub about: Vec<String>,
}

impl NetworkSubject {
    /// What an analysis takes.
    pub fn subject(&self) -> Subject<'_> {
        let (micro, chunk) = self.risk.batches();
        let provenance: BTreeMap<String, Value> = [
            ("model.source".to_string(), self.model.source.clone().into()),
            ("micro_batch".to_string(), micro.into()),
            ("chunk".to_string(), chunk.into()),
        ]
        .into();
        Subject {
            model: self.model.network.name.clone(),
            theta: Arc::clone(&self.model.theta),
            main: Split { name: &self.split, risk: &self.risk },
            slices: self.slices.as_ref().map(|r| r as &dyn Risk),
            other: self.other.as_ref().map(|(name, risk)| Split { name, risk }),
            weights: weights_fingerprint(&self.model),
            about: self.about.clone(),
            provenance,
        }
    }
}

impl NetworkSubject {
    /// The losses of the model, whatever its weights: what the verbs on several weights take.
    pub fn losses(&self) -> ModelLosses<'_> {
        ModelLosses {
            model: self.model.network.name.clone(),
            main: Split { name: &self.split, risk: &self.risk },
            slices: self.slices.as_ref().map(|r| r as &dyn Risk),
            other: self.other.as_ref().map(|(name, risk)| Split { name, risk }),
            about: self.about.clone(),
        }
    }
}

/// The weights of a model with a short name.
pub fn weights_of(model: &Model, name: &str, origin: String, position: TrainingPosition) -> Weights {
    let buffers = model.network.graph.buffers().iter().flat_map(|b| b.values.iter().copied()).collect();
    Weights {
        name: clean(name),
        origin,
        theta: model.theta.to_vec(),
        buffers,
        sha256: weights_fingerprint(model),
        position,
    }
}

/// What the metadata of a weights file say about where in a training it was written (`saddlescope train --keep-every`).
pub fn training_position(metadata: &BTreeMap<String, String>) -> TrainingPosition {
    let number = |key: &str| metadata.get(key).and_then(|text| text.parse().ok());
    TrainingPosition {
        epoch: number("epochs done"),
        learning_rate: number("learning rate reached"),
        momentum: number("momentum"),
    }
}

/// SHA-256 over names, shapes and values of parameters and buffers.
pub fn weights_fingerprint(model: &Model) -> String {
    let graph = &model.network.graph;
    let mut hash = WeightsHash::new(&layout(graph));
    hash.values(&model.theta);
    for buffer in graph.buffers() {
        hash.name(&buffer.name);
        hash.values(&buffer.values);
    }
    hash.finish()
}
