//! The same softmax regression through our engine and through closures with its Hessian in closed form.

use saddlescope::analysis::{
    Analysis, DensityStageOptions, EigenpairOptions, Selection, Subject, SurfaceOptions, analyze,
};
use saddlescope::data::{DataSource, Split};
use saddlescope::nn::Dtype;
use saddlescope::nn::risk::RiskOptions;
use saddlescope::nn::zoo::{self, Activation};
use saddlescope::{Evaluation, FnRisk, NetworkRisk, ParameterLayout, Risk};
use saddlescope_data::Targets;
use saddlescope_nn::network::LossKind;

const INPUTS: usize = 64;
const CLASSES: usize = 10;
const SAMPLES: usize = 48;

/// Samples with their labels; θ = (W, b), W by rows.
struct Regression {
    x: Vec<f64>,
    labels: Vec<usize>,
}

impl Regression {
    /// W x + b.
    fn linear(theta: &[f64], x: &[f64]) -> Vec<f64> {
        let (w, b) = theta.split_at(CLASSES * INPUTS);
        let rows = w.chunks_exact(INPUTS).zip(b);
        rows.map(|(row, b)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b).collect()
    }

    fn softmax(z: &[f64]) -> (Vec<f64>, f64) {
        let most = z.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = z.iter().map(|z| (z - most).exp()).sum();
        (z.iter().map(|z| (z - most).exp() / sum).collect(), most + sum.ln())
    }

    fn samples(&self) -> impl Iterator<Item = (&[f64], usize)> {
        self.x.chunks_exact(INPUTS).zip(self.labels.iter().copied())
    }

    fn evaluate(&self, theta: &[f64]) -> Evaluation {
        let (mut loss, mut right) = (0.0, 0);
        for (x, label) in self.samples() {
            let z = Self::linear(theta, x);
            loss += Self::softmax(&z).1 - z[label];
            right += u64::from(z.iter().all(|other| *other <= z[label]));
        }
        Evaluation { correct: Some((right, SAMPLES as u64)), ..Evaluation::of_loss(loss / SAMPLES as f64) }
    }

    /// out ← mean of (s xᵀ, s) over samples, s one number a class.
    fn outer(&self, out: &mut [f64], of: impl Fn(&[f64], usize) -> Vec<f64>) {
        out.fill(0.0);
        for (x, label) in self.samples() {
            for (class, s) in of(x, label).into_iter().enumerate() {
                let s = s / SAMPLES as f64;
                for (out, x) in out[class * INPUTS..][..INPUTS].iter_mut().zip(x) {
                    *out += s * x;
                }
                out[CLASSES * INPUTS + class] += s;
            }
        }
    }

    fn gradient(&self, theta: &[f64], out: &mut [f64]) {
        self.outer(out, |x, label| {
            let mut p = Self::softmax(&Self::linear(theta, x)).0;
            p[label] -= 1.0;
            p
        });
    }

    /// H v: with u = V x + c, every sample gives s = p ∘ (u − pᵀu).
    fn hessian(&self, theta: &[f64], v: &[f64], out: &mut [f64]) {
        self.outer(out, |x, _| {
            let p = Self::softmax(&Self::linear(theta, x)).0;
            let u = Self::linear(v, x);
            let mean: f64 = p.iter().zip(&u).map(|(p, u)| p * u).sum();
            p.iter().zip(&u).map(|(p, u)| p * (u - mean)).collect()
        });
    }
}

fn run(risk: &dyn Risk, theta: &[f64]) -> (Analysis, String) {
    let temp = tempfile::tempdir().unwrap();
    let selection = Selection {
        eigenpairs: Some(EigenpairOptions { largest: 3, smallest: 0, ..EigenpairOptions::within(1e-9) }),
        probes: Some(4),
        density: Some(DensityStageOptions { probes: 2, steps: 12 }),
        split: None,
        escape: false,
        surfaces: Some(SurfaceOptions { grid: 3, hessian_radius: None }),
        ..Selection::default()
    };
    let subject = Subject::new("regression", theta.to_vec(), risk);
    let found = analyze(&subject, &selection, None, temp.path(), &mut ()).unwrap();
    (found, std::fs::read_to_string(temp.path().join("report.html")).unwrap())
}

#[test]
fn engine_and_closed_form_agree() {
    let data = "digits".parse::<DataSource>().unwrap().load(Split::Train, Some(0..SAMPLES), None).unwrap();
    let network = zoo::mlp("regression", &[1, 8, 8], &[], CLASSES, Activation::Tanh);
    let theta = network.initialise(1);
    let objective = network.objective(LossKind::CrossEntropy, &data).unwrap();
    let engine = NetworkRisk::new(objective, Dtype::F64, RiskOptions::default()).unwrap();
    let x = data.inputs()[0].values.all().unwrap().iter().map(|x| f64::from(*x)).collect();
    let labels = match data.targets() {
        Targets::Classes { labels, .. } => labels.iter().map(|l| *l as usize).collect(),
        other => panic!("{other:?}"),
    };
    let regression = Regression { x, labels };
    let closures = FnRisk::fallible(theta.len(), |t| Ok(regression.evaluate(t)))
        .with_gradient(|t, g| regression.gradient(t, g))
        .with_hessian(|t, v, hv| regression.hessian(t, v, hv))
        .with_accuracy()
        .with_samples(SAMPLES)
        .with_layout(ParameterLayout { blocks: engine.layout().blocks.clone() })
        .unwrap();
    let ((a, page_a), (b, page_b)) = (run(&engine, &theta), run(&closures, &theta));
    let (a, b) = (&a.results, &b.results);
    // Both compute in f64 and differ by the order of their sums.
    let close = |x: f64, y: f64| (x - y).abs() <= 1e-9 * y.abs().max(1e-3);
    assert!(close(a.loss, b.loss), "{} and {}", a.loss, b.loss);
    assert!(close(a.gradient_norm.unwrap(), b.gradient_norm.unwrap()));
    assert_eq!(a.accuracy, b.accuracy);
    for (p, q) in a.eigenpairs.iter().zip(&b.eigenpairs) {
        assert!(close(p.value, q.value), "{} and {}", p.value, q.value);
    }
    let trace = |r: &saddlescope::analysis::Results| r.trace.as_ref().unwrap().clone();
    assert!(close(trace(a).hutchinson.value, trace(b).hutchinson.value));
    assert!(close(trace(a).trace_of_square.value, trace(b).trace_of_square.value));
    for (s, t) in a.surfaces.iter().zip(&b.surfaces) {
        assert!(s.name == t.name && close(s.center_loss, t.center_loss), "{s:?} and {t:?}");
    }
    assert_eq!(a.surfaces.len(), b.surfaces.len());
    // The reports have the same sections; only what closures cannot know, errors over the data, is missing in theirs.
    let headings = |page: &str| -> Vec<String> {
        page.split("<h2").skip(1).map(|h| h[..h.find("</h2>").unwrap()].to_string()).collect()
    };
    let in_b: Vec<String> = headings(&page_b).into_iter().filter(|h| !h.contains("does not offer")).collect();
    assert_eq!(headings(&page_a), in_b);
    assert!(b.not_offered.iter().any(|t| t.contains("errors over the data")), "{:?}", b.not_offered);
}
