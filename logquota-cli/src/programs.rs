//! Starts the programs of a configuration, other than its scripts: compressors, the mail program,
//! shred(1).
//!
//! Mail is sent as the user who started us, also where files are worked on as somebody else;
//! compressors and shred(1) run wholly as that user, in `/`. Files reach a program as open
//! descriptors and names as arguments, never as text of a command.

use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use logquota::Error;
use logquota::error::printable;
use logquota::plan::{Message, Plan};
use logquota::policy::{Identity, Program, Shred};

use crate::starter::{Ended, Starter};

/// What a failure of the program that unpacks for a mail is called.
pub(crate) const UNPACK: &str = "uncompress command";

/// The program that overwrites files.
const SHRED: &str = "shred";

/// The mail program where none is given, as in Debian's logrotate.
pub(crate) const MAIL: &str = "/usr/bin/mail";

/// The programs of one run.
#[derive(Debug)]
pub(crate) struct Programs {
    mail: OsString,
    starter: Starter,
}

impl Programs {
    /// To be made before any file is worked on as somebody else.
    pub(crate) fn new(plan: &Plan, mail: OsString) -> Self {
        let has_others = plan.sets.iter().any(|set| set.run_as.is_some());
        let starter = if has_others { Starter::apart() } else { Starter::here() };
        Self { mail, starter }
    }

    /// Compresses; says also what the program, or the system in its place, wrote about it.
    pub(crate) fn compress(
        &self,
        program: &Program,
        path: &Path,
        (input, output): (BorrowedFd<'_>, BorrowedFd<'_>),
        who: Option<Identity>,
    ) -> (String, Result<(), Error>) {
        let what = printable(&program.command);
        let mut command = Command::new(&program.command);
        command.args(&program.options).env("LOGROTATE_COMPRESSED_FILENAME", path);
        match (handed(&what, input), handed(&what, output)) {
            (Ok(input), Ok(output)) => command.stdin(input).stdout(output),
            (Err(error), _) | (_, Err(error)) => return (String::new(), Err(error)),
        };
        command.stderr(Stdio::piped());
        become_user(&mut command, who);
        match self.starter.run(command) {
            Ok(Ended { status, stderr }) => (stderr, is_well(&what, status)),
            Err(error) => {
                let why = reason(&error);
                let said = format!("error: cannot execute compress command '{what}': {why}");
                (said, Err(failed(&what, &why)))
            }
        }
    }

    pub(crate) fn mail(&self, message: &Message, input: BorrowedFd<'_>) -> Result<(), Error> {
        let what = printable(&self.mail);
        let mut mailer = Command::new(&self.mail);
        mailer.arg("-s").arg(&message.subject).arg(&message.address).stdout(Stdio::null());
        let Some(unpack) = &message.unpack else {
            mailer.stdin(handed(&what, input)?);
            let ended = mailer.status().map_err(|error| failed(&what, &reason(&error)))?;
            return is_well(&what, ended);
        };
        let failed_unpack = |error: io::Error| {
            failed(UNPACK, &format!("cannot execute '{}': {}", printable(unpack), reason(&error)))
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

    pub(crate) fn shred(
        &self,
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

pub(crate) fn failed(what: &str, why: &str) -> Error {
    Error::Hook { what: what.to_owned(), why: why.to_owned() }
}

pub(crate) fn is_well(what: &str, status: ExitStatus) -> Result<(), Error> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(failed(what, &format!("exit status {code}"))),
        (None, Some(signal)) => Err(failed(what, &format!("killed by signal {signal}"))),
        (None, None) => Err(failed(what, "it ended in an unknown way")),
    }
}

/// What the system said, in its words alone.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ").and_then(|at| text.split_at_checked(at)) {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
