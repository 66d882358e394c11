//! Archives that `run` was compressing in place when it was interrupted, as an appender's upkeep
//! finishes them: every change is booked.
//!
//! A caller may evict such an archive meanwhile. Then it is let go of: both halves are held open,
//! and occupy what they do until then.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::ops::Range;

use super::env::{Env, lock};
use super::guard::Guard;
use crate::fs::{Acl, Attributes, Extended, NewFile, TrimFile};
use crate::inventory::DirId;
use crate::stamp::{FileId, Meta, Timestamp};
use crate::units::Bytes;

/// The source. It is held by whoever reads it.
struct Source<'e> {
    file: Box<dyn TrimFile + 'e>,
    env: &'e Env,
    name: OsString,
}

/// What is compressed so far.
struct Head<'g> {
    /// Always there, but while it is dropped.
    file: Option<Box<dyn NewFile + 'g>>,
    guard: &'g Guard<'g>,
    name: OsString,
    source: OsString,
    len: u64,
}

pub(super) fn source<'e>(
    env: &'e Env,
    name: &OsStr,
    file: Box<dyn TrimFile + 'e>,
) -> Box<dyn TrimFile + 'e> {
    Box::new(Source { file, env, name: name.to_owned() })
}

/// Goes on with the beginning of an archive.
pub(super) fn head<'g>(
    guard: &'g Guard<'_>,
    (dir, name): (DirId, &OsStr),
    (expected, len): (&FileId, u64),
    source: &OsStr,
) -> io::Result<Option<Box<dyn NewFile + 'g>>> {
    {
        let mut books = lock(&guard.env.books);
        if !books.go_on(name, source) {
            return Ok(None);
        }
        books.hold(name);
    }
    let (name, source) = (name.to_owned(), source.to_owned());
    let mut head = Head { file: None, guard, name, source, len };
    head.file = guard.env.fs.go_on(dir, &head.name, expected, len)?;
    Ok(head.file.is_some().then(|| Box::new(head) as _))
}

impl TrimFile for Source<'_> {
    fn meta(&self) -> io::Result<Meta> {
        self.file.meta()
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.file.next_data(from)
    }

    fn has_only_appenders(&self) -> io::Result<bool> {
        self.file.has_only_appenders()
    }

    fn is_written(&self) -> io::Result<bool> {
        self.file.is_written()
    }

    fn collapse(&self, len: u64) -> io::Result<()> {
        self.file.collapse(len)
    }

    fn punch(&self, len: u64) -> io::Result<()> {
        self.file.punch(len)?;
        if let Ok(meta) = self.file.meta() {
            lock(&self.env.books).seen_if_known(&self.name, meta.stamp.allocated.get());
        }
        Ok(())
    }

    fn set_times(&self, accessed: Timestamp, modified: Timestamp) -> io::Result<()> {
        self.file.set_times(accessed, modified)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl<'g> Head<'g> {
    fn file(&mut self) -> io::Result<&mut Box<dyn NewFile + 'g>> {
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Head<'_> {
    fn drop(&mut self) {
        drop(self.file.take());
        let env = self.guard.env;
        {
            let mut books = lock(&env.books);
            books.leave_off(&self.name);
            books.let_go(&self.name);
        }
        env.released.notify_all();
    }
}

impl Write for Head<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let env = self.guard.env;
        if env.is_closing.load(std::sync::atomic::Ordering::Acquire) {
            return Err(io::Error::other("the appender is being closed"));
        }
        let end = self.len.saturating_add(u64::try_from(buf.len()).unwrap_or(u64::MAX));
        // Others may claim room, too, also those that we have not met.
        let turn = self.guard.begin_turn()?;
        {
            let mut books = lock(&env.books);
            if books.is_unnamed(&self.source) || books.is_unnamed(&self.name) {
                return Err(io::ErrorKind::NotFound.into());
            }
            if !books.lengthen(&self.name, end, self.guard.free) {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let written = self.file()?.write(buf)?;
        drop(turn);
        self.len = self.len.saturating_add(u64::try_from(written).unwrap_or(0));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl NewFile for Head<'_> {
    fn skip(&mut self, len: u64) -> io::Result<()> {
        self.file()?.skip(len)
    }

    fn reserve(&mut self, len: Bytes) -> io::Result<()> {
        self.file()?.reserve(len)
    }

    fn allocate(&mut self, len: Bytes) -> io::Result<()> {
        self.file()?.allocate(len)
    }

    fn set_attributes(&mut self, attributes: &Attributes) -> io::Result<()> {
        self.file()?.set_attributes(attributes)
    }

    fn set_access(&mut self, attributes: &Attributes, acl: Option<&Acl>) -> io::Result<()> {
        self.file()?.set_access(attributes, acl)
    }

    fn set_extended(&mut self, extended: &Extended) -> io::Result<()> {
        self.file()?.set_extended(extended)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file()?.cut(len)?;
        self.len = len;
        Ok(())
    }

    fn meta(&self) -> io::Result<Meta> {
        let file = self.file.as_ref();
        file.map_or_else(|| Err(io::ErrorKind::NotFound.into()), |file| file.meta())
    }
}
