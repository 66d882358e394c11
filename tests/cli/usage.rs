//! Arguments that make no sense destroy nothing and say what to do.

use crate::kit::{Sandbox, assert_code, command, logquota, picture_after, picture_before, text};

#[test]
fn h27_no_arguments_are_answered_with_help_on_stderr_and_exit_2() {
    let output = logquota::<&str>([]);
    assert_code(&output, 2);
    assert!(output.stdout.is_empty());
    let help = text(&output.stderr);
    for word in ["Usage:", "run", "plan", "apply", "status"] {
        assert!(help.contains(word), "{help}");
    }
}

#[test]
fn h27_nothing_destructive_has_a_default_target_or_a_default_limit() {
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    let dir = dir.to_str().expect("UTF-8");
    let before = picture_before(sandbox.path("").as_path());
    for (args, says) in [
        (vec!["run", dir], "--quota"),
        (vec!["plan", dir], "--quota"),
        (vec!["run", "--quota", "1M"], "needs the directory"),
        (vec!["run", "--quota", "1M", dir, dir], "one directory"),
        (vec!["run", "--quota", "0", dir], "0 bytes"),
        (vec!["run", "--quota", "1MB", dir], "1MiB"),
        (vec!["run", "--quota", "1M", "--size", "2M", dir], "raise the quota"),
        (vec!["run", "--quota", "1M", "--config", dir, dir], "cannot be used with"),
        (vec!["run", "--size", "1M", dir], "--quota"),
        (vec!["run", "--quota", "1M", "/nowhere/at/all"], "is none"),
        (vec!["run", "--quota", "1M", "--su", "no such user", dir], "no user"),
        (vec!["run", "--quot", "1M", dir], "unexpected argument"),
        (vec!["ru", "--quota", "1M", dir], "unrecognized subcommand"),
        (vec!["apply"], "PLAN.json"),
        (vec!["run", "-q", "-v", "--quota", "1M", dir], "cannot be used with"),
        (vec!["plan", "--quota", "1M", "-o", "/dev/null", dir], "not a regular file"),
    ] {
        let output = logquota(&args);
        assert_code(&output, 2);
        assert!(output.stdout.is_empty());
        let stderr = text(&output.stderr);
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    assert_eq!(before, picture_after(sandbox.path("").as_path()));
}

#[test]
fn help_and_version_are_results_and_exit_0() {
    for args in [vec!["--help"], vec!["-h"], vec!["run", "--help"], vec!["--version"]] {
        let output = logquota(&args);
        assert_code(&output, 0);
        assert!(output.stderr.is_empty() && !output.stdout.is_empty());
        assert!(text(&output.stdout).lines().all(|line| line.chars().count() <= 80));
    }
    let version = text(&logquota(["--version"]).stdout);
    assert_eq!(version, format!("logquota {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_configuration_that_is_not_there_is_exit_4() {
    let output = command().arg("run").env("LOGQUOTA_CONFIG", "/nowhere/logquota.conf").output();
    let output = output.expect("the program starts");
    assert_code(&output, 4);
    assert!(text(&output.stderr).contains("/nowhere/logquota.conf"));
}

#[test]
fn h15_an_argument_cannot_speak_to_the_terminal() {
    for args in [["run", "\x1b]0;x\x07\x1b[2K"], ["\x1b[2Kru\u{202e}n", "x"]] {
        let output = logquota(args);
        assert!(!output.status.success());
        let plain = |b: &u8| *b >= 0x20 && *b != 0x7f || *b == b'\n';
        assert!(output.stderr.iter().all(plain), "{:?}", text(&output.stderr));
        assert!(!text(&output.stderr).contains('\u{202e}'));
    }
}

#[test]
fn a_directory_without_a_quota_is_told_both_ways_to_go_on() {
    let sandbox = Sandbox::new();
    let output = logquota(["run", sandbox.path("").to_str().expect("UTF-8")]);
    assert_code(&output, 2);
    snapbox::assert_data_eq!(
        text(&output.stderr),
        snapbox::str!["logquota: error: `[..]` is a directory: give its quota with --quota SIZE, or, if it is a directory of configuration files, use --config[..]
"]
    );
}
