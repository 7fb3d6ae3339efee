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
