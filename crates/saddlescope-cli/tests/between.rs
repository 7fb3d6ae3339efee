//! The verbs on several points, from training to pages: what they write, how they go on, what they refuse.

mod common;

use std::path::Path;

use common::{assert_same, check_schema_of, refused, saddlescope, start, succeed, wait_for};
use serde_json::Value;

const MODEL: &str = "digits-mlp";

/// Two short trainings, the first with its checkpoints.
fn train(dir: &Path) -> [String; 2] {
    [1, 2].map(|seed| {
        let out = dir.join(format!("seed-{seed}.safetensors")).display().to_string();
        let seed = seed.to_string();
        let mut arguments =
            vec!["train", "--model", MODEL, "--data", "digits", "--epochs", "3", "--seed", &seed];
        arguments.extend(["--schedule", "constant", "--out", &out]);
        if seed == "1" {
            arguments.extend(["--keep-every", "1"]);
        }
        succeed(&arguments);
        out
    })
}

/// A verb on 300 samples.
fn verb<'a>(name: &'a str, weights: &[&'a str], more: &[&'a str], out: &'a str) -> Vec<&'a str> {
    let mut arguments = vec![name];
    arguments.extend(weights);
    arguments.extend(["--model", MODEL, "--data", "digits", "--samples", "300", "--out", out]);
    arguments.extend(more);
    arguments
}

/// Results that follow the documented schema, with a page and pictures beside them.
fn written(dir: &Path) -> Value {
    let found = check_schema_of(dir, "between.schema.json");
    let page = std::fs::read_to_string(dir.join("report.html")).unwrap();
    for sentence in found["verdict"].as_array().unwrap() {
        // The page escapes what HTML must.
        let words = sentence.as_str().unwrap().split(['<', '>', '&', '\'', '"']).next().unwrap();
        assert!(page.contains(words), "{words}");
    }
    assert!(std::fs::read_dir(dir.join("figures")).unwrap().count() > 0);
    found
}

#[test]
fn two_trainings_from_their_weights_to_the_pages() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = train(dir.path());
    let text = |name: &str| dir.path().join(name).display().to_string();
    let out = text("between");
    let printed = succeed(&verb("compare", &[&a, &b], &["--grid", "5", "--sharpness"], &out));
    assert!(printed.contains("By λ_max, flattest first"), "{printed}");
    let found = written(&dir.path().join("between/compare"));
    let points = found["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    for point in points {
        let sides = point["sides"].as_array().unwrap();
        assert_eq!(sides.iter().map(|s| s["split"].as_str().unwrap()).collect::<Vec<_>>(), ["train", "test"]);
        for side in sides {
            assert!(side["loss"]["std_error"].as_f64().unwrap() > 0.0);
            assert!(side["lambda_max"]["std_error"].as_f64().unwrap() > 0.0);
            assert!(side["sharpness"].as_array().unwrap().len() > 8);
        }
    }

    let printed = succeed(&verb("path", &[&a, &b], &["--points", "5", "--curve-steps", "5"], &out));
    assert!(printed.contains("barrier"), "{printed}");
    let found = written(&dir.path().join("between/path-seed-1-seed-2"));
    let ways = found["ways"].as_array().unwrap();
    assert_eq!(
        ways.iter().map(|w| w["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["line", "aligned-line", "curve"]
    );
    // The ends of the line are the points that compare has analysed.
    let compared = &points[0]["sides"][0]["loss"]["value"];
    assert_eq!(&ways[0]["sides"][0]["loss"][0]["value"], compared);

    let checkpoints = dir.path().join("seed-1/*.safetensors").display().to_string();
    let pattern = ["--checkpoints", &checkpoints, "--grid", "5"];
    succeed(&verb("trajectory", &[], &pattern, &out));
    let found = written(&dir.path().join("between/trajectory"));
    assert_eq!(found["points"].as_array().unwrap().len(), 4);
    // η is in the files: 2/0.05.
    assert_eq!(found["stability_limit"][0].as_f64(), Some(40.0));

    // The pages again from what is saved, byte for byte.
    for folder in ["compare", "path-seed-1-seed-2", "trajectory"] {
        let dir = dir.path().join("between").join(folder);
        let before = std::fs::read(dir.join("report.html")).unwrap();
        std::fs::remove_file(dir.join("report.html")).unwrap();
        succeed(&["report", &dir.display().to_string()]);
        assert!(before == std::fs::read(dir.join("report.html")).unwrap(), "{folder}");
    }
    let outer = saddlescope(&["report", &out]);
    assert!(!outer.status.success());
    let complaint = String::from_utf8(outer.stderr).unwrap();
    assert!(complaint.contains("compare, path-seed-1-seed-2, trajectory"), "{complaint}");
}

#[test]
fn a_killed_comparison_goes_on_to_the_same_bytes_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = train(dir.path());
    let text = |name: &str| dir.path().join(name).display().to_string();
    let (straight, stopped) = (text("straight"), text("stopped"));
    let runs: [(&str, Vec<&str>); 2] =
        [("compare", vec!["--grid", "5"]), ("path", vec!["--points", "5", "--curve-steps", "40"])];
    for (name, more) in &runs {
        let with = |threads: &'static str| [more.as_slice(), &["--threads", threads]].concat();
        succeed(&verb(name, &[&a, &b], &with("2"), &straight));
        for pieces in 1..4 {
            let mut child = start(&verb(name, &[&a, &b], &with("1"), &stopped));
            let kept = || {
                walk(Path::new(&stopped)).iter().filter(|p| p.to_string_lossy().contains("/kept/")).count()
            };
            let before = kept();
            wait_for(&mut child, || kept() > before + pieces);
            // Perhaps it has just ended by itself: then there is nothing to kill.
            let _ = child.kill();
            child.wait().unwrap();
        }
        succeed(&verb(name, &[&a, &b], &with("1"), &stopped));
    }
    for folder in ["compare", "path-seed-1-seed-2"] {
        assert_same(&Path::new(&straight).join(folder), &Path::new(&stopped).join(folder));
    }
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(walk(&path)),
            path => found.push(path),
        }
    }
    found
}

#[test]
fn what_cannot_be_compared_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = train(dir.path());
    let out = dir.path().join("out").display().to_string();
    let text = |name: &str| dir.path().join(name).display().to_string();
    let complaint = |name: &str, weights: &[&str]| refused(&verb(name, weights, &[], &out));

    let one = complaint("compare", &[&a]);
    assert!(one.contains("expected at least 2"), "{one}");
    let same = complaint("path", &[&a, &a]);
    assert!(same.contains("expected different"), "{same}");
    let missing = complaint("compare", &[&a, &text("nothing.safetensors")]);
    assert!(missing.contains("nothing.safetensors"), "{missing}");

    let other = text("other.safetensors");
    succeed(&["train", "--model", "digits-cnn", "--data", "digits", "--epochs", "1", "--out", &other]);
    let shapes = complaint("path", &[&a, &other]);
    // What is wrong with weights is not said of the model.
    assert!(shapes.contains("error: ") && shapes.contains("other.safetensors"), "{shapes}");
    assert!(!shapes.contains("--model"), "{shapes}");

    // One NaN in the file.
    let bytes = std::fs::read(&b).unwrap();
    let broken = text("nan.safetensors");
    let mut damaged = bytes.clone();
    let end = damaged.len();
    damaged[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&broken, damaged).unwrap();
    let nan = complaint("compare", &[&a, &broken]);
    assert!(nan.contains("nan.safetensors") && nan.contains("NaN") && !nan.contains("--model"), "{nan}");

    let none = refused(&verb("trajectory", &[], &["--checkpoints", &text("none/*.safetensors")], &out));
    assert!(none.contains("none/*.safetensors"), "{none}");
}
