//! Which pixels a pooling window covers.

use std::ops::Range;

use crate::op::ShapeError;

/// Parameters of a pooling operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub pad: [usize; 4],
    pub dilation: [usize; 2],
    pub ceil_mode: bool,
}

/// A window on images of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    window: Window,
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub channels: usize,
}

impl Window {
    /// The windows on `[n, h, w, c]`, or `[n, l, c]` (the second entry of each pair counts), and the output's shape.
    pub(super) fn on(self, name: &'static str, x: &[usize]) -> Result<(Windows, Vec<usize>), ShapeError> {
        let error = |message: String| Err(ShapeError::new(name, message));
        let (mut window, input) = (
            self,
            match *x {
                [_, h, w, _] => [h, w],
                [_, l, _] => [1, l],
                _ => return error(format!("needs [n, h, w, c] or [n, l, c], found {x:?}")),
            },
        );
        if x.len() == 3 {
            (window.kernel[0], window.stride[0], window.dilation[0]) = (1, 1, 1);
            if window.pad[0] != 0 || window.pad[2] != 0 {
                return error("a one-dimensional image has no top and bottom to pad".into());
            }
        }
        if [window.kernel, window.stride, window.dilation].concat().contains(&0) {
            return error(format!("kernel, stride and dilation must be at least 1, found {window:?}"));
        }
        let mut output = [0; 2];
        for axis in 0..2 {
            output[axis] = match window.length(axis, input[axis]) {
                Some(length) => length,
                None => return error(format!("the window does not fit the image {x:?}: {window:?}")),
            };
        }
        let channels = x[x.len() - 1];
        let windows = Windows { window, input, output, channels };
        for axis in 0..2 {
            if let Some(o) = (0..output[axis]).find(|&o| windows.taps(axis, o).is_empty()) {
                return error(format!(
                    "window {o} along axis {axis} covers padding only: {window:?} on {x:?}"
                ));
            }
        }
        let shape = if x.len() == 4 {
            vec![x[0], output[0], output[1], channels]
        } else {
            vec![x[0], output[1], channels]
        };
        Ok((windows, shape))
    }

    /// Length of the output along an axis, as PyTorch has it: with `ceil_mode` the last window may hang over the end,
    /// but must start inside the image or its leading padding.
    fn length(&self, axis: usize, input: usize) -> Option<usize> {
        let reach = self.dilation[axis].checked_mul(self.kernel[axis] - 1)?.checked_add(1)?;
        let padded = input.checked_add(self.pad[axis])?.checked_add(self.pad[axis + 2])?;
        let room = padded.checked_sub(reach)?;
        if input == 0 || padded > isize::MAX as usize || reach > isize::MAX as usize {
            return None;
        }
        if !self.ceil_mode {
            return Some(room / self.stride[axis] + 1);
        }
        let length = room.div_ceil(self.stride[axis]) + 1;
        let overhangs = (length - 1).saturating_mul(self.stride[axis]) >= input + self.pad[axis];
        Some(if overhangs { length - 1 } else { length })
    }
}

impl Windows {
    /// Numbers of one image.
    pub(super) fn image_len(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Taps of window `o` that lie between `from` and `to` (positions relative to the image).
    fn taps_within(&self, axis: usize, o: usize, from: isize, to: isize) -> Range<usize> {
        let (start, step) = (self.start(axis, o), self.window.dilation[axis] as isize);
        let first = (from - start).max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        let end = (to - start).max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        first..end.min(self.window.kernel[axis])
    }

    fn start(&self, axis: usize, o: usize) -> isize {
        (o * self.window.stride[axis]) as isize - self.window.pad[axis] as isize
    }

    /// Taps of window `o` inside the image.
    fn taps(&self, axis: usize, o: usize) -> Range<usize> {
        self.taps_within(axis, o, 0, self.input[axis] as isize)
    }

    /// The taps inside the image of all windows, worked out once for a pass.
    pub(super) fn spans(&self) -> Spans {
        let (pixel, row) = (self.channels, self.input[1] * self.channels);
        let along = |axis: usize, unit: usize| {
            let step = self.window.dilation[axis] as isize;
            let span = |o: usize| {
                let taps = self.taps(axis, o);
                let first = (self.start(axis, o) + taps.start as isize * step).unsigned_abs();
                let (pad, to) = (self.window.pad[axis], self.input[axis] + self.window.pad[axis + 2]);
                let padded = self.taps_within(axis, o, -(pad as isize), to as isize).len();
                Span { first: first * unit, count: taps.len(), padded }
            };
            (0..self.output[axis]).map(span).collect()
        };
        Spans {
            rows: along(0, row),
            columns: along(1, pixel),
            steps: [self.window.dilation[0] * row, self.window.dilation[1] * pixel],
            channels: self.channels,
            image_len: self.image_len(),
            tiles: (0..2).all(|axis| self.tiles(axis)),
        }
    }

    /// Whether every position along an axis lies in exactly one window.
    fn tiles(&self, axis: usize) -> bool {
        let Window { kernel, stride, pad, dilation, .. } = self.window;
        kernel[axis] == stride[axis]
            && (dilation[axis] == 1 || kernel[axis] == 1)
            && self.output[axis] * stride[axis] >= self.input[axis] + pad[axis]
    }
}

/// The taps of a window inside the image along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Offset of the first one, in numbers.
    first: usize,
    /// How many there are.
    count: usize,
    /// How many there are inside the image or its padding.
    padded: usize,
}

/// The taps of all windows of an image, for loops that are compiled for vector instructions.
#[derive(Debug)]
pub(super) struct Spans {
    /// For each row and each column of the output.
    rows: Vec<Span>,
    columns: Vec<Span>,
    /// Distances between taps down and across, in numbers.
    steps: [usize; 2],
    pub channels: usize,
    /// Numbers of one image.
    image_len: usize,
    /// Whether every pixel of the image lies in exactly one window.
    pub tiles: bool,
}

/// The taps of one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps {
    first: usize,
    /// Rows and columns of taps inside the image.
    pub counts: [usize; 2],
    /// Number of taps inside the image or its padding.
    pub padded: usize,
    steps: [usize; 2],
}

impl Spans {
    /// Rows and columns of the output.
    #[inline(always)]
    pub(super) fn output(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }

    fn output_len(&self) -> usize {
        self.rows.len() * self.columns.len() * self.channels
    }

    /// The images of a batch.
    pub(super) fn images<'a, T>(&self, x: &'a [T]) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        x.chunks_exact(self.image_len.max(1))
    }

    /// The images of a batch, to write to.
    pub(super) fn images_mut<'a, T>(&self, x: &'a mut [T]) -> impl Iterator<Item = &'a mut [T]> + use<'a, T> {
        x.chunks_exact_mut(self.image_len.max(1))
    }

    /// The outputs of a batch, image by image.
    pub(super) fn outputs<'a, T>(&self, y: &'a [T]) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        y.chunks_exact(self.output_len().max(1))
    }

    /// The outputs of a batch, image by image, to write to.
    pub(super) fn outputs_mut<'a, T>(
        &self,
        y: &'a mut [T],
    ) -> impl Iterator<Item = &'a mut [T]> + use<'a, T> {
        y.chunks_exact_mut(self.output_len().max(1))
    }

    /// The taps of window (i, j).
    #[inline(always)]
    pub(super) fn taps(&self, i: usize, j: usize) -> Taps {
        let (row, column) = (&self.rows[i], &self.columns[j]);
        Taps {
            first: row.first + column.first,
            counts: [row.count, column.count],
            padded: row.padded * column.padded,
            steps: self.steps,
        }
    }
}

impl Taps {
    /// Offset in the image of the first channel of tap (u, v).
    #[inline(always)]
    pub(super) fn offset(&self, u: usize, v: usize) -> usize {
        self.first + u * self.steps[0] + v * self.steps[1]
    }
}

/// `$kernel::<T, B>(arguments…, first channel)` on blocks of B channels, 16 (one vector of f32, two of f64) as long as there are as
/// many, then 4, then 1. A macro, because a closure that is called in three places is not inlined.
macro_rules! in_blocks {
    ($channels:expr, $kernel:ident::<$t:ident>($($argument:expr),* $(,)?)) => {{
        let channels: usize = $channels;
        let mut at = 0;
        while at + 16 <= channels {
            $kernel::<$t, 16>($($argument,)* at);
            at += 16;
        }
        while at + 4 <= channels {
            $kernel::<$t, 4>($($argument,)* at);
            at += 4;
        }
        while at < channels {
            $kernel::<$t, 1>($($argument,)* at);
            at += 1;
        }
    }};
}
pub(super) use in_blocks;

/// `x[at..at + B]`.
#[inline(always)]
pub(super) fn block<T, const B: usize>(x: &[T], at: usize) -> &[T; B] {
    match x[at..].first_chunk() {
        Some(block) => block,
        None => unreachable!("a block ends within its pixel"),
    }
}

/// `x[at..at + B]`, to write to.
#[inline(always)]
pub(super) fn block_mut<T, const B: usize>(x: &mut [T], at: usize) -> &mut [T; B] {
    match x[at..].first_chunk_mut() {
        Some(block) => block,
        None => unreachable!("a block ends within its pixel"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_pytorchs() {
        let w =
            Window { kernel: [3, 2], stride: [2, 2], pad: [1, 0, 1, 0], dilation: [1, 1], ceil_mode: false };
        assert_eq!(w.on("", &[1, 32, 5, 1]).unwrap().1, [1, 16, 2, 1]);
        let up = Window { ceil_mode: true, ..w };
        assert_eq!(up.on("", &[1, 32, 5, 1]).unwrap().1, [1, 17, 3, 1]);
        // torch.nn.MaxPool2d(2, 2, padding=1, ceil_mode=True) on length 3: the third window would start at 3.
        let shy = Window { kernel: [2, 2], stride: [2, 2], pad: [1; 4], ..up };
        assert_eq!(shy.on("", &[1, 3, 3, 1]).unwrap().1, [1, 2, 2, 1]);
    }

    #[test]
    fn impossible_windows_are_refused() {
        let w = Window { kernel: [2, 2], stride: [2, 2], pad: [0; 4], dilation: [1, 1], ceil_mode: false };
        assert!(w.on("", &[1, 1, 4, 1]).is_err());
        assert!(w.on("", &[1, 4]).is_err());
        assert!(Window { pad: [2; 4], ..w }.on("", &[1, 4, 4, 1]).is_err(), "a window of padding only");
        assert!(Window { stride: [0, 1], ..w }.on("", &[1, 4, 4, 1]).is_err());
        assert!(Window { pad: [usize::MAX; 4], ..w }.on("", &[1, 4, 4, 1]).is_err());
    }
}
