//! A folder with logs and a configuration, the program, and a picture of a tree.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

/// The program that is tested.
pub(crate) const BIN: &str = env!("CARGO_BIN_EXE_logquota-under-test");

/// One day.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A command that runs the program, without what the tester's environment would tell it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(BIN);
    command.stdin(Stdio::null());
    for name in ["LOGQUOTA_CONFIG", "STATE_DIRECTORY", "NO_COLOR", "TZ"] {
        command.env_remove(name);
    }
    command
}

/// Runs the program with these arguments to its end.
pub(crate) fn logquota<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Output {
    command().args(args).output().expect("the program starts")
}

/// The exit code; a signal or a panic fails the test.
pub(crate) fn code(output: &Output) -> i32 {
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("panicked") && !stderr.contains("internal error"), "{stderr}");
    output.status.code().unwrap_or_else(|| panic!("killed: {:?} {stderr}", output.status))
}

/// Fails with all that was printed unless the exit code is `expected`.
#[track_caller]
pub(crate) fn assert_code(output: &Output, expected: i32) {
    let found = code(output);
    assert_eq!(
        found,
        expected,
        "\nstdout:\n{}\nstderr:\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one JSON object on standard output.
#[track_caller]
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", text(&output.stdout)))
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says why a test is not done; true if this is not root.
pub(crate) fn needs_root() -> bool {
    if !is_root() {
        println!("skipped: needs root");
    }
    !is_root()
}

/// Says why a test is not done; true if the program is missing.
pub(crate) fn needs(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !is_there {
        println!("skipped: needs {program}");
    }
    !is_there
}

/// A folder that only we may write to, removed at the end.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(sandbox.logs()).expect("a folder for logs");
        sandbox
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the logs are.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    /// A log or archive of `kib` KiB that was changed `age` ago. Its content is its own.
    pub(crate) fn log(&self, name: impl AsRef<OsStr>, kib: usize, age: Duration) -> PathBuf {
        let name = name.as_ref();
        let seed =
            name.as_encoded_bytes().iter().fold(7u32, |h, b| h.wrapping_mul(31) + u32::from(*b));
        self.content(name, &noise(seed, kib * 1024), age)
    }

    pub(crate) fn content(
        &self,
        name: impl AsRef<OsStr>,
        content: &[u8],
        age: Duration,
    ) -> PathBuf {
        let path = self.logs().join(name.as_ref());
        fs::write(&path, content).expect("a log");
        set_times(&path, SystemTime::now() - age);
        path
    }

    /// A configuration; `LOGS` in it becomes the folder of the logs.
    pub(crate) fn config(&self, text: &str) -> PathBuf {
        let path = self.path("logquota.conf");
        let logs = self.logs();
        fs::write(&path, text.replace("LOGS", logs.to_str().expect("UTF-8"))).expect("a config");
        path
    }

    /// A folder over its quota of 256 KiB: three logs, one of them with archives.
    pub(crate) fn overfull(&self) -> PathBuf {
        self.log("app.log", 48, Duration::ZERO);
        for (number, kib) in [(1, 64), (2, 64), (3, 96), (4, 96)] {
            self.log(format!("app.log.{number}"), kib, DAY * number);
        }
        self.log("db.log", 8, DAY);
        self.log("web.log", 20, DAY);
        self.logs()
    }

    /// Names and lengths in the folder of the logs.
    pub(crate) fn listing(&self) -> BTreeMap<OsString, u64> {
        let entries = fs::read_dir(self.logs()).expect("the folder of the logs");
        entries
            .map(|entry| entry.expect("an entry"))
            .map(|entry| (entry.file_name(), entry.metadata().expect("its inode").len()))
            .collect()
    }

    /// Allocated bytes of the folder of the logs, as `du` counts them.
    pub(crate) fn used(&self) -> u64 {
        let logs = self.logs();
        let files = self.listing().into_keys().map(|name| logs.join(name)).chain([logs.clone()]);
        files.map(|path| path.symlink_metadata().expect("its inode").blocks() * 512).sum()
    }
}

/// A folder that another instance has locked.
pub(crate) struct Held {
    folder: File,
    at: PathBuf,
}

impl Held {
    pub(crate) fn new(at: &Path) -> Self {
        let folder = File::open(at).expect("opens");
        flock(&folder, FlockOperation::LockExclusive).expect("locked");
        Self { folder, at: at.to_owned() }
    }

    /// The program, which has come as far as to wait for the folder.
    pub(crate) fn waiting(&self, args: &[&str]) -> Child {
        let mut command = command();
        command.args(args).args(["--lock-wait", "60"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let open = PathBuf::from(format!("/proc/{}/fd", child.id()));
        let is_open = || {
            let files = fs::read_dir(&open).into_iter().flatten().flatten();
            files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| file == self.at)
        };
        // Nothing else tells that it waits.
        while !is_open() {
            assert!(child.try_wait().expect("its state").is_none(), "it has not waited");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }

    /// What becomes of it when the folder is free.
    pub(crate) fn let_go(self, waiting: Child) -> Output {
        drop(self.folder);
        waiting.wait_with_output().expect("it ends")
    }
}

/// Bytes that no compressor makes much shorter, the same for the same seed.
pub(crate) fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed) << 1 | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Lines of printable text, as a log has them.
        let byte = u8::try_from(state >> 40 & 0x3f).unwrap_or(0) + 0x21;
        if state >> 50 & 0x3f == 0 { b'\n' } else { byte }
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) fn set_times(path: &Path, at: SystemTime) {
    let file = File::open(path).expect("opens");
    // Access earlier than change, so that reading the file would show in it.
    let times = FileTimes::new().set_modified(at).set_accessed(at - DAY * 3);
    file.set_times(times).expect("sets times");
}

/// Everything that can be seen of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    stat: [i64; 13],
    content: Vec<u8>,
}

/// A tree before something that must not change it.
///
/// All access times are set back in the end, so that whoever reads a file or lists a folder
/// afterwards shows in [`picture_after`]; taking the picture itself does not.
pub(crate) fn picture_before(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut contents = BTreeMap::new();
    for (path, _) in walk(root) {
        contents.insert(path.clone(), content(&path));
    }
    for path in contents.keys() {
        let meta = path.symlink_metadata().expect("its inode");
        if meta.is_file() || meta.is_dir() {
            set_times(path, meta.modified().expect("mtime"));
        }
    }
    contents
        .into_iter()
        .map(|(path, content)| (path.clone(), Seen { stat: stat(&path), content }))
        .collect()
}

/// The same tree afterwards.
pub(crate) fn picture_after(root: &Path) -> BTreeMap<PathBuf, Seen> {
    walk(root)
        .into_iter()
        .map(|(path, stat)| (path.clone(), Seen { stat, content: content(&path) }))
        .collect()
}

/// The same, but for when it was last looked at: to be looked at again and again.
pub(crate) fn picture_unread(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut picture = picture_after(root);
    for seen in picture.values_mut() {
        seen.stat[ACCESSED..ACCESSED + 2].fill(0);
    }
    picture
}

fn content(path: &Path) -> Vec<u8> {
    let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    if is_file { fs::read(path).expect("readable") } else { Vec::new() }
}

/// Every path with its inode, as it was before the folder was listed.
fn walk(path: &Path) -> Vec<(PathBuf, [i64; 13])> {
    let mut found = vec![(path.to_owned(), stat(path))];
    if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        let entries = fs::read_dir(path).expect("lists").map(|e| e.expect("entry").path());
        found.extend(entries.collect::<Vec<_>>().iter().flat_map(|entry| walk(entry)));
    }
    found
}

/// Where [`stat`] has the time of last access.
const ACCESSED: usize = 7;

fn stat(path: &Path) -> [i64; 13] {
    let meta = path.symlink_metadata().expect("its inode");
    let number = |n: u64| i64::try_from(n).unwrap_or(-1);
    [
        number(meta.ino()),
        number(meta.nlink()),
        i64::from(meta.mode()),
        i64::from(meta.uid()),
        i64::from(meta.gid()),
        number(meta.len()),
        number(meta.blocks()),
        meta.atime(),
        meta.atime_nsec(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    ]
}
