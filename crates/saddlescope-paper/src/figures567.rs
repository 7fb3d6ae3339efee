//! Figures 5 and 6 (surfaces of one network) and 7 (heat maps of both), with the table beside the paper's numbers.

use super::network::{NetworkLandscape, PaperNetwork};
use super::{Comparison, FigureResult, Finding, Measured};
use saddlescope_figure::{Figure, Inset, Levels, Scale, Surface3d};
use saddlescope_landscape::analysis::NamedSurface;
use saddlescope_landscape::analysis::{EigenpairResult, from_center, largest, smallest};
use saddlescope_landscape::presentation::range_and_scale;

/// Figure 5 (ResNet-56) or 6 (DenseNet-121).
pub(super) fn surfaces(landscape: &NetworkLandscape) -> FigureResult {
    let (network, split) = (landscape.network, landscape.split());
    let number = network.figure().number();
    let find = |name: &str| landscape.surface(&format!("{name}-{split}"));
    let close = network.close_radius();
    let values = match (largest(&landscape.eigen.pairs), smallest(&landscape.eigen.pairs)) {
        (Some(top), Some(bottom)) => format!("λ_max = {:.4}, λ_min = {:.4}", top.value, bottom.value),
        _ => String::new(),
    };
    let mut figure = Figure::new(
        format!("figure-{number}"),
        format!("{} around its trained point", network.title()),
        format!(
            "Loss on {} {split} images. (a, c) Unit eigenvectors of the largest and the smallest Hessian eigenvalue ({values}, \
             from {} images). (b, d) Random directions, filter-normalised. Ranges as in the paper: ±{close} in (a, b), ±1 in \
             (c, d). Inset of (c): the centre, with ranges from our curvatures. A cross marks the smallest loss.",
            landscape.slice_samples, landscape.samples
        ),
    )
    .columns(2);
    let mut smallest_losses = Vec::new();
    for (name, title) in [
        ("hessian-close", "Hessian directions, close"),
        ("random-close", "random directions, close"),
        ("hessian-wide", "Hessian directions, wide"),
        ("random-wide", "random directions, wide"),
    ] {
        let Some(named) = find(name) else { continue };
        let mut surface = Surface3d { levels: Levels::Auto(8), ..named.surface3d() };
        if name == "hessian-wide"
            && let Some(inset) = find("hessian-inset")
        {
            surface.inset = Some(Inset { grid: inset.grid(), scale: Scale::Linear });
        }
        figure = figure.panel(title, surface);
        if let (Some(panel), Some(minimum)) = (figure.panels.last(), named.surface.minimum()) {
            smallest_losses.push(format!("{} {}", panel.label, from_center(&minimum.difference)));
        }
    }
    if let Some(minimum) = find("hessian-inset").and_then(|n| n.surface.minimum()) {
        smallest_losses.push(format!("inset {}", from_center(&minimum.difference)));
    }
    figure.caption.push_str(&smallest_loss_is(&smallest_losses));
    FigureResult { number, figure, numbers: numbers(landscape) }
}

/// Figure 7: one row a network and kind of direction, training and test data side by side.
pub(super) fn heat_maps(landscapes: &[NetworkLandscape]) -> FigureResult {
    let mut figure = Figure::new(
        "figure-7",
        "Training and test loss from above",
        "Loss along random, filter-normalised directions (±1) and along the eigenvectors of the largest (α) and smallest (β) \
         Hessian eigenvalue (ranges from the curvature). A cross marks the smallest loss on the grid, a ring the trained \
         point, a dashed line its loss. Both splits of a plane share one colour scale; where it spans more than a factor of 30 it is logarithmic. \
         Hatched: not distinguishable from the trained point (the difference is below two of its standard errors over the same \
         images).",
    )
    .columns(2);
    let (mut numbers, mut smallest_losses, mut images) = (Vec::new(), Vec::new(), Vec::new());
    for landscape in landscapes {
        for (plane, words) in [("random-wide", "random"), ("hessian-map", "Hessian")] {
            let named: Vec<&NamedSurface> = (landscape.splits.iter())
                .filter_map(|split| landscape.surface(&format!("{plane}-{split}")))
                .collect();
            let shared = range_and_scale(named.iter().flat_map(|n| n.surface.loss.iter().copied()));
            for n in named {
                let title = format!("{}, {words}, {}", landscape.network.title(), n.split);
                figure = figure.panel(title, n.heat_map(shared));
                if let (Some(panel), Some(minimum)) = (figure.panels.last(), n.surface.minimum()) {
                    smallest_losses.push(format!("{} {}", panel.label, from_center(&minimum.difference)));
                }
                let used = format!("{}: {} {} images", landscape.network.title(), n.samples, n.split);
                if !images.contains(&used) {
                    images.push(used);
                }
            }
        }
        numbers.extend(minima(landscape));
    }
    figure.caption.push_str(&format!(" {}.", images.join("; ")));
    figure.caption.push_str(&smallest_loss_is(&smallest_losses));
    FigureResult { number: 7, figure, numbers }
}

/// A sentence of the smallest losses of all panels, with errors.
fn smallest_loss_is(panels: &[String]) -> String {
    if panels.is_empty() { String::new() } else { format!(" Smallest losses: {}.", panels.join("; ")) }
}

fn row(place: &str, quantity: String, printed: &str, ours: Measured, remark: String) -> Comparison {
    Comparison {
        place: place.into(),
        quantity,
        printed: printed.into(),
        exact: None,
        exact_source: String::new(),
        ours,
        finding: if printed.is_empty() { Finding::NotPrinted } else { Finding::OtherWeights },
        remark,
    }
}

/// λ_min and λ_max beside the paper's.
fn numbers(landscape: &NetworkLandscape) -> Vec<Comparison> {
    let title = landscape.network.title();
    let [min, max] = landscape.network.printed();
    let eigen = |quantity: &str, printed: &str, pair: Option<&EigenpairResult>| {
        pair.map(|p| {
            row(
                "Sec. 3.2",
                format!("{quantity} of {title}"),
                printed,
                Measured {
                    value: p.value,
                    std_error: p.std_error.unwrap_or(f64::INFINITY),
                    samples: landscape.samples,
                },
                format!(
                    "true residual {:.1e}{}; error: over the images; ‖∇L‖ = {:.3}",
                    p.residual,
                    if p.converged { "" } else { " (not converged)" },
                    landscape.gradient_norm
                ),
            )
        })
    };
    [
        eigen("λ_min", min, smallest(&landscape.eigen.pairs)),
        eigen("λ_max", max, largest(&landscape.eigen.pairs)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where the smallest losses of the heat maps lie.
fn minima(landscape: &NetworkLandscape) -> Vec<Comparison> {
    let title = landscape.network.title();
    let mut rows = Vec::new();
    for (plane, words) in [("random-wide", "random"), ("hessian-map", "Hessian")] {
        for split in &landscape.splits {
            let Some(named) = landscape.surface(&format!("{plane}-{split}")) else { continue };
            let s = &named.surface;
            let center = s.center;
            let Some(minimum) = s.minimum() else { continue };
            let printed = match (landscape.network, words, split.as_str()) {
                (PaperNetwork::DenseNet121, "Hessian", "train") => "below 0.1 at (0, 0.2)",
                _ => "",
            };
            rows.push(row(
                "Fig. 7",
                format!("smallest loss / loss at the centre, {title}, {words} plane, {split}"),
                printed,
                Measured {
                    value: minimum.loss / center,
                    // Of the difference, in units of the loss at the centre.
                    std_error: minimum.difference.std_error.map_or(f64::INFINITY, |e| e / center.abs()),
                    samples: named.samples,
                },
                format!(
                    "loss {:.4} at (α, β) = ({:.3}, {:.3}), {}; {center:.4} at the centre",
                    minimum.loss,
                    minimum.alpha,
                    minimum.beta,
                    from_center(&minimum.difference)
                ),
            ));
        }
    }
    rows
}
