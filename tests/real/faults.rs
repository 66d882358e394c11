//! The system lies, fails and interrupts.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use logquota_tests::mounts::{Mount, needs, needs_root};
use logquota_tests::strace::{Strace, needs_strace};

use crate::kill::{WORKLOADS, Workload, cuts, in_parallel, traced};
use crate::kit::{
    HOUR, Scene, assert_code, assert_tidy, contents, du, file, files, folder_run, listing,
    logquota, noise, prose, said, tree, unpacked,
};

/// Runs with a fault, then without: nothing that an undisturbed run keeps may be missing at
/// any time, and the next run ends with the set in order. (It may keep more: what a refused
/// deletion left is not evicted any more when compression made room for it.) Says whether the
/// fault was hit.
fn fault_once(workload: &Workload, fault: &str, whole: &[Vec<u8>]) -> bool {
    let about = format!("{}, {fault}", workload.name);
    let (scene, args) = workload.scene();
    let logs = scene.logs();
    let output = traced(&Strace::new().serial().inject(fault), &scene, &args);
    let trace = std::fs::read_to_string(scene.path("trace")).expect("a trace");
    let call = fault.split(':').next().unwrap_or_default();
    let is_hit = |line: &str| line.contains(&format!(" {call}(")) && line.contains("(INJECTED)");
    let is_hit = trace.lines().any(is_hit);
    let seen = format!("{about}: {}\n{}", said(&output), listing(&logs));
    let seen = || seen.clone();
    let code = output.status.code();
    assert!(code == Some(0) || code == Some(1), "{}", seen());
    if code == Some(0) {
        // Only what costs nothing may fail without a word.
        assert_tidy(&logs, &seen());
        assert_eq!(contents(&logs).len(), whole.len(), "{}", seen());
    }
    assert_keeps(whole, &logs, &seen());

    let output = logquota(&args);
    let then = || format!("{}\nnext run: {}\n{}", seen(), said(&output), listing(&logs));
    assert_eq!(output.status.code(), Some(0), "{}", then());
    assert_tidy(&logs, &then());
    assert_keeps(whole, &logs, &then());
    if let Some(quota) = workload.quota {
        assert!(workload.used(&logs) <= quota, "{}", then());
    }
    let mut found = contents(&logs);
    found.retain(|content| !content.is_empty());
    let count = found.len();
    found.dedup();
    assert_eq!(found.len(), count, "something is there twice: {}", then());
    let before = tree(&logs);
    assert_code(&logquota(&args), 0);
    assert!(tree(&logs) == before, "not settled: {}", then());
    is_hit
}

/// Fails unless all of `whole` is there, whatever it is called. Empty logs are not missed.
fn assert_keeps(whole: &[Vec<u8>], logs: &Path, about: &str) {
    let is_finished = |path: &&PathBuf| !path.to_string_lossy().contains(".logquota-");
    let files = files(logs);
    let found: BTreeSet<_> = files.iter().filter(is_finished).map(|path| unpacked(path)).collect();
    for content in whole.iter().filter(|content| !content.is_empty()) {
        assert!(found.contains(content), "lost: {} bytes: {about}", content.len());
    }
}

/// For each workload: each of `faults` at each call.
fn at_every_call(faults: &[(&str, &str)]) {
    let mut jobs = Vec::new();
    for workload in WORKLOADS {
        let (cuts, whole) = cuts(workload);
        let whole = std::sync::Arc::new(whole);
        for (call, error) in faults {
            let numbers = cuts.iter().filter(|cut| cut.call == *call).map(|cut| cut.number);
            for number in numbers {
                let fault = format!("{call}:error={error}:when={number}");
                jobs.push((workload, fault, std::sync::Arc::clone(&whole)));
            }
        }
    }
    assert!(jobs.len() > 10, "{} cases", jobs.len());
    in_parallel(&jobs, |(workload, fault, whole)| {
        assert!(fault_once(workload, fault, whole), "{}, {fault}: no such call", workload.name);
    });
}

#[test]
fn h54_a_flush_that_fails_once_is_not_believed_the_second_time_and_the_source_stays() {
    if needs_strace() {
        return;
    }
    at_every_call(&[("fsync", "EIO")]);
    // What failed is said.
    for workload in WORKLOADS {
        let (scene, args) = workload.scene();
        let fault = "fsync:error=EIO:when=1+";
        let output = traced(&Strace::new().serial().inject(fault), &scene, &args);
        assert_code(&output, 1);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("flush") || stderr.contains("sync"), "{stderr}");
    }
}

#[test]
fn h55_h47_a_change_that_is_refused_once_costs_nothing_and_the_next_run_makes_it() {
    if needs_strace() {
        return;
    }
    let mut faults = vec![
        ("renameat2", "EIO"),
        ("unlinkat", "EACCES"),
        ("unlinkat", "ENOSPC"),
        ("write", "ENOSPC"),
        ("write", "EDQUOT"),
        ("fchmod", "EPERM"),
        ("utimensat", "EIO"),
        ("ftruncate", "EIO"),
        ("mkdirat", "EDQUOT"),
    ];
    if crate::kit::is_long() {
        for error in ["EROFS", "ENOSPC", "EMFILE", "EIO"] {
            faults
                .extend(["renameat2", "unlinkat", "write", "fchmod", "openat"].map(|c| (c, error)));
        }
    }
    at_every_call(&faults);
}

/// A call that a signal interrupted is made again; the run does not even notice.
#[test]
fn h55_interrupted_calls_are_made_again() {
    if needs_strace() {
        return;
    }
    let calls = ["write", "fchmod", "renameat2", "unlinkat", "utimensat", "ftruncate"];
    in_parallel(WORKLOADS, |workload| {
        let (_, whole) = cuts(workload);
        for call in calls {
            let (scene, args) = workload.scene();
            // Every second call, from the first.
            let fault = format!("{call}:error=EINTR:when=1+2");
            let output = traced(&Strace::new().serial().inject(&fault), &scene, &args);
            let about = format!("{}, {fault}: {}", workload.name, said(&output));
            assert_eq!(output.status.code(), Some(0), "{about}");
            assert_eq!(contents(&scene.logs()), whole, "{about}");
            assert_tidy(&scene.logs(), &about);
        }
    });
}

/// Reading the source of a compression or of a copy fails, or is interrupted.
#[test]
fn h55_a_source_that_cannot_be_read_stays_and_one_that_is_interrupted_is_read_on() {
    if needs_strace() {
        return;
    }
    let config = "LOGS/*.log {\n size 8k\n rotate 9\n METHOD\n compress\n}\n";
    for (method, source) in [("create", "app.log.1"), ("copytruncate", "app.log")] {
        for (fault, code) in [
            ("read:error=EINTR:when=1+2", 0),
            ("read:error=EIO:when=1", 1),
            ("read:error=EIO:when=2", 1),
            ("read:error=EIO:when=1+", 1),
        ] {
            let scene = Scene::new();
            let content = prose("app", 300_000);
            file(&scene.logs().join("app.log"), &content, HOUR);
            let args = scene.config(&scene.logs(), &config.replace("METHOD", method));
            let source = scene.logs().join(source);
            let strace = Strace::new().only(&source).inject(fault);
            let output = traced(&strace, &scene, &args);
            let seen =
                || format!("{method}, {fault}: {}\n{}", said(&output), listing(&scene.logs()));
            let trace = std::fs::read_to_string(scene.path("trace")).expect("a trace");
            assert!(trace.contains("(INJECTED)"), "{}", seen());
            assert_eq!(output.status.code(), Some(code), "{}", seen());
            assert!(contents(&scene.logs()).contains(&content), "{}", seen());
            assert_tidy(&scene.logs(), &seen());
            assert_code(&logquota(&args), 0);
            assert_eq!(contents(&scene.logs()), [vec![], content], "{}", seen());
        }
    }
}

/// A disk that ends in the middle of a write: short writes, then none.
#[test]
fn h55_h42_a_disk_that_fills_while_a_file_is_compressed_leaves_it_plain() {
    if needs_root() {
        return;
    }
    let mount = Mount::tmpfs("size=3m,nr_inodes=64");
    let logs = mount.folder("logs");
    let content = noise("app", 1 << 20);
    file(&logs.join("app.log"), &content, HOUR);
    let scene = Scene::new();
    // No room is free when it is compressed, though there was when that was planned.
    let script =
        "dd if=/dev/zero of=LOGS/../fill bs=4096 2>/dev/null; truncate -s -256K LOGS/../fill";
    let config = format!(
        "LOGS/*.log {{\n size 8k\n rotate 9\n compress\n create\n postrotate\n {script}\n endscript\n}}\n"
    );
    let args = scene.config(&logs, &config);
    let output = logquota(&args);
    let seen = format!("{}\n{}", said(&output), listing(&logs));
    assert_eq!(output.status.code(), Some(0), "{seen}");
    assert_tidy(&logs, &seen);
    assert_eq!(contents(&logs), [vec![], content.clone()], "{seen}");
    std::fs::remove_file(mount.at().join("fill")).expect("it goes");
    assert_code(&logquota(&args), 0);
    assert_eq!(contents(&logs), [vec![], content]);
    assert!(logs.join("app.log.1.gz").exists(), "{}", listing(&logs));
}

fn overfull(logs: &Path) {
    file(&logs.join("app.log"), &prose("app", 700 << 10), HOUR);
    for number in 1..=4u32 {
        let name = format!("app.log.{number}");
        file(&logs.join(&name), &noise(&name, 600 << 10), HOUR * 24 * number);
    }
}

/// On a copy-on-write file system under a quota even truncating needs room; deleting does not.
#[test]
fn h41_a_set_that_fills_the_quota_group_it_is_in_is_brought_under_its_own_quota() {
    if needs_root() || needs(&["mkfs.btrfs", "btrfs"]) {
        return;
    }
    let mount = Mount::image("mkfs.btrfs", &["-q", "-f"], 256, "");
    let at = mount.at();
    let at = at.to_str().expect("UTF-8");
    let sub = format!("{at}/sub");
    let btrfs = |args: &[&str]| logquota_tests::mounts::system("btrfs", args);
    btrfs(&["-q", "quota", "enable", at]);
    btrfs(&["-q", "subvolume", "create", &sub]);
    btrfs(&["-q", "qgroup", "limit", "8M", &sub]);
    let sub = Path::new(&sub);
    overfull(sub);
    let mut fill = std::fs::File::create(sub.join("foreign.bin")).expect("a foreign file");
    let full = loop {
        let written = std::io::Write::write_all(&mut fill, &noise("foreign", 64 << 10));
        if let Err(error) = written.and_then(|()| fill.sync_data()) {
            break error;
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::QuotaExceeded, "{full}");
    drop(fill);
    let foreign = || sub.join("foreign.bin").metadata().map(|meta| meta.len()).ok();
    let before = foreign();
    let output = logquota(folder_run(sub, "2M", &[]));
    let seen = format!("{}\n{}", said(&output), listing(sub));
    assert_eq!(output.status.code(), Some(0), "{seen}");
    assert_eq!(foreign(), before, "{seen}");
    let kept = du(sub) - du(&sub.join("foreign.bin"));
    assert!(kept <= 2 << 20, "{kept}: {seen}");
    assert!(contents(sub).contains(&prose("app", 700 << 10)), "{seen}");
    assert_tidy(sub, &seen);
}

/// A file system that the kernel made read-only after an error of its own, and one that the
/// administrator did.
#[test]
fn h47_what_is_read_only_is_reported_left_alone_and_done_when_it_can_be_written_again() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    for by_error in [false, true] {
        let mut mount = Mount::ext4(16, &[], "errors=remount-ro");
        let logs = mount.folder("logs");
        overfull(&logs);
        let args = folder_run(&logs, "2M", &[]);
        rustix::fs::sync();
        let before = tree(&logs);
        if by_error {
            let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", mount.device());
            std::fs::write(&trigger, "1").expect("the kernel takes it");
        } else {
            mount.remount("ro");
        }
        assert!(std::fs::write(logs.join("x"), "x").is_err(), "it is not read-only");
        let output = logquota(&args);
        let seen = format!("error {by_error}: {}\n{}", said(&output), listing(&logs));
        assert_eq!(output.status.code(), Some(1), "{seen}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("ead-only") && stderr.contains("app.log"), "{seen}");
        assert!(stderr.lines().count() < 20, "{seen}");
        assert!(tree(&logs) == before, "{seen}");

        if by_error {
            // After an error only a check makes it writable again.
            mount = mount.repaired();
        } else {
            mount.remount("rw");
        }
        let logs = mount.at().join("logs");
        let args = folder_run(&logs, "2M", &[]);
        let output = logquota(&args);
        assert_code(&output, 0);
        assert!(du(&logs) <= 2 << 20, "{}", listing(&logs));
        assert_tidy(&logs, &listing(&logs));
    }
}

/// A folder that its owner may not write to.
#[test]
fn h47_a_folder_that_may_not_be_written_is_reported_and_left_alone() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may write everywhere");
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    overfull(&scene.logs());
    let args: Vec<OsString> = folder_run(&scene.logs(), "2M", &[]);
    let mode = |mode| std::fs::set_permissions(scene.logs(), std::fs::Permissions::from_mode(mode));
    mode(0o555).expect("its mode");
    let before = tree(&scene.logs());
    let output = logquota(&args);
    mode(0o755).expect("its mode");
    assert_code(&output, 1);
    assert!(tree(&scene.logs()) == before, "{}", said(&output));
    assert_code(&logquota(&args), 0);
    assert!(du(&scene.logs()) <= 2 << 20);
}
