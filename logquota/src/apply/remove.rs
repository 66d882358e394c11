//! One deletion.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::{Hooks, Runner};
use crate::codec;
use crate::error::{Error, Op, Result};
use crate::fs::WriteFs;
use crate::inventory::Place;
use crate::naming::KNOWN_SUFFIXES;
use crate::plan::{Begun, Expect, Step};
use crate::policy::Shred;
use crate::stamp::{FileId, Kind, Meta};

/// Bytes that are compared at a time.
const CHUNK: usize = 64 << 10;

impl Runner<'_> {
    /// Deletes a file if it is still the one that was planned for, nobody appends to it and, where a copy of it is
    /// the reason, if the copy has the same content.
    pub(super) fn delete(
        &mut self,
        step: &Step,
        (at, head): (&Place, Option<&Begun>),
        shred: Option<Shred>,
        same_as: Option<&Place>,
        hooks: &mut dyn Hooks,
    ) -> Result<()> {
        let Some(found) = self.look(step, at)? else {
            // Somebody else removed it. The space is free, which is all we wanted.
            self.ledger.give(step.set, step.bytes);
            return Ok(());
        };
        let packed = self.known.packed.get(&found.stamp.id);
        if packed.is_some_and(|packed| !packed.has_same_content(&found.stamp)) {
            // What is compressed is not all of it.
            return Err(Error::StillWritten { path: self.path(at) });
        }
        if matches!(step.expect, Expect::Unchanged(_)) && is_plain(&at.name) {
            must_not_be_held(self.fs, at, || self.path(at))?;
        }
        if let Some(copy) = same_as
            && !self.is_hollow(at, &found)?
            && !self.is_same(at, copy)?
        {
            return Err(Error::NotADuplicate { path: self.path(at) });
        }
        if let Some(head) = head {
            // First: without the archive it would be nobody's.
            self.delete_head(step, at, head, shred, hooks)?;
        }
        let overwritten = match shred {
            Some(shred) if found.stamp.nlink <= 1 => {
                match self.overwrite(at, &found.stamp.id, shred, hooks) {
                    Err(error @ Error::Changed { .. }) => return Err(error),
                    other => other,
                }
            }
            // Its other names are not ours to destroy.
            _ => Ok(()),
        };
        self.fs.remove(at.dir, &at.name).map_err(Error::io(Op::Delete, self.path(at)))?;
        self.ledger.give(step.set, found.stamp.freed_by_unlink());
        self.undeleted.insert(at.dir);
        // As logrotate: it goes all the same, and that it was not overwritten is said.
        overwritten
    }

    /// Deletes the compressed beginning of an archive, if there is one.
    fn delete_head(
        &mut self,
        step: &Step,
        archive: &Place,
        head: &Begun,
        shred: Option<Shred>,
        hooks: &mut dyn Hooks,
    ) -> Result<()> {
        let at = Place { dir: archive.dir, name: head.name.clone() };
        let found = self.fs.stat(at.dir, &at.name).map_err(Error::io(Op::Stat, self.path(&at)))?;
        let Some(found) = found else { return Ok(()) };
        if !head.stamp.is_unchanged(&found.stamp) || found.kind != Kind::File {
            return Err(Error::Changed { path: self.path(&at) });
        }
        if let Some(shred) = shred {
            self.overwrite(&at, &found.stamp.id, shred, hooks)?;
        }
        match self.fs.remove(at.dir, &at.name) {
            // It has got the archive's name just now, or somebody else removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(Error::io(Op::Delete, self.path(&at)))?,
        }
        self.ledger.give(step.set, found.stamp.allocated);
        self.undeleted.insert(at.dir);
        Ok(())
    }

    /// Whether it has nothing but a length: what a compression in place leaves of its source.
    fn is_hollow(&self, at: &Place, found: &Meta) -> Result<bool> {
        if found.stamp.len == 0 {
            return Ok(false);
        }
        let file = self.fs.read(at.dir, &at.name).map_err(Error::io(Op::Open, self.path(at)));
        let data = file?.next_data(0).map_err(Error::io(Op::Read, self.path(at)))?;
        Ok(data.is_none())
    }

    fn overwrite(
        &self,
        at: &Place,
        id: &FileId,
        shred: Shred,
        hooks: &mut dyn Hooks,
    ) -> Result<()> {
        let opened = self.fs.open_to_overwrite(at.dir, &at.name, id);
        let Some(file) = opened.map_err(Error::io(Op::Open, self.path(at)))? else {
            return Err(Error::Changed { path: self.path(at) });
        };
        hooks.shred(shred, file.as_fd(), self.acting_as)
    }

    /// Whether `copy`, unpacked if need be, has the content of `plain`. Reads no more of it than
    /// `plain` is long. What cannot be unpacked is not the same.
    pub(super) fn is_same(&self, plain: &Place, copy: &Place) -> Result<bool> {
        let open = |place: &Place| {
            self.fs.read(place.dir, &place.name).map_err(Error::io(Op::Open, self.path(place)))
        };
        let mut head = Vec::new();
        {
            let file = open(copy)?;
            let read = file.take(4).read_to_end(&mut head);
            read.map_err(Error::io(Op::Read, self.path(copy)))?;
        }
        let mut packed: Box<dyn Read + '_> = match codec::detect(&head) {
            Some(codec) => codec::decoder(codec, open(copy)?)?,
            None => open(copy)?,
        };
        let mut plain_file = open(plain)?;
        let (mut expected, mut found) = (vec![0u8; CHUNK], vec![0u8; CHUNK]);
        loop {
            let len = fill(&mut plain_file, &mut expected)
                .map_err(Error::io(Op::Read, self.path(plain)))?;
            // One byte more, so that a longer copy is noticed at the end.
            let wanted = if len < CHUNK { len.saturating_add(1).min(CHUNK) } else { CHUNK };
            let Some(target) = found.get_mut(..wanted) else { return Ok(false) };
            let Ok(got) = fill(&mut packed, target) else { return Ok(false) };
            if got != len || expected.get(..len) != found.get(..len) {
                return Ok(false);
            }
            if len < CHUNK {
                return Ok(true);
            }
        }
    }

    /// Takes away what an unfinished step of ours made, if it is still what we made.
    pub(super) fn discard(&self, place: &Place, id: Option<FileId>) {
        discard(self.fs, place, id);
    }
}

/// Whether the name is that of an archive as it was written: nobody appends to a compressed one.
fn is_plain(name: &OsStr) -> bool {
    let ends = |suffix: &&str| name.as_bytes().ends_with(suffix.as_bytes());
    !KNOWN_SUFFIXES.iter().any(|suffix| !suffix.is_empty() && ends(suffix))
}

/// Refuses a file that somebody holds to append to it, whatever its name is by now: what is
/// yet to be written would be lost with it.
pub(super) fn must_not_be_held(
    fs: &dyn WriteFs,
    at: &Place,
    path: impl Fn() -> PathBuf,
) -> Result<()> {
    match is_held(fs, at, &path)? {
        // Of what may not be looked at nobody knows better than before.
        None | Some(false) => Ok(()),
        Some(true) => Err(Error::StillWritten { path: path() }),
    }
}

/// Whether somebody holds it. None if it is gone, which the next call notices, or not ours to look
/// at, though the folder may be ours to delete from.
pub(super) fn is_held(
    fs: &dyn WriteFs,
    at: &Place,
    path: impl Fn() -> PathBuf,
) -> Result<Option<bool>> {
    match fs.is_held(at.dir, &at.name) {
        Ok(is_held) => Ok(Some(is_held)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => Ok(None),
            ErrorKind::InvalidInput => Err(Error::Changed { path: path() }),
            _ => Err(Error::io(Op::Open, path())(error)),
        },
    }
}

/// Best effort: what stays is recognised by the next scan.
pub(super) fn discard(fs: &dyn WriteFs, place: &Place, id: Option<FileId>) {
    let found = fs.stat(place.dir, &place.name).ok().flatten();
    let is_ours = found
        .is_some_and(|meta| meta.kind == Kind::File && id.is_none_or(|id| meta.stamp.id == id));
    if is_ours {
        let _ = fs.remove(place.dir, &place.name);
    }
}

/// Reads until the buffer is full or the input ends.
pub(super) fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(n) => filled = filled.saturating_add(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make their own trees")]
mod tests;
