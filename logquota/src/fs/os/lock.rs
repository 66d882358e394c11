//! Locks between processes: `flock(2)`, which dies with its holder.
//!
//! What is locked is a directory itself, or a file that only its owner can open: nobody
//! else can take the lock and stop us (CVE-2022-1348). A directory that others can open is
//! no such object, and the wait is bounded.

use std::collections::BTreeSet;
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
    // Closing them gives the lock back.
    _held: Vec<File>,
}

#[expect(clippy::disallowed_types, reason = "fs2 locks a std file")]
type File = std::fs::File;

/// A lock that is tried once.
type TryLock = fn(&File) -> io::Result<()>;

fn open_dir(tree: &Tree, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    tree.open(path, flags).map_err(|e| Error::io(Op::Lock, path)(e.into()))
}

/// So many directories are locked for themselves at most.
const OWN_MAX: usize = 128;

/// How many files may be open.
fn open_files_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Which directory it is.
fn id_of(fd: &OwnedFd, path: &Path) -> Result<(u64, u64)> {
    let stat = rustix::fs::fstat(fd).map_err(|error| Error::io(Op::Stat, path)(error.into()))?;
    Ok((stat.st_dev, stat.st_ino))
}

fn is_too_many(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

/// What is locked, for `most` directories at most, and what is above that, the nearest first.
fn chosen<'p>(
    paths: impl Iterator<Item = &'p Path>,
    most: usize,
) -> (Vec<&'p Path>, Vec<&'p Path>) {
    let outermost = |mut paths: Vec<&'p Path>| {
        // What is below another one comes behind it.
        paths.sort_unstable();
        paths.dedup_by(|later, earlier| later.starts_with(earlier));
        paths
    };
    let mut own = outermost(paths.collect());
    while own.len() > most {
        let depth = |path: &&'p Path| path.components().count();
        let deepest = own.iter().map(depth).max().unwrap_or_default();
        let folder = |path: &'p Path| path.parent().filter(|p| !p.as_os_str().is_empty());
        let up = |path: &&'p Path| {
            if depth(path) < deepest { path } else { folder(path).unwrap_or(path) }
        };
        let next = outermost(own.iter().map(up).collect());
        if next == own {
            break;
        }
        own = next;
    }
    let above = own.iter().flat_map(|path| path.ancestors().skip(1));
    let above: BTreeSet<&Path> = above.filter(|path| path.file_name().is_some()).collect();
    let mut above: Vec<&Path> = above.into_iter().collect();
    above.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    (own, above)
}

impl Lock {
    /// Locks a directory with all below it, waiting at most `wait`.
    ///
    /// The directories above are shared: whoever locks one of those waits. Not `/`, nor what
    /// cannot be opened. Whose lock it is is looked at: that of a user who has no business with a
    /// directory ([`Lock::is_held_by_strangers`]) stops nobody.
    ///
    /// # What is not guaranteed
    ///
    /// It keeps instances apart, and does not protect against hostile users: where the holder of
    /// a lock cannot be seen, anybody who may open the directory may take it.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when the time is over; [`Error::Io`] if it cannot be opened.
    pub fn dir(path: &Path, wait: Duration) -> Result<Self> {
        Self::all(&Tree::default(), &[path], wait, true)
    }

    /// The same for directories of another tree, in one order whatever theirs. Those that are not
    /// there, or not ours to open, are left out. Where they are very many, one above some of them is
    /// locked in their place: each takes an open file.
    ///
    /// # Errors
    ///
    /// As [`Lock::dir`].
    pub fn dirs_in(tree: &Tree, paths: &[PathBuf], wait: Duration) -> Result<Self> {
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        Self::all(tree, &paths, wait, false)
    }

    fn all(tree: &Tree, paths: &[&Path], wait: Duration, is_needed: bool) -> Result<Self> {
        let most = open_files_max() / 4;
        let (own, above) = chosen(paths.iter().copied(), most.clamp(2, OWN_MAX));
        let mut held = Vec::new();
        // Under different names it may be the same one, and that is locked once.
        let mut known = BTreeSet::new();
        for path in &own {
            let Some(fd) = Self::found(open_dir(tree, path), is_needed)? else { continue };
            if known.insert(id_of(&fd, path)?) {
                held.extend(Self::unless_strangers(fd, path, wait, FileExt::try_lock_exclusive)?);
            }
        }
        for path in above.iter().take(most.saturating_sub(held.len())) {
            let Ok(fd) = open_dir(tree, path) else { continue };
            if known.insert(id_of(&fd, path)?) {
                held.extend(Self::unless_strangers(fd, path, wait, FileExt::try_lock_shared)?);
            }
        }
        Ok(Self { _held: held })
    }

    /// Locks a directory together with others who do it in this way, and against those who use
    /// [`Lock::dir`] for it; otherwise as that, but strangers stop it, and nothing above is locked.
    ///
    /// # Errors
    ///
    /// As [`Lock::dir`].
    pub fn dir_together(path: &Path, wait: Duration) -> Result<Self> {
        let fd = open_dir(&Tree::default(), path)?;
        Ok(Self { _held: vec![Self::take(fd, path, wait, FileExt::try_lock_shared)?] })
    }

    /// None for one that is not there or not ours to open.
    fn found(opened: Result<OwnedFd>, is_needed: bool) -> Result<Option<OwnedFd>> {
        match opened {
            Err(Error::Io { source, .. }) if !is_needed && !is_too_many(&source) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// None if only strangers hold it.
    fn unless_strangers(
        fd: OwnedFd,
        path: &Path,
        wait: Duration,
        lock: TryLock,
    ) -> Result<Option<File>> {
        let again = fd.try_clone().map_err(Error::io(Op::Lock, path))?;
        match Self::take(fd, path, Duration::ZERO, lock) {
            Err(Error::Locked { .. }) if Self::is_held_by_strangers(path) => Ok(None),
            Err(Error::Locked { .. }) => Self::take(again, path, wait, lock).map(Some),
            taken => taken.map(Some),
        }
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
        Ok(Self { _held: vec![Self::take(fd, path, wait, FileExt::try_lock_exclusive)?] })
    }

    fn take(fd: OwnedFd, path: &Path, wait: Duration, lock: TryLock) -> Result<File> {
        let file = File::from(fd);
        // Counted, not measured: this crate asks no clock for it.
        let mut left = wait.as_millis() / POLL.as_millis();
        loop {
            match lock(&file) {
                Ok(()) => return Ok(file),
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
    use std::path::Path;

    use super::{chosen, holders};

    #[test]
    fn few_directories_are_locked_in_the_place_of_very_many() {
        let paths = |of: &[&'static str]| -> Vec<&'static Path> {
            of.iter().copied().map(Path::new).collect()
        };
        let few = ["/srv/b/log", "/srv/a/log", "/srv/a/log/old", "/srv/a/log", "log"];
        let (own, above) = chosen(few.iter().map(Path::new), 9);
        assert_eq!(own, paths(&["/srv/a/log", "/srv/b/log", "log"]));
        assert_eq!(above, paths(&["/srv/a", "/srv/b", "/srv"]));
        let many: Vec<String> = (0..300).map(|n| format!("/srv/{n}/log")).collect();
        let (own, above) = chosen(many.iter().map(Path::new).chain([Path::new("/var/x")]), 128);
        assert_eq!((own, above), (paths(&["/srv", "/var"]), Vec::new()));
        let (own, _) = chosen(["a", "b", "c"].iter().map(Path::new), 2);
        assert_eq!(own.len(), 3, "nothing is known to be above");
    }

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
