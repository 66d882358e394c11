//! What reading a configuration needs from outside its text: files, folders, users.
//!
//! The language itself touches no disk and no environment; all of that goes through
//! [`Env`]. [`SystemEnv`] is this machine, `MemEnv` (feature `testing`) a made-up one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Closed;
pub use super::expand::GlobError;
use super::expand::{Names, expand};
use super::transcript::Line;
use crate::fs::config::{self, Accounts};
pub use crate::fs::config::{CONFIG_LEN_MAX, ConfigDir, ConfigFile, EntryKind, NameKind};
use crate::fs::os::Tree;

/// Files, folders and users, as far as a configuration can name them.
pub trait Env {
    /// Reads a configuration file, following links.
    ///
    /// # Errors
    ///
    /// `FileTooLarge` above [`CONFIG_LEN_MAX`], `IsADirectory`, and whatever the system says.
    fn read(&self, path: &Path) -> io::Result<ConfigFile>;

    /// Lists a folder.
    ///
    /// # Errors
    ///
    /// `NotADirectory`, and whatever the system says.
    fn list_dir(&self, path: &Path) -> io::Result<ConfigDir>;

    /// The id of a user.
    fn user_id(&self, name: &str) -> Option<u32>;

    /// The id of a group.
    fn group_id(&self, name: &str) -> Option<u32>;

    /// Whether there is a user of this id.
    fn user_exists(&self, uid: u32) -> bool;

    /// Whether there is a group of this id.
    fn group_exists(&self, gid: u32) -> bool;

    /// The home folder of a user (`~user`).
    fn user_home(&self, name: &str) -> Option<PathBuf>;

    /// Our own home folder (`~`).
    fn home(&self) -> Option<PathBuf>;

    /// The user we act as. If it is root, files that others can change are refused.
    fn effective_uid(&self) -> u32;

    /// The paths that a pattern stands for now, as glob(3) finds them: sorted by their bytes,
    /// folders left out, links of any kind left in, a leading dot never matched by a wildcard.
    /// `None` if nothing matches. Asked only where logrotate is replaced.
    ///
    /// # Errors
    ///
    /// A folder on the way that exists and cannot be read.
    fn glob(&self, pattern: &[u8]) -> Result<Option<Vec<PathBuf>>, GlobError>;

    /// Asked at the closing brace of a block with an `olddir` where logrotate is replaced:
    /// whether its archives can go there. Whoever has a disk looks at it, and makes the folder
    /// if [`ArchiveDir::create`](crate::policy::ArchiveDir::create) is set, as logrotate does
    /// while it reads (`docs/logrotate-differences.md` has what it checks). What is given to
    /// `say` stands in the transcript at this place. By default everything is fine.
    ///
    /// # Errors
    ///
    /// The block cannot be used, in logrotate's words, without file and line: `error verifying
    /// olddir path DIR: REASON`. The block is dropped and so is the rest of its file.
    fn check_old_dir(&self, block: &Closed<'_>, say: &mut dyn FnMut(Line)) -> Result<(), String> {
        let _ = (block, say);
        Ok(())
    }
}

/// This machine, or the disk of another one.
#[derive(Clone, Debug, Default)]
pub struct SystemEnv {
    home: Option<PathBuf>,
    tree: Tree,
    /// Of the other machine: its users.
    accounts: Option<Arc<Accounts>>,
}

impl SystemEnv {
    /// This machine, with what the caller's environment says about the home folder (`$HOME`); the
    /// user database is asked if it says nothing.
    #[must_use]
    pub fn new(home: Option<PathBuf>) -> Self {
        Self { home, ..Self::default() }
    }

    /// The files of a tree, with the users and groups that its own `/etc/passwd` and `/etc/group`
    /// have. Nothing there is made or changed, and no folder for archives is checked.
    #[must_use]
    pub fn within(tree: Tree) -> Self {
        let accounts = tree.path().map(|_| Arc::new(Accounts::of(&tree)));
        Self { home: None, tree, accounts }
    }

    /// The group that a user, by name or id, starts with.
    #[must_use]
    pub fn first_group_of(&self, user: &str) -> Option<u32> {
        match &self.accounts {
            Some(accounts) => accounts.first_group_of(user),
            None => config::first_group_of(user),
        }
    }
}

impl Env for SystemEnv {
    fn check_old_dir(&self, block: &Closed<'_>, say: &mut dyn FnMut(Line)) -> Result<(), String> {
        if self.tree.path().is_some() {
            return Ok(());
        }
        for log in block.logs {
            crate::fs::os::check_old_dir(log, block.old_dir, block.policy, &mut |made| {
                say(Line::progress(made));
            })
            .map_err(|why| {
                let path = crate::error::printable(&block.old_dir.path);
                format!("error verifying olddir path {path}: {why}")
            })?;
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<ConfigFile> {
        config::read_config(&self.tree, path)
    }

    fn list_dir(&self, path: &Path) -> io::Result<ConfigDir> {
        config::list_config_dir(&self.tree, path)
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        self.accounts.as_ref().map_or_else(|| config::user_id(name), |a| a.user_id(name))
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        self.accounts.as_ref().map_or_else(|| config::group_id(name), |a| a.group_id(name))
    }

    fn user_exists(&self, uid: u32) -> bool {
        self.accounts.as_ref().map_or_else(|| config::user_exists(uid), |a| a.has_user(uid))
    }

    fn group_exists(&self, gid: u32) -> bool {
        self.accounts.as_ref().map_or_else(|| config::group_exists(gid), |a| a.has_group(gid))
    }

    fn user_home(&self, name: &str) -> Option<PathBuf> {
        self.accounts.as_ref().map_or_else(|| config::user_home(name), |a| a.home(name))
    }

    fn home(&self) -> Option<PathBuf> {
        match &self.accounts {
            Some(accounts) => accounts.home_of(self.effective_uid()),
            None => self.home.clone().or_else(config::own_home),
        }
    }

    fn effective_uid(&self) -> u32 {
        config::effective_uid()
    }

    fn glob(&self, pattern: &[u8]) -> Result<Option<Vec<PathBuf>>, GlobError> {
        expand(pattern, &OnDisk(&self.tree))
    }
}

/// The names on the disk.
struct OnDisk<'a>(&'a Tree);

impl Names for OnDisk<'_> {
    fn names(&self, folder: &Path) -> io::Result<Vec<(std::ffi::OsString, Option<NameKind>)>> {
        config::names_in(self.0, folder)
    }

    fn kind(&self, path: &Path) -> Option<NameKind> {
        config::kind_of(self.0, path)
    }
}

#[cfg(any(test, feature = "testing"))]
pub use self::mem::MemEnv;

#[cfg(any(test, feature = "testing"))]
mod mem {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::*;

    /// A made-up machine: files in memory, a few users.
    #[derive(Clone, Debug, Default)]
    pub struct MemEnv {
        files: BTreeMap<PathBuf, ConfigFile>,
        dirs: BTreeMap<PathBuf, (u32, u32)>,
        dangling: BTreeMap<PathBuf, ConfigFile>,
        ids: BTreeMap<String, u32>,
        home: Option<PathBuf>,
        uid: u32,
    }

    impl MemEnv {
        /// With the users and groups root 0, adm 4, www-data 33 and `foo bar` 77, the home
        /// folder `/root`, acting as user 1000.
        #[must_use]
        pub fn new() -> Self {
            let ids = [("root", 0), ("adm", 4), ("www-data", 33), ("foo bar", 77)];
            Self {
                ids: ids.into_iter().map(|(name, id)| (name.to_owned(), id)).collect(),
                home: Some("/root".into()),
                uid: 1000,
                ..Self::default()
            }
        }

        /// With a file of root's, mode 644.
        #[must_use]
        pub fn file(self, path: impl Into<PathBuf>, bytes: impl AsRef<[u8]>) -> Self {
            self.file_with(path, bytes, 0o644, 0)
        }

        /// With a file of this mode and owner.
        #[must_use]
        pub fn file_with(
            mut self,
            path: impl Into<PathBuf>,
            bytes: impl AsRef<[u8]>,
            mode: u32,
            uid: u32,
        ) -> Self {
            let bytes = bytes.as_ref().to_vec();
            self.files.insert(path.into(), ConfigFile { bytes, mode, uid, is_regular: true });
            self
        }

        /// With a pipe.
        #[must_use]
        pub fn pipe(mut self, path: impl Into<PathBuf>) -> Self {
            let file = ConfigFile { is_regular: false, ..ConfigFile::default() };
            self.files.insert(path.into(), file);
            self
        }

        /// With this mode and owner of a folder that has files in it; else 755 and root.
        #[must_use]
        pub fn dir(mut self, path: impl Into<PathBuf>, mode: u32, uid: u32) -> Self {
            self.dirs.insert(path.into(), (mode, uid));
            self
        }

        /// With a link that leads nowhere.
        #[must_use]
        pub fn dangling(mut self, path: impl Into<PathBuf>) -> Self {
            self.dangling.insert(path.into(), ConfigFile::default());
            self
        }

        /// Acting as this user.
        #[must_use]
        pub const fn acting_as(mut self, uid: u32) -> Self {
            self.uid = uid;
            self
        }
    }

    impl Env for MemEnv {
        fn read(&self, path: &Path) -> io::Result<ConfigFile> {
            if let Some(file) = self.files.get(path) {
                if file.bytes.len() as u64 > CONFIG_LEN_MAX {
                    return Err(io::ErrorKind::FileTooLarge.into());
                }
                return Ok(file.clone());
            }
            if self.list_dir(path).is_ok() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Err(io::ErrorKind::NotFound.into())
        }

        fn list_dir(&self, path: &Path) -> io::Result<ConfigDir> {
            let mut names: BTreeMap<OsString, EntryKind> = BTreeMap::new();
            for (file, content) in &self.files {
                let Ok(rest) = file.strip_prefix(path) else { continue };
                let mut parts = rest.components();
                let Some(first) = parts.next() else { continue };
                let kind = match (parts.next(), content.is_regular) {
                    (Some(_), _) => EntryKind::Dir,
                    (None, true) => EntryKind::File,
                    (None, false) => EntryKind::Other,
                };
                names.insert(first.as_os_str().to_owned(), kind);
            }
            if names.is_empty() && !self.dirs.contains_key(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let (mode, uid) = self.dirs.get(path).copied().unwrap_or((0o755, 0));
            // Backwards, so that a caller who forgets to sort is found out.
            Ok(ConfigDir { entries: names.into_iter().rev().collect(), mode, uid, gid: 0 })
        }

        fn user_id(&self, name: &str) -> Option<u32> {
            self.ids.get(name).copied()
        }

        fn group_id(&self, name: &str) -> Option<u32> {
            self.ids.get(name).copied()
        }

        fn user_exists(&self, uid: u32) -> bool {
            self.ids.values().any(|id| *id == uid) || uid == 1 || uid == 2
        }

        fn group_exists(&self, gid: u32) -> bool {
            self.user_exists(gid)
        }

        fn user_home(&self, name: &str) -> Option<PathBuf> {
            self.ids.contains_key(name).then(|| Path::new("/home").join(name))
        }

        fn home(&self) -> Option<PathBuf> {
            self.home.clone()
        }

        fn effective_uid(&self) -> u32 {
            self.uid
        }

        fn glob(&self, pattern: &[u8]) -> Result<Option<Vec<PathBuf>>, GlobError> {
            expand(pattern, self)
        }

        /// Folders below `/missing` cannot be made.
        fn check_old_dir(
            &self,
            block: &Closed<'_>,
            say: &mut dyn FnMut(Line),
        ) -> Result<(), String> {
            let path = crate::error::printable(&block.old_dir.path);
            if block.old_dir.path.starts_with("/missing") {
                return Err(format!("error verifying olddir path {path}: not found"));
            }
            if block.old_dir.create.is_some() {
                say(Line::progress(format!("creating new directory {path}")));
            }
            Ok(())
        }
    }

    /// A folder of mode 0 cannot be read.
    impl Names for MemEnv {
        fn names(&self, folder: &Path) -> io::Result<Vec<(OsString, Option<NameKind>)>> {
            let links = self.dangling.keys().filter(|path| path.parent() == Some(folder));
            let mut names: Vec<_> = links
                .filter_map(|path| Some((path.file_name()?.to_owned(), Some(NameKind::Other))))
                .collect();
            let dir = match self.list_dir(folder) {
                Ok(dir) if dir.mode == 0 => return Err(io::ErrorKind::PermissionDenied.into()),
                Ok(dir) => dir,
                Err(_) if !names.is_empty() => return Ok(names),
                Err(error) => return Err(error),
            };
            names.extend(dir.entries.into_iter().map(|(name, kind)| {
                (name, Some(if kind == EntryKind::Dir { NameKind::Dir } else { NameKind::Other }))
            }));
            Ok(names)
        }

        fn kind(&self, path: &Path) -> Option<NameKind> {
            if self.dangling.contains_key(path) {
                return Some(NameKind::Other);
            }
            if self.files.contains_key(path) {
                return Some(NameKind::Other);
            }
            self.list_dir(path).is_ok().then_some(NameKind::Dir)
        }
    }
}
