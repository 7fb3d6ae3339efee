//! Whole small networks in f64: gradient and products against finite differences, and the identities between them.

mod common;

use common::{classification, dot, noise, product, regression, relative_difference, risk, theta};
use saddlescope_data::Dataset;
use saddlescope_nn::graph::{DataInput, Graph, ParameterKind, ValueId};
use saddlescope_nn::network::{LossKind, Network};
use saddlescope_nn::ops;
use saddlescope_nn::risk::{Curvature, RiskOptions};
use saddlescope_nn::zoo;

fn options(threads: usize, micro_batch: usize, keep_bytes: usize) -> RiskOptions {
    RiskOptions { threads, micro_batch: Some(micro_batch), keep_bytes }
}

/// Central differences in f64 with h = 1e-5 leave a relative error of about 1e-9 (truncation h², rounding ε/h);
/// kinks of ReLU inside the step would show as much larger errors, so smooth networks get 1e-6 and networks with
/// ReLU 1e-5 over a direction of small norm.
fn check(network: &Network, loss: LossKind, data: &Dataset, tolerance: f64) {
    let n = network.parameter_count();
    let theta = theta(network, 3);
    let r = risk::<f64>(network, loss, data, options(1, 3, 0));
    let mut gradient = vec![0.0; n];
    let at = r.gradient(&theta, &mut gradient);
    assert_eq!(at, r.evaluate(&theta), "gradient and evaluation disagree on the loss");

    let h = 1e-5;
    let v: Vec<f64> = noise(n, 11).iter().map(|x| x / (n as f64).sqrt()).collect();
    let moved = |s: f64| -> Vec<f64> { theta.iter().zip(&v).map(|(t, v)| t + s * h * v).collect() };
    let (plus, minus) = (moved(1.0), moved(-1.0));
    let slope = (r.evaluate(&plus).loss - r.evaluate(&minus).loss) / (2.0 * h);
    let expected = dot(&gradient, &v);
    assert!(
        (slope - expected).abs() <= tolerance * (1.0 + expected.abs()),
        "gradient: {slope} against {expected}"
    );

    let (mut gp, mut gm) = (vec![0.0; n], vec![0.0; n]);
    r.gradient(&plus, &mut gp);
    r.gradient(&minus, &mut gm);
    let difference: Vec<f64> = gp.iter().zip(&gm).map(|(p, m)| (p - m) / (2.0 * h)).collect();
    let hv = product(&r, &theta, Curvature::Hessian, &v);
    let error = relative_difference(&hv, &difference);
    assert!(error <= tolerance, "HVP differs from gradient differences by {error:e}");

    // ⟨u, Hv⟩ = ⟨v, Hu⟩ and a block is its vectors one by one, up to rounding in f64.
    let u = noise(n, 12);
    let both = product(&r, &theta, Curvature::Hessian, &[v.clone(), u.clone()].concat());
    assert!(relative_difference(&both[..n], &hv) < 1e-12);
    let (a, b) = (dot(&u, &hv), dot(&v, &both[n..]));
    assert!(
        (a - b).abs() <= 1e-11 * (1.0 + dot(&u, &u).sqrt() * dot(&hv, &hv).sqrt()),
        "symmetry: {a} against {b}"
    );

    // H = G + R, for blocks too.
    let vs = [v.clone(), u.clone()].concat();
    let g = product(&r, &theta, Curvature::GaussNewton, &vs);
    let residual = product(&r, &theta, Curvature::Residual, &vs);
    let sum: Vec<f64> = g.iter().zip(&residual).map(|(a, b)| a + b).collect();
    assert!(relative_difference(&sum, &both) < 1e-11, "G + R differs from H");
    assert!(dot(&v, &g[..n]) >= -1e-12, "G is not positive semidefinite");

    // Threads and kept primals change no bit; the size of micro-batches only rounding.
    let coupled = r.batches().0 == data.samples();
    for (threads, keep) in [(2, 0), (1, 1 << 30), (2, 20_000)] {
        let other = risk::<f64>(network, loss, data, options(threads, 3, keep));
        let point = other.at(&theta);
        for round in 0..2 {
            let mut out = vec![f64::NAN; vs.len()];
            point.product(Curvature::Hessian, &vs, &mut out).unwrap();
            assert!(out == both, "{threads} threads, {keep} bytes kept, round {round}: other bits");
        }
    }
    if !coupled {
        let other = risk::<f64>(network, loss, data, options(2, 4, 0));
        assert!(relative_difference(&product(&other, &theta, Curvature::Hessian, &vs), &both) < 1e-12);
    }

    // f32 agrees to its precision: 1e-7 a step, a few hundred steps.
    let single = risk::<f32>(network, loss, data, options(2, 3, 0));
    let error = relative_difference(&product(&single, &theta, Curvature::Hessian, &vs), &both);
    assert!(error < 2e-4, "f32 differs by {error:e}");
}

#[test]
fn perceptron_with_every_loss() {
    let network = zoo::mlp("net", &[5], &[7, 6], 3, zoo::Activation::Tanh);
    check(&network, LossKind::CrossEntropy, &classification(&[5], 11, 3, 1), 1e-6);
    check(&network, LossKind::SquaredError, &regression(&[5], 11, 3, 2), 1e-6);
    check(&network, LossKind::BinaryCrossEntropyWithLogits, &regression(&[5], 11, 3, 2), 1e-6);
    let relu = zoo::mlp("net", &[5], &[9], 3, zoo::Activation::Relu);
    check(&relu, LossKind::CrossEntropy, &classification(&[5], 11, 3, 1), 1e-5);
}

#[test]
fn convolutional_network() {
    let network = zoo::convnet("net", [2, 9, 7], &[5, 4], 3);
    check(&network, LossKind::CrossEntropy, &classification(&[2, 9, 7], 8, 3, 4), 1e-5);
}

#[test]
fn residual_networks_with_every_shortcut() {
    for shortcut in [zoo::Shortcut::Padding, zoo::Shortcut::Projection, zoo::Shortcut::None] {
        let network = zoo::resnet(8, shortcut).unwrap();
        check(&network, LossKind::CrossEntropy, &classification(&[3, 32, 32], 4, 10, 5), 1e-5);
    }
}

#[test]
fn densely_connected_network() {
    let network = zoo::densenet("dense", 4, &[2, 2, 1, 1]);
    check(&network, LossKind::CrossEntropy, &classification(&[3, 32, 32], 4, 10, 5), 1e-5);
}

/// A layer whose bias is an operation of its own.
fn layer(g: &mut Graph, name: &str, x: ValueId, from: usize, to: usize) -> ValueId {
    let weight = g.parameter(format!("{name}.weight"), &[to, from], ParameterKind::LinearWeight);
    let bias = g.parameter(format!("{name}.bias"), &[to], ParameterKind::Bias);
    let product = g.node(format!("{name}.product"), ops::Linear, &[x, weight]);
    g.node(name, ops::Add, &[product, bias])
}

#[test]
fn functions_whose_derivatives_are_kept() {
    let mut g = Graph::new();
    let x = g.data(DataInput { name: "x".into(), shape: vec![5], permutation: None });
    let a = layer(&mut g, "first", x, 5, 9);
    let a = g.node("gelu", ops::Gelu::Exact, &[a]);
    // Read by the product too, so that the input must stay as it is.
    let b = layer(&mut g, "second", a, 9, 8);
    let soft = g.node("softplus", ops::Softplus, &[b]);
    let b = g.node("times", ops::Mul, &[soft, b]);
    // x σ(x), written out, and the root-mean-square normalisation of the sum with what goes around it.
    let c = layer(&mut g, "third", b, 8, 8);
    let gate = g.node("gate", ops::Sigmoid, &[c]);
    let c = g.node("silu", ops::Mul, &[c, gate]);
    let c = g.node("residual", ops::Add, &[c, b]);
    let eps = g.buffer("eps", &[], vec![1e-3]);
    let gamma = g.parameter("norm.weight", &[8], ParameterKind::Normalization);
    let square = g.node("square", ops::Square, &[c]);
    let mean = g.node("mean", ops::Reduce::new(ops::Reduction::Mean, &[-1], true), &[square]);
    let sum = g.node("sum", ops::Add, &[mean, eps]);
    let root = g.node("root", ops::Sqrt, &[sum]);
    let inverse = g.node("inverse", ops::Reciprocal, &[root]);
    let normal = g.node("normal", ops::Mul, &[c, inverse]);
    let normal = g.node("norm", ops::Mul, &[gamma, normal]);
    let output = layer(&mut g, "head", normal, 8, 3);
    let network = Network { name: "functions".into(), graph: g, output, class_axis: None };
    check(&network, LossKind::CrossEntropy, &classification(&[5], 11, 3, 1), 1e-6);
    check(&network, LossKind::SquaredError, &regression(&[5], 11, 3, 2), 1e-6);
}

#[test]
fn batch_statistics_couple_the_samples() {
    let mut network = zoo::convnet("net", [2, 8, 8], &[4, 4], 3);
    assert!(network.has_batch_norm());
    network.use_batch_statistics(true);
    let data = classification(&[2, 8, 8], 7, 3, 4);
    let r = risk::<f64>(&network, LossKind::CrossEntropy, &data, options(2, 3, 0));
    assert_eq!(r.batches().0, 7, "the micro-batch must be the whole batch");
    check(&network, LossKind::CrossEntropy, &data, 1e-5);
}

/// The dense matrix of a product.
fn dense(curvature: Curvature, network: &Network, loss: LossKind, data: &Dataset, theta: &[f64]) -> Vec<f64> {
    let n = network.parameter_count();
    let r = risk::<f64>(network, loss, data, options(2, 4, 0));
    let mut identity = vec![0.0; n * n];
    for i in 0..n {
        identity[i * n + i] = 1.0;
    }
    product(&r, theta, curvature, &identity)
}

#[test]
fn linear_regression_has_its_closed_form() {
    // One linear layer, L = (1/2T) Σ (y − w·x − b)²: H = (1/T) Σ [x; 1][x; 1]ᵀ = G = F (equation 2.6), R = 0.
    let network = zoo::mlp("net", &[4], &[], 1, zoo::Activation::Relu);
    let data = regression(&[4], 13, 1, 9);
    let theta = theta(&network, 1);
    let x = &data.inputs()[0].values.all().unwrap();
    let mut expected = vec![0.0; 25];
    for row in x.chunks_exact(4) {
        let extended: Vec<f64> = row.iter().map(|&x| f64::from(x)).chain([1.0]).collect();
        for i in 0..5 {
            for j in 0..5 {
                expected[i * 5 + j] += extended[i] * extended[j] / 13.0;
            }
        }
    }
    for curvature in [Curvature::Hessian, Curvature::GaussNewton, Curvature::OutputJacobianGram] {
        let found = dense(curvature, &network, LossKind::SquaredError, &data, &theta);
        assert!(relative_difference(&found, &expected) < 1e-13, "{curvature:?}");
    }
    let residual = dense(Curvature::Residual, &network, LossKind::SquaredError, &data, &theta);
    assert!(residual.iter().all(|r| r.abs() < 1e-14));
}

#[test]
fn softmax_regression_has_its_closed_form() {
    // H = (1/T) Σ (diag p − p pᵀ) ⊗ x xᵀ over the weights [class, input]; per-sample Fisher (1/T) Σ g gᵀ with
    // g = (p − e_y) ⊗ x.
    let network = zoo::mlp("net", &[3], &[], 4, zoo::Activation::Relu);
    let data = classification(&[3], 9, 4, 2);
    let theta = theta(&network, 5);
    let (c, d, n) = (4, 3, 4 * 3 + 4);
    let saddlescope_data::Targets::Classes { labels, .. } = data.targets() else { panic!("labels") };
    let (mut hessian, mut fisher) = (vec![0.0; n * n], vec![0.0; n * n]);
    for (row, &label) in data.inputs()[0].values.all().unwrap().chunks_exact(d).zip(labels) {
        let x: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        let z: Vec<f64> = (0..c).map(|k| dot(&theta[k * d..(k + 1) * d], &x) + theta[c * d + k]).collect();
        let total: f64 = z.iter().map(|z| z.exp()).sum();
        let p: Vec<f64> = z.iter().map(|z| z.exp() / total).collect();
        // Derivative of z_k with respect to parameter i.
        let jacobian = |k: usize, i: usize| -> f64 {
            if i < c * d {
                if i / d == k { x[i % d] } else { 0.0 }
            } else {
                f64::from(u8::from(i - c * d == k))
            }
        };
        let gradient: Vec<f64> = (0..n)
            .map(|i| (0..c).map(|k| (p[k] - f64::from(u8::from(k == label as usize))) * jacobian(k, i)).sum())
            .collect();
        for i in 0..n {
            for j in 0..n {
                for k in 0..c {
                    for l in 0..c {
                        let h = if k == l { p[k] } else { 0.0 } - p[k] * p[l];
                        hessian[i * n + j] += jacobian(k, i) * h * jacobian(l, j) / 9.0;
                    }
                }
                fisher[i * n + j] += gradient[i] * gradient[j] / 9.0;
            }
        }
    }
    let found = dense(Curvature::Hessian, &network, LossKind::CrossEntropy, &data, &theta);
    assert!(relative_difference(&found, &hessian) < 1e-12);
    let found = dense(Curvature::PerSampleGradientFisher, &network, LossKind::CrossEntropy, &data, &theta);
    assert!(relative_difference(&found, &fisher) < 1e-12);
}

#[test]
fn quotients_of_chunks_average_to_the_quotient() {
    let network = zoo::mlp("net", &[5], &[7], 3, zoo::Activation::Tanh);
    let data = classification(&[5], 50, 3, 1);
    let theta = theta(&network, 3);
    let r = risk::<f64>(&network, LossKind::CrossEntropy, &data, options(2, 3, 0));
    let n = r.dim();
    let v = noise(n, 4);
    let mut hv = vec![0.0; n];
    let report = r.at(&theta).product(Curvature::Hessian, &v, &mut hv).unwrap();
    assert_eq!(report.chunk_samples.iter().sum::<usize>(), 50);
    let mean: f64 =
        report.quotients[0].iter().zip(&report.chunk_samples).map(|(q, s)| q * *s as f64 / 50.0).sum();
    assert!((mean - dot(&v, &hv)).abs() < 1e-12 * mean.abs().max(1.0));
}

#[test]
fn pytorchs_mean_squared_error_is_the_papers_times_two_over_the_outputs() {
    let network = zoo::mlp("net", &[5], &[7, 6], 3, zoo::Activation::Tanh);
    let data = regression(&[5], 11, 3, 2);
    let theta = theta(&network, 3);
    let at = |loss| risk::<f64>(&network, loss, &data, options(1, 3, 0)).evaluate(&theta).loss;
    let (paper, torch) = (at(LossKind::SquaredError), at(LossKind::MeanSquaredError));
    // The same sum, divided by another number.
    assert!((torch - paper * 2.0 / 3.0).abs() < 1e-15 * torch, "{torch} and {paper}");
    check(&network, LossKind::MeanSquaredError, &data, 1e-6);
    check(&network, LossKind::SoftCrossEntropy, &data, 1e-6);
}
