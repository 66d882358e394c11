//! A copy, and the truncation of its source.
//!
//! The copy is complete and on the disk before the source is cut. What the writer adds
//! meanwhile is copied too, until nothing has come between the last look and the cut.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read as _, Write as _};

use super::Runner;
use super::remove::must_not_be_held;
use crate::error::{Error, Op, Result};
use crate::fs::{Attributes, NewFile, ReadFile};
use crate::inventory::Place;
use crate::plan::Step;
use crate::stamp::{FileId, Meta};

const CHUNK: usize = 256 << 10;

/// How often the tail of a log that keeps growing is copied before it is cut all the same:
/// by then each round is a few microseconds, and a writer that fills them all never ends.
const TAIL_ROUNDS: usize = 16;

/// A copy whose source is still to be cut.
pub(super) struct OpenCopy<'a> {
    source: Box<dyn ReadFile + 'a>,
    copy: Box<dyn NewFile + 'a>,
    id: FileId,
    len: u64,
}

impl<'a> Runner<'a> {
    pub(super) fn copy(
        &mut self,
        step: &Step,
        (from, to): (&Place, &Place),
        temp: &OsStr,
        keeps_time: bool,
    ) -> Result<()> {
        self.settle_deletions()?;
        // The renamed log has its new name before it can have a copy in another folder.
        if from.dir != to.dir && self.unsynced.contains(&from.dir) {
            self.sync_dir(from.dir)?;
        }
        let found = self.must_find(step, from)?;
        // Its writer rotates it by itself, and has a use for the room that a copy would take.
        must_not_be_held(self.fs, from, || self.path(from))?;
        // Whether it stays beside its source is the plan's business; on the way it must fit.
        let room = found.stamp.allocated;
        if !self.ledger.admits(step.set, room, room) {
            return Err(Error::NoRoom { path: self.path(to) });
        }
        let fs = self.fs;
        let source = fs.read(from.dir, &from.name).map_err(Error::io(Op::Open, self.path(from)))?;
        let meta = source.meta().map_err(Error::io(Op::Stat, self.path(from)))?;
        if meta.stamp.id != found.stamp.id {
            return Err(Error::Changed { path: self.path(from) });
        }
        let temporary = Place { dir: to.dir, name: temp.to_owned() };
        let copy = fs.create(to.dir, temp).map_err(Error::io(Op::Create, self.path(&temporary)))?;
        let mut open = OpenCopy { source, copy, id: meta.stamp.id, len: 0 };
        let made = open
            .complete(&meta, keeps_time)
            .map_err(Error::io(Op::Copy, self.path(from)))
            .and_then(|made| Ok((made, self.publish(&temporary, to, made.stamp.id)?)));
        match made {
            Ok((made, ())) => {
                self.ledger.take(step.set, made.stamp.allocated);
                self.known.note_copy(found.stamp.id, made.stamp.id);
                if self.cut.contains(from) {
                    self.copies.insert(from.clone(), open);
                }
                Ok(())
            }
            Err(error) => {
                drop(open);
                self.discard(&temporary, None);
                Err(error)
            }
        }
    }

    /// Gives a finished file its name, durably.
    fn publish(&mut self, temporary: &Place, to: &Place, id: FileId) -> Result<()> {
        self.fs
            .rename(temporary.dir, &temporary.name, to.dir, &to.name)
            .map_err(Error::io(Op::Rename, self.path(temporary)))?;
        self.sync_dir(to.dir).inspect_err(|_| self.discard(to, Some(id)))
    }

    pub(super) fn truncate(
        &mut self,
        step: &Step,
        at: &Place,
        same_as: Option<&Place>,
    ) -> Result<()> {
        let found = self.must_find(step, at)?;
        if let Some(copy) = same_as
            && !self.is_same(at, copy)?
        {
            return Err(Error::NotADuplicate { path: self.path(at) });
        }
        let failed = |runner: &Self| Error::io(Op::Truncate, runner.path(at));
        let cut = if let Some(mut open) = self.copies.remove(at) {
            if open.id != found.stamp.id {
                return Err(Error::Changed { path: self.path(at) });
            }
            let mut cut = false;
            for round in 0..=TAIL_ROUNDS {
                open.copy_tail().map_err(Error::io(Op::Copy, self.path(at)))?;
                let len = (round < TAIL_ROUNDS).then_some(open.len);
                cut = self.fs.truncate(at.dir, &at.name, &open.id, len).map_err(failed(self))?;
                if cut {
                    break;
                }
            }
            // The tail: the rest was on the disk before the cut.
            open.copy.sync().map_err(Error::io(Op::Sync, self.path(at)))?;
            cut
        } else {
            let stamp = found.stamp;
            let len = matches!(step.expect, crate::plan::Expect::Unchanged(_)).then_some(stamp.len);
            self.fs.truncate(at.dir, &at.name, &stamp.id, len).map_err(failed(self))?
        };
        if !cut {
            return Err(Error::Changed { path: self.path(at) });
        }
        self.ledger.give(step.set, found.stamp.allocated);
        Ok(())
    }
}

impl OpenCopy<'_> {
    /// The whole source, with its holes, owner, mode and what else it has, perhaps its times, on the disk.
    fn complete(&mut self, meta: &Meta, keeps_time: bool) -> io::Result<Meta> {
        self.copy.set_extended(&self.source.extended()?)?;
        let mut end = meta.stamp.len;
        while let Some(range) = self.source.next_data(self.len)? {
            if range.start > self.len {
                self.copy.skip(range.start.saturating_sub(self.len))?;
                self.len = range.start;
            }
            let wanted = range.end.saturating_sub(self.len);
            if self.copy_bytes(wanted)? < wanted {
                // It was cut meanwhile; the copy is what there was.
                end = self.len;
                break;
            }
        }
        if end > self.len {
            self.copy.skip(end.saturating_sub(self.len))?;
            self.len = end;
        }
        let attributes = Attributes {
            mode: Some(meta.mode & 0o7777),
            owner: Some((meta.uid, meta.gid)),
            times: keeps_time.then_some((meta.accessed, meta.stamp.mtime)),
        };
        let acl = self.source.acl()?;
        self.copy.set_access(&attributes, acl.as_ref())?;
        self.copy.sync()?;
        self.copy.meta()
    }

    /// What came since.
    fn copy_tail(&mut self) -> io::Result<()> {
        while let Some(range) = self.source.next_data(self.len)? {
            if range.start > self.len {
                self.copy.skip(range.start.saturating_sub(self.len))?;
                self.len = range.start;
            }
            if self.copy_bytes(range.end.saturating_sub(self.len))? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Copies up to `wanted` bytes; fewer only at the end of the source.
    fn copy_bytes(&mut self, wanted: u64) -> io::Result<u64> {
        let mut buffer = vec![0u8; CHUNK];
        let mut copied = 0u64;
        while copied < wanted {
            let left = usize::try_from(wanted.saturating_sub(copied)).unwrap_or(CHUNK).min(CHUNK);
            let Some(chunk) = buffer.get_mut(..left) else { break };
            let read = match self.source.read(chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.copy.write_all(chunk.get(..read).unwrap_or_default())?;
            let read = u64::try_from(read).unwrap_or(0);
            copied = copied.saturating_add(read);
            self.len = self.len.saturating_add(read);
        }
        Ok(copied)
    }
}
