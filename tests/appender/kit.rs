//! What the tests with a story share: a log on a disk, and a writer that counts.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, FixedOffset};
use logquota::appender::{Builder, Event, Fate, Stats};
use logquota::fs::sim::{SimDisk, SimFs, SimOp};
use logquota::{Appender, Bytes, Result};
use logquota_tests::clock::TwoHands;
use logquota_tests::records::{Id, record};

use crate::look::Disk;
use crate::setup::LOG;

pub(crate) struct Kit {
    pub(crate) fs: Arc<SimFs>,
    pub(crate) clock: Arc<TwoHands>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) next: u64,
}

pub(crate) fn at(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).expect("a time")
}

impl Kit {
    pub(crate) fn new() -> Self {
        Self::on(SimDisk::default())
    }

    pub(crate) fn on(disk: SimDisk) -> Self {
        let fs = SimFs::new(disk);
        fs.mkdir("/log").expect("a folder");
        Self::with(fs)
    }

    pub(crate) fn with(fs: SimFs) -> Self {
        let clock = TwoHands::new(at("2026-11-21T12:00:00+01:00"));
        fs.set_time(clock.seconds());
        Self { fs: Arc::new(fs), clock: Arc::new(clock), events: Arc::default(), next: 0 }
    }

    /// Segments of 8 KiB.
    pub(crate) fn builder(&self) -> Builder {
        let events = Arc::clone(&self.events);
        Appender::builder(LOG)
            .fs(Arc::clone(&self.fs) as _)
            .clock(Arc::clone(&self.clock) as _)
            .background(false)
            .rotate_at(Bytes::kib(8))
            .on_event(move |event| events.lock().expect("no panic").push(event.clone()))
    }

    pub(crate) fn pass(&self, seconds: u32) {
        self.clock.pass(seconds);
        self.fs.set_time(self.clock.seconds());
    }

    pub(crate) fn write(&mut self, log: &Appender, len: usize) -> Result<Fate> {
        let id = Id { writer: 0, number: self.next };
        self.next += 1;
        log.write_record(&record(id, len))
    }

    /// So many records of 100 bytes, each of which gets in.
    pub(crate) fn flood(&mut self, log: &Appender, count: u64) {
        for _ in 0..count {
            let fate = self.write(log, 100);
            assert!(matches!(fate, Ok(Fate::Accepted)), "{}: {fate:?}", self.next - 1);
        }
    }

    pub(crate) fn disk(&self) -> Disk {
        Disk::of(&self.fs, false).expect("whole records")
    }

    /// Asserts that the account is exact, and gives the records that are there.
    pub(crate) fn settle(&self, log: &Appender) -> (Vec<u64>, Stats) {
        log.maintain();
        let (disk, stats) = (self.disk(), log.stats());
        let numbers = disk.of_writer(0);
        let story = disk.story();
        let sum = stats.written + stats.waiting + stats.dropped.total();
        assert_eq!(stats.received, sum, "{stats:?}\n{story}");
        assert_eq!(stats.written, disk.count(0) + stats.evicted_records, "{stats:?}\n{story}");
        assert!(numbers.is_sorted_by(|a, b| a < b), "{story}");
        let empty = disk.files.iter().find(|file| file.len == 0 && file.name != "app.log");
        assert!(empty.is_none(), "an empty archive:\n{story}");
        assert_eq!(self.fs.exceeded(), None);
        (numbers, stats)
    }

    pub(crate) fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().expect("no panic").iter().filter(|event| is(event)).count()
    }

    /// How often each call was made since `from`.
    pub(crate) fn calls(&self, op: SimOp, from: u64) -> usize {
        self.fs.log().iter().filter(|call| call.index > from && call.op == op).count()
    }
}
