//! A disk that fails once, and a compressor that cannot keep up: `strace` makes both.

use std::path::Path;

use logquota_tests::mounts::{Mount, needs_root};
use logquota_tests::strace::{Strace, needs_strace};

use crate::account::{assert_account, read_whole};
use crate::kit::{Flooder, MIB, Sampler, Told, listing, logs, scratch, temporaries};

fn traced(log: &Path, trace: &Path, injections: &[&str], args: &[&str]) -> Flooder {
    let strace = injections.iter().fold(Strace::new(), |strace, what| strace.inject(what));
    let flooder = Flooder::launch(strace.command(Flooder::program(), trace), log, args);
    drop(flooder.answer());
    flooder
}

/// Floods and lets all be compressed that can be.
fn flooded(flooder: &mut Flooder, records: u64) -> Told {
    drop(flooder.go(records));
    drop(flooder.tell("maintain"));
    flooder.tell("maintain")
}

/// An archive that did not get to the disk is none: its source stays, and is done again from
/// its beginning.
#[test]
fn h54_h55_a_compression_whose_data_the_disk_refused_keeps_its_source() {
    if needs_strace() {
        return;
    }
    let scratch = scratch();
    for (number, fault) in [
        "fsync,fdatasync:error=EIO:when=1",
        "fsync,fdatasync:error=EIO:when=2",
        "fsync,fdatasync:error=EIO:when=3",
        "fsync,fdatasync:error=EIO",
        "read,pread64:error=EIO:when=40",
        "renameat2:error=EIO:when=6",
        "unlinkat:error=EIO",
        "fallocate:error=EOPNOTSUPP",
    ]
    .into_iter()
    .enumerate()
    {
        let folder = scratch.path().join(number.to_string());
        std::fs::create_dir(&folder).expect("a folder");
        let log = folder.join("player.log");
        let args = ["quota=8388608", "segment=262144", "codec=zstd", "threads=2"];
        let trace = scratch.path().join("trace");
        let mut flooder = traced(&log, &trace, &[fault], &args);
        // Below the quota: nothing needs to go.
        let told = flooded(&mut flooder, 1500);
        let told_more = flooder.go(100);
        let about = format!("{fault}\n{}", listing(&folder));
        // A rotation that cannot rename loses the record that it was for.
        let dropped = if fault.starts_with("rename") { 3 } else { 0 };
        assert!(told_more.number("dropped") <= dropped, "{about}: {told_more}");
        assert_eq!(told.number("evicted_records"), 0, "{about}: {told}");
        let told = flooder.close();
        println!("{fault}: {} compressions, {}", told.number("compressions"), told.0["events"]);
        let found = read_whole(&log, &about);
        assert_account(&found, 0, &told, &about);
        if fault.contains("unlinkat") {
            continue;
        }
        assert_eq!(temporaries(&folder).len(), 0, "{about}");
    }
}

/// Each compressed file takes a quarter of a second to get to the disk, and the flood fills a
/// segment in a few milliseconds.
#[test]
fn h43_a_compressor_that_cannot_keep_up_is_left_behind_within_the_quota() {
    if needs_root() || needs_strace() {
        return;
    }
    let mount = Mount::tmpfs("size=64m,mode=0755");
    let scratch = scratch();
    let logs = logs(&mount);
    let log = logs.join("player.log");
    let sampler = Sampler::start(&logs, true);
    let args = ["quota=8388608", "segment=524288", "codec=zstd", "threads=4"];
    let slow = ["fsync,fdatasync:delay_enter=250ms"];
    let mut flooder = traced(&log, &scratch.path().join("trace"), &slow, &args);
    let told = flooder.go(5000);
    assert_eq!(told.number("dropped"), 0, "{told}\n{}", listing(&logs));
    let told = flooder.close();
    println!(
        "{} rotations, {} compressions, {} evicted",
        told.number("rotations"),
        told.number("compressions"),
        told.number("evicted_records")
    );
    assert!(told.number("compressions") < told.number("rotations"), "{told}");
    assert_eq!(told.events("UpkeepFailed"), 0, "{told}");
    sampler.assert_within(8 * MIB, "a slow compressor");
    assert_account(&read_whole(&log, "slow"), 0, &told, "slow");
}
