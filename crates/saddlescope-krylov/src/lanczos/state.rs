//! The Krylov space so far: everything a solve needs to go on.

use super::continuation::Made;
use super::ritz::Ritz;
use super::trail::{SpectrumEnd, Trail};
use crate::basis::Basis;
use crate::projected::symmetric_eigen;
use crate::rng::Stream;
use crate::vector;
use crate::{
    BasisRows, Block, ExtremeEigen, Precision, ProductError, Quadrature, RitzValue, SymmetricOperator,
};

/// State of a thick-restart Lanczos solve after some product.
///
/// It satisfies A Q = Q H + P B up to rounding, where Q are the expanded basis vectors, P the pending ones (not yet
/// multiplied), H the projected operator and B the coupling. Saved and loaded it continues to the same bits; see
/// [`SnapshotWriter`](crate::SnapshotWriter).
#[derive(Clone, Debug, PartialEq)]
pub struct LanczosState {
    /// Expanded vectors, then pending ones.
    pub(crate) basis: Basis,
    pub(crate) head: Head,
}

/// Everything but the vectors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub seed: u64,
    pub block_size: usize,
    /// m, columns whose images are known.
    pub expanded: usize,
    /// Leading columns that are fixed eigenvectors, with the residual estimates they were fixed at.
    pub locked: Vec<f64>,
    /// H, m × m, row by row.
    pub h: Vec<f64>,
    /// B, pending × m, row by row.
    pub b: Vec<f64>,
    pub products: usize,
    pub restarts: usize,
    /// Random vectors drawn so far.
    pub drawn: u64,
    /// Start vectors of all recurrences that have ended in an invariant subspace.
    pub invariant: usize,
    /// Largest ‖Aq‖ and |θ| seen.
    pub norm: f64,
    /// Factor on the tolerance of residual estimates, below 1 after true residuals fell short.
    pub tighten: f64,
    /// How often they fell short.
    pub shortfalls: usize,
    /// Whether the first block was drawn at random (not given).
    pub random_start: bool,
    /// The options the path has depended on.
    pub made: Made,
    /// Residuals the observer allowed at the upper and the lower end: rank and residual.
    pub granted: [Vec<(usize, f64)>; 2],
    /// Residual estimates at which rounding errors were last looked for, in the same form.
    pub probed: [Vec<(usize, f64)>; 2],
    pub trail: Trail,
}

/// Vectors of a step that are kept for the next one: x and A x for a block.
#[derive(Debug, Default)]
pub(crate) struct Work {
    xs: Vec<f64>,
    ws: Vec<f64>,
}

/// One step of Newton's iteration for the nearest orthonormal rows, S ← (3I − SSᵀ)S/2: an eigensolver leaves them
/// orthonormal to some tens of roundings, which would add up from restart to restart.
fn orthonormalise_rows(s: &mut [f64], m: usize) {
    let old = s.to_vec();
    let products: Vec<Vec<f64>> = old
        .chunks_exact(m.max(1))
        .map(|a| old.chunks_exact(m.max(1)).map(|b| vector::dot_chunk(a, b)).collect())
        .collect();
    for (i, row) in s.chunks_exact_mut(m.max(1)).enumerate() {
        for (j, other) in old.chunks_exact(m.max(1)).enumerate() {
            let excess = 0.5 * (products[i][j] - f64::from(u8::from(i == j)));
            row.iter_mut().zip(other).for_each(|(x, o)| *x -= excess * o);
        }
    }
}

/// Norms below this multiple of ε‖A‖ are rounding, not a direction.
///
/// A basis vector made from a remainder of norm β is off by about ε‖A‖/β, and its image leaves an invariant space
/// by ‖A‖ times that: the factor leaves room for β well below ‖A‖. It is smaller in single precision, where ε is
/// already coarse beside the couplings that matter.
fn breakdown_factor(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 64.0,
        Precision::F64 => 512.0,
    }
}

/// Label of the streams of this solver.
const LABEL: &str = "lanczos";

/// Relative size of the random part of a given start.
const START_NOISE: f64 = 1e-3;

impl LanczosState {
    /// The dimension of the space.
    pub fn dim(&self) -> usize {
        self.basis.rows()
    }

    /// Operator products used so far.
    pub fn products(&self) -> usize {
        self.head.products
    }

    /// Basis vectors held.
    pub fn basis_len(&self) -> usize {
        self.basis.len()
    }

    /// How often the basis was compressed. The vectors written to a snapshot earlier are then out of date.
    pub fn restarts(&self) -> usize {
        self.head.restarts
    }

    /// How basis vectors are stored.
    pub fn precision(&self) -> Precision {
        self.basis.precision()
    }

    /// Column i of the basis, as double precision; `None` if there are fewer.
    ///
    /// # Errors
    /// [`ProductError`] where its rows are elsewhere and cannot be reached.
    pub fn basis_vector(&self, i: usize) -> Result<Option<Vec<f64>>, ProductError> {
        if i >= self.basis.len() {
            return Ok(None);
        }
        let mut v = vec![0.0; self.dim()];
        self.basis.column(i, &mut v)?;
        Ok(Some(v))
    }

    /// The expanded columns m and H = QᵀAQ (m × m, row by row).
    pub fn projected(&self) -> (usize, &[f64]) {
        (self.head.expanded, &self.head.h)
    }

    /// B in A Q = Q H + P B: pending × m, row by row; P are the basis vectors from m on.
    pub fn coupling(&self) -> &[f64] {
        &self.head.b
    }

    pub(crate) fn pending(&self) -> usize {
        self.basis.len() - self.head.expanded
    }

    /// Whether the recurrence has just ended in an invariant subspace.
    pub(crate) fn decoupled(&self) -> bool {
        let (m, l) = (self.head.expanded, self.head.locked.len());
        m > 0 && self.head.b.chunks_exact(m).all(|row| row[l..].iter().all(|&b| b == 0.0))
    }

    /// The norm below which a remainder is rounding, not a direction.
    pub(crate) fn breakdown(&self) -> f64 {
        breakdown_factor(self.precision()) * self.precision().epsilon() * self.head.norm
    }

    /// A state of nothing, to stand where one was taken away.
    pub(crate) fn nothing(options: &ExtremeEigen) -> Self {
        let store = Box::new(BasisRows::new(0, options.precision));
        Self::without_vectors(Basis::of(0, options.precision, store), options)
    }

    fn without_vectors(basis: Basis, options: &ExtremeEigen) -> Self {
        let n = basis.rows();
        Self {
            basis,
            head: Head {
                seed: options.seed,
                block_size: options.block_size,
                expanded: 0,
                locked: Vec::new(),
                h: Vec::new(),
                b: Vec::new(),
                products: 0,
                restarts: 0,
                drawn: 0,
                invariant: 0,
                norm: 0.0,
                tighten: 1.0,
                shortfalls: 0,
                random_start: options.start.is_empty(),
                made: Made::with(n, options),
                granted: [Vec::new(), Vec::new()],
                probed: [Vec::new(), Vec::new()],
                trail: Trail::default(),
            },
        }
    }

    /// The first block: given or random vectors, orthonormal.
    pub(crate) fn start(
        operator: &dyn SymmetricOperator,
        options: &ExtremeEigen,
    ) -> Result<Self, ProductError> {
        let mut state = Self::without_vectors(Basis::new(operator, options.precision)?, options);
        let n = state.dim();
        for column in 0..options.block_size.min(n) {
            let mut w = vec![0.0; n];
            for start in options.start.iter().skip(column).step_by(options.block_size) {
                vector::axpy(1.0 / vector::norm(start), start, &mut w);
            }
            let size = vector::norm(&w);
            if size > 0.0 {
                let noise = state.draw();
                vector::axpy(START_NOISE * size / vector::norm(&noise), &noise, &mut w);
            }
            if size == 0.0 || !state.push_orthonormal(&mut w, 1e-8 * size)? {
                state.push_fresh()?;
            }
        }
        Ok(state)
    }

    fn draw(&mut self) -> Vec<f64> {
        let mut w = vec![0.0; self.dim()];
        Stream::new(self.head.seed, LABEL, self.head.drawn).fill_normal(&mut w);
        self.head.drawn += 1;
        w
    }

    fn push_orthonormal(&mut self, w: &mut [f64], smallest: f64) -> Result<bool, ProductError> {
        let mut w = self.basis.load(w)?;
        let (_, left) = self.basis.project_out(&mut w)?;
        let norm = left.first().copied().unwrap_or(0.0);
        let usable = norm.is_finite() && norm > smallest;
        if usable {
            self.basis.push(1.0 / norm, &w)?;
        }
        Ok(usable)
    }

    /// Adds a random vector orthogonal to the basis. False when the basis already spans the space.
    fn push_fresh(&mut self) -> Result<bool, ProductError> {
        // A random vector keeps √((n − k)/n) of its norm; three tries make an accident impossible.
        for _ in 0..3 {
            if self.basis.len() >= self.dim() {
                return Ok(false);
            }
            let mut w = self.draw();
            let size = vector::norm(&w);
            if self.push_orthonormal(&mut w, 1e-6 * size)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One step: multiplies the pending block, orthogonalises the images and makes them the next pending block.
    /// False when the operator returned values that are not finite; the state is then unchanged but for the count.
    /// When the operator fails, the state is unchanged.
    pub(crate) fn expand(
        &mut self,
        operator: &dyn SymmetricOperator,
        work: &mut Work,
    ) -> Result<bool, ProductError> {
        let (n, m, p) = (self.dim(), self.head.expanded, self.pending());
        work.xs.resize(p * n, 0.0);
        work.ws.resize(p * n, 0.0);
        let ws = &mut work.ws[..];
        for (j, x) in work.xs.chunks_exact_mut(n).enumerate() {
            self.basis.column(m + j, x)?;
        }
        operator.apply_block(&work.xs, ws)?;
        self.head.products += p;
        let k = m + p;
        let mut images = self.basis.load(ws)?;
        let Some(removed) = self.basis.project_out_images(p, &self.head.b, &mut images)? else {
            return Ok(false);
        };
        let (c, norms) = (removed.coefficients, removed.norms);
        self.head.norm = norms.iter().fold(self.head.norm, |a, &b| a.max(b));

        let mut h = vec![0.0; k * k];
        for i in 0..m {
            h[i * k..i * k + m].copy_from_slice(&self.head.h[i * m..(i + 1) * m]);
        }
        for j in 0..p {
            for i in 0..m {
                h[i * k + m + j] = c[j * k + i];
                h[(m + j) * k + i] = c[j * k + i];
            }
            for i in 0..p {
                h[(m + i) * k + m + j] = 0.5 * (c[j * k + m + i] + c[i * k + m + j]);
            }
        }
        self.head.h = h;
        self.head.expanded = k;

        let breakdown = self.breakdown();
        let next = self.orthonormalise_block(&mut images, &norms, &removed.left, breakdown)?;
        self.head.b = vec![0.0; next.len() * k];
        for (i, row) in next.iter().enumerate() {
            self.head.b[i * k + m..(i + 1) * k].copy_from_slice(row);
        }
        if self.decoupled() {
            self.head.invariant += self.head.block_size;
        }
        Ok(true)
    }

    /// Orthonormalises what is left of the images and appends it; returns R with W = P R, one row (of p entries)
    /// for each vector appended. The block shrinks when a column adds nothing new; when none does, the space is
    /// invariant, and a fresh random block is appended with zero rows.
    fn orthonormalise_block(
        &mut self,
        ws: &mut Block<'_>,
        norms: &[f64],
        left: &[f64],
        breakdown: f64,
    ) -> Result<Vec<Vec<f64>>, ProductError> {
        let (n, p) = (self.dim(), norms.len());
        let k = self.head.expanded;
        let mut r: Vec<Vec<f64>> = Vec::with_capacity(p);
        for j in 0..p {
            let mut w = ws.vector(j, n);
            let (before, mut norm) = (left[j], left[j]);
            let remaining = |left: Vec<f64>| left.first().copied().unwrap_or(0.0);
            if !r.is_empty() {
                // Only the vectors appended in this call; then everything, because what little is left of a
                // nearly dependent column has lost its orthogonality to the rest.
                let (c, left) = self.basis.project_out(&mut w)?;
                for (i, row) in r.iter_mut().enumerate() {
                    row[j] = c[k + i];
                }
                norm = remaining(left);
            }
            if norm < 1e-2 * before || norm < 1e-6 * norms[j] {
                norm = remaining(self.basis.project_out(&mut w)?.1);
            }
            let room = self.basis.len() < n;
            if room && norm > breakdown {
                self.basis.push(1.0 / norm, &w)?;
                let mut row = vec![0.0; p];
                row[j] = norm;
                r.push(row);
            }
        }
        if r.is_empty() {
            // Invariant: whatever is left of the space has to be entered at random.
            while r.len() < self.head.block_size && self.push_fresh()? {
                r.push(vec![0.0; p]);
            }
        }
        Ok(r)
    }

    /// All Ritz pairs, ascending. `None` when H is not finite.
    pub(crate) fn ritz(&self) -> Option<Vec<Ritz>> {
        let m = self.head.expanded;
        let l = self.head.locked.len();
        let active = m - l;
        let mut h = Vec::with_capacity(active * active);
        for i in l..m {
            h.extend_from_slice(&self.head.h[i * m + l..(i + 1) * m]);
        }
        let eigen = symmetric_eigen(active, &h)?;
        let mut all = Vec::with_capacity(m);
        for (i, &estimate) in self.head.locked.iter().enumerate() {
            let mut coordinates = vec![0.0; m];
            coordinates[i] = 1.0;
            all.push(Ritz { value: self.head.h[i * m + i], estimate, locked: Some(i), coordinates });
        }
        for j in 0..active {
            let s = &eigen.vectors[j * active..(j + 1) * active];
            let estimate = self
                .head
                .b
                .chunks_exact(m.max(1))
                .map(|row| vector::dot_chunk(&row[l..], s).powi(2))
                .sum::<f64>()
                .sqrt();
            let mut coordinates = vec![0.0; m];
            coordinates[l..].copy_from_slice(s);
            all.push(Ritz { value: eigen.values[j], estimate, locked: None, coordinates });
        }
        all.sort_by(|a, b| a.value.total_cmp(&b.value));
        Some(all)
    }

    /// Nodes and weights of the Gauss quadrature that this space gives for its random start vector: one probe of a
    /// spectral density at no further product. `None` after a restart, for blocks, and for a given start.
    pub fn quadrature(&self) -> Option<Quadrature> {
        let h = &self.head;
        if h.restarts > 0 || h.block_size != 1 || !h.random_start || h.expanded == 0 {
            return None;
        }
        let ritz = self.ritz()?;
        let weights = ritz.iter().map(|r| r.coordinates[0].powi(2)).collect();
        Some(Quadrature { nodes: ritz.iter().map(|r| r.value).collect(), weights })
    }

    /// Whether an observer has widened the tolerance of a pair on the way here.
    pub fn is_widened(&self) -> bool {
        self.head.granted.iter().any(|side| !side.is_empty())
    }

    /// The residual that the observer has allowed for a pair.
    pub(crate) fn granted(&self, end: SpectrumEnd, rank: usize) -> Option<f64> {
        let side = &self.head.granted[usize::from(end == SpectrumEnd::Smallest)];
        side.iter().find(|g| g.0 == rank).map(|g| g.1)
    }

    /// The estimate at which a product last looked for rounding errors in a pair; infinite if none has.
    pub(crate) fn probed(&self, end: SpectrumEnd, rank: usize) -> f64 {
        let side = &self.head.probed[usize::from(end == SpectrumEnd::Smallest)];
        side.iter().find(|g| g.0 == rank).map_or(f64::INFINITY, |g| g.1)
    }

    /// Notes that one has.
    pub(crate) fn note_probe(&mut self, end: SpectrumEnd, rank: usize, estimate: f64) {
        let side = &mut self.head.probed[usize::from(end == SpectrumEnd::Smallest)];
        match side.iter_mut().find(|g| g.0 == rank) {
            Some(g) => g.1 = estimate,
            None => side.push((rank, estimate)),
        }
    }

    /// Notes a residual that the observer allows; a smaller one than before changes nothing.
    pub(crate) fn grant(&mut self, end: SpectrumEnd, rank: usize, residual: f64) {
        let side = &mut self.head.granted[usize::from(end == SpectrumEnd::Smallest)];
        match side.iter_mut().find(|g| g.0 == rank) {
            Some(g) => g.1 = g.1.max(residual),
            None => side.push((rank, residual)),
        }
    }

    /// All Ritz values of the space with their residual estimates, ascending. Empty before the first product.
    pub fn ritz_values(&self) -> Vec<RitzValue> {
        let all = self.ritz().unwrap_or_default();
        all.iter().map(|r| RitzValue { value: r.value, residual_estimate: r.estimate }).collect()
    }

    /// Compresses the basis to the given Ritz pairs; those marked are locked from now on.
    pub(crate) fn restart(&mut self, kept: &[(Ritz, bool)]) -> Result<(), ProductError> {
        let m = self.head.expanded;
        let mut order: Vec<(&Ritz, bool)> = kept.iter().map(|(r, lock)| (r, *lock)).collect();
        // Stable: locked first (old ones before new ones), then by value.
        order.sort_by_key(|(r, locked)| (!locked, r.locked.is_none()));
        let k = order.len();
        let mut rotation = Vec::with_capacity(k * m);
        order.iter().for_each(|(r, _)| rotation.extend_from_slice(&r.coordinates));
        orthonormalise_rows(&mut rotation, m);
        let pending = self.pending();
        let mut h = vec![0.0; k * k];
        let mut b = vec![0.0; pending * k];
        for (j, (r, _)) in order.iter().enumerate() {
            h[j * k + j] = r.value;
            for i in 0..pending {
                b[i * k + j] = vector::dot_chunk(&self.head.b[i * m..(i + 1) * m], &r.coordinates);
            }
        }
        self.basis.rotate(m, &rotation)?;
        self.head.locked = order.iter().filter(|(_, l)| *l).map(|(r, _)| r.estimate).collect();
        self.head.h = h;
        self.head.b = b;
        self.head.expanded = k;
        self.head.restarts += 1;
        Ok(())
    }
}
