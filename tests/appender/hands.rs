//! Others at the log: they delete, move, cut and replace it. And calls that do half of what
//! they were asked.

use std::time::Duration;

use logquota::appender::Fate;
use logquota::fs::sim::{Content, Fault, SimOp, Times, Unsynced};
use logquota::{Bytes, Codec, Delivery, Error};

use crate::kit::Kit;
use crate::look::Disk;
use crate::setup::LOG;

#[test]
fn h46_a_log_that_is_deleted_moved_cut_or_replaced_is_found_again() {
    for delivery in [
        Delivery::Written,
        Delivery::Buffered { bytes: Bytes::kib(4), interval: Duration::from_secs(1) },
    ] {
        let mut kit = Kit::new();
        let builder = kit.builder().quota(Bytes::kib(100)).delivery(delivery);
        let log = builder.open().expect("a log");
        for round in 0..40 {
            kit.flood(&log, 60);
            match round % 4 {
                0 => kit.fs.unlink(LOG),
                1 => kit.fs.move_over(LOG, format!("/log/app.log.old{round}")),
                2 => kit.fs.empty(LOG),
                _ => kit
                    .fs
                    .put("/log/new", Content::from("foreign\n"), 0)
                    .and_then(|()| kit.fs.move_over("/log/new", LOG)),
            }
            .expect("others may");
            // Within a second.
            kit.pass(1);
            log.maintain();
            assert!(kit.fs.exists(LOG), "round {round}");
        }
        kit.flood(&log, 60);
        log.flush().expect("room");
        let stats = log.stats();
        assert_eq!((stats.dropped.total(), stats.reopened), (0, 40), "{stats:?}");
        let there = kit.disk().count(0);
        assert_eq!(stats.written, there + stats.evicted_records, "{stats:?}");
        log.close().expect("closed");
        // What others have moved away is theirs, and has given back what was set aside.
        for (path, _) in kit.fs.snapshot() {
            if let Ok(meta) = kit.fs.meta(&path)
                && meta.kind == logquota::stamp::Kind::File
            {
                let blocks = meta.stamp.len.div_ceil(512) * 512;
                assert_eq!(meta.stamp.allocated.get(), blocks, "{}", path.display());
            }
        }
    }
}

#[test]
fn h46_a_log_that_is_moved_in_the_middle_of_a_rotation_costs_no_record() {
    for call in 0..12 {
        let mut kit = Kit::new();
        let log = kit.builder().open().expect("a log");
        kit.flood(&log, 80);
        let at = kit.fs.calls() + call;
        kit.fs.interrupt(
            move |next| next.index >= at,
            // Right behind the rename there is none.
            |fs| drop(fs.move_over(LOG, "/log/app.log.old")),
        );
        kit.flood(&log, 20);
        kit.pass(1);
        kit.settle(&log);
        let disk = kit.disk();
        assert_eq!(disk.count(0) + u64::try_from(disk.elsewhere.len()).expect("few"), 100);
    }
}

#[test]
fn h54_an_archive_whose_sync_failed_is_not_what_its_source_is_deleted_for() {
    let mut dry = Kit::new();
    let log = dry.builder().compress(Codec::Zstd).open().expect("a log");
    dry.flood(&log, 100);
    let calls = dry.fs.log();
    let sync = calls.iter().find(|call| call.op == SimOp::Sync).expect("a sync").index;

    let mut kit = Kit::new();
    kit.fs.fail_at(sync, Fault::Io, Times::Once);
    let log = kit.builder().compress(Codec::Zstd).open().expect("a log");
    kit.flood(&log, 100);
    assert_eq!(kit.fs.faults_struck(), 1);
    let (numbers, _) = kit.settle(&log);
    assert_eq!(numbers.len(), 100);
    // What has only a compressed copy has one that a power failure does not touch.
    let after = kit.fs.reboot(Unsynced::Dropped, 1);
    for (path, entry) in after.snapshot() {
        if path.extension().is_some_and(|extension| extension == "zst") {
            logquota_tests::sandbox::decompressed(&path, entry.content()).expect("whole");
        }
    }
}

#[test]
fn h54_a_sync_that_failed_says_so() {
    let mut kit = Kit::new();
    let log = kit.builder().open().expect("a log");
    kit.flood(&log, 10);
    kit.fs.fail_at(kit.fs.calls() + 1, Fault::Io, Times::Once);
    assert!(matches!(log.sync(), Err(Error::Io { .. })));
}

#[test]
fn h55_short_and_interrupted_calls_tear_nothing() {
    for fault in [Fault::Short, Fault::Interrupted] {
        for delivery in [
            Delivery::Written,
            Delivery::Buffered { bytes: Bytes::kib(4), interval: Duration::from_secs(1) },
        ] {
            let mut kit = Kit::new();
            let mut builder = kit.builder().quota(Bytes::kib(60)).compress(Codec::Zstd);
            if fault == Fault::Interrupted {
                // No system interrupts the making of a file.
                builder = kit.builder().rotate_at(Bytes::mib(1));
            }
            let log = builder.delivery(delivery).open().expect("a log");
            kit.fs.fail_at(kit.fs.calls(), fault, Times::Forever);
            kit.flood(&log, 1000);
            log.flush().expect("room");
            assert!(kit.fs.faults_struck() > 10);
            kit.fs.heal();
            let (numbers, stats) = kit.settle(&log);
            assert_eq!((numbers.last(), stats.dropped.total()), (Some(&999), 0), "{stats:?}");
        }
    }
}

/// Floods, and gives with each image of the disk how many records had been acknowledged.
fn flooded(delivery: Delivery) -> (Kit, Vec<(u64, u64)>) {
    let mut kit = Kit::new();
    kit.fs.record_images();
    let builder = kit.builder().quota(Bytes::kib(40)).compress(Codec::Zstd);
    let log = builder.delivery(delivery).open().expect("a log");
    let mut acked = Vec::new();
    for _ in 0..150 {
        let fate = kit.write(&log, 300);
        assert!(matches!(fate, Ok(Fate::Accepted)));
        acked.push((kit.fs.calls(), kit.next));
    }
    std::mem::forget(log);
    (kit, acked)
}

/// Opens what a crash has left, and judges it. Gives the disk for another crash.
fn recover(fs: logquota::fs::sim::SimFs, is_torn: bool, first: u64) -> (Kit, Disk) {
    let found = Disk::of(&fs, true).expect("lenient");
    let mut kit = Kit::with(fs);
    kit.next = first;
    let bound = Bytes::kib(40).max(kit.fs.usage().files);
    kit.fs.record_images();
    kit.fs.assert_used_at_most(bound);
    let builder = kit.builder().quota(Bytes::kib(40)).compress(Codec::Zstd);
    let log = builder.open().expect("a log after a crash");
    log.maintain();
    kit.flood(&log, 30);
    (0..3).for_each(|_| log.maintain());
    assert_eq!(kit.fs.exceeded(), None);
    assert!(kit.fs.usage().files <= Bytes::kib(40));
    let disk = Disk::of(&kit.fs, is_torn).expect("whole records");
    // A copy that is not the same as its source stays beside it.
    assert!(is_torn || disk.twice.is_empty(), "{:?}", disk.twice);
    let numbers = disk.of_writer(0);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{}", disk.story());
    let names = kit.fs.snapshot();
    let mut names = names.keys().filter_map(|path| path.file_name());
    assert!(!names.any(logquota::naming::is_temporary_shape), "a leftover is left");
    std::mem::forget(log);
    (kit, found)
}

#[test]
fn h52_a_kill_at_any_call_loses_no_record_that_was_acknowledged() {
    let (kit, acked) = flooded(Delivery::Written);
    for image in kit.fs.images() {
        let known = acked.iter().filter(|(call, _)| *call < image.call()).map(|(_, n)| *n).max();
        let (_, found) = recover(image.reboot(Unsynced::Kept, 0), false, 1000);
        let there = found.of_writer(0);
        assert!(there.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{}", found.story());
        if let (Some(known), Some(last)) = (known, there.last()) {
            assert!(last + 1 >= known, "{known} were acknowledged, the last is {last}");
        }
        assert!(known.is_none() || !there.is_empty());
    }
}

#[test]
fn h53_what_a_power_failure_leaves_is_recovered_from_within_the_quota() {
    let buffered = Delivery::Buffered { bytes: Bytes::kib(4), interval: Duration::MAX };
    for delivery in [Delivery::Written, buffered] {
        let (kit, _) = flooded(delivery);
        for image in kit.fs.images() {
            for model in [Unsynced::Dropped, Unsynced::Torn] {
                let after = image.reboot(model, image.call());
                // An archive without its source is whole.
                let names = after.snapshot();
                for (path, entry) in &names {
                    let source = path.with_extension("");
                    let is_packed = path.extension().is_some_and(|suffix| suffix == "zst");
                    if is_packed && !names.contains_key(&source) {
                        let content = logquota_tests::sandbox::decompressed(path, entry.content());
                        assert!(content.is_ok(), "{model:?} {}: {}", image.call(), path.display());
                    }
                }
                recover(after, true, 1000);
            }
        }
    }
}

#[test]
fn h56_a_crash_during_the_recovery_is_recovered_from() {
    let (kit, _) = flooded(Delivery::Written);
    for image in kit.fs.images().iter().step_by(17) {
        let (again, _) = recover(image.reboot(Unsynced::Kept, 0), false, 1000);
        for image in again.fs.images().iter().step_by(5) {
            recover(image.reboot(Unsynced::Kept, 0), false, 2000);
        }
    }
}
