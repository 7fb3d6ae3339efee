//! Figures with every kind of panel, from numbers made up for the purpose.

use saddlescope_figure::page::{Align, Report, Section, Table};
use saddlescope_figure::{
    Axis, Bins, ColorRole, Eigenvalue, Figure, FigureWidth, Grid, HeatMap, Histogram, Inset, Levels,
    LineStyle, Lines, Palette, Reference, Scale, Series, Spectrum, Surface3d,
};

fn axis(lo: f64, hi: f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| lo + (hi - lo) * i as f64 / (n - 1) as f64).collect()
}

fn grid(x: Vec<f64>, y: Vec<f64>, f: impl Fn(f64, f64) -> f64) -> Grid {
    let z = y.iter().flat_map(|&b| x.iter().map(move |&a| (a, b))).map(|(a, b)| f(a, b)).collect();
    Grid::new(x, y, z)
}

/// Pseudo-random numbers in [0, 1), the same on every machine.
pub struct Noise(u64);

impl Noise {
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

fn planes() -> Figure {
    let a = axis(-0.05, 0.05, 51);
    let shapes: [(&str, f64, f64); 4] = [
        ("$\\kappa_+ > 0$, $\\kappa_- < 0$: saddle", 1.0, -1.0),
        ("two positive directions", 1.0, 1.0),
        ("two negative directions", -1.0, -1.0),
        ("random plane: an apparent minimum", 190.0, 160.0),
    ];
    let mut figure = Figure::new(
        "planes",
        "Four planes through one saddle point",
        "$\\ell(\\alpha, \\beta)$ along three pairs of eigenvectors and one random pair.",
    );
    for (title, p, q) in shapes {
        let g = grid(a.clone(), a.clone(), |a, b| 0.5 * (p * a * a + q * b * b));
        figure = figure.panel(
            title,
            Surface3d {
                levels: Levels::Auto(6),
                ..Surface3d::new(g.labels("$\\alpha$", "$\\beta$", "$\\ell(\\alpha, \\beta)$"))
            },
        );
    }
    figure
}

fn network() -> Figure {
    let mut noise = Noise(3);
    let f = |a: f64, b: f64| 0.35 + 2500.0 * a * a - 40.0 * b * b + 9000.0 * b.powi(4) + 60.0 * a * b;
    let mut g = grid(axis(-0.05, 0.05, 41), axis(-0.1, 0.1, 61), f);
    for z in &mut g.z {
        *z += 0.02 * noise.normal();
    }
    for iy in 44..50 {
        for ix in 28..36 {
            g.z[iy * 41 + ix] = f64::NAN;
        }
    }
    g.z[0] = f64::INFINITY;
    let zoom = grid(axis(-0.01, 0.005, 31), axis(-0.05, 0.05, 31), f);
    let inset = Some(Inset { grid: zoom, scale: Scale::Linear });
    let log = Surface3d {
        scale: Scale::Log,
        mark_minimum: true,
        levels: Levels::Auto(5),
        ..Surface3d::new(g.clone())
    };
    let linear = Surface3d { mark_minimum: true, inset: inset.clone(), ..Surface3d::new(g.clone()) };
    let heat =
        HeatMap { scale: Scale::Log, levels: Levels::Auto(8), mark_origin: true, ..HeatMap::new(g.clone()) };
    let zoomed = HeatMap { inset, ..HeatMap::new(g) };
    Figure::new(
        "network",
        "Loss around a network",
        "Hessian directions; the loss has holes where it is not finite.",
    )
    .panel("Hessian directions", linear)
    .panel("Hessian directions, logarithmic", log)
    .panel("training set", heat)
    .panel("training set, zoomed", zoomed)
}

fn signed() -> Figure {
    // Not symmetric in any way: a transposed or mirrored picture would show.
    let g = grid(axis(-1.0, 2.0, 31), axis(0.0, 1.0, 11), |a, b| a + 3.0 * b * b * a - 0.5 * b);
    let heat =
        HeatMap { palette: Palette::Diverging, levels: Levels::At(vec![0.0]), ..HeatMap::new(g.clone()) };
    let surface = Surface3d { palette: Palette::Diverging, ..Surface3d::new(g) };
    Figure::new("signed", "A signed quantity on a wide grid", "Blue below zero, red above.")
        .panel("from above", heat)
        .panel("in perspective", surface)
}

fn running() -> Figure {
    let mut noise = Noise(7);
    let draws = 20_000;
    let x: Vec<f64> = (1..=draws).map(f64::from).collect();
    let mut mean = |centre: f64, spread: f64| {
        let (mut sum, mut square) = (0.0, 0.0);
        let (mut y, mut e) = (Vec::new(), Vec::new());
        for s in 1..=draws {
            let v = centre + spread * noise.normal();
            sum += v;
            square += v * v;
            let n = f64::from(s);
            let m = sum / n;
            y.push(m);
            e.push(((square / n - m * m).max(0.0) / n).sqrt());
        }
        (y, e)
    };
    let mut series = Vec::new();
    for (label, centre, spread, color, style) in [
        ("$\\langle\\kappa_+\\rangle$", 640.0, 32.0, ColorRole::First, LineStyle::Solid),
        ("$\\langle\\kappa_-\\rangle$", 560.0, 30.0, ColorRole::Second, LineStyle::Solid),
        ("$\\tilde{\\kappa}_+$", 600.0, 22.0, ColorRole::Third, LineStyle::Dashed),
        ("$\\tilde{\\kappa}_-$", 599.0, 22.0, ColorRole::Fourth, LineStyle::DashDot),
    ] {
        let (y, e) = mean(centre, spread);
        series.push(Series::new(label, x.clone(), y, color).std_error(e).style(style));
    }
    let references = vec![Reference::horizontal(600.0, "tr $H$ = 600")];
    let curvature = Lines {
        x: Axis::log("number of draws $S$"),
        y: Axis::linear("principal curvature"),
        series: series.clone(),
        references: references.clone(),
    };
    let cut_x = axis(-0.05, 0.05, 21);
    let cut = Lines {
        x: Axis::linear("$\\alpha$"),
        y: Axis::linear("loss"),
        series: vec![
            Series::new(
                "measured",
                cut_x.clone(),
                cut_x.iter().map(|a| 0.3 + 210.0 * a * a + 900.0 * a.powi(3)).collect(),
                ColorRole::First,
            )
            .style(LineStyle::LinePoints),
            Series::new(
                "$\\lambda\\alpha^2/2$",
                cut_x.clone(),
                cut_x.iter().map(|a| 0.3 + 210.0 * a * a).collect(),
                ColorRole::Truth,
            )
            .style(LineStyle::Dashed),
        ],
        references: vec![Reference::vertical(0.0, "")],
    };
    Figure::new("running", "Running means", "Bands: ± one standard error.")
        .panel("curvatures of random planes", curvature)
        .panel("cut along $v_{max}$", cut)
}

fn normal_density(x: f64, m: f64, s: f64) -> f64 {
    (-0.5 * ((x - m) / s).powi(2)).exp() / (s * std::f64::consts::TAU.sqrt())
}

fn histograms() -> Figure {
    let mut noise = Noise(11);
    let mut figure = Figure::new("histograms", "Principal curvatures of random planes", "20,000 draws.");
    for (title, centre, spread) in [("tr $H$ = 0", 0.0, 32.0), ("tr $H$ = 600", 600.0, 32.0)] {
        let mut bins = Vec::new();
        let mut curves = Vec::new();
        for (label, sign, color) in
            [("$\\kappa_+$", 1.0, ColorRole::First), ("$\\kappa_-$", -1.0, ColorRole::Second)]
        {
            let samples: Vec<f64> =
                (0..20_000).map(|_| centre + sign * 40.0 + spread * noise.normal()).collect();
            bins.push(Bins::density(label, &samples, 60, None, color));
            let x = axis(centre - 180.0, centre + 180.0, 200);
            let y = x.iter().map(|&x| normal_density(x, centre + sign * 40.0, spread)).collect();
            curves.push(
                Series::new(if sign > 0.0 { "normal" } else { "" }, x, y, ColorRole::Truth)
                    .style(LineStyle::Dashed),
            );
        }
        let histogram = Histogram {
            x: Axis::linear("principal curvature $\\kappa_\\pm$"),
            y: Axis::linear("probability density"),
            bins,
            curves,
            references: vec![Reference::vertical(0.0, "")],
        };
        figure = figure.panel(title, histogram);
    }
    figure
}

fn spectrum() -> Figure {
    let x: Vec<f64> = {
        let side: Vec<f64> = (0..300).map(|i| 10f64.powf(-2.0 + 6.0 * f64::from(i) / 299.0)).collect();
        side.iter()
            .rev()
            .map(|v| -v)
            .filter(|v| *v > -40.0)
            .chain([0.0])
            .chain(side.iter().copied())
            .collect()
    };
    let density = |x: f64| {
        normal_density(x, 0.0, 0.4)
            + 2e-3 * (-x.abs() / 30.0).exp()
            + 1e-6 * normal_density(x.max(1e-9).ln(), 5008f64.ln(), 0.08)
            + 1e-9
    };
    let y: Vec<f64> = x.iter().map(|&x| density(x)).collect();
    let e = y.iter().map(|y| 0.25 * y).collect();
    let eigenvalues = [
        (-16.4, "$\\lambda_{min}$ = −16.4", true),
        (-9.2, "", true),
        (-7.7, "", false),
        (310.0, "", true),
        (890.0, "", true),
        (5007.9, "$\\lambda_{max}$ = 5007.9", true),
    ]
    .map(|(value, label, converged)| Eigenvalue { value, label: label.into(), converged })
    .to_vec();
    let panel = Spectrum {
        x: Axis::sym_log("eigenvalue $\\lambda$", 1.0),
        y: Axis::log("spectral density"),
        densities: vec![Series::new("Lanczos quadrature", x, y, ColorRole::First).std_error(e)],
        eigenvalues,
    };
    Figure::new("spectrum", "Spectrum of the Hessian", "Bulk near zero, outliers of both signs.")
        .width(FigureWidth::Single)
        .panel("", panel)
}

/// All of them.
pub fn figures() -> Vec<Figure> {
    vec![planes(), network(), signed(), running(), histograms(), spectrum()]
}

/// A report with all of them. The numbers are made up.
pub fn report() -> Report {
    let table = Table::new(
        "Eigenvalues of the Hessian.",
        &[
            ("end", Align::Left),
            ("$\\lambda$", Align::Right),
            ("residual $\\|Hv - \\lambda v\\|$", Align::Right),
            ("converged", Align::Centre),
        ],
    )
    .row(["largest", "5007.9 ± 31.0", "0.8", "yes"])
    .row(["second largest", "890.2 ± 12.4", "0.4", "yes"])
    .row_with_note(["smallest", "−16.4 ± 0.9", "1.2", "no"], "Stopped at 60 products; run again with more.");
    let mut sections = Vec::new();
    for figure in figures() {
        let section = Section::new(figure.title.clone()).paragraph(
            "Every number in this gallery is made up: it shows what figures look like, not what a network does. Values such as \
             $\\kappa_\\pm = (A + C \\pm \\sqrt{4B^2 + (A - C)^2})/2$ stand in text as well.",
        );
        sections.push(section.figure(figure));
    }
    sections[0].tables.push(table);
    Report {
        title: "Gallery of figures".into(),
        verdict: vec![
            "This point is a saddle: $\\lambda_{min}$ = −16.4 ± 0.9 is negative beyond doubt.".into(),
            "A random plane would have shown a minimum in 99.7 % of all cases.".into(),
        ],
        sections,
        provenance: vec![
            ("command".into(), "cargo run --release --example figure_gallery -- DIR".into()),
            ("seed".into(), "3, 7, 11".into()),
        ],
    }
}
