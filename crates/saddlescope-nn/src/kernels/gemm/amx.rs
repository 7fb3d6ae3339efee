//! Matrix products in `f32` by the processor's tile instructions on `bf16` numbers (AMX).
//!
//! Each factor is the sum of three pieces ([`pieces`](super::pieces)). Of the nine products of pieces the six with
//! indices i + j ≤ 4 are summed in `f32`; the other three are at most 2⁻²³·|a||b| together. Tiles sum 32 terms before they add to C,
//! so that sums have fewer roundings than one term after the other: the result is as accurate as that of [`tile`](super::tile).
//! Tiles take and give numbers below the smallest normal number as zero.

use std::arch::asm;
use std::arch::x86_64::*;

use super::Products;
use super::pieces::{BESIDE, Lines, SIDE, STEP, Side, TERMS, TILE};
use crate::aligned::AlignedVec;

/// Rows of a strip and columns of a panel.
const WIDTH: usize = BESIDE * SIDE;

/// Most steps that are summed in tiles before C is touched; more are cut into equal blocks.
const STEPS: usize = 8;

/// Columns of a block of B: with [`STEPS`] its panels take 0.75 MiB of the second-level cache.
const COLUMNS: usize = 512;

/// Whether tiles are faster than vectors. By shape alone, so that a product is the same each time.
pub(super) fn pays([m, n, k]: [usize; 3]) -> bool {
    // Cycles, by count: a tile instruction takes 16 and there are six for each piece of 16 × 16 × 32; numbers are copied at about
    // two a cycle; vectors do 26 multiplications a cycle, tiles fill up to whole ones.
    let whole = m.next_multiple_of(SIDE) * n.next_multiple_of(SIDE) * k.next_multiple_of(TERMS);
    let tiles = whole / 85 + (m * k + k * n) / 2 + 500;
    tiles < m * n * k / 26
}

/// C (+)= α times the products, plus the row; as [`Products::run`], which has checked the lengths.
///
/// # Safety
/// The processor has AMX-BF16 and AVX-512F, and the system lets this process use tiles ([`Isa::Amx`](super::Isa) is available).
pub(super) unsafe fn multiply(
    of: &Products<'_, f32>,
    (c, c_row): (&mut [f32], usize),
    alpha: f32,
    accumulate: bool,
    [left, panels]: &mut [AlignedVec<f32>; 2],
) {
    let per_product = of.k.div_ceil(TERMS);
    let total = of.count * per_product;
    let steps = total.div_ceil(total.div_ceil(STEPS));
    let columns = of.n.min(COLUMNS);
    left.grow(steps * STEP);
    panels.grow(columns.div_ceil(WIDTH) * steps * STEP);
    let mut sums = Sums([0.0; WIDTH * WIDTH]);
    // SAFETY: as the caller promises.
    unsafe { configure() };
    for first_column in (0..of.n).step_by(COLUMNS) {
        let columns = COLUMNS.min(of.n - first_column);
        for first in (0..total).step_by(steps) {
            let block = Block { of, per_product, first, steps: steps.min(total - first) };
            for (p, panel) in panels.chunks_mut(block.steps * STEP).take(columns.div_ceil(WIDTH)).enumerate()
            {
                let column = first_column + p * WIDTH;
                // SAFETY: as the caller promises.
                unsafe { block.copy(Side::Right, column, WIDTH.min(first_column + columns - column), panel) };
            }
            for row in (0..of.m).step_by(WIDTH) {
                let rows = WIDTH.min(of.m - row);
                // SAFETY: as the caller promises.
                unsafe { block.copy(Side::Left, row, rows, left) };
                for (p, panel) in panels.chunks(block.steps * STEP).take(columns.div_ceil(WIDTH)).enumerate()
                {
                    let column = first_column + p * WIDTH;
                    let columns = WIDTH.min(first_column + columns - column);
                    // SAFETY: as the caller promises; strip and panel hold `block.steps` steps.
                    unsafe {
                        sums.of(left, panel, block.steps, [rows, columns].map(|n| n > SIDE));
                        let add_row =
                            if first == 0 && !of.row.is_empty() { &of.row[column..] } else { &[][..] };
                        let c = &mut c[row * c_row + column..];
                        sums.write([rows, columns], c, c_row, alpha, accumulate || first > 0, add_row);
                    }
                }
            }
        }
    }
    // SAFETY: tiles are configured; nobody uses them after this.
    unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
}

/// Some steps of the sums: `steps` of `per_product` for each product, from `first` on.
struct Block<'a> {
    of: &'a Products<'a, f32>,
    per_product: usize,
    first: usize,
    steps: usize,
}

impl Block<'_> {
    /// Copies `lines` ≤ [`WIDTH`] rows of A or columns of B, from line `at` on.
    #[target_feature(enable = "avx512f")]
    fn copy(&self, side: Side, at: usize, lines: usize, to: &mut [f32]) {
        for (i, to) in to.chunks_exact_mut(STEP).take(self.steps).enumerate() {
            let step = self.first + i;
            let (a, b) = self.of.terms[step / self.per_product];
            let start = step % self.per_product * TERMS;
            let ([row, column], from) = match side {
                Side::Left => (self.of.a_strides, a),
                Side::Right => ([self.of.b_strides[1], self.of.b_strides[0]], b),
            };
            for (beside, done) in (0..lines).step_by(SIDE).enumerate() {
                let lines = Lines {
                    from: &from[(at + done) * row + start * column..],
                    strides: [row, column],
                    lines: SIDE.min(lines - done),
                    terms: TERMS.min(self.of.k - start),
                };
                lines.copy(side, &mut to[beside * TILE..]);
            }
        }
    }
}

/// Tiles of 16 rows of 64 bytes.
///
/// # Safety
/// The processor has AMX, and the system lets this process use tiles.
unsafe fn configure() {
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        first_row: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        rows: [u8; 16],
    }
    static CONFIGURATION: Configuration = Configuration {
        palette: 1,
        first_row: 0,
        reserved: [0; 14],
        bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    // SAFETY: a configuration of palette 1 as the processor's manual describes it, 64 bytes long.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(readonly, nostack, preserves_flags))
    };
}

/// Loads a piece of B and adds its products with the piece of A that is there. Tiles 0 to 3 hold the sums (row tile, column tile):
/// 00, 01, 10, 11; 4 and 5 a piece of A, 6 and 7 one of B. A tile is loaded just before it is used, while the products before are
/// still computed.
macro_rules! right {
    ($piece:literal, one, one) => {
        concat!("tileloadd tmm6, [{b} + {row}*1 + 2048*", $piece, "]\n tdpbf16ps tmm0, tmm4, tmm6\n")
    };
    ($piece:literal, two, one) => {
        concat!(right!($piece, one, one), "tdpbf16ps tmm2, tmm5, tmm6\n")
    };
    ($piece:literal, one, two) => {
        concat!(
            right!($piece, one, one),
            "tileloadd tmm7, [{b} + {row}*1 + 2048*",
            $piece,
            " + 1024]\n tdpbf16ps tmm1, tmm4, tmm7\n"
        )
    };
    ($piece:literal, two, two) => {
        concat!(
            right!($piece, two, one),
            "tileloadd tmm7, [{b} + {row}*1 + 2048*",
            $piece,
            " + 1024]\n",
            "tdpbf16ps tmm1, tmm4, tmm7\n tdpbf16ps tmm3, tmm5, tmm7\n"
        )
    };
}

/// Loads a piece of A and adds its products with the piece of B that is there.
macro_rules! left {
    ($piece:literal, one, one) => {
        concat!("tileloadd tmm4, [{a} + {row}*1 + 2048*", $piece, "]\n tdpbf16ps tmm0, tmm4, tmm6\n")
    };
    ($piece:literal, one, two) => {
        concat!(left!($piece, one, one), "tdpbf16ps tmm1, tmm4, tmm7\n")
    };
    ($piece:literal, two, one) => {
        concat!(
            left!($piece, one, one),
            "tileloadd tmm5, [{a} + {row}*1 + 2048*",
            $piece,
            " + 1024]\n tdpbf16ps tmm2, tmm5, tmm6\n"
        )
    };
    ($piece:literal, two, two) => {
        concat!(
            left!($piece, one, two),
            "tileloadd tmm5, [{a} + {row}*1 + 2048*",
            $piece,
            " + 1024]\n",
            "tdpbf16ps tmm2, tmm5, tmm6\n tdpbf16ps tmm3, tmm5, tmm7\n"
        )
    };
}

/// Loads the first piece of A.
macro_rules! first_left {
    (one) => {
        "tileloadd tmm4, [{a} + {row}*1]\n"
    };
    (two) => {
        concat!(first_left!(one), "tileloadd tmm5, [{a} + {row}*1 + 1024]\n")
    };
}

/// The sums over all steps, for one or two row tiles and column tiles, and where they go.
macro_rules! sums {
    ($rows:ident, $columns:ident, $store:literal, $a:expr, $b:expr, $steps:expr, $to:expr) => {
        asm!(
            "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
            "2:",
            // Pieces (1, 3), (1, 2), (2, 2), (2, 1), (3, 1), (1, 1): each time one side stays.
            concat!(first_left!($rows), right!(2, $rows, $columns), right!(1, $rows, $columns)),
            concat!(left!(1, $rows, $columns), right!(0, $rows, $columns)),
            concat!(left!(2, $rows, $columns), left!(0, $rows, $columns)),
            "add {a}, 6144",
            "add {b}, 6144",
            "dec {steps}",
            "jnz 2b",
            "add {row}, 64",
            $store,
            a = inout(reg) $a => _,
            b = inout(reg) $b => _,
            steps = inout(reg) $steps => _,
            row = inout(reg) 64_usize => _,
            to = in(reg) $to,
            options(nostack),
        )
    };
}

/// Sums of a strip with a panel, row after row.
#[repr(align(64))]
struct Sums([f32; WIDTH * WIDTH]);

impl Sums {
    /// Sums over `steps` > 0 steps of a strip of A and a panel of B; `two`: whether there is a second row tile and column tile (what
    /// belongs to one that is missing stays as it was).
    ///
    /// # Safety
    /// Tiles are configured by [`configure`]; strip and panel hold `steps` steps.
    #[inline(always)]
    unsafe fn of(&mut self, strip: &[f32], panel: &[f32], steps: usize, two: [bool; 2]) {
        assert!(steps > 0 && strip.len() >= steps * STEP && panel.len() >= steps * STEP);
        let (a, b, to) = (strip.as_ptr(), panel.as_ptr(), self.0.as_mut_ptr());
        // SAFETY: reads `steps` steps of 6144 bytes of both, which are there by the assert, and writes tiles of 16 rows of 64 bytes,
        // 128 bytes apart, in the 4096 bytes of `self`.
        unsafe {
            match two {
                [false, false] => sums!(one, one, "tilestored [{to} + {row}*1], tmm0", a, b, steps, to),
                [false, true] => sums!(
                    one,
                    two,
                    "tilestored [{to} + {row}*1], tmm0
                     tilestored [{to} + {row}*1 + 64], tmm1",
                    a,
                    b,
                    steps,
                    to
                ),
                [true, false] => sums!(
                    two,
                    one,
                    "tilestored [{to} + {row}*1], tmm0
                     tilestored [{to} + {row}*1 + 2048], tmm2",
                    a,
                    b,
                    steps,
                    to
                ),
                [true, true] => sums!(
                    two,
                    two,
                    "tilestored [{to} + {row}*1], tmm0
                     tilestored [{to} + {row}*1 + 64], tmm1
                     tilestored [{to} + {row}*1 + 2048], tmm2
                     tilestored [{to} + {row}*1 + 2112], tmm3",
                    a,
                    b,
                    steps,
                    to
                ),
            }
        }
    }

    /// C (+)= α times the sums, plus a row (an empty one is none).
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn write(
        &self,
        [rows, columns]: [usize; 2],
        c: &mut [f32],
        c_row: usize,
        alpha: f32,
        accumulate: bool,
        row: &[f32],
    ) {
        assert!(rows <= WIDTH && columns <= WIDTH && c.len() >= (rows - 1) * c_row + columns);
        assert!(row.is_empty() || row.len() >= columns, "row too short");
        let alpha = _mm512_set1_ps(alpha);
        for first in (0..columns).step_by(SIDE) {
            let lanes = u16::MAX >> (SIDE - SIDE.min(columns - first));
            // SAFETY: only lanes below `columns` are read and written, which lie inside by the asserts; `self` has 32 × 32 numbers.
            unsafe {
                let add = match row.is_empty() {
                    true => _mm512_setzero_ps(),
                    false => _mm512_maskz_loadu_ps(lanes, row.as_ptr().add(first)),
                };
                for i in 0..rows {
                    let to = c.as_mut_ptr().add(i * c_row + first);
                    let mut v = _mm512_mul_ps(alpha, _mm512_load_ps(self.0.as_ptr().add(i * WIDTH + first)));
                    if !row.is_empty() {
                        v = _mm512_add_ps(v, add);
                    }
                    if accumulate {
                        v = _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, to), v);
                    }
                    _mm512_mask_storeu_ps(to, lanes, v);
                }
            }
        }
    }
}
