//! The seam to the disk: what `scan` may ask and what `apply` may do.
//!
//! Every call is relative to a directory that is held open and a name of one component.
//! [`os::OsFs`] is the real one; `sim::SimFs` (feature `testing`) a simulated one with a
//! disk size, faults and crashes.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::inventory::{DirId, Space};
use crate::policy::Identity;
use crate::stamp::{FileId, Kind, Meta, Timestamp};
use crate::units::Bytes;

pub mod config;
mod extended;
mod oldest;
pub mod os;
#[cfg(any(test, feature = "testing"))]
pub mod sim;

pub use self::extended::{Acl, Extended};
pub(crate) use self::oldest::oldest;

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

    /// Whether somebody holds this log with [`AppendFile::hold`], in whichever way; also this
    /// process. A file system without locks has nobody who does.
    ///
    /// Asking is in nobody's way. The answer may be out of date as it is given.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied` for who may not read it, `InvalidInput` if it is no
    /// regular file, and whatever the system says.
    fn is_held(&self, dir: DirId, name: &OsStr) -> io::Result<bool>;

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

    /// Its access control list (acl(5)), where it has one and the mode does not say it all.
    ///
    /// # Errors
    ///
    /// `InvalidData` for one of a form that is not known, and whatever the system says; not if
    /// the file system has none.
    fn acl(&self) -> io::Result<Option<Acl>>;

    /// Its SELinux label, and the attributes that a copy of it shall have (xattr(7)).
    ///
    /// # Errors
    ///
    /// Whatever the system says; not if the file system has none, and that a label cannot be
    /// read only where SELinux is enforcing.
    fn extended(&self) -> io::Result<Extended>;

    /// For a program that reads it; none where there is no real file.
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
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

/// A file being made: exclusive, mode 0600 until [`NewFile::set_attributes`] or
/// [`NewFile::set_access`].
pub trait NewFile: Write + Send {
    /// Skips `len` bytes, leaving a hole.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn skip(&mut self, len: u64) -> io::Result<()>;

    /// Has blocks for the first `len` bytes set aside, and leaves the length as it is: writing
    /// them cannot find the disk full. What is not used is given back by
    /// [`NewFile::set_attributes`] or [`NewFile::sync`], whichever comes first.
    ///
    /// # Errors
    ///
    /// As [`AppendFile::reserve`].
    fn reserve(&mut self, len: Bytes) -> io::Result<()>;

    /// Has the file `len` bytes long, with blocks set aside for all of them. What is not written
    /// reads as zeros.
    ///
    /// # Errors
    ///
    /// As [`AppendFile::reserve`].
    fn allocate(&mut self, len: Bytes) -> io::Result<()>;

    /// Gives back what was reserved behind the end, and sets owner, then times, then mode, on
    /// the open file. An access control list that its folder gave it stays.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn set_attributes(&mut self, attributes: &Attributes) -> io::Result<()>;

    /// The same for a file that is to be as open as another one that has this access control
    /// list, or none: what its folder gave it is replaced, just before the mode is set.
    ///
    /// With a list, the group's bits of the mode are its mask. On a file system that has no
    /// lists, the mode is cut so that nobody may do more than the list would have allowed.
    ///
    /// # Errors
    ///
    /// Whatever the system says; not if the file system has no lists.
    fn set_access(&mut self, attributes: &Attributes, acl: Option<&Acl>) -> io::Result<()>;

    /// Gives it a label and attributes of another file. To be called before there is content,
    /// which the label may have to protect.
    ///
    /// # Errors
    ///
    /// Whatever the system says; not if the file system has none or they are not ours to set.
    /// That a label cannot be set is an error only where SELinux is enforcing.
    fn set_extended(&mut self, extended: &Extended) -> io::Result<()>;

    /// Gives back what was reserved behind the end, and flushes content and inode to the disk. After an error the content is not durable,
    /// whatever a second call says (fsync reports a lost page once).
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts it to `len` bytes, where writing goes on.
    ///
    /// # Errors
    ///
    /// `Unsupported` where files are only ever made whole, and whatever the system says.
    fn cut(&mut self, len: u64) -> io::Result<()> {
        let _ = len;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What the file is now.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn meta(&self) -> io::Result<Meta>;

    /// For a program that writes it; none where there is no real file.
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A log whose head is to be cut off while others may write to it. What they append meanwhile is
/// neither lost nor moved apart.
pub trait TrimFile: Send {
    /// What the open file is now.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn meta(&self) -> io::Result<Meta>;

    /// As [`ReadFile::next_data`].
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>>;

    /// Whether all who have it open for writing append (`O_APPEND`), so that they go on at its
    /// end wherever that is by now. `false` also if not all who may have it open can be seen.
    ///
    /// The answer may be out of date as it is given. Not seen is who only maps the file into
    /// memory, or is about to get it from another process.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn has_only_appenders(&self) -> io::Result<bool>;

    /// Whether somebody is seen who has it open for writing, to append or anywhere. As far as that
    /// can be seen: `false` does not mean that there is none.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn is_written(&self) -> io::Result<bool>;

    /// Takes the first `len` bytes out of the file: what is behind them moves to its start.
    /// `len` is a multiple of the file system's block and less than the length.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the file system cannot, not of this file or not by so many bytes; and
    /// whatever the system says.
    fn collapse(&self, len: u64) -> io::Result<()>;

    /// Gives back the blocks of the first `len` bytes, which read as zeros from then on. Length
    /// and everything behind stay where they are.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the file system cannot, and whatever the system says.
    fn punch(&self, len: u64) -> io::Result<()>;

    /// Gives it these times of last access and last change.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn set_times(&self, accessed: Timestamp, modified: Timestamp) -> io::Result<()>;

    /// Flushes content and length to the disk. After an error the cut may come undone in a
    /// crash.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn sync(&self) -> io::Result<()>;
}

/// How several writers hold one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// There is no other writer.
    Alone,
    /// Others may hold it, too.
    Together,
}

/// A log that is open for appending (`O_APPEND`): every call is one on the open file, whatever
/// its name is by now. Closing it, also by the end of the process, gives back hold and turn.
///
/// Hold and turn belong to this open file, not to a thread: threads that share it must keep
/// themselves apart.
pub trait AppendFile: Send + Sync {
    /// Appends once (`write(2)`, repeated if a signal came first); says how much was taken,
    /// which on a disk that becomes full is less than all. Without a turn, the bytes of two
    /// such calls do not mix on a local file system, but those of two that were cut short do.
    ///
    /// # Errors
    ///
    /// `StorageFull`, `QuotaExceeded`, and whatever the system says; then nothing was taken.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    /// What the open file is now.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn meta(&self) -> io::Result<Meta>;

    /// Has blocks for the first `len` bytes of the file set aside, and leaves its length as it
    /// is: appending up to there cannot find the disk full. They count as allocated at once.
    /// Less than is there already changes nothing.
    ///
    /// A file system that copies on write (btrfs) keeps that promise for the first write to
    /// each block: to append to a block that was flushed half full it needs room elsewhere.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the file system cannot. `StorageFull` or `QuotaExceeded` if there is
    /// no room; a part may be set aside then, until [`AppendFile::trim`]. Whatever else the
    /// system says.
    fn reserve(&self, len: Bytes) -> io::Result<()>;

    /// Gives back the blocks behind the end. Looks at the length and cuts there: what
    /// another writer appends in between is lost, so there must be none, or the turn be ours.
    /// The time of the last change becomes now.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn trim(&self) -> io::Result<()>;

    /// Makes the file `len` bytes long if it is longer: a half-written record is taken back.
    /// What was reserved is given back with it. As for [`AppendFile::trim`], no other may
    /// be writing.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is shorter, and whatever the system says.
    fn cut(&self, len: u64) -> io::Result<()>;

    /// Flushes content and length to the disk (`fdatasync(2)`). After an error what was
    /// appended before is not durable, whatever a second call says.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn sync(&self) -> io::Result<()>;

    /// Holds the log, or holds it in another way from now on; does not wait. `false` if others
    /// are in the way: then what was held before is still held. Without a gap in which
    /// nothing is.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the system (before Linux 3.15) or the file system has no locks for
    /// open files, and whatever the system says.
    fn hold(&self, hold: Hold) -> io::Result<bool>;

    /// Takes the turn on this log, once no other open file has it; `false` if it still has
    /// after about so long. Who dies or closes the file gives it back; who only hangs does not.
    ///
    /// # Errors
    ///
    /// As [`AppendFile::hold`].
    fn begin_turn(&self, wait: Duration) -> io::Result<bool>;

    /// Gives the turn back. Without effect if it was not ours.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    fn end_turn(&self) -> io::Result<()>;
}

/// Writing.
pub trait WriteFs: ReadFs {
    /// Opens a regular file to be overwritten by shred(1): no link, and as long as it was.
    /// `None` if it is not `expected` any more, or has other names: what is destroyed would be
    /// somebody else's.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no regular file, `Unsupported` where there are no real files, and
    /// whatever the system says.
    fn open_to_overwrite(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
    ) -> io::Result<Option<OwnedFd>> {
        let _ = (dir, name, expected);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens a log to cut off its head. `None` if it is not `expected` any more, or has other
    /// names.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no regular file, `Unsupported` where logs are not cut, and
    /// whatever the system says.
    fn open_to_trim(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
    ) -> io::Result<Option<Box<dyn TrimFile + '_>>> {
        let _ = (dir, name, expected);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes a new file; fails if the name exists, also as a link.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, and whatever the system says.
    fn create(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn NewFile + '_>>;

    /// Opens a file that an interrupted run has begun, cut to `len` bytes, where writing goes on.
    /// `None` if it is not `expected` any more, has other names, or is shorter.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no regular file, `Unsupported` where such files are left alone, and
    /// whatever the system says.
    fn go_on(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
        len: u64,
    ) -> io::Result<Option<Box<dyn NewFile + '_>>> {
        let _ = (dir, name, expected, len);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Opens a log to append to it: never a link, and never blocks on a pipe. Without `create`
    /// it is one that exists. With it, it is a new one, ours alone (0600) until it has these
    /// attributes; if it cannot get them it is removed again.
    ///
    /// A crash while it is made leaves it empty, and with narrower attributes.
    ///
    /// # Errors
    ///
    /// `NotFound`, `AlreadyExists`, `InvalidInput` if it is no regular file, and whatever the
    /// system says.
    fn open_log(
        &self,
        dir: DirId,
        name: &OsStr,
        create: Option<&Attributes>,
    ) -> io::Result<Box<dyn AppendFile>>;

    /// Makes a symbolic link to a name in the same directory, whether that exists or not.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if `name` exists, also as a link; `InvalidInput` if `target` is not a
    /// single component; and whatever the system says.
    fn link_to(&self, dir: DirId, name: &OsStr, target: &OsStr) -> io::Result<()>;

    /// Renames without replacing.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if `to` exists, and whatever the system says.
    fn rename(&self, dir: DirId, from: &OsStr, to_dir: DirId, to: &OsStr) -> io::Result<()>;

    /// Unlinks a name that is not a directory. If it was the last name of a file that nobody has
    /// open, its blocks are free when this returns: also those who ask for its state at that
    /// moment through the same value have finished by then.
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
