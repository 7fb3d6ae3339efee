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

    /// Numbers of one output image.
    pub(super) fn output_len(&self) -> usize {
        self.output[0] * self.output[1] * self.channels
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

    /// Positions of window `o` inside the image.
    fn positions(&self, axis: usize, o: usize) -> impl Iterator<Item = usize> + Clone {
        let (start, step) = (self.start(axis, o), self.window.dilation[axis]);
        self.taps(axis, o).map(move |u| ((u * step) as isize + start).unsigned_abs())
    }

    /// Number of taps of the window (i, j), inside the image or inside its padding too.
    pub(super) fn count(&self, i: usize, j: usize, with_padding: bool) -> usize {
        let along = |axis: usize, o: usize| {
            if !with_padding {
                return self.taps(axis, o).len();
            }
            let to = (self.input[axis] + self.window.pad[axis + 2]) as isize;
            self.taps_within(axis, o, -(self.window.pad[axis] as isize), to).len()
        };
        along(0, i) * along(1, j)
    }

    /// Visits all windows of one image: `visit(i, j, offset of the output, offsets of the inputs)`, offsets of
    /// a pixel's first channel.
    pub(super) fn each(&self, mut visit: impl FnMut(usize, usize, usize, &mut dyn Iterator<Item = usize>)) {
        let (width, c) = (self.input[1], self.channels);
        for i in 0..self.output[0] {
            for j in 0..self.output[1] {
                let columns = self.positions(1, j);
                let mut inputs = self
                    .positions(0, i)
                    .flat_map(|row| columns.clone().map(move |column| (row * width + column) * c));
                visit(i, j, (i * self.output[1] + j) * c, &mut inputs);
            }
        }
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
