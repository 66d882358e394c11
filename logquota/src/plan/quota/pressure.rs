//! When archives are not enough: the logs themselves have to give. And the other way round:
//! what was taken and not needed after all is given back.

use super::Evictions;
use super::books::new_files;
use super::deferred::is_ours_to_give;
use crate::inventory::{Archive, LeftoverKind};
use crate::plan::draft::{LogDraft, Rotation, SetDraft, Source};
use crate::plan::rotate::new_label;
use crate::plan::trim::cuttable;
use crate::plan::{Context, Reason, Verdict};
use crate::policy::Method;
use crate::units::Bytes;

/// An active file that has to give.
#[derive(Clone, Copy)]
pub(super) struct Pressed {
    pub(super) pool: usize,
    pub(super) bytes: Bytes,
    pub(super) files: u64,
    pub(super) made: i128,
    /// Its head is cut off; otherwise it is rotated away.
    pub(super) is_cut: bool,
}

impl Evictions {
    /// Where archives alone cannot make room, the active files of logs above their share are
    /// rotated, the largest first, and the archive that this makes is evicted at once; or their
    /// heads are cut off, if the policy permits that (`livetrim`). What others write stays
    /// nevertheless, see [`deferred`](super::deferred).
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
        let mut candidates: Vec<(Bytes, usize, How)> = Vec::new();
        for index in self.in_scope(scope) {
            let Some(pool) = self.pools.get(index) else { continue };
            let Some(set) = drafts.get(pool.set) else { continue };
            if let Some(draft) = set.logs.get(pool.log)
                && pool.used > share
                && pool.gone == pool.items.len()
                && let Some((bytes, how)) = pressable(draft, set.set.space.block)
            {
                candidates.push((bytes, index, how));
            }
        }
        candidates.sort_by_key(|(bytes, index, _)| (std::cmp::Reverse(*bytes), *index));
        for (bytes, index, how) in candidates {
            let used = self.bound(scope).used;
            if used <= limit {
                break;
            }
            let source = match how {
                How::Rotated(source) => source,
                How::Cut { most } => {
                    self.cut((index, most), drafts, (used, limit), share);
                    continue;
                }
            };
            let Some(pool) = self.pools.get(index) else { continue };
            let Some(draft) = drafts.get_mut(pool.set).and_then(|d| d.logs.get_mut(pool.log))
            else {
                continue;
            };
            // What could go of its archives has gone by now.
            let stays = |index, archive: &Archive| {
                archive.stamp().nlink > 1
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
            // What stays in the end takes no inode on the way.
            let made = if is_ours_to_give(draft) { new_files(draft) } else { 0 };
            let set = pool.set;
            self.add_inodes(set, -made);
            self.change(index, bytes, files, true, false);
            self.pressed.push(Pressed { pool: index, bytes, files, made, is_cut: false });
        }
    }

    /// Lets active files alone whose rotation the later decisions have made unnecessary.
    pub(super) fn let_go(&mut self, drafts: &mut [SetDraft<'_>]) {
        for pressed in std::mem::take(&mut self.pressed) {
            if pressed.is_cut {
                self.cut_less(pressed, drafts);
                continue;
            }
            let Pressed { pool: index, bytes, files, made, .. } = pressed;
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

/// How an active file gives.
enum How {
    Rotated(Source),
    Cut { most: Bytes },
}

/// How an active file, or what an interrupted run has renamed already, can give, and what it
/// occupies.
fn pressable(draft: &LogDraft<'_>, block: Bytes) -> Option<(Bytes, How)> {
    let mut leftovers = draft.staying_leftovers();
    let renamed = leftovers.find(|leftover| leftover.kind == LeftoverKind::Renamed);
    if draft.policy.live_trim && renamed.is_none() {
        let most = cuttable(draft, block);
        let active = draft.log.active.filter(|_| most > Bytes::ZERO)?;
        return Some((active.stamp.allocated, How::Cut { most }));
    }
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
    can.then_some((stamp.allocated, How::Rotated(source)))
}
