//! Why a verb did not finish, and the exit code that says so.

use saddlescope_mpi::{Disagreement, Outcome};

use crate::terminal;

/// Why a verb did not finish.
#[derive(Debug)]
pub enum Failure {
    /// What the user gave cannot be used; exit code 2.
    BadInput(anyhow::Error),

    /// The arguments, or a wish for help.
    Usage(clap::Error),
    /// This rank has computed its share; rank 0 says the rest.
    Served,
    /// Another rank stopped the command, with this exit code and message.
    Elsewhere(u8, String),
    /// The user stopped it (Ctrl-C), and what is left or to be done now; exit code 130.
    Interrupted(&'static str),
    /// Anything else; exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// A complaint about the input in words.
    pub fn bad_input(message: impl std::fmt::Display) -> Self {
        Self::BadInput(anyhow::anyhow!("{message}"))
    }

    /// Says on standard error what happened and gives the exit code.
    pub fn report(&self) -> u8 {
        let (message, code) = match self {
            Self::Served => return 0,
            Self::Usage(usage) => {
                if !terminal::silent() {
                    // Nothing is left to do when standard error itself cannot be written.
                    let _ = usage.print();
                }
                return usage.exit_code() as u8;
            }
            Self::Elsewhere(code, message) => (format!("error: {message}"), *code),
            Self::BadInput(error) => (format!("error: {error:#}"), 2),
            Self::Failed(error) => {
                // A reader that closed the pipe (`| head`) has what it wanted.
                if is_broken_pipe(error) {
                    return 0;
                }
                (format!("error: {error:#}"), 1)
            }
            Self::Interrupted(left) => (format!("interrupted: {left}"), 130),
        };
        terminal::error(message);
        code
    }

    /// What the other ranks should know of it.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Usage(usage) => Outcome::Failed(usage.exit_code() as u8, usage.to_string()),
            Self::Served => Outcome::Ready([].into()),
            Self::Elsewhere(code, message) => Outcome::Failed(*code, message.clone()),
            Self::BadInput(error) => Outcome::Failed(2, format!("{error:#}")),
            Self::Failed(error) => Outcome::Failed(1, format!("{error:#}")),
            Self::Interrupted(left) => Outcome::Failed(130, format!("interrupted: {left}")),
        }
    }
}

impl From<Disagreement> for Failure {
    fn from(disagreement: Disagreement) -> Self {
        match disagreement {
            Disagreement::Stopped { code, message } => Self::Elsewhere(code, message),
            Disagreement::Communication(error) => Self::Failed(anyhow::Error::new(error).context("MPI")),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
