//! Heads that are cut off.

use super::*;

fn pressure(used: u64, limit: u64) -> Reason {
    Reason::QuotaPressure { used: Bytes::kib(used), limit: Bytes::kib(limit) }
}

impl Draft {
    fn trim(self, name: &str, kib: u64, reason: Reason) -> Self {
        let action = Action::Trim { at: at(name), cut: Bytes::kib(kib) };
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
    drafted(Reason::Forced).breaks(2, "for no quota");
    drafted(pressure(20, 20)).breaks(2, "for no quota");
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
