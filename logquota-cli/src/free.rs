//! `logquota free`: makes so much free on a full file system, for a person under pressure.
//!
//! Shows first, on which host and what it would take, and writes nothing at all. What was shown
//! has an id; with that it is done, if it is still exactly the same. A plan on a full disk has no
//! place to be kept: the id carries when it was made, and it is made again for that moment.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use logquota::Bytes;
use logquota::apply::Report;
use logquota::clock;
use logquota::error::printable;
use logquota::fs::os::{Tree, host, open_deleted};
use logquota::inventory::Space;
use logquota::plan::guard::{Exceeded, first_unsure};
use logquota::plan::{Goal, Plan, Purpose, Step, Wanted};
use logquota::report::{PLAN_EARLY_SECONDS, PlanFileError};
use logquota::scan::Foreign;

use self::args::FreeArgs;
use self::id::PlanId;
use self::outcome::Outcome;
use self::wish::Wish;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::programs;
use crate::quote::quoted;
use crate::render;
use crate::root;
use crate::session::{Look, Session, now};
use crate::source::{Source, absolute};

pub(crate) mod args;
pub(crate) mod call;
pub(crate) mod id;
pub(crate) mod json;
pub(crate) mod outcome;
pub(crate) mod view;
pub(crate) mod wish;

pub(crate) fn run(args: &FreeArgs, out: &mut Output) -> Result<Exit, Failure> {
    let tree = root::open(args.root.as_deref())?;
    is_host(args, &tree)?;
    let wish = Wish::from_args(args, &tree)?;
    let source = Source::to_free(args, &tree)?;
    wish::is_fit(&source, &tree)?;
    // Nothing rotates, so that the state file has nothing to say; and it may be on the full disk.
    let (free, valid_for) = (Some(wish.to_json()), args.valid_for.0);
    let look = Look { free, valid_for, ..Look::new(source, tree, None) };
    let call = Call { args, wish, look };
    match &args.apply {
        Some(id) => call.apply(id, out),
        None if args.yes => call.at_once(out),
        None => call.show(out),
    }
}

/// Whether this is the host that was meant, or its disk.
fn is_host(args: &FreeArgs, tree: &Tree) -> Result<(), Failure> {
    let Some(meant) = &args.host else { return Ok(()) };
    let refused = |is: String| {
        let meant = printable(meant);
        Err(Failure::Refused(format!("{is}, and `{meant}` was meant; nothing was done")))
    };
    let Some(disk) = root::disk(tree)? else {
        let here = host().name;
        return if *meant == here { Ok(()) } else { refused(format!("this is host `{here}`")) };
    };
    let place = printable(&disk.path);
    match root::called(&disk) {
        Some(name) if meant == name => Ok(()),
        Some(name) => refused(format!("the disk at `{place}` is that of `{name}`")),
        None => refused(format!("the disk at `{place}` has no name and no machine id")),
    }
}

/// One call of the verb.
struct Call<'a> {
    args: &'a FreeArgs,
    wish: Wish,
    look: Look,
}

/// A plan with what decides whether it is done.
struct Planned {
    goal: Goal,
    plan: Plan,
    exceeded: Vec<Exceeded>,
    /// Looked for before the plan was made: both at once take more memory.
    foreign: Foreign,
}

impl Call<'_> {
    /// Also asks who holds which log: what could be cut is said even where that is not asked for.
    fn open(&self, look: &Look, out: &mut Output) -> Result<Session, Failure> {
        let mut session = Session::open(look, out)?;
        session.part_by_device();
        session.note_holders();
        session.note_oldest(self.wish.goal(&session)?);
        Ok(session)
    }

    /// Shows what it would take.
    fn show(&self, out: &mut Output) -> Result<Exit, Failure> {
        if let Some(path) = &self.args.output {
            crate::plan::is_writable(path)?;
        }
        let session = self.open(&self.look, out)?;
        let planned = self.plan(&session, view::FOREIGN_MAX)?;
        let exit = session.verdict(&planned.plan, out);
        let exit = if planned.exceeded.is_empty() { exit } else { exit.and(Exit::Refused) };
        let words = self.present(&session, &planned, out);
        if let Some(path) = self.args.output.as_deref().filter(|_| planned.exceeded.is_empty()) {
            self.write(&session, &planned.plan, path, &words, out)?;
        }
        Ok(exit)
    }

    /// Writes the plan to a file, which a full disk may have no room for.
    fn write(
        &self,
        session: &Session,
        plan: &Plan,
        path: &Path,
        words: &[OsString],
        out: &mut Output,
    ) -> Result<(), Failure> {
        let file = absolute(path)?;
        let written = crate::plan::write(&file, &session.to_json(plan));
        if plan.steps.is_empty() {
            return written;
        }
        written.map_err(|why| {
            let id = id_of(session, plan);
            Failure::Failed(format!(
                "{why}; nothing was changed; what is shown needs no file: `--apply {id}` does it"
            ))
        })?;
        let call = [call::program(words), "apply".into(), file.into()].map(|word| quoted(&word));
        out.human(&format!("\nor, by the plan that was written:\n\n{}\n", call.join(" ")));
        Ok(())
    }

    /// Does what was shown under `id`, if it is still that.
    fn apply(&self, id: &PlanId, out: &mut Output) -> Result<Exit, Failure> {
        let created = self.is_current(id)?;
        let mut session = self.open(&self.locked(Some(created)), out)?;
        // Another instance may have been waited for.
        self.is_current(id)?;
        let planned = self.plan(&session, 0)?;
        if planned.plan.id.starts_with(&id.digest) {
            if let Some(step) = first_unsure(&planned.plan, now()) {
                return Err(unsure(&planned.plan, step));
            }
            return self.act(&mut session, &planned, out);
        }
        // What it would be now is shown, with an id of its own.
        let bond = id.differs(&id_of(&session, &planned.plan));
        session.now = now();
        drop(planned);
        let again = self.plan(&session, view::FOREIGN_MAX)?;
        let goal = again.goal;
        self.present(&session, &again, out);
        let space = free_before(&session, goal);
        let why = match bond {
            Some(bond) => format!("{}; what would be done now is shown", bond.why()),
            None if goal.wanted.is_met(&space) => {
                let free = amount(goal.wanted.free(&space));
                format!("already applied, or others made room: {free} are free")
            }
            None => "already applied, or files or free space are not what they were; what would \
                     be done now is shown"
                .to_owned(),
        };
        Err(Failure::Refused(format!("plan {id} was refused: {why}; nothing was done")))
    }

    /// For scripts that have said which host they mean.
    fn at_once(&self, out: &mut Output) -> Result<Exit, Failure> {
        let mut session = self.open(&self.locked(None), out)?;
        let planned = self.plan(&session, 0)?;
        self.act(&mut session, &planned, out)
    }

    fn locked(&self, at: Option<DateTime<Utc>>) -> Look {
        let lock = Some(Duration::from_secs(self.args.lock_wait.into()));
        Look { lock, at: at.map(clock::local), ..self.look.clone() }
    }

    /// With so many files that are not ours, at most.
    fn plan(&self, session: &Session, largest: usize) -> Result<Planned, Failure> {
        let goal = self.wish.goal(session)?;
        let foreign = match largest {
            0 => Foreign::default(),
            _ => session.foreign(goal.dev, largest),
        };
        let plan = session.plan_for(Purpose::Free(goal))?;
        let exceeded = self.wish.guards.exceeded(&session.inventory, &plan);
        Ok(Planned { goal, plan, exceeded, foreign })
    }

    fn act(
        &self,
        session: &mut Session,
        planned: &Planned,
        out: &mut Output,
    ) -> Result<Exit, Failure> {
        is_allowed(&planned.exceeded)?;
        let exit = session.problems(&planned.plan, out);
        // Nothing is mailed to free space: a mail that cannot be sent must not be in its way.
        let (report, acted) = session.act(&planned.plan, programs::MAIL.as_ref(), out);
        Ok(exit.and(acted).and(tell(
            session,
            planned.goal,
            (json::SCHEMA, &planned.plan),
            &report,
            out,
        )))
    }

    /// Gives the words of the command that does it.
    fn present(&self, session: &Session, planned: &Planned, out: &mut Output) -> Vec<OsString> {
        let Planned { goal, plan, exceeded, foreign } = planned;
        let id = id_of(session, plan);
        let words = call::words(self.args, &self.wish, &self.look, &session.host, &id);
        // Whoever lacks room shall know what else there is.
        let more = Goal { cuts_logs: true, ..*goal };
        let is_short = !goal.cuts_logs && view::shortfall(plan) > Bytes::ZERO;
        let with_cuts = is_short.then(|| session.plan_for(Purpose::Free(more)).ok()).flatten();
        let view = view::View {
            session,
            plan,
            goal: *goal,
            exceeded,
            foreign,
            held: open_deleted(&[goal.dev]).unwrap_or_default(),
            words,
            id: id.to_string(),
            expires: plan.created + TimeDelta::seconds(self.look.valid_for),
            with_cuts,
        };
        if out.json {
            out.json(&json::preview(&view, &session.to_json(plan)));
        } else {
            out.human(&render::free::preview(&view, out.paint, out.verbose));
        }
        view.words
    }

    /// Whether an id still holds.
    fn is_current(&self, id: &PlanId) -> Result<DateTime<Utc>, Failure> {
        let refused = |error: PlanFileError| {
            Failure::Refused(format!("plan {id} was refused: {error}; nothing was done"))
        };
        let now = now().with_timezone(&Utc);
        let created = DateTime::from_timestamp(id.created, 0);
        let created = created.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let age = now.signed_duration_since(created);
        if age < TimeDelta::seconds(-PLAN_EARLY_SECONDS) {
            return Err(refused(PlanFileError::Future { created, now }));
        }
        let valid = TimeDelta::seconds(self.look.valid_for);
        if age > valid {
            return Err(refused(PlanFileError::Expired { expires: created + valid, now }));
        }
        Ok(created)
    }
}

/// What `--apply` takes.
fn id_of(session: &Session, plan: &Plan) -> PlanId {
    PlanId::new(&plan.id, &session.bonds(plan), plan.created.timestamp())
}

/// Why a plan is not done although it is the same.
pub(crate) fn unsure(plan: &Plan, step: &Step) -> Failure {
    let path = printable(logquota::report::step_path(plan, step));
    Failure::Refused(format!(
        "the plan was refused: `{path}` was changed in the moment in which it was made, and its \
         file system does not tell it from another file; ask for a new plan; nothing was done"
    ))
}

/// Whether a plan deletes no more than it may.
pub(crate) fn is_allowed(exceeded: &[Exceeded]) -> Result<(), Failure> {
    let Some(first) = exceeded.first() else { return Ok(()) };
    let (option, value) = first.option();
    Err(Failure::Refused(format!(
        "the plan was refused: {first}; {option} {value} would allow it; nothing was done"
    )))
}

/// Says what was done and measured.
pub(crate) fn tell(
    session: &Session,
    goal: Goal,
    (schema, plan): (&str, &Plan),
    report: &Report,
    out: &mut Output,
) -> Exit {
    for (step, outcome) in plan.steps.iter().zip(&report.outcomes) {
        render::mishap(plan, step, outcome, out);
    }
    let outcome = Outcome::measure(session, goal, plan, report);
    if out.json {
        out.json(&json::outcome(schema, session, &outcome, report));
    } else {
        out.human(&render::free::outcome(session, &outcome, report, out.paint, out.verbose));
    }
    if goal.wanted.is_met(&outcome.space) { Exit::Done } else { Exit::QuotaUnmet }
}

/// The space of a goal's file system when the plan was made.
pub(crate) fn free_before(session: &Session, goal: Goal) -> Space {
    let mut sets = session.inventory.sets.iter();
    sets.find(|set| set.dev == goal.dev).map_or(NO_SPACE, |set| set.space)
}

/// Of a file system that cannot be asked.
pub(crate) const NO_SPACE: Space = Space {
    total: Bytes::ZERO,
    free: Bytes::ZERO,
    free_files: Some(0),
    total_files: Some(0),
    block: Bytes::ZERO,
};

/// With its unit.
pub(crate) fn amount(wanted: Wanted) -> String {
    match wanted {
        Wanted::Bytes(bytes) => bytes.to_string(),
        Wanted::Inodes(1) => "1 inode".to_owned(),
        Wanted::Inodes(count) => format!("{count} inodes"),
    }
}

/// How much less the first is, in the same unit.
pub(crate) fn missing(free: Wanted, wanted: Wanted) -> Wanted {
    match (free, wanted) {
        (Wanted::Bytes(free), Wanted::Bytes(wanted)) => Wanted::Bytes(wanted.minus(free)),
        (Wanted::Inodes(free), Wanted::Inodes(wanted)) => {
            Wanted::Inodes(wanted.saturating_sub(free))
        }
        _ => wanted,
    }
}
