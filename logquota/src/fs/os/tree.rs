//! Where absolute paths begin: at the top of this system, or at that of the disk of another
//! machine that is mounted somewhere here.
//!
//! In such a tree the system resolves each path as if the tree were all there is
//! (`RESOLVE_IN_ROOT` of `openat2(2)`): links and `..` lead where they lead on that machine, and
//! nothing leads out, whatever is linked or renamed meanwhile. Where the kernel cannot do that
//! (before Linux 5.6) there is no such tree.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::files::Reader;
use super::fitness::is_mount_point;
use super::resolve;
use crate::error::printable;
use crate::plan::Disk;
use crate::stamp::Kind;

/// A host name has 64 bytes at most, a machine id 32.
const ID_MAX: usize = 256;

/// Where absolute paths begin; by default at the top of this system.
#[derive(Clone, Debug, Default)]
pub struct Tree(Option<Arc<Mounted>>);

#[derive(Debug)]
struct Mounted {
    top: OwnedFd,
    path: PathBuf,
}

impl Tree {
    /// The tree that is mounted, or lies, at `path`; links in `path` are followed. It stays that
    /// one, whatever is mounted there later.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the kernel cannot keep paths inside it, `InvalidInput` for the root of
    /// this system itself, by whatever name or mount, and for a folder on which nothing is mounted
    /// and that has no `/etc`; and whatever the system says.
    pub fn mounted(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let top = resolve::open_root(&path)?;
        let (is, own) = (resolve::stat_fd(top.as_fd())?, resolve::open_root(Path::new("/"))?);
        let own = resolve::stat_fd(own.as_fd())?;
        let refused = |kind, why| Err(io::Error::new(kind, why));
        if is.stamp.id == own.stamp.id {
            return refused(io::ErrorKind::InvalidInput, "it is the root of this system itself");
        }
        let is_mount = is_mount_point(&Self::default(), &path)?;
        let tree = Self(Some(Arc::new(Mounted { top, path })));
        match tree.open(Path::new("/"), OFlags::PATH | OFlags::CLOEXEC) {
            Ok(_) => {}
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
                let why = "this kernel cannot keep paths inside it (openat2, Linux 5.6)";
                return refused(io::ErrorKind::Unsupported, why);
            }
            Err(error) => return Err(error.into()),
        }
        if !is_mount && !tree.has(Path::new("/etc")) {
            let why = "nothing is mounted there, and it has no /etc";
            return refused(io::ErrorKind::InvalidInput, why);
        }
        Ok(tree)
    }

    /// Where it is mounted; none for this system itself.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.as_ref().map(|mounted| mounted.path.as_path())
    }

    /// The disk that it is, and whose, as far as its files tell; none for this system itself.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn disk(&self) -> io::Result<Option<Disk>> {
        let Some(mounted) = &self.0 else { return Ok(None) };
        let meta = resolve::stat_fd(mounted.top.as_fd())?;
        let first_line = |path: &str| {
            let text = self.read_small(Path::new(path), ID_MAX).unwrap_or_default();
            let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            let line = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
            printable(OsStr::from_bytes(line.unwrap_or_default()))
        };
        Ok(Some(Disk {
            path: mounted.path.clone(),
            id: meta.stamp.id,
            mount: meta.mount,
            name: first_line("/etc/hostname"),
            machine_id: first_line("/etc/machine-id"),
        }))
    }

    /// The content of a regular file of at most `limit` bytes. Its access time stays as it was,
    /// where the system allows that.
    ///
    /// # Errors
    ///
    /// `FileTooLarge` if it is longer, `InvalidInput` if it is no regular file (links are
    /// followed, they are the administrator's), and whatever the system says.
    pub fn read_small(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        // Looked at first: to open some devices does something.
        if FileType::from_raw_mode(self.stat(path)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = resolve::quietly(flags, |flags| self.open(path, flags))?;
        let meta = resolve::stat_fd(fd.as_fd())?;
        if meta.kind != Kind::File {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        Reader::new(fd).take(most).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    /// Whether there is anything under a path, links followed.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        self.stat(path).is_ok()
    }

    /// Whether a path leads to a folder.
    #[must_use]
    pub fn has_dir(&self, path: &Path) -> bool {
        self.open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC).is_ok()
    }

    /// Opens a path, links followed.
    pub(in crate::fs) fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let Some(mounted) = &self.0 else {
            return resolve::again(|| rustix::fs::open(path, flags, Mode::empty()));
        };
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        resolve::again(|| {
            resolve::retry_race(|| {
                rustix::fs::openat2(&mounted.top, path, flags, Mode::empty(), within)
            })
        })
    }

    /// Opens a folder by a path that the administrator wrote.
    pub(super) fn open_dir(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        resolve::quietly(resolve::DIRECTORY, |flags| self.open(path, flags))
    }

    /// Looks through a path, at what is behind it. Nothing is opened to be used.
    pub(in crate::fs) fn stat(&self, path: &Path) -> rustix::io::Result<Stat> {
        rustix::fs::fstat(self.open(path, OFlags::PATH | OFlags::CLOEXEC)?)
    }

    /// Looks at a path; a link at its end is not followed.
    pub(in crate::fs) fn lstat(&self, path: &Path) -> rustix::io::Result<Stat> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::fstat(self.open(path, flags)?)
    }

    /// A folder's path without links, as it is in the tree.
    pub(super) fn real_path(&self, dir: &Path) -> io::Result<PathBuf> {
        // A folder that is open tells its name.
        let name_of = |fd: &OwnedFd| {
            let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let name = rustix::fs::readlinkat(rustix::fs::CWD, link, Vec::new())?;
            Ok::<_, io::Error>(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
        };
        let real = name_of(&self.open_dir(dir)?)?;
        let Some(mounted) = &self.0 else { return Ok(real) };
        let top = name_of(&mounted.top)?;
        let below = real.strip_prefix(top).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Path::new("/").join(below))
    }
}
