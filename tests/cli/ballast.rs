//! The ballast as people and programs see it: made, shown, released, made again.
//!
//! The disk is not one of its own: nothing is ever short of room but by a reserve of all of it.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use logquota::{Appender, Bytes};

use crate::kit::{
    DAY, Sandbox, assert_code, json, logquota, needs_root, picture_after, picture_before, text,
};

struct Scene {
    sandbox: Sandbox,
    state: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.log("app.log", 48, Duration::ZERO);
        sandbox.log("app.log.1", 64, DAY);
        let state = sandbox.path("state");
        Self { sandbox, state }
    }

    fn config(&self, head: &str) -> PathBuf {
        let logs = self.sandbox.logs();
        self.sandbox
            .config(&format!("{head}\n{}/*.log {{\n size 9M\n rotate 9\n}}\n", logs.display()))
    }

    fn run(&self, words: &[&str], head: &str) -> Output {
        let config = self.config(head);
        let (config, state) =
            (config.to_str().expect("UTF-8"), self.state.to_str().expect("UTF-8"));
        let state = if words[0] == "free" { vec![] } else { vec!["--state", state] };
        logquota(words.iter().copied().chain(state).chain(["--config", config]))
    }

    fn ballast(&self) -> PathBuf {
        self.sandbox.logs().join(".logquota/ballast")
    }
}

/// Lines as they would be without an end of the screen.
fn flat(output: &Output) -> String {
    text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_run_makes_it_and_status_says_so_until_it_goes() {
    let scene = Scene::new();
    let head = "ballast 1M\nreserve 1M";
    let shown = scene.run(&["status"], head);
    assert!(
        flat(&shown).contains("/.logquota/ballast: none of 1.0 MiB so far"),
        "{}",
        flat(&shown)
    );

    let before = picture_before(&scene.sandbox.logs());
    let dry = scene.run(&["run", "-n"], head);
    assert_code(&dry, 0);
    assert!(flat(&dry).contains("would make the ballast (1.0 MiB):"), "{}", flat(&dry));
    assert_eq!(before, picture_after(&scene.sandbox.logs()));

    let done = scene.run(&["run"], head);
    assert_code(&done, 0);
    assert!(flat(&done).contains("1 ballast made; 112.0 KiB used before"), "{}", flat(&done));
    assert_eq!(scene.ballast().metadata().expect("made").len(), 1 << 20);
    let status = scene.run(&["status"], head);
    assert!(flat(&status).contains("ballast: 1.0 MiB of 1.0 MiB kept"), "{}", flat(&status));
    let status = json(&scene.run(&["status", "--json"], head));
    let told = &status["ballasts"][0];
    assert_eq!((&told["state"], &told["bytes"]), (&"kept".into(), &(1 << 20).into()), "{told}");
    assert_eq!(status["sets"][0]["used"], 112 << 10, "it is no log");
    let again = scene.run(&["run"], head);
    assert!(flat(&again).contains("nothing to do"), "{}", flat(&again));

    // So much is never free.
    let short = scene.run(&["run", "-v"], "ballast 1M\nreserve 100%");
    assert_code(&short, 6);
    let line = flat(&short);
    assert!(line.contains("1. released the ballast (1.0 MiB): "), "{line}");
    assert!(line.contains("are free on the disk, ") && !scene.ballast().exists(), "{line}");
    let status = scene.run(&["status"], head);
    assert!(flat(&status).contains("none of 1.0 MiB: released since 2"), "{}", flat(&status));
    let told = json(&scene.run(&["status", "--json"], head))["ballasts"][0].clone();
    assert_eq!(told["state"], "missing");
    assert!(told["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{told}");
}

#[test]
fn free_shows_it_first_and_no_guard_counts_it() {
    let scene = Scene::new();
    assert_code(&scene.run(&["run"], "ballast 1M"), 0);
    // Without the directive, too.
    for head in ["ballast 1M", ""] {
        let shown = scene.run(&["free", "100%"], head);
        assert_code(&shown, 6);
        let screen = text(&shown.stdout);
        let expected =
            " 1. Release the ballast, which only keeps room                1 file     1.0 MiB";
        assert!(screen.lines().any(|line| line == expected), "{screen}");
        assert!(!screen.contains("Not ours"), "{screen}");
        let told = json(&scene.run(&["free", "100%", "--json"], head));
        let first = &told["steps"][0];
        assert_eq!(
            (&first["action"], &first["reason"]["kind"]),
            (&"release_ballast".into(), &"low_space".into())
        );
        assert_eq!(first["only_below"], told["free"]["wanted"]);
        assert_eq!(told["free"]["exceeded"].as_array().map(Vec::len), Some(0), "{told}");
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let done = scene.run(&["free", "100%", "--yes", "--host", &host, "--json"], "");
    assert_code(&done, 6);
    let told = json(&done);
    assert_eq!(told["free"]["ballast_bytes"], 1 << 20);
    assert_eq!(told["free"]["deleted_files"], 1);
    assert!(!scene.ballast().exists());
}

#[test]
fn a_plan_file_that_has_it_is_applied_once() {
    let scene = Scene::new();
    let plan = scene.sandbox.path("plan.json");
    let plan = plan.to_str().expect("UTF-8");
    assert_code(&scene.run(&["plan", "-o", plan], "ballast 1M"), 0);
    assert_code(&logquota(["apply", plan]), 0);
    assert!(scene.ballast().exists());
    let again = logquota(["apply", plan]);
    assert_code(&again, 5);
    assert!(text(&again.stderr).contains("refused"), "{}", text(&again.stderr));
}

#[test]
fn what_a_run_has_made_follows_the_configuration_and_what_a_program_keeps_does_not() {
    let scene = Scene::new();
    let len = || scene.ballast().metadata().map_or(0, |meta| meta.len());
    assert_code(&scene.run(&["run"], "ballast 2M"), 0);
    assert_eq!(len(), 2 << 20);
    let done = scene.run(&["run", "-v"], "ballast 1M");
    assert_eq!(len(), 1 << 20);
    assert!(flat(&done).contains("it keeps 2.0 MiB, 1.0 MiB are asked for"), "{}", flat(&done));
    // Another configuration, or a part of this one, says nothing of it.
    assert!(flat(&scene.run(&["run"], "")).contains("nothing to do"));
    let done = scene.run(&["run", "-v"], "ballast 0");
    assert_code(&done, 0);
    assert!(
        flat(&done).contains("none is wanted any more, and it keeps 1.0 MiB"),
        "{}",
        flat(&done)
    );
    assert_eq!(len(), 0);
    let log = Appender::builder(scene.sandbox.logs().join("own.log")).quota(Bytes::mib(9));
    drop(log.ballast(Bytes::mib(3)).background(false).open().expect("a log"));
    assert_eq!(len(), 3 << 20);
    for head in ["ballast 1M", "ballast 0", ""] {
        let done = scene.run(&["run"], head);
        assert!(flat(&done).contains("nothing to do"), "{head}: {}", flat(&done));
    }
    assert_eq!(len(), 3 << 20);
}

#[test]
fn a_directory_and_a_pipe_may_have_one() {
    let scene = Scene::new();
    let logs = scene.sandbox.logs();
    let dir = logs.to_str().expect("UTF-8");
    let run = |verb: &[&str], size: &str| {
        logquota([verb, &["--quota", "9M", "--ballast", size, dir]].concat())
    };
    let plan = scene.sandbox.path("plan.json");
    let plan = plan.to_str().expect("UTF-8");
    assert_code(&run(&["plan", "-o", plan], "1M"), 0);
    assert_code(&logquota(["apply", plan]), 0);
    assert_eq!(scene.ballast().metadata().expect("made").len(), 1 << 20);
    let state = scene.state.to_str().expect("UTF-8");
    assert_code(&run(&["run", "--state", state], "0"), 0);
    assert!(!scene.ballast().exists());
    let log = scene.sandbox.path("piped/player.log");
    std::fs::create_dir_all(log.parent().expect("a folder")).expect("made");
    let pipe = |size: &str| {
        let mut command = crate::kit::command();
        command.args(["pipe", "--quota", "4M", "--ballast", size]).arg(&log);
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let made = scene.sandbox.path("piped/.logquota/ballast");
    let mut running = pipe("1M");
    let started = Instant::now();
    // By a thread in the background.
    while made.metadata().map_or(0, |meta| meta.len()) != 1 << 20 {
        assert!(started.elapsed() < Duration::from_secs(120), "none is made");
        std::thread::yield_now();
    }
    drop(running.stdin.take());
    assert_code(&running.wait_with_output().expect("it ends"), 0);
    let wrong = pipe("4M").wait_with_output().expect("it ends");
    assert_code(&wrong, 2);
    assert!(text(&wrong.stderr).contains("leaves nothing of a quota"), "{}", text(&wrong.stderr));
}

/// The folder of the block is another one by now: the old ballast is counted on and not made again.
#[test]
fn where_another_folder_is_the_first_the_old_one_counts_and_goes_first() {
    let scene = Scene::new();
    let other = scene.sandbox.path("other");
    std::fs::create_dir(&other).expect("a folder");
    std::fs::write(other.join("b.log"), "a line\n").expect("a log");
    let logs = scene.sandbox.logs();
    let block = |first: &PathBuf, second: &PathBuf| {
        format!(
            "{}/*.log {}/*.log {{\n size 9M\n rotate 9\n}}\n",
            first.display(),
            second.display()
        )
    };
    let run = |words: &[&str], head: &str, turned: bool| {
        let (first, second) = if turned { (&other, &logs) } else { (&logs, &other) };
        let config = scene.sandbox.config(&format!("{head}\n{}", block(first, second)));
        let state = scene.state.to_str().expect("UTF-8");
        let state = if words[0] == "free" { vec![] } else { vec!["--state", state] };
        let config = ["--config", config.to_str().expect("UTF-8")];
        logquota(words.iter().copied().chain(state).chain(config))
    };
    let new = other.join(".logquota/ballast");
    assert_code(&run(&["run"], "ballast 1M", false), 0);
    assert!(scene.ballast().exists());
    let done = run(&["run"], "ballast 1M", true);
    assert!(flat(&done).contains("nothing to do") && !new.exists(), "{}", flat(&done));
    // A larger one has to be made where it belongs now.
    assert_code(&run(&["run"], "ballast 2M", true), 0);
    assert!(scene.ballast().exists() && new.metadata().expect("made").len() == 2 << 20);
    let shown = json(&run(&["free", "100%", "--json"], "", true));
    let paths: Vec<_> = [0, 1].iter().map(|step| shown["steps"][step]["path"].clone()).collect();
    let expected = [scene.ballast(), new.clone()];
    assert_eq!(paths, expected.map(|path| path.to_str().expect("UTF-8").to_owned()));
    let gone = run(&["run"], "ballast 2M\nreserve 100%", true);
    assert_code(&gone, 6);
    assert!(!scene.ballast().exists() && !new.exists());
    assert_code(&run(&["run"], "ballast 1M", true), 0);
    assert!(!scene.ballast().exists() && new.exists(), "it is made where it belongs");
}

/// A program keeps one beside its log, as a user of its own: root counts on it, and on nothing that
/// somebody else may have put there.
#[test]
fn root_counts_on_that_of_the_user_whose_logs_they_are_and_on_no_other() {
    if needs_root() {
        return;
    }
    const USER: u32 = 4321;
    let scene = Scene::new();
    let folder = scene.sandbox.logs().join(".logquota");
    let owned = |path: &Path, user: u32| chown(path, Some(user), Some(user)).expect("its owner");
    let all = |logs: u32, dir: u32, file: u32| {
        owned(&scene.sandbox.logs(), logs);
        owned(&folder, dir);
        owned(&scene.ballast(), file);
    };
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
    assert_code(&scene.run(&["run"], "ballast 1M"), 0);
    let counts = || {
        let shown = json(&scene.run(&["free", "100%", "--json"], ""));
        shown["steps"][0]["action"] == "release_ballast"
    };
    all(USER, USER, USER);
    assert!(counts());
    for (logs, dir, file) in
        [(USER, USER, 0), (USER, 0, USER), (0, USER, USER), (USER, 99, 99), (USER, USER, 99)]
    {
        all(logs, dir, file);
        assert!(!counts(), "{logs} {dir} {file}");
    }
    all(USER, USER, USER);
    for (path, wrong, right) in [(&folder, 0o770, 0o700), (&scene.ballast(), 0o620, 0o600)] {
        mode(path, wrong).expect("its mode");
        assert!(!counts(), "{}", path.display());
        mode(path, right).expect("its mode");
    }
    let link = scene.sandbox.path("link");
    std::fs::hard_link(scene.ballast(), &link).expect("another name");
    assert!(!counts());
    std::fs::remove_file(link).expect("removed");

    // It is no place for one of root's: neither larger nor smaller nor again.
    let before = picture_before(&folder);
    let done = scene.run(&["run"], "ballast 1M");
    assert!(flat(&done).contains("nothing to do"), "{}", flat(&done));
    let large = scene.run(&["run"], "ballast 2M");
    assert_code(&large, 1);
    let said = text(&large.stderr);
    assert!(said.contains("another user keeps one, and it is smaller"), "{said}");
    assert!(before == picture_after(&folder));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let done = json(&scene.run(&["free", "100%", "--yes", "--host", &host, "--json"], ""));
    assert_eq!(
        (&done["free"]["ballast_bytes"], scene.ballast().exists()),
        (&(1 << 20).into(), false)
    );
    // Its owner makes it again, and nobody else; that is no error.
    let said = text(&scene.run(&["run"], "ballast 1M").stderr);
    assert!(!said.contains("ballast"), "{said}");
    assert!(!scene.ballast().exists());
}

/// The disk of another machine: its ballast is counted on and goes, and none is made there.
#[test]
fn the_ballast_of_another_machines_disk_goes_first() {
    let scene = Scene::new();
    assert_code(&scene.run(&["run"], "ballast 1M"), 0);
    let disk = scene.sandbox.path("disk");
    std::fs::create_dir_all(disk.join("etc")).expect("a folder");
    std::fs::rename(scene.sandbox.logs(), disk.join("log")).expect("moved");
    std::fs::write(disk.join("etc/hostname"), "shop-07\n").expect("its name");
    let config = "ballast 1M\n/log/*.log {\n size 9M\n rotate 9\n}\n";
    std::fs::write(disk.join("etc/logquota.conf"), config).expect("a configuration");
    let disk_arg = disk.to_str().expect("UTF-8");
    let status = logquota(["status", "--root", disk_arg]);
    assert!(flat(&status).contains("/log/.logquota/ballast: 1.0 MiB of 1.0 MiB kept"));
    let free = |more: &[&str]| logquota([&["free", "100%", "--root", disk_arg], more].concat());
    let shown = free(&[]);
    assert_code(&shown, 6);
    let screen = flat(&shown);
    assert!(
        screen.contains("1. Release the ballast, which only keeps room 1 file 1.0 MiB"),
        "{screen}"
    );
    assert!(screen.contains(" /log/.logquota/ballast 1.0 MiB"), "{screen}");
    let done = json(&free(&["--yes", "--host", "shop-07", "--json"]));
    assert_eq!(done["free"]["ballast_bytes"], 1 << 20);
    assert!(!disk.join("log/.logquota/ballast").exists());
    // What leads out of it is none of its own.
    std::fs::remove_dir_all(disk.join("log/.logquota")).expect("removed");
    assert_code(&scene.run(&["run"], "ballast 1M"), 1);
    let outside = scene.sandbox.path("outside");
    std::fs::create_dir(&outside).expect("a folder");
    let config = scene
        .sandbox
        .config(&format!("ballast 1M\n{}/*.log {{\n missingok\n}}\n", outside.display()));
    let state = scene.state.to_str().expect("UTF-8");
    let config = config.to_str().expect("UTF-8");
    assert_code(&logquota(["run", "--state", state, "--config", config]), 0);
    assert!(outside.join(".logquota/ballast").exists());
    std::os::unix::fs::symlink(outside.join(".logquota"), disk.join("log/.logquota"))
        .expect("a link");
    let done = json(&free(&["--max-fraction", "1", "--yes", "--host", "shop-07", "--json"]));
    assert_eq!(done["free"]["ballast_bytes"], 0, "{done}");
    assert!(outside.join(".logquota/ballast").exists());
}

#[test]
fn in_place_of_logrotate_it_is_kept_and_said_in_its_way() {
    let scene = Scene::new();
    let config = scene.config("ballast 1M");
    let state = scene.sandbox.path("status");
    let run = || {
        let words = ["logrotate", "-v", "-s"].map(std::ffi::OsString::from);
        logquota(words.into_iter().chain([state.clone().into(), config.clone().into()]))
    };
    let done = run();
    assert_code(&done, 0);
    let said = text(&done.stderr);
    assert!(said.contains("making the ballast ") && scene.ballast().exists(), "{said}");
    assert!(!text(&run().stderr).contains("ballast"), "once is enough");
}
