//! `kill -9` of the real program at every call of a run that changes a file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use logquota_tests::strace::{self, SYNCING, Strace, needs_strace};

use crate::kit::{
    BIN, HOUR, PATIENCE, Scene, assert_code, assert_tidy, contents, file, folder_run, is_long,
    listing, logquota, noise, prose, said, tree, used, used_by_files, was_killed, within,
};

/// A folder of logs and what is done with it.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Makes the logs.
    make: fn(&Path),
    /// The configuration, or the arguments for a folder.
    what: What,
    /// In bytes.
    pub(crate) quota: Option<u64>,
}

enum What {
    Config(&'static str),
    Folder(&'static str, &'static [&'static str]),
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "folder, zstd, evictions",
        make: |logs| {
            file(&logs.join("app.log"), &prose("app", 20_000), HOUR);
            for (number, len) in [(1, 30_000), (2, 9_000), (3, 30_000), (4, 16_000)] {
                let name = format!("app.log.{number}");
                file(&logs.join(&name), &noise(&name, len), HOUR * 24 * number);
            }
            file(&logs.join("db.log"), &prose("db", 19_000), HOUR);
            file(&logs.join("db.log.1"), &prose("db.log.1", 13_000), HOUR * 30);
            file(&logs.join("web.log"), &prose("web", 3_000), HOUR);
        },
        what: What::Folder("128k", &["--size", "16k", "--compress", "zstd"]),
        quota: Some(128 << 10),
    },
    Workload {
        name: "numbered, gzip",
        make: numbered,
        what: What::Config("LOGS/*.log {\n size 8k\n rotate 3\n compress\n create 0640\n}\n"),
        quota: None,
    },
    Workload {
        name: "numbered, delayed gzip, quota",
        make: numbered,
        what: What::Config(
            "LOGS/*.log {\n size 8k\n rotate 5\n compress\n delaycompress\n create\n quota 64k\n}\n",
        ),
        quota: Some(64 << 10),
    },
    Workload {
        name: "dates",
        make: |logs| {
            file(&logs.join("app.log"), &prose("app", 14_000), HOUR);
            for day in 20200101..20200105 {
                let name = format!("app.log-{day}");
                file(&logs.join(&name), &prose(&name, 9_000), HOUR * 24 * 30);
            }
        },
        what: What::Config(
            "LOGS/app.log {\n size 8k\n rotate 3\n dateext\n compress\n create\n}\n",
        ),
        quota: None,
    },
    Workload {
        name: "copied and truncated",
        make: numbered,
        what: What::Config("LOGS/*.log {\n size 8k\n rotate 2\n copytruncate\n compress\n}\n"),
        quota: None,
    },
    Workload {
        name: "in another folder, zstd",
        make: |logs| {
            file(&logs.join("app.log"), &prose("app", 14_000), HOUR);
            file(&logs.join("db.log"), &noise("db", 10_000), HOUR);
        },
        what: What::Config(
            "LOGS/*.log {\n size 8k\n rotate 2\n olddir LOGS/old\n createolddir 0750\n \
             compress\n compresscmd zstd\n create\n}\n",
        ),
        quota: None,
    },
    Workload {
        name: "renamed and copied, maxfiles",
        make: numbered,
        what: What::Config(
            "LOGS/*.log {\n size 8k\n rotate 4\n renamecopy\n create\n compress\n maxfiles 7\n}\n",
        ),
        quota: None,
    },
    Workload {
        name: "folders, gzip",
        make: |logs| {
            for folder in ["a", "a/b", "c"] {
                let folder = logs.join(folder);
                std::fs::create_dir(&folder).expect("a folder");
                numbered(&folder);
            }
        },
        what: What::Folder("200k", &["--size", "12k", "--compress", "gzip"]),
        quota: Some(200 << 10),
    },
];

fn numbered(logs: &Path) {
    let folder = logs.file_name().expect("a name").to_string_lossy();
    let name = |name: &str| format!("{folder}/{name}");
    file(&logs.join("app.log"), &prose(&name("app"), 14_000), HOUR);
    for number in 1..4 {
        let archive = format!("app.log.{number}");
        file(&logs.join(&archive), &noise(&name(&archive), 7_000), HOUR * 24 * number);
    }
    file(&logs.join("db.log"), &noise(&name("db"), 10_000), HOUR);
    file(&logs.join("web.log"), &prose(&name("web"), 3_000), HOUR);
}

impl Workload {
    /// The logs, and the arguments of a run.
    pub(crate) fn scene(&self) -> (Scene, Vec<OsString>) {
        let scene = Scene::new();
        (self.make)(&scene.logs());
        let args = match self.what {
            What::Config(text) => scene.config(&scene.logs(), text),
            What::Folder(quota, more) => folder_run(&scene.logs(), quota, more),
        };
        (scene, args)
    }

    /// What the quota is about.
    pub(crate) fn used(&self, logs: &Path) -> u64 {
        match self.what {
            What::Config(_) => used_by_files(logs),
            What::Folder(..) => used(logs),
        }
    }
}

/// Where a run is killed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cut {
    pub(crate) call: String,
    pub(crate) number: usize,
}

/// Runs the program under strace, without a umask: what is only kept from others by that
/// shows.
pub(crate) fn traced(strace: &Strace, scene: &Scene, args: &[OsString]) -> Output {
    let inner = strace.command(BIN, &scene.path("trace"));
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\""]);
    command.arg(inner.get_program()).args(inner.get_args()).args(args);
    within(PATIENCE, &mut command)
}

/// Every call of an undisturbed run that changes a file or makes a change last.
pub(crate) fn cuts(workload: &Workload) -> (Vec<Cut>, Vec<Vec<u8>>) {
    let (scene, args) = workload.scene();
    let output = traced(&Strace::new().serial(), &scene, &args);
    assert_code(&output, 0);
    let calls = strace::calls(&scene.path("trace"));
    let is_cut = |call: &&strace::Call| call.changes_files() || SYNCING.contains(&&*call.name);
    let cuts = calls.iter().filter(is_cut);
    let cuts = cuts.map(|call| Cut { call: call.name.clone(), number: call.number }).collect();
    (cuts, contents(&scene.logs()))
}

/// Kills a run at `cut`, looks at what is left, runs twice more. Says whether it was killed.
fn cut_once(workload: &Workload, cut: &Cut, strace: Strace, whole: &[Vec<u8>]) -> bool {
    let about = format!("{} killed at {} {}", workload.name, cut.call, cut.number);
    let (scene, args) = workload.scene();
    let logs = scene.logs();
    let start = workload.used(&logs);
    let output = traced(&strace.kill_at(&cut.call, cut.number), &scene, &args);
    let is_killed = was_killed(&output);
    assert!(is_killed || output.status.code() == Some(0), "{about}: {}", said(&output));

    let left = listing(&logs);
    if let Some(quota) = workload.quota {
        let (now, bound) = (workload.used(&logs), start.max(quota));
        assert!(now <= bound, "h51: {about}: {now} used, {bound} allowed\n{left}");
    }
    for path in crate::kit::files(&logs) {
        let mode = path.metadata().expect("its inode").permissions().mode() & 0o7777;
        assert_eq!(mode & !0o640, 0, "h11: {about}: {mode:o} {}\n{left}", path.display());
    }

    let output = logquota(&args);
    assert_eq!(output.status.code(), Some(0), "{about}: {}\nleft:\n{left}", said(&output));
    let after = || format!("{about}\nleft:\n{left}\nafter the next run:\n{}", listing(&logs));
    assert_tidy(&logs, &after());
    for name in ["", "logs"] {
        let entries = std::fs::read_dir(scene.path(name)).expect("a folder");
        for entry in entries {
            let name = entry.expect("an entry").file_name();
            assert!(!name.to_string_lossy().starts_with(".logquota-"), "{name:?}: {}", after());
        }
    }
    if let Some(quota) = workload.quota {
        assert!(workload.used(&logs) <= quota, "{}", after());
    }
    let found = contents(&logs);
    assert!(
        found == whole,
        "{}\ncontents: {:?}\nuncut:    {:?}",
        after(),
        heads(&found),
        heads(whole)
    );

    let before = tree(&logs);
    let output = logquota(&args);
    assert_eq!(output.status.code(), Some(0), "{}: {}", after(), said(&output));
    assert!(tree(&logs) == before, "not settled: {}\nthen:\n{}", after(), listing(&logs));
    is_killed
}

/// The first words and the length of each content.
fn heads(contents: &[Vec<u8>]) -> Vec<String> {
    let head = |content: &Vec<u8>| {
        let line = content.split(|b| *b == b'\n').next().unwrap_or_default();
        format!("{} ({})", String::from_utf8_lossy(line), content.len())
    };
    contents.iter().map(head).collect()
}

/// Does `work` for each of `items`, on as many threads as there are processors.
pub(crate) fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (next, failures, work) = (&next, &failures, &work);
            scope.spawn(move || {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        work(item);
                    }));
                    if let Err(panic) = done {
                        let why = panic.downcast_ref::<String>().cloned();
                        failures.lock().expect("whole").push(why.unwrap_or_default());
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("whole");
    assert!(failures.is_empty(), "{} failed; the first: {}", failures.len(), failures[0]);
}

#[test]
fn h52_h51_h11_killed_at_any_call_that_changes_a_file_the_next_run_ends_as_if_nothing_had_been() {
    if needs_strace() {
        return;
    }
    let mut jobs = Vec::new();
    for workload in WORKLOADS {
        let (cuts, whole) = cuts(workload);
        let calls: BTreeSet<_> = cuts.iter().map(|cut| cut.call.as_str()).collect();
        println!("{}: {} calls: {calls:?}", workload.name, cuts.len());
        assert!(cuts.len() > 10, "{}: {cuts:?}", workload.name);
        let whole = std::sync::Arc::new(whole);
        jobs.extend(cuts.into_iter().map(|cut| (workload, cut, std::sync::Arc::clone(&whole))));
    }
    in_parallel(&jobs, |(workload, cut, whole)| {
        let is_killed = cut_once(workload, cut, Strace::new().serial(), whole);
        assert!(is_killed, "{}: no {} {}", workload.name, cut.call, cut.number);
    });
}

/// With several threads: each counts its calls for itself, and the first to reach the number
/// is hit.
#[test]
fn h52_killed_while_several_files_are_compressed_the_next_run_ends_as_if_nothing_had_been() {
    if needs_strace() {
        return;
    }
    let workload = &WORKLOADS[0];
    let (_, whole) = cuts(workload);
    let calls = ["renameat2", "unlinkat", "fsync", "fchmod", "utimensat", "write"];
    let rounds: Vec<_> = (0..if is_long() { 20 } else { 1 }).flat_map(|_| calls).collect();
    in_parallel(&rounds, |call| {
        for number in 1.. {
            let cut = Cut { call: (*call).to_owned(), number };
            if !cut_once(workload, &cut, Strace::new(), &whole) {
                break;
            }
        }
    });
}
