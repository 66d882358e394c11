//! The system calls: how a single name in an open directory is opened, looked at, renamed.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use crate::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use crate::units::Bytes;

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// How many files may be open.
pub(super) fn open_files_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Repeats a call that a signal interrupted.
pub(super) fn again<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Refuses what is not a single component. Our own callers never pass one; if they should,
/// it must not reach the system.
pub(super) fn check_name(name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file name"));
    }
    // A NUL is refused by the conversion to a C string.
    Ok(())
}

/// Opens without leaving a trace in the access time, where we may ask for that: it is for
/// the owner and for root.
pub(super) fn quietly(
    flags: OFlags,
    mut open: impl FnMut(OFlags) -> rustix::io::Result<OwnedFd>,
) -> rustix::io::Result<OwnedFd> {
    match again(|| open(flags | OFlags::NOATIME)) {
        Err(Errno::PERM) => again(|| open(flags)),
        other => other,
    }
}

/// Opens a directory by a path that the administrator wrote.
pub(super) fn open_root(path: &Path) -> rustix::io::Result<OwnedFd> {
    quietly(DIRECTORY, |flags| rustix::fs::open(path, flags, Mode::empty()))
}

/// Opens the directory again that is open as `dir`.
pub(super) fn reopen_dir(dir: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    quietly(DIRECTORY, |flags| rustix::fs::openat(dir, ".", flags, Mode::empty()))
}

/// Opens the directory `path` (one component or more) below `dir`: no links, no mounts.
pub(super) fn open_below(
    dir: BorrowedFd<'_>,
    path: &Path,
    has_openat2: &AtomicBool,
) -> io::Result<OwnedFd> {
    if has_openat2.load(Ordering::Relaxed) {
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let opened = quietly(DIRECTORY, |flags| {
            retry_race(|| rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve))
        });
        match opened {
            // ENOSYS from old kernels; EPERM from the filters of old container runtimes.
            Err(Errno::NOSYS | Errno::PERM) => {}
            // What O_NOFOLLOW with O_DIRECTORY says of a link.
            Err(Errno::LOOP) => return Err(Errno::NOTDIR.into()),
            other => return Ok(other?),
        }
        let opened = open_stepwise(dir, path)?;
        // It worked, so it was not the file system that refused.
        has_openat2.store(false, Ordering::Relaxed);
        return Ok(opened);
    }
    open_stepwise(dir, path)
}

/// `openat2` gives EAGAIN if it cannot rule out that a rename led it astray. On a busy
/// system that passes; if somebody renames without end, it is an error.
pub(super) fn retry_race<T>(
    mut call: impl FnMut() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    const TRIES: u32 = 128;
    for _ in 1..TRIES {
        match call() {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    call()
}

/// The same without `openat2`: one component at a time, never through a link; the mount of
/// each is compared with that of its parent.
fn open_stepwise(dir: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    for name in path.components() {
        check_name(name.as_os_str())?;
        let parent = at.as_ref().map_or(dir, AsFd::as_fd);
        let next = quietly(DIRECTORY | OFlags::NOFOLLOW, |flags| {
            rustix::fs::openat(parent, name.as_os_str(), flags, Mode::empty())
        })
        .map_err(|error| if error == Errno::LOOP { Errno::NOTDIR } else { error })?;
        let (above, below) = (stat_fd(parent)?, stat_fd(next.as_fd())?);
        if above.mount != below.mount || above.stamp.id.dev != below.stamp.id.dev {
            return Err(Errno::XDEV.into());
        }
        at = Some(next);
    }
    at.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Opens an existing file, or fails for a link. The caller looks at what it got.
pub(super) fn open_file(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    quietly(flags, |flags| rustix::fs::openat(dir, name, flags, Mode::empty()))
}

/// Makes a file, for us alone.
pub(super) fn create(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    more: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    again(|| rustix::fs::openat(dir, name, flags | more, Mode::RUSR | Mode::WUSR))
}

/// Opens a directory that we have just made.
pub(super) fn open_made(dir: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    again(|| rustix::fs::openat(dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()))
}

/// Renames without replacing; `native` is the one call that does it at once.
pub(super) fn rename(
    dir: BorrowedFd<'_>,
    from: &OsStr,
    to_dir: BorrowedFd<'_>,
    to: &OsStr,
    native: impl Fn(BorrowedFd<'_>, &OsStr, BorrowedFd<'_>, &OsStr) -> rustix::io::Result<()>,
) -> io::Result<()> {
    match again(|| native(dir, from, to_dir, to)) {
        // The file system (NFS, some FUSE) or the kernel (before 3.15) cannot. A plain
        // rename would replace; a link fails if the name exists.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            again(|| rustix::fs::linkat(dir, from, to_dir, to, AtFlags::empty()))?;
            Ok(again(|| rustix::fs::unlinkat(dir, from, AtFlags::empty()))?)
        }
        other => Ok(other?),
    }
}

/// Flushes a directory.
pub(super) fn sync_dir(dir: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::fs::fsync(dir) {
        // Some file systems have nothing to flush for a directory and say so this way.
        Err(Errno::INVAL) => {}
        other => other?,
    }
    give_back(dir);
    Ok(())
}

/// What `statfs(2)` says of btrfs (`BTRFS_SUPER_MAGIC`).
const BTRFS_TYPE: u64 = 0x9123_683e;

/// Btrfs has the room of what was deleted or cut off with its next commit, half a minute later:
/// until then that is neither free nor seen to be.
pub(super) fn give_back(file: BorrowedFd<'_>) {
    let found = rustix::fs::fstatfs(file).ok().and_then(|found| u64::try_from(found.f_type).ok());
    if found == Some(BTRFS_TYPE) {
        // What others have written, and could not be flushed, is theirs to hear of.
        let _ = rustix::fs::syncfs(file);
    }
}

/// Passes on the names in an open directory, from its beginning.
pub(super) fn list(dir: &OwnedFd, each: &mut dyn FnMut(&OsStr, Option<Kind>)) -> io::Result<()> {
    // A name has at most 255 bytes, so any entry fits; a larger buffer saves calls.
    let mut buffer = [const { MaybeUninit::uninit() }; 32 << 10];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            let kind = match entry.file_type() {
                FileType::Unknown => None,
                other => Some(kind(other)),
            };
            each(OsStr::from_bytes(name), kind);
        }
    }
    Ok(())
}

/// Looks at a name, not through it.
pub(super) fn stat_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Meta> {
    statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// Looks at an open file.
pub(super) fn stat_fd(fd: BorrowedFd<'_>) -> io::Result<Meta> {
    statx(fd, OsStr::new(""), AtFlags::EMPTY_PATH)
}

/// Looks through a name, at what is behind it; does not ask a server that may not answer.
pub(super) fn stat_through(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Meta> {
    statx(dir, name, AtFlags::STATX_DONT_SYNC)
}

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8), which takes the place of the other number where it is known:
/// that one goes to the next mount as soon as its mount is gone, this one never again.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

fn statx(fd: BorrowedFd<'_>, name: &OsStr, flags: AtFlags) -> io::Result<Meta> {
    let mount = StatxFlags::MNT_ID | MNT_ID_UNIQUE;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | mount;
    let found = again(|| rustix::fs::statx(fd, name, flags, wanted))?;
    let has = |flag: StatxFlags| found.stx_mask & flag.bits() != 0;
    let time = |t: rustix::fs::StatxTimestamp| Timestamp { secs: t.tv_sec, nanos: t.tv_nsec };
    let file_type = FileType::from_raw_mode(u32::from(found.stx_mode));
    Ok(Meta {
        stamp: Stamp {
            id: FileId {
                dev: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
                ino: found.stx_ino,
                btime: has(StatxFlags::BTIME).then(|| time(found.stx_btime)),
            },
            len: found.stx_size,
            allocated: Bytes::new(found.stx_blocks.saturating_mul(512)),
            mtime: time(found.stx_mtime),
            ctime: time(found.stx_ctime),
            nlink: found.stx_nlink,
        },
        accessed: time(found.stx_atime),
        kind: kind(file_type),
        mode: u32::from(found.stx_mode) & 0o7777,
        uid: found.stx_uid,
        gid: found.stx_gid,
        mount: if has(StatxFlags::MNT_ID) || has(MNT_ID_UNIQUE) { found.stx_mnt_id } else { 0 },
    })
}

fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Special,
    }
}
