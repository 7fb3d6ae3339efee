//! Directions in parameter space: where they come from and how they are scaled.

use crate::numeric::norm;
use crate::{ParameterBlock, ParameterKind, ParameterLayout, random};
use serde::{Deserialize, Serialize};

/// Where a direction comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Origin {
    /// Components drawn independently from N(0, 1).
    Random {
        /// Seed of the draw.
        seed: u64,
        /// Stream of that seed; different streams are independent.
        stream: u64,
    },
    /// An eigenvector of the Hessian.
    Eigenvector {
        /// Its eigenvalue λ.
        value: f64,
        /// ‖Hv − λv‖₂ for the unit vector, measured by a product.
        residual: f64,
        /// Whether the solver reached its tolerance; an unconverged axis is marked in every figure.
        converged: bool,
    },
    /// The gradient ∇L.
    Gradient,
    /// The way from one point to another.
    Displacement,
    /// Given by the caller without further notice.
    Given,
}

/// How a direction has been scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Normalization {
    /// As drawn or given.
    None,
    /// ‖d‖₂ = 1.
    Unit,
    /// Each filter, neuron or table row has the norm of the same filter of θ.
    Filter,
    /// Each tensor has the norm of the same tensor of θ.
    Layer,
}

/// What filter and layer normalisation do with biases and the parameters of normalisation layers, which have
/// no filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfiltered {
    /// Set to zero: the surface moves weights only (the default of Li et al. 2018).
    #[default]
    Zero,
    /// Left as they are.
    Keep,
    /// Each such tensor is rescaled to the norm of the same tensor of θ.
    Rescale,
}

/// Why a direction cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectionError {
    /// No coordinates.
    #[error("the direction has no coordinates")]
    Empty,
    /// A component is NaN or infinite.
    #[error("component {index} of the direction is {value}; expected a finite number")]
    NotFinite {
        /// Position of the first such component.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// All components are zero.
    #[error("the direction is zero{}", after.as_ref().map(|a| format!(" after {a}")).unwrap_or_default())]
    Zero {
        /// The step that made it so, if it was not zero from the start.
        after: Option<&'static str>,
    },
    /// Lengths differ.
    #[error("{what} has {found} coordinates, but {against} has {expected}")]
    Length {
        /// What is too long or too short.
        what: &'static str,
        /// Its length.
        found: usize,
        /// What it is compared with.
        against: &'static str,
        /// The length it should have.
        expected: usize,
    },
    /// A tensor's shape and its place in θ disagree.
    #[error("the layout gives `{name}` the shape {shape:?} but {length} coordinates")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Length of its range.
        length: usize,
    },
}

/// A direction in parameter space: finite, not zero, with its history.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    vector: Vec<f64>,
    origin: Origin,
    normalization: Normalization,
}

impl Direction {
    /// A direction from its components.
    ///
    /// # Errors
    /// No components, one that is NaN or infinite, or all zero.
    pub fn new(vector: Vec<f64>, origin: Origin) -> Result<Self, DirectionError> {
        check(&vector, None)?;
        Ok(Self { vector, origin, normalization: Normalization::None })
    }

    /// n components drawn independently from N(0, 1): stream `stream` of `seed`.
    ///
    /// # Errors
    /// n = 0.
    pub fn random(n: usize, seed: u64, stream: u64) -> Result<Self, DirectionError> {
        let mut vector = vec![0.0; n];
        random::fill_normal(seed, stream, &mut vector);
        Self::new(vector, Origin::Random { seed, stream })
    }

    /// The way `to − from`.
    ///
    /// # Errors
    /// The points have different lengths, are not finite or are the same.
    pub fn displacement(from: &[f64], to: &[f64]) -> Result<Self, DirectionError> {
        if from.len() != to.len() {
            return Err(DirectionError::Length {
                what: "the end point",
                found: to.len(),
                against: "the starting point",
                expected: from.len(),
            });
        }
        Self::new(to.iter().zip(from).map(|(b, a)| b - a).collect(), Origin::Displacement)
    }

    /// The components.
    pub fn vector(&self) -> &[f64] {
        &self.vector
    }

    /// N, the number of components.
    pub fn dim(&self) -> usize {
        self.vector.len()
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How it has been scaled.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// ‖d‖₂.
    pub fn norm(&self) -> f64 {
        norm(&self.vector)
    }

    /// The components, for further use.
    pub fn into_vector(self) -> Vec<f64> {
        self.vector
    }

    /// d / ‖d‖₂.
    pub fn unit(mut self) -> Self {
        // Two steps, because the norm of very large or small components cannot be divided by directly.
        let largest = self.vector.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        self.vector.iter_mut().for_each(|x| *x /= largest);
        let length = norm(&self.vector);
        self.vector.iter_mut().for_each(|x| *x /= length);
        self.normalization = Normalization::Unit;
        self
    }
}

/// Filter normalisation (Li et al. 2018): each filter dᵢⱼ becomes dᵢⱼ ‖θᵢⱼ‖ / ‖dᵢⱼ‖.
///
/// A filter is one output channel of a convolution, one neuron of a linear map (an index of the first axis
/// each) or one row of an embedding table. A tensor of another kind counts as one filter. A filter of d that is
/// zero stays zero.
///
/// # Errors
/// Lengths that do not match the layout, θ not finite, or nothing left of the direction (every filter of θ it
/// touches is zero).
pub fn filter_normalize(
    direction: Direction,
    theta: &[f64],
    layout: &ParameterLayout,
    unfiltered: Unfiltered,
) -> Result<Direction, DirectionError> {
    rescale(direction, theta, layout, unfiltered, Normalization::Filter)
}

/// Layer normalisation: each tensor of the direction gets the norm of the same tensor of θ.
///
/// # Errors
/// As [`filter_normalize`].
pub fn layer_normalize(
    direction: Direction,
    theta: &[f64],
    layout: &ParameterLayout,
    unfiltered: Unfiltered,
) -> Result<Direction, DirectionError> {
    rescale(direction, theta, layout, unfiltered, Normalization::Layer)
}

/// For every coordinate the norm of its filter in θ, as [`filter_normalize`] has them; 0 at biases and normalisation
/// parameters with [`Unfiltered::Zero`], 1 with [`Unfiltered::Keep`], the norm of the tensor with [`Unfiltered::Rescale`].
///
/// # Errors
/// Lengths that do not match the layout, or θ not finite.
pub fn filter_norms(
    theta: &[f64],
    layout: &ParameterLayout,
    unfiltered: Unfiltered,
) -> Result<Vec<f64>, DirectionError> {
    if theta.len() != layout.len() {
        return Err(DirectionError::Length {
            what: "θ",
            found: theta.len(),
            against: "the layout",
            expected: layout.len(),
        });
    }
    if let Some(index) = theta.iter().position(|t| !t.is_finite()) {
        return Err(DirectionError::NotFinite { index, value: theta[index] });
    }
    let mut norms = vec![0.0; theta.len()];
    for block in &layout.blocks {
        let groups = Groups::of(block, Normalization::Filter)?;
        let out = &mut norms[block.range.clone()];
        let small = matches!(block.kind, ParameterKind::Bias | ParameterKind::Normalization);
        match (small, unfiltered) {
            (true, Unfiltered::Zero) => {}
            (true, Unfiltered::Keep) => out.fill(1.0),
            _ => groups.norms(&theta[block.range.clone()], out),
        }
    }
    Ok(norms)
}

fn rescale(
    mut direction: Direction,
    theta: &[f64],
    layout: &ParameterLayout,
    unfiltered: Unfiltered,
    normalization: Normalization,
) -> Result<Direction, DirectionError> {
    let lengths = [("the direction", direction.dim()), ("θ", theta.len())];
    for (what, found) in lengths {
        if found != layout.len() {
            return Err(DirectionError::Length {
                what,
                found,
                against: "the layout",
                expected: layout.len(),
            });
        }
    }
    if let Some(index) = theta.iter().position(|t| !t.is_finite()) {
        return Err(DirectionError::NotFinite { index, value: theta[index] });
    }
    for block in &layout.blocks {
        let groups = Groups::of(block, normalization)?;
        let d = &mut direction.vector[block.range.clone()];
        let small = matches!(block.kind, ParameterKind::Bias | ParameterKind::Normalization);
        match (small, unfiltered) {
            (true, Unfiltered::Zero) => d.fill(0.0),
            (true, Unfiltered::Keep) => {}
            _ => {
                let t = &theta[block.range.clone()];
                groups.rescale(d, t);
            }
        }
    }
    let after = match normalization {
        Normalization::Filter => "filter normalisation",
        _ => "layer normalisation",
    };
    check(&direction.vector, Some(after))?;
    direction.normalization = normalization;
    Ok(direction)
}

/// Which coordinates of a tensor are scaled together.
enum Groups {
    /// This many neighbouring coordinates at a time (at least 1).
    Rows(usize),
    /// Every so-many-th coordinate (at least 1): the last axis of the tensor counts the groups.
    Columns(usize),
}

impl Groups {
    fn of(block: &ParameterBlock, normalization: Normalization) -> Result<Self, DirectionError> {
        let length = block.range.len();
        let product = block.shape.iter().try_fold(1_usize, |p, &n| p.checked_mul(n));
        if product != Some(length) {
            return Err(DirectionError::Shape {
                name: block.name.clone(),
                shape: block.shape.clone(),
                length,
            });
        }
        let rows = |count: usize| Self::Rows((length / count.max(1)).max(1));
        if normalization != Normalization::Filter {
            return Ok(rows(1));
        }
        Ok(match block.kind {
            ParameterKind::ConvFilter | ParameterKind::LinearWeight | ParameterKind::Embedding => {
                rows(block.shape.first().copied().unwrap_or(1))
            }
            ParameterKind::LinearWeightTransposed => {
                Self::Columns(block.shape.last().copied().unwrap_or(1).max(1))
            }
            _ => rows(1),
        })
    }

    /// The norm of every entry's group.
    fn norms(&self, theta: &[f64], out: &mut [f64]) {
        match *self {
            Self::Rows(length) => {
                for (o, t) in out.chunks_exact_mut(length).zip(theta.chunks_exact(length)) {
                    o.fill(norm(t));
                }
            }
            Self::Columns(count) => {
                for j in 0..count {
                    let column: Vec<f64> = theta.iter().copied().skip(j).step_by(count).collect();
                    let size = norm(&column);
                    out.iter_mut().skip(j).step_by(count).for_each(|o| *o = size);
                }
            }
        }
    }

    /// Gives each group of d the norm of the same group of θ; a group that is zero stays zero.
    fn rescale(&self, d: &mut [f64], theta: &[f64]) {
        match *self {
            Self::Rows(length) => {
                for (d, t) in d.chunks_exact_mut(length).zip(theta.chunks_exact(length)) {
                    if let Some(factor) = Factor::between(norm(d), norm(t)) {
                        d.iter_mut().for_each(|x| *x = factor.apply(*x));
                    }
                }
            }
            Self::Columns(count) => {
                let column =
                    |x: &[f64], j: usize| x.iter().copied().skip(j).step_by(count).collect::<Vec<_>>();
                for j in 0..count {
                    if let Some(factor) = Factor::between(norm(&column(d, j)), norm(&column(theta, j))) {
                        d.iter_mut().skip(j).step_by(count).for_each(|x| *x = factor.apply(*x));
                    }
                }
            }
        }
    }
}

/// target / length, applied in two steps so that it cannot overflow by itself.
struct Factor {
    length: f64,
    target: f64,
}

impl Factor {
    fn between(length: f64, target: f64) -> Option<Self> {
        (length > 0.0).then_some(Self { length, target })
    }

    fn apply(&self, x: f64) -> f64 {
        x / self.length * self.target
    }
}

fn check(vector: &[f64], after: Option<&'static str>) -> Result<(), DirectionError> {
    if vector.is_empty() {
        return Err(DirectionError::Empty);
    }
    if let Some(index) = vector.iter().position(|x| !x.is_finite()) {
        return Err(DirectionError::NotFinite { index, value: vector[index] });
    }
    if vector.iter().all(|&x| x == 0.0) {
        return Err(DirectionError::Zero { after });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
