//! Disks that others fill and free, without blocks, inodes or a share of a quota group.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use logquota_tests::mounts::{Mount, needs, needs_root, system};

use crate::account::{assert_account, read_whole};
use crate::kills::Chance;
use crate::kit::{Flooder, MIB, Sampler, Told, is_long, listing, logs};

/// A file system of 24 MiB, and a quota of 12.
fn disks() -> Vec<(&'static str, Mount)> {
    let mut found = vec![("tmpfs", Mount::tmpfs("size=24m,nr_inodes=256,mode=0755"))];
    if !needs(&["mkfs.ext4"]) {
        found.push(("ext4", Mount::ext4(24, &["-N", "256"], "")));
    }
    found
}

const QUOTA: u64 = 12 * MIB;

const ARGS: [&str; 4] = ["quota=12582912", "segment=1048576", "threads=2", "len=2048"];

fn unfill(mount: &Mount) {
    fs::remove_file(mount.at().join("foreign.bin")).expect("it was there");
    fs::remove_dir_all(mount.at().join("foreign")).expect("it was there");
}

/// Events that are not about rotations that went well: one for each change of condition.
fn notes(told: &Told) -> u64 {
    ["LossBegan", "LossEnded", "UpkeepFailed", "Reopened", "Shared", "ClockJumped"]
        .iter()
        .map(|name| told.events(name))
        .sum()
}

#[test]
fn h37_on_a_disk_that_others_filled_records_go_on_and_our_oldest_make_room() {
    if needs_root() {
        return;
    }
    for codec in [None, Some("codec=zstd")] {
        for (name, mount) in disks() {
            let about = format!("{name}, {codec:?}");
            let logs = logs(&mount);
            let log = logs.join("player.log");
            let sampler = Sampler::start(&logs, false);
            let args: Vec<_> = ARGS.into_iter().chain(codec).collect();
            let mut flooder = Flooder::start(&log, &args);
            // 9 MiB, and time to compress them.
            drop(flooder.go(2304));
            drop(flooder.tell("maintain"));
            mount.fill(false, true);
            let told = flooder.go(3000);
            assert_eq!(told.number("dropped"), 0, "{about}: {told}\n{}", listing(&logs));
            assert_eq!(notes(&flooder.tell("maintain")), 0, "{about}: {told}");
            unfill(&mount);
            let told = flooder.go(3000);
            assert_eq!(told.number("dropped"), 0, "{about}: {told}");
            let told = flooder.close();
            sampler.assert_within(QUOTA, &about);
            assert_account(&read_whole(&log, &about), 0, &told, &about);
        }
    }
}

/// No history may be given up, and there is no block: the rest of the segment is still ours.
#[test]
fn h37_h38_h49_whoever_keeps_history_loses_the_newest_and_says_so_once() {
    if needs_root() {
        return;
    }
    for (name, mount) in disks() {
        for (full, records) in [("drop", 20_000), ("refuse", 5_000)] {
            let about = format!("{name}, {full}");
            let folder = mount.folder(full);
            let log = folder.join("player.log");
            let full = format!("full={full}");
            let args: Vec<_> = ARGS.into_iter().chain([&*full]).collect();
            let mut flooder = Flooder::start(&log, &args);
            drop(flooder.go(300));
            mount.fill(false, true);
            // What is left of the segment of 512 records.
            drop(flooder.go(records));
            let told = flooder.tell("maintain");
            assert!(told.number("written") >= 1000, "{about}: {told}\n{}", listing(&folder));
            assert!(told.lost_by("disk_full") > records, "{about}: {told}");
            assert_eq!((told.events("LossBegan"), notes(&told)), (1, 1), "{about}: {told}");
            let before = read_whole(&log, &about);
            unfill(&mount);
            drop(flooder.go(1000));
            let told = flooder.tell("maintain");
            assert_eq!(told.events("LossBegan"), 1, "{about}: {told}");
            assert_eq!(told.events("LossEnded"), 1, "{about}: {told}");
            let told = flooder.close();
            let found = read_whole(&log, &about);
            assert_account(&found, 0, &told, &about);
            // The log itself tells of all of them.
            assert_eq!(found.lost.iter().sum::<u64>(), told.number("dropped"), "{about}: {told}");
            assert_eq!(found.records[..before.records.len()], before.records, "{about}");
            assert_no_empty_archive(&folder, &about);
            fs::remove_dir_all(&folder).expect("it goes");
        }
    }
}

#[track_caller]
fn assert_no_empty_archive(folder: &Path, about: &str) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let is_log = entry.file_name() == "player.log";
        let len = entry.metadata().expect("its inode").len();
        assert!(is_log || len > 0, "{about}: {}", listing(folder));
    }
}

/// Takes and gives back blocks until it is told to stop.
fn disturb(mount: &Mount, chance: &mut Chance, stop: &mpsc::Receiver<()>) -> u32 {
    let path = mount.at().join("others.bin");
    let chunk = vec![0x5a; 256 << 10];
    let mut rounds = 0;
    loop {
        let mut file = File::create(&path).expect("a foreign file");
        let most = chance.below(80);
        for _ in 0..most {
            match file.write_all(&chunk) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        chance.wait(15_000);
        drop(file);
        match fs::remove_file(&path) {
            Ok(()) => rounds += 1,
            Err(error) => panic!("{error}"),
        }
        if stop.recv_timeout(Duration::from_millis(chance.below(4)))
            != Err(mpsc::RecvTimeoutError::Timeout)
        {
            return rounds;
        }
    }
}

#[test]
fn h37_while_others_fill_and_free_the_disk_the_quota_holds_and_the_account_is_exact() {
    if needs_root() {
        return;
    }
    for (name, mount) in disks() {
        for delivery in ["written", "buffered", "queued"] {
            let about = format!("{name}, {delivery}");
            let logs = logs(&mount);
            let log = logs.join("player.log");
            let sampler = Sampler::start(&logs, false);
            let delivery = format!("delivery={delivery}");
            let args: Vec<_> = ARGS.into_iter().chain(["codec=zstd", &*delivery]).collect();
            let mut flooder = Flooder::start(&log, &args);
            let (stop, stopped) = mpsc::channel();
            let rounds = std::thread::scope(|scope| {
                let mount = &mount;
                let other = scope.spawn(move || disturb(mount, &mut Chance::new(), &stopped));
                let told = flooder.go(if is_long() { 60_000 } else { 6_000 });
                drop(stop);
                println!(
                    "{about}: {} dropped, longest {} us",
                    told.number("dropped"),
                    told.number("longest_us")
                );
                other.join().expect("no panic")
            });
            // It works again by itself.
            drop(flooder.tell("flush"));
            let before = flooder.tell("maintain").number("dropped");
            let told = flooder.go(500);
            assert_eq!(told.number("dropped"), before, "{about}: {told}");
            let told = flooder.close();
            sampler.assert_within(QUOTA, &about);
            println!("{about}: {rounds} rounds");
            assert_account(&read_whole(&log, &about), 0, &told, &about);
            assert_no_empty_archive(&logs, &about);
            fs::remove_dir_all(&logs).expect("it goes");
        }
    }
}

#[test]
fn h39_a_start_on_a_full_disk_is_refused_or_degraded_and_heals() {
    if needs_root() {
        return;
    }
    for (name, mount) in disks() {
        let folder = logs(&mount);
        let log = folder.join("player.log");
        mount.fill(true, true);
        for degraded in ["no", "yes"] {
            let about = format!("{name}, degraded {degraded}");
            let degraded = format!("degraded={degraded}");
            let args: Vec<_> = ARGS.into_iter().chain([&*degraded]).collect();
            let command = std::process::Command::new(Flooder::program());
            let (mut flooder, told) = Flooder::from(command, &log, &args);
            if !told.0["refused"].is_null() {
                assert_eq!(degraded, "degraded=no", "{about}: {told}");
                println!("{about}: {told}");
                continue;
            }
            drop(flooder.go(5_000));
            let told = flooder.tell("maintain");
            assert_eq!(told.number("written") + told.number("dropped"), 10_000, "{about}: {told}");
            assert!(told.lost_by("disk_full") > 9_000, "{about}: {told}");
            assert_eq!(notes(&told), 1, "{about}: {told}");
            assert_no_empty_archive(&folder, &about);
            if degraded == "degraded=yes" {
                unfill(&mount);
                // Room is looked for once a second.
                drop(flooder.tell("maintain"));
                let before = told.number("dropped");
                let told = flooder.go(1000);
                assert_eq!(told.number("dropped"), before, "{about}: {told}");
                let told = flooder.close();
                let found = read_whole(&log, &about);
                assert_account(&found, 0, &told, &about);
                assert_eq!(found.lost.iter().sum::<u64>(), told.number("dropped"), "{about}");
            } else {
                drop(flooder.close());
                let _ = fs::remove_file(&log);
                mount_again_full(&mount);
            }
        }
    }
}

/// What the log had, somebody else takes.
fn mount_again_full(mount: &Mount) {
    unfill(mount);
    mount.fill(true, true);
}

#[test]
fn h39_a_directory_that_is_missing_is_found_when_it_is_there() {
    let scratch = crate::kit::scratch();
    let folder = scratch.path().join("not").join("yet");
    let log = folder.join("player.log");
    let command = || std::process::Command::new(Flooder::program());
    let (_, told) = Flooder::from(command(), &log, &ARGS);
    assert!(told.0["refused"].as_str().is_some_and(|why| why.contains("not")), "{told}");
    let args: Vec<_> = ARGS.into_iter().chain(["degraded=yes"]).collect();
    for full in ["evict", "drop", "refuse"] {
        let full = format!("full={full}");
        let args: Vec<_> = args.iter().copied().chain([&*full]).collect();
        let (mut flooder, told) = Flooder::from(command(), &log, &args);
        assert!(told.0["refused"].is_null(), "{told}");
        drop(flooder.go(1000));
        let told = flooder.tell("maintain");
        assert_eq!(told.lost_by("unavailable"), 2000, "{told}");
        // Upkeep says so, too, once a second at most.
        assert_eq!(told.events("LossBegan"), 1, "{told}");
        assert!(notes(&told) <= 6, "{told}");
        fs::create_dir_all(&folder).expect("a folder");
        let told = flooder.go(1000);
        assert_eq!((told.number("dropped"), told.number("written")), (2000, 2000), "{told}");
        let told = flooder.close();
        let found = read_whole(&log, "missing");
        assert_account(&found, 0, &told, "missing");
        assert_eq!(found.lost, [2000]);
        fs::remove_dir_all(scratch.path().join("not")).expect("it goes");
    }
}

/// Every inode is taken: a rotation needs one, and has one of its own.
#[test]
fn h40_without_a_free_inode_rotation_goes_on_and_no_segment_grows_past_its_limit() {
    if needs_root() {
        return;
    }
    let mut disks = vec![("tmpfs", Mount::tmpfs("size=24m,nr_inodes=48,mode=0755"))];
    if !needs(&["mkfs.ext4"]) {
        disks.push(("ext4", Mount::ext4(24, &["-N", "64"], "")));
    }
    for (name, mount) in disks {
        for full in ["evict", "drop"] {
            let about = format!("{name}, {full}");
            let folder = mount.folder(full);
            let log = folder.join("player.log");
            let policy = format!("full={full}");
            // What is compressed gives an inode back for a moment: that is another condition.
            let codec = (full == "evict").then_some("codec=zstd");
            let args: Vec<_> = ARGS.into_iter().chain([&*policy]).chain(codec).collect();
            let sampler = Sampler::start(&folder, false);
            let mut flooder = Flooder::start(&log, &args);
            drop(flooder.go(1300));
            drop(flooder.tell("maintain"));
            mount.fill(true, false);
            drop(flooder.go(3000));
            let told = flooder.tell("maintain");
            if full == "evict" {
                assert_eq!(told.number("dropped"), 0, "{about}: {told}\n{}", listing(&folder));
            } else {
                assert!(told.events("LossBegan") <= 1 && notes(&told) <= 2, "{about}: {told}");
            }
            assert!(log.metadata().map_or(0, |log| log.len()) <= MIB, "{}", listing(&folder));
            unfill(&mount);
            let before = flooder.tell("maintain").number("dropped");
            let told = flooder.go(1000);
            assert_eq!(told.number("dropped"), before, "{about}: {told}");
            let told = flooder.close();
            sampler.assert_within(QUOTA, &about);
            assert_account(&read_whole(&log, &about), 0, &told, &about);
            for entry in fs::read_dir(&folder).expect("a folder").flatten() {
                assert!(entry.metadata().expect("it").len() <= MIB, "{}", listing(&folder));
            }
            fs::remove_dir_all(&folder).expect("it goes");
        }
    }
}

/// On a copy-on-write file system, under a quota that others have used up.
#[test]
fn h41_in_a_quota_group_that_others_filled_the_account_is_exact_and_it_heals() {
    if needs_root() || needs(&["mkfs.btrfs", "btrfs"]) {
        return;
    }
    let mount = Mount::image("mkfs.btrfs", &["-q", "-f"], 256, "");
    let at = mount.at();
    let at = at.to_str().expect("UTF-8");
    let sub = format!("{at}/sub");
    let btrfs = |args: &[&str]| system("btrfs", args);
    btrfs(&["-q", "quota", "enable", at]);
    btrfs(&["-q", "subvolume", "create", &sub]);
    btrfs(&["-q", "qgroup", "limit", "16M", &sub]);
    let folder = Path::new(&sub).join("logs");
    fs::create_dir(&folder).expect("a folder");
    let log = folder.join("player.log");
    let sampler = Sampler::start(&folder, false);
    let mut flooder = Flooder::start(&log, &ARGS);
    drop(flooder.go(1500));
    let foreign = Path::new(&sub).join("foreign.bin");
    let mut fill = File::create(&foreign).expect("a foreign file");
    let full = loop {
        let written = fill.write_all(&vec![0x77; 256 << 10]).and_then(|()| fill.sync_data());
        if let Err(error) = written {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::QuotaExceeded, "{full}");
    drop(fill);
    let told = flooder.go(5000);
    println!("with EDQUOT: {told}");
    assert_eq!(told.lost_by("disk_full"), told.number("dropped"), "{told}");
    fs::remove_file(&foreign).expect("it goes");
    // Its blocks come back with the next transaction.
    btrfs(&["filesystem", "sync", at]);
    let before = flooder.tell("maintain").number("dropped");
    let told = flooder.go(1000);
    assert_eq!(told.number("dropped"), before, "{told}");
    let told = flooder.close();
    sampler.assert_within(QUOTA, "btrfs");
    let found = read_whole(&log, "btrfs");
    assert_account(&found, 0, &told, "btrfs");
}
