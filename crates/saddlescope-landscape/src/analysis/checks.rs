//! The self-check, and what the run will cost.

use super::error::AnalysisError;
use super::folder::RunFolder;
use super::memory::MemoryPlan;
use super::monitor::Monitor;
use super::options::AnalysisOptions;
use super::results::{Cost, SelfCheck};
use super::self_check;
use super::subject::Subject;
use crate::risk::Point;

/// Checks the model (or reads what an earlier run found), and says what the run will cost.
///
/// # Errors
/// A model that fails its own checks, or a folder that cannot be written.
pub fn checks(
    subject: &Subject<'_>,
    near: &dyn Point,
    options: &AnalysisOptions,
    plan: &MemoryPlan,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<(SelfCheck, Cost), AnalysisError> {
    let (check, cost) = match folder.load::<(SelfCheck, Cost)>("checks")? {
        Some(kept) => kept,
        None => {
            monitor.begin("self-check on this model", None);
            let (check, seconds) = self_check::self_check(subject, near, options.seed)?;
            let cost = self_check::cost(subject, options, seconds, plan.total)?;
            monitor.end(&check.sentence());
            folder.save("checks", &(&check, &cost))?;
            (check, cost)
        }
    };
    for warning in &check.warnings {
        monitor.note(&format!("warning: {warning}"));
    }
    monitor.note(&format!(
        "{} parameters, {} samples; about {} products of {:.3} s and {} evaluations of {:.3} s: {} in all; about {} MiB",
        subject.theta().len(),
        subject.risk().samples(),
        cost.products,
        cost.product_seconds,
        cost.evaluations,
        cost.evaluation_seconds,
        duration(cost.seconds),
        cost.bytes >> 20,
    ));
    Ok((check, cost))
}

/// Seconds in words.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
