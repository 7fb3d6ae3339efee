//! Every verb that computes: its files, its numbers, and the documented layout of `results.json`.

mod common;

use std::path::Path;

use common::{check_schema, npy, refused, results, saddlescope, succeed};
use serde_json::Value;

const SMALL: [&str; 6] = ["--model", "digits-mlp", "--samples", "0..128", "--threads", "2"];

fn run(verb: &str, more: &[&str], out: &Path) -> String {
    let mut all = vec![verb];
    all.extend(SMALL);
    all.extend(more);
    all.extend(["--out", out.to_str().unwrap()]);
    succeed(&all)
}

fn lambda(found: &Value, end: &str) -> f64 {
    let pairs = found["eigenpairs"].as_array().unwrap();
    let values = pairs.iter().filter(|p| p["end"] == end).map(|p| p["value"].as_f64().unwrap());
    if end == "largest" { values.fold(f64::MIN, f64::max) } else { values.fold(f64::MAX, f64::min) }
}

#[test]
fn every_verb_gives_its_part_in_the_documented_layout() {
    let temp = tempfile::tempdir().unwrap();
    let dir = |name: &str| temp.path().join(name);

    run(
        "analyze",
        &["--grid", "7", "--probes", "8", "--density-steps", "12", "--tol", "1e-3"],
        &dir("analyze"),
    );
    let whole = check_schema(&dir("analyze"));
    let page = std::fs::read_to_string(dir("analyze").join("report.html")).unwrap();
    assert!(
        page.contains("it is computed from") && page.contains("groups of"),
        "errors over the data say from what"
    );
    assert_eq!(
        (&whole["hessian_signs"], &whole["status"]),
        (&Value::from("indefinite"), &Value::from("Converged"))
    );
    // The embedded weights are where training stopped, not at a critical point.
    assert_eq!((&whole["kind"], &whole["criticality"]["critical"]), (&Value::Null, &Value::from(false)));
    let verdict = whole["verdict"].to_string();
    assert!(verdict.contains("not critical") && !verdict.contains("The point is a saddle"), "{verdict}");
    for file in [
        "directions.safetensors",
        "report.html",
        "arrays/eigenvalues.npz",
        "arrays/probes.npz",
        "arrays/trace.npz",
        "arrays/density.npz",
        "arrays/random_planes.npz",
        "arrays/filtered_planes.npz",
        "arrays/cut-lambda-min.npz",
        "arrays/surface-hessian-test.npz",
        "surfaces/hessian-train.vtp",
        "surfaces/hessian-zoom-train.obj",
        "surfaces/random-test.vtp",
    ] {
        assert!(dir("analyze").join(file).is_file(), "{file}");
    }

    // The same solve as its own verb: the same bits.
    let text = run("eigs", &["--tol", "1e-3"], &dir("eigs"));
    let eigs = check_schema(&dir("eigs"));
    assert_eq!(eigs["eigenpairs"], whole["eigenpairs"]);
    assert!(text.contains("smallest") && text.contains("products"), "{text}");

    run("eigs", &["--method", "algorithm1", "--largest", "1", "--smallest", "1"], &dir("algorithm1"));
    let paper = check_schema(&dir("algorithm1"));
    assert!(paper["eigen"]["condition_b1"].is_string());
    for end in ["largest", "smallest"] {
        // Both methods stop at a residual of 1e-3 |λ|, which bounds the error of λ.
        let (a, b) = (lambda(&paper, end), lambda(&eigs, end));
        assert!((a - b).abs() <= 2e-3 * b.abs(), "{end}: {a} and {b}");
    }

    let text = run("trace", &["--probes", "8"], &dir("trace"));
    let trace = check_schema(&dir("trace"));
    assert_eq!(trace["trace"]["hutchinson"], whole["trace"]["hutchinson"]);
    assert_eq!(trace["layers"].as_array().unwrap().len(), whole["layers"].as_array().unwrap().len());
    assert!(text.contains("tr H, curvature fits"), "{text}");

    let text = run("density", &["--probes", "2", "--steps", "12"], &dir("density"));
    let density = check_schema(&dir("density"));
    let weights: f64 =
        density["density"]["weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).sum();
    // A quadrature rule of unit mass per probe, rounded.
    assert!((weights - 1.0).abs() < 1e-6, "{weights}");
    assert!(text.contains("negative eigenvalues (index)"), "{text}");

    let text = run(
        "project",
        &["--planes", "4", "--filtered-planes", "2", "--density-steps", "12"],
        &dir("project"),
    );
    let project = check_schema(&dir("project"));
    // The planes of the first eight probes are those of the analysis.
    assert_eq!(project["random_planes"], whole["random_planes"]);
    assert!(text.contains("chance of a saddle") && text.contains("mean κ₊"), "{text}");
}

#[test]
fn slices_along_directions_of_all_kinds() {
    let temp = tempfile::tempdir().unwrap();
    let dir = |name: &str| temp.path().join(name);
    let short = ["--grid", "5", "--tol", "1e-2"];
    let mut more = short.to_vec();
    more.extend(["--directions", "hessian", "--directions", "filter", "--directions", "smallest"]);
    run("slice", &more, &dir("first"));
    let first = check_schema(&dir("first"));
    let names: Vec<&str> =
        first["surfaces"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["hessian-train", "filter-train", "hessian-test", "filter-test"]);
    let cut = &first["cuts"][0];
    assert_eq!(cut["curvature"].as_f64(), Some(lambda(&first, "smallest")));

    // Eigenvectors of the earlier run, a direction from its file, an axis as written.
    let from = dir("first");
    let file = format!("{}#hessian.beta", from.join("directions.safetensors").display());
    let axes = ["--alpha", "-0.5:0.5:5", "--beta", "0:1:3"];
    let mut more = vec!["--from", from.to_str().unwrap(), "--directions", "hessian", "--directions", &file];
    more.extend(axes);
    run("slice", &more, &dir("second"));
    let second = check_schema(&dir("second"));
    assert!(second["eigenpairs"].as_array().unwrap().is_empty(), "nothing is solved again");
    assert_eq!(second["surfaces"][0]["shape"], serde_json::json!([5, 3]));
    assert_eq!(second["surfaces"][0]["ranges"], serde_json::json!([[-0.5, 0.5], [0.0, 1.0]]));
    // The direction in the file is the eigenvector in f32: the curvature along it is λ to about that precision, and to
    // second order in its residual.
    let (a, b) = (second["cuts"][0]["curvature"].as_f64().unwrap(), lambda(&first, "smallest"));
    assert!((a - b).abs() < 1e-3 * b.abs(), "{a} and {b}");

    let at = dir("third");
    let wrong = |more: &[&str], part: &str| {
        let mut all = vec!["slice"];
        all.extend(SMALL);
        all.extend(more);
        all.extend(["--out", at.to_str().unwrap()]);
        let text = refused(&all);
        assert!(text.contains(part), "{text}");
    };
    wrong(&["--alpha", "1:-1:5"], "--alpha: axis from 1 to -1");
    wrong(&["--alpha", "-1:1"], "expected lo:hi:n");
    wrong(&["--directions", "sideways"], "no such file");
    wrong(&["--directions", "largest,smallest,random"], "one direction or two");
    wrong(&["--directions", "largest:0"], "--directions largest:0");
    wrong(&["--directions", "random:1,random:1"], "parallel");
    let missing = file.replace("#hessian.beta", "#nothing");
    wrong(&["--directions", &missing], "the directions in it are");
    wrong(&["--from", at.to_str().unwrap(), "--directions", "hessian"], "did not finish");
}

#[test]
fn impossible_numbers_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let wrong = |verb: &str, more: &[&str], part: &str| {
        let mut all = vec![verb];
        all.extend(SMALL);
        all.extend(more);
        all.extend(["--out", out.to_str().unwrap()]);
        let text = refused(&all);
        assert!(text.contains(part), "{text}");
    };
    wrong("eigs", &["--largest", "0", "--smallest", "0"], "no eigenvalue is asked for");
    wrong("eigs", &["--tol=-1"], "--tol -1");
    wrong("eigs", &["--tol", "-1"], "--tol -1: expected a positive number");
    wrong("eigs", &["--tol", "NaN"], "--tol NaN");
    wrong("trace", &["--probes", "0"], "--probes 0");
    wrong("trace", &["--fit-points", "2"], "--fit-points 2");
    wrong("density", &["--steps", "1"], "--steps 1");
    wrong("project", &["--planes", "1"], "--planes 1");
    wrong("slice", &["--grid", "1"], "--grid 1");
    wrong("analyze", &["--freeze", "*"], "leave no parameter");
    wrong("analyze", &["--split", "valid"], "possible values: train, test");
    assert!(!out.exists(), "nothing is written for bad input");
}

#[test]
fn negative_numbers_are_values_of_options() {
    let temp = tempfile::tempdir().unwrap();
    let nowhere = temp.path().join("out");
    let nowhere = nowhere.to_str().unwrap();
    for (verb, option, expected) in [
        ("eigs", "--samples", "expected A..B"),
        ("eigs", "--largest", "invalid digit"),
        ("analyze", "--grid", "expected a number of points"),
        ("analyze", "--seed", "invalid digit"),
        ("analyze", "--random-range", "expected a positive number"),
        ("trace", "--fit-range", "expected a positive number"),
        ("settle", "--tol", "expected"),
    ] {
        let text = refused(&[verb, "--model", "digits-mlp", option, "-1", "--out", nowhere]);
        assert!(text.contains(expected) && !text.contains("unexpected argument"), "{verb} {option}: {text}");
    }
    // Refused before anything is computed, not when the surfaces' turn comes.
    for verb in ["analyze", "slice"] {
        let text = refused(&[verb, "--model", "digits-mlp", "--grid", "1", "--out", nowhere]);
        assert!(text.contains("--grid 1: expected 2 to 2001"), "{text}");
    }
    let text =
        refused(&["analyze", "--model", "digits-mlp", "--density-probes", "10000000", "--out", nowhere]);
    assert!(text.contains("expected 0 to 10000"), "{text}");
}

#[test]
fn numbers_that_are_not_taken_as_given_are_said() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("trace");
    let output = saddlescope(&[
        "trace",
        "--model",
        "digits-mlp",
        "--samples",
        "32",
        "--probes",
        "3",
        "--fit-points",
        "0",
        "--out",
        out.to_str().unwrap(),
    ]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("--probes 3: 4 are used"), "{text}");
    assert_eq!(results(&out)["trace"]["hutchinson"]["samples"], 4);
}

/// The residual of a vector in f32 leaves out how wrong the product itself is; the interval has it.
#[test]
fn an_eigenvalue_in_double_precision_lies_in_the_interval_of_single_precision() {
    let temp = tempfile::tempdir().unwrap();
    let of = |dtype: &str, tol: &str| {
        let out = temp.path().join(dtype);
        run("eigs", &["--dtype", dtype, "--tol", tol, "--largest", "3", "--smallest", "1"], &out);
        check_schema(&out)["eigenpairs"].as_array().unwrap().clone()
    };
    let (exact, single) = (of("f64", "1e-9"), of("f32", "1e-6"));
    assert_eq!(exact.len(), 4);
    for (exact, single) in exact.iter().zip(&single) {
        let [low, high] = [0, 1].map(|i| single["interval"][i].as_f64().unwrap());
        let value = exact["value"].as_f64().unwrap();
        assert!(low <= value && value <= high, "{value} in [{low}, {high}]");
        // Rounding of f32, not a licence: a millionth of the largest eigenvalue.
        let rounding = single["rounding"].as_f64().unwrap();
        assert!(
            rounding > 0.0 && rounding < 1e-5 * exact["value"].as_f64().unwrap().abs().max(1.0),
            "{rounding}"
        );
        assert!(exact["rounding"].as_f64().unwrap() < 1e-13);
    }
}

#[test]
fn a_number_in_the_data_that_is_not_finite_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let file = |name: &str| temp.path().join(name);
    let weights = file("net.safetensors").display().to_string();
    let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    npy(&file("labels.npy"), "<i8", "(6,)", (0..6_i64).map(|i| (i % 3).to_le_bytes().to_vec()));
    let data = |inputs: &str| format!("npy:{},{}", file(inputs).display(), file("labels.npy").display());
    let write = |name: &str, odd: f32| {
        let row = |i: usize| f32s(&[i as f32 / 3.0, if i == 4 { odd } else { 1.0 }]);
        npy(&file(name), "<f4", "(6, 2)", (0..6).map(row));
    };
    write("x.npy", 1.0);
    succeed(&["train", "--model", "mlp:2-4-3", "--data", &data("x.npy"), "--epochs", "1", "--out", &weights]);
    for (name, odd, said) in
        [("nan.npy", f32::NAN, "is NaN in sample 4"), ("inf.npy", f32::INFINITY, "is inf in sample 4")]
    {
        write(name, odd);
        let out = file(&format!("out-{name}")).display().to_string();
        let (data, common) = (data(name), ["--model", "mlp:2-4-3", "--weights", &weights, "--out", &out]);
        let output = saddlescope(&[&["eigs", "--data", &data], common.as_slice()].concat());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && text.contains(said) && text.contains("element 1 of shape [2]"),
            "{text}"
        );
    }
}

#[test]
fn the_loss_of_a_network_by_name_suits_the_targets_too() {
    let temp = tempfile::tempdir().unwrap();
    let file = |name: &str| temp.path().join(name);
    let f32s = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    npy(&file("x.npy"), "<f4", "(6, 2)", (0..6).map(|i| f32s(&[i as f32 / 3.0, 1.0 - i as f32])));
    npy(
        &file("soft.npy"),
        "<f4",
        "(6, 3)",
        (0..6).map(|i| f32s(&[0.5, 0.1 * i as f32 / 2.0, 0.5 - 0.1 * i as f32 / 2.0])),
    );
    npy(&file("labels.npy"), "<f4", "(6,)", (0..6).map(|i| f32s(&[(i % 3) as f32])));
    let data = |targets: &str| format!("npy:{},{}", file("x.npy").display(), file(targets).display());
    let weights = file("net.safetensors").display().to_string();
    let train = |targets: &str| {
        saddlescope(&[
            "train",
            "--model",
            "mlp:2-4-3",
            "--data",
            &data(targets),
            "--epochs",
            "1",
            "--out",
            &weights,
        ])
    };
    let output = train("soft.npy");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("loss: soft-cross-entropy"), "{text}");
    let found = succeed(&[
        "eigs",
        "--model",
        "mlp:2-4-3",
        "--weights",
        &weights,
        "--data",
        &data("soft.npy"),
        "--out",
        file("out").to_str().unwrap(),
    ]);
    assert_eq!(results(&file("out"))["provenance"]["loss"], "soft-cross-entropy", "{found}");
    // Class numbers that were stored as floats are no regression.
    let text = String::from_utf8_lossy(&train("labels.npy").stderr).into_owned();
    assert!(text.contains("class labels are to be stored as integers"), "{text}");
    let text = refused(&[
        "eigs",
        "--model",
        "mlp:2-4-3",
        "--weights",
        &weights,
        "--data",
        &format!("npy:{}", file("x.npy").display()),
        "--out",
        file("none").to_str().unwrap(),
    ]);
    assert!(text.contains("the data have no targets"), "{text}");
}

#[test]
fn a_solve_that_stops_early_can_be_read_again() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("short");
    let first = run("eigs", &["--max-products", "3"], &out);
    check_schema(&out);
    let before = std::fs::read(out.join("results.json")).unwrap();
    let again = run("eigs", &["--max-products", "3"], &out);
    assert!(std::fs::read(out.join("results.json")).unwrap() == before);
    for text in [first, again] {
        assert!(text.contains("how the solve ended: the limit on operator products was reached"), "{text}");
    }
    succeed(&["report", out.to_str().unwrap()]);
}

#[test]
fn one_probe_has_no_standard_error_and_says_so() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("density");
    let text = run("density", &["--probes", "1", "--steps", "8"], &out);
    assert!(text.contains("(one probe)"), "{text}");
    let found = check_schema(&out);
    let density = &found["density"];
    assert_eq!(density["index"]["std_error"], Value::Null);
    assert_eq!(density["clearly_negative"]["std_error"], Value::Null);
    assert!(density["std_error"].as_array().unwrap().iter().all(Value::is_null));
    succeed(&["report", out.to_str().unwrap()]);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("(one probe)"));
}

#[test]
fn one_sample_is_enough() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("one");
    let small = ["--model", "digits-mlp", "--samples", "1", "--grid", "3", "--probes", "2", "--tol", "1e-2"];
    let mut all = vec!["analyze"];
    all.extend(small);
    all.extend(["--density-steps", "6", "--out", out.to_str().unwrap()]);
    succeed(&all);
    let found = check_schema(&out);
    assert_eq!(found["samples"], 1);
    assert!(found["eigenpairs"].as_array().unwrap().iter().all(|p| p["std_error"].is_null()));
    succeed(&["report", out.to_str().unwrap()]);
}

#[test]
fn complaints_name_what_is_wrong_and_say_it_once() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let at = out.to_str().unwrap();
    // The model is looked at before the data are missed.
    let text = refused(&["eigs", "--model", "no-such-network", "--out", at]);
    assert!(text.contains("no-such-network") && !text.contains("--data is needed"), "{text}");
    let text = refused(&["eigs", "--model", "digits-mlp", "--weights", "/dev/null/weights", "--out", at]);
    assert_eq!(text.matches("os error").count(), 1, "{text}");
    let text = refused(&["eigs", "--model", "digits-mlp", "--data", "npz:/dev/null/data", "--out", at]);
    assert_eq!(text.matches("os error").count(), 1, "{text}");
    let mut all = vec!["eigs"];
    all.extend(SMALL);
    all.extend(["--out", "/dev/null/out"]);
    let text = refused(&all);
    assert_eq!(text.matches("Not a directory").count(), 1, "{text}");
}

/// One small folder, looked at by the verbs that do not compute.
#[test]
fn what_other_verbs_say_of_a_folder() {
    let temp = tempfile::tempdir().unwrap();
    let (eigs, dir) = (temp.path().join("eigs"), temp.path().join("eigs").display().to_string());
    // Nothing is there yet; a beginning is no result.
    std::fs::create_dir_all(eigs.join("kept")).unwrap();
    assert!(refused(&["status", &dir]).contains("holds no analysis"));
    run("eigs", &["--tol", "1e-2"], &eigs);
    // More pairs and a looser limit go on from what is there.
    run("eigs", &["--tol", "1e-2", "--largest", "2"], &eigs);
    let status = succeed(&["status", &dir]);
    assert!(!status.contains('{') && !status.contains('"'), "raw JSON in\n{status}");
    let marked: Vec<&str> = status.lines().filter(|l| l.starts_with("* eigenpairs")).collect();
    assert!(marked.len() == 1 && marked[0].contains("largest 2"), "{status}");
    assert_eq!(status.matches(" eigenpairs ").count(), 2, "{status}");

    // Weights along negative curvature: of the same samples, and only where a search was made.
    let to = temp.path().join("moved.safetensors").display().to_string();
    let escape = |more: &[&str]| {
        let mut all = vec!["escape", "--model", "digits-mlp", "--analysis", &dir, "--to", &to];
        all.extend(more);
        refused(&all)
    };
    assert!(escape(&["--samples", "0..128"]).contains("no search along negative curvature"));
    let other = escape(&["--samples", "64..192"]);
    assert!(other.contains("analysis of something else") && other.contains("data.sha256"), "{other}");

    // Slices along its eigenvectors on other samples say so.
    let slices = temp.path().join("slices");
    let arguments = [
        "slice",
        "--model",
        "digits-mlp",
        "--samples",
        "64..192",
        "--from",
        &dir,
        "--directions",
        "largest",
        "--grid",
        "3",
        "--out",
        slices.to_str().unwrap(),
    ];
    let output = saddlescope(&arguments);
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("of other samples"), "{said}");

    // A command that was stopped before it wrote results.
    std::fs::remove_file(eigs.join("results.json")).unwrap();
    let report = refused(&["report", &dir]);
    assert!(report.contains("did not finish") && report.contains("continues"), "{report}");
}

#[test]
fn a_pattern_that_names_nothing_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    for option in ["--params", "--freeze"] {
        let text = refused(&[
            "eigs",
            "--model",
            "digits-mlp",
            option,
            "layer9.*",
            "--out",
            temp.path().join("x").to_str().unwrap(),
        ]);
        assert!(
            text.contains(option) && text.contains("layer9.*") && text.contains("no parameter"),
            "{text}"
        );
    }
}

#[test]
fn surfaces_that_are_no_longer_shown_are_cleared_away() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("run");
    run("slice", &["--directions", "random", "--grid", "3"], &out);
    let first = out.join("surfaces").join("random-train.vtp");
    let names: Vec<_> = std::fs::read_dir(out.join("surfaces")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(first.exists(), "{names:?}");
    run("slice", &["--directions", "filter", "--grid", "3"], &out);
    let shown: Vec<String> = results(&out)["surfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap().to_string())
        .collect();
    for entry in std::fs::read_dir(out.join("surfaces")).unwrap() {
        let stem = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(shown.contains(&stem), "{stem} is in no result ({shown:?})");
    }
}
