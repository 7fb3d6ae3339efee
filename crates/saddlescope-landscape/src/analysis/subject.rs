//! What is analysed: a risk at a point θ, with the risks on other samples that slices are also drawn on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::risk::{Risk, RiskError};
use crate::weights_hash::WeightsHash;

/// A named set of samples with the risk on it.
#[derive(Clone, Copy)]
pub struct Split<'a> {
    /// Its name in words, for example `train`.
    pub name: &'a str,
    /// The risk on these samples.
    pub risk: &'a dyn Risk,
}

/// A point θ of a risk and, where there are any, the same loss on other samples.
pub struct Subject<'a> {
    /// Name of the model, for titles.
    pub model: String,
    /// θ.
    pub theta: Arc<[f64]>,
    /// The risk whose curvature is analysed.
    pub main: Split<'a>,
    /// The risk on fewer of those samples, for cuts and surfaces; `None`: that of `main`.
    pub slices: Option<&'a dyn Risk>,
    /// The risk on other samples, for cuts, surfaces and the escape.
    pub other: Option<Split<'a>>,
    /// SHA-256 of θ and of whatever else belongs to the weights (running statistics).
    pub weights: String,
    /// What is analysed, in sentences for the head of the report.
    pub about: Vec<String>,
    /// What else a reader should know, by name; no result depends on it.
    pub provenance: BTreeMap<String, Value>,
}

impl<'a> Subject<'a> {
    /// A point of a risk. The samples are called `train`; the fields say more where there is more to say.
    pub fn new(model: impl Into<String>, theta: impl Into<Arc<[f64]>>, risk: &'a dyn Risk) -> Self {
        let theta = theta.into();
        let mut hash = WeightsHash::new(risk.layout());
        hash.values(&theta);
        Self {
            model: model.into(),
            weights: hash.finish(),
            theta,
            main: Split { name: "train", risk },
            slices: None,
            other: None,
            about: Vec::new(),
            provenance: BTreeMap::new(),
        }
    }

    /// θ.
    pub fn theta(&self) -> &[f64] {
        &self.theta
    }

    /// The risk whose curvature is analysed.
    pub fn risk(&self) -> &'a dyn Risk {
        self.main.risk
    }

    /// The samples that cuts and surfaces are drawn on.
    pub fn slice_split(&self) -> Split<'a> {
        Split { name: self.main.name, risk: self.slices.unwrap_or(self.main.risk) }
    }

    /// Everything about θ and the risk of `main` that results depend on.
    ///
    /// # Errors
    /// As [`Risk::fingerprint`].
    pub fn identity(&self) -> Result<BTreeMap<String, Value>, RiskError> {
        let mut identity = identity_at(self.main.risk, &self.theta)?;
        let mut put = |name: &str, value: Value| {
            identity.insert(name.into(), value);
        };
        put("model", self.model.clone().into());
        put("parameters", self.theta.len().into());
        put("weights.sha256", self.weights.clone().into());
        put("samples", self.main.risk.samples().into());
        put("split", self.main.name.into());
        put("engine", env!("CARGO_PKG_VERSION").into());
        Ok(identity)
    }
}

/// The identity of a risk, with its fingerprint at θ where it has one.
pub(crate) fn identity_at(risk: &dyn Risk, theta: &[f64]) -> Result<BTreeMap<String, Value>, RiskError> {
    let mut identity = risk.identity();
    if let Some(fingerprint) = risk.fingerprint(theta)? {
        identity.insert("fingerprint".into(), fingerprint.into());
    }
    Ok(identity)
}
