//! How many samples pictures need: pilot points near the centre are evaluated on more and more samples, none twice, until their
//! differences from the centre are known well enough.

use super::super::error::AnalysisError;
use super::super::monitor::Monitor;
use super::super::selection::{AutoSamples, SliceChoice};
use super::escape::move_to;
use crate::risk::{Evaluation, Risk, RiskError};
use crate::sampling_error::paired_difference;

/// Samples of the first round.
pub(crate) const FIRST: usize = 32;

/// Points along one line near the centre, with what is known of their losses so far.
pub(crate) struct Pilot {
    /// The line in words.
    words: String,
    direction: Vec<f64>,
    /// Coordinates along it.
    points: Vec<(f64, Evaluation)>,
}

impl Pilot {
    pub fn new(words: String, direction: Vec<f64>, points: &[f64]) -> Self {
        Self { words, direction, points: points.iter().map(|&p| (p, Evaluation::default())).collect() }
    }

    /// The largest standard error of a difference from the centre, as a share of the range of the differences (the centre's 0 among
    /// them); infinite where an error is not known.
    fn known_to(&self, center: &Evaluation) -> f64 {
        let (mut low, mut high, mut worst) = (0.0_f64, 0.0_f64, 0.0_f64);
        for (_, found) in &self.points {
            let d = paired_difference(center, found);
            low = low.min(d.value);
            high = high.max(d.value);
            worst = worst.max(d.std_error.unwrap_or(f64::INFINITY));
        }
        let share = worst / (high - low);
        if share.is_nan() { f64::INFINITY } else { share }
    }
}

/// Adds the parts of a loss on more samples. The loss is the mean of all parts, by their weights.
fn add(known: &mut Evaluation, more: Evaluation) {
    known.chunk_losses.extend(more.chunk_losses);
    known.chunk_samples.extend(more.chunk_samples);
    let weights = known.chunk_samples.iter().map(|&w| w as f64);
    let total: f64 = weights.clone().sum();
    known.loss = known.chunk_losses.iter().zip(weights).map(|(l, w)| l * w).sum::<f64>() / total;
}

/// Doubles the number of samples until the differences of all pilots are known to the share asked for, or all samples are used.
///
/// # Errors
/// Cancelled; a risk that fails, or cannot be evaluated on some of its samples or in parts.
pub(crate) fn choose(
    auto: &AutoSamples,
    risk: &dyn Risk,
    theta: &[f64],
    pilots: &mut [Pilot],
    monitor: &mut dyn Monitor,
) -> Result<SliceChoice, AnalysisError> {
    let all = risk.samples();
    let not_offered = |what: &str| RiskError::NotOffered { what: what.into() };
    if !risk.offers().chunks {
        return Err(not_offered(
            "the losses of single samples or groups of them, which the choice of samples needs",
        )
        .into());
    }
    monitor.begin("samples of cuts and surfaces", None);
    let mut choice = SliceChoice { share: auto.share, ..SliceChoice::default() };
    let (mut center, mut point) = (Evaluation::default(), theta.to_vec());
    let mut wanted = FIRST.min(all);
    loop {
        let block = choice.samples..wanted;
        let Some(more) = risk.samples_in(block.clone())? else {
            return Err(
                not_offered("its loss on some of its samples, which the choice of samples needs").into()
            );
        };
        add(&mut center, more.evaluate(theta)?);
        for pilot in &mut *pilots {
            for (step, known) in &mut pilot.points {
                if monitor.cancelled() {
                    return Err(AnalysisError::Cancelled);
                }
                move_to(theta, *step, &pilot.direction, &mut point);
                add(known, more.evaluate(&point)?);
            }
        }
        let points = 1 + pilots.iter().map(|p| p.points.len()).sum::<usize>();
        choice.sample_evaluations += points * block.len();
        choice.samples = wanted;
        let worst = pilots.iter().map(|p| (p.known_to(&center), &p.words)).max_by(|a, b| a.0.total_cmp(&b.0));
        (choice.known_to, choice.worst) = worst.map_or((0.0, String::new()), |(k, w)| (k, w.clone()));
        choice.rounds.push([wanted as f64, choice.known_to]);
        monitor.advance(
            wanted as u64,
            &format!("differences known to {:.1} % of their range", 100.0 * choice.known_to),
        );
        choice.reached = choice.known_to <= auto.share;
        if choice.reached || wanted == all {
            monitor.end(&choice.sentence(all));
            return Ok(choice);
        }
        wanted = (2 * wanted).min(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FnRisk;
    use saddlescope_krylov::Stream;

    /// ℓₛ(x) = cₛ + aₛ x with aₛ = 1 + 2 zₛ: the difference at x is x Σ aₛ/n, its error 2|x|/√n.
    fn risk(c: f64) -> FnRisk<'static> {
        let mut z = vec![0.0; 4096];
        Stream::new(5, "slopes", 0).fill_normal(&mut z);
        FnRisk::mean(1, 4096, move |t, losses| {
            for (s, loss) in losses.iter_mut().enumerate() {
                *loss = c * (s as f64).sin() + (1.0 + 2.0 * z[s]) * t[0];
            }
        })
    }

    fn pilots() -> Vec<Pilot> {
        vec![Pilot::new("x".into(), vec![1.0], &[-0.5, 0.5])]
    }

    #[test]
    fn as_many_samples_as_the_share_asks_for_and_none_twice() {
        // Range 1, error 1/√n: a share of 0.05 takes n = 400 samples, that is 512 of the rounds of 32, 64, … What samples have in common
        // (a hundred times larger) does not matter.
        for c in [0.0, 100.0] {
            let choice =
                choose(&AutoSamples { share: 0.05 }, &risk(c), &[0.0], &mut pilots(), &mut ()).unwrap();
            assert_eq!((choice.samples, choice.reached), (512, true), "{choice:?}");
            // Three points on every sample, once.
            assert_eq!(choice.sample_evaluations, 3 * 512);
            assert_eq!(choice.rounds.len(), 5);
            for [n, known] in &choice.rounds {
                // An error of 64 or more samples is itself known to 1/√(2·63) = 9 %, one of 32 to 13 %; its range is to 2/√n.
                assert!((known * n.sqrt() - 1.0).abs() < 0.5, "{n}: {known}");
            }
        }
    }

    #[test]
    fn the_budget_ends_it_and_is_named() {
        let choice =
            choose(&AutoSamples { share: 1e-3 }, &risk(0.0), &[0.0], &mut pilots(), &mut ()).unwrap();
        assert_eq!((choice.samples, choice.reached), (4096, false));
        assert!(choice.sentence(4096).contains("All 4096 samples are used"), "{}", choice.sentence(4096));
        let plain = FnRisk::new(1, |t| t[0]);
        let refused = choose(&AutoSamples { share: 0.1 }, &plain, &[0.0], &mut pilots(), &mut ());
        assert!(refused.is_err());
    }
}
