//! What is told of a folder before its logs are deleted: see [`unfit`](crate::plan::guard::unfit).

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{read_small, resolve};

/// The longest list of users that is read: of a machine that has them in a directory service,
/// only the local ones are in it.
const PASSWD_MAX: usize = 16 << 20;

/// A folder's path without links.
///
/// # Errors
///
/// Whatever the system says.
#[expect(clippy::disallowed_methods, reason = "this is below fs::os")]
pub fn real_path(dir: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(dir)
}

/// Whether a file system, or another view of one, is mounted on a folder.
///
/// # Errors
///
/// Whatever the system says.
pub fn is_mount_point(dir: &Path) -> io::Result<bool> {
    let here = resolve::open_root(dir)?;
    let above = resolve::open_root(&dir.join(".."))?;
    let (here, above) = (resolve::stat_fd(here.as_fd())?, resolve::stat_fd(above.as_fd())?);
    Ok(here.mount != above.mount
        || here.stamp.id.dev != above.stamp.id.dev
        || here.stamp.id == above.stamp.id)
}

/// The device of the file system that a folder is on.
///
/// # Errors
///
/// Whatever the system says.
pub fn device_of(dir: &Path) -> io::Result<u64> {
    let dir = resolve::open_root(dir)?;
    Ok(resolve::stat_fd(dir.as_fd())?.stamp.id.dev)
}

/// The homes of all users of `/etc/passwd`; none where that cannot be read.
#[must_use]
pub fn homes() -> Vec<PathBuf> {
    let text = read_small(Path::new("/etc/passwd"), PASSWD_MAX).unwrap_or_default();
    let home = |line: &[u8]| {
        let home = line.split(|b| *b == b':').nth(5)?;
        home.starts_with(b"/").then(|| PathBuf::from(OsStr::from_bytes(home)))
    };
    text.split(|b| *b == b'\n').filter_map(home).collect()
}
