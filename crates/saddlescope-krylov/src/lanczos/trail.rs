//! How the residuals fell so far: what forecasts and the test of stagnation rest on.

use serde::{Deserialize, Serialize};

use super::ritz::Ritz;

/// One end of the spectrum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpectrumEnd {
    /// The largest eigenvalues.
    Largest,
    /// The smallest (most negative) eigenvalues.
    Smallest,
}

/// Pairs followed at each end, whatever is wanted: what happens must not depend on it.
const FOLLOWED: usize = 8;

/// Most entries; then every second one is dropped, and from then on every second test is left out.
const MOST_ENTRIES: usize = 128;

/// Residual estimates at past tests of convergence.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trail {
    /// Products at the latest test.
    pub latest: usize,
    /// Tests seen, and how many make one entry (a power of two; zero before the first).
    pub seen: u64,
    pub stride: u64,
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub products: usize,
    /// Estimates of the outermost pairs at the upper and at the lower end.
    pub ends: [Vec<f64>; 2],
}

impl Trail {
    /// Adds the state of the space at a test; `ritz` ascending.
    pub(crate) fn add(&mut self, products: usize, ritz: &[Ritz]) {
        // A test may be made again where a solve goes on.
        if self.latest >= products {
            return;
        }
        self.latest = products;
        let stride = self.stride.max(1);
        self.seen += 1;
        self.stride = stride;
        if !self.seen.is_multiple_of(stride) {
            return;
        }
        if self.entries.len() >= MOST_ENTRIES {
            self.stride = 2 * stride;
            let mut odd = false;
            self.entries.retain(|_| {
                odd = !odd;
                !odd
            });
        }
        let up = ritz.iter().rev().take(FOLLOWED).map(|r| r.estimate).collect();
        let down = ritz.iter().take(FOLLOWED).map(|r| r.estimate).collect();
        self.entries.push(Entry { products, ends: [up, down] });
    }

    /// Products and estimates of one pair; rank 0 is the outermost.
    fn series(&self, end: SpectrumEnd, rank: usize) -> impl Iterator<Item = (f64, f64)> + '_ {
        let side = usize::from(end == SpectrumEnd::Smallest);
        self.entries
            .iter()
            .filter_map(move |e| e.ends[side].get(rank).map(|&estimate| (e.products as f64, estimate)))
    }

    /// Products that are missing until the estimate of a pair reaches `goal`, if it goes on falling as it did over the
    /// last third of the products. `None`: there is too little to judge by, the estimate does not fall, or it falls so
    /// slowly that the answer would be a guess (more than ten times the products so far).
    pub(crate) fn missing(&self, end: SpectrumEnd, rank: usize, goal: f64) -> Option<usize> {
        const FEWEST: usize = 6;
        let last = self.latest as f64;
        let recent: Vec<(f64, f64)> = self
            .series(end, rank)
            .filter(|(x, e)| *x >= 2.0 / 3.0 * last && *e > 0.0)
            .map(|(x, e)| (x, e.ln()))
            .collect();
        if recent.len() < FEWEST || goal <= 0.0 {
            return None;
        }
        let count = recent.len() as f64;
        let (mx, my) = (
            recent.iter().map(|p| p.0).sum::<f64>() / count,
            recent.iter().map(|p| p.1).sum::<f64>() / count,
        );
        let (sxx, sxy) =
            recent.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + (x - mx).powi(2), b + (x - mx) * (y - my)));
        let slope = sxy / sxx;
        let missing = (my + slope * (last - mx) - goal.ln()) / -slope;
        // Not a number compares false.
        (slope < 0.0 && missing < 10.0 * last).then(|| missing.max(1.0).ceil() as usize)
    }

    /// As 64-bit words, for a snapshot.
    pub(crate) fn words(&self) -> Vec<u64> {
        let mut words = vec![self.latest as u64, self.seen, self.stride, self.entries.len() as u64];
        for entry in &self.entries {
            words.push(entry.products as u64);
            for end in &entry.ends {
                words.push(end.len() as u64);
                words.extend(end.iter().map(|x| x.to_bits()));
            }
        }
        words
    }

    /// The trail that [`Trail::words`] wrote, from the front of `words`.
    pub(crate) fn read(words: &mut impl Iterator<Item = u64>) -> Option<Self> {
        let latest = usize::try_from(words.next()?).ok()?;
        let (seen, stride, count) = (words.next()?, words.next()?, words.next()?);
        let mut entries = Vec::new();
        for _ in 0..count {
            let products = usize::try_from(words.next()?).ok()?;
            let mut ends = [Vec::new(), Vec::new()];
            for end in &mut ends {
                let len = words.next()?;
                for _ in 0..len {
                    end.push(f64::from_bits(words.next()?));
                }
            }
            entries.push(Entry { products, ends });
        }
        Some(Self { latest, seen, stride, entries })
    }
}
