//! One error type: what was being done, to what, and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// What was being done when it failed. The words go into "failed to …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Opening a directory.
    OpenDir,
    /// Listing a directory.
    List,
    /// Looking a file up.
    Stat,
    /// Asking how full the file system is.
    Space,
    /// Opening a file to read it.
    Open,
    /// Reading.
    Read,
    /// Making a new file.
    Create,
    /// Making a directory.
    MakeDir,
    /// Writing.
    Write,
    /// Flushing to the disk.
    Sync,
    /// Renaming.
    Rename,
    /// Deleting.
    Delete,
    /// Truncating.
    Truncate,
    /// Cutting off the head of a log.
    Trim,
    /// Setting owner, mode or times.
    SetAttributes,
    /// Compressing.
    Compress,
    /// Copying.
    Copy,
    /// Taking a lock.
    Lock,
    /// Changing to another user.
    BecomeUser,
    /// Running a script of the configuration.
    RunHook,
    /// Starting a thread.
    StartThread,
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OpenDir => "open the directory",
            Self::List => "list",
            Self::Stat => "look up",
            Self::Space => "ask the free space at",
            Self::Open => "open",
            Self::Read => "read",
            Self::Create => "create",
            Self::MakeDir => "make the directory",
            Self::Write => "write",
            Self::Sync => "flush to disk",
            Self::Rename => "rename",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Trim => "cut off the head of",
            Self::SetAttributes => "set owner, mode or times of",
            Self::Compress => "compress",
            Self::Copy => "copy",
            Self::Lock => "lock",
            Self::BecomeUser => "become the user for",
            Self::RunHook => "run the script for",
            Self::StartThread => "start a thread for",
        })
    }
}

/// Why an [`Appender`](crate::Appender) loses records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The quota is used up and nothing may be evicted for it.
    QuotaFull,
    /// The file system has no block or no inode left (ENOSPC, EDQUOT).
    DiskFull,
    /// The file system cannot be written (EROFS).
    ReadOnly,
    /// The device fails (EIO), or another error that no policy can help.
    Io,
    /// The log cannot be opened: its directory is missing or forbidden.
    Unavailable,
    /// The queue in front of the log is full.
    QueueFull,
    /// It was the oldest in the full queue, and made way.
    Oldest,
    /// It is longer than the quota, or the queue, can hold.
    TooLarge,
}

impl Cause {
    /// In words, as the line in the log has them.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::QuotaFull => "quota used up",
            Self::DiskFull => "disk full",
            Self::ReadOnly => "file system read-only",
            Self::Io => "input/output error",
            Self::Unavailable => "log cannot be opened",
            Self::QueueFull | Self::Oldest => "queue full",
            Self::TooLarge => "record too large",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words())
    }
}

/// What can go wrong. `Display` gives its own level; the cause is `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("failed to {op} `{}`", printable(path))]
    Io {
        /// What was being done.
        op: Op,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not the one that was planned for.
    #[error("`{}` changed since it was scanned and was left alone; run again", printable(path))]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// The file was written to while it was being read.
    #[error("`{}` is still being written to and was left as it is", printable(path))]
    StillWritten {
        /// Which.
        path: PathBuf,
    },
    /// There is no room for it within the quota or on the disk.
    #[error("no room for `{}`; it stays as it is", printable(path))]
    NoRoom {
        /// What would have been written.
        path: PathBuf,
    },
    /// An archive and its compressed beginning, of which one must have what the other has not.
    #[error(
        "`{}` and `{}` do not belong together; both were left alone",
        printable(path),
        printable(head)
    )]
    Parted {
        /// The archive.
        path: PathBuf,
        /// What should have been its beginning.
        head: PathBuf,
    },
    /// Two files that should have had the same content have not.
    #[error("`{}` and its copy differ; both were kept", printable(path))]
    NotADuplicate {
        /// The plain one.
        path: PathBuf,
    },
    /// A codec that this build was made without.
    #[error("this build of logquota cannot write {0}; enable the feature `{0}`")]
    CodecMissing(&'static str),
    /// A policy that cannot work.
    #[error("{0}")]
    Policy(String),
    /// Another instance is at work on the same directory.
    #[error("another instance is at work on `{}`", printable(path))]
    Locked {
        /// The directory or state file.
        path: PathBuf,
    },
    /// A record was not written, and was counted as lost.
    #[error("a record for `{}` was lost: {cause}", printable(path))]
    Lost {
        /// The log.
        path: PathBuf,
        /// Why.
        cause: Cause,
        /// The error behind it, if the system gave one.
        #[source]
        source: Option<Box<Error>>,
    },
    /// The appender was closed.
    #[error("the log `{}` was closed", printable(path))]
    Closed {
        /// The log.
        path: PathBuf,
    },
    /// A script of the configuration failed.
    #[error("{what} failed: {why}")]
    Hook {
        /// Which script.
        what: String,
        /// Exit status or reason.
        why: String,
    },
}

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// For `map_err`: `fs.rename(..).map_err(Error::io(Op::Rename, path))?`.
    pub fn io(op: Op, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { op, path, source }
    }

    /// Whether the cause is a full disk, quota or inode table.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// The whole chain in one line, joined by `": "`.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(next) = cause {
            line.push_str(": ");
            line.push_str(&next.to_string());
            cause = next.source();
        }
        line
    }
}

/// A path for people: control, bidirectional and zero-width characters and bytes that
/// are not UTF-8 are shown as escapes, so that a name cannot speak to the terminal
/// (CWE-150).
#[must_use]
pub fn printable(path: impl AsRef<Path>) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut out = String::new();
    for chunk in path.as_ref().as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                out.push_str("\\\\");
            } else if is_plain(c) {
                out.push(c);
            } else {
                out.extend(c.escape_default());
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Neither a control nor a character that changes how its neighbours look.
fn is_plain(c: char) -> bool {
    !(c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn h15_names_cannot_speak_to_the_terminal() {
        let name = OsStr::from_bytes(b"\x1b]0;x\x07\r\x1b[2Kapp\xff\xc2\x9b.log");
        let shown = printable(name);
        assert_eq!(shown, "\\u{1b}]0;x\\u{7}\\r\\u{1b}[2Kapp\\xff\\u{9b}.log");
        assert!(shown.bytes().all(|b| (0x20..0x7f).contains(&b)));
        assert_eq!(printable("\u{202e}gol.ppa\u{200b}"), "\\u{202e}gol.ppa\\u{200b}");
        assert_eq!(printable("/var/log/größe 1.log"), "/var/log/größe 1.log");
    }

    #[test]
    fn an_error_says_what_to_what_and_why() {
        let cause = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = Error::io(Op::Delete, "app.log.3.gz")(cause);
        assert_eq!(error.chain(), "failed to delete `app.log.3.gz`: permission denied");
    }
}
