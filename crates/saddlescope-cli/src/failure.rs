//! Why a verb did not finish, and the exit code that says so.

/// Why a verb did not finish.
#[derive(Debug)]
pub enum Failure {
    /// What the user gave cannot be used; exit code 2.
    BadInput(anyhow::Error),

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
        use std::io::Write;
        let (message, code) = match self {
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
        // Nothing is left to do when standard error itself cannot be written.
        let _ = writeln!(std::io::stderr(), "{message}");
        code
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
