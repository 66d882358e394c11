//! The steps of a set under logrotate's rules, in logrotate's order: first action; of each log
//! its prerotate script, its old copies, the log itself, its postrotate script, and what comes
//! behind that; last action. With `sharedscripts` each of these for all logs before the next.
//!
//! What goes for the quota's sake is not among them: that went before.

use std::ffi::OsString;
use std::sync::Arc;

use super::due::{first_for_room, is_heard, is_pressed, turns};
use super::rotation::Done;
use super::{At, Builder};
use crate::codec;
use crate::inventory::{Archive, Place};
use crate::naming::{Label, temporary_name};
use crate::plan::classic::{Last, is_packable, packs_at_once};
use crate::plan::draft::{Classic, LogDraft, SetDraft, Stop};
use crate::plan::{Action, Expect, Hook, Message, Reason, Verdict};
use crate::policy::MailWhen;
use crate::stamp::Meta;
use crate::units::Bytes;

/// One log on its way.
struct Way<'d, 'a> {
    log: usize,
    draft: &'d LogDraft<'a>,
    classic: &'d Classic,
    /// The newest copy that has gone to make room, and with it the older ones that go.
    for_room: Option<usize>,
    /// What must have been done before its next step.
    chain: Vec<usize>,
    done: Done,
    /// What goes at the end.
    last: Option<Here>,
}

/// A file that a later step is about.
#[derive(Clone)]
struct Here {
    place: Place,
    meta: Meta,
    expect: Expect,
    is_packed: bool,
    /// What its deletion gives back.
    freed: Bytes,
}

impl Builder<'_> {
    /// All steps of a set behind its evictions.
    pub(super) fn classic_set(&mut self, set: usize, draft: &SetDraft<'_>) {
        let scripts = &draft.spec.policy.scripts;
        let pattern = || vec![draft.spec.pattern_text.clone()];
        let mut ways: Vec<Way<'_, '_>> = draft
            .logs
            .iter()
            .enumerate()
            .filter(|(_, draft)| !is_pressed(draft))
            .filter_map(|(log, draft)| {
                let classic = draft.classic.as_deref()?;
                let (for_room, chain, done) = (first_for_room(draft), Vec::new(), Done::default());
                Some(Way { log, draft, classic, for_room, chain, done, last: None })
            })
            .collect();
        let turns = turns(draft);
        ways.sort_by_cached_key(|way| {
            let path = self.inventory.path(way.draft.log.dir, &way.draft.log.name);
            turns.get(path.as_path()).copied().unwrap_or(usize::MAX)
        });
        // What has to give way for the quota though it is not due knows no scripts' order.
        for (log, pressed) in draft.logs.iter().enumerate() {
            if is_pressed(pressed) {
                self.press(set, log, pressed);
            }
        }
        if ways.is_empty() && draft.stop == Stop::Never {
            return;
        }
        let at = At { set, log: None, needs: Vec::new() };
        let first = scripts.first.as_ref();
        let gate: Vec<usize> = first
            .map(|script| self.hook(at.clone(), Hook::First, script, pattern()))
            .into_iter()
            .collect();
        for way in &mut ways {
            way.chain.clone_from(&gate);
        }
        if scripts.shared && is_heard(&draft.spec.policy) {
            self.together(set, draft, &mut ways);
        } else {
            self.one_by_one(set, draft, &mut ways);
        }
        if let (Some(script), Stop::BehindPrerotate) = (&scripts.pre, draft.stop) {
            self.hook(at.clone().after(gate.iter().copied()), Hook::Pre, script, pattern());
        }
        if let Some(script) = &scripts.last {
            self.hook(at.after(gate), Hook::Last, script, pattern());
        }
    }

    /// Each log from its beginning to its end; where no script and no mail tells the
    /// difference, compressions are put together, so that they can be done side by side.
    fn one_by_one(&mut self, set: usize, draft: &SetDraft<'_>, ways: &mut [Way<'_, '_>]) {
        let policy = &draft.spec.policy;
        let scripts = &policy.scripts;
        let is_apart = is_heard(policy) || ways.iter().any(|way| way.draft.is_twofold());
        let size = if is_apart { 1 } else { ways.len().max(1) };
        for ways in ways.chunks_mut(size) {
            for way in &mut *ways {
                if let (Some(script), false) = (&scripts.pre, scripts.shared) {
                    let path = self.inventory.path(way.draft.log.dir, &way.draft.log.name);
                    let at = way.at(set);
                    way.chain = vec![self.hook(at, Hook::Pre, script, vec![path.into()])];
                }
                self.old_copies(set, way);
            }
            for way in &mut *ways {
                self.log_itself(set, way);
                if let (Some(script), false) = (&scripts.post, scripts.shared)
                    && way.draft.rotation.is_some()
                {
                    let log = self.inventory.path(way.draft.log.dir, &way.draft.log.name);
                    let copy = self.inventory.path(way.draft.log.archive_dir, &way.classic.plain);
                    let at = way.at(set);
                    let args = vec![log.into(), copy.into()];
                    way.chain = vec![self.hook(at, Hook::Post, script, args)];
                }
            }
            self.behind(set, draft, ways);
        }
    }

    /// Each step for all logs before the next step.
    fn together(&mut self, set: usize, draft: &SetDraft<'_>, ways: &mut [Way<'_, '_>]) {
        let scripts = &draft.spec.policy.scripts;
        let at = At { set, log: None, needs: Vec::new() };
        let pattern = || vec![draft.spec.pattern_text.clone()];
        if ways.is_empty() {
            return;
        }
        if let Some(script) = &scripts.pre {
            let gate = ways.first().map(|way| way.chain.clone()).unwrap_or_default();
            let pre = self.hook(at.clone().after(gate), Hook::Pre, script, pattern());
            ways.iter_mut().for_each(|way| way.chain = vec![pre]);
        }
        // One that fails keeps those behind it from being begun: their writers would not be told.
        let mut before: Vec<usize> = Vec::new();
        for way in &mut *ways {
            way.chain.append(&mut before);
            self.old_copies(set, way);
            self.log_itself(set, way);
            before.clone_from(&way.chain);
        }
        if let Some(script) = &scripts.post {
            let all = ways.iter().flat_map(|way| way.chain.iter().copied()).collect::<Vec<_>>();
            let post = self.hook(at.after(all), Hook::Post, script, pattern());
            ways.iter_mut().for_each(|way| way.chain = vec![post]);
        }
        let policy = &draft.spec.policy;
        if scripts.pre_remove.is_none() && policy.mail.is_none() {
            self.behind(set, draft, ways);
            return;
        }
        // One whose script or mail fails keeps those behind it from theirs.
        let mut before: Vec<usize> = Vec::new();
        for way in ways {
            way.chain.extend(before);
            self.behind(set, draft, std::slice::from_mut(way));
            before = way.chain.clone();
        }
    }

    /// Old copies set aside, compressed late, removed, renamed.
    fn old_copies(&mut self, set: usize, way: &mut Way<'_, '_>) {
        let copies = &way.classic.copies;
        self.make_archive_dir(&way.at(set), way.draft);
        for index in &copies.aside {
            let Some((archive, here)) = way.old(*index).zip(way.here(*index)) else { continue };
            let name = self.aside_name(way, archive);
            let action = Action::Rename { from: here.place, to: way.archive(name) };
            let bytes = here.meta.stamp.allocated;
            way.chain = vec![self.push(way.at(set), action, here.expect, bytes, Reason::InTheWay)];
        }
        let mut late: Vec<(usize, Here)> = Vec::new();
        for index in &copies.late {
            let Some((archive, here)) = way.old(*index).zip(way.here(*index)) else { continue };
            let to = way.named(&archive.label(), true);
            if way.draft.has_limits
                && !self.has_room(set, here.meta.stamp.allocated, self.room(set, &here))
            {
                // Names were chosen for one that is compressed: they are chosen again.
                self.plain.insert((set, way.log));
                continue;
            }
            late.push((*index, self.pack(set, way, &here, to)));
        }
        let find = |way: &Way<'_, '_>, index: usize| {
            let packed = late.iter().find(|(late, _)| *late == index).map(|(_, here)| here.clone());
            packed.or_else(|| way.here(index))
        };
        for index in &copies.gone {
            let Some(here) = find(way, *index) else { continue };
            let reason = way.reason(*index);
            // Mailed on the way, whichever is mailed else.
            self.remove(set, way, &here, reason, true);
        }
        if let Some(here) = copies.overwritten.and_then(|index| way.here(index)) {
            let action = Action::Delete { at: here.place, shred: None, same_as: None, head: None };
            self.push(way.at(set), action, here.expect, here.freed, Reason::Overwritten);
        }
        for (index, number) in &copies.moves {
            let Some(here) = find(way, *index) else { continue };
            let to = way.named(&Label::Number(*number), here.is_packed);
            let action = Action::Rename { from: here.place, to: to.clone() };
            let bytes = here.meta.stamp.allocated;
            way.chain = vec![self.push(way.at(set), action, here.expect, bytes, Reason::MakeWay)];
            if copies.last == Last::Old(*index) {
                way.last = Some(Here { place: to, ..here });
            }
        }
        if let (Last::Old(index), None) = (copies.last, &way.last) {
            way.last = find(way, index);
        }
    }

    /// A name that nobody has, for what is set aside.
    fn aside_name(&self, way: &Way<'_, '_>, archive: &Archive) -> OsString {
        let log = way.draft.log;
        let is_taken = |name: &OsString| {
            log.obstacles.contains(name) || log.archives.iter().any(|other| other.name() == name)
        };
        let mut name = archive.name().to_owned();
        name.push(&way.classic.aside);
        let first = name.clone();
        let mut number = 2u32;
        while is_taken(&name) && number < u32::MAX {
            name = first.clone();
            name.push(format!(".{number}"));
            number = number.saturating_add(1);
        }
        name
    }

    fn log_itself(&mut self, set: usize, way: &mut Way<'_, '_>) {
        let Some(rotation) = &way.draft.rotation else { return };
        let Some((meta, source)) = way.draft.source() else { return };
        let at = way.at(set);
        self.rotate_source(at, way.draft, rotation, (meta, source), &mut way.done);
        if !way.done.archive.is_empty() {
            way.chain = std::mem::take(&mut way.done.archive);
        }
    }

    /// What comes behind the postrotate script.
    fn behind(&mut self, set: usize, draft: &SetDraft<'_>, ways: &mut [Way<'_, '_>]) {
        let policy = &draft.spec.policy;
        let is_last = policy.mail.as_ref().is_some_and(|mail| mail.when == MailWhen::Last);
        let mut made: Vec<Option<(Here, Option<usize>)>> = Vec::new();
        for way in &mut *ways {
            made.push(self.new_copy(set, way));
        }
        for (way, made) in ways.iter_mut().zip(made) {
            let Some(rotation) = &way.draft.rotation else { continue };
            let by_count = matches!(rotation.gone, None | Some(Reason::Count { .. }));
            if let Some((here, Some(mail))) =
                made.clone().map(|(here, _)| (here, policy.mail.as_ref()))
                && mail.when == MailWhen::First
                && by_count
            {
                way.chain.extend(self.mail(set, way, &here));
            }
            if let (Some(reason), Some((here, by))) = (&rotation.gone, made) {
                match reason {
                    Reason::Count { .. } => self.remove(set, way, &here, reason.clone(), is_last),
                    // The quota asks neither scripts nor anybody's mail.
                    _ => {
                        let bytes = here.meta.stamp.freed_by_unlink();
                        let (at, shred) = (here.place, policy.shred);
                        let action = Action::Delete { at, shred, same_as: None, head: None };
                        let at = At::log(set, way.log).after(by);
                        self.push(at, action, here.expect, bytes, reason.clone());
                    }
                }
            }
            if let (Some(here), Last::Old(index)) = (way.last.take(), way.classic.copies.last) {
                let reason = way.reason(index);
                self.remove(set, way, &here, reason, is_last);
            }
        }
    }

    /// The new copy as it is in the end, and what made it.
    fn new_copy(&mut self, set: usize, way: &mut Way<'_, '_>) -> Option<(Here, Option<usize>)> {
        if way.done.renamed.is_some() {
            way.done.archive.append(&mut way.chain);
            self.finish_rename_copy(At::log(set, way.log), way.draft, &mut way.done);
            way.chain.append(&mut way.done.archive);
        }
        let new = way.done.new.take()?;
        let made = way.done.made;
        let expect = Expect::SameFile(new.meta.stamp.id);
        let freed = new.meta.stamp.freed_by_unlink();
        let here = Here { place: new.place, meta: new.meta, expect, is_packed: false, freed };
        let policy = way.draft.policy;
        // What is mailed or removed next must not wait for room.
        let is_awaited = policy.mail.is_some()
            || way.draft.rotation.as_ref().is_some_and(|new| new.gone.is_some());
        let waits = way.draft.has_limits && is_awaited;
        if !packs_at_once(policy)
            || waits && !self.has_room(set, here.meta.stamp.allocated, self.room(set, &here))
        {
            return Some((here, made));
        }
        let to = way.named(&new.label, true);
        let before = way.chain.clone();
        let packed = self.pack(set, way, &here, to);
        if way.draft.has_limits && !is_awaited {
            // What goes next makes room, whether or not there was any to compress this.
            way.chain = before;
        }
        Some((packed, made))
    }

    /// Compresses a copy.
    fn pack(&mut self, set: usize, way: &mut Way<'_, '_>, here: &Here, to: Place) -> Here {
        let policy = way.draft.policy;
        let may_pack = is_packable(&here.meta);
        let Some(compress) = policy.compress.as_ref().filter(|_| may_pack) else {
            return here.clone();
        };
        let keep = policy.scripts.pre_remove.is_some() || policy.shred.is_some();
        let room = self.room(set, here);
        let log = Place { dir: way.draft.log.dir, name: way.draft.log.name.clone() };
        let action = Action::Compress {
            temp: temporary_name(&to.name).into(),
            from: here.place.clone(),
            to: Box::new(to.clone()),
            log: Box::new(log),
            program: compress.program.clone(),
            codec: compress.codec,
            level: compress.level,
            room,
            keep,
        };
        if let Some(grown) = self.grown.get_mut(set) {
            *grown = grown.plus(room.minus(here.meta.stamp.allocated));
        }
        let used = self.used.get(set).copied().unwrap_or_default();
        let bound = self.bound(set);
        if let Some(peak) = self.peak.get_mut(set) {
            *peak = (*peak).max(used.plus(room).min(bound));
        }
        let reason = Reason::Compression { len: Bytes::new(here.meta.stamp.len) };
        let bytes = here.meta.stamp.allocated;
        way.chain = vec![self.push(way.at(set), action, here.expect, bytes, reason)];
        if keep {
            self.remove_as(set, way, here, Reason::Compressed);
        }
        let expect = match here.expect {
            Expect::Made => Expect::Made,
            _ => Expect::SameFile(here.meta.stamp.id),
        };
        Here { place: to, meta: here.meta, expect, is_packed: true, freed: here.freed }
    }

    /// What a compressed copy may occupy.
    fn room(&self, set: usize, here: &Here) -> Bytes {
        let block = self.inventory.sets.get(set).map_or(Bytes::new(512), |set| set.space.block);
        codec::bound(Bytes::new(here.meta.stamp.len)).in_blocks(block)
    }

    /// Removes a copy that is one too many, or too old: mailed first, if that is asked for.
    fn remove(
        &mut self,
        set: usize,
        way: &mut Way<'_, '_>,
        here: &Here,
        reason: Reason,
        is_mailed: bool,
    ) {
        if is_mailed {
            way.chain.extend(self.mail(set, way, here));
        }
        self.remove_as(set, way, here, reason);
    }

    /// Asks the script, and deletes.
    fn remove_as(&mut self, set: usize, way: &mut Way<'_, '_>, here: &Here, reason: Reason) {
        let place = here.place.clone();
        let at = way.at(set);
        // What cannot be removed keeps its log from going on.
        way.chain = vec![self.delete(at, way.draft, place, here.expect, here.freed, reason)];
    }

    fn mail(&mut self, set: usize, way: &Way<'_, '_>, here: &Here) -> Option<usize> {
        let (log, policy) = (way.draft.log, way.draft.policy);
        let mail = policy.mail.as_ref()?;
        // As logrotate: with `mailfirst`, where it is compressed at once, a mail is about the log.
        let subject = if mail.when == MailWhen::First && packs_at_once(policy) {
            self.inventory.path(log.dir, &log.name)
        } else {
            self.inventory.path(here.place.dir, &here.place.name)
        };
        let subject = subject.into_os_string();
        // As logrotate: not with `mailfirst` and `delaycompress`.
        let is_raw = mail.when == MailWhen::First && !packs_at_once(policy);
        let unpack = (here.is_packed && !is_raw).then(|| mail.unpack.clone());
        let message = Arc::new(Message { address: mail.address.clone(), subject, unpack });
        let action = Action::Mail { at: here.place.clone(), message };
        Some(self.push(way.at(set), action, here.expect, Bytes::ZERO, Reason::Mail))
    }

    /// A log that is not due and has to give way all the same, or whose rotation was interrupted.
    fn press(&mut self, set: usize, log: usize, draft: &LogDraft<'_>) {
        let mut done = self.rotate_log(At::log(set, log), draft);
        self.finish_rename_copy(At::log(set, log), draft, &mut done);
        self.delete_new(At::log(set, log), draft, &mut done);
    }
}

impl<'d> Way<'d, '_> {
    fn at(&self, set: usize) -> At {
        At::log(set, self.log).after(self.chain.iter().copied())
    }

    fn archive(&self, name: OsString) -> Place {
        Place { dir: self.draft.log.archive_dir, name }
    }

    /// The copy of this label.
    fn named(&self, label: &Label, is_packed: bool) -> Place {
        let compress = self.draft.policy.compress.as_ref().filter(|_| is_packed);
        let suffix = compress.map_or("", |compress| &compress.suffix);
        self.archive(self.draft.policy.naming.format(&self.draft.log.name, label, suffix))
    }

    /// An old copy where it is at first.
    fn here(&self, index: usize) -> Option<Here> {
        let archive = self.old(index)?;
        let (_, expect) = self.draft.copy(index)?;
        Some(Here {
            place: self.archive(archive.name().to_owned()),
            meta: archive.meta(),
            expect,
            is_packed: !archive.is_plain(),
            freed: archive.stamp().freed_by_unlink(),
        })
    }

    /// An old copy, unless the quota has taken it.
    fn old(&self, index: usize) -> Option<&'d Archive> {
        let goes = matches!(self.draft.verdicts.get(index)?, Verdict::Remove(_));
        let has_gone = goes && self.for_room.is_some_and(|first| first <= index);
        self.draft.copy(index).map(|(archive, _)| archive).filter(|_| !has_gone)
    }

    fn reason(&self, index: usize) -> Reason {
        match self.draft.verdicts.get(index) {
            Some(Verdict::Remove(reason)) => Reason::clone(reason),
            _ => Reason::MakeWay,
        }
    }
}
