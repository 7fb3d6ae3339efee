//! What the command says where it falls short of what was asked for, and whether the advice helps.

mod common;

use std::path::Path;

use common::{check_schema, npy, refused, saddlescope, succeed};

fn eigs<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["eigs", "--model", "digits-mlp", "--samples", "0..128", "--threads", "2", "--out", out][..], more]
        .concat()
}

#[test]
fn a_solve_that_stops_at_the_rounding_floor_says_so_and_what_helps() {
    let temp = tempfile::tempdir().unwrap();
    let dir = |name: &str| temp.path().join(name).display().to_string();
    let (single, double, loose) = (dir("f32"), dir("f64"), dir("loose"));
    let pairs = ["--largest", "1", "--smallest", "1"];
    let text = succeed(&eigs(&single, &[&pairs[..], &["--tol", "1e-12"]].concat()));
    assert!(text.contains("stopped at the rounding floor of single precision"), "{text}");
    assert!(text.contains("AT THE ROUNDING FLOOR") && text.contains("--dtype f64 or --tol "), "{text}");
    assert!(!text.contains("ended: converged"), "{text}");
    let found = check_schema(Path::new(&single));
    let floor = &found["eigen"]["rounding_floor"];
    assert_eq!((&floor["precision"], &floor["tolerance"]), (&"f32".into(), &1e-12.into()));
    let residuals = found["eigenpairs"].as_array().unwrap().iter().map(|p| p["residual"].as_f64().unwrap());
    assert_eq!(floor["residual"].as_f64(), Some(residuals.fold(0.0, f64::max)));
    let page = std::fs::read_to_string(Path::new(&single).join("report.html")).unwrap();
    assert!(page.contains("rounding floor of single precision") && page.contains("to the rounding floor"));

    // Both pieces of advice help.
    let tolerance = text.split("--tol ").nth(1).unwrap().split(')').next().unwrap();
    for (out, more) in
        [(&double, ["--tol", "1e-12", "--dtype", "f64"]), (&loose, ["--tol", tolerance, "--dtype", "f32"])]
    {
        let text = succeed(&eigs(out, &[&pairs[..], &more].concat()));
        assert!(text.contains("ended: converged") && !text.contains("FLOOR"), "{more:?}: {text}");
        assert!(check_schema(Path::new(out))["eigen"].get("rounding_floor").is_none());
    }
}

#[test]
fn a_basis_that_is_too_small_names_the_option() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().display().to_string();
    for given in ["7", "8"] {
        let text = refused(&eigs(&out, &["--basis-vectors", given]));
        assert!(text.contains("--basis-vectors") && text.contains("need 10 or more"), "{text}");
        assert!(!text.contains("block") && !text.contains("raise the limit"), "{text}");
    }
    succeed(&eigs(&out, &["--basis-vectors", "10"]));
}

/// Products that the table of stages expects for the eigenpairs.
fn expected(text: &str) -> usize {
    let row = text.lines().find(|l| l.contains("eigenpairs") && l.contains("to do")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    cells[cells.iter().position(|c| *c == "do").unwrap() + 1].parse().unwrap()
}

#[test]
fn a_small_basis_is_expected_to_need_more_products() {
    let temp = tempfile::tempdir().unwrap();
    let forecast = |vectors: &str| {
        let out = temp.path().join(vectors).display().to_string();
        let output = saddlescope(&eigs(&out, &["--basis-vectors", vectors]));
        assert!(output.status.success());
        expected(&String::from_utf8(output.stderr).unwrap())
    };
    let (small, middle, large) = (forecast("12"), forecast("32"), forecast("128"));
    assert!(small > 2 * middle && middle > large, "{small}, {middle}, {large}");
}

#[test]
fn a_width_that_does_not_fit_the_data_has_a_hint() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("w.safetensors").display().to_string();
    for (given, fits) in [
        ("mlp:100-32-10:tanh", "mlp:1x8x8-32-10:tanh"),
        ("mlp:64-32-10", "mlp:1x8x8-32-10"),
        ("cnn:1x28x28-8-10", "cnn:1x8x8-8-10"),
    ] {
        let train =
            |model: &'static str| ["train", "--model", model, "--data", "digits", "--epochs", "1", "--out"];
        let text = refused(&[&train(given)[..], &[out.as_str()]].concat());
        assert!(text.contains(&format!("`{fits}` would fit")), "{text}");
        succeed(&[&train(fits)[..], &[out.as_str()]].concat());
        std::fs::remove_file(&out).unwrap();
    }
}

#[test]
fn the_memory_that_a_refusal_names_is_enough() {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).display().to_string();
    let (x, y, weights) = (path("x.npy"), path("y.npy"), path("w.safetensors"));
    // 12 MiB: under a limit of 40 MiB they are read from their file, under what is needed they are held in memory.
    let samples = 3072;
    let row =
        |i: usize| (0..1024).flat_map(|j| ((i * 31 + j * 7) as f32 % 13.0 - 6.0).to_le_bytes()).collect();
    npy(Path::new(&x), "<f4", &format!("({samples}, 1024)"), (0..samples).map(row));
    npy(
        Path::new(&y),
        "<i8",
        &format!("({samples},)"),
        (0..samples).map(|i| ((i % 4) as i64).to_le_bytes().to_vec()),
    );
    let data = format!("npy:{x},{y}");
    succeed(&["train", "--model", "mlp:1024-64-4", "--data", &data, "--epochs", "1", "--out", &weights]);
    let out = path("out");
    let run = |verb: &str, memory: &str| {
        saddlescope(&[
            verb,
            "--model",
            "mlp:1024-64-4",
            "--weights",
            &weights,
            "--data",
            &data,
            "--threads",
            "2",
            "--memory",
            memory,
            "--out",
            &out,
        ])
    };
    for verb in ["eigs", "analyze"] {
        let refusal = run(verb, "40");
        let text = String::from_utf8(refusal.stderr).unwrap();
        assert_eq!(refusal.status.code(), Some(2), "{text}");
        let number = |after: &str| -> usize {
            let rest = text.split(after).nth(1).unwrap_or_else(|| panic!("no {after} in {text}"));
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
        };
        let needed = number("--memory ");
        assert!(text.contains("40 MiB are allowed"), "{text}");
        // Fewer pairs need less.
        assert!(number("--largest 1 --smallest 1: ") < needed, "{text}");
        assert_eq!(text.contains("--no-split: "), verb == "analyze", "{text}");
        let enough = run(verb, &needed.to_string());
        assert!(enough.status.success(), "{}", String::from_utf8_lossy(&enough.stderr));
    }
}
