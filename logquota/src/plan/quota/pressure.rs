//! When archives are not enough: the logs themselves have to give. And the other way round:
//! what was taken and not needed after all is given back.

use super::Evictions;
use super::books::new_files;
use crate::inventory::{Archive, LeftoverKind};
use crate::plan::draft::{LogDraft, Rotation, SetDraft, Source};
use crate::plan::rotate::new_label;
use crate::plan::{Context, Reason, Verdict};
use crate::policy::Method;
use crate::units::Bytes;

/// An active file that has to give.
pub(super) struct Pressed {
    pool: usize,
    bytes: Bytes,
    files: u64,
    made: i128,
}

impl Evictions {
    /// Where archives alone cannot make room, the active files of logs above their share are
    /// rotated, the largest first, and the archive that this makes is evicted at once.
    pub(super) fn press(
        &mut self,
        scope: Option<usize>,
        drafts: &mut [SetDraft<'_>],
        context: &Context,
    ) {
        let bound = self.bound(scope);
        let Some(limit) = bound.limits.quota else { return };
        if bound.used <= limit {
            return;
        }
        let share = Bytes::new(limit.get().checked_div(bound.logs).unwrap_or(0));
        let mut candidates: Vec<(Bytes, usize, Source)> = Vec::new();
        for index in self.in_scope(scope) {
            let Some(pool) = self.pools.get(index) else { continue };
            let draft = drafts.get(pool.set).and_then(|d| d.logs.get(pool.log));
            if let Some(draft) = draft
                && pool.used > share
                && pool.gone == pool.items.len()
                && let Some((bytes, source)) = pressable(draft)
            {
                candidates.push((bytes, index, source));
            }
        }
        candidates.sort_by_key(|(bytes, index, _)| (std::cmp::Reverse(*bytes), *index));
        for (bytes, index, source) in candidates {
            let used = self.bound(scope).used;
            if used <= limit {
                break;
            }
            let Some(pool) = self.pools.get(index) else { continue };
            let Some(draft) = drafts.get_mut(pool.set).and_then(|d| d.logs.get_mut(pool.log))
            else {
                continue;
            };
            // What could go of its archives has gone by now.
            let stays = |index, archive: &Archive| {
                archive.meta.stamp.nlink > 1
                    && matches!(draft.verdicts.get(index), Some(Verdict::Keep(_)))
            };
            let Ok(label) = new_label(draft.log, draft.policy, context, stays) else { continue };
            let reason = Reason::QuotaPressure { used, limit };
            let files_before = draft.fixed_files();
            draft.rotation = Some(Box::new(Rotation {
                reason: reason.clone(),
                label,
                bytes,
                gone: Some(reason),
                source,
            }));
            let files = files_before.saturating_sub(draft.fixed_files());
            let made = new_files(draft);
            let set = pool.set;
            self.add_inodes(set, -made);
            self.change(index, bytes, files, true, false);
            self.pressed.push(Pressed { pool: index, bytes, files, made });
        }
    }

    /// Lets active files alone whose rotation the later decisions have made unnecessary.
    pub(super) fn let_go(&mut self, drafts: &mut [SetDraft<'_>]) {
        for pressed in std::mem::take(&mut self.pressed) {
            let Pressed { pool: index, bytes, files, made } = pressed;
            let Some((set, log)) = self.pools.get(index).map(|pool| (pool.set, pool.log)) else {
                continue;
            };
            self.change(index, bytes, files, false, false);
            self.add_inodes(set, made);
            if self.is_broken(set) {
                self.change(index, bytes, files, true, false);
                self.add_inodes(set, -made);
                self.pressed.push(pressed);
            } else if let Some(draft) = drafts.get_mut(set).and_then(|d| d.logs.get_mut(log)) {
                draft.rotation = None;
            }
        }
    }

    /// Withdraws evictions that the later ones have made unnecessary, the last one first. In
    /// each log only the newest evicted archive can come back, or there would be a gap, and none
    /// where the log itself has to give.
    pub(super) fn give_back(&mut self) {
        let mut closed = vec![false; self.pools.len()];
        for pressed in &self.pressed {
            if let Some(closed) = closed.get_mut(pressed.pool) {
                *closed = true;
            }
        }
        for index in (0..self.picks.len()).rev() {
            let Some(pick) = self.picks.get(index) else { continue };
            let (pool, item) = (pick.pool, pick.item);
            if closed.get(pool).copied().unwrap_or(true) {
                continue;
            }
            self.account(pool, item, false);
            if self.pools.get(pool).is_some_and(|pool| self.is_broken(pool.set)) {
                self.account(pool, item, true);
                if let Some(closed) = closed.get_mut(pool) {
                    *closed = true;
                }
            } else {
                self.picks.remove(index);
                if let Some(pool) = self.pools.get_mut(pool) {
                    pool.gone = pool.gone.saturating_sub(1);
                }
            }
        }
    }
}

/// Allocated bytes that rotating the active file away would give back, or what an interrupted
/// run has renamed already.
fn pressable(draft: &LogDraft<'_>) -> Option<(Bytes, Source)> {
    let mut leftovers = draft.staying_leftovers();
    let renamed = leftovers.find(|leftover| leftover.kind == LeftoverKind::Renamed);
    let (stamp, source) = match renamed {
        Some(leftover) => (leftover.meta.stamp, Source::Renamed),
        None => (draft.log.active.as_ref()?.stamp, Source::Active),
    };
    let can = !draft.is_blocked()
        && !draft.is_put_off
        && draft.rotation.is_none()
        && draft.policy.method != Method::Copy
        && stamp.nlink <= 1
        && stamp.allocated > Bytes::ZERO;
    can.then_some((stamp.allocated, source))
}
