//! The engine: derivatives against finite differences, values against PyTorch, bits over thread counts.

use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_landscape::{CheckOptions, Curvature, Risk, check_risk};
use saddlescope_nn::Dtype;
use saddlescope_nn::graph::ParameterKind;
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::RiskOptions;
use saddlescope_nn::zoo;
use serde::Deserialize;

use super::{Problem, Run, different_bits, numbers};
use crate::network_risk::NetworkRisk;

/// What PyTorch computed; made by `scripts/verify_reference.py`.
#[derive(Deserialize)]
struct Reference {
    networks: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    loss: f64,
    gradient_norm: f64,
    gradient_first: Vec<f64>,
    product_norm: f64,
    product_first: Vec<f64>,
    curvature: f64,
    gauss_newton_norm: f64,
    gauss_newton_first: Vec<f64>,
}

const REFERENCE: &str = include_str!("../../assets/pytorch_reference.json");
const SAMPLES: usize = 12;
const CLASSES: usize = 5;

/// A network of the references with its parameters, by the formulas of the script.
fn network(
    model: &str,
    dtype: Dtype,
    threads: usize,
    micro_batch: usize,
) -> Result<(NetworkRisk, Vec<f64>), Problem> {
    let network = zoo::by_name(model).ok_or_else(|| format!("no network {model}"))?;
    let mut theta = numbers(network.parameter_count(), [53, 7, 97], 128.0);
    for (parameter, range) in network.graph.parameters().iter().zip(network.graph.parameter_ranges()) {
        if parameter.kind == ParameterKind::Normalization && parameter.name.ends_with("weight") {
            theta[range].iter_mut().for_each(|x| *x += 1.0);
        }
    }
    let shape = network.graph.data_inputs().first().map(|d| d.shape.clone()).ok_or("no input")?;
    let values = numbers(SAMPLES * shape.iter().product::<usize>(), [37, 11, 101], 64.0);
    let input = InputTensor {
        name: "x".into(),
        shape_per_sample: shape,
        values: values.iter().map(|&x| x as f32).collect(),
        integer: false,
    };
    let labels = (0..SAMPLES).map(|i| (3 * i % CLASSES) as u32).collect();
    let targets = Targets::Classes { labels, classes: CLASSES };
    let data = Dataset::new(vec![input], targets, Normalization::none(), "verify")?;
    let options = RiskOptions { threads, micro_batch: Some(micro_batch), keep_bytes: 0 };
    Ok((NetworkRisk::new(network.objective(LossKind::CrossEntropy, &data)?, dtype, options)?, theta))
}

const MODELS: [&str; 3] = ["mlp:20-16-12-5:tanh", "mlp:20-16-12-5", "cnn:2x8x8-6-8-5"];

pub(super) fn check(run: &mut Run<'_>) {
    for model in MODELS {
        // The tolerance of the kit: a central difference at its best step is good to about 1e-10.
        let options = CheckOptions::default();
        let allowed = (options.derivative_tolerance, "relative");
        run.check("derivatives, f64", model, "central differences", allowed, || {
            let (risk, theta) = network(model, Dtype::F64, 1, 4)?;
            let found = check_risk(&risk, &theta, &options)?;
            Ok(found.gradient.max(found.hessian))
        });
    }
    match serde_json::from_str::<Reference>(REFERENCE) {
        Ok(reference) => {
            for case in &reference.networks {
                // Both sides compute in f64 and add in another order; in f32 rounding is 1e-7 a layer, amplified by cancellation.
                for (dtype, allowed) in [(Dtype::F64, 1e-12), (Dtype::F32, 2e-4)] {
                    let name = format!("{}, {dtype}", case.model);
                    let allowed = (allowed, "relative");
                    run.check("loss, ∇L, Hv, Gv", name, "PyTorch in f64", allowed, || {
                        against_pytorch(case, dtype)
                    });
                }
            }
        }
        Err(error) => {
            run.check("loss, ∇L, Hv, Gv", "references", "PyTorch in f64", (0.0, ""), || Err(error.into()))
        }
    }
    for model in MODELS {
        run.check("threads", model, "one thread", (0.0, "numbers that differ in a bit"), || threads(model));
    }
}

fn against_pytorch(case: &Case, dtype: Dtype) -> Result<f64, Problem> {
    let (risk, theta) = network(&case.model, dtype, 1, 5)?;
    let n = theta.len();
    let v = numbers(n, [29, 3, 89], 32.0);
    let mut g = vec![0.0; n];
    let loss = risk.gradient(&theta, &mut g)?.loss;
    let point = risk.at(&theta, 0)?;
    let (mut hv, mut gv) = (vec![0.0; n], vec![0.0; n]);
    point.product(Curvature::Hessian, &v, &mut hv)?;
    point.product(Curvature::GaussNewton, &v, &mut gv)?;
    let norm = saddlescope_landscape::norm;
    let curvature: f64 = v.iter().zip(&hv).map(|(a, b)| a * b).sum();
    // Single entries relative to the norm of their vector.
    let first = |found: &[f64], expected: &[f64], size: f64| {
        found.iter().zip(expected).map(|(a, b)| (a - b).abs() / size).fold(0.0, f64::max)
    };
    let errors = [
        (loss / case.loss - 1.0).abs(),
        (norm(&g) / case.gradient_norm - 1.0).abs(),
        first(&g, &case.gradient_first, case.gradient_norm),
        (norm(&hv) / case.product_norm - 1.0).abs(),
        first(&hv, &case.product_first, case.product_norm),
        (curvature - case.curvature).abs() / (norm(&v) * case.product_norm),
        (norm(&gv) / case.gauss_newton_norm - 1.0).abs(),
        first(&gv, &case.gauss_newton_first, case.gauss_newton_norm),
    ];
    Ok(errors.into_iter().fold(0.0, |m: f64, e| if e.is_nan() || e > m { e } else { m }))
}

/// Loss, gradient and products on one, two, three and eight threads.
fn threads(model: &str) -> Result<f64, Problem> {
    let compute = |threads: usize| -> Result<Vec<f64>, Problem> {
        let (risk, theta) = network(model, Dtype::F32, threads, 2)?;
        let n = theta.len();
        let mut all = vec![0.0; n];
        let loss = risk.gradient(&theta, &mut all)?.loss;
        let vs = numbers(2 * n, [29, 3, 89], 32.0);
        let mut products = vec![0.0; 2 * n];
        risk.at(&theta, 0)?.product(Curvature::Hessian, &vs, &mut products)?;
        all.push(loss);
        all.extend(products);
        Ok(all)
    };
    let one = compute(1)?;
    if one.iter().any(|x| !x.is_finite()) {
        return Err("loss, gradient or products are not finite".into());
    }
    [2, 3, 8].into_iter().try_fold(0.0, |sum, threads| Ok(sum + different_bits(&compute(threads)?, &one)))
}
