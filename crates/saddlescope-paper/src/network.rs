//! What Figures 5 to 7 show of one trained network: its extreme eigenpairs, and surfaces along their eigenvectors and
//! along random, filter-normalised directions.

use std::path::Path;

use saddlescope_landscape::Axis;
use saddlescope_landscape::analysis::{
    AnalysisError, AutoSamples, DirectionRequest, EigenResult, EigenpairOptions, EigenpairResult, Monitor,
    NamedSurface, Results, Selection, SliceRequest, SpectrumEnd, Subject, compute, largest, radius, smallest,
};

use crate::{PaperError, PaperFigure};

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
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// Points along each side of a surface.
    pub grid: usize,
    /// Whether only points are evaluated where interpolation is wrong by more than the errors.
    pub adaptive: bool,
    /// How the number of samples of the surfaces is chosen; `None`: those of the subject.
    pub slice_samples: Option<AutoSamples>,
    /// Residual allowed for each eigenvalue, relative to |λ|; a tenth of the error over the images is allowed too.
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
    /// The surfaces, named `PLANE-RANGE-SPLIT` with plane `hessian` or `random`, range `close`, `wide`, `map` (Figure 7, Hessian
    /// only) or `inset`.
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

/// Half-widths along the directions of λ_max and λ_min at which the quadratic model changes the loss by so many times
/// the loss at the point: our weights have other curvatures than the paper's, so its ranges would not show the same.
fn radii(results: &Results, changes: [f64; 2]) -> [f64; 2] {
    let value = |pair: Option<&EigenpairResult>| pair.map_or(0.0, |p| p.value);
    [
        radius(changes[0] * results.loss, value(largest(&results.eigenpairs))),
        radius(changes[1] * results.loss, value(smallest(&results.eigenpairs))),
    ]
}

const HESSIAN: [DirectionRequest; 2] = [
    DirectionRequest::Eigenvector { end: SpectrumEnd::Largest, index: 1 },
    DirectionRequest::Eigenvector { end: SpectrumEnd::Smallest, index: 1 },
];
const RANDOM: [DirectionRequest; 2] =
    [DirectionRequest::Filtered { stream: 0 }, DirectionRequest::Filtered { stream: 1 }];

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
    let pairs = EigenpairOptions {
        largest: 1,
        smallest: 1,
        tolerance: settings.tolerance,
        // The figures compare eigenvalues and slices within their errors over the images.
        data_share: Some(0.1),
        ..EigenpairOptions::default()
    };
    let mut selection =
        Selection { seed: settings.seed, eigenpairs: Some(pairs), ..Selection::nothing("paper") };
    let results = compute(subject, &selection, None, dir, monitor)?.results;
    let Some(eigen) = results.eigen.clone() else {
        return Err(PaperError::Analysis(AnalysisError::Other("no eigenpairs were found".into())));
    };
    let mut request = |name: &str, directions: [DirectionRequest; 2], radii: [f64; 2], other: bool| {
        let points = settings.grid | 1;
        let axes = radii.map(|r| Axis::new(-r, r, points));
        let [a, b] = axes;
        selection.slices.requests.push(SliceRequest {
            name: name.into(),
            directions: directions.to_vec(),
            axes: vec![Some(a?), Some(b?)],
            other,
        });
        Ok::<(), PaperError>(())
    };
    let close = network.close_radius();
    if settings.surfaces {
        request("hessian-close", HESSIAN, [close; 2], false)?;
        request("random-close", RANDOM, [close; 2], false)?;
        request("hessian-wide", HESSIAN, [1.0; 2], false)?;
        request("hessian-inset", HESSIAN, radii(&results, [0.15, 0.5]), false)?;
    }
    // Both figures show it, Figure 7 on the other split too.
    request("random-wide", RANDOM, [1.0; 2], settings.heat_maps)?;
    if settings.heat_maps {
        request("hessian-map", HESSIAN, radii(&results, [1.0, 2.0]), true)?;
    }
    selection.adaptive = settings.adaptive;
    selection.slice_samples.clone_from(&settings.slice_samples);
    let found = compute(subject, &selection, None, dir, monitor)?;
    let slice_samples = found.results.slice_samples;
    let mut surfaces = found.surfaces;
    for surface in &mut surfaces {
        let random = surface.name.starts_with("random");
        surface.heading = if random { "Random directions".into() } else { "Hessian directions".into() };
        surface.zoom = surface.name.starts_with("hessian-inset");
        surface.labels = if random {
            ["$\\alpha$".into(), "$\\beta$".into()]
        } else {
            ["$\\alpha$ ($\\lambda_{max}$)".into(), "$\\beta$ ($\\lambda_{min}$)".into()]
        };
    }
    Ok(NetworkLandscape {
        network,
        gradient_norm: results.gradient_norm.unwrap_or(f64::NAN),
        samples: results.samples,
        slice_samples,
        splits: [subject.main.name.into(), subject.other.map_or_else(String::new, |s| s.name.into())],
        eigen,
        surfaces,
    })
}
