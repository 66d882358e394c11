//! What was done, as the file system says it, and who keeps back what did not become free.

use std::collections::HashSet;

use logquota::Bytes;
use logquota::apply::{Outcome as StepOutcome, Report};
use logquota::fs::os::{OpenDeletedFiles, open_deleted};
use logquota::inventory::Space;
use logquota::plan::guard::loses;
use logquota::plan::{Action, Expect, Goal, Plan};
use logquota::report::freed_in_all;

use crate::session::Session;

/// What was done, measured.
pub(crate) struct Outcome<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) goal: Goal,
    /// What there is now.
    pub(crate) space: Space,
    /// What there was when the plan was made.
    pub(crate) before: Space,
    /// By how much the free space grew while it was done; negative if others wrote more.
    pub(crate) freed: i64,
    /// Files that were deleted, and what they occupied.
    pub(crate) deleted: (usize, Bytes),
    /// What a ballast gave that was released.
    pub(crate) released: Bytes,
    /// Files that were compressed.
    pub(crate) compressed: usize,
    /// Logs whose heads were cut off, and how much of them.
    pub(crate) cut: (usize, Bytes),
    /// Evictions that turned out not to be needed.
    pub(crate) not_needed: usize,
    /// Logs that were to be cut and were not, for the same reason.
    pub(crate) whole: usize,
    /// Of the deleted files those that a process has open.
    pub(crate) held: OpenDeletedFiles,
}

impl<'a> Outcome<'a> {
    pub(crate) fn measure(session: &Session, goal: Goal, plan: &'a Plan, report: &Report) -> Self {
        let mut deleted = (0usize, Bytes::ZERO);
        let (mut compressed, mut not_needed, mut whole) = (0usize, 0usize, 0usize);
        let mut cut = 0usize;
        let mut released = Bytes::ZERO;
        let mut gone = HashSet::new();
        for (step, outcome) in plan.steps.iter().zip(&report.outcomes) {
            match (&step.action, outcome) {
                (_, StepOutcome::Done) if loses(step) => {
                    deleted = (deleted.0.saturating_add(1), deleted.1.plus(step.bytes));
                }
                (Action::ReleaseBallast { .. }, StepOutcome::Done) => {
                    released = released.plus(step.bytes);
                }
                (Action::Compress { .. } | Action::Squeeze { .. }, StepOutcome::Done) => {
                    compressed = compressed.saturating_add(1);
                }
                (Action::Trim { .. }, StepOutcome::Done) => cut = cut.saturating_add(1),
                (Action::Trim { .. }, StepOutcome::NotNeeded) => whole = whole.saturating_add(1),
                (Action::Delete { .. }, StepOutcome::NotNeeded) => {
                    not_needed = not_needed.saturating_add(1);
                    continue;
                }
                _ => continue,
            }
            if let Expect::Unchanged(stamp) = step.expect {
                gone.insert((stamp.id.dev, stamp.id.ino));
            }
        }
        let mut held = open_deleted(&[goal.dev]).unwrap_or_default();
        held.files.retain(|file| gone.contains(&(file.dev, file.ino)));
        let before = super::free_before(session, goal);
        Self {
            plan,
            goal,
            space: session.space(goal.dev).unwrap_or(super::NO_SPACE),
            before,
            freed: freed_in_all(report),
            deleted,
            released,
            compressed,
            cut: (cut, report.cut),
            not_needed,
            whole,
            held,
        }
    }

    /// What processes keep of it, each file once.
    pub(crate) fn kept_back(&self) -> Bytes {
        let mut seen = HashSet::new();
        let files = self.held.files.iter();
        files.filter(|file| seen.insert((file.dev, file.ino))).map(|file| file.bytes).sum()
    }
}
