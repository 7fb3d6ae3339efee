//! The curvature matrices of an empirical risk, as engines offer and analyses ask for them.

use std::fmt;

/// Which curvature matrix a product is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Curvature {
    /// H = ∇∇L.
    Hessian,
    /// G = (1/K) Σ Jᵀ H_ℓ J, the generalised Gauss–Newton matrix.
    GaussNewton,
    /// H − G: the part of the Hessian that comes from the curvature of the model itself (second term of (2.8)).
    Residual,
    /// (1/K) Σ ∇ℓₛ ∇ℓₛᵀ: the empirical Fisher matrix of per-sample loss gradients, as most libraries define it.
    PerSampleGradientFisher,
    /// (1/T) Σ Jᵀ J over all outputs: the paper's empirical Fisher matrix (2.6).
    OutputJacobianGram,
}

impl fmt::Display for Curvature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hessian => "the Hessian",
            Self::GaussNewton => "the Gauss–Newton matrix",
            Self::Residual => "the residual H − G",
            Self::PerSampleGradientFisher => "the Fisher matrix of per-sample gradients",
            Self::OutputJacobianGram => "the Gram matrix of output Jacobians",
        })
    }
}
