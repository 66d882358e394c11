//! Names of any bytes and of any length.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use logquota::logrotate::State;
use logquota_tests::tree::names;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use super::{METHODS, Place, ran, set_mode, write};

/// Names of logs that shells, programs and terminals may take for something else.
fn odd_names() -> Vec<OsString> {
    let bases = [
        &b"app\xff\xfe"[..],
        b"-rf",
        b"--help",
        b"$(touch X)",
        b"`touch X`",
        b";touch X;",
        b"\ntouch X\n",
        b"\" 2020-1-1\n\"x",
        b"\x1b]0;x\x07\r\x1b[2K",
        "\u{202e}gpj.\u{200b}".as_bytes(),
        b"a'b\"c\\",
        b"blanks and * and ?",
    ];
    bases.into_iter().map(|base| OsString::from_vec([base, b".log"].concat())).collect()
}

/// Names of logs with every byte that a name may have.
fn every_byte() -> Vec<OsString> {
    let bytes = (1..=255u8).filter(|b| *b != b'/');
    bytes.map(|b| OsString::from_vec(vec![b'a', b, b'z', b'.', b'l', b'o', b'g'])).collect()
}

fn with_end(name: &OsStr, end: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(end);
    name
}

/// A folder with all of them, each with its name as its content.
fn place_of(names: &[OsString], config: &str) -> Place {
    let place = Place::with(config);
    for name in names {
        write(&place.log(name), name.as_bytes());
    }
    place
}

fn assert_harmless(said: &[u8], what: &str) {
    let text = std::str::from_utf8(said).unwrap_or_else(|error| panic!("{what}: {error}"));
    let is_bad = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(*c, '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let bad: Vec<char> = text.chars().filter(is_bad).collect();
    assert!(bad.is_empty(), "{what}: {bad:?}");
}

#[test]
fn h12_a_name_that_has_no_room_for_its_ending_loses_no_log_and_is_told() {
    for method in METHODS {
        for more in ["", "compress", "dateext\n compress", "compress\n delaycompress"] {
            for len in [243, 246, 249, 251, 252, 253, 254, 255] {
                let place =
                    Place::with(&format!("LOGS/*.log {{\n {method}\n {more}\n rotate 9\n}}\n"));
                let name = format!("{}.log", "n".repeat(len - 4));
                write(&place.log(&name), "the only copy\n");
                write(&place.log("ok.log"), "fine\n");
                let what = format!("{method} {more} {len}");
                for _ in 0..2 {
                    let ran = place.run(&["-f"]);
                    // Either it was done, or that it was not is said.
                    let is_done = names(&place.logs()).iter().any(|found| {
                        found.len() > name.len() && found.as_bytes().starts_with(b"nnn")
                    });
                    assert!(is_done || ran.code == Some(1), "{what}: {ran:?}");
                    assert_eq!(ran.code == Some(1), ran.said.contains("error: "), "{what}");
                    assert!(place.everything().contains("the only copy\n"), "{what}");
                }
                // What cannot be done for one is no reason to leave the other.
                assert!(names(&place.logs()).iter().any(|n| n.as_bytes().starts_with(b"ok.log")));
                assert!(place.everything().contains("fine\n"), "{what}");
            }
        }
    }
}

#[test]
fn h12_a_name_without_room_for_the_compressed_copy_is_left_as_it_is() {
    // `.1` fits, `.1.gz` does not.
    let place = Place::with("LOGS/*.log {\n rotate 3\n create\n compress\n}\n");
    let name = format!("{}.log", "n".repeat(249));
    write(&place.log(&name), "content\n");
    let ran = place.run(&["-f"]);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert_eq!(names(&place.logs()), [OsString::from(&name)]);
    assert_eq!(place.content(&name).as_deref(), Some("content\n"));
}

#[test]
fn h12_folders_deeper_than_a_path_can_say_stop_nobody() {
    let place = Place::new();
    let flags = OFlags::DIRECTORY;
    let mut at = openat(CWD, place.logs(), flags, Mode::empty()).expect("the folder");
    let mut wildcard = String::from("LOGS");
    for _ in 0..20 {
        let name = "d".repeat(250);
        mkdirat(&at, &name, Mode::RWXU).expect("a folder");
        at = openat(&at, &name, flags, Mode::empty()).expect("the folder");
        wildcard.push_str("/*");
    }
    let held = PathBuf::from(format!("/proc/self/fd/{}", at.as_raw_fd()));
    write(&held.join("deep.log"), "deep\n");
    write(&place.log("ok.log"), "fine\n");
    place.config(&format!("{wildcard}/*.log LOGS/ok.log {{\n rotate 2\n missingok\n}}\n"));
    let ran = place.run(&["-f"]);
    assert!(ran.code.is_some(), "{}", ran.said);
    assert_eq!(place.content("ok.log.1").as_deref(), Some("fine\n"), "{}", ran.said);
    // It is there, wherever it is.
    let deep = names(&held).into_iter().map(|name| fs::read(held.join(name)).expect("it"));
    assert!(deep.into_iter().any(|content| content == b"deep\n"));
}

#[test]
fn h13_h14_names_of_any_bytes_are_rotated_and_known_again() {
    let odd = [odd_names(), every_byte()].concat();
    let place = place_of(&odd, "LOGS/*.log {\n daily\n rotate 3\n nocreate\n}\n");
    let ran = place.run(&["-f"]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    for name in &odd {
        let copy = fs::read(place.log(with_end(name, ".1")));
        assert_eq!(copy.expect("rotated"), name.as_bytes(), "{name:?}");
    }
    assert_eq!(names(&place.logs()).len(), odd.len());
    // One entry for each of them, and no other.
    let text = fs::read(place.path("state")).expect("there");
    let (state, wrong) = State::parse(&text);
    assert_eq!(wrong, None);
    let noted: BTreeSet<PathBuf> = odd.iter().map(|name| place.log(name)).collect();
    assert!(noted.iter().all(|path| state.get(path).is_some()));
    assert_eq!(text.iter().filter(|b| **b == b'\n').count(), odd.len() + 1);
    // The times are those of the logs: what was rotated today is not due, what was rotated years
    // ago is.
    for name in &odd {
        write(&place.log(name), "again");
    }
    let ran = place.run(&[]);
    assert_eq!((ran.code, names(&place.logs()).len()), (Some(0), 2 * odd.len()), "{}", ran.said);
    let mut old = State::default();
    for path in &noted {
        let long_ago =
            chrono::NaiveDate::from_ymd_opt(2020, 1, 1).and_then(|d| d.and_hms_opt(0, 0, 0));
        old.set(path.clone(), long_ago.expect("a time"));
    }
    write(&place.path("state"), old.format());
    let ran = place.run(&[]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    for name in &odd {
        let copy = fs::read(place.log(with_end(name, ".1")));
        assert_eq!(copy.expect("rotated"), b"again", "{name:?}");
    }
}

#[test]
fn h15_what_is_said_cannot_speak_to_the_terminal() {
    let odd = "\u{1b}]0;x\u{7}\r\u{1b}[2K\u{202e}\u{9b}31m";
    let config = format!(
        "LOGS/*.log {{\n rotate 2\n create\n compress\n dateext\n postrotate\n  # {odd}\n endscript\n}}\n\
         \"LOGS/{odd}/gone\" {{\n daily\n}}\n\
         LOGS/{odd}* {{\n rotate 2\n olddir {odd}\n}}\n\
         LOGS/x {{\n rotate {odd}\n}}\n\
         LOGS/y {{\n {odd}\n}}\n\
         LOGS/z {{\n frobnicate {odd}\n size 5{odd}\n}}\n"
    );
    let place = place_of(&[odd_names(), every_byte()].concat(), &config);
    let conf = place.path(format!("{odd}.conf"));
    fs::rename(place.path("conf"), &conf).expect("renamed");
    // A copy that is in the way, a state file with bad lines, and files that cannot be read.
    place.state(format!("\"/x{odd}\" 1-1-1\n{odd}\n"));
    let messages = place.path("messages");
    let log = format!("--log={}", messages.display());
    for flags in [vec!["-d"], vec!["-v", "-f", &log], vec!["-f"], vec!["-f", &format!("-{odd}")]] {
        let mut command = place.bare(&flags);
        command.arg(&conf).arg(place.path(format!("no{odd}")));
        let ran = ran(&mut command);
        assert!(!ran.said.is_empty());
        assert_harmless(ran.said.as_bytes(), &flags.join(" "));
    }
    let written = fs::read(messages).expect("there");
    assert!(written.len() > 10_000, "{}", written.len());
    assert_harmless(&written, "the log of messages");
}

#[test]
fn h16_names_reach_programs_as_arguments_and_never_as_text() {
    let scripts: String = ["firstaction", "prerotate", "postrotate", "lastaction", "preremove"]
        .iter()
        .map(|name| format!(" {name}\n  printf '%s\\0' \"$@\" >>LOGS/../told\n endscript\n"))
        .collect();
    let config = format!(
        "LOGS/*.log {{\n rotate 1\n nocreate\n mail somebody\n compress\n compresscmd LOGS/../pack\n \
         compressext .x\n uncompresscmd /bin/cat\n shred\n{scripts}}}\n"
    );
    let odd = odd_names();
    let place = place_of(&odd, &config);
    for (program, text) in [
        (
            "pack",
            "#!/bin/sh\nprintf '%s\\0' \"$@\" \"$LOGROTATE_COMPRESSED_FILENAME\" >>told\ncat\n",
        ),
        ("mailer", "#!/bin/sh\nprintf '%s\\0' \"$@\" >>told\ncat >/dev/null\n"),
    ] {
        write(&place.path(program), text);
        set_mode(&place.path(program), 0o755);
    }
    // What names may be taken for would be made, or deleted, here or there.
    let here = names(place.dir.path());
    for round in 0..3 {
        for name in odd.iter().filter(|_| round > 0) {
            write(&place.log(name), name.as_bytes());
        }
        let mut command = place.command(&["-f", "-m", "./mailer"]);
        let ran = ran(&mut command);
        assert_eq!(ran.code, Some(0), "{}", ran.said);
    }
    let there: Vec<OsString> = names(place.dir.path());
    let new: Vec<_> = there.iter().filter(|name| !here.contains(name)).collect();
    assert_eq!(new, ["state", "told"]);
    assert!(!names(&place.logs()).contains(&"X".into()));
    let told = fs::read(place.path("told")).expect("scripts ran");
    let told: BTreeSet<&[u8]> = told.split(|b| *b == 0).collect();
    for name in &odd {
        for end in ["", ".1", ".2.x"] {
            let path = place.log(with_end(name, end)).into_os_string().into_vec();
            assert!(told.contains(&path[..]), "{name:?} {end}");
        }
    }
    // Programs were told whole paths, and words of ours.
    let odd_words: Vec<_> =
        told.iter().filter(|word| !word.starts_with(b"/") && !word.is_empty()).collect();
    assert_eq!(odd_words, [&b"-s"[..], b"somebody"].iter().collect::<Vec<_>>());
}
