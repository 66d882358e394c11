//! Locks between processes: `flock(2)`, which dies with its holder.
//!
//! What is locked is a directory itself, or a file that only its owner can open: nobody
//! else can take the lock and stop us (CVE-2022-1348). A directory that others can open is
//! no such object, and the wait is bounded.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs2::FileExt;
use rustix::fs::{Mode, OFlags};

use super::open_deleted::numbers;
use super::{Tree, read_small, resolve};
use crate::error::{Error, Op, Result};

/// How often a taken lock is tried again. `flock` can wait by itself, but only for ever.
const POLL: Duration = Duration::from_millis(20);

/// The most that is read of `/proc/locks`.
const LOCKS_MAX: usize = 16 << 20;

/// Who holds `file`, by the lines of `/proc/locks` (proc(5)); not who waits for it. None if one
/// of them is in another container and has no number here.
fn holders(locks: &str, file: &str) -> Option<Vec<u32>> {
    let of = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let is_flock = words.next() == Some("FLOCK");
        let pid: i64 = words.nth(2)?.parse().ok()?;
        (is_flock && words.next() == Some(file)).then_some(pid)
    };
    let pids = locks.lines().filter_map(of);
    pids.map(|pid| u32::try_from(pid).ok().filter(|pid| *pid > 0)).collect()
}

/// The users of the processes through whose handles `file` is locked, as far as they can be seen.
fn users_with(file: &str) -> Vec<u32> {
    let has_lock = |pid: &u32| {
        let folder = PathBuf::from(format!("/proc/{pid}/fdinfo"));
        numbers(&folder).unwrap_or_default().into_iter().any(|fd| {
            let text = read_small(&folder.join(fd.to_string()), LOCKS_MAX).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let locks: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("lock:")).collect();
            holders(&locks.join("\n"), file).is_none_or(|pids| !pids.is_empty())
        })
    };
    let pids = numbers(Path::new("/proc")).unwrap_or_default().into_iter();
    pids.filter(has_lock).filter_map(user_of).collect()
}

/// The real user of a process.
fn user_of(pid: u32) -> Option<u32> {
    let status = read_small(Path::new(&format!("/proc/{pid}/status")), LOCKS_MAX).ok()?;
    let status = String::from_utf8_lossy(&status).into_owned();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

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

fn open_dir(tree: &Tree, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    tree.open(path, flags).map_err(|e| Error::io(Op::Lock, path)(e.into()))
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
        Self::dir_in(&Tree::default(), path, wait)
    }

    /// The same for a directory of another tree.
    ///
    /// # Errors
    ///
    /// As [`Lock::dir`].
    pub fn dir_in(tree: &Tree, path: &Path, wait: Duration) -> Result<Self> {
        Self::take(open_dir(tree, path)?, path, wait, FileExt::try_lock_exclusive)
    }

    /// Locks a directory together with others who do it in this way, and against those who use
    /// [`Lock::dir`]; otherwise as that.
    ///
    /// # Errors
    ///
    /// As [`Lock::dir`].
    pub fn dir_together(path: &Path, wait: Duration) -> Result<Self> {
        Self::take(open_dir(&Tree::default(), path)?, path, wait, FileExt::try_lock_shared)
    }

    /// Whether all that hold the lock of a directory are users who have no business with it:
    /// neither root, nor this user, nor the directory's owner. From `/proc/locks`.
    ///
    /// # What is not guaranteed
    ///
    /// `false` also if it cannot be found out, as for a holder in another container.
    #[must_use]
    pub fn is_held_by_strangers(path: &Path) -> bool {
        let Ok(stat) = open_dir(&Tree::default(), path).and_then(|fd| {
            rustix::fs::fstat(fd).map_err(|error| Error::io(Op::Stat, path)(error.into()))
        }) else {
            return false;
        };
        let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        let file = format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
        let locks = read_small(Path::new("/proc/locks"), LOCKS_MAX).unwrap_or_default();
        let holders = holders(&String::from_utf8_lossy(&locks), &file);
        let known = [0, rustix::process::getuid().as_raw(), stat.st_uid];
        let is_stranger = |pid: &u32| {
            // A process that has ended has left the lock to a child of its own.
            let users = user_of(*pid).map_or_else(|| users_with(&file), |user| vec![user]);
            !users.is_empty() && !users.iter().any(|user| known.contains(user))
        };
        holders.is_some_and(|pids| !pids.is_empty() && pids.iter().all(is_stranger))
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

#[cfg(test)]
mod tests {
    use super::holders;

    #[test]
    fn who_holds_a_lock_is_told_from_who_waits_and_from_other_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 10 00:2f:7 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 11 00:2f:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  READ 12 00:2f:7 0 EOF\n\
                     3: FLOCK  ADVISORY  READ -1 00:2f:7 0 EOF\n\
                     4: FLOCK  ADVISORY  READ 13 00:2f:70 0 EOF\nshort\n";
        assert_eq!(holders(locks, "00:2f:70"), Some(vec![13]));
        assert_eq!(holders(locks, "00:2f:71"), Some(Vec::new()));
        let (known, _) = locks.split_once("3: FLOCK").expect("another line");
        assert_eq!(holders(known, "00:2f:7"), Some(vec![11]));
        assert_eq!(holders(locks, "00:2f:7"), None, "one that cannot be seen");
    }
}
