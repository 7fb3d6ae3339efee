//! Runs that were stopped go on where they stopped, and only with the same function.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use saddlescope_landscape::FnRisk;
use saddlescope_landscape::analysis::*;

/// Stops at the given step of the stage of this title.
struct StopAt {
    title: &'static str,
    step: u64,
    inside: bool,
    stop: bool,
}

impl StopAt {
    fn new(title: &'static str, step: u64) -> Self {
        Self { title, step, inside: false, stop: false }
    }
}

impl Monitor for StopAt {
    fn begin(&mut self, stage: &str, _: Option<u64>) {
        self.inside = stage == self.title;
    }

    fn advance(&mut self, done: u64, _: &str) {
        self.stop |= self.inside && done >= self.step;
    }

    fn end(&mut self, _: &str) {}

    fn note(&mut self, _: &str) {}

    fn cancelled(&self) -> bool {
        self.stop
    }
}

#[test]
fn a_cut_that_was_stopped_goes_on_from_its_last_point_to_the_same_bits() {
    let evaluations = AtomicUsize::new(0);
    let risk = FnRisk::mean(3, 5, |t, losses| {
        evaluations.fetch_add(1, Ordering::Relaxed);
        for (s, loss) in losses.iter_mut().enumerate() {
            *loss = (t[0] - s as f64).sin() + t[1] * t[1] - 0.3 * t[2].powi(4);
        }
    });
    let selection = Selection {
        cuts: Some(CutOptions { points: 31, hessian_radius: None }),
        ..Selection::nothing("test")
    };
    let temp = tempfile::tempdir().unwrap();
    let subject = Subject::new("sines", vec![0.4, 0.1, -0.2], &risk);
    let run = |out: &Path, monitor: &mut dyn Monitor| analyze(&subject, &selection, None, out, monitor);
    let whole = run(&temp.path().join("whole"), &mut ()).unwrap();
    let name = whole.cuts[0].name.clone();
    let title: &'static str = format!("cut {name}").leak();
    let (out, used) =
        (temp.path().join("stopped"), |before: usize| evaluations.load(Ordering::Relaxed) - before);
    let stopped = run(&out, &mut StopAt::new(title, 20)).map(|_| ());
    assert!(matches!(stopped, Err(AnalysisError::Cancelled)), "{stopped:?}");
    let before = evaluations.load(Ordering::Relaxed);
    let resumed = run(&out, &mut ()).unwrap();
    // The point itself once more, the eleven points that are left of the first cut, and the other cuts without their middle.
    assert_eq!(used(before), 1 + 11 + 30 * (whole.cuts.len() - 1), "{} cuts", whole.cuts.len());
    assert_eq!(format!("{:?}", resumed.cuts), format!("{:?}", whole.cuts));
    assert_eq!(format!("{:?}", resumed.results.cuts), format!("{:?}", whole.results.cuts));
}

/// L = Σ aᵢ tᵢ² / 2 as closures, with errors in gradient and Hessian on demand.
fn bowl<'a>(a: &'a [f64; 2], gradient_factor: f64, hessian_factor: f64) -> FnRisk<'a> {
    FnRisk::new(2, move |t| 0.5 * (a[0] * t[0] * t[0] + a[1] * t[1] * t[1]))
        .with_gradient(move |t, g| (0..2).for_each(|i| g[i] = gradient_factor * a[i] * t[i]))
        .with_hessian(move |_, v, hv| (0..2).for_each(|i| hv[i] = hessian_factor * a[i] * v[i]))
}

fn point_of(risk: &FnRisk<'_>, out: &Path) -> Result<(), AnalysisError> {
    analyze(&Subject::new("bowl", vec![1.0, 2.0], risk), &Selection::nothing("test"), None, out, &mut ())
        .map(|_| ())
}

#[test]
fn an_edited_closure_is_not_taken_for_the_one_that_the_folder_is_of() {
    let temp = tempfile::tempdir().unwrap();
    let a = [1.0, 3.0];
    point_of(&bowl(&a, 1.0, 1.0), temp.path()).unwrap();
    point_of(&bowl(&a, 1.0, 1.0), temp.path()).expect("the same function again");
    let edited = [1.0, 3.0_f64.next_up()];
    for (what, risk) in [
        ("loss", bowl(&edited, 1.0, 1.0)),
        ("gradient", bowl(&a, 1.5, 1.0)),
        ("Hessian", bowl(&a, 1.0, 1.5)),
        ("no products", FnRisk::new(2, |t| 0.5 * (t[0] * t[0] + 3.0 * t[1] * t[1]))),
    ] {
        let error = point_of(&risk, temp.path()).expect_err(what).to_string();
        assert!(error.contains("fingerprint"), "{what}: {error}");
    }
    point_of(&bowl(&a, 1.0, 1.0), temp.path()).expect("nothing was changed by the refusals");
}

#[test]
fn an_identity_takes_the_place_of_the_fingerprint() {
    let temp = tempfile::tempdir().unwrap();
    let (first, second) = (temp.path().join("a"), temp.path().join("b"));
    let a = [1.0, 3.0];
    point_of(&bowl(&a, 1.0, 1.0).with_identity("version", 1), &first).unwrap();
    let error = point_of(&bowl(&a, 1.0, 1.0).with_identity("version", 2), &first).unwrap_err().to_string();
    assert!(error.contains("version was 1, now 2"), "{error}");
    // A function that does not repeat itself has no fingerprint: its results are good for itself only.
    let risk = bowl(&a, 1.0, 1.0).not_repeatable();
    point_of(&risk, &second).unwrap();
    point_of(&risk, &second).expect("the same risk goes on");
    let error = point_of(&bowl(&a, 1.0, 1.0).not_repeatable(), &second).unwrap_err().to_string();
    assert!(error.contains("fingerprint"), "{error}");
}
