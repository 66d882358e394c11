//! Plans made by hand, step by step.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use chrono::DateTime;

use super::{Violation, check};
use crate::inventory::Inventory;
use crate::inventory::{Archive, Dir, DirId, Log, Place, Set, Space};
use crate::naming::{Naming, temporary_name};
use crate::plan::Plan;
use crate::plan::{Action, Expect, Host, LogVerdicts, Reason, SetPlan, Step, Why};
use crate::policy::Config;
use crate::policy::{Codec, Count, Method, Policy, SetSpec};
use crate::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use crate::units::{Bytes, Generation};

mod in_place;
mod promises;
mod trims;

const NOW: i64 = 1_800_000_000;
const DIR: DirId = DirId(1);

fn dirs() -> BTreeMap<DirId, Dir> {
    let id = FileId { dev: 1, ino: 1, btime: None };
    [(DIR, Dir { path: "/var/log".into(), id, mount: 1, missing: None })].into()
}

fn meta(ino: u64, kib: u64) -> Meta {
    let time = Timestamp { secs: NOW - 100, nanos: 0 };
    let stamp = Stamp {
        id: FileId { dev: 1, ino, btime: None },
        len: kib * 1024,
        allocated: Bytes::kib(kib),
        mtime: time,
        ctime: time,
        nlink: 1,
    };
    Meta { stamp, accessed: stamp.mtime, kind: Kind::File, mode: 0o640, uid: 0, gid: 4, mount: 1 }
}

/// A log with an active file and archives `.1`, `.2`, … of so many KiB.
fn log(name: &str, ino: u64, active: u64, archives: &[u64]) -> Log {
    let archives = archives.iter().zip(1..).map(|(kib, n)| {
        let archive = OsString::from(format!("{name}.{n}"));
        let parsed = Naming::numbered(1).parse(OsStr::new(name), &archive).expect("an archive");
        Archive::new(&archive, parsed, &meta(ino + n, *kib))
    });
    Log {
        dir: DIR,
        name: name.into(),
        active: Some(meta(ino, active)),
        archive_dir: DIR,
        archives: archives.collect(),
        leftovers: Vec::new(),
        obstacles: Vec::new(),
        blocked: None,
        is_held: false,
        oldest: None,
        last_rotated: None,
    }
}

/// An inventory, a configuration, and a plan that grows step by step with true sums.
struct Draft {
    inventory: Inventory,
    config: Config,
    plan: Plan,
    /// What was scanned of what has this name by now.
    names: BTreeMap<OsString, Stamp>,
}

fn space() -> Space {
    Space {
        total: Bytes::mib(100),
        free: Bytes::mib(10),
        free_files: Some(1000),
        total_files: Some(2000),
        block: Bytes::kib(4),
    }
}

impl Draft {
    /// One set of these logs.
    fn new(policy: Policy, logs: Vec<Log>) -> Self {
        let set = Set { logs, overhead: Bytes::ZERO, space: space(), dev: 1 };
        let used = set.used();
        let sums = SetPlan {
            name: "set".into(),
            quota: policy.limits.quota,
            used_before: used,
            used_peak: used,
            used_after: used,
            shortfall: Bytes::ZERO,
            files_before: set.files(),
            files_after: set.files(),
            files_shortfall: 0,
            free_before: space().free,
            free_after: space().free,
            run_as: None,
        };
        let kept = |(number, log): (usize, &Log)| {
            let verdicts = log.archives.iter().map(|_| Why::WithinLimits).collect();
            let given = LogVerdicts { set: 0, log: number, verdicts };
            (!log.archives.is_empty()).then_some(given)
        };
        let verdicts = set.logs.iter().enumerate().filter_map(kept);
        let plan = Plan {
            id: String::new(),
            host: Host::default(),
            purpose: crate::plan::Purpose::Routine,
            policy: String::new(),
            created: DateTime::from_timestamp(NOW, 0).expect("a time").fixed_offset(),
            global_quota: None,
            sets: vec![sums],
            steps: Vec::new(),
            due: Vec::new(),
            verdicts: verdicts.collect(),
            problems: Vec::new(),
            unmet: Vec::new(),
            dirs: dirs(),
        };
        let archives = set.logs.iter().flat_map(|log| &log.archives).map(|a| (a.name(), a.meta()));
        let logs =
            set.logs.iter().flat_map(|log| log.active.iter().map(|meta| (&*log.name, *meta)));
        let leftovers = set.logs.iter().flat_map(|log| &log.leftovers);
        let leftovers = leftovers.map(|l| (&*l.place.name, l.meta));
        let all = archives.chain(logs).chain(leftovers);
        let names = all.map(|(name, meta)| (name.to_owned(), meta.stamp)).collect();
        let inventory =
            Inventory { dirs: dirs(), sets: vec![set], ballasts: Vec::new(), notes: Vec::new() };
        let config = Config::single(SetSpec::pattern("/var/log/*.log", policy));
        Self { inventory, config, plan, names }
    }

    fn scanned(&self, name: &str) -> Option<Stamp> {
        self.names.get(OsStr::new(name)).copied()
    }

    /// A step that adds so many KiB to what is used.
    fn step(mut self, action: Action, reason: Reason, added_kib: i64, files: i64) -> Self {
        let name = action.place().map(|place| place.name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let log = self.inventory.sets[0]
            .logs
            .iter()
            .rposition(|log| name.starts_with(log.name.to_str().unwrap_or_default()))
            .unwrap_or(0);
        let sums = &mut self.plan.sets[0];
        let add = |to: Bytes, kib: i64| Bytes::new(to.get().saturating_add_signed(kib * 1024));
        sums.used_after = add(sums.used_after, added_kib);
        sums.used_peak = sums.used_peak.max(sums.used_after);
        sums.free_after = add(sums.free_after, -added_kib);
        sums.files_after = sums.files_after.saturating_add_signed(files);
        let used_after = sums.used_after;
        let scanned = self.names.remove(OsStr::new(&name));
        match &action {
            Action::Rename { to, .. } => self.names.extend(scanned.map(|s| (to.name.clone(), s))),
            Action::Copy { from, .. } => self.names.extend(scanned.map(|s| (from.name.clone(), s))),
            _ => {}
        }
        let expect = scanned.map_or(Expect::Nothing, Expect::Unchanged);
        let needs = Vec::new();
        let bytes = Bytes::ZERO;
        let step = Step {
            set: 0,
            log: Some(log),
            action,
            expect,
            bytes,
            reason,
            used_after,
            needs,
            only_below: None,
        };
        self.plan.steps.push(step);
        self
    }

    /// Deletes an archive and says so in its verdict.
    fn delete(mut self, name: &str, reason: Reason) -> Self {
        let freed = self.scanned(name).map_or(0, |stamp| stamp.freed_by_unlink().get() / 1024);
        let logs = self.inventory.sets.iter().flat_map(|set| &set.logs).enumerate();
        for (number, log) in logs {
            let place = log.archives.iter().position(|archive| archive.name() == name);
            let given = self.plan.verdicts.iter_mut().find(|given| given.log == number);
            if let (Some(place), Some(given)) = (place, given) {
                given.verdicts.remove(place, reason.clone());
            }
        }
        let freed = i64::try_from(freed).expect("small");
        self.step(
            Action::Delete { at: at(name), shred: None, same_as: None, head: None },
            reason,
            -freed,
            -1,
        )
    }

    fn rename(self, from: &str, to: &str, reason: Reason) -> Self {
        self.step(Action::Rename { from: at(from), to: at(to) }, reason, 0, 0)
    }

    fn create(self, name: &str) -> Self {
        let attributes = Box::default();
        self.step(Action::Create { at: at(name), attributes, like: None }, Reason::NewLog, 0, 1)
    }

    fn compress(self, from: &str, to: &str, room_kib: u64) -> Self {
        let compress = Action::Compress {
            from: at(from),
            to: Box::new(at(to)),
            temp: temporary_name(OsStr::new(to)).into(),
            log: Box::new(at("app.log")),
            program: None,
            codec: Codec::Gzip,
            level: None,
            room: Bytes::kib(room_kib),
            keep: false,
        };
        let mut draft = self.step(compress, Reason::Compression { len: Bytes::ZERO }, 0, 0);
        let sums = &mut draft.plan.sets[0];
        let meanwhile = sums.used_after.plus(Bytes::kib(room_kib));
        let bound = sums.quota.unwrap_or(Bytes::MAX).max(sums.used_before);
        sums.used_peak = sums.used_peak.max(meanwhile.min(bound));
        draft
    }

    fn copy(self, from: &str, to: &str, room_kib: u64) -> Self {
        let temp = temporary_name(OsStr::new(to)).into();
        let room = Bytes::kib(room_kib);
        let action = Action::Copy { from: at(from), to: at(to), temp, room, keeps_time: true };
        self.step(action, Reason::Forced, i64::try_from(room_kib).expect("small"), 1)
    }

    fn truncate(self, name: &str, reason: Reason) -> Self {
        let freed = self.scanned(name).map_or(0, |stamp| stamp.allocated.get() / 1024);
        let freed = i64::try_from(freed).expect("small");
        self.step(Action::Truncate { at: at(name), same_as: None }, reason, -freed, 0)
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn check(&self) -> Vec<Violation> {
        check(&self.inventory, &self.config, &self.plan)
    }

    #[track_caller]
    fn passes(self) {
        assert_eq!(self.check(), []);
    }

    /// Exactly this promise is broken, and the message says what.
    #[track_caller]
    fn breaks(self, promise: u8, what: &str) {
        let found = self.check();
        assert!(
            found.iter().any(|v| v.promise == promise && v.what.contains(what)),
            "{promise} `{what}`: {found:#?}"
        );
    }
}

fn at(name: &str) -> Place {
    Place { dir: DIR, name: name.into() }
}

fn quota(kib: u64) -> Policy {
    Policy { count: Count::Unlimited, ..Policy::default() }.quota(Bytes::kib(kib))
}

fn over(used: u64, limit: u64, log_used: u64, share: u64) -> Reason {
    let (used, limit) = (Bytes::kib(used), Bytes::kib(limit));
    Reason::Quota { used, limit, log_used: Bytes::kib(log_used), share: Bytes::kib(share) }
}

fn count(generation: usize, limit: u32) -> Reason {
    Reason::Count { generation: Generation::from_index(generation - 1), limit }
}

/// A rotation as it should be: two archives stay, the third goes.
fn rotation() -> Draft {
    Draft::new(Policy::default().keep_count(2), vec![log("app.log", 10, 40, &[8, 16])])
        .delete("app.log.2", count(3, 2))
        .rename("app.log.1", "app.log.2", Reason::MakeWay)
        .rename("app.log", "app.log.1", Reason::Forced)
        .create("app.log")
}

/// The two oldest of three archives are evicted.
fn eviction() -> Draft {
    Draft::new(quota(60), vec![log("app.log", 10, 40, &[8, 16, 24])])
        .delete("app.log.3", over(88, 60, 88, 60))
        .delete("app.log.2", over(64, 60, 64, 60))
}

/// A log that is copied and emptied.
fn copied() -> Draft {
    let policy = Policy { method: Method::CopyTruncate, ..Policy::default().keep_count(9) };
    Draft::new(policy, vec![log("app.log", 10, 40, &[])])
        .copy("app.log", "app.log.1", 40)
        .truncate("app.log", Reason::Copied)
}

/// Has something else be seen of an archive.
fn see(archive: &mut Archive, change: impl FnOnce(&mut Meta)) {
    let mut meta = archive.meta();
    change(&mut meta);
    *archive = archive.with_meta(&meta);
}
