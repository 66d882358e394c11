//! `free --trim-active` on full disks, while the writers of the logs go on at full speed.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Output;

use logquota::{Appender, Bytes};
use logquota_tests::mounts::{Mount, needs, needs_root};
use serde_json::Value;

use crate::kit::{HOUR, file, is_long, logquota, noise, said};
use crate::trim::{BEFORE, DISKS, RECORD, assert_sequence, begun, flood, is_alone};

/// So much shall be free.
const WANTED: u64 = 2 << 20;

/// What stays of each log, as `docs/full-disk.md` promises.
const KEPT: u64 = 64 << 10;

/// Without a plan that is shown first, as a script does it.
fn free(dir: &std::path::Path, more: &[&str]) -> Output {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let args = ["free", "2M", "--max-fraction", "1", "--json", "--yes", "--host", &host];
    let dir = dir.to_str().expect("UTF-8");
    logquota(args.into_iter().chain(more.iter().copied()).chain([dir]))
}

fn cut(output: &Output) -> u64 {
    let run: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    run["free"]["cut_bytes"].as_u64().expect("bytes")
}

fn freed_while_written(appends: bool) {
    let count = if is_long() { 1_000_000 } else { 50_000 };
    for (name, tool, make, closes) in DISKS {
        // Btrfs gives the blocks of a gap back when nothing is left of what was written at once.
        if needs(&[tool]) || name == "btrfs" {
            continue;
        }
        let about = format!("{name}, appends: {appends}");
        let mount = make();
        let logs = mount.folder("logs");
        let path = logs.join("app.log");
        let mut log = begun(&path, appends);
        file(&logs.join("app.log.1"), &noise("archive", 100 << 10), HOUR);
        mount.fill(false, true);
        let output = free(&logs, &[]);
        assert_eq!(output.status.code(), Some(6), "{about}: {}", said(&output));
        assert!(!logs.join("app.log.1").exists(), "{about}");
        let end = BEFORE + count;
        let (mut told, mut runs) = (0, 0);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| flood(&mut log, BEFORE..end));
            loop {
                let is_last = writer.is_finished();
                let output = free(&logs, &["--trim-active"]);
                let code = output.status.code();
                // The writer takes what was freed for it.
                let is_well = code == Some(0) || code == Some(6) && !is_last;
                assert!(is_well, "{about}: {}", said(&output));
                told += cut(&output);
                runs += 1;
                if is_last {
                    break;
                }
            }
        });
        let meta = path.metadata().expect("the log");
        let content = fs::read(&path).expect("the log");
        let gap = content.iter().take_while(|byte| **byte == 0).count();
        let written = end * u64::try_from(RECORD).expect("a number");
        let (len, hole) = (meta.len(), u64::try_from(gap).expect("a number"));
        let gone = if closes && appends { written - len } else { hole };
        println!("{about}: {runs} runs cut {gone} bytes, {} left", meta.blocks() * 512);
        assert!(gone > 0 && gone == told, "{about}: {gone}, told {told}");
        assert_eq!(len + gone, written + hole, "{about}");
        assert!(written - gone >= KEPT, "{about}");
        assert!(mount.free().0 >= WANTED, "{about}: {:?}", mount.free());
        assert_sequence(&content[gap..], end, &about);
    }
}

#[test]
fn a_full_disk_is_freed_while_the_writer_appends_and_only_its_oldest_records_are_lost() {
    if is_alone(
        "cut_to_free::a_full_disk_is_freed_while_the_writer_appends_and_only_its_oldest_records_are_lost",
    ) {
        freed_while_written(true);
    }
}

#[test]
fn a_full_disk_is_freed_while_the_writer_does_not_append_and_only_its_oldest_records_are_lost() {
    if !needs_root() {
        freed_while_written(false);
    }
}

/// Two logs: the longer one gives first, and each keeps its newest.
#[test]
fn the_longest_log_gives_first_and_of_each_the_newest_stays() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    let mount = Mount::ext4(16, &[], "");
    let logs = mount.folder("logs");
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o755)).expect("its mode");
    let big = noise("big", 3 << 20);
    file(&logs.join("big.log"), &big, HOUR);
    file(&logs.join("small.log"), &noise("small", 300 << 10), HOUR);
    mount.fill(false, true);
    let output = free(&logs, &["--trim-active"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let left = |name: &str| fs::read(logs.join(name)).expect("a log");
    assert_eq!(left("small.log").len(), 300 << 10);
    let kept = left("big.log");
    let kept = &kept[kept.iter().take_while(|byte| **byte == 0).count()..];
    assert!(big.ends_with(kept), "{}", kept.len());
    let free_now = mount.free().0;
    assert!((WANTED..WANTED + (64 << 10)).contains(&free_now), "{free_now}");
}

/// Whoever writes to it by a quota of his own: the other one gives in its place, though it is
/// shorter.
#[test]
fn a_log_that_an_appender_holds_stays_whole_and_the_other_gives_for_it() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    let mount = Mount::ext4(16, &[], "");
    let logs = mount.folder("logs");
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o755)).expect("its mode");
    let held = noise("held", 4 << 20);
    file(&logs.join("held.log"), &held, HOUR);
    file(&logs.join("other.log"), &noise("other", 3 << 20), HOUR);
    let appender = Appender::builder(logs.join("held.log")).rotate_at(Bytes::mib(8));
    let appender = appender.quota(Bytes::mib(16)).open().expect("an appender");
    mount.fill(false, true);
    let output = free(&logs, &["--trim-active"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(cut(&output) >> 20, 2, "{}", said(&output));
    assert!(fs::read(logs.join("held.log")).expect("a log").starts_with(&held));
    assert!(mount.free().0 >= WANTED, "{:?}", mount.free());
    drop(appender);
}
