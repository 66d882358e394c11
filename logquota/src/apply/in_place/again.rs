//! An interrupted compression in place, and how far it was.
//!
//! Of the head those frames are believed whose piece the source has no longer, or not wholly: they
//! were on the disk before the first block of it was punched out. The source has all that is behind
//! them, so that is cut off and done again: a torn frame, and one whose flush may have failed.
//!
//! Whether a piece is still there is told by its content, not by where the file system says that
//! holes are. Each byte is compared: it is what the source has, or the source has a zero. If neither
//! is true, the two do not belong together, and nothing is done.

use std::io::BufReader;

use super::{Head, Job, Source, Work};
use crate::apply::Runner;
use crate::apply::remove::fill;
use crate::codec::Frames;
use crate::error::{Error, Op, Result};
use crate::plan::PIECE_MAX;
use crate::stamp::FileId;
use crate::units::Bytes;

impl<'a> Runner<'a> {
    pub(super) fn begin_again(
        &self,
        job: &Job<'_>,
        mut source: Source<'a>,
        id: &FileId,
    ) -> Result<Work<'a>> {
        let path = || self.path(&job.head);
        let (fs, dir, name) = (self.fs, job.head.dir, &job.head.name);
        let found = fs.stat(dir, name).map_err(Error::io(Op::Stat, path()))?;
        let Some(found) = found.filter(|found| found.stamp.id == *id) else {
            return Err(Error::Changed { path: path() });
        };
        let (len, done) = self.believed(job, &mut source)?;
        let file = fs.go_on(dir, name, id, len).map_err(Error::io(Op::Open, path()))?;
        let file = file.ok_or_else(|| Error::Changed { path: path() })?;
        if done > 0 {
            // One of both has it: they are changed one after the other.
            source.modified = source.modified.min(found.stamp.mtime);
        }
        Ok(Work { source, head: Head { file, id: *id, len, done }, is_whole: done == 0 })
    }

    /// How much of the head is believed, and how much of the source that is. The source stands
    /// behind it.
    fn believed(&self, job: &Job<'_>, source: &mut Source<'_>) -> Result<(u64, u64)> {
        let head = self.fs.read(job.head.dir, &job.head.name);
        let head = head.map_err(Error::io(Op::Open, self.path(&job.head)))?;
        let mut frames = Frames::new(job.codec, BufReader::new(head));
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        // Where each frame ends: in the head, and in the source.
        let mut ends = vec![(0u64, 0u64)];
        let mut believed = 0usize;
        let parted = || Error::Parted { path: self.path(job.from), head: self.path(&job.head) };
        while let Some(end) = frames
            .next(&mut packed, PIECE_MAX.get())
            .map_err(Error::io(Op::Read, self.path(&job.head)))?
        {
            plain.resize(packed.len(), 0);
            let read = fill(&mut source.input, &mut plain);
            if read.map_err(Error::io(Op::Read, self.path(job.from)))? < packed.len() {
                return Err(parted());
            }
            let len = u64::try_from(packed.len()).unwrap_or(u64::MAX);
            let done = ends.last().map_or(0, |(_, done)| done.saturating_add(len));
            ends.push((end, done));
            if packed == plain {
                continue;
            }
            if plain.iter().zip(&packed).any(|(plain, packed)| *plain != 0 && plain != packed) {
                return Err(parted());
            }
            believed = ends.len() - 1;
        }
        let len = source.found.stamp.len;
        let failed = || Error::io(Op::Read, self.path(job.from));
        let at = |index: usize| ends.get(index).copied().unwrap_or_default();
        // Zeros that are punched out look as before. Of what is not wholly, all is in the head.
        let next = source.file.next_data(at(believed).1).map_err(failed())?;
        let lacks = next.map_or(len, |data| data.start);
        let last = ends.last().copied().unwrap_or_default();
        // With the end of a source its whole block was punched out. What somebody appended there at
        // that moment reads as zeros now, and there is more to be done.
        let space = self.fs.space(job.from.dir);
        let block = space.map_err(Error::io(Op::Space, self.path(job.from)))?.block;
        let is_end = Bytes::new(last.1).in_blocks(block).get().min(len) >= lacks;
        let more = ends.iter().skip(believed).find(|(_, done)| *done >= lacks);
        let (end, done) = more.copied().or(is_end.then_some(last)).ok_or_else(parted)?;
        // The source is read on there, and stands behind the last frame.
        if (end, done) != last {
            source.input.next_data(done).map_err(failed())?;
        }
        Ok((end, done))
    }
}
