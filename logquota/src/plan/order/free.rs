//! The order of a plan to free space: the least valuable goes first, and what may turn out not
//! to be needed comes last.
//!
//! Leftovers and expired archives are as good as gone: the next run would delete them. Then
//! archives that stay are compressed, in place where there is no other room for that: nothing is
//! lost by it. Only then archives are evicted, in the order in which that was decided, each only
//! while there is not room enough: so what compression has gained is not deleted on top. Where all
//! that is not enough and it was asked for, the heads of logs in use are cut off, last of all.

use super::rotation::{Done, names, unmoved};
use super::{At, Builder, in_place};
use crate::plan::draft::{LogDraft, SetDraft};
use crate::plan::quota::Evictions;
use crate::plan::{Action, Goal, OnlyBelow, Reason, Verdict};

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
                for (index, ..) in expired.into_iter().rev() {
                    self.give_up(drafts, (set, log, index));
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
        // At once: what grows piece by piece leaves holes behind it.
        self.steps.reserve_exact(evictions.victims().count());
        let mut victims = evictions.victims();
        if goal.wanted.inodes().is_none() {
            self.compress_to_free(drafts, &mut victims, goal);
        }
        for victim in victims {
            self.evict_for(drafts, Some(victim), goal);
        }
    }

    /// Compression of what stays. (Where inodes are wanted there is none: what is compressed is a
    /// file as before, and needs an inode on the way.)
    fn compress_to_free(
        &mut self,
        drafts: &[SetDraft<'_>],
        victims: &mut impl Iterator<Item = (usize, usize, usize)>,
        goal: Goal,
    ) {
        // Where there is no room to compress anything, the first that goes makes it.
        let mut sets = drafts.iter().filter(|draft| draft.set.dev == goal.dev);
        if sets.any(|draft| self.free_by_now(goal.dev, draft.set.space.free) < in_place::LEAST) {
            self.evict_for(drafts, victims.next(), goal);
        }
        for (set, draft) in drafts.iter().enumerate() {
            let before = self.steps.len();
            self.go_on_in_place(set, draft);
            if draft.spec.policy.compress.is_some() {
                self.compress_set(set, draft, &all_there(draft));
            }
            for step in self.steps.iter_mut().skip(before) {
                if let Action::Squeeze { from, .. } = &step.action {
                    step.only_below = Some(OnlyBelow { wanted: goal.wanted, dir: from.dir });
                }
            }
        }
    }

    /// An archive that goes only while there is too little.
    fn evict_for(
        &mut self,
        drafts: &[SetDraft<'_>],
        victim: Option<(usize, usize, usize)>,
        goal: Goal,
    ) {
        let Some(at) = victim else { return };
        let before = self.steps.len();
        let Some(dir) = self.give_up(drafts, at) else { return };
        let only_below = Some(OnlyBelow { wanted: goal.wanted, dir });
        // Its script, too.
        for step in self.steps.iter_mut().skip(before) {
            step.only_below = only_below;
        }
    }

    /// Says in which directory.
    fn give_up(
        &mut self,
        drafts: &[SetDraft<'_>],
        (set, log, index): (usize, usize, usize),
    ) -> Option<crate::inventory::DirId> {
        let draft = drafts.get(set)?.logs.get(log)?;
        let archive = draft.log.archives.get(index)?;
        let Verdict::Remove(reason) = draft.verdicts.get(index)? else { return None };
        let reason = Reason::clone(reason);
        self.delete_archive(At::log(set, log), draft, archive, reason);
        Some(draft.log.archive_dir)
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
