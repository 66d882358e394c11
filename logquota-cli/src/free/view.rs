//! What is shown of a plan to free space, besides the plan itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use chrono::{DateTime, FixedOffset};
use logquota::Bytes;
use logquota::fs::os::OpenDeletedFiles;
use logquota::inventory::{Ballast, Space};
use logquota::plan::guard::{Exceeded, loses};
use logquota::plan::{Action, Goal, KEPT_MIN, Plan, Reason, Step, Verdict, Wanted, Why};
use logquota::scan::Foreign;
use logquota::stamp;

use crate::session::Session;

/// So many files that are not ours are named.
pub(crate) const FOREIGN_MAX: usize = 10;

/// Everything that is shown.
pub(crate) struct View<'a> {
    pub(crate) session: &'a Session,
    pub(crate) plan: &'a Plan,
    pub(crate) goal: Goal,
    pub(crate) exceeded: &'a [Exceeded],
    pub(crate) foreign: &'a Foreign,
    pub(crate) held: OpenDeletedFiles,
    /// What `--apply` takes.
    pub(crate) id: String,
    /// The command that does it.
    pub(crate) words: Vec<OsString>,
    /// Until when it holds.
    pub(crate) expires: DateTime<FixedOffset>,
    /// What would be done if logs in use might be cut, where that was not asked for.
    pub(crate) with_cuts: Option<Plan>,
}

/// In which order things give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Ballast,
    Leftover,
    Expired,
    Compress,
    InPlace,
    Evict,
    Cut,
}

/// Why a log is not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spared {
    /// Somebody holds it who has a quota for it.
    Held,
    /// It has several names.
    Linked,
}

impl Spared {
    /// The stable name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Linked => "names",
        }
    }
}

/// What one log gives of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) files: usize,
    pub(crate) bytes: Bytes,
    /// How many archives the log has.
    pub(crate) of: usize,
    /// What its active file occupies.
    pub(crate) active: Bytes,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Ballast,
        Self::Leftover,
        Self::Expired,
        Self::Compress,
        Self::InPlace,
        Self::Evict,
        Self::Cut,
    ];

    /// None for what only belongs to another step.
    pub(crate) fn of(step: &Step) -> Option<Self> {
        match (&step.action, &step.reason) {
            (Action::RunHook { .. }, _) | (Action::Delete { .. }, Reason::Compressed) => None,
            (Action::ReleaseBallast { .. }, _) => Some(Self::Ballast),
            (Action::Compress { .. }, _) => Some(Self::Compress),
            (Action::Squeeze { .. }, _) => Some(Self::InPlace),
            (Action::Trim { .. }, _) => Some(Self::Cut),
            (_, Reason::Leftover | Reason::Duplicate) => Some(Self::Leftover),
            (_, Reason::Reserve { .. } | Reason::Inodes { .. }) => Some(Self::Evict),
            _ => Some(Self::Expired),
        }
    }
}

pub(super) fn shortfall(plan: &Plan) -> Bytes {
    plan.sets.iter().map(|set| set.shortfall).max().unwrap_or_default()
}

impl View<'_> {
    /// What there is on the file system.
    pub(crate) fn space(&self) -> Space {
        super::free_before(self.session, self.goal)
    }

    /// Whether no file can be made there, however much is free.
    pub(crate) fn has_no_inode(&self) -> bool {
        self.space().free_files == Some(0)
    }

    /// The most that is needed beside what is compressed in place.
    pub(crate) fn piece(&self) -> Bytes {
        let rooms = self.plan.steps.iter().filter_map(|step| match &step.action {
            Action::Squeeze { room, .. } => Some(*room),
            _ => None,
        });
        rooms.max().unwrap_or_default()
    }

    /// Whether an archive goes before any is compressed.
    pub(crate) fn evicts_first(&self) -> bool {
        let kinds = || self.plan.steps.iter().filter_map(Kind::of);
        let first = kinds().find(|kind| *kind >= Kind::Compress);
        first == Some(Kind::Evict) && kinds().any(|kind| kind == Kind::InPlace)
    }

    /// A folder on the file system.
    pub(crate) fn place(&self) -> PathBuf {
        let inventory = &self.session.inventory;
        let dir = inventory.dirs.values().find(|dir| dir.id.dev == self.goal.dev);
        if let Some(dir) = dir {
            return dir.path.clone();
        }
        let mut sets = inventory.sets.iter().zip(&self.plan.sets);
        let set = sets.find(|(set, _)| set.dev == self.goal.dev);
        set.map(|(_, sums)| PathBuf::from(&sums.name)).unwrap_or_default()
    }

    /// What is used on the file system besides the logs and what lies beside them.
    pub(crate) fn elsewhere(&self) -> Bytes {
        let Space { free, total, .. } = self.space();
        let sets = self.session.inventory.sets.iter().filter(|set| set.dev == self.goal.dev);
        let ours: Bytes = sets.map(logquota::inventory::Set::used).sum();
        let ballasts = self.session.inventory.ballasts.iter();
        let kept: Bytes =
            ballasts.filter(|ballast| ballast.dev == self.goal.dev).map(Ballast::kept).sum();
        total.minus(free).minus(ours).minus(kept).minus(self.foreign.bytes)
    }

    /// Free in the end, at least.
    pub(crate) fn free_after(&self) -> Wanted {
        let stops = self.plan.steps.iter().any(|step| step.only_below.is_some());
        let mut sets = self.session.inventory.sets.iter().zip(&self.plan.sets);
        let sums = sets.find(|(set, _)| set.dev == self.goal.dev).map(|(_, sums)| sums);
        match self.goal.wanted {
            Wanted::Bytes(wanted) => {
                let after = sums.map_or(Bytes::ZERO, |sums| sums.free_after);
                // Evictions stop there.
                Wanted::Bytes(if stops { after.min(wanted) } else { after })
            }
            Wanted::Inodes(wanted) => {
                let free = self.space().free_files.unwrap_or(u64::MAX);
                let gone = self.plan.steps.iter().filter(|step| loses(step)).count();
                let after = free.saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
                Wanted::Inodes(if stops { after.min(wanted) } else { after })
            }
        }
    }

    pub(crate) fn shortfall(&self) -> Wanted {
        let sets = || self.plan.sets.iter();
        match self.goal.wanted {
            Wanted::Bytes(_) => {
                Wanted::Bytes(sets().map(|set| set.shortfall).max().unwrap_or_default())
            }
            Wanted::Inodes(_) => {
                Wanted::Inodes(sets().map(|set| set.files_shortfall).max().unwrap_or_default())
            }
        }
    }

    pub(crate) fn is_short(&self) -> bool {
        !matches!(self.shortfall(), Wanted::Bytes(Bytes::ZERO) | Wanted::Inodes(0))
    }

    /// The logs that give something of this kind, by path.
    pub(crate) fn parts(&self, kind: Kind) -> BTreeMap<PathBuf, Part> {
        self.parts_of(self.plan, kind)
    }

    /// What logs in use could give, where that was not asked for, and what would be missing then.
    pub(crate) fn could_cut(&self) -> Option<(BTreeMap<PathBuf, Part>, Bytes)> {
        let plan = self.with_cuts.as_ref()?;
        let parts = self.parts_of(plan, Kind::Cut);
        (!parts.is_empty()).then(|| (parts, shortfall(plan)))
    }

    /// Logs in use that are too long to be spared and are not cut, the largest first: where logs
    /// are cut, or would be if that was asked for.
    pub(crate) fn spared(&self) -> Vec<(Spared, Bytes, PathBuf)> {
        let is_cut = !self.parts(Kind::Cut).is_empty();
        let is_told = is_cut || self.with_cuts.is_some() || self.goal.cuts_logs && self.is_short();
        if !is_told || self.goal.wanted.bytes().is_none() {
            return Vec::new();
        }
        let inventory = &self.session.inventory;
        let sets = inventory.sets.iter().filter(|set| set.dev == self.goal.dev);
        let spared = sets.flat_map(|set| &set.logs).filter_map(|log| {
            let stamp = log.active.filter(|active| active.kind == stamp::Kind::File)?.stamp;
            let why = if log.is_held { Spared::Held } else { Spared::Linked };
            let is_spared = stamp.allocated > KEPT_MIN && (log.is_held || stamp.nlink > 1);
            is_spared.then(|| (why, stamp.allocated, inventory.path(log.dir, &log.name)))
        });
        let mut spared: Vec<_> = spared.collect();
        spared.sort_by(|(_, a, one), (_, b, other)| b.cmp(a).then_with(|| one.cmp(other)));
        spared
    }

    /// Archives there that stay although there is too little, by why: how many, and their bytes.
    pub(crate) fn kept(&self) -> BTreeMap<&'static str, (usize, Bytes)> {
        let mut kept = BTreeMap::new();
        if !self.is_short() {
            return kept;
        }
        let sets = &self.session.inventory.sets;
        for given in &self.plan.verdicts {
            let Some(log) = sets.get(given.set).and_then(|set| set.logs.get(given.log)) else {
                continue;
            };
            let spec = self.session.config.sets.get(given.set);
            let is_faulty = spec.is_some_and(|spec| spec.policy.is_left_alone());
            let is_apart = log.stamps().any(|stamp| stamp.id.dev != self.goal.dev);
            for (archive, verdict) in log.archives.iter().zip(given.verdicts.iter()) {
                let stamp = archive.stamp();
                let Verdict::Keep(why) = verdict else { continue };
                if stamp.id.dev != self.goal.dev || stamp.allocated == Bytes::ZERO {
                    continue;
                }
                let why = match why {
                    Why::NoFile => continue,
                    _ if is_faulty => "of blocks of the configuration that have errors",
                    Why::HardLinked => "with several names: to delete one frees nothing",
                    Why::Blocked => "of logs that are left alone; -v says why",
                    _ if is_apart => "of logs that are on another file system, too",
                    _ if log.active.is_none() => {
                        "the newest of a log that is missing: its writer may have it open"
                    }
                    _ => "others",
                };
                let (files, bytes): &mut (usize, Bytes) = kept.entry(why).or_default();
                (*files, *bytes) = (files.saturating_add(1), bytes.plus(stamp.allocated));
            }
        }
        kept
    }

    fn parts_of(&self, plan: &Plan, kind: Kind) -> BTreeMap<PathBuf, Part> {
        let mut parts: BTreeMap<PathBuf, Part> = BTreeMap::new();
        for step in plan.steps.iter().filter(|step| Kind::of(step) == Some(kind)) {
            if let (Kind::Ballast, Some(at)) = (kind, step.action.place()) {
                let path = self.session.inventory.path(at.dir, &at.name);
                let part = Part { files: 1, bytes: step.bytes, of: 1, ..Part::default() };
                parts.insert(path, part);
                continue;
            }
            let set = self.session.inventory.sets.get(step.set);
            let Some(log) = set.zip(step.log).and_then(|(set, log)| set.logs.get(log)) else {
                continue;
            };
            let part = parts.entry(self.session.inventory.path(log.dir, &log.name)).or_default();
            part.files = part.files.saturating_add(1);
            part.bytes = part.bytes.plus(step.bytes);
            part.of = log.archives.len();
            part.active = log.active.map_or(Bytes::ZERO, |active| active.stamp.allocated);
        }
        parts
    }

    /// The active files there, which are never deleted: how many, their bytes, and the largest.
    pub(crate) fn active(&self, most: usize) -> (usize, Bytes, Vec<(Bytes, PathBuf)>) {
        let inventory = &self.session.inventory;
        let sets = inventory.sets.iter().filter(|set| set.dev == self.goal.dev);
        let (mut files, mut sum) = (0usize, Bytes::ZERO);
        let mut largest: Vec<(Reverse<Bytes>, PathBuf)> = Vec::new();
        for log in sets.flat_map(|set| &set.logs) {
            let Some(active) = &log.active else { continue };
            let bytes = active.stamp.allocated;
            (files, sum) = (files.saturating_add(1), sum.plus(bytes));
            let file = (Reverse(bytes), inventory.path(log.dir, &log.name));
            let place = largest.partition_point(|other| *other < file);
            if place < most {
                largest.insert(place, file);
                largest.truncate(most);
            }
        }
        let largest = largest.into_iter().map(|(Reverse(bytes), path)| (bytes, path));
        (files, sum, largest.collect())
    }
}
