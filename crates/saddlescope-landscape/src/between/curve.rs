//! Ways between two weights: the line, and a quadratic Bézier curve whose bend is trained so that the loss on it is low
//! (Garipov et al., *Loss surfaces, mode connectivity, and fast ensembling of DNNs*, 2018).

use serde::{Deserialize, Serialize};

use super::anew::Anew;
use super::desk::{Desk, Part};
use super::points::risk_identity;
use super::weights::{ModelLosses, Weights};
use crate::analysis::{AnalysisError, Forecast, WeightsHash};
use crate::number_text::{fixed, number};
use crate::numeric::norm;
use crate::risk::{Risk, RiskError};

/// How the bend of the curve is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveOptions {
    /// Steps; each takes one gradient at one place of the curve.
    pub steps: usize,
    /// Length of the first steps, as a share of the distance between the ends (per step, if all coordinates moved alike); it
    /// falls to zero along a cosine.
    pub rate: f64,
}

impl Default for CurveOptions {
    fn default() -> Self {
        Self { steps: 200, rate: 0.02 }
    }
}

/// A way from A to B.
#[derive(Clone)]
pub(crate) struct Curve<'a> {
    ends: [&'a Weights; 2],
    bend: Option<&'a [f64]>,
}

impl<'a> Curve<'a> {
    /// A + t (B − A).
    pub fn line(a: &'a Weights, b: &'a Weights) -> Self {
        Self { ends: [a, b], bend: None }
    }

    /// (1−t)² A + 2t(1−t) C + t² B.
    pub fn quadratic(a: &'a Weights, bend: &'a [f64], b: &'a Weights) -> Self {
        Self { ends: [a, b], bend: Some(bend) }
    }

    /// A and B.
    pub fn ends(&self) -> [&'a Weights; 2] {
        self.ends
    }

    /// θ and buffers at t. Both ends are reproduced exactly. Buffers lie on the line between those of A and B.
    pub fn at(&self, t: f64) -> (Vec<f64>, Vec<f64>) {
        let [a, b] = self.ends;
        if t == 1.0 {
            return (b.theta.clone(), b.buffers.clone());
        }
        // Equal numbers stay what they are.
        let between =
            |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x + t * (y - x)).collect() };
        let theta = match self.bend {
            None => between(&a.theta, &b.theta),
            Some(bend) => quadratic(&a.theta, bend, &b.theta, t),
        };
        (theta, between(&a.buffers, &b.buffers))
    }

    /// Its length in θ (for the curve: of 64 chords).
    pub fn length(&self) -> f64 {
        if self.bend.is_none() {
            return self.ends[0].distance(self.ends[1]);
        }
        let mut before = self.ends[0].theta.clone();
        let mut length = 0.0;
        for i in 1..=64 {
            let (here, _) = self.at(f64::from(i) / 64.0);
            length += norm(&here.iter().zip(&before).map(|(x, y)| x - y).collect::<Vec<_>>());
            before = here;
        }
        length
    }

    /// What tells it from other curves with the same ends.
    pub fn fingerprint(&self) -> String {
        match self.bend {
            None => "line".into(),
            Some(bend) => values_hash(bend),
        }
    }
}

fn values_hash(values: &[f64]) -> String {
    let mut hash = WeightsHash::new(&crate::layout::ParameterLayout::default());
    hash.values(values);
    hash.finish()
}

fn quadratic(a: &[f64], c: &[f64], b: &[f64], t: f64) -> Vec<f64> {
    let [wa, wc, wb] = [(1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t];
    a.iter().zip(c).zip(b).map(|((a, c), b)| wa * a + wc * c + wb * b).collect()
}

/// The state of the training, kept from time to time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Training {
    step: usize,
    bend: Vec<f64>,
    first_moment: Vec<f64>,
    second_moment: Vec<f64>,
    /// Why it ended before its time.
    #[serde(default)]
    diverged: Option<String>,
}

/// What the training of a curve came to.
pub(crate) struct Bend {
    /// C.
    pub bend: Vec<f64>,
    /// Where loss or gradient ceased to be numbers; the bend is then that of the step before.
    pub diverged: Option<String>,
}

/// How often the state is kept.
const KEEP_EVERY: usize = 25;

/// The part that the training is.
pub(crate) fn part(
    losses: &ModelLosses<'_>,
    a: &Weights,
    b: &Weights,
    options: &CurveOptions,
    seed: u64,
) -> Result<Part, RiskError> {
    let mut of = risk_identity(losses.main.risk, &a.theta)?;
    of.insert("a.sha256".into(), a.sha256.clone().into());
    of.insert("b.sha256".into(), b.sha256.clone().into());
    of.insert("options".into(), serde_json::to_value(options).unwrap_or_default());
    of.insert("seed".into(), seed.into());
    Ok(Part {
        name: format!("bend-{}-{}", a.name, b.name),
        title: format!("curve from {} to {}: training", a.name, b.name),
        of,
        // A gradient takes about three evaluations.
        forecast: Forecast { products: 0, evaluations: 3 * options.steps },
    })
}

/// The bend C of the curve (1−t)² A + 2t(1−t) C + t² B that lowers the mean of the loss over t, found by Adam (Kingma & Ba 2015) on
/// gradients over all samples: ∂L/∂C = 2t(1−t) ∇L. The places t follow a sequence of low discrepancy that the seed shifts.
///
/// # Errors
/// Cancelled, or whatever the risk reports; a risk without gradients. Losses that are no numbers are none: they end the training.
pub(crate) fn trained_curve(
    desk: &mut Desk<'_>,
    losses: &ModelLosses<'_>,
    a: &Weights,
    b: &Weights,
    options: &CurveOptions,
    seed: u64,
) -> Result<Bend, AnalysisError> {
    if !losses.main.risk.offers().gradient {
        return Err(
            RiskError::NotOffered { what: "gradients, which the training of a curve needs".into() }.into()
        );
    }
    let n = a.theta.len();
    let risk = Anew { statistics: losses.main.risk, risk: losses.main.risk };
    let part = part(losses, a, b, options, seed)?;
    let found = desk.part(&part, |work, kept: Option<Training>| {
        let mut state = kept.unwrap_or_else(|| Training {
            step: 0,
            bend: a.theta.iter().zip(&b.theta).map(|(x, y)| x + 0.5 * (y - x)).collect(),
            first_moment: vec![0.0; n],
            second_moment: vec![0.0; n],
            diverged: None,
        });
        let mut shift = [0.0];
        crate::random::fill_normal(seed, 77, &mut shift);
        let unit = options.rate * a.distance(b) / (n as f64).sqrt();
        let mut gradient = vec![0.0; n];
        work.monitor.begin(&part.title, Some(options.steps as u64));
        while state.step < options.steps {
            work.check()?;
            // Multiples of the golden ratio lie evenly in [0, 1).
            let t = (shift[0] + (state.step + 1) as f64 * 0.618_033_988_749_894_9).rem_euclid(1.0);
            let here = quadratic(&a.theta, &state.bend, &b.theta, t);
            work.evaluations += 3;
            let loss = risk.gradient(&here, &mut gradient)?.loss;
            let weight = 2.0 * t * (1.0 - t);
            let step = state.step as i32 + 1;
            let progress = state.step as f64 / options.steps as f64;
            let rate = unit * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
            if gradient.iter().any(|g| !g.is_finite()) {
                state.diverged = Some(format!(
                    "the gradient is not finite at t = {t:.3} in step {step} of {}, where the loss is {}",
                    options.steps,
                    number(loss)
                ));
                break;
            }
            adam(&mut state, &gradient, weight, rate, step);
            state.step += 1;
            work.monitor.advance(state.step as u64, &format!("loss {} at t = {t:.2}", fixed(loss, 4)));
            if state.step.is_multiple_of(KEEP_EVERY) {
                work.keep(&state)?;
            }
        }
        work.monitor.end("");
        Ok(state)
    })?;
    Ok(Bend { bend: found.bend, diverged: found.diverged })
}

/// One step of Adam with its usual constants.
fn adam(state: &mut Training, gradient: &[f64], weight: f64, rate: f64, step: i32) {
    const FIRST: f64 = 0.9;
    const SECOND: f64 = 0.999;
    let (first, second) = (1.0 - FIRST.powi(step), 1.0 - SECOND.powi(step));
    let moments = state.first_moment.iter_mut().zip(state.second_moment.iter_mut());
    for ((x, g), (m, v)) in state.bend.iter_mut().zip(gradient).zip(moments) {
        let g = weight * g;
        *m = FIRST * *m + (1.0 - FIRST) * g;
        *v = SECOND * *v + (1.0 - SECOND) * g * g;
        *x -= rate * (*m / first) / ((*v / second).sqrt() + 1e-12);
    }
}
