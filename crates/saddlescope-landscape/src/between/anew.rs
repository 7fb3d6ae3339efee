//! A loss whose batch-norm statistics are computed anew at every θ.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::layout::ParameterLayout;
use crate::risk::{Evaluation, Offers, Point, Risk, RiskError};

/// A risk whose running statistics are, at every θ, those of the samples of another risk (the training samples).
pub(crate) struct Anew<'a> {
    /// Whose samples the statistics are of.
    pub statistics: &'a dyn Risk,
    /// The loss.
    pub risk: &'a dyn Risk,
}

impl Anew<'_> {
    fn here<T>(
        &self,
        theta: &[f64],
        work: impl FnOnce(&dyn Risk) -> Result<T, RiskError>,
    ) -> Result<T, RiskError> {
        match self.statistics.buffers_anew(theta)? {
            Some(buffers) => work(&*self.risk.with_buffers(&buffers)?),
            None => work(self.risk),
        }
    }
}

impl Risk for Anew<'_> {
    fn layout(&self) -> &ParameterLayout {
        self.risk.layout()
    }

    fn samples(&self) -> usize {
        self.risk.samples()
    }

    fn offers(&self) -> Offers {
        Offers { curvatures: Vec::new(), ..self.risk.offers() }
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluation, RiskError> {
        self.here(theta, |risk| risk.evaluate(theta))
    }

    /// With the statistics held fixed, as training in evaluation mode would have it.
    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError> {
        self.here(theta, |risk| risk.gradient(theta, gradient))
    }

    fn at<'a>(&'a self, _theta: &[f64], _keep: usize) -> Result<Box<dyn Point + 'a>, RiskError> {
        Err(RiskError::NotOffered { what: "products with statistics computed anew".into() })
    }

    fn identity(&self) -> BTreeMap<String, Value> {
        let mut identity = self.risk.identity();
        identity.insert("statistics".into(), "computed anew".into());
        identity
    }

    fn fingerprint(&self, theta: &[f64]) -> Result<Option<String>, RiskError> {
        self.risk.fingerprint(theta)
    }
}
