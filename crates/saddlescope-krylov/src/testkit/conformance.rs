//! Is an operator what it claims to be?

use crate::rng::Stream;
use crate::vector::{dot, norm};
use crate::{ProductError, SymmetricOperator};

/// What an operator does wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConformanceError {
    /// Rows and columns differ.
    #[error("a symmetric operator is square, found {rows} × {cols}")]
    NotSquare {
        /// Rows found.
        rows: usize,
        /// Columns found.
        cols: usize,
    },
    /// A property fails.
    #[error("{property} fails: relative error {error:e}, allowed {tolerance:e}")]
    Property {
        /// Which property.
        property: &'static str,
        /// The relative error found.
        error: f64,
        /// The tolerance.
        tolerance: f64,
    },
    /// The matrix to compare with has another size.
    #[error("the dense matrix has {found} entries, the operator needs {expected}")]
    DenseSize {
        /// Entries found.
        found: usize,
        /// Entries needed, n².
        expected: usize,
    },
    /// The operator cannot make a product.
    #[error(transparent)]
    Product(#[from] ProductError),
}

/// Checks that `operator` is linear, symmetric, repeatable, that a block product is the product of its columns,
/// and, if given, that it is the matrix `dense` (n × n, row by row).
///
/// Errors are relative to ‖A‖ as seen by the products made; `tolerance` is the largest allowed, for example 1e-12
/// for an operator that computes in double precision and 1e-5 for one in single precision.
///
/// # Errors
/// [`ConformanceError`] with the first property that fails and by how much.
pub fn check_operator(
    operator: &dyn SymmetricOperator,
    dense: Option<&[f64]>,
    tolerance: f64,
) -> Result<(), ConformanceError> {
    let (rows, cols) = (operator.nrows(), operator.ncols());
    if rows != cols {
        return Err(ConformanceError::NotSquare { rows, cols });
    }
    let n = cols;
    if n == 0 {
        return Ok(());
    }
    let draw = |index| {
        let mut x = vec![0.0; n];
        Stream::new(0, "conformance", index).fill_normal(&mut x);
        x
    };
    let image = |x: &[f64]| {
        // Filled with NaN: an operator must write every entry and not add to what it finds.
        let mut y = vec![f64::NAN; n];
        operator.apply(x, &mut y).map(|()| y)
    };
    let (x, y) = (draw(0), draw(1));
    let (ax, ay) = (image(&x)?, image(&y)?);
    let size = norm(&ax).max(norm(&ay));
    // Sums that do not compare, such as NaN, fail.
    let check = |property, error: f64, scale: f64| {
        let error = if scale == 0.0 { error } else { error / scale };
        if error <= tolerance {
            Ok(())
        } else {
            Err(ConformanceError::Property { property, error, tolerance })
        }
    };
    let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();

    let combination: Vec<f64> = x.iter().zip(&y).map(|(x, y)| 2.0 * x - 3.0 * y).collect();
    let expected: Vec<f64> = ax.iter().zip(&ay).map(|(x, y)| 2.0 * x - 3.0 * y).collect();
    check("A(2x − 3y) = 2Ax − 3Ay", difference(&image(&combination)?, &expected), size)?;
    check("A0 = 0", norm(&image(&vec![0.0; n])?), size)?;
    check("⟨x, Ay⟩ = ⟨y, Ax⟩", (dot(&x, &ay) - dot(&y, &ax)).abs(), size * norm(&x).max(norm(&y)))?;
    check("a repeated product gives the same", difference(&image(&x)?, &ax), size)?;

    let block: Vec<f64> = [x.clone(), y.clone(), draw(2)].concat();
    let mut images = vec![f64::NAN; block.len()];
    operator.apply_block(&block, &mut images)?;
    for (x, image_in_block) in block.chunks_exact(n).zip(images.chunks_exact(n)) {
        check("a block product is the product of its columns", difference(&image(x)?, image_in_block), size)?;
    }

    if let Some(dense) = dense {
        if dense.len() != n * n {
            return Err(ConformanceError::DenseSize { found: dense.len(), expected: n * n });
        }
        let by_rows: Vec<f64> = dense.chunks_exact(n).map(|row| dot(row, &x)).collect();
        check("A is the dense matrix", difference(&by_rows, &ax), size)?;
    }
    Ok(())
}
