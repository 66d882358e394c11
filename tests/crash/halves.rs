//! Archives that are half compressed, and what people do to their halves.

use std::path::Path;

use logquota::apply::Outcome;
use logquota::fs::sim::{Call, Content, Fault, SimDisk, SimFs, SimOp, Times};
use logquota::policy::{Limits, NewFile};
use logquota::{Bytes, Codec, Config, Error, SetSpec};
use logquota_tests::halves::unpacked;
use logquota_tests::sandbox::{Machine, NOON};

use crate::hazards::machine;
use crate::in_place::{
    LEN, PACKED, PLAIN, assert_done, assert_packed, cut_short, head, policy, scene,
};

fn is_changed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Skipped(Error::Changed { .. }))
}

/// Half an archive that does not fit into its quota, and what was planned for it, is done when
/// `meanwhile` has come before that.
fn evicted(meanwhile: impl FnOnce(&SimFs)) -> (SimFs, Vec<Outcome>) {
    let (fs, _) = scene(SimDisk::default(), 48 << 10);
    cut_short(&fs);
    let mut machine = machine(policy(Codec::Gzip).quota(Bytes::kib(20)));
    let inventory = machine.scan(&fs).unwrap();
    let plan = machine.plan(&inventory).unwrap();
    meanwhile(&fs);
    let outcomes = machine.apply(&fs, inventory, plan).report.outcomes;
    (fs, outcomes)
}

#[test]
fn h21_half_an_archive_of_which_either_half_has_changed_does_not_go() {
    for changed in [head(), PLAIN.to_owned()] {
        let (fs, outcomes) = evicted(|fs| fs.append(&changed, b"more").unwrap());
        assert!(outcomes.iter().any(is_changed), "{outcomes:?}");
        assert!(fs.exists(head()) && fs.exists(PLAIN), "{changed}");
    }
    // Another file in its place, with the same content.
    let (fs, outcomes) = evicted(|fs| {
        let content = fs.content(head()).unwrap();
        fs.unlink(head()).unwrap();
        fs.put(head(), Content::Bytes(content), NOON - 86_400).unwrap();
    });
    assert!(outcomes.iter().any(is_changed), "{outcomes:?}");
    assert!(fs.exists(head()) && fs.exists(PLAIN));
}

#[test]
fn half_an_archive_of_which_the_beginning_has_gone_goes() {
    let (fs, outcomes) = evicted(|fs| fs.unlink(head()).unwrap());
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{outcomes:?}");
    assert!(!fs.exists(head()) && !fs.exists(PLAIN));
    // At the very call.
    let (fs, outcomes) = evicted(|fs| {
        fs.interrupt(|call| call.op == SimOp::Remove, |fs| fs.unlink(head()).unwrap());
    });
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{outcomes:?}");
    assert!(!fs.exists(head()) && !fs.exists(PLAIN));
}

/// Somebody wonders what this file is, and takes it away, or moves it, or puts another one there.
#[test]
fn h46_nothing_more_is_taken_out_of_an_archive_whose_beginning_was_taken_away() {
    let ways: [fn(&SimFs); 3] = [
        |fs| fs.unlink(head()).unwrap(),
        |fs| fs.move_over(head(), "/d/what-is-this").unwrap(),
        |fs| {
            fs.move_over(head(), "/d/what-is-this").unwrap();
            fs.put(head(), Content::from("mine"), NOON).unwrap();
        },
    ];
    for (way, take_away) in ways.into_iter().enumerate() {
        for nth in 0..5 {
            let (fs, content) = scene(SimDisk::default(), 80 << 10);
            let mut seen = 0;
            fs.interrupt(
                move |call| {
                    let is_next = call.op == SimOp::Write;
                    seen += usize::from(is_next);
                    is_next && seen == nth + 1
                },
                take_away,
            );
            let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
            assert!(ran.report.outcomes.iter().any(is_changed), "{way} {nth}: {}", ran.story());
            let rest = fs.content(PLAIN).unwrap();
            let had = nth << 16;
            assert!(rest.len() == content.len() && rest[had..] == content[had..], "{way} {nth}");
            let moved = fs.content("/d/what-is-this").map(|moved| unpacked(&moved));
            assert!(moved.is_err() || moved.unwrap().starts_with(&content[..had]), "{way} {nth}");
            if way == 2 {
                assert_eq!(fs.content(head()).unwrap(), b"mine", "{nth}");
            }
        }
    }
}

#[test]
fn h20_a_source_does_not_go_for_what_somebody_has_put_in_the_place_of_its_copy() {
    let (fs, content) = scene(SimDisk::default(), 80 << 10);
    fs.interrupt(
        |call| call.op == SimOp::Rename,
        |fs| {
            fs.move_over(head(), "/d/what-is-this").unwrap();
            fs.put(head(), Content::from("mine"), NOON).unwrap();
        },
    );
    let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
    assert!(ran.report.outcomes.iter().any(is_changed), "{}", ran.story());
    assert_eq!(fs.content(PLAIN).unwrap().len(), content.len());
    assert_eq!(fs.content(PACKED).unwrap(), b"mine");
    assert!(unpacked(&fs.content("/d/what-is-this").unwrap()) == content);
}

/// A log whose archive does not fit into its quota, and lacks what is in a beginning that is not
/// known: nothing of it goes, and that is said.
fn assert_left_alone(fs: &SimFs, how: &str) {
    let before = [fs.content(head()).unwrap(), fs.content(PLAIN).unwrap()];
    let mut policy = policy(Codec::Gzip).quota(Bytes::kib(20)).rotate_at(Bytes::new(1));
    policy.max_age_days = Some(0);
    let ran = machine(policy).run(fs).unwrap();
    assert!(ran.plan.steps.is_empty(), "{how}: {}", ran.story());
    let name = head().replace("/d/", "");
    let is_told = |why: &str| why.contains("has holes") && why.contains(&name);
    let told = ran.plan.problems.iter().any(|p| p.is_error && is_told(&p.why));
    assert!(told, "{how}: {}", ran.story());
    let after = [fs.content(head()).unwrap(), fs.content(PLAIN).unwrap()];
    assert!(before == after, "{how}");
}

#[test]
fn a_log_is_left_alone_while_the_beginning_of_its_archive_cannot_be_looked_at() {
    for fault in [Fault::Io, Fault::Access] {
        let (fs, content) = scene(SimDisk::default(), 48 << 10);
        cut_short(&fs);
        let first = fs.calls();
        machine(policy(Codec::Gzip)).scan(&fs).unwrap();
        let is_head = |call: &&Call| call.index >= first && call.path == Path::new(&head());
        let calls = fs.log();
        let looked = calls.iter().find(is_head).unwrap();
        assert_eq!(looked.op, SimOp::Stat);
        fs.fail_at(fs.calls() + (looked.index - first), fault, Times::Once);
        assert_left_alone(&fs, &format!("{fault:?}"));
        assert_eq!(fs.faults_struck(), 1);
        machine(policy(Codec::Gzip)).settle(&fs, 3).unwrap();
        assert_done(&fs, &content, "another time");
    }
}

#[test]
fn h05_a_log_is_left_alone_while_the_beginning_of_its_archive_has_another_name() {
    let (fs, content) = scene(SimDisk::default(), 48 << 10);
    cut_short(&fs);
    fs.hardlink(head(), "/other").unwrap();
    assert_left_alone(&fs, "linked");
    fs.unlink("/other").unwrap();
    machine(policy(Codec::Gzip)).settle(&fs, 3).unwrap();
    assert_done(&fs, &content, "another time");
}

/// An older archive has to go; that gives room for a piece, and the log shrinks until it fits.
#[test]
fn what_has_just_been_rotated_is_compressed_in_place_and_not_lost_to_the_quota() {
    let (fs, content) = scene(SimDisk::default(), 64 << 10);
    fs.unlink(PLAIN).unwrap();
    fs.put(PLAIN, Content::Bytes(vec![b'x'; 64 << 10]), NOON - 2 * 86_400).unwrap();
    fs.put("/d/app.log", Content::Bytes(content.clone()), NOON - 86_400).unwrap();
    let quota = Bytes::new(LEN as u64 / 2);
    let mut policy = policy(Codec::Gzip).quota(quota).rotate_at(Bytes::kib(100));
    policy.create = Some(NewFile { mode: Some(0o640), uid: Some(0), gid: Some(4) });
    fs.assert_used_at_most(Bytes::mib(1));
    let mut machine = machine(policy);
    let ran = machine.run(&fs).unwrap();
    assert_done(&fs, &content, &ran.story());
    assert!(ran.plan.sets[0].shortfall > Bytes::ZERO, "{}", ran.story());
    assert_eq!(ran.report.shortfall(&ran.plan, 0), Bytes::ZERO, "{}", ran.story());
    assert!(ran.report.used[0] <= quota, "{}", ran.story());
    assert!(machine.run(&fs).unwrap().plan.steps.is_empty());
}

/// A quota over two sets: what compression has gained in one of them is gained for both.
#[test]
fn what_a_quota_of_all_lacks_in_the_end_is_measured_for_each_set() {
    let (fs, content) = scene(SimDisk::default(), 68 << 10);
    fs.unlink(PLAIN).unwrap();
    fs.put(PLAIN, Content::Bytes(vec![b'x'; 64 << 10]), NOON - 2 * 86_400).unwrap();
    fs.put("/d/app.log", Content::Bytes(content.clone()), NOON - 86_400).unwrap();
    fs.mkdir("/e").unwrap();
    fs.put("/e/b.log", Content::from("now\n"), NOON - 10).unwrap();
    let quota = Bytes::new(LEN as u64 / 2);
    let mut policy = policy(Codec::Gzip).rotate_at(Bytes::kib(100));
    policy.create = Some(NewFile { mode: Some(0o640), uid: Some(0), gid: Some(4) });
    let sets = ["/d/*.log", "/e/*.log"].map(|at| SetSpec::pattern(at, policy.clone()));
    let global = Limits { quota: Some(quota), ..Limits::default() };
    let mut machine = Machine::new(Config { sets: sets.into(), global, ..Config::default() });
    let ran = machine.run(&fs).unwrap();
    assert_done(&fs, &content, &ran.story());
    assert!(ran.report.used.iter().copied().sum::<Bytes>() <= quota, "{}", ran.story());
    for set in 0..2 {
        assert!(ran.plan.sets[set].shortfall > Bytes::ZERO, "{set}: {}", ran.story());
        assert_eq!(ran.report.shortfall(&ran.plan, set), Bytes::ZERO, "{set}: {}", ran.story());
    }
}

/// While its last piece is taken out and until it is unlinked: before each call but the last, which
/// nobody can look ahead of.
#[test]
fn h44_what_is_appended_in_the_last_moment_is_packed_too_or_stays_and_is_said() {
    let (reference, _) = scene(SimDisk::default(), 80 << 10);
    machine(policy(Codec::Gzip)).run(&reference).unwrap();
    let calls = reference.log();
    let of_source = |op: SimOp| {
        let is_it = |at: &usize| calls[*at].op == op && calls[*at].path == Path::new(PLAIN);
        (0..calls.len()).filter(is_it).collect::<Vec<usize>>()
    };
    let (punches, removed) = (of_source(SimOp::Punch), of_source(SimOp::Remove));
    let ([.., before, last], [gone]) = (&punches[..], &removed[..]) else { panic!("{calls:?}") };
    let renamed = calls.iter().rposition(|call| call.op == SimOp::Rename).unwrap();
    assert!(*last < renamed && renamed < *gone);
    for (at, long) in (before + 1..*gone).flat_map(|at| [(at, false), (at, true)]) {
        let (fs, mut content) = scene(SimDisk::default(), 80 << 10);
        let call = calls[at].clone();
        let about = format!("{long}, before {call}");
        let more = b"more\n".repeat(if long { 1000 } else { 1 });
        content.extend(&more);
        if at == *last {
            // It was looked at just before that: the block with the end of it goes.
            let end = content.len().min(LEN.next_multiple_of(4096));
            content[LEN..end].fill(0);
        }
        let expected = more.clone();
        fs.interrupt(
            move |next| next.index == call.index,
            move |fs| fs.append(PLAIN, &more).unwrap(),
        );
        let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
        let is_said =
            |outcome: &Outcome| matches!(outcome, Outcome::Skipped(Error::StillWritten { .. }));
        assert!(ran.report.outcomes.iter().any(is_said), "{about}: {}", ran.story());
        assert_eq!(fs.exists(PACKED), at >= renamed, "{about}: {}", ran.story());
        let ran = machine(policy(Codec::Gzip)).run(&fs).unwrap();
        if at < renamed {
            assert_packed(&fs, &content, &format!("{about}: {}", ran.story()));
            continue;
        }
        // Then there are two archives.
        assert!(fs.content(PLAIN).unwrap().ends_with(&expected), "{about}: {}", ran.story());
        assert!(unpacked(&fs.content(PACKED).unwrap()) == content[..LEN], "{about}");
    }
}
