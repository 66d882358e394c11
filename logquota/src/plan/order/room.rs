//! Whether there is room and an inode for what is made, when its turn comes.
//!
//! A copy is the only step that adds to what is used, whatever happens; it and a new log take
//! an inode. Where there is none, or a limit would be passed, the log is put off, and
//! everything is decided again without it.

use std::collections::{BTreeMap, HashSet};

use super::{Builder, admits};
use crate::inventory::Set;
use crate::plan::decide::{no_inode, no_room_for_copy};
use crate::plan::{Action, Expect, Reason, Step};
use crate::units::Bytes;

/// What a file system has left.
struct Left {
    bytes: i128,
    files: Option<i128>,
}

impl Builder<'_> {
    /// Whether the limits leave `room` beside the `source` that is compressed, though what was
    /// compressed before may have grown by that. Of what occupies nothing there is nothing to gain.
    pub(super) fn has_room(&self, set: usize, source: Bytes, room: Bytes) -> bool {
        let at = |amounts: &[Bytes]| amounts.get(set).copied().unwrap_or_default();
        let sum = |amounts: &[Bytes]| amounts.iter().copied().sum::<Bytes>();
        let quota = self.config.sets.get(set).and_then(|spec| spec.policy.limits.quota);
        let (before, used) = (at(&self.before), at(&self.used).plus(at(&self.grown)));
        let all_used = sum(&self.used).plus(sum(&self.grown));
        let free = self.inventory.sets.get(set).map_or(Bytes::ZERO, |set| set.space.free);
        source > Bytes::ZERO
            && admits(quota, before, used, source, room)
            && admits(self.config.global.quota, sum(&self.before), all_used, source, room)
            && room <= free.plus(before).minus(used)
    }

    /// Puts off every log whose rotation would pass a quota or the end of the disk.
    pub(super) fn find_impossible(&mut self) {
        let mut used = self.before.clone();
        let mut total: Bytes = used.iter().copied().sum();
        let bound_of_all = self.config.global.quota.map(|quota| quota.max(total));
        let mut left: BTreeMap<u64, Left> = BTreeMap::new();
        for set in &self.inventory.sets {
            let files = set.space.free_files.map(i128::from);
            left.insert(set.dev, Left { bytes: set.space.free.get().into(), files });
        }
        // Logs that are put off give nothing back, either.
        let mut put_off = HashSet::new();
        for step in &self.steps {
            let (Some(used), Some(log), Some(set)) =
                (used.get_mut(step.set), step.log, self.inventory.sets.get(step.set))
            else {
                continue;
            };
            let Some(left) = left.get_mut(&set.dev) else { continue };
            let at = (step.set, log);
            if put_off.contains(&at) {
                continue;
            }
            let is_here = step.action.target().is_some_and(|to| {
                self.inventory.dirs.get(&to.dir).is_some_and(|dir| dir.id.dev == set.dev)
            });
            match &step.action {
                // It counts on, compressed.
                Action::Delete { .. } if step.reason == Reason::Compressed => {}
                Action::Delete { .. } | Action::Truncate { .. } | Action::Trim { .. } => {
                    *used = used.minus(step.bytes);
                    total = total.minus(step.bytes);
                    left.bytes += i128::from(step.bytes.get());
                    if let (Action::Delete { .. }, Some(files)) = (&step.action, &mut left.files)
                        && frees_inode(step, set)
                    {
                        *files += 1;
                    }
                }
                Action::Create { .. } | Action::Copy { .. } => {
                    if left.files.is_some_and(|files| is_here && files < 1) {
                        put_off.insert(at);
                        self.impossible.insert(at, no_inode());
                        continue;
                    }
                    if let Action::Copy { room, .. } = &step.action {
                        let before = self.before.get(step.set).copied().unwrap_or_default();
                        let policy = self.config.sets.get(step.set).map(|spec| &spec.policy);
                        let quota = policy.and_then(|policy| policy.limits.quota);
                        let fits = quota.is_none_or(|q| used.plus(*room) <= q.max(before))
                            && bound_of_all.is_none_or(|bound| total.plus(*room) <= bound)
                            && (!is_here || i128::from(room.get()) <= left.bytes);
                        if !fits {
                            put_off.insert(at);
                            self.impossible.insert(at, no_room_for_copy(*room));
                            continue;
                        }
                        *used = used.plus(*room);
                        total = total.plus(*room);
                        left.bytes -= if is_here { i128::from(room.get()) } else { 0 };
                    }
                    if let (Some(files), true) = (&mut left.files, is_here) {
                        *files -= 1;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether a deletion takes the last name of its file. An empty file has an inode, too.
pub(super) fn frees_inode(step: &Step, set: &Set) -> bool {
    let id = match step.expect {
        Expect::Unchanged(stamp) => return stamp.nlink <= 1,
        Expect::SameFile(id) | Expect::SameOldest(id, _) => id,
        Expect::Nothing | Expect::Made => return false,
    };
    let Some(log) = step.log.and_then(|log| set.logs.get(log)) else { return false };
    let renamed = log.leftovers.iter().map(|leftover| &leftover.meta);
    let mut sources = log.active.iter().chain(renamed);
    sources.any(|meta| meta.stamp.id == id && meta.stamp.nlink <= 1)
}
