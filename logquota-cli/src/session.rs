//! One look at the disk: configuration, locks, state, scan and plan. What `run` and `apply`
//! do afterwards is here, too: act, and write the state file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, FixedOffset, SubsecRound as _};
use logquota::apply::{Options, Report, apply};
use logquota::clock::{Clock as _, SystemClock};
use logquota::fs::os::{Lock, OsFs, Tree, host};
use logquota::fs::{ReadFs as _, WriteFs as _};
use logquota::inventory::{Inventory, Space};
use logquota::plan::{Context, Goal, Host, Plan, Problem, Purpose, check, plan};
use logquota::policy::Identity;
use logquota::report::{
    Bonds, FreeJson, PLAN_VALID_SECONDS, PlanJson, RootJson, SourceJson, source_digest,
};
use logquota::scan::{Foreign, foreign, note_holders, note_oldest, part_by_device, scan};
use logquota::{Config, Error, SetSpec};

use crate::exit::{Exit, Failure};
use crate::hooks::ShellHooks;
use crate::output::Output;
use crate::programs::Programs;
use crate::progress::Progress;
use crate::root;
use crate::source::{self, Source};
use crate::state::{self, State};

/// Plans over more logs than this are not checked a second time.
pub(crate) const CHECKED_MAX: usize = 50_000;

/// The most files that are compressed at the same time; more would wait for the disk.
const THREADS_MAX: usize = 8;

/// A compression waits for the disk to flush about as long as it computes. More would be faster
/// still, by a tenth, and take as much memory again.
const THREADS_PER_CORE: usize = 2;

/// How many files are compressed at the same time.
pub(crate) fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.saturating_mul(THREADS_PER_CORE).min(THREADS_MAX)
}

/// Everything that one pass knows.
pub(crate) struct Session {
    pub(crate) config: Config,
    pub(crate) is_faulty: bool,
    pub(crate) inventory: Inventory,
    pub(crate) now: DateTime<FixedOffset>,
    pub(crate) host: Host,
    pub(crate) state: State,
    /// Where its paths begin.
    pub(crate) tree: Tree,
    /// Directives that would run something of another machine's disk, and of which set.
    pub(crate) forgotten: Vec<(&'static str, String)>,
    /// What plans are made from.
    source: SourceJson,
    /// For how many seconds they hold.
    valid_for: i64,
    fs: OsFs,
    // Given back when the session ends.
    _locks: Vec<Lock>,
}

/// How to look.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// What to work on.
    pub(crate) source: Source,
    /// Where its paths begin.
    pub(crate) tree: Tree,
    /// The state file, if there is one.
    pub(crate) state: Option<PathBuf>,
    /// Take the locks, waiting so long at most; not for those who only look.
    pub(crate) lock: Option<Duration>,
    /// For which moment; now, if none is given.
    pub(crate) at: Option<DateTime<FixedOffset>>,
    /// What is asked for, to free space.
    pub(crate) free: Option<FreeJson>,
    /// For how many seconds the plan holds.
    pub(crate) valid_for: i64,
}

impl Look {
    /// A look at what is there now, without locks.
    pub(crate) const fn new(source: Source, tree: Tree, state: Option<PathBuf>) -> Self {
        let valid_for = PLAN_VALID_SECONDS;
        Self { source, tree, state, lock: None, at: None, free: None, valid_for }
    }

    /// What plans are made from. All of it is part of their ids.
    fn source(&self) -> SourceJson {
        let free = self.free.clone();
        SourceJson { free, ..self.source.to_json(self.state.as_deref()) }
    }
}

/// The moment of this run. Whole seconds: that is what a plan file keeps.
pub(crate) fn now() -> DateTime<FixedOffset> {
    SystemClock.now().trunc_subsecs(0)
}

/// Sets that are to be worked on as somebody whom we cannot become: whom, and why not.
pub(crate) fn out_of_reach(config: &Config, fs: &OsFs) -> BTreeMap<usize, (Identity, io::Error)> {
    let become_user = |(set, spec): (usize, &SetSpec)| {
        let who = spec.policy.run_as?;
        let done = fs.act_as(Some(who)).and_then(|()| fs.act_as(None));
        done.err().map(|error| (set, (who, error)))
    };
    config.sets.iter().enumerate().filter_map(become_user).collect()
}

impl Session {
    /// Reads the configuration, locks, and scans. The configuration is that of the moment in which
    /// the locks are held: it may take long to get them.
    pub(crate) fn open(look: &Look, out: &mut Output) -> Result<Self, Failure> {
        let tree = &look.tree;
        let mut ready = look.source.ready(tree, out)?;
        let mut locks = Vec::new();
        if let Some(wait) = look.lock {
            let roots = source::roots(&ready.config);
            locks = lock(tree, &roots, look.state.as_deref(), wait, out)?;
            drop(ready);
            ready = look.source.ready(tree, out)?;
            if source::roots(&ready.config) != roots {
                return Err(Failure::Failed(
                    "the configuration was changed while its folders were locked, and names \
                     others now; nothing was done; run again"
                        .to_owned(),
                ));
            }
        }
        let now = look.at.unwrap_or_else(now);
        let mut state = State::read(tree, look.state.clone(), out);
        let fs = OsFs::within(tree.clone());
        let mut inventory = scan(&fs, &ready.config, &|path| state.last_rotated(path))?;
        state.fill_in(&mut inventory);
        state.release(now);
        let disk = root::disk(tree)?;
        let source = SourceJson { root: disk.as_ref().map(RootJson::new), ..look.source() };
        Ok(Self {
            config: ready.config,
            is_faulty: ready.is_faulty,
            inventory,
            now,
            host: Host { disk, ..host() },
            state,
            tree: tree.clone(),
            forgotten: ready.forgotten,
            source,
            valid_for: look.valid_for,
            fs,
            _locks: locks,
        })
    }

    /// Decides what is done in an ordinary run.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        self.plan_for(Purpose::Routine)
    }

    /// Decides what is done.
    pub(crate) fn plan_for(&self, purpose: Purpose) -> Result<Plan, Failure> {
        let context = Context { now: self.now, host: self.host.clone(), force: false, purpose };
        let mut plan = plan(&self.inventory, &self.config, &context);
        // The plan that is about to be done is checked by code that shares nothing with the
        // planner: a mistake of ours must not cost a log. A plan without steps costs none, and
        // for very many logs the check would need more memory than all the rest.
        let logs: usize = self.inventory.sets.iter().map(|set| set.logs.len()).sum();
        if !plan.steps.is_empty()
            && logs <= CHECKED_MAX
            && let Some(broken) = check(&self.inventory, &self.config, &plan).first()
        {
            return Err(Failure::Failed(format!(
                "internal error, please report it: the plan breaks promise {}: {}; nothing was \
                 done",
                broken.promise, broken.what
            )));
        }
        plan.bind(&self.bond());
        Ok(plan)
    }

    fn bond(&self) -> String {
        source_digest(&self.source, self.valid_for)
    }

    /// What a plan of this session is bound to.
    pub(crate) fn bonds(&self, plan: &Plan) -> Bonds {
        Bonds::new(plan, &self.inventory, self.bond())
    }

    /// A plan of this session for a file, or for `--json`.
    pub(crate) fn to_json(&self, plan: &Plan) -> PlanJson {
        PlanJson::new(plan, self.source.clone(), self.valid_for)
    }

    /// Does it, and writes the state file.
    pub(crate) fn act(&mut self, plan: &Plan, mail: &OsStr, out: &mut Output) -> (Report, Exit) {
        let options = Options { threads: threads() };
        let programs = Programs::new(plan, mail.to_owned());
        let mut hooks = ShellHooks::new(Progress::start(plan.steps.len(), out), programs);
        let report = apply(plan, &self.fs, &mut hooks, &options);
        hooks.finish();
        let mut exit = Exit::Done.or_failed_if(!report.is_complete());
        self.state.note(&mut self.inventory, plan, &report, self.now);
        if let Err(error) = self.state.write() {
            out.error(&error.chain());
            exit = exit.and(Exit::Failed);
        }
        (report, exit)
    }

    /// What else is in the folders of its logs, on one file system.
    pub(crate) fn foreign(&self, dev: u64, largest: usize) -> Foreign {
        foreign(&self.fs, &self.inventory, &source::roots(&self.config), dev, largest)
    }

    /// How full a file system is now; none if it has no folder of logs.
    pub(crate) fn space(&self, dev: u64) -> Option<Space> {
        let dirs = &self.inventory.dirs;
        let known = dirs.iter().find(|(_, dir)| dir.id.dev == dev && dir.missing.is_none());
        known.and_then(|(id, _)| self.fs.space(*id).ok())
    }

    /// Which file system each set is on.
    pub(crate) fn devices(&self) -> Vec<u64> {
        self.inventory.sets.iter().map(|set| set.dev).collect()
    }

    /// Has sets of one file system each, to free space on one.
    pub(crate) fn part_by_device(&mut self) {
        part_by_device(&self.fs, &mut self.inventory, &mut self.config);
    }

    /// Notes which logs are held, where logs may be cut whose policy does not permit that.
    pub(crate) fn note_holders(&mut self) {
        note_holders(&self.fs, &mut self.inventory);
    }

    /// Looks at what would be cut for a goal, if that is permitted.
    pub(crate) fn note_oldest(&mut self, goal: Goal) {
        if goal.cuts_logs && goal.wanted.bytes().is_some() {
            note_oldest(&self.fs, &mut self.inventory, goal.dev);
        }
    }

    /// What the configuration and the plan mean for the exit code; problems are printed.
    pub(crate) fn verdict(&self, plan: &Plan, out: &mut Output) -> Exit {
        self.problems(plan, out).and(unmet(plan, None, out))
    }

    /// The same but for limits that cannot be met: after a run they are met or not as measured.
    pub(crate) fn problems(&self, plan: &Plan, out: &mut Output) -> Exit {
        let mut exit = Exit::Done;
        for problem in &plan.problems {
            let line = told(problem);
            if problem.is_error {
                out.error(&line);
                exit = exit.and(Exit::Failed);
            } else {
                out.detail(&line);
            }
        }
        if self.state.is_damaged() {
            exit = exit.and(Exit::Failed);
        }
        if self.is_faulty { exit.and(Exit::Config) } else { exit }
    }
}

/// Whether some limit is not met, by the plan or by what was done; the logs that stay are named.
pub(crate) fn unmet(plan: &Plan, report: Option<&Report>, out: &mut Output) -> Exit {
    let is_unmet = |(index, set): (usize, &logquota::plan::SetPlan)| {
        let missing = report.map_or(set.shortfall, |report| report.shortfall(plan, index));
        missing != logquota::Bytes::ZERO || set.files_shortfall != 0
    };
    if !plan.sets.iter().enumerate().any(is_unmet) {
        return Exit::Done;
    }
    plan.unmet.iter().for_each(|problem| out.error(&told(problem)));
    Exit::QuotaUnmet
}

fn told(problem: &Problem) -> String {
    format!("`{}`: {}", logquota::error::printable(&problem.path), problem.why)
}

/// Locks every directory that is worked in, in one order everywhere, and then the state file.
fn lock(
    tree: &Tree,
    roots: &[PathBuf],
    state: Option<&Path>,
    wait: Duration,
    out: &mut Output,
) -> Result<Vec<Lock>, Failure> {
    // One that is not there or not ours to open is left out: the scan says what that means.
    let mut locks = vec![Lock::dirs_in(tree, roots, wait)?];
    if let Some(state) = state {
        state::make_folder(state);
        match Lock::file(state, wait) {
            Ok(lock) => locks.push(lock),
            // On a full disk it cannot be made. The folders are locked; freeing the disk must
            // not wait for a file that only remembers.
            Err(error @ Error::Io { .. }) => out.warning(&error.chain()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(locks)
}
