//! The largest loss in a small set around θ: a ball (SAM) or a box (Keskar et al.).
//!
//! Conditional gradients (Frank and Wolfe 1956): the linear model of the loss has its maximum over the set at a point s that
//! is known in closed form, and the next point lies on the way there. For a loss that is convex on the set the whole way
//! is an ascent, and the steps are those of a power iteration. gᵀ(s − x), the gap, is what the linear model still promises;
//! at a stationary point it is zero.

use crate::numeric::{dot, norm};
use crate::risk::{Risk, RiskError};

/// A set of displacements ε around zero.
#[derive(Clone, Debug, PartialEq)]
pub enum Around {
    /// ‖ε‖₂ ≤ ρ.
    Ball(f64),
    /// |εᵢ| ≤ bᵢ.
    Box(Vec<f64>),
}

impl Around {
    /// The point of the set where gᵀε is largest; `None` where g is zero or not finite.
    pub fn support(&self, g: &[f64]) -> Option<Vec<f64>> {
        let length = norm(g);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        Some(match self {
            Self::Ball(radius) => g.iter().map(|g| radius * (g / length)).collect(),
            Self::Box(bounds) => {
                g.iter().zip(bounds).map(|(g, b)| if *g == 0.0 { 0.0 } else { b * g.signum() }).collect()
            }
        })
    }
}

/// How long to climb.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AscentOptions {
    /// At most this many gradients from each start.
    pub gradients: usize,
    /// The climb ends when the gap is below this share of what was gained.
    pub tolerance: f64,
}

/// The top of a climb.
#[derive(Clone, Debug, PartialEq)]
pub struct Ascent {
    /// L(θ + ε) − L(θ): a bound from below on the largest increase in the set.
    pub increase: f64,
    /// gᵀ(s − ε), what the linear model there still promises.
    pub gap: f64,
    /// Whether the gap is within the tolerance.
    pub converged: bool,
    /// ε.
    pub displacement: Vec<f64>,
    /// Gradients used.
    pub gradients: usize,
}

fn moved(theta: &[f64], by: &[f64]) -> Vec<f64> {
    theta.iter().zip(by).map(|(t, e)| t + e).collect()
}

/// Climbs from each start (points of the set) and returns the highest top, with the gradients of all climbs. `loss` is
/// L(θ). No start: nothing is gained. `watch` sees the number of gradients and the increase so far.
///
/// # Errors
/// A risk that fails, and whatever `watch` says.
pub fn climb(
    risk: &dyn Risk,
    theta: &[f64],
    loss: f64,
    around: &Around,
    starts: Vec<Vec<f64>>,
    options: AscentOptions,
    watch: &mut dyn FnMut(usize, f64) -> Result<(), RiskError>,
) -> Result<Ascent, RiskError> {
    let mut best = Ascent {
        increase: 0.0,
        gap: f64::INFINITY,
        converged: false,
        displacement: vec![0.0; theta.len()],
        gradients: 0,
    };
    let mut gradients = 0;
    for start in starts {
        let top = climb_from(risk, theta, loss, around, start, options, &mut |n, x| watch(gradients + n, x))?;
        gradients += top.gradients;
        if top.increase > best.increase || !best.gap.is_finite() {
            best = top;
        }
    }
    best.gradients = gradients;
    Ok(best)
}

fn climb_from(
    risk: &dyn Risk,
    theta: &[f64],
    loss: f64,
    around: &Around,
    mut x: Vec<f64>,
    options: AscentOptions,
    watch: &mut dyn FnMut(usize, f64) -> Result<(), RiskError>,
) -> Result<Ascent, RiskError> {
    let mut g = vec![0.0; theta.len()];
    let mut here = risk.gradient(&moved(theta, &x), &mut g)?.loss;
    let mut gradients = 1;
    let (mut trial, mut trial_gradient) = (x.clone(), g.clone());
    loop {
        let support = around.support(&g);
        let gap = support.as_ref().map_or(0.0, |s| {
            let way: Vec<f64> = s.iter().zip(&x).map(|(s, x)| s - x).collect();
            dot(&g, &way)
        });
        // A gap of rounding errors counts as none.
        let floor = 8.0 * risk.offers().precision.epsilon() * loss.abs();
        let converged = gap <= (options.tolerance * (here - loss).abs()).max(floor);
        let mut rose = false;
        if let Some(s) = support.filter(|_| !converged) {
            let mut share = 1.0;
            while gradients < options.gradients && share > 1e-3 {
                for ((t, x), s) in trial.iter_mut().zip(&x).zip(&s) {
                    *t = x + share * (s - x);
                }
                let there = risk.gradient(&moved(theta, &trial), &mut trial_gradient)?.loss;
                gradients += 1;
                watch(gradients, here - loss)?;
                if there > here {
                    std::mem::swap(&mut x, &mut trial);
                    std::mem::swap(&mut g, &mut trial_gradient);
                    here = there;
                    rose = true;
                    break;
                }
                share *= 0.5;
            }
        }
        if !rose {
            return Ok(Ascent { increase: here - loss, gap, converged, displacement: x, gradients });
        }
    }
}
