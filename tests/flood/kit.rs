//! A flooder that does as it is told, and somebody who watches its directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use logquota_tests::mounts::{Mount, needs};
use serde_json::Value;

const FLOODER: &str = env!("CARGO_BIN_EXE_logquota-flooder");

/// The program that is run beside a flood.
pub(crate) const LOGQUOTA: &str = env!("CARGO_BIN_EXE_logquota-under-test");

/// For whatever has no reason to take long. Much longer than it takes here: a busy machine
/// is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) const MIB: u64 = 1 << 20;

/// Whether to try more than fits into every run of the tests.
pub(crate) fn is_long() -> bool {
    std::env::var_os("LOGQUOTA_LONG").is_some()
}

/// What a flooder says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Told(pub(crate) Value);

impl Told {
    #[track_caller]
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("no {name} in {self}"))
    }

    /// Records that were lost for this reason.
    pub(crate) fn lost_by(&self, cause: &str) -> u64 {
        self.0["by_cause"][cause].as_u64().unwrap_or(0)
    }

    /// How often an event of this name was heard.
    pub(crate) fn events(&self, name: &str) -> u64 {
        self.0["events"][name].as_u64().unwrap_or(0)
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A flooder that runs. It is killed when this is dropped.
pub(crate) struct Flooder {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<Value>,
    complaints: Option<JoinHandle<String>>,
}

impl Flooder {
    /// One on `log`, which must be able to open it.
    #[track_caller]
    pub(crate) fn start(log: &Path, args: &[&str]) -> Self {
        let (flooder, told) = Self::from(Command::new(FLOODER), log, args);
        assert!(told.0["refused"].is_null(), "{told}");
        flooder
    }

    /// The command that runs one, for more than arguments: another user, another environment.
    #[track_caller]
    pub(crate) fn from(command: Command, log: &Path, args: &[&str]) -> (Self, Told) {
        let flooder = Self::launch(command, log, args);
        let told = flooder.answer();
        (flooder, told)
    }

    /// The same, without a look at how it begins.
    #[track_caller]
    pub(crate) fn launch(mut command: Command, log: &Path, args: &[&str]) -> Self {
        command.arg(log).args(args).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("RUST_BACKTRACE");
        let mut child = command.spawn().expect("the flooder starts");
        let output = child.stdout.take().expect("its output");
        let mut errors = child.stderr.take().expect("its complaints");
        let (tell, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let line = line.unwrap_or_default();
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if tell.send(value).is_err() {
                    return;
                }
            }
        });
        let complaints = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let input = child.stdin.take();
        Self { child, input, answers, complaints: Some(complaints) }
    }

    /// The program itself, to be started by [`Flooder::from`] or [`Flooder::launch`].
    pub(crate) fn program() -> &'static str {
        FLOODER
    }

    /// Begins to do it.
    #[track_caller]
    pub(crate) fn begin(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not closed");
        writeln!(input, "{line}").expect("it listens");
    }

    /// Waits until it is done.
    #[track_caller]
    pub(crate) fn answer(&self) -> Told {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(value) => Told(value),
            Err(RecvTimeoutError::Timeout) => panic!("no answer in {PATIENCE:?}: it is blocked"),
            Err(RecvTimeoutError::Disconnected) => panic!("it ended without an answer"),
        }
    }

    /// Whether what was begun is done, after at most `wait`.
    pub(crate) fn is_done(&self, wait: Duration) -> Option<Told> {
        self.answers.recv_timeout(wait).ok().map(Told)
    }

    /// Begins it and waits until it is done.
    #[track_caller]
    pub(crate) fn tell(&mut self, line: &str) -> Told {
        self.begin(line);
        self.answer()
    }

    /// Has each thread write so many records.
    #[track_caller]
    pub(crate) fn go(&mut self, count: u64) -> Told {
        self.tell(&format!("go {count}"))
    }

    /// Has it do what is due until `is_so`: a background that is at work answers nothing.
    #[track_caller]
    pub(crate) fn until(&mut self, about: &str, is_so: impl Fn(&Told) -> bool) -> Told {
        self.until_by("maintain", about, is_so)
    }

    /// The same, told by this.
    #[track_caller]
    pub(crate) fn until_by(
        &mut self,
        line: &str,
        about: &str,
        is_so: impl Fn(&Told) -> bool,
    ) -> Told {
        let mut told = self.tell(line);
        for _ in 0..60_000 {
            if is_so(&told) {
                return told;
            }
            // Whoever asks without a pause has the processor that the other one needs.
            std::thread::sleep(Duration::from_millis(1));
            told = self.tell(line);
        }
        panic!("{about}: it does not come true: {told}");
    }

    /// Closes the log. It must end well, and have printed nothing but answers.
    #[track_caller]
    pub(crate) fn close(mut self) -> Told {
        let told = self.tell("close");
        drop(self.input.take());
        let status = self.child.wait().expect("its end");
        let said = self.complaints.take().expect("once").join().expect("text");
        assert!(status.success() && said.is_empty(), "{status}: {said}\n{told}");
        told
    }

    /// Kills it, which must not have printed anything on its standard error.
    #[track_caller]
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.child.kill().expect("it can be killed");
        let status = self.child.wait().expect("its end");
        let said = self.complaints.take().expect("once").join().expect("text");
        assert!(said.is_empty(), "{status}: {said}");
        assert_eq!(status.signal(), Some(9), "it ended by itself");
        status
    }

    /// Sends it a signal, by name.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let mut command = Command::new("kill");
        let status = command.arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("kill(1)").success());
    }

    /// A number from its `/proc/PID/status`, in KiB.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Flooder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file by device and inode.
type FileId = (u64, u64);

/// Allocated bytes of `folder` itself and of every file in it, by inode.
fn allocated(folder: &Path) -> BTreeMap<FileId, u64> {
    let mut found = BTreeMap::new();
    let own = fs::symlink_metadata(folder).ok();
    // While it is listed files come and go.
    let entries = fs::read_dir(folder).ok().into_iter().flatten().flatten();
    let metas = entries.filter_map(|entry| entry.metadata().ok());
    for meta in metas.chain(own) {
        found.insert((meta.dev(), meta.ino()), meta.blocks() * 512);
    }
    found
}

/// What `folder` and the files in it occupy.
pub(crate) fn footprint(folder: &Path) -> u64 {
    allocated(folder).values().sum()
}

/// The most that was seen of a directory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Most {
    /// The sum of `st_blocks`, over distinct inodes.
    pub(crate) by_files: u64,
    /// What the file system itself counts, files included that have no name any more; 0 where
    /// others write to it, or where its count means something else.
    pub(crate) by_disk: u64,
    pub(crate) samples: u64,
}

/// Looks at a directory about every millisecond.
pub(crate) struct Sampler {
    stop: Sender<()>,
    thread: Option<JoinHandle<Most>>,
}

impl Sampler {
    /// Of `folder`; the file system's own count, too, if `is_alone` there.
    pub(crate) fn start(folder: &Path, is_alone: bool) -> Self {
        let folder = folder.to_owned();
        let (stop, stopped) = mpsc::channel();
        // What is on the file system beside the directory.
        let base = is_alone.then(|| used_on_disk(&folder).saturating_sub(footprint(&folder)));
        let thread = std::thread::spawn(move || {
            let mut most = Most::default();
            let mut before = allocated(&folder);
            while stopped.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                let first = allocated(&folder);
                let second = allocated(&folder);
                // A listing is no moment: a file that goes and one that comes may both be in
                // it. What was there in two listings in a row, and each time with so much, was
                // there with so much between them.
                most.by_files = most.by_files.max(at_once(&before, &first));
                most.by_files = most.by_files.max(at_once(&first, &second));
                before = second;
                if let Some(base) = base {
                    most.by_disk = most.by_disk.max(used_at_once(&folder).saturating_sub(base));
                }
                most.samples += 1;
            }
            most
        });
        Self { stop, thread: Some(thread) }
    }

    /// The most that was there.
    pub(crate) fn stop(mut self) -> Most {
        let _ = self.stop.send(());
        self.thread.take().expect("once").join().expect("no panic")
    }

    /// Checks that it was never above the quota, and prints what it was.
    #[track_caller]
    pub(crate) fn assert_within(self, quota: u64, about: &str) -> Most {
        let most = self.stop();
        println!(
            "{about}: at most {} of {quota} bytes by st_blocks, {} by statvfs, {} samples",
            most.by_files, most.by_disk, most.samples
        );
        assert!(most.samples > 0, "{about}: nobody looked");
        assert!(most.by_files <= quota, "{about}: {most:?}, quota {quota}");
        assert!(most.by_disk <= quota, "{about}: {most:?}, quota {quota}");
        most
    }
}

fn at_once(first: &BTreeMap<FileId, u64>, second: &BTreeMap<FileId, u64>) -> u64 {
    let both = first.iter().filter_map(|(id, bytes)| Some((*bytes).min(*second.get(id)?)));
    both.sum()
}

/// The same, but for what only a look in the middle of an allocation finds: ext4 counts free
/// blocks and claimed ones by two counters, and what is being allocated is for an instant in both.
/// (A loop that allocates 4 MiB and deletes them again was seen with 8 MiB by 3 looks of 1,000.)
fn used_at_once(path: &Path) -> u64 {
    (0..3).map(|_| used_on_disk(path)).min().unwrap_or(0)
}

/// What the file system that `path` is on has given away.
pub(crate) fn used_on_disk(path: &Path) -> u64 {
    let found = rustix::fs::statvfs(path).expect("its numbers");
    (found.f_blocks - found.f_bfree) * found.f_frsize
}

/// File systems with room for a flood, by name; those that cannot be made are said and left
/// out. `true` if its own count of blocks is exact, and of nothing but ours.
pub(crate) fn disks(mib: u64) -> Vec<(&'static str, Mount, bool)> {
    let mut found = vec![("tmpfs", Mount::tmpfs(&format!("size={mib}m,mode=0755")), true)];
    if !needs(&["mkfs.ext4"]) {
        found.push(("ext4", Mount::ext4(mib, &[], ""), true));
    }
    if is_long() && !needs(&["mkfs.xfs"]) {
        found.push(("xfs", Mount::image("mkfs.xfs", &["-q", "-f"], mib.max(320), ""), false));
    }
    if is_long() && !needs(&["mkfs.btrfs"]) {
        found.push(("btrfs", Mount::image("mkfs.btrfs", &["-q", "-f"], mib.max(256), ""), false));
    }
    found
}

/// A folder for logs, which only we may write to.
pub(crate) fn logs(mount: &Mount) -> PathBuf {
    let logs = mount.folder("logs");
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o755)).expect("its mode");
    logs
}

/// A temporary folder of this name.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("logquota-flood-").tempdir().expect("a temporary folder")
}

/// The names in a folder, with lengths and allocated bytes.
pub(crate) fn listing(folder: &Path) -> String {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(meta) = entry.metadata() else { continue };
        lines.push(format!("  {name} len {} allocated {}", meta.len(), meta.blocks() * 512));
    }
    lines.sort();
    lines.join("\n")
}

/// The names of our temporary files in a folder.
pub(crate) fn temporaries(folder: &Path) -> Vec<OsString> {
    let names = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name());
    let is_ours = |name: &OsString| name.clone().into_vec().starts_with(b".logquota-");
    names.filter(is_ours).collect()
}
