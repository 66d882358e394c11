//! What a scan saw. Data only: the planner decides from it, and nothing else.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;

use chrono::NaiveDateTime;

use crate::ballast::Keeper;
use crate::stamp::{FileId, Meta, Oldest, Stamp, Timestamp};
use crate::units::Bytes;

mod archive;
mod names;

pub use self::archive::Archive;
pub(crate) use self::archive::Commons;
pub(crate) use self::names::Names;

/// A directory that the file-system layer holds for us. Names are relative to one of these
/// and have a single component, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId(pub u32);

/// A directory as it was scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dir {
    /// For people and for scripts; never opened again.
    pub path: PathBuf,
    /// Which directory it is.
    pub id: FileId,
    /// Which mount it is on.
    pub mount: u64,
    /// It does not exist yet: where it is to be made. (`id` and `mount` are then its parent's.)
    pub missing: Option<Place>,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its size.
    pub total: Bytes,
    /// What we could still allocate.
    pub free: Bytes,
    /// Inodes that could still be made; `None` where the file system has no such limit.
    pub free_files: Option<u64>,
    /// Inodes in all; `None` where the file system has no such limit.
    pub total_files: Option<u64>,
    /// The unit in which it allocates.
    pub block: Bytes,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Where.
    pub dir: DirId,
    /// A single component.
    pub name: OsString,
}

/// The compressed beginning of an archive. What it has the archive itself has no longer, or is
/// about to lose: neither is whole without the other, and both together are one archive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Its name in the log's archive folder.
    pub name: OsString,
    /// The suffix of what it will become.
    pub suffix: String,
    /// What was seen of it.
    pub meta: Meta,
}

/// Half-done work of an interrupted run, proven to be ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Where it is.
    pub place: Place,
    /// What was seen of it.
    pub meta: Meta,
    /// What it was to become.
    pub kind: LeftoverKind,
}

/// What kind of half-done work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeftoverKind {
    /// An unfinished copy or compressed file; its source is still there. It can go.
    Temporary,
    /// `LOG.tmp` of a `renamecopy` rotation: the only copy of the log until it is copied.
    Renamed,
}

/// Why a log is left alone, whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blocked {
    /// Its name is a symbolic link.
    Symlink,
    /// It is neither a file nor a link.
    Special,
    /// It has several names, and the policy does not allow that.
    HardLinks {
        /// How many.
        names: u32,
    },
    /// Others may write to its folder, and we are root.
    InsecureParent {
        /// What is wrong with the folder.
        why: String,
    },
    /// It does not exist and neither do archives of it.
    Missing,
    /// It could not be looked at.
    Unreadable {
        /// What the system said.
        why: String,
    },
}

impl Blocked {
    /// Whether this makes the run fail (exit status 1). Links are passed over quietly, as
    /// logrotate does.
    #[must_use]
    pub fn is_error(&self) -> bool {
        !matches!(self, Self::Symlink | Self::HardLinks { .. } | Self::Special)
    }
}

/// One log: its active file and everything behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Folder of the active file.
    pub dir: DirId,
    /// Name of the active file.
    pub name: OsString,
    /// The active file, if it exists.
    pub active: Option<Meta>,
    /// Folder of the archives.
    pub archive_dir: DirId,
    /// Archives, newest first (sorted by [`Inventory::normalize`]).
    pub archives: Vec<Archive>,
    /// Half-done work.
    pub leftovers: Vec<Leftover>,
    /// Names that an archive could want and that something else has.
    pub obstacles: Vec<OsString>,
    /// Why it must be left alone, if so.
    pub blocked: Option<Blocked>,
    /// An [`Appender`](crate::Appender) holds the active file and keeps a quota for it by itself:
    /// its head is not cut off. Only asked where that may happen.
    pub is_held: bool,
    /// Its oldest content. Only looked at where its head may be cut off to free space.
    pub oldest: Option<Box<Oldest>>,
    /// When it was last rotated, by the local clock, as far as anyone knows.
    pub last_rotated: Option<NaiveDateTime>,
}

/// The logs of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its logs.
    pub logs: Vec<Log>,
    /// Blocks of folders that belong to the set alone. They count, and cannot be freed.
    pub overhead: Bytes,
    /// The file system the set is on.
    pub space: Space,
    /// Device of that file system, to know which sets share it.
    pub dev: u64,
}

/// A place for a ballast: a file of ours that only keeps room, in a folder of ours beside logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballast {
    /// Its name, and the folder of ours, which may be yet to be made.
    pub place: Place,
    /// Index of the first set whose logs it lies beside.
    pub set: usize,
    /// Device of its file system.
    pub dev: u64,
    /// What is there.
    pub found: BallastFound,
    /// Who asks for what is there.
    pub keeper: Keeper,
    /// Whether one may be made here. Not where there only is one: that of another user beside logs
    /// of his, or of a program, or of a configuration whose blocks were others.
    pub can_be_made: bool,
}

/// What is where a ballast may be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BallastFound {
    /// Nothing.
    Missing {
        /// Since when, if there ever was something.
        since: Option<Timestamp>,
    },
    /// A ballast that may be given up, perhaps a half-made one.
    Ours(Meta),
    /// Something that is not ours, or the folder is not. It is neither touched nor counted on.
    Foreign {
        /// What is wrong with it.
        why: String,
    },
}

impl Ballast {
    /// The file, if it is ours.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        match &self.found {
            BallastFound::Ours(meta) => Some(meta.stamp),
            _ => None,
        }
    }

    /// Whether one is kept here, or may be.
    #[must_use]
    pub const fn is_place(&self) -> bool {
        self.can_be_made && !matches!(self.found, BallastFound::Foreign { .. })
    }

    /// What it keeps: nothing if it is not ours.
    #[must_use]
    pub fn kept(&self) -> Bytes {
        self.stamp().map_or(Bytes::ZERO, |stamp| stamp.allocated)
    }
}

/// Something the scan passed over that a person should know of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// What.
    pub path: PathBuf,
    /// Why.
    pub why: String,
    /// Whether it makes the run fail.
    pub is_error: bool,
}

/// What a scan saw. Sets are in the order of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Inventory {
    /// Every directory that is mentioned.
    pub dirs: BTreeMap<DirId, Dir>,
    /// One for each set of the configuration.
    pub sets: Vec<Set>,
    /// Where a ballast is or may be, in the order of the sets.
    pub ballasts: Vec<Ballast>,
    /// What was passed over.
    pub notes: Vec<Note>,
}

impl Inventory {
    /// The path of a place, for people and scripts.
    #[must_use]
    pub fn path(&self, dir: DirId, name: &std::ffi::OsStr) -> PathBuf {
        self.dirs.get(&dir).map_or_else(|| PathBuf::from(name), |d| d.path.join(name))
    }

    /// Puts everything into its one order: logs by path, archives newest first, the rest by
    /// name. The planner relies on it.
    pub fn normalize(&mut self) {
        let ranks = self.ranks();
        for set in &mut self.sets {
            // In place: no two logs are equal, and a second array of them is half the memory.
            set.logs.sort_unstable_by(|a, b| by_path(&ranks, a, b));
            for log in &mut set.logs {
                log.archives.sort_by(Archive::newest_first);
                log.leftovers.sort_by(|a, b| a.place.cmp(&b.place));
                log.obstacles.sort();
            }
        }
        self.notes.sort();
    }

    fn ranks(&self) -> Ranks {
        let mut dirs: Vec<_> = self.dirs.iter().map(|(id, dir)| (&dir.path, *id)).collect();
        dirs.sort();
        let mut ranks = Ranks::new();
        let mut rank = 0usize;
        let mut last = None;
        for (path, id) in dirs {
            // Folders of the same path share a rank: then the names decide, then the ids.
            if last.is_some_and(|last| last != path) {
                rank = rank.saturating_add(1);
            }
            last = Some(path);
            ranks.insert(id, rank);
        }
        ranks
    }

    /// Whether everything is in that order.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        let log_is_normal = |log: &Log| {
            log.archives.is_sorted_by(|a, b| a.newest_first(b).is_le())
                && log.leftovers.is_sorted_by(|a, b| a.place <= b.place)
                && log.obstacles.is_sorted()
        };
        let ranks = self.ranks();
        let set_is_normal = |set: &Set| {
            set.logs.is_sorted_by(|a, b| by_path(&ranks, a, b).is_le())
                && set.logs.iter().all(log_is_normal)
        };
        self.sets.iter().all(set_is_normal) && self.notes.is_sorted()
    }
}

/// Comparing paths is dear; comparing their places in the sorted list of all is not.
type Ranks = HashMap<DirId, usize>;

fn by_path(ranks: &Ranks, a: &Log, b: &Log) -> Ordering {
    let rank = |log: &Log| ranks.get(&log.dir);
    // A folder has one id, and almost always the one of the log before.
    let by_dir = if a.dir == b.dir { Ordering::Equal } else { rank(a).cmp(&rank(b)) };
    by_dir.then_with(|| a.name.cmp(&b.name)).then_with(|| a.dir.cmp(&b.dir))
}

impl Log {
    /// Stamps of everything that is counted for this log.
    pub fn stamps(&self) -> impl Iterator<Item = Stamp> {
        let active = self.active.iter().map(|meta| meta.stamp);
        active
            .chain(self.archives.iter().map(Archive::stamp))
            .chain(self.leftovers.iter().map(|leftover| leftover.meta.stamp))
            .chain(self.archives.iter().filter_map(Archive::head).map(|head| head.meta.stamp))
    }

    /// How many of its archives are half compressed.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.archives.iter().filter(|archive| archive.head().is_some()).count()
    }
}

impl Set {
    /// What the set occupies: allocated bytes over distinct inodes, and its folders.
    #[must_use]
    pub fn used(&self) -> Bytes {
        let mut linked = HashSet::new();
        self.logs
            .iter()
            .flat_map(Log::stamps)
            .filter(|stamp| stamp.nlink <= 1 || linked.insert((stamp.id.dev, stamp.id.ino)))
            .map(|stamp| stamp.allocated)
            .sum::<Bytes>()
            .plus(self.overhead)
    }

    /// How many files (distinct inodes) it has. An archive that is half compressed is one.
    #[must_use]
    pub fn files(&self) -> u64 {
        let mut linked = HashSet::new();
        let count = self
            .logs
            .iter()
            .flat_map(Log::stamps)
            .filter(|stamp| stamp.nlink <= 1 || linked.insert((stamp.id.dev, stamp.id.ino)))
            .count();
        let heads: usize = self.logs.iter().map(Log::heads).sum();
        u64::try_from(count.saturating_sub(heads)).unwrap_or(u64::MAX)
    }
}
