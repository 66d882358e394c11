//! The program under a watchdog, and files as they are on an old disk.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use serde_json::Value;

/// The program that is tested.
pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_logquota-under-test");

/// Much longer than anything takes here: a busy machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn is_long() -> bool {
    std::env::var_os("LOGQUOTA_LONG").is_some()
}

/// Runs the program to its end.
#[track_caller]
pub(crate) fn logquota<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Output {
    let mut command = Command::new(BIN);
    for name in ["LOGQUOTA_CONFIG", "STATE_DIRECTORY", "TZ"] {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let pid = rustix::process::Pid::from_child(&child);
    let (told, ended) = mpsc::channel();
    std::thread::spawn(move || told.send(child.wait_with_output()));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => output.expect("its output"),
        Err(_) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("it took longer than {PATIENCE:?}");
        }
    }
}

/// All that was printed, for messages.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {}", said(output)))
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)))
}

/// The second that it is.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("a time")
}

/// The name that `--host` wants.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A file that was last changed `age` ago, for its owner and group.
pub(crate) fn file(path: &Path, content: &[u8], age: Duration) {
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("its mode");
    set_time(path, SystemTime::now() - age);
}

pub(crate) fn set_time(path: &Path, at: SystemTime) {
    let times = FileTimes::new().set_modified(at).set_accessed(at);
    File::open(path).and_then(|opened| opened.set_times(times)).expect("its times");
}

/// Names and allocated bytes, for messages.
pub(crate) fn listing(dir: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let mut lines: Vec<String> = fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let meta = entry.metadata().expect("its inode");
            let name = entry.file_name();
            format!("  {} len {} {}\n", name.display(), meta.len(), meta.blocks() * 512)
        })
        .collect();
    lines.sort();
    lines.concat()
}
