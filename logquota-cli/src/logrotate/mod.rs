//! logrotate's front: called under that name, or as `logquota logrotate …`, the program takes
//! logrotate's arguments, configurations and state file, does what it would, and says so in
//! its words.
//!
//! The way of a run is the same as everywhere: read, scan, plan, apply. What is different is at
//! its edges only: [`args`], [`state`], what is said ([`telling`]), and that programs of the
//! configuration are started ([`hooks`]). `-d` makes the plan and leaves out the rest.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use logquota::apply::{Options as ApplyOptions, Outcome, Report, apply};
use logquota::fs::os::{OsFs, host};
use logquota::inventory::{Blocked, Inventory};
use logquota::plan::{Action, Context, Hook, Plan, Problem, Purpose};
use logquota::{Bytes, Config};

use crate::exit::Exit;
use crate::session::{self, now};

mod acts;
mod args;
mod blocks;
mod config;
mod hooks;
mod locks;
mod scene;
mod state;
mod telling;
#[cfg(test)]
pub(crate) mod testing;
mod voice;

use args::Options;
use config::{Decided, Due, Named, Ready};
use hooks::Programs;
use locks::Folders;
use scene::{Problems, Scene};
use state::{Seen, State};
use telling::Telling;
use voice::{Voice, show};

/// The name under which this is what runs, and the verb that asks for it.
const NAME: &str = "logrotate";

/// The arguments for logrotate, if that is who is called: by the program's name, or by the
/// first argument.
pub(crate) fn arguments(args: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut args = args.into_iter();
    let program = args.next()?;
    let is_called = Path::new(&program).file_name() == Some(OsStr::new(NAME));
    if is_called || args.next()? == NAME {
        return Some(args.collect());
    }
    None
}

/// Does what logrotate does with these arguments.
pub(crate) fn run(args: Vec<OsString>) -> Exit {
    match args::answer(args::parse(args)) {
        Ok(options) => rotate(&options),
        Err(exit) => exit,
    }
}

fn rotate(options: &Options) -> Exit {
    let mut voice = Voice::new(options.verbose);
    if let Some(place) = &options.log {
        voice.open(place);
    }
    if options.debug {
        voice.warning(
            "logrotate in debug mode does nothing except printing debug messages!  Consider using \
             verbose mode (-v) instead if this is not what you want.\n",
        );
    }
    let ready = config::ready(&options.configs, &mut voice);
    let now = now();
    let opened = if options.debug {
        Ok(State::read(&options.state, &mut voice))
    } else {
        State::open(&options.state, options.lock, &mut voice)
    };
    let Ok(mut state) = opened else { return Exit::Locked };
    let local = now.naive_local();
    let fs = OsFs::new();
    let context = Context { now, host: host(), force: options.force, purpose: Purpose::Routine };
    let mut folders = (!options.debug).then(|| Folders::new(options.lock));
    let decided = Decided::new(&ready.config, &fs, &context, &state, folders.as_mut());
    let decided = match decided {
        Ok(decided) => decided,
        Err(error) => {
            voice.error(&error);
            return Exit::Failed;
        }
    };
    let pass = Pass::new(&ready, &decided);
    let report = pass.done(options, &state, &fs, &mut voice);
    let mut exit = pass.verdict(report.as_ref(), &mut voice);
    exit = exit.or_failed_if(ready.is_faulty || state.is_damaged());
    if let Some(report) = &report {
        state.note(pass.seen(report), local);
        exit = exit.or_failed_if(!state.write(&mut voice));
    }
    exit
}

/// One pass: what was found, what is to be done, and what both are called.
struct Pass<'a> {
    config: &'a Config,
    inventory: &'a Inventory,
    plan: &'a Plan,
    refused: &'a BTreeMap<usize, String>,
    names: Vec<Vec<Named>>,
    due: Due,
}

impl<'a> Pass<'a> {
    fn new(ready: &'a Ready, decided: &'a Decided) -> Self {
        let Decided { inventory, plan, refused } = decided;
        let names = config::names(&ready.origins, inventory);
        Self { config: &ready.config, inventory, plan, refused, names, due: config::due(plan) }
    }

    /// Does it, or only says what would be done.
    fn done(
        &self,
        options: &Options,
        state: &State,
        fs: &OsFs,
        voice: &mut Voice,
    ) -> Option<Report> {
        voice.say(&format!("\nHandling {} logs", self.config.sets.len()));
        let problems = Problems::new(self.plan);
        let known: HashSet<&Path> =
            self.names.iter().flatten().map(|named| named.path.as_path()).collect();
        for problem in &self.plan.problems {
            if !known.contains(problem.path.as_path()) {
                blocks::problem_words(problem, voice);
            }
        }
        let scene = Scene {
            config: self.config,
            inventory: self.inventory,
            plan: self.plan,
            state,
            names: &self.names,
            problems: &problems,
            due: &self.due,
            force: options.force,
            home: config::home(),
            refused: self.refused,
        };
        let mut telling = Telling::new(scene, options.debug, voice);
        if options.debug {
            telling.rehearse();
            telling.finish();
            return None;
        }
        let mut programs = Programs::new(telling, options.mail.clone());
        let threads = ApplyOptions { threads: session::threads() };
        let report = apply(self.plan, fs, &mut programs, &threads);
        programs.finish();
        Some(report)
    }

    fn verdict(&self, report: Option<&Report>, voice: &mut Voice) -> Exit {
        let has_problem = self.plan.problems.iter().any(|problem| problem.is_error);
        let mut exit = Exit::Done.or_failed_if(has_problem || !self.refused.is_empty());
        let mut is_unmet = false;
        for (index, set) in self.plan.sets.iter().enumerate() {
            let missing = report.map_or(set.shortfall, |report| report.shortfall(self.plan, index));
            if missing != Bytes::ZERO || set.files_shortfall != 0 {
                voice.error(&format!("the limits of {} cannot be met", show(&set.name)));
                exit = Exit::Failed;
                is_unmet = true;
            }
        }
        if is_unmet {
            for Problem { path, why, .. } in &self.plan.unmet {
                voice.error(&format!("{}: {why}", show(path)));
            }
        }
        if let Some(report) = report {
            for error in &report.errors {
                voice.error(&error.chain());
            }
            let is_done = |outcome| matches!(outcome, &Outcome::Done);
            exit = exit
                .or_failed_if(!report.errors.is_empty() || !report.outcomes.iter().all(is_done));
        }
        exit
    }

    /// What the state file has to know. The work on a log begins when the scripts before it
    /// have ended well, also if it fails after that: then it is not tried again before its time.
    fn seen(&self, report: &Report) -> impl Iterator<Item = Seen> + use<'_> {
        let held = held_back(self.plan, report);
        let sets = self.names.iter().enumerate();
        let begun = sets.filter(|(set, _)| !self.refused.contains_key(set));
        begun.flat_map(move |(set, names)| {
            let held = held.clone();
            names.iter().map(move |named| {
                let is_begun = named.number.is_some_and(|number| {
                    self.due.contains_key(&(set, number))
                        && !held.contains(&(set, None))
                        && !held.contains(&(set, Some(number)))
                });
                let is_there = named.number.is_some_and(|number| self.is_there(set, number));
                Seen { path: named.path.clone(), is_begun, is_there }
            })
        })
    }

    fn is_there(&self, set: usize, number: usize) -> bool {
        let log = self.inventory.sets.get(set).and_then(|set| set.logs.get(number));
        log.is_some_and(|log| match &log.blocked {
            Some(blocked) => !matches!(blocked, Blocked::Missing),
            None => log.active.is_some(),
        })
    }
}

/// Sets, or logs of sets, whose `firstaction` or `prerotate` failed or did not run.
fn held_back(plan: &Plan, report: &Report) -> HashSet<(usize, Option<usize>)> {
    let steps = plan.steps.iter().zip(&report.outcomes);
    let failed = steps.filter(|(step, outcome)| {
        matches!(step.action, Action::RunHook { hook: Hook::First | Hook::Pre, .. })
            && !matches!(outcome, Outcome::Done)
    });
    failed.map(|(step, _)| (step.set, step.log)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(line: &str) -> Option<Vec<String>> {
        let args = arguments(line.split(' ').map(OsString::from))?;
        Some(args.into_iter().map(|arg| arg.into_string().expect("UTF-8")).collect())
    }

    #[test]
    fn the_name_of_the_program_or_the_first_argument_asks_for_logrotate() {
        for (line, expected) in [
            ("/usr/sbin/logrotate -d c", Some(vec!["-d", "c"])),
            ("logrotate logrotate", Some(vec!["logrotate"])),
            ("logquota logrotate -v c", Some(vec!["-v", "c"])),
            ("logquota run logrotate", None),
            ("/opt/logrotate/logquota -v", None),
            ("logrotate2 -v", None),
        ] {
            let expected = expected.map(|args| args.into_iter().map(str::to_owned).collect());
            assert_eq!(called(line), expected, "{line}");
        }
    }
}
