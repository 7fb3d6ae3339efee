//! min ‖b − A x‖ over ‖x‖ ≤ Δ for a symmetric A, which may be indefinite and singular.
//!
//! The minimiser is sought in the Krylov space of A and b, where A is a tridiagonal matrix. Without a bound this is
//! MINRES (Paige and Saunders 1975), which gives the shortest solution of a singular consistent system as long as b has
//! nothing in the kernel. With one, the small problem is solved for its Lagrange multiplier: another bound costs no
//! further product.

use crate::basis::{Basis, Precision};
use crate::projected::symmetric_eigen;
use crate::vector::norm;
use crate::{ProductError, SymmetricOperator};

/// The Krylov space of A and b, with the tridiagonal projection of A.
pub struct ResidualSpace {
    basis: Basis,
    /// ‖b‖.
    size: f64,
    /// The diagonal of the projection.
    alpha: Vec<f64>,
    /// Below the diagonal; as long as `alpha`.
    beta: Vec<f64>,
}

/// The minimiser over the space with a bound on its length.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundedSolution {
    /// Coordinates in the basis of the space.
    pub coordinates: Vec<f64>,
    /// ‖x‖.
    pub length: f64,
    /// ‖b − A x‖, up to rounding.
    pub residual: f64,
    /// The Lagrange multiplier of the bound: x minimises ‖b − A x‖² + μ‖x‖². 0 where the bound does not matter.
    pub multiplier: f64,
}

/// Singular values of the projection below this share of its largest entry are zero: of what lies along them nothing is
/// sought, so that a system that is singular, and by rounding inconsistent, has a solution that is not made of rounding errors.
const CUT: f64 = 1e-12;

/// How closely the length of a bounded solution comes to the bound, relative to it.
const CLOSE: f64 = 1e-3;

impl ResidualSpace {
    /// The space of one dimension that b spans, for an A of its dimension.
    ///
    /// # Errors
    /// [`ProductError`] where the operator keeps vectors elsewhere, which cannot be reached.
    pub fn new(operator: &dyn SymmetricOperator, mut b: Vec<f64>) -> Result<Self, ProductError> {
        let size = norm(&b);
        let mut basis = Basis::new(operator, Precision::F64)?;
        if size > 0.0 && size.is_finite() {
            let b = basis.load(&mut b)?;
            basis.push(1.0 / size, &b)?;
        }
        Ok(Self { basis, size, alpha: Vec::new(), beta: Vec::new() })
    }

    /// Dimension of the space that solutions are sought in: the number of products so far.
    pub fn dim(&self) -> usize {
        self.alpha.len()
    }

    /// Adds a dimension by one product with A. Returns whether the space can grow further; it cannot once A maps it
    /// to itself (or b is zero or not finite).
    ///
    /// # Errors
    /// [`ProductError`] from the operator.
    pub fn extend(&mut self, operator: &dyn SymmetricOperator) -> Result<bool, ProductError> {
        let k = self.dim();
        if self.basis.len() <= k {
            return Ok(false);
        }
        let n = self.basis.rows();
        let (mut v, mut w) = (vec![0.0; n], vec![0.0; n]);
        self.basis.column(k, &mut v)?;
        operator.apply(&v, &mut w)?;
        let before = norm(&w);
        let mut w = self.basis.load(&mut w)?;
        let (coefficients, left) = self.basis.project_out(&mut w)?;
        let left = left.first().copied().unwrap_or(0.0);
        self.alpha.push(coefficients.get(k).copied().unwrap_or(0.0));
        // What is left of a vector after it lost all but rounding errors is no direction.
        let grows = left > 100.0 * f64::EPSILON * before && left.is_finite() && self.basis.len() < n;
        self.beta.push(if grows { left } else { 0.0 });
        if grows {
            self.basis.push(1.0 / left, &w)?;
        }
        Ok(grows)
    }

    /// The minimiser of ‖b − A x‖ over the space with ‖x‖ ≤ `bound`.
    pub fn solve(&self, bound: f64) -> BoundedSolution {
        let k = self.dim();
        let triangle = Triangle::of(&self.alpha, &self.beta, self.size);
        let scale = self.alpha.iter().chain(&self.beta).map(|x| x.abs()).fold(0.0, f64::max);
        let of = |multiplier: f64| {
            let coordinates = triangle.damped(multiplier);
            let length = norm(&coordinates);
            let residual = self.residual(&coordinates);
            BoundedSolution { coordinates, length, residual, multiplier }
        };
        if k == 0 || scale == 0.0 || bound <= 0.0 {
            let coordinates = vec![0.0; k];
            return BoundedSolution { coordinates, length: 0.0, residual: self.size, multiplier: 0.0 };
        }
        let least = (CUT * scale).powi(2);
        let free = BoundedSolution { multiplier: 0.0, ..of(least) };
        if free.length <= bound {
            return free;
        }
        // ‖x(μ)‖ falls with μ and is at most ‖A‖‖b‖/μ; ‖T‖ ≤ 3 × its largest entry.
        let (mut low, mut high) = (least, (3.0 * scale * self.size / bound).max(4.0 * least));
        let mut best = of(high);
        for _ in 0..200 {
            let middle = (low * high).sqrt();
            let found = of(middle);
            if found.length <= bound {
                high = middle;
                best = found;
            } else {
                low = middle;
            }
            if best.length >= (1.0 - CLOSE) * bound || high <= low * (1.0 + 1e-12) {
                break;
            }
        }
        best
    }

    /// The minimiser of ½ xᵀA x − bᵀx over the space with ‖x‖ ≤ `bound`, also where A is indefinite: a step downhill for b = −∇L
    /// and the Hessian (Gould, Lucidi, Roma and Toint 1999, with the projection's eigenvalues instead of factorisations). The
    /// decrease of the model beside it. `None` before the first product, or if an entry is not finite.
    pub fn lowest(&self, bound: f64) -> Option<(BoundedSolution, f64)> {
        let k = self.dim();
        let mut projection = vec![0.0; k * k];
        for i in 0..k {
            projection[i * k + i] = self.alpha[i];
            if i + 1 < k {
                (projection[i * k + i + 1], projection[(i + 1) * k + i]) = (self.beta[i], self.beta[i]);
            }
        }
        let eigen = symmetric_eigen(k, &projection)?;
        let least = eigen.values.iter().copied().fold(f64::INFINITY, f64::min);
        let scale = eigen.values.iter().map(|v| v.abs()).fold(0.0, f64::max);
        // b is the first basis vector times ‖b‖.
        let c: Vec<f64> = (0..k).map(|i| self.size * eigen.vectors[i * k]).collect();
        let length_at = |mu: f64| {
            let of = |(c, v): (&f64, &f64)| (c / (v + mu)).powi(2);
            c.iter().zip(&eigen.values).map(of).sum::<f64>().sqrt()
        };
        let floor = (f64::EPSILON * scale).max(f64::MIN_POSITIVE);
        let mut multiplier = 0.0;
        if least <= floor || length_at(0.0) > bound {
            // ‖x(μ)‖ falls with μ − (−λ_min), from infinity to at most ‖b‖ over it.
            let base = (-least).max(0.0);
            let (mut low, mut high) = (floor, (self.size / bound).max(2.0 * floor));
            for _ in 0..200 {
                let middle = (low * high).sqrt();
                if length_at(base + middle) > bound {
                    low = middle
                } else {
                    high = middle
                }
                if high <= low * (1.0 + 1e-12) {
                    break;
                }
            }
            multiplier = base + high;
        }
        let shares: Vec<f64> = c.iter().zip(&eigen.values).map(|(c, v)| c / (v + multiplier)).collect();
        let decrease =
            (shares.iter().zip(&c).zip(&eigen.values)).map(|((y, c), v)| y * (c - 0.5 * v * y)).sum();
        let coordinates: Vec<f64> =
            (0..k).map(|j| (0..k).map(|i| eigen.vectors[i * k + j] * shares[i]).sum()).collect();
        let (length, residual) = (norm(&coordinates), self.residual(&coordinates));
        Some((BoundedSolution { coordinates, length, residual, multiplier }, decrease))
    }

    /// The coordinates of A x in the space with one dimension more, for x with these coordinates.
    fn image_coordinates(&self, y: &[f64]) -> Vec<f64> {
        let k = y.len();
        let row = |i: usize| {
            let mut sum = if i == 0 { 0.0 } else { self.beta[i - 1] * y[i - 1] };
            if i < k {
                sum += self.alpha[i] * y[i];
            }
            if i + 1 < k {
                sum += self.beta[i] * y[i + 1];
            }
            sum
        };
        (0..=k).map(row).collect()
    }

    /// The shortest x of the space with ‖b − A x‖ ≤ `residual`, to a hundredth of it; `None` where there is none.
    ///
    /// Along directions in which A is nearly zero a solution can be long for little: this one goes along them only as far as it must.
    pub fn shortest(&self, residual: f64) -> Option<BoundedSolution> {
        let triangle = Triangle::of(&self.alpha, &self.beta, self.size);
        let scale = self.alpha.iter().chain(&self.beta).map(|x| x.abs()).fold(0.0, f64::max);
        let of = |multiplier: f64| {
            let coordinates = triangle.damped(multiplier);
            let length = norm(&coordinates);
            BoundedSolution { length, residual: self.residual(&coordinates), coordinates, multiplier }
        };
        if scale == 0.0 {
            return None;
        }
        // ‖b − A x(μ)‖ grows with μ, up to ‖b‖.
        let (mut low, mut high) = ((CUT * scale).powi(2), 1e6 * scale * scale);
        let mut best = of(low);
        if best.residual > residual || best.residual.is_nan() {
            return None;
        }
        for _ in 0..200 {
            let middle = (low * high).sqrt();
            let found = of(middle);
            if found.residual <= residual {
                low = middle;
                best = found;
            } else {
                high = middle;
            }
            if best.residual >= 0.99 * residual || high <= low * (1.0 + 1e-12) {
                break;
            }
        }
        Some(best)
    }

    /// ‖b − A x‖ for x with these coordinates.
    fn residual(&self, y: &[f64]) -> f64 {
        let mut image = self.image_coordinates(y);
        image[0] -= self.size;
        norm(&image)
    }

    /// The vector with these coordinates.
    ///
    /// # Errors
    /// [`ProductError`] where the vectors of the space are elsewhere and cannot be reached.
    pub fn vector(&self, coordinates: &[f64]) -> Result<Vec<f64>, ProductError> {
        if coordinates.is_empty() {
            return Ok(vec![0.0; self.basis.rows()]);
        }
        self.basis.combine(coordinates.len(), coordinates)
    }

    /// A times the vector with these coordinates, without a product.
    ///
    /// # Errors
    /// As [`ResidualSpace::vector`].
    pub fn image(&self, coordinates: &[f64]) -> Result<Vec<f64>, ProductError> {
        let mut image = self.image_coordinates(coordinates);
        // In a space that A maps to itself the last coordinate belongs to no vector, and is zero.
        image.truncate(self.basis.len());
        self.vector(&image)
    }

    /// ‖A b‖ / ‖b‖, once the space has a dimension.
    pub fn stretch(&self) -> Option<f64> {
        Some(self.alpha.first()?.hypot(*self.beta.first()?))
    }

    /// An estimate of ‖A‖ from below: the largest column of the projection.
    pub fn norm_estimate(&self) -> f64 {
        let column = |i: usize| {
            let above = if i == 0 { 0.0 } else { self.beta[i - 1] };
            self.alpha[i].hypot(self.beta[i]).hypot(above)
        };
        (0..self.dim()).map(column).fold(0.0, f64::max)
    }
}

/// The QR factorisation of the (k + 1) × k tridiagonal matrix: R has three diagonals.
struct Triangle {
    /// Rows of R: the diagonal and the two entries to its right.
    rows: Vec<[f64; 3]>,
    /// Qᵀ b.
    right: Vec<f64>,
}

/// (c, s) that turn (a, b) into (r, 0).
fn rotation(a: f64, b: f64) -> (f64, f64) {
    let r = a.hypot(b);
    if r == 0.0 { (1.0, 0.0) } else { (a / r, b / r) }
}

impl Triangle {
    fn of(alpha: &[f64], beta: &[f64], size: f64) -> Self {
        let k = alpha.len();
        let mut rows = Vec::with_capacity(k);
        let mut right = vec![0.0; k];
        // The row that is being reduced, from its diagonal on.
        let mut open = [alpha.first().copied().unwrap_or(0.0), if k > 1 { beta[0] } else { 0.0 }];
        let mut rhs = size;
        for i in 0..k {
            let next = [
                beta[i],
                if i + 1 < k { alpha[i + 1] } else { 0.0 },
                if i + 2 < k { beta[i + 1] } else { 0.0 },
            ];
            let (c, s) = rotation(open[0], next[0]);
            rows.push([c * open[0] + s * next[0], c * open[1] + s * next[1], s * next[2]]);
            open = [-s * open[1] + c * next[1], c * next[2]];
            right[i] = c * rhs;
            rhs *= -s;
        }
        Self { rows, right }
    }

    /// The y that minimises ‖R y − Qᵀb‖² + μ‖y‖²; where R is singular and μ is zero, y has infinite entries.
    fn damped(&self, multiplier: f64) -> Vec<f64> {
        let k = self.rows.len();
        let mut rows = self.rows.clone();
        let mut right = self.right.clone();
        if multiplier > 0.0 {
            // Every row √μ eᵢ is rotated away against the rows below it; it carries two entries and a right side along.
            for i in 0..k {
                let mut extra = [multiplier.sqrt(), 0.0, 0.0];
                let mut rhs = 0.0;
                for j in i..k {
                    let (c, s) = rotation(rows[j][0], extra[0]);
                    let old = rows[j];
                    rows[j] =
                        [c * old[0] + s * extra[0], c * old[1] + s * extra[1], c * old[2] + s * extra[2]];
                    extra = [c * extra[1] - s * old[1], c * extra[2] - s * old[2], 0.0];
                    (right[j], rhs) = (c * right[j] + s * rhs, c * rhs - s * right[j]);
                    if extra == [0.0; 3] {
                        break;
                    }
                }
            }
        }
        let mut y = vec![0.0; k];
        for i in (0..k).rev() {
            let mut sum = right[i];
            for (d, r) in rows[i].iter().enumerate().skip(1) {
                if i + d < k {
                    sum -= r * y[i + d];
                }
            }
            y[i] = if sum == 0.0 { 0.0 } else { sum / rows[i][0] };
        }
        y
    }
}
