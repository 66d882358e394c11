//! Configurations that others can change, and limits without sense.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use logquota_tests::canary::look_at_tree;
use logquota_tests::mounts::needs_root;
use logquota_tests::tree::names;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Place, ran, set_mode, write};

const ROTATE: &str = "LOGS/a.log {\n rotate 1\n}\n";

/// A place with one log and one file `file`, which rotates it and is read by way of `conf`.
fn place(conf: &str, file: &str) -> Place {
    let place = Place::with(conf);
    write(&place.log("a.log"), "content\n");
    let path = place.path(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    write(&path, place.fill(ROTATE));
    place
}

#[test]
fn h31_root_obeys_no_file_that_others_can_write() {
    if needs_root() {
        return;
    }
    let ways = [
        ("conf", ROTATE),
        ("other", "include LOGS/../other\n"),
        ("conf.d/other", "include LOGS/../conf.d\n"),
        ("other", "LOGS/a.log {\n rotate 1\n include LOGS/../other\n}\n"),
    ];
    for (file, conf) in ways {
        for (bits, owner, says) in [
            (0o666, (0, 0), "writable by group or others"),
            (0o664, (0, 4), "writable by group or others"),
            (0o646, (0, 0), "writable by group or others"),
            (0o644, (65534, 0), "owner is wrong"),
            (0o600, (1, 1), "owner is wrong"),
        ] {
            let place = place(conf, file);
            chown(place.path(file), Some(owner.0), Some(owner.1)).expect("an owner");
            set_mode(&place.path(file), bits);
            let ran = place.run(&["-f"]);
            assert_eq!(ran.code, Some(1), "{file} {bits:o} {owner:?}: {}", ran.said);
            assert!(ran.said.contains(says), "{file}: {}", ran.said);
            assert_eq!(names(&place.logs()), ["a.log"], "{file} {bits:o} {owner:?}");
        }
        // The right ones are obeyed.
        let place = place(conf, file);
        let ran = place.run(&["-f"]);
        let is_rotated = names(&place.logs()) == ["a.log.1"];
        assert!(is_rotated || file != "conf", "{}", ran.said);
        assert_eq!(ran.code == Some(0), is_rotated, "{file}: {}", ran.said);
    }
}

#[test]
fn h31_what_is_said_of_a_link_is_said_of_the_file_that_it_leads_to() {
    if needs_root() {
        return;
    }
    for (owner, code) in [(0, 0), (65534, 1)] {
        let place = place(ROTATE, "real");
        fs::remove_file(place.path("conf")).expect("removed");
        symlink("real", place.path("conf")).expect("a link");
        chown(place.path("real"), Some(owner), None).expect("an owner");
        let ran = place.run(&["-f"]);
        assert_eq!(ran.code, Some(code), "{}", ran.said);
        assert_eq!(names(&place.logs()) == ["a.log.1"], code == 0);
    }
}

#[test]
fn h31_a_folder_of_configurations_that_others_can_write_is_not_read() {
    if needs_root() {
        return;
    }
    for way in ["include LOGS/../conf.d\n", ""] {
        for (bits, uid, gid, is_refused) in [
            (0o777, 0, 0, true),
            (0o1777, 0, 0, true),
            (0o775, 0, 4, true),
            (0o757, 0, 0, true),
            (0o755, 65534, 0, true),
            (0o755, 0, 0, false),
            (0o775, 0, 0, false),
            (0o750, 0, 4, false),
        ] {
            let place = place(way, "conf.d/other");
            let folder = place.path("conf.d");
            chown(&folder, Some(uid), Some(gid)).expect("its owner");
            set_mode(&folder, bits);
            let mut command = place.command(&["-f"]);
            if way.is_empty() {
                command.arg(&folder);
            }
            let ran = ran(&mut command);
            assert_eq!(ran.code, Some(i32::from(is_refused)), "{bits:o}: {}", ran.said);
            assert_eq!(names(&place.logs()) == ["a.log"], is_refused, "{bits:o}: {}", ran.said);
            assert!(!is_refused || ran.said.contains("insecure permissions"), "{}", ran.said);
        }
    }
}

#[test]
fn h31_a_pipe_or_device_is_no_configuration_and_is_not_waited_for() {
    let place = place(ROTATE, "conf.d/other");
    fs::remove_file(place.path("conf")).expect("removed");
    mknodat(CWD, place.path("conf"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let ran = place.run(&["-f"]);
    assert!(ran.code.is_some(), "{}", ran.said);
    assert_eq!(names(&place.logs()), ["a.log"]);
}

#[test]
fn h32_limits_without_sense_are_refused_where_they_stand_and_their_logs_left_alone() {
    for line in [
        "quota 0",
        "quota 10MB",
        "quota -5",
        "quota 1.5G",
        "quota NaN",
        "quota 99999999999999999999",
        "quota 18446744073709551615T",
        "quota",
        "quota 1M # all of them",
        "maxfiles 0",
        "maxfiles -1",
        "maxfiles 1k",
        "maxfiles 99999999999999999999",
        "maxfiles",
        "reserve 101%",
        "reserve -1%",
        "reserve ten",
        "reserve",
        "size 10MB",
        "size 1m",
        "size -1",
        "size 99999999999G",
        "maxsize 1 M",
        "minsize 1T",
        "rotate -2",
        "rotate 4294967296",
        "rotate 1.5",
        "rotate",
        "maxage -1",
        "maxage 1d",
        "minage one",
        "minutes 0",
        "start -1",
        "shredcycles -1",
        "size 2M\n quota 1M",
        "create 0999",
        "su nobody",
        "dateext\n dateformat -nothing",
        "dateext\n dateformat /%Y",
    ] {
        let config = format!(
            "LOGS/ok.log {{\n size 1\n rotate 1\n}}\n\nLOGS/a.log {{\n daily\n {line}\n}}\n"
        );
        let place = Place::with(&config);
        for name in ["a.log", "a.log.1", "a.log.2", "ok.log"] {
            write(&place.log(name), "content\n");
        }
        let ran = place.run(&["-f"]);
        assert_eq!(ran.code, Some(1), "{line}: {}", ran.said);
        let conf = place.path("conf").display().to_string();
        // The line that it stands in, or the block's.
        let is_told = ran.said.lines().any(|said| {
            let at = said.strip_prefix("error: ").and_then(|said| said.strip_prefix(&conf));
            at.is_some_and(|at| (5..=9).any(|line| at.starts_with(&format!(":{line}"))))
        });
        assert!(is_told, "{line}: {}", ran.said);
        let left: Vec<_> = names(&place.logs());
        assert_eq!(left, ["a.log", "a.log.1", "a.log.2", "ok.log.1"], "{line}: {}", ran.said);
    }
}

#[test]
fn h33_a_quota_of_an_eighth_takes_the_oldest_and_leaves_the_log() {
    for more in ["rotate 99", "rotate 99\n compress", "dateext\n rotate 99"] {
        let place = Place::with(&format!("LOGS/*.log {{\n weekly\n {more}\n quota 2M\n}}\n"));
        for n in 1..=63u64 {
            // Not to be compressed away.
            let name = match more {
                _ if more.contains("dateext") => {
                    format!("a.log-2020{:02}{:02}", 12 - n / 28, 28 - n % 28)
                }
                _ if more.contains("compress") => format!("a.log.{n}.gz"),
                _ => format!("a.log.{n}"),
            };
            write(&place.log(name), vec![b'x'; 256 << 10]);
        }
        write(&place.log("a.log"), vec![b'x'; 256 << 10]);
        let ran = place.run(&["-v"]);
        assert_eq!(ran.code, Some(0), "{more}: {}", ran.said);
        let seen = look_at_tree(&place.logs());
        let files = seen.iter().filter(|(path, _)| **path != place.logs());
        let used: u64 = files.map(|(_, seen)| seen.size.1 * 512).sum();
        assert!(used <= 2 << 20, "{more}: {used}");
        // The newest stay, and no more goes than has to.
        assert!(place.log("a.log").is_file(), "{more}");
        let left = names(&place.logs());
        assert!(left.len() >= 7, "{more}: {left:?}");
        if !more.contains("dateext") {
            for n in 1..left.len() {
                let is_there = left.iter().any(|name| {
                    let name = name.to_str().expect("UTF-8");
                    name.trim_end_matches(".gz") == format!("a.log.{n}")
                });
                assert!(is_there, "{more}: {left:?}");
            }
        }
        // What was cut is said.
        let told = ran.said.lines().filter(|line| line.contains("removing old log")).count();
        assert_eq!(told, 64 - left.len(), "{more}: {}", ran.said);
        let before = look_at_tree(&place.logs());
        assert_eq!(place.run(&[]).code, Some(0));
        assert_eq!(before, look_at_tree(&place.logs()), "{more}");
    }
}

#[test]
fn h33_a_quota_smaller_than_one_block_takes_all_that_may_go_and_says_that_it_is_not_met() {
    // Neither a log in use nor, with `livetrim`, the block of its last record goes.
    for method in ["create", "copytruncate", "copy", "create\n livetrim"] {
        let place =
            Place::with(&format!("LOGS/a.log {{\n daily\n rotate 9\n quota 1\n {method}\n}}\n"));
        for name in ["a.log.1", "a.log.2"] {
            write(&place.log(name), "content\n");
        }
        write(&place.log("a.log"), "active\n");
        for _ in 0..2 {
            let ran = place.run(&[]);
            assert_eq!(ran.code, Some(1), "{method}: {}", ran.said);
            assert!(ran.said.contains("cannot be met"), "{method}: {}", ran.said);
            assert_eq!(names(&place.logs()), ["a.log"], "{method}");
            assert_eq!(place.content("a.log").as_deref(), Some("active\n"), "{method}");
        }
    }
}
