//! Looks at the disk and says what is there: which logs, their archives, what of an
//! interrupted run. Reads only, and decides nothing.
//!
//! Patterns are followed from the last folder that the administrator wrote without a
//! wildcard; below that, no link is followed and no other mount entered. Names are compared
//! as bytes. What lies in a folder and is no log, archive or leftover of any set is not even
//! looked at.
//!
//! Every folder is listed twice at most (once for folders below it, once for files). The
//! work grows with the number of names, the memory with the number of those that may be ours:
//! about 110 bytes for an archive with its name, and 350 for a log.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;

pub(crate) use self::ballast::look_inside;
pub use self::devices::part_by_device;
pub use self::foreign::{Foreign, foreign};
pub use self::holders::{note_holders, note_oldest};
use self::look::Looked;
use self::walk::World;
use crate::error::Result;
use crate::fs::ReadFs;
use crate::inventory::{Dir, DirId, Inventory, Log, Note, Set, Space};
use crate::policy::{Config, Selector};
use crate::stamp::Stamp;
use crate::units::Bytes;

mod ahead;
mod ballast;
mod claims;
mod devices;
mod drafts;
mod foreign;
mod heads;
mod holders;
mod hollow;
mod index;
mod leftovers;
mod look;
#[cfg(feature = "logrotate")]
mod others;
pub(crate) mod pattern;
mod walk;

#[cfg(feature = "logrotate")]
pub use self::others::{Other, others};

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make their own trees")]
mod tests;

/// How often a scan is done again because somebody renamed files meanwhile. On a system that
/// does so without end the last one has to do; every step looks at its file again.
const TRIES: u32 = 3;

/// Looks at everything that `config` selects. `last_rotated` is asked for each log by its
/// path.
///
/// What cannot be looked at becomes a note or blocks its log, and the rest goes on.
///
/// # Errors
///
/// None at present; what concerns a single set is in the inventory.
///
/// # What is not guaranteed
///
/// Files are looked at one after the other while others may write. A folder whose names
/// changed meanwhile is scanned again, three times at most; then a file that was seen under
/// two names counts once, and a note says so.
pub fn scan(
    fs: &dyn ReadFs,
    config: &Config,
    last_rotated: &dyn Fn(&Path) -> Option<NaiveDateTime>,
) -> Result<Inventory> {
    for _ in 1..TRIES {
        let (inventory, moved) = scan_once(fs, config, last_rotated);
        if moved.is_empty() {
            return Ok(inventory);
        }
        // The folders that nobody uses were closed already.
        for dir in inventory.dirs.keys() {
            fs.close_dir(*dir);
        }
    }
    let (mut inventory, moved) = scan_once(fs, config, last_rotated);
    for path in moved {
        let why = "files were renamed here while it was scanned".to_owned();
        inventory.notes.push(Note { path, why, is_error: false });
    }
    count_once(&mut inventory);
    inventory.normalize();
    Ok(inventory)
}

/// So many logs are looked at in one go: enough that threads are worth their start, and few
/// enough that what is seen of them takes no room to speak of.
const BATCH: usize = 1_024;

/// The logs of each set.
type Logs = Vec<Vec<Log>>;

/// Folders whose names changed while they were scanned.
type Moved = Vec<PathBuf>;

/// One scan, and the folders whose names changed meanwhile.
fn scan_once(
    fs: &dyn ReadFs,
    config: &Config,
    last_rotated: &dyn Fn(&Path) -> Option<NaiveDateTime>,
) -> (Inventory, Moved) {
    let mut world = World::discover(fs, config);
    let mut drafts = drafts::drafts(&mut world);
    // With the room that each needs and no more: logs are the bulk of the memory.
    let mut counts = vec![0usize; config.sets.len()];
    for draft in &drafts {
        if let Some(count) = counts.get_mut(draft.claim.set) {
            *count = count.saturating_add(1);
        }
    }
    let mut logs: Logs = counts.into_iter().map(Vec::with_capacity).collect();
    let mut matched: HashSet<usize> = HashSet::new();
    while !drafts.is_empty() {
        let batch = drafts.split_off(drafts.len().saturating_sub(BATCH));
        // What drafts give back logs take; both at once would be half as much again.
        drafts.shrink_to_fit();
        let seen = ahead::stat_all(&world, &batch);
        for (draft, seen) in std::iter::zip(batch, seen) {
            let (set, folder, name) = (draft.claim.set, draft.folder, draft.name.clone());
            let Looked::Log(mut log) = look::look(&mut world, draft, seen) else { continue };
            let Some(folder) = world.folders.get(folder) else { continue };
            let path = folder.path.join(&name);
            log.last_rotated = last_rotated(&path);
            let losers = folder.claims.losers(&name, set);
            matched.extend(losers.iter().copied());
            note_duplicates(&mut world, &path, set, &losers);
            if let Some(logs) = logs.get_mut(set) {
                logs.push(*log);
            }
        }
    }
    matched.extend(logs.iter().enumerate().filter(|(_, l)| !l.is_empty()).map(|(set, _)| set));
    leftovers::find(&mut world, &mut logs);
    note_unmatched(&mut world, &matched);
    finish(world, logs)
}

fn finish(mut world: World<'_>, logs: Logs) -> (Inventory, Moved) {
    let mut used: BTreeSet<DirId> = BTreeSet::new();
    for log in logs.iter().flatten() {
        used.extend([log.dir, log.archive_dir]);
        used.extend(log.leftovers.iter().map(|leftover| leftover.place.dir));
    }
    // A folder that is yet to be made needs those that it will be in; they come before it.
    for folder in world.folders.iter().rev() {
        if let Some(place) = folder.missing.as_ref().filter(|_| used.contains(&folder.dir)) {
            used.insert(place.dir);
        }
    }
    let twice = seen_twice(&logs);
    let mut seen = HashSet::new();
    for log in logs.iter().flatten().filter(|_| !twice.is_empty()) {
        let mut stamps = log.stamps().filter(|s| s.nlink <= 1 && twice.contains(&s.id.ino));
        if stamps.any(|s| !seen.insert((s.id.dev, s.id.ino))) {
            world.restless.insert(log.archive_dir);
        }
    }
    let mut moved = Vec::new();
    let mut dirs = BTreeMap::new();
    for folder in &world.folders {
        let (is_used, is_restless) =
            (used.contains(&folder.dir), world.restless.contains(&folder.dir));
        if !is_used {
            if is_restless {
                moved.push(folder.path.clone());
            }
            continue;
        }
        let before = folder.meta.stamp;
        let now = world.fs.stat_dir(folder.dir).map(|meta| meta.stamp);
        if is_restless
            || folder.missing.is_none()
                && !now.is_ok_and(|now| now.mtime == before.mtime && now.ctime == before.ctime)
        {
            moved.push(folder.path.clone());
        }
        let (path, mount) = (folder.path.clone(), folder.meta.mount);
        let dir = Dir { path, id: before.id, mount, missing: folder.missing.clone() };
        dirs.insert(folder.dir, dir);
    }
    let ballasts = ballast::find(&mut world, &mut dirs);
    world.close_all_but(|dir| dirs.contains_key(&dir));
    let sets = std::iter::zip(&world.spaces, &world.overhead)
        .zip(logs)
        .map(|((space, overhead), logs)| {
            let (space, dev) = space.unwrap_or((NO_SPACE, 0));
            Set { logs, overhead: *overhead, space, dev }
        })
        .collect();
    let notes = std::mem::take(&mut world.notes);
    let mut inventory = Inventory { dirs, sets, ballasts, notes };
    inventory.normalize();
    (inventory, moved)
}

/// Inode numbers that several files with one name have. Sorted, they take eight bytes each, and
/// hardly ever is there one: on different file systems, or what was renamed meanwhile.
fn seen_twice(logs: &Logs) -> HashSet<u64> {
    let stamps = || logs.iter().flatten().flat_map(Log::stamps).filter(|stamp| stamp.nlink <= 1);
    let mut inodes = Vec::with_capacity(stamps().count());
    inodes.extend(stamps().map(|stamp| stamp.id.ino));
    inodes.sort_unstable();
    let pairs = inodes.iter().zip(inodes.iter().skip(1));
    pairs.filter(|(one, next)| one == next).map(|(one, _)| *one).collect()
}

/// Of a set whose folders could not be opened: it has no files, and nothing is missing.
const NO_SPACE: Space = Space {
    total: Bytes::ZERO,
    free: Bytes::MAX,
    free_files: None,
    total_files: None,
    block: Bytes::new(4096),
};

/// How the note about a log of two sets begins.
pub(crate) const ALSO_MATCHED: &str = "also matched by";

fn note_duplicates(world: &mut World<'_>, path: &Path, owner: usize, losers: &[usize]) {
    let sets = &world.config.sets;
    let Some(owner) = sets.get(owner).filter(|owner| !owner.ignore_duplicates) else { return };
    for loser in losers.iter().filter_map(|set| sets.get(*set)) {
        let why = format!("{ALSO_MATCHED} `{}`; it stays with `{}`", loser.name, owner.name);
        world.notes.push(Note { path: path.to_owned(), why, is_error: true });
    }
}

/// Says which patterns with wildcards matched nothing. (A name without a wildcard that does
/// not exist is a log that is missing.)
fn note_unmatched(world: &mut World<'_>, matched: &HashSet<usize>) {
    for (index, spec) in world.config.sets.iter().enumerate() {
        if spec.policy.missing_ok || matched.contains(&index) {
            continue;
        }
        for selector in &spec.selectors {
            if let Selector::Pattern(pattern) = selector
                && !world.notes.iter().any(|note| note.path.as_os_str() == pattern)
            {
                let path = Path::new(pattern).to_owned();
                let why = "no log matches this pattern".to_owned();
                world.notes.push(Note { path, why, is_error: true });
            }
        }
    }
}

/// Takes out what a rename made visible twice: one inode with one name is one file.
fn count_once(inventory: &mut Inventory) {
    let mut seen = HashSet::new();
    let mut is_new = |stamp: &Stamp| stamp.nlink > 1 || seen.insert((stamp.id.dev, stamp.id.ino));
    for log in inventory.sets.iter_mut().flat_map(|set| &mut set.logs) {
        if let Some(active) = &log.active {
            is_new(&active.stamp);
        }
    }
    for log in inventory.sets.iter_mut().flat_map(|set| &mut set.logs) {
        log.archives.retain(|archive| is_new(&archive.stamp()));
        log.leftovers.retain(|leftover| is_new(&leftover.meta.stamp));
    }
}
