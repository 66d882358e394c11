//! Between what was shown and what is done, another disk comes into the place of the first, and
//! nothing on it tells that it is another one: it is a copy of all its blocks.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::kit::{HOUR, code, file, json, logquota, said};

const ARCHIVES: u32 = 3;

/// How often: on a kernel that uses numbers of mounts again, not each of them is at once.
const ROUNDS: u32 = 4;

fn disk() -> Mount {
    let mount = Mount::ext4(8, &[], "noatime");
    let dir = mount.folder("log");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("its mode");
    file(&dir.join("app.log"), b"a line\n", Duration::ZERO);
    for number in 1..=ARCHIVES {
        file(&dir.join(format!("app.log.{number}")), &[b'a'; 9000], HOUR * number);
    }
    fs::create_dir(mount.at().join("etc")).expect("a folder");
    file(&mount.at().join("etc/hostname"), b"shop-07\n", HOUR);
    mount
}

fn archives(mount: &Mount) -> u32 {
    let is_there = |number: &u32| mount.at().join(format!("log/app.log.{number}")).exists();
    u32::try_from((1..=ARCHIVES).filter(is_there).count()).expect("a few")
}

/// `free`, of this system or of the disk as that of another machine.
fn free(mount: &Mount, is_root: bool, more: &[&str]) -> Output {
    let at = mount.at();
    let here = at.join("log");
    let mut args = vec!["free", "100%", "--max-fraction", "1", "--json"];
    match is_root {
        true => args.extend(["/log", "--root", at.to_str().expect("UTF-8")]),
        false => args.push(here.to_str().expect("UTF-8")),
    }
    args.extend(more);
    logquota(args)
}

#[test]
fn h23_what_was_shown_is_not_done_to_a_copy_of_the_disk_in_the_same_place() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let plan = scratch.path().join("plan.json");
    let plan = plan.to_str().expect("UTF-8");
    for is_root in [true, false] {
        let mut mount = disk();
        for round in 0..ROUNDS {
            let shown = free(&mount, is_root, &["-o", plan]);
            assert_eq!(code(&shown), 6, "{}", said(&shown));
            let id = json(&shown)["free"]["apply_id"].as_str().expect("an id").to_owned();
            let identity = |mount: &Mount| {
                let found = fs::metadata(mount.at().join("log")).expect("its inode");
                (found.dev(), found.ino())
            };
            let before = identity(&mount);
            mount = mount.replaced_by_a_copy();
            assert_eq!(identity(&mount), before, "the test is too easy");
            let by_plan = logquota([Path::new("apply"), plan.as_ref()]);
            let by_id = free(&mount, is_root, &["--apply", &id]);
            for output in [&by_plan, &by_id] {
                assert_eq!(code(output), 5, "round {round}: {}", said(output));
            }
            assert!(said(&by_plan).contains("inode or mount is another one"), "{}", said(&by_plan));
            assert_eq!(archives(&mount), ARCHIVES);
        }
    }
}

/// Other options, and other mounts elsewhere, do not make it another one.
#[test]
fn what_was_shown_is_done_where_nothing_was_mounted_anew() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    for is_root in [true, false] {
        let mount = disk();
        let shown = free(&mount, is_root, &[]);
        let id = json(&shown)["free"]["apply_id"].as_str().expect("an id").to_owned();
        mount.remount("ro");
        mount.remount("rw,nosuid");
        let other = Mount::tmpfs("size=1m");
        let done = free(&mount, is_root, &["--apply", &id]);
        drop(other);
        assert_eq!(code(&done), 6, "{}", said(&done));
        assert_eq!(archives(&mount), 0, "{}", said(&done));
    }
}
