//! `plan` says what would be done and why, and changes nothing.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::kit::{
    BIN, DAY, Sandbox, assert_code, json, logquota, needs, picture_after, picture_before, text,
};

#[test]
fn a_plan_names_the_host_first_and_every_step_with_its_numbers() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let output = logquota(["plan".as_ref(), "--quota".as_ref(), "256k".as_ref(), dir.as_os_str()]);
    assert_code(&output, 0);
    let shown = text(&output.stdout);
    assert!(shown.starts_with("Host "), "{shown}");
    assert!(shown.contains("would delete app.log.4 (96.0 KiB)"), "{shown}");
    let words: Vec<_> = shown.split_whitespace().collect();
    assert!(words.join(" ").contains("144.0 KiB more than the quota of 256.0 KiB"), "{shown}");
    assert!(shown.contains("free now"), "{shown}");
    assert!(!shown.contains("freed") && !shown.contains('\x1b'), "{shown}");
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn a_plan_as_json_has_the_promised_shape() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let dir = dir.to_str().expect("UTF-8");
    let output = logquota(["plan", "--json", "--quota", "256k", dir]);
    assert_code(&output, 0);
    assert_eq!(output.stdout.iter().filter(|b| **b == b'\n').count(), 1);
    let plan = json(&output);
    assert_eq!(plan["schema"], "logquota.plan/1");
    for member in ["id", "host", "created", "expires"] {
        assert!(plan[member].is_string(), "{member}");
    }
    assert!(plan["created"].as_str().is_some_and(|at| at.ends_with('Z')));
    assert_eq!(plan["source"]["dir"], dir);
    assert_eq!(plan["source"]["quota"], 256 << 10);
    let set = &plan["sets"][0];
    assert_eq!(set["quota"], 256 << 10);
    for member in ["used_before", "used_peak", "used_after", "shortfall"] {
        assert!(set[member].is_u64(), "{member}");
    }
    assert_eq!(set["used_before"].as_u64(), Some(sandbox.used()));
    let steps = plan["steps"].as_array().expect("steps");
    let actions = ["rename", "create", "copy", "truncate", "compress", "delete", "run_hook"];
    for step in steps {
        assert!(actions.contains(&step["action"].as_str().expect("action")), "{step}");
        assert!(step["path"].as_str().is_some_and(|path| path.starts_with(dir)), "{step}");
        assert!(step["bytes"].is_u64() && step["used_after"].is_u64(), "{step}");
        assert!(step["reason"]["kind"].is_string(), "{step}");
    }
    let first = steps.first().expect("a step");
    assert_eq!(first["action"], "delete");
    assert_eq!(first["path"], format!("{dir}/app.log.4"));
    assert_eq!(first["reason"]["kind"], "quota");
    assert_eq!(first["reason"]["limit"], 256 << 10);
}

/// What `plan`, `status` and dry runs are tried with: a folder, and a configuration.
fn looks(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let dir = sandbox.overfull().to_str().expect("UTF-8").to_owned();
    sandbox.log("old.log", 4, DAY * 2);
    let config = sandbox.config("LOGS/*.log {\n daily\n rotate 2\n compress\n quota 256k\n}\n");
    let config = config.to_str().expect("UTF-8").to_owned();
    let state = sandbox.path("status");
    let entry = |name: &str| format!("\"{dir}/{name}\" 2020-1-1-0:0:0\n");
    let text = format!("logrotate state -- version 2\n{}{}", entry("app.log"), entry("old.log"));
    fs::write(&state, text).expect("a state file");
    let state = state.to_str().expect("UTF-8").to_owned();
    let words = |line: &[&str]| line.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    vec![
        words(&["plan", "--quota", "256k", &dir]),
        words(&["plan", "--state", &state, &config]),
        words(&["plan", "--json", "--state", &state, &config]),
        words(&["run", "-n", "--quota", "256k", &dir]),
        words(&["run", "--dry-run", "-v", "--state", &state, &config]),
        words(&["free", "1k", &dir]),
        words(&["free", "-v", "1k", &config]),
        words(&["free", "--json", "1k", &config]),
        words(&["status", &dir]),
        words(&["status", "--open-deleted", &dir]),
        words(&["status", "--quota", "256k", &dir]),
        words(&["status", "--json", "--state", &state, &config]),
    ]
}

#[test]
fn h26_looking_changes_nothing_not_even_an_access_time() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("");
    for args in looks(&sandbox) {
        let before = picture_before(&root);
        let output = logquota(&args);
        assert_code(&output, 0);
        let after = picture_after(&root);
        for (path, seen) in &before {
            assert_eq!(Some(seen), after.get(path), "{args:?} {}", path.display());
        }
        assert_eq!(before.len(), after.len(), "{args:?}");
    }
}

/// System calls that change a file system; `?` lets strace pass over what this machine has not.
const CHANGES: &str = "?open,openat,?openat2,?creat,?unlink,unlinkat,?rename,?renameat,renameat2,\
?link,linkat,?symlink,symlinkat,?mkdir,mkdirat,?rmdir,truncate,ftruncate,fallocate,?chmod,fchmod,\
fchmodat,?fchmodat2,?chown,fchown,?lchown,fchownat,?utime,?utimes,?futimesat,utimensat,setxattr,\
lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,?mknod,mknodat,flock,copy_file_range";

#[test]
fn h26_looking_makes_no_system_call_that_changes_anything() {
    if needs("strace") {
        return;
    }
    let sandbox = Sandbox::new();
    let trace = sandbox.path("trace");
    for args in looks(&sandbox) {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", &format!("trace={CHANGES}"), "-e", "signal=none", "-o"])
            .arg(&trace)
            .arg(BIN)
            .args(&args)
            .output()
            .expect("strace starts");
        assert_code(&output, 0);
        let calls = fs::read_to_string(&trace).expect("a trace");
        assert!(calls.contains("open"), "nothing was traced: {calls}");
        let changing = calls.lines().filter(|line| {
            let is_open = line.contains(" open") || line.starts_with("open");
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"];
            !line.contains("+++ exited") && (!is_open || writes.iter().any(|w| line.contains(w)))
        });
        assert_eq!(changing.collect::<Vec<_>>(), Vec::<&str>::new(), "{args:?}");
    }
}

#[test]
fn a_plan_file_onto_a_full_disk_is_an_error_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let target = sandbox.path("nowhere/plan.json");
    let output = logquota([
        "plan".as_ref(),
        "--quota".as_ref(),
        "256k".as_ref(),
        "-o".as_ref(),
        target.as_os_str(),
        dir.as_os_str(),
    ]);
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("plan.json"));
}

#[test]
fn a_folder_within_its_quota_has_nothing_to_do() {
    let sandbox = Sandbox::new();
    sandbox.log("app.log", 4, Duration::ZERO);
    let dir = sandbox.logs();
    let output = logquota(["plan".as_ref(), "--quota".as_ref(), "1M".as_ref(), dir.as_os_str()]);
    assert_code(&output, 0);
    assert!(text(&output.stdout).contains("nothing to do"));
}
