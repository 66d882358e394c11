//! logquota.conf(5) has every word that the parser knows, and no other.

use logquota::logrotate::directives::{self, Directive, Kind, Scope};
use logquota::logrotate::{MemEnv, read as parse};

use super::{CONF, read};

/// Sections that are not about directives.
const OTHERS: [&str; 9] = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "FILE SYNTAX",
    "WHAT IS WRONG",
    "DIFFERENCES FROM LOGROTATE",
    "EXAMPLES",
    "FILES",
    "SEE ALSO",
];

/// One directive on the page.
struct Entry {
    section: String,
    name: String,
    /// What stands behind its name.
    value: String,
    /// What is said about it.
    text: String,
}

fn entries() -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let (mut section, mut group) = (String::new(), 0);
    let page = read(CONF);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        match line {
            ".TP" | ".TQ" => {
                let head = lines.next().expect("a head");
                if line == ".TP" {
                    group = found.len();
                }
                if OTHERS.contains(&section.as_str()) {
                    continue;
                }
                let words = head.strip_prefix(".B ").or_else(|| head.strip_prefix(".BI "));
                let words = words.unwrap_or_else(|| panic!("{head}"));
                let (name, value) = words.split_once(' ').unwrap_or((words, ""));
                found.push(Entry {
                    section: section.clone(),
                    name: name.to_owned(),
                    value: value.trim_matches(['"', ' ']).to_owned(),
                    text: String::new(),
                });
            }
            _ => {
                if let Some(title) = line.strip_prefix(".SH ") {
                    title.trim_matches('"').clone_into(&mut section);
                    group = found.len();
                }
                if line == ".PP" {
                    group = found.len();
                }
                for entry in found.iter_mut().skip(group) {
                    entry.text.push_str(line);
                    entry.text.push(' ');
                }
            }
        }
    }
    found
}

#[test]
fn the_page_of_the_configuration_has_every_directive_and_no_other() {
    let mut told: Vec<String> = entries().into_iter().map(|entry| entry.name).collect();
    // It is told with both kinds of values.
    told.dedup();
    told.sort();
    let mut known: Vec<&str> = directives::all().map(Directive::name).collect();
    known.sort_unstable();
    assert_eq!(told, known);
}

#[test]
fn the_page_says_what_follows_a_directive_where_it_may_stand_and_whether_it_is_done() {
    for Entry { section, name, value, text } in entries() {
        let directive = directives::find(&name).expect("a directive");
        let takes = match directive.kind() {
            Kind::Flag | Kind::Script => value.is_empty(),
            Kind::Value | Kind::Line => !value.is_empty(),
        };
        assert!(takes, "{name} \"{value}\"");
        let is_script = matches!(directive.kind(), Kind::Script);
        assert!(!is_script || section == "SCRIPTS", "{name} is in {section}");
        let scope = match directive.scope() {
            Scope::Anywhere => (false, false),
            Scope::Global => (true, false),
            Scope::Block => (false, true),
        };
        let told = (text.contains("Outside of blocks only."), text.contains("In a block only."));
        assert_eq!(told, scope, "{name}: {text}");
        let is_undone = section == "NOT DONE";
        let is_elsewhere = text.contains("In logrotate's mode only.");
        // What undoes another one does no harm, and stands with it.
        let undoes = name.strip_prefix("no").is_some_and(|rest| directives::find(rest).is_some());
        assert!(undoes || directive.is_done() != (is_undone || is_elsewhere), "{name}");
    }
}

#[test]
fn the_examples_of_the_page_have_nothing_wrong_in_them() {
    let page = read(CONF).replace("\\-", "-");
    let mut seen = 0;
    for example in page.split(".EX\n").skip(1) {
        let text = example.split(".EE\n").next().expect("it");
        let env = MemEnv::new().file("/etc/logquota.conf", text).file("/etc/logquota.d/x", "");
        let parsed = parse(&["/etc/logquota.conf".into()], &env);
        assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        assert!(!parsed.config.sets.is_empty(), "{text}");
        seen += 1;
    }
    assert_eq!(seen, 3);
}
