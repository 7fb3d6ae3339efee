//! Where the time of a product goes: seconds, operations and bytes by kind of operation and pass.
//!
//! Timing is off unless asked for ([`RiskPoint::profile`](crate::risk::RiskPoint::profile)); switched off it costs one
//! test a node. Seconds are added up over threads, so their sum is up to `threads` times the time on the clock.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Instant;

/// Which pass of an operation, or which work outside of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// y = φ(x).
    Forward,
    /// ẏ.
    Tangent,
    /// x̄.
    Adjoint,
    /// x̄˙.
    AdjointTangent,
    /// Work outside of the operations.
    Around,
}

impl Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Forward => "forward",
            Phase::Tangent => "tangent",
            Phase::Adjoint => "adjoint",
            Phase::AdjointTangent => "adjoint's tangent",
            Phase::Around => "",
        })
    }
}

/// What one kind of operation cost in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// How often it ran.
    pub calls: u64,
    /// Seconds, added up over threads.
    pub seconds: f64,
    /// Floating-point operations by the formulas: those of the forward pass once, and for each tangent twice in the
    /// tangent, twice in the adjoint, four times in the adjoint's tangent. 0 for what only moves memory.
    pub flops: u64,
    /// Bytes of everything read and written once.
    pub bytes: u64,
}

impl Cost {
    fn add(&mut self, other: &Cost) {
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

/// Costs by operation (its ONNX name) and pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    costs: BTreeMap<(&'static str, Phase), Cost>,
    /// Seconds on the clock, all threads together.
    pub wall: f64,
}

impl Profile {
    /// Adds the cost of one call that began at `start`.
    pub(crate) fn record(
        &mut self,
        name: &'static str,
        phase: Phase,
        start: Instant,
        flops: u64,
        bytes: u64,
    ) {
        let seconds = start.elapsed().as_secs_f64();
        self.costs.entry((name, phase)).or_default().add(&Cost { calls: 1, seconds, flops, bytes });
    }

    /// Adds another profile's costs, and not its time on the clock.
    pub fn merge(&mut self, other: &Profile) {
        for (key, cost) in &other.costs {
            self.costs.entry(*key).or_default().add(cost);
        }
    }

    /// All rows, the most expensive first.
    pub fn rows(&self) -> Vec<(&'static str, Phase, Cost)> {
        let mut rows: Vec<_> = self.costs.iter().map(|(&(name, phase), &cost)| (name, phase, cost)).collect();
        rows.sort_by(|a, b| b.2.seconds.total_cmp(&a.2.seconds));
        rows
    }

    /// Passes of an operation added up, the most expensive operation first.
    pub fn by_operation(&self) -> Vec<(&'static str, Cost)> {
        let mut sums: BTreeMap<&'static str, Cost> = BTreeMap::new();
        for (&(name, _), cost) in &self.costs {
            sums.entry(name).or_default().add(cost);
        }
        let mut rows: Vec<_> = sums.into_iter().collect();
        rows.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
        rows
    }

    /// Seconds of all rows, over all threads.
    pub fn seconds(&self) -> f64 {
        self.costs.values().map(|c| c.seconds).sum()
    }
}

impl Display for Profile {
    /// A table: one line for each operation and pass, the most expensive first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.seconds().max(f64::MIN_POSITIVE);
        writeln!(
            f,
            "{:<26} {:<18} {:>6} {:>10} {:>7} {:>9} {:>8}",
            "operation", "pass", "calls", "ms", "share", "GFLOP/s", "GB/s"
        )?;
        for (name, phase, cost) in self.rows() {
            let rate =
                |n: u64| if n == 0 { String::new() } else { format!("{:.1}", n as f64 / cost.seconds / 1e9) };
            writeln!(
                f,
                "{name:<26} {phase:<18} {:>6} {:>10.2} {:>6.1}% {:>9} {:>8}",
                cost.calls,
                1e3 * cost.seconds,
                100.0 * cost.seconds / total,
                rate(cost.flops),
                rate(cost.bytes)
            )?;
        }
        write!(f, "{:.2} ms over all threads, {:.2} ms on the clock", 1e3 * self.seconds(), 1e3 * self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up_and_are_sorted() {
        let mut a = Profile::default();
        let start = Instant::now();
        a.record("Conv", Phase::Forward, start, 10, 20);
        a.record("Conv", Phase::Forward, start, 1, 2);
        let mut b = Profile::default();
        b.record("Conv", Phase::Tangent, start, 5, 5);
        b.record("Add", Phase::Tangent, start, 0, 7);
        a.merge(&b);
        let conv = a.by_operation().into_iter().find(|r| r.0 == "Conv").unwrap().1;
        assert_eq!((conv.calls, conv.flops, conv.bytes), (3, 16, 27));
        let rows = a.rows();
        assert_eq!(rows.len(), 3);
        assert!(rows.windows(2).all(|w| w[0].2.seconds >= w[1].2.seconds));
        assert!(a.to_string().contains("Conv"));
    }
}
