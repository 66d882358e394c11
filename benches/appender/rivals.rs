//! What users would pick instead, each as its documentation says to use it, and without
//! anything in front of the record: patterns are the bare message.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate, compression::Compression};
use flexi_logger::writers::{FileLogWriter, LogWriter};
use flexi_logger::{Cleanup, Criterion, DeferredNow, FileSpec, Naming, WriteMode};
use log4rs::append::Append;
use log4rs::append::rolling_file::RollingFileAppender;
use log4rs::append::rolling_file::policy::compound::CompoundPolicy;
use log4rs::append::rolling_file::policy::compound::roll::fixed_window::FixedWindowRoller;
use log4rs::append::rolling_file::policy::compound::trigger::size::SizeTrigger;
use log4rs::encode::pattern::PatternEncoder;
use logroller::{LogRollerBuilder, Rotation, RotationSize};
use rolling_file::{BasicRollingFileAppender, RollingConditionBasic};
use spdlog::formatter::{Formatter, FormatterContext};
use spdlog::sink::{AsyncPoolSink, OverflowPolicy, RotatingFileSink, RotationPolicy};
use spdlog::{Logger, StringBuf, ThreadPool};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::subject::{BUFFER, FLUSH, Kept, Said, Setup, Sink};

pub(crate) fn open(name: &str, setup: &Setup) -> Option<Box<dyn Sink>> {
    let path = setup.dir.join("a.log");
    Some(match name {
        "file-rotate" => Box::new(Locked(Mutex::new(file_rotate(&path, setup)))),
        "logroller" => Box::new(Locked(Mutex::new(log_roller(setup)))),
        "rolling-file" => Box::new(Locked(Mutex::new(rolling_file(&path, setup, None)))),
        "rolling-file 64K" => {
            Box::new(Locked(Mutex::new(rolling_file(&path, setup, Some(BUFFER)))))
        }
        "log4rs" => Box::new(Log4rs(log4rs(&path, setup))),
        "flexi_logger" => Box::new(Flexi(flexi(setup, WriteMode::Direct))),
        "flexi_logger buffered" => {
            Box::new(Flexi(flexi(setup, WriteMode::BufferAndFlushWith(BUFFER, FLUSH))))
        }
        "spdlog-rs" => Box::new(Spdlog::new(&path, setup, None)),
        "spdlog-rs async" => Box::new(Spdlog::new(&path, setup, Some(OverflowPolicy::Block))),
        "spdlog-rs async drop" => {
            Box::new(Spdlog::new(&path, setup, Some(OverflowPolicy::DropIncoming)))
        }
        "tracing-appender" => Box::new(Tracing::new(&path, false)),
        "tracing-appender lossy" => Box::new(Tracing::new(&path, true)),
        _ => return None,
    })
}

/// Those that are an `io::Write` and leave threads to their caller.
struct Locked<W>(Mutex<W>);

impl<W: Write + Send> Sink for Locked<W> {
    fn put(&self, record: &str) {
        self.0.lock().expect("no panics").write_all(record.as_bytes()).expect("a write");
    }

    fn finish(self: Box<Self>) -> Said {
        self.0.into_inner().expect("no panics").flush().expect("a flush");
        Said::default()
    }
}

/// `BytesSurpassed`: with `Bytes` it cuts a record at each rotation.
fn file_rotate(path: &Path, setup: &Setup) -> FileRotate<AppendCount> {
    let limit = usize::try_from(setup.segment).expect("a size");
    let kept = AppendCount::new(setup.keep as usize);
    FileRotate::new(path, kept, ContentLimit::BytesSurpassed(limit), Compression::None, None)
}

fn log_roller(setup: &Setup) -> logroller::LogRoller {
    LogRollerBuilder::new(setup.dir.as_path(), Path::new("a.log"))
        .rotation(Rotation::SizeBased(RotationSize::Bytes(setup.segment)))
        .max_keep_files(u64::from(setup.keep))
        .build()
        .expect("a logroller")
}

fn rolling_file(path: &Path, setup: &Setup, buffer: Option<usize>) -> BasicRollingFileAppender {
    let condition = RollingConditionBasic::new().max_size(setup.segment);
    let keep = setup.keep as usize;
    match buffer {
        Some(bytes) => {
            BasicRollingFileAppender::new_with_buffer_capacity(path, condition, keep, bytes)
        }
        None => BasicRollingFileAppender::new(path, condition, keep),
    }
    .expect("a rolling file")
}

/// Loggers take a message without its newline.
fn message(record: &str) -> &str {
    &record[..record.len() - 1]
}

struct Log4rs(RollingFileAppender);

fn log4rs(path: &Path, setup: &Setup) -> RollingFileAppender {
    let archive = format!("{}.{{}}", path.display());
    let roller = FixedWindowRoller::builder().base(1).build(&archive, setup.keep);
    let trigger = Box::new(SizeTrigger::new(setup.segment));
    let policy = CompoundPolicy::new(trigger, Box::new(roller.expect("a roller")));
    RollingFileAppender::builder()
        .encoder(Box::new(PatternEncoder::new("{m}{n}")))
        .build(path, Box::new(policy))
        .expect("a log4rs appender")
}

impl Sink for Log4rs {
    fn put(&self, record: &str) {
        let message = message(record);
        let append = |record: &log::Record<'_>| self.0.append(record);
        append(&log::Record::builder().args(format_args!("{message}")).build()).expect("an append");
    }

    fn finish(self: Box<Self>) -> Said {
        Append::flush(&self.0);
        Said::default()
    }
}

struct Flexi(FileLogWriter);

fn flexi(setup: &Setup, mode: WriteMode) -> FileLogWriter {
    let keep = Cleanup::KeepLogFiles(setup.keep as usize);
    FileLogWriter::builder(FileSpec::default().directory(&setup.dir).basename("a"))
        .rotate(Criterion::Size(setup.segment), Naming::Numbers, keep)
        .write_mode(mode)
        .format(|out: &mut dyn Write, _: &mut DeferredNow, record: &log::Record<'_>| {
            write!(out, "{}", record.args())
        })
        .try_build()
        .expect("a flexi_logger")
}

impl Sink for Flexi {
    fn put(&self, record: &str) {
        let message = message(record);
        let write = |record: &log::Record<'_>| self.0.write(&mut DeferredNow::new(), record);
        write(&log::Record::builder().args(format_args!("{message}")).build()).expect("a write");
    }

    fn finish(self: Box<Self>) -> Said {
        self.0.flush().expect("a flush");
        self.0.shutdown();
        Said::default()
    }
}

/// The message and a newline.
#[derive(Clone)]
struct Bare;

impl Formatter for Bare {
    fn format(
        &self,
        record: &spdlog::Record<'_>,
        dest: &mut StringBuf,
        _: &mut FormatterContext<'_>,
    ) -> spdlog::Result<()> {
        dest.push_str(record.payload());
        dest.push('\n');
        Ok(())
    }
}

struct Spdlog {
    logger: Arc<Logger>,
    sink: Arc<RotatingFileSink>,
    pool: Option<Arc<ThreadPool>>,
    dropped: Arc<AtomicU64>,
}

impl Spdlog {
    fn new(path: &Path, setup: &Setup, overflow: Option<OverflowPolicy>) -> Self {
        let sink = RotatingFileSink::builder()
            .base_path(path)
            .rotation_policy(RotationPolicy::FileSize(setup.segment))
            // Its count has the live file in it.
            .max_files(setup.keep as usize + 1)
            .formatter(Bare)
            .build_arc()
            .expect("a rotating file sink");
        let dropped = Arc::new(AtomicU64::new(0));
        let (logger, pool) = match overflow {
            None => (Logger::builder().sink(sink.clone()).build_arc(), None),
            Some(policy) => {
                let pool = ThreadPool::builder().build_arc().expect("a thread pool");
                let queue = AsyncPoolSink::builder()
                    .sink(sink.clone())
                    .overflow_policy(policy)
                    .thread_pool(pool.clone())
                    .build_arc()
                    .expect("an async sink");
                // A full queue is an error to it, once a record.
                let counter = dropped.clone();
                let count = move |error: spdlog::Error| {
                    assert!(matches!(error, spdlog::Error::SendToChannel(..)), "{error}");
                    counter.fetch_add(1, Ordering::Relaxed);
                };
                (Logger::builder().sink(queue).error_handler(count).build_arc(), Some(pool))
            }
        };
        Spdlog { logger: logger.expect("a logger"), sink, pool, dropped }
    }
}

impl Sink for Spdlog {
    fn put(&self, record: &str) {
        let message = message(record);
        spdlog::info!(logger: self.logger, "{message}");
    }

    fn finish(self: Box<Self>) -> Said {
        let Spdlog { logger, sink, pool, dropped } = *self;
        drop(logger);
        // Its last owner joins the thread behind everything that was queued.
        drop(pool);
        spdlog::sink::Sink::flush(&*sink).expect("a flush");
        Said { dropped: Some(dropped.load(Ordering::Relaxed)), ..Said::default() }
    }
}

/// It rotates by time alone, so here it does not rotate.
struct Tracing {
    writer: NonBlocking,
    guard: WorkerGuard,
    dropped: ErrorCounter,
}

impl Tracing {
    fn new(path: &Path, is_lossy: bool) -> Self {
        let file = OpenOptions::new().append(true).create_new(true).open(path).expect("a log");
        let (writer, guard) = NonBlockingBuilder::default().lossy(is_lossy).finish(file);
        let dropped = writer.error_counter();
        Tracing { writer, guard, dropped }
    }
}

impl Sink for Tracing {
    fn put(&self, record: &str) {
        // As its `MakeWriter` does for each event.
        self.writer.clone().write_all(record.as_bytes()).expect("a write");
    }

    fn finish(self: Box<Self>) -> Said {
        let Tracing { writer, guard, dropped } = *self;
        drop(writer);
        drop(guard);
        // Not what it counts: it may lose what it accepted when it is dropped.
        let dropped = Some(dropped.dropped_lines() as u64);
        Said { dropped, kept: Kept::OnDisk, ..Said::default() }
    }
}
