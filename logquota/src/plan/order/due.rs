//! Which logs go logrotate's way, in whose turn, and what goes before them for the quota's sake.

use std::collections::HashMap;
use std::path::Path;

use crate::plan::Reason;
use crate::plan::draft::{LogDraft, SetDraft};
use crate::policy::{Policy, Selector};

/// Whether a script or a mail tells in which order things are done.
pub(super) fn is_heard(policy: &Policy) -> bool {
    let scripts = &policy.scripts;
    let scripts = [&scripts.pre, &scripts.post, &scripts.pre_remove];
    scripts.iter().any(|script| script.is_some()) || policy.mail.is_some()
}

/// Logs have their turns in the order in which the configuration names them. Paths are equal
/// however they are spelt: `a//b` is `a/b`.
pub(in crate::plan) fn turns<'a>(draft: &SetDraft<'a>) -> HashMap<&'a Path, usize> {
    let named = draft.spec.selectors.iter().enumerate().filter_map(|(turn, selector)| {
        let Selector::Log(path) = selector else { return None };
        Some((path.as_path(), turn))
    });
    named.collect()
}

/// The newest archive that goes to make room. It goes before anything is rotated, and with it
/// the older ones that go.
pub(super) fn first_for_room(draft: &LogDraft<'_>) -> Option<usize> {
    draft.removed().find(|(.., reason)| is_for_room(reason)).map(|(index, ..)| index)
}

fn is_for_room(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::Quota { .. }
            | Reason::QuotaPressure { .. }
            | Reason::MaxFiles { .. }
            | Reason::Reserve { .. }
            | Reason::Inodes { .. }
            | Reason::NoInode
    )
}

/// Whether a log goes its way by logrotate's rules.
pub(super) fn is_due(draft: &LogDraft<'_>) -> bool {
    draft.classic.is_some() && !is_pressed(draft)
}

/// Whether a log is rotated for the quota's sake only, or what was begun is finished.
pub(super) fn is_pressed(draft: &LogDraft<'_>) -> bool {
    let cannot = draft.classic.as_ref().is_none_or(|classic| classic.copies.stops.is_some());
    (draft.rotation.is_some() || draft.recreate) && cannot
}
