//! Plays one step: promises 1 (nothing foreign is touched), 2 (the active file) and 6 (names).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::Found;
use super::model::{Content, File, Origin, World, hand_over};
use crate::inventory::{Archive, DirId, Place};
use crate::naming::temporary_name;
use crate::plan::{Action, Expect, Plan, Reason, Step};
use crate::policy::{Method, Rules};

/// What a step changes, at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    /// Bytes that the set occupies more afterwards (less, if negative).
    pub(super) used: i128,
    /// Bytes that it occupies more while it is at work, if there is room.
    pub(super) meanwhile: u128,
    /// Files that there are more.
    pub(super) files: i64,
    /// Files of earlier times that there are less: not what a rotation makes and deletes again.
    pub(super) old_files: i64,
    /// Files that have other names: they may or may not be counted afterwards.
    pub(super) linked: i64,
    /// Bytes that the device gets, besides.
    pub(super) gained: i128,
    /// The device on which that happens.
    pub(super) dev: u64,
}

/// Plays a step and says what it changes.
pub(super) fn play<'a>(
    world: &mut World<'a>,
    plan: &Plan,
    index: usize,
    step: &'a Step,
    found: &mut Found,
) -> Change {
    if let Some(needed) = step.needs.iter().find(|needed| **needed >= index) {
        found.add(6, format_args!("step {index} needs step {needed}, which comes later"));
    }
    if step.set >= world.sets.len() || step.log.is_some() && log_of(world, step).is_none() {
        found.add(1, format_args!("step {index} is about a set or log that was not scanned"));
        return Change::default();
    }
    if let Action::RunHook { .. } = step.action {
        return Change::default();
    }
    for place in [step.action.place(), step.action.target()].into_iter().flatten() {
        let scanned = world.inventory.dirs.get(&place.dir);
        if scanned.is_some() && scanned != plan.dirs.get(&place.dir) {
            let shown = world.show(place);
            found.add(1, format_args!("step {index}: the plan lacks the folder of `{shown}`"));
        }
    }
    if let Some(change) = super::ballast::change(world, step) {
        return change;
    }
    let is_left_alone = world.sets.get(step.set).is_some_and(|view| view.is_left_alone);
    match log_of(world, step) {
        None => {
            found.add(1, format_args!("step {index} touches a file for no log"));
            return Change::default();
        }
        Some(log) if log.log.blocked.is_some() || is_left_alone => {
            let name = crate::error::printable(&log.log.name);
            found.add(1, format_args!("step {index} touches `{name}`, which is left alone"));
        }
        Some(_) => {}
    }
    act(world, index, step, found).unwrap_or_default()
}

fn log_of<'w, 'a>(world: &'w World<'a>, step: &Step) -> Option<&'w super::model::LogView<'a>> {
    world.log(step.set, step.log)
}

fn act<'a>(
    world: &mut World<'a>,
    index: usize,
    step: &'a Step,
    found: &mut Found,
) -> Option<Change> {
    match &step.action {
        Action::Rename { from, to } => {
            let file = source(world, index, step, from, found)?;
            let origin = world.content(world.files.get(file)?.content)?.origin;
            if is_active(world, step, from) {
                let policy = world.sets.get(step.set)?.policy;
                if !matches!(policy.method, Method::Rename | Method::RenameCopy) {
                    let shown = world.show(from);
                    found.add(2, format_args!("step {index} renames `{shown}`, to be copied"));
                }
                mark_rotated(world, step);
            } else if origin == Origin::Temporary {
                let shown = world.show(from);
                found.add(1, format_args!("step {index} renames `{shown}`, unfinished work"));
            }
            target(world, index, step, to, found);
            world.unname(from);
            world.name(to, file);
            Some(Change::default())
        }
        Action::Create { at, .. } => {
            let log = log_of(world, step)?.log;
            if (at.dir, &at.name) != (log.dir, &log.name) {
                let shown = world.show(at);
                found.add(1, format_args!("step {index} makes `{shown}`, which is not its log"));
            }
            is_free(world, index, at.dir, &at.name, found);
            let content = world.add_content(Origin::Live, step.set, step.log?);
            let file = world.add_file((at.dir, &at.name), content, None);
            Some(Change { files: 1, dev: world.files.get(file)?.dev, ..Change::default() })
        }
        Action::MakeDir { at, .. } => {
            is_free(world, index, at.dir, &at.name, found);
            let content = world.add_content(Origin::Foreign, step.set, step.log?);
            world.add_file((at.dir, &at.name), content, None);
            Some(Change::default())
        }
        Action::Copy { from, to, temp, room, .. } => {
            let file = source(world, index, step, from, found)?;
            if is_active(world, step, from) {
                let policy = world.sets.get(step.set)?.policy;
                if !matches!(policy.method, Method::Copy | Method::CopyTruncate) {
                    let shown = world.show(from);
                    found.add(2, format_args!("step {index} copies `{shown}`, to be renamed"));
                }
            }
            let content = world.files.get(file)?.content;
            // The log, or what an interrupted run has renamed.
            if world.content(content)?.is_live() {
                mark_rotated(world, step);
            }
            if let Some(log) = world.sets.get_mut(step.set)?.logs.get_mut(step.log?) {
                log.copied += u128::from(room.get());
            }
            target(world, index, step, to, found);
            temporary(world, index, to, temp, found);
            let copy = world.add_file((to.dir, &to.name), content, None);
            let copy = world.files.get_mut(copy)?;
            copy.allocated = room.get();
            let used = i128::from(room.get());
            Some(Change { used, files: 1, dev: copy.dev, ..Change::default() })
        }
        Action::Compress { from, to, temp, room, keep, .. } => {
            let file = source(world, index, step, from, found)?;
            if is_active(world, step, from) {
                let shown = world.show(from);
                found.add(2, format_args!("step {index} replaces the log `{shown}` itself"));
            }
            target(world, index, step, to, found);
            temporary(world, index, to, temp, found);
            if *keep {
                let content = world.files.get(file)?.content;
                // It counts with its source, and in its place once that is deleted.
                let packed = world.add_file((to.dir, &to.name), content, None);
                let packed = world.files.get_mut(packed)?;
                packed.allocated = 0;
                let (meanwhile, dev) = (u128::from(room.get()), packed.dev);
                return Some(Change { meanwhile, files: 1, dev, ..Change::default() });
            }
            let file = world.files.get_mut(file)?;
            // The source goes, but its other names keep what it occupies.
            let (added, linked) = if file.linked { (room.get(), 1) } else { (0, 0) };
            if file.linked {
                file.allocated = added;
                file.linked = false;
            }
            file.seen = None;
            let dev = file.dev;
            let file = world.at(from)?;
            world.unname(from);
            world.name(to, file);
            let meanwhile = u128::from(room.get());
            let used = i128::from(added);
            Some(Change { used, meanwhile, files: linked, old_files: 0, linked, gained: 0, dev })
        }
        Action::Squeeze { .. } => super::in_place::play(world, index, step, found),
        Action::Truncate { at, .. } => {
            let file = source(world, index, step, at, found)?;
            let shown = world.show(at);
            let policy = world.sets.get(step.set)?.policy;
            if policy.method != Method::CopyTruncate || !is_active(world, step, at) {
                found.add(2, format_args!("step {index} empties `{shown}`"));
            }
            mark_rotated(world, step);
            let freed = world.files.get(file)?.allocated;
            copy_is_given_up(world, step, file);
            world.let_go(file, index, &step.reason, freed);
            live_may_go(world, index, step, file, &shown, found);
            let content = world.add_content(Origin::Live, step.set, step.log?);
            world.contents.get_mut(content.get())?.holders = 1;
            let file = world.files.get_mut(file)?;
            file.content = content;
            file.allocated = 0;
            let used = -i128::from(freed);
            Some(Change { used, dev: file.dev, ..Change::default() })
        }
        Action::Trim { at, cut, keep } => {
            let file = source(world, index, step, at, found)?;
            super::trims::play(world, (index, step), (at, file), (*cut, *keep), found)
        }
        Action::Delete { at, same_as, head, .. } => {
            let file = source(world, index, step, at, found)?;
            let shown = world.show(at);
            super::in_place::goes_whole(world, (index, at), file, head.as_deref(), found);
            if is_active(world, step, at) {
                found.add(2, format_args!("step {index} deletes the log `{shown}` itself"));
            }
            if let Some(same) = same_as
                && world.at(same).is_none_or(|other| other == file)
            {
                let same = world.show(same);
                found.add(1, format_args!("step {index}: `{same}` is not there to replace it"));
            }
            let duplicate = matches!(step.reason, Reason::Duplicate);
            if duplicate && same_as.is_none() {
                found.add(1, format_args!("step {index}: `{shown}` is a duplicate of nothing"));
            }
            if matches!(step.reason, Reason::Compressed) {
                hand_over(world, index, file, &shown, found);
            }
            let kept = world.files.get(file)?;
            let freed = if kept.linked { 0 } else { kept.allocated };
            let (linked, dev) = (i64::from(kept.linked), kept.dev);
            let is_live = world.content(kept.content)?.is_live();
            let old_files = if is_live { 0 } else { 1 - linked };
            if is_live {
                mark_rotated(world, step);
                copy_is_given_up(world, step, file);
            }
            world.let_go(file, index, &step.reason, freed);
            world.unname(at);
            // Otherwise the step compares the contents first.
            if same_as.is_none() {
                live_may_go(world, index, step, file, &shown, found);
            }
            let used = -i128::from(freed);
            let files = linked - 1;
            Some(Change { used, files, old_files, linked, dev, ..Change::default() })
        }
        Action::Mail { at, .. } => {
            source(world, index, step, at, found)?;
            None
        }
        Action::RunHook { .. } => None,
        // Played before.
        Action::ReleaseBallast { .. } | Action::RestoreBallast { .. } => None,
    }
}

/// The file that a step acts on, if it may.
pub(super) fn source(
    world: &World<'_>,
    index: usize,
    step: &Step,
    place: &Place,
    found: &mut Found,
) -> Option<usize> {
    let shown = world.show(place);
    let Some(number) = world.at(place) else {
        found.add(1, format_args!("step {index} acts on `{shown}`, which is not there then"));
        return None;
    };
    let file = world.files.get(number)?;
    let content = world.content(file.content)?;
    if content.origin == Origin::Foreign {
        found.add(1, format_args!("step {index} touches `{shown}`, which is not ours"));
        return None;
    }
    if file.is_no_file && !matches!(step.action, Action::Rename { .. }) {
        found.add(1, format_args!("step {index} does more than rename `{shown}`, no regular file"));
    }
    if file.head().is_some()
        && !matches!(step.action, Action::Squeeze { .. } | Action::Delete { .. })
    {
        found.add(1, format_args!("step {index} parts `{shown}` from its beginning"));
    }
    let is_other = (content.set.get(), Some(content.log.get())) != (step.set, step.log);
    let is_log_of_set = content.is_live() && content.set.get() == step.set;
    if is_other && !(is_log_of_set && is_twofold(world, step, place)) {
        found.add(1, format_args!("step {index} touches `{shown}` of another log"));
    }
    if let Some(stamp) = file.stamp() {
        let is_expected = match step.expect {
            Expect::Unchanged(expected) => expected == stamp,
            // The active file grows while we look.
            Expect::SameFile(id) | Expect::SameOldest(id, _) => content.is_live() && id == stamp.id,
            Expect::Nothing | Expect::Made => false,
        };
        if !is_expected {
            found.add(1, format_args!("step {index} would act on another file than `{shown}`"));
        }
    }
    Some(number)
}

/// Under logrotate's rules, a log whose name is that of a copy of another one is both.
fn is_twofold(world: &World<'_>, step: &Step, place: &Place) -> bool {
    let (Some(log), Some(set)) = (log_of(world, step), world.sets.get(step.set)) else {
        return false;
    };
    let name = set.policy.naming.parse(&log.log.name, &place.name);
    set.policy.rules == Rules::Logrotate
        && place.dir == log.log.archive_dir
        && name.is_some_and(|name| name.own_style)
}

/// Whether a place is where the log of a step lives.
pub(super) fn is_active(world: &World<'_>, step: &Step, place: &Place) -> bool {
    log_of(world, step).is_some_and(|log| (log.log.dir, &log.log.name) == (place.dir, &place.name))
}

fn mark_rotated(world: &mut World<'_>, step: &Step) {
    if let Some(number) = step.log
        && let Some(log) = world.sets.get_mut(step.set).and_then(|set| set.logs.get_mut(number))
    {
        log.rotated = true;
    }
}

/// A log that goes without the copy that it should have had wanted the room for it all the
/// same, when it was decided which archives go.
fn copy_is_given_up(world: &mut World<'_>, step: &Step, file: usize) {
    let Some(file) = world.files.get(file) else { return };
    let room = file.allocated;
    let has_copy = world.content(file.content).is_some_and(|content| content.holders > 1);
    let Some(set) = world.sets.get_mut(step.set) else { return };
    if has_copy || !matches!(set.policy.method, Method::CopyTruncate | Method::RenameCopy) {
        return;
    }
    if let Some(log) = step.log.and_then(|number| set.logs.get_mut(number)) {
        log.copied += u128::from(room);
    }
}

/// Reasons for which what was the active file may go at once.
fn may_take_live(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::MaxAge { .. }
            | Reason::Quota { .. }
            | Reason::QuotaPressure { .. }
            | Reason::MaxFiles { .. }
            | Reason::Reserve { .. }
    )
}

/// What was the active file may go for good only where that was asked for.
fn live_may_go(
    world: &World<'_>,
    index: usize,
    step: &Step,
    file: usize,
    shown: &str,
    found: &mut Found,
) {
    let Some(file) = world.files.get(file) else { return };
    let Some(content) = world.content(file.content) else { return };
    let is_overwritten = Some(content.log.get()) != step.log && step.reason == Reason::Overwritten;
    let is_allowed = matches!(step.reason, Reason::Count { .. })
        || may_take_live(&step.reason)
        || is_overwritten;
    if content.is_live() && content.holders == 0 && !is_allowed && !was_copied(world, step, file) {
        found.add(
            2,
            format_args!("step {index} loses what was in the log, at `{shown}`: {:?}", step.reason),
        );
    }
}

/// Whether an interrupted run has copied it: an archive has its length and time of change,
/// and is still there or went for a reason for which the log may go, too.
fn was_copied(world: &World<'_>, step: &Step, file: &File<'_>) -> bool {
    let (Some(log), Some(stamp)) = (log_of(world, step), file.stamp()) else { return false };
    let is_copy = |(archive, content): (&Archive, Option<&Content<'_>>)| {
        let copy = archive.stamp();
        let lost = content.and_then(|content| content.lost);
        // A duplicate goes only if its compressed copy has the same content.
        let may_go = |reason: &Reason| matches!(reason, Reason::Duplicate) || may_take_live(reason);
        archive.is_plain()
            && (copy.len, copy.mtime) == (stamp.len, stamp.mtime)
            && lost.is_none_or(|(_, reason)| may_go(reason))
    };
    matches!(step.reason, Reason::Interrupted) && world.archives(log).any(is_copy)
}

pub(super) fn is_free(
    world: &World<'_>,
    index: usize,
    dir: DirId,
    name: &OsStr,
    found: &mut Found,
) {
    let shown = || crate::error::printable(world.inventory.path(dir, name));
    if world.exists(dir, name) {
        found.add(6, format_args!("step {index} writes to `{}`, which exists then", shown()));
    }
    let bytes = name.as_bytes();
    if bytes.is_empty()
        || bytes == b"."
        || bytes == b".."
        || bytes.len() > 255
        || bytes.contains(&b'/')
        || bytes.contains(&0)
    {
        found.add(6, format_args!("step {index}: `{}` cannot be a file's name", shown()));
    }
}

/// A name that an archive gets.
pub(super) fn target(world: &World<'_>, index: usize, step: &Step, to: &Place, found: &mut Found) {
    is_free(world, index, to.dir, &to.name, found);
    let (Some(log), Some(set)) = (log_of(world, step), world.sets.get(step.set)) else { return };
    let shown = world.show(to);
    if to.dir != log.log.archive_dir && to.dir != log.log.dir {
        found.add(1, format_args!("step {index} writes to `{shown}`, in a foreign folder"));
    }
    let mut waiting = log.log.name.clone();
    waiting.push(".tmp");
    let is_waiting = set.policy.method == Method::RenameCopy
        && matches!(step.action, Action::Rename { .. })
        && to.dir == log.log.dir
        && to.name == waiting;
    // Under logrotate's rules, what is in the way is set aside.
    let is_aside = matches!(step.reason, Reason::InTheWay);
    if !is_waiting && !is_aside && set.policy.naming.parse(&log.log.name, &to.name).is_none() {
        found.add(6, format_args!("step {index}: `{shown}` would not be known as an archive"));
    }
}

fn temporary(world: &World<'_>, index: usize, to: &Place, temp: &OsStr, found: &mut Found) {
    is_free(world, index, to.dir, temp, found);
    if temp != temporary_name(&to.name) {
        let shown = crate::error::printable(temp);
        found.add(6, format_args!("step {index}: `{shown}` is not the temporary name of its file"));
    }
}
