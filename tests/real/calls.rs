//! What the program asks the system for, as `strace` sees it: every change is made to one
//! name in an open folder, and looking makes none.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use logquota_tests::mounts::{Mount, needs_root};
use logquota_tests::strace::{Call, Strace, calls, needs_strace};

use crate::kill::{WORKLOADS, traced};
use crate::kit::{BIN, PATIENCE, logquota, said, walk, within};

/// Why a call is not one that only reaches one name in an open folder.
fn fault(call: &Call) -> Option<&'static str> {
    let is_folder =
        |arg: Option<&String>| arg.is_some_and(|arg| arg.starts_with(|c: char| c.is_ascii_digit()));
    let is_name = |arg: Option<&String>| {
        let inner = arg.and_then(|arg| arg.strip_prefix('"')?.strip_suffix('"'));
        inner.is_some_and(|name| {
            !name.is_empty() && !name.contains('/') && name != "." && name != ".."
        })
    };
    let args = &call.args;
    let places: &[usize] = match call.name.as_str() {
        "write" | "pwrite64" | "ftruncate" | "fallocate" | "fchmod" | "fchown" => return None,
        // Times of an open file.
        "utimensat" if args.get(1).is_some_and(|arg| arg == "NULL") => return None,
        "rename" | "unlink" | "rmdir" | "link" | "symlink" | "mkdir" | "truncate" | "chmod"
        | "chown" | "open" | "creat" => return Some("a whole path"),
        "renameat" | "renameat2" | "linkat" => &[0, 2],
        "symlinkat" => &[1],
        _ => &[0],
    };
    for at in places {
        if !is_folder(args.get(*at)) {
            return Some("no open folder");
        }
        if !is_name(args.get(*at + 1)) {
            return Some("more than a name");
        }
    }
    if call.name == "renameat2" && !args.iter().any(|arg| arg.contains("RENAME_NOREPLACE")) {
        return Some("it may replace");
    }
    let makes = call.args.iter().any(|arg| arg.contains("O_CREAT"));
    if makes && !call.args.iter().any(|arg| arg.contains("O_EXCL") && arg.contains("O_NOFOLLOW")) {
        return Some("it may open what is there");
    }
    if call.opens_to_change() && !call.args.iter().any(|arg| arg.contains("O_NOFOLLOW")) {
        return Some("it may follow a link");
    }
    None
}

/// Whether a call is about the state file: its lock, its new content, its replacement.
fn is_about(call: &Call, state: &Path) -> bool {
    let folder = state.parent().expect("a folder").to_str().expect("UTF-8");
    let path = state.to_str().expect("UTF-8");
    match call.name.as_str() {
        "open" | "openat" if call.args.iter().any(|arg| *arg == format!("\"{path}\"")) => true,
        _ => call.path_of_fd() == Some(folder),
    }
}

#[test]
fn h02_every_change_is_made_to_one_name_in_an_open_folder() {
    if needs_strace() {
        return;
    }
    for workload in WORKLOADS {
        // With all threads, and with one.
        for strace in [Strace::new(), Strace::new().serial()] {
            let (scene, args) = workload.scene();
            let output = traced(&strace, &scene, &args);
            let about = workload.name;
            assert_eq!(output.status.code(), Some(0), "{about}: {}", said(&output));
            let calls = calls(&scene.path("trace"));
            let changes: Vec<_> = calls.iter().filter(|call| call.changes_files()).collect();
            assert!(changes.len() > 10, "{about}: {changes:?}");
            for call in changes {
                if let Some(fault) = fault(call)
                    && !is_about(call, &scene.path("state"))
                {
                    panic!("{about}: {fault}: {call:?}");
                }
            }
        }
    }
}

/// A source is only unlinked when its successor has its final name, and both the file and
/// the folder have been flushed.
#[test]
fn h53_what_was_compressed_is_flushed_before_its_source_is_deleted() {
    if needs_strace() {
        return;
    }
    for workload in WORKLOADS {
        let (scene, args) = workload.scene();
        let output = traced(&Strace::new().serial(), &scene, &args);
        assert_eq!(output.status.code(), Some(0), "{}: {}", workload.name, said(&output));
        let calls = calls(&scene.path("trace"));
        let mut renames = 0;
        for (at, call) in calls.iter().enumerate() {
            let is_publication =
                call.name == "renameat2" && call.args[1].starts_with("\".logquota-");
            if !is_publication {
                continue;
            }
            let temporary = call.args[1].trim_matches('"');
            let is_done = |name: &str| {
                calls[..at]
                    .iter()
                    .filter(|call| call.name == name)
                    .any(|call| call.path_of_fd().is_some_and(|path| path.ends_with(temporary)))
            };
            // A new log is empty: there is nothing to flush.
            if !is_done("write") {
                continue;
            }
            renames += 1;
            let flushed = is_done("fsync");
            assert!(flushed, "{}: published before it was flushed: {call:?}", workload.name);
            let folder = call.args[2].split_once('<').map(|(_, path)| path.trim_end_matches('>'));
            let next_loss = calls[at..].iter().position(|call| {
                matches!(call.name.as_str(), "unlinkat" | "ftruncate" | "truncate")
            });
            let next_loss = next_loss.map_or(calls.len(), |offset| at + offset);
            let is_durable = calls[at..next_loss]
                .iter()
                .any(|call| call.name == "fsync" && call.path_of_fd() == folder);
            assert!(
                is_durable || next_loss == calls.len(),
                "{}: {folder:?} was not flushed between {call:?} and {:?}",
                workload.name,
                calls.get(next_loss)
            );
        }
        assert!(renames > 0, "{}: nothing was compressed or copied", workload.name);
    }
}

/// Everything that `stat` tells, access times too.
fn statx(root: &Path) -> BTreeMap<PathBuf, Vec<i64>> {
    let numbers = |path: PathBuf| {
        let m = path.symlink_metadata().expect("its inode");
        let big = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let numbers = [
            big(m.dev()),
            big(m.ino()),
            i64::from(m.mode()),
            big(m.nlink()),
            i64::from(m.uid()),
            i64::from(m.gid()),
            big(m.size()),
            big(m.blocks()),
            m.atime(),
            m.atime_nsec(),
            m.mtime(),
            m.mtime_nsec(),
            m.ctime(),
            m.ctime_nsec(),
        ];
        (path, numbers.to_vec())
    };
    walk(root).into_iter().chain([root.to_owned()]).map(numbers).collect()
}

/// A run's arguments as those of another verb.
fn verb(args: &[OsString], verb: &str) -> Vec<OsString> {
    std::iter::once(verb.into()).chain(args.iter().skip(1).cloned()).collect()
}

#[test]
fn h26_plan_status_and_a_dry_run_ask_the_system_for_no_change() {
    if needs_strace() {
        return;
    }
    for workload in WORKLOADS {
        let (scene, args) = workload.scene();
        let status: Vec<OsString> = match args.iter().position(|arg| arg == "--state") {
            Some(_) => verb(&args, "status"),
            None => vec!["status".into(), scene.logs().into()],
        };
        let mut dry = args.clone();
        dry.push("--dry-run".into());
        for args in [verb(&args, "plan"), status, dry] {
            let before = statx(&scene.path(""));
            let trace = tempfile::NamedTempFile::new().expect("a file");
            let mut command = Strace::new().command(BIN, trace.path());
            let output: Output = within(PATIENCE, command.args(&args));
            let about = format!("{}, {:?}", workload.name, args.first());
            assert_eq!(output.status.code(), Some(0), "{about}: {}", said(&output));
            let calls = calls(trace.path());
            let changes: Vec<_> = calls.iter().filter(|call| call.changes_files()).collect();
            assert!(calls.len() > 20, "{about}: {}", calls.len());
            assert!(changes.is_empty(), "{about}: {changes:#?}");
            let after = statx(&scene.path(""));
            assert_eq!(before, after, "{about}");
        }
    }
}

#[test]
fn h26_a_plan_of_what_is_mounted_read_only_says_the_same() {
    if needs_root() {
        return;
    }
    let (scene, args) = WORKLOADS[0].scene();
    let writable = logquota(verb(&args, "plan"));
    assert_eq!(writable.status.code(), Some(0), "{}", said(&writable));
    let view = Mount::read_only_view(&scene.logs());
    let probe = fs::write(view.at().join("x"), "x");
    assert!(probe.is_err(), "it is not read-only");
    let mut args = verb(&args, "plan");
    args.pop();
    args.push(view.at().into());
    let read_only = logquota(args);
    assert_eq!(read_only.status.code(), Some(0), "{}", said(&read_only));
    let lines = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|line| line.contains("would")).count()
    };
    assert!(lines(&writable) > 3, "{}", said(&writable));
    assert_eq!(lines(&writable), lines(&read_only), "{}", said(&read_only));
}
