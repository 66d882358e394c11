//! The state file is a cache: torn, gone or unwritable, it does not stop a run.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::kit::{DAY, Sandbox, assert_code, code, logquota, text};

const DAILY: &str = "LOGS/*.log {\n daily\n rotate 9\n}\n";

fn run(state: &Path, config: &Path) -> Output {
    logquota(["run".as_ref(), "--state".as_ref(), state.as_os_str(), config.as_os_str()])
}

/// Two logs that were rotated last in 2020, and their state.
fn aged(sandbox: &Sandbox) -> String {
    let mut state = "logrotate state -- version 2\n".to_owned();
    for name in ["a.log", "b.log"] {
        sandbox.log(name, 4, DAY * 2);
        sandbox.log(format!("{name}.1"), 4, DAY * 3);
        let path = sandbox.logs().join(name);
        state.push_str(&format!("\"{}\" 2020-1-1-0:0:0\n", path.display()));
    }
    state
}

#[test]
fn a_log_that_is_seen_first_is_noted_and_not_rotated() {
    let sandbox = Sandbox::new();
    sandbox.log("a.log", 4, DAY * 2);
    let (state, config) = (sandbox.path("status"), sandbox.config(DAILY));
    assert_code(&run(&state, &config), 0);
    assert_eq!(sandbox.listing().len(), 1);
    let noted = fs::read_to_string(&state).expect("written");
    assert!(noted.starts_with("logrotate state -- version 2\n\""), "{noted}");
    assert!(noted.contains("a.log\" 2") && noted.ends_with(":0:0\n"), "{noted}");
    let mode = state.metadata().expect("its inode").mode();
    assert_eq!(mode & 0o007, 0, "others may not read or lock it: {mode:o}");
}

#[test]
fn a_log_that_was_rotated_is_not_rotated_again_the_same_day() {
    let sandbox = Sandbox::new();
    let (text, state) = (aged(&sandbox), sandbox.path("status"));
    fs::write(&state, text).expect("written");
    let config = sandbox.config(DAILY);
    assert_code(&run(&state, &config), 0);
    let listing = sandbox.listing();
    assert!(listing.contains_key("a.log.2".as_ref() as &std::ffi::OsStr), "{listing:?}");
    sandbox.log("a.log", 4, Duration::ZERO);
    assert_code(&run(&state, &config), 0);
    assert!(!sandbox.listing().contains_key("a.log.3".as_ref() as &std::ffi::OsStr));
}

#[test]
fn h34_a_state_file_torn_at_any_length_stops_no_rotation_for_ever() {
    let whole = {
        let sandbox = Sandbox::new();
        aged(&sandbox).len()
    };
    for cut in 0..=whole {
        let sandbox = Sandbox::new();
        let (full, state) = (aged(&sandbox), sandbox.path("status"));
        // The folder's name is of the same length each time.
        fs::write(&state, &full.as_bytes()[..cut.min(full.len())]).expect("written");
        let config = sandbox.config(DAILY);
        let output = run(&state, &config);
        let is_whole = cut == full.len();
        let is_line = cut == 0 || full.as_bytes()[..cut].ends_with(b"\n");
        assert_code(&output, i32::from(!is_line));
        let rotated = sandbox
            .listing()
            .keys()
            .filter(|name| name.to_string_lossy().ends_with(".log.2"))
            .count();
        // What an undamaged file does not mention has never been seen.
        if is_whole || !is_line {
            assert_eq!(rotated, 2, "cut at {cut}: {}", text(&output.stderr));
        }
        let again = run(&state, &config);
        assert_code(&again, 0);
        let written = fs::read_to_string(&state).expect("written");
        assert_eq!(written.lines().count(), 3, "cut at {cut}: {written}");
    }
}

#[test]
fn h34_a_state_file_that_is_no_file_or_nonsense_does_not_stop_a_run() {
    for kind in ["folder", "binary", "link", "huge"] {
        let sandbox = Sandbox::new();
        sandbox.overfull();
        let state = sandbox.path("status");
        match kind {
            "folder" => fs::create_dir(&state).expect("a folder"),
            "binary" => fs::write(&state, [0, 255, 10, 7]).expect("written"),
            "link" => {
                fs::write(sandbox.path("target"), "mine").expect("written");
                std::os::unix::fs::symlink(sandbox.path("target"), &state).expect("linked");
            }
            _ => fs::File::create(&state).and_then(|f| f.set_len(1 << 30)).expect("sparse"),
        }
        let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 256k\n}\n");
        let output = run(&state, &config);
        assert_eq!(code(&output), 1, "{kind}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("status"), "{kind}");
        assert!(sandbox.used() <= 256 << 10, "{kind}");
        if kind == "link" {
            assert_eq!(fs::read(sandbox.path("target")).expect("there"), b"mine");
        }
    }
}

/// `--state` with a name too many, or in the wrong place.
#[test]
fn what_is_no_state_file_is_never_written_over() {
    for content in [
        &b"/dev/sda1 / ext4 defaults 0 1\n"[..],
        b"logrotate state -- version 3\n",
        b"logrotate\n",
        b"\nlogrotate state -- version 2\n",
        b"x",
        b"\0\0x\0",
    ] {
        let sandbox = Sandbox::new();
        sandbox.overfull();
        let state = sandbox.path("fstab");
        fs::write(&state, content).expect("written");
        let before = state.metadata().expect("its inode");
        let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 256k\n}\n");
        let output = run(&state, &config);
        assert_code(&output, 1);
        let stderr = text(&output.stderr);
        for part in ["fstab` was given as the state file", "left alone", "--state FILE"] {
            assert_eq!(stderr.matches(part).count(), 1, "{part}: {stderr}");
        }
        assert_eq!(fs::read(&state).expect("there"), content);
        assert_eq!(state.metadata().expect("its inode").ino(), before.ino());
        // The quota does not wait for that.
        assert!(sandbox.used() <= 256 << 10);
    }
}

/// A power failure leaves zeros, or the beginning and zeros.
#[test]
fn h34_a_state_file_of_zeros_is_written_anew() {
    for content in [&b"\0\0\0\0"[..], b"logrotate sta\0\0", b"logrotate state -- version 2\n\0"] {
        let sandbox = Sandbox::new();
        aged(&sandbox);
        let state = sandbox.path("status");
        fs::write(&state, content).expect("written");
        let config = sandbox.config(DAILY);
        assert_code(&run(&state, &config), 1);
        assert_code(&run(&state, &config), 0);
        let written = fs::read_to_string(&state).expect("written");
        assert_eq!(written.lines().count(), 3, "{written}");
    }
}

#[test]
fn h34_a_state_file_that_cannot_be_written_costs_only_the_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 256k\n}\n");
    let state = sandbox.path("nowhere/status");
    let output = run(&state, &config);
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("nowhere/status"));
    assert!(sandbox.used() <= 256 << 10);
}

#[test]
fn dev_null_means_no_state_file() {
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 256k\n}\n");
    assert_code(&run(Path::new("/dev/null"), &config), 0);
    let mode = Path::new("/dev/null").metadata().expect("it is still there").permissions().mode();
    assert_eq!(mode & 0o170_000, 0o020_000, "still a device");
}

/// There is no journal: what was deleted is told once, and not kept.
#[test]
fn h30_very_many_deletions_leave_no_record_that_grows() {
    let sandbox = Sandbox::new();
    let count = if std::env::var_os("LOGQUOTA_LONG").is_some() { 1_000_000 } else { 100_000 };
    sandbox.log("a.log", 4, DAY * 2);
    for number in 1..=count {
        fs::File::create(sandbox.logs().join(format!("a.log.{number}"))).expect("an archive");
    }
    let (state, config) = (sandbox.path("status"), sandbox.config("maxfiles 10\nLOGS/*.log {}\n"));
    assert_code(&run(&state, &config), 0);
    assert_eq!(sandbox.listing().len(), 10);
    // One line for the log, and the heading.
    let noted = fs::read_to_string(&state).expect("written");
    assert!(noted.lines().count() == 2 && noted.len() < 512, "{noted}");
    let beside = fs::read_dir(state.parent().expect("a folder")).expect("readable").count();
    assert_eq!(beside, 3, "the logs, the configuration and the state, and nothing else");
}
