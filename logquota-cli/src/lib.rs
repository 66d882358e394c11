//! The command line of logquota: parse, make a configuration, lock, scan, plan, show or apply.
//!
//! Anything a second caller could want is in the library crate `logquota`. What this one
//! has for itself: arguments, the environment, text for people, exit codes ([`exit`]),
//! and starting the scripts and programs of a configuration.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

mod apply;
mod args;
pub mod exit;
mod free;
mod hooks;
mod lint;
mod logrotate;
mod output;
mod pipe;
mod plan;
mod programs;
mod progress;
mod quote;
mod render;
mod root;
mod run;
mod session;
mod source;
mod starter;
mod state;
mod status;

use args::{Args, Command, Parsed};
use exit::{Exit, Failure};
use output::Output;

/// What the last panic said. The hook runs on the thread that panics, the line is printed
/// by the one that catches.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs the program: arguments from the environment, exit status as documented in [`exit`].
///
/// A panic never reaches the caller: it is one line on standard error and status 1.
#[must_use]
pub fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let mut said = PANIC.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        said.get_or_insert_with(|| info.to_string().replace('\n', " "));
    }));
    let exit = panic::catch_unwind(AssertUnwindSafe(run_with_arguments)).unwrap_or_else(|_| {
        let said = PANIC.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let said = said.unwrap_or_else(|| "a panic without a message".to_owned());
        output::error_line(&format!("internal error, please report it: {said}"));
        Exit::Failed
    });
    ExitCode::from(exit.code())
}

/// The command line, for what describes it: manual pages, completions.
///
/// The arguments behind `logrotate` are not in it: they are none of clap's.
#[must_use]
pub fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

fn run_with_arguments() -> Exit {
    if let Some(args) = logrotate::arguments(std::env::args_os()) {
        return logrotate::run(args);
    }
    let args = match args::parse() {
        Parsed::Run(args) => *args,
        Parsed::Said(exit) => return exit,
    };
    let mut out = Output::new(&args.common);
    let exit = dispatch(&args, &mut out).unwrap_or_else(|failure| {
        out.error(&failure.to_string());
        failure.exit()
    });
    out.exit(exit)
}

fn dispatch(args: &Args, out: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        Command::Run(args) => run::run(args, out),
        Command::Plan(args) => plan::run(args, out),
        Command::Apply(args) => apply::run(args, out),
        Command::Free(args) => free::run(args, out),
        Command::Status(args) => status::run(args, out),
        Command::Lint(args) => lint::run(args, out),
        Command::Pipe(args) => pipe::run(args, out),
        // With nothing before it, it was run before there were any of our arguments.
        Command::Logrotate { .. } => Err(Failure::Usage(
            "`logrotate` has options of its own, which stand behind it".to_owned(),
        )),
    }
}
