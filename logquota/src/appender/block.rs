//! The block of a buffered writer: filled by callers, cut where the file wants it.

use super::builder::OnFull;
use super::env::Env;
use super::event::Fate;
use super::log::{Failure, Log, as_u64};
use super::pieces;
use crate::error::Result;

/// The smallest and largest block; powers of two, so that all boundaries of a larger one are
/// boundaries of a smaller one.
const BLOCK: std::ops::RangeInclusive<usize> = 4096..=4 << 20;

/// What has been accepted and not been written.
pub(super) struct Block {
    bytes: Vec<u8>,
    size: usize,
    /// How long the block is when it ends at a boundary of the file.
    until: usize,
    /// Bytes that the segment takes, from the block's beginning.
    left: u64,
    /// Records that end in the block.
    ends: u64,
    /// Bytes at its beginning that end a record of the block before.
    carry: usize,
    pub(super) is_closed: bool,
    pub(super) received: u64,
    pub(super) received_bytes: u64,
}

impl Block {
    pub(super) fn new(size: u64) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let size = size.clamp(*BLOCK.start(), *BLOCK.end()).next_power_of_two();
        Self {
            bytes: Vec::with_capacity(size),
            size,
            until: 0,
            left: 0,
            ends: 0,
            carry: 0,
            is_closed: false,
            received: 0,
            received_bytes: 0,
        }
    }

    pub(super) const fn received(&mut self, records: u64, bytes: usize) {
        self.received = self.received.saturating_add(records);
        self.received_bytes = self.received_bytes.saturating_add(bytes as u64);
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Records that wait.
    pub(super) const fn waiting(&self) -> u64 {
        self.ends
    }

    /// The way of almost every record: there is room.
    #[inline]
    pub(super) fn try_push(&mut self, record: &[u8]) -> bool {
        let end = self.bytes.len().saturating_add(record.len());
        if end >= self.until || as_u64(end) > self.left {
            return false;
        }
        self.bytes.extend_from_slice(record);
        self.ends = self.ends.saturating_add(1);
        true
    }

    /// Whether the segment takes the record, though the block does not.
    pub(super) fn may_cut(&self, len: usize) -> bool {
        let end = self.bytes.len().saturating_add(len);
        self.until > 0 && len <= self.size && end >= self.until && as_u64(end) <= self.left
    }

    /// Puts the full block, with the beginning of `record`, in `full`, and begins the next one
    /// with the rest, as far as that fits into one block; says how long `full`'s head and carry
    /// are.
    pub(super) fn cut(&mut self, record: &[u8], full: &mut Vec<u8>) -> Cut {
        let room = self.until.saturating_sub(self.bytes.len()).min(record.len());
        let (first, rest) = record.split_at_checked(room).unwrap_or((record, &[]));
        self.bytes.extend_from_slice(first);
        let head = if rest.is_empty() { 0 } else { as_u64(first.len()) };
        let ends = self.ends.saturating_add(u64::from(rest.is_empty()));
        let cut = Cut { ends, carry: self.carry, head };
        self.left = self.left.saturating_sub(as_u64(self.bytes.len()));
        std::mem::swap(&mut self.bytes, full);
        self.bytes.clear();
        self.bytes.extend_from_slice(rest);
        self.until = self.size;
        self.carry = rest.len();
        self.ends = u64::from(!rest.is_empty());
        cut
    }

    /// The block as it is, which ends with a record.
    pub(super) fn take(&mut self, full: &mut Vec<u8>) -> Cut {
        std::mem::swap(&mut self.bytes, full);
        self.bytes.clear();
        let cut = Cut { ends: self.ends, carry: self.carry, head: 0 };
        (self.ends, self.carry, self.until, self.left) = (0, 0, 0, 0);
        cut
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Begins anew behind what the log has by now.
    pub(super) fn align(&mut self, log: &Log) {
        debug_assert!(self.bytes.is_empty(), "only between two blocks");
        let Some(segment) = log.segment.as_ref().filter(|segment| {
            // With others, or while records are lost, each record is written by itself.
            !segment.is_shared && !segment.is_ragged && log.loss.is_none()
        }) else {
            (self.until, self.left) = (0, 0);
            return;
        };
        let size = as_u64(self.size);
        let over = segment.len % size.max(1);
        self.until = usize::try_from(size.saturating_sub(over)).unwrap_or(self.size);
        self.left = segment.limit.saturating_sub(segment.len);
    }
}

/// Where a block was cut.
pub(super) struct Cut {
    ends: u64,
    carry: usize,
    head: u64,
}

impl Log {
    /// Writes what [`Block::cut`] or [`Block::take`] gave, which is in `spare`.
    pub(super) fn put_cut(&mut self, env: &Env, cut: &Cut) -> Result<Fate> {
        let bytes = std::mem::take(&mut self.spare);
        let fate = if bytes.is_empty() {
            Ok(Fate::Accepted)
        } else {
            let Cut { ends, carry, head } = *cut;
            self.put_block(env, &pieces::Block { bytes: &bytes, ends, carry, head })
        };
        self.spare = bytes;
        self.spare.clear();
        fate
    }

    /// An error that a policy of dropping would not give.
    pub(super) fn answer(env: &Env, failure: Failure) -> Result<Fate> {
        match env.on_full {
            OnFull::DropNewest => Ok(Fate::Dropped(failure.cause)),
            _ => Err(crate::error::Error::Lost {
                path: env.path.clone(),
                cause: failure.cause,
                source: failure.error.map(Box::new),
            }),
        }
    }
}
