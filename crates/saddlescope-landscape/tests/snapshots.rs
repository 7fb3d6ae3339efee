//! What a reader gets, as a whole: `results.json` and the words of the report, for a function whose answers are known.
//!
//! `INSTA_UPDATE=always cargo test -p saddlescope-landscape --test snapshots` writes the snapshots anew; look at the difference
//! before you commit it.

use saddlescope_landscape::FnRisk;
use saddlescope_landscape::analysis::{Selection, SliceOptions, Subject, analyze};
use serde_json::Value;

/// Twenty wells: L(θ) = 1 + Σ (θᵢ² − aᵢ)²/4 at the origin, whose Hessian is diag(−aᵢ), aᵢ = −1, −0.9, …, 0.9.
fn analysed(out: &std::path::Path) {
    let a: Vec<f64> = (0..20).map(|i| 0.1 * f64::from(i) - 1.0).collect();
    let loss = |t: &[f64]| 1.0 + t.iter().zip(&a).map(|(t, a)| 0.25 * (t * t - a).powi(2)).sum::<f64>();
    let risk = FnRisk::new(a.len(), loss)
        .with_gradient(|t, g| {
            for i in 0..t.len() {
                g[i] = t[i] * (t[i] * t[i] - a[i]);
            }
        })
        .with_hessian(|t, v, hv| {
            for i in 0..t.len() {
                hv[i] = (3.0 * t[i] * t[i] - a[i]) * v[i];
            }
        });
    let subject = Subject::new("twenty wells", vec![0.0; a.len()], &risk);
    let selection =
        Selection { slices: SliceOptions { grid: 9, ..SliceOptions::default() }, ..Selection::default() };
    analyze(&subject, &selection, None, out, &mut ()).unwrap();
}

/// Numbers to three digits (their last bits depend on the processor), long lists by their length, measured times and fingerprints not at
/// all.
fn stable(value: &mut Value) {
    match value {
        Value::Number(n) if n.is_f64() => {
            let x = n.as_f64().unwrap();
            // Rounding errors of nothing are nothing.
            *value =
                if x.abs() < 1e-7 { 0.0.into() } else { format!("{x:.2e}").parse::<f64>().unwrap().into() };
        }
        Value::Array(items) if items.len() > 8 => *value = format!("{} entries", items.len()).into(),
        Value::Array(items) => items.iter_mut().for_each(stable),
        Value::Object(entries) => {
            for (name, entry) in entries.iter_mut() {
                let hash = name.contains("sha256") || name == "fingerprint";
                let measured = name.ends_with("seconds") || name == "bytes" || hash;
                if measured || name == "warnings" {
                    *entry = "…".into();
                } else if name == "stages" {
                    entry.as_object_mut().unwrap().values_mut().for_each(|key| *key = "…".into());
                } else {
                    stable(entry);
                }
            }
        }
        _ => {}
    }
}

/// The words of a page: no scripts, styles, or tags.
fn words(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        let hidden = ["script", "style", "svg"].iter().find(|tag| rest[1..].starts_with(*tag));
        let end = match hidden {
            Some(tag) => rest.find(&format!("</{tag}>")).map(|at| at + tag.len() + 3),
            None => rest.find('>').map(|at| at + 1),
        };
        text.push('\n');
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    text.push_str(rest);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

#[test]
fn results_and_report_of_a_known_function() {
    let dir = tempfile::tempdir().unwrap();
    analysed(dir.path());
    let mut results: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("results.json")).unwrap()).unwrap();
    stable(&mut results);
    insta::assert_json_snapshot!("results", results);
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    let filters = vec![
        (r"[0-9a-f]{16,64}", "[fingerprint]"),
        (r"\d[\d.,e+−-]*\s?(s|ms|µs|min|MiB|KiB|GiB|bytes)\b", "[measured]"),
        (r"(?m)^\d+(\.\d+)?e[−-]\d+$", "[rounding]"),
    ];
    insta::with_settings!({ filters => filters }, {
        insta::assert_snapshot!("report", words(&page));
    });
}
