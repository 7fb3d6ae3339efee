//! Projections on more than two random directions.

use super::EnsembleError;
use crate::evaluation::Threading;
use crate::numeric::dot;
use crate::random;
use crate::risk::{Curvature, Point, RiskError};
use nalgebra::DMatrix;
use rayon::prelude::*;

/// DᵀHD of one draw of k random directions D, with its eigenvalues.
#[derive(Clone, Debug, PartialEq)]
pub struct SubspaceHessian {
    /// k.
    pub k: usize,
    /// The k × k matrix DᵀHD, row-major and symmetric.
    pub matrix: Vec<f64>,
    /// Its eigenvalues in ascending order: the principal curvatures of the projection.
    pub curvatures: Vec<f64>,
}

impl SubspaceHessian {
    /// Whether curvatures of both signs show.
    pub fn is_saddle(&self) -> bool {
        self.curvatures.iter().any(|&c| c > 0.0) && self.curvatures.iter().any(|&c| c < 0.0)
    }
}

/// Projects the Hessian at `point` (of `n` parameters) on k random directions, `draws` times.
///
/// Direction j of draw d is the stream kd + j of `seed`; the results have the same bits on any number of threads.
///
/// # Errors
/// k = 0 or k > n, or a product that fails.
pub fn sample_subspaces(
    point: &dyn Point,
    n: usize,
    k: usize,
    draws: usize,
    seed: u64,
    threading: Threading,
) -> Result<Vec<SubspaceHessian>, EnsembleError> {
    if n == 0 {
        return Err(EnsembleError::Empty);
    }
    if k == 0 || k > n {
        return Err(EnsembleError::Directions { k, n });
    }
    let buffers = || (vec![0.0; k * n], vec![0.0; k * n]);
    let one = |(directions, products): &mut (Vec<f64>, Vec<f64>), draw: usize| {
        for (j, direction) in directions.chunks_exact_mut(n).enumerate() {
            random::fill_normal(seed, (draw * k + j) as u64, direction);
        }
        point.product(Curvature::Hessian, directions, products)?;
        Ok(project(n, k, directions, products))
    };
    let found: Result<Vec<SubspaceHessian>, RiskError> = match threading {
        Threading::Spread => (0..draws).into_par_iter().map_init(buffers, one).collect(),
        Threading::Sequential => {
            let mut scratch = buffers();
            (0..draws).map(|draw| one(&mut scratch, draw)).collect()
        }
    };
    Ok(found?)
}

fn project(n: usize, k: usize, directions: &[f64], products: &[f64]) -> SubspaceHessian {
    let mut matrix = vec![0.0; k * k];
    for (i, d) in directions.chunks_exact(n).enumerate() {
        for (j, h) in products.chunks_exact(n).enumerate().skip(i) {
            let entry = dot(d, h);
            matrix[i * k + j] = entry;
            matrix[j * k + i] = entry;
        }
    }
    let curvatures = if matrix.iter().all(|x| x.is_finite()) {
        let mut values: Vec<f64> =
            DMatrix::from_row_slice(k, k, &matrix).symmetric_eigenvalues().iter().copied().collect();
        values.sort_by(f64::total_cmp);
        values
    } else {
        vec![f64::NAN; k]
    };
    SubspaceHessian { k, matrix, curvatures }
}
