//! Keeps a run apart from `logquota run`, and from programs that look after the folder of their
//! logs by themselves: who changes a folder locks it.
//!
//! Runs of this mode share the folders among themselves: what the original may do side by side
//! is none of our business, and the state file keeps those apart that should be. `logquota run`
//! has a folder for itself, with all below it, so the folders above are shared as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use logquota::Error;
use logquota::fs::os::Lock;
use logquota::plan::Plan;

use super::args;
use super::voice::show;

/// How long a run waits for somebody who is at work, as `logquota run` does.
const WAIT: Duration = Duration::from_secs(5);

/// So many folders are locked at most: each takes an open file, of which there are not many.
const FOLDERS_MAX: usize = 256;

/// The folders that are locked. They are given back with it.
#[derive(Debug)]
pub(super) struct Folders {
    held: BTreeMap<PathBuf, Option<Lock>>,
    /// None: whatever others do is no concern.
    wait: Option<Duration>,
}

/// What came of locking.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Locked {
    /// Nobody was there.
    AtOnce,
    /// Others were, and may have changed what was planned for.
    Waited,
    /// Sets that somebody else is at work on, and what to say of each.
    Refused(BTreeMap<usize, String>),
}

impl Folders {
    pub(super) fn new(lock: args::Lock) -> Self {
        Self::waiting(match lock {
            args::Lock::Try => Some(WAIT),
            args::Lock::Wait => Some(Duration::MAX),
            args::Lock::Skip => None,
        })
    }

    const fn waiting(wait: Option<Duration>) -> Self {
        Self { held: BTreeMap::new(), wait }
    }

    /// Locks the folders that a plan changes.
    pub(super) fn lock(&mut self, plan: &Plan) -> Locked {
        let Some(mut wait) = self.wait else { return Locked::AtOnce };
        let mut has_waited = false;
        let mut refused = BTreeMap::new();
        for (folder, sets) in changed(plan) {
            if self.held.contains_key(&folder) || self.held.len() >= FOLDERS_MAX {
                continue;
            }
            let mut taken = Lock::dir_together(&folder, Duration::ZERO);
            if matches!(taken, Err(Error::Locked { .. })) && Lock::is_held_by_strangers(&folder) {
                // Anybody who can open it can lock it, and must not stop rotation by that.
                self.held.insert(folder, None);
                continue;
            }
            if matches!(taken, Err(Error::Locked { .. })) {
                has_waited = true;
                taken = Lock::dir_together(&folder, wait);
            }
            match taken {
                Err(Error::Locked { .. }) => {
                    // Whoever holds many folders keeps a run waiting no longer than with one.
                    wait = Duration::ZERO;
                    self.wait = Some(wait);
                    let why = format!("{} is being worked on by logquota, skipping", show(&folder));
                    refused.extend(sets.into_iter().map(|set| (set, why.clone())));
                }
                // One that is not there yet, or not ours to open, nobody can lock.
                other => {
                    self.held.insert(folder, other.ok());
                }
            }
        }
        match (refused.is_empty(), has_waited) {
            (false, _) => Locked::Refused(refused),
            (true, true) => Locked::Waited,
            (true, false) => Locked::AtOnce,
        }
    }
}

/// Folders in which files are changed, those above them, and by which sets.
fn changed(plan: &Plan) -> BTreeMap<PathBuf, BTreeSet<usize>> {
    let mut changed: BTreeMap<PathBuf, BTreeSet<usize>> = BTreeMap::new();
    let touched = plan.steps.iter().flat_map(|step| {
        let places = step.action.place().into_iter().chain(step.action.target());
        places.map(|place| (place.dir, step.set))
    });
    for (dir, set) in touched.collect::<BTreeSet<_>>() {
        let Some(dir) = plan.dirs.get(&dir) else { continue };
        for folder in dir.path.ancestors().filter(|folder| is_lockable(folder)) {
            changed.entry(folder.to_owned()).or_default().insert(set);
        }
    }
    changed
}

/// The root is everybody's.
fn is_lockable(folder: &Path) -> bool {
    folder.file_name().is_some() || folder == Path::new(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logrotate::testing::now;
    use logquota::fs::os::OsFs;
    use logquota::plan::{Context, Host, Purpose, plan};
    use logquota::scan::scan;
    use logquota::{Config, Policy, SetSpec};

    #[test]
    fn a_folder_that_logquota_works_in_or_above_is_refused_and_runs_share_theirs() {
        let temp = tempfile::tempdir().expect("a folder");
        let folder = temp.path().join("logs");
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join("a.log"), "x").expect("written");
        let pattern = folder.join("*.log").into_os_string();
        let config = Config::single(SetSpec::pattern(pattern, Policy::default().keep_count(1)));
        let inventory = scan(&OsFs::new(), &config, &|_| None).expect("a scan");
        let context =
            Context { now: now(), host: Host::default(), force: true, purpose: Purpose::Routine };
        let plan = plan(&inventory, &config, &context);
        let lock = |wait| Folders::waiting(wait).lock(&plan);
        let at_once = Some(Duration::ZERO);
        for above in [temp.path(), &folder] {
            let _held = Lock::dir(above, Duration::ZERO).expect("free");
            let why = format!("{} is being worked on by logquota, skipping", show(above));
            assert_eq!(lock(at_once), Locked::Refused(BTreeMap::from([(0, why)])));
            assert_eq!(lock(None), Locked::AtOnce, "no lock is wanted");
        }
        let mut ours = Folders::waiting(at_once);
        assert_eq!((ours.lock(&plan), ours.lock(&plan)), (Locked::AtOnce, Locked::AtOnce));
        assert_eq!(lock(at_once), Locked::AtOnce, "another run of this mode");
        assert!(Lock::dir(&folder, Duration::ZERO).is_err());
        drop(ours);
        assert!(Lock::dir(&folder, Duration::ZERO).is_ok());
    }
}
