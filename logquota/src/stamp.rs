//! What was seen of one file, and the question "is it still that one?".

use crate::units::Bytes;

/// A point in time as the file system stores it: seconds and nanoseconds since the
/// epoch, UTC. Seconds may be negative or far in the future; nothing is assumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub secs: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// Which file it is, whatever it is called: device, inode and, where the file system
/// keeps one, the time of birth (an inode number alone is reused at once on ext4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Time of birth, where there is one.
    pub btime: Option<Timestamp>,
}

/// What was seen of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Which file.
    pub id: FileId,
    /// Its length in bytes (`st_size`).
    pub len: u64,
    /// What it occupies (`st_blocks` x 512).
    pub allocated: Bytes,
    /// Last change of its content.
    pub mtime: Timestamp,
    /// Last change of its inode: content, name, mode, owner, links.
    pub ctime: Timestamp,
    /// Names it has.
    pub nlink: u32,
}

impl Stamp {
    /// Whether `now` is the same file with nothing about it changed.
    #[must_use]
    pub fn is_unchanged(&self, now: &Self) -> bool {
        self == now
    }

    /// Whether `now` is the same file with the same content, though it may have been
    /// renamed meanwhile (which changes the ctime on most file systems).
    #[must_use]
    pub fn has_same_content(&self, now: &Self) -> bool {
        self.id == now.id
            && self.len == now.len
            && self.mtime == now.mtime
            && self.nlink == now.nlink
    }

    /// What unlinking one name of it gives back: nothing while it has other names.
    #[must_use]
    pub fn freed_by_unlink(&self) -> Bytes {
        if self.nlink > 1 { Bytes::ZERO } else { self.allocated }
    }

    /// Bytes of the length that no block stands behind.
    #[must_use]
    pub fn holes(&self) -> Bytes {
        Bytes::new(self.len).minus(self.allocated)
    }
}

/// The oldest content of a log. A cut changes it, and so does another file in the place of the
/// log; who appends does not.
///
/// # What is not guaranteed
///
/// Where a file system closes the gap of a cut, what is in front then may read as what was in
/// front before: the same records over and over, without times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oldest {
    /// Where it begins, behind what was cut off before.
    pub start: u64,
    /// A digest over the first [`Oldest::LEN`] bytes from there.
    pub digest: [u8; 16],
}

impl Oldest {
    /// So much of a log is looked at: as much as stays of one that is cut to free space.
    pub const LEN: u64 = 64 << 10;
}

/// What kind of thing has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file, the only kind that is ever opened or deleted.
    File,
    /// A directory.
    Dir,
    /// A symbolic link; never followed.
    Symlink,
    /// A named pipe, socket or device; never opened.
    Special,
}

/// A stamp with what else one `statx` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Identity, sizes and times.
    pub stamp: Stamp,
    /// When it was last read, as far as the mount keeps that. Goes on to what is made from it;
    /// decides nothing and identifies nothing.
    pub accessed: Timestamp,
    /// What kind of thing it is.
    pub kind: Kind,
    /// Permission bits (`st_mode & 0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The mount it was seen on, where the kernel says (Linux 5.8), else 0. What is mounted later
    /// has another number, but on kernels before 6.8, which use them again.
    pub mount: u64,
}
