//! From names to inodes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use super::disk::{Body, Disk, Ino, ROOT};
use super::fault::{EINVAL, ELOOP, ENOENT, ENOTDIR, errno};

impl Disk {
    pub(super) fn entries(&self, dir: Ino) -> io::Result<&BTreeMap<OsString, Ino>> {
        match &self.node(dir)?.body {
            Body::Dir(entries) => Ok(entries),
            _ => Err(errno(ENOTDIR)),
        }
    }

    pub(super) fn lookup(&self, dir: Ino, name: &OsStr) -> io::Result<Option<Ino>> {
        check_name(name)?;
        Ok(self.entries(dir)?.get(name).copied())
    }

    pub(super) fn find(&self, dir: Ino, name: &OsStr) -> io::Result<Ino> {
        self.lookup(dir, name)?.ok_or_else(|| errno(ENOENT))
    }

    /// The regular file of that name, not followed.
    pub(super) fn find_file(&self, dir: Ino, name: &OsStr) -> io::Result<Ino> {
        let ino = self.find(dir, name)?;
        match self.node(ino)?.body {
            Body::File(_) => Ok(ino),
            Body::Symlink(_) => Err(errno(ELOOP)),
            Body::Dir(_) | Body::Special => Err(errno(EINVAL)),
        }
    }

    /// Walks an absolute path from the root, following links.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<Ino> {
        let mut links = 0;
        let mut at = vec![ROOT];
        let mut rest: Vec<OsString> = components(path)?;
        while let Some(name) = rest.pop() {
            if name == ".." {
                if at.len() > 1 {
                    at.pop();
                }
                continue;
            }
            let here = at.last().copied().unwrap_or(ROOT);
            let ino = self.entries(here)?.get(&name).copied().ok_or_else(|| errno(ENOENT))?;
            if let Body::Symlink(target) = &self.node(ino)?.body {
                links += 1;
                if links > 40 {
                    return Err(errno(ELOOP));
                }
                if target.is_absolute() {
                    at.truncate(1);
                }
                rest.extend(components(target)?);
            } else {
                at.push(ino);
            }
        }
        Ok(at.last().copied().unwrap_or(ROOT))
    }
}

/// A single component that names something.
pub(super) fn check_name(name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    let single = !bytes.is_empty() && !bytes.iter().any(|b| matches!(b, b'/' | 0));
    if single && name != "." && name != ".." { Ok(()) } else { Err(errno(EINVAL)) }
}

/// The components of a path, last first.
fn components(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => names.push("..".into()),
            Component::Prefix(_) => return Err(errno(EINVAL)),
        }
    }
    names.reverse();
    Ok(names)
}
