//! Pieces of a stream: blocks that may begin and end within a record, and lines of our own.

use super::env::Env;
use super::event::{Cause, Event, Fate};
use super::failure::Failure;
use super::log::{Log, Loss, RIVALS, as_u64};
use crate::error::Result;

/// A part of a buffered writer's stream.
pub(super) struct Block<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) ends: u64,
    pub(super) carry: usize,
    pub(super) head: u64,
    /// Where the records end that end in it.
    pub(super) whole: &'a dyn Whole,
}

/// Which records are whole in the first bytes of a block; asked when not all of it was written.
pub(super) trait Whole {
    /// How many end at or before `at`, and where the last of them does.
    fn before(&self, at: usize) -> (u64, usize);
}

impl Log {
    /// Writes the line about what was lost in front of the log.
    pub(super) fn tell_loss(&mut self, env: &Env, loss: Loss) {
        let Loss { records, bytes, since, cause } = loss;
        let line = super::note::loss_line(&loss);
        self.begin_turn(env);
        let written =
            self.place_block(env, line.len()).and_then(|()| self.append(env, line.as_bytes()));
        self.end_turn();
        if written.is_ok() {
            env.tell(Event::LossEnded { records, bytes, since, cause });
        } else {
            // The log has its own trouble, and tells of both.
            let sum = self.loss.get_or_insert(Loss { records: 0, bytes: 0, since, cause });
            sum.records = sum.records.saturating_add(records);
            sum.bytes = sum.bytes.saturating_add(bytes);
        }
    }

    /// Writes a block of a buffered writer: `ends` records end in it, the first `carry` bytes
    /// belong to a record that began in the block before, and the last `head` bytes to one
    /// that goes on in the next.
    pub(super) fn put_block(&mut self, env: &Env, block: &Block<'_>) -> Result<Fate> {
        let mut bytes = block.bytes;
        let mut ends = block.ends;
        let mut fate = Ok(Fate::Accepted);
        if std::mem::take(&mut self.lost_head) && block.carry > 0 {
            // The record was counted as lost with its head.
            self.counts.dropped_bytes =
                self.counts.dropped_bytes.saturating_add(as_u64(block.carry));
            bytes = bytes.get(block.carry..).unwrap_or_default();
            ends = ends.saturating_sub(1);
        }
        let before = self.head;
        let result = if bytes.is_empty() { Ok(()) } else { self.append_block(env, bytes) };
        match result {
            Ok(()) => {
                let whole = as_u64(bytes.len()).saturating_add(before).saturating_sub(block.head);
                self.wrote(ends, whole);
                self.head = block.head;
            }
            Err(failure) => {
                let kept = self.keep_ends(block, bytes.len(), failure.kept);
                if kept.0 == 0 {
                    // With the head that an earlier block has written.
                    let _ = self.take_back(before);
                }
                self.head = 0;
                self.lost_head = block.head > 0;
                let records = ends.saturating_sub(kept.0).saturating_add(u64::from(block.head > 0));
                let bytes = as_u64(bytes.len()).saturating_add(before).saturating_sub(kept.1);
                fate = self.lose(env, records, bytes, failure);
            }
        }
        fate
    }

    /// Counts as written what is whole in the first `kept` of the block's last `len` bytes, which
    /// could not be taken back; says how many records, and bytes with an earlier block's head.
    fn keep_ends(&mut self, block: &Block<'_>, len: usize, kept: u64) -> (u64, u64) {
        if kept == 0 {
            return (0, 0);
        }
        let skipped = block.bytes.len().saturating_sub(len);
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        let (records, end) = block.whole.before(skipped.saturating_add(kept));
        // The one that was lost with its head ends in what was skipped.
        let records = records.saturating_sub(u64::from(skipped > 0));
        if records == 0 {
            return (0, 0);
        }
        let bytes = as_u64(end.saturating_sub(skipped)).saturating_add(self.head);
        self.wrote(records, bytes);
        (records, bytes)
    }

    fn append_block(&mut self, env: &Env, bytes: &[u8]) -> std::result::Result<(), Failure> {
        self.begin_turn(env);
        let result =
            self.place_block(env, bytes.len()).and_then(|()| self.append_announced(env, bytes));
        if result.is_err() {
            self.shrink(env);
        }
        self.end_turn();
        result
    }

    /// A block was admitted to its segment when it was filled; that may have gone meanwhile.
    pub(super) fn place_block(
        &mut self,
        env: &Env,
        len: usize,
    ) -> std::result::Result<(), Failure> {
        for _ in 0..RIVALS {
            if self.segment.is_none() {
                self.open(env)?;
            }
            let prefix = self.prefix().len();
            let len = len.saturating_add(prefix);
            let Some(segment) = &self.segment else { continue };
            if segment.len.saturating_add(as_u64(len)) <= segment.limit {
                return Ok(());
            }
            if segment.len > 0 {
                self.rotate(env, as_u64(len))?;
            } else {
                self.enlarge(env, as_u64(len))?;
            }
        }
        Err(Failure::because(Cause::Unavailable))
    }
}
