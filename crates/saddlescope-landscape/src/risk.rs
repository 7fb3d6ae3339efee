//! The seam between engines and analysis: all that an analysis knows of a loss over a data set.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use saddlescope_data::{Curvature, UnitAxis, UnitGroup};
use saddlescope_krylov::{BasisRows, BasisStore, Precision, ProductError};
use serde_json::Value;

use crate::layout::ParameterLayout;

/// What a risk can do. What it cannot do is left out of an analysis, and the report says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offers {
    /// Whether [`Risk::gradient`] works.
    pub gradient: bool,
    /// The curvature matrices that [`Point::product`] knows.
    pub curvatures: Vec<Curvature>,
    /// Whether an evaluation carries an accuracy.
    pub accuracy: bool,
    /// Whether evaluations and products come with the parts of every chunk of samples, from which errors over the data follow.
    pub chunks: bool,
    /// Whether repeated calls give the same bits.
    pub repeatable: bool,
    /// The number type of the computation (results are handed over as f64).
    pub precision: Precision,
}

impl Offers {
    /// Whether products with this matrix are offered.
    pub fn product(&self, curvature: Curvature) -> bool {
        self.curvatures.contains(&curvature)
    }
}

/// Loss and accuracy at one θ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// L(θ). NaN and infinities are kept.
    pub loss: f64,
    /// Number of samples (or positions) predicted correctly, and how many were counted.
    pub correct: Option<(u64, u64)>,
    /// Mean loss of each chunk of samples that is independent of the others, where the risk offers chunks; else empty. Errors
    /// over the data follow from these ([`sampling_error`](crate::sampling_error)): the more chunks, the better they are known, so a
    /// chunk should be a single sample where the engine knows its loss. Networks of our engine give samples, micro-batches
    /// where a model's own loss is one number, and one chunk where batch norm couples all samples.
    pub chunk_losses: Vec<f64>,
    /// The weight of each chunk in the mean: its number of samples, or of labelled positions where the loss is a mean over
    /// those. The same at every θ.
    pub chunk_samples: Vec<usize>,
}

impl Evaluation {
    /// An evaluation that is a loss and nothing else.
    pub fn of_loss(loss: f64) -> Self {
        Self { loss, ..Self::default() }
    }

    /// Share of correct predictions, in [0, 1].
    pub fn accuracy(&self) -> Option<f64> {
        self.correct.map(|(right, all)| right as f64 / all as f64)
    }
}

/// What a block of products leaves beside the products.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Product {
    /// For every vector v of the block, the Rayleigh quotient vᵀA_c v of every chunk c; empty where the risk offers no chunks.
    pub quotients: Vec<Vec<f64>>,
    /// The weight of each chunk: its number of samples.
    pub chunk_samples: Vec<usize>,
}

/// Bytes that products take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// What is needed in any case, data included.
    pub fixed: usize,
    /// The data alone, once.
    pub data: usize,
    /// Not counted: bytes of each input that is read from its files because of a limit on memory, and would be held in memory under a
    /// larger one ([`data_share`](saddlescope_data::data_share)); 0 for inputs in memory.
    pub in_files: Vec<usize>,
    /// What can be kept between products at one θ to make them faster, at most.
    pub keep: usize,
}

/// Why an evaluation or a product failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RiskError {
    /// Stopped by whoever watches.
    Cancelled,
    /// The risk does not offer this.
    NotOffered {
        /// What was asked for, in words.
        what: String,
    },
    /// θ has the wrong length.
    Theta {
        /// Length of θ.
        found: usize,
        /// Number of parameters.
        expected: usize,
    },
    /// The engine failed; its own error, unchanged.
    Failed(Arc<dyn std::error::Error + Send + Sync>),
}

impl RiskError {
    /// Products with this matrix are not offered.
    pub fn not_offered(curvature: Curvature) -> Self {
        Self::NotOffered { what: format!("products with {curvature}") }
    }

    /// Wraps an engine's own error.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(Arc::from(error.into()))
    }
}

impl fmt::Display for RiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("interrupted"),
            Self::NotOffered { what } => write!(f, "this loss does not offer {what}"),
            Self::Theta { found, expected } => {
                write!(f, "θ has {found} coordinates; expected {expected}, the number of parameters")
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its message is that of the wrapped error; the chain goes on behind it.
            Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}

/// Errors are equal when they say the same.
impl PartialEq for RiskError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl From<RiskError> for ProductError {
    fn from(error: RiskError) -> Self {
        match error {
            RiskError::Cancelled => Self::Cancelled,
            other => Self::Failed(Box::new(other)),
        }
    }
}

/// The error of a risk that comes through a solver is itself again.
impl From<ProductError> for RiskError {
    fn from(error: ProductError) -> Self {
        match error {
            ProductError::Cancelled => Self::Cancelled,
            other => other.downcast::<Self>().unwrap_or_else(Self::failed),
        }
    }
}

/// A loss L: ℝᴺ → ℝ with the data held fixed: the mean of a per-sample loss over samples, or any function at all
/// (of one "sample").
///
/// Evaluations never change θ. Values may be NaN or infinite; errors are for evaluations that could not be made.
pub trait Risk: Sync {
    /// The named tensors of θ.
    fn layout(&self) -> &ParameterLayout;

    /// N, the number of parameters.
    fn dim(&self) -> usize {
        self.layout().len()
    }

    /// Number of samples that the loss is a mean over; 1 for a plain function.
    fn samples(&self) -> usize {
        1
    }

    /// What can be asked of this risk.
    fn offers(&self) -> Offers;

    /// L(θ), with accuracy and parts where they are offered.
    ///
    /// # Errors
    /// θ of the wrong length, cancelled, or whatever the engine reports.
    fn evaluate(&self, theta: &[f64]) -> Result<Evaluation, RiskError>;

    /// ∇L(θ) into `gradient` (length N), and what [`Risk::evaluate`] gives.
    ///
    /// # Errors
    /// As [`Risk::evaluate`]; also where no gradient is offered.
    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError>;

    /// The risk near one θ, for products. `keep_bytes` bounds what may be kept between products to make them faster; no
    /// result depends on it.
    ///
    /// # Errors
    /// As [`Risk::evaluate`].
    fn at<'a>(&'a self, theta: &[f64], keep_bytes: usize) -> Result<Box<dyn Point + 'a>, RiskError>;

    /// Bytes that products with blocks of `tangents` vectors take.
    fn memory(&self, tangents: usize) -> MemoryEstimate {
        let _ = tangents;
        MemoryEstimate::default()
    }

    /// The most rows of a vector of a Krylov basis that one process keeps: all N, or fewer where [`Point::new_basis`] splits them.
    fn basis_rows(&self) -> usize {
        self.dim()
    }

    /// The same loss on its first samples only and in another number type, where the engine can do that. The self-check
    /// compares derivatives there, in f64.
    ///
    /// # Errors
    /// If the smaller risk cannot be set up.
    fn first_samples(
        &self,
        samples: usize,
        precision: Precision,
    ) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        let _ = (samples, precision);
        Ok(None)
    }

    /// The same loss on some of its samples, in the same number type, where the engine can do that. Means over several such
    /// sets, weighted with [`Evaluation::chunk_samples`], are means over their union.
    ///
    /// # Errors
    /// If the smaller risk cannot be set up.
    fn samples_in(&self, samples: Range<usize>) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        let _ = samples;
        Ok(None)
    }

    /// The first number of the data that is NaN or infinite, in words that name the array and the sample; `None` where there is none,
    /// or where the risk does not know its data. Asked for when something has turned out not to be finite.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn not_finite_in_data(&self) -> Result<Option<String>, RiskError> {
        Ok(None)
    }

    /// What belongs to the weights without being a parameter (running statistics of batch normalisation, constants), one
    /// number after the other; empty where there is nothing of the kind.
    fn buffers(&self) -> Vec<f64> {
        Vec::new()
    }

    /// The same loss with other values in its buffers.
    ///
    /// # Errors
    /// Another number of values than [`Risk::buffers`] gives, or a risk whose buffers cannot be changed.
    fn with_buffers(&self, buffers: &[f64]) -> Result<Box<dyn Risk + '_>, RiskError> {
        let _ = buffers;
        Err(RiskError::NotOffered { what: "other values in its buffers".into() })
    }

    /// All buffers, with the running statistics of batch normalisation computed anew at θ from the samples of this risk;
    /// `None` where the loss depends on no such statistics.
    ///
    /// # Errors
    /// As [`Risk::evaluate`].
    fn buffers_anew(&self, theta: &[f64]) -> Result<Option<Vec<f64>>, RiskError> {
        let _ = theta;
        Ok(None)
    }

    /// The groups of hidden units whose order does not matter, from the input on; `None` where it is not known which these are.
    fn unit_groups(&self) -> Option<Vec<UnitGroup>> {
        None
    }

    /// Everything that results depend on besides θ, by name: the model's and the data's fingerprints, the loss, the engine. A
    /// folder with results of another identity is refused.
    fn identity(&self) -> BTreeMap<String, Value> {
        BTreeMap::new()
    }

    /// What tells this risk at θ from another of the same identity, where the identity alone cannot: it becomes part of the identity
    /// that a folder with results remembers.
    ///
    /// # Errors
    /// As [`Risk::evaluate`].
    fn fingerprint(&self, theta: &[f64]) -> Result<Option<String>, RiskError> {
        let _ = theta;
        Ok(None)
    }
}

/// A risk near one θ; owns whatever products there can share.
pub trait Point: Sync {
    /// N, the number of parameters.
    fn dim(&self) -> usize;

    /// A V into `out` for a block of vectors stored one after the other (k × N), A being one of the curvature matrices.
    ///
    /// # Errors
    /// A matrix that is not offered, cancelled, or whatever the engine reports.
    fn product(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Product, RiskError>;

    /// A place for the vectors of a Krylov basis: the memory of this process, or of all that compute the products. Results do
    /// not depend on it.
    ///
    /// # Errors
    /// Other processes that cannot be reached.
    fn new_basis(&self, precision: Precision) -> Result<Box<dyn BasisStore>, RiskError> {
        Ok(Box::new(BasisRows::new(self.dim(), precision)))
    }
}

/// Whether θ belongs to the risk.
///
/// # Errors
/// θ of another length than the risk has parameters.
pub fn check_theta(risk: &dyn Risk, theta: &[f64]) -> Result<(), RiskError> {
    if theta.len() == risk.dim() {
        return Ok(());
    }
    Err(RiskError::Theta { found: theta.len(), expected: risk.dim() })
}
