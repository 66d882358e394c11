//! The hazards of what others can do, where logrotate is replaced: what holds for logquota's own
//! rules (`tests/hostile`) holds here, too, or the original's rule is kept and named.
//!
//! These look at ours alone: the original fails most of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use logquota_tests::tree::names;

use crate::world::wait;

mod configs;
mod files;
mod locks;
mod modes;
mod names;
mod states;

const BIN: &str = env!("CARGO_BIN_EXE_logquota-under-test");

/// What happens to the log, in a configuration.
const METHODS: [&str; 4] = ["create", "copy", "copytruncate", "renamecopy"];

/// A folder with logs, a configuration and a state file.
struct Place {
    dir: tempfile::TempDir,
}

/// What a run came to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    said: String,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().expect("a folder") };
        fs::set_permissions(place.dir.path(), Permissions::from_mode(0o755)).expect("its mode");
        fs::create_dir(place.logs()).expect("a folder");
        place
    }

    /// With this configuration; `LOGS` in it is the folder of the logs.
    fn with(config: &str) -> Self {
        let place = Self::new();
        place.config(config);
        place
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    fn log(&self, name: impl AsRef<Path>) -> PathBuf {
        self.logs().join(name)
    }

    fn fill(&self, text: &str) -> String {
        text.replace("LOGS", self.logs().to_str().expect("UTF-8"))
    }

    fn config(&self, text: &str) {
        write(&self.path("conf"), self.fill(text));
    }

    fn state(&self, lines: impl AsRef<[u8]>) {
        let text = [b"logrotate state -- version 2\n", lines.as_ref()].concat();
        write(&self.path("state"), text);
        fs::set_permissions(self.path("state"), Permissions::from_mode(0o640)).expect("its mode");
    }

    /// `logrotate FLAGS -s state`, without a configuration.
    fn bare(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(BIN);
        command.arg("logrotate").args(flags).arg("-s").arg(self.path("state"));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = self.bare(flags);
        command.arg(self.path("conf"));
        command
    }

    fn run(&self, flags: &[&str]) -> Ran {
        ran(&mut self.command(flags))
    }

    fn content(&self, name: impl AsRef<Path>) -> Option<String> {
        fs::read(self.log(name)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// All contents of the folder of the logs, decompressed and put together.
    fn everything(&self) -> String {
        let mut all = Vec::new();
        for name in names(&self.logs()) {
            let path = self.log(&name);
            if path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                let bytes = fs::read(&path).expect("readable");
                all.extend(logquota_tests::sandbox::decompressed(&path, bytes).expect("whole"));
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// Runs it to its end; whoever opens a pipe waits for ever, and is killed.
fn ran(command: &mut Command) -> Ran {
    let output = wait(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("internal error") && !said.contains("panicked"), "{said}");
    Ran { code: output.status.code(), said }
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
}
