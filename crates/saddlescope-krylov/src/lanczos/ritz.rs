//! Ritz pairs of the projected problem, as the parts of the solver hand them on.

/// A Ritz pair inside the state.
#[derive(Clone, Debug)]
pub(crate) struct Ritz {
    pub value: f64,
    pub estimate: f64,
    pub locked: Option<usize>,
    /// Coordinates in the expanded basis.
    pub coordinates: Vec<f64>,
}
