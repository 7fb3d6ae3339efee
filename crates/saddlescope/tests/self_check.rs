//! The derivative check of an analysis on networks of our engine.

use std::sync::atomic::{AtomicUsize, Ordering};

use saddlescope::analysis::{
    Analysis, AnalysisError, DERIVATIVE_TOLERANCE, Difference, Selection, Subject, analyze,
    product_against_difference,
};
use saddlescope::data::{DataSource, Split};
use saddlescope::krylov::Stream;
use saddlescope::model::{self, Model};
use saddlescope::nn::Dtype;
use saddlescope::nn::risk::RiskOptions;
use saddlescope::{Curvature, FnRisk, NetworkRisk, norm};
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

/// Σ ½xᵢ² + |xᵢ − kink|, and how often its gradient was asked for.
fn with_kinks(kink: f64, theta: &[f64]) -> (Difference, usize) {
    let gradients = AtomicUsize::new(0);
    let slope = |x: f64| x + if x < kink { -1.0 } else { 1.0 };
    let loss = |t: &[f64]| t.iter().map(|x| 0.5 * x * x + (x - kink).abs()).sum();
    let risk = FnRisk::new(theta.len(), loss)
        .with_gradient(|t, out| {
            gradients.fetch_add(1, Ordering::Relaxed);
            out.iter_mut().zip(t).for_each(|(g, &x)| *g = slope(x));
        })
        .with_hessian(|_, v, out| out.copy_from_slice(v));
    let v = direction(theta.len());
    let found = product_against_difference(&risk, theta, &v, Curvature::Hessian).unwrap();
    (found, gradients.load(Ordering::Relaxed))
}

/// Where the gradient jumps at the point itself no step can agree, which the fourth one tells.
#[test]
fn a_jump_at_the_point_is_recognised_before_all_steps_are_tried() {
    let (found, gradients) = with_kinks(0.0, &[0.0; 50]);
    assert_eq!(found.smooth_step, None);
    assert!(found.error > DERIVATIVE_TOLERANCE, "{}", found.error);
    assert_eq!(gradients, 8);
}

/// A kink 1e-8 away is no jump: steps are tried until one is shorter than that.
#[test]
fn a_kink_close_to_the_point_is_stepped_over() {
    let (found, gradients) = with_kinks(1e-8, &[0.0; 50]);
    assert!(found.error < DERIVATIVE_TOLERANCE, "{}", found.error);
    let step = found.smooth_step.unwrap();
    // The entries of a direction of length 1 are about 50^(-1/2), and none is larger than 1.
    assert!((1e-9..1e-7).contains(&step), "{step}");
    assert!(gradients > 8, "{gradients}");
}

/// Kinks where no parameter is zero, as where two branches of a maximum are equal: the check goes on a step aside, and a product that
/// is wrong stays wrong there.
#[test]
fn kinks_at_a_point_without_zeros_are_told_from_wrong_products() {
    let check = |factor: f64| -> Result<Analysis, AnalysisError> {
        let loss = |t: &[f64]| t.iter().map(|x| 0.5 * x * x + (x - 1.0).abs()).sum();
        let risk = FnRisk::new(20, loss)
            .with_gradient(|t, out| {
                out.iter_mut().zip(t).for_each(|(g, &x)| *g = x + if x < 1.0 { -1.0 } else { 1.0 });
            })
            .with_hessian(move |_, v, out| out.iter_mut().zip(v).for_each(|(o, v)| *o = factor * v));
        let folder = tempfile::tempdir().unwrap();
        let subject = Subject::new("kinks", vec![1.0; 20], &risk);
        analyze(&subject, &Selection::nothing("test"), None, folder.path(), &mut ())
    };
    let found = check(1.0).unwrap().results.self_check;
    assert!(found.warnings.iter().any(|w| w.contains("jumps at this very point")), "{:?}", found.warnings);
    assert!(found.finite_difference_error.unwrap() < DERIVATIVE_TOLERANCE);
    assert_eq!(found.smooth_step, None);
    let wrong = check(1.1).map(drop).unwrap_err().to_string();
    assert!(wrong.contains("differs from a finite difference") && wrong.contains("aside"), "{wrong}");
}
