//! The derivative check of an analysis on networks of our engine.

use saddlescope::analysis::{DERIVATIVE_TOLERANCE, product_against_difference};
use saddlescope::data::{DataSource, Split};
use saddlescope::krylov::Stream;
use saddlescope::model::{self, Model};
use saddlescope::nn::Dtype;
use saddlescope::nn::risk::RiskOptions;
use saddlescope::{Curvature, NetworkRisk, norm};
use saddlescope_test_support::shared_file;

fn risk(model: &Model, data: &str, split: Split) -> NetworkRisk {
    let data = data.parse::<DataSource>().unwrap().load(split, Some(0..16), None).unwrap();
    let loss = model.suggest_loss(&data).unwrap().loss;
    let objective = model.network.objective(loss, &data).unwrap();
    NetworkRisk::new(objective, Dtype::F64, RiskOptions::default()).unwrap()
}

/// A random direction of length 1.
fn direction(n: usize) -> Vec<f64> {
    let mut v = vec![0.0; n];
    Stream::new(1, "test", 0).fill_normal(&mut v);
    let length = norm(&v);
    v.iter_mut().for_each(|x| *x /= length);
    v
}

#[test]
fn the_hessian_passes_and_the_gauss_newton_matrix_in_its_place_does_not() {
    let model = model::load("digits-mlp", None, None).unwrap();
    let risk = risk(&model, "digits", Split::Train);
    let v = direction(model.theta.len());
    let right = product_against_difference(&risk, &model.theta, &v, Curvature::Hessian).unwrap();
    assert!(right.error < DERIVATIVE_TOLERANCE, "{}", right.error);
    let wrong = product_against_difference(&risk, &model.theta, &v, Curvature::GaussNewton).unwrap();
    assert!(wrong.error > 100.0 * DERIVATIVE_TOLERANCE, "{}", wrong.error);
}

/// Channels of this network that weight decay has emptied put kinks within 1e-5 of the trained point; f32 cannot
/// resolve shorter steps.
#[test]
fn kinks_close_to_a_trained_network_do_not_fail_it() {
    let Some(weights) = shared_file("weights/resnet56-option-b.safetensors") else { return };
    let Some(images) = shared_file("data/cifar-10-batches-bin") else { return };
    let model = model::load("resnet56-b", Some(&weights), None).unwrap();
    let risk = risk(&model, &format!("cifar10:{}", images.display()), Split::Test);
    let v = direction(model.theta.len());
    let found = product_against_difference(&risk, &model.theta, &v, Curvature::Hessian).unwrap();
    assert!(found.error < DERIVATIVE_TOLERANCE, "{}", found.error);
    let step = found.smooth_step.unwrap();
    assert!(step < 1e-3, "{step}");
}
