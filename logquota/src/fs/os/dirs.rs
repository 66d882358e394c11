//! Directories that are held open, and those that were and can be again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::{Tree, resolve};
use crate::inventory::DirId;
use crate::stamp::FileId;

/// Directories, besides the roots, that are open at a time. Enough that a walk finds the
/// parents it comes back to, and small beside the 1,024 files that a process may usually
/// have open.
const OPEN_MAX: usize = 64;

/// Bytes of a path that are resolved in one call; the kernel takes less than 4,096.
const PATH_CHUNK: usize = 3_800;

/// What one directory is, so that it is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    id: FileId,
    mount: u64,
}

#[derive(Debug)]
enum Origin {
    /// Opened by a path that the administrator wrote.
    Root(PathBuf),
    /// A name in another directory of ours.
    Below(u32, OsString),
}

#[derive(Debug)]
struct Node {
    origin: Origin,
    /// Unknown while the directory is yet to be made.
    identity: Option<Identity>,
    /// Open directories below: they are reached again through this one.
    children: u32,
    /// Given back, and kept for its children only.
    is_closed: bool,
}

#[derive(Debug)]
struct Open {
    fd: Arc<OwnedFd>,
    is_root: bool,
    last_used: u64,
}

#[derive(Debug)]
struct Table {
    nodes: HashMap<u32, Node>,
    open: HashMap<u32, Open>,
    /// How many of `open` are no roots.
    open_below: usize,
    open_max: usize,
    /// With roots, which are given up last: the rest of the files that may be open is for others.
    held_max: usize,
    uses: u64,
    next: u32,
}

/// All directories of one [`OsFs`](super::OsFs).
#[derive(Debug)]
pub(super) struct Dirs {
    table: Mutex<Table>,
    has_openat2: AtomicBool,
    /// Where the paths of roots begin.
    tree: Tree,
}

impl Dirs {
    pub(super) fn new(has_openat2: bool, tree: Tree) -> Self {
        let table = Table {
            nodes: HashMap::new(),
            open: HashMap::new(),
            open_below: 0,
            open_max: OPEN_MAX,
            held_max: (resolve::open_files_max() / 2).max(1),
            uses: 0,
            next: 0,
        };
        Self { table: Mutex::new(table), has_openat2: AtomicBool::new(has_openat2), tree }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing is left half done where it could panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens something; when the process has no descriptor left, gives up held directories
    /// first. Must not be called with the table locked.
    pub(super) fn retrying<T, E: Into<io::Error>>(
        &self,
        mut open: impl FnMut() -> Result<T, E>,
    ) -> io::Result<T> {
        loop {
            match open().map_err(Into::into) {
                Err(error) if is_out_of_descriptors(&error) && self.table().give_up_some() => {}
                other => return other,
            }
        }
    }

    pub(super) fn open_root(&self, path: &Path) -> io::Result<DirId> {
        let fd = self.retrying(|| self.tree.open_dir(path))?;
        let identity = identity_of(&fd)?;
        let origin = Origin::Root(std::path::absolute(path)?);
        Ok(self.table().insert(origin, Some(identity), Some(fd)))
    }

    pub(super) fn open_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId> {
        let above = self.fd(parent)?;
        let fd = self
            .retrying(|| resolve::open_below(above.as_fd(), Path::new(name), &self.has_openat2))?;
        let identity = identity_of(&fd)?;
        let origin = Origin::Below(parent.0, name.to_owned());
        Ok(self.table().insert(origin, Some(identity), Some(fd)))
    }

    /// An id for a directory that is yet to be made.
    pub(super) fn pending(&self, parent: DirId, name: &OsStr) -> DirId {
        self.table().insert(Origin::Below(parent.0, name.to_owned()), None, None)
    }

    pub(super) fn close(&self, dir: DirId) {
        self.table().close(dir.0);
    }

    /// The open directory; opened again if it is not open any more, and then only if it is
    /// still the same one.
    pub(super) fn fd(&self, dir: DirId) -> io::Result<Arc<OwnedFd>> {
        if let Some(fd) = self.table().find_open(dir.0) {
            return Ok(fd);
        }
        let (mut at, way) = self.way_to(dir)?;
        for (id, path, identity) in way {
            let fd = match &at {
                None => self.retrying(|| self.tree.open_dir(&path))?,
                Some(above) => {
                    self.retrying(|| resolve::open_below(above.as_fd(), &path, &self.has_openat2))?
                }
            };
            let found = identity_of(&fd)?;
            if identity.is_some_and(|identity| identity != found) {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "another directory has taken its place",
                ));
            }
            self.table().identify(id, found);
            let fd = Arc::new(fd);
            self.table().hold(id, Arc::clone(&fd));
            at = Some(fd);
        }
        at.ok_or_else(|| Errno::BADF.into())
    }

    /// From the nearest directory that is open: the directories to open one after the other,
    /// each by a path below the one before. A loop, since a tree may be 10,000 levels deep.
    fn way_to(&self, dir: DirId) -> io::Result<Way> {
        let mut table = self.table();
        let mut names: Vec<(u32, OsString, Option<Identity>)> = Vec::new();
        let mut id = dir.0;
        let (start, mut way) = loop {
            if let Some(fd) = table.find_open(id) {
                break (Some(fd), Vec::new());
            }
            let node = table.nodes.get(&id).ok_or(Errno::BADF)?;
            match &node.origin {
                Origin::Root(path) => break (None, vec![(id, path.clone(), node.identity)]),
                Origin::Below(parent, name) => {
                    names.push((id, name.clone(), node.identity));
                    id = *parent;
                }
            }
        };
        let mut chunk = PathBuf::new();
        let mut last = None;
        for (id, name, identity) in names.into_iter().rev() {
            if chunk.as_os_str().len() + name.len() >= PATH_CHUNK
                && let Some((id, identity)) = last
            {
                way.push((id, std::mem::take(&mut chunk), identity));
            }
            chunk.push(&name);
            last = Some((id, identity));
        }
        if let Some((id, identity)) = last {
            way.push((id, chunk, identity));
        }
        Ok((start, way))
    }
}

type Way = (Option<Arc<OwnedFd>>, Vec<(u32, PathBuf, Option<Identity>)>);

impl Table {
    fn insert(&mut self, origin: Origin, identity: Option<Identity>, fd: Option<OwnedFd>) -> DirId {
        // Ids are not used again soon, so that a stale one is noticed.
        while self.nodes.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        if let Origin::Below(parent, _) = &origin
            && let Some(parent) = self.nodes.get_mut(parent)
        {
            parent.children += 1;
        }
        self.nodes.insert(id, Node { origin, identity, children: 0, is_closed: false });
        if let Some(fd) = fd {
            self.hold(id, Arc::new(fd));
        }
        DirId(id)
    }

    /// What a directory is that was unknown until now.
    fn identify(&mut self, id: u32, found: Identity) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.identity.get_or_insert(found);
        }
    }

    fn find_open(&mut self, id: u32) -> Option<Arc<OwnedFd>> {
        self.uses += 1;
        let open = self.open.get_mut(&id)?;
        open.last_used = self.uses;
        Some(Arc::clone(&open.fd))
    }

    fn hold(&mut self, id: u32, fd: Arc<OwnedFd>) {
        let Some(node) = self.nodes.get(&id) else { return };
        let is_root = matches!(node.origin, Origin::Root(_));
        self.uses += 1;
        let open = Open { fd, is_root, last_used: self.uses };
        if self.open.insert(id, open).is_none() && !is_root {
            self.open_below += 1;
        }
        while self.open_below > self.open_max && self.give_up_oldest(false) {}
        while self.open.len() > self.held_max
            && (self.give_up_oldest(false) || self.give_up_oldest(true))
        {}
    }

    /// Closes the directory that was not used for longest.
    fn give_up_oldest(&mut self, roots: bool) -> bool {
        let oldest = self
            .open
            .iter()
            .filter(|(_, open)| open.is_root == roots)
            .min_by_key(|(_, open)| open.last_used)
            .map(|(id, _)| *id);
        oldest.is_some_and(|id| self.forget_fd(id))
    }

    fn forget_fd(&mut self, id: u32) -> bool {
        match self.open.remove(&id) {
            Some(open) if !open.is_root => {
                self.open_below = self.open_below.saturating_sub(1);
                true
            }
            other => other.is_some(),
        }
    }

    /// When the process is out of descriptors: half of what is held, roots last. Says
    /// whether there was any.
    fn give_up_some(&mut self) -> bool {
        self.open_max = (self.open_below / 2).max(1);
        let mut gave = false;
        for _ in 0..(self.open_below / 2).max(1) {
            gave |= self.give_up_oldest(false);
        }
        gave || self.give_up_oldest(true)
    }

    /// A loop, since closing the last child of a closed directory frees that one, too.
    fn close(&mut self, id: u32) {
        let mut next = Some(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_closed = true;
        }
        while let Some(id) = next.take() {
            let Some(node) = self.nodes.get(&id) else { return };
            if !node.is_closed || node.children > 0 {
                return;
            }
            self.forget_fd(id);
            let Some(node) = self.nodes.remove(&id) else { return };
            if let Origin::Below(parent, _) = node.origin {
                if let Some(above) = self.nodes.get_mut(&parent) {
                    above.children = above.children.saturating_sub(1);
                }
                next = Some(parent);
            }
        }
    }
}

fn identity_of(fd: &OwnedFd) -> io::Result<Identity> {
    let meta = resolve::stat_fd(fd.as_fd())?;
    Ok(Identity { id: meta.stamp.id, mount: meta.mount })
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::MFILE.raw_os_error()) || code == Some(Errno::NFILE.raw_os_error())
}
