//! The appender as the pipe sees it, and what is said of it on standard error.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use logquota::appender::{Cause, Dropped, Event, Stats};
use logquota::error::printable;
use logquota::{Age, Appender, Bytes, Error};

use super::args::{OnFullArg, PipeArgs};
use super::block::Piece;
use super::notices::Notices;
use super::pump::{Sink, Switch};
use super::tee::Tee;
use crate::exit::Exit;
use crate::output::Output;

/// The log, and the copy for standard output.
pub(crate) struct Log {
    path: PathBuf,
    appender: Appender,
    teller: Arc<Teller>,
    tee: Option<Tee>,
}

/// Says what happens. Called by the threads of the appender, too.
struct Teller {
    log: String,
    is_verbose: bool,
    started: Instant,
    notices: Mutex<Notices>,
    /// Whether a notice waits for its time, without a lock.
    is_waiting: AtomicBool,
}

impl Teller {
    fn with(&self, f: impl FnOnce(&mut Notices, Duration) -> Option<String>) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let line = f(&mut notices, self.started.elapsed());
        self.is_waiting.store(notices.is_waiting(), Ordering::Release);
        drop(notices);
        if let Some(line) = line {
            self.say(&line);
        }
    }

    fn say(&self, line: &str) {
        crate::output::warning_line(&format!("`{}`: {line}", self.log));
    }

    fn event(&self, event: &Event) {
        match event {
            Event::LossBegan { why, .. } => self.with(|notices, now| notices.began(now, why)),
            Event::LossEnded { records, bytes, since, cause } => self.with(|notices, now| {
                let since = since.format("%Y-%m-%dT%H:%M:%SZ");
                let lost = in_words(*records, *bytes);
                notices.ended(now, &format!("{lost} since {since}: {cause}"))
            }),
            Event::UpkeepFailed { why } => self.with(|notices, now| notices.other(now, why)),
            Event::ClockJumped { seconds } => self.with(|notices, now| {
                let line = format!(
                    "the clock jumped by {seconds} s; nothing is deleted for its age for a day"
                );
                notices.other(now, &line)
            }),
            Event::Reopened { why } if self.is_verbose => {
                self.say(&format!("opened again: {why}"));
            }
            // Rotations are no news: under a flood there are many of them.
            _ => {}
        }
    }
}

impl Log {
    /// Opens the log; on a disk that is full or cannot be written just now, without it.
    ///
    /// # Errors
    ///
    /// Those of the appender that waiting does not help.
    pub(crate) fn open(args: &PipeArgs, tee: Option<Tee>, out: &mut Output) -> Result<Self, Error> {
        let teller = Arc::new(Teller {
            log: printable(&args.log).to_string(),
            is_verbose: out.verbose,
            started: Instant::now(),
            notices: Mutex::default(),
            is_waiting: AtomicBool::new(false),
        });
        let listener = Arc::clone(&teller);
        let mut builder = Appender::builder(&args.log)
            .rotate_at(args.segment())
            .on_full(args.on_full.policy())
            .on_event(move |event| listener.event(event));
        if let Some(quota) = args.quota {
            builder = builder.quota(quota);
        }
        if let Some(every) = args.every {
            builder = builder.rotate_every(every);
        }
        if let Some(count) = args.keep {
            builder = builder.keep_count(count);
        }
        if let Some(days) = args.keep_for {
            builder = builder.keep_for(Age::days(days));
        }
        if let Some(free) = args.reserve {
            builder = builder.reserve(free);
        }
        if let Some(size) = args.ballast {
            builder = builder.ballast(size);
        }
        if let Some(codec) = args.compress.codec() {
            builder = builder.compress(codec);
        }
        if let Some(mode) = args.mode {
            builder = builder.mode(mode);
        }
        let appender = match builder.clone().open() {
            Ok(appender) => appender,
            Err(error) if is_the_disk(&error) => {
                out.warning(&error.chain());
                builder.start_degraded(true).open()?
            }
            Err(error) => return Err(error),
        };
        Ok(Self { path: args.log.clone(), appender, teller, tee })
    }

    /// Writes what is left and says how it went.
    pub(crate) fn close(self, on_full: OnFullArg, out: &mut Output) -> Exit {
        let mut exit = Exit::Done;
        let stats = self.appender.close().unwrap_or_else(|error| {
            out.error(&error.chain());
            exit = Exit::Failed;
            self.appender.stats()
        });
        let lost = stats.dropped.total();
        if lost > 0 {
            let words = in_words(lost, stats.dropped_bytes);
            let text = format!("`{}`: {words}: {}", self.teller.log, causes(&stats.dropped));
            out.error(&text);
        }
        out.detail(&summary(&stats));
        exit.and(exit_code(&stats.dropped, on_full))
    }

    fn failed(&self, what: &str, error: &Error) {
        let line = format!("failed to {what}: {}", error.chain());
        self.teller.with(|notices, now| notices.other(now, &line));
    }
}

impl Sink for Log {
    fn write(&mut self, piece: Piece<'_>) {
        // What becomes of it is counted there, and told as an event; a record that is too large
        // is told at the end.
        let _ = self.appender.write_records(&piece);
        if self.teller.is_waiting.load(Ordering::Acquire) {
            self.tick();
        }
        let Some(tee) = &mut self.tee else { return };
        if let Some(error) = tee.write(logquota::appender::Records::bytes(&piece)) {
            self.teller.say(&format!("no more copies on standard output: {error}"));
        }
    }

    fn switch(&mut self, how: Switch) -> bool {
        let result = match how {
            Switch::Rotate | Switch::MakeRoom => self.appender.rotate().map(drop),
            Switch::Reopen => self.appender.reopen(),
        };
        match (how, &result) {
            (Switch::Rotate, Err(error)) => self.failed("rotate", error),
            (Switch::Reopen, Err(error)) => self.failed("open the log again", error),
            (Switch::MakeRoom, _) | (_, Ok(())) => {}
        }
        result.is_ok()
    }

    fn len(&mut self) -> u64 {
        std::fs::symlink_metadata(&self.path).map_or(0, |meta| meta.len())
    }

    fn tick(&mut self) -> Option<Duration> {
        if !self.teller.is_waiting.load(Ordering::Acquire) {
            return None;
        }
        let mut next = None;
        self.teller.with(|notices, now| {
            let lost = || {
                let stats = self.appender.stats();
                in_words(stats.dropped.total(), stats.dropped_bytes)
            };
            let (line, wait) = notices.tick(now, lost);
            next = wait;
            line
        });
        next
    }
}

/// Whether the log may well be opened later, without anybody's help.
fn is_the_disk(error: &Error) -> bool {
    let source = match error {
        Error::Lost { cause, .. } => {
            return matches!(
                cause,
                Cause::DiskFull | Cause::ReadOnly | Cause::Io | Cause::QuotaFull
            );
        }
        Error::Io { source, .. } => source,
        _ => return false,
    };
    matches!(
        source.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::StaleNetworkFileHandle
    ) || source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// What the losses mean for the exit code. Those that the policy chose are none.
fn exit_code(dropped: &Dropped, on_full: OnFullArg) -> Exit {
    let full = dropped.quota_full.saturating_add(dropped.disk_full);
    let others = dropped.total().saturating_sub(full);
    match on_full {
        OnFullArg::Drop => Exit::Done.or_failed_if(others > 0),
        OnFullArg::Evict | OnFullArg::Fail => {
            let unmet = if dropped.quota_full > 0 { Exit::QuotaUnmet } else { Exit::Done };
            unmet.or_failed_if(dropped.total() > 0)
        }
    }
}

fn in_words(records: u64, bytes: u64) -> String {
    let (s, were) = if records == 1 { ("", "was") } else { ("s", "were") };
    format!("{records} line{s} ({}) {were} lost", Bytes::new(bytes))
}

fn causes(dropped: &Dropped) -> String {
    let all = [
        (dropped.quota_full, Cause::QuotaFull),
        (dropped.disk_full, Cause::DiskFull),
        (dropped.read_only, Cause::ReadOnly),
        (dropped.io, Cause::Io),
        (dropped.unavailable, Cause::Unavailable),
        (dropped.too_large, Cause::TooLarge),
    ];
    let of = |(count, cause): (u64, Cause)| (count > 0).then(|| format!("{count} {cause}"));
    all.into_iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

fn summary(stats: &Stats) -> String {
    format!(
        "{} lines ({}) received, {} written, {} lost; {} rotations, {} archives deleted, {} used",
        stats.received,
        Bytes::new(stats.received_bytes),
        stats.written,
        stats.dropped.total(),
        stats.rotations,
        stats.evicted_files,
        stats.used
    )
}

/// What to do when the log cannot be opened.
pub(crate) fn advice(path: &Path, error: &Error) -> String {
    let why = error.chain();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.is_dir() => {
            format!("{why}; make the folder first: mkdir -p '{}'", printable(parent))
        }
        _ if path.is_dir() => format!("{why}; name the file in it, not the folder"),
        _ => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_losses_that_nobody_asked_for() {
        let none = Dropped::default();
        let with = |f: fn(&mut Dropped)| {
            let mut dropped = Dropped::default();
            f(&mut dropped);
            dropped
        };
        let quota = with(|dropped| dropped.quota_full = 1);
        let disk = with(|dropped| dropped.disk_full = 1);
        let device = with(|dropped| dropped.io = 1);
        for (dropped, evict, drop, fail) in [
            (none, Exit::Done, Exit::Done, Exit::Done),
            (quota, Exit::QuotaUnmet, Exit::Done, Exit::QuotaUnmet),
            (disk, Exit::Failed, Exit::Done, Exit::Failed),
            (device, Exit::Failed, Exit::Failed, Exit::Failed),
        ] {
            assert_eq!(exit_code(&dropped, OnFullArg::Evict), evict, "{dropped:?}");
            assert_eq!(exit_code(&dropped, OnFullArg::Drop), drop, "{dropped:?}");
            assert_eq!(exit_code(&dropped, OnFullArg::Fail), fail, "{dropped:?}");
        }
    }

    #[test]
    fn causes_are_named_with_their_numbers() {
        let mut dropped = Dropped::default();
        (dropped.disk_full, dropped.io) = (12, 1);
        assert_eq!(causes(&dropped), "12 disk full, 1 input/output error");
        assert_eq!(in_words(1, 5), "1 line (5 B) was lost");
    }
}
