//! Plans and reports as JSON, for other programs and for `apply`.
//!
//! The shapes are promised: every object names its `schema`, and changes that keep the
//! number only add members. Amounts are plain bytes, times RFC 3339 in UTC. A path that is
//! not UTF-8 is there twice: readable and lossy, and exact in base64 (`…_b64`).
//!
//! A plan file is never an authority. What is read here says which plan is meant;
//! whoever applies it makes that plan again from the disk and compares
//! ([`PlanJson::differs_from`]).

use std::path::PathBuf;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::inventory::{Dir, Place};
use crate::plan::{Action, Host, Plan, Problem, SetPlan, Step};
use crate::units::Bytes;

mod bonds;
mod paths;
mod root;
mod run;

pub use self::bonds::{Bonds, boot_digest, machine_digest, source_digest};
pub use self::paths::{Base64Path, PathJson, both};
pub use self::root::RootJson;
pub use self::run::{RunJson, SetRunJson, StepRunJson, freed_in_all, outcome_name};

/// The schema of a plan.
pub const PLAN_SCHEMA: &str = "logquota.plan/1";

/// How long a plan may be applied after it was made, in seconds, where nothing else is asked for.
pub const PLAN_VALID_SECONDS: i64 = 3600;

/// How long at most: a week.
pub const PLAN_VALID_SECONDS_MAX: i64 = 604_800;

/// How far a plan may come from the future (a clock that was set back), in seconds.
pub const PLAN_EARLY_SECONDS: i64 = 300;

/// The largest plan file that is read, in bytes. About a million steps.
pub const PLAN_LEN_MAX: u64 = 256 << 20;

/// A plan as a JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanJson {
    /// [`PLAN_SCHEMA`].
    pub schema: String,
    /// The plan's digest.
    pub id: String,
    /// The host's name.
    pub host: String,
    /// A digest of what tells the host from every other; see [`machine_digest`].
    pub machine: String,
    /// A digest of what tells this start of the host from every other; see [`boot_digest`].
    pub boot: String,
    /// A digest over the configuration.
    pub policy: String,
    /// For which moment.
    pub created: DateTime<Utc>,
    /// Until when it may be applied.
    pub expires: DateTime<Utc>,
    /// What it was made from.
    pub source: SourceJson,
    /// The directories that steps name.
    pub dirs: Vec<DirJson>,
    /// The sums of each set.
    pub sets: Vec<SetJson>,
    /// What is done, in order.
    pub steps: Vec<StepJson>,
    /// What cannot be done.
    pub problems: Vec<ProblemJson>,
}

/// What a plan was made from: either configuration files, or a folder and its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceJson {
    /// Configuration files, absolute, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<PathJson>>,
    /// A folder, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathJson>,
    /// Its quota, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Bytes>,
    /// The length at which its logs rotate, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
    /// The size of a ballast in it, in bytes; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ballast: Option<Bytes>,
    /// How its archives are compressed: `zstd`, `gzip` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<String>,
    /// Whether a log that alone passes the quota is cut at its head.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub livetrim: bool,
    /// As whom, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub su: Option<String>,
    /// The state file, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PathJson>,
    /// It is on the disk of another machine: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootJson>,
    /// It is to free space: how much, and within which limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<FreeJson>,
}

/// What a plan to free space was asked for. One of `bytes`, `percent`, `inodes`
/// and `inodes_percent` is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeJson {
    /// So much shall be free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Bytes>,
    /// So many percent of the file system shall be free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// So many inodes shall be free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// So many percent of the inodes shall be free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes_percent: Option<u8>,
    /// A path on the file system, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<PathJson>,
    /// The heads of logs in use may be cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trim_active: bool,
    /// The most files that may be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
    /// The most bytes that may be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bytes>,
    /// The most of all files that may be deleted, in thousandths.
    pub max_permille: u16,
}

/// A directory, and what tells it from every other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirJson {
    /// Its path.
    pub path: String,
    /// The same, exactly, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// Its device.
    pub dev: u64,
    /// Its inode.
    pub ino: u64,
    /// The number of its mount; 0 where the kernel does not say.
    pub mount: u64,
}

/// The sums of one set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetJson {
    /// Its name.
    pub name: String,
    /// Its quota.
    pub quota: Option<Bytes>,
    /// Used now.
    pub used_before: Bytes,
    /// The most it will use on the way.
    pub used_peak: Bytes,
    /// Used in the end, at most.
    pub used_after: Bytes,
    /// What is missing to meet the limits.
    pub shortfall: Bytes,
    /// Files now.
    pub files_before: u64,
    /// Files in the end.
    pub files_after: u64,
    /// Files above the limit in the end.
    pub files_shortfall: u64,
    /// Free on its file system now.
    pub free_before: Bytes,
    /// Free in the end, at least, if nobody else writes.
    pub free_after: Bytes,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepJson {
    /// `rename create copy truncate compress mail delete run_hook`.
    pub action: String,
    /// Index of its set.
    pub set: usize,
    /// On which file; for a script, what it is told.
    pub path: String,
    /// The same, exactly, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// The new name of a rename, copy or compression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The same, exactly, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_b64: Option<String>,
    /// Which script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// To whom a mail is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The program that compresses, if it is not built in; `shred` where a file is overwritten
    /// before it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Digests of what was seen of the file that it acts on: of which file it is; then, if its
    /// content has to be the same, too, `-` and of its length and times; for a log that is cut to
    /// free space, of its oldest content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Bytes it concerns.
    pub bytes: Bytes,
    /// Why: `kind`, and the numbers that decided.
    pub reason: serde_json::Value,
    /// What the set uses afterwards, at most.
    pub used_after: Bytes,
    /// It is left out if so much is free by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_below: Option<Bytes>,
    /// The same, in inodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_below_inodes: Option<u64>,
}

/// What cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemJson {
    /// About what.
    pub path: String,
    /// The same, exactly, if it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// Why.
    pub why: String,
    /// Whether it makes the run fail.
    pub is_error: bool,
}

/// Why a text is not a plan that can be applied here and now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanFileError {
    /// Longer than [`PLAN_LEN_MAX`].
    #[error("it is longer than {PLAN_LEN_MAX} bytes, so it is no plan")]
    TooLong,
    /// Not JSON of the expected shape.
    #[error("it is not a plan of this version: {0}")]
    Shape(String),
    /// Another schema.
    #[error("its schema is `{found}`, this program reads `{PLAN_SCHEMA}`")]
    Schema {
        /// What it says.
        found: String,
    },
    /// Made on another host.
    #[error("it was made on host `{found}`, this is `{here}`")]
    Host {
        /// What it says.
        found: String,
        /// This host.
        here: String,
    },
    /// A host of the same name but another machine.
    #[error("it was made on another machine that is also called `{host}`")]
    Machine {
        /// The name of both.
        host: String,
    },
    /// Made before the machine was started again.
    #[error("the machine was restarted since it was made")]
    Boot,
    /// Too old.
    #[error("it expired at {expires}; it is {now} now")]
    Expired {
        /// Until when it could be applied.
        expires: DateTime<Utc>,
        /// Now.
        now: DateTime<Utc>,
    },
    /// From the future.
    #[error("it was made at {created}, in the future; it is {now} now")]
    Future {
        /// When it says it was made.
        created: DateTime<Utc>,
        /// Now.
        now: DateTime<Utc>,
    },
}

impl PlanJson {
    /// The JSON view of a plan that may be applied for so many seconds. Both that and the source
    /// have to be part of the plan's id; see [`source_digest`].
    #[must_use]
    pub fn new(plan: &Plan, source: SourceJson, valid_for: i64) -> Self {
        let created = plan.created.with_timezone(&Utc).trunc_subsecs(0);
        let valid = TimeDelta::seconds(valid_for.min(PLAN_VALID_SECONDS_MAX));
        Self {
            schema: PLAN_SCHEMA.to_owned(),
            id: plan.id.clone(),
            host: plan.host.name.clone(),
            machine: machine_digest(&plan.host),
            boot: boot_digest(&plan.host),
            policy: plan.policy.clone(),
            created,
            expires: created.checked_add_signed(valid).unwrap_or(created),
            source,
            dirs: plan.dirs_of_steps().map(DirJson::new).collect(),
            sets: plan.sets.iter().map(SetJson::new).collect(),
            steps: plan.steps.iter().map(|step| StepJson::new(plan, step)).collect(),
            problems: plan.problems.iter().chain(&plan.unmet).map(ProblemJson::new).collect(),
        }
    }

    /// Reads a plan file, strictly: members that are not known, or missing, are refused.
    ///
    /// # Errors
    ///
    /// [`PlanFileError::TooLong`], [`PlanFileError::Schema`] or [`PlanFileError::Shape`].
    pub fn parse(text: &[u8]) -> Result<Self, PlanFileError> {
        /// The one member that is looked at first, so that a plan of another version is
        /// not called broken.
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > PLAN_LEN_MAX {
            return Err(PlanFileError::TooLong);
        }
        let shape = |error: serde_json::Error| PlanFileError::Shape(error.to_string());
        let head: Head = serde_json::from_slice(text).map_err(shape)?;
        if head.schema != PLAN_SCHEMA {
            return Err(PlanFileError::Schema { found: head.schema });
        }
        serde_json::from_slice(text).map_err(shape)
    }

    /// Whether it is meant for this host and this moment. Says nothing of the files.
    ///
    /// # Errors
    ///
    /// The member that differs.
    pub fn is_for(&self, host: &Host, now: DateTime<Utc>) -> Result<(), PlanFileError> {
        if self.host != host.name {
            return Err(PlanFileError::Host { found: self.host.clone(), here: host.name.clone() });
        }
        if self.machine != machine_digest(host) {
            return Err(PlanFileError::Machine { host: host.name.clone() });
        }
        if self.boot != boot_digest(host) {
            return Err(PlanFileError::Boot);
        }
        let early = TimeDelta::seconds(PLAN_EARLY_SECONDS);
        if now.checked_add_signed(early).is_none_or(|latest| self.created > latest) {
            return Err(PlanFileError::Future { created: self.created, now });
        }
        // How long it holds is part of its id; more than that no plan is given.
        let valid = TimeDelta::seconds(PLAN_VALID_SECONDS_MAX);
        let expires = self.created.checked_add_signed(valid).unwrap_or(self.created);
        let expires = expires.min(self.expires);
        if now > expires {
            return Err(PlanFileError::Expired { expires, now });
        }
        Ok(())
    }

    /// For how many seconds it may be applied, by what it says.
    #[must_use]
    pub fn valid_for(&self) -> i64 {
        self.expires.signed_duration_since(self.created).num_seconds()
    }

    /// The first directory that is another one in `now`: on another device or mount, or another
    /// inode.
    #[must_use]
    pub fn moved_dir(&self, now: &Self) -> Option<&DirJson> {
        self.dirs.iter().find(|was| {
            let mut is = now.dirs.iter();
            is.any(|is| (&is.path, &is.path_b64) == (&was.path, &was.path_b64) && is != *was)
        })
    }

    /// The first step that is in both and has a file that is not what it was: its index, and how.
    #[must_use]
    pub fn changed_file(&self, now: &Self) -> Option<(usize, FileChange)> {
        let pairs = self.steps.iter().zip(&now.steps).enumerate();
        let mut changes = pairs.filter(|(_, (was, is))| was.does_the_same(is)).filter_map(
            |(index, (was, is))| {
                let (was, is) = (was.seen.as_deref()?, is.seen.as_deref()?);
                let file = |seen: &str| seen.split('-').next().map(str::to_owned);
                let is_other = file(was) != file(is);
                let how = if is_other { FileChange::Replaced } else { FileChange::Changed };
                (was != is).then_some((index, how))
            },
        );
        changes.next()
    }

    /// The first step in which this plan and `now`, made from the disk as it is, differ:
    /// its index, and the step on both sides. `None` if they do the same.
    #[must_use]
    pub fn differs_from<'a>(&'a self, now: &'a Self) -> Option<Difference<'a>> {
        let longest = self.steps.len().max(now.steps.len());
        (0..longest)
            .map(|index| Difference { index, was: self.steps.get(index), is: now.steps.get(index) })
            .find(|d| match (d.was, d.is) {
                (Some(was), Some(is)) => !was.does_the_same(is),
                _ => true,
            })
    }
}

/// How the file of a step differs from what was seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// Another file has its name.
    Replaced,
    /// It was written to, or its times or links are others; or a log that is to be cut was cut.
    Changed,
}

/// A step in which two plans differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference<'a> {
    /// Which step, from 0.
    pub index: usize,
    /// What the plan file says, if it has that many steps.
    pub was: Option<&'a StepJson>,
    /// What would be done now, if there are that many steps.
    pub is: Option<&'a StepJson>,
}

impl DirJson {
    fn new(dir: &Dir) -> Self {
        let (path, path_b64) = both(&dir.path);
        Self { path, path_b64, dev: dir.id.dev, ino: dir.id.ino, mount: dir.mount }
    }
}

impl SetJson {
    fn new(set: &SetPlan) -> Self {
        Self {
            name: set.name.clone(),
            quota: set.quota,
            used_before: set.used_before,
            used_peak: set.used_peak,
            used_after: set.used_after,
            shortfall: set.shortfall,
            files_before: set.files_before,
            files_after: set.files_after,
            files_shortfall: set.files_shortfall,
            free_before: set.free_before,
            free_after: set.free_after,
        }
    }
}

impl StepJson {
    fn new(plan: &Plan, step: &Step) -> Self {
        let (path, path_b64) = both(&step_path(plan, step));
        let to = match &step.action {
            Action::Create { .. } | Action::MakeDir { .. } => None,
            action => action.target().map(|place| both(&place_path(plan, place))),
        };
        let (to, to_b64) = to.map_or((None, None), |(text, b64)| (Some(text), b64));
        let (mut hook, mut address, mut program) = (None, None, None);
        match &step.action {
            Action::RunHook { hook: which, .. } => hook = Some(which.name().to_owned()),
            Action::Mail { message, .. } => address = Some(message.address.clone()),
            Action::Delete { shred: Some(_), .. } => program = Some("shred".to_owned()),
            Action::Compress { program: Some(by), .. } => {
                program = Some(crate::error::printable(&by.command));
            }
            _ => {}
        }
        Self {
            action: step.action.name().to_owned(),
            set: step.set,
            path,
            path_b64,
            to,
            to_b64,
            hook,
            address,
            program,
            seen: bonds::seen(&step.expect),
            bytes: step.bytes,
            // The reasons are plain data; there is nothing in them that cannot be written.
            reason: serde_json::to_value(&step.reason).unwrap_or_default(),
            used_after: step.used_after,
            only_below: step.only_below.and_then(|below| below.wanted.bytes()),
            only_below_inodes: step.only_below.and_then(|below| below.wanted.inodes()),
        }
    }

    fn does_the_same(&self, other: &Self) -> bool {
        self.action == other.action
            && self.set == other.set
            && self.path == other.path
            && self.path_b64 == other.path_b64
            && self.to == other.to
            && self.to_b64 == other.to_b64
            && self.hook == other.hook
            && self.address == other.address
            && self.program == other.program
            && self.only_below == other.only_below
            && self.only_below_inodes == other.only_below_inodes
    }
}

impl ProblemJson {
    fn new(problem: &Problem) -> Self {
        let (path, path_b64) = both(&problem.path);
        Self { path, path_b64, why: problem.why.clone(), is_error: problem.is_error }
    }
}

/// The path of a place in a plan.
#[must_use]
pub fn place_path(plan: &Plan, place: &Place) -> PathBuf {
    plan.dirs
        .get(&place.dir)
        .map_or_else(|| PathBuf::from(&place.name), |dir| dir.path.join(&place.name))
}

/// What a step acts on; for a script, what it is told.
#[must_use]
pub fn step_path(plan: &Plan, step: &Step) -> PathBuf {
    match &step.action {
        Action::RunHook { args, .. } => args.first().map(PathBuf::from).unwrap_or_default(),
        action => action.place().map(|place| place_path(plan, place)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
