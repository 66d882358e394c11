//! Logs that are open for appending: blocks set aside, and the locks that writers keep.
//!
//! Two kinds of locks, since they are about two things. `flock(2)` says that a log is in use,
//! for as long as it is open. A lock on one byte that belongs to the open file (`F_OFD_SETLKW`,
//! Linux 3.15) says whose turn it is to append; it waits without asking again and again, and
//! neither kind knows of the other. Both die with the open file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::resolve::{again, stat_fd};
use crate::fs::{AppendFile, Hold};
use crate::stamp::Meta;
use crate::units::Bytes;

/// The byte that is locked for a turn. No content gets so far, so that who locks parts of
/// logs for other reasons is not in the way.
const TURN: libc::off_t = libc::off_t::MAX - 1;

#[derive(Debug)]
pub(super) struct Log {
    fd: OwnedFd,
}

impl Log {
    pub(super) const fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Locks the byte of the turn, or unlocks it; waits for it if need be.
    fn turn(&self, kind: libc::c_int) -> io::Result<()> {
        let short = |number: libc::c_int| {
            libc::c_short::try_from(number).map_err(|_| io::Error::from(Errno::INVAL))
        };
        let lock = libc::flock {
            l_type: short(kind)?,
            l_whence: short(libc::SEEK_SET)?,
            l_start: TURN,
            l_len: 1,
            l_pid: 0,
        };
        loop {
            match fcntl(&self.fd, FcntlArg::F_OFD_SETLKW(&lock)) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(unsupported(error.into(), "it has no locks for turns")),
            }
        }
    }
}

impl AppendFile for Log {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(again(|| rustix::io::write(&self.fd, bytes))?)
    }

    fn meta(&self) -> io::Result<Meta> {
        stat_fd(self.fd.as_fd())
    }

    fn reserve(&self, len: Bytes) -> io::Result<()> {
        reserve(self.fd.as_fd(), len)
    }

    fn trim(&self) -> io::Result<()> {
        trim(self.fd.as_fd())
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        let now = rustix::fs::fstat(&self.fd)?.st_size;
        match u64::try_from(now).unwrap_or(0) {
            now if now < len => Err(too_short()),
            now if now == len => Ok(()),
            _ => Ok(again(|| rustix::fs::ftruncate(&self.fd, len))?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        // Not repeated on failure, as for new files.
        Ok(rustix::fs::fdatasync(&self.fd)?)
    }

    fn hold(&self, hold: Hold) -> io::Result<bool> {
        let operation = match hold {
            Hold::Alone => FlockOperation::NonBlockingLockExclusive,
            Hold::Together => FlockOperation::NonBlockingLockShared,
        };
        match again(|| rustix::fs::flock(&self.fd, operation)) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(unsupported(error.into(), "its file system has no locks")),
        }
    }

    fn begin_turn(&self) -> io::Result<()> {
        self.turn(libc::F_WRLCK)
    }

    fn end_turn(&self) -> io::Result<()> {
        self.turn(libc::F_UNLCK)
    }
}

/// Whether anybody else holds the file. The lock that tells goes when `file` is closed.
pub(super) fn is_held(file: BorrowedFd<'_>) -> io::Result<bool> {
    let exclusive = again(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive));
    let answer = match exclusive {
        // Over NFS the lock that excludes others is for who may write.
        Err(Errno::BADF) => {
            again(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockShared))
        }
        other => other,
    };
    match answer {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => match unsupported(error.into(), "") {
            error if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            error => Err(error),
        },
    }
}

/// Blocks for the first `len` bytes.
pub(super) fn reserve(file: BorrowedFd<'_>, len: Bytes) -> io::Result<()> {
    if len == Bytes::ZERO {
        return Ok(());
    }
    let keep = FallocateFlags::KEEP_SIZE;
    again(|| rustix::fs::fallocate(file, keep, 0, len.get()))
        .map_err(|error| unsupported(error.into(), "its file system cannot set blocks aside"))
}

/// Gives back blocks behind the end: a file system takes a length that is set, also to what it
/// was, for the wish that nothing be behind it.
pub(super) fn trim(file: BorrowedFd<'_>) -> io::Result<()> {
    let len = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
    Ok(again(|| rustix::fs::ftruncate(file, len))?)
}

fn too_short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is shorter than that")
}

/// What a system or file system says that knows no such call.
fn unsupported(error: io::Error, why: &'static str) -> io::Error {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    match code {
        Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => {
            io::Error::new(io::ErrorKind::Unsupported, why)
        }
        _ => error,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make their own trees")]
mod tests;
