//! Where the run meets the configuration reader and the planner: the only calls of either in
//! this mode, and what is drawn from their answers.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use logquota::inventory::Inventory;
use logquota::logrotate::{Severity, read};
use logquota::plan::{Context, Plan, Reason, check, plan};
use logquota::{Config, Selector};

use super::voice::{Voice, show};
use crate::session::CHECKED_MAX;
use crate::source::system;
use crate::state::is_rotation;

/// What was read.
pub(super) struct Ready {
    pub(super) config: Config,
    /// Whether something in it makes the run fail in the end, which has been said.
    pub(super) is_faulty: bool,
}

/// Reads configurations in their order. What is wrong in them is said.
pub(super) fn ready(paths: &[PathBuf], voice: &mut Voice) -> Ready {
    let parsed = read(paths, &system());
    let mut left: Vec<_> = parsed.diagnostics.iter().collect();
    for file in &parsed.files {
        voice.say(&format!("reading config file {}", show(file)));
        let (here, elsewhere): (Vec<_>, _) =
            left.into_iter().partition(|found| found.file == *file);
        left = elsewhere;
        for found in here {
            say(found, voice);
        }
    }
    for found in left {
        say(found, voice);
    }
    let is_faulty = parsed.has_errors();
    Ready { config: parsed.config, is_faulty }
}

fn say(found: &logquota::logrotate::Diagnostic, voice: &mut Voice) {
    let place = match found.line {
        0 => show(&found.file),
        line => format!("{}:{line}", show(&found.file)),
    };
    let text = format!("{place} {}", found.message);
    match found.severity {
        Severity::Error => voice.error(&text),
        Severity::Warning => voice.warning(&text),
        Severity::Note => voice.say(&text),
    }
}

/// Decides what is done.
///
/// # Errors
///
/// The promise that the plan breaks: a mistake of ours, which must not cost a log.
pub(super) fn decide(
    inventory: &Inventory,
    config: &Config,
    context: &Context,
) -> Result<Plan, String> {
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

/// Which logs the plan rotates.
pub(super) fn due(plan: &Plan) -> Due {
    let rotations = plan.steps.iter().filter(|step| is_rotation(&step.action, &step.reason));
    let mut found = Due::new();
    for step in rotations {
        if let Some(log) = step.log {
            found.entry((step.set, log)).or_insert_with(|| step.reason.clone());
        }
    }
    found
}

/// A log as its block names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    /// Which of the logs of its set it is; none if nothing was found under this name.
    pub(super) number: Option<usize>,
}

/// The logs of each set: first those that it names, in their order, whether they exist or not,
/// then what was found by its wildcards.
pub(super) fn names(config: &Config, inventory: &Inventory) -> Vec<Vec<Named>> {
    let of_set = |(spec, set): (&logquota::SetSpec, &logquota::inventory::Set)| {
        let paths = set.logs.iter().map(|log| inventory.path(log.dir, &log.name));
        let mut left: Vec<Option<PathBuf>> = paths.map(Some).collect();
        let numbers: HashMap<PathBuf, usize> = left
            .iter()
            .enumerate()
            .filter_map(|(number, path)| Some((path.clone()?, number)))
            .collect();
        let mut named = Vec::with_capacity(left.len());
        for path in spec.selectors.iter().filter_map(literal) {
            let number = numbers.get(path).copied();
            if let Some(slot) = number.and_then(|number| left.get_mut(number)) {
                *slot = None;
            }
            named.push(Named { path: path.to_owned(), number });
        }
        let left = left.into_iter().enumerate();
        named.extend(left.filter_map(|(n, path)| Some(Named { path: path?, number: Some(n) })));
        named
    };
    std::iter::zip(&config.sets, &inventory.sets).map(of_set).collect()
}

/// The one path that a selector stands for.
fn literal(selector: &Selector) -> Option<&Path> {
    match selector {
        Selector::Pattern(pattern)
            if !pattern.as_bytes().iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\')) =>
        {
            Some(Path::new(pattern))
        }
        _ => None,
    }
}
