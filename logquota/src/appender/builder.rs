//! How an appender is made: what it may occupy, when it rotates, what its callers are promised.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Appender, Event};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Result};
use crate::fs::WriteFs;
use crate::naming::Naming;
use crate::policy::{Codec, Count, NewFile, Policy, Reserve, RotateWhen};
use crate::units::{Age, Bytes};

/// Rotation by the local calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interval {
    /// After so many minutes.
    Minutes(NonZeroU32),
    /// When the hour changes.
    Hour,
    /// At midnight; once a day, also in days of 23 and 25 hours.
    Day,
    /// On Monday.
    Week,
    /// On the first of the month.
    Month,
    /// On New Year's Day.
    Year,
}

impl Interval {
    const fn criterion(self) -> RotateWhen {
        match self {
            Self::Minutes(n) => RotateWhen::Minutes(n),
            Self::Hour => RotateWhen::Hourly,
            Self::Day => RotateWhen::Daily,
            Self::Week => RotateWhen::Weekly { weekday: 1 },
            Self::Month => RotateWhen::Monthly { day: 0 },
            Self::Year => RotateWhen::Yearly,
        }
    }
}

/// What happens when the quota is used up, or the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFull {
    /// Our oldest archives go, so that new records get in. If there are none left, the call
    /// returns an error and the record is counted as lost.
    #[default]
    EvictOldest,
    /// History stays; new records are thrown away, counted and announced.
    /// [`io::Write`](std::io::Write) says `Ok` for them, so that a logging framework does not
    /// flood another channel with errors; [`Appender::write_record`] says
    /// [`Fate::Dropped`](super::Fate::Dropped).
    DropNewest,
    /// History stays; new records are refused with [`Error::Lost`].
    Refuse,
}

/// What a caller of a queue meets when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits. A disk that stands still stops the program.
    Block,
    /// It waits so long, and then the record is dropped.
    BlockFor(Duration),
    /// The record is dropped.
    DropNewest,
    /// The oldest records in the queue are dropped.
    DropOldest,
}

/// When a record is where, and what can be lost.
///
/// | | when the call returns | lost if the process is killed | lost if the power fails | memory |
/// | --- | --- | --- | --- | --- |
/// | `Written` | it is in the kernel | nothing | what was not synced | 128 KiB |
/// | `Buffered` | it is in a buffer | the buffer: at most `bytes`, and one block that the kernel is taking at that moment | the same, and what was not synced | 2¼ times `bytes` |
/// | `Queued` | it is in a queue | the queue, and a block of 64 KiB | the same, and what was not synced | `bytes`, 4 bytes for each of `records`, and half a MiB |
///
/// [`Appender::sync`] brings everything to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Each record is in the kernel when its call returns. Threads that call at the same time
    /// share a system call, if the machine has at least four cores; with fewer that costs more
    /// than it saves.
    #[default]
    Written,
    /// Records gather in a buffer, which is written when it is full, when `interval` is over, on
    /// [`Appender::flush`] and on close. The write is done by the call that fills it.
    ///
    /// Blocks are aligned to the file. So a block may end within a record, whose rest follows
    /// with the next one; after a kill between the two, [`Builder::open`] ends the cut line.
    Buffered {
        /// The buffer's size; rounded to a power of two from 4 KiB to 4 MiB.
        bytes: Bytes,
        /// The longest that a record waits in it.
        interval: Duration,
    },
    /// Records gather in a queue, which a thread of its own writes: rotation and slow disks
    /// are not the caller's business, until the queue is full.
    Queued {
        /// The most records in the queue.
        records: usize,
        /// The most bytes in the queue; a longer record is refused.
        bytes: Bytes,
        /// And then?
        when_full: WhenFull,
    },
}

pub(super) type OnEvent = Arc<dyn Fn(&Event) + Send + Sync>;

/// Everything that an appender is told before it opens its log. See [`Appender`].
#[derive(Clone)]
pub struct Builder {
    pub(super) path: PathBuf,
    pub(super) policy: Policy,
    pub(super) segment: Option<Bytes>,
    pub(super) every: Option<Interval>,
    pub(super) on_full: OnFull,
    pub(super) ballast: Option<Bytes>,
    pub(super) delivery: Delivery,
    pub(super) latest: Option<std::ffi::OsString>,
    pub(super) degraded: bool,
    pub(super) background: bool,
    pub(super) on_event: Option<OnEvent>,
    pub(super) fs: Option<Arc<dyn WriteFs>>,
    pub(super) clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("path", &self.path)
            .field("policy", &self.policy)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

/// What a ballast takes beside its size: its folder, and what is rounded up.
const BALLAST_MARGIN: Bytes = Bytes::kib(16);

/// A segment's size where none is given.
const SEGMENT: Bytes = Bytes::mib(8);

impl Builder {
    pub(super) fn new(path: &Path) -> Self {
        let policy = Policy {
            if_empty: false,
            create: Some(NewFile::default()),
            naming: Naming::sequence(),
            count: Count::Unlimited,
            missing_ok: true,
            ..Policy::default()
        };
        Self {
            path: path.to_owned(),
            policy,
            segment: None,
            every: None,
            on_full: OnFull::default(),
            ballast: None,
            delivery: Delivery::default(),
            latest: None,
            degraded: false,
            background: true,
            on_event: None,
            fs: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// The log becomes an archive before it would be longer than this: its segment. By
    /// default an eighth of the quota, or 8 MiB without one.
    #[must_use]
    pub fn rotate_at(mut self, size: Bytes) -> Self {
        self.segment = Some(size);
        self
    }

    /// ... and when the local calendar says so. An empty log is not rotated.
    #[must_use]
    pub fn rotate_every(mut self, interval: Interval) -> Self {
        self.every = Some(interval);
        self
    }

    /// Keep so many archives; more are deleted, the oldest first.
    #[must_use]
    pub fn keep_count(mut self, count: u32) -> Self {
        self.policy.count = Count::AtMost(count);
        self
    }

    /// Keep archives for so many whole days after their last record.
    ///
    /// # What is not guaranteed
    ///
    /// While the wall clock cannot be right (it jumped by more than an hour against the
    /// time since the start), nothing is deleted for its age, for a day.
    #[must_use]
    pub fn keep_for(mut self, age: Age) -> Self {
        self.policy = self.policy.keep_for(age);
        self
    }

    /// Compress archives, in the background. Its output is counted before it is written: where
    /// there is no room for it within the quota, an archive stays plain.
    #[must_use]
    pub fn compress(mut self, codec: Codec) -> Self {
        self.policy = self.policy.compress(codec);
        self
    }

    /// The most that the log and all that belongs to it may occupy: allocated bytes
    /// (`st_blocks` x 512) of the active segment, of archives, and of files in the making.
    ///
    /// What would pass it is made room for, or refused, before a byte is written. One segment
    /// of it is kept free for the next rotation, and one for compression, where the quota is
    /// at least five segments.
    ///
    /// # What is not guaranteed
    ///
    /// What other programs write into the log's files by themselves is noticed within a
    /// second, and counted then.
    #[must_use]
    pub fn quota(mut self, limit: Bytes) -> Self {
        self.policy = self.policy.quota(limit);
        self
    }

    /// The most files (inodes), the log itself included.
    #[must_use]
    pub fn max_files(mut self, count: u64) -> Self {
        self.policy.limits.max_files = Some(count);
        self
    }

    /// What must stay free on the file system: our archives are deleted until it is. The log
    /// itself goes on.
    #[must_use]
    pub fn reserve(mut self, free: Bytes) -> Self {
        self.policy.limits.reserve = Some(Reserve::Bytes(free));
        self
    }

    /// A file of this size keeps room on the disk. When that is full, the file goes first, before
    /// an archive or a record does; and also when less is free than [`reserve`](Self::reserve) says,
    /// or than an eighth of it. It is made again, in the background or by
    /// [`Appender::maintain`], when there is room for it and some more.
    ///
    /// The quota counts it, whether it is there or not: the log has that much less. A folder
    /// `.logquota` beside the log holds it; see [`ballast`](crate::ballast).
    ///
    /// # What is not guaranteed
    ///
    /// What it gives anybody may take, not only this log.
    #[must_use]
    pub fn ballast(mut self, size: Bytes) -> Self {
        self.ballast = (size > Bytes::ZERO).then_some(size);
        self
    }

    /// What happens when the quota or the disk has no room.
    #[must_use]
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// When a record is where. See [`Delivery`].
    #[must_use]
    pub fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// Permission bits of new files; 0640 by default.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.policy.create.get_or_insert_default().mode = Some(mode);
        self
    }

    /// Owner and group of new files; those of the process by default. Needs root.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        let create = self.policy.create.get_or_insert_default();
        (create.uid, create.gid) = (Some(uid), Some(gid));
        self
    }

    /// A symbolic link of this name, in the same directory, to the log. One that exists is
    /// pointed there; anything else of that name is left alone.
    #[must_use]
    pub fn latest_link(mut self, name: impl Into<std::ffi::OsString>) -> Self {
        self.latest = Some(name.into());
        self
    }

    /// [`Builder::open`] succeeds although the log cannot be opened now: on a full disk,
    /// without its directory. Records are counted as lost until it can; it is tried again
    /// with each record.
    #[must_use]
    pub fn start_degraded(mut self, degraded: bool) -> Self {
        self.degraded = degraded;
        self
    }

    /// Whether threads of the appender's own compress, evict, check once a second whether the
    /// log is still the same, rotate by the calendar and flush by time. Without them that is
    /// done inside the calls, and by [`Appender::maintain`]. `Queued` needs them.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Is called for each [`Event`]. Never while a lock is held; it may log.
    #[must_use]
    pub fn on_event(mut self, f: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(f));
        self
    }

    /// Another file system than the machine's, for tests. No lock is taken on its directory.
    #[must_use]
    pub fn fs(mut self, fs: Arc<dyn WriteFs>) -> Self {
        self.fs = Some(fs);
        self
    }

    /// Another clock than the machine's, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the log: takes over what is there, brings it under its quota, and rotates if that
    /// is due.
    ///
    /// # Errors
    ///
    /// [`Error::Policy`] if the limits contradict each other; [`Error::Io`] and its like if
    /// the log cannot be opened, unless [`Builder::start_degraded`]. The log must be a
    /// regular file with one name; a link is never followed.
    pub fn open(self) -> Result<Appender> {
        Appender::open(self)
    }

    /// The segment's size.
    pub(super) fn segment_size(&self) -> Bytes {
        self.segment.unwrap_or_else(|| match self.quota_of_log() {
            Some(quota) => Bytes::new((quota.get() / 8).max(1)),
            None => SEGMENT,
        })
    }

    /// What the quota leaves for the log.
    fn quota_of_log(&self) -> Option<Bytes> {
        let ballast = self.ballast.map_or(Bytes::ZERO, |size| size.plus(BALLAST_MARGIN));
        self.policy.limits.quota.map(|quota| quota.minus(ballast))
    }

    /// The policy that the planner is given: the appender's own threads never rotate by it.
    pub(super) fn finished_policy(&self) -> Result<Policy> {
        let mut policy = self.policy.clone();
        if let (Some(ballast), Some(quota)) = (self.ballast, policy.limits.quota)
            && ballast.plus(BALLAST_MARGIN) >= quota
        {
            return Err(Error::Policy(format!(
                "a ballast of {ballast} leaves nothing of a quota of {quota}; lower the ballast or \
                 raise the quota"
            )));
        }
        policy.limits.quota = self.quota_of_log();
        let segment = self.segment_size();
        if segment == Bytes::ZERO {
            return Err(Error::Policy("a segment of 0 bytes can hold no record".to_owned()));
        }
        policy.when = self.every.map_or(RotateWhen::Size(segment), Interval::criterion);
        policy.max_size = self.every.is_some().then_some(segment);
        if let Some(quota) = policy.limits.quota
            && segment > quota
        {
            return Err(Error::Policy(format!(
                "a segment of {segment} cannot stay within a quota of {quota}; lower the \
                 segment or raise the quota"
            )));
        }
        policy.create.get_or_insert_default().mode.get_or_insert(0o640);
        policy.validate()?;
        Ok(policy)
    }
}
