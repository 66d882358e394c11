use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::sync::mpsc;

use super::super::{Content, SimDisk, Times, Unsynced};
use super::*;
use crate::fs::{ReadFs as _, WriteFs as _};
use crate::units::Bytes;

const BLOCK: u64 = 512;

/// Longer than any turn here lasts.
const PATIENCE: Duration = Duration::from_secs(60);

fn n(name: &str) -> &OsStr {
    OsStr::new(name)
}

/// A disk with room for so many blocks, and the folder `/d`.
fn disk(blocks: u64) -> (SimFs, DirId) {
    let capacity = Bytes::new(BLOCK * (blocks + 2));
    let fs = SimFs::new(SimDisk { capacity, ..SimDisk::default() });
    fs.mkdir("/d").unwrap();
    let dir = fs.open_root("/d".as_ref()).unwrap();
    (fs, dir)
}

fn make(fs: &SimFs, dir: DirId) -> Box<dyn AppendFile> {
    let attributes = Attributes { mode: Some(0o640), ..Attributes::default() };
    fs.open_log(dir, n("a.log"), Some(&attributes)).unwrap()
}

fn open(fs: &SimFs, dir: DirId) -> Box<dyn AppendFile> {
    fs.open_log(dir, n("a.log"), None).unwrap()
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    let (fs, dir) = disk(3);
    let log = make(&fs, dir);
    assert_eq!(log.append(&[b'x'; 600]).unwrap(), 600);
    assert_eq!(log.append(&[b'x'; 4000]).unwrap(), 3 * 512 - 600);
    assert_eq!(kind(log.append(b"x")), Some(ErrorKind::StorageFull));
    log.cut(600).unwrap();
    assert_eq!(log.append(b"x").unwrap(), 1);
    assert_eq!(fs.content("/d/a.log").unwrap().len(), 601);
}

#[test]
fn what_is_reserved_counts_and_cannot_be_taken_by_others() {
    let (fs, dir) = disk(8);
    let log = make(&fs, dir);
    log.append(b"hello\n").unwrap();
    log.reserve(Bytes::new(4 * BLOCK)).unwrap();
    let stamp = log.meta().unwrap().stamp;
    assert_eq!((stamp.len, stamp.allocated), (6, Bytes::new(4 * BLOCK)));
    assert_eq!(fs.usage().files, Bytes::new(4 * BLOCK));
    fs.fill_disk("/d/foreign").unwrap();
    assert_eq!(log.append(&[b'x'; 4000]).unwrap(), 4 * 512 - 6, "all that was reserved");
    assert_eq!(kind(log.append(b"x")), Some(ErrorKind::StorageFull));
}

#[test]
fn trimming_and_cutting_give_back_what_is_behind_the_end() {
    let (fs, dir) = disk(8);
    let log = make(&fs, dir);
    log.append(&[b'x'; 600]).unwrap();
    log.reserve(Bytes::new(5 * BLOCK)).unwrap();
    log.reserve(Bytes::new(BLOCK)).unwrap();
    assert_eq!(fs.usage().files, Bytes::new(5 * BLOCK));
    log.trim().unwrap();
    assert_eq!(fs.usage().files, Bytes::new(2 * BLOCK));
    log.reserve(Bytes::new(5 * BLOCK)).unwrap();
    log.cut(600).unwrap();
    assert_eq!(fs.usage().files, Bytes::new(5 * BLOCK), "it is as long as that");
    log.cut(599).unwrap();
    assert_eq!(fs.usage().files, Bytes::new(2 * BLOCK));
    assert_eq!(kind(log.cut(600)), Some(ErrorKind::InvalidInput));
    assert_eq!(fs.content("/d/a.log").unwrap(), [b'x'; 599]);
}

#[test]
fn a_reservation_that_does_not_fit_takes_what_there_is_until_it_is_trimmed() {
    let (fs, dir) = disk(4);
    let log = make(&fs, dir);
    log.append(b"x").unwrap();
    assert_eq!(kind(log.reserve(Bytes::new(5 * BLOCK))), Some(ErrorKind::StorageFull));
    assert_eq!(fs.free(), Bytes::ZERO);
    log.trim().unwrap();
    assert_eq!(fs.free(), Bytes::new(3 * BLOCK));
}

#[test]
fn a_copy_on_write_disk_that_is_full_can_use_what_was_reserved_and_not_give_it_back() {
    let shape =
        SimDisk { capacity: Bytes::new(8 * BLOCK), copy_on_write: true, ..SimDisk::default() };
    let fs = SimFs::new(shape);
    fs.mkdir("/d").unwrap();
    let dir = fs.open_root("/d".as_ref()).unwrap();
    let log = make(&fs, dir);
    log.reserve(Bytes::new(2 * BLOCK)).unwrap();
    fs.fill_disk("/d/foreign").unwrap();
    assert_eq!(log.append(&[b'x'; 300]).unwrap(), 300);
    assert_eq!(kind(log.append(b"x")), Some(ErrorKind::QuotaExceeded), "its block is written");
    fs.remove(dir, n("foreign")).unwrap();
    assert_eq!(log.append(&[b'x'; 212]).unwrap(), 212);
    fs.fill_disk("/d/foreign").unwrap();
    assert_eq!(log.append(&[b'x'; 1025]).unwrap(), 512);
    assert_eq!(kind(log.append(b"x")), Some(ErrorKind::QuotaExceeded));
    assert_eq!(kind(log.cut(0)), Some(ErrorKind::QuotaExceeded));
    assert_eq!(kind(log.trim()), Some(ErrorKind::QuotaExceeded));
    fs.remove(dir, n("foreign")).unwrap();
    log.cut(0).unwrap();
}

#[test]
fn h45_an_unlinked_log_keeps_its_blocks_until_it_is_closed() {
    let (fs, dir) = disk(8);
    let log = make(&fs, dir);
    log.append(&[b'x'; 1000]).unwrap();
    log.reserve(Bytes::new(4 * BLOCK)).unwrap();
    let second = open(&fs, dir);
    fs.remove(dir, n("a.log")).unwrap();
    let all = Bytes::new(4 * BLOCK);
    assert_eq!((fs.usage().files, fs.usage().unlinked), (all, all));
    drop(second);
    assert_eq!(fs.usage().unlinked, all, "one has it open still");
    log.append(b"nobody will read this\n").unwrap();
    assert_eq!(log.meta().unwrap().stamp.nlink, 0);
    drop(log);
    assert_eq!((fs.usage().files, fs.usage().unlinked), (Bytes::ZERO, Bytes::ZERO));
}

#[test]
fn only_regular_files_that_exist_are_opened_and_only_new_ones_are_made() {
    let (fs, dir) = disk(8);
    fs.put("/d/b.log", "b", 0).unwrap();
    fs.symlink("/d/b.log", "/d/link").unwrap();
    fs.special("/d/pipe").unwrap();
    let open = |name: &str| kind(fs.open_log(dir, n(name), None));
    assert_eq!(open("none"), Some(ErrorKind::NotFound));
    assert_eq!(open("pipe"), Some(ErrorKind::InvalidInput));
    assert!(open("link").is_some());
    let taken = fs.open_log(dir, n("link"), Some(&Attributes::default()));
    assert_eq!(kind(taken), Some(ErrorKind::AlreadyExists));
    let log = make(&fs, dir);
    assert_eq!(fs.meta("/d/a.log").unwrap().mode, 0o640);
    // It needs nothing of what it was opened with.
    fs.close_dir(dir);
    log.append(b"x").unwrap();
    fs.move_over("/d/a.log", "/d/b.log").unwrap();
    log.append(b"y").unwrap();
    assert_eq!(fs.content("/d/b.log").unwrap(), b"xy");
}

#[test]
fn a_log_that_cannot_get_its_attributes_does_not_stay() {
    let (fs, dir) = disk(8);
    fs.fail_at(fs.calls() + 2, Fault::Io, Times::Once);
    assert!(fs.open_log(dir, n("a.log"), Some(&Attributes::default())).is_err());
    assert!(!fs.exists("/d/a.log"));
    assert_eq!(fs.usage().inodes, 2);
}

#[test]
fn one_holds_a_log_alone_or_several_do_together() {
    let (fs, dir) = disk(8);
    let (a, b) = (make(&fs, dir), open(&fs, dir));
    let is_held = || fs.is_held(dir, n("a.log")).unwrap();
    assert!(!is_held());
    assert!(a.hold(Hold::Alone).unwrap() && a.hold(Hold::Alone).unwrap() && is_held());
    assert!(!b.hold(Hold::Alone).unwrap() && !b.hold(Hold::Together).unwrap());
    assert!(a.hold(Hold::Together).unwrap() && b.hold(Hold::Together).unwrap());
    // What fails gives up nothing.
    assert!(!a.hold(Hold::Alone).unwrap() && !b.hold(Hold::Alone).unwrap());
    fs.rename(dir, n("a.log"), dir, n("a.log.1")).unwrap();
    assert!(fs.is_held(dir, n("a.log.1")).unwrap());
    drop(a);
    assert!(b.hold(Hold::Alone).unwrap());
    drop(b);
    assert!(!fs.is_held(dir, n("a.log.1")).unwrap());
    assert_eq!(kind(fs.is_held(dir, n("none"))), Some(ErrorKind::NotFound));
}

#[test]
fn a_turn_is_waited_for_until_it_is_given_back_or_its_file_is_closed() {
    let (fs, dir) = disk(8);
    for by_closing in [false, true] {
        let name = if by_closing { "b.log" } else { "a.log" };
        let a = fs.open_log(dir, n(name), Some(&Attributes::default())).unwrap();
        let b = fs.open_log(dir, n(name), None).unwrap();
        assert!(a.begin_turn(PATIENCE).unwrap());
        assert!(a.begin_turn(PATIENCE).unwrap());
        b.end_turn().unwrap();
        let (told, order) = mpsc::channel();
        let tell = told.clone();
        let waiter = std::thread::spawn(move || {
            assert!(b.begin_turn(PATIENCE).unwrap());
            tell.send("second").unwrap();
            b.append(b"b").unwrap();
            b.end_turn().unwrap();
        });
        told.send("first").unwrap();
        a.append(b"a").unwrap();
        if by_closing {
            drop(a);
        } else {
            a.end_turn().unwrap();
        }
        waiter.join().unwrap();
        assert_eq!([order.recv().unwrap(), order.recv().unwrap()], ["first", "second"]);
        assert_eq!(fs.content(format!("/d/{name}")).unwrap(), b"ab");
    }
}

#[test]
fn a_turn_that_is_not_given_back_is_not_waited_for_any_longer() {
    let (fs, dir) = disk(8);
    let (a, b) = (make(&fs, dir), open(&fs, dir));
    assert!(a.begin_turn(Duration::ZERO).unwrap());
    assert!(!b.begin_turn(Duration::from_millis(1)).unwrap());
    a.end_turn().unwrap();
    assert!(b.begin_turn(Duration::ZERO).unwrap());
}

#[test]
fn who_waits_for_a_turn_learns_that_the_machine_has_stopped() {
    let (fs, dir) = disk(8);
    let (a, b) = (make(&fs, dir), open(&fs, dir));
    assert!(a.begin_turn(PATIENCE).unwrap());
    let waiter = std::thread::spawn(move || b.begin_turn(PATIENCE).is_err());
    // Whether it waits by then or not.
    fs.fail_at(1, Fault::Crash, Times::Forever);
    assert!(a.append(b"x").is_err());
    assert!(waiter.join().unwrap());
    assert!(a.end_turn().is_err());
}

#[test]
fn every_call_on_a_log_is_counted_and_can_fail() {
    type Act = fn(&(dyn AppendFile + 'static)) -> io::Result<()>;
    let acts: [(SimOp, Act); 9] = [
        (SimOp::Append, |log| log.append(b"x").map(drop)),
        (SimOp::Meta, |log| log.meta().map(drop)),
        (SimOp::Reserve, |log| log.reserve(Bytes::kib(1))),
        (SimOp::Trim, |log| log.trim()),
        (SimOp::Cut, |log| log.cut(0)),
        (SimOp::Sync, |log| log.sync()),
        (SimOp::Hold, |log| log.hold(Hold::Alone).map(drop)),
        (SimOp::BeginTurn, |log| log.begin_turn(PATIENCE).map(drop)),
        (SimOp::EndTurn, |log| log.end_turn()),
    ];
    for (op, act) in acts {
        let (fs, dir) = disk(8);
        let log = make(&fs, dir);
        let next = fs.calls() + 1;
        let fault = if Fault::Io.applies_to(op) { Fault::Io } else { Fault::Crash };
        fs.fail_at(next, fault, Times::Once);
        assert!(act(&*log).is_err(), "{op:?}");
        let call = fs.log().pop().unwrap();
        assert_eq!((call.index, call.op, call.path.to_str()), (next, op, Some("/d/a.log")));
    }
}

#[test]
fn a_signal_is_not_noticed_and_a_short_append_is() {
    let (fs, dir) = disk(8);
    let log = make(&fs, dir);
    fs.fail_at(1, Fault::Interrupted, Times::Forever);
    for _ in 0..4 {
        assert_eq!(log.append(b"12345").unwrap(), 5);
        assert!(log.begin_turn(PATIENCE).unwrap());
        log.reserve(Bytes::kib(1)).unwrap();
    }
    fs.heal();
    fs.fail_at(fs.calls() + 1, Fault::Short, Times::Once);
    assert_eq!(log.append(b"12345").unwrap(), 3);
    assert_eq!(fs.content("/d/a.log").unwrap().len(), 23);
}

#[test]
fn a_crash_leaves_what_was_flushed_and_nobody_holds_it() {
    let (fs, dir) = disk(64);
    let log = make(&fs, dir);
    assert!(log.hold(Hold::Alone).unwrap());
    log.reserve(Bytes::new(8 * BLOCK)).unwrap();
    log.append(&[b'a'; 700]).unwrap();
    log.sync().unwrap();
    fs.sync_dir(dir).unwrap();
    log.append(&[b'b'; 700]).unwrap();
    for model in Unsynced::ALL {
        for seed in 0..32 {
            let after = fs.reboot(model, seed);
            let content = after.content("/d/a.log").unwrap();
            assert_eq!(content.get(..700), Some(&[b'a'; 700][..]), "{model:?}");
            assert!(content.len() <= 1400);
            assert_eq!(content.len() == 700, model == Unsynced::Dropped || content.len() < 701);
            let dir = after.open_root("/d".as_ref()).unwrap();
            assert!(!after.is_held(dir, n("a.log")).unwrap());
            assert!(open(&after, dir).hold(Hold::Alone).unwrap());
        }
    }
}

#[test]
fn a_crash_after_a_cut_may_bring_back_the_cut_and_never_takes_what_was_before() {
    let (fs, dir) = disk(64);
    let log = make(&fs, dir);
    log.append(&[b'a'; 1500]).unwrap();
    log.append(&[b'b'; 500]).unwrap();
    log.sync().unwrap();
    fs.sync_dir(dir).unwrap();
    log.cut(1500).unwrap();
    let mut lengths: Vec<usize> = (0..64)
        .map(|seed| {
            let content = fs.reboot(Unsynced::Torn, seed).content("/d/a.log").unwrap();
            assert!(content.iter().take(1500).all(|byte| *byte == b'a'));
            content.len()
        })
        .collect();
    lengths.sort_unstable();
    lengths.dedup();
    assert_eq!(lengths, [1500, 2000]);
    // And then something else is appended.
    log.append(&[b'c'; 100]).unwrap();
    for seed in 0..64 {
        let content = fs.reboot(Unsynced::Torn, seed).content("/d/a.log").unwrap();
        assert!(content.len() >= 1500 && content.iter().take(1500).all(|byte| *byte == b'a'));
    }
}

#[test]
fn h54_what_an_fsync_that_failed_should_have_flushed_is_not_on_the_disk() {
    let (fs, dir) = disk(8);
    let log = make(&fs, dir);
    fs.sync_dir(dir).unwrap();
    log.append(b"lost").unwrap();
    fs.fail_at(fs.calls() + 1, Fault::Io, Times::Once);
    assert!(log.sync().is_err());
    log.sync().unwrap();
    assert_eq!(fs.reboot(Unsynced::Dropped, 1).content("/d/a.log").unwrap(), b"");
}

#[test]
fn a_new_file_gives_back_what_it_did_not_use() {
    let (fs, dir) = disk(16);
    for attributes in [false, true] {
        let mut file = fs.create(dir, n("new")).unwrap();
        file.reserve(Bytes::new(8 * BLOCK)).unwrap();
        file.write_all(&[b'x'; 600]).unwrap();
        assert_eq!(fs.usage().files, Bytes::new(8 * BLOCK));
        if attributes {
            file.set_attributes(&Attributes::default()).unwrap();
        } else {
            file.sync().unwrap();
        }
        assert_eq!(fs.usage().files, Bytes::new(2 * BLOCK));
        drop(file);
        fs.unlink("/d/new").unwrap();
    }
}

#[test]
fn a_link_is_made_to_a_neighbour_and_replaces_nothing() {
    let (fs, dir) = disk(8);
    fs.put("/d/a.log", Content::from("a"), 0).unwrap();
    fs.link_to(dir, n("latest"), n("a.log")).unwrap();
    assert!(fs.open_root("/d/latest".as_ref()).is_err(), "it leads to a file");
    let taken = fs.link_to(dir, n("latest"), n("b.log"));
    assert_eq!(kind(taken), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(fs.link_to(dir, n("x"), n("../a"))), Some(ErrorKind::InvalidInput));
    fs.remove(dir, n("latest")).unwrap();
    fs.link_to(dir, n("latest"), n("none")).unwrap();
    assert!(fs.exists("/d/latest"));
}

#[test]
fn a_log_may_be_shared_between_threads() {
    let (fs, dir) = disk(1000);
    let log = make(&fs, dir);
    let log: Arc<dyn AppendFile> = log.into();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let log = Arc::clone(&log);
            scope.spawn(move || (0..100).all(|_| log.append(b"0123456789").is_ok()));
        }
    });
    assert_eq!(fs.content("/d/a.log").unwrap().len(), 4000);
}
