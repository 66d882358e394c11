//! Decides everything: which logs rotate, which archives go, in which order, under which
//! names. Pure: the same inventory, configuration and moment give the same plan.
//!
//! What a plan promises is checked by [`check`], which shares no code with this, and listed
//! in `docs/promises.md`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, NaiveDateTime};

use crate::fs::Attributes;
use crate::inventory::{Dir, DirId, Place};
use crate::policy::{Codec, Identity, Program, Shred};
use crate::stamp::{FileId, Oldest, Stamp};
use crate::units::{Age, Bytes, Generation};

mod ballast;
mod blocked;
mod check;
mod classic;
mod decide;
mod digest;
mod draft;
mod free;
pub mod guard;
mod host;
mod next;
mod not_now;
mod order;
mod purpose;
mod quota;
mod retain;
mod rotate;
mod trim;
mod twofold;
mod verdict;

pub use self::check::{Violation, check};
pub use self::decide::plan;
pub use self::host::{Disk, Host};
pub use self::next::{NextDue, next_due};
pub(crate) use self::order::{PIECE_MAX, PIECE_MIN, admits, is_fit, piece};
pub use self::purpose::{Goal, OnlyBelow, Purpose, Wanted};
pub(crate) use self::rotate::{NAME_MAX, period_is_over};
pub use self::trim::KEPT_MIN;
pub(crate) use self::trim::cut_at_most;
pub use self::verdict::{Verdict, Verdicts};

/// What a plan is made for, besides inventory and configuration.
#[derive(Clone, Debug)]
pub struct Context {
    /// The one "now" of the run, with the local offset.
    pub now: DateTime<FixedOffset>,
    /// This host.
    pub host: Host,
    /// Every log that is not empty is due (logrotate's `--force`).
    pub force: bool,
    /// What the plan is for.
    pub purpose: Purpose,
}

/// What shall be done, in order. Data: a dry run shows it and stops.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// A digest over host, directories, policy, and every step with its file's identity.
    pub id: String,
    /// For which host.
    pub host: Host,
    /// What it is for.
    pub purpose: Purpose,
    /// A digest over the configuration, to say that it is another one.
    pub policy: String,
    /// For which moment.
    pub created: DateTime<FixedOffset>,
    /// The sets, in the order of the configuration.
    pub sets: Vec<SetPlan>,
    /// The ceiling over all sets together.
    pub global_quota: Option<Bytes>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
    /// Logs that are due, whether or not they can be rotated.
    pub due: Vec<Due>,
    /// What becomes of each archive; for every log of the inventory that has any, in its order.
    pub verdicts: Vec<LogVerdicts>,
    /// What cannot be done, and why.
    pub problems: Vec<Problem>,
    /// Logs that stay although a quota is not met with them: in use, or rotated just now. These are
    /// errors if it is not met in the end, either; compression may have gained enough.
    pub unmet: Vec<Problem>,
    /// The directories that steps name.
    pub dirs: BTreeMap<DirId, Dir>,
}

/// A log that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Index of its set.
    pub set: usize,
    /// Index of the log in its set.
    pub log: usize,
    /// Why.
    pub reason: Reason,
}

/// The sums of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPlan {
    /// Its name.
    pub name: String,
    /// Its quota, if it has one.
    pub quota: Option<Bytes>,
    /// What it occupies now.
    pub used_before: Bytes,
    /// The most it will occupy on the way, at most; never above the larger of
    /// `used_before` and `quota`.
    pub used_peak: Bytes,
    /// What it will occupy in the end, at most: compression is counted as if it gained nothing.
    pub used_after: Bytes,
    /// What is missing to meet quota, file limit's bytes or reserve; zero if all are met.
    pub shortfall: Bytes,
    /// Files before.
    pub files_before: u64,
    /// Files after.
    pub files_after: u64,
    /// Files above `maxfiles` that could not be evicted, or inodes that are missing to the goal.
    pub files_shortfall: u64,
    /// Free on the file system now.
    pub free_before: Bytes,
    /// Free on the file system in the end, at least, if nobody else writes.
    pub free_after: Bytes,
    /// As whom its steps are done.
    pub run_as: Option<Identity>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Index of the set in [`Plan::sets`].
    pub set: usize,
    /// Index of the log within its set, if it concerns one.
    pub log: Option<usize>,
    /// What is done.
    pub action: Action,
    /// What must be true of the file before it is touched.
    pub expect: Expect,
    /// Bytes it concerns: freed by a deletion, read by a compression.
    pub bytes: Bytes,
    /// Why, with the numbers that decided.
    pub reason: Reason,
    /// What the set occupies after this step, at most.
    pub used_after: Bytes,
    /// Steps (indices, all smaller than its own) without which it is not done.
    pub needs: Vec<usize>,
    /// It is left out if there is room enough by then. All sums count it as done.
    pub only_below: Option<OnlyBelow>,
}

/// What a step does. Every name is chosen here; no step writes to a name that exists.
///
/// There may be very many, most of them deletions: what those do not have is boxed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Renames without replacing.
    Rename {
        /// Old name.
        from: Place,
        /// New name.
        to: Place,
    },
    /// Makes an empty file.
    Create {
        /// Where.
        at: Place,
        /// Mode and owner.
        attributes: Box<Attributes>,
        /// The log that was, for what the scan does not see.
        like: Option<Box<Like>>,
    },
    /// Makes a directory (`createolddir`).
    MakeDir {
        /// Where.
        at: Place,
        /// Mode and owner.
        attributes: Box<Attributes>,
    },
    /// Copies a file: to a temporary name, synced, then renamed.
    Copy {
        /// The source.
        from: Place,
        /// The copy.
        to: Place,
        /// The name it has while it is made, in the folder of `to`.
        temp: Box<OsStr>,
        /// The most it may occupy.
        room: Bytes,
        /// Whether it has the source's time of last change. By that a later run knows a copy that
        /// an interrupted one has made; logrotate's copies are as old as the rotation.
        keeps_time: bool,
    },
    /// Empties a file in place.
    Truncate {
        /// Which.
        at: Place,
        /// Only if its content is that of this copy, which an interrupted run has made.
        same_as: Option<Place>,
    },
    /// Cuts off the head of a log in place, while others write to it (`livetrim`, or to free
    /// space).
    Trim {
        /// Which.
        at: Place,
        /// The first bytes that occupy blocks go, so many of them: a multiple of the file
        /// system's block. (A head that was cut off before and not closed up occupies none.)
        cut: Bytes,
        /// The newest bytes stay, so many at least, also if the log is shorter by then.
        keep: Bytes,
    },
    /// Compresses a file: to a temporary name, synced, renamed, then the source is unlinked.
    Compress {
        /// The source.
        from: Place,
        /// The compressed file.
        to: Box<Place>,
        /// The name it has while it is made, in the folder of `to`.
        temp: Box<OsStr>,
        /// The log it is an archive of. While a program appends to that within a quota of its
        /// own, the file stays plain: nobody else may use the room that is left.
        log: Box<Place>,
        /// In place of the codec: a program.
        program: Option<Arc<Program>>,
        /// With what.
        codec: Codec,
        /// How hard; the codec's default if none.
        level: Option<i32>,
        /// The most it may occupy. If that is not free within the limits when its turn comes,
        /// the file stays plain.
        room: Bytes,
        /// The source stays; a later step deletes it.
        keep: bool,
    },
    /// Compresses an archive where there is no room for source and result together: piece by
    /// piece, each on the disk before it is given back in the source. At any instant what is
    /// compressed so far and the rest of the source are the whole archive, once. If there is not
    /// even room for a piece, a later run goes on.
    Squeeze {
        /// The source.
        from: Place,
        /// The compressed file.
        to: Box<Place>,
        /// The name of what is compressed so far, in the folder of `to`.
        head: Box<OsStr>,
        /// Which file that is, if an interrupted run has begun it.
        begun: Option<Box<FileId>>,
        /// The log it is an archive of, as for [`Action::Compress`].
        log: Box<Place>,
        /// With what.
        codec: Codec,
        /// How hard; the codec's default if none.
        level: Option<i32>,
        /// The most that is needed beside the source at any time.
        room: Bytes,
    },
    /// Mails a file. It stays as it is.
    Mail {
        /// Which.
        at: Place,
        /// What to whom.
        message: Arc<Message>,
    },
    /// Deletes a file.
    Delete {
        /// Which.
        at: Place,
        /// It is overwritten first.
        shred: Option<Shred>,
        /// Only if its content is that of this compressed or plain copy.
        same_as: Option<Box<Place>>,
        /// Its compressed beginning, which goes first.
        head: Option<Box<Begun>>,
    },
    /// Deletes the ballast, which gives its room.
    ReleaseBallast {
        /// Which.
        at: Place,
    },
    /// Makes the ballast, and its folder where that does not exist. What there is of a smaller or
    /// half-made one goes before.
    RestoreBallast {
        /// Where.
        at: Place,
        /// How large.
        size: Bytes,
        /// Only if so much stays free.
        left: Bytes,
    },
    /// Runs a script of the configuration.
    RunHook {
        /// Which.
        hook: Hook,
        /// Its text.
        script: Arc<str>,
        /// Its arguments.
        args: Vec<OsString>,
    },
}

/// The compressed beginning of an archive, in the folder of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its name.
    pub name: OsString,
    /// What was seen of it. Not that any more, it is left alone, and the archive with it.
    pub stamp: Stamp,
}

/// A file whose SELinux label a new file gets, by the name it has when its turn comes. If it is
/// gone or another file by then, nothing is taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Like {
    /// Its place.
    pub at: Place,
    /// Which file that is.
    pub id: FileId,
    /// Its access control list, too (logrotate(8): `create` without a mode).
    pub keeps_acl: bool,
}

/// A file that is mailed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// To whom.
    pub address: String,
    /// The subject: a path.
    pub subject: OsString,
    /// The program that unpacks it on the way, if it is compressed.
    pub unpack: Option<OsString>,
}

/// Which script of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hook {
    /// `firstaction`
    First,
    /// `prerotate`
    Pre,
    /// `postrotate`
    Post,
    /// `lastaction`
    Last,
    /// `preremove`
    PreRemove,
}

impl Hook {
    /// logrotate's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "firstaction",
            Self::Pre => "prerotate",
            Self::Post => "postrotate",
            Self::Last => "lastaction",
            Self::PreRemove => "preremove",
        }
    }
}

impl Action {
    /// The word for it in machine output.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rename { .. } => "rename",
            Self::Create { .. } | Self::MakeDir { .. } => "create",
            Self::Copy { .. } => "copy",
            Self::Truncate { .. } => "truncate",
            Self::Trim { .. } => "trim",
            Self::Compress { .. } => "compress",
            Self::Squeeze { .. } => "squeeze",
            Self::Mail { .. } => "mail",
            Self::Delete { .. } => "delete",
            Self::ReleaseBallast { .. } => "release_ballast",
            Self::RestoreBallast { .. } => "restore_ballast",
            Self::RunHook { .. } => "run_hook",
        }
    }

    /// The file it acts on, as it is called before the step; none for scripts.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Rename { from, .. }
            | Self::Copy { from, .. }
            | Self::Compress { from, .. }
            | Self::Squeeze { from, .. } => Some(from),
            Self::Create { at, .. }
            | Self::MakeDir { at, .. }
            | Self::Truncate { at, .. }
            | Self::Trim { at, .. }
            | Self::Mail { at, .. }
            | Self::Delete { at, .. }
            | Self::ReleaseBallast { at }
            | Self::RestoreBallast { at, .. } => Some(at),
            Self::RunHook { .. } => None,
        }
    }

    /// The name that exists afterwards and did not before, if any.
    #[must_use]
    pub const fn target(&self) -> Option<&Place> {
        match self {
            Self::Rename { to, .. } | Self::Copy { to, .. } => Some(to),
            Self::Compress { to, .. } | Self::Squeeze { to, .. } => Some(to),
            Self::Create { at, .. } | Self::MakeDir { at, .. } => Some(at),
            Self::Truncate { .. }
            | Self::Trim { .. }
            | Self::Mail { .. }
            | Self::Delete { .. }
            | Self::ReleaseBallast { .. }
            | Self::RestoreBallast { .. }
            | Self::RunHook { .. } => None,
        }
    }
}

/// What must be true of the file before a step touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// There is no file yet, or none is touched.
    Nothing,
    /// Nothing about it changed since the scan. (A rename by an earlier step of the same plan
    /// may have changed its ctime.)
    Unchanged(Stamp),
    /// It is the same file; it may have grown: the active file.
    SameFile(FileId),
    /// The same, and its oldest content is what was seen: a log that is cut to free space. What
    /// a person has seen going is what goes, once.
    SameOldest(FileId, Oldest),
    /// An earlier step of the same plan has made it.
    Made,
}

/// Why a step is done, with the numbers that decided.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "kind", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Reason {
    /// Half-done work of an interrupted run.
    Leftover,
    /// A compressed archive and the file it was made from both exist.
    Duplicate,
    /// The log reached its size.
    Size {
        /// Its length.
        len: Bytes,
        /// The limit.
        limit: Bytes,
    },
    /// The log exceeds `maxsize`.
    MaxSize {
        /// Its length.
        len: Bytes,
        /// The limit.
        limit: Bytes,
    },
    /// Its time has come.
    Interval {
        /// The criterion in words: `daily`, `weekly`, …
        every: String,
        /// Last rotation, by the local clock.
        last: Option<NaiveDateTime>,
    },
    /// Its last rotation is said to be more than a day in the future.
    FutureDate {
        /// Last rotation, by the local clock.
        last: NaiveDateTime,
    },
    /// It was asked for.
    Forced,
    /// A rotation that was begun is finished.
    Interrupted,
    /// The archives alone cannot make enough room, so the log itself has to give.
    QuotaPressure {
        /// What the set would still occupy.
        used: Bytes,
        /// The limit.
        limit: Bytes,
    },
    /// A name is needed for a newer archive.
    MakeWay,
    /// Under logrotate's rules: another file takes its name, and it is one too many.
    Overwritten,
    /// Under logrotate's rules: it is in the way of a new file, and is set aside.
    InTheWay,
    /// `mail` asks for it.
    Mail,
    /// Its compressed copy is complete.
    Compressed,
    /// The log was renamed; its writer needs a new one.
    NewLog,
    /// `olddir` does not exist yet.
    MissingDir,
    /// The copy is complete; the log starts anew.
    Copied,
    /// More archives than `rotate` allows.
    Count {
        /// Its place in the line, 1 the newest.
        generation: Generation,
        /// How many stay.
        limit: u32,
    },
    /// Older than `maxage`.
    MaxAge {
        /// Its age.
        age: Age,
        /// The limit.
        limit: Age,
    },
    /// The set, or all sets together, would occupy more than the quota.
    Quota {
        /// What would be used if it stayed.
        used: Bytes,
        /// The quota.
        limit: Bytes,
        /// What its log occupies of that.
        log_used: Bytes,
        /// What its log may occupy without losing anything.
        share: Bytes,
    },
    /// More files than `maxfiles`.
    MaxFiles {
        /// Files if it stayed.
        files: u64,
        /// The limit.
        limit: u64,
    },
    /// The file system would have less free than `reserve`.
    Reserve {
        /// Free if it stayed.
        free: Bytes,
        /// What must be free.
        wanted: Bytes,
    },
    /// The file system would have fewer inodes free than are wanted.
    Inodes {
        /// Free if it stayed.
        free: u64,
        /// What must be free.
        wanted: u64,
    },
    /// Less is free on the file system than must be: the ballast goes.
    LowSpace {
        /// Free now.
        free: Bytes,
        /// What must be free.
        wanted: Bytes,
    },
    /// There is room for the ballast.
    RoomForBallast {
        /// What is free by then, at least.
        free: Bytes,
        /// What must be free for it to be made.
        wanted: Bytes,
    },
    /// The ballast is larger than is asked for: it is made anew, or goes if none is.
    BallastTooLarge {
        /// Its length.
        len: Bytes,
        /// What the configuration asks for.
        asked: Bytes,
    },
    /// A rotation needs an inode and the file system has none.
    NoInode,
    /// Archives are compressed.
    Compression {
        /// Its length.
        len: Bytes,
    },
    /// The configuration says so.
    Script,
}

/// Why an archive stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// No limit asks for its removal.
    WithinLimits,
    /// Removing it would free nothing: it has other names.
    HardLinked,
    /// It is a link, a folder or a pipe: it may be renamed, and nothing else.
    NoFile,
    /// Its log is left alone, whole.
    Blocked,
    /// A limit is broken, but its log does not use more than its share.
    FairShare,
}

/// The verdicts about one log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogVerdicts {
    /// Index of the set.
    pub set: usize,
    /// Index of the log in its set, in the order of [`Inventory::normalize`](crate::inventory::Inventory::normalize).
    pub log: usize,
    /// What becomes of each of its archives.
    pub verdicts: Verdicts,
}

/// What cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// About what.
    pub path: PathBuf,
    /// Why, and what to do.
    pub why: String,
    /// Whether it makes the run fail (exit status 1); otherwise it is for `-v`.
    pub is_error: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_takes_little_room() {
        assert!(size_of::<Step>() <= 320, "{}", size_of::<Step>());
    }
}
