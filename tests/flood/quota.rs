//! The quota holds under a flood, whenever somebody looks, and the account is exact.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use logquota_tests::mounts::needs_root;

use crate::account::{assert_account, read_whole};
use crate::kit::{Flooder, MIB, Sampler, disks, footprint, is_long, listing, logs, used_on_disk};

/// 2 KiB exceptions from 8 threads, over the whole way through zstd.
fn flood(name: &str, delivery: &str, mib: u64, mount: &logquota_tests::mounts::Mount, alone: bool) {
    let logs = logs(mount);
    let log = logs.join("player.log");
    let about = format!("{mib} MiB, {delivery}, {name}");
    let delivered = format!("delivery={delivery}");
    let base = used_on_disk(&logs) - footprint(&logs);
    let sampler = Sampler::start(&logs, alone);
    let args = ["quota=33554432", "segment=4194304", "codec=zstd", "threads=8", &delivered];
    let mut flooder = Flooder::start(&log, &args);
    let mut told = flooder.go(0);
    for _ in 0..8 {
        let before = flooder.go(mib * 512 / 64).number("compressions");
        // The compressor's turn: during a flood like this it is too late, if it has its share of
        // the processors at all; otherwise it may be done already.
        told = flooder
            .until(&about, |told| told.number("compressions") > before || is_all_compressed(&logs));
    }
    // While it is open: what it says it may occupy, it may.
    assert!(footprint(&logs) <= told.number("used"), "{about}: {told}\n{}", listing(&logs));
    let told = flooder.close();
    let most = sampler.assert_within(32 * MIB, &about);
    println!(
        "{about}: {} rotations, {} compressions, {} evicted, peak by its books {}, longest call {} us",
        told.number("rotations"),
        told.number("compressions"),
        told.number("evicted_records"),
        told.number("peak"),
        told.number("longest_us"),
    );
    assert!(told.number("peak") <= 32 * MIB, "{about}: {told}");
    // What the file system counts, files included that have no name any more, the books count, too.
    assert!(most.by_disk <= told.number("peak"), "{about}: {most:?}, {told}");
    assert_eq!(told.number("dropped"), 0, "{about}: {told}");
    assert_eq!(told.events("UpkeepFailed") + told.events("LossBegan"), 0, "{about}: {told}");
    assert_eq!(told.number("received"), mib * 512, "{about}: {told}");
    assert!(told.number("compressions") > 0, "{about}: {told}");
    // H45: what was deleted is closed, too.
    if alone {
        assert_eq!(used_on_disk(&logs) - base, footprint(&logs), "{about}: {}", listing(&logs));
    }
    let found = read_whole(&log, &about);
    assert_account(&found, 0, &told, &about);
    // The quota is put to use.
    assert!(most.by_files > 16 * MIB, "{about}: {most:?}");
}

fn is_all_compressed(logs: &Path) -> bool {
    let names = fs::read_dir(logs).expect("a folder").flatten().map(|entry| entry.file_name());
    let mut archives = names.filter(|name| name.as_bytes().starts_with(b"player.log."));
    archives.all(|name| name.as_bytes().ends_with(b".zst"))
}

#[test]
fn h43_h45_h51_the_quota_holds_at_every_millisecond_of_a_flood_and_every_record_is_accounted_for() {
    if needs_root() {
        return;
    }
    let mib = if is_long() { 1024 } else { 96 };
    for (name, mount, alone) in disks(128) {
        flood(name, "written", mib, &mount, alone);
    }
}

#[test]
fn the_quota_holds_with_a_buffer_and_with_a_queue() {
    if needs_root() {
        return;
    }
    let mib = if is_long() { 512 } else { 64 };
    for delivery in ["buffered", "queued"] {
        for (name, mount, alone) in disks(128) {
            flood(name, delivery, mib, &mount, alone);
        }
    }
}
