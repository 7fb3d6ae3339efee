//! Extreme eigenpairs of the Hessian, saved after every product.

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::PathBuf;

use saddlescope_data::weights::{TensorData, TensorMap};
use saddlescope_krylov::{
    Candidate, Eigenpair, ExtremeEigen, LanczosState, Observer, Precision, ProductError, Progress, RitzValue,
    SnapshotError, SnapshotWriter, SpectrumEnd, Status, SymmetricOperator, Wanted, algorithm1,
    extreme_eigenpairs, products_with_restarts, read_snapshot_for, resume_extreme_eigenpairs,
    vectors_at_a_time,
};

use super::super::error::AnalysisError;
use super::super::folder_error::FolderError;
use super::super::found::{Eigenpairs, Found};
use super::super::journal::Journal;
use super::super::monitor::Monitor;
use super::super::plan::Forecast;
use super::super::results::{EigenResult, EigenpairResult, RoundingFloor};
use super::super::selection::{EigenMethod, EigenpairOptions};
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use super::super::vectors;
use crate::curvature_operator::CurvatureOperator;
use crate::number_text::{fixed, plural, scientific};
use crate::risk::Curvature;

const LOG: &str = "lanczos";
const PRODUCTS: &str = "products";
/// A Krylov space of at most this many bytes is kept after the solve, for more pairs or a finer tolerance later.
const KEPT_SPACE: u64 = 256 << 20;
/// The error over the data is looked at once a residual is below this share of |λ|: before, λ itself is not known, and that error is
/// often larger than at the eigenvector.
const ROUGH: f64 = 0.03;
/// What is allowed at first is this share of it; all of it is allowed only where the error at that very vector says so.
const AT_FIRST: f64 = 0.5;

/// The stage of the eigenpairs.
pub(crate) struct EigenpairsStage {
    /// Which pairs, how exactly, and how.
    pub options: EigenpairOptions,
    /// Bytes that the Krylov basis may take: its size decides when a solve restarts.
    pub basis: usize,
}

impl EigenpairsStage {
    /// What the Krylov space depends on: everything but how many pairs are wanted and how exactly.
    fn space(&self, env: &Env<'_>) -> Dependencies {
        let mut of = of([("seed", env.selection.seed.into()), ("basis_bytes", self.basis.into())]);
        self.put_start(&mut of);
        of
    }

    fn put_start(&self, of: &mut Dependencies) {
        if let Some(start) = &self.options.start {
            of.insert("start".into(), start.sha256.clone().into());
        }
    }

    /// What is asked for, with at least one pair at an end that is asked for where N is smaller than all of it.
    fn wanted(&self, n: usize) -> Wanted {
        let (largest, smallest) = (self.options.largest, self.options.smallest);
        if largest + smallest <= n || smallest == 0 || n < 2 {
            return Wanted::Ends { largest, smallest };
        }
        let smallest = smallest.min(n / 2).max(n.saturating_sub(largest));
        Wanted::Ends { largest: n - smallest, smallest }
    }

    fn solve(&self, at: &At<'_, '_>, precision: Precision) -> ExtremeEigen {
        ExtremeEigen {
            wanted: self.wanted(at.env.subject.theta().len()),
            tolerance: self.options.tolerance,
            product_precision: precision,
            max_products: self.options.max_products,
            precision,
            seed: at.env.selection.seed,
            basis_limit: at.env.plan.basis_limit(),
            start: self.options.start.as_ref().map_or_else(Vec::new, |s| s.vectors.clone()),
            ..ExtremeEigen::default()
        }
    }
}

impl Stage for EigenpairsStage {
    type Output = EigenResult;

    fn name(&self) -> String {
        "eigenpairs".into()
    }

    fn title(&self) -> String {
        "extreme eigenpairs".into()
    }

    fn dependencies(&self, _keys: &Keys) -> Dependencies {
        let o = &self.options;
        let mut of = of([
            ("largest", o.largest.into()),
            ("smallest", o.smallest.into()),
            ("tolerance", o.tolerance.into()),
            ("data_share", o.data_share.into()),
            ("method", serde_json::to_value(o.method).unwrap_or_default()),
            ("basis_bytes", self.basis.into()),
        ]);
        self.put_start(&mut of);
        of
    }

    fn forecast(&self, env: &Env<'_>) -> Forecast {
        // A plain run needs about 45 products for one pair at each end, and some ten more for every further pair, and more where the
        // basis has to be restarted; the errors over the data take one product a pair.
        let risk = env.subject.risk();
        let vectors = self.basis / (risk.dim().max(1) * risk.offers().precision.bytes());
        let pairs = self.options.largest + self.options.smallest;
        // A basis that holds the whole space is never restarted.
        let vectors = if vectors < risk.dim() { vectors } else { usize::MAX };
        let products = products_with_restarts(35 + 10 * pairs, pairs, vectors);
        Forecast { products: products.min(self.options.max_products) + pairs, evaluations: 0 }
    }

    fn begun(&self, env: &Env<'_>, slot: &Slot) -> Result<bool, FolderError> {
        // The Krylov space of a solve for other pairs or another tolerance is gone on with.
        let space = env.folder.slot("krylov-space", self.space(env)).file(LOG);
        Ok(slot.has_files()? || self.options.method == EigenMethod::Lanczos && space.exists())
    }

    fn suffices(&self, kept: &EigenResult) -> bool {
        // What stopped at a limit on products is gone on with when more are allowed.
        kept.status != Status::MaxMatvecs || kept.max_products >= self.options.max_products
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<EigenResult>) -> Result<EigenResult, AnalysisError> {
        let offers = at.env.subject.risk().offers();
        if self.options.start.as_ref().is_some_and(|s| s.vectors.is_empty()) {
            // Read from the record of an earlier command, which keeps their fingerprint alone.
            return Err(AnalysisError::Other(
                "the vectors at which this solve started are not at hand".into(),
            ));
        }
        let solve = self.solve(at, offers.precision);
        let operator = CurvatureOperator::hessian(at.env.point()?);
        let log = at.env.folder.slot("krylov-space", self.space(at.env)).file(LOG);
        let mut watch = Watch::new(log.clone(), at.env, self.options.data_share, &mut *at.monitor);
        let (pairs, ends, status, products, condition, rest) = match self.options.method {
            EigenMethod::Lanczos => {
                // The space of an earlier solve is gone on with where that gives the bits of a solve made at once.
                let state = kept_space(&operator, &log)?;
                // What a solve to the errors over the data was allowed must not count where these are not to decide.
                let of_this_kind = |s: &LanczosState| self.options.data_share.is_some() || !s.is_widened();
                let solution = match state.filter(|s| s.continues(&solve).is_ok() && of_this_kind(s)) {
                    Some(state) => resume_extreme_eigenpairs(&operator, &solve, state, &mut watch)?,
                    None => extreme_eigenpairs(&operator, &solve, &mut watch)?,
                };
                let largest = solution.largest().len();
                let ends: Vec<SpectrumEnd> = (0..solution.pairs.len())
                    .map(|i| if i < largest { SpectrumEnd::Largest } else { SpectrumEnd::Smallest })
                    .collect();
                let rest = rest(&solution.state.ritz_values(), largest, solution.smallest().len());
                (solution.pairs, ends, solution.status, solution.products, None, rest)
            }
            EigenMethod::Algorithm1 => {
                let journal = Journal::open(&operator, &at.slot.file(PRODUCTS))?;
                let (pairs, ends, status, products, condition) = watch.algorithm1(&journal, &solve)?;
                journal.finish()?;
                (pairs, ends, status, products, condition, None)
            }
        };
        if let Some(error) = watch.failure {
            return Err(error);
        }
        if status == Status::Cancelled {
            return Err(AnalysisError::Cancelled);
        }
        at.env.count_products(products);
        // A pair whose residual could not be computed any more is no result.
        let certified = |(pair, _): &(Eigenpair, SpectrumEnd)| pair.residual.is_finite();
        let all = pairs.len();
        let (pairs, ends): (Vec<Eigenpair>, Vec<SpectrumEnd>) =
            pairs.into_iter().zip(ends).filter(certified).unzip();
        if pairs.len() < all {
            at.monitor
                .note(&format!("{} without a residual: left out", plural(all - pairs.len(), "estimate")));
        }
        let errors = sampling_errors(at, &pairs)?;
        // Number 1 is the extreme one at either end.
        let results: Vec<EigenpairResult> = (pairs.iter().zip(&ends).zip(&errors).enumerate())
            .map(|(i, ((pair, &end), &std_error))| {
                let (lo, hi) = pair.interval();
                let (name, count) = match end {
                    SpectrumEnd::Largest => ("largest", i + 1),
                    SpectrumEnd::Smallest => ("smallest", ends.len() - i),
                };
                EigenpairResult {
                    end,
                    value: pair.value,
                    residual: pair.residual,
                    rounding: 0.0,
                    interval: [lo, hi],
                    std_error,
                    converged: pair.converged,
                    criterion: pair.criterion.map(|c| c.to_string()),
                    direction: format!("eigenvector.{name}.{count}"),
                }
            })
            .collect();
        if std::fs::metadata(&log).is_ok_and(|m| m.len() > KEPT_SPACE) {
            std::fs::remove_file(&log).map_err(|reason| FolderError::Io { path: log.clone(), reason })?;
        }
        let floor = RoundingFloor::of(&results, status, self.options.tolerance, offers.precision);
        let result = EigenResult {
            pairs: results,
            status,
            message: EigenResult::ending(status, floor.as_ref()),
            products,
            max_products: self.options.max_products,
            rounding_floor: floor,
            method: self.options.method,
            condition_b1: condition,
            rest,
        };
        let mut tensors = TensorMap::new();
        for (pair, r) in pairs.into_iter().zip(&result.pairs) {
            tensors.insert(r.direction.clone(), vec![pair.vector.len()], TensorData::F64(pair.vector))?;
        }
        vectors::save(at.slot, tensors)?;
        at.monitor.end(&format!("{}: {}", plural(products, "product"), result.message));
        Ok(result)
    }

    fn file(&self, result: EigenResult, slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        slot.remove(PRODUCTS)?;
        let tensors = vectors::load(slot)?;
        let vectors = (result.pairs.iter())
            .map(|pair| vectors::vector(&tensors, slot, &pair.direction))
            .collect::<Result<_, _>>()?;
        found.eigenpairs = Some(Eigenpairs { result, vectors });
        Ok(())
    }
}

/// The Ritz values next to so many largest and smallest ones (all ascending), each nearer to these by its residual estimate.
fn rest(ritz: &[RitzValue], largest: usize, smallest: usize) -> Option<[f64; 2]> {
    let below = ritz.len().checked_sub(largest + 1).and_then(|i| ritz.get(i))?;
    let above = ritz.get(smallest)?;
    Some([below.value + below.residual_estimate, above.value - above.residual_estimate])
}

/// The Krylov space that an earlier solve has left; `None` where there is none, or none that can be read.
fn kept_space(
    operator: &dyn SymmetricOperator,
    log: &std::path::Path,
) -> Result<Option<LanczosState>, ProductError> {
    let Ok(file) = File::open(log) else { return Ok(None) };
    match read_snapshot_for(operator, file) {
        Ok(state) => Ok(Some(state)),
        Err(SnapshotError::Basis(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Standard error of each λ over chunks of samples: chunks are independent draws from the source of the data, and
/// λ ≈ Σ w_c vᵀH_c v with weights w_c = share of the samples. `None` where there are fewer than two chunks.
fn sampling_errors(at: &At<'_, '_>, pairs: &[Eigenpair]) -> Result<Vec<Option<f64>>, AnalysisError> {
    if pairs.is_empty() || !at.env.subject.risk().offers().chunks {
        return Ok(vec![None; pairs.len()]);
    }
    let block = vectors_at_a_time(pairs[0].vector.len());
    let mut errors = Vec::with_capacity(pairs.len());
    let mut out = Vec::new();
    for pairs in pairs.chunks(block) {
        let vs: Vec<f64> = pairs.iter().flat_map(|p| p.vector.iter().copied()).collect();
        out.resize(vs.len(), 0.0);
        let product = at.env.product(Curvature::Hessian, &vs, &mut out)?;
        let known = errors.len() + pairs.len();
        errors.extend(product.quotients.iter().map(|q| weighted_std_error(q, &product.chunk_samples)));
        errors.resize(known, None);
    }
    Ok(errors)
}

/// Standard error of a weighted mean of independent values whose variances are inverse to their weights; `None` for fewer
/// than two.
pub fn weighted_std_error(values: &[f64], weights: &[usize]) -> Option<f64> {
    let count = values.len();
    if count < 2 {
        return None;
    }
    let total: f64 = weights.iter().map(|&w| w as f64).sum();
    let mean: f64 = values.iter().zip(weights).map(|(v, &w)| v * w as f64).sum::<f64>() / total;
    let spread: f64 = values.iter().zip(weights).map(|(v, &w)| w as f64 * (v - mean).powi(2)).sum();
    Some((spread / (total * (count - 1) as f64)).sqrt())
}

/// Standard error over chunks of samples of a mean over probes: `parts` are the quotients of every probe, chunk by chunk. `None` where
/// there are fewer than two chunks, or a probe has none.
pub(crate) fn mean_over_chunks(parts: &[&[f64]], weights: &[usize]) -> Option<f64> {
    if parts.is_empty() || parts.iter().any(|p| p.len() != weights.len()) {
        return None;
    }
    let mean = |c: usize| parts.iter().map(|p| p[c]).sum::<f64>() / parts.len() as f64;
    let means: Vec<f64> = (0..weights.len()).map(mean).collect();
    weighted_std_error(&means, weights)
}

/// The residual to allow for a pair with this estimate, where a share of the error over the data at its vector is `wanted`: what has
/// come that far has all of it; before, a part, so that the error is looked at again nearer the end.
fn granted(wanted: f64, estimate: f64, allowed: Option<f64>) -> Option<f64> {
    if estimate <= wanted {
        return Some(wanted);
    }
    allowed.is_none().then_some(AT_FIRST * wanted)
}

/// Every wanted pair with its residual, what is forecast, and the pair that costs most.
fn line(progress: &Progress<'_>) -> String {
    let pairs: Vec<String> = (progress.wanted.iter())
        .map(|p| format!("{} ± {}", fixed(p.value, 4), scientific(p.residual_estimate, 0)))
        .collect();
    let mut text = format!("λ {}; {}", pairs.join(", "), progress.forecast);
    if let Some(slow) = progress.slowest().filter(|p| p.rank > 0) {
        let end = match slow.end {
            SpectrumEnd::Largest => "largest",
            SpectrumEnd::Smallest => "smallest",
        };
        text.push_str(&format!("; number {} at the {end} end needs most", slow.rank + 1));
    }
    text
}

/// Passes progress on and saves the solver's state.
struct Watch<'w, 'a> {
    log: PathBuf,
    env: &'w Env<'a>,
    data_share: Option<f64>,
    monitor: &'w mut dyn Monitor,
    writer: Option<SnapshotWriter<BufWriter<File>>>,
    failure: Option<AnalysisError>,
}

type Algorithm1Outcome = (Vec<Eigenpair>, Vec<SpectrumEnd>, Status, usize, Option<String>);

impl<'w, 'a> Watch<'w, 'a> {
    fn new(log: PathBuf, env: &'w Env<'a>, data_share: Option<f64>, monitor: &'w mut dyn Monitor) -> Self {
        Self { log, env, data_share, monitor, writer: None, failure: None }
    }

    fn algorithm1(
        &mut self,
        operator: &dyn SymmetricOperator,
        options: &ExtremeEigen,
    ) -> Result<Algorithm1Outcome, AnalysisError> {
        let found = algorithm1(operator, options, &mut |p: &Progress<'_>| self.progress(p))?;
        let condition = found.condition.map(|c| c.to_string());
        let (mut pairs, mut ends) = (Vec::new(), Vec::new());
        for (pair, end) in [(found.maximum(), SpectrumEnd::Largest), (found.minimum(), SpectrumEnd::Smallest)]
        {
            if let Some(pair) = pair {
                pairs.push(pair.clone());
                ends.push(end);
            }
        }
        Ok((pairs, ends, found.status, found.products, condition))
    }

    fn save(&mut self, state: &LanczosState) -> Result<(), AnalysisError> {
        let failed = |path: &std::path::Path, error| match error {
            SnapshotError::Io(reason) => AnalysisError::Folder(FolderError::Io { path: path.into(), reason }),
            other => AnalysisError::Snapshot(other),
        };
        if let Some(writer) = &mut self.writer {
            return writer.write(state).map_err(|e| failed(&self.log, e));
        }
        // A new log is written beside the old one and takes its place when it holds a whole state.
        let new = self.log.with_extension("lanczos-new");
        let file = File::create(&new).map_err(|e| failed(&new, e.into()))?;
        let mut writer = SnapshotWriter::new(BufWriter::new(file));
        writer.write(state).map_err(|e| failed(&new, e))?;
        std::fs::rename(&new, &self.log).map_err(|e| failed(&self.log, e.into()))?;
        self.writer = Some(writer);
        Ok(())
    }
}

impl Observer for Watch<'_, '_> {
    fn progress(&mut self, progress: &Progress<'_>) -> ControlFlow<()> {
        self.monitor.advance(progress.products as u64, &line(progress));
        if self.monitor.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn residual_allowed(&mut self, candidate: &Candidate<'_>) -> Result<Option<f64>, ProductError> {
        let pair = candidate.pair;
        let Some(share) = self.data_share else { return Ok(None) };
        let due = match candidate.allowed {
            None => pair.residual_estimate <= ROUGH * pair.value.abs(),
            Some(allowed) => pair.residual_estimate <= allowed / AT_FIRST,
        };
        if !due {
            return Ok(None);
        }
        let v = candidate.vector()?;
        let mut out = vec![0.0; v.len()];
        let product = self.env.product(Curvature::Hessian, &v, &mut out)?;
        let error = product.quotients.first().and_then(|q| weighted_std_error(q, &product.chunk_samples));
        Ok(error.and_then(|error| granted(share * error, pair.residual_estimate, candidate.allowed)))
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
    use super::{granted, rest, weighted_std_error};
    use saddlescope_krylov::RitzValue;

    #[test]
    fn an_error_that_was_too_large_at_first_does_not_end_the_solve() {
        // Looked at with a residual of 3, a tenth of the error is 1.3; at the eigenvector it is 0.96.
        let first = granted(1.3, 3.0, None);
        assert_eq!(first, Some(0.65));
        // 1.2 would have been taken at once; now the error there decides.
        assert_eq!(granted(0.96, 1.2, first), None);
        assert_eq!(granted(0.96, 0.9, first), Some(0.96));
        assert_eq!(granted(1.3, 1.2, None), Some(1.3));
    }

    #[test]
    fn the_rest_of_the_spectrum_begins_next_to_the_pairs() {
        let ritz: Vec<RitzValue> =
            [-2.0, -1.0, 0.5, 3.0].map(|value| RitzValue { value, residual_estimate: 0.25 }).to_vec();
        assert_eq!(rest(&ritz, 1, 1), Some([0.75, -1.25]));
        assert_eq!(rest(&ritz, 3, 1), Some([-1.75, -1.25]));
        assert_eq!(rest(&ritz, 4, 1), None);
        assert_eq!(rest(&ritz[..1], 1, 1), None);
    }

    #[test]
    fn equal_weights_give_the_usual_standard_error() {
        // Mean of 1, 2, 3, 4: s² = 5/3, standard error √(5/12).
        let found = weighted_std_error(&[1.0, 2.0, 3.0, 4.0], &[5, 5, 5, 5]);
        assert!((found.unwrap() - (5.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert_eq!(weighted_std_error(&[1.0], &[5]), None);
    }
}
