//! What logrotate's rules make of old copies, on a simulated disk: one row, one rule. The files
//! hold their own names, so that it shows who became what.

use logquota::fs::sim::{Content, SimDisk, SimFs};
use logquota::naming::{DateFormat, DateShift, Naming};
use logquota::policy::{
    Compress, Count, Method, NewFile, Policy, RotateWhen, Rules, Scripts, Selector, SetSpec,
};
use logquota::stamp::Kind;
use logquota::{Bytes, Codec, Config};
use logquota_tests::sandbox::{Machine, NOON, decompressed};

const DAY: i64 = 86_400;

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.rules = Rules::Logrotate;
    policy.when = RotateWhen::Size(Bytes::new(1));
    policy.count = Count::AtMost(2);
    policy
}

fn gzip(delay: bool) -> Option<Compress> {
    Some(Compress { delay, ..Compress::with(Codec::Gzip) })
}

/// Files before, each holding its own name, `NAME@DAYS` that many days old, and folders `NAME/`;
/// after the run each as `NAME=CONTENT`, and the scripts that ran.
fn run(policy: &Policy, before: &str) -> String {
    run_set(SetSpec::pattern("/log/a", policy.clone()), before)
}

fn run_set(set: SetSpec, before: &str) -> String {
    let fs = SimFs::new(SimDisk::default());
    fs.mkdir("/log").expect("a folder");
    for file in before.split_whitespace() {
        if let Some(folder) = file.strip_suffix('/') {
            fs.mkdir(format!("/log/{folder}")).expect("a folder");
            continue;
        }
        let (name, days) = file.split_once('@').unwrap_or((file, "0"));
        let days: i64 = days.parse().expect("days");
        let content = Content::Bytes(name.as_bytes().to_vec());
        fs.put(format!("/log/{name}"), content, NOON - days * DAY).expect("a file");
    }
    let mut machine = Machine::new(Config::single(set));
    let ran = machine.run(&fs).expect("a run");
    let mut after: Vec<String> = Vec::new();
    for (path, entry) in fs.snapshot() {
        let Ok(name) = path.strip_prefix("/log") else { continue };
        let name = name.to_string_lossy();
        if name.is_empty() {
            continue;
        }
        if entry.kind == Kind::Dir {
            after.push(format!("{name}/"));
            continue;
        }
        let text = if name.ends_with(".gz") && entry.content().starts_with(&[0x1f, 0x8b]) {
            decompressed(&path, entry.content()).expect("gzip")
        } else {
            entry.content().to_vec()
        };
        after.push(format!("{name}={}", String::from_utf8_lossy(&text)));
    }
    let scripts: Vec<_> = ran.hooks.ran.iter().map(|(hook, _)| hook.name()).collect();
    let problems = ran.plan.problems.iter().filter(|problem| problem.is_error).count();
    let story = [after.join(" "), scripts.join(" "), "!".repeat(problems)];
    story.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" | ")
}

#[test]
fn numbered_copies_all_move_up_and_the_one_behind_the_last_goes() {
    let mut policy = policy();
    for (before, after) in [
        ("a", "a.1=a"),
        ("a a.1 a.2", "a.1=a a.2=a.1"),
        // Gaps move along; what is beyond the last is never looked at.
        ("a a.2 a.4", "a.1=a a.4=a.4"),
        ("a a.1 a.3", "a.1=a a.2=a.1"),
        ("a a.2 a.3", "a.1=a"),
    ] {
        assert_eq!(run(&policy, before), after, "{before}");
    }
    policy.count = Count::Unlimited;
    assert_eq!(run(&policy, "a a.1 a.3"), "a.1=a a.2=a.1 a.4=a.3");
    policy.count = Count::AtMost(1);
    policy.naming = Naming::numbered(0);
    assert_eq!(run(&policy, "a a.0"), "a.0=a");
}

#[test]
fn rotate_0_removes_the_new_copy_and_what_stood_before_it_stays() {
    let mut policy = policy();
    policy.count = Count::AtMost(0);
    policy.create = Some(NewFile::default());
    assert_eq!(run(&policy, "a a.1"), "a= a.2=a.1");
    policy.method = Method::CopyTruncate;
    assert_eq!(run(&policy, "a a.1"), "a=");
    policy.method = Method::Copy;
    assert_eq!(run(&policy, "a"), "a=a");
}

#[test]
fn with_compress_only_compressed_copies_take_part() {
    let mut policy = policy();
    policy.compress = gzip(false);
    assert_eq!(run(&policy, "a a.1.gz a.2.gz"), "a.1.gz=a a.2.gz=a.1.gz");
    assert_eq!(run(&policy, "a a.2"), "a.1.gz=a a.2=a.2");
    policy.compress = gzip(true);
    assert_eq!(run(&policy, "a a.1 a.2.gz"), "a.1=a a.2.gz=a.1");
}

#[test]
fn a_plain_copy_in_the_way_is_not_overwritten() {
    let mut policy = policy();
    policy.compress = gzip(false);
    // `compress` was switched on.
    assert_eq!(run(&policy, "a a.1"), "a.1.gz=a a.2.gz=a.1");
    let aside = "a.1-2026112112.backup=a.1 a.1.gz=a a.2.gz=a.1.gz";
    assert_eq!(run(&policy, "a a.1 a.1.gz"), aside);
    // A stray compressed one, where the plain one was to be compressed late.
    policy.compress = gzip(true);
    let aside = "a.1=a a.1.gz-2026112112.backup=a.1.gz a.2.gz=a.1";
    assert_eq!(run(&policy, "a a.1 a.1.gz"), aside);
}

#[test]
fn within_a_quota_plain_copies_keep_their_place_where_there_is_no_room_to_compress_them() {
    let mut policy = policy();
    policy.count = Count::AtMost(5);
    // Each file occupies a block.
    let full = Bytes::new(4 * SimDisk::default().block.get());
    policy.limits.quota = Some(full);
    for delay in [false, true] {
        policy.compress = gzip(delay);
        for (before, after) in [
            ("a a.1 a.2 a.3.gz", "a.1=a a.2=a.1 a.3=a.2 a.4.gz=a.3.gz"),
            ("a a.1 a.2.gz a.3", "a.1=a a.2=a.1 a.3.gz=a.2.gz a.4=a.3"),
            // The plain one beside a compressed one has no place, and keeps its name.
            ("a a.2 a.3 a.3.gz", "a.1=a a.2=a.2 a.3=a.3 a.4.gz=a.3.gz"),
        ] {
            assert_eq!(run(&policy, before), after, "{before}");
        }
        // A quota that has room changes nothing.
        policy.limits.quota = Some(Bytes::kib(64));
        let compressed = if delay { "a.1=a a.2.gz=a.1" } else { "a.1.gz=a a.2.gz=a.1" };
        assert_eq!(run(&policy, "a a.1"), compressed);
        policy.limits.quota = Some(full);
    }
    policy.count = Count::AtMost(0);
    assert_eq!(run(&policy, "a a.1 a.2 a.3.gz"), "a.2=a.1 a.3.gz=a.3.gz");
}

#[test]
fn dated_copies_go_by_number_and_todays_is_not_overwritten() {
    let mut policy = policy();
    policy.naming = Naming::dated(DateFormat::daily(), DateShift::default());
    let (old, older) = ("a-20261120", "a-20261119");
    assert_eq!(run(&policy, &format!("a {old} {older}")), format!("{old}={old} a-20261121=a"));
    let there = "a a-20261121";
    assert_eq!(run(&policy, there), "a=a a-20261121=a-20261121 | !");
    policy.compress = gzip(true);
    let after = "a-20261120.gz=a-20261120 a-20261121=a";
    assert_eq!(run(&policy, "a a-20261120"), after);
}

#[test]
fn copies_that_are_too_old_go_instead_of_moving() {
    let mut policy = policy();
    policy.count = Count::AtMost(5);
    policy.max_age_days = Some(1);
    // Whole days must exceed the number.
    assert_eq!(run(&policy, "a a.1@1 a.2@2"), "a.1=a a.2=a.1");
    // Of a log that does not rotate nothing goes.
    policy.when = RotateWhen::Size(Bytes::mib(1));
    assert_eq!(run(&policy, "a a.1@9"), "a=a a.1=a.1");
}

#[test]
fn a_folder_under_the_name_of_a_copy_is_renamed_and_never_removed() {
    let mut policy = policy();
    assert_eq!(run(&policy, "a a.1/"), "a.1=a a.2/");
    assert_eq!(run(&policy, "a a.2/"), "a.1=a a.3/ | !");
    // It does not give way to another one.
    assert_eq!(run(&policy, "a a.2 a.3/"), "a=a a.2=a.2 a.3/ | !");
    policy.compress = gzip(true);
    assert_eq!(run(&policy, "a a.1/"), "a=a a.1/ | !");
    policy.compress = None;
    policy.count = Count::AtMost(1);
    policy.naming = Naming::dated(DateFormat::daily(), DateShift::default());
    assert_eq!(run(&policy, "a a-20261120/"), "a-20261120/ a-20261121=a | !");
}

#[test]
fn a_copy_that_is_a_log_too_has_both_roles() {
    let mut policy = policy();
    policy.naming.extension = Some(".log".into());
    let run = |policy: &Policy, before: &str| {
        let mut set = SetSpec::pattern("/log/*.log", policy.clone());
        let logs = ["/log/a.1.log", "/log/a.log"];
        set.selectors = logs.into_iter().map(|log| Selector::Log(log.into())).collect();
        run_set(set, before)
    };
    let (renamed, both) = ("a.1.1.log=a.1.log a.1.log=a.log", "a.log a.1.log");
    assert_eq!(run(&policy, both), renamed);
    policy.create = Some(NewFile::default());
    assert_eq!(run(&policy, both), format!("{renamed} a.2.log= a.log="));
    policy.count = Count::AtMost(1);
    assert_eq!(run(&policy, both), format!("{renamed} a.log="));
    policy.method = Method::CopyTruncate;
    assert_eq!(run(&policy, both), format!("{renamed} a.log="));
    // Where every byte counts, its name is in the way.
    policy.limits.quota = Some(Bytes::mib(1));
    assert_eq!(run(&policy, both), "a.1.1.log=a.1.log a.1.log= a.log=a.log | !");
}

#[test]
fn a_script_that_fails_stops_what_comes_behind_it() {
    let mut policy = policy();
    let script = |text: &str| Some(text.into());
    policy.scripts = Scripts {
        first: script("true"),
        pre: script("true"),
        post: script("true"),
        last: script("true"),
        ..Scripts::default()
    };
    let all = "firstaction prerotate postrotate lastaction";
    assert_eq!(run(&policy, "a a.1"), format!("a.1=a a.2=a.1 | {all}"));
    policy.scripts.post = script("false");
    policy.compress = gzip(false);
    // It stays renamed, and nothing more is done with it.
    assert_eq!(run(&policy, "a a.2.gz"), format!("a.1=a a.3.gz=a.2.gz | {all}"));
    policy.scripts.pre = script("false");
    let untouched = "a=a a.2.gz=a.2.gz | firstaction prerotate lastaction";
    assert_eq!(run(&policy, "a a.2.gz"), untouched);
    policy.scripts.first = script("false");
    assert_eq!(run(&policy, "a a.2.gz"), "a=a a.2.gz=a.2.gz | firstaction");
}
