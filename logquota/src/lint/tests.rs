//! Each finding beside a neighbour that has none.

use super::*;
use crate::fs::ReadFs as _;
use crate::fs::sim::{SimDisk, SimFs};
use crate::logrotate::{MemEnv, read_as};
use crate::scan::{others, scan};

const NOW: i64 = 1_795_262_400;
const HOUR: Age = Age::seconds(3_600);

fn parsed(text: &str, dialect: Dialect) -> Parsed {
    let env = MemEnv::new().file("/etc/main", text);
    read_as(&["/etc/main".into()], &env, dialect)
}

/// A block for `/v/a.log` with these lines.
fn of(lines: &str) -> String {
    format!("/v/a.log {{\nmissingok\n{lines}\n}}\n")
}

/// `code:line` of all findings.
fn told(text: &str, dialect: Dialect, run_every: Age) -> Vec<String> {
    let parsed = parsed(text, dialect);
    let found = lint(&Question::new(&parsed, dialect).run_every(run_every));
    let told = |f: &Finding| format!("{}:{}", f.code.name(), f.diagnostic.line);
    found.findings.iter().map(told).collect()
}

fn footprint_of(lines: &str, daily: Option<Bytes>) -> Footprint {
    let parsed = parsed(&of(lines), Dialect::Own);
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    let found = lint(&Question::new(&parsed, Dialect::Own).growth(daily));
    found.blocks.into_iter().next().expect("a block").footprint
}

#[track_caller]
fn assert_told(has: &str, has_not: &str, code: Code, dialect: Dialect, run_every: Age) {
    let is_told = |text: &str| {
        let found = told(text, dialect, run_every);
        found.iter().any(|found| found.starts_with(&format!("{}:", code.name())))
    };
    assert!(is_told(has), "{} is not told: {has}", code.name());
    assert!(!is_told(has_not), "{} is told: {has_not}", code.name());
}

#[test]
fn what_the_reader_says_is_told_first() {
    let text =
        "/v/a.log {\nrotate x\n}\n/v/b.log {\nquota 1M\nlivetrim\ndelaycompress\nmissingok\n}\n";
    assert_eq!(told(text, Dialect::Own, HOUR), ["configuration:2", "no-effect:7"]);
    let parsed = parsed(text, Dialect::Own);
    let found = lint(&Question::new(&parsed, Dialect::Own));
    assert_eq!((found.faulty, found.blocks.len()), (1, 1));
    assert_eq!(found.count(Severity::Error), 1);
    assert_eq!((found.blocks[0].place.line, found.blocks[0].place.column), (4, 1));
}

#[test]
fn without_a_quota_nothing_bounds_a_block() {
    for lines in [
        "daily",
        "daily\nmaxsize 1M\nrotate 2",
        "size 1M\nrotate 3",
        "rotate -1",
        "minage 1\nweekly",
        "copy\nquota 1M",
        "size 1M\ndateext\ndateformat -%d\nrotate 40",
    ] {
        let bounded = of("quota 1M\nlivetrim");
        assert_told(&of(lines), &bounded, Code::Unbounded, Dialect::Own, Age::days(1));
    }
    let all = format!("quota 5M\n{}", of("daily\nlivetrim"));
    assert_told(&of("daily"), &all, Code::Unbounded, Dialect::Own, Age::days(1));
    // What is too long when a run comes goes with the archive that it becomes.
    let gone = of("size 1M\nrotate 0");
    assert_told(&of("size 1M\nrotate 1"), &gone, Code::Unbounded, Dialect::Own, Age::days(1));
    let many = gone.replace("/v/a.log", "/v/*.log");
    assert_told(&many, &gone, Code::Unbounded, Dialect::Own, Age::days(1));
}

#[test]
fn a_footprint_is_what_stays_and_what_grows() {
    let blocks = |count: u64| Bytes::kib(4 * count);
    let days = Age::days;
    for (lines, fixed, growth, missing) in [
        ("daily\nrotate 7", blocks(8), days(1 + 7 * 2), vec![Missing::Length]),
        ("size 1M\nrotate 4", Bytes::mib(5).plus(blocks(5)), days(4), vec![Missing::Growth]),
        (
            "daily\nmaxsize 1M\nrotate 4",
            Bytes::mib(5).plus(blocks(5)),
            days(4),
            vec![Missing::Growth],
        ),
        (
            "weekly\nminsize 1M\nrotate 1",
            Bytes::mib(2).plus(blocks(2)),
            days(7 + 8),
            vec![Missing::Length],
        ),
        ("size 1M\nrotate 0", Bytes::mib(1).plus(blocks(1)), days(0), vec![]),
        (
            "daily\nrotate -1\nmaxage 9",
            // A block for each archive of ten days, for the one that reaches back, for the log.
            blocks(13),
            days(1 + 10 + 2),
            vec![Missing::Length],
        ),
        (
            "size 1M\nrotate -1\nmaxfiles 9",
            Bytes::mib(10).plus(blocks(10)),
            days(9),
            vec![Missing::Growth],
        ),
        ("daily\nrotate 400\nquota 3M\nlivetrim", Bytes::mib(3), days(0), vec![]),
        // What is in use, or was rotated just now, grew for a day and until the run.
        ("daily\nrotate 400\nquota 3M", Bytes::mib(3), days(2), vec![Missing::InUse]),
        ("size 2M\nquota 2M", Bytes::mib(2).plus(blocks(1)), days(1), vec![Missing::InUse]),
    ] {
        let found = footprint_of(lines, None);
        assert_eq!(found.after_run, Amount::AtMost { fixed, growth }, "{lines}");
        assert_eq!(found.missing, missing, "{lines}");
    }
    for lines in ["daily\nrotate -1", "daily\nminage 2", "copy", "dateext\ndateformat -%d"] {
        assert_eq!(
            footprint_of(lines, Some(Bytes::mib(1))).after_run,
            Amount::Unbounded,
            "{lines}"
        );
    }
}

#[test]
fn a_copy_and_a_compressed_file_come_on_top_unless_a_quota_makes_room_first() {
    let alone =
        |lines: &str| footprint_of(lines, Some(Bytes::mib(1))).on_top.bytes(Some(Bytes::mib(1)));
    let growth = Some(Bytes::mib(1));
    assert_eq!(alone("size 8M\nrotate 2"), growth);
    for lines in ["copytruncate", "compress"] {
        let archive = Bytes::mib(8 + 1).plus(Bytes::kib(4));
        let lines = format!("size 8M\nrotate 2\n{lines}");
        assert_eq!(alone(&lines), Some(Bytes::mib(1).plus(archive)), "{lines}");
        assert_eq!(alone(&format!("{lines}\nquota 20M")), growth, "{lines}");
    }
}

#[test]
fn who_says_how_a_log_grows_gets_an_amount() {
    let found = footprint_of("daily\nrotate 7", Some(Bytes::mib(2)));
    assert_eq!(found.missing, []);
    assert_eq!(
        found.after_run.bytes(Some(Bytes::mib(2))),
        Some(Bytes::mib(30).plus(Bytes::kib(32)))
    );
    assert_eq!(found.after_run.bytes(None), None);
    let vast = footprint_of("yearly\nrotate 4000000000", Some(Bytes::MAX));
    assert_eq!(vast.after_run.bytes(Some(Bytes::MAX)), Some(Bytes::MAX));
}

#[test]
fn runs_that_come_too_rarely_are_told() {
    for (has, every, enough) in [
        ("hourly", Age::days(1), HOUR),
        ("daily", Age::days(2), Age::days(1)),
        ("minutes 5", Age::seconds(900), Age::seconds(300)),
    ] {
        let text = of(&format!("quota 1M\nlivetrim\n{has}"));
        assert_eq!(told(&text, Dialect::Own, every), ["runs-too-rare:1"], "{has}");
        assert_eq!(told(&text, Dialect::Own, enough), Vec::<String>::new(), "{has}");
    }
}

#[test]
fn a_date_that_stays_the_same_until_the_next_rotation_is_told() {
    for (has, has_not, every) in [
        ("size 1M", "size 1M\ndateformat -%Y%m%d-%s", HOUR),
        ("hourly\ndateformat -%Y%m%d", "hourly", HOUR),
        ("daily\nmaxsize 1M", "daily", HOUR),
        ("daily\ndateformat -%Y%m", "monthly\ndateformat -%Y%m", Age::days(1)),
        ("weekly\ndateformat -%d", "weekly\ndateformat -%Y%m%d", Age::days(1)),
        ("daily\ndateformat -%Y%m", "daily\nnodateext\ndateformat -%Y%m", Age::days(1)),
    ] {
        let text = |lines: &str| of(&format!("quota 1M\nlivetrim\ndateext\n{lines}"));
        assert_told(&text(has), &text(has_not), Code::DateTooCoarse, Dialect::Own, every);
    }
}

#[test]
fn two_blocks_that_can_match_the_same_log_are_told() {
    let two = |a: &str, b: &str| {
        format!("{a} {{\nquota 1M\nlivetrim\n}}\n{b} {{\nquota 1M\nlivetrim\n}}\n")
    };
    for (a, b, c) in [
        ("/v/*.log", "/v/a.log", "/v/a.txt"),
        ("/v/a*", "/v/*b", "/w/*b"),
        ("/v/a.log", "/v/a.log", "/v/b.log"),
        ("/v/x.log /v/a*.log", "/v/ab.log", "/v/b.log"),
    ] {
        for dialect in [Dialect::Own, Dialect::Logrotate] {
            assert_told(&two(a, b), &two(a, c), Code::OverlappingPatterns, dialect, HOUR);
        }
    }
    let ignores = two("/v/*.log", "/v/a.log").replacen("quota 1M\nlivetrim", "ignoreduplicates", 1);
    let both = two("/v/*.log", "/v/a.log");
    assert_told(&both, &ignores, Code::OverlappingPatterns, Dialect::Own, HOUR);
    let text = "/v/x.log  /v/y.log\n  /v/a.log\n{\nquota 1M\nlivetrim\n}\n/v/z.log /v/y.log {\nquota 1M\nlivetrim\n}\n";
    let parsed = parsed(text, Dialect::Own);
    let found = lint(&Question::new(&parsed, Dialect::Own)).findings;
    let at = &found.iter().find(|f| f.code == Code::OverlappingPatterns).expect("told").diagnostic;
    assert_eq!((at.line, at.column), (7, 10));
    assert!(at.message.contains("(line 1)"), "{}", at.message);
}

#[test]
fn a_pattern_that_matches_its_own_archives_is_told() {
    let block =
        |pattern: &str, lines: &str| format!("{pattern} {{\nquota 1M\nlivetrim\n{lines}\n}}\n");
    for (has, has_not, lines) in [
        ("/v/app*", "/v/app*.log", ""),
        ("/v/*", "/v/*.log", "dateext"),
        ("/v/*.gz", "/v/*.log", "compress"),
        ("/v/*.log", "/v/*.log.txt", "extension .log"),
        ("/v/app*", "/v/app", ""),
    ] {
        let (has, has_not) = (block(has, lines), block(has_not, lines));
        for dialect in [Dialect::Own, Dialect::Logrotate] {
            assert_told(&has, &has_not, Code::MatchesOwnArchives, dialect, HOUR);
        }
    }
    let elsewhere = block("/v/app*", "olddir /v/old");
    let beside = block("/v/app*", "");
    assert_told(&beside, &elsewhere, Code::MatchesOwnArchives, Dialect::Own, HOUR);
    // Where archives become logs, no number of them is a bound.
    let text = "/v/app* {\nsize 1M\nrotate 1\n}\n";
    for (dialect, missing) in
        [(Dialect::Own, vec![]), (Dialect::Logrotate, vec![Missing::OwnArchives])]
    {
        let parsed = parsed(text, dialect);
        let found = lint(&Question::new(&parsed, dialect).growth(Some(Bytes::mib(1))));
        assert_eq!(found.blocks[0].footprint.missing, missing);
    }
}

#[test]
fn copytruncate_and_a_quota_that_is_never_reached_are_told() {
    let (has, has_not) = (of("quota 1M\nlivetrim\ncopytruncate"), of("quota 1M\nlivetrim\ncreate"));
    assert_told(&has, &has_not, Code::CopytruncateWindow, Dialect::Own, HOUR);
    let global = |own| format!("quota 2M\n{}", of(own));
    let (has, has_not) = (global("quota 3M"), global("quota 2M"));
    assert_told(&has, &has_not, Code::NoEffect, Dialect::Own, HOUR);
}

#[test]
fn what_is_followed_in_logrotates_dialect_is_not_without_effect_there() {
    for (has, has_not) in [
        ("delaycompress", "compress\ndelaycompress"),
        ("shredcycles 2", "shred\nshredcycles 2"),
        ("uncompresscmd x", "mail a@b\nuncompresscmd x"),
    ] {
        let text = |lines: &str| of(&format!("quota 1M\nlivetrim\n{lines}"));
        assert_told(&text(has), &text(has_not), Code::NoEffect, Dialect::Logrotate, HOUR);
    }
}

/// Findings about what lies on the disk, `code severity file`.
fn seen(text: &str, fs: &SimFs) -> Vec<String> {
    let parsed = parsed(text, Dialect::Own);
    let inventory = scan(fs, &parsed.config, &|_| None).expect("a scan");
    let others = others(fs, &inventory);
    let seen = Seen { inventory: &inventory, others: &others, now: NOW };
    let found = lint(&Question::new(&parsed, Dialect::Own).run_every(HOUR).seen(seen));
    let told = |f: &Finding| {
        format!("{} {} {}", f.code.name(), f.diagnostic.severity, f.diagnostic.file.display())
    };
    found.findings.iter().map(told).collect()
}

fn disk() -> SimFs {
    let fs = SimFs::new(SimDisk::default());
    fs.mkdir("/v").expect("a folder");
    for (name, age) in [("a.log", 0), ("a.log.1", 60), ("a.log.2.gz", 90)] {
        fs.put(format!("/v/{name}"), b"x".to_vec(), NOW - age).expect("a file");
    }
    fs
}

const NONE: [&str; 0] = [];

#[test]
fn a_file_that_grows_beside_the_logs_is_told() {
    let fs = disk();
    let text = of("quota 1M\nlivetrim");
    assert_eq!(seen(&text, &fs), NONE);
    let put = |name: &str, content: &[u8], age: i64| {
        fs.put(format!("/v/{name}"), content.to_vec(), NOW - age).expect("a file");
    };
    put("old.log", b"x", 86_400);
    put("empty.log", b"", 0);
    fs.mkdir("/v/sub.log").expect("a folder");
    fs.mkdir("/other").expect("a folder");
    fs.put("/other/far.log", b"x".to_vec(), NOW).expect("a file");
    assert_eq!(seen(&text, &fs), NONE);
    put("stray.log", b"x", 86_399);
    put("wtmp", b"x", 0);
    assert_eq!(
        seen(&text, &fs),
        ["unmatched-log warning /v/stray.log", "unmatched-log note /v/wtmp"]
    );
    assert_eq!(seen(&text.replace("a.log", "*"), &fs).len(), 1, "only the pattern is told");
}

#[test]
fn quotas_that_the_disk_has_not_are_told() {
    let fs = disk();
    assert_eq!(seen(&of("quota 60M"), &fs), NONE);
    assert_eq!(seen(&of("quota 65M"), &fs), ["quotas-exceed-disk warning /v"]);
    let two = format!("{}/v/b.log {{\nmissingok\nquota 40M\n}}\n", of("quota 40M"));
    assert_eq!(seen(&two, &fs), ["quotas-exceed-disk warning /v"]);
    assert_eq!(seen(&format!("quota 50M\n{two}"), &fs), NONE);
    fs.mkdir("/else").expect("a folder");
    fs.put("/else/big", vec![0; 20 << 20], NOW).expect("a file");
    assert_eq!(seen(&of("quota 60M"), &fs), ["quotas-exceed-free note /v"]);
    assert_eq!(seen(&format!("ballast 3M\n{}", of("quota 30M")), &fs), NONE);
    let ballast = format!("ballast 20M\n{}", of("quota 30M"));
    assert_eq!(seen(&ballast, &fs), ["quotas-exceed-free note /v"]);
    // What we use ourselves can be had.
    fs.unlink("/else/big").expect("gone");
    fs.put("/v/a.log.3", vec![0; 20 << 20], NOW).expect("a file");
    assert_eq!(seen(&of("quota 60M"), &fs), NONE);
}

#[test]
fn a_ballast_that_the_disk_is_too_small_for_is_told() {
    let fs = disk();
    // An eighth of it must be free, and an eighth more.
    assert_eq!(seen(&format!("ballast 50M\n{}", of("quota 1M\nlivetrim")), &fs), NONE);
    let large = format!("ballast 52M\n{}", of("quota 1M\nlivetrim"));
    assert_eq!(seen(&large, &fs), ["ballast-exceeds-disk warning /v"]);
    let beside = format!("ballast 50M\nreserve 10M\n{}", of("quota 1M\nlivetrim"));
    assert_eq!(seen(&beside, &fs), ["ballast-exceeds-disk warning /v"]);
    let sum = format!("ballast 40M\n{}", of("quota 30M"));
    assert_eq!(seen(&sum, &fs), ["quotas-exceed-disk warning /v"]);
}

#[test]
fn logs_that_a_run_leaves_alone_are_told() {
    let fs = disk();
    let strict = of("quota 1M\nlivetrim").replace("missingok", "nomissingok");
    assert_eq!(seen(&strict, &fs), NONE);
    let gone = strict.replace("a.log", "b.log");
    assert_eq!(seen(&gone, &fs), ["left-alone warning /v/b.log", "unmatched-log warning /v/a.log"]);
    let gone = format!("{gone}/v/a.log {{\nquota 1M\nlivetrim\n}}\n");
    assert_eq!(seen(&gone, &fs), ["left-alone warning /v/b.log"]);
    assert_eq!(seen(&gone.replace("nomissingok", "missingok"), &fs), NONE);
    fs.hardlink("/v/a.log", "/elsewhere").expect("a link");
    assert_eq!(seen(&strict, &fs), ["left-alone warning /v/a.log"]);
    assert_eq!(seen(&of("quota 1M\nlivetrim\nallowhardlink"), &fs), NONE);
}

#[test]
fn a_reserve_is_a_bound_where_logs_are_counted_and_their_length_is_limited() {
    let fs = disk();
    let basis = |lines: &str, growth: Option<Bytes>| {
        let parsed = parsed(&of(lines), Dialect::Own);
        let inventory = scan(&fs, &parsed.config, &|_| None).expect("a scan");
        let seen = Seen { inventory: &inventory, others: &[], now: NOW };
        let question = Question::new(&parsed, Dialect::Own).seen(seen).growth(growth);
        let footprint = &lint(&question).blocks[0].footprint;
        (footprint.basis, footprint.after_run.bytes(growth), footprint.missing.is_empty())
    };
    let left = Bytes::mib(48);
    let lines = "size 1M\nrotate -1\nreserve 25%";
    let growth = Some(Bytes::mib(1));
    assert_eq!(basis(lines, growth), (Basis::Reserve, Some(left), true));
    // Nobody says what a run rotates, which stays until the next one.
    assert_eq!(basis(lines, None), (Basis::Rotation, None, false));
    let waits = format!("{lines}\ncopytruncate");
    assert_eq!(basis(&waits, growth), (Basis::Rotation, None, false));
    let quota = (Basis::Quota, Some(Bytes::mib(2)), true);
    assert_eq!(basis(&format!("{lines}\nquota 2M\nlivetrim"), None), quota);
}

#[test]
fn a_check_changes_nothing_and_its_answer_does_not_depend_on_how_often_one_asks() {
    let fs = disk();
    let before = (fs.mutating_calls(), fs.snapshot().len());
    let text = of("daily");
    assert_eq!(seen(&text, &fs), seen(&text, &fs));
    assert_eq!((fs.mutating_calls(), fs.snapshot().len()), before);
    assert!(fs.open_root("/v".as_ref()).is_ok());
}
