//! Hutch++: the dominant part of the trace exactly, the rest by Hutchinson.

use super::hutchinson::fill_probe;
use super::{Probes, TraceError, TraceEstimate, TraceOptions, cancelled, empty_trace, made};
use crate::basis::{Basis, Precision};
use crate::rng::Stream;
use crate::{Estimate, Observer, ProductError, Status, SymmetricOperator, vector};

/// tr A = tr(QᵀAQ) + tr((I − QQᵀ)A(I − QQᵀ)), Q an orthonormal basis of A times a third of the budget in random
/// vectors. The first part is exact, the second is estimated with the last third.
///
/// The standard error is that of the second part: infinite when the budget leaves fewer than two probes for it.
///
/// # Errors
/// [`TraceError`] when the request cannot be carried out or the operator fails; the budget must allow three products.
pub fn hutch_plus_plus(
    operator: &dyn SymmetricOperator,
    options: &TraceOptions,
    observer: &mut dyn Observer,
) -> Result<TraceEstimate, TraceError> {
    const STAGE: &str = "hutch++";
    let n = options.validate(operator, 3)?;
    if n == 0 {
        return Ok(empty_trace());
    }
    let sketch = (options.max_products / 3).min(n);
    let unknown = Estimate::from_samples(&[]);
    let mut run = Run { operator, n, products: 0, finite: true };
    let mut status = None;

    let mut basis = Basis::new(operator, Precision::F64)?;
    let mut drawn = 0;
    while drawn < sketch && status.is_none() {
        let size = options.block_size.min(sketch - drawn);
        let mut zs = vec![0.0; size * n];
        for (i, z) in zs.chunks_exact_mut(n).enumerate() {
            Stream::new(options.seed, "sketch", (drawn + i) as u64).fill_normal(z);
        }
        drawn += size;
        let Some(mut images) = run.multiply(&zs)? else {
            status = Some(Status::Cancelled);
            break;
        };
        images.chunks_exact_mut(n).try_for_each(|y| orthonormalise_into(&mut basis, y))?;
        status = run.check(observer, STAGE, options.max_products, unknown);
    }
    let mut exact = 0.0;
    let mut done = 0;
    while done < basis.len() && status.is_none() {
        let size = options.block_size.min(basis.len() - done);
        let mut qs = vec![0.0; size * n];
        for (i, q) in qs.chunks_exact_mut(n).enumerate() {
            basis.column(done + i, q)?;
        }
        let Some(images) = run.multiply(&qs)? else {
            status = Some(Status::Cancelled);
            break;
        };
        exact += qs.chunks_exact(n).zip(images.chunks_exact(n)).map(|(q, y)| vector::dot(q, y)).sum::<f64>();
        done += size;
        status = run.check(observer, STAGE, options.max_products, unknown);
    }
    let mut values: Vec<f64> = Vec::new();
    while run.products < options.max_products && status.is_none() {
        if basis.len() == n {
            break;
        }
        let size = options.block_size.min(options.max_products - run.products);
        let mut zs = vec![0.0; size * n];
        for (i, z) in zs.chunks_exact_mut(n).enumerate() {
            fill_probe(Probes::Rademacher, options.seed, values.len() + i, z);
        }
        let mut block = basis.load(&mut zs)?;
        basis.project_out(&mut block)?;
        basis.fetch(&mut block)?;
        let Some(images) = run.multiply(&zs)? else {
            status = Some(Status::Cancelled);
            break;
        };
        values.extend(zs.chunks_exact(n).zip(images.chunks_exact(n)).map(|(z, y)| exact + vector::dot(z, y)));
        let estimate = Estimate::from_samples(&values);
        status = if options.reached(&estimate) {
            Some(Status::Converged)
        } else {
            run.check(observer, STAGE, options.max_products, estimate)
        };
    }
    let trace = if basis.len() == n && done == n {
        Estimate { value: exact, std_error: 0.0, samples: n }
    } else {
        Estimate::from_samples(&values)
    };
    Ok(TraceEstimate {
        frobenius_squared: None,
        products: run.products,
        status: status.unwrap_or_else(|| options.at_budget(&trace)),
        trace,
        per_probe: values,
        per_probe_squared: Vec::new(),
    })
}

/// Products, counted and looked at.
pub(super) struct Run<'a> {
    pub operator: &'a dyn SymmetricOperator,
    pub n: usize,
    pub products: usize,
    pub finite: bool,
}

impl Run<'_> {
    /// The images; `None` when the product was cancelled.
    pub fn multiply(&mut self, xs: &[f64]) -> Result<Option<Vec<f64>>, TraceError> {
        let mut ys = vec![0.0; xs.len()];
        if !made(self.operator.apply_block(xs, &mut ys))? {
            return Ok(None);
        }
        self.products += xs.len() / self.n;
        self.finite &= ys.iter().all(|y| y.is_finite());
        Ok(Some(ys))
    }

    pub fn check(&self, observer: &mut dyn Observer, stage: &str, max: usize, e: Estimate) -> Option<Status> {
        if !self.finite {
            Some(Status::NonFinite)
        } else if cancelled(observer, stage, self.products, max, e) {
            Some(Status::Cancelled)
        } else {
            None
        }
    }
}

/// Adds what of y is not yet in the basis; nothing if that is rounding.
fn orthonormalise_into(basis: &mut Basis, y: &mut [f64]) -> Result<(), ProductError> {
    let before = vector::norm(y);
    let mut y = basis.load(y)?;
    let (_, left) = basis.project_out(&mut y)?;
    let norm = left.first().copied().unwrap_or(0.0);
    // Not a number compares false: nothing is added.
    if norm > 1e-13 * before && norm.is_finite() {
        basis.push(1.0 / norm, &y)?;
    }
    Ok(())
}
