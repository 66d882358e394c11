//! Who has a file open for writing, and how (proc(5): `/proc/PID/fd`, `/proc/PID/fdinfo`).

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::files::Reader;
use super::resolve;

const PROC: &str = "/proc";

/// What `statfs(2)` says of it (`PROC_SUPER_MAGIC`).
const PROC_TYPE: u64 = 0x9fa0;

/// What `/proc/self/ns/pid` says where all processes of the machine are to be seen
/// (`PROC_PID_INIT_INO`).
const ALL_PROCESSES: &[u8] = b"pid:[4026531836]";

/// The flags stand in the second line of a file of a few hundred bytes.
const FDINFO_MAX: u64 = 4096;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writers {
    /// Nobody writes.
    Nobody,
    /// All who write to it append.
    Append,
    /// Somebody writes where he was.
    Elsewhere,
    /// Not everybody can be seen.
    Unseen,
}

/// How others have the file open that is open as `file`, which does not count.
///
/// In a container, processes outside are not seen: there, one that appends must be seen.
pub(super) fn writers(file: BorrowedFd<'_>) -> io::Result<Writers> {
    // Who may not look at everybody may not even be shown all processes (`hidepid`).
    if !rustix::process::geteuid().is_root() {
        return Ok(Writers::Unseen);
    }
    let proc = match resolve::open_root(Path::new(PROC)) {
        Ok(proc) => proc,
        Err(Errno::NOENT) => return Ok(Writers::Unseen),
        Err(error) => return Err(error.into()),
    };
    if u64::try_from(rustix::fs::fstatfs(&proc)?.f_type).ok() != Some(PROC_TYPE) {
        return Ok(Writers::Unseen);
    }
    let mut pids = Vec::new();
    resolve::list(&proc, &mut |name, _| {
        if name.as_bytes().iter().all(u8::is_ascii_digit) {
            pids.push(name.to_owned());
        }
    })?;
    let mut look = Look { proc, file, own: rustix::process::getpid().to_string(), is_seen: false };
    for pid in pids {
        match look.at_process(&pid) {
            Ok(Writers::Nobody | Writers::Append) => {}
            Ok(other) => return Ok(other),
            // It has ended.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(Errno::ACCESS | Errno::PERM) => return Ok(Writers::Unseen),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(match (look.is_seen, look.sees_all()) {
        (true, _) => Writers::Append,
        (false, true) => Writers::Nobody,
        (false, false) => Writers::Unseen,
    })
}

struct Look<'a> {
    proc: OwnedFd,
    file: BorrowedFd<'a>,
    own: String,
    /// Somebody who appends.
    is_seen: bool,
}

impl Look<'_> {
    fn sees_all(&self) -> bool {
        let link = rustix::fs::readlinkat(&self.proc, "self/ns/pid", Vec::new());
        link.is_ok_and(|link| link.to_bytes() == ALL_PROCESSES)
    }

    fn at_process(&mut self, pid: &OsStr) -> rustix::io::Result<Writers> {
        let process = open_dir(self.proc.as_fd(), pid)?;
        let open_files = open_dir(process.as_fd(), OsStr::new("fd"))?;
        let wanted = resolve::stat_fd(self.file).map_err(errno)?.stamp.id;
        let own = self.file.as_raw_fd().to_string();
        let mut found: Vec<(OsString, bool)> = Vec::new();
        let mut each = |name: &OsStr, _| {
            let is_it = match resolve::stat_through(open_files.as_fd(), name).map_err(errno) {
                Ok(meta) if meta.stamp.id == wanted => true,
                // Its file system is for somebody else alone (FUSE), not even for root.
                Err(Errno::ACCESS | Errno::PERM) => false,
                // Another file, or closed meanwhile.
                _ => return,
            };
            if pid != self.own.as_str() || name != own.as_str() {
                found.push((name.to_owned(), is_it));
            }
        };
        resolve::list(&open_files, &mut each).map_err(errno)?;
        for (name, is_it) in found {
            let info = match info(process.as_fd(), &name) {
                Ok(info) => info,
                // Closed meanwhile.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            match info.flags {
                _ if !is_it && info.ino.is_some_and(|ino| ino != wanted.ino) => {}
                _ if !is_it => return Err(Errno::ACCESS),
                flags if flags & OFlags::RWMODE == OFlags::RDONLY => {}
                flags if flags.contains(OFlags::APPEND) => self.is_seen = true,
                _ => return Ok(Writers::Elsewhere),
            }
        }
        Ok(Writers::Append)
    }
}

fn open_dir(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    resolve::again(|| rustix::fs::openat(parent, name, flags, Mode::empty()))
}

/// How a process has a file open, and which inode that is (Linux 5.14).
struct Info {
    flags: OFlags,
    ino: Option<u64>,
}

fn info(process: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Info> {
    let dir = open_dir(process, OsStr::new("fdinfo"))?;
    let file = resolve::open_file(dir.as_fd(), name, OFlags::RDONLY)?;
    let mut text = Vec::new();
    Reader::new(file).take(FDINFO_MAX).read_to_end(&mut text).map_err(errno)?;
    parse(&text).ok_or(Errno::INVAL)
}

fn parse(text: &[u8]) -> Option<Info> {
    let value = |name: &[u8]| {
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        Some(std::str::from_utf8(line).ok()?.trim())
    };
    let flags = u32::from_str_radix(value(b"flags:")?, 8).ok()?;
    let ino = value(b"ino:").and_then(|ino| ino.parse().ok());
    Some(Info { flags: OFlags::from_bits_retain(flags), ino })
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "tests make their own files")]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    #[test]
    fn flags_are_octal() {
        let text = b"pos:\t0\nflags:\t0102001\nmnt_id:\t32\nino:\t5\n";
        let Info { flags, ino } = parse(text).expect("flags");
        assert!(flags.contains(OFlags::APPEND) && flags & OFlags::RWMODE == OFlags::WRONLY);
        assert_eq!(ino, Some(5));
        assert!(parse(b"pos:\t0\n").is_none());
        assert!(parse(b"flags:\t9\n").is_none());
    }

    #[test]
    fn who_does_not_append_is_seen() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.log");
        let append = || OpenOptions::new().append(true).open(&path).expect("to append");
        let ours = File::create(&path).map(|_| append()).expect("a log");
        let look = || writers(ours.as_fd()).expect("an answer");
        if !rustix::process::geteuid().is_root() {
            assert_eq!(look(), Writers::Unseen);
            return;
        }
        let appender = append();
        let _reader = File::open(&path).expect("to read");
        if look() == Writers::Unseen {
            println!("skipped: a process hides from root");
            return;
        }
        assert_eq!(look(), Writers::Append);
        let writer = OpenOptions::new().write(true).open(&path).expect("to write");
        assert_eq!(look(), Writers::Elsewhere);
        drop(writer);
        assert_eq!(look(), Writers::Append);
        drop(appender);
        assert_eq!(look(), Writers::Nobody);
    }
}
