//! Finds the folders: which there are, and which set wants what in them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::claims::Claims;
use super::pattern::{Component, Matcher, PathPattern};
use crate::error::{Error, Op};
use crate::fs::ReadFs;
use crate::inventory::{Commons, DirId, Names, Note, Place, Space};
use crate::naming::{is_head_shape, is_temporary_shape};
use crate::policy::{Config, Selector};
use crate::stamp::{Kind, Meta};
use crate::units::Bytes;

mod archives;

/// A folder that has logs or archives, or may have.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) dir: DirId,
    pub(super) path: PathBuf,
    /// As it was before it was listed.
    pub(super) meta: Meta,
    /// Whether its whole path was written by the administrator, and not found.
    pub(super) is_given: bool,
    pub(super) claims: Claims,
    /// Its names, as far as they may be ours.
    pub(super) names: Names,
    /// Names with the shape of our temporary files.
    pub(super) temporaries: Vec<OsString>,
    /// Why its names are not known, if so.
    pub(super) unreadable: Option<String>,
    /// It does not exist yet: where it is to be made. `meta` is then its parent's.
    pub(super) missing: Option<Place>,
}

impl Folder {
    fn new(dir: DirId, path: &Path, meta: Meta, is_given: bool) -> Self {
        Self {
            dir,
            path: path.to_owned(),
            meta,
            is_given,
            claims: Claims::default(),
            names: Names::default(),
            temporaries: Vec::new(),
            unreadable: None,
            missing: None,
        }
    }
}

/// What was found so far.
pub(super) struct World<'a> {
    pub(super) fs: &'a dyn ReadFs,
    pub(super) config: &'a Config,
    pub(super) folders: Vec<Folder>,
    /// By device and inode: a folder that is reached by two paths is one.
    known: HashMap<(u64, u64), usize>,
    roots: HashMap<PathBuf, DirId>,
    /// Folders that are yet to be made.
    pending: HashMap<(DirId, OsString), usize>,
    /// For each set: the file system of its first folder, and its device.
    pub(super) spaces: Vec<Option<(Space, u64)>>,
    /// For each set: that folder.
    pub(super) bases: Vec<Option<(DirId, PathBuf)>>,
    /// For each set: blocks of the folders that it has whole.
    pub(super) overhead: Vec<Bytes>,
    counted: HashSet<(u64, u64)>,
    pub(super) notes: Vec<Note>,
    /// What archives have in common.
    pub(super) commons: Commons,
    /// Folders in which a name was gone when it was looked at.
    pub(super) restless: HashSet<DirId>,
}

/// What a set wants in a folder.
enum Want<'a> {
    Literal(&'a OsStr),
    Wild(Rc<Matcher>),
    Whole,
}

/// What to do after a folder was visited.
struct Visited {
    /// Folders below to visit, by name.
    below: Vec<OsString>,
    /// Whether it stays open.
    stays: bool,
}

impl<'a> World<'a> {
    /// Finds all folders of `config`.
    pub(super) fn discover(fs: &'a dyn ReadFs, config: &'a Config) -> Self {
        let mut world = Self {
            fs,
            config,
            folders: Vec::new(),
            known: HashMap::new(),
            roots: HashMap::new(),
            pending: HashMap::new(),
            spaces: vec![None; config.sets.len()],
            bases: vec![None; config.sets.len()],
            overhead: vec![Bytes::ZERO; config.sets.len()],
            counted: HashSet::new(),
            notes: Vec::new(),
            commons: Commons::default(),
            restless: HashSet::new(),
        };
        for (set, spec) in config.sets.iter().enumerate() {
            for selector in &spec.selectors {
                match selector {
                    Selector::Pattern(pattern) => {
                        world.add_pattern(set, pattern, spec.policy.missing_ok);
                    }
                    Selector::Log(path) => world.add_log(set, path, spec.policy.missing_ok),
                    Selector::Directory(path) => world.add_whole(set, path),
                }
            }
        }
        world
    }

    pub(super) fn note(&mut self, path: &Path, why: impl Into<String>, is_error: bool) {
        self.notes.push(Note { path: path.to_owned(), why: why.into(), is_error });
    }

    fn add_pattern(&mut self, set: usize, pattern: &OsStr, missing_ok: bool) {
        let parsed = match PathPattern::parse(pattern) {
            Ok(parsed) => parsed,
            Err(why) => return self.note(Path::new(pattern), why, true),
        };
        let root = match self.open_root(&parsed.root) {
            Ok(root) => root,
            Err(error) => {
                let is_missing = is_absent(&error);
                if !(is_missing && missing_ok) {
                    let error = Error::io(Op::OpenDir, &parsed.root)(error);
                    self.note(Path::new(pattern), error.chain(), true);
                }
                return;
            }
        };
        self.ask_space(set, root, &parsed.root);
        let PathPattern { root: path, folders, last } = parsed;
        let last = match last {
            Component::Literal(name) => Ok(name),
            Component::Wild(matcher) => Err(Rc::new(matcher)),
        };
        self.walk(root, &path, |world, dir, path, depth| {
            let Some(component) = folders.get(depth) else {
                let want = match &last {
                    Ok(name) => Want::Literal(name),
                    Err(matcher) => Want::Wild(Rc::clone(matcher)),
                };
                let stays = world.claim(dir, path, depth == 0, set, want);
                return Visited { below: Vec::new(), stays };
            };
            let below = match component {
                Component::Literal(name) => vec![name.clone()],
                Component::Wild(matcher) => world.folders_in(dir, path, |n| matcher.matches(n)),
            };
            Visited { below, stays: false }
        });
    }

    /// A path that was given literally: its folder is opened as it is written.
    fn add_log(&mut self, set: usize, path: &Path, missing_ok: bool) {
        let bytes = path.as_os_str().as_bytes();
        let slash = bytes.iter().rposition(|b| *b == b'/');
        let (parent, name) = bytes.split_at(slash.map_or(0, |slash| slash.saturating_add(1)));
        if matches!(name, b"" | b"." | b"..") || bytes.contains(&0) {
            return self.note(path, "this names a folder, not a log", true);
        }
        // The log of a relative path is called as it was written, so its folder is nameless.
        let parent = match parent {
            [] => Path::new(""),
            [b'/'] => Path::new("/"),
            // Of several slashes all stay, since the log is called as it was written.
            longer if longer.ends_with(b"//") => Path::new(OsStr::from_bytes(longer)),
            longer => Path::new(OsStr::from_bytes(longer.strip_suffix(b"/").unwrap_or(longer))),
        };
        let opened = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let root = match self.open_root(opened) {
            Ok(root) => root,
            Err(error) => {
                if !(is_absent(&error) && missing_ok) {
                    let error = Error::io(Op::OpenDir, parent)(error);
                    self.note(path, error.chain(), true);
                }
                return;
            }
        };
        self.ask_space(set, root, parent);
        self.claim(root, parent, true, set, Want::Literal(OsStr::from_bytes(name)));
    }

    fn add_whole(&mut self, set: usize, path: &Path) {
        let root = match self.open_root(path) {
            Ok(root) => root,
            Err(error) => {
                let error = Error::io(Op::OpenDir, path)(error);
                return self.note(path, error.chain(), true);
            }
        };
        self.ask_space(set, root, path);
        self.walk(root, path, |world, dir, path, depth| {
            world.count_blocks(set, dir, path);
            let mut has_logs = false;
            let below = world.folders_in(dir, path, |name| {
                let bytes = name.as_bytes();
                has_logs |= bytes.ends_with(b".log")
                    || bytes.iter().any(u8::is_ascii_digit)
                    || is_temporary_shape(name)
                    || is_head_shape(name);
                !bytes.starts_with(b".logquota")
            });
            let stays = has_logs && world.claim(dir, path, depth == 0, set, Want::Whole);
            Visited { below, stays }
        });
    }

    /// Visits `start` and what its visits name, depth first, with a list instead of calls
    /// within calls: a tree may be deeper than a stack. Folders that do not stay are closed
    /// as soon as everything below them was visited.
    fn walk(
        &mut self,
        start: DirId,
        path: &Path,
        mut visit: impl FnMut(&mut Self, DirId, &Path, usize) -> Visited,
    ) {
        struct Frame {
            dir: DirId,
            below: Vec<OsString>,
            stays: bool,
        }
        // One path for all, since the paths of a chain of folders add up to its square.
        let mut path = path.to_owned();
        let Visited { below, .. } = visit(self, start, &path, 0);
        let mut frames = vec![Frame { dir: start, below, stays: true }];
        while let Some(frame) = frames.last_mut() {
            let Some(name) = frame.below.pop() else {
                let (dir, stays) = (frame.dir, frame.stays);
                frames.pop();
                if !frames.is_empty() {
                    path.pop();
                }
                if !stays {
                    self.fs.close_dir(dir);
                }
                continue;
            };
            path.push(&name);
            match self.fs.open_dir(frame.dir, &name) {
                Ok(dir) => {
                    let Visited { below, stays } = visit(self, dir, &path, frames.len());
                    frames.push(Frame { dir, below, stays });
                }
                Err(error) => {
                    self.note_unopened(&path, error);
                    path.pop();
                }
            }
        }
    }

    fn note_unopened(&mut self, path: &Path, error: io::Error) {
        match error.kind() {
            // It vanished, or it never was a folder: the kind in a listing is a hint.
            _ if is_absent(&error) => {}
            io::ErrorKind::CrossesDevices => {
                self.note(path, "another file system is mounted here; it was passed over", false);
            }
            _ => {
                let error = Error::io(Op::OpenDir, path)(error);
                self.note(path, error.chain(), true);
            }
        }
    }

    /// Names in `dir` that may be folders and pass `filter`, last first (they are taken from
    /// the end). `filter` sees every name.
    fn folders_in(
        &mut self,
        dir: DirId,
        path: &Path,
        mut filter: impl FnMut(&OsStr) -> bool,
    ) -> Vec<OsString> {
        let mut found = Vec::new();
        let listed = self.fs.list(dir, &mut |name, kind| {
            if filter(name) && matches!(kind, None | Some(Kind::Dir)) {
                found.push(name.to_owned());
            }
        });
        if let Err(error) = listed {
            let error = Error::io(Op::List, path)(error);
            self.note(path, error.chain(), true);
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    fn open_root(&mut self, path: &Path) -> io::Result<DirId> {
        if let Some(dir) = self.roots.get(path) {
            return Ok(*dir);
        }
        let dir = self.fs.open_root(path)?;
        self.roots.insert(path.to_owned(), dir);
        Ok(dir)
    }

    /// Asks once for each file system: two answers would differ, since others write.
    fn ask_space(&mut self, set: usize, dir: DirId, path: &Path) {
        if !matches!(self.spaces.get(set), Some(None)) {
            return;
        }
        let asked = self.fs.stat_dir(dir).and_then(|meta| {
            let dev = meta.stamp.id.dev;
            let known = self.spaces.iter().flatten().find(|(_, other)| *other == dev);
            Ok(match known {
                Some((space, _)) => (*space, dev),
                None => (self.fs.space(dir)?, dev),
            })
        });
        match asked {
            Ok(answer) => {
                if let Some(slot) = self.spaces.get_mut(set) {
                    *slot = Some(answer);
                }
                if let Some(slot) = self.bases.get_mut(set) {
                    *slot = Some((dir, path.to_owned()));
                }
            }
            Err(error) => {
                let error = Error::io(Op::Space, path)(error);
                self.note(path, error.chain(), true);
            }
        }
    }

    fn count_blocks(&mut self, set: usize, dir: DirId, path: &Path) {
        match self.fs.stat_dir(dir) {
            Ok(meta) => {
                let id = meta.stamp.id;
                if self.counted.insert((id.dev, id.ino))
                    && let Some(overhead) = self.overhead.get_mut(set)
                {
                    *overhead = overhead.plus(meta.stamp.allocated);
                }
            }
            Err(error) => {
                let error = Error::io(Op::Stat, path)(error);
                self.note(path, error.chain(), true);
            }
        }
    }

    /// Puts down that `set` wants something in a folder; says whether `dir` is needed for it.
    fn claim(
        &mut self,
        dir: DirId,
        path: &Path,
        is_given: bool,
        set: usize,
        want: Want<'_>,
    ) -> bool {
        let index = match self.register(dir, path, is_given) {
            Ok(index) => index,
            Err(error) => {
                let error = Error::io(Op::Stat, path)(error);
                self.note(path, error.chain(), true);
                return false;
            }
        };
        let Some(folder) = self.folders.get_mut(index) else { return false };
        match want {
            Want::Literal(name) => folder.claims.add_literal(set, name),
            Want::Wild(matcher) => folder.claims.add_wild(set, matcher),
            Want::Whole => folder.claims.add_whole(set),
        }
        folder.dir == dir
    }

    /// The folder that is open as `dir`; perhaps one that is known under another path.
    fn register(&mut self, dir: DirId, path: &Path, is_given: bool) -> io::Result<usize> {
        let meta = self.fs.stat_dir(dir)?;
        let id = meta.stamp.id;
        if let Some(known) = self.known.get(&(id.dev, id.ino)) {
            return Ok(*known);
        }
        self.folders.push(Folder::new(dir, path, meta, is_given));
        self.known.insert((id.dev, id.ino), self.folders.len() - 1);
        Ok(self.folders.len() - 1)
    }

    /// Closes every folder but those in `used`.
    pub(super) fn close_all_but(&self, used: impl Fn(DirId) -> bool) {
        let folders = self.folders.iter().map(|folder| folder.dir);
        let all: BTreeSet<DirId> = self.roots.values().copied().chain(folders).collect();
        for dir in all.into_iter().filter(|dir| !used(*dir)) {
            self.fs.close_dir(dir);
        }
    }
}

/// Whether an error says that there is no such folder.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
