//! A folder with logs, the program under a watchdog, and what a tree holds.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

/// The program that is tested.
pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_logquota-under-test");

/// For whatever has no reason to take long. Much longer than it takes here: a busy machine
/// is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// One hour.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Whether to try more than fits into every run of the tests.
pub(crate) fn is_long() -> bool {
    std::env::var_os("LOGQUOTA_LONG").is_some()
}

/// Takes from a command what the tester's environment would tell the program.
pub(crate) fn plain(command: &mut Command) -> &mut Command {
    for name in ["LOGQUOTA_CONFIG", "STATE_DIRECTORY", "NO_COLOR", "TZ", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null())
}

/// Runs a command to its end, and fails if that takes longer than `limit`.
#[track_caller]
pub(crate) fn within(limit: Duration, command: &mut Command) -> Output {
    let child = plain(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    wait(limit, child.expect("the program starts"))
}

/// The same for a program that runs already.
#[track_caller]
pub(crate) fn wait(limit: Duration, child: std::process::Child) -> Output {
    let pid = rustix::process::Pid::from_child(&child);
    let (told, ended) = mpsc::channel();
    std::thread::spawn(move || told.send(child.wait_with_output()));
    match ended.recv_timeout(limit) {
        Ok(output) => output.expect("its output"),
        Err(_) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("it took longer than {limit:?}");
        }
    }
}

/// Runs the program with these arguments.
#[track_caller]
pub(crate) fn logquota<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Output {
    within(PATIENCE, Command::new(BIN).args(args))
}

/// All that was printed, for messages.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\nstdout:\n{}\nstderr:\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// Fails with all that was printed unless the exit code is `expected`.
#[track_caller]
pub(crate) fn assert_code(output: &Output, expected: i32) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("internal error"), "{}", said(output));
    assert_eq!(output.status.code(), Some(expected), "{}", said(output));
}

/// Whether it was killed by `SIGKILL`.
pub(crate) fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(9)
}

/// Bytes that no compressor makes much shorter; begins with its name.
pub(crate) fn noise(name: &str, len: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(5)
    });
    let mut content = format!("{name}\n").into_bytes();
    while content.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend(state.to_le_bytes());
    }
    content.truncate(len);
    content
}

/// Lines as logs have them; begins with its name.
pub(crate) fn prose(name: &str, len: usize) -> Vec<u8> {
    let mut content = format!("{name}\n").into_bytes();
    for number in 0u32.. {
        if content.len() >= len {
            break;
        }
        content.extend(format!("{number} {name}: request of /{} served\n", number % 97).bytes());
    }
    content.truncate(len);
    content
}

/// A file that was changed `age` ago, for its owner and group.
pub(crate) fn file(path: &Path, content: &[u8], age: Duration) {
    fs::write(path, content).expect("a log");
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("its mode");
    set_time(path, SystemTime::now() - age);
}

/// Sets the time of the last change; that of the last access three days before it, so that
/// whoever reads the file shows in it.
pub(crate) fn set_time(path: &Path, at: SystemTime) {
    let opened = File::open(path).expect("opens");
    let times = FileTimes::new().set_modified(at).set_accessed(at - 72 * HOUR);
    opened.set_times(times).expect("its times");
}

/// Every path below `root`, folders too, sorted.
pub(crate) fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("its type").is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Regular files below `root`.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    walk(root).into_iter().filter(|path| is_file(path)).collect()
}

fn is_file(path: &Path) -> bool {
    path.symlink_metadata().expect("its inode").is_file()
}

/// Allocated bytes of `root` and everything below, over distinct inodes.
pub(crate) fn used(root: &Path) -> u64 {
    let mut seen = BTreeMap::new();
    for path in walk(root).into_iter().chain([root.to_owned()]) {
        let meta = path.symlink_metadata().expect("its inode");
        seen.insert((meta.dev(), meta.ino()), meta.blocks() * 512);
    }
    seen.values().sum()
}

/// The same without folders.
pub(crate) fn used_by_files(root: &Path) -> u64 {
    let meta = |path: PathBuf| path.symlink_metadata().expect("its inode");
    let found: BTreeMap<_, _> =
        files(root).into_iter().map(meta).map(|m| ((m.dev(), m.ino()), m.blocks() * 512)).collect();
    found.values().sum()
}

/// The same as `du` says it.
pub(crate) fn du(root: &Path) -> u64 {
    let output = Command::new("du").args(["-s", "--block-size=1"]).arg(root).output();
    let output = output.expect("du starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.split_whitespace().next().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("{}", said(&output)))
}

/// What of a file must stay the same when nothing is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    stat: [i64; 8],
    content: Vec<u8>,
}

/// A tree as a run that has nothing to do must leave it. Access times are not part of it.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let seen = |path: PathBuf| {
        let meta = path.symlink_metadata().expect("its inode");
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let stat = [
            number(meta.ino()),
            i64::from(meta.mode()),
            i64::from(meta.uid()),
            number(meta.nlink()),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ];
        let content = if meta.is_file() { fs::read(&path).expect("its content") } else { vec![] };
        (path, Seen { stat, content })
    };
    walk(root).into_iter().map(seen).collect()
}

/// A log or archive: its path without the suffix of a compressor.
pub(crate) fn label(path: &Path) -> PathBuf {
    match path.extension().and_then(OsStr::to_str) {
        Some("gz" | "zst") => path.with_extension(""),
        _ => path.to_owned(),
    }
}

/// The content of a log or archive, unpacked.
pub(crate) fn unpacked(path: &Path) -> Vec<u8> {
    let raw = fs::read(path).expect("its content");
    match path.extension().and_then(OsStr::to_str) {
        Some("gz") => {
            let mut content = Vec::new();
            let unpacked = flate2::read::MultiGzDecoder::new(&*raw).read_to_end(&mut content);
            unpacked.unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
            content
        }
        Some("zst") => {
            zstd::decode_all(&*raw).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
        }
        _ => raw,
    }
}

/// The contents of all logs and archives, unpacked, without their names and in no order.
pub(crate) fn contents(root: &Path) -> Vec<Vec<u8>> {
    let mut found: Vec<_> = files(root).iter().map(|path| unpacked(path)).collect();
    found.sort();
    found
}

/// What must not be there after a whole run: temporary files, and an archive both plain and
/// compressed.
#[track_caller]
pub(crate) fn assert_tidy(root: &Path, about: &str) {
    let mut labels = BTreeMap::new();
    for path in files(root) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(!name.starts_with(".logquota-"), "{about}: leftover {}", path.display());
        if let Some(other) = labels.insert(label(&path), path.clone()) {
            panic!("{about}: {} is there twice: {}", path.display(), other.display());
        }
    }
}

/// Names and allocated bytes, for messages.
pub(crate) fn listing(root: &Path) -> String {
    let line = |path: &PathBuf| {
        let meta = path.symlink_metadata().expect("its inode");
        let name = path.strip_prefix(root).unwrap_or(path).display();
        format!(
            "  {name} len {} allocated {} mode {:o}\n",
            meta.len(),
            meta.blocks() * 512,
            meta.mode()
        )
    };
    walk(root).iter().map(line).collect()
}

/// A temporary folder for one test, which only we may write to.
#[derive(Debug)]
pub(crate) struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    /// With an empty folder `logs`.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("logquota-real-").tempdir();
        let scene = Self { dir: dir.expect("a temporary folder") };
        fs::create_dir(scene.logs()).expect("a folder for logs");
        fs::set_permissions(scene.logs(), fs::Permissions::from_mode(0o755)).expect("its mode");
        scene
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    /// Writes a configuration for the logs in `logs`, which `LOGS` in `text` stands for, and
    /// gives the arguments of a run.
    pub(crate) fn config(&self, logs: &Path, text: &str) -> Vec<OsString> {
        let path = self.path("logquota.conf");
        let text = text.replace("LOGS", logs.to_str().expect("UTF-8"));
        fs::write(&path, text).expect("a configuration");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
        let state = self.path("state");
        vec!["run".into(), "--state".into(), state.into(), path.into()]
    }
}

/// The arguments of a run for a folder.
pub(crate) fn folder_run(logs: &Path, quota: &str, more: &[&str]) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["run".into(), "--quota".into(), quota.into()];
    args.extend(more.iter().map(OsString::from));
    args.push(logs.into());
    args
}
