//! Clocks that jump, and days that are not 24 hours long.

use std::collections::BTreeSet;

use chrono::{DateTime, FixedOffset, TimeDelta};
use logquota::appender::Event;
use logquota::fs::sim::Content;
use logquota::{Age, Bytes, Codec, Interval};

use crate::kit::{Kit, at};

const DAY: u32 = 86_400;

#[test]
fn h58_odd_times_of_archives_neither_stop_the_upkeep_nor_choose_the_victim() {
    let mut kit = Kit::new();
    let now = kit.clock.seconds();
    let times = [now + 40 * i64::from(DAY), 0, -1, -2_082_844_800, now];
    for (number, mtime) in (1..).zip(times) {
        let name = format!("/log/app.log.{number:010}-20261121T110000Z");
        kit.fs.put(name, Content::Fill(b'\n', 8192), mtime).expect("an archive");
    }
    let log = kit.builder().quota(Bytes::kib(64)).open().expect("a log");
    kit.flood(&log, 500);
    // Seven segments fit: the oldest by number went first, whatever their times say.
    let (numbers, _) = kit.settle(&log);
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "gaps: {numbers:?}");
    let disk = kit.disk();
    let names: Vec<&str> = disk.files.iter().map(|file| file.name.as_str()).collect();
    assert!(!names.iter().any(|name| name.contains(".0000000001-")), "{names:?}");
    assert_eq!(numbers.last(), Some(&499));
}

#[test]
fn h59_a_clock_ten_years_ahead_deletes_nothing_for_its_age_for_a_day() {
    let mut kit = Kit::new();
    let builder = kit.builder().keep_for(Age::days(14)).rotate_every(Interval::Day);
    let log = builder.open().expect("a log");
    kit.flood(&log, 1000);
    let before = kit.settle(&log).0.len();
    kit.clock.jump(10 * 366 * i64::from(DAY));
    kit.fs.set_time(kit.clock.seconds());
    for _ in 0..20 {
        kit.pass(3600);
        kit.flood(&log, 1);
    }
    let (numbers, stats) = kit.settle(&log);
    assert_eq!((numbers.len(), stats.evicted_records), (before + 20, 0), "{stats:?}");
    assert!(kit.count(|event| matches!(event, Event::ClockJumped { .. })) >= 1);
    // After a day the clock is believed.
    for _ in 0..20 {
        kit.pass(3600);
        kit.flood(&log, 1);
    }
    let (numbers, _) = kit.settle(&log);
    assert!(numbers.len() < 100 && numbers.last() == Some(&1039), "{}", numbers.len());
}

#[test]
fn h60_a_clock_that_is_set_back_changes_no_order_and_overwrites_nothing() {
    for codec in [None, Some(Codec::Gzip)] {
        let mut kit = Kit::new();
        let mut builder = kit.builder().quota(Bytes::kib(100));
        if let Some(codec) = codec {
            builder = builder.compress(codec);
        }
        let log = builder.open().expect("a log");
        for step in [0, -i64::from(DAY), 1, -3600, 86_400 * 3, -86_400 * 9] {
            kit.clock.jump(step);
            kit.fs.set_time(kit.clock.seconds());
            kit.flood(&log, 300);
        }
        let (numbers, stats) = kit.settle(&log);
        assert_eq!(numbers.last(), Some(&1799));
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "gaps: {numbers:?}");
        assert!(stats.evicted_files > 0 || codec.is_some(), "{stats:?}");
    }
}

/// Every ten minutes from `from` a record is written; what the local clock shows depends on
/// the offset, which is another one from `change` on. Gives the days of the records that
/// began a segment.
fn days(from: &str, change: &str, after: FixedOffset, hours: i64) -> Vec<String> {
    let (start, change) = (at(from), at(change));
    let mut kit = Kit::new();
    let set = |kit: &Kit, now: DateTime<FixedOffset>| {
        let local = if now < change { now } else { now.with_timezone(&after) };
        kit.clock.jump(local.timestamp() - kit.clock.seconds());
        let offset = local.offset().local_minus_utc();
        let is = logquota::clock::Clock::now(&*kit.clock).offset().local_minus_utc();
        kit.clock.shift_offset((offset - is) / 3600);
        kit.fs.set_time(local.timestamp());
        local
    };
    set(&kit, start);
    let builder = kit.builder().rotate_at(Bytes::mib(1)).rotate_every(Interval::Day);
    let log = builder.open().expect("a log");
    let mut begun = Vec::new();
    let mut rotations = 0;
    for minutes in (0..hours * 60).step_by(10) {
        let local = set(&kit, start + TimeDelta::minutes(minutes));
        log.maintain();
        let now = log.stats().rotations;
        if now > rotations {
            begun.push(local.format("%m-%d %H:%M").to_string());
        }
        rotations = now;
        kit.flood(&log, 1);
    }
    begun
}

#[test]
fn h61_a_day_of_23_hours_and_one_of_25_rotate_once_each() {
    let summer = FixedOffset::east_opt(2 * 3600).expect("an offset");
    let spring = days("2026-03-28T12:00:00+01:00", "2026-03-29T02:00:00+01:00", summer, 23 * 3);
    assert_eq!(spring, ["03-29 00:00", "03-30 00:00", "03-31 00:00"]);
    let winter = FixedOffset::east_opt(3600).expect("an offset");
    let autumn = days("2026-10-24T12:00:00+02:00", "2026-10-25T03:00:00+02:00", winter, 25 * 3);
    assert_eq!(autumn, ["10-25 00:00", "10-26 00:00", "10-27 00:00"]);
    let unique: BTreeSet<&String> = spring.iter().chain(&autumn).collect();
    assert_eq!(unique.len(), 6);
}
