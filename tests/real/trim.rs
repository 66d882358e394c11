//! Logs whose heads are cut off on full disks, while their writers go on at full speed.
//!
//! Records are numbered, so what is left tells what went: the oldest, as much as was planned, and
//! nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use logquota_tests::mounts::{Mount, needs, needs_root};
use serde_json::Value;

use crate::kit::{Scene, is_long, logquota, said};

const CONFIG: &str = "LOGS/*.log {\n monthly\n rotate 3\n quota 4M\n livetrim\n}\n";
const QUOTA: u64 = 4 << 20;

/// What ext4 may need to keep track of a log that was cut, once it was: a block.
const TRACKING: u64 = 1 << 10;

/// Bytes of a record.
pub(crate) const RECORD: usize = 200;

/// Records that are there when the disk is full.
pub(crate) const BEFORE: u64 = 60_000;

/// How long a writer waits for room before it tries again.
const NAP: Duration = Duration::from_millis(1);

/// A file system by its name, how it is made, and whether it closes gaps. Btrfs is not filled: it
/// gives the blocks of a gap back when nothing is left of what was written at once.
pub(crate) type Disk = (&'static str, &'static str, fn() -> Mount, bool);

pub(crate) const DISKS: [Disk; 5] = [
    ("ext4", "mkfs.ext4", || Mount::ext4(32, &["-I", "256"], ""), true),
    ("ext4, small inodes", "mkfs.ext4", || Mount::ext4(32, &["-I", "128"], ""), true),
    ("xfs", "mkfs.xfs", || Mount::image("mkfs.xfs", &["-q", "-f"], 320, ""), true),
    ("btrfs", "mkfs.btrfs", || Mount::image("mkfs.btrfs", &["-q", "-f"], 256, ""), false),
    ("tmpfs", "mount", || Mount::tmpfs("size=24m,mode=0755"), false),
];

pub(crate) fn record(number: u64) -> Vec<u8> {
    let mut bytes = format!("{number:012} ").into_bytes();
    let rest = (bytes.len()..RECORD - 1).map(|at| b'a' + u8::try_from(at % 26).unwrap_or(0));
    bytes.extend(rest);
    bytes.push(b'\n');
    bytes
}

/// Writes records, however long a full disk makes it wait.
pub(crate) fn flood(log: &mut File, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let record = record(number);
        let mut left = record.as_slice();
        while !left.is_empty() {
            match log.write(left) {
                Ok(taken) => left = &left[taken..],
                Err(error) if error.kind() == ErrorKind::StorageFull => std::thread::sleep(NAP),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn open(path: &Path, appends: bool) -> File {
    let mut options = OpenOptions::new();
    let options = if appends { options.append(true) } else { options.write(true) };
    let mut file = options.open(path).expect("the log");
    if !appends {
        file.seek(SeekFrom::End(0)).expect("its end");
    }
    file
}

/// A log with its first records, and its writer.
pub(crate) fn begun(path: &Path, appends: bool) -> File {
    let logs = path.parent().expect("a folder");
    fs::set_permissions(logs, fs::Permissions::from_mode(0o755)).expect("its mode");
    File::create(path).expect("a log");
    let mut log = open(path, appends);
    flood(&mut log, 0..BEFORE);
    log.sync_all().expect("it is written");
    log
}

/// What the heads that were cut off had, as the run reports it.
fn cut(json: &[u8]) -> u64 {
    let run: Value = serde_json::from_slice(json).expect("JSON");
    let steps = run["steps"].as_array().expect("steps");
    let cuts = steps.iter().filter(|step| step["action"] == "trim" && step["outcome"] == "done");
    cuts.map(|step| step["bytes"].as_u64().expect("bytes")).sum()
}

/// A record, the numbers it may have, or what else is there.
pub(crate) fn assert_sequence(content: &[u8], last: u64, about: &str) {
    let torn = content.iter().position(|byte| *byte == b'\n').expect("a record") + 1;
    assert!(torn <= RECORD, "{about}");
    let whole = &content[if torn == RECORD { 0 } else { torn }..];
    let count = u64::try_from(whole.len() / RECORD).expect("a number");
    for (number, found) in (last - count..last).zip(whole.chunks(RECORD)) {
        assert!(
            found == record(number),
            "{about}: record {number} is {:?}",
            String::from_utf8_lossy(found)
        );
    }
    assert_eq!(whole.len() % RECORD, 0, "{about}: the last one is torn");
}

/// Runs a test once more where no processes are but its own, so that root can look at them all:
/// a machine may hide some. True if this is there.
pub(crate) fn is_alone(test: &str) -> bool {
    const INSIDE: &str = "LOGQUOTA_TEST_ALONE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if needs_root() || needs(&["unshare"]) {
        return false;
    }
    let own = std::env::current_exe().expect("this program");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]).arg(own);
    let status = command.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").status();
    assert!(status.expect("it starts").success(), "{test}");
    false
}

fn cut_while_written(appends: bool) {
    let count = if is_long() { 1_000_000 } else { 50_000 };
    for (name, tool, make, closes) in DISKS {
        if needs(&[tool]) {
            continue;
        }
        let about = format!("{name}, appends: {appends}");
        let mount = make();
        let logs = mount.folder("logs");
        let path = logs.join("app.log");
        let mut log = begun(&path, appends);
        if name != "btrfs" {
            mount.fill(false, true);
        }
        let scene = Scene::new();
        let mut args = scene.config(&logs, CONFIG);
        args.push("--json".into());
        let end = BEFORE + count;
        let (mut gone, mut runs) = (0, 0);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| flood(&mut log, BEFORE..end));
            loop {
                let is_last = writer.is_finished();
                if is_last {
                    // Ext4 counts the blocks of its map of the file only when it writes them.
                    File::open(&path).and_then(|log| log.sync_all()).expect("it is written");
                }
                let output = logquota(&args);
                assert_eq!(output.status.code(), Some(0), "{about}: {}", said(&output));
                gone += cut(&output.stdout);
                runs += 1;
                if is_last {
                    break;
                }
            }
        });
        let meta = path.metadata().expect("the log");
        println!("{about}: {runs} runs cut {gone} bytes, {} left", meta.blocks() * 512);
        let content = fs::read(&path).expect("the log");
        let gap = content.iter().take_while(|byte| **byte == 0).count();
        // Xfs reserves blocks behind the end of a log that grows; those do not count.
        let records = u64::try_from(content.len() - gap).expect("a number");
        let used = if name == "xfs" { records } else { meta.blocks() * 512 };
        assert!(used <= QUOTA + TRACKING, "{about}: {used}");
        let written = end * u64::try_from(RECORD).expect("a number");
        if closes && appends {
            assert_eq!(gap, 0, "{about}");
            assert_eq!(meta.len() + gone, written, "{about}");
        } else {
            assert_eq!(meta.len(), written, "{about}");
            assert_eq!(u64::try_from(gap).expect("a number"), gone, "{about}");
        }
        assert_sequence(&content[gap..], end, &about);
    }
}

#[test]
fn a_log_on_a_full_disk_is_cut_while_its_writer_appends_and_nothing_else_is_lost() {
    if is_alone(
        "trim::a_log_on_a_full_disk_is_cut_while_its_writer_appends_and_nothing_else_is_lost",
    ) {
        cut_while_written(true);
    }
}

#[test]
fn a_log_on_a_full_disk_is_cut_while_its_writer_does_not_append_and_nothing_else_is_lost() {
    if !needs_root() {
        cut_while_written(false);
    }
}

/// As XFS does for a log that grows, here by hand. The blocks behind the end are no records, and
/// no record goes for them.
#[test]
fn what_is_reserved_behind_a_log_costs_no_record() {
    let scene = Scene::new();
    let path = scene.logs().join("app.log");
    crate::kit::file(&path, &crate::kit::prose("app", 3 << 20), crate::kit::HOUR);
    let log = OpenOptions::new().write(true).open(&path).expect("the log");
    let keep = rustix::fs::FallocateFlags::KEEP_SIZE;
    if rustix::fs::fallocate(&log, keep, 3 << 20, 6 << 20).is_err() {
        println!("skipped: needs a temporary folder where blocks can be reserved");
        return;
    }
    assert!(log.metadata().expect("the log").blocks() * 512 > 2 * QUOTA);
    let args = scene.config(&scene.logs(), CONFIG);
    let before = fs::read(&path).expect("the log");
    let output = logquota(&args);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(fs::read(&path).expect("the log") == before, "{}", said(&output));
    // What is too long is cut all the same.
    fs::write(&path, crate::kit::prose("app", 6 << 20)).expect("a longer log");
    rustix::fs::fallocate(&log, keep, 6 << 20, 6 << 20).expect("reserved");
    let output = logquota(&args);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let content = fs::read(&path).expect("the log");
    let len = content.iter().skip_while(|byte| **byte == 0).count() as u64;
    assert!(len <= QUOTA && len + (320 << 10) > QUOTA, "{len} {}", said(&output));
}
