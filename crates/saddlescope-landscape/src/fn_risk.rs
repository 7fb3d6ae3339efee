//! A risk made of closures: for anything that is not a network of an engine that we know.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use saddlescope_krylov::{Precision, Stream};
use serde_json::Value;

use crate::layout::ParameterLayout;
use crate::risk::{Curvature, Evaluation, Offers, Point, Product, Risk, RiskError, check_theta};
use crate::weights_hash::WeightsHash;

type Loss<'a> = Box<dyn Fn(&[f64]) -> Result<Evaluation, RiskError> + Sync + 'a>;
type Gradient<'a> = Box<dyn Fn(&[f64], &mut [f64]) -> Result<(), RiskError> + Sync + 'a>;
type Products<'a> =
    Box<dyn Fn(&[f64], Curvature, &[f64], &mut [f64]) -> Result<Product, RiskError> + Sync + 'a>;

/// A loss given by closures.
///
/// Only the loss itself is required; what is not given is not offered, and an analysis leaves out what needs it.
///
/// ```
/// use saddlescope_landscape::{Curvature, FnRisk, Risk};
///
/// // L(x, y) = x² − y².
/// let risk = FnRisk::new(2, |t| t[0] * t[0] - t[1] * t[1])
///     .with_gradient(|t, g| {
///         g[0] = 2.0 * t[0];
///         g[1] = -2.0 * t[1];
///     })
///     .with_hessian(|_, v, hv| {
///         hv[0] = 2.0 * v[0];
///         hv[1] = -2.0 * v[1];
///     });
/// let mut hv = [0.0; 2];
/// risk.at(&[0.0, 0.0], 0)?.product(Curvature::Hessian, &[1.0, 1.0], &mut hv)?;
/// assert_eq!(hv, [2.0, -2.0]);
/// # Ok::<(), saddlescope_landscape::RiskError>(())
/// ```
pub struct FnRisk<'a> {
    layout: ParameterLayout,
    samples: usize,
    offers: Offers,
    loss: Loss<'a>,
    gradient: Option<Gradient<'a>>,
    products: Option<Products<'a>>,
    identity: BTreeMap<String, Value>,
    /// The fingerprint that was last computed, and the hash of its θ.
    fingerprint: Mutex<Option<(String, String)>>,
}

impl<'a> FnRisk<'a> {
    /// A function of `dim` parameters.
    pub fn new(dim: usize, loss: impl Fn(&[f64]) -> f64 + Sync + 'a) -> Self {
        Self::fallible(dim, move |theta| Ok(Evaluation::of_loss(loss(theta))))
    }

    /// The mean of the losses of `samples` independent samples: `losses` receives θ and writes the loss of each sample. Errors
    /// over the samples follow from them.
    ///
    /// ```
    /// use saddlescope_landscape::{FnRisk, Risk};
    ///
    /// // Least squares for y ≈ θx on two samples.
    /// let (x, y) = ([1.0, 2.0], [1.0, 3.0]);
    /// let risk = FnRisk::mean(1, 2, |t, losses| {
    ///     for (s, loss) in losses.iter_mut().enumerate() {
    ///         *loss = 0.5 * (t[0] * x[s] - y[s]).powi(2);
    ///     }
    /// });
    /// let found = risk.evaluate(&[1.0])?;
    /// assert_eq!((found.loss, found.chunk_losses), (0.25, vec![0.0, 0.5]));
    /// # Ok::<(), saddlescope_landscape::RiskError>(())
    /// ```
    pub fn mean(dim: usize, samples: usize, losses: impl Fn(&[f64], &mut [f64]) + Sync + 'a) -> Self {
        Self::fallible(dim, move |theta| {
            let mut chunk_losses = vec![0.0; samples];
            losses(theta, &mut chunk_losses);
            let loss = chunk_losses.iter().sum::<f64>() / samples as f64;
            Ok(Evaluation { loss, correct: None, chunk_losses, chunk_samples: vec![1; samples] })
        })
        .with_samples(samples)
        .with_chunks()
    }

    /// A function whose evaluations can fail, or carry an accuracy and the parts of chunks of samples (declare these with
    /// [`FnRisk::with_accuracy`] and [`FnRisk::with_chunks`]).
    pub fn fallible(dim: usize, loss: impl Fn(&[f64]) -> Result<Evaluation, RiskError> + Sync + 'a) -> Self {
        Self {
            layout: ParameterLayout::flat(dim),
            samples: 1,
            offers: Offers {
                gradient: false,
                curvatures: Vec::new(),
                accuracy: false,
                chunks: false,
                repeatable: true,
                precision: Precision::F64,
            },
            loss: Box::new(loss),
            gradient: None,
            products: None,
            identity: BTreeMap::new(),
            fingerprint: Mutex::new(None),
        }
    }

    /// The gradient: receives θ and writes ∇L(θ).
    #[must_use]
    pub fn with_gradient(self, gradient: impl Fn(&[f64], &mut [f64]) + Sync + 'a) -> Self {
        self.with_fallible_gradient(move |theta, out| {
            gradient(theta, out);
            Ok(())
        })
    }

    /// A gradient that can fail.
    #[must_use]
    pub fn with_fallible_gradient(
        mut self,
        gradient: impl Fn(&[f64], &mut [f64]) -> Result<(), RiskError> + Sync + 'a,
    ) -> Self {
        self.gradient = Some(Box::new(gradient));
        self.offers.gradient = true;
        self
    }

    /// Hessian-vector products: receives θ and one vector v and writes H(θ) v.
    #[must_use]
    pub fn with_hessian(self, product: impl Fn(&[f64], &[f64], &mut [f64]) + Sync + 'a) -> Self {
        self.with_products(&[Curvature::Hessian], move |theta, _, vs, out| {
            let n = theta.len().max(1);
            for (v, av) in vs.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
                product(theta, v, av);
            }
            Ok(Product::default())
        })
    }

    /// Products with the curvature matrices listed: receives θ, which matrix, and a block of vectors stored one after the other.
    #[must_use]
    pub fn with_products(
        mut self,
        curvatures: &[Curvature],
        products: impl Fn(&[f64], Curvature, &[f64], &mut [f64]) -> Result<Product, RiskError> + Sync + 'a,
    ) -> Self {
        self.offers.curvatures = curvatures.to_vec();
        self.products = Some(Box::new(products));
        self
    }

    /// Names, shapes and kinds of the tensors of θ. Filter normalisation needs them.
    ///
    /// # Errors
    /// A layout of another number of parameters.
    pub fn with_layout(mut self, layout: ParameterLayout) -> Result<Self, RiskError> {
        if layout.len() != self.layout.len() {
            return Err(RiskError::Theta { found: layout.len(), expected: self.layout.len() });
        }
        self.layout = layout;
        Ok(self)
    }

    /// The number of samples that the loss is a mean over.
    #[must_use]
    pub fn with_samples(mut self, samples: usize) -> Self {
        self.samples = samples;
        self
    }

    /// Declares that evaluations count correct predictions.
    #[must_use]
    pub fn with_accuracy(mut self) -> Self {
        self.offers.accuracy = true;
        self
    }

    /// Declares that evaluations and products carry the parts of every chunk of samples.
    #[must_use]
    pub fn with_chunks(mut self) -> Self {
        self.offers.chunks = true;
        self
    }

    /// The number type of the computation behind the closures; f64 unless this says otherwise.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.offers.precision = precision;
        self
    }

    /// Declares that repeated calls may differ in their last bits. Without [`FnRisk::with_identity`] a folder with results of
    /// this risk then cannot be continued by another process.
    #[must_use]
    pub fn not_repeatable(mut self) -> Self {
        self.offers.repeatable = false;
        self
    }

    /// Something that results depend on, for the record of a folder: a version, a fingerprint of the data. A folder with results
    /// of another identity is refused.
    ///
    /// Without any identity, the risk is told from others by what it computes at θ (loss, gradient, and a product of one vector
    /// with each matrix that it offers), which costs as much once a run. An edit that changes none of these, because it matters
    /// only away from θ, is then not noticed. With an identity nothing is computed, and it is up to you to change it whenever the
    /// closures change.
    #[must_use]
    pub fn with_identity(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.identity.insert(name.into(), value.into());
        self
    }
}

impl FnRisk<'_> {
    /// A hash of what the closures compute at θ: loss, gradient, and a product with each matrix.
    fn computed_at(&self, theta: &[f64]) -> Result<String, RiskError> {
        // One NaN is as good as another.
        let canonical =
            |values: &mut [f64]| values.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = f64::NAN);
        let mut hash = WeightsHash::new(&self.layout);
        let mut add = |name: &str, values: &mut [f64]| {
            canonical(values);
            hash.name(name);
            hash.values(values);
        };
        let mut found = self.evaluate(theta)?;
        add("loss", &mut [found.loss]);
        add("parts", &mut found.chunk_losses);
        let mut out = vec![0.0; theta.len()];
        if let Some(gradient) = &self.gradient {
            gradient(theta, &mut out)?;
            add("gradient", &mut out);
        }
        let mut v = vec![0.0; theta.len()];
        Stream::new(0, "fingerprint", 0).fill_normal(&mut v);
        let point = self.at(theta, 0)?;
        for &curvature in &self.offers.curvatures {
            out.fill(0.0);
            point.product(curvature, &v, &mut out)?;
            add(&format!("{curvature:?}"), &mut out);
        }
        Ok(hash.finish())
    }
}

/// What no other process and no other risk has.
fn unique() -> String {
    static RISKS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = RISKS.fetch_add(1, Ordering::Relaxed);
    format!("process {} at {} ns, risk {number}", std::process::id(), now.as_nanos())
}

impl Risk for FnRisk<'_> {
    fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    fn samples(&self) -> usize {
        self.samples
    }

    fn offers(&self) -> Offers {
        self.offers.clone()
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        (self.loss)(theta)
    }

    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<Evaluation, RiskError> {
        check_theta(self, theta)?;
        let Some(compute) = &self.gradient else {
            return Err(RiskError::NotOffered { what: "a gradient".into() });
        };
        compute(theta, gradient)?;
        (self.loss)(theta)
    }

    fn at<'b>(&'b self, theta: &[f64], _keep_bytes: usize) -> Result<Box<dyn Point + 'b>, RiskError> {
        check_theta(self, theta)?;
        Ok(Box::new(FnPoint { risk: self, theta: theta.to_vec() }))
    }

    /// Only the loss, and only where it comes with that of every sample.
    fn samples_in(&self, samples: Range<usize>) -> Result<Option<Box<dyn Risk + '_>>, RiskError> {
        if !self.offers.chunks {
            return Ok(None);
        }
        let (all, count) = (self.samples, samples.len());
        let risk = FnRisk::fallible(self.layout.len(), move |theta| {
            let mut found = (self.loss)(theta)?;
            if found.chunk_samples.len() != all || found.chunk_samples.iter().any(|&w| w != 1) {
                return Err(RiskError::NotOffered { what: "the loss of every sample".into() });
            }
            found.chunk_losses = found.chunk_losses.get(samples.clone()).unwrap_or_default().to_vec();
            let loss = found.chunk_losses.iter().sum::<f64>() / count as f64;
            Ok(Evaluation { loss, correct: None, chunk_samples: vec![1; count], ..found })
        });
        let mut identity = self.identity.clone();
        identity.insert("first_samples".into(), count.into());
        Ok(Some(Box::new(FnRisk { identity, ..risk.with_samples(count).with_chunks() })))
    }

    fn identity(&self) -> BTreeMap<String, Value> {
        self.identity.clone()
    }

    fn fingerprint(&self, theta: &[f64]) -> Result<Option<String>, RiskError> {
        if !self.identity.is_empty() {
            return Ok(None);
        }
        let mut hash = WeightsHash::new(&self.layout);
        hash.values(theta);
        let at = hash.finish();
        let mut last = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fingerprint)) =
            last.as_ref().filter(|(theta, _)| *theta == at || !self.offers.repeatable)
        {
            return Ok(Some(fingerprint.clone()));
        }
        let fingerprint = if self.offers.repeatable { self.computed_at(theta)? } else { unique() };
        *last = Some((at, fingerprint.clone()));
        Ok(Some(fingerprint))
    }
}

struct FnPoint<'b, 'a> {
    risk: &'b FnRisk<'a>,
    theta: Vec<f64>,
}

impl Point for FnPoint<'_, '_> {
    fn dim(&self) -> usize {
        self.theta.len()
    }

    fn product(&self, curvature: Curvature, vs: &[f64], out: &mut [f64]) -> Result<Product, RiskError> {
        match &self.risk.products {
            Some(products) if self.risk.offers.product(curvature) => {
                products(&self.theta, curvature, vs, out)
            }
            _ => Err(RiskError::not_offered(curvature)),
        }
    }
}
