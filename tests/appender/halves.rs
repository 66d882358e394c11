//! Archives that another program was compressing in place when it was interrupted: an appender
//! that holds the log finishes them, or evicts both halves as one.

use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use logquota::appender::{Builder, Event};
use logquota::fs::sim::{Content, Fault, SimDisk, SimFs, SimOp, Times, Unsynced};
use logquota::naming::head_name;
use logquota::policy::{Policy, RotateWhen};
use logquota::{Appender, Bytes, Codec, Config, Naming, OnFull, SetSpec};
use logquota_tests::halves::{fill_after, joined, unpacked};
use logquota_tests::records::{Id, record};
use logquota_tests::sandbox::{Machine, NOON};

use crate::kit::Kit;

const NAME: &str = "app.log.0000000001-20261120T110000Z";

/// Four pieces and a bit.
const LEN: usize = (4 * 64 + 10) << 10;

/// What the quota leaves beside what is there: a segment, and the next, and room to work in.
const ROOM: u64 = 100 << 10;

fn plain() -> String {
    format!("/log/{NAME}")
}

fn packed() -> String {
    format!("/log/{NAME}.gz")
}

fn head() -> String {
    format!("/log/{}", head_name(format!("{NAME}.gz").as_ref()).to_string_lossy())
}

fn content() -> Vec<u8> {
    let lines =
        (0..).map(|n: u32| format!("{:08x} a line of an old log\n", n.wrapping_mul(0x9e37_79b1)));
    lines.flat_map(String::into_bytes).take(LEN).collect()
}

/// A disk of 1 MiB with an archive of which two pieces are in its head, and no more.
fn disk() -> SimFs {
    static ONCE: LazyLock<SimFs> = LazyLock::new(interrupted);
    let fs = ONCE.reboot(Unsynced::Kept, 0);
    fs.set_time(NOON);
    fs
}

fn interrupted() -> SimFs {
    let fs =
        SimFs::new(SimDisk { capacity: Bytes::mib(1), block: Bytes::kib(4), ..SimDisk::default() });
    fs.set_time(NOON);
    fs.mkdir("/log").expect("a folder");
    fs.mkdir("/filler").expect("a folder");
    fs.put(plain(), Content::Bytes(content()), NOON - 86_400).expect("room");
    fs.put("/filler/room", Content::Bytes(vec![7; 40 << 10]), NOON).expect("room");
    fs.fill_disk("/filler/film").expect("full");
    fs.unlink("/filler/room").expect("there");
    fill_after(&fs, 2, "/filler/more");
    let mut policy = Policy::default().rotate_when(RotateWhen::Never).compress(Codec::Gzip);
    policy.naming = Naming::sequence();
    let ran = Machine::new(Config::single(SetSpec::pattern("/log/*.log", policy)))
        .run(&fs)
        .expect("a run");
    assert!(fs.exists(head()) && fs.exists(plain()), "{}", ran.story());
    fs.unlink("/filler/film").expect("there");
    fs.unlink("/filler/more").expect("there");
    fs.settle();
    fs
}

fn occupied(fs: &SimFs) -> u64 {
    [plain(), head(), packed()]
        .iter()
        .filter_map(|path| fs.meta(path).ok())
        .map(|meta| meta.stamp.allocated.get())
        .sum()
}

/// What there is of the archive; the source's rest counts if it has what the head lacks.
fn whole(fs: &SimFs) -> Result<Vec<u8>, String> {
    let found = |path: String| fs.content(path).ok();
    match (
        found(packed()).map(|p| unpacked(&p)),
        found(head()).map(|p| unpacked(&p)),
        found(plain()),
    ) {
        (Some(all), None, _) => Ok(all),
        (None, None, Some(plain)) => Ok(plain),
        (None, Some(head), Some(plain)) => joined(&head, plain),
        (packed, head, plain) => {
            Err(format!("{:?}", [packed.is_some(), head.is_some(), plain.is_some()]))
        }
    }
}

fn assert_finished(fs: &SimFs, how: &str) {
    assert!(!fs.exists(plain()) && !fs.exists(head()), "{how}: {:?}", fs.snapshot().keys());
    let whole = whole(fs);
    let len = whole.as_ref().map(Vec::len);
    assert!(whole.as_ref() == Ok(&content()), "{how} {len:?}\n{:?}", fs.snapshot().keys());
    assert_eq!(fs.meta(packed()).expect("there").stamp.mtime.secs, NOON - 86_400, "{how}");
}

fn is_there(fs: &SimFs) -> bool {
    [plain(), head(), packed()].iter().any(|path| fs.exists(path))
}

/// The first event of an eviction names the half archive; none of the log's records is lost.
fn assert_evicted_first(kit: &Kit, log: &Appender) {
    let stats = log.stats();
    assert_eq!(stats.dropped.total(), 0, "{stats:?}");
    let events = kit.events.lock().expect("no panic");
    let first = events.iter().find_map(|event| match event {
        Event::Evicted { archive, .. } => Some(archive.to_string_lossy().into_owned()),
        _ => None,
    });
    assert_eq!(first, Some(plain()), "{events:?}");
    assert!(!is_there(&kit.fs), "{:?}", kit.fs.snapshot().keys());
}

#[test]
fn half_an_archive_is_evicted_as_one_and_before_younger_ones() {
    let mut kit = Kit::with(disk());
    // So it is not finished.
    kit.fs.write_elsewhere();
    let quota = Bytes::new(occupied(&kit.fs) + ROOM);
    kit.fs.assert_used_at_most(quota);
    let log = kit.builder().quota(quota).open().expect("a log");
    while is_there(&kit.fs) {
        assert!(kit.fs.exists(plain()) == kit.fs.exists(head()));
        kit.flood(&log, 10);
        assert!(kit.next < 2000, "it stays");
    }
    kit.flood(&log, 3000);
    assert_evicted_first(&kit, &log);
    assert_eq!(kit.fs.exceeded(), None);
}

#[test]
fn h37_half_an_archive_gives_its_room_on_a_full_disk() {
    let mut kit = Kit::with(disk());
    kit.fs.write_elsewhere();
    let log = kit.builder().open().expect("a log");
    kit.flood(&log, 100);
    kit.fs.put("/filler/b", Content::Bytes(vec![1; 12 << 10]), 0).expect("room");
    kit.fs.fill_disk("/filler/a").expect("full");
    kit.flood(&log, 2000);
    assert_evicted_first(&kit, &log);
}

/// Brought under a smaller quota as it is opened.
#[test]
fn h33_half_an_archive_goes_as_one_when_the_quota_is_smaller_than_that() {
    let kit = Kit::with(disk());
    let log = kit.builder().quota(Bytes::kib(64)).open().expect("a log");
    assert_evicted_first(&kit, &log);
    assert_eq!(log.stats().evicted_files, 1);
}

#[test]
fn half_an_archive_is_finished() {
    for on_full in [OnFull::EvictOldest, OnFull::DropNewest, OnFull::Refuse] {
        let kit = Kit::with(disk());
        let quota = Bytes::new(occupied(&kit.fs) + ROOM);
        kit.fs.assert_used_at_most(quota);
        let log = open(&kit, finisher(&kit, quota).on_full(on_full));
        log.maintain();
        assert_finished(&kit.fs, &format!("{on_full:?}"));
        assert_eq!(kit.fs.exceeded(), None);
        let stats = log.stats();
        let (used, blocks) = (stats.used.get(), occupied(&kit.fs));
        assert!(used >= blocks && used <= blocks + (30 << 10), "{used} {blocks}");
        assert_eq!(kit.count(|event| matches!(event, Event::Compressed { .. })), 1);
        assert_eq!((stats.compressions, stats.evicted_files), (1, 0));
    }
}

/// Opening does not wait for it; and where nothing is compressed nobody else finishes it.
#[test]
fn half_an_archive_is_finished_in_the_background_with_and_without_compression() {
    for codec in [None, Some(Codec::Zstd)] {
        let kit = Kit::with(disk());
        let quota = Bytes::new(occupied(&kit.fs) + ROOM);
        kit.fs.assert_used_at_most(quota);
        let (send, finished) = channel();
        let builder = finisher(&kit, quota).background(true).on_event(move |event| {
            if matches!(event, Event::Compressed { .. }) {
                let _ = send.send(());
            }
        });
        let builder = codec.into_iter().fold(builder, Builder::compress);
        let _log = builder.open().expect("a log");
        let told = finished.recv_timeout(Duration::from_secs(60));
        assert_eq!(told, Ok(()), "{codec:?}");
        assert_finished(&kit.fs, &format!("{codec:?}"));
        assert_eq!(kit.fs.exceeded(), None);
    }
}

/// It is not finished by that.
fn open(kit: &Kit, builder: Builder) -> Appender {
    let log = builder.open().expect("a log");
    assert!(kit.fs.exists(head()) && kit.fs.exists(plain()));
    log
}

/// Room for little more than what is there.
fn finisher(kit: &Kit, quota: Bytes) -> Builder {
    kit.builder().rotate_at(Bytes::kib(8)).quota(quota)
}

#[test]
fn h53_half_an_archive_is_whole_at_every_call_of_every_crash_while_it_is_finished() {
    let kit = Kit::with(disk());
    kit.fs.record_images();
    let quota = Bytes::new(occupied(&kit.fs) + ROOM);
    let log = open(&kit, finisher(&kit, quota));
    log.maintain();
    drop(log);
    assert_finished(&kit.fs, "no crash");
    let images = kit.fs.images();
    assert!(images.len() > 20, "{}", images.len());
    for image in &images {
        for model in Unsynced::ALL {
            let case = format!("{}/{model:?}", image.call());
            let after = image.reboot(model, image.call());
            assert!(whole(&after).as_ref() == Ok(&content()), "{case}");
            let again = Kit::with(after);
            let log = finisher(&again, quota).open().expect("a log");
            log.maintain();
            assert_finished(&again.fs, &case);
        }
    }
}

#[test]
fn h54_h55_a_fault_at_any_call_while_half_an_archive_is_finished_loses_nothing() {
    let reference = Kit::with(disk());
    let quota = Bytes::new(occupied(&reference.fs) + ROOM);
    let begin = |kit: &Kit| (open(kit, finisher(kit, quota)), kit.fs.calls());
    let (log, first) = begin(&reference);
    log.maintain();
    let calls = reference.fs.log();
    let last = reference.fs.calls();
    for call in calls.iter().filter(|call| call.index >= first && call.index < last) {
        for fault in Fault::ERRORS {
            if !fault.applies_to(call.op) {
                continue;
            }
            // What is interrupted at every other call is repeated for ever where two are made.
            let is_lasting = call.op.is_mutating() && fault != Fault::Interrupted;
            let times: &[Times] =
                if is_lasting { &[Times::Once, Times::Forever] } else { &[Times::Once] };
            for times in times.iter().copied() {
                let case = format!("{fault:?} {times:?} at {call}");
                let kit = Kit::with(disk());
                let (log, _) = begin(&kit);
                kit.fs.assert_used_at_most(quota);
                kit.fs.fail_at(call.index, fault, times);
                log.maintain();
                kit.fs.heal();
                assert_eq!(kit.fs.exceeded(), None, "{case}");
                assert!(whole(&kit.fs).as_ref() == Ok(&content()), "{case}");
                let model = if call.index % 2 == 0 { Unsynced::Torn } else { Unsynced::Dropped };
                let after = kit.fs.reboot(model, call.index);
                assert!(whole(&after).as_ref() == Ok(&content()), "{case} {model:?}");
                log.maintain();
                log.maintain();
                assert!(whole(&kit.fs).as_ref() == Ok(&content()), "{case}");
                assert!(!kit.fs.exists(plain()) && !kit.fs.exists(head()), "{case}");
                assert_eq!(log.stats().evicted_files, 0, "{case}");
            }
        }
    }
}

/// A caller wants room at any call of the one that finishes it.
#[test]
fn h45_half_an_archive_that_is_evicted_while_it_is_finished_goes_whole_and_is_let_go_of() {
    let evicted = finished_amid_a_flood(OnFull::EvictOldest);
    assert!(evicted > 3, "{evicted}");
}

#[test]
fn h51_half_an_archive_is_not_finished_in_room_that_a_caller_has_taken_meanwhile() {
    let evicted = finished_amid_a_flood(OnFull::DropNewest);
    assert_eq!(evicted, 0);
}

/// Says how often the archive has gone.
fn finished_amid_a_flood(on_full: OnFull) -> u32 {
    let mut evicted = 0;
    for at in (0..).step_by(3) {
        let kit = Kit::with(disk());
        let quota = Bytes::new(occupied(&kit.fs) + ROOM);
        let log = Arc::new(open(&kit, finisher(&kit, quota).on_full(on_full)));
        kit.fs.assert_used_at_most(quota);
        let (begin, caller) = (kit.fs.calls(), Arc::clone(&log));
        let has_run = Arc::new(Mutex::new(false));
        let flag = Arc::clone(&has_run);
        kit.fs.interrupt(
            move |call| {
                use SimOp::{GoOn, Punch, Read, SetAttributes, Space, Sync};
                // Where the one thread of this test is in nobody's turn.
                let is_free = [GoOn, Punch, Read, SetAttributes, Space, Sync].contains(&call.op);
                call.index >= begin + at && is_free
            },
            move |_| {
                *flag.lock().expect("no panic") = true;
                for number in 0..700 {
                    let fate = caller.write_record(&record(Id { writer: 0, number }, 100));
                    assert!(fate.is_ok(), "{number}: {fate:?}");
                }
            },
        );
        log.maintain();
        if !*has_run.lock().expect("no panic") {
            return evicted;
        }
        let case = format!("{at} {:?}", kit.fs.log().iter().find(|call| call.index >= begin + at));
        assert_eq!(kit.fs.exceeded(), None, "{case}");
        evicted += u32::from(!is_there(&kit.fs));
        assert!(
            !is_there(&kit.fs) || whole(&kit.fs).as_ref() == Ok(&content()),
            "{case} {:?} {:?}",
            kit.fs.snapshot().keys(),
            kit.events.lock()
        );
        log.maintain();
        assert_eq!(kit.fs.exceeded(), None, "{case}");
        let stats = log.stats();
        let has_dropped = stats.dropped.total() > 0;
        assert!(!has_dropped || on_full == OnFull::DropNewest, "{case}: {stats:?}");
        assert!(stats.peak <= quota, "{case}: {stats:?}");
    }
    evicted
}
