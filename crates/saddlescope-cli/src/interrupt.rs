//! Ctrl-C: the first asks the running verb to stop at the next safe point, the second ends the process.

use anyhow::Context;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C and termination signals.
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .context("the interrupt handler could not be installed")
}

/// The flag that long computations look at: `true` once the user has asked to stop.
pub fn flag() -> &'static AtomicBool {
    &REQUESTED
}
