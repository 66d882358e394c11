//! Plans to free space: what gives way, in which order, and how much of it.

use logquota::apply::Outcome;
use logquota::fs::sim::{Content, SimDisk, SimFs, Unsynced};
use logquota::fs::{Hold, ReadFs as _, WriteFs as _};
use logquota::naming::temporary_name;
use logquota::plan::guard::{Exceeded, Guards, first_unsure, loses};
use logquota::plan::{Action, Expect, Goal, KEPT_MIN, Plan, Reason, Verdict, Wanted, check, plan};
use logquota::policy::{Policy, RotateWhen, SetSpec};
use logquota::scan::note_oldest;
use logquota::{Bytes, Codec, Config};
use logquota_tests::generate::{Odd, cases};
use logquota_tests::proptest_config;
use logquota_tests::sandbox::{Machine, NOON, Ran, Recorder, at};
use logquota_tests::show::show;
use logquota_tests::workloads::noise;
use proptest::prelude::*;

const DAY: i64 = 86_400;

/// Never due by itself; everything stays.
fn policy() -> Policy {
    let mut policy =
        Policy::for_directory(Bytes::mib(1)).rotate_when(RotateWhen::Size(Bytes::kib(1)));
    policy.limits.quota = None;
    policy.naming = logquota::Naming::numbered(1);
    policy
}

/// A full disk of 400 KiB with `NAME:KIB@DAYS`, and somebody else's file on the rest.
fn disk(files: &str) -> SimFs {
    let disk = SimDisk { capacity: Bytes::kib(400), ..SimDisk::default() };
    let fs = SimFs::new(disk);
    fs.mkdir("/log").expect("a folder");
    for file in files.split_whitespace() {
        let (name, rest) = file.split_once(':').expect("NAME:KIB");
        let (kib, days) = rest.split_once('@').unwrap_or((rest, "0"));
        let (kib, days): (u64, i64) = (kib.parse().expect("KIB"), days.parse().expect("days"));
        let content = noise(u64::try_from(days).unwrap_or(0) + kib, kib * 1024);
        fs.put(format!("/log/{name}"), content, NOON - days * DAY).expect("a file");
    }
    fs.fill_disk("/full").expect("a file");
    fs.settle();
    fs
}

fn machine(policy: Policy, free: Bytes) -> Machine {
    let config = Config::single(SetSpec::pattern("/log/*.log", policy));
    Machine { free: Some(Wanted::Bytes(free)), ..Machine::new(config) }
}

fn run(fs: &SimFs, policy: Policy, free: Bytes) -> Ran {
    machine(policy, free).run(fs).expect("a run")
}

/// What is done to which file, and `-` before what was not.
fn story(ran: &Ran) -> String {
    let steps = ran.plan.steps.iter().zip(&ran.report.outcomes);
    let words: Vec<_> = steps
        .map(|(step, outcome)| {
            let name = step.action.place().map(|at| at.name.to_string_lossy().into_owned());
            let sign = if matches!(outcome, Outcome::Done) { "" } else { "-" };
            format!("{sign}{} {}", step.action.name(), name.unwrap_or_default())
        })
        .collect();
    words.join(", ")
}

fn evicted(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step.reason, Reason::Reserve { .. })).count()
}

#[test]
fn the_goal_is_met_by_the_largest_logs_oldest_archives_and_by_no_more() {
    let files = "a.log:40 a.log.1:20@1 a.log.2:20@2 a.log.3:20@3 b.log:4 b.log.1:10@1 b.log.2:10@2";
    for (kib, expected) in [
        (0, ""),
        (1, "delete a.log.3"),
        (20, "delete a.log.3"),
        (21, "delete a.log.3, delete a.log.2"),
        (60, "delete a.log.3, delete a.log.2, delete a.log.1"),
        (61, "delete a.log.3, delete a.log.2, delete a.log.1, delete b.log.2"),
        (80, "delete a.log.3, delete a.log.2, delete a.log.1, delete b.log.2, delete b.log.1"),
    ] {
        let fs = disk(files);
        let ran = run(&fs, policy(), Bytes::kib(kib));
        assert_eq!(story(&ran), expected, "{kib} KiB");
        assert!(fs.free() >= Bytes::kib(kib), "{kib} KiB: {} are free", fs.free());
        assert_eq!(ran.plan.sets[0].shortfall, Bytes::ZERO);
    }
}

#[test]
fn h40_a_goal_in_inodes_is_met_by_the_logs_with_the_most_files_and_by_no_more() {
    // The largest log is not the one with the most files. Two more: the folder and the root.
    let files = "a.log:40 a.log.1:90@1 b.log:4 b.log.1:1@1 b.log.2:1@2 b.log.3:1@3 b.log.4:1@4";
    for (count, expected, missing) in [
        (0, "", 0),
        (1, "delete b.log.4", 0),
        (3, "delete b.log.4, delete b.log.3, delete b.log.2", 0),
        (6, "delete b.log.4, delete b.log.3, delete b.log.2, delete a.log.1, delete b.log.1", 1),
    ] {
        let fs = SimFs::new(SimDisk { inodes: 9, ..SimDisk::default() });
        fs.mkdir("/log").expect("a folder");
        for file in files.split_whitespace() {
            let (name, rest) = file.split_once(':').expect("NAME:KIB");
            let (kib, days) = rest.split_once('@').unwrap_or((rest, "0"));
            let (kib, days): (u64, i64) = (kib.parse().expect("KIB"), days.parse().expect("days"));
            let content = noise(kib, kib * 1024);
            fs.put(format!("/log/{name}"), content, NOON - days * DAY).expect("a file");
        }
        fs.settle();
        let compressing = policy().compress(Codec::Gzip);
        let config = Config::single(SetSpec::pattern("/log/*.log", compressing));
        let free = Some(Wanted::Inodes(count));
        let ran = Machine { free, ..Machine::new(config) }.run(&fs).expect("a run");
        assert_eq!(story(&ran), expected, "{count} inodes");
        assert_eq!(ran.plan.sets[0].files_shortfall, missing, "{count} inodes");
        assert_eq!(ran.plan.sets[0].shortfall, Bytes::ZERO);
        assert!(ran.plan.steps.iter().all(|step| matches!(step.reason, Reason::Inodes { .. })));
    }
}

#[test]
fn h40_somebody_else_who_frees_inodes_meanwhile_saves_archives() {
    let fs = SimFs::new(SimDisk { inodes: 6, ..SimDisk::default() });
    fs.mkdir("/log").expect("a folder");
    for name in ["a.log", "a.log.1", "a.log.2", "foreign"] {
        fs.put(format!("/log/{name}"), noise(1, 1024), NOON - DAY).expect("a file");
    }
    fs.settle();
    let config = Config::single(SetSpec::pattern("/log/*.log", policy()));
    let machine = Machine { free: Some(Wanted::Inodes(2)), ..Machine::new(config) };
    let inventory = machine.scan(&fs).expect("a scan");
    let plan = machine.plan(&inventory).expect("a plan");
    assert_eq!(plan.steps.len(), 2);
    fs.unlink("/log/foreign").expect("it is there");
    let mut hooks = logquota::apply::NoHooks;
    let options = logquota::apply::Options { threads: 1 };
    let report = logquota::apply::apply(&plan, &fs, &mut hooks, &options);
    assert!(matches!(report.outcomes[..], [Outcome::Done, Outcome::NotNeeded]), "{report:?}");
}

#[test]
fn what_cannot_be_found_is_said_and_no_log_is_rotated_for_it() {
    let fs = disk("a.log:90 a.log.1:20@1");
    let ran = run(&fs, policy(), Bytes::kib(100));
    assert_eq!(story(&ran), "delete a.log.1");
    assert_eq!(ran.plan.sets[0].shortfall, Bytes::kib(80));
    assert!(ran.plan.due.is_empty());
    assert_eq!(fs.meta("/log/a.log").map(|meta| meta.stamp.len).ok(), Some(90 << 10));
}

/// A block of the configuration that has errors.
#[test]
fn of_logs_that_are_left_alone_nothing_goes() {
    let files = "a.log:200 a.log.1:20@1 a.log.2:20@2";
    let mut machine = cutting(100);
    machine.config.sets[0].policy = Policy::left_alone();
    let fs = disk(files);
    let ran = machine.run(&fs).expect("a run");
    assert_eq!(story(&ran), "");
    assert_eq!(ran.plan.sets[0].shortfall, Bytes::kib(100));
    // Nor in a run, whatever the limits over all blocks say.
    let mut machine = Machine { free: None, ..machine };
    machine.config.global.max_files = Some(1);
    machine.config.global.quota = Some(Bytes::kib(10));
    let ran = machine.run(&fs).expect("a run");
    assert_eq!(story(&ran), "");
}

#[test]
fn leftovers_and_expired_archives_go_before_anything_that_somebody_may_want() {
    let temp = temporary_name("a.log".as_ref()).to_string_lossy().into_owned();
    let files =
        format!("a.log:4 a.log.1:20@1 a.log.2:20@2 a.log.3:20@30 {temp}:20 b.log:4 b.log.1:30@1");
    let mut policy = policy();
    policy.max_age_days = Some(14);
    let fs = disk(&files);
    fs.chown(format!("/log/{temp}"), 0o600, 0, 0).expect("a leftover");
    let ran = run(&fs, policy.clone(), Bytes::kib(30));
    assert_eq!(story(&ran), format!("delete {temp}, delete a.log.3"));
    let fs = disk(&files);
    fs.chown(format!("/log/{temp}"), 0o600, 0, 0).expect("a leftover");
    let ran = run(&fs, policy, Bytes::kib(60));
    assert_eq!(story(&ran), format!("delete {temp}, delete a.log.3, delete a.log.2"));
}

#[test]
fn what_compression_gains_is_not_deleted_on_top() {
    let mut policy = policy();
    policy.compress = Some(logquota::policy::Compress::with(Codec::Gzip));
    // Room for one compressed file, not for all.
    let fs = SimFs::new(SimDisk { capacity: Bytes::kib(400), ..SimDisk::default() });
    fs.mkdir("/log").expect("a folder");
    for (name, days) in [("a.log", 0), ("a.log.1", 1), ("a.log.2", 2), ("a.log.3", 3)] {
        let fill = Content::Fill(b'x', 60 << 10);
        fs.put(format!("/log/{name}"), fill, NOON - days * DAY).expect("a file");
    }
    let rest = fs.free().minus(Bytes::kib(64));
    fs.put("/other", Content::Fill(b'y', rest.get()), 0).expect("a file");
    fs.settle();
    let ran = run(&fs, policy, Bytes::kib(120));
    assert_eq!(evicted(&ran.plan), 1, "{}", show(&ran.plan));
    assert_eq!(
        story(&ran),
        "compress a.log.1, compress a.log.2, -delete a.log.3",
        "{}",
        ran.story()
    );
    assert!(matches!(ran.report.outcomes.last(), Some(Outcome::NotNeeded)));
    assert!(ran.report.is_complete());
    assert!(fs.exists("/log/a.log.3") && fs.free() >= Bytes::kib(120));
}

/// Where the file system keeps no birth times.
#[test]
fn h19_what_changed_since_a_plan_is_not_told_from_another_file_and_what_changed_before_is() {
    let fs = disk("a.log:20@0 a.log.1:20@1 a.log.2:20@2");
    let mut plan = run(&fs, policy(), Bytes::kib(100)).plan;
    let made = plan.created.timestamp();
    let mut is_unsure = |changed: i64, now: i64| {
        for step in &mut plan.steps {
            let Expect::Unchanged(stamp) = &mut step.expect else { continue };
            (stamp.id.btime, stamp.ctime.secs) = (None, changed);
        }
        first_unsure(&plan, at(now)).is_some()
    };
    for (changed, now, expected) in [
        (made - 2, made + 5, false),
        (made - 1, made + 5, true),
        (made, made, true),
        (made + 3, made + 5, true),
        // On a device whose clock is behind, all files are of the future.
        (made + 900_000, made + 5, false),
        // The clock was set back meanwhile.
        (made, made - 900, true),
    ] {
        assert_eq!(is_unsure(changed, now), expected, "{changed} {now}");
    }
}

#[test]
fn the_newest_archive_of_a_log_that_is_missing_stays() {
    // A run was cut after its rename: the writer still has that file.
    let fs = disk("a.log.1:20@0 a.log.2:20@1");
    let ran = run(&fs, policy(), Bytes::kib(100));
    assert_eq!(story(&ran), "delete a.log.2");
    let verdicts = ran.plan.verdicts.iter().flat_map(|log| log.verdicts.iter());
    assert_eq!(verdicts.filter(|verdict| matches!(verdict, Verdict::Keep(_))).count(), 1);
}

#[test]
fn h25_a_plan_may_not_delete_more_than_somebody_can_have_meant() {
    let fs = disk("a.log:4 a.log.1:20@1 a.log.2:20@2 b.log:4");
    let machine = machine(policy(), Bytes::kib(40));
    let inventory = machine.scan(&fs).expect("a scan");
    let plan = machine.plan(&inventory).expect("a plan");
    let exceeded = |guards: Guards| guards.exceeded(&inventory, &plan);
    assert_eq!(exceeded(Guards::default()), []);
    let few = Guards { max_permille: 499, ..Guards::default() };
    assert_eq!(exceeded(few), [Exceeded::Fraction { planned: 2, seen: 4, limit: 499 }]);
    let guards = Guards { max_files: Some(1), max_bytes: Some(Bytes::kib(39)), max_permille: 1000 };
    assert_eq!(
        exceeded(guards),
        [
            Exceeded::Files { planned: 2, limit: 1 },
            Exceeded::Bytes { planned: Bytes::kib(40), limit: Bytes::kib(39) },
        ]
    );
}

/// What is on another file system makes nothing that goes on this one a smaller part.
#[test]
fn h25_files_on_other_file_systems_do_not_count() {
    let fs = disk("a.log:4 a.log.1:20@1 a.log.2:20@2 b.log:4");
    let machine = machine(policy(), Bytes::kib(40));
    let mut inventory = machine.scan(&fs).expect("a scan");
    let plan = machine.plan(&inventory).expect("a plan");
    let mut other = inventory.sets[0].clone();
    other.dev += 1;
    other.logs.iter_mut().for_each(|log| {
        log.archives.clear();
        log.active.as_mut().expect("a log").stamp.id.dev += 1;
    });
    inventory.sets.push(other);
    let few = Guards { max_permille: 499, ..Guards::default() };
    let expected = [Exceeded::Fraction { planned: 2, seen: 4, limit: 499 }];
    assert_eq!(few.exceeded(&inventory, &plan), expected);
}

/// The last cut may go on to a round amount, and that is what is allowed or not.
#[test]
fn h25_the_most_that_may_be_cut_is_what_counts() {
    let fs = disk("a.log:200 a.log.1:20@1 b.log:90");
    let machine = cutting(144);
    let inventory = machine.scan(&fs).expect("a scan");
    let plan = machine.plan(&inventory).expect("a plan");
    assert_eq!(cuts(&plan), [("a.log".to_owned(), 117), ("b.log".to_owned(), 7)]);
    let exceeded = |kib| {
        let max_bytes = Some(Bytes::kib(kib));
        let guards = Guards { max_bytes, max_permille: 1000, ..Guards::default() };
        guards.exceeded(&inventory, &plan)
    };
    let planned = Bytes::kib(20 + 117 + 64);
    assert_eq!(exceeded(201), []);
    assert_eq!(exceeded(200), [Exceeded::Bytes { planned, limit: Bytes::kib(200) }]);
}

/// It takes a read of each, so only those are looked at that may be cut.
#[test]
fn the_oldest_content_is_looked_at_where_a_log_may_be_cut() {
    let fs = disk("a.log:100 b.log:80 short.log:64 held.log:70 linked.log:70");
    fs.hardlink("/log/linked.log", "/other").expect("a second name");
    let dir = fs.open_root("/log".as_ref()).expect("a folder");
    let held = fs.open_log(dir, "held.log".as_ref(), None).expect("a log");
    assert!(held.hold(Hold::Together).expect("a lock"));
    let looked_at = |machine: &Machine, dev: Option<u64>| {
        let mut inventory = machine.scan(&fs).expect("a scan");
        if let Some(dev) = dev {
            note_oldest(&fs, &mut inventory, dev);
        }
        let logs = inventory.sets.into_iter().flat_map(|set| set.logs);
        let names = logs.filter(|log| log.oldest.is_some());
        names.map(|log| log.name.into_string().expect("UTF-8")).collect::<Vec<_>>()
    };
    assert_eq!(looked_at(&cutting(100), None), ["a.log", "b.log"]);
    let whole = machine(policy(), Bytes::kib(100));
    assert_eq!(looked_at(&whole, None), Vec::<String>::new());
    assert_eq!(looked_at(&whole, Some(4711)), Vec::<String>::new());
}

fn cutting(free: u64) -> Machine {
    Machine { cuts_logs: true, ..machine(policy(), Bytes::kib(free)) }
}

/// What is cut off which log, in KiB.
fn cuts(plan: &Plan) -> Vec<(String, u64)> {
    let cut = |step: &logquota::plan::Step| match &step.action {
        Action::Trim { at, cut, .. } => {
            Some((at.name.to_string_lossy().into_owned(), cut.get() >> 10))
        }
        _ => None,
    };
    plan.steps.iter().filter_map(cut).collect()
}

#[test]
fn logs_in_use_are_cut_only_where_that_was_asked_for_and_only_when_no_archive_is_left() {
    let files = "a.log:200 a.log.1:20@1 b.log:90 b.log.1:10@1";
    let fs = disk(files);
    let ran = run(&fs, policy(), Bytes::kib(31));
    assert_eq!(story(&ran), "delete a.log.1, delete b.log.1");
    assert_eq!(ran.plan.sets[0].shortfall, Bytes::kib(1));
    for (kib, expected) in [
        (30, vec![]),
        (31, vec![("a.log", 1)]),
        // Down to the length of the other one, and then both.
        (140, vec![("a.log", 110)]),
        (144, vec![("a.log", 112), ("b.log", 2)]),
    ] {
        let fs = disk(files);
        let ran = cutting(kib).run(&fs).expect("a run");
        let expected: Vec<_> = expected.into_iter().map(|(n, k)| (n.to_owned(), k)).collect();
        assert_eq!(cuts(&ran.plan), expected, "{kib}: {}", show(&ran.plan));
        assert_eq!(ran.plan.sets[0].shortfall, Bytes::ZERO, "{kib}");
        assert!(ran.report.is_complete() && fs.free() >= Bytes::kib(kib), "{}", ran.story());
        assert!(fs.free() < Bytes::kib(kib + 1), "{} of {kib}", fs.free());
        let first = "delete a.log.1, delete b.log.1";
        assert!(story(&ran).starts_with(first), "{}", story(&ran));
    }
}

#[test]
fn of_each_log_that_is_cut_the_newest_stays() {
    let fs = disk("a.log:200 b.log:90 c.log:64");
    let ran = cutting(399).run(&fs).expect("a run");
    let (kept, cut) = (KEPT_MIN.get() >> 10, cuts(&ran.plan));
    assert_eq!(cut, [("a.log".to_owned(), 200 - kept), ("b.log".to_owned(), 90 - kept)]);
    let missing = 399 - (200 - kept) - (90 - kept);
    assert_eq!(ran.plan.sets[0].shortfall, Bytes::kib(missing));
    for name in ["a.log", "b.log", "c.log"] {
        let left = fs.meta(format!("/log/{name}")).expect("a log").stamp.len;
        assert_eq!(left, KEPT_MIN.get(), "{name}");
    }
}

/// Whoever holds a log has a quota for it, so that the others have to give for it, too.
#[test]
fn a_log_that_is_held_gives_nothing_and_is_not_counted_on() {
    for (kib, from_b, from_c, missing) in
        [(10, 10, 0, 0), (30, 20, 10, 0), (42, 26, 16, 0), (50, 26, 16, 8)]
    {
        let fs = disk("a.log:200 b.log:90 c.log:80");
        let dir = fs.open_root("/log".as_ref()).expect("a folder");
        let log = fs.open_log(dir, "a.log".as_ref(), None).expect("a log");
        assert!(log.hold(Hold::Together).expect("a lock"));
        let ran = cutting(kib).run(&fs).expect("a run");
        let mut expected = vec![("b.log".to_owned(), from_b), ("c.log".to_owned(), from_c)];
        expected.retain(|(_, kib)| *kib > 0);
        assert_eq!(cuts(&ran.plan), expected, "{kib}: {}", show(&ran.plan));
        assert_eq!(ran.plan.sets[0].shortfall, Bytes::kib(missing), "{kib}");
        assert!(ran.report.is_complete(), "{}", ran.story());
        assert_eq!(fs.free(), Bytes::kib(kib - missing), "{kib}");
    }
}

/// What compression has gained, or somebody else has freed, is not cut off on top.
#[test]
fn no_more_is_cut_than_is_missing_at_that_moment() {
    let files = "a.log:200 a.log.1:20@1";
    for (gained, left) in [(0, 150), (30, 180), (50, 200), (80, 200)] {
        let fs = disk(files);
        let machine = cutting(70);
        let inventory = machine.scan(&fs).expect("a scan");
        let plan = machine.plan(&inventory).expect("a plan");
        assert_eq!(cuts(&plan), [("a.log".to_owned(), 50)]);
        let full = fs.meta("/full").expect("a file").stamp.len;
        fs.put("/full", Content::Fill(b'x', full - (gained << 10)), 0).expect("shorter");
        let options = logquota::apply::Options { threads: 1 };
        let report = logquota::apply::apply(&plan, &fs, &mut Recorder::default(), &options);
        assert!(report.is_complete());
        assert_eq!(fs.meta("/log/a.log").expect("a log").stamp.len, left << 10, "{gained}");
        let is_left_out = matches!(report.outcomes.last(), Some(Outcome::NotNeeded));
        assert_eq!(is_left_out, gained >= 50, "{gained}");
    }
}

/// The id is what a person has seen: it holds for an eighth or 64 KiB more at most.
#[test]
fn h22_the_id_of_a_plan_that_cuts_holds_for_what_was_seen_and_a_little_more() {
    let fs = disk("a.log:300");
    let id = |kib| {
        let machine = cutting(kib);
        let inventory = machine.scan(&fs).expect("a scan");
        let mut inventory = inventory.clone();
        // As if others had written, so that more is missing for the same goal.
        inventory.sets[0].space.free = Bytes::kib(kib);
        let goal = machine.plan(&machine.scan(&fs).expect("a scan")).expect("a plan").purpose;
        let context = logquota::plan::Context {
            now: machine.now,
            host: logquota::plan::Host::default(),
            force: false,
            purpose: match goal {
                logquota::plan::Purpose::Free(goal) => logquota::plan::Purpose::Free(Goal {
                    wanted: Wanted::Bytes(Bytes::kib(200)),
                    ..goal
                }),
                other => other,
            },
        };
        let plan = plan(&inventory, &machine.config, &context);
        (cuts(&plan)[0].1, plan.id)
    };
    let (seen, shown) = id(99);
    assert_eq!(seen, 101);
    assert_eq!(id(98), (102, shown.clone()));
    assert_eq!(id(73), (127, shown.clone()));
    let (more, other) = id(72);
    assert_eq!(more, 128);
    assert_ne!(other, shown);
}

/// Whenever it is cut, the same goal is met by the next one, and what both have deleted is no
/// more than one would have.
#[test]
fn h28_a_plan_that_was_cut_at_any_call_is_finished_by_the_next() {
    let files = "a.log:40 a.log.1:20@1 a.log.2:20@2 a.log.3:20@3 b.log:4 b.log.1:10@1 b.log.2:10@2";
    for model in [Unsynced::Kept, Unsynced::Dropped, Unsynced::Torn] {
        let fs = disk(files);
        fs.record_images();
        let whole = run(&fs, policy(), Bytes::kib(50));
        assert_eq!(evicted(&whole.plan), 3);
        let images = fs.images();
        assert!(images.len() >= 3, "{}", images.len());
        for image in &images {
            let fs = image.reboot(model, 1);
            run(&fs, policy(), Bytes::kib(50));
            assert!(fs.free() >= Bytes::kib(50), "call {}", image.call());
            let gone = |name: &str| !fs.exists(format!("/log/{name}"));
            assert!(gone("a.log.3") && gone("a.log.2") && gone("a.log.1"));
            assert!(!gone("b.log.2") && !gone("b.log.1") && !gone("a.log"));
        }
    }
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn promise_9_a_plan_to_free_space_does_nothing_else_and_no_more_than_that(
        case in cases(Odd::ALL),
        part in 0u64..=110,
        cuts_logs in any::<bool>(),
        in_inodes in any::<bool>(),
    ) {
        let Some(set) = case.inventory.sets.first() else { return Ok(()) };
        let used: Bytes = case.inventory.sets.iter().map(logquota::inventory::Set::used).sum();
        let more = u128::from(used.get()) * u128::from(part) / 100;
        let more = Bytes::new(u64::try_from(more).unwrap_or(u64::MAX));
        let wanted = set.space.free.plus(more);
        let files: u64 = case.inventory.sets.iter().map(logquota::inventory::Set::files).sum();
        let free = set.space.free_files.unwrap_or(0);
        let count = free.saturating_add(files * part / 100);
        let wish = if in_inodes { Wanted::Inodes(count) } else { Wanted::Bytes(wanted) };
        let goal = Goal { wanted: wish, dev: set.dev, cuts_logs };
        let plan = plan(&case.inventory, &case.config, &case.context.clone().to_free(goal));
        let found = check(&case.inventory, &case.config, &plan);
        prop_assert!(found.is_empty(), "{found:#?}\n{}", show(&plan));
        let sums = &plan.sets[0];
        prop_assert!(part > 0 || plan.steps.is_empty(), "{}", show(&plan));
        prop_assert!(
            in_inodes || sums.shortfall > Bytes::ZERO || sums.free_after >= wanted,
            "{} of {}", sums.free_after, wanted
        );
        let gone = plan.steps.iter().filter(|step| loses(step)).count() as u64;
        // Without a limit there are always enough.
        let is_limited = set.space.free_files.is_some();
        let is_few = in_inodes && is_limited && free.saturating_add(gone) < count;
        prop_assert!(!is_few || sums.files_shortfall > 0, "{gone} go\n{}", show(&plan));
        for step in &plan.steps {
            let is_small = match step.action {
                Action::Trim { .. } => cuts_logs,
                Action::Delete { .. }
                | Action::Compress { .. }
                | Action::Squeeze { .. }
                | Action::RunHook { .. } => true,
                _ => false,
            };
            prop_assert!(is_small, "{step:?}");
        }
        // Which inputs come first does not matter.
        let mut turned = case.inventory.clone();
        for set in &mut turned.sets {
            set.logs.reverse();
        }
        let again = logquota::plan::plan(&turned, &case.config, &case.context.clone().to_free(goal));
        prop_assert_eq!(plan.id, again.id);
    }
}
