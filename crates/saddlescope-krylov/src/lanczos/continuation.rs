//! Whether a solve with other options may continue from a state, bitwise identical to a solve made at once.

use super::LanczosState;
use crate::{ExtremeEigen, Precision, Wanted};

/// The options that a state was made with, as far as its path may depend on them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    /// Pairs at the upper end, at the lower end, of largest magnitude.
    pub wanted: [usize; 3],
    pub tolerance: f64,
    pub floor: f64,
    pub max_vectors: usize,
    pub check_interval: usize,
    /// FNV-1a over the bits of the start vectors.
    pub start: u64,
}

impl Made {
    pub(crate) fn with(n: usize, options: &ExtremeEigen) -> Self {
        let start = options
            .start
            .iter()
            .flatten()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, v| (h ^ v.to_bits()).wrapping_mul(0x0100_0000_01b3));
        Self {
            wanted: counts(options.wanted_in(n)),
            tolerance: options.tolerance,
            floor: options.floor(),
            max_vectors: options.max_vectors(n),
            check_interval: options.check_interval(n),
            start,
        }
    }
}

fn counts(wanted: Wanted) -> [usize; 3] {
    match wanted {
        Wanted::Ends { largest, smallest } => [largest, smallest, 0],
        Wanted::LargestMagnitude(k) => [0, 0, k],
    }
}

/// Why a solve that continued from a state would not be bitwise identical to a solve made at once; start from scratch where that matters.
///
/// [`resume_extreme_eigenpairs`](crate::resume_extreme_eigenpairs) uses such a state all the same, as long as it fits
/// the operator; the result is then as good, but has other bits.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotContinue {
    /// The very first vectors or their storage would be others.
    #[error("the {what} of the state is {found}, the options say {expected}")]
    OtherStart {
        /// What differs.
        what: &'static str,
        /// The value in the state.
        found: String,
        /// The value in the options.
        expected: String,
    },
    /// The basis was compressed, which depends on what was wanted and on the room there was.
    #[error("the basis has been compressed {restarts} times for other {what}")]
    Restarted {
        /// How often.
        restarts: usize,
        /// What differs.
        what: &'static str,
    },
    /// The state holds more vectors than the options allow.
    #[error("the state holds {found} vectors, the options allow {allowed}")]
    TooManyVectors {
        /// Vectors held.
        found: usize,
        /// Vectors allowed.
        allowed: usize,
    },
    /// A solve with the options would have stopped earlier, or may have.
    #[error("the state has gone further than {what} asks for")]
    TooFar {
        /// Which option.
        what: &'static str,
    },
    /// The path has turned on the old options: true residuals fell short of them, the recurrence ended, or an observer
    /// widened a tolerance.
    #[error("the path of the state depends on the old {what}: {why}")]
    Turned {
        /// What differs.
        what: &'static str,
        /// What has happened.
        why: &'static str,
    },
}

impl LanczosState {
    /// Whether a solve with `options` that continues from this state is bitwise identical to one made at once. It has when the
    /// options ask for the same or for more (a finer tolerance, more pairs, more products, more room) and nothing on the
    /// way has depended on the difference: more pairs and more room only before the first restart, a finer tolerance
    /// also later.
    ///
    /// Whether the operator is still the same the caller has to know, and whether the observer is: what an earlier one has allowed
    /// ([`LanczosState::is_widened`]) counts on.
    ///
    /// # Errors
    /// [`CannotContinue`] with the first reason.
    pub fn continues(&self, options: &ExtremeEigen) -> Result<(), CannotContinue> {
        let (n, h) = (self.dim(), &self.head);
        let made = &h.made;
        let new = Made::with(n, options);
        let same = |what, found: String, expected: String| {
            if found == expected { Ok(()) } else { Err(CannotContinue::OtherStart { what, found, expected }) }
        };
        let digits = |p: Precision| format!("{p:?}");
        same("precision", digits(self.precision()), digits(options.precision))?;
        same("block size", h.block_size.to_string(), options.block_size.to_string())?;
        same("seed", h.seed.to_string(), options.seed.to_string())?;
        same("digest of the start vectors", format!("{:x}", made.start), format!("{:x}", new.start))?;
        same("interval of tests", made.check_interval.to_string(), new.check_interval.to_string())?;

        if new.max_vectors != made.max_vectors {
            if h.restarts > 0 {
                return Err(CannotContinue::Restarted { restarts: h.restarts, what: "limits on the basis" });
            }
            if self.basis_len() > new.max_vectors {
                return Err(CannotContinue::TooManyVectors {
                    found: self.basis_len(),
                    allowed: new.max_vectors,
                });
            }
        }
        let turned = |what| {
            let why = if h.shortfalls > 0 {
                "true residuals fell short of the tolerance"
            } else if self.is_widened() {
                "the observer has widened it"
            } else {
                return Ok(());
            };
            Err(CannotContinue::Turned { what, why })
        };
        if new.wanted != made.wanted {
            if h.restarts > 0 {
                return Err(CannotContinue::Restarted { restarts: h.restarts, what: "pairs" });
            }
            if new.wanted.iter().zip(&made.wanted).any(|(new, old)| new < old) {
                return Err(CannotContinue::TooFar { what: "the number of pairs" });
            }
            if h.invariant > 0 {
                let why = "the recurrence has ended in an invariant subspace";
                return Err(CannotContinue::Turned { what: "pairs", why });
            }
            turned("pairs")?;
        }
        if (new.tolerance, new.floor) != (made.tolerance, made.floor) {
            if new.tolerance > made.tolerance || new.floor > made.floor {
                return Err(CannotContinue::TooFar { what: "the tolerance" });
            }
            turned("tolerance")?;
        }
        if h.products > options.search_budget(n) {
            return Err(CannotContinue::TooFar { what: "the limit on products" });
        }
        Ok(())
    }
}
