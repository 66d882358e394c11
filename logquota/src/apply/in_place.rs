//! Compressions in place: of a source that has no room for its compressed copy beside it.
//!
//! Piece by piece: compress, append to the *head*, flush that, and only then punch the piece out of
//! the source. So at any instant the frames of the head that are on the disk, and what the source
//! has behind them, are the content, once. In the end the head gets the archive's name, and the
//! source, in which nothing is left, is unlinked.
//!
//! An interrupted one is gone on with: see [`again`].

use std::io::{ErrorKind, Write as _};

use super::remove::{discard, fill, must_not_be_held};
use super::{Runner, is_expected};
use crate::codec;
use crate::error::{Error, Op, Result};
use crate::fs::{Attributes, NewFile, ReadFile, TrimFile};
use crate::inventory::Place;
use crate::plan::{Action, PIECE_MIN, Step, is_fit, piece};
use crate::policy::Codec;
use crate::stamp::{FileId, Meta, Stamp, Timestamp};
use crate::units::Bytes;

mod again;

/// What a step says.
struct Job<'p> {
    set: usize,
    from: &'p Place,
    to: &'p Place,
    head: Place,
    codec: Codec,
    level: Option<i32>,
}

/// The source.
struct Source<'f> {
    /// As it is cut.
    file: Box<dyn TrimFile + 'f>,
    /// As it is read; it stands behind what was read last.
    input: Box<dyn ReadFile + 'f>,
    /// As it was found.
    found: Meta,
    /// When it was changed last, and what its inode says of that: to be cut changes it.
    modified: Timestamp,
    shown: Timestamp,
}

/// The head, and how far it is.
struct Head<'f> {
    file: Box<dyn NewFile + 'f>,
    /// Which file it is.
    id: FileId,
    /// Its length, on the disk.
    len: u64,
    /// How much of the source that is.
    done: u64,
}

/// One compression at work.
struct Work<'f> {
    source: Source<'f>,
    head: Head<'f>,
    /// Nothing was taken out of the source yet.
    is_whole: bool,
}

impl<'a> Runner<'a> {
    pub(super) fn squeeze(&mut self, step: &Step) -> Result<()> {
        let Action::Squeeze { from, to, head, begun, log, codec, level, .. } = &step.action else {
            return Ok(());
        };
        let head = Place { dir: to.dir, name: head.to_os_string() };
        let job = Job { set: step.set, from, to, head, codec: *codec, level: *level };
        self.settle()?;
        must_not_be_held(self.fs, from, || self.path(from))?;
        must_not_be_held(self.fs, log, || self.path(log))?;
        let source = self.open_source(step, from)?;
        let mut work = match begun {
            None => Work { head: self.begin(&job, &source)?, source, is_whole: true },
            Some(id) => self.begin_again(&job, source, id)?,
        };
        let packed = self.pack(&job, &mut work);
        if packed.is_err() && work.is_whole {
            // Also one that an interrupted run has begun: nothing is in it that the source lacks.
            discard(self.fs, &job.head, Some(work.head.id));
        }
        packed?;
        self.finish_in_place(&job, work)
    }

    fn open_source(&self, step: &Step, from: &Place) -> Result<Source<'a>> {
        let fs = self.fs;
        let input = fs.read(from.dir, &from.name).map_err(Error::io(Op::Open, self.path(from)))?;
        let found = input.meta().map_err(Error::io(Op::Stat, self.path(from)))?;
        let file = fs.open_to_trim(from.dir, &from.name, &found.stamp.id);
        let file = file.map_err(Error::io(Op::Open, self.path(from)))?;
        let Some(file) = file.filter(|_| is_expected(&found, &step.expect, &self.known)) else {
            return Err(Error::Changed { path: self.path(from) });
        };
        // If that cannot be found out: it is looked at again before each piece goes.
        if file.is_written().unwrap_or(false) {
            return Err(Error::StillWritten { path: self.path(from) });
        }
        let modified = found.stamp.mtime;
        Ok(Source { file, input, found, modified, shown: modified })
    }

    /// A new head, which is empty.
    fn begin(&self, job: &Job<'_>, source: &Source<'_>) -> Result<Head<'a>> {
        let label = source.input.extended();
        let label = label.map_err(Error::io(Op::Stat, self.path(job.from)))?.label_only();
        let head = self.fs.create(job.head.dir, &job.head.name);
        let mut file = head.map_err(Error::io(Op::Create, self.path(&job.head)))?;
        let begun = file.meta().map_err(Error::io(Op::Stat, self.path(&job.head)));
        let begun = begun.and_then(|meta| {
            let labelled = file.set_extended(&label);
            labelled.map_err(Error::io(Op::SetAttributes, self.path(&job.head)))?;
            Ok(meta.stamp.id)
        });
        let id = begun.inspect_err(|_| discard(self.fs, &job.head, None))?;
        Ok(Head { file, id, len: 0, done: 0 })
    }

    /// All of the source, into the head.
    fn pack(&mut self, job: &Job<'_>, work: &mut Work<'_>) -> Result<()> {
        let len = work.source.found.stamp.len;
        let mut held = Vec::new();
        let mut is_named = false;
        loop {
            let left = len.saturating_sub(work.head.done);
            // Pieces end where blocks do, also behind an end that was none then.
            let wanted = piece(len).get().saturating_sub(skew(work.head.done)).min(left);
            self.read_on(job, work, &mut held, wanted)?;
            let taken = self.append(job, work, &held)?;
            held.drain(..taken);
            work.head.done = work.head.done.saturating_add(u64::try_from(taken).unwrap_or(0));
            if !is_named {
                let synced = self.fs.sync_dir(job.head.dir);
                synced.map_err(Error::io(Op::Sync, self.path(&job.head)))?;
                is_named = true;
            }
            self.give_back(job, work)?;
            if work.head.done >= len {
                return Ok(());
            }
        }
    }

    /// Reads until `wanted` bytes are held.
    fn read_on(
        &self,
        job: &Job<'_>,
        work: &mut Work<'_>,
        held: &mut Vec<u8>,
        wanted: u64,
    ) -> Result<()> {
        let have = held.len();
        held.resize(usize::try_from(wanted).unwrap_or(usize::MAX).max(have), 0);
        let rest = held.get_mut(have..).unwrap_or_default();
        let wanted = rest.len();
        let read = fill(&mut work.source.input, rest);
        if read.map_err(Error::io(Op::Read, self.path(job.from)))? < wanted {
            return Err(Error::StillWritten { path: self.path(job.from) });
        }
        Ok(())
    }

    /// Puts as much of what is held into the head as there is room for, flushed, and says how
    /// much that is.
    fn append(&mut self, job: &Job<'_>, work: &mut Work<'_>, held: &[u8]) -> Result<usize> {
        let least = usize::try_from(PIECE_MIN.get()).unwrap_or(usize::MAX);
        let skew = usize::try_from(skew(work.head.done)).unwrap_or(0);
        let mut taken = held.len();
        loop {
            let content = held.get(..taken).unwrap_or_default();
            // Without content it only has to be completed.
            let frame = match content {
                [] => Vec::new(),
                content => codec::frame(job.codec, job.level, content)?,
            };
            let is_worth_it = !work.is_whole || frame.len() < content.len();
            if is_worth_it && self.append_frame(job, work, &frame, taken)? {
                return Ok(taken);
            }
            let whole = taken.saturating_add(skew);
            if !is_worth_it || whole <= least {
                return Err(Error::NoRoom { path: self.path(job.to) });
            }
            taken = (whole / 2 / least * least).max(least).saturating_sub(skew);
        }
    }

    /// Says whether there was room. If not, or if it failed, the head is as it was.
    fn append_frame(
        &mut self,
        job: &Job<'_>,
        work: &mut Work<'_>,
        frame: &[u8],
        taken: usize,
    ) -> Result<bool> {
        let bytes = |len: usize| Bytes::new(u64::try_from(len).unwrap_or(u64::MAX));
        let Head { file, id, len, done } = &mut work.head;
        let at = || Error::io(Op::Write, self.path(&job.head));
        let end = Bytes::new(*len).plus(bytes(frame.len()));
        let space =
            self.fs.space(job.head.dir).map_err(Error::io(Op::Space, self.path(&job.head)))?;
        let room = end.in_blocks(space.block).minus(Bytes::new(*len).in_blocks(space.block));
        if room > space.free || !self.ledger.admits(job.set, bytes(taken), room) {
            return Ok(false);
        }
        let before = file.meta().map_err(at())?.stamp.allocated;
        let is_end =
            Bytes::new(*done).plus(bytes(taken)) >= Bytes::new(work.source.found.stamp.len);
        let written = file
            .write_all(frame)
            .map_err(at())
            .and_then(|()| self.label(job, &work.source, &mut **file, is_end))
            .and_then(|()| file.sync().map_err(Error::io(Op::Sync, self.path(&job.head))));
        if let Err(error) = written {
            // What failed to be flushed must not be believed later on, so it goes.
            let cut = file.cut(*len);
            let _ = self.label(job, &work.source, &mut **file, false);
            return match error {
                error if !error.is_no_space() => Err(error),
                _ if cut.is_ok() => Ok(false),
                _ => Err(Error::NoRoom { path: self.path(job.to) }),
            };
        }
        *len = end.get();
        // What it has is taken out of the source next, so it must be found again.
        let after = self.found_head(job, id, &job.head)?.allocated;
        self.ledger.take(job.set, after.minus(before));
        Ok(true)
    }

    /// The head, if it is what has the name.
    fn found_head(&self, job: &Job<'_>, id: &FileId, at: &Place) -> Result<Stamp> {
        let found = self.fs.stat(at.dir, &at.name);
        let found = found.map_err(Error::io(Op::Stat, self.path(at)))?.map(|meta| meta.stamp);
        found
            .filter(|found| found.id == *id)
            .ok_or_else(|| Error::Changed { path: self.path(&job.head) })
    }

    /// The times of the source, so that they are known later on; in the end all it had.
    fn label(
        &self,
        job: &Job<'_>,
        source: &Source<'_>,
        head: &mut dyn NewFile,
        is_end: bool,
    ) -> Result<()> {
        let Meta { accessed, mode, uid, gid, .. } = source.found;
        let times = Some((accessed, source.modified));
        let set = if is_end {
            let acl = source.input.acl().map_err(Error::io(Op::Stat, self.path(job.from)))?;
            let (mode, owner) = (Some(mode & 0o7777), Some((uid, gid)));
            head.set_access(&Attributes { mode, owner, times }, acl.as_ref())
        } else {
            head.set_attributes(&Attributes { times, ..Attributes::default() })
        };
        set.map_err(Error::io(Op::SetAttributes, self.path(&job.head)))
    }

    /// Takes out of the source what is in the head.
    fn give_back(&mut self, job: &Job<'_>, work: &mut Work<'_>) -> Result<()> {
        let path = || self.path(job.from);
        let source = &mut work.source;
        let space = self.fs.space(job.from.dir).map_err(Error::io(Op::Space, path()))?;
        let now = source.file.meta().map_err(Error::io(Op::Stat, path()))?.stamp;
        if !source.is_still(&now) {
            return Err(Error::StillWritten { path: path() });
        }
        let done = Bytes::new(work.head.done);
        // The block with its end, too, and nothing behind that: somebody may be appending. In a
        // block that pieces are no multiples of there is what the head does not have.
        let end = if is_fit(space.block) { done.in_blocks(space.block) } else { done };
        match source.file.punch(end.get()) {
            Err(error) if error.kind() == ErrorKind::Unsupported && work.is_whole => {
                return Err(Error::NoRoom { path: self.path(job.to) });
            }
            result => {
                work.is_whole = false;
                result.map_err(Error::io(Op::Trim, path()))?;
            }
        }
        source.shown = match source.file.set_times(source.found.accessed, source.modified) {
            Ok(()) => source.modified,
            // Not ours to set. The head has it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                source.file.meta().map_err(Error::io(Op::Stat, path()))?.stamp.mtime
            }
            Err(error) => return Err(Error::io(Op::SetAttributes, path())(error)),
        };
        // Before new blocks are taken, these must be free on the disk, too.
        source.file.sync().map_err(Error::io(Op::Sync, path()))?;
        let left = source.file.meta().map_err(Error::io(Op::Stat, path()))?.stamp.allocated;
        self.ledger.give(job.set, now.allocated.minus(left));
        Ok(())
    }

    /// Gives the head the archive's name, durably, and unlinks the source.
    fn finish_in_place(&mut self, job: &Job<'_>, work: Work<'_>) -> Result<()> {
        let id = work.head.id;
        // What somebody appended in the last moment stays with what is before it.
        let now = work.source.file.meta().map_err(Error::io(Op::Stat, self.path(job.from)))?.stamp;
        if !work.source.is_still(&now) {
            return Err(Error::StillWritten { path: self.path(job.from) });
        }
        drop(work.head.file);
        self.fs
            .rename(job.head.dir, &job.head.name, job.to.dir, &job.to.name)
            .map_err(Error::io(Op::Rename, self.path(job.to)))?;
        self.fs.sync_dir(job.to.dir).map_err(Error::io(Op::Sync, self.path(job.to)))?;
        // The source goes for what was made of it, and not for what somebody put in its place.
        self.found_head(job, &id, job.to)?;
        self.known.note_copy(work.source.found.stamp.id, id);
        let found = self.fs.stat(job.from.dir, &job.from.name);
        match found.map_err(Error::io(Op::Stat, self.path(job.from)))?.map(|meta| meta.stamp) {
            None => Ok(()),
            Some(now) if now.id != work.source.found.stamp.id => {
                Err(Error::Changed { path: self.path(job.from) })
            }
            Some(now) if !work.source.is_still(&now) => {
                Err(Error::StillWritten { path: self.path(job.from) })
            }
            Some(now) => {
                let gone = self.fs.remove(job.from.dir, &job.from.name);
                gone.map_err(Error::io(Op::Delete, self.path(job.from)))?;
                self.ledger.give(job.set, now.allocated);
                self.undeleted.insert(job.from.dir);
                Ok(())
            }
        }
    }
}

/// How much of a piece is done already.
const fn skew(done: u64) -> u64 {
    done % PIECE_MIN.get()
}

impl Source<'_> {
    /// Whether nobody but us has changed it.
    fn is_still(&self, now: &Stamp) -> bool {
        Stamp { mtime: self.shown, ..self.found.stamp }.has_same_content(now)
    }
}
