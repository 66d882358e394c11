//! One opened appender, and what is known of its records.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use logquota::appender::{Event, Fate, Records, Stats};
use logquota::{Appender, Delivery, Error, OnFull};
use logquota_tests::records::{Id, record};

use crate::look::Disk;
use crate::setup::Setup;

/// What is known of the records of one appender.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) tag: u16,
    pub(crate) next: u64,
    /// The call said that it was taken.
    pub(crate) acked: BTreeSet<u64>,
    /// The call said that it was not.
    pub(crate) refused: BTreeSet<u64>,
    /// It went to a file that somebody had taken away.
    pub(crate) unsure: BTreeSet<u64>,
    /// They were in the active segment when it was synced, and what had been evicted by then.
    pub(crate) synced: Option<(BTreeSet<u64>, u64)>,
    /// Whether what was acknowledged is known to be in the log.
    pub(crate) is_kept: bool,
}

impl Known {
    /// Evicted records are the oldest: what is newer than any that is there, is there.
    pub(crate) fn check_tail(&self, disk: &Disk, gone: &BTreeSet<Id>) -> Result<(), String> {
        let there = disk.of_writer(self.tag);
        if !there.is_sorted_by(|a, b| a < b) {
            return Err(format!("writer {}: out of order, or twice: {there:?}", self.tag));
        }
        if let Some(number) = there.iter().find(|number| self.refused.contains(number)) {
            return Err(format!("{}:{number} was refused and is there", self.tag));
        }
        let (Some(first), true) = (there.first(), self.is_kept) else { return Ok(()) };
        let there: BTreeSet<u64> = there.iter().copied().collect();
        self.missing(self.acked.range(first..), &there, gone)
    }

    fn missing<'a>(
        &self,
        mut numbers: impl Iterator<Item = &'a u64>,
        there: &BTreeSet<u64>,
        gone: &BTreeSet<Id>,
    ) -> Result<(), String> {
        let is_lost = |number: &&u64| {
            let id = Id { writer: self.tag, number: **number };
            !there.contains(number) && !gone.contains(&id) && !self.unsure.contains(number)
        };
        match numbers.find(is_lost) {
            None => Ok(()),
            Some(number) => {
                Err(format!("{}:{number} was acknowledged and is missing: {there:?}", self.tag))
            }
        }
    }

    /// What was synced is there after any crash, but for what was evicted.
    pub(crate) fn check_synced(
        &self,
        disk: &Disk,
        gone: &BTreeSet<Id>,
        evicted: u64,
    ) -> Result<(), String> {
        let Some((synced, before)) = &self.synced else { return Ok(()) };
        let there: BTreeSet<u64> = disk.of_writer(self.tag).into_iter().collect();
        let from = if evicted == *before { Some(0) } else { there.first().copied() };
        let Some(from) = from else { return Ok(()) };
        self.missing(synced.range(from..), &there, gone).map_err(|why| format!("synced: {why}"))
    }
}

/// One that is open.
pub(crate) struct Writer {
    pub(crate) known: Known,
    pub(crate) log: Appender,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) received: u64,
    /// Somebody else was at the log since this one looked the last time.
    pub(crate) is_stale: bool,
    /// The log was taken away, and this one may not know.
    pub(crate) is_blind: bool,
    /// How many records are in which file is not known.
    pub(crate) is_vague: bool,
}

/// Records in one slice.
struct Lines {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Records for Lines {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn end_before(&self, at: usize) -> usize {
        self.ends.iter().copied().take_while(|end| *end <= at).last().unwrap_or(0)
    }

    fn end_after(&self, at: usize) -> usize {
        self.ends.iter().copied().find(|end| *end > at).unwrap_or(self.bytes.len())
    }

    fn count(&self, from: usize, to: usize) -> u64 {
        let ends = self.ends.iter().filter(|end| **end > from && **end <= to);
        u64::try_from(ends.count()).unwrap_or(0)
    }
}

impl Writer {
    pub(crate) fn stats(&self) -> Stats {
        self.log.stats()
    }

    fn id(&mut self) -> Id {
        let id = Id { writer: self.known.tag, number: self.known.next };
        self.known.next += 1;
        id
    }

    /// Writes one record; says whether it was taken.
    pub(crate) fn write(&mut self, setup: &Setup, len: usize) -> Result<bool, String> {
        let id = self.id();
        let before = self.stats().dropped.total();
        let answer = self.log.write_record(&record(id, len));
        self.received += 1;
        let stats = self.stats();
        let lost = stats.dropped.total() - before;
        let is_written = setup.delivery == Delivery::Written;
        let taken = match answer {
            Ok(Fate::Accepted) => true,
            Ok(Fate::Dropped(_)) if setup.on_full == OnFull::DropNewest => false,
            Err(Error::Lost { .. }) => false,
            other => return Err(format!("{id:?}: an answer of {other:?} under {setup:?}")),
        };
        if is_written && lost != u64::from(!taken) {
            return Err(format!("{id:?}: taken: {taken}, and {lost} were counted as lost"));
        }
        if taken {
            self.known.acked.insert(id.number);
            if self.is_blind || !is_written {
                self.known.unsure.insert(id.number);
            }
        } else if is_written {
            self.known.refused.insert(id.number);
        }
        Ok(taken)
    }

    /// Writes many in one call.
    pub(crate) fn write_batch(
        &mut self,
        setup: &Setup,
        count: u8,
        len: usize,
    ) -> Result<(), String> {
        let mut lines = Lines { bytes: Vec::new(), ends: Vec::new() };
        let from = self.known.next;
        for _ in 0..count {
            let id = self.id();
            lines.bytes.extend(record(id, len));
            lines.ends.push(lines.bytes.len());
        }
        let before = self.stats();
        let answer = self.log.write_records(&lines);
        self.received += u64::from(count);
        let after = self.stats();
        let lost = after.dropped.total() - before.dropped.total();
        let done = after.written - before.written + lost + after.waiting;
        if done != u64::from(count) + before.waiting {
            return Err(format!("of {count} in one call: {before:?} became {after:?}"));
        }
        let is_written = setup.delivery == Delivery::Written;
        match answer {
            Ok(Fate::Accepted) if lost == 0 => self.known.acked.extend(from..self.known.next),
            Ok(Fate::Dropped(_)) if lost > 0 && setup.on_full == OnFull::DropNewest => {}
            Err(Error::Lost { .. }) if lost > 0 => {}
            Ok(Fate::Accepted) if !is_written => {}
            other => return Err(format!("an answer of {other:?} with {lost} lost")),
        }
        if self.is_blind || !is_written {
            self.known.unsure.extend(from..self.known.next);
        }
        Ok(())
    }

    /// What the listener was told about losses that are over.
    pub(crate) fn announced(&self) -> u64 {
        let events = self.events.lock().expect("no panic");
        let ended = events.iter().map(|event| match event {
            Event::LossEnded { records, .. } => *records,
            _ => 0,
        });
        ended.sum()
    }

    /// What must hold between any two calls.
    pub(crate) fn check(&self, disk: &Disk, quota: Option<u64>, fails: bool) -> Result<(), String> {
        let stats = self.stats();
        if stats.received != self.received {
            return Err(format!("received {} and says {stats:?}", self.received));
        }
        if stats.received != stats.written + stats.waiting + stats.dropped.total() {
            return Err(format!("the account does not add up: {stats:?}"));
        }
        if self.announced() > stats.dropped.total() - stats.dropped.too_large {
            return Err(format!("{} losses announced of {stats:?}", self.announced()));
        }
        if self.is_stale || self.is_vague {
            return Ok(());
        }
        let there = disk.count(self.known.tag);
        if stats.written != there + stats.evicted_records {
            return Err(format!("{there} records are on the disk; {stats:?}"));
        }
        // One that was never opened counts only what it may delete.
        if stats.written > 0 && !fails && stats.used.get() < disk.blocks {
            return Err(format!("{} bytes are used; {stats:?}", disk.blocks));
        }
        if quota.is_some_and(|bound| stats.peak.get() > bound) {
            return Err(format!("the books passed {quota:?}: {stats:?}"));
        }
        Ok(())
    }
}
