//! A file system without a free inode.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use logquota::inventory::{Archive, Dir, DirId, Inventory, Log, Set, Space};
use logquota::plan::{Action, Context, Host, Purpose, plan};
use logquota::policy::{Codec, Config, Method, Policy, RotateWhen, SetSpec};
use logquota::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use logquota::units::Bytes;

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
        last_rotated: None,
    }
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
    let space = Space {
        total: Bytes::gib(1),
        free: Bytes::mib(512),
        free_files: Some(0),
        total_files: Some(100),
        block: Bytes::kib(4),
    };
    let dir = Dir {
        path: "/var/log".into(),
        id: FileId { dev: 1, ino: 1, btime: None },
        mount: 1,
        missing: None,
    };
    let inventory = Inventory {
        dirs: BTreeMap::from([(DIR, dir)]),
        sets: vec![Set { logs, overhead: Bytes::ZERO, space, dev: 1 }],
        ballasts: Vec::new(),
        notes: Vec::new(),
    };
    let config = Config::single(SetSpec::pattern("/var/log/*.log", policy));
    let context =
        Context { now: now(), host: Host::default(), force: true, purpose: Purpose::Routine };
    let plan = plan(&inventory, &config, &context);
    let count = |is: fn(&Action) -> bool| plan.steps.iter().filter(|s| is(&s.action)).count();
    assert_eq!(count(|action| matches!(action, Action::Copy { .. })), 2, "{plan:?}");
    assert_eq!(count(|action| matches!(action, Action::Compress { .. })), 1, "{plan:?}");
}
