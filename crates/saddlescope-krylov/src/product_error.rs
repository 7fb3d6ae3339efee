//! Why a product with an operator was not made.

use std::error::Error;

/// Why a product with an operator was not made.
///
/// One concrete type for every operator, so that solvers can take `&dyn SymmetricOperator`. Solvers pass it on in
/// the error of their own. The error that the operator reported is inside, unchanged:
///
/// ```
/// use saddlescope_krylov::{ExtremeEigen, FnOperator, LanczosError, ProductError, extreme_eigenpairs};
///
/// let a = FnOperator::fallible(10, |_: &[f64], _: &mut [f64]| {
///     Err(ProductError::failed(std::io::Error::other("the file is gone")))
/// });
/// match extreme_eigenpairs(&a, &ExtremeEigen::ends(1, 1), &mut ()) {
///     Err(LanczosError::Product(error)) => {
///         assert_eq!(error.to_string(), "the file is gone");
///         assert!(error.downcast::<std::io::Error>().is_ok());
///     }
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProductError {
    /// Whoever waits for the product wants it no more. A solver that can stop with what it has does so, and says
    /// [`Status::Cancelled`](crate::Status::Cancelled).
    #[error("the product was cancelled")]
    Cancelled,
    /// The operator cannot make the product; message and source are those of the error inside.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

impl ProductError {
    /// The error that an operator reports.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    /// The error inside, if it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => error.downcast_ref(),
            Self::Cancelled => None,
        }
    }

    /// The error inside by value, if it is an `E`.
    ///
    /// # Errors
    /// This error, unchanged, if it is something else.
    pub fn downcast<E: Error + 'static>(self) -> Result<E, Self> {
        match self {
            Self::Failed(error) => error.downcast().map(|e| *e).map_err(Self::Failed),
            Self::Cancelled => Err(self),
        }
    }
}
