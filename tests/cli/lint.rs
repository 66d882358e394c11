//! `lint`: what people and programs are told, exit codes, and that nothing is changed.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{
    DAY, Sandbox, assert_code, command, json, logquota, needs_root, picture_after, picture_before,
    text,
};

fn lint(config: &Path, args: &[&str]) -> Output {
    command().arg("lint").args(args).arg(config).output().expect("the program starts")
}

fn codes(found: &Value) -> Vec<&str> {
    let findings = found["findings"].as_array().expect("findings");
    findings.iter().map(|found| found["code"].as_str().expect("a code")).collect()
}

const CLEAN: &str = "LOGS/app.log {\n daily\n rotate 3\n quota 1M\n livetrim\n missingok\n}\n";

#[test]
fn a_configuration_without_a_remark_is_exit_0() {
    let sandbox = Sandbox::new();
    sandbox.log("app.log", 8, DAY);
    let config = sandbox.config(CLEAN);
    let before = picture_before(sandbox.path("").as_path());
    for args in [&[][..], &["--strict"], &["--no-scan", "--strict"], &["--as", "logrotate"]] {
        let output = lint(&config, args);
        assert_code(&output, 0);
        assert!(text(&output.stdout).contains("nothing to remark"), "{}", text(&output.stdout));
        assert!(output.stderr.is_empty());
    }
    let files = |picture: std::collections::BTreeMap<_, _>| picture.into_keys().collect::<Vec<_>>();
    assert_eq!(files(before), files(picture_after(sandbox.path("").as_path())));
}

#[test]
fn warnings_fail_only_where_that_is_asked_for_and_errors_always() {
    let sandbox = Sandbox::new();
    sandbox.log("app.log", 8, DAY);
    let config = sandbox.config("LOGS/app.log {\n daily\n rotate 3\n}\n");
    assert_code(&lint(&config, &[]), 0);
    assert_code(&lint(&config, &["--strict"]), 1);
    assert_code(&lint(&config, &["--strict", "--growth", "1M"]), 0);
    let config = sandbox.config("LOGS/app.log {\n dayly\n}\n");
    assert_code(&lint(&config, &[]), 4);
    assert_code(&lint(&config, &["--strict", "--json"]), 4);
    // There an unknown word is a warning.
    assert_code(&lint(&config, &["--as", "logrotate"]), 0);
    // A remark about a loss that was chosen is none that fails.
    let config = sandbox.config(&CLEAN.replace("daily", "daily\n copytruncate"));
    assert_code(&lint(&config, &["--strict"]), 0);
}

#[test]
fn what_is_wrong_is_shown_with_its_place_and_fits_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.log("app.log", 8, DAY);
    sandbox.log("stray.log", 8, Duration::ZERO);
    let config = sandbox.config(
        "LOGS/*p.log {\n size 1M\n rotate 3\n missingok\n}\nLOGS/app.log {\n quota 1M\n \
         rotates 4\n}\nLOGS/ap*.log {\n hourly\n quota 1M\n livetrim\n missingok\n}\n",
    );
    let output = lint(&config, &["--run-every", "1d"]);
    assert_code(&output, 4);
    let shown = text(&output.stdout);
    let folder = sandbox.path("");
    // The folder has a name of chance and of any length, and may break lines.
    let told = shown.replace(folder.to_str().expect("UTF-8").trim_end_matches('/'), "/T");
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "/T/logquota.conf:8:2: error: unknown directive `rotates` [configuration] rotates 4 ^ \
         help: perhaps `rotate` is meant",
        "/T/logquota.conf:1:1: warning: nothing bounds what this block uses: `size` is looked at",
        "/T/logquota.conf:10:1: warning: `hourly` has no effect: a run comes every 1 d only",
        "/T/logquota.conf:10:1: warning: `/T/logs/ap*.log` can match the same log as \
         `/T/logs/*p.log` (line 1)",
        "/T/logs/stray.log: warning: 8.0 KiB, last written",
        "Block /T/logs/*p.log /T/logquota.conf:1 1 log and whatever else its patterns will match",
        "right after a run: unbounded: 4.0 MiB and what a log grows in 3 d on top, until the next \
         has ended: what a log grows in 1 d",
        "right after a run: at most 1.0 MiB (its quota)",
        "quotas of 1.0 MiB of",
        "1 of 2 blocks without a quota",
        "1 file read as logquota does: 1 error, ",
    ] {
        assert!(words.contains(part), "{part}\n{told}");
    }
    let is_long = |line: &&str| line.chars().count() > 80 && line.contains(' ');
    let broken: Vec<_> = shown.lines().filter(is_long).filter(|l| !l.contains('/')).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn programs_get_one_object_with_everything() {
    let sandbox = Sandbox::new();
    sandbox.log("app.log", 8, DAY);
    let config = sandbox.config("quota 4M\nLOGS/app.log {\n daily\n rotate 3\n quota 1M\n}\n");
    let output = lint(&config, &["--json", "--run-every", "12h", "--growth", "2k"]);
    assert_code(&output, 0);
    let found = json(&output);
    assert_eq!(found["schema"], "logquota.lint/1");
    assert_eq!((&found["run_every"], &found["growth"]), (&json!(43_200), &json!(2_048)));
    assert_eq!(found["dialect"], "logquota");
    assert_eq!(codes(&found), Vec::<&str>::new());
    let block = &found["blocks"][0];
    assert_eq!((&block["line"], &block["column"]), (&json!(2), &json!(1)));
    assert_eq!((&block["basis"], &block["bounded"]), (&json!("rotation"), &json!(true)));
    // A day for the log, and for each archive a day and the time between two runs.
    let growth = 86_400 + 3 * (86_400 + 43_200);
    assert_eq!(block["after_run"]["growth_seconds"], growth);
    let fixed = block["after_run"]["fixed"].as_u64().expect("bytes");
    assert_eq!(block["after_run"]["bytes"], fixed + 2_048 * growth / 86_400);
    assert_eq!(found["disks"][0]["quotas"], 1 << 20);
    let config = sandbox.config("LOGS/app.log {\n daily\n copy\n}\n");
    let found = json(&lint(&config, &["--json"]));
    assert_eq!(codes(&found), ["unbounded"]);
    assert_eq!(found["blocks"][0]["after_run"], Value::Null);
    assert_eq!(found["blocks"][0]["missing"], json!(["copy"]));
    assert_eq!(found["warnings"], 1);
    let config = sandbox.config("LOGS/app.log {\n dayly\n}\n");
    let found = json(&lint(&config, &["--json"]));
    let error = &found["findings"][0];
    assert_eq!((&error["severity"], &error["line"]), (&json!("error"), &json!(2)));
    assert_eq!(found["faulty_blocks"], 1);
}

#[test]
fn several_files_and_folders_are_read_one_after_the_other() {
    let sandbox = Sandbox::new();
    let first = sandbox.config("compress\n");
    let folder = sandbox.path("d");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("app"), "/nowhere/a.log {\n delaycompress\n quota 1M\n livetrim\n}\n")
        .expect("written");
    let args = ["lint", "--no-scan", "--strict", "--json"].map(Into::into);
    let paths = [first.into_os_string(), folder.clone().into_os_string()];
    let output = logquota(args.into_iter().chain(paths));
    assert_code(&output, 0);
    assert_eq!(json(&output)["blocks"].as_array().map(Vec::len), Some(1));
    // Without what the first file says it has no effect.
    assert_eq!(codes(&json(&lint(&folder, &["--no-scan", "--json"]))), ["no-effect"]);
}

#[test]
fn a_configuration_that_is_not_there_is_exit_4_and_so_is_one_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    let output = lint(&sandbox.path("nothing"), &[]);
    assert_code(&output, 4);
    assert!(text(&output.stdout).contains("nothing"), "{}", text(&output.stdout));
    let binary = sandbox.path("binary");
    fs::write(&binary, [0u8, 159, 146, 150, 255, 10, 0]).expect("written");
    assert_code(&lint(&binary, &[]), 4);
    let output = command().arg("lint").env("LOGQUOTA_CONFIG", &binary).output().expect("ends");
    assert_code(&output, 4);
    assert!(text(&output.stdout).contains("binary:1:1: error"), "{}", text(&output.stdout));
    if needs_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let config = sandbox.config(CLEAN);
    fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).expect("chmod");
    assert_code(&lint(&config, &[]), 4);
}

#[test]
fn times_and_dialects_that_make_no_sense_are_usage_errors() {
    let sandbox = Sandbox::new();
    let config = sandbox.config(CLEAN);
    for args in [["--run-every", "0d"], ["--run-every", "daily"], ["--as", "x"]] {
        assert_code(&lint(&config, &args), 2);
    }
}

#[test]
fn output_into_a_closed_pipe_changes_only_the_exit_code() {
    let sandbox = Sandbox::new();
    let config = sandbox.config(CLEAN);
    for args in [&["--no-scan"][..], &["--no-scan", "--json"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let child = command()
            .arg("lint")
            .args(args)
            .arg(&config)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn();
        let output = child.expect("the program starts").wait_with_output().expect("it ends");
        assert_code(&output, 1);
        assert!(output.stderr.is_empty());
    }
    // Quiet: only what is wrong, and not among the results.
    let output = lint(&config, &["-q"]);
    assert_code(&output, 0);
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let config = sandbox.config("LOGS/app.log {\n dayly\n}\n");
    let output = lint(&config, &["-q"]);
    assert_code(&output, 4);
    assert!(output.stdout.is_empty() && text(&output.stderr).contains(":2:2: error"));
}

#[test]
fn no_folder_for_archives_is_made() {
    let sandbox = Sandbox::new();
    sandbox.log("app.log", 8, DAY);
    let config = sandbox.config(&CLEAN.replace("daily", "daily\n olddir old\n createolddir"));
    for args in [&[][..], &["--as", "logrotate"]] {
        assert_code(&lint(&config, args), 0);
        assert!(!sandbox.logs().join("old").exists(), "{args:?}");
    }
}

#[test]
fn h15_names_and_texts_cannot_speak_to_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.log("a.log", 8, DAY);
    sandbox.log("\u{1b}[2Kx.log", 8, Duration::ZERO);
    let config = sandbox.config("LOGS/a.log {\n set \"\u{1b}[2K\u{202e}\"\n daily\n}\n");
    for args in [&[][..], &["--json"], &["--as", "logrotate"], &["-q"]] {
        let output = lint(&config, args);
        for stream in [&output.stdout, &output.stderr] {
            let plain = |b: &u8| *b >= 0x20 && *b != 0x7f || *b == b'\n';
            assert!(stream.iter().all(plain), "{args:?}: {}", text(stream));
        }
    }
}
