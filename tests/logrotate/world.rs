//! One case on one side: its folder is made, its steps are done, and what came of every run is
//! looked at.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{RwLock, mpsc};
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock};

use crate::case::{Case, Content, How, Run, Step};
use crate::clock::Clock;
use crate::look::{Look, date, look, plain, set_time};

/// For one run. Much longer than any takes: a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// How old files are that a case says nothing about: old enough not to be taken for new ones.
const AGE: &str = "1d";

/// Writes down with what arguments it was called. Blanks at the end of a pattern are cut: 3.21
/// leaves them there, and one case about that is enough.
const NOTE: &str = "#!/bin/sh
name=$1; shift
for arg; do
    while case $arg in *[[:space:]]) ;; *) false;; esac; do arg=${arg%?}; done
    name=\"$name <$arg>\"
done
echo \"$name\" >>\"$ROOT/ran\"
";

/// Writes down what was mailed, and how. What comes compressed is unpacked, and marked: no two
/// compressors write the same bytes.
const MAILER: &str = "#!/bin/sh
mail=$0.$$
cat >\"$mail\"
{ printf mail; printf ' <%s>' \"$@\"; echo; } >>\"$ROOT/mails\"
if gzip -dc <\"$mail\" >\"$mail.plain\" 2>/dev/null; then
    printf '(gzip) ' >>\"$ROOT/mails\"
    mv \"$mail.plain\" \"$mail\"
fi
cat \"$mail\" >>\"$ROOT/mails\"
rm -f \"$mail\" \"$mail.plain\"
";

/// Held shared while a program is started, and alone while a file is written: a child that is
/// being started holds what is open here, and a program that somebody writes cannot be run.
static STARTING: RwLock<()> = RwLock::new(());

/// Where a case happens. Both sides have the same paths: scripts and messages contain them.
pub(crate) struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().expect("a temporary folder");
        // `su` cases come here as other users.
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let bin = temp.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        let _alone = STARTING.write().expect("no panic");
        for (name, text) in [("note", NOTE), ("mailer", MAILER)] {
            fs::write(bin.join(name), text).expect("a script");
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("mode");
        }
        Self { temp }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.temp.path().join("d")
    }

    /// Does the case with `program`, in a fresh folder. Gives what came of each run.
    pub(crate) fn play(&self, case: &Case, program: &Path, clock: Clock) -> Vec<Look> {
        let mut world = World {
            root: self.root(),
            bin: self.temp.path().join("bin"),
            clock,
            env: Vec::new(),
            user: None,
            lock: None,
            looks: Vec::new(),
        };
        let called = world.bin.join("logrotate");
        let _ = fs::remove_file(&called);
        let is_user = case.steps.iter().any(|step| matches!(step, Step::User(_)));
        // Another user may not get to where the program was built.
        if is_user {
            fs::copy(program, &called).expect("a copy");
        } else {
            symlink(program, &called).expect("a link");
        }
        fs::create_dir(&world.root).expect("a folder");
        for step in &case.steps {
            world.step(step, &case.name);
        }
        fs::remove_dir_all(&world.root).expect("it goes");
        world.looks
    }
}

struct World {
    root: PathBuf,
    bin: PathBuf,
    clock: Clock,
    env: Vec<(String, String)>,
    user: Option<u32>,
    lock: Option<File>,
    looks: Vec<Look>,
}

impl World {
    fn step(&mut self, step: &Step, case: &str) {
        match step {
            Step::File { names, how, content } => {
                for name in names {
                    self.file(name, how, content);
                }
            }
            Step::Dir { names, how } => {
                for name in names {
                    let path = self.path(name);
                    fs::create_dir_all(&path).expect("a folder");
                    self.attributes(&path, how);
                }
            }
            Step::Link { name, target } => {
                symlink(self.text(target), self.path(name)).expect("a link");
            }
            Step::Hard { name, of } => {
                fs::hard_link(self.path(of), self.path(name)).expect("a link");
            }
            Step::Fifo(name) => {
                let mode = Mode::from_raw_mode(0o644);
                rustix::fs::mknodat(CWD, self.path(name), FileType::Fifo, mode, 0).expect("a pipe");
            }
            Step::Remove(name) => {
                let path = self.path(name);
                let is_dir = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
                let removed =
                    if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.unwrap_or_else(|error| panic!("{case}: {name}: {error}"));
            }
            Step::State(entries) => {
                let lines = entries.iter().map(|(log, when)| {
                    let log = if log.contains('/') { log.clone() } else { format!("@/{log}") };
                    format!("\"{}\" {}\n", self.text(&log), self.clock.in_state(when))
                });
                let text: String = std::iter::once("logrotate state -- version 2\n".to_owned())
                    .chain(lines)
                    .collect();
                // Others may not read it, or it would not be locked.
                let how = How { mode: Some(0o640), ..How::default() };
                self.file("state", &how, &Content::Text(text));
            }
            Step::Lock(name) => {
                let file = File::open(self.path(name)).expect("the file to lock");
                flock(&file, FlockOperation::LockExclusive).expect("a lock");
                self.lock = Some(file);
            }
            Step::Unlock => self.lock = None,
            Step::Env(name, text) => self.env.push((name.clone(), self.text(text))),
            Step::User(id) => self.user = Some(*id),
            Step::Shell(text) => {
                let mut shell = Command::new("sh");
                let output = self.within(shell.arg("-c").arg(self.text(text)));
                assert!(output.status.success(), "{case}: {text}: {output:?}");
            }
            Step::At(now) => self.clock.now = *now,
            Step::Run(run) => {
                let look = self.run(run);
                if self.clock.is_set() {
                    date(&self.root, &self.clock, &look.tree);
                }
                self.looks.push(look);
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.root.join(self.text(name));
        fs::create_dir_all(path.parent().expect("below the root")).expect("folders");
        path
    }

    /// With this case's paths and times.
    fn text(&self, text: &str) -> String {
        let root = self.root.to_str().expect("UTF-8");
        self.clock.fill(text).replace("@/", &format!("{root}/"))
    }

    fn file(&self, name: &str, how: &How, content: &Content) {
        let path = self.path(name);
        let is_new = !path.exists();
        let name = path.file_name().and_then(OsStr::to_str).expect("a name");
        let bytes = match content {
            Content::Name => packed(name),
            Content::Size(size) => vec![b'x'; *size],
            Content::Text(text) => self.text(text).into_bytes(),
        };
        let alone = STARTING.write().expect("no panic");
        fs::write(&path, bytes).expect("a file");
        drop(alone);
        let mut how = how.clone();
        if is_new {
            how.mode.get_or_insert(0o644);
        }
        if is_new || !matches!(content, Content::Name) {
            how.age.get_or_insert(AGE.to_owned());
        }
        self.attributes(&path, &how);
    }

    fn attributes(&self, path: &PathBuf, how: &How) {
        if let Some((user, group)) = how.owner {
            std::os::unix::fs::chown(path, Some(user), Some(group)).expect("an owner");
        }
        if let Some(mode) = how.mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
        if let Some(age) = &how.age {
            let time = self.clock.at(&format!("-{age}")).expect("an age").and_utc().timestamp();
            let seconds = u64::try_from(time).expect("after 1970");
            set_time(path, UNIX_EPOCH + Duration::from_secs(seconds));
        }
    }

    fn run(&self, run: &Run) -> Look {
        let mut args: Vec<String> = run.args.iter().map(|arg| self.text(arg)).collect();
        if !run.raw {
            let usual = ["-v", "-s", "state", "-m", "../bin/mailer"].map(str::to_owned);
            args.splice(0..0, usual);
            args.push("conf".to_owned());
        }
        let output = if run.closed {
            let shell = ["-c", "exec \"$0\" \"$@\" <&- >&-", "../bin/logrotate"].map(str::to_owned);
            self.program("sh", shell.into_iter().chain(args))
        } else if self.clock.is_set() {
            let at = format!("@{}", self.clock.now.format("%Y-%m-%d %H:%M:%S"));
            let faked = ["-f".to_owned(), at, "../bin/logrotate".to_owned()];
            // Where a process that was killed has left a semaphore with its number, the program was
            // not started; the next process has another number.
            let mut tries = std::iter::repeat_with(|| {
                self.program("faketime", faked.iter().chain(&args).cloned())
            });
            let is_started = |output: &Output| {
                !String::from_utf8_lossy(&output.stderr).contains("sem_open: File exists")
            };
            tries.by_ref().take(10).find(is_started).expect("faketime starts")
        } else {
            self.program("../bin/logrotate", args)
        };
        let text = |bytes: &[u8]| plain(&String::from_utf8_lossy(bytes), &self.root);
        Look {
            clock: self.clock,
            tree: look(&self.root, &self.clock),
            status: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: match output.status.signal() {
                Some(signal) => format!("{}(killed by signal {signal})", text(&output.stderr)),
                None => text(&output.stderr),
            },
        }
    }

    fn program(&self, program: &str, args: impl IntoIterator<Item = String>) -> Output {
        // A path with a folder in it is looked up before the folder is changed to.
        let program = match program.strip_prefix("../bin/") {
            Some(name) => self.bin.join(name),
            None => program.into(),
        };
        let mut command = Command::new(program);
        if let Some(user) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            std::os::unix::process::CommandExt::gid(&mut command, user);
        }
        self.within(command.args(args))
    }

    /// Runs a command in the folder, in an environment that is the same everywhere.
    fn within(&self, command: &mut Command) -> Output {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.bin.display());
        command.current_dir(&self.root).env_clear().env("PATH", path).env("ROOT", &self.root);
        // Only the calendar is another one, neither the file system nor what waits for something.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("HOME", &self.root).env("TZ", "UTC0").env("NO_FAKE_STAT", "1");
        command.envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        wait(command)
    }
}

pub(crate) fn wait(command: &mut Command) -> Output {
    let starting = STARTING.read().expect("no panic");
    let child = loop {
        match command.spawn() {
            // Another thread was starting a program just when the copy of this one was written,
            // and its child holds the descriptor for some microseconds.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {}
            other => break other.expect("it starts"),
        }
    };
    drop(starting);
    let pid = rustix::process::Pid::from_child(&child);
    let (told, ended) = mpsc::channel();
    std::thread::spawn(move || told.send(child.wait_with_output()));
    ended.recv_timeout(PATIENCE).map_or_else(
        |_| {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            ended.recv().expect("it ends").expect("its output")
        },
        |output| output.expect("its output"),
    )
}

/// The name of a file as its content, compressed as the name says.
fn packed(name: &str) -> Vec<u8> {
    let text = format!("{name}\n").into_bytes();
    if name.ends_with(".gz") {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
        writer.write_all(&text).expect("memory");
        return writer.finish().expect("memory");
    }
    if name.ends_with(".zst") {
        return zstd::stream::encode_all(text.as_slice(), 3).expect("memory");
    }
    text
}
