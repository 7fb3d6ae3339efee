//! `saddlescope analyze`: the main job.

use clap::Args;
use saddlescope::analysis::{
    CutOptions, DensityStageOptions, FitOptions, RandomDirectionOptions, Selection, SliceOptions,
    SplitOptions, SurfaceOptions,
};

use crate::eigen_arguments::EigenArguments;
use crate::failure::Failure;
use crate::grid::Grid;
use crate::growing::choose_samples;
use crate::run::{RunArguments, between, pairs_of_probes, positive, print_eigenpairs, print_verdict};

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    #[command(flatten)]
    eigen: EigenArguments,

    /// Random probes for trace, norm, layers and random planes.
    #[arg(long, default_value_t = 16)]
    probes: usize,

    /// Probes of the spectral density; 0 leaves it out.
    #[arg(long, default_value_t = 2)]
    density_probes: usize,

    /// Lanczos steps for each probe.
    #[arg(long, default_value_t = 32)]
    density_steps: usize,

    /// Leave out the eigenvalues of G and H − G.
    #[arg(long)]
    no_split: bool,

    /// Points along each side of a surface; 0 leaves the surfaces out. auto[:POINTS]: a coarse grid, refined
    /// where interpolation is
    /// wrong by more than the errors, exported with 33 points (or 17, 65, …).
    #[arg(long, value_name = "POINTS", default_value = "25")]
    grid: Grid,

    /// Half-widths A,B of the Hessian plane; default: from the curvature.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    range: Vec<f64>,

    /// Half-width of the random plane, in filter norms.
    #[arg(long, value_name = "R", default_value_t = 1.0)]
    random_range: f64,

    /// Random directions keep their components at biases and normalisation parameters.
    #[arg(long)]
    keep_biases: bool,

    /// Leave out the search along negative curvature.
    #[arg(long)]
    no_escape: bool,
}

fn selection(a: &Arguments) -> Result<Selection, Failure> {
    let hessian_radius = match a.range.as_slice() {
        [] => None,
        [r] => Some([positive("--range", *r)?; 2]),
        [x, y] => Some([positive("--range", *x)?, positive("--range", *y)?]),
        more => {
            return Err(Failure::bad_input(format!("--range: {} numbers, expected one or two", more.len())));
        }
    };
    let grid = a.grid.checked(true)?;
    let steps = between("--density-steps", a.density_steps, 2, 10_000)?;
    between("--density-probes", a.density_probes, 0, 10_000)?;
    Ok(Selection {
        verb: "analyze".into(),
        seed: a.run.seed,
        eigenpairs: Some(a.eigen.checked(1)?),
        probes: Some(pairs_of_probes(a.probes, 2)?),
        fits: Some(FitOptions { points: 7, radius: None }),
        density: (a.density_probes > 0).then_some(DensityStageOptions { probes: a.density_probes, steps }),
        split: (!a.no_split).then(SplitOptions::default),
        filtered_planes: Some(4),
        escape: !a.no_escape,
        earlier_eigenpairs: false,
        sharpness: None,
        rescaling: None,
        settle: None,
        critical_spectrum: None,
        cuts: Some(CutOptions { points: 41, hessian_radius }),
        surfaces: (grid > 0).then_some(SurfaceOptions { grid, hessian_radius }),
        slices: SliceOptions::default(),
        random: RandomDirectionOptions {
            keep_biases: a.keep_biases,
            radius: positive("--random-range", a.random_range)?,
        },
        adaptive: a.grid.adaptive,
        slice_samples: None,
        slice_choice: None,
    })
}

/// Checks the arguments and analyses.
pub fn run(mut arguments: Arguments) -> Result<(), Failure> {
    let mut selection = selection(&arguments)?;
    if let Some(pairs) = &mut selection.eigenpairs {
        choose_samples(&mut arguments.run, pairs)?;
    }
    let subject = arguments.run.load(true)?;
    let analysis = arguments.run.carry_out(&subject, &selection)?;
    print_verdict(&analysis.results)?;
    print_eigenpairs(&analysis.results)?;
    arguments.run.print_places()
}
