//! What Figures 5 to 7 show of one trained network: its extreme eigenpairs, and surfaces along their eigenvectors and
//! along random, filter-normalised directions.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{PaperError, PaperFigure};
use saddlescope_landscape::Axis;
use saddlescope_landscape::Plane;
use saddlescope_landscape::analysis::slice_request::DirectionRequest;
use saddlescope_landscape::analysis::slices::{self, NamedSurface};
use saddlescope_landscape::analysis::{
    AnalysisError, AnalysisOptions, EigenResult, EigenStage, End, MemoryPlan, Monitor, RunFolder, Split,
    Subject, eigenpairs,
};
use saddlescope_landscape::norm;

/// A network of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaperNetwork {
    /// ResNet-56 for CIFAR-10 with projection shortcuts, 855,770 parameters (Figures 5 and 7).
    ResNet56,
    /// DenseNet-121 for CIFAR-10, growth 32, 6,956,298 parameters (Figures 6 and 7).
    DenseNet121,
}

impl PaperNetwork {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ResNet56, Self::DenseNet121];

    /// The figure that shows its surfaces.
    pub fn figure(self) -> PaperFigure {
        match self {
            Self::ResNet56 => PaperFigure::ResNet56,
            Self::DenseNet121 => PaperFigure::DenseNet121,
        }
    }

    /// The model's name in the zoo.
    pub fn model(self) -> &'static str {
        match self {
            Self::ResNet56 => "resnet56-b",
            Self::DenseNet121 => "densenet121",
        }
    }

    /// The name as the paper writes it.
    pub fn title(self) -> &'static str {
        match self {
            Self::ResNet56 => "ResNet-56",
            Self::DenseNet121 => "DenseNet-121",
        }
    }

    /// λ_min and λ_max as the paper prints them (Section 3.2), of its own weights.
    pub fn printed(self) -> [&'static str; 2] {
        match self {
            Self::ResNet56 => ["−16.4", "5007.9"],
            Self::DenseNet121 => ["−109.1", "1937.5"],
        }
    }

    /// Half-width of panels (a, b) as in the paper; that of panels (c, d) is 1 for both networks.
    pub fn close_radius(self) -> f64 {
        match self {
            Self::ResNet56 => 0.05,
            Self::DenseNet121 => 0.4,
        }
    }
}

/// How the surfaces are computed.
#[derive(Clone, Copy, Debug)]
pub struct NetworkSettings {
    /// Points along each side of a surface.
    pub grid: usize,
    /// Residual allowed for each eigenvalue, relative to |λ|.
    pub tolerance: f64,
    /// Seed of the solver's start and of the random directions.
    pub seed: u64,
    /// Whether Figure 5 or 6 is wanted: panels on the analysed samples at both ranges, and the inset.
    pub surfaces: bool,
    /// Whether Figure 7 is wanted: heat maps on both splits.
    pub heat_maps: bool,
}

/// A network around its trained point.
#[derive(Clone, Debug)]
pub struct NetworkLandscape {
    /// Which network.
    pub network: PaperNetwork,
    /// ‖∇L(θ)‖ on the analysed samples.
    pub gradient_norm: f64,
    /// Number of samples of the Hessian.
    pub samples: usize,
    /// Number of samples of each surface.
    pub slice_samples: usize,
    /// Name of the analysed split, and of the other one.
    pub splits: [String; 2],
    /// λ_max and λ_min with residuals and errors over the data.
    pub eigen: EigenResult,
    /// The surfaces, named `PLANE-RANGE-SPLIT` with plane `hessian` or `random`, range `close`, `wide`, `map` or `inset`.
    pub surfaces: Vec<NamedSurface>,
}

impl NetworkLandscape {
    /// A surface by name.
    pub fn surface(&self, name: &str) -> Option<&NamedSurface> {
        self.surfaces.iter().find(|s| s.name == name)
    }

    /// The name of the analysed split.
    pub fn split(&self) -> &str {
        &self.splits[0]
    }
}

/// A surface to evaluate: its name without the split, plane, half-widths, and split with its risk.
type Wanted<'a> = (&'a str, &'a Plane, [f64; 2], Split<'a>);

/// Half-widths along the directions of λ_max and λ_min at which the quadratic model changes the loss by so many times
/// the loss at the point: our weights have other curvatures than the paper's, so its ranges would not show the same.
fn radii(stage: &EigenStage, loss: f64, changes: [f64; 2]) -> [f64; 2] {
    let curvature = |end| stage.pair(end, 1).map_or(0.0, |(p, _)| p.value);
    [
        slices::radius(changes[0] * loss, curvature(End::Largest)),
        slices::radius(changes[1] * loss, curvature(End::Smallest)),
    ]
}

/// Finds the eigenpairs and evaluates the surfaces wanted; continues what the folder holds.
///
/// # Errors
/// Cancelled (everything finished is kept), a folder of something else, or a network without both eigenpairs.
pub fn network_landscape(
    network: PaperNetwork,
    subject: &Subject<'_>,
    settings: &NetworkSettings,
    dir: &Path,
    monitor: &mut dyn Monitor,
) -> Result<NetworkLandscape, PaperError> {
    let options = AnalysisOptions {
        largest: 1,
        smallest: 1,
        tolerance: settings.tolerance,
        seed: settings.seed,
        grid: settings.grid,
        ..AnalysisOptions::default()
    };
    let mut identity: BTreeMap<_, _> = subject.identity();
    identity.insert("grid".into(), settings.grid.into());
    identity.insert("seed".into(), settings.seed.into());
    identity.insert("tolerance".into(), settings.tolerance.into());
    let folder = RunFolder::open(dir, &identity).map_err(AnalysisError::from)?;
    let theta = subject.theta();
    let risk = subject.risk();
    let memory = MemoryPlan::new(subject, &options, None)?;
    let stage = {
        let near = risk.at(theta, memory.keep).map_err(AnalysisError::from)?;
        eigenpairs(&*near, risk.offers().precision, &options, &memory, &folder, monitor)?
    };
    let mut gradient = vec![0.0; theta.len()];
    let here = risk.gradient(theta, &mut gradient).map_err(AnalysisError::from)?;

    let direction = |request: DirectionRequest| request.resolve(subject, Some(&stage), &options);
    let largest = direction(DirectionRequest::Eigenvector { end: End::Largest, index: 1 })?;
    let smallest = direction(DirectionRequest::Eigenvector { end: End::Smallest, index: 1 })?;
    let eta = direction(DirectionRequest::Filtered { stream: 0 })?;
    let delta = direction(DirectionRequest::Filtered { stream: 1 })?;
    let words = [[largest.words, smallest.words], [eta.words, delta.words]];
    let hessian = Plane::new(theta.to_vec(), largest.direction, smallest.direction)?;
    let random = Plane::new(theta.to_vec(), eta.direction, delta.direction)?;
    let own = subject.slice_split();
    let other = subject.other;
    let close = network.close_radius();
    let inset = radii(&stage, here.loss, [0.15, 0.5]);
    let map = radii(&stage, here.loss, [1.0, 2.0]);
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    if settings.surfaces {
        wanted.push(("hessian-close", &hessian, [close; 2], own));
        wanted.push(("random-close", &random, [close; 2], own));
        wanted.push(("hessian-wide", &hessian, [1.0; 2], own));
        wanted.push(("random-wide", &random, [1.0; 2], own));
        wanted.push(("hessian-inset", &hessian, inset, own));
    }
    if settings.heat_maps {
        for splits in [Some(own), other].into_iter().flatten() {
            wanted.push(("random-map", &random, [1.0; 2], splits));
            wanted.push(("hessian-map", &hessian, map, splits));
        }
    }
    let mut surfaces = Vec::new();
    for (name, plane, radii, Split { name: split, risk }) in wanted {
        let axes: [Axis; 2] = [
            slices::symmetric_axis(radii[0], settings.grid)?,
            slices::symmetric_axis(radii[1], settings.grid)?,
        ];
        let name = format!("{name}-{split}");
        let surface = slices::surface(&name, risk, plane, axes, &folder, monitor)?;
        let is_random = name.starts_with("random");
        let labels = if is_random {
            ["$\\alpha$", "$\\beta$"]
        } else {
            ["$\\alpha$ ($\\lambda_{max}$)", "$\\beta$ ($\\lambda_{min}$)"]
        };
        surfaces.push(NamedSurface {
            split: split.into(),
            directions: words[usize::from(is_random)].clone(),
            labels: labels.map(String::from),
            heading: if is_random { "Random directions".into() } else { "Hessian directions".into() },
            zoom: name.starts_with("hessian-inset"),
            name,
            surface,
        });
    }
    Ok(NetworkLandscape {
        network,
        gradient_norm: norm(&gradient),
        samples: risk.samples(),
        slice_samples: subject.slice_split().risk.samples(),
        splits: [own.name.into(), other.map_or_else(String::new, |s| s.name.into())],
        eigen: stage.result,
        surfaces,
    })
}
