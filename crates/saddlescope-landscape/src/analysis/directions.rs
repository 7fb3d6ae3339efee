//! Directions and axes of a slice as a user asks for them, and the directions that come of it.

use std::path::Path;

use saddlescope_data::weights::TensorMap;
use sha2::{Digest, Sha256};

use super::error::AnalysisError;
use super::found::Eigenpairs;
use saddlescope_krylov::SpectrumEnd;

use super::folder_error::FolderError;
use super::requests::{DirectionRequest, GivenDirection};
use super::results::Results;
use super::selection::Selection;
use super::subject::Subject;
use crate::direction::{Direction, Origin, Unfiltered, filter_normalize};
use crate::layout::ParameterLayout;
use crate::number_text::number;
use crate::weights_hash::hex;

/// A direction ready for use, with its name for axes (markup) and in plain words.
pub struct NamedDirection {
    /// The direction.
    pub direction: Direction,
    /// What stands beside α or β on an axis.
    pub label: String,
    /// In words.
    pub words: String,
    /// Whether its length is that of θ's filters.
    pub filtered: bool,
}

impl GivenDirection {
    fn new(name: String, vector: Vec<f64>, origin: Origin) -> Self {
        let mut hash = Sha256::new();
        vector.iter().for_each(|x| hash.update(x.to_le_bytes()));
        let sha256 = hex(&hash.finalize());
        Self { name, sha256, vector, origin }
    }

    /// Reads a direction from a safetensors file with one tensor a parameter, named like the parameter or
    /// `DIRECTION/PARAMETER` (as `directions.safetensors` is); `direction` says which when there are several.
    ///
    /// # Errors
    /// A file that cannot be read, or in which a parameter is missing or of another shape.
    pub fn read(
        path: &Path,
        direction: Option<&str>,
        layout: &ParameterLayout,
    ) -> Result<Self, AnalysisError> {
        let tensors = TensorMap::read(path)?;
        let prefix = direction.map_or(String::new(), |d| format!("{d}/"));
        let mut vector = Vec::with_capacity(layout.len());
        for block in &layout.blocks {
            let name = format!("{prefix}{}", block.name);
            let Some(tensor) = tensors.get(&name) else {
                return Err(AnalysisError::Given {
                    path: path.into(),
                    problem: format!("no tensor `{name}`; {}", directions_of(&tensors)),
                });
            };
            if tensor.shape != block.shape {
                return Err(AnalysisError::Given {
                    path: path.into(),
                    problem: format!(
                        "tensor `{name}` has shape {:?}; expected {:?}",
                        tensor.shape, block.shape
                    ),
                });
            }
            vector.extend(tensor.data.to_f64());
        }
        let name = match direction {
            Some(d) => format!("{}#{d}", path.display()),
            None => path.display().to_string(),
        };
        Ok(Self::new(name, vector, Origin::Given))
    }

    /// Reads an eigenvector from the folder of an earlier run on the same weights.
    ///
    /// # Errors
    /// No such folder, an analysis of other weights, or no such eigenvector in it.
    pub fn of_run(
        folder: &Path,
        end: SpectrumEnd,
        index: usize,
        weights: &str,
        layout: &ParameterLayout,
    ) -> Result<Self, AnalysisError> {
        let results = read_results(folder)?;
        let path = folder.join("results.json");
        let found = results.provenance.get("weights.sha256").and_then(|v| v.as_str()).unwrap_or("none");
        if found != weights {
            let problem = format!("an analysis of weights {found}, not of these ({weights})");
            return Err(AnalysisError::Given { path, problem });
        }
        let mut pairs: Vec<_> = results.eigenpairs.iter().filter(|p| p.end == end).collect();
        if end == SpectrumEnd::Smallest {
            pairs.reverse();
        }
        let Some(pair) = index.checked_sub(1).and_then(|i| pairs.get(i)) else {
            return Err(AnalysisError::Given {
                path,
                problem: format!(
                    "holds {} eigenpairs at that end; number {index} was asked for",
                    pairs.len()
                ),
            });
        };
        let file = folder.join("directions.safetensors");
        let mut given = Self::read(&file, Some(&pair.direction), layout)?;
        given.origin =
            Origin::Eigenvector { value: pair.value, residual: pair.residual, converged: pair.converged };
        Ok(given)
    }
}

/// Reads `results.json` of a folder.
///
/// # Errors
/// If there is none or it is damaged.
pub fn read_results(folder: &Path) -> Result<Results, FolderError> {
    let path = folder.join("results.json");
    let bytes = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && folder.join("run.json").exists() => {
            let mut folders: Vec<String> = std::fs::read_dir(folder)
                .map_err(|reason| FolderError::Io { path: folder.into(), reason })?
                .flatten()
                .filter(|entry| entry.path().join("results.json").exists())
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            folders.sort();
            let dir = folder.into();
            return Err(if folders.is_empty() {
                FolderError::Unfinished { dir }
            } else {
                FolderError::SeveralPoints { dir, folders }
            });
        }
        other => other.map_err(|reason| FolderError::Io { path: path.clone(), reason })?,
    };
    serde_json::from_slice(&bytes).map_err(|e| FolderError::Damaged { path, problem: e.to_string() })
}

/// What directions a file has, for an error.
fn directions_of(tensors: &TensorMap) -> String {
    let mut names: Vec<&str> =
        tensors.iter().filter_map(|(name, _)| name.split_once('/').map(|(d, _)| d)).collect();
    names.dedup();
    if names.is_empty() {
        "expected one tensor for every parameter".into()
    } else {
        format!("the directions in it are {}", names.join(", "))
    }
}

fn eigen_label(end: SpectrumEnd, value: f64, converged: bool) -> String {
    let end = if end == SpectrumEnd::Largest { "max" } else { "min" };
    let mark = if converged { "" } else { ", not converged" };
    format!("$\\lambda_{{{end}}}$ = {}{mark}", number(value))
}

/// The direction of an eigenvector that this run has found: number `index` (from 1) at one end.
///
/// # Errors
/// If the vector is not finite.
pub fn eigen_direction(
    eigenpairs: &Eigenpairs,
    end: SpectrumEnd,
    index: usize,
) -> Result<Option<NamedDirection>, AnalysisError> {
    let Some((pair, vector)) = eigenpairs.pair(end, index) else { return Ok(None) };
    let origin =
        Origin::Eigenvector { value: pair.value, residual: pair.residual, converged: pair.converged };
    let words = match (end, index) {
        (SpectrumEnd::Largest, 1) => "eigenvector of λ_max".to_string(),
        (SpectrumEnd::Smallest, 1) => "eigenvector of λ_min".to_string(),
        (SpectrumEnd::Largest, i) => format!("eigenvector of the largest eigenvalue but {}", i - 1),
        (SpectrumEnd::Smallest, i) => format!("eigenvector of the smallest eigenvalue but {}", i - 1),
    };
    let label = if index == 1 {
        eigen_label(end, pair.value, pair.converged)
    } else {
        format!("$\\lambda$ = {}", number(pair.value))
    };
    let direction = Direction::new(vector.to_vec(), origin)?.unit();
    Ok(Some(NamedDirection { direction, label, words, filtered: false }))
}

impl DirectionRequest {
    /// The direction itself.
    ///
    /// # Errors
    /// An eigenvector that was not found, a direction of no use (zero, not finite).
    pub fn resolve(
        &self,
        subject: &Subject<'_>,
        eigenpairs: Option<&Eigenpairs>,
        selection: &Selection,
    ) -> Result<NamedDirection, AnalysisError> {
        let theta = subject.theta();
        match self {
            Self::Eigenvector { end, index } => {
                let found = eigenpairs.map(|s| eigen_direction(s, *end, *index)).transpose()?.flatten();
                found.ok_or_else(|| {
                    AnalysisError::Other(format!("the eigenvalue solve found no pair number {index} there"))
                })
            }
            Self::Random { stream } => Ok(NamedDirection {
                direction: Direction::random(theta.len(), selection.seed, *stream)?.unit(),
                label: "random".into(),
                words: "random direction".into(),
                filtered: false,
            }),
            Self::Filtered { stream } => Ok(NamedDirection {
                direction: filtered_direction(theta, subject.risk().layout(), selection, *stream)?,
                label: "random, filter-normalised".into(),
                words: "random direction, filter-normalised".into(),
                filtered: true,
            }),
            Self::Given(given) => {
                let direction = Direction::new(given.vector.clone(), given.origin.clone())?.unit();
                let label = match given.origin {
                    Origin::Eigenvector { value, converged, .. } => {
                        let mark = if converged { "" } else { ", not converged" };
                        format!("$\\lambda$ = {}{mark}", number(value))
                    }
                    _ => "given".into(),
                };
                Ok(NamedDirection { direction, label, words: given.name.clone(), filtered: false })
            }
        }
    }
}

/// A random direction, filter-normalised against θ (Li et al. 2018).
///
/// # Errors
/// If nothing is left of the direction.
pub(crate) fn filtered_direction(
    theta: &[f64],
    layout: &ParameterLayout,
    selection: &Selection,
    stream: u64,
) -> Result<Direction, AnalysisError> {
    let unfiltered = if selection.random.keep_biases { Unfiltered::Keep } else { Unfiltered::Zero };
    let direction = Direction::random(theta.len(), selection.seed, 1_000_000 + stream)?;
    Ok(filter_normalize(direction, theta, layout, unfiltered)?)
}
