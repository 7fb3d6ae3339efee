//! The `saddlescope` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(saddlescope_cli::run(std::env::args_os()))
}
