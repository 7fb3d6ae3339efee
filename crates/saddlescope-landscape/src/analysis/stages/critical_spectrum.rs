//! The spectrum of the Hessian where the gradient is zero: every eigenvalue of a small network, the extreme ones of a
//! large one.

use std::ops::ControlFlow;
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use nalgebra::DMatrix;
use saddlescope_krylov::{ExtremeEigen, LinearOperator, Progress, Stream, Wanted, extreme_eigenpairs};

use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::journal::Journal;
use super::super::plan::Forecast;
use super::super::results::{CriticalSpectrum, PartEigenvalue};
use super::super::selection::CriticalSpectrumOptions;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use super::sharpness::rounding;
use crate::curvature_operator::CurvatureOperator;
use crate::numeric::norm;
use crate::risk::Curvature;
use crate::settle::SettleEnd;

/// The stage of the spectrum at the settled point.
pub(crate) struct CriticalSpectrumStage {
    /// How much of it.
    pub options: CriticalSpectrumOptions,
    /// Bytes that a Krylov basis may take.
    pub basis: usize,
}

const PRODUCTS: &str = "products";
/// Unit vectors multiplied at a time.
const BLOCK: usize = 8;

impl CriticalSpectrumStage {
    fn whole(&self, n: usize) -> bool {
        n <= self.options.whole_up_to
    }
}

impl Stage for CriticalSpectrumStage {
    type Output = CriticalSpectrum;

    fn name(&self) -> String {
        "critical-spectrum".into()
    }

    fn title(&self) -> String {
        "spectrum at the critical point".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let o = &self.options;
        of([
            ("stage.settle", keys.settle.clone().into()),
            ("whole_up_to", o.whole_up_to.into()),
            ("largest", o.largest.into()),
            ("smallest", o.smallest.into()),
            ("tolerance", o.tolerance.into()),
            ("max_products", o.max_products.into()),
            ("basis_bytes", self.basis.into()),
        ])
    }

    fn forecast(&self, env: &Env<'_>) -> Forecast {
        let n = env.subject.theta().len();
        let pairs = self.options.largest + self.options.smallest;
        let extreme = (35 + 10 * pairs).min(self.options.max_products);
        Forecast { products: if self.whole(n) { n } else { extreme }, evaluations: 0 }
    }

    fn dense_seconds(&self, env: &Env<'_>) -> f64 {
        let n = env.subject.theta().len();
        if self.whole(n) { eigenvalue_seconds(n) } else { 0.0 }
    }

    fn applies(&self, found: &Found) -> bool {
        found.settled.as_ref().is_some_and(|s| s.way.gradient_norm().is_finite())
    }

    fn suffices(&self, kept: &CriticalSpectrum) -> bool {
        // Earlier versions kept what the solver said, whether it were numbers or not.
        kept.eigenvalues.iter().all(|x| x.is_finite())
    }

    fn compute(
        &self,
        at: &mut At<'_, '_>,
        _: Option<CriticalSpectrum>,
    ) -> Result<CriticalSpectrum, AnalysisError> {
        let Some(settled) = &at.found.settled else {
            return Err(AnalysisError::Other("the spectrum needs the settled point".into()));
        };
        let risk = at.env.subject.risk();
        let here = risk.at(&settled.way.theta, at.env.plan.keep)?;
        let hessian = CurvatureOperator::new(&*here, Curvature::Hessian);
        let journal = Journal::open(&hessian, &at.slot.file(PRODUCTS))?;
        // How far an eigenvalue may lie from that at the critical point itself.
        let change = settled.way.steps.last().map_or(0.0, crate::settle::SettleStep::hessian_change);
        let distance = match settled.way.end {
            Some(SettleEnd::Converged) => settled.way.gradient_norm() + change,
            // There is no critical point to be close to: the signs are those at this very point.
            _ => 0.0,
        };
        let found = if self.whole(settled.way.theta.len()) {
            whole(at, &journal, settled.way.theta.len(), distance)?
        } else {
            self.extreme(at, &journal, distance)?
        };
        journal.finish()?;
        at.env.count_products(found.products);
        at.monitor.end(&found.counts());
        Ok(found)
    }

    fn file(&self, output: CriticalSpectrum, slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        slot.remove(PRODUCTS)?;
        found.critical_spectrum = Some(output);
        Ok(())
    }
}

/// Dimension of the matrix whose time is measured.
const MEASURED: usize = 320;
/// How much longer than by its cube a matrix takes that does not fit the processor's caches, as measured with N = 3,466.
const OUT_OF_CACHE: f64 = 2.0;

/// Seconds that all eigenvalues of a matrix will take, by the time of a small one.
fn eigenvalue_seconds(n: usize) -> f64 {
    static SMALL: OnceLock<f64> = OnceLock::new();
    let seconds = *SMALL.get_or_init(|| {
        let m = DMatrix::from_fn(MEASURED, MEASURED, |i, j| (1.7 * (i * j) as f64 + (i + j) as f64).sin());
        let began = Instant::now();
        std::hint::black_box(m.symmetric_eigenvalues());
        began.elapsed().as_secs_f64()
    });
    let times = (n as f64 / MEASURED as f64).powi(3);
    seconds * if n > MEASURED { OUT_OF_CACHE * times } else { times }
}

/// The matrix divided by its norm ‖·‖_F, and that norm: no square of an entry that matters is lost.
fn normalised(mut matrix: DMatrix<f64>) -> (DMatrix<f64>, f64) {
    let size = norm(matrix.as_slice());
    if size > 0.0 && size.is_finite() {
        matrix.iter_mut().for_each(|x| *x /= size);
    }
    (matrix, size)
}

/// All eigenvalues of a symmetric matrix of norm 1; `None` where the solver finds numbers that are none, or that are not those of the
/// matrix.
///
/// Squares of entries below 1e-154 are zero, and the solver divides by them: such a matrix is solved again with noise of the size of its
/// rounding errors, ‖E‖ ≤ ε ‖H‖_F, which leaves no entry that small.
fn dense_eigenvalues(matrix: &DMatrix<f64>) -> Option<Vec<f64>> {
    let n = matrix.nrows();
    let rounding = n as f64 * f64::EPSILON;
    let solve = |matrix: &DMatrix<f64>| {
        let mut found: Vec<f64> = matrix.symmetric_eigenvalues().iter().copied().collect();
        found.sort_by(f64::total_cmp);
        let squares: f64 = found.iter().map(|x| x * x).sum();
        let trace = (found.iter().sum::<f64>() - matrix.trace()).abs();
        // NaN is no small difference. The errors of N eigenvalues may add up.
        let sound = trace <= 10.0 * n as f64 * rounding
            && (squares - matrix.norm_squared()).abs() <= 10.0 * n as f64 * rounding;
        (sound && found.iter().all(|x| x.is_finite())).then_some(found)
    };
    solve(matrix).or_else(|| {
        let mut noise = vec![0.0; n * (n + 1) / 2];
        Stream::new(0, "dense eigenvalues", 0).fill_rademacher(&mut noise);
        let mut noisy = matrix.clone();
        let mut next = noise.iter();
        for i in 0..n {
            for j in 0..=i {
                let e = next.next().map_or(0.0, |sign| sign * f64::EPSILON / n as f64);
                noisy[(i, j)] += e;
                noisy[(j, i)] = noisy[(i, j)];
            }
        }
        solve(&noisy)
    })
}

/// All eigenvalues in ascending order; whoever watches sees how much of the time expected has passed, since the solver cannot be asked.
fn eigenvalues(at: &mut At<'_, '_>, matrix: DMatrix<f64>) -> Result<Vec<f64>, AnalysisError> {
    let expected = eigenvalue_seconds(matrix.nrows());
    at.monitor.begin("all eigenvalues of the Hessian", Some(100));
    let began = Instant::now();
    let (send, receive) = mpsc::channel();
    // Not a scoped thread: who interrupts does not wait for the end of the solve.
    std::thread::spawn(move || send.send(dense_eigenvalues(&matrix)));
    loop {
        match receive.recv_timeout(Duration::from_millis(200)) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {
                return Err(AnalysisError::Other(
                    "the eigenvalue solver found numbers that are not the eigenvalues of the Hessian at the settled point: their sums \
                     are not its trace and its norm; the extreme ones alone can be computed (whole-up-to 0)"
                        .into(),
                ));
            }
            Err(mpsc::RecvTimeoutError::Timeout) if at.monitor.cancelled() => {
                return Err(AnalysisError::Cancelled);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let share = (100.0 * began.elapsed().as_secs_f64() / expected).min(99.0);
                at.monitor.advance(share as u64, "(per cent of the time expected)");
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(AnalysisError::Other("the eigenvalue solver stopped".into()));
            }
        }
    }
}

/// Every eigenvalue, from N products with unit vectors.
fn whole(
    at: &mut At<'_, '_>,
    hessian: &Journal<'_>,
    n: usize,
    distance: f64,
) -> Result<CriticalSpectrum, AnalysisError> {
    at.monitor.begin("all columns of the Hessian", Some(n as u64));
    let mut entries = vec![0.0; n * n];
    for start in (0..n).step_by(BLOCK) {
        at.check()?;
        let count = BLOCK.min(n - start);
        let mut units = vec![0.0; count * n];
        (0..count).for_each(|i| units[i * n + start + i] = 1.0);
        hessian.apply_block(&units, &mut entries[start * n..(start + count) * n])?;
        at.monitor.advance((start + count) as u64, "");
    }
    at.monitor.end("");
    // What is not symmetric is rounding of the products; the symmetric part has about as much of it.
    let mut skew = vec![0.0; n];
    for i in 0..n {
        let mut row = vec![0.0; i];
        for j in 0..i {
            let (a, b) = (entries[i * n + j], entries[j * n + i]);
            let mean = 0.5 * (a + b);
            row[j] = 0.5_f64.sqrt() * (a - b);
            (entries[i * n + j], entries[j * n + i]) = (mean, mean);
        }
        skew[i] = norm(&row);
    }
    let (matrix, size) = normalised(DMatrix::from_vec(n, n, entries));
    if !size.is_finite() {
        return Err(AnalysisError::Other("the Hessian at the settled point is not finite".into()));
    }
    let threshold = norm(&skew) + n as f64 * f64::EPSILON * size + distance;
    let eigenvalues: Vec<f64> = eigenvalues(at, matrix)?.iter().map(|x| size * x).collect();
    let count = |test: &dyn Fn(f64) -> bool| eigenvalues.iter().filter(|x| test(**x)).count();
    Ok(CriticalSpectrum {
        whole: true,
        negative: count(&|x| x < -threshold),
        zero: Some(count(&|x| x.abs() <= threshold)),
        positive: count(&|x| x > threshold),
        threshold,
        largest: Vec::new(),
        smallest: Vec::new(),
        eigenvalues,
        products: n,
    })
}

impl CriticalSpectrumStage {
    /// The extreme eigenvalues with their residuals.
    fn extreme(
        &self,
        at: &mut At<'_, '_>,
        hessian: &Journal<'_>,
        distance: f64,
    ) -> Result<CriticalSpectrum, AnalysisError> {
        let o = &self.options;
        let rounding = rounding(at);
        let (env, monitor) = (at.env, &mut *at.monitor);
        let eigen = ExtremeEigen {
            wanted: Wanted::Ends { largest: o.largest, smallest: o.smallest },
            tolerance: o.tolerance,
            max_products: o.max_products,
            precision: env.subject.risk().offers().precision,
            basis_limit: env.plan.basis_limit(),
            seed: env.selection.seed,
            ..ExtremeEigen::default()
        };
        let mut cancelled = false;
        let solution = extreme_eigenpairs(hessian, &eigen, &mut |p: &Progress<'_>| {
            monitor.advance(p.products as u64, "");
            cancelled = monitor.cancelled();
            if cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if cancelled {
            return Err(AnalysisError::Cancelled);
        }
        let part = |p: &saddlescope_krylov::Eigenpair| PartEigenvalue {
            value: p.value,
            residual: p.residual,
            converged: p.converged,
        };
        // What products lose by rounding is of the size of the largest eigenvalue, whatever a small one's residual is.
        let threshold = distance + rounding * solution.norm_estimate;
        let sign = |p: &PartEigenvalue, sign: f64| p.converged && sign * p.value > p.residual + threshold;
        let largest: Vec<PartEigenvalue> = solution.largest().iter().map(part).collect();
        let smallest: Vec<PartEigenvalue> = solution.smallest().iter().map(part).collect();
        let all = || largest.iter().chain(&smallest);
        Ok(CriticalSpectrum {
            whole: false,
            negative: all().filter(|p| sign(p, -1.0)).count(),
            zero: None,
            positive: all().filter(|p| sign(p, 1.0)).count(),
            threshold,
            eigenvalues: Vec::new(),
            products: solution.products,
            largest,
            smallest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_whose_squares_vanish_do_not_spoil_the_eigenvalues() {
        // Each parameter counts for a thousandth of the one before, as behind units that are more and more saturated.
        let n = 40;
        let mut noise = vec![0.0; n * n];
        Stream::new(3, "graded", 0).fill_normal(&mut noise);
        let graded =
            |i: usize, j: usize| 10f64.powi(-3 * (i + j) as i32) * (noise[i * n + j] + noise[j * n + i]);
        for scale in [1.0, 1e-55] {
            let (matrix, size) = normalised(DMatrix::from_fn(n, n, |i, j| scale * graded(i, j)));
            assert!(matrix.symmetric_eigenvalues().iter().any(|x| x.is_nan()), "the solver alone manages");
            let found = dense_eigenvalues(&matrix).unwrap();
            let small = saddlescope_krylov::DenseOperator::new(n, matrix.as_slice().to_vec()).unwrap();
            let of_solvers = small.eigenvalues().unwrap();
            assert!(
                found.iter().zip(&of_solvers).all(|(a, b)| (a - b).abs() < 1e-14),
                "{found:?} {of_solvers:?}"
            );
            assert_eq!(found.len(), n);
            // One eigenvalue is that of the first entry but for 1e-6 of it; the others are a millionth and less.
            let first = matrix[(0, 0)];
            assert!(found.iter().any(|x| (x - first).abs() < 1e-5), "{found:?} {first} {size}");
            assert_eq!(found.iter().filter(|x| x.abs() > 1e-5).count(), 1, "{found:?}");
        }
    }

    #[test]
    fn eigenvalues_of_matrices_of_any_size() {
        for scale in [1e-300, 1.0, 1e300] {
            let m = DMatrix::from_fn(30, 30, |i, j| if i == j { 2.0 * scale } else { 0.1 * scale });
            let (matrix, size) = normalised(m);
            let found: Vec<f64> =
                dense_eigenvalues(&matrix).unwrap().iter().map(|x| size / scale * x).collect();
            assert!((found[29] - 4.9).abs() < 1e-13 && found[..29].iter().all(|x| (x - 1.9).abs() < 1e-13));
        }
        assert_eq!(dense_eigenvalues(&DMatrix::zeros(3, 3)).unwrap(), [0.0; 3]);
    }
}
