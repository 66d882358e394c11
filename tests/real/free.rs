//! `free` on real file systems that are full to the last block or inode, and with nothing that a
//! program usually has.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::kit::{BIN, HOUR, PATIENCE, assert_code, listing, noise, said, within};

const MIB: u64 = 1 << 20;

/// What a script does: shows, takes the command from what was shown, and does that. With ten
/// descriptors, no home, no folder for temporary files, no terminal type, and nothing to read.
pub(crate) const SCRIPT: &str = r#"
unset TERM
export HOME=/nonexistent TMPDIR=/nonexistent XDG_STATE_HOME=/nonexistent
exec <&-
ulimit -n 10
program=$1; shift
shown=$("$program" free 2M --max-fraction 1 "$@") || exit 90
eval "${shown##*

}""#;

fn free(dir: &Path) -> Output {
    let mut command = Command::new("sh");
    within(PATIENCE, command.args(["-c", SCRIPT, "sh", BIN]).arg(dir).current_dir("/"))
}

fn logs(mount: &Mount) -> PathBuf {
    let dir = mount.folder("log");
    let file = |name: &str, kib: usize, age: u32| {
        crate::kit::file(&dir.join(name), &noise(name, kib << 10), HOUR * 24 * age + HOUR);
    };
    file("app.log", 300, 0);
    (1..=4).for_each(|number| file(&format!("app.log.{number}"), 600, number));
    file("db.log", 100, 0);
    (1..=4).for_each(|number| file(&format!("db.log.{number}.gz"), 300, number));
    dir
}

/// By blocks, and by inodes besides.
fn is_freed(name: &str, mount: &Mount, inodes: bool) {
    let dir = logs(mount);
    mount.fill(inodes, true);
    let (bytes, files) = mount.free();
    assert!(bytes < 64 << 10 && (!inodes || files == 0), "{name}: {bytes}, {files}");
    let output = free(&dir);
    let seen = || format!("{name}: {}\n{}", said(&output), listing(&dir));
    assert_eq!(output.status.code(), Some(0), "{}", seen());
    assert!(mount.free().0 >= 2 * MIB, "{:?} {}", mount.free(), seen());
    // The largest log's oldest ones, and no more than that took.
    for (file, stays) in [("app.log", true), ("db.log", true), ("db.log.3.gz", true)] {
        assert_eq!(dir.join(file).exists(), stays, "{file} {}", seen());
    }
    assert!(!dir.join("app.log.4").exists() && mount.at().join("foreign.bin").exists());
}

#[test]
fn a_tmpfs_without_a_free_block_has_its_room_by_the_command_that_was_shown() {
    if needs_root() {
        return;
    }
    is_freed("tmpfs", &Mount::tmpfs("size=12m"), false);
    is_freed("tmpfs, no inodes", &Mount::tmpfs("size=12m,nr_inodes=48"), true);
}

/// `free 10 --inodes` where no inode is left and much space.
fn has_inodes(name: &str, mount: &Mount) {
    let dir = logs(mount);
    mount.fill(true, false);
    assert_eq!(mount.free().1, 0, "{name}");
    let hint = crate::kit::logquota([OsStr::new("free"), OsStr::new("0"), dir.as_os_str()]);
    assert!(said(&hint).contains("free 1000 --inodes"), "{name}: {}", said(&hint));
    let mut shown = Command::new("sh");
    let script = SCRIPT.replace("free 2M", "free 3 --inodes");
    let shown = within(PATIENCE, shown.args(["-c", &script, "sh", BIN]).arg(&dir).current_dir("/"));
    let seen = || format!("{name}: {}\n{}", said(&shown), listing(&dir));
    assert_eq!(shown.status.code(), Some(0), "{}", seen());
    assert_eq!(mount.free().1, 3, "{}", seen());
    assert!(said(&shown).contains("3 inodes as the file system says"), "{}", seen());
    for file in ["app.log", "app.log.1", "db.log", "db.log.1.gz"] {
        assert!(dir.join(file).exists(), "{file} {}", seen());
    }
}

#[test]
fn h40_a_file_system_without_a_free_inode_has_as_many_as_were_asked_for() {
    if needs_root() {
        return;
    }
    has_inodes("tmpfs", &Mount::tmpfs("size=64m,nr_inodes=48"));
    if !needs(&["mkfs.ext4"]) {
        has_inodes("ext4", &Mount::ext4(32, &["-N", "64"], ""));
    }
}

#[test]
fn an_ext4_without_a_free_block_has_its_room_by_the_command_that_was_shown() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    is_freed("ext4", &Mount::ext4(16, &[], ""), false);
    is_freed("ext4, no inodes", &Mount::ext4(16, &["-N", "64"], ""), true);
}

/// Closed, or on the disk that is full: what was asked for is done all the same.
#[test]
fn where_nothing_can_be_said_it_is_done_all_the_same() {
    if needs_root() {
        return;
    }
    for (stdout, code) in [(">&-", 0), (">/dev/full", 1)] {
        let mount = Mount::tmpfs("size=12m");
        let dir = logs(&mount);
        mount.fill(false, true);
        let script = format!(
            "exec \"$1\" free 2M \"$2\" --max-fraction 1 --yes --host \"$(uname -n)\" {stdout}"
        );
        let mut command = Command::new("sh");
        let output = within(PATIENCE, command.args(["-c", &script, "sh", BIN]).arg(&dir));
        assert_code(&output, code);
        assert!(mount.free().0 >= 2 * MIB, "{stdout}: {:?}", mount.free());
    }
}

/// The same folder, seen through another mount in a mount namespace of its own.
#[test]
fn h23_a_plan_for_one_mount_is_refused_on_another() {
    if needs_root() || needs(&["unshare"]) {
        return;
    }
    let mount = Mount::tmpfs("size=12m");
    let dir = logs(&mount);
    let (config, plan) = (mount.at().join("logquota.conf"), mount.at().join("plan.json"));
    let text = format!("{}/*.log {{\n    rotate 9\n    size 1G\n}}\n", dir.display());
    crate::kit::file(&config, text.as_bytes(), HOUR);
    let mut show = Command::new(BIN);
    show.args(["free", "100%", "--max-fraction", "1", "-o"]).args([&plan]).arg("--config");
    assert_code(&within(PATIENCE, show.arg(&config)), 6);
    let script = "mount --bind \"$2\" \"$2\" && exec \"$1\" apply \"$3\"";
    let mut other = Command::new("unshare");
    other.args(["-m", "sh", "-c", script, "sh", BIN]).args([&dir, &plan]);
    let output = within(PATIENCE, &mut other);
    assert_code(&output, 5);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("is not the folder that it was"), "{stderr}");
    assert!(dir.join("app.log.4").exists());
    let here = within(PATIENCE, Command::new(BIN).arg("apply").arg(&plan));
    assert_code(&here, 6);
    assert!(!dir.join("app.log.4").exists());
}

/// A subvolume is no mount, but a device of its own, whose inodes have the same numbers.
#[test]
fn logs_on_a_subvolume_of_btrfs_are_not_said_to_be_not_ours() {
    if needs_root() || needs(&["mkfs.btrfs", "btrfs"]) {
        return;
    }
    let mount = Mount::image("mkfs.btrfs", &["-q", "-f"], 256, "");
    let dir = logs(&mount);
    let sub = dir.join("sub");
    logquota_tests::mounts::system("btrfs", ["-q", "subvolume", "create", &utf8(&sub)]);
    for place in [&dir, &sub] {
        crate::kit::file(&place.join("web.log"), &noise("web", 400 << 10), HOUR);
        crate::kit::file(&place.join("web.log.1"), &noise("old", 400 << 10), HOUR * 30);
        crate::kit::file(&place.join("core"), &noise("core", 200 << 10), HOUR);
    }
    let config = mount.at().join("logquota.conf");
    let block = |place: &Path| format!("{}/*.log {{\n rotate 9\n size 1G\n}}\n", place.display());
    let block = [block(&dir), block(&sub)].concat();
    crate::kit::file(&config, block.as_bytes(), HOUR);
    rustix::fs::sync();
    for place in [&dir, &sub] {
        let mut command = Command::new(BIN);
        command.args(["free", "0", "--json", "--on"]).arg(place).arg("--config").arg(&config);
        let output = within(PATIENCE, &mut command);
        assert_code(&output, 0);
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let not_ours = &shown["free"]["not_ours"];
        let found = not_ours["largest"].as_array().expect("a list").iter();
        let paths: Vec<_> = found.map(|file| file["path"].as_str().expect("a path")).collect();
        assert_eq!(paths, [utf8(&place.join("core"))], "{not_ours}");
        assert_eq!((&not_ours["files"], &not_ours["bytes"]), (&1.into(), &(200 << 10).into()));
    }
}

fn utf8(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}
