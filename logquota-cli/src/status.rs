//! `logquota status`: what each set and log uses, and when it is next due. Writes nothing,
//! takes no lock.

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use logquota::clock;
use logquota::fs::os::open_deleted;
use logquota::inventory::{Ballast, BallastFound, Log, Set};
use logquota::plan::{NextDue, next_due};
use logquota::policy::SetSpec;
use logquota::report::{RootJson, both};
use logquota::{Bytes, Error, Op};
use serde_json::{Value, json};

use crate::args::StatusArgs;
use crate::exit::{Exit, Failure};
use crate::free;
use crate::output::Output;
use crate::render;
use crate::root;
use crate::session::{Look, Session};
use crate::source::Source;
use crate::state;

const SCHEMA: &str = "logquota.status/1";

/// One set of the table.
#[derive(Debug)]
pub(crate) struct SetRow {
    pub(crate) name: String,
    pub(crate) quota: Option<Bytes>,
    pub(crate) used: Bytes,
    pub(crate) files: u64,
    pub(crate) free: Bytes,
    pub(crate) logs: Vec<LogRow>,
}

/// One log of the table.
#[derive(Debug)]
pub(crate) struct LogRow {
    pub(crate) path: PathBuf,
    pub(crate) used: Bytes,
    pub(crate) files: u64,
    /// Last change of the file that was changed first, in seconds since the epoch.
    pub(crate) oldest: Option<i64>,
    /// Last change of the file that was changed last.
    pub(crate) newest: Option<i64>,
    pub(crate) next: NextDue,
    pub(crate) blocked: bool,
}

/// Where a ballast is or may be.
#[derive(Debug)]
pub(crate) struct BallastRow {
    pub(crate) path: PathBuf,
    /// `kept`, `missing` or `foreign`.
    pub(crate) state: &'static str,
    /// What it keeps.
    pub(crate) bytes: Bytes,
    /// What the configuration asks for, where it may be made.
    pub(crate) asked: Option<Bytes>,
    /// Since when there is none, in seconds since the epoch.
    pub(crate) since: Option<i64>,
    /// Why there is none.
    pub(crate) why: String,
}

pub(crate) fn run(args: &StatusArgs, out: &mut Output) -> Result<Exit, Failure> {
    let tree = root::open(args.root.as_deref())?;
    let source = Source::from_args(&args.source, false, &tree)?;
    let state = state::path(&tree, args.source.state.as_deref(), &source)?;
    let session = Session::open(&Look::new(source, tree, state), out)?;
    let mut exit = Exit::Done;
    for note in &session.inventory.notes {
        let line = format!("`{}`: {}", logquota::error::printable(&note.path), note.why);
        if note.is_error {
            out.error(&line);
            exit = exit.and(Exit::Failed);
        } else {
            out.detail(&line);
        }
    }
    let sets = session.inventory.sets.iter().zip(&session.config.sets);
    let sets: Vec<_> = sets.map(|(set, spec)| set_row(&session, set, spec)).collect();
    let ballasts: Vec<_> =
        session.inventory.ballasts.iter().map(|ballast| ballast_row(&session, ballast)).collect();
    out.human(&render::status(&session.host, session.now, &sets, &ballasts, out.paint));
    let mut value = json!({
        "schema": SCHEMA,
        "host": session.host.name,
        "root": session.host.disk.as_ref().map(RootJson::new),
        "created": time(session.now.with_timezone(&Utc)),
        "sets": sets.iter().map(set_json).collect::<Vec<_>>(),
        "ballasts": ballasts.iter().map(ballast_json).collect::<Vec<_>>(),
    });
    if args.open_deleted {
        let held = open_deleted(&session.devices()).map_err(Error::io(Op::List, "/proc"))?;
        out.human(&render::free::open_deleted(&held, out.paint));
        if let Some(members) = value.as_object_mut() {
            members.insert("open_deleted".to_owned(), free::json::held(&held));
        }
    }
    out.json(&value);
    if session.is_faulty {
        exit = exit.and(Exit::Config);
    }
    Ok(exit)
}

fn set_row(session: &Session, set: &Set, spec: &SetSpec) -> SetRow {
    SetRow {
        name: spec.name.clone(),
        quota: spec.policy.limits.quota,
        used: set.used(),
        files: set.files(),
        free: set.space.free,
        logs: set.logs.iter().map(|log| log_row(session, log, spec)).collect(),
    }
}

fn log_row(session: &Session, log: &Log, spec: &SetSpec) -> LogRow {
    let times = || log.stamps().map(|stamp| stamp.mtime.secs);
    LogRow {
        path: session.inventory.path(log.dir, &log.name),
        used: log.stamps().map(|stamp| stamp.allocated).sum(),
        files: u64::try_from(log.stamps().count()).unwrap_or(u64::MAX),
        oldest: times().min(),
        newest: times().max(),
        next: next_due(spec.policy.when, log.last_rotated, session.now.naive_local()),
        blocked: log.blocked.is_some(),
    }
}

fn ballast_row(session: &Session, ballast: &Ballast) -> BallastRow {
    let (state, since, why) = match &ballast.found {
        BallastFound::Ours(_) => ("kept", None, String::new()),
        BallastFound::Foreign { why } => ("foreign", None, why.clone()),
        BallastFound::Missing { since } => ("missing", since.map(|at| at.secs), String::new()),
        _ => ("missing", None, String::new()),
    };
    BallastRow {
        path: session.inventory.path(ballast.place.dir, &ballast.place.name),
        state,
        bytes: ballast.kept(),
        asked: session.config.wanted_ballast().filter(|_| ballast.can_be_made),
        since,
        why,
    }
}

fn ballast_json(ballast: &BallastRow) -> Value {
    let (path, path_b64) = both(&ballast.path);
    let since = ballast.since.and_then(|secs| DateTime::from_timestamp(secs, 0)).map(time);
    let mut value = json!({
        "path": path,
        "state": ballast.state,
        "bytes": ballast.bytes,
        "asked": ballast.asked,
        "since": since,
    });
    if let (Some(exact), Some(members)) = (path_b64, value.as_object_mut()) {
        members.insert("path_b64".to_owned(), exact.into());
    }
    value
}

fn set_json(set: &SetRow) -> Value {
    json!({
        "name": set.name,
        "quota": set.quota,
        "used": set.used,
        "files": set.files,
        "free": set.free,
        "logs": set.logs.iter().map(log_json).collect::<Vec<_>>(),
    })
}

fn log_json(log: &LogRow) -> Value {
    let (path, path_b64) = both(&log.path);
    let at = |secs: Option<i64>| secs.and_then(|s| DateTime::from_timestamp(s, 0)).map(time);
    let (due, next_due, next_size) = match log.next {
        NextDue::Now => ("now", None, None),
        NextDue::At(at) => ("time", clock::instant_of(at).map(time), None),
        NextDue::Size(size) => ("size", None, Some(size)),
        _ => ("never", None, None),
    };
    let mut value = json!({
        "path": path,
        "used": log.used,
        "files": log.files,
        "oldest": at(log.oldest),
        "newest": at(log.newest),
        "blocked": log.blocked,
        "due": due,
        "next_due": next_due,
        "next_size": next_size,
    });
    if let (Some(exact), Some(members)) = (path_b64, value.as_object_mut()) {
        members.insert("path_b64".to_owned(), exact.into());
    }
    value
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
