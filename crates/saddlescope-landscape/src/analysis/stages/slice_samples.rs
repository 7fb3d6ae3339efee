//! How many samples cuts and surfaces are made of, where the errors choose.

use super::super::error::AnalysisError;
use super::super::found::Found;
use super::super::plan::Forecast;
use super::super::requests::DirectionRequest;
use super::super::selection::{AutoSamples, RandomDirectionOptions, Selection, SliceChoice};
use super::super::stage::{At, Env, Keys, Stage};
use super::super::store::{Dependencies, Slot};
use super::growing::{Pilot, choose};
use super::lines::{Reach, direction_dependencies, have_eigenpairs, lines};

/// Chooses how many samples cuts and surfaces need.
pub(crate) struct SliceSamplesStage {
    auto: AutoSamples,
    lines: Vec<(DirectionRequest, Reach)>,
    random: RandomDirectionOptions,
}

impl SliceSamplesStage {
    /// For the cuts and surfaces of a selection.
    pub fn new(auto: AutoSamples, selection: &Selection) -> Self {
        Self { auto, lines: lines(selection), random: selection.random.clone() }
    }
}

impl Stage for SliceSamplesStage {
    type Output = SliceChoice;

    fn name(&self) -> String {
        "slice-samples".into()
    }

    fn title(&self) -> String {
        "samples of cuts and surfaces".into()
    }

    fn dependencies(&self, keys: &Keys) -> Dependencies {
        let directions: Vec<_> = self.lines.iter().map(|l| l.0.clone()).collect();
        let mut of = direction_dependencies(&directions, &self.random, keys);
        let reach: Vec<_> = self.lines.iter().map(|l| &l.1).collect();
        of.insert("reach".into(), serde_json::to_value(reach).unwrap_or_default());
        of.insert("share".into(), self.auto.share.into());
        of
    }

    fn forecast(&self, _env: &Env<'_>) -> Forecast {
        // Four points a line and the centre, seldom on all samples.
        Forecast { products: 0, evaluations: 4 * self.lines.len() + 1 }
    }

    fn compute(&self, at: &mut At<'_, '_>, _: Option<SliceChoice>) -> Result<SliceChoice, AnalysisError> {
        let (env, found) = (at.env, at.found.eigenpairs.as_ref());
        let theta = env.subject.theta();
        let mut pilots: Vec<Pilot> = Vec::new();
        for (request, reach) in &self.lines {
            if !have_eigenpairs(std::slice::from_ref(request), at.found) {
                continue;
            }
            let named = match request.resolve(env.subject, found, env.selection) {
                // A direction of no use at this point: its cuts and surfaces are left out too.
                Err(error) if error.is_of_the_point() => continue,
                other => other?,
            };
            let axis = reach.axis(at, &named)?;
            let radius = axis.lo().abs().max(axis.hi().abs());
            let points = NEAR.map(|share| share * radius);
            pilots.push(Pilot::new(named.words, named.direction.vector().to_vec(), &points));
        }
        choose(&self.auto, env.subject.risk(), theta, &mut pilots, at.monitor)
    }

    fn file(&self, output: SliceChoice, _slot: &Slot, found: &mut Found) -> Result<(), AnalysisError> {
        found.slice_choice = Some(output);
        Ok(())
    }
}

/// Where differences near the centre are looked at, in shares of the half-width of a line.
const NEAR: [f64; 4] = [-0.5, -0.25, 0.25, 0.5];
