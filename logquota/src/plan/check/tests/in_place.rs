//! Archives that are compressed in place, and those that are half so.

use super::*;
use crate::inventory::Head;
use crate::naming::head_name;
use crate::plan::Begun;
use crate::units::Age;

const PACKED: &str = "app.log.1.gz";

fn squeeze(draft: Draft, begun: Option<FileId>) -> Draft {
    let action = Action::Squeeze {
        from: at("app.log.1"),
        to: Box::new(at(PACKED)),
        head: head_name(OsStr::new(PACKED)).into(),
        begun: begun.map(Box::new),
        log: Box::new(at("app.log")),
        codec: Codec::Gzip,
        level: None,
        room: Bytes::kib(68),
    };
    let mut draft = draft.step(action, Reason::Compression { len: Bytes::ZERO }, 0, 0);
    let sums = &mut draft.plan.sets[0];
    let bound = sums.quota.unwrap_or(Bytes::MAX).max(sums.used_before);
    sums.used_peak = sums.used_peak.max(sums.used_after.plus(Bytes::kib(68)).min(bound));
    draft
}

fn whole() -> Draft {
    Draft::new(quota(1000), vec![log("app.log", 10, 40, &[200, 24])])
}

/// Of its newest archive 30 KiB are compressed.
fn half() -> Draft {
    let mut log = log("app.log", 10, 40, &[200, 24]);
    for archive in &mut log.archives {
        let mut old = archive.meta();
        old.stamp.mtime.secs = NOW - 9 * 86_400;
        *archive = archive.with_meta(&old);
    }
    log.archives[0].set_head(Head {
        name: head_name(OsStr::new(PACKED)),
        suffix: ".gz".to_owned(),
        meta: meta(99, 30),
    });
    let mut policy = quota(1000);
    policy.max_age_days = Some(7);
    Draft::new(policy, vec![log])
}

fn begun() -> Option<FileId> {
    Some(meta(99, 30).stamp.id)
}

#[test]
fn promise_1_2_6_an_archive_in_two_halves_is_one() {
    squeeze(whole(), None).passes();
    squeeze(half(), begun()).passes();
    squeeze(whole(), begun()).breaks(6, "another beginning");
    squeeze(half(), None).breaks(6, "another beginning");
    squeeze(half(), Some(meta(98, 30).stamp.id)).breaks(6, "another beginning");
    let step =
        |draft: &mut Draft| draft.plan.steps[0].expect = Expect::SameFile(meta(11, 200).stamp.id);
    squeeze(whole(), None).with(step).breaks(2, "in use");
    half().rename("app.log.1", "app.log.3", Reason::MakeWay).breaks(1, "parts");
    half().compress("app.log.1", PACKED, 210).breaks(1, "parts");
    let linked = |draft: &mut Draft| {
        let archive = &mut draft.inventory.sets[0].logs[0].archives[0];
        let mut linked = archive.meta();
        linked.stamp.nlink = 2;
        *archive = archive.with_meta(&linked);
        draft.plan.steps[0].expect = Expect::Unchanged(linked.stamp);
    };
    squeeze(whole(), None).with(linked).breaks(1, "other names");
    // It is compressed under its name from then on.
    squeeze(whole(), None).rename("app.log.1", "app.log.3", Reason::MakeWay).breaks(1, "not there");
}

#[test]
fn promise_1_3_half_an_archive_goes_as_one() {
    let expired = || Reason::MaxAge { age: Age::days(9), limit: Age::days(7) };
    let delete = |head: Option<Begun>, freed_kib: u64| {
        half().delete("app.log.1", expired()).with(|draft| {
            let step = &mut draft.plan.steps[0];
            if let Action::Delete { head: slot, .. } = &mut step.action {
                *slot = head.map(Box::new);
            }
            let more = Bytes::kib(freed_kib - 200);
            let sums = &mut draft.plan.sets[0];
            sums.used_after = sums.used_after.minus(more);
            sums.free_after = sums.free_after.plus(more);
            step.used_after = sums.used_after;
        })
    };
    let name = || head_name(OsStr::new(PACKED));
    let right = || Some(Begun { name: name(), stamp: meta(99, 30).stamp });
    // Both of the log: the older one must not stay behind a newer one that goes.
    delete(right(), 230).delete("app.log.2", expired()).passes();
    delete(None, 200).breaks(1, "parts");
    let other = Some(Begun { name: name(), stamp: meta(99, 31).stamp });
    delete(other, 230).breaks(1, "parts");
    delete(right(), 240).breaks(3, "used");
}
