//! An interval on which the loss changes by a given amount.

use super::{CurvatureFitError, CurvatureFitOptions};
use crate::numeric::{add_scaled, norm};
use crate::random;
use crate::risk::{Risk, RiskError};

/// Lines that are looked at.
pub(crate) const INTERVAL_LINES: usize = 4;
/// Steps of the search on each line; each brings the change of the loss closer by a factor or settles it.
const STEPS: usize = 40;

/// √(2ΔL/|κ|) for the largest |κ| along the first lines, and how many evaluations that took.
pub(super) fn half_width(
    risk: &dyn Risk,
    theta: &[f64],
    options: &CurvatureFitOptions,
    loss_change: f64,
) -> Result<(f64, usize), CurvatureFitError> {
    if !(loss_change.is_finite() && loss_change > 0.0) {
        return Err(CurvatureFitError::LossChange { found: loss_change });
    }
    let mut evaluations = 1;
    let center = risk.evaluate(theta)?.loss;
    let mut smallest = f64::INFINITY;
    let mut eta = vec![0.0; theta.len()];
    let mut moved = vec![0.0; theta.len()];
    for line in 0..INTERVAL_LINES.min(options.probes.max(1)) {
        random::fill_probe(options.seed, line as u64, &mut eta);
        let mut value = |alpha: f64| {
            moved.copy_from_slice(theta);
            add_scaled(&mut moved, alpha, &eta);
            Ok::<f64, RiskError>(risk.evaluate(&moved)?.loss)
        };
        let mut alpha = 1e-3 * (1.0 + norm(theta)) / norm(&eta);
        for _ in 0..STEPS {
            // ½ κ α² by a second difference.
            let change = 0.5 * (value(alpha)? + value(-alpha)?) - center;
            evaluations += 2;
            let size = change.abs();
            if !size.is_finite() {
                alpha /= 8.0;
            } else if size < 1e-12 * loss_change {
                alpha *= 8.0;
            } else if (0.5..2.0).contains(&(size / loss_change)) {
                smallest = smallest.min(alpha * (loss_change / size).sqrt());
                break;
            } else {
                // At most three decades a step, because far away the loss is no parabola.
                alpha *= (loss_change / size).sqrt().clamp(1e-3, 1e3);
            }
        }
    }
    if smallest.is_finite() && smallest > 0.0 {
        Ok((smallest, evaluations))
    } else {
        Err(CurvatureFitError::NoInterval { loss_change })
    }
}
