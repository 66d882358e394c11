//! The order of a plan to free space: the least valuable goes first, and what may turn out not
//! to be needed comes last.
//!
//! Leftovers and expired archives are as good as gone: the next run would delete them. Then
//! archives that stay are compressed where there is room for that: nothing is lost by it. Only
//! then archives are evicted, in the order in which that was decided, each only while there is
//! not room enough: so what compression has gained is not deleted on top. Where all that is not
//! enough and it was asked for, the heads of logs in use are cut off, last of all.

use super::rotation::{Done, names, unmoved};
use super::{At, Builder};
use crate::inventory::Place;
use crate::plan::draft::{LogDraft, SetDraft};
use crate::plan::quota::Evictions;
use crate::plan::{Expect, Goal, OnlyBelow, Reason};

impl Builder<'_> {
    pub(super) fn free(&mut self, drafts: &[SetDraft<'_>], evictions: &Evictions, goal: Goal) {
        for (set, draft) in drafts.iter().enumerate() {
            for (log, draft) in draft.logs.iter().enumerate() {
                let expired: Vec<_> = draft
                    .removed()
                    .filter(|(.., reason)| {
                        !matches!(
                            reason,
                            Reason::Duplicate | Reason::Reserve { .. } | Reason::Inodes { .. }
                        )
                    })
                    .collect();
                for (index, _, reason) in expired.into_iter().rev() {
                    self.delete_archive(drafts, (set, log, index), reason.clone());
                }
            }
        }
        if evictions.victims().next().is_some() {
            self.evict_to_free(drafts, evictions, goal);
        }
        // Last of all: what is in use.
        for (set, log) in evictions.cuts() {
            let Some(draft) = drafts.get(set).and_then(|draft| draft.logs.get(log)) else {
                continue;
            };
            self.trim((set, log), draft, Some(goal));
        }
    }

    /// Behind the compression of what stays.
    fn evict_to_free(&mut self, drafts: &[SetDraft<'_>], evictions: &Evictions, goal: Goal) {
        for (set, draft) in drafts.iter().enumerate() {
            // What is compressed is a file as before, and needs an inode on the way.
            if draft.spec.policy.compress.is_some() && goal.wanted.inodes().is_none() {
                self.compress_set(set, draft, &all_there(draft));
            }
        }
        for (at, reason) in evictions.victims() {
            let before = self.steps.len();
            let Some(dir) = self.delete_archive(drafts, at, reason.clone()) else { continue };
            let only_below = Some(OnlyBelow { wanted: goal.wanted, dir });
            // Its script, too.
            for step in self.steps.iter_mut().skip(before) {
                step.only_below = only_below;
            }
        }
    }

    /// Says in which directory.
    fn delete_archive(
        &mut self,
        drafts: &[SetDraft<'_>],
        (set, log, index): (usize, usize, usize),
        reason: Reason,
    ) -> Option<crate::inventory::DirId> {
        let draft = drafts.get(set)?.logs.get(log)?;
        let archive = draft.log.archives.get(index)?;
        let dir = draft.log.archive_dir;
        let stamp = archive.stamp();
        let place = Place { dir, name: archive.name().to_owned() };
        let bytes = stamp.freed_by_unlink();
        self.delete(At::log(set, log), draft, place, Expect::Unchanged(stamp), bytes, reason);
        Some(dir)
    }
}

/// The archives of each log that stay, if one of them is plain, under their names; also those that
/// go later have theirs.
fn all_there(draft: &SetDraft<'_>) -> Vec<(usize, Done)> {
    let has_plain = |log: &LogDraft<'_>| log.kept().any(|(_, archive)| archive.is_plain());
    let logs = draft.logs.iter().enumerate().filter(|(_, log)| has_plain(log));
    let done = logs.map(|(index, log)| {
        let mut taken = names(log);
        taken.extend(log.removed().map(|(_, archive, _)| archive.name().to_owned()));
        (index, Done { moved: unmoved(log), names: taken, ..Done::default() })
    });
    done.collect()
}
