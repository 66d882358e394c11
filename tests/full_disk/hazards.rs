//! `free` among what only looks like an archive, and stopped in its middle.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use logquota_tests::canary::{Canary, look_at_tree};
use logquota_tests::mounts::{Mount, needs_root, system};
use logquota_tests::strace::{Strace, needs_strace};

use crate::kit::{self, BIN, HOUR, code, file, host, listing, logquota, said};

const MIB: usize = 1 << 20;

fn folder(path: &Path) {
    fs::create_dir_all(path).expect("a folder");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().display().to_string()).collect()
}

/// Links to elsewhere, a second name of a file elsewhere, pipes, folders, and another file system:
/// each with a name that an archive could have.
#[test]
fn h01_h04_h05_h09_on_a_full_disk_nothing_goes_that_only_looks_like_an_archive() {
    if needs_root() {
        return;
    }
    let mount = Mount::tmpfs("size=12m,mode=0755");
    let dir = mount.folder("log");
    folder(&dir);
    for log in ["app.log", "linked.log", "piped.log", "foldered.log", "twice.log"] {
        file(&dir.join(log), b"a line\n", Duration::ZERO);
    }
    for number in 1..=4 {
        file(&dir.join(format!("app.log.{number}")), &vec![b'a'; MIB], HOUR * number);
    }
    let mut canary = Canary::new(&mount.at().join("elsewhere"));
    symlink(mount.at().join("elsewhere"), dir.join("linked.log.1")).expect("a link");
    system("mkfifo", [dir.join("piped.log.1")]);
    folder(&dir.join("foldered.log.1"));
    file(&dir.join("foldered.log.1/a"), b"a\n", HOUR);
    let once = mount.at().join("once");
    file(&once, &vec![b'o'; MIB], HOUR);
    fs::hard_link(&once, dir.join("twice.log.1")).expect("a second name");
    let inner = dir.join("inner");
    folder(&inner);
    system("mount", ["-t", "tmpfs", "-o", "size=4m,mode=0755", "none", &inner.to_string_lossy()]);
    for name in ["app.log", "app.log.1", "app.log.2"] {
        file(&inner.join(name), &vec![b'i'; MIB], HOUR * 99);
    }
    mount.fill_to_the_last_block();
    canary.remember();
    let before = (names(&dir), look_at_tree(&inner));
    let args = ["free", "3M", "--max-fraction", "1", "--yes", "--host", &host()];
    let output = logquota(args.iter().map(AsRef::as_ref).chain([dir.as_os_str()]));
    let after = (names(&dir), look_at_tree(&inner));
    system("umount", [&inner]);
    assert_eq!(code(&output), 0, "{}\n{}", said(&output), listing(&dir));
    assert_eq!(canary.changes(), Vec::<String>::new());
    assert!(before.1 == after.1, "another file system was changed");
    assert_eq!(fs::read(&once).expect("it is there"), vec![b'o'; MIB]);
    let gone: Vec<_> = before.0.difference(&after.0).cloned().collect();
    assert_eq!(gone, ["app.log.2", "app.log.3", "app.log.4"], "{}", said(&output));
}

/// Killed before any of its deletions, what went is a beginning of what was shown; the next call
/// does the rest.
#[test]
fn h28_free_that_is_killed_at_any_deletion_is_finished_by_the_next() {
    if needs_strace() {
        return;
    }
    const ARCHIVES: u32 = 6;
    let host = host();
    let free = ["free", "100%", "--max-fraction", "1"];
    let at_once = ["--yes", "--host", &host];
    for kept in 0..=ARCHIVES {
        let scene = tempfile::tempdir().expect("a folder");
        let dir = scene.path().join("log");
        folder(&dir);
        file(&dir.join("app.log"), b"a line\n", Duration::ZERO);
        file(&dir.join("dump.sql"), b"somebody's\n", HOUR);
        for number in 1..=ARCHIVES {
            file(&dir.join(format!("app.log.{number}")), &vec![b'a'; 9000], HOUR * number);
        }
        // Half of them as a person does it.
        let shown = logquota(free.into_iter().chain(["--json", dir.to_str().expect("UTF-8")]));
        let id = kit::json(&shown)["free"]["apply_id"].as_str().expect("an id").to_owned();
        let by_id = ["--apply", &id];
        let is_by_id = kept % 2 == 1;
        let how = if is_by_id { &by_id[..] } else { &at_once[..] };
        let strace = Strace::new().kill_at("unlinkat", (kept + 1) as usize);
        let mut killed = strace.command(BIN, &scene.path().join("trace"));
        let output = killed.args(free).args(how).arg(&dir).output().expect("strace starts");
        let is_killed = output.status.signal() == Some(9);
        assert_eq!(is_killed, kept < ARCHIVES, "{}", said(&output));
        let all = ["app.log".to_owned(), "dump.sql".to_owned()];
        let left = (1..=ARCHIVES - kept).map(|number| format!("app.log.{number}"));
        assert_eq!(names(&dir), all.iter().cloned().chain(left).collect(), "{}", said(&output));
        if is_by_id {
            let again = Command::new(BIN).args(free).args(by_id).arg(&dir).output();
            assert_eq!(kit::code(&again.expect("it starts")), 5);
        }
        let next = Command::new(BIN).args(free).args(at_once).arg(&dir).output();
        let next = next.expect("it starts");
        assert_eq!(kit::code(&next), 6, "{}", said(&next));
        assert_eq!(names(&dir), all.into_iter().collect(), "{}", said(&next));
    }
}
