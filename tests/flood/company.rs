//! Several processes on one log: they come, go, and are killed; and the program's own runs beside
//! them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use logquota_tests::flood::read;
use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::account::{assert_account, of_process, ranges, read_whole};
use crate::kills::{Chance, Killed, assert_torn_only_by_kills};
use crate::kit::{
    Flooder, LOGQUOTA, MIB, PATIENCE, Sampler, Told, is_long, listing, logs, scratch, temporaries,
};

const QUOTA: u64 = 16 * MIB;

fn args(id: &str) -> Vec<&str> {
    vec!["quota=16777216", "segment=1048576", "codec=zstd", "threads=2", id]
}

/// Processes with these deliveries write at the same time; each one's account is exact.
fn together(name: &str, mount: &Mount, deliveries: &[&str], records: u64) -> u64 {
    let logs = logs(mount);
    let log = logs.join("player.log");
    let about = format!("{name}, {deliveries:?}");
    // What one has deleted while another one reads it, `st_blocks` does not show.
    let sampler = Sampler::start(&logs, false);
    let mut flooders: Vec<Flooder> = Vec::new();
    for (number, delivery) in deliveries.iter().enumerate() {
        let id = format!("id={number}");
        let delivery = format!("delivery={delivery}");
        let mut args = args(&id);
        args.push(&delivery);
        flooders.push(Flooder::start(&log, &args));
    }
    for flooder in &mut flooders {
        flooder.begin(&format!("go {records}"));
    }
    flooders.iter().for_each(|flooder| drop(flooder.answer()));
    let told = settle(&logs, flooders);
    sampler.assert_within(QUOTA, &about);
    assert_eq!(temporaries(&logs).len(), 0, "{about}: {}", listing(&logs));
    let found = read_whole(&log, &about);
    let mut dropped = 0;
    for (process, told) in (0u32..).zip(&told) {
        assert_eq!(told.number("received"), records * 2, "{about}: {told}");
        dropped += told.number("dropped");
        assert_account(&found, process, told, &format!("{about}, process {process}"));
    }
    dropped
}

/// How long nothing must change until nobody has anything left to do: what finds the directory
/// locked by another process is tried again a second later.
const REST: Duration = Duration::from_millis(2500);

/// Closes them when they have come to rest: an account ends when its appender is closed, and what
/// others evict later is not in it.
fn settle(logs: &Path, mut flooders: Vec<Flooder>) -> Vec<Told> {
    flooders.iter_mut().for_each(|flooder| drop(flooder.tell("flush")));
    let began = Instant::now();
    let (mut before, mut since) = (listing(logs), Instant::now());
    while since.elapsed() < REST {
        assert!(began.elapsed() < PATIENCE, "they do not come to rest: {before}");
        flooders.iter_mut().for_each(|flooder| drop(flooder.tell("maintain")));
        let now = listing(logs);
        if now != before || !temporaries(logs).is_empty() {
            (before, since) = (now, Instant::now());
        }
    }
    flooders.into_iter().map(Flooder::close).collect()
}

/// Each process's account is exact, and nothing was dropped.
#[track_caller]
fn assert_nothing_lost(log: &Path, told: &[Told]) {
    let found = read_whole(log, "together");
    for (process, told) in (0u32..).zip(told) {
        assert_eq!(told.number("dropped"), 0, "{told}");
        assert_account(&found, process, told, &format!("process {process}"));
    }
}

fn disks() -> Vec<(&'static str, Mount)> {
    let mut found = vec![("tmpfs", Mount::tmpfs("size=40m,mode=0755"))];
    if !needs(&["mkfs.ext4"]) {
        found.push(("ext4", Mount::ext4(48, &[], "")));
    }
    found
}

#[test]
fn h36_four_processes_share_a_log_and_the_quota_and_each_account_is_exact() {
    if needs_root() {
        return;
    }
    let records = if is_long() { 20_000 } else { 2_500 };
    for (name, mount) in disks() {
        assert_eq!(together(name, &mount, &["written"; 4], records), 0);
    }
}

#[test]
fn h36_processes_that_write_at_once_by_block_and_by_queue_share_a_log_and_the_quota() {
    if needs_root() {
        return;
    }
    let records = if is_long() { 20_000 } else { 2_500 };
    let deliveries = ["written", "buffered", "queued", "buffered"];
    for (name, mount) in disks() {
        assert_eq!(together(name, &mount, &deliveries, records), 0, "{name}");
    }
}

#[test]
fn h36_h52_processes_that_come_go_and_are_killed_leave_whole_records_and_exact_accounts() {
    if needs_root() {
        return;
    }
    let mut chance = Chance::new();
    let mount = Mount::tmpfs("size=40m,mode=0755");
    let logs = logs(&mount);
    let log = logs.join("player.log");
    let notes = scratch();
    let sampler = Sampler::start(&logs, true);
    let mut slow = args("id=0");
    slow.push("pause_us=100");
    let mut stays = Flooder::start(&log, &slow);
    stays.begin(&format!("go {}", if is_long() { 40_000 } else { 6_000 }));
    let mut killed: Vec<Killed> = Vec::new();
    let mut process = 0;
    let told = loop {
        process += 1;
        let file = notes.path().join(process.to_string());
        let (id, note) = (format!("id={process}"), format!("acknowledge={}", file.display()));
        let mut args = args(&id);
        args.extend(["pause_us=20", &note]);
        let command = Command::new(Flooder::program());
        let mut guest = Flooder::launch(command, &log, &args);
        if process % 2 == 0 {
            guest.begin("go 1000000");
            chance.wait(60_000);
            guest.kill();
            killed.push(Killed::new(process, 2, &file));
        } else {
            drop(guest.answer());
            drop(guest.go(200));
            let told = guest.close();
            assert_eq!(told.number("dropped"), 0, "process {process}: {told}");
        }
        if let Some(told) = stays.is_done(Duration::from_millis(1)) {
            break told;
        }
    };
    assert_eq!(told.number("dropped"), 0, "{told}");
    drop(stays.tell("maintain"));
    let told = stays.close();
    println!("{process} guests, {} killed", killed.len());
    sampler.assert_within(QUOTA, "guests");
    let found = read(&log);
    let about = format!("guests\n{}", listing(&logs));
    assert_torn_only_by_kills(&found, &killed, &about);
    assert_account(&found, 0, &told, &about);
    assert_eq!(temporaries(&logs).len(), 0, "{about}");
    for guest in &killed {
        let there = of_process(&found, guest.process);
        for (thread, taken) in (0u32..).zip(&guest.acknowledged) {
            let numbers = there.get(&thread).map_or(&[][..], Vec::as_slice);
            let in_order = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            assert!(in_order, "process {}, thread {thread}: {}", guest.process, ranges(numbers));
            // The last ones of a thread that are there are the last ones that were taken.
            let last = numbers.last();
            let is_whole = last.is_none_or(|last| *last + 1 == *taken || last == taken);
            assert!(is_whole, "process {}, {taken} taken, {last:?}", guest.process);
        }
    }
}

/// One of two is stopped again and again for longer than its turn is waited for, sometimes within
/// it; the other one goes on, and both accounts are exact.
#[test]
fn h36_a_process_that_is_stopped_stops_no_other() {
    if needs_root() {
        return;
    }
    let mut chance = Chance::new();
    let mount = Mount::tmpfs("size=40m,mode=0755");
    let logs = logs(&mount);
    let log = logs.join("player.log");
    let sampler = Sampler::start(&logs, false);
    let mut stopped = Flooder::start(&log, &args("id=0"));
    let mut goes_on = Flooder::start(&log, &args("id=1"));
    stopped.begin("go 4000");
    for _ in 0..if is_long() { 100 } else { 6 } {
        chance.wait(20_000);
        stopped.signal("STOP");
        // It is answered while the other one does nothing.
        drop(goes_on.go(300));
        stopped.signal("CONT");
    }
    drop(stopped.answer());
    let told = settle(&logs, vec![stopped, goes_on]);
    sampler.assert_within(QUOTA, "one is stopped");
    assert_nothing_lost(&log, &told);
}

/// A configuration that deletes and compresses and does not rotate.
fn config(folder: &Path, logs: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("logquota.conf");
    let text = format!(
        "{}/player.log {{\n size 1G\n rotate 1000\n compress\n quota 12M\n}}\n",
        logs.display()
    );
    fs::write(&path, text).expect("a configuration");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
    path
}

#[test]
fn h36_runs_of_the_program_beside_a_flood_leave_its_quota_and_its_account_as_they_are() {
    if needs_root() {
        return;
    }
    let mount = Mount::tmpfs("size=40m,mode=0755");
    let logs = logs(&mount);
    let log = logs.join("player.log");
    let scratch = scratch();
    let config = config(scratch.path(), &logs);
    // What one has deleted while another one reads it, `st_blocks` does not show.
    let sampler = Sampler::start(&logs, false);
    let mut flooders =
        vec![Flooder::start(&log, &args("id=0")), Flooder::start(&log, &args("id=1"))];
    let records = if is_long() { 20_000 } else { 4_000 };
    for flooder in &mut flooders {
        flooder.begin(&format!("go {records}"));
    }
    let (mut runs, mut done) = (0, 0);
    while done < flooders.len() {
        let mut command = Command::new(LOGQUOTA);
        command.args(["run", "-q", "--state"]).arg(scratch.path().join("state")).arg(&config);
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panic") && !said.contains("internal"), "{said}");
        // 1: something changed while it looked; 4: somebody else had the folder.
        assert!(output.status.code().is_some_and(|code| code < 10), "{}: {said}", output.status);
        runs += 1;
        done += flooders.iter().filter(|f| f.is_done(Duration::from_millis(5)).is_some()).count();
        assert!(runs < PATIENCE.as_secs() * 200, "it does not end");
    }
    let told = settle(&logs, flooders);
    println!("{runs} runs beside {told:?}");
    sampler.assert_within(QUOTA, "beside runs of the program");
    assert_nothing_lost(&log, &told);
}
