//! The embedded writer: a log that cannot fill the disk.
//!
//! ```no_run
//! use logquota::{Age, Appender, Bytes, Codec, Interval, OnFull};
//!
//! # fn main() -> logquota::Result<()> {
//! let log = Appender::builder("/var/log/player/player.log")
//!     .rotate_at(Bytes::mib(8))
//!     .rotate_every(Interval::Day)
//!     .keep_count(20)
//!     .keep_for(Age::days(14))
//!     .compress(Codec::Zstd)
//!     .quota(Bytes::mib(64))
//!     .reserve(Bytes::mib(256))
//!     .on_full(OnFull::EvictOldest)
//!     .open()?;
//! let fate = log.write_record(b"2026-11-21T18:41:36Z INFO started\n")?;
//! # let _ = fate;
//! let stats = log.close()?;
//! assert_eq!(stats.received, stats.written + stats.dropped.total());
//! # Ok(())
//! # }
//! ```
//!
//! # How it keeps its promises
//!
//! *Quota.* The books ([`Stats::used`]) count each file with the most that it can occupy: the
//! active segment with the whole of its reservation, an archive in the making with all that it
//! may become. A new segment, or a compression, begins only if it fits in.
//!
//! *No caller waits for housekeeping.* A rotation is a look, a rename, an open and a reservation.
//! Two threads of the appender's own delete and compress; one segment of the quota is kept free
//! so that they are ahead of the callers. Only a flood that fills a segment faster than an
//! archive can be deleted has a caller delete one by itself.
//!
//! *No silent loss.* A record that was not written was refused with an error, or is counted in
//! [`Stats::dropped`]; when writing resumes the log itself says in one line how many were lost,
//! since when, and why.
//!
//! *Others at the same directory.* Appenders of several processes may share a log: they take
//! turns (one lock and one look more per write). A run of the program, or `mv` and `rm` by hand,
//! is noticed at the next rotation, or within a second.
//!
//! # What is not guaranteed
//!
//! Of several processes at a log each counts what others have deleted when it looks again: with
//! its next record, within a second, and as it is closed. A deleted segment that one of them
//! still holds is in no directory, and on the disk until then.
//!
//! Records of different threads are in the log in the order in which their calls took the
//! lock. The wall clock names archives and nothing else; their numbers are their order.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

mod account;
mod adopt;
mod ballast;
mod block;
mod builder;
mod combine;
mod core;
mod drain;
mod due;
mod env;
mod event;
mod failure;
mod guard;
mod halves;
mod identity;
mod log;
#[cfg(feature = "log")]
mod logger;
mod meter;
mod note;
mod opening;
mod pieces;
mod queue;
mod records;
mod segment;
mod share;
mod sync;
mod threads;
#[cfg(feature = "tracing")]
mod tracing;
mod upkeep;

pub use self::builder::{Builder, Delivery, Interval, OnFull, WhenFull};
pub use self::event::{Cause, Dropped, Event, Fate, Stats};
#[cfg(feature = "log")]
pub use self::logger::Logger;
pub use self::records::Records;
#[cfg(feature = "tracing")]
pub use self::tracing::EventWriter;

use self::core::Core;
use self::threads::Threads;
use crate::error::{Error, Result};

/// A log that is written to, shared by threads by reference or as clones.
///
/// One call is one record: it is in the log whole and in one piece, or not at all. Closing the
/// last clone drains and joins; [`Appender::close`] says how it went.
///
/// # What is not guaranteed
///
/// A child of `fork` must not use its parent's appender.
#[derive(Clone)]
pub struct Appender {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    threads: Threads,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Who wants to know how it went calls `close`.
        let _ = self.close();
    }
}

impl Handle {
    fn close(&self) -> Result<Stats> {
        let result = self.core.begin_close();
        self.threads.join(&self.core);
        let stats = self.core.end_close();
        self.core.env.deliver();
        result.map(|()| stats)
    }
}

impl std::fmt::Debug for Appender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appender").field("path", &self.handle.core.env.path).finish_non_exhaustive()
    }
}

impl Appender {
    /// An appender for the log at `path`, which is absolute or relative to the current
    /// directory at the time of [`Builder::open`].
    #[must_use]
    pub fn builder(path: impl AsRef<Path>) -> Builder {
        Builder::new(path.as_ref())
    }

    pub(in crate::appender) fn open(builder: Builder) -> Result<Self> {
        let core = Arc::new(Core::open(&builder)?);
        let threads = Threads::start(&core, builder.background)?;
        core.env.deliver();
        Ok(Self { handle: Arc::new(Handle { core, threads }) })
    }

    /// Writes one record, as it is: a line brings its own end. An empty one is nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if it was not written, and is counted as lost; [`Error::Closed`] after
    /// [`Appender::close`].
    pub fn write_record(&self, record: &[u8]) -> Result<Fate> {
        let fate = self.handle.core.write(record);
        self.handle.core.after();
        fate
    }

    /// Writes many whole records, with as few system calls as possible. Between two of them
    /// the log may rotate, within one it does not, as far as a segment can hold it.
    ///
    /// # Errors
    ///
    /// As [`Appender::write_record`]; of several failures the last one. The others are written
    /// or counted all the same.
    pub fn write_records(&self, records: &dyn Records) -> Result<Fate> {
        let fate = self.handle.core.write_records(records);
        self.handle.core.after();
        fate
    }

    /// What was accepted is in the kernel when this returns, or was counted as lost.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if some of it was lost just now.
    pub fn flush(&self) -> Result<()> {
        let result = self.handle.core.flush();
        self.handle.core.after();
        result
    }

    /// What was accepted is on the disk when this returns (`fdatasync`), as far as it is in the
    /// active segment; older segments are flushed by the background.
    ///
    /// # Errors
    ///
    /// As [`Appender::flush`], [`Error::Lost`] too while the log cannot be opened, and
    /// [`Error::Io`] if the disk refuses. Then what was written
    /// since the last sync may be lost, and calling again does not bring it back.
    pub fn sync(&self) -> Result<()> {
        self.handle.core.sync()
    }

    /// Rotates now; says whether it did: an empty log does not.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if there is no room for another segment, [`Error::Io`] if the rename
    /// fails. The log is as it was, then.
    pub fn rotate(&self) -> Result<bool> {
        let result = self.handle.core.rotate();
        self.handle.core.after();
        result
    }

    /// Opens the log again by its name, as after a rename by somebody else.
    ///
    /// # Errors
    ///
    /// Those of opening it. It is tried again with the next record.
    pub fn reopen(&self) -> Result<()> {
        let result = self.handle.core.reopen();
        self.handle.core.after();
        result
    }

    /// Does what the background threads do, now: looks whether the log is still the same,
    /// rotates by the calendar, flushes, deletes, compresses.
    pub fn maintain(&self) {
        self.handle.core.maintain();
        self.handle.core.env.deliver();
    }

    /// Counts since the log was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.core.stats()
    }

    /// Writes what waits, ends the threads, and says how it went. Later records are refused.
    /// A compression that is going on is given up; the next start does it.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] if what waited could not be written.
    pub fn close(&self) -> Result<Stats> {
        self.handle.close()
    }

    /// Whether [`Appender::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.core.env.is_closing.load(Ordering::Acquire)
    }
}

impl io::Write for Appender {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self, record)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(&mut &*self)
    }
}

/// One call is one record. Under [`OnFull::DropNewest`], and in a queue that drops, it says
/// `Ok` for records that are dropped; they are counted and announced.
impl io::Write for &Appender {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        match self.write_record(record) {
            Ok(_) => Ok(record.len()),
            Err(error) => Err(into_io(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Appender::flush(self).map_err(into_io)
    }
}

fn into_io(error: Error) -> io::Error {
    let kind = match &error {
        Error::Lost { cause, .. } => match cause {
            Cause::QuotaFull => io::ErrorKind::QuotaExceeded,
            Cause::DiskFull => io::ErrorKind::StorageFull,
            Cause::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
            Cause::TooLarge => io::ErrorKind::FileTooLarge,
            Cause::QueueFull | Cause::Oldest => io::ErrorKind::OutOfMemory,
            Cause::Io | Cause::Unavailable => io::ErrorKind::Other,
        },
        Error::Closed { .. } => io::ErrorKind::BrokenPipe,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests;
