//! What a run leaves alone although a limit is not met with it, and what goes in its place.

use logquota::Bytes;
use logquota::fs::sim::{SimDisk, SimFs};
use logquota::policy::{NewFile, Policy, Reserve, RotateWhen};
use logquota_tests::sandbox::NOON;
use logquota_tests::workloads::noise;

use crate::hazards::{disk, machine};

/// `a` has 300 KiB and is due, `b` is not; each has an archive.
fn two_logs() -> SimFs {
    let fs = disk(SimDisk { capacity: Bytes::mib(1), ..SimDisk::default() });
    for (seed, name, kib) in
        [(1, "a.log", 300), (2, "a.log.1", 300), (3, "b.log", 1), (4, "b.log.1", 290)]
    {
        fs.put(format!("/d/{name}"), noise(seed, kib << 10), NOON - 10 * 86_400).unwrap();
    }
    fs
}

fn policy() -> Policy {
    let mut policy = Policy::default().rotate_when(RotateWhen::Size(Bytes::kib(100))).keep_count(9);
    policy.create = Some(NewFile::default());
    policy
}

#[test]
fn other_archives_go_for_a_reserve_and_not_what_was_just_rotated() {
    let fs = two_logs();
    let rotated = fs.content("/d/a.log").unwrap();
    let mut policy = policy();
    policy.limits.reserve = Some(Reserve::Bytes(Bytes::kib(450)));
    let ran = machine(policy).run(&fs).unwrap();
    assert_eq!(ran.plan.sets[0].shortfall, Bytes::ZERO, "{}", ran.story());
    assert_eq!(fs.content("/d/a.log.1").unwrap(), rotated, "{}", ran.story());
    assert!(fs.content("/d/b.log.1").is_err(), "{}", ran.story());
}

#[test]
fn other_archives_go_for_a_number_of_files_and_not_what_was_just_rotated() {
    let fs = two_logs();
    let rotated = fs.content("/d/a.log").unwrap();
    let mut policy = policy();
    policy.limits.max_files = Some(3);
    let ran = machine(policy).run(&fs).unwrap();
    assert_eq!(ran.plan.sets[0].files_shortfall, 0, "{}", ran.story());
    assert_eq!(fs.content("/d/a.log.1").unwrap(), rotated, "{}", ran.story());
    assert!(fs.content("/d/b.log.1").is_err(), "{}", ran.story());
}

/// A log that is within its share keeps its archives for one that is too long, in each run.
#[test]
fn no_other_log_goes_for_one_that_alone_passes_the_quota() {
    let fs = disk(SimDisk { capacity: Bytes::mib(1), ..SimDisk::default() });
    fs.put("/d/a.log", noise(1, 300 << 10), NOON - 86_400).unwrap();
    for (seed, name) in [(2, "b.log"), (3, "b.log.1"), (4, "b.log.2")] {
        fs.put(format!("/d/{name}"), noise(seed, 20 << 10), NOON - 10 * 86_400).unwrap();
    }
    let policy = policy().rotate_when(RotateWhen::Never).quota(Bytes::kib(200));
    let mut machine = machine(policy);
    for _ in 0..2 {
        let ran = machine.run(&fs).unwrap();
        assert_eq!(ran.plan.steps, [], "{}", ran.story());
        assert_eq!(ran.plan.sets[0].shortfall, Bytes::kib(160), "{}", ran.story());
        assert_eq!(ran.plan.unmet.len(), 1, "{}", ran.story());
    }
}
