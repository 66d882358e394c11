//! What `lint` says that a block uses at most, held against runs on a simulated disk: logs that
//! grow as assumed, run after run, never use more.

use logquota::Bytes;
use logquota::fs::sim::{SimDisk, SimFs};
use logquota::lint::{Question, Seen, lint};
use logquota::logrotate::{Dialect, MemEnv, read};
use logquota::policy::Rules;
use logquota::units::Age;
use logquota_tests::proptest_config;
use logquota_tests::sandbox::{Machine, NOON, at};
use proptest::prelude::*;
use proptest::test_runner::Config as Cases;

/// How much a log grows in a day at most.
const DAILY: u64 = 96 << 10;

/// Runs of one case.
const RUNS: usize = 40;

#[derive(Clone, Debug)]
struct Case {
    config: String,
    rules: Rules,
    run_every: u64,
    logs: usize,
    /// In each interval, how much of the most a log grows, in 256ths.
    growth: Vec<u8>,
}

fn lines() -> impl Strategy<Value = String> {
    let pick = |words: &'static [&'static str]| prop::sample::select(words);
    let when = pick(&[
        "size 16k",
        "size 16k",
        "hourly",
        "daily",
        "daily\nmaxsize 16k",
        "daily\nminsize 20k",
        "weekly",
        "minutes 45",
    ]);
    let count = pick(&["rotate 0", "rotate 1", "rotate 4", "rotate -1\nmaxage 2", "rotate -1"]);
    let naming = pick(&[
        "",
        "start 0",
        "dateext",
        "dateext\ndateformat -%Y%m%d-%H%M%S",
        "dateext\ndateformat -%Y%m",
    ]);
    let method = pick(&["create", "nocreate", "copytruncate", "renamecopy"]);
    let compress = pick(&["", "compress", "compress\ndelaycompress"]);
    let limits = pick(&[
        "",
        "",
        "quota 64k",
        "quota 64k\nlivetrim",
        "quota 200k",
        "quota 200k\nlivetrim",
        "maxfiles 6",
        "reserve 25%",
    ]);
    (when, count, naming, method, compress, limits).prop_map(|(a, b, c, d, e, f)| {
        format!("PATHS {{\n{a}\n{b}\n{c}\n{d}\n{e}\n{f}\nmissingok\n}}\n")
    })
}

fn cases() -> impl Strategy<Value = Case> {
    (
        lines(),
        prop::sample::select(vec![Rules::Own, Rules::Logrotate]),
        prop::sample::select(vec![1_800u64, 3_600, 21_600, 86_400]),
        1usize..4,
        prop::collection::vec(prop::sample::select(vec![0u8, 40, 255]), RUNS),
    )
        .prop_map(|(config, rules, run_every, logs, growth)| Case {
            config,
            rules,
            run_every,
            logs,
            growth,
        })
}

/// What was used, and what was said of it.
#[derive(Debug)]
struct Found {
    /// The most after any run, and its bound.
    largest: Bytes,
    bound: Bytes,
    /// The most at any moment, and its bound.
    peak: Bytes,
    with_growth: Bytes,
}

/// Runs a case; none where nothing is bounded.
fn largest(case: &Case) -> Option<Found> {
    let names: Vec<String> = (0..case.logs).map(|n| format!("/log/{n}.log")).collect();
    // Named one by one: where a pattern may match more logs, `reserve` is no bound.
    let config = case.config.replace("PATHS", &names.join(" "));
    let env = MemEnv::new().file("/etc/main", config);
    let mut parsed = read(&["/etc/main".into()], &env);
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    for set in &mut parsed.config.sets {
        set.policy.rules = case.rules;
    }
    let small = case.config.contains("reserve");
    let capacity = if small { Bytes::mib(4) } else { Bytes::mib(64) };
    let fs = SimFs::new(SimDisk { capacity, ..SimDisk::default() });
    fs.mkdir("/log").expect("a folder");
    for name in &names {
        fs.put(name, Vec::new(), NOON).expect("a log");
    }
    let mut machine = Machine::new(parsed.config.clone());
    machine.state = names.iter().map(|name| (name.into(), at(NOON).naive_local())).collect();
    let inventory = machine.scan(&fs).expect("a scan");
    let question = Question::new(&parsed, Dialect::Own)
        .run_every(Age::seconds(case.run_every))
        .growth(Some(Bytes::new(DAILY)))
        .seen(Seen { inventory: &inventory, others: &[], now: NOON });
    let found = lint(&question);
    let footprint = &found.blocks.first()?.footprint;
    assert_eq!(footprint.logs, case.logs as u64);
    let bound = footprint.after_run.bytes(question.growth);
    assert_eq!(bound.is_some(), footprint.missing.is_empty(), "{footprint:?}");
    let bound = bound?;
    let on_top = footprint.on_top.bytes(question.growth).unwrap_or(Bytes::MAX);
    let most = DAILY * case.run_every / 86_400;
    let (mut largest, mut peak) = (Bytes::ZERO, Bytes::ZERO);
    let mut now = NOON;
    for growth in &case.growth {
        now += i64::try_from(case.run_every).expect("seconds");
        fs.set_time(now);
        machine.now = at(now);
        fs.forget();
        let grown = usize::try_from(most * u64::from(*growth) / 255).expect("bytes");
        for name in &names {
            fs.append(name, &vec![b'x'; grown]).expect("room");
        }
        machine.run(&fs).expect("a run");
        peak = peak.max(fs.peak_used());
        largest = largest.max(used(&machine, &fs));
    }
    Some(Found { largest, bound, peak, with_growth: bound.plus(on_top) })
}

fn used(machine: &Machine, fs: &SimFs) -> Bytes {
    let inventory = machine.scan(fs).expect("a scan");
    inventory.sets.iter().map(|set| set.used()).sum()
}

proptest! {
    #![proptest_config(Cases { cases: proptest_config().cases.div_ceil(100), ..proptest_config() })]

    #[test]
    fn no_run_leaves_more_than_lint_has_said(case in cases()) {
        if let Some(found) = largest(&case) {
            prop_assert!(found.largest <= found.bound, "{found:?}");
            prop_assert!(found.peak <= found.with_growth, "{found:?}");
        }
    }
}

/// It did: the source of a copy was held open until the run ended.
#[test]
fn what_was_copied_and_deleted_occupies_nothing_on_the_way() {
    let case = Case {
        config: "PATHS {\nsize 16k\nrotate 1\nrenamecopy\nquota 200k\n}\n".to_owned(),
        rules: Rules::Own,
        run_every: 21_600,
        logs: 2,
        growth: vec![255],
    };
    let found = largest(&case).expect("a quota is a bound");
    // Two logs, and a copy of one of them at a time.
    assert_eq!(found.peak, Bytes::kib(3 * 24));
    assert_eq!(found.largest, Bytes::kib(2 * 24));
}
