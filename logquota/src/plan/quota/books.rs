//! The books of the evictions: what logs, sets and file systems have, and what changes it.

use std::collections::BTreeMap;

use crate::plan::Verdict;
use crate::plan::draft::{LogDraft, SetDraft, Source};
use crate::policy::{Limits, Method};
use crate::units::Bytes;

/// Something that can be evicted.
#[derive(Clone, Copy)]
pub(super) enum Victim {
    /// Index of an archive.
    Archive(usize),
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
    pub(super) used: Bytes,
    pub(super) files: u64,
    /// What can go, oldest first.
    pub(super) items: Vec<Item>,
    /// How many of them are gone.
    pub(super) gone: usize,
    /// What its copy needs on the way.
    pub(super) copy_room: Bytes,
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

    pub(super) fn exceeds_quota(&self) -> bool {
        self.limits.quota.is_some_and(|quota| {
            let room = self.copy_room();
            self.used > quota || (room > Bytes::ZERO && self.used.plus(room) > self.peak)
        })
    }
}

impl Pool {
    pub(super) fn new(set: usize, log: usize, draft: &LogDraft<'_>) -> Self {
        let mut items = Vec::new();
        let (mut used, mut files) = (draft.fixed_bytes(), draft.fixed_files());
        let may_evict = !draft.is_blocked();
        for (index, archive) in draft.kept().rev() {
            if archive.meta.stamp.nlink > 1 {
                continue;
            }
            let bytes = archive.meta.stamp.allocated;
            used = used.plus(bytes);
            files = files.saturating_add(1);
            if may_evict {
                items.push(Item { victim: Victim::Archive(index), bytes });
            }
        }
        if let Some(rotation) = draft.rotation.as_ref().filter(|rotation| rotation.gone.is_none()) {
            let item = Item { victim: Victim::New, bytes: rotation.bytes };
            // Of an interrupted copytruncate the copy is an archive already.
            if rotation.source != Source::Copied {
                used = used.plus(item.bytes);
                files = files.saturating_add(1);
                items.push(item);
            }
        }
        Self { set, log, used, files, items, gone: 0, copy_room: copy_room(draft) }
    }
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

/// Whether a rotation makes a file where there was none.
pub(in crate::plan) fn makes_file(draft: &LogDraft<'_>) -> bool {
    let Some(rotation) = &draft.rotation else { return draft.recreate };
    match (rotation.source, draft.policy.method) {
        (Source::Copied, _) => false,
        (Source::Active, Method::Rename) => draft.policy.create.is_some(),
        (Source::Active, Method::CopyTruncate | Method::Copy) => rotation.gone.is_none(),
        (Source::Active, Method::RenameCopy) | (Source::Renamed, _) => true,
    }
}

/// Files that go before anything new is made.
pub(super) fn removed_files(draft: &SetDraft<'_>) -> usize {
    let log = |log: &LogDraft<'_>| {
        let archives = log
            .archives()
            .filter(|(_, a, v)| matches!(v, Verdict::Remove(_)) && a.meta.stamp.nlink <= 1)
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
