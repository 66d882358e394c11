//! What one run knows once it is planned: what everything that is said is drawn from.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;
use logquota::Config;
use logquota::inventory::{Inventory, Log, Place};
use logquota::plan::{Plan, Problem, Step};
use logquota::policy::{Identity, SetSpec};
use logquota::report::place_path;

use super::config::{Due, Named};
use super::state::State;
use super::voice::show;

/// Configuration, disk and plan side by side: set N is the same in all of them.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) config: &'a Config,
    pub(super) inventory: &'a Inventory,
    pub(super) plan: &'a Plan,
    pub(super) state: &'a State,
    /// The logs of each set, as it names them.
    pub(super) names: &'a [Vec<Named>],
    pub(super) problems: &'a Problems<'a>,
    pub(super) due: &'a Due,
    pub(super) force: bool,
    /// Our own user and group.
    pub(super) home: Identity,
    /// Sets that nothing is done to, and why.
    pub(super) refused: &'a BTreeMap<usize, String>,
}

/// What cannot be done, by the path that it is about.
#[derive(Debug, Default)]
pub(super) struct Problems<'a>(HashMap<&'a Path, Vec<&'a Problem>>);

impl<'a> Problems<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let mut found: HashMap<&Path, Vec<&Problem>> = HashMap::new();
        for problem in &plan.problems {
            found.entry(&problem.path).or_default().push(problem);
        }
        Self(found)
    }

    pub(super) fn about(&self, path: &Path) -> &[&'a Problem] {
        self.0.get(path).map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Scene<'a> {
    pub(super) fn spec(&self, set: usize) -> Option<&'a SetSpec> {
        self.config.sets.get(set)
    }

    /// The log that a step concerns, if it concerns one.
    pub(super) fn log(&self, step: &Step) -> Option<&'a Log> {
        self.inventory.sets.get(step.set)?.logs.get(step.log?)
    }

    /// The log's path, for people.
    pub(super) fn log_name(&self, step: &Step) -> Option<String> {
        self.log(step).map(|log| show(self.inventory.path(log.dir, &log.name)))
    }

    /// Whether a log of this set is due.
    pub(super) fn has_due(&self, set: usize) -> bool {
        let logs = self.inventory.sets.get(set).map_or(0, |set| set.logs.len());
        (0..logs).any(|log| self.due.contains_key(&(set, log)))
    }

    pub(super) fn path(&self, place: &Place) -> PathBuf {
        place_path(self.plan, place)
    }

    /// The moment of the run, by the local clock.
    pub(super) fn now(&self) -> NaiveDateTime {
        self.plan.created.naive_local()
    }
}
