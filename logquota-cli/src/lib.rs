//! The command line of logquota.

use std::process::ExitCode;

/// Runs the program: arguments from the environment, exit status as documented.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
