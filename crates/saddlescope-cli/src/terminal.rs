//! Lines on standard output and standard error.

use anyhow::Context;
use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this is a rank that only computes, so that nothing is printed here.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Prints nothing from now on.
#[cfg(feature = "mpi")]
pub fn silence() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Whether nothing is printed.
pub fn silent() -> bool {
    SILENT.load(Ordering::Relaxed)
}

/// Text with hyphens for minus signs, so that its numbers can be copied into a command or a program.
pub fn typed(text: &impl Display) -> String {
    text.to_string().replace('−', "-")
}

/// A number with so many significant digits: 0.00123456, 1234.56, 1.23456e7.
pub fn significant(x: f64, digits: usize) -> String {
    let text = format!("{x:.*e}", digits.saturating_sub(1));
    let exponent = text.rsplit_once('e').and_then(|(_, e)| e.parse::<i32>().ok());
    match exponent {
        Some(e @ -4..=5) => format!("{x:.*}", (digits as i32 - 1 - e).max(0) as usize),
        _ => text,
    }
}

/// A result line, on standard output; of several ranks only the first prints.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    if silent() {
        return Ok(());
    }
    writeln!(std::io::stdout(), "{}", typed(&text)).context("standard output")
}

/// A remark on how the work goes, on standard error; of several ranks only the first makes it.
pub fn note(text: impl Display) -> anyhow::Result<()> {
    if silent() {
        return Ok(());
    }
    writeln!(std::io::stderr(), "{}", typed(&text)).context("standard error")
}

/// The last words before the end, on standard error. What another rank than the first has to say, the first says too.
pub fn error(text: impl Display) {
    if !silent() {
        error_of_rank(text);
    }
}

/// The last words of a rank that can leave them to no other.
pub fn error_of_rank(text: impl Display) {
    // Nothing is left to do when standard error itself cannot be written.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::significant;

    #[test]
    fn numbers_have_the_digits_asked_for() {
        for (x, digits, expected) in [
            (3.120_490_033, 7, "3.120490"),
            (-0.000_123_456_78, 4, "-0.0001235"),
            (1.5e-7, 3, "1.50e-7"),
            (123_456.7, 4, "123457"),
            (9.9999e5, 3, "1.00e6"),
            (0.0, 3, "0.00"),
            (f64::INFINITY, 3, "inf"),
            (f64::NAN, 3, "NaN"),
        ] {
            assert_eq!(significant(x, digits), expected);
        }
    }
}
