//! Links, pipes and devices, and folders that others may write to.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::os::unix::net::UnixListener;

use logquota::naming::temporary_name;
use logquota_tests::canary::{Canary, look_at_tree};
use logquota_tests::mounts::needs_root;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::{METHODS, Place, mode, set_mode, write};

#[test]
fn h05_a_hard_link_to_a_sensitive_file_gives_it_to_nobody() {
    for method in METHODS {
        for more in ["", "compress", "compress\n delaycompress", "dateext\n compress", "shred"] {
            let place = Place::with(&format!(
                "LOGS/*.log {{\n {method}\n {more}\n rotate 2\n maxage 1\n}}\n"
            ));
            let mut canary = Canary::new(&place.path("outside"));
            let secret = canary.root().join("secret");
            set_mode(&secret, 0o600);
            for name in ["app.log", "b.log.1", "b.log.2.gz", "b.log-20200101"] {
                fs::hard_link(&secret, place.log(name)).expect("a link");
            }
            for name in ["b.log", "c.log"] {
                write(&place.log(name), "content\n");
            }
            canary.remember();
            for _ in 0..3 {
                place.run(&["-f"]);
            }
            assert_eq!(canary.changes(), Vec::<String>::new(), "{method} {more}");
            // Nor is there a copy of it with other rights.
            for name in fs::read_dir(place.logs()).expect("lists") {
                let path = name.expect("a name").path();
                let bytes = fs::read(&path).expect("readable");
                let text = logquota_tests::sandbox::decompressed(&path, bytes.clone());
                let text = String::from_utf8_lossy(&text.unwrap_or(bytes)).into_owned();
                let is_wide = mode(&path) & 0o177 != 0;
                assert!(!(is_wide && text.contains("of secret")), "{method} {more} {path:?}");
            }
        }
    }
}

#[test]
fn h09_pipes_sockets_devices_and_folders_are_never_read_and_stop_nothing() {
    for method in METHODS {
        for more in ["", "compress", "compress\n delaycompress", "shred", "mailfirst\n mail a"] {
            let place = Place::with(&format!(
                "LOGS/* {{\n {method}\n {more}\n rotate 2\n}}\nLOGS/sub/ok.log {{\n rotate 1\n}}\n"
            ));
            let node = |name: &str, kind, dev| {
                mknodat(CWD, place.log(name), kind, Mode::from_raw_mode(0o600), dev)
            };
            for name in ["pipe.log", "b.log.1", "c.log.2"] {
                node(name, FileType::Fifo, 0).expect("a pipe");
            }
            let _socket = UnixListener::bind(place.log("sock.log")).expect("a socket");
            // Only some may make one: endless zeros.
            let has_device = node("dev.log", FileType::CharacterDevice, makedev(1, 5)).is_ok();
            println!("a device: {has_device}");
            fs::create_dir(place.log("sub")).expect("a folder");
            fs::create_dir(place.log("dir.log")).expect("a folder");
            for name in ["b.log", "c.log", "sub/ok.log"] {
                write(&place.log(name), format!("content of {name}\n"));
            }
            for round in 0..3 {
                let ran = place.run(&["-f"]);
                // It ends by itself, and what it could not do it says.
                assert!(ran.code.is_some(), "{method} {more}: {}", ran.said);
                assert_eq!(
                    ran.code == Some(0),
                    ran.said.is_empty(),
                    "{method} {more} {}",
                    ran.said
                );
                if round == 0 {
                    let ok = place.content("sub/ok.log.1");
                    assert_eq!(ok.as_deref(), Some("content of sub/ok.log\n"), "{method} {more}");
                }
            }
            let blocks: u64 = look_at_tree(&place.logs()).values().map(|seen| seen.size.1).sum();
            assert!(blocks * 512 < 1 << 20, "{method} {more}: {blocks} blocks");
            assert!(place.log("dir.log").is_dir());
        }
    }
}

#[test]
fn h10_in_a_folder_of_others_root_does_nothing_and_says_what_to_do() {
    if needs_root() {
        return;
    }
    for method in METHODS {
        for (bits, gid) in [(0o777, 0), (0o1777, 0), (0o775, 4), (0o1775, 4)] {
            let place = Place::with(&format!(
                "LOGS/*.log {{\n {method}\n compress\n rotate 1\n maxage 1\n quota 8k\n}}\n"
            ));
            for name in ["app.log", "app.log.1", "app.log.2"] {
                write(&place.log(name), "x".repeat(50_000));
            }
            chown(place.logs(), Some(0), Some(gid)).expect("its group");
            set_mode(&place.logs(), bits);
            let before = look_at_tree(&place.logs());
            let ran = place.run(&["-f"]);
            assert_eq!(ran.code, Some(1), "{}", ran.said);
            assert!(ran.said.contains("insecure permissions"), "{}", ran.said);
            assert!(ran.said.contains("\"su\" directive"), "{}", ran.said);
            assert_eq!(before, look_at_tree(&place.logs()), "{method} {bits:o}");
        }
    }
}

#[test]
fn h10_with_su_the_work_in_such_a_folder_is_its_users() {
    if needs_root() {
        return;
    }
    for method in METHODS {
        let place = Place::with(&format!(
            "LOGS/*.log {{\n {method}\n compress\n rotate 3\n su nobody nogroup\n}}\n"
        ));
        let mut canary = Canary::new(&place.path("outside"));
        set_mode(&place.logs(), 0o777);
        for name in ["app.log", "app.log.1", "b.log"] {
            write(&place.log(name), "content\n");
            chown(place.log(name), Some(65534), Some(65534)).expect("an owner");
        }
        // What root could do through these, nobody can not.
        symlink(canary.root().join("new"), place.log("b.log.1")).expect("a link");
        symlink(canary.root(), place.log("b.log.2")).expect("a link");
        canary.remember();
        place.run(&["-f"]);
        place.run(&["-f"]);
        assert_eq!(canary.changes(), Vec::<String>::new(), "{method}");
        for name in fs::read_dir(place.logs()).expect("lists") {
            let meta = name.expect("a name").path().symlink_metadata().expect("there");
            assert!(meta.is_symlink() || meta.uid() == 65534, "{method}");
        }
        assert!(place.log("app.log.1.gz").is_file(), "{method}");
    }
}

#[test]
fn h10_a_folder_that_is_swapped_in_the_middle_of_a_run_leads_nowhere() {
    for method in METHODS {
        let place = Place::new();
        let mut canary = Canary::new(&place.path("outside"));
        let outside = canary.root().display().to_string();
        // The owner of the folder above does this at the worst moment.
        let swap = format!("mv LOGS/d LOGS/aside && ln -s {outside} LOGS/d");
        for (first, script) in [("firstaction", "postrotate"), ("postrotate", "firstaction")] {
            place.config(&format!(
                "LOGS/d/*.log {{\n {method}\n compress\n sharedscripts\n rotate 1\n maxage 1\n \
                 {first}\n  {swap}\n endscript\n {script}\n  true\n endscript\n}}\n"
            ));
            fs::create_dir(place.log("d")).expect("a folder");
            for name in ["d/app.log", "d/app.log.1", "d/app.log.1.gz", "d/x.log"] {
                write(&place.log(name), "inside\n");
            }
            canary.remember();
            place.run(&["-f"]);
            assert_eq!(canary.changes(), Vec::<String>::new(), "{method} {first}");
            assert!(place.log("d").is_symlink());
            fs::remove_dir_all(place.logs()).expect("it goes");
            fs::create_dir(place.logs()).expect("a folder");
        }
    }
}

#[test]
fn h10_a_link_that_is_planted_where_a_file_will_be_made_is_not_followed() {
    for method in METHODS {
        let finals = [("", "app.log.1"), ("compress", "app.log.1.gz"), ("", "app.log.tmp")];
        // Names of files in the making can be known beforehand.
        let temporary = |name: &str| temporary_name(name.as_ref()).into_string().expect("ASCII");
        let planted = finals.map(|(more, name)| (more, temporary(name)));
        let planted = planted.into_iter().chain(finals.map(|(more, name)| (more, name.to_owned())));
        for (more, name) in planted.chain([("", temporary("app.log"))]) {
            let place = Place::new();
            let mut canary = Canary::new(&place.path("outside"));
            let new = canary.root().join("new");
            for target in [new.clone(), canary.root().join("secret")] {
                let plant = format!("ln -sf {} LOGS/{name}", target.display());
                place.config(&format!(
                    "LOGS/app.log {{\n {method}\n {more}\n rotate 2\n prerotate\n  {plant}\n \
                     endscript\n}}\n"
                ));
                write(&place.log("app.log"), "content\n");
                canary.remember();
                place.run(&["-f"]);
                assert_eq!(canary.changes(), Vec::<String>::new(), "{method} {name}");
                assert!(!new.exists());
                assert!(place.everything().contains("content\n"), "{method} {name}");
                fs::remove_dir_all(place.logs()).expect("it goes");
                fs::create_dir(place.logs()).expect("a folder");
            }
        }
    }
}
