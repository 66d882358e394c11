//! The `logquota` command; everything is in the library half of this crate.

fn main() -> std::process::ExitCode {
    logquota_cli::main()
}
