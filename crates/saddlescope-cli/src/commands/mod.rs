//! One file a verb; one line a verb here.

mod analyze;
mod escape;
mod info;
mod paper;
mod report;
mod train;

use crate::failure::Failure;
use clap::Subcommand;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Analyse the loss landscape around a trained network: certified curvature, honest slices, a report.
    Analyze(Box<analyze::Arguments>),
    /// Write weights moved along negative curvature, from a finished analysis.
    Escape(Box<escape::Arguments>),
    /// Show a model's parameters, layers, operations and memory.
    Info(info::Arguments),
    /// Reproduce the figures and numbers of Böttcher & Wheeler (2022) that need no network.
    Paper(paper::Arguments),
    /// Write the report of a finished analysis again; computes nothing.
    Report(report::Arguments),
    /// Train a network by stochastic gradient descent.
    Train(Box<train::Arguments>),
}

impl Command {
    /// Checks the arguments of the verb and carries it out.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Analyze(arguments) => analyze::run(*arguments),
            Self::Escape(arguments) => escape::run(*arguments),
            Self::Info(arguments) => info::run(arguments),
            Self::Report(arguments) => report::run(arguments),
            Self::Paper(arguments) => paper::run(arguments),
            Self::Train(arguments) => train::run(*arguments),
        }
    }
}
