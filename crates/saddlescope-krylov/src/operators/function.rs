//! A closure as an operator.

use crate::{LinearOperator, SymmetricOperator};

type BlockFn<'a> = Box<dyn Fn(&[f64], &mut [f64]) + Sync + Send + 'a>;

/// A symmetric operator given by a closure that writes A x into its second argument.
///
/// ```
/// use saddlescope_krylov::{FnOperator, LinearOperator};
///
/// let twice = FnOperator::new(3, |x: &[f64], y: &mut [f64]| {
///     for (y, x) in y.iter_mut().zip(x) {
///         *y = 2.0 * x;
///     }
/// });
/// let mut y = [0.0; 3];
/// twice.apply(&[1.0, 2.0, 3.0], &mut y);
/// assert_eq!(y, [2.0, 4.0, 6.0]);
/// ```
pub struct FnOperator<'a> {
    n: usize,
    apply: BlockFn<'a>,
    block: bool,
}

impl<'a> FnOperator<'a> {
    /// The operator on ℝⁿ whose action on one vector is `apply(x, y)`.
    pub fn new(n: usize, apply: impl Fn(&[f64], &mut [f64]) + Sync + Send + 'a) -> Self {
        Self { n, apply: Box::new(apply), block: false }
    }

    /// The operator on ℝⁿ whose action on any number of vectors stored one after the other is `apply(xs, ys)`.
    pub fn from_block(n: usize, apply: impl Fn(&[f64], &mut [f64]) + Sync + Send + 'a) -> Self {
        Self { n, apply: Box::new(apply), block: true }
    }
}

impl LinearOperator for FnOperator<'_> {
    fn nrows(&self) -> usize {
        self.n
    }

    fn ncols(&self) -> usize {
        self.n
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        (self.apply)(x, y);
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) {
        if self.n == 0 {
            return;
        }
        if self.block {
            return (self.apply)(xs, ys);
        }
        for (x, y) in xs.chunks_exact(self.n).zip(ys.chunks_exact_mut(self.n)) {
            (self.apply)(x, y);
        }
    }
}

impl SymmetricOperator for FnOperator<'_> {}
