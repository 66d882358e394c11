//! What has been read and not been written yet, and which part of it may be written now.
//!
//! Pure: no input and no output. One piece of memory of a fixed size, so that a line or a
//! record that does not end cannot take more. As long as there is more to read, the last record
//! is held back, because only the next one shows that it is at its end; when nothing more has
//! come, all complete lines are given away.

use logquota::appender::Records;
use memchr::{memchr_iter, memrchr};

use super::lines::{Before, after, first_start, last_start};

/// What was read and is not written.
#[derive(Debug)]
pub(crate) struct Block {
    memory: Vec<u8>,
    filled: usize,
    /// The end of the last complete line.
    lines: usize,
    /// What was given away before the first byte.
    before: Before,
    /// Up to here no record begins, but for the first byte.
    searched: usize,
    /// A piece that fills so much of a segment is too large for any.
    large: usize,
}

impl Block {
    /// Memory for `capacity` bytes, which is also the longest line. `segment` is the length at
    /// which the log rotates, if that is by length.
    pub(crate) fn new(capacity: usize, segment: Option<u64>) -> Self {
        let segment = segment.and_then(|len| usize::try_from(len).ok());
        Self {
            memory: vec![0; capacity],
            filled: 0,
            lines: 0,
            before: Before::Nothing,
            searched: 0,
            // The rest is for what the appender may put into a segment for itself.
            large: segment.map_or(usize::MAX, |len| len - len / 16),
        }
    }

    /// Room for what is read next, `most` bytes of it; empty only if the memory is full.
    pub(crate) fn room(&mut self, most: usize) -> &mut [u8] {
        let free = self.memory.get_mut(self.filled..).unwrap_or_default();
        let most = most.min(free.len());
        free.get_mut(..most).unwrap_or_default()
    }

    /// So many bytes of [`room`](Self::room) have been filled.
    pub(crate) fn add(&mut self, bytes: usize) {
        let begin = self.filled;
        self.filled = begin.saturating_add(bytes).min(self.memory.len());
        let new = self.memory.get(begin..self.filled).unwrap_or_default();
        if let Some(newline) = memrchr(b'\n', new) {
            self.lines = begin + newline + 1;
        }
    }

    /// How much is held.
    pub(crate) const fn len(&self) -> usize {
        self.filled
    }

    /// Whether nothing more can be read before something is written.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.memory.len()
    }

    /// The part that may be written while more is coming: whole records. If the memory is full,
    /// whole lines, and of a line that fills it alone, all of it.
    pub(crate) fn records(&mut self) -> usize {
        let lines = self.memory.get(..self.lines).unwrap_or_default();
        let found = last_start(lines, self.before, self.searched);
        self.searched = self.lines;
        match found {
            Some(start) if start > 0 => start,
            _ if self.is_full() => self.complete(),
            _ => 0,
        }
    }

    /// The part that may be written when nothing more has come: whole lines.
    pub(crate) fn complete(&self) -> usize {
        if self.lines == 0 && self.is_full() { self.filled } else { self.lines }
    }

    /// Where the first record begins in the first `len` bytes, if not with the first of them.
    pub(crate) fn first_start(&self, len: usize) -> Option<usize> {
        first_start(self.memory.get(..len)?, self.before)
    }

    /// Where the last record begins in the first `len` bytes.
    pub(crate) fn last_start(&self, len: usize) -> Option<usize> {
        last_start(self.memory.get(..len)?, self.before, 0)
    }

    /// The first `len` bytes, to be written.
    pub(crate) fn piece(&self, len: usize) -> Piece<'_> {
        let bytes = self.memory.get(..len).unwrap_or_default();
        Piece { bytes, before: self.before, large: self.large }
    }

    /// The first `len` bytes have been written, or are lost: what is behind them moves up.
    pub(crate) fn remove(&mut self, len: usize) {
        let len = len.min(self.filled);
        let gone = self.memory.get(..len).unwrap_or_default();
        self.before = match gone.last() {
            None => self.before,
            Some(b'\n') => after(gone, self.before),
            Some(_) => Before::HalfLine,
        };
        self.memory.copy_within(len..self.filled, 0);
        self.filled -= len;
        self.lines = self.lines.saturating_sub(len);
        self.searched = 0;
    }
}

/// Whole lines in one piece, to be cut where a segment ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    bytes: &'a [u8],
    before: Before,
    large: usize,
}

impl Records for Piece<'_> {
    fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The last place at or before `at` where a segment may end: in front of a record. Only
    /// inside of a record that is already in two segments, or larger than one, it is behind a
    /// line; and only inside of such a line it is anywhere, but not in a character.
    fn end_before(&self, at: usize) -> usize {
        let Some(head) = self.bytes.get(..at).filter(|head| head.len() < self.bytes.len()) else {
            return self.bytes.len();
        };
        // A record may begin exactly at `at`: that is told by the line there.
        let line = self.bytes.get(at..).map_or(0, line_len);
        let begun = self.bytes.get(..at.saturating_add(line)).unwrap_or_default();
        let start = last_start(begun, self.before, 0);
        let (start, is_start) = start.map_or((0, false), |start| (start, true));
        if start == at || is_start && at - start < self.large {
            return start;
        }
        let body = head.get(start..).unwrap_or_default();
        let line = memrchr(b'\n', body).map_or(start, |newline| start + newline + 1);
        if at - line < self.large { line } else { at - part_of_character(body) }
    }

    /// The next place behind `at` where a segment may end if one begins at `at`.
    fn end_after(&self, at: usize) -> usize {
        let len = self.bytes.len();
        let rest = self.bytes.get(at..).unwrap_or_default();
        // The line at `at` begins the piece that is asked for, whatever it is.
        let line = line_len(rest);
        let below = rest.get(line..).unwrap_or_default();
        let above = self.bytes.get(..at.saturating_add(line)).unwrap_or_default();
        let next = first_start(below, after(above, self.before));
        let end = next.map_or(len, |start| at.saturating_add(line).saturating_add(start));
        if end.saturating_sub(at) <= self.large {
            return end;
        }
        let most = rest.get(..self.large).unwrap_or(rest);
        at + match memrchr(b'\n', most) {
            Some(newline) => newline + 1,
            None => most.len() - part_of_character(most),
        }
    }

    /// The lines in `from..to`; the last one may have no end.
    fn count(&self, from: usize, to: usize) -> u64 {
        let part = self.bytes.get(from..to).unwrap_or_default();
        let is_open = to == self.bytes.len() && part.last().is_some_and(|last| *last != b'\n');
        memchr_iter(b'\n', part).count() as u64 + u64::from(is_open)
    }
}

fn line_len(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1)
}

/// How many bytes at the end begin a character of UTF-8 that is not complete.
fn part_of_character(bytes: &[u8]) -> usize {
    for (n, byte) in bytes.iter().rev().take(4).enumerate() {
        let len = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 0,
        };
        return if len > n + 1 { n + 1 } else { 0 };
    }
    0
}
