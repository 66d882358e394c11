//! Runs the scripts of a configuration, as logrotate does: `/bin/sh -c BODY logrotate_script
//! ARGS…`, as the user who started us, in the current folder, with our environment; and its
//! [`programs`](crate::programs).
//!
//! File names reach a script as arguments, never as text of the command. What it prints goes
//! to standard error: standard output is for results.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use logquota::Error;
use logquota::apply::{Hooks, Outcome};
use logquota::plan::{Hook, Message};
use logquota::policy::{Identity, Program, Shred};

use crate::programs::Programs;
use crate::progress::Progress;

/// Scripts run by `/bin/sh`, and progress on the terminal.
#[derive(Debug)]
pub(crate) struct ShellHooks {
    progress: Progress,
    programs: Programs,
}

impl ShellHooks {
    pub(crate) const fn new(progress: Progress, programs: Programs) -> Self {
        Self { progress, programs }
    }

    /// Takes the progress off the terminal.
    pub(crate) fn finish(self) {
        self.progress.finish();
    }
}

impl Hooks for ShellHooks {
    fn run(&mut self, hook: Hook, script: &str, args: &[OsString]) -> Result<(), Error> {
        let failed = |why: String| {
            let about = args.first().map(logquota::error::printable).unwrap_or_default();
            Error::Hook { what: format!("the {} script for `{about}`", hook.name()), why }
        };
        // Closed standard error is no reason to run no script.
        let output = || {
            std::io::stderr()
                .as_fd()
                .try_clone_to_owned()
                .map_or_else(|_| Stdio::null(), Stdio::from)
        };
        let status = Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .arg("logrotate_script")
            .args(args)
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .status()
            .map_err(|error| failed(format!("/bin/sh could not be started: {error}")))?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => Err(failed(format!("it ended with status {code}"))),
            (None, Some(signal)) => Err(failed(format!("it was killed by signal {signal}"))),
            (None, None) => Err(failed("it ended in an unknown way".to_owned())),
        }
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
        let said = said.trim_end();
        done.map_err(|error| match error {
            Error::Hook { what, why } if !said.is_empty() => {
                Error::Hook { what, why: format!("{why}; it said: {said}") }
            }
            other => other,
        })
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

    fn on_step(&mut self, _index: usize, _outcome: &Outcome) {
        self.progress.step();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logrotate::testing::empty_plan;

    fn run(script: &str, args: &[&str]) -> Result<(), String> {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        let programs = Programs::new(&empty_plan(), "mail".into());
        ShellHooks::new(Progress::none(), programs)
            .run(Hook::Post, script, &args)
            .map_err(|error| error.chain())
    }

    #[test]
    fn h16_a_name_reaches_a_script_as_an_argument_and_never_as_text() {
        for name in ["$(exit 9)", ";exit 9", "-rf", "`exit 9`", "a\nb", "'"] {
            let quoted = name.replace('\'', r"'\''");
            let script = format!("test \"$1\" = '{quoted}' && test \"$0\" = logrotate_script");
            assert_eq!(run(&script, &[name]), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_script_that_fails_or_dies_says_how() {
        let error = run("exit 3", &["/logs/a.log"]).expect_err("status 3");
        assert_eq!(error, "the postrotate script for `/logs/a.log` failed: it ended with status 3");
        let error = run("kill -9 $$", &[]).expect_err("killed");
        assert!(error.ends_with("it was killed by signal 9"), "{error}");
    }
}
