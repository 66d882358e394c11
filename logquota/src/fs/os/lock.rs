//! Locks between processes: `flock(2)`, which dies with its holder.
//!
//! What is locked is a directory itself, or a file that only its owner can open: nobody
//! else can take the lock and stop us (CVE-2022-1348). A directory that others can open is
//! no such object, and the wait is bounded.

use std::collections::{BTreeMap, BTreeSet};
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

/// See [`Lock::is_held_by_strangers`].
fn strangers_hold(file: &File) -> bool {
    let Ok(stat) = rustix::fs::fstat(file) else { return false };
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

fn stat_of(fd: &OwnedFd, path: &Path) -> Result<rustix::fs::Stat> {
    rustix::fs::fstat(fd).map_err(|error| Error::io(Op::Stat, path)(error.into()))
}

/// What is locked, `most` directories at most, and which of them for oneself: `paths`, and what is
/// above those. Where they are too many, those above some of them.
fn chosen<'p>(paths: impl Iterator<Item = &'p Path>, most: usize) -> BTreeMap<&'p Path, bool> {
    let mut own: BTreeSet<&Path> = paths.collect();
    while own.len() > most {
        let depth = |path: &&'p Path| path.components().count();
        let deepest = own.iter().map(depth).max().unwrap_or_default();
        // The root is everybody's.
        let folder = |path: &'p Path| path.parent().filter(|folder| folder.file_name().is_some());
        let up = |path: &&'p Path| {
            if depth(path) < deepest { path } else { folder(path).unwrap_or(path) }
        };
        let next: BTreeSet<&Path> = own.iter().map(up).collect();
        if next == own {
            break;
        }
        own = next;
    }
    let above: BTreeSet<&Path> = own.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let mut above: Vec<&Path> = above.difference(&own).copied().collect();
    above.retain(|path| path.file_name().is_some());
    // More is below the first ones.
    above.sort_by_key(|path| path.components().count());
    let own = own.into_iter().map(|path| (path, true));
    own.chain(above.into_iter().map(|path| (path, false))).take(most).collect()
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
        let file = File::from(open_dir(&Tree::default(), path)?);
        Self::take(&file, path, wait, FileExt::try_lock_exclusive)?;
        Ok(Self { _held: vec![file] })
    }

    /// Locks directories of a tree, each waiting at most `wait`, in one order whatever theirs. Those
    /// that are not there, or not ours to open, are left out.
    ///
    /// Those above them are shared, so that whoever locks one of those in this way waits, or is
    /// waited for. A lock of users who have no business with a directory
    /// ([`Lock::is_held_by_strangers`]) stops nobody. Where the directories are more than 128, or a
    /// quarter of the files that may be open, some above them are locked in their place.
    ///
    /// # What is not guaranteed
    ///
    /// That nobody works above or below: after `wait` those above are done without (other programs
    /// lock directories, too), and so is what there are too few files for.
    ///
    /// # Errors
    ///
    /// As [`Lock::dir`].
    pub fn dirs_in(tree: &Tree, paths: &[PathBuf], wait: Duration) -> Result<Self> {
        let most = (resolve::open_files_max() / 4).clamp(2, 2 * OWN_MAX);
        let mut opened = Vec::new();
        for (path, is_own) in chosen(paths.iter().map(PathBuf::as_path), most) {
            if let Ok(fd) = open_dir(tree, path) {
                let stat = stat_of(&fd, path)?;
                opened.push((path, File::from(fd), (stat.st_dev, stat.st_ino), is_own));
            }
        }
        // Under different names it may be the same one, and that is locked once.
        let own = |(_, _, id, is_own): &(_, _, _, bool)| is_own.then_some(*id);
        let own: BTreeSet<(u64, u64)> = opened.iter().filter_map(own).collect();
        let mut known = BTreeSet::new();
        let mut patience = wait;
        let mut held = Vec::new();
        for (path, file, id, _) in opened {
            if !known.insert(id) {
                continue;
            }
            if own.contains(&id) {
                held.extend(Self::for_oneself(&file, path, wait)?.then_some(file));
                continue;
            }
            match Self::take(&file, path, patience, FileExt::try_lock_shared) {
                Err(Error::Locked { .. }) => patience = Duration::ZERO,
                taken => held.extend(taken.ok().map(|()| file)),
            }
        }
        Ok(Self { _held: held })
    }

    /// Locks a directory together with others who do it in this way, and against those who use
    /// [`Lock::dir`]; otherwise as that.
    ///
    /// # Errors
    ///
    /// As [`Lock::dir`].
    pub fn dir_together(path: &Path, wait: Duration) -> Result<Self> {
        let file = File::from(open_dir(&Tree::default(), path)?);
        Self::take(&file, path, wait, FileExt::try_lock_shared)?;
        Ok(Self { _held: vec![file] })
    }

    /// Says whether it is locked; not if only strangers hold it. With those that share it, it is
    /// shared: another one of ours is stopped by that.
    fn for_oneself(file: &File, path: &Path, wait: Duration) -> Result<bool> {
        match Self::take(file, path, Duration::ZERO, FileExt::try_lock_exclusive) {
            Err(Error::Locked { .. }) if strangers_hold(file) => {
                Ok(FileExt::try_lock_shared(file).is_ok())
            }
            Err(Error::Locked { .. }) => {
                Self::take(file, path, wait, FileExt::try_lock_exclusive).map(|()| true)
            }
            taken => taken.map(|()| true),
        }
    }

    /// Whether all that hold the lock of a directory are users who have no business with it:
    /// neither root, nor this user, nor the directory's owner. From `/proc/locks`.
    ///
    /// # What is not guaranteed
    ///
    /// `false` also if it cannot be found out, as for a holder in another container, and on btrfs,
    /// whose files have other device numbers there.
    #[must_use]
    pub fn is_held_by_strangers(path: &Path) -> bool {
        open_dir(&Tree::default(), path).is_ok_and(|fd| strangers_hold(&File::from(fd)))
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
        let file = File::from(fd);
        Self::take(&file, path, wait, FileExt::try_lock_exclusive)?;
        Ok(Self { _held: vec![file] })
    }

    fn take(file: &File, path: &Path, wait: Duration, lock: TryLock) -> Result<()> {
        // Counted, not measured: this crate asks no clock for it.
        let mut left = wait.as_millis() / POLL.as_millis();
        loop {
            match lock(file) {
                Ok(()) => return Ok(()),
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
        let own = |paths: &[&str], most| -> Vec<(String, bool)> {
            let chosen = chosen(paths.iter().copied().map(Path::new), most).into_iter();
            chosen.map(|(path, is_own)| (path.display().to_string(), is_own)).collect()
        };
        let is = |path: &str, is_own| (path.to_owned(), is_own);
        let few = ["/srv/b/log", "/srv/a/log", "/srv/a/log/old", "/srv/a/log", "log"];
        assert_eq!(
            own(&few, 9),
            [
                is("/srv", false),
                is("/srv/a", false),
                is("/srv/a/log", true),
                is("/srv/a/log/old", true),
                is("/srv/b", false),
                is("/srv/b/log", true),
                is("log", true)
            ]
        );
        let many: Vec<String> = (0..300).map(|n| format!("/srv/{n}/log")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).chain(["/var/x"]).collect();
        assert_eq!(own(&many, 128), [is("/srv", true), is("/var", true)]);
        assert_eq!(own(&["/a", "/b", "/c"], 2), [is("/a", true), is("/b", true)], "not the root");
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
