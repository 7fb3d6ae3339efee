//! The report of an analysis: computes nothing, says what was found.

use super::directions::read_results;
use super::error::AnalysisError;
use super::figures;
use super::folder_error::FolderError;
use super::found::Analysis;
use super::results::{HessianSigns, Results};
use super::settled;
use super::sharpness_result;
use super::store::Folder;
use super::verdict::random_slice_sentence;
use crate::number_text::{interval, number, or_unknown, plural, plus_minus, short, with_error};
use saddlescope_figure::page::{Align, Report, Section, Table, write_html};
use saddlescope_figure::{Figure, read_json, write_atomic};
use saddlescope_krylov::SpectrumEnd;

fn eigen_table(results: &Results) -> Table {
    let mut table = Table::new(
        "Extreme eigenvalues of the Hessian",
        &[
            ("end", Align::Left),
            ("λ", Align::Right),
            ("true residual ‖Hv − λv‖", Align::Right),
            ("an eigenvalue lies in", Align::Right),
            ("± over the data", Align::Right),
            ("converged", Align::Centre),
        ],
    );
    for pair in &results.eigenpairs {
        let end = if pair.end == SpectrumEnd::Largest { "largest" } else { "smallest" };
        table = table.row([
            end.to_string(),
            number(pair.value),
            short(pair.residual),
            interval(pair.interval),
            or_unknown(pair.std_error),
            match pair.converged {
                true if pair.at_rounding_floor() => "to the rounding floor".into(),
                true => "yes".into(),
                false => "no".to_string(),
            },
        ]);
    }
    table
}

/// What errors over the data are computed from, where it is known.
fn groups(results: &Results) -> String {
    let of = results.provenance.get("chunk").and_then(serde_json::Value::as_u64).filter(|n| *n > 0);
    let Some(samples) = of.and_then(|n| usize::try_from(n).ok()) else { return String::new() };
    let groups = results.samples.div_ceil(samples);
    format!("; it is computed from {} of {}", plural(groups, "group"), plural(samples, "sample"))
}

fn numbers_table(results: &Results) -> Table {
    let mut table = Table::new("The point", &[("quantity", Align::Left), ("value", Align::Right)]);
    let mut row = |name: &str, value: String, note: &str| {
        table.rows.push(saddlescope_figure::page::Row { cells: vec![name.into(), value], note: note.into() });
    };
    let with = |loss: f64, error: Option<f64>| match error {
        Some(error) => plus_minus(loss, error),
        None => format!("{} (error unknown)", number(loss)),
    };
    row("loss L(θ)", with(results.loss, results.loss_std_error), "± over the samples");
    if let Some(a) = results.accuracy {
        row("accuracy", format!("{:.2} %", 100.0 * a), "");
    }
    let other = results.splits.get(1).map_or("other split", String::as_str);
    let of = results.other_samples.map_or(String::new(), |n| plural(n, "sample"));
    if let Some(l) = results.other_loss {
        row(&format!("loss, {other}"), with(l, results.other_loss_std_error), &of);
    }
    if let Some(a) = results.other_accuracy {
        row(&format!("accuracy, {other}"), format!("{:.2} %", 100.0 * a), &of);
    }
    if let Some(norm) = results.gradient_norm {
        row("gradient norm ‖∇L‖", short(norm), "");
    }
    row("parameters N", results.parameters.to_string(), "");
    row("samples", results.samples.to_string(), "");
    if !(results.cuts.is_empty() && results.surfaces.is_empty())
        && (1..results.samples).contains(&results.slice_samples)
    {
        row("samples of cuts and surfaces", results.slice_samples.to_string(), "the first ones");
    }
    if let Some(trace) = &results.trace {
        row("trace, Hutchinson (2.22)", with_error(&trace.hutchinson), "Gaussian probes; standard error");
        if let Some(fit) = &trace.curvature_fit {
            let note = trace.curvature_fit_warning.as_deref().unwrap_or("function values only, same vectors");
            row("trace, curvature fits", with_error(fit), note);
        }
        if let Some(difference) = &trace.curvature_fit_difference {
            row("fits less products", with_error(difference), "paired; what the loss is not a parabola by");
        }
    }
    if let Some(mean) = &results.mean_curvature {
        row("mean curvature tr H / N (2.20)", with_error(mean), "");
    }
    if let Some(norm) = &results.frobenius_norm {
        row("Frobenius norm ‖H‖", with_error(norm), "from the same products");
    }
    if let Some(density) = &results.density {
        row(
            "negative eigenvalues, clearly",
            density.clearly_negative_text(),
            &format!(
                "below −{} (0.1 % of ‖H‖₂): between what so many steps of Lanczos can tell, with the scatter over the probes",
                short(density.threshold)
            ),
        );
    }
    table
}

fn planes_table(results: &Results) -> Option<Table> {
    let mut table = Table::new(
        "What random planes show",
        &[
            ("directions", Align::Left),
            ("minimum", Align::Right),
            ("saddle", Align::Right),
            ("maximum", Align::Right),
            ("chance of a saddle, 95 %", Align::Right),
            ("mean κ₋", Align::Right),
            ("mean κ₊", Align::Right),
        ],
    );
    for (name, planes) in
        [("Gaussian", &results.random_planes), ("filter-normalised", &results.filtered_planes)]
    {
        let Some(p) = planes else { continue };
        let [low, high] = p.saddle_interval;
        table = table.row([
            name.to_string(),
            p.minima.to_string(),
            p.saddles.to_string(),
            p.maxima.to_string(),
            format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high),
            with_error(&p.kappa_minus),
            with_error(&p.kappa_plus),
        ]);
    }
    (!table.rows.is_empty()).then_some(table)
}

fn split_section(results: &Results) -> Option<Section> {
    let split = results.split.as_ref()?;
    let table = Table::new(
        "H = G + R: Gauss–Newton matrix and the curvature of the network itself",
        &[("quantity", Align::Left), ("G", Align::Right), ("R = H − G", Align::Right)],
    )
    .row([
        "largest eigenvalue".to_string(),
        number(split.gauss_newton_largest.value),
        number(split.residual_largest.value),
    ])
    .row(["smallest eigenvalue".to_string(), "≥ 0".into(), number(split.residual_smallest.value)])
    .row(["vᵀ·v at λ_max".to_string(), number(split.at_lambda_max[0]), number(split.at_lambda_max[1])])
    .row(["vᵀ·v at λ_min".to_string(), number(split.at_lambda_min[0]), number(split.at_lambda_min[1])]);
    Some(
        Section::new("Where the negative curvature comes from")
            .paragraph(
                "G has no negative eigenvalues: every negative curvature of the loss comes from R, the second derivatives of the \
                 network weighted with how wrong its outputs are. Near a perfect fit R vanishes.",
            )
            .table(table),
    )
}

fn escape_section(results: &Results) -> Option<Section> {
    let e = results.escape.as_ref()?;
    let percent = |a: f64| format!("{:.2} %", 100.0 * a);
    let mut table = Table::new(
        "Along the eigenvector of λ_min",
        &[("", Align::Left), ("before", Align::Right), ("after", Align::Right)],
    );
    let mut row = |name: &str, values: [String; 2]| {
        let [before, after] = values;
        table.rows.push(saddlescope_figure::page::Row {
            cells: vec![name.into(), before, after],
            note: String::new(),
        });
    };
    row("loss", e.loss.map(number));
    if let Some(l) = e.other_loss {
        row("loss, other split", l.map(number));
    }
    if let Some(a) = e.accuracy {
        row("accuracy", a.map(percent));
    }
    if let Some(a) = e.other_accuracy {
        row("accuracy, other split", a.map(percent));
    }
    let gain = e.loss[0] - e.loss[1];
    let text = if gain > 0.0 {
        let mut text = format!(
            "A step of {} along the direction of the most negative curvature lowers the loss by {} ({:.1} %).",
            short(e.step),
            match e.change_std_error {
                Some(error) => format!("{} over the samples", plus_minus(gain, error)),
                None => short(gain),
            },
            100.0 * gain / e.loss[0].abs().max(f64::MIN_POSITIVE)
        );
        if e.change_std_error.is_some_and(|error| gain < 2.0 * error) {
            text += " That is less than two standard errors: other samples may not show it.";
        }
        if let Some([before, after]) = e.other_loss.filter(|[before, after]| after > before) {
            text +=
                &format!(" The loss of the other split rises from {} to {}.", number(before), number(after));
        }
        text + " `saddlescope escape` writes the weights there."
    } else {
        "No step along the direction of the most negative curvature lowers the loss on the grid searched."
            .into()
    };
    Some(Section::new("The way out").paragraph(text).table(table))
}

fn layers_section(results: &Results, figure: Option<Figure>) -> Option<Section> {
    if results.layers.len() < 2 {
        return None;
    }
    let mut layers: Vec<_> = results.layers.iter().collect();
    layers.sort_by(|a, b| b.trace.value.abs().total_cmp(&a.trace.value.abs()));
    let mut table = Table::new(
        "Tensors with the largest traces",
        &[("tensor", Align::Left), ("parameters", Align::Right), ("trace of its block", Align::Right)],
    );
    for layer in layers.iter().take(12) {
        table = table.row([layer.name.clone(), layer.parameters.to_string(), with_error(&layer.trace)]);
    }
    let mut section = Section::new("Layer by layer").table(table);
    section.figures.extend(figure);
    Some(section)
}

/// Random planes: what they show, and how likely they are to show the saddle.
fn random_section(results: &Results) -> Option<Section> {
    let table = planes_table(results)?;
    let mut random = Section::new("What a random slice would have said");
    if let Some(planes) = &results.random_planes {
        let p = results.saddle_probability.as_ref().map(|p| p.value);
        let sampled = if p.is_some() {
            " That chance is sampled from the extreme eigenvalues and the spectral density."
        } else {
            ""
        };
        let closed = results.saddle_probability_closed_form.map_or(String::new(), |q| {
            format!(
                " The closed form exp(−(tr H)²/(4 tr H²))/√2, which assumes that no eigenvalue dominates, gives {:.2} %.",
                100.0 * q
            )
        });
        random = random.paragraph(format!(
            "Of the random planes measured here, {}{sampled}{closed}",
            random_slice_sentence(planes, p, "Gaussian planes"),
        ));
    }
    Some(random.table(table))
}

/// The smallest losses of all cuts and surfaces beside the loss at the point, with errors.
fn smallest_table(results: &Results) -> Option<Table> {
    let mut table = Table::new(
        "The smallest loss of each cut and surface, beside the loss at the point on the same samples",
        &[
            ("cut or surface", Align::Left),
            ("samples", Align::Right),
            ("at the point", Align::Right),
            ("smallest", Align::Right),
            ("difference", Align::Right),
            ("", Align::Left),
        ],
    );
    let with = |x: f64, error: Option<f64>, alone: fn(f64) -> String| match error {
        Some(error) => plus_minus(x, error),
        None => format!("{} (error unknown)", alone(x)),
    };
    let seen = |seen: Option<bool>, value: f64| match seen {
        _ if value == 0.0 => "at the point",
        Some(true) => "distinguishable",
        Some(false) => "not distinguishable",
        None => "",
    };
    for c in &results.cuts {
        let Some(m) = c.minimum else { continue };
        table = table.row([
            format!("cut {}", c.name),
            c.samples.to_string(),
            with(c.center_loss, c.center_std_error, number),
            number(m.loss),
            with(m.difference, m.difference_std_error, short),
            seen(m.distinguishable, m.difference).into(),
        ]);
    }
    for s in &results.surfaces {
        let Some(m) = s.minimum else { continue };
        table = table.row([
            format!("surface {}", s.name),
            s.samples.to_string(),
            with(s.center_loss, s.center_std_error, number),
            number(m.loss),
            with(m.difference, m.difference_std_error, short),
            seen(m.distinguishable, m.difference).into(),
        ]);
    }
    (!table.rows.is_empty()).then_some(table)
}

/// Names of the figures by section.
const LANDSCAPE: [&str; 5] = ["surfaces", "zoom", "heatmaps", "accuracy", "cuts"];
const SPECTRUM: [&str; 2] = ["spectrum", "trace"];
const LAYERS: &str = "layers";
const RESCALING: &str = "rescaling";
const SETTLED: [&str; 2] = ["settle", "settled-spectrum"];

/// The report of results and figures.
pub fn report(results: &Results, figures: Vec<Figure>) -> Report {
    let mut figures: Vec<Option<Figure>> = figures.into_iter().map(Some).collect();
    let mut take =
        |id: &str| figures.iter_mut().find(|f| f.as_ref().is_some_and(|f| f.id == id)).and_then(Option::take);
    let mut sections = Vec::new();

    if !results.about.is_empty() {
        let mut about = Section::new("What was analysed");
        about.paragraphs.clone_from(&results.about);
        sections.push(about);
    }
    let landscape: Vec<Figure> = LANDSCAPE.into_iter().filter_map(&mut take).collect();
    if !landscape.is_empty() {
        let mut look = Section::new("The landscape");
        if results.verb == "analyze" {
            look = look.paragraph(match results.hessian_signs {
                Some(HessianSigns::Indefinite) => {
                    "Both surfaces show the same loss around the same point. The left plane contains the directions in which \
                     the loss curves most, up and down; the right one is what is usually drawn."
                }
                _ => {
                    "Both surfaces show the same loss around the same point: along the directions of extreme curvature, and \
                     along random ones as usually drawn."
                }
            });
        }
        if (1..results.samples).contains(&results.slice_samples) {
            look = look.paragraph(format!(
                "Cuts and surfaces are made of the first {} of the {} samples; the curvature is that of all of them.",
                results.slice_samples, results.samples
            ));
        }
        if let Some(choice) = &results.slice_choice {
            look = look.paragraph(format!("Their number was chosen: {}", choice.sentence(results.samples)));
        }
        let few: Vec<String> = (results.surfaces.iter())
            .filter(|s| s.evaluated < s.shape[0] * s.shape[1])
            .map(|s| format!("{}: {} of {}", s.name, s.evaluated, s.shape[0] * s.shape[1]))
            .collect();
        if !few.is_empty() {
            look = look.paragraph(format!(
                "Surfaces were evaluated on a coarse grid, refined where interpolation was wrong by more than the standard error of \
                 the difference from the point; points that were evaluated: {}. The others are interpolated.",
                few.join("; ")
            ));
        }
        look.figures = landscape;
        look.tables.extend(smallest_table(results));
        sections.push(look);
    }
    let mut numbers = Section::new("Numbers");
    if let Some(eigen) = &results.eigen {
        numbers = Section::new("Certified curvature")
            .paragraph(format!(
                "{} operator products; how the solve ended: {}. An eigenvalue lies within the residual and the rounding of a product \
                 (about {}) of λ. The standard error \
                 over the data says how much λ would change with other samples from the same source{}.",
                results.matvecs,
                eigen.message,
                short(eigen.pairs.first().map_or(0.0, |p| p.rounding)),
                groups(results)
            ))
            .table(eigen_table(results));
    }
    sections.push(numbers.table(numbers_table(results)));
    sections.extend(random_section(results));
    let mut spectrum = Section::new("Spectrum and trace");
    spectrum.figures.extend(SPECTRUM.into_iter().filter_map(&mut take));
    if !spectrum.figures.is_empty() {
        sections.push(spectrum);
    }
    sections.extend(split_section(results));
    sections.extend(escape_section(results));
    if let Some(sharpness) = &results.sharpness {
        sections.push(sharpness_result::section(sharpness, take(RESCALING).into_iter().collect()));
    }
    if let Some(settle) = &results.settle {
        sections.push(settled::section(settle, SETTLED.into_iter().filter_map(&mut take).collect()));
    }
    sections.extend(layers_section(results, take(LAYERS)));

    if !results.not_offered.is_empty() {
        sections.push(Section::new("What this loss does not offer").paragraph(format!(
            "Left out, because the engine behind this loss does not offer it: {}.",
            results.not_offered.join("; ")
        )));
    }
    if !results.left_out.is_empty() {
        let mut left_out = Section::new("What cannot be made at this point");
        left_out.paragraphs.clone_from(&results.left_out);
        sections.push(left_out);
    }
    let mut checks = Section::new("Checks").paragraph(results.self_check.sentence());
    for warning in &results.self_check.warnings {
        checks = checks.paragraph(format!("Warning: {warning}"));
    }
    sections.push(checks);
    Report {
        title: format!("The loss landscape around {}", results.model),
        verdict: results.verdict.clone(),
        sections,
        provenance: results
            .provenance
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().map_or_else(|| v.to_string(), str::to_string)))
            .collect(),
    }
}

/// Writes `results.json` and `report.html`.
///
/// # Errors
/// If something cannot be drawn or written.
pub fn save(analysis: &Analysis, folder: &Folder) -> Result<(), AnalysisError> {
    let path = folder.dir().join("results.json");
    let mut json = serde_json::to_vec_pretty(&analysis.results)
        .map_err(|e| FolderError::Damaged { path: path.clone(), problem: e.to_string() })?;
    json.push(b'\n');
    write_atomic(&path, &json)?;
    write_html(&report(&analysis.results, figures::all(analysis)), &folder.dir().join("report.html"))?;
    Ok(())
}

/// Writes `report.html` again from `results.json` and the figures' data; computes nothing.
///
/// # Errors
/// If the folder holds no finished analysis or cannot be written.
pub fn rebuild_report(dir: &std::path::Path) -> Result<std::path::PathBuf, AnalysisError> {
    let results = read_results(dir)?;
    let mut found = Vec::new();
    for id in super::figures::IDS {
        let path = dir.join("figures").join(format!("{id}.json"));
        if path.exists() {
            found.push(read_json(&path)?);
        }
    }
    let page = dir.join("report.html");
    write_html(&report(&results, found), &page)?;
    Ok(page)
}
