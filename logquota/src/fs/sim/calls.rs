//! The traits, in terms of the disk.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::append;
use super::disk::{Body, Ino};
use super::fault::{ENOTDIR, EXDEV, errno};
use super::lookup::check_name;
use super::{SimFs, SimOp, State, Target};
use crate::fs::{
    Acl, AppendFile, Attributes, Extended, NewFile, ReadFile, ReadFs, TrimFile, WriteFs,
};
use crate::inventory::{DirId, Space};
use crate::policy::Identity;
use crate::stamp::{FileId, Kind, Meta};
use crate::units::Bytes;

impl State {
    pub(super) fn path(&self, dir: DirId) -> PathBuf {
        if let Some((parent, name)) = self.pending.get(&dir.0) {
            return self.path(*parent).join(name);
        }
        self.dirs.get(&dir.0).map_or_else(|| format!("closed#{}", dir.0).into(), |d| d.1.clone())
    }

    fn open(&mut self, ino: Ino, path: PathBuf) -> io::Result<DirId> {
        self.disk.entries(ino)?;
        let id = self.next_dir;
        self.next_dir += 1;
        self.dirs.insert(id, (ino, path));
        Ok(DirId(id))
    }
}

fn at_dir(dir: DirId) -> impl FnOnce(&State) -> Target {
    move |state| Target { path: state.path(dir), ..Target::default() }
}

pub(super) fn at_name(dir: DirId, name: &OsStr) -> impl FnOnce(&State) -> Target {
    let name = name.to_owned();
    move |state| Target { path: state.path(dir).join(name), ..Target::default() }
}

/// A number that looks like chance: listings have no order.
fn shuffled(name: &OsStr) -> u64 {
    name.as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

impl ReadFs for SimFs {
    fn open_root(&self, path: &Path) -> io::Result<DirId> {
        let target = |_: &State| Target { path: path.to_owned(), ..Target::default() };
        self.call(SimOp::OpenRoot, target, |state, _| {
            let ino = state.disk.resolve(path)?;
            state.open(ino, path.to_owned())
        })
    }

    fn open_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId> {
        self.call(SimOp::OpenDir, at_name(parent, name), |state, _| {
            let dir = state.dir(parent)?;
            let ino = state.disk.find(dir, name)?;
            let node = state.disk.node(ino)?;
            if node.kind() != Kind::Dir {
                return Err(errno(ENOTDIR));
            }
            if node.mount != state.disk.node(dir)?.mount {
                return Err(errno(EXDEV));
            }
            let path = state.path(parent).join(name);
            state.open(ino, path)
        })
    }

    fn pending_dir(&self, parent: DirId, name: &OsStr) -> io::Result<DirId> {
        let mut state = self.lock();
        state.dir(parent).or_else(|error| {
            if state.pending.contains_key(&parent.0) { Ok(Ino::default()) } else { Err(error) }
        })?;
        let id = state.next_dir;
        state.next_dir += 1;
        state.pending.insert(id, (parent, name.to_owned()));
        Ok(DirId(id))
    }

    fn close_dir(&self, dir: DirId) {
        let mut state = self.lock();
        if !state.crashed {
            state.dirs.remove(&dir.0);
        }
    }

    fn list(&self, dir: DirId, each: &mut dyn FnMut(&OsStr, Option<Kind>)) -> io::Result<()> {
        let names = self.call(SimOp::List, at_dir(dir), |state, _| {
            let mut names = Vec::new();
            for (name, ino) in state.disk.entries(state.dir(dir)?)? {
                let number = shuffled(name);
                // Some file systems do not say the kind.
                let kind =
                    (!number.is_multiple_of(5)).then(|| state.disk.node(*ino).map(|n| n.kind()));
                names.push((number, name.clone(), kind.transpose()?));
            }
            names.sort();
            Ok(names)
        })?;
        for (_, name, kind) in &names {
            each(name, *kind);
        }
        Ok(())
    }

    fn stat(&self, dir: DirId, name: &OsStr) -> io::Result<Option<Meta>> {
        self.call(SimOp::Stat, at_name(dir, name), |state, _| {
            let ino = state.disk.lookup(state.dir(dir)?, name)?;
            ino.map(|ino| state.disk.meta(ino)).transpose()
        })
    }

    fn stat_dir(&self, dir: DirId) -> io::Result<Meta> {
        self.call(SimOp::StatDir, at_dir(dir), |state, _| state.disk.meta(state.dir(dir)?))
    }

    fn space(&self, dir: DirId) -> io::Result<Space> {
        self.call(SimOp::Space, at_dir(dir), |state, _| {
            state.dir(dir)?;
            let disk = &state.disk;
            Ok(Space {
                total: disk.shape.capacity,
                free: Bytes::new(disk.free_blocks().saturating_mul(disk.block())),
                free_files: Some(disk.shape.inodes.saturating_sub(disk.usage().inodes)),
                total_files: Some(disk.shape.inodes),
                block: Bytes::new(disk.block()),
            })
        })
    }

    fn read(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn ReadFile + '_>> {
        let file = self.call(SimOp::Open, at_name(dir, name), |state, _| {
            let ino = state.disk.find_file(state.dir(dir)?, name)?;
            state.disk.hold(ino)?;
            Ok(Handle { fs: self, ino, path: state.path(dir).join(name), at: 0, reserved: false })
        })?;
        Ok(Box::new(file))
    }

    fn is_held(&self, dir: DirId, name: &OsStr) -> io::Result<bool> {
        self.call(SimOp::IsHeld, at_name(dir, name), |state, _| {
            let ino = state.disk.find_file(state.dir(dir)?, name)?;
            Ok(state.holds.is_held(ino))
        })
    }

    fn effective_uid(&self) -> u32 {
        self.lock().acting.0
    }
}

impl WriteFs for SimFs {
    fn create(&self, dir: DirId, name: &OsStr) -> io::Result<Box<dyn NewFile + '_>> {
        let file = self.call(SimOp::Create, at_name(dir, name), |state, _| {
            let (uid, gid) = state.acting;
            let body = Body::File(super::data::Data::empty(state.disk.block()));
            let dir_ino = state.dir(dir)?;
            let ino = state.disk.make(dir_ino, name, body, (0o600, uid, gid))?;
            state.disk.hold(ino)?;
            Ok(Handle { fs: self, ino, path: state.path(dir).join(name), at: 0, reserved: false })
        })?;
        Ok(Box::new(file))
    }

    fn open_to_trim(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
    ) -> io::Result<Option<Box<dyn TrimFile + '_>>> {
        let file = self.open_as(SimOp::OpenToTrim, (dir, name), expected)?;
        Ok(file.map(|file| Box::new(file) as Box<dyn TrimFile + '_>))
    }

    fn go_on(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
        len: u64,
    ) -> io::Result<Option<Box<dyn NewFile + '_>>> {
        let file = self.open_as(SimOp::GoOn, (dir, name), expected)?;
        let Some(mut file) = file.filter(|file| file.is_at_least(len)) else { return Ok(None) };
        file.cut(len)?;
        Ok(Some(Box::new(file)))
    }

    fn open_log(
        &self,
        dir: DirId,
        name: &OsStr,
        create: Option<&Attributes>,
    ) -> io::Result<Box<dyn AppendFile>> {
        let log = match create {
            None => append::open(self, dir, name)?,
            Some(attributes) => append::create(self, dir, name, attributes)?,
        };
        Ok(Box::new(log))
    }

    fn link_to(&self, dir: DirId, name: &OsStr, target: &OsStr) -> io::Result<()> {
        self.call(SimOp::LinkTo, at_name(dir, name), |state, _| {
            check_name(target)?;
            let (uid, gid) = state.acting;
            let dir = state.dir(dir)?;
            let body = Body::Symlink(target.into());
            state.disk.make(dir, name, body, (0o777, uid, gid)).map(drop)
        })
    }

    fn rename(&self, dir: DirId, from: &OsStr, to_dir: DirId, to: &OsStr) -> io::Result<()> {
        let target = |state: &State| Target {
            path: state.path(dir).join(from),
            to: Some(state.path(to_dir).join(to)),
            at: 0,
        };
        self.call(SimOp::Rename, target, |state, _| {
            let (dir, to_dir) = (state.dir(dir)?, state.dir(to_dir)?);
            state.disk.rename((dir, from), (to_dir, to), false)
        })
    }

    fn remove(&self, dir: DirId, name: &OsStr) -> io::Result<()> {
        self.call(SimOp::Remove, at_name(dir, name), |state, _| {
            let dir = state.dir(dir)?;
            state.disk.remove(dir, name)
        })
    }

    fn truncate(
        &self,
        dir: DirId,
        name: &OsStr,
        expected: &FileId,
        len: Option<u64>,
    ) -> io::Result<bool> {
        self.call(SimOp::Truncate, at_name(dir, name), |state, _| {
            let ino = state.disk.find_file(state.dir(dir)?, name)?;
            let stamp = state.disk.meta(ino)?.stamp;
            if stamp.id != *expected || len.is_some_and(|len| len != stamp.len) {
                return Ok(false);
            }
            state.disk.set_len(ino, 0)?;
            Ok(true)
        })
    }

    fn make_dir(&self, dir: DirId, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
        self.call(SimOp::MakeDir, at_name(dir, name), |state, _| {
            let (uid, gid) = state.acting;
            let parent = state.dir(dir)?;
            let root = uid == 0;
            let ino =
                state.disk.make(parent, name, Body::Dir(Default::default()), (0o700, uid, gid))?;
            state.disk.set_attributes(ino, attributes, root)
        })
    }

    fn sync_dir(&self, dir: DirId) -> io::Result<()> {
        self.call(SimOp::SyncDir, at_dir(dir), |state, _| {
            let ino = state.dir(dir)?;
            state.disk.sync_dir(ino)
        })
    }

    fn act_as(&self, who: Option<Identity>) -> io::Result<()> {
        self.call(
            SimOp::ActAs,
            |_| Target::default(),
            |state, _| {
                state.acting = who.map_or(state.user, |who| (who.uid, who.gid));
                Ok(())
            },
        )
    }
}

/// An open file.
pub(super) struct Handle<'a> {
    pub(super) fs: &'a SimFs,
    pub(super) ino: Ino,
    pub(super) path: PathBuf,
    pub(super) at: u64,
    /// Whether there may be blocks behind the end.
    pub(super) reserved: bool,
}

impl Handle<'_> {
    pub(super) fn call<T>(
        &self,
        op: SimOp,
        act: impl FnOnce(&mut State, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        let target = |_: &State| Target { path: self.path.clone(), to: None, at: self.at };
        self.fs.call(op, target, act)
    }

    fn advance(&mut self, count: usize) -> usize {
        self.at = self.at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        count
    }

    /// What was reserved and not used.
    fn give_back(&mut self) -> io::Result<()> {
        if self.reserved {
            self.call(SimOp::Trim, |state, _| state.disk.trim(self.ino))?;
            self.reserved = false;
        }
        Ok(())
    }

    pub(super) fn look(&self) -> io::Result<Meta> {
        self.call(SimOp::Meta, |state, _| state.disk.meta(self.ino))
    }
}

/// What a call moves if it is to do only a part.
pub(super) fn part(len: usize, short: bool) -> usize {
    if short { len.div_ceil(2) } else { len }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        let mut state = self.fs.lock();
        if !state.crashed {
            state.disk.let_go(self.ino);
        }
    }
}

impl Read for Handle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.call(SimOp::Read, |state, short| {
            let count = part(buffer.len(), short);
            let buffer = buffer.get_mut(..count).unwrap_or_default();
            Ok(state.disk.data(self.ino)?.read(self.at, buffer))
        })?;
        Ok(self.advance(count))
    }
}

impl ReadFile for Handle<'_> {
    fn meta(&self) -> io::Result<Meta> {
        self.look()
    }

    fn acl(&self) -> io::Result<Option<Acl>> {
        self.call(SimOp::GetExtended, |state, _| Ok(state.disk.node(self.ino)?.acl.clone()))
    }

    fn extended(&self) -> io::Result<Extended> {
        self.call(SimOp::GetExtended, |state, _| Ok(state.disk.node(self.ino)?.extended.clone()))
    }

    fn next_data(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        let found =
            self.call(SimOp::NextData, |state, _| Ok(state.disk.data(self.ino)?.next_data(from)))?;
        if let Some(range) = &found {
            self.at = range.start;
        }
        Ok(found)
    }
}

impl Write for Handle<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.call(SimOp::Write, |state, short| {
            let count = part(bytes.len(), short);
            state.disk.write(self.ino, self.at, bytes.get(..count).unwrap_or(bytes))
        })?;
        Ok(self.advance(count))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Handle<'_> {
    fn skip(&mut self, len: u64) -> io::Result<()> {
        let end = self.at.saturating_add(len);
        self.call(SimOp::Skip, |state, _| {
            if state.disk.data(self.ino)?.len() < end {
                state.disk.set_len(self.ino, end)?;
            }
            Ok(())
        })?;
        self.at = end;
        Ok(())
    }

    fn reserve(&mut self, len: Bytes) -> io::Result<()> {
        self.reserved = true;
        self.call(SimOp::Reserve, |state, _| state.disk.reserve(self.ino, len.get()))
    }

    fn allocate(&mut self, len: Bytes) -> io::Result<()> {
        self.call(SimOp::Allocate, |state, _| state.disk.allocate(self.ino, len.get()))
    }

    fn set_attributes(&mut self, attributes: &Attributes) -> io::Result<()> {
        self.give_back()?;
        self.call(SimOp::SetAttributes, |state, _| {
            let root = state.acting.0 == 0;
            state.disk.set_attributes(self.ino, attributes, root)
        })
    }

    fn set_access(&mut self, attributes: &Attributes, acl: Option<&Acl>) -> io::Result<()> {
        self.give_back()?;
        self.call(SimOp::SetAttributes, |state, _| {
            let root = state.acting.0 == 0;
            state.disk.set_extended(self.ino, Some(acl.cloned()), None)?;
            state.disk.set_attributes(self.ino, attributes, root)
        })
    }

    fn set_extended(&mut self, extended: &Extended) -> io::Result<()> {
        self.call(SimOp::SetExtended, |state, _| {
            state.disk.set_extended(self.ino, None, Some(extended.clone()))
        })
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.call(SimOp::Cut, |state, _| state.disk.set_len(self.ino, len))?;
        self.at = len;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.give_back()?;
        let result = self.call(SimOp::Sync, |state, _| state.disk.sync_file(self.ino));
        self.fs.synced(self.ino, result)
    }

    fn meta(&self) -> io::Result<Meta> {
        self.look()
    }
}
