//! The state file: whatever is wrong with it, it is for one run.

use std::fs;
use std::os::unix::fs::symlink;

use chrono::{Local, NaiveDateTime};
use logquota::logrotate::State;
use logquota_tests::canary::{Canary, look};
use logquota_tests::mounts::{Mount, needs_root};
use logquota_tests::tree::{names, sparse};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Place, mode, set_mode, write};

/// Two logs that are due by time and over their limit, and one that is due by its length.
const CONFIG: &str = "LOGS/a.log LOGS/b.log {\n daily\n rotate 9\n quota 64k\n create\n}\n\
                      LOGS/size.log {\n size 1\n rotate 1\n create\n}\n";

fn place() -> Place {
    let place = Place::with(CONFIG);
    for name in ["a.log", "b.log", "size.log"] {
        write(&place.log(name), "content\n");
    }
    for n in 1..=9 {
        write(&place.log(format!("a.log.{n}")), vec![b'x'; 32 << 10]);
    }
    place
}

/// What holds after any run: the limit, what is due by length, and a state file that is whole.
fn assert_enforced(place: &Place, what: &str) {
    let archives = names(&place.logs()).into_iter().filter(|name| *name != "size.log.1");
    let used: u64 = archives.map(|name| look(&place.log(name)).size.1 * 512).sum();
    assert!(used <= 64 << 10, "{what}: {used}");
    assert_eq!(place.content("size.log.1").as_deref(), Some("content\n"), "{what}");
    assert_whole(place, what);
}

fn assert_whole(place: &Place, what: &str) {
    let text = fs::read(place.path("state")).expect("a state file");
    let (state, wrong) = State::parse(&text);
    assert_eq!(wrong, None, "{what}");
    for name in ["a.log", "b.log", "size.log"] {
        let at = state.get(place.log(name)).unwrap_or_else(|| panic!("{what}: {name}"));
        assert!(at <= now(), "{what}: {name} {at}");
    }
    assert_eq!(mode(&place.path("state")) & 0o007, 0, "{what}");
}

fn now() -> NaiveDateTime {
    Local::now().naive_local()
}

/// What the next run finds when a day has passed.
fn a_day_later(place: &Place) {
    let text = fs::read(place.path("state")).expect("a state file");
    let mut state = State::parse(&text).0;
    for name in ["a.log", "b.log"] {
        let at = state.get(place.log(name)).expect("an entry");
        state.set(place.log(name), at - chrono::Duration::days(1));
    }
    write(&place.path("state"), state.format());
    write(&place.log("b.log"), "of the next day\n");
}

#[test]
fn h34_a_state_file_torn_at_any_length_stops_no_rotation_for_ever() {
    let whole = {
        let place = Place::new();
        place
            .fill(
                "logrotate state -- version 2\n\"LOGS/a.log\" 2020-1-1-0:0:0\n\
                    \"LOGS/b.log\" 2020-1-1-0:0:0\n\"LOGS/size.log\" 2020-1-1-0:0:0\n",
            )
            .replace(place.logs().to_str().expect("UTF-8"), "LOGS")
    };
    for len in 0..=whole.len() {
        let place = place();
        let torn = whole.get(..len).expect("ASCII");
        write(&place.path("state"), place.fill(torn));
        set_mode(&place.path("state"), 0o640);
        let what = format!("{len} bytes");
        let ran = place.run(&[]);
        // Damage is told, and an empty file is none.
        let is_damaged = State::parse(torn.as_bytes()).1.is_some();
        assert_eq!(ran.code, Some(i32::from(is_damaged)), "{what}: {}", ran.said);
        assert_enforced(&place, &what);
        // By then it is forgotten, and the logs are rotated that were not on that day.
        a_day_later(&place);
        assert_eq!(place.run(&[]).code, Some(0), "{what}");
        assert_eq!(place.content("b.log.1").as_deref(), Some("of the next day\n"), "{what}");
        assert_whole(&place, &what);
    }
}

#[test]
fn h34_a_state_file_that_is_missing_nonsense_or_endless_costs_one_run_at_most() {
    let nonsense: Vec<u8> = (0..=255u8).cycle().take(100_000).collect();
    for (what, code) in [("missing", 0), ("empty", 0), ("nonsense", 1), ("endless", 1)] {
        let place = place();
        let state = place.path("state");
        match what {
            "empty" => write(&state, ""),
            "nonsense" => write(&state, &nonsense),
            "endless" => sparse(&state, 1 << 30),
            _ => {}
        }
        if state.exists() {
            set_mode(&state, 0o640);
        }
        let ran = place.run(&[]);
        assert_eq!(ran.code, Some(code), "{what}: {}", ran.said);
        assert_enforced(&place, what);
        a_day_later(&place);
        assert_eq!(place.run(&[]).code, Some(0), "{what}");
        assert_eq!(place.content("b.log.1").as_deref(), Some("of the next day\n"), "{what}");
    }
}

#[test]
fn h34_a_last_rotation_in_the_future_is_not_waited_for() {
    for future in ["2099-12-31-23:59:59", "2100-1-1"] {
        let place = place();
        place.state(place.fill(&format!("\"LOGS/a.log\" {future}\n\"LOGS/b.log\" {future}\n")));
        let ran = place.run(&[]);
        assert_eq!(ran.code, Some(0), "{}", ran.said);
        assert_eq!(place.content("b.log.1").as_deref(), Some("content\n"), "{future}");
        assert_enforced(&place, future);
    }
}

#[test]
fn h34_a_state_file_that_is_a_link_gives_nobody_what_it_leads_to() {
    let place = place();
    let mut canary = Canary::new(&place.path("outside"));
    let secret = canary.root().join("secret");
    set_mode(&secret, 0o600);
    canary.remember();
    symlink(&secret, place.path("state")).expect("a link");
    let ran = place.run(&["-v"]);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(!ran.said.contains("the content of secret"), "{}", ran.said);
    assert_eq!(canary.changes(), Vec::<String>::new());
    assert!(place.path("state").symlink_metadata().expect("there").is_file());
    assert_enforced(&place, "link");
    // One that leads to nothing makes nothing there.
    fs::remove_file(place.path("state")).expect("removed");
    symlink(canary.root().join("new"), place.path("state")).expect("a link");
    place.run(&[]);
    assert_eq!(canary.changes(), Vec::<String>::new());
}

#[test]
fn h34_a_state_file_that_is_a_pipe_is_not_waited_for() {
    let place = place();
    mknodat(CWD, place.path("state"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let ran = place.run(&[]);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert_eq!(place.content("size.log.1").as_deref(), Some("content\n"));
}

#[test]
fn h34_without_space_for_it_the_old_state_stays_and_the_logs_are_kept_in_their_limits() {
    if needs_root() {
        return;
    }
    let disk = Mount::tmpfs("size=256k,mode=755");
    let place = place();
    let state = disk.at().join("status");
    let old = place.fill("logrotate state -- version 2\n\"LOGS/b.log\" 2020-1-1-0:0:0\n");
    write(&state, &old);
    set_mode(&state, 0o640);
    disk.fill(false, true);
    let mut command = std::process::Command::new(super::BIN);
    command.args(["logrotate", "-s"]).arg(&state).arg(place.path("conf"));
    command.stderr(std::process::Stdio::piped());
    let ran = super::ran(&mut command);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(ran.said.contains("error writing state file"), "{}", ran.said);
    assert_eq!(fs::read_to_string(&state).expect("there"), old);
    assert_eq!(names(&disk.at()), ["foreign", "foreign.bin", "status"]);
    assert_eq!(place.content("b.log.1").as_deref(), Some("content\n"));
    assert_eq!(place.content("size.log.1").as_deref(), Some("content\n"));
}
