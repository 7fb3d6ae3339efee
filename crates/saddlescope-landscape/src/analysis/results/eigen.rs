//! Eigenpairs and what they say about the point.

use saddlescope_figure::floats;
use saddlescope_krylov::{Criterion, Precision, SpectrumEnd, Status};
use serde::{Deserialize, Serialize};

use super::super::selection::EigenMethod;
use crate::number_text::{plural, scientific};

/// An eigenpair without its vector (that is in `directions.safetensors`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EigenpairResult {
    /// Which end it was asked for at.
    pub end: SpectrumEnd,
    /// λ, the Rayleigh quotient of the unit vector.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// ‖Hv − λv‖₂ from a product with this very vector.
    #[serde(with = "floats::scalar")]
    pub residual: f64,
    /// How far rounding moves a product with a unit vector, estimated from what the self-check found: the distance of a product in f32
    /// from the same in f64, as a share of the largest |λ|.
    #[serde(default, with = "floats::scalar")]
    pub rounding: f64,
    /// λ ± (residual + rounding): holds an eigenvalue of H.
    #[serde(with = "floats::pair")]
    pub interval: [f64; 2],
    /// Standard error of λ over the data: what other samples from the same source would change, from the Rayleigh
    /// quotients vᵀH_b v of chunks of samples; `None` where it is not known (fewer than two chunks).
    #[serde(default, with = "floats::known")]
    pub std_error: Option<f64>,
    /// Whether the residual is within the tolerance asked for, or within the rounding floor where that is larger.
    pub converged: bool,
    /// Which test decided that, in words: the relative tolerance, the error over the data, or the rounding floor.
    #[serde(default)]
    pub criterion: Option<String>,
    /// Name of the vector in `directions.safetensors`.
    pub direction: String,
}

impl EigenpairResult {
    /// Whether it was taken because its residual is within the rounding floor, though not within the tolerance.
    pub fn at_rounding_floor(&self) -> bool {
        self.criterion.as_ref().is_some_and(|c| *c == Criterion::Floor.to_string())
    }
}

/// Where pairs were left at the rounding errors of the products, above the tolerance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundingFloor {
    /// The number type whose rounding it is: `f32` or `f64`.
    pub precision: String,
    /// How many pairs were left there.
    pub pairs: usize,
    /// Of how many.
    pub of: usize,
    /// The largest true residual ‖Hv − λv‖ among them.
    #[serde(with = "floats::scalar")]
    pub residual: f64,
    /// The largest residual / |λ| among them: a tolerance that all of them are within. Infinite where λ is 0.
    #[serde(with = "floats::scalar")]
    pub relative: f64,
    /// The tolerance that was asked for, relative to |λ|.
    #[serde(with = "floats::scalar")]
    pub tolerance: f64,
}

impl RoundingFloor {
    /// What `pairs` of a solve to this tolerance were left at the floor; `None` where none was.
    ///
    /// A solve that ended with [`Status::RoundingFloor`] has left there all pairs that have not converged.
    pub(crate) fn of(
        pairs: &[EigenpairResult],
        status: Status,
        tolerance: f64,
        precision: Precision,
    ) -> Option<Self> {
        let ended = status == Status::RoundingFloor;
        let left: Vec<&EigenpairResult> =
            pairs.iter().filter(|p| p.at_rounding_floor() || ended && !p.converged).collect();
        let most = |of: fn(&EigenpairResult) -> f64| left.iter().map(|p| of(p)).fold(0.0, f64::max);
        (!left.is_empty()).then(|| Self {
            precision: match precision {
                Precision::F32 => "f32",
                Precision::F64 => "f64",
            }
            .into(),
            pairs: left.len(),
            of: pairs.len(),
            residual: most(|p| p.residual),
            relative: most(|p| p.residual / p.value.abs()),
            tolerance,
        })
    }

    /// Whether the floor is that of single precision, so that double precision helps.
    pub fn is_single(&self) -> bool {
        self.precision == "f32"
    }

    /// That in words, with what helps.
    pub fn sentence(&self) -> String {
        let (precision, helps) = match self.is_single() {
            true => ("single", "double precision or a larger tolerance helps"),
            false => ("double", "a larger tolerance helps"),
        };
        format!(
            "{} of {} stopped at the rounding floor of {precision} precision, with a true residual of up to {}, above the tolerance of \
             {} |λ|: {helps}, more products do not",
            self.pairs,
            plural(self.of, "pair"),
            scientific(self.residual, 1),
            scientific(self.tolerance, 0),
        )
    }
}

/// The eigenvalue stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EigenResult {
    /// The pairs, largest first.
    pub pairs: Vec<EigenpairResult>,
    /// How the solve ended.
    pub status: Status,
    /// That in words, with what to do next.
    pub message: String,
    /// Operator products used.
    pub products: usize,
    /// The limit on them.
    pub max_products: usize,
    /// Where pairs stopped at the rounding floor, above the tolerance; `None` where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding_floor: Option<RoundingFloor>,
    /// Which method.
    pub method: EigenMethod,
    /// Algorithm 1 only: what was found about condition (B.1).
    pub condition_b1: Option<String>,
    /// Where the rest of the spectrum begins below the largest pairs and above the smallest, as far as the Krylov space shows it: the
    /// next Ritz values, each nearer by its residual estimate. `None` where they are not known.
    #[serde(default, with = "floats::optional_pair", skip_serializing_if = "Option::is_none")]
    pub rest: Option<[f64; 2]>,
}

impl EigenResult {
    /// How a solve ended, in words.
    pub(crate) fn ending(status: Status, floor: Option<&RoundingFloor>) -> String {
        match floor {
            None => status.to_string(),
            // Nothing is wrong but the rounding.
            Some(floor) if matches!(status, Status::Converged | Status::RoundingFloor) => floor.sentence(),
            Some(floor) => format!("{status}; {}", floor.sentence()),
        }
    }

    /// The largest |λ| among the pairs.
    pub(crate) fn largest_magnitude(&self) -> f64 {
        self.pairs.iter().map(|p| p.value.abs()).fold(0.0, f64::max)
    }
}

/// The signs of the Hessian, as far as certified eigenvalues tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HessianSigns {
    /// Certainly eigenvalues of both signs.
    Indefinite,
    /// All eigenvalues certainly positive.
    Positive,
    /// All eigenvalues certainly negative.
    Negative,
    /// An extreme eigenvalue cannot be told from zero.
    Degenerate,
    /// The solve did not converge.
    Undecided,
}

/// How far from critical (∇L = 0) a point is, by what steps would change the loss to second order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criticality {
    /// ‖∇L‖²/(2 max|λ|): what a gradient step of length 1/max|λ| lowers the loss by (descent lemma), in units of the loss.
    #[serde(with = "floats::scalar")]
    pub gradient_change: f64,
    /// Signed Newton steps −gᵀv/λ along the unit eigenvectors of λ_max and λ_min, in units of θ: where the quadratic model
    /// is stationary.
    #[serde(with = "floats::pair")]
    pub newton_steps: [f64; 2],
    /// ½ (gᵀv)²/|λ| along both: by how much those steps change the quadratic model, in units of the loss.
    #[serde(with = "floats::pair")]
    pub newton_changes: [f64; 2],
    /// Distance to the smallest loss found along the eigenvector of λ_min, if it was looked for.
    #[serde(default, with = "floats::known")]
    pub escape_distance: Option<f64>,
    /// Largest change with which the point counts as critical: 1e-4 of the loss.
    #[serde(with = "floats::scalar")]
    pub allowed: f64,
    /// Whether all changes are within that.
    pub critical: bool,
}

/// The pair of the largest eigenvalue among `pairs` (largest first).
pub fn largest(pairs: &[EigenpairResult]) -> Option<&EigenpairResult> {
    pairs.iter().find(|p| p.end == SpectrumEnd::Largest)
}

/// The pair of the smallest eigenvalue among `pairs` (largest first).
pub fn smallest(pairs: &[EigenpairResult]) -> Option<&EigenpairResult> {
    pairs.iter().rev().find(|p| p.end == SpectrumEnd::Smallest)
}

/// Extreme eigenvalues of the two parts of H = G + R.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitResult {
    /// Largest eigenvalue of the generalised Gauss–Newton matrix G (it has no negative ones).
    pub gauss_newton_largest: PartEigenvalue,
    /// Largest eigenvalue of R = H − G.
    pub residual_largest: PartEigenvalue,
    /// Smallest eigenvalue of R.
    pub residual_smallest: PartEigenvalue,
    /// vᵀGv and vᵀRv for v the Hessian's eigenvector of λmin.
    #[serde(with = "floats::pair")]
    pub at_lambda_min: [f64; 2],
    /// The same for λmax.
    #[serde(with = "floats::pair")]
    pub at_lambda_max: [f64; 2],
    /// Operator products used.
    pub products: usize,
}

/// An eigenvalue with its residual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartEigenvalue {
    /// λ.
    #[serde(with = "floats::scalar")]
    pub value: f64,
    /// True residual.
    #[serde(with = "floats::scalar")]
    pub residual: f64,
    /// Whether it converged.
    pub converged: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(value: f64, residual: f64, criterion: Option<Criterion>) -> EigenpairResult {
        EigenpairResult {
            end: SpectrumEnd::Largest,
            value,
            residual,
            rounding: 0.0,
            interval: [value - residual, value + residual],
            std_error: None,
            converged: criterion.is_some(),
            criterion: criterion.map(|c| c.to_string()),
            direction: String::new(),
        }
    }

    #[test]
    fn what_stopped_at_the_floor_is_told_from_what_converged() {
        let good = pair(10.0, 1e-12, Some(Criterion::Relative));
        let floor = pair(-2.0, 3e-6, Some(Criterion::Floor));
        let open = pair(-4.0, 8e-6, None);
        let of = |pairs: &[&EigenpairResult], status| {
            let pairs: Vec<EigenpairResult> = pairs.iter().map(|&p| p.clone()).collect();
            RoundingFloor::of(&pairs, status, 1e-12, Precision::F32)
        };
        assert_eq!(of(&[&good], Status::Converged), None);
        // Not converged for another reason.
        assert_eq!(of(&[&good, &open], Status::MaxMatvecs), None);
        let found = of(&[&good, &floor], Status::Converged).unwrap();
        assert_eq!((found.pairs, found.of, found.residual, found.relative), (1, 2, 3e-6, 1.5e-6));
        let text = EigenResult::ending(Status::Converged, Some(&found));
        assert!(
            !text.contains("converged")
                && text.contains("1 of 2 pairs stopped at the rounding floor of single")
        );
        assert!(
            text.contains("3.0e−6") && text.contains("1e−12 |λ|") && text.contains("double precision or"),
            "{text}"
        );
        let found = of(&[&floor, &open], Status::RoundingFloor).unwrap();
        assert_eq!((found.pairs, found.residual, found.relative), (2, 8e-6, 2e-6));
        let both = EigenResult::ending(Status::MaxMatvecs, of(&[&floor, &open], Status::MaxMatvecs).as_ref());
        assert!(
            both.contains("the limit on operator products") && both.contains("1 of 2 pairs stopped"),
            "{both}"
        );
        let double = RoundingFloor { precision: "f64".into(), ..found };
        assert!(!double.sentence().contains("double precision or"), "{}", double.sentence());
    }
}
