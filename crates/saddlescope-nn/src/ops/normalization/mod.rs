//! Normalisation within a sample: layer, group, instance, RMS and length normalisation.
//!
//! Inputs are x and, where the operation has them, γ and β (each may be left out from the right).

mod group_norm;
mod layer_norm;
mod lp_normalization;
mod rms_norm;

pub use group_norm::{GroupNorm, InstanceNorm};
pub use layer_norm::LayerNorm;
pub use lp_normalization::LpNormalization;
pub use rms_norm::RmsNorm;

use super::standardize::{Adjoints, Affine, Standardize};
use crate::op::{Context, Reads, ShapeError, Slots, numel};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// A normalisation as a [`Standardize`].
trait Normalization {
    const NAME: &'static str;
    /// Names of the inputs after x.
    const PARAMETERS: &'static [&'static str];

    /// The map for inputs of shape `x`, and the shape of its parameters.
    fn map(&self, x: &[usize]) -> Result<(Standardize, Vec<usize>), ShapeError>;
}

fn infer<N: Normalization>(op: &N, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
    let error = |message: String| Err(ShapeError::new(N::NAME, message));
    let (x, parameters) = match inputs.split_first() {
        Some((x, rest)) if rest.len() <= N::PARAMETERS.len() => (x, rest),
        _ => {
            let names = N::PARAMETERS.join(", ");
            return error(format!("takes x and optionally {names}, found {} inputs", inputs.len()));
        }
    };
    let (map, shape) = op.map(x)?;
    if numel(x) != 0 && (map.rows * map.width == 0 || map.groups == 0) {
        return error(format!("nothing to normalise in {x:?}"));
    }
    for (name, found) in N::PARAMETERS.iter().zip(parameters) {
        if **found != shape {
            return error(format!("{name} must be {shape:?} for x {x:?}, found {found:?}"));
        }
    }
    Ok(x.to_vec())
}

fn map<T: Scalar, N: Normalization>(op: &N, c: &Context<'_, T>) -> Standardize {
    match op.map(c.inputs[0].shape) {
        Ok((map, _)) => map,
        Err(_) => unreachable!("infer refuses these shapes"),
    }
}

fn parameters<'a, T: Scalar>(c: &Context<'a, T>) -> Affine<'a, T> {
    Affine { gamma: c.inputs.get(1).map(|x| x.value), beta: c.inputs.get(2).map(|x| x.value) }
}

fn parameter_tangents<'a, T: Scalar>(c: &Context<'a, T>, j: usize) -> Affine<'a, T> {
    let tangent = |i: usize| c.inputs.get(i).and_then(|x| x.tangent(j));
    Affine { gamma: tangent(1), beta: tangent(2) }
}

/// γ and γ̇ only: β need not be kept for the backward passes.
fn gamma_only<T>(p: Affine<'_, T>) -> Affine<'_, T> {
    Affine { beta: None, ..p }
}

const READS: Reads = Reads { inputs: 0b11, output: false };

fn forward<T: Scalar, N: Normalization>(op: &N, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
    map(op, c).forward(c.x(0), parameters(c), y, scratch);
}

fn tangent<T: Scalar, N: Normalization>(op: &N, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
    let map = map(op, c);
    for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
        map.tangent(c.x(0), c.dx(0, j), parameters(c), parameter_tangents(c, j), dy, scratch);
    }
}

fn adjoint<T: Scalar, N: Normalization>(
    op: &N,
    c: &Context<'_, T>,
    gx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let mut slots = gx.iter_mut().map(Option::as_mut);
    let mut next = || slots.next().flatten();
    let out = Adjoints { x: next(), gamma: next(), beta: next() };
    map(op, c).adjoint(c.x(0), gamma_only(parameters(c)), c.gy, out, scratch);
}

fn adjoint_tangent<T: Scalar, N: Normalization>(
    op: &N,
    c: &Context<'_, T>,
    dgx: &mut Slots<'_, T>,
    scratch: &mut Scratch<T>,
) {
    let (map, k) = (map(op, c), c.tangents);
    let gamma_tangent = |j: usize| Affine { gamma: c.inputs.get(1).and_then(|x| x.tangent(j)), beta: None };
    for j in 0..k {
        let mut parts = dgx.iter_mut().map(|slot| slot.as_mut().map(|slot| slot.part(j, k)));
        let mut next = || parts.next().flatten();
        let (mut x, mut gamma, mut beta) = (next(), next(), next());
        let out = Adjoints { x: x.as_mut(), gamma: gamma.as_mut(), beta: beta.as_mut() };
        let p = gamma_only(parameters(c));
        map.adjoint_tangent(c.x(0), c.dx(0, j), p, gamma_tangent(j), [c.gy, c.dgy(j)], out, scratch);
    }
    dgx.iter_mut().flatten().for_each(|slot| slot.set_written());
}

/// Makes a [`Normalization`] an operation.
macro_rules! normalization_op {
    ($op:ty) => {
        impl crate::op::OpInfo for $op {
            fn name(&self) -> &'static str {
                <Self as super::Normalization>::NAME
            }

            fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, crate::op::ShapeError> {
                super::infer(self, inputs)
            }

            fn reads(&self) -> crate::op::Reads {
                super::READS
            }
        }

        $crate::op::passes_from!($op, crate::ops::normalization);
    };
}
use normalization_op;
