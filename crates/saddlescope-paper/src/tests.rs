use super::*;
use saddlescope_figure::check;

fn never() -> AtomicBool {
    AtomicBool::new(false)
}

fn all_rows() -> Vec<Comparison> {
    let mut rows = text_numbers(1, &never()).unwrap();
    for figure in PaperFigure::ANALYTIC {
        let result = make_figure(figure, 1, &never()).unwrap();
        assert_eq!(result.number, figure.number());
        check(&result.figure).unwrap();
        rows.extend(result.numbers);
    }
    rows
}

#[test]
fn every_number_of_the_table_agrees_with_arithmetic_within_its_error() {
    let rows = all_rows();
    assert_eq!(rows.len(), 6 + 3 + 8 + 3 + 4);
    for row in &rows {
        let Some(exact) = row.exact else {
            panic!("{}: the exact value is known for all of them", row.quantity)
        };
        let ours = row.ours;
        let difference = (ours.value - exact).abs();
        let allowed = if row.quantity.starts_with("κ̃") {
            // Five standard errors, and the repulsion of two averaged eigenvalues: a Rayleigh radius of scale
            // √(1000/10,000) = 0.32, below 5 × 0.32 with overwhelming probability.
            5.0 * ours.std_error + 1.6
        } else if row.exact_source.contains("normal limit") {
            // The limit is approached like 1/N: corrections well below 1 % of √(tr H²) for the curvatures, and of the
            // probability for the product.
            5.0 * ours.std_error + 0.01 * exact.abs().clamp(0.1, 32.0)
        } else if row.quantity.contains("exp(−(tr H)²") {
            // The closed form beside the exact value: 2 % apart at N = 1801.
            0.03 * exact
        } else if ours.value == 0.0 && ours.samples > 0 {
            // Nothing counted: Wilson's upper end at five standard errors.
            25.0 / ours.samples as f64
        } else {
            5.0 * ours.std_error
        };
        assert!(difference <= allowed, "{}: {ours} against {exact}, allowed {allowed}", row.quantity);
    }
}

#[test]
fn the_table_says_where_print_and_arithmetic_differ() {
    let rows = all_rows();
    let finding = |part: &str| {
        let row = rows.iter().find(|row| row.quantity.contains(part)).unwrap();
        assert!(!row.remark.is_empty());
        (row.finding, row.printed.clone())
    };
    assert_eq!(finding("κ₊κ₋ < 0, 10,000 planes"), (Finding::Differs, "about 0.5 %".into()));
    assert_eq!(finding("Pr(κ₊κ₋ > 0), counted"), (Finding::Differs, "0.25".into()));
    assert_eq!(finding("Pr(κ₊ > 0) Pr(κ₋ > 0)").0, Finding::Agrees);
    assert_eq!(finding("bound √2 exp(−2Nε²)"), (Finding::Differs, "≤ 2.9·10⁻⁹".into()));
    assert_eq!(finding("bound 2 exp(−Nε²)"), (Finding::Differs, "≤ 9.1·10⁻⁵".into()));
    assert_eq!(finding("bound √2 exp(−Nε²/2)").0, Finding::NotPrinted);
    assert_eq!(finding("curvatures −1 of loss"), (Finding::Differs, "n = 500".into()));
    assert_eq!(finding("mean curvature"), (Finding::Differs, "(ñ − n)/N = 0.2997".into()));
    assert_eq!(finding("excess of positive"), (Finding::Differs, "ñ − n = 100".into()));
    assert_eq!(finding("tr H of loss (2.28), Hutchinson"), (Finding::Agrees, "600".into()));
    assert_eq!(finding("tr H of loss (2.23), curvature fits"), (Finding::Agrees, "0".into()));

    let table = NumberTable { rows };
    let markdown = table.to_markdown();
    assert_eq!(markdown.lines().count(), table.rows.len() + 2);
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(markdown.lines().all(|line| bars(line) == Comparison::HEADINGS.len() + 1));
    let json = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<NumberTable>(&json).unwrap(), table);
}

#[test]
fn figure_1_shows_a_saddle_a_minimum_a_maximum_and_an_apparent_minimum() {
    let result = make_figure(PaperFigure::Planes, 1, &never()).unwrap();
    let grids: Vec<_> = result
        .figure
        .panels
        .iter()
        .map(|panel| match &panel.kind {
            saddlescope_figure::PanelKind::Surface3d(surface) => surface.grid.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(grids.len(), 4);
    // Along eigenvectors the loss is ½ (±α² ± β²), exactly.
    let signs = [(1.0, -1.0), (1.0, 1.0), (-1.0, -1.0)];
    for (grid, (p, q)) in grids.iter().zip(signs) {
        for (j, y) in grid.y.iter().enumerate() {
            for (i, x) in grid.x.iter().enumerate() {
                let expected = 0.5 * (p * x * x + q * y * y);
                assert!((grid.z[j * grid.x.len() + i] - expected).abs() < 1e-15);
            }
        }
    }
    let random = &grids[3];
    let center = random.z[random.z.len() / 2];
    assert_eq!(center, 0.0);
    assert!(random.z.iter().all(|z| *z >= center), "an apparent minimum");
}

#[test]
fn the_report_holds_the_figures_and_every_row_of_the_table() {
    let results = vec![make_figure(PaperFigure::Distributions, 1, &never()).unwrap()];
    let table = NumberTable { rows: results[0].numbers.clone() };
    let report = paper_report(&results, &table, 1);
    assert_eq!(report.sections[0].figures.len(), 1);
    let rows: usize = report.sections[1].tables.iter().map(|table| table.rows.len()).sum();
    assert_eq!(rows, table.rows.len());
    assert!(report.verdict.iter().any(|sentence| sentence.contains("where the paper says 25\u{a0}%")));
    let html = saddlescope_figure::page::render_html(&report).unwrap();
    assert!(html.contains("vanishingly small"));
}

#[test]
fn the_same_seed_gives_the_same_figures_on_any_number_of_threads() {
    for figure in [PaperFigure::Averages, PaperFigure::Distributions] {
        let runs: Vec<_> = [1, 3]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| make_figure(figure, 5, &never()).unwrap())
            })
            .collect();
        assert_eq!(runs[0], runs[1]);
    }
}

#[test]
fn stopping_and_networks_are_refusals_with_a_reason() {
    let stop = AtomicBool::new(true);
    for figure in PaperFigure::ANALYTIC {
        assert!(matches!(make_figure(figure, 1, &stop), Err(PaperError::Stopped { .. })), "{figure}");
    }
    assert!(matches!(text_numbers(1, &stop), Err(PaperError::Stopped { .. })));
    let network = make_figure(PaperFigure::from_number(6).unwrap(), 1, &never()).unwrap_err();
    assert!(network.to_string().contains("a trained network and its images"), "{network}");
    for number in [0, 8, u32::MAX] {
        assert!(matches!(PaperFigure::from_number(number), Err(PaperError::UnknownFigure { .. })));
    }
    for number in 1..=7 {
        assert_eq!(PaperFigure::from_number(number).unwrap().number(), number);
    }
}

#[test]
fn numbers_are_written_to_the_digits_their_errors_allow() {
    let text = |value, std_error, samples| Measured { value, std_error, samples }.to_string();
    assert_eq!(text(600.123_4, 0.45, 10), "600.12 ± 0.45");
    assert_eq!(text(0.292_93, 0.003_2, 10), "0.2929 ± 0.0032");
    assert_eq!(text(1234.5, 67.0, 10), "1234 ± 67");
    assert_eq!(text(2.5e-5, 1.2e-6, 10), "(2.50 ± 0.12)·10⁻⁵");
    assert_eq!(text(0.0, 0.0, 20_000), "0 of 20000");
    assert_eq!(text(200.0, 0.0, 0), "200");
    assert_eq!(numbers::significant(9.079_98e-5, 2), "9.1·10⁻⁵");
    assert_eq!(numbers::significant(0.25, 4), "0.25");
    assert_eq!(numbers::significant(547_226.0, 2), "550000");
    assert_eq!(numbers::significant(600.0, 4), "600");
}
