//! Promises 2, 4 and 5 for the heads of logs that are cut off: only where that is permitted, only
//! when nothing else is left, no more than is needed, and never the newest.

use super::Found;
use super::amounts::{Ledger, cut as at_most};
use super::model::{LogView, SetView, World};
use super::steps::{Change, is_active};
use crate::inventory::Place;
use crate::plan::{Expect, Goal, KEPT_MIN, Reason, Step, Wanted};
use crate::stamp::{Kind, Oldest};
use crate::units::Bytes;

/// Plays one cut.
pub(super) fn play(
    world: &mut World<'_>,
    (index, step): (usize, &Step),
    (at, file): (&Place, usize),
    (cut, keep): (Bytes, Bytes),
    found: &mut Found,
) -> Option<Change> {
    let shown = world.show(at);
    let set = world.sets.get(step.set)?;
    let log = set.logs.get(step.log?)?;
    let mut say = |what: &str| found.add(2, format_args!("step {index} cuts `{shown}`, {what}"));
    let is_permitted = match world.goal {
        Some(goal) => goal.cuts_logs && set.set.dev == goal.dev,
        None => set.policy.live_trim,
    };
    if !is_permitted {
        say("which is not permitted");
    }
    let least = if world.goal.is_some() { KEPT_MIN } else { Bytes::new(1) };
    if keep != least {
        say("and another part than has to stays");
    }
    if !is_active(world, step, at) || log.rotated || log.cut.is_some() {
        say("which is not the log any more, or was cut before");
    }
    let block = set.set.space.block.get().max(1);
    if cut == Bytes::ZERO || !cut.get().is_multiple_of(block) || cut != step.bytes {
        say("and not by whole blocks");
    }
    let kept = world.files.get(file)?;
    let Some(stamp) = kept.stamp().filter(|stamp| stamp.nlink <= 1) else {
        say("which is new or has other names");
        return None;
    };
    if !is_as_seen(step, world.goal.and(log.log.oldest.as_deref())) {
        say("whatever its oldest records are by then");
    }
    if log.log.is_held {
        say("which somebody holds who has a quota of his own");
    }
    if cut.plus(least) > stamp.allocated.min(Bytes::new(stamp.len)) {
        say("to its end");
    }
    let dev = kept.dev;
    let limit = match (world.goal, &step.reason) {
        (None, Reason::QuotaPressure { used, limit }) if used > limit => *limit,
        (Some(goal), Reason::Reserve { free, wanted })
            if wanted > free && goal.wanted == Wanted::Bytes(*wanted) =>
        {
            *wanted
        }
        _ => {
            say("for no limit that is broken");
            return None;
        }
    };
    let kept = world.files.get_mut(file)?;
    kept.allocated = kept.allocated.saturating_sub(cut.get());
    world.sets.get_mut(step.set)?.logs.get_mut(step.log?)?.cut = Some(Box::new((cut, limit)));
    let used = -i128::from(cut.get());
    Some(Change { used, dev, ..Change::default() })
}

/// Whether it is for the oldest content that was seen, where any was looked at.
fn is_as_seen(step: &Step, seen: Option<&Oldest>) -> bool {
    match step.expect {
        Expect::SameOldest(_, oldest) => seen == Some(&oldest),
        _ => seen.is_none(),
    }
}

/// Whether all that was cut off had to go, in the end.
pub(super) fn check_needed(world: &World<'_>, ledger: &Ledger, found: &mut Found) {
    if let Some(goal) = world.goal {
        return check_level(world, ledger, goal, found);
    }
    let block = block(world.sets.iter());
    for (number, view) in world.sets.iter().enumerate() {
        for log in &view.logs {
            let Some((cut, limit)) = log.cut.as_deref().copied() else { continue };
            let name = crate::error::printable(&log.log.name);
            let used = ledger.used.get(number).copied().unwrap_or_default();
            let is_over = |quota: Option<Bytes>, used: u128| {
                quota.is_some_and(|quota| used + block > u128::from(quota.get()))
            };
            let (own, of_all) = (view.policy.limits.quota, world.config.global.quota);
            if !is_over(own, used) && !is_over(of_all, ledger.total) {
                let cut = cut.get();
                found.add(4, format_args!("`{name}` is cut by {cut} bytes, which is too much"));
            }
            if own != Some(limit) && of_all != Some(limit) {
                found.add(2, format_args!("`{name}` is cut for a quota that nobody gave"));
            }
            if has_archive(world, log) {
                found.add(4, format_args!("`{name}` is cut while it has archives"));
            }
            if own == Some(limit) && of_all != own && is_within_share(view, log, limit) {
                found.add(5, format_args!("`{name}` is cut and uses no more than its share"));
            }
        }
    }
}

/// The largest block of these sets' file systems.
fn block<'w, 'a: 'w>(sets: impl Iterator<Item = &'w SetView<'a>>) -> u128 {
    let largest = sets.map(|view| view.set.space.block).max();
    u128::from(largest.unwrap_or_default().get().max(1))
}

/// To free space: by no more than is missing, when nothing else is left, and no log to a shorter
/// length than another one has that could have given.
fn check_level(world: &World<'_>, ledger: &Ledger, goal: Goal, found: &mut Found) {
    let there = || {
        let is_there = |view: &&SetView<'_>| view.set.dev == goal.dev && !view.is_left_alone;
        world.sets.iter().filter(is_there)
    };
    let block = block(there());
    let logs = || there().flat_map(|view| &view.logs);
    let cuts = || logs().filter_map(|log| Some((log, u128::from(log.cut.as_ref()?.0.get()))));
    if cuts().next().is_none() {
        return;
    }
    let free = there().map(|view| view.set.space.free).next().unwrap_or_default();
    let freed = ledger.freed.get(&goal.dev).map_or(0, |freed| freed.0);
    let free = u128::from(free.get()).saturating_add_signed(freed);
    if at_most(free).minus(goal.wanted.bytes().unwrap_or_default()) >= at_most(block) {
        found.add(4, format_args!("logs are cut by more than is missing"));
    }
    for log in logs() {
        let name = crate::error::printable(&log.log.name);
        let is_ours = log.log.blocked.is_none()
            && log.log.stamps().all(|stamp| stamp.id.dev == goal.dev)
            && log.log.active.is_some();
        let is_left = world.archives(log).any(|(archive, content)| {
            let stamp = archive.stamp();
            let is_kept = content.is_none_or(|content| content.lost.is_none());
            is_kept
                && archive.kind() == Kind::File
                && stamp.nlink <= 1
                && u128::from(stamp.allocated.get()) >= block
        });
        if is_ours && is_left {
            found.add(4, format_args!("logs are cut, and `{name}` has archives"));
        }
    }
    let has = |log: &LogView<'_>| {
        let active = log.log.active.map(|active| active.stamp);
        active.map_or(Bytes::ZERO, |stamp| stamp.allocated)
    };
    let left = |log, cut| u128::from(Bytes::get(has(log))).saturating_sub(cut);
    let shortest = cuts().map(|(log, cut)| left(log, cut)).min().unwrap_or_default();
    for log in logs().filter(|log| log.log.blocked.is_none()) {
        let Some(stamp) = log.log.active.map(|active| active.stamp) else { continue };
        let cut = log.cut.as_ref().map_or(0, |cut| u128::from(cut.0.get()));
        let content = u128::from(stamp.allocated.get().min(stamp.len));
        let can_give = stamp.nlink <= 1
            && !log.log.is_held
            && log.log.stamps().all(|stamp| stamp.id.dev == goal.dev)
            && content.saturating_sub(cut) >= u128::from(KEPT_MIN.get()) + block;
        if can_give && left(log, cut) > shortest + 2 * block {
            let name = crate::error::printable(&log.log.name);
            found.add(5, format_args!("`{name}` stays longer than one that was cut"));
        }
    }
}

/// Whether something of the log stays that could have gone before.
fn has_archive(world: &World<'_>, log: &LogView<'_>) -> bool {
    world.archives(log).any(|(archive, content)| {
        let is_kept = content.is_none_or(|content| content.lost.is_none());
        is_kept && archive.stamp().nlink <= 1
    })
}

fn is_within_share(view: &SetView<'_>, log: &LogView<'_>, limit: Bytes) -> bool {
    let used: u128 = log.log.stamps().map(|stamp| u128::from(stamp.allocated.get())).sum();
    used * (view.logs.len() as u128) <= u128::from(limit.get())
}
