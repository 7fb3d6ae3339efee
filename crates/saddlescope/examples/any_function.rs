//! A full report on a function that is no network: `cargo run --release -p saddlescope --example any_function -- DIR`.
#![allow(clippy::print_stdout)]

use std::error::Error;

use saddlescope::FnRisk;
use saddlescope::analysis::{Selection, Subject, analyze};

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).ok_or("expected a folder for the report")?;
    // L(θ) = 1 + Σ (θᵢ² − aᵢ)²/4: twenty double and single wells; the origin is a saddle where some aᵢ > 0.
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
    let found = analyze(&subject, &Selection::default(), None, out.as_ref(), &mut ())?;
    println!("{}\nReport: {out}/report.html", found.results.verdict.join("\n"));
    Ok(())
}
