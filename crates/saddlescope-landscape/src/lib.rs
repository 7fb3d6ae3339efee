//! What the loss landscape around a trained network really looks like, with proof.

pub mod analysis;
pub mod analytic;
mod axis;
mod check;
mod curvature_fit;
mod direction;
pub mod empirical_risk;
mod evaluation;
pub mod figure;
mod hessian_operator;
pub mod model;
mod numeric;
mod objective;
pub mod paper;
mod plane;
pub mod presentation;
pub mod projection;
mod random;
pub mod reading;
pub mod report;
mod slice;
mod surface;

/// The engine: networks, data, weights and their exact derivatives.
pub use saddlescope_nn as engine;

pub use axis::{Axis, AxisError, LONGEST_AXIS};
pub use check::{CheckError, CheckOptions, ObjectiveCheck, check_objective};
pub use curvature_fit::{
    CurvatureFit, CurvatureFitError, CurvatureFitOptions, FitContent, FitInterval, FitWarning, fit_trace,
};
pub use direction::{
    Direction, DirectionError, Normalization, Origin, Unfiltered, filter_normalize, layer_normalize,
};
pub use evaluation::{Measurement, RowError, Threading, loss_of};
pub use hessian_operator::{HessianOperator, ThetaLength};
pub use objective::{Objective, ParamBlock, ParamKind, ParamLayout, Point};
pub use plane::{Line, Plane, PlaneError};
pub use slice::{Slice, evaluate_slice};
pub use surface::{
    FinishedRows, GridMinimum, LARGEST_GRID, Surface, SurfaceError, SurfaceOutcome, SurfaceRow,
    evaluate_surface,
};
