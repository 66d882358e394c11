//! Fuzz targets for configurations and the state file: any bytes give a result, and what is
//! promised about results holds for it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use logquota::lint::{Question, lint};
use logquota::logrotate::{Dialect, MemEnv, Parsed, Severity, State, read, read_as};
use logquota::{Bytes, Selector};

/// Any bytes as a configuration: no panic, and nothing half-obeyed.
///
/// # Panics
///
/// If a check fails, a set could not work, a pattern could climb, or a diagnostic could speak to the terminal
/// or names a place that is not in its file.
pub fn fuzz_config(data: &[u8]) {
    let env = MemEnv::new()
        .file("/etc/main", data)
        .file("/etc/d/plain", "rotate 3\n/log/plain { daily }\n")
        .file("/etc/d/back", "include /etc/main\n")
        .file("/etc/options", "rotate 4\ncompress\n");
    let parsed = read(&["/etc/main".into()], &env);
    for set in &parsed.config.sets {
        assert!(set.policy.validate().is_ok(), "{set:?}");
        assert!(!set.selectors.is_empty() && !set.name.is_empty(), "{set:?}");
        for selector in &set.selectors {
            let Selector::Pattern(pattern) = selector else { panic!("{selector:?}") };
            let bytes = pattern.as_bytes();
            assert!(bytes.starts_with(b"/") && !bytes.contains(&0), "{pattern:?}");
            assert!(bytes.split(|b| *b == b'/').all(|part| part != b".."), "{pattern:?}");
        }
    }
    let errors = parsed.diagnostics.iter().any(|d| d.severity == Severity::Error);
    assert_eq!(parsed.has_errors(), errors);
    assert!(parsed.notes.iter().all(|d| d.severity == Severity::Note));
    for diagnostic in parsed.diagnostics.iter().chain(&parsed.notes) {
        let shown = diagnostic.to_string();
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(shown.len() < 8192, "{shown}");
        if diagnostic.file == Path::new("/etc/main") && diagnostic.line > 0 {
            let lines: Vec<&[u8]> = data.split(|b| *b == b'\n').collect();
            let line = lines.get(diagnostic.line - 1).expect("the line is in the file");
            assert!((1..=line.len() + 1).contains(&diagnostic.column), "{shown}");
        }
    }
    for dialect in [Dialect::Own, Dialect::Logrotate] {
        check_lint(&read_as(&["/etc/main".into()], &env, dialect), dialect);
    }
    let again = read(&["/etc/main".into()], &env);
    assert_eq!((parsed.config, parsed.diagnostics), (again.config, again.diagnostics));
}

/// A check finds something or nothing; each finding says what, and speaks to no terminal.
fn check_lint(parsed: &Parsed, dialect: Dialect) {
    assert_eq!(parsed.places.len(), parsed.config.sets.len());
    for growth in [None, Some(Bytes::MAX)] {
        let found = lint(&Question::new(parsed, dialect).growth(growth));
        assert_eq!(found.blocks.len().saturating_add(found.faulty), parsed.config.sets.len());
        for block in &found.blocks {
            assert!(block.place.line > 0 && block.place.column > 0, "{block:?}");
            let _ = block.footprint.after_run.bytes(growth);
        }
        for finding in &found.findings {
            let shown = finding.diagnostic.to_string();
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
            assert!(!finding.diagnostic.message.is_empty());
        }
    }
}

/// Any bytes as a state file: no panic, and what was understood is written so that it is
/// understood again.
///
/// # Panics
///
/// If writing and reading are not inverse.
pub fn fuzz_state(data: &[u8]) {
    let (state, _) = State::parse(data);
    let text = state.format();
    let (again, error) = State::parse(&text);
    assert_eq!(error, None, "{}", String::from_utf8_lossy(&text));
    assert_eq!(again.format(), text);
    let names = |state: &State| state.iter().map(|(n, _)| n.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&again), names(&state));
}
