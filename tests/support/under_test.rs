//! The `logquota` binary under another name: tests of this package see only their own binaries.

use std::process::ExitCode;

fn main() -> ExitCode {
    logquota_cli::main()
}
