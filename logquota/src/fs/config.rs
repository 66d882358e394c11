//! Reading configuration files: the part of the disk's edge that the configuration needs.
//!
//! What is said about a file (owner, mode, kind) is said about the file that was opened, so
//! that nobody can swap it between the check and the reading. Nothing here decides whether a
//! file is trusted, or writes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};
use rustix::fs::{FileType, OFlags};

use super::os::Tree;

mod accounts;

pub use self::accounts::Accounts;

/// The longest configuration file that is read, in bytes, as in logrotate.
pub const CONFIG_LEN_MAX: u64 = 16_777_215;

/// A configuration file that was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its content; empty if it is no regular file.
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Whether it is a regular file. Others are not read.
    pub is_regular: bool,
}

/// What a name in a folder of configuration files stands for, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A file, or a link that leads nowhere: reading it says what is wrong.
    File,
    /// A folder.
    Dir,
    /// A pipe, socket or device.
    Other,
}

/// What stands under a name, as far as a pattern of logs asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NameKind {
    /// A folder.
    Dir,
    /// Anything else; also a link, wherever it leads.
    Other,
}

/// A folder of configuration files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigDir {
    /// Its names but `.` and `..`, in no order.
    pub entries: Vec<(OsString, EntryKind)>,
    /// Permission bits of the folder.
    pub mode: u32,
    /// Owner of the folder.
    pub uid: u32,
    /// Group of the folder.
    pub gid: u32,
}

/// Reads a configuration file. Links are followed: the administrator named it. Never waits for
/// the other end of a pipe, and leaves the access time as it was where the system allows it.
///
/// # Errors
///
/// `FileTooLarge` above [`CONFIG_LEN_MAX`] (before anything is read), `IsADirectory`, and
/// whatever the system says.
pub fn read_config(tree: &Tree, path: &Path) -> io::Result<ConfigFile> {
    // Opening some devices does something; they are not opened at all.
    let looked = tree.stat(path)?;
    if !matches!(
        FileType::from_raw_mode(looked.st_mode),
        FileType::RegularFile | FileType::Directory
    ) {
        return Ok(ConfigFile {
            bytes: Vec::new(),
            mode: permissions(looked.st_mode),
            uid: looked.st_uid,
            is_regular: false,
        });
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = open_quietly(tree, path, flags)?;
    let stat = rustix::fs::fstat(&fd)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(io::ErrorKind::IsADirectory.into()),
        _ => {
            return Ok(ConfigFile {
                bytes: Vec::new(),
                mode: permissions(stat.st_mode),
                uid: stat.st_uid,
                is_regular: false,
            });
        }
    }
    let len = u64::try_from(stat.st_size).unwrap_or(0);
    if len > CONFIG_LEN_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let bytes = read_to_end(&fd)?;
    Ok(ConfigFile { bytes, mode: permissions(stat.st_mode), uid: stat.st_uid, is_regular: true })
}

/// Lists a folder of configuration files.
///
/// # Errors
///
/// `NotADirectory`, and whatever the system says.
pub fn list_config_dir(tree: &Tree, path: &Path) -> io::Result<ConfigDir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = open_quietly(tree, path, flags)?;
    let stat = rustix::fs::fstat(&fd)?;
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::read_from(&fd)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let os_name = OsStr::from_bytes(name.to_bytes());
        let found = match tree.path() {
            Some(_) => tree.stat(&path.join(os_name)),
            None => rustix::fs::statat(&fd, name, rustix::fs::AtFlags::empty()),
        };
        let kind = match found {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Dir,
                _ => EntryKind::Other,
            },
            Err(_) => EntryKind::File,
        };
        entries.push((os_name.to_owned(), kind));
    }
    let mode = permissions(stat.st_mode);
    Ok(ConfigDir { entries, mode, uid: stat.st_uid, gid: stat.st_gid })
}

/// The names in a folder but `.` and `..`, in no order, links to the folder followed. A kind
/// that is not known without a further look is not looked at.
///
/// # Errors
///
/// `NotADirectory`, and whatever the system says.
pub fn names_in(tree: &Tree, path: &Path) -> io::Result<Vec<(OsString, Option<NameKind>)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = open_quietly(tree, path, flags)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Directory => Some(NameKind::Dir),
            FileType::Unknown => None,
            _ => Some(NameKind::Other),
        };
        names.push((std::os::unix::ffi::OsStringExt::from_vec(name.to_vec()), kind));
    }
    Ok(names)
}

/// What stands under a path, a link at its end not followed; `None` if there is nothing.
#[must_use]
pub fn kind_of(tree: &Tree, path: &Path) -> Option<NameKind> {
    let stat = tree.lstat(path).ok()?;
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => NameKind::Dir,
        _ => NameKind::Other,
    })
}

/// The id of a user by name; `None` if there is none or the database cannot be asked.
#[must_use]
pub fn user_id(name: &str) -> Option<u32> {
    User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
}

/// The group that a user of this name or id starts with.
#[must_use]
pub fn first_group_of(user: &str) -> Option<u32> {
    let found = match user.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(user),
    };
    found.ok().flatten().map(|user| user.gid.as_raw())
}

/// The id of a group by name; `None` if there is none or the database cannot be asked.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

/// Whether the database knows a user of this id.
#[must_use]
pub fn user_exists(uid: u32) -> bool {
    User::from_uid(Uid::from_raw(uid)).is_ok_and(|user| user.is_some())
}

/// Whether the database knows a group of this id.
#[must_use]
pub fn group_exists(gid: u32) -> bool {
    Group::from_gid(Gid::from_raw(gid)).is_ok_and(|group| group.is_some())
}

/// The home folder of a user in the database.
#[must_use]
pub fn user_home(name: &str) -> Option<PathBuf> {
    User::from_name(name).ok().flatten().map(|user| user.dir)
}

/// The home folder of the user we act as, from the database.
#[must_use]
pub fn own_home() -> Option<PathBuf> {
    User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir)
}

/// The user we act as.
#[must_use]
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The whole file. It may have grown since it was looked at.
fn read_to_end(fd: &rustix::fd::OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(64 << 10);
        match rustix::io::read(fd, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > CONFIG_LEN_MAX => {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Without a trace in the access time, where we may.
fn open_quietly(tree: &Tree, path: &Path, flags: OFlags) -> io::Result<rustix::fd::OwnedFd> {
    match tree.open(path, flags | OFlags::NOATIME) {
        Err(rustix::io::Errno::PERM) => Ok(tree.open(path, flags)?),
        other => Ok(other?),
    }
}

const fn permissions(mode: u32) -> u32 {
    mode & 0o7777
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests make their own files"
)]
mod tests {
    use super::*;

    #[test]
    fn h31_what_is_said_about_a_file_is_said_about_what_was_opened() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = dir.path().join("app");
        std::fs::write(&file, "daily\n").expect("written");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o664))
            .expect("chmod");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("link");
        let read = read_config(&Tree::default(), &link).expect("read");
        assert_eq!(
            (read.bytes.as_slice(), read.mode, read.uid, read.is_regular),
            (b"daily\n".as_slice(), 0o664, effective_uid(), true)
        );
    }

    #[test]
    fn h34_a_file_too_long_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = dir.path().join("app");
        std::fs::File::create(&file).and_then(|f| f.set_len(1 << 30)).expect("sparse file");
        let error = read_config(&Tree::default(), &file).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn h09_a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, 0o600.into(), 0).expect("pipe");
        assert!(!read_config(&Tree::default(), &pipe).expect("looked at").is_regular);
        let listed = list_config_dir(&Tree::default(), dir.path()).expect("listed");
        assert_eq!(listed.entries, [("pipe".into(), EntryKind::Other)]);
    }

    #[test]
    fn a_folder_is_listed_and_not_read() {
        let dir = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir(dir.path().join("sub")).expect("folder");
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).expect("link");
        let kind = read_config(&Tree::default(), dir.path()).expect_err("a folder").kind();
        assert_eq!(kind, io::ErrorKind::IsADirectory);
        let mut listed = list_config_dir(&Tree::default(), dir.path()).expect("listed").entries;
        listed.sort();
        assert_eq!(listed, [("dangling".into(), EntryKind::File), ("sub".into(), EntryKind::Dir)]);
    }
}
