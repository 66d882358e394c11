//! groff has nothing to say against the pages, and they fit a terminal.

use std::process::{Command, Stdio};

use super::{CONF, PROGRAM, file};

/// Says why a test is not done; true if groff is missing.
fn needs_groff() -> bool {
    let is_missing = Command::new("groff").arg("--version").stdout(Stdio::null()).status().is_err();
    if is_missing {
        println!("skipped: needs groff");
    }
    is_missing
}

#[test]
fn groff_warns_of_nothing() {
    if needs_groff() {
        return;
    }
    for page in [PROGRAM, CONF] {
        let output = Command::new("groff")
            .args(["-man", "-ww", "-Kutf8", "-Tutf8", "-z", "-rLL=80n"])
            .arg(file(page))
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn on_a_terminal_of_80_columns_no_line_is_longer() {
    if needs_groff() {
        return;
    }
    for page in [PROGRAM, CONF] {
        let output = Command::new("groff")
            .args(["-man", "-Kutf8", "-Tutf8", "-P-c", "-P-b", "-P-u", "-P-o", "-rLL=80n"])
            .arg(file(page))
            .output()
            .expect("it starts");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.lines().count() > 100, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{page}: {line}");
        }
    }
}
