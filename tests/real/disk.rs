//! The disk of another machine, mounted here: full to the last block.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::free::SCRIPT;
use crate::kit::{BIN, HOUR, PATIENCE, assert_code, file, listing, noise, said, tree, within};

const CONFIG: &str = "/var/log/*.log {\n rotate 9\n size 1G\n}\n";

fn disk(mount: &Mount) {
    for folder in ["etc", "var", "data/log"] {
        fs::create_dir_all(mount.at().join(folder)).expect("a folder");
    }
    symlink("/data/log", mount.at().join("var/log")).expect("a link");
    let write = |name: &str, text: &str| file(&mount.at().join(name), text.as_bytes(), HOUR);
    write("etc/hostname", "shop-07\n");
    write("etc/machine-id", "fedcba9876543210fedcba9876543210\n");
    write("etc/logquota.conf", CONFIG);
    let log = |name: &str, kib: usize, age: u32| {
        file(&mount.at().join("data/log").join(name), &noise(name, kib << 10), HOUR * 24 * age);
    };
    log("app.log", 300, 0);
    (1..=6).for_each(|number| log(&format!("app.log.{number}"), 600, number));
}

/// By the command that was shown, typed as it stands, while this machine has files of the same
/// names where links on the disk lead.
#[test]
fn the_full_disk_of_another_machine_is_freed_and_nothing_outside_is_touched() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    let outside = tempfile::tempdir().expect("a folder");
    for name in ["app.log", "app.log.1", "app.log.2"] {
        file(&outside.path().join(name), &noise(name, 50_000), HOUR * 48);
    }
    let mount = Mount::ext4(16, &[], "");
    disk(&mount);
    symlink(outside.path(), mount.at().join("data/log/elsewhere")).expect("a link");
    symlink("../../../../../../../../", mount.at().join("data/log/up")).expect("a link");
    mount.fill(false, true);
    let before = tree(outside.path());
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "sh", BIN, "--root"]).arg(mount.at()).current_dir("/");
    let output = within(PATIENCE, &mut command);
    let logs = mount.at().join("data/log");
    let seen = || format!("{}\n{}", said(&output), listing(&logs));
    assert_eq!(output.status.code(), Some(0), "{}", seen());
    assert!(String::from_utf8_lossy(&output.stdout).contains("DISK OF  shop-07"), "{}", seen());
    assert!(mount.free().0 >= 2 << 20, "{:?} {}", mount.free(), seen());
    let left = |number: u32| logs.join(format!("app.log.{number}")).exists();
    assert_eq!(
        [1, 2, 3, 4, 5, 6].map(left),
        [true, true, false, false, false, false],
        "{}",
        seen()
    );
    assert!(tree(outside.path()) == before);
}

/// Such a disk is often mounted read-only at first: it can be looked at, and says why not more.
#[test]
fn h47_a_disk_that_is_mounted_read_only_is_shown_and_left_as_it_is() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    let mount = Mount::ext4(16, &[], "");
    disk(&mount);
    mount.fill(false, true);
    mount.remount("ro");
    let call = |more: &[&str]| {
        let mut command = Command::new(BIN);
        command.args(["free", "2M", "--max-fraction", "1", "--root"]).arg(mount.at()).args(more);
        within(PATIENCE, &mut command)
    };
    assert_code(&call(&[]), 0);
    let output = call(&["--yes", "--host", "shop-07"]);
    assert_code(&output, 6);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("Read-only file system"), "{stderr}");
    let count = fs::read_dir(mount.at().join("data/log")).expect("a folder").count();
    assert_eq!(count, 7);
}

/// What is mounted there later is another disk.
#[test]
fn h23_a_plan_for_a_disk_is_refused_when_another_one_is_mounted_there() {
    if needs_root() || needs(&["unshare"]) {
        return;
    }
    let (mount, other) = (Mount::tmpfs("size=12m,mode=0755"), Mount::tmpfs("size=12m,mode=0755"));
    disk(&mount);
    disk(&other);
    let plan = tempfile::NamedTempFile::new().expect("a file");
    let mut show = Command::new(BIN);
    show.args(["free", "100%", "--max-fraction", "1", "--root"]).arg(mount.at());
    assert_code(&within(PATIENCE, show.arg("-o").arg(plan.path())), 6);
    let script = "mount --bind \"$2\" \"$3\" && exec \"$1\" apply \"$4\"";
    let mut apply = Command::new("unshare");
    apply.args(["-m", "sh", "-c", script, "sh", BIN]).args([&other.at(), &mount.at()]);
    let output = within(PATIENCE, apply.arg(plan.path()));
    assert_code(&output, 5);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("is not the disk that it was"), "{stderr}");
    for disk in [&mount, &other] {
        assert!(disk.at().join("data/log/app.log.6").exists());
    }
    let patience = Duration::from_secs(60);
    assert_code(&within(patience, Command::new(BIN).arg("apply").arg(plan.path())), 6);
    assert!(!mount.at().join("data/log/app.log.6").exists());
    assert!(other.at().join("data/log/app.log.6").exists());
}
