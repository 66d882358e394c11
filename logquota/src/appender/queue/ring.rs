//! The memory of the queue: records one behind the other, as a stream of bytes over segments
//! of equal size, and the length of each. It knows no threads, and what becomes of a full
//! queue is decided by [`Queue`](super::Queue).
//!
//! Segments and not one ring of bytes: the consumer borrows a segment by moving it out, and
//! copies from it while producers fill the others. A record may lie in several; so the room
//! is what was asked for, to the byte.

use std::collections::{TryReserveError, VecDeque};
use std::mem;

/// The longest segment; also the most that is lent at a time. Copying this much takes a few
/// microseconds.
const SEGMENT_MAX: usize = 64 << 10;

/// The shortest segment, for tiny queues.
const SEGMENT_MIN: usize = 64;

/// Segments that a queue is cut into, unless they would be too long or too short. What it
/// takes beyond the bytes asked for is `SPARE` of them, and there is no need for fewer.
const SEGMENTS: usize = 32;

/// Segments beyond those that the bytes fill: the first may be half read, the last half full,
/// and two may be lent.
const SPARE: usize = 4;

/// Records that are lent at a time; each is looked at with the queue locked.
const LENT_MAX: usize = 1_024;

#[derive(Debug)]
pub(super) struct Ring {
    /// Of every record, oldest first.
    lengths: VecDeque<u32>,
    /// Segments that are not written to any more, oldest first.
    full: VecDeque<Vec<u8>>,
    /// The segment that is written to.
    tail: Vec<u8>,
    /// Empty ones. The last used is used next: it is still in the cache, and memory that was
    /// never needed is never touched.
    spare: Vec<Vec<u8>>,
    /// How much of the first segment is gone.
    head: usize,
    /// The length of the first of `full`, if it is lent: an empty one is in its place.
    lent: Option<usize>,
    bytes: usize,
    records_max: usize,
    bytes_max: usize,
    segment: usize,
}

/// Records that left the ring, in memory that is the ring's.
#[derive(Debug, Default)]
pub(super) struct Loan {
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// What is lent is never longer than a segment, so it lies in two at most.
    pieces: [Piece; 2],
}

#[derive(Debug, Default)]
struct Piece {
    segment: Vec<u8>,
    from: usize,
    to: usize,
    /// More of it is still in the ring.
    is_shared: bool,
}

impl Loan {
    /// Appends the records to `out`.
    pub(super) fn copy_to(&self, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            out.extend_from_slice(piece.segment.get(piece.from..piece.to).unwrap_or_default());
        }
    }
}

impl Ring {
    /// Room for `records` records of `bytes` bytes together, all of it allocated.
    pub(super) fn new(records: usize, bytes: usize) -> Result<Self, TryReserveError> {
        let segment = (bytes / SEGMENTS).clamp(SEGMENT_MIN, SEGMENT_MAX);
        let segments = bytes.div_ceil(segment).saturating_add(SPARE);
        let mut ring = Self {
            lengths: VecDeque::new(),
            full: VecDeque::new(),
            tail: new_segment(segment)?,
            spare: Vec::new(),
            head: 0,
            lent: None,
            bytes: 0,
            records_max: records,
            bytes_max: bytes,
            segment,
        };
        ring.lengths.try_reserve_exact(records)?;
        ring.full.try_reserve_exact(segments)?;
        ring.spare.try_reserve_exact(segments)?;
        for _ in 1..segments {
            ring.spare.push(new_segment(segment)?);
        }
        Ok(ring)
    }

    pub(super) fn records(&self) -> usize {
        self.lengths.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    pub(super) fn has_record_free(&self) -> bool {
        self.lengths.len() < self.records_max
    }

    /// Whether a record of `len` bytes can be pushed now.
    pub(super) fn fits(&self, len: usize) -> bool {
        self.has_record_free() && len <= self.bytes_max - self.bytes
    }

    pub(super) fn is_half_free(&self) -> bool {
        self.bytes <= self.bytes_max / 2 && self.lengths.len() <= self.records_max / 2
    }

    /// Takes a record that fits.
    pub(super) fn push(&mut self, record: &[u8]) {
        debug_assert!(self.fits(record.len()), "a record that does not fit");
        self.lengths.push_back(u32::try_from(record.len()).unwrap_or(u32::MAX));
        self.bytes += record.len();
        let mut rest = record;
        loop {
            let room = self.segment.saturating_sub(self.tail.len());
            let Some((now, later)) = rest.split_at_checked(room) else { break };
            self.tail.extend_from_slice(now);
            if later.is_empty() {
                return;
            }
            self.seal();
            rest = later;
        }
        self.tail.extend_from_slice(rest);
    }

    /// Forgets the oldest record, and says how long it was.
    pub(super) fn drop_oldest(&mut self) -> Option<usize> {
        let len = self.lengths.pop_front()? as usize;
        self.bytes -= len;
        self.skip(len);
        Some(len)
    }

    /// Takes the oldest records out, as many as are at most `most` bytes; if `at_least_one`,
    /// the oldest even if it is longer. Their lengths are appended to `lengths`. A record
    /// longer than a segment is appended to `out` at once, everything else is lent.
    ///
    /// What was lent before has to be back.
    pub(super) fn lend(
        &mut self,
        most: usize,
        at_least_one: bool,
        lengths: &mut Vec<u32>,
        out: &mut Vec<u8>,
    ) -> Loan {
        debug_assert!(self.lent.is_none(), "one consumer, one loan");
        let mut loan = Loan::default();
        let limit = most.min(self.segment);
        for len in self.lengths.iter().take(LENT_MAX).map(|len| *len as usize) {
            let goes_first = loan.records == 0 && (at_least_one || len <= most);
            if len > limit.saturating_sub(loan.bytes) && !goes_first {
                break;
            }
            loan.records += 1;
            loan.bytes += len;
        }
        lengths.extend(self.lengths.drain(..loan.records));
        self.bytes -= loan.bytes;
        if loan.bytes > self.segment {
            self.copy_out(loan.bytes, out);
            return loan;
        }
        let mut owed = loan.bytes;
        for piece in &mut loan.pieces {
            if owed > 0 {
                *piece = self.detach(owed);
                owed -= piece.to - piece.from;
            }
        }
        debug_assert_eq!(owed, 0, "a loan of {} bytes lies in two segments", loan.bytes);
        loan
    }

    /// Takes back the memory of what was lent.
    pub(super) fn give_back(&mut self, loan: Loan) {
        for piece in loan.pieces {
            if piece.is_shared
                && self.lent.take().is_some()
                && let Some(front) = self.full.front_mut()
            {
                *front = piece.segment;
            } else if piece.segment.capacity() > 0 {
                self.recycle(piece.segment);
            }
        }
    }

    /// The first segment, of which at most `most` bytes are wanted.
    fn detach(&mut self, most: usize) -> Piece {
        if self.full.is_empty() {
            self.seal();
        }
        let Some(front) = self.full.front_mut() else { return Piece::default() };
        let segment = mem::take(front);
        let from = self.head;
        let to = segment.len().min(from + most);
        let is_shared = to < segment.len();
        if is_shared {
            self.lent = Some(segment.len());
            self.head = to;
        } else {
            self.full.pop_front();
            self.head = 0;
        }
        Piece { segment, from, to, is_shared }
    }

    fn copy_out(&mut self, bytes: usize, out: &mut Vec<u8>) {
        let mut owed = bytes;
        while owed > 0 {
            let rest = self.full.front().unwrap_or(&self.tail).get(self.head..).unwrap_or_default();
            let part = rest.get(..owed).unwrap_or(rest);
            let len = part.len();
            out.extend_from_slice(part);
            self.skip(len);
            debug_assert!(len > 0, "fewer bytes than the lengths say");
            if len == 0 {
                return;
            }
            owed -= len;
        }
    }

    /// Moves on by `bytes`.
    fn skip(&mut self, bytes: usize) {
        let mut owed = bytes;
        loop {
            let len = self.lent.unwrap_or(self.full.front().unwrap_or(&self.tail).len());
            let rest = len.saturating_sub(self.head);
            if owed < rest {
                self.head += owed;
                return;
            }
            owed -= rest;
            self.head = 0;
            match self.full.pop_front() {
                // It comes back with the loan, and not to here.
                Some(_) if self.lent.take().is_some() => {}
                Some(segment) => self.recycle(segment),
                None => {
                    debug_assert_eq!(owed, 0, "fewer bytes than the lengths say");
                    self.tail.clear();
                    return;
                }
            }
        }
    }

    /// Begins another segment.
    fn seal(&mut self) {
        let spare = self.spare.pop();
        debug_assert!(spare.is_some(), "a segment too few");
        let next = spare.unwrap_or_else(|| Vec::with_capacity(self.segment));
        self.full.push_back(mem::replace(&mut self.tail, next));
    }

    fn recycle(&mut self, mut segment: Vec<u8>) {
        debug_assert!(segment.capacity() >= self.segment, "not one of the segments");
        segment.clear();
        self.spare.push(segment);
    }
}

fn new_segment(len: usize) -> Result<Vec<u8>, TryReserveError> {
    let mut segment = Vec::new();
    segment.try_reserve_exact(len)?;
    Ok(segment)
}
