//! The configurations that are installed on this machine, each on logs of its own making. Their
//! scripts are not run, but noted: they would restart services.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::case::cases;
use crate::compare::{is_wanted, judge, skipped};

const INSTALLED: &str = "/etc/logrotate.d";

const SCRIPTS: [&str; 5] = ["firstaction", "prerotate", "postrotate", "lastaction", "preremove"];

#[test]
fn what_is_installed_here_comes_out_the_same() {
    if skipped() {
        return;
    }
    let files = fs::read_dir(INSTALLED).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut failures = String::new();
    for path in files {
        // One that is no text is none of ours to judge.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for case in cases(&on_sandbox(&path, &text)) {
            if is_wanted(&case.name)
                && let Err(failure) = judge(&case)
            {
                failures += &failure;
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// A line with its absolute paths in the sandbox.
fn moved(line: &str) -> String {
    let line = format!(" {line}").replace('\t', " ");
    line.replace(" /", " @/").replace("\"/", "\"@/").replace("'/", "'@/")
}

/// A case with the configuration, and with a file for each of its paths.
fn on_sandbox(path: &Path, text: &str) -> String {
    let (mut conf, mut logs) = (String::new(), Vec::new());
    let mut is_script = false;
    for line in text.lines() {
        let word = line.split_whitespace().next().unwrap_or("");
        if is_script {
            is_script = word != "endscript";
            continue;
        }
        if SCRIPTS.contains(&word) {
            is_script = true;
            let _ = writeln!(conf, "    +{word}");
            continue;
        }
        // The real logs of this machine are not for tests; commands stay where they are.
        let line = match word.as_bytes() {
            [b'/' | b'"' | b'\'', ..] | b"olddir" => moved(line),
            b"include" => continue,
            _ => line.to_owned(),
        };
        if word != "olddir" {
            let paths = line.split_whitespace().filter(|word| word.starts_with("@/"));
            logs.extend(paths.map(|path| path.trim_end_matches('{').to_owned()));
        }
        let _ = writeln!(conf, "    {line}");
    }
    let files: String = logs
        .iter()
        .map(|log| log.trim_start_matches("@/").replace(['*', '?'], "x"))
        .filter(|log| !log.is_empty() && !log.contains(['"', '[']))
        .fold(String::new(), |all, log| all + " " + &log);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "\n== machine_{name}\nfile{files}\nconf\n{conf}run\nrun -f\nfile{files} = more\nrun -f\n"
    )
}
