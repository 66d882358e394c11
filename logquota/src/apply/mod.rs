//! Does what a plan says: for each step, check the stamp again, act, sync.

use std::ffi::OsString;

use crate::error::Error;
use crate::plan::{Hook, Plan};
use crate::units::Bytes;

/// What the library asks its caller to do: run a script of the configuration, and hear how
/// far the work is.
pub trait Hooks {
    /// Runs `script` with `/bin/sh -c script logrotate_script args…`.
    ///
    /// # Errors
    ///
    /// [`Error::Hook`] if it did not exit with 0.
    fn run(&mut self, hook: Hook, script: &str, args: &[OsString]) -> Result<(), Error>;

    /// A step has ended.
    fn on_step(&mut self, _index: usize, _outcome: &Outcome) {}
}

/// For configurations without scripts: refuses to run any.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn run(&mut self, hook: Hook, _script: &str, _args: &[OsString]) -> Result<(), Error> {
        Err(Error::Hook { what: hook.name().to_owned(), why: "no scripts are run here".to_owned() })
    }
}

/// How a step ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// As planned.
    Done,
    /// Left alone on purpose: the file changed, or there was no room to compress it.
    Skipped(Error),
    /// It was tried and failed.
    Failed(Error),
    /// A step that it needs was not done.
    NotReached,
}

/// How to apply.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Files that are compressed at the same time; at least 1.
    pub threads: usize,
}

/// What was done.
#[derive(Debug)]
pub struct Report {
    /// One for each step of the plan.
    pub outcomes: Vec<Outcome>,
    /// What each set occupies now, as far as this run's own acts tell: measured when it
    /// started, and after each act by what the act was seen to change.
    pub used: Vec<Bytes>,
    /// The most each set occupied on the way.
    pub peak: Vec<Bytes>,
    /// By how much the free space of each set's file system grew, as the file system says
    /// it (negative if it shrank; other programs write, too). `None` if it would not say.
    pub freed: Vec<Option<i128>>,
}

impl Report {
    /// Whether every step was done, or skipped for want of room only.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.outcomes.iter().all(|outcome| match outcome {
            Outcome::Done => true,
            Outcome::Skipped(error) => error.is_no_space(),
            Outcome::Failed(_) | Outcome::NotReached => false,
        })
    }
}

/// What [`Plan`] and [`Report`] say of each step, side by side.
pub fn outcomes<'a>(
    plan: &'a Plan,
    report: &'a Report,
) -> impl Iterator<Item = (&'a crate::plan::Step, &'a Outcome)> {
    plan.steps.iter().zip(&report.outcomes)
}
