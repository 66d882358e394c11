//! The appender on the simulated disk, without threads.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, TimeDelta};

use super::*;
use crate::clock::ManualClock;
use crate::codec;
use crate::fs::sim::{SimDisk, SimFs};
use crate::policy::Codec;
use crate::units::Bytes;

/// A disk, a clock, and a log on them.
struct World {
    fs: Arc<SimFs>,
    clock: Arc<ManualClock>,
}

fn noon() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-11-21T12:00:00+01:00").expect("a time")
}

impl World {
    fn new() -> Self {
        Self::on(SimDisk::default())
    }

    fn on(disk: SimDisk) -> Self {
        let fs = SimFs::new(disk);
        fs.mkdir("/log").expect("a folder");
        Self { fs: Arc::new(fs), clock: Arc::new(ManualClock::new(noon())) }
    }

    fn builder(&self) -> Builder {
        Appender::builder("/log/app.log")
            .fs(Arc::clone(&self.fs) as _)
            .clock(Arc::clone(&self.clock) as _)
            .background(false)
    }

    fn pass(&self, seconds: i64) {
        let now = crate::clock::Clock::now(&*self.clock) + TimeDelta::seconds(seconds);
        self.clock.set(now);
    }

    /// All that is in the log and its archives, in order, unpacked.
    fn content(&self) -> Vec<u8> {
        let mut archives: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (path, entry) in self.fs.snapshot() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let Some(number) = name.strip_prefix("app.log.") else { continue };
            let mut content = entry.content();
            if name.ends_with(".zst") {
                let packed = std::mem::take(&mut content);
                let mut reader = codec::decoder(Codec::Zstd, &packed[..]).expect("a decoder");
                reader.read_to_end(&mut content).expect("an archive");
            }
            archives.insert(number.to_owned(), content);
        }
        let mut all: Vec<u8> = archives.into_values().flatten().collect();
        all.extend(self.fs.content("/log/app.log").unwrap_or_default());
        all
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.content()).expect("text");
        text.lines().map(str::to_owned).collect()
    }
}

fn line(number: u64) -> String {
    format!("{number:08} {}\n", "x".repeat(usize::try_from(number % 90).expect("small")))
}

/// Our records on the disk, and that the account is right.
fn settle(world: &World, log: &Appender) -> Vec<u64> {
    let stats = log.stats();
    let lines = world.lines();
    let numbers: Vec<u64> = lines
        .iter()
        .filter(|line| !line.starts_with("logquota:"))
        .map(|line| line[..8].parse().expect("a whole line"))
        .collect();
    assert_eq!(stats.received, stats.written + stats.waiting + stats.dropped.total(), "{stats:?}");
    let there = u64::try_from(numbers.len()).expect("few");
    assert_eq!(stats.written, there + stats.evicted_records, "{stats:?}");
    assert!(numbers.is_sorted(), "out of order");
    numbers
}

#[test]
fn a_flood_never_passes_the_quota_and_the_newest_records_are_there() {
    for compress in [false, true] {
        let world = World::new();
        world.fs.assert_used_at_most(Bytes::kib(256));
        let mut builder = world.builder().quota(Bytes::kib(256)).rotate_at(Bytes::kib(16));
        if compress {
            builder = builder.compress(Codec::Zstd);
        }
        let log = builder.open().expect("a log");
        for number in 0..20_000 {
            let fate = log.write_record(line(number).as_bytes()).expect("room");
            assert_eq!(fate, Fate::Accepted);
        }
        let numbers = settle(&world, &log);
        assert_eq!(numbers.last(), Some(&19_999));
        assert_eq!(world.fs.exceeded(), None);
        let stats = log.close().expect("closed");
        assert!(stats.rotations > 50, "{stats:?}");
        assert!(!compress || stats.compressions > 20, "{stats:?}");
        assert!(stats.peak <= Bytes::kib(256), "{stats:?}");
        assert!(numbers.len() > if compress { 9_000 } else { 2_500 }, "{}", numbers.len());
    }
}

#[test]
fn a_new_day_begins_a_new_segment_once() {
    let world = World::new();
    let log = world.builder().rotate_every(Interval::Day).open().expect("a log");
    let write = |log: &Appender| {
        let fate = log.write_record(b"00000000 x\n").expect("room");
        assert_eq!(fate, Fate::Accepted);
    };
    write(&log);
    world.pass(12 * 3600);
    log.maintain();
    assert_eq!(log.stats().rotations, 1);
    write(&log);
    log.maintain();
    assert_eq!(log.stats().rotations, 1);
    log.close().expect("closed");
    // The next process of the same day goes on with the same segment.
    let log = world.builder().rotate_every(Interval::Day).open().expect("a log");
    write(&log);
    log.maintain();
    assert_eq!(log.stats().rotations, 0);
}

#[test]
fn a_buffered_flood_is_whole_when_it_is_closed() {
    let world = World::new();
    let delivery = Delivery::Buffered { bytes: Bytes::kib(4), interval: std::time::Duration::MAX };
    let builder = world.builder().quota(Bytes::kib(512)).rotate_at(Bytes::kib(50));
    let log = builder.delivery(delivery).open().expect("a log");
    for number in 0..20_000 {
        let fate = log.write_record(line(number).as_bytes()).expect("room");
        assert_eq!(fate, Fate::Accepted);
    }
    let stats = log.close().expect("closed");
    assert_eq!((stats.waiting, stats.received), (0, 20_000));
    let numbers = settle(&world, &log);
    assert_eq!(numbers.last(), Some(&19_999));
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no gaps");
}
