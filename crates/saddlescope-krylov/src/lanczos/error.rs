//! What can be wrong with a request, found before the first product; and an operator that fails.

use crate::ProductError;

/// A request that the eigensolver cannot carry out, or a product that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LanczosError {
    /// The operator is not square.
    #[error("an eigenproblem needs a square operator, found {rows} × {cols}")]
    NotSquare {
        /// Rows found.
        rows: usize,
        /// Columns found.
        cols: usize,
    },
    /// No eigenpairs were asked for.
    #[error("no eigenpairs were asked for: ask for at least one")]
    NothingWanted,
    /// A tolerance is negative or not a number.
    #[error("a tolerance must be finite and not negative, found {found}")]
    Tolerance {
        /// The value found.
        found: f64,
    },
    /// The block size is zero.
    #[error("the block size must be at least 1, found 0")]
    BlockSize,
    /// The limit on the basis leaves no room to work.
    #[error(
        "the basis limit holds {given} vectors, but {needed} are needed ({bytes} bytes): raise the limit, ask for fewer eigenpairs, use a smaller block or store the basis in single precision"
    )]
    BasisTooSmall {
        /// Vectors that fit.
        given: usize,
        /// Vectors needed at least.
        needed: usize,
        /// Bytes these take.
        bytes: usize,
    },
    /// A start vector does not fit the operator.
    #[error("start vector {index} has {found} entries, the operator has dimension {expected}")]
    StartLength {
        /// Which start vector.
        index: usize,
        /// Its length.
        found: usize,
        /// The dimension.
        expected: usize,
    },
    /// A start vector is zero or not finite.
    #[error("start vector {index} has norm {norm}: it must be finite and not zero")]
    StartNorm {
        /// Which start vector.
        index: usize,
        /// Its norm.
        norm: f64,
    },
    /// A saved state belongs to another solve.
    #[error("the saved state does not belong to this solve: its {what} is {found}, here it is {expected}")]
    StateMismatch {
        /// What differs.
        what: &'static str,
        /// The value in the state.
        found: String,
        /// The value here.
        expected: String,
    },
    /// The operator could not make a product.
    #[error(transparent)]
    Product(#[from] ProductError),
}
