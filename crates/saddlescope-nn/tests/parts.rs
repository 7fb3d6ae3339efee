//! The losses of independent parts of the data: their weighted mean is the loss, on any threads, and parts of the data have their
//! own.

mod common;

use common::{classification, regression, risk, theta};
use saddlescope_nn::graph::{DataInput, Graph, ParameterKind};
use saddlescope_nn::network::{LossKind, Network};
use saddlescope_nn::ops::{MatMul, Reduce, Reduction, Tanh, Transpose};
use saddlescope_nn::risk::{Parts, Risk, RiskOptions};
use saddlescope_nn::zoo;

fn options(threads: usize) -> RiskOptions {
    RiskOptions { threads, micro_batch: Some(4), keep_bytes: 0 }
}

fn mean(parts: &Parts) -> f64 {
    let total: usize = parts.weights.iter().sum();
    parts.losses.iter().zip(&parts.weights).map(|(l, &w)| l * w as f64).sum::<f64>() / total as f64
}

#[test]
fn one_part_a_sample_whatever_the_threads() {
    let network = zoo::mlp("net", &[6], &[5], 3, zoo::Activation::Tanh);
    let theta = theta(&network, 3);
    for (loss, data) in [
        (LossKind::CrossEntropy, classification(&[6], 23, 3, 1)),
        (LossKind::SquaredError, regression(&[6], 23, 3, 1)),
        (LossKind::MeanSquaredError, regression(&[6], 23, 3, 1)),
    ] {
        let one = risk::<f64>(&network, loss, &data, options(1));
        let found = one.evaluate(&theta);
        assert_eq!(found.parts.weights, [1; 23]);
        // 23 sums in another order.
        assert!((mean(&found.parts) - found.loss).abs() < 1e-14, "{loss:?}");
        let mut gradient = vec![0.0; theta.len()];
        assert_eq!(one.gradient(&theta, &mut gradient), found);
        assert_eq!(risk::<f64>(&network, loss, &data, options(3)).evaluate(&theta), found);
        // Each part is the loss of that sample alone; parts of the data are those of all.
        for range in [0..1, 7..8, 5..23] {
            let objective = network.objective(loss, &data).unwrap().samples_in(range.clone());
            let some = Risk::<f64>::new(objective, options(1)).unwrap().evaluate(&theta);
            for (a, b) in some.parts.losses.iter().zip(&found.parts.losses[range.clone()]) {
                assert!((a - b).abs() < 1e-14, "{loss:?}, {range:?}");
            }
            assert!((some.loss - mean(&some.parts)).abs() < 1e-14);
        }
    }
}

/// Sequences `[samples, 3, 2]` through a layer with the time first, a mean over the first axis, and a head.
fn over_time(time_first: bool) -> Network {
    let mut g = Graph::new();
    let x = g.data(DataInput { name: "x".into(), shape: vec![3, 2], permutation: None });
    let turned = g.node("turned", Transpose::new(if time_first { &[1, 0, 2] } else { &[0, 1, 2] }), &[x]);
    let w = g.parameter("w", &[2, 2], ParameterKind::LinearWeight);
    let hidden = g.node("hidden", MatMul, &[turned, w]);
    let hidden = g.node("tanh", Tanh, &[hidden]);
    let axis = if time_first { 0 } else { 1 };
    let output = g.node("mean", Reduce::new(Reduction::Mean, &[axis], false), &[hidden]);
    Network { name: "sequences".into(), graph: g, output, class_axis: None }
}

#[test]
fn a_mean_over_time_leaves_samples_apart_wherever_the_time_is() {
    let data = classification(&[3, 2], 8, 2, 1);
    let [first, second] = [true, false].map(|time_first| {
        let network = over_time(time_first);
        let theta = theta(&network, 3);
        let risk = risk::<f64>(&network, LossKind::CrossEntropy, &data, options(1));
        assert!(!risk.couples_samples());
        risk.evaluate(&theta)
    });
    assert_eq!(first.parts.weights, [1; 8]);
    assert!((first.loss - second.loss).abs() < 1e-14);
}
