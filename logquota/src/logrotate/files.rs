//! Opening the files of a configuration: who may have written them, and how many there may be.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::diagnostic::{Fault, Source};
use super::env::{ConfigDir, EntryKind, Env};
use super::parse::Statement;
use super::taboo::Taboo;
use super::values;
use crate::error::printable;

/// How deep files may include each other, as in logrotate.
const NESTING_MAX: usize = 16;

/// How many files are read at most, and how many bytes in all: with links, a few small files
/// can include each other more often than anybody can wait for.
const FILES_MAX: usize = 4096;
const BYTES_MAX: usize = 64 << 20;

/// The files that were opened so far.
pub(super) struct Files<'e> {
    env: &'e dyn Env,
    read: Vec<PathBuf>,
    bytes: usize,
    /// The files being read, outermost first.
    stack: Vec<PathBuf>,
}

/// Why a file cannot be used at all.
pub(super) struct Unusable {
    pub(super) message: String,
    pub(super) help: String,
    pub(super) is_folder: bool,
}

/// Why a file is not read where logrotate is replaced.
pub(super) enum Refused {
    /// It cannot be.
    Io(io::Error),
    /// It is a pipe or a device; not an error.
    NotRegular,
    /// It must not be, in logrotate's words; and its mode, if that is unusual.
    Why(String, Option<u32>),
}

impl Unusable {
    fn new(message: String, help: impl Into<String>) -> Self {
        Self { message, help: help.into(), is_folder: false }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        let is_folder = error.kind() == io::ErrorKind::IsADirectory;
        let message = format!("cannot read `{}`: {error}", printable(path));
        Self { is_folder, ..Self::new(message, "") }
    }
}

impl<'e> Files<'e> {
    pub(super) const fn new(env: &'e dyn Env) -> Self {
        Self { env, read: Vec::new(), bytes: 0, stack: Vec::new() }
    }

    /// Every file that was opened.
    pub(super) fn into_read(self) -> Vec<PathBuf> {
        self.read
    }

    /// What is opened from now on is included by this file.
    pub(super) fn enter(&mut self, source: &Source) {
        self.stack.push(source.path.clone());
    }

    /// The innermost file has been read.
    pub(super) fn leave(&mut self) {
        self.stack.pop();
    }

    /// The files of a folder that are not taboo, in order.
    pub(super) fn listed(&self, path: &Path, taboo: &Taboo) -> Result<Vec<PathBuf>, Unusable> {
        let dir = self.env.list_dir(path).map_err(|error| Unusable::io(path, &error))?;
        self.trust(path, dir.mode, dir.uid)?;
        let mut names: Vec<OsString> = dir
            .entries
            .into_iter()
            .filter(|(name, kind)| *kind == EntryKind::File && !taboo.has(name))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|name| path.join(name)).collect())
    }

    /// What root obeys, nobody else may write.
    fn trust(&self, path: &Path, mode: u32, uid: u32) -> Result<(), Unusable> {
        let shown = printable(path);
        if self.env.effective_uid() != 0 {
            return Ok(());
        }
        if uid != 0 {
            return Err(Unusable::new(
                format!("`{shown}` belongs to user {uid} and not to root: file owner is wrong"),
                "give it to root",
            ));
        }
        if mode & 0o022 != 0 {
            return Err(Unusable::new(
                format!("`{shown}` is writable by group or others (mode {mode:04o})"),
                "take that away with `chmod go-w`",
            ));
        }
        Ok(())
    }

    /// Reads a file, if it may be used.
    pub(super) fn open(&mut self, path: &Path) -> Result<Rc<Source>, Unusable> {
        let shown = printable(path);
        if self.stack.iter().any(|open| open == path) {
            return Err(Unusable::new(format!("`{shown}` includes itself"), "remove the include"));
        }
        if self.stack.len() > NESTING_MAX {
            return Err(Unusable::new(
                format!("include nesting too deep: more than {NESTING_MAX} files in each other"),
                "perhaps a file includes itself by another name",
            ));
        }
        if self.read.len() >= FILES_MAX || self.bytes >= BYTES_MAX {
            return Err(Unusable::new(
                format!("`{shown}` is not read: more than {FILES_MAX} files, or 64 MiB, by now"),
                "perhaps files include each other by several names",
            ));
        }
        let file = self.env.read(path).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Unusable::new(
                format!("`{shown}` is too long for a configuration"),
                "at most 16777215 bytes are read",
            ),
            _ => Unusable::io(path, &error),
        })?;
        if !file.is_regular {
            return Err(Unusable::new(format!("`{shown}` is no regular file"), ""));
        }
        self.trust(path, file.mode, file.uid)?;
        self.read.push(path.to_owned());
        self.bytes = self.bytes.saturating_add(file.bytes.len());
        Ok(Rc::new(Source { path: path.to_owned(), shown: path.to_owned(), bytes: file.bytes }))
    }

    /// Whether root must not read a folder where logrotate is replaced: somebody else may put
    /// files of root's there, by links to them.
    pub(super) fn is_of_others(&self, dir: &ConfigDir) -> bool {
        let is_open = dir.mode & 0o002 != 0 || (dir.mode & 0o020 != 0 && dir.gid != 0);
        self.env.effective_uid() == 0 && (is_open || dir.uid != 0)
    }

    /// Whether no file may be included any more by the one that is being read.
    pub(super) fn is_too_deep(&self) -> bool {
        self.stack.len() > NESTING_MAX
    }

    /// Reads a file as logrotate does: with what it refuses, and with the mode if that is so
    /// unusual that it warns. Files are asked for their owner and mode only by root.
    pub(super) fn open_classic(
        &mut self,
        path: &Path,
        shown: &Path,
    ) -> Result<(Rc<Source>, Option<u32>), Refused> {
        let name = printable(shown);
        if self.read.len() >= FILES_MAX || self.bytes >= BYTES_MAX {
            let why = format!("{name}: too many files are included");
            return Err(Refused::Why(why, None));
        }
        let file = self.env.read(path).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => {
                let why = format!("file {name} too large, probably not a config file.");
                Refused::Why(why, None)
            }
            _ => Refused::Io(error),
        })?;
        if !file.is_regular {
            return Err(Refused::NotRegular);
        }
        let is_root = self.env.effective_uid() == 0;
        let unusual = (is_root && file.mode & !0o644 != 0).then_some(file.mode);
        if is_root && file.mode & 0o022 != 0 {
            let why = format!("Ignoring {name} because it is writable by group or others.");
            return Err(Refused::Why(why, unusual));
        }
        if is_root && file.uid != 0 {
            let why = format!(
                "Ignoring {name} because the file owner is wrong (should be root or user with uid 0)."
            );
            return Err(Refused::Why(why, unusual));
        }
        self.read.push(path.to_owned());
        self.bytes = self.bytes.saturating_add(file.bytes.len());
        let source = Source { path: path.to_owned(), shown: shown.to_owned(), bytes: file.bytes };
        Ok((Rc::new(source), unusual))
    }

    /// The path that an `include` names.
    pub(super) fn included(
        &self,
        source: &Source,
        statement: &Statement<'_>,
    ) -> Result<PathBuf, Fault> {
        let wrong = |message: String, help: &str| Fault::new(statement.value_pos, message, help);
        if statement.value.is_empty() {
            return Err(wrong("`include` needs a value".to_owned(), "write a path behind it"));
        }
        if statement.value.contains(&0) {
            return Err(wrong("a path with a NUL byte".to_owned(), "correct it"));
        }
        let path = values::at_home(statement.value, self.env).ok_or_else(|| {
            wrong("there is no home folder for `~`".to_owned(), "write the whole path")
        })?;
        // `join` keeps an absolute path as it is.
        Ok(source.path.parent().unwrap_or(Path::new("")).join(path))
    }
}
