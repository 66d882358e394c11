//! `logquota apply`: does exactly what a plan file says, here, once, or nothing.
//!
//! The file is never an authority. It says which plan is meant; that plan is made again,
//! from the configuration and the disk as they are now, for the moment the file was made.
//! Only if both are the same is it done: the new one.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use logquota::clock;
use logquota::error::printable;
use logquota::fs::os::{Tree, host};
use logquota::plan::Purpose;
use logquota::plan::guard::first_unsure;
use logquota::report::{Difference, PLAN_LEN_MAX, PlanFileError, PlanJson, StepJson};

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
    let state = file.source.state.as_ref().and_then(logquota::report::PathJson::to_path);
    if tree.path().is_some() && (wish.is_none() || state.is_some()) {
        let why = "on the disk of another machine, space is freed and nothing else done";
        return Err(Failure::Refused(format!("the plan was refused: {why}")));
    }
    let wait = Duration::from_secs(args.act.lock_wait.into());
    let lock = (!args.act.dry_run).then_some(wait);
    let at = Some(clock::local(file.created));
    let look = Look { source, tree, state, lock, at };
    let mut session = Session::open(&look, out)?;
    if wish.is_some() {
        session.note_holders();
    }
    let goal = wish.as_ref().map(|wish| wish.goal(&session)).transpose()?;
    let plan = session.plan_for(goal.map_or(Purpose::Routine, Purpose::Free))?;
    let mut source = look.source.to_json(look.state.as_deref());
    source.free = file.source.free.clone();
    source.root = file.source.root.clone();
    is_the_same(&file, &PlanJson::new(&plan, source), &look.tree)?;
    if let Some(step) = first_unsure(&plan) {
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
        Err(Failure::Refused(format!("the plan was refused: {why}; run `logquota plan` again")))
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
        let is_gone = was.is_some_and(|step| step_file_is_gone(step, tree));
        let hint =
            if is_gone || is.is_none() { "already applied, or the files changed: " } else { "" };
        return refused(format!(
            "{hint}step {} was: {}; now: {}",
            index.saturating_add(1),
            was.map_or_else(|| "nothing".to_owned(), describe),
            is.map_or_else(|| "nothing".to_owned(), describe),
        ));
    }
    if file.id != again.id {
        return refused(
            "the steps are the same, but a file, a folder or the configuration behind them \
             was changed"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether the file a step is about is gone, as after the plan was applied.
fn step_file_is_gone(step: &StepJson, tree: &Tree) -> bool {
    step.path_b64.is_none() && !tree.has(Path::new(&step.path))
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
