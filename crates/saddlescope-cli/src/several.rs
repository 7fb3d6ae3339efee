//! What the verbs on several weights share: from files to points of one or more models.

use std::path::{Path, PathBuf};

use clap::Args;
use saddlescope::analysis::Folder;
use saddlescope::between::{Member, ModelLosses, Weights};
use saddlescope::data::weights::TensorMap;
use saddlescope::nn::network::LossKind;
use saddlescope::{NetworkSubject, training_position, weights_of};

use crate::failure::Failure;
use crate::run::{RunArguments, failure};
use crate::subject::SubjectArguments;
use crate::terminal;

/// Name that stands for the weights that are part of the program.
const EMBEDDED: &str = "embedded";

/// Weights files as given: `FILE`, of the model that --model names, or `MODEL=FILE`.
#[derive(Debug, Args)]
pub struct WeightsArguments {
    /// Weights: FILE (safetensors, of the network that --model names), MODEL=FILE, or `embedded`.
    #[arg(value_name = "WEIGHTS", required = true)]
    pub given: Vec<String>,
}

/// Weights that are loaded, with the networks that they are of.
pub struct Several {
    subjects: Vec<(NetworkSubject, LossKind)>,
    weights: Vec<(usize, Weights)>,
}

impl Several {
    /// Loads networks, data and weights.
    pub fn load(arguments: &RunArguments, given: &[String]) -> Result<Self, Failure> {
        let base = &arguments.subject;
        if let Some(path) = &base.weights {
            return Err(Failure::bad_input(format!(
                "--weights {}: this verb takes several weights, as arguments without an option",
                path.display()
            )));
        }
        let wanted: Vec<(String, PathBuf)> = given.iter().map(|text| of_model(text, &base.model)).collect();
        let names = names(&wanted);
        let mut models: Vec<String> = Vec::new();
        let mut several = Self { subjects: Vec::new(), weights: Vec::new() };
        for ((model, path), name) in wanted.iter().zip(names) {
            let arguments = SubjectArguments {
                model: model.clone(),
                weights: (path != Path::new(EMBEDDED)).then(|| path.clone()),
                ..base.clone()
            };
            let place = models.iter().position(|m| m == model);
            let loaded = match place {
                // The network and its data are bound once; of further weights only the numbers are taken.
                Some(place) => arguments.finished_model(several.subjects[place].1)?,
                None => {
                    let (subject, loss) = arguments.subject_both_splits()?;
                    for line in subject.about.iter().chain(&subject.model.notes) {
                        terminal::note(line)?;
                    }
                    let model = subject.model.clone();
                    several.subjects.push((subject, loss));
                    model
                }
            };
            let position = match &arguments.weights {
                Some(path) => TensorMap::read(path)
                    .map(|tensors| training_position(&tensors.metadata))
                    .map_err(|e| Failure::BadInput(e.into()))?,
                None => Default::default(),
            };
            let place = place.unwrap_or(models.len());
            if place == models.len() {
                models.push(model.clone());
            }
            let origin = match &arguments.weights {
                Some(path) => path.display().to_string(),
                None => format!("{model}, embedded weights"),
            };
            several.weights.push((place, weights_of(&loaded, &name, origin, position)));
        }
        if arguments.force {
            start_over(&arguments.out)?;
        }
        Ok(several)
    }

    /// The losses of each network.
    pub fn losses(&self) -> Vec<ModelLosses<'_>> {
        self.subjects.iter().map(|(subject, _)| subject.losses()).collect()
    }

    /// The points.
    pub fn members<'a>(&self, losses: &'a [ModelLosses<'a>]) -> Vec<Member<'a>> {
        let member = |(place, weights): &(usize, Weights)| Member {
            losses: &losses[*place],
            weights: weights.clone(),
        };
        self.weights.iter().map(member).collect()
    }
}

/// Deletes what earlier commands kept of the points and between them.
fn start_over(out: &Path) -> Result<(), Failure> {
    let folders = |dir: &Path| -> Vec<PathBuf> {
        // A folder that is not there has nothing in it.
        std::fs::read_dir(dir).map_or(Vec::new(), |d| d.flatten().map(|e| e.path()).collect())
    };
    for point in folders(&out.join("points")) {
        for split in folders(&point) {
            Folder::start_over(&split).map_err(|e| failure(e.into()))?;
        }
    }
    Folder::start_over(out).map_err(|e| failure(e.into()))
}

/// `MODEL=FILE`, or `FILE` of the usual model.
fn of_model(text: &str, usual: &str) -> (String, PathBuf) {
    match text.split_once('=') {
        // A file of that very name wins.
        Some((model, path)) if !Path::new(text).exists() => (model.to_string(), path.into()),
        _ => (usual.to_string(), text.into()),
    }
}

/// Short names: the files' stems, or as much of the path as tells them apart.
fn names(wanted: &[(String, PathBuf)]) -> Vec<String> {
    let stem = |path: &Path| path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let whole = |path: &Path| path.with_extension("").to_string_lossy().into_owned();
    let stems: Vec<String> = wanted.iter().map(|(_, path)| stem(path)).collect();
    let same = |name: &String| stems.iter().filter(|s| *s == name).count() > 1;
    wanted
        .iter()
        .zip(&stems)
        .map(|((model, path), stem)| match same(stem) {
            false => stem.clone(),
            true if stem == EMBEDDED => format!("{model}-{stem}"),
            true => whole(path).trim_start_matches(['/', '.']).to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_names() {
        let given = ["a/w.safetensors", "b/w.safetensors", "resnet20-a=c.safetensors"];
        let wanted: Vec<_> = given.iter().map(|g| of_model(g, "resnet20-b")).collect();
        assert_eq!(wanted[2], ("resnet20-a".to_string(), PathBuf::from("c.safetensors")));
        assert_eq!(names(&wanted), ["a/w", "b/w", "c"]);
    }
}
