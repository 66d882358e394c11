//! Which active files may be cut at their heads, and how far.

use super::decide::NotNow;
use super::draft::{LogDraft, SetDraft, Source};
use super::{Problem, Purpose, SetPlan};
use crate::inventory::Inventory;
use crate::policy::Method;
use crate::units::Bytes;

/// What stays of each log that is cut to free space, at least. A person who needs room now will
/// want to know what has filled the disk, and its newest records tell.
pub const KEPT_MIN: Bytes = Bytes::kib(64);

/// The most that can still be cut off the head of a log by its policy: whole blocks, and never
/// the one that has its last byte. Nothing if that is not permitted.
pub(super) fn cuttable(draft: &LogDraft<'_>, block: Bytes) -> Bytes {
    let may = draft.policy.live_trim && !draft.is_put_off && draft.rotation.is_none();
    let most = if may { whole_blocks(draft, block, Bytes::new(1)) } else { Bytes::ZERO };
    most.minus(draft.trim.as_ref().map_or(Bytes::ZERO, |trim| trim.cut))
}

/// What stays at least of a log with this policy.
pub(super) const fn kept(is_to_free: bool) -> Bytes {
    if is_to_free { KEPT_MIN } else { Bytes::new(1) }
}

/// The most that is cut off to free space where the plan says `cut`: a round amount, no more than
/// an eighth above it, or 64 KiB if that is more. Others write between the look and the deed, and
/// the file system itself takes a block for a gap; a person who has seen `cut` has seen that, too.
pub(crate) const fn cut_at_most(cut: Bytes) -> Bytes {
    let eighth = 1 << (if cut.get() == 0 { 0 } else { cut.get().ilog2() }).saturating_sub(3);
    let step = if eighth > KEPT_MIN.get() { eighth } else { KEPT_MIN.get() };
    Bytes::new((cut.get() / step).saturating_add(1).saturating_mul(step))
}

/// The blocks of a log in front of its newest bytes, of which `keep` stay. None of one that has
/// other names, or that somebody holds.
pub(super) fn whole_blocks(draft: &LogDraft<'_>, block: Bytes, keep: Bytes) -> Bytes {
    let may = !draft.is_blocked() && !draft.log.is_held;
    let active = draft.log.active.filter(|active| active.stamp.nlink <= 1 && may);
    let Some(active) = active else { return Bytes::ZERO };
    let block = block.get().max(1);
    // A file may have holes, and blocks behind its end.
    let content = active.stamp.allocated.min(Bytes::new(active.stamp.len));
    let whole = content.minus(keep).get() / block;
    Bytes::new(whole.saturating_mul(block))
}

/// What is cut off each of several logs so that it is `needed` in all: the longest gives first,
/// down to the length of the next one, and then these together. Each is given by what it has and
/// what of that can go; all numbers are blocks.
pub(super) fn levelled(needed: u64, logs: &[(u64, u64)]) -> Vec<u64> {
    let above =
        |level: u64| logs.iter().map(move |(has, most)| has.saturating_sub(level).min(*most));
    let sum = |level: u64| above(level).fold(0u64, u64::saturating_add);
    // The highest level at which it is enough, or the ground.
    let (mut low, mut high) = (0, logs.iter().map(|(has, _)| *has).max().unwrap_or(0));
    while low < high {
        let middle = high - (high - low) / 2;
        if sum(middle) >= needed { low = middle } else { high = middle - 1 }
    }
    // One level higher was not enough, so that each gives back one block at most.
    let mut cuts: Vec<u64> = above(low).collect();
    let mut surplus = sum(low).saturating_sub(needed);
    for (cut, higher) in cuts.iter_mut().zip(above(low.saturating_add(1))).rev() {
        if surplus > 0 && *cut > higher {
            *cut -= 1;
            surplus -= 1;
        }
    }
    cuts
}

/// Whether a log that is due is cut instead where the quota has no room for all of it.
pub(super) fn replaces_rotation(draft: &LogDraft<'_>) -> bool {
    // A copy that is given up costs nothing.
    let is_lost = draft.policy.method != Method::Copy
        && draft.rotation.as_ref().is_some_and(|rotation| rotation.source == Source::Active);
    let can_be_cut =
        !draft.log.is_held && draft.log.active.is_some_and(|active| active.stamp.nlink <= 1);
    is_lost && draft.policy.live_trim && can_be_cut
}

/// Why such a log does not rotate.
pub(super) fn cut_instead() -> NotNow {
    let why = "is due, but the quota has no room for all of it; no more than its oldest \
               part is cut off, and it rotates when it is within the quota";
    NotNow { why: why.to_owned(), is_for_room: true, is_error: false }
}

/// Logs whose policy permits to cut them, and that are not cut although room is missing.
pub(super) fn left_whole(
    inventory: &Inventory,
    drafts: &[SetDraft<'_>],
    sums: &[SetPlan],
    (purpose, quota_of_all): (Purpose, Option<Bytes>),
) -> Vec<Problem> {
    // It would have been cut for a quota, and for nothing else.
    let used: Bytes = sums.iter().map(|sums| sums.used_after).sum();
    let is_over = |quota: Option<Bytes>, used: Bytes| quota.is_some_and(|quota| used > quota);
    let is_short = |sums: &SetPlan| {
        let is_passed = is_over(sums.quota, sums.used_after) || is_over(quota_of_all, used);
        purpose == Purpose::Routine && is_passed
    };
    let sets = std::iter::zip(drafts, sums).filter(|(_, sums)| is_short(sums));
    let logs = sets.flat_map(|(draft, _)| &draft.logs);
    let problem = |draft: &LogDraft<'_>| {
        let names = draft.log.active.filter(|_| !draft.is_blocked())?.stamp.nlink;
        let why = if draft.rotation.is_some() {
            return None;
        } else if draft.log.is_held {
            "is held by an appender, which keeps a quota for it by itself, or by a program that \
             locks it; it is not cut"
                .to_owned()
        } else if names > 1 {
            format!("has {names} names (hard links); it is not cut")
        } else {
            return None;
        };
        let path = inventory.path(draft.log.dir, &draft.log.name);
        Some(Problem { path, why, is_error: true })
    };
    logs.filter(|draft| draft.policy.live_trim).filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::{Bytes, cut_at_most, levelled};

    #[test]
    fn the_longest_give_first_down_to_one_level_and_no_block_too_much() {
        for (needed, logs, expected) in [
            (0, vec![(10, 9), (8, 7)], vec![0, 0]),
            (2, vec![(10, 9), (8, 7)], vec![2, 0]),
            (3, vec![(10, 9), (8, 7)], vec![3, 0]),
            (4, vec![(10, 9), (8, 7)], vec![3, 1]),
            (5, vec![(8, 7), (10, 9), (8, 7)], vec![1, 3, 1]),
            // What may not go is made up for by the others.
            (6, vec![(20, 2), (10, 9), (10, 9)], vec![2, 2, 2]),
            // All that there is, where that is not enough.
            (99, vec![(20, 2), (10, 9), (0, 0)], vec![2, 9, 0]),
            (1, vec![(3, 2), (3, 2), (3, 2)], vec![1, 0, 0]),
            (5, vec![], vec![]),
        ] {
            assert_eq!(levelled(needed, &logs), expected, "{needed} of {logs:?}");
        }
    }

    #[test]
    fn a_little_more_than_what_was_seen_is_a_round_amount() {
        for (seen, most) in [(0, 64), (1, 64), (64, 128), (400, 448), (512, 576), (8191, 8192)] {
            assert_eq!(cut_at_most(Bytes::kib(seen)), Bytes::kib(most), "{seen}");
        }
        for shift in 0..64 {
            let seen = Bytes::new(1 << shift);
            let more = cut_at_most(seen).minus(seen).get();
            assert!(more > 0 || shift == 63, "{seen}");
            assert!(more <= (seen.get() / 8).max(64 << 10), "{seen}");
        }
    }
}
