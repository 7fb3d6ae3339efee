//! The measures by name: formula, source, what their error is, what they cost.

use serde::{Deserialize, Serialize};

use crate::risk::Curvature;

/// A measure of sharpness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureKind {
    /// λ_max(H).
    LargestEigenvalue,
    /// tr H.
    Trace,
    /// ‖H‖_F.
    FrobeniusNorm,
    /// L(θ + ρ g/‖g‖) − L(θ).
    SamStep,
    /// max L(θ + ε) − L(θ) over ‖ε‖ ≤ ρ.
    SamAscent,
    /// 100 (max L(θ + z) − L(θ)) / (1 + L(θ)) over |zᵢ| ≤ ε (|θᵢ| + 1).
    Keskar,
    /// 2/η_c.
    Critical,
    /// λ_max(DHD).
    FilterLargestEigenvalue,
    /// tr DHD.
    FilterTrace,
    /// √(θᵀFθ) with the Fisher matrix of per-sample gradients.
    FisherRao,
    /// √(θᵀGθ) with the Gauss–Newton matrix.
    FisherRaoModel,
    /// Σ ⟨w_s, w_s'⟩ tr H_{s,s'}.
    RelativeFlatness,
}

impl MeasureKind {
    /// All of them, in the order in which they are computed and shown.
    pub const ALL: [Self; 12] = [
        Self::LargestEigenvalue,
        Self::Trace,
        Self::FrobeniusNorm,
        Self::SamStep,
        Self::SamAscent,
        Self::Keskar,
        Self::Critical,
        Self::FilterLargestEigenvalue,
        Self::FilterTrace,
        Self::FisherRao,
        Self::FisherRaoModel,
        Self::RelativeFlatness,
    ];

    /// The table of all measures in Markdown: `docs/sharpness.md` has it.
    pub fn table() -> String {
        let mut out =
            String::from("| measure | formula | source | error | cost |\n| --- | --- | --- | --- | --- |\n");
        for kind in Self::ALL {
            // A bar would end the cell.
            let cells = [kind.name(), kind.formula(), kind.source(), kind.error(), kind.cost()];
            out.push_str(&format!("| {} |\n", cells.map(|c| c.replace('|', "\\|")).join(" | ")));
        }
        out
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::LargestEigenvalue => "λ_max",
            Self::Trace => "trace",
            Self::FrobeniusNorm => "Frobenius norm",
            Self::SamStep => "SAM sharpness, one step",
            Self::SamAscent => "SAM sharpness, climbed",
            Self::Keskar => "ε-sharpness, %",
            Self::Critical => "critical sharpness",
            Self::FilterLargestEigenvalue => "filter-normalised λ_max",
            Self::FilterTrace => "filter-normalised trace",
            Self::FisherRao => "Fisher–Rao norm",
            Self::FisherRaoModel => "Fisher–Rao norm, model's Fisher",
            Self::RelativeFlatness => "relative flatness",
        }
    }

    /// Its formula.
    pub fn formula(self) -> &'static str {
        match self {
            Self::LargestEigenvalue => "λ_max(H)",
            Self::Trace => "tr H",
            Self::FrobeniusNorm => "‖H‖_F = √(tr H²)",
            Self::SamStep => "L(θ + ρ g/‖g‖) − L(θ)",
            Self::SamAscent => "max L(θ + ε) − L(θ) over ‖ε‖ ≤ ρ",
            Self::Keskar => "100 (max L(θ + z) − L(θ)) / (1 + L(θ)) over |zᵢ| ≤ ε(|θᵢ| + 1)",
            Self::Critical => "2/η_c, η_c the smallest η with L(θ − ηg) > L(θ)",
            Self::FilterLargestEigenvalue => "λ_max(DHD), D the norm of each weight's filter, 0 for biases",
            Self::FilterTrace => "tr DHD, D the norm of each weight's filter, 0 for biases",
            Self::FisherRao => "√(θᵀFθ), F the mean of ∇ℓ∇ℓᵀ over samples",
            Self::FisherRaoModel => {
                "√(θᵀGθ), G the Gauss–Newton matrix: for cross-entropy the Fisher matrix of the model's own labels"
            }
            Self::RelativeFlatness => "Σ ⟨w_s, w_s'⟩ tr H_{s,s'} over pairs of rows of the last linear layer",
        }
    }

    /// Where it is from.
    pub fn source(self) -> &'static str {
        match self {
            Self::LargestEigenvalue => "LeCun et al. 1993; Hochreiter & Schmidhuber 1997",
            Self::Trace => "Hutchinson 1990 (estimator); (2.20) of Böttcher & Wheeler 2022",
            Self::FrobeniusNorm => "tr H² = E‖Hz‖² over the same probes",
            Self::SamStep | Self::SamAscent => "Foret et al. 2021",
            Self::Keskar => "Keskar et al. 2017, (metric 2.1) with A = I",
            Self::Critical => "Kalra et al. 2026, arXiv 2601.16979",
            Self::FilterLargestEigenvalue | Self::FilterTrace => "the metric of Li et al. 2018",
            Self::FisherRao | Self::FisherRaoModel => "Liang et al. 2019",
            Self::RelativeFlatness => "Petzka et al. 2021, definition 3",
        }
    }

    /// What its error is.
    pub fn error(self) -> &'static str {
        match self {
            Self::LargestEigenvalue => {
                "true residual ‖Hv − λv‖ and rounding of the products: an eigenvalue lies within them"
            }
            Self::FilterLargestEigenvalue => {
                "true residual of DHD and rounding: an eigenvalue lies within them"
            }
            Self::Trace | Self::FrobeniusNorm | Self::FilterTrace | Self::RelativeFlatness => {
                "standard error over random probes"
            }
            Self::SamStep | Self::FisherRao | Self::FisherRaoModel => "rounding only",
            Self::SamAscent | Self::Keskar => {
                "a bound from below, by how much is not known; `error` in the JSON is what the linear model at the top still promises"
            }
            Self::Critical => "half the interval that the search ended with",
        }
    }

    /// What it costs.
    pub fn cost(self) -> &'static str {
        match self {
            Self::LargestEigenvalue | Self::FilterLargestEigenvalue => "20 to 60 products",
            Self::Trace | Self::FilterTrace | Self::RelativeFlatness => "a product a probe",
            Self::FrobeniusNorm => "nothing beside the trace",
            Self::SamStep => "a gradient and a loss",
            Self::SamAscent | Self::Keskar => "ten to 200 gradients, from four starts",
            Self::Critical => "a gradient and five to ten losses",
            Self::FisherRao | Self::FisherRaoModel => "a product",
        }
    }

    /// The matrix that it needs products with.
    pub fn curvature(self) -> Option<Curvature> {
        match self {
            Self::SamStep | Self::SamAscent | Self::Keskar | Self::Critical => None,
            Self::FisherRao => Some(Curvature::PerSampleGradientFisher),
            Self::FisherRaoModel => Some(Curvature::GaussNewton),
            _ => Some(Curvature::Hessian),
        }
    }

    /// Whether it is the same for a ReLU network whose one layer is multiplied and whose next is divided by one factor.
    pub fn holds_under_layer_rescaling(self) -> bool {
        matches!(
            self,
            Self::FilterLargestEigenvalue
                | Self::FilterTrace
                | Self::FisherRao
                | Self::FisherRaoModel
                | Self::RelativeFlatness
        )
    }

    /// Whether its value is a bound from below: what a climb has reached.
    pub fn is_lower_bound(self) -> bool {
        matches!(self, Self::SamAscent | Self::Keskar)
    }

    /// Whether it needs gradients.
    pub fn needs_gradient(self) -> bool {
        matches!(self, Self::SamStep | Self::SamAscent | Self::Keskar | Self::Critical)
    }
}
