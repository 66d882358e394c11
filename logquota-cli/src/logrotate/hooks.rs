//! Starts the programs of a configuration as logrotate does: scripts, compressors, the mail
//! program, shred(1). What it says on the way is [`Telling`]'s.
//!
//! Scripts and mail run as the user who started us, also where files are worked on as somebody
//! else; compressors and shred(1) wholly as that user, in `/`. Files reach a program as open
//! descriptors and names as arguments, never as text of a command.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use logquota::Error;
use logquota::apply::{Hooks, Outcome};
use logquota::plan::{Hook, Message};
use logquota::policy::{Identity, Program, Shred};

use super::starter::{Ended, Starter};
use super::telling::Telling;
use super::voice::{reason, show};

/// What a failure of the program that unpacks for a mail is called.
pub(super) const UNPACK: &str = "uncompress command";

/// The program that overwrites files.
const SHRED: &str = "shred";

/// The most that is kept of what a compressor writes to standard error, in bytes.
pub(super) const STDERR_MAX: u64 = 64 << 10;

/// The programs of one run.
pub(super) struct Programs<'a> {
    telling: Telling<'a>,
    mail: OsString,
    starter: Starter,
}

impl<'a> Programs<'a> {
    /// To be made before any file is worked on as somebody else.
    pub(super) fn new(telling: Telling<'a>, mail: OsString) -> Self {
        let has_others = telling.scene.plan.sets.iter().any(|set| set.run_as.is_some());
        let starter = if has_others { Starter::apart() } else { Starter::here() };
        Self { telling, mail, starter }
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
        let what = show(&program.command);
        let mut command = Command::new(&program.command);
        command.args(&program.options).env("LOGROTATE_COMPRESSED_FILENAME", path);
        command.stdin(handed(&what, input)?).stdout(handed(&what, output)?);
        command.stderr(Stdio::piped());
        become_user(&mut command, who);
        let ended = self.starter.run(command);
        let (said, status) = match ended {
            Ok(Ended { status, stderr }) => (stderr, Ok(status)),
            Err(error) => {
                let why = reason(&error);
                (format!("error: cannot execute compress command '{what}': {why}"), Err(why))
            }
        };
        if !said.is_empty() {
            let head = "Compressing program wrote following message to stderr when compressing log";
            self.telling.voice.error(&format!("{head} {}:", show(path)));
            self.telling.voice.quote(said.trim_end_matches('\n'));
        }
        status.map_err(|why| failed(&what, &why)).and_then(|status| is_well(&what, status))
    }

    fn mail(&mut self, message: &Message, input: BorrowedFd<'_>) -> Result<(), Error> {
        let what = show(&self.mail);
        let mut mailer = Command::new(&self.mail);
        mailer.arg("-s").arg(&message.subject).arg(&message.address).stdout(Stdio::null());
        let Some(unpack) = &message.unpack else {
            mailer.stdin(handed(&what, input)?);
            let ended = mailer.status().map_err(|error| failed(&what, &reason(&error)))?;
            return is_well(&what, ended);
        };
        let failed_unpack = |error: io::Error| {
            failed(UNPACK, &format!("cannot execute '{}': {}", show(unpack), reason(&error)))
        };
        let mut unpack = Command::new(unpack);
        unpack.stdin(handed(UNPACK, input)?).stdout(Stdio::piped());
        let mut unpacking = unpack.spawn().map_err(failed_unpack)?;
        mailer.stdin(unpacking.stdout.take().map_or_else(Stdio::null, Stdio::from));
        let mailed = mailer.status();
        // It ends: nobody reads from it any more.
        drop(mailer);
        let unpacked = unpacking.wait();
        let mailed = mailed.map_err(|error| failed(&what, &reason(&error)))?;
        // If the mail program gave up, the other one's broken pipe is no news.
        is_well(&what, mailed)?;
        is_well(UNPACK, unpacked.map_err(|error| failed(UNPACK, &reason(&error)))?)
    }

    fn shred(
        &mut self,
        shred: Shred,
        file: BorrowedFd<'_>,
        who: Option<Identity>,
    ) -> Result<(), Error> {
        let mut command = Command::new(SHRED);
        command.arg("-u");
        if shred.cycles > 0 {
            command.arg("-n").arg(shred.cycles.to_string());
        }
        command.arg("-").stdin(Stdio::null()).stdout(handed(SHRED, file)?);
        become_user(&mut command, who);
        let ended = self.starter.run(command).map_err(|error| failed(SHRED, &reason(&error)))?;
        is_well(SHRED, ended.status)
    }
}

/// A descriptor for a program.
fn handed(what: &str, file: BorrowedFd<'_>) -> Result<Stdio, Error> {
    let file = file.try_clone_to_owned().map_err(|error| failed(what, &reason(&error)))?;
    Ok(Stdio::from(file))
}

/// Real, effective and saved ids, and no groups of ours: there is no way back.
fn become_user(command: &mut Command, who: Option<Identity>) {
    if let Some(Identity { uid, gid }) = who {
        command.uid(uid).gid(gid).current_dir("/");
    }
}

fn failed(what: &str, why: &str) -> Error {
    Error::Hook { what: what.to_owned(), why: why.to_owned() }
}

fn is_well(what: &str, status: ExitStatus) -> Result<(), Error> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(failed(what, &format!("exit status {code}"))),
        (None, Some(signal)) => Err(failed(what, &format!("killed by signal {signal}"))),
        (None, None) => Err(failed(what, "it ended in an unknown way")),
    }
}

/// Reads what a program writes to standard error until it closes it; keeps the first part.
pub(super) fn keep_head(mut stderr: impl io::Read) -> String {
    let mut kept = Vec::new();
    // What cannot be read is not shown; the program's status decides.
    let _ = stderr.by_ref().take(STDERR_MAX).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logrotate::testing::with_programs;
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

    #[test]
    fn of_a_flood_on_standard_error_the_head_is_kept() {
        let flood = io::repeat(b'x').take(STDERR_MAX * 3);
        assert_eq!(u64::try_from(keep_head(flood).len()).ok(), Some(STDERR_MAX));
    }
}
