//! The 2 × 2 Hessian of a plane and its principal curvatures.

use serde::{Deserialize, Serialize};

/// [[A, B], [B, C]], the Hessian of ℓ(α, β) at the origin (2.15): A = ηᵀHη, B = ηᵀHδ, C = δᵀHδ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaneHessian {
    /// A = ηᵀHη.
    pub a: f64,
    /// B = ηᵀHδ.
    pub b: f64,
    /// C = δᵀHδ.
    pub c: f64,
}

/// κ₊ ≥ κ₋, the eigenvalues of a [`PlaneHessian`] (2.16).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrincipalCurvatures {
    /// κ₊.
    pub plus: f64,
    /// κ₋.
    pub minus: f64,
}

/// What a plane looks like at its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaneShape {
    /// Both curvatures positive.
    Minimum,
    /// Both curvatures negative.
    Maximum,
    /// Curvatures of opposite signs.
    Saddle,
    /// A curvature is exactly zero or not a number.
    Undecided,
}

impl PlaneHessian {
    /// κ± = ½ (A + C ± √(4B² + (A − C)²)) (2.16).
    pub fn curvatures(&self) -> PrincipalCurvatures {
        let mean = 0.5 * (self.a + self.c);
        let radius = self.b.hypot(0.5 * (self.a - self.c));
        PrincipalCurvatures { plus: mean + radius, minus: mean - radius }
    }
}

impl PrincipalCurvatures {
    /// What such a plane looks like.
    pub fn shape(&self) -> PlaneShape {
        if self.minus > 0.0 {
            PlaneShape::Minimum
        } else if self.plus < 0.0 {
            PlaneShape::Maximum
        } else if self.plus > 0.0 && self.minus < 0.0 {
            PlaneShape::Saddle
        } else {
            PlaneShape::Undecided
        }
    }
}
