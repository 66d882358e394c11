//! One appender's parts, and how a call goes through them.
//!
//! Locks are taken in this order: the front's (block or queue), the log, the books; never the
//! other way round.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::ballast;
use super::block::Block;
use super::builder::Delivery;
use super::combine::Combine;
use super::drain::Queued;
use super::env::{Env, lock};
use super::event::{Cause, Fate};
use super::failure::Failure;
use super::log::{Log, as_u64};
use super::queue::Flushed;
use super::records::{One, Records};
use super::threads::Bell;
use super::upkeep::{self, Goal};
use crate::error::{Error, Op, Result};

/// What a caller meets first.
pub(super) enum Front {
    Written(Combine),
    Buffered(Mutex<Block>),
    Queued(Box<Queued>),
}

pub(super) struct Core {
    pub(super) env: Env,
    pub(super) log: Mutex<Log>,
    pub(super) front: Front,
    pub(super) delivery: Delivery,
    pub(super) keeper: Bell,
    pub(super) packer: Bell,
    /// Without threads: the second of the last tick.
    pub(super) ticked: AtomicI64,
}

impl Core {
    pub(super) fn error(&self, failure: Failure) -> Error {
        let Failure { cause, error, .. } = failure;
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
        // The packer needs room to work in; the keeper may have found the directory locked.
        let done = if compress {
            upkeep::tidy(&self.env, Goal::Routine { compress: false })
        } else {
            Ok(false)
        };
        let done = done.and_then(|_| upkeep::tidy(&self.env, Goal::Routine { compress }));
        if let Err(error) = done {
            self.env.tell(super::Event::UpkeepFailed { why: error.chain() });
        }
    }

    /// Once a second: is the log still the log, is its time over, has the buffer waited?
    pub(super) fn tick(&self) {
        if self.env.is_put_off.swap(false, Ordering::AcqRel) {
            self.env.wants_upkeep.store(true, Ordering::Release);
        }
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
            Some(segment) => {
                segment.file.sync().map_err(Error::io(Op::Sync, &self.env.path))?;
            }
            // It was let go of when it could not be looked at, with what was not flushed.
            None if !log.is_closed => return Err(self.error(Failure::because(Cause::Unavailable))),
            None => {}
        }
        // A new file is found again by its name.
        upkeep::sync_names(&self.env)
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
        ballast::look_after(&self.env);
    }
}
