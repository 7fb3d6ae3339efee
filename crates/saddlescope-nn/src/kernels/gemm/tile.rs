//! The register tile of the matrix product, and the loop over a block of tiles.

use super::super::simd::Simd;

/// Most terms of the sums in one block of A and B; a longer sum is cut into equal blocks.
pub(super) const DEPTH: usize = 320;

/// Blocks that are summed in registers before C is touched: their rows of A stay in the first-level cache together.
pub(super) const BLOCKS: usize = 2;

/// Numbers between neighbouring rows of a copied block of A, a constant so that it becomes part of the instructions. Not a
/// multiple of a large power of two, so that rows do not compete for the same lines of the cache.
const ROW: usize = DEPTH + 16;

/// Largest number of rows of a tile.
const MAX_ROWS: usize = 12;

/// Numbers that one copied block of A takes.
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

/// What the next strip will read of A: asked for line by line while this strip is summed, because it seldom is in the cache.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a, T> {
    /// A from the first number on.
    from: &'a [T],
    /// Numbers between runs that lie side by side, and how many of them remain.
    step: usize,
    runs: usize,
    /// Numbers of a run, and where in the present one.
    run: usize,
    at: usize,
}

impl<'a, T: crate::scalar::Scalar> Ahead<'a, T> {
    /// Numbers of a cache line.
    const LINE: usize = 64 / size_of::<T>();

    /// `rows` × `depth` numbers of A that begin at `from[0]`, with the strides given; nothing where neither axis lies side by side.
    #[inline(always)]
    pub(super) fn new(from: &'a [T], [row, column]: [usize; 2], rows: usize, depth: usize) -> Self {
        let (step, runs, run) = match (row, column) {
            (row, 1) => (row, rows, depth),
            (1, column) => (column, depth, rows),
            _ => (0, 0, 0),
        };
        Self { from, step, runs, run, at: 0 }
    }

    /// Nothing.
    #[inline(always)]
    pub(super) fn none() -> Self {
        Self { from: &[], step: 0, runs: 0, run: 0, at: 0 }
    }

    /// Asks for the next line, if there is one.
    #[inline(always)]
    fn next<S: Simd<T = T>>(&mut self, s: S) {
        if self.runs == 0 {
            return;
        }
        // The last number of the line: where runs do not begin with a line, the strip before has read the first.
        let last = (self.at + Self::LINE).min(self.run) - 1;
        s.prefetch(self.from, last);
        self.at += Self::LINE;
        if self.at >= self.run {
            self.at = 0;
            self.runs -= 1;
            self.from = self.from.get(self.step..).unwrap_or(&[]);
        }
    }
}

/// Steps of the sums between two lines that are asked for.
const STEPS: usize = 8;

/// One block of A and B that a strip sums over.
#[derive(Clone, Copy)]
pub(super) struct Block<'a, T> {
    /// The copied rows of A.
    pub left: &'a [T],
    /// Panels of two vectors' width, each `depth` steps long, padded with zeros.
    pub panels: &'a [T],
    pub depth: usize,
}

/// Where a strip of tiles lies: some rows of C, and all columns of the blocks of B.
pub(super) struct Strip<'a, T> {
    /// The blocks, as many as there are; an unused one has no depth.
    pub blocks: [Block<'a, T>; BLOCKS],
    pub layout: Layout,
    /// What the next strip reads of each block.
    pub ahead: [Ahead<'a, T>; BLOCKS],
    pub columns: usize,
    /// C from the strip's first element on.
    pub c: &'a mut [T],
    pub c_row: usize,
    pub alpha: T,
    pub accumulate: bool,
    /// Added to every row of C, from the strip's first column on; empty where there is none.
    pub row: &'a [T],
}

impl<T: crate::scalar::Scalar> Strip<'_, T> {
    /// All tiles of a strip of `M` rows.
    ///
    /// # Safety
    /// `M` ≤ [`MAX_ROWS`] rows of every block were copied in the layout given; `panels` holds ⌈columns / (2·LANES)⌉ panels of
    /// `depth` · 2·LANES numbers; C has `M` rows of `columns` numbers, `c_row` apart; `row` is empty or has `columns` numbers.
    #[inline(always)]
    pub(super) unsafe fn tiles<S: Simd<T = T>, const M: usize>(&mut self, s: S) {
        let width = 2 * S::LANES;
        let mut first = 0;
        while first < self.columns {
            let lanes = (self.columns - first).min(width);
            // SAFETY: passed on from the caller.
            unsafe {
                match (self.layout, lanes > S::LANES) {
                    (Layout::Rows, true) => self.tile::<S, M, 2, ROW, 1>(s, first, lanes),
                    (Layout::Rows, false) => self.tile::<S, M, 1, ROW, 1>(s, first, lanes),
                    (Layout::Columns, true) => self.tile::<S, M, 2, 1, MAX_ROWS>(s, first, lanes),
                    (Layout::Columns, false) => self.tile::<S, M, 1, 1, MAX_ROWS>(s, first, lanes),
                }
            }
            first += width;
        }
    }

    /// One tile of `M` rows and `R` vectors; element (i, l) of A lies at i · `ROW_STEP` + l · `STEP`.
    ///
    /// # Safety
    /// As for [`Strip::tiles`]; the tile's columns begin at `first`, and `lanes` of them exist.
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
        first: usize,
        lanes: usize,
    ) {
        let width = 2 * S::LANES;
        let full = lanes == R * S::LANES;
        if full {
            // C is read or written when the sums are ready; by then it is in the cache.
            for i in 0..M {
                for r in 0..R {
                    s.prefetch(self.c, i * self.c_row + first + r * S::LANES);
                }
            }
        }
        let mut acc = [[s.zero(); R]; M];
        for (block, ahead) in self.blocks.iter().zip(&mut self.ahead) {
            // SAFETY: the panel and the copied rows hold `depth` steps, as the caller promises.
            unsafe {
                let panel = s.from(block.panels, first * block.depth);
                let mut start = 0;
                while start < block.depth {
                    ahead.next(s);
                    let end = (start + STEPS).min(block.depth);
                    for l in start..end {
                        let mut b = [s.zero(); R];
                        for r in 0..R {
                            b[r] = s.load(panel, l * width + r * S::LANES);
                        }
                        let left = s.from(block.left, l * STEP);
                        for i in 0..M {
                            let a = s.broadcast(left, i * ROW_STEP);
                            for r in 0..R {
                                acc[i][r] = s.mul_add(a, b[r], acc[i][r]);
                            }
                        }
                    }
                    start = end;
                }
            }
        }
        let alpha = s.splat(self.alpha);
        for i in 0..M {
            let at = i * self.c_row + first;
            for r in 0..R {
                let at = at + r * S::LANES;
                let mut product = s.mul(alpha, acc[i][r]);
                if !self.row.is_empty() {
                    let column = first + r * S::LANES;
                    let count = lanes.saturating_sub(r * S::LANES).min(S::LANES);
                    // SAFETY: the caller promises that the row, if there is one, has as many columns as C.
                    let row = unsafe {
                        if full { s.load(self.row, column) } else { s.load_part(self.row, column, count) }
                    };
                    product = s.add(product, row);
                }
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
