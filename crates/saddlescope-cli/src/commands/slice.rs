//! `saddlescope slice`: cuts and surfaces along directions of the user's choice.

use std::path::{Path, PathBuf};

use clap::Args;
use saddlescope::Axis;
use saddlescope::analysis::{
    DirectionRequest, EigenpairOptions, Folder, GivenDirection, RandomDirectionOptions, Selection,
    SliceOptions, SliceRequest, SpectrumEnd, from_center,
};
use saddlescope::{LossDifference, NetworkSubject, Risk, weights_fingerprint};

use crate::eigen_arguments::eigen_tolerance;
use crate::failure::Failure;
use crate::grid::Grid;
use crate::run::{RunArguments, failure, print_eigenpairs};
use crate::terminal;

/// Arguments as given.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,

    /// One direction (a cut) or two with a comma (a surface); repeatable. A direction is largest[:K] or smallest[:K] (the
    /// K-th eigenvector at that end of the Hessian's spectrum), random[:K] (Gaussian, unit length), filter[:K] (Gaussian,
    /// filter-normalised) or FILE[#NAME] (safetensors). `hessian` is largest,smallest; `random` and `filter` alone are planes.
    #[arg(long = "directions", value_name = "D1[,D2]", default_values_t = ["hessian".to_string(), "filter".to_string()])]
    directions: Vec<String>,

    /// Take eigenvectors from the folder of an earlier run on the same weights instead of computing them.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,

    /// First axis, lo:hi:points, for example -1:1:51; default: from the curvature.
    #[arg(long, value_name = "AXIS", allow_hyphen_values = true)]
    alpha: Option<String>,

    /// Second axis, lo:hi:points; default: as --alpha where that is given, else from the curvature.
    #[arg(long, value_name = "AXIS", allow_hyphen_values = true)]
    beta: Option<String>,

    /// Points along axes that are not given. auto[:POINTS]: a coarse grid, refined where interpolation is wrong by more than the errors,
    /// exported with 33 points (or 17, 65, …).
    #[arg(long, value_name = "POINTS", default_value = "25")]
    grid: Grid,

    /// Filter-normalised directions keep their components at biases and normalisation parameters.
    #[arg(long)]
    keep_biases: bool,

    /// Residual allowed, relative to each |λ|; `auto`: 1e-3, or a tenth of the error of λ over the data where that is more.
    #[arg(long, default_value = "auto", allow_hyphen_values = true)]
    tol: String,
}

/// A direction as written, before files are read.
#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Eigenvector(SpectrumEnd, usize),
    Random(u64),
    Filtered(u64),
    File(PathBuf, Option<String>),
}

fn wanted(text: &str) -> Result<Wanted, Failure> {
    let (name, number) = text.split_once(':').unwrap_or((text, "1"));
    let number = |what: &str| {
        number.parse::<usize>().ok().filter(|k| (1..=100).contains(k)).ok_or_else(|| {
            Failure::bad_input(format!(
                "--directions {text}: `{number}` is no number of {what} from 1 to 100"
            ))
        })
    };
    Ok(match name {
        "largest" => Wanted::Eigenvector(SpectrumEnd::Largest, number("an eigenvector")?),
        "smallest" => Wanted::Eigenvector(SpectrumEnd::Smallest, number("an eigenvector")?),
        "random" => Wanted::Random(number("a random direction")? as u64 - 1),
        "filter" => Wanted::Filtered(number("a random direction")? as u64 - 1),
        _ => {
            let (file, direction) = match text.split_once('#') {
                Some((file, direction)) => (file, Some(direction.to_string())),
                None => (text, None),
            };
            if !Path::new(file).exists() {
                return Err(Failure::bad_input(format!(
                    "--directions {text}: no such file, and none of hessian, largest, smallest, random, filter"
                )));
            }
            Wanted::File(file.into(), direction)
        }
    })
}

/// The directions of one slice, and its name.
fn parse(text: &str) -> Result<(String, Vec<Wanted>), Failure> {
    let full = match text {
        "hessian" => "largest,smallest",
        "random" => "random:1,random:2",
        "filter" => "filter:1,filter:2",
        other => other,
    };
    let parts = full.split(',').map(wanted).collect::<Result<Vec<_>, _>>()?;
    if parts.len() > 2 {
        return Err(Failure::bad_input(format!("--directions {text}: expected one direction or two")));
    }
    let name: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    Ok((name.trim_matches(['-', '.']).to_string(), parts))
}

fn axis(name: &str, text: Option<&str>) -> Result<Option<Axis>, Failure> {
    text.map(|t| Axis::parse(t).map_err(|e| Failure::bad_input(format!("{name}: {e}")))).transpose()
}

/// Reads what must be read.
fn resolve(
    wanted: Wanted,
    from: Option<&Path>,
    subject: &NetworkSubject,
) -> Result<DirectionRequest, Failure> {
    let layout = subject.risk.layout();
    Ok(match (wanted, from) {
        (Wanted::Eigenvector(end, index), Some(folder)) => {
            let weights = weights_fingerprint(&subject.model);
            DirectionRequest::Given(
                GivenDirection::of_run(folder, end, index, &weights, layout).map_err(failure)?,
            )
        }
        (Wanted::Eigenvector(end, index), None) => DirectionRequest::Eigenvector { end, index },
        (Wanted::Random(stream), _) => DirectionRequest::Random { stream },
        (Wanted::Filtered(stream), _) => DirectionRequest::Filtered { stream },
        (Wanted::File(path, direction), _) => DirectionRequest::Given(
            GivenDirection::read(&path, direction.as_deref(), layout).map_err(failure)?,
        ),
    })
}

/// Says it where the eigenvectors are of other samples than the slices.
fn note_other_samples(folder: &Path, subject: &NetworkSubject) -> Result<(), Failure> {
    let of = Folder::identity(folder).map_err(|e| failure(e.into()))?;
    let here = subject.subject().identity().map_err(|e| failure(e.into()))?;
    let different: Vec<&str> = ["data", "data.sha256", "samples", "split", "loss"]
        .into_iter()
        .filter(|k| of.get(*k) != here.get(*k))
        .collect();
    if !different.is_empty() {
        terminal::note(format!(
            "note: the eigenvectors from {} are of other samples or another loss ({} differ); the slices are of the samples given here",
            folder.display(),
            different.join(", ")
        ))?;
    }
    Ok(())
}

/// How many eigenvectors at one end the slices need.
fn needed(slices: &[SliceRequest], wanted: SpectrumEnd) -> usize {
    let index = |d: &DirectionRequest| match d {
        DirectionRequest::Eigenvector { end, index } if *end == wanted => *index,
        _ => 0,
    };
    slices.iter().flat_map(|s| &s.directions).map(index).max().unwrap_or(0)
}

/// Checks the arguments, evaluates, and prints.
pub fn run(a: Arguments) -> Result<(), Failure> {
    let alpha = axis("--alpha", a.alpha.as_deref())?;
    let beta = axis("--beta", a.beta.as_deref())?.or(alpha);
    let grid = a.grid.checked(false)?;
    let tolerance = eigen_tolerance(&a.tol)?;
    let parsed = a.directions.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    let subject = a.run.load(true)?;
    if let Some(folder) = &a.from {
        note_other_samples(folder, &subject)?;
    }
    let mut slices: Vec<SliceRequest> = Vec::new();
    for (mut name, parts) in parsed {
        if slices.iter().any(|s| s.name == name) {
            name = format!("{name}-{}", slices.len() + 1);
        }
        let axes = if parts.len() == 1 { vec![alpha] } else { vec![alpha, beta] };
        let directions =
            (parts.into_iter()).map(|w| resolve(w, a.from.as_deref(), &subject)).collect::<Result<_, _>>()?;
        slices.push(SliceRequest { name, directions, axes, other: true });
    }
    let pairs = EigenpairOptions {
        largest: needed(&slices, SpectrumEnd::Largest),
        smallest: needed(&slices, SpectrumEnd::Smallest),
        ..tolerance
    };
    let selection = Selection {
        eigenpairs: (pairs.largest + pairs.smallest > 0).then_some(pairs),
        earlier_eigenpairs: true,
        slices: SliceOptions { requests: slices, grid },
        random: RandomDirectionOptions { keep_biases: a.keep_biases, ..RandomDirectionOptions::default() },
        seed: a.run.seed,
        adaptive: a.grid.adaptive,
        ..Selection::nothing("slice")
    };
    let analysis = a.run.carry_out(&subject, &selection)?;
    let r = &analysis.results;
    if !r.eigenpairs.is_empty() {
        print_eigenpairs(r)?;
    }
    terminal::print("")?;
    for cut in &r.cuts {
        let smallest = cut.minimum.map_or("no finite value".to_string(), |m| {
            let d = LossDifference { value: m.difference, std_error: m.difference_std_error };
            format!("smallest loss {:.6} at {:.4e}, {}", m.loss, m.alpha, from_center(&d))
        });
        terminal::print(format!(
            "  cut {}: {}; {} points in [{:.4e}, {:.4e}], {} samples; curvature {:.6e}, slope {:.6e}; {smallest}",
            cut.name,
            cut.direction,
            cut.points,
            cut.range[0],
            cut.range[1],
            cut.samples,
            cut.curvature,
            cut.slope
        ))?;
    }
    for s in &r.surfaces {
        let smallest = s.minimum.map_or("no finite value".to_string(), |m| {
            let from_center = from_center(&m.difference());
            format!("smallest loss {:.6} at ({:.4e}, {:.4e}), {from_center}", m.loss, m.alpha, m.beta)
        });
        terminal::print(format!(
            "  surface {}: {} × {} points{}, {} samples; at the point {:.6}; {smallest}{}",
            s.name,
            s.shape[0],
            s.shape[1],
            if s.evaluated < s.shape[0] * s.shape[1] {
                format!(" ({} evaluated)", s.evaluated)
            } else {
                String::new()
            },
            s.samples,
            s.center_loss,
            if s.not_finite > 0 {
                format!("; {} points are not finite", s.not_finite)
            } else {
                String::new()
            }
        ))?;
    }
    a.run.print_places()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_as_written() {
        let (name, parts) = parse("hessian").unwrap();
        assert_eq!(name, "hessian");
        assert_eq!(
            parts,
            [Wanted::Eigenvector(SpectrumEnd::Largest, 1), Wanted::Eigenvector(SpectrumEnd::Smallest, 1)]
        );
        let (name, parts) = parse("smallest:2,filter:3").unwrap();
        assert_eq!(name, "smallest-2-filter-3");
        assert_eq!(parts, [Wanted::Eigenvector(SpectrumEnd::Smallest, 2), Wanted::Filtered(2)]);
        assert_eq!(parse("random:5").unwrap().1, [Wanted::Random(4)]);
        for wrong in ["largest:0", "random:x", "no-such-file", "largest,smallest,random", ""] {
            assert!(matches!(parse(wrong), Err(Failure::BadInput(_))), "{wrong}");
        }
    }
}
