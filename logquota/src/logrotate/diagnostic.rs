//! What is wrong with a configuration, where, and what to do about it.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::error::printable;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It works, and many do it; something has no effect all the same.
    Note,
    /// It works, but not as it reads: something has no effect.
    Warning,
    /// A block, the rest of a file, or a whole file is not used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Which kind of remark a diagnostic is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// It is not as the language wants it.
    #[default]
    Language,
    /// A directive is right and has no effect beside the others of its block.
    NoEffect,
}

/// One thing that is wrong with a configuration. `Display` is for people, over several lines,
/// and shows no control characters whatever the file has:
///
/// ```text
/// /etc/logrotate.d/app:3:12: error: `rotate` needs a whole number, found "x"
///     rotate x
///            ^
///   help: write 0 or more, or -1 to keep all
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// In which file.
    pub file: PathBuf,
    /// In which line, 1 the first; 0 if it is about the file as a whole.
    pub line: usize,
    /// In which character of the line, 1 the first; 0 if it is about the file as a whole. A
    /// byte that is not UTF-8 counts as a character.
    pub column: usize,
    /// The line, or the part of it that matters, made printable; empty if there is none.
    pub text: String,
    /// What is wrong; names the directive.
    pub message: String,
    /// What to do, and what happens until then; may be empty.
    pub help: String,
    /// Which kind of remark it is, for programs.
    pub kind: Kind,
    /// How many characters of `text` stand before the place.
    caret: usize,
}

impl Diagnostic {
    /// A remark that others than the reader make, without text.
    pub(crate) fn remark(severity: Severity, place: &Place, message: String, help: String) -> Self {
        Self {
            severity,
            file: place.file.clone(),
            line: place.line,
            column: place.column,
            text: String::new(),
            message,
            help,
            kind: Kind::default(),
            caret: 0,
        }
    }

    /// How many characters of [`text`](Self::text) stand before the place.
    #[must_use]
    pub const fn caret(&self) -> usize {
        self.caret
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.file))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}: {}", self.severity, self.message)?;
        if !self.text.is_empty() {
            write!(f, "\n    {}\n    {:caret$}^", self.text, "", caret = self.caret)?;
        }
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

/// A file of the configuration.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// As logrotate names it in messages: as it was given; in a folder, only its name.
    pub(super) shown: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pos {
    pub(super) offset: usize,
    /// 1 the first.
    pub(super) line: usize,
}

/// Something wrong, whose consequence is not decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) pos: Pos,
    pub(super) message: String,
    pub(super) help: String,
    /// In logrotate's words, without file and line; none if it has the same, empty if it says
    /// nothing.
    pub(super) classic: Option<String>,
    /// How far it reaches in logrotate if it stands in a block.
    pub(super) reach: Reach,
    pub(super) kind: Kind,
}

/// What an error inside a block ends, in logrotate's dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// The block.
    #[default]
    Block,
    /// The rest of the file as well.
    File,
}

impl Fault {
    pub(super) fn new(pos: Pos, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            pos,
            message: message.into(),
            help: help.into(),
            classic: None,
            reach: Reach::default(),
            kind: Kind::default(),
        }
    }

    /// With logrotate's words for it.
    pub(super) fn classic(self, words: impl Into<String>) -> Self {
        Self { classic: Some(words.into()), ..self }
    }

    /// About a directive that does nothing.
    pub(super) fn without_effect(self) -> Self {
        Self { kind: Kind::NoEffect, ..self }
    }

    /// Which ends the file.
    pub(super) fn ends_file(self) -> Self {
        Self { reach: Reach::File, ..self }
    }
}

/// Collects diagnostics, up to a number that somebody could still read.
#[derive(Debug, Default)]
pub(super) struct Sink {
    found: Vec<Diagnostic>,
    more: usize,
    worst: Option<Severity>,
}

/// More diagnostics than this are only counted: a hostile file could have millions.
const DIAGNOSTICS_MAX: usize = 200;

impl Sink {
    pub(super) fn report(&mut self, severity: Severity, source: &Source, fault: Fault) {
        self.worst = self.worst.max(Some(severity));
        if self.is_full() {
            return;
        }
        let (column, text, caret) = excerpt(&source.bytes, fault.pos.offset);
        self.found.push(Diagnostic {
            severity,
            file: source.path.clone(),
            line: fault.pos.line,
            column,
            text,
            message: fault.message,
            help: fault.help,
            kind: fault.kind,
            caret,
        });
    }

    /// About a file as a whole.
    pub(super) fn about(&mut self, file: &Path, message: String, help: &str) {
        self.worst = Some(Severity::Error);
        if self.is_full() {
            return;
        }
        self.found.push(Diagnostic {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            text: String::new(),
            message,
            help: help.to_owned(),
            kind: Kind::default(),
            caret: 0,
        });
    }

    fn is_full(&mut self) -> bool {
        let full = self.found.len() >= DIAGNOSTICS_MAX;
        self.more += usize::from(full);
        full
    }

    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        if let (Some(last), true) = (self.found.last(), self.more > 0) {
            let last = Diagnostic {
                severity: self.worst.unwrap_or(Severity::Error),
                file: last.file.clone(),
                line: 0,
                column: 0,
                text: String::new(),
                message: format!("{} further problems are not shown", self.more),
                help: String::new(),
                kind: Kind::default(),
                caret: 0,
            };
            self.found.push(last);
        }
        self.found
    }
}

/// Where a block stands: its first path, and all of them as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line of the first path, 1 the first.
    pub line: usize,
    /// In which character of the line, 1 the first.
    pub column: usize,
    /// The paths and patterns.
    pub words: Vec<Word>,
}

/// A path or pattern before a block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word {
    /// Without quotes.
    pub text: OsString,
    /// 1 the first.
    pub line: usize,
    /// 1 the first.
    pub column: usize,
}

impl Place {
    pub(super) fn new(source: &Source, pos: Pos, words: &[(Vec<u8>, Pos)]) -> Self {
        let mut place = Self {
            file: source.path.clone(),
            line: pos.line,
            column: column(&source.bytes, pos.offset),
            words: Vec::with_capacity(words.len()),
        };
        // Counted on from the word before: a line may have a million of them.
        let mut before: Option<(Pos, usize)> = None;
        for (word, pos) in words {
            let between = before
                .filter(|(last, _)| last.line == pos.line)
                .and_then(|(last, at)| Some((source.bytes.get(last.offset..pos.offset)?, at)));
            let column = match between {
                Some((between, at)) => at.saturating_add(characters(between)),
                None => column(&source.bytes, pos.offset),
            };
            before = Some((*pos, column));
            let text = OsString::from_vec(word.clone());
            place.words.push(Word { text, line: pos.line, column });
        }
        place
    }
}

/// In which character of its line `offset` is.
fn column(bytes: &[u8], offset: usize) -> usize {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    characters(before.get(start..).unwrap_or_default()).saturating_add(1)
}

/// How much of a line is shown on either side of the place, in bytes.
const EXCERPT: usize = 100;

/// Column of `offset`, the line around it made printable, and how many characters of that
/// stand before it.
fn excerpt(bytes: &[u8], offset: usize) -> (usize, String, usize) {
    let (before, after) = bytes.split_at_checked(offset).unwrap_or((bytes, &[]));
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let before = before.get(start..).unwrap_or_default();
    let end = after.iter().position(|b| *b == b'\n').unwrap_or(after.len());
    let after = after.get(..end.min(EXCERPT)).unwrap_or_default().trim_ascii_end();
    let column = characters(before) + 1;
    let shown = before.trim_ascii_start();
    let shown = shown.get(shown.len().saturating_sub(EXCERPT)..).unwrap_or_default();
    let shown = show_all(shown);
    let caret = shown.chars().count();
    (column, shown + &show_all(after), caret)
}

fn characters(bytes: &[u8]) -> usize {
    bytes.utf8_chunks().map(|c| c.valid().chars().count() + c.invalid().len()).sum()
}

/// Made printable, and shortened if it is long.
pub(super) fn show(bytes: impl AsRef<[u8]>) -> String {
    const LONGEST: usize = 80;
    let bytes = bytes.as_ref();
    match bytes.get(..LONGEST) {
        Some(head) if bytes.len() > LONGEST => show_all(head) + "…",
        _ => show_all(bytes),
    }
}

/// As [`printable`], but a backslash stays single and a tab becomes a blank: this is text of
/// the file and not a name.
pub(super) fn show_all(bytes: &[u8]) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut out = String::new();
    for (index, part) in bytes.split(|b| *b == b'\\').enumerate() {
        if index > 0 {
            out.push('\\');
        }
        for (index, part) in part.split(|b| *b == b'\t').enumerate() {
            if index > 0 {
                out.push(' ');
            }
            out.push_str(&printable(std::ffi::OsStr::from_bytes(part)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, offset: usize, line: usize) -> Diagnostic {
        let source = Source { path: "/etc/x".into(), shown: "x".into(), bytes: text.into() };
        let mut sink = Sink::default();
        sink.report(Severity::Error, &source, Fault::new(Pos { offset, line }, "no `x`", "do y"));
        sink.finish().remove(0)
    }

    #[test]
    fn the_caret_stands_under_the_place() {
        assert_eq!(
            at("/x {\n\trotate x\n}", 13, 2).to_string(),
            "/etc/x:2:9: error: no `x`\n    rotate x\n           ^\n  help: do y"
        );
        assert_eq!(
            at("größe é x", 11, 1).to_string(),
            "/etc/x:1:9: error: no `x`\n    größe é x\n            ^\n  help: do y"
        );
    }

    #[test]
    fn h15_an_excerpt_cannot_speak_to_the_terminal_and_is_short() {
        let shown = at(&format!("a\x1b[2K\u{202e} {}", "y".repeat(10_000)), 9, 1).to_string();
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown}");
        assert!(shown.len() < 400 && !shown.contains('\u{202e}'), "{shown}");
    }

    #[test]
    fn a_place_behind_the_end_is_no_panic() {
        assert_eq!(at("", 0, 1).column, 1);
        assert_eq!(at("ab", 99, 1).column, 3);
    }

    #[test]
    fn more_than_anybody_reads_is_counted() {
        let source = Source { path: "/etc/x".into(), shown: "x".into(), bytes: Vec::new() };
        let mut sink = Sink::default();
        for _ in 0..DIAGNOSTICS_MAX {
            sink.report(Severity::Warning, &source, Fault::new(Pos::default(), "w", ""));
        }
        sink.report(Severity::Error, &source, Fault::new(Pos::default(), "e", ""));
        let found = sink.finish();
        assert_eq!(found.len(), DIAGNOSTICS_MAX + 1);
        assert_eq!(
            found.last().map(|d| (d.severity, d.message.as_str())),
            Some((Severity::Error, "1 further problems are not shown"))
        );
    }
}
