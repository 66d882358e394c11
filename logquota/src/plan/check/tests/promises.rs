//! Good plans that pass, and for each promise plans that break it.

use std::ffi::OsStr;

use super::*;
use crate::inventory::{Blocked, Leftover, LeftoverKind};
use crate::plan::{Goal, OnlyBelow, Purpose, Wanted};
use crate::policy::{Limits, Reserve, Rules};
use crate::units::Age;

#[test]
fn good_plans_pass() {
    rotation().passes();
    eviction().passes();
    copied().passes();
    rotation().compress("app.log.1", "app.log.1.gz", 44).passes();
    Draft::new(quota(100), vec![log("app.log", 10, 40, &[8])]).passes();
}

#[test]
fn promise_1_every_archive_has_one_verdict_that_the_steps_keep() {
    let good = || Draft::new(quota(100), vec![log("app.log", 10, 40, &[8])]);
    good().with(|d| d.plan.verdicts.clear()).breaks(1, "no verdict");
    good().with(|d| d.plan.verdicts.push(d.plan.verdicts[0].clone())).breaks(1, "two verdicts");
    good().with(|d| d.plan.verdicts[0].log = 9).breaks(1, "was not scanned");
    let twice = |d: &mut Draft| d.plan.verdicts[0].verdicts.push(Why::Blocked);
    good().with(twice).breaks(1, "more verdicts than archives");
    let kept = |d: &mut Draft| d.plan.verdicts[0].verdicts.keep(1, Why::WithinLimits);
    eviction().with(kept).breaks(1, "is kept, and step 1");
    eviction().with(|d| drop(d.plan.steps.pop())).breaks(1, "no step deletes it");
    eviction()
        .with(|d| d.plan.verdicts[0].verdicts.remove(1, over(65, 60, 64, 60)))
        .breaks(1, "the verdict is");
    let linked = |d: &mut Draft| d.plan.verdicts[0].verdicts.keep(0, Why::HardLinked);
    good().with(linked).breaks(1, "other names");
}

#[test]
fn promise_1_what_is_no_regular_file_is_renamed_and_nothing_else() {
    let folder = || {
        let mut log = log("app.log", 10, 40, &[8]);
        see(&mut log.archives[0], |meta| meta.kind = Kind::Dir);
        Draft::new(Policy::default().keep_count(1), vec![log])
    };
    folder().rename("app.log.1", "app.log.2", Reason::MakeWay).passes();
    folder().delete("app.log.1", count(2, 1)).breaks(1, "no regular file");
    folder().compress("app.log.1", "app.log.1.gz", 8).breaks(1, "no regular file");
    let stays = |d: &mut Draft| d.plan.verdicts[0].verdicts.keep(0, Why::NoFile);
    rotation().with(stays).breaks(1, "and is one");
}

#[test]
fn promise_1_a_log_is_a_copy_of_another_under_logrotates_rules_only() {
    let both = |rules: Rules, to: &str| {
        let policy = Policy { rules, ..Policy::default().keep_count(9) };
        let logs = vec![log("app.log", 10, 40, &[]), log("app.log.1", 20, 8, &[])];
        let draft = Draft::new(policy, logs).rename("app.log.1", to, Reason::MakeWay);
        draft.with(|d| d.plan.steps[0].log = Some(0))
    };
    both(Rules::Logrotate, "app.log.2").passes();
    both(Rules::Own, "app.log.2").breaks(1, "of another log");
    let other = both(Rules::Logrotate, "app.log.2");
    other.with(|d| d.inventory.sets[0].logs[1].name = "db.log".into()).breaks(1, "not there");
}

#[test]
fn promise_1_the_numbers_of_a_reason_are_true() {
    let logs = || vec![log("app.log", 10, 40, &[8, 16])];
    let no_reason = "no true reason";
    Draft::new(quota(20), logs()).delete("app.log.2", over(64, 21, 64, 21)).breaks(1, no_reason);
    Draft::new(quota(20), logs()).delete("app.log.2", over(20, 20, 64, 20)).breaks(1, no_reason);
    Draft::new(quota(20), logs()).delete("app.log.2", Reason::Forced).breaks(1, no_reason);
    // The log does not rotate, so nothing is counted.
    let counted = || Policy::default().keep_count(2);
    Draft::new(counted(), logs()).delete("app.log.2", count(3, 2)).breaks(1, no_reason);
    let aged = || Policy::default().keep_for(Age::days(1));
    let limit = Age::days(1);
    let too_old = Reason::MaxAge { age: Age::seconds(100), limit };
    Draft::new(aged(), logs()).delete("app.log.2", too_old).breaks(1, no_reason);
    let old = |days: i64| {
        let mut log = log("app.log", 10, 40, &[8]);
        see(&mut log.archives[0], |meta| meta.stamp.mtime.secs = NOW - days * 86_400);
        vec![log]
    };
    let is_old = Reason::MaxAge { age: Age::days(2), limit };
    Draft::new(aged(), old(2)).delete("app.log.1", is_old.clone()).passes();
    Draft::new(aged(), old(3)).delete("app.log.1", is_old).breaks(1, no_reason);
}

#[test]
fn promise_1_nothing_foreign_is_touched() {
    let delete = |draft: Draft, name: &str| draft.delete(name, over(88, 60, 88, 60));
    delete(eviction(), "app.log.4").breaks(1, "not there then");
    let obstacle = |d: &mut Draft| d.inventory.sets[0].logs[0].obstacles.push("app.log.4".into());
    delete(eviction().with(obstacle), "app.log.4").breaks(1, "not ours");
    let twice = || eviction().delete("app.log.2", over(88, 60, 88, 60));
    twice().breaks(1, "not there then");
    let blocked = |d: &mut Draft| {
        d.inventory.sets[0].logs[0].blocked = Some(Blocked::HardLinks { names: 2 });
    };
    eviction().with(blocked).breaks(1, "left alone");
    let two = vec![log("a.log", 10, 4, &[8]), log("b.log", 20, 4, &[8])];
    Draft::new(quota(20), two)
        .delete("a.log.1", over(24, 20, 12, 10))
        .with(|d| d.plan.steps[0].log = Some(1))
        .breaks(1, "of another log");
    eviction().with(|d| d.plan.steps[0].log = Some(9)).breaks(1, "was not scanned");
    eviction().with(|d| d.plan.steps[0].log = None).breaks(1, "for no log");
    eviction().with(|d| d.plan.steps[0].expect = Expect::Nothing).breaks(1, "another file");
    let other = |d: &mut Draft| {
        let Expect::Unchanged(stamp) = &mut d.plan.steps[0].expect else { return };
        stamp.id.ino += 1;
    };
    eviction().with(other).breaks(1, "another file");
    eviction().with(|d| d.plan.dirs.clear()).breaks(1, "lacks the folder");
    rotation()
        .with(|d| {
            let Action::Rename { to, .. } = &mut d.plan.steps[1].action else { return };
            to.dir = DirId(7);
        })
        .breaks(1, "foreign folder");
}

#[test]
fn promise_2_the_active_file_is_never_deleted() {
    let logs = || vec![log("app.log", 10, 40, &[])];
    Draft::new(quota(20), logs())
        .delete("app.log", over(40, 20, 40, 20))
        .breaks(2, "deletes the log");
    Draft::new(quota(20), logs())
        .compress("app.log", "app.log.1.gz", 44)
        .breaks(2, "replaces the log");
    rotation().delete("app.log.1", Reason::MakeWay).breaks(2, "loses what was in the log");
    // The log that was made anew is an active file, too.
    rotation().delete("app.log", count(1, 2)).breaks(2, "deletes the log");
    let at_once = Draft::new(Policy::default(), logs())
        .rename("app.log", "app.log.1", Reason::Forced)
        .create("app.log")
        .step(
            Action::Delete { at: at("app.log.1"), shred: None, same_as: None, head: None },
            count(1, 0),
            -40,
            -1,
        );
    at_once.passes();
}

#[test]
fn promise_2_the_active_file_is_emptied_only_where_that_was_asked_for() {
    copied().with(|d| d.config.sets[0].policy.method = Method::Copy).breaks(2, "empties");
    let logs = || vec![log("app.log", 10, 40, &[])];
    Draft::new(Policy::default(), logs()).truncate("app.log", Reason::Copied).breaks(2, "empties");
    let policy = || Policy { method: Method::CopyTruncate, ..Policy::default() };
    Draft::new(policy(), logs()).truncate("app.log", Reason::Copied).breaks(2, "loses what was");
    Draft::new(policy(), logs())
        .rename("app.log", "app.log.1", Reason::Forced)
        .breaks(2, "to be copied");
    Draft::new(Policy::default(), logs())
        .copy("app.log", "app.log.1", 40)
        .breaks(2, "to be renamed");
}

#[test]
fn promise_2_a_renamed_log_that_waits_for_its_copy_is_the_log() {
    let mut waiting = log("app.log", 10, 40, &[]);
    let place = at("app.log.tmp");
    waiting.leftovers = vec![Leftover { place, meta: meta(30, 8), kind: LeftoverKind::Renamed }];
    let delete =
        |same_as| Action::Delete { at: at("app.log.tmp"), shred: None, same_as, head: None };
    let policy = || Policy { method: Method::RenameCopy, ..Policy::default().keep_count(5) };
    let draft = || Draft::new(policy(), vec![waiting.clone()]);
    draft().step(delete(None), Reason::Leftover, -8, -1).breaks(2, "loses what was in the log");
    draft()
        .copy("app.log.tmp", "app.log.1", 8)
        .step(delete(Some(Box::new(at("app.log.1")))), Reason::Leftover, -8, -1)
        .passes();
}

#[test]
fn promise_3_no_prefix_passes_the_larger_of_quota_and_start() {
    let policy = || Policy { method: Method::Copy, ..quota(90) };
    let logs = |active| vec![log("app.log", 10, active, &[8])];
    Draft::new(policy(), logs(40)).copy("app.log", "app.log.2", 40).passes();
    Draft::new(policy(), logs(48)).copy("app.log", "app.log.2", 48).breaks(3, "after step 0");
    let all = |d: &mut Draft| d.config.global.quota = Some(Bytes::kib(80));
    Draft::new(policy(), logs(40)).copy("app.log", "app.log.2", 40).with(all).breaks(3, "all sets");
}

#[test]
fn promise_3_what_a_plan_says_of_its_sums_is_true() {
    let less = |d: &mut Draft| d.plan.steps[0].used_after = Bytes::kib(63);
    eviction().with(less).breaks(3, "and not at most");
    let more = |d: &mut Draft| d.plan.steps[0].used_after = Bytes::kib(89);
    eviction().with(more).breaks(3, "past the limit");
    eviction().with(|d| d.plan.sets[0].used_before = Bytes::kib(87)).breaks(3, "are used, not");
    eviction().with(|d| d.plan.sets[0].used_peak = Bytes::kib(87)).breaks(3, "up to");
    eviction().with(|d| d.plan.sets[0].used_peak = Bytes::kib(89)).breaks(3, "the peak");
    eviction().with(|d| d.plan.sets[0].used_after = Bytes::kib(47)).breaks(3, "in the end");
    eviction().with(|d| d.plan.sets[0].files_after = 3).breaks(3, "files");
    eviction().with(|d| d.plan.sets[0].free_after = Bytes::mib(11)).breaks(3, "will be free");
    eviction().with(|d| d.plan.sets[0].shortfall = Bytes::new(1)).breaks(3, "a shortfall of");
    let short = |d: &mut Draft| d.config.sets[0].policy.limits.reserve = Some(Reserve::Percent(50));
    eviction().with(short).breaks(3, "short of reserve, not said");
    Draft::new(quota(20), vec![log("app.log", 10, 40, &[])]).breaks(3, "over quota");
    let compressed = rotation().compress("app.log.1", "app.log.1.gz", 44);
    compressed.with(|d| d.plan.sets[0].used_peak = d.plan.sets[0].used_before).breaks(3, "up to");
}

#[test]
fn promise_3_a_file_with_other_names_frees_nothing() {
    let mut linked = log("app.log", 10, 40, &[8]);
    see(&mut linked.archives[0], |meta| meta.stamp.nlink = 2);
    Draft::new(quota(44), vec![linked])
        .delete("app.log.1", over(48, 44, 48, 44))
        .with(|d| {
            d.plan.sets[0].used_after = Bytes::kib(40);
            d.plan.steps[0].used_after = Bytes::kib(40);
        })
        .breaks(3, "leaves 48.0 KiB and not at most 40.0 KiB");
}

#[test]
fn promise_4_an_eviction_that_no_limit_asks_for_is_refused() {
    let roomy = |d: &mut Draft| {
        d.config.sets[0].policy.limits.quota = Some(Bytes::kib(64));
        d.plan.sets[0].quota = Some(Bytes::kib(64));
    };
    eviction().with(roomy).breaks(4, "step 1 deletes needlessly");
    let logs = || vec![log("app.log", 10, 40, &[8, 16])];
    let with = |limits: Limits| Policy { limits, count: Count::Unlimited, ..Policy::default() };
    let files = |limit| with(Limits { max_files: Some(limit), ..Limits::default() });
    let reason = |limit| Reason::MaxFiles { files: 3, limit };
    Draft::new(files(2), logs()).delete("app.log.2", reason(2)).passes();
    Draft::new(files(3), logs()).delete("app.log.2", reason(3)).breaks(4, "needlessly");
    let reserve = |kib| with(Limits { reserve: Some(kib), ..Limits::default() });
    let short = |kib| Reason::Reserve { free: space().free, wanted: Bytes::kib(kib) };
    let wanted = |kib| reserve(Reserve::Bytes(Bytes::kib(kib)));
    Draft::new(wanted(10_250), logs()).delete("app.log.2", short(10_250)).passes();
    Draft::new(wanted(10_240), logs()).delete("app.log.2", short(10_240)).breaks(4, "needlessly");
    Draft::new(wanted(10_250), logs()).delete("app.log.2", Reason::NoInode).passes();
}

#[test]
fn promise_4_room_that_is_needed_on_the_way_is_no_needless_deletion() {
    let policy = || Policy { method: Method::CopyTruncate, ..quota(90) };
    Draft::new(policy(), vec![log("app.log", 10, 40, &[8, 16])])
        .delete("app.log.2", over(104, 90, 64, 90))
        .copy("app.log", "app.log.2", 40)
        .truncate("app.log", Reason::Copied)
        .passes();
}

#[test]
fn promise_5_a_log_within_its_share_loses_nothing_to_the_quota() {
    let two = || vec![log("big.log", 10, 60, &[40]), log("small.log", 20, 20, &[30])];
    Draft::new(quota(120), two()).delete("big.log.1", over(150, 120, 100, 60)).passes();
    Draft::new(quota(120), two())
        .delete("small.log.1", over(150, 120, 50, 60))
        .breaks(5, "no more than its share");
}

#[test]
fn promise_5_the_oldest_go_first() {
    let policy = || quota(70);
    let logs = || vec![log("app.log", 10, 40, &[8, 16, 24])];
    Draft::new(policy(), logs()).delete("app.log.3", over(88, 70, 88, 70)).passes();
    Draft::new(policy(), logs())
        .delete("app.log.1", over(88, 70, 88, 70))
        .delete("app.log.2", over(80, 70, 80, 70))
        .breaks(5, "the older `app.log.3` stays");
    // A file with other names would free nothing; it stays.
    let mut linked = logs();
    see(&mut linked[0].archives[2], |meta| meta.stamp.nlink = 2);
    Draft::new(quota(80), linked)
        .delete("app.log.2", over(88, 80, 88, 80))
        .with(|d| d.plan.verdicts[0].verdicts.keep(2, Why::HardLinked))
        .passes();
}

#[test]
fn promise_6_no_step_writes_to_a_name_that_exists() {
    let rename = |to: &str| rotation().rename("app.log.2", to, Reason::MakeWay);
    rename("app.log.1").breaks(6, "exists then");
    let obstacle = |d: &mut Draft| d.inventory.sets[0].logs[0].obstacles.push("app.log.3".into());
    rename("app.log.3").passes();
    rename("app.log.3").with(obstacle).breaks(6, "exists then");
    rotation().create("app.log").breaks(6, "exists then");
    let temp = |d: &mut Draft| {
        let temp = temporary_name(OsStr::new("app.log.1.gz"));
        d.inventory.sets[0].logs[0].obstacles.push(temp);
    };
    let compressed = || rotation().compress("app.log.1", "app.log.1.gz", 44);
    compressed().with(temp).breaks(6, "exists then");
    compressed().compress("app.log.2", "app.log.1.gz", 44).breaks(6, "exists then");
}

#[test]
fn promise_6_names_are_names() {
    for name in ["", ".", "..", "a/b", "app.log.1/", "nul\0"] {
        rotation().rename("app.log.2", name, Reason::MakeWay).breaks(6, "cannot be a file's name");
    }
    let long = "x".repeat(256);
    rotation().rename("app.log.2", &long, Reason::MakeWay).breaks(6, "cannot be a file's name");
    rotation().rename("app.log.2", "app.old", Reason::MakeWay).breaks(6, "known as an archive");
    rotation()
        .compress("app.log.1", "app.log.1.gz", 44)
        .with(|d| {
            let Action::Compress { temp, .. } = &mut d.plan.steps[4].action else { return };
            *temp = OsStr::new("app.log.1.gz.tmp").into();
        })
        .breaks(6, "not the temporary name");
    rotation().with(|d| d.plan.steps[1].needs = vec![1]).breaks(6, "needs step 1");
}

#[test]
fn a_plan_for_other_sets_is_refused() {
    eviction().with(|d| d.plan.sets.clear()).breaks(1, "0 are planned");
}

/// The older of two archives goes, so that 10 MiB and 20 KiB are free.
fn freeing() -> Draft {
    let wanted = Bytes::mib(10).plus(Bytes::kib(20));
    let reason = Reason::Reserve { free: Bytes::mib(10), wanted };
    Draft::new(quota(1000), vec![log("app.log", 10, 40, &[8, 24])])
        .delete("app.log.2", reason)
        .with(|d| {
            let wanted = Wanted::Bytes(wanted);
            d.plan.purpose = Purpose::Free(Goal { wanted, dev: 1, cuts_logs: false });
            d.plan.steps[0].only_below = Some(OnlyBelow { wanted, dir: DIR });
        })
}

#[test]
fn promise_9_to_free_space_nothing_else_is_done_and_nothing_is_evicted_too_much() {
    freeing().passes();
    freeing().with(|d| d.plan.steps[0].only_below = None).breaks(9, "room enough");
    freeing().rename("app.log.1", "app.log.2", Reason::MakeWay).breaks(9, "something else");
    freeing().create("web.log").breaks(9, "something else");
    // The first that goes may make the room for it.
    freeing().compress("app.log.1", "app.log.1.gz", 8).passes();
    let expired = Reason::MaxAge { age: Age::days(9), limit: Age::days(7) };
    freeing().delete("app.log.1", expired).breaks(9, "too late");
    freeing().with(|d| d.inventory.sets[0].space.free = Bytes::mib(11)).breaks(9, "something else");
    let reserve = Reason::Reserve { free: Bytes::mib(10), wanted: Bytes::mib(11) };
    freeing().delete("app.log.1", reserve).breaks(4, "needlessly");
    freeing().with(|d| d.plan.purpose = Purpose::Routine).breaks(9, "ordinary run");
    let left_alone = |d: &mut Draft| d.config.sets[0].policy = Policy::left_alone();
    freeing().with(left_alone).breaks(9, "something else");
    let wanted = Wanted::Bytes(Bytes::mib(11));
    let more = Purpose::Free(Goal { wanted, dev: 1, cuts_logs: false });
    freeing().with(|d| d.plan.purpose = more).breaks(3, "short of reserve, not said");
}
