//! Choice between two inputs by a condition.

use super::broadcast::{Runs, broadcast_inputs};
use super::strided::walk;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// y = a where the condition is not 0, else b; inputs: condition, a, b, all broadcast (ONNX `Where`). The condition is
/// not differentiated. What is not chosen has adjoint 0, even if it is infinite or NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Where;

impl OpInfo for Where {
    fn name(&self) -> &'static str {
        "Where"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        broadcast_inputs::<3>(self.name(), inputs)
    }

    fn reads(&self) -> Reads {
        Reads { inputs: 1, output: false }
    }
}

/// Calls `f(output element, chosen input, its element)` for every element of the output.
fn each_choice<T: Scalar>(c: &Context<'_, T>, mut f: impl FnMut(usize, usize, usize)) {
    let shapes = [c.inputs[0].shape, c.inputs[1].shape, c.inputs[2].shape];
    let Some(runs) = Runs::new(c.shape, shapes) else { return };
    let condition = c.x(0);
    let steps = runs.steps.map(|s| s as usize);
    let mut o = 0;
    walk(&runs.outer, [0, 0, 0], &mut |at| {
        let at = at.map(|p| p as usize);
        for i in 0..runs.len {
            let chosen = if condition[at[0] + i * steps[0]] != T::ZERO { 1 } else { 2 };
            f(o, chosen, at[chosen] + i * steps[chosen]);
            o += 1;
        }
    });
}

impl<T: Scalar> Op<T> for Where {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        let x = [c.x(0), c.x(1), c.x(2)];
        each_choice(c, |o, chosen, i| y[o] = x[chosen][i]);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            let dx = [None, c.dx(1, j), c.dx(2, j)];
            each_choice(c, |o, chosen, i| dy[o] = dx[chosen].map_or(T::ZERO, |dx| dx[i]));
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        for which in 1..3 {
            if let Some(slot) = &mut gx[which] {
                let gx = slot.add();
                each_choice(c, |o, chosen, i| {
                    if chosen == which {
                        gx[i] += c.gy[o];
                    }
                });
            }
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        for which in 1..3 {
            if let Some(slot) = &mut dgx[which] {
                for j in 0..c.tangents {
                    let dgy = c.dgy(j);
                    let mut part = slot.part(j, c.tangents);
                    let dgx = part.add();
                    each_choice(c, |o, chosen, i| {
                        if chosen == which {
                            dgx[i] += dgy[o];
                        }
                    });
                }
                slot.set_written();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::OpCheck;

    #[test]
    fn derivatives_match_finite_differences() {
        let shapes: [[&[usize]; 3]; 5] = [
            [&[3, 5, 7], &[3, 5, 7], &[3, 5, 7]],
            [&[5, 7], &[3, 5, 7], &[]],
            [&[3, 1, 1], &[7], &[5, 1]],
            [&[1], &[], &[2]],
            [&[0], &[1], &[1]],
        ];
        for s in &shapes {
            let n: usize = s[0].iter().product();
            let mask: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i * 5 % 3 == 1))).collect();
            for constant in 0..3 {
                let check = OpCheck::new(&Where, s).values(0, mask.clone()).constant(0).constant(constant);
                check.run().unwrap_or_else(|e| panic!("{s:?}: {e}"));
            }
        }
    }
}
