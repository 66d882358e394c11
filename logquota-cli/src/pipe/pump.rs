//! From the input to the log: when to read, when to write, and where a segment must not end.
//!
//! Knows neither descriptors nor the appender, only [`Input`] and [`Sink`]; so the tests can
//! play any input and look at any segment. No clock: what waits, waits in [`Input::wait`].
//!
//! While more comes, blocks are filled and only whole records are written. When nothing more
//! has come, all complete lines are written, and the last of them may turn out to be the head of
//! a stack trace. So that its other lines find room in the same segment, such a line is not
//! written close to the end of one: the log rotates in front of it.

use std::io;
use std::time::Duration;

use super::block::{Block, Piece};

/// What is written at once while more comes. Larger blocks leave the processor's cache.
const BLOCK: usize = 256 << 10;

/// The memory for what has been read, and the longest line that is kept whole.
const MEMORY: usize = 1 << 20;

/// A block of so many reads is written though it is not full: somebody writes byte by byte.
const READS_MAX: usize = 128;

/// How long a rotation that was asked for waits for the end of a record, in which the log was
/// when it was asked.
const SETTLE: Duration = Duration::from_millis(50);

/// The same for an input that never pauses.
const SETTLE_BYTES: usize = 1 << 20;

/// What is kept free at the end of a segment for the rest of a record, at most, and the part
/// of a segment that this is for small ones.
const TAIL: u64 = 64 << 10;
const TAIL_PART: u64 = 8;

/// Where records come from.
pub(crate) trait Input {
    /// Waits for bytes or signals, until `patience` has passed if there is one.
    fn wait(&mut self, patience: Option<Duration>) -> Wake;
    /// Reads what is there; 0 at the end.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize>;
    /// How many bytes can be read now without waiting.
    fn waiting(&mut self) -> usize;
}

/// Where they go.
pub(crate) trait Sink {
    /// Writes all, or loses and counts what cannot be written.
    fn write(&mut self, piece: Piece<'_>);
    /// Begins another segment; `false` if that failed.
    fn switch(&mut self, how: Switch) -> bool;
    /// The length of the segment that is written to.
    fn len(&mut self) -> u64;
    /// Says what is due to be said. Wants to be called again after the time that it returns.
    fn tick(&mut self) -> Option<Duration>;
}

/// Why [`Input::wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There is something to read, or the end of it.
    Input,
    /// Nothing has come.
    Patience,
    /// Stop when what is there has been written.
    Stop,
    /// Begin another segment.
    Switch(Switch),
}

/// How another segment is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    /// The log becomes an archive, as somebody has asked.
    Rotate,
    /// The same, so that a record has room. If that fails it goes on as it is.
    MakeRoom,
    /// Somebody has renamed the log: another is opened under its name.
    Reopen,
}

/// What was asked for and has not been done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Due {
    reopen: bool,
    rotate: bool,
}

/// Copies the input to the sink.
pub(crate) struct Pump<I, S> {
    input: I,
    sink: S,
    block: Block,
    /// Reads since the last write.
    reads: usize,
    segment: Option<u64>,
    /// No segment is longer than this; it may be shorter.
    len_max: u64,
    /// To be done when a record begins.
    due: Due,
    /// What has been written since that was asked.
    waited: usize,
}

impl<I: Input, S: Sink> Pump<I, S> {
    /// `segment` is the length at which the log rotates, if that is by length.
    pub(crate) fn new(input: I, sink: S, segment: Option<u64>) -> Self {
        let block = Block::new(MEMORY, segment);
        let due = Due::default();
        Self { input, sink, block, reads: 0, segment, len_max: u64::MAX, due, waited: 0 }
    }

    /// What was written to.
    pub(crate) fn into_sink(self) -> S {
        self.sink
    }

    /// Goes on until the input ends or a signal says so; all that was read is with the sink then.
    ///
    /// # Errors
    ///
    /// If the input cannot be read.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        loop {
            let patience = if self.block.complete() > 0 {
                Some(Duration::ZERO)
            } else if self.due != Due::default() {
                Some(SETTLE)
            } else {
                self.sink.tick()
            };
            match self.input.wait(patience) {
                Wake::Input => match self.fill(BLOCK) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if is_nothing(&error) => self.pause(),
                    Err(error) => {
                        self.finish();
                        return Err(error);
                    }
                },
                Wake::Patience => self.pause(),
                Wake::Switch(how) => self.ask(how),
                Wake::Stop => {
                    self.drain();
                    break;
                }
            }
        }
        self.finish();
        Ok(())
    }

    /// Reads once, and writes if that makes a block.
    fn fill(&mut self, most: usize) -> io::Result<usize> {
        let room = BLOCK.saturating_sub(self.block.len());
        let room = if room == 0 { BLOCK } else { room };
        let read = self.input.read(self.block.room(room.min(most)))?;
        self.block.add(read);
        self.reads += 1;
        if self.reads >= READS_MAX {
            self.write_complete();
        } else if self.block.len() >= BLOCK {
            let len = self.block.records();
            self.write(len);
        }
        Ok(read)
    }

    /// Nothing more has come.
    fn pause(&mut self) {
        if self.block.complete() > 0 {
            self.write_complete();
        } else {
            self.switch_if_due();
        }
    }

    /// Writes what was there when the signal came; who writes without end does not stop us.
    fn drain(&mut self) {
        let mut left = self.input.waiting();
        while left > 0 {
            match self.fill(left) {
                Ok(read @ 1..) => left = left.saturating_sub(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
    }

    /// Writes the rest, the line without an end as well.
    fn finish(&mut self) {
        self.write(self.block.len());
        self.switch_if_due();
    }

    /// Writes all complete lines. The last record among them may not be at its end.
    fn write_complete(&mut self) {
        let len = self.block.complete();
        let Some(start) = self.too_late(len) else { return self.write(len) };
        self.write(start);
        self.switch(Switch::MakeRoom);
        self.write(len - start);
    }

    /// Where the last record begins in the first `len` bytes, if its rest might not fit into the
    /// segment.
    fn too_late(&mut self, len: usize) -> Option<usize> {
        let segment = self.segment?;
        let tail = TAIL.min(segment / TAIL_PART);
        // What has come may be half of it.
        let wanted = |open: usize| tail.max(2 * open as u64).min(segment);
        if self.len_max.saturating_add(len as u64 + wanted(len)) <= segment {
            return None;
        }
        self.len_max = self.sink.len();
        let start = self.block.last_start(len)?;
        let begin = self.len_max.saturating_add(start as u64);
        // If not even this fits, the sink begins another segment anyway, in front of a record.
        let fits = self.len_max.saturating_add(len as u64) <= segment;
        let is_late = segment.saturating_sub(begin) < wanted(len - start);
        (fits && is_late && begin > 0).then_some(start)
    }

    fn write(&mut self, len: usize) {
        let mut len = len;
        if self.due != Due::default() {
            if let Some(start) = self.block.first_start(len) {
                self.put(start);
                self.switch_if_due();
                len -= start;
            }
            self.waited += len;
            if self.waited >= SETTLE_BYTES {
                self.switch_if_due();
            }
        }
        self.put(len);
    }

    fn put(&mut self, len: usize) {
        if len > 0 {
            self.sink.write(self.block.piece(len));
            self.block.remove(len);
            self.len_max = self.len_max.saturating_add(len as u64);
            self.reads = 0;
        }
    }

    fn ask(&mut self, how: Switch) {
        match how {
            Switch::Reopen => self.due.reopen = true,
            Switch::Rotate | Switch::MakeRoom => self.due.rotate = true,
        }
        self.waited = 0;
    }

    fn switch_if_due(&mut self) {
        let due = std::mem::take(&mut self.due);
        if due.reopen {
            self.switch(Switch::Reopen);
        }
        if due.rotate {
            self.switch(Switch::Rotate);
        }
    }

    fn switch(&mut self, how: Switch) {
        // If it failed, a segment's worth of bytes goes by before this asks for it again.
        self.len_max = if self.sink.switch(how) { u64::MAX } else { 0 };
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests;
