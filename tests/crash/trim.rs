//! Heads that are cut off: how much, of which log, and what is done where that is not possible.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use logquota::apply::Outcome;
use logquota::fs::sim::{Content, Fault, HeadCuts, SimDisk, SimFs, SimOp, Times};
use logquota::fs::{Hold, ReadFs as _, WriteFs as _};
use logquota::plan::{Action, Reason, Wanted};
use logquota::policy::{Method, Policy, RotateWhen};
use logquota::{Bytes, Error};
use logquota_tests::sandbox::{NOON, Ran};
use logquota_tests::workloads::noise;

use crate::hazards::{disk, machine};

/// The simulated file system's block.
const BLOCK: u64 = 512;

const LOG: &str = "/d/app.log";

fn policy() -> Policy {
    let mut policy = Policy::default().rotate_when(RotateWhen::Never).keep_count(9).live_trim();
    policy.if_empty = false;
    policy.quota(Bytes::new(4000))
}

fn bytes(content: Content) -> Vec<u8> {
    match content {
        Content::Bytes(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// A log of 10,000 bytes on a disk that is full.
fn full(head_cuts: HeadCuts) -> (SimFs, Vec<u8>) {
    let fs = disk(SimDisk { capacity: Bytes::kib(32), head_cuts, ..SimDisk::default() });
    let content = bytes(noise(1, 10_000));
    fs.put(LOG, Content::Bytes(content.clone()), NOON - 10).unwrap();
    fs.fill_disk("/film").unwrap();
    (fs, content)
}

fn cuts(ran: &Ran) -> Vec<u64> {
    let cut = |action: &Action| match action {
        Action::Trim { cut, .. } => Some(cut.get()),
        _ => None,
    };
    ran.plan.steps.iter().filter_map(|step| cut(&step.action)).collect()
}

fn ops(fs: &SimFs) -> Vec<SimOp> {
    let of = [SimOp::Collapse, SimOp::Punch, SimOp::Truncate, SimOp::Remove, SimOp::Rename];
    fs.log().iter().map(|call| call.op).filter(|op| of.contains(op)).collect()
}

/// 10,000 bytes are 20 blocks, and the quota leaves 7.
const CUT: usize = 13 * 512;

#[test]
fn the_oldest_blocks_go_and_no_more_than_must() {
    let (fs, content) = full(HeadCuts::Close);
    let ran = machine(policy()).run(&fs).unwrap();
    assert!(ran.report.is_complete(), "{}", ran.story());
    assert_eq!(cuts(&ran), [CUT as u64]);
    let (used, limit) = (Bytes::new(20 * BLOCK), Bytes::new(4000));
    assert_eq!(ran.plan.steps[0].reason, Reason::QuotaPressure { used, limit });
    assert_eq!(fs.content(LOG).unwrap(), content[CUT..]);
    assert_eq!(ops(&fs), [SimOp::Collapse]);
    assert_eq!(ran.report.used, [Bytes::new(7 * BLOCK)]);
    assert!(machine(policy()).run(&fs).unwrap().plan.steps.is_empty());
}

/// A log that is due is cut first, and rotates when it is within the quota.
#[test]
fn what_is_due_and_too_long_is_cut_and_not_lost_whole() {
    for method in [Method::Rename, Method::CopyTruncate] {
        let (fs, content) = full(HeadCuts::Close);
        let mut policy = policy().rotate_at(Bytes::new(2000));
        policy.method = method;
        let ran = machine(policy).run(&fs).unwrap();
        assert_eq!(cuts(&ran), [CUT as u64], "{}", ran.story());
        assert_eq!(fs.content(LOG).unwrap(), content[CUT..]);
        let told = ran.plan.problems.iter().find(|p| p.why.starts_with("is due")).unwrap();
        assert!(!told.is_error, "{told:?}");
        assert_eq!(ran.plan.due.len(), 1);
    }
}

/// What others write goes only with leave. What is one's own, as an appender's, goes whole.
#[test]
fn without_leave_the_log_stays_and_is_named() {
    let (fs, content) = full(HeadCuts::Close);
    let mut policy = policy();
    policy.live_trim = false;
    let ran = machine(policy.clone()).run(&fs).unwrap();
    assert_eq!((ops(&fs), ran.plan.steps.len()), (vec![], 0), "{}", ran.story());
    assert_eq!(fs.content(LOG).unwrap(), content);
    let over = ran.plan.sets[0].used_after.minus(policy.limits.quota.unwrap());
    assert_eq!(ran.plan.sets[0].shortfall, over);
    let [problem] = ran.plan.unmet.as_slice() else { panic!("{:?}", ran.plan.unmet) };
    assert!(problem.is_error && problem.path == std::path::Path::new(LOG), "{problem:?}");

    let ran = machine(policy.evict_new()).run(&fs).unwrap();
    assert_eq!(ops(&fs), [SimOp::Rename, SimOp::Remove], "{}", ran.story());
    assert_eq!(ran.plan.sets[0].shortfall, Bytes::ZERO);
}

/// `copy` never shortens the log, so that without leave the quota is missed.
#[test]
fn a_log_that_is_only_copied_is_cut_too() {
    let (fs, content) = full(HeadCuts::Close);
    let mut policy = policy();
    policy.method = Method::Copy;
    policy.live_trim = false;
    let ran = machine(policy.clone()).run(&fs).unwrap();
    assert!(ran.plan.sets[0].shortfall > Bytes::ZERO && ran.plan.steps.is_empty());
    machine(policy.live_trim()).run(&fs).unwrap();
    assert_eq!(fs.content(LOG).unwrap(), content[CUT..]);
}

fn assert_gap(fs: &SimFs, content: &[u8], cut: usize) {
    let found = fs.content(LOG).unwrap();
    assert_eq!(found.len(), content.len());
    assert!(found[..cut].iter().all(|byte| *byte == 0));
    assert_eq!(found[cut..], content[cut..]);
}

/// At any moment but between the last look and the cut itself.
#[test]
fn what_is_written_to_a_log_that_somebody_has_emptied_is_not_cut() {
    for cuts in [HeadCuts::Close, HeadCuts::Leave] {
        let (whole, _) = full(cuts);
        let before = whole.calls();
        machine(policy()).run(&whole).unwrap();
        let is_cut = |op: SimOp| matches!(op, SimOp::Collapse | SimOp::Punch);
        let of_run = whole.log();
        let first = usize::try_from(before).unwrap();
        let cut = of_run.iter().skip(first).position(|call| is_cut(call.op)).unwrap();
        for nth in 0..cut {
            let (fs, _) = full(cuts);
            let new = bytes(noise(2, 3000));
            let written = new.clone();
            let mut seen = 0;
            fs.interrupt(
                move |_| {
                    seen += 1;
                    seen == nth + 1
                },
                move |fs| {
                    fs.empty(LOG).unwrap();
                    fs.append(LOG, &written).unwrap();
                },
            );
            machine(policy()).run(&fs).unwrap();
            assert!(fs.content(LOG).unwrap() == new, "{cuts:?}: before call {nth} of {cut}");
        }
    }
}

#[test]
fn who_does_not_append_is_left_a_gap() {
    let (fs, content) = full(HeadCuts::Close);
    fs.write_elsewhere();
    let ran = machine(policy()).run(&fs).unwrap();
    assert!(ran.report.is_complete(), "{}", ran.story());
    assert_gap(&fs, &content, CUT);
    assert_eq!(ops(&fs), [SimOp::Punch]);
    // What is cut next begins behind the gap.
    fs.unlink("/film").unwrap();
    let more = bytes(noise(3, 1500));
    fs.append(LOG, &more).unwrap();
    let ran = machine(policy()).run(&fs).unwrap();
    let content = [content, more].concat();
    // 11,500 bytes end in block 23; 13 are a gap, and 7 may stay.
    assert_eq!(cuts(&ran), [3 * BLOCK], "{}", ran.story());
    assert_gap(&fs, &content, 16 * 512);
}

#[test]
fn where_a_gap_cannot_be_closed_it_stays() {
    let (fs, content) = full(HeadCuts::Leave);
    let ran = machine(policy()).run(&fs).unwrap();
    assert!(ran.report.is_complete(), "{}", ran.story());
    assert_eq!(ops(&fs), [SimOp::Collapse, SimOp::Punch]);
    assert_gap(&fs, &content, CUT);
}

#[test]
fn if_closing_the_gap_takes_more_than_a_full_disk_has_it_stays() {
    let (fs, content) = full(HeadCuts::Close);
    let reference = full(HeadCuts::Close).0;
    machine(policy()).run(&reference).unwrap();
    let call = reference.log().iter().find(|call| call.op == SimOp::Collapse).unwrap().index;
    fs.fail_at(call, Fault::NoSpace, Times::Once);
    let ran = machine(policy()).run(&fs).unwrap();
    assert!(ran.report.is_complete(), "{}", ran.story());
    assert_gap(&fs, &content, CUT);
}

#[test]
fn where_no_head_can_be_cut_off_that_is_said_and_the_log_is_whole() {
    let (fs, content) = full(HeadCuts::Never);
    let ran = machine(policy()).run(&fs).unwrap();
    match ran.report.outcomes.as_slice() {
        [Outcome::Failed(error @ Error::Io { source, .. })] => {
            assert_eq!(source.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().starts_with("failed to cut off the head of"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs.content(LOG).unwrap(), content);
    assert_eq!(ran.report.used, [Bytes::new(20 * BLOCK)]);
}

#[test]
fn a_log_whose_writer_keeps_its_own_quota_is_left_to_it() {
    let (fs, content) = full(HeadCuts::Close);
    let dir = fs.open_root("/d".as_ref()).unwrap();
    let log = fs.open_log(dir, OsStr::new("app.log"), None).unwrap();
    assert!(log.hold(Hold::Alone).unwrap());
    let ran = machine(policy()).run(&fs).unwrap();
    assert!(ran.plan.steps.is_empty() && ran.report.is_complete(), "{}", ran.story());
    let missing = Bytes::new(20 * BLOCK).minus(Bytes::new(4000));
    assert_eq!(ran.plan.sets[0].shortfall, missing);
    let problems: Vec<_> =
        ran.plan.problems.iter().map(|p| (p.path.as_path(), p.is_error)).collect();
    assert_eq!(problems, [(Path::new(LOG), true)], "{}", ran.story());
    assert_eq!(fs.content(LOG).unwrap(), content);
    // If it is due, it is rotated as any other.
    let hourly = policy().rotate_when(RotateWhen::Size(Bytes::new(1)));
    let ran = machine(hourly).run(&fs).unwrap();
    assert_eq!(fs.content("/d/app.log.1").unwrap(), content, "{}", ran.story());
    assert_eq!(ran.plan.sets[0].shortfall, missing);
    let [problem] = ran.plan.unmet.as_slice() else { panic!("{}", ran.story()) };
    assert!(problem.why.starts_with("was rotated just now"), "{}", ran.story());
}

/// The plan cannot know who takes it later.
#[test]
fn a_log_that_is_taken_between_the_look_and_the_cut_is_left_to_its_holder() {
    let (fs, content) = full(HeadCuts::Close);
    let mut machine = machine(policy());
    let inventory = machine.scan(&fs).unwrap();
    let plan = machine.plan(&inventory).unwrap();
    let dir = fs.open_root("/d".as_ref()).unwrap();
    let log = fs.open_log(dir, OsStr::new("app.log"), None).unwrap();
    assert!(log.hold(Hold::Alone).unwrap());
    let ran = machine.apply(&fs, inventory, plan);
    assert!(matches!(ran.report.outcomes[..], [Outcome::Skipped(Error::StillWritten { .. })]));
    assert_eq!(fs.content(LOG).unwrap(), content);
}

/// Only what can be cut is cut in place of its rotation.
#[test]
fn a_log_that_is_due_and_held_does_not_wait_for_a_cut_for_ever() {
    let (fs, content) = full(HeadCuts::Close);
    let dir = fs.open_root("/d".as_ref()).unwrap();
    let holder = fs.open_log(dir, OsStr::new("app.log"), None).unwrap();
    assert!(holder.hold(Hold::Alone).unwrap());
    let mut machine = machine(policy().rotate_at(Bytes::new(2000)));
    let ran = machine.run(&fs).unwrap();
    assert!(cuts(&ran).is_empty() && !fs.exists(LOG), "{}", ran.story());
    assert_eq!(fs.content("/d/app.log.1").unwrap(), content);
    // It stays as long as it is held, and that is said.
    let ran = machine.run(&fs).unwrap();
    let is_said =
        |outcome: &Outcome| matches!(outcome, Outcome::Skipped(Error::StillWritten { .. }));
    assert!(ran.report.outcomes.iter().any(is_said), "{}", ran.story());
    assert_eq!(fs.content("/d/app.log.1").unwrap(), content);
    drop(holder);
    let ran = machine.run(&fs).unwrap();
    assert_eq!((fs.exists("/d/app.log.1"), &ran.report.used[0]), (false, &Bytes::ZERO));
}

/// It may be an appender's. Neither the look nor the cut learns that.
#[test]
fn a_log_is_not_cut_where_nobody_may_look_at_who_holds_it() {
    for cuts_logs in [false, true] {
        let scene = || {
            let fs = disk(SimDisk { capacity: Bytes::kib(256), ..SimDisk::default() });
            fs.put(LOG, noise(1, 200 << 10), NOON - 10).unwrap();
            fs.fill_disk("/film").unwrap();
            let mut machine = machine(policy());
            machine.config.sets[0].policy.live_trim = !cuts_logs;
            machine.cuts_logs = cuts_logs;
            machine.free = cuts_logs.then_some(Wanted::Bytes(Bytes::kib(100)));
            (fs, machine)
        };
        let (reference, mut machine) = scene();
        assert_eq!(cuts(&machine.run(&reference).unwrap()).len(), 1);
        assert!(ops(&reference).contains(&SimOp::Collapse));
        let looks = reference.log().into_iter().filter(|call| call.op == SimOp::IsHeld);
        let (fs, mut machine) = scene();
        let content = fs.content(LOG).unwrap();
        looks.for_each(|look| fs.fail_at(look.index, Fault::Access, Times::Once));
        let ran = machine.run(&fs).unwrap();
        assert_eq!(fs.faults_struck(), 2, "once to plan it, and once to do it");
        assert!(fs.content(LOG).unwrap() == content, "{}", ran.story());
        let outcomes = ran.report.outcomes.as_slice();
        assert!(
            matches!(outcomes, [Outcome::Skipped(Error::StillWritten { .. })]),
            "{}",
            ran.story()
        );
    }
}

/// What is in the log's place meanwhile is not what was looked at.
#[test]
fn h20_another_file_in_the_place_of_the_log_is_not_cut() {
    for op in [SimOp::IsHeld, SimOp::OpenToTrim] {
        let (fs, content) = full(HeadCuts::Close);
        let new = bytes(noise(4, 6000));
        let expected = new.clone();
        let mut machine = machine(policy());
        let inventory = machine.scan(&fs).unwrap();
        let plan = machine.plan(&inventory).unwrap();
        fs.interrupt(
            move |call| call.op == op,
            move |fs| {
                fs.unlink("/film").unwrap();
                fs.move_over(LOG, "/d/old").unwrap();
                fs.put(LOG, Content::Bytes(new), NOON).unwrap();
            },
        );
        let ran = machine.apply(&fs, inventory, plan);
        assert!(matches!(ran.report.outcomes[..], [Outcome::Skipped(Error::Changed { .. })]));
        assert_eq!(fs.content(LOG).unwrap(), expected);
        assert_eq!(fs.content("/d/old").unwrap(), content);
    }
}

/// Whatever comes between, the last block stays.
#[test]
fn h21_a_log_that_was_emptied_or_grew_meanwhile_keeps_its_newest() {
    for len in [0, 300, 700, 20_000] {
        let (fs, _) = full(HeadCuts::Close);
        let content = bytes(noise(5, len));
        let new = content.clone();
        fs.interrupt(
            |call| call.op == SimOp::OpenToTrim,
            move |fs| {
                fs.unlink("/film").unwrap();
                fs.empty(LOG).unwrap();
                fs.append(LOG, &new).unwrap();
            },
        );
        let ran = machine(policy()).run(&fs).unwrap();
        let found = fs.content(LOG).unwrap();
        assert!(content.ends_with(&found), "{len}: {}", ran.story());
        assert!(len == 0 || !found.is_empty(), "{len}");
    }
}

#[test]
fn a_log_of_one_block_is_not_cut_and_what_is_missing_is_said() {
    let fs = disk(SimDisk::default());
    fs.put(LOG, noise(1, 400), NOON - 10).unwrap();
    let ran = machine(policy().quota(Bytes::new(100))).run(&fs).unwrap();
    assert!(ran.plan.steps.is_empty(), "{}", ran.story());
    assert_eq!(ran.plan.sets[0].shortfall, Bytes::new(BLOCK - 100));
}

/// It takes a look into each file.
#[test]
fn who_holds_a_log_is_asked_only_where_it_may_be_cut() {
    for (may, asked) in [(false, 0), (true, 1)] {
        let (fs, _) = full(HeadCuts::Close);
        let mut policy = policy();
        policy.live_trim = may;
        let before = fs.log().len();
        machine(policy).scan(&fs).unwrap();
        let ops = fs.log().into_iter().skip(before);
        assert_eq!(ops.filter(|call| call.op == SimOp::IsHeld).count(), asked);
    }
}
