//! Looks for the ballast, which has a place of its own: the first folder of each set, as the
//! configuration gives it, whatever logs are in there. One that lies in another folder of logs is
//! counted on, too: a program keeps it there, or an earlier configuration did.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::walk::World;
use crate::ballast::{DIR, HEAD_LEN, Keeper, NAME, is_ours, is_private};
use crate::error::{Error, Op};
use crate::fs::ReadFs;
use crate::inventory::{Ballast, BallastFound, Dir, DirId, Place};
use crate::stamp::{Kind, Meta};

/// A folder that may have one.
struct Candidate {
    set: usize,
    dir: DirId,
    path: PathBuf,
    dev: u64,
    /// Whether one may be made there.
    is_base: bool,
}

/// What is in a folder of ours.
struct Seen {
    dir: DirId,
    /// It is yet to be made.
    is_pending: bool,
    /// It is another user's.
    is_others: bool,
    found: BallastFound,
    keeper: Keeper,
}

/// Every place where there is one, and where one would be made: on each file system the first that
/// can have it. Their folders are in `dirs`.
pub(super) fn find(world: &mut World<'_>, dirs: &mut BTreeMap<DirId, Dir>) -> Vec<Ballast> {
    let is_wanted = world.config.wanted_ballast().is_some();
    let mut found: Vec<Ballast> = Vec::new();
    for Candidate { set, dir: base, path, dev, is_base } in candidates(world) {
        let has_place = found.iter().any(|other| other.dev == dev && other.is_place());
        let is_wanted = is_wanted && is_base && !has_place;
        let Some(seen) = look(world.fs, (base, &path), is_wanted) else { continue };
        let is_of_use = is_base || matches!(seen.found, BallastFound::Ours(_));
        // A folder may be reached by two paths.
        let is_new = |inner: &Dir| {
            let mut known = found.iter().filter_map(|other| dirs.get(&other.place.dir));
            seen.is_pending || known.all(|known| known.id != inner.id)
        };
        let entries = entries(world.fs, (base, &path), (seen.dir, seen.is_pending));
        let entries = entries.map_err(|error| {
            let error = Error::io(Op::Stat, path.join(DIR))(error).chain();
            let why = format!("no ballast is kept here: {error}");
            world.note(&path.join(DIR).join(NAME), why, true);
        });
        if let Some(entries) = entries.ok().filter(|entries| is_of_use && is_new(&entries.1)) {
            dirs.entry(base).or_insert(entries.0);
            dirs.insert(seen.dir, entries.1);
            let Seen { found: what, keeper, .. } = seen;
            let place = Place { dir: seen.dir, name: NAME.into() };
            let can_be_made = is_base && !seen.is_others;
            found.push(Ballast { place, set, dev, found: what, keeper, can_be_made });
        } else if !seen.is_pending {
            world.fs.close_dir(seen.dir);
        }
    }
    note_without(world, dirs, &found);
    found
}

/// Says why there is none where one is asked for, and none can be.
fn note_without(world: &mut World<'_>, dirs: &BTreeMap<DirId, Dir>, found: &[Ballast]) {
    let Some(asked) = world.config.wanted_ballast() else { return };
    for ballast in found {
        let on_disk = || found.iter().filter(|other| other.dev == ballast.dev);
        if on_disk().any(|other| other.is_place() || other.kept() >= asked) {
            continue;
        }
        let is_foreign = |other: &Ballast| matches!(other.found, BallastFound::Foreign { .. });
        let (why, is_error) = match &ballast.found {
            BallastFound::Foreign { why } => (why.clone(), true),
            _ if on_disk().any(is_foreign) || on_disk().next() != Some(ballast) => continue,
            BallastFound::Missing { .. } => {
                ("another user keeps one, and it is released".into(), false)
            }
            _ => ("another user keeps one, and it is smaller than is asked for".into(), true),
        };
        let folder = dirs.get(&ballast.place.dir).map(|dir| dir.path.clone());
        let path = folder.unwrap_or_default().join(NAME);
        let why: String = why;
        world.note(&path, format!("no ballast is kept here: {why}"), is_error);
    }
}

/// The first folder of each set, and then all others that have logs.
fn candidates(world: &World<'_>) -> Vec<Candidate> {
    let dev_of = |set: usize| world.spaces.get(set).copied().flatten().map(|(_, dev)| dev);
    let is_at_work =
        |set: &usize| world.config.sets.get(*set).is_some_and(|spec| !spec.policy.is_left_alone());
    let bases = world.bases.iter().enumerate().filter(|(set, _)| is_at_work(set));
    let bases = bases.filter_map(|(set, base)| {
        let (dir, path) = base.clone()?;
        Some(Candidate { set, dir, path, dev: dev_of(set)?, is_base: true })
    });
    let others = world.folders.iter().filter(|folder| folder.missing.is_none());
    let others = others.filter_map(|folder| {
        let dev = folder.meta.stamp.id.dev;
        let is_there = |set: &usize| is_at_work(set) && dev_of(*set) == Some(dev);
        let set = folder.claims.sets().into_iter().find(is_there)?;
        let path = folder.path.clone();
        Some(Candidate { set, dir: folder.dir, path, dev, is_base: false })
    });
    let mut seen: HashSet<DirId> = HashSet::new();
    bases.chain(others).filter(|candidate| seen.insert(candidate.dir)).collect()
}

/// What is in the folder of ours in `base`. Nothing if it does not exist and is not wanted.
fn look(fs: &dyn ReadFs, (base, path): (DirId, &Path), is_wanted: bool) -> Option<Seen> {
    let foreign = |why: String| BallastFound::Foreign { why };
    let pending = |found| {
        let dir = fs.pending_dir(base, DIR.as_ref()).ok()?;
        Some(Seen { dir, is_pending: true, is_others: false, found, keeper: Keeper::Program })
    };
    let dir = match fs.open_dir(base, OsStr::new(DIR)) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return is_wanted.then(|| pending(BallastFound::Missing { since: None })).flatten();
        }
        Err(error) => {
            let error = Error::io(Op::OpenDir, path.join(DIR))(error).chain();
            return is_wanted.then(|| pending(foreign(error))).flatten();
        }
    };
    let path = path.join(DIR);
    let uid = fs.effective_uid();
    let owner = owner(fs, base).filter(|owner| *owner != uid);
    let others = owner.and_then(|owner| look_inside(fs, dir, &path, owner).ok());
    // Nobody but its owner makes one in there.
    let others = others.filter(|(found, _)| !matches!(found, BallastFound::Foreign { .. }));
    let is_others = others.is_some();
    let found = others.map_or_else(|| look_inside(fs, dir, &path, uid), Ok);
    let (found, keeper) = found.unwrap_or_else(|error| (foreign(error.chain()), Keeper::Program));
    Some(Seen { dir, is_pending: false, is_others, found, keeper })
}

/// The user whose ballast root may give up: he who owns the folder of the logs. `look_inside` asks
/// that what is in there of ours is his alone. So nobody else could have put another file there, and
/// he could only have taken one that he can delete himself: root, who deletes a name in a folder of
/// his and cuts a file of his, does nothing for him that he could not do.
fn owner(fs: &dyn ReadFs, base: DirId) -> Option<u32> {
    let owner = fs.stat_dir(base).ok().map(|meta| meta.uid);
    owner.filter(|_| fs.effective_uid() == 0)
}

/// What is in the folder of ours that is open as `dir`, if it is that of the user `uid`; and who
/// asks for it.
pub(crate) fn look_inside(
    fs: &dyn ReadFs,
    dir: DirId,
    path: &Path,
    uid: u32,
) -> Result<(BallastFound, Keeper), Error> {
    let foreign = |why: String| Ok((BallastFound::Foreign { why }, Keeper::Program));
    let folder = fs.stat_dir(dir).map_err(Error::io(Op::Stat, path))?;
    if let Err(why) = is_private(&folder, Kind::Dir, uid) {
        return foreign(format!("its folder is not ours alone: {why}"));
    }
    let shown = || path.join(NAME);
    let Some(meta) = fs.stat(dir, NAME.as_ref()).map_err(Error::io(Op::Stat, shown()))? else {
        let since = Some(folder.stamp.mtime);
        return Ok((BallastFound::Missing { since }, Keeper::Program));
    };
    if let Err(why) = is_private(&meta, Kind::File, uid) {
        return foreign(format!("another file has its name: {why}"));
    }
    let (head, now) = head(fs, dir).map_err(Error::io(Op::Read, shown()))?;
    if now.stamp.id != meta.stamp.id || !is_ours(&head, now.stamp.len) {
        return foreign("another file has its name: it does not begin as ours do".to_owned());
    }
    // Reading may have changed when it was last read, and nothing else.
    Ok((BallastFound::Ours(now), Keeper::of(&head)))
}

/// How the file begins, and what it is.
fn head(fs: &dyn ReadFs, dir: DirId) -> io::Result<(Vec<u8>, Meta)> {
    let mut file = fs.read(dir, NAME.as_ref())?;
    let meta = file.meta()?;
    let mut head = Vec::new();
    let most = u64::try_from(HEAD_LEN).unwrap_or(u64::MAX);
    file.as_mut().take(most).read_to_end(&mut head)?;
    Ok((head, meta))
}

/// What a plan has to know of both folders.
fn entries(
    fs: &dyn ReadFs,
    (base, path): (DirId, &Path),
    (dir, is_pending): (DirId, bool),
) -> io::Result<(Dir, Dir)> {
    let outer = fs.stat_dir(base)?;
    let inner = if is_pending { outer } else { fs.stat_dir(dir)? };
    let missing = is_pending.then(|| Place { dir: base, name: DIR.into() });
    let of = |path: PathBuf, meta: &Meta, missing| Dir {
        path,
        id: meta.stamp.id,
        mount: meta.mount,
        missing,
    };
    Ok((of(path.to_owned(), &outer, None), of(path.join(DIR), &inner, missing)))
}
