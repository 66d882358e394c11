//! A simulated machine with a configuration: one run is scan, plan, check, apply.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, NaiveDateTime};
use logquota::apply::{Hooks, Options, Outcome, Report, apply};
use logquota::fs::sim::{Entry, SimFs};
use logquota::inventory::Inventory;
use logquota::plan::{Action, Context, Goal, Hook, Host, Plan, Purpose, Wanted, check, plan};
use logquota::scan::{note_holders, note_oldest, scan};
use logquota::stamp::Kind;
use logquota::{Bytes, Config, Error};

/// The moment at which everything happens here: Saturday, 2026-11-21, 12:00 UTC.
pub const NOON: i64 = 1_795_262_400;

/// So many seconds after the epoch, in UTC.
#[must_use]
pub fn at(secs: i64) -> DateTime<FixedOffset> {
    DateTime::from_timestamp(secs, 0).unwrap_or_default().fixed_offset()
}

/// A machine without a disk: what it is configured to do, and what its state file says.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What shall become of its logs.
    pub config: Config,
    /// What time it is.
    pub now: DateTime<FixedOffset>,
    /// When each log was last rotated, as the state file says.
    pub state: BTreeMap<PathBuf, NaiveDateTime>,
    /// Every log is due.
    pub force: bool,
    /// So much shall be free on the file system of the first set, and nothing else is wanted.
    pub free: Option<Wanted>,
    /// For that logs in use may be cut.
    pub cuts_logs: bool,
}

/// Scripts that ran, in order.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// Which, and with what arguments.
    pub ran: Vec<(Hook, Vec<OsString>)>,
    /// Steps that ended.
    pub steps: usize,
}

impl Hooks for Recorder {
    fn run(&mut self, hook: Hook, script: &str, args: &[OsString]) -> Result<(), Error> {
        self.ran.push((hook, args.to_vec()));
        if script == "false" {
            return Err(Error::Hook { what: hook.name().to_owned(), why: "exit status 1".into() });
        }
        Ok(())
    }

    fn on_step(&mut self, _index: usize, _outcome: &Outcome) {
        self.steps += 1;
    }
}

/// What one run did.
#[derive(Debug)]
pub struct Ran {
    /// What it saw.
    pub inventory: Inventory,
    /// What it wanted.
    pub plan: Plan,
    /// What came of it.
    pub report: Report,
    /// Scripts that ran.
    pub hooks: Recorder,
}

impl Ran {
    /// Whether a second run would find nothing that it could do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.report.outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Done))
    }

    /// Whether a person is told that not everything was done.
    #[must_use]
    pub fn says_so(&self) -> bool {
        self.report.outcomes.iter().any(|outcome| !matches!(outcome, Outcome::Done))
            || !self.report.errors.is_empty()
            || self.plan.problems.iter().any(|problem| problem.is_error)
            || self.inventory.notes.iter().any(|note| note.is_error)
            || self.inventory.sets.iter().flat_map(|set| &set.logs).any(|log| log.blocked.is_some())
    }

    /// The steps and what came of them, for people.
    #[must_use]
    pub fn story(&self) -> String {
        let mut text = String::new();
        for (step, outcome) in self.plan.steps.iter().zip(&self.report.outcomes) {
            let name = |place: Option<&logquota::inventory::Place>| {
                place.map_or_else(String::new, |p| p.name.to_string_lossy().into_owned())
            };
            let _ = writeln!(
                text,
                "  {} {} {} ({:?}) {outcome:?}",
                step.action.name(),
                name(step.action.place()),
                name(step.action.target()),
                step.reason,
            );
        }
        for error in &self.report.errors {
            let _ = writeln!(text, "  at the end: {}", error.chain());
        }
        for problem in self.plan.problems.iter().chain(&self.plan.unmet) {
            let _ = writeln!(text, "  problem {}: {}", problem.path.display(), problem.why);
        }
        for note in &self.inventory.notes {
            let _ = writeln!(text, "  note {}: {}", note.path.display(), note.why);
        }
        text
    }
}

impl Machine {
    /// At noon, with nothing in its state file.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (now, state) = (at(NOON), BTreeMap::new());
        Self { config, now, state, force: false, free: None, cuts_logs: false }
    }

    /// What a scan sees.
    ///
    /// # Errors
    ///
    /// Those of [`scan`].
    pub fn scan(&self, fs: &SimFs) -> Result<Inventory, Error> {
        let mut inventory = scan(fs, &self.config, &|log: &Path| self.state.get(log).copied())?;
        inventory.normalize();
        if self.cuts_logs {
            note_holders(fs, &mut inventory);
            let dev = inventory.sets.first().map_or(0, |set| set.dev);
            note_oldest(fs, &mut inventory, dev);
        }
        Ok(inventory)
    }

    fn purpose(&self, inventory: &Inventory) -> Purpose {
        let set = inventory.sets.first();
        self.free.zip(set).map_or(Purpose::Routine, |(wanted, set)| {
            Purpose::Free(Goal { wanted, dev: set.dev, cuts_logs: self.cuts_logs })
        })
    }

    /// What would be done.
    ///
    /// # Errors
    ///
    /// The promises that the plan breaks.
    pub fn plan(&self, inventory: &Inventory) -> Result<Plan, String> {
        let host = Host { name: "sim".to_owned(), machine_id: "0".to_owned(), ..Host::default() };
        let context =
            Context { now: self.now, host, force: self.force, purpose: self.purpose(inventory) };
        let plan = plan(inventory, &self.config, &context);
        let violations = check(inventory, &self.config, &plan);
        if violations.is_empty() {
            return Ok(plan);
        }
        let steps: String =
            plan.steps.iter().map(|s| format!("  {:?} {:?}\n", s.action, s.reason)).collect();
        Err(format!("the plan breaks its promises: {violations:#?}\n{steps}"))
    }

    /// One run. The state file learns which logs were rotated.
    ///
    /// # Errors
    ///
    /// Those of [`scan`] and [`Machine::plan`].
    pub fn run(&mut self, fs: &SimFs) -> Result<Ran, String> {
        let inventory = self.scan(fs).map_err(|error| error.chain())?;
        let plan = self.plan(&inventory)?;
        Ok(self.apply(fs, inventory, plan))
    }

    /// Does what was planned.
    pub fn apply(&mut self, fs: &SimFs, inventory: Inventory, plan: Plan) -> Ran {
        let mut hooks = Recorder::default();
        let report = apply(&plan, fs, &mut hooks, &Options { threads: 1 });
        for (step, outcome) in plan.steps.iter().zip(&report.outcomes) {
            let (Action::Rename { from, .. } | Action::Copy { from, .. }) = &step.action else {
                continue;
            };
            let log = step
                .log
                .and_then(|log| inventory.sets.get(step.set).and_then(|set| set.logs.get(log)));
            if let (Outcome::Done, Some(log)) = (outcome, log)
                && (from.dir, &from.name) == (log.dir, &log.name)
            {
                self.state.insert(inventory.path(log.dir, &log.name), self.now.naive_local());
            }
        }
        Ran { inventory, plan, report, hooks }
    }

    /// Runs until nothing is left to do, at most so many times. What every call may leave
    /// occupied is checked. Gives the runs that did something.
    ///
    /// # Errors
    ///
    /// A sentence about what went wrong.
    pub fn settle(&mut self, fs: &SimFs, rounds: usize) -> Result<Vec<Ran>, String> {
        let mut runs = Vec::new();
        loop {
            fs.assert_used_at_most(Bytes::MAX);
            let inventory = self.scan(fs).map_err(|error| error.chain())?;
            fs.assert_used_at_most(self.bound(fs, &inventory));
            let plan = self.plan(&inventory)?;
            if plan.steps.is_empty() {
                return Ok(runs);
            }
            let ran = self.apply(fs, inventory, plan);
            if let Some((call, used)) = fs.exceeded() {
                return Err(format!("files occupy {used} after {call}\n{}", ran.story()));
            }
            if ran.is_idle() {
                return Ok(runs);
            }
            runs.push(ran);
            if runs.len() > rounds {
                let stories: String =
                    runs.iter().map(|ran| format!("run:\n{}", ran.story())).collect();
                return Err(format!("still busy after {rounds} runs\n{stories}"));
            }
        }
    }

    /// The most that all files of the disk together may occupy during a run that found this:
    /// each set may use what it used or its quota, and what is of no set stays.
    #[must_use]
    pub fn bound(&self, fs: &SimFs, inventory: &Inventory) -> Bytes {
        let mut ours = Bytes::ZERO;
        let mut allowed = Bytes::ZERO;
        for (set, spec) in inventory.sets.iter().zip(&self.config.sets) {
            let used = set.used().minus(set.overhead);
            let Some(quota) = spec.policy.limits.quota.or(self.config.global.quota) else {
                return Bytes::MAX;
            };
            ours = ours.plus(used);
            allowed = allowed.plus(used.max(quota.minus(set.overhead)));
        }
        if let Some(quota) = self.config.global.quota {
            allowed = allowed.min(ours.max(quota));
        }
        fs.usage().files.minus(ours).plus(allowed)
    }
}

/// One file as a person would compare it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Its content, decompressed.
    pub content: Vec<u8>,
    /// Mode, owner, group.
    pub who: (u32, u32, u32),
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start: String = String::from_utf8_lossy(&self.content).chars().take(24).collect();
        let (mode, uid, gid) = self.who;
        write!(f, "{} B {start:?} {mode:o} {uid}:{gid}", self.content.len())
    }
}

/// A log as a person would compare it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogSeen {
    /// The active file.
    pub active: Option<Seen>,
    /// Name and content, newest first.
    pub archives: Vec<(String, Seen)>,
}

impl LogSeen {
    /// Archives without their names, in no order.
    #[must_use]
    pub fn kept(&self) -> Vec<Seen> {
        let mut kept: Vec<Seen> = self.archives.iter().map(|(_, seen)| seen.clone()).collect();
        kept.sort();
        kept
    }
}

/// A whole machine as a person would compare it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorldSeen {
    /// Every log by the path of its active file.
    pub logs: BTreeMap<PathBuf, LogSeen>,
    /// Files that belong to none.
    pub others: BTreeSet<PathBuf>,
}

impl Machine {
    /// Looks at everything: each log with what is kept of it, and the files that are of none.
    ///
    /// # Errors
    ///
    /// A sentence, if an archive cannot be read or something half done is left.
    pub fn look(&self, fs: &SimFs) -> Result<WorldSeen, String> {
        let inventory = self.scan(fs).map_err(|error| error.chain())?;
        let mut files: BTreeMap<PathBuf, Entry> =
            fs.snapshot().into_iter().filter(|(_, entry)| entry.kind != Kind::Dir).collect();
        let mut seen = WorldSeen::default();
        let sets = inventory.sets.iter().zip(&self.config.sets);
        for (log, spec) in sets.flat_map(|(set, spec)| set.logs.iter().map(move |log| (log, spec)))
        {
            if let Some(leftover) = log.leftovers.first() {
                return Err(format!("left half done: {:?}", leftover.place.name));
            }
            if log.heads() > 0 {
                return Err("an archive is left half compressed".to_owned());
            }
            let path = inventory.path(log.dir, &log.name);
            let mut this = LogSeen::default();
            if log.active.is_some()
                && let Some(entry) = files.remove(&path)
            {
                let mut active = see(&path, &entry)?;
                if spec.policy.live_trim {
                    // Whether the gap at its head could be closed, or had to stay.
                    let gap = active.content.iter().take_while(|byte| **byte == 0).count();
                    active.content.drain(..gap);
                }
                this.active = Some(active);
            }
            for archive in &log.archives {
                let path = inventory.path(log.archive_dir, archive.name());
                let Some(entry) = files.remove(&path) else {
                    return Err(format!("{} is of two logs", path.display()));
                };
                let name = path.display().to_string();
                this.archives.push((name, see(&path, &entry)?));
            }
            seen.logs.insert(path, this);
        }
        seen.logs.retain(|_, log| *log != LogSeen::default());
        seen.others = files.into_keys().collect();
        Ok(seen)
    }
}

fn see(path: &Path, entry: &Entry) -> Result<Seen, String> {
    let bytes = entry.content();
    let content = decompressed(path, bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Seen { content, who: (entry.mode, entry.uid, entry.gid) })
}

/// What is in a file, by the suffix of its name.
///
/// # Errors
///
/// If it is damaged.
pub fn decompressed(path: &Path, bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => {
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut content)?;
        }
        Some("zst") => {
            zstd::stream::read::Decoder::new(bytes.as_slice())?.read_to_end(&mut content)?;
        }
        _ => content = bytes,
    }
    Ok(content)
}
