//! Algorithm 1 of the paper: the largest-magnitude eigenpair, then that of the shifted operator.
//!
//! Böttcher and Wheeler (2022) find (λ₁, v₁) of largest magnitude, apply the solver again to A − λ₁I, and add λ₁
//! back (Appendix B, annihilation). It is here to be compared with [`extreme_eigenpairs`](crate::extreme_eigenpairs),
//! which finds both pairs from one Krylov space. The inner solver is the same, so the difference in products is
//! that of the method.
//!
//! ```
//! use saddlescope_krylov::{ConditionB1, DenseOperator, ExtremeEigen, algorithm1};
//!
//! let a = DenseOperator::from_diagonal(&[7.0, 1.0, 0.5, -0.25, -2.0]);
//! let found = algorithm1(&a, &ExtremeEigen { tolerance: 1e-9, ..ExtremeEigen::default() }, &mut ())?;
//! assert_eq!(found.condition, Some(ConditionB1::Holds));
//! assert!((found.maximum().unwrap().value - 7.0).abs() < 1e-8);
//! assert!((found.minimum().unwrap().value + 2.0).abs() < 1e-8);
//! # Ok::<(), saddlescope_krylov::LanczosError>(())
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lanczos::solve_shifted;
use crate::{Eigenpair, ExtremeEigen, LanczosError, Observer, Shifted, Status, SymmetricOperator, Wanted};

/// Whether condition (B.1) holds: |λ₁| is larger than every other |λ|, and the eigenvalue farthest from λ₁ has the
/// opposite sign. As far as the two pairs found can tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ConditionB1 {
    /// The two values have opposite signs and different magnitudes.
    Holds,
    /// All eigenvalues have the sign of λ₁: the second pair is the end of the spectrum near zero.
    NoOppositeSign,
    /// |λ₁| and |λ₂| cannot be told apart within their residuals. Which of the two came first is chance.
    EqualMagnitude,
}

impl fmt::Display for ConditionB1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConditionB1::Holds => "condition (B.1) holds",
            ConditionB1::NoOppositeSign => {
                "condition (B.1) fails: there is no eigenvalue of the opposite sign, the second pair is the end of the spectrum next to zero"
            }
            ConditionB1::EqualMagnitude => {
                "condition (B.1) fails: the two ends have the same magnitude within their residuals; both pairs are right, their order is chance"
            }
        })
    }
}

/// What [`algorithm1`] found.
#[derive(Clone, Debug)]
pub struct DominantDirections {
    /// The pair of largest magnitude, if one was found.
    pub first: Option<Eigenpair>,
    /// The pair farthest from it.
    pub second: Option<Eigenpair>,
    /// Condition (B.1), once both pairs are known.
    pub condition: Option<ConditionB1>,
    /// How it ended; of the second solve if that was reached.
    pub status: Status,
    /// Products of the first solve.
    pub products_first: usize,
    /// Products of both.
    pub products: usize,
}

impl DominantDirections {
    /// The pair of the larger eigenvalue: the first if λ₁ ≥ 0, otherwise the second.
    pub fn maximum(&self) -> Option<&Eigenpair> {
        if self.first.as_ref()?.value >= 0.0 { self.first.as_ref() } else { self.second.as_ref() }
    }

    /// The pair of the smaller eigenvalue.
    pub fn minimum(&self) -> Option<&Eigenpair> {
        if self.first.as_ref()?.value >= 0.0 { self.second.as_ref() } else { self.first.as_ref() }
    }
}

/// Algorithm 1 of the paper. `options.wanted` is not used; everything else holds for both solves, the limit on
/// products for their sum. The tolerance is relative to the eigenvalue of A in both.
///
/// # Errors
/// [`LanczosError`] when the request cannot be carried out or the operator fails.
pub fn algorithm1(
    operator: &dyn SymmetricOperator,
    options: &ExtremeEigen,
    observer: &mut dyn Observer,
) -> Result<DominantDirections, LanczosError> {
    let mut options = ExtremeEigen { wanted: Wanted::LargestMagnitude(1), ..options.clone() };
    let mut one = solve_shifted(operator, &options, 0.0, observer)?;
    let products_first = one.products;
    let first = if one.pairs.is_empty() { None } else { Some(one.pairs.remove(0)) };
    let mut found = DominantDirections {
        first,
        second: None,
        condition: None,
        status: one.status,
        products_first,
        products: products_first,
    };
    let lambda = match &found.first {
        Some(first) if one.status == Status::Converged => first.value,
        _ => return Ok(found),
    };
    options.max_products = options.max_products.saturating_sub(products_first);
    let shifted = Shifted::new(operator, -lambda);
    let mut two = solve_shifted(&shifted, &options, lambda, observer)?;
    found.products += two.products;
    found.status = two.status;
    if !two.pairs.is_empty() {
        let mut second = two.pairs.remove(0);
        second.value += lambda;
        found.second = Some(second);
    }
    found.condition = condition(&found);
    Ok(found)
}

fn condition(found: &DominantDirections) -> Option<ConditionB1> {
    let (first, second) = (found.first.as_ref()?, found.second.as_ref()?);
    let gap = first.value.abs() - second.value.abs();
    Some(if gap.abs() <= first.residual + second.residual && first.value != second.value {
        ConditionB1::EqualMagnitude
    } else if first.value * second.value < 0.0 && gap > 0.0 {
        ConditionB1::Holds
    } else {
        ConditionB1::NoOppositeSign
    })
}
