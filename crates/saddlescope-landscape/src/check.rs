//! A conformance kit: run it on every [`Risk`] you write.

use crate::numeric::{add_scaled, dot, norm};
use crate::random;
use crate::risk::{Curvature, Risk, RiskError, check_theta};

/// What [`check_risk`] demands.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Random unit directions tried.
    pub directions: usize,
    /// Seed of those directions.
    pub seed: u64,
    /// Step of the central differences in θ along a unit direction.
    pub step: f64,
    /// Largest relative error of a derivative against its central difference.
    pub derivative_tolerance: f64,
    /// Largest relative error of identities that hold exactly but for rounding (symmetry, block = one by one).
    pub rounding_tolerance: f64,
}

impl Default for CheckOptions {
    /// For a risk computed in f64. The step is near ε^⅓, where the truncation error (step²) and the rounding
    /// error (ε/step) of a central difference meet at about 1e-10; the tolerance leaves room for third derivatives
    /// and loss values a thousand times larger than the gradient.
    fn default() -> Self {
        Self { directions: 4, seed: 0, step: 1e-5, derivative_tolerance: 1e-6, rounding_tolerance: 1e-12 }
    }
}

/// The largest relative errors found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RiskCheck {
    /// Gradient against central differences of the value.
    pub gradient: f64,
    /// Hessian-vector products against central differences of the gradient.
    pub hessian: f64,
    /// ⟨u, Hv⟩ against ⟨v, Hu⟩.
    pub symmetry: f64,
    /// A block of products against one product at a time.
    pub block: f64,
}

/// What a risk gets wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The risk itself failed.
    #[error(transparent)]
    Risk(#[from] RiskError),
    /// The risk has no parameters.
    #[error("the risk has no parameters")]
    Empty,
    /// The layout does not cover θ block after block.
    #[error(
        "the layout is broken at block `{name}`: it covers {start}..{end}, expected to start at {expected}"
    )]
    Layout {
        /// Name of the block.
        name: String,
        /// Start of its range.
        start: usize,
        /// End of its range.
        end: usize,
        /// Where it should start.
        expected: usize,
    },
    /// The same evaluation gave different bits.
    #[error("{what} changed between two evaluations at the same θ: {first} and then {second}")]
    NotRepeatable {
        /// What was evaluated.
        what: &'static str,
        /// First value.
        first: f64,
        /// Second value.
        second: f64,
    },
    /// Something is NaN or infinite at this θ.
    #[error("{what} is not finite at this θ, so nothing can be checked there")]
    NotFinite {
        /// What it is.
        what: &'static str,
    },
    /// Two ways to the same number disagree.
    #[error("{what}: {found} against {expected}, relative error {error:.1e}, allowed {tolerance:.1e}")]
    Disagreement {
        /// What is compared.
        what: &'static str,
        /// The risk's number (or its norm).
        found: f64,
        /// The reference (or its norm).
        expected: f64,
        /// Relative error.
        error: f64,
        /// Allowed relative error.
        tolerance: f64,
    },
}

/// Checks a risk at one θ: repeated evaluation gives the same bits, the gradient agrees with central
/// differences of the value, Hessian-vector products with central differences of the gradient, ⟨u, Hv⟩ = ⟨v, Hu⟩,
/// and a block of products with one product at a time.
///
/// Errors are relative to ‖∇L‖ + ‖Hv‖ + |L| for the gradient and to ‖Hv‖ + ‖∇L‖ for products, because at a critical
/// point the derivatives themselves vanish.
///
/// # Errors
/// The first disagreement found.
pub fn check_risk(risk: &dyn Risk, theta: &[f64], options: &CheckOptions) -> Result<RiskCheck, CheckError> {
    check_theta(risk, theta)?;
    check_layout(risk)?;
    let n = risk.dim();
    if n == 0 {
        return Err(CheckError::Empty);
    }
    let point = risk.at(theta, 0)?;
    let (loss, gradient) = check_repeatable(risk, theta)?;

    let k = options.directions.max(2);
    let mut directions = vec![0.0; k * n];
    random::fill_normal(options.seed, 0, &mut directions);
    for direction in directions.chunks_exact_mut(n) {
        let length = norm(direction);
        direction.iter_mut().for_each(|x| *x /= length);
    }
    let mut products = vec![0.0; k * n];
    point.product(Curvature::Hessian, &directions, &mut products)?;
    if products.iter().any(|x| !x.is_finite()) {
        return Err(CheckError::NotFinite { what: "a Hessian-vector product" });
    }

    let mut report = RiskCheck::default();
    let beside = risk.gradient(theta, &mut vec![0.0; n])?.loss;
    let error = relative((beside - loss).abs(), loss.abs());
    let what = "the value beside the gradient against the value";
    require(what, beside, loss, error, options.rounding_tolerance)?;
    let gradient_norm = norm(&gradient);
    let mut single = vec![0.0; n];
    for (v, hv) in directions.chunks_exact(n).zip(products.chunks_exact(n)) {
        let curvature = norm(hv);
        let ahead = Side::new(risk, theta, options.step, v)?;
        let behind = Side::new(risk, theta, -options.step, v)?;
        // A central difference is off by step²/6 times a third derivative, which the second difference of the
        // derivative itself gives: at a degenerate critical point nothing else would be left to compare with.
        let bend = (0..n).map(|i| v[i] * (ahead.gradient[i] - 2.0 * gradient[i] + behind.gradient[i]));
        let slope = (ahead.value - behind.value) / (2.0 * options.step) - bend.sum::<f64>() / 6.0;
        let claimed = dot(&gradient, v);
        let rounding = f64::EPSILON * (ahead.value.abs() + behind.value.abs()) / options.step;
        let error = beyond((claimed - slope).abs(), rounding);
        let error = relative(error, gradient_norm + curvature + loss.abs());
        report.gradient = report.gradient.max(error);
        let what = "gradient against differences of the value";
        require(what, claimed, slope, error, options.derivative_tolerance)?;

        let difference: Vec<f64> = (0..n)
            .map(|i| {
                let bend = ahead.product[i] - 2.0 * hv[i] + behind.product[i];
                (ahead.gradient[i] - behind.gradient[i]) / (2.0 * options.step) - bend / 6.0
            })
            .collect();
        let rounding = f64::EPSILON * (norm(&ahead.gradient) + norm(&behind.gradient)) / options.step;
        let error = relative(beyond(distance(hv, &difference), rounding), curvature + gradient_norm);
        report.hessian = report.hessian.max(error);
        let what = "Hessian-vector product against differences of the gradient";
        require(what, curvature, norm(&difference), error, options.derivative_tolerance)?;

        point.product(Curvature::Hessian, v, &mut single)?;
        let error = relative(distance(hv, &single), curvature);
        report.block = report.block.max(error);
        let what = "a block of products against one at a time";
        require(what, curvature, norm(&single), error, options.rounding_tolerance)?;
    }
    for i in 0..k {
        for j in 0..i {
            let (u, hu) = (&directions[i * n..(i + 1) * n], &products[i * n..(i + 1) * n]);
            let (v, hv) = (&directions[j * n..(j + 1) * n], &products[j * n..(j + 1) * n]);
            let (left, right) = (dot(u, hv), dot(v, hu));
            let error = relative((left - right).abs(), norm(hu) + norm(hv));
            report.symmetry = report.symmetry.max(error);
            require("⟨u, Hv⟩ against ⟨v, Hu⟩", left, right, error, options.rounding_tolerance)?;
        }
    }
    Ok(report)
}

/// The risk one step to one side of θ.
struct Side {
    value: f64,
    gradient: Vec<f64>,
    product: Vec<f64>,
}

impl Side {
    fn new(risk: &dyn Risk, theta: &[f64], step: f64, v: &[f64]) -> Result<Self, RiskError> {
        let mut moved = theta.to_vec();
        add_scaled(&mut moved, step, v);
        let (mut gradient, mut product) = (vec![0.0; v.len()], vec![0.0; v.len()]);
        risk.gradient(&moved, &mut gradient)?;
        risk.at(&moved, 0)?.product(Curvature::Hessian, v, &mut product)?;
        Ok(Self { value: risk.evaluate(&moved)?.loss, gradient, product })
    }
}

fn check_layout(risk: &dyn Risk) -> Result<(), CheckError> {
    let mut expected = 0;
    for block in &risk.layout().blocks {
        let (start, end) = (block.range.start, block.range.end);
        let size = block.shape.iter().try_fold(1_usize, |p, &n| p.checked_mul(n));
        if start != expected || size != end.checked_sub(start) {
            return Err(CheckError::Layout { name: block.name.clone(), start, end, expected });
        }
        expected = end;
    }
    Ok(())
}

/// Value and gradient, after seeing that every way to them gives the same bits twice.
fn check_repeatable(risk: &dyn Risk, theta: &[f64]) -> Result<(f64, Vec<f64>), CheckError> {
    let same = |what, first: f64, second: f64| {
        if first.to_bits() == second.to_bits() {
            Ok(())
        } else {
            Err(CheckError::NotRepeatable { what, first, second })
        }
    };
    let n = risk.dim();
    let loss = risk.evaluate(theta)?.loss;
    same("the value", loss, risk.evaluate(theta)?.loss)?;
    let (first, second) = (risk.at(theta, 0)?, risk.at(theta, 0)?);
    let (mut one, mut two) = (vec![0.0; n], vec![0.0; n]);
    risk.gradient(theta, &mut one)?;
    risk.gradient(theta, &mut two)?;
    one.iter().zip(&two).try_for_each(|(a, b)| same("the gradient", *a, *b))?;
    let mut v = vec![0.0; n];
    random::fill_normal(0, 1, &mut v);
    let (mut first_product, mut second_product) = (vec![0.0; n], vec![0.0; n]);
    first.product(Curvature::Hessian, &v, &mut first_product)?;
    second.product(Curvature::Hessian, &v, &mut second_product)?;
    let what = "a Hessian-vector product";
    first_product.iter().zip(&second_product).try_for_each(|(a, b)| same(what, *a, *b))?;
    if !loss.is_finite() {
        return Err(CheckError::NotFinite { what: "the value" });
    }
    if one.iter().any(|x| !x.is_finite()) {
        return Err(CheckError::NotFinite { what: "the gradient" });
    }
    Ok((loss, one))
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    norm(&x.iter().zip(y).map(|(a, b)| a - b).collect::<Vec<f64>>())
}

/// What is left of an error once rounding has been allowed for; NaN stays.
fn beyond(error: f64, rounding: f64) -> f64 {
    if error <= rounding { 0.0 } else { error }
}

/// error / scale, 0 when there is no error at all.
fn relative(error: f64, scale: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / scale }
}

fn require(
    what: &'static str,
    found: f64,
    expected: f64,
    error: f64,
    tolerance: f64,
) -> Result<(), CheckError> {
    // Written so that a NaN error is refused too.
    if error <= tolerance {
        return Ok(());
    }
    Err(CheckError::Disagreement { what, found, expected, error, tolerance })
}

#[cfg(test)]
mod tests;
