//! logrotate's rules for the old copies of a log that rotates: which are renamed, which are
//! compressed late, which are in the way, and which go.
//!
//! Pure. Which logs rotate is decided beside this, in [`rotate`](super::rotate), and the steps are
//! put into order in `order/classic`. What logrotate would lose without anybody wanting it, by
//! putting one file in the place of another, is set aside here or keeps the log from rotating.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use chrono::{DateTime, FixedOffset};

use super::Reason;
use super::draft::{LogDraft, Rotation};
use super::order::HOLES_MAX;
use super::rotate::rename_copy_name;
use crate::inventory::Archive;
use crate::naming::{Label, Style, temporary_name};
use crate::policy::{Count, Method, Policy, Rules};
use crate::stamp::{Kind, Meta};
use crate::units::{Age, Generation};

/// What becomes of the old copies of one log. Numbers are places in [`Log::archives`](crate::inventory::Log::archives).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OldCopies {
    /// Something new needs their names, and they are not one too many: they get a name that
    /// nobody looks at.
    pub(super) aside: Vec<usize>,
    /// Compressed first: `delaycompress` has left them plain, or `compress` is new.
    pub(super) late: Vec<usize>,
    /// Go before the log itself is rotated, in this order.
    pub(super) gone: Vec<usize>,
    /// Goes without a word: another one takes its name.
    pub(super) overwritten: Option<usize>,
    /// Renamed, in this order, to this number.
    pub(super) moves: Vec<(usize, u32)>,
    /// What goes at the very end.
    pub(super) last: Last,
    /// One too many, or too old, and no regular file: it stays, under its new name if it has one.
    pub(super) stuck: Vec<usize>,
    /// A file that keeps the log from rotating.
    pub(super) stops: Option<OsString>,
}

/// What goes when all the rest is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Last {
    /// Nothing.
    #[default]
    Nothing,
    /// An old copy, under its new name if it has one.
    Old(usize),
    /// The new copy: `rotate 0`.
    New,
}

/// What a copy of today would be called, without a compressor's suffix, and its label.
pub(super) struct Target {
    pub(super) label: Label,
    pub(super) plain: OsString,
}

/// The suffix that counts: with `compress`, plain copies are not looked at.
fn suffix(policy: &Policy) -> &str {
    policy.compress.as_ref().map_or("", |compress| &compress.suffix)
}

/// Whether a compressor turns the new copy into another file before the run is over.
pub(super) fn packs_at_once(policy: &Policy) -> bool {
    policy.compress.as_ref().is_some_and(|compress| !compress.delay)
}

/// Whether a file is compressed at all: of one with other names nothing is gained, and to pack
/// terabytes of zeros takes hours.
pub(super) fn is_packable(meta: &Meta) -> bool {
    // A log that is a pipe is found out when it is opened.
    let is_openable = matches!(meta.kind, Kind::File | Kind::Special);
    is_openable && meta.stamp.nlink <= 1 && meta.stamp.holes() <= HOLES_MAX
}

/// Whether the new copy is made at all. `copy` and `copytruncate` with `rotate 0` make none,
/// unless it is mailed.
pub(super) fn has_copy(policy: &Policy) -> bool {
    let in_place = matches!(policy.method, Method::Copy | Method::CopyTruncate);
    !(in_place && policy.count == Count::AtMost(0) && policy.mail.is_none())
}

/// Decides about the old copies, and puts their verdicts into the draft.
pub(super) fn old_copies(
    draft: &mut LogDraft<'_>,
    target: &Target,
    now: DateTime<FixedOffset>,
) -> OldCopies {
    let mut copies = match &draft.policy.naming.style {
        Style::Numbered { start } => numbered(draft, *start, now),
        Style::Dated { .. } | Style::Sequence => dated(draft, target, now),
    };
    if let Some(name) = obstacle(draft, target, &copies) {
        copies = OldCopies { stops: Some(name), ..OldCopies::default() };
    }
    let limit = match draft.policy.count {
        Count::AtMost(limit) => limit,
        Count::Unlimited => u32::MAX,
    };
    let is_numbered = matches!(draft.policy.naming.style, Style::Numbered { .. });
    let places: Vec<usize> =
        counted(draft, &copies.late).into_iter().map(|(index, _)| index).collect();
    // The new copy is the first.
    let by_count = |index: usize| {
        let place = if is_numbered {
            usize::try_from(limit.max(1)).unwrap_or(usize::MAX)
        } else {
            places.iter().position(|at| *at == index).unwrap_or(0).saturating_add(1)
        };
        Reason::Count { generation: Generation::from_index(place), limit }
    };
    let last = match copies.last {
        Last::Old(index) => Some(index),
        Last::Nothing | Last::New => None,
    };
    for index in copies.gone.iter().copied().chain(last) {
        let age = draft.copy(index).and_then(|(archive, _)| too_old(draft, archive, now));
        draft.remove(index, age.unwrap_or_else(|| by_count(index)));
    }
    if let Some(index) = copies.overwritten {
        draft.remove(index, Reason::Overwritten);
    }
    copies
}

/// A name that something else has, which is no archive of this log, and that would be needed.
fn obstacle(draft: &LogDraft<'_>, target: &Target, copies: &OldCopies) -> Option<OsString> {
    let (log, naming) = (draft.log, &draft.policy.naming);
    if log.obstacles.is_empty() {
        return None;
    }
    let packed = suffix(draft.policy);
    let label = |index: &usize| draft.copy(*index).map(|(a, _)| a.label());
    let late = copies.late.iter().filter_map(label);
    let moved = copies.moves.iter().filter_map(|(index, number)| {
        let (archive, _) = draft.copy(*index)?;
        let is_packed = copies.late.contains(index) || !archive.is_plain();
        Some((Label::Number(*number), if is_packed { packed } else { "" }))
    });
    let late = late.map(|label| (label, packed));
    let mut names: Vec<OsString> =
        late.chain(moved).map(|(label, suffix)| naming.format(&log.name, &label, suffix)).collect();
    if has_copy(draft.policy) {
        names.push(target.plain.clone());
        if packs_at_once(draft.policy) {
            names.push(naming.format(&log.name, &target.label, packed));
        }
    }
    if draft.policy.method == Method::RenameCopy {
        names.push(rename_copy_name(&log.name));
    }
    let temps: Vec<OsString> = names.iter().map(|name| temporary_name(name)).collect();
    names.into_iter().chain(temps).find(|name| draft.is_obstacle(name))
}

/// Why an old copy goes by its age, if it does.
fn too_old(draft: &LogDraft<'_>, archive: &Archive, now: DateTime<FixedOffset>) -> Option<Reason> {
    let limit = Age::days(draft.policy.max_age_days.filter(|days| *days > 0)?.into());
    let age = Age::between(now.timestamp(), archive.stamp().mtime.secs);
    (age.whole_days() > limit.whole_days()).then_some(Reason::MaxAge { age, limit })
}

/// Copies in the style of the policy that have this suffix.
fn with_suffix<'d>(
    draft: &'d LogDraft<'_>,
    suffix: &'d str,
) -> impl DoubleEndedIterator<Item = (usize, &'d Archive)> {
    draft.copies().into_iter().filter(move |(_, a)| a.is_own_style() && a.suffix() == suffix)
}

/// Copies that have a place among the others, newest first, with those that are compressed late.
/// With `compress`, logrotate passes plain ones over; where there are limits, some stay plain for
/// want of room, and are not stranded by that.
fn counted<'d>(draft: &'d LogDraft<'_>, late: &[usize]) -> Vec<(usize, &'d Archive)> {
    let packed = suffix(draft.policy);
    let twins: HashSet<Label> = if draft.has_limits {
        with_suffix(draft, packed).map(|(_, archive)| archive.label()).collect()
    } else {
        HashSet::new()
    };
    let stays = |a: &Archive| draft.has_limits && a.is_plain() && !twins.contains(&a.label());
    let is_counted = |(index, a): &(usize, &Archive)| {
        late.contains(index) || a.is_own_style() && (a.suffix() == packed || stays(a))
    };
    draft.copies().into_iter().filter(is_counted).collect()
}

fn numbered(draft: &LogDraft<'_>, start: u32, now: DateTime<FixedOffset>) -> OldCopies {
    let policy = draft.policy;
    let packed = suffix(policy);
    let at = |number: u32, suffix: &str| {
        with_suffix(draft, suffix)
            .find(|(_, archive)| archive.label() == Label::Number(number))
            .map(|(index, _)| index)
    };
    let number = |archive: &Archive| match archive.label() {
        Label::Number(number) => number,
        _ => 0,
    };
    let counted = counted(draft, &[]);
    let highest = || counted.iter().map(|(_, a)| number(a)).max().unwrap_or(0);
    // The first number beyond those that stay; with `rotate 0`, one stays until the end.
    let (end, is_limited) = match policy.count {
        Count::AtMost(count) => (start.saturating_add(count.max(1)), true),
        Count::Unlimited => (highest().saturating_add(1).max(start.saturating_add(1)), false),
    };
    let archive = |index: usize| draft.copy(index).map(|(archive, _)| archive);
    let is_stuck = |index: usize| archive(index).is_some_and(|a| a.kind() != Kind::File);
    let may_pack =
        |index: usize| archive(index).is_some_and(|a| is_packable(&a.meta())) && !is_stuck(index);
    let stopped = |index: usize| OldCopies {
        stops: archive(index).map(|a| a.name().to_owned()),
        ..OldCopies::default()
    };
    let mut found = OldCopies::default();
    // What is plain under the new copy's name: compressed late, or in its way.
    let in_the_way = if packed.is_empty() { None } else { at(start, "") };
    let is_delayed = policy.compress.as_ref().is_some_and(|compress| compress.delay);
    let mut newest = at(start, packed);
    if let Some(plain) = in_the_way {
        if draft.stays_plain && newest.is_none() {
            newest = Some(plain);
        } else if may_pack(plain) && (newest.is_none() || is_delayed) && !draft.stays_plain {
            found.aside.extend(newest);
            found.late.push(plain);
            newest = Some(plain);
        } else {
            found.aside.push(plain);
        }
        // It would have to be opened.
        if is_delayed && is_stuck(plain) {
            return stopped(plain);
        }
    }
    // Those that exist, by number, the highest first: only these are looked at.
    let mut slots: Vec<(u32, usize)> = counted
        .iter()
        .map(|(index, archive)| (number(archive), *index))
        .filter(|(number, _)| *number > start && *number < end)
        .chain(newest.map(|index| (start, index)))
        .collect();
    slots.sort_unstable_by(|a, b| b.cmp(a));
    let is_old = |index: usize| archive(index).is_some_and(|a| too_old(draft, a, now).is_some());
    let at_end = counted.iter().find(|(_, a)| a.label() == Label::Number(end));
    let stale = at_end.filter(|_| is_limited).map(|(index, _)| *index);
    let mut last = stale;
    // Plain ones beside a compressed one of their number stay where they are.
    let is_plain = |index: usize| archive(index).is_some_and(|a| a.is_plain());
    let mut stays: HashSet<u32> = with_suffix(draft, "")
        .filter(|(index, _)| draft.has_limits && !counted.iter().any(|(other, _)| other == index))
        .map(|(_, archive)| number(archive))
        .collect();
    for (number, index) in slots {
        let is_in_the_way = stays.contains(&number.saturating_add(1));
        if is_in_the_way && is_plain(index) && !found.late.contains(&index) {
            if number == start {
                return stopped(index);
            }
            stays.insert(number);
            continue;
        }
        if is_old(index) && !is_stuck(index) {
            found.gone.push(index);
            continue;
        }
        let next = number.saturating_add(1);
        if next == end && is_limited {
            found.overwritten = stale;
            last = Some(index);
        } else if is_old(index) {
            found.stuck.push(index);
        }
        found.moves.push((index, next));
    }
    if let Some(index) = found.overwritten.filter(|index| is_stuck(*index)) {
        return stopped(index);
    }
    // With `rotate 0`, what was moved to the end stays there, as with logrotate.
    found.last = match ending(draft, last) {
        Last::Old(index) if is_stuck(index) => {
            found.stuck.push(index);
            Last::Nothing
        }
        other => other,
    };
    found
}

fn dated(draft: &LogDraft<'_>, target: &Target, now: DateTime<FixedOffset>) -> OldCopies {
    let policy = draft.policy;
    let packed = suffix(policy);
    let mut found = OldCopies::default();
    if !draft.stays_plain && policy.compress.as_ref().is_some_and(|compress| compress.delay) {
        let is_free =
            |plain: &Archive| !with_suffix(draft, packed).any(|(_, a)| a.label() == plain.label());
        for (index, archive) in with_suffix(draft, "").rev() {
            if archive.kind() != Kind::File {
                // It would have to be opened.
                return OldCopies {
                    stops: Some(archive.name().to_owned()),
                    ..OldCopies::default()
                };
            }
            if is_free(archive) && is_packable(&archive.meta()) {
                found.late.push(index);
            }
        }
    }
    // The oldest first.
    let mut candidates = counted(draft, &found.late);
    candidates.reverse();
    let surplus = match policy.count {
        Count::AtMost(count) => {
            let count = usize::try_from(count.max(1)).unwrap_or(usize::MAX);
            candidates.len().saturating_add(1).saturating_sub(count)
        }
        Count::Unlimited => 0,
    };
    let goes = |(place, (_, archive)): &(usize, &(usize, &Archive))| {
        *place < surplus || too_old(draft, archive, now).is_some()
    };
    let going = candidates.iter().enumerate().filter(goes).map(|(_, candidate)| candidate);
    let (gone, stuck): (Vec<_>, Vec<_>) = going.partition(|(_, a)| a.kind() == Kind::File);
    found.gone = gone.iter().map(|(index, _)| *index).collect();
    found.stuck = stuck.iter().map(|(index, _)| *index).collect();
    let last = found.gone.pop();
    found.last = ending(draft, last);
    let packed_name = draft.policy.naming.format(&draft.log.name, &target.label, packed);
    let is_there = |name: &OsStr| {
        let mut copies = draft.copies().into_iter();
        copies.any(|(index, a)| a.name() == name && !found.gone.contains(&index))
            || draft.is_obstacle(name)
    };
    found.stops = [packed_name, target.plain.clone()].into_iter().find(|name| is_there(name));
    if !has_copy(policy) {
        found.stops = None;
    }
    if found.stops.is_some() {
        found.last = Last::Nothing;
    }
    found
}

/// What goes at the end: the last of the old copies, or with `rotate 0` the new one.
fn ending(draft: &LogDraft<'_>, last: Option<usize>) -> Last {
    let policy = draft.policy;
    // Where every byte counts there may be no room for one that is made only to be mailed.
    let has_room = policy.mail.is_none() || policy.method == Method::Rename || !draft.has_limits;
    if policy.count == Count::AtMost(0) && has_copy(policy) && has_room {
        return Last::New;
    }
    last.map_or(Last::Nothing, Last::Old)
}

/// Whether the new copy is made, also if it goes at once: to be mailed.
pub(super) fn is_made(draft: &LogDraft<'_>, rotation: &Rotation) -> bool {
    let is_mailed = draft.policy.mail.is_some();
    match rotation.gone {
        None => true,
        Some(Reason::Count { .. }) => is_mailed,
        Some(Reason::MaxAge { .. }) => is_mailed && draft.policy.rules == Rules::Own,
        Some(_) => false,
    }
}
