//! The simulated disk as a running system sees it: inodes, names, blocks, times.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::data::Data;
use super::durable::{Change, DirOp};
use super::fault::{
    EBADF, EDQUOT, EEXIST, EINVAL, EISDIR, ENAMETOOLONG, ENOSPC, ENOTDIR, EOPNOTSUPP, EXDEV, errno,
};
use super::{SimDisk, Usage};
use crate::fs::{Acl, Attributes, Extended};
use crate::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use crate::units::Bytes;

pub(super) type Ino = u64;
pub(super) const ROOT: Ino = 2;
const DEV: u64 = 0x51;

#[derive(Clone, Debug)]
pub(super) enum Body {
    File(Data),
    Dir(BTreeMap<OsString, Ino>),
    Symlink(PathBuf),
    Special,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) body: Body,
    pub(super) mode: u32,
    pub(super) acl: Option<Acl>,
    pub(super) extended: Extended,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) ctime: Timestamp,
    pub(super) btime: Timestamp,
    pub(super) mount: u64,
    /// Where it got its last name.
    pub(super) parent: Ino,
    pub(super) nlink: u32,
    pub(super) open: u32,
    /// What was left after its head was cut off, if that may not be on the platters yet.
    pub(super) cut: Option<Arc<Data>>,
}

impl Node {
    pub(super) const fn kind(&self) -> Kind {
        match self.body {
            Body::File(_) => Kind::File,
            Body::Dir(_) => Kind::Dir,
            Body::Symlink(_) => Kind::Symlink,
            Body::Special => Kind::Special,
        }
    }

    /// Blocks behind it; a directory has one.
    pub(super) fn blocks(&self) -> u64 {
        match &self.body {
            Body::File(data) => data.blocks(),
            Body::Dir(_) => 1,
            Body::Symlink(_) | Body::Special => 0,
        }
    }
}

/// A disk with everything on it; a clone is cheap and shares nothing that changes.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) shape: SimDisk,
    pub(super) nodes: BTreeMap<Ino, Arc<Node>>,
    /// What the platters have, by inode; names in the nodes of directories.
    pub(super) durable: BTreeMap<Ino, Arc<Node>>,
    /// Changes of names that are not there yet, in the order they were made.
    pub(super) pending: Vec<DirOp>,
    /// Files whose pages an fsync that failed has thrown away.
    pub(super) lost: BTreeSet<Ino>,
    pub(super) next_ino: Ino,
    pub(super) time: Timestamp,
}

impl Disk {
    pub(super) fn new(shape: SimDisk) -> Self {
        let time = Timestamp { secs: 1_700_000_000, nanos: 0 };
        let root = Arc::new(Node {
            body: Body::Dir(BTreeMap::new()),
            mode: 0o755,
            acl: None,
            extended: Extended::default(),
            uid: 0,
            gid: 0,
            mtime: time,
            ctime: time,
            btime: time,
            mount: 1,
            parent: ROOT,
            nlink: 1,
            open: 0,
            cut: None,
        });
        Self {
            shape,
            nodes: BTreeMap::from([(ROOT, Arc::clone(&root))]),
            durable: BTreeMap::from([(ROOT, root)]),
            pending: Vec::new(),
            lost: BTreeSet::new(),
            next_ino: 11,
            time,
        }
    }

    pub(super) fn block(&self) -> u64 {
        self.shape.block.get().max(1)
    }

    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for node in self.nodes.values() {
            let bytes = Bytes::new(node.blocks().saturating_mul(self.block()));
            usage.inodes += 1;
            match node.body {
                Body::Dir(_) => usage.dirs = usage.dirs.plus(bytes),
                _ => usage.files = usage.files.plus(bytes),
            }
            if node.nlink == 0 {
                usage.unlinked = usage.unlinked.plus(bytes);
            }
        }
        usage
    }

    pub(super) fn free_blocks(&self) -> u64 {
        let usage = self.usage();
        self.shape.capacity.minus(usage.files.plus(usage.dirs)).get() / self.block()
    }

    fn full(&self) -> io::Error {
        errno(if self.shape.copy_on_write { EDQUOT } else { ENOSPC })
    }

    /// Now, a nanosecond later than the last time anybody asked.
    pub(super) fn tick(&mut self) -> Timestamp {
        self.time.nanos += 1;
        if self.time.nanos >= 1_000_000_000 {
            self.time.nanos = 0;
            self.time.secs += 1;
        }
        self.time
    }

    pub(super) fn node(&self, ino: Ino) -> io::Result<&Node> {
        self.nodes.get(&ino).map(Arc::as_ref).ok_or_else(|| errno(EBADF))
    }

    pub(super) fn node_mut(&mut self, ino: Ino) -> io::Result<&mut Node> {
        self.nodes.get_mut(&ino).map(Arc::make_mut).ok_or_else(|| errno(EBADF))
    }

    pub(super) fn data(&self, ino: Ino) -> io::Result<&Data> {
        match &self.node(ino)?.body {
            Body::File(data) => Ok(data),
            Body::Dir(_) => Err(errno(EISDIR)),
            _ => Err(errno(EINVAL)),
        }
    }

    pub(super) fn data_mut(&mut self, ino: Ino) -> io::Result<&mut Data> {
        match &mut self.node_mut(ino)?.body {
            Body::File(data) => Ok(data),
            Body::Dir(_) => Err(errno(EISDIR)),
            _ => Err(errno(EINVAL)),
        }
    }

    pub(super) fn meta(&self, ino: Ino) -> io::Result<Meta> {
        let node = self.node(ino)?;
        let len = match &node.body {
            Body::File(data) => data.len(),
            Body::Dir(_) => self.block(),
            Body::Symlink(target) => u64::try_from(target.as_os_str().len()).unwrap_or(u64::MAX),
            Body::Special => 0,
        };
        Ok(Meta {
            stamp: Stamp {
                id: FileId { dev: DEV, ino, btime: Some(node.btime) },
                len,
                allocated: Bytes::new(node.blocks().saturating_mul(self.block())),
                mtime: node.mtime,
                ctime: node.ctime,
                nlink: node.nlink,
            },
            accessed: node.mtime,
            kind: node.kind(),
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            mount: node.mount,
        })
    }

    /// Makes an inode with a name. The platters have the inode as it is now (empty), and
    /// the name once its directory is synced.
    pub(super) fn make(
        &mut self,
        dir: Ino,
        name: &OsStr,
        body: Body,
        attributes: (u32, u32, u32),
    ) -> io::Result<Ino> {
        if self.lookup(dir, name)?.is_some() {
            return Err(errno(EEXIST));
        }
        if name.len() > self.shape.name_max {
            return Err(errno(ENAMETOOLONG));
        }
        let inodes = u64::try_from(self.nodes.len()).unwrap_or(u64::MAX);
        let blocks = u64::from(matches!(body, Body::Dir(_)) || self.shape.copy_on_write);
        if inodes >= self.shape.inodes || self.free_blocks() < blocks {
            return Err(self.full());
        }
        let now = self.tick();
        let mount = self.node(dir)?.mount;
        let ino = self.next_ino;
        self.next_ino += 1;
        let (mode, uid, gid) = attributes;
        let node = Arc::new(Node {
            body,
            mode,
            acl: None,
            extended: Extended::default(),
            uid,
            gid,
            mtime: now,
            ctime: now,
            btime: now,
            mount,
            parent: dir,
            nlink: 0,
            open: 0,
            cut: None,
        });
        self.nodes.insert(ino, Arc::clone(&node));
        self.durable.insert(ino, node);
        self.change(vec![Change { dir, name: name.to_owned(), ino: Some(ino) }])?;
        Ok(ino)
    }

    /// Changes names, at once for everybody who looks, and pending for the platters.
    pub(super) fn change(&mut self, changes: Vec<Change>) -> io::Result<()> {
        let now = self.tick();
        for Change { dir, name, ino } in &changes {
            let folder = self.node_mut(*dir)?;
            (folder.mtime, folder.ctime) = (now, now);
            let Body::Dir(entries) = &mut folder.body else { return Err(errno(ENOTDIR)) };
            let before = match ino {
                Some(ino) => entries.insert(name.clone(), *ino),
                None => entries.remove(name),
            };
            if let Some(ino) = ino {
                let node = self.node_mut(*ino)?;
                node.parent = *dir;
                node.nlink += 1;
                node.ctime = now;
            }
            if let Some(before) = before {
                let node = self.node_mut(before)?;
                node.nlink = node.nlink.saturating_sub(1);
                node.ctime = now;
            }
        }
        for ino in changes.iter().filter_map(|change| change.ino) {
            self.reap(ino);
        }
        self.pending.push(DirOp::Names(changes));
        Ok(())
    }

    /// Frees an inode that has no name and no open handle left.
    fn reap(&mut self, ino: Ino) {
        if self.nodes.get(&ino).is_some_and(|node| node.nlink == 0 && node.open == 0) {
            self.nodes.remove(&ino);
        }
    }

    pub(super) fn remove(&mut self, dir: Ino, name: &OsStr) -> io::Result<()> {
        let ino = self.find(dir, name)?;
        if matches!(self.node(ino)?.body, Body::Dir(_)) {
            return Err(errno(EISDIR));
        }
        self.change(vec![Change { dir, name: name.to_owned(), ino: None }])?;
        self.reap(ino);
        Ok(())
    }

    /// Renames; what is in the way goes only if `replace` says so.
    pub(super) fn rename(
        &mut self,
        (dir, from): (Ino, &OsStr),
        (to_dir, to): (Ino, &OsStr),
        replace: bool,
    ) -> io::Result<()> {
        let ino = self.find(dir, from)?;
        let target = self.lookup(to_dir, to)?;
        if target.is_some() && !replace {
            return Err(errno(EEXIST));
        }
        if to.len() > self.shape.name_max {
            return Err(errno(ENAMETOOLONG));
        }
        if self.node(dir)?.mount != self.node(to_dir)?.mount {
            return Err(errno(EXDEV));
        }
        self.change(vec![
            Change { dir: to_dir, name: to.to_owned(), ino: Some(ino) },
            Change { dir, name: from.to_owned(), ino: None },
        ])?;
        if let Some(target) = target {
            self.reap(target);
        }
        Ok(())
    }

    pub(super) fn write(&mut self, ino: Ino, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let range = at..at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let free = self.free_blocks();
        let data = self.data(ino)?;
        let count = if self.shape.copy_on_write && free == 0 {
            usize::try_from(data.unwritten(&range)).unwrap_or(usize::MAX)
        } else if data.missing(&range) <= free {
            bytes.len()
        } else {
            usize::try_from(data.affordable(&range, free)).unwrap_or(usize::MAX)
        };
        if count == 0 && !bytes.is_empty() {
            return Err(self.full());
        }
        let now = self.tick();
        self.data_mut(ino)?.write(at, bytes.get(..count).unwrap_or(bytes));
        let node = self.node_mut(ino)?;
        (node.mtime, node.ctime) = (now, now);
        Ok(count)
    }

    pub(super) fn set_len(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        if self.shape.copy_on_write && self.free_blocks() == 0 {
            return Err(self.full());
        }
        let now = self.tick();
        self.data_mut(ino)?.set_len(len);
        let node = self.node_mut(ino)?;
        (node.mtime, node.ctime) = (now, now);
        Ok(())
    }

    /// Takes what is free if that is not enough, as ext4 does.
    pub(super) fn reserve(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        let free = self.free_blocks();
        let (now, data) = (self.tick(), self.data_mut(ino)?);
        let fits = data.affordable(&(0..len), free);
        data.reserve(fits);
        self.node_mut(ino)?.ctime = now;
        if fits < len { Err(self.full()) } else { Ok(()) }
    }

    /// The same, and it is so long.
    pub(super) fn allocate(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        if !self.shape.allocates {
            return Err(io::Error::new(io::ErrorKind::Unsupported, errno(EOPNOTSUPP)));
        }
        self.reserve(ino, len)?;
        let longer = self.data(ino)?.len().max(len);
        self.set_len(ino, longer)
    }

    /// Gives back blocks behind the end.
    pub(super) fn trim(&mut self, ino: Ino) -> io::Result<()> {
        self.set_len(ino, self.data(ino)?.len())
    }

    pub(super) fn set_attributes(
        &mut self,
        ino: Ino,
        attributes: &Attributes,
        root: bool,
    ) -> io::Result<()> {
        let now = self.tick();
        let node = self.node_mut(ino)?;
        if let (Some((uid, gid)), true) = (attributes.owner, root) {
            (node.uid, node.gid) = (uid, gid);
        }
        if let Some((_, mtime)) = attributes.times {
            node.mtime = mtime;
        }
        if let Some(mode) = attributes.mode {
            node.mode = mode & 0o7777;
        }
        node.ctime = now;
        self.note_attributes(ino)
    }

    /// An access control list and what else a file has, or only one of them.
    pub(super) fn set_extended(
        &mut self,
        ino: Ino,
        acl: Option<Option<Acl>>,
        extended: Option<Extended>,
    ) -> io::Result<()> {
        let now = self.tick();
        let node = self.node_mut(ino)?;
        if let Some(acl) = acl {
            node.acl = acl;
        }
        if let Some(extended) = extended {
            node.extended = extended;
        }
        node.ctime = now;
        self.note_attributes(ino)
    }

    fn note_attributes(&mut self, ino: Ino) -> io::Result<()> {
        let node = self.node(ino)?;
        let who = (node.mode, node.uid, node.gid);
        let (acl, extended) = (node.acl.clone(), node.extended.clone());
        let op = DirOp::Attributes { dir: node.parent, ino, who, acl, extended };
        self.pending.push(op);
        Ok(())
    }

    pub(super) fn hold(&mut self, ino: Ino) -> io::Result<()> {
        self.node_mut(ino)?.open += 1;
        Ok(())
    }

    pub(super) fn let_go(&mut self, ino: Ino) {
        if let Ok(node) = self.node_mut(ino) {
            node.open = node.open.saturating_sub(1);
        }
        self.reap(ino);
    }
}
