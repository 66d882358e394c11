//! logquota(8), made from the program's own arguments and the text in `logquota.8.in`.

use std::collections::BTreeMap;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use logquota_cli::exit::Exit;

/// What roff does before a text with apostrophes, once for the page.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// The page. `help` is what `logrotate --help` prints.
pub(crate) fn page(command: &Command, frame: &str, help: &str) -> String {
    let parts = [
        ("VERSION", command.get_version().unwrap_or_default().to_owned()),
        ("SYNOPSIS", synopsis(command)),
        ("COMMANDS", commands(command)),
        ("OPTIONS", shared(command)),
        ("LOGROTATE", logrotate(help)),
        ("EXITS", exits()),
    ];
    let mut text = PREAMBLE.to_owned();
    for line in frame.lines() {
        match parts.iter().find(|(name, _)| line == format!("@{name}@")) {
            Some((_, part)) => text.push_str(part),
            None => {
                let version = command.get_version().unwrap_or_default();
                text.push_str(&line.replace("@VERSION@", version));
                text.push('\n');
            }
        }
    }
    text
}

/// As roff, without the preamble of the page.
fn source(roff: &Roff) -> String {
    let text = roff.render();
    // What it begins with is the preamble.
    text.strip_prefix(&Roff::new().render()).unwrap_or(&text).to_owned()
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

fn synopsis(command: &Command) -> String {
    let mut roff = Roff::new();
    for verb in verbs(command) {
        let usage = verb.clone().bin_name(full_name(verb)).render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        let rest = usage.strip_prefix(&full_name(verb)).unwrap_or_default();
        roff.text([bold(full_name(verb)), roman(rest)]).control("br", []);
    }
    source(&roff)
}

fn full_name(verb: &Command) -> String {
    format!("logquota {}", verb.get_name())
}

/// Each verb with the options that it alone has.
fn commands(command: &Command) -> String {
    let shared: Vec<String> =
        groups(command).into_values().flatten().map(|arg| key(&arg)).collect();
    let mut text = String::new();
    for verb in verbs(command) {
        let mut roff = Roff::new();
        roff.control("SS", [full_name(verb).as_str()]);
        roff.text([roman(format!("{}.", verb.get_about().cloned().unwrap_or_default()))]);
        text += &source(&roff);
        let own = verb.get_arguments().filter(|arg| !shared.contains(&key(arg)));
        text += &options(own.cloned());
        text += &prose(&verb.get_after_help().map(ToString::to_string).unwrap_or_default());
    }
    text
}

/// The options that several verbs have, each once.
fn shared(command: &Command) -> String {
    let mut text = String::new();
    for (verbs, args) in groups(command) {
        text += &source(Roff::new().control("SS", [format!("Of {}", list(&verbs)).as_str()]));
        text += &options(args.into_iter());
    }
    text += &source(Roff::new().control("SS", ["Of all but logrotate"]));
    text + &options(command.get_arguments().cloned())
}

/// What is the same for several verbs, by these verbs.
fn groups(command: &Command) -> BTreeMap<Vec<String>, Vec<Arg>> {
    let mut owners: Vec<(Arg, Vec<String>)> = Vec::new();
    for verb in verbs(command) {
        for arg in verb.get_arguments() {
            let name = verb.get_name().to_owned();
            match owners.iter_mut().find(|(known, _)| key(known) == key(arg)) {
                Some((_, names)) => names.push(name),
                None => owners.push((arg.clone(), vec![name])),
            }
        }
    }
    let mut groups: BTreeMap<Vec<String>, Vec<Arg>> = BTreeMap::new();
    for (arg, names) in owners.into_iter().filter(|(_, names)| names.len() > 1) {
        groups.entry(names).or_default().push(arg);
    }
    groups
}

/// Two arguments with the same of this are the same.
fn key(arg: &Arg) -> String {
    format!("{} {}", arg.get_id(), arg.get_help().cloned().unwrap_or_default())
}

fn list(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.concat(),
    }
}

/// Options as clap_mangen has them, without a heading.
fn options(args: impl Iterator<Item = Arg>) -> String {
    let args = args.map(|arg| arg.help_heading(None::<&str>));
    let command = Command::new("options").disable_help_flag(true).args(args);
    let mut text = Vec::new();
    Man::new(command).render_options_section(&mut text).expect("memory");
    let text = String::from_utf8(text).expect("UTF-8");
    text.split_once(".SH OPTIONS\n").map_or_else(String::new, |(_, items)| items.to_owned())
}

/// Paragraphs; lines that are indented are examples.
fn prose(text: &str) -> String {
    let mut roff = Roff::new();
    let mut lines = text.lines().peekable();
    if lines.peek().is_some() {
        roff.control("PP", []);
    }
    while let Some(line) = lines.next() {
        match line.strip_prefix("  ") {
            Some(example) => {
                roff.control("EX", []).text([roman(example)]);
                while let Some(next) = lines.peek().and_then(|next| next.strip_prefix("  ")) {
                    roff.text([roman(next)]);
                    lines.next();
                }
                roff.control("EE", []);
            }
            None if line.is_empty() => drop(roff.control("PP", [])),
            None => drop(roff.text([roman(line)])),
        }
    }
    source(&roff)
}

/// The options in a help text such as `  -d, --debug     Change nothing`.
fn logrotate(help: &str) -> String {
    let mut roff = Roff::new();
    for line in help.lines().filter(|line| line.starts_with("  ")) {
        let line = line.trim();
        if !line.starts_with('-') {
            roff.text([roman(line)]);
            continue;
        }
        let (names, what) = line.split_once("  ").unwrap_or((line, ""));
        let mut header = Vec::new();
        for (index, name) in names.split(", ").enumerate() {
            if index > 0 {
                header.push(roman(", "));
            }
            match name.split_once('=') {
                Some((name, value)) => header.extend([bold(name), roman("="), italic(value)]),
                None => header.push(bold(name)),
            }
        }
        roff.control("TP", []).text(header).text([roman(what.trim())]);
    }
    source(&roff)
}

fn exits() -> String {
    let mut roff = Roff::new();
    for exit in Exit::ALL {
        let code = exit.code().to_string();
        roff.control("TP", []).text([bold(code)]).text([roman(exit.meaning().replace('`', ""))]);
    }
    source(&roff)
}
