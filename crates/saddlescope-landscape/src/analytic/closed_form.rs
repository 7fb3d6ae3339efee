//! Functions given by formulas as risks.

use saddlescope_krylov::Precision;

use crate::layout::ParameterLayout;
use crate::risk::{Curvature, Evaluation, Offers, Point, Product, Risk, RiskError, check_theta};

/// A function with its derivatives in closed form, computed in f64. Every such function is a [`Risk`] of one sample.
pub trait ClosedForm: Sync {
    /// The named tensors of θ.
    fn theta_layout(&self) -> &ParameterLayout;

    /// L(θ).
    fn value(&self, theta: &[f64]) -> f64;

    /// ∇L(θ) into `gradient`, of length N.
    fn gradient_at(&self, theta: &[f64], gradient: &mut [f64]);

    /// H(θ) v for every v of a block stored one after the other (k × N).
    fn hessian_product(&self, theta: &[f64], vs: &[f64], out: &mut [f64]);
}

impl<T: ClosedForm> Risk for T {
    fn layout(&self) -> &ParameterLayout {
        self.theta_layout()
    }

    fn offers(&self) -> Offers {
        Offers {
            gradient: true,
            curvatures: vec![Curvature::Hessian],
            accuracy: false,
            chunks: false,
            repeatable: true,
            precision: Precision::F64,
        }
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        Ok(Evaluation::of_loss(self.value(theta)))
    }

    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        self.gradient_at(theta, gradient);
        Ok(Evaluation::of_loss(self.value(theta)))
    }

    fn at<'a>(&'a self, theta: &[f64], _keep_bytes: usize) -> Result<Box<dyn Point + 'a>, RiskError> {
        check_theta(self, theta)?;
        Ok(Box::new(ClosedFormPoint { function: self, theta: theta.to_vec() }))
    }
}

struct ClosedFormPoint<'a, T> {
    function: &'a T,
    theta: Vec<f64>,
}

impl<T: ClosedForm> Point for ClosedFormPoint<'_, T> {
    fn dim(&self) -> usize {
        self.theta.len()
    }

    fn product(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Product, RiskError> {
        if curvature != Curvature::Hessian {
            return Err(RiskError::not_offered(curvature));
        }
        self.function.hessian_product(&self.theta, vs, out);
        Ok(Product::default())
    }
}
