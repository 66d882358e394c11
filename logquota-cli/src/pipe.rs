//! `logquota pipe`: standard input to a log that rotates and stays within its quota.
//!
//! For programs that cannot link the library. Each block that is read is one write; nothing is
//! kept back but the line that has no end yet, and what holds the quota is the library's
//! [`Appender`](logquota::Appender). A problem of the disk never reaches the program that
//! writes into the pipe: the input is read whatever happens.

pub(crate) mod args;
mod block;
mod input;
mod lines;
mod log;
mod notices;
mod pump;
mod tee;

use logquota::Error;

use self::args::PipeArgs;
use self::input::Stdin;
use self::log::Log;
use self::pump::Pump;
use self::tee::Tee;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Runs until the input ends or a signal says so.
pub(crate) fn run(args: &PipeArgs, out: &mut Output) -> Result<Exit, Failure> {
    if out.json {
        let why = "a pipe has no result for --json; -v prints its account at the end";
        return Err(Failure::Usage(why.to_owned()));
    }
    args.check().map_err(Failure::Usage)?;
    let input = Stdin::open()
        .map_err(|error| Failure::Failed(format!("failed to catch signals: {error}")))?;
    let tee = args.tee.then(|| Tee::new(input.stop_flag()));
    let log = input::with_signals_blocked(|| Log::open(args, tee, out));
    let log = log.map_err(|error| match error {
        Error::Policy(why) => Failure::Usage(why),
        error @ Error::Locked { .. } => Failure::Library(error),
        error => Failure::Failed(log::advice(&args.log, &error)),
    })?;
    let mut pump = Pump::new(input, log, Some(args.segment().get()));
    let read = pump.run();
    let exit = pump.into_sink().close(args.on_full, out);
    if let Err(error) = &read {
        out.error(&format!("failed to read standard input: {error}"));
    }
    Ok(exit.or_failed_if(read.is_err()))
}
