//! Does a solve on a part of the samples save products on all of them?
//!
//! `cargo run --release -p saddlescope --example warm_start -- MODEL WEIGHTS DATA [SPLIT [SAMPLES [PARTS…]]]`, for example
//! `resnet56-b resnet56.safetensors cifar10:DIR test 128 16 8 4`. Both ends of the Hessian's spectrum, relative residual 1e-3, f32;
//! products on a part count as that share of a product.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use saddlescope::model;
use saddlescope::{CurvatureOperator, NetworkRisk, Risk};
use saddlescope_data::{DataSource, Split};
use saddlescope_krylov::{Eigensolution, ExtremeEigen, Precision, extreme_eigenpairs};
use saddlescope_nn::Dtype;
use saddlescope_nn::risk::RiskOptions;

fn solve(
    risk: &dyn Risk,
    theta: &[f64],
    tolerance: f64,
    start: Vec<Vec<f64>>,
) -> Result<(Eigensolution, f64), Box<dyn Error>> {
    let options = ExtremeEigen { tolerance, precision: Precision::F32, start, ..ExtremeEigen::default() };
    let begin = Instant::now();
    let point = risk.at(theta, 1 << 30)?;
    let solution = extreme_eigenpairs(&CurvatureOperator::hessian(&*point), &options, &mut ())?;
    Ok((solution, begin.elapsed().as_secs_f64()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, weights, source, rest @ ..] = &arguments[..] else {
        return Err("expected MODEL WEIGHTS DATA".into());
    };
    let split = if rest.first().is_some_and(|s| s == "train") { Split::Train } else { Split::Test };
    let samples: usize = rest.get(1).map_or(Ok(128), |s| s.parse())?;
    let parts: Vec<usize> = rest.iter().skip(2).map(|s| s.parse()).collect::<Result<_, _>>()?;
    let data = DataSource::parse(source)?.load(split, Some(0..samples), None)?;
    let model = model::load(name, Some(Path::new(weights)), Some(&data))?;
    let objective = model.network.objective(model.suggest_loss(&data)?.loss, &data)?;
    let risk = NetworkRisk::new(objective, Dtype::F32, RiskOptions::default())?;
    let theta = &model.theta;
    println!(
        "{:>6} {:>10} {:>9} {:>9} {:>11} {:>11} {:>8}",
        "part", "products", "on all", "in all", "λ_max", "λ_min", "seconds"
    );
    let report = |part: &str, on_part: f64, s: &Eigensolution, seconds: f64| {
        let value = |pairs: &[saddlescope_krylov::Eigenpair]| pairs.first().map_or(f64::NAN, |p| p.value);
        println!(
            "{part:>6} {on_part:>10.1} {:>9} {:>9.1} {:>11.4} {:>11.4} {seconds:>8.1}",
            s.products,
            s.products as f64 + on_part,
            value(s.largest()),
            value(s.smallest())
        );
    };
    let (plain, seconds) = solve(&risk, theta, 1e-3, Vec::new())?;
    report("none", 0.0, &plain, seconds);
    for part in parts {
        let few = risk.first_samples(samples.div_ceil(part), Precision::F32)?.ok_or("no smaller risk")?;
        for tolerance in [1e-1, 1e-2] {
            let (first, before) = solve(&*few, theta, tolerance, Vec::new())?;
            let start = first.pairs.iter().map(|p| p.vector.clone()).collect();
            let (then, seconds) = solve(&risk, theta, 1e-3, start)?;
            report(&format!("1/{part}"), first.products as f64 / part as f64, &then, before + seconds);
        }
    }
    Ok(())
}
