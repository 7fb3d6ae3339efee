//! What an evaluation returns and what a product needs.

use super::parts::Parts;

/// Loss and accuracy at one θ.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// L(θ). NaN and infinities are kept.
    pub loss: f64,
    /// Number of samples (positions) whose largest output is at the label, and how many were counted.
    pub correct: Option<(u64, u64)>,
    /// The losses of the parts of the data that are independent of each other.
    pub parts: Parts,
}

impl Evaluation {
    /// Share of correct answers.
    pub fn accuracy(&self) -> Option<f64> {
        self.correct.map(|(right, all)| right as f64 / all as f64)
    }
}

/// What a product needs in memory, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// For each thread.
    pub per_thread: usize,
    /// Once: parameters, directions, sums, data and the parts of losses over samples.
    pub shared: usize,
    /// The data's part of `shared`.
    pub data: usize,
    /// Not counted: what each input would take in memory that stays in its files; 0 for those in memory.
    pub in_files: Vec<usize>,
    /// For keeping the primals of all micro-batches.
    pub all_primals: usize,
}
