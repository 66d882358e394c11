//! The exit codes, in one table.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done, or nothing to do |
//! | 1 | failed or partly failed; what was done is reported |
//! | 2 | usage error |
//! | 3 | another instance holds the lock |
//! | 4 | the configuration is invalid |
//! | 5 | the plan was refused: another host, other files, expired, already applied |
//! | 6 | the quota, or what `free` wants, cannot be met: nothing is left that may be deleted |
//!
//! For `pipe`: 6 if lines were lost to the quota, 1 if lines were lost to the disk; 0 if
//! `--on-full drop` asked for that.
//!
//! For `lint`: 4 if the configuration has errors, 1 if it has warnings and `--strict` is given.
//!
//! When several apply, the one that needs a person most: 4, then 6, then 1.

use logquota::Error;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Failed or partly failed.
    Failed,
    /// Usage error.
    Usage,
    /// Another instance holds the lock.
    Locked,
    /// The configuration is invalid.
    Config,
    /// The plan was refused.
    Refused,
    /// The quota cannot be met.
    QuotaUnmet,
}

impl Exit {
    /// Every way to end, by its number.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Locked,
        Self::Config,
        Self::Refused,
        Self::QuotaUnmet,
    ];

    /// What it means, as the manual has it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Failed => {
                "failed or partly failed; what was done is reported. `pipe`: lines were lost. \
                 `lint --strict`: warnings"
            }
            Self::Usage => "usage error",
            Self::Locked => "another instance holds the lock",
            Self::Config => "the configuration is invalid",
            Self::Refused => {
                "the plan was refused: another host, other files, expired, already applied"
            }
            Self::QuotaUnmet => {
                "the quota, or what `free` wants, cannot be met: nothing is left that may be deleted. \
                 `pipe`: lines were lost to it"
            }
        }
    }

    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Locked => 3,
            Self::Config => 4,
            Self::Refused => 5,
            Self::QuotaUnmet => 6,
        }
    }

    /// Of two, the one that needs a person most.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Done => 0,
            Self::Failed => 1,
            Self::QuotaUnmet => 2,
            Self::Config => 3,
            Self::Refused | Self::Locked | Self::Usage => 4,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// `self`, or [`Exit::Failed`] at least, if `failed`.
    #[must_use]
    pub fn or_failed_if(self, failed: bool) -> Self {
        if failed { self.and(Self::Failed) } else { self }
    }
}

/// Why a verb could not be done at all. Its `Display` is the line for standard error.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments do not fit together.
    Usage(String),
    /// The configuration cannot be used.
    Config(String),
    /// The plan is not applied.
    Refused(String),
    /// Anything else that was tried.
    Failed(String),
    /// The library refused.
    Library(Error),
}

impl Failure {
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Config(_) => Exit::Config,
            Self::Refused(_) => Exit::Refused,
            Self::Library(Error::Locked { .. }) => Exit::Locked,
            Self::Failed(_) | Self::Library(_) => Exit::Failed,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(why) | Self::Config(why) | Self::Refused(why) | Self::Failed(why) => {
                f.write_str(why)
            }
            Self::Library(error) => f.write_str(&error.chain()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_reasons_the_one_that_needs_a_person_most_wins() {
        assert_eq!(Exit::Done.and(Exit::Failed), Exit::Failed);
        assert_eq!(Exit::QuotaUnmet.and(Exit::Failed), Exit::QuotaUnmet);
        assert_eq!(Exit::QuotaUnmet.or_failed_if(true), Exit::QuotaUnmet);
        assert_eq!(Exit::Failed.and(Exit::Config), Exit::Config);
        assert_eq!(Exit::Done.or_failed_if(false), Exit::Done);
    }
}
