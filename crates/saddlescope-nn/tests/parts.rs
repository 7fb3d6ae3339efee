//! The losses of independent parts of the data: their weighted mean is the loss, on any threads, and parts of the data have their
//! own.

mod common;

use common::{classification, regression, risk, theta};
use saddlescope_nn::network::LossKind;
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
