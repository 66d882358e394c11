//! Two at once: one acts, the other waits for a while and then says so.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::kit::{Sandbox, assert_code, command, logquota, noise, text};

#[test]
fn h35_a_lock_that_is_held_is_exit_3_after_a_bounded_wait() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let held = File::open(&dir).expect("opens");
    flock(&held, FlockOperation::LockExclusive).expect("locked");
    let listing = sandbox.listing();
    let dir = dir.to_str().expect("UTF-8");
    let output = logquota(["run", "--lock-wait", "0", "--quota", "256k", dir]);
    assert_code(&output, 3);
    assert!(text(&output.stderr).contains("another instance"));
    assert_eq!(listing, sandbox.listing());
    // Who only looks needs no lock.
    assert_code(&logquota(["plan", "--quota", "256k", dir]), 0);
    assert_code(&logquota(["status", dir]), 0);
    assert_code(&logquota(["run", "-n", "--quota", "256k", dir]), 0);
    drop(held);
    assert_code(&logquota(["run", "--lock-wait", "0", "--quota", "256k", dir]), 0);
}

#[test]
fn h35_the_lock_of_a_dead_process_is_no_lock() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let mut holder = Command::new("sh")
        .arg("-c")
        .arg("exec 9<\"$1\"; flock 9 && echo locked; exec sleep 600")
        .arg("sh")
        .arg(&dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut said = String::new();
    let mut stdout = std::io::BufReader::new(holder.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut stdout, &mut said).expect("a line");
    assert_eq!(said, "locked\n");
    let dir = dir.to_str().expect("UTF-8");
    let args = ["run", "--lock-wait", "0", "--quota", "256k", dir];
    assert_code(&logquota(args), 3);
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    assert_code(&logquota(args), 0);
}

#[test]
fn h35_the_state_file_is_locked_too_and_only_its_owner_can_open_it() {
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 256k\n}\n");
    let state = sandbox.path("status");
    fs::write(&state, "").expect("written");
    let held = File::open(&state).expect("opens");
    flock(&held, FlockOperation::LockExclusive).expect("locked");
    let args = ["run", "--lock-wait", "0", "--state"];
    let run = || command().args(args).args([&state, &config]).output().expect("it ends");
    assert_code(&run(), 3);
    drop(held);
    assert_code(&run(), 0);
}

#[test]
fn h36_eight_at_once_rotate_once_and_lose_nothing() {
    let sandbox = Sandbox::new();
    let content = noise(3, 200 * 1024);
    sandbox.content("app.log", &content, Duration::ZERO);
    let dir = sandbox.logs();
    let start = || -> Child {
        command()
            .args(["run", "--lock-wait", "60", "--quota", "4M", "--size", "100k"])
            .args(["--compress", "none"])
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    };
    let children: Vec<_> = (0..8).map(|_| start()).collect();
    for child in children {
        assert_code(&child.wait_with_output().expect("it ends"), 0);
    }
    let listing = sandbox.listing();
    let archives: Vec<_> = listing.keys().filter(|name| *name != "app.log").collect();
    assert_eq!(archives.len(), 1, "{listing:?}");
    let archive = archives.first().expect("one");
    assert_eq!(fs::read(dir.join(archive)).expect("readable"), content);
    assert_eq!(fs::read(dir.join("app.log")).expect("made anew"), b"");
}
