//! The part of `saddlescope paper` that needs trained networks: Figures 5 to 7.

use std::path::{Path, PathBuf};

use clap::Args;
use saddlescope::model::{self, ModelError};
use saddlescope::paper::{
    NetworkLandscape, NetworkSettings, PaperError, PaperFigure, PaperNetwork, network_landscape,
};

use crate::failure::Failure;
use crate::grid::Grid;
use crate::progress::Progress;
use crate::run::{between, failure};
use crate::subject::SubjectArguments;
use crate::subject_values::SliceSamples;
use crate::terminal;

/// Options of Figures 5 to 7.
#[derive(Debug, Clone, Args)]
pub struct NetworkArguments {
    /// Figures 5 to 7: trained weights of ResNet-56 (projection shortcuts) or DenseNet-121, recognised by their tensors;
    /// repeatable.
    #[arg(long, value_name = "FILE")]
    weights: Vec<PathBuf>,

    /// Figures 5 to 7: images, for example cifar10:DIR.
    #[arg(long, value_name = "SOURCE")]
    data: Option<String>,

    /// Figures 5 to 7: training samples of the Hessian, A..B or a number; once for all networks, or once for each --weights.
    #[arg(long, value_name = "A..B", default_value = "0..128")]
    samples: Vec<String>,

    /// Figures 5 to 7: samples of each surface (from the start of --samples); once for all networks, or once for each
    /// --weights; default: at most 256; auto[:SHARE]: enough that differences near the centre are known to
    /// that share of their range.
    #[arg(long, value_name = "N")]
    slice_samples: Vec<SliceSamples>,

    /// Figures 5 to 7: points along each side of a surface; auto[:POINTS]: a coarse grid, refined where
    /// interpolation is wrong by more
    /// than the errors, exported with 33 points (or 17, 65, …).
    #[arg(long, value_name = "POINTS", default_value = "21")]
    grid: Grid,
}

/// What has to be computed for Figures 5 to 7.
#[derive(Debug)]
pub struct NetworkPlan {
    networks: Vec<(PaperNetwork, SubjectArguments)>,
    settings: NetworkSettings,
}

/// Which of the paper's networks the weights are of.
fn recognise(path: &Path) -> Result<PaperNetwork, Failure> {
    let mut refusals = Vec::new();
    for network in PaperNetwork::ALL {
        match model::load(network.model(), Some(path), None) {
            Ok(_) => return Ok(network),
            Err(error @ ModelError::NotFinite { .. }) => {
                return Err(Failure::BadInput(anyhow::Error::new(error).context("--weights")));
            }
            Err(error) => refusals.push(format!("not {}: {error}", network.title())),
        }
    }
    Err(Failure::bad_input(format!("--weights {}: {}", path.display(), refusals.join("; "))))
}

impl NetworkArguments {
    /// Checks what the figures need; `None` if none of them needs a network.
    pub fn plan(&self, figures: &[PaperFigure], seed: u64) -> Result<Option<NetworkPlan>, Failure> {
        let Some(&first) = figures.iter().find(|f| f.needs_network()) else {
            if !self.weights.is_empty() {
                return Err(Failure::bad_input(
                    "--weights: only Figures 5, 6 and 7 use weights (--figure 5 …)",
                ));
            }
            return Ok(None);
        };
        if self.weights.is_empty() || self.data.is_none() {
            let error = PaperError::NeedsNetwork { figure: first };
            return Err(Failure::bad_input(format!(
                "--figure {}: {error} (--weights and --data)",
                first.number()
            )));
        }
        between("--grid", self.grid.points, 3, 1001)?;
        let mut networks: Vec<(PaperNetwork, SubjectArguments)> = Vec::new();
        let samples = self.of_each("--samples", &self.samples)?;
        let slice_samples: Vec<Option<SliceSamples>> = match self.slice_samples.as_slice() {
            [] => vec![None; self.weights.len()],
            given => self.of_each("--slice-samples", given)?.into_iter().copied().map(Some).collect(),
        };
        for ((path, samples), slice_samples) in self.weights.iter().zip(samples).zip(slice_samples) {
            let network = recognise(path)?;
            if networks.iter().any(|(n, _)| *n == network) {
                return Err(Failure::bad_input(format!(
                    "--weights {}: a second file for {}",
                    path.display(),
                    network.title()
                )));
            }
            networks.push((network, self.subject(network, path, samples, slice_samples)));
        }
        networks.sort_by_key(|(n, _)| *n);
        for network in PaperNetwork::ALL {
            if figures.contains(&network.figure()) && networks.iter().all(|(n, _)| *n != network) {
                return Err(Failure::bad_input(format!(
                    "--figure {}: none of --weights is of {}",
                    network.figure().number(),
                    network.title()
                )));
            }
        }
        let settings = NetworkSettings {
            grid: self.grid.points,
            adaptive: self.grid.adaptive,
            slice_samples: None,
            tolerance: 1e-3,
            seed,
            surfaces: false,
            heat_maps: figures.contains(&PaperFigure::HeatMaps),
        };
        Ok(Some(NetworkPlan { networks, settings }))
    }

    /// One value of an option for each network.
    fn of_each<'a, T>(&self, option: &str, given: &'a [T]) -> Result<Vec<&'a T>, Failure> {
        let networks = self.weights.len();
        match given {
            [one] => Ok(vec![one; networks]),
            many if many.len() == networks => Ok(many.iter().collect()),
            many => Err(Failure::bad_input(format!(
                "{option} is given {} times; expected once, or once for each of the {networks} --weights",
                many.len()
            ))),
        }
    }

    fn subject(
        &self,
        network: PaperNetwork,
        weights: &Path,
        samples: &str,
        slice_samples: Option<SliceSamples>,
    ) -> SubjectArguments {
        SubjectArguments {
            slice_samples,
            ..SubjectArguments::plain(
                network.model().into(),
                Some(weights.to_path_buf()),
                self.data.clone(),
                Some(samples.into()),
            )
        }
    }
}

impl NetworkPlan {
    /// Analyses every network in a folder of its own below `out`, continuing what is there.
    pub fn landscapes(&self, figures: &[PaperFigure], out: &Path) -> Result<Vec<NetworkLandscape>, Failure> {
        let mut landscapes = Vec::new();
        for (network, arguments) in &self.networks {
            let surfaces = figures.contains(&network.figure());
            let slice_samples = arguments.auto_samples();
            let settings = NetworkSettings { surfaces, slice_samples, ..self.settings.clone() };
            if !settings.surfaces && !settings.heat_maps {
                continue;
            }
            terminal::note(format!("{}:", network.title()))?;
            let subject = arguments.subject(true)?;
            let dir = out.join("networks").join(network.model());
            let landscape =
                network_landscape(*network, &subject.subject(), &settings, &dir, &mut Progress::new())
                    .map_err(|error| match error {
                        PaperError::Analysis(error) => failure(error),
                        other => Failure::Failed(other.into()),
                    })?;
            landscapes.push(landscape);
        }
        Ok(landscapes)
    }
}
