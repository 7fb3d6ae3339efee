//! Loops over strided arrays: what slicing, padding, transposing and broadcasting have in common.
//!
//! A loop nest is a list of [`Axis`]: a length and the step of every operand. Nests are simplified before they run
//! (axes of length 1 vanish, axes that are contiguous in all operands merge), so that the innermost loop is long.

use crate::scalar::Scalar;

/// One loop over `M` operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis<const M: usize> {
    /// Number of iterations.
    pub len: usize,
    /// How far each operand moves per iteration.
    pub steps: [isize; M],
}

/// Where a strided array starts and how far apart its elements are along each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Index of the first element.
    pub offset: usize,
    /// Step along each axis.
    pub strides: Vec<isize>,
}

impl View {
    /// The view of a whole row-major array.
    pub(super) fn whole(shape: &[usize]) -> Self {
        Self { offset: 0, strides: row_major(shape) }
    }
}

/// Strides of a row-major array.
pub(crate) fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1_isize; shape.len()];
    for a in (1..shape.len()).rev() {
        strides[a - 1] = strides[a] * shape[a] as isize;
    }
    strides
}

/// Loops over `shape`, simplified. `None` if there is nothing to do because an axis has length 0.
pub(crate) fn nest<const M: usize>(shape: &[usize], strides: [&[isize]; M]) -> Option<Vec<Axis<M>>> {
    let mut axes: Vec<Axis<M>> = Vec::with_capacity(shape.len());
    for (a, &len) in shape.iter().enumerate() {
        if len == 0 {
            return None;
        }
        if len == 1 {
            continue;
        }
        let inner = Axis { len, steps: strides.map(|s| s[a]) };
        match axes.last_mut() {
            Some(outer) if (0..M).all(|m| outer.steps[m] == inner.steps[m] * len as isize) => {
                *outer = Axis { len: outer.len * len, steps: inner.steps };
            }
            _ => axes.push(inner),
        }
    }
    Some(axes)
}

/// Calls `f` with the operands' positions for every iteration of the loops, the first axis outermost.
pub(crate) fn walk<const M: usize>(axes: &[Axis<M>], start: [isize; M], f: &mut impl FnMut([isize; M])) {
    match axes {
        [] => f(start),
        [axis, rest @ ..] => {
            let mut at = start;
            for _ in 0..axis.len {
                walk(rest, at, f);
                for m in 0..M {
                    at[m] += axis.steps[m];
                }
            }
        }
    }
}

/// Elements of one block of [`sum_blocks`].
pub(crate) const BLOCK: usize = 256;

/// The sum of n values in eight interleaved partial sums: faster than one, and more accurate. `values(start, out)` writes those from
/// `start`: a closure for one element cannot be vectorised when its slices are checked at every index, one for a block can.
#[inline(always)]
pub(crate) fn sum_blocks<T: Scalar>(n: usize, mut values: impl FnMut(usize, &mut [T])) -> T {
    const LANES: usize = 8;
    let (mut lanes, mut rest) = ([T::ZERO; LANES], T::ZERO);
    let mut block = [T::ZERO; BLOCK];
    for start in (0..n).step_by(BLOCK) {
        let block = &mut block[..BLOCK.min(n - start)];
        values(start, block);
        let (whole, end) = block.as_chunks::<LANES>();
        for eight in whole {
            for (lane, x) in lanes.iter_mut().zip(eight) {
                *lane += *x;
            }
        }
        for x in end {
            rest += *x;
        }
    }
    let [a, b, c, d, e, g, h, k] = lanes;
    ((a + b) + (c + d)) + ((e + g) + (h + k)) + rest
}

/// Copies (or adds, if `add`) the elements of `src` seen through `from` to those of `dst` seen through `to`.
/// A step of 0 in `to` sums; it needs `add`.
pub(crate) fn copy<T: Scalar>(shape: &[usize], src: &[T], from: &View, dst: &mut [T], to: &View, add: bool) {
    let Some(mut axes) = nest(shape, [&from.strides, &to.strides]) else { return };
    let start = [from.offset as isize, to.offset as isize];
    let unit_src = axes.iter().rposition(|a| a.steps[0] == 1);
    let unit_dst = axes.iter().rposition(|a| a.steps[1] == 1);
    let both = axes.iter().rposition(|a| a.steps == [1, 1]);
    // A two-dimensional transposition: neither side can be contiguous in the innermost loop.
    if let (Some(p), Some(q), None) = (unit_src, unit_dst, both)
        && axes[p].steps[1] != 0
        && axes[q].steps[0] != 0
    {
        let (rows, columns) = (axes[p], axes[q]);
        axes.remove(p.max(q));
        axes.remove(p.min(q));
        walk(&axes, start, &mut |[s, d]| {
            transpose_tiles(src, s, columns.steps[0], dst, d, rows.steps[1], [rows.len, columns.len], add);
        });
        return;
    }
    let inner = both
        .or_else(|| unit_src.filter(|&p| axes[p].steps[1] == 0))
        .or(unit_dst)
        .or(unit_src)
        .or_else(|| axes.len().checked_sub(1));
    let Axis { len, steps: [ss, ds] } = match inner {
        Some(i) => axes.remove(i),
        None => Axis { len: 1, steps: [1, 1] },
    };
    walk(&axes, start, &mut |[s, d]| {
        let (s, d) = (s as usize, d as usize);
        match (ss, ds) {
            (1, 1) => {
                let (src, dst) = (&src[s..s + len], &mut dst[d..d + len]);
                if add {
                    for (d, &s) in dst.iter_mut().zip(src) {
                        *d += s;
                    }
                } else {
                    dst.copy_from_slice(src);
                }
            }
            (0, 1) => {
                let (x, dst) = (src[s], &mut dst[d..d + len]);
                if add {
                    for d in dst {
                        *d += x;
                    }
                } else {
                    dst.fill(x);
                }
            }
            (1, 0) => {
                let src = &src[s..s + len];
                dst[d] += sum_blocks(len, |start, out| out.copy_from_slice(&src[start..start + out.len()]));
            }
            _ => {
                let (mut s, mut d) = (s as isize, d as isize);
                for _ in 0..len {
                    let x = src[s as usize];
                    let place = &mut dst[d as usize];
                    *place = if add { *place + x } else { x };
                    s += ss;
                    d += ds;
                }
            }
        }
    });
}

/// dst[d + i·row_step + j] (+)= src[s + i + j·column_step] for i < rows, j < columns, in tiles that fit the
/// first-level cache.
fn transpose_tiles<T: Scalar>(
    src: &[T],
    s: isize,
    column_step: isize,
    dst: &mut [T],
    d: isize,
    row_step: isize,
    [rows, columns]: [usize; 2],
    add: bool,
) {
    const TILE: usize = 16;
    for j0 in (0..columns).step_by(TILE) {
        let width = TILE.min(columns - j0);
        for i0 in (0..rows).step_by(TILE) {
            for i in i0..rows.min(i0 + TILE) {
                let start = (d + i as isize * row_step) as usize + j0;
                let out = &mut dst[start..start + width];
                let mut at = s + i as isize + j0 as isize * column_step;
                for out in out {
                    let x = src[at as usize];
                    *out = if add { *out + x } else { x };
                    at += column_step;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same copy by index arithmetic alone.
    fn plain(shape: &[usize], src: &[f64], from: &View, dst: &mut [f64], to: &View, add: bool) {
        let total: usize = shape.iter().product();
        for n in 0..total {
            let (mut rest, mut s, mut d) = (n, from.offset as isize, to.offset as isize);
            for a in (0..shape.len()).rev() {
                let i = (rest % shape[a]) as isize;
                rest /= shape[a];
                s += i * from.strides[a];
                d += i * to.strides[a];
            }
            let old = dst[d as usize];
            dst[d as usize] = src[s as usize] + if add { old } else { 0.0 };
        }
    }

    fn agree(shape: &[usize], from: View, to: View, add: bool) {
        let reach = |v: &View| {
            let far = shape.iter().zip(&v.strides).map(|(&n, &s)| (n as isize - 1).max(0) * s.max(0));
            v.offset + far.sum::<isize>() as usize + 1
        };
        // Small integers: sums are exact in any order.
        let src: Vec<f64> = (0..reach(&from)).map(|i| (i * 7 % 31) as f64).collect();
        let mut found = vec![3.0; reach(&to)];
        let mut expected = found.clone();
        copy(shape, &src, &from, &mut found, &to, add);
        plain(shape, &src, &from, &mut expected, &to, add);
        assert_eq!(found, expected, "{shape:?} {from:?} {to:?} {add}");
    }

    #[test]
    fn copies_agree_with_index_arithmetic() {
        let shape = [3, 5, 37, 4];
        let whole = View::whole(&shape);
        let view = |offset, strides: [isize; 4]| View { offset, strides: strides.to_vec() };
        for add in [false, true] {
            agree(&shape, whole.clone(), whole.clone(), add);
            // Transpositions, a reversal, every second element, and broadcasting.
            agree(&shape, view(0, [1, 3, 15, 555]), whole.clone(), add);
            agree(&shape, whole.clone(), view(0, [4, 444, 12, 1]), add);
            agree(&shape, whole.clone(), view(0, [1, 3, 15, 555]), add);
            agree(&shape, view(36, [37, 0, -1, 111]), whole.clone(), add);
            agree(&shape, view(5, [1480, 296, 8, 2]), whole.clone(), add);
            agree(&shape, view(2, [0, 1, 0, 0]), whole.clone(), add);
            agree(&shape, view(2, [0, 0, 0, 1]), whole.clone(), add);
        }
        for strides in [[0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 3, 0], [0, 0, 0, 0], [0, 0, 1, 0], [1, 3, 15, 0]] {
            agree(&shape, whole.clone(), view(1, strides), true);
        }
        agree(&[2, 0, 3], View::whole(&[2, 0, 3]), View::whole(&[2, 0, 3]), false);
        agree(&[], View::whole(&[]), View::whole(&[]), true);
    }

    #[test]
    fn contiguous_axes_merge() {
        let shape = [2, 3, 4];
        let s = row_major(&shape);
        assert_eq!(nest(&shape, [&s, &s]), Some(vec![Axis { len: 24, steps: [1, 1] }]));
    }
}
