//! Determinants.

use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// The largest matrices taken: the derivative of the cofactors costs O(n⁶).
pub(super) const MAX_SIDE: usize = 12;

/// The determinant of the last two axes (ONNX `Det`). Its derivatives are polynomials of the entries, computed as such, so that
/// singular matrices are no obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Det;

impl OpInfo for Det {
    fn name(&self) -> &'static str {
        "Det"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        match inputs {
            [[lead @ .., m, n]] if m == n && (1..=MAX_SIDE).contains(n) => Ok(lead.to_vec()),
            _ => Err(ShapeError::new(
                self.name(),
                format!("square matrices of at most {MAX_SIDE} rows are expected, found {inputs:?}"),
            )),
        }
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    fn flops(&self, inputs: &[&[usize]], output: &[usize]) -> u64 {
        let n = inputs.first().and_then(|s| s.last()).map_or(0, |&n| n as u64);
        output.iter().product::<usize>() as u64 * n * n * n * 2 / 3
    }
}

/// The determinant of an n×n matrix, by elimination with row pivots.
fn determinant<T: Scalar>(a: &mut [T], n: usize) -> T {
    let mut product = T::ONE;
    for k in 0..n {
        let mut pivot = k;
        for i in k + 1..n {
            if a[i * n + k].abs() > a[pivot * n + k].abs() {
                pivot = i;
            }
        }
        let head = a[pivot * n + k];
        product *= head;
        if head == T::ZERO {
            return T::ZERO;
        }
        if pivot != k {
            product = -product;
            for j in 0..n {
                a.swap(pivot * n + j, k * n + j);
            }
        }
        for i in k + 1..n {
            let factor = a[i * n + k] / head;
            for j in k + 1..n {
                let above = a[k * n + j];
                a[i * n + j] -= factor * above;
            }
        }
    }
    product
}

/// Copies a without row i and column j.
fn minor<T: Scalar>(a: &[T], n: usize, [i, j]: [usize; 2], out: &mut [T]) {
    let kept = (0..n * n).filter(|p| p / n != i && p % n != j);
    for (out, p) in out.iter_mut().zip(kept) {
        *out = a[p];
    }
}

/// The cofactor of entry [i, j], and its tangent where there is one: the sum over the columns of determinants with that column
/// replaced by its tangent.
fn cofactor<T: Scalar>(
    a: &[T],
    da: Option<&[T]>,
    n: usize,
    at: [usize; 2],
    work: &mut [Vec<T>; 3],
) -> (T, T) {
    let m = n - 1;
    let sign = if (at[0] + at[1]).is_multiple_of(2) { T::ONE } else { -T::ONE };
    let [rest, drest, copy] = work;
    minor(a, n, at, rest);
    copy.copy_from_slice(rest);
    let value = determinant(copy, m);
    let Some(da) = da else { return (sign * value, T::ZERO) };
    minor(da, n, at, drest);
    let mut tangent = T::ZERO;
    for column in 0..m {
        copy.copy_from_slice(rest);
        for row in 0..m {
            copy[row * m + column] = drest[row * m + column];
        }
        tangent += determinant(copy, m);
    }
    (sign * value, sign * tangent)
}

fn work<T: Scalar>(n: usize) -> [Vec<T>; 3] {
    let buffer = || vec![T::ZERO; (n - 1) * (n - 1)];
    [buffer(), buffer(), buffer()]
}

fn side<T>(c: &Context<'_, T>) -> usize {
    c.inputs[0].shape.last().copied().unwrap_or(1)
}

impl<T: Scalar> Op<T> for Det {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        let n = side(c);
        let mut copy = scratch.take(n * n);
        for (y, a) in y.iter_mut().zip(c.x(0).chunks_exact(n * n)) {
            copy.copy_from_slice(a);
            *y = determinant(&mut copy, n);
        }
        scratch.give(copy);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        let n = side(c);
        let mut work = work(n);
        let len = c.len();
        for (j, dy) in dy.chunks_exact_mut(len.max(1)).enumerate() {
            let Some(dx) = c.dx(0, j) else {
                dy.fill(T::ZERO);
                continue;
            };
            let matrices = c.x(0).chunks_exact(n * n).zip(dx.chunks_exact(n * n));
            for (dy, (a, da)) in dy.iter_mut().zip(matrices) {
                *dy = T::ZERO;
                for (p, &d) in da.iter().enumerate() {
                    *dy += cofactor(a, None, n, [p / n, p % n], &mut work).0 * d;
                }
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let Some(slot) = &mut gx[0] else { return };
        let n = side(c);
        let mut work = work(n);
        let matrices = c.x(0).chunks_exact(n * n).zip(slot.add().chunks_exact_mut(n * n));
        for (&gy, (a, gx)) in c.gy.iter().zip(matrices) {
            for (p, gx) in gx.iter_mut().enumerate() {
                *gx += cofactor(a, None, n, [p / n, p % n], &mut work).0 * gy;
            }
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        let Some(slot) = &mut dgx[0] else { return };
        let n = side(c);
        let mut work = work(n);
        for j in 0..c.tangents {
            let mut part = slot.part(j, c.tangents);
            let dgx = part.add();
            for (o, (&gy, &dgy)) in c.gy.iter().zip(c.dgy(j)).enumerate() {
                let range = o * n * n..(o + 1) * n * n;
                let a = &c.x(0)[range.clone()];
                let da = c.dx(0, j).map(|dx| &dx[range.clone()]);
                for (p, dgx) in dgx[range.clone()].iter_mut().enumerate() {
                    let (value, tangent) = cofactor(a, da, n, [p / n, p % n], &mut work);
                    *dgx += value * dgy + tangent * gy;
                }
            }
        }
        slot.set_written();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{OpCheck, check_op};

    #[test]
    fn derivatives_match_finite_differences() {
        for shape in [&[2, 1, 1][..], &[3, 2, 2], &[2, 2, 3, 3], &[1, 5, 5]] {
            check_op(&Det, &[shape]).unwrap();
        }
        // Rank 1 and rank 2: the determinant and, for the first, all cofactors vanish.
        let rank_one = vec![1.0, 2.0, 3.0, 2.0, 4.0, 6.0, -1.0, -2.0, -3.0];
        let rank_two = vec![1.0, 2.0, 3.0, 0.0, 1.0, 1.0, 1.0, 3.0, 4.0];
        for values in [rank_one, rank_two, vec![0.0; 9]] {
            OpCheck::new(&Det, &[&[1, 3, 3]]).values(0, values).run().unwrap();
        }
    }

    #[test]
    fn determinants_have_their_closed_forms() {
        let mut two = [1.0, 2.0, 3.0, 4.0];
        assert!((determinant(&mut two, 2) + 2.0_f64).abs() < 1e-15);
        // Vandermonde of 1, 2, 3, 5: the product of the differences, 1·2·4·1·3·2.
        let mut vandermonde: Vec<f64> =
            [1.0f64, 2.0, 3.0, 5.0].iter().flat_map(|&x| (0..4).map(move |k| x.powi(k))).collect();
        assert!((determinant(&mut vandermonde, 4) - 48.0).abs() < 1e-12);
        assert!(Det.infer(&[&[2, 3]]).is_err() && Det.infer(&[&[13, 13]]).is_err());
    }
}
