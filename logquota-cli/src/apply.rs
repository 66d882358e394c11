//! `logquota apply`: does exactly what a plan file says, here, once, or nothing.
//!
//! The file is never an authority. It says which plan is meant; that plan is made again,
//! from the configuration and the disk as they are now, for the moment the file was made.
//! Only if both are the same is it done: the new one.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use logquota::clock;
use logquota::error::printable;
use logquota::fs::os::{Tree, host};
use logquota::plan::guard::first_unsure;
use logquota::plan::{Goal, Plan, Purpose};
use logquota::report::{Difference, FileChange, PLAN_LEN_MAX, PlanFileError, PlanJson, StepJson};

use crate::args::ApplyArgs;
use crate::exit::{Exit, Failure};
use crate::free;
use crate::free::wish::{Wish, is_fit};
use crate::output::Output;
use crate::render;
use crate::root;
use crate::run::finish;
use crate::session::{Look, Session, now, unmet};
use crate::source::Source;

const SCHEMA: &str = "logquota.apply/1";

pub(crate) fn run(args: &ApplyArgs, out: &mut Output) -> Result<Exit, Failure> {
    let text = read(&args.plan)?;
    let refused = |error: PlanFileError| {
        let path = printable(&args.plan);
        Failure::Refused(format!("the plan `{path}` was refused: {error}"))
    };
    let file = PlanJson::parse(&text).map_err(refused)?;
    drop(text);
    file.is_for(&host(), now().with_timezone(&Utc)).map_err(refused)?;
    let source = Source::from_json(&file.source)?;
    let wish = file.source.free.as_ref().map(Wish::from_json).transpose()?;
    let tree = root::reopen(file.source.root.as_ref())?;
    if wish.is_some() {
        is_fit(&source, &tree)?;
    }
    let state = state_of(&file)?;
    if tree.path().is_some() && wish.is_none() {
        let why = "on the disk of another machine, space is freed and nothing else done";
        return Err(Failure::Refused(format!("the plan was refused: {why}")));
    }
    let is_file = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.is_file());
    let makes_state = state.as_ref().is_some_and(|state| !is_file(state));
    let (at, valid_for) = (Some(clock::local(file.created)), file.valid_for());
    let free = file.source.free.clone();
    let mut look = Look { at, free, valid_for, ..Look::new(source, tree, state) };
    if !args.act.dry_run {
        if makes_state {
            // To lock it is to make it, or to open who knows what. A plan that is refused does
            // neither.
            again(&file, &look, wish.as_ref(), out)?;
        }
        look.lock = Some(Duration::from_secs(args.act.lock_wait.into()));
    }
    let (mut session, goal, plan) = again(&file, &look, wish.as_ref(), out)?;
    // Another instance may have been waited for.
    file.is_for(&host(), now().with_timezone(&Utc)).map_err(refused)?;
    if let Some(step) = first_unsure(&plan, now()) {
        return Err(free::unsure(&plan, step));
    }
    if let Some(wish) = &wish {
        free::is_allowed(&wish.guards.exceeded(&session.inventory, &plan))?;
    }
    let exit = session.problems(&plan, out);
    if args.act.dry_run {
        out.human(&render::plan(&session.inventory, &plan, out.paint, out.verbose));
        out.human("Nothing was changed: this was a dry run.\n");
        out.json(&logquota::report::RunJson::new(SCHEMA, &plan, None));
        return Ok(exit.and(unmet(&plan, None, out)));
    }
    let (report, acted) = session.act(&plan, &args.act.mail, out);
    if let Some(goal) = goal {
        let told = free::tell(&session, goal, (SCHEMA, &plan), &report, out);
        return Ok(exit.and(acted).and(told));
    }
    finish(SCHEMA, &plan, &report, out);
    Ok(exit.and(unmet(&plan, Some(&report), out)).and(acted))
}

/// The state file that it says.
fn state_of(file: &PlanJson) -> Result<Option<PathBuf>, Failure> {
    let Some(state) = &file.source.state else { return Ok(None) };
    let wrong = |what: &str| Err(Failure::Refused(format!("the plan file's source {what}")));
    match state.to_path() {
        _ if file.source.free.is_some() => wrong("frees space and names a state file"),
        Some(state) if state.is_absolute() => Ok(Some(state)),
        _ => wrong("has a state file whose path is not absolute"),
    }
}

/// Makes the plan again, and refuses it if it is another one.
fn again(
    file: &PlanJson,
    look: &Look,
    wish: Option<&Wish>,
    out: &mut Output,
) -> Result<(Session, Option<Goal>, Plan), Failure> {
    // What the file names is not there, or says nothing: that is no mistake of who applies it.
    let refused = |failure: Failure| match failure {
        Failure::Library(error) => Failure::Library(error),
        other => Failure::Refused(format!("the plan was refused: {other}")),
    };
    let mut session = Session::open(look, out).map_err(refused)?;
    if wish.is_some() {
        session.part_by_device();
        session.note_holders();
    }
    let goal = wish.map(|wish| wish.goal(&session)).transpose();
    let goal = goal.map_err(|failure| refused(Failure::Failed(failure.to_string())))?;
    if let Some(goal) = goal {
        session.note_oldest(goal);
    }
    let plan = session.plan_for(goal.map_or(Purpose::Routine, Purpose::Free))?;
    is_the_same(file, &session.to_json(&plan), &look.tree)?;
    Ok((session, goal, plan))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::Failed(format!("failed to read the plan `{}`: {error}", printable(path)))
    };
    let mut text = Vec::new();
    let limit = PLAN_LEN_MAX.saturating_add(1);
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(limit).read_to_end(&mut text).map_err(failed)?;
    }
    Ok(text)
}

/// Whether the file and the disk ask for the same; if not, in what they differ.
fn is_the_same(file: &PlanJson, again: &PlanJson, tree: &Tree) -> Result<(), Failure> {
    let refused = |why: String| {
        Err(Failure::Refused(format!("the plan was refused: {why}; ask for a new plan")))
    };
    if file.policy != again.policy {
        return refused("the configuration is another one".to_owned());
    }
    if let Some(dir) = file.moved_dir(again) {
        let path = printable(&dir.path);
        return refused(format!(
            "`{path}` is not the folder that it was (its device, inode or mount is another one)"
        ));
    }
    if let Some(Difference { index, was, is }) = file.differs_from(again) {
        let hint = match (gone_file(file, tree), changed_file(file, again)) {
            (Some(which), _) => format!("already applied, or the files changed: {which}; "),
            (None, Some(which)) => format!("{which}; "),
            (None, None) if is.is_none() => "already applied, or the files changed: ".to_owned(),
            (None, None) => String::new(),
        };
        return refused(format!(
            "{hint}step {} was: {}; now: {}",
            index.saturating_add(1),
            was.map_or_else(|| "nothing".to_owned(), describe),
            is.map_or_else(|| "nothing".to_owned(), describe),
        ));
    }
    if let Some(which) = changed_file(file, again) {
        return refused(which);
    }
    if file.id != again.id {
        return refused(
            "the steps and their files are the same, but what the plan says of where it comes \
             from, how long it holds, or its id was changed"
                .to_owned(),
        );
    }
    Ok(())
}

/// The first step whose file is gone, as after the plan was applied.
fn gone_file(file: &PlanJson, tree: &Tree) -> Option<String> {
    // Those that the plan itself makes or renames are not there yet.
    let made: BTreeSet<_> = file.steps.iter().filter_map(|step| step.to.as_deref()).collect();
    let is_gone = |step: &StepJson| {
        step.seen.is_some()
            && step.path_b64.is_none()
            && !made.contains(step.path.as_str())
            && !tree.has(Path::new(&step.path))
    };
    let index = file.steps.iter().position(is_gone)?;
    Some(about(file, index, "is gone"))
}

/// The first step whose file is not the one that it was, or not as it was.
fn changed_file(file: &PlanJson, again: &PlanJson) -> Option<String> {
    let (index, how) = file.changed_file(again)?;
    let how = match how {
        FileChange::Replaced => "is another file now",
        FileChange::Changed => "was changed",
    };
    Some(about(file, index, how))
}

fn about(file: &PlanJson, index: usize, what: &str) -> String {
    let path = file.steps.get(index).map(|step| printable(&step.path)).unwrap_or_default();
    format!("`{path}` of step {} {what}", index.saturating_add(1))
}

fn describe(step: &StepJson) -> String {
    let name = printable(&step.path);
    let what = match (&step.hook, &step.to) {
        (Some(hook), _) => format!("run {hook} for {name}"),
        (None, Some(to)) => format!("{} {name} to {}", step.action, printable(to)),
        (None, None) => format!("{} {name}", step.action),
    };
    format!("{what} ({})", step.bytes)
}
