//! `kill -9` at random moments of a flood, again and again, and what the next start makes of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use logquota_tests::flood::{Found, read};
use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::account::{of_process, ranges};
use crate::kit::{Flooder, MIB, Sampler, is_long, listing, logs, scratch, temporaries};

const QUOTA: u64 = 4 * MIB;

const THREADS: u32 = 4;

/// What a process that was killed had been told of its records: by thread, how many were taken.
pub(crate) struct Killed {
    pub(crate) process: u32,
    pub(crate) acknowledged: Vec<u64>,
}

impl Killed {
    pub(crate) fn new(process: u32, threads: u32, file: &Path) -> Self {
        let bytes = std::fs::read(file).unwrap_or_default();
        let mut counts: Vec<u64> = bytes
            .chunks(8)
            .map(|chunk| u64::from_le_bytes(chunk.try_into().expect("eight bytes")))
            .collect();
        counts.resize(usize::try_from(threads).expect("few"), 0);
        Self { process, acknowledged: counts }
    }
}

/// A stream of numbers that looks like chance.
pub(crate) struct Chance(u64);

impl Chance {
    /// By `LOGQUOTA_SEED`, or by the time; it is printed.
    pub(crate) fn new() -> Self {
        let given = std::env::var("LOGQUOTA_SEED").ok().and_then(|text| text.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = given.unwrap_or_else(|| now.map_or(1, |d| u64::from(d.subsec_nanos())));
        println!("LOGQUOTA_SEED={seed}");
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }

    /// Waits for a random time: the moment is what is tested.
    pub(crate) fn wait(&mut self, most_us: u64) {
        let (_keep, never) = mpsc::channel::<()>();
        let _ = never.recv_timeout(Duration::from_micros(self.below(most_us)));
    }
}

/// A kill may come within a system call, which then has written whole pages of what it was
/// given. So much of a record nobody was told of; it ends with a page, and the next record begins
/// a line of its own.
#[track_caller]
pub(crate) fn assert_torn_only_by_kills(found: &Found, killed: &[Killed], about: &str) {
    let mut torn_by = BTreeSet::new();
    for torn in &found.torn {
        assert!(torn.end % 4096 <= 1, "{about}: {torn:?}");
        let Some(id) = torn.of else { continue };
        let of = killed.iter().find(|killed| killed.process == id.process);
        let of = of.unwrap_or_else(|| panic!("{about}: nobody was killed: {torn:?}"));
        let taken = of.acknowledged[usize::try_from(id.thread).expect("few")];
        assert!(id.number >= taken, "{about}: {taken} were taken: {torn:?}");
        assert!(torn_by.insert(id.process), "{about}: twice: {torn:?}");
    }
    assert!(found.torn.len() <= killed.len(), "{about}: {:#?}", found.torn);
}

/// Whatever was taken is there, or older than all that is there; nothing is there twice, or
/// before what was written earlier. The processes ran one after the other.
#[track_caller]
fn assert_acknowledged(found: &Found, killed: &[Killed], about: &str) {
    let oldest = found.records.first().map_or(u32::MAX, |id| id.process);
    let order: Vec<u32> = found.records.iter().map(|id| id.process).collect();
    assert!(order.is_sorted(), "{about}: a later process's records are before an earlier one's");
    let newest = killed.iter().rev().find(|killed| killed.acknowledged.iter().any(|n| *n > 0));
    let newest = newest.map(|killed| killed.process);
    assert!(order.last().copied() >= newest, "{about}: nothing is there of {newest:?}");
    for Killed { process, acknowledged } in killed {
        let there = of_process(found, *process);
        for (thread, taken) in (0u32..).zip(acknowledged) {
            let numbers = there.get(&thread).map_or(&[][..], Vec::as_slice);
            let about = format!("{about}: process {process}, thread {thread}, {taken} taken");
            let in_order = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            assert!(in_order, "{about}: {}", ranges(numbers));
            let Some((first, last)) = numbers.first().zip(numbers.last()) else {
                assert!(*process <= oldest || *taken == 0, "{about}: none is there, {oldest}");
                continue;
            };
            assert!(*process <= oldest || *first == 0, "{about}: from {first}");
            assert!(*last + 1 == *taken || *last == *taken, "{about}: up to {last}");
        }
    }
}

fn args<'a>(id: &'a str, acknowledge: &'a str, delivery: &'a str) -> Vec<&'a str> {
    let threads = "threads=4";
    assert_eq!(threads, format!("threads={THREADS}"));
    vec![
        "quota=4194304",
        "segment=262144",
        "codec=zstd",
        threads,
        "len=1500",
        id,
        acknowledge,
        delivery,
    ]
}

/// Kills a process after up to `most_us`, and says what it was told.
fn kill_one(log: &Path, notes: &Path, process: u32, delivery: &str, chance: &mut Chance) -> Killed {
    let file = notes.join(process.to_string());
    let (id, file_arg) = (format!("id={process}"), format!("acknowledge={}", file.display()));
    let command = Command::new(Flooder::program());
    let mut args = args(&id, &file_arg, delivery);
    if process.is_multiple_of(3) {
        // So slow that the compressor keeps up.
        args.push("pause_us=100");
    }
    let mut flooder = Flooder::launch(command, log, &args);
    flooder.begin("go 1000000000");
    // Some are killed while they start.
    chance.wait(if process.is_multiple_of(4) { 20_000 } else { 120_000 });
    flooder.kill();
    Killed::new(process, THREADS, &file)
}

fn kill_often(mount: &Mount, is_alone: bool, name: &str, kills: u32) {
    let mut chance = Chance::new();
    let logs = logs(mount);
    let log = logs.join("player.log");
    let notes = scratch();
    let sampler = Sampler::start(&logs, is_alone);
    let mut killed = Vec::new();
    let (mut with_leftovers, mut torn) = (0, 0);
    for process in 1..=kills {
        killed.push(kill_one(&log, notes.path(), process, "delivery=written", &mut chance));
        let about = format!("{name}, kill {process}");
        let left = temporaries(&logs);
        assert!(left.len() <= 1, "{about}: {left:?}\n{}", listing(&logs));
        with_leftovers += left.len();
        // The next start cleans up.
        let told = Flooder::start(&log, &args("id=9999", "threads=4", "delivery=written")).close();
        assert_eq!(temporaries(&logs).len(), 0, "{about}: {told}\n{}", listing(&logs));
        assert_eq!(told.events("UpkeepFailed"), 0, "{about}: {told}");
        let found = read(&log);
        assert_torn_only_by_kills(&found, &killed, &format!("{about}\n{}", listing(&logs)));
        assert_acknowledged(&found, &killed, &format!("{about}\n{}", listing(&logs)));
        torn = torn.max(found.torn.len());
        assert_not_twice(&logs);
    }
    let taken: u64 = killed.iter().flat_map(|killed| &killed.acknowledged).sum();
    println!(
        "{name}: {kills} kills, {taken} records taken, {with_leftovers} leftovers, {torn} cut by \
         a kill within a call"
    );
    assert!(taken > u64::from(kills) * 10, "{name}: {taken} records");
    sampler.assert_within(QUOTA, name);
}

/// No archive is there both plain and compressed.
#[track_caller]
fn assert_not_twice(logs: &Path) {
    let entries = std::fs::read_dir(logs).expect("a folder").flatten();
    let names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let labels: BTreeSet<_> = names.iter().map(|name| name.trim_end_matches(".zst")).collect();
    assert_eq!(labels.len(), names.len(), "{}", listing(logs));
}

#[test]
fn h52_killed_at_random_moments_it_keeps_its_quota_and_every_acknowledged_record() {
    if needs_root() {
        return;
    }
    let kills = if is_long() { 200 } else { 20 };
    kill_often(&Mount::tmpfs("size=16m,mode=0755"), true, "tmpfs", kills);
    if !needs(&["mkfs.ext4"]) {
        kill_often(&Mount::ext4(32, &[], ""), true, "ext4", kills);
    }
}

/// What a buffer holds is lost by a kill, and no more; the next start ends the cut line.
#[test]
fn h52_a_buffered_log_that_was_killed_goes_on_with_whole_records_within_its_quota() {
    if needs_root() {
        return;
    }
    let mut chance = Chance::new();
    let mount = Mount::tmpfs("size=16m,mode=0755");
    let logs = logs(&mount);
    let log = logs.join("player.log");
    let notes = scratch();
    let sampler = Sampler::start(&logs, true);
    let mut cut = 0;
    for process in 1..=if is_long() { 100 } else { 10 } {
        let killed = kill_one(&log, notes.path(), process, "delivery=buffered", &mut chance);
        let told = Flooder::start(&log, &args("id=9999", "threads=4", "delivery=buffered")).close();
        assert_eq!(temporaries(&logs).len(), 0, "{told}\n{}", listing(&logs));
        let found = read(&log);
        // One for each kill at most, at the end of a block.
        assert!(found.torn.len() <= usize::try_from(process).expect("few"), "{:#?}", found.torn);
        assert!(found.torn.iter().all(|torn| torn.end % 4096 <= 1), "{:#?}", found.torn);
        cut = cut.max(found.torn.len());
        let there = of_process(&found, process);
        let (mut taken, mut missing) = (0, 0);
        for (thread, count) in (0u32..).zip(&killed.acknowledged) {
            let numbers = there.get(&thread).map_or(&[][..], Vec::as_slice);
            let in_order = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            assert!(in_order, "process {process}, thread {thread}: {}", ranges(numbers));
            // One that had no turn for a long time may have all of its records evicted.
            let Some(last) = numbers.last() else { continue };
            taken += count;
            missing += count.saturating_sub(last + 1);
        }
        // The buffer, and the block that is being written.
        assert!(missing * 1500 <= 2 * 65_536 + 1500, "{missing} of {taken}\n{}", listing(&logs));
    }
    println!("{cut} cut records");
    sampler.assert_within(QUOTA, "buffered, killed");
}
