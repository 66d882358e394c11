//! Logs that are due and put off, and why.

use std::collections::BTreeMap;

use crate::units::Bytes;

/// Logs that are due and cannot be rotated now: set, log, and why.
pub(super) type PutOff = BTreeMap<(usize, usize), NotNow>;

/// Why a log is put off.
#[derive(Clone)]
pub(super) struct NotNow {
    /// In words, with what to do.
    pub(super) why: String,
    /// Only its copy has no room: the quota may still demand that it goes without one.
    pub(super) is_for_room: bool,
    /// Nothing else is done in its place.
    pub(super) is_error: bool,
}

/// Why a log is not copied.
pub(super) fn no_room_for_copy(room: Bytes) -> NotNow {
    let why = format!(
        "is due, but a copy of {room} does not fit beside it within the limits; raise them, \
         lower the size, rotate by renaming, or permit `livetrim`"
    );
    NotNow { why, is_for_room: true, is_error: true }
}

/// Why the archives of a log keep their names.
pub(super) fn half_compressed() -> NotNow {
    let why = "has an archive whose compression in place was interrupted; that is finished, and \
               the log is rotated in a later run";
    NotNow { why: why.to_owned(), is_for_room: false, is_error: false }
}

/// Why a log gets no successor.
pub(super) fn no_inode() -> NotNow {
    let why = "is due, but the file system has no inode for a new file, and no archive is left \
               to give one";
    NotNow { why: why.to_owned(), is_for_room: false, is_error: true }
}
