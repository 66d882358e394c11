//! What holds for the sources themselves: who may touch the disk, how long a file may be,
//! and that every hazard has its test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Hazards that need a test of their own; `h07` in a test's name says that it is for H07.
const HAZARDS: [u32; 60] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    27, 28, 29, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61,
];

/// Lines of code that a file may have. A longer one is usually two things.
const LINES_MAX: usize = 400;

fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").to_owned()
}

/// A source file, by its path in the workspace.
struct Source {
    path: String,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let root = workspace();
    let mut found = Vec::new();
    let mut todo = vec![root.join(folder)];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a listing");
            todo.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let path = path.strip_prefix(&root).expect("below").display().to_string();
            found.push(Source { path, text });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Its code: without comments, blank lines, and the tests at its end.
    fn code(&self) -> Vec<(usize, &str)> {
        let mut found: Vec<(usize, &str)> = Vec::new();
        if self.is_test() {
            return found;
        }
        let mut lines = self.text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let text = line.trim();
            if text == "#[cfg(test)]" {
                // A module of tests is the last thing in a file, unless it is elsewhere.
                let rest: Vec<&str> = lines.clone().map(|(_, line)| line.trim()).collect();
                let module = rest.iter().find(|line| !line.starts_with("#["));
                if module.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{')) {
                    break;
                }
            }
            if !text.is_empty() && !text.starts_with("//") {
                found.push((index + 1, line));
            }
        }
        found
    }
}

/// Lines of code with one of `words`, but for files below one of `except`.
fn places(folder: &str, words: &[&str], except: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources(folder) {
        if except.iter().any(|prefix| source.path.starts_with(prefix)) {
            continue;
        }
        for (number, line) in source.code() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    found
}

#[track_caller]
fn assert_none(found: &[String], why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn only_one_module_of_the_library_touches_the_disk() {
    let edges = ["logquota/src/fs/os", "logquota/src/fs/config"];
    let words = ["fs2::", "rustix::", "std::fs", "use std::fs"];
    assert_none(&places("logquota/src", &words, &edges), "the disk is for fs/os");
}

#[test]
fn the_library_prints_nothing_starts_nothing_and_asks_no_environment() {
    let words = [
        "println!",
        "eprintln!",
        "print!(",
        "eprint!(",
        "dbg!(",
        "std::process::Command",
        "process::exit",
        "std::env::",
    ];
    assert_none(&places("logquota/src", &words, &[]), "that is for the program");
}

#[test]
fn only_the_clock_knows_what_time_it_is() {
    let words = ["Local::now", "Utc::now", "SystemTime::now", "Instant::now"];
    assert_none(&places("logquota/src", &words, &["logquota/src/clock.rs"]), "that is for `clock`");
}

#[test]
fn nothing_is_unsafe() {
    // In two words, so as not to find this one.
    let word = concat!("un", "safe ");
    for folder in ["logquota", "logquota-cli", "tests", "benches"] {
        assert_none(&places(folder, &[word], &[]), "no code here needs that");
    }
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    for folder in ["logquota", "logquota-cli", "tests", "benches"] {
        let allowed = concat!("#[al", "low(");
        assert_none(&places(folder, &[allowed], &[]), "`expect` it, and say why");
    }
}

#[test]
fn no_file_is_longer_than_one_thing() {
    let mut found = Vec::new();
    for folder in ["logquota/src", "logquota-cli/src"] {
        for source in sources(folder) {
            let lines = source.code().len();
            if lines > LINES_MAX {
                found.push(format!("{}: {lines} lines of code", source.path));
            }
        }
    }
    assert_none(&found, "these are two things");
}

#[test]
fn every_hazard_has_a_test() {
    let mut tested: BTreeSet<u32> = BTreeSet::new();
    for folder in ["logquota", "logquota-cli", "tests", "benches"] {
        for source in sources(folder) {
            for line in source.text.lines() {
                if let Some(name) = line.trim().strip_prefix("fn h") {
                    tested.extend(ids(name));
                }
            }
        }
    }
    let wanted = HAZARDS.into_iter();
    let missing: Vec<String> =
        wanted.filter(|id| !tested.contains(id)).map(|id| format!("H{id:02}")).collect();
    assert!(missing.is_empty(), "no test is named for {}", missing.join(", "));
}

/// The hazards that a test is named for: `01_h05_what_it_says` is for 1 and 5.
fn ids(name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for part in name.split('_') {
        let digits = part.strip_prefix('h').unwrap_or(part);
        match digits.parse() {
            Ok(id) if digits.len() == 2 => found.push(id),
            _ => break,
        }
    }
    found
}

#[test]
fn ids_are_read_from_names() {
    assert_eq!(ids("01_h05_links_are_not_followed()"), [1, 5]);
    assert_eq!(ids("ello()"), Vec::<u32>::new());
}
