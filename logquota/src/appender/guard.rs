//! The file system as an appender's upkeep uses it: every change is booked.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::env::{Env, lock};
use super::{halves, upkeep};
use crate::fs::{
    Acl, AppendFile, Attributes, Extended, NewFile, ReadFile, ReadFs, TrimFile, WriteFs,
};
use crate::inventory::{DirId, Space};
use crate::naming::is_temporary_shape;
use crate::plan::{Action, Plan};
use crate::policy::Identity;
use crate::stamp::{FileId, Kind, Meta};
use crate::units::Bytes;

/// So often the log may be rotated while a compression waits for its turn.
const TURNS: u32 = 16;

/// How long it waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a file in the making may become.
struct Making {
    room: Bytes,
    source: OsString,
}

/// One plan's view of the file system.
pub(super) struct Guard<'e> {
    pub(super) env: &'e Env,
    makings: HashMap<OsString, Making>,
    /// Archives that go, as a whole.
    evicted: HashSet<OsString>,
    /// What must stay free within the quota beside what is made.
    pub(super) free: u64,
    /// A caller waits: what only makes things durable is left to the background.
    in_haste: bool,
}

impl<'e> Guard<'e> {
    pub(super) fn new(env: &'e Env, plan: &Plan, free: u64, in_haste: bool) -> Self {
        let making = |action: &Action| match action {
            Action::Compress { from, temp, room, .. } => {
                Some((temp.to_os_string(), Making { room: *room, source: from.name.clone() }))
            }
            Action::Squeeze { from, head, room, .. } => {
                Some((head.to_os_string(), Making { room: *room, source: from.name.clone() }))
            }
            _ => None,
        };
        let makings = plan.steps.iter().filter_map(|step| making(&step.action)).collect();
        let evicted = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Delete { at, same_as: None, head, .. } => Some((&at.name, head)),
            _ => None,
        });
        let evicted = evicted
            .flat_map(|(name, head)| [Some(name), head.as_ref().map(|head| &head.name)])
            .flatten()
            .cloned()
            .collect();
        Self { env, makings, evicted, free, in_haste }
    }

    /// The turn at the log, which ends when this is dropped, and books that are right as long
    /// as it lasts. `StorageFull` if neither can be had: then the next time.
    pub(super) fn begin_turn(&self) -> io::Result<Box<dyn AppendFile>> {
        let not_now = || {
            self.env.is_put_off.store(true, Ordering::Release);
            io::Error::from(io::ErrorKind::StorageFull)
        };
        let dir = self.env.open_dir().map_err(|_| not_now())?;
        for _ in 0..TURNS {
            let turn = self.env.fs.open_log(dir, self.env.name(), None).map_err(|_| not_now())?;
            if matches!(turn.begin_turn(PATIENCE), Ok(false)) {
                break;
            }
            let now = self.env.fs.stat(dir, self.env.name())?.map(|meta| meta.stamp.id);
            if now != Some(turn.meta()?.stamp.id) {
                // It was rotated while we waited.
                continue;
            }
            if now != *lock(&self.env.segment_id) {
                // Somebody else's, who may believe himself alone.
                break;
            }
            if self.env.is_shared.load(Ordering::Acquire) {
                let looked = upkeep::look(self.env);
                looked.map(|seen| upkeep::close(self.env, &seen)).map_err(|_| not_now())?;
            }
            return Ok(turn);
        }
        Err(not_now())
    }

    /// Once more, if it fails for an archive that goes: the next younger one would go in its place,
    /// and leave a gap.
    fn insist<T>(&self, name: &OsStr, call: impl Fn() -> io::Result<T>) -> io::Result<T> {
        call().or_else(|error| if self.evicted.contains(name) { call() } else { Err(error) })
    }

    fn look(&self, dir: DirId, name: &OsStr) {
        if let Ok(Some(meta)) = self.env.fs.stat(dir, name) {
            lock(&self.env.books).seen(name, meta.stamp.allocated.get());
        }
    }
}

impl ReadFs for Guard<'_> {
    fn open_root(&self, path: &Path) -> io::Result<DirId> {
        self.env.fs.open_root(path)
    }

    fn open_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId> {
        self.env.fs.open_dir(parent, name)
    }

    fn pending_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId> {
        self.env.fs.pending_dir(parent, name)
    }

    fn close_dir(&self, dir: DirId) {
        self.env.fs.close_dir(dir);
    }

    fn list(&self, dir: DirId, each: &mut dyn FnMut(&OsStr, Option<Kind>)) -> io::Result<()> {
        self.env.fs.list(dir, each)
    }

    fn stat(&self, dir: DirId, name: &OsStr) -> io::Result<Option<Meta>> {
        self.insist(name, || self.env.fs.stat(dir, name))
    }

    fn stat_dir(&self, dir: DirId) -> io::Result<Meta> {
        self.env.fs.stat_dir(dir)
    }

    fn space(&self, dir: DirId) -> io::Result<Space> {
        self.env.fs.space(dir)
    }

    fn read(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn ReadFile + '_>> {
        if !self.makings.values().any(|making| making.source == name) {
            return self.env.fs.read(dir, name);
        }
        lock(&self.env.books).hold(name);
        let mut reader = GuardedRead { file: None, env: self.env, name: name.to_owned() };
        reader.file = Some(self.env.fs.read(dir, name)?);
        Ok(Box::new(reader))
    }

    fn is_held(&self, dir: DirId, name: &OsStr) -> io::Result<bool> {
        // Our own temporary files are nobody's log, and who looks after this log is we.
        if is_temporary_shape(name) || name == self.env.name() {
            return Ok(false);
        }
        // Whoever shares the log looks again within a second, and counts what is gone. To pass
        // the oldest over would leave a gap behind it.
        if self.env.is_shared.load(Ordering::Acquire) && self.evicted.contains(name) {
            return Ok(false);
        }
        self.insist(name, || self.env.fs.is_held(dir, name))
    }

    fn effective_uid(&self) -> u32 {
        self.env.fs.effective_uid()
    }
}

impl WriteFs for Guard<'_> {
    fn create(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn NewFile + '_>> {
        let Some(making) = self.makings.get(name) else { return self.env.fs.create(dir, name) };
        // Others may claim room, too, also those that we have not met.
        let turn = self.begin_turn()?;
        let fits = lock(&self.env.books).make(name, making.room.get(), self.free, &making.source);
        if !fits {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let made = self.env.fs.create(dir, name).and_then(|mut file| {
            // Others who share the directory see by its blocks what it may become.
            match file.reserve(making.room) {
                Err(error) if error.kind() != io::ErrorKind::Unsupported => {
                    drop(file);
                    // Nothing is lost if it stays: the next look finds a leftover.
                    let _ = self.env.fs.remove(dir, name);
                    Err(error)
                }
                _ => Ok(file),
            }
        });
        drop(turn);
        match made {
            Ok(file) => Ok(Box::new(GuardedFile { file, env: self.env })),
            Err(error) => {
                lock(&self.env.books).removed(name);
                Err(error)
            }
        }
    }

    fn open_to_trim(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
    ) -> io::Result<Option<Box<dyn TrimFile + '_>>> {
        let file = self.env.fs.open_to_trim(dir, name, expected)?;
        Ok(file.map(|file| halves::source(self.env, name, file)))
    }

    fn go_on(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
        len: u64,
    ) -> io::Result<Option<Box<dyn NewFile + '_>>> {
        let Some(making) = self.makings.get(name) else { return Ok(None) };
        halves::head(self, (dir, name), (expected, len), &making.source)
    }

    fn rename(&self, dir: DirId, from: &OsStr, to_dir: DirId, to: &OsStr) -> io::Result<()> {
        // Between the question whether its source has gone and the entry in the books nobody
        // deletes that.
        let _naming = self.makings.contains_key(from).then(|| lock(&self.env.naming));
        if let Some(making) = self.makings.get(from)
            && lock(&self.env.books).is_unnamed(&making.source)
        {
            // It was evicted, and perhaps younger ones with it: a copy that comes late would
            // have a gap behind it.
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(making) = self.makings.get(from)
            && self.env.is_shared.load(Ordering::Acquire)
            && self.env.fs.stat(dir, &making.source)?.is_none()
        {
            // The same by another process.
            return Err(io::ErrorKind::NotFound.into());
        }
        self.env.fs.rename(dir, from, to_dir, to)?;
        {
            let mut books = lock(&self.env.books);
            books.renamed(from, to);
            if self.makings.contains_key(from) {
                books.compressions = books.compressions.saturating_add(1);
            }
        }
        self.look(to_dir, to);
        Ok(())
    }

    fn remove(&self, dir: DirId, name: &OsStr) -> io::Result<()> {
        let is_read = lock(&self.env.books).is_held(name);
        let _naming = is_read.then(|| lock(&self.env.naming));
        let _going = Going::new(self.env, name);
        self.insist(name, || self.env.fs.remove(dir, name))?;
        let late = {
            let mut books = lock(&self.env.books);
            let late = self.evicted.contains(name).then(|| books.packed_from(name)).flatten();
            books.removed(name);
            late
        };
        // A compressed copy got its name since the look that this plan was made from. With a
        // gap behind it, it would be no history.
        if let Some(late) = late {
            let _going = Going::new(self.env, &late);
            if self.env.fs.remove(dir, &late).is_ok() {
                lock(&self.env.books).removed(&late);
            }
        }
        Ok(())
    }

    fn truncate(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
        len: Option<u64>,
    ) -> io::Result<bool> {
        self.env.fs.truncate(dir, name, expected, len)
    }

    fn make_dir(&self, dir: DirId, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
        self.env.fs.make_dir(dir, name, attributes)
    }

    fn sync_dir(&self, dir: DirId) -> io::Result<()> {
        if self.in_haste {
            self.env.is_unsynced.store(true, Ordering::Release);
            return Ok(());
        }
        self.env.fs.sync_dir(dir)
    }

    fn act_as(&self, who: Option<Identity>) -> io::Result<()> {
        self.env.fs.act_as(who)
    }

    fn open_log(
        &self,
        dir: DirId,
        name: &OsStr,
        create: Option<&Attributes>,
    ) -> io::Result<Box<dyn AppendFile>> {
        self.env.fs.open_log(dir, name, create)
    }

    fn link_to(&self, dir: DirId, name: &OsStr, target: &OsStr) -> io::Result<()> {
        self.env.fs.link_to(dir, name, target)
    }
}

/// A file that is being deleted: what it occupies is free when this is dropped, and not when its
/// name is gone, which others may see before.
pub(super) struct Going<'e> {
    env: &'e Env,
    name: &'e OsStr,
}

impl<'e> Going<'e> {
    pub(super) fn new(env: &'e Env, name: &'e OsStr) -> Self {
        lock(&env.books).hold(name);
        Self { env, name }
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        lock(&self.env.books).let_go(self.name);
        self.env.released.notify_all();
    }
}

/// An archive that is being compressed. It may be evicted meanwhile, and then is let go of:
/// what is held open gives nothing back when it is deleted.
struct GuardedRead<'e> {
    /// Always there, but while it is dropped.
    file: Option<Box<dyn ReadFile + 'e>>,
    env: &'e Env,
    name: OsString,
}

impl<'e> GuardedRead<'e> {
    fn file(&mut self) -> io::Result<&mut Box<dyn ReadFile + 'e>> {
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for GuardedRead<'_> {
    fn drop(&mut self) {
        drop(self.file.take());
        lock(&self.env.books).let_go(&self.name);
        self.env.released.notify_all();
    }
}

impl Read for GuardedRead<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let is_gone = lock(&self.env.books).is_unnamed(&self.name)
            // Another process may have deleted it.
            || self.env.is_shared.load(Ordering::Acquire)
                && self.meta().is_ok_and(|meta| meta.stamp.nlink == 0);
        if is_gone {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.file()?.read(buf)
    }
}

impl ReadFile for GuardedRead<'_> {
    fn meta(&self) -> io::Result<Meta> {
        let file = self.file.as_ref();
        file.map_or_else(|| Err(io::ErrorKind::NotFound.into()), |file| file.meta())
    }

    fn acl(&self) -> io::Result<Option<Acl>> {
        let file = self.file.as_ref();
        file.map_or_else(|| Err(io::ErrorKind::NotFound.into()), |file| file.acl())
    }

    fn extended(&self) -> io::Result<Extended> {
        let file = self.file.as_ref();
        file.map_or_else(|| Err(io::ErrorKind::NotFound.into()), |file| file.extended())
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.file()?.next_data(from)
    }
}

/// A compressed archive in the making: given up when the appender is closed.
struct GuardedFile<'e> {
    file: Box<dyn NewFile + 'e>,
    env: &'e Env,
}

impl Write for GuardedFile<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.env.is_closing.load(Ordering::Acquire) {
            return Err(io::Error::other("the appender is being closed"));
        }
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewFile for GuardedFile<'_> {
    fn skip(&mut self, len: u64) -> io::Result<()> {
        self.file.skip(len)
    }

    fn reserve(&mut self, len: Bytes) -> io::Result<()> {
        self.file.reserve(len)
    }

    fn allocate(&mut self, len: Bytes) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn set_attributes(&mut self, attributes: &Attributes) -> io::Result<()> {
        self.file.set_attributes(attributes)
    }

    fn set_access(&mut self, attributes: &Attributes, acl: Option<&Acl>) -> io::Result<()> {
        self.file.set_access(attributes, acl)
    }

    fn set_extended(&mut self, extended: &Extended) -> io::Result<()> {
        self.file.set_extended(extended)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn meta(&self) -> io::Result<Meta> {
        self.file.meta()
    }
}
