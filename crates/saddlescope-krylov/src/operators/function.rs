//! A closure as an operator.

use crate::{LinearOperator, ProductError, SymmetricOperator};

type BlockFn<'a> = Box<dyn Fn(&[f64], &mut [f64]) -> Result<(), ProductError> + Sync + Send + 'a>;

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
/// twice.apply(&[1.0, 2.0, 3.0], &mut y)?;
/// assert_eq!(y, [2.0, 4.0, 6.0]);
/// # Ok::<(), saddlescope_krylov::ProductError>(())
/// ```
pub struct FnOperator<'a> {
    n: usize,
    apply: BlockFn<'a>,
    block: bool,
}

impl<'a> FnOperator<'a> {
    /// The operator on ℝⁿ whose action on one vector is `apply(x, y)`.
    pub fn new(n: usize, apply: impl Fn(&[f64], &mut [f64]) + Sync + Send + 'a) -> Self {
        Self::fallible(n, move |x: &[f64], y: &mut [f64]| {
            apply(x, y);
            Ok(())
        })
    }

    /// The operator on ℝⁿ whose action on any number of vectors stored one after the other is `apply(xs, ys)`.
    pub fn from_block(n: usize, apply: impl Fn(&[f64], &mut [f64]) + Sync + Send + 'a) -> Self {
        Self::fallible_block(n, move |xs: &[f64], ys: &mut [f64]| {
            apply(xs, ys);
            Ok(())
        })
    }

    /// As [`FnOperator::new`], for an action that can fail.
    pub fn fallible(
        n: usize,
        apply: impl Fn(&[f64], &mut [f64]) -> Result<(), ProductError> + Sync + Send + 'a,
    ) -> Self {
        Self { n, apply: Box::new(apply), block: false }
    }

    /// As [`FnOperator::from_block`], for an action that can fail.
    pub fn fallible_block(
        n: usize,
        apply: impl Fn(&[f64], &mut [f64]) -> Result<(), ProductError> + Sync + Send + 'a,
    ) -> Self {
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

    fn apply(&self, x: &[f64], y: &mut [f64]) -> Result<(), ProductError> {
        (self.apply)(x, y)
    }

    fn apply_block(&self, xs: &[f64], ys: &mut [f64]) -> Result<(), ProductError> {
        if self.n == 0 {
            return Ok(());
        }
        if self.block {
            return (self.apply)(xs, ys);
        }
        xs.chunks_exact(self.n).zip(ys.chunks_exact_mut(self.n)).try_for_each(|(x, y)| (self.apply)(x, y))
    }
}

impl SymmetricOperator for FnOperator<'_> {}
