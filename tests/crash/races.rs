//! Other programs at work between two calls of ours, and disks that lie.

use std::path::Path;

use logquota::Error;
use logquota::apply::Outcome;
use logquota::fs::sim::{Call, Content, Fault, SimDisk, SimFs, SimOp, Times, Unsynced};
use logquota::fs::{Hold, ReadFs as _, WriteFs as _};
use logquota::policy::Method;
use logquota_tests::sandbox::{NOON, Ran, decompressed};
use logquota_tests::workloads::text;

use crate::hazards::{disk, machine, policy};

const ARCHIVE: &str = "/d/app.log.1";

/// An archive of 300 kB that is to be compressed.
fn with_archive() -> (SimFs, Vec<u8>) {
    let fs = disk(SimDisk::default());
    fs.put("/d/app.log", text("now", 100), NOON).unwrap();
    let Content::Bytes(content) = text("old", 300_000) else { panic!() };
    fs.put(ARCHIVE, content.clone(), NOON - 50).unwrap();
    fs.forget();
    (fs, content)
}

fn is_compressed(fs: &SimFs, content: &[u8]) {
    assert!(!fs.exists(ARCHIVE));
    let path = format!("{ARCHIVE}.gz");
    let packed = fs.content(&path).unwrap();
    assert_eq!(decompressed(Path::new(&path), packed).unwrap(), content);
}

fn grows_at(when: fn(&Call) -> bool) {
    let (fs, mut content) = with_archive();
    fs.interrupt(when, |fs| fs.append(ARCHIVE, b"one line more\n").unwrap());
    let mut machine = machine(policy(1 << 20));
    let ran = machine.run(&fs).unwrap();
    assert!(
        ran.report.outcomes.iter().all(|o| matches!(o, Outcome::Skipped(_))),
        "{}",
        ran.story()
    );
    content.extend_from_slice(b"one line more\n");
    assert_eq!(fs.content(ARCHIVE).unwrap(), content, "no byte is lost");
    assert_eq!(fs.snapshot().len(), 3, "nothing half done stays: {:?}", fs.snapshot());
    machine.settle(&fs, 1).unwrap();
    is_compressed(&fs, &content);
}

#[test]
fn h44_a_file_that_grows_while_it_is_compressed_stays() {
    grows_at(|call| call.op == SimOp::Read && call.at > 0);
}

#[test]
fn h44_a_file_that_grows_when_its_last_byte_was_read_stays() {
    grows_at(|call| call.op == SimOp::Sync);
}

#[test]
fn h44_a_file_that_grows_just_before_it_would_be_deleted_stays() {
    grows_at(|call| call.op == SimOp::SyncDir);
}

#[test]
fn h44_a_log_that_grows_while_it_is_copied_loses_nothing() {
    let fs = disk(SimDisk::default());
    let Content::Bytes(mut content) = text("now", 300_000) else { panic!() };
    fs.put("/d/app.log", content.clone(), NOON).unwrap();
    let mut policy = policy(1024);
    policy.method = Method::CopyTruncate;
    policy.compress = None;
    fs.interrupt(|call| call.op == SimOp::Rename, |fs| fs.append("/d/app.log", b"more\n").unwrap());
    fs.interrupt(|c| c.op == SimOp::Truncate, |fs| fs.append("/d/app.log", b"last\n").unwrap());
    let ran = machine(policy).run(&fs).unwrap();
    assert!(ran.report.is_complete(), "{}", ran.story());
    content.extend_from_slice(b"more\nlast\n");
    assert_eq!(fs.content(ARCHIVE).unwrap(), content);
    assert_eq!(fs.content("/d/app.log").unwrap(), b"");
}

/// What happens to the log between scan and apply.
type Change = fn(&SimFs);

#[test]
fn h46_what_happens_to_a_log_after_the_scan_touches_nothing_else() {
    let changes: [(&str, Change); 4] = [
        ("deleted", |fs| fs.unlink("/d/app.log").unwrap()),
        ("renamed", |fs| fs.move_over("/d/app.log", "/d/elsewhere").unwrap()),
        ("truncated", |fs| fs.empty("/d/app.log").unwrap()),
        ("replaced", |fs| {
            fs.append("/d/new", b"the new log").unwrap();
            fs.move_over("/d/new", "/d/app.log").unwrap();
        }),
    ];
    for method in [Method::Rename, Method::CopyTruncate] {
        for (word, change) in changes {
            let fs = disk(SimDisk::default());
            fs.mkdir("/other").unwrap();
            fs.put("/other/app.log", text("bystander", 5000), 7).unwrap();
            fs.put("/d/app.log", text("now", 5000), NOON).unwrap();
            fs.put(ARCHIVE, text("old", 2000), NOON - 50).unwrap();
            fs.put("/d/well.log", text("well", 5000), NOON).unwrap();
            let mut policy = policy(1024);
            policy.method = method;
            policy.compress = None;
            let mut machine = machine(policy);
            let inventory = machine.scan(&fs).unwrap();
            let plan = machine.plan(&inventory).unwrap();
            change(&fs);
            let before = fs.snapshot();
            machine.apply(&fs, inventory, plan);
            let after = fs.snapshot();
            let case = format!("{word}, {method:?}");
            let content = |path: &str| after.get(Path::new(path)).map(|entry| entry.content());
            let was = |path: &str| before.get(Path::new(path)).map(|entry| entry.content());
            assert_eq!(content("/other/app.log"), was("/other/app.log"), "{case}");
            assert_eq!(content("/d/well.log.1"), was("/d/well.log"), "{case}");
            assert_eq!(content("/d/elsewhere"), was("/d/elsewhere"), "{case}");
            let old = was(ARCHIVE);
            assert!(content(ARCHIVE) == old || content("/d/app.log.2") == old, "{case}");
            if word == "replaced" {
                assert_eq!(content("/d/app.log"), was("/d/app.log"), "{case}");
            }
            // And the next run finds its way.
            machine.settle(&fs, 2).unwrap_or_else(|why| panic!("{case}: {why}"));
        }
    }
}

#[test]
fn h54_a_source_stays_when_the_flush_of_its_copy_failed() {
    let (fs, content) = with_archive();
    let mut machine = machine(policy(1 << 20));
    let quiet = fs.reboot(Unsynced::Kept, 0);
    machine.run(&quiet).unwrap();
    let log = quiet.log();
    for call in log.iter().filter(|call| matches!(call.op, SimOp::Sync | SimOp::SyncDir)) {
        let fs = fs.reboot(Unsynced::Kept, 0);
        fs.fail_at(call.index, Fault::Io, Times::Once);
        let ran = machine.run(&fs).unwrap();
        assert!(ran.says_so(), "{call}: {}", ran.story());
        for model in Unsynced::ALL {
            for seed in 0..20 {
                let after = fs.reboot(model, seed);
                if after.exists(ARCHIVE) {
                    assert_eq!(after.content(ARCHIVE).unwrap(), content, "{call} {model:?}");
                } else {
                    is_compressed(&after, &content);
                }
                machine.settle(&after, 2).unwrap();
                is_compressed(&after, &content);
            }
        }
    }
}

/// A program that appends to its log by itself, and has not noticed yet that it was renamed.
#[test]
fn h44_an_archive_that_somebody_holds_is_neither_compressed_nor_deleted() {
    for keep in [0, 100] {
        for hold in [Hold::Alone, Hold::Together] {
            let (fs, mut content) = with_archive();
            let dir = fs.open_root(Path::new("/d")).unwrap();
            let log = fs.open_log(dir, "app.log.1".as_ref(), None).unwrap();
            assert!(log.hold(hold).unwrap());
            let mut machine = machine(policy(1 << 20).keep_count(keep));
            let ran = machine.run(&fs).unwrap();
            let is_refused = |outcome: &Outcome| matches!(outcome, Outcome::Skipped(Error::StillWritten { path }) if path == Path::new(ARCHIVE));
            assert!(!ran.report.outcomes.is_empty(), "{}", ran.story());
            assert!(ran.report.outcomes.iter().all(is_refused), "{}", ran.story());
            log.append(b"one line more\n").unwrap();
            content.extend_from_slice(b"one line more\n");
            assert_eq!(fs.content(ARCHIVE).unwrap(), content, "no byte is lost");
            drop(log);
            machine.settle(&fs, 1).unwrap();
            if keep == 0 {
                assert!(!fs.exists(ARCHIVE));
            } else {
                is_compressed(&fs, &content);
            }
        }
    }
}

/// A program that appends to its log within a quota of its own has a use for the room that a copy
/// or a compressed file would take beside it.
#[test]
fn h36_a_log_that_somebody_holds_is_not_copied_and_its_archives_stay_plain() {
    let refused = |ran: &Ran| {
        let is_refused = |outcome: &&Outcome| matches!(outcome, Outcome::Skipped(Error::StillWritten { path }) if path == Path::new("/d/app.log"));
        ran.report.outcomes.iter().filter(is_refused).count()
    };
    let held = |fs: &SimFs| {
        let dir = fs.open_root(Path::new("/d")).unwrap();
        let log = fs.open_log(dir, "app.log".as_ref(), None).unwrap();
        assert!(log.hold(Hold::Alone).unwrap());
        log
    };
    let (fs, content) = with_archive();
    let log = held(&fs);
    let mut compresses = machine(policy(1 << 20));
    let ran = compresses.run(&fs).unwrap();
    assert_eq!(refused(&ran), 1, "{}", ran.story());
    assert_eq!(fs.content(ARCHIVE).unwrap(), content);
    drop(log);
    compresses.settle(&fs, 1).unwrap();
    is_compressed(&fs, &content);

    let (fs, _) = with_archive();
    let log = held(&fs);
    let before = fs.content("/d/app.log").unwrap();
    let mut copying = policy(1);
    copying.method = Method::CopyTruncate;
    copying.compress = None;
    let ran = machine(copying).run(&fs).unwrap();
    assert_eq!(refused(&ran), 1, "{}", ran.story());
    assert_eq!(fs.content("/d/app.log").unwrap(), before);
    drop(log);
}

#[test]
fn h44_who_may_not_look_at_an_archive_can_still_delete_it() {
    let (fs, _) = with_archive();
    let mut machine = machine(policy(1 << 20).keep_count(0));
    // As far as the first question of that kind, which is then refused.
    let probe = with_archive().0;
    machine.clone().run(&probe).unwrap();
    let asked = probe.log().into_iter().find(|call| call.op == SimOp::IsHeld).unwrap();
    fs.fail_at(asked.index, Fault::Access, Times::Once);
    machine.run(&fs).unwrap();
    assert_eq!(fs.faults_struck(), 1);
    assert!(!fs.exists(ARCHIVE));
}
