//! What logrotate would have printed while it read the same configuration.

use std::fmt;

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What is being done; logrotate shows it with `-v` and `-d`.
    Progress,
    /// `warning: `
    Warning,
    /// `error: `
    Error,
}

/// A line in logrotate's words. `Display` is the whole line, without a newline; it has no
/// control characters, whatever the configuration has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// How it is meant.
    pub level: Level,
    /// The text behind `error: ` or `warning: `.
    pub text: String,
    /// Whether the run exits with 1 because of it. Not every error does that.
    pub fails: bool,
}

impl Line {
    /// What is being done.
    #[must_use]
    pub fn progress(text: impl Into<String>) -> Self {
        Self { level: Level::Progress, text: text.into(), fails: false }
    }

    /// A warning.
    #[must_use]
    pub fn warning(text: impl Into<String>) -> Self {
        Self { level: Level::Warning, text: text.into(), fails: false }
    }

    /// An error that makes the run exit with 1.
    #[must_use]
    pub fn error(text: impl Into<String>) -> Self {
        Self { level: Level::Error, text: text.into(), fails: true }
    }

    /// The same, without an influence on the exit status.
    #[must_use]
    pub fn harmless(self) -> Self {
        Self { fails: false, ..self }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Progress => "",
            Level::Warning => "warning: ",
            Level::Error => "error: ",
        })?;
        f.write_str(&self.text)
    }
}

/// More lines than this are only counted: a hostile file could have millions.
const LINES_MAX: usize = 20_000;

/// Collects lines in their order.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    lines: Vec<Line>,
    more: usize,
    more_fail: bool,
}

impl Transcript {
    pub(super) fn say(&mut self, line: Line) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(line);
        } else {
            self.more = self.more.saturating_add(1);
            self.more_fail |= line.fails;
        }
    }

    pub(super) fn finish(mut self) -> Vec<Line> {
        if self.more > 0 {
            let text = format!("{} further messages are not shown", self.more);
            let line = Line { fails: self.more_fail, ..Line::error(text) };
            self.lines.push(line);
        }
        self.lines
    }
}
