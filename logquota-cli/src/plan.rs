//! `logquota plan`: what a run would do. Writes nothing but the plan file, takes no lock.

use std::path::Path;

use logquota::error::printable;
use logquota::fs::os::{Tree, replace_file};
use logquota::report::PlanJson;
use logquota::{Error, Op};

use crate::args::PlanArgs;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::render;
use crate::session::{Look, Session};
use crate::source::Source;
use crate::state;

/// A plan tells names of logs.
const PLAN_MODE: u32 = 0o600;

pub(crate) fn run(args: &PlanArgs, out: &mut Output) -> Result<Exit, Failure> {
    let tree = Tree::default();
    let source = Source::from_args(&args.source, true, &tree)?;
    let state = state::path(&tree, args.source.state.as_deref(), &source)?;
    if let Some(path) = &args.output {
        is_writable(path)?;
    }
    let look = Look { valid_for: args.valid_for.0, ..Look::new(source, tree, state) };
    let session = Session::open(&look, out)?;
    let plan = session.plan()?;
    let exit = session.verdict(&plan, out);
    let json = session.to_json(&plan);
    out.human(&render::plan(&session.inventory, &plan, out.paint, out.verbose));
    match &args.output {
        Some(path) => {
            write(path, &json)?;
            out.human(&format!(
                "Nothing was changed. `logquota apply {}` does exactly this, here, once,\n\
                 until {}.\n",
                printable(path),
                json.expires.format("%Y-%m-%d %H:%M:%S UTC")
            ));
        }
        None => out.human("Nothing was changed. `logquota run` with the same arguments does it.\n"),
    }
    out.json(&json);
    Ok(exit)
}

/// A plan replaces what has its name, so that nothing but a file may have it.
pub(crate) fn is_writable(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => Err(Failure::Usage(format!(
            "`{}` is not a regular file; for a plan on standard output use --json",
            printable(path)
        ))),
        _ => Ok(()),
    }
}

pub(crate) fn write(path: &Path, json: &PlanJson) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(json)
        .map_err(|error| Failure::Failed(format!("failed to write the plan as JSON: {error}")))?;
    text.push(b'\n');
    replace_file(path, &text, PLAN_MODE).map_err(|e| Error::io(Op::Write, path)(e).into())
}
