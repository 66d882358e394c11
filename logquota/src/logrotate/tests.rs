//! The language as a whole: text in, policies and diagnostics out.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::*;
use crate::naming::{DateFormat, DateShift, Naming, Style};
use crate::policy::{
    Codec, Compress, Count, Identity, Limits, MailWhen, Method, NewFile, Policy, Reserve,
    RotateWhen, Selector, SetSpec, Shred,
};
use crate::units::Bytes;

mod classic;
mod scopes;
mod shipped;

/// Reads one file of this text as `/etc/test.conf`.
pub(super) fn parse(text: impl AsRef<[u8]>) -> Parsed {
    parse_in(&MemEnv::new(), text)
}

pub(super) fn parse_in(env: &MemEnv, text: impl AsRef<[u8]>) -> Parsed {
    let env = env.clone().file("/etc/test.conf", text);
    read(&["/etc/test.conf".into()], &env)
}

/// `LINE:COLUMN severity message` of each diagnostic.
pub(super) fn problems(parsed: &Parsed) -> Vec<String> {
    parsed
        .diagnostics
        .iter()
        .map(|d| format!("{}:{} {} {}", d.line, d.column, d.severity, d.message))
        .collect()
}

/// The only set of a text without problems.
fn set(text: &str) -> SetSpec {
    let mut parsed = parse(text);
    assert!(parsed.diagnostics.is_empty(), "{text}: {:?}", problems(&parsed));
    assert_eq!(parsed.config.at_work().count(), 1, "{text}");
    parsed.config.sets.remove(0)
}

/// The policy of a block with these lines.
fn policy(lines: &str) -> Policy {
    set(&format!("/log/a {{\n{lines}\n}}\n")).policy
}

/// The one problem of a block with these lines, which drops it; the line counts from the first.
fn refused(lines: &str) -> String {
    let parsed = parse(format!("/log/a {{\n{lines}\n}}\n/log/b {{\n}}\n"));
    let names: Vec<_> = parsed.config.at_work().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["/log/b"], "{lines}: only the bad block is dropped");
    assert!(parsed.has_errors());
    problems(&parsed).join("\n")
}

#[test]
fn a_bad_block_keeps_its_logs_from_a_wider_one_behind_it() {
    let parsed = parse("/log/a {\nrotates 365\n}\n/log/* {\nrotate 2\n}\n");
    assert!(parsed.has_errors());
    let selectors: Vec<_> = parsed.config.sets.iter().map(|set| &set.selectors).collect();
    assert_eq!(selectors.len(), 2, "the first claims /log/a and does nothing to it");
    assert!(parsed.config.sets.first().is_some_and(|set| set.policy.is_left_alone()));
}

fn base() -> Policy {
    Policy::default()
}

fn mode(mode: u32) -> Option<NewFile> {
    Some(NewFile { mode: Some(mode), ..NewFile::default() })
}

const fn owned(mode: Option<u32>, uid: Option<u32>, gid: Option<u32>) -> Option<NewFile> {
    Some(NewFile { mode, uid, gid })
}

#[test]
fn an_empty_block_has_the_defaults_of_logrotate() {
    assert_eq!(policy(""), base());
}

#[test]
fn criteria_share_one_slot() {
    for (lines, when) in [
        ("hourly", RotateWhen::Hourly),
        ("daily", RotateWhen::Daily),
        ("weekly", RotateWhen::Weekly { weekday: 0 }),
        ("weekly 3", RotateWhen::Weekly { weekday: 3 }),
        ("weekly 7", RotateWhen::Weekly { weekday: 7 }),
        ("monthly", RotateWhen::Monthly { day: 0 }),
        ("monthly 31", RotateWhen::Monthly { day: 31 }),
        ("yearly", RotateWhen::Yearly),
        ("minutes 90", RotateWhen::Minutes(90.try_into().expect("not 0"))),
        ("size 5", RotateWhen::Size(Bytes::new(5))),
        ("size=0x10", RotateWhen::Size(Bytes::new(16))),
        ("size 010k", RotateWhen::Size(Bytes::kib(8))),
        ("size = 2M", RotateWhen::Size(Bytes::mib(2))),
        ("size 1T", RotateWhen::Size(Bytes::gib(1024))),
        ("size 3GiB", RotateWhen::Size(Bytes::gib(3))),
        ("size 0", RotateWhen::Size(Bytes::ZERO)),
    ] {
        assert_eq!(policy(lines), Policy { when, ..base() }, "{lines}");
        // Inherited, and replaced without a remark.
        let text = format!("{lines}\n/log/a {{\n}}\n");
        assert_eq!(set(&text).policy.when, when);
        assert_eq!(set(&format!("{lines}\n/log/a {{\ndaily\n}}")).policy.when, RotateWhen::Daily);
    }
}

#[test]
fn numbers_and_sizes_have_slots_of_their_own() {
    let mib = Some(Bytes::mib(1));
    for (lines, expected) in [
        ("daily\nmaxsize 1M", Policy { max_size: mib, ..base() }),
        ("daily\nmaxsize 0", base()),
        ("daily\nminsize 1M", Policy { min_size: mib, ..base() }),
        ("daily\nminage 3", Policy { min_age_days: Some(3), ..base() }),
        ("daily\nmaxage 3", Policy { max_age_days: Some(3), ..base() }),
        ("daily\nmaxage 0", base()),
        ("daily\nrotate 5", Policy { count: Count::AtMost(5), ..base() }),
        ("daily\nrotate=5", Policy { count: Count::AtMost(5), ..base() }),
        ("daily\nrotate 010", Policy { count: Count::AtMost(8), ..base() }),
        ("daily\nrotate 0", base()),
        ("daily\nrotate -1", Policy { count: Count::Unlimited, ..base() }),
        ("daily\nstart 0", Policy { naming: Naming::numbered(0), ..base() }),
        ("daily\nshredcycles", base()),
    ] {
        if lines.ends_with("cycles") {
            continue;
        }
        assert_eq!(policy(lines), Policy { when: RotateWhen::Daily, ..expected }, "{lines}");
    }
}

#[test]
fn flags_and_their_inverses() {
    for (on, off, expected) in [
        ("notifempty", "ifempty", Policy { if_empty: false, ..base() }),
        ("missingok", "nomissingok", Policy { missing_ok: true, ..base() }),
        ("allowhardlink", "noallowhardlink", Policy { allow_hard_links: true, ..base() }),
        ("copy", "nocopy", Policy { method: Method::Copy, ..base() }),
        ("copytruncate", "nocopytruncate", Policy { method: Method::CopyTruncate, ..base() }),
        ("renamecopy", "norenamecopy", Policy { method: Method::RenameCopy, ..base() }),
        ("create", "nocreate", Policy { create: Some(NewFile::default()), ..base() }),
        (
            "compress",
            "nocompress",
            Policy { compress: Some(Compress::with(Codec::Gzip)), ..base() },
        ),
        (
            "dateext",
            "nodateext",
            Policy { naming: Naming::dated(DateFormat::daily(), DateShift::default()), ..base() },
        ),
        (
            "sharedscripts",
            "nosharedscripts",
            Policy {
                scripts: crate::policy::Scripts { shared: true, ..Default::default() },
                ..base()
            },
        ),
    ] {
        assert_eq!(policy(on), expected, "{on}");
        assert_eq!(policy(off), base(), "{off}");
        assert_eq!(set(&format!("{on}\n/log/a {{\n}}")).policy, expected, "{on} is inherited");
        assert_eq!(set(&format!("{on}\n/log/a {{\n{off}\n}}")).policy, base(), "{off} undoes it");
    }
    assert!(set("/log/a { ignoreduplicates }").ignore_duplicates);
    assert!(!set("/log/a { }").ignore_duplicates);
}

#[test]
fn what_is_harmless_without_mail_and_shred_is_accepted() {
    for word in ["nomail", "mailfirst", "maillast", "noshred"] {
        assert_eq!(policy(word), base(), "{word}");
    }
}

#[test]
fn archives_are_called_as_the_block_says() {
    let dated = |format: &str| {
        let format = DateFormat::new(format).expect("a format");
        Naming::dated(format, DateShift::default())
    };
    for (lines, naming) in [
        ("dateext", Naming::dated(DateFormat::daily(), DateShift::default())),
        ("dateext\nhourly", Naming::dated(DateFormat::hourly(), DateShift::default())),
        ("dateext\nminutes 5", Naming::dated(DateFormat::minutes(), DateShift::default())),
        ("dateext\nhourly\ndateformat .%s", dated(".%s")),
        ("dateext\ndateformat   -%Y %m%d", dated("-%Y %m%d")),
        (
            "dateext dateyesterday datehourago",
            Naming::dated(DateFormat::daily(), DateShift { yesterday: true, hour_ago: true }),
        ),
        ("extension .log", Naming { extension: Some(".log".into()), ..Naming::default() }),
        ("addextension .x y", Naming { add_extension: Some(".x y".into()), ..Naming::default() }),
        ("start 7", Naming::numbered(7)),
    ] {
        assert_eq!(policy(lines).naming, naming, "{lines}");
    }
    // logrotate forgets it; a default that does nothing helps nobody.
    let text = "addextension .log\n/log/a { }";
    assert_eq!(set(text).policy.naming.add_extension.as_deref(), Some(".log"));
}

#[test]
fn owners_and_modes_are_read_as_by_all_versions() {
    for (words, expected) in [
        ("", Some(NewFile::default())),
        ("0640", mode(0o640)),
        ("0640 root adm", owned(Some(0o640), Some(0), Some(4))),
        ("root adm", owned(None, Some(0), Some(4))),
        ("1 2", owned(None, Some(1), Some(2))),
        ("0755 1 2", owned(Some(0o755), Some(1), Some(2))),
        ("'foo bar' \"foo bar\"", owned(None, Some(77), Some(77))),
        ("0640 root", owned(Some(0o640), Some(0), None)),
        ("root", owned(None, Some(0), None)),
        (":4242 :4243", owned(None, Some(4242), Some(4243))),
    ] {
        assert_eq!(policy(&format!("create {words}")).create, expected, "create {words}");
        let dir = policy(&format!("olddir old\ncreateolddir {words}"));
        let made = dir.archive_dir.and_then(|dir| dir.create);
        let mode = expected.map(|e| NewFile { mode: e.mode.or(Some(0o755)), ..e });
        assert_eq!(made, mode, "createolddir {words}");
    }
    assert_eq!(policy("su 'foo bar' adm").run_as, Some(Identity { uid: 77, gid: 4 }));
    assert_eq!(set("su root 2\n/log/a { }").policy.run_as, Some(Identity { uid: 0, gid: 2 }));
}

#[test]
fn another_folder_is_absolute_or_beside_the_log() {
    let dir = |lines: &str| policy(lines).archive_dir;
    let path = |lines: &str| dir(lines).map(|dir| dir.path);
    assert_eq!(path("olddir old"), Some("old".into()));
    assert_eq!(path("olddir /var/old"), Some("/var/old".into()));
    assert_eq!(path("olddir ~/old"), Some("/root/old".into()));
    assert_eq!(path("olddir \"x\""), Some("\"x\"".into()), "quotes are part of the name");
    assert_eq!(set("olddir old\n/log/a {\nnoolddir\n}").policy.archive_dir, None);
    let kept = "createolddir 700\n/log/a {\nolddir old\n}";
    assert_eq!(set(kept).policy.archive_dir.and_then(|d| d.create), mode(0o700));
    let undone = "createolddir 700\n/log/a {\nolddir old\nnocreateolddir\n}";
    assert_eq!(set(undone).policy.archive_dir.and_then(|d| d.create), None);
}

#[test]
fn compressors_that_are_built_in_are_recognised_and_suffixes_follow_the_order() {
    let gzip = Compress::with(Codec::Gzip);
    let zstd = Compress::with(Codec::Zstd);
    let level = |compress: &Compress, level| Compress { level: Some(level), ..compress.clone() };
    let suffix = |compress: &Compress, s: &str| Compress { suffix: s.into(), ..compress.clone() };
    for (lines, expected) in [
        ("compress", gzip.clone()),
        ("compress delaycompress", Compress { delay: true, ..gzip.clone() }),
        ("compress\ncompresscmd gzip", gzip.clone()),
        ("compress\ncompresscmd /usr/bin/zstd", zstd.clone()),
        ("compress\ncompressext .x\ncompresscmd zstd", zstd.clone()),
        ("compress\ncompresscmd zstd\ncompressext .x", suffix(&zstd, ".x")),
        ("compress\ncompressoptions -9", level(&gzip, 9)),
        ("compress\ncompressoptions '--best' -q", level(&gzip, 9)),
        ("compress\ncompressoptions --fast", level(&gzip, 1)),
        ("compress\ncompressoptions -19\ncompresscmd zstd", level(&zstd, 19)),
    ] {
        assert_eq!(policy(lines).compress, Some(expected), "{lines}");
    }
    let naming = policy("compress\ncompressext .packed").naming;
    assert_eq!(naming.extra_suffixes, [".packed"], "so that the archives are found again");
    assert!(refused("compress\ncompressoptions -19").contains("levels 1 to 9"));
}

#[test]
fn scripts_are_handed_over_unchanged() {
    let scripts = policy(
        "firstaction\n one {\n}\nendscript\nprerotate two\nendscript\npostrotate\n\tthree \\\n\t  #x\n  \
         endscript\nlastaction\nfour\nendscript preremove\nfive\nendscript sharedscripts",
    )
    .scripts;
    assert_eq!(scripts.first.as_deref(), Some("\n one {\n}\n"));
    assert_eq!(scripts.pre.as_deref(), Some(" two\n"));
    assert_eq!(scripts.post.as_deref(), Some("\n\tthree \\\n\t  #x\n"));
    assert_eq!(scripts.last.as_deref(), Some("\nfour\n"));
    assert_eq!(scripts.pre_remove.as_deref(), Some("\nfive\n"));
    assert!(scripts.shared);
    let inherited = set("postrotate\nx\nendscript\n/log/a { }").policy.scripts;
    assert_eq!(inherited.post.as_deref(), Some("\nx\n"));
}

#[test]
fn quota_maxfiles_and_reserve_hold_for_a_block_or_for_all_together() {
    let parsed = parse(
        "quota 1G\nmaxfiles 1000\nreserve 5%\n/log/a {\nset app\nquota 64MiB\nmaxfiles 10\nreserve \
         2G\n}\n/log/b {\n}\n",
    );
    assert_eq!(problems(&parsed), [""; 0]);
    let limits = |quota, files, reserve| Limits {
        quota: Some(quota),
        max_files: Some(files),
        reserve: Some(reserve),
    };
    assert_eq!(parsed.config.global, limits(Bytes::gib(1), 1000, Reserve::Percent(5)));
    let sets: Vec<_> =
        parsed.config.at_work().map(|set| (set.name.as_str(), set.policy.limits)).collect();
    let own = limits(Bytes::mib(64), 10, Reserve::Bytes(Bytes::gib(2)));
    assert_eq!(sets, [("app", own), ("/log/b", Limits::default())]);
}

#[test]
fn without_a_criterion_a_log_under_a_small_quota_rotates_earlier() {
    assert_eq!(policy("quota 64k").when, RotateWhen::Size(Bytes::kib(8)));
    assert_eq!(policy("quota 1M").when, RotateWhen::Size(Bytes::mib(1)));
    assert!(refused("size 1M\nquota 64k").contains("cannot stay within a quota"));
}

#[test]
fn patterns_are_words_with_their_bytes() {
    let text = b"/log/a '/log/b c' /log/\\*.d ~/e ~adm/f /log/\xff{}\n";
    let parsed = parse(text);
    assert_eq!(problems(&parsed), [""; 0]);
    let set = parsed.config.sets.first().expect("a set");
    let expected: [&[u8]; 6] =
        [b"/log/a", b"/log/b c", b"/log/*.d", b"/root/e", b"/home/adm/f", b"/log/\xff"];
    let expected = expected.map(|p| Selector::Pattern(OsStr::from_bytes(p).to_owned()));
    assert_eq!(set.selectors, expected);
    assert_eq!(set.pattern_text.as_bytes(), b"/log/a '/log/b c' /log/\\*.d ~/e ~adm/f /log/\xff");
    assert_eq!(set.name, "/log/a");
}

#[test]
fn h03_patterns_that_climb_are_relative_or_no_names_are_refused() {
    let long = format!("/{}", "x".repeat(2048));
    for (path, why) in [
        ("\"log/a\"", "is relative"),
        ("''", "is relative"),
        ("/log/../etc/passwd", "has `..` in it"),
        ("/log/a/..", "has `..` in it"),
        ("'/log/\\.\\./x'", "has `..` in it"),
        ("/log/a\0b", "has a NUL byte"),
        ("/log/", "names a folder"),
        ("~nobody/x", "begins with a home folder that nobody has"),
        (long.as_str(), "is longer than 2048 bytes"),
    ] {
        let parsed = parse(format!("/log/ok {path} {{\n}}\n/log/b {{\n}}\n"));
        let names: Vec<_> = parsed.config.at_work().map(|set| set.name.as_str()).collect();
        assert_eq!(names, ["/log/b"], "{path}");
        let found = problems(&parsed);
        assert!(found.len() == 1 && found[0].starts_with("1:9 error"), "{found:?}");
        assert!(found[0].ends_with(why), "{found:?}");
    }
    assert_eq!(set("/log/..x/...{}").policy, base(), "dots are only dots");
    assert!(refused("olddir ../x").contains("without `..`"));
}

#[test]
fn h32_bad_values_are_refused_where_they_stand() {
    for (lines, expected) in [
        ("rotate x", "2:8 error `rotate` needs a whole number, found \"x\""),
        ("rotate", "2:1 error `rotate` needs a value"),
        ("  rotate 4 # four", "2:10 error `rotate` needs a whole number, found \"4 # four\""),
        ("rotate -2", "2:8 error `rotate` needs a whole number from -1 up, found \"-2\""),
        ("rotate ==4", "2:9 error"),
        ("rotate 99999999999", "2:8 error"),
        ("start -1", "2:7 error"),
        ("start", "2:1 error `start` needs a value"),
        ("minage -1", "2:8 error"),
        ("minage 1.5", "2:8 error"),
        ("maxage", "2:1 error"),
        ("maxage NaN", "2:8 error"),
        ("minutes 0", "2:9 error `minutes` needs a whole number from 1 up"),
        ("weekly 8", "2:8 error `weekly` needs a weekday"),
        ("weekly=1", "2:7 error"),
        ("weekly mon", "2:8 error"),
        ("monthly 32", "2:9 error `monthly` needs a day of the month"),
        ("size", "2:1 error `size` needs a value"),
        ("size x", "2:6 error"),
        ("size -1", "2:6 error"),
        ("size 1.5M", "2:6 error"),
        ("size 1 k", "2:6 error"),
        ("size 5x", "2:6 error `size`: unknown unit `x`"),
        ("size 5m", "2:6 error `size`: unknown unit `m`"),
        ("size 1MB", "2:6 error `size`: `1MB` could mean 1000 or 1024; write `1MiB`"),
        ("size 08", "2:6 error"),
        ("size 0x", "2:6 error"),
        ("size 18446744073709551616", "2:6 error"),
        ("size 16777216T", "2:6 error"),
        ("maxsize inf", "2:9 error"),
        ("minsize kb", "2:9 error"),
        ("quota 0", "2:7 error a quota of 0 bytes"),
        ("quota 10 MB", "2:7 error `quota`: `10 MB` could mean 1000 or 1024; write `10MiB`"),
        ("quota", "2:1 error `quota` needs a value"),
        ("maxfiles 0", "2:10 error"),
        ("maxfiles 10k", "2:10 error"),
        ("reserve 101%", "2:9 error"),
        ("reserve -5%", "2:9 error"),
        ("reserve x%", "2:9 error"),
        ("reserve", "2:1 error"),
        ("set", "2:1 error"),
        ("set a\u{202e}b", "2:5 error"),
        ("create 0999 root adm", "2:8 error `create`: \"0999\" is an invalid mode"),
        ("create 77777", "2:8 error"),
        ("create=0600", "2:7 error"),
        ("create 0640 nobodyhere adm", "2:8 error `create`: unknown user 'nobodyhere'"),
        ("create 0640 root nogrouphere", "2:8 error `create`: unknown group 'nogrouphere'"),
        ("create 0640 root adm x", "2:8 error extra arguments for `create`"),
        ("create 'root adm", "2:8 error a quote behind `create` is never closed"),
        ("create 1234 9999", "2:8 error"),
        ("create 0 :4294967295", "2:8 error"),
        ("su root", "2:4 error no group for `su`"),
        ("su", "2:3 error no user for `su`"),
        ("su a b c", "2:4 error extra arguments for `su`"),
        ("su 'foo bar' 'bar baz'", "2:4 error `su`: unknown group 'bar baz'"),
        ("olddir", "2:1 error `olddir` needs a value"),
        ("olddir a b", "2:8 error"),
        ("createolddir x y", "2:14 error"),
        ("dateformat", "2:1 error"),
        ("dateformat /%Y", "2:12 error"),
        ("dateformat x", "2:12 error"),
        ("extension", "2:1 error"),
        ("extension /x", "2:11 error"),
        ("addextension a/b", "2:14 error"),
        ("compressext", "2:1 error"),
        ("compressext a/b", "2:13 error"),
        ("compresscmd gzip -9", "2:13 error `compresscmd` needs one word"),
        ("compresscmd", "2:1 error"),
        ("compressoptions", "2:16 error `compressoptions` needs a value"),
        ("include", "2:1 error `include` needs a value"),
        ("tabooext .x", "2:1 error `tabooext` inside a block"),
        ("taboopat .x", "2:1 error `taboopat` inside a block"),
        ("copy renamecopy", "1:1 error `copy` and `renamecopy` exclude each other"),
        ("Rotate 5", "2:1 error unknown directive `Rotate`"),
        ("rotate 5;", "2:8 error"),
        ("daily;", "2:6 error `;` cannot follow `daily` directly"),
        ("daily weekly 9", "2:14 error"),
        ("daily = x", "2:7 error a line must begin with a directive"),
        ("daily\r", "2:6 error this file has the line ends of DOS"),
    ] {
        let found = refused(lines);
        assert!(found.starts_with(expected), "{lines}: {found}");
        assert!(!found.contains('\n'), "{lines}: one problem, not {found}");
    }
}

#[test]
fn h32_bytes_that_are_no_text_are_refused_where_text_is_needed() {
    let text = b"/log/a {\nrotate \xff\n}\n/log/b {\npostrotate\n ok\n \xff\nendscript\n}\n\
        /log/c {\nprerotate\na\0\nendscript\n}\n";
    let parsed = parse(text);
    assert!(parsed.config.at_work().next().is_none());
    assert_eq!(
        problems(&parsed),
        [
            "2:8 error the value of `rotate` is no plain text: \\xff",
            "7:2 error the script of `postrotate` is no UTF-8",
            "12:2 error the script of `prerotate` has a NUL byte",
        ]
    );
}

#[test]
fn a_directive_that_is_not_done_yet_leaves_its_block_alone() {
    let found = refused("errors a@b.c");
    let expected = "2:1 error `errors` is obsolete";
    assert!(found.starts_with(expected) && !found.contains('\n'), "{found}");
}

#[test]
fn a_ballast_is_for_all_and_of_several_the_largest_counts() {
    let parsed = parse("ballast 64M\n/log/a {\n}\nballast 1G\nballast 2k\n");
    assert_eq!((parsed.config.ballast, problems(&parsed)), (Some(Bytes::gib(1)), vec![]));
    assert_eq!(parse("/log/a {\n}\n").config.ballast, None);
    assert_eq!(parse("ballast 0\n/log/a {\n}\n").config.ballast, Some(Bytes::ZERO));
    for (text, told) in [
        ("ballast\n", "1:1 error `ballast` needs a value"),
        ("ballast 5%\n", "1:9 error"),
        ("/log/a {\nballast 1M\n}\n", "2:1 error `ballast` inside a block"),
    ] {
        let parsed = parse(text);
        let first = problems(&parsed).first().cloned().unwrap_or_default();
        assert!(first.starts_with(told), "{text}: {first}");
        assert_eq!(parsed.config.ballast, None);
    }
}

#[test]
fn livetrim_is_of_its_block_and_needs_a_quota() {
    let parsed = parse("/log/a {\nlivetrim\nquota 9M\n}\n/log/b {\nlivetrim\n}\n/log/c { }");
    let may: Vec<_> = parsed.config.sets.iter().map(|set| set.policy.live_trim).collect();
    assert_eq!(may, [true, true, false]);
    assert_eq!(
        problems(&parsed),
        ["6:1 warning `livetrim` has no effect: there is no quota so far"]
    );
    assert_eq!(problems(&parse("quota 9M\n/log/a {\nlivetrim\n}")), [""; 0]);
    assert_eq!(problems(&parse("livetrim\n")), ["1:1 error `livetrim` outside of a block"]);
}

#[test]
fn a_default_that_is_not_done_is_said_once() {
    let parsed = parse("/log/a { }\nerrors a@b.c\n/log/b { }\n/log/c { }");
    let names: Vec<_> = parsed.config.at_work().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["/log/a"]);
    assert_eq!(problems(&parsed), ["2:1 error `errors` is obsolete"]);
}

#[test]
fn what_the_codecs_cannot_do_a_program_does() {
    for (lines, command, options, suffix) in [
        ("compresscmd xz", "xz", vec![], ".xz"),
        ("compresscmd /opt/pack\ncompressext .p", "/opt/pack", vec![], ".p"),
        ("compressoptions -T0 'a b'\ncompresscmd xz", "xz", vec!["-T0", "a b"], ".xz"),
        ("compressoptions -9 --rsyncable", "gzip", vec!["-9", "--rsyncable"], ".gz"),
        ("compresscmd zstd\ncompressoptions -T0", "zstd", vec!["-T0"], ".zst"),
    ] {
        let found = policy(&format!("compress\n{lines}")).compress.expect("it is compressed");
        let program = found.program.expect("by a program");
        let options: Vec<_> = options.into_iter().map(OsString::from).collect();
        assert_eq!((program.command.to_str(), &program.options), (Some(command), &options));
        assert_eq!(found.suffix, suffix, "{lines}");
    }
    let undone = "compresscmd xz\ncompressoptions -e\n/log/a {\ncompress\ncompresscmd gzip\n\
                  compressoptions -9\n}";
    assert!(set(undone).policy.compress.is_some_and(|compress| compress.program.is_none()));
    assert!(refused("compress\ncompresscmd ./gzip").contains("its whole path"));
    assert!(refused("compress\ncompresscmd /opt/pack").contains("`compressext`"));
}

#[test]
fn mail_and_shred_are_followed() {
    let mail = policy("mail a@b.c\nmailfirst\nuncompresscmd /opt/un").mail.expect("mail");
    assert_eq!((mail.address.as_str(), mail.when), ("a@b.c", MailWhen::First));
    assert_eq!(mail.unpack, "/opt/un");
    assert_eq!(policy("shred\nshredcycles 3").shred, Some(Shred { cycles: 3 }));
    let undone = set("mail a@b.c\nshred\n/log/a {\nnomail\nnoshred\n}").policy;
    assert_eq!((undone.mail, undone.shred), (None, None));
}

#[test]
fn combinations_without_effect_are_remarked_and_used() {
    for (lines, expected) in [
        ("delaycompress", "2:1 warning `delaycompress` has no effect: nothing is compressed"),
        ("compressext .x", "2:1 warning `compressext` has no effect: nothing is compressed"),
        ("dateformat -%Y", "2:1 warning `dateformat` has no effect: archives have numbers"),
        ("dateyesterday", "2:1 warning `dateyesterday` has no effect: archives have numbers"),
        (
            "dateext\nstart 3",
            "3:1 warning `start` has no effect: archives have dates and no numbers",
        ),
        ("createolddir", "2:1 warning `createolddir` has no effect: there is no `olddir`"),
        ("create\ncopytruncate", "2:1 note `create` has no effect: the log stays where it is"),
        ("copy\ncopytruncate", "2:1 warning `copy` has no effect: `copytruncate` copies as well"),
        (
            "renamecopy\ncopytruncate",
            "2:1 warning `renamecopy` has no effect: `copytruncate` in line 3 replaces it",
        ),
        ("size 1k\ndaily", "2:1 note `size` has no effect: `daily` in line 3 replaces it"),
        (
            "size 1M\nmaxsize 2M",
            "3:1 warning `maxsize` has no effect: `size` is smaller and reached first",
        ),
        (
            "size 2M\nmaxsize 1M",
            "2:1 note `size` has no effect: `maxsize` is smaller and reached first",
        ),
        (
            "size 2M\nminsize 1M",
            "3:1 warning `minsize` has no effect: it holds back a time, and the criterion is `size`",
        ),
        ("create\nnocreate", "2:1 note `create` has no effect: `nocreate` in line 3 replaces it"),
        (
            "rotate 1\nrotate 2",
            "2:1 warning `rotate` has no effect: `rotate` in line 3 replaces it",
        ),
        ("shredcycles 3", "2:1 warning `shredcycles` has no effect: nothing is shredded"),
        (
            "uncompresscmd gunzip",
            "2:1 warning `uncompresscmd` has no effect: it is for mail, and nothing is mailed",
        ),
    ] {
        let mut parsed = parse(format!("/log/a {{\n{lines}\n}}\n"));
        let notes = std::mem::take(&mut parsed.notes);
        parsed.diagnostics.extend(notes);
        assert_eq!(problems(&parsed), [expected], "{lines}");
        assert_eq!(parsed.config.at_work().count(), 1, "{lines}");
        assert!(!parsed.has_errors());
    }
    for lines in
        ["compress\ndelaycompress", "rotate 2\nrotate 2", "daily daily", "nocopytruncate\ncreate"]
    {
        assert_eq!(problems(&parse(format!("/log/a {{\n{lines}\n}}"))), [""; 0], "{lines}");
    }
    // A default that suits other blocks is no mistake.
    assert_eq!(problems(&parse("create\ndelaycompress\n/log/a { copytruncate }")), [""; 0]);
    let twice = parse("/log/a {\nset x\n}\n/log/b {\nset x\n}");
    assert_eq!(problems(&twice), ["4:1 warning another set is called `x` as well"]);
}

#[test]
fn a_diagnostic_shows_the_line_and_what_to_do() {
    let parsed = parse("/log/a {\n\trotate x\n}\n");
    let shown: Vec<_> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "/etc/test.conf:2:9: error: `rotate` needs a whole number, found \"x\"\n    rotate x\n           \
          ^\n  help: write 0 or more, or -1 to keep all; until then the logs of this block are left alone"
        ]
    );
}

#[test]
fn every_directive_that_is_done_is_accepted_somewhere() {
    // The table is complete: each word is read without being taken for another.
    for directive in directives::all().filter(|directive| directive.is_done()) {
        let value = match directive.name() {
            "create" | "createolddir" | "weekly" | "monthly" => "",
            "su" => "root adm",
            "include" => "/etc/other",
            "olddir" => "/old",
            "compresscmd" | "uncompresscmd" => "gzip",
            "compressoptions" => "-9",
            "dateformat" => "-%Y",
            "tabooext" | "taboopat" | "extension" | "addextension" | "compressext" => ".x",
            "set" => "x",
            "size" | "maxsize" | "minsize" | "quota" | "reserve" => "64M",
            _ => "5",
        };
        let name = directive.name();
        let line = match directive.kind() {
            directives::Kind::Flag => name.to_owned(),
            directives::Kind::Script => format!("{name}\nx\nendscript"),
            _ => format!("{name} {value}"),
        };
        let env = MemEnv::new().file("/etc/other", "");
        if directive.scope() != directives::Scope::Block {
            let parsed = parse_in(&env, format!("{line}\n/log/a {{\n}}\n"));
            assert_eq!(problems(&parsed), [""; 0], "{line}");
        }
        if directive.scope() != directives::Scope::Global {
            let parsed = parse_in(&env, format!("/log/a {{\n{line}\n}}\n"));
            assert!(!parsed.has_errors(), "{line}: {:?}", problems(&parsed));
            assert_eq!(parsed.config.at_work().count(), 1);
        }
    }
}

#[test]
fn a_dated_set_is_dated() {
    assert!(matches!(policy("dateext").naming.style, Style::Dated { .. }));
}

/// Files beside `/etc/test.conf`.
pub(super) fn sets(parsed: &Parsed) -> Vec<(&str, Count)> {
    parsed.config.at_work().map(|set| (set.name.as_str(), set.policy.count)).collect()
}

pub(super) fn path(text: &str) -> PathBuf {
    text.into()
}
