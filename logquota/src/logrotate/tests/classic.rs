//! The dialect that replaces logrotate: what it says, how far errors reach, what is read.

use super::*;

mod values;

/// A machine with a few logs.
fn logs() -> MemEnv {
    let mut env = MemEnv::new().file("/log/sub/x", "").dangling("/log/z.dangling");
    for name in ["a", "b", "c", "1.log", "2.log", "3.log", ".hidden.log"] {
        env = env.file(format!("/log/{name}"), "");
    }
    env
}

fn classic_in(env: MemEnv, text: impl AsRef<[u8]>) -> Parsed {
    read_as(&["conf".into()], &env.file("conf", text), Dialect::Logrotate)
}

fn classic(text: impl AsRef<[u8]>) -> Parsed {
    classic_in(logs(), text)
}

/// What is printed without `-v`; an error that fails the run has a `!` in front.
fn said(parsed: &Parsed) -> Vec<String> {
    let shown = parsed.transcript.iter().filter(|line| line.level != Level::Progress);
    shown.map(|line| format!("{}{line}", if line.fails { "!" } else { "" })).collect()
}

/// The logs of all sets.
fn paths(parsed: &Parsed) -> Vec<String> {
    assert_eq!(parsed.config.sets.len(), parsed.origins.len());
    let selectors = parsed.config.sets.iter().flat_map(|set| &set.selectors);
    let all: Vec<String> = selectors
        .map(|selector| match selector {
            Selector::Log(path) => path.to_string_lossy().into_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    let origins = parsed.origins.iter().flat_map(|origin| &origin.logs);
    assert!(origins.map(|log| log.to_string_lossy().into_owned()).eq(all.iter().cloned()));
    all
}

#[test]
fn a_word_that_is_not_known_costs_its_line_and_nothing_else() {
    let parsed =
        classic("bogus { x\n/log/a {\n  Rotate 5\n rotates 7\n ballasts\n daily\n}\nendscript\n");
    assert_eq!(
        said(&parsed),
        [
            "warning: conf:1 unknown option 'bogus' -- ignoring line",
            "warning: conf:3 unknown option 'Rotate' -- ignoring line",
            "warning: conf:4 unknown option 'rotates' -- ignoring line",
            "warning: conf:5 unknown option 'ballasts' -- ignoring line",
            "warning: conf:8 unknown option 'endscript' -- ignoring line",
        ]
    );
    assert_eq!(paths(&parsed), ["/log/a"]);
    assert_eq!(parsed.config.sets[0].policy.when, RotateWhen::Daily);
}

#[test]
fn an_error_in_a_block_drops_that_block_alone() {
    for (lines, words) in [
        ("rotate x", "bad rotation count 'x'"),
        ("rotate", "argument expected after rotate count"),
        ("daily;", "keyword 'daily' not properly separated, found 0x3b"),
        ("/log/b {\n daily", "unexpected log filename"),
        ("7", "lines must begin with a keyword or a filename (possibly in double quotes)"),
        ("tabooext .x", "tabooext may not appear inside of log file definition"),
        (
            "daily\r\n\r",
            "lines must begin with a keyword or a filename (possibly in double quotes)",
        ),
        ("rotate x\n bogus\n rotate y\n", "bad rotation count 'x'"),
        ("copy renamecopy", "`copy` and `renamecopy` exclude each other; remove one of them"),
        ("errors a@b", "keyword 'a' not properly separated, found 0x40"),
    ] {
        let parsed = classic(format!(
            "/log/a # x\n '/log/b'  {{\n{lines}\n postrotate\n }}\n endscript\n  }}\n/log/c {{ }}\n"
        ));
        assert_eq!(paths(&parsed), ["/log/c"], "{lines}");
        let all = said(&parsed);
        let errors: Vec<&String> = all.iter().filter(|line| line.starts_with('!')).collect();
        assert_eq!(errors.len(), 2, "{lines}: {all:?}");
        assert!(errors[0].starts_with("!error: conf:") && errors[0].ends_with(words), "{all:?}");
        assert_eq!(errors[1], "!error: found error in /log/a # x\\n '/log/b', skipping");
        assert!(parsed.has_errors());
    }
}

#[test]
fn a_brace_that_a_value_has_taken_closes_its_block() {
    // logrotate goes on behind it: it rotates the block half read, or swallows the next one.
    for (line, words) in [
        ("rotate 3 }", "bad rotation count '3 }'"),
        ("create }", "invalid mode '}' for create"),
        (
            "extension .x }",
            "the value of `extension` goes to the end of the line and has taken the `}`",
        ),
    ] {
        let parsed = classic(format!("/log/a {{ daily\n {line}\n/log/c {{ }}\n"));
        assert_eq!(paths(&parsed), ["/log/c"], "{line}");
        let block = "!error: found error in /log/a, skipping".to_owned();
        assert_eq!(said(&parsed), [format!("!error: conf:2 {words}"), block], "{line}");
    }
}

#[test]
fn an_error_outside_of_blocks_ends_the_file_and_some_do_in_a_block() {
    for (text, words) in [
        ("rotate x", "bad rotation count 'x'"),
        ("}", "unexpected }"),
        ("su root", "no group for su"),
        ("weekly 9", "bad weekly directive '9'"),
        ("/log/b }", "unexpected } (missing previous '{')"),
        ("postrotate\nx", "prerotate, postrotate or preremove without endscript"),
        ("set x", "set may only appear inside of log file definition"),
        ("'' { }", "error parsing filename"),
        ("/log/b {\nweekly=1\n}", "bad weekly directive '=1'"),
        ("/log/b {\nmonthly 32\n}", "bad monthly directive '32'"),
        ("/log/b {\npostrotate\n}", "prerotate, postrotate or preremove without endscript"),
        ("/locked/*.log {\n}", "glob failed for /locked/*.log: Permission denied"),
        ("/log/b {\nolddir /missing\n}", "error verifying olddir path /missing: not found"),
    ] {
        let env = logs().dir("/locked", 0, 0).file("two", "/log/1.log { }");
        let text = format!("rotate 3\n/log/a {{ }}\n{text}\n/log/c {{ }}\n");
        let env = env.file("conf", text.as_bytes());
        let parsed = read_as(&["conf".into(), "two".into()], &env, Dialect::Logrotate);
        assert_eq!(paths(&parsed), ["/log/a", "/log/1.log"], "{text}");
        let all = said(&parsed);
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        assert!(all[0].starts_with("!error: conf:") && all[0].ends_with(words), "{all:?}");
        let counts: Vec<Count> = parsed.config.sets.iter().map(|set| set.policy.count).collect();
        assert_eq!(counts, [Count::AtMost(3), Count::AtMost(0)], "its defaults are undone");
    }
    let parsed = classic("/log/a {\n daily");
    assert_eq!((paths(&parsed), said(&parsed)), (vec!["/log/a".to_owned()], vec![]), "no brace");
}

#[test]
fn a_folder_that_cannot_be_read_is_fine_with_missingok() {
    let parsed = classic_in(logs().dir("/locked", 0, 0), "/locked/* /log/a {\nmissingok\n}");
    assert_eq!((paths(&parsed), said(&parsed)), (vec!["/log/a".to_owned()], vec![]));
}

#[test]
fn text_behind_a_brace_and_a_missing_lenient_value_fail_nothing() {
    let parsed = classic(
        "tabooext\nsize\n/log/a {\n dateformat\n minutes\n minsize =\n dateext\n} x\n/log/b { } # y\n",
    );
    assert_eq!(
        said(&parsed),
        [
            "error: conf:1 argument expected after tabooext",
            "error: conf:2 argument expected after size",
            "error: conf:4 argument expected after dateformat",
            "error: conf:5 argument expected after minutes",
            "error: conf:6 argument expected after minsize",
            "error: conf:8 unexpected text after }",
            "error: conf:9 unexpected text after }",
        ]
    );
    assert_eq!(paths(&parsed), ["/log/a", "/log/b"]);
    assert!(!parsed.has_errors() && !parsed.transcript.iter().any(|line| line.fails));
}

#[test]
fn patterns_are_expanded_as_the_configuration_is_read() {
    for (words, expected) in [
        ("/log/*.log", vec!["/log/1.log", "/log/2.log", "/log/3.log"]),
        ("/log/.*.log", vec!["/log/.hidden.log"]),
        ("/log//[ab]", vec!["/log//a", "/log//b"]),
        ("'/log/?'", vec!["/log/a", "/log/b", "/log/c"]),
        ("/l*/c /log/a", vec!["/log/c", "/log/a"]),
        ("/log/x*.log /no/*", vec!["/log/x*.log", "/no/*"]),
        ("/log/s* /log/sub /log/sub/", vec![]),
        ("/log/z*", vec!["/log/z.dangling"]),
        (r#""/log/\*.log" /log/\\[x]"#, vec![r"/log/\*.log", r"/log/\[x]"]),
        (r"/log/\[ab]", vec!["/log/a", "/log/b"]),
        ("~/x ~nobody/y \"rel\"", vec!["~/x", "~nobody/y", "rel"]),
        ("/log/a \"x y", vec!["/log/a", "x y\n\n "]),
        ("/log/../log/a", vec!["/log/../log/a"]),
    ] {
        let parsed = classic(format!("{words}\n# no }}\n {{\n}}"));
        assert_eq!(paths(&parsed), expected, "{words}");
        assert_eq!(said(&parsed), [""; 0], "{words}");
    }
    let parsed = classic(b"/log/\xff*\xfe {}");
    assert_eq!(parsed.origins[0].logs[0].as_os_str().as_bytes(), b"/log/\xff*\xfe");
    let env = logs().file(OsStr::from_bytes(b"/log/\xffx"), "");
    let parsed = classic_in(env.file("/root/x", ""), b"/log/\xff* ~/x {}");
    assert_eq!(parsed.origins[0].logs[0].as_os_str().as_bytes(), b"/log/\xffx");
    assert_eq!(parsed.origins[0].logs[1], path("/root/x"));
}

#[test]
fn the_first_block_keeps_a_path_and_a_clash_ends_its_word() {
    let dup =
        |line: usize, path: &str| format!("!error: conf:{line} duplicate log entry for {path}");
    for (text, expected, errors) in [
        ("/log/a { }\n/log/a /log/b { }", "/log/a /log/b", vec![dup(2, "/log/a")]),
        (
            "/log/2.log { }\n/log/*.log /log/c { }",
            "/log/2.log /log/1.log /log/c",
            vec![dup(2, "/log/2.log")],
        ),
        ("/log/a /log/a { }", "/log/a", vec![dup(1, "/log/a")]),
        (
            "/log/2.log { ignoreduplicates }\n/log/*.log { }",
            "/log/2.log /log/1.log /log/3.log",
            vec![],
        ),
        ("/log/a { }\n/log/a { ignoreduplicates }", "/log/a", vec![dup(2, "/log/a")]),
        ("/log/a /log/a { ignoreduplicates }", "/log/a", vec![dup(1, "/log/a")]),
        ("ignoreduplicates\n/log/a /log/a { }", "/log/a", vec![]),
        ("/log/a { }\n/log//a { }", "/log/a /log//a", vec![]),
    ] {
        let parsed = classic(text);
        assert_eq!(paths(&parsed).join(" "), expected, "{text}");
        assert_eq!(said(&parsed), errors, "{text}");
    }
    let parsed = classic("/log/a {\nrotate x\n}\n/log/a { }");
    assert_eq!(paths(&parsed), ["/log/a"], "a block that is dropped has no paths");
}

#[test]
fn the_reading_is_told_in_its_order() {
    let env = logs()
        .file("d/one", "include more\nbogus\n/log/a { }")
        .file("d/more", "size 5x\n")
        .file("d/z.bak", "")
        .pipe("d/pipe");
    let parsed = classic_in(
        env,
        "daily\nsize 1k\ninclude d\n/log/b {\n weekly\n daily\n}\n/log/c { hourly }",
    );
    let all: Vec<String> = parsed.transcript.iter().map(ToString::to_string).collect();
    assert_eq!(
        all,
        [
            "reading config file conf",
            "note: 'size' overrides previously specified 'daily'",
            "including d",
            "Ignoring z.bak, because of *.bak pattern match",
            "reading config file more",
            "error: more:1 unknown unit 'x'",
            "error: found error in file more, skipping",
            "reading config file one",
            "including more",
            "reading config file more",
            "error: more:1 unknown unit 'x'",
            "warning: one:2 unknown option 'bogus' -- ignoring line",
            "error: found error in file one, skipping",
            "Ignoring pipe because it's not a regular file.",
            "note: 'weekly' overrides previously specified 'size'",
            "note: 'daily' overrides previously specified 'weekly'",
        ]
    );
    assert_eq!(paths(&parsed), ["/log/a", "/log/b", "/log/c"], "completed blocks stay");
    let origin = &parsed.origins[0];
    assert_eq!((origin.file.as_path(), origin.line), (Path::new("one"), 3));
}

#[test]
fn any_error_takes_back_the_defaults_of_its_file_when_that_ends() {
    for bad in ["/log/a {\nrotate x\n}", "/log/b /log/b {}", "include nope"] {
        let env = logs().file("d/x", format!("rotate 7\n{bad}\nrotate 5\n/log/1.log {{ }}"));
        let parsed = classic_in(env, "include d\n/log/c { }");
        let counts: Vec<Count> = parsed.config.sets.iter().map(|set| set.policy.count).collect();
        let last = counts.last_chunk::<2>();
        assert_eq!(last, Some(&[Count::AtMost(5), Count::AtMost(0)]), "{bad}");
        let file = "!error: found error in file x, skipping".to_owned();
        assert!(said(&parsed).contains(&file), "{bad}: {:?}", said(&parsed));
    }
}

#[test]
fn a_bad_include_in_a_block_drops_the_block() {
    for inner in ["daily\nrotate x", "}", "/log/b { }", "include more"] {
        let env = logs().file("options", inner);
        let parsed = classic_in(env, "/log/a {\ninclude options\n}\n/log/c { }");
        assert_eq!(paths(&parsed), ["/log/c"], "{inner}");
        let all = said(&parsed);
        assert_eq!(all.last().map(String::as_str), Some("!error: found error in /log/a, skipping"));
    }
    let env = logs().file("d/1", "rotate 9").file("d/2", "compress");
    let parsed = classic_in(env, "/log/a {\ninclude d\n}\n");
    let policy = &parsed.config.sets[0].policy;
    assert_eq!((policy.count, policy.compress.is_some()), (Count::AtMost(9), true));
}

#[test]
fn which_files_are_accepted_depends_on_who_reads_them() {
    let ignoring = "!error: Ignoring conf because";
    for (mode, uid, expected) in [
        (0o644, 0, vec![]),
        (0o600, 0, vec![]),
        (0o755, 0, vec!["warning: Potentially dangerous mode on conf: 0755".to_owned()]),
        (0o4644, 0, vec!["warning: Potentially dangerous mode on conf: 04644".to_owned()]),
        (
            0o664,
            0,
            vec![
                "warning: Potentially dangerous mode on conf: 0664".to_owned(),
                format!("{ignoring} it is writable by group or others."),
            ],
        ),
        (
            0o646,
            0,
            vec![
                "warning: Potentially dangerous mode on conf: 0646".to_owned(),
                format!("{ignoring} it is writable by group or others."),
            ],
        ),
        (
            0o644,
            7,
            vec![format!(
                "{ignoring} the file owner is wrong (should be root or user with uid 0)."
            )],
        ),
    ] {
        let env = logs().acting_as(0).file_with("conf", "/log/a { }", mode, uid);
        let is_refused = expected.iter().any(|line| line.starts_with('!'));
        let parsed = read_as(&["conf".into()], &env, Dialect::Logrotate);
        assert_eq!(said(&parsed), expected, "{mode:o} {uid}");
        assert_eq!(parsed.config.sets.is_empty(), is_refused, "h31: {mode:o} {uid}");
        let parsed = read_as(&["conf".into()], &env.acting_as(5), Dialect::Logrotate);
        assert_eq!((said(&parsed), paths(&parsed).len()), (vec![], 1));
    }
    let env = logs().pipe("pipe").file("long", vec![b'\n'; 16_777_216]).file("conf", "/log/a { }");
    let parsed = read_as(&["none", "pipe", "long", "conf"].map(path), &env, Dialect::Logrotate);
    assert_eq!(
        said(&parsed),
        [
            "!error: cannot stat none: No such file or directory",
            "!error: file long too large, probably not a config file."
        ]
    );
    assert_eq!(paths(&parsed), ["/log/a"]);
}

#[test]
fn includes_are_nested_sixteen_deep_and_start_where_logrotate_stands() {
    let mut env = logs().file("n20", "");
    for n in 0..20 {
        env = env.file(format!("n{n}"), format!("include n{}\n", n + 1));
    }
    let parsed = classic_in(env, "include n0\n/log/a { }");
    assert_eq!(said(&parsed), ["!error: n15:1 include nesting too deep"]);
    assert_eq!(paths(&parsed), ["/log/a"]);
    // A file of `/etc` is read from here; only the files of a folder stand in that folder.
    let env = logs().file("/etc/x", "include y").file("/etc/y", "").file("y", "/log/a { }");
    let parsed = read_as(&["/etc/x".into()], &env, Dialect::Logrotate);
    assert_eq!(paths(&parsed), ["/log/a"]);
    let env = logs().file("/root/dir", "olddir ~/old\ncreateolddir 700\n/log/a { }");
    let parsed = classic_in(env, "include ~/dir");
    let dir = parsed.config.sets[0].policy.archive_dir.clone().expect("an olddir");
    assert_eq!((dir.path, dir.create), (path("/root/old"), mode(0o700)));
    let all: Vec<String> = parsed.transcript.iter().map(ToString::to_string).collect();
    assert_eq!(
        all[1..],
        [
            "including /root/dir",
            "reading config file /root/dir",
            "olddir is now ~/old",
            "creating new directory /root/old"
        ]
    );
}

#[test]
fn hidden_files_are_read_and_the_taboo_lists_are_one() {
    let mut env = logs();
    for name in ["a", "b.x", "c.new", ".h", ".x.swp", "d~"] {
        env = env.file(format!("d/{name}"), format!("/of/{name} {{ }}"));
    }
    for (lists, expected) in [
        ("", "/of/.h /of/.x.swp /of/a /of/b.x"),
        ("taboopat + .*", "/of/a /of/b.x"),
        ("tabooext .x, ,~\ntaboopat + c*", "/of/.h /of/.x.swp /of/a"),
        ("taboopat +.*,a b.?", "/of/"),
    ] {
        let parsed = classic_in(env.clone(), format!("{lists}\ninclude d"));
        let expected = expected.trim_end_matches("/of/").trim();
        assert_eq!(paths(&parsed).join(" "), expected, "{lists}");
    }
}

#[test]
fn a_set_knows_where_it_comes_from_and_what_it_was_called() {
    let parsed = classic("\n/log/a \n # no\n\t'/log/b'  \n {\nset app\nquota 5M\n}");
    let set = &parsed.config.sets[0];
    assert_eq!((set.name.as_str(), set.policy.limits.quota), ("app", Some(Bytes::mib(5))));
    let origin = &parsed.origins[0];
    assert_eq!((origin.file.as_path(), origin.line), (Path::new("conf"), 2));
    assert_eq!(origin.pattern, "/log/a \n \n\t'/log/b'");
    assert_eq!(set.pattern_text, origin.pattern);
}

#[test]
fn h15_what_is_said_cannot_speak_to_the_terminal() {
    let parsed = classic(b"/log/a\x1b[2K {\nrotate \x1b[2K\xff\n}\n/log/a { } \x1b\nolddir \x07\n");
    for line in parsed.transcript.iter().map(ToString::to_string) {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn h32_a_million_of_anything_takes_no_minutes_here_either() {
    let many = |text: &str| text.repeat(100_000);
    for text in [
        many("/a{}\n"),
        format!("/a {}{{ }}", many("/b\n")),
        format!("/a {{\n{} }}", many("x\n")),
        format!("/a {{\n{}\n}}", many("size\n")),
        many("x\n"),
        many("/a { 7\n}\n"),
        "include conf\n".repeat(10_000),
        many("daily weekly\n"),
    ] {
        let parsed = classic(&text);
        assert!(parsed.transcript.len() <= 20_001 && parsed.diagnostics.len() <= 201);
    }
}

proptest::proptest! {
    #[test]
    fn h32_whatever_is_written_each_path_has_one_block_and_each_error_is_told(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..60),
    ) {
        let text: String = words.concat();
        let parsed = classic_in(logs().file("inner", "rotate 2\n"), &text);
        let mut all = paths(&parsed);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        proptest::prop_assert_eq!(all.len(), count, "{}", text);
        let fails = parsed.transcript.iter().any(|line| line.fails);
        proptest::prop_assert_eq!(fails, parsed.has_errors(), "{}", text);
        for set in &parsed.config.sets {
            proptest::prop_assert!(set.policy.validate().is_ok(), "{}", text);
        }
    }
}

/// Pieces of configurations, right and wrong.
const WORDS: &[&str] = &[
    "/log/a ",
    "/log/*.log ",
    "\"/log/b c\" ",
    "'",
    "\\",
    "{",
    "{\n",
    "}",
    "}\n",
    "\n",
    " ",
    "\t",
    "# x\n",
    "daily",
    "rotate",
    "rotate 3\n",
    "rotate x\n",
    "size 5\n",
    "weekly 9\n",
    "monthly\n",
    "bogus",
    "compress",
    "postrotate\n",
    "endscript\n",
    "include inner\n",
    "include none\n",
    "olddir /missing\n",
    "errors ",
    "su root\n",
    "ignoreduplicates\n",
    "missingok\n",
    "mail a\n",
    "=",
    "7",
    ";",
    "\u{0}",
    "\u{fffd}",
    "~/x ",
    "dateext\n",
    "dateformat %s%s%s\n",
    "copy renamecopy\n",
    "tabooext",
    "set x\n",
    "quota 1\n",
];
