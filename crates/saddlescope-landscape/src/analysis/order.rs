//! Which stages a selection asks for, in order.

use serde_json::Value;

use super::selection::Selection;
use super::stage::{AnyStage, Env, Keys};
use super::stages::critical_spectrum::CriticalSpectrumStage;
use super::stages::density::DensityStage;
use super::stages::eigenpairs::EigenpairsStage;
use super::stages::escape::EscapeStage;
use super::stages::filtered_planes::FilteredPlanesStage;
use super::stages::fits::FitsStage;
use super::stages::point::PointStage;
use super::stages::probes::ProbesStage;
use super::stages::rescaling::RescalingStage;
use super::stages::self_check::SelfCheckStage;
use super::stages::settle::SettleStage;
use super::stages::sharpness::SharpnessStage;
use super::stages::slice_samples::SliceSamplesStage;
use super::stages::slices::slice_stages;
use super::stages::split::SplitStage;
use super::store::Dependencies;
use super::subject::identity_at;
use crate::risk::{Curvature, Offers, Risk, RiskError};

/// The selection without what the risk does not offer, and what was left out.
pub(super) fn offered(selection: &Selection, offers: &Offers) -> (Selection, Vec<String>) {
    let mut left = selection.clone();
    let mut out = Vec::new();
    if !offers.product(Curvature::Hessian) {
        let asked = left.eigenpairs.take().is_some()
            | left.probes.take().is_some()
            | left.density.take().is_some()
            | left.filtered_planes.take().is_some();
        left.fits = None;
        if asked {
            out.push("products with the Hessian, and so eigenpairs, trace and density".into());
        }
    }
    let parts = offers.product(Curvature::GaussNewton) && offers.product(Curvature::Residual);
    if !parts && left.split.take().is_some() && left.eigenpairs.is_some() {
        out.push("products with the Gauss–Newton matrix, and so the split H = G + R".into());
    }
    let can_settle = offers.product(Curvature::Hessian) && offers.gradient;
    if !can_settle && left.settle.take().is_some() {
        out.push("gradients and products with the Hessian, and so a critical point nearby".into());
    }
    if !offers.gradient {
        out.push("a gradient, and so whether the point is critical".into());
    }
    if !offers.chunks && left.eigenpairs.is_some() {
        out.push("the parts of groups of samples, and so errors over the data".into());
    }
    (left, out)
}

/// All stages of a selection, in order.
pub(super) fn stages(
    selection: &Selection,
    env: &Env<'_>,
) -> Result<(Vec<Box<dyn AnyStage>>, Keys), RiskError> {
    let basis = env.plan.basis;
    let identity = |risk: &dyn Risk, name: &str| -> Result<Value, RiskError> {
        let mut of: Dependencies = identity_at(risk, env.subject.theta())?;
        of.insert("samples".into(), risk.samples().into());
        of.insert("split".into(), name.into());
        Ok(serde_json::to_value(of).unwrap_or_default())
    };
    let split = env.subject.slice_split();
    let mut keys = Keys {
        slices: identity(split.risk, split.name)?,
        other: env.subject.other.map_or(Ok(Value::Null), |s| identity(s.risk, s.name))?,
        ..Keys::default()
    };
    let mut stages: Vec<Box<dyn AnyStage>> = vec![Box::new(SelfCheckStage), Box::new(PointStage)];
    if let Some(options) = selection.eigenpairs.clone().filter(|_| selection.pairs() > 0) {
        let stage = EigenpairsStage { options, basis };
        keys.eigenpairs = Some(AnyStage::slot(&stage, env, &keys).key().into());
        stages.push(Box::new(stage));
    }
    if let Some(auto) = selection.slice_samples.clone() {
        // Nothing else before it is known on which samples.
        stages.push(Box::new(SliceSamplesStage::new(auto, selection)));
        return Ok((stages, keys));
    }
    if selection.probe_count() > 0 {
        stages.push(Box::new(ProbesStage { wanted: selection.probe_count() }));
        if let Some(options) = selection.fits.clone() {
            stages.push(Box::new(FitsStage { options, probes: selection.probe_count() }));
        }
    }
    if let Some(options) = selection.density.clone().filter(|d| d.probes > 0) {
        stages.push(Box::new(DensityStage { options, basis }));
    }
    if let Some(options) = selection.split.clone().filter(|_| keys.eigenpairs.is_some()) {
        stages.push(Box::new(SplitStage { options, basis }));
    }
    if let Some(wanted) = selection.filtered_planes.filter(|n| *n > 0) {
        let keep_biases = selection.random.keep_biases;
        stages.push(Box::new(FilteredPlanesStage { wanted, keep_biases }));
    }
    if selection.escape && keys.eigenpairs.is_some() {
        keys.escape = Some(AnyStage::slot(&EscapeStage, env, &keys).key().into());
        stages.push(Box::new(EscapeStage));
    }
    if let Some(options) = selection.sharpness.clone() {
        let probes = selection.probe_count();
        stages.push(Box::new(SharpnessStage { options: options.clone(), probes }));
        if let Some(factor) = selection.rescaling {
            stages.push(Box::new(RescalingStage { options, factor }));
        }
    }
    if let Some(options) = selection.settle.clone() {
        let stage = SettleStage { options };
        keys.settle = Some(AnyStage::slot(&stage, env, &keys).key().into());
        stages.push(Box::new(stage));
        if let Some(options) = selection.critical_spectrum.clone() {
            stages.push(Box::new(CriticalSpectrumStage { options, basis }));
        }
    }
    stages.extend(slice_stages(selection, env));
    Ok((stages, keys))
}
