//! Patterns that get into each other's way, whatever exists now.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use chrono::{DateTime, Utc};

use super::{Code, Finding, Question, Subject, patterns_of};
use crate::error::printable;
use crate::logrotate::{Dialect, Place, Severity};
use crate::naming::{DateShift, Label, Style};
use crate::policy::Policy;
use crate::scan::pattern::{is_wild, meet};

/// Among more patterns than this, only a scan tells which of them meet: each is compared with
/// each.
const COMPARED_MAX: usize = 2_000;

/// More meetings than this are more than anybody reads.
const FOUND_MAX: usize = 200;

/// A pattern and its block.
struct Written<'a> {
    block: usize,
    pattern: &'a OsStr,
    place: Place,
    ignores: bool,
}

pub(super) fn findings(question: &Question<'_>, found: &mut Vec<Finding>) {
    let mut all: Vec<Written<'_>> = Vec::new();
    for subject in question.blocks() {
        let patterns = patterns_of(&subject, question.dialect);
        for (pattern, place) in patterns {
            found.extend(own_archives(&subject, pattern, &place, question.dialect));
            if all.len() < COMPARED_MAX {
                let ignores = subject.spec.ignore_duplicates;
                all.push(Written { block: subject.index, pattern, place, ignores });
            }
        }
    }
    overlaps(&all, found);
}

/// Pairs of blocks that can match the same log. The first has it.
fn overlaps(all: &[Written<'_>], found: &mut Vec<Finding>) {
    let mut told = 0usize;
    for (index, later) in all.iter().enumerate() {
        let before = all.iter().take(index).filter(|first| first.block != later.block);
        let mut rivals = before.filter(|first| !first.ignores);
        let Some(first) =
            rivals.find(|first| meet(first.pattern.as_bytes(), later.pattern.as_bytes()))
        else {
            continue;
        };
        told = told.saturating_add(1);
        if told > FOUND_MAX {
            return;
        }
        let (pattern, other) = (printable(later.pattern), printable(first.pattern));
        let line = first.place.line;
        let place = if first.place.file == later.place.file {
            format!("line {line}")
        } else {
            format!("{}:{line}", printable(&first.place.file))
        };
        found.push(Finding::new(
            Code::OverlappingPatterns,
            Severity::Warning,
            &later.place,
            format!(
                "`{pattern}` can match the same log as `{other}` ({place}); the first has \
                 it, and the run fails"
            ),
            "let only one of them match it, or write `ignoreduplicates` into the first block",
        ));
    }
}

/// A pattern that matches the names that archives of its logs get.
fn own_archives(
    subject: &Subject<'_>,
    pattern: &OsStr,
    place: &Place,
    dialect: Dialect,
) -> Option<Finding> {
    let archive = own_archive(subject, pattern)?;
    let shown = printable(pattern);
    let archive = printable(OsStr::from_bytes(&archive));
    let (severity, message) = match dialect {
        // The scan knows archives by their names.
        Dialect::Own => (
            Severity::Note,
            format!(
                "`{shown}` matches archives of its own logs as well (`{archive}`); they are told \
                 apart by their names, but logrotate would rotate them"
            ),
        ),
        Dialect::Logrotate => (
            Severity::Warning,
            format!(
                "`{shown}` matches archives of its own logs as well (`{archive}`), and rotates \
                 them as logs, again and again"
            ),
        ),
    };
    let help = "write a pattern that only the logs match, such as `*.log`, or use `olddir`";
    Some(Finding::new(Code::MatchesOwnArchives, severity, place, message, help))
}

/// What an archive is called, as a pattern, that the pattern of its log matches.
pub(super) fn own_archive(subject: &Subject<'_>, pattern: &OsStr) -> Option<Vec<u8>> {
    let policy = &subject.spec.policy;
    if policy.archive_dir.is_some() || !is_wild(pattern.as_bytes()) {
        return None;
    }
    let mut archives = archive_patterns(pattern, policy).into_iter();
    archives.find(|archive| meet(pattern.as_bytes(), archive))
}

/// What archives of logs of this pattern are called, plain and compressed, as patterns.
fn archive_patterns(pattern: &OsStr, policy: &Policy) -> Vec<Vec<u8>> {
    let label = match &policy.naming.style {
        Style::Numbered { start } => Label::Number(*start),
        Style::Sequence => crate::naming::sequence_label(1, 0),
        // Which date it is does not matter: their texts have the same places for digits.
        Style::Dated { format, .. } => {
            let date = DateTime::<Utc>::default().fixed_offset();
            format.label(date, DateShift::default())
        }
    };
    let suffix = policy.compress.as_ref().map(|compress| compress.suffix.as_str());
    [Some(""), suffix]
        .into_iter()
        .flatten()
        .map(|suffix| policy.naming.format(pattern, &label, suffix).as_bytes().to_vec())
        .collect()
}
