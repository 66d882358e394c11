//! Standard output and standard error: results on one, everything else on the other.
//!
//! Neither may stop the work: a result that cannot be written (closed pipe, full disk) is
//! remembered and becomes exit code 1, after everything has been done.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};

use logquota::error::printable;

use crate::args::{Color, Common};
use crate::exit::Exit;

/// Where and how to print.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// How results look.
    pub(crate) paint: Paint,
    error_paint: Paint,
    failed: bool,
    /// See [`Output::is_news`].
    said: BTreeSet<String>,
}

impl Output {
    pub(crate) fn new(common: &Common) -> Self {
        let var = |name: &str| std::env::var_os(name);
        let paint = |is_terminal| Paint(wants_color(common.color, is_terminal, &var));
        Self {
            json: common.json,
            quiet: common.quiet,
            verbose: common.verbose,
            paint: paint(io::stdout().is_terminal()),
            error_paint: paint(io::stderr().is_terminal()),
            failed: false,
            said: BTreeSet::new(),
        }
    }

    /// A result for people; not with `--json` or `-q`.
    pub(crate) fn human(&mut self, text: &str) {
        if !self.json && !self.quiet {
            self.write(text.as_bytes());
        }
    }

    /// The one JSON object; not without `--json`.
    pub(crate) fn json(&mut self, value: &impl serde::Serialize) {
        if !self.json {
            return;
        }
        match serde_json::to_vec(value) {
            Ok(mut text) => {
                text.push(b'\n');
                self.write(&text);
            }
            Err(error) => {
                self.error(&format!("failed to write the result as JSON: {error}"));
                self.failed = true;
            }
        }
    }

    fn write(&mut self, text: &[u8]) {
        if self.failed {
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(text).and_then(|()| stdout.flush()) {
            self.failed = true;
            // Whoever closed the pipe does not want to hear more.
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.error(&format!("failed to write to standard output: {error}"));
            }
        }
    }

    /// Something that failed.
    pub(crate) fn error(&mut self, text: &str) {
        self.line(&self.error_paint.bad("error: "), text);
    }

    /// Something to know.
    pub(crate) fn warning(&mut self, text: &str) {
        self.line(&self.error_paint.warn("warning: "), text);
    }

    /// Whether this was not yet asked about a text: what is looked at twice is told once.
    pub(crate) fn is_news(&mut self, text: &str) -> bool {
        self.said.insert(text.to_owned())
    }

    /// Something to know for those who asked with `-v`.
    pub(crate) fn detail(&mut self, text: &str) {
        if self.verbose {
            self.line("", text);
        }
    }

    /// Something wrong in a configuration, which says its own place and how bad it is.
    pub(crate) fn diagnostic(&mut self, text: &str) {
        let lines: Vec<_> = text.lines().map(clean).collect();
        let _ = writeln!(io::stderr().lock(), "{}", lines.join("\n"));
    }

    fn line(&self, head: &str, text: &str) {
        let lines: Vec<_> = text.lines().map(clean).collect();
        // Standard error is the last place to complain; if it is gone, so be it.
        let _ = writeln!(io::stderr().lock(), "logquota: {head}{}", lines.join("\n"));
    }

    /// The exit code: `exit`, or failed at least if a result could not be written.
    pub(crate) fn exit(&self, exit: Exit) -> Exit {
        exit.or_failed_if(self.failed)
    }
}

/// One line on standard error before there is an [`Output`].
pub(crate) fn error_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "logquota: error: {}", clean(text));
}

/// One line to know from a thread that has no [`Output`].
pub(crate) fn warning_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "logquota: warning: {}", clean(text));
}

/// Text that may hold anything, for a terminal: unchanged if it is harmless.
pub(crate) fn clean(text: &str) -> String {
    let escaped = printable(text);
    if escaped.replace("\\\\", "\\") == text { text.to_owned() } else { escaped }
}

/// By what is asked for and, if that is nothing, by the terminal: one whose kind is not known may
/// show colours as rubbish.
fn wants_color(choice: Color, is_terminal: bool, var: &dyn Fn(&str) -> Option<OsString>) -> bool {
    let var = |name| var(name).filter(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            is_terminal
                && var("NO_COLOR").is_none()
                && var("TERM").is_some_and(|term| term != "dumb")
        }
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn head(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(crate) fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_known_terminal_there_is_no_colour() {
        for (term, no_color, colours) in [
            (Some("xterm"), None, true),
            (Some("xterm"), Some(""), true),
            (Some("xterm"), Some("1"), false),
            (Some("dumb"), None, false),
            (Some(""), None, false),
            (None, None, false),
        ] {
            let var = |name: &str| {
                let value = if name == "TERM" { term } else { no_color };
                value.map(OsString::from)
            };
            let wants = |choice, is_terminal| wants_color(choice, is_terminal, &var);
            assert_eq!(wants(Color::Auto, true), colours, "{term:?} {no_color:?}");
            assert!(!wants(Color::Auto, false));
            assert!(wants(Color::Always, false) && !wants(Color::Never, true));
        }
    }
}
