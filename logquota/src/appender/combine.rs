//! Threads that write at the same time share a system call, on a machine with cores for it.
//!
//! On one or two cores a thread that waits for its turn has none to run on, and the one that has
//! the log writes on: to stop and wake the others for each record cost twice the processor time
//! of their own calls (`benches/README.md`). There the log's lock is all there is.
//!
//! Whoever finds the log free writes at once, from the caller's own memory. Whoever finds it
//! taken leaves a copy of its record and waits; the next one that has the log writes all that
//! was left, in one call, and those who waited find their records written.

use std::num::NonZero;
use std::sync::Mutex;

use super::env::{Env, lock};
use super::event::{Cause, Fate};
use super::failure::Failure;
use super::log::{Log, as_u64};
use super::records::One;
use super::share::{Share, Turn};
use crate::error::{Error, Result};

/// From so many cores on, records are left to others.
const CORES: usize = 4;

/// How threads meet at the log.
pub(super) struct Combine {
    shares: bool,
    share: Share<Cause>,
}

impl Combine {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { shares: cores >= CORES, share: Share::new() }
    }

    pub(super) fn write(&self, env: &Env, log: &Mutex<Log>, record: &[u8]) -> Result<Fate> {
        if !self.shares {
            return receive(env, &mut lock(log), record);
        }
        let put = |log: &mut Log, bytes: &[u8], lens: &[u32]| put_left(env, log, bytes, lens);
        match self.share.turn(log, record, put) {
            Turn::Own(mut log) => receive(env, &mut log, record),
            Turn::Done(None) => Ok(Fate::Accepted),
            Turn::Done(Some(cause)) => Log::answer(env, Failure::because(cause)),
        }
    }

    /// Writes what others have left.
    pub(super) fn write_pending(&self, env: &Env, log: &mut Log) {
        self.share.write_left(log, |log, bytes, lens| put_left(env, log, bytes, lens));
    }
}

/// Writes what was left, in one call where that is possible; says what was not written.
fn put_left(env: &Env, log: &mut Log, bytes: &[u8], lens: &[u32]) -> Vec<(usize, Cause)> {
    let records = as_u64(lens.len());
    if !log.is_closed && log.try_put(bytes, records) {
        log.received(records, as_u64(bytes.len()));
        return Vec::new();
    }
    let kept = std::mem::take(&mut log.kept);
    let mut failed = Vec::new();
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
        match receive(env, log, record) {
            Ok(Fate::Accepted) => {}
            Ok(Fate::Dropped(cause)) | Err(Error::Lost { cause, .. }) => {
                failed.push((index, cause));
            }
            Err(_) => failed.push((index, Cause::Unavailable)),
        }
    }
    failed
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
        core.front = Front::Written(Combine { shares: true, share: Share::new() });
        (fs, core)
    }

    fn waiting(core: &Core) -> usize {
        let Front::Written(combine) = &core.front else { return 0 };
        combine.share.waiting().0
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
