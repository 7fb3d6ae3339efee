//! XTrace: every probe serves twice, in the sketch of the others and as their test vector.
//!
//! For each probe ωᵢ let Q₍ᵢ₎ be an orthonormal basis of A times all *other* probes. Then
//! tr(Q₍ᵢ₎ᵀAQ₍ᵢ₎) + ωᵢᵀ(I − Q₍ᵢ₎Q₍ᵢ₎ᵀ)A(I − Q₍ᵢ₎Q₍ᵢ₎ᵀ)ωᵢ is unbiased, and XTrace is the mean over i (Epperly, Tropp and
//! Webber 2024). With Q, R the factors of AΩ, Q₍ᵢ₎Q₍ᵢ₎ᵀ = Q(I − sᵢsᵢᵀ)Qᵀ where sᵢ is orthogonal to all columns of R but
//! the i-th, so everything follows from small matrices and one more product per basis vector. As in the paper, the
//! projected probe is rescaled to the length it should have on average, which normal probes allow.

use nalgebra::{DMatrix, SVD};

use super::hutch_plus_plus::Run;
use super::{TraceError, TraceEstimate, TraceOptions, empty_trace};
use crate::basis::{Basis, Precision};
use crate::rng::Stream;
use crate::{Estimate, Observer, ProductError, Status, SymmetricOperator, vector};

/// tr A by XTrace, two products per probe.
///
/// The standard error is the spread of the single estimates over √m. They are not independent, so it is an
/// indication, not a bound; it is good when the spectrum decays.
///
/// # Errors
/// [`TraceError`] when the request cannot be carried out or the operator fails; the budget must allow four products.
pub fn xtrace(
    operator: &dyn SymmetricOperator,
    options: &TraceOptions,
    observer: &mut dyn Observer,
) -> Result<TraceEstimate, TraceError> {
    let n = options.validate(operator, 4)?;
    if n == 0 {
        return Ok(empty_trace());
    }
    let probes = (options.max_products / 2).min(n);
    let mut run = Run { operator, n, products: 0, finite: true };
    let mut x = XTrace {
        n,
        basis: Basis::new(operator, Precision::F64)?,
        omegas: Vec::new(),
        r: Vec::new(),
        h: Vec::new(),
    };
    let mut status = None;
    let mut values = Vec::new();
    while x.probes() < probes && status.is_none() {
        let size = options.block_size.min(probes - x.probes());
        if !x.add_probes(&mut run, options.seed, size)? {
            status = Some(Status::Cancelled);
            break;
        }
        match if run.finite { x.estimates()? } else { None } {
            Some(v) => values = v,
            None => {
                status = Some(Status::NonFinite);
                break;
            }
        }
        let estimate = Estimate::from_samples(&values);
        status = if options.reached(&estimate) {
            Some(Status::Converged)
        } else {
            run.check(observer, "xtrace", options.max_products, estimate)
        };
    }
    let trace = if x.h.len() == n && status != Some(Status::NonFinite) {
        // The basis spans the space: the trace is known.
        let value = (0..n).map(|i| x.h[i][i]).sum();
        Estimate { value, std_error: 0.0, samples: values.len() }
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

struct XTrace {
    n: usize,
    /// Q: an orthonormal basis of the range of AΩ.
    basis: Basis,
    /// Ω, one probe after the other.
    omegas: Vec<f64>,
    /// Columns of R = QᵀAΩ; later rows are zero.
    r: Vec<Vec<f64>>,
    /// Columns of H = QᵀAQ, upper triangle: column j has the rows known when qⱼ was multiplied.
    h: Vec<Vec<f64>>,
}

impl XTrace {
    fn probes(&self) -> usize {
        self.r.len()
    }

    /// False when a product was cancelled: the probes that had an estimate before have it still.
    fn add_probes(&mut self, run: &mut Run<'_>, seed: u64, size: usize) -> Result<bool, TraceError> {
        let n = self.n;
        let mut zs = vec![0.0; size * n];
        for (i, z) in zs.chunks_exact_mut(n).enumerate() {
            Stream::new(seed, "xtrace", (self.probes() + i) as u64).fill_normal(z);
        }
        let Some(mut images) = run.multiply(&zs)? else { return Ok(false) };
        self.omegas.extend_from_slice(&zs);
        if !run.finite {
            return Ok(true);
        }
        let known = self.basis.len();
        for y in images.chunks_exact_mut(n) {
            let before = vector::norm(y);
            let mut y = self.basis.load(y)?;
            let (mut column, left) = self.basis.project_out(&mut y)?;
            let norm = left.first().copied().unwrap_or(0.0);
            if norm > 1e-13 * before {
                self.basis.push(1.0 / norm, &y)?;
                column.push(norm);
            }
            self.r.push(column);
        }
        let fresh = self.basis.len() - known;
        if fresh == 0 {
            return Ok(true);
        }
        let mut qs = vec![0.0; fresh * n];
        for (i, q) in qs.chunks_exact_mut(n).enumerate() {
            self.basis.column(known + i, q)?;
        }
        let Some(mut images) = run.multiply(&qs)? else { return Ok(false) };
        let mut images = self.basis.load(&mut images)?;
        let c = self.basis.coefficients(&mut images)?;
        self.h.extend(c.chunks_exact(self.basis.len()).map(<[f64]>::to_vec));
        Ok(true)
    }

    /// The estimate of every probe. `None` when a matrix is not finite.
    fn estimates(&mut self) -> Result<Option<Vec<f64>>, ProductError> {
        let (rank, m) = (self.basis.len(), self.probes());
        if rank == 0 {
            // A maps every probe to zero.
            return Ok(Some(vec![0.0; m]));
        }
        let h = DMatrix::from_fn(rank, rank, |i, j| if i < j { self.h[j][i] } else { self.h[i][j] });
        let r = DMatrix::from_fn(rank, m, |i, j| self.r[j].get(i).copied().unwrap_or(0.0));
        if !h.iter().chain(r.iter()).all(|x| x.is_finite()) {
            return Ok(None);
        }
        let Some(leave_out) = leave_one_out(&r) else { return Ok(None) };
        let mut omegas = self.basis.load(&mut self.omegas)?;
        let w = DMatrix::from_vec(rank, m, self.basis.coefficients(&mut omegas)?);
        let trace_h = h.trace();
        let estimates = (0..m)
            .map(|i| {
                let (wi, ri) = (w.column(i), r.column(i));
                let mut x = wi.clone_owned();
                let mut inner = trace_h;
                let mut dimension = self.n - rank;
                if let Some(s) = &leave_out[i] {
                    x -= s * s.dot(&wi);
                    inner -= s.dot(&(&h * s));
                    dimension += 1;
                }
                let omega = &self.omegas[i * self.n..(i + 1) * self.n];
                let length = vector::dot(omega, omega) - x.norm_squared();
                let quadratic = wi.dot(&ri) - 2.0 * x.dot(&ri) + x.dot(&(&h * &x));
                if dimension == 0 || length <= 0.0 {
                    inner
                } else {
                    inner + quadratic * dimension as f64 / length
                }
            })
            .collect();
        Ok(Some(estimates))
    }
}

/// For every column i of R the unit vector orthogonal to all others, if leaving column i out lowers the rank.
///
/// With R = UΣVᵀ it is UΣ⁻¹vᵢ up to length, vᵢ the i-th row of V, and the rank falls when ‖vᵢ‖ = 1.
fn leave_one_out(r: &DMatrix<f64>) -> Option<Vec<Option<nalgebra::DVector<f64>>>> {
    let scale = r.amax();
    let svd = SVD::try_new(r / scale, true, true, f64::EPSILON, 100 * r.ncols().max(10))?;
    let (u, vt) = (svd.u?, svd.v_t?);
    let essential = |i: usize| r.ncols() == r.nrows() || vt.column(i).norm_squared() > 1.0 - 1e-9;
    let smallest = f64::EPSILON * svd.singular_values.max();
    let columns = (0..r.ncols()).map(|i| {
        essential(i).then(|| {
            let mut c = vt.column(i).clone_owned();
            for (c, s) in c.iter_mut().zip(svd.singular_values.iter()) {
                *c /= s.max(smallest);
            }
            let s = &u * c;
            let norm = s.norm();
            s / norm
        })
    });
    Some(columns.collect())
}
