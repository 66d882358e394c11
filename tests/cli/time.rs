//! Local time: a day of 23 or 25 hours is one day.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use crate::kit::{BIN, Sandbox, assert_code, needs};

/// Runs every half hour through the hours from `first` (seconds since the epoch), with
/// something new in the log each time, and counts the archives.
fn rotations(zone: &str, first: i64, hours: i64, criterion: &str) -> usize {
    let sandbox = Sandbox::new();
    let config =
        sandbox.config(&format!("LOGS/app.log {{\n {criterion}\n rotate 99\n create\n}}\n"));
    let state = sandbox.path("status");
    for half_hour in 0..=hours * 2 {
        fs::write(sandbox.logs().join("app.log"), "a line\n").expect("written");
        let at = first + half_hour * 1800;
        let output = at_that_time(&utc(at), |command| {
            command.args(["run", "-q", "--state"]).args([&state, &config]).env("TZ", zone);
        });
        assert_code(&output, 0);
    }
    sandbox.listing().len() - 1
}

/// Runs the program, by faketime(1). That makes a semaphore with the number of its process in its
/// name; where one that was killed has left another with that number, the next process has another.
fn at_that_time(time: &str, finish: impl Fn(&mut Command)) -> Output {
    for _ in 0..10 {
        let mut command = Command::new("faketime");
        command.args(["-f", time]).arg(BIN).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        finish(&mut command);
        let output = command.output().expect("faketime starts");
        if !String::from_utf8_lossy(&output.stderr).contains("sem_open: File exists") {
            return output;
        }
    }
    panic!("faketime does not start; are there many /dev/shm/sem.faketime_sem_* of others?");
}

/// What `faketime -f` takes: an absolute time by the local clock would be ambiguous in the
/// hour that comes twice, so an offset from now is given.
fn utc(at: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.map_or(0, |d| d.as_secs())).unwrap_or(0);
    format!("{:+}s", at - now)
}

#[test]
fn h61_a_daily_log_rotates_once_in_a_day_of_25_and_of_23_hours() {
    if needs("faketime") {
        return;
    }
    // Berlin: 2026-10-25 00:05 (+02:00) to 2026-10-26 00:05 (+01:00), a day of 25 hours.
    let autumn = 1_792_879_500;
    assert_eq!(rotations("Europe/Berlin", autumn, 24, "daily"), 0);
    assert_eq!(rotations("Europe/Berlin", autumn, 25, "daily"), 1);
    // 2026-03-29 00:05 (+01:00) to 2026-03-30 00:05 (+02:00), a day of 23 hours.
    let spring = 1_774_739_100;
    assert_eq!(rotations("Europe/Berlin", spring, 22, "daily"), 0);
    assert_eq!(rotations("Europe/Berlin", spring, 23, "daily"), 1);
}

#[test]
fn h60_a_clock_that_is_set_back_rotates_nothing_twice_and_loses_nothing() {
    if needs("faketime") {
        return;
    }
    let sandbox = Sandbox::new();
    let dir = sandbox.logs();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.map_or(0, |d| d.as_secs())).unwrap_or(0);
    let mut contents = Vec::new();
    for (number, offset) in [0, 60, -86_400, -86_300, 10].into_iter().enumerate() {
        let content = crate::kit::noise(u32::try_from(number).unwrap_or(0) + 1, 40 * 1024);
        sandbox.content("app.log", &content, Duration::ZERO);
        contents.push(content);
        let output = at_that_time(&utc(now + offset), |command| {
            command.args(["run", "-q", "--quota", "4M", "--size", "32k", "--compress", "none"]);
            command.arg(&dir);
        });
        assert_code(&output, 0);
    }
    let listing = sandbox.listing();
    let archives = listing.keys().filter(|name| *name != "app.log");
    // The sequence number in the name orders them, not the time.
    let found: Vec<_> = archives.map(|name| fs::read(dir.join(name)).expect("readable")).collect();
    assert_eq!(found, contents);
}
