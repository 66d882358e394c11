//! No room: on the disk, in the quota, in the inode table, or nowhere to write at all.

use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use logquota::appender::{Cause, Event, Fate};
use logquota::fs::sim::{Content, Fault, SimDisk, SimOp, Times};
use logquota::{Bytes, Codec, Delivery, Error, OnFull};

use crate::kit::Kit;
use crate::setup::LOG;

fn disk(kib: u64) -> SimDisk {
    SimDisk { capacity: Bytes::kib(kib), ..SimDisk::default() }
}

fn cause(fate: &logquota::Result<Fate>) -> Option<Cause> {
    match fate {
        Ok(Fate::Dropped(cause)) | Err(Error::Lost { cause, .. }) => Some(*cause),
        _ => None,
    }
}

#[test]
fn h37_h41_a_full_disk_takes_the_newest_record_at_the_cost_of_our_oldest() {
    for copy_on_write in [false, true] {
        let mut kit = Kit::on(SimDisk { copy_on_write, ..disk(256) });
        let log = kit.builder().quota(Bytes::kib(200)).open().expect("a log");
        kit.flood(&log, 600);
        kit.fs.fill_disk("/filler").expect("a full disk");
        kit.flood(&log, 2000);
        let (numbers, stats) = kit.settle(&log);
        assert_eq!(numbers.last(), Some(&2599));
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "gaps: {numbers:?}");
        assert!(stats.evicted_files > 20 && stats.dropped.total() == 0, "{stats:?}");
    }
}

#[test]
fn h37_h41_a_full_disk_keeps_history_where_the_policy_says_so_and_the_loss_is_told() {
    for copy_on_write in [false, true] {
        for on_full in [OnFull::DropNewest, OnFull::Refuse] {
            let mut kit = Kit::on(SimDisk { copy_on_write, ..disk(256) });
            let log = kit.builder().on_full(on_full).open().expect("a log");
            kit.flood(&log, 600);
            kit.fs.fill_disk("/filler").expect("a full disk");
            let mut lost = 0;
            for _ in 0..2000 {
                let fate = kit.write(&log, 100);
                assert_eq!(fate.is_err(), on_full == OnFull::Refuse && cause(&fate).is_some());
                if let Some(cause) = cause(&fate) {
                    assert_eq!(cause, Cause::DiskFull);
                    lost += 1;
                }
            }
            assert!(lost > 1900, "what was set aside is used, and no more: {lost}");
            let answer = (&log).write(b"once more\n").map_err(|error| error.kind());
            let expected = match on_full {
                OnFull::DropNewest => Ok(10),
                _ => Err(ErrorKind::StorageFull),
            };
            assert_eq!(answer, expected);
            let stats = log.stats();
            assert_eq!((stats.evicted_records, stats.evicted_files), (0, 0));
            assert_eq!(stats.dropped.disk_full, lost + 1);
            kit.fs.unlink("/filler").expect("room");
            kit.pass(2);
            kit.flood(&log, 10);
            assert_eq!(kit.disk().announced(), lost + 1);
        }
    }
}

#[test]
fn a_record_that_fills_the_quota_is_written_although_a_loss_has_to_be_told() {
    let mut kit = Kit::on(disk(256));
    kit.fs.fill_disk("/filler").expect("a full disk");
    let quota = Bytes::new(12 * 512);
    let builder = kit.builder().rotate_at(Bytes::kib(4)).quota(quota).start_degraded(true);
    let log = builder.open().expect("a degraded log");
    assert_eq!(cause(&kit.write(&log, 100)), Some(Cause::DiskFull));
    kit.fs.unlink("/filler").expect("room");
    kit.pass(2);
    // Eight blocks, two for the lists of blocks, two for the folder. A line of it would be one more.
    let fate = kit.write(&log, 4096);
    assert!(matches!(fate, Ok(Fate::Accepted)), "{fate:?}");
    assert_eq!(cause(&kit.write(&log, 4097)), Some(Cause::TooLarge));
    assert_eq!(kit.count(|event| matches!(event, Event::LossEnded { records: 1, .. })), 1);
    assert_eq!(kit.settle(&log).0, [1]);
}

#[test]
fn records_of_a_buffer_that_stay_although_it_did_not_fit_are_not_counted_as_lost() {
    let mut kit = Kit::on(disk(256));
    let delivery = Delivery::Buffered { bytes: Bytes::kib(4), interval: Duration::from_secs(1) };
    let log = kit.builder().on_full(OnFull::DropNewest).delivery(delivery).open().expect("a log");
    // Cut and written to by somebody else, so that nothing is set aside any more, and that the end
    // of the log is not where ours is: what does not fit is not cut off again.
    kit.flood(&log, 5);
    kit.fs.empty(LOG).expect("a cut");
    kit.fs.append(LOG, b"foreign\n").expect("a line");
    kit.fs.fill_disk("/filler").expect("a full disk");
    for _ in 0..30 {
        let _ = kit.write(&log, 100);
    }
    let _ = log.flush();
    kit.fs.unlink("/filler").expect("room");
    kit.pass(2);
    let (numbers, stats) = kit.settle(&log);
    assert!(stats.dropped.disk_full > 10 && numbers.len() > 3, "{stats:?}");
}

#[test]
fn h38_a_flood_that_fails_is_told_of_once() {
    let mut kit = Kit::on(disk(64));
    let log = kit.builder().on_full(OnFull::DropNewest).open().expect("a log");
    kit.fs.fill_disk("/filler").expect("a full disk");
    for _ in 0..10_000 {
        let _ = kit.write(&log, 100);
    }
    assert_eq!(kit.count(|event| matches!(event, Event::LossBegan { .. })), 1);
    let told = kit.count(|_| true);
    assert!(told < 10, "{told} events");
}

#[test]
fn h39_a_start_on_a_full_disk_or_without_a_directory_heals() {
    for copy_on_write in [false, true] {
        let shape = SimDisk { copy_on_write, ..disk(64) };
        let mut kit = Kit::on(shape);
        kit.fs.fill_disk("/filler").expect("a full disk");
        let log = kit.builder().start_degraded(true).open().expect("a degraded log");
        for _ in 0..100 {
            let fate = kit.write(&log, 100);
            assert_eq!(cause(&fate), Some(Cause::DiskFull), "{fate:?}");
        }
        assert!(kit.disk().names <= 1, "litter");
        kit.fs.unlink("/filler").expect("room");
        kit.pass(2);
        kit.flood(&log, 500);
        let (numbers, stats) = kit.settle(&log);
        assert_eq!((numbers.len(), stats.dropped.disk_full), (500, 100));
    }
    let mut kit = Kit::new();
    kit.fs.move_over("/log", "/gone").expect("no folder");
    let error = kit.builder().open().expect_err("no folder");
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    let log = kit.builder().start_degraded(true).open().expect("a degraded log");
    let fate = kit.write(&log, 100);
    assert_eq!(cause(&fate), Some(Cause::Unavailable), "{fate:?}");
    kit.fs.mkdir("/log").expect("a folder");
    kit.pass(2);
    kit.flood(&log, 500);
    kit.settle(&log);
}

#[test]
fn h39_a_degraded_start_counts_what_is_there_when_it_heals() {
    let mut kit = Kit::new();
    for number in 1..=6 {
        let name = format!("/log/app.log.{number:010}-20261121T110000Z");
        kit.fs.put(name, Content::Fill(b'\n', 8192), kit.clock.seconds()).expect("an archive");
    }
    kit.fs.fail_at(1, Fault::Access, Times::Forever);
    kit.fs.assert_used_at_most(Bytes::kib(50));
    let builder = kit.builder().quota(Bytes::kib(50)).start_degraded(true);
    let log = builder.open().expect("a degraded log");
    assert!(kit.write(&log, 100).is_err());
    kit.fs.heal();
    kit.pass(2);
    for _ in 0..1000 {
        let fate = kit.write(&log, 100);
        assert!(matches!(fate, Ok(Fate::Accepted)), "{fate:?}");
        assert_eq!(kit.fs.exceeded(), None);
    }
}

#[test]
fn h40_a_rotation_needs_no_inode_that_is_not_there() {
    for inodes in 4..8 {
        let mut kit = Kit::on(SimDisk { inodes, ..SimDisk::default() });
        let log = kit.builder().open().expect("a log");
        kit.flood(&log, 3000);
        let (numbers, stats) = kit.settle(&log);
        assert_eq!(numbers.last(), Some(&2999), "{inodes} inodes");
        assert!(stats.rotations > 30, "{stats:?}");
        assert!(kit.disk().files.iter().all(|file| file.len <= 8192));
    }
}

#[test]
fn h42_h43_archives_that_cannot_be_compressed_do_not_pile_up() {
    for quota in [Bytes::kib(20), Bytes::kib(64)] {
        let mut kit = Kit::new();
        kit.fs.assert_used_at_most(quota);
        let builder = kit.builder().compress(Codec::Zstd).quota(quota);
        let log = builder.open().expect("a log");
        // Every third record is noise.
        for _ in 0..2000 {
            kit.next += 3 - kit.next % 3;
            let fate = kit.write(&log, 500);
            assert!(matches!(fate, Ok(Fate::Accepted)), "{fate:?}");
        }
        let (_, stats) = kit.settle(&log);
        assert!(stats.peak <= quota, "{stats:?}");
    }
}

#[test]
fn h47_a_file_system_that_refuses_takes_nothing_and_heals() {
    let faults = [
        (Fault::ReadOnly, Cause::ReadOnly),
        (Fault::Io, Cause::Io),
        (Fault::NoSpace, Cause::DiskFull),
        (Fault::Quota, Cause::DiskFull),
    ];
    for (fault, expected) in faults {
        let mut kit = Kit::new();
        let builder = kit.builder().quota(Bytes::kib(100)).on_full(OnFull::Refuse);
        let log = builder.open().expect("a log");
        kit.flood(&log, 100);
        kit.fs.fail_at(kit.fs.calls(), fault, Times::Forever);
        let used = kit.fs.usage().files;
        for _ in 0..500 {
            let fate = kit.write(&log, 100);
            assert_eq!(cause(&fate), Some(expected), "{fate:?}");
        }
        assert!(kit.fs.usage().files <= used);
        kit.fs.heal();
        kit.pass(2);
        kit.flood(&log, 200);
        let (numbers, stats) = kit.settle(&log);
        assert_eq!((numbers.len(), stats.dropped.total()), (300, 500), "{fault:?}: {stats:?}");
        assert_eq!(kit.disk().announced(), 500);
    }
}

#[test]
fn h48_every_length_of_a_record_has_its_answer() {
    // The blocks of a segment and of a quota, and two for where they are.
    let (segment, quota) = (8192, 20 * 1024);
    let most = quota - 2 * 512 - 2 * 512;
    for delivery in [
        Delivery::Written,
        Delivery::Buffered { bytes: Bytes::kib(4), interval: Duration::from_secs(1) },
    ] {
        let lens = [1, 22, segment - 1, segment, segment + 1, most, most + 512, quota, quota + 1];
        for len in lens {
            let mut kit = Kit::new();
            let bytes = u64::try_from(quota).expect("small");
            kit.fs.assert_used_at_most(Bytes::new(bytes));
            let builder = kit.builder().quota(Bytes::new(bytes)).delivery(delivery);
            let log = builder.open().expect("a log");
            kit.flood(&log, 20);
            assert_eq!(log.write_record(b"").expect("nothing"), Fate::Accepted);
            assert_eq!(log.stats().received, 20);
            let fate = kit.write(&log, len);
            let fits = len <= most;
            assert_eq!(matches!(fate, Ok(Fate::Accepted)), fits, "{len}: {fate:?}");
            if !fits {
                assert_eq!(cause(&fate), Some(Cause::TooLarge), "{len}");
            }
            log.flush().expect("room");
            assert_eq!(kit.disk().of_writer(0).contains(&20), fits, "{len}");
            kit.flood(&log, 20);
            log.flush().expect("room");
            let (_, stats) = kit.settle(&log);
            assert_eq!(stats.dropped.too_large, u64::from(!fits), "{len}");
        }
    }
}

#[test]
fn h49_no_empty_archive_is_made_however_full_the_disk_is() {
    for on_full in [OnFull::EvictOldest, OnFull::DropNewest, OnFull::Refuse] {
        let mut kit = Kit::on(disk(48));
        let log = kit.builder().on_full(on_full).open().expect("a log");
        assert!(!log.rotate().expect("nothing to do"));
        kit.fs.fill_disk("/filler").expect("a full disk");
        for number in 0..10_000 {
            let _ = kit.write(&log, 100);
            if number % 1000 == 0 {
                let _ = log.rotate();
                kit.pass(1);
            }
        }
        kit.settle(&log);
        let archives = kit.calls(SimOp::Rename, 0);
        assert!(archives < 200, "{archives} rotations");
    }
}

#[test]
fn h41_what_is_freed_is_freed_by_unlinking_and_not_by_truncating() {
    let mut kit = Kit::on(SimDisk { copy_on_write: true, ..disk(128) });
    let log = kit.builder().open().expect("a log");
    kit.flood(&log, 600);
    kit.fs.fill_disk("/filler").expect("a full disk");
    kit.flood(&log, 600);
    assert_eq!(kit.calls(SimOp::Truncate, 0), 0);
    assert!(kit.fs.meta(LOG).is_ok());
}
