//! Real file systems that are full to the last block and to the last inode.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::kit::{
    BIN, HOUR, PATIENCE, Scene, assert_code, assert_tidy, contents, du, files, folder_run, listing,
    logquota, noise, plain, prose, said, used_by_files, wait,
};

const MIB: u64 = 1 << 20;

/// The quota of all sets here.
const QUOTA: u64 = 2 * MIB;

/// A file system by its name, how it is made, and in which ways it is filled.
type Disk = (&'static str, fn() -> Mount, &'static [Full]);

/// How it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Blocks,
    Inodes,
    Both,
}

const ALL: &[Full] = &[Full::Blocks, Full::Inodes, Full::Both];

/// XFS makes inodes as it needs them, and takes back those of deleted files in its own time.
const DISKS: [Disk; 4] = [
    ("tmpfs", || Mount::tmpfs("size=8m,nr_inodes=32"), ALL),
    ("ext4", || Mount::ext4(16, &[], ""), &[Full::Blocks]),
    ("ext4 with few inodes", || Mount::ext4(16, &["-N", "64"], ""), ALL),
    ("xfs", || Mount::image("mkfs.xfs", &["-q", "-f"], 320, ""), &[Full::Blocks]),
];

/// Each file system in each way; those that cannot be made here are said and left out.
fn disks() -> impl Iterator<Item = (String, Full, Mount)> {
    let is_there = |disk: &Disk| {
        !(disk.0.starts_with("ext4") && needs(&["mkfs.ext4"])
            || disk.0 == "xfs" && needs(&["mkfs.xfs"]))
    };
    let ways = |(name, make, ways): Disk| {
        ways.iter().map(move |full| (format!("{name}, {full:?}"), *full, make()))
    };
    DISKS.into_iter().filter(is_there).flat_map(ways)
}

/// A foreign file takes the last block, foreign files take the last inodes.
fn fill(mount: &Mount, full: Full) {
    mount.fill(full != Full::Blocks, full != Full::Inodes);
    let (bytes, inodes) = mount.free();
    assert!(full == Full::Inodes || bytes < 64 << 10, "{full:?}: {bytes} bytes free");
    assert!(full == Full::Blocks || inodes == 0, "{full:?}: {inodes} inodes free");
}

fn log(path: &Path, content: &[u8], age: u32) {
    crate::kit::file(path, content, HOUR * 24 * age + HOUR);
}

/// Over the quota: two logs that are due, archives of 3 MiB.
fn overfull(mount: &Mount) -> PathBuf {
    let logs = mount.folder("logs");
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o755)).expect("its mode");
    log(&logs.join("app.log"), &prose("app", 700 << 10), 0);
    for number in 1..=4 {
        let name = format!("app.log.{number}");
        log(&logs.join(&name), &noise(&name, 600 << 10), number);
    }
    log(&logs.join("db.log"), &noise("db", 300 << 10), 0);
    log(&logs.join("db.log.1"), &prose("db.log.1", 300 << 10), 1);
    logs
}

const CONFIG: &str =
    "LOGS/*.log {\n size 256k\n rotate 4\n compress\n create 0640\n quota 2M\n notifempty\n}\n";

#[test]
fn h40_h49_a_folder_on_a_full_disk_is_brought_under_its_quota_by_one_run() {
    if needs_root() {
        return;
    }
    for (about, full, mount) in disks() {
        let logs = overfull(&mount);
        fill(&mount, full);
        let before = du(&logs);
        assert!(before > QUOTA, "{about}: {before}");
        let output = logquota(folder_run(&logs, "2M", &[]));
        let seen = || format!("{about}: {}\n{}", said(&output), listing(&logs));
        assert_eq!(output.status.code(), Some(0), "{}", seen());
        assert!(du(&logs) <= QUOTA, "{}", seen());
        assert_whole(&logs, &seen());
    }
}

#[test]
fn h40_h49_a_configuration_on_a_full_disk_is_brought_under_its_quota_by_one_run() {
    if needs_root() {
        return;
    }
    for is_state_there in [false, true] {
        for (about, full, mount) in disks() {
            let about = format!("{about}, state on it: {is_state_there}");
            let scene = Scene::new();
            let logs = overfull(&mount);
            let mut args = scene.config(&logs, CONFIG);
            if is_state_there {
                args[2] = mount.at().join("state").into();
            }
            fill(&mount, full);
            let before = used_by_files(&logs);
            assert!(before > QUOTA, "{about}: {before}");
            let output = logquota(&args);
            let seen = || format!("{about}: {}\n{}", said(&output), listing(&logs));
            assert_eq!(output.status.code(), Some(0), "{}", seen());
            assert!(used_by_files(&logs) <= QUOTA, "{}", seen());
            assert_whole(&logs, &seen());
            // They rotated, and have their new logs.
            for name in ["app.log", "db.log"] {
                let len = logs.join(name).metadata().map(|meta| meta.len());
                assert_eq!(len.ok(), Some(0), "{}", seen());
            }
            if is_state_there {
                let state = fs::read(mount.at().join("state")).expect("the state");
                assert!(state.len() > 40, "{}", String::from_utf8_lossy(&state));
            }
        }
    }
}

/// What every run must leave of [`overfull`].
fn assert_whole(logs: &Path, about: &str) {
    assert_tidy(logs, about);
    assert_no_empty_archive(logs, about);
    let found = contents(logs);
    for newest in [prose("app", 700 << 10), noise("db", 300 << 10)] {
        assert!(found.contains(&newest), "the newest is gone: {about}");
    }
}

/// Nothing is over its quota: the rotation alone needs an inode, and there is none.
#[test]
fn h40_a_rotation_without_a_free_inode_gives_up_the_oldest_archive_first() {
    if needs_root() {
        return;
    }
    let disks = disks().filter(|(_, full, _)| *full == Full::Inodes);
    for (disk, full, mount) in disks {
        let scene = Scene::new();
        let logs = mount.folder("logs");
        log(&logs.join("app.log"), &prose("app", 300 << 10), 0);
        for number in 1..=3 {
            let name = format!("app.log.{number}");
            log(&logs.join(&name), &prose(&name, 40 << 10), number);
        }
        let args = scene.config(&logs, CONFIG);
        fill(&mount, full);
        let output = logquota(&args);
        let seen = || format!("{disk}: {}\n{}", said(&output), listing(&logs));
        assert_eq!(output.status.code(), Some(0), "{}", seen());
        assert_eq!(
            logs.join("app.log").metadata().map(|meta| meta.len()).ok(),
            Some(0),
            "{}",
            seen()
        );
        assert!(contents(&logs).contains(&prose("app", 300 << 10)), "{}", seen());
        assert_tidy(&logs, &seen());
    }
}

fn assert_no_empty_archive(logs: &Path, about: &str) {
    for path in files(logs) {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let len = path.metadata().expect("its inode").len();
        assert!(is_log || len > 0, "h49: {} is empty: {about}", path.display());
    }
}

/// A folder that a run has much to do in.
fn scene() -> Scene {
    let scene = Scene::new();
    let logs = scene.logs();
    log(&logs.join("app.log"), &prose("app", 70 << 10), 0);
    for number in 1..=4 {
        let name = format!("app.log.{number}");
        log(&logs.join(&name), &noise(&name, 60 << 10), number);
    }
    scene
}

/// Runs with this standard output; what a run with a good one leaves must be left.
fn assert_output_does_not_matter(stdout: impl Into<Stdio>, more: &[&str], about: &str) {
    let good = scene();
    let output = logquota(folder_run(&good.logs(), "200k", more));
    assert_code(&output, 0);
    let bad = scene();
    let mut command = Command::new(BIN);
    command.args(folder_run(&bad.logs(), "200k", more)).stdout(stdout).stderr(Stdio::piped());
    let child = plain(&mut command).spawn().expect("the program starts");
    // The descriptor in the command would keep a pipe open.
    drop(command);
    let output = wait(PATIENCE, child);
    assert_eq!(output.status.code(), Some(1), "{about}: {}", said(&output));
    assert_eq!(contents(&good.logs()), contents(&bad.logs()), "{about}");
    assert!(du(&bad.logs()) <= 200 << 10, "{about}");
    assert_tidy(&bad.logs(), about);
}

#[test]
fn output_onto_a_full_device_or_into_a_closed_pipe_changes_only_the_exit_code() {
    for more in [&[][..], &["--json"], &["-v"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("it is always there");
        assert_output_does_not_matter(full, more, &format!("/dev/full {more:?}"));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_output_does_not_matter(writer, more, &format!("closed pipe {more:?}"));
    }
}

#[test]
fn output_onto_a_full_disk_changes_only_the_exit_code() {
    if needs_root() {
        return;
    }
    let mount = Mount::tmpfs("size=1m");
    let out = File::create(mount.at().join("out")).expect("a file");
    mount.fill(false, true);
    assert_output_does_not_matter(out, &[], "full tmpfs");
}

/// The plan itself is written onto the full disk that the logs are on, and has its place when
/// they are gone.
#[test]
fn a_run_whose_output_goes_to_the_disk_that_it_frees_is_whole() {
    if needs_root() {
        return;
    }
    let mount = Mount::tmpfs("size=8m,nr_inodes=32");
    let logs = overfull(&mount);
    let out = File::create(mount.at().join("out")).expect("a file");
    mount.fill(false, true);
    let mut command = Command::new(BIN);
    command.args(folder_run(&logs, "2M", &[])).stdout(out).stderr(Stdio::piped());
    let output = wait(PATIENCE, plain(&mut command).spawn().expect("the program starts"));
    assert_code(&output, 0);
    assert!(du(&logs) <= QUOTA, "{}", listing(&logs));
    assert!(fs::metadata(mount.at().join("out")).expect("the output").len() > 0);
}
