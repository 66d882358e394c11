//! What each directive does to the policy in the dialect that replaces logrotate.

use super::*;
use crate::policy::{Mail, MailWhen, ParentRule, Program, Rules, Shred};

fn base() -> Policy {
    Policy { rules: Rules::Logrotate, parents: ParentRule::Logrotate, ..Policy::default() }
}

/// The policy of a block with these lines, inside of it and inherited.
fn policy(lines: &str) -> Policy {
    let inside = classic(format!("/log/a {{\n{lines}\n}}\n"));
    assert_eq!(said(&inside), [""; 0], "{lines}");
    let global = classic(format!("{lines}\n/log/a {{\n}}\n"));
    let policies: Vec<&Policy> = [&inside, &global]
        .into_iter()
        .flat_map(|parsed| parsed.config.sets.iter().map(|set| &set.policy))
        .collect();
    assert_eq!(policies.len(), 2, "{lines}");
    assert_eq!(policies[0], policies[1], "{lines} is inherited");
    policies[0].clone()
}

#[test]
fn an_empty_block_has_the_defaults_and_logrotates_rules() {
    assert_eq!(policy(""), base());
}

#[test]
fn mail_and_shred_are_followed() {
    let mail = |address: &str, when, unpack: &str| {
        Some(Mail { address: address.to_owned(), when, unpack: unpack.into() })
    };
    for (lines, mail, shred) in [
        ("mail a@b", mail("a@b", MailWhen::Last, "/bin/gunzip"), None),
        ("mail=a@b\nmailfirst", mail("a@b", MailWhen::First, "/bin/gunzip"), None),
        ("mailfirst maillast\nmail x", mail("x", MailWhen::Last, "/bin/gunzip"), None),
        ("mail x\nuncompresscmd /opt/un", mail("x", MailWhen::Last, "/opt/un"), None),
        ("mail x\nnomail", None, None),
        ("shred", None, Some(Shred { cycles: 0 })),
        ("shred\nshredcycles 3", None, Some(Shred { cycles: 3 })),
        ("shred\nnoshred\nshredcycles 3", None, None),
    ] {
        assert_eq!(policy(lines), Policy { mail, shred, ..base() }, "{lines}");
    }
}

#[test]
fn a_compressor_is_a_program_unless_the_codec_does_the_same() {
    let program = |command: &str, options: &[&str], suffix: &str| Compress {
        program: Some(
            Program { command: command.into(), options: options.iter().map(Into::into).collect() }
                .into(),
        ),
        suffix: suffix.to_owned(),
        ..Compress::with(Codec::Gzip)
    };
    let codec = |codec, level, suffix: &str| Compress {
        level,
        suffix: suffix.to_owned(),
        ..Compress::with(codec)
    };
    let (gzip, zstd) = (Codec::Gzip, Codec::Zstd);
    for (lines, expected) in [
        ("", codec(gzip, None, ".gz")),
        ("compresscmd gzip", codec(gzip, None, ".gz")),
        ("compresscmd /bin/gzip\ncompressoptions -9", codec(gzip, Some(9), ".gz")),
        ("compressoptions --fast", codec(gzip, Some(1), ".gz")),
        ("compressoptions '--best'", codec(gzip, Some(9), ".gz")),
        ("compresscmd /usr/bin/zstd\ncompressoptions -19", codec(zstd, Some(19), ".zst")),
        ("compressoptions -19", program("gzip", &["-19"], ".gz")),
        ("compressoptions -0", program("gzip", &["-0"], ".gz")),
        ("compressoptions -9 -q", program("gzip", &["-9", "-q"], ".gz")),
        ("compresscmd zstd\ncompressoptions --best", program("zstd", &["--best"], ".zst")),
        ("compresscmd ./gzip", program("./gzip", &[], ".gz")),
        ("compresscmd /opt/bin/gzip", program("/opt/bin/gzip", &[], ".gz")),
        (
            "compresscmd xz\ncompressoptions -T0 \"a b\" c\\ d",
            program("xz", &["-T0", "a b", "c d"], ".xz"),
        ),
        ("compresscmd bzip2", program("bzip2", &[], ".bz2")),
        ("compresscmd x/compress", program("x/compress", &[], ".Z")),
        ("compresscmd zip", program("zip", &[], ".zip")),
        ("compresscmd lz4", program("lz4", &[], ".gz")),
        ("compressext .x\ncompresscmd xz", program("xz", &[], ".xz")),
        ("compresscmd xz\ncompressext .x", program("xz", &[], ".x")),
        ("compressext .x\ncompresscmd lz4", program("lz4", &[], ".x")),
        ("compresscmd xz\ncompresscmd gzip", codec(gzip, None, ".gz")),
        ("compressoptions -1 -2\ncompressoptions -3", codec(gzip, Some(3), ".gz")),
    ] {
        let policy = policy(&format!("compress\n{lines}"));
        assert_eq!(policy.compress, Some(expected), "{lines}");
    }
    let x = policy("compress\ncompressext .x").naming.extra_suffixes;
    assert_eq!(x, [".x"], "so that its archives are found");
}

#[test]
fn values_are_read_as_newer_logrotate_reads_them() {
    let days = |n| Some(n);
    for (lines, expected) in [
        (
            "minutes 90",
            Policy { when: RotateWhen::Minutes(90.try_into().expect("not 0")), ..base() },
        ),
        ("monthly 5", Policy { when: RotateWhen::Monthly { day: 5 }, ..base() }),
        ("weekly 7", Policy { when: RotateWhen::Weekly { weekday: 7 }, ..base() }),
        ("size +5K", Policy { when: RotateWhen::Size(Bytes::kib(5)), ..base() }),
        ("size = 010", Policy { when: RotateWhen::Size(Bytes::new(8)), ..base() }),
        ("maxage 3\nminage 2", Policy { max_age_days: days(3), min_age_days: days(2), ..base() }),
        ("rotate -1", Policy { count: Count::Unlimited, ..base() }),
        ("create 0755 1 2", Policy { create: owned(Some(0o755), Some(1), Some(2)), ..base() }),
        ("create 1 2", Policy { create: owned(None, Some(1), Some(2)), ..base() }),
        ("create 0640 root", Policy { create: owned(Some(0o640), Some(0), None), ..base() }),
        ("create 'root' \"adm\"", Policy { create: owned(None, Some(0), Some(4)), ..base() }),
        ("su \"foo bar\" adm", Policy { run_as: Some(Identity { uid: 77, gid: 4 }), ..base() }),
        ("renamecopy\ncopytruncate", Policy { method: Method::CopyTruncate, ..base() }),
        ("nodateyesterday nodatehourago", base()),
    ] {
        assert_eq!(policy(lines), expected, "{lines}");
    }
    assert_eq!(policy("addextension .log").naming.add_extension.as_deref(), Some(".log"));
    let dir = policy("olddir ../old").archive_dir.map(|dir| dir.path);
    assert_eq!(dir, Some("../old".into()), "it may climb, as in logrotate");
}

#[test]
fn a_date_format_that_is_too_long_matters_where_archives_are_dated() {
    let long = "%s".repeat(3);
    assert_eq!(policy(&format!("dateformat {long}")), base());
    for format in [long.as_str(), &"x".repeat(64), ".old"] {
        let parsed = classic(format!("dateformat {format}\n/log/a {{\ndateext\n}}\n/log/b {{ }}"));
        assert_eq!(paths(&parsed), ["/log/b"], "{format}");
        let all = said(&parsed);
        let is_told = all[0].contains("is too long") || format == ".old";
        assert!(is_told && all[0].to_lowercase().contains("date format"), "{all:?}");
    }
    let naming = policy("dateext\ndateformat -%G%g%y%j%U%W%u%w%q").naming;
    let format = DateFormat::new("-%G%g%y%j%U%W%u%w%q").expect("valid");
    assert_eq!(naming, Naming::dated(format, DateShift::default()));
}

#[test]
fn bad_values_are_told_in_logrotates_words() {
    for (line, words) in [
        ("rotate -2", "bad rotation count '-2'"),
        ("start -1", "bad start count '-1'"),
        ("start", "argument expected after start count"),
        ("minage x", "bad minimum age 'x'"),
        ("minage", "argument expected after minage count"),
        ("maxage x", "bad maximum age 'x'"),
        ("shredcycles -1", "bad shred cycles '-1'"),
        ("shredcycles", "argument expected after shred cycles"),
        ("minutes 0", "bad minutes '0'"),
        ("size 5x", "unknown unit 'x'"),
        ("size 5m", "unknown unit 'm'"),
        ("maxsize 3T", "unknown unit 'T'"),
        ("minsize 5kb", "unknown unit 'b'"),
        ("size -1", "bad size '-1'"),
        ("size 1 k", "bad size '1 '"),
        ("size 1.5", "bad size '1.5'"),
        ("size 99999999999G", "bad size '99999999999'"),
        ("mail a b", "bad mail address a b"),
        ("mail", "argument expected after mail"),
        ("olddir a b", "bad olddir path a b"),
        ("olddir", "argument expected after olddir"),
        ("include", "argument expected after include"),
        ("extension", "argument expected after extension name"),
        ("addextension", "argument expected after addextension name"),
        ("compresscmd gzip -9", "bad compress path gzip -9"),
        ("compresscmd", "argument expected after compress"),
        ("uncompresscmd", "argument expected after uncompress"),
        ("compressext", "argument expected after compress-ext"),
        ("compressoptions", "invalid compression options"),
        ("su", "no user for su"),
        ("su root", "no group for su"),
        ("su a b c", "extra arguments for su"),
        ("su \"foo bar\" 'bar baz'", "unknown group 'bar baz'"),
        ("su nobodyhere adm", "unknown user 'nobodyhere'"),
        ("create x", "invalid mode 'x' for create"),
        ("create 0999 root adm", "invalid mode '0999' for create"),
        ("create 0640 a b c", "extra arguments for create"),
        ("create 0640 root nogroup", "unknown group 'nogroup'"),
        ("createolddir x y z w", "extra arguments for createolddir"),
        ("create=0600", "invalid mode '=0600' for create"),
        ("rotate 4 # four", "bad rotation count '4 # four'"),
    ] {
        let parsed = classic(format!("/log/a {{\n{line}\n}}\n/log/b {{ }}"));
        assert_eq!(paths(&parsed), ["/log/b"], "{line}");
        let all = said(&parsed);
        assert_eq!(all.len(), 2, "{line}: {all:?}");
        assert_eq!(all[0], format!("!error: conf:2 {words}"), "{line}");
        let global = classic(format!("{line}\n/log/b {{ }}"));
        assert_eq!(said(&global), [format!("!error: conf:1 {words}")], "{line}");
        assert_eq!(global.config.sets.len(), 0, "{line}");
    }
}

#[test]
fn the_obsolete_directive_is_passed_over_and_the_rest_of_its_line_read() {
    let parsed = classic("/log/a {\n errors daily compress\n}");
    assert_eq!(
        said(&parsed),
        ["warning: conf: 2: the errors directive is deprecated and no longer used."]
    );
    let policy = &parsed.config.sets[0].policy;
    assert_eq!((policy.when, policy.compress.is_some()), (RotateWhen::Daily, true));
}
