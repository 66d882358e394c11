//! What is told of a folder before its logs are deleted: see [`unfit`](crate::plan::guard::unfit).

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use super::{Tree, resolve};
use crate::fs::config::Accounts;

/// A folder's path without links.
///
/// # Errors
///
/// Whatever the system says.
#[expect(clippy::disallowed_methods, reason = "this is below fs::os")]
pub fn real_path(tree: &Tree, dir: &Path) -> io::Result<PathBuf> {
    match tree.path() {
        Some(_) => tree.real_path(dir),
        None => std::fs::canonicalize(dir),
    }
}

/// Whether a file system, or another view of one, is mounted on a folder.
///
/// # Errors
///
/// Whatever the system says.
pub fn is_mount_point(tree: &Tree, dir: &Path) -> io::Result<bool> {
    let here = tree.open_dir(dir)?;
    let above = tree.open_dir(&dir.join(".."))?;
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
pub fn device_of(tree: &Tree, dir: &Path) -> io::Result<u64> {
    let dir = tree.open_dir(dir)?;
    Ok(resolve::stat_fd(dir.as_fd())?.stamp.id.dev)
}

/// The homes of all users of `/etc/passwd`; none where that cannot be read. Of a machine that has
/// its users in a directory service, only the local ones are in it.
#[must_use]
pub fn homes(tree: &Tree) -> Vec<PathBuf> {
    Accounts::of(tree).homes().map(Path::to_owned).collect()
}
