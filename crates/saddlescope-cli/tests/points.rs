//! The verbs on single points: `settle`, `sharpness`, `verify`.

mod common;

use std::path::Path;

use common::{check_schema, refused, results, succeed};
use serde_json::Value;

/// Trains a small network on the embedded digits.
fn trained(model: &str, to: &Path) {
    let to = to.to_str().unwrap();
    succeed(&["train", "--model", model, "--data", "digits", "--epochs", "3", "--seed", "1", "--out", to]);
}

#[test]
fn settle_writes_the_weights_and_every_eigenvalue() {
    let temp = tempfile::tempdir().unwrap();
    let weights = temp.path().join("weights.safetensors");
    trained("mlp:1x8x8-4-10:tanh", &weights);
    let out = temp.path().join("settle");
    let model = ["--model", "mlp:1x8x8-4-10:tanh", "--data", "digits", "--samples", "0..200"];
    let run = |verb: &str, weights: &Path, out: &Path, more: &[&str]| {
        let mut all = vec![verb];
        all.extend(model);
        all.extend(["--weights", weights.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        all.extend(more);
        succeed(&all)
    };
    let text = run("settle", &weights, &out, &["--max-products", "150"]);
    let found = check_schema(&out);
    let settle = &found["settle"];
    // Three epochs are far from any critical point; the way there is cut off, and nothing is called critical.
    assert_eq!((&settle["end"], &settle["kind"]), (&Value::from("budget"), &Value::Null), "{text}");
    let norm = settle["gradient_norm"][1].as_f64().unwrap();
    assert!(norm < settle["gradient_norm"][0].as_f64().unwrap());
    // Every eigenvalue is counted: N = 64·4 + 4 + 4·10 + 10.
    let spectrum = &settle["spectrum"];
    let count = |name: &str| spectrum[name].as_u64().unwrap();
    assert_eq!(count("negative") + count("zero") + count("positive"), 310);
    assert_eq!(spectrum["eigenvalues"].as_array().unwrap().len(), 310);
    assert!(text.contains("‖∇L‖") && text.contains("settled.safetensors"), "{text}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("No point with ‖∇L‖"));
    for file in ["figures/settle.svg", "figures/settled-spectrum.svg", "arrays/settle.npz"] {
        assert!(out.join(file).exists(), "{file}");
    }
    // The weights that were written are that point, to the last bit.
    let again = temp.path().join("again");
    let more = ["--dtype", "f64", "--probes", "2", "--fit-points", "0"];
    run("trace", &out.join("settled.safetensors"), &again, &more);
    assert_eq!(results(&again)["gradient_norm"].as_f64().unwrap(), norm);
}

#[test]
fn the_embedded_network_has_no_critical_point_to_be_near_to() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("settle");
    let text =
        succeed(&["settle", "--model", "digits-mlp", "--whole-up-to", "0", "--out", out.to_str().unwrap()]);
    let settle = &check_schema(&out)["settle"];
    // It classifies every training digit: its loss falls to zero as its weights grow, and its gradient with it.
    assert!(settle["gradient_norm"][1].as_f64().unwrap() <= 1e-10, "{text}");
    assert_eq!((&settle["end"], &settle["kind"]), (&Value::from("receding"), &Value::Null), "{text}");
    assert!(
        settle["loss"][1].as_f64().unwrap() < 1e-8 && settle["relative_distance"].as_f64().unwrap() > 0.3
    );
    assert!(text.contains("No critical point was found"), "{text}");
}

#[test]
fn sharpness_says_which_measures_a_rescaling_moves() {
    let temp = tempfile::tempdir().unwrap();
    let weights = temp.path().join("weights.safetensors");
    trained("mlp:1x8x8-6-10", &weights);
    let out = temp.path().join("sharpness");
    let text = succeed(&[
        "sharpness",
        "--model",
        "mlp:1x8x8-6-10",
        "--weights",
        weights.to_str().unwrap(),
        "--data",
        "digits",
        "--samples",
        "0..200",
        "--dtype",
        "f64",
        "--tol",
        "1e-6",
        "--rescale",
        "4",
        "--out",
        out.to_str().unwrap(),
    ]);
    let found = check_schema(&out);
    let sharpness = &found["sharpness"];
    let measures = sharpness["measures"].as_array().unwrap();
    assert_eq!(measures.len(), 12, "{text}");
    assert_eq!(sharpness["rescaled"].as_array().unwrap().len(), 5);
    for copy in sharpness["rescaled"].as_array().unwrap() {
        // The function is the same.
        let (a, b) = (copy["loss"].as_f64().unwrap(), found["loss"].as_f64().unwrap());
        assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
    }
    let ratio = |kind: &str, copy: usize| {
        let value = |list: &Value| {
            let m = list.as_array().unwrap().iter().find(|m| m["kind"] == kind).unwrap();
            m["value"].as_f64().unwrap()
        };
        value(&sharpness["rescaled"][copy]["measures"]) / value(&sharpness["measures"])
    };
    for copy in 0..4 {
        // Invariant under one factor for the layer; eigenvalues to their tolerance.
        for kind in ["filter_largest_eigenvalue", "fisher_rao", "fisher_rao_model"] {
            assert!((ratio(kind, copy) - 1.0).abs() < 1e-5, "{kind} {copy}: {}", ratio(kind, copy));
        }
    }
    // The Fisher–Rao norm holds for any positive factors.
    assert!((ratio("fisher_rao", 4) - 1.0).abs() < 1e-9);
    // First layer × 1/4: its block of the Hessian grows by 16.
    assert!(ratio("largest_eigenvalue", 0) > 2.0, "{}", ratio("largest_eigenvalue", 0));
    let table = std::fs::read_to_string(out.join("sharpness.md")).unwrap();
    assert!(table.contains("moves") && table.contains("stays"), "{table}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("One function, many sharpnesses"));
}

#[test]
fn what_cannot_be_done_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let with = |verb: &str, more: &[&str]| {
        let mut all =
            vec![verb, "--model", "digits-mlp", "--samples", "0..64", "--out", out.to_str().unwrap()];
        all.extend(more);
        refused(&all)
    };
    assert!(with("settle", &["--dtype", "f32"]).contains("f64"));
    assert!(with("settle", &["--tol", "-1"]).contains("--tol -1: expected a positive number"));
    assert!(with("settle", &["--radius", "0"]).contains("--radius 0"));
    assert!(with("sharpness", &["--rho", "0"]).contains("--rho 0"));
    assert!(with("sharpness", &["--rescale", "0.5"]).contains("a number above 1"));
    // tanh is not homogeneous: the loss would change, and the message says between which tensors.
    let message = with("sharpness", &["--rescale", "4"]);
    assert!(message.contains("layers.0.weight") && message.contains("something else than ReLU"), "{message}");
}

#[test]
fn verify_passes_and_writes_its_numbers() {
    let temp = tempfile::tempdir().unwrap();
    let json = temp.path().join("verify.json");
    let text = succeed(&["verify", "--json", json.to_str().unwrap()]);
    assert!(text.contains("PyTorch") || text.contains("loss, ∇L, Hv, Gv"), "{text}");
    assert!(!text.contains("FAILED"), "{text}");
    let found: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert!(found["checks"].as_array().unwrap().iter().all(|c| c["passed"] == true));
    assert!(refused(&["verify", "--json", temp.path().to_str().unwrap()]).contains("error"));
}
