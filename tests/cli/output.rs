//! Output that cannot be written changes the exit code and nothing else; names cannot speak
//! to the terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::kit::{DAY, Sandbox, assert_code, command, json, logquota, text};

/// Runs with standard output as given.
fn run_into(sandbox: &Sandbox, stdout: Stdio, extra: &[&str]) -> Output {
    let child = command()
        .args(["run", "--quota", "256k"])
        .args(extra)
        .arg(sandbox.logs())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.wait_with_output().expect("it ends")
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("/dev/full").into()
}

/// A pipe whose reader is gone already, as of `| true`.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn output_onto_a_full_disk_or_into_a_closed_pipe_changes_only_the_exit_code() {
    let expected = {
        let sandbox = Sandbox::new();
        sandbox.overfull();
        assert_code(&run_into(&sandbox, Stdio::null(), &[]), 0);
        sandbox.used()
    };
    for extra in [&[][..], &["--json"], &["-v"]] {
        for (stdout, says) in [(full as fn() -> Stdio, "standard output"), (closed, "")] {
            let sandbox = Sandbox::new();
            sandbox.overfull();
            let output = run_into(&sandbox, stdout(), extra);
            assert_code(&output, 1);
            assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
            assert_eq!(sandbox.used(), expected);
        }
    }
    // Silent runs have nothing to write.
    let sandbox = Sandbox::new();
    sandbox.overfull();
    assert_code(&run_into(&sandbox, full(), &["-q"]), 0);
}

#[test]
fn errors_that_nobody_can_hear_change_nothing() {
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let status = command()
        .args(["run", "-v", "--quota", "256k"])
        .arg(sandbox.logs())
        .stdout(closed())
        .stderr(closed())
        .status()
        .expect("it ends");
    assert_eq!(status.code(), Some(1));
    assert!(sandbox.used() <= 256 << 10);
}

#[test]
fn help_into_a_closed_pipe_does_not_panic() {
    let child = command().arg("--help").stdout(closed()).stderr(Stdio::piped()).spawn();
    let output = child.expect("the program starts").wait_with_output().expect("it ends");
    assert!(output.status.code().is_some_and(|code| code < 2));
    assert!(output.stderr.is_empty());
}

#[test]
fn colour_is_only_used_when_it_is_asked_for_or_seen() {
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let shown = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = command();
        command.args(["plan", "--quota", "256k"]).args(args).arg(sandbox.logs());
        let output = command.envs(env.iter().copied()).output().expect("it ends");
        assert_code(&output, 0);
        output.stdout.contains(&0x1b)
    };
    assert!(!shown(&[], &[]), "not a terminal");
    assert!(shown(&["--color", "always"], &[]));
    assert!(shown(&["--color=always"], &[("NO_COLOR", "1"), ("TERM", "dumb")]), "asked for");
    assert!(!shown(&["--color", "never"], &[]));
}

/// A name that would clear a line, set a title, and turn the text around.
const HOSTILE: &[u8] = b"\x1b]0;x\x07\r\x1b[2Kapp\xff\xfe\n\xc2\x9b\xe2\x80\xae$(touch X).log";

#[test]
fn h15_names_are_shown_escaped_everywhere() {
    let sandbox = Sandbox::new();
    let name = OsStr::from_bytes(HOSTILE);
    sandbox.log(name, 64, Duration::ZERO);
    let archive = [HOSTILE, b".1"].concat();
    sandbox.log(OsStr::from_bytes(&archive), 64, DAY);
    let quota = ["--quota", "96k", "--size", "32k"];
    for args in [
        &["plan"][..],
        &["plan", "-v"],
        &["status"],
        &["run", "-n"],
        &["run", "-v"],
        &["plan", "--json"],
    ] {
        let output = command().args(args).args(quota).arg(sandbox.logs()).output().expect("ends");
        for stream in [&output.stdout, &output.stderr] {
            let plain = |b: &u8| *b >= 0x20 && *b != 0x7f || *b == b'\n';
            assert!(stream.iter().all(plain), "{args:?}: {}", text(stream));
            let stream = std::str::from_utf8(stream).expect("UTF-8");
            assert!(args.contains(&"--json") || !stream.contains(['\u{9b}', '\u{202e}']));
        }
        assert!(!sandbox.path("X").exists());
    }
}

#[test]
fn h13_a_name_that_is_not_utf8_is_in_the_json_with_every_byte() {
    let sandbox = Sandbox::new();
    let name = OsStr::from_bytes(b"app\xff\xfe.log");
    sandbox.log(name, 64, Duration::ZERO);
    let dir = sandbox.logs();
    let dir = dir.to_str().expect("UTF-8");
    let args = ["plan", "--json", "--quota", "1M", "--size", "32k", dir];
    let plan = json(&logquota(args));
    let steps = plan["steps"].as_array().expect("steps");
    let exact = steps.iter().filter_map(|step| step["path_b64"].as_str()).next();
    // The file's name and what is before it, in base64.
    assert!(exact.is_some_and(|b64| b64.len() > dir.len()), "{plan}");
    let file = sandbox.path("plan.json");
    let output = command()
        .args(["plan", "-q", "--quota", "1M", "--size", "32k", "-o"])
        .args([file.as_os_str(), dir.as_ref()])
        .output()
        .expect("ends");
    assert_code(&output, 0);
    assert_code(&logquota(["apply".as_ref(), file.as_os_str()]), 0);
    assert!(sandbox.listing().len() >= 2);
}
