//! Compressions in place: at every instant the archive is whole, once, whatever happens.

use std::path::Path;

use logquota::apply::Outcome;
use logquota::fs::sim::{Content, Fault, HeadCuts, SimDisk, SimFs, SimOp, Times, Unsynced};
use logquota::naming::head_name;
use logquota::plan::{Action, Problem, Wanted};
use logquota::policy::{Method, NewFile, Policy, RotateWhen, Rules};
use logquota::{Bytes, Codec, Error, Naming};
use logquota_tests::halves::{fill_after, joined, unpacked};
use logquota_tests::sandbox::{Machine, NOON, Ran};
use logquota_tests::workloads::{Random, noise};

use crate::hazards::{disk, machine};

pub(crate) const PLAIN: &str = "/d/app.log.1";
pub(crate) const PACKED: &str = "/d/app.log.1.gz";
const AGE: i64 = 86_400;

/// Five pieces, the last of which is not whole.
pub(crate) const LEN: usize = 4 * 65_536 + 10_000;

pub(crate) fn head() -> String {
    format!("/d/{}", head_name("app.log.1.gz".as_ref()).to_string_lossy())
}

/// What packs to a third, and some zeros: a piece of nothing else, and one that ends in them.
fn content(seed: u64) -> Vec<u8> {
    let Content::Bytes(noise) = noise(seed, LEN as u64) else { panic!("bytes") };
    let mut content: Vec<u8> =
        noise.iter().map(|byte| b"abcdefg\n"[usize::from(byte % 8)]).collect();
    content[65_536..131_072].fill(0);
    content[190_000..210_000].fill(0);
    content
}

pub(crate) fn policy(codec: Codec) -> Policy {
    let mut policy = Policy::default().rotate_when(RotateWhen::Never).keep_count(9);
    policy.if_empty = false;
    policy.compress(codec)
}

/// A disk with one plain archive, and room for one of its pieces.
pub(crate) fn scene(shape: SimDisk, room: u64) -> (SimFs, Vec<u8>) {
    let (capacity, block) = (Bytes::mib(1), Bytes::kib(4));
    let shape = SimDisk { capacity, block, gaps_in_parts: true, ..shape };
    let fs = disk(shape);
    let content = content(1);
    fs.put(PLAIN, Content::Bytes(content.clone()), NOON - AGE).unwrap();
    fs.put("/d/app.log", Content::from("now\n"), NOON - 10).unwrap();
    fs.put("/room", Content::Bytes(vec![7; usize::try_from(room).unwrap()]), NOON).unwrap();
    fs.fill_disk("/film").unwrap();
    fs.unlink("/room").unwrap();
    fs.settle();
    (fs, content)
}

/// What of the archive is there: whole frames of what is compressed, and the rest of the source.
fn whole(fs: &SimFs) -> Result<Vec<u8>, String> {
    let unpacked = |path: &str| fs.content(path).ok().map(|packed| unpacked(&packed));
    let plain = fs.content(PLAIN).ok();
    match (unpacked(PACKED), unpacked(&head()), plain) {
        (Some(all), None, _) => Ok(all),
        (None, None, Some(plain)) => Ok(plain),
        (None, Some(head), Some(plain)) => joined(&head, plain),
        other => Err(format!("{:?}", (other.0.is_some(), other.1.is_some(), other.2.is_some()))),
    }
}

fn ops(fs: &SimFs) -> Vec<SimOp> {
    fs.log().iter().map(|call| call.op).filter(|op| op.is_mutating()).collect()
}

fn is_squeeze(ran: &Ran) -> bool {
    ran.plan.steps.iter().any(|step| matches!(step.action, Action::Squeeze { .. }))
}

pub(crate) fn assert_done(fs: &SimFs, content: &[u8], how: &str) {
    assert_packed(fs, content, how);
    let entry = fs.snapshot().remove(std::path::Path::new(PACKED)).unwrap();
    assert_eq!(entry.mtime.secs, NOON - AGE, "{how}");
}

pub(crate) fn assert_packed(fs: &SimFs, content: &[u8], how: &str) {
    assert!(!fs.exists(PLAIN) && !fs.exists(head()), "{how}: {:?}", fs.snapshot().keys());
    assert_eq!(whole(fs).as_deref(), Ok(content), "{how}");
}

#[test]
fn what_has_no_room_beside_its_source_is_compressed_in_place() {
    let (fs, content) = scene(SimDisk::default(), 48 << 10);
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    assert!(is_squeeze(&ran) && ran.report.is_complete(), "{}", ran.story());
    assert_done(&fs, &content, &ran.story());
    assert!(machine(policy(Codec::Gzip)).run(&fs).unwrap().plan.steps.is_empty());
    let packed = fs.content(PACKED).unwrap().len() as u64;
    let used = Bytes::new(packed).in_blocks(Bytes::kib(4)).plus(Bytes::kib(4));
    assert_eq!(ran.report.used, [used]);
    // One piece after the other: each flushed before it is given back.
    let ops = ops(&fs);
    let punched: Vec<usize> = (0..ops.len()).filter(|at| ops[*at] == SimOp::Punch).collect();
    assert_eq!(punched.len(), 5);
    for at in punched {
        let write = ops[..at].iter().rposition(|op| *op == SimOp::Write).unwrap();
        assert!(ops[write..at].contains(&SimOp::Sync), "{ops:?}");
    }
}

#[test]
fn h53_an_archive_compressed_in_place_is_whole_at_every_call_of_every_crash() {
    for room in [48u64 << 10, 36 << 10] {
        let (fs, content) = scene(SimDisk::default(), room);
        fs.record_images();
        machine(policy(Codec::Gzip)).run(&fs).unwrap();
        let images = fs.images();
        assert!(images.len() > 30, "{}", images.len());
        for image in &images {
            for model in Unsynced::ALL {
                for seed in 0..6 {
                    let case = format!("{}/{model:?}/{seed}", image.call());
                    let after = image.reboot(model, seed ^ image.call());
                    assert_eq!(whole(&after).as_ref(), Ok(&content), "{case}");
                    let mut machine = machine(policy(Codec::Gzip));
                    let runs =
                        machine.settle(&after, 3).unwrap_or_else(|why| panic!("{case}: {why}"));
                    let story: String = runs.iter().map(Ran::story).collect();
                    assert_done(&after, &content, &format!("{case}\n{story}"));
                    if model == Unsynced::Kept {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn h56_a_crash_while_it_is_gone_on_with_loses_nothing() {
    let (fs, content) = scene(SimDisk::default(), 48 << 10);
    fs.record_images();
    machine(policy(Codec::Gzip)).run(&fs).unwrap();
    let mut random = Random(7);
    let mut pick = |count: usize| usize::try_from(random.below(count as u64)).unwrap();
    for image in &fs.images() {
        for round in 0..6u64 {
            let model = Unsynced::ALL[pick(3)];
            let again = image.reboot(model, round);
            again.record_images();
            machine(policy(Codec::Gzip)).run(&again).unwrap();
            let images = again.images();
            if images.is_empty() {
                continue;
            }
            let image = &images[pick(images.len())];
            let after = image.reboot(Unsynced::ALL[pick(3)], round);
            assert_eq!(whole(&after).as_ref(), Ok(&content));
            machine(policy(Codec::Gzip)).settle(&after, 3).unwrap();
            assert_done(&after, &content, "twice");
        }
    }
}

#[test]
fn h54_h55_a_fault_at_any_call_loses_nothing_and_the_next_run_goes_on() {
    let (reference, _) = scene(SimDisk::default(), 48 << 10);
    machine(policy(Codec::Gzip)).run(&reference).unwrap();
    for call in reference.log() {
        for fault in Fault::ERRORS {
            if !fault.applies_to(call.op) {
                continue;
            }
            for times in [Times::Once, Times::Forever] {
                let case = format!("{fault:?} {times:?} at {call}");
                let (fs, content) = scene(SimDisk::default(), 48 << 10);
                fs.fail_at(call.index, fault, times);
                let ran = machine(policy(Codec::Gzip)).run(&fs);
                let story = ran.as_ref().map_or_else(Clone::clone, Ran::story);
                fs.heal();
                assert_eq!(whole(&fs).as_ref(), Ok(&content), "{case}\n{story}");
                // A crash now, too, if what failed was not flushed.
                let model = if call.index % 2 == 0 { Unsynced::Torn } else { Unsynced::Dropped };
                let after = fs.reboot(model, call.index);
                assert_eq!(whole(&after).as_ref(), Ok(&content), "{case} {model:?}\n{story}");
                machine(policy(Codec::Gzip)).settle(&after, 3).unwrap();
                assert_packed(&after, &content, &case);
                machine(policy(Codec::Gzip)).settle(&fs, 3).unwrap();
                if fault == Fault::Access {
                    // Whose times nobody may set.
                    assert_packed(&fs, &content, &case);
                } else {
                    assert_done(&fs, &content, &format!("{case}\n{story}"));
                }
            }
        }
    }
}

#[test]
fn where_not_even_a_piece_has_room_what_is_done_stays_and_is_gone_on_with() {
    let (fs, content) = scene(SimDisk::default(), 48 << 10);
    // Somebody takes what the first two pieces have given back.
    fill_after(&fs, 3, "/more");
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    assert!(matches!(ran.report.outcomes[..], [Outcome::Skipped(Error::NoRoom { .. })]));
    assert!(fs.exists(head()) && fs.exists(PLAIN));
    assert_eq!(whole(&fs).as_ref(), Ok(&content));
    // It counts, and is nobody's leftover.
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    let used = ran.inventory.sets[0].used();
    let plain = fs.meta(PLAIN).unwrap().stamp.allocated;
    assert!(used > plain.plus(Bytes::kib(4)), "{used}");
    assert_eq!(ran.inventory.sets[0].files(), 2);
    assert!(ran.inventory.sets[0].logs[0].leftovers.is_empty());
    assert_eq!(whole(&fs).as_ref(), Ok(&content));
    fs.unlink("/more").unwrap();
    machine(policy(Codec::Gzip)).settle(&fs, 3).unwrap();
    assert_done(&fs, &content, "with room again");
}

#[test]
fn where_nothing_can_be_punched_out_it_stays_plain() {
    let shape = SimDisk { head_cuts: HeadCuts::Never, ..SimDisk::default() };
    let (fs, content) = scene(shape, 48 << 10);
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    assert!(matches!(ran.report.outcomes[..], [Outcome::Skipped(Error::NoRoom { .. })]));
    assert_eq!(fs.content(PLAIN).unwrap(), content);
    assert!(!fs.exists(head()) && !fs.exists(PACKED));
}

#[test]
fn where_blocks_are_larger_than_pieces_none_is_begun_and_nothing_is_lost() {
    let fs =
        disk(SimDisk { capacity: Bytes::mib(2), block: Bytes::kib(128), ..SimDisk::default() });
    let content = content(1);
    fs.put(PLAIN, Content::Bytes(content.clone()), NOON - AGE).unwrap();
    fs.put("/d/app.log", Content::from("now\n"), NOON - 10).unwrap();
    fs.put("/room", Content::Bytes(vec![7; 128 << 10]), NOON).unwrap();
    fs.fill_disk("/film").unwrap();
    fs.unlink("/room").unwrap();
    let mut machine = machine(policy(Codec::Gzip));
    let ran = machine.run(&fs).unwrap();
    assert!(!is_squeeze(&ran) && fs.content(PLAIN).unwrap() == content, "{}", ran.story());
    // By a plan for another file system.
    let mut inventory = machine.scan(&fs).unwrap();
    inventory.sets[0].space.block = Bytes::kib(4);
    let plan = machine.plan(&inventory).unwrap();
    let ran = machine.apply(&fs, inventory, plan);
    assert!(is_squeeze(&ran), "{}", ran.story());
    assert_done(&fs, &content, &ran.story());
}

#[test]
fn what_does_not_pack_stays_as_it_is() {
    let (fs, _) = scene(SimDisk::default(), 80 << 10);
    fs.unlink(PLAIN).unwrap();
    let Content::Bytes(noise) = noise(3, LEN as u64) else { panic!("bytes") };
    fs.put(PLAIN, Content::Bytes(noise.clone()), NOON - AGE).unwrap();
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    assert!(is_squeeze(&ran), "{}", ran.story());
    assert_eq!(fs.content(PLAIN).unwrap(), noise);
    assert!(!fs.exists(head()) && !fs.exists(PACKED));
}

/// There, what is left of a source that was finished would be taken for an archive.
#[test]
fn under_the_rules_of_logrotate_none_is_begun() {
    let (fs, content) = scene(SimDisk::default(), 80 << 10);
    let mut policy = policy(Codec::Gzip);
    policy.rules = Rules::Logrotate;
    let ran = machine(policy).run(&fs).unwrap();
    assert!(!is_squeeze(&ran), "{}", ran.story());
    assert!(fs.content(PLAIN).unwrap() == content && !fs.exists(head()));
}

#[test]
fn h44_what_is_appended_meanwhile_is_not_lost() {
    for op in [SimOp::Write, SimOp::Punch, SimOp::Sync, SimOp::Rename, SimOp::SyncDir] {
        for nth in 1..4 {
            let (fs, mut content) = scene(SimDisk::default(), 80 << 10);
            let mut seen = 0;
            fs.interrupt(
                move |call| {
                    seen += usize::from(call.op == op);
                    seen == nth && call.op != op
                },
                |fs| {
                    let _ = fs.append(PLAIN, b"more\n");
                },
            );
            machine(policy(Codec::Gzip)).run(&fs).unwrap();
            content.extend(b"more\n");
            let is_late = fs.exists(PACKED) && fs.exists(PLAIN);
            if is_late {
                assert!(fs.content(PLAIN).unwrap().ends_with(b"more\n"));
                continue;
            }
            let whole = whole(&fs).unwrap();
            assert!(whole == content || whole == content[..LEN], "{op:?} {nth}");
            if whole == content {
                machine(policy(Codec::Gzip)).settle(&fs, 3).unwrap();
                assert_eq!(self::whole(&fs).as_ref(), Ok(&content), "{op:?} {nth}");
            }
        }
    }
}

#[test]
fn h20_another_file_in_its_place_is_not_touched_and_nothing_is_lost() {
    // A younger one is not taken for the archive, an older one is not believed.
    for (changed, is_taken) in [(NOON - 50, false), (NOON - 2 * AGE, true)] {
        let (fs, content) = scene(SimDisk::default(), 48 << 10);
        cut_short(&fs);
        // Somebody rotates by himself.
        fs.move_over(PLAIN, "/d/app.log.2").unwrap();
        fs.unlink("/film").unwrap();
        fs.put(PLAIN, Content::Bytes(content[5..].to_vec()), changed).unwrap();
        let (before, moved) = (fs.content(head()).unwrap(), fs.content("/d/app.log.2").unwrap());
        let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
        let parted = |outcome: &Outcome| matches!(outcome, Outcome::Failed(Error::Parted { .. }));
        let is_parted = ran.report.outcomes.iter().any(parted);
        assert_eq!(is_parted, is_taken, "{}", ran.story());
        assert_eq!(fs.content(PLAIN).unwrap(), content[5..]);
        assert_eq!(fs.content(head()).unwrap(), before);
        let gone = fs.content("/d/app.log.2").ok();
        assert!(gone.as_ref().is_none_or(|now| *now == moved));
        if !is_taken {
            let is_told =
                ran.plan.problems.iter().any(|p| p.is_error && p.why.contains("has holes"));
            assert!(is_told && gone.is_some(), "{}", ran.story());
        }
    }
}

/// What an interrupted run has finished all but the end of grows: the pieces behind the old end
/// are no multiples of anything.
#[test]
fn what_was_appended_behind_all_that_was_packed_is_packed_whole() {
    for odd in [1, 30_573, (64 << 10) - 1] {
        let (fs, mut content) = scene(SimDisk::default(), 80 << 10);
        content.truncate(LEN - odd);
        fs.put(PLAIN, Content::Bytes(content.clone()), NOON - AGE).unwrap();
        fs.interrupt(
            |call| call.op == SimOp::Rename,
            |fs| {
                let next = fs.calls()..=fs.calls() + 2;
                next.for_each(|call| fs.fail_at(call, Fault::Io, Times::Once));
            },
        );
        machine(policy(Codec::Gzip)).run(&fs).unwrap();
        fs.heal();
        assert!(fs.exists(head()) && fs.exists(PLAIN), "{odd}");
        fs.unlink("/film").unwrap();
        let more: Vec<u8> =
            (0..700u32 << 10).map(|n| n.to_le_bytes()[n as usize % 3] | 1).collect();
        fs.append(PLAIN, &more).unwrap();
        content.extend(more);
        machine(policy(Codec::Gzip)).settle(&fs, 4).unwrap();
        assert!(whole(&fs).as_ref() == Ok(&content), "{odd}");
    }
}

/// Stops a run when three pieces are in the head.
pub(crate) fn cut_short(fs: &SimFs) {
    fill_after(fs, 3, "/more");
    machine(policy(Codec::Gzip)).run(fs).unwrap();
    fs.unlink("/more").unwrap();
    assert!(fs.exists(head()) && fs.exists(PLAIN));
}

#[test]
fn a_log_with_half_an_archive_is_not_rotated_before_that_is_whole() {
    let ways = [
        (Method::Rename, Rules::Own),
        (Method::CopyTruncate, Rules::Own),
        (Method::Rename, Rules::Logrotate),
    ];
    for (method, rules) in ways {
        let (fs, content) = scene(SimDisk::default(), 48 << 10);
        cut_short(&fs);
        let mut policy = policy(Codec::Gzip).rotate_at(Bytes::new(1));
        (policy.method, policy.rules) = (method, rules);
        let mut machine = machine(policy);
        let ran = machine.run(&fs).unwrap();
        assert!(ran.plan.problems.iter().any(|p| p.why.contains("in place") && !p.is_error));
        assert_done(&fs, &content, &ran.story());
        assert_eq!(fs.content("/d/app.log").unwrap(), b"now\n");
        machine.run(&fs).unwrap();
        assert!(fs.exists("/d/app.log.2.gz"));
    }
}

#[test]
fn half_an_archive_that_cannot_be_finished_is_an_error() {
    for (why, is_linked) in [("2 names (hard links)", true), ("is in the way", false)] {
        let (fs, _) = scene(SimDisk::default(), 48 << 10);
        cut_short(&fs);
        if is_linked {
            fs.hardlink(PLAIN, "/evidence").unwrap();
        } else {
            fs.mkdir(PACKED).unwrap();
        }
        let ran = machine(policy(Codec::Gzip).rotate_at(Bytes::new(1))).run(&fs).unwrap();
        let is_told = |p: &Problem| p.is_error && p.why.contains(why) && p.path == Path::new(PLAIN);
        assert!(ran.plan.problems.iter().any(is_told), "{:?}", ran.plan.problems);
        assert!(fs.exists(head()) && fs.exists(PLAIN) && fs.exists("/d/app.log"));
    }
}

/// Where no archive is ever renamed, it need not wait.
#[test]
fn a_log_with_dated_names_is_rotated_beside_half_an_archive() {
    let (fs, content) = scene(SimDisk::default(), 48 << 10);
    let dated = "/d/app.log.0000000001-20261120T120000Z";
    fs.move_over(PLAIN, dated).unwrap();
    let mut policy = policy(Codec::Gzip);
    policy.naming = Naming::sequence();
    fill_after(&fs, 3, "/more");
    machine(policy.clone()).run(&fs).unwrap();
    policy.create = Some(NewFile { mode: Some(0o640), uid: Some(0), gid: Some(0) });
    let ran = machine(policy.rotate_at(Bytes::new(1))).run(&fs).unwrap();
    assert_eq!(fs.content("/d/app.log").unwrap(), b"", "{}", ran.story());
    fs.unlink("/more").unwrap();
    machine(self::policy(Codec::Gzip)).settle(&fs, 3).unwrap();
    let packed = fs.content(format!("{dated}.gz")).unwrap();
    assert_eq!(unpacked(&packed), content);
}

#[test]
fn half_an_archive_goes_as_one() {
    let (fs, _) = scene(SimDisk::default(), 48 << 10);
    cut_short(&fs);
    fs.record_images();
    let policy = policy(Codec::Gzip).quota(Bytes::kib(20));
    let ran = machine(policy.clone()).run(&fs).unwrap();
    assert!(ran.report.is_complete() && !fs.exists(head()) && !fs.exists(PLAIN), "{}", ran.story());
    assert_eq!(ran.report.used, [Bytes::kib(4)]);
    for image in &fs.images() {
        for model in Unsynced::ALL {
            let after = image.reboot(model, 3);
            machine(policy.clone()).settle(&after, 3).unwrap();
            assert!(!after.exists(head()) && !after.exists(PLAIN), "{model:?}");
        }
    }
}

#[test]
fn a_configuration_that_compresses_no_longer_finishes_it_all_the_same() {
    for change in [Codec::Zstd, Codec::Gzip] {
        let (fs, content) = scene(SimDisk::default(), 48 << 10);
        cut_short(&fs);
        let mut policy = policy(change);
        if change == Codec::Gzip {
            policy.compress = None;
        }
        machine(policy).run(&fs).unwrap();
        assert_done(&fs, &content, "another configuration");
    }
}

#[test]
fn a_head_without_its_archive_stays_and_is_told_of() {
    let (fs, _) = scene(SimDisk::default(), 48 << 10);
    cut_short(&fs);
    fs.unlink(PLAIN).unwrap();
    let before = fs.content(head()).unwrap();
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    assert!(ran.inventory.notes.iter().any(|note| note.why.contains("compressed in place")));
    assert_eq!(fs.content(head()).unwrap(), before);
}

#[test]
fn h05_what_has_other_names_or_is_written_elsewhere_is_not_compressed_in_place() {
    let (fs, content) = scene(SimDisk::default(), 48 << 10);
    fs.write_elsewhere();
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    assert!(matches!(ran.report.outcomes[..], [Outcome::Skipped(Error::StillWritten { .. })]));
    assert_eq!(fs.content(PLAIN).unwrap(), content);
    let (fs, content) = scene(SimDisk::default(), 48 << 10);
    fs.hardlink(PLAIN, "/other").unwrap();
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    assert!(!is_squeeze(&ran), "{}", ran.story());
    assert_eq!(fs.content(PLAIN).unwrap(), content);
}

/// To free space: where not even a little is free, the first that goes makes the room.
#[test]
fn to_free_space_archives_are_compressed_in_place_before_they_go() {
    for room in [48u64 << 10, 0] {
        let (fs, content) = scene(SimDisk::default(), (200 << 10) + room);
        for n in 2..=4 {
            let old = vec![5; 65_536];
            fs.put(format!("/d/app.log.{n}.gz"), Content::Bytes(old), NOON - n * AGE).unwrap();
        }
        fs.fill_disk("/more").unwrap();
        if room > 0 {
            fs.unlink("/more").unwrap();
        }
        let mut free: Machine = machine(policy(Codec::Gzip));
        free.free = Some(Wanted::Bytes(Bytes::kib(170)));
        let ran = free.run(&fs).unwrap();
        let names: Vec<&str> = ran.plan.steps.iter().map(|step| step.action.name()).collect();
        let expected = if room > 0 {
            ["squeeze", "delete", "delete"].as_slice()
        } else {
            &["delete", "squeeze", "delete", "delete"]
        };
        assert_eq!(names, expected, "{}", ran.story());
        assert_done(&fs, &content, &ran.story());
        let gone = (2..=4).filter(|n| !fs.exists(format!("/d/app.log.{n}.gz"))).count();
        assert_eq!(gone, usize::from(room == 0), "{}", ran.story());
    }
}
