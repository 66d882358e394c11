//! Logs that are open for appending: blocks set aside, and the locks that writers keep.
//!
//! The locks are those that belong to an open file (`F_OFD_SETLK`, Linux 3.15) and die with it,
//! on bytes so far behind any content that who locks parts of logs for other reasons is not in
//! the way. They are all locks for writing, which only those get who may write: a user who
//! may read a log cannot keep it from being deleted (with `flock(2)` he could; CVE-2022-1348).
//! By a lock for reading he can still be in the way of [`hold`](AppendFile::hold) and
//! [`begin_turn`](AppendFile::begin_turn).
//!
//! One byte is the turn. Of the others, who holds a log alone locks all, and who holds it
//! together with others one that is free: locks for reading would need a log that is open
//! for reading, too.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::resolve::{again, stat_fd};
use crate::fs::{AppendFile, Hold};
use crate::stamp::Meta;
use crate::units::Bytes;

/// The byte that is locked for a turn.
const TURN: libc::off_t = libc::off_t::MAX - 1;

/// How many can hold a log together.
const SLOTS: libc::off_t = 4096;

/// The first of the bytes that are locked to hold a log.
const HOLD: libc::off_t = TURN - SLOTS;

/// How often a turn is asked for before the first nap: most last a few microseconds.
const SPINS: u32 = 20;

/// How long is slept before it is asked for again.
const NAP: Duration = Duration::from_micros(100);

/// What is open with `O_APPEND` is appended to wherever `pwrite(2)` is told to write (see its
/// BUGS), and does without the lock of the file's position that `write(2)` takes in a process
/// of several threads. Whoever emulates Linux and does not do so fails here, and overwrites
/// nothing.
const NOWHERE: u64 = 1 << 62;

#[derive(Debug)]
pub(super) struct Log {
    fd: OwnedFd,
}

impl Log {
    pub(super) const fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Locks one of the bytes, the first that is free, and gives back those that it had besides.
    fn take_slot(&self) -> io::Result<bool> {
        for slot in 0..SLOTS {
            let at = HOLD + slot;
            if take(&self.fd, at, 1)? {
                give_back(&self.fd, HOLD, slot)?;
                give_back(&self.fd, at + 1, SLOTS - slot - 1)?;
                return Ok(true);
            }
            // A length of 0 is all that follows: somebody who locks whole files.
            let is_alone = |lock: &libc::flock| lock.l_len == 0 || lock.l_len >= SLOTS;
            if find(&self.fd, libc::F_WRLCK, at, 1)?.as_ref().is_some_and(is_alone) {
                return Ok(false);
            }
        }
        Ok(false)
    }
}

impl AppendFile for Log {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(again(|| rustix::io::pwrite(&self.fd, bytes, NOWHERE))?)
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
        match hold {
            Hold::Alone => take(&self.fd, HOLD, SLOTS),
            Hold::Together => self.take_slot(),
        }
    }

    fn begin_turn(&self, wait: Duration) -> io::Result<bool> {
        // Asked again and again: to be woken could only be waited for without an end, and a
        // process that was stopped in its turn would stop all others. Counted, not measured:
        // this crate asks no clock for it.
        let mut left = wait.as_micros() / NAP.as_micros();
        let mut spins = if wait.is_zero() { 0 } else { SPINS };
        loop {
            if take(&self.fd, TURN, 1)? {
                return Ok(true);
            }
            if spins > 0 {
                spins -= 1;
                std::thread::yield_now();
            } else if left > 0 {
                left -= 1;
                std::thread::sleep(NAP);
            } else {
                return Ok(false);
            }
        }
    }

    fn end_turn(&self) -> io::Result<()> {
        give_back(&self.fd, TURN, 1)
    }
}

/// Whether anybody else holds the file. Asks whether a lock for reading would be refused:
/// nothing is locked by that, and the locks of mere readers do not count.
pub(super) fn is_held(file: BorrowedFd<'_>) -> io::Result<bool> {
    match find(file, libc::F_RDLCK, HOLD, SLOTS) {
        Ok(found) => Ok(found.is_some()),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
        Err(error) => Err(error),
    }
}

fn range(kind: libc::c_int, start: libc::off_t, len: libc::off_t) -> io::Result<libc::flock> {
    let short = |number: libc::c_int| {
        libc::c_short::try_from(number).map_err(|_| io::Error::from(Errno::INVAL))
    };
    Ok(libc::flock {
        l_type: short(kind)?,
        l_whence: short(libc::SEEK_SET)?,
        l_start: start,
        l_len: len,
        l_pid: 0,
    })
}

fn call(fd: impl AsFd, operation: FcntlArg<'_>) -> rustix::io::Result<()> {
    match fcntl(fd, operation) {
        Ok(_) => Ok(()),
        Err(error) => Err(Errno::from_raw_os_error(error as i32)),
    }
}

/// Locks what others must not have locked; `false` if they have.
fn take(fd: &OwnedFd, start: libc::off_t, len: libc::off_t) -> io::Result<bool> {
    let lock = range(libc::F_WRLCK, start, len)?;
    match again(|| call(fd, FcntlArg::F_OFD_SETLK(&lock))) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(no_locks(error)),
    }
}

fn give_back(fd: &OwnedFd, start: libc::off_t, len: libc::off_t) -> io::Result<()> {
    if len == 0 {
        // To the system that would mean all that follows.
        return Ok(());
    }
    let lock = range(libc::F_UNLCK, start, len)?;
    again(|| call(fd, FcntlArg::F_OFD_SETLK(&lock))).map_err(no_locks)
}

/// What somebody else has locked there that is in the way of such a lock.
fn find(
    fd: impl AsFd,
    kind: libc::c_int,
    start: libc::off_t,
    len: libc::off_t,
) -> io::Result<Option<libc::flock>> {
    let mut lock = range(kind, start, len)?;
    again(|| call(&fd, FcntlArg::F_OFD_GETLK(&mut lock))).map_err(no_locks)?;
    Ok((libc::c_int::from(lock.l_type) != libc::F_UNLCK).then_some(lock))
}

fn no_locks(error: Errno) -> io::Error {
    unsupported(error, "its file system has no locks for open files")
}

/// Blocks for the first `len` bytes.
pub(super) fn reserve(file: BorrowedFd<'_>, len: Bytes) -> io::Result<()> {
    set_aside(file, FallocateFlags::KEEP_SIZE, len)
}

/// The same, and the file is so long.
pub(super) fn allocate(file: BorrowedFd<'_>, len: Bytes) -> io::Result<()> {
    set_aside(file, FallocateFlags::empty(), len)
}

fn set_aside(file: BorrowedFd<'_>, how: FallocateFlags, len: Bytes) -> io::Result<()> {
    if len == Bytes::ZERO {
        return Ok(());
    }
    again(|| rustix::fs::fallocate(file, how, 0, len.get()))
        .map_err(|error| unsupported(error, "its file system cannot set blocks aside"))
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
pub(super) fn unsupported(error: Errno, why: &'static str) -> io::Error {
    match error {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK => {
            io::Error::new(io::ErrorKind::Unsupported, why)
        }
        other => other.into(),
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests make their own trees"
)]
mod tests;
