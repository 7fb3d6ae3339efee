//! Average pooling to an output of given size.

use super::average::AveragePool;
use crate::op::{Context, Op, OpInfo, Reads, ShapeError, Slots};
use crate::ops::axes::single;
use crate::scalar::Scalar;
use crate::scratch::Scratch;

const NAME: &str = "AdaptiveAveragePool";

/// y = means of x over a grid of equal windows: PyTorch's `adaptive_avg_pool2d` where the size of the image is
/// a multiple of the size of the output.
///
/// Input `[n, h, w, c]`, output `[n, size₀, size₁, c]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveAveragePool {
    /// Height and width of the output.
    pub size: [usize; 2],
}

impl AdaptiveAveragePool {
    /// The average pooling this is on images of shape `x`.
    fn pool(&self, x: &[usize]) -> Option<AveragePool> {
        let &[_, h, w, _] = x else { return None };
        let [rows, columns] = self.size;
        let divides = rows > 0 && columns > 0 && h % rows == 0 && w % columns == 0;
        let kernel = divides.then(|| [h / rows, w / columns])?;
        Some(AveragePool { kernel, stride: kernel, ..AveragePool::square(1) })
    }

    fn of<T: Scalar>(&self, c: &Context<'_, T>) -> AveragePool {
        match self.pool(c.inputs[0].shape) {
            Some(pool) => pool,
            None => unreachable!("infer refuses these shapes"),
        }
    }
}

impl OpInfo for AdaptiveAveragePool {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, ShapeError> {
        let x = single(NAME, inputs)?;
        match self.pool(x) {
            Some(pool) => pool.infer(inputs),
            None => Err(ShapeError::new(
                NAME,
                format!("needs [n, h, w, c] with h and w multiples of {:?}, found {x:?}", self.size),
            )),
        }
    }

    fn reads(&self) -> Reads {
        Reads::NONE
    }
}

impl<T: Scalar> Op<T> for AdaptiveAveragePool {
    fn forward(&self, c: &Context<'_, T>, y: &mut [T], scratch: &mut Scratch<T>) {
        self.of(c).forward(c, y, scratch);
    }

    fn tangent(&self, c: &Context<'_, T>, dy: &mut [T], scratch: &mut Scratch<T>) {
        self.of(c).tangent(c, dy, scratch);
    }

    fn adjoint(&self, c: &Context<'_, T>, gx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        self.of(c).adjoint(c, gx, scratch);
    }

    fn adjoint_tangent(&self, c: &Context<'_, T>, dgx: &mut Slots<'_, T>, scratch: &mut Scratch<T>) {
        self.of(c).adjoint_tangent(c, dgx, scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::check_op;

    #[test]
    fn derivatives_match_finite_differences() {
        check_op(&AdaptiveAveragePool { size: [2, 3] }, &[&[2, 4, 9, 3]]).unwrap();
        check_op(&AdaptiveAveragePool { size: [1, 1] }, &[&[2, 3, 5, 2]]).unwrap();
    }

    #[test]
    fn sizes_that_do_not_divide_are_refused() {
        assert!(AdaptiveAveragePool { size: [2, 2] }.infer(&[&[1, 4, 5, 3]]).is_err());
        assert!(AdaptiveAveragePool { size: [0, 2] }.infer(&[&[1, 4, 4, 3]]).is_err());
        assert!(AdaptiveAveragePool { size: [2, 2] }.infer(&[&[1, 0, 4, 3]]).is_err());
    }
}
