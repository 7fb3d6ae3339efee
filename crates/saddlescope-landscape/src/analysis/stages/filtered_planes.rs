//! Curvatures of random planes with filter-normalised directions.

use super::super::directions::filtered_direction;
use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::plan::Forecast;
use super::super::stage::{At, Env, Keys, Stage, of};
use super::super::store::{Dependencies, Slot};
use crate::numeric::dot;
use crate::risk::Curvature;

/// The stage of the planes; more planes go on where fewer were measured. Finds A, B and C of (2.15) of each.
pub(crate) struct FilteredPlanesStage {
    /// How many planes are wanted.
    pub wanted: usize,
    /// Whether directions keep their components at biases.
    pub keep_biases: bool,
}

impl Stage for FilteredPlanesStage {
    type Output = Vec<[f64; 3]>;

    fn name(&self) -> String {
        "filtered-planes".into()
    }

    fn title(&self) -> String {
        "filter-normalised random planes".into()
    }

    fn dependencies(&self, _keys: &Keys) -> Dependencies {
        of([("keep_biases", self.keep_biases.into())])
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        Forecast { products: 2 * self.wanted, evaluations: 0 }
    }

    fn may_be_left_out(&self) -> bool {
        true
    }

    fn suffices(&self, kept: &Self::Output) -> bool {
        kept.len() >= self.wanted
    }

    fn compute(
        &self,
        at: &mut At<'_, '_>,
        kept: Option<Self::Output>,
    ) -> Result<Self::Output, AnalysisError> {
        let mut found = kept.unwrap_or_default();
        let subject = at.env.subject;
        let (theta, layout) = (subject.theta(), subject.risk().layout());
        let n = theta.len();
        at.monitor.begin(&self.title(), Some(self.wanted as u64));
        while found.len() < self.wanted {
            at.check()?;
            let first = 2 * found.len() as u64;
            let mut vs = filtered_direction(theta, layout, at.env.selection, first)?.into_vector();
            vs.extend(filtered_direction(theta, layout, at.env.selection, first + 1)?.into_vector());
            let mut hvs = vec![0.0; vs.len()];
            at.env.product(Curvature::Hessian, &vs, &mut hvs)?;
            found.push([dot(&vs[..n], &hvs[..n]), dot(&vs[..n], &hvs[n..]), dot(&vs[n..], &hvs[n..])]);
            at.keep(&found)?;
            at.monitor.advance(found.len() as u64, "");
        }
        at.monitor.end("");
        Ok(found)
    }

    fn file(&self, mut output: Self::Output, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        output.truncate(self.wanted);
        found.filtered_planes = Some(output);
        Ok(())
    }
}
