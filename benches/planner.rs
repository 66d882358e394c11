//! How long deciding takes, without a disk: `plan` and its independent `check` over logs with
//! four archives each. Linear: ten times the logs, ten times the time.

use std::collections::BTreeMap;
use std::ffi::OsString;

use chrono::{DateTime, FixedOffset};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logquota::inventory::{Archive, Dir, DirId, Inventory, Log, Set, Space};
use logquota::plan::{Context, Host, Purpose, check, plan};
use logquota::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use logquota::{Bytes, Codec, Config, Naming, Policy, SetSpec};

const NOON: i64 = 1_795_262_400;

fn meta(ino: u64, len: u64) -> Meta {
    let time = Timestamp { secs: NOON - 3_600, nanos: 0 };
    let id = FileId { dev: 1, ino, btime: Some(time) };
    let allocated = Bytes::new(len).in_blocks(Bytes::kib(4));
    let stamp = Stamp { id, len, allocated, mtime: time, ctime: time, nlink: 1 };
    Meta { stamp, accessed: stamp.mtime, kind: Kind::File, mode: 0o640, uid: 0, gid: 0, mount: 1 }
}

fn inventory(logs: u64) -> Inventory {
    let dir = DirId(0);
    let naming = Naming::numbered(1);
    let log = |n: u64| {
        let name = OsString::from(format!("log{n:07}.log"));
        let archive = |k: u64| {
            let archive = OsString::from(format!("log{n:07}.log.{k}.gz"));
            let parsed = naming.parse(&name, &archive).expect("a name of ours");
            Archive::new(&archive, parsed, &meta(n * 10 + k, 20_000 + n % 977))
        };
        Log {
            dir,
            archive_dir: dir,
            active: Some(meta(n * 10, if n.is_multiple_of(10) { 1 << 20 } else { 2_000 })),
            archives: (1..=4).map(archive).collect(),
            leftovers: Vec::new(),
            obstacles: Vec::new(),
            blocked: None,
            is_held: false,
            oldest: None,
            last_rotated: None,
            name,
        }
    };
    let space = Space {
        total: Bytes::gib(100),
        free: Bytes::gib(50),
        free_files: Some(1 << 20),
        total_files: Some(1 << 21),
        block: Bytes::kib(4),
    };
    let set = Set { logs: (0..logs).map(log).collect(), overhead: Bytes::ZERO, space, dev: 1 };
    let id = FileId { dev: 1, ino: u64::MAX, btime: None };
    let dirs =
        BTreeMap::from([(dir, Dir { path: "/var/log".into(), id, mount: 1, missing: None })]);
    let mut inventory =
        Inventory { dirs, sets: vec![set], ballasts: Vec::new(), notes: Vec::new() };
    inventory.normalize();
    inventory
}

fn benches(c: &mut Criterion) {
    let now = DateTime::from_timestamp(NOON, 0)
        .expect("a time")
        .with_timezone(&FixedOffset::east_opt(3_600).expect("an offset"));
    let context = Context { now, host: Host::default(), force: false, purpose: Purpose::Routine };
    let mut group = c.benchmark_group("decide");
    for logs in [1_000u64, 10_000] {
        let inventory = inventory(logs);
        let used: Bytes = inventory.sets.iter().map(Set::used).sum();
        let policy = Policy::default()
            .rotate_at(Bytes::kib(100))
            .keep_count(4)
            .compress(Codec::Zstd)
            .quota(Bytes::new(used.get() / 2));
        let config = Config::single(SetSpec::pattern("/var/log/*.log", policy));
        group.throughput(Throughput::Elements(logs));
        group.bench_with_input(BenchmarkId::new("plan", logs), &inventory, |b, inventory| {
            b.iter(|| plan(inventory, &config, &context));
        });
        let ready = plan(&inventory, &config, &context);
        group.bench_with_input(BenchmarkId::new("check", logs), &ready, |b, ready| {
            b.iter(|| check(&inventory, &config, ready));
        });
    }
    group.finish();
}

criterion_group! {
    name = decide;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(decide);
