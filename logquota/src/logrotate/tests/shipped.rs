//! Configurations as distributions ship them: they must be read without a word.

use super::*;

/// One text of our own for each construct that the packages of Debian 12 use.
const CONSTRUCTS: &[&str] = &[
    // The main file: comments, defaults, a commented-out default, an include at the end.
    "# see the manual\nweekly\n\n# keep some\nrotate 4\ncreate\n#dateext\n\n/log/after {\n\tmonthly\n}\n",
    // Tabs or blanks, flags and values, an owner.
    "/log/alternatives {\n\tmonthly\n\trotate 12\n\tcompress\n\tdelaycompress\n\tmissingok\n\tnotifempty\n\tcreate 644 root adm\n}\n",
    // Several blocks, and blank lines inside of them.
    "/log/a {\n  rotate 12\n  monthly\n\n  compress\n}\n\n/log/b {\n\n  monthly\n}\n",
    // Paths over several lines with the brace on its own.
    "/log/syslog\n/log/mail.log\n/log/kern.log\n{\n\trotate 4\n\tweekly\n\tsharedscripts\n\tpostrotate\n\t\t/usr/lib/rotate\n\tendscript\n}\n",
    // Two paths in a line, a wildcard, a wildcard without a dot.
    "/log/x/mainlog /log/x/rejectlog {\n\tnocreate\n}\n/log/x/*log {\n\tdaily\n}\n/log/redis*.log {\n}\n",
    // No criterion of its own, no `rotate`.
    "/log/r/*.log {\n\tdaily\n\tmissingok\n\tcompress\n\tdelaycompress\n\tnotifempty\n}\n",
    // size, minsize and maxsize beside a time.
    "/log/a {\n  size 10M\n  rotate 10\n  nocreate\n}\n/log/b {\n  monthly\n  minsize 50M\n  maxsize 500M\n}\n/log/c {\n  size 100k\n}\n",
    // A time that a size replaces, and a new log beside copytruncate: remarks, no warnings.
    "/log/a {\n  daily\n  size 100k\n}\n/log/b {\n  copytruncate\n  create 640 root adm\n}\n",
    // copytruncate with su, and a commented-out create.
    "/log/pg/*.log {\n  weekly\n  copytruncate\n  delaycompress\n  compress\n  su root root\n  #create 640 x adm\n}\n",
    // Options behind the script, ifempty, a first line inside that is blank.
    "/log/p /log/p.err {\n\n\tweekly\n\tpostrotate\n\t\ttrue\n\tendscript\n\tsharedscripts\n\tifempty\n}\n",
    // A script with conditions, back quotes, continued lines, comments and braces.
    "/log/s {\n\tprerotate\n\t\tif [ -d /x ]; then \\\n\t\t\trun-parts /x; \\\n\t\tfi; \\\n\tendscript\n\tpostrotate\n\t\t# says {more}\n\t\tkill -HUP `cat /run/x.pid` > /dev/null 2>&1 || true\n\t\t{ true; }\n\tendscript\n}\n",
    // Quoted names, a trailing blank behind a value, no newline at the end.
    "\"/log/with blank.log\" '/log/other' {\n rotate 3 \n missingok \n}",
    // dateext with a format, an olddir that is made, scripts of all kinds.
    "/log/d {\n dateext\n dateformat -%Y%m%d-%s\n olddir /log/old\n createolddir 755 root adm\n firstaction\n x\n endscript\n lastaction\n x\n endscript\n preremove\n x\n endscript\n}\n",
];

#[test]
fn every_construct_of_shipped_files_is_read_without_a_word() {
    for text in CONSTRUCTS {
        let parsed = parse(text);
        assert_eq!(problems(&parsed), [""; 0], "{text}");
        assert!(parsed.config.at_work().next().is_some(), "{text}");
    }
}

#[test]
fn the_files_of_this_machine_are_read_without_a_word() {
    let env = SystemEnv::new(None);
    let folder = path("/etc/logrotate.d");
    if env.list_dir(&folder).is_err() {
        println!("skipped: needs /etc/logrotate.d");
        return;
    }
    for paths in [vec![folder], vec![path("/etc/logrotate.conf")]] {
        if paths
            .iter()
            .any(|path| env.read(path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound))
        {
            continue;
        }
        let parsed = read(&paths, &env);
        let shown: Vec<_> = parsed.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [""; 0]);
    }
}

#[test]
fn every_construct_of_shipped_files_means_the_same_where_logrotate_is_replaced() {
    for text in CONSTRUCTS {
        let env = MemEnv::new().file("/etc/test.conf", text);
        let parsed = read_as(&[path("/etc/test.conf")], &env, Dialect::Logrotate);
        let loud = parsed.transcript.iter().find(|line| line.level != Level::Progress);
        assert_eq!(loud, None, "{text}");
        let ours = read(&[path("/etc/test.conf")], &env);
        assert_eq!(parsed.config.sets.len(), ours.config.sets.len(), "{text}");
        for (theirs, ours) in std::iter::zip(&parsed.config.sets, &ours.config.sets) {
            let expected = Policy {
                rules: crate::policy::Rules::Logrotate,
                parents: crate::policy::ParentRule::Logrotate,
                ..ours.policy.clone()
            };
            assert_eq!(theirs.policy, expected, "{text}");
        }
    }
}
