//! Figures: their data on disk, and what the pictures show.

use std::fs;
use std::io::Cursor;

use saddlescope_figure::{
    Axis, Bins, ColorRole, Eigenvalue, Figure, FigureError, FigureWidth, Grid, HeatMap, Histogram, Inset,
    Levels, Lines, Palette, Reference, Scale, Series, Spectrum, Surface3d, npz_arrays, read_json, render_png,
    render_svg, save_all, write_json, write_npz,
};

fn axis(lo: f64, hi: f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| lo + (hi - lo) * i as f64 / (n - 1) as f64).collect()
}

/// 7 × 4 values, none symmetric, with a NaN and an infinity.
fn grid() -> Grid {
    let (x, y) = (axis(-1.0, 2.0, 7), axis(0.0, 0.3, 4));
    let mut z: Vec<f64> = y.iter().flat_map(|&b| x.iter().map(move |&a| a + 10.0 * b + 1.0 / 3.0)).collect();
    z[2 * 7 + 4] = f64::NAN;
    z[3] = f64::INFINITY;
    Grid::new(x, y, z)
}

fn everything() -> Figure {
    let x = axis(0.1, 10.0, 50);
    let y: Vec<f64> = x.iter().map(|v| (-v).exp()).collect();
    let mut broken = y.clone();
    broken[10] = f64::NAN;
    let inset = Some(Inset { grid: grid(), scale: Scale::Linear });
    Figure::new("every-kind", "Every kind", "With $\\kappa_+$ & <markup>.")
        .panel("s", Surface3d { inset: inset.clone(), levels: Levels::Auto(4), ..Surface3d::new(grid()) })
        .panel("h", HeatMap { inset, palette: Palette::Diverging, ..HeatMap::new(grid()) })
        .panel(
            "l",
            Lines {
                x: Axis::log("$S$"),
                y: Axis::linear("value"),
                series: vec![
                    Series::new("one", x.clone(), broken, ColorRole::First).std_error(vec![0.1; 50]),
                ],
                references: vec![Reference::horizontal(0.5, "half")],
            },
        )
        .panel(
            "hist",
            Histogram {
                x: Axis::linear("x"),
                y: Axis::linear("density"),
                bins: vec![Bins::density("b", &[1.0, 2.0, 2.5, f64::NAN], 4, None, ColorRole::Second)],
                curves: vec![Series::new("c", x.clone(), y.clone(), ColorRole::Truth)],
                references: vec![],
            },
        )
        .panel(
            "spec",
            Spectrum {
                x: Axis::sym_log("$\\lambda$", 0.5),
                y: Axis::log("density"),
                densities: vec![Series::new("d", x, y, ColorRole::First)],
                eigenvalues: vec![Eigenvalue { value: -16.4, label: "min".into(), converged: false }],
            },
        )
}

fn bits(values: &[f64]) -> Vec<Option<u64>> {
    values.iter().map(|v| (!v.is_nan()).then(|| v.to_bits())).collect()
}

#[test]
fn json_round_trip_is_exact_including_nan_and_infinities() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.json");
    let figure = everything();
    write_json(&figure, &path).unwrap();
    let back = read_json(&path).unwrap();
    let (a, b) = (npz_arrays(&figure), npz_arrays(&back));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert_eq!((&a.name, &a.shape, bits(&a.values)), (&b.name, &b.shape, bits(&b.values)));
    }
    // NaN differs from itself, so the comparison of everything else goes through the text.
    assert_eq!(serde_json::to_string(&figure).unwrap(), serde_json::to_string(&back).unwrap());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("null") && text.contains("\"Infinity\""));
}

#[test]
fn npz_round_trip_keeps_names_shapes_and_bits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.npz");
    let figure = everything();
    write_npz(&figure, &path).unwrap();
    let mut archive = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
    let expected = npz_arrays(&figure);
    assert_eq!(archive.len(), expected.len());
    assert!(expected.iter().any(|a| a.name == "a_z" && a.shape == [4, 7]));
    for array in expected {
        let entry = archive.by_name(&format!("{}.npy", array.name)).unwrap();
        let npy = npyz::NpyFile::new(entry).unwrap();
        assert_eq!(npy.shape(), &array.shape[..], "{}", array.name);
        let values: Vec<f64> = npy.into_vec().unwrap();
        assert_eq!(bits(&values), bits(&array.values), "{}", array.name);
    }
    let first = fs::read(&path).unwrap();
    write_npz(&figure, &path).unwrap();
    assert_eq!(first, fs::read(&path).unwrap(), "the same figure gives the same bytes");
}

#[test]
fn all_files_are_written_and_no_partial_ones_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("new/folder");
    save_all(&everything(), &target).unwrap();
    let mut names: Vec<String> =
        fs::read_dir(&target).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["every-kind.json", "every-kind.npz", "every-kind.png", "every-kind.svg"]);
}

#[test]
fn unwritable_places_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = save_all(&everything(), &file).unwrap_err();
    assert!(matches!(&error, FigureError::Write { path, .. } if path == &file), "{error}");
    let error = write_json(&everything(), &dir.path().join("missing/f.json")).unwrap_err();
    assert!(error.to_string().contains("missing/f.json"), "{error}");
}

#[test]
fn impossible_figures_are_refused_with_the_place() {
    let short = Grid { z: vec![0.0; 27], ..grid() };
    let message = |figure: Figure| render_svg(&figure).unwrap_err().to_string();
    let figure = |g: Grid| Figure::new("f", "", "").panel("", HeatMap::new(g));
    assert_eq!(message(figure(short)), "figure \"f\", panel 1: grid.z has 27 values, expected 28");
    assert!(message(figure(Grid { x: vec![0.0], ..grid() })).contains("grid.x"));
    assert!(message(figure(Grid { y: vec![0.0, 0.0, 1.0, 2.0], ..grid() })).contains("increasing"));
    assert!(message(figure(Grid { y: vec![0.0, 1.0, 2.0, f64::NAN], ..grid() })).contains("grid.y"));
    assert!(message(Figure::new("f", "", "")).contains("no panels"));
    assert!(message(Figure { id: "../up".into(), ..everything() }).contains("file name"));
    let log = HeatMap { range: Some([-1.0, 1.0]), scale: Scale::Log, ..HeatMap::new(grid()) };
    assert!(message(Figure::new("f", "", "").panel("", log)).contains("range"));
}

/// Decode to width, height and RGB.
fn decode(bytes: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width as usize, info.height as usize, pixels)
}

#[test]
fn png_has_its_printed_size_and_is_not_blank() {
    for (width, millimetres) in [(FigureWidth::Single, 86.0), (FigureWidth::Double, 178.0)] {
        let png = render_png(&everything().width(width), 150.0).unwrap();
        let (w, _, pixels) = decode(&png);
        // The SVG's width has two decimals of a millimetre and is rounded to a pixel.
        assert!((w as f64 - millimetres / 25.4 * 150.0).abs() <= 1.0, "{w}");
        let coloured =
            pixels.chunks(3).filter(|p| p.iter().max().unwrap() - p.iter().min().unwrap() > 40).count();
        let dark = pixels.chunks(3).filter(|p| p.iter().all(|&v| v < 80)).count();
        assert!(
            coloured > w * 20 && dark > w,
            "{coloured} coloured and {dark} dark pixels of {}",
            pixels.len() / 3
        );
    }
    assert!(render_png(&everything(), 0.0).is_err());
    assert!(render_png(&everything(), f64::NAN).is_err());
    assert!(render_png(&everything(), 1e9).is_err());
}

/// Rectangles of the heat map's cells as (left, top, right, bottom, colour), from the SVG.
fn cells(svg: &str) -> Vec<([f64; 4], String)> {
    let start = svg.find(r#"<g class="cells""#).unwrap();
    let block = &svg[start..start + svg[start..].find("</g>").unwrap()];
    let mut cells = Vec::new();
    for path in block.split("<path d=\"").skip(1) {
        let (d, rest) = path.split_once('"').unwrap();
        let color = rest.split("fill=\"").nth(1).unwrap().split('"').next().unwrap();
        for rect in d.split('M').skip(1) {
            let numbers: Vec<f64> = rect.split([' ', 'H', 'V', 'Z']).filter_map(|n| n.parse().ok()).collect();
            let [x0, y0, x1, y1] = numbers[..4] else { panic!("not a rectangle: {rect}") };
            cells.push(([x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)], color.to_string()));
        }
    }
    cells
}

#[test]
fn wide_grids_are_neither_transposed_nor_mirrored_and_missing_cells_stay_open() {
    // 3 × 2 values, all different: 0 1 2 in the lower row, 3 4 NaN in the upper one.
    let values = [0.0, 1.0, 2.0, 3.0, 4.0, f64::NAN];
    let grid = Grid::new(vec![0.0, 1.0, 2.0], vec![0.0, 1.0], values.to_vec());
    let svg = render_svg(&Figure::new("f", "", "").panel("", HeatMap::new(grid))).unwrap();
    let cells = cells(&svg);
    let edge = |k: usize, pick: fn(f64, f64) -> f64| cells.iter().map(|c| c.0[k]).reduce(pick).unwrap();
    let [left, top, right, bottom] =
        [edge(0, f64::min), edge(1, f64::min), edge(2, f64::max), edge(3, f64::max)];
    let viridis = |t: f64| colorous::VIRIDIS.eval_continuous(t);
    for (i, z) in values.into_iter().enumerate() {
        // The place of the value itself, a little off the border between the fine cells that meet there.
        let x = left + (right - left) * ((i % 3) as f64 + 0.499) / 3.0;
        let y = bottom - (bottom - top) * ((i / 3) as f64 + 0.499) / 2.0;
        let at =
            cells.iter().find(|([x0, y0, x1, y1], _)| (*x0..*x1).contains(&x) && (*y0..*y1).contains(&y));
        if z.is_nan() {
            assert!(at.is_none(), "a missing cell is open");
            continue;
        }
        let color = &at.expect("a finite value has a cell").1;
        let part = |k: usize| f64::from(u8::from_str_radix(&color[k..k + 2], 16).unwrap());
        let distance = |t: f64| {
            let c = viridis(t);
            (part(1) - f64::from(c.r)).hypot(part(3) - f64::from(c.g)).hypot(part(5) - f64::from(c.b))
        };
        let nearest =
            (0..5).min_by(|&a, &b| distance(f64::from(a) / 4.0).total_cmp(&distance(f64::from(b) / 4.0)));
        assert_eq!(nearest.map(f64::from), Some(z));
    }
    assert!(svg.contains("not finite"));
}

#[test]
fn the_level_of_the_point_studied_is_dashed_and_the_cross_has_its_note() {
    // x² − y²: at the saddle the level line of the centre crosses itself, so that it leaves the map on all four sides.
    let axis = axis(-1.0, 1.0, 20);
    let z = axis.iter().flat_map(|y| axis.iter().map(move |x| x * x - y * y)).collect();
    let mut map = HeatMap::new(Grid::new(axis.clone(), axis, z));
    let svg = |map: &HeatMap| render_svg(&Figure::new("f", "", "").panel("", map.clone())).unwrap();
    assert!(!svg(&map).contains(r#"class="reference""#));
    map.reference_level = Some(0.0);
    map.minimum_note = "1 ± 0.1 below the centre".into();
    let drawn = svg(&map);
    assert!(drawn.contains("1 ± 0.1 below the centre"));
    let line = drawn.split(r#"class="reference" d=""#).nth(1).unwrap().split('"').next().unwrap();
    assert!(line.matches('L').count() >= 30, "{line}");
}

#[test]
fn surfaces_leave_out_every_quad_that_touches_a_missing_value() {
    let quads = |g: Grid| {
        let svg = render_svg(&Figure::new("f", "", "").panel("", Surface3d::new(g))).unwrap();
        let start = svg.find(r#"<g class="mesh""#).unwrap();
        svg[start..].split("</g>").next().unwrap().matches("<path").count()
    };
    let (x, y) = (axis(0.0, 1.0, 6), axis(0.0, 1.0, 5));
    let mut z = vec![1.0; 30];
    z.iter_mut().enumerate().for_each(|(i, v)| *v += i as f64);
    assert_eq!(quads(Grid::new(x.clone(), y.clone(), z.clone())), 20);
    z[2 * 6 + 3] = f64::NAN;
    assert_eq!(quads(Grid::new(x.clone(), y.clone(), z.clone())), 16);
    z[0] = f64::NEG_INFINITY;
    assert_eq!(quads(Grid::new(x.clone(), y.clone(), z)), 15);
    assert_eq!(quads(Grid::new(x, y, vec![f64::NAN; 30])), 0);
}

#[test]
fn a_small_figure_is_this_svg() {
    let lines = Lines {
        x: Axis::linear("$\\alpha$"),
        y: Axis::linear("loss"),
        series: vec![Series::new("", vec![0.0, 1.0, 2.0], vec![0.0, 1.0, 4.0], ColorRole::First)],
        references: vec![],
    };
    let svg =
        render_svg(&Figure::new("small", "T", "C").width(FigureWidth::Single).panel("", lines)).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/small.svg");
    if std::env::var_os("SADDLESCOPE_WRITE_SNAPSHOTS").is_some() {
        fs::write(path, &svg).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap();
    assert_eq!(svg, expected, "run with SADDLESCOPE_WRITE_SNAPSHOTS=1 to accept a wanted change");
}

#[test]
fn the_legend_names_no_line_that_lies_beyond_the_frame() {
    let drawn = |level: f64| {
        let lines = Lines {
            x: Axis::linear("x"),
            y: Axis::log("y"),
            series: vec![Series::new("values", axis(0.0, 1.0, 5), axis(1.0, 9.0, 5), ColorRole::First)],
            references: vec![Reference::horizontal(level, "zero to rounding")],
        };
        render_svg(&Figure::new("f", "", "").panel("", lines)).unwrap()
    };
    assert!(drawn(2.0).contains("zero to rounding") && drawn(2.0).contains("values"));
    assert!(!drawn(1e-20).contains("zero to rounding"));
}

#[test]
fn a_note_that_has_no_room_is_left_out() {
    let svg = |columns: usize| {
        let note = "not distinguishable from the centre".to_string();
        let surface = Surface3d { mark_minimum: true, minimum_note: note, ..Surface3d::new(grid()) };
        let mut figure = Figure::new("f", "", "").columns(columns);
        for _ in 0..columns {
            figure = figure.panel("", surface.clone());
        }
        render_svg(&figure).unwrap()
    };
    assert!(svg(1).contains("not distinguishable"));
    assert!(!svg(3).contains("not distinguishable") && svg(3).contains("min "));
}

#[test]
fn labels_cannot_break_out_of_the_picture() {
    let evil = "</text><script>alert(1)</script>\u{0}\"'&$<b>$";
    let mut figure = everything();
    (figure.title, figure.caption) = (evil.into(), evil.into());
    for panel in &mut figure.panels {
        panel.title = evil.into();
        panel.label = evil.into();
    }
    let svg = render_svg(&figure).unwrap();
    assert!(!svg.contains("<script") && !svg.contains("<b>"));
    render_png(&figure, 72.0).unwrap();
}

#[test]
fn extreme_numbers_do_not_panic() {
    let wild =
        [f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 5e-324, 1e300, -1e-300];
    for scale in [Scale::Linear, Scale::Log, Scale::SymLog { linear: 1e-3 }] {
        let axis = |label: &str| Axis { label: label.into(), scale, range: None };
        let series =
            Series::new("s", wild.to_vec(), wild.to_vec(), ColorRole::First).std_error(wild.to_vec());
        let lines = Lines {
            x: axis("x"),
            y: axis("y"),
            series: vec![series],
            references: vec![Reference::vertical(f64::NAN, "")],
        };
        let grid = Grid::new(axis_of(5), axis_of(2), wild.to_vec());
        let figure = Figure::new("wild", "", "")
            .panel("", lines)
            .panel(
                "",
                Surface3d {
                    scale,
                    levels: Levels::Auto(5),
                    mark_minimum: true,
                    ..Surface3d::new(grid.clone())
                },
            )
            .panel("", HeatMap { scale, levels: Levels::At(vec![0.0]), ..HeatMap::new(grid) });
        render_png(&figure, 72.0).unwrap();
    }
}

fn axis_of(n: usize) -> Vec<f64> {
    axis(-1e-300, 1e-300, n)
}
