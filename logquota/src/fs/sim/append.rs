//! Logs that are open for appending, and who holds them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::calls::{at_name, part};
use super::data::Data;
use super::disk::{Body, Ino};
use super::fault::{EINVAL, errno};
use super::{Fault, SimFs, SimOp, State, Target};
use crate::fs::{AppendFile, Attributes, Hold};
use crate::inventory::DirId;
use crate::stamp::Meta;
use crate::units::Bytes;

/// Who holds which log, and whose turn it is on which. Open files have numbers.
#[derive(Default)]
pub(super) struct Holds {
    next: u64,
    held: BTreeMap<(Ino, u64), Hold>,
    turns: BTreeMap<Ino, u64>,
}

impl Holds {
    pub(super) fn is_held(&self, ino: Ino) -> bool {
        self.held.range((ino, 0)..=(ino, u64::MAX)).next().is_some()
    }

    /// If others are in the way, what was held before stays.
    fn hold(&mut self, ino: Ino, file: u64, hold: Hold) -> bool {
        let all = self.held.range((ino, 0)..=(ino, u64::MAX));
        let mut others = all.filter(|((_, other), _)| *other != file);
        let is_free = match hold {
            Hold::Alone => others.next().is_none(),
            Hold::Together => others.all(|(_, other)| *other == Hold::Together),
        };
        if is_free {
            self.held.insert((ino, file), hold);
        }
        is_free
    }

    fn take_turn(&mut self, ino: Ino, file: u64) -> bool {
        *self.turns.entry(ino).or_insert(file) == file
    }

    fn end_turn(&mut self, ino: Ino, file: u64) {
        if self.turns.get(&ino) == Some(&file) {
            self.turns.remove(&ino);
        }
    }
}

/// An open log.
pub(super) struct Log {
    fs: SimFs,
    ino: Ino,
    path: PathBuf,
    number: u64,
}

/// Opens one that exists.
pub(super) fn open(fs: &SimFs, dir: DirId, name: &OsStr) -> io::Result<Log> {
    fs.call(SimOp::OpenLog, at_name(dir, name), |state, _| {
        let ino = state.disk.find_file(state.dir(dir)?, name)?;
        Log::new(fs, state, ino, state.path(dir).join(name))
    })
}

/// Makes one; three calls at most.
pub(super) fn create(
    fs: &SimFs,
    dir: DirId,
    name: &OsStr,
    attributes: &Attributes,
) -> io::Result<Log> {
    let log = fs.call(SimOp::Create, at_name(dir, name), |state, _| {
        let (uid, gid) = state.acting;
        let body = Body::File(Data::empty(state.disk.block()));
        let folder = state.dir(dir)?;
        let ino = state.disk.make(folder, name, body, (0o600, uid, gid))?;
        Log::new(fs, state, ino, state.path(dir).join(name))
    })?;
    let set = log.call(SimOp::SetAttributes, |state, _| {
        let root = state.acting.0 == 0;
        state.disk.set_attributes(log.ino, attributes, root)
    });
    if let Err(error) = set {
        let _ = fs.call(SimOp::Remove, at_name(dir, name), |state, _| {
            let folder = state.dir(dir)?;
            state.disk.remove(folder, name)
        });
        return Err(error);
    }
    Ok(log)
}

impl Log {
    fn new(fs: &SimFs, state: &mut State, ino: Ino, path: PathBuf) -> io::Result<Self> {
        state.disk.hold(ino)?;
        let number = state.holds.next;
        state.holds.next += 1;
        Ok(Self { fs: SimFs { shared: Arc::clone(&fs.shared) }, ino, path, number })
    }

    /// Repeats a call that a signal interrupted; each try counts.
    fn call<T>(
        &self,
        op: SimOp,
        mut act: impl FnMut(&mut State, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let target = |state: &State| {
                let at = state.disk.data(self.ino).map_or(0, Data::len);
                Target { path: self.path.clone(), to: None, at }
            };
            match self.fs.call(op, target, &mut act) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && op != SimOp::Sync => {}
                other => return other,
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut state = self.fs.lock();
        if !state.crashed {
            state.holds.held.remove(&(self.ino, self.number));
            state.holds.end_turn(self.ino, self.number);
            state.disk.let_go(self.ino);
            self.fs.shared.turned.notify_all();
        }
    }
}

impl AppendFile for Log {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.call(SimOp::Append, |state, short| {
            let count = part(bytes.len(), short);
            let end = state.disk.data(self.ino)?.len();
            state.disk.write(self.ino, end, bytes.get(..count).unwrap_or(bytes))
        })
    }

    fn meta(&self) -> io::Result<Meta> {
        self.call(SimOp::Meta, |state, _| state.disk.meta(self.ino))
    }

    fn reserve(&self, len: Bytes) -> io::Result<()> {
        self.call(SimOp::Reserve, |state, _| state.disk.reserve(self.ino, len.get()))
    }

    fn trim(&self) -> io::Result<()> {
        self.call(SimOp::Trim, |state, _| state.disk.trim(self.ino))
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.call(SimOp::Cut, |state, _| match state.disk.data(self.ino)?.len() {
            now if now < len => Err(errno(EINVAL)),
            now if now == len => Ok(()),
            _ => state.disk.set_len(self.ino, len),
        })
    }

    fn sync(&self) -> io::Result<()> {
        let result = self.call(SimOp::Sync, |state, _| state.disk.sync_file(self.ino));
        self.fs.synced(self.ino, result)
    }

    fn hold(&self, hold: Hold) -> io::Result<bool> {
        self.call(SimOp::Hold, |state, _| Ok(state.holds.hold(self.ino, self.number, hold)))
    }

    fn begin_turn(&self, wait: Duration) -> io::Result<bool> {
        let take = |state: &mut State| state.holds.take_turn(self.ino, self.number);
        if self.call(SimOp::BeginTurn, |state, _| Ok(take(state)))? {
            return Ok(true);
        }
        let mut taken = false;
        let waits = |state: &mut State| {
            taken = !state.crashed && take(state);
            !state.crashed && !taken
        };
        let waited = self.fs.shared.turned.wait_timeout_while(self.fs.lock(), wait, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.crashed { Err(Fault::Crash.error()) } else { Ok(taken) }
    }

    fn end_turn(&self) -> io::Result<()> {
        self.call(SimOp::EndTurn, |state, _| {
            state.holds.end_turn(self.ino, self.number);
            Ok(())
        })?;
        self.fs.shared.turned.notify_all();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
