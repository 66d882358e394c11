//! Clocks that jump, files from strange times, days of 23 and 25 hours.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{FixedOffset, NaiveDate, TimeDelta};
use logquota::fs::sim::{SimDisk, SimFs};
use logquota::plan::{Action, Plan};
use logquota::policy::RotateWhen;
use logquota::{Bytes, Naming};
use logquota_tests::sandbox::{NOON, at};
use logquota_tests::workloads::{noise, text};

use crate::hazards::{disk, machine, policy};

const DAY: i64 = 86_400;

#[test]
fn h58_an_archive_from_the_future_or_from_1904_is_only_as_old_as_its_name() {
    let strange = [NOON + 3650 * DAY, i64::from(i32::MAX) * 4, 0, -1, -2_082_844_800];
    let fs = disk(SimDisk::default());
    fs.put("/d/app.log", text("now", 100), NOON + 900 * DAY).unwrap();
    for (n, mtime) in (1_u64..).zip(strange) {
        fs.put(format!("/d/app.log.{n}"), noise(n, 4096), mtime).unwrap();
    }
    let mut policy = policy(1 << 20).quota(Bytes::new(3 * 4096 + 512));
    policy.compress = None;
    machine(policy.clone()).run(&fs).unwrap();
    for n in 1..=5 {
        assert_eq!(fs.exists(format!("/d/app.log.{n}")), n <= 3, "{n}");
    }
    policy.max_age_days = Some(7);
    machine(policy).run(&fs).unwrap();
    for n in 1..=3 {
        // Number 3 is from 1970.
        assert_eq!(fs.exists(format!("/d/app.log.{n}")), n <= 2, "{n}");
    }
}

fn archives(fs: &SimFs) -> Vec<PathBuf> {
    fs.snapshot().into_keys().filter(|p| p.to_string_lossy().contains("app.log.0")).collect()
}

#[test]
fn h60_a_clock_set_back_changes_neither_names_nor_order() {
    let fs = disk(SimDisk::default());
    let mut policy = policy(1000).quota(Bytes::kib(64));
    policy.naming = Naming::sequence();
    policy.compress = None;
    let mut machine = machine(policy);
    let mut contents = Vec::new();
    for (n, jump) in [0, -DAY, 0, -DAY, 3 * DAY, -5 * DAY].into_iter().enumerate() {
        machine.now = at(NOON + jump);
        fs.set_time(NOON + jump);
        fs.put("/d/app.log", text(&n.to_string(), 2000), NOON + jump).unwrap();
        contents.push(fs.content("/d/app.log").unwrap());
        machine.settle(&fs, 2).unwrap();
        assert_eq!(archives(&fs).len(), n + 1, "nothing was overwritten");
    }
    let by_name: Vec<Vec<u8>> = archives(&fs).iter().map(|p| fs.content(p).unwrap()).collect();
    assert_eq!(by_name, contents, "in the order of their numbers");
    // What goes first was written first, whatever the clock said.
    let sets = machine.config.sets.iter_mut();
    sets.for_each(|set| set.policy.limits.quota = Some(Bytes::new(4 * 2048)));
    machine.settle(&fs, 2).unwrap();
    let left: Vec<Vec<u8>> = archives(&fs).iter().map(|p| fs.content(p).unwrap()).collect();
    assert_eq!(left, contents[2..]);
}

fn rotates(plan: &Plan) -> bool {
    plan.steps
        .iter()
        .any(|step| matches!(&step.action, Action::Rename { from, .. } if from.name == "app.log"))
}

#[test]
fn h61_daily_is_once_a_day_also_when_the_day_has_23_or_25_hours() {
    let fs = disk(SimDisk::default());
    fs.put("/d/app.log", text("now", 5000), NOON).unwrap();
    let mut policy = policy(1);
    policy.when = RotateWhen::Daily;
    let mut machine = machine(policy);
    let inventory = |machine: &logquota_tests::sandbox::Machine| machine.scan(&fs).unwrap();
    // Central Europe; the change is at 01:00 UTC.
    for (change, before, after) in
        [((2026, 3, 29), 1, 2), ((2026, 10, 25), 2, 1), ((2026, 6, 15), 2, 2)]
    {
        let (year, month, day) = change;
        let change = NaiveDate::from_ymd_opt(year, month, day)
            .and_then(|date| date.and_hms_opt(1, 0, 0))
            .unwrap()
            .and_utc();
        let mut rotations: BTreeMap<NaiveDate, u32> = BTreeMap::new();
        let mut seen: BTreeMap<NaiveDate, u32> = BTreeMap::new();
        let start = change - TimeDelta::hours(60);
        machine.state.insert("/d/app.log".into(), start.naive_utc() - TimeDelta::hours(12));
        for quarter in 0..4 * 120 {
            let now = start + TimeDelta::minutes(15 * quarter);
            let hours = if now < change { before } else { after };
            machine.now = now.with_timezone(&FixedOffset::east_opt(hours * 3600).unwrap());
            let today = machine.now.date_naive();
            *seen.entry(today).or_default() += 1;
            let inventory = inventory(&machine);
            if rotates(&machine.plan(&inventory).unwrap()) {
                *rotations.entry(today).or_default() += 1;
                machine.state.insert("/d/app.log".into(), machine.now.naive_local());
            }
        }
        assert_eq!(
            seen.get(&change.date_naive()),
            Some(&match before.cmp(&after) {
                std::cmp::Ordering::Less => 4 * 23,
                std::cmp::Ordering::Equal => 4 * 24,
                std::cmp::Ordering::Greater => 4 * 25,
            })
        );
        for day in seen.keys().skip(1) {
            assert_eq!(rotations.get(day), Some(&1), "{day}: {rotations:?}");
        }
    }
}
