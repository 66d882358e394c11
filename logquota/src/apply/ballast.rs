//! The ballast goes, or is made.
//!
//! It is made under its own name, since it holds nothing: what an interruption leaves is a smaller
//! one, which keeps what it keeps, and which the next run completes. Its first sentence is on the
//! disk before it grows, so that it is known by that whatever happens.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};

use super::Runner;
use super::remove::discard;
use crate::ballast::{Keeper, is_private};
use crate::error::{Error, Op, Result};
use crate::fs::{Attributes, NewFile, WriteFs};
use crate::inventory::{DirId, Place};
use crate::plan::Step;
use crate::stamp::{FileId, Kind};
use crate::units::Bytes;

/// Bytes that are written at a time where the file system sets nothing aside.
const CHUNK: usize = 64 << 10;

impl Runner<'_> {
    pub(super) fn release(&mut self, step: &Step, at: &Place) -> Result<()> {
        if let Some(found) = self.look(step, at)? {
            give_up(self.fs, at.dir, &at.name, &found.stamp.id)
                .map_err(Error::io(Op::Delete, self.path(at)))?;
            self.undeleted.insert(at.dir);
        }
        Ok(())
    }

    /// `false` if somebody else made one meanwhile.
    pub(super) fn restore(
        &mut self,
        step: &Step,
        at: &Place,
        size: Bytes,
        left: Bytes,
    ) -> Result<bool> {
        let missing = self.plan.dirs.get(&at.dir).and_then(|dir| dir.missing.as_ref());
        let base = missing.map_or(at.dir, |place| place.dir);
        let space = self.fs.space(base).map_err(Error::io(Op::Space, self.path(at)))?;
        if space.free.plus(old(step)) < left.plus(size) {
            return Err(Error::NoRoom { path: self.path(at) });
        }
        if let Some(folder) = missing {
            let attributes = Attributes { mode: Some(0o700), ..Attributes::default() };
            match self.fs.make_dir(folder.dir, &folder.name, &attributes) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(Error::io(Op::MakeDir, self.path(folder))(error));
                }
                _ => self.unsynced.insert(folder.dir),
            };
        }
        let folder = self.fs.stat_dir(at.dir).map_err(Error::io(Op::Stat, self.path(at)))?;
        if is_private(&folder, Kind::Dir, self.fs.effective_uid()).is_err() {
            return Err(Error::Changed { path: self.path(at) });
        }
        let found = self.fs.stat(at.dir, &at.name);
        let found = found.map_err(Error::io(Op::Stat, self.path(at)))?;
        if found.is_some() {
            if !matches!(self.look(step, at), Ok(Some(_))) {
                return Ok(false);
            }
            self.fs.remove(at.dir, &at.name).map_err(Error::io(Op::Delete, self.path(at)))?;
            self.undeleted.insert(at.dir);
        }
        // Room that was just given must be so for good before it is taken.
        self.settle_deletions()?;
        make(self.fs, at.dir, &at.name, (size, Keeper::Configuration))
            .map_err(|(op, error)| Error::io(op, self.path(at))(error))?;
        self.unsynced.insert(at.dir);
        Ok(true)
    }
}

/// What a half-made one has already.
fn old(step: &Step) -> Bytes {
    match step.expect {
        crate::plan::Expect::Unchanged(stamp) => stamp.allocated,
        _ => Bytes::ZERO,
    }
}

/// Deletes it, and has its room given back before this returns, as far as the file system lets us.
///
/// # Errors
///
/// If its name is still there.
pub(crate) fn give_up(fs: &dyn WriteFs, dir: DirId, name: &OsStr, id: &FileId) -> io::Result<()> {
    // XFS gives back what was cut off at once, and what was deleted in its own time. On others that
    // may need room that is not there.
    let _ = fs.truncate(dir, name, id, None);
    match fs.remove(dir, name) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Some give it only then. Whoever needs the room asks for it next: what fails here shows then.
    let _ = fs.sync_dir(dir);
    Ok(())
}

/// Makes one of this size, for whoever asks for it. If that fails, nothing of it stays.
///
/// # Errors
///
/// What was being done, and what the system said.
pub(crate) fn make(
    fs: &dyn WriteFs,
    dir: DirId,
    name: &OsStr,
    (size, keeper): (Bytes, Keeper),
) -> Result<(), (Op, io::Error)> {
    let at = |op: Op| move |error: io::Error| (op, error);
    let mut file = fs.create(dir, name).map_err(at(Op::Create))?;
    let id = file.meta().map_err(at(Op::Stat))?.stamp.id;
    let made = fill(file.as_mut(), size, &keeper.text());
    drop(file);
    made.inspect_err(|_| {
        let place = Place { dir, name: name.to_owned() };
        discard(fs, &place, Some(id));
    })
}

fn fill(file: &mut dyn NewFile, size: Bytes, text: &[u8]) -> Result<(), (Op, io::Error)> {
    let at = |op: Op| move |error: io::Error| (op, error);
    file.write_all(text).map_err(at(Op::Write))?;
    file.sync().map_err(at(Op::Sync))?;
    match file.allocate(size) {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            let text = Bytes::new(u64::try_from(text.len()).unwrap_or(u64::MAX));
            write_rest(file, size.minus(text)).map_err(at(Op::Write))?;
        }
        other => other.map_err(at(Op::Write))?,
    }
    file.sync().map_err(at(Op::Sync))?;
    let allocated = file.meta().map_err(at(Op::Stat))?.stamp.allocated;
    if allocated < size {
        let why = "its file system sets no blocks aside for it";
        return Err((Op::Write, io::Error::new(ErrorKind::Unsupported, why)));
    }
    Ok(())
}

/// Writes what no file system can make smaller.
fn write_rest(file: &mut dyn NewFile, size: Bytes) -> io::Result<()> {
    let mut left = size.get();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chunk = Vec::with_capacity(CHUNK);
    while left > 0 {
        chunk.clear();
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
        while chunk.len() < len {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.extend_from_slice(&state.to_le_bytes());
        }
        chunk.truncate(len);
        file.write_all(&chunk)?;
        left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
    }
    Ok(())
}
