//! The real file system, through directories that are held open.
//!
//! A path is resolved by the system only once, in [`OsFs::open_root`]: it is what the
//! administrator wrote. Everything below is reached by one component at a time, relative to
//! an open directory, never through a link and never onto another mount; every change is
//! made to a single name in an open directory. So a folder that somebody swaps for a link
//! between two calls changes nothing: the open directory is still the one that was looked at.
//!
//! This module and those below it are the only ones that touch the disk. It decides nothing.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use self::dirs::Dirs;
use super::{AppendFile, Attributes, NewFile, ReadFile, ReadFs, TrimFile, WriteFs};
use crate::inventory::{DirId, Space};
use crate::policy::Identity;
use crate::stamp::{FileId, Kind, Meta};
use crate::units::Bytes;

mod act_as;
mod append;
mod background;
mod dirs;
mod extended;
mod files;
mod fitness;
mod host;
mod lock;
mod old_dir;
mod open_deleted;
mod resolve;
mod small;
mod tree;
mod trim;
mod writers;

pub(crate) use self::background::stay_behind;
pub use self::fitness::{device_of, homes, is_mount_point, real_path};
pub use self::host::host;
pub use self::lock::Lock;
pub use self::old_dir::check_old_dir;
pub use self::open_deleted::{OpenDeleted, OpenDeletedFiles, open_deleted};
pub use self::small::{read_small, replace_file};
pub use self::tree::Tree;

/// The real file system.
///
/// It may be shared between threads. At most 64 directories besides the roots are open at a
/// time, fewer where the process may not have so many; the others are opened again from
/// their parents when they are needed, and it is checked that they are still the same. A
/// directory that is not open costs about 200 bytes and its name.
#[derive(Debug)]
pub struct OsFs {
    dirs: Dirs,
    home: act_as::Home,
    /// Held while a name is looked at: the system keeps a file as long, also one that is deleted
    /// meanwhile.
    looking: RwLock<()>,
}

impl Default for OsFs {
    fn default() -> Self {
        Self::new()
    }
}

impl OsFs {
    /// With everything this kernel has.
    #[must_use]
    pub fn new() -> Self {
        Self::within(Tree::default())
    }

    /// Without `openat2(2)`, as on kernels before 5.6. It is noticed by itself where that
    /// call is missing; this is for tests of what then takes its place.
    #[must_use]
    pub fn without_openat2() -> Self {
        Self::with(Dirs::new(false, Tree::default()))
    }

    /// With paths that begin at the top of this tree.
    #[must_use]
    pub fn within(tree: Tree) -> Self {
        Self::with(Dirs::new(true, tree))
    }

    fn with(dirs: Dirs) -> Self {
        Self { dirs, home: act_as::Home::of_this_thread(), looking: RwLock::new(()) }
    }

    /// Not twice by one thread: somebody may wait in between.
    fn looking(&self) -> RwLockReadGuard<'_, ()> {
        self.looking.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn fd(&self, dir: DirId) -> io::Result<Arc<OwnedFd>> {
        self.dirs.fd(dir)
    }

    /// Looks a name up and opens it if it is a regular file: a device is not even opened,
    /// since some act on that alone. Between the two calls it may be swapped for a pipe or a
    /// device all the same: the open does not block, and what was opened is looked at again.
    fn open_file(&self, dir: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
        let _looking = self.looking();
        self.open_file_looking(dir, name, flags)
    }

    /// The same, by who is looking at it already.
    fn open_file_looking(&self, dir: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
        let not_regular =
            || io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        let before = resolve::stat_at(dir.as_fd(), name)?;
        if before.kind != Kind::File {
            return Err(not_regular());
        }
        let file = self.dirs.retrying(|| resolve::open_file(dir.as_fd(), name, flags))?;
        let after = resolve::stat_fd(file.as_fd())?;
        if after.kind != Kind::File {
            return Err(not_regular());
        }
        if after.mount != before.mount || after.stamp.id.dev != before.stamp.id.dev {
            return Err(Errno::XDEV.into());
        }
        Ok(file)
    }
}

impl ReadFs for OsFs {
    fn open_root(&self, path: &Path) -> io::Result<DirId> {
        self.dirs.open_root(path)
    }

    fn open_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId> {
        resolve::check_name(name)?;
        self.dirs.open_dir(parent, name)
    }

    fn pending_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId> {
        resolve::check_name(name)?;
        Ok(self.dirs.pending(parent, name))
    }

    fn close_dir(&self, dir: DirId) {
        self.dirs.close(dir);
    }

    fn list(&self, dir: DirId, each: &mut dyn FnMut(&OsStr, Option<Kind>)) -> io::Result<()> {
        let held = self.fd(dir)?;
        // A second open file for the same directory: the position of a listing belongs to
        // the open file, and another thread may be listing, too.
        let own = self.dirs.retrying(|| resolve::reopen_dir(held.as_fd()))?;
        resolve::list(&own, each)
    }

    fn stat(&self, dir: DirId, name: &OsStr) -> io::Result<Option<Meta>> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        let _looking = self.looking();
        match resolve::stat_at(dir.as_fd(), name) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn stat_dir(&self, dir: DirId) -> io::Result<Meta> {
        resolve::stat_fd(self.fd(dir)?.as_fd())
    }

    fn space(&self, dir: DirId) -> io::Result<Space> {
        let dir = self.fd(dir)?;
        // By the open directory, not by its path: the path may lead elsewhere by now.
        let stat = resolve::again(|| rustix::fs::fstatvfs(&dir))?;
        let block = if stat.f_frsize == 0 { stat.f_bsize } else { stat.f_frsize };
        let bytes = |blocks: u64| Bytes::new(blocks.saturating_mul(block));
        Ok(Space {
            total: bytes(stat.f_blocks),
            free: bytes(stat.f_bavail),
            free_files: (stat.f_files != 0).then_some(stat.f_favail),
            total_files: (stat.f_files != 0).then_some(stat.f_files),
            block: Bytes::new(block),
        })
    }

    fn read(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn ReadFile + '_>> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        Ok(Box::new(files::Reader::new(self.open_file(&dir, name, flags)?)))
    }

    fn is_held(&self, dir: DirId, name: &OsStr) -> io::Result<bool> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        let _looking = self.looking();
        let file = self.open_file_looking(&dir, name, OFlags::RDONLY | OFlags::NONBLOCK)?;
        append::is_held(file.as_fd())
    }

    fn effective_uid(&self) -> u32 {
        self.home.uid()
    }
}

impl WriteFs for OsFs {
    fn open_to_overwrite(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
    ) -> io::Result<Option<OwnedFd>> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        let file = self.open_file(&dir, name, OFlags::WRONLY | OFlags::NONBLOCK)?;
        let now = resolve::stat_fd(file.as_fd())?.stamp;
        Ok((now.id == *expected && now.nlink <= 1).then_some(file))
    }

    fn open_to_trim(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
    ) -> io::Result<Option<Box<dyn TrimFile + '_>>> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        // Appending, so that this open file does not look like a writer that does not.
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK;
        let file = self.open_file(&dir, name, flags)?;
        let now = resolve::stat_fd(file.as_fd())?.stamp;
        let is_right = now.id == *expected && now.nlink <= 1;
        Ok(is_right.then(|| Box::new(trim::Log::new(file)) as Box<dyn TrimFile>))
    }

    fn create(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn NewFile + '_>> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        let file = self.dirs.retrying(|| resolve::create(dir.as_fd(), name, OFlags::empty()))?;
        Ok(Box::new(files::Writer::new(file)))
    }

    fn go_on(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
        len: u64,
    ) -> io::Result<Option<Box<dyn NewFile + '_>>> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        let file = self.open_file(&dir, name, OFlags::WRONLY | OFlags::NONBLOCK)?;
        let now = resolve::stat_fd(file.as_fd())?.stamp;
        if now.id != *expected || now.nlink > 1 || now.len < len {
            return Ok(None);
        }
        let mut file = files::Writer::new(file);
        file.cut(len)?;
        Ok(Some(Box::new(file)))
    }

    fn open_log(
        &self,
        dir: DirId,
        name: &OsStr,
        create: Option<&Attributes>,
    ) -> io::Result<Box<dyn AppendFile>> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        let Some(attributes) = create else {
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK;
            return Ok(Box::new(append::Log::new(self.open_file(&dir, name, flags)?)));
        };
        let file = self.dirs.retrying(|| resolve::create(dir.as_fd(), name, OFlags::APPEND))?;
        if let Err(error) = files::set_attributes(file.as_fd(), attributes) {
            // It is ours, made above. If it cannot go it stays as an empty log.
            let _ = rustix::fs::unlinkat(&dir, name, AtFlags::empty());
            return Err(error);
        }
        Ok(Box::new(append::Log::new(file)))
    }

    fn link_to(&self, dir: DirId, name: &OsStr, target: &OsStr) -> io::Result<()> {
        resolve::check_name(name)?;
        resolve::check_name(target)?;
        let dir = self.fd(dir)?;
        Ok(resolve::again(|| rustix::fs::symlinkat(target, &dir, name))?)
    }

    /// Where the file system cannot rename without replacing, the file gets the new name as a
    /// second one and loses the first; a crash in between leaves both.
    fn rename(&self, dir: DirId, from: &OsStr, to_dir: DirId, to: &OsStr) -> io::Result<()> {
        resolve::check_name(from)?;
        resolve::check_name(to)?;
        let dir = self.fd(dir)?;
        let to_dir = self.fd(to_dir)?;
        resolve::rename(dir.as_fd(), from, to_dir.as_fd(), to, |dir, from, to_dir, to| {
            rustix::fs::renameat_with(dir, from, to_dir, to, RenameFlags::NOREPLACE)
        })
    }

    fn remove(&self, dir: DirId, name: &OsStr) -> io::Result<()> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        resolve::again(|| rustix::fs::unlinkat(&dir, name, AtFlags::empty()))?;
        // Whoever was looking at it by its name has let go of it when this lock is had; nobody
        // finds it any more.
        drop(self.looking.write().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    fn truncate(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
        len: Option<u64>,
    ) -> io::Result<bool> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        let file = self.open_file(&dir, name, OFlags::WRONLY | OFlags::NONBLOCK)?;
        let now = resolve::stat_fd(file.as_fd())?.stamp;
        if now.id != *expected || len.is_some_and(|len| len != now.len) {
            return Ok(false);
        }
        resolve::again(|| rustix::fs::ftruncate(&file, 0))?;
        Ok(true)
    }

    fn make_dir(&self, dir: DirId, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
        resolve::check_name(name)?;
        let dir = self.fd(dir)?;
        resolve::again(|| rustix::fs::mkdirat(&dir, name, Mode::RWXU))?;
        let made = self.dirs.retrying(|| resolve::open_made(dir.as_fd(), name))?;
        let made_type = FileType::from_raw_mode(rustix::fs::fstat(&made)?.st_mode);
        if made_type != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        files::set_attributes(made.as_fd(), attributes)
    }

    fn sync_dir(&self, dir: DirId) -> io::Result<()> {
        let dir = self.fd(dir)?;
        resolve::sync_dir(dir.as_fd())
    }

    fn act_as(&self, who: Option<Identity>) -> io::Result<()> {
        self.home.act_as(who)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make their own trees")]
mod tests;
