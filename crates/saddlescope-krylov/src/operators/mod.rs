//! Operators made from other operators, from matrices and from closures.
//!
//! Every combination passes blocks on as blocks, so an operator whose vectors share work keeps that advantage
//! inside a sum or a shift.
//!
//! ```
//! use saddlescope_krylov::{Counted, DenseOperator, LinearOperator, Shifted};
//!
//! let a = DenseOperator::from_diagonal(&[1.0, 2.0, 3.0]);
//! let counted = Counted::new(&a);
//! let shifted = Shifted::new(&counted, -2.0);
//! let mut y = [0.0; 3];
//! shifted.apply(&[1.0, 1.0, 1.0], &mut y)?;
//! assert_eq!(y, [-1.0, 0.0, 1.0]);
//! assert_eq!(counted.products(), 1);
//! # Ok::<(), saddlescope_krylov::ProductError>(())
//! ```

mod counted;
mod dense;
mod function;
mod restricted;
mod scaled;
mod shifted;
mod sum;

pub use counted::Counted;
pub use dense::DenseOperator;
pub use function::FnOperator;
pub use restricted::Restricted;
pub use scaled::Scaled;
pub use shifted::Shifted;
pub use sum::Sum;

/// Why an operator could not be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// The number of matrix entries does not belong to a matrix of this shape.
    #[error("a {rows} × {cols} matrix has {} entries, but {found} were given", rows * cols)]
    EntryCount {
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        cols: usize,
        /// Entries found.
        found: usize,
    },
    /// Two operators of different shape cannot be added.
    #[error(
        "operators of a sum need one shape: the first is {rows} × {cols}, the second {other_rows} × {other_cols}"
    )]
    ShapeMismatch {
        /// Rows of the first operator.
        rows: usize,
        /// Columns of the first operator.
        cols: usize,
        /// Rows of the second operator.
        other_rows: usize,
        /// Columns of the second operator.
        other_cols: usize,
    },
    /// Shifts and restrictions need as many rows as columns.
    #[error("a square operator is needed, found {rows} × {cols}")]
    NotSquare {
        /// Rows found.
        rows: usize,
        /// Columns found.
        cols: usize,
    },
    /// A coordinate lies outside of the space.
    #[error("coordinate {index} is outside of a space of dimension {dim}")]
    CoordinateOutOfRange {
        /// The coordinate.
        index: usize,
        /// The dimension of the space.
        dim: usize,
    },
    /// Coordinates of a restriction must grow strictly.
    #[error("coordinates must be sorted and distinct: {second} follows {first}")]
    CoordinatesNotSorted {
        /// The earlier coordinate.
        first: usize,
        /// The coordinate that follows it.
        second: usize,
    },
}
