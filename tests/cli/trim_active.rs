//! `free --trim-active`: said before, asked for by name, and no more than was shown.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use logquota::fs::os::OsFs;
use logquota::fs::{AppendFile, Hold, ReadFs as _, WriteFs as _};
use serde_json::Value;

use crate::kit::{DAY, Sandbox, assert_code, command, json, logquota, noise, text};

/// What stays of each log.
const KEPT: u64 = 64 << 10;

/// Two logs, and an archive. The disk is not one of its own, so that all of it is wanted: each
/// log gives what it can.
fn logs(sandbox: &Sandbox) -> PathBuf {
    let content = |name: &str, kib: usize, seed: u32| {
        let _ = sandbox.content(name, &noise(seed, kib << 10), DAY);
    };
    content("big.log", 512, 1);
    content("big.log.1", 32, 2);
    content("small.log", 80, 3);
    sandbox.logs()
}

fn free(dir: &Path, more: &[&str]) -> Output {
    let mut command = command();
    command.args(["free", "100%", "--max-fraction", "1"]).args(more).arg(dir);
    command.output().expect("the program starts")
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn lens(sandbox: &Sandbox) -> Vec<(String, u64)> {
    let listing = sandbox.listing().into_iter();
    listing.map(|(name, len)| (name.to_string_lossy().into_owned(), len)).collect()
}

/// What a log has behind a gap, where its file system could not close that.
fn content(dir: &Path, name: &str) -> Vec<u8> {
    let bytes = fs::read(dir.join(name)).expect("a log");
    let gap = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[gap..].to_vec()
}

#[test]
fn without_the_option_it_says_what_that_would_gain_and_cuts_nothing() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let shown = free(&dir, &[]);
    assert_code(&shown, 6);
    let screen = text(&shown.stdout);
    let joined = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "--trim-active could free up to 464.0 KiB more: the oldest records of these logs would be \
         cut off and lost, and their writers go on.",
        "would still be missing:",
        "448.0 KiB ",
        "16.0 KiB ",
    ] {
        assert!(joined.contains(part), "`{part}` in {screen}");
    }
    assert!(!screen.contains("CUT"), "{screen}");
    let as_json = json(&free(&dir, &["--json"]));
    assert_eq!(as_json["free"]["could_cut"]["logs"][0]["bytes"], 448 << 10);
    assert_eq!(as_json["free"]["trim_active"], false);
    assert_code(&free(&dir, &["--yes", "--host", &host()]), 6);
    let expected = [("big.log".to_owned(), 512 << 10), ("small.log".to_owned(), 80 << 10)];
    assert_eq!(lens(&sandbox), expected);
}

#[test]
fn what_is_lost_is_said_and_done_by_the_command_that_is_shown() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let before = fs::read(dir.join("big.log")).expect("a log");
    let shown = free(&dir, &["--trim-active"]);
    assert_code(&shown, 6);
    let screen = text(&shown.stdout);
    let joined = screen.replace(" \\\n    ", " ");
    let flat = joined.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "CUT the oldest records off logs in use",
        "big.log: of 512.0 KiB",
        "2 logs 464.0 KiB",
        "small.log: of 80.0 KiB",
        "These records are LOST",
        "Each log keeps its newest 64.0 KiB at least, and its writer goes on.",
        " --trim-active ",
    ] {
        assert!(flat.contains(part), "`{part}` in {screen}");
    }
    assert!(!screen.contains("could free"), "{screen}");
    let id = joined.split("--apply ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let id = id.expect("an id");
    // The id is for that, and for nothing less.
    assert_code(&free(&dir, &["--apply", id]), 5);
    assert_eq!(lens(&sandbox).len(), 3);
    let done = free(&dir, &["--trim-active", "--apply", id]);
    assert_code(&done, 6);
    let said = text(&done.stdout);
    assert!(said.contains("464.0 KiB cut off 2 logs in use"), "{said}");
    let left = content(&dir, "big.log");
    assert!(left.len() as u64 == KEPT && before.ends_with(&left), "{}", left.len());
    assert_eq!(content(&dir, "small.log").len() as u64, KEPT);
    // Again there is nothing to do.
    assert_code(&free(&dir, &["--trim-active", "--yes", "--host", &host()]), 6);
    assert_eq!(content(&dir, "big.log"), left);
}

#[test]
fn h22_a_plan_file_cuts_only_if_it_was_made_with_the_option() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let file = sandbox.path("plan.json");
    let name = file.to_str().expect("UTF-8");
    assert_code(&free(&dir, &["-o", name]), 6);
    let mut plan: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    plan["source"]["free"]["trim_active"] = true.into();
    let forged = sandbox.path("forged.json");
    fs::write(&forged, serde_json::to_vec(&plan).expect("JSON")).expect("written");
    assert_code(&logquota([OsStr::new("apply"), forged.as_os_str()]), 5);
    assert_eq!(lens(&sandbox).len(), 3);
    assert_code(&free(&dir, &["--trim-active", "-o", name]), 6);
    let output = logquota(["apply", "--json", name]);
    assert_code(&output, 6);
    assert_eq!(json(&output)["free"]["cut_logs"], 2);
    assert_eq!(json(&output)["free"]["cut_bytes"], 464 << 10);
    assert_eq!(content(&dir, "big.log").len() as u64, KEPT);
}

#[test]
fn h25_what_is_cut_counts_for_the_most_that_may_be_taken_away() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let refused = free(&dir, &["--trim-active", "--max-bytes", "400k"]);
    assert_code(&refused, 5);
    let screen = text(&refused.stdout);
    // The last one may go on to 64 KiB.
    let most = (448 + 64 + 32) << 10;
    assert!(screen.contains(&format!("--max-bytes {most} would allow it")), "{screen}");
    let most = most.to_string();
    let args = ["--trim-active", "--max-bytes", &most, "--yes", "--host", &host()];
    assert_code(&free(&dir, &args), 6);
    assert_eq!(content(&dir, "big.log").len() as u64, KEPT);
}

/// The disk is filled again by the logs that were cut, up to the byte: other records are the oldest
/// now, and nobody has been shown those.
#[test]
fn h24_a_log_that_was_cut_and_has_grown_again_is_not_cut_by_the_same_id_or_plan() {
    let sandbox = Sandbox::new();
    let dir = sandbox.logs();
    for (name, kib, seed) in [("big.log", 512, 1), ("small.log", 80, 3)] {
        let _ = sandbox.content(name, &noise(seed, kib << 10), DAY);
    }
    let append = |name: &str, kib: usize, seed: u32| {
        let mut log = fs::File::options().append(true).open(dir.join(name)).expect("a log");
        log.write_all(&noise(seed, kib << 10)).expect("it is written");
        log.sync_all().expect("it is on the disk");
    };
    let file = sandbox.path("plan.json");
    let name = file.to_str().expect("UTF-8");
    let shown = free(&dir, &["--trim-active", "--json", "-o", name]);
    assert_code(&shown, 6);
    let shown = json(&shown);
    let id = shown["free"]["apply_id"].as_str().expect("an id");
    // A log that only grows is the same.
    append("small.log", 1, 9);
    assert_eq!(free(&dir, &["--trim-active", "--apply", id]).status.code(), Some(6));
    assert_eq!(content(&dir, "big.log").len() as u64, KEPT);
    append("big.log", 448, 4);
    append("small.log", 16, 5);
    let before = ["big.log", "small.log"].map(|name| content(&dir, name));
    let by_id = free(&dir, &["--trim-active", "--apply", id]);
    assert_code(&by_id, 5);
    let screen = text(&by_id.stdout);
    assert!(screen.contains("448.0 KiB"), "{screen}");
    let by_plan = logquota(["apply", name]);
    assert_code(&by_plan, 5);
    assert!(text(&by_plan.stderr).contains("big.log` of step 1 was changed"), "{by_plan:?}");
    assert_eq!(["big.log", "small.log"].map(|name| content(&dir, name)), before);
}

/// Somebody has given the log a second name: what is cut would be somebody else's.
#[test]
fn h05_a_log_with_two_names_is_not_cut() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    fs::hard_link(dir.join("big.log"), sandbox.path("canary")).expect("a second name");
    let screen = text(&free(&dir, &[]).stdout);
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["could free up to 16.0 KiB more", "Not cut: it has several names: 1 log 512.0 KiB"]
    {
        assert!(flat.contains(part), "`{part}` in {screen}");
    }
    assert_code(&free(&dir, &["--trim-active", "--yes", "--host", &host()]), 6);
    assert_eq!(fs::read(sandbox.path("canary")).expect("it").len(), 512 << 10);
    assert_eq!(content(&dir, "small.log").len() as u64, KEPT);
}

/// Holds a log as an appender does, until it is dropped.
fn hold(dir: &Path, name: &str) -> Box<dyn AppendFile> {
    let fs = OsFs::new();
    let id = fs.open_root(dir).expect("a folder");
    let log = fs.open_log(id, name.as_ref(), None).expect("a log");
    assert!(log.hold(Hold::Together).expect("a lock"));
    log
}

#[test]
fn a_log_that_an_appender_holds_is_named_and_the_others_give() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let holder = hold(&dir, "big.log");
    let not_cut = "Not cut: an appender holds it, by a quota of its own: 1 log 512.0 KiB 512.0 KiB";
    for (args, part) in [
        (&[][..], "--trim-active could free up to 16.0 KiB more"),
        (&["--trim-active"][..], "1 log 16.0 KiB"),
    ] {
        let shown = free(&dir, args);
        assert_code(&shown, 6);
        let screen = text(&shown.stdout);
        let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [part, not_cut] {
            assert!(flat.contains(part), "`{part}` in {screen}");
        }
        let as_json = json(&free(&dir, &[args, &["--json"]].concat()));
        let spared = &as_json["free"]["not_cut"];
        assert_eq!(spared[0]["why"], "held", "{spared}");
        assert_eq!((&spared[0]["bytes"], &spared[1]), (&(512 << 10).into(), &Value::Null));
    }
    assert_code(&free(&dir, &["--trim-active", "--yes", "--host", &host()]), 6);
    assert_eq!(content(&dir, "big.log").len(), 512 << 10);
    assert_eq!(content(&dir, "small.log").len() as u64, KEPT);
    // Nobody else can give any more, and nothing is offered.
    let screen = text(&free(&dir, &[]).stdout);
    assert!(!screen.contains("could free") && screen.contains("Not cut:"), "{screen}");
    drop(holder);
    let screen = text(&free(&dir, &[]).stdout);
    assert!(screen.contains("could free") && !screen.contains("Not cut:"), "{screen}");
}

/// Where its quota is not met, a run says which log it has left alone.
#[test]
fn a_run_cuts_no_log_that_is_held_and_says_so() {
    let sandbox = Sandbox::new();
    let dir = logs(&sandbox);
    let config = sandbox.path("logquota.conf");
    let block =
        format!("{}/big.log {{\n monthly\n rotate 3\n quota 128k\n livetrim\n}}\n", dir.display());
    fs::write(&config, block).expect("a configuration");
    let state = sandbox.path("state");
    let run = || {
        let mut command = command();
        command.arg("run").arg("--config").arg(&config).arg("--state").arg(&state);
        command.output().expect("the program starts")
    };
    let holder = hold(&dir, "big.log");
    let output = run();
    assert_code(&output, 6);
    let said = text(&output.stderr);
    assert!(
        said.contains("error: ") && said.contains("big.log`: is held by an appender"),
        "{said}"
    );
    assert_eq!(content(&dir, "big.log").len(), 512 << 10);
    drop(holder);
    assert_code(&run(), 0);
    assert_eq!(content(&dir, "big.log").len(), 128 << 10);
}
