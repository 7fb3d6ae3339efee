//! Directions and axes of a slice as they are asked for.

use saddlescope_krylov::SpectrumEnd;
use serde::{Deserialize, Serialize};

use crate::axis::Axis;
use crate::direction::Origin;

/// One slice: a cut along one direction or a surface over two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceRequest {
    /// Name, also of its files.
    pub name: String,
    /// One direction (a cut) or two (a surface).
    pub directions: Vec<DirectionRequest>,
    /// The axis of each direction; `None`: from the curvature, or [−1, 1] for filter-normalised directions.
    pub axes: Vec<Option<Axis>>,
    /// Whether a surface is also drawn on the other samples, where there are any. Cuts always are.
    pub other: bool,
}

/// One direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectionRequest {
    /// An eigenvector of the Hessian, computed here: the `index`-th (from 1) at one end.
    Eigenvector {
        /// Which end.
        end: SpectrumEnd,
        /// 1 for the extreme one.
        index: usize,
    },
    /// Components from N(0, 1), scaled to unit length.
    Random {
        /// Which of the independent directions of the seed.
        stream: u64,
    },
    /// Components from N(0, 1), filter-normalised (Li et al. 2018).
    Filtered {
        /// Which of the independent directions of the seed.
        stream: u64,
    },
    /// A direction from a file.
    Given(GivenDirection),
}

/// A direction from a file; the record keeps its name and fingerprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenDirection {
    /// Where it is from, in words.
    pub name: String,
    /// SHA-256 of its components.
    pub sha256: String,
    /// The components.
    #[serde(skip)]
    pub vector: Vec<f64>,
    /// What is known of it.
    #[serde(skip, default = "given")]
    pub origin: Origin,
}

fn given() -> Origin {
    Origin::Given
}
