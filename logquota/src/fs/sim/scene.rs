//! Setting the scene, and other programs at work: none of it is counted or can be made to
//! fail, except that a full disk is full for everybody.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::data::Data;
use super::disk::{Body, Disk, Ino, ROOT};
use super::fault::{EINVAL, errno};
use super::{SimFs, State};
use crate::fs::{Acl, Extended};
use crate::stamp::{Kind, Meta, Timestamp};
use crate::units::Bytes;

/// What a file is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many times this byte, at little cost.
    Fill(u8, u64),
    /// A hole of this length: no blocks.
    Sparse(u64),
    /// Blocks for so many bytes, and a length of zero.
    Reserved(u64),
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// Something with a name, as [`SimFs::snapshot`] sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What kind of thing.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Timestamp,
    data: Data,
}

impl Entry {
    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.data.len()
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All its bytes, holes as zeros.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        self.data.bytes()
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, mode, uid, gid, .. } = self;
        write!(f, "{kind:?} {mode:o} {uid}:{gid} {} B", self.len())
    }
}

/// The directory and name of a path.
fn split<'a>(disk: &Disk, path: &'a Path) -> io::Result<(Ino, &'a OsStr)> {
    let name = path.file_name().ok_or_else(|| errno(EINVAL))?;
    Ok((disk.resolve(path.parent().unwrap_or(Path::new("/")))?, name))
}

impl SimFs {
    fn scene<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.lock();
        let done = act(&mut state)?;
        state.disk.settle();
        if state.log.is_empty() {
            state.peak = state.disk.usage().files;
        }
        Ok(done)
    }

    fn file(state: &State, path: &Path) -> io::Result<Ino> {
        let (dir, name) = split(&state.disk, path)?;
        state.disk.find_file(dir, name)
    }

    /// Makes a directory (mode 0755, root's) and those above it. It, and all that was done
    /// before, is flushed.
    ///
    /// # Errors
    ///
    /// If something else has the name, or the disk is full.
    pub fn mkdir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.scene(|state| Self::make_dirs(state, path.as_ref()).map(drop))
    }

    fn make_dirs(state: &mut State, path: &Path) -> io::Result<Ino> {
        if path.parent().is_none() {
            return Ok(ROOT);
        }
        if let Ok(ino) = state.disk.resolve(path) {
            return state.disk.entries(ino).map(|_| ino);
        }
        let dir = Self::make_dirs(state, path.parent().unwrap_or(Path::new("/")))?;
        let name = path.file_name().ok_or_else(|| errno(EINVAL))?;
        state.disk.make(dir, name, Body::Dir(BTreeMap::new()), (0o755, 0, 0))
    }

    /// The same, and another mount begins there.
    ///
    /// # Errors
    ///
    /// As [`SimFs::mkdir`].
    pub fn mkmount(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.scene(|state| {
            let ino = Self::make_dirs(state, path.as_ref())?;
            state.disk.node_mut(ino)?.mount = 1000 + ino;
            Ok(())
        })
    }

    /// Makes a file (mode 0640, root's) with this content and last change, or gives a file
    /// that exists new content. It, and all that was done before, is flushed.
    ///
    /// # Errors
    ///
    /// If there is no such directory, or the disk is full.
    pub fn put(
        &self,
        path: impl AsRef<Path>,
        content: impl Into<Content>,
        mtime: i64,
    ) -> io::Result<()> {
        self.scene(|state| {
            let (dir, name) = split(&state.disk, path.as_ref())?;
            let ino = match state.disk.lookup(dir, name)? {
                Some(ino) => ino,
                None => {
                    let body = Body::File(Data::empty(state.disk.block()));
                    state.disk.make(dir, name, body, (0o640, 0, 0))?
                }
            };
            state.disk.data_mut(ino)?.set_len(0);
            match content.into() {
                Content::Bytes(bytes) => write_all(state, ino, &bytes)?,
                Content::Fill(byte, len) => {
                    let blocks = len.div_ceil(state.disk.block());
                    if blocks > state.disk.free_blocks() {
                        return Err(io::ErrorKind::StorageFull.into());
                    }
                    state.disk.data_mut(ino)?.fill(byte, len);
                }
                Content::Sparse(len) => state.disk.data_mut(ino)?.set_len(len),
                Content::Reserved(len) => state.disk.data_mut(ino)?.reserve(len),
            }
            state.disk.node_mut(ino)?.mtime = Timestamp { secs: mtime, nanos: 0 };
            Ok(())
        })
    }

    /// A second name for a file. Flushed.
    ///
    /// # Errors
    ///
    /// If there is no such file, or something has the name.
    pub fn hardlink(&self, file: impl AsRef<Path>, new: impl AsRef<Path>) -> io::Result<()> {
        self.scene(|state| {
            let ino = Self::file(state, file.as_ref())?;
            let (dir, name) = split(&state.disk, new.as_ref())?;
            if state.disk.lookup(dir, name)?.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let name = name.to_owned();
            state.disk.change(vec![super::durable::Change { dir, name, ino: Some(ino) }])
        })
    }

    fn add(&self, path: &Path, body: Body) -> io::Result<()> {
        self.scene(|state| {
            let (dir, name) = split(&state.disk, path)?;
            state.disk.make(dir, name, body, (0o777, 0, 0)).map(drop)
        })
    }

    /// A symbolic link. Flushed.
    ///
    /// # Errors
    ///
    /// If something has the name.
    pub fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> io::Result<()> {
        self.add(path.as_ref(), Body::Symlink(target.as_ref().to_owned()))
    }

    /// A pipe, socket or device. Flushed.
    ///
    /// # Errors
    ///
    /// If something has the name.
    pub fn special(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.add(path.as_ref(), Body::Special)
    }

    /// Gives a file or directory mode, owner and group. Flushed.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn chown(&self, path: impl AsRef<Path>, mode: u32, uid: u32, gid: u32) -> io::Result<()> {
        self.scene(|state| {
            let ino = state.disk.resolve(path.as_ref())?;
            let node = state.disk.node_mut(ino)?;
            (node.mode, node.uid, node.gid) = (mode, uid, gid);
            Ok(())
        })
    }

    /// Gives a file an access control list, or takes it, and a label and attributes. (Whether
    /// the mode fits the list is not looked at.) Flushed.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn set_extended(
        &self,
        path: impl AsRef<Path>,
        acl: Option<Acl>,
        extended: Extended,
    ) -> io::Result<()> {
        self.scene(|state| {
            let ino = Self::file(state, path.as_ref())?;
            state.disk.set_extended(ino, Some(acl), Some(extended))
        })
    }

    /// The access control list of a file, and its label and attributes.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn extended(&self, path: impl AsRef<Path>) -> io::Result<(Option<Acl>, Extended)> {
        let state = self.lock();
        let node = state.disk.node(Self::file(&state, path.as_ref())?)?;
        Ok((node.acl.clone(), node.extended.clone()))
    }

    /// Takes all blocks that are free for a file of this name. Flushed.
    ///
    /// # Errors
    ///
    /// If something has the name, or there is no inode.
    pub fn fill_disk(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let free = {
            let state = self.lock();
            state.disk.free_blocks().saturating_mul(state.disk.block())
        };
        self.put(path, Content::Fill(0xff, free), 0)
    }

    /// Flushes everything.
    pub fn settle(&self) {
        self.lock().disk.settle();
    }

    /// Another program writes to the end of a file, which is made if need be. Not flushed.
    ///
    /// # Errors
    ///
    /// If the disk is full (after writing what fits), or it is no file.
    pub fn append(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let (dir, name) = split(&state.disk, path.as_ref())?;
        let ino = match state.disk.lookup(dir, name)? {
            Some(_) => state.disk.find_file(dir, name)?,
            None => {
                let body = Body::File(Data::empty(state.disk.block()));
                state.disk.make(dir, name, body, (0o640, 0, 0))?
            }
        };
        write_all(&mut state, ino, bytes)
    }

    /// Another program deletes a file. Not flushed.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn unlink(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut state = self.lock();
        let (dir, name) = split(&state.disk, path.as_ref())?;
        state.disk.remove(dir, name)
    }

    /// Another program renames a file over whatever has the new name. Not flushed.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn move_over(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let mut state = self.lock();
        let from = split(&state.disk, from.as_ref())?;
        let to = split(&state.disk, to.as_ref())?;
        state.disk.rename(from, to, true)
    }

    /// Another program empties a file. Not flushed.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn empty(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut state = self.lock();
        let ino = Self::file(&state, path.as_ref())?;
        state.disk.set_len(ino, 0)
    }

    /// Whether something has this name; links above it are followed, not at its end.
    #[must_use]
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.meta(path).is_ok()
    }

    /// What a `stat` of this name would say.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn meta(&self, path: impl AsRef<Path>) -> io::Result<Meta> {
        let state = self.lock();
        let (dir, name) = split(&state.disk, path.as_ref())?;
        state.disk.meta(state.disk.find(dir, name)?)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn content(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let ino = Self::file(&state, path.as_ref())?;
        Ok(state.disk.data(ino)?.bytes())
    }

    /// Everything that has a name, directories included.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Entry> {
        let state = self.lock();
        let mut found = BTreeMap::new();
        let mut left = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, dir)) = left.pop() {
            let Ok(entries) = state.disk.entries(dir) else { continue };
            for (name, ino) in entries {
                let Ok(node) = state.disk.node(*ino) else { continue };
                let path = path.join(name);
                let data = match &node.body {
                    Body::File(data) => data.clone(),
                    _ => Data::empty(state.disk.block()),
                };
                if node.kind() == Kind::Dir {
                    left.push((path.clone(), *ino));
                }
                let entry = Entry {
                    kind: node.kind(),
                    mode: node.mode,
                    uid: node.uid,
                    gid: node.gid,
                    mtime: node.mtime,
                    data,
                };
                found.insert(path, entry);
            }
        }
        found
    }

    /// What is free.
    #[must_use]
    pub fn free(&self) -> Bytes {
        let state = self.lock();
        Bytes::new(state.disk.free_blocks().saturating_mul(state.disk.block()))
    }
}

fn write_all(state: &mut State, ino: Ino, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = state.disk.data(ino)?.len();
        let count = state.disk.write(ino, at, rest)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}
