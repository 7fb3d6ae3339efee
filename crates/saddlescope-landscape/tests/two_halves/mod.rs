//! A risk with a known spread over its samples.

use saddlescope_landscape::{Curvature, FnRisk, Product};

/// Two halves of the samples with Hessians 1·I and 4·I: H = 2.5·I, of three parameters.
pub fn risk() -> FnRisk<'static> {
    FnRisk::new(3, |t| 1.25 * t.iter().map(|x| x * x).sum::<f64>())
        .with_gradient(|t, g| g.iter_mut().zip(t).for_each(|(g, x)| *g = 2.5 * x))
        .with_products(&[Curvature::Hessian], |_, _, vs, out| {
            out.iter_mut().zip(vs).for_each(|(o, v)| *o = 2.5 * v);
            let squares = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
            let quotients = vs.chunks_exact(3).map(|v| vec![squares(v), 4.0 * squares(v)]).collect();
            Ok(Product { quotients, chunk_samples: vec![4, 4] })
        })
        .with_samples(8)
}
