//! Heads that are cut off.

use super::*;
use crate::plan::{Goal, KEPT_MIN, OnlyBelow, Purpose, Wanted};
use crate::stamp::Oldest;

fn pressure(used: u64, limit: u64) -> Reason {
    Reason::QuotaPressure { used: Bytes::kib(used), limit: Bytes::kib(limit) }
}

impl Draft {
    fn trim(self, name: &str, kib: u64, reason: Reason) -> Self {
        let action = Action::Trim { at: at(name), cut: Bytes::kib(kib), keep: Bytes::new(1) };
        let mut draft = self.step(action, reason, -i64::try_from(kib).expect("small"), 0);
        if let Some(step) = draft.plan.steps.last_mut() {
            step.bytes = Bytes::kib(kib);
        }
        draft
    }
}

fn cut(kib: u64, archives: &[u64]) -> Draft {
    let policy = quota(20).live_trim();
    Draft::new(policy, vec![log("app.log", 10, 40, archives)]).trim(
        "app.log",
        kib,
        pressure(40, 20),
    )
}

#[test]
fn a_log_that_alone_passes_its_quota_may_be_cut() {
    cut(20, &[]).passes();
    let policy = quota(22).live_trim();
    let logs = vec![log("app.log", 10, 40, &[8])];
    let drafted = Draft::new(policy, logs).delete("app.log.1", over(48, 22, 48, 22));
    drafted.trim("app.log", 20, pressure(40, 22)).passes();
}

#[test]
fn promise_2_a_log_is_cut_only_where_that_is_permitted_and_never_to_its_end() {
    let logs = || vec![log("app.log", 10, 40, &[])];
    let forbidden = Draft::new(quota(20), logs()).trim("app.log", 20, pressure(40, 20));
    forbidden.breaks(2, "not permitted");
    cut(18, &[]).breaks(2, "whole blocks");
    cut(0, &[]).breaks(2, "whole blocks");
    cut(40, &[]).breaks(2, "to its end");
    cut(20, &[]).with(|d| d.plan.steps[0].bytes = Bytes::kib(16)).breaks(2, "whole blocks");
    cut(12, &[]).trim("app.log", 8, pressure(28, 20)).breaks(2, "cut before");
    let drafted = |reason| Draft::new(quota(20).live_trim(), logs()).trim("app.log", 20, reason);
    drafted(Reason::Forced).breaks(2, "for no limit");
    drafted(pressure(20, 20)).breaks(2, "for no limit");
    drafted(pressure(40, 21)).breaks(2, "nobody gave");
    let policy = || quota(20).live_trim();
    let archive = || vec![log("app.log", 10, 16, &[24])];
    let other = Draft::new(policy(), archive()).trim("app.log.1", 20, pressure(40, 20));
    other.breaks(2, "not the log");
    let mut linked = log("app.log", 10, 40, &[]);
    if let Some(active) = &mut linked.active {
        active.stamp.nlink = 2;
    }
    let linked = Draft::new(policy(), vec![linked]).trim("app.log", 20, pressure(40, 20));
    linked.breaks(2, "other names");
    let held = |d: &mut Draft| d.inventory.sets[0].logs[0].is_held = true;
    cut(20, &[]).with(held).breaks(2, "somebody holds");
}

#[test]
fn promise_4_no_more_is_cut_than_must_go_and_archives_go_first() {
    cut(24, &[]).breaks(4, "too much");
    cut(36, &[8]).breaks(4, "while it has archives");
}

#[test]
fn promise_5_a_log_within_its_share_is_not_cut() {
    let logs = vec![log("app.log", 10, 8, &[]), log("big.log", 20, 32, &[])];
    let drafted = Draft::new(quota(20).live_trim(), logs).trim("app.log", 4, pressure(40, 20));
    drafted.breaks(5, "no more than its share");
}

/// To free so much more than the 10 MiB that are free, this is cut off each log.
fn freed(more: u64, logs: Vec<Log>, cuts: &[(&str, u64)]) -> Draft {
    let wanted = Bytes::mib(10).plus(Bytes::kib(more));
    let purpose = Purpose::Free(Goal { wanted: Wanted::Bytes(wanted), dev: 1, cuts_logs: true });
    let mut draft = Draft::new(quota(1000), logs).with(|d| d.plan.purpose = purpose);
    let mut free = Bytes::mib(10);
    for (name, kib) in cuts {
        draft = draft.trim(name, *kib, Reason::Reserve { free, wanted });
        free = free.plus(Bytes::kib(*kib));
    }
    for step in &mut draft.plan.steps {
        step.only_below = Some(OnlyBelow { wanted: Wanted::Bytes(wanted), dir: DIR });
        if let Action::Trim { keep, .. } = &mut step.action {
            *keep = KEPT_MIN;
        }
    }
    draft
}

fn two(big: u64, small: u64) -> Vec<Log> {
    vec![log("big.log", 10, big, &[]), log("small.log", 20, small, &[])]
}

#[test]
fn to_free_space_logs_are_cut_where_that_was_asked_for() {
    freed(40, two(200, 100), &[("big.log", 40)]).passes();
    freed(140, two(200, 100), &[("big.log", 120), ("small.log", 20)]).passes();
    let not_asked = |d: &mut Draft| {
        let Purpose::Free(goal) = &mut d.plan.purpose else { return };
        goal.cuts_logs = false;
    };
    freed(40, two(200, 100), &[("big.log", 40)]).with(not_asked).breaks(2, "not permitted");
    freed(40, two(200, 100), &[("big.log", 40)]).with(not_asked).breaks(9, "something else");
}

#[test]
fn promise_2_of_a_log_that_is_cut_to_free_space_the_newest_stays() {
    freed(40, two(100, 20), &[("big.log", 40)]).breaks(2, "to its end");
    let little = |d: &mut Draft| {
        let Action::Trim { keep, .. } = &mut d.plan.steps[0].action else { return };
        *keep = Bytes::new(1);
    };
    freed(40, two(200, 100), &[("big.log", 40)]).with(little).breaks(2, "another part");
    let other = |d: &mut Draft| {
        let (free, wanted) = (Bytes::mib(10), Bytes::mib(11));
        d.plan.steps[0].reason = Reason::Reserve { free, wanted };
    };
    freed(40, two(200, 100), &[("big.log", 40)]).with(other).breaks(2, "for no limit");
}

#[test]
fn promise_2_a_log_is_cut_for_the_records_that_were_seen() {
    let seen = |start| Oldest { start, digest: [7; 16] };
    let drafted = |expect: fn(FileId, Oldest) -> Expect, start| {
        freed(40, two(200, 100), &[("big.log", 40)]).with(|d| {
            let log = &mut d.inventory.sets[0].logs[0];
            let id = log.active.expect("it is there").stamp.id;
            log.oldest = Some(Box::new(seen(0)));
            d.plan.steps[0].expect = expect(id, seen(start));
        })
    };
    drafted(Expect::SameOldest, 0).passes();
    drafted(Expect::SameOldest, 4096).breaks(2, "whatever its oldest");
    drafted(|id, _| Expect::SameFile(id), 0).breaks(2, "whatever its oldest");
    let unseen = |d: &mut Draft| d.inventory.sets[0].logs[0].oldest = None;
    drafted(Expect::SameOldest, 0).with(unseen).breaks(2, "whatever its oldest");
}

#[test]
fn promise_4_and_5_no_more_is_cut_than_is_missing_and_no_log_shorter_than_another() {
    freed(40, two(200, 100), &[("big.log", 44)]).breaks(4, "more than is missing");
    let archives = || vec![log("big.log", 10, 200, &[8]), log("small.log", 20, 100, &[])];
    freed(40, archives(), &[("big.log", 40)]).breaks(4, "has archives");
    let archives = || vec![log("big.log", 10, 200, &[]), log("small.log", 20, 100, &[8])];
    freed(40, archives(), &[("big.log", 40)]).breaks(4, "has archives");
    freed(20, two(200, 100), &[("small.log", 20)]).breaks(5, "stays longer");
    freed(120, two(200, 100), &[("big.log", 120)]).breaks(5, "stays longer");
    let held = |d: &mut Draft| d.inventory.sets[0].logs[0].is_held = true;
    freed(20, two(200, 100), &[("small.log", 20)]).with(held).passes();
    freed(40, two(200, 100), &[("big.log", 40)]).with(held).breaks(2, "somebody holds");
}

#[test]
fn promise_9_a_cut_comes_last_and_only_while_there_is_too_little() {
    let always = |d: &mut Draft| d.plan.steps[0].only_below = None;
    freed(40, two(200, 100), &[("big.log", 40)]).with(always).breaks(9, "room enough");
    let logs = || vec![log("big.log", 10, 200, &[8]), log("small.log", 20, 100, &[])];
    let wanted = Bytes::mib(10).plus(Bytes::kib(40));
    let reserve = Reason::Reserve { free: Bytes::mib(10), wanted };
    freed(40, logs(), &[("big.log", 32)])
        .delete("big.log.1", reserve)
        .with(|d| d.plan.steps[1].only_below = d.plan.steps[0].only_below)
        .breaks(9, "behind what is cut");
}
