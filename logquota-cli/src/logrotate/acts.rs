//! A step in words: what is about to be done, and that it failed.

use std::fmt::Write as _;

use logquota::fs::Attributes;
use logquota::inventory::{Log, Place};
use logquota::naming::{DateFormat, DateShift, Label, Style};
use logquota::plan::{Action, Hook, Reason, Step};
use logquota::policy::{Count, SetSpec};
use logquota::{Codec, Error, Op};

use super::blocks::pattern;
use super::scene::Scene;
use super::voice::{reason, show};
use crate::programs::UNPACK;

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
        Label::Date(date) => date.text.to_string(),
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
        Action::Create { at, attributes, .. } => {
            format!("creating new {}{}", name(at), attribute_words(attributes, scene.log(step)))
        }
        Action::MakeDir { at, attributes } => {
            format!("creating new directory {}{}", name(at), attribute_words(attributes, None))
        }
        Action::Copy { from, to, .. } => format!("copying {} to {}", name(from), name(to)),
        Action::Truncate { at, .. } => format!("truncating {}", name(at)),
        Action::Trim { at, .. } => format!("cutting the oldest {} off {}", step.bytes, name(at)),
        Action::ReleaseBallast { at } => format!("releasing the ballast {}", name(at)),
        Action::RestoreBallast { at, size, .. } => {
            format!("making the ballast {}, {size} large", name(at))
        }
        Action::Compress { program, codec, .. } => match (program, codec) {
            (Some(program), _) => format!("compressing log with: {}", show(&program.command)),
            (None, Codec::Gzip) => "compressing log with: /bin/gzip (built in)".to_owned(),
            (None, _) => "compressing log with: zstd (built in)".to_owned(),
        },
        Action::Squeeze { from, .. } => format!("compressing {} in place", name(from)),
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
        Action::Trim { at, .. } => format!("error cutting the head off {}: {why}", name(at)),
        Action::ReleaseBallast { at } => format!("error removing {}: {why}", name(at)),
        Action::RestoreBallast { at, .. } => format!("error making {}: {why}", name(at)),
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
        Action::Squeeze { from, .. } => {
            format!("failed to compress {} in place: {why}", name(from))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    use crate::logrotate::testing::{empty_plan, with_scene};
    use logquota::inventory::{Dir, DirId, Inventory, Log, Set, Space};
    use logquota::plan::{Expect, Message, Plan};
    use logquota::policy::{Program, Shred};
    use logquota::stamp::FileId;
    use logquota::{Bytes, Config, Policy};

    fn place(name: &str) -> Place {
        Place { dir: DirId(0), name: name.into() }
    }

    fn step(action: Action) -> Step {
        Step {
            set: 0,
            log: Some(0),
            action,
            expect: Expect::Nothing,
            bytes: Bytes::ZERO,
            reason: Reason::Forced,
            used_after: Bytes::ZERO,
            needs: Vec::new(),
            only_below: None,
        }
    }

    /// A set with the log `/l/a.log`, and a plan that knows its folder.
    fn world() -> (Config, Inventory, Plan) {
        let policy = Policy::default().keep_count(2);
        let dir = Dir {
            path: "/l".into(),
            id: FileId { dev: 1, ino: 2, btime: None },
            mount: 0,
            missing: None,
        };
        let log = Log {
            dir: DirId(0),
            name: "a.log".into(),
            active: None,
            archive_dir: DirId(0),
            archives: Vec::new(),
            leftovers: Vec::new(),
            obstacles: Vec::new(),
            blocked: None,
            is_held: false,
            oldest: None,
            last_rotated: None,
        };
        let space = Space {
            total: Bytes::ZERO,
            free: Bytes::ZERO,
            free_files: None,
            total_files: None,
            block: Bytes::ZERO,
        };
        let mut inventory = Inventory::default();
        inventory.dirs.insert(DirId(0), dir);
        inventory.sets.push(Set { logs: vec![log], overhead: Bytes::ZERO, space, dev: 1 });
        let mut plan = empty_plan();
        plan.dirs = inventory.dirs.clone();
        (Config::single(SetSpec::pattern("/l/*.log ", policy)), inventory, plan)
    }

    fn compress(program: Option<&str>) -> Action {
        let program = program
            .map(|command| Arc::new(Program { command: command.into(), options: Vec::new() }));
        Action::Compress {
            from: place("a.log.1"),
            to: Box::new(place("a.log.1.gz")),
            temp: std::ffi::OsStr::new("t").into(),
            log: Box::new(place("a.log")),
            program,
            codec: Codec::Gzip,
            level: None,
            room: Bytes::ZERO,
            keep: true,
        }
    }

    fn hook(hook: Hook, arg: &str) -> Action {
        Action::RunHook { hook, script: "\n x\n".into(), args: vec![arg.into()] }
    }

    fn delete(name: &str, shred: Option<Shred>) -> Action {
        Action::Delete { at: place(name), shred, same_as: None, head: None }
    }

    fn mail() -> Action {
        let message = Message { address: "me@x".to_owned(), subject: "s".into(), unpack: None };
        Action::Mail { at: place("a.log.3"), message: Arc::new(message) }
    }

    #[test]
    fn acts_are_announced_in_logrotates_words() {
        let (config, inventory, plan) = world();
        let attributes = Attributes { mode: Some(0o640), owner: Some((3, 4)), times: None };
        let rename = |from: &str, to: &str| Action::Rename { from: place(from), to: place(to) };
        with_scene((&config, &inventory, &plan), |scene, _| {
            for (action, expected) in [
                (rename("a.log", "a.log.1"), Some("renaming /l/a.log to /l/a.log.1")),
                (
                    rename("a.log.1.gz", "a.log.2.gz"),
                    Some(
                        "renaming /l/a.log.1.gz to /l/a.log.2.gz (rotatecount 2, logstart 1, i \
                         1), ",
                    ),
                ),
                (
                    Action::Create {
                        at: place("a.log"),
                        attributes: Box::new(attributes),
                        like: None,
                    },
                    Some("creating new /l/a.log mode = 0640 uid = 3 gid = 4"),
                ),
                (
                    Action::Truncate { at: place("a.log"), same_as: None },
                    Some("truncating /l/a.log"),
                ),
                (compress(Some("/bin/xz")), Some("compressing log with: /bin/xz")),
                (delete("a.log.3", None), Some("removing old log /l/a.log.3")),
                (delete("a.log.tmp", None), Some("removing tmp log /l/a.log.tmp")),
                (
                    delete("a.log.3", Some(Shred { cycles: 0 })),
                    Some("removing old log /l/a.log.3\nUsing shred to remove the file /l/a.log.3"),
                ),
                (hook(Hook::First, "p"), Some("running first action script")),
                (hook(Hook::PreRemove, "p"), Some("running preremove script")),
                (mail(), None),
            ] {
                assert_eq!(before(&scene, &step(action), false).as_deref(), expected);
            }
            let shown = before(&scene, &step(hook(Hook::Pre, "/l/a.log")), true);
            let expected =
                "running prerotate script\nrunning script with args /l/a.log: \"\n x\n\"";
            assert_eq!(shown.as_deref(), Some(expected));
            let quiet = Step { reason: Reason::Overwritten, ..step(delete("a.log.3", None)) };
            assert_eq!(before(&scene, &quiet, false), None);
            assert_eq!(
                opening(&scene, &step(mail())).as_deref(),
                Some(
                    "rotating log /l/a.log, log->rotateCount is 2\ndateext suffix '-20261121'\n\
                     glob pattern '-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]'"
                )
            );
        });
    }

    #[test]
    fn failures_are_told_in_logrotates_words() {
        let (config, inventory, plan) = world();
        let system = |op| Error::io(op, "/l/x")(io::Error::from_raw_os_error(2));
        let program =
            |what: &str| Error::Hook { what: what.to_owned(), why: "exit status 3".to_owned() };
        let shared = Step { log: None, ..step(hook(Hook::Post, "/l/*.log")) };
        let rename = |from: &str| step(Action::Rename { from: place(from), to: place("b") });
        with_scene((&config, &inventory, &plan), |scene, _| {
            for (step, error, expected) in [
                (
                    rename("a.log"),
                    system(Op::Rename),
                    "failed to rename /l/a.log to /l/b: No such file or directory",
                ),
                (
                    rename("a.log.1"),
                    system(Op::Rename),
                    "error renaming /l/a.log.1 to /l/b: No such file or directory",
                ),
                (
                    step(compress(None)),
                    system(Op::Open),
                    "unable to open /l/a.log.1 (read-only) for compression: No such file or \
                     directory|failed to compress log /l/a.log.1",
                ),
                (step(compress(Some("x"))), program("x"), "failed to compress log /l/a.log.1"),
                (
                    step(mail()),
                    program("mail"),
                    "mail command failed for /l/a.log.3: exit status 3",
                ),
                (
                    step(mail()),
                    program(UNPACK),
                    "uncompress command failed mailing /l/a.log.3: exit status 3",
                ),
                (
                    step(delete("a.log.3", None)),
                    system(Op::Delete),
                    "Failed to remove old log /l/a.log.3: No such file or directory",
                ),
                (
                    shared,
                    program("x"),
                    "error running shared postrotate script for '/l/*.log': exit status 3",
                ),
                (
                    step(hook(Hook::Pre, "/l/a.log")),
                    program("x"),
                    "error running non-shared prerotate script for /l/a.log of '/l/*.log': exit \
                     status 3",
                ),
                (
                    step(hook(Hook::PreRemove, "/l/a.log.3")),
                    program("x"),
                    "error running preremove script for /l/a.log.3 of '/l/*.log'. Not removing \
                     this file. (exit status 3)",
                ),
            ] {
                assert_eq!(failure(&scene, &step, &error).join("|"), expected);
            }
        });
    }
}
