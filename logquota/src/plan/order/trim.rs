//! The steps that cut off the heads of logs.

use super::{At, Builder};
use crate::inventory::Place;
use crate::plan::draft::LogDraft;
use crate::plan::{Action, Expect};

impl Builder<'_> {
    pub(super) fn trim(&mut self, set: usize, log: usize, draft: &LogDraft<'_>) {
        let (Some(trim), Some(active)) = (&draft.trim, &draft.log.active) else { return };
        let at = Place { dir: draft.log.dir, name: draft.log.name.clone() };
        let action = Action::Trim { at, cut: trim.cut };
        let expect = Expect::SameFile(active.stamp.id);
        self.push(At::log(set, log), action, expect, trim.cut, trim.reason.clone());
    }
}
