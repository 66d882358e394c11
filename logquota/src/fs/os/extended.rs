//! Access control lists, SELinux labels and other extended attributes of open files.
//!
//! By the open file, never by a path. Where a file system or kernel has no such thing there
//! is nothing to read, and to set it is no error.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::resolve::again;
use super::small::read_small;
use crate::fs::{Acl, Extended};

const ACL: &str = "system.posix_acl_access";
const LABEL: &str = "security.selinux";

/// What is copied. The rest of `security.` and `system.` belongs to the kernel.
const KEPT: [&str; 2] = ["user.", "trusted."];

/// Most values and lists are shorter than the first; none is longer than the second
/// (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const SIZES: [usize; 2] = [512, 64 << 10];

/// Whether nobody here keeps such attributes.
const fn is_missing(error: Errno) -> bool {
    matches!(error, Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// What `call` puts into a buffer, which is made larger if that is too small.
fn fetch(
    call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut found = Err(Errno::RANGE);
    for size in SIZES {
        let mut buffer = vec![0; size];
        found = again(|| call(&mut buffer)).map(|len| {
            buffer.truncate(len);
            buffer
        });
        if !matches!(found, Err(Errno::RANGE)) {
            break;
        }
    }
    match found {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_missing(error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn get(file: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Option<Vec<u8>>> {
    fetch(|buffer| rustix::fs::fgetxattr(file, name, buffer))
}

fn set(file: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> rustix::io::Result<()> {
    again(|| rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()))
}

/// The access control list; `None` where the mode says it all.
pub(super) fn acl(file: BorrowedFd<'_>) -> io::Result<Option<Acl>> {
    let Some(bytes) = get(file, OsStr::new(ACL))? else { return Ok(None) };
    let not_one = || io::Error::new(io::ErrorKind::InvalidData, "unknown access control list");
    Acl::from_bytes(&bytes).map(Some).ok_or_else(not_one)
}

/// Gives a file this list in place of what its folder gave it. `false` if it cannot have any.
pub(super) fn set_acl(file: BorrowedFd<'_>, acl: Option<&Acl>) -> io::Result<bool> {
    let name = OsStr::new(ACL);
    let done = match acl {
        Some(acl) => set(file, name, &acl.to_bytes()),
        // Nothing is written for most, which have none.
        None if get(file, name)?.is_none() => Ok(()),
        None => again(|| rustix::fs::fremovexattr(file, ACL)),
    };
    match done {
        Ok(()) => Ok(true),
        Err(error) if is_missing(error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Label and attributes for a copy.
pub(super) fn extended(file: BorrowedFd<'_>) -> io::Result<Extended> {
    let label = match get(file, OsStr::new(LABEL)) {
        Ok(label) => label,
        Err(error) => forgive_label(error, is_enforcing()).map(|()| None)?,
    };
    let list = fetch(|buffer| rustix::fs::flistxattr(file, buffer))?.unwrap_or_default();
    let mut others = Vec::new();
    for name in list.split(|byte| *byte == 0) {
        if !KEPT.iter().any(|space| name.starts_with(space.as_bytes())) {
            continue;
        }
        let name = OsStr::from_bytes(name);
        match get(file, name) {
            Ok(value) => others.extend(value.map(|value| (OsString::from(name), value))),
            Err(Errno::PERM | Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Extended { label, others })
}

/// Gives a file a label and attributes. Of the attributes, what the file system, the kernel
/// or its limits do not allow is left out.
pub(super) fn set_extended(file: BorrowedFd<'_>, extended: &Extended) -> io::Result<()> {
    let name = OsStr::new(LABEL);
    // Not asked for if it has it already, as most have from their folder: to be refused what
    // changes nothing is an entry in the machine's audit log.
    if let Some(label) = &extended.label
        && get(file, name).ok().flatten().as_ref() != Some(label)
        && let Err(error) = set(file, name, label)
    {
        forgive_label(error, is_enforcing())?;
    }
    for (name, value) in &extended.others {
        match set(file, name, value) {
            Ok(())
            | Err(
                Errno::OPNOTSUPP
                | Errno::NOSYS
                | Errno::PERM
                | Errno::ACCESS
                // An inode has room for so many; a disk that is full says so to the content.
                | Errno::NOSPC
                | Errno::DQUOT
                | Errno::TOOBIG
                | Errno::RANGE,
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// That a label could not be read or set matters only where labels decide (logrotate(8) does
/// the same).
fn forgive_label(error: Errno, is_enforcing: bool) -> io::Result<()> {
    if is_enforcing && !is_missing(error) { Err(error.into()) } else { Ok(()) }
}

fn is_enforcing() -> bool {
    let said = read_small(Path::new("/sys/fs/selinux/enforce"), 16);
    said.is_ok_and(|said| said.trim_ascii() == b"1")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make their own trees")]
mod tests;
