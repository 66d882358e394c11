//! A plan file is done exactly, here, once, or not at all.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::kit::{
    Sandbox, assert_code, code, command, json, logquota, picture_after, picture_before, text,
};

fn plan(sandbox: &Sandbox) -> PathBuf {
    let dir = sandbox.overfull();
    let file = sandbox.path("plan.json");
    let output = command()
        .args(["plan", "-q", "--quota", "256k", "-o"])
        .args([&file, &dir])
        .output()
        .expect("the program starts");
    assert_code(&output, 0);
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    file
}

fn apply(file: &Path) -> Output {
    logquota(["apply".as_ref(), file.as_os_str()])
}

#[test]
fn what_was_planned_is_what_is_done() {
    let sandbox = Sandbox::new();
    let file = plan(&sandbox);
    let planned: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    let output = logquota(["apply".as_ref(), "--json".as_ref(), file.as_os_str()]);
    assert_code(&output, 0);
    let done = json(&output);
    assert_eq!(done["schema"], "logquota.apply/1");
    assert_eq!(done["id"], planned["id"]);
    assert!(done["freed"].is_i64());
    let steps = done["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), planned["steps"].as_array().map_or(0, Vec::len));
    for (step, planned) in steps.iter().zip(planned["steps"].as_array().expect("steps")) {
        assert_eq!(step["outcome"], "done", "{step}");
        assert_eq!((&step["action"], &step["path"]), (&planned["action"], &planned["path"]));
    }
    assert!(sandbox.used() <= 256 << 10, "{}", sandbox.used());
    assert!(!sandbox.listing().contains_key("app.log.4".as_ref() as &std::ffi::OsStr));
}

#[test]
fn h24_a_plan_that_was_applied_is_refused_the_second_time() {
    let sandbox = Sandbox::new();
    let file = plan(&sandbox);
    assert_code(&apply(&file), 0);
    let before = picture_before(&sandbox.logs());
    let output = apply(&file);
    assert_code(&output, 5);
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("already applied") && stderr.contains("step 1 was: delete"),
        "{stderr}"
    );
    assert_eq!(before, picture_after(&sandbox.logs()));
}

#[test]
fn h20_a_plan_is_refused_when_its_files_are_others() {
    let sandbox = Sandbox::new();
    let file = plan(&sandbox);
    // Another file with the name, length and times of the one that was to go.
    let victim = sandbox.logs().join("app.log.4");
    let meta = victim.metadata().expect("its inode");
    let copy = sandbox.path("copy");
    fs::copy(&victim, &copy).expect("copied");
    let times = fs::FileTimes::new().set_modified(meta.modified().expect("mtime"));
    fs::File::options().append(true).open(&copy).and_then(|f| f.set_times(times)).expect("times");
    fs::rename(&copy, &victim).expect("replaced");
    let before = picture_before(&sandbox.logs());
    let output = apply(&file);
    assert_code(&output, 5);
    assert!(text(&output.stderr).contains("the steps are the same, but"));
    assert_eq!(before, picture_after(&sandbox.logs()));
}

#[test]
fn h21_a_log_may_grow_between_plan_and_apply() {
    let sandbox = Sandbox::new();
    let file = plan(&sandbox);
    let log = sandbox.logs().join("web.log");
    let mut open = fs::File::options().append(true).open(log).expect("opens");
    open.write_all(b"one more line\n").expect("written");
    drop(open);
    assert_code(&apply(&file), 0);
}

#[test]
fn a_plan_comes_from_standard_input_too() {
    let sandbox = Sandbox::new();
    let text = fs::read(plan(&sandbox)).expect("a plan");
    let mut child = command()
        .args(["apply", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(&text).expect("it reads all of it");
    drop(stdin);
    assert_code(&child.wait_with_output().expect("it ends"), 0);
    assert!(sandbox.used() <= 256 << 10);
}

#[test]
fn h22_a_plan_with_any_byte_changed_is_refused_or_does_the_same() {
    let sandbox = Sandbox::new();
    let file = plan(&sandbox);
    let dry = |file: &Path| {
        logquota(["apply".as_ref(), "-n".as_ref(), "--json".as_ref(), file.as_os_str()])
    };
    let whole = dry(&file);
    assert_code(&whole, 0);
    let expected = json(&whole)["steps"].clone();
    let before = picture_before(&sandbox.logs());
    // Without its line breaks, so that every byte means something.
    let plan: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    let good = serde_json::to_vec(&plan).expect("JSON");
    let changed = sandbox.path("changed.json");
    let mut harmless = 0;
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        fs::write(&changed, &bad).expect("written");
        let output = dry(&changed);
        match code(&output) {
            0 => {
                assert_eq!(json(&output)["steps"], expected, "byte {index}: {}", text(&bad));
                harmless += 1;
            }
            5 => {}
            other => panic!("byte {index}: exit {other}: {}", text(&output.stderr)),
        }
    }
    assert!(harmless < good.len() / 2, "{harmless} of {}", good.len());
    assert_eq!(before, picture_after(&sandbox.logs()));
}

#[test]
fn h22_a_plan_cut_anywhere_or_of_another_kind_is_refused() {
    let sandbox = Sandbox::new();
    let good = fs::read(plan(&sandbox)).expect("a plan");
    let changed = sandbox.path("changed.json");
    let mut bad: Vec<Vec<u8>> =
        (0..good.len() - 1).step_by(61).map(|n| good[..n].to_vec()).collect();
    bad.push(b"{}".to_vec());
    bad.push(b"null".to_vec());
    bad.push(vec![b'['; 100_000]);
    bad.push(vec![0; 4096]);
    bad.push(text(&good).replace("plan/1", "plan/2").into_bytes());
    bad.push(text(&good).replacen('{', r#"{"more":1,"#, 1).into_bytes());
    let dir = text(&good);
    bad.push(dir.replace("\"dir\"", "\"config\"").into_bytes());
    for bad in bad {
        fs::write(&changed, &bad).expect("written");
        let output = apply(&changed);
        assert_code(&output, 5);
        assert!(text(&output.stderr).contains("refused"), "{}", text(&output.stderr));
    }
    assert!(sandbox.listing().contains_key("app.log.4".as_ref() as &std::ffi::OsStr));
}

#[test]
fn h23_a_plan_for_another_host_or_another_time_is_refused_and_says_so() {
    let sandbox = Sandbox::new();
    let file = plan(&sandbox);
    let good: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    for (member, value, says) in [
        ("host", "elsewhere", "made on host `elsewhere`"),
        ("machine", "0000000000000000", "another machine"),
        ("boot", "0000000000000000", "the machine was restarted"),
        ("policy", "0000000000000000", "the configuration is another one"),
        ("created", "2020-01-01T00:00:00Z", "expired"),
        ("created", "2999-01-01T00:00:00Z", "in the future"),
        ("expires", "2020-01-01T00:00:00Z", "expired"),
        ("id", "00000000000000000000000000000000", "was changed"),
    ] {
        let mut bad = good.clone();
        bad[member] = value.into();
        fs::write(&file, serde_json::to_vec(&bad).expect("JSON")).expect("written");
        let output = apply(&file);
        assert_code(&output, 5);
        assert!(text(&output.stderr).contains(says), "{member}: {}", text(&output.stderr));
    }
    assert!(sandbox.listing().contains_key("app.log.4".as_ref() as &std::ffi::OsStr));
}

#[test]
fn a_plan_of_a_configuration_is_refused_once_the_configuration_is_another() {
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 256k\n}\n");
    let (file, state) = (sandbox.path("plan.json"), sandbox.path("status"));
    let output = command()
        .args(["plan", "-q", "-o"])
        .arg(&file)
        .arg("--state")
        .args([&state, &config])
        .output()
        .expect("the program starts");
    assert_code(&output, 0);
    assert!(!state.exists(), "a plan writes no state");
    sandbox.config("LOGS/*.log {\n size 32k\n rotate 8\n quota 256k\n}\n");
    assert_code(&apply(&file), 5);
    sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 256k\n}\n");
    assert_code(&apply(&file), 0);
    assert!(state.exists());
    assert!(sandbox.used() <= 256 << 10);
}

#[test]
fn a_plan_that_is_not_there_is_exit_1() {
    let output = apply(Path::new("/nowhere/plan.json"));
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("/nowhere/plan.json"));
}
