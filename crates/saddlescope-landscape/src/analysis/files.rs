//! What a run leaves for other programs: directions, arrays, and surfaces as meshes.
//!
//! ```text
//! DIR/directions.safetensors       NAME/PARAMETER, with the parameter's shape, f32
//! DIR/arrays/surface-NAME.npz      alpha, beta, loss (alpha × beta), accuracy, std_error, difference_std_error, center_loss,
//!                                  evaluated (where some points are interpolated)
//! DIR/arrays/cut-NAME.npz          alpha, loss, std_error, difference_std_error, the same of the other split as other_…
//! DIR/arrays/eigenvalues.npz …     the numbers behind the tables
//! DIR/surfaces/NAME.vtp, NAME.obj  triangles: ParaView, and any three-dimensional program
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use saddlescope_data::weights::{TensorData, TensorMap};

use super::error::AnalysisError;
use super::folder_error::FolderError;
use super::found::{Analysis, Found, Probes};
use super::requests::DirectionRequest;
use super::results::Results;
use super::selection::Selection;
use super::store::Folder;
use super::subject::Subject;
use crate::presentation::{surface_grid, turned};
use saddlescope_figure::{NamedArray, arrays_to_npz, write_atomic, write_obj, write_vtp};

/// Writes every direction that the run found or used.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn save_directions(
    subject: &Subject<'_>,
    selection: &Selection,
    found: &Found,
    folder: &Folder,
) -> Result<(), AnalysisError> {
    let mut tensors = TensorMap::new();
    let mut put = |name: &str, vector: &[f64]| -> Result<(), AnalysisError> {
        for block in &subject.risk().layout().blocks {
            let values = vector[block.range.clone()].iter().map(|&x| x as f32).collect();
            tensors.insert(format!("{name}/{}", block.name), block.shape.clone(), TensorData::F32(values))?;
        }
        Ok(())
    };
    let eigenpairs = found.eigenpairs.as_ref();
    if let Some(pairs) = eigenpairs {
        for (pair, vector) in pairs.result.pairs.iter().zip(&pairs.vectors) {
            put(&pair.direction, vector)?;
        }
    }
    if selection.cuts.is_some() || selection.surfaces.is_some() {
        for stream in 0..2 {
            // Where θ has no filters to normalise against, cuts and surfaces along it were left out.
            let Ok(d) = (DirectionRequest::Filtered { stream }).resolve(subject, eigenpairs, selection)
            else {
                continue;
            };
            put(&format!("random.{}", stream + 1), d.direction.vector())?;
        }
    }
    for slice in &selection.slices.requests {
        for (request, axis) in slice.directions.iter().zip(["alpha", "beta"]) {
            // A slice that an earlier command asked for may have been along a direction from a file.
            if matches!(request, DirectionRequest::Given(given) if given.vector.is_empty()) {
                continue;
            }
            let d = request.resolve(subject, eigenpairs, selection)?;
            put(&format!("{}.{axis}", slice.name), d.direction.vector())?;
        }
    }
    if !tensors.is_empty() {
        tensors.write(&folder.dir().join("directions.safetensors"))?;
    }
    Ok(())
}

fn line(name: &str, values: &[f64]) -> NamedArray {
    NamedArray { name: name.into(), shape: vec![values.len() as u64], values: values.to_vec() }
}

/// 1 where it is so, 0 elsewhere.
fn marks(values: &[bool]) -> Vec<f64> {
    values.iter().map(|&v| if v { 1.0 } else { 0.0 }).collect()
}

fn table(name: &str, columns: usize, values: Vec<f64>) -> NamedArray {
    let rows = values.len() / columns.max(1);
    NamedArray { name: name.into(), shape: vec![rows as u64, columns as u64], values }
}

/// Arrays by file name.
fn arrays(analysis: &Analysis, probes: Option<&Probes>) -> Vec<(String, Vec<NamedArray>)> {
    let results: &Results = &analysis.results;
    let mut files = Vec::new();
    if !results.eigenpairs.is_empty() {
        let of = |f: fn(&super::results::EigenpairResult) -> f64| -> Vec<f64> {
            results.eigenpairs.iter().map(f).collect()
        };
        files.push((
            "eigenvalues".to_string(),
            vec![
                line("value", &of(|p| p.value)),
                line("residual", &of(|p| p.residual)),
                line("std_error", &of(|p| p.std_error.unwrap_or(f64::NAN))),
            ],
        ));
    }
    if let Some(probes) = probes {
        let tensors = probes.layers.first().map_or(0, Vec::len);
        files.push((
            "probes".to_string(),
            vec![
                line("quadratic", &probes.quadratic),
                line("square", &probes.square),
                line("mixed", &probes.mixed),
                table("layers", tensors, probes.layers.concat()),
            ],
        ));
    }
    if let Some(trace) = &results.trace {
        files.push((
            "trace".to_string(),
            vec![
                line("running_hutchinson", &trace.running_hutchinson),
                line("running_hutchinson_error", &trace.running_hutchinson_error),
                line("running_fit", &trace.running_fit),
            ],
        ));
    }
    if let Some(density) = &results.density {
        files.push((
            "density".to_string(),
            vec![
                line("at", &density.at),
                line("density", &density.density),
                line("std_error", &density.std_error),
                line("nodes", &density.nodes),
                line("weights", &density.weights),
            ],
        ));
    }
    for (name, planes) in
        [("random_planes", &results.random_planes), ("filtered_planes", &results.filtered_planes)]
    {
        if let Some(planes) = planes {
            files.push((name.to_string(), vec![table("curvatures", 2, planes.curvatures.concat())]));
        }
    }
    if let Some(settle) = &results.settle {
        let of =
            |f: fn(&crate::settle::SettleStep) -> f64| -> Vec<f64> { settle.steps.iter().map(f).collect() };
        let mut content = vec![
            line("products", &of(|s| s.products as f64)),
            line("gradient_norm", &of(|s| s.gradient_norm)),
            line("loss", &of(|s| s.loss)),
            line("distance", &of(|s| s.distance)),
        ];
        content.extend(settle.spectrum.iter().map(|s| line("eigenvalues", &s.eigenvalues)));
        files.push(("settle".to_string(), content));
    }
    for cut in &analysis.cuts {
        let mut content = vec![line("alpha", &cut.alpha)];
        for (losses, prefix) in [(Some(&cut.measured), ""), (cut.other.as_ref(), "other_")] {
            let Some(losses) = losses else { continue };
            content.push(line(&format!("{prefix}loss"), &losses.loss));
            if let Some(e) = &losses.errors {
                content.push(line(&format!("{prefix}std_error"), &e.loss));
                content.push(line(&format!("{prefix}difference_std_error"), &e.difference));
            }
        }
        files.push((format!("cut-{}", cut.name), content));
    }
    for named in &analysis.surfaces {
        let s = &named.surface;
        let columns = s.b.count();
        let mut content = vec![
            line("alpha", &s.a.values()),
            line("beta", &s.b.values()),
            table("loss", columns, s.loss.clone()),
        ];
        content.extend(s.accuracy.iter().map(|a| table("accuracy", columns, a.clone())));
        if let Some(e) = &s.errors {
            content.push(table("std_error", columns, e.loss.clone()));
            content.push(table("difference_std_error", columns, e.difference.clone()));
        }
        content.push(line("center_loss", &[s.center]));
        if let Some(evaluated) = &s.evaluated {
            content.push(table("evaluated", columns, marks(evaluated)));
        }
        files.push((format!("surface-{}", named.name), content));
    }
    files
}

fn make(dir: &Path) -> Result<(), FolderError> {
    std::fs::create_dir_all(dir).map_err(|reason| FolderError::Io { path: dir.into(), reason })
}

/// Writes arrays and meshes.
///
/// # Errors
/// If something cannot be written.
pub fn save(analysis: &Analysis, probes: Option<&Probes>, folder: &Folder) -> Result<(), AnalysisError> {
    let dir = folder.dir().join("arrays");
    make(&dir)?;
    let mut written = BTreeSet::new();
    for (name, content) in arrays(analysis, probes) {
        let path = dir.join(format!("{name}.npz"));
        let bytes =
            arrays_to_npz(&content).map_err(|reason| FolderError::Io { path: path.clone(), reason })?;
        write_atomic(&path, &bytes)?;
        written.insert(name);
    }
    remove_stale(&dir, &["npz"], |n| n.starts_with("cut-") || n.starts_with("surface-"), &written)?;
    if let Some(sharpness) = &analysis.results.sharpness {
        write_atomic(&folder.dir().join("sharpness.md"), sharpness.markdown().as_bytes())?;
    }
    let dir = folder.dir().join("surfaces");
    if !analysis.surfaces.is_empty() {
        make(&dir)?;
    }
    for named in &analysis.surfaces {
        let grid = surface_grid(&named.surface);
        let errors = named.surface.errors.as_ref();
        let [loss, difference] = [errors.map(|e| &e.loss), errors.map(|e| &e.difference)]
            .map(|v| v.map(|v| turned(&named.surface, |i| v.get(i).copied().unwrap_or(f64::NAN))));
        let evaluated = named.surface.evaluated.as_ref().map(|e| marks(&turned(&named.surface, |i| e[i])));
        let mut more: Vec<(&str, &[f64])> = Vec::new();
        more.extend(evaluated.as_deref().map(|v| ("evaluated", v)));
        more.extend(loss.as_deref().map(|v| ("std_error", v)));
        more.extend(difference.as_deref().map(|v| ("difference_std_error", v)));
        write_vtp(&grid, "loss", &more, &dir.join(format!("{}.vtp", named.name)))?;
        write_obj(&grid, &named.name, &dir.join(format!("{}.obj", named.name)))?;
    }
    let written = analysis.surfaces.iter().map(|named| named.name.clone()).collect();
    Ok(remove_stale(&dir, &["vtp", "obj"], |_| true, &written)?)
}

/// Deletes what an earlier command wrote and the results no longer hold: files of these endings with a name that is `ours`
/// and not among `written`.
pub(crate) fn remove_stale(
    dir: &Path,
    endings: &[&str],
    ours: impl Fn(&str) -> bool,
    written: &BTreeSet<String>,
) -> Result<(), FolderError> {
    let wrong = |reason| FolderError::Io { path: dir.into(), reason };
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(wrong)?,
    };
    for entry in entries {
        let path = entry.map_err(wrong)?.path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if endings.contains(&ending) && ours(stem) && !written.contains(stem) {
            std::fs::remove_file(&path).map_err(|reason| FolderError::Io { path: path.clone(), reason })?;
        }
    }
    Ok(())
}
