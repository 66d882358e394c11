//! A simulated file system for tests: a disk of a given size, faults and crashes.
//!
//! It behaves as Linux does where `scan` and `apply` can notice: blocks are allocated whole,
//! an unlinked file keeps its blocks while it is open, a full disk or inode table refuses,
//! and what was not flushed may be lost in a crash ([`Unsynced`]). Blocks that are set aside
//! count as used, and writing them cannot fail for want of room. The same calls give the
//! same state, times and inode numbers.
//!
//! Not simulated: permission checks (everybody may do everything; owner and mode are only
//! kept), access times, the reuse of inode numbers, and growth of directories (one block
//! each).
//!
//! ```
//! use std::ffi::OsStr;
//! use logquota::fs::sim::{Content, Fault, SimDisk, SimFs, Times, Unsynced};
//! use logquota::fs::{ReadFs as _, WriteFs as _};
//!
//! # fn main() -> std::io::Result<()> {
//! let fs = SimFs::new(SimDisk::default());
//! fs.mkdir("/var/log")?;
//! fs.put("/var/log/app.log", Content::from("hello\n"), 1_700_000_000)?;
//! let dir = fs.open_root("/var/log".as_ref())?;
//! fs.rename(dir, OsStr::new("app.log"), dir, OsStr::new("app.log.1"))?;
//! // The power fails before the directory was flushed.
//! let after = fs.reboot(Unsynced::Dropped, 1);
//! assert!(after.exists("/var/log/app.log"));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub use self::durable::Unsynced;
pub use self::fault::{Call, Fault, SimOp, Times};
pub use self::scene::{Content, Entry};

use self::disk::{Disk, Ino};
use self::fault::Faults;
use crate::inventory::DirId;
use crate::stamp::Timestamp;
use crate::units::Bytes;

mod append;
mod calls;
mod data;
mod disk;
mod durable;
mod fault;
mod lookup;
mod scene;
#[cfg(test)]
mod tests;
mod trim;

/// How big a disk is and how it behaves when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimDisk {
    /// Its size in bytes.
    pub capacity: Bytes,
    /// How many inodes it has, directories included.
    pub inodes: u64,
    /// The unit of allocation in bytes.
    pub block: Bytes,
    /// Refuses with EDQUOT instead of ENOSPC, and needs a free block also to make a file, to
    /// truncate one, or to write where something was written before, as btrfs does under a
    /// quota.
    pub copy_on_write: bool,
    /// How the head of a file can be cut off.
    pub head_cuts: HeadCuts,
    /// Whether a gap that is left may be there in part when the power fails, from either end: file
    /// systems give its blocks back in several transactions.
    pub gaps_in_parts: bool,
    /// Whether a file can be made longer with blocks behind it (NFS, for one, cannot).
    pub allocates: bool,
    /// The longest name, in bytes (vfat, which counts characters, has longer ones).
    pub name_max: usize,
}

/// How a simulated file system cuts off the head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadCuts {
    /// It closes the gap or leaves it, as asked (ext4, xfs).
    Close,
    /// It can only leave a gap (btrfs, tmpfs).
    Leave,
    /// It cannot.
    Never,
}

impl Default for SimDisk {
    /// 64 MiB in blocks of 512 bytes, 10,000 inodes.
    fn default() -> Self {
        Self {
            capacity: Bytes::mib(64),
            inodes: 10_000,
            block: Bytes::new(512),
            copy_on_write: false,
            head_cuts: HeadCuts::Close,
            gaps_in_parts: false,
            allocates: true,
            name_max: 255,
        }
    }
}

/// What is occupied. Every inode counts once, also when it has no name left but is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// By files.
    pub files: Bytes,
    /// By directories.
    pub dirs: Bytes,
    /// The part of `files` that has no name any more.
    pub unlinked: Bytes,
    /// Inodes, directories included.
    pub inodes: u64,
}

/// No test makes so many calls, but a program that tries something again for ever does: the list of
/// them would take all the memory of the machine.
const CALLS_MAX: usize = 1 << 22;

/// Nor so many that change something, where images are kept.
const IMAGES_MAX: usize = 1 << 14;

type When = Box<dyn FnMut(&Call) -> bool + Send>;
type Then = Box<dyn FnOnce(&SimFs) + Send>;

/// The simulated file system. See the [module](self) for what it does.
///
/// Calls of the traits [`ReadFs`](super::ReadFs) and [`WriteFs`](super::WriteFs) are counted
/// and can fail; the methods here are somebody else at work, and are neither.
///
/// # Panics
///
/// After some millions of calls, or some thousands of images, as a loop without an end makes them.
pub struct SimFs {
    shared: Arc<Shared>,
}

/// What open logs share with the file system that they are from.
struct Shared {
    state: Mutex<State>,
    /// A turn was given back, or the machine has stopped.
    turned: Condvar,
}

struct State {
    disk: Disk,
    dirs: BTreeMap<u32, (Ino, PathBuf)>,
    /// Directories that are yet to be made.
    pending: BTreeMap<u32, (DirId, OsString)>,
    next_dir: u32,
    holds: append::Holds,
    log: Vec<Call>,
    faults: Faults,
    crashed: bool,
    interrupts: Vec<(When, Then)>,
    peak: Bytes,
    bound: Bytes,
    /// The bound is for what has a name.
    is_for_named: bool,
    exceeded: Option<(Call, Bytes)>,
    images: Option<Vec<SimImage>>,
    user: (u32, u32),
    acting: (u32, u32),
    /// Who writes to a log does not append.
    writes_elsewhere: bool,
}

/// The disk at the instant before a call that changes something.
#[derive(Clone, Debug)]
pub struct SimImage {
    call: u64,
    disk: Disk,
    user: (u32, u32),
}

impl SimImage {
    /// The number of the call that was not made any more.
    #[must_use]
    pub const fn call(&self) -> u64 {
        self.call
    }

    /// The file system that is found after a crash at this instant.
    #[must_use]
    pub fn reboot(&self, model: Unsynced, seed: u64) -> SimFs {
        SimFs::on(self.disk.clone().reboot(model, seed), self.user)
    }
}

impl SimFs {
    /// An empty disk.
    #[must_use]
    pub fn new(shape: SimDisk) -> Self {
        Self::on(Disk::new(shape), (0, 0))
    }

    /// The same, for a program that is not root.
    #[must_use]
    pub fn new_for_user(shape: SimDisk, uid: u32, gid: u32) -> Self {
        Self::on(Disk::new(shape), (uid, gid))
    }

    fn on(disk: Disk, user: (u32, u32)) -> Self {
        let peak = disk.usage().files;
        let state = State {
            disk,
            dirs: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_dir: 1,
            holds: append::Holds::default(),
            log: Vec::new(),
            faults: Faults::default(),
            crashed: false,
            interrupts: Vec::new(),
            peak,
            bound: Bytes::MAX,
            is_for_named: false,
            exceeded: None,
            images: None,
            user,
            acting: user,
            writes_elsewhere: false,
        };
        let shared = Shared { state: Mutex::new(state), turned: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file whose sync failed is not durable, though a later sync may succeed.
    fn synced(&self, ino: disk::Ino, result: io::Result<()>) -> io::Result<()> {
        if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.lock().disk.lost.insert(ino);
        }
        result
    }

    /// Lets call number `call` (1 is the first) fail, if the fault [applies](Fault::applies_to)
    /// to it. With [`Times::Forever`] also every later call that it applies to.
    pub fn fail_at(&self, call: u64, fault: Fault, times: Times) {
        self.lock().faults.plan(call, fault, times);
    }

    /// From now on nothing fails, except that a machine that has stopped stays so.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// How many calls a fault has struck.
    #[must_use]
    pub fn faults_struck(&self) -> u64 {
        self.lock().faults.fired
    }

    /// Runs `then` once, before the first call for which `when` says so: another program that
    /// does something at the worst moment.
    pub fn interrupt(
        &self,
        when: impl FnMut(&Call) -> bool + Send + 'static,
        then: impl FnOnce(&Self) + Send + 'static,
    ) {
        self.lock().interrupts.push((Box::new(when), Box::new(then)));
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        u64::try_from(self.lock().log.len()).unwrap_or(u64::MAX)
    }

    /// Calls so far that can change something.
    #[must_use]
    pub fn mutating_calls(&self) -> u64 {
        let count = self.lock().log.iter().filter(|call| call.op.is_mutating()).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// The calls so far.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        self.lock().log.clone()
    }

    /// Forgets calls, peak and images, and counts from 1 again.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.log.clear();
        state.peak = state.disk.usage().files;
        state.exceeded = None;
        if let Some(images) = &mut state.images {
            images.clear();
        }
    }

    /// What is occupied now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.lock().disk.usage()
    }

    /// The most that files occupied after any call, or at the start.
    #[must_use]
    pub fn peak_used(&self) -> Bytes {
        self.lock().peak
    }

    /// From now on, remembers the first call after which files occupy more than this.
    pub fn assert_used_at_most(&self, bound: Bytes) {
        let mut state = self.lock();
        state.bound = bound;
        state.is_for_named = false;
        state.exceeded = None;
    }

    /// The same for files that have a name: `st_blocks` of everything in the directories.
    pub fn assert_named_at_most(&self, bound: Bytes) {
        self.assert_used_at_most(bound);
        self.lock().is_for_named = true;
    }

    /// The first call after which files occupied more than allowed, and how much.
    #[must_use]
    pub fn exceeded(&self) -> Option<(Call, Bytes)> {
        self.lock().exceeded.clone()
    }

    /// From now on, keeps an image of the disk before every call that can change something. A
    /// crash before any other call leaves what a crash before the next of these leaves.
    pub fn record_images(&self) {
        self.lock().images = Some(Vec::new());
    }

    /// The images so far, and one of now.
    #[must_use]
    pub fn images(&self) -> Vec<SimImage> {
        let state = self.lock();
        let mut images = state.images.clone().unwrap_or_default();
        images.push(state.image());
        images
    }

    /// The file system that is found if the machine stops now, or stopped when it crashed.
    /// The seed decides what is torn.
    #[must_use]
    pub fn reboot(&self, model: Unsynced, seed: u64) -> Self {
        self.lock().image().reboot(model, seed)
    }

    /// The time that the next change gets, less a nanosecond.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.lock().disk.time
    }

    /// Sets the clock; each change moves it on by a nanosecond.
    pub fn set_time(&self, secs: i64) {
        self.lock().disk.time = Timestamp { secs, nanos: 0 };
    }

    /// Makes one counted call: notes it, lets others interrupt, fails if it is to fail.
    /// `act` is told whether it shall do only a part.
    fn call<T>(
        &self,
        op: SimOp,
        target: impl FnOnce(&State) -> Target,
        act: impl FnOnce(&mut State, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.lock();
        if state.crashed {
            return Err(Fault::Crash.error());
        }
        let (calls, images) = (state.log.len(), state.images.as_ref().map_or(0, Vec::len));
        let is_endless = calls >= CALLS_MAX || images >= IMAGES_MAX;
        if is_endless {
            state.crashed = true;
            self.shared.turned.notify_all();
        }
        assert!(!is_endless, "{calls} calls were made, and {op:?} now: this does not end");
        let Target { path, to, at } = target(&state);
        let index = u64::try_from(state.log.len()).unwrap_or(u64::MAX) + 1;
        let call = Call { index, op, path, to, at };
        state.log.push(call);
        if !state.interrupts.is_empty() {
            let (due, later) = std::mem::take(&mut state.interrupts)
                .into_iter()
                .map(|(mut when, then)| (state.log.last().is_some_and(&mut when), when, then))
                .partition::<Vec<_>, _>(|(due, ..)| *due);
            state.interrupts = later.into_iter().map(|(_, when, then)| (when, then)).collect();
            drop(state);
            due.into_iter().for_each(|(.., then)| then(self));
            state = self.lock();
        }
        if op.is_mutating() && state.images.is_some() {
            let image = SimImage { call: index, ..state.image() };
            state.images.get_or_insert_default().push(image);
        }
        let result = match state.faults.at(index, op) {
            None => act(&mut state, false),
            Some(Fault::Short) => act(&mut state, true),
            Some(fault) => {
                if fault == Fault::Crash {
                    state.crashed = true;
                    self.shared.turned.notify_all();
                }
                Err(fault.error())
            }
        };
        state.measure();
        result
    }
}

/// What a call is about.
#[derive(Default)]
struct Target {
    path: PathBuf,
    to: Option<PathBuf>,
    at: u64,
}

impl State {
    fn image(&self) -> SimImage {
        let call = u64::try_from(self.log.len()).unwrap_or(u64::MAX).saturating_add(1);
        SimImage { call, disk: self.disk.clone(), user: self.user }
    }

    fn dir(&self, dir: DirId) -> io::Result<Ino> {
        if let Some((parent, name)) = self.pending.get(&dir.0) {
            let ino = self.disk.find(self.dir(*parent)?, name)?;
            self.disk.entries(ino)?;
            return Ok(ino);
        }
        self.dirs.get(&dir.0).map(|(ino, _)| *ino).ok_or_else(|| fault::errno(fault::EBADF))
    }

    /// Looks at what is occupied, after anything that can change it.
    fn measure(&mut self) {
        let Some(call) = self.log.last() else { return };
        if !call.op.is_mutating() {
            return;
        }
        let usage = self.disk.usage();
        self.peak = self.peak.max(usage.files);
        let unnamed = if self.is_for_named { usage.unlinked } else { Bytes::ZERO };
        let used = usage.files.minus(unnamed);
        if used > self.bound && self.exceeded.is_none() {
            self.exceeded = Some((call.clone(), used));
        }
    }
}
