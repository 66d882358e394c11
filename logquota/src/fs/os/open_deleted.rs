//! Which processes hold files that are deleted: their space is not free until they close them.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::resolve;
use crate::units::Bytes;

/// What the kernel puts behind the name of a deleted file.
const DELETED: &[u8] = b" (deleted)";

/// The name of a process is at most 16 bytes and a line break.
const NAME_MAX: usize = 64;

/// A deleted file that a process holds open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenDeleted {
    /// What it occupies.
    pub bytes: Bytes,
    /// The process.
    pub pid: u32,
    /// The name of its program.
    pub command: OsString,
    /// How the file was called.
    pub path: PathBuf,
    /// Its device.
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
}

/// What was found, the largest first; a file that several processes hold is named for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenDeletedFiles {
    /// The files.
    pub files: Vec<OpenDeleted>,
    /// How many processes could not be looked at: others' are only for root.
    pub hidden: usize,
}

/// Every deleted file of the devices `devs` that another process holds open, as `/proc` tells. Nothing
/// is opened but the folders there; files that are only mapped into memory are not found.
///
/// # Errors
///
/// That `/proc` cannot be read.
pub fn open_deleted(devs: &[u64]) -> io::Result<OpenDeletedFiles> {
    let mut found = OpenDeletedFiles::default();
    let own = std::process::id();
    for pid in numbers(Path::new("/proc"))?.into_iter().filter(|pid| *pid != own) {
        let process = PathBuf::from(format!("/proc/{pid}"));
        match of_process(&process, pid, devs) {
            Ok(files) => found.files.extend(files),
            // It has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => found.hidden = found.hidden.saturating_add(1),
        }
    }
    found.files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.cmp(b)));
    Ok(found)
}

fn of_process(process: &Path, pid: u32, devs: &[u64]) -> io::Result<Vec<OpenDeleted>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let folder = process.join("fd");
    for number in numbers(&folder)? {
        let link = folder.join(number.to_string());
        // It may be closed meanwhile.
        let Ok(target) = rustix::fs::readlinkat(CWD, &link, Vec::new()) else { continue };
        let Some(name) = target.as_bytes().strip_suffix(DELETED) else { continue };
        let Ok(stat) = rustix::fs::statat(CWD, &link, AtFlags::empty()) else { continue };
        let (dev, ino) = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 0 || !devs.contains(&dev) || !seen.insert((dev, ino)) {
            continue;
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        found.push(OpenDeleted {
            bytes: Bytes::new(blocks.saturating_mul(512)),
            pid,
            command: command(process),
            path: OsStr::from_bytes(name).into(),
            dev,
            ino,
        });
    }
    Ok(found)
}

fn command(process: &Path) -> OsString {
    let name = super::read_small(&process.join("comm"), NAME_MAX).unwrap_or_default();
    OsString::from_vec(name.trim_ascii_end().to_vec())
}

/// The names in a folder that are numbers.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u32>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(folder, flags, Mode::empty())?;
    let mut found = Vec::new();
    resolve::list(&dir, &mut |name, _| {
        found.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    })?;
    Ok(found)
}
