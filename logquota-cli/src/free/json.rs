//! The JSON object of `free`: that of a run, and a member `free` with what is said besides.

use std::path::Path;

use logquota::apply::Report;
use logquota::fs::os::OpenDeletedFiles;
use logquota::plan::Wanted;
use logquota::report::{PlanJson, RootJson, RunJson, both};
use serde_json::{Value, json};

use super::outcome::Outcome;
use super::view::View;
use crate::quote::quoted;
use crate::session::Session;

pub(crate) const SCHEMA: &str = "logquota.free/1";

/// Of what was only shown.
pub(super) fn preview(view: &View<'_>, plan: &PlanJson) -> Value {
    let run = RunJson::new(SCHEMA, view.plan, None);
    let space = view.space();
    let unit = view.goal.wanted;
    let largest = view.foreign.largest.iter();
    let largest = largest.map(|(bytes, path)| with_path(path, json!({ "bytes": bytes })));
    let command: Vec<String> = view.words.iter().map(|word| quoted(word)).collect();
    let exceeded: Vec<Value> = view
        .exceeded
        .iter()
        .map(|exceeded| {
            let (option, value) = exceeded.option();
            json!({ "why": exceeded.to_string(), "option": option, "value": value })
        })
        .collect();
    let could_cut = view.could_cut().map(|(parts, shortfall)| {
        let logs = parts.iter().map(|(path, part)| with_path(path, json!({ "bytes": part.bytes })));
        json!({ "logs": logs.collect::<Vec<_>>(), "shortfall": shortfall })
    });
    let spared = view.spared();
    let not_cut = spared
        .iter()
        .map(|(why, bytes, path)| with_path(path, json!({ "bytes": bytes, "why": why.name() })));
    let more = json!({
        "root": root(view.session),
        "not_run": not_run(view.session),
        "trim_active": view.goal.cuts_logs,
        "could_cut": could_cut,
        "not_cut": not_cut.collect::<Vec<_>>(),
        "unit": unit_name(unit),
        "wanted": number(unit),
        "total": number(unit.total(&space)),
        "free_before": number(unit.free(&space)),
        "free_after": number(view.free_after()),
        "shortfall": number(view.shortfall()),
        "expires": plan.expires,
        "apply_id": view.id,
        "command": command.join(" "),
        "exceeded": exceeded,
        "not_ours": {
            "files": view.foreign.files,
            "bytes": view.foreign.bytes,
            "is_partial": view.foreign.is_partial,
            "largest": largest.collect::<Vec<_>>(),
        },
        "open_deleted": held(&view.held),
    });
    joined(&run, more)
}

/// Of what was done.
pub(super) fn outcome(
    schema: &str,
    session: &Session,
    outcome: &Outcome<'_>,
    report: &Report,
) -> Value {
    let run = RunJson::new(schema, outcome.plan, Some(report));
    let unit = outcome.goal.wanted;
    let free = unit.free(&outcome.space);
    let more = json!({
        "root": root(session),
        "not_run": not_run(session),
        "unit": unit_name(unit),
        "wanted": number(unit),
        "free_before": number(unit.free(&outcome.before)),
        "free_after": number(free),
        "shortfall": number(super::missing(free, unit)),
        "deleted_files": outcome.deleted.0,
        "deleted_bytes": outcome.deleted.1,
        "cut_logs": outcome.cut.0,
        "cut_bytes": outcome.cut.1,
        "ballast_bytes": outcome.released,
        "open_deleted": held(&outcome.held),
    });
    joined(&run, more)
}

/// The disk of another machine, if it is that.
fn root(session: &Session) -> Option<RootJson> {
    session.host.disk.as_ref().map(RootJson::new)
}

/// What its configuration names, and is not run.
fn not_run(session: &Session) -> Vec<Value> {
    let one = |(name, set): &(_, String)| json!({ "directive": name, "set": set });
    session.forgotten.iter().map(one).collect()
}

const fn unit_name(unit: Wanted) -> &'static str {
    match unit {
        Wanted::Bytes(_) => "bytes",
        Wanted::Inodes(_) => "inodes",
    }
}

const fn number(amount: Wanted) -> u64 {
    match amount {
        Wanted::Bytes(bytes) => bytes.get(),
        Wanted::Inodes(count) => count,
    }
}

fn joined(run: &RunJson, more: Value) -> Value {
    let mut value = serde_json::to_value(run).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.insert("free".to_owned(), more);
    }
    value
}

/// Deleted files that are open.
pub(crate) fn held(held: &OpenDeletedFiles) -> Value {
    let files = held.files.iter().map(|file| {
        let command = file.command.to_string_lossy();
        with_path(
            &file.path,
            json!({ "bytes": file.bytes, "pid": file.pid, "command": command, "ino": file.ino }),
        )
    });
    json!({ "files": files.collect::<Vec<_>>(), "hidden_processes": held.hidden })
}

fn with_path(path: &Path, mut value: Value) -> Value {
    let (text, exact) = both(path);
    if let Some(members) = value.as_object_mut() {
        members.insert("path".to_owned(), text.into());
        members.extend(exact.map(|exact| ("path_b64".to_owned(), exact.into())));
    }
    value
}
