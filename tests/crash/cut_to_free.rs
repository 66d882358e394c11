//! Logs that are cut to free space: what goes is what was seen, once, whatever happens between.

use std::collections::BTreeMap;

use logquota::apply::{NoHooks, Options, Outcome, apply};
use logquota::fs::sim::{Content, Fault, HeadCuts, SimDisk, SimFs, SimOp, Times, Unsynced};
use logquota::plan::{Action, Expect, KEPT_MIN, Plan, Wanted};
use logquota::policy::{Policy, RotateWhen};
use logquota::{Bytes, Config, Error, Naming, SetSpec};
use logquota_tests::sandbox::{Machine, NOON};

use crate::common::word;
use crate::hazards::disk;

/// Bytes of a record: some of them are a block.
const RECORD: usize = 64;

const LOG: &str = "/d/a.log";

/// Two logs and an archive, in KiB.
const FILES: [(&str, u32); 3] = [(LOG, 200), ("/d/a.log.1", 20), ("/d/b.log", 90)];

/// So much of them goes for [`GOAL`]: the archive, and of the longer log until both are equal.
const GOAL: u64 = 144;
const CUT: [(&str, u64); 2] = [(LOG, 117), ("/d/b.log", 7)];

/// Records that nothing else has.
fn records(about: &str, kib: u32) -> Vec<u8> {
    let count = kib * 1024 / u32::try_from(RECORD).unwrap();
    let record = |number| format!("{about:<20}{number:>43}\n").into_bytes();
    (0..count).flat_map(record).collect()
}

/// A full disk.
fn full(head_cuts: HeadCuts) -> SimFs {
    let fs = disk(SimDisk { capacity: Bytes::kib(400), head_cuts, ..SimDisk::default() });
    for (path, kib) in FILES {
        fs.put(path, Content::Bytes(records(path, kib)), NOON - 86_400).unwrap();
    }
    fs.fill_disk("/full").unwrap();
    fs.settle();
    fs
}

fn machine() -> Machine {
    let mut policy =
        Policy::for_directory(Bytes::mib(1)).rotate_when(RotateWhen::Size(Bytes::kib(1)));
    policy.limits.quota = None;
    policy.naming = Naming::numbered(1);
    let config = Config::single(SetSpec::pattern("/d/*.log", policy));
    let free = Some(Wanted::Bytes(Bytes::kib(GOAL)));
    Machine { free, cuts_logs: true, ..Machine::new(config) }
}

fn planned(fs: &SimFs) -> Plan {
    let machine = machine();
    machine.plan(&machine.scan(fs).unwrap()).unwrap()
}

fn cuts(plan: &Plan) -> Vec<(String, u64)> {
    let cut = |action: &Action| match action {
        Action::Trim { at, cut, .. } => {
            Some((format!("/d/{}", at.name.display()), cut.get() >> 10))
        }
        _ => None,
    };
    plan.steps.iter().filter_map(|step| cut(&step.action)).collect()
}

/// What became of the cuts, or of the first thing that is none.
fn outcomes(fs: &SimFs, plan: &Plan) -> Vec<Outcome> {
    let report = apply(plan, fs, &mut NoHooks, &Options { threads: 1 });
    let all = std::iter::zip(&plan.steps, report.outcomes);
    let cuts = all.filter(|(step, _)| matches!(step.action, Action::Trim { .. }));
    cuts.map(|(_, outcome)| outcome).collect()
}

fn are_left_alone(outcomes: &[Outcome]) -> bool {
    let is_left = |o: &Outcome| matches!(o, Outcome::Skipped(Error::Changed { .. }));
    outcomes.len() == CUT.len() && outcomes.iter().all(is_left)
}

/// Appends so much to each log that was cut.
fn refill(fs: &SimFs) {
    for (path, kib) in CUT {
        let kib = u32::try_from(kib).unwrap();
        fs.append(path, &records("later", kib)).unwrap();
    }
}

#[test]
fn h24_a_log_that_was_cut_and_has_grown_again_is_another_one() {
    for cut in [HeadCuts::Close, HeadCuts::Leave] {
        let fs = full(cut);
        // Without the archive, so that the same is missing later.
        fs.unlink("/d/a.log.1").unwrap();
        fs.put("/full-too", Content::Fill(b'x', 20 << 10), NOON).unwrap();
        let shown = Machine { free: Some(Wanted::Bytes(Bytes::kib(124))), ..machine() };
        let plan = |fs: &SimFs| shown.plan(&shown.scan(fs).unwrap()).unwrap();
        let first = plan(&fs);
        let expected = CUT.map(|(path, kib)| (path.to_owned(), kib));
        assert_eq!(cuts(&first), expected);
        assert_eq!(plan(&fs).id, first.id);
        assert!(outcomes(&fs, &first).iter().all(|o| matches!(o, Outcome::Done)));
        refill(&fs);
        let before = fs.content(LOG).unwrap();
        let again = plan(&fs);
        assert_eq!(cuts(&again), expected, "{cut:?}");
        assert_ne!(again.id, first.id, "{cut:?}");
        assert!(are_left_alone(&outcomes(&fs, &first)), "{cut:?}");
        assert!(fs.content(LOG).unwrap() == before, "{cut:?}");
        // Who has seen that is not hindered.
        assert!(outcomes(&fs, &again).iter().all(|o| matches!(o, Outcome::Done)), "{cut:?}");
    }
}

#[test]
fn a_log_that_only_grows_is_the_same_and_is_cut() {
    let fs = full(HeadCuts::Close);
    fs.put("/full", Content::Fill(b'x', 10 << 10), NOON).unwrap();
    let free = fs.free().plus(Bytes::kib(144));
    let grown = Machine { free: Some(Wanted::Bytes(free)), ..machine() };
    let plan = || grown.plan(&grown.scan(&fs).unwrap()).unwrap();
    let first = plan();
    fs.append(LOG, b"a record of another length\n").unwrap();
    assert_eq!(plan().id, first.id);
    fs.append("/d/b.log", b"another one\n").unwrap();
    assert!(outcomes(&fs, &first).iter().all(|o| matches!(o, Outcome::Done)));
}

/// Where a file system keeps no time of birth and gives an inode to the next file, a new log has
/// all that the old one had but what is in it; and so has one that was emptied and written anew.
#[test]
fn h19_another_log_in_the_inode_of_the_one_that_was_seen_is_not_cut() {
    for at in [None, Some(SimOp::IsHeld), Some(SimOp::OpenToTrim)] {
        let fs = full(HeadCuts::Close);
        let plan = planned(&fs);
        let id = fs.meta(LOG).unwrap().stamp.id;
        let replace = move |fs: &SimFs| {
            for (path, _) in CUT {
                let kib = FILES.iter().find(|(name, _)| *name == path).unwrap().1;
                fs.put(path, Content::Bytes(records("new", kib)), NOON).unwrap();
            }
        };
        match at {
            None => {
                replace(&fs);
                assert_ne!(planned(&fs).id, plan.id);
            }
            Some(op) => fs.interrupt(move |call| call.op == op, replace),
        }
        assert!(are_left_alone(&outcomes(&fs, &plan)), "{at:?}");
        assert_eq!(fs.meta(LOG).unwrap().stamp.id, id);
        assert!(fs.content(LOG).unwrap() == records("new", 200), "{at:?}");
    }
}

/// What nobody has looked at was not seen by a person.
#[test]
fn a_log_whose_oldest_records_could_not_be_read_is_not_cut_to_free_space() {
    let fs = full(HeadCuts::Close);
    let mut plan = planned(&fs);
    for step in &mut plan.steps {
        if let Expect::SameOldest(id, _) = step.expect {
            step.expect = Expect::SameFile(id);
        }
    }
    let is_left = |o: &Outcome| matches!(o, Outcome::Skipped(Error::StillWritten { .. }));
    assert!(outcomes(&fs, &plan).iter().all(is_left));
    assert!(fs.content(LOG).unwrap() == records(LOG, 200));
}

/// Every record that is there, and how often. A gap has none.
fn found(fs: &SimFs) -> BTreeMap<Vec<u8>, u32> {
    let mut found = BTreeMap::new();
    for (path, _) in FILES.iter().filter(|(path, _)| fs.exists(path)) {
        let content = fs.content(path).unwrap();
        assert!(content.len().is_multiple_of(RECORD), "{path}");
        for record in content.chunks(RECORD).filter(|record| record.iter().any(|b| *b != 0)) {
            *found.entry(record.to_vec()).or_default() += 1;
        }
    }
    found
}

/// Records that are not among those that go, if so much is cut off each log, in KiB.
fn kept(cuts: [(&str, u64); 2]) -> BTreeMap<Vec<u8>, u32> {
    let mut kept = BTreeMap::new();
    for (path, kib) in FILES {
        let cut = cuts.iter().find(|(name, _)| *name == path);
        let cut = cut.map_or(u64::from(kib), |(_, kib)| *kib);
        let skipped = usize::try_from(cut * 1024).unwrap();
        let content = records(path, kib);
        kept.extend(content[skipped..].chunks(RECORD).map(|record| (record.to_vec(), 1)));
    }
    kept
}

/// Nothing is there twice, and nothing is gone but what the plan takes.
#[track_caller]
fn assert_kept(fs: &SimFs, kept: &BTreeMap<Vec<u8>, u32>, about: &str) {
    let found = found(fs);
    assert!(found.values().all(|count| *count == 1), "{about}: twice");
    let lost = kept.keys().filter(|record| !found.contains_key(*record));
    let lost: Vec<_> = lost.map(|record| String::from_utf8_lossy(record).into_owned()).collect();
    assert_eq!(lost.first(), None, "{about}: {} records are lost", lost.len());
}

/// And the next run ends where the unhindered one ends.
#[test]
fn h52_of_logs_that_are_cut_to_free_space_a_crash_at_any_call_takes_no_record_more() {
    let kept = kept(CUT);
    for cut in [HeadCuts::Close, HeadCuts::Leave] {
        let fs = full(cut);
        fs.record_images();
        let ran = machine().run(&fs).unwrap();
        assert_eq!(cuts(&ran.plan), CUT.map(|(path, kib)| (path.to_owned(), kib)));
        assert!(found(&fs) == kept);
        let images = fs.images();
        assert!(images.len() > 4, "{}", images.len());
        for image in &images {
            for model in Unsynced::ALL {
                let fs = image.reboot(model, image.call());
                let about = format!("{cut:?}, {} at call {}", word(model), image.call());
                assert_kept(&fs, &kept, &about);
                let ran = machine().run(&fs).unwrap();
                assert!(ran.report.is_complete(), "{about}: {}", ran.story());
                assert!(found(&fs) == kept, "{about}: {}", ran.story());
                assert_eq!(fs.free(), Bytes::kib(GOAL), "{about}");
            }
        }
    }
}

/// Where a log could not be cut, the last one goes on to a round amount, and keeps its newest.
#[test]
fn h52_of_logs_that_are_cut_to_free_space_a_fault_at_any_call_takes_no_record_more() {
    let kept = kept([CUT[0], (CUT[1].0, 90 - (KEPT_MIN.get() >> 10))]);
    for cut in [HeadCuts::Close, HeadCuts::Leave] {
        let whole = full(cut);
        let plan = planned(&whole);
        let before = whole.calls();
        assert_eq!(outcomes(&whole, &plan).len(), 2);
        let calls: Vec<_> = whole.log().into_iter().filter(|call| call.index >= before).collect();
        let mut tried = 0;
        for (call, times) in
            calls.iter().flat_map(|call| [(call, Times::Once), (call, Times::Forever)])
        {
            for fault in Fault::ERRORS.into_iter().filter(|fault| fault.applies_to(call.op)) {
                let fs = full(cut);
                let plan = planned(&fs);
                fs.fail_at(call.index, fault, times);
                outcomes(&fs, &plan);
                fs.heal();
                let about = format!("{cut:?}, {fault:?} at {call}, {times:?}");
                assert_kept(&fs, &kept, &about);
                let ran = machine().run(&fs).unwrap();
                assert!(ran.report.is_complete(), "{about}: {}", ran.story());
                assert_kept(&fs, &kept, &about);
                // An archive that could not go at first may go now for the last block.
                let range = Bytes::kib(GOAL)..=Bytes::kib(GOAL + 20);
                assert!(range.contains(&fs.free()), "{about}: {}", fs.free());
                tried += 1;
            }
        }
        assert!(tried > 50, "{tried}");
    }
}
