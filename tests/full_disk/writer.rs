//! Somebody who writes numbered records into a log and never closes it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::kit::PATIENCE;

/// What counts besides records at most: the blocks by which a file system keeps track of a log, or
/// a part of what it reserves for it.
const BESIDES: u64 = 256 << 10;

/// Bytes of a record.
pub(crate) const RECORD: usize = 200;

/// How long it waits for room before it tries again.
const NAP: Duration = Duration::from_millis(1);

/// So much is written at once at most while the disk is not full: what a machine does for a log
/// within seconds.
const SYNC_EVERY: u64 = (1 << 20) / RECORD as u64;

/// The log that it has open, and how far it is.
#[derive(Debug)]
pub(crate) struct Writer {
    log: File,
    /// Whole records that were taken.
    pub(crate) records: u64,
    /// Bytes of the next one that were taken.
    taken: usize,
}

impl Writer {
    pub(crate) fn new(path: &Path) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(path).expect("the log");
        Self { log, records: 0, taken: 0 }
    }

    /// Whether the next record was taken; not if the disk is full.
    fn write(&mut self) -> bool {
        let record = record(self.records);
        while let Some(left) = record.get(self.taken..).filter(|left| !left.is_empty()) {
            match self.log.write(left) {
                Ok(taken) => self.taken += taken,
                Err(error) if error.kind() == ErrorKind::StorageFull => return false,
                Err(error) => panic!("{error}"),
            }
        }
        (self.records, self.taken) = (self.records + 1, 0);
        true
    }

    /// Writes records while there is room.
    pub(crate) fn fill(&mut self, count: u64) {
        for number in 1..=count {
            assert!(self.write(), "no room for {count} records");
            if number % SYNC_EVERY == 0 || number == count {
                self.log.sync_all().expect("they are written");
            }
        }
    }

    /// Whether there is room for more than what is left of a block.
    pub(crate) fn has_room(&mut self) -> bool {
        (0..(1 << 20) / RECORD).all(|_| self.write())
    }

    /// Writes all records up to `end`, however long a full disk makes it wait.
    pub(crate) fn flood(&mut self, end: u64) {
        let mut since = Instant::now();
        while self.records < end {
            if self.write() {
                since = Instant::now();
            } else {
                assert!(since.elapsed() < PATIENCE, "no room since record {}", self.records);
                std::thread::sleep(NAP);
            }
        }
    }
}

fn record(number: u64) -> Vec<u8> {
    let mut bytes = format!("{number:012} ").into_bytes();
    bytes.extend((bytes.len()..RECORD - 1).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0)));
    bytes.push(b'\n');
    bytes
}

/// Fails unless a log is the newest of `records` records, each once and whole, in order, up to
/// the last; and if more is missing than was cut off, or than the quota made necessary.
#[track_caller]
pub(crate) fn assert_sequence(content: &[u8], records: u64, (cut, quota): (u64, u64), about: &str) {
    let gap = content.iter().take_while(|byte| **byte == 0).count();
    let content = &content[gap..];
    let (len, written) = (content.len() as u64, records * RECORD as u64);
    assert!(len + cut >= written, "{about}: {len} are there of {written}, {cut} were cut off");
    assert!(len <= quota, "{about}: {len} of {quota}");
    assert!(len + BESIDES >= written.min(quota), "{about}: only {len} of {quota} are there");
    // The cut went through the first one.
    let whole = &content[content.len() % RECORD..];
    let first = records - (whole.len() / RECORD) as u64;
    for (number, found) in (first..records).zip(whole.chunks(RECORD)) {
        let text = String::from_utf8_lossy(found);
        assert!(found == record(number), "{about}: record {number} is {text:?}");
    }
}
