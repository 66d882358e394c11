//! The ballast: what it is worth when the disk is full, and what it costs when it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use logquota::appender::{Cause, Event, Fate};
use logquota::ballast::TEXT;
use logquota::fs::sim::{Content, Fault, SimDisk, SimOp, Times};
use logquota::{Bytes, Error, OnFull};
use logquota_tests::records::{Id, record};

use crate::kit::Kit;
use crate::look::Disk;

const BALLAST: &str = "/log/.logquota/ballast";
const SIZE: Bytes = Bytes::kib(64);

fn disk(kib: u64) -> SimDisk {
    SimDisk { capacity: Bytes::kib(kib), ..SimDisk::default() }
}

fn kept(kit: &Kit) -> Bytes {
    kit.fs.meta(BALLAST).map_or(Bytes::ZERO, |meta| meta.stamp.allocated)
}

fn told(kit: &Kit) -> (usize, usize) {
    let released = kit.count(|event| matches!(event, Event::BallastReleased { .. }));
    (released, kit.count(|event| matches!(event, Event::BallastRestored { .. })))
}

#[test]
fn a_full_disk_takes_the_ballast_before_an_archive_or_a_record() {
    for copy_on_write in [false, true] {
        for on_full in [OnFull::EvictOldest, OnFull::DropNewest, OnFull::Refuse] {
            let mut kit = Kit::on(SimDisk { copy_on_write, ..disk(512) });
            let log = kit.builder().on_full(on_full).ballast(SIZE).open().expect("a log");
            assert!(kept(&kit) >= SIZE, "{on_full:?}");
            assert_eq!(told(&kit), (0, 1));
            kit.flood(&log, 200);
            kit.fs.fill_disk("/filler").expect("a full disk");
            // Two segments and more, within what the ballast gives.
            kit.flood(&log, 300);
            let (numbers, stats) = (kit.disk().of_writer(0), log.stats());
            assert_eq!(numbers, (0..500).collect::<Vec<_>>(), "{on_full:?}");
            assert_eq!((stats.evicted_files, stats.dropped.total()), (0, 0), "{stats:?}");
            assert_eq!((kept(&kit), told(&kit)), (Bytes::ZERO, (1, 1)));
        }
    }
}

#[test]
fn behind_the_ballast_it_goes_on_as_without() {
    let mut kit = Kit::on(disk(512));
    let log = kit.builder().ballast(SIZE).open().expect("a log");
    kit.flood(&log, 600);
    kit.fs.fill_disk("/filler").expect("a full disk");
    kit.flood(&log, 2000);
    let (numbers, stats) = kit.settle(&log);
    assert_eq!(numbers.last(), Some(&2599));
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "gaps: {numbers:?}");
    assert!(stats.evicted_files > 10 && stats.dropped.total() == 0, "{stats:?}");
    assert_eq!(told(&kit), (1, 1));
}

#[test]
fn it_is_made_again_with_room_and_looked_for_once_a_minute() {
    let mut kit = Kit::on(disk(512));
    let log = kit.builder().quota(Bytes::kib(200)).ballast(SIZE).open().expect("a log");
    kit.flood(&log, 100);
    kit.fs.fill_disk("/filler").expect("a full disk");
    kit.flood(&log, 300);
    assert_eq!(kept(&kit), Bytes::ZERO);
    kit.fs.unlink("/filler").expect("room");
    kit.pass(30);
    log.maintain();
    assert_eq!(kept(&kit), Bytes::ZERO, "it was looked for half a minute ago");
    // Who only writes does not make it.
    kit.pass(60);
    kit.flood(&log, 100);
    assert_eq!(kept(&kit), Bytes::ZERO);
    log.maintain();
    assert!(kept(&kit) >= SIZE);
    assert_eq!(told(&kit), (1, 2));
    // It is there, and so nothing more is done.
    kit.pass(61);
    let before = kit.fs.calls();
    log.maintain();
    assert_eq!(kit.calls(SimOp::Allocate, before), 0);
    assert_eq!(told(&kit), (1, 2));
}

/// The disk is full, and it has taken the last room, at each call until it is done.
#[test]
fn a_record_that_comes_while_it_is_being_made_gets_its_room() {
    for at in 1.. {
        let mut kit = Kit::on(disk(512));
        let builder = kit.builder().on_full(OnFull::Refuse).ballast(SIZE);
        let log = Arc::new(builder.open().expect("a log"));
        kit.flood(&log, 100);
        kit.fs.fill_disk("/filler").expect("a full disk");
        kit.flood(&log, 200);
        kit.fs.unlink("/filler").expect("room");
        assert_eq!((kept(&kit), told(&kit)), (Bytes::ZERO, (1, 1)));
        kit.pass(61);
        let (caller, has_come) = (Arc::clone(&log), Arc::new(AtomicBool::new(false)));
        let (comes, mut behind) = (Arc::clone(&has_come), 0);
        kit.fs.interrupt(
            move |call| {
                behind += u32::from(behind > 0 || call.op == SimOp::Allocate);
                behind == at + 1
            },
            move |fs| {
                comes.store(true, Ordering::Relaxed);
                fs.fill_disk("/filler").expect("a full disk");
                for number in 300..600 {
                    let fate = caller.write_record(&record(Id { writer: 0, number }, 100));
                    assert!(matches!(fate, Ok(Fate::Accepted)), "{at} {number}: {fate:?}");
                }
            },
        );
        log.maintain();
        if !has_come.load(Ordering::Relaxed) {
            assert!(at > 3 && kept(&kit) >= SIZE, "{at}");
            break;
        }
        let (numbers, stats) = (kit.disk().of_writer(0), log.stats());
        assert_eq!(numbers, (0..600).collect::<Vec<_>>(), "{at}");
        assert_eq!((stats.evicted_files, stats.dropped.total()), (0, 0), "{at}: {stats:?}");
        // It is not told of as being there.
        assert_eq!((kept(&kit), told(&kit)), (Bytes::ZERO, (2, 1)), "{at}");
        kit.fs.unlink("/filler").expect("room");
        kit.pass(61);
        log.maintain();
        assert!(kept(&kit) >= SIZE, "{at}");
    }
}

/// The disk is full when only its name is there, and no longer when it takes its room.
#[test]
fn one_that_somebody_wanted_before_it_had_its_room_is_known_of() {
    let mut kit = Kit::on(disk(512));
    let builder = kit.builder().on_full(OnFull::Refuse).ballast(SIZE);
    let log = Arc::new(builder.open().expect("a log"));
    kit.fs.fill_disk("/filler").expect("a full disk");
    kit.flood(&log, 200);
    kit.fs.unlink("/filler").expect("room");
    kit.pass(61);
    let caller = Arc::clone(&log);
    kit.fs.interrupt(
        |call| call.op == SimOp::Write && call.path.ends_with("ballast"),
        move |fs| {
            fs.fill_disk("/filler").expect("a full disk");
            let is_refused =
                |number| caller.write_record(&record(Id { writer: 0, number }, 100)).is_err();
            assert!((300..900).any(is_refused));
            fs.unlink("/filler").expect("room");
        },
    );
    log.maintain();
    assert!(kept(&kit) >= SIZE);
    kit.fs.fill_disk("/filler").expect("a full disk");
    for number in 1_000..1_200 {
        let fate = log.write_record(&record(Id { writer: 0, number }, 100));
        assert!(matches!(fate, Ok(Fate::Accepted)), "{number}: {fate:?}");
    }
    assert_eq!(kept(&kit), Bytes::ZERO);
}

#[test]
fn without_more_room_than_it_takes_it_is_not_made() {
    // Segment and folders take some; 4 and 64 and an eighth of that must be there.
    for (free, is_made) in [(80, false), (96, true)] {
        let kit = Kit::on(disk(512));
        let rest = kit.fs.free().minus(Bytes::kib(free));
        kit.fs.put("/other", Content::Fill(b'y', rest.get()), 0).expect("a file");
        let builder = kit.builder().reserve(Bytes::kib(4)).ballast(SIZE);
        let _log = builder.open().expect("a log");
        assert_eq!((kept(&kit) >= SIZE, told(&kit).0), (is_made, 0), "{free}");
    }
}

#[test]
fn the_reserve_has_it_go_before_an_archive() {
    let mut kit = Kit::on(disk(512));
    let builder = kit.builder().reserve(Bytes::kib(64)).ballast(SIZE);
    let log = builder.open().expect("a log");
    kit.flood(&log, 600);
    let rest = kit.fs.free().minus(Bytes::kib(40));
    kit.fs.put("/other", Content::Fill(b'y', rest.get()), 0).expect("a file");
    log.maintain();
    assert_eq!((kept(&kit), told(&kit)), (Bytes::ZERO, (1, 1)));
    assert_eq!(log.stats().evicted_files, 0);
}

/// The reserve is met, but not with the next segment, for which an archive would go otherwise. Where
/// records go and archives do not, nothing is kept for it.
#[test]
fn it_goes_before_an_archive_for_the_room_of_the_next_segment() {
    for (on_full, released) in [(OnFull::EvictOldest, 1), (OnFull::DropNewest, 0)] {
        let mut kit = Kit::on(disk(512));
        let builder = kit.builder().on_full(on_full).reserve(Bytes::kib(64)).ballast(SIZE);
        let log = builder.open().expect("a log");
        kit.flood(&log, 600);
        assert!(kept(&kit) >= SIZE, "{on_full:?}");
        let rest = kit.fs.free().minus(Bytes::kib(68));
        kit.fs.put("/other", Content::Fill(b'y', rest.get()), 0).expect("a file");
        log.maintain();
        assert_eq!(told(&kit), (released, 1), "{on_full:?}");
        assert_eq!(log.stats().evicted_files, 0, "{on_full:?}");
    }
}

/// Space is free, and the last inode is taken: a segment cannot even be made.
#[test]
fn h40_its_inode_is_for_the_next_segment_before_an_archive_or_a_record_goes() {
    for on_full in [OnFull::EvictOldest, OnFull::DropNewest, OnFull::Refuse] {
        let mut kit = Kit::on(SimDisk { inodes: 16, ..disk(512) });
        let log = kit.builder().on_full(on_full).ballast(SIZE).open().expect("a log");
        kit.flood(&log, 100);
        let other = |number| kit.fs.put(format!("/other{number}"), Content::Bytes(Vec::new()), 0);
        let taken = (0..100).take_while(|number| other(*number).is_ok()).count();
        assert!((1..16).contains(&taken), "{taken}");
        kit.flood(&log, 100);
        let (numbers, stats) = (kit.disk().of_writer(0), log.stats());
        assert_eq!(numbers, (0..200).collect::<Vec<_>>(), "{on_full:?}");
        assert_eq!((stats.evicted_files, stats.dropped.total(), stats.rotations), (0, 0, 2));
        assert_eq!((kept(&kit), told(&kit)), (Bytes::ZERO, (1, 1)), "{on_full:?}");
    }
}

#[test]
fn h51_the_quota_counts_it() {
    let mut kit = Kit::on(disk(2048));
    let quota = Bytes::kib(200);
    kit.fs.assert_used_at_most(quota.plus(Bytes::kib(2)));
    let log = kit.builder().quota(quota).ballast(SIZE).open().expect("a log");
    kit.flood(&log, 5000);
    let (_, stats) = kit.settle(&log);
    assert!(stats.evicted_files > 20 && kept(&kit) >= SIZE, "{stats:?}");
    assert!(stats.peak.plus(SIZE) <= quota, "{}", stats.peak);
    for quota in [SIZE, Bytes::kib(80)] {
        let refused = kit.builder().quota(quota).ballast(SIZE).open();
        assert!(matches!(refused, Err(Error::Policy(_))), "{quota}");
    }
}

#[test]
fn a_record_costs_no_more_calls_with_it() {
    let mut kit = Kit::new();
    let builder = kit.builder().rotate_at(Bytes::mib(8)).quota(Bytes::mib(32)).ballast(SIZE);
    let log = builder.open().expect("a log");
    kit.flood(&log, 1);
    let before = kit.fs.calls();
    kit.flood(&log, 1000);
    assert_eq!((kit.fs.calls() - before, kit.calls(SimOp::Append, before)), (1000, 1000));
}

/// A disk that stays full is asked for the ballast once.
#[test]
fn h38_one_that_is_gone_is_not_looked_for_with_each_record() {
    let mut kit = Kit::on(disk(256));
    let log = kit.builder().on_full(OnFull::Refuse).ballast(SIZE).open().expect("a log");
    kit.fs.fill_disk("/filler").expect("a full disk");
    let lost = |fate: &logquota::Result<Fate>| {
        matches!(fate, Err(Error::Lost { cause: Cause::DiskFull, .. }))
    };
    while !lost(&kit.write(&log, 100)) {}
    let before = kit.fs.calls();
    for _ in 0..1000 {
        assert!(lost(&kit.write(&log, 100)));
    }
    assert_eq!(kit.calls(SimOp::OpenDir, before), 0);
    assert_eq!(told(&kit), (1, 1));
}

#[test]
fn h57_what_is_not_ours_stays_and_that_is_told_once() {
    let mut kit = Kit::on(disk(512));
    kit.fs.mkdir("/log/.logquota").expect("a folder");
    kit.fs.chown("/log/.logquota", 0o700, 0, 0).expect("ours");
    kit.fs.put(BALLAST, Content::Bytes(b"notes".to_vec()), 0).expect("a file");
    kit.fs.chown(BALLAST, 0o600, 0, 0).expect("ours, but for what is in it");
    let log = kit.builder().ballast(SIZE).open().expect("a log");
    kit.fs.fill_disk("/filler").expect("a full disk");
    for _ in 0..500 {
        let _ = kit.write(&log, 100);
    }
    for _ in 0..3 {
        kit.pass(61);
        log.maintain();
    }
    assert_eq!(kit.fs.content(BALLAST).expect("there"), b"notes");
    let is_told = |event: &Event| matches!(event, Event::UpkeepFailed { why } if why.contains("another file has its name"));
    assert_eq!((kit.count(is_told), told(&kit)), (1, (0, 0)));
}

/// At any call while it is made or goes, the log goes on, and what is left is known.
#[test]
fn h52_h54_an_error_or_a_crash_at_every_call_costs_no_record() {
    let story = |kit: &mut Kit, strike: Option<(u64, Fault)>| {
        let from = kit.fs.calls();
        if let Some((call, fault)) = strike {
            kit.fs.fail_at(from + call, fault, Times::Once);
        }
        let builder = kit.builder().ballast(SIZE).start_degraded(true);
        if let Ok(log) = builder.open() {
            for _ in 0..150 {
                let _ = kit.write(&log, 100);
            }
            let _ = kit.fs.fill_disk("/filler");
            for _ in 0..150 {
                let _ = kit.write(&log, 100);
            }
        }
        kit.fs.calls() - from
    };
    let calls = story(&mut Kit::on(disk(512)), None);
    for fault in [Fault::NoSpace, Fault::Io, Fault::Access, Fault::Crash] {
        for call in 1..=calls {
            let mut kit = Kit::on(disk(512));
            story(&mut kit, Some((call, fault)));
            let fs = if fault == Fault::Crash {
                kit.fs.reboot(logquota::fs::sim::Unsynced::Torn, call)
            } else {
                kit.fs.reboot(logquota::fs::sim::Unsynced::Kept, call)
            };
            let _ = fs.unlink("/filler");
            let mut kit = Kit { next: 1_000_000, ..Kit::with(fs) };
            let log = kit.builder().ballast(SIZE).open().expect("a log");
            kit.flood(&log, 10);
            kit.pass(61);
            log.maintain();
            let content = kit.fs.content(BALLAST).expect("made again");
            assert!(kept(&kit) >= SIZE && content.starts_with(TEXT), "{fault:?} at {call}");
            // What was not synced may be torn; what came later is not.
            let disk = Disk::of(&kit.fs, true).expect("records");
            assert!(disk.of_writer(0).ends_with(&[1_000_008, 1_000_009]), "{fault:?} at {call}");
        }
    }
}
