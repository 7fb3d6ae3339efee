//! Which axes of an ONNX file's inputs count samples: `--one-sample` and `--batch-axis`.

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
