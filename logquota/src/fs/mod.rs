//! The seam to the disk: what `scan` may ask and what `apply` may do.
//!
//! Every call is relative to a directory that is held open and a name of one component.
//! [`os::OsFs`] is the real one; [`sim::SimFs`] (feature `testing`) a simulated one with a
//! disk size, faults and crashes.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;

use crate::inventory::{DirId, Space};
use crate::policy::Identity;
use crate::stamp::{FileId, Kind, Meta, Timestamp};

pub mod config;
pub mod os;
#[cfg(any(test, feature = "testing"))]
pub mod sim;

/// Reading. None of these calls changes anything on the disk.
pub trait ReadFs: Send + Sync {
    /// Opens a directory that the administrator named. Links in `path` are followed: it is
    /// a name that was given, not one that was found.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn open_root(&self, path: &Path) -> io::Result<DirId>;

    /// Opens a directory that was found in `parent`: never a link, never another mount.
    ///
    /// # Errors
    ///
    /// `CrossesDevices` (EXDEV) for a mount point, `NotADirectory` for a link.
    fn open_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId>;

    /// An id for a directory that does not exist yet and that [`WriteFs::make_dir`] may make;
    /// calls that need it fail with `NotFound` until then.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn pending_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId>;

    /// Gives a directory back that will not be used again. Its id means nothing afterwards.
    fn close_dir(&self, dir: DirId);

    /// Calls `each` with every name but `.` and `..`, in no order. The kind is what the
    /// listing says, where it says (a hint: the truth is [`ReadFs::stat`]).
    ///
    /// # Errors
    ///
    /// Whatever the system says; names seen before were passed on.
    fn list(&self, dir: DirId, each: &mut dyn FnMut(&OsStr, Option<Kind>)) -> io::Result<()>;

    /// Looks at a name without following it; `None` if there is no such name.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn stat(&self, dir: DirId, name: &OsStr) -> io::Result<Option<Meta>>;

    /// Looks at the directory itself.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn stat_dir(&self, dir: DirId) -> io::Result<Meta>;

    /// How full the file system under `dir` is.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn space(&self, dir: DirId) -> io::Result<Space>;

    /// Opens a regular file to read it: never follows a link, never blocks on a pipe.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no regular file.
    fn read(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn ReadFile + '_>>;

    /// The effective user id; 0 means that other people's folders need care.
    fn effective_uid(&self) -> u32;
}

/// An open file.
pub trait ReadFile: Read + Send {
    /// What the open file is now.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn meta(&self) -> io::Result<Meta>;

    /// The next range at or behind `from` that has data, so that holes are not read;
    /// `None` behind the last. The read position is set to its start.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>>;
}

/// Owner, mode and times for a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// Permission bits; set last, so that a file is never wider than it ends.
    pub mode: Option<u32>,
    /// Owner and group; without effect unless we are root.
    pub owner: Option<(u32, u32)>,
    /// Last access and last change.
    pub times: Option<(Timestamp, Timestamp)>,
}

/// A file being made: exclusive, mode 0600 until [`NewFile::set_attributes`].
pub trait NewFile: Write + Send {
    /// Skips `len` bytes, leaving a hole.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn skip(&mut self, len: u64) -> io::Result<()>;

    /// Sets owner, then times, then mode, on the open file.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn set_attributes(&mut self, attributes: &Attributes) -> io::Result<()>;

    /// Flushes content and inode to the disk. After an error the content is not durable,
    /// whatever a second call says (fsync reports a lost page once).
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn sync(&mut self) -> io::Result<()>;

    /// What the file is now.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn meta(&self) -> io::Result<Meta>;
}

/// Writing.
pub trait WriteFs: ReadFs {
    /// Makes a new file; fails if the name exists, also as a link.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, and whatever the system says.
    fn create(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn NewFile + '_>>;

    /// Renames without replacing.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if `to` exists, and whatever the system says.
    fn rename(&self, dir: DirId, from: &OsStr, to_dir: DirId, to: &OsStr) -> io::Result<()>;

    /// Unlinks a name that is not a directory.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn remove(&self, dir: DirId, name: &OsStr) -> io::Result<()>;

    /// Empties the file if it is `expected` and, where `len` is given, still has that
    /// length; says whether it did.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn truncate(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
        len: Option<u64>,
    ) -> io::Result<bool>;

    /// Makes a directory; fails if the name exists.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn make_dir(&self, dir: DirId, name: &OsStr, attributes: &Attributes) -> io::Result<()>;

    /// Flushes the names in a directory to the disk.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn sync_dir(&self, dir: DirId) -> io::Result<()>;

    /// Does the calling thread's file work as somebody else from now on, or as itself again.
    /// Threads started afterwards inherit it.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn act_as(&self, who: Option<Identity>) -> io::Result<()>;
}
