//! What an appender tells: the fate of a record, counts, and events.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

pub use crate::error::Cause;
use crate::units::Bytes;

/// What became of a record that was not refused with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Fate {
    /// It is where the chosen [`Delivery`](super::Delivery) says.
    Accepted,
    /// It was thrown away, as the policy says, and counted; a line in the log will say so.
    Dropped(Cause),
}

/// Records that were lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// See [`Cause::QuotaFull`].
    pub quota_full: u64,
    /// See [`Cause::DiskFull`].
    pub disk_full: u64,
    /// See [`Cause::ReadOnly`].
    pub read_only: u64,
    /// See [`Cause::Io`].
    pub io: u64,
    /// See [`Cause::Unavailable`].
    pub unavailable: u64,
    /// See [`Cause::QueueFull`].
    pub queue_full: u64,
    /// See [`Cause::Oldest`].
    pub oldest: u64,
    /// See [`Cause::TooLarge`].
    pub too_large: u64,
}

impl Dropped {
    /// Of all causes.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.quota_full
            .saturating_add(self.disk_full)
            .saturating_add(self.read_only)
            .saturating_add(self.io)
            .saturating_add(self.unavailable)
            .saturating_add(self.queue_full)
            .saturating_add(self.oldest)
            .saturating_add(self.too_large)
    }

    pub(super) const fn add(&mut self, cause: Cause, records: u64) {
        let slot = match cause {
            Cause::QuotaFull => &mut self.quota_full,
            Cause::DiskFull => &mut self.disk_full,
            Cause::ReadOnly => &mut self.read_only,
            Cause::Io => &mut self.io,
            Cause::Unavailable => &mut self.unavailable,
            Cause::QueueFull => &mut self.queue_full,
            Cause::Oldest => &mut self.oldest,
            Cause::TooLarge => &mut self.too_large,
        };
        *slot = slot.saturating_add(records);
    }
}

/// Counts of one appender since it was opened.
///
/// At any quiet moment `received == written + waiting + dropped.total()`, and of what was
/// written `evicted_records` are gone again with their archives; the rest is on the disk.
/// Lines that the appender itself writes about losses are in none of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records that were handed in, empty ones not counted.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Records that the kernel has taken whole.
    pub written: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Records in the buffer or queue now.
    pub waiting: u64,
    /// Records that were lost, by cause.
    pub dropped: Dropped,
    /// Their bytes.
    pub dropped_bytes: u64,
    /// Records of this appender in archives that are gone: evicted for space, expired, or
    /// deleted by somebody else.
    pub evicted_records: u64,
    /// Archives that this appender has deleted.
    pub evicted_files: u64,
    /// Rotations.
    pub rotations: u64,
    /// Archives that were compressed.
    pub compressions: u64,
    /// How often the log was opened again because somebody moved, replaced or cut it.
    pub reopened: u64,
    /// What everything of the log occupies now, at most: archives, files in the making, and
    /// the whole of the active segment's reservation.
    pub used: Bytes,
    /// The most that `used` has been.
    pub peak: Bytes,
}

/// Something happened that a person may want to know of. Told to
/// [`Builder::on_event`](super::Builder::on_event), once per change, never once per record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The log became an archive and a new one was begun.
    Rotated {
        /// The archive.
        archive: PathBuf,
        /// Its length.
        len: Bytes,
    },
    /// An archive was deleted to make room, or because it was too old or one too many.
    Evicted {
        /// The archive.
        archive: PathBuf,
        /// What that gave back.
        bytes: Bytes,
    },
    /// An archive was compressed.
    Compressed {
        /// The compressed archive.
        archive: PathBuf,
        /// What it occupies.
        bytes: Bytes,
    },
    /// Records are being lost from now on.
    LossBegan {
        /// Why.
        cause: Cause,
        /// The error behind it, in words.
        why: String,
    },
    /// Records are written again.
    LossEnded {
        /// How many were lost.
        records: u64,
        /// Their bytes.
        bytes: u64,
        /// Since when.
        since: DateTime<Utc>,
        /// Why, at the beginning.
        cause: Cause,
    },
    /// The log was opened again because somebody moved, replaced or cut it.
    Reopened {
        /// What was found.
        why: &'static str,
    },
    /// Another program appends to the same log; writing takes turns from now on.
    Shared,
    /// The wall clock went another way than the time since the start: age deletes nothing for
    /// a day.
    ClockJumped {
        /// By how many seconds.
        seconds: i64,
    },
    /// The ballast was given up, since there was too little room on the disk.
    BallastReleased {
        /// What that gave.
        bytes: Bytes,
    },
    /// The ballast was made.
    BallastRestored {
        /// What it keeps.
        bytes: Bytes,
    },
    /// Work in the background failed; it is tried again.
    UpkeepFailed {
        /// Why.
        why: String,
    },
}
