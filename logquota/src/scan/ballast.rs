//! Looks for the ballast, which has a place of its own: the first folder of each set, as the
//! configuration gives it, whatever logs are in there.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::walk::World;
use crate::ballast::{DIR, NAME, TEXT, is_ours, is_private};
use crate::error::{Error, Op};
use crate::fs::ReadFs;
use crate::inventory::{Ballast, BallastFound, Dir, DirId, Place};
use crate::stamp::{Kind, Meta};

/// Every place where there is one, and where one would be made: on each file system the first that
/// can have it. Their folders are in `dirs`.
pub(super) fn find(world: &mut World<'_>, dirs: &mut BTreeMap<DirId, Dir>) -> Vec<Ballast> {
    let is_wanted = world.config.ballast.is_some();
    let mut found: Vec<Ballast> = Vec::new();
    let mut seen: HashSet<DirId> = HashSet::new();
    let sets = world.config.sets.iter().enumerate();
    let bases: Vec<(usize, DirId, PathBuf)> = sets
        .filter(|(_, spec)| !spec.policy.is_left_alone())
        .filter_map(|(set, _)| {
            let (dir, path) = world.bases.get(set)?.clone()?;
            seen.insert(dir).then_some((set, dir, path))
        })
        .collect();
    for (set, base, path) in bases {
        let Some((_, dev)) = world.spaces.get(set).copied().flatten() else { continue };
        let has_place = found.iter().any(|other| other.dev == dev && can_have(other));
        let looked = look(world.fs, (base, &path), is_wanted && !has_place);
        let Some((dir, is_pending, what)) = looked else { continue };
        // A folder may be reached by two paths.
        let is_new = |inner: &Dir| {
            let mut known = found.iter().filter_map(|other| dirs.get(&other.place.dir));
            is_pending || known.all(|known| known.id != inner.id)
        };
        let entries = entries(world.fs, (base, &path), (dir, is_pending));
        if let Some(entries) = entries.filter(|entries| is_new(&entries.1)) {
            dirs.entry(base).or_insert(entries.0);
            dirs.insert(dir, entries.1);
            let place = Place { dir, name: NAME.into() };
            found.push(Ballast { place, set, dev, found: what });
        } else if !is_pending {
            world.fs.close_dir(dir);
        }
    }
    if is_wanted {
        for ballast in &found {
            let has_place = found.iter().any(|other| other.dev == ballast.dev && can_have(other));
            if let (BallastFound::Foreign { why }, false) = (&ballast.found, has_place) {
                let folder = dirs.get(&ballast.place.dir).map(|dir| dir.path.clone());
                let path = folder.unwrap_or_default().join(NAME);
                world.note(&path, format!("no ballast is kept here: {why}"), true);
            }
        }
    }
    found
}

const fn can_have(ballast: &Ballast) -> bool {
    !matches!(ballast.found, BallastFound::Foreign { .. })
}

/// What is in the folder of ours in `base`, whose id is the first of the answer, and whether that
/// folder is yet to be made. Nothing if it does not exist and is not wanted.
fn look(
    fs: &dyn ReadFs,
    (base, path): (DirId, &Path),
    is_wanted: bool,
) -> Option<(DirId, bool, BallastFound)> {
    let foreign = |why: String| BallastFound::Foreign { why };
    let pending = |found| Some((fs.pending_dir(base, DIR.as_ref()).ok()?, true, found));
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
    let found = look_inside(fs, dir, &path.join(DIR));
    Some((dir, false, found.unwrap_or_else(|error| foreign(error.chain()))))
}

/// What is in the folder of ours that is open as `dir`.
pub(crate) fn look_inside(fs: &dyn ReadFs, dir: DirId, path: &Path) -> Result<BallastFound, Error> {
    let uid = fs.effective_uid();
    let folder = fs.stat_dir(dir).map_err(Error::io(Op::Stat, path))?;
    if let Err(why) = is_private(&folder, Kind::Dir, uid) {
        return Ok(BallastFound::Foreign { why: format!("its folder is not ours alone: {why}") });
    }
    let shown = || path.join(NAME);
    let Some(meta) = fs.stat(dir, NAME.as_ref()).map_err(Error::io(Op::Stat, shown()))? else {
        return Ok(BallastFound::Missing { since: Some(folder.stamp.mtime) });
    };
    if let Err(why) = is_private(&meta, Kind::File, uid) {
        return Ok(BallastFound::Foreign { why: format!("another file has its name: {why}") });
    }
    let (head, now) = head(fs, dir).map_err(Error::io(Op::Read, shown()))?;
    if now.stamp.id != meta.stamp.id || !is_ours(&head, now.stamp.len) {
        let why = "another file has its name: it does not begin as ours do".to_owned();
        return Ok(BallastFound::Foreign { why });
    }
    // Reading may have changed when it was last read, and nothing else.
    Ok(BallastFound::Ours(now))
}

/// How the file begins, and what it is.
fn head(fs: &dyn ReadFs, dir: DirId) -> io::Result<(Vec<u8>, Meta)> {
    let mut file = fs.read(dir, NAME.as_ref())?;
    let meta = file.meta()?;
    let mut head = Vec::new();
    let most = u64::try_from(TEXT.len()).unwrap_or(u64::MAX);
    file.as_mut().take(most).read_to_end(&mut head)?;
    Ok((head, meta))
}

/// What a plan has to know of both folders.
fn entries(
    fs: &dyn ReadFs,
    (base, path): (DirId, &Path),
    (dir, is_pending): (DirId, bool),
) -> Option<(Dir, Dir)> {
    let outer = fs.stat_dir(base).ok()?;
    let inner = if is_pending { outer } else { fs.stat_dir(dir).ok()? };
    let missing = is_pending.then(|| Place { dir: base, name: DIR.into() });
    let of = |path: PathBuf, meta: &Meta, missing| Dir {
        path,
        id: meta.stamp.id,
        mount: meta.mount,
        missing,
    };
    Some((of(path.to_owned(), &outer, None), of(path.join(DIR), &inner, missing)))
}
