//! The books of the evictions: what logs, sets and file systems have, and what changes it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::plan::Verdict;
use crate::plan::draft::{LogDraft, SetDraft, Source};
use crate::policy::{Limits, Method};
use crate::units::Bytes;

/// Something that can be evicted.
#[derive(Clone, Copy)]
pub(super) enum Victim {
    /// Index of an archive.
    Archive(u32),
    /// The archive that a rotation is about to make.
    New,
}

#[derive(Clone, Copy)]
pub(super) struct Item {
    pub(super) victim: Victim,
    pub(super) bytes: Bytes,
}

/// One log as the evictions see it.
pub(super) struct Pool {
    pub(super) set: usize,
    pub(super) log: usize,
    /// Where its archives are.
    pub(super) dev: u64,
    pub(super) used: Bytes,
    pub(super) files: u64,
    /// Which of [`Evictions::items`](super::Evictions) can go, oldest first.
    pub(super) items: Range<usize>,
    /// How many of them are gone.
    pub(super) gone: usize,
    /// What its copy needs on the way.
    pub(super) copy_room: Bytes,
    /// Its new archive is one file more.
    pub(super) is_copied: bool,
    /// Its new archive is copied from where the log was renamed to.
    pub(super) copies_renamed: bool,
    /// Its new archive stays in this run, whatever the limits are.
    pub(super) new_stays: bool,
}

/// What must hold of one set, or of all.
pub(super) struct Bound {
    pub(super) limits: Limits,
    pub(super) used: Bytes,
    pub(super) files: u64,
    pub(super) logs: u64,
    /// Copies that are made before their sources are cut, by size: the largest needs that
    /// much more on the way.
    pub(super) copies: BTreeMap<Bytes, usize>,
    /// What may be used on the way.
    pub(super) peak: Bytes,
}

/// One file system.
pub(super) struct Volume {
    pub(super) total: Bytes,
    /// Free in the end, if everything goes as decided so far.
    pub(super) free: i128,
    /// Free inodes when new files are made, if limited.
    pub(super) files: Option<i128>,
    /// Copies of renamed logs that are made: while one is, it takes an inode more.
    pub(super) copies_renamed: usize,
}

impl Volume {
    pub(super) fn lacks_inodes(&self) -> bool {
        let aside = i128::from(self.copies_renamed > 0);
        self.files.is_some_and(|files| files < aside)
    }
}

impl Bound {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            used: Bytes::ZERO,
            files: 0,
            logs: 0,
            copies: BTreeMap::new(),
            peak: Bytes::ZERO,
        }
    }

    pub(super) fn add(&mut self, pool: &Pool) {
        self.used = self.used.plus(pool.used);
        self.files = self.files.saturating_add(pool.files);
        self.logs = self.logs.saturating_add(1);
        if pool.copy_room > Bytes::ZERO {
            self.book_copy(pool.copy_room, true);
        }
    }

    pub(super) fn book_copy(&mut self, room: Bytes, is_made: bool) {
        let count = self.copies.entry(room).or_default();
        *count = if is_made { count.saturating_add(1) } else { count.saturating_sub(1) };
        if *count == 0 {
            self.copies.remove(&room);
        }
    }

    pub(super) fn copy_room(&self) -> Bytes {
        self.copies.last_key_value().map_or(Bytes::ZERO, |(room, _)| *room)
    }

    /// Whether it would be too much in the end, copies on the way aside.
    pub(super) fn ends_above_quota(&self) -> bool {
        self.limits.quota.is_some_and(|quota| self.used > quota)
    }

    pub(super) fn exceeds_quota(&self) -> bool {
        self.limits.quota.is_some_and(|quota| {
            let room = self.copy_room();
            self.used > quota || (room > Bytes::ZERO && self.used.plus(room) > self.peak)
        })
    }
}

impl Pool {
    /// How many items it can have.
    pub(super) fn items_max(draft: &LogDraft<'_>) -> usize {
        draft.kept().count().saturating_add(usize::from(draft.rotation.is_some()))
    }

    /// Its items come behind those that there are.
    pub(super) fn new(
        (set, dev): (usize, u64),
        log: usize,
        draft: &LogDraft<'_>,
        items: &mut Vec<Item>,
    ) -> Self {
        let first = items.len();
        let (mut used, mut files) = (draft.fixed_bytes(), draft.fixed_files());
        for (index, archive) in draft.kept().rev() {
            if archive.stamp().nlink > 1 {
                continue;
            }
            let bytes = archive.allocated();
            used = used.plus(bytes);
            files = files.saturating_add(1);
            if let (true, Ok(index)) = (draft.may_delete(archive), u32::try_from(index)) {
                items.push(Item { victim: Victim::Archive(index), bytes });
            }
        }
        if let Some(rotation) = draft.rotation.as_ref().filter(|rotation| rotation.gone.is_none()) {
            let item = Item { victim: Victim::New, bytes: rotation.bytes };
            // Of an interrupted copytruncate the copy is an archive already; a log with
            // several names stays what it is when one of them changes.
            if rotation.source != Source::Copied && !stays_linked(draft) {
                used = used.plus(item.bytes);
                files = files.saturating_add(1);
                items.push(item);
            }
        }
        let is_copied = matches!(draft.policy.method, Method::CopyTruncate | Method::Copy);
        let archives = draft.log.archives.iter().map(|archive| archive.stamp());
        let seen = archives.chain(draft.log.active.map(|active| active.stamp)).next();
        Self {
            set,
            log,
            dev: seen.map_or(dev, |stamp| stamp.id.dev),
            used,
            files,
            items: first..items.len(),
            gone: 0,
            copy_room: copy_room(draft),
            is_copied,
            copies_renamed: copies_renamed(draft),
            new_stays: draft.rotation.is_some() && !super::deferred::is_ours_to_give(draft),
        }
    }
}

/// Whether what is rotated is renamed and has other names: it is counted as such a file.
fn stays_linked(draft: &LogDraft<'_>) -> bool {
    draft.policy.method == Method::Rename
        && draft.rotation.as_ref().is_some_and(|r| r.source == Source::Active)
        && draft.log.active.is_some_and(|active| active.stamp.nlink > 1)
}

/// What a rotation needs on the way beyond what it leaves: the copy and its source exist
/// together until the source is cut.
fn copy_room(draft: &LogDraft<'_>) -> Bytes {
    match (&draft.rotation, draft.policy.method) {
        (Some(rotation), Method::CopyTruncate | Method::RenameCopy)
            if rotation.gone.is_none() && rotation.source != Source::Copied =>
        {
            rotation.bytes
        }
        _ => Bytes::ZERO,
    }
}

/// How many files a rotation adds. A renamed log and its copy exist together for a while;
/// that is one file more for all of them, see [`copies_renamed`].
pub(super) fn new_files(draft: &LogDraft<'_>) -> i128 {
    let Some(rotation) = &draft.rotation else { return draft.recreate.into() };
    let create: i128 = draft.policy.create.is_some().into();
    let copy: i128 = rotation.gone.is_none().into();
    match (rotation.source, draft.policy.method) {
        (Source::Copied, _) => 0,
        (Source::Active, Method::Rename) => create,
        (Source::Active, Method::CopyTruncate | Method::Copy) => copy,
        (Source::Active, Method::RenameCopy) => create,
        (Source::Renamed, _) => draft.recreate.into(),
    }
}

/// Whether the log's archive is copied from where it was renamed to.
fn copies_renamed(draft: &LogDraft<'_>) -> bool {
    draft.rotation.as_ref().is_some_and(|rotation| {
        rotation.gone.is_none()
            && (rotation.source == Source::Renamed
                || (rotation.source == Source::Active && draft.policy.method == Method::RenameCopy))
    })
}

/// Files that go before anything new is made.
pub(super) fn removed_files(draft: &SetDraft<'_>) -> usize {
    let log = |log: &LogDraft<'_>| {
        let archives = log
            .archives()
            .filter(|(_, a, v)| matches!(v, Verdict::Remove(_)) && a.stamp().nlink <= 1)
            .count();
        let stay = log.staying_leftovers().count();
        archives.saturating_add(log.log.leftovers.len().saturating_sub(stay))
    };
    draft.logs.iter().map(log).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_needs_its_room_on_the_way() {
        let mut bound = Bound::new(Limits { quota: Some(Bytes::kib(100)), ..Limits::default() });
        bound.peak = Bytes::kib(100);
        bound.used = Bytes::kib(80);
        assert!(!bound.exceeds_quota());
        bound.book_copy(Bytes::kib(30), true);
        assert!(bound.exceeds_quota());
        bound.book_copy(Bytes::kib(30), false);
        assert!(!bound.exceeds_quota());
    }
}
