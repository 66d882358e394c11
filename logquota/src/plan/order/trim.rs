//! The steps that cut off the heads of logs.

use super::{At, Builder};
use crate::inventory::Place;
use crate::plan::draft::LogDraft;
use crate::plan::trim::kept;
use crate::plan::{Action, Expect, Goal, OnlyBelow};

impl Builder<'_> {
    /// To free space, it is left out if there is room enough by then.
    pub(super) fn trim(
        &mut self,
        (set, log): (usize, usize),
        draft: &LogDraft<'_>,
        goal: Option<Goal>,
    ) {
        let (Some(trim), Some(active)) = (&draft.trim, &draft.log.active) else { return };
        let at = Place { dir: draft.log.dir, name: draft.log.name.clone() };
        let action = Action::Trim { at, cut: trim.cut, keep: kept(goal.is_some()) };
        let seen = draft.log.oldest.as_deref().filter(|_| goal.is_some());
        let expect = seen.map_or(Expect::SameFile(active.stamp.id), |oldest| {
            Expect::SameOldest(active.stamp.id, *oldest)
        });
        let step = self.push(At::log(set, log), action, expect, trim.cut, trim.reason.clone());
        if let (Some(goal), Some(step)) = (goal, self.steps.get_mut(step)) {
            step.only_below = Some(OnlyBelow { wanted: goal.wanted, dir: draft.log.dir });
        }
    }
}
