//! The register tile of the matrix product, and the loop over a block of tiles.

use super::super::simd::Simd;

/// Terms of a sum that one pass over a block takes: a block of rows of A this long stays in the first-level cache.
pub(super) const DEPTH: usize = 256;

/// Numbers between neighbouring rows of a copied block of A, a constant so that it becomes part of the instructions. Not a
/// multiple of a large power of two, so that rows do not compete for the same lines of the cache.
const ROW: usize = DEPTH + 16;

/// Largest number of rows of a tile.
const MAX_ROWS: usize = 12;

/// Numbers that a copied block of A takes.
pub(super) const LEFT: usize = MAX_ROWS * ROW;

/// How a block of A was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Row after row, [`ROW`] apart.
    Rows,
    /// Column after column, [`MAX_ROWS`] apart.
    Columns,
}

/// Copies a block of A: `rows` ≤ [`MAX_ROWS`] rows of `depth` ≤ [`DEPTH`] numbers that begin at `a[0]`, with the strides
/// given.
#[inline(always)]
pub(super) fn copy_left<T: Copy>(
    a: &[T],
    strides: [usize; 2],
    rows: usize,
    depth: usize,
    to: &mut [T],
) -> Layout {
    let [row, column] = strides;
    if column == 1 {
        for i in 0..rows {
            to[i * ROW..i * ROW + depth].copy_from_slice(&a[i * row..i * row + depth]);
        }
        Layout::Rows
    } else if row == 1 && rows == MAX_ROWS {
        for l in 0..depth {
            to[l * MAX_ROWS..(l + 1) * MAX_ROWS].copy_from_slice(&a[l * column..l * column + MAX_ROWS]);
        }
        Layout::Columns
    } else {
        for l in 0..depth {
            for i in 0..rows {
                to[l * MAX_ROWS + i] = a[i * row + l * column];
            }
        }
        Layout::Columns
    }
}

/// Where a strip of tiles lies: some rows of C, and all columns of a block of B.
pub(super) struct Strip<'a, T> {
    /// The copied block of A.
    pub left: &'a [T],
    pub layout: Layout,
    /// Panels of two vectors' width, each `depth` steps long, padded with zeros.
    pub panels: &'a [T],
    pub depth: usize,
    pub columns: usize,
    /// C from the strip's first element on.
    pub c: &'a mut [T],
    pub c_row: usize,
    pub alpha: T,
    pub accumulate: bool,
}

impl<T: crate::scalar::Scalar> Strip<'_, T> {
    /// All tiles of a strip of `M` rows.
    ///
    /// # Safety
    /// `M` ≤ [`MAX_ROWS`] rows were copied; `panels` holds ⌈columns / (2·LANES)⌉ panels of `depth` · 2·LANES numbers; C has
    /// `M` rows of `columns` numbers, `c_row` apart.
    #[inline(always)]
    pub unsafe fn tiles<S: Simd<T = T>, const M: usize>(&mut self, s: S) {
        let width = 2 * S::LANES;
        let mut first = 0;
        while first < self.columns {
            let lanes = (self.columns - first).min(width);
            let at = first * self.depth;
            // SAFETY: passed on from the caller.
            unsafe {
                match (self.layout, lanes > S::LANES) {
                    (Layout::Rows, true) => self.tile::<S, M, 2, ROW, 1>(s, at, first, lanes),
                    (Layout::Rows, false) => self.tile::<S, M, 1, ROW, 1>(s, at, first, lanes),
                    (Layout::Columns, true) => self.tile::<S, M, 2, 1, MAX_ROWS>(s, at, first, lanes),
                    (Layout::Columns, false) => self.tile::<S, M, 1, 1, MAX_ROWS>(s, at, first, lanes),
                }
            }
            first += width;
        }
    }

    /// One tile of `M` rows and `R` vectors; element (i, l) of A lies at i · `ROW_STEP` + l · `STEP`.
    ///
    /// # Safety
    /// As for [`Strip::tiles`]; the panel begins at `at`, the tile's columns at `first`, and `lanes` of them exist.
    #[inline(always)]
    unsafe fn tile<
        S: Simd<T = T>,
        const M: usize,
        const R: usize,
        const ROW_STEP: usize,
        const STEP: usize,
    >(
        &mut self,
        s: S,
        at: usize,
        first: usize,
        lanes: usize,
    ) {
        let width = 2 * S::LANES;
        let mut acc = [[s.zero(); R]; M];
        // SAFETY: the panel and the copied block hold `depth` steps, as the caller promises.
        unsafe {
            let panel = s.from(self.panels, at);
            for l in 0..self.depth {
                let mut b = [s.zero(); R];
                for r in 0..R {
                    b[r] = s.load(panel, l * width + r * S::LANES);
                }
                let left = s.from(self.left, l * STEP);
                for i in 0..M {
                    let a = s.broadcast(left, i * ROW_STEP);
                    for r in 0..R {
                        acc[i][r] = s.mul_add(a, b[r], acc[i][r]);
                    }
                }
            }
        }
        let alpha = s.splat(self.alpha);
        let full = lanes == R * S::LANES;
        for i in 0..M {
            let at = i * self.c_row + first;
            for r in 0..R {
                let at = at + r * S::LANES;
                let product = s.mul(alpha, acc[i][r]);
                // SAFETY: the caller promises that C holds the tile's rows and `lanes` columns of it.
                unsafe {
                    if full {
                        let v = if self.accumulate { s.add(s.load(self.c, at), product) } else { product };
                        s.store(v, self.c, at);
                    } else {
                        let count = lanes.saturating_sub(r * S::LANES).min(S::LANES);
                        let mut v = product;
                        if self.accumulate {
                            v = s.add(s.load_part(self.c, at, count), v);
                        }
                        s.store_part(v, self.c, at, count);
                    }
                }
            }
        }
    }
}
