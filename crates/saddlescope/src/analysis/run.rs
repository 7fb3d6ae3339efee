//! The stages in order.

use std::collections::BTreeMap;

use saddlescope_krylov::Estimate;
use saddlescope_nn::weights::{TensorData, TensorMap};
use serde_json::Value;

use super::error::AnalysisError;
use super::folder::RunFolder;
use super::monitor::Monitor;
use super::options::AnalysisOptions;
use super::results::{Cost, EscapeResult, MinimumResult, Results, SCHEMA, SelfCheck, SurfaceResult};
use super::slices::{Cut, CutRequest, NamedSurface};
use super::subject::Subject;
use super::{density, eigen, escape, figures, page, probes, self_check, slices, split, verdict};
use crate::objective::Objective;
use crate::plane::Plane;
use crate::projection::saddle_probability_closed_form;

/// What an analysis leaves in memory besides the files.
pub struct Analysis {
    /// The numbers, as in `results.json`.
    pub results: Results,
    /// The cuts.
    pub cuts: Vec<Cut>,
    /// The surfaces.
    pub surfaces: Vec<NamedSurface>,
}

/// Bytes that the analysis may use, if limited.
pub type MemoryLimit = Option<usize>;

/// Analyses a subject in a folder; continues what is there.
///
/// # Errors
/// Cancelled (everything finished is saved), a folder of something else, or a model that fails its own checks.
pub fn analyze(
    subject: &Subject,
    options: &AnalysisOptions,
    memory: MemoryLimit,
    out: &std::path::Path,
    monitor: &mut dyn Monitor,
) -> Result<Analysis, AnalysisError> {
    let mut identity = subject.identity();
    identity.extend(options.identity());
    let folder = RunFolder::open(out, &identity)?;
    if folder.resumed() {
        monitor.note("continuing the analysis in that folder");
    }
    let theta = subject.theta();
    let risk = &subject.risk;
    let layout = risk.layout().clone();
    let other = subject.other.as_ref().map(|(_, r)| r);
    let near = risk.near(theta);

    let (check, cost) = checks(subject, &near, options, memory, &folder, monitor)?;

    let mut gradient = vec![0.0; theta.len()];
    let here = risk.gradient(theta, &mut gradient);
    let gradient_norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let there = other.map(|r| r.evaluate(theta));

    let basis_bytes = memory.map(|m| m.saturating_sub(cost.bytes) / 2).filter(|b| *b > 0);
    let stage = eigen::eigenpairs(&near, risk.dtype(), options, basis_bytes, &folder, monitor)?;
    let kind = verdict::kind(&stage.result);

    let measured = probes::measure(&near, &layout, options, &folder, monitor)?;
    let fit = probes::fits(risk, theta, here.loss, options, &folder, monitor)?;
    let (curvatures, warning) =
        fit.map_or((Vec::new(), None), |f| (f.per_probe, f.warning.map(|w| w.to_string())));
    let trace = probes::trace(&measured, &curvatures, warning);
    let n = theta.len() as f64;
    let scaled = |e: &Estimate, f: f64| Estimate {
        value: e.value * f,
        std_error: e.std_error * f,
        samples: e.samples,
    };
    let norm = {
        // √ of an estimate; its error to first order.
        let root = trace.trace_of_square.value.max(0.0).sqrt();
        let error = trace.trace_of_square.std_error / (2.0 * root.max(f64::MIN_POSITIVE));
        Estimate { value: root, std_error: error, samples: trace.trace_of_square.samples }
    };
    let planes = probes::planes(&measured);
    let density = density::density(&near, &stage, options, &folder, monitor)?;
    let probability = match &density {
        Some(d) => Some(density::saddle_probability(&stage, d, theta.len(), options.seed)?),
        None => None,
    };
    let parts = if options.split {
        split::split(&near, risk.dtype(), &stage, options, &folder, monitor)?
    } else {
        None
    };
    let filtered = if options.filtered_planes > 0 {
        Some(probes::filtered_planes(&near, theta, &layout, options, &folder, monitor)?)
    } else {
        None
    };

    let escape =
        if options.escape { escape::search(risk, other, theta, &stage, &folder, monitor)? } else { None };
    let cuts = make_cuts(subject, &near, &stage, &gradient, here.loss, options, &folder, monitor)?;
    let surfaces = make_surfaces(subject, &stage, here.loss, escape.as_ref(), options, &folder, monitor)?;

    let verdict = verdict::sentences(
        kind,
        &stage.result,
        gradient_norm,
        Some((&planes, probability.as_ref().map(|p| p.value))),
    );
    let results = Results {
        schema: SCHEMA,
        model: subject.model.network.name.clone(),
        loss: here.loss,
        accuracy: here.accuracy(),
        other_loss: there.as_ref().map(|e| e.loss),
        other_accuracy: there.as_ref().and_then(|e| e.accuracy()),
        gradient_norm,
        parameters: theta.len(),
        samples: risk.samples(),
        kind,
        verdict,
        status: stage.result.status,
        matvecs: stage.result.products,
        eigenpairs: stage.result.pairs.clone(),
        eigen: stage.result.clone(),
        mean_curvature: Some(scaled(&trace.hutchinson, 1.0 / n)),
        saddle_probability_closed_form: Some(saddle_probability_closed_form(
            trace.hutchinson.value,
            trace.trace_of_square.value,
        )),
        trace: Some(trace),
        frobenius_norm: Some(norm),
        layers: probes::layers(&measured, &layout),
        random_planes: Some(planes),
        filtered_planes: filtered,
        saddle_probability: probability,
        density,
        split: parts,
        surfaces: surfaces.iter().map(surface_result).collect(),
        escape,
        self_check: check,
        cost,
        provenance: provenance(subject, options),
    };
    let analysis = Analysis { results, cuts, surfaces };
    save_directions(subject, &stage, options, &folder)?;
    figures::save(&analysis, &folder)?;
    page::save(&analysis, &folder)?;
    Ok(analysis)
}

fn checks(
    subject: &Subject,
    near: &crate::empirical_risk::NearPoint<'_>,
    options: &AnalysisOptions,
    memory: MemoryLimit,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<(SelfCheck, Cost), AnalysisError> {
    let (check, cost) = match folder.load::<(SelfCheck, Cost)>("checks")? {
        Some(kept) => kept,
        None => {
            monitor.begin("self-check on this model", None);
            let (check, seconds) = self_check::self_check(subject, near, options.seed)?;
            let cost = self_check::cost(subject, options, seconds);
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
        subject.risk.samples(),
        cost.products,
        cost.product_seconds,
        cost.evaluations,
        cost.evaluation_seconds,
        duration(cost.seconds),
        cost.bytes >> 20,
    ));
    if let Some(limit) = memory.filter(|limit| *limit < cost.bytes) {
        return Err(AnalysisError::Memory {
            needed_mib: cost.bytes.div_ceil(1 << 20),
            allowed_mib: limit >> 20,
        });
    }
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

fn make_cuts(
    subject: &Subject,
    near: &crate::empirical_risk::NearPoint<'_>,
    stage: &eigen::EigenStage,
    gradient: &[f64],
    loss: f64,
    options: &AnalysisOptions,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Vec<Cut>, AnalysisError> {
    let theta = subject.theta();
    let other = subject.other.as_ref().map(|(_, r)| r);
    let mut cuts = Vec::new();
    if options.cut_points == 0 {
        return Ok(cuts);
    }
    let change = slices::shown_change(loss);
    let slope = |d: &[f64]| d.iter().zip(gradient).map(|(a, b)| a * b).sum::<f64>();
    for (largest, name, words) in
        [(true, "lambda-max", "eigenvector of λ_max"), (false, "lambda-min", "eigenvector of λ_min")]
    {
        let Some(direction) = slices::eigen_direction(stage, largest)? else { continue };
        let pair = if largest { stage.largest() } else { stage.smallest() };
        let curvature = pair.map_or(0.0, |(p, _)| p.value);
        let radius = match options.hessian_radius {
            Some(r) => r[usize::from(!largest)],
            None => slices::radius(change, curvature),
        };
        let request = CutRequest {
            name,
            words,
            curvature,
            slope: slope(direction.vector()),
            risk: subject.slice_risk(),
            other,
        };
        let axis = slices::symmetric_axis(radius, options.cut_points)?;
        cuts.push(slices::cut(&request, theta, &direction, axis, folder, monitor)?);
    }
    let direction = probes::filtered_direction(theta, subject.risk.layout(), options, 0)?;
    let mut hv = vec![0.0; theta.len()];
    near.product(saddlescope_nn::risk::Curvature::Hessian, direction.vector(), &mut hv)?;
    let curvature = direction.vector().iter().zip(&hv).map(|(a, b)| a * b).sum();
    let request = CutRequest {
        name: "random",
        words: "random direction, filter-normalised",
        curvature,
        slope: slope(direction.vector()),
        risk: subject.slice_risk(),
        other,
    };
    let axis = slices::symmetric_axis(options.random_radius, options.cut_points)?;
    cuts.push(slices::cut(&request, theta, &direction, axis, folder, monitor)?);
    Ok(cuts)
}

fn make_surfaces(
    subject: &Subject,
    stage: &eigen::EigenStage,
    loss: f64,
    escape: Option<&EscapeResult>,
    options: &AnalysisOptions,
    folder: &RunFolder,
    monitor: &mut dyn Monitor,
) -> Result<Vec<NamedSurface>, AnalysisError> {
    let mut surfaces = Vec::new();
    if options.grid == 0 {
        return Ok(surfaces);
    }
    let theta = subject.theta();
    let mut risks = vec![(subject.split.as_str(), subject.slice_risk())];
    if let Some((name, risk)) = &subject.other {
        risks.push((name.as_str(), risk));
    }
    let u = slices::eigen_direction(stage, true)?;
    let v = slices::eigen_direction(stage, false)?;
    let hessian = match (u, v, stage.largest(), stage.smallest()) {
        (Some(u), Some(v), Some((top, _)), Some((bottom, _))) => {
            let change = slices::shown_change(loss);
            let mut radii = options
                .hessian_radius
                .unwrap_or([slices::radius(change, top.value), slices::radius(change, bottom.value)]);
            if options.hessian_radius.is_none()
                && let Some(e) = escape
            {
                // The smallest loss along negative curvature should lie well inside the picture.
                radii[1] = radii[1].max(1.6 * e.step.abs());
            }
            Some((Plane::new(theta.to_vec(), u, v)?, radii))
        }
        _ => None,
    };
    let random = slices::random_plane(theta, subject.risk.layout(), options)?;
    for (split, risk) in &risks {
        if let Some((plane, radii)) = &hessian {
            let axes = [
                slices::symmetric_axis(radii[0], options.grid)?,
                slices::symmetric_axis(radii[1], options.grid)?,
            ];
            let name = format!("hessian-{split}");
            let surface = slices::surface(&name, risk, plane, axes, folder, monitor)?;
            surfaces.push(NamedSurface {
                name,
                split: (*split).into(),
                alpha: "λ_max".into(),
                beta: "λ_min".into(),
                surface,
            });
        }
        let axis = slices::symmetric_axis(options.random_radius, options.grid)?;
        let name = format!("random-{split}");
        let surface = slices::surface(&name, risk, &random, [axis, axis], folder, monitor)?;
        surfaces.push(NamedSurface {
            name,
            split: (*split).into(),
            alpha: "random".into(),
            beta: "random".into(),
            surface,
        });
    }
    if let (Some((plane, _)), Some((top, _)), Some((bottom, _))) =
        (&hessian, stage.largest(), stage.smallest())
    {
        // Zoomed inset: both axes change the quadratic model by the same small amount.
        let change = 0.05 * slices::shown_change(loss);
        let axes = [
            slices::symmetric_axis(slices::radius(change, top.value), options.grid)?,
            slices::symmetric_axis(slices::radius(change, bottom.value), options.grid)?,
        ];
        let name = format!("hessian-zoom-{}", subject.split);
        let surface = slices::surface(&name, subject.slice_risk(), plane, axes, folder, monitor)?;
        surfaces.push(NamedSurface {
            name,
            split: subject.split.clone(),
            alpha: "λ_max".into(),
            beta: "λ_min".into(),
            surface,
        });
    }
    Ok(surfaces)
}

fn surface_result(named: &NamedSurface) -> SurfaceResult {
    let s = &named.surface;
    let (rows, columns) = (s.a.count(), s.b.count());
    let minimum = s.minimum().map(|m| MinimumResult { alpha: m.alpha, beta: m.beta, loss: m.loss });
    SurfaceResult {
        name: named.name.clone(),
        directions: format!("{} × {}", named.alpha, named.beta),
        split: named.split.clone(),
        shape: [rows, columns],
        ranges: [[s.a.value(0), s.a.value(rows - 1)], [s.b.value(0), s.b.value(columns - 1)]],
        minimum,
        center_loss: s.loss_at(rows / 2, columns / 2).unwrap_or(f64::NAN),
        not_finite: s.loss.iter().filter(|x| !x.is_finite()).count(),
    }
}

/// Everything needed to run it again.
fn provenance(subject: &Subject, options: &AnalysisOptions) -> BTreeMap<String, Value> {
    let mut map = subject.identity();
    map.extend(options.identity());
    map.insert("saddlescope".into(), env!("CARGO_PKG_VERSION").into());
    map.insert("model.source".into(), subject.model.source.clone().into());
    let (micro, chunk) = subject.risk.batches();
    map.insert("micro_batch".into(), micro.into());
    map.insert("chunk".into(), chunk.into());
    map.insert("slice_samples".into(), subject.slice_risk().samples().into());
    map
}

/// All directions of the analysis as `directions.safetensors`: `NAME/PARAMETER` with the parameter's shape, in f32.
fn save_directions(
    subject: &Subject,
    stage: &eigen::EigenStage,
    options: &AnalysisOptions,
    folder: &RunFolder,
) -> Result<(), AnalysisError> {
    let mut tensors = TensorMap::new();
    let mut put = |name: &str, vector: &[f64]| -> Result<(), AnalysisError> {
        for block in &subject.risk.layout().blocks {
            let values = vector[block.range.clone()].iter().map(|&x| x as f32).collect();
            tensors.insert(format!("{name}/{}", block.name), block.shape.clone(), TensorData::F32(values))?;
        }
        Ok(())
    };
    for (pair, vector) in stage.result.pairs.iter().zip(&stage.vectors) {
        put(&pair.direction, vector)?;
    }
    for i in 0..2 {
        let d = probes::filtered_direction(subject.theta(), subject.risk.layout(), options, i)?;
        put(&format!("random.{}", i + 1), d.vector())?;
    }
    tensors.write(&folder.dir().join("directions.safetensors"))?;
    Ok(())
}
