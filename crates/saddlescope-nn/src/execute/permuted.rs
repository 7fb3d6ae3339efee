//! Copies of tensors from one order of axes to another.

use crate::graph::permuted;
use crate::op::numel;

/// Copies a tensor from the file's order of axes into the engine's: engine axis i is file axis `permutation[i]`.
pub(crate) fn permute<A: Copy, B>(
    shape: &[usize],
    permutation: Option<&[usize]>,
    from: &[A],
    to: &mut [B],
    convert: impl Fn(A) -> B,
) {
    let Some(permutation) = permutation else {
        for (t, &f) in to.iter_mut().zip(from) {
            *t = convert(f);
        }
        return;
    };
    for_each_permuted(shape, permutation, |engine, file| to[engine] = convert(from[file]));
}

/// Calls `f(engine index, file index)` for every element.
///
/// Eight elements of the engine's last axis are visited for each place along the other axes, and these in the file's order: the file is
/// read (or written) along eight rows at once and the engine's side in runs of eight, so that every cache line is used whole. Element
/// by element, a permutation of DenseNet-121's filters took a quarter of a product.
pub(crate) fn for_each_permuted(shape: &[usize], permutation: &[usize], mut f: impl FnMut(usize, usize)) {
    const RUN: usize = 8;
    let row_major = |shape: &[usize]| {
        let mut strides = vec![1; shape.len()];
        for a in (0..shape.len().saturating_sub(1)).rev() {
            strides[a] = strides[a + 1] * shape[a + 1];
        }
        strides
    };
    let file_strides = permuted(&row_major(shape), Some(permutation));
    let shape = permuted(shape, Some(permutation));
    if numel(&shape) == 0 {
        return;
    }
    let Some((&last, outer)) = shape.split_last() else {
        f(0, 0);
        return;
    };
    let last_stride = file_strides[outer.len()];
    // The other axes, longest steps of the file first: (length, step in the engine, step in the file).
    let mut axes: Vec<(usize, usize, usize)> = (outer.iter().zip(&row_major(&shape)).zip(&file_strides))
        .map(|((&len, &engine), &file)| (len, engine, file))
        .filter(|axis| axis.0 > 1)
        .collect();
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.2));
    let (inner, axes) = axes.split_last().map_or(((1, 0, 0), &[][..]), |(inner, axes)| (*inner, axes));
    let mut index = vec![0; axes.len()];
    for first in (0..last).step_by(RUN) {
        let run = RUN.min(last - first);
        let (mut engine, mut file) = (first, first * last_stride);
        loop {
            for i in 0..inner.0 {
                let (engine, file) = (engine + i * inner.1, file + i * inner.2);
                for j in 0..run {
                    f(engine + j, file + j * last_stride);
                }
            }
            // The next place along the other axes; back at the first one, the run is done.
            let advanced = (0..axes.len()).rev().any(|a| {
                let (len, engine_step, file_step) = axes[a];
                index[a] += 1;
                engine += engine_step;
                file += file_step;
                if index[a] < len {
                    return true;
                }
                engine -= engine_step * len;
                file -= file_step * len;
                index[a] = 0;
                false
            });
            if !advanced {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permuted_elements_are_where_their_indices_say() {
        // OIHW and other orders, with lengths beside multiples of the run of eight.
        let cases: [(&[usize], &[usize]); 7] = [
            (&[19, 5, 3, 2], &[2, 3, 1, 0]),
            (&[8, 1, 1, 1], &[2, 3, 1, 0]),
            (&[3, 17], &[1, 0]),
            (&[4, 6, 9], &[2, 0, 1]),
            (&[4, 6, 9], &[0, 1, 2]),
            (&[], &[]),
            (&[0, 3], &[1, 0]),
        ];
        for (shape, permutation) in cases {
            let n = numel(shape);
            let from: Vec<usize> = (0..n).collect();
            let mut to = vec![usize::MAX; n];
            permute(shape, Some(permutation), &from, &mut to, |x| x);
            let engine_shape = permuted(shape, Some(permutation));
            for (at, &found) in to.iter().enumerate() {
                // The indices of `at` along the engine's axes, and from them the place in the file.
                let (mut rest, mut index) = (at, vec![0; shape.len()]);
                for a in (0..shape.len()).rev() {
                    index[permutation[a]] = rest % engine_shape[a];
                    rest /= engine_shape[a];
                }
                let expected = index.iter().zip(shape).fold(0, |file, (&i, &len)| file * len + i);
                assert_eq!(found, expected, "{shape:?} by {permutation:?}, engine element {at}");
            }
        }
    }
}
