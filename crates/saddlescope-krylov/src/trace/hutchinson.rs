//! Hutchinson's estimator: tr A = E\[zᵀAz\] (2.22), and ‖A‖²_F = E‖Az‖² from the same products.

use super::{Probes, TraceError, TraceEstimate, TraceOptions, cancelled, empty_trace, made};
use crate::rng::Stream;
use crate::{Estimate, Observer, Status, SymmetricOperator, vector};

/// tr A as the mean of zᵀAz over random vectors z.
///
/// With given vectors the estimate uses as many of them as the budget allows. Probe i is the same vector whatever
/// the block size, so a longer run begins with the numbers of a shorter one.
///
/// # Errors
/// [`TraceError`] when the request cannot be carried out or the operator fails.
pub fn hutchinson(
    operator: &dyn SymmetricOperator,
    probes: Probes<'_>,
    options: &TraceOptions,
    observer: &mut dyn Observer,
) -> Result<TraceEstimate, TraceError> {
    let n = options.validate(operator, 1)?;
    if let Probes::Given(given) = probes
        && let Some((index, z)) = given.iter().enumerate().find(|(_, z)| z.len() != n)
    {
        return Err(TraceError::ProbeLength { index, found: z.len(), expected: n });
    }
    if n == 0 {
        return Ok(empty_trace());
    }
    let count = match probes {
        Probes::Given(given) => given.len().min(options.max_products),
        _ => options.max_products,
    };
    let (mut values, mut squares) = (Vec::new(), Vec::new());
    let mut status = None;
    while values.len() < count && status.is_none() {
        let size = options.block_size.min(count - values.len());
        let mut zs = vec![0.0; size * n];
        for (i, z) in zs.chunks_exact_mut(n).enumerate() {
            fill_probe(probes, options.seed, values.len() + i, z);
        }
        let mut images = vec![0.0; size * n];
        if !made(operator.apply_block(&zs, &mut images))? {
            status = Some(Status::Cancelled);
            break;
        }
        for (z, image) in zs.chunks_exact(n).zip(images.chunks_exact(n)) {
            values.push(vector::dot(z, image));
            squares.push(vector::dot(image, image));
        }
        let estimate = Estimate::from_samples(&values);
        if !estimate.value.is_finite() {
            status = Some(Status::NonFinite);
        } else if options.reached(&estimate) {
            status = Some(Status::Converged);
        } else if cancelled(observer, "hutchinson", values.len(), count, estimate) {
            status = Some(Status::Cancelled);
        }
    }
    let trace = Estimate::from_samples(&values);
    Ok(TraceEstimate {
        frobenius_squared: Some(Estimate::from_samples(&squares)),
        products: values.len(),
        status: status.unwrap_or_else(|| options.at_budget(&trace)),
        trace,
        per_probe: values,
        per_probe_squared: squares,
    })
}

pub(super) fn fill_probe(probes: Probes<'_>, seed: u64, index: usize, z: &mut [f64]) {
    let mut stream = Stream::new(seed, "probe", index as u64);
    match probes {
        Probes::Rademacher => stream.fill_rademacher(z),
        Probes::Gaussian => stream.fill_normal(z),
        Probes::Given(given) => z.copy_from_slice(&given[index]),
    }
}
