//! What was done: how each step ended, and what that has changed.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::plan::Plan;
use crate::units::Bytes;

/// How a step ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// As planned.
    Done,
    /// Left alone on purpose: the file changed, or there was no room to compress it.
    Skipped(Error),
    /// It was tried and failed.
    Failed(Error),
    /// A step that it needs was not done.
    NotReached,
    /// It was to make room and there is enough by now, or somebody else has done it.
    NotNeeded,
}

/// What was done.
#[derive(Debug)]
pub struct Report {
    /// One for each step of the plan.
    pub outcomes: Vec<Outcome>,
    /// What each set occupies now, as far as this run's own acts tell: measured when it
    /// started, and after each act by what the act was seen to change.
    pub used: Vec<Bytes>,
    /// The most each set occupied on the way.
    pub peak: Vec<Bytes>,
    /// What was cut off the heads of logs.
    pub cut: Bytes,
    /// By how much the free space of each file system that steps work on grew, by device, as the
    /// file system says it (negative if it shrank; other programs write, too). One that would not
    /// say is missing.
    pub freed: BTreeMap<u64, i128>,
    /// What failed besides steps: flushing folders at the end.
    pub errors: Vec<Error>,
}

impl Report {
    /// What is still missing to meet the limits of a set. Where the plan's
    /// [`shortfall`](crate::plan::SetPlan::shortfall) is one of quotas, it is what was seen to be
    /// used in the end, which compression may have made less; else it is the plan's. What others
    /// write meanwhile is not seen.
    #[must_use]
    pub fn shortfall(&self, plan: &Plan, set: usize) -> Bytes {
        let Some(sums) = plan.sets.get(set) else { return Bytes::ZERO };
        let over = |of_set: Bytes, of_all: Bytes| {
            let own = sums.quota.map_or(Bytes::ZERO, |quota| of_set.minus(quota));
            own.max(plan.global_quota.map_or(Bytes::ZERO, |quota| of_all.minus(quota)))
        };
        let planned = over(sums.used_after, plan.sets.iter().map(|sums| sums.used_after).sum());
        let now = self.used.get(set).copied().unwrap_or(sums.used_after);
        let now = over(now, self.used.iter().copied().sum());
        if sums.shortfall <= planned { sums.shortfall.min(now) } else { sums.shortfall }
    }

    /// Whether every step was done, or skipped for want of room only.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.errors.is_empty()
            && self.outcomes.iter().all(|outcome| match outcome {
                Outcome::Done | Outcome::NotNeeded => true,
                Outcome::Skipped(error) => error.is_no_space(),
                Outcome::Failed(_) | Outcome::NotReached => false,
            })
    }
}
