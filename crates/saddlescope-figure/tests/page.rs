//! The report page: what it contains, and that it works in a real browser.

use saddlescope_figure::page::{Align, Report, Section, Table, render_html, write_html};
use saddlescope_figure::{
    Axis, ColorRole, Eigenvalue, Figure, Grid, HeatMap, Histogram, Levels, LineStyle, Lines, Palette,
    Reference, Scale, Series, Spectrum, Surface3d,
};
use saddlescope_figure::{Bins, FigureError};
use saddlescope_test_support::{attribute, browser_or_skip, dump_dom};

/// Text that would run as a script, break out of an attribute, of JSON or of a template if anything let it.
const EVIL: &str = "</script><script>document.documentElement.dataset.hacked='1'</script><img src=x \
                    onerror=\"document.documentElement.dataset.hacked='1'\"> ' \" `${1}` %{x} \u{2028} <!-- $a_b$";

fn grid() -> Grid {
    let x: Vec<f64> = (0..13).map(|i| -0.6 + 0.1 * f64::from(i)).collect();
    let y: Vec<f64> = (0..9).map(|i| -0.4 + 0.1 * f64::from(i)).collect();
    let mut z: Vec<f64> = y.iter().flat_map(|b| x.iter().map(move |a| a * a - b * b + 0.3)).collect();
    z[40] = f64::NAN;
    z[41] = f64::INFINITY;
    Grid::new(x, y, z).labels(EVIL, "$\\beta$", EVIL)
}

fn report() -> Report {
    let x: Vec<f64> = (1..=4000).map(f64::from).collect();
    let y: Vec<f64> = x.iter().map(|s| 600.0 + 30.0 / s.sqrt()).collect();
    let mut e: Vec<f64> = x.iter().map(|s| 30.0 / s.sqrt()).collect();
    e[7] = f64::NAN;
    let lines = Lines {
        x: Axis::log(EVIL),
        y: Axis::linear("mean"),
        series: vec![
            Series::new(EVIL, x.clone(), y.clone(), ColorRole::First).std_error(e),
            Series::new("points", vec![1.0, 10.0], vec![590.0, 610.0], ColorRole::Second)
                .style(LineStyle::Points),
        ],
        references: vec![Reference::horizontal(600.0, EVIL)],
    };
    let histogram = Histogram {
        x: Axis::linear("x"),
        y: Axis::linear("density"),
        bins: vec![Bins::density(EVIL, &y, 20, None, ColorRole::First)],
        curves: vec![],
        references: vec![],
    };
    let spectrum = Spectrum {
        x: Axis::sym_log("λ", 1.0),
        y: Axis::log("density"),
        densities: vec![Series::new("", vec![-20.0, 0.0, 6000.0], vec![1e-6, 1.0, 1e-8], ColorRole::First)],
        eigenvalues: vec![
            Eigenvalue { value: -16.4, label: EVIL.into(), converged: false },
            Eigenvalue { value: 5007.9, label: "max".into(), converged: true },
        ],
    };
    let log = Surface3d { scale: Scale::Log, mark_minimum: true, ..Surface3d::new(grid()) };
    let signed =
        Surface3d { scale: Scale::SymLog { linear: 0.1 }, palette: Palette::Diverging, ..log.clone() };
    let heat = HeatMap { levels: Levels::Auto(5), mark_origin: true, ..HeatMap::new(grid()) };
    let surfaces = Figure::new("surfaces", EVIL, EVIL).panel(EVIL, log).panel("", signed).panel("", heat);
    let others = Figure::new("others", "", "").panel("", lines).panel("", histogram).panel("", spectrum);
    let table = Table::new(EVIL, &[(EVIL, Align::Left), ("value", Align::Right)])
        .row([EVIL, "1"])
        .row_with_note(["short row"], EVIL);
    Report {
        title: EVIL.into(),
        verdict: vec![EVIL.into()],
        sections: vec![Section::new(EVIL).paragraph(EVIL).figure(surfaces).figure(others).table(table)],
        provenance: vec![(EVIL.into(), EVIL.into())],
    }
}

#[test]
fn text_is_escaped_everywhere_and_numbers_keep_their_holes() {
    let html = render_html(&report()).unwrap();
    assert!(!html.contains("<img"), "untrusted text must not become an element");
    // The page's own two; the data is a script element with a type.
    assert_eq!(html.matches("<script>").count(), 2);
    assert!(html.contains("&lt;/script&gt;&lt;script&gt;"));
    let start = html.find("id=\"plots\">").unwrap() + "id=\"plots\">".len();
    let data = &html[start..start + html[start..].find("</script>").unwrap()];
    assert!(!data.contains('<') && !data.contains("NaN"));
    let plots: serde_json::Value = serde_json::from_str(data).unwrap();
    let z = &plots[0]["data"][0]["z"];
    // Rows are y: 9 rows of 13; index 40 is row 3, column 1.
    assert_eq!((z.as_array().unwrap().len(), z[0].as_array().unwrap().len()), (9, 13));
    assert!(z[3][1].is_null() && z[3][2].is_null() && z[3][0].is_number());
    // Long series are thinned: 4000 points are at most a few for each of 900 columns.
    let heavy = plots.to_string().len();
    assert!(heavy < 1_000_000, "{heavy} bytes");
}

#[test]
fn a_figure_that_cannot_be_drawn_is_refused() {
    let mut report = report();
    report.sections[0].figures[0].id = "no/name".into();
    assert!(matches!(render_html(&report), Err(FigureError::Id { .. })));
}

#[test]
fn a_report_is_data_too() {
    let text = serde_json::to_string(&report()).unwrap();
    let back: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(render_html(&back).unwrap(), render_html(&report()).unwrap());
}

#[test]
fn the_page_draws_every_plot_in_a_browser_without_errors_and_runs_no_foreign_script() {
    let Some(browser) = browser_or_skip() else { return };
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("report.html");
    write_html(&report(), &page).unwrap();
    let output = dump_dom(&browser, &dir.path().join("profile"), &page).output().unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let get = |name: &str| attribute(&dom, name);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(get("data-state").as_deref(), Some("ready"), "{:?}\n{log}", get("data-last-error"));
    assert_eq!(get("data-errors").as_deref(), Some("0"), "{:?}", get("data-last-error"));
    assert_eq!(get("data-hacked"), None, "text from outside was run");
    assert_eq!(get("data-expected").as_deref(), Some("6"));
    // Without WebGL the two surfaces are shown as pictures.
    let drawn = if get("data-webgl").as_deref() == Some("yes") { "6" } else { "4" };
    assert_eq!(get("data-plots").as_deref(), Some(drawn));
    assert!(dom.contains("js-plotly-plot"));
}
