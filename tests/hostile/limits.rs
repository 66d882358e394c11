//! Many names, deep folders, and a process that may have little.

use std::fs;
use std::process::Command;

use logquota::fs::os::OsFs;
use logquota::fs::{ReadFs as _, WriteFs as _};
use logquota::inventory::DirId;
use logquota::scan::scan;
use logquota::{Bytes, Config, SetSpec};
use rustix::fs::{CWD, Mode, OFlags};

use super::{numbered, run, within_patience, write};

/// Tells the test that it runs within the limits that it asked for.
const INSIDE: &str = "LOGQUOTA_TEST_INSIDE";

/// Runs the test `name` of this program again, behind the shell's `limits`. Says whether
/// this is the inner run.
fn is_within(limits: &str, name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("this program");
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("{limits}; exec \"$0\" --exact \"$1\" --nocapture"))
        .arg(program)
        .arg(name)
        .env(INSIDE, "1")
        .status()
        .expect("a shell");
    assert!(status.success(), "{name} within `{limits}`: {status}");
    false
}

#[test]
fn h17_a_run_gets_by_with_twenty_open_files() {
    if !is_within("ulimit -n 20", "limits::h17_a_run_gets_by_with_twenty_open_files") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    for i in 0..200 {
        let below = path.join(format!("d{i}/e/f"));
        fs::create_dir_all(&below).expect("folders");
        write(below.join("app.log"), "x");
        write(below.join("app.log.1"), "x");
    }
    let mut policy = numbered(Bytes::mib(64)).compress(logquota::Codec::Gzip);
    policy.create = None;
    let config = Config::single(SetSpec::directory(path, policy));
    let done = run(&OsFs::new(), &config, true);
    assert!(done.report.is_complete(), "{:#?}", done.report);
    assert_eq!(done.inventory.sets[0].logs.len(), 200);
    assert!(path.join("d77/e/f/app.log.2.gz").is_file());
    // Roots, too, when there are more of them than that.
    let os = OsFs::new();
    let roots: Vec<DirId> =
        (0..100).map(|i| os.open_root(&path.join(format!("d{i}"))).expect("a root")).collect();
    for root in roots {
        assert!(os.stat(root, "e".as_ref()).expect("a look").is_some());
    }
}

#[test]
fn h11_whatever_the_umask_a_new_file_is_for_its_maker_alone() {
    let name = "limits::h11_whatever_the_umask_a_new_file_is_for_its_maker_alone";
    if !is_within("umask 0", name) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let os = OsFs::new();
    let root = os.open_root(folder.path()).expect("the root");
    let file = os.create(root, "new".as_ref()).expect("a file");
    assert_eq!(file.meta().expect("a look").mode, 0o600);
    os.make_dir(root, "dir".as_ref(), &logquota::fs::Attributes::default()).expect("made");
    assert_eq!(os.stat(root, "dir".as_ref()).expect("a look").expect("it").mode, 0o700);
}

fn many_names(count: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let dir = rustix::fs::open(path, OFlags::DIRECTORY, Mode::empty()).expect("the folder");
    for i in 0..count {
        // A third logs, a third archives, a third neither.
        let name = match i % 3 {
            0 => format!("app{i}.log"),
            1 => format!("app{}.log.1", i - 1),
            _ => format!("other{i}"),
        };
        rustix::fs::openat(&dir, name, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR)
            .expect("a file");
    }
    let config = Config::single(SetSpec::pattern(path.join("*.log"), numbered(Bytes::mib(1))));
    let inventory = scan(&OsFs::new(), &config, &|_| None).expect("a scan");
    let logs = &inventory.sets[0].logs;
    assert_eq!(logs.len(), count.div_ceil(3) as usize);
    let archives: usize = logs.iter().map(|log| log.archives.len()).sum();
    assert_eq!(archives, ((count + 1) / 3) as usize);
}

#[test]
fn h17_a_folder_with_20_000_names_is_scanned() {
    within_patience(|| many_names(20_000));
}

#[test]
fn h17_a_folder_with_1_000_000_names_is_scanned() {
    if std::env::var_os("LOGQUOTA_LONG").is_none() {
        println!("skipped: set LOGQUOTA_LONG");
        return;
    }
    if !is_within("ulimit -v 2000000", "limits::h17_a_folder_with_1_000_000_names_is_scanned") {
        return;
    }
    many_names(1_000_000);
}

/// A chain of folders, made without a path: the whole of it would be too long for one.
fn chain(levels: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut at = rustix::fs::openat(CWD, folder.path(), OFlags::DIRECTORY, Mode::empty())
        .expect("the folder");
    for level in 0..levels {
        if level % 1_000 == 999 || level + 1 == levels {
            for name in ["app.log", "app.log.1"] {
                rustix::fs::openat(&at, name, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR)
                    .expect("a file");
            }
        }
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).expect("a folder");
        at = rustix::fs::openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).expect("it");
    }
    folder
}

/// Takes a chain away again: the standard library cannot, its stack is too small for it.
fn unchain(folder: &tempfile::TempDir, levels: u32) {
    let root = folder.path();
    for _ in 0..levels {
        let (below, aside) = (root.join("d"), root.join("aside"));
        for name in ["app.log", "app.log.1", "app.log.2"] {
            let _ = fs::remove_file(below.join(name));
        }
        let has_more = fs::rename(below.join("d"), &aside).is_ok();
        fs::remove_dir(&below).expect("removed");
        if !has_more {
            return;
        }
        fs::rename(&aside, &below).expect("moved up");
    }
}

#[test]
fn h17_10_000_levels_are_no_reason_for_recursion() {
    const LEVELS: u32 = 10_000;
    let folder = chain(LEVELS);
    for os in [OsFs::new(), OsFs::without_openat2()] {
        let path = folder.path().to_owned();
        let worker = std::thread::Builder::new().stack_size(256 << 10);
        let work = move || {
            let mut policy = numbered(Bytes::gib(1));
            policy.create = None;
            policy.if_empty = false;
            let config = Config::single(SetSpec::directory(path, policy));
            let inventory = scan(&os, &config, &|_| None).expect("a scan");
            assert_eq!(inventory.notes, []);
            assert_eq!(inventory.sets[0].logs.len(), 10);
            // The deepest is opened again from the top.
            let deepest = inventory.sets[0].logs.iter().max_by_key(|log| {
                inventory.dirs.get(&log.dir).map_or(0, |dir| dir.path.as_os_str().len())
            });
            let deepest = deepest.expect("a log");
            assert!(os.stat(deepest.dir, &deepest.name).expect("a look").is_some());
            let mut before = inventory.clone();
            before.normalize();
            assert_eq!(before, inventory);
        };
        worker.spawn(work).expect("a thread").join().expect("no overflow");
    }
    unchain(&folder, LEVELS);
}
