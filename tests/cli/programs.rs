//! Mail, shred and foreign compressors under our own rules: shown by `plan`, done by `run`, and by
//! `apply` as they were shown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use crate::kit::{Sandbox, assert_code, command, needs, needs_root, text};

/// A folder with programs that note what they are told.
struct Place {
    sandbox: Sandbox,
    config: PathBuf,
}

impl Place {
    fn new(config: &str) -> Self {
        let mut place = Self { sandbox: Sandbox::new(), config: PathBuf::new() };
        let ran = place.ran().display().to_string();
        place.program("mailer", &format!("{{ echo \"mail $2 $3\"; cat; }} >> {ran}"));
        place.program("packer", "tr a-z A-Z; echo packed >&2");
        place.program(
            "shred",
            &format!("exec 4>&1; echo \"shred $*: $(cat /proc/$$/fd/4)\" >> {ran}"),
        );
        place.sandbox.content("a.log", b"zero\n", Duration::ZERO);
        let bin = place.sandbox.path("").display().to_string();
        let config = config.replace("BIN/", &bin).replace("RAN", &ran);
        place.config = place.sandbox.config(&config);
        place
    }

    fn ran(&self) -> PathBuf {
        self.sandbox.path("ran")
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.sandbox.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = command();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bin = [self.sandbox.path("")];
        let path = std::env::join_paths(bin.into_iter().chain(std::env::split_paths(&path)));
        command.arg(verb).env("PATH", path.expect("a path"));
        command
    }

    fn on_config(&self, verb: &str) -> Command {
        let mut command = self.command(verb);
        command.arg("--state").arg(self.sandbox.path("status")).arg(&self.config);
        command
    }

    fn run(&self) -> Output {
        let mailer = self.sandbox.path("mailer");
        self.on_config("run").arg("--mail").arg(mailer).output().expect("it starts")
    }

    /// What the programs noted, with the folder of the logs as `LOGS`.
    fn noted(&self) -> String {
        let noted = fs::read_to_string(self.ran()).unwrap_or_default();
        noted.replace(self.sandbox.logs().to_str().expect("UTF-8"), "LOGS")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.sandbox.logs()).expect("a folder");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
        let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
        names.sort();
        names
    }
}

const OLD: Duration = Duration::from_secs(3_600);

#[test]
fn an_archive_that_goes_by_number_is_mailed_and_overwritten_first() {
    let place = Place::new(
        "LOGS/a.log {\nsize 1\nrotate 1\ncompress\ncreate\nmail me@x\nshred\nquota 1M\npreremove\necho asked \
         $1 >> RAN\nendscript\n}\n",
    );
    place.sandbox.content("a.log.1", b"one\n", OLD);
    assert_code(&place.run(), 0);
    assert_eq!(place.names(), ["a.log", "a.log.1.gz"]);
    assert_eq!(
        place.noted(),
        "mail LOGS/a.log.1 me@x\none\nasked LOGS/a.log.1\nshred -u -: one\nasked \
         LOGS/a.log.1\nshred -u -: zero\n"
    );
}

#[test]
fn the_newest_archive_is_mailed_and_a_packed_one_unpacked() {
    if needs("gzip") {
        return;
    }
    let place = Place::new("LOGS/a.log {\nsize 1\nrotate 3\ncompress\nmail me@x\nmailfirst\n}\n");
    assert_code(&place.run(), 0);
    assert_eq!(place.noted(), "mail LOGS/a.log me@x\nzero\n");
    assert_eq!(place.names(), ["a.log.1.gz"]);
    let place = Place::new("LOGS/a.log {\nsize 1\nrotate 1\ncompress\nmail me@x\n}\n");
    assert_code(&place.run(), 0);
    place.sandbox.content("a.log", b"two\n", Duration::ZERO);
    assert_code(&place.run(), 0);
    assert_eq!(place.noted(), "mail LOGS/a.log.1.gz me@x\nzero\n");
}

#[test]
fn what_cannot_be_mailed_or_is_refused_stays() {
    let place = Place::new("LOGS/a.log {\nsize 1\nrotate 1\nmail me@x\n}\n");
    place.sandbox.content("a.log.1", b"one\n", OLD);
    place.program("mailer", "exit 1");
    assert_code(&place.run(), 1);
    assert_eq!(fs::read(place.sandbox.logs().join("a.log.1")).expect("there"), b"one\n");
    // What was compressed stays beside its archive, and the next run asks again.
    let place = Place::new(
        "LOGS/a.log {\nsize 1\nrotate 2\ncompress\nquota 1M\npreremove\ntest -e RAN\nendscript\n}\n",
    );
    assert_code(&place.run(), 1);
    assert_eq!(place.names(), ["a.log.1", "a.log.1.gz"]);
    fs::write(place.ran(), "").expect("written");
    assert_code(&place.run(), 0);
    assert_eq!(place.names(), ["a.log.1.gz"]);
}

#[test]
fn what_is_added_after_the_compression_is_not_deleted() {
    let config = "LOGS/a.log {\nsize 1\nrotate 2\ncompress\npreremove\necho more >> \
                  $1\nendscript\n}\n";
    for verb in ["run", "logrotate"] {
        let place = Place::new(config);
        fs::set_permissions(&place.config, fs::Permissions::from_mode(0o644)).expect("set");
        assert_code(&place.on_config(verb).output().expect("it starts"), 1);
        assert_eq!(place.names(), ["a.log.1", "a.log.1.gz"], "{verb}");
        let plain = fs::read(place.sandbox.logs().join("a.log.1")).expect("there");
        assert_eq!(plain, b"zero\nmore\n");
    }
}

#[test]
fn another_program_compresses_and_what_it_says_is_told_if_it_fails() {
    let config =
        "LOGS/a.log {\nsize 1\nrotate 2\ncompress\ncompresscmd BIN/packer\ncompressext .p\n}\n";
    let place = Place::new(config);
    assert_code(&place.run(), 0);
    assert_eq!(fs::read(place.sandbox.logs().join("a.log.1.p")).expect("there"), b"ZERO\n");
    // It is known as an archive.
    place.sandbox.content("a.log", b"one\n", Duration::ZERO);
    assert_code(&place.run(), 0);
    assert_eq!(place.names(), ["a.log.1.p", "a.log.2.p"]);
    let place = Place::new(config);
    place.program("packer", "echo no way >&2; exit 3");
    let output = place.run();
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("exit status 3; it said: no way"), "{output:?}");
    assert_eq!(place.names(), ["a.log.1"]);
}

#[test]
fn a_plan_shows_programs_and_apply_does_what_was_shown() {
    let place = Place::new(
        "LOGS/a.log {\nsize 1\nrotate 1\ncompress\ncompresscmd BIN/packer\ncompressext .p\nmail \
         me@x\nshred\n}\n",
    );
    place.sandbox.content("a.log.1.p", b"one\n", OLD);
    let file = place.sandbox.path("plan.json");
    let output = place.on_config("plan").arg("-o").arg(&file).output().expect("it starts");
    assert_code(&output, 0);
    let shown = text(&output.stdout);
    for line in ["mail a.log.1.p to me@x", "overwrite and delete a.log.1.p", "packer, "] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(
        (place.noted().as_str(), place.names()),
        ("", vec!["a.log".into(), "a.log.1.p".into()])
    );
    let mut apply = place.command("apply");
    apply.arg("--mail").arg(place.sandbox.path("mailer")).arg(&file);
    let output = apply.output().expect("it starts");
    // What was packed by a program that nobody knows is handed to what unpacks gzip.
    assert_code(&output, 1);
    assert!(text(&output.stderr).contains("uncompress"), "{output:?}");
}

#[test]
fn apply_mails_overwrites_and_starts_a_compressor() {
    let place = Place::new(
        "LOGS/a.log {\nsize 1\nrotate 1\ncompress\ncompresscmd BIN/packer\ncompressext .p\nmail \
         me@x\nuncompresscmd BIN/unpacker\nshred\nshredcycles 5\n}\n",
    );
    place.program("unpacker", "tr A-Z a-z");
    place.sandbox.content("a.log.1.p", b"ONE\n", OLD);
    let file = place.sandbox.path("plan.json");
    let plan = || {
        let output = place.on_config("plan").arg("-o").arg(&file).output().expect("it starts");
        assert_code(&output, 0);
    };
    let apply = || {
        let mut apply = place.command("apply");
        apply.arg("--mail").arg(place.sandbox.path("mailer")).arg(&file);
        apply.output().expect("it starts")
    };
    plan();
    let config = fs::read_to_string(&place.config).expect("there");
    for (word, other) in [
        ("mail me@x", "mail you@x"),
        ("BIN/unpacker", "BIN/cat"),
        ("compress\n", "compress\ncompressoptions -9\n"),
        ("shredcycles 5", "shredcycles 6"),
    ] {
        let word = word.replace("BIN/", &place.sandbox.path("").display().to_string());
        assert!(config.contains(&word), "{word}");
        fs::write(&place.config, config.replace(&word, other)).expect("written");
        assert_code(&apply(), 5);
    }
    fs::write(&place.config, config).expect("written");
    assert_eq!(place.noted(), "");
    assert_code(&apply(), 0);
    assert_eq!(
        place.noted(),
        "mail LOGS/a.log.1.p me@x\none\nshred -u -n 5 -: ONE\nshred -u -n 5 -: zero\n"
    );
    assert_eq!(place.names(), ["a.log.1.p"]);
    assert_eq!(fs::read(place.sandbox.logs().join("a.log.1.p")).expect("there"), b"ZERO\n");
}

#[test]
fn with_rotate_0_the_log_is_mailed_however_it_is_rotated_and_stays_if_it_cannot_be() {
    for method in ["create", "nocreate", "copytruncate", "renamecopy"] {
        for when in ["maillast", "mailfirst"] {
            let place = Place::new(&format!(
                "LOGS/a.log {{\nsize 1\nrotate 0\n{method}\nmail me@x\n{when}\n}}\n"
            ));
            assert_code(&place.run(), 0);
            assert_eq!(place.noted(), "mail LOGS/a.log.1 me@x\nzero\n", "{method} {when}");
            assert!(!place.names().contains(&"a.log.1".to_owned()), "{method} {when}");
            place.sandbox.content("a.log", b"two\n", Duration::ZERO);
            place.program("mailer", "exit 1");
            assert_code(&place.run(), 1);
            let stays = fs::read(place.sandbox.logs().join("a.log.1")).expect("there");
            assert_eq!(stays, b"two\n", "{method} {when}");
        }
    }
    // Within limits there may be no room for a copy that is only mailed: it is one that stays.
    let place =
        Place::new("LOGS/a.log {\nsize 1\nrotate 0\ncopytruncate\nmail me@x\nquota 1M\n}\n");
    assert_code(&place.run(), 0);
    assert_eq!(
        (place.noted().as_str(), place.names()),
        ("", vec!["a.log".into(), "a.log.1".into()])
    );
}

#[test]
fn what_goes_by_age_is_mailed_first_and_what_goes_for_a_limit_is_not() {
    const OLDER: Duration = Duration::from_secs(86_400 * 9);
    let age = "LOGS/a.log {\nsize 1M\nrotate 9\nmaxage 5\nmail me@x\n}\n";
    let place = Place::new(age);
    place.sandbox.content("a.log.1", b"one\n", OLDER);
    assert_code(&place.run(), 0);
    assert_eq!(place.noted(), "mail LOGS/a.log.1 me@x\none\n");
    assert_eq!(place.names(), ["a.log"]);
    let place = Place::new(age);
    place.sandbox.content("a.log.1", b"one\n", OLDER);
    place.program("mailer", "exit 1");
    assert_code(&place.run(), 1);
    assert_eq!(place.names(), ["a.log", "a.log.1"]);
    let place = Place::new("LOGS/a.log {\nsize 1M\nrotate 9\nmaxfiles 1\nmail me@x\n}\n");
    place.sandbox.content("a.log.1", b"one\n", OLDER);
    assert_code(&place.run(), 0);
    assert_eq!((place.noted().as_str(), place.names()), ("", vec!["a.log".into()]));
}

#[test]
fn a_mail_is_unpacked_by_what_is_named_or_else_by_what_fits_and_waits_for_postrotate() {
    for (line, by) in [("", "unzstd"), ("uncompresscmd mine", "mine")] {
        let place =
            Place::new(&format!("LOGS/a.log {{\nsize 1\nrotate 1\nmail me@x\n{line}\n}}\n"));
        for name in ["unzstd", "mine"] {
            place.program(name, &format!("cat; echo by {name}"));
        }
        place.sandbox.content("a.log.1.zst", b"one\n", OLD);
        assert_code(&place.run(), 0);
        assert_eq!(place.noted(), format!("mail LOGS/a.log.1.zst me@x\none\nby {by}\n"));
    }
    let place = Place::new(
        "LOGS/a.log {\nsize 1\nrotate 3\nmail me@x\nmailfirst\npostrotate\nexit 1\nendscript\n}\n",
    );
    assert_code(&place.run(), 1);
    assert_eq!((place.noted().as_str(), place.names()), ("", vec!["a.log.1".into()]));
}

#[test]
fn what_was_not_compressed_is_not_overwritten_and_no_duplicate_is_guessed() {
    let config = "LOGS/a.log {\nsize 1\nrotate 2\ncompress\ncompresscmd BIN/packer\ncompressext \
                  .p\nshred\n}\n";
    let place = Place::new(config);
    place.program("packer", "exit 3");
    assert_code(&place.run(), 1);
    assert_eq!((place.noted().as_str(), place.names()), ("", vec!["a.log.1".into()]));
    // Whether a program's archive has the content of what lies beside it, nobody knows.
    let place = Place::new(&config.replace("size 1", "size 1M"));
    for name in ["a.log.1", "a.log.1.p"] {
        place.sandbox.content(name, b"one\n", OLD);
        let file = fs::File::options().write(true).open(place.sandbox.logs().join(name));
        file.and_then(|file| file.set_modified(std::time::UNIX_EPOCH + OLD)).expect("set");
    }
    assert_code(&place.run(), 0);
    assert_eq!(place.names(), ["a.log", "a.log.1", "a.log.1.p"]);
}

#[test]
fn h42_what_a_program_has_made_longer_than_the_quota_has_room_for_is_taken_back() {
    let config = "LOGS/a.log {\nsize 1\nrotate 2\nquota 1M\ncompress\ncompresscmd \
                  BIN/packer\ncompressext .p\n}\n";
    for (config, after) in
        [(config.to_owned(), "a.log.1"), (config.replace("quota 1M\n", ""), "a.log.1.p")]
    {
        let place = Place::new(&config);
        place.program("packer", "head -c 3000000 /dev/zero");
        assert_code(&place.run(), 0);
        assert_eq!(place.names(), [after]);
    }
}

#[test]
fn with_su_compressors_and_shred_are_wholly_that_user() {
    if needs_root() {
        return;
    }
    let place = Place::new(
        "LOGS/a.log {\nsu nobody nogroup\nsize 1\nrotate 2\ncompress\ncompresscmd \
         BIN/packer\ncompressext .p\nshred\n}\n",
    );
    let who = "id -u; id -ru; id -G; pwd";
    place.program("packer", who);
    place.program("shred", &format!("{{ {who}; }} >> {}", place.ran().display()));
    let open = |path: PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    };
    fs::write(place.ran(), "").expect("written");
    open(place.ran(), 0o666);
    open(place.sandbox.path(""), 0o755);
    let nobody = Some(65_534);
    for path in [place.sandbox.logs(), place.sandbox.logs().join("a.log")] {
        std::os::unix::fs::chown(path, nobody, nobody).expect("root may");
    }
    assert_code(&place.run(), 0);
    let packed = fs::read_to_string(place.sandbox.logs().join("a.log.1.p")).expect("there");
    let expected = "65534\n65534\n65534\n/\n";
    assert_eq!((packed.as_str(), place.noted().as_str()), (expected, expected));
}
