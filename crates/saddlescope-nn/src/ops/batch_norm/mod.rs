//! Batch normalisation, with the ReLU and the residual addition that usually follow it.

mod batch;
mod running;

use std::sync::Arc;

use crate::op::{AnyOp, Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// Which statistics normalise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchNormMode {
    /// The given running mean and variance: an affine map per channel (evaluation mode).
    Running,
    /// Mean and biased variance of the whole micro-batch (training mode). Derivatives go through the statistics, and
    /// the samples are coupled.
    Batch,
}

/// y = γ (x − μ) / √(σ² + ε) + β per channel; with a residual r added, and a ReLU on the sum, if asked for.
///
/// Inputs: x `[…, c]` (channels last), γ, β, mean and variance, all `[c]`, and optionally the residual r of x's shape:
/// y = relu(bn(x) + r). γ, β, x and r are differentiated; mean and variance are not, and in
/// [`BatchNormMode::Batch`] they are not used. ε as in PyTorch (1e-5 by default there); ONNX
/// `BatchNormalization`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Which statistics normalise.
    pub mode: BatchNormMode,
    /// ε.
    pub eps: f64,
    /// Whether a ReLU follows, with derivative 0 at 0.
    pub relu: bool,
}

/// Positions of the inputs.
const X: usize = 0;
const GAMMA: usize = 1;
const BETA: usize = 2;
const MEAN: usize = 3;
const VARIANCE: usize = 4;
const RESIDUAL: usize = 5;

impl BatchNorm {
    /// Evaluation mode with PyTorch's ε = 1e-5, no ReLU.
    pub fn running() -> Self {
        Self { mode: BatchNormMode::Running, eps: 1e-5, relu: false }
    }

    /// Training mode with PyTorch's ε = 1e-5, no ReLU.
    pub fn batch() -> Self {
        Self { mode: BatchNormMode::Batch, ..Self::running() }
    }

    /// The same followed by a ReLU.
    pub fn with_relu(self) -> Self {
        Self { relu: true, ..self }
    }
}

impl OpInfo for BatchNorm {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let error = |message| Err(ShapeError::new("BatchNormalization", message));
        let (x, rest) = match inputs {
            [x, rest @ ..] if rest.len() == 4 || rest.len() == 5 => (x, rest),
            _ => {
                return error(format!(
                    "takes 5 or 6 inputs (x, γ, β, mean, variance, r), found {}",
                    inputs.len()
                ));
            }
        };
        let Some(&channels) = x.last().filter(|&&channels| channels > 0) else {
            return error(format!("x must be […, channels], found {x:?}"));
        };
        if let Some(i) = rest[..4].iter().position(|s| **s != [channels]) {
            let what = ["γ", "β", "mean", "variance"][i];
            return error(format!("{what} must be [{channels}] for x {x:?}, found {:?}", rest[i]));
        }
        if let Some(r) = rest.get(4).filter(|r| r != &x) {
            return error(format!("the residual must have the shape of x, {x:?}, found {r:?}"));
        }
        Ok(x.to_vec())
    }

    fn with_batch_statistics(&self, on: bool) -> Option<Arc<dyn AnyOp>> {
        let mode = if on { BatchNormMode::Batch } else { BatchNormMode::Running };
        Some(Arc::new(Self { mode, ..*self }))
    }

    fn couples_samples(&self) -> bool {
        self.mode == BatchNormMode::Batch
    }

    fn reads(&self) -> Reads {
        let bits = |inputs: &[usize]| inputs.iter().map(|i| 1 << i).sum();
        let inputs = match self.mode {
            BatchNormMode::Running => bits(&[X, GAMMA, MEAN, VARIANCE]),
            BatchNormMode::Batch => bits(&[X, GAMMA]),
        };
        Reads { inputs, output: self.relu }
    }
}

impl<T: Scalar> Op<T> for BatchNorm {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        match self.mode {
            BatchNormMode::Running => running::forward(self, c, y, scratch),
            BatchNormMode::Batch => batch::forward(self, c, y, scratch),
        }
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        match self.mode {
            BatchNormMode::Running => running::tangent(self, c, dy, scratch),
            BatchNormMode::Batch => batch::tangent(self, c, dy, scratch),
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        match self.mode {
            BatchNormMode::Running => running::adjoint(self, c, gx, scratch),
            BatchNormMode::Batch => batch::adjoint(self, c, gx, scratch),
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        match self.mode {
            BatchNormMode::Running => running::adjoint_tangent(self, c, dgx, scratch),
            BatchNormMode::Batch => batch::adjoint_tangent(self, c, dgx, scratch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::OpCheck;

    fn check(op: BatchNorm, x: &[usize], residual: bool) {
        let c = x[x.len() - 1];
        let mut shapes = vec![x, &x[x.len() - 1..], &x[x.len() - 1..], &x[x.len() - 1..], &x[x.len() - 1..]];
        if residual {
            shapes.push(x);
        }
        let variance = (0..c).map(|i| 0.3 + 0.4 * i as f64).collect();
        let check = OpCheck::new(&op, &shapes).values(VARIANCE, variance).constant(MEAN).constant(VARIANCE);
        check.run().unwrap_or_else(|e| panic!("{op:?} {x:?} residual {residual}: {e}"));
        let check = OpCheck { differentiable: check.differentiable.clone(), ..check }.constant(X);
        check.run().unwrap_or_else(|e| panic!("{op:?} {x:?} residual {residual}, x constant: {e}"));
    }

    #[test]
    fn derivatives_match_finite_differences() {
        for mode in [BatchNormMode::Running, BatchNormMode::Batch] {
            for relu in [false, true] {
                for residual in [false, true] {
                    let op = BatchNorm { mode, eps: 1e-3, relu };
                    check(op, &[2, 3, 5, 7], residual);
                    check(op, &[9, 3], residual);
                    check(op, &[41, 1, 67], residual);
                }
            }
        }
    }

    #[test]
    fn shapes_are_checked() {
        let op = BatchNorm::running();
        let (x, c): (&[usize], &[usize]) = (&[2, 4, 4, 3], &[3]);
        assert!(op.infer(&[x, c, c, c, c]).is_ok());
        assert!(op.infer(&[x, c, c, c, &[4]]).is_err());
        assert!(op.infer(&[x, c, c, c, c, &[2, 4, 3]]).is_err());
        assert!(op.infer(&[x, c, c, c]).is_err());
        assert!(op.infer(&[&[], c, c, c, c]).is_err());
        assert!(op.infer(&[&[2, 0], &[0], &[0], &[0], &[0]]).is_err());
        assert!(!op.couples_samples() && BatchNorm::batch().couples_samples());
        assert!(op.with_batch_statistics(true).unwrap().couples_samples());
    }
}
