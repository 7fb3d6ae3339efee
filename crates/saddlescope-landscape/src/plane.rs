//! Planes through a point of parameter space.

use rayon::prelude::*;

use crate::numeric::{add_scaled, dot};
use crate::{Direction, DirectionError};

/// The plane θ* + αη + βδ (2.9).
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    center: Vec<f64>,
    u: Direction,
    v: Direction,
}

/// Why two directions make no plane.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaneError {
    /// A length or a direction is wrong.
    #[error(transparent)]
    Direction(#[from] DirectionError),
    /// The center is not finite.
    #[error("coordinate {index} of the center is {value}; expected a finite number")]
    Center {
        /// Position of the first such coordinate.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// The directions are parallel to working precision.
    #[error("the two directions are parallel (cosine {cosine}): they make a line, not a plane")]
    Parallel {
        /// Cosine of the angle between them.
        cosine: f64,
    },
}

impl Plane {
    /// The plane through `center` along `u` (coordinate α) and `v` (coordinate β).
    ///
    /// # Errors
    /// Lengths that differ, a center that is not finite, parallel directions.
    pub fn new(center: Vec<f64>, u: Direction, v: Direction) -> Result<Self, PlaneError> {
        for (what, direction) in [("the first direction", &u), ("the second direction", &v)] {
            check_length(what, direction, &center)?;
        }
        check_center(&center)?;
        let plane = Self { center, u, v };
        let cosine = plane.cosine();
        // Two exactly parallel vectors have a cosine within a few ulps of 1.
        if cosine.abs() >= 1.0 - 1e-14 {
            return Err(PlaneError::Parallel { cosine });
        }
        Ok(plane)
    }

    /// θ*, the point at (0, 0).
    pub fn center(&self) -> &[f64] {
        &self.center
    }

    /// η, the direction of coordinate α.
    pub fn u(&self) -> &Direction {
        &self.u
    }

    /// δ, the direction of coordinate β.
    pub fn v(&self) -> &Direction {
        &self.v
    }

    /// Cosine of the angle between the two directions.
    pub fn cosine(&self) -> f64 {
        let (a, b) = (self.u.clone().unit(), self.v.clone().unit());
        dot(a.vector(), b.vector())
    }

    /// theta ← θ* + αη + βδ; `theta` has the length of the center.
    pub fn point(&self, alpha: f64, beta: f64, theta: &mut [f64]) {
        let (u, v) = (self.u.vector(), self.v.vector());
        fill_pieces(theta, |start, theta| {
            let piece = start..start + theta.len();
            theta.copy_from_slice(&self.center[piece.clone()]);
            add_scaled(theta, alpha, &u[piece.clone()]);
            add_scaled(theta, beta, &v[piece]);
        });
    }
}

/// Elements of θ that a thread writes at a time: they stay in its first-level cache while the directions are added.
const PIECE: usize = 2048;

/// Calls `fill` with the place of every piece of θ and the piece, spread over the threads of the current rayon pool.
fn fill_pieces(theta: &mut [f64], fill: impl Fn(usize, &mut [f64]) + Sync) {
    theta.par_chunks_mut(PIECE).with_min_len(16).enumerate().for_each(|(i, piece)| fill(i * PIECE, piece));
}

/// The line θ* + αη.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    center: Vec<f64>,
    u: Direction,
}

impl Line {
    /// The line through `center` along `u`.
    ///
    /// # Errors
    /// Lengths that differ or a center that is not finite.
    pub fn new(center: Vec<f64>, u: Direction) -> Result<Self, PlaneError> {
        check_length("the direction", &u, &center)?;
        check_center(&center)?;
        Ok(Self { center, u })
    }

    /// θ*, the point at α = 0.
    pub fn center(&self) -> &[f64] {
        &self.center
    }

    /// η, the direction.
    pub fn u(&self) -> &Direction {
        &self.u
    }

    /// theta ← θ* + αη; `theta` has the length of the center.
    pub fn point(&self, alpha: f64, theta: &mut [f64]) {
        let u = self.u.vector();
        fill_pieces(theta, |start, theta| {
            let piece = start..start + theta.len();
            theta.copy_from_slice(&self.center[piece.clone()]);
            add_scaled(theta, alpha, &u[piece]);
        });
    }
}

fn check_length(what: &'static str, direction: &Direction, center: &[f64]) -> Result<(), PlaneError> {
    if direction.dim() == center.len() {
        return Ok(());
    }
    let (found, expected) = (direction.dim(), center.len());
    Err(DirectionError::Length { what, found, against: "the center", expected }.into())
}

fn check_center(center: &[f64]) -> Result<(), PlaneError> {
    match center.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(PlaneError::Center { index, value: center[index] }),
        None => Ok(()),
    }
}
