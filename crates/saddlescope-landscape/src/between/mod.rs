//! What lies between points: several weights of one model side by side, the line and the curve from one to another, and the
//! way that a training went.
//!
//! [`compare`], [`path`] and [`trajectory`] work on any [`Risk`](crate::Risk). Every point gets an analysis folder of its own inside
//! the output folder, with the usual stages, and is computed once, whichever verb asks for it. What the points share is kept in the
//! outer folder under keys of exactly what it depends on:
//!
//! ```text
//! DIR/points/NAME/SPLIT/       an analysis of one point on one set of samples
//! DIR/kept/PART-KEY.msgpack    what several points share
//! DIR/compare/, DIR/path-A-B/, DIR/trajectory/
//!                              report.html, results.json, figures/
//! ```

mod anew;
mod compare;
mod compare_page;
mod desk;
mod error;
mod points;
mod principal;
mod subspace;
mod weights;
mod write;

pub use compare::{CompareOptions, CompareResults, PairResult, compare};
pub use error::BetweenError;
pub use points::{Measured, PointResult, SideResult, Values};
pub use principal::{Principal, principal, random_walk_share};
pub use subspace::{Overlap, overlap};
pub use weights::{Member, ModelLosses, TrainingPosition, Weights, clean};
