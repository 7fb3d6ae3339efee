//! Matrix multiplication with arbitrary strides, on one thread.
//!
//! C is computed in strips of a few rows. A block of B (up to [`DEPTH`] terms of the sums, [`COLUMNS`] columns) is copied into panels,
//! which stay in the second-level cache; a strip of A is copied into the first-level cache and meets all panels. Tiles of C are
//! summed in registers, over [`BLOCKS`] blocks before C is touched. Element (i, j) of C is the sum of its terms in their order,
//! [`BLOCKS`] blocks at a time, whatever m and n are. Products in `f32` that are large enough go through the processor's matrix
//! instructions where it has them (`amx`), which sum 32 terms at a time.

#[cfg(target_arch = "x86_64")]
mod amx;
mod pack;
#[cfg(target_arch = "x86_64")]
mod pieces;
mod tile;

use super::scratch::Scratch;
use super::simd::{Isa, Job, Simd};
use crate::aligned::AlignedVec;
use crate::scalar::Scalar;
use pack::{pack, panels_len};
use tile::{Ahead, BLOCKS, Block, DEPTH, LEFT, Layout, Strip, copy_left};

/// Products with at most this many multiplications are summed in place: copying would cost more.
const TINY: usize = 512;

/// Columns of a block of B.
const COLUMNS: usize = 256;

/// C (+)= α·A·B with A (m × k), B (k × n), C (m × n).
///
/// Strides are numbers between neighbours, rows first, so a transposed matrix is its strides exchanged. Rows of C lie
/// `c_row` ≥ n numbers apart, its columns side by side.
///
/// # Panics
/// If a slice is too short for its shape and strides, or `c_row < n`; shapes are checked by the caller.
pub fn matmul<T: Scalar>(
    m: usize,
    n: usize,
    k: usize,
    a: &[T],
    a_strides: [usize; 2],
    b: &[T],
    b_strides: [usize; 2],
    c: &mut [T],
    c_row: usize,
    alpha: T,
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    let product = Products { m, n, k, terms: [(a, b), (&[], &[])], count: 1, a_strides, b_strides, row: &[] };
    product.run(Isa::detect(), (c, c_row), alpha, accumulate, scratch);
}

/// C = α·A·B, or α (A·B + A′·B′) where there are two terms, plus a row of n numbers (or none: an empty one) on each row of C.
/// Rows of C lie side by side.
///
/// # Panics
/// As for [`matmul`], or if the row is too short.
pub(crate) fn matmul_plus_row<T: Scalar>(
    [m, n, k]: [usize; 3],
    terms: &[(&[T], &[T])],
    [a_strides, b_strides]: [[usize; 2]; 2],
    row: &[T],
    c: &mut [T],
    alpha: T,
    scratch: &mut Scratch<T>,
) {
    let nothing: (&[T], &[T]) = (&[], &[]);
    let of = |i: usize| terms.get(i).copied().unwrap_or(nothing);
    let product = Products { m, n, k, terms: [of(0), of(1)], count: terms.len(), a_strides, b_strides, row };
    product.run(Isa::detect(), (c, n), alpha, false, scratch);
}

/// [`matmul`] of matrices whose rows and columns lie side by side, on a given code path.
pub(super) fn matmul_on<T: Scalar>(
    isa: Isa,
    [m, n, k]: [usize; 3],
    a: &[T],
    b: &[T],
    c: &mut [T],
    scratch: &mut Scratch<T>,
) {
    let terms: [(&[T], &[T]); 2] = [(a, b), (&[], &[])];
    let product = Products { m, n, k, terms, count: 1, a_strides: [k, 1], b_strides: [n, 1], row: &[] };
    product.run(isa, (c, n), T::ONE, false, scratch);
}

/// C (+)= α (A·B + A′·B′) in one pass; A′ lies as A does, B′ as B.
///
/// # Panics
/// As for [`matmul`].
pub(crate) fn matmul_pair<T: Scalar>(
    m: usize,
    n: usize,
    k: usize,
    terms: [(&[T], &[T]); 2],
    a_strides: [usize; 2],
    b_strides: [usize; 2],
    c: &mut [T],
    c_row: usize,
    alpha: T,
    accumulate: bool,
    scratch: &mut Scratch<T>,
) {
    let product = Products { m, n, k, terms, count: 2, a_strides, b_strides, row: &[] };
    product.run(Isa::detect(), (c, c_row), alpha, accumulate, scratch);
}

/// One or two products of matrices that lie alike.
struct Products<'a, T> {
    m: usize,
    n: usize,
    k: usize,
    terms: [(&'a [T], &'a [T]); 2],
    count: usize,
    a_strides: [usize; 2],
    b_strides: [usize; 2],
    /// Added to every row of C; empty where there is none.
    row: &'a [T],
}

impl<T: Scalar> Products<'_, T> {
    fn run(
        self,
        isa: Isa,
        (c, c_row): (&mut [T], usize),
        alpha: T,
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) {
        let Products { m, n, k, terms, count, a_strides, b_strides, row } = self;
        if m == 0 || n == 0 {
            return;
        }
        assert!(row.is_empty() || row.len() >= n, "the row that is added is too short");
        assert!(c_row >= n, "rows of the product overlap");
        assert!(fits(c.len(), [m, n], [c_row, 1]), "product matrix too short");
        if k > 0 {
            for (a, b) in &terms[..count] {
                assert!(fits(a.len(), [m, k], a_strides), "left matrix too short");
                assert!(fits(b.len(), [k, n], b_strides), "right matrix too short");
            }
        }
        if k == 0 || m * n * k <= TINY {
            for i in 0..m {
                for j in 0..n {
                    let mut sum = T::ZERO;
                    for (a, b) in &terms[..count] {
                        for l in 0..k {
                            sum += a[i * a_strides[0] + l * a_strides[1]]
                                * b[l * b_strides[0] + j * b_strides[1]];
                        }
                    }
                    let c = &mut c[i * c_row + j];
                    let mut product = alpha * sum;
                    if !row.is_empty() {
                        product += row[j];
                    }
                    *c = if accumulate { *c + product } else { product };
                }
            }
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if isa == Isa::Amx
            && Isa::available().contains(&isa)
            && amx::pays([m, n, k])
            && self.run_in_tiles((&mut *c, c_row), alpha, accumulate, scratch).is_some()
        {
            return;
        }
        let Scratch { left, panels, .. } = scratch;
        left.grow(BLOCKS * LEFT);
        T::dispatch(isa, Multiply { of: self, c, c_row, alpha, accumulate, left, panels });
    }
}

impl<T: Scalar> Products<'_, T> {
    /// The products by the matrix instructions, if their numbers are `f32`; lengths are checked.
    #[cfg(target_arch = "x86_64")]
    fn run_in_tiles(
        &self,
        (c, c_row): (&mut [T], usize),
        alpha: T,
        accumulate: bool,
        scratch: &mut Scratch<T>,
    ) -> Option<()> {
        assert!(Isa::available().contains(&Isa::Amx));
        let (product, alpha, c) = (self.as_f32()?, T::as_f32(&[alpha])?[0], T::as_f32_mut(c)?);
        // SAFETY: the processor has the instructions and the system permits them, by the assert.
        unsafe { amx::multiply(&product, (c, c_row), alpha, accumulate, &mut scratch.tiles) };
        Some(())
    }

    /// The same products, if their numbers are `f32`.
    #[cfg(target_arch = "x86_64")]
    fn as_f32(&self) -> Option<Products<'_, f32>> {
        let [(a, b), (other, another)] = self.terms;
        let first = (T::as_f32(a)?, T::as_f32(b)?);
        let second = (T::as_f32(other)?, T::as_f32(another)?);
        let Products { m, n, k, count, a_strides, b_strides, .. } = *self;
        Some(Products {
            m,
            n,
            k,
            terms: [first, second],
            count,
            a_strides,
            b_strides,
            row: T::as_f32(self.row)?,
        })
    }
}

struct Multiply<'a, T> {
    of: Products<'a, T>,
    c: &'a mut [T],
    c_row: usize,
    alpha: T,
    accumulate: bool,
    left: &'a mut [T],
    panels: &'a mut AlignedVec<T>,
}

/// A block of terms: which product, where it starts, how long it is (0: there is none).
#[derive(Clone, Copy)]
struct Terms {
    product: usize,
    start: usize,
    depth: usize,
}

impl<T: Scalar> Job<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T = T>>(mut self, s: S) {
        let (n, k) = (self.of.n, self.of.k);
        // Room for the panels of one block.
        let per_product = k.div_ceil(DEPTH);
        let depth = k.div_ceil(per_product);
        let room = panels_len::<S>(depth, n.min(COLUMNS));
        self.panels.grow(BLOCKS * room);
        let blocks = self.of.count * per_product;
        for first_column in (0..n).step_by(COLUMNS) {
            let columns = COLUMNS.min(n - first_column);
            for group in (0..blocks).step_by(BLOCKS) {
                let mut terms = [Terms { product: 0, start: 0, depth: 0 }; BLOCKS];
                for (i, block) in (group..blocks.min(group + BLOCKS)).enumerate() {
                    let start = block % per_product * depth;
                    terms[i] = Terms { product: block / per_product, start, depth: depth.min(k - start) };
                    let from = start * self.of.b_strides[0] + first_column * self.of.b_strides[1];
                    let b = &self.of.terms[terms[i].product].1[from..];
                    pack(s, b, self.of.b_strides, terms[i].depth, columns, &mut self.panels[i * room..]);
                }
                self.strips(s, terms, room, first_column, columns, group > 0);
            }
        }
    }
}

impl<T: Scalar> Multiply<'_, T> {
    /// All strips against some blocks of B.
    #[inline(always)]
    fn strips<S: Simd<T = T>>(
        &mut self,
        s: S,
        terms: [Terms; BLOCKS],
        room: usize,
        first_column: usize,
        columns: usize,
        later: bool,
    ) {
        let [a_row, a_column] = self.of.a_strides;
        let mut row = 0;
        while row < self.of.m {
            let rows = strip_rows(S::REGISTERS, self.of.m - row);
            let mut layout = Layout::Rows;
            for (i, t) in terms.iter().enumerate().filter(|(_, t)| t.depth > 0) {
                let from = &self.of.terms[t.product].0[row * a_row + t.start * a_column..];
                layout = copy_left(from, self.of.a_strides, rows, t.depth, &mut self.left[i * LEFT..]);
            }
            // The first strip of the next block of B reads A elsewhere.
            let following = self.of.m - row - rows;
            let mut ahead = [Ahead::none(); BLOCKS];
            if following > 0 {
                let (next, at) = (strip_rows(S::REGISTERS, following), row + rows);
                for (ahead, t) in ahead.iter_mut().zip(&terms).filter(|(_, t)| t.depth > 0) {
                    let from = &self.of.terms[t.product].0[at * a_row + t.start * a_column..];
                    *ahead = Ahead::new(from, self.of.a_strides, next, t.depth);
                }
            }
            let mut blocks = [Block { left: &*self.left, panels: self.panels, depth: 0 }; BLOCKS];
            for (i, t) in terms.iter().enumerate() {
                let panels = &self.panels[i * room..];
                assert!(panels.len() >= panels_len::<S>(t.depth, columns), "panels too short");
                blocks[i] = Block { left: &self.left[i * LEFT..], panels, depth: t.depth };
            }
            let mut strip = Strip {
                blocks,
                layout,
                ahead,
                columns,
                c: &mut self.c[row * self.c_row + first_column..],
                c_row: self.c_row,
                alpha: self.alpha,
                accumulate: self.accumulate || later,
                // Once.
                row: if later || self.of.row.is_empty() { &[] } else { &self.of.row[first_column..] },
            };
            assert!(strip.row.is_empty() || strip.row.len() >= columns, "row too short");
            assert!(fits(strip.c.len(), [rows, columns], [self.c_row, 1]));
            // SAFETY: `rows` rows of each block were copied, panels and C are long enough by the asserts.
            unsafe {
                match rows {
                    12 => strip.tiles::<S, 12>(s),
                    8 => strip.tiles::<S, 8>(s),
                    6 => strip.tiles::<S, 6>(s),
                    4 => strip.tiles::<S, 4>(s),
                    2 => strip.tiles::<S, 2>(s),
                    _ => strip.tiles::<S, 1>(s),
                }
            }
            row += rows;
        }
    }
}

/// Rows of the next strip, of `left` that are left.
#[inline(always)]
fn strip_rows(registers: usize, left: usize) -> usize {
    match (registers, left) {
        (32, 12..) => 12,
        (32, 8..) => 8,
        (_, 6..) => 6,
        (_, 4..) => 4,
        (_, 2..) => 2,
        _ => 1,
    }
}

/// Whether the last element of a matrix lies inside a slice of length `len`.
fn fits(len: usize, size: [usize; 2], strides: [usize; 2]) -> bool {
    let last = |i: usize| (size[i] - 1).checked_mul(strides[i]);
    match (last(0), last(1)) {
        (Some(row), Some(col)) => row.checked_add(col).is_some_and(|last| last < len),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::numbers;
    use super::*;
    use proptest::prelude::*;

    fn check<T: Scalar>(
        isa: Isa,
        m: usize,
        n: usize,
        k: usize,
        transposed: [bool; 2],
        accumulate: bool,
        pair: bool,
    ) {
        let a = numbers::<T>(m * k, 1);
        let other = numbers::<T>(m * k, 4);
        let b = numbers::<T>(k * n, 2);
        let a_strides = if transposed[0] { [1, m] } else { [k, 1] };
        let b_strides = if transposed[1] { [1, k] } else { [n, 1] };
        let c_row = n + 3;
        let before = numbers::<T>(m * c_row, 3);
        let mut c = before.clone();
        let half = T::from_f64(0.5);
        let mut scratch = Scratch::new();
        let terms = [(&a[..], &b[..]), (&other[..], &b[..])];
        // One case in two with a row that is added.
        let row = numbers::<T>(if (m + n + k).is_multiple_of(2) { n } else { 0 }, 5);
        let product =
            Products { m, n, k, terms, count: 1 + usize::from(pair), a_strides, b_strides, row: &row };
        // Small products by the matrix instructions, too, which would not be chosen for them.
        #[cfg(target_arch = "x86_64")]
        let done = isa == Isa::Amx
            && k > 0
            && product.run_in_tiles((&mut c, c_row), half, accumulate, &mut scratch).is_some();
        #[cfg(not(target_arch = "x86_64"))]
        let done = false;
        if !done {
            product.run(isa, (&mut c, c_row), half, accumulate, &mut scratch);
        }
        for i in 0..m {
            for j in 0..n {
                let mut want = 0.0;
                let mut magnitude = 1.0;
                for l in 0..k {
                    let at = i * a_strides[0] + l * a_strides[1];
                    let left = a[at].to_f64() + if pair { other[at].to_f64() } else { 0.0 };
                    let product = left * b[l * b_strides[0] + j * b_strides[1]].to_f64();
                    want += 0.5 * product;
                    magnitude += product.abs();
                }
                want += row.get(j).map_or(0.0, |x| x.to_f64());
                if accumulate {
                    want += before[i * c_row + j].to_f64();
                }
                let error = (c[i * c_row + j].to_f64() - want).abs();
                // Rounding of a sum of k terms, bounded by a few ε of its absolute sum for k < 100.
                assert!(error <= 8.0 * T::EPSILON.to_f64() * magnitude, "{m}x{n}x{k}: {error:e}");
            }
            for j in n..c_row {
                assert_eq!(c[i * c_row + j], before[i * c_row + j], "gap between rows was touched");
            }
        }
    }

    #[test]
    fn several_blocks_of_terms_and_columns() {
        for &isa in Isa::available() {
            for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                check::<f32>(isa, 13, 2 * COLUMNS + 5, 9, transposed, false, true);
                check::<f64>(isa, 25, 70, 2 * DEPTH + 3, transposed, true, true);
                check::<f32>(isa, 7, 33, 3 * DEPTH + 1, transposed, true, false);
                check::<f32>(isa, 70, 1100, 90, transposed, true, true);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        for &isa in Isa::available() {
            let (n, k) = (37, 300);
            let (a, b) = (numbers::<f32>(30 * k, 1), numbers::<f32>(k * n, 2));
            let mut all = vec![0.0; 30 * n];
            let mut scratch = Scratch::new();
            let strides = ([k, 1], [n, 1]);
            let product = |m, a, c: &mut [f32], scratch: &mut Scratch<f32>| {
                let terms: [(&[f32], &[f32]); 2] = [(a, &b), (&[], &[])];
                Products { m, n, k, terms, count: 1, a_strides: strides.0, b_strides: strides.1, row: &[] }
                    .run(isa, (c, n), 1.0, false, scratch);
            };
            product(30, &a[..], &mut all, &mut scratch);
            for i in 0..30 {
                let mut one = vec![0.0; n];
                product(1, &a[i * k..], &mut one, &mut scratch);
                assert_eq!(one, all[i * n..(i + 1) * n]);
            }
        }
    }

    /// x · 1 is the sum of the pieces of x.
    #[test]
    fn a_product_with_the_identity_is_exact() {
        let n = 64;
        let mut a = numbers::<f32>(n * n, 1);
        let special = [1.0 + f32::EPSILON, 2.0 - f32::EPSILON, 1.003_906_2, -1e-30, 3e38, 0.0, -0.0, 255.5];
        a[..special.len()].copy_from_slice(&special);
        let one: Vec<f32> = (0..n * n).map(|i| if i % (n + 1) == 0 { 1.0 } else { 0.0 }).collect();
        for &isa in Isa::available() {
            for (left, right) in [(&a, &one), (&one, &a)] {
                let mut c = vec![f32::NAN; n * n];
                matmul_on(isa, [n, n, n], left, right, &mut c, &mut Scratch::new());
                assert_eq!(c, a, "{isa:?}");
            }
        }
    }

    /// Root of the sum of squared errors of a product in `f32`, relative to the product, for factors of many magnitudes.
    fn error_of(isa: Isa, [m, n, k]: [usize; 3], a: &[f32], b: &[f32]) -> f64 {
        let mut c = vec![0.0; m * n];
        matmul_on(isa, [m, n, k], a, b, &mut c, &mut Scratch::new());
        let (mut errors, mut squares) = (0.0, 0.0);
        for i in 0..m {
            for j in 0..n {
                let want: f64 = (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum();
                errors += (f64::from(c[i * n + j]) - want).powi(2);
                squares += want * want;
            }
        }
        (errors / squares).sqrt()
    }

    #[test]
    fn matrix_instructions_are_as_accurate_as_vectors() {
        for (size, spread) in [([64, 64, 64], 0.0), ([96, 80, 256], 4.0), ([40, 520, 1000], 0.0)] {
            let [m, n, k] = size;
            let magnitudes = numbers::<f32>(m * k + k * n, 9);
            let scaled = |x: Vec<f32>, at: usize| -> Vec<f32> {
                x.iter().zip(&magnitudes[at..]).map(|(x, m)| x * (spread * m).exp()).collect()
            };
            let (a, b) = (scaled(numbers(m * k, 1), 0), scaled(numbers(k * n, 2), m * k));
            let reference = error_of(Isa::Avx2, size, &a, &b);
            for &isa in Isa::available().iter().filter(|isa| **isa >= Isa::Avx2) {
                let error = error_of(isa, size, &a, &b);
                // The same sums in another order: the matrix instructions round less often. A lost piece would cost a factor of 30.
                assert!(error <= 1.5 * reference, "{isa:?} {size:?}: {error:e}, vectors {reference:e}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn matches_naive_sums(
            m in 1_usize..40,
            n in 1_usize..40,
            k in 0_usize..60,
            at: bool,
            bt: bool,
            accumulate: bool,
            pair: bool,
        ) {
            for &isa in Isa::available() {
                check::<f32>(isa, m, n, k, [at, bt], accumulate, pair);
                check::<f64>(isa, m, n, k, [at, bt], accumulate, pair);
            }
        }
    }
}
