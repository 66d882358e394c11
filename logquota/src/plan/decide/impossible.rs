//! Rotations that turn out to be impossible when all limits are known.

use super::{Attempt, PutOff, no_room_for_copy};
use crate::plan::draft::Source;
use crate::plan::{Reason, trim};
use crate::policy::{Method, Rules};

impl Attempt<'_> {
    /// Copies that would have to go at once, or that have no room.
    pub(super) fn impossible(&self) -> PutOff {
        let copies = self.evictions.copies_without_room();
        let mut found: PutOff =
            copies.map(|(set, log, room)| ((set, log), no_room_for_copy(room))).collect();
        for (set, draft) in self.drafts.iter().enumerate() {
            for (number, log) in draft.logs.iter().enumerate() {
                let Some(rotation) = log.rotation.as_ref().filter(|r| r.gone.is_some()) else {
                    continue;
                };
                let by_quota = matches!(rotation.gone, Some(Reason::Quota { .. }));
                if by_quota && trim::replaces_rotation(log) {
                    found.insert((set, number), trim::cut_instead());
                    continue;
                }
                // Deleting one of several names of what was renamed frees nothing.
                let is_linked = log.policy.method == Method::RenameCopy
                    && !matches!(rotation.gone, Some(Reason::Count { .. }))
                    && log.log.active.is_some_and(|active| active.stamp.nlink > 1);
                let by_count = matches!(rotation.gone, Some(Reason::Count { .. }));
                let is_classic = log.policy.rules == Rules::Logrotate && by_count;
                // What others write does not go because a limit leaves no room for its copy.
                let by_limit = !matches!(
                    rotation.gone,
                    Some(
                        Reason::Count { .. } | Reason::MaxAge { .. } | Reason::QuotaPressure { .. }
                    )
                );
                let is_kept = by_limit
                    && !log.policy.evict_new
                    && rotation.source == Source::Active
                    && log.policy.method != Method::Rename;
                if !is_classic && (log.policy.method == Method::Copy || is_linked || is_kept) {
                    found.insert((set, number), no_room_for_copy(rotation.bytes));
                }
            }
        }
        found
    }
}
