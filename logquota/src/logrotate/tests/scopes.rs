//! How far things reach: defaults, includes, errors, and what is not read at all.

use super::*;

#[test]
fn a_default_holds_for_the_blocks_below_it() {
    let parsed =
        parse("/log/a { }\nrotate 3\n/log/b { }\n/log/c {\nrotate 4\n}\n/log/d { }\nrotate 5");
    assert_eq!(problems(&parsed), [""; 0]);
    assert_eq!(
        sets(&parsed),
        [
            ("/log/a", Count::AtMost(0)),
            ("/log/b", Count::AtMost(3)),
            ("/log/c", Count::AtMost(4)),
            ("/log/d", Count::AtMost(3)),
        ]
    );
}

#[test]
fn defaults_go_into_includes_come_out_of_them_and_on_to_the_next_file() {
    let env = MemEnv::new()
        .file("/etc/one", "rotate 1\ninclude sub\n/log/c { }")
        .file("/etc/sub", "/log/a { }\nrotate 2\n/log/b { }")
        .file("/etc/two", "/log/d { }");
    let parsed = read(&[path("/etc/one"), path("/etc/two")], &env);
    assert_eq!(problems(&parsed), [""; 0]);
    let count = |n| Count::AtMost(n);
    assert_eq!(
        sets(&parsed),
        [("/log/a", count(1)), ("/log/b", count(2)), ("/log/c", count(2)), ("/log/d", count(2))]
    );
    assert_eq!(parsed.files, [path("/etc/one"), path("/etc/sub"), path("/etc/two")]);
}

#[test]
fn an_error_outside_of_blocks_ends_its_file_and_takes_its_defaults_back() {
    let env = MemEnv::new()
        .file("/etc/one", "quota 1G\nrotate 7\n/log/a { }\nbogus\n/log/b { }")
        .file("/etc/two", "/log/c { }");
    let parsed = read(&[path("/etc/one"), path("/etc/two")], &env);
    assert_eq!(sets(&parsed), [("/log/a", Count::AtMost(7)), ("/log/c", Count::AtMost(0))]);
    assert_eq!(parsed.config.global, Limits::default());
    assert_eq!(problems(&parsed), ["4:1 error unknown directive `bogus`"]);
    for bad in ["rotate x", "rotate", "weekly 9", "set x", "}", "7", "su root", "{", "include /no"]
    {
        let parsed = parse(format!("/log/a {{ }}\n{bad}\n/log/b {{ }}"));
        assert_eq!(sets(&parsed), [("/log/a", Count::AtMost(0))], "{bad}");
        assert_eq!(parsed.diagnostics.len(), 1, "{bad}");
        assert!(parsed.diagnostics[0].help.contains("rest of this file"), "{bad}");
    }
}

#[test]
fn an_error_in_a_block_names_all_that_is_wrong_there_in_order() {
    let parsed = parse("/log/a {\nrotate x\nbogus\nsize y\n}\n/log/b { }");
    assert_eq!(sets(&parsed), [("/log/b", Count::AtMost(0))]);
    let lines: Vec<_> = parsed.diagnostics.iter().map(|d| d.line).collect();
    assert_eq!(lines, [2, 3, 4]);
}

#[test]
fn an_indented_brace_ends_a_bad_block_and_the_next_one_is_read() {
    let parsed = parse("/log/a {\n 7\n postrotate\n }\n endscript\n  }\n/log/b { }");
    assert_eq!(sets(&parsed), [("/log/b", Count::AtMost(0))]);
}

#[test]
fn a_value_that_is_missing_before_the_brace_never_rotates_its_block() {
    // logrotate lost the brace here and rotated with `rotate 0`.
    for text in ["/log/a {\n rotate\n}", "/log/a { rotate 3 }", "/log/a {\n rotate }\n"] {
        let parsed = parse(format!("{text}\n/log/b {{ }}\n"));
        assert_eq!(sets(&parsed), [("/log/b", Count::AtMost(0))], "{text}");
    }
}

#[test]
fn an_include_in_a_block_sets_that_block() {
    let env = MemEnv::new().file("/etc/options", "rotate 9\npostrotate\n}\nendscript\ncompress");
    let parsed = parse_in(&env, "/log/a {\n include options\n}\n/log/b { }");
    assert_eq!(problems(&parsed), [""; 0]);
    assert_eq!(sets(&parsed), [("/log/a", Count::AtMost(9)), ("/log/b", Count::AtMost(0))]);
    for bad in ["rotate x", "}", "/log/x { }", "bogus", "include /etc/options"] {
        let env = MemEnv::new().file("/etc/options", format!("daily\n{bad}\n"));
        let parsed = parse_in(&env, "/log/a {\n include options\n}\n/log/b { }");
        assert_eq!(sets(&parsed), [("/log/b", Count::AtMost(0))], "{bad}");
        let found = &parsed.diagnostics[0];
        assert_eq!(
            (found.file.as_path(), found.line),
            (path("/etc/options").as_path(), 2),
            "{bad}"
        );
    }
    let missing = parse("/log/a {\n include options\n}\n/log/b { }");
    assert_eq!(sets(&missing), [("/log/b", Count::AtMost(0))]);
    assert!(problems(&missing)[0].starts_with("2:10 error cannot read `/etc/options`"));
}

#[test]
fn a_folder_is_read_in_order_without_what_is_taboo() {
    let mut env = MemEnv::new().pipe("/etc/d/pipe").file("/etc/d/sub/x", "/log/sub { }");
    for name in ["b", "a", ".hidden", ".x.swp", "z.bak", "y~", "w.dpkg-old", "v,v", "u.new", "C"] {
        env = env.file(format!("/etc/d/{name}"), format!("/log/{name} {{ }}"));
    }
    let names = |text: &str| -> Vec<String> {
        let parsed = parse_in(&env, text);
        assert_eq!(problems(&parsed), [""; 0], "{text}");
        parsed.config.at_work().map(|set| set.name.clone()).collect()
    };
    let usual = ["/log/.hidden", "/log/.x.swp", "/log/C", "/log/a", "/log/b"];
    assert_eq!(names("include /etc/d"), usual);
    assert_eq!(names("include d"), usual, "beside the including file");
    assert_eq!(names("taboopat + .*\ninclude d"), ["/log/C", "/log/a", "/log/b"]);
    assert_eq!(names("taboopat +.*, [a-b]\ninclude d"), ["/log/C"]);
    let forgotten = names("tabooext a ,, b\ninclude d");
    assert!(
        forgotten.contains(&"/log/z.bak".to_owned()) && !forgotten.contains(&"/log/a".to_owned())
    );
    let parsed = read(&[path("/etc/d")], &env);
    assert_eq!(parsed.config.at_work().count(), usual.len(), "a folder can be named by the caller");
}

#[test]
fn a_bad_file_in_a_folder_spares_the_others() {
    let env = MemEnv::new()
        .file("/etc/d/a", "rotate 1\n/log/a { }\nbogus\n/log/x { }")
        .file("/etc/d/b", "/log/b { }");
    let parsed = parse_in(&env, "include d\n/log/c { }");
    let none = Count::AtMost(0);
    assert_eq!(sets(&parsed), [("/log/a", Count::AtMost(1)), ("/log/b", none), ("/log/c", none)]);
}

#[test]
fn a_file_included_by_name_that_is_bad_ends_the_including_file() {
    // What follows may rely on settings of the included file, such as `rotate`.
    let env = MemEnv::new().file("/etc/sub", "rotate 9\n/log/a { }\nbogus");
    let parsed = parse_in(&env, "include sub\n/log/b { }");
    assert_eq!(sets(&parsed), [("/log/a", Count::AtMost(9))]);
    assert_eq!(parsed.diagnostics.len(), 2);
}

#[test]
fn files_that_include_each_other_come_to_an_end() {
    let parsed = parse("include test.conf\n/log/a { }");
    assert_eq!(problems(&parsed), ["1:9 error `/etc/test.conf` includes itself"]);
    let env = MemEnv::new().file("/etc/x", "include test.conf");
    assert!(problems(&parse_in(&env, "include x"))[0].contains("includes itself"));
    let mut env = MemEnv::new();
    for n in 0..30 {
        env = env.file(format!("/etc/{n}"), format!("include {}", n + 1));
    }
    let parsed = parse_in(&env.file("/etc/30", ""), "include 0");
    assert!(problems(&parsed)[0].contains("include nesting too deep"));
    assert_eq!(parsed.files.len(), 17);
}

#[test]
fn h32_files_that_multiply_by_including_stop_being_read() {
    // Each file of a level includes all of the next: without a limit 10^7 readings.
    let mut env = MemEnv::new();
    for level in 0..7 {
        let all: String = (0..10).map(|n| format!("include /etc/{}-{n}\n", level + 1)).collect();
        for n in 0..10 {
            env = env.file(format!("/etc/{level}-{n}"), &all);
        }
    }
    for n in 0..10 {
        env = env.file(format!("/etc/7-{n}"), "");
    }
    let parsed = read(&[path("/etc/0-0")], &env);
    assert!(parsed.has_errors() && parsed.files.len() <= 4096);
}

#[test]
fn h31_root_obeys_no_file_that_others_can_write() {
    for (mode, uid, accepted) in [
        (0o644, 0, true),
        (0o600, 0, true),
        (0o755, 0, true),
        (0o664, 0, false),
        (0o646, 0, false),
        (0o644, 1000, false),
    ] {
        let env = MemEnv::new()
            .acting_as(0)
            .file_with("/etc/x", "/log/a { }", mode, uid)
            .file("/etc/y", "include x\n/log/b { }")
            .file("/etc/z", "/log/c {\ninclude x\n}");
        for file in ["/etc/x", "/etc/y"] {
            let parsed = read(&[path(file)], &env);
            assert_eq!(!parsed.has_errors(), accepted, "{file} {mode:o} {uid}");
            assert_eq!(parsed.config.at_work().next().is_none(), !accepted);
        }
        assert!(read(&[path("/etc/z")], &env).config.at_work().next().is_none());
        let other = read(&[path("/etc/x")], &env.acting_as(1000));
        assert!(!other.has_errors(), "only root has to be careful");
    }
    for (mode, uid) in [(0o775, 0), (0o777, 0), (0o1777, 0), (0o755, 1000)] {
        let env = MemEnv::new().acting_as(0).dir("/etc/d", mode, uid).file("/etc/d/x", "daily");
        assert!(parse_in(&env, "include d").has_errors(), "{mode:o} {uid}");
        assert!(read(&[path("/etc/d")], &env).has_errors());
    }
}

#[test]
fn what_cannot_be_read_is_an_error_of_its_own() {
    let env = MemEnv::new()
        .pipe("/etc/pipe")
        .file("/etc/ok", "/log/a { }")
        .file("/etc/long", vec![b'\n'; 16_777_216]);
    let parsed = read(&["/etc/none", "/etc/pipe", "/etc/long", "/etc/ok"].map(path), &env);
    let shown: Vec<_> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 3);
    assert!(shown[0].starts_with("/etc/none: error: cannot read `/etc/none`"), "{}", shown[0]);
    assert!(shown[1].starts_with("/etc/pipe: error: `/etc/pipe` is no regular file"));
    assert!(shown[2].starts_with("/etc/long: error: `/etc/long` is too long"));
    assert_eq!(sets(&parsed), [("/log/a", Count::AtMost(0))], "the others are read");
}

#[test]
fn an_empty_file_is_fine() {
    for text in ["", "\n", "# only a comment", "   "] {
        let parsed = parse(text);
        assert!(
            parsed.diagnostics.is_empty() && parsed.config.at_work().next().is_none(),
            "{text:?}"
        );
    }
}

#[test]
fn h32_a_text_of_a_million_of_anything_takes_no_minutes() {
    let many = |text: &str| text.repeat(1_000_000);
    for text in [
        many("/a{}\n"),
        many("/a "),
        format!("/a {}{{ }}", many("/b\n")),
        format!("/a {{ {} }}", many("daily ")),
        format!("/a {{ {} }}", many("daily weekly\n")),
        format!("/a {{\n{} }}", many("x\n")),
        format!("/a {{\n{} }}", many("rotate x\n")),
        format!("/a {{\n{} }}", many("rotate 1\nrotate 2\n")),
        format!("/a {{\n{} }}", many("postrotate\n")),
        format!("/a {{\n{}\n}}", many("postrotate\nendscript\n")),
        many("/a { 7\n}\n"),
        many("#\n"),
        many("'"),
        many("\\"),
        many("{"),
        many("daily "),
        many("tabooext + x\n"),
    ] {
        let parsed = parse(&text);
        assert!(parsed.diagnostics.len() <= 201);
    }
}
