//! Measures of sharpness where they have closed forms.

mod two_halves;

use saddlescope_landscape::analysis::{EigenpairOptions, Monitor, Selection, Subject, analyze};
use saddlescope_landscape::analytic::Quadratic;
use saddlescope_landscape::sharpness::{MeasureKind, Measures, SharpnessOptions, measures};
use saddlescope_landscape::{
    Curvature, FnRisk, ParameterBlock, ParameterKind, ParameterLayout, Product, RiskError,
};

fn options() -> SharpnessOptions {
    SharpnessOptions {
        tolerance: 1e-10,
        climb_tolerance: 1e-6,
        gradients: 400,
        ..SharpnessOptions::default()
    }
}

fn value(found: &Measures, kind: MeasureKind) -> f64 {
    found.get(kind).unwrap_or_else(|| panic!("{kind:?}: {:?}", found.left_out)).value
}

fn within(found: &Measures, kind: MeasureKind, exact: f64, tolerance: f64) {
    let value = value(found, kind);
    assert!((value - exact).abs() <= tolerance * exact.abs(), "{kind:?}: {value}, expected {exact}");
}

#[test]
fn a_quadratic_has_them_in_closed_form() {
    let lambda = vec![5.0, 3.0, 1.0, 0.5, -2.0, 0.0];
    let risk = Quadratic::diagonal(lambda.clone()).unwrap();
    let options = options();
    // At the critical point.
    let found = measures(&risk, &[0.0; 6], &options, 1).unwrap();
    within(&found, MeasureKind::LargestEigenvalue, 5.0, 1e-10);
    // max ½ εᵀHε over the ball is ½ρ²λ_max; the climb ends a millionth of it below.
    within(&found, MeasureKind::SamAscent, 0.5 * 0.05_f64.powi(2) * 5.0, 1e-5);
    // Over the box: positive curvatures at its corners, negative ones at zero. 1 + L = 1; in percent.
    let corner: f64 = lambda.iter().map(|l| 0.5 * l.max(0.0) * 1e-6).sum();
    let keskar = found.get(MeasureKind::Keskar).unwrap();
    let gap = keskar.error.unwrap();
    assert!(keskar.value <= 100.0 * corner * (1.0 + 1e-12), "{keskar:?}");
    assert!(keskar.value >= 100.0 * corner * 0.99 - gap, "{keskar:?} {}", 100.0 * corner);
    // No gradient, no direction.
    for kind in [MeasureKind::SamStep, MeasureKind::Critical] {
        assert!(found.left_out.iter().any(|(k, reason)| *k == kind && !reason.is_empty()), "{kind:?}");
    }
    // Away from it.
    let theta = [0.3, -0.2, 0.5, 0.1, 0.2, 0.7];
    let found = measures(&risk, &theta, &options, 1).unwrap();
    let g: Vec<f64> = lambda.iter().zip(&theta).map(|(l, t)| l * t).collect();
    let g2: f64 = g.iter().map(|g| g * g).sum();
    let ghg: f64 = g.iter().zip(&lambda).map(|(g, l)| l * g * g).sum();
    within(&found, MeasureKind::SamStep, 0.05 * g2.sqrt() + 0.5 * 0.05 * 0.05 * ghg / g2, 1e-12);
    // The climb is at least as high as the step, and no higher than the largest slope and curvature allow.
    let (step, top) = (value(&found, MeasureKind::SamStep), value(&found, MeasureKind::SamAscent));
    assert!(top >= step && top <= 0.05 * g2.sqrt() + 0.5 * 0.05 * 0.05 * 5.0);
    let critical = found.get(MeasureKind::Critical).unwrap();
    assert!((critical.value - ghg / g2).abs() <= critical.error.unwrap(), "{critical:?} {}", ghg / g2);
    assert!(critical.evaluations < 10, "{critical:?}");
    let (trace, square): (f64, f64) = (lambda.iter().sum(), lambda.iter().map(|l| l * l).sum());
    for (kind, exact) in [(MeasureKind::Trace, trace), (MeasureKind::FrobeniusNorm, square.sqrt())] {
        let m = found.get(kind).unwrap();
        assert!((m.value - exact).abs() < 5.0 * m.error.unwrap(), "{m:?} {exact}");
    }
}

/// L = ½ Σ hᵢ θᵢ² with a layer of 2 × 3 weights and a bias of 2; F = diag(hᵢ²/7) stands for a Fisher matrix.
fn layered(h: Vec<f64>) -> FnRisk<'static> {
    let (a, b, c) = (h.clone(), h.clone(), h);
    let layout = ParameterLayout {
        blocks: vec![
            ParameterBlock {
                name: "fc.weight".into(),
                shape: vec![2, 3],
                range: 0..6,
                kind: ParameterKind::LinearWeight,
            },
            ParameterBlock { name: "fc.bias".into(), shape: vec![2], range: 6..8, kind: ParameterKind::Bias },
        ],
    };
    FnRisk::new(8, move |t| 0.5 * t.iter().zip(&a).map(|(t, h)| h * t * t).sum::<f64>())
        .with_gradient(move |t, g| g.iter_mut().zip(t).zip(&b).for_each(|((g, t), h)| *g = h * t))
        .with_products(
            &[Curvature::Hessian, Curvature::PerSampleGradientFisher],
            move |_, curvature, vs, out| {
                for (v, o) in vs.chunks_exact(8).zip(out.chunks_exact_mut(8)) {
                    for i in 0..8 {
                        o[i] = v[i] * if curvature == Curvature::Hessian { c[i] } else { c[i] * c[i] / 7.0 };
                    }
                }
                Ok(Product::default())
            },
        )
        .with_layout(layout)
        .unwrap()
}

#[test]
fn measures_relative_to_the_weights_are_what_their_formulas_say() {
    let h = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 70.0, 80.0];
    let theta = [1.0, 2.0, 2.0, -0.4, 0.0, 0.3, 9.0, 9.0];
    let found = measures(&layered(h.clone()), &theta, &options(), 3).unwrap();
    // Filters of norm 3 and 0.5; biases do not count.
    within(&found, MeasureKind::FilterLargestEigenvalue, 9.0 * 3.0, 1e-9);
    let estimates = [
        (MeasureKind::FilterTrace, 9.0 * (1.0 + 2.0 + 3.0) + 0.25 * (4.0 + 5.0 + 6.0)),
        // H is diagonal: only s = s' counts, ‖w_s‖² times the trace of the row's block. The same number here.
        (MeasureKind::RelativeFlatness, 9.0 * 6.0 + 0.25 * 15.0),
    ];
    for (kind, exact) in estimates {
        let m = found.get(kind).unwrap();
        assert!((m.value - exact).abs() < 5.0 * m.error.unwrap(), "{m:?} {exact}");
    }
    assert_eq!(found.get(MeasureKind::RelativeFlatness).unwrap().of.as_deref(), Some("fc.weight"));
    let fisher: f64 = h.iter().zip(&theta).map(|(h, t)| h * h / 7.0 * t * t).sum();
    within(&found, MeasureKind::FisherRao, fisher.sqrt(), 1e-12);
    // No Gauss–Newton products, and the reason says so.
    let left = found.left_out.iter().find(|(k, _)| *k == MeasureKind::FisherRaoModel).unwrap();
    assert!(left.1.contains("Gauss–Newton"), "{}", left.1);
}

#[test]
fn the_largest_eigenvalue_has_the_rounding_of_its_products() {
    let risk = Quadratic::diagonal(vec![5.0, 3.0, 1.0]).unwrap();
    let found = measures(&risk, &[0.3, 0.2, 0.1], &options(), 1).unwrap();
    let error = found.get(MeasureKind::LargestEigenvalue).unwrap().error.unwrap();
    assert!(error >= 5.0 * f64::EPSILON, "{error}");
    // The same as that of the eigenpair of the same run; climbed measures are bounds from below and say so.
    let selection = Selection {
        eigenpairs: Some(EigenpairOptions { largest: 1, smallest: 1, ..EigenpairOptions::within(1e-8) }),
        probes: Some(4),
        sharpness: Some(options()),
        ..Selection::nothing("sharpness")
    };
    let dir = tempfile::tempdir().unwrap();
    let subject = Subject::new("diagonal", vec![0.3, 0.2, 0.1], &risk);
    let results = analyze(&subject, &selection, None, dir.path(), &mut ()).unwrap().results;
    let (pair, found) = (&results.eigenpairs[0], results.sharpness.unwrap());
    let error = found.get(MeasureKind::LargestEigenvalue).unwrap().measure.error.unwrap();
    assert!(pair.rounding > 0.0 && error == pair.residual + pair.rounding, "{error} {pair:?}");
    let table = found.markdown();
    for name in ["SAM sharpness, climbed", "ε-sharpness, %"] {
        assert!(table.contains(&format!("| {name} | ≥ ")), "{table}");
    }
    // No curvature fits, no word of them.
    let caption = std::fs::read_to_string(dir.path().join("figures/trace.json")).unwrap();
    assert!(!caption.contains("least-squares"), "{caption}");
}

/// Remembers which stages were begun.
#[derive(Default)]
struct Begun(Vec<String>);

impl Monitor for Begun {
    fn begin(&mut self, stage: &str, _: Option<u64>) {
        self.0.push(stage.into());
    }
    fn advance(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
    fn cancelled(&self) -> bool {
        false
    }
}

#[test]
fn a_network_that_cannot_be_rescaled_is_refused_at_the_beginning() {
    // Two layers in a row with something else than ReLU between them.
    let h = vec![1.0, 2.0, 3.0, 4.0];
    let block = |name: &str, range: std::ops::Range<usize>, shape: [usize; 2]| ParameterBlock {
        name: name.into(),
        shape: shape.to_vec(),
        range,
        kind: ParameterKind::LinearWeight,
    };
    let layout = ParameterLayout { blocks: vec![block("a", 0..2, [2, 1]), block("b", 2..4, [1, 2])] };
    let (a, b) = (h.clone(), h.clone());
    let risk = FnRisk::new(4, move |t| 0.5 * t.iter().zip(&h).map(|(t, h)| h * t * t).sum::<f64>())
        .with_gradient(move |t, g| g.iter_mut().zip(t).zip(&a).for_each(|((g, t), h)| *g = h * t))
        .with_hessian(move |_, v, hv| hv.iter_mut().zip(v).zip(&b).for_each(|((o, v), h)| *o = h * v))
        .with_layout(layout)
        .unwrap();
    let selection = Selection {
        eigenpairs: Some(EigenpairOptions { largest: 1, smallest: 1, ..EigenpairOptions::within(1e-8) }),
        probes: Some(4),
        sharpness: Some(options()),
        rescaling: Some(4.0),
        ..Selection::nothing("sharpness")
    };
    let dir = tempfile::tempdir().unwrap();
    let mut begun = Begun::default();
    let subject = Subject::new("no relu", vec![0.3, -0.2, 0.1, 0.4], &risk);
    let Err(error) = analyze(&subject, &selection, None, dir.path(), &mut begun) else { panic!("accepted") };
    assert!(error.to_string().contains("something else than ReLU"), "{error}");
    assert!(begun.0.iter().all(|s| !s.contains("eigenpairs") && !s.contains("sharpness")), "{:?}", begun.0);
}

#[test]
fn relative_flatness_counts_pairs_of_rows() {
    // H = M ⊗ I over two rows of three weights: κ = Σ ⟨w_s, w_s'⟩ 3 M_{s,s'}.
    let m = [[2.0, -0.7], [-0.7, 1.0]];
    let times = move |v: &[f64], out: &mut [f64]| {
        for s in 0..2 {
            for i in 0..3 {
                out[3 * s + i] = m[s][0] * v[i] + m[s][1] * v[3 + i];
            }
        }
    };
    let layout = ParameterLayout {
        blocks: vec![ParameterBlock {
            name: "w".into(),
            shape: vec![2, 3],
            range: 0..6,
            kind: ParameterKind::LinearWeight,
        }],
    };
    let risk = FnRisk::new(6, |_| 1.0)
        .with_gradient(|_, g| g.fill(0.0))
        .with_hessian(move |_, v, hv| times(v, hv))
        .with_layout(layout)
        .unwrap();
    let theta = [1.0, 0.5, -0.3, 0.8, 0.9, 0.1];
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (u, v) = (&theta[..3], &theta[3..]);
    let exact = 3.0 * (2.0 * dot(u, u) - 1.4 * dot(u, v) + dot(v, v));
    let options = SharpnessOptions { probes: 400, ..options() };
    let found = measures(&risk, &theta, &options, 0).unwrap();
    let m = found.get(MeasureKind::RelativeFlatness).unwrap();
    // Without the product of the two rows it would be 12.4 rather than 7.3.
    assert!((m.value - exact).abs() < 5.0 * m.error.unwrap() && m.error.unwrap() < 0.2, "{m:?} {exact}");
}

#[test]
fn what_is_not_offered_is_left_out_with_the_reason() {
    let risk = FnRisk::new(3, |t| t.iter().sum());
    let found = measures(&risk, &[0.0; 3], &options(), 0).unwrap();
    assert!(found.measured.is_empty());
    assert_eq!(found.left_out.len(), MeasureKind::ALL.len());
    let nan = FnRisk::new(1, |_| f64::NAN).with_gradient(|_, g| g[0] = 1.0);
    let found = measures(&nan, &[0.0], &options(), 0).unwrap();
    assert!(found.left_out.iter().any(|(_, reason)| reason.contains("not finite")));
    let stopped = FnRisk::fallible(1, |_| Err(RiskError::Cancelled));
    assert_eq!(measures(&stopped, &[0.0], &options(), 0).unwrap_err(), RiskError::Cancelled);
}

#[test]
fn the_documentation_has_every_definition() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sharpness.md");
    // A package of this crate alone has no documentation beside it.
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let table = MeasureKind::table();
    assert!(text.contains(&table), "{} should have this table:\n{table}", path.display());
}

#[test]
fn the_trace_has_its_error_over_the_data() {
    // Two halves of the samples with Hessians 1·I and 4·I: H = 2.5·I, and zᵀH_c z = h_c ‖z‖². The standard error of the mean of the two
    // is half their distance: (4 − 1)/2 ‖z‖², and ‖z‖² = zᵀHz/2.5 on average over the very probes of the trace.
    let risk = two_halves::risk();
    let theta = [0.5, -0.25, 1.0];
    let exact = |trace: f64| 1.5 * trace / 2.5;
    let found = measures(&risk, &theta, &options(), 1).unwrap();
    let trace = found.get(MeasureKind::Trace).unwrap();
    assert!((trace.std_error.unwrap() - exact(trace.value)).abs() < 1e-12 * trace.value, "{trace:?}");
    let selection = Selection { probes: Some(6), ..Selection::nothing("trace") };
    let subject = Subject::new("two halves", theta.to_vec(), &risk);
    let dir = tempfile::tempdir().unwrap();
    let found = analyze(&subject, &selection, None, dir.path(), &mut ()).unwrap().results.trace.unwrap();
    assert!(
        (found.over_data.unwrap() - exact(found.hutchinson.value)).abs() < 1e-12 * found.hutchinson.value
    );
    // More probes go on where these end.
    let selection = Selection { probes: Some(10), ..selection };
    let more = analyze(&subject, &selection, None, dir.path(), &mut ()).unwrap().results.trace.unwrap();
    assert!((more.over_data.unwrap() - exact(more.hutchinson.value)).abs() < 1e-12 * more.hutchinson.value);
}
