//! The embedded network is what the demo says it is: a saddle that random directions hide.

use saddlescope_data::weights::TensorMap;
use saddlescope_data::{Split, digits};
use saddlescope_krylov::{ExtremeEigen, FnOperator, Precision, extreme_eigenpairs};
use saddlescope_nn::network::LossKind;
use saddlescope_nn::risk::{Curvature, Risk, RiskOptions};
use saddlescope_nn::zoo;

#[test]
fn embedded_network_is_at_a_saddle() {
    let (name, bytes, _) = zoo::TRAINED[0];
    let mut network = zoo::by_name(name).unwrap();
    let theta = network.load(&TensorMap::parse(bytes).unwrap()).unwrap();
    let data = digits::load(Split::Train, None, None).unwrap();
    let objective = network.objective(LossKind::CrossEntropy, &data).unwrap();
    let risk = Risk::<f64>::new(objective, RiskOptions::default()).unwrap();
    let point = risk.at(&theta);
    let h = FnOperator::from_block(theta.len(), |x: &[f64], y: &mut [f64]| {
        point.product(Curvature::Hessian, x, y).unwrap();
    });
    // The next eigenvalue is 0.0008 away: a looser solve would mix its eigenvector into the direction.
    let options = ExtremeEigen { tolerance: 1e-8, precision: Precision::F64, ..ExtremeEigen::ends(1, 1) };
    let solution = extreme_eigenpairs(&h, &options, &mut ()).unwrap();
    let (largest, lowest) = (&solution.largest()[0], &solution.smallest()[0]);
    assert!((largest.value - 0.589781).abs() < 1e-5, "{}", largest.value);
    assert!((lowest.value + 0.017244).abs() < 1e-5, "{}", lowest.value);
    // Some eigenvalue lies within the residual of λ: it is certainly negative.
    assert!(lowest.residual < 1e-6 * lowest.value.abs(), "{}", lowest.residual);
    let here = risk.evaluate(&theta).loss;
    for t in [-0.5, 0.5] {
        let moved: Vec<f64> = theta.iter().zip(&lowest.vector).map(|(a, v)| a + t * v).collect();
        let there = risk.evaluate(&moved).loss;
        assert!(there < 0.93 * here, "{t}: {there} against {here}");
    }
}
