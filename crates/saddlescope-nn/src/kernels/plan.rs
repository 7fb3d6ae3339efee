//! Convolution passes as correlations of a zero-padded source with runs of taps.
//!
//! Forward and input-adjoint passes have the same form: out\[q\] = Σ over taps of source\[base(q) + offset(tap)\] · W_tap,
//! where q runs over the output pixels of one phase. The forward pass has one phase. The input adjoint of a
//! convolution with stride s has s_y·s_x phases, one per residue of the input pixel: each is a stride-1 correlation of
//! the output gradient with the taps that reach that residue. Taps whose source pixels lie side by side in memory
//! are merged into one run, so a dense 3×3 kernel is three runs of 3·c numbers.

use super::shape::ConvShape;

/// Numbers that follow each other in the source, starting `offset` after a pixel's base.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub offset: usize,
    pub len: usize,
    /// Taps in this run, as ky·kw + kx, in order of their source offset.
    pub taps: Vec<usize>,
}

/// Output pixels that use the same taps.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    /// Rows and columns of output pixels.
    pub rows: usize,
    pub cols: usize,
    /// Output pixel of row 0, column 0, and steps between rows and columns, in pixels.
    pub out_origin: [usize; 2],
    pub out_step: [usize; 2],
    /// Steps between the base pixels in the padded source.
    pub src_step: [usize; 2],
    pub runs: Vec<Run>,
    /// Numbers in all runs.
    pub k: usize,
}

/// One pass over one image.
#[derive(Clone, Debug, Default)]
pub(super) struct Correlation {
    /// Source image: height, width, channels.
    pub src: [usize; 3],
    /// Zeros above and left of the source, and the padded height and width.
    pub top: usize,
    pub left: usize,
    pub padded: [usize; 2],
    /// Output image: height, width, channels.
    pub out: [usize; 3],
    pub phases: Vec<Phase>,
}

/// Offset in whole source pixels, per axis and output residue, of the taps that reach it.
struct AxisPhase {
    residue: usize,
    count: usize,
    /// (tap index along this axis, source pixel relative to the output pixel's number)
    taps: Vec<(usize, isize)>,
}

impl Correlation {
    pub(super) fn forward(g: &ConvShape, [ho, wo]: [usize; 2]) -> Self {
        let axis = |count: usize, k: usize, dilation: usize, pad: usize| {
            let taps = (0..k).map(|t| (t, (t * dilation) as isize - pad as isize)).collect();
            vec![AxisPhase { residue: 0, count, taps }]
        };
        Self::build(
            g,
            [g.input[0], g.input[1], g.c_in],
            [ho, wo, g.c_out],
            &axis(ho, g.kernel[0], g.dilation[0], g.pad[0]),
            &axis(wo, g.kernel[1], g.dilation[1], g.pad[1]),
            g.stride,
            [1, 1],
        )
    }

    pub(super) fn adjoint(g: &ConvShape, [ho, wo]: [usize; 2]) -> Self {
        let axis = |extent: usize, k: usize, stride: usize, dilation: usize, pad: usize| {
            // Output pixel `stride·i + residue` receives source pixel `i + (residue + pad − t·dilation)/stride`.
            (0..stride.min(extent))
                .map(|residue| {
                    let taps = (0..k)
                        .filter_map(|t| {
                            let distance = (residue + pad) as isize - (t * dilation) as isize;
                            (distance.rem_euclid(stride as isize) == 0)
                                .then(|| (t, distance.div_euclid(stride as isize)))
                        })
                        .collect();
                    AxisPhase { residue, count: (extent - residue).div_ceil(stride), taps }
                })
                .collect::<Vec<_>>()
        };
        Self::build(
            g,
            [ho, wo, g.c_out],
            [g.input[0], g.input[1], g.c_in],
            &axis(g.input[0], g.kernel[0], g.stride[0], g.dilation[0], g.pad[0]),
            &axis(g.input[1], g.kernel[1], g.stride[1], g.dilation[1], g.pad[1]),
            [1, 1],
            g.stride,
        )
    }

    fn build(
        g: &ConvShape,
        src: [usize; 3],
        out: [usize; 3],
        vertical: &[AxisPhase],
        horizontal: &[AxisPhase],
        src_step: [usize; 2],
        out_step: [usize; 2],
    ) -> Self {
        let (top, height) = padded_extent(vertical, src_step[0]);
        let (left, width) = padded_extent(horizontal, src_step[1]);
        // A source that needs no zeros is used in place, with its own row length.
        let padded = if top == 0 && left == 0 && height <= src[0] && width <= src[1] {
            [src[0], src[1]]
        } else {
            [height.max(1), width.max(1)]
        };
        let (channels, group_channels) = (src[2], src[2] / g.groups);
        let mut phases = Vec::with_capacity(vertical.len() * horizontal.len());
        for v in vertical {
            for h in horizontal {
                let mut taps: Vec<(usize, usize)> = Vec::with_capacity(v.taps.len() * h.taps.len());
                for &(ky, dy) in &v.taps {
                    for &(kx, dx) in &h.taps {
                        let row = (dy + top as isize) as usize;
                        let col = (dx + left as isize) as usize;
                        taps.push(((row * padded[1] + col) * channels, ky * g.kernel[1] + kx));
                    }
                }
                taps.sort_unstable();
                let mut runs: Vec<Run> = Vec::new();
                for (offset, tap) in taps {
                    match runs.last_mut() {
                        Some(run) if group_channels == channels && run.offset + run.len == offset => {
                            run.len += group_channels;
                            run.taps.push(tap);
                        }
                        _ => runs.push(Run { offset, len: group_channels, taps: vec![tap] }),
                    }
                }
                let k = runs.iter().map(|r| r.len).sum();
                phases.push(Phase {
                    rows: v.count,
                    cols: h.count,
                    out_origin: [v.residue, h.residue],
                    out_step,
                    src_step,
                    runs,
                    k,
                });
            }
        }
        Correlation { src, top, left, padded, out, phases }
    }

    /// Whether the source can be read in place.
    pub(super) fn in_place(&self) -> bool {
        self.padded == [self.src[0], self.src[1]] && self.top == 0 && self.left == 0
    }

    /// Numbers in one padded source image.
    pub(super) fn padded_len(&self) -> usize {
        self.padded[0] * self.padded[1] * self.src[2]
    }
}

/// Zeros needed before the source, and extent of the padded source that the taps touch.
fn padded_extent(phases: &[AxisPhase], step: usize) -> (usize, usize) {
    let all = || phases.iter().flat_map(|p| p.taps.iter().map(move |&(_, d)| (p.count, d)));
    let before = all().map(|(_, d)| (-d).max(0)).max().unwrap_or(0) as usize;
    let extent = all().map(|(count, d)| ((count - 1) * step + before) as isize + d + 1).max().unwrap_or(0);
    (before, extent.max(0) as usize)
}

/// Copies `images` images of `src` (shape from `pass`) into `dst` with their zeros around them.
pub(super) fn pad_images<T: crate::Scalar>(
    pass: &Correlation,
    images: usize,
    src: &[T],
    dst: &mut crate::aligned::AlignedVec<T>,
) {
    let [h, w, c] = pass.src;
    let [hp, wp] = pass.padded;
    let size = images * pass.padded_len();
    dst.grow(size);
    let (row_in, row_out) = (w * c, wp * c);
    // The taps may touch nothing but padding.
    let left = (pass.left * c).min(row_out);
    let copied = row_in.min(row_out - left);
    for image in 0..images {
        let from = &src[image * h * row_in..(image + 1) * h * row_in];
        let to = &mut dst[image * hp * row_out..(image + 1) * hp * row_out];
        for (r, to) in to.chunks_exact_mut(row_out).enumerate() {
            if r < pass.top || r >= pass.top + h {
                to.fill(T::ZERO);
            } else {
                let from = &from[(r - pass.top) * row_in..][..copied];
                to[..left].fill(T::ZERO);
                to[left..left + copied].copy_from_slice(from);
                to[left + copied..].fill(T::ZERO);
            }
        }
    }
}
