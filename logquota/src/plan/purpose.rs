//! What a plan is made for: an ordinary run, or to free space on one file system.

use super::Context;
use crate::inventory::{DirId, Space};
use crate::policy::{Limits, Reserve};
use crate::units::Bytes;

/// What a plan is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// An ordinary run: what is due is rotated, every limit is met.
    #[default]
    Routine,
    /// To free space and nothing else: no log is rotated, emptied or made, no limit of the
    /// configuration is looked at, and nothing on another file system is touched. See
    /// `docs/full-disk.md`.
    Free(Goal),
}

/// What shall be free: one or the other is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// So many bytes.
    Bytes(Bytes),
    /// So many inodes.
    Inodes(u64),
}

impl Wanted {
    /// What is free, in the same unit. Where there is no limit of inodes, any number is.
    #[must_use]
    pub fn free(&self, space: &Space) -> Self {
        match self {
            Self::Bytes(_) => Self::Bytes(space.free),
            Self::Inodes(_) => Self::Inodes(space.free_files.unwrap_or(u64::MAX)),
        }
    }

    /// How large the file system is, in the same unit.
    #[must_use]
    pub fn total(&self, space: &Space) -> Self {
        match self {
            Self::Bytes(_) => Self::Bytes(space.total),
            Self::Inodes(_) => Self::Inodes(space.total_files.unwrap_or(u64::MAX)),
        }
    }

    /// Whether so much is free.
    #[must_use]
    pub fn is_met(&self, space: &Space) -> bool {
        match self {
            Self::Bytes(bytes) => space.free >= *bytes,
            Self::Inodes(count) => space.free_files.is_none_or(|free| free >= *count),
        }
    }

    /// As bytes, if that is what it is.
    #[must_use]
    pub const fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(*bytes),
            Self::Inodes(_) => None,
        }
    }

    /// As a number of inodes, if that is what it is.
    #[must_use]
    pub const fn inodes(&self) -> Option<u64> {
        match self {
            Self::Bytes(_) => None,
            Self::Inodes(count) => Some(*count),
        }
    }
}

/// How much shall be free, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Goal {
    /// So much shall be free.
    pub wanted: Wanted,
    /// The device of the file system.
    pub dev: u64,
    /// Where everything else is not enough, the heads of logs in use are cut off, also of those
    /// whose policy does not permit it (`livetrim`): a person asked for it.
    pub cuts_logs: bool,
}

/// A step that is left out once there is room enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OnlyBelow {
    /// It is only done while less than this is free,
    pub wanted: Wanted,
    /// on the file system of this directory.
    pub dir: DirId,
}

impl Purpose {
    /// The goal, if it is to free space.
    #[must_use]
    pub const fn goal(&self) -> Option<Goal> {
        match self {
            Self::Free(goal) => Some(*goal),
            Self::Routine => None,
        }
    }

    /// The limits of a set on `dev` that are to be met.
    pub(super) fn limits(&self, own: Limits, dev: u64) -> Limits {
        match self {
            Self::Routine => own,
            Self::Free(goal) if goal.dev == dev => {
                Limits { reserve: goal.wanted.bytes().map(Reserve::Bytes), ..Limits::default() }
            }
            Self::Free(_) => Limits::default(),
        }
    }

    /// The limits over all sets together.
    pub(super) fn limits_of_all(&self, own: Limits) -> Limits {
        match self {
            Self::Routine => own,
            Self::Free(_) => Limits::default(),
        }
    }
}

impl Context {
    /// The same moment and host, to free space.
    #[must_use]
    pub fn to_free(self, goal: Goal) -> Self {
        Self { purpose: Purpose::Free(goal), ..self }
    }
}
