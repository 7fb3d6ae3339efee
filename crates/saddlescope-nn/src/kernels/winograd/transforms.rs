//! The transforms of Winograd's algorithms along one axis.
//!
//! F(m, 3) computes m neighbouring outputs of a correlation with 3 taps, y = Aᵀ \[(G g) ⊙ (Bᵀ d)\], with m + 2
//! multiplications instead of 3 m. It evaluates polynomials at m + 1 points and takes the leading coefficient: F(2, 3) at
//! 0, ±1, F(4, 3) at 0, ±p, ±q. The points decide the rounding errors: with p = 1/√2, q = √2 they are half of
//! those of the usual p = 1, q = 2 (see docs/performance.md), and p² = 1/2, q² = 2 leave few irrational factors.

use crate::kernels::simd::{Isa, Job, Simd};
use crate::scalar::Scalar;

/// F(O, 3) on tiles of I = O + 2 inputs.
pub(super) trait Tile<const I: usize, const O: usize> {
    /// Bᵀ d.
    fn input<S: Simd>(s: S, d: [S::V; I]) -> [S::V; I];
    /// Aᵀ m.
    fn output<S: Simd>(s: S, m: [S::V; I]) -> [S::V; O];
    /// A y, the transpose of [`Tile::output`].
    fn output_adjoint<S: Simd>(s: S, y: [S::V; O]) -> [S::V; I];
    /// G g, in double precision because it is done once per filter.
    fn filter(g: [f64; 3]) -> [f64; I];
    /// Gᵀ w, the transpose of [`Tile::filter`].
    fn filter_adjoint<S: Simd>(s: S, w: [S::V; I]) -> [S::V; 3];
}

/// A kernel generic over the size of its tiles.
pub(super) trait TileJob<T> {
    /// Runs the kernel; implementations are `#[inline(always)]`.
    fn run<S: Simd<T = T>, F: Tile<I, O>, const I: usize, const O: usize>(self, s: S);
}

/// Runs a kernel with tiles of `size`² outputs, 4 or else 2.
pub(super) fn by_tile_size<T: Scalar>(size: usize, isa: Isa, job: impl TileJob<T>) {
    if size == 4 {
        T::dispatch(isa, OnFour(job));
    } else {
        T::dispatch(isa, OnTwo(job));
    }
}

struct OnTwo<J>(J);
struct OnFour<J>(J);

impl<T: Scalar, J: TileJob<T>> Job<T> for OnTwo<J> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        self.0.run::<S, Two, 4, 2>(s);
    }
}

impl<T: Scalar, J: TileJob<T>> Job<T> for OnFour<J> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(self, s: S) {
        self.0.run::<S, Four, 6, 4>(s);
    }
}

/// F(2, 3): adds and halves only.
pub(super) struct Two;

impl Tile<4, 2> for Two {
    #[inline(always)]
    fn input<S: Simd>(s: S, [d0, d1, d2, d3]: [S::V; 4]) -> [S::V; 4] {
        [s.sub(d0, d2), s.add(d1, d2), s.sub(d2, d1), s.sub(d1, d3)]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, [m0, m1, m2, m3]: [S::V; 4]) -> [S::V; 2] {
        [s.add(s.add(m0, m1), m2), s.sub(s.sub(m1, m2), m3)]
    }

    #[inline(always)]
    fn output_adjoint<S: Simd>(s: S, [a, b]: [S::V; 2]) -> [S::V; 4] {
        [a, s.add(a, b), s.sub(a, b), s.sub(s.zero(), b)]
    }

    #[inline(always)]
    fn filter([a, b, c]: [f64; 3]) -> [f64; 4] {
        [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
    }

    #[inline(always)]
    fn filter_adjoint<S: Simd>(s: S, [w0, w1, w2, w3]: [S::V; 4]) -> [S::V; 3] {
        let half = constant(s, 0.5);
        let even = s.mul(half, s.add(w1, w2));
        [s.add(w0, even), s.mul(half, s.sub(w1, w2)), s.add(even, w3)]
    }
}

/// F(4, 3) at 0, ±p, ±q.
pub(super) struct Four;

/// p, with p² = 1/2.
const P: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// q, with q² = 2.
const Q: f64 = std::f64::consts::SQRT_2;

#[inline(always)]
fn constant<S: Simd>(s: S, x: f64) -> S::V {
    s.splat(S::T::from_f64(x))
}

/// a ± f·b.
#[inline(always)]
fn plus_minus<S: Simd>(s: S, a: S::V, f: f64, b: S::V) -> [S::V; 2] {
    [s.mul_add(constant(s, f), b, a), s.mul_add(constant(s, -f), b, a)]
}

impl Tile<6, 4> for Four {
    #[inline(always)]
    fn input<S: Simd>(s: S, [d0, d1, d2, d3, d4, d5]: [S::V; 6]) -> [S::V; 6] {
        // Coefficients of the products of all x − point but one: 5/2 = p² + q².
        let sum = constant(s, -2.5);
        let (two, half) = (constant(s, -2.0), constant(s, -0.5));
        let [v1, v2] = plus_minus(s, s.mul_add(two, d2, d4), P, s.mul_add(two, d1, d3));
        let [v3, v4] = plus_minus(s, s.mul_add(half, d2, d4), Q, s.mul_add(half, d1, d3));
        [s.mul_add(sum, d2, s.add(d0, d4)), v1, v2, v3, v4, s.mul_add(sum, d3, s.add(d1, d5))]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, [m0, m1, m2, m3, m4, m5]: [S::V; 6]) -> [S::V; 4] {
        let (even_p, odd_p) = (s.add(m1, m2), s.sub(m1, m2));
        let (even_q, odd_q) = (s.add(m3, m4), s.sub(m3, m4));
        [
            s.add(m0, s.add(even_p, even_q)),
            s.mul_add(constant(s, P), odd_p, s.mul(constant(s, Q), odd_q)),
            s.mul_add(constant(s, 0.5), even_p, s.mul(constant(s, 2.0), even_q)),
            s.mul_add(constant(s, 0.5 * P), odd_p, s.mul_add(constant(s, 2.0 * Q), odd_q, m5)),
        ]
    }

    #[inline(always)]
    fn output_adjoint<S: Simd>(s: S, [y0, y1, y2, y3]: [S::V; 4]) -> [S::V; 6] {
        let (two, half) = (constant(s, 2.0), constant(s, 0.5));
        let [z1, z2] = plus_minus(s, s.mul_add(half, y2, y0), P, s.mul_add(half, y3, y1));
        let [z3, z4] = plus_minus(s, s.mul_add(two, y2, y0), Q, s.mul_add(two, y3, y1));
        [y0, z1, z2, z3, z4, y3]
    }

    #[inline(always)]
    fn filter([a, b, c]: [f64; 3]) -> [f64; 6] {
        // Divided by the product of the distances to the other points: 1, −3/2, −3/2, 6, 6.
        let (p, q) = ((a + 0.5 * c) / -1.5, (a + 2.0 * c) / 6.0);
        let (bp, bq) = (P * b / -1.5, Q * b / 6.0);
        [a, p + bp, p - bp, q + bq, q - bq, c]
    }

    #[inline(always)]
    fn filter_adjoint<S: Simd>(s: S, [w0, w1, w2, w3, w4, w5]: [S::V; 6]) -> [S::V; 3] {
        let (even_p, odd_p) = (s.add(w1, w2), s.sub(w1, w2));
        let (even_q, odd_q) = (s.add(w3, w4), s.sub(w3, w4));
        let third = constant(s, 1.0 / 3.0);
        [
            s.mul_add(constant(s, -2.0 / 3.0), even_p, s.mul_add(constant(s, 1.0 / 6.0), even_q, w0)),
            s.mul_add(constant(s, P / -1.5), odd_p, s.mul(constant(s, Q / 6.0), odd_q)),
            s.mul_add(third, s.sub(even_q, even_p), w5),
        ]
    }
}

/// Filters that are transformed side by side: two vectors of eight.
pub(super) const FILTERS: usize = 16;

/// G g Gᵀ of [`FILTERS`] filters, number by number and filter by filter; put(position, transformed) takes it.
#[inline(always)]
pub(super) fn transform_filters<F: Tile<I, O>, const I: usize, const O: usize>(
    g: &[[f64; FILTERS]; 9],
    mut put: impl FnMut(usize, &[f64; FILTERS]),
) {
    let mut columns = [[[0.0; FILTERS]; I]; 3];
    for (c, column) in columns.iter_mut().enumerate() {
        for f in 0..FILTERS {
            let u = F::filter([g[c][f], g[3 + c][f], g[6 + c][f]]);
            for i in 0..I {
                column[i][f] = u[i];
            }
        }
    }
    for row in 0..I {
        let mut u = [[0.0; FILTERS]; I];
        for f in 0..FILTERS {
            let transformed = F::filter([columns[0][row][f], columns[1][row][f], columns[2][row][f]]);
            for i in 0..I {
                u[i][f] = transformed[i];
            }
        }
        for (i, u) in u.iter().enumerate() {
            put(row * I + i, u);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::Portable;

    fn check<F: Tile<I, O>, const I: usize, const O: usize>() {
        let s = Portable::<f64, 1>::only();
        let d: [f64; I] = std::array::from_fn(|i| (1.0 + i as f64).sin());
        let y: [f64; O] = std::array::from_fn(|i| (0.3 + 2.0 * i as f64).cos());
        let g = [0.7, -1.3, 0.4];
        let wrap = |x: f64| [x];
        let v = F::input(s, d.map(wrap));
        let u = F::filter(g);
        let m: [[f64; 1]; I] = std::array::from_fn(|i| [u[i] * v[i][0]]);
        for (i, got) in F::output(s, m).into_iter().enumerate() {
            let want: f64 = (0..3).map(|t| d[i + t] * g[t]).sum();
            // A dozen roundings of numbers below 4.
            assert!((got[0] - want).abs() < 1e-14, "{} {want}", got[0]);
        }
        let z = F::output_adjoint(s, y.map(wrap));
        let w: [[f64; 1]; I] = std::array::from_fn(|i| [z[i][0] * v[i][0]]);
        for (t, got) in F::filter_adjoint(s, w).into_iter().enumerate() {
            let want: f64 = (0..O).map(|i| d[i + t] * y[i]).sum();
            assert!((got[0] - want).abs() < 1e-14, "{} {want}", got[0]);
        }
    }

    #[test]
    fn transforms_compute_correlations_and_their_filter_adjoints() {
        check::<Two, 4, 2>();
        check::<Four, 6, 4>();
    }
}
