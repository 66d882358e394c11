//! Small files that are read and replaced whole: state files, the machine id.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, OFlags};

use super::files::{Reader, Writer};
use super::{Tree, resolve};
use crate::fs::{Acl, Attributes, Extended, NewFile as _, ReadFile as _};
use crate::naming::temporary_name;
use crate::stamp::{Kind, Meta};

/// The content of a regular file of at most `limit` bytes. Its access time stays as it was,
/// where the system allows that.
///
/// # Errors
///
/// `FileTooLarge` if it is longer, `InvalidInput` if it is no regular file (links are
/// followed, they are the administrator's), and whatever the system says.
pub fn read_small(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    Tree::default().read_small(path, limit)
}

/// Replaces the content of a file at once: whoever reads it, also after a crash, sees all of
/// the old or all of the new. It keeps owner, mode and access control list of the old one, less
/// what others were allowed, and its SELinux label, as logrotate(8)'s state file does; without
/// an old one it gets `mode_default`. A link in its place is replaced, not
/// followed.
///
/// # Errors
///
/// Whatever the system says, such as `StorageFull`; the old content is then still there and
/// nothing else is left behind.
pub fn replace_file(path: &Path, bytes: &[u8], mode_default: u32) -> io::Result<()> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a file name");
    let name = path.file_name().ok_or_else(no_name)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = resolve::open_root(folder)?;
    let old = match resolve::stat_at(folder.as_fd(), name) {
        Ok(meta) if meta.kind == Kind::Dir => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(meta) => Some(meta),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let like = old.as_ref().map(|old| like(folder.as_fd(), name, old)).transpose()?.flatten();
    let (temp, file) = create_temporary(folder.as_fd(), name)?;
    let filled = fill(file, bytes, &attributes(old.as_ref(), mode_default), like);
    let done = filled
        .and_then(|()| Ok(resolve::again(|| rustix::fs::renameat(&folder, &temp, &folder, name))?));
    if let Err(error) = done {
        // It is ours, made above; if it cannot go, the next call takes it away.
        let _ = rustix::fs::unlinkat(&folder, &temp, AtFlags::empty());
        return Err(error);
    }
    resolve::sync_dir(folder.as_fd())
}

fn attributes(old: Option<&Meta>, mode_default: u32) -> Attributes {
    match old {
        Some(old) if old.kind == Kind::File => Attributes {
            mode: Some(old.mode & 0o770),
            owner: Some((old.uid, old.gid)),
            times: None,
        },
        _ => Attributes { mode: Some(mode_default), ..Attributes::default() },
    }
}

/// Access control list and label of the old file, if it is one and ours to read.
fn like(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    old: &Meta,
) -> io::Result<Option<(Option<Acl>, Extended)>> {
    if old.kind != Kind::File {
        return Ok(None);
    }
    let Ok(file) = resolve::open_file(folder, name, OFlags::RDONLY | OFlags::NONBLOCK) else {
        return Ok(None);
    };
    let file = Reader::new(file);
    if file.meta()?.stamp.id != old.stamp.id {
        return Ok(None);
    }
    Ok(Some((file.acl()?, file.extended()?.label_only())))
}

/// The temporary file; one that a killed run left is removed first. The name is a digest of
/// the file's name, so that there is never more than one.
fn create_temporary(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<(OsString, OwnedFd)> {
    let temp = temporary_name(name);
    let made = match resolve::create(folder, &temp, OFlags::empty()) {
        Err(rustix::io::Errno::EXIST) => {
            resolve::again(|| rustix::fs::unlinkat(folder, &temp, AtFlags::empty()))?;
            resolve::create(folder, &temp, OFlags::empty())
        }
        other => other,
    };
    Ok((temp, made?))
}

fn fill(
    file: OwnedFd,
    bytes: &[u8],
    attributes: &Attributes,
    like: Option<(Option<Acl>, Extended)>,
) -> io::Result<()> {
    let mut file = Writer::new(file);
    if let Some((_, label)) = &like {
        file.set_extended(label)?;
    }
    file.write_all(bytes)?;
    match like {
        Some((acl, _)) => file.set_access(attributes, acl.as_ref())?,
        None => file.set_attributes(attributes)?,
    }
    file.sync()
}
