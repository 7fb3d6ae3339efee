//! The program's own oracles on the machine that it runs on: closed forms, finite differences, values from PyTorch,
//! spectra that are known, bits that must not change.
//!
//! ```
//! let found = saddlescope::verify::verify(&mut |check| println!("{}", check.line()));
//! assert!(found.passed(), "{:?}", found.failures());
//! ```

mod analysis;
mod engine;
mod kernels;
mod solvers;

use std::time::Instant;

use saddlescope_figure::floats;
use saddlescope_nn::Isa;
use serde::Serialize;

/// One comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What kind of comparison it is.
    pub group: &'static str,
    /// What is compared.
    pub name: String,
    /// With what.
    pub against: &'static str,
    /// The largest error found, in the unit of `allowed`; NaN where the comparison itself failed.
    #[serde(with = "floats::scalar")]
    pub error: f64,
    /// The largest error allowed.
    #[serde(with = "floats::scalar")]
    pub allowed: f64,
    /// What both numbers are of.
    pub unit: &'static str,
    /// Whether the error is within what is allowed.
    pub passed: bool,
    /// What went wrong, if the comparison could not be made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Seconds it took.
    #[serde(with = "floats::scalar")]
    pub seconds: f64,
}

impl Check {
    /// A row of a table.
    pub fn line(&self) -> String {
        // Differences below rounding count as none.
        let error = match self.error {
            0.0 if self.unit == "relative" => "rounding".into(),
            error => format!("{error:.1e}"),
        };
        format!(
            "{}  {:<22} {:<46} {error:>9} of {:>7.1e}  {}{}",
            if self.passed { "ok    " } else { "FAILED" },
            self.group,
            self.name,
            self.allowed,
            self.unit,
            if self.note.is_empty() { String::new() } else { format!(": {}", self.note) }
        )
    }
}

/// Every comparison, and what they were made on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Version of the program.
    pub saddlescope: &'static str,
    /// Operating system and processor family.
    pub system: String,
    /// Instruction sets that the kernels have code for and the processor has.
    pub instruction_sets: Vec<String>,
    /// Threads that the system offers.
    pub threads: usize,
    /// Whether the program was compiled with checks of overflow.
    pub debug_assertions: bool,
    /// The comparisons.
    pub checks: Vec<Check>,
    /// Seconds of all.
    #[serde(with = "floats::scalar")]
    pub seconds: f64,
}

impl Verification {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|c| c.passed)
    }

    /// The checks that did not.
    pub fn failures(&self) -> Vec<&Check> {
        self.checks.iter().filter(|c| !c.passed).collect()
    }
}

pub use saddlescope_nn::conformance::Fault;

/// Makes every comparison; `shown` sees each as it is ready.
pub fn verify(shown: &mut dyn FnMut(&Check)) -> Verification {
    report(shown, |run| {
        kernels::check(run, &|_, _, _| {});
        engine::check(run);
        solvers::check(run);
        analysis::check(run);
    })
}

/// The part of [`verify`] on kernels, with `fault` applied to their output: shows that a broken kernel is found.
pub fn verify_kernels(fault: Fault<'_>, shown: &mut dyn FnMut(&Check)) -> Verification {
    report(shown, |run| kernels::check(run, fault))
}

fn report(shown: &mut dyn FnMut(&Check), checks: impl FnOnce(&mut Run<'_>)) -> Verification {
    let began = Instant::now();
    let mut run = Run { checks: Vec::new(), shown };
    checks(&mut run);
    Verification {
        saddlescope: env!("CARGO_PKG_VERSION"),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        instruction_sets: Isa::available().iter().map(|isa| format!("{isa:?}")).collect(),
        threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
        debug_assertions: cfg!(debug_assertions),
        checks: run.checks,
        seconds: began.elapsed().as_secs_f64(),
    }
}

/// Why a comparison could not be made.
type Problem = Box<dyn std::error::Error + Send + Sync>;

struct Run<'a> {
    checks: Vec<Check>,
    shown: &'a mut dyn FnMut(&Check),
}

impl Run<'_> {
    /// Makes one comparison: `compare` returns the largest error.
    fn check(
        &mut self,
        group: &'static str,
        name: impl Into<String>,
        against: &'static str,
        (allowed, unit): (f64, &'static str),
        compare: impl FnOnce() -> Result<f64, Problem>,
    ) {
        let began = Instant::now();
        let (error, note) = match compare() {
            Ok(error) => (error, String::new()),
            Err(problem) => (f64::NAN, problem.to_string()),
        };
        let check = Check {
            group,
            name: name.into(),
            against,
            error,
            allowed,
            unit,
            passed: error <= allowed,
            note,
            seconds: began.elapsed().as_secs_f64(),
        };
        (self.shown)(&check);
        self.checks.push(check);
    }
}

/// Exactly representable numbers without a pattern: ((factor i + shift) mod modulus − modulus div 2) / divisor.
fn numbers(count: usize, [factor, shift, modulus]: [usize; 3], divisor: f64) -> Vec<f64> {
    let middle = (modulus / 2) as f64;
    (0..count).map(|i| (((factor * i + shift) % modulus) as f64 - middle) / divisor).collect()
}

/// How many numbers of two vectors differ in a bit; all of them where the lengths differ.
fn different_bits(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return a.len().max(b.len()) as f64;
    }
    a.iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits()).count() as f64
}
