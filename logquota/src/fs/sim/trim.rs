//! Logs whose heads are cut off.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::calls::{Handle, at_name};
use super::disk::{Disk, Ino};
use super::fault::{EINVAL, EOPNOTSUPP, errno};
use super::{HeadCuts, SimFs, SimOp};
use crate::fs::{Attributes, ReadFile, TrimFile};
use crate::inventory::DirId;
use crate::stamp::{FileId, Meta, Timestamp};

impl SimFs {
    /// From now on, who writes to the logs goes on where he was, and not at their ends.
    pub fn write_elsewhere(&self) {
        self.lock().writes_elsewhere = true;
    }

    /// Opens a file if it is still `expected` and has no other name.
    pub(super) fn open_as(
        &self,
        op: SimOp,
        (dir, name): (DirId, &OsStr),
        expected: &FileId,
    ) -> io::Result<Option<Handle<'_>>> {
        self.call(op, at_name(dir, name), |state, _| {
            let ino = state.disk.find_file(state.dir(dir)?, name)?;
            let stamp = state.disk.meta(ino)?.stamp;
            if stamp.id != *expected || stamp.nlink > 1 {
                return Ok(None);
            }
            state.disk.hold(ino)?;
            let path = state.path(dir).join(name);
            Ok(Some(Handle { fs: self, ino, path, at: 0, reserved: false }))
        })
    }
}

impl Handle<'_> {
    pub(super) fn is_at_least(&self, len: u64) -> bool {
        self.fs.lock().disk.data(self.ino).is_ok_and(|data| data.len() >= len)
    }
}

impl TrimFile for Handle<'_> {
    fn meta(&self) -> io::Result<Meta> {
        self.look()
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        ReadFile::next_data(self, from)
    }

    fn has_only_appenders(&self) -> io::Result<bool> {
        self.call(SimOp::Writers, |state, _| Ok(!state.writes_elsewhere))
    }

    fn is_written(&self) -> io::Result<bool> {
        self.call(SimOp::Writers, |state, _| Ok(state.writes_elsewhere))
    }

    fn collapse(&self, len: u64) -> io::Result<()> {
        self.call(SimOp::Collapse, |state, _| state.disk.cut_head(self.ino, len, true))
    }

    fn punch(&self, len: u64) -> io::Result<()> {
        self.call(SimOp::Punch, |state, _| state.disk.cut_head(self.ino, len, false))
    }

    fn set_times(&self, accessed: Timestamp, modified: Timestamp) -> io::Result<()> {
        let attributes = Attributes { times: Some((accessed, modified)), ..Attributes::default() };
        self.call(SimOp::SetAttributes, |state, _| {
            state.disk.set_attributes(self.ino, &attributes, false)
        })
    }

    fn sync(&self) -> io::Result<()> {
        let result = self.call(SimOp::Sync, |state, _| state.disk.sync_file(self.ino));
        self.fs.synced(self.ino, result)
    }
}

impl Disk {
    /// Takes blocks off the head, with or without closing the gap. What was written before is
    /// flushed first, and the cut reaches the disk when the file is flushed or before: one that
    /// closes the gap as a whole, another perhaps in parts.
    fn cut_head(&mut self, ino: Ino, len: u64, closes: bool) -> io::Result<()> {
        match (self.shape.head_cuts, closes) {
            (HeadCuts::Never, _) | (HeadCuts::Leave, true) => return Err(unsupported()),
            (HeadCuts::Leave | HeadCuts::Close, _) => {}
        }
        let data = self.data(ino)?;
        if closes && (!len.is_multiple_of(data.block()) || len >= data.len()) {
            return Err(if len.is_multiple_of(data.block()) {
                errno(EINVAL)
            } else {
                unsupported()
            });
        }
        self.sync_file(ino)?;
        let now = self.tick();
        self.data_mut(ino)?.cut_head(len, closes);
        let node = self.node_mut(ino)?;
        (node.mtime, node.ctime) = (now, now);
        node.cut = match &node.body {
            super::disk::Body::File(data) => Some(Arc::new(data.clone())),
            _ => None,
        };
        Ok(())
    }
}

/// As the real one tells it.
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, errno(EOPNOTSUPP))
}
