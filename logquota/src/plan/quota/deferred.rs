//! What the limits demand of logs that others write, and do not get in this run.
//!
//! Everything is decided as if they gave it, so that no other log gives in their place. Then they
//! are taken out of the decisions, and what is missing is the plan's shortfall: a log in use stays,
//! and what a run has rotated stays until the next one.

use super::books::Victim;
use super::{Evictions, Pressed};
use crate::inventory::Inventory;
use crate::plan::draft::{LogDraft, SetDraft, Source};
use crate::plan::trim::replaces_rotation;
use crate::plan::{Problem, Reason};
use crate::policy::Method;
use crate::units::Bytes;

/// A log that has to give and stays.
pub(super) struct Deferred {
    set: usize,
    log: usize,
    bytes: Bytes,
    is_rotated: bool,
    reason: Reason,
}

impl Evictions {
    /// Takes back what only a log in use, or what is being rotated, could have given.
    pub(super) fn defer(&mut self, drafts: &mut [SetDraft<'_>]) {
        for index in (0..self.picks.len()).rev() {
            let Some(pick) = self.picks.get(index) else { continue };
            let (number, item) = (pick.pool, pick.item);
            let Some(reason) = pick.reason.as_deref().cloned() else { continue };
            let Some((set, log)) = self.pools.get(number).map(|pool| (pool.set, pool.log)) else {
                continue;
            };
            let draft = drafts.get(set).and_then(|draft| draft.logs.get(log));
            let is_deferred = matches!(item.victim, Victim::New)
                && draft.is_some_and(|draft| !is_ours_to_give(draft) && !waits(draft));
            if is_deferred {
                self.account(number, item, false);
                self.picks.remove(index);
                let bytes = item.bytes;
                self.deferred.push(Deferred { set, log, bytes, is_rotated: true, reason });
            }
        }
        for pressed in std::mem::take(&mut self.pressed) {
            let Pressed { pool, bytes, files, made, is_cut } = pressed;
            let place = self.pools.get(pool).map(|pool| (pool.set, pool.log));
            let draft = place.and_then(|(set, log)| drafts.get_mut(set)?.logs.get_mut(log));
            let (Some((set, log)), Some(draft)) = (place, draft) else { continue };
            if is_cut || is_ours_to_give(draft) {
                self.pressed.push(pressed);
                continue;
            }
            self.change(pool, bytes, files, false, false);
            self.add_inodes(set, made);
            if let Some(reason) = draft.rotation.take().and_then(|rotation| rotation.gone) {
                self.deferred.push(Deferred { set, log, bytes, is_rotated: false, reason });
            }
        }
        self.deferred.sort_by_key(|deferred| (deferred.set, deferred.log));
    }
}

impl Evictions {
    /// Says of each such log that it stays. What was put off has been said.
    pub(in crate::plan) fn unmet(
        &self,
        drafts: &[SetDraft<'_>],
        inventory: &Inventory,
        problems: &[Problem],
    ) -> Vec<Problem> {
        let told = |Deferred { set, log, bytes, is_rotated, reason }: &Deferred| {
            let draft = drafts.get(*set)?.logs.get(*log)?;
            let path = inventory.path(draft.log.dir, &draft.log.name);
            let (Reason::Quota { limit, .. } | Reason::QuotaPressure { limit, .. }) = reason else {
                return None;
            };
            let why = if *is_rotated {
                format!(
                    "was rotated just now; the quota of {limit} is not met with the {bytes} that it \
                     had, which stay until the next run may delete them"
                )
            } else {
                format!(
                    "is in use and stays; the quota of {limit} is not met with the {bytes} that it \
                     has; `livetrim` permits to cut off its oldest part"
                )
            };
            let is_told = problems.iter().any(|problem| problem.is_error && problem.path == path);
            (!is_told).then_some(Problem { path, why, is_error: true })
        };
        self.deferred.iter().filter_map(told).collect()
    }
}

/// Whether what is taken off the log may go at once: the policy says so, or an interrupted run has
/// renamed it already.
pub(super) fn is_ours_to_give(draft: &LogDraft<'_>) -> bool {
    let is_active =
        draft.rotation.as_ref().is_some_and(|rotation| rotation.source == Source::Active);
    draft.policy.evict_new || !is_active
}

/// Whether the log is put off, so that it is not copied, or is cut in place of its rotation.
fn waits(draft: &LogDraft<'_>) -> bool {
    draft.policy.method != Method::Rename || replaces_rotation(draft)
}
