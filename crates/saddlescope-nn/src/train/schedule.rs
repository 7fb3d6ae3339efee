//! Learning-rate schedules with warm-up, as closed forms of the step number.

use std::f64::consts::PI;
use std::fmt;

use super::TrainError;

/// How the learning rate changes during training.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// The same rate throughout.
    Constant,
    /// η · factorᵐ, m being the number of milestones (in epochs) that have been reached.
    Step {
        /// Epochs at which the rate is multiplied, increasing.
        milestones: Vec<usize>,
        /// What it is multiplied by.
        factor: f64,
    },
    /// η · (1 + cos(π s/S))/2 over the S steps after warm-up (Loshchilov & Hutter, "SGDR", 2017, without restarts).
    Cosine,
}

impl Schedule {
    /// Reads `constant`, `cosine`, or `step:MILESTONE,…[:FACTOR]`, for example `step:100,150:0.1` (0.1 if left out).
    ///
    /// # Errors
    /// [`TrainError::Option`] with what was found and the forms there are.
    pub fn parse(text: &str) -> Result<Self, TrainError> {
        let wrong = || TrainError::Option {
            option: "schedule",
            found: format!("{text:?}"),
            expected: "constant, cosine, or step:EPOCH,EPOCH,...[:FACTOR] with increasing epochs",
        };
        match text {
            "constant" => return Ok(Self::Constant),
            "cosine" => return Ok(Self::Cosine),
            _ => {}
        }
        let rest = text.strip_prefix("step:").ok_or_else(wrong)?;
        let (list, factor) = rest.split_once(':').unwrap_or((rest, "0.1"));
        let milestones: Vec<usize> =
            list.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let factor: f64 = factor.parse().map_err(|_| wrong())?;
        let increasing = milestones.is_sorted_by(|a, b| a < b);
        if !increasing || !factor.is_finite() || factor <= 0.0 {
            return Err(wrong());
        }
        Ok(Self::Step { milestones, factor })
    }

    /// What the base rate is multiplied by at `step` (from 0), with `per_epoch` steps an epoch, `total` steps in all,
    /// `warm_up` of which are warm-up: there the rate grows linearly, (step + 1)/`warm_up`.
    pub fn factor(&self, step: usize, per_epoch: usize, warm_up: usize, total: usize) -> f64 {
        if step < warm_up {
            return (step + 1) as f64 / warm_up as f64;
        }
        match self {
            Self::Constant => 1.0,
            Self::Step { milestones, factor } => {
                let epoch = step / per_epoch.max(1);
                let reached = milestones.iter().filter(|&&m| m <= epoch).count();
                (0..reached).map(|_| factor).product()
            }
            Self::Cosine => {
                let share = (step - warm_up) as f64 / total.saturating_sub(warm_up).max(1) as f64;
                // `libm`: the same bits on every machine.
                0.5 * (1.0 + libm::cos(PI * share.min(1.0)))
            }
        }
    }
}

impl fmt::Display for Schedule {
    /// In the form that [`Schedule::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Cosine => f.write_str("cosine"),
            Self::Step { milestones, factor } => {
                let list: Vec<String> = milestones.iter().map(usize::to_string).collect();
                write!(f, "step:{}:{factor}", list.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        let cosine = Schedule::Cosine;
        assert_eq!(cosine.factor(0, 10, 0, 100), 1.0);
        // cos(π/2) is 0 up to the rounding of π/2.
        assert!((cosine.factor(50, 10, 0, 100) - 0.5).abs() < 1e-15);
        assert!((cosine.factor(25, 10, 0, 100) - (0.5 + 0.125_f64.sqrt())).abs() < 1e-15);
        assert!(cosine.factor(99, 10, 0, 100) < 1e-3 && cosine.factor(99, 10, 0, 100) > 0.0);
        // After 20 steps of warm-up the cosine runs over the other 80.
        assert_eq!(cosine.factor(0, 10, 20, 100), 0.05);
        assert_eq!(cosine.factor(19, 10, 20, 100), 1.0);
        assert_eq!(cosine.factor(20, 10, 20, 100), 1.0);
        assert!((cosine.factor(60, 10, 20, 100) - 0.5).abs() < 1e-15);
        let step = Schedule::parse("step:2,5:0.5").unwrap();
        let at = |epoch: usize| step.factor(epoch * 10, 10, 0, 100);
        assert_eq!([at(0), at(1), at(2), at(4), at(5), at(9)], [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
        assert_eq!(step.factor(19, 10, 0, 100), 1.0);
        assert_eq!(Schedule::Constant.factor(77, 10, 0, 100), 1.0);
    }

    #[test]
    fn texts_are_read_and_written() {
        for text in ["constant", "cosine", "step:100,150:0.1", "step:3:0.25"] {
            assert_eq!(Schedule::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Schedule::parse("step:7").unwrap().to_string(), "step:7:0.1");
        for text in ["", "step", "step:", "step:5,5", "step:6,5", "step:5:0", "step:5:inf", "linear"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
