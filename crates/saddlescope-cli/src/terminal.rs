//! Lines on standard output and standard error.

use anyhow::Context;
use std::fmt::Display;
use std::io::Write;

/// A result line, on standard output.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output")
}

/// A remark on how the work goes, on standard error.
pub fn note(text: impl Display) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{text}").context("standard error")
}
