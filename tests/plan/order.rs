//! The order of steps: what has room and an inode when its turn comes, and what waits for what.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, TimeDelta};
use logquota::inventory::{Archive, Dir, DirId, Inventory, Log, Set, Space};
use logquota::plan::{Action, Context, Host, Plan, Purpose, Step, check, plan};
use logquota::policy::{
    Codec, Config, Limits, Mail, MailWhen, Method, NewFile, Policy, RotateWhen, SetSpec,
};
use logquota::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use logquota::units::Bytes;
use logquota_tests::show::show;

const DIR: DirId = DirId(1);

fn now() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-11-21T18:41:36Z").expect("a time")
}

fn meta(ino: u64, kib: u64) -> Meta {
    let time = Timestamp { secs: now().timestamp() - 30, nanos: 0 };
    let stamp = Stamp {
        id: FileId { dev: 1, ino, btime: None },
        len: kib * 1024,
        allocated: Bytes::kib(kib),
        mtime: time,
        ctime: time,
        nlink: 1,
    };
    Meta { stamp, accessed: stamp.mtime, kind: Kind::File, mode: 0o640, uid: 0, gid: 0, mount: 1 }
}

fn log(name: &str, active: Meta, archives: Vec<Archive>) -> Log {
    Log {
        dir: DIR,
        name: name.into(),
        active: Some(active),
        archive_dir: DIR,
        archives,
        leftovers: Vec::new(),
        obstacles: Vec::new(),
        blocked: None,
        is_held: false,
        oldest: None,
        last_rotated: Some((now() - TimeDelta::days(3)).naive_local()),
    }
}

/// All that is due, of sets on one disk with so many free bytes and inodes.
fn planned(sets: Vec<(Policy, Vec<Log>)>, room: (Bytes, u64)) -> Plan {
    planned_within(Limits::default(), sets, room)
}

/// The same with limits over all of them.
fn planned_within(
    global: Limits,
    sets: Vec<(Policy, Vec<Log>)>,
    (free, inodes): (Bytes, u64),
) -> Plan {
    let space = Space {
        total: Bytes::gib(1),
        free,
        free_files: Some(inodes),
        total_files: Some(100),
        block: Bytes::kib(4),
    };
    let dir = Dir {
        path: "/var/log".into(),
        id: FileId { dev: 1, ino: 1, btime: None },
        mount: 1,
        missing: None,
    };
    let (mut specs, mut found) = (Vec::new(), Vec::new());
    for (policy, logs) in sets {
        specs.push(SetSpec::pattern("/var/log/*.log", policy));
        found.push(Set { logs, overhead: Bytes::ZERO, space, dev: 1 });
    }
    let dirs = BTreeMap::from([(DIR, dir)]);
    let mut inventory = Inventory { dirs, sets: found, ballasts: Vec::new(), notes: Vec::new() };
    inventory.normalize();
    let config = Config { sets: specs, global, ..Config::default() };
    let context =
        Context { now: now(), host: Host::default(), force: false, purpose: Purpose::Routine };
    let plan = plan(&inventory, &config, &context);
    let found = check(&inventory, &config, &plan);
    assert!(found.is_empty(), "{found:#?}\n{}", show(&plan));
    plan
}

fn archive(policy: &Policy, log: &str, name: &str, meta: &Meta) -> Archive {
    let parsed = policy.naming.parse(log.as_ref(), name.as_ref()).expect("an archive");
    Archive::new(name.as_ref(), parsed, meta)
}

fn count(plan: &Plan, name: &str) -> usize {
    plan.steps.iter().filter(|step| step.action.name() == name).count()
}

/// Due when it has content.
fn due() -> Policy {
    Policy::default().keep_count(9).rotate_when(RotateWhen::Size(Bytes::new(1)))
}

/// Where a script is asked before a plain archive goes, that goes after its compressed copy is
/// there: an inode and the room of both are needed meanwhile, and nothing is left over.
fn with_script() -> (Policy, Vec<Log>) {
    let mut policy = due().compress(Codec::Gzip);
    policy.scripts.pre_remove = Some("true".into());
    let old = archive(&policy, "a.log", "a.log.1", &meta(102, 8));
    (policy, vec![log("a.log", meta(101, 0), vec![old])])
}

#[test]
fn a_plain_archive_gives_no_inode_that_its_compressed_copy_has_not_taken() {
    for (inodes, packed) in [(1, 0), (2, 2)] {
        let mut policy = due().compress(Codec::Gzip);
        policy.create = Some(NewFile::default());
        let old = archive(&policy, "b.log", "b.log.1", &meta(202, 8));
        let logs = vec![log("b.log", meta(201, 8), vec![old])];
        let plan = planned(vec![with_script(), (policy, logs)], (Bytes::mib(1), inodes));
        let in_set = |set: usize| {
            let of = plan.steps.iter().filter(|step| step.set == set);
            of.filter(|step| step.action.name() == "compress").count()
        };
        assert_eq!(in_set(0), 1, "{}", show(&plan));
        assert_eq!(in_set(1), packed, "{inodes}\n{}", show(&plan));
    }
}

#[test]
fn a_plain_archive_gives_no_room_that_its_compressed_copy_has_not_taken() {
    for (free, copies) in [(12, 0), (16, 1)] {
        let mut policy = due();
        policy.method = Method::CopyTruncate;
        let logs = vec![log("b.log", meta(201, 16), Vec::new())];
        let plan = planned(vec![with_script(), (policy, logs)], (Bytes::kib(free), 50));
        assert_eq!(count(&plan, "compress"), 1, "{}", show(&plan));
        assert_eq!(count(&plan, "copy"), copies, "{free}\n{}", show(&plan));
    }
}

/// The last trace of a log that is missing: it waits for the log and for its mail.
#[test]
fn the_last_trace_of_a_log_goes_when_the_log_is_there_and_it_is_mailed() {
    let mut policy = due();
    policy.create = Some(NewFile::default());
    policy.max_age_days = Some(1);
    policy.mail = Some(Mail {
        address: "root".to_owned(),
        when: MailWhen::Last,
        unpack: Mail::UNPACK.into(),
    });
    let mut old = meta(102, 8);
    old.stamp.mtime.secs -= 3 * 86_400;
    let mut missing = log("a.log", meta(101, 0), vec![archive(&policy, "a.log", "a.log.1", &old)]);
    missing.active = None;
    let plan = planned(vec![(policy, vec![missing])], (Bytes::mib(1), 50));
    let names: Vec<_> = plan.steps.iter().map(|step| step.action.name()).collect();
    assert_eq!(names, ["create", "mail", "delete"], "{}", show(&plan));
    assert_eq!(plan.steps[2].needs, [0, 1]);
}

/// What a program has made cannot be compared: it is no copy that tells that the plain one is
/// not needed.
#[test]
fn of_two_compressed_archives_the_one_that_can_be_compared_is_the_copy() {
    let policy = due().compress(Codec::Gzip);
    let names = ["a.log.1", "a.log.1.bz2", "a.log.1.gz"].into_iter().zip(102..);
    let archives = names.map(|(name, ino)| archive(&policy, "a.log", name, &meta(ino, 8)));
    let logs = vec![log("a.log", meta(101, 0), archives.collect())];
    let plan = planned(vec![(policy.clone(), logs)], (Bytes::mib(1), 50));
    let [Step { action: Action::Delete { at, same_as: Some(copy), .. }, .. }] = &plan.steps[..]
    else {
        panic!("{}", show(&plan));
    };
    assert_eq!((at.name.to_str(), copy.name.to_str()), (Some("a.log.1"), Some("a.log.1.gz")));
}

/// Two copies take the one inode that an archive too many gives back, each until its source,
/// the second of which is empty, has gone: there is one for a compression again.
#[test]
fn an_empty_log_that_was_copied_gives_its_inode_back() {
    let mut policy =
        Policy::default().rotate_when(RotateWhen::Daily).keep_count(1).compress(Codec::Gzip);
    policy.method = Method::RenameCopy;
    let parsed = policy.naming.parse("a.log".as_ref(), "a.log.1.gz".as_ref()).expect("an archive");
    let old = Archive::new("a.log.1.gz".as_ref(), parsed, &meta(102, 4));
    let logs = vec![log("a.log", meta(101, 160), vec![old]), log("b.log", meta(103, 0), vec![])];
    let plan = planned(vec![(policy, logs)], (Bytes::mib(512), 0));
    assert_eq!((count(&plan, "copy"), count(&plan, "compress")), (2, 1), "{}", show(&plan));
}

/// The log is over its quota and stays; were it rotated, that would need an inode. Whether there is
/// one is nothing that another log's archive goes for.
#[test]
fn no_archive_goes_for_the_inode_of_a_rotation_that_is_taken_back() {
    for common in [false, true] {
        let mut policy = Policy::default().keep_count(9).rotate_when(RotateWhen::Never);
        policy.create = Some(NewFile::default());
        let quota = Limits { quota: Some(Bytes::kib(200)), ..Limits::default() };
        if !common {
            policy.limits = quota;
        }
        let old = archive(&policy, "b.log", "b.log.1", &meta(202, 20));
        let large = log("a.log", meta(101, 300), Vec::new());
        let logs = vec![large, log("b.log", meta(201, 20), vec![old])];
        let global = if common { quota } else { Limits::default() };
        let plan = planned_within(global, vec![(policy, logs)], (Bytes::mib(512), 0));
        assert_eq!(plan.steps, [], "{common}: {}", show(&plan));
        assert_eq!(plan.sets[0].shortfall, Bytes::kib(140), "{common}");
    }
}
