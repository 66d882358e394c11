//! The `logquota` binary under another name, for the benchmarks of whole runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    logquota_cli::main()
}
