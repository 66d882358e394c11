//! What was asked for: how much, where, and within which limits; from the arguments or a plan
//! file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use logquota::error::printable;
use logquota::fs::os::{Tree, device_of, homes, is_mount_point, real_path};
use logquota::plan::Goal;
use logquota::plan::guard::{Guards, unfit};
use logquota::policy::Reserve;
use logquota::report::{FreeJson, PathJson};
use logquota::{Bytes, Error, Op};

use super::args::{FreeArgs, GoalArg};
use crate::exit::Failure;
use crate::root::place;
use crate::session::Session;
use crate::source::Source;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) goal: GoalArg,
    pub(crate) on: Option<PathBuf>,
    /// Logs in use may be cut.
    pub(crate) cuts_logs: bool,
    pub(crate) guards: Guards,
}

impl Wish {
    pub(crate) fn from_args(args: &FreeArgs, tree: &Tree) -> Result<Self, Failure> {
        let on = args.on.as_deref().map(|on| place(tree, on)).transpose()?;
        let (max_files, max_bytes) = (args.max_files, args.max_bytes);
        let guards = Guards { max_files, max_bytes, max_permille: args.max_fraction.0 };
        Ok(Self { goal: args.goal, on, cuts_logs: args.trim_active, guards })
    }

    /// From a plan file.
    pub(crate) fn from_json(json: &FreeJson) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::Refused(format!("the plan file's source {what}"));
        let goal = match (json.bytes, json.percent) {
            (Some(bytes), None) => Reserve::Bytes(bytes),
            (None, Some(percent)) if percent <= 100 => Reserve::Percent(percent),
            _ => return Err(wrong("does not say how much shall be free")),
        };
        let on = match json.on.as_ref().map(PathJson::to_path) {
            None => None,
            Some(Some(path)) if path.is_absolute() => Some(path),
            Some(_) => return Err(wrong("has a path that is not absolute")),
        };
        let guards = Guards {
            max_files: json.max_files,
            max_bytes: json.max_bytes,
            max_permille: json.max_permille,
        };
        Ok(Self { goal: GoalArg(goal), on, cuts_logs: json.trim_active, guards })
    }

    /// For a plan file.
    pub(crate) fn to_json(&self) -> FreeJson {
        let (bytes, percent) = match self.goal.0 {
            Reserve::Bytes(bytes) => (Some(bytes), None),
            Reserve::Percent(percent) => (None, Some(percent)),
            _ => (None, None),
        };
        FreeJson {
            bytes,
            percent,
            on: self.on.as_deref().map(PathJson::new),
            trim_active: self.cuts_logs,
            max_files: self.guards.max_files,
            max_bytes: self.guards.max_bytes,
            max_permille: self.guards.max_permille,
        }
    }

    /// On which file system, and how much in bytes.
    pub(crate) fn goal(&self, session: &Session) -> Result<Goal, Failure> {
        let sets = || session.inventory.sets.iter().zip(&session.config.sets);
        let mut disks: BTreeMap<u64, (Bytes, String)> = BTreeMap::new();
        for (set, spec) in sets().filter(|(set, _)| set.space.total > Bytes::ZERO) {
            disks.entry(set.dev).or_insert_with(|| (set.space.total, spec.name.clone()));
        }
        if let Some(on) = &self.on {
            let dev = device_of(&session.tree, on).map_err(Error::io(Op::OpenDir, on))?;
            disks.retain(|disk, _| *disk == dev);
            if disks.is_empty() {
                return Err(Failure::Usage(format!(
                    "no log is on the file system of `{}`, so nothing can be freed there",
                    printable(on)
                )));
            }
        }
        let mut disks = disks.into_iter();
        match (disks.next(), disks.next()) {
            (Some((dev, (total, _))), None) => {
                Ok(Goal { wanted: self.goal.0.of(total), dev, cuts_logs: self.cuts_logs })
            }
            (Some((_, (_, one))), Some((_, (_, other)))) => Err(Failure::Usage(format!(
                "the logs are on several file systems, such as those of `{}` and `{}`: say with \
                 --on DIR which one is meant",
                printable(&one),
                printable(&other)
            ))),
            (None, _) => Err(Failure::Failed(
                "there is no folder of logs, so nothing can be freed".to_owned(),
            )),
        }
    }
}

/// Refuses folders that nobody can have meant.
pub(crate) fn is_fit(source: &Source, tree: &Tree) -> Result<(), Failure> {
    let Some(dir) = source.as_dir() else { return Ok(()) };
    let refused = |error: std::io::Error| {
        Failure::Refused(format!("`{}` was refused: {error}", printable(dir)))
    };
    let real = real_path(tree, dir).map_err(refused)?;
    let is_mount = is_mount_point(tree, &real).map_err(refused)?;
    match unfit(&real, is_mount, &homes(tree)) {
        None => Ok(()),
        Some(why) => Err(Failure::Refused(format!(
            "`{}` was refused: {why}; name a folder of logs in it, or a configuration",
            printable(&real)
        ))),
    }
}
