//! The appender behind the macros of the crate `log`.

use std::cell::RefCell;
use std::fmt;
use std::io::Write as _;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

use super::Appender;

/// A thread's buffer that has grown beyond this by one long message is given back.
const KEPT: usize = 16 << 10;

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes what `log::info!` and its like are given, one record each:
///
/// ```text
/// 2026-11-21T18:41:36.042Z WARN  player::decode: frame 1177 skipped
/// ```
///
/// The time is UTC, by the appender's clock. A message of several lines stays as it is, in one
/// record. Lines are put together in a buffer that each thread keeps: no allocation per record.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use logquota::{Appender, appender::Logger};
///
/// let appender = Appender::builder("/var/log/player/player.log").open()?;
/// Logger::new(appender.clone()).level(log::LevelFilter::Info).install()?;
/// log::info!("started");
/// // A logger lives as long as the program: nobody drops it, so say when it ends.
/// appender.close()?;
/// # Ok(())
/// # }
/// ```
///
/// # What is not guaranteed
///
/// Macros of `log` return nothing. Lost records are counted and announced as the policy says;
/// those after [`Appender::close`] are refused and nowhere.
#[derive(Debug)]
pub struct Logger {
    appender: Appender,
    level: LevelFilter,
}

impl Logger {
    /// A logger for everything from `Info` up.
    #[must_use]
    pub const fn new(appender: Appender) -> Self {
        Self { appender, level: LevelFilter::Info }
    }

    /// What is less urgent than this is not logged.
    #[must_use]
    pub const fn level(mut self, level: LevelFilter) -> Self {
        self.level = level;
        self
    }

    /// Makes it the logger of the whole program.
    ///
    /// # Errors
    ///
    /// [`SetLoggerError`] if there is one already.
    pub fn install(self) -> Result<(), SetLoggerError> {
        let level = self.level;
        log::set_boxed_logger(Box::new(self))?;
        log::set_max_level(level);
        Ok(())
    }

    fn write(&self, line: &mut Vec<u8>, record: &Record<'_>) {
        line.clear();
        let now = self.appender.handle.core.env.clock.now().with_timezone(&Utc);
        let (level, target) = (record.level(), record.target());
        let head = Moment(now);
        // Writing to memory fails only if the message's own `Display` does.
        if writeln!(line, "{head} {level:<5} {target}: {}", record.args()).is_err() {
            line.extend_from_slice(b" (a message that cannot be formatted)\n");
        }
        // Counted and announced if it is lost.
        let _ = self.appender.write_record(line);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let written = LINE.try_with(|line| {
            let Ok(mut line) = line.try_borrow_mut() else { return false };
            self.write(&mut line, record);
            if line.capacity() > KEPT {
                *line = Vec::new();
            }
            true
        });
        if !matches!(written, Ok(true)) {
            // A message that logs while it is formatted, a listener that logs, or a thread's end.
            self.write(&mut Vec::new(), record);
        }
    }

    fn flush(&self) {
        let _ = self.appender.flush();
    }
}

/// RFC 3339 in UTC, with milliseconds.
struct Moment(DateTime<Utc>);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at) = self;
        let (year, month, day) = (at.year(), at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        // A leap second counts its milliseconds from 1000.
        let millis = at.timestamp_subsec_millis().min(999);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::fs::sim::{SimDisk, SimFs};

    struct World {
        fs: Arc<SimFs>,
        appender: Appender,
        logger: Logger,
    }

    fn world(level: LevelFilter) -> World {
        let fs = SimFs::new(SimDisk::default());
        fs.mkdir("/log").expect("a folder");
        world_on(fs, level)
    }

    fn world_on(fs: SimFs, level: LevelFilter) -> World {
        let fs = Arc::new(fs);
        let now = DateTime::parse_from_rfc3339("2026-11-21T19:41:36.042+01:00").expect("a time");
        let appender = Appender::builder("/log/app.log")
            .fs(Arc::clone(&fs) as _)
            .clock(Arc::new(ManualClock::new(now)))
            .background(false)
            .start_degraded(true)
            .open()
            .expect("a log");
        let logger = Logger::new(appender.clone()).level(level);
        World { fs, appender, logger }
    }

    impl World {
        fn say(&self, level: log::Level, message: fmt::Arguments<'_>) {
            let mut record = Record::builder();
            let record = record.level(level).target("player::decode").args(message);
            self.logger.log(&record.build());
        }

        fn content(&self) -> String {
            String::from_utf8(self.fs.content("/log/app.log").expect("a log")).expect("text")
        }
    }

    #[test]
    fn a_line_has_time_level_target_and_message() {
        let world = world(LevelFilter::Trace);
        world.say(log::Level::Warn, format_args!("frame {} skipped", 1177));
        world.say(log::Level::Error, format_args!("broken\n  at decode.rs:7"));
        let expected = "2026-11-21T18:41:36.042Z WARN  player::decode: frame 1177 skipped\n\
                        2026-11-21T18:41:36.042Z ERROR player::decode: broken\n  at decode.rs:7\n";
        assert_eq!(world.content(), expected);
        assert_eq!(world.appender.stats().written, 2, "a message of two lines is one record");
    }

    #[test]
    fn what_is_less_urgent_than_the_level_is_not_logged() {
        let world = world(LevelFilter::Warn);
        world.say(log::Level::Info, format_args!("no"));
        world.say(log::Level::Warn, format_args!("yes"));
        assert_eq!(world.appender.stats().received, 1);
        let info = Metadata::builder().level(log::Level::Info).build();
        assert!(!world.logger.enabled(&info));
    }

    #[test]
    fn a_message_may_log_while_it_is_formatted() {
        struct Chatty<'a>(&'a World);
        impl fmt::Display for Chatty<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.say(log::Level::Info, format_args!("inner"));
                f.write_str("outer")
            }
        }
        let world = world(LevelFilter::Info);
        world.say(log::Level::Info, format_args!("{}", Chatty(&world)));
        let content = world.content();
        let messages: Vec<&str> = content.lines().filter_map(|l| l.rsplit(": ").next()).collect();
        assert_eq!(messages, ["inner", "outer"]);
    }

    #[test]
    fn h38_lost_records_are_counted_and_nothing_else_happens() {
        let fs = SimFs::new(SimDisk::default());
        fs.mkdir("/log").expect("a folder");
        fs.fill_disk("/others").expect("full");
        let world = world_on(fs, LevelFilter::Info);
        for _ in 0..100 {
            world.say(log::Level::Error, format_args!("disk full"));
            world.logger.flush();
        }
        let stats = world.appender.stats();
        assert_eq!((stats.received, stats.dropped.disk_full, stats.written), (100, 100, 0));
    }
}
