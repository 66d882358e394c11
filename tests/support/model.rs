//! A disk that is only numbers: does the steps of a plan to the data of an inventory, and
//! scans the result, so that a plan can be made of what a plan left.
//!
//! Nothing fails here but what has no room. Scripts do nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use logquota::ballast::Keeper;
use logquota::inventory::{Archive, BallastFound, Inventory, Leftover, LeftoverKind, Log, Place};
use logquota::plan::{Action, Plan, Step};
use logquota::policy::Config;
use logquota::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use logquota::units::Bytes;

use crate::generate::{BLOCK, Case};

/// A file by its place; the log it belongs to is found when scanning.
type Files = BTreeMap<Place, Meta>;

/// What is on the disk after a plan, and which archives compression has left plain.
#[must_use]
pub fn apply(case: &Case, plan: &Plan, percent: u64) -> Inventory {
    let inventory = &case.inventory;
    let mut files = files_of(inventory);
    let mut next_inode = 1_000_000;
    let mut rotated = BTreeSet::new();
    let mut skipped: HashSet<usize> = HashSet::new();
    let start: Vec<Bytes> = inventory.sets.iter().map(|set| set.used()).collect();
    for (index, step) in plan.steps.iter().enumerate() {
        if step.needs.iter().any(|needed| skipped.contains(needed)) {
            skipped.insert(index);
            continue;
        }
        let is_active = |place: &Place| {
            step.log.is_some_and(|log| {
                let log = &inventory.sets[step.set].logs[log];
                (log.dir, &log.name) == (place.dir, &place.name)
            })
        };
        let mut inode = |dev: u64| {
            next_inode += 1;
            FileId { dev, ino: next_inode, btime: None }
        };
        match &step.action {
            Action::Rename { from, to } => {
                let meta = files.remove(from).expect("a source");
                if is_active(from) {
                    rotated.insert((step.set, step.log));
                }
                assert!(files.insert(to.clone(), meta).is_none(), "{to:?} exists");
            }
            Action::Create { at, .. } => {
                let like = inventory.sets[step.set].logs[step.log.expect("a log")].stamps().next();
                let mut meta = any_meta(inventory).expect("a file");
                meta.stamp = Stamp {
                    id: inode(like.map_or(1, |stamp| stamp.id.dev)),
                    len: 0,
                    allocated: Bytes::ZERO,
                    nlink: 1,
                    ..meta.stamp
                };
                meta.stamp.mtime.secs = case.context.now.timestamp();
                // Also where an interrupted rotation is finished.
                rotated.insert((step.set, step.log));
                assert!(files.insert(at.clone(), meta).is_none(), "{at:?} exists");
            }
            Action::Copy { from, to, .. } => {
                let mut meta = files[from];
                if is_active(from) {
                    rotated.insert((step.set, step.log));
                }
                meta.stamp.id = inode(meta.stamp.id.dev);
                meta.stamp.nlink = 1;
                assert!(files.insert(to.clone(), meta).is_none(), "{to:?} exists");
            }
            Action::Truncate { at, .. } => {
                let meta = files.get_mut(at).expect("a log");
                rotated.insert((step.set, step.log));
                meta.stamp.len = 0;
                meta.stamp.allocated = Bytes::ZERO;
                meta.stamp.mtime.secs = case.context.now.timestamp();
            }
            Action::Trim { at, cut, .. } => {
                let meta = files.get_mut(at).expect("a log");
                assert!(*cut < meta.stamp.allocated && cut.get() < meta.stamp.len);
                meta.stamp.len -= cut.get();
                meta.stamp.allocated = meta.stamp.allocated.minus(*cut);
                meta.stamp.mtime.secs = case.context.now.timestamp();
            }
            Action::Compress { from, to, room, keep, .. } => {
                let mut meta = files[from];
                let len = u128::from(meta.stamp.len) * u128::from(percent) / 100 + 20;
                let len = u64::try_from(len).unwrap_or(u64::MAX).min(room.get());
                let out = Bytes::new(len).in_blocks(Bytes::new(BLOCK)).min(*room);
                let now = scan(inventory, &case.config, &files, &rotated, case);
                if !has_room(&now, &case.config, &start, step.set, (&meta, *room)) {
                    skipped.insert(index);
                    continue;
                }
                if !keep {
                    files.remove(from);
                }
                meta.stamp.id = inode(meta.stamp.id.dev);
                meta.stamp.len = len;
                meta.stamp.allocated = out;
                assert!(files.insert((**to).clone(), meta).is_none(), "{to:?} exists");
            }
            Action::Squeeze { from, to, begun, .. } => {
                assert!(begun.is_none(), "no inventory here has half an archive");
                let mut meta = files.remove(from).expect("a source");
                let len = u128::from(meta.stamp.len) * u128::from(percent) / 100 + 20;
                let len = u64::try_from(len).unwrap_or(u64::MAX).min(meta.stamp.len);
                meta.stamp.id = inode(meta.stamp.id.dev);
                meta.stamp.len = len;
                meta.stamp.allocated = Bytes::new(len).in_blocks(Bytes::new(BLOCK));
                assert!(files.insert((**to).clone(), meta).is_none(), "{to:?} exists");
            }
            Action::Delete { at, .. } => {
                files.remove(at).expect("a file");
            }
            _ => {}
        }
    }
    let mut after = scan(inventory, &case.config, &files, &rotated, case);
    for step in &plan.steps {
        ballast(&mut after, step);
    }
    after
}

/// Does a step about the ballast, if it is one.
fn ballast(after: &mut Inventory, step: &Step) {
    let Some(at) = step.action.place() else { return };
    let Some(ballast) = after.ballasts.iter_mut().find(|ballast| ballast.place == *at) else {
        return;
    };
    let old = ballast.kept();
    let now = Timestamp { secs: 1, nanos: 0 };
    match &step.action {
        Action::ReleaseBallast { .. } => ballast.found = BallastFound::Missing { since: Some(now) },
        Action::RestoreBallast { size, left, .. } => {
            let set = after.sets.iter().find(|set| set.dev == ballast.dev).expect("its set");
            // What was compressed may have grown by a block.
            if set.space.free.plus(old) < left.plus(*size) {
                return;
            }
            let stamp = Stamp {
                id: FileId { dev: ballast.dev, ino: 77_777 + ballast.set as u64, btime: None },
                len: size.get(),
                allocated: *size,
                mtime: now,
                ctime: now,
                nlink: 1,
            };
            let (kind, mode) = (Kind::File, 0o600);
            let meta = Meta { stamp, accessed: now, kind, mode, uid: 0, gid: 0, mount: 0 };
            ballast.found = BallastFound::Ours(meta);
            ballast.keeper = Keeper::Configuration;
        }
        _ => return,
    }
    let (dev, new) = (ballast.dev, ballast.kept());
    for set in after.sets.iter_mut().filter(|set| set.dev == dev) {
        set.space.free = set.space.free.plus(old).minus(new);
    }
}

/// Whether a compression may be made, as the limits are when its turn comes.
fn has_room(
    now: &Inventory,
    config: &Config,
    start: &[Bytes],
    set: usize,
    (meta, room): (&Meta, Bytes),
) -> bool {
    let admits = |quota: Option<Bytes>, start: Bytes, used: Bytes| {
        quota.is_none_or(|quota| {
            let in_the_end = used.plus(room).minus(meta.stamp.allocated);
            used.plus(room) <= quota.max(start) && (used > quota || in_the_end <= quota)
        })
    };
    let total: Bytes = now.sets.iter().map(|set| set.used()).sum();
    let space = now.sets[set].space;
    admits(config.sets[set].policy.limits.quota, start[set], now.sets[set].used())
        && admits(config.global.quota, start.iter().copied().sum(), total)
        && room <= space.free
        && space.free_files != Some(0)
}

fn any_meta(inventory: &Inventory) -> Option<Meta> {
    let logs = inventory.sets.iter().flat_map(|set| &set.logs);
    let metas = logs.flat_map(|log| {
        let archives = log.archives.iter().map(Archive::meta);
        log.active.into_iter().chain(archives).chain(log.leftovers.iter().map(|l| l.meta))
    });
    metas.into_iter().next()
}

fn files_of(inventory: &Inventory) -> Files {
    let mut files = Files::new();
    for log in inventory.sets.iter().flat_map(|set| &set.logs) {
        let active = Place { dir: log.dir, name: log.name.clone() };
        files.extend(log.active.map(|meta| (active, meta)));
        files.extend(log.archives.iter().map(|archive| {
            (Place { dir: log.archive_dir, name: archive.name().to_owned() }, archive.meta())
        }));
        files.extend(log.leftovers.iter().map(|l| (l.place.clone(), l.meta)));
    }
    files
}

/// What each device holds: bytes and inodes, each file once.
fn held(files: &Files) -> BTreeMap<u64, (i128, i128)> {
    let mut seen = HashSet::new();
    let mut held: BTreeMap<u64, (i128, i128)> = BTreeMap::new();
    for stamp in files.values().map(|meta| meta.stamp) {
        if seen.insert(stamp.id) {
            let (bytes, count) = held.entry(stamp.id.dev).or_default();
            *bytes += i128::from(stamp.allocated.get());
            *count += 1;
        }
    }
    held
}

fn scan(
    before: &Inventory,
    config: &Config,
    files: &Files,
    rotated: &BTreeSet<(usize, Option<usize>)>,
    case: &Case,
) -> Inventory {
    let mut after = before.clone();
    let (old, new) = (held(&files_of(before)), held(files));
    for (number, set) in after.sets.iter_mut().enumerate() {
        let naming = &config.sets[number].policy.naming;
        for (at, log) in set.logs.iter_mut().enumerate() {
            look(log, naming, files);
            if rotated.contains(&(number, Some(at))) {
                log.last_rotated = Some(case.context.now.naive_local());
            }
        }
        let of = |held: &BTreeMap<u64, (i128, i128)>| held.get(&set.dev).copied();
        let (old, new) = (of(&old).unwrap_or_default(), of(&new).unwrap_or_default());
        let free = i128::from(set.space.free.get()) + old.0 - new.0;
        set.space.free = Bytes::new(u64::try_from(free.max(0)).unwrap_or(u64::MAX));
        set.space.free_files = set.space.free_files.map(|files| {
            u64::try_from((i128::from(files) + old.1 - new.1).max(0)).unwrap_or(u64::MAX)
        });
    }
    after.normalize();
    after
}

fn look(log: &mut Log, naming: &logquota::Naming, files: &Files) {
    log.active = files.get(&Place { dir: log.dir, name: log.name.clone() }).copied();
    let mut waiting = log.name.clone();
    waiting.push(".tmp");
    log.archives.clear();
    log.leftovers.retain(|leftover| leftover.kind == LeftoverKind::Temporary);
    log.leftovers.retain(|leftover| files.contains_key(&leftover.place));
    for (place, meta) in files {
        if place.dir == log.dir && place.name == waiting {
            let (place, meta) = (place.clone(), *meta);
            log.leftovers.push(Leftover { place, meta, kind: LeftoverKind::Renamed });
        } else if place.dir == log.archive_dir
            && let Some(parsed) = naming.parse(&log.name, &place.name)
        {
            log.archives.push(Archive::new(&place.name, parsed, meta));
        }
    }
}
