//! Rescaling a ReLU network without changing its function (Dinh et al. 2017).
//!
//! max(a x, 0) = a max(x, 0) for a > 0: the weights and the bias that lead to a unit can be multiplied by a, and those that
//! lead away from it divided by a. Losses and outputs stay as they are; curvature does not.

use saddlescope_data::ParameterKind;

use crate::layout::{ParameterBlock, ParameterLayout};
use crate::risk::{Risk, RiskError};

/// Why a network cannot be rescaled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RescaleError {
    /// There are no two layers in a row.
    #[error(
        "no two weight tensors in a row, the second with as many inputs as the first has outputs: there is nothing to rescale"
    )]
    NoPair,
    /// A number of factors that is not that of the units, or one that is not positive.
    #[error("factor {factor}: expected a positive number")]
    Factor {
        /// It.
        factor: f64,
    },
    /// The loss is another one after it.
    #[error(
        "multiplying `{first}` and dividing `{second}` changes the loss from {before} to {after}: between them is something else than ReLU"
    )]
    ChangesLoss {
        /// The first tensor.
        first: String,
        /// The second.
        second: String,
        /// Loss before.
        before: f64,
        /// Loss after.
        after: f64,
    },
    /// The risk failed.
    #[error(transparent)]
    Risk(#[from] RiskError),
}

/// Two layers with only ReLU between them, as far as shapes tell; [`Pair::rescaled`] checks it by the loss.
#[derive(Clone, Debug)]
pub struct Pair {
    first: ParameterBlock,
    bias: Option<ParameterBlock>,
    second: ParameterBlock,
    /// Units between them.
    units: usize,
}

/// Outputs and inputs of a layer's weights.
fn sides(block: &ParameterBlock) -> Option<(usize, usize)> {
    match (block.kind, block.shape.as_slice()) {
        (ParameterKind::LinearWeight | ParameterKind::ConvFilter, [out, inputs, ..]) => Some((*out, *inputs)),
        (ParameterKind::LinearWeightTransposed, [inputs, out]) => Some((*out, *inputs)),
        _ => None,
    }
}

/// Which output and which input an entry of a layer's weights belongs to.
fn entry(block: &ParameterBlock, i: usize) -> (usize, usize) {
    let (out, inputs) = sides(block).unwrap_or((1, 1));
    if block.kind == ParameterKind::LinearWeightTransposed {
        return (i % out, i / out);
    }
    let kernel = block.range.len() / (out * inputs).max(1);
    (i / (inputs * kernel), i / kernel % inputs)
}

impl Pair {
    /// The first two layers in a row whose sizes fit.
    ///
    /// # Errors
    /// None such.
    pub fn first(layout: &ParameterLayout) -> Result<Self, RescaleError> {
        let weights: Vec<usize> =
            (0..layout.blocks.len()).filter(|&i| sides(&layout.blocks[i]).is_some()).collect();
        for two in weights.windows(2) {
            let (a, b) = (&layout.blocks[two[0]], &layout.blocks[two[1]]);
            let (Some((out, _)), Some((_, inputs))) = (sides(a), sides(b)) else { continue };
            let between = &layout.blocks[two[0] + 1..two[1]];
            let bias = match between {
                [] => None,
                [bias] if bias.kind == ParameterKind::Bias && bias.range.len() == out => Some(bias.clone()),
                _ => continue,
            };
            if out == inputs && out > 0 {
                return Ok(Self { first: a.clone(), bias, second: b.clone(), units: out });
            }
        }
        Err(RescaleError::NoPair)
    }

    /// Number of units between the layers.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Names of both tensors.
    pub fn names(&self) -> [&str; 2] {
        [&self.first.name, &self.second.name]
    }

    /// θ with unit j multiplied by `factors[j]` before the ReLU and divided by it after. The loss must stay as it is, to
    /// rounding.
    ///
    /// # Errors
    /// Factors that are not positive or not one for each unit, or a loss that changes.
    pub fn rescaled(
        &self,
        risk: &dyn Risk,
        theta: &[f64],
        factors: &[f64],
    ) -> Result<Vec<f64>, RescaleError> {
        if let Some(&factor) = factors.iter().find(|f| !(f.is_finite() && **f > 0.0)) {
            return Err(RescaleError::Factor { factor });
        }
        if factors.len() != self.units {
            return Err(RescaleError::Factor { factor: f64::NAN });
        }
        let mut out = theta.to_vec();
        for (i, x) in out[self.first.range.clone()].iter_mut().enumerate() {
            *x *= factors[entry(&self.first, i).0];
        }
        if let Some(bias) = &self.bias {
            out[bias.range.clone()].iter_mut().zip(factors).for_each(|(x, f)| *x *= f);
        }
        for (i, x) in out[self.second.range.clone()].iter_mut().enumerate() {
            *x /= factors[entry(&self.second, i).1];
        }
        let (before, after) = (risk.evaluate(theta)?.loss, risk.evaluate(&out)?.loss);
        // Rounding of every layer, amplified by a few hundred operations.
        let allowed = 1e4 * risk.offers().precision.epsilon() * before.abs().max(1e-3);
        // A NaN is no small difference.
        let same = (before - after).abs() <= allowed;
        if !same {
            return Err(RescaleError::ChangesLoss {
                first: self.first.name.clone(),
                second: self.second.name.clone(),
                before,
                after,
            });
        }
        Ok(out)
    }
}
