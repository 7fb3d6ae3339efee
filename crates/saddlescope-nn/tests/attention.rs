//! Self-attention composed of matrix products and softmax, as part of a transformer block with one label per position:
//! the loss against a plain implementation written here, gradient and products against finite differences of it.

mod common;

use common::{dot, noise, product, relative_difference, risk, theta};
use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_nn::graph::{DataInput, Graph, ParameterKind, ValueId};
use saddlescope_nn::network::{LossKind, Network};
use saddlescope_nn::ops::{Add, LayerNorm, Linear, MatMul, Mul, Reshape, Softmax, Tanh, Transpose};
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};

const POSITIONS: usize = 5;
const WIDTH: usize = 6;
const HEADS: usize = 2;
const PER_HEAD: usize = WIDTH / HEADS;
const CLASSES: usize = 4;
const EPS: f64 = 1e-5;

fn weight(g: &mut Graph, name: &str, rows: usize, columns: usize) -> ValueId {
    g.parameter(name, &[rows, columns], ParameterKind::LinearWeightTransposed)
}

/// One block: tanh(x + Attention(LayerNorm(x))) and a linear head on every position.
fn network() -> Network {
    let mut g = Graph::new();
    let x = g.data(DataInput { name: "x".into(), shape: vec![POSITIONS, WIDTH], permutation: None });
    let gamma = g.parameter("norm.weight", &[WIDTH], ParameterKind::Normalization);
    let beta = g.parameter("norm.bias", &[WIDTH], ParameterKind::Normalization);
    let n = g.node("norm", LayerNorm { axis: -1, eps: EPS }, &[x, gamma, beta]);
    // [b, positions, width] → [b, heads, positions, per head], keys transposed.
    let heads = |g: &mut Graph, name: &str, permutation: [usize; 4]| {
        let w = weight(g, name, WIDTH, WIDTH);
        let p = g.node(name, MatMul, &[n, w]);
        let split = Reshape::keep_batch(&[POSITIONS as i64, HEADS as i64, PER_HEAD as i64]);
        let p = g.node(format!("{name}.split"), split, &[p]);
        g.node(format!("{name}.heads"), Transpose::new(&permutation), &[p])
    };
    let q = heads(&mut g, "query", [0, 2, 1, 3]);
    let k = heads(&mut g, "key", [0, 2, 3, 1]);
    let v = heads(&mut g, "value", [0, 2, 1, 3]);
    let scale = g.buffer("scale", &[], vec![1.0 / (PER_HEAD as f64).sqrt()]);
    let scores = g.node("scores", MatMul, &[q, k]);
    let scores = g.node("scaled", Mul, &[scores, scale]);
    let weights = g.node("softmax", Softmax { axis: -1 }, &[scores]);
    let mixed = g.node("mixed", MatMul, &[weights, v]);
    let mixed = g.node("mixed.back", Transpose::new(&[0, 2, 1, 3]), &[mixed]);
    let merge = Reshape::keep_batch(&[POSITIONS as i64, WIDTH as i64]);
    let mixed = g.node("merged", merge, &[mixed]);
    let sum = g.node("residual", Add, &[x, mixed]);
    let hidden = g.node("tanh", Tanh, &[sum]);
    let head = g.parameter("head.weight", &[CLASSES, WIDTH], ParameterKind::LinearWeight);
    let bias = g.parameter("head.bias", &[CLASSES], ParameterKind::Bias);
    let output = g.node("head", Linear, &[hidden, head, bias]);
    Network { name: "attention".into(), graph: g, output, class_axis: None }
}

fn data(samples: usize) -> Dataset {
    let values = noise(samples * POSITIONS * WIDTH, 21).iter().map(|x| 2.0 * *x as f32).collect();
    let input =
        InputTensor { name: "x".into(), shape_per_sample: vec![POSITIONS, WIDTH], values, integer: false };
    let labels = (0..samples * POSITIONS).map(|i| if i % 7 == 3 { -100 } else { (i * i % CLASSES) as i64 });
    let targets =
        Targets::ClassesPerPosition { labels: labels.collect(), positions: POSITIONS, classes: CLASSES };
    Dataset::new(vec![input], targets, Normalization::none(), "random").unwrap()
}

/// a (rows × inner) · b (inner × columns).
fn times(a: &[f64], b: &[f64], inner: usize, columns: usize) -> Vec<f64> {
    let rows = a.len() / inner;
    let entry =
        |i: usize, j: usize| -> f64 { (0..inner).map(|l| a[i * inner + l] * b[l * columns + j]).sum() };
    (0..rows * columns).map(|at| entry(at / columns, at % columns)).collect()
}

/// The mean loss over labelled positions, written out.
fn plain_loss(theta: &[f64], data: &Dataset) -> f64 {
    let Targets::ClassesPerPosition { labels, .. } = data.targets() else { unreachable!() };
    let (gamma, rest) = theta.split_at(WIDTH);
    let (beta, rest) = rest.split_at(WIDTH);
    let (wq, rest) = rest.split_at(WIDTH * WIDTH);
    let (wk, rest) = rest.split_at(WIDTH * WIDTH);
    let (wv, rest) = rest.split_at(WIDTH * WIDTH);
    let (head, bias) = rest.split_at(CLASSES * WIDTH);
    let (mut total, mut counted) = (0.0, 0.0);
    for (x, labels) in data.inputs()[0]
        .values
        .all()
        .unwrap()
        .chunks_exact(POSITIONS * WIDTH)
        .zip(labels.chunks_exact(POSITIONS))
    {
        let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let mut n = Vec::new();
        for row in x.chunks_exact(WIDTH) {
            let mean = row.iter().sum::<f64>() / WIDTH as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / WIDTH as f64;
            n.extend((0..WIDTH).map(|i| gamma[i] * (row[i] - mean) / (variance + EPS).sqrt() + beta[i]));
        }
        let [q, k, v] = [wq, wk, wv].map(|w| times(&n, w, WIDTH, WIDTH));
        for (i, &label) in labels.iter().enumerate() {
            let mut hidden = x[i * WIDTH..(i + 1) * WIDTH].to_vec();
            for h in 0..HEADS {
                let part = |m: &[f64], row: usize| {
                    m[row * WIDTH + h * PER_HEAD..row * WIDTH + (h + 1) * PER_HEAD].to_vec()
                };
                let weights: Vec<f64> = (0..POSITIONS)
                    .map(|j| (dot(&part(&q, i), &part(&k, j)) / (PER_HEAD as f64).sqrt()).exp())
                    .collect();
                let sum: f64 = weights.iter().sum();
                for (j, w) in weights.iter().enumerate() {
                    for (c, v) in part(&v, j).iter().enumerate() {
                        hidden[h * PER_HEAD + c] += w / sum * v;
                    }
                }
            }
            if label >= 0 {
                let logits: Vec<f64> = (0..CLASSES)
                    .map(|c| {
                        bias[c] + (0..WIDTH).map(|w| head[c * WIDTH + w] * hidden[w].tanh()).sum::<f64>()
                    })
                    .collect();
                total += logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[label as usize];
                counted += 1.0;
            }
        }
    }
    total / counted
}

#[test]
fn attention_has_the_right_loss_gradient_and_products() {
    let (network, data) = (network(), data(4));
    let n = network.parameter_count();
    let theta: Vec<f64> = theta(&network, 5).iter().map(|t| 2.0 * t).collect();
    let options = RiskOptions { threads: 2, micro_batch: Some(3), keep_bytes: 0 };
    let r = risk::<f64>(&network, LossKind::CrossEntropy, &data, options.clone());
    let mut gradient = vec![0.0; n];
    let loss = r.gradient(&theta, &mut gradient).loss;
    // Sums of a few hundred terms of size 1 in f64.
    assert!((loss - plain_loss(&theta, &data)).abs() < 1e-13, "{loss} against {}", plain_loss(&theta, &data));

    // Central differences with h = 1e-5: truncation and rounding leave about 1e-10 of terms of size 1.
    let h = 1e-5;
    let moved = |v: &[f64], s: f64| -> Vec<f64> { theta.iter().zip(v).map(|(t, v)| t + s * v).collect() };
    for i in 0..n {
        let mut e = vec![0.0; n];
        e[i] = 1.0;
        let slope = (plain_loss(&moved(&e, h), &data) - plain_loss(&moved(&e, -h), &data)) / (2.0 * h);
        assert!((slope - gradient[i]).abs() < 1e-8, "parameter {i}: {} against {slope}", gradient[i]);
    }
    // Directions of length about 1, so that the third derivative's share, h² |v|³, stays small.
    let vs: Vec<f64> = noise(2 * n, 6).iter().map(|x| x / (n as f64).sqrt()).collect();
    let products = product(&r, &theta, Curvature::Hessian, &vs);
    for (v, hv) in vs.chunks_exact(n).zip(products.chunks_exact(n)) {
        let (mut plus, mut minus) = (vec![0.0; n], vec![0.0; n]);
        r.gradient(&moved(v, h), &mut plus);
        r.gradient(&moved(v, -h), &mut minus);
        let difference: Vec<f64> = plus.iter().zip(&minus).map(|(p, m)| (p - m) / (2.0 * h)).collect();
        let error = relative_difference(hv, &difference);
        assert!(error < 1e-8, "product differs from gradient differences by {error:e}");
    }
    let (a, b) = (dot(&vs[..n], &products[n..]), dot(&vs[n..], &products[..n]));
    assert!((a - b).abs() < 1e-12 * (1.0 + a.abs()), "symmetry: {a} against {b}");

    let single = risk::<f32>(&network, LossKind::CrossEntropy, &data, options);
    let error = relative_difference(&product(&single, &theta, Curvature::Hessian, &vs), &products);
    assert!(error < 1e-4, "f32 differs by {error:e}");
}

#[test]
fn samples_weigh_as_much_as_they_have_labels() {
    let (network, data) = (network(), data(9));
    let theta = theta(&network, 3);
    let options = || RiskOptions { threads: 2, micro_batch: Some(2), keep_bytes: 0 };
    let all = risk::<f64>(&network, LossKind::CrossEntropy, &data, options());
    let found = all.evaluate(&theta);
    let parts = &found.parts;
    // Every seventh position has no label.
    let labelled = |s: usize| (0..POSITIONS).filter(|p| (s * POSITIONS + p) % 7 != 3).count();
    assert_eq!(parts.weights, (0..9).map(labelled).collect::<Vec<_>>());
    assert!(parts.weights.contains(&4) && parts.weights.contains(&5));
    let total: f64 = parts.losses.iter().zip(&parts.weights).map(|(l, &w)| l * w as f64).sum();
    let count: usize = parts.weights.iter().sum();
    assert!((total / count as f64 - found.loss).abs() < 1e-14);
    // Two parts of the data together are all of it.
    let objective = network.objective(LossKind::CrossEntropy, &data).unwrap();
    let of = |range| Risk::<f64>::new(objective.samples_in(range), options()).unwrap().evaluate(&theta).parts;
    let (first, second) = (of(0..4), of(4..9));
    assert_eq!([first.weights, second.weights].concat(), parts.weights);
    for (a, b) in [first.losses, second.losses].concat().iter().zip(&parts.losses) {
        assert!((a - b).abs() < 1e-14);
    }
}
