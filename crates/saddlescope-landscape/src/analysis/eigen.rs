//! Extreme eigenpairs of the Hessian, saved after every product.

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;

use crate::risk::Curvature;
use saddlescope_data::weights::{TensorData, TensorMap};
use saddlescope_krylov::Precision;
use saddlescope_krylov::{
    Eigenpair, ExtremeEigen, LanczosState, Observer, Progress, SnapshotWriter, Status, SymmetricOperator,
    Wanted, algorithm1, extreme_eigenpairs, read_snapshot, resume_extreme_eigenpairs,
};

use super::error::AnalysisError;
use super::folder::RunFolder;
use super::journal::Journal;
use super::memory::MemoryPlan;
use super::monitor::Monitor;
use super::options::{AnalysisOptions, EigenMethod};
use super::results::{EigenResult, EigenpairResult, End};
use crate::curvature_operator::CurvatureOperator;
use crate::risk::Point;

/// The stage's numbers and the eigenvectors, in the order of the pairs.
pub struct EigenStage {
    /// Numbers.
    pub result: EigenResult,
    /// Unit vectors.
    pub vectors: Vec<Vec<f64>>,
}

impl EigenStage {
    /// Number `index` (from 1, the extreme one) at one end, with its vector, if it was found.
    pub fn pair(&self, end: End, index: usize) -> Option<(&EigenpairResult, &[f64])> {
        let mut places: Vec<usize> =
            (0..self.vectors.len()).filter(|&i| self.result.pairs[i].end == end).collect();
        if end == End::Smallest {
            places.reverse();
        }
        let &i = places.get(index.checked_sub(1)?)?;
        Some((&self.result.pairs[i], &self.vectors[i]))
    }

    /// The pair of the largest eigenvalue, if it was asked for.
    pub fn largest(&self) -> Option<(&EigenpairResult, &[f64])> {
        self.pair(End::Largest, 1)
    }

    /// The pair of the smallest eigenvalue, if it was asked for.
    pub fn smallest(&self) -> Option<(&EigenpairResult, &[f64])> {
        self.pair(End::Smallest, 1)
    }
}

const STAGE: &str = "eigen";
const VECTORS: &str = "eigenvectors.safetensors";
const LOG: &str = "lanczos.log";
const JOURNAL: &str = "algorithm1.products";

/// Finds the pairs, or reads them if the folder has them.
///
/// # Errors
/// Cancelled, or a folder that cannot be written.
pub fn eigenpairs(
    near: &dyn Point,
    precision: Precision,
    options: &AnalysisOptions,
    plan: &MemoryPlan,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<EigenStage, AnalysisError> {
    if let Some(result) = folder.load::<EigenResult>(STAGE)? {
        let path = folder.work(VECTORS);
        let tensors = TensorMap::read(&path)?;
        let vector = |pair: &EigenpairResult| {
            let tensor = tensors.get(&pair.direction).filter(|t| t.data.len() == near.dim());
            tensor.map(|t| t.data.to_f64()).ok_or_else(|| AnalysisError::Given {
                path: path.clone(),
                problem: format!("no eigenvector `{}` of {} numbers", pair.direction, near.dim()),
            })
        };
        let vectors = result.pairs.iter().map(vector).collect::<Result<_, _>>()?;
        monitor.note("eigenpairs: kept from the earlier run");
        return Ok(EigenStage { result, vectors });
    }
    let solve = ExtremeEigen {
        wanted: Wanted::Ends { largest: options.largest, smallest: options.smallest },
        tolerance: options.tolerance,
        max_products: options.max_products,
        precision,
        seed: options.seed,
        basis_limit: plan.basis_limit(),
        ..ExtremeEigen::default()
    };
    monitor.begin("extreme eigenpairs", None);
    let operator = CurvatureOperator::hessian(near);
    let mut watch = Watch::new(folder, monitor);
    let (pairs, ends, status, products, condition) = match options.method {
        EigenMethod::Lanczos => {
            let log = File::open(folder.work(LOG)).ok().and_then(|f| read_snapshot(f).ok());
            let solution = match log {
                Some(state) => resume_extreme_eigenpairs(&operator, &solve, state, &mut watch)?,
                None => extreme_eigenpairs(&operator, &solve, &mut watch)?,
            };
            let largest = solution.largest().len();
            let ends: Vec<End> = (0..solution.pairs.len())
                .map(|i| if i < largest { End::Largest } else { End::Smallest })
                .collect();
            (solution.pairs, ends, solution.status, solution.products, None)
        }
        EigenMethod::Algorithm1 => {
            let journal = Journal::open(&operator, &folder.work(JOURNAL))?;
            let outcome = watch.algorithm1(&journal, &solve)?;
            journal.finish()?;
            outcome
        }
    };
    if let Some(error) = watch.failure {
        return Err(error);
    }
    if status == Status::Cancelled {
        return Err(AnalysisError::Cancelled);
    }
    let errors = sampling_errors(near, &pairs)?;
    // Number 1 is the extreme one at either end.
    let results: Vec<EigenpairResult> = (pairs.iter().zip(&ends).zip(&errors).enumerate())
        .map(|(i, ((pair, &end), &std_error))| {
            let (lo, hi) = pair.interval();
            let (name, count) = match end {
                End::Largest => ("largest", i + 1),
                End::Smallest => ("smallest", ends.len() - i),
            };
            EigenpairResult {
                end,
                value: pair.value,
                residual: pair.residual,
                interval: [lo, hi],
                std_error,
                converged: pair.converged,
                direction: format!("eigenvector.{name}.{count}"),
            }
        })
        .collect();
    let result = EigenResult {
        pairs: results,
        status,
        message: status.to_string(),
        products,
        method: options.method,
        condition_b1: condition,
    };
    let mut tensors = TensorMap::new();
    let mut vectors = Vec::with_capacity(pairs.len());
    for (pair, r) in pairs.into_iter().zip(&result.pairs) {
        tensors.insert(r.direction.clone(), vec![pair.vector.len()], TensorData::F64(pair.vector.clone()))?;
        vectors.push(pair.vector);
    }
    tensors.write(&folder.work(VECTORS))?;
    folder.save(STAGE, &result)?;
    folder.remove(LOG)?;
    folder.remove(JOURNAL)?;
    monitor.end(&format!("{products} products: {}", result.message));
    Ok(EigenStage { result, vectors })
}

/// Standard error of each λ over chunks of samples: chunks are independent draws from the source of the data, and
/// λ ≈ Σ w_c vᵀH_c v with weights w_c = share of the samples.
fn sampling_errors(near: &dyn Point, pairs: &[Eigenpair]) -> Result<Vec<f64>, AnalysisError> {
    let vs: Vec<f64> = pairs.iter().flat_map(|p| p.vector.iter().copied()).collect();
    let mut out = vec![0.0; vs.len()];
    let report = near.product(Curvature::Hessian, &vs, &mut out)?;
    Ok(report.quotients.iter().map(|q| weighted_std_error(q, &report.chunk_samples)).collect())
}

/// Standard error of a weighted mean of independent values whose variances are inverse to their weights.
pub fn weighted_std_error(values: &[f64], weights: &[usize]) -> f64 {
    let count = values.len();
    if count < 2 {
        return f64::INFINITY;
    }
    let total: f64 = weights.iter().map(|&w| w as f64).sum();
    let mean: f64 = values.iter().zip(weights).map(|(v, &w)| v * w as f64).sum::<f64>() / total;
    let spread: f64 = values.iter().zip(weights).map(|(v, &w)| w as f64 * (v - mean).powi(2)).sum();
    (spread / (total * (count - 1) as f64)).sqrt()
}

/// Passes progress on and saves the solver's state.
struct Watch<'a> {
    folder: &'a RunFolder,
    monitor: &'a mut dyn Monitor,
    writer: Option<SnapshotWriter<BufWriter<File>>>,
    failure: Option<AnalysisError>,
}

type Algorithm1Outcome = (Vec<Eigenpair>, Vec<End>, Status, usize, Option<String>);

impl<'a> Watch<'a> {
    fn new(folder: &'a RunFolder, monitor: &'a mut dyn Monitor) -> Self {
        Self { folder, monitor, writer: None, failure: None }
    }

    fn algorithm1(
        &mut self,
        operator: &dyn SymmetricOperator,
        options: &ExtremeEigen,
    ) -> Result<Algorithm1Outcome, AnalysisError> {
        let found = algorithm1(operator, options, &mut |p: &Progress<'_>| self.progress(p))?;
        let condition = found.condition.map(|c| c.to_string());
        let (mut pairs, mut ends) = (Vec::new(), Vec::new());
        for (pair, end) in [(found.maximum(), End::Largest), (found.minimum(), End::Smallest)] {
            if let Some(pair) = pair {
                pairs.push(pair.clone());
                ends.push(end);
            }
        }
        Ok((pairs, ends, found.status, found.products, condition))
    }

    fn save(&mut self, state: &LanczosState) -> Result<(), AnalysisError> {
        if let Some(writer) = &mut self.writer {
            return Ok(writer.write(state)?);
        }
        // A new log is written beside the old one and takes its place when it holds a whole state.
        let (new, path) = (self.folder.work("lanczos.log.new"), self.folder.work(LOG));
        let io = |path: &std::path::Path, source| {
            AnalysisError::Folder(super::folder::FolderError::Io { path: path.into(), source })
        };
        let file = File::create(&new).map_err(|e| io(&new, e))?;
        let mut writer = SnapshotWriter::new(BufWriter::new(file));
        writer.write(state)?;
        std::fs::rename(&new, &path).map_err(|e| io(&path, e))?;
        self.writer = Some(writer);
        Ok(())
    }
}

impl Observer for Watch<'_> {
    fn progress(&mut self, progress: &Progress<'_>) -> ControlFlow<()> {
        let note = match (progress.ritz.first(), progress.ritz.last()) {
            (Some(a), Some(b)) => format!(
                "λ {:.5} … {:.5}, residuals {:.1e} … {:.1e}",
                a.value, b.value, a.residual_estimate, b.residual_estimate
            ),
            _ => String::new(),
        };
        self.monitor.advance(progress.products as u64, &note);
        if self.monitor.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn snapshot(&mut self, state: &LanczosState) -> ControlFlow<()> {
        match self.save(state) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::weighted_std_error;

    #[test]
    fn equal_weights_give_the_usual_standard_error() {
        // Mean of 1, 2, 3, 4: s² = 5/3, standard error √(5/12).
        let found = weighted_std_error(&[1.0, 2.0, 3.0, 4.0], &[5, 5, 5, 5]);
        assert!((found - (5.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert!(weighted_std_error(&[1.0], &[5]).is_infinite());
    }
}
