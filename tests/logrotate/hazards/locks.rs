//! Two at once, and those who only want to be in the way.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use logquota_tests::mounts::{needs, needs_root};
use logquota_tests::tree::names;
use rustix::fs::{FlockOperation, flock};

use super::{Place, mode, set_mode, write};

const ROTATE: &str = "LOGS/a.log {\n size 1\n rotate 9\n create\n}\n";

fn place() -> Place {
    let place = Place::with(ROTATE);
    write(&place.log("a.log"), "content\n");
    place
}

/// A process that holds a lock on the file until it is killed.
fn holder(path: &Path, user: &str) -> Child {
    let mut holder = Command::new("setpriv")
        .args([&format!("--reuid={user}"), "--regid=nogroup", "--clear-groups", "sh", "-c"])
        .arg("exec 9<\"$1\"; flock -n 9 && echo locked; exec sleep 600")
        .arg("sh")
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let mut said = String::new();
    let mut stdout = std::io::BufReader::new(holder.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut stdout, &mut said).expect("its line, or its end");
    holder
}

fn end(mut holder: Child) {
    holder.kill().expect("killed");
    holder.wait().expect("gone");
}

#[test]
fn h35_who_has_no_rights_cannot_keep_it_from_working() {
    if needs_root() || needs(&["setpriv", "flock"]) {
        return;
    }
    // Whatever others may read, others could lock: that lock is none.
    for bits in [0o644, 0o604, 0o640, 0o600] {
        let place = place();
        place.state("");
        set_mode(&place.path("state"), bits);
        let holder = holder(&place.path("state"), "nobody");
        let ran = place.run(&[]);
        end(holder);
        assert_eq!(ran.code, Some(0), "{bits:o}: {}", ran.said);
        assert_eq!(place.content("a.log.1").as_deref(), Some("content\n"), "{bits:o}");
        // From then on they cannot even open it.
        assert_eq!(mode(&place.path("state")) & 0o007, 0, "{bits:o}");
    }
    // The one that it makes itself is none of theirs from the beginning.
    let place = place();
    assert_eq!(place.run(&[]).code, Some(0));
    assert_eq!(mode(&place.path("state")), 0o640);
}

#[test]
fn h35_who_only_may_open_a_folder_cannot_stop_rotation_by_locking_it() {
    if needs_root() || needs(&["setpriv", "flock"]) {
        return;
    }
    for is_above in [false, true] {
        let place = place();
        let logs = place.logs();
        let folder = if is_above { logs.parent().expect("a folder") } else { &logs };
        let holder = holder(folder, "nobody");
        let held = File::open(folder).expect("opens");
        let taken = flock(&held, FlockOperation::NonBlockingLockExclusive);
        assert!(taken.is_err(), "nobody has no lock");
        let ran = place.run(&["-f"]);
        end(holder);
        assert_eq!((ran.code, ran.said.as_str()), (Some(0), ""));
        assert_eq!(place.content("a.log.1").as_deref(), Some("content\n"));
        // Whose it is can be told though flock(1), which took it, has ended.
        let holder = self::holder(folder, "root");
        let ran = place.run(&["-f"]);
        end(holder);
        assert_eq!(ran.code, Some(1), "{}", ran.said);
        assert_eq!(place.content("a.log.2"), None);
    }
}

#[test]
fn h35_the_lock_of_a_dead_process_is_no_lock() {
    if needs_root() || needs(&["setpriv", "flock"]) {
        return;
    }
    let place = place();
    place.state("");
    let holder = holder(&place.path("state"), "root");
    let ran = place.run(&[]);
    assert_eq!(ran.code, Some(3), "{}", ran.said);
    assert_eq!(names(&place.logs()), ["a.log"]);
    end(holder);
    assert_eq!(place.run(&[]).code, Some(0));
    assert_eq!(place.content("a.log.1").as_deref(), Some("content\n"));
}

/// Waits until the process waits for a lock on this file, or has ended. Says whether it waits.
fn waits_for(child: &mut Child, path: &Path) -> bool {
    let inode = format!(":{} ", fs::metadata(path).expect("there").ino());
    let process = format!(" {} ", child.id());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        let locks = fs::read_to_string("/proc/locks").expect("readable");
        let mut lines = locks.lines().filter(|line| line.contains("-> FLOCK"));
        if lines.any(|line| line.contains(&process) && line.contains(&inode)) {
            return true;
        }
        if child.try_wait().expect("its state").is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    panic!("it neither waits nor ends");
}

#[test]
fn h36_a_lock_on_a_state_file_that_was_replaced_is_no_lock() {
    let place = place();
    place.state("");
    let state = place.path("state");
    // The first one works; the second one waits for it.
    let first = File::open(&state).expect("opens");
    flock(&first, FlockOperation::LockExclusive).expect("locked");
    let mut second = place.command(&["--wait-for-state-lock"]).spawn().expect("it starts");
    assert!(waits_for(&mut second, &state));
    // The first one ends by writing a new file, on which a third one begins at once.
    let new = place.path("new");
    fs::copy(&state, &new).expect("a copy");
    fs::rename(&new, &state).expect("replaced");
    let third = File::open(&state).expect("opens");
    flock(&third, FlockOperation::LockExclusive).expect("locked");
    drop(first);
    assert!(waits_for(&mut second, &state), "two are at work");
    assert_eq!(names(&place.logs()), ["a.log"]);
    drop(third);
    assert!(second.wait().expect("it ends").success());
    assert_eq!(place.content("a.log.1").as_deref(), Some("content\n"));
}

#[test]
fn h36_eight_at_once_rotate_once_and_lose_nothing() {
    for (flags, codes) in [(&["--wait-for-state-lock"][..], &[0][..]), (&[], &[0, 3])] {
        let place = place();
        let start = |_| place.command(flags).spawn().expect("it starts");
        let children: Vec<Child> = (0..8).map(start).collect();
        let mut acted = 0;
        for child in children {
            let output = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = output.status.code().expect("not killed");
            assert!(codes.contains(&code), "{code}: {said}");
            assert_eq!(code == 3, said.contains("already locked"), "{said}");
            acted += usize::from(code == 0);
        }
        assert!(acted > 0);
        assert_eq!(names(&place.logs()), ["a.log", "a.log.1"]);
        assert_eq!(place.content("a.log.1").as_deref(), Some("content\n"));
        assert_eq!(place.content("a.log").as_deref(), Some(""));
    }
}

#[test]
fn h36_beside_a_writer_and_each_other_no_record_is_lost_or_doubled() {
    // Nothing is compressed or goes: a writer that stands between opening and writing may write
    // to a copy, in any mode of any rotation.
    let place = Place::with("LOGS/a.log {\n size 16k\n rotate -1\n create\n}\n");
    write(&place.log("a.log"), "");
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let ran = place.run(&[]);
                    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
                }
            });
        }
        // Opens the log for every record, as a writer does that needs not be told.
        let mut written = 0u32;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            let opened = File::options().append(true).open(place.log("a.log"));
            // Between two calls of the rotation there is none.
            let Ok(mut file) = opened else { continue };
            writeln!(file, "record {written}").expect("written");
            written += 1;
        }
        is_over.store(true, Ordering::Relaxed);
        written
    });
    assert!(names(&place.logs()).len() > 2, "it was rotated");
    let text = place.everything();
    let number = |line: &str| line.strip_prefix("record ").and_then(|n| n.parse().ok());
    let mut found: Vec<u32> = text.lines().map(|line| number(line).expect(line)).collect();
    found.sort_unstable();
    let lost = (0..written).filter(|n| found.binary_search(n).is_err()).count();
    let doubled = found.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!((lost, doubled), (0, 0), "of {written}");
}
