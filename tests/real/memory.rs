//! What `free` takes of memory where there are very many files.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use logquota_tests::mounts::{Mount, needs_root};

use crate::kit::{BIN, PATIENCE};

/// What a pipe holds.
const PIPE: usize = 64 << 10;

/// A full file system with so many files: logs with 19 archives each.
fn full(files: usize) -> (Mount, PathBuf) {
    let mount = Mount::tmpfs(&format!("size={}k,mode=0755", (files + 1_000) * 4));
    let dir = mount.folder("log");
    for number in 0..files {
        let (log, archive) = (number / 20, number % 20);
        let name = match archive {
            0 => format!("service-{log:05}.log"),
            _ => format!("service-{log:05}.log.{archive}.gz"),
        };
        fs::write(dir.join(name), b"a record").expect("a file");
    }
    mount.fill(false, true);
    (mount, dir)
}

/// The most memory, in KiB, that `free 10%` has had when it shows what it found.
fn peak(dir: &Path) -> u64 {
    // Into a pipe that is full: so it stops there and can be looked at.
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(&[0; PIPE]).expect("as much as it holds");
    let mut command = Command::new(BIN);
    command.args(["free", "10%"]).arg(dir).stdout(writer).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    // The writing end in here closes.
    drop(command);
    let of_child = |file: &str| {
        fs::read_to_string(format!("/proc/{}/{file}", child.id())).expect("it has not ended")
    };
    let began = Instant::now();
    while !of_child("wchan").contains("pipe_write") {
        assert!(began.elapsed() < PATIENCE, "it shows nothing");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let status = of_child("status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")).expect("a peak");
    let mut shown = Vec::new();
    reader.read_to_end(&mut shown).expect("what it shows");
    let shown = String::from_utf8_lossy(&shown[PIPE..]).into_owned();
    assert!(child.wait().expect("it ends").success(), "{shown}");
    assert!(shown.contains("Delete archives, of the largest log the oldest first"), "{shown}");
    peak.parse().expect("a number")
}

#[test]
fn h50_free_takes_less_than_32_mib_for_20_000_files_and_few_bytes_for_each_more() {
    if needs_root() {
        return;
    }
    if File::open("/proc/self/wchan").is_err() {
        println!("skipped: needs /proc/PID/wchan");
        return;
    }
    let at = |files: usize| {
        let (_mount, dir) = full(files);
        (0..RUNS).map(|_| peak(&dir)).min().expect("there were some")
    };
    let (few, many) = (at(20_000), at(60_000));
    let each = (many.saturating_sub(few) << 10) / 40_000;
    println!("20,000 files: {few} KiB, 60,000: {many} KiB, {each} bytes for each more");
    assert!(few < 32 << 10, "{few} KiB");
    assert!(each <= EACH_MAX, "{each} bytes");
}

/// Of an archive 72 for itself and 24 for its name; a log has 20 files and 700; and 10 % of the
/// archives have a step, with what it takes to check it. That is about 190.
const EACH_MAX: u64 = 200;

/// Two runs over the same files differ by up to 300 KiB, or 7 bytes for each of 40,000: threads look
/// at files, and where the allocator puts what they need is not always the same. The least of
/// so many runs differs less.
const RUNS: usize = 5;
