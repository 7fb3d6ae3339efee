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

mod align;
mod anew;
mod compare;
mod compare_page;
mod compare_results;
mod curve;
mod desk;
mod error;
mod path;
mod path_page;
mod path_results;
mod points;
mod principal;
mod rebuild;
mod subspace;
mod trajectory;
mod trajectory_page;
mod trajectory_results;
mod weights;
mod write;

pub use align::{Alignment, matching, reordered};
pub use compare::{CompareOptions, compare};
pub use compare_results::{CompareResults, PairResult, PlacedPoint, PlaneResult};
pub use curve::CurveOptions;
pub use error::BetweenError;
pub use path::{PathOptions, path};
pub use path_results::{AlignmentResult, Barrier, PathResults, Statistics, Way, WaySide};
pub use points::{Measured, PointResult, SideResult, Values};
pub use principal::{Principal, principal, random_walk_share};
pub use rebuild::rebuild_report;
pub use subspace::Overlap;
pub use trajectory::{TrajectoryOptions, trajectory};
pub use trajectory_results::TrajectoryResults;
pub use weights::{Member, ModelLosses, TrainingPosition, Weights, clean};
