//! `run` does one pass and reports it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use logquota_tests::mounts::{Mount, needs_root};
use serde_json::Value;

use crate::kit::{BIN, DAY, Sandbox, assert_code, json, logquota, noise, text};

#[test]
fn a_run_brings_a_folder_under_its_quota_and_the_next_has_nothing_to_do() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let dir = dir.to_str().expect("UTF-8");
    let output = logquota(["run", "--quota", "256k", dir]);
    assert_code(&output, 0);
    assert!(sandbox.used() <= 256 << 10, "{}", sandbox.used());
    let shown = text(&output.stdout);
    assert!(shown.starts_with("Host ") && shown.contains("deleted"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let listing = sandbox.listing();
    let again = logquota(["run", "--json", "--quota", "256k", dir]);
    assert_code(&again, 0);
    assert_eq!(json(&again)["steps"].as_array().map(Vec::len), Some(0));
    assert_eq!(listing, sandbox.listing());
}

#[test]
fn a_run_as_json_says_what_became_of_every_step() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let used = sandbox.used();
    let output = logquota(["run", "--json", "--quota", "256k", dir.to_str().expect("UTF-8")]);
    assert_code(&output, 0);
    let run = json(&output);
    assert_eq!(run["schema"], "logquota.run/1");
    assert_eq!(run["dry_run"], false);
    assert!(run["freed"].is_i64());
    assert_eq!(run["sets"][0]["used_before"].as_u64(), Some(used));
    assert_eq!(run["sets"][0]["used_after"].as_u64(), Some(sandbox.used()));
    let steps = run["steps"].as_array().expect("steps");
    assert!(!steps.is_empty() && steps.iter().all(|step| step["outcome"] == "done"));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_dry_run_says_would_and_never_that_something_was_done() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let listing = sandbox.listing();
    let dir = dir.to_str().expect("UTF-8");
    let shown = text(&logquota(["run", "-n", "--quota", "256k", dir]).stdout);
    assert!(shown.contains("would delete") && shown.contains("Nothing was changed"), "{shown}");
    assert!(!shown.contains("deleted") && !shown.contains("freed"), "{shown}");
    let run = json(&logquota(["run", "-n", "--json", "--quota", "256k", dir]));
    assert_eq!(run["dry_run"], true);
    assert!(run["freed"].is_null() && run["steps"][0]["outcome"].is_null());
    assert_eq!(listing, sandbox.listing());
}

#[test]
fn under_cron_a_run_prints_nothing_on_success() {
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n compress\n quota 256k\n}\n");
    let output = Command::new(BIN)
        .env_clear()
        .envs([("HOME", "/"), ("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh")])
        .current_dir("/")
        .args(["run", "-q", "--state"])
        .args([sandbox.path("status"), config])
        .output()
        .expect("the program starts");
    assert_code(&output, 0);
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", text(&output.stderr));
    assert!(sandbox.used() <= 256 << 10);
}

#[test]
fn a_quota_that_cannot_be_met_is_exit_6_and_says_what_is_missing() {
    let sandbox = Sandbox::new();
    // A file with several names gives nothing back, so it is not deleted for space.
    let big = sandbox.log("app.log.1", 512, DAY);
    fs::hard_link(&big, sandbox.path("other name")).expect("linked");
    sandbox.log("app.log", 4, Duration::ZERO);
    let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 64k\n}\n");
    let output = logquota([
        "run".as_ref(),
        "--state".as_ref(),
        sandbox.path("status").as_os_str(),
        config.as_os_str(),
    ]);
    assert_code(&output, 6);
    assert!(text(&output.stdout).contains("LIMIT NOT MET"), "{}", text(&output.stdout));
    // Perhaps renamed, but there.
    assert!(sandbox.listing().values().any(|len| *len == 512 * 1024));
}

#[test]
fn freed_is_what_the_file_system_says_whichever_block_has_freed_it() {
    if needs_root() {
        return;
    }
    let mount = Mount::tmpfs("size=16m");
    let (idle, busy) = (mount.folder("idle"), mount.folder("busy"));
    fs::write(idle.join("a.log"), b"a record\n").expect("written");
    for number in 1..=4 {
        fs::write(busy.join(format!("b.log.{number}")), vec![b'x'; 1 << 20]).expect("written");
    }
    let sandbox = Sandbox::new();
    let block = |dir: &Path, more: &str| {
        format!("{}/*.log {{\n size 1M\n rotate 9\n missingok\n {more}\n}}\n", dir.display())
    };
    let config = sandbox.config(&(block(&idle, "") + &block(&busy, "quota 1100k")));
    let run = [OsStr::new("run"), "--json".as_ref(), "--state".as_ref()];
    let output =
        logquota(run.into_iter().chain([sandbox.path("status").as_ref(), config.as_ref()]));
    assert_code(&output, 0);
    let done = json(&output);
    assert_eq!(done["freed"], 3 << 20, "{done}");
    assert_eq!(done["sets"][0]["freed"], Value::Null, "{done}");
    assert_eq!(done["sets"][1]["freed"], 3 << 20, "{done}");
}

/// The folders, their locks, the state and the scripts need files.
#[test]
fn h17_a_run_over_more_folders_than_files_can_be_open_does_all_of_them() {
    let sandbox = Sandbox::new();
    let mut blocks = String::new();
    for number in 0..200 {
        let dir = sandbox.logs().join(number.to_string()).join("log");
        fs::create_dir_all(&dir).expect("a folder");
        fs::write(dir.join("a.log"), [b'x'; 2048]).expect("written");
        let block = format!("{}/*.log {{\n size 1k\n rotate 2\n}}\n", dir.display());
        blocks.push_str(&block);
    }
    blocks = blocks.replacen("rotate 2\n", "rotate 2\n postrotate\n true\n endscript\n", 1);
    let (config, state) = (sandbox.config(&blocks), sandbox.path("status"));
    let script = "ulimit -n 64; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", BIN, "run", "-q", "--state"]).args([&state, &config]);
    assert_code(&command.output().expect("it starts"), 0);
    for number in 0..200 {
        assert!(sandbox.logs().join(number.to_string()).join("log/a.log.1").exists(), "{number}");
    }
    assert_eq!(fs::read_to_string(state).expect("a state").lines().count(), 201);
}

#[test]
fn one_log_in_trouble_does_not_stop_the_others() {
    let sandbox = Sandbox::new();
    sandbox.log("good.log", 64, DAY);
    let config = sandbox.config("LOGS/gone.log LOGS/good.log {\n size 32k\n rotate 4\n}\n");
    let output = logquota([
        "run".as_ref(),
        "--state".as_ref(),
        sandbox.path("status").as_os_str(),
        config.as_os_str(),
    ]);
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("gone.log"), "{}", text(&output.stderr));
    let listing = sandbox.listing();
    assert!(listing.contains_key("good.log.1".as_ref() as &std::ffi::OsStr), "{listing:?}");
}

#[test]
fn a_folder_in_the_place_of_an_archive_is_gone_around() {
    let sandbox = Sandbox::new();
    sandbox.log("a.log", 64, DAY);
    fs::create_dir(sandbox.logs().join("a.log.1")).expect("a folder");
    let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 4\n}\n");
    let output = logquota([
        "run".as_ref(),
        "--state".as_ref(),
        sandbox.path("status").as_os_str(),
        config.as_os_str(),
    ]);
    assert_code(&output, 0);
    assert!(sandbox.logs().join("a.log.1").is_dir() && sandbox.logs().join("a.log.2").is_file());
}

#[test]
fn compressed_archives_hold_what_the_log_held() {
    for (how, suffix) in [("gzip", ".gz"), ("zstd", ".zst")] {
        let sandbox = Sandbox::new();
        let content = noise(7, 96 * 1024);
        sandbox.content("app.log", &content, Duration::ZERO);
        let dir = sandbox.logs();
        let dir = dir.to_str().expect("UTF-8");
        let args = ["run", "--quota", "1M", "--size", "64k", "--compress", how, dir];
        assert_code(&logquota(args), 0);
        let listing = sandbox.listing();
        let name = listing.keys().find(|name| name.to_string_lossy().ends_with(suffix));
        let packed = fs::read(sandbox.logs().join(name.expect("an archive"))).expect("readable");
        let mut plain = Vec::new();
        let read = if how == "gzip" {
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed), &mut plain)
        } else {
            zstd::stream::copy_decode(&*packed, &mut plain).map(|()| plain.len())
        };
        assert_eq!(read.expect("whole"), content.len());
        assert_eq!(plain, content);
    }
}

#[test]
fn status_shows_every_set_and_log() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let dir = dir.to_str().expect("UTF-8");
    let output = logquota(["status", "--quota", "1M", dir]);
    assert_code(&output, 0);
    let shown = text(&output.stdout);
    assert!(shown.contains("of 1.0 MiB used") && shown.contains("NEXT DUE"), "{shown}");
    let status = json(&logquota(["status", "--json", dir]));
    assert_eq!(status["schema"], "logquota.status/1");
    let set = &status["sets"][0];
    assert!(set["quota"].is_null());
    assert_eq!(set["used"].as_u64(), Some(sandbox.used()));
    let logs = set["logs"].as_array().expect("logs");
    let app = logs.iter().find(|log| log["path"] == format!("{dir}/app.log")).expect("app.log");
    assert_eq!(app["files"], 5);
    assert!(app["oldest"].as_str() < app["newest"].as_str());
}

/// Each copy was held open until the run ended.
#[test]
fn more_logs_are_copied_than_files_can_be_open() {
    let sandbox = Sandbox::new();
    for number in 0..200 {
        sandbox.log(format!("{number}.log"), 1, DAY);
    }
    let config = sandbox.config("LOGS/*.log {\n size 1\n copy\n rotate 1\n}\n");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 128; exec \"$@\"", "sh", BIN, "run", "-q", "--state"])
        .args([sandbox.path("status"), config])
        .output()
        .expect("sh starts");
    assert_code(&output, 0);
    assert_eq!(sandbox.listing().len(), 400);
}
