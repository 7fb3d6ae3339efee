//! Histograms: equal bins, nothing lost.

use serde::{Deserialize, Serialize};

/// Counts of values in equal bins over [lo, hi].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower edge of the first bin.
    pub lo: f64,
    /// Upper edge of the last bin, which it includes.
    pub hi: f64,
    /// Count of each bin.
    pub counts: Vec<usize>,
    /// Values below `lo`.
    pub below: usize,
    /// Values above `hi`.
    pub above: usize,
    /// NaN values.
    pub nan: usize,
}

/// Why there is no histogram.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// No bins, or too many.
    #[error("{bins} bins; expected 1 to 1000000")]
    Bins {
        /// Bins asked for.
        bins: usize,
    },
    /// The range is empty or not finite.
    #[error("the range {lo} to {hi} is empty or not finite")]
    Range {
        /// Lower edge.
        lo: f64,
        /// Upper edge.
        hi: f64,
    },
    /// No finite value to take the range from.
    #[error("there is no finite value to count")]
    NoValues,
}

impl Histogram {
    /// Counts `values` in `bins` equal bins over [lo, hi].
    ///
    /// # Errors
    /// No bins or too many, or an impossible range.
    pub fn in_range(values: &[f64], lo: f64, hi: f64, bins: usize) -> Result<Self, HistogramError> {
        if bins == 0 || bins > 1_000_000 {
            return Err(HistogramError::Bins { bins });
        }
        if !(hi - lo).is_finite() || hi <= lo {
            return Err(HistogramError::Range { lo, hi });
        }
        let mut histogram = Self { lo, hi, counts: vec![0; bins], below: 0, above: 0, nan: 0 };
        for &value in values {
            if value.is_nan() {
                histogram.nan += 1;
            } else if value < lo {
                histogram.below += 1;
            } else if value > hi {
                histogram.above += 1;
            } else {
                let position = ((value - lo) / (hi - lo) * bins as f64) as usize;
                histogram.counts[position.min(bins - 1)] += 1;
            }
        }
        Ok(histogram)
    }

    /// Counts `values` in `bins` equal bins from the smallest to the largest finite one.
    ///
    /// # Errors
    /// No bins or too many, or no finite value. When all finite values are equal the range is widened around them.
    pub fn of(values: &[f64], bins: usize) -> Result<Self, HistogramError> {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let (lo, hi) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        if lo > hi {
            return Err(HistogramError::NoValues);
        }
        let pad = if lo == hi { lo.abs().max(1.0) * 0.5 } else { 0.0 };
        Self::in_range(values, lo - pad, hi + pad, bins)
    }

    /// All bin edges, one more than bins.
    pub fn edges(&self) -> Vec<f64> {
        let bins = self.counts.len() as f64;
        (0..=self.counts.len()).map(|i| self.lo + (self.hi - self.lo) * (i as f64 / bins)).collect()
    }

    /// Width of a bin.
    pub fn bin_width(&self) -> f64 {
        (self.hi - self.lo) / self.counts.len() as f64
    }

    /// Number of values seen, wherever they fell.
    pub fn samples(&self) -> usize {
        self.counts.iter().sum::<usize>() + self.below + self.above + self.nan
    }

    /// Heights of the bins as a density (integral = the fraction of values inside the range).
    pub fn density(&self) -> Vec<f64> {
        let unit = self.samples() as f64 * self.bin_width();
        self.counts.iter().map(|&count| count as f64 / unit).collect()
    }
}
