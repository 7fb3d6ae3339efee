//! Critical sharpness (Kalra et al. 2026): the curvature that a gradient step feels, from a few losses.

use super::measure::NotDefined;
use crate::numeric::dot;
use crate::risk::{Risk, RiskError};

/// λ_c = 2/η_c with η_c the smallest learning rate at which a gradient step raises the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CriticalSharpness {
    /// 2/η_c in the middle of the interval.
    pub value: f64,
    /// λ_c lies between these: 2/η for a rate that raised the loss and for one that did not.
    pub interval: [f64; 2],
    /// Losses that were computed.
    pub evaluations: usize,
}

/// Doublings or halvings of the first guess at most.
const RANGE: usize = 60;
/// The interval is halved until it is narrower than this share of η_c.
const NARROW: f64 = 0.125;

/// Finds λ_c along the gradient. The first learning rate tried is 2/`guess`; λ_max is a good one, since for a quadratic loss
/// λ_c = gᵀHg/‖g‖² ≤ λ_max.
///
/// # Errors
/// A risk that fails; no meaning where the loss does not change beyond rounding along the gradient (at a critical point),
/// or never rises.
pub fn critical_sharpness(
    risk: &dyn Risk,
    theta: &[f64],
    loss: f64,
    gradient: &[f64],
    guess: f64,
) -> Result<Result<CriticalSharpness, NotDefined>, RiskError> {
    let squared = dot(gradient, gradient);
    if !(squared > 0.0 && squared.is_finite() && guess > 0.0 && guess.is_finite()) {
        return Ok(Err(NotDefined("the gradient is zero or not finite: there is no step to take".into())));
    }
    let mut evaluations = 0;
    let mut point = vec![0.0; theta.len()];
    let mut rises = |rate: f64| -> Result<bool, RiskError> {
        for ((p, t), g) in point.iter_mut().zip(theta).zip(gradient) {
            *p = t - rate * g;
        }
        evaluations += 1;
        let there = risk.evaluate(&point)?.loss;
        // NaN and infinities are no fall of the loss.
        Ok(there > loss || !there.is_finite())
    };
    let first = 2.0 / guess;
    let (mut low, mut high) = (None, None);
    let mut rate = first;
    for _ in 0..RANGE {
        if rises(rate)? {
            high = Some(rate);
            rate *= 0.5;
        } else {
            low = Some(rate);
            rate *= 2.0;
        }
        if low.is_some() && high.is_some() {
            break;
        }
    }
    let (Some(mut low), Some(mut high)) = (low, high) else {
        let how = if low.is_some() { "never rises" } else { "never falls" };
        return Ok(Err(NotDefined(format!("the loss {how} along the gradient, whatever the learning rate"))));
    };
    // A quadratic falls by η_c‖g‖²/4 in between.
    if 0.25 * low * squared <= 1e3 * risk.offers().precision.epsilon() * loss.abs() {
        return Ok(Err(NotDefined(
            "along the gradient the loss falls by no more than rounding: the point is critical, and a gradient step has no direction"
                .into(),
        )));
    }
    while high - low > NARROW * high {
        let middle = 0.5 * (low + high);
        if rises(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    let interval = [2.0 / high, 2.0 / low];
    Ok(Ok(CriticalSharpness { value: 0.5 * (interval[0] + interval[1]), interval, evaluations }))
}
