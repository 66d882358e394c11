//! Where the run meets the configuration reader and the planner: the only calls of either in
//! this mode, and what is drawn from their answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use logquota::fs::ReadFs as _;
use logquota::fs::os::OsFs;
use logquota::inventory::Inventory;
use logquota::logrotate::{Dialect, Level, Origin, read_as};
use logquota::plan::{Context, Plan, Reason, check, plan};
use logquota::policy::Identity;
use logquota::scan::scan;
use logquota::{Config, Policy};
use rustix::process::{getegid, geteuid};

use super::locks::{Folders, Locked};
use super::state::State;
use super::voice::{Voice, reason};
use crate::session::{self, CHECKED_MAX};
use crate::source::system;

/// What was read.
pub(super) struct Ready {
    pub(super) config: Config,
    /// Of each set: where it comes from, and its logs as they were written.
    pub(super) origins: Vec<Origin>,
    /// Whether something in it makes the run fail in the end, which has been said.
    pub(super) is_faulty: bool,
}

/// Reads configurations in their order. What is wrong in them is said.
pub(super) fn ready(paths: &[PathBuf], voice: &mut Voice) -> Ready {
    let parsed = read_as(paths, &system(), Dialect::Logrotate);
    for line in &parsed.transcript {
        match line.level {
            Level::Progress => voice.say(&line.text),
            Level::Warning => voice.warning(&line.text),
            Level::Error => voice.error(&line.text),
        }
    }
    let is_faulty = parsed.transcript.iter().any(|line| line.fails);
    Ready { config: parsed.config, origins: parsed.origins, is_faulty }
}

/// What was found, and what is done about it.
pub(super) struct Decided {
    pub(super) inventory: Inventory,
    pub(super) plan: Plan,
    /// Sets that nothing is done to, and why, in words.
    pub(super) refused: BTreeMap<usize, String>,
}

/// How often it is decided anew because others were at work; each time more folders are ours.
const TRIES: u32 = 8;

impl Decided {
    /// Looks and decides. With `folders`, those that are to be changed are locked.
    ///
    /// # Errors
    ///
    /// What keeps everything from being done, in words.
    pub(super) fn new(
        config: &Config,
        fs: &OsFs,
        context: &Context,
        state: &State,
        mut folders: Option<&mut Folders>,
    ) -> Result<Self, String> {
        let local = context.now.naive_local();
        let out_of_reach = session::out_of_reach(config, fs).into_iter();
        let words = |(set, (who, error))| {
            (set, format!("error {}: {}", switching(home(), who), reason(&error)))
        };
        let mut refused: BTreeMap<usize, String> = out_of_reach.map(words).collect();
        for _ in 0..TRIES {
            let reached = without(config, &refused);
            let found = scan(fs, &reached, &|path| Some(state.last_rotated(path, local)));
            let inventory = found.map_err(|error| error.chain())?;
            let plan = decide(&inventory, &reached, context)?;
            match folders.as_mut().map_or(Locked::AtOnce, |folders| folders.lock(&plan)) {
                Locked::AtOnce => return Ok(Self { inventory, plan, refused }),
                Locked::Waited => {}
                Locked::Refused(more) => refused.extend(more),
            }
            // It is looked at anew, with folders of its own.
            inventory.dirs.keys().for_each(|dir| fs.close_dir(*dir));
        }
        Err("others keep changing the same logs; nothing was done".to_owned())
    }
}

/// Who we are.
pub(super) fn home() -> Identity {
    Identity { uid: geteuid().as_raw(), gid: getegid().as_raw() }
}

/// logrotate's words for becoming somebody else.
pub(super) fn switching(from: Identity, to: Identity) -> String {
    let pid = std::process::id();
    format!(
        "switching euid from {} to {} and egid from {} to {} (pid {pid})",
        from.uid, to.uid, from.gid, to.gid
    )
}

/// The configuration without some sets: nothing is done to their logs.
fn without<'a>(config: &'a Config, refused: &BTreeMap<usize, String>) -> Cow<'a, Config> {
    let mut config = Cow::Borrowed(config);
    for set in refused.keys() {
        if let Some(spec) = config.to_mut().sets.get_mut(*set) {
            spec.policy = Policy::left_alone();
            spec.selectors.clear();
        }
    }
    config
}

/// Decides what is done.
///
/// # Errors
///
/// The promise that the plan breaks: a mistake of ours, which must not cost a log.
fn decide(inventory: &Inventory, config: &Config, context: &Context) -> Result<Plan, String> {
    let plan = plan(inventory, config, context);
    let logs: usize = inventory.sets.iter().map(|set| set.logs.len()).sum();
    if !plan.steps.is_empty()
        && logs <= CHECKED_MAX
        && let Some(broken) = check(inventory, config, &plan).first()
    {
        return Err(format!(
            "internal error, please report it: the plan breaks promise {}: {}; nothing was done",
            broken.promise, broken.what
        ));
    }
    Ok(plan)
}

/// Logs that are due, by set and number, and why.
pub(super) type Due = HashMap<(usize, usize), Reason>;

/// Which logs are due.
pub(super) fn due(plan: &Plan) -> Due {
    plan.due.iter().map(|due| ((due.set, due.log), due.reason.clone())).collect()
}

/// A log as its block names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    /// Which of the logs of its set it is; none if nothing was found under this name.
    pub(super) number: Option<usize>,
}

/// The logs of each set, in their order, whether they exist or not.
pub(super) fn names(origins: &[Origin], inventory: &Inventory) -> Vec<Vec<Named>> {
    let of_set = |(origin, set): (&Origin, &logquota::inventory::Set)| {
        let paths = set.logs.iter().map(|log| inventory.path(log.dir, &log.name));
        let numbers: HashMap<PathBuf, usize> =
            paths.enumerate().map(|(number, path)| (path, number)).collect();
        // Paths are equal however they are spelt: `a//b` and `a/./b` are `a/b`.
        let named =
            |path: &PathBuf| Named { path: path.clone(), number: numbers.get(path).copied() };
        origin.logs.iter().map(named).collect()
    };
    std::iter::zip(origins, &inventory.sets).map(of_set).collect()
}
