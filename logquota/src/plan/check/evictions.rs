//! Promises 4 and 5: no eviction is needless, and evictions are fair.

use std::collections::{HashMap, HashSet};

use super::Found;
use super::amounts::Ledger;
use super::model::{Content, LogView, World};
use crate::inventory::{Archive, LeftoverKind};
use crate::plan::{Plan, Reason};
use crate::policy::Limits;

fn is_eviction(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::Quota { .. }
            | Reason::QuotaPressure { .. }
            | Reason::MaxFiles { .. }
            | Reason::Reserve { .. }
            | Reason::Inodes { .. }
            | Reason::NoInode
    )
}

fn evicted_at(content: &Content<'_>) -> Option<usize> {
    content.lost.filter(|(_, reason)| is_eviction(reason)).map(|(step, _)| step)
}

/// What the later steps need at most, seen from one of them.
#[derive(Default)]
struct Ahead {
    /// The most that each set uses.
    used: HashMap<usize, u128>,
    total: u128,
    /// The least that each device has got back, in bytes and in files.
    freed: HashMap<u64, (i128, i64)>,
}

/// Promise 4: if an eviction had not been, a limit would be broken, in the end or on the
/// way. Looked at is the newest eviction of each log, as any other would leave a gap. A copy
/// counts on top of what is used in the end, whenever it is made.
pub(super) fn check_needed(world: &World<'_>, plan: &Plan, ledger: &Ledger, found: &mut Found) {
    let mut newest: Vec<(usize, &Content<'_>)> = Vec::new();
    let mut done = HashSet::new();
    for content in &world.contents {
        if content.is_live()
            && let Some(step) = evicted_at(content)
        {
            newest.push((step, content));
            done.insert((content.set.get(), content.log.get()));
        }
    }
    for (set_number, set) in world.sets.iter().enumerate() {
        for (log_number, log) in set.logs.iter().enumerate() {
            // Its archives had to go before it was cut itself, which is looked at elsewhere.
            if log.cut.is_some() {
                continue;
            }
            if !done.contains(&(set_number, log_number))
                && let Some(first) = world.contents_of(log).find_map(|c| Some((evicted_at(c)?, c)))
            {
                newest.push(first);
            }
        }
    }
    newest.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    let mut ahead = Ahead::default();
    let mut wanted = newest.into_iter().peekable();
    let moments = ledger.history.iter().zip(&plan.steps).enumerate();
    for (index, (moment, step)) in moments.rev() {
        if let Some((of_set, of_all)) = ledger.uses.get(index).copied() {
            let used = ahead.used.entry(step.set).or_default();
            *used = of_set.max(*used);
            ahead.total = ahead.total.max(of_all);
        }
        let then = (moment.freed, moment.freed_files);
        let freed = ahead.freed.entry(moment.dev).or_insert(then);
        *freed = (freed.0.min(then.0), freed.1.min(then.1));
        while let Some((_, content)) = wanted.next_if(|(step, _)| *step == index) {
            if !is_needed(world, ledger, &ahead, content) {
                let step = &step.action;
                found.add(4, format_args!("step {index} deletes needlessly: {step:?}"));
            }
        }
    }
}

/// Whether a limit would be broken with this content still there.
fn is_needed(world: &World<'_>, ledger: &Ledger, ahead: &Ahead, content: &Content<'_>) -> bool {
    let Some(view) = world.sets.get(content.set.get()) else { return true };
    let number = content.set.get();
    let more = u128::from(content.freed);
    let limits_of = |limits| if world.goal.is_none() { limits } else { Limits::default() };
    let (limits, global) = (limits_of(view.policy.limits), limits_of(world.config.global));
    let at = |list: &[u128]| list.get(number).copied().unwrap_or_default();

    let quota = limits.quota.is_some_and(|quota| {
        let quota = u128::from(quota.get());
        let on_the_way = ahead.used.get(&number).copied().unwrap_or_default();
        let on_the_way = on_the_way.max(at(&ledger.used) + at(&ledger.copies));
        at(&ledger.used) + more > quota || on_the_way + more > quota.max(at(&ledger.start))
    });
    let quota_of_all = global.quota.is_some_and(|quota| {
        let bound = ledger.bound_of_all(world).unwrap_or_default();
        let largest = ledger.copies.iter().copied().max().unwrap_or_default();
        let on_the_way = ahead.total.max(ledger.total + largest);
        ledger.total + more > quota.get().into() || on_the_way + more > bound
    });
    let too_many = |files: i64, limit: Option<u64>| {
        limit.is_some_and(|limit| files + 1 > i64::try_from(limit).unwrap_or(i64::MAX))
    };
    let files = ledger.files.get(number).copied().unwrap_or_default();
    let files =
        too_many(files, limits.max_files) || too_many(ledger.files.iter().sum(), global.max_files);

    let space = view.set.space;
    let dev = view.set.dev;
    let more = if content.dev == dev { i128::try_from(more).unwrap_or(i128::MAX) } else { 0 };
    let freed = ledger.freed.get(&dev).copied().unwrap_or_default();
    let least = ahead.freed.get(&dev).copied().unwrap_or_default();
    let free = i128::from(space.free.get());
    let reserve = world.reserve(view);
    let reserve = reserve.is_some_and(|reserve| free + freed.0 - more < reserve.get().into());
    let full = free + least.0 - more < 0;
    // Deletions that come after the first new file may come too late for it.
    let (early, made) = ledger.inodes.get(&dev).copied().unwrap_or_default();
    let inodes = space.free_files.is_some_and(|free| {
        let left = i128::from(free) + i128::from(least.1.min(early - made));
        left - i128::from(content.dev == dev) < 0
    });
    let wanted = world.goal.filter(|goal| goal.dev == dev).and_then(|goal| goal.wanted.inodes());
    let few = wanted.zip(space.free_files).is_some_and(|(wanted, free)| {
        i128::from(free) + i128::from(freed.1) - i128::from(content.dev == dev) < wanted.into()
    });
    quota || quota_of_all || files || reserve || full || inodes || few
}

/// Promise 5: a log within its share of the quota loses no archive to it; in each log the
/// oldest go first.
pub(super) fn check_fair(world: &World<'_>, found: &mut Found) {
    for view in &world.sets {
        let logs = view.logs.len() as u128;
        for log in &view.logs {
            let name = || crate::error::printable(&log.log.name);
            let mut gap = None;
            let mut used = None;
            for (archive, content) in world.archives(log) {
                let lost = content.and_then(|content| content.lost);
                if content.and_then(evicted_at).is_some() {
                    gap = Some(archive.name());
                } else if let (Some(newer), None) = (gap, lost)
                    && archive.stamp().nlink <= 1
                {
                    let (newer, older) =
                        (crate::error::printable(newer), crate::error::printable(archive.name()));
                    found.add(5, format_args!("`{newer}` is evicted, the older `{older}` stays"));
                    gap = None;
                }
                let Some((_, Reason::Quota { limit, .. })) = lost else { continue };
                let used = *used.get_or_insert_with(|| used_by(log));
                if view.policy.limits.quota == Some(*limit)
                    && world.config.global.quota != Some(*limit)
                    && used * logs <= u128::from(limit.get())
                {
                    found.add(
                        5,
                        format_args!(
                            "`{}` uses {used} bytes, no more than its share, and loses `{}`",
                            name(),
                            crate::error::printable(archive.name())
                        ),
                    );
                }
            }
        }
    }
}

/// What a log's archives and active file occupied when they were scanned (also one that was
/// renamed to be copied), and what it wants for a copy.
fn used_by(log: &LogView<'_>) -> u128 {
    let mut seen = HashSet::new();
    let leftovers = log.log.leftovers.iter();
    let renamed = leftovers.filter(|leftover| leftover.kind == LeftoverKind::Renamed);
    let active = log.log.active.iter().map(|active| active.stamp);
    active
        .chain(log.log.archives.iter().map(Archive::stamp))
        .chain(log.log.archives.iter().filter_map(Archive::head).map(|head| head.meta.stamp))
        .chain(renamed.map(|leftover| leftover.meta.stamp))
        .filter(|stamp| stamp.nlink <= 1 || seen.insert((stamp.id.dev, stamp.id.ino)))
        .map(|stamp| u128::from(stamp.allocated.get()))
        .sum::<u128>()
        + log.copied
}
