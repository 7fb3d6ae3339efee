//! Triangular parts of matrices.

use super::axes::single;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::scalar::Scalar;
use crate::scratch::Scratch;

/// The upper or lower triangle of the matrices in the last two axes, zeros elsewhere (ONNX `Trilu` with constant k).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trilu {
    upper: bool,
    k: i64,
}

impl Trilu {
    /// The elements on and above (`upper`) or on and below diagonal `k`; 0 is the main one, positive ones lie above.
    pub fn new(upper: bool, k: i64) -> Self {
        Self { upper, k }
    }

    /// The columns of row `row` that are kept.
    fn columns(&self, row: usize, width: usize) -> std::ops::Range<usize> {
        let clip = |c: i64| c.clamp(0, width as i64) as usize;
        let diagonal = self.k.saturating_add(row as i64);
        if self.upper { clip(diagonal)..width } else { 0..clip(diagonal.saturating_add(1)) }
    }

    /// Copies the triangle, with zeros elsewhere, or adds it.
    fn run<T: Scalar>(&self, shape: &[usize], x: &[T], y: &mut [T], add: bool) {
        let (height, width) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        if width == 0 {
            return;
        }
        for (r, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).enumerate() {
            let kept = self.columns(r % height, width);
            if add {
                for (y, &x) in y[kept.clone()].iter_mut().zip(&x[kept]) {
                    *y += x;
                }
            } else {
                y[..kept.start].fill(T::ZERO);
                y[kept.end..].fill(T::ZERO);
                y[kept.clone()].copy_from_slice(&x[kept]);
            }
        }
    }
}

impl OpInfo for Trilu {
    fn name(&self) -> &'static str {
        "Trilu"
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(self.name(), inputs)?;
        if x.len() < 2 {
            return Err(ShapeError::new(self.name(), format!("takes matrices, found shape {x:?}")));
        }
        Ok(x.to_vec())
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl<T: Scalar> Op<T> for Trilu {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], _scratch: &mut Scratch<T>) {
        self.run(c.shape, c.x(0), y, false);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], _scratch: &mut Scratch<T>) {
        for (j, dy) in dy.chunks_exact_mut(c.len().max(1)).enumerate() {
            match c.dx(0, j) {
                Some(dx) => self.run(c.shape, dx, dy, false),
                None => dy.fill(T::ZERO),
            }
        }
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut gx[0] {
            let (gx, add) = slot.write();
            self.run(c.shape, c.gy, gx, add);
        }
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, _scratch: &mut Scratch<T>) {
        if let Some(slot) = &mut dgx[0] {
            for j in 0..c.tangents {
                let mut part = slot.part(j, c.tangents);
                let (dgx, add) = part.write();
                self.run(c.shape, c.dgy(j), dgx, add);
            }
            slot.set_written();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        for upper in [false, true] {
            for k in [0, 1, -2, 9, i64::MAX, i64::MIN] {
                check_op(&Trilu::new(upper, k), &[&[3, 5, 4]]).unwrap();
            }
            check_op(&Trilu::new(upper, 0), &[&[3, 0]]).unwrap();
            check_op(&Trilu::new(upper, 0), &[&[0, 3]]).unwrap();
        }
    }

    #[test]
    fn values_are_triangles() {
        let triangle = |upper, k| {
            let mut y = [9.0; 6];
            Trilu::new(upper, k).run(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut y, false);
            y
        };
        assert_eq!(triangle(true, 0), [1.0, 2.0, 3.0, 0.0, 5.0, 6.0]);
        assert_eq!(triangle(false, 0), [1.0, 0.0, 0.0, 4.0, 5.0, 0.0]);
        assert_eq!(triangle(true, 1), [0.0, 2.0, 3.0, 0.0, 0.0, 6.0]);
        assert_eq!(triangle(false, -1), [0.0, 0.0, 0.0, 4.0, 0.0, 0.0]);
        assert!(Trilu::new(true, 0).infer(&[&[3]]).is_err());
    }
}
