//! Ensemble averages as the number of draws grows (2.25), (2.26).

use super::{PlaneHessian, PrincipalCurvatures};
use saddlescope_krylov::Estimate;
use serde::{Deserialize, Serialize};

/// Averages over the first S draws, for each S of a list, with their standard errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningMeans {
    /// S, the numbers of draws.
    pub draws: Vec<usize>,
    /// ⟨A⟩.
    pub a: Vec<Estimate>,
    /// ⟨B⟩.
    pub b: Vec<Estimate>,
    /// ⟨C⟩.
    pub c: Vec<Estimate>,
    /// ⟨κ₊⟩, averaged after the curvatures were taken.
    pub kappa_plus: Vec<Estimate>,
    /// ⟨κ₋⟩.
    pub kappa_minus: Vec<Estimate>,
    /// κ̃₊ of the averaged Hessian (2.26); tends to tr H from above.
    pub kappa_tilde_plus: Vec<Estimate>,
    /// κ̃₋ of the averaged Hessian (2.26); tends to tr H from below.
    pub kappa_tilde_minus: Vec<Estimate>,
}

/// About `per_decade` numbers of draws in each factor of ten, from 1 to `draws`, both included.
pub fn log_spaced(draws: usize, per_decade: usize) -> Vec<usize> {
    if draws == 0 {
        return Vec::new();
    }
    let last = (draws as f64).log10() * per_decade.max(1) as f64;
    let mut counts: Vec<usize> = (0..=last.floor() as usize)
        .map(|i| 10_f64.powf(i as f64 / per_decade.max(1) as f64).round() as usize)
        .filter(|&count| count < draws)
        .collect();
    counts.push(draws);
    counts.dedup();
    counts
}

/// Averages over the first S planes for each S of `at`, which must ascend; S beyond the planes is left out.
///
/// Standard errors are those of independent draws. The errors of κ̃± are those of wᵀ⟨H⟩w along its eigenvector w
/// (the delta method): since two eigenvalues of an averaged matrix repel, κ̃₊ is in addition biased upwards, and κ̃₋
/// downwards, by up to √(π/2) √(tr H²/S) while that exceeds the distance between them.
pub fn running_means(planes: &[PlaneHessian], at: &[usize]) -> RunningMeans {
    let mut moments = Moments::default();
    let mut means = RunningMeans::default();
    let mut next = at.iter().copied().filter(|&s| s > 0 && s <= planes.len()).peekable();
    for plane in planes {
        moments.add(plane);
        while next.next_if_eq(&moments.count).is_some() {
            moments.record(&mut means);
        }
        if next.peek().is_none() {
            break;
        }
    }
    means
}

/// Mean and standard error of the first S values for each S of `at`, which must ascend; S beyond the values is left
/// out. The error of a single value is infinite.
pub fn running_estimates(values: &[f64], at: &[usize]) -> Vec<Estimate> {
    let (mut mean, mut squares) = (0.0, 0.0);
    let mut next = at.iter().copied().filter(|&s| s > 0 && s <= values.len()).peekable();
    let mut estimates = Vec::new();
    for (i, &value) in values.iter().enumerate() {
        let count = i + 1;
        let before = value - mean;
        mean += before / count as f64;
        squares += before * (value - mean);
        while next.next_if_eq(&count).is_some() {
            let s = count as f64;
            let std_error = if count < 2 { f64::INFINITY } else { (squares / (s - 1.0) / s).sqrt() };
            estimates.push(Estimate { value: mean, std_error, samples: count });
        }
    }
    estimates
}

/// Means and co-moments of (A, B, C, κ₊, κ₋), updated draw by draw (Welford).
#[derive(Default)]
struct Moments {
    count: usize,
    mean: [f64; 5],
    products: [[f64; 5]; 5],
}

impl Moments {
    fn add(&mut self, plane: &PlaneHessian) {
        let PrincipalCurvatures { plus, minus } = plane.curvatures();
        let values = [plane.a, plane.b, plane.c, plus, minus];
        self.count += 1;
        let before: [f64; 5] = std::array::from_fn(|i| values[i] - self.mean[i]);
        for i in 0..5 {
            self.mean[i] += before[i] / self.count as f64;
        }
        for i in 0..5 {
            for j in 0..5 {
                self.products[i][j] += before[i] * (values[j] - self.mean[j]);
            }
        }
    }

    /// Standard error of the mean of Σ wᵢ valueᵢ.
    fn std_error(&self, weights: [f64; 5]) -> f64 {
        if self.count < 2 {
            return f64::INFINITY;
        }
        let mut sum = 0.0;
        for i in 0..5 {
            for j in 0..5 {
                sum += weights[i] * weights[j] * self.products[i][j];
            }
        }
        let s = self.count as f64;
        (sum.max(0.0) / (s - 1.0) / s).sqrt()
    }

    fn record(&self, means: &mut RunningMeans) {
        let estimate =
            |value, weights| Estimate { value, std_error: self.std_error(weights), samples: self.count };
        let single = |i: usize| {
            let mut weights = [0.0; 5];
            weights[i] = 1.0;
            estimate(self.mean[i], weights)
        };
        let averaged = PlaneHessian { a: self.mean[0], b: self.mean[1], c: self.mean[2] };
        let tilde = averaged.curvatures();
        // Eigenvector (cos t, sin t) of κ̃₊; κ̃₋ belongs to (−sin t, cos t).
        let angle = 0.5 * (2.0 * averaged.b).atan2(averaged.a - averaged.c);
        let along = |x: f64, y: f64| [x * x, 2.0 * x * y, y * y, 0.0, 0.0];
        let (sin, cos) = angle.sin_cos();
        means.draws.push(self.count);
        means.a.push(single(0));
        means.b.push(single(1));
        means.c.push(single(2));
        means.kappa_plus.push(single(3));
        means.kappa_minus.push(single(4));
        means.kappa_tilde_plus.push(estimate(tilde.plus, along(cos, sin)));
        means.kappa_tilde_minus.push(estimate(tilde.minus, along(-sin, cos)));
    }
}
