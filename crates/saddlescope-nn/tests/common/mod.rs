//! Small data sets and vectors for the tests of whole networks.
#![allow(dead_code)]

use saddlescope_data::{Dataset, InputTensor, Normalization, Targets};
use saddlescope_nn::network::{LossKind, Network};
use saddlescope_nn::op::Element;
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};

/// Reproducible numbers in (−1, 1).
pub fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        })
        .collect()
}

/// Random inputs of the network's first data input with random labels.
pub fn classification(shape: &[usize], samples: usize, classes: usize, seed: u64) -> Dataset {
    let len: usize = shape.iter().product();
    let values = noise(samples * len, seed).iter().map(|x| 1.5 * *x as f32).collect();
    let labels = noise(samples, seed + 1).iter().map(|x| ((x + 1.0) / 2.0 * classes as f64) as u32).collect();
    let input = InputTensor { name: "x".into(), shape_per_sample: shape.to_vec(), values, integer: false };
    Dataset::new(vec![input], Targets::Classes { labels, classes }, Normalization::none(), "random").unwrap()
}

/// Random inputs with random values to predict.
pub fn regression(shape: &[usize], samples: usize, outputs: usize, seed: u64) -> Dataset {
    let len: usize = shape.iter().product();
    let values = noise(samples * len, seed).iter().map(|x| 1.5 * *x as f32).collect();
    let targets = noise(samples * outputs, seed + 1).iter().map(|x| *x as f32).collect();
    let input = InputTensor { name: "x".into(), shape_per_sample: shape.to_vec(), values, integer: false };
    let targets = Targets::Values { values: targets, shape: vec![outputs] };
    Dataset::new(vec![input], targets, Normalization::none(), "random").unwrap()
}

/// Parameters away from the symmetric start: initial ones plus noise, so that biases and scales matter.
pub fn theta(network: &Network, seed: u64) -> Vec<f64> {
    let start = network.initialise(seed);
    start.iter().zip(noise(start.len(), seed)).map(|(t, e)| t + 0.1 * e).collect()
}

/// A risk in `T` with given threads and micro-batch.
pub fn risk<T: Element>(network: &Network, loss: LossKind, data: &Dataset, options: RiskOptions) -> Risk<T> {
    Risk::new(network.objective(loss, data).unwrap(), options).unwrap()
}

/// A v.
pub fn product<T: Element>(risk: &Risk<T>, theta: &[f64], curvature: Curvature, vs: &[f64]) -> Vec<f64> {
    let mut out = vec![f64::NAN; vs.len()];
    risk.at(theta).product(curvature, vs, &mut out).unwrap();
    out
}

/// max |a − b| / max(1e-30, max |b|).
pub fn relative_difference(a: &[f64], b: &[f64]) -> f64 {
    let scale = b.iter().fold(1e-30_f64, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs())) / scale
}

/// ⟨a, b⟩.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
