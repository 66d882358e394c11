//! The steps of rotations: scripts, making way, the log itself, the new log.

use std::ffi::OsString;

use super::{At, Builder, Names};
use crate::fs::Attributes;
use crate::inventory::{Archive, Place};
use crate::naming::{Label, Style, temporary_name};
use crate::plan::classic::{is_made, packs_at_once};
use crate::plan::decide::NotNow;
use crate::plan::draft::{LogDraft, Rotation, SetDraft, Source};
use crate::plan::rotate::{NAME_MAX, first_free, obstacle_numbers, rename_copy_name};
use crate::plan::{Action, Expect, Hook, Reason};
use crate::policy::{Method, Rules};
use crate::stamp::Meta;
use crate::units::Bytes;

/// What later steps of a log refer to.
#[derive(Default)]
pub(super) struct Done {
    /// What must have been done before the new archive may be compressed or deleted.
    pub(super) archive: Vec<usize>,
    /// What made the new archive.
    pub(super) made: Option<usize>,
    /// What made the new log.
    pub(super) created: Option<usize>,
    /// The new archive's place, its file and its label, if it stays or must yet be deleted.
    pub(super) new: Option<New>,
    /// Names of kept archives after they moved; same order as [`LogDraft::kept`].
    pub(super) moved: Vec<Moved>,
    /// Names in the archive folder that are taken.
    pub(super) names: Names,
    /// `LOG.tmp`, still to be copied and removed.
    pub(super) renamed: Option<Place>,
}

/// The archive that a rotation makes.
pub(super) struct New {
    pub(super) place: Place,
    pub(super) label: Label,
    pub(super) meta: Meta,
}

/// A kept archive under its new name.
pub(super) struct Moved {
    pub(super) index: usize,
    pub(super) name: OsString,
    pub(super) label: Label,
    /// The rename, if there is one.
    pub(super) by: Option<usize>,
}

impl Builder<'_> {
    /// All steps of a set behind its evictions.
    pub(super) fn rotate_set(&mut self, set: usize, draft: &SetDraft<'_>) {
        let scripts = &draft.spec.policy.scripts;
        let pattern = || vec![draft.spec.pattern_text.clone()];
        let is_due = |log: &LogDraft<'_>| log.rotation.is_some() || log.recreate;
        let any_due = draft.logs.iter().any(is_due);
        let at = At { set, log: None, needs: Vec::new() };
        let mut gate: Vec<usize> = Vec::new();
        if let (Some(script), true) = (&scripts.first, any_due) {
            gate.push(self.hook(at.clone(), Hook::First, script, pattern()));
        }
        let first = gate.clone();
        if let (Some(script), true, true) = (&scripts.pre, scripts.shared, any_due) {
            let at = at.clone().after(gate.iter().copied());
            gate.push(self.hook(at, Hook::Pre, script, pattern()));
        }
        // Only logs that have something to do or to compress: most have not.
        let concerned = |log: &LogDraft<'_>| is_due(log) || !log.log.archives.is_empty();
        let mut all: Vec<(usize, Done)> = Vec::new();
        for (log, log_draft) in draft.logs.iter().enumerate().filter(|(_, log)| concerned(log)) {
            let mut done = if is_due(log_draft) {
                self.rotate_log(At::log(set, log).after(gate.iter().copied()), log_draft)
            } else {
                Done { moved: unmoved(log_draft), names: names(log_draft), ..Done::default() }
            };
            if let (Some(script), false, true) = (&scripts.post, scripts.shared, is_due(log_draft))
            {
                let mut args =
                    vec![self.inventory.path(log_draft.log.dir, &log_draft.log.name).into()];
                let new = done.new.as_ref().map(|new| &new.place);
                args.extend(new.map(|p| self.inventory.path(p.dir, &p.name).into_os_string()));
                let needs = done.archive.iter().copied().chain(gate.iter().copied());
                let at = At::log(set, log).after(needs);
                let post = self.hook(at, Hook::Post, script, args);
                done.archive.push(post);
            }
            all.push((log, done));
        }
        if let (Some(script), true, true) = (&scripts.post, scripts.shared, any_due) {
            // Needed by whoever did rotate, even if another log of the set failed.
            let post = self.hook(at.clone().after(gate), Hook::Post, script, pattern());
            for (_, done) in &mut all {
                if done.made.is_some() || done.renamed.is_some() {
                    done.archive.push(post);
                }
            }
        }
        for (log, done) in &mut all {
            let Some(log_draft) = draft.logs.get(*log) else { continue };
            self.finish_rename_copy(At::log(set, *log), log_draft, done);
            self.mail_new(At::log(set, *log), log_draft, done);
            self.delete_new(At::log(set, *log), log_draft, done);
        }
        self.compress_set(set, draft, &all);
        if let (Some(script), true) = (&scripts.last, any_due) {
            self.hook(at.after(first), Hook::Last, script, pattern());
        }
    }

    /// One log, up to its `postrotate`.
    pub(super) fn rotate_log(&mut self, at: At, draft: &LogDraft<'_>) -> Done {
        let log = draft.log;
        let mut at = at;
        let scripts = &draft.policy.scripts;
        if let (Some(script), false) = (&scripts.pre, scripts.shared) {
            let path = self.inventory.path(log.dir, &log.name).into_os_string();
            let pre = self.hook(at.clone(), Hook::Pre, script, vec![path]);
            at.needs.push(pre);
        }
        let evicted = draft.first_evicted().unwrap_or(usize::MAX);
        let counted: Vec<_> = draft
            .removed()
            .filter(|(index, _, r)| matches!(r, Reason::Count { .. }) && *index < evicted)
            .collect();
        for (_, archive, reason) in counted.into_iter().rev() {
            let mailed = at.log.and_then(|log| self.mail_old(at.set, log, draft, archive, reason));
            self.delete_archive(at.clone().after(mailed), draft, archive, reason.clone());
        }
        let mut done = Done { names: names(draft), ..Done::default() };
        let Some(rotation) = &draft.rotation else {
            done.moved = unmoved(draft);
            let newest = draft.log.archives.first();
            let place = |a: &Archive| Place { dir: log.archive_dir, name: a.name().to_owned() };
            let like = newest.map(|a| (a.meta(), place(a)));
            done.created = self.create(at.clone(), draft, like);
            done.archive.extend(done.created);
            // The last trace of the log does not go before the log is there again.
            if let Some((archive, reason)) = draft.last_trace() {
                let mailed =
                    at.log.and_then(|log| self.mail_old(at.set, log, draft, archive, reason));
                let at = at.after(done.created).after(mailed);
                self.delete_archive(at, draft, archive, reason.clone());
            }
            return done;
        };
        let Some((meta, source)) = draft.source() else { return done };
        self.make_archive_dir(&at, draft);
        done.moved = match (&draft.policy.naming.style, rotation.source) {
            (Style::Numbered { .. }, Source::Active | Source::Renamed) => {
                match self.make_way(&at, draft, rotation, &mut done.names) {
                    Some(moved) => {
                        // Two archives of one number would have no order.
                        at.needs.extend(self.vacated(draft, &rotation.label, &moved));
                        moved
                    }
                    None => return Done { moved: unmoved(draft), ..done },
                }
            }
            _ => unmoved(draft),
        };
        self.rotate_source(at, draft, rotation, (meta, source), &mut done);
        done
    }

    /// The log itself.
    pub(super) fn rotate_source(
        &mut self,
        at: At,
        draft: &LogDraft<'_>,
        rotation: &Rotation,
        (meta, source): (&Meta, OsString),
        done: &mut Done,
    ) {
        let log = draft.log;
        let method = draft.policy.method;
        let from = Place { dir: log.dir, name: source };
        let name = draft.policy.naming.format(&log.name, &rotation.label, "");
        let to = Place { dir: log.archive_dir, name };
        let reason = rotation.reason.clone();
        let expect = draft.source_expect(&meta.stamp);
        let is_copied = is_made(draft, rotation);
        let new = |place: &Place| {
            let mut meta = *meta;
            // A copy has one name, however many the log has.
            if method != Method::Rename && is_copied {
                meta.stamp.nlink = 1;
            }
            New { place: place.clone(), label: rotation.label.clone(), meta }
        };
        match (rotation.source, method) {
            (Source::Renamed, _) => {
                done.new = Some(new(&to));
                done.renamed = Some(from.clone());
                if draft.recreate {
                    done.created = self.create(at, draft, Some((*meta, from)));
                    done.archive.extend(done.created);
                }
            }
            (Source::Copied, _) => {
                let freed = meta.stamp.allocated;
                let action = Action::Truncate { at: from, same_as: draft.copy_made() };
                let cut = self.push(at, action, expect, freed, reason);
                // The copy is among the archives; it waits for the cut.
                done.archive.push(cut);
                done.made = Some(cut);
            }
            (Source::Active, Method::Rename) => {
                let action = Action::Rename { from, to: to.clone() };
                let index = self.push(at.clone(), action, expect, rotation.bytes, reason);
                done.archive.push(index);
                done.made = Some(index);
                done.new = Some(new(&to));
                done.names.insert(to.name.clone());
                done.created = self.create(at.after([index]), draft, Some((*meta, to)));
                done.archive.extend(done.created);
            }
            (Source::Active, Method::RenameCopy) => {
                let name = rename_copy_name(&log.name);
                let temp = Place { dir: log.dir, name };
                let action = Action::Rename { from, to: temp.clone() };
                let index = self.push(at.clone(), action, expect, rotation.bytes, reason);
                done.archive.push(index);
                done.new = Some(new(&to));
                done.renamed = Some(temp.clone());
                done.created = self.create(at.after([index]), draft, Some((*meta, temp)));
                done.archive.extend(done.created);
            }
            (Source::Active, Method::Copy | Method::CopyTruncate) => {
                let mut at = at;
                if is_copied {
                    let copy = self.copy(
                        at.clone(),
                        from.clone(),
                        to.clone(),
                        expect,
                        meta,
                        reason.clone(),
                    );
                    at.needs.push(copy);
                    done.archive.push(copy);
                    done.made = Some(copy);
                    done.new = Some(new(&to));
                    done.names.insert(to.name);
                }
                if method == Method::CopyTruncate {
                    // Without a copy, what is cut off is gone.
                    let gone = rotation.gone.clone().filter(|_| !is_copied);
                    let reason = gone.unwrap_or(Reason::Copied);
                    let freed = meta.stamp.allocated;
                    let action = Action::Truncate { at: from, same_as: None };
                    let cut = self.push(at, action, expect, freed, reason);
                    done.archive.push(cut);
                }
            }
        }
    }

    fn copy(
        &mut self,
        at: At,
        from: Place,
        to: Place,
        expect: Expect,
        meta: &Meta,
        reason: Reason,
    ) -> usize {
        let temp = temporary_name(&to.name).into();
        let room = meta.stamp.allocated;
        let policy = self.config.sets.get(at.set).map(|spec| &spec.policy);
        // What is compressed at once has the log's time in the end.
        let keeps_time =
            policy.is_none_or(|policy| policy.rules == Rules::Own || packs_at_once(policy));
        self.push(at, Action::Copy { from, to, temp, room, keeps_time }, expect, room, reason)
    }

    /// Copies `LOG.tmp` to its final name and removes it.
    pub(super) fn finish_rename_copy(&mut self, at: At, draft: &LogDraft<'_>, done: &mut Done) {
        let (Some(from), Some(rotation)) = (done.renamed.take(), &draft.rotation) else { return };
        let Some(new) = &done.new else { return };
        let (meta, to) = (new.meta, new.place.clone());
        let mut at = at.after(done.archive.iter().copied());
        let expect = Expect::SameFile(meta.stamp.id);
        let reason = if let (Some(gone), false) = (&rotation.gone, is_made(draft, rotation)) {
            done.new = None;
            gone.clone()
        } else {
            let source = rotation.reason.clone();
            let copy = self.copy(at.clone(), from.clone(), to.clone(), expect, &meta, source);
            at.needs.push(copy);
            done.archive.push(copy);
            done.made = Some(copy);
            done.names.insert(to.name);
            Reason::Copied
        };
        let action = Action::Delete { at: from, shred: None, same_as: None, head: None };
        let freed = draft.source().map_or(Bytes::ZERO, |(meta, _)| meta.stamp.freed_by_unlink());
        let gone = self.push(at, action, expect, freed, reason);
        // While both exist, the plain copy is what tells that it has been made.
        done.archive.push(gone);
    }

    /// A new archive that must go at once.
    pub(super) fn delete_new(&mut self, at: At, draft: &LogDraft<'_>, done: &mut Done) {
        let gone = draft.rotation.as_ref().and_then(|rotation| rotation.gone.clone());
        let (Some(reason), Some(new), Some(made)) = (gone, &done.new, done.made) else { return };
        // A failed script keeps an archive from being counted out, but not from the quota.
        let at = match reason {
            Reason::Count { .. } => at.after(done.archive.iter().copied()),
            _ => at.after([made]).after(done.created),
        };
        let (place, stamp) = (new.place.clone(), new.meta.stamp);
        let expect = Expect::SameFile(stamp.id);
        self.delete(at, draft, place, expect, stamp.freed_by_unlink(), reason);
        done.new = None;
    }

    /// `createolddir`.
    pub(super) fn make_archive_dir(&mut self, at: &At, draft: &LogDraft<'_>) {
        let Some(dir) = self.inventory.dirs.get(&draft.log.archive_dir) else { return };
        let Some(wanted) = draft.policy.archive_dir.as_ref().and_then(|dir| dir.create) else {
            return;
        };
        let mut missing = Vec::new();
        let mut next = dir.missing.clone();
        while let Some(place) = next {
            if self.made.contains_key(&place) {
                break;
            }
            next = self.inventory.dirs.get(&place.dir).and_then(|parent| parent.missing.clone());
            missing.push(place);
        }
        let attributes = Attributes {
            mode: Some(wanted.mode.unwrap_or(0o755)),
            owner: wanted.uid.zip(wanted.gid),
            times: None,
        };
        for place in missing.into_iter().rev() {
            let action = Action::MakeDir { at: place.clone(), attributes: Box::new(attributes) };
            let index =
                self.push(at.clone(), action, Expect::Nothing, Bytes::ZERO, Reason::MissingDir);
            self.made.insert(place, index);
        }
    }

    /// The steps that take the archives of this label away, whatever their suffix.
    fn vacated(&self, draft: &LogDraft<'_>, label: &Label, moved: &[Moved]) -> Vec<usize> {
        let archives = draft.log.archives.iter().enumerate();
        let same = archives.filter(|(_, a)| a.is_own_style() && a.label() == *label);
        let step = |(index, archive): (usize, &Archive)| {
            let by = moved.iter().find(|m| m.index == index).and_then(|m| m.by);
            let place = Place { dir: draft.log.archive_dir, name: archive.name().to_owned() };
            by.or_else(|| self.freed.get(&place).copied())
        };
        same.filter_map(step).collect()
    }

    /// Moves numbered archives up, only as far as needed to free the newest number: a crash
    /// between two of these renames leaves a gap that the next run fills.
    fn make_way(
        &mut self,
        at: &At,
        draft: &LogDraft<'_>,
        rotation: &Rotation,
        names: &mut Names,
    ) -> Option<Vec<Moved>> {
        let naming = &draft.policy.naming;
        let taken = obstacle_numbers(draft.log, naming);
        let Label::Number(newest) = rotation.label else { return Some(unmoved(draft)) };
        let mut last = newest;
        let mut targets: Vec<(usize, &Archive, u32)> = Vec::new();
        let mut moved = unmoved(draft);
        for (index, archive) in draft.kept().filter(|(_, a)| a.is_own_style()) {
            let Label::Number(number) = archive.label() else { continue };
            let wanted = first_free(number.max(last.saturating_add(1)), &taken);
            targets.push((index, archive, wanted));
            last = wanted;
        }
        let name = |archive: &Archive, number| {
            naming.format(&draft.log.name, &Label::Number(number), archive.suffix())
        };
        if let Some((_, archive, number)) =
            targets.iter().find(|(_, archive, number)| name(archive, *number).len() > NAME_MAX)
        {
            let archive = crate::error::printable(archive.name());
            let why = format!(
                "is due, but its archive `{archive}` cannot become number {number}: the name \
                 would have more than 255 bytes; give the log a shorter name"
            );
            let not_now = NotNow { why, is_for_room: false, is_error: true };
            self.impossible.extend(at.log.map(|log| ((at.set, log), not_now)));
            return None;
        }
        for (index, archive, number) in targets.into_iter().rev() {
            let label = Label::Number(number);
            let needs = self.vacated(draft, &label, &moved);
            if archive.label() == label {
                continue;
            }
            let name = name(archive, number);
            let from = Place { dir: draft.log.archive_dir, name: archive.name().to_owned() };
            let to = Place { dir: draft.log.archive_dir, name: name.clone() };
            let stamp = archive.stamp();
            let action = Action::Rename { from, to };
            let expect = Expect::Unchanged(stamp);
            let at = at.clone().after(needs);
            let step = self.push(at, action, expect, stamp.allocated, Reason::MakeWay);
            names.remove(archive.name());
            names.insert(name.clone());
            if let Some(slot) = moved.iter_mut().find(|m| m.index == index) {
                *slot = Moved { index, name, label, by: Some(step) };
            }
        }
        Some(moved)
    }
}

/// Kept archives under the names they have.
pub(super) fn unmoved(draft: &LogDraft<'_>) -> Vec<Moved> {
    draft
        .kept()
        .map(|(index, archive)| Moved {
            index,
            name: archive.name().to_owned(),
            label: archive.label(),
            by: None,
        })
        .collect()
}

/// Names in the archive folder that archives or obstacles have.
pub(super) fn names(draft: &LogDraft<'_>) -> Names {
    let kept = draft.kept().map(|(_, archive)| archive.name().to_owned());
    kept.chain(draft.log.obstacles.iter().cloned()).collect()
}
