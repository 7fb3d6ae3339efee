//! Power iteration, stopped by the residual.
//!
//! The oldest method for the eigenvalue of largest magnitude, and the one most Hessian tools use. Its error shrinks
//! by |λ₂/λ₁| a product; a Krylov method with the same products is never worse. Stopping when the value changes
//! little, as is often done, stops long before the pair is right where that ratio is near one.
//!
//! ```
//! use saddlescope_krylov::{DenseOperator, PowerIteration, Status, power_iteration};
//!
//! let a = DenseOperator::from_diagonal(&[4.0, 2.0, 1.0, -1.0]);
//! let found = power_iteration(&a, &PowerIteration { tolerance: 1e-6, ..Default::default() }, &mut ())?;
//! assert_eq!(found.status, Status::Converged);
//! assert!((found.pair.unwrap().value - 4.0).abs() < 1e-10);
//! # Ok::<(), saddlescope_krylov::LanczosError>(())
//! ```

use crate::observer::{Observer, Progress, RitzValue};
use crate::rng::Stream;
use crate::{Criterion, Eigenpair, Forecast, LanczosError, ProductError, Status, SymmetricOperator, vector};

/// Options of [`power_iteration`].
#[derive(Clone, Debug, PartialEq)]
pub struct PowerIteration {
    /// Stop when ‖Av − λv‖ ≤ `tolerance`·|λ + `offset`|.
    pub tolerance: f64,
    /// Added to λ in the test above: σ for an operator A − σI whose eigenvalues are to be those of A.
    pub offset: f64,
    /// Most operator products.
    pub max_products: usize,
    /// Seed of the random start.
    pub seed: u64,
}

impl Default for PowerIteration {
    fn default() -> Self {
        Self { tolerance: 1e-4, offset: 0.0, max_products: 1000, seed: 0 }
    }
}

/// What [`power_iteration`] found.
#[derive(Clone, Debug)]
pub struct PowerSolution {
    /// The last pair, with the residual of the product that gave it; none without a finite product, or when a product
    /// was cancelled.
    pub pair: Option<Eigenpair>,
    /// How it ended.
    pub status: Status,
    /// Products used.
    pub products: usize,
}

/// The eigenpair of largest magnitude by power iteration.
///
/// # Errors
/// [`LanczosError`] when the operator is not square or fails, or the tolerance is no tolerance.
pub fn power_iteration(
    operator: &dyn SymmetricOperator,
    options: &PowerIteration,
    observer: &mut dyn Observer,
) -> Result<PowerSolution, LanczosError> {
    let (rows, cols) = (operator.nrows(), operator.ncols());
    if rows != cols {
        return Err(LanczosError::NotSquare { rows, cols });
    }
    if !(options.tolerance.is_finite() && options.tolerance >= 0.0) {
        return Err(LanczosError::Tolerance { found: options.tolerance });
    }
    let mut solution = PowerSolution { pair: None, status: Status::MaxMatvecs, products: 0 };
    if cols == 0 {
        solution.status = Status::InvariantSubspace;
        return Ok(solution);
    }
    let mut x = vec![0.0; cols];
    Stream::new(options.seed, "power", 0).fill_normal(&mut x);
    let size = vector::norm(&x);
    vector::scale(1.0 / size, &mut x);
    let mut image = vec![0.0; cols];
    let mut last = None;
    while solution.products < options.max_products {
        match operator.apply(&x, &mut image) {
            Ok(()) => {}
            Err(ProductError::Cancelled) => {
                // The vector of the last product has given its place to this one.
                solution.status = Status::Cancelled;
                return Ok(solution);
            }
            Err(error) => return Err(error.into()),
        }
        solution.products += 1;
        let size = vector::norm(&image);
        if !size.is_finite() {
            solution.status = Status::NonFinite;
            break;
        }
        let value = vector::dot(&x, &image);
        let residual = vector::residual_norm(&image, value, &x);
        // The floor is rounding: A's action cannot be known better.
        let goal = (options.tolerance * (value + options.offset).abs()).max(64.0 * f64::EPSILON * size);
        let relative = options.tolerance * (value + options.offset).abs();
        let converged = residual <= goal;
        let criterion =
            converged.then_some(if residual <= relative { Criterion::Relative } else { Criterion::Floor });
        last = Some((value, residual, criterion));
        let ritz = [RitzValue { value, residual_estimate: residual }];
        let progress = Progress {
            stage: "power iteration",
            products: solution.products,
            max_products: options.max_products,
            ritz: &ritz,
            wanted: &[],
            forecast: Forecast::Unknown,
            estimate: None,
        };
        if converged {
            solution.status = Status::Converged;
            break;
        }
        if observer.progress(&progress).is_break() {
            solution.status = Status::Cancelled;
            break;
        }
        if solution.products < options.max_products {
            std::mem::swap(&mut x, &mut image);
            vector::scale(1.0 / size, &mut x);
        }
    }
    if solution.status != Status::NonFinite
        && let Some((value, residual, criterion)) = last
    {
        vector::fix_sign(&mut x);
        solution.pair =
            Some(Eigenpair { value, vector: x, residual, converged: criterion.is_some(), criterion });
    }
    Ok(solution)
}
