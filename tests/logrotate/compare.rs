//! Runs cases on both sides and says where they differ.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, OnceLock};

use logquota_tests::mounts::{needs, needs_root};

use crate::case::{Case, Differs, Run, Step, Want, cases};
use crate::clock::Clock;
use crate::different::DIFFERENT;
use crate::look::{Body, Entry, Look};
use crate::world::Place;

const OURS: &str = env!("CARGO_BIN_EXE_logquota-under-test");
const THEIRS: &str = "/usr/sbin/logrotate";

/// Cases at a time. They mostly wait for processes.
pub(crate) const THREADS: usize = 3;

/// How often a case is done that has a second begin in it each time.
const TRIES: u32 = 5;

/// What is run, by `LOGQUOTA_UNDER_TEST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    Ours,
    Theirs,
    Both,
}

impl Under {
    pub(crate) fn test() -> Self {
        match std::env::var("LOGQUOTA_UNDER_TEST").as_deref() {
            Ok("ours") => Self::Ours,
            Ok("theirs") => Self::Theirs,
            Ok(other) => panic!("LOGQUOTA_UNDER_TEST={other}: it is `ours` or `theirs`"),
            Err(_) => Self::Both,
        }
    }
}

/// Says why nothing can be compared here; true if so.
pub(crate) fn skipped() -> bool {
    static UMASK: Once = Once::new();
    UMASK.call_once(|| {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    });
    let programs: &[&str] =
        if Under::test() == Under::Ours { &["sh"] } else { &["sh", "logrotate"] };
    needs_root() || needs(programs)
}

/// Does every case of a text; `LOGQUOTA_CASE` picks those with that in their name.
pub(crate) fn check(text: &str) {
    if skipped() {
        return;
    }
    let mut cases = cases(text);
    cases.retain(|case| is_wanted(&case.name) && !needs(&programs(case)));
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(failure) = judge(case) {
                        failures.lock().expect("no panic").push((case.name.clone(), failure));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no panic");
    failures.sort();
    let names: Vec<_> = failures.iter().map(|(name, _)| name.as_str()).collect();
    let texts: String = failures.iter().map(|(_, text)| format!("{text}\n")).collect();
    assert!(
        failures.is_empty(),
        "{texts}{} of {} cases failed: {}",
        names.len(),
        cases.len(),
        names.join(" ")
    );
    println!("{} cases", cases.len());
}

/// Whether a case is among those that `LOGQUOTA_CASE` picks.
pub(crate) fn is_wanted(name: &str) -> bool {
    std::env::var("LOGQUOTA_CASE").map_or(true, |wanted| name.contains(&wanted))
}

fn programs(case: &Case) -> Vec<&str> {
    let mut programs: Vec<&str> = case.needs.iter().map(String::as_str).collect();
    if case.steps.iter().any(|step| matches!(step, Step::At(_))) {
        programs.push("faketime");
    }
    programs
}

/// Whether the case ends as it should, or is known not to.
pub(crate) fn judge(case: &Case) -> Result<(), String> {
    let result = outcome(case);
    match DIFFERENT.iter().find(|(name, _)| *name == case.name) {
        None => result,
        // Only the comparison says what ours cannot do: what a case states may hold all the same.
        Some(_) if Under::test() != Under::Both => Ok(()),
        Some(_) if result.is_err() => Ok(()),
        Some((name, why)) => {
            Err(format!("== {name} passes now: remove it from the list (\"{why}\")"))
        }
    }
}

/// Whether the case ends as it should.
///
/// Ages, names and what is due depend on the second, and the second side may have been in the next
/// one. Then it is done again; a case that takes longer than that each time has its last result.
fn outcome(case: &Case) -> Result<(), String> {
    let place = Place::new();
    let mut tries = 1;
    loop {
        let clock = Clock::start();
        let result = both(case, &place, clock);
        if result.is_ok() || !clock.is_unclear() || tries == TRIES {
            return result;
        }
        println!("{} differs when a second begins, and is tried again", case.name);
        tries += 1;
    }
}

fn both(case: &Case, place: &Place, clock: Clock) -> Result<(), String> {
    let runs: Vec<&Run> = case
        .steps
        .iter()
        .filter_map(|step| if let Step::Run(run) = step { Some(run) } else { None })
        .collect();
    let play = |program: &str| place.play(case, Path::new(program), clock);
    let theirs = (Under::test() != Under::Ours && case.hangs.is_none()).then(|| play(THEIRS));
    let ours = match Under::test() {
        Under::Theirs => None,
        _ => Some(play(OURS)),
    };
    for (index, run) in runs.iter().enumerate() {
        let one = theirs.as_ref().map(|looks| &looks[index]);
        let two = ours.as_ref().map(|looks| &looks[index]);
        let verdict = Verdict { run, one, two };
        if std::env::var_os("LOGQUOTA_SHOW").is_some() {
            println!("{}", verdict.report(case, index, "shown"));
        }
        verdict.check().map_err(|why| verdict.report(case, index, &why))?;
    }
    Ok(())
}

/// One run of a case, as both sides did it.
struct Verdict<'a> {
    run: &'a Run,
    one: Option<&'a Look>,
    two: Option<&'a Look>,
}

impl Verdict<'_> {
    fn check(&self) -> Result<(), String> {
        if let Some(one) = self.one {
            holds(one, &self.run.wants).map_err(|why| format!("theirs: {why}"))?;
            if let Some((_, _, differs)) = &self.run.differs
                && is_3_21()
                && holds(one, differs).is_ok()
            {
                return Err("3.21 does that too: say so without `newer` or `better`".to_owned());
            }
        }
        let Some(two) = self.two else { return Ok(()) };
        let mut wants = self.run.wants.clone();
        let mut expected = self.one.cloned();
        if let Some(expected) = &mut expected {
            let open = |want: &&Want| match want {
                Want::Any(_) => true,
                Want::Last(_, when) => when == "any",
                _ => false,
            };
            wants.iter().filter(open).for_each(|want| put(expected, want));
        }
        if let Some((_, _, differs)) = &self.run.differs {
            wants.retain(|want| !differs.iter().any(|other| replaces(other, want)));
            wants.extend(differs.iter().cloned());
            if let Some(expected) = &mut expected {
                differs.iter().for_each(|want| put(expected, want));
            }
        }
        holds(two, &wants).map_err(|why| format!("ours: {why}"))?;
        let Some(expected) = expected else { return Ok(()) };
        if expected.status != two.status {
            return Err(format!("exit status {} and {}", expected.status, two.status));
        }
        let prints = wants.iter().any(|want| matches!(want, Want::Prints(_)));
        if !prints && expected.stdout != two.stdout {
            return Err(format!("stdout {:?} and {:?}", expected.stdout, two.stdout));
        }
        let (_, same) = expected.diff(two);
        if same { Ok(()) } else { Err("the trees differ".to_owned()) }
    }

    fn report(&self, case: &Case, index: usize, why: &str) -> String {
        let mut text = format!("== {} run {}: {why}\n", case.name, index + 1);
        if let Some((who, why, wants)) = &self.run.differs {
            let who = if *who == Differs::Newer { "newer" } else { "better" };
            text += &format!("   {who} {why}: {wants:?}\n");
        }
        text += &match (self.one, self.two) {
            (Some(one), Some(two)) => {
                format!("  tree, theirs -, ours +:\n{}", one.diff(two).0)
            }
            (Some(look), None) | (None, Some(look)) => look.list(),
            (None, None) => String::new(),
        };
        for (who, look) in [("theirs", self.one), ("ours", self.two)] {
            if let Some(look) = look {
                let stderr = look.stderr.replace('\n', "\n      ");
                text += &format!("  {who}: exit {}, stderr:\n      {stderr}\n", look.status);
            }
        }
        text
    }
}

/// Whether the original is the one that the cases are written against.
fn is_3_21() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let output = Command::new(THEIRS).arg("--version").output().expect("it starts");
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).contains("logrotate 3.21")
    })
}

/// Whether the first statement stands for ours in the place of the second.
fn replaces(one: &Want, two: &Want) -> bool {
    match (one, two) {
        (Want::Exit(_), Want::Exit(_)) => true,
        (
            Want::Has(one, _) | Want::No(one) | Want::Mode(one, _),
            Want::Has(two, _) | Want::No(two) | Want::Mode(two, _),
        ) => one == two,
        (Want::Last(one, _), Want::Last(two, _)) => one == two,
        // A message that both have belongs behind the run; ours alone is told by `says` below.
        (Want::Says(_) | Want::Never(_), Want::Says(_)) => true,
        _ => false,
    }
}

const STATE: &str = "state";

fn last<'a>(look: &'a Look, log: &str) -> Option<&'a str> {
    match &look.tree.get(STATE)?.body {
        Some(Body::State(entries)) => entries.get(&format!("@/{log}")).map(String::as_str),
        _ => None,
    }
}

/// Whether all that is stated is so.
fn holds(look: &Look, wants: &[Want]) -> Result<(), String> {
    wants.iter().try_for_each(|want| hold(look, want))
}

fn hold(look: &Look, want: &Want) -> Result<(), String> {
    let clock = &look.clock;
    let entry = |path: &str| look.tree.get(clock.fill(path).as_str());
    let told = |is: bool, what: String| if is { Ok(()) } else { Err(what) };
    match want {
        Want::Exit(status) => {
            told(look.status == *status, format!("exit status {}, not {status}", look.status))
        }
        Want::Says(text) => {
            told(look.stderr.contains(&clock.fill(text)), format!("stderr has no {text:?}"))
        }
        Want::Never(text) => {
            told(!look.stderr.contains(&clock.fill(text)), format!("stderr has {text:?}"))
        }
        Want::Prints(text) => told(
            look.stdout.contains(text),
            format!("stdout has no {text:?} but {:?}", look.stdout),
        ),
        Want::No(path) => told(entry(path).is_none(), format!("there is {path}")),
        Want::Any(path) => told(entry(path).is_some(), format!("there is no {path}")),
        Want::Has(path, text) => {
            let found = entry(path).ok_or_else(|| format!("there is no {path}"))?;
            let Some(text) = text else { return Ok(()) };
            let text = clock.fill(text);
            let same = matches!(&found.body, Some(Body::Text(body)) if same_text(body, &text));
            told(same, format!("{path} has {:?}, not {text:?}", found.body))
        }
        Want::Mode(path, mode) => {
            let node = entry(path).and_then(|entry| entry.node.clone()).unwrap_or_default();
            let word = node.split(' ').nth(1).unwrap_or("none");
            told(word == format!("{mode:o}"), format!("{path} has mode {word}, not {mode:o}"))
        }
        Want::Owner(path, owner) => {
            let node = entry(path).and_then(|entry| entry.node.clone()).unwrap_or_default();
            let word = node.split(' ').nth(2).unwrap_or("none");
            told(word == owner, format!("{path} is {word}'s, not {owner}'s"))
        }
        Want::Mtime(path, time) => {
            let seen = entry(path).and_then(|entry| entry.mtime.clone()).unwrap_or_default();
            let time = stamp(time, clock);
            told(seen == time, format!("{path} is of {seen}, not {time}"))
        }
        Want::Last(log, when) => {
            let found = last(look, log).unwrap_or("none");
            let same = found == clock.in_state(when) || found == when || when == "any";
            told(same, format!("the state of {log} is {found}, not {when}"))
        }
    }
}

/// A text, compressed or not.
fn same_text(body: &str, text: &str) -> bool {
    let compressed = |how: &str| body.strip_prefix(how).is_some_and(|body| body == text);
    body == text || ["(gzip) ", "(zstd) ", "(xz) ", "(bzip2) "].into_iter().any(compressed)
}

fn stamp(time: &str, clock: &Clock) -> String {
    match clock.at(time) {
        Some(at) if time != "now" => at.format("%Y-%m-%d %H:%M:%S").to_string(),
        _ => time.to_owned(),
    }
}

/// Puts into what the original did what holds for ours instead.
fn put(look: &mut Look, want: &Want) {
    let clock = look.clock;
    let open = Entry { node: None, mtime: None, body: None };
    match want {
        Want::Exit(status) => look.status = *status,
        Want::No(path) => {
            look.tree.remove(clock.fill(path).as_str());
        }
        // Another file than the original's may be there: `holds` has looked at its content.
        Want::Has(path, _) => {
            look.tree.insert(clock.fill(path), open);
        }
        Want::Mode(path, _) | Want::Owner(path, _) => {
            if let Some(entry) = look.tree.get_mut(clock.fill(path).as_str()) {
                entry.node = None;
            }
        }
        Want::Any(path) => {
            if let Some(entry) = look.tree.get_mut(clock.fill(path).as_str()) {
                entry.body = None;
            }
        }
        Want::Mtime(path, _) => {
            if let Some(entry) = look.tree.get_mut(clock.fill(path).as_str()) {
                entry.mtime = None;
            }
        }
        Want::Last(log, when) => {
            let entry = look.tree.get_mut(STATE).and_then(|entry| entry.body.as_mut());
            if let Some(Body::State(entries)) = entry {
                let log = format!("@/{log}");
                match when.as_str() {
                    "none" => entries.remove(&log),
                    "now" | "hour" | "any" => entries.insert(log, when.clone()),
                    _ => entries.insert(log, clock.in_state(when)),
                };
            }
        }
        Want::Says(_) | Want::Never(_) | Want::Prints(_) => {}
    }
}
