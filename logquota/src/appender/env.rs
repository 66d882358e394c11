//! What all parts of one appender share.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, FixedOffset};

use super::ballast::Ballast;
use super::builder::{OnEvent, OnFull};
use super::event::Event;
use super::meter::Books;
use crate::clock::Clock;
use crate::error::{Error, Op, Result};
use crate::fs::{AppendFile, Attributes, WriteFs};
use crate::inventory::DirId;
use crate::policy::Policy;
use crate::stamp::FileId;

/// Events that wait for their listener. More than that at once are told by their last ones.
const EVENTS: usize = 256;

/// A clock that is off by more than this is in doubt.
const JUMP_SECONDS: i64 = 3_600;

/// How long nothing is deleted for its age after the clock was in doubt.
const DOUBT: Duration = Duration::from_secs(24 * 3_600);

/// How long a caller waits for what is deleted already. Much longer than it takes, but for a
/// reader that waits for the disk.
const RELEASE: Duration = Duration::from_millis(50);

/// A segment that is an archive already, and that we still hold open.
pub(super) struct Retired {
    pub(super) file: Box<dyn AppendFile>,
    pub(super) archive: OsString,
    /// Nothing is reserved behind its end any more.
    pub(super) is_trimmed: bool,
}

/// Whether wall clock and running time agree.
#[derive(Debug)]
pub(super) struct Watch {
    /// Both at a moment when they were believed.
    anchor: (i64, Duration),
    /// Until when (running time) age deletes nothing.
    doubt: Option<Duration>,
}

pub(super) struct Env {
    pub(super) fs: Arc<dyn WriteFs>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
    pub(super) policy: Policy,
    pub(super) segment: u64,
    pub(super) on_full: OnFull,
    pub(super) ballast: Option<Ballast>,
    pub(super) attributes: Attributes,
    pub(super) latest: Option<OsString>,
    pub(super) background: bool,
    /// Whether the directory is a real one, on which a lock can be taken.
    pub(super) is_real: bool,
    pub(super) books: Mutex<Books>,
    /// A compressed archive gets its name, or the archive that it is made from is deleted.
    pub(super) naming: Mutex<()>,
    /// Upkeep that is not in haste is done by one at a time, as the directory's lock has it for
    /// other processes.
    pub(super) upkeep: Mutex<()>,
    /// What was deleted while it was read is closed now.
    pub(super) released: Condvar,
    pub(super) retired: Mutex<Vec<Retired>>,
    pub(super) dir: Mutex<Option<DirId>>,
    /// The segment that we hold: who does not hold the log claims nothing.
    pub(super) segment_id: Mutex<Option<FileId>>,
    watch: Mutex<Option<Watch>>,
    events: Mutex<VecDeque<Event>>,
    has_events: AtomicBool,
    on_event: Option<OnEvent>,
    /// The appender is being closed: nothing long is begun or gone on with.
    pub(super) is_closing: AtomicBool,
    /// Others append to the log, too, and claim room for themselves.
    pub(super) is_shared: AtomicBool,
    /// An archive was found that is half compressed.
    pub(super) has_halves: AtomicBool,
    /// The background has something to do.
    pub(super) wants_upkeep: AtomicBool,
    /// It had, and others were in the way: the next tick is early enough.
    pub(super) is_put_off: AtomicBool,
    /// Renames that are not on the disk yet.
    pub(super) is_unsynced: AtomicBool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done where it could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Env {
    pub(super) fn new(builder: &super::Builder, policy: Policy, parts: Parts) -> Self {
        let create = policy.create.unwrap_or_default();
        let attributes = Attributes {
            mode: create.mode,
            owner: create.uid.zip(create.gid),
            ..Attributes::default()
        };
        let quota = policy.limits.quota.map(|quota| quota.get());
        let env = Self {
            fs: parts.fs,
            clock: Arc::clone(&builder.clock),
            path: parts.folder.join(&parts.name),
            folder: parts.folder,
            name: parts.name,
            segment: builder.segment_size().get(),
            policy,
            on_full: builder.on_full,
            ballast: builder.ballast.map(Ballast::new),
            attributes,
            latest: builder.latest.clone(),
            background: builder.background,
            is_real: parts.is_real,
            books: Mutex::new(Books::new(quota, 4096)),
            naming: Mutex::new(()),
            upkeep: Mutex::new(()),
            released: Condvar::new(),
            retired: Mutex::new(Vec::new()),
            dir: Mutex::new(None),
            segment_id: Mutex::new(None),
            watch: Mutex::new(None),
            events: Mutex::new(VecDeque::new()),
            has_events: AtomicBool::new(false),
            on_event: builder.on_event.clone(),
            is_closing: AtomicBool::new(false),
            is_shared: AtomicBool::new(false),
            has_halves: AtomicBool::new(false),
            wants_upkeep: AtomicBool::new(false),
            is_put_off: AtomicBool::new(false),
            is_unsynced: AtomicBool::new(false),
        };
        let now = env.clock.now().timestamp();
        *lock(&env.watch) =
            env.clock.elapsed().map(|run| Watch { anchor: (now, run), doubt: None });
        env
    }

    /// The log's directory, opened if it is not.
    pub(super) fn open_dir(&self) -> Result<DirId> {
        let mut held = lock(&self.dir);
        if let Some(dir) = *held {
            return Ok(dir);
        }
        let dir = self.fs.open_root(&self.folder).map_err(Error::io(Op::OpenDir, &self.folder))?;
        if let Ok(space) = self.fs.space(dir) {
            lock(&self.books).set_block(space.block.get());
        }
        *held = Some(dir);
        Ok(dir)
    }

    /// The directory may be another one by now.
    pub(super) fn forget_dir(&self) {
        if let Some(dir) = lock(&self.dir).take() {
            self.fs.close_dir(dir);
        }
    }

    /// Whether other processes append to the log, too.
    pub(super) fn set_shared(&self, is_shared: bool) {
        self.is_shared.store(is_shared, Ordering::Release);
        let segment = (is_shared && self.policy.compress.is_some()).then_some(self.segment);
        lock(&self.books).set_shared(segment);
    }

    /// Whether `has_room` comes true, now or when what was deleted while it was read is closed:
    /// whoever reads it lets go with the next piece of it.
    pub(super) fn await_released(&self, has_room: impl Fn(&Books) -> bool) -> bool {
        let books = lock(&self.books);
        let waits = |books: &mut Books| !has_room(books) && books.unnamed() > 0;
        let waited = self.released.wait_timeout_while(books, RELEASE, waits);
        let (books, _) = waited.unwrap_or_else(PoisonError::into_inner);
        has_room(&books)
    }

    pub(super) fn tell(&self, event: Event) {
        if self.on_event.is_none() {
            return;
        }
        let mut events = lock(&self.events);
        if events.len() >= EVENTS {
            events.pop_front();
        }
        events.push_back(event);
        self.has_events.store(true, Ordering::Release);
    }

    /// Tells the listener what happened; not to be called with a lock held.
    pub(super) fn deliver(&self) {
        if !self.has_events.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some(listener) = &self.on_event else { return };
        let events = std::mem::take(&mut *lock(&self.events));
        events.iter().for_each(|event| listener(event));
    }

    pub(super) fn take_upkeep(&self) -> bool {
        self.wants_upkeep.swap(false, Ordering::AcqRel) || self.is_unsynced.load(Ordering::Acquire)
    }

    /// Whether age may delete anything now: not while the wall clock is in doubt. `last` is
    /// when the newest record is said to have been written.
    pub(super) fn believes_clock(&self, now: DateTime<FixedOffset>, last: Option<i64>) -> bool {
        let Some(run) = self.clock.elapsed() else { return true };
        let mut watch = lock(&self.watch);
        let Some(watch) = watch.as_mut() else { return true };
        let (wall, began) = watch.anchor;
        let passed = i64::try_from(run.saturating_sub(began).as_secs()).unwrap_or(i64::MAX);
        let jumped = now.timestamp().saturating_sub(wall).saturating_sub(passed);
        // Everything that is there would be too old at once: rather the clock is wrong.
        let limit = self.policy.max_age_days.map_or(i64::MAX, |days| i64::from(days) * 86_400);
        let is_stale = watch.doubt.is_none()
            && last.is_some_and(|last| now.timestamp().saturating_sub(last) > limit);
        if jumped.abs() > JUMP_SECONDS || is_stale {
            watch.anchor = (now.timestamp(), run);
            watch.doubt = Some(run.saturating_add(DOUBT));
            let seconds = if is_stale { 0 } else { jumped };
            self.tell(Event::ClockJumped { seconds });
        }
        watch.doubt.is_none_or(|until| run >= until)
    }
}

/// What an [`Env`] is made of besides what the builder knows.
pub(super) struct Parts {
    pub(super) fs: Arc<dyn WriteFs>,
    pub(super) folder: PathBuf,
    pub(super) name: OsString,
    pub(super) is_real: bool,
}

impl Env {
    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }
}
