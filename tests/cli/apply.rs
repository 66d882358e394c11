//! A plan file is done exactly, here, once, or not at all.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::kit::{
    Held, Sandbox, assert_code, code, command, json, logquota, picture_after, picture_before,
    picture_unread, text,
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
    let stderr = text(&output.stderr);
    assert!(stderr.contains("app.log.4` of step 1 is another file now"), "{stderr}");
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

/// A configuration and its state, and a plan of both.
fn plan_with_state(sandbox: &Sandbox) -> PathBuf {
    let config = sandbox.config("LOGS/*.log {\n size 32k\n rotate 9\n quota 256k\n}\n");
    let (file, state) = (sandbox.path("plan.json"), sandbox.path("status"));
    let mut command = command();
    command.args(["plan", "-q", "-o"]).arg(&file).arg("--state").args([&state, &config]);
    assert_code(&command.output().expect("the program starts"), 0);
    file
}

fn assert_refused(output: &Output, says: &str) {
    assert_code(output, 5);
    let stderr = text(&output.stderr);
    assert!(stderr.contains(says), "{stderr}");
}

/// Really, in a tree that it may destroy, and with a state file that does not exist yet.
#[test]
fn h22_a_plan_with_a_byte_changed_changes_nothing_or_does_the_same() {
    let elsewhere = Sandbox::new();
    let changed = elsewhere.path("changed.json");
    let names = |sandbox: &Sandbox| sandbox.listing().into_keys().collect::<Vec<_>>();
    let done = {
        let sandbox = Sandbox::new();
        sandbox.overfull();
        assert_code(&apply(&plan_with_state(&sandbox)), 0);
        names(&sandbox)
    };
    // Each sandbox has a name of the same length, and so its plan.
    let (mut next, mut refused, mut harmless) = (0, 0, 0);
    let mut is_over = false;
    while !is_over {
        let sandbox = Sandbox::new();
        sandbox.overfull();
        let plan: Value =
            serde_json::from_slice(&fs::read(plan_with_state(&sandbox)).expect("a plan"))
                .expect("JSON");
        let mut text_of = plan.clone();
        // Sums for people, which say nothing of what is done.
        text_of["sets"] = Value::Array(Vec::new());
        let good = serde_json::to_vec(&text_of).expect("JSON");
        let before = picture_unread(&sandbox.logs());
        let source = text(&good).find("\"source\"").expect("a source");
        is_over = true;
        for index in std::mem::take(&mut next)..good.len() {
            // Where it comes from byte by byte, the rest in samples.
            if index < source && index % 11 != 0 {
                continue;
            }
            let mut bad = good.clone();
            bad[index] ^= 1;
            fs::write(&changed, &bad).expect("written");
            let output = apply(&changed);
            if code(&output) == 0 {
                assert_eq!(names(&sandbox), done, "byte {index}: {}", text(&bad));
                harmless += 1;
                (next, is_over) = (index + 1, false);
                break;
            }
            assert_eq!(code(&output), 5, "byte {index}: {}", text(&output.stderr));
            assert!(before == picture_unread(&sandbox.logs()), "byte {index}: {}", text(&bad));
            let beside = fs::read_dir(sandbox.path("")).expect("a folder").count();
            assert_eq!(beside, 3, "logs, configuration, plan: byte {index}: {}", text(&bad));
            refused += 1;
        }
    }
    assert!(refused > 4 * harmless, "{refused} refused, {harmless} harmless");
}

#[test]
fn h22_the_state_file_of_a_plan_is_the_one_that_it_was_made_with() {
    let sandbox = Sandbox::new();
    let logs = picture_before(&sandbox.overfull());
    let file = plan_with_state(&sandbox);
    let good: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    let victim = sandbox.path("fstab");
    fs::write(&victim, "/dev/sda1 / ext4 defaults 0 1\n").expect("written");
    let (new, link) = (sandbox.path("new"), sandbox.path("link"));
    std::os::unix::fs::symlink(&victim, &link).expect("a link");
    let changed = sandbox.path("changed.json");
    for (state, says) in [
        (Value::from(victim.to_str()), "what the plan says of where it comes from"),
        (Value::from(new.to_str()), "what the plan says of where it comes from"),
        (Value::from(link.to_str()), "what the plan says of where it comes from"),
        (Value::Null, "what the plan says of where it comes from"),
        (Value::from("status"), "path is not absolute"),
        (serde_json::json!({ "b64": "!" }), "path is not absolute"),
    ] {
        let mut bad = good.clone();
        bad["source"]["state"] = state;
        fs::write(&changed, serde_json::to_vec(&bad).expect("JSON")).expect("written");
        assert_refused(&apply(&changed), says);
    }
    assert_eq!(fs::read(&victim).expect("there"), b"/dev/sda1 / ext4 defaults 0 1\n");
    assert!(!new.exists() && link.is_symlink());
    assert_eq!(logs, picture_after(&sandbox.logs()));
    assert_code(&apply(&file), 0);
}

/// Values that a plan was asked for and that no step shows.
#[test]
fn h22_how_long_a_plan_holds_and_its_limits_are_part_of_it() {
    let sandbox = Sandbox::new();
    let (dir, file) = (sandbox.overfull(), sandbox.path("plan.json"));
    let before = picture_before(&dir);
    let mut command = command();
    command.args(["free", "100%", "-q", "--max-fraction", "1", "--max-files", "4", "-o"]);
    assert_code(&command.args([&file, &dir]).output().expect("the program starts"), 6);
    let good: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    let says = "what the plan says of where it comes from";
    for (pointer, value) in [
        ("/expires", "2999-01-01T00:00:00Z".into()),
        ("/source/free/max_permille", 999.into()),
        ("/source/free/max_files", 5.into()),
        ("/source/free/percent", 99.into()),
        ("/source/compress", "gzip".into()),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect(pointer) = value;
        fs::write(&file, serde_json::to_vec(&bad).expect("JSON")).expect("written");
        let output = apply(&file);
        assert_code(&output, 5);
        let stderr = text(&output.stderr);
        let is_named = ["percent", "compress"].iter().any(|name| pointer.contains(name));
        assert!(is_named || stderr.contains(says), "{pointer}: {stderr}");
    }
    let mut bad = good;
    bad["source"]["state"] = sandbox.path("status").to_str().into();
    fs::write(&file, serde_json::to_vec(&bad).expect("JSON")).expect("written");
    assert_refused(&apply(&file), "frees space and names a state file");
    assert_eq!(before, picture_after(&dir));
}

#[test]
fn h20_h21_a_refusal_names_the_file_and_what_is_with_it() {
    for (what, says) in [
        ("gone", "app.log.4` of step 1 is gone"),
        ("replaced", "app.log.4` of step 1 is another file now"),
        ("changed", "app.log.4` of step 1 was changed"),
    ] {
        let sandbox = Sandbox::new();
        let file = plan(&sandbox);
        let victim = sandbox.logs().join("app.log.4");
        let len = victim.metadata().expect("its inode").len();
        match what {
            "gone" => fs::remove_file(&victim).expect("deleted"),
            "replaced" => {
                let other = sandbox.path("other");
                fs::write(&other, vec![b'x'; usize::try_from(len).expect("small")])
                    .and_then(|()| fs::rename(&other, &victim))
                    .expect("replaced");
            }
            _ => {
                let mut open = fs::File::options().write(true).open(&victim).expect("opens");
                open.write_all(b"x").expect("written");
            }
        }
        let before = picture_before(&sandbox.logs());
        assert_refused(&apply(&file), says);
        assert_eq!(before, picture_after(&sandbox.logs()));
    }
}

#[test]
fn h23_a_plan_holds_as_long_as_was_asked_for() {
    let sandbox = Sandbox::new();
    let (dir, file) = (sandbox.overfull(), sandbox.path("plan.json"));
    let plan = |time: &str| {
        let mut command = command();
        command.args(["plan", "--quota", "256k", "--valid-for", time, "-o"]).args([&file, &dir]);
        command.output().expect("the program starts")
    };
    assert_code(&plan("8d"), 2);
    assert_code(&plan("2h"), 0);
    let mut plan: Value = serde_json::from_slice(&fs::read(&file).expect("a plan")).expect("JSON");
    let at = |member: &Value| {
        let text = member.as_str().expect("a time");
        chrono::DateTime::parse_from_rfc3339(text).expect(text)
    };
    let holds = at(&plan["expires"]).signed_duration_since(at(&plan["created"]));
    assert_eq!(holds.num_seconds(), 7200);
    // An hour and a half later it would still be done, three hours later not.
    let ago = |hours: i64, member: &Value| {
        let then = at(member) - chrono::TimeDelta::hours(hours);
        Value::from(then.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    };
    plan["created"] = ago(3, &plan["created"]);
    plan["expires"] = ago(3, &plan["expires"]);
    fs::write(&file, serde_json::to_vec(&plan).expect("JSON")).expect("written");
    assert_refused(&apply(&file), "it expired at");
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

/// What is waited for may take longer than the plan holds, and the configuration may be edited
/// meanwhile.
#[test]
fn h23_a_plan_that_had_to_wait_is_looked_at_again() {
    let sandbox = Sandbox::new();
    let (dir, file) = (sandbox.overfull(), sandbox.path("plan.json"));
    let before = picture_before(&dir);
    let mut plan = command();
    plan.args(["plan", "-q", "--quota", "256k", "--valid-for", "6s", "-o"]).args([&file, &dir]);
    let held = Held::new(&dir);
    assert_code(&plan.output().expect("the program starts"), 0);
    let waiting = held.waiting(&["apply", file.to_str().expect("UTF-8")]);
    // The real clock: what waits has begun by it, and holds within its time until here.
    std::thread::sleep(Duration::from_secs(7));
    assert_refused(&held.let_go(waiting), "it expired at");
    assert!(before == picture_after(&dir));

    let file = plan_with_state(&sandbox);
    let before = picture_unread(&dir);
    let held = Held::new(&dir);
    let waiting = held.waiting(&["apply", file.to_str().expect("UTF-8")]);
    sandbox.config("LOGS/*.log {\n size 32k\n rotate 8\n quota 256k\n}\n");
    assert_refused(&held.let_go(waiting), "the configuration is another one");
    assert!(before == picture_unread(&dir));
}
