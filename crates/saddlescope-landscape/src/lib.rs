//! The landscape of any loss: directions, planes, surfaces, projections, and the analysis with its report.
//!
//! A loss is known through one trait, [`Risk`]; no engine is known here. [`FnRisk`] makes one of closures:
//!
//! ```
//! use saddlescope_landscape::FnRisk;
//! use saddlescope_landscape::analysis::{Selection, Subject, analyze};
//!
//! // L(x, y) = x² − y²: a saddle at the origin.
//! let risk = FnRisk::new(2, |t| t[0] * t[0] - t[1] * t[1])
//!     .with_gradient(|t, g| g.copy_from_slice(&[2.0 * t[0], -2.0 * t[1]]))
//!     .with_hessian(|_, v, hv| hv.copy_from_slice(&[2.0 * v[0], -2.0 * v[1]]));
//! let out = tempfile::tempdir()?;
//! let selection = Selection { surfaces: None, ..Selection::default() };
//! let found = analyze(&Subject::new("x² − y²", vec![0.0; 2], &risk), &selection, None, out.path(), &mut ())?;
//! assert!((found.results.eigenpairs[0].value - 2.0).abs() < 1e-12);
//! println!("{}", found.results.verdict.join(" "));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adaptive;
pub mod analysis;
pub mod analytic;
mod axis;
pub mod between;
mod check;
mod chunked_risk;
mod curvature_fit;
mod curvature_operator;
mod direction;
mod evaluation;
mod fn_risk;
mod layout;
mod number_text;
mod numeric;
mod plane;
pub mod presentation;
pub mod projection;
mod random;
pub mod reading;
mod risk;
pub mod sampling_error;
mod settle;
pub mod sharpness;
mod slice;
mod surface;
mod weights_hash;

pub use adaptive::adaptive_points;
pub use axis::{Axis, AxisError, LONGEST_AXIS};
pub use check::{CheckError, CheckOptions, RiskCheck, check_risk};
pub use chunked_risk::{ChunkedPoint, ChunkedRisk, NodeSum, PartialSums};
pub use curvature_fit::{
    CurvatureFit, CurvatureFitError, CurvatureFitOptions, FitContent, FitInterval, FitWarning, LineFit,
    continue_fit_trace, fit_trace,
};
pub use curvature_operator::CurvatureOperator;
pub use direction::{
    Direction, DirectionError, Normalization, Origin, Unfiltered, filter_normalize, filter_norms,
    layer_normalize,
};
pub use evaluation::{RowError, Threading};
pub use fn_risk::FnRisk;
pub use layout::{ParameterBlock, ParameterLayout};
pub use numeric::norm;
pub use plane::{Line, Plane, PlaneError};
pub use risk::{
    Curvature, Evaluation, MemoryEstimate, Offers, Point, Product, Risk, RiskError, UnitAxis, UnitGroup,
    check_theta,
};
pub use saddlescope_data::ParameterKind;
pub use sampling_error::{LossDifference, PointErrors};
pub use settle::{SettleEnd, SettleOptions, SettleStep, Settling, settle};
pub use slice::{Slice, evaluate_slice};
pub use surface::{
    FinishedRows, GridMinimum, LARGEST_GRID, Surface, SurfaceError, SurfaceOutcome, SurfaceRow,
    evaluate_surface,
};
