//! Principal components of points in parameter space.

use nalgebra::DMatrix;

use super::error::BetweenError;
use crate::numeric::{add_scaled, dot, norm};

/// Principal components of a set of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Unit vectors, the one of the largest variance first; as many as were asked for.
    pub directions: Vec<Vec<f64>>,
    /// Share of the variance along every component, largest first: as many as the points span.
    pub shares: Vec<f64>,
    /// Mean of the points.
    pub mean: Vec<f64>,
}

/// The first `count` principal components of T ≥ 2 points, from the T × T Gram matrix of the centred points.
///
/// Each component points the way in which the last point lies, seen from the first one.
///
/// # Errors
/// Points that span fewer dimensions than components are asked for.
pub fn principal(points: &[&[f64]], count: usize) -> Result<Principal, BetweenError> {
    let (t, n) = (points.len(), points.first().map_or(0, |p| p.len()));
    let mut mean = vec![0.0; n];
    for p in points {
        add_scaled(&mut mean, 1.0 / t as f64, p);
    }
    let centred: Vec<Vec<f64>> =
        points.iter().map(|p| p.iter().zip(&mean).map(|(x, m)| x - m).collect()).collect();
    let gram = DMatrix::from_fn(t, t, |i, j| dot(&centred[i], &centred[j]));
    let eigen = gram.symmetric_eigen();
    let mut order: Vec<usize> = (0..t).collect();
    order.sort_by(|&i, &j| eigen.eigenvalues[j].total_cmp(&eigen.eigenvalues[i]));
    let total: f64 = eigen.eigenvalues.iter().map(|v| v.max(0.0)).sum();
    let largest = order.first().map_or(0.0, |&i| eigen.eigenvalues[i]);
    // Rounding leaves eigenvalues of this size where there is nothing.
    let floor = 1e-12 * largest;
    let spanned: Vec<usize> = order.into_iter().filter(|&i| eigen.eigenvalues[i] > floor).collect();
    if spanned.len() < count {
        return Err(BetweenError::NoPlane);
    }
    let shares = spanned.iter().map(|&i| eigen.eigenvalues[i] / total).collect();
    let mut directions: Vec<Vec<f64>> = Vec::new();
    for &i in spanned.iter().take(count) {
        let mut v = vec![0.0; n];
        for (coefficient, point) in eigen.eigenvectors.column(i).iter().zip(&centred) {
            add_scaled(&mut v, *coefficient, point);
        }
        for before in &directions {
            let along = dot(&v, before);
            add_scaled(&mut v, -along, before);
        }
        let way: f64 = match (centred.first(), centred.last()) {
            (Some(first), Some(last)) => dot(&v, last) - dot(&v, first),
            _ => 1.0,
        };
        let scale = if way < 0.0 { -1.0 } else { 1.0 } / norm(&v);
        v.iter_mut().for_each(|x| *x *= scale);
        directions.push(v);
    }
    Ok(Principal { directions, shares, mean })
}

/// Share of the variance along component `k` (from 1) of a random walk of T points with independent, isotropic steps in many
/// dimensions: 1/(4 sin²(πk/2T)) over (T² − 1)/6; for many points 6/(πk)², 61 % for the first component and 15 % for the second
/// (Antognini & Sohl-Dickstein, *PCA of high dimensional random walks with comparison to neural network training*, 2018).
pub fn random_walk_share(k: usize, points: usize) -> f64 {
    let t = points as f64;
    if k == 0 || k >= points {
        return 0.0;
    }
    let sine = (std::f64::consts::PI * k as f64 / (2.0 * t)).sin();
    1.5 / (sine * sine * (t * t - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fill_normal;

    #[test]
    fn components_of_a_known_ellipse() {
        // Points (±3, 0, 0), (0, ±1, 0) around (5, 5, 5): variances 18 and 2 of 20.
        let points = [[8.0, 5.0, 5.0], [2.0, 5.0, 5.0], [5.0, 6.0, 5.0], [5.0, 4.0, 5.0]];
        let points: Vec<&[f64]> = points.iter().map(|p| p.as_slice()).collect();
        let found = principal(&points, 2).unwrap();
        assert!((found.shares[0] - 0.9).abs() < 1e-14 && (found.shares[1] - 0.1).abs() < 1e-14);
        assert!((found.directions[0][0].abs() - 1.0).abs() < 1e-14);
        assert!((found.directions[1][1].abs() - 1.0).abs() < 1e-14);
        assert_eq!(principal(&points, 3), Err(BetweenError::NoPlane));
    }

    #[test]
    fn a_random_walk_has_the_shares_of_the_closed_form() {
        let (t, n) = (40, 20_000);
        let mut walk = vec![vec![0.0; n]];
        for step in 1..t {
            let mut next = vec![0.0; n];
            fill_normal(1, step as u64, &mut next);
            add_scaled(&mut next, 1.0, &walk[step - 1]);
            walk.push(next);
        }
        let points: Vec<&[f64]> = walk.iter().map(Vec::as_slice).collect();
        let found = principal(&points, 2).unwrap();
        for k in 1..5 {
            // Dot products of steps fluctuate by 1/√N = 0.7 %.
            let expected = random_walk_share(k, t);
            assert!(
                (found.shares[k - 1] / expected - 1.0).abs() < 0.05,
                "{k}: {} {expected}",
                found.shares[k - 1]
            );
        }
        let total: f64 = (1..t).map(|k| random_walk_share(k, t)).sum();
        assert!((total - 1.0).abs() < 1e-12);
        assert!((random_walk_share(1, 10_000) - 6.0 / std::f64::consts::PI.powi(2)).abs() < 1e-6);
    }
}
