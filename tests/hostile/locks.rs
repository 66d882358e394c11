//! Who can stop us by holding a lock: nobody for long.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use logquota::Error;
use logquota::fs::WriteFs as _;
use logquota::fs::os::{Lock, OsFs};
use logquota::policy::Identity;

use super::is_root;

const HOLD: &str = "LOGQUOTA_TEST_HOLD";

#[test]
fn h35_a_lock_dies_with_its_holder() {
    if let Some(path) = std::env::var_os(HOLD) {
        let _held = Lock::file(Path::new(&path), Duration::ZERO).expect("the lock");
        println!("\nheld");
        loop {
            std::thread::park();
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    let mut holder = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "locks::h35_a_lock_dies_with_its_holder", "--nocapture"])
        .env(HOLD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a holder");
    let lines = BufReader::new(holder.stdout.take().expect("its output")).lines();
    let held = lines.map_while(Result::ok).any(|line| line == "held");
    let refused = Lock::file(&path, Duration::from_millis(40));
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    assert!(held);
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    Lock::file(&path, Duration::ZERO).expect("free");
}

#[test]
fn h35_others_cannot_open_what_is_locked() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    let path = folder.path().join("state");
    drop(Lock::file(&path, Duration::ZERO).expect("ours"));
    let os = OsFs::new();
    os.act_as(Some(Identity { uid: 65534, gid: 65534 })).expect("nobody");
    let theirs = Lock::file(&path, Duration::ZERO);
    let opened = fs::File::open(&path);
    os.act_as(None).expect("back");
    assert!(matches!(theirs, Err(Error::Io { .. })), "{theirs:?}");
    assert!(opened.is_err());
    Lock::file(&path, Duration::ZERO).expect("ours again");
}
