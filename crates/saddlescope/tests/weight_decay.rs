//! The penalty λ/2 ‖θ‖² of a network's loss, against its closed form.

use saddlescope::data::{DataSource, Split};
use saddlescope::nn::Dtype;
use saddlescope::nn::network::LossKind;
use saddlescope::nn::risk::RiskOptions;
use saddlescope::nn::zoo;
use saddlescope::{ChunkedRisk, Curvature, NetworkRisk, PartialSums, Risk};

const LAMBDA: f64 = 0.25;

fn risk() -> (NetworkRisk, Vec<f64>) {
    let data = DataSource::parse("digits").unwrap().load(Split::Train, Some(0..100), None).unwrap();
    let network = zoo::by_name("mlp:1x8x8-5-10").unwrap();
    let objective = network.objective(LossKind::CrossEntropy, &data).unwrap();
    let risk = NetworkRisk::new(objective, Dtype::F64, RiskOptions::default()).unwrap();
    (risk, network.initialise(7))
}

fn close(found: &[f64], expected: impl Iterator<Item = f64>) {
    // A few roundings of numbers of order 1.
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-13 * b.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn loss_gradient_and_products_get_their_closed_form() {
    let (plain, theta) = risk();
    let (decayed, _) = risk();
    let decayed = decayed.with_weight_decay(LAMBDA);
    let n = theta.len();
    let penalty = 0.5 * LAMBDA * theta.iter().map(|t| t * t).sum::<f64>();
    let (mut g, mut h) = (vec![0.0; n], vec![0.0; n]);
    let (a, b) = (plain.gradient(&theta, &mut g).unwrap(), decayed.gradient(&theta, &mut h).unwrap());
    close(&[b.loss], [a.loss + penalty].into_iter());
    close(&b.chunk_losses, a.chunk_losses.iter().map(|l| l + penalty));
    close(&h, g.iter().zip(&theta).map(|(g, t)| g + LAMBDA * t));
    assert_eq!(a.correct, b.correct);
    assert_eq!(decayed.evaluate(&theta).unwrap().loss.to_bits(), b.loss.to_bits());

    let vs: Vec<f64> = (0..2 * n).map(|i| ((i * 37 % 101) as f64 / 50.0) - 1.0).collect();
    for curvature in plain.offers().curvatures {
        let lambda = match curvature {
            Curvature::Hessian | Curvature::GaussNewton => LAMBDA,
            // H − G: both have it; the Fisher matrices are those of the likelihood.
            _ => 0.0,
        };
        let (mut x, mut y) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
        let p = plain.at(&theta, 0).unwrap().product(curvature, &vs, &mut x).unwrap();
        let q = decayed.at(&theta, 0).unwrap().product(curvature, &vs, &mut y).unwrap();
        close(&y, x.iter().zip(&vs).map(|(x, v)| x + lambda * v));
        for (j, v) in vs.chunks(n).enumerate() {
            let added = lambda * v.iter().map(|v| v * v).sum::<f64>();
            close(&q.quotients[j], p.quotients[j].iter().map(|p| p + added));
        }
    }
}

#[test]
fn parts_of_the_samples_keep_the_penalty() {
    let (risk, theta) = risk();
    let risk = risk.with_weight_decay(LAMBDA);
    let n = theta.len();
    let cut = risk.chunks() / 2;
    let ranges = [0..cut, cut..risk.chunks()];
    let join = |parts: [PartialSums; 2]| {
        let [mut all, right] = parts;
        all.append(right);
        all
    };
    let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();

    let parts = ranges.clone().map(|r| risk.evaluate_chunks(&theta, r).unwrap());
    assert_eq!(risk.whole_evaluation(&theta, join(parts)).unwrap(), risk.evaluate(&theta).unwrap());

    let (mut g, mut h) = (vec![0.0; n], vec![0.0; n]);
    let parts = ranges.clone().map(|r| risk.gradient_chunks(&theta, r).unwrap());
    let found = risk.whole_gradient(&theta, join(parts), &mut g).unwrap();
    assert_eq!(found, risk.gradient(&theta, &mut h).unwrap());
    assert_eq!(bits(&g), bits(&h));

    let v: Vec<f64> = theta.iter().map(|t| t.sin()).collect();
    let parts =
        ranges.map(|r| risk.at_chunks(&theta, r, 0).unwrap().product_chunks(Curvature::Hessian, &v).unwrap());
    let found = risk.whole_product(Curvature::Hessian, &v, join(parts), &mut g).unwrap();
    assert_eq!(found, risk.at(&theta, 0).unwrap().product(Curvature::Hessian, &v, &mut h).unwrap());
    assert_eq!(bits(&g), bits(&h));

    // A mean over samples of a loss with the penalty has it once.
    let few = risk.samples_in(0..40).unwrap().unwrap();
    let all = risk.evaluate(&theta).unwrap();
    let rest = risk.samples_in(40..100).unwrap().unwrap().evaluate(&theta).unwrap().loss;
    close(&[0.4 * few.evaluate(&theta).unwrap().loss + 0.6 * rest], [all.loss].into_iter());
    let first = risk.first_samples(40, saddlescope::krylov::Precision::F64).unwrap().unwrap();
    close(&[first.evaluate(&theta).unwrap().loss], [few.evaluate(&theta).unwrap().loss].into_iter());
    assert_eq!(risk.identity()["weight_decay"], LAMBDA);
}
