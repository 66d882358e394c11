//! Does what a plan says: for each step, check the stamp again, act, sync.
//!
//! Nothing is decided here. What is checked is that the file is still the one that was
//! planned for, and that there is still the room that was planned with: a step that failed
//! may have left less.
//!
//! # What is not guaranteed
//!
//! Between the check of a stamp and the act lies a moment (a system call) in which somebody who
//! may write to the folder can put another file under the name. No file outside the folder
//! can be reached that way, and nothing is followed or overwritten.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use crate::error::{Error, Op, Result};
use crate::fs::WriteFs;
use crate::inventory::{DirId, Place};
use crate::plan::{Action, Expect, Hook, Message, Plan, Step};
use crate::policy::{Identity, Program, Shred};
use crate::stamp::{FileId, Kind, Meta, Stamp};

pub(crate) mod ballast;
mod compress;
mod copy;
mod in_place;
mod ledger;
mod remove;
mod rename;
mod report;
mod trim;

pub use self::report::{Outcome, Report};

use self::copy::OpenCopy;
use self::ledger::Ledger;

/// What the library asks its caller to do: run a script of the configuration, and hear how
/// far the work is.
pub trait Hooks {
    /// Runs `script` with `/bin/sh -c script logrotate_script args…`.
    ///
    /// # Errors
    ///
    /// [`Error::Hook`] if it did not exit with 0.
    fn run(&mut self, hook: Hook, script: &str, args: &[OsString]) -> Result<(), Error>;

    /// A step will be done next. (Not told of compressions that run side by side.)
    fn before_step(&mut self, _index: usize) {}

    /// A step has ended.
    fn on_step(&mut self, _index: usize, _outcome: &Outcome) {}

    /// Runs a compressor of the configuration from `input` to `output`, as `who`; `path` is
    /// that of the input, for its environment.
    ///
    /// # Errors
    ///
    /// [`Error::Hook`] if it did not exit with 0, or if none is run here.
    fn compress(
        &mut self,
        program: &Program,
        _path: &Path,
        _input: BorrowedFd<'_>,
        _output: BorrowedFd<'_>,
        _who: Option<Identity>,
    ) -> Result<(), Error> {
        Err(no_program(&program.command))
    }

    /// Mails what is in `input`.
    ///
    /// # Errors
    ///
    /// [`Error::Hook`] if the mail program or the one that unpacks did not exit with 0, or if
    /// none is run here.
    fn mail(&mut self, _message: &Message, _input: BorrowedFd<'_>) -> Result<(), Error> {
        Err(no_program(OsStr::new("mail")))
    }

    /// Overwrites `file` (opened for writing), as `who`.
    ///
    /// # Errors
    ///
    /// [`Error::Hook`] if shred(1) did not exit with 0, or if none is run here.
    fn shred(
        &mut self,
        _shred: Shred,
        _file: BorrowedFd<'_>,
        _who: Option<Identity>,
    ) -> Result<(), Error> {
        Err(no_program(OsStr::new("shred")))
    }
}

fn no_program(name: &OsStr) -> Error {
    let what = crate::error::printable(name);
    Error::Hook { what, why: "no programs are run here".to_owned() }
}

/// For configurations without scripts: refuses to run any.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn run(&mut self, hook: Hook, _script: &str, _args: &[OsString]) -> Result<(), Error> {
        Err(Error::Hook { what: hook.name().to_owned(), why: "no scripts are run here".to_owned() })
    }
}

/// How to apply.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Files that are compressed at the same time; at least 1.
    pub threads: usize,
}

/// Does `plan` on `fs`. Every step ends in an outcome; one that fails keeps only those from
/// being done that need it.
///
/// Scripts are run by `hooks`, as the caller itself even in sets that are worked on as
/// somebody else.
pub fn apply(plan: &Plan, fs: &dyn WriteFs, hooks: &mut dyn Hooks, options: &Options) -> Report {
    let mut runner = Runner::new(plan, fs);
    let before = runner.free();
    let mut index = 0usize;
    while let Some(step) = plan.steps.get(index) {
        let end = match &step.action {
            Action::Compress { program: None, .. } => runner.end_of_batch(index),
            _ => index.saturating_add(1),
        };
        if let Action::Compress { program: None, .. } = &step.action {
            runner.compress_batch(index..end, options.threads, hooks);
        } else {
            hooks.before_step(index);
            let outcome = runner.outcome(step, hooks);
            hooks.on_step(index, &outcome);
            runner.set(index, outcome);
        }
        index = end;
    }
    runner.finish(&before)
}

/// What earlier steps of the same plan did to files.
#[derive(Default)]
struct Known {
    /// Renamed: their ctime has changed by that.
    renamed: HashSet<FileId>,
    /// New logs that were made, if a later step is about one, and what was made from them.
    made: HashSet<FileId>,
    /// Copied or compressed, and which file that has made.
    copied: HashMap<FileId, FileId>,
    /// Compressed, and what they were then.
    packed: HashMap<FileId, Stamp>,
}

impl Known {
    fn note_copy(&mut self, source: FileId, copy: FileId) {
        self.copied.insert(source, copy);
        if self.made.contains(&source) {
            self.made.insert(copy);
        }
    }

    /// Whether a file is `id`, or what earlier steps have made from that: a copy, which was then
    /// compressed.
    fn is_or_became(&self, id: &FileId, found: &FileId) -> bool {
        let made = std::iter::successors(Some(id), |id| self.copied.get(id));
        made.take(3).any(|id| id == found)
    }
}

/// What is known while a plan is done.
struct Runner<'a> {
    plan: &'a Plan,
    fs: &'a dyn WriteFs,
    outcomes: Vec<Outcome>,
    ledger: Ledger,
    known: Known,
    /// Copies whose source is to be truncated next.
    copies: HashMap<Place, OpenCopy<'a>>,
    /// What is to be truncated. Other copies are not held open: they may be many, and a source
    /// that is deleted would keep its blocks.
    cut: HashSet<&'a Place>,
    /// Folders with changes that are not on the disk yet.
    unsynced: HashSet<DirId>,
    /// Folders with deletions that are not on the disk yet: the room they gave must not be
    /// used before they are, or a crash could bring both back.
    undeleted: HashSet<DirId>,
    acting_as: Option<Identity>,
    /// Whether a step is about a new log that another one makes.
    needs_made: bool,
}

impl<'a> Runner<'a> {
    fn new(plan: &'a Plan, fs: &'a dyn WriteFs) -> Self {
        Self {
            plan,
            fs,
            outcomes: plan.steps.iter().map(|_| Outcome::NotReached).collect(),
            ledger: Ledger::new(plan),
            known: Known::default(),
            copies: HashMap::new(),
            cut: plan
                .steps
                .iter()
                .filter_map(|step| match &step.action {
                    Action::Truncate { at, .. } => Some(at),
                    _ => None,
                })
                .collect(),
            unsynced: HashSet::new(),
            undeleted: HashSet::new(),
            acting_as: None,
            needs_made: plan.steps.iter().any(|step| step.expect == Expect::Made),
        }
    }

    fn set(&mut self, index: usize, outcome: Outcome) {
        if let Some(slot) = self.outcomes.get_mut(index) {
            *slot = outcome;
        }
    }

    /// The end of the compressions of one set that begin at `start`.
    fn end_of_batch(&self, start: usize) -> usize {
        let set = self.plan.steps.get(start).map(|step| step.set);
        let rest = self.plan.steps.iter().skip(start);
        let count = rest
            .take_while(|step| {
                matches!(step.action, Action::Compress { program: None, .. })
                    && Some(step.set) == set
                    // One that needs another one of them waits for the next batch.
                    && step.needs.iter().all(|need| *need < start)
            })
            .count();
        start.saturating_add(count.max(1))
    }

    /// Whether everything that `step` needs was done.
    fn is_reachable(&self, step: &Step) -> bool {
        step.needs.iter().all(|need| matches!(self.outcomes.get(*need), Some(Outcome::Done)))
    }

    /// Whether it is left out because there is room enough. Where the file system does not say,
    /// it is not.
    fn is_left_out(&self, step: &Step) -> bool {
        step.only_below.is_some_and(|below| {
            self.fs.space(below.dir).is_ok_and(|space| below.wanted.is_met(&space))
        })
    }

    fn outcome(&mut self, step: &Step, hooks: &mut dyn Hooks) -> Outcome {
        if step.only_below.is_some()
            && let Action::Trim { .. } = step.action
            // What was deleted before may not be free until that is on the disk, and nothing of
            // a log shall go for it.
            && let Err(error) = self.settle_deletions()
        {
            return outcome_of(error);
        }
        if self.is_left_out(step) {
            return Outcome::NotNeeded;
        }
        if !self.is_reachable(step) {
            return Outcome::NotReached;
        }
        match self.act(step, hooks) {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::NotNeeded,
            Err(error) => outcome_of(error),
        }
    }

    /// `false` if there was no need any more.
    fn act(&mut self, step: &Step, hooks: &mut dyn Hooks) -> Result<bool> {
        match &step.action {
            Action::RunHook { hook, script, args } => {
                self.act_as(None, step)?;
                return hooks.run(*hook, script, args).map(|()| true);
            }
            Action::ReleaseBallast { at } => {
                self.act_as(None, step)?;
                return self.release(step, at).map(|()| true);
            }
            Action::RestoreBallast { at, size, left } => {
                self.act_as(None, step)?;
                return self.restore(step, at, *size, *left);
            }
            _ => {}
        }
        self.act_as(self.plan.sets.get(step.set).and_then(|set| set.run_as), step)?;
        match &step.action {
            Action::Rename { from, to } => self.rename(step, from, to),
            Action::Create { at, attributes, like } => self.create(at, attributes, like.as_deref()),
            Action::MakeDir { at, attributes } => self.make_dir(at, attributes),
            Action::Copy { from, to, temp, keeps_time, .. } => {
                self.copy(step, (from, to), temp, *keeps_time)
            }
            Action::Truncate { at, same_as } => self.truncate(step, at, same_as.as_ref()),
            Action::Trim { at, cut, keep } => self.trim(step, at, *cut, *keep),
            Action::Delete { at, shred, same_as, head } => {
                self.delete(step, (at, head.as_deref()), *shred, same_as.as_deref(), hooks)
            }
            Action::Squeeze { .. } => self.squeeze(step),
            Action::Mail { at, message } => self.mail(step, at, message, hooks),
            Action::Compress { program: Some(program), .. } => {
                self.compress_by(step, program, hooks)
            }
            Action::Compress { program: None, .. }
            | Action::RunHook { .. }
            | Action::ReleaseBallast { .. }
            | Action::RestoreBallast { .. } => Ok(()),
        }
        .map(|()| true)
    }

    fn act_as(&mut self, who: Option<Identity>, step: &Step) -> Result<()> {
        if self.acting_as != who {
            let path = step.action.place().map_or_else(PathBuf::new, |place| self.path(place));
            self.fs.act_as(who).map_err(Error::io(Op::BecomeUser, path))?;
            self.acting_as = who;
        }
        Ok(())
    }

    /// Mails a file, as the caller itself.
    fn mail(
        &mut self,
        step: &Step,
        at: &Place,
        message: &Message,
        hooks: &mut dyn Hooks,
    ) -> Result<()> {
        self.must_find(step, at)?;
        let open = self.fs.read(at.dir, &at.name);
        let file = open.map_err(Error::io(Op::Open, self.path(at)))?;
        let Some(input) = file.as_fd() else { return Err(no_program(OsStr::new("mail"))) };
        self.act_as(None, step)?;
        hooks.mail(message, input)
    }

    fn path(&self, place: &Place) -> PathBuf {
        path(self.plan, place)
    }

    /// The file, if it is still what the step expects; `None` if it is gone.
    fn look(&self, step: &Step, place: &Place) -> Result<Option<Meta>> {
        match self.look_at_any(step, place)? {
            Some(found) if !is_file(&found, &step.expect) => {
                Err(Error::Changed { path: self.path(place) })
            }
            other => Ok(other),
        }
    }

    /// The same, if it need not be a file.
    fn look_at_any(&self, step: &Step, place: &Place) -> Result<Option<Meta>> {
        let found =
            self.fs.stat(place.dir, &place.name).map_err(Error::io(Op::Stat, self.path(place)))?;
        match found {
            Some(found) if !is_expected(&found, &step.expect, &self.known) => {
                Err(Error::Changed { path: self.path(place) })
            }
            other => Ok(other),
        }
    }

    /// What is renamed may be a link or a folder: it is not opened, and is what was scanned.
    fn must_find_any(&self, step: &Step, place: &Place) -> Result<Meta> {
        self.look_at_any(step, place)?.ok_or_else(|| Error::Changed { path: self.path(place) })
    }

    /// The same, for steps that are pointless without the file.
    fn must_find(&self, step: &Step, place: &Place) -> Result<Meta> {
        self.look(step, place)?.ok_or_else(|| Error::Changed { path: self.path(place) })
    }

    /// Before archives are compressed, all that was renamed and made must be on the disk: a
    /// compressed archive tells the next scan that its rotation was finished.
    fn settle(&mut self) -> Result<()> {
        let mut dirs: Vec<DirId> = self.unsynced.union(&self.undeleted).copied().collect();
        dirs.sort_unstable();
        for dir in dirs {
            self.sync_dir(dir)?;
        }
        Ok(())
    }

    /// Before new blocks are taken, what gave them must be on the disk.
    fn settle_deletions(&mut self) -> Result<()> {
        let mut dirs: Vec<DirId> = self.undeleted.iter().copied().collect();
        dirs.sort_unstable();
        for dir in dirs {
            self.sync_dir(dir)?;
        }
        Ok(())
    }

    fn sync_dir(&mut self, dir: DirId) -> Result<()> {
        let path = self.plan.dirs.get(&dir).map_or_else(PathBuf::new, |d| d.path.clone());
        self.fs.sync_dir(dir).map_err(Error::io(Op::Sync, path))?;
        self.undeleted.remove(&dir);
        self.unsynced.remove(&dir);
        Ok(())
    }

    /// What is free on each file system that steps work on, by device.
    fn free(&self) -> BTreeMap<u64, u64> {
        let mut free = BTreeMap::new();
        let places = self.plan.steps.iter().filter_map(|step| step.action.place());
        for place in places {
            // A folder may be yet to be made.
            if let Some(dir) = self.plan.dirs.get(&place.dir).filter(|dir| dir.missing.is_none())
                && let Entry::Vacant(slot) = free.entry(dir.id.dev)
                && let Ok(space) = self.fs.space(place.dir)
            {
                slot.insert(space.free.get());
            }
        }
        free
    }

    fn finish(mut self, before: &BTreeMap<u64, u64>) -> Report {
        self.copies.clear();
        let mut errors = Vec::new();
        if self.acting_as.is_some()
            && let Err(error) = self.fs.act_as(None)
        {
            errors.push(Error::io(Op::BecomeUser, PathBuf::new())(error));
        }
        let mut dirs: Vec<DirId> = self.unsynced.union(&self.undeleted).copied().collect();
        dirs.sort_unstable();
        for dir in dirs {
            errors.extend(self.sync_dir(dir).err());
        }
        let freed = self.free().into_iter().filter_map(|(dev, after)| {
            Some((dev, i128::from(after).saturating_sub(i128::from(*before.get(&dev)?))))
        });
        let freed = freed.collect();
        let Ledger { used, peak, cut, .. } = self.ledger;
        Report { outcomes: self.outcomes, used, peak, cut, freed, errors }
    }
}

fn path(plan: &Plan, place: &Place) -> PathBuf {
    plan.dirs
        .get(&place.dir)
        .map_or_else(|| PathBuf::from(&place.name), |dir| dir.path.join(&place.name))
}

/// What changed or has no room was left alone on purpose; the rest failed.
fn outcome_of(error: Error) -> Outcome {
    match error {
        Error::Changed { .. }
        | Error::StillWritten { .. }
        | Error::NoRoom { .. }
        | Error::NotADuplicate { .. } => Outcome::Skipped(error),
        other => Outcome::Failed(other),
    }
}

/// Whether `found` may be opened or deleted.
fn is_file(found: &Meta, expect: &Expect) -> bool {
    found.kind == Kind::File
        // Under logrotate's rules a log may be a pipe.
        || (found.kind == Kind::Special && matches!(expect, Expect::SameFile(_)))
}

/// Whether `found` is what was scanned.
fn is_expected(found: &Meta, expect: &Expect, known: &Known) -> bool {
    match expect {
        Expect::Nothing => false,
        Expect::Made => known.made.contains(&found.stamp.id),
        Expect::SameOldest(id, _) => *id == found.stamp.id,
        Expect::SameFile(id) => is_file(found, expect) && known.is_or_became(id, &found.stamp.id),
        Expect::Unchanged(stamp) if known.renamed.contains(&stamp.id) => {
            stamp.has_same_content(&found.stamp)
        }
        Expect::Unchanged(stamp) => stamp.is_unchanged(&found.stamp),
    }
}
