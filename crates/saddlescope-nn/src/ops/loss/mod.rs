//! Losses: from the network's output and the targets to one number per sample.
//!
//! Inputs are `(output, target)`, both with the micro-batch as first axis; the result has shape `[batch]`. Samples are
//! not averaged here: who asks for a mean seeds the adjoint with 1/K. Within a sample, losses are summed over
//! positions and components. Targets are not differentiated.

mod accuracy;
mod binary_cross_entropy;
mod cross_entropy;
mod negative_log_likelihood;
mod soft_cross_entropy;
mod squared_error;

pub(crate) use accuracy::count_right;
pub use binary_cross_entropy::BinaryCrossEntropyWithLogits;
pub use cross_entropy::CrossEntropy;
pub use negative_log_likelihood::{CrossEntropyOfProbabilities, NegativeLogLikelihood};
pub use soft_cross_entropy::SoftCrossEntropy;
pub use squared_error::SquaredError;

use super::rows::dot;
use crate::op::{Context, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// Class labels with this value are left out of the loss, as in PyTorch.
pub(crate) const IGNORED_LABEL: i64 = -100;

/// A loss as a function of one sample's output f (`n` numbers, rows of `width`) and target.
trait SampleLoss {
    const NAME: &'static str;

    /// Whether the shape of the target fits the shape of the output (both with the sample axis).
    fn check(&self, output: &[usize], target: &[usize]) -> Result<(), ShapeError>;

    /// What gradient and curvature share: `state`, as long as f.
    fn prepare<T: Scalar>(&self, _f: &[T], _target: &[T], _width: usize, _state: &mut [T]) {}

    /// ℓ(f).
    fn value<T: Scalar>(&self, f: &[T], target: &[T], width: usize) -> T;

    /// g = ∇ℓ(f).
    fn gradient<T: Scalar>(&self, f: &[T], target: &[T], width: usize, state: &[T], g: &mut [T]);

    /// h = ∇∇ℓ(f) v.
    fn curvature<T: Scalar>(&self, f: &[T], target: &[T], width: usize, state: &[T], v: &[T], h: &mut [T]);
}

/// Length of one sample and of one row of it.
fn lengths(shape: &[usize]) -> (usize, usize) {
    (numel(&shape[1..]), if shape.len() > 1 { shape[shape.len() - 1] } else { 1 })
}

fn infer<L: SampleLoss>(loss: &L, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
    let [output, target] = inputs else {
        let message = format!("takes 2 inputs (output, target), found {}", inputs.len());
        return Err(ShapeError::new(L::NAME, message));
    };
    if output.is_empty() || target.is_empty() || output[0] != target[0] {
        let message =
            format!("output {output:?} and target {target:?} must share the sample axis, their first");
        return Err(ShapeError::new(L::NAME, message));
    }
    loss.check(output, target)?;
    Ok(vec![output[0]])
}

/// Runs `visit(sample, f, target, range of f)` on every sample.
fn each_sample<'a, T: Scalar>(
    c: &Context<'a, T>,
    mut visit: impl FnMut(usize, &'a [T], &'a [T], std::ops::Range<usize>),
) {
    let (n, _) = lengths(c.inputs[0].shape);
    let (m, _) = lengths(c.inputs[1].shape);
    for s in 0..c.len() {
        let range = s * n..(s + 1) * n;
        visit(s, &c.x(0)[range.clone()], &c.x(1)[s * m..(s + 1) * m], range);
    }
}

fn forward<T: Scalar, L: SampleLoss>(loss: &L, c: &Context<'_, T>, y: &mut [T], _: &mut Scratch<T>) {
    let (_, width) = lengths(c.inputs[0].shape);
    each_sample(c, |s, f, t, _| y[s] = loss.value(f, t, width));
}

fn tangent<T: Scalar, L: SampleLoss>(loss: &L, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
    let (n, width) = lengths(c.inputs[0].shape);
    let (mut state, mut g) = (scratch.take(n), scratch.take(n));
    each_sample(c, |s, f, t, range| {
        loss.prepare(f, t, width, &mut state);
        loss.gradient(f, t, width, &state, &mut g);
        for j in 0..c.tangents {
            dy[j * c.len() + s] = match c.dx(0, j) {
                Some(df) => dot(&g, &df[range.clone()]),
                None => T::ZERO,
            };
        }
    });
    scratch.give(state);
    scratch.give(g);
}

fn adjoint<T: Scalar, L: SampleLoss>(
    loss: &L,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let Some(slot) = &mut gx[0] else { return };
    let (n, width) = lengths(c.inputs[0].shape);
    let (mut state, mut g) = (scratch.take(n), scratch.take(n));
    let gf = slot.add();
    each_sample(c, |s, f, t, range| {
        loss.prepare(f, t, width, &mut state);
        loss.gradient(f, t, width, &state, &mut g);
        for (gf, &g) in gf[range].iter_mut().zip(&g) {
            *gf += c.gy[s] * g;
        }
    });
    scratch.give(state);
    scratch.give(g);
}

fn adjoint_tangent<T: Scalar, L: SampleLoss>(
    loss: &L,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let Some(slot) = &mut dgx[0] else { return };
    let (n, width) = lengths(c.inputs[0].shape);
    let (mut state, mut g, mut h) = (scratch.take(n), scratch.take(n), scratch.take(n));
    let dgf = slot.add();
    let len = c.x(0).len();
    each_sample(c, |s, f, t, range| {
        loss.prepare(f, t, width, &mut state);
        loss.gradient(f, t, width, &state, &mut g);
        for j in 0..c.tangents {
            let dgf = &mut dgf[j * len..][range.clone()];
            let weight = c.dgy(j)[s];
            for (dgf, &g) in dgf.iter_mut().zip(&g) {
                *dgf += weight * g;
            }
            if let Some(df) = c.dx(0, j) {
                loss.curvature(f, t, width, &state, &df[range.clone()], &mut h);
                for (dgf, &h) in dgf.iter_mut().zip(&h) {
                    *dgf += c.gy[s] * h;
                }
            }
        }
    });
    scratch.give(state);
    scratch.give(g);
    scratch.give(h);
}

/// Makes a [`SampleLoss`] an operation.
macro_rules! loss_op {
    ($loss:ty) => {
        impl crate::op::OpInfo for $loss {
            fn name(&self) -> &'static str {
                <Self as super::SampleLoss>::NAME
            }

            fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, crate::op::ShapeError> {
                super::infer(self, inputs)
            }

            fn reads(&self) -> crate::op::Reads {
                crate::op::Reads::INPUTS
            }
        }

        $crate::op::passes_from!($loss, crate::ops::loss);
    };
}
use loss_op;

/// A class label as stored in a tensor of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    /// A class below the number of classes.
    Class(usize),
    /// [`IGNORED_LABEL`].
    Ignored,
    /// Anything else: the loss is NaN.
    Invalid,
}

fn label<T: Scalar>(label: T, classes: usize) -> Label {
    let x = label.to_f64();
    if x == IGNORED_LABEL as f64 {
        Label::Ignored
    } else if x >= 0.0 && x < classes as f64 && x.fract() == 0.0 {
        Label::Class(x as usize)
    } else {
        Label::Invalid
    }
}

/// Checks `[b, positions…, classes]` against labels `[b, positions…]`.
fn check_labels(name: &'static str, output: &[usize], target: &[usize]) -> Result<(), ShapeError> {
    let Some((&classes, positions)) = output.split_last().filter(|(_, p)| !p.is_empty()) else {
        let message = format!("output {output:?} must be [batch, …, classes]");
        return Err(ShapeError::new(name, message));
    };
    if positions != target {
        let message = format!("output {output:?} needs labels of shape {positions:?}, found {target:?}");
        return Err(ShapeError::new(name, message));
    }
    // Labels are stored as numbers of the engine's type; f32 holds every integer up to 2²⁴.
    if classes == 0 || classes > 1 << 24 {
        let message = format!("{classes} classes; from 1 to 2²⁴ can be told apart");
        return Err(ShapeError::new(name, message));
    }
    Ok(())
}

/// Checks that output and target have the same shape, where trailing axes of length 1 may be left out.
fn check_same(name: &'static str, output: &[usize], target: &[usize]) -> Result<(), ShapeError> {
    let trimmed =
        |shape: &[usize]| -> usize { shape.len() - shape[1..].iter().rev().take_while(|&&n| n == 1).count() };
    if output[..trimmed(output)] == target[..trimmed(target)] {
        Ok(())
    } else {
        Err(ShapeError::new(
            name,
            format!("output {output:?} and target {target:?} must have the same shape"),
        ))
    }
}
