//! Promises 2, 4 and 5 for the heads of logs that are cut off: only where that is permitted, only
//! when nothing else is left, no more than is needed, and never the newest.

use super::Found;
use super::amounts::Ledger;
use super::model::{LogView, SetView, World};
use super::steps::{Change, is_active};
use crate::inventory::Place;
use crate::plan::{Reason, Step};
use crate::units::Bytes;

/// Plays one cut.
pub(super) fn play(
    world: &mut World<'_>,
    (index, step): (usize, &Step),
    (at, file): (&Place, usize),
    cut: Bytes,
    found: &mut Found,
) -> Option<Change> {
    let shown = world.show(at);
    let set = world.sets.get(step.set)?;
    let log = set.logs.get(step.log?)?;
    let mut say = |what: &str| found.add(2, format_args!("step {index} cuts `{shown}`, {what}"));
    if !set.policy.live_trim {
        say("which is not permitted");
    }
    if !is_active(world, step, at) || log.rotated || log.cut.is_some() {
        say("which is not the log any more, or was cut before");
    }
    let block = set.set.space.block.get().max(1);
    if cut == Bytes::ZERO || !cut.get().is_multiple_of(block) || cut != step.bytes {
        say("and not by whole blocks");
    }
    let kept = world.files.get(file)?;
    let Some(stamp) = kept.stamp.filter(|stamp| stamp.nlink <= 1) else {
        say("which is new or has other names");
        return None;
    };
    if cut >= stamp.allocated || cut.get() >= stamp.len {
        say("to its end");
    }
    let dev = kept.dev;
    let limit = match step.reason {
        Reason::QuotaPressure { used, limit } if used > limit => limit,
        _ => {
            say("for no quota");
            return None;
        }
    };
    let cut = u128::from(cut.get());
    let kept = world.files.get_mut(file)?;
    kept.allocated = kept.allocated.saturating_sub(cut);
    world.sets.get_mut(step.set)?.logs.get_mut(step.log?)?.cut = Some((cut, limit));
    let used = i128::try_from(cut).map_or(i128::MIN, |cut| -cut);
    Some(Change { used, dev, ..Change::default() })
}

/// Whether all that was cut off had to go, in the end.
pub(super) fn check_needed(world: &World<'_>, ledger: &Ledger, found: &mut Found) {
    let largest = world.sets.iter().map(|view| view.set.space.block).max();
    let block = u128::from(largest.unwrap_or_default().get().max(1));
    for (number, view) in world.sets.iter().enumerate() {
        for log in &view.logs {
            let Some((cut, limit)) = log.cut else { continue };
            let name = crate::error::printable(&log.log.name);
            let used = ledger.used.get(number).copied().unwrap_or_default();
            let is_over = |quota: Option<Bytes>, used: u128| {
                quota.is_some_and(|quota| used + block > u128::from(quota.get()))
            };
            let (own, of_all) = (view.policy.limits.quota, world.config.global.quota);
            if !is_over(own, used) && !is_over(of_all, ledger.total) {
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

/// Whether something of the log stays that could have gone before.
fn has_archive(world: &World<'_>, log: &LogView<'_>) -> bool {
    log.archives.iter().zip(&log.contents).any(|(archive, content)| {
        let is_kept = world.contents.get(*content).is_some_and(|content| content.lost.is_none());
        is_kept && archive.stamp().nlink <= 1
    })
}

fn is_within_share(view: &SetView<'_>, log: &LogView<'_>, limit: Bytes) -> bool {
    let used: u128 = log.log.stamps().map(|stamp| u128::from(stamp.allocated.get())).sum();
    used * (view.logs.len() as u128) <= u128::from(limit.get())
}
