//! A random policy on a random disk, and random things that happen to it: whatever they are,
//! the quota holds at every call, and every record is accounted for.
//!
//! Cases come from a seed, which is printed with a failure. `LOGQUOTA_SEED=7` runs that one,
//! `LOGQUOTA_CASES` sets how many cases each test has.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use proptest::array::{uniform4, uniform16};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::op::{Op, Trouble};
use crate::setup::{Kind, Setup};
use crate::world::World;

/// Operations of one case.
const OPS: usize = 24;

/// No test takes as long, unless a call waits for ever.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Clone)]
struct Case {
    setup: Setup,
    ops: Vec<Op>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?}", self.setup)?;
        self.ops.iter().enumerate().try_for_each(|(index, op)| writeln!(f, "{index:>3} {op:?}"))
    }
}

fn cases(kind: Kind, trouble: Trouble) -> impl Strategy<Value = Case> {
    let ops = prop::collection::vec(uniform4(any::<u8>()), 1..=OPS);
    (uniform16(any::<u8>()), ops).prop_map(move |(setup, ops)| Case {
        setup: Setup::of(&setup, kind),
        ops: ops.iter().map(|raw| Op::of(raw, trouble)).collect(),
    })
}

fn play(case: &Case) -> Result<(), String> {
    let mut world = World::new(case.setup.clone()).map_err(|why| format!("at first: {why}"))?;
    for (index, op) in case.ops.iter().enumerate() {
        let applied = world.apply(*op);
        applied.map_err(|why| format!("{index} {op:?}: {why}\n{}", world.calls()))?;
    }
    let finished = world.finish();
    finished.map_err(|why| format!("{why}\n{}", world.calls()))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs cases of these seeds. A call that waits for ever fails, too, and says in which case.
fn search(kind: Kind, trouble: Trouble) {
    let long = std::env::var_os("LOGQUOTA_LONG").is_some_and(|value| value == "1");
    let cases_each = 50u32;
    let usual = if long { 20_000 } else { 600 };
    let seeds = number("LOGQUOTA_CASES").unwrap_or(usual).div_ceil(u64::from(cases_each));
    let only = number("LOGQUOTA_SEED");
    let now = Arc::new(Mutex::new(String::new()));
    let (done, wait) = mpsc::channel();
    let playing = Arc::clone(&now);
    let worker = std::thread::spawn(move || {
        for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
            let mut bytes = [0u8; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
            let config = Config {
                cases: cases_each,
                failure_persistence: None,
                max_shrink_iters: 4000,
                ..Config::default()
            };
            let result = TestRunner::new_with_rng(config, rng).run(&cases(kind, trouble), |case| {
                *playing.lock().unwrap_or_else(PoisonError::into_inner) = format!("{case:?}");
                play(&case).map_err(TestCaseError::fail)
            });
            if let Err(error) = result {
                panic!("LOGQUOTA_SEED={seed}\n{error}");
            }
        }
        let _ = done.send(());
    });
    if wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("it waits for ever:\n{}", now.lock().unwrap_or_else(PoisonError::into_inner));
    }
    if let Err(panic) = worker.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_account_of_a_written_log_is_exact() {
    search(Kind::Written, Trouble::default());
}

#[test]
fn the_account_of_a_buffered_log_is_exact() {
    search(Kind::Buffered, Trouble::default());
}

#[test]
fn the_account_is_exact_whatever_fails() {
    search(Kind::Written, Trouble { faults: true, ..Trouble::default() });
    search(Kind::Buffered, Trouble { faults: true, ..Trouble::default() });
}

#[test]
fn the_account_is_exact_whatever_others_do() {
    search(Kind::Written, Trouble { others: true, ..Trouble::default() });
    search(Kind::Buffered, Trouble { others: true, ..Trouble::default() });
}

#[test]
fn the_account_is_exact_with_two_appenders_at_one_log() {
    search(Kind::Written, Trouble { company: true, ..Trouble::default() });
    search(Kind::Buffered, Trouble { company: true, ..Trouble::default() });
}

#[test]
fn h52_h53_what_was_kept_is_there_after_a_crash_at_any_call() {
    search(Kind::Written, Trouble { crashes: true, ..Trouble::default() });
    search(Kind::Buffered, Trouble { crashes: true, ..Trouble::default() });
}

#[test]
fn the_account_is_exact_whatever_happens_together() {
    let all = Trouble { faults: true, others: true, crashes: true, company: true };
    search(Kind::Written, all);
    search(Kind::Buffered, all);
}
