//! Who may read what is made of a log, at every moment.

use std::ffi::OsString;
use std::fs;

use logquota_tests::strace::{Strace, calls, needs_strace};
use logquota_tests::tree::names;

use super::{METHODS, Place, mode, ran, set_mode, write};

/// Logs and their rights.
const LOGS: [(&str, u32); 5] =
    [("a.log", 0o600), ("b.log", 0o640), ("c.log", 0o644), ("d.log", 0o400), ("e.log", 0o060)];

fn place(method: &str, more: &str) -> Place {
    let place = Place::with(&format!("LOGS/*.log {{\n {method}\n {more}\n rotate 9\n}}\n"));
    for (name, bits) in LOGS {
        write(&place.log(name), "content\n".repeat(5_000));
        set_mode(&place.log(name), bits);
    }
    place
}

/// Every file is open to no more than its log.
fn assert_narrow(place: &Place, what: &str) {
    for name in names(&place.logs()) {
        let text = name.to_str().expect("UTF-8");
        let (_, bits) = LOGS.into_iter().find(|(log, _)| text.starts_with(log)).expect("a log");
        assert_eq!(mode(&place.log(text)) & !bits, 0, "{what}: {text}");
    }
}

#[test]
fn h11_what_is_made_of_a_log_is_open_to_no_more_than_the_log_whatever_the_umask() {
    for method in METHODS {
        for more in ["", "compress", "compress\n delaycompress", "dateext\n compress"] {
            for umask in ["000", "077"] {
                let place = place(method, more);
                for _ in 0..3 {
                    let mut shell = std::process::Command::new("/bin/sh");
                    shell.arg("-c").arg(format!("umask {umask}; exec \"$@\"")).arg("sh");
                    let command = place.command(&["-f"]);
                    shell.arg(command.get_program()).args(command.get_args());
                    shell.stderr(std::process::Stdio::piped());
                    ran(&mut shell);
                    assert_narrow(&place, &format!("{method} {more} {umask}"));
                }
                let is_log = |name: &OsString| LOGS.iter().any(|(log, _)| name == log);
                assert!(!names(&place.logs()).iter().all(is_log), "{method} {more}");
                assert_eq!(mode(&place.path("state")) & 0o007, 0);
            }
        }
    }
}

#[test]
fn h11_while_a_program_compresses_its_output_is_for_its_maker_alone() {
    let place = place("create", "compress\n compresscmd LOGS/../pack\n compressext .x");
    let pack = place.path("pack");
    write(&pack, "#!/bin/sh\nexec 3>&1\nstat -L -c %a /proc/$$/fd/3 >>\"${0%/*}/seen\"\ncat\n");
    set_mode(&pack, 0o755);
    let text = fs::read_to_string(place.path("conf")).expect("there");
    place.config(&text);
    let ran = place.run(&["-f"]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let seen = fs::read_to_string(place.path("seen")).expect("it ran");
    let seen: Vec<_> = seen.lines().map(|line| u32::from_str_radix(line, 8).expect(line)).collect();
    assert_eq!(seen.len(), LOGS.len());
    assert!(seen.iter().all(|bits| bits & 0o077 == 0), "{seen:?}");
    assert_narrow(&place, "packed");
}

#[test]
fn h11_every_file_is_made_for_its_maker_alone_and_widened_later() {
    if needs_strace() {
        return;
    }
    for method in METHODS {
        let place = place(method, "compress");
        let trace = place.path("trace");
        let plain = place.command(&["-f"]);
        let mut command = Strace::new().command(plain.get_program(), &trace);
        command.args(plain.get_args()).stderr(std::process::Stdio::piped());
        assert_eq!(ran(&mut command).code, Some(0));
        let logs = place.logs().display().to_string();
        let mut made = 0;
        for call in calls(&trace).iter().filter(|call| call.opens_to_change()) {
            let text = call.args.join(", ");
            if text.contains("O_CREAT") && text.contains(&logs) {
                let is_narrow = text.contains("0600") || text.contains("O_CREAT|0600");
                assert!(is_narrow && text.contains("O_EXCL"), "{method}: {text}");
                made += 1;
            }
        }
        assert!(made >= LOGS.len(), "{method}: {made}");
    }
}
