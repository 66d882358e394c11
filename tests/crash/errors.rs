//! Every call fails with every error that a system gives for it, once or from then on.
//!
//! What is asserted: nothing panics, no record that the unhindered run keeps is lost, the
//! bound holds (if something of a set with a quota cannot be looked at, the quota falls on its
//! other logs), the report says what was not done, logs that the failing call did not concern
//! end as they should (unless the workload ties logs to each other: a common quota, scripts),
//! and the next run without the fault ends where the unhindered run does.

use std::path::Path;

use logquota::fs::sim::{Call, Fault, SimFs, Times};
use logquota::inventory::Blocked;
use logquota_tests::sandbox::{Machine, Ran};
use logquota_tests::workloads::{ALL, Make};

use crate::common::{ROUNDS, Reference, Wanted, calls, fail};

/// Workloads whose logs have nothing to do with each other.
const INDEPENDENT: [&str; 9] = [
    "numbered-gzip",
    "numbered-zstd",
    "dated",
    "old-dir",
    "aged",
    "strange",
    "copied",
    "delayed",
    "rotate-zero",
];

const SEEDS: u64 = 3;

/// The calls of a run up to the first that fails are those of the unhindered run, so its
/// log says what can fail where.
fn fail_everywhere(times: Times, remainder: usize) {
    let wanted = Wanted::from_env();
    let mut tried = 0_usize;
    for (_, (name, make)) in ALL.iter().enumerate().filter(|(i, _)| i % 2 == remainder) {
        for seed in 200..200 + wanted.seeds(SEEDS) {
            let row =
                format!("{}/{name}/{seed}", if times == Times::Once { "once" } else { "ever" });
            if wanted.is(&row) {
                tried += fail_row(&wanted, &row, *make, seed, times, name);
            }
        }
    }
    println!("{tried} faults");
}

fn fail_row(wanted: &Wanted, row: &str, make: Make, seed: u64, times: Times, name: &str) -> usize {
    let reference = Reference::of(make, seed, row);
    let fs = reference.fs();
    if let Err(why) = reference.machine().run(&fs) {
        panic!("{row}: {why}");
    }
    let mut tried = 0;
    for call in fs.log() {
        for fault in Fault::ERRORS {
            let case = format!("{row}/{}/{fault:?}", call.index);
            if !fault.applies_to(call.op) || !wanted.is(&case) {
                continue;
            }
            tried += 1;
            if let Err((why, log)) = fail_one(&reference, &call, fault, times, name) {
                fail(&case, &format!("{fault:?} at {call}: {why}"), &calls(&log, u64::MAX));
            }
        }
    }
    tried
}

fn fail_one(
    reference: &Reference,
    call: &Call,
    fault: Fault,
    times: Times,
    name: &str,
) -> Result<(), (String, Vec<Call>)> {
    let fs = reference.fs();
    let mut machine = reference.machine();
    fs.fail_at(call.index, fault, times);
    let inventory = {
        let (quiet, same) = (reference.fs(), reference.machine());
        same.scan(&quiet).ok()
    };
    if let Some(inventory) = inventory {
        fs.assert_used_at_most(machine.bound(&fs, &inventory));
    }
    let ran = machine.run(&fs);
    let err = |why: String| Err((why, fs.log()));
    let story = ran.as_ref().map_or_else(Clone::clone, Ran::story);
    let is_unseen = ran.as_ref().is_ok_and(could_not_look);
    // What cannot be looked at cannot be counted either.
    if let (Some((call, used)), false) = (fs.exceeded(), is_unseen) {
        return err(format!("files occupy {used} after {call}\n{story}"));
    }
    let is_short = has_limits(&machine);
    if let (Some(what), false) = (reference.lost(&fs), is_short && is_unseen) {
        return err(format!("{what}\n{story}"));
    }
    fs.heal();
    let struck = fs.faults_struck();
    let complete = ran.as_ref().is_ok_and(|ran| !ran.says_so());
    let strays = machine
        .look(&fs)
        .map_or_else(|why| Some(why.clone()), |end| reference.compare_after_failure(&end).err());
    if let (true, Some(why)) = (complete, &strays) {
        return err(format!("the report is silent about this: {why}\n{story}"));
    }
    if fault == Fault::Short && (strays.is_some() || struck == 0) {
        return err(format!("a short transfer was not continued: {strays:?}\n{story}"));
    }
    if times == Times::Once
        && INDEPENDENT.contains(&name)
        && let Err(why) = unrelated(reference, &machine, &fs, call)
    {
        return err(format!("{why}\n{story}"));
    }
    let mut machine = Machine { state: machine.state, ..reference.machine() };
    let done = machine.settle(&fs, ROUNDS).and_then(|runs| {
        let end = machine.look(&fs)?;
        let stories: String = runs.iter().map(|ran| ran.story()).collect();
        // What stayed because of the fault needs room, too: other archives may go for it.
        if is_short && !complete {
            return Ok(());
        }
        reference
            .compare_after_failure(&end)
            .map_err(|why| format!("the next run: {why}\n{stories}"))
    });
    done.or_else(|why| err(format!("{why}\nthe run with the fault:\n{story}")))
}

fn has_limits(machine: &Machine) -> bool {
    let sets = machine.config.sets.iter().map(|set| &set.policy.limits);
    sets.chain([&machine.config.global])
        .any(|l| l.quota.is_some() || l.max_files.is_some() || l.reserve.is_some())
}

/// Whether something could not be looked at. Where space is short, the limit holds all the
/// same, so it is archives of the other logs that go; which, the checker judges.
fn could_not_look(ran: &Ran) -> bool {
    let mut logs = ran.inventory.sets.iter().flat_map(|set| &set.logs);
    ran.inventory.notes.iter().any(|note| note.is_error)
        || logs.any(|log| matches!(log.blocked, Some(Blocked::Unreadable { .. })))
}

/// Logs that the failing call did not concern are as they should be.
fn unrelated(
    reference: &Reference,
    machine: &Machine,
    fs: &SimFs,
    call: &Call,
) -> Result<(), String> {
    // Something half done may be left of the log that is concerned.
    let Ok(end) = machine.look(fs) else { return Ok(()) };
    let base = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.split_once(".log").map_or(name.clone(), |(base, _)| base.to_owned())
    };
    let name = call.path.file_name().unwrap_or_default().to_string_lossy();
    // A folder, or a temporary name, which does not say of what.
    let concerns_all = !name.contains(".log") || name.starts_with(".logquota");
    for (path, log) in &reference.end.logs {
        let same_dir = call.path.starts_with(path.parent().unwrap_or(Path::new("/")));
        let is_above = path.starts_with(&call.path);
        let same_name = base(path) == base(&call.path);
        if is_above || (same_dir && (concerns_all || same_name)) {
            continue;
        }
        let found = end.logs.get(path).cloned().unwrap_or_default();
        if found != *log {
            return Err(format!(
                "{} has nothing to do with it: {found:#?}\nunhindered: {log:#?}",
                path.display()
            ));
        }
    }
    Ok(())
}

#[test]
fn h55_an_error_at_any_call_is_reported_and_hurts_nothing_else() {
    fail_everywhere(Times::Once, 0);
}

#[test]
fn h55_an_error_at_any_call_is_reported_and_hurts_nothing_else_in_the_other_workloads() {
    fail_everywhere(Times::Once, 1);
}

#[test]
fn h41_errors_that_last_lose_nothing_and_the_next_run_works() {
    fail_everywhere(Times::Forever, 0);
}

#[test]
fn h41_errors_that_last_lose_nothing_and_the_next_run_works_in_the_other_workloads() {
    fail_everywhere(Times::Forever, 1);
}
