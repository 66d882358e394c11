//! The step that makes the new log.

use super::{At, Builder};
use crate::fs::Attributes;
use crate::inventory::Place;
use crate::plan::draft::LogDraft;
use crate::plan::{Action, Expect, Like, Reason};
use crate::stamp::Meta;
use crate::units::Bytes;

impl Builder<'_> {
    /// The empty log after a rename, like the log that was, by its name at that time.
    pub(super) fn create(
        &mut self,
        at: At,
        draft: &LogDraft<'_>,
        old: Option<(Meta, Place)>,
    ) -> Option<usize> {
        let wanted = draft.policy.create?;
        let like = old.as_ref().map(|(meta, _)| *meta);
        let attributes = Attributes {
            mode: Some(wanted.mode.or_else(|| Some(like?.mode & 0o777)).unwrap_or(0o600)),
            owner: wanted
                .uid
                .or_else(|| Some(like?.uid))
                .zip(wanted.gid.or_else(|| Some(like?.gid))),
            times: None,
        };
        let place = Place { dir: draft.log.dir, name: draft.log.name.clone() };
        let keeps_acl = wanted.mode.is_none();
        let like = old.map(|(meta, at)| Box::new(Like { at, id: meta.stamp.id, keeps_acl }));
        let action = Action::Create { at: place, attributes: Box::new(attributes), like };
        let reason = if draft.recreate { Reason::Interrupted } else { Reason::NewLog };
        Some(self.push(at, action, Expect::Nothing, Bytes::ZERO, reason))
    }
}
