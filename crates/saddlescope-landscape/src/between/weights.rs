//! The weights that are compared or joined, and the losses that they are points of.

use std::borrow::Cow;

use super::error::BetweenError;
use crate::analysis::{AnalysisError, Split, Subject, WeightsHash};
use crate::numeric::{dot, norm};
use crate::risk::Risk;

/// Where in a training weights were written, as far as the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrainingPosition {
    /// Epochs done.
    pub epoch: Option<f64>,
    /// Learning rate η there.
    pub learning_rate: Option<f64>,
    /// Momentum μ.
    pub momentum: Option<f64>,
}

/// Weights of a model: θ with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Short name, for tables, figures and folders: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Where they come from, for messages: a file.
    pub origin: String,
    /// θ.
    pub theta: Vec<f64>,
    /// What belongs to the weights without being a parameter, as [`Risk::buffers`] has it.
    pub buffers: Vec<f64>,
    /// SHA-256 of names, shapes and values.
    pub sha256: String,
    /// Where in a training they were written.
    pub position: TrainingPosition,
}

impl Weights {
    /// Weights of a risk; name and fingerprint follow from what is given.
    pub fn new(origin: impl Into<String>, theta: Vec<f64>, risk: &dyn Risk) -> Self {
        let origin = origin.into();
        Self::with_buffers(&origin.clone(), origin, theta, risk.buffers(), risk)
    }

    /// Weights with buffers of their own.
    pub fn with_buffers(
        name: &str,
        origin: String,
        theta: Vec<f64>,
        buffers: Vec<f64>,
        risk: &dyn Risk,
    ) -> Self {
        let mut hash = WeightsHash::new(risk.layout());
        hash.values(&theta);
        hash.values(&buffers);
        Self {
            name: clean(name),
            origin,
            theta,
            buffers,
            sha256: hash.finish(),
            position: TrainingPosition::default(),
        }
    }

    /// ‖θ‖₂.
    pub fn norm(&self) -> f64 {
        norm(&self.theta)
    }

    /// ‖θ − θ'‖₂.
    pub fn distance(&self, other: &Self) -> f64 {
        norm(&self.displacement(other))
    }

    /// θ' − θ.
    pub fn displacement(&self, other: &Self) -> Vec<f64> {
        self.theta.iter().zip(&other.theta).map(|(a, b)| b - a).collect()
    }

    /// Cosine of the angle between θ and θ', seen from the origin.
    pub fn cosine(&self, other: &Self) -> f64 {
        dot(&self.theta, &other.theta) / (self.norm() * other.norm())
    }
}

/// A name of letters, digits, `.`, `_` and `-`: it is part of file names.
pub fn clean(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(kept).collect();
    match name.trim_start_matches('.') {
        "" => "weights".into(),
        rest => rest.into(),
    }
}

/// A model with its loss on the samples of an analysis and on other samples.
#[derive(Clone)]
pub struct ModelLosses<'a> {
    /// Name of the model.
    pub model: String,
    /// The loss whose curvature is analysed.
    pub main: Split<'a>,
    /// The loss on fewer of those samples, for surfaces; `None`: that of `main`.
    pub slices: Option<&'a dyn Risk>,
    /// The loss on other samples.
    pub other: Option<Split<'a>>,
    /// What is analysed, in sentences for the head of a report.
    pub about: Vec<String>,
}

impl<'a> ModelLosses<'a> {
    /// A loss without other samples.
    pub fn new(model: impl Into<String>, risk: &'a dyn Risk) -> Self {
        let main = Split { name: "train", risk };
        Self { model: model.into(), main, slices: None, other: None, about: Vec::new() }
    }

    /// The splits: the main one, and the other one if there is one.
    pub fn splits(&self) -> Vec<Split<'a>> {
        std::iter::once(self.main).chain(self.other).collect()
    }
}

/// Weights with the model that they are of.
#[derive(Clone)]
pub struct Member<'a> {
    /// The losses.
    pub losses: &'a ModelLosses<'a>,
    /// The weights.
    pub weights: Weights,
}

/// A risk with the buffers of the weights in question: the risk itself where it has none, or these very ones.
pub(crate) enum Bound<'a> {
    Given(&'a dyn Risk),
    Changed(Box<dyn Risk + 'a>),
}

impl<'a> Bound<'a> {
    /// The risk with other buffers.
    pub fn new(risk: &'a dyn Risk, buffers: &[f64]) -> Result<Self, AnalysisError> {
        let same = |own: &[f64]| {
            own.len() == buffers.len() && own.iter().zip(buffers).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        if same(&risk.buffers()) {
            return Ok(Self::Given(risk));
        }
        Ok(Self::Changed(risk.with_buffers(buffers)?))
    }

    /// The risk.
    pub fn risk(&self) -> &dyn Risk {
        match self {
            Self::Given(risk) => *risk,
            Self::Changed(risk) => &**risk,
        }
    }
}

impl ModelLosses<'_> {
    /// Hands `work` the subject of an analysis of these weights on one split.
    pub(crate) fn with_subject<T>(
        &self,
        weights: &Weights,
        split: Split<'_>,
        work: impl FnOnce(&Subject<'_>) -> Result<T, AnalysisError>,
    ) -> Result<T, AnalysisError> {
        let risk = Bound::new(split.risk, &weights.buffers)?;
        let slices = match self.slices {
            Some(few) if split.name == self.main.name => Some(Bound::new(few, &weights.buffers)?),
            _ => None,
        };
        let subject = Subject {
            model: self.model.clone(),
            theta: weights.theta.as_slice().into(),
            main: Split { name: split.name, risk: risk.risk() },
            slices: slices.as_ref().map(Bound::risk),
            other: None,
            weights: weights.sha256.clone(),
            about: self.about.clone(),
            provenance: [("weights".to_string(), weights.origin.clone().into())].into(),
        };
        work(&subject)
    }
}

/// Whether these weights can be put beside each other: enough of them, of the right length, finite, all different, with
/// different names.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn check(members: &[Member<'_>], least: usize) -> Result<(), BetweenError> {
    if members.len() < least {
        return Err(BetweenError::TooFew { found: members.len(), expected: least });
    }
    for (i, m) in members.iter().enumerate() {
        let (w, origin) = (&m.weights, m.weights.origin.clone());
        let expected = m.losses.main.risk.dim();
        if w.theta.len() != expected {
            let model = m.losses.model.clone();
            return Err(BetweenError::Parameters { origin, found: w.theta.len(), expected, model });
        }
        if let Some(index) = w.theta.iter().position(|x| !x.is_finite()) {
            return Err(BetweenError::NotFinite { origin, index, value: w.theta[index] });
        }
        for before in &members[..i] {
            let first = before.weights.origin.clone();
            if before.weights.sha256 == w.sha256 && before.losses.model == m.losses.model {
                return Err(BetweenError::Identical { first, second: origin });
            }
            if before.weights.name == w.name {
                return Err(BetweenError::SameName { name: w.name.clone(), first, second: origin });
            }
        }
    }
    Ok(())
}

/// The weights without copies of others among them, and a sentence for each that is left out. Of several that are the same, the one stays
/// that says its epoch, or whose name has a number: `last` is left out where `step-200` is the same.
pub(crate) fn distinct<'m, 'a>(members: &'m [Member<'a>]) -> (Cow<'m, [Member<'a>]>, Vec<String>) {
    let rank = |m: &Member<'_>| {
        let name = &m.weights.name;
        (m.weights.position.epoch.is_none(), !name.contains(|c: char| c.is_ascii_digit()))
    };
    let (mut kept, mut sentences) = (Vec::new(), Vec::new());
    for (i, m) in members.iter().enumerate() {
        let same = members
            .iter()
            .enumerate()
            .filter(|(_, o)| o.weights.sha256 == m.weights.sha256 && o.losses.model == m.losses.model);
        match same.min_by_key(|(j, o)| (rank(o), *j)) {
            Some((j, first)) if j != i => sentences.push(format!(
                "{} holds the same weights as {} and is left out",
                m.weights.origin, first.weights.origin
            )),
            _ => kept.push(i),
        }
    }
    if sentences.is_empty() {
        return (Cow::Borrowed(members), sentences);
    }
    (kept.into_iter().map(|i| members[i].clone()).collect(), sentences)
}

/// Whether all weights are of one model, so that there is something between them.
///
/// # Errors
/// Weights of different models.
pub(crate) fn check_one_model(members: &[Member<'_>]) -> Result<(), BetweenError> {
    let Some(first) = members.first() else { return Ok(()) };
    match members.iter().find(|m| !std::ptr::eq(m.losses, first.losses)) {
        None => Ok(()),
        Some(other) => Err(BetweenError::Models {
            first: first.weights.origin.clone(),
            model: first.losses.model.clone(),
            second: other.weights.origin.clone(),
            other: other.losses.model.clone(),
        }),
    }
}
