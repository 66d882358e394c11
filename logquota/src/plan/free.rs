//! What may give way so that there is space: which logs are looked at, and what of them stays.

use super::blocked::why;
use super::draft::{LogDraft, SetDraft};
use super::{Context, Goal, Problem, retain};
use crate::inventory::{Archive, Inventory, LeftoverKind, Set};

/// Looks at one set. No log of it is due, and none is made.
pub(super) fn look(
    draft: &mut SetDraft<'_>,
    inventory: &Inventory,
    context: &Context,
    problems: &mut Vec<Problem>,
) {
    let Some(goal) = context.purpose.goal() else { return };
    for log in &mut draft.logs {
        if let Some(blocked) = &log.log.blocked {
            let path = inventory.path(log.log.dir, &log.log.name);
            problems.push(Problem { path, why: why(blocked), is_error: blocked.is_error() });
        }
        look_at(log, draft.set, goal);
        retain::retain(log, context);
    }
}

/// Nothing of a log gives way where there is enough already, nor on other file systems.
fn look_at(draft: &mut LogDraft<'_>, set: &Set, goal: Goal) {
    let log = draft.log;
    let archives = log.archives.iter().map(Archive::stamp);
    let leftovers = log.leftovers.iter().map(|leftover| leftover.meta.stamp);
    let active = log.active.map(|active| active.stamp);
    let mut files = archives.chain(leftovers).chain(active);
    let is_wanted = goal.dev == set.dev
        && !goal.wanted.is_met(&set.space)
        && files.all(|stamp| stamp.id.dev == goal.dev);
    draft.is_aside |= !is_wanted;
    let newest = log.archives.first().filter(|archive| archive.is_plain());
    let renamed = log.leftovers.iter().find(|l| l.kind == LeftoverKind::Renamed);
    draft.renamed_is_copied = renamed.zip(newest).is_some_and(|(leftover, copy)| {
        let (copy, renamed) = (copy.stamp(), leftover.meta.stamp);
        (copy.len, copy.mtime) == (renamed.len, renamed.mtime)
    });
    // Without an active file the newest one may be it, renamed by a run that was interrupted:
    // its writer has it open. And it is what tells that there was a log.
    draft.spares_newest = log.active.is_none() && newest.is_some();
}
