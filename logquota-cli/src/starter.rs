//! Starts programs from a thread that is nobody else.
//!
//! Files may be worked on as another user, by the effective ids of one thread. A program that
//! is started from there could not become that user for good: it has no right to change its
//! real ids or its groups. A thread that was there before has.

use std::io::{self, Read as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

/// The most that is kept of what a program writes to standard error, in bytes.
const STDERR_MAX: u64 = 64 << 10;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it wrote to standard error, if that was asked for.
    pub(crate) stderr: String,
}

/// A program to be started, and who waits for it.
type Job = (Command, Sender<io::Result<Ended>>);

/// Starts programs here, or on a thread of its own.
#[derive(Debug, Default)]
pub(crate) struct Starter {
    apart: Option<(Sender<Job>, JoinHandle<()>)>,
}

impl Starter {
    /// From whichever thread asks.
    pub(crate) const fn here() -> Self {
        Self { apart: None }
    }

    /// From a thread that stays what this one is now. Where none can be had, as [`Self::here`]:
    /// then a program that should be somebody else fails to start.
    pub(crate) fn apart() -> Self {
        let (jobs, todo) = channel::<Job>();
        let work = move || {
            for (command, done) in todo {
                // Whoever waits is there until it hears.
                let _ = done.send(run(command));
            }
        };
        let thread = Builder::new().name("starter".to_owned()).spawn(work).ok();
        Self { apart: thread.map(|thread| (jobs, thread)) }
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, command: Command) -> io::Result<Ended> {
        let Some((jobs, _)) = &self.apart else { return run(command) };
        let (done, ended) = channel();
        let gone = || io::Error::other("the thread that starts programs is gone");
        jobs.send((command, done)).map_err(|_| gone())?;
        ended.recv().map_err(|_| gone())?
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        if let Some((jobs, thread)) = self.apart.take() {
            drop(jobs);
            // It ends with its last job, and cannot fail.
            let _ = thread.join();
        }
    }
}

fn run(mut command: Command) -> io::Result<Ended> {
    let mut child = command.spawn()?;
    // Our copies of its descriptors: a pipe has no end while we hold the other one.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let stderr = child.stderr.take().map(keep_head).unwrap_or_default();
    Ok(Ended { status: child.wait()?, stderr })
}

/// Reads what a program writes to standard error until it closes it; keeps the first part.
fn keep_head(mut stderr: impl io::Read) -> String {
    let mut kept = Vec::new();
    // What cannot be read is not shown; the program's status decides.
    let _ = stderr.by_ref().take(STDERR_MAX).read_to_end(&mut kept);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;

    use logquota::fs::WriteFs as _;
    use logquota::fs::os::OsFs;
    use logquota::policy::Identity;

    #[test]
    fn a_program_becomes_a_user_for_good_while_files_are_worked_on_as_that_user() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let (uid, gid) = (65_534, 65_533);
        let starter = Starter::apart();
        let fs = OsFs::new();
        fs.act_as(Some(Identity { uid, gid })).expect("root may");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec >&2; id -u; id -ru; id -g; id -rg; id -G; pwd"]);
        command.stderr(Stdio::piped()).uid(uid).gid(gid).current_dir("/");
        let ended = starter.run(command);
        fs.act_as(None).expect("root comes back");
        let said = ended.expect("it starts").stderr;
        assert_eq!(said, "65534\n65534\n65533\n65533\n65533\n/\n");
    }

    #[test]
    fn a_program_ends_the_same_here_and_apart() {
        for starter in [Starter::here(), Starter::apart()] {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "echo said >&2; exit 3"]).stderr(Stdio::piped());
            let ended = starter.run(command).expect("it starts");
            assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(3), "said\n"));
            let error = starter.run(Command::new("/no/such")).expect_err("there is none");
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn of_a_flood_on_standard_error_the_head_is_kept() {
        let flood = io::repeat(b'x').take(STDERR_MAX * 3);
        assert_eq!(u64::try_from(keep_head(flood).len()).ok(), Some(STDERR_MAX));
    }
}
