//! The system calls of a program: seen, counted, and spoiled, by `strace`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The calls that change a file or a folder, except `openat`, which is asked for apart:
/// most of its calls only read.
pub const CHANGING: [&str; 25] = [
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "mknodat",
    "truncate",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "utimensat",
    "write",
    "pwrite64",
];

/// The calls that make changes last.
pub const SYNCING: [&str; 2] = ["fsync", "fdatasync"];

/// One system call as `strace -y` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments, as shown.
    pub args: Vec<String>,
    /// How often this name was called until now, this one included; over all threads.
    pub number: usize,
}

impl Call {
    /// Whether a file or folder is opened for writing, or made.
    #[must_use]
    pub fn opens_to_change(&self) -> bool {
        matches!(self.name.as_str(), "open" | "openat" | "openat2" | "creat")
            && (self.name == "creat"
                || self.args.iter().any(|arg| {
                    ["O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC"].iter().any(|f| arg.contains(f))
                }))
    }

    /// Whether it is one of [`CHANGING`] or opens something to change it. What is written to a
    /// standard stream, a pipe or a device is no file's.
    #[must_use]
    pub fn changes_files(&self) -> bool {
        if matches!(self.name.as_str(), "write" | "pwrite64") {
            return self.path_of_fd().is_some_and(|path| {
                path.starts_with('/') && !path.starts_with("/dev/") && !path.starts_with("/proc/")
            }) && !matches!(self.fd(), Some(0..=2));
        }
        if self.opens_to_change() {
            return !self.args.iter().any(|arg| arg.starts_with("\"/dev/"));
        }
        CHANGING.contains(&self.name.as_str())
    }

    /// The descriptor in the first argument.
    #[must_use]
    pub fn fd(&self) -> Option<i32> {
        self.args.first()?.split('<').next()?.parse().ok()
    }

    /// The path that the descriptor in the first argument belongs to.
    #[must_use]
    pub fn path_of_fd(&self) -> Option<&str> {
        let (_, rest) = self.args.first()?.split_once('<')?;
        rest.split('>').next()
    }
}

/// A command under `strace`, which may spoil some of its calls.
#[derive(Debug)]
pub struct Strace {
    args: Vec<String>,
    spoiled: Vec<String>,
    is_serial: bool,
}

impl Default for Strace {
    fn default() -> Self {
        Self::new()
    }
}

impl Strace {
    /// Does nothing yet but watch.
    #[must_use]
    pub fn new() -> Self {
        Self { args: Vec::new(), spoiled: Vec::new(), is_serial: false }
    }

    /// Refuses the program every thread (and process), so that its calls are the same, in
    /// the same order, in each run.
    #[must_use]
    pub fn serial(mut self) -> Self {
        self.is_serial = true;
        self
    }

    /// Kills the program when it makes call `call` for the `number`th time in one thread,
    /// before anything is done.
    #[must_use]
    pub fn kill_at(self, call: &str, number: usize) -> Self {
        self.inject(&format!("{call}:signal=KILL:when={number}"))
    }

    /// `strace`'s own words, such as `fsync:error=EIO:when=1`.
    #[must_use]
    pub fn inject(mut self, what: &str) -> Self {
        self.spoiled.push(what.to_owned());
        self
    }

    /// Only calls about this file.
    #[must_use]
    pub fn only(mut self, path: &Path) -> Self {
        self.args.extend(["-P".into(), path.to_str().expect("UTF-8").into()]);
        self
    }

    /// The command that runs `program` this way; its output is the program's, its status too:
    /// killed if it was killed.
    pub fn command(&self, program: impl AsRef<OsStr>, trace: &Path) -> Command {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-y", "-s", "4096", "-o"]).arg(trace);
        let mut traced = vec!["file,desc"];
        if !self.spoiled.is_empty() {
            traced = self.spoiled.iter().filter_map(|what| what.split(':').next()).collect();
        }
        let no_threads = ["clone", "clone3"].map(|call| format!("inject={call}:error=EAGAIN"));
        if self.is_serial {
            traced.extend(["clone", "clone3"]);
            command.args(no_threads.iter().flat_map(|what| ["-e", what]));
        }
        command.args(["-e", &format!("trace={}", traced.join(","))]);
        for what in &self.spoiled {
            command.args(["-e", &format!("inject={what}")]);
        }
        command.args(&self.args).arg("--").arg(program);
        command
    }
}

/// Whether `strace` may watch programs here; says so if not.
#[must_use]
pub fn needs_strace() -> bool {
    if crate::mounts::needs(&["strace"]) {
        return true;
    }
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        println!("skipped: strace may not watch programs here");
    }
    !works
}

/// All calls in a trace, in the order they began.
///
/// # Panics
///
/// If the trace cannot be read.
#[must_use]
pub fn calls(trace: &Path) -> Vec<Call> {
    let text = std::fs::read(trace).expect("a trace");
    let text = String::from_utf8_lossy(&text);
    let mut counts = std::collections::HashMap::new();
    let parsed = text.lines().filter_map(parse);
    parsed
        .map(|mut call| {
            let count = counts.entry(call.name.clone()).or_insert(0usize);
            *count += 1;
            call.number = *count;
            call
        })
        .collect()
}

/// `PID name(args) = result`, or the first half of a call that another thread interrupted.
fn parse(line: &str) -> Option<Call> {
    let (_, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    let (name, rest) = rest.split_once('(')?;
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    Some(Call { name: name.to_owned(), args: split(rest), number: 0 })
}

/// Arguments up to the closing bracket, split at the commas between them.
fn split(text: &str) -> Vec<String> {
    let mut args = vec![String::new()];
    let (mut depth, mut is_quoted, mut is_escaped, mut angle) = (0u32, false, false, 0u32);
    for c in text.strip_suffix(" <unfinished ...>").unwrap_or(text).chars() {
        if is_quoted {
            is_quoted = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
        } else if angle > 0 {
            angle = if c == '>' { angle - 1 } else { angle };
        } else {
            match c {
                '"' => is_quoted = true,
                '<' => angle += 1,
                '(' | '[' | '{' => depth += 1,
                ')' if depth == 0 => break,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    args.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        if let Some(last) = args.last_mut()
            && !(last.is_empty() && c == ' ')
        {
            last.push(c);
        }
    }
    args.retain(|arg| !arg.is_empty());
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_strace_is_taken_apart() {
        let line = "123 renameat2(3</a/b, c>, \"x, \\\"y\", 4</d>, \"z\", RENAME_NOREPLACE) = 0";
        let call = parse(line).expect("a call");
        assert_eq!(call.name, "renameat2");
        assert_eq!(call.args, ["3</a/b, c>", "\"x, \\\"y\"", "4</d>", "\"z\"", "RENAME_NOREPLACE"]);
        assert_eq!((call.fd(), call.path_of_fd()), (Some(3), Some("/a/b, c")));
        assert!(call.changes_files());
        let call = parse("9  write(1</tmp/out>, \"a\", 1 <unfinished ...>").expect("a call");
        assert_eq!(call.args, ["1</tmp/out>", "\"a\"", "1"]);
        assert!(!call.changes_files());
        assert_eq!(parse("9 +++ exited with 0 +++"), None);
    }
}
