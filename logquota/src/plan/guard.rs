//! How much one plan may delete, and which folders are never emptied.
//!
//! A second line of defence for the person at the keyboard: the plan is right by its policy, and
//! still more than anybody meant. Pure: what is a mount point or a home is told by the caller.

use std::fmt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset};

use super::{Action, Expect, Plan, Reason, Step, cut_at_most};
use crate::inventory::{Inventory, Log};
use crate::stamp::Stamp;
use crate::units::Bytes;

/// What a plan may delete, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guards {
    /// So many files.
    pub max_files: Option<u64>,
    /// So many bytes, with the most that may be cut off logs in use.
    pub max_bytes: Option<Bytes>,
    /// So many thousandths of all files that the plan was made from: active files, archives and
    /// leftovers; to free space, those on that file system.
    pub max_permille: u16,
}

/// Half of the files.
impl Default for Guards {
    fn default() -> Self {
        Self { max_files: None, max_bytes: None, max_permille: 500 }
    }
}

/// A plan deletes more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exceeded {
    /// Too many files.
    Files {
        /// So many would go.
        planned: u64,
        /// So many may.
        limit: u64,
    },
    /// Too many bytes.
    Bytes {
        /// So many would go.
        planned: Bytes,
        /// So many may.
        limit: Bytes,
    },
    /// Too large a part of what is there.
    Fraction {
        /// So many files would go,
        planned: u64,
        /// of so many,
        seen: u64,
        /// and so many thousandths of these may.
        limit: u16,
    },
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { planned, limit } => {
                write!(f, "it deletes up to {planned} files, and {limit} is the most")
            }
            Self::Bytes { planned, limit } => {
                write!(f, "it takes up to {planned} away, and {limit} is the most")
            }
            Self::Fraction { planned, seen, limit } => {
                let percent = limit / 10;
                write!(f, "it deletes up to {planned} of {seen} files, and {percent} % is the most")
            }
        }
    }
}

impl std::error::Error for Exceeded {}

impl Exceeded {
    /// The option of the command line that would allow it, and its value.
    #[must_use]
    pub fn option(&self) -> (&'static str, String) {
        match self {
            Self::Files { planned, .. } => ("--max-files", planned.to_string()),
            Self::Bytes { planned, .. } => ("--max-bytes", planned.get().to_string()),
            Self::Fraction { planned, seen, .. } => {
                let needed = planned.saturating_mul(1000).div_ceil((*seen).max(1)).min(1000);
                let text = format!("{}.{:03}", needed / 1000, needed % 1000);
                let text = text.trim_end_matches('0').trim_end_matches('.');
                ("--max-fraction", text.to_owned())
            }
        }
    }
}

impl Guards {
    /// Every guard that `plan` exceeds.
    #[must_use]
    pub fn exceeded(&self, inventory: &Inventory, plan: &Plan) -> Vec<Exceeded> {
        let files = plan.steps.iter().filter(|step| loses(step));
        let planned = u64::try_from(files.count()).unwrap_or(u64::MAX);
        let last = plan.steps.len().saturating_sub(1);
        let taken = |(index, step): (usize, &Step)| match step.action {
            // The last cut goes on if what is free by then is too little.
            Action::Trim { cut, .. } if step.only_below.is_some() && index == last => {
                cut_at_most(cut)
            }
            // The head of a log is no file, but what it had is as gone.
            Action::Trim { .. } => step.bytes,
            _ if loses(step) => step.bytes,
            _ => Bytes::ZERO,
        };
        let bytes: Bytes = plan.steps.iter().enumerate().map(taken).sum();
        // Of files elsewhere none could go, however many there are.
        let goal = plan.purpose.goal();
        let may_go = |stamp: &Stamp| goal.is_none_or(|goal| stamp.id.dev == goal.dev);
        let stamps = inventory.sets.iter().flat_map(|set| &set.logs).flat_map(Log::stamps);
        let seen = u64::try_from(stamps.filter(may_go).count()).unwrap_or(u64::MAX);
        let part = u128::from(seen) * u128::from(self.max_permille);
        let by_files = self.max_files.filter(|limit| planned > *limit);
        let by_bytes = self.max_bytes.filter(|limit| bytes > *limit);
        let is_too_large = u128::from(planned) * 1000 > part;
        let by_part = is_too_large.then_some(self.max_permille);
        by_files
            .map(|limit| Exceeded::Files { planned, limit })
            .into_iter()
            .chain(by_bytes.map(|limit| Exceeded::Bytes { planned: bytes, limit }))
            .chain(by_part.map(|limit| Exceeded::Fraction { planned, seen, limit }))
            .collect()
    }
}

/// Whether a step takes something for good: the source of a complete compression is no loss.
#[must_use]
pub fn loses(step: &Step) -> bool {
    matches!(step.action, Action::Delete { .. }) && step.reason != Reason::Compressed
}

/// How far the clock that files are stamped by may be behind, in seconds.
const CLOCK_BEHIND: i64 = 1;

/// The first step whose file cannot be told from another one that was made since: the file system
/// keeps no birth times, and its last change is not older than the plan. On some file systems
/// (ext4 with small inodes) times are whole seconds, and a new file gets the inode of the one that
/// was deleted just before. (A log that is cut is told from others by its oldest content.)
///
/// `now` is when the plan is done. What has changed last later than that has not changed since: the
/// clock is behind, as on a device that starts without one.
#[must_use]
pub fn first_unsure(plan: &Plan, now: DateTime<FixedOffset>) -> Option<&Step> {
    let made = plan.created.timestamp().saturating_sub(CLOCK_BEHIND);
    let since = made..=now.max(plan.created).timestamp().saturating_add(CLOCK_BEHIND);
    plan.steps.iter().find(|step| {
        matches!(step.expect, Expect::Unchanged(stamp)
            if stamp.id.btime.is_none() && since.contains(&stamp.ctime.secs))
    })
}

/// Why a folder is not given to be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unfit {
    /// It belongs to the system.
    System,
    /// It is somebody's home, or holds homes.
    Home,
    /// A file system of its own is mounted there: what is on it was put there for another reason
    /// than logs, as far as anybody can tell. A configuration may name it all the same.
    Mount,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "it is a folder of the system",
            Self::Home => "it is a home, or holds homes",
            Self::Mount => "a file system of its own is mounted there",
        })
    }
}

/// Folders of the system, besides `/` and everything that begins with `/lib`.
const SYSTEM: [&str; 17] = [
    "/bin", "/boot", "/dev", "/etc", "/media", "/mnt", "/opt", "/proc", "/run", "/sbin", "/srv",
    "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/tmp",
];

/// Below these nothing is a log that we may free.
const SYSTEM_WITH_ALL: [&str; 8] =
    ["/bin", "/boot", "/dev", "/etc", "/proc", "/sbin", "/sys", "/usr"];

/// Whether nobody can have meant that the logs in `dir` go, wherever they are below it. `dir` is
/// absolute and without links; `homes` are those of all users.
#[must_use]
pub fn unfit(dir: &Path, is_mount: bool, homes: &[PathBuf]) -> Option<Unfit> {
    let is_lib = dir.parent() == Some(Path::new("/"))
        && dir.to_str().is_some_and(|dir| dir.starts_with("/lib"));
    let is_system = dir == Path::new("/")
        || is_lib
        || SYSTEM.iter().any(|system| dir == Path::new(system))
        || SYSTEM_WITH_ALL.iter().any(|system| dir.starts_with(system));
    let homes_hold =
        |home: &PathBuf| home != Path::new("/") && home.as_path() == dir || is_above(dir, home);
    if is_system {
        Some(Unfit::System)
    } else if dir == Path::new("/root")
        || dir == Path::new("/home")
        || dir.parent() == Some(Path::new("/home"))
        || homes.iter().any(homes_hold)
    {
        Some(Unfit::Home)
    } else if is_mount {
        Some(Unfit::Mount)
    } else {
        None
    }
}

/// Whether a home is somewhere below `dir`: only for homes below `/home` and `/root`, since those
/// of services are often where their logs are.
fn is_above(dir: &Path, home: &Path) -> bool {
    let is_persons = home.starts_with("/home") || home.starts_with("/root");
    is_persons && home != dir && home.starts_with(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h25_what_nobody_can_have_meant_is_refused() {
        let homes = ["/home/ann", "/var/www", "/", "/srv/people/bob"].map(PathBuf::from);
        for (dir, is_mount, expected) in [
            ("/", false, Some(Unfit::System)),
            ("/etc", false, Some(Unfit::System)),
            ("/usr/share/doc", false, Some(Unfit::System)),
            ("/lib64", false, Some(Unfit::System)),
            ("/var", true, Some(Unfit::System)),
            ("/proc/1", false, Some(Unfit::System)),
            ("/root", false, Some(Unfit::Home)),
            ("/home", false, Some(Unfit::Home)),
            ("/home/eve", false, Some(Unfit::Home)),
            ("/home/ann", false, Some(Unfit::Home)),
            ("/var/www", false, Some(Unfit::Home)),
            ("/srv/people/bob", false, Some(Unfit::Home)),
            ("/data", true, Some(Unfit::Mount)),
            ("/var/log", true, Some(Unfit::Mount)),
            ("/var/log", false, None),
            ("/home/ann/app/logs", false, None),
            ("/srv/app/logs", false, None),
            ("/libraries/logs", false, None),
        ] {
            assert_eq!(unfit(Path::new(dir), is_mount, &homes), expected, "{dir}");
        }
    }

    #[test]
    fn the_option_that_would_allow_it_is_enough_and_no_more() {
        let option = |planned, seen| Exceeded::Fraction { planned, seen, limit: 500 }.option().1;
        assert_eq!(option(2, 3), "0.667");
        assert_eq!(option(3, 4), "0.75");
        assert_eq!(option(3, 3), "1");
    }
}
