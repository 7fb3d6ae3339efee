//! Between weights of networks of our engine: permuted copies, batch-norm statistics anew.

use saddlescope::between::{
    Member, ModelLosses, PathOptions, Statistics, TrainingPosition, Weights, matching, path, reordered,
};
use saddlescope::data::{DataSource, Dataset, InputTensor, Normalization, Split, Targets};
use saddlescope::nn::Dtype;
use saddlescope::nn::network::{LossKind, Network};
use saddlescope::nn::risk::RiskOptions;
use saddlescope::nn::zoo;
use saddlescope::{NetworkRisk, Risk};

fn digits() -> Dataset {
    DataSource::parse("digits").unwrap().load(Split::Train, Some(0..192), None).unwrap()
}

/// A fixed order of n things without any pattern: 1 + i·k mod a prime above n, ranked.
fn shuffled(n: usize, salt: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|i| (i * 7919 + salt * 104_729 + 31) % 1_000_003 % 4099);
    order
}

fn weights(name: &str, theta: Vec<f64>, risk: &dyn Risk) -> Weights {
    Weights::with_buffers(name, name.into(), theta, risk.buffers(), risk)
}

fn risk_of(network: &Network, data: &Dataset) -> NetworkRisk {
    let objective = network.objective(LossKind::CrossEntropy, data).unwrap();
    NetworkRisk::new(objective, Dtype::F32, RiskOptions::default()).unwrap()
}

#[test]
fn the_line_to_an_aligned_permuted_copy_is_exactly_flat() {
    let data = digits();
    for (name, least) in [("digits-mlp", 1), ("digits-cnn", 1)] {
        let network = zoo::by_name(name).unwrap();
        let risk = risk_of(&network, &data);
        let a = weights("a", network.initialise(3), &risk);
        let groups = risk.unit_groups().unwrap();
        assert!(groups.len() >= least, "{name}: {}", groups.len());
        let orders: Vec<Vec<usize>> =
            groups.iter().enumerate().map(|(g, group)| shuffled(group.units, g)).collect();
        let copy = reordered(&a, &a, &groups, orders, &risk);
        assert!(copy.moved[0] > copy.moved[1] / 2, "{:?}", copy.moved);
        let b = Weights { name: "b".into(), ..copy.weights };
        // The same function: other sums, so other last bits.
        let (x, y) = (risk.evaluate(&a.theta).unwrap().loss, risk.evaluate(&b.theta).unwrap().loss);
        assert!((x - y).abs() < 1e-5 * x, "{name}: {x} {y}");
        let losses = ModelLosses::new(name, &risk);
        let both = [a.clone(), b].map(|weights| Member { losses: &losses, weights });
        let options = PathOptions { points: 5, eigenpairs: None, curve: None, ..PathOptions::default() };
        let dir = tempfile::tempdir().unwrap();
        let found = path(&both, &options, None, dir.path(), &mut ()).unwrap();
        let aligned = found.ways.iter().find(|w| w.name == "aligned-line").unwrap();
        assert_eq!(aligned.sides[0].barrier.height, 0.0, "{name}");
        assert_eq!(aligned.length, 0.0, "{name}");
        assert_eq!(found.alignment.as_ref().unwrap().distance, 0.0, "{name}");
    }
}

#[test]
fn residual_layers_are_matched_together() {
    let network = zoo::by_name("resnet20-b").unwrap();
    let values = (0..2 * 3 * 32 * 32).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let input = InputTensor { name: "x".into(), shape_per_sample: vec![3, 32, 32], values, integer: false };
    let targets = Targets::Classes { labels: vec![1, 7], classes: 10 };
    let data = Dataset::new(vec![input], targets, Normalization::parse("none").unwrap(), "made up").unwrap();
    let risk = risk_of(&network, &data);
    let a = weights("a", network.initialise(5), &risk);
    let groups = risk.unit_groups().unwrap();
    let orders: Vec<Vec<usize>> =
        groups.iter().enumerate().map(|(g, group)| shuffled(group.units, g)).collect();
    let copy = reordered(&a, &a, &groups, orders, &risk);
    let (x, y) = (risk.evaluate(&a.theta).unwrap().loss, risk.evaluate(&copy.weights.theta).unwrap().loss);
    assert!((x - y).abs() < 1e-5 * x.abs(), "{x} {y}");
    assert_ne!(a.theta, copy.weights.theta);
    let back = reordered(&a, &copy.weights, &groups, matching(&a, &copy.weights, &groups), &risk);
    assert_eq!(a.theta, back.weights.theta);
    assert_eq!(a.buffers, back.weights.buffers);
}

#[test]
fn statistics_anew_are_those_of_the_whole_batch() {
    // One batch of at most 128 samples: with its statistics, evaluation mode and training mode differ only in the factor n/(n − 1) of
    // the variance, n being positions of all samples (the smallest layer has 96 · 4).
    let data = DataSource::parse("digits").unwrap().load(Split::Train, Some(0..96), None).unwrap();
    let mut network = zoo::by_name("digits-cnn").unwrap();
    // Twice the weights of a new network: the statistics that it begins with, 0 and 1, are far from right.
    let theta: Vec<f64> = network.initialise(2).iter().map(|t| 2.0 * t).collect();
    let eval = risk_of(&network, &data);
    let anew = eval.buffers_anew(&theta).unwrap().unwrap();
    assert_ne!(anew, eval.buffers());
    let changed = eval.with_buffers(&anew).unwrap();
    network.use_batch_statistics(true);
    let train = risk_of(&network, &data);
    let (x, y) = (changed.evaluate(&theta).unwrap().loss, train.evaluate(&theta).unwrap().loss);
    assert!((x - y).abs() < 3e-3 * y, "{x} {y}");
    assert!((eval.evaluate(&theta).unwrap().loss - y).abs() > 1e-2 * y);
    assert_eq!(train.buffers_anew(&theta).unwrap(), None);
    // Any number of threads gives the same bits.
    let objective = zoo::by_name("digits-cnn").unwrap().objective(LossKind::CrossEntropy, &digits()).unwrap();
    let of = |threads| {
        let options = RiskOptions { threads, ..RiskOptions::default() };
        let risk = NetworkRisk::new(objective.clone(), Dtype::F32, options).unwrap();
        risk.buffers_anew(&theta).unwrap().unwrap()
    };
    assert_eq!(of(1), of(3));
    assert!(eval.with_buffers(&[1.0]).is_err());
}

#[test]
fn the_line_of_a_batch_norm_network_has_both_kinds_of_statistics() {
    let data = digits();
    let network = zoo::by_name("digits-cnn").unwrap();
    let risk = risk_of(&network, &data);
    let losses = ModelLosses::new("digits-cnn", &risk);
    let both = [1, 2].map(|seed| Member {
        losses: &losses,
        weights: Weights {
            position: TrainingPosition::default(),
            ..weights(&format!("seed-{seed}"), network.initialise(seed), &risk)
        },
    });
    let options =
        PathOptions { points: 3, eigenpairs: None, curve: None, align: false, ..PathOptions::default() };
    let dir = tempfile::tempdir().unwrap();
    let found = path(&both, &options, None, dir.path(), &mut ()).unwrap();
    let kinds: Vec<Statistics> = found.ways.iter().map(|w| w.statistics).collect();
    assert_eq!(kinds, [Statistics::Anew, Statistics::Interpolated]);
    assert_ne!(found.ways[0].sides[0].loss, found.ways[1].sides[0].loss);
}
