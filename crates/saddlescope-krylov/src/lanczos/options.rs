//! What to compute and how much it may cost.

use crate::{LanczosError, Precision};

/// Which eigenpairs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Pairs from both ends of the spectrum, by value.
    Ends {
        /// How many of the largest.
        largest: usize,
        /// How many of the smallest (most negative).
        smallest: usize,
    },
    /// This many pairs of largest |λ|.
    LargestMagnitude(usize),
}

impl Wanted {
    /// How many pairs.
    pub fn count(self) -> usize {
        match self {
            Wanted::Ends { largest, smallest } => largest.saturating_add(smallest),
            Wanted::LargestMagnitude(k) => k,
        }
    }
}

/// Limit on what the basis may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasisLimit {
    /// At most this many vectors.
    Vectors(usize),
    /// As many vectors as fit into this many bytes.
    Bytes(usize),
}

/// Options of [`extreme_eigenpairs`](crate::extreme_eigenpairs).
#[derive(Clone, Debug, PartialEq)]
pub struct ExtremeEigen {
    /// Which eigenpairs.
    pub wanted: Wanted,
    /// A pair has converged when ‖Av − λv‖ ≤ `tolerance`·|λ|, or when it reaches the absolute floor.
    pub tolerance: f64,
    /// The floor, as a multiple of ‖A‖: residuals of this size count as converged whatever λ is. `None` takes a
    /// small multiple of the rounding unit of the basis or of the products, whichever is larger (64 ε in double, 4 ε in
    /// single precision).
    pub absolute_tolerance: Option<f64>,
    /// The precision the operator computes in. With single precision, a solve whose tolerance lies below the rounding
    /// errors of the products ends with [`Status::RoundingFloor`](crate::Status::RoundingFloor) as soon as that shows,
    /// instead of using up its products; finding out takes a few of them.
    pub product_precision: Precision,
    /// Most operator products, those that check the residuals included.
    pub max_products: usize,
    /// Most basis vectors kept. Nothing is thrown away before the limit is reached.
    pub basis_limit: BasisLimit,
    /// How basis vectors are stored.
    pub precision: Precision,
    /// Vectors multiplied at a time. One needs the fewest products; more finds multiplicities sooner and lets
    /// operators share work among the vectors of a block.
    pub block_size: usize,
    /// Seed of the random vectors.
    pub seed: u64,
    /// Where to start, for example at the eigenvectors of a cheaper operator. Vector i (normalised) is added to
    /// column i mod `block_size` of the first block, with a random vector of relative size 1e-3 so that no
    /// eigenvector is out of reach. Empty: a random start.
    pub start: Vec<Vec<f64>>,
    /// Test convergence every this many products. `None`: after each one when vectors are long (the test is then
    /// cheap beside a product), otherwise after every fourth.
    pub check_every: Option<usize>,
}

impl Default for ExtremeEigen {
    fn default() -> Self {
        Self {
            wanted: Wanted::Ends { largest: 1, smallest: 1 },
            tolerance: 1e-4,
            absolute_tolerance: None,
            product_precision: Precision::F64,
            max_products: 1000,
            basis_limit: BasisLimit::Vectors(128),
            precision: Precision::F64,
            block_size: 1,
            seed: 0,
            start: Vec::new(),
            check_every: None,
        }
    }
}

impl ExtremeEigen {
    /// The `largest` largest and `smallest` smallest eigenpairs, everything else as in [`Default`].
    pub fn ends(largest: usize, smallest: usize) -> Self {
        Self { wanted: Wanted::Ends { largest, smallest }, ..Self::default() }
    }

    /// The `count` eigenpairs of largest magnitude, everything else as in [`Default`].
    pub fn largest_magnitude(count: usize) -> Self {
        Self { wanted: Wanted::LargestMagnitude(count), ..Self::default() }
    }

    /// Bytes the basis takes when it is full, for vectors of length n.
    pub fn basis_bytes(&self, n: usize) -> usize {
        self.max_vectors(n).saturating_mul(n).saturating_mul(self.precision.bytes())
    }

    /// Most vectors the basis may hold for vectors of length n; never more than n.
    pub(crate) fn max_vectors(&self, n: usize) -> usize {
        let vectors = match self.basis_limit {
            BasisLimit::Vectors(k) => k,
            BasisLimit::Bytes(b) => b / (n.max(1) * self.precision.bytes()),
        };
        vectors.min(n)
    }

    pub(crate) fn floor(&self) -> f64 {
        self.absolute_tolerance.unwrap_or_else(|| match self.coarsest() {
            Precision::F32 => 4.0 * Precision::F32.epsilon(),
            Precision::F64 => 64.0 * Precision::F64.epsilon(),
        })
    }

    /// The coarser of the precisions of products and basis.
    fn coarsest(&self) -> Precision {
        if self.precision == Precision::F64 { self.product_precision } else { self.precision }
    }

    /// Residuals up to this multiple of ‖A‖ may be rounding errors of the products. Those of a network sum over many
    /// layers and samples: their errors are tens of ε, not one.
    pub(crate) fn rounding(&self) -> f64 {
        const SUMMED: f64 = 128.0;
        SUMMED * self.product_precision.epsilon()
    }

    /// Products for the search; the rest is kept for the residuals.
    pub(crate) fn search_budget(&self, n: usize) -> usize {
        let max = self.max_products;
        max - self.wanted_in(n).count().min(max / 2)
    }

    pub(crate) fn check_interval(&self, n: usize) -> usize {
        const LONG: usize = 50_000;
        self.check_every.unwrap_or(if n >= LONG { 1 } else { 4 }).max(1)
    }

    /// How many pairs exist to be found: never more than n.
    pub(crate) fn wanted_in(&self, n: usize) -> Wanted {
        match self.wanted {
            Wanted::Ends { largest, smallest } => {
                Wanted::Ends { largest: largest.min(n), smallest: smallest.min(n) }
            }
            Wanted::LargestMagnitude(k) => Wanted::LargestMagnitude(k.min(n)),
        }
    }

    pub(crate) fn validate(&self, n: usize) -> Result<(), LanczosError> {
        let nonnegative = |x: f64| x.is_finite() && x >= 0.0;
        if self.wanted.count() == 0 {
            return Err(LanczosError::NothingWanted);
        }
        if !nonnegative(self.tolerance) {
            return Err(LanczosError::Tolerance { found: self.tolerance });
        }
        if let Some(found) = self.absolute_tolerance.filter(|&t| !nonnegative(t)) {
            return Err(LanczosError::Tolerance { found });
        }
        if self.block_size == 0 {
            return Err(LanczosError::BlockSize);
        }
        let needed = self
            .wanted_in(n)
            .count()
            .saturating_add(self.block_size.saturating_mul(2).saturating_add(2))
            .min(n);
        let given = self.max_vectors(n);
        if given < needed {
            let bytes = needed.saturating_mul(n).saturating_mul(self.precision.bytes());
            return Err(LanczosError::BasisTooSmall { given, needed, bytes });
        }
        for (index, start) in self.start.iter().enumerate() {
            if start.len() != n {
                return Err(LanczosError::StartLength { index, found: start.len(), expected: n });
            }
            let norm = crate::vector::norm(start);
            if !norm.is_finite() || (norm == 0.0 && n > 0) {
                return Err(LanczosError::StartNorm { index, norm });
            }
        }
        Ok(())
    }
}
