//! The ballast as people and programs see it: made, shown, released, made again.
//!
//! The disk is not one of its own: nothing is ever short of room but by a reserve of all of it.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use crate::kit::{DAY, Sandbox, assert_code, json, logquota, picture_after, picture_before, text};

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
