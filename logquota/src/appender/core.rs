//! One appender's parts, and how a call goes through them.
//!
//! Locks are taken in this order: the front's (block or queue), the log, the books; never the
//! other way round.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::block::Block;
use super::builder::{Builder, Delivery};
use super::combine::Combine;
use super::drain::Queued;
use super::env::{Env, Parts, lock};
use super::event::{Cause, Fate, Stats};
use super::log::{Failure, Log, as_u64};
use super::queue::Flushed;
use super::records::{One, Records};
use super::upkeep::{self, Goal};
use crate::error::{Error, Op, Result};
use crate::fs::os::OsFs;
use crate::naming::Label;

/// What a caller meets first.
pub(super) enum Front {
    Written(Combine),
    Buffered(Mutex<Block>),
    Queued(Box<Queued>),
}

/// Wakes a thread of the background.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *lock(&self.rung) = true;
        self.changed.notify_all();
    }

    /// Waits until it rings, at most so long; says whether it did.
    pub(super) fn wait(&self, most: Option<Duration>) -> bool {
        let rung = lock(&self.rung);
        let mut rung = match most {
            Some(most) => {
                let waited = self.changed.wait_timeout_while(rung, most, |rung| !*rung);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.changed.wait_while(rung, |rung| !*rung);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        std::mem::take(&mut *rung)
    }
}

pub(super) struct Core {
    pub(super) env: Env,
    pub(super) log: Mutex<Log>,
    pub(super) front: Front,
    pub(super) delivery: Delivery,
    pub(super) keeper: Bell,
    pub(super) packer: Bell,
    /// Without threads: the second of the last tick.
    ticked: AtomicI64,
}

impl Core {
    pub(super) fn open(builder: &Builder) -> Result<Self> {
        let policy = builder.finished_policy()?;
        let path =
            std::path::absolute(&builder.path).map_err(Error::io(Op::Open, &builder.path))?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            let text = format!("`{}` is not the name of a log", crate::error::printable(&path));
            return Err(Error::Policy(text));
        };
        // The longest name that an archive gets must fit into 255 bytes.
        let longest = name.len().saturating_add(".0000000042-20261121T184136Z.zst".len() + 10);
        if longest > 255 {
            let text = format!("the name of the log has {} bytes; 200 is the most", name.len());
            return Err(Error::Policy(text));
        }
        let is_real = builder.fs.is_none();
        let fs = builder.fs.clone().unwrap_or_else(|| Arc::new(OsFs::new()));
        let parts = Parts { fs, folder: folder.to_owned(), name: name.to_owned(), is_real };
        let env = Env::new(builder, policy, parts);
        let front = match builder.delivery {
            Delivery::Written => Front::Written(Combine::default()),
            Delivery::Queued { .. } if !builder.background => {
                let text = "a queue needs a thread that empties it; allow `background`";
                return Err(Error::Policy(text.to_owned()));
            }
            Delivery::Queued { records, bytes, when_full } => {
                Front::Queued(Box::new(Queued::new(records, bytes.get(), when_full)?))
            }
            Delivery::Buffered { bytes, .. } => {
                Front::Buffered(Mutex::new(Block::new(bytes.get())))
            }
        };
        let mut log = Log::default();
        if let Front::Buffered(block) = &front {
            log.spare = Vec::with_capacity(lock(block).size());
        }
        let core = Self {
            env,
            log: Mutex::new(log),
            front,
            delivery: builder.delivery,
            keeper: Bell::default(),
            packer: Bell::default(),
            ticked: AtomicI64::new(i64::MIN),
        };
        if let Err(error) = core.start()
            && !builder.degraded
        {
            return Err(error);
        }
        Ok(core)
    }

    /// Takes over what is there, and brings it under its limits.
    fn start(&self) -> Result<()> {
        let env = &self.env;
        let mut log = lock(&self.log);
        env.open_dir()?;
        let seen = upkeep::look(env)?;
        let refusal = upkeep::refusal(&seen);
        let since = seen.log().and_then(|log| {
            let newest = log.archives.iter().find_map(|archive| match archive.parsed.label {
                Label::Sequence { at, .. } => Some(at),
                _ => None,
            });
            let stamp = log.active.as_ref().map(|meta| meta.stamp);
            let began = newest.or_else(|| {
                let stamp = stamp?;
                Some(stamp.id.btime.unwrap_or(stamp.mtime).secs)
            })?;
            let began = chrono::DateTime::from_timestamp(began, 0)?;
            Some(env.clock.local(began).naive_local())
        });
        upkeep::close(env, &seen);
        if let Some(why) = refusal {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
            return Err(Error::io(Op::Open, &env.path)(source));
        }
        log.open_since(env, since).map_err(|failure| self.error(failure))?;
        log.end_turn();
        log.tick(env);
        drop(log);
        // What is there already may be more than the quota: first of all it is brought under it.
        upkeep::tidy(env, Goal::Routine { compress: false })?;
        env.wants_upkeep.store(env.policy.compress.is_some(), Ordering::Release);
        Ok(())
    }

    fn error(&self, failure: Failure) -> Error {
        let Failure { cause, error } = failure;
        error.unwrap_or_else(|| Error::Lost { path: self.env.path.clone(), cause, source: None })
    }

    fn closed(&self) -> Error {
        Error::Closed { path: self.env.path.clone() }
    }

    pub(super) fn write(&self, record: &[u8]) -> Result<Fate> {
        if record.is_empty() {
            return Ok(Fate::Accepted);
        }
        match &self.front {
            Front::Written(combine) => combine.write(&self.env, &self.log, record),
            Front::Buffered(block) => self.write_buffered(lock(block), record),
            Front::Queued(queued) => queued.push(&self.env, record),
        }
    }

    fn write_buffered(&self, mut block: MutexGuard<'_, Block>, record: &[u8]) -> Result<Fate> {
        if block.try_push(record) {
            block.received(1, record.len());
            return Ok(Fate::Accepted);
        }
        if block.is_closed {
            return Err(self.closed());
        }
        block.received(1, record.len());
        let mut log = lock(&self.log);
        if block.may_cut(record.len()) {
            let cut = block.cut(record, &mut log.spare);
            // Others may fill the next block while this one is written.
            drop(block);
            let fate = log.put_cut(&self.env, &cut);
            return fate;
        }
        let earlier = self.write_out(&mut block, &mut log);
        let own = if log.loss.is_none()
            && self.align(&mut block, &mut log, record.len())
            && block.try_push(record)
        {
            Ok(Fate::Accepted)
        } else {
            log.put(&self.env, &One(record))
        };
        if block.is_empty() {
            block.align(&log);
        }
        own.and_then(|own| earlier.map(|_| own))
    }

    /// Begins the next block in a segment that can take a record of `len` bytes.
    fn align(&self, block: &mut Block, log: &mut Log, len: usize) -> bool {
        let fits = log
            .segment
            .as_ref()
            .is_some_and(|segment| segment.len.saturating_add(as_u64(len)) <= segment.limit);
        if fits {
            block.align(log);
        }
        fits
    }

    /// Writes the block as it is.
    fn write_out(&self, block: &mut Block, log: &mut Log) -> Result<Fate> {
        let cut = block.take(&mut log.spare);
        let fate = log.put_cut(&self.env, &cut);
        if log.segment.is_some() {
            block.align(log);
        }
        fate
    }

    pub(super) fn write_records(&self, records: &dyn Records) -> Result<Fate> {
        let bytes = records.bytes();
        if bytes.is_empty() {
            return Ok(Fate::Accepted);
        }
        let count = records.count(0, bytes.len());
        match &self.front {
            Front::Written(combine) => {
                let mut log = lock(&self.log);
                combine.write_pending(&self.env, &mut log);
                if log.is_closed {
                    return Err(self.closed());
                }
                log.received(count, as_u64(bytes.len()));
                log.put(&self.env, records)
            }
            Front::Buffered(block) => {
                let mut block = lock(block);
                if block.is_closed {
                    return Err(self.closed());
                }
                block.received(count, bytes.len());
                let mut log = lock(&self.log);
                let earlier = self.write_out(&mut block, &mut log);
                let own = log.put(&self.env, records);
                block.align(&log);
                own.and_then(|own| earlier.map(|_| own))
            }
            Front::Queued(queued) => {
                let mut fate = Ok(Fate::Accepted);
                let mut from = 0usize;
                while from < bytes.len() {
                    let end = records.end_after(from).max(from.saturating_add(1));
                    match queued.push(&self.env, bytes.get(from..end).unwrap_or_default()) {
                        Ok(Fate::Accepted) => {}
                        other => fate = other,
                    }
                    from = end;
                }
                fate
            }
        }
    }

    /// After each call: what it left to do.
    pub(super) fn after(&self) {
        if !self.env.background {
            let now = self.env.clock.now().timestamp();
            if self.ticked.swap(now, Ordering::Relaxed) != now {
                self.tick();
            }
            if self.env.take_upkeep() {
                self.upkeep(true);
            }
            self.env.deliver();
        } else if self.env.wants_upkeep.load(Ordering::Relaxed)
            && self.env.wants_upkeep.swap(false, Ordering::AcqRel)
        {
            self.keeper.ring();
        }
    }

    pub(super) fn upkeep(&self, compress: bool) {
        if let Err(error) = upkeep::tidy(&self.env, Goal::Routine { compress }) {
            self.env.tell(super::Event::UpkeepFailed { why: error.chain() });
        }
    }

    /// Once a second: is the log still the log, is its time over, has the buffer waited?
    pub(super) fn tick(&self) {
        match &self.front {
            Front::Buffered(block) => {
                let mut block = lock(block);
                let mut log = lock(&self.log);
                let _ = self.write_out(&mut block, &mut log);
                log.tick(&self.env);
                block.align(&log);
            }
            Front::Written(_) | Front::Queued(_) => lock(&self.log).tick(&self.env),
        }
    }

    pub(super) fn flush(&self) -> Result<()> {
        match &self.front {
            Front::Buffered(block) => {
                let mut block = lock(block);
                let mut log = lock(&self.log);
                let fate = self.write_out(&mut block, &mut log);
                fate.map(|_| ())
            }
            Front::Written(combine) => {
                combine.write_pending(&self.env, &mut lock(&self.log));
                Ok(())
            }
            Front::Queued(queued) => match queued.queue.flush() {
                Flushed::Done => Ok(()),
                Flushed::Abandoned => Err(self.closed()),
            },
        }
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.flush()?;
        let log = lock(&self.log);
        // Segments of before that are closed already are flushed when they are compressed, or
        // by the system.
        for retired in lock(&self.env.retired).iter() {
            retired.file.sync().map_err(Error::io(Op::Sync, &self.env.path))?;
        }
        match &log.segment {
            Some(segment) => segment.file.sync().map_err(Error::io(Op::Sync, &self.env.path)),
            None => Ok(()),
        }
    }

    /// Does something with the log between two records.
    fn between<T>(&self, act: impl FnOnce(&mut Log) -> Result<T>) -> Result<T> {
        match &self.front {
            Front::Buffered(block) => {
                let mut block = lock(block);
                let mut log = lock(&self.log);
                let earlier = self.write_out(&mut block, &mut log);
                log.begin_turn(&self.env);
                let done = act(&mut log);
                log.end_turn();
                block.align(&log);
                earlier.and(done)
            }
            Front::Written(_) | Front::Queued(_) => {
                // What was handed in before this call is in front of it.
                let earlier = self.flush();
                let mut log = lock(&self.log);
                log.begin_turn(&self.env);
                let done = act(&mut log);
                log.end_turn();
                earlier.and(done)
            }
        }
    }

    pub(super) fn rotate(&self) -> Result<bool> {
        self.between(|log| {
            if log.is_closed {
                return Err(self.closed());
            }
            let before = log.counts.rotations;
            log.rotate(&self.env, 0).map_err(|failure| self.error(failure))?;
            Ok(log.counts.rotations > before)
        })
    }

    pub(super) fn reopen(&self) -> Result<()> {
        self.between(|log| {
            if log.is_closed {
                return Err(self.closed());
            }
            let is_other = log.check_identity(&self.env).map_err(|failure| self.error(failure))?;
            if !is_other && log.segment.is_none() {
                log.open(&self.env).map_err(|failure| self.error(failure))?;
            }
            Ok(())
        })
    }

    pub(super) fn maintain(&self) {
        self.tick();
        self.env.wants_upkeep.store(false, Ordering::Release);
        self.upkeep(true);
    }

    pub(super) fn stats(&self) -> Stats {
        let mut waiting = 0;
        let mut received = None;
        let mut lost = (0, 0);
        let mut cause = None;
        match &self.front {
            Front::Written(_) => {}
            Front::Buffered(block) => {
                let block = lock(block);
                waiting = block.waiting();
                received = Some((block.received, block.received_bytes));
            }
            Front::Queued(queued) => {
                waiting = queued.queue.waiting().0;
                lost = queued.lost();
                cause = Some(queued.cause());
                let (records, bytes) = queued.queue.accepted();
                received = Some(match queued.cause() {
                    // They had been accepted.
                    Cause::Oldest => (records, bytes),
                    _ => (records.saturating_add(lost.0), bytes.saturating_add(lost.1)),
                });
            }
        }
        let mut counts = lock(&self.log).counts;
        if let Some(cause) = cause {
            counts.dropped.add(cause, lost.0);
            counts.dropped_bytes = counts.dropped_bytes.saturating_add(lost.1);
        }
        let (received, received_bytes) =
            received.unwrap_or((counts.received, counts.received_bytes));
        let books = lock(&self.env.books);
        Stats {
            received,
            received_bytes,
            written: counts.written,
            written_bytes: counts.written_bytes,
            waiting,
            dropped: counts.dropped,
            dropped_bytes: counts.dropped_bytes,
            evicted_records: books.evicted_records,
            evicted_files: books.evicted_files,
            rotations: counts.rotations,
            compressions: books.compressions,
            reopened: counts.reopened,
            used: crate::units::Bytes::new(books.used()),
            peak: crate::units::Bytes::new(books.peak),
        }
    }

    /// No record is taken any more; what waits is written.
    pub(super) fn begin_close(&self) -> Result<()> {
        match &self.front {
            // The writer writes what is left, and ends; then the log is closed.
            Front::Queued(queued) => {
                queued.queue.close();
                return Ok(());
            }
            Front::Buffered(block) => lock(block).is_closed = true,
            Front::Written(_) => {}
        }
        let result = self.flush();
        lock(&self.log).is_closed = true;
        self.end_background();
        result
    }

    pub(super) fn end_background(&self) {
        self.env.is_closing.store(true, Ordering::Release);
        self.keeper.ring();
        self.packer.ring();
    }

    /// The threads have ended: gives everything back.
    pub(super) fn end_close(&self) -> Stats {
        let mut log = lock(&self.log);
        log.is_closed = true;
        if let Some(segment) = log.segment.take() {
            if matches!(segment.file.hold(crate::fs::Hold::Alone), Ok(true)) {
                let _ = segment.file.trim();
            }
            let blocks = segment.file.meta().map(|meta| meta.stamp.allocated.get());
            if let Ok(blocks) = blocks {
                lock(&self.env.books).begin(blocks);
            }
        }
        drop(log);
        upkeep::settle_retired(&self.env, false);
        // Archives that others have deleted are noticed once more.
        if let Ok(seen) = upkeep::look(&self.env) {
            upkeep::close(&self.env, &seen);
        }
        self.env.forget_dir();
        self.stats()
    }
}
