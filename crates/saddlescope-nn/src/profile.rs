//! Where the time of a product goes: seconds, operations and bytes by kind of operation and pass.
//!
//! Timing is off unless asked for ([`RiskPoint::profile`](crate::risk::RiskPoint::profile)); switched off it costs one
//! test a node. Seconds are added up over threads, so their sum is up to `threads` times the time on the clock, and numbers
//! divided by them are those of one thread.

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
    /// Nominal bytes: inputs and output of every call, and their tangents and adjoints in the passes that have them, counted once,
    /// however often memory was really read.
    pub bytes: u64,
}

impl Cost {
    /// 10⁹ floating-point operations a second of one thread; `None` for what has no arithmetic.
    pub fn gflops(&self) -> Option<f64> {
        (self.flops > 0).then(|| self.flops as f64 / self.seconds / 1e9)
    }

    /// 10⁹ nominal bytes a second of one thread; `None` where no bytes are counted.
    pub fn gigabytes(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.bytes as f64 / self.seconds / 1e9)
    }

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

    /// Adds work outside of the operations that began at `start` and has no operations or bytes of its own.
    pub fn record_around(&mut self, name: &'static str, start: Instant) {
        self.record(name, Phase::Around, start, 0, 0);
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

    /// The operation that costs most, its passes added up; `None` where no operation has run.
    pub fn most_expensive(&self) -> Option<(&'static str, Cost)> {
        let is_operation = |name| self.costs.keys().any(|&(n, p)| n == name && p != Phase::Around);
        self.by_operation().into_iter().find(|&(name, _)| is_operation(name))
    }

    /// The work outside of the operations together.
    pub fn around(&self) -> Cost {
        let mut all = Cost::default();
        self.costs
            .iter()
            .filter(|((_, phase), _)| *phase == Phase::Around)
            .for_each(|(_, cost)| all.add(cost));
        all
    }

    /// Seconds of all rows, over all threads.
    pub fn seconds(&self) -> f64 {
        self.costs.values().map(|c| c.seconds).sum()
    }

    /// A share of [`Profile::seconds`] in percent.
    fn percent(&self, cost: &Cost) -> f64 {
        100.0 * cost.seconds / self.seconds().max(f64::MIN_POSITIVE)
    }

    /// The cells of a line of either table behind its name.
    fn numbers(&self, cost: &Cost) -> String {
        let rate = |x: Option<f64>| x.map_or(String::new(), |x| format!("{x:.1}"));
        format!(
            "{:>6} {:>10.2} {:>7.1}% {:>9} {:>8}",
            cost.calls,
            1e3 * cost.seconds,
            self.percent(cost),
            rate(cost.gflops()),
            rate(cost.gigabytes())
        )
    }
}

const COLUMNS: &str = " calls         ms    share   GFLOP/s     GB/s";

impl Display for Profile {
    /// What each operation costs in all of its passes, the most expensive first; which one costs most, in a sentence; what the columns
    /// mean; and a line for each operation and pass.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<26} {COLUMNS}", "operation, all passes")?;
        for (name, cost) in self.by_operation() {
            writeln!(f, "{name:<26} {}", self.numbers(&cost))?;
        }
        if let Some((name, cost)) = self.most_expensive() {
            let rate = cost.gflops().map_or(String::new(), |rate| format!(", at {rate:.1} GFLOP/s a thread"));
            let around = self.around();
            // In small products it takes more than any operation.
            let around = match around.seconds > cost.seconds {
                true => format!(
                    "; what is done around the operations (in parentheses) {:.1} %",
                    self.percent(&around)
                ),
                false => String::new(),
            };
            let (ms, percent) = (1e3 * cost.seconds, self.percent(&cost));
            writeln!(
                f,
                "\nThe operation that costs most is {name}: {ms:.2} ms, {percent:.1} % of the product{rate}{around}."
            )?;
        }
        writeln!(
            f,
            "{:.2} ms over all threads, {:.2} ms on the clock.\n\
             Times are added up over the threads, so GFLOP/s and GB/s are those of one thread. Operations are counted by\n\
             their formulas; bytes are nominal: inputs and outputs of each pass, counted once.",
            1e3 * self.seconds(),
            1e3 * self.wall
        )?;
        write!(f, "\n{:<26} {:<18} {COLUMNS}", "operation", "pass")?;
        for (name, phase, cost) in self.rows() {
            write!(f, "\n{name:<26} {phase:<18} {}", self.numbers(&cost))?;
        }
        Ok(())
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

    #[test]
    fn passes_are_added_up_before_they_are_listed() {
        let cost = |seconds, flops, bytes| Cost { calls: 1, seconds, flops, bytes };
        let costs = BTreeMap::from([
            // More than any pass of either operation, less than all of Conv.
            (("(sums written)", Phase::Around), cost(2.5e-3, 0, 0)),
            (("Add", Phase::Tangent), cost(2e-3, 0, 4_000_000)),
            (("Conv", Phase::Forward), cost(1e-3, 1_000_000, 1_000)),
            (("Conv", Phase::Adjoint), cost(1.5e-3, 2_000_000, 2_000)),
            (("Conv", Phase::AdjointTangent), cost(1e-3, 4_000_000, 4_000)),
        ]);
        let profile = Profile { costs, wall: 5e-3 };
        assert_eq!(profile.most_expensive().map(|(name, _)| name), Some("Conv"));
        let text = profile.to_string();
        let lines: Vec<&str> = text.lines().collect();
        let names: Vec<&str> = lines[1..4].iter().map(|l| l.split("  ").next().unwrap()).collect();
        assert_eq!(names, ["Conv", "(sums written)", "Add"], "{text}");
        let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        // 3.5 of 8 ms; 7 MFLOP and 7 kB in 3.5 ms.
        assert_eq!(words(lines[1]), ["Conv", "3", "3.50", "43.8%", "2.0", "0.0"]);
        assert_eq!(words(lines[3]), ["Add", "1", "2.00", "25.0%", "2.0"]);
        assert_eq!(
            lines[5],
            "The operation that costs most is Conv: 3.50 ms, 43.8 % of the product, at 2.0 GFLOP/s a thread."
        );
        assert!(text.contains("8.00 ms over all threads, 5.00 ms on the clock"), "{text}");
        let mut small = profile.clone();
        small.costs.insert(("(quotients)", Phase::Around), cost(1.5e-3, 0, 0));
        assert!(small.to_string().contains("around the operations (in parentheses) 42.1 %."), "{small}");
        // Work around the operations is none of them, even where it takes longest.
        let around = Profile { costs: [(("(quotients)", Phase::Around), cost(1.0, 0, 0))].into(), wall: 1.0 };
        assert_eq!(around.most_expensive(), None);
        assert!(!around.to_string().contains("costs most"), "{around}");
    }
}
