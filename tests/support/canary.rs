//! Files that nobody may touch: a tree beside the one that is worked on, and what it looked
//! like before.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Everything that `stat` tells of a file, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Device and inode.
    pub id: (u64, u64),
    /// Type and permissions.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Length and blocks.
    pub size: (u64, u64),
    /// Names.
    pub nlink: u64,
    /// Last access, in seconds and nanoseconds; not of links.
    pub accessed: (i64, i64),
    /// Last change of the content.
    pub modified: (i64, i64),
    /// Last change of the inode.
    pub changed: (i64, i64),
    /// A digest of the content, or of where the link leads.
    pub content: u64,
}

/// Looks at one file, without following it.
///
/// # Panics
///
/// If it is not there.
#[must_use]
pub fn look(path: &Path) -> Seen {
    let meta = fs::symlink_metadata(path).expect("it is there");
    let mut digest = DefaultHasher::new();
    let kind = meta.file_type();
    if kind.is_symlink() {
        fs::read_link(path).expect("a link").hash(&mut digest);
    } else if kind.is_file() && meta.len() < 1 << 24 {
        read_quietly(path).hash(&mut digest);
    }
    Seen {
        id: (meta.dev(), meta.ino()),
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        size: (meta.len(), meta.blocks()),
        nlink: meta.nlink(),
        // Looking where a link leads is an access, also when we do it.
        accessed: if kind.is_symlink() { (0, 0) } else { (meta.atime(), meta.atime_nsec()) },
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
        content: digest.finish(),
    }
}

/// The same for a folder.
fn list_quietly(path: &Path) -> Vec<PathBuf> {
    use rustix::fs::{Dir, Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty())
        .or_else(|_| rustix::fs::open(path, flags, Mode::empty()))
        .expect("a folder");
    Dir::new(opened)
        .expect("a listing")
        .map(|entry| entry.expect("an entry").file_name().to_bytes().to_owned())
        .filter(|name| name != b"." && name != b"..")
        .map(|name| path.join(std::ffi::OsStr::from_bytes(&name)))
        .collect()
}

/// Reads without leaving a trace, so that looking twice sees the same.
fn read_quietly(path: &Path) -> Vec<u8> {
    use rustix::fs::{Mode, OFlags};
    use std::io::Read as _;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty())
        .or_else(|_| rustix::fs::open(path, flags, Mode::empty()));
    let mut content = Vec::new();
    if let Ok(fd) = opened {
        fs::File::from(fd).read_to_end(&mut content).expect("readable");
    }
    content
}

/// Everything below `root`, by path; folders on other mounts are not entered.
///
/// # Panics
///
/// If somebody changes the tree meanwhile.
#[must_use]
pub fn look_at_tree(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    let dev = look(root).id.0;
    while let Some(path) = todo.pop() {
        let found = look(&path);
        let is_dir = found.mode & 0o170_000 == 0o040_000;
        if is_dir && found.id.0 == dev {
            todo.extend(list_quietly(&path));
        }
        seen.insert(path, found);
    }
    seen
}

/// A tree that must stay as it is.
#[derive(Debug)]
pub struct Canary {
    root: PathBuf,
    before: BTreeMap<PathBuf, Seen>,
}

impl Canary {
    /// Makes one at `root`: names as of logs and archives, every kind of file.
    ///
    /// # Panics
    ///
    /// If the tree cannot be made.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        fs::create_dir_all(root.join("sub/deeper")).expect("folders");
        for name in [
            "secret",
            "app.log",
            "app.log.1",
            "app.log.2.gz",
            "sub/app.log",
            "sub/app.log.1",
            "sub/deeper/x.log",
        ] {
            let path = root.join(name);
            fs::write(&path, format!("the content of {name}\n").repeat(100)).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
        }
        symlink("secret", root.join("link")).expect("a link");
        Self { root: root.to_owned(), before: BTreeMap::new() }
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Remembers what it looks like now.
    pub fn remember(&mut self) {
        self.before = look_at_tree(&self.root);
    }

    /// What is different from then. For files with more names than one, that a name of
    /// theirs elsewhere was deleted or renamed is no difference.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        differences(&self.before, &look_at_tree(&self.root))
    }
}

/// What is different between two looks at the same tree.
#[must_use]
pub fn differences(
    before: &BTreeMap<PathBuf, Seen>,
    after: &BTreeMap<PathBuf, Seen>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (path, was) in before {
        let shown = path.as_os_str().as_bytes().escape_ascii();
        match after.get(path) {
            None => found.push(format!("`{shown}` is gone")),
            Some(is) => {
                let has_more_names = was.nlink > 1 && was.mode & 0o170_000 == 0o100_000;
                let (was, is) = if has_more_names {
                    (without_links(was), without_links(is))
                } else {
                    (was.clone(), is.clone())
                };
                if was != is {
                    found.push(format!("`{shown}` was {was:?} and is {is:?}"));
                }
            }
        }
    }
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        found.push(format!("`{}` is new", path.as_os_str().as_bytes().escape_ascii()));
    }
    found
}

fn without_links(seen: &Seen) -> Seen {
    Seen { nlink: 0, changed: (0, 0), ..seen.clone() }
}
