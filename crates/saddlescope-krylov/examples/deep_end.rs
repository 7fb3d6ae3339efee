//! Products needed for a smallest eigenvalue deep in the bulk, by what could help: prints a Markdown table.
//!
//! `cargo run --release -p saddlescope-krylov --example deep_end`

#![allow(clippy::print_stdout)]

use std::sync::atomic::{AtomicU64, Ordering};

use saddlescope_krylov::testkit::PrescribedSpectrum;
use saddlescope_krylov::{
    BasisLimit, ExtremeEigen, FnOperator, LinearOperator, Precision, Status, Stream, Wanted,
    extreme_eigenpairs,
};

const N: usize = 20_000;
const MOST: usize = 1000;

/// Outliers falling from `high`, over a bulk of both signs that is dense at zero, ends at `low` below and at −`low`
/// times `skew` above.
fn spectrum(high: f64, outliers: usize, decay: f64, low: f64, skew: f64) -> (Vec<f64>, usize) {
    let bulk = |i: usize| {
        let x = 2.0 * ((i - outliers) as f64 + 0.5) / (N - outliers) as f64 - 1.0;
        -low * x.powi(5) * if x < 0.0 { 1.0 } else { skew }
    };
    let values = (0..N).map(|i| if i < outliers { high * decay.powi(i as i32) } else { bulk(i) });
    (values.collect(), outliers)
}

/// Products with `a` plus noise of the given size relative to `norm`, in random directions; what came of it.
fn solve(a: &PrescribedSpectrum, noise: f64, norm: f64, options: &ExtremeEigen) -> String {
    let count = AtomicU64::new(0);
    let operator = FnOperator::fallible(N, |x: &[f64], y: &mut [f64]| {
        a.apply(x, y)?;
        if noise > 0.0 {
            let mut e = vec![0.0; N];
            Stream::new(7, "noise", count.fetch_add(1, Ordering::Relaxed)).fill_normal(&mut e);
            let scale = noise * norm / (N as f64).sqrt();
            y.iter_mut().zip(e).for_each(|(y, e)| *y += scale * e);
        }
        Ok(())
    });
    let s = extreme_eigenpairs(&operator, options, &mut ()).expect("the request is sound");
    match s.status {
        Status::Converged => s.products.to_string(),
        Status::RoundingFloor => format!("floor at {}", s.products),
        Status::MaxMatvecs => format!("> {MOST}"),
        other => format!("{other:?} at {}", s.products),
    }
}

fn main() {
    let cases = [
        ("λmax 5.47, 40 outliers × 0.8, bulk −0.0018 … 0.0018", spectrum(5.47, 40, 0.8, -0.0018, 1.0)),
        ("λmax 5.47, 100 outliers × 0.93, bulk −0.0018 … 0.009", spectrum(5.47, 100, 0.93, -0.0018, 5.0)),
        ("λmax 166, 30 outliers × 0.85, bulk −6.57 … 3", spectrum(166.0, 30, 0.85, -6.57, 0.45)),
    ];
    let ways = [(32, 1), (64, 1), (128, 1), (256, 1), (MOST, 1), (MOST, 2), (MOST, 4)];
    print!("| matrix | noise | tolerance |");
    for (vectors, block) in ways {
        let room = if vectors == MOST { "all vectors".to_owned() } else { format!("{vectors} vectors") };
        print!(" {room}{} |", if block > 1 { format!(", block of {block}") } else { String::new() });
    }
    println!(" outliers deflated |\n| --- | --- | --- |{}", " --- |".repeat(ways.len() + 1));
    for (name, (values, outliers)) in cases {
        let a = PrescribedSpectrum::new(values.clone(), 1);
        let rest = values.iter().enumerate().map(|(i, &v)| if i < outliers { 0.0 } else { v });
        let deflated = PrescribedSpectrum::new(rest.collect(), 1);
        for noise in [0.0, 1e-6] {
            for tolerance in [1e-1, 1e-2, 1e-3] {
                print!("| {name} | {noise:.0e} | {tolerance:.0e} |");
                let base = ExtremeEigen {
                    tolerance,
                    absolute_tolerance: Some(0.0),
                    max_products: MOST,
                    precision: Precision::F32,
                    product_precision: Precision::F32,
                    basis_limit: BasisLimit::Vectors(MOST),
                    check_every: Some(1),
                    ..ExtremeEigen::ends(1, 1)
                };
                for (vectors, block_size) in ways {
                    let basis_limit = BasisLimit::Vectors(vectors);
                    let options = ExtremeEigen { basis_limit, block_size, ..base.clone() };
                    print!(" {} |", solve(&a, noise, values[0], &options));
                }
                // What deflation could give at best: the outliers are known exactly, at no cost.
                let lower = ExtremeEigen { wanted: Wanted::Ends { largest: 0, smallest: 1 }, ..base };
                println!(" {} |", solve(&deflated, noise, values[0], &lower));
            }
        }
    }
}
