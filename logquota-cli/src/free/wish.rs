//! What was asked for: how much, where, and within which limits; from the arguments or a plan
//! file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use logquota::error::printable;
use logquota::fs::os::{Tree, device_of, homes, is_mount_point, real_path};
use logquota::inventory::Space;
use logquota::plan::guard::{Guards, unfit};
use logquota::plan::{Goal, Wanted};
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
    /// In inodes, and not in bytes.
    pub(crate) inodes: bool,
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
        let (goal, inodes, cuts_logs) = (args.goal, args.inodes, args.trim_active);
        Ok(Self { goal, inodes, on, cuts_logs, guards })
    }

    /// From a plan file.
    pub(crate) fn from_json(json: &FreeJson) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::Refused(format!("the plan file's source {what}"));
        let inodes = json.inodes.is_some() || json.inodes_percent.is_some();
        let is_percent = |percent: u8| percent <= 100;
        let goal = match (json.bytes, json.percent, json.inodes, json.inodes_percent) {
            (Some(bytes), None, None, None) => Reserve::Bytes(bytes),
            (None, None, Some(count), None) => Reserve::Bytes(Bytes::new(count)),
            (None, Some(part), None, None) | (None, None, None, Some(part)) if is_percent(part) => {
                Reserve::Percent(part)
            }
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
        Ok(Self { goal: GoalArg(goal), inodes, on, cuts_logs: json.trim_active, guards })
    }

    /// For a plan file.
    pub(crate) fn to_json(&self) -> FreeJson {
        let (bytes, percent) = match self.goal.0 {
            Reserve::Bytes(bytes) => (Some(bytes), None),
            Reserve::Percent(percent) => (None, Some(percent)),
            _ => (None, None),
        };
        let unit = |is_it: bool| move |_: &Bytes| is_it;
        FreeJson {
            bytes: bytes.filter(unit(!self.inodes)),
            percent: percent.filter(|_| !self.inodes),
            inodes: bytes.filter(unit(self.inodes)).map(|count| count.get()),
            inodes_percent: percent.filter(|_| self.inodes),
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
        let mut disks: BTreeMap<u64, (Space, String)> = BTreeMap::new();
        for (set, spec) in sets().filter(|(set, _)| set.space.total > Bytes::ZERO) {
            disks.entry(set.dev).or_insert_with(|| (set.space, spec.name.clone()));
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
            (Some((dev, (space, _))), None) => {
                Ok(Goal { wanted: self.wanted(&space)?, dev, cuts_logs: self.cuts_logs })
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

impl Wish {
    fn wanted(&self, space: &Space) -> Result<Wanted, Failure> {
        let wanted = if self.inodes {
            let Some(total) = space.total_files else {
                return Err(Failure::Usage(
                    "this file system has no limit of inodes, so that none can be missing"
                        .to_owned(),
                ));
            };
            Wanted::Inodes(self.goal.0.of(Bytes::new(total)).get())
        } else {
            Wanted::Bytes(self.goal.0.of(space.total))
        };
        let (more, total) = match (wanted, wanted.total(space)) {
            (Wanted::Bytes(wanted), Wanted::Bytes(total)) => (wanted > total, total.to_string()),
            (Wanted::Inodes(wanted), Wanted::Inodes(total)) => (wanted > total, total.to_string()),
            _ => return Ok(wanted),
        };
        if more {
            // Everything would go for it, and in vain.
            return Err(Failure::Usage(format!(
                "{} cannot be free: the file system has {total} in all",
                super::amount(wanted)
            )));
        }
        Ok(wanted)
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
    // A home or a folder of the system may be a link itself: what was written and what it is.
    let mut homes = homes(tree);
    let linked = homes.iter().map(PathBuf::as_path).chain([Path::new("/home"), Path::new("/root")]);
    let linked: Vec<_> = linked.filter_map(|home| real_path(tree, home).ok()).collect();
    homes.extend(linked);
    let written = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let why = unfit(&real, is_mount, &homes).or_else(|| unfit(&written, false, &homes));
    // A file system of this host may have been given for another machine's.
    let here = tree.path().map(|root| root.join(real.strip_prefix("/").unwrap_or(&real)));
    let host = Tree::default();
    let here = here.and_then(|here| real_path(&host, &here).ok());
    let why = why.or_else(|| unfit(&here?, false, &self::homes(&host)));
    match why {
        None => Ok(()),
        Some(why) => Err(Failure::Refused(format!(
            "`{}` was refused: {why}; name a folder of logs in it, or a configuration",
            printable(&real)
        ))),
    }
}
