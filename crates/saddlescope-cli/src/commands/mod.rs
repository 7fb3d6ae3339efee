//! One file a verb; one line a verb here.

mod paper;

use crate::failure::Failure;
use clap::Subcommand;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reproduce the figures and numbers of Böttcher & Wheeler (2022) that need no network.
    Paper(paper::Arguments),
}

impl Command {
    /// Checks the arguments of the verb and carries it out.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Paper(arguments) => paper::run(arguments),
        }
    }
}
