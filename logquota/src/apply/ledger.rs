//! What each set occupies while a plan is done, as far as our own acts change it.

use crate::plan::{Plan, admits};
use crate::units::Bytes;

/// Books what is used, per set, and what running compressions may still take.
pub(super) struct Ledger {
    pub(super) used: Vec<Bytes>,
    pub(super) peak: Vec<Bytes>,
    /// What was cut off the heads of logs.
    pub(super) cut: Bytes,
    start: Vec<Bytes>,
    quota: Vec<Option<Bytes>>,
    reserved: Vec<Bytes>,
    global: Option<Bytes>,
}

impl Ledger {
    pub(super) fn new(plan: &Plan) -> Self {
        let start: Vec<Bytes> = plan.sets.iter().map(|set| set.used_before).collect();
        Self {
            used: start.clone(),
            peak: start.clone(),
            cut: Bytes::ZERO,
            reserved: vec![Bytes::ZERO; start.len()],
            start,
            quota: plan.sets.iter().map(|set| set.quota).collect(),
            global: plan.global_quota,
        }
    }

    pub(super) fn take(&mut self, set: usize, bytes: Bytes) {
        if let (Some(used), Some(peak)) = (self.used.get_mut(set), self.peak.get_mut(set)) {
            *used = used.plus(bytes);
            *peak = (*peak).max(*used);
        }
    }

    pub(super) fn give(&mut self, set: usize, bytes: Bytes) {
        if let Some(used) = self.used.get_mut(set) {
            *used = used.minus(bytes);
        }
    }

    pub(super) fn cut_off(&mut self, set: usize, bytes: Bytes) {
        self.cut = self.cut.plus(bytes);
        self.give(set, bytes);
    }

    pub(super) fn reserve(&mut self, set: usize, bytes: Bytes) {
        if let Some(reserved) = self.reserved.get_mut(set) {
            *reserved = reserved.plus(bytes);
        }
    }

    pub(super) fn release(&mut self, set: usize, bytes: Bytes) {
        if let Some(reserved) = self.reserved.get_mut(set) {
            *reserved = reserved.minus(bytes);
        }
    }

    /// Whether a quota bounds what the set occupies.
    pub(super) fn has_quota(&self, set: usize) -> bool {
        self.global.is_some() || self.quota.get(set).is_some_and(Option::is_some)
    }

    /// What is promised to running compressions.
    pub(super) fn outstanding(&self) -> Bytes {
        self.reserved.iter().copied().sum()
    }

    /// Whether `room` may be taken now for something that replaces `source` bytes.
    pub(super) fn admits(&self, set: usize, source: Bytes, room: Bytes) -> bool {
        let sum = |amounts: &[Bytes]| amounts.iter().copied().sum::<Bytes>();
        let at = |amounts: &[Bytes]| amounts.get(set).copied().unwrap_or_default();
        let quota = self.quota.get(set).copied().flatten();
        let used = at(&self.used).plus(at(&self.reserved));
        admits(quota, at(&self.start), used, source, room)
            && admits(
                self.global,
                sum(&self.start),
                sum(&self.used).plus(self.outstanding()),
                source,
                room,
            )
    }
}
