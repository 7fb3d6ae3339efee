//! Curvature of trained weights on the embedded digits: both ends of the Hessian's spectrum, its trace, curvatures along
//! random directions, and the loss along the most negative direction.
//!
//! `cargo run --release -p saddlescope --example curvature_of_weights -- digits-mlp WEIGHTS.safetensors`
//!
//! Everything in f64 on the whole training split. The trace is exact: the sum of the diagonal, N products.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;

use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use saddlescope_data::weights::TensorMap;
use saddlescope_data::{Split, digits};
use saddlescope_krylov::{ExtremeEigen, FnOperator, Precision, ProductError, extreme_eigenpairs};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};
use saddlescope_nn::zoo;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, weights] = &arguments[..] else { return Err("expected MODEL WEIGHTS".into()) };
    let mut network = zoo::by_name(model).ok_or(zoo::NAMES)?;
    let theta = network.load(&TensorMap::read(Path::new(weights))?)?;
    let risk = |split| -> Result<Risk<f64>, Box<dyn Error>> {
        let data = digits::load(split, None, None)?;
        Ok(Risk::new(network.objective(LossKind::CrossEntropy, &data)?, RiskOptions::default())?)
    };
    let train = risk(Split::Train)?;
    let n = theta.len();
    let mut gradient = vec![0.0; n];
    let here = train.gradient(&theta, &mut gradient);
    let held_out = risk(Split::Test)?.evaluate(&theta);
    println!("N {n}  |gradient| {:.3e}", norm(&gradient));
    for (name, e) in [("training", &here), ("held-out", &held_out)] {
        println!("{name} loss {:.6}  accuracy {:.4}", e.loss, e.accuracy().unwrap_or(f64::NAN));
    }

    let point = train.at(&theta);
    let multiply = |x: &[f64], y: &mut [f64]| -> Result<(), ProductError> {
        point.product(Curvature::Hessian, x, y).map_err(ProductError::failed)?;
        Ok(())
    };
    let h = FnOperator::fallible_block(n, multiply);
    let options = ExtremeEigen { tolerance: 1e-8, precision: Precision::F64, ..ExtremeEigen::ends(4, 6) };
    let solution = extreme_eigenpairs(&h, &options, &mut ())?;
    println!("{} after {} products", solution.status, solution.products);
    for (name, pairs) in [("largest", solution.largest()), ("smallest", solution.smallest())] {
        for p in pairs {
            println!(
                "{name} {:+.6}  residual {:.1e}  |v.g| {:.1e}",
                p.value,
                p.residual,
                dot(&p.vector, &gradient).abs()
            );
        }
    }
    let mut trace = 0.0;
    for start in (0..n).step_by(32) {
        let k = 32.min(n - start);
        let (mut units, mut columns) = (vec![0.0; k * n], vec![0.0; k * n]);
        (0..k).for_each(|j| units[j * n + start + j] = 1.0);
        multiply(&units, &mut columns)?;
        trace += (0..k).map(|j| columns[j * n + start + j]).sum::<f64>();
    }
    println!("trace {trace:.4}");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let directions = 1024;
    let mut curvatures = Vec::with_capacity(directions);
    for _ in 0..directions / 32 {
        let mut vs: Vec<f64> = (0..32 * n).map(|_| StandardNormal.sample(&mut rng)).collect();
        for v in vs.chunks_exact_mut(n) {
            let length = norm(v);
            v.iter_mut().for_each(|x| *x /= length);
        }
        let mut products = vec![0.0; 32 * n];
        multiply(&vs, &mut products)?;
        curvatures.extend(vs.chunks_exact(n).zip(products.chunks_exact(n)).map(|(v, hv)| dot(v, hv)));
    }
    let negative = curvatures.iter().filter(|&&c| c < 0.0).count();
    let lowest = curvatures.iter().copied().fold(f64::INFINITY, f64::min);
    println!("of {directions} random directions {negative} curve downwards; lowest curvature {lowest:.3e}");
    if let Some(lowest) = solution.smallest().last() {
        for step in -10..=10 {
            let t = 0.1 * f64::from(step);
            let moved: Vec<f64> = theta.iter().zip(&lowest.vector).map(|(a, v)| a + t * v).collect();
            println!("t {t:+.1}  loss {:.6}", train.evaluate(&moved).loss);
        }
    }
    Ok(())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}
