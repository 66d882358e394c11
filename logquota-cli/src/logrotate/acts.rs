//! A step in words: what is about to be done, and that it failed.

use std::fmt::Write as _;

use logquota::fs::Attributes;
use logquota::inventory::{Log, Place};
use logquota::naming::{DateFormat, DateShift, Label, Style};
use logquota::plan::{Action, Hook, Reason, Step};
use logquota::policy::{Count, SetSpec};
use logquota::{Codec, Error, Op};

use super::blocks::pattern;
use super::hooks::UNPACK;
use super::scene::Scene;
use super::voice::{reason, show};

/// The lines before the first act on a log.
pub(super) fn opening(scene: &Scene<'_>, step: &Step) -> Option<String> {
    let spec = scene.spec(step.set)?;
    let count = match spec.policy.count {
        Count::AtMost(count) => count.to_string(),
        _ => "-1".to_owned(),
    };
    let name = scene.log_name(step)?;
    let suffix = date_suffix(scene, spec);
    let glob: String = suffix
        .chars()
        .map(|c| if c.is_ascii_digit() { "[0-9]".into() } else { c.to_string() })
        .collect();
    Some(format!(
        "rotating log {name}, log->rotateCount is {count}\ndateext suffix '{suffix}'\nglob pattern \
         '{glob}'"
    ))
}

fn date_suffix(scene: &Scene<'_>, spec: &SetSpec) -> String {
    let now = scene.plan.created;
    let label = match &spec.policy.naming.style {
        Style::Dated { format, shift } => format.label(now, *shift),
        _ => DateFormat::daily().label(now, DateShift::default()),
    };
    match label {
        Label::Date { text, .. } => text,
        _ => String::new(),
    }
}

/// What is about to be done; nothing for what goes without saying.
pub(super) fn before(scene: &Scene<'_>, step: &Step, debug: bool) -> Option<String> {
    let name = |place: &Place| show(scene.path(place));
    Some(match &step.action {
        Action::Rename { from, to } => {
            let more = number_words(scene, step, from).unwrap_or_default();
            format!("renaming {} to {}{more}", name(from), name(to))
        }
        Action::Create { at, attributes } => {
            format!("creating new {}{}", name(at), attribute_words(attributes, scene.log(step)))
        }
        Action::MakeDir { at, attributes } => {
            format!("creating new directory {}{}", name(at), attribute_words(attributes, None))
        }
        Action::Copy { from, to, .. } => format!("copying {} to {}", name(from), name(to)),
        Action::Truncate { at, .. } => format!("truncating {}", name(at)),
        Action::Compress { program, codec, .. } => match (program, codec) {
            (Some(program), _) => format!("compressing log with: {}", show(&program.command)),
            (None, Codec::Gzip) => "compressing log with: /bin/gzip (built in)".to_owned(),
            (None, _) => "compressing log with: zstd (built in)".to_owned(),
        },
        Action::Mail { at, message } if debug => {
            format!("mailing {} to {}", name(at), message.address)
        }
        Action::Mail { .. } => return None,
        Action::Delete { at, shred, .. } => {
            let name = name(at);
            let mut lines = match &step.reason {
                // Whoever renames or compresses does not say so in the original.
                Reason::Overwritten | Reason::Compressed => String::new(),
                _ if is_renamed(scene.log(step), at) => format!("removing tmp log {name}"),
                _ => format!("removing old log {name}"),
            };
            if shred.is_some() {
                let gap = if lines.is_empty() { "" } else { "\n" };
                let _ = write!(lines, "{gap}Using shred to remove the file {name}");
            }
            return (!lines.is_empty()).then_some(lines);
        }
        Action::RunHook { hook, script, args } => {
            let mut lines = format!("running {} script", script_name(*hook));
            if debug {
                let args: Vec<_> = args.iter().map(show).collect();
                let _ =
                    write!(lines, "\nrunning script with args {}: \"{script}\"", args.join(" "));
            }
            lines
        }
        other => format!("{} a file", other.name()),
    })
}

/// The name of a script in messages.
pub(super) const fn script_name(hook: Hook) -> &'static str {
    match hook {
        Hook::First => "first action",
        Hook::Last => "last action",
        other => other.name(),
    }
}

/// `LOG.tmp` of a `renamecopy`.
fn is_renamed(log: Option<&Log>, at: &Place) -> bool {
    log.is_some_and(|log| {
        let mut name = log.name.clone();
        name.push(".tmp");
        (log.dir, &name) == (at.dir, &at.name)
    })
}

/// What is said behind the renaming of a numbered copy.
fn number_words(scene: &Scene<'_>, step: &Step, from: &Place) -> Option<String> {
    let spec = scene.spec(step.set)?;
    let log = scene.log(step)?;
    let Style::Numbered { start } = spec.policy.naming.style else { return None };
    let archive = (from.dir == log.archive_dir)
        .then(|| spec.policy.naming.parse(&log.name, &from.name))
        .flatten()?;
    let Label::Number(number) = archive.label else { return None };
    let count = match spec.policy.count {
        Count::AtMost(count) => count.max(1),
        _ => u32::try_from(log.archives.len()).unwrap_or(u32::MAX),
    };
    Some(format!(" (rotatecount {count}, logstart {start}, i {number}), "))
}

/// As the new file will be: what is not asked for is taken from the log.
fn attribute_words(attributes: &Attributes, log: Option<&Log>) -> String {
    let active = log.and_then(|log| log.active);
    let mode = attributes.mode.or(active.map(|meta| meta.mode & 0o777));
    let owner = attributes.owner.or(active.map(|meta| (meta.uid, meta.gid)));
    let mut text = mode.map(|mode| format!(" mode = {mode:04o}")).unwrap_or_default();
    if let Some((uid, gid)) = owner {
        let _ = write!(text, " uid = {uid} gid = {gid}");
    }
    text
}

/// That a step failed, as errors.
pub(super) fn failure(scene: &Scene<'_>, step: &Step, error: &Error) -> Vec<String> {
    let name = |place: &Place| show(scene.path(place));
    let why = why(error);
    let one = match &step.action {
        Action::Rename { from, to } => {
            let is_log =
                scene.log(step).is_some_and(|l| (l.dir, &l.name) == (from.dir, &from.name));
            let verb = if is_log { "failed to rename" } else { "error renaming" };
            format!("{verb} {} to {}: {why}", name(from), name(to))
        }
        Action::Create { at, .. } => format!("error creating output file {}: {why}", name(at)),
        Action::MakeDir { at, .. } => format!("error creating {}: {why}", name(at)),
        Action::Copy { from, .. } if is_open(error) => {
            format!("error opening {}: {why}", name(from))
        }
        Action::Copy { from, to, .. } => {
            format!("error copying {} to {}: {why}", name(from), name(to))
        }
        Action::Truncate { at, .. } => format!("error truncating {}: {why}", name(at)),
        Action::Compress { from, .. } => {
            let from = name(from);
            let failed = format!("failed to compress log {from}");
            if is_open(error) {
                let what = "(read-only) for compression";
                return vec![format!("unable to open {from} {what}: {why}"), failed];
            }
            // What a program says was said when it ended.
            let is_program = matches!(error, Error::Hook { .. });
            return vec![if is_program { failed } else { format!("{failed}: {why}") }];
        }
        Action::Mail { at, .. } => match error {
            Error::Hook { what, .. } if what == UNPACK => {
                format!("uncompress command failed mailing {}: {why}", name(at))
            }
            _ => format!("mail command failed for {}: {why}", name(at)),
        },
        Action::Delete { at, .. } if matches!(error, Error::Hook { .. }) => {
            format!("failed to shred {}, it was removed all the same: {why}", name(at))
        }
        Action::Delete { at, .. } => format!("Failed to remove old log {}: {why}", name(at)),
        Action::RunHook { hook, args, .. } => {
            let about = args.first().map(show).unwrap_or_default();
            script_failure(scene, step, *hook, &about, &why)
        }
        other => format!("failed to {} a file: {why}", other.name()),
    };
    vec![one]
}

fn script_failure(scene: &Scene<'_>, step: &Step, hook: Hook, about: &str, why: &str) -> String {
    let pattern = scene.spec(step.set).map(pattern).unwrap_or_default();
    let script = script_name(hook);
    match hook {
        Hook::First | Hook::Last => format!("error running {script} script for {pattern}: {why}"),
        Hook::PreRemove => format!(
            "error running {script} script for {about} of '{pattern}'. Not removing this file. \
             ({why})"
        ),
        _ if step.log.is_none() => {
            format!("error running shared {script} script for '{pattern}': {why}")
        }
        _ => format!("error running non-shared {script} script for {about} of '{pattern}': {why}"),
    }
}

const fn is_open(error: &Error) -> bool {
    matches!(error, Error::Io { op: Op::Open, .. })
}

/// The reason alone: what it was about stands before it.
fn why(error: &Error) -> String {
    match error {
        Error::Io { source, .. } => reason(source),
        Error::Hook { why, .. } => why.clone(),
        Error::Changed { .. } => "it changed while this run was at work".to_owned(),
        Error::StillWritten { .. } => "it is still being written to".to_owned(),
        Error::NoRoom { .. } => "there is no room for it".to_owned(),
        other => other.chain(),
    }
}
