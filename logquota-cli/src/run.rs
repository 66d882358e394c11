//! `logquota run`: one pass.

use std::time::Duration;

use logquota::fs::os::Tree;
use logquota::report::RunJson;

use crate::args::RunArgs;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::render;
use crate::session::{Look, Session, unmet};
use crate::source::Source;
use crate::state;

const SCHEMA: &str = "logquota.run/1";

pub(crate) fn run(args: &RunArgs, out: &mut Output) -> Result<Exit, Failure> {
    let tree = Tree::default();
    let source = Source::from_args(&args.source, true, &tree)?;
    let state = state::path(&tree, args.source.state.as_deref(), &source)?;
    let wait = Duration::from_secs(args.act.lock_wait.into());
    // A dry run takes no lock: it writes nothing, and has to work where nothing can be written.
    let lock = (!args.act.dry_run).then_some(wait);
    let look = Look { lock, ..Look::new(source, tree, state) };
    let mut session = Session::open(&look, out)?;
    let plan = session.plan()?;
    let exit = session.problems(&plan, out);
    if args.act.dry_run {
        out.human(&render::plan(&session.inventory, &plan, out.paint, out.verbose));
        out.human("Nothing was changed: this was a dry run.\n");
        out.json(&RunJson::new(SCHEMA, &plan, None));
        return Ok(exit.and(unmet(&plan, None, out)));
    }
    let (report, acted) = session.act(&plan, &args.act.mail, out);
    finish(SCHEMA, &plan, &report, out);
    let exit = exit.and(unmet(&plan, Some(&report), out)).and(acted);
    // The process ends here, and its locks with it; to free a million logs one by one would
    // only delay that.
    std::mem::forget((session, plan));
    Ok(exit)
}

/// Says what was done; `apply` ends the same way.
pub(crate) fn finish(
    schema: &str,
    plan: &logquota::plan::Plan,
    report: &logquota::apply::Report,
    out: &mut Output,
) {
    for (step, outcome) in plan.steps.iter().zip(&report.outcomes) {
        render::mishap(plan, step, outcome, out);
    }
    out.human(&render::report(plan, report, out.paint, out.verbose));
    out.json(&RunJson::new(schema, plan, Some(report)));
}
