//! Why a record cannot be written.

use super::event::Cause;
use crate::error::Error;

/// Why a record cannot be written.
pub(super) struct Failure {
    pub(super) cause: Cause,
    pub(super) error: Option<Error>,
    /// So many of the bytes are in the log all the same, and could not be taken back.
    pub(super) kept: u64,
}

impl Failure {
    pub(super) fn of(error: Error) -> Self {
        Self { cause: cause_of(&error), error: Some(error), kept: 0 }
    }

    /// Of a look at the directory: without one the log cannot be opened.
    pub(super) fn of_look(error: Error) -> Self {
        let cause = match cause_of(&error) {
            Cause::Io => Cause::Unavailable,
            other => other,
        };
        Self { cause, error: Some(error), kept: 0 }
    }

    pub(super) const fn because(cause: Cause) -> Self {
        Self { cause, error: None, kept: 0 }
    }

    /// Whether a name was not there.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(&self.error, Some(Error::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// What an error means for the records behind it.
fn cause_of(error: &Error) -> Cause {
    use std::io::ErrorKind as Kind;
    let Error::Io { source, .. } = error else { return Cause::Unavailable };
    match source.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => Cause::DiskFull,
        Kind::ReadOnlyFilesystem => Cause::ReadOnly,
        Kind::NotFound
        | Kind::PermissionDenied
        | Kind::NotADirectory
        | Kind::IsADirectory
        | Kind::AlreadyExists
        | Kind::InvalidInput => Cause::Unavailable,
        // No descriptor left: it cannot be opened.
        _ if matches!(source.raw_os_error(), Some(23 | 24)) => Cause::Unavailable,
        _ => Cause::Io,
    }
}
