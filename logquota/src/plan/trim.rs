//! Which active files may be cut at their heads, and how far.

use super::Reason;
use super::decide::NotNow;
use super::draft::{LogDraft, Source};
use crate::policy::Method;
use crate::units::Bytes;

/// The most that can still be cut off the head of a log: whole blocks, and never the one that
/// has its last byte. Nothing if that is not permitted.
pub(super) fn cuttable(draft: &LogDraft<'_>, block: Bytes) -> Bytes {
    let may = draft.policy.live_trim
        && !draft.is_blocked()
        && !draft.is_put_off
        && draft.rotation.is_none();
    let Some(active) = draft.log.active.filter(|active| may && active.stamp.nlink <= 1) else {
        return Bytes::ZERO;
    };
    let block = block.get().max(1);
    // A file may have holes, and blocks behind its end.
    let content = active.stamp.allocated.min(Bytes::new(active.stamp.len));
    let whole = content.get().saturating_sub(1) / block;
    let cut = draft.trim.as_ref().map_or(Bytes::ZERO, |trim| trim.cut);
    Bytes::new(whole.saturating_mul(block)).minus(cut)
}

/// Whether a log that is due would be lost whole to the quota, and is cut instead.
pub(super) fn replaces_rotation(draft: &LogDraft<'_>) -> bool {
    // A copy that is given up costs nothing.
    let is_lost = draft.policy.method != Method::Copy
        && draft.rotation.as_ref().is_some_and(|rotation| {
            let by_quota = matches!(rotation.gone, Some(Reason::Quota { .. }));
            rotation.source == Source::Active && by_quota
        });
    is_lost && draft.policy.live_trim
}

/// Why such a log does not rotate.
pub(super) fn cut_instead() -> NotNow {
    let why = "is due, but the quota has no room for all of it; no more than its oldest \
               part is cut off, and it rotates when it is within the quota";
    NotNow { why: why.to_owned(), is_for_room: true, is_error: false }
}
