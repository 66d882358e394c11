//! Threads that write at the same time share a system call, on a machine with cores for it.
//!
//! On one or two cores a thread that waits for its turn has none to run on, and the one that has
//! the log writes on: to stop and wake the others for each record cost twice the processor time
//! of their own calls (`benches/README.md`). There the log's lock is all there is.
//!
//! Whoever finds the log free writes at once, from the caller's own memory. Whoever finds it
//! taken leaves a copy of its record and waits; the next one that has the log writes all that
//! was left, in one call, and those who waited find their records written.
//!
//! What lies ready is at most one record of each thread, and not more than 64 KiB.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use super::env::{Env, lock};
use super::event::{Cause, Fate};
use super::log::{Log, as_u64};
use super::records::One;
use crate::error::{Error, Result};

/// More than that is not left to others.
const BATCH: usize = 64 << 10;

/// How often the log is asked for before a record is left to others: a write takes about as
/// long as this.
const PATIENCE: u32 = 60;

/// From so many cores on, records are left to others.
const CORES: usize = 4;

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    lens: Vec<u32>,
    /// The number of the batch that is being gathered.
    batch: u64,
    /// Records that were not written, by batch and place in it.
    failed: HashMap<(u64, usize), Cause>,
}

/// Records that wait for whoever has the log next.
#[derive(Default)]
pub(super) struct Combine {
    shares: bool,
    pending: Mutex<Pending>,
    has_pending: AtomicBool,
    /// Batches that are done.
    done: AtomicU64,
    has_failed: AtomicBool,
}

impl Combine {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { shares: cores >= CORES, ..Self::default() }
    }

    pub(super) fn write(&self, env: &Env, log: &Mutex<Log>, record: &[u8]) -> Result<Fate> {
        if !self.shares {
            return self.write_own(env, &mut lock(log), record);
        }
        for _ in 0..PATIENCE {
            match log.try_lock() {
                Ok(mut log) => return self.write_own(env, &mut log, record),
                Err(TryLockError::Poisoned(log)) => {
                    return self.write_own(env, &mut log.into_inner(), record);
                }
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        let Some(ticket) = self.leave(record) else {
            return self.write_own(env, &mut lock(log), record);
        };
        let mut log = lock(log);
        if self.done.load(Ordering::Acquire) <= ticket.0 {
            self.write_pending(env, &mut log);
        }
        drop(log);
        self.answer(env, ticket)
    }

    fn write_own(&self, env: &Env, log: &mut Log, record: &[u8]) -> Result<Fate> {
        if self.has_pending.load(Ordering::Acquire) {
            self.write_pending(env, log);
        }
        receive(env, log, record)
    }

    /// Leaves a copy; says which one it is.
    fn leave(&self, record: &[u8]) -> Option<(u64, usize)> {
        let len = u32::try_from(record.len()).ok()?;
        let mut pending = lock(&self.pending);
        if pending.bytes.len().saturating_add(record.len()) > BATCH {
            return None;
        }
        pending.bytes.extend_from_slice(record);
        pending.lens.push(len);
        self.has_pending.store(true, Ordering::Release);
        Some((pending.batch, pending.lens.len().saturating_sub(1)))
    }

    /// Writes what was left, in one call where that is possible.
    pub(super) fn write_pending(&self, env: &Env, log: &mut Log) {
        // Nobody waits for this lock longer than a copy takes, except while records fail.
        let mut pending: MutexGuard<'_, Pending> = lock(&self.pending);
        let Pending { bytes, lens, batch, failed } = &mut *pending;
        if lens.is_empty() {
            return;
        }
        let records = as_u64(lens.len());
        let is_whole = !log.is_closed && log.try_put(bytes, records);
        if is_whole {
            log.received(records, as_u64(bytes.len()));
        } else {
            let kept = std::mem::take(&mut log.kept);
            let mut from = 0usize;
            for (index, len) in lens.iter().enumerate() {
                let end = from.saturating_add(usize::try_from(*len).unwrap_or(0));
                let record = bytes.get(from..end).unwrap_or_default();
                from = end;
                if as_u64(end) <= kept {
                    log.received(1, as_u64(record.len()));
                    log.wrote(1, as_u64(record.len()));
                    continue;
                }
                let cause = match receive(env, log, record) {
                    Ok(Fate::Accepted) => None,
                    Ok(Fate::Dropped(cause)) | Err(Error::Lost { cause, .. }) => Some(cause),
                    Err(_) => Some(Cause::Unavailable),
                };
                if let Some(cause) = cause {
                    failed.insert((*batch, index), cause);
                    self.has_failed.store(true, Ordering::Release);
                }
            }
        }
        bytes.clear();
        lens.clear();
        *batch = batch.saturating_add(1);
        self.has_pending.store(false, Ordering::Release);
        self.done.store(*batch, Ordering::Release);
    }

    /// What became of a record that was left.
    fn answer(&self, env: &Env, ticket: (u64, usize)) -> Result<Fate> {
        if !self.has_failed.load(Ordering::Acquire) {
            return Ok(Fate::Accepted);
        }
        let mut pending = lock(&self.pending);
        let Some(cause) = pending.failed.remove(&ticket) else { return Ok(Fate::Accepted) };
        self.has_failed.store(!pending.failed.is_empty(), Ordering::Release);
        drop(pending);
        Log::answer(env, super::log::Failure::because(cause))
    }
}

/// One record, by whoever has the log.
pub(super) fn receive(env: &Env, log: &mut Log, record: &[u8]) -> Result<Fate> {
    if log.is_closed {
        return Err(Error::Closed { path: env.path.clone() });
    }
    log.received(1, as_u64(record.len()));
    log.put(env, &One(record))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::appender::core::{Core, Front};
    use crate::fs::sim::{SimDisk, SimFs, SimOp};

    /// A log on a simulated disk whose threads share calls on any machine.
    fn core() -> (Arc<SimFs>, Core) {
        let fs = Arc::new(SimFs::new(SimDisk::default()));
        fs.mkdir("/log").expect("a folder");
        let builder = crate::Appender::builder("/log/a.log").background(false);
        let mut core = Core::open(&builder.fs(fs.clone())).expect("a log");
        core.front = Front::Written(Combine { shares: true, ..Combine::default() });
        (fs, core)
    }

    fn waiting(core: &Core) -> usize {
        let Front::Written(combine) = &core.front else { return 0 };
        lock(&combine.pending).lens.len()
    }

    #[test]
    fn what_threads_leave_while_the_log_is_taken_is_written_by_one_call() {
        const THREADS: usize = 5;
        let (fs, core) = core();
        let before = fs.calls();
        std::thread::scope(|scope| {
            let taken = lock(&core.log);
            let write = |n: usize| core.write(format!("record {n}\n").as_bytes());
            let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || write(n))).collect();
            while waiting(&core) < THREADS {
                std::thread::yield_now();
            }
            drop(taken);
            for thread in threads {
                let fate = thread.join().expect("no panic");
                assert!(matches!(fate, Ok(Fate::Accepted)), "{fate:?}");
            }
        });
        let calls = fs.log();
        let appends = calls.iter().filter(|c| c.index > before && c.op == SimOp::Append).count();
        assert_eq!(appends, 1);
        let text = String::from_utf8(fs.content("/log/a.log").expect("it")).expect("text");
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["record 0", "record 1", "record 2", "record 3", "record 4"]);
        assert_eq!((core.stats().received, core.stats().written), (5, 5));
    }

    #[test]
    fn of_records_that_were_left_each_caller_learns_its_own_fate() {
        let (fs, core) = core();
        fs.fail_at(1, crate::fs::sim::Fault::Io, crate::fs::sim::Times::Forever);
        std::thread::scope(|scope| {
            let taken = lock(&core.log);
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| core.write(b"short\n"))).collect();
            while waiting(&core) < 3 {
                std::thread::yield_now();
            }
            drop(taken);
            for thread in threads {
                let fate = thread.join().expect("no panic");
                let is_lost = matches!(fate, Err(Error::Lost { cause: Cause::Io, .. }));
                assert!(is_lost, "{fate:?}");
            }
        });
        fs.heal();
        assert!(matches!(core.write(b"short\n"), Ok(Fate::Accepted)));
        assert_eq!(core.stats().dropped.io, 3);
    }
}
