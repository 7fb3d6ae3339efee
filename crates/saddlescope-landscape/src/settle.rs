//! A critical point near θ: ∇L = 0, wherever it lies, minimum or saddle.
//!
//! Descent would leave a saddle along its negative curvature. Newton's method on ∇L = 0 does not know up from down: every
//! step minimises ‖g + H p‖ over ‖p‖ ≤ Δ, the linear model of the gradient, in the Krylov space of H and g, and is taken only
//! if the gradient there is indeed smaller. The least-squares problem is solved with its bound ([`ResidualSpace`]), so that a
//! step that was refused costs a gradient, not products; where H is singular, as it is wherever a network has symmetries,
//! the step is the shortest one. The forcing term is that of Eisenstat and Walker (1996): the model is solved only as
//! closely as it told the truth last time.
//!
//! Where no critical point can be reached in that way, [`SettleOptions::downhill`] goes to a minimum instead.
//!
//! What it cannot do: ‖∇L‖ may have a minimum that is no zero (H g = 0, g ≠ 0: Frye et al. 2021 call such points
//! gradient-flat), and at a kink of ReLU the gradient jumps, so that there need not be a critical point at all.
//! [`Settling`] ends with a word for each ([`SettleEnd`]).

use saddlescope_krylov::{BoundedSolution, ProductError, ResidualSpace, Stream, SymmetricOperator};
use serde::{Deserialize, Serialize};

use crate::numeric::{add_scaled, norm};
use crate::risk::{Risk, RiskError, check_theta};

/// How far to go, and at what cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettleOptions {
    /// ‖∇L‖ at which a point counts as critical.
    pub tolerance: f64,
    /// At most this many Hessian-vector products.
    pub max_products: usize,
    /// At most this many for one step: the dimension of its Krylov space, of 8 N bytes each.
    pub max_dimension: usize,
    /// The first bound Δ on the length of a step; `None`: a twentieth of ‖θ‖ (of 1, if that is more).
    pub radius: Option<f64>,
    /// Downhill to a minimum instead: every step lowers the loss, along negative curvature too (Newton's method for min L in a trust
    /// region). For points from which no critical point is reached otherwise.
    #[serde(default)]
    pub downhill: bool,
}

/// Bytes that the Krylov space of one step may take.
const SPACE: usize = 2 << 30;

impl SettleOptions {
    /// The options with a space that memory can hold for N parameters, 20 vectors at least.
    pub(crate) fn bounded(&self, n: usize) -> Self {
        let room = (SPACE / (8 * n.max(1))).max(20);
        Self { max_dimension: self.max_dimension.min(room), ..self.clone() }
    }
}

impl Default for SettleOptions {
    fn default() -> Self {
        Self { tolerance: 1e-10, max_products: 20_000, max_dimension: 400, radius: None, downhill: false }
    }
}

/// Why settling ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettleEnd {
    /// ‖∇L‖ is within the tolerance.
    Converged,
    /// ‖∇L‖ is within the tolerance, but the point still moves with every step, and the model is still wrong about it: the
    /// gradient fades on a way that leads to no point, as it does where a network that separates its data lets its
    /// weights grow.
    Receding,
    /// The model cannot lower the gradient: H g is zero next to ‖H‖‖g‖.
    GradientFlat,
    /// H itself is zero where the gradient is not: there is no model.
    HessianVanishes,
    /// No step lowers the gradient, however short, though the model says so: the gradient jumps here (a kink), or rounding
    /// hides what is left of it.
    Stalled,
    /// The products are used up.
    Budget,
    /// Gradient or loss is NaN or infinite.
    NotFinite,
}

impl std::fmt::Display for SettleEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Converged => "the gradient is within the tolerance",
            Self::Receding => {
                "the gradient is within the tolerance, but every step still moves the point by as much as the one before: the gradient fades along a way to infinity, and there is no critical point to be near to"
            }
            Self::GradientFlat => {
                "the gradient is not zero, but the Hessian maps it to zero: ‖∇L‖ is stationary here, at a point that is not critical"
            }
            Self::HessianVanishes => {
                "degenerate: the Hessian vanishes here and the gradient does not, so that nothing tells where a critical point might be"
            }
            Self::Stalled => {
                "no step lowers the gradient, however short, though the linear model says so: the gradient jumps here (kinks), or rounding hides what is left of it"
            }
            Self::Budget => "the products allowed are used up",
            Self::NotFinite => "loss or gradient is NaN or infinite",
        })
    }
}

/// One step that was taken, or the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettleStep {
    /// ‖∇L‖ after it.
    #[serde(with = "saddlescope_figure::floats::scalar")]
    pub gradient_norm: f64,
    /// L after it.
    #[serde(with = "saddlescope_figure::floats::scalar")]
    pub loss: f64,
    /// ‖θ − θ*‖ after it.
    #[serde(with = "saddlescope_figure::floats::scalar")]
    pub distance: f64,
    /// Its length.
    #[serde(with = "saddlescope_figure::floats::scalar")]
    pub length: f64,
    /// ‖g(θ + p) − (g + H p)‖ / ‖H p‖: how far the linear model of the gradient was off.
    #[serde(with = "saddlescope_figure::floats::scalar")]
    pub model_error: f64,
    /// ‖H p‖ / ‖p‖: the curvature along it.
    #[serde(with = "saddlescope_figure::floats::scalar")]
    pub curvature: f64,
    /// Steps that were refused before it.
    pub refused: usize,
    /// Products so far.
    pub products: usize,
}

/// A point on its way to ∇L = 0. Kept after every step; going on from what was kept gives the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settling {
    /// θ now. Not written with the rest: it is kept as weights.
    #[serde(skip)]
    pub theta: Vec<f64>,
    /// θ at the start. Not written either.
    #[serde(skip)]
    pub start: Vec<f64>,
    /// ∇L(θ); computed again where it is missing.
    #[serde(skip)]
    gradient: Vec<f64>,
    /// The steps so far; the first is the start.
    pub steps: Vec<SettleStep>,
    /// Δ.
    radius: f64,
    /// To which share of ‖g‖ the next model is solved.
    forcing: f64,
    /// Products so far.
    pub products: usize,
    /// Gradients so far.
    pub gradients: usize,
    /// Why it ended, once it has.
    pub end: Option<SettleEnd>,
}

/// A step needs at least this share of the decrease of ‖g‖² that the model promises.
const SUFFICIENT: f64 = 1e-4;
/// Decreases of the loss below this share of it are lost in its rounding errors.
const ROUNDING: f64 = 1e-12;
/// ‖H g‖ below this share of ‖H‖‖g‖ is zero: Newton steps against it would be longer than 1e6 gradient steps.
const FLAT: f64 = 1e-6;
/// Curvature times max(1, ‖θ‖) below this share of ‖g‖ is zero: a Newton step would be 1e12 times as long as θ, which is rounding.
const VANISHING: f64 = 1e-12;

/// Whether curvature is zero beside a gradient, at a θ of this norm: a Newton step against the gradient would be lost in rounding.
pub(crate) fn negligible(curvature: f64, gradient: f64, theta: f64) -> bool {
    curvature.abs() * theta.max(1.0) <= VANISHING * gradient
}

/// A way has not arrived if the model was wrong by more than [`WRONG`] at last, and the way from ten times the gradient to the
/// gradient now is longer than [`MOVING`] times max(1, ‖θ‖), or as long as it was for the factor of ten before ([`STEADY`]). At a
/// critical point the model is right in the end, and at a degenerate one (x⁴, x⁶) each factor of ten takes 0.46 or 0.63 of the
/// length of the one before; where the loss falls exponentially along the way, it takes as much.
const MOVING: f64 = 1e-3;
const STEADY: f64 = 0.8;
/// Ways below this share of max(1, ‖θ‖) can be rounding.
const TINY: f64 = 1e-6;
const WRONG: f64 = 0.1;
/// Bounds below this share of max(1, ‖θ‖) move nothing but the last digits.
const SHORTEST: f64 = 1e-13;
/// The model is never solved more closely than to this share, and never less closely than to [`ROUGHEST`].
const FINEST: f64 = 1e-4;
const ROUGHEST: f64 = 0.3;
/// A space of [`ENOUGH`] dimensions grows no further once a third more products have lowered the residual by less than this
/// share.
const WORTHWHILE: f64 = 0.05;
const ENOUGH: usize = 100;

/// What the model of a step promises to fall, and by how much.
enum Promise {
    /// L.
    Loss(f64),
    /// ‖∇L‖².
    SquaredGradient(f64),
}

impl SettleStep {
    /// By how much the Hessian changed over the step, as the error of the model tells: g⁺ − g − H p = ∫ (H(t) − H) p dt is half
    /// of that for a change at a constant rate, and twice as much is allowed for.
    pub fn hessian_change(&self) -> f64 {
        4.0 * self.model_error * self.curvature
    }
}

impl Settling {
    /// At the start, with the gradient there.
    ///
    /// # Errors
    /// A θ of another length, or a risk without gradients or that fails.
    pub fn begin(risk: &dyn Risk, theta: &[f64], options: &SettleOptions) -> Result<Self, RiskError> {
        check_theta(risk, theta)?;
        let mut gradient = vec![0.0; theta.len()];
        let loss = risk.gradient(theta, &mut gradient)?.loss;
        let step = SettleStep {
            gradient_norm: norm(&gradient),
            loss,
            distance: 0.0,
            length: 0.0,
            model_error: 0.0,
            curvature: 0.0,
            refused: 0,
            products: 0,
        };
        let mut settling = Self {
            theta: theta.to_vec(),
            start: theta.to_vec(),
            gradient,
            steps: vec![step],
            radius: options.radius.unwrap_or(0.05 * norm(theta).max(1.0)),
            forcing: ROUGHEST,
            products: 0,
            gradients: 1,
            end: None,
        };
        settling.judge(options);
        Ok(settling)
    }

    /// ‖∇L‖ now.
    pub fn gradient_norm(&self) -> f64 {
        self.steps.last().map_or(f64::NAN, |s| s.gradient_norm)
    }

    /// Whether the gradient fades along a way that goes on. The last step alone does not tell: it can be short because longer
    /// ones were refused.
    fn recedes(&self) -> bool {
        let (Some(last), scale) = (self.steps.last(), norm(&self.theta).max(1.0)) else { return false };
        let mut length = [0.0; 2];
        let mut decrease = [0.0; 2];
        for (i, w) in self.steps.windows(2).rev().enumerate() {
            let times = w[0].gradient_norm / last.gradient_norm;
            let decade = if i == 0 || times <= 10.0 { 0 } else { 1 };
            if decade == 1 && times > 100.0 {
                break;
            }
            length[decade] += w[1].length;
            decrease[decade] += (w[0].gradient_norm / w[1].gradient_norm).ln();
        }
        let steady = length[1] > 0.0 && length[0] / decrease[0] > STEADY * length[1] / decrease[1];
        let goes_on = length[0] > MOVING * scale || steady && length[0] > TINY * scale;
        goes_on && last.model_error > WRONG
    }

    fn judge(&mut self, options: &SettleOptions) {
        let Some(last) = self.steps.last() else { return };
        if !last.gradient_norm.is_finite() || !last.loss.is_finite() {
            self.end = Some(SettleEnd::NotFinite);
        } else if last.gradient_norm <= options.tolerance {
            self.end = Some(if self.recedes() { SettleEnd::Receding } else { SettleEnd::Converged });
        } else if self.products >= options.max_products {
            self.end = Some(SettleEnd::Budget);
        }
    }

    /// One step. `hessian` is the Hessian at θ; `watch` sees the number of products so far and the residual of the model.
    ///
    /// # Errors
    /// Whatever the products or gradients report; [`RiskError::Cancelled`] from `watch`. The step is then not taken, and
    /// can be begun again.
    pub fn advance(
        &mut self,
        risk: &dyn Risk,
        hessian: &dyn SymmetricOperator,
        options: &SettleOptions,
        watch: &mut dyn FnMut(usize, f64) -> Result<(), RiskError>,
    ) -> Result<(), ProductError> {
        if self.end.is_some() {
            return Ok(());
        }
        if self.gradient.len() != self.theta.len() {
            self.gradient = vec![0.0; self.theta.len()];
            risk.gradient(&self.theta, &mut self.gradient)?;
        }
        let size = norm(&self.gradient);
        let before = self.steps.last().map_or(f64::NAN, |s| s.loss);
        // A good part of the tolerance is as close as need be.
        let wanted = (self.forcing * size).max(0.3 * options.tolerance);
        let space = self.space(hessian, options, size, wanted, watch)?;
        let stretch = space.stretch().unwrap_or(0.0);
        let flat = stretch <= FLAT * space.norm_estimate() || negligible(stretch, size, norm(&self.theta));
        if !options.downhill && flat {
            let vanishes = self.hessian_vanishes(hessian, size)?;
            self.end = Some(if vanishes { SettleEnd::HessianVanishes } else { SettleEnd::GradientFlat });
            return Ok(());
        }
        let shortest = SHORTEST * norm(&self.theta).max(1.0);
        let mut refused = 0;
        let (mut point, mut gradient) = (self.theta.clone(), vec![0.0; self.theta.len()]);
        loop {
            watch(self.products, size)?;
            let Some((found, promised)) = self.step(&space, size, wanted, options.downhill) else {
                self.end = Some(SettleEnd::Stalled);
                return Ok(());
            };
            if found.length <= shortest {
                self.end = Some(SettleEnd::Stalled);
                return Ok(());
            }
            let step = space.vector(&found.coordinates)?;
            point.copy_from_slice(&self.theta);
            add_scaled(&mut point, 1.0, &step);
            let loss = risk.gradient(&point, &mut gradient)?.loss;
            self.gradients += 1;
            let after = norm(&gradient);
            let share = match promised {
                // Differences of the loss are rounding errors here: what is left to go by is the gradient.
                Promise::Loss(decrease) if decrease > ROUNDING * before.abs() => (before - loss) / decrease,
                Promise::Loss(_) => 1.0 - after / size,
                Promise::SquaredGradient(decrease) => (size * size - after * after) / decrease,
            };
            let taken = share >= SUFFICIENT && loss.is_finite();
            if taken {
                let (model_error, curvature) = model_error(&space, &found, &self.gradient, &gradient)?;
                self.take(
                    &point,
                    &gradient,
                    SettleStep {
                        gradient_norm: after,
                        loss,
                        distance: 0.0,
                        length: found.length,
                        model_error,
                        curvature,
                        refused,
                        products: self.products,
                    },
                );
                self.force(size, found.residual, after);
            }
            // Where the model was good the bound grows, if it mattered at all.
            if taken && share > 0.75 && found.length > 0.9 * self.radius {
                self.radius *= 3.0;
            } else if share.is_nan() || share < 0.25 {
                self.radius = 0.25 * found.length;
            }
            if taken {
                self.judge(options);
                return Ok(());
            }
            refused += 1;
        }
    }

    /// Whether H is zero, not only H g: for random signs z, ‖H z‖² is ‖H‖_F² on average.
    fn hessian_vanishes(&mut self, hessian: &dyn SymmetricOperator, size: f64) -> Result<bool, ProductError> {
        let mut z = vec![0.0; self.theta.len()];
        Stream::new(0, "settle", 0).fill_rademacher(&mut z);
        let mut image = vec![0.0; z.len()];
        hessian.apply(&z, &mut image)?;
        self.products += 1;
        Ok(negligible(norm(&image), size, norm(&self.theta)))
    }

    /// The next step and what the model promises of it; `None` where the model promises nothing.
    fn step(
        &self,
        space: &ResidualSpace,
        size: f64,
        wanted: f64,
        downhill: bool,
    ) -> Option<(BoundedSolution, Promise)> {
        if downhill {
            let (found, decrease) = space.lowest(self.radius)?;
            return (decrease > 0.0).then_some((found, Promise::Loss(decrease)));
        }
        // The shortest step that leaves what is wanted; where none within the bound does, the one that leaves least.
        let found = match space.shortest(wanted).filter(|s| s.length <= self.radius) {
            Some(shortest) => shortest,
            None => space.solve(self.radius),
        };
        let promised = size * size - found.residual * found.residual;
        (found.residual < size).then_some((found, Promise::SquaredGradient(promised)))
    }

    /// The Krylov space of one step: grown until its residual is as small as it need be, or growth is no longer worth it.
    fn space(
        &mut self,
        hessian: &dyn SymmetricOperator,
        options: &SettleOptions,
        size: f64,
        wanted: f64,
        watch: &mut dyn FnMut(usize, f64) -> Result<(), RiskError>,
    ) -> Result<ResidualSpace, ProductError> {
        let minus: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        let mut space = ResidualSpace::new(hessian, minus)?;
        let left = options.max_products.saturating_sub(self.products).max(1);
        let most = options.max_dimension.min(left);
        let (mut before, mut check) = (size, 4);
        while space.dim() < most {
            let grows = space.extend(hessian)?;
            self.products += 1;
            watch(self.products, before)?;
            if !grows {
                break;
            }
            if space.dim() == check {
                let residual = space.solve(self.radius).residual;
                if residual <= wanted || (check > ENOUGH && residual > (1.0 - WORTHWHILE) * before) {
                    break;
                }
                before = residual;
                check += 1 + check / 3;
            }
        }
        Ok(space)
    }

    fn take(&mut self, point: &[f64], gradient: &[f64], step: SettleStep) {
        self.theta.copy_from_slice(point);
        self.gradient.copy_from_slice(gradient);
        let moved: Vec<f64> = self.theta.iter().zip(&self.start).map(|(a, b)| a - b).collect();
        self.steps.push(SettleStep { distance: norm(&moved), ..step });
    }

    /// Eisenstat and Walker's first choice: |‖g⁺‖ − ‖g + H p‖| / ‖g‖, not falling faster than the golden power.
    fn force(&mut self, before: f64, residual: f64, after: f64) {
        let honest = (after - residual).abs() / before;
        let held = self.forcing.powf(0.5 * (1.0 + 5.0_f64.sqrt()));
        let next = if held > 0.1 { honest.max(held) } else { honest };
        self.forcing = next.clamp(FINEST, ROUGHEST);
    }
}

/// ‖g⁺ − (g + H p)‖ / ‖H p‖, and ‖H p‖ / ‖p‖.
fn model_error(
    space: &ResidualSpace,
    step: &BoundedSolution,
    before: &[f64],
    after: &[f64],
) -> Result<(f64, f64), ProductError> {
    let image = space.image(&step.coordinates)?;
    let off: Vec<f64> = image.iter().zip(before).zip(after).map(|((hp, g), a)| a - g - hp).collect();
    Ok((norm(&off) / norm(&image), norm(&image) / step.length))
}

/// Settles without a folder: all steps at once.
///
/// ```
/// use saddlescope_landscape::analytic::SignedSquares;
/// use saddlescope_landscape::{SettleEnd, SettleOptions, settle};
///
/// // The paper's (2.28) has its saddle at (0, …, 0, 1).
/// let risk = SignedSquares::new(4, 5)?;
/// let mut theta = vec![0.05; 9];
/// theta[8] = 1.1;
/// let settled = settle(&risk, &theta, &SettleOptions::default(), &mut |_| Ok(()))?;
/// assert_eq!(settled.end, Some(SettleEnd::Converged));
/// assert!(settled.theta[..8].iter().all(|t| t.abs() < 1e-9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Settling::begin`] and [`Settling::advance`].
pub fn settle(
    risk: &dyn Risk,
    theta: &[f64],
    options: &SettleOptions,
    watch: &mut dyn FnMut(&Settling) -> Result<(), RiskError>,
) -> Result<Settling, RiskError> {
    let mut settling = Settling::begin(risk, theta, options)?;
    while settling.end.is_none() {
        watch(&settling)?;
        let point = risk.at(&settling.theta, 0)?;
        let hessian = crate::curvature_operator::CurvatureOperator::hessian(&*point);
        settling.advance(risk, &hessian, options, &mut |_, _| Ok(()))?;
    }
    Ok(settling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FnRisk;

    /// How a way ends whose steps have these ‖∇L‖ and lengths, at a θ of norm 1, with a model that is off by a third.
    fn end(steps: &[(f64, f64)]) -> Option<SettleEnd> {
        let risk = FnRisk::new(1, |t| t[0]).with_gradient(|_, g| g[0] = 1.0);
        let options = SettleOptions::default();
        let mut way = Settling::begin(&risk, &[1.0], &options).unwrap();
        let begin = way.steps[0];
        way.steps.extend(steps.iter().map(|&(gradient_norm, length)| SettleStep {
            gradient_norm,
            length,
            model_error: 0.3,
            ..begin
        }));
        way.judge(&options);
        way.end
    }

    #[test]
    fn a_way_that_recedes_is_told_from_one_that_arrives() {
        assert_eq!(end(&[(1e-3, 0.1), (1e-5, 1e-4), (9e-11, 1e-6)]), Some(SettleEnd::Converged));
        assert_eq!(end(&[(2e-10, 0.1), (9e-11, 0.1)]), Some(SettleEnd::Receding));
        assert_eq!(
            end(&[(4e-10, 0.1), (2e-10, 0.1), (1.1e-10, 0.1), (9e-11, 1e-5)]),
            Some(SettleEnd::Receding)
        );
        assert_eq!(end(&[(2e-9, 0.1), (1.1e-10, 1e-6), (9e-11, 1e-7)]), Some(SettleEnd::Converged));
        // Steps that are short beside θ, but as long as ever.
        assert_eq!(end(&[(3e-9, 4e-4), (6e-10, 4e-4), (9e-11, 4e-4)]), Some(SettleEnd::Receding));
        // x⁴: each step takes a third of x, and 0.3 of the gradient are left.
        let quartic: Vec<_> = (0..12).map(|i| (3e-5 * 0.3_f64.powi(i), 3e-3 * 0.667_f64.powi(i))).collect();
        assert_eq!(end(&quartic), Some(SettleEnd::Converged));
    }
}
