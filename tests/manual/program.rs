//! logquota(8).

use std::fs;
use std::process::Command;

use logquota_cli::exit::Exit;

use super::page::page;
use super::{PROGRAM, file, read};

/// Writes the page instead of comparing it.
const WRITE: &str = "LOGQUOTA_WRITE_MANUAL";

fn made() -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_logquota-under-test"))
        .args(["logrotate", "--help"])
        .output()
        .expect("it starts");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    page(&logquota_cli::command(), &read("tests/manual/logquota.8.in"), &help)
}

#[test]
fn the_page_of_the_program_is_what_its_arguments_make() {
    if std::env::var_os(WRITE).is_some() {
        fs::write(file(PROGRAM), made()).expect("written");
    }
    let (made, found) = (made(), read(PROGRAM));
    let differs = made.lines().zip(found.lines()).find(|(made, found)| made != found);
    assert!(
        made == found,
        "{PROGRAM} is not what the arguments make; `{WRITE}=1 cargo test -p logquota-tests --test \
         manual` writes it anew. {differs:?}"
    );
}

#[test]
fn every_verb_and_option_is_on_the_page() {
    let page = read(PROGRAM).replace("\\-", "-");
    let command = logquota_cli::command();
    for verb in command.get_subcommands() {
        assert!(page.contains(&format!(".SS \"logquota {}\"", verb.get_name())));
        let args = verb.get_arguments().chain(command.get_arguments());
        for long in args.filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("\\fB--{long}\\fR")), "{long}");
        }
    }
    for flag in ["-d", "--state", "--skip-state-lock", "--wait-for-state-lock", "-?", "--usage"] {
        assert!(page.contains(&format!("\\fB{flag}\\fR")), "{flag}");
    }
}

#[test]
fn the_environment_that_the_program_reads_is_on_the_page() {
    let page = read(PROGRAM);
    let (_, section) = page.split_once(".SH ENVIRONMENT\n").expect("the section");
    let section = section.split(".SH ").next().expect("it");
    let mut sources = vec![file("logquota-cli/src")];
    let mut seen = 0;
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            sources.extend(fs::read_dir(&path).expect("lists").map(|e| e.expect("it").path()));
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        for call in ["var_os(\"", "var(\"", "is_set(\""] {
            for rest in text.split(call).skip(1) {
                let name = rest.split('"').next().expect("a name");
                assert!(section.contains(&format!(".B {name}\n")), "{name}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "only {seen} were found");
}

#[test]
fn the_exit_codes_are_the_same_wherever_they_are_told() {
    let readme = read("README.md");
    let source = read("logquota-cli/src/exit.rs");
    for exit in Exit::ALL {
        let line = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(readme.lines().any(|found| found == line), "README.md: {line}");
        let short = line.split(". `pipe`").next().expect("it");
        assert!(source.contains(&format!("//! {}", short.trim_end_matches(" |"))), "{short}");
    }
}
