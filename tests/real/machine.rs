//! The machine's own logs and the configurations of its packages.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Output;

use logquota_tests::mounts::{needs_root, system};
use serde_json::Value;

use crate::kit::{Scene, assert_tidy, du, listing, logquota, said, tree, walk};

const LOGS: &str = "/var/log";

/// Everything that `stat` tells of every file that can be reached, access times too.
fn statx(root: &Path) -> BTreeMap<PathBuf, [i128; 14]> {
    let mut folders = vec![root.to_owned()];
    let mut found = BTreeMap::new();
    while let Some(path) = folders.pop() {
        let Ok(m) = path.symlink_metadata() else { continue };
        if m.is_dir()
            && let Ok(entries) = fs::read_dir(&path)
        {
            folders.extend(entries.flatten().map(|entry| entry.path()));
        }
        // Listing may have changed the access time of the folder.
        let Ok(m) = path.symlink_metadata() else { continue };
        let numbers = [
            m.dev().into(),
            m.ino().into(),
            m.mode().into(),
            m.nlink().into(),
            m.uid().into(),
            m.gid().into(),
            m.size().into(),
            m.blocks().into(),
            m.atime().into(),
            m.atime_nsec().into(),
            m.mtime().into(),
            m.mtime_nsec().into(),
            m.ctime().into(),
            m.ctime_nsec().into(),
        ];
        found.insert(path, numbers);
    }
    found
}

/// Every step in a plan for people has its reason: behind it, or on the line below.
#[track_caller]
fn assert_explained(output: &Output) -> usize {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<_> = text.lines().collect();
    let mut steps = 0;
    for (number, line) in lines.iter().enumerate() {
        let Some((head, rest)) = line.trim_start().split_once(". would ") else { continue };
        if head.parse::<usize>().is_err() {
            continue;
        }
        steps += 1;
        let reason = match rest.strip_suffix(':') {
            Some(_) => lines.get(number + 1).copied().unwrap_or_default(),
            None => rest.split_once(": ").map(|(_, reason)| reason).unwrap_or_default(),
        };
        assert!(reason.trim().len() > 5, "no reason: {line}\n{text}");
    }
    assert!(text.starts_with("Host "), "{text}");
    steps
}

#[test]
fn h26_a_plan_of_the_machines_own_logs_changes_nothing_and_explains_each_step() {
    for quota in ["1M", "64k"] {
        // The machine may write to its logs at this very moment.
        let mut is_same = false;
        for _ in 0..5 {
            let before = statx(Path::new(LOGS));
            let output = logquota(["plan", "--quota", quota, LOGS]);
            let after = statx(Path::new(LOGS));
            // 1: some of its folders may not be trusted; 6: what stays is too much.
            assert!(matches!(output.status.code(), Some(0 | 1 | 6)), "{}", said(&output));
            assert!(output.status.code() != Some(1) || !output.stderr.is_empty());
            let steps = assert_explained(&output);

            let json = logquota(["plan", "--quota", quota, "--json", LOGS]);
            let plan: Value = serde_json::from_slice(&json.stdout).expect("JSON");
            let listed = plan["steps"].as_array().expect("steps");
            assert_eq!(listed.len(), steps, "{}\n{}", said(&output), said(&json));
            for step in listed {
                let kind = step["reason"]["kind"].as_str().unwrap_or_default();
                assert!(!kind.is_empty(), "{step}");
            }
            is_same = before == after && after == statx(Path::new(LOGS));
            if is_same {
                println!("{quota}: {} files, {steps} steps", before.len());
                break;
            }
        }
        assert!(is_same, "`{LOGS}` was different after a plan, five times");
    }
}

#[test]
fn a_run_on_a_copy_of_the_machines_logs_brings_them_under_the_quota() {
    if needs_root() {
        return;
    }
    for quota in [1 << 20, 512 << 10] {
        let scene = Scene::new();
        let logs = scene.path("copy");
        system("cp", ["-a", LOGS, logs.to_str().expect("UTF-8")]);
        // Folders of others are not for root to work in.
        for path in walk(&logs).into_iter().chain([logs.clone()]) {
            if path.symlink_metadata().expect("its inode").is_dir() {
                std::os::unix::fs::chown(&path, Some(0), Some(0)).expect("its owner");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
            }
        }
        let others = not_ours(&logs);
        let before = du(&logs);
        let bytes = format!("{quota}");
        let run = || logquota(["run", "--quota", &bytes, logs.to_str().expect("UTF-8")]);
        // What it has rotated stays until the second run, also where that is too much.
        let mut output = run();
        if output.status.code() == Some(6) {
            output = run();
        }
        let seen = || format!("{before} before: {}\n{}", said(&output), listing(&logs));
        assert_eq!(output.status.code(), Some(0), "{}", seen());
        let used = du(&logs) - others;
        println!("quota {quota}: {before} before, {used} after, {others} of no log");
        assert!(used <= quota, "{used}, {others} of no log: {}", seen());
        assert_tidy(&logs, &seen());
        let settled = tree(&logs);
        let again = run();
        assert_eq!(again.status.code(), Some(0), "{}", said(&again));
        assert!(tree(&logs) == settled, "{}\nthen {}", seen(), said(&again));
    }
}

/// What `du` counts below a folder and no log or archive is: journals, databases of logins.
/// These are never ours, and `status` does not list them.
fn not_ours(logs: &Path) -> u64 {
    let output = logquota(["status", "--json", logs.to_str().expect("UTF-8")]);
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let used = status["sets"][0]["used"].as_u64().unwrap_or_else(|| panic!("{status}"));
    du(logs).saturating_sub(used)
}

/// What Debian's packages put there, as a whole and each by itself.
#[test]
fn the_configurations_of_this_machine_are_read_without_a_word() {
    let scene = Scene::new();
    let state = scene.path("state");
    let mut paths: Vec<_> = fs::read_dir("/etc/logrotate.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    paths.push("/etc/logrotate.conf".into());
    paths.retain(|path| path.is_file());
    if paths.is_empty() {
        println!("skipped: needs logrotate");
    }
    for path in paths {
        let args = ["plan", "--state", state.to_str().expect("UTF-8")];
        let output = logquota(args.into_iter().chain([path.to_str().expect("UTF-8")]));
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", said(&output));
        // What is wrong with a configuration is said with its place.
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("/etc/logrotate"), "{}: {stderr}", path.display());
        if rustix::process::geteuid().is_root() {
            assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), said(&output));
        }
        assert!(!state.exists(), "a plan wrote the state");
    }
}
