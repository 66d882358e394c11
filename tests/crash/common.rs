//! Which cases run, how two machines are compared, and what is printed when they differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use logquota::Bytes;
use logquota::fs::sim::{Call, SimFs, Unsynced};
use logquota_tests::sandbox::{Machine, Ran, Seen, WorldSeen};
use logquota_tests::workloads::{Make, Promise, Workload};

/// Runs to be done before nothing is left to do: one that works and, where room is short,
/// some that compress what the ones before made room for.
pub(crate) const ROUNDS: usize = 6;

/// Which cases are wanted.
pub(crate) struct Wanted {
    prefix: Option<String>,
    long: bool,
}

impl Wanted {
    pub(crate) fn from_env() -> Self {
        let prefix = std::env::var("LOGQUOTA_SEED").ok().filter(|text| !text.is_empty());
        Self { prefix, long: std::env::var_os("LOGQUOTA_LONG").is_some_and(|v| v == "1") }
    }

    /// Whether a case of this name runs, or one whose name begins with it.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| {
            let is_within = |a: &str, b: &str| {
                a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            is_within(name, prefix) || is_within(prefix, name)
        })
    }

    /// How many seeds of a test are tried.
    pub(crate) fn seeds(&self, usual: u64) -> u64 {
        if self.long { usual.saturating_mul(10) } else { usual }
    }
}

/// The word for a model in the name of a case.
pub(crate) fn word(model: Unsynced) -> &'static str {
    match model {
        Unsynced::Kept => "kept",
        Unsynced::Dropped => "dropped",
        Unsynced::Torn => "torn",
    }
}

/// What a workload ends as when nothing goes wrong.
pub(crate) struct Reference {
    pub(crate) workload: Workload,
    pub(crate) end: WorldSeen,
    story: String,
    /// What was rotated had no room within the limits, and fitted when it was compressed. Where a
    /// run stops in between, the next one evicts what it finds, as that would: what compression
    /// gains is not counted on.
    fitted_compressed: bool,
}

impl Reference {
    pub(crate) fn of(make: Make, seed: u64, name: &str) -> Self {
        Self::of_workload(make(seed))
            .unwrap_or_else(|why| panic!("{name}: without any fault: {why}"))
    }

    pub(crate) fn of_workload(workload: Workload) -> Result<Self, String> {
        let mut machine = workload.machine.clone();
        let fs = workload.fs.reboot(Unsynced::Kept, 0);
        let end = machine.settle(&fs, ROUNDS).and_then(|runs| Ok((runs, machine.look(&fs)?)));
        let (runs, end) = end?;
        let story = runs.iter().map(|ran| format!("run:\n{}", ran.story())).collect();
        let mut sums = runs.iter().flat_map(|ran| &ran.plan.sets);
        let fitted_compressed = sums.any(|sums| sums.shortfall > Bytes::ZERO);
        Ok(Self { workload, end, story, fitted_compressed })
    }

    /// A fresh disk to work on.
    pub(crate) fn fs(&self) -> SimFs {
        self.workload.fs.reboot(Unsynced::Kept, 0)
    }

    pub(crate) fn machine(&self) -> Machine {
        self.workload.machine.clone()
    }

    /// Runs after a crash until nothing is left, and compares with the uncut run.
    pub(crate) fn recover(&self, fs: &SimFs, model: Unsynced) -> Result<Vec<Ran>, String> {
        let mut machine = self.machine();
        let runs = machine.settle(fs, ROUNDS)?;
        let end = machine.look(fs)?;
        self.compare(&end, model).map_err(|why| {
            let stories: String = runs.iter().map(|ran| format!("run:\n{}", ran.story())).collect();
            format!("{why}\nuncut:\n{}\nrecovery:\n{stories}", self.story)
        })?;
        Ok(runs)
    }

    /// The same after a run in which something failed: what could not be deleted when it was
    /// one too many stays until the log rotates the next time, and a copy that could not be
    /// compared with its original stays beside it.
    pub(crate) fn compare_after_failure(&self, end: &WorldSeen) -> Result<(), String> {
        self.compare_as(end, |have, want, _| {
            let may_repeat = self.workload.promise == Promise::MayRepeat;
            has_all(have, want) || may_repeat && is_repeated(have, want)
        })
    }

    /// Whether `end` is what the uncut run ends with, as far as the workload promises.
    pub(crate) fn compare(&self, end: &WorldSeen, model: Unsynced) -> Result<(), String> {
        self.compare_as(end, |have, want, same_names| match self.workload.promise {
            Promise::Same => have == want && (same_names || model != Unsynced::Kept),
            Promise::SameOrMore => has_all(have, want) && has_no_repeats(have),
            Promise::MayRepeat => is_repeated(have, want),
        })
    }

    fn compare_as(
        &self,
        end: &WorldSeen,
        judge: impl Fn(&[Seen], &[Seen], bool) -> bool,
    ) -> Result<(), String> {
        let expected = &self.end;
        if end.others != expected.others {
            return Err(format!("files: {:?}\nexpected: {:?}", end.others, expected.others));
        }
        if !end.logs.keys().eq(expected.logs.keys()) {
            return Err(format!("logs: {:#?}\nexpected: {:#?}", end.logs, expected.logs));
        }
        for ((path, log), expected) in end.logs.iter().zip(expected.logs.values()) {
            let differ = |what: &str| {
                Err(format!("{what} of {}: {log:#?}\nuncut: {expected:#?}", path.display()))
            };
            if log.active != expected.active {
                return differ("active file");
            }
            let contents = |log: &[(String, Seen)]| -> Vec<Seen> {
                log.iter().map(|(_, seen)| seen.clone()).collect()
            };
            let (have, want) = (contents(&log.archives), contents(&expected.archives));
            let same_names = log.archives == expected.archives;
            let may_differ = self.fitted_compressed && has_no_repeats(&have);
            if !judge(&have, &want, same_names) && !may_differ {
                return differ("archives");
            }
        }
        Ok(())
    }

    /// Whether all that the uncut run keeps is somewhere.
    pub(crate) fn lost(&self, fs: &SimFs) -> Option<String> {
        let mut left: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for (path, entry) in fs.snapshot() {
            let content = entry.content();
            if let Ok(content) = logquota_tests::sandbox::decompressed(&path, content) {
                *left.entry(content).or_default() += 1;
            }
        }
        for (path, log) in &self.end.logs {
            for (name, seen) in &log.archives {
                if !left.contains_key(&seen.content) {
                    return Some(format!("{name} of {} is lost", path.display()));
                }
            }
        }
        None
    }
}

/// In the same order, with more between them perhaps.
fn has_all(have: &[Seen], want: &[Seen]) -> bool {
    let mut have = have.iter();
    want.iter().all(|seen| have.any(|other| other == seen))
}

fn has_no_repeats(have: &[Seen]) -> bool {
    let mut contents: Vec<&[u8]> = have.iter().map(|seen| seen.content.as_slice()).collect();
    contents.sort_unstable();
    contents.windows(2).all(|pair| pair.first() != pair.last())
}

/// The newest may be there more than once; so many of the oldest are gone instead.
fn is_repeated(have: &[Seen], want: &[Seen]) -> bool {
    let Some(newest) = want.first() else { return have.is_empty() };
    let repeats = have.iter().filter(|seen| *seen == newest).count().saturating_sub(1);
    let once: Vec<&Seen> = have.iter().skip(repeats).collect();
    want.iter().take(once.len()).eq(once.iter().copied())
        && once.len() + repeats >= want.len()
        && once.len() <= want.len()
}

/// The calls up to the one that was not made any more, those that only look left out.
pub(crate) fn calls(log: &[Call], end: u64) -> String {
    let mut text = String::new();
    for call in log.iter().filter(|call| call.index < end && call.op.is_mutating()) {
        let _ = writeln!(text, "  {call}");
    }
    text
}

/// Stops the test with all that is needed to see what happened.
pub(crate) fn fail(case: &str, why: &str, calls: &str) -> ! {
    panic!(
        "{why}\n\ncalls:\n{calls}\nreplay: LOGQUOTA_SEED={case} cargo test -p logquota-tests --test crash"
    )
}
