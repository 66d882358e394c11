//! What a flood takes of memory, whatever becomes of the disk.

use std::process::Command;

use logquota_tests::mounts::{Mount, needs_root};
use logquota_tests::strace::{Strace, needs_strace};

use crate::account::{assert_account, read_whole};
use crate::kit::{Flooder, is_long, logs, scratch};

/// For each way of delivery: 128 MiB from 8 threads, compressed, take at most 8 MiB.
#[test]
fn h50_a_flood_takes_eight_mebibytes_of_memory_at_most() {
    if needs_root() {
        return;
    }
    let mib: u64 = if is_long() { 512 } else { 64 };
    for delivery in ["written", "buffered", "queued", "queued_drop"] {
        let mount = Mount::tmpfs("size=64m,mode=0755");
        let log = logs(&mount).join("player.log");
        let arg = format!("delivery={delivery}");
        let args = ["quota=33554432", "segment=4194304", "codec=zstd", "threads=8", &arg];
        let mut flooder = Flooder::start(&log, &args);
        let (mut rotations, mut compressions) = (0, 0);
        for _ in 0..2 {
            let mut told = flooder.go(mib * 512 / 16);
            // Of what is offered to a queue that drops, less than a segment may be kept.
            for _ in 0..100 {
                if told.number("rotations") > rotations {
                    break;
                }
                told = flooder.go(mib * 512 / 16);
            }
            // Not by `maintain`: that has the calling thread compress, too, which takes as much again.
            let is_so = |told: &crate::kit::Told| told.number("compressions") > compressions;
            let told = flooder.until_by("stats", delivery, is_so);
            (rotations, compressions) = (told.number("rotations"), told.number("compressions"));
        }
        let told = flooder.close();
        let (idle, peak) = (told.number("idle_kib"), told.number("peak_kib"));
        println!(
            "{delivery}: {idle} KiB before it was opened, {peak} KiB at most, {} compressions",
            told.number("compressions")
        );
        assert!(told.number("compressions") > 0, "{delivery}: {told}");
        assert!(peak - idle <= 8 << 10, "{delivery}: {told}");
        assert_account(&read_whole(&log, delivery), 0, &told, delivery);
    }
}

/// 512 MiB for a disk that takes nothing any more.
#[test]
fn h50_h38_a_flood_of_a_full_disk_takes_no_memory_and_says_so_once() {
    if needs_root() {
        return;
    }
    for delivery in ["written", "buffered", "queued", "queued_drop"] {
        let mount = Mount::tmpfs("size=8m,mode=0755");
        let log = logs(&mount).join("player.log");
        mount.fill(false, true);
        let delivery = format!("delivery={delivery}");
        let args = ["quota=6291456", "full=drop", "degraded=yes", "threads=4", &delivery];
        let (mut flooder, told) = Flooder::from(Command::new(Flooder::program()), &log, &args);
        assert!(told.0["refused"].is_null(), "{told}");
        let told = flooder.go(65_536);
        assert!(flooder.memory("VmHWM") < 32 << 10, "{delivery}: {told}");
        let told = flooder.close();
        let (idle, peak) = (told.number("idle_kib"), told.number("peak_kib"));
        println!("{delivery}: {idle} KiB before it was opened, {peak} KiB at most");
        assert!(peak < 32 << 10 && peak - idle <= 8 << 10, "{delivery}: {told}");
        assert!(told.number("dropped") > 250_000, "{delivery}: {told}");
        assert_eq!(told.number("received"), 262_144, "{delivery}: {told}");
        // The queue is one condition, the disk is another.
        let conditions = if delivery.ends_with("drop") { 2 } else { 1 };
        assert!((1..=conditions).contains(&told.events("LossBegan")), "{delivery}: {told}");
        assert_eq!(told.events("UpkeepFailed"), 0, "{delivery}: {told}");
        assert_account(&read_whole(&log, &delivery), 0, &told, &delivery);
    }
}

/// Each write to the log is refused, by the policy that deletes for it.
#[test]
fn h38_h50_enospc_for_ever_is_said_once_and_takes_neither_memory_nor_all_history() {
    if needs_strace() {
        return;
    }
    let scratch = scratch();
    for error in ["ENOSPC", "EDQUOT", "EIO", "EROFS"] {
        let folder = scratch.path().join(error);
        std::fs::create_dir(&folder).expect("a folder");
        let log = folder.join("player.log");
        let strace = Strace::new().inject(&format!("pwrite64:error={error}:when=400+")).only(&log);
        let command = strace.command(Flooder::program(), &scratch.path().join("trace"));
        // A record in each call, so that the four hundredth is known.
        let args = ["quota=4194304", "segment=131072", "threads=1"];
        let mut flooder = Flooder::launch(command, &log, &args);
        drop(flooder.answer());
        let before = flooder.go(300);
        assert_eq!(before.number("dropped"), 0, "{error}: {before}");
        let told = flooder.go(if is_long() { 262_144 } else { 10_000 });
        assert!(told.number("dropped") > 9_000, "{error}: {told}");
        let told = flooder.tell("maintain");
        assert_eq!(told.events("LossBegan"), 1, "{error}: {told}");
        assert_eq!(told.events("LossEnded") + told.events("UpkeepFailed"), 0, "{error}: {told}");
        let told = flooder.close();
        let (idle, peak) = (told.number("idle_kib"), told.number("peak_kib"));
        println!(
            "{error}: {idle} to {peak} KiB, {} records of {} given up",
            told.number("evicted_records"),
            before.number("written"),
        );
        assert!(peak < 32 << 10 && peak - idle <= 8 << 10, "{error}: {told}");
        assert_account(&read_whole(&log, error), 0, &told, error);
    }
}
