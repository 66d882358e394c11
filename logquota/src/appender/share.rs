//! Threads that want one thing at the same time: whoever has it does the work of all who wait.
//!
//! Nothing here knows what the records are for: `tests/concurrency` compiles this file on a
//! model of locks, and tries thousands of schedules.

use std::collections::HashMap;

use super::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, lock, lock_soon};

/// More than that is not left to others.
const BATCH: usize = 64 << 10;

struct Left<C> {
    bytes: Vec<u8>,
    lens: Vec<u32>,
    /// Records that were not written, by batch and place in it.
    failed: HashMap<(u64, usize), C>,
}

/// Records that wait for whoever has the log next.
///
/// At most one record of each thread, and not more than 64 KiB.
pub(super) struct Share<C> {
    left: Mutex<Left<C>>,
    has_left: AtomicBool,
    /// Batches that are written; changed with `left` locked, so that it is there the number of
    /// the batch that is being gathered.
    done: AtomicU64,
    has_failed: AtomicBool,
}

/// How a call came to its turn.
pub(super) enum Turn<'a, L, C> {
    /// The log is the caller's, with all written that was left before.
    Own(MutexGuard<'a, L>),
    /// Somebody has written the record, or could not.
    Done(Option<C>),
}

impl<C> Share<C> {
    pub(super) fn new() -> Self {
        let left = Left { bytes: Vec::new(), lens: Vec::new(), failed: HashMap::new() };
        Self {
            left: Mutex::new(left),
            has_left: AtomicBool::new(false),
            done: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Takes the log, or leaves a copy of the record and comes back when it is written.
    ///
    /// `put` is as for [`Share::write_left`].
    pub(super) fn turn<'a, L>(
        &self,
        log: &'a Mutex<L>,
        record: &[u8],
        put: impl FnOnce(&mut L, &[u8], &[u32]) -> Vec<(usize, C)>,
    ) -> Turn<'a, L, C> {
        let free = lock_soon(log);
        let ticket = if free.is_some() { None } else { self.leave(record) };
        let mut log = free.unwrap_or_else(|| lock(log));
        let Some(ticket) = ticket else {
            if self.has_left.load(Ordering::Acquire) {
                self.write_left(&mut *log, put);
            }
            return Turn::Own(log);
        };
        if self.done.load(Ordering::Acquire) <= ticket.0 {
            self.write_left(&mut *log, put);
        }
        drop(log);
        Turn::Done(self.fate(ticket))
    }

    /// Leaves a copy; says which one it is.
    fn leave(&self, record: &[u8]) -> Option<(u64, usize)> {
        let len = u32::try_from(record.len()).ok()?;
        let mut left = lock(&self.left);
        if left.bytes.len().saturating_add(record.len()) > BATCH {
            return None;
        }
        left.bytes.extend_from_slice(record);
        left.lens.push(len);
        self.has_left.store(true, Ordering::Release);
        let batch = self.done.load(Ordering::Relaxed);
        Some((batch, left.lens.len().saturating_sub(1)))
    }

    /// Writes what was left, by one call of `put`, which gets records that lie one behind the
    /// other and their lengths, and says which of them it could not write, and why.
    pub(super) fn write_left<L>(
        &self,
        log: &mut L,
        put: impl FnOnce(&mut L, &[u8], &[u32]) -> Vec<(usize, C)>,
    ) {
        // Nobody waits for this lock longer than a copy takes, except while records fail.
        let mut left = lock(&self.left);
        let Left { bytes, lens, failed } = &mut *left;
        if lens.is_empty() {
            return;
        }
        let batch = self.done.load(Ordering::Relaxed);
        for (index, cause) in put(log, bytes, lens) {
            failed.insert((batch, index), cause);
            self.has_failed.store(true, Ordering::Release);
        }
        bytes.clear();
        lens.clear();
        self.has_left.store(false, Ordering::Release);
        self.done.store(batch.saturating_add(1), Ordering::Release);
    }

    /// What became of a record that was left.
    fn fate(&self, ticket: (u64, usize)) -> Option<C> {
        if !self.has_failed.load(Ordering::Acquire) {
            return None;
        }
        let mut left = lock(&self.left);
        let cause = left.failed.remove(&ticket)?;
        self.has_failed.store(!left.failed.is_empty(), Ordering::Release);
        Some(cause)
    }

    /// Records that wait, and fates that nobody has asked for.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        let left = lock(&self.left);
        (left.lens.len(), left.failed.len())
    }
}
