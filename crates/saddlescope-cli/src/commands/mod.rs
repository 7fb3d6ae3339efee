//! One file a verb; one line a verb here.

mod analyze;
mod compare;
mod density;
mod eigs;
mod escape;
mod info;
mod paper;
mod paper_networks;
mod path;
mod project;
mod report;
mod settle;
mod sharpness;
mod slice;
mod status;
mod trace;
mod train;
mod trajectory;
mod verify;

use crate::failure::Failure;
use crate::ranks;
use clap::Subcommand;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Analyse the loss landscape around a trained network: certified curvature, honest slices, a report.
    Analyze(Box<analyze::Arguments>),
    /// Compare several sets of weights: loss, curvature with errors, common directions, surfaces on the same axes.
    Compare(Box<compare::Arguments>),
    /// Spectral density of the Hessian and the number of negative eigenvalues.
    Density(Box<density::Arguments>),
    /// Largest and smallest eigenvalues of the Hessian, each with its true residual.
    Eigs(Box<eigs::Arguments>),
    /// Write weights moved along negative curvature, from a finished analysis.
    Escape(Box<escape::Arguments>),
    /// Show a model's parameters, layers, operations and memory.
    Info(Box<info::Arguments>),
    /// Reproduce the figures and numbers of Böttcher & Wheeler (2022): those that need no network, or Figures 5 to 7 for your weights.
    Paper(paper::Arguments),
    /// Go from one set of weights to another: loss and accuracy on the line and on a low-loss curve, and the barrier.
    Path(Box<path::Arguments>),
    /// What random planes through the point show: curvatures κ± and the chance that one shows the saddle.
    Project(Box<project::Arguments>),
    /// Rebuild the report of a finished analysis; computes nothing.
    Report(report::Arguments),
    /// Find the critical point nearby (∇L = 0) in f64, and say what kind it is.
    Settle(Box<settle::Arguments>),
    /// Measures of sharpness, each by its definition, with error and cost.
    Sharpness(Box<sharpness::Arguments>),
    /// Cuts and surfaces of the loss along directions of your choice.
    Slice(Box<slice::Arguments>),
    /// Show what a folder holds: its stages with their state, cost, and what each result depends on.
    Status(status::Arguments),
    /// Trace of the Hessian by Hutchinson's estimator and by curvature fits, tensor by tensor.
    Trace(Box<trace::Arguments>),
    /// Train a network by stochastic gradient descent.
    Train(Box<train::Arguments>),
    /// Check the program on this machine: closed forms, finite differences, PyTorch's values, reproducible
    /// bits, every kernel path.
    Verify(verify::Arguments),
    /// Follow a training run: its checkpoints in a plane, with loss and curvature at each.
    Trajectory(Box<trajectory::Arguments>),
}

impl Command {
    /// Checks the arguments of the verb and carries it out.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Analyze(arguments) => analyze::run(*arguments),
            Self::Compare(arguments) => ranks::refuse("compare").and_then(|()| compare::run(*arguments)),
            Self::Density(arguments) => density::run(*arguments),
            Self::Eigs(arguments) => eigs::run(*arguments),
            Self::Project(arguments) => project::run(*arguments),
            Self::Settle(arguments) => settle::run(*arguments),
            Self::Sharpness(arguments) => sharpness::run(*arguments),
            Self::Slice(arguments) => slice::run(*arguments),
            Self::Trace(arguments) => trace::run(*arguments),
            Self::Verify(arguments) => ranks::refuse("verify").and_then(|()| verify::run(&arguments)),
            Self::Path(arguments) => ranks::refuse("path").and_then(|()| path::run(*arguments)),
            Self::Trajectory(arguments) => {
                ranks::refuse("trajectory").and_then(|()| trajectory::run(*arguments))
            }
            Self::Escape(arguments) => ranks::refuse("escape").and_then(|()| escape::run(*arguments)),
            Self::Info(arguments) => ranks::refuse("info").and_then(|()| info::run(*arguments)),
            Self::Status(arguments) => ranks::refuse("status").and_then(|()| status::run(arguments)),
            Self::Report(arguments) => ranks::refuse("report").and_then(|()| report::run(arguments)),
            Self::Paper(arguments) => ranks::refuse("paper").and_then(|()| paper::run(arguments)),
            Self::Train(arguments) => ranks::refuse("train").and_then(|()| train::run(*arguments)),
        }
    }
}
