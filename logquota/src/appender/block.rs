//! The block of a buffered writer: filled by callers, cut where the file wants it.

use super::builder::OnFull;
use super::env::Env;
use super::event::Fate;
use super::failure::Failure;
use super::log::{Log, as_u64};
use super::pieces;
use crate::error::Result;

/// The smallest and largest block; powers of two, so that all boundaries of a larger one are
/// boundaries of a smaller one.
const BLOCK: std::ops::RangeInclusive<usize> = 4096..=4 << 20;

/// A buffer, and where records end in it: a bit for each byte.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

impl Buffer {
    /// Room for so many.
    pub(super) fn of(size: usize) -> Self {
        Self { bytes: Vec::with_capacity(size), ends: vec![0; size.div_ceil(64)] }
    }

    fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.end();
    }

    /// A record ends here.
    fn end(&mut self) {
        let last = self.bytes.len().saturating_sub(1);
        if let Some(bits) = self.ends.get_mut(last / 64) {
            *bits |= 1 << (last % 64);
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.fill(0);
    }
}

impl pieces::Whole for Buffer {
    fn before(&self, at: usize) -> (u64, usize) {
        let at = at.min(self.bytes.len());
        let mut found = (0, 0);
        for (index, bits) in self.ends.iter().take(at.div_ceil(64)).enumerate() {
            let from = index.saturating_mul(64);
            let here = at.saturating_sub(from).min(64);
            let bits = bits & (u64::MAX >> 64usize.saturating_sub(here).min(63));
            if bits != 0 {
                let last = usize::try_from(bits.ilog2()).unwrap_or(0);
                found = (found.0 + u64::from(bits.count_ones()), from + last + 1);
            }
        }
        found
    }
}

/// What has been accepted and not been written.
pub(super) struct Block {
    buffer: Buffer,
    size: usize,
    /// How long the block is when it ends at a boundary of the file.
    until: usize,
    /// Buffer that the segment takes, from the block's beginning.
    left: u64,
    /// Records that end in the block.
    ends: u64,
    /// Buffer at its beginning that end a record of the block before.
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
            buffer: Buffer::of(size),
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
        let end = self.buffer.bytes.len().saturating_add(record.len());
        if end >= self.until || as_u64(end) > self.left {
            return false;
        }
        self.buffer.push(record);
        self.ends = self.ends.saturating_add(1);
        true
    }

    /// Whether the segment takes the record, though the block does not.
    pub(super) fn may_cut(&self, len: usize) -> bool {
        let end = self.buffer.bytes.len().saturating_add(len);
        self.until > 0 && len <= self.size && end >= self.until && as_u64(end) <= self.left
    }

    /// Puts the full block, with the beginning of `record`, in `full`, and begins the next one
    /// with the rest, as far as that fits into one block; says how long `full`'s head and carry
    /// are.
    pub(super) fn cut(&mut self, record: &[u8], full: &mut Buffer) -> Cut {
        let room = self.until.saturating_sub(self.buffer.bytes.len()).min(record.len());
        let (first, rest) = record.split_at_checked(room).unwrap_or((record, &[]));
        self.buffer.bytes.extend_from_slice(first);
        if rest.is_empty() {
            self.buffer.end();
        }
        let head = if rest.is_empty() { 0 } else { as_u64(first.len()) };
        let ends = self.ends.saturating_add(u64::from(rest.is_empty()));
        let cut = Cut { ends, carry: self.carry, head };
        self.left = self.left.saturating_sub(as_u64(self.buffer.bytes.len()));
        std::mem::swap(&mut self.buffer, full);
        self.buffer.clear();
        if !rest.is_empty() {
            self.buffer.push(rest);
        }
        self.until = self.size;
        self.carry = rest.len();
        self.ends = u64::from(!rest.is_empty());
        cut
    }

    /// The block as it is, which ends with a record.
    pub(super) fn take(&mut self, full: &mut Buffer) -> Cut {
        std::mem::swap(&mut self.buffer, full);
        self.buffer.clear();
        let cut = Cut { ends: self.ends, carry: self.carry, head: 0 };
        (self.ends, self.carry, self.until, self.left) = (0, 0, 0, 0);
        cut
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffer.bytes.is_empty()
    }

    /// Begins anew behind what the log has by now.
    pub(super) fn align(&mut self, log: &Log) {
        debug_assert!(self.is_empty(), "only between two blocks");
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
        let full = std::mem::take(&mut self.spare);
        let fate = if full.bytes.is_empty() {
            Ok(Fate::Accepted)
        } else {
            let Cut { ends, carry, head } = *cut;
            let bytes = &full.bytes;
            self.put_block(env, &pieces::Block { bytes, ends, carry, head, whole: &full })
        };
        self.spare = full;
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

#[cfg(test)]
mod tests {
    use super::pieces::Whole as _;
    use super::*;

    #[test]
    fn a_buffer_knows_which_records_are_whole_in_its_first_bytes() {
        let mut bytes = Buffer::of(4096);
        let lens = [1usize, 62, 1, 1, 63, 64, 500, 2];
        for len in lens {
            bytes.push(&vec![b'x'; len]);
        }
        let ends: Vec<usize> = lens
            .iter()
            .scan(0, |end, len| {
                *end += len;
                Some(*end)
            })
            .collect();
        for at in 0..=800 {
            let whole: Vec<_> = ends.iter().filter(|end| **end <= at).collect();
            let expected = (whole.len() as u64, whole.last().map_or(0, |end| **end));
            assert_eq!(bytes.before(at), expected, "{at}");
        }
        bytes.clear();
        assert_eq!(bytes.before(4096), (0, 0));
    }
}
