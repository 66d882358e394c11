//! What can go wrong at a call, and at which call it does.

use std::io;
use std::path::PathBuf;

/// A call of the traits. `Read` to `NextData` and `Append` to `EndTurn` are calls on an open
/// file, and so are those about extended attributes, and `Writers` to `Punch`. Making a log is a `Create` and a `SetAttributes`; giving a
/// directory back and asking for the user id cannot fail and are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named as the methods of the traits")]
#[non_exhaustive]
pub enum SimOp {
    OpenRoot,
    OpenDir,
    List,
    Stat,
    StatDir,
    Space,
    Open,
    Read,
    Meta,
    NextData,
    Create,
    Write,
    Skip,
    SetAttributes,
    Sync,
    Rename,
    Remove,
    Truncate,
    MakeDir,
    SyncDir,
    ActAs,
    OpenLog,
    Append,
    Reserve,
    Allocate,
    Trim,
    Cut,
    Hold,
    BeginTurn,
    EndTurn,
    IsHeld,
    LinkTo,
    GetExtended,
    SetExtended,
    OpenToTrim,
    GoOn,
    Writers,
    Collapse,
    Punch,
}

impl SimOp {
    /// Whether it can change what is on the disk, now or after a crash.
    #[must_use]
    pub const fn is_mutating(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Write
                | Self::Skip
                | Self::SetAttributes
                | Self::Sync
                | Self::Rename
                | Self::Remove
                | Self::Truncate
                | Self::MakeDir
                | Self::SyncDir
                | Self::Append
                | Self::Reserve
                | Self::Allocate
                | Self::Trim
                | Self::Cut
                | Self::LinkTo
                | Self::SetExtended
                | Self::Collapse
                | Self::Punch
        )
    }
}

/// One counted call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// 1 for the first.
    pub index: u64,
    /// Which.
    pub op: SimOp,
    /// On what.
    pub path: PathBuf,
    /// The new name of a rename.
    pub to: Option<PathBuf>,
    /// Where in the file a read or write is.
    pub at: u64,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>4} {:?} {}", self.index, self.op, self.path.display())?;
        if let Some(to) = &self.to {
            write!(f, " -> {}", to.display())?;
        }
        if self.at > 0 { write!(f, " at {}", self.at) } else { Ok(()) }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// ENOSPC, where something is written; deleting works.
    NoSpace,
    /// EDQUOT, likewise.
    Quota,
    /// EIO, anywhere. An fsync that fails so loses what it should have flushed: a second
    /// fsync succeeds and flushes nothing of it.
    Io,
    /// EROFS, where something is changed.
    ReadOnly,
    /// EACCES, where a name is looked up or changed.
    Access,
    /// EMFILE, where something is opened.
    TooManyOpen,
    /// EINTR; an open log repeats the call by itself. If it is for ever: at every other call, as a call that was interrupted and
    /// is repeated goes through in the end.
    Interrupted,
    /// A read or write does half of what was asked, at least a byte.
    Short,
    /// The machine stops before the call. All later calls fail and closing files does
    /// nothing.
    Crash,
}

impl Fault {
    /// All that a program survives.
    pub const ERRORS: [Self; 8] = [
        Self::NoSpace,
        Self::Quota,
        Self::Io,
        Self::ReadOnly,
        Self::Access,
        Self::TooManyOpen,
        Self::Interrupted,
        Self::Short,
    ];

    /// Whether a system gives this error for this call.
    #[must_use]
    pub const fn applies_to(self, op: SimOp) -> bool {
        use SimOp as O;
        match self {
            Self::NoSpace | Self::Quota => matches!(
                op,
                O::Create
                    | O::Write
                    | O::Sync
                    | O::Rename
                    | O::Truncate
                    | O::MakeDir
                    | O::SyncDir
                    | O::Append
                    | O::Reserve
                    | O::Allocate
                    | O::LinkTo
                    | O::SetExtended
                    | O::Collapse
                    | O::Punch
            ),
            // A turn can always be given back; if it could not, all others would wait for ever.
            Self::Io => !matches!(op, O::EndTurn),
            Self::Crash => true,
            Self::ReadOnly => op.is_mutating(),
            Self::Access => matches!(
                op,
                O::OpenRoot
                    | O::OpenDir
                    | O::List
                    | O::Stat
                    | O::Open
                    | O::Create
                    | O::SetAttributes
                    | O::Rename
                    | O::Remove
                    | O::Truncate
                    | O::MakeDir
                    | O::ActAs
                    | O::OpenLog
                    | O::IsHeld
                    | O::LinkTo
                    | O::SetExtended
                    | O::OpenToTrim
                    | O::GoOn
                    | O::Writers
            ),
            Self::TooManyOpen => matches!(
                op,
                O::OpenRoot
                    | O::OpenDir
                    | O::List
                    | O::Open
                    | O::Create
                    | O::Truncate
                    | O::OpenLog
                    | O::IsHeld
                    | O::OpenToTrim
                    | O::GoOn
                    | O::Writers
            ),
            Self::Interrupted => matches!(
                op,
                O::OpenRoot
                    | O::OpenDir
                    | O::List
                    | O::Open
                    | O::Read
                    | O::Create
                    | O::Write
                    | O::Sync
                    | O::SyncDir
                    | O::Truncate
                    | O::Append
                    | O::Reserve
                    | O::Allocate
                    | O::BeginTurn
            ),
            Self::Short => matches!(op, O::Read | O::Write | O::Append),
        }
    }

    pub(super) fn error(self) -> io::Error {
        match self {
            Self::NoSpace => errno(ENOSPC),
            Self::Quota => errno(EDQUOT),
            Self::Io | Self::Short => errno(EIO),
            Self::ReadOnly => errno(EROFS),
            Self::Access => errno(EACCES),
            Self::TooManyOpen => errno(EMFILE),
            Self::Interrupted => errno(EINTR),
            Self::Crash => io::Error::other("the machine has stopped"),
        }
    }
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Times {
    /// At that call only.
    Once,
    /// At that call and every later one that it applies to.
    Forever,
}

/// Which fault is due at which call.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    planned: Vec<(u64, Fault, Times)>,
    interrupted: bool,
    pub(super) fired: u64,
}

impl Faults {
    pub(super) fn plan(&mut self, call: u64, fault: Fault, times: Times) {
        self.planned.push((call, fault, times));
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    /// The fault for this call, if any.
    pub(super) fn at(&mut self, call: u64, op: SimOp) -> Option<Fault> {
        let due = |(at, fault, times): &&(u64, Fault, Times)| {
            fault.applies_to(op) && (*at == call || (*times == Times::Forever && *at < call))
        };
        let (_, fault, times) = *self.planned.iter().find(due)?;
        if fault == Fault::Interrupted && times == Times::Forever {
            self.interrupted = !self.interrupted;
            if !self.interrupted {
                return None;
            }
        }
        self.fired += 1;
        Some(fault)
    }
}

// The numbers of Linux; `io::ErrorKind` has no name for EIO and EMFILE.
pub(super) const ENOENT: i32 = 2;
pub(super) const EINTR: i32 = 4;
pub(super) const EIO: i32 = 5;
pub(super) const EBADF: i32 = 9;
pub(super) const EACCES: i32 = 13;
pub(super) const EEXIST: i32 = 17;
pub(super) const EXDEV: i32 = 18;
pub(super) const ENOTDIR: i32 = 20;
pub(super) const EISDIR: i32 = 21;
pub(super) const EINVAL: i32 = 22;
pub(super) const EMFILE: i32 = 24;
pub(super) const ENOSPC: i32 = 28;
pub(super) const EROFS: i32 = 30;
pub(super) const ENAMETOOLONG: i32 = 36;
pub(super) const ELOOP: i32 = 40;
pub(super) const EOPNOTSUPP: i32 = 95;
pub(super) const EDQUOT: i32 = 122;

pub(super) fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}
