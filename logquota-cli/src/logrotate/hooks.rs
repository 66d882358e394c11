//! Starts the programs of a configuration as logrotate does. What it says on the way is
//! [`Telling`]'s.
//!
//! Scripts run as the user who started us, also where files are worked on as somebody else; how
//! the others run is told in [`programs`](crate::programs).

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::Command;

use logquota::Error;
use logquota::apply::{Hooks, Outcome};
use logquota::plan::{Hook, Message};
use logquota::policy::{Identity, Program, Shred};

use super::telling::Telling;
use super::voice::show;
use crate::programs::{self, failed, is_well, reason};

/// The programs of one run.
pub(super) struct Programs<'a> {
    telling: Telling<'a>,
    programs: programs::Programs,
}

impl<'a> Programs<'a> {
    /// To be made before any file is worked on as somebody else.
    pub(super) fn new(telling: Telling<'a>, mail: OsString) -> Self {
        let programs = programs::Programs::new(telling.scene.plan, mail);
        Self { telling, programs }
    }

    pub(super) fn finish(mut self) {
        self.telling.finish();
    }
}

impl Hooks for Programs<'_> {
    fn run(&mut self, hook: Hook, script: &str, args: &[OsString]) -> Result<(), Error> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(script).arg("logrotate_script").args(args);
        let ended = shell.status().map_err(|error| failed(hook.name(), &reason(&error)))?;
        is_well(hook.name(), ended)
    }

    fn before_step(&mut self, index: usize) {
        self.telling.before(index);
    }

    fn on_step(&mut self, index: usize, outcome: &Outcome) {
        self.telling.after(index, outcome);
    }

    fn compress(
        &mut self,
        program: &Program,
        path: &Path,
        input: BorrowedFd<'_>,
        output: BorrowedFd<'_>,
        who: Option<Identity>,
    ) -> Result<(), Error> {
        let (said, done) = self.programs.compress(program, path, (input, output), who);
        if !said.is_empty() {
            let head = "Compressing program wrote following message to stderr when compressing log";
            self.telling.voice.error(&format!("{head} {}:", show(path)));
            self.telling.voice.quote(said.trim_end_matches('\n'));
        }
        done
    }

    fn mail(&mut self, message: &Message, input: BorrowedFd<'_>) -> Result<(), Error> {
        self.programs.mail(message, input)
    }

    fn shred(
        &mut self,
        shred: Shred,
        file: BorrowedFd<'_>,
        who: Option<Identity>,
    ) -> Result<(), Error> {
        self.programs.shred(shred, file, who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logrotate::testing::with_programs;
    use crate::programs::UNPACK;
    use std::fs::{self, File};
    use std::os::fd::AsFd as _;

    fn program(command: &str, options: &[&str]) -> Program {
        Program { command: command.into(), options: options.iter().map(OsString::from).collect() }
    }

    fn file(dir: &tempfile::TempDir, name: &str, content: &str) -> File {
        let path = dir.path().join(name);
        fs::write(&path, content).expect("written");
        File::options().read(true).write(true).open(&path).expect("opens")
    }

    fn content(dir: &tempfile::TempDir, name: &str) -> String {
        fs::read_to_string(dir.path().join(name)).expect("there")
    }

    #[test]
    fn h16_a_script_gets_names_as_arguments_and_its_own_name() {
        with_programs("", |programs| {
            for name in ["$(exit 9)", ";exit 9", "-rf", "a\nb", "'"] {
                let quoted = name.replace('\'', r"'\''");
                let script = format!("test \"$1\" = '{quoted}' && test \"$0\" = logrotate_script");
                let ran = programs.run(Hook::Post, &script, &[name.into()]);
                assert!(ran.is_ok(), "{name}");
            }
            let error = programs.run(Hook::Pre, "exit 3", &[]).expect_err("3");
            assert!(error.to_string().ends_with("exit status 3"), "{error}");
            let error = programs.run(Hook::Pre, "kill -9 $$", &[]).expect_err("killed");
            assert!(error.to_string().ends_with("killed by signal 9"), "{error}");
        });
    }

    #[test]
    fn a_compressor_gets_files_as_descriptors_and_the_name_in_its_environment() {
        let dir = tempfile::tempdir().expect("a folder");
        let (input, output) = (file(&dir, "in", "zero\n"), file(&dir, "out", ""));
        let script = "tr a-z A-Z; echo \"$LOGROTATE_COMPRESSED_FILENAME $1\"; echo noise >&2";
        let sh = program("/bin/sh", &["-c", script, "sh", "-9"]);
        with_programs("", |programs| {
            let path = Path::new("/logs/a.log.1");
            let done = programs.compress(&sh, path, input.as_fd(), output.as_fd(), None);
            assert!(done.is_ok());
            assert_eq!(content(&dir, "out"), "ZERO\n/logs/a.log.1 -9\n");
            for wrong in [program("/bin/false", &[]), program("/no/such", &[])] {
                let done = programs.compress(&wrong, path, input.as_fd(), output.as_fd(), None);
                assert!(done.is_err(), "{wrong:?}");
            }
        });
    }

    #[test]
    fn mail_is_sent_from_a_file_or_through_the_program_that_unpacks_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let sent = dir.path().join("sent");
        let mailer = dir.path().join("mailer");
        let script = format!("#!/bin/sh\n{{ echo \"$@\"; cat; }} > '{}'\n", sent.display());
        fs::write(&mailer, script).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&mailer, mode).expect("set");
        let message = |unpack: Option<&str>| Message {
            address: "me@x".to_owned(),
            subject: "/logs/a.log.2".into(),
            unpack: unpack.map(OsString::from),
        };
        let mailer = mailer.to_str().expect("UTF-8");
        let send = |mailer: &str, unpack| {
            let input = file(&dir, "in", "zero\n");
            with_programs(mailer, |programs| programs.mail(&message(unpack), input.as_fd()))
        };
        assert!(send(mailer, None).is_ok());
        assert_eq!(content(&dir, "sent"), "-s /logs/a.log.2 me@x\nzero\n");
        assert!(send(mailer, Some("rev")).is_ok());
        assert_eq!(content(&dir, "sent"), "-s /logs/a.log.2 me@x\norez\n");
        let is_unpack = |error: &Error| matches!(error, Error::Hook { what, .. } if what == UNPACK);
        assert!(send(mailer, Some("/bin/false")).is_err_and(|error| is_unpack(&error)));
        assert!(send(mailer, Some("/no/such")).is_err_and(|error| is_unpack(&error)));
        assert!(send("/bin/false", None).is_err_and(|error| !is_unpack(&error)));
        assert!(send("/no/such", Some("cat")).is_err_and(|error| !is_unpack(&error)));
    }

    #[test]
    fn shred_overwrites_the_file_that_it_is_handed() {
        let dir = tempfile::tempdir().expect("a folder");
        let secret = file(&dir, "secret", "secret");
        with_programs("", |programs| {
            let done = programs.shred(Shred { cycles: 2 }, secret.as_fd(), None);
            assert!(done.is_ok());
        });
        assert!(!content_bytes(&dir, "secret").starts_with(b"secret"));
    }

    fn content_bytes(dir: &tempfile::TempDir, name: &str) -> Vec<u8> {
        fs::read(dir.path().join(name)).expect("there")
    }
}
