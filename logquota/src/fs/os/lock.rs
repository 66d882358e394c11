//! Locks between processes: `flock(2)`, which dies with its holder.
//!
//! What is locked is a directory itself, or a file that only its owner can open: nobody
//! else can take the lock and stop us (CVE-2022-1348). A directory that others can open is
//! no such object, and the wait is bounded.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use fs2::FileExt;
use rustix::fs::{Mode, OFlags};

use super::resolve;
use crate::error::{Error, Op, Result};

/// How often a taken lock is tried again. `flock` can wait by itself, but only for ever.
const POLL: Duration = Duration::from_millis(20);

/// A lock that is held until this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    // Closing it gives the lock back.
    _held: File,
}

#[expect(clippy::disallowed_types, reason = "fs2 locks a std file")]
type File = std::fs::File;

/// A lock that is tried once.
type TryLock = fn(&File) -> io::Result<()>;

fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    resolve::again(|| rustix::fs::open(path, flags, Mode::empty()))
        .map_err(|e| Error::io(Op::Lock, path)(e.into()))
}

impl Lock {
    /// Locks a directory, waiting at most `wait`.
    ///
    /// Anybody who may open the directory may take this lock: it keeps instances apart,
    /// and does not protect against a hostile user.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when the time is over; [`Error::Io`] if it cannot be opened.
    pub fn dir(path: &Path, wait: Duration) -> Result<Self> {
        Self::take(open_dir(path)?, path, wait, FileExt::try_lock_exclusive)
    }

    /// Locks a directory together with others who do it in this way, and against those who use
    /// [`Lock::dir`]; otherwise as that.
    ///
    /// # Errors
    ///
    /// As [`Lock::dir`].
    pub fn dir_together(path: &Path, wait: Duration) -> Result<Self> {
        Self::take(open_dir(path)?, path, wait, FileExt::try_lock_shared)
    }

    /// Locks a file, waiting at most `wait`. It is made, readable for its owner only, if it
    /// does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when the time is over; [`Error::Io`] if it cannot be opened, is a
    /// link, or is no regular file.
    pub fn file(path: &Path, wait: Duration) -> Result<Self> {
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NONBLOCK
            | OFlags::NOCTTY;
        let fd = resolve::again(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR))
            .map_err(|e| Error::io(Op::Lock, path)(e.into()))?;
        let meta =
            resolve::stat_fd(std::os::fd::AsFd::as_fd(&fd)).map_err(Error::io(Op::Lock, path))?;
        if meta.kind != crate::stamp::Kind::File {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(Error::io(Op::Lock, path)(source));
        }
        Self::take(fd, path, wait, FileExt::try_lock_exclusive)
    }

    fn take(fd: OwnedFd, path: &Path, wait: Duration, lock: TryLock) -> Result<Self> {
        let file = File::from(fd);
        // Counted, not measured: this crate asks no clock for it.
        let mut left = wait.as_millis() / POLL.as_millis();
        loop {
            match lock(&file) {
                Ok(()) => return Ok(Self { _held: file }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if left == 0 {
                        return Err(Error::Locked { path: path.to_owned() });
                    }
                    left -= 1;
                    std::thread::sleep(POLL);
                }
                Err(error) => return Err(Error::io(Op::Lock, path)(error)),
            }
        }
    }
}
