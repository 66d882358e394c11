//! A wall clock that jumps within a running flood. The time since the start is not faked.

use std::path::{Path, PathBuf};
use std::process::Command;

use logquota_tests::mounts::needs;

use crate::account::{assert_account, read_whole};
use crate::kit::{Flooder, listing, scratch};

const ARGS: [&str; 5] = ["quota=8388608", "segment=262144", "threads=2", "len=1024", "days=14"];

/// A flooder whose wall clock is what a file says.
struct Faked {
    flooder: Flooder,
    clock: PathBuf,
}

impl Faked {
    fn start(log: &Path, scratch: &Path, args: &[&str]) -> Self {
        let clock = scratch.join("clock");
        std::fs::write(&clock, "+0\n").expect("a clock");
        // The wrapper knows where its library is.
        let said = Command::new("faketime").args(["-m", "-f", "+0", "env"]).output();
        let said = String::from_utf8_lossy(&said.expect("faketime").stdout).into_owned();
        let library = said.lines().find_map(|line| line.strip_prefix("LD_PRELOAD="));
        let mut command = Command::new(Flooder::program());
        command
            .env("LD_PRELOAD", library.expect("its library"))
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        let (flooder, told) = Flooder::from(command, log, args);
        assert!(told.0["refused"].is_null(), "{told}");
        Self { flooder, clock }
    }

    /// As `faketime -f` takes it.
    fn set(&self, offset: &str) {
        std::fs::write(&self.clock, format!("{offset}\n")).expect("a clock");
    }
}

#[test]
fn h59_a_clock_that_jumps_ten_years_ahead_deletes_nothing_for_its_age() {
    if needs(&["faketime"]) {
        return;
    }
    let scratch = scratch();
    let folder = scratch.path().join("logs");
    std::fs::create_dir(&folder).expect("a folder");
    let log = folder.join("player.log");
    let mut faked = Faked::start(&log, scratch.path(), &ARGS);
    drop(faked.flooder.go(1500));
    let before = faked.flooder.tell("maintain");
    assert!(before.number("rotations") > 8, "{before}");
    faked.set("+10y");
    drop(faked.flooder.go(500));
    let told = faked.flooder.tell("maintain");
    assert_eq!(told.number("evicted_files"), 0, "{told}\n{}", listing(&folder));
    assert_eq!(told.events("ClockJumped"), 1, "{told}");
    // The jump was seen: an archive has the year in its name.
    drop(faked.flooder.tell("rotate"));
    drop(faked.flooder.go(10));
    drop(faked.flooder.tell("maintain"));
    faked.set("+0");
    drop(faked.flooder.go(1500));
    let told = faked.flooder.tell("maintain");
    assert_eq!(told.number("evicted_files"), 0, "{told}\n{}", listing(&folder));
    let told = faked.flooder.close();
    assert_eq!(told.number("dropped"), 0, "{told}");
    let found = read_whole(&log, "+10y");
    assert_account(&found, 0, &told, "+10y");
    assert_eq!(found.records.len(), 2 * 3510);
}

/// Ten years later in earnest: the age of archives counts again for who starts then, but not
/// before a day has shown that the clock is right.
#[test]
fn h59_a_start_ten_years_later_deletes_nothing_at_once() {
    if needs(&["faketime"]) {
        return;
    }
    let scratch = scratch();
    let folder = scratch.path().join("logs");
    std::fs::create_dir(&folder).expect("a folder");
    let log = folder.join("player.log");
    let mut flooder = Flooder::start(&log, &ARGS);
    drop(flooder.go(1500));
    let archives = read_whole(&log, "before").archives;
    drop(flooder.close());
    let said = Command::new("faketime")
        .args(["-m", "-f", "+10y"])
        .arg(Flooder::program())
        .arg(&log)
        .args(ARGS)
        .arg("id=1")
        .stdin(std::process::Stdio::null())
        .output();
    let said = said.expect("faketime");
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    assert_eq!(read_whole(&log, "after").archives, archives, "{}", listing(&folder));
}

#[test]
fn h60_a_clock_that_is_set_back_a_day_overwrites_nothing_and_keeps_the_order() {
    if needs(&["faketime"]) {
        return;
    }
    let scratch = scratch();
    let folder = scratch.path().join("logs");
    std::fs::create_dir(&folder).expect("a folder");
    let log = folder.join("player.log");
    for more in [None, Some("codec=zstd")] {
        let args: Vec<_> = ARGS.into_iter().chain(["minutes=10"]).chain(more).collect();
        let mut faked = Faked::start(&log, scratch.path(), &args);
        let mut total = 0;
        for offset in ["+0", "-1d", "+0", "-1h", "-2d"] {
            faked.set(offset);
            drop(faked.flooder.go(3000));
            total += 6000;
            drop(faked.flooder.tell("maintain"));
        }
        let told = faked.flooder.close();
        assert_eq!(told.number("received"), total, "{told}");
        assert_eq!(told.number("dropped"), 0, "{told}");
        // Order by number: the newest are there, and none is missing between.
        assert_account(&read_whole(&log, "back and forth"), 0, &told, "back and forth");
        assert!(told.number("evicted_records") > 0 || more.is_some(), "{told}");
        std::fs::remove_dir_all(&folder).expect("it goes");
        std::fs::create_dir(&folder).expect("a folder");
    }
}
