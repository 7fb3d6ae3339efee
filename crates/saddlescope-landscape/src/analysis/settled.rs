//! The settled point in the results, the verdict, the report and the figures.

use saddlescope_figure::page::{Align, Row, Section, Table};
use saddlescope_figure::{Axis, ColorRole, Figure, FigureWidth, LineStyle, Lines, Reference, Series};

use super::found::Found;
use super::results::{CriticalSpectrum, SettleResult};
use crate::number_text::{number, short};
use crate::reading::CriticalKind;
use crate::settle::{SettleEnd, SettleStep};

/// What was found, if settling was asked for.
pub(crate) fn result(found: &Found, tolerance: f64) -> Option<SettleResult> {
    let settled = found.settled.as_ref()?;
    let (first, last) = (settled.way.steps.first()?, settled.way.steps.last()?);
    let end = settled.way.end?;
    let spectrum = found.critical_spectrum.clone();
    Some(SettleResult {
        end,
        message: end.to_string(),
        tolerance,
        gradient_norm: [first.gradient_norm, last.gradient_norm],
        loss: [first.loss, last.loss],
        accuracy: settled.accuracy,
        other_loss: settled.other_loss,
        distance: last.distance,
        relative_distance: last.distance / settled.size,
        steps: settled.way.steps.clone(),
        products: settled.way.products,
        gradients: settled.way.gradients,
        kind: spectrum.as_ref().filter(|_| end == SettleEnd::Converged).map(CriticalSpectrum::kind),
        spectrum,
    })
}

impl SettleResult {
    /// What is known of the critical point, in sentences.
    pub fn sentences(&self) -> Vec<String> {
        let of_theta = match self.relative_distance {
            share if share.is_finite() => format!(" ({} of ‖θ*‖)", percent(share)),
            _ => String::new(),
        };
        let moved = format!(
            "{} from θ*{of_theta}, where the loss is {} instead of {}",
            short(self.distance),
            number(self.loss[1]),
            number(self.loss[0])
        );
        let mut out = vec![match self.end {
            SettleEnd::Converged => {
                format!("A point with ‖∇L‖ = {} lies {moved}.", short(self.gradient_norm[1]))
            }
            SettleEnd::Receding => format!(
                "No critical point was found: {}. ‖∇L‖ = {} was reached {moved}.",
                self.message,
                short(self.gradient_norm[1])
            ),
            _ => format!(
                "No point with ‖∇L‖ ≤ {} was found: {}. The way ended {moved}, and ‖∇L‖ = {} instead of {}.",
                short(self.tolerance),
                self.message,
                short(self.gradient_norm[1]),
                short(self.gradient_norm[0])
            ),
        }];
        if let Some(spectrum) = &self.spectrum {
            let kind = match self.kind {
                Some(CriticalKind::Saddle) if spectrum.whole => {
                    format!("It is a saddle of index {}", spectrum.negative)
                }
                Some(CriticalKind::Saddle) => format!("It is a saddle of index {} at least", spectrum.negative),
                Some(CriticalKind::Minimum) => "It is a minimum".into(),
                Some(CriticalKind::Maximum) => "It is a maximum".into(),
                Some(CriticalKind::Degenerate) if spectrum.vanishes() => {
                    "It is degenerate: the Hessian vanishes here, and second derivatives do not say what kind of point it is"
                        .into()
                }
                Some(CriticalKind::Degenerate) => {
                    "Second derivatives do not decide what it is: no curvature has the other sign, but some are zero".into()
                }
                Some(CriticalKind::Undecided) => {
                    "The extreme eigenvalues found do not decide what it is".into()
                }
                None if spectrum.vanishes() => "The Hessian vanishes there".into(),
                None => "The Hessian there".into(),
            };
            out.push(format!("{kind}: {}.", spectrum.counts()));
        }
        out
    }
}

fn percent(share: f64) -> String {
    format!("{} %", short(100.0 * share))
}

/// The section of the report.
pub(crate) fn section(result: &SettleResult, figures: Vec<Figure>) -> Section {
    let found = result.end == SettleEnd::Converged;
    let mut table = Table::new(
        if found { "From θ* to the critical point" } else { "From θ* to the end of the way" },
        &[("", Align::Left), ("at θ*", Align::Right), ("settled", Align::Right)],
    );
    let mut row = |name: &str, values: [String; 2]| {
        let [before, after] = values;
        table.rows.push(Row { cells: vec![name.into(), before, after], note: String::new() });
    };
    row("gradient norm ‖∇L‖", result.gradient_norm.map(short));
    row("loss", result.loss.map(number));
    if let Some(l) = result.other_loss {
        row("loss, other split", l.map(number));
    }
    if let Some(a) = result.accuracy {
        row("accuracy", a.map(|a| format!("{:.2} %", 100.0 * a)));
    }
    row("distance moved", ["0".into(), short(result.distance)]);
    row("distance in units of ‖θ*‖", ["0".into(), percent(result.relative_distance)]);
    if let Some(spectrum) = &result.spectrum {
        let bound = if spectrum.whole { "" } else { "≥ " };
        row("negative eigenvalues", ["".into(), format!("{bound}{}", spectrum.negative)]);
        if let Some(zero) = spectrum.zero {
            row("eigenvalues that are zero to rounding", ["".into(), zero.to_string()]);
        }
        row("positive eigenvalues", ["".into(), format!("{bound}{}", spectrum.positive)]);
        let ends = match (spectrum.eigenvalues.first(), spectrum.eigenvalues.last()) {
            (Some(&low), Some(&high)) => Some((low, high)),
            _ => spectrum.smallest.last().zip(spectrum.largest.first()).map(|(l, h)| (l.value, h.value)),
        };
        if let Some((low, high)) = ends {
            row("λ_min", ["".into(), number(low)]);
            row("λ_max", ["".into(), number(high)]);
        }
    }
    let title = if found { "The critical point nearby" } else { "In search of a critical point" };
    let mut section = Section::new(title)
        .paragraph(result.sentences().join(" "))
        .paragraph(format!(
            "Newton's method on ∇L = 0 in f64: every step minimises ‖g + Hp‖ within a bound on ‖p‖, and is taken only where the \
             gradient gets smaller; it does not prefer minima to saddles. {} steps, {} products, {} gradients; it ended because {}.",
            result.steps.len() - 1,
            result.products,
            result.gradients,
            result.message
        ))
        .table(table);
    section.figures = figures;
    section
}

/// ‖∇L‖ on the way.
pub(crate) fn way_figure(result: &SettleResult) -> Option<Figure> {
    if result.steps.len() < 2 {
        return None;
    }
    let of = |f: fn(&SettleStep) -> f64| -> Vec<f64> { result.steps.iter().map(f).collect() };
    let products = of(|s| s.products as f64);
    let gradient = Lines {
        x: Axis::linear("Hessian-vector products"),
        y: whole_log_axis(
            "$\\|\\nabla L\\|$",
            result.steps.iter().map(|s| s.gradient_norm).chain([result.tolerance]),
        ),
        series: vec![
            Series::new("", products.clone(), of(|s| s.gradient_norm), ColorRole::First)
                .style(LineStyle::LinePoints),
        ],
        references: vec![Reference::horizontal(result.tolerance, "tolerance")],
    };
    let distance = Lines {
        x: Axis::linear("Hessian-vector products"),
        y: Axis::linear("distance from $\\theta^*$"),
        series: vec![
            Series::new("", products, of(|s| s.distance), ColorRole::Second).style(LineStyle::LinePoints),
        ],
        references: vec![],
    };
    Some(
        Figure::new(
            "settle",
            if result.end == SettleEnd::Converged {
                "The way to the critical point"
            } else {
                "The way towards a critical point"
            },
            "Norm of the gradient and distance from the point analysed, after every step that was taken.",
        )
        .panel("", gradient)
        .panel("", distance),
    )
}

/// A logarithmic axis that shows all of these positive numbers, however many decades they span.
fn whole_log_axis(label: &str, values: impl Iterator<Item = f64>) -> Axis {
    let axis = Axis::log(label);
    let (low, high) = (values.filter(|x| *x > 0.0 && x.is_finite()))
        .fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    if low < high { axis.range(0.5 * low, 2.0 * high) } else { axis }
}

/// All eigenvalues at the settled point, both signs on one logarithmic axis.
pub(crate) fn spectrum_figure(result: &SettleResult) -> Option<Figure> {
    let spectrum = result.spectrum.as_ref().filter(|s| s.whole && !s.eigenvalues.is_empty())?;
    let sizes = |sign: f64| -> Vec<f64> {
        let mut sizes: Vec<f64> =
            spectrum.eigenvalues.iter().map(|x| sign * x).filter(|x| *x > spectrum.threshold).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        sizes
    };
    let rank = |v: &[f64]| (1..=v.len()).map(|i| i as f64).collect::<Vec<_>>();
    let series: Vec<Series> = [("positive", 1.0, ColorRole::First), ("negative", -1.0, ColorRole::Second)]
        .into_iter()
        .map(|(name, sign, color)| (name, sizes(sign), color))
        .filter(|(_, sizes, _)| !sizes.is_empty())
        .map(|(name, sizes, color)| {
            Series::new(format!("{name} ({})", sizes.len()), rank(&sizes), sizes, color)
                .style(LineStyle::Points)
        })
        .collect();
    if series.is_empty() {
        return None;
    }
    let shown = || series.iter().flat_map(|s| s.y.iter().copied()).chain([spectrum.threshold]);
    let panel = Lines {
        x: Axis::linear("rank by size"),
        y: whole_log_axis("$|\\lambda|$", shown()),
        series,
        references: vec![Reference::horizontal(spectrum.threshold, "zero to rounding")],
    };
    Some(
        Figure::new(
            "settled-spectrum",
            "Every eigenvalue at the settled point",
            format!(
                "Eigenvalues of the Hessian in f64, positive and negative ones each by size: {}.",
                spectrum.counts()
            ),
        )
        .width(FigureWidth::Single)
        .panel("", panel),
    )
}
