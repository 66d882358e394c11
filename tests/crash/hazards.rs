//! Space: quotas, full disks, room for what is being made.

use logquota::apply::Outcome;
use logquota::fs::sim::{Content, SimDisk, SimFs, SimOp};
use logquota::policy::NewFile;
use logquota::{Bytes, Codec, Config, Policy, SetSpec};
use logquota_tests::sandbox::{Machine, NOON};
use logquota_tests::workloads::{ALL, gzip, noise, text};

/// Due at so many bytes, archives compressed, a new log made.
pub(crate) fn policy(size: u64) -> Policy {
    let mut policy = Policy::default().rotate_at(Bytes::new(size)).keep_count(100);
    policy.create = Some(NewFile { mode: Some(0o640), uid: Some(0), gid: Some(4) });
    policy.if_empty = false;
    policy.compress(Codec::Gzip)
}

pub(crate) fn machine(policy: Policy) -> Machine {
    Machine::new(Config::single(SetSpec::pattern("/d/*.log", policy)))
}

pub(crate) fn disk(shape: SimDisk) -> SimFs {
    let fs = SimFs::new(shape);
    fs.set_time(NOON);
    fs.mkdir("/d").unwrap();
    fs
}

fn no_temporaries(fs: &SimFs) {
    for path in fs.snapshot().keys() {
        assert!(!path.to_string_lossy().ends_with(".tmp"), "{}", path.display());
    }
}

#[test]
fn h42_what_does_not_compress_and_has_no_room_stays_plain() {
    let fs = disk(SimDisk::default());
    fs.put("/d/app.log", noise(1, 4096), NOON - 10).unwrap();
    fs.put("/d/app.log.1", noise(2, 4096), NOON - 90).unwrap();
    let quota = Bytes::new(8192);
    fs.assert_used_at_most(quota);
    machine(policy(4096).quota(quota)).settle(&fs, 3).unwrap();
    assert_eq!(fs.exceeded(), None);
    assert_eq!(fs.content("/d/app.log.1").unwrap(), bytes(noise(1, 4096)));
    assert_eq!(fs.content("/d/app.log.2").unwrap(), bytes(noise(2, 4096)));
    no_temporaries(&fs);
}

fn bytes(content: Content) -> Vec<u8> {
    match content {
        Content::Bytes(bytes) => bytes,
        _ => Vec::new(),
    }
}

#[test]
fn h42_compression_makes_room_for_the_next_one() {
    let fs = disk(SimDisk::default());
    fs.put("/d/app.log", Content::Bytes(Vec::new()), NOON - 10).unwrap();
    for n in 1..=4 {
        fs.put(format!("/d/app.log.{n}"), text(&n.to_string(), 4096), NOON - n).unwrap();
    }
    // Room for the result of one, at worst, beside all that is there.
    let quota = Bytes::new(4 * 4096 + 6 * 1024);
    fs.assert_used_at_most(quota);
    machine(policy(4096).quota(quota)).settle(&fs, 3).unwrap();
    assert_eq!(fs.exceeded(), None);
    for n in 1..=4 {
        assert!(fs.exists(format!("/d/app.log.{n}.gz")), "{n}");
    }
}

#[test]
fn h51_temporaries_count_and_the_quota_holds_at_every_call() {
    let mut limited = 0;
    for (name, make) in ALL {
        for seed in 300..320 {
            let mut workload = make(seed);
            let inventory = workload.machine.scan(&workload.fs).unwrap();
            let bound = workload.machine.bound(&workload.fs, &inventory);
            if bound == Bytes::MAX {
                continue;
            }
            limited += 1;
            workload.fs.forget();
            workload.machine.run(&workload.fs).unwrap();
            let peak = workload.fs.peak_used();
            assert!(peak <= bound, "{name} {seed}: {peak} of {bound}");
        }
    }
    assert!(limited > 60, "{limited}");
}

#[test]
fn h33_a_quota_of_an_eighth_takes_the_oldest_and_leaves_the_log() {
    let fs = disk(SimDisk::default());
    fs.put("/d/app.log", text("now", 1000), NOON - 1).unwrap();
    for n in 1..=63_i64 {
        fs.put(format!("/d/app.log.{n}"), noise(n.unsigned_abs(), 16_384), NOON - n * 100).unwrap();
    }
    let quota = Bytes::new(fs.usage().files.get() / 8);
    let start = fs.usage().files;
    let ran = machine(policy(1 << 20).quota(quota)).run(&fs).unwrap();
    assert!(fs.usage().files <= quota);
    assert!(fs.peak_used() <= start);
    assert!(ran.report.is_complete(), "{}", ran.story());
    assert!(ran.plan.sets.iter().all(|set| set.shortfall == Bytes::ZERO));
    let names = fs.snapshot();
    let kept: Vec<i64> = (1..=63)
        .filter(|n| {
            names.contains_key(format!("/d/app.log.{n}").as_ref() as &std::path::Path)
                || names.contains_key(format!("/d/app.log.{n}.gz").as_ref() as &std::path::Path)
        })
        .collect();
    let newest: Vec<i64> = (1..).take(kept.len()).collect();
    assert_eq!(kept, newest, "the newest stay, without gaps");
    assert_eq!(kept.len(), 7);
    assert_eq!(fs.content("/d/app.log").unwrap(), bytes(text("now", 1000)));
}

#[test]
fn h41_a_full_quota_of_the_file_system_is_relieved_by_unlinking_first() {
    let fs = disk(SimDisk { capacity: Bytes::kib(64), copy_on_write: true, ..SimDisk::default() });
    fs.put("/d/app.log", text("now", 3000), NOON - 1).unwrap();
    for n in 1..=8_i64 {
        fs.put(format!("/d/app.log.{n}"), noise(n.unsigned_abs(), 4096), NOON - n * 100).unwrap();
    }
    fs.fill_disk("/film").unwrap();
    assert_eq!(fs.free(), Bytes::ZERO);
    let ran = machine(policy(2048).quota(Bytes::kib(16))).run(&fs).unwrap();
    assert!(ran.report.is_complete(), "{}", ran.story());
    let film = fs.meta("/film").unwrap().stamp.allocated;
    assert!(fs.usage().files.minus(film) <= Bytes::kib(16));
    let log = fs.log();
    let first = log.iter().find(|call| call.op.is_mutating()).map(|call| call.op);
    assert_eq!(first, Some(SimOp::Remove));
    assert!(log.iter().all(|call| call.op != SimOp::Truncate));
}

#[test]
fn h49_rotating_on_a_full_disk_makes_no_empty_archive() {
    let fs = disk(SimDisk { capacity: Bytes::kib(16), inodes: 64, ..SimDisk::default() });
    fs.fill_disk("/film").unwrap();
    let mut machine = machine(policy(512).quota(Bytes::kib(4)));
    for round in 0..200 {
        // Nothing fits, and now and then the application makes its log anew.
        let _ = fs.append("/d/app.log", b"a record that finds no room");
        machine.force = round % 2 == 0;
        machine.now += chrono::TimeDelta::hours(7);
        machine.run(&fs).unwrap();
        for (path, entry) in fs.snapshot() {
            let is_archive = path.to_string_lossy().contains("app.log.");
            assert!(!is_archive || !entry.is_empty(), "{} in round {round}", path.display());
        }
    }
}

#[test]
fn h49_an_empty_log_is_not_rotated_for_the_quota() {
    let fs = disk(SimDisk::default());
    fs.put("/d/app.log", Content::Reserved(8192), NOON).unwrap();
    let mut policy = policy(512).quota(Bytes::kib(4));
    policy.if_empty = true;
    machine(policy).run(&fs).unwrap();
    assert!(!fs.exists("/d/app.log.1") && !fs.exists("/d/app.log.1.gz"));
}

#[test]
fn h18_a_copy_that_unpacks_to_a_gibibyte_is_read_no_further_than_its_original() {
    let fs = disk(SimDisk::default());
    let zeros = vec![0; 16 << 20];
    let bomb = gzip(&zeros).repeat(64);
    fs.put("/d/app.log", text("now", 100), NOON).unwrap();
    fs.put("/d/app.log.1", Content::Bytes(vec![0; 100_000]), NOON - 50).unwrap();
    fs.put("/d/app.log.1.gz", bomb.clone(), NOON - 50).unwrap();
    let ran = machine(policy(4096)).run(&fs).unwrap();
    assert!(
        ran.report.outcomes.iter().any(|o| matches!(o, Outcome::Skipped(_))),
        "{}",
        ran.story()
    );
    assert_eq!(fs.content("/d/app.log.1").unwrap(), vec![0; 100_000]);
    assert_eq!(fs.content("/d/app.log.1.gz").unwrap(), bomb);
    let path: &std::path::Path = "/d/app.log.1.gz".as_ref();
    let log = fs.log();
    let reads = log.iter().filter(|call| call.op == SimOp::Read && call.path == path);
    let furthest = reads.map(|call| call.at).max().unwrap_or(0);
    assert!(furthest < 256 << 10, "read {furthest} of {} bytes", bomb.len());
}
