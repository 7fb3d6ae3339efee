//! Tiles of outputs, in blocks small enough for their transforms to stay in cache.

use crate::kernels::plan::Correlation;

/// Rows of transformed tiles that may be computed in excess of those that exist.
pub(super) const EXCESS: usize = 16;

/// Numbers between planes of equal power-of-two size, so that they do not compete for the same cache sets.
pub(super) const PLANE_GAP: usize = 16;

/// Tiles that lie side by side in one row of tiles of one image.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Segment {
    pub image: usize,
    /// Row and first column, in tiles.
    pub row: usize,
    pub col: usize,
    pub count: usize,
}

/// Cuts all tiles of all images into blocks of `target` tiles of `size`² outputs.
pub(super) struct Blocks {
    rows: usize,
    cols: usize,
    images: usize,
    target: usize,
    image: usize,
    row: usize,
    col: usize,
}

impl Blocks {
    pub(super) fn new(pass: &Correlation, size: usize, images: usize, target: usize) -> Self {
        let (rows, cols) = (pass.out[0].div_ceil(size), pass.out[1].div_ceil(size));
        Blocks { rows, cols, images, target, image: 0, row: 0, col: 0 }
    }

    /// Puts the segments of the next block into `segments`; returns its number of tiles, 0 at the end.
    pub(super) fn next(&mut self, segments: &mut Vec<Segment>) -> usize {
        segments.clear();
        let mut tiles = 0;
        while tiles < self.target && self.image < self.images {
            let count = (self.cols - self.col).min(self.target - tiles);
            segments.push(Segment { image: self.image, row: self.row, col: self.col, count });
            tiles += count;
            self.col += count;
            if self.col == self.cols {
                self.col = 0;
                self.row += 1;
            }
            if self.row == self.rows {
                self.row = 0;
                self.image += 1;
            }
        }
        tiles
    }
}
