//! The `saddlescope` command as a function: the binary calls it, and so does the command of the Python package.
//!
//! Each verb is one file under `commands/`: its arguments as given become a checked plan, and the plan is
//! carried out by the library. Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.

mod allocator;
mod choices;
mod commands;
mod eigen_arguments;
mod failure;
mod grid;
mod growing;
mod interrupt;
mod progress;
mod ranks;
mod run;
mod several;
mod subject;
mod subject_values;
mod terminal;

use clap::{CommandFactory, FromArgMatches, Parser};
use failure::Failure;
use std::ffi::OsString;

/// What the loss landscape around a trained network really looks like, with proof.
#[derive(Debug, Parser)]
#[command(name = "saddlescope", version, arg_required_else_help = true)]
struct Cli {
    /// Number of threads (default: all cores); results do not depend on it.
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,

    #[command(subcommand)]
    command: commands::Command,
}

/// Runs the command with these arguments, the first of which is its name, and returns the exit code. It prints to standard
/// output and standard error and handles Ctrl-C, so it belongs in a process of its own.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    allocator::share_arenas();
    let session = match ranks::Session::start() {
        Ok(session) => session,
        Err(failure) => return failure.report(),
    };
    let outcome = match parse(arguments) {
        Ok(cli) => prepare(cli.threads).and_then(|()| cli.command.run()),
        Err(usage) => Err(Failure::Usage(usage)),
    };
    match session.end(outcome) {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}

/// Reads the arguments. A negative number after an option is that option's value, which says itself what it expects.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let negative = |argument: clap::Arg| match argument.get_action().takes_values() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    };
    let mut command = Cli::command().mut_subcommands(|verb| verb.mut_args(negative));
    let matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Sets up what every verb shares: the instructions of the kernels, the thread pool and the interrupt handler.
fn prepare(threads: Option<usize>) -> Result<(), Failure> {
    saddlescope::nn::Isa::requested().map_err(Failure::bad_input)?;
    if let Some(count) = threads {
        if count == 0 || count > 4096 {
            return Err(Failure::bad_input(format!("--threads {count}: expected 1 to 4096")));
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .build_global()
            .map_err(|error| anyhow::Error::new(error).context("the thread pool could not be started"))?;
    }
    interrupt::install()?;
    Ok(())
}
