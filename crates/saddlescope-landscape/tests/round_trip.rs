//! Every result survives being written and read again, in JSON and in MessagePack, whatever numbers are in it: NaN and
//! infinities too.
//!
//! Where a number may be unknown, NaN means just that, so that `Some(NaN)` is read as `None`, and an error that is not
//! finite as one that is not known.

use std::fmt::Debug;

use proptest::prelude::*;
use saddlescope_krylov::Status;
use saddlescope_landscape::analysis::*;
use saddlescope_landscape::reading::CriticalKind;
use saddlescope_landscape::sharpness::{Measure, MeasureKind};
use saddlescope_landscape::{
    Axis, CurvatureFit, FitContent, FitWarning, LineFit, PointErrors, SettleEnd, SettleStep, Surface,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Numbers to fill results with, one after the other.
struct Numbers(std::iter::Cycle<std::vec::IntoIter<f64>>);

impl Numbers {
    fn one(&mut self) -> f64 {
        self.0.next().unwrap()
    }

    fn pair(&mut self) -> [f64; 2] {
        [self.one(), self.one()]
    }

    fn many(&mut self) -> Vec<f64> {
        (0..5).map(|_| self.one()).collect()
    }

    fn pairs(&mut self) -> Vec<[f64; 2]> {
        (0..3).map(|_| self.pair()).collect()
    }

    fn known(&mut self) -> Option<f64> {
        Some(self.one()).filter(|x| !x.is_nan())
    }

    fn estimate(&mut self) -> Estimate {
        let (value, error) = (self.one(), self.one());
        Estimate { value, std_error: if error.is_finite() { error } else { f64::INFINITY }, samples: 3 }
    }

    fn eigenpair(&mut self) -> EigenpairResult {
        EigenpairResult {
            end: SpectrumEnd::Smallest,
            value: self.one(),
            residual: self.one(),
            rounding: self.one(),
            interval: self.pair(),
            std_error: self.known(),
            converged: false,
            criterion: None,
            direction: "eigenvector.smallest.1".into(),
        }
    }

    fn planes(&mut self) -> PlanesResult {
        PlanesResult {
            curvatures: self.pairs(),
            minima: 1,
            saddles: 2,
            maxima: 3,
            kappa_minus: self.estimate(),
            kappa_plus: self.estimate(),
            saddle_interval: self.pair(),
        }
    }

    fn part(&mut self) -> PartEigenvalue {
        PartEigenvalue { value: self.one(), residual: self.one(), converged: true }
    }

    fn cut(&mut self) -> Cut {
        Cut {
            name: "cut".into(),
            direction: "d".into(),
            curvature: self.one(),
            slope: self.one(),
            prediction: Some(Prediction { slope: self.one(), curvature: self.one() }),
            alpha: self.many(),
            measured: self.losses(),
            other: Some(self.losses()),
        }
    }

    fn losses(&mut self) -> CutLosses {
        CutLosses {
            samples: 3,
            center: self.one(),
            center_std_error: self.known(),
            loss: self.many(),
            errors: Some(self.errors()),
        }
    }

    fn errors(&mut self) -> PointErrors {
        PointErrors { loss: self.many(), difference: self.many() }
    }

    fn cut_minimum(&mut self) -> CutMinimum {
        CutMinimum {
            alpha: self.one(),
            loss: self.one(),
            difference: self.one(),
            difference_std_error: self.known(),
            distinguishable: Some(true),
        }
    }

    fn surface(&mut self) -> NamedSurface {
        let axis = Axis::new(-1.0, 1.5, 2).unwrap();
        NamedSurface {
            name: "surface".into(),
            split: "train".into(),
            directions: ["a".into(), "b".into()],
            labels: ["a".into(), "b".into()],
            heading: "h".into(),
            zoom: false,
            samples: 5,
            surface: Surface {
                a: axis,
                b: axis,
                loss: (0..4).map(|_| self.one()).collect(),
                accuracy: Some((0..4).map(|_| self.one()).collect()),
                center: self.one(),
                center_std_error: self.known(),
                errors: Some(self.errors()),
                evaluated: Some(vec![true, false, true, true]),
            },
        }
    }

    fn content(&mut self) -> FitContent {
        FitContent { cubic: self.one(), quartic: self.one(), residual: self.one() }
    }

    fn fit(&mut self) -> CurvatureFit {
        let line = LineFit {
            curvature: self.one(),
            std_error: self.one(),
            quadratic_energy: self.one(),
            cubic_energy: self.one(),
            quartic_energy: self.one(),
            residual_energy: self.one(),
        };
        CurvatureFit {
            trace: self.estimate(),
            per_probe: self.many(),
            fit_errors: self.many(),
            axis: Axis::new(-0.1, 0.1, 7).unwrap(),
            evaluations: 7,
            lines: vec![line],
            interval_evaluations: 0,
            tolerance: self.one(),
            content: self.content(),
            warning: Some(FitWarning::NotQuadratic { lo: -0.1, hi: 0.1, content: self.content() }),
        }
    }

    fn measure(&mut self) -> Measure {
        Measure { of: Some("layer".into()), ..Measure::largest(self.one(), self.one(), self.known(), false) }
    }

    fn sharpness(&mut self) -> SharpnessResult {
        let mut measure = self.measure();
        measure.error = self.known();
        SharpnessResult {
            rho: self.one(),
            epsilon: self.one(),
            measures: vec![MeasureResult {
                measure: measure.clone(),
                name: "λ_max".into(),
                formula: "f".into(),
                source: "s".into(),
                error_is: "e".into(),
            }],
            left_out: vec![MeasureLeftOut {
                kind: MeasureKind::Critical,
                name: "c".into(),
                reason: "none".into(),
            }],
            rescaled: vec![RescaledResult {
                name: "copy".into(),
                factor: self.one(),
                loss: self.one(),
                measures: vec![measure],
            }],
        }
    }

    fn settle(&mut self) -> SettleResult {
        SettleResult {
            end: SettleEnd::Stalled,
            message: "stalled".into(),
            tolerance: self.one(),
            gradient_norm: self.pair(),
            loss: self.pair(),
            accuracy: Some(self.pair()),
            other_loss: Some(self.pair()),
            distance: self.one(),
            relative_distance: self.one(),
            steps: vec![SettleStep {
                gradient_norm: self.one(),
                loss: self.one(),
                distance: self.one(),
                length: self.one(),
                model_error: self.one(),
                curvature: self.one(),
                refused: 2,
                products: 3,
            }],
            products: 3,
            gradients: 4,
            spectrum: Some(CriticalSpectrum {
                whole: true,
                negative: 1,
                zero: None,
                positive: 2,
                threshold: self.one(),
                eigenvalues: self.many(),
                largest: vec![self.part()],
                smallest: vec![self.part()],
                products: 5,
            }),
            kind: Some(CriticalKind::Degenerate),
        }
    }

    fn results(&mut self) -> Results {
        let eigen = EigenResult {
            pairs: vec![self.eigenpair()],
            status: Status::MaxMatvecs,
            message: "stopped".into(),
            products: 3,
            max_products: 1000,
            rounding_floor: Some(RoundingFloor {
                precision: "f32".into(),
                pairs: 1,
                of: 1,
                residual: self.one(),
                relative: self.one(),
                tolerance: self.one(),
            }),
            method: EigenMethod::Lanczos,
            condition_b1: None,
            rest: Some(self.pair()),
        };
        Results {
            schema: SCHEMA,
            verb: "analyze".into(),
            model: "m".into(),
            loss: self.one(),
            accuracy: self.known(),
            other_loss: Some(self.one()),
            other_accuracy: self.known(),
            gradient_norm: Some(self.one()),
            loss_std_error: self.known(),
            other_loss_std_error: self.known(),
            parameters: 4,
            samples: 1,
            slice_samples: 1,
            slice_choice: Some(SliceChoice {
                share: self.one(),
                samples: 1,
                known_to: self.one(),
                worst: "d".into(),
                reached: false,
                rounds: self.pairs(),
                sample_evaluations: 7,
            }),
            other_samples: Some(2),
            splits: vec!["train".into(), "test".into()],
            hessian_signs: Some(HessianSigns::Undecided),
            criticality: Some(Criticality {
                gradient_change: self.one(),
                newton_steps: self.pair(),
                newton_changes: self.pair(),
                escape_distance: self.known(),
                allowed: self.one(),
                critical: false,
            }),
            kind: Some(CriticalKind::Undecided),
            about: vec!["a".into()],
            verdict: vec!["v".into()],
            status: Some(Status::NonFinite),
            matvecs: 3,
            eigenpairs: eigen.pairs.clone(),
            eigen: Some(eigen),
            trace: Some(TraceResult {
                hutchinson: self.estimate(),
                curvature_fit: Some(self.estimate()),
                curvature_fit_difference: Some(self.estimate()),
                curvature_fit_warning: None,
                trace_of_square: self.estimate(),
                over_data: Some(0.25),
                running_hutchinson: self.many(),
                running_hutchinson_error: self.many(),
                running_fit: self.many(),
            }),
            mean_curvature: Some(self.estimate()),
            frobenius_norm: Some(self.estimate()),
            layers: vec![LayerTrace { name: "w".into(), parameters: 4, trace: self.estimate() }],
            random_planes: Some(self.planes()),
            filtered_planes: Some(self.planes()),
            saddle_probability: Some(self.estimate()),
            saddle_probability_closed_form: Some(self.one()),
            density: Some(DensityResult {
                at: self.many(),
                density: self.many(),
                std_error: self.many(),
                width: self.one(),
                nodes: self.many(),
                weights: self.many(),
                index: self.estimate(),
                clearly_negative: self.estimate(),
                index_bounds: [self.one(), self.one()],
                clearly_negative_bounds: [self.one(), self.one()],
                threshold: self.one(),
                products: 8,
            }),
            split: Some(SplitResult {
                gauss_newton_largest: self.part(),
                residual_largest: self.part(),
                residual_smallest: self.part(),
                at_lambda_min: self.pair(),
                at_lambda_max: self.pair(),
                products: 9,
            }),
            cuts: vec![CutResult {
                name: "c".into(),
                direction: "d".into(),
                curvature: self.one(),
                slope: self.one(),
                prediction: Some(Prediction { slope: self.one(), curvature: self.one() }),
                range: self.pair(),
                points: 5,
                samples: 3,
                center_loss: self.one(),
                center_std_error: self.known(),
                minimum: Some(self.cut_minimum()),
                other_samples: Some(2),
                other_minimum: Some(self.cut_minimum()),
            }],
            surfaces: vec![SurfaceResult {
                name: "s".into(),
                directions: ["a".into(), "b".into()],
                split: "train".into(),
                shape: [2, 2],
                evaluated: 4,
                ranges: [[-1.0, 1.0], [0.0, 1.0]],
                minimum: Some(MinimumResult {
                    alpha: self.one(),
                    beta: self.one(),
                    loss: self.one(),
                    difference: self.one(),
                    difference_std_error: self.known(),
                    distinguishable: Some(false),
                }),
                samples: 3,
                center_loss: self.one(),
                center_std_error: self.known(),
                not_finite: 1,
            }],
            escape: Some(EscapeResult {
                step: self.one(),
                loss: self.pair(),
                other_loss: Some(self.pair()),
                accuracy: Some(self.pair()),
                other_accuracy: Some(self.pair()),
                change_std_error: self.known(),
                other_change_std_error: self.known(),
                tried: self.pairs(),
            }),
            sharpness: Some(self.sharpness()),
            settle: Some(self.settle()),
            self_check: SelfCheck {
                finite_difference_error: Some(self.one()),
                finite_difference_allowed: self.one(),
                finite_difference_samples: 1,
                finite_difference_precision: "f64".into(),
                smooth_step: self.known(),
                rounding_error: Some(self.one()),
                asymmetry: Some(self.one()),
                repeatable: true,
                warnings: vec![],
            },
            cost: Cost {
                product_seconds: self.one(),
                evaluation_seconds: self.one(),
                products: 1,
                evaluations: 1,
                seconds: self.one(),
                bytes: 1,
            },
            not_offered: vec![],
            left_out: vec!["fits: no interval".into()],
            stages: [("point".to_string(), "0".to_string())].into(),
            provenance: [("model".to_string(), "m".into())].into(),
        }
    }
}

/// Writes, reads and compares by the text of every number: NaN is equal to NaN, −0 is not 0.
fn same<T: Serialize + DeserializeOwned + Debug>(value: &T) -> Result<(), TestCaseError> {
    let wanted = format!("{value:?}");
    let json = serde_json::to_string(value).unwrap();
    let read: T = serde_json::from_str(&json).map_err(|e| TestCaseError::fail(format!("{e} in {json}")))?;
    prop_assert_eq!(format!("{read:?}"), wanted.clone());
    let packed = rmp_serde::to_vec_named(value).unwrap();
    let read: T =
        rmp_serde::from_slice(&packed).map_err(|e| TestCaseError::fail(format!("{e}, {wanted}")))?;
    prop_assert_eq!(format!("{read:?}"), wanted);
    Ok(())
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(-0.0),
        1 => Just(3.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_result_is_read_as_it_was_written(values in prop::collection::vec(number(), 23)) {
        let mut n = Numbers(values.into_iter().cycle());
        same(&n.results())?;
        same(&n.estimate())?;
        same(&n.fit())?;
        same(&n.cut())?;
        same(&n.surface())?;
    }
}

#[test]
fn nan_is_null_and_infinities_are_words() {
    let json = |x: f64| {
        let mut n = Numbers(vec![x].into_iter().cycle());
        serde_json::to_value(n.eigenpair()).unwrap()
    };
    assert_eq!(json(f64::NAN)["value"], serde_json::Value::Null);
    assert_eq!(json(f64::INFINITY)["residual"], "Infinity");
    assert_eq!(json(f64::NEG_INFINITY)["interval"][1], "-Infinity");
    let mut pair = Numbers(vec![1.0].into_iter().cycle()).eigenpair();
    pair.std_error = Some(f64::NAN);
    let text = serde_json::to_string(&pair).unwrap();
    assert_eq!(serde_json::from_str::<EigenpairResult>(&text).unwrap().std_error, None);
}
