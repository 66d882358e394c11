//! The program under logrotate's name: its arguments, exit codes, state file and words.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::kit::{
    BIN, Sandbox, assert_code, command, logquota, picture_after, picture_before, text,
};

/// A log that is due by its size, and what to do with it.
const ROTATE: &str = "LOGS/a.log {\n size 1\n rotate 2\n create\n}\n";

/// A folder with one log, its configuration and its state file.
struct Place {
    sandbox: Sandbox,
    config: PathBuf,
    state: PathBuf,
}

impl Place {
    fn new(config: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.content("a.log", b"zero\n", Duration::ZERO);
        let (config, state) = (sandbox.config(config), sandbox.path("status"));
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).expect("set");
        Self { sandbox, config, state }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.sandbox.logs().join(name)
    }

    /// The state file of before, of which only its owner may know.
    fn with_state(self, line: &str) -> Self {
        let line = line.replace("LOGS", self.sandbox.logs().to_str().expect("UTF-8"));
        fs::write(&self.state, format!("logrotate state -- version 2\n{line}\n")).expect("written");
        fs::set_permissions(&self.state, fs::Permissions::from_mode(0o640)).expect("set");
        self
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = command();
        command.arg("logrotate").args(flags).arg("-s").arg(&self.state).arg(&self.config);
        command
    }

    fn run(&self, flags: &[&str]) -> Output {
        self.command(flags).output().expect("the program starts")
    }

    fn content(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.log(name)).ok()
    }

    /// What the state file says of the log, without the name.
    fn entry(&self) -> Option<String> {
        let text = fs::read_to_string(&self.state).ok()?;
        let start = format!("\"{}\" ", self.log("a.log").display());
        text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    }
}

#[test]
fn what_is_no_run_is_answered_with_logrotates_exit_codes() {
    for (args, code, stdout, stderr) in [
        (vec!["--version"], 0, "logrotate 3.", ""),
        (vec!["--help"], 0, "Usage: logrotate", ""),
        (vec!["-?"], 0, "--skip-state-lock", ""),
        (vec!["--usage"], 0, "[-s|--state=statefile]", ""),
        (vec![], 1, "", "Usage: logrotate"),
        (vec!["-s", "/no/config"], 1, "", "logrotate 3."),
        (vec!["-Q", "/x"], 2, "", "logrotate: bad argument -Q: "),
        (vec!["--forc", "/x"], 2, "", "logrotate: bad argument --forc: "),
        (vec!["-h"], 2, "", "bad argument -h"),
        (vec!["--force=1", "/x"], 2, "", "bad argument --force=1"),
        (vec!["/x", "-vs"], 2, "", "bad argument -vs"),
        (vec!["--skip-state-lock", "--wait-for-state-lock", "/x"], 1, "", "mutually exclusive"),
    ] {
        let output = logquota(std::iter::once("logrotate").chain(args.iter().copied()));
        assert_code(&output, code);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(out.contains(stdout) && out.is_empty() == stdout.is_empty(), "{args:?}: {out}");
        assert!(err.contains(stderr) && err.is_empty() == stderr.is_empty(), "{args:?}: {err}");
    }
}

#[test]
fn under_the_name_of_logrotate_the_program_is_logrotate() {
    let place = Place::new(ROTATE);
    let mut command = Command::new(BIN);
    command.arg0("/usr/sbin/logrotate").arg("-fs").args([&place.state, &place.config]);
    assert_code(&command.output().expect("it starts"), 0);
    assert_eq!(place.content("a.log.1").as_deref(), Some("zero\n"));
    assert_eq!(place.content("a.log").as_deref(), Some(""));
}

#[test]
fn a_log_that_is_seen_first_is_not_due_by_time_and_gets_the_hour() {
    let place = Place::new("LOGS/a.log {\n daily\n rotate 2\n}\n");
    // An archive of long ago is no reason: only the state file counts.
    place.sandbox.content("a.log.1", b"old\n", Duration::from_secs(86_400 * 40));
    assert_code(&place.run(&[]), 0);
    assert_eq!(place.content("a.log").as_deref(), Some("zero\n"));
    assert!(place.entry().expect("an entry").ends_with(":0:0"), "{:?}", place.entry());
    let place = place.with_state("\"LOGS/a.log\" 2020-1-1-0:0:0");
    assert_code(&place.run(&[]), 0);
    assert_eq!(place.content("a.log.1").as_deref(), Some("zero\n"));
    assert_ne!(place.entry().as_deref(), Some("2020-1-1-0:0:0"));
}

#[test]
fn debug_says_what_would_be_done_and_changes_nothing() {
    let config = "LOGS/a.log {\n size 1\n rotate 2\n create 0600\n postrotate\n  touch LOGS/ran\n \
                  endscript\n}\n";
    let place = Place::new(config);
    let root = place.sandbox.path("");
    let before = picture_before(&root);
    let output = place.run(&["-d"]);
    assert_code(&output, 0);
    assert!(output.stdout.is_empty());
    assert_eq!(before, picture_after(&root));
    let said = text(&output.stderr);
    let log = place.log("a.log").display().to_string();
    for line in [
        "warning: logrotate in debug mode does nothing",
        &format!("reading config file {}", place.config.display()),
        "Handling 1 logs",
        &format!("rotating pattern: {log} 1 bytes (2 rotations)"),
        &format!("considering log {log}"),
        "  Now: ",
        "  Last rotated at ",
        "  log needs rotating",
        &format!("rotating log {log}, log->rotateCount is 2"),
        &format!("renaming {log} to {log}.1"),
        &format!("creating new {log} mode = 0600 uid = "),
        "running postrotate script",
        "touch ",
    ] {
        assert!(
            said.lines().any(|found| found.trim_start().starts_with(line.trim_start())),
            "{line}: {said}"
        );
    }
}

#[test]
fn h35_a_run_of_logquota_on_the_same_folder_is_kept_apart() {
    let again = format!("{BIN} run --quota 1M --lock-wait 0 LOGS; echo $? >&2");
    let config = format!(
        "LOGS/a.log {{\n size 1\n rotate 2\n create\n postrotate\n {again}\n endscript\n}}\n"
    );
    let place = Place::new(&config);
    let output = place.run(&["-f"]);
    assert_code(&output, 0);
    let said = text(&output.stderr);
    let refused = "another instance is at work on";
    assert!(said.contains(refused) && said.ends_with("\n3\n"), "{said}");
    // Nothing is left of it.
    let names = fs::read_dir(place.sandbox.logs()).expect("a folder").count();
    assert_eq!(names, 2);
    let alone = logquota(
        ["run", "--quota", "1M", "--lock-wait", "0"]
            .map(PathBuf::from)
            .into_iter()
            .chain([place.sandbox.logs()]),
    );
    assert_code(&alone, 0);
}

/// A folder that somebody is at work on.
fn at_work(folder: &Path) -> File {
    let held = File::open(folder).expect("opens");
    flock(&held, FlockOperation::LockExclusive).expect("locked");
    held
}

#[test]
fn h35_a_folder_that_stays_locked_is_left_for_the_next_run_and_the_others_are_not() {
    let config = "LOGS/a.log {\n size 1\n rotate 2\n olddir LOGS/old\n}\n\
                  LOGS/b.log {\n size 1\n rotate 2\n create\n}\n";
    let place = Place::new(config);
    let old = place.log("old");
    fs::create_dir(&old).expect("made");
    place.sandbox.content("b.log", b"b\n", Duration::ZERO);
    let _held = at_work(&old);
    let output = place.run(&["-f"]);
    assert_code(&output, 1);
    let said = format!("error: {} is being worked on by logquota, skipping\n", old.display());
    assert_eq!(text(&output.stderr), said);
    assert_eq!(place.content("a.log").as_deref(), Some("zero\n"));
    assert_eq!(place.content("b.log.1").as_deref(), Some("b\n"));
    assert_eq!(place.entry(), None, "it was not rotated");
    // Who only looks, and who wants no locks, is not kept waiting.
    assert_code(&place.run(&["-d", "-f"]), 0);
    assert_code(&place.run(&["-f", "--skip-state-lock"]), 0);
    assert_eq!(place.content("old/a.log.1").as_deref(), Some("zero\n"));
}

#[test]
fn h36_what_was_changed_while_a_run_waited_for_a_folder_is_planned_anew() {
    let place = Place::new(ROTATE);
    let held = at_work(&place.sandbox.logs());
    let mut run = place.command(&["-f"]).spawn().expect("it starts");
    // It has looked at the folder, and waits for it: two descriptors of it are open.
    let logs = fs::canonicalize(place.sandbox.logs()).expect("a folder");
    let opened = || {
        let fds = fs::read_dir(format!("/proc/{}/fd", run.id())).into_iter().flatten().flatten();
        fds.filter(|fd| fs::read_link(fd.path()).is_ok_and(|path| path == logs)).count()
    };
    while opened() < 2 {
        std::thread::yield_now();
    }
    fs::rename(place.log("a.log"), place.log("a.log.1")).expect("renamed");
    place.sandbox.content("a.log", b"two\n", Duration::ZERO);
    drop(held);
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    assert_eq!(place.content("a.log.1").as_deref(), Some("two\n"));
    assert_eq!(place.content("a.log.2").as_deref(), Some("zero\n"));
}

#[test]
fn without_verbose_a_run_that_is_well_says_nothing() {
    let place = Place::new(ROTATE);
    let output = place.run(&["-f"]);
    assert_code(&output, 0);
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
    let output = place.run(&["-v"]);
    assert!(text(&output.stderr).contains("(log size is below the 'size' threshold)"));
}

#[test]
fn h35_a_state_file_that_is_locked_is_exit_3_and_nothing_is_rotated() {
    let place = Place::new(ROTATE).with_state("");
    let held = File::open(&place.state).expect("opens");
    flock(&held, FlockOperation::LockExclusive).expect("locked");
    let output = place.run(&["-f"]);
    assert_code(&output, 3);
    let said = format!("error: state file {} is already locked", place.state.display());
    assert!(text(&output.stderr).contains(&said));
    assert_eq!(place.content("a.log.1"), None);
    assert_code(&place.run(&["-d"]), 0);
    assert_code(&place.run(&["-f", "--skip-state-lock"]), 0);
    assert_eq!(place.content("a.log.1").as_deref(), Some("zero\n"));
    // What anybody may read anybody could hold; such a lock is not asked for.
    fs::set_permissions(&place.state, fs::Permissions::from_mode(0o644)).expect("set");
    let held = File::open(&place.state).expect("opens");
    flock(&held, FlockOperation::LockExclusive).expect("locked");
    let output = place.run(&["-f"]);
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains("warning: state file"));
}

#[test]
fn a_state_file_that_cannot_be_made_is_exit_3() {
    let mut place = Place::new(ROTATE);
    place.state = place.sandbox.path("no/status");
    let output = place.run(&["-f"]);
    assert_code(&output, 3);
    assert!(text(&output.stderr).contains("error: error creating stub state file"));
    assert_eq!(place.content("a.log.1"), None);
    place.state = "/dev/null".into();
    assert_code(&place.run(&["-f"]), 0);
    assert_eq!(place.content("a.log.1").as_deref(), Some("zero\n"));
}

#[test]
fn h34_a_bad_line_of_the_state_file_is_exit_1_and_what_stands_before_it_is_used() {
    let place = Place::new("LOGS/a.log {\n daily\n rotate 2\n}\n")
        .with_state("\"LOGS/a.log\" 2020-1-1-0:0:0\n\"/torn");
    let output = place.run(&[]);
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("error: bad line 3 in state file"));
    assert_eq!(place.content("a.log.1").as_deref(), Some("zero\n"));
    assert!(!fs::read_to_string(&place.state).expect("there").contains("torn"));
}

#[test]
fn a_script_that_fails_before_the_work_leaves_the_time_and_one_after_it_does_not() {
    let old = "2020-1-1-0:0:0";
    for (script, words, is_noted) in [
        ("firstaction", "error running first action script for", false),
        ("prerotate", "error running shared prerotate script for '", false),
        ("postrotate", "error running shared postrotate script for '", true),
        ("lastaction", "error running last action script for", true),
    ] {
        let config = format!(
            "LOGS/a.log {{\n daily\n rotate 2\n sharedscripts\n {script}\n  exit 3\n endscript\n}}\n"
        );
        let place = Place::new(&config).with_state(&format!("\"LOGS/a.log\" {old}"));
        let output = place.run(&[]);
        assert_code(&output, 1);
        let said = text(&output.stderr);
        assert!(said.contains(&format!("error: {words}")), "{script}: {said}");
        assert_eq!(
            place.entry().as_deref() != Some(old),
            is_noted,
            "{script}: {:?}",
            place.entry()
        );
    }
}

#[test]
fn a_log_that_is_missing_is_exit_1_and_has_an_entry_all_the_same() {
    let place = Place::new("LOGS/a.log {\n size 1\n}\nLOGS/ok.log {\n missingok\n}\n");
    fs::remove_file(place.log("a.log")).expect("removed");
    let output = place.run(&["-v"]);
    assert_code(&output, 1);
    let said = text(&output.stderr);
    let log = place.log("a.log");
    assert!(said.contains(&format!("error: stat of {} failed: No such file", log.display())));
    let log = place.log("ok.log");
    assert!(
        said.contains(&format!("  log {} does not exist -- skipping", log.display())),
        "{said}"
    );
    let state = fs::read_to_string(&place.state).expect("written");
    assert!(place.entry().is_some() && state.contains("/ok.log\" "), "{state}");
}

#[test]
fn with_stdin_and_stdout_closed_everything_is_done() {
    let config = "LOGS/a.log {\n size 1\n rotate 2\n compress\n create\n postrotate\n  echo said; \
                  echo ran > LOGS/ran\n endscript\n}\n";
    let place = Place::new(config);
    let output = Command::new("/bin/sh")
        .args(["-c", "exec \"$@\" <&- >&-", "sh", BIN, "logrotate", "-f", "-s"])
        .args([&place.state, &place.config])
        .output()
        .expect("a shell");
    assert_code(&output, 0);
    assert_eq!(place.content("ran").as_deref(), Some("ran\n"));
    assert!(place.log("a.log.1.gz").is_file() && !place.log("a.log.1").exists());
    assert!(place.entry().is_some());
}

#[test]
fn the_log_of_messages_is_made_anew_and_has_what_is_not_shown() {
    let place = Place::new(ROTATE);
    let messages = place.sandbox.path("messages");
    fs::write(&messages, "of before").expect("written");
    let flag = format!("--log={}", messages.display());
    let output = place.run(&["-f", &flag]);
    assert_code(&output, 0);
    assert!(output.stderr.is_empty());
    let written = fs::read_to_string(&messages).expect("there");
    assert!(written.starts_with("reading config file ") && written.contains("renaming "));
    let output = place.run(&["-f", "--log=/no/such/folder/messages"]);
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains("error: error opening log file /no/such"));
}

#[test]
fn every_configuration_is_read_and_a_bad_one_stops_no_other() {
    let place = Place::new(ROTATE);
    let output = place
        .command(&["-f"])
        .arg(Path::new("/no/such/config"))
        .output()
        .expect("the program starts");
    assert_code(&output, 1);
    assert!(
        text(&output.stderr).contains("error: cannot stat /no/such/config"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(place.content("a.log.1").as_deref(), Some("zero\n"));
}
