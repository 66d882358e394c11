//! `logquota pipe`: what goes in is in the log, whatever happens.

mod disk;
mod signals;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::kit::{Sandbox, assert_code, command, logquota, text};

/// A program that writes into a pipe, by hand.
struct Pipe {
    child: Child,
    stdin: Option<ChildStdin>,
    copy: BufReader<ChildStdout>,
}

impl Pipe {
    /// With a copy on standard output: a line that is there is in the log already, so that no
    /// test has to guess how long something takes.
    fn start(args: &[&str], log: &Path) -> Self {
        let mut command = command();
        command.args(["pipe", "--tee"]).args(args).arg(log);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdin = child.stdin.take();
        let copy = BufReader::new(child.stdout.take().expect("its standard output"));
        Self { child, stdin, copy }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().expect("still open").write_all(bytes).expect("it reads");
    }

    /// Writes one line and waits until it is in the log.
    fn line(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
        self.line_of(&format!("{line}\n"));
    }

    /// Waits for the copy of a line that was written.
    fn line_of(&mut self, line: &str) {
        let mut copied = String::new();
        self.copy.read_line(&mut copied).expect("a copy");
        assert_eq!(copied, line);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for the end, with what is still to come on standard output.
    fn wait(mut self) -> Output {
        let mut stdout = Vec::new();
        self.copy.read_to_end(&mut stdout).expect("the rest of the copy");
        let output = self.child.wait_with_output().expect("it ends");
        Output { stdout, ..output }
    }

    /// Closes the pipe and waits for the end.
    fn finish(mut self) -> Output {
        drop(self.stdin.take());
        self.wait()
    }
}

/// Runs a pipe over `input`.
fn pipe(args: &[&str], log: &Path, input: &[u8]) -> Output {
    let mut command = command();
    command.arg("pipe").args(args).arg(log);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("its standard input");
    stdin.write_all(input).expect("it reads everything");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// The segments of a log, the oldest first, as text; compressed ones as their names.
fn segments(log: &Path) -> Vec<String> {
    let dir = log.parent().expect("a folder");
    let name = log.file_name().and_then(|name| name.to_str()).expect("a name");
    let mut archives: Vec<PathBuf> = fs::read_dir(dir)
        .expect("a listing")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().contains(&format!("/{name}.0")))
        .collect();
    archives.sort();
    archives.push(log.to_owned());
    let read = |path: PathBuf| text(&fs::read(path).unwrap_or_default());
    archives.into_iter().map(read).collect()
}

/// What `du` says of the files in the folder of a log.
fn used(log: &Path) -> u64 {
    let entries = fs::read_dir(log.parent().expect("a folder")).expect("a listing");
    let blocks = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    blocks.map(|meta| meta.blocks() * 512).sum()
}

const TRACE: &str = "\
2026-11-21 10:00:00 ERROR Player - decode failed
java.lang.IllegalStateException: no frame
\tat com.example.Decoder.next(Decoder.java:42)
\tat com.example.Player.run(Player.java:17)
Caused by: java.io.IOException: broken file
\t... 12 more
";

#[test]
fn what_goes_in_is_in_the_log_to_the_last_byte() {
    let sandbox = Sandbox::new();
    for (n, input) in ["a\nb\n", "a\nno newline", "", "\n\n", "\0\u{fffd}\r\n"].iter().enumerate() {
        let log = sandbox.logs().join(format!("{n}.log"));
        let output = pipe(&["--quota", "1M"], &log, input.as_bytes());
        assert_code(&output, 0);
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        assert_eq!(text(&fs::read(&log).expect("a log")), *input);
    }
}

#[test]
fn what_is_there_stays_and_is_gone_on_with() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    fs::write(&log, "before\n").expect("a log");
    assert_code(&pipe(&["--keep", "2"], &log, b"after\n"), 0);
    assert_eq!(segments(&log), ["before\nafter\n"]);
}

#[test]
fn a_flood_stays_within_its_quota_and_no_trace_is_cut() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let output = pipe(&["-v", "--quota", "2M"], &log, TRACE.repeat(60_000).as_bytes());
    assert_code(&output, 0);
    assert!(used(&log) <= 2 << 20, "{}", used(&log));
    let segments = segments(&log);
    assert!(segments.len() > 3);
    for one in segments.iter().filter(|one| !one.is_empty()) {
        assert!(one.starts_with("2026-") && one.ends_with("more\n"));
    }
    let said = text(&output.stderr);
    assert!(said.contains("360000 lines") && said.contains("0 lost"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_trace_that_comes_in_pieces_is_not_cut() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let mut pipe = Pipe::start(&["--size", "4k", "--keep", "1000"], &log);
    for line in TRACE.repeat(40).lines() {
        pipe.line(line);
    }
    assert_code(&pipe.finish(), 0);
    let segments = segments(&log);
    assert_eq!(segments.concat(), TRACE.repeat(40));
    assert!(segments.len() > 2);
    for one in segments {
        assert!(one.starts_with("2026-") && one.ends_with("more\n") && one.len() <= 4096, "{one}");
    }
}

#[test]
fn archives_are_counted_and_have_the_mode_that_was_asked_for() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let args = ["--size", "64k", "--keep", "3", "--mode", "600"];
    assert_code(&pipe(&args, &log, TRACE.repeat(4000).as_bytes()), 0);
    let names = sandbox.listing();
    assert!((2..=4).contains(&names.len()), "{names:?}");
    for name in names.keys() {
        let mode = sandbox.logs().join(name).metadata().expect("its inode").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn archives_are_compressed_while_the_pipe_is_open() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let args = ["--size", "64k", "--quota", "1M", "--compress", "gzip"];
    let mut pipe = Pipe::start(&args, &log);
    // By name alone: files come and go meanwhile.
    let is_there = || {
        let entries = fs::read_dir(sandbox.logs()).expect("a listing");
        entries.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "gz"))
    };
    // Another thread does that in its own time, without a word that could be waited for.
    for _ in 0..100_000 {
        pipe.line(&"x".repeat(200));
        if is_there() {
            break;
        }
    }
    assert!(is_there(), "{:?}", sandbox.listing());
    assert_code(&pipe.finish(), 0);
}

#[test]
fn the_copy_on_standard_output_is_complete_and_its_reader_may_go() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let input = TRACE.repeat(100);
    let output = pipe(&["--tee", "--quota", "1M"], &log, input.as_bytes());
    assert_code(&output, 0);
    assert_eq!(text(&output.stdout), input);

    let log = sandbox.logs().join("other.log");
    let mut command = command();
    command.args(["pipe", "--tee", "--quota", "1M"]).arg(&log);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("its standard input");
    stdin.write_all(input.as_bytes()).expect("it goes on reading");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_code(&output, 0);
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    assert_eq!(segments(&log), [input]);
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_what_to_do() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let log = log.to_str().expect("UTF-8");
    for (args, says) in [
        (vec![log], "--quota 64M"),
        (vec!["--quota", "1MB", log], "1MiB"),
        (vec!["--quota", "1M"], "<LOGFILE>"),
        (vec!["--quota", "1M", "--size", "2M", log], "lower --size"),
        (vec!["--quota", "1M", "--size", "100", log], "--size 1M"),
        (vec!["--quota", "2k", log], "quota"),
        (vec!["--keep", "few", log], "--keep"),
        (vec!["--keep-for", "0", log], "--keep-for"),
        (vec!["--quota", "1M", "--every", "daily", log], "15m"),
        (vec!["--quota", "1M", "--mode", "rw", log], "such as 640"),
        (vec!["--quota", "1M", "--on-full", "block", log], "evict"),
        (vec!["--quota", "1M", "--json", log], "-v"),
    ] {
        let output = logquota(["pipe"].iter().chain(&args));
        assert_code(&output, 2);
        assert!(output.stdout.is_empty());
        let stderr = text(&output.stderr);
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    assert!(sandbox.listing().is_empty());
}

#[test]
fn a_log_that_cannot_be_opened_is_told_at_once_with_what_to_do() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("file"), "").expect("a file");
    for (log, says) in [
        (sandbox.path("no/such/player.log"), "mkdir -p"),
        (sandbox.logs(), "not the folder"),
        (sandbox.path("file/player.log"), "file"),
    ] {
        let output =
            logquota(["pipe".as_ref(), "--quota".as_ref(), "1M".as_ref(), log.as_os_str()]);
        assert_code(&output, 1);
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
}

#[test]
fn an_input_that_cannot_be_read_is_exit_1() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let folder = fs::File::open(sandbox.logs()).expect("a folder");
    let mut command = command();
    let output = command.args(["pipe", "--quota", "1M"]).arg(&log).stdin(folder).output();
    let output = output.expect("the program starts");
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("standard input"), "{}", text(&output.stderr));
}

#[test]
fn help_has_examples_and_fits_80_columns() {
    for flag in ["-h", "--help"] {
        let output = logquota(["pipe", flag]);
        assert_code(&output, 0);
        let help = text(&output.stdout);
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        for words in ["Examples:", "Signals:", "Exit codes:", "--tee", "[default: 640]"] {
            assert!(help.contains(words), "{words}: {help}");
        }
    }
}

#[test]
fn two_pipes_may_share_a_log_and_every_line_is_there_once() {
    let sandbox = Sandbox::new();
    let log = sandbox.logs().join("player.log");
    let lines = |who: char| (0..20_000).map(move |n| format!("{who} {n:05}\n"));
    std::thread::scope(|scope| {
        for who in ['a', 'b'] {
            let log = &log;
            scope.spawn(move || {
                let input: String = lines(who).collect();
                let args = ["--quota", "8M", "--size", "64k"];
                assert_code(&pipe(&args, log, input.as_bytes()), 0);
            });
        }
    });
    let kept = segments(&log).concat();
    for who in ['a', 'b'] {
        let own = kept.split_inclusive('\n').filter(|line| line.starts_with(who));
        assert!(own.eq(lines(who)), "lines of {who} are missing, torn or out of order");
    }
    assert!(segments(&log).iter().all(|one| one.len() <= 64 << 10));
}
