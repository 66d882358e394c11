//! `logquota lint`: checks configurations. Writes nothing, takes no lock.

use std::io;
use std::path::{Path, PathBuf};

use logquota::fs::os::{OsFs, Tree};
use logquota::lint::{Amount, Basis, Block, Disk, Finding, Lint, Missing, Question, Seen, lint};
use logquota::logrotate::{
    Closed, Env, GlobError, Line, Parsed, Severity, SystemEnv, env, read_as,
};
use logquota::report::both;
use logquota::scan::{others, scan};
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::render;
use crate::session::now;
use crate::source::{absolute, default_config, system};

pub(crate) mod args;

use args::LintArgs;

const SCHEMA: &str = "logquota.lint/1";

pub(crate) fn run(args: &LintArgs, out: &mut Output) -> Result<Exit, Failure> {
    let mut files: Vec<PathBuf> = args.config.iter().chain(&args.paths).cloned().collect();
    if files.is_empty() {
        files.push(default_config(&Tree::default())?);
    }
    let files: Vec<_> = files.iter().map(|file| absolute(file)).collect::<Result<_, _>>()?;
    let dialect = args.dialect.dialect();
    let parsed = read_as(&files, &LookOnly(system()), dialect);
    let question = Question::new(&parsed, dialect).run_every(args.run_every).growth(args.growth);
    let found = if args.no_scan { lint(&question) } else { on_the_disk(question, &parsed)? };
    if out.quiet {
        let is_bad = |found: &&Finding| found.diagnostic.severity > Severity::Note;
        for finding in found.findings.iter().filter(is_bad) {
            out.diagnostic(render::finding(finding, out.paint).trim_end());
        }
    }
    out.human(&render::lint(&found, &question, out.paint));
    out.json(&whole(&found, args, &parsed));
    Ok(match (found.count(Severity::Error), found.count(Severity::Warning)) {
        (0, warnings) => Exit::Done.or_failed_if(args.strict && warnings > 0),
        _ => Exit::Config,
    })
}

/// With a look at the logs and the folders that they are in.
fn on_the_disk(question: Question<'_>, parsed: &Parsed) -> Result<Lint, Failure> {
    let fs = OsFs::new();
    let inventory = scan(&fs, &parsed.config, &|_| None)?;
    let others = others(&fs, &inventory);
    let seen = Seen { inventory: &inventory, others: &others, now: now().timestamp() };
    Ok(lint(&question.seen(seen)))
}

/// This machine for those who only look: logrotate makes missing folders for archives while it
/// reads, and a check does not.
struct LookOnly(SystemEnv);

impl Env for LookOnly {
    fn check_old_dir(&self, block: &Closed<'_>, say: &mut dyn FnMut(Line)) -> Result<(), String> {
        match block.old_dir.create {
            Some(_) => Ok(()),
            None => self.0.check_old_dir(block, say),
        }
    }

    fn read(&self, path: &Path) -> io::Result<env::ConfigFile> {
        self.0.read(path)
    }

    fn list_dir(&self, path: &Path) -> io::Result<env::ConfigDir> {
        self.0.list_dir(path)
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        self.0.user_id(name)
    }

    fn group_id(&self, name: &str) -> Option<u32> {
        self.0.group_id(name)
    }

    fn user_exists(&self, uid: u32) -> bool {
        self.0.user_exists(uid)
    }

    fn group_exists(&self, gid: u32) -> bool {
        self.0.group_exists(gid)
    }

    fn user_home(&self, name: &str) -> Option<PathBuf> {
        self.0.user_home(name)
    }

    fn home(&self) -> Option<PathBuf> {
        self.0.home()
    }

    fn effective_uid(&self) -> u32 {
        self.0.effective_uid()
    }

    fn glob(&self, pattern: &[u8]) -> Result<Option<Vec<PathBuf>>, GlobError> {
        self.0.glob(pattern)
    }
}

fn whole(found: &Lint, args: &LintArgs, parsed: &Parsed) -> Value {
    let files: Vec<_> = parsed.files.iter().map(|file| with_path("path", file)).collect();
    json!({
        "schema": SCHEMA,
        "dialect": args.dialect.word(),
        "run_every": args.run_every.as_seconds(),
        "growth": args.growth,
        "files": files,
        "errors": found.count(Severity::Error),
        "warnings": found.count(Severity::Warning),
        "notes": found.count(Severity::Note),
        "findings": found.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "blocks": found.blocks.iter().map(|block| block_json(block, args)).collect::<Vec<_>>(),
        "faulty_blocks": found.faulty,
        "disks": found.disks.iter().map(disk_json).collect::<Vec<_>>(),
    })
}

/// An object with a path, readable and, if that is not the same, exact.
fn with_path(name: &str, path: &Path) -> Map<String, Value> {
    let (text, exact) = both(path);
    let mut object = Map::new();
    object.insert(name.to_owned(), text.into());
    if let Some(exact) = exact {
        object.insert(format!("{name}_b64"), exact.into());
    }
    object
}

/// `path` and the members of `rest`.
fn object(name: &str, path: &Path, rest: Value) -> Value {
    let mut object = with_path(name, path);
    if let Value::Object(rest) = rest {
        object.extend(rest);
    }
    Value::Object(object)
}

fn finding_json(finding: &Finding) -> Value {
    let found = &finding.diagnostic;
    let place = |number: usize| (number > 0).then_some(number);
    let rest = json!({
        "code": finding.code.name(),
        "severity": found.severity.to_string(),
        "line": place(found.line),
        "column": place(found.column),
        "message": found.message,
        "help": found.help,
    });
    object("file", &found.file, rest)
}

fn block_json(block: &Block, args: &LintArgs) -> Value {
    let footprint = &block.footprint;
    let amount = |amount: Amount| match amount {
        Amount::AtMost { fixed, growth } => json!({
            "fixed": fixed,
            "growth_seconds": growth.as_seconds(),
            "bytes": amount.bytes(args.growth),
        }),
        Amount::Unbounded => Value::Null,
    };
    let rest = json!({
        "name": block.name,
        "line": block.place.line,
        "column": block.place.column,
        "logs": footprint.logs,
        "may_be_more": footprint.may_be_more,
        "used": block.used,
        "after_run": amount(footprint.after_run),
        "on_top": amount(footprint.on_top),
        "basis": match footprint.basis {
            Basis::Quota => "quota",
            Basis::GlobalQuota => "global_quota",
            Basis::Reserve => "reserve",
            _ => "rotation",
        },
        "bounded": footprint.missing.is_empty(),
        "missing": footprint.missing.iter().map(|why| missing(*why)).collect::<Vec<_>>(),
    });
    object("file", &block.place.file, rest)
}

const fn missing(why: Missing) -> &'static str {
    match why {
        Missing::Length => "length",
        Missing::Growth => "growth",
        Missing::Count => "count",
        Missing::MinAge => "minage",
        Missing::Copy => "copy",
        Missing::Dates => "dates",
        Missing::Logs => "logs",
        Missing::OwnArchives => "own_archives",
        Missing::InUse => "in_use",
        Missing::Waits => "waits",
        _ => "other",
    }
}

fn disk_json(disk: &Disk) -> Value {
    let rest = json!({
        "size": disk.total,
        "free": disk.free,
        "used": disk.used,
        "quotas": disk.quotas,
        "ballast": disk.ballast,
        "ballast_kept": disk.ballast_kept,
        "blocks": disk.blocks,
        "without_quota": disk.without_quota,
    });
    object("path", &disk.path, rest)
}
