//! Which axes of an ONNX file's inputs count samples (`--one-sample` and `--batch-axis`), and which inputs are fixed (`--fix-input`).

mod common;

use std::path::Path;

use common::{refused, results, succeed};

fn fixture(name: &str) -> String {
    format!("{}/../saddlescope-onnx/tests/fixtures/small/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The largest eigenvalue of a linear model's squared error, with more options.
fn largest(out: &Path, more: &[&str]) -> f64 {
    let (model, data) =
        (fixture("constant_weights.onnx"), format!("npz:{}", fixture("constant_weights.npz")));
    let out = out.to_str().unwrap();
    let given = [
        "eigs", "--model", &model, "--data", &data, "--loss", "mse", "--dtype", "f64", "--tol", "1e-9",
        "--out", out,
    ];
    succeed(&[&given[..], more].concat());
    results(Path::new(out))["eigenpairs"][0]["value"].as_f64().unwrap()
}

#[test]
fn five_samples_as_one_have_five_times_the_loss() {
    let folder = tempfile::tempdir().unwrap();
    let mean = largest(&folder.path().join("mean"), &[]);
    let sum = largest(&folder.path().join("sum"), &["--one-sample"]);
    // The sum over five samples instead of their mean; both eigenvalues are known to 1e-9.
    assert!((sum - 5.0 * mean).abs() < 1e-8 * sum, "{sum} and {mean}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (model, data) =
        (fixture("constant_weights.onnx"), format!("npz:{}", fixture("constant_weights.npz")));
    let eigs = |model: &str, data: &str, more: &[&str]| {
        refused(
            &[&["eigs", "--model", model, "--data", data, "--out", out.to_str().unwrap()][..], more].concat(),
        )
    };
    assert!(eigs(&model, &data, &["--batch-axis", "z=0"]).contains("no input `z`"));
    assert!(
        eigs(&model, &data, &["--batch-axis", "x=7"])
            .contains("axis 7 is to count the samples of 2 dimensions")
    );
    assert!(eigs("digits-mlp", &data, &["--one-sample"]).contains("are for ONNX files"));
    assert!(eigs(&model, "digits", &["--one-sample"]).contains("whose samples are known"));
    assert!(eigs(&model, &data, &["--one-sample", "--samples", "3"]).contains("--samples"));
}

#[test]
fn info_takes_them_too() {
    let (model, data) =
        (fixture("constant_weights.onnx"), format!("npz:{}", fixture("constant_weights.npz")));
    assert!(succeed(&["info", &model, "--data", &data]).contains("input x: float [3] a sample"));
    assert!(
        succeed(&["info", &model, "--data", &data, "--one-sample"])
            .contains("input x: float [5, 3] a sample")
    );
    assert!(
        succeed(&["info", &model, "--shape", "x=5,3", "--one-sample"])
            .contains("input x: float [5, 3] a sample")
    );
}

#[test]
fn inputs_are_fixed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (model, data) = (fixture("fixed_inputs.onnx"), format!("npz:{}", fixture("fixed_inputs.npz")));
    let fixed = ["--fix-input", "sr=16000", "--fix-input", "gain=2,0.5", "--fix-input", "on=true"];
    let given =
        ["eigs", "--model", &model, "--data", &data, "--loss", "mse", "--dtype", "f64", "--tol", "1e-9"];
    succeed(&[&given[..], &["--out", out.to_str().unwrap()], &fixed].concat());
    // The largest eigenvalue of the Hessian that NumPy found, by its rows; exact to about 1e-7.
    let expected: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(fixture("fixed_inputs.json")).unwrap()).unwrap();
    let rows: Vec<Vec<f64>> = serde_json::from_value(expected["hessian"].clone()).unwrap();
    let matrix = largest_of(&rows);
    let found = results(&out);
    let largest = found["eigenpairs"][0]["value"].as_f64().unwrap();
    assert!((largest - matrix).abs() < 1e-6 * matrix, "{largest} and {matrix}");
    let info = succeed(&[&["info", &model, "--data", &data], &fixed[..]].concat());
    assert!(
        info.contains("input x: float [3] a sample")
            && info.contains("`sr` is fixed to 16000 for all samples"),
        "{info}"
    );
    let without = refused(&["info", &model, "--data", &data, "--fix-input", "gain=1,1"]);
    assert!(without.contains("fix it with --fix-input NAME=VALUE"), "{without}");
    let twice = refused(&["info", &model, "--fix-input", "sr=1", "--fix-input", "sr=2"]);
    assert!(twice.contains("`sr` is given twice"), "{twice}");
    assert!(refused(&["info", &model, "--fix-input", "sr"]).contains("expected INPUT=VALUE"));
}

/// The largest eigenvalue of a small symmetric matrix by power iteration on the matrix shifted to be positive.
fn largest_of(rows: &[Vec<f64>]) -> f64 {
    let shift = rows.iter().map(|r| r.iter().map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max);
    let mut v: Vec<f64> = (0..rows.len()).map(|i| 1.0 + i as f64).collect();
    let mut value = 0.0;
    for _ in 0..20_000 {
        let w: Vec<f64> = rows
            .iter()
            .zip(&v)
            .map(|(r, &x)| shift * x + r.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>())
            .collect();
        let norm = w.iter().map(|x| x * x).sum::<f64>().sqrt();
        value = norm - shift;
        v = w.iter().map(|x| x / norm).collect();
    }
    value
}
