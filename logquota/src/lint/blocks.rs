//! What is said about one block by itself.

use super::footprint::{Circumstances, footprint, period};
use super::patterns::own_archive;
use super::{
    Block, Code, Finding, Footprint, Missing, Question, Subject, may_be_more, patterns_of,
};
use crate::inventory::Set;
use crate::logrotate::{Dialect, Severity};
use crate::naming::Style;
use crate::policy::{Method, RotateWhen};
use crate::units::{Age, Bytes};

/// The block of a file system that nobody looked at.
const BLOCK: Bytes = Bytes::kib(4);

/// What a block can use, and uses.
pub(super) fn block(subject: &Subject<'_>, question: &Question<'_>) -> Block {
    let size = |set: &&Set| set.space.total > Bytes::ZERO;
    let space = subject.set.filter(size).map(|set| set.space);
    let logs = match subject.set {
        Some(set) => set.logs.len(),
        None => subject.spec.selectors.len(),
    };
    let given = Circumstances {
        run_every: question.run_every,
        logs: u64::try_from(logs).unwrap_or(u64::MAX),
        may_be_more: may_be_more(subject, question.dialect),
        multiplies: question.dialect == Dialect::Logrotate
            && patterns_of(subject, question.dialect)
                .iter()
                .any(|(pattern, _)| own_archive(subject, pattern).is_some()),
        global: question.parsed.config.global,
        disk: space.map(|space| space.total),
        block: space.map_or(BLOCK, |space| space.block),
        daily: question.growth,
    };
    Block {
        name: subject.spec.name.clone(),
        place: subject.place.clone(),
        footprint: footprint(&subject.spec.policy, &given),
        used: subject.set.map(Set::used),
    }
}

pub(super) fn findings(
    subject: &Subject<'_>,
    footprint: &Footprint,
    question: &Question<'_>,
    found: &mut Vec<Finding>,
) {
    found.extend(unbounded(subject, footprint));
    found.extend(quota_above_all(subject, question));
    found.extend(runs_too_rare(subject, question.run_every));
    found.extend(date_too_coarse(subject, question.run_every));
    if subject.spec.policy.method == Method::CopyTruncate {
        found.push(Finding::new(
            Code::CopytruncateWindow,
            Severity::Note,
            subject.place,
            "`copytruncate` loses what is written between the last byte copied and the cut, and \
             needs room for a copy of the log",
            "if the writer can be told to open its log again, use `create` and a `postrotate` \
             script instead",
        ));
    }
}

fn unbounded(subject: &Subject<'_>, footprint: &Footprint) -> Option<Finding> {
    if footprint.missing.is_empty() {
        return None;
    }
    let policy = &subject.spec.policy;
    let mut why: Vec<String> = Vec::new();
    let mut add: Vec<&str> = Vec::new();
    for missing in &footprint.missing {
        let (reason, help) = match missing {
            Missing::Length => (
                format!(
                    "{} rotates a log when its time has come, however long it is",
                    criterion(policy.when)
                ),
                "`maxsize SIZE` to rotate it at that length, too",
            ),
            Missing::Growth => (
                format!(
                    "{} is looked at when a run comes, and until then a log grows by any amount",
                    if matches!(policy.when, RotateWhen::Size(_)) { "`size`" } else { "`maxsize`" }
                ),
                "",
            ),
            Missing::Count => ("every archive stays".to_owned(), "`rotate COUNT` or `maxage DAYS`"),
            Missing::MinAge => (
                "`minage` holds a log back for as long as it is written to".to_owned(),
                "`maxsize SIZE`, which counts nevertheless",
            ),
            Missing::Copy => (
                "`copy` leaves the log as long as it is, and no quota can shorten it".to_owned(),
                "`copytruncate` in its place",
            ),
            Missing::Dates => (
                "the names that `dateformat` gives come back, and a log waits while an archive \
                 has the next one"
                    .to_owned(),
                "year, month and day to `dateformat`",
            ),
            Missing::OwnArchives => (
                "archives match the pattern and become logs with archives of their own".to_owned(),
                "a pattern that only the logs match",
            ),
            Missing::Logs => ("the pattern may match any number of logs".to_owned(), ""),
            Missing::InUse => (
                "the quota takes archives, but neither a log in use nor what a run has just rotated"
                    .to_owned(),
                "`livetrim`, which cuts a log in place while it is written",
            ),
            Missing::Waits => (
                "a log waits, and grows, while its copy has no room within the quota".to_owned(),
                "`livetrim`, which cuts a log in place while it is written",
            ),
        };
        why.push(reason);
        add.extend(Some(help).filter(|help| !help.is_empty()));
    }
    let has = |missing| footprint.missing.contains(&missing);
    if ![Missing::Copy, Missing::InUse, Missing::Waits].into_iter().any(has) {
        add.insert(0, "`quota SIZE` and `livetrim`, which hold right after each run");
    }
    // The next run takes what this one could not.
    let severity = if has(Missing::InUse) { Severity::Note } else { Severity::Warning };
    Some(Finding::new(
        Code::Unbounded,
        severity,
        subject.place,
        format!("nothing bounds what this block uses: {}", why.join("; ")),
        format!("add {}", add.join("; and ")),
    ))
}

/// A quota that is never reached, since that of all blocks is.
fn quota_above_all(subject: &Subject<'_>, question: &Question<'_>) -> Option<Finding> {
    let all = question.parsed.config.global.quota?;
    let own = subject.spec.policy.limits.quota.filter(|own| *own > all)?;
    Some(Finding::new(
        Code::NoEffect,
        Severity::Warning,
        subject.place,
        format!("`quota` has no effect: it is {own}, and all blocks together may use {all}"),
        "lower it, or raise the quota of all",
    ))
}

/// How a block says when its logs are due.
fn criterion(when: RotateWhen) -> &'static str {
    match when {
        RotateWhen::Size(_) => "`size`",
        RotateWhen::Hourly => "`hourly`",
        RotateWhen::Daily => "`daily`",
        RotateWhen::Weekly { .. } => "`weekly`",
        RotateWhen::Monthly { .. } => "`monthly`",
        RotateWhen::Yearly => "`yearly`",
        RotateWhen::Minutes(_) => "`minutes`",
        RotateWhen::Never => "nothing",
    }
}

/// A time criterion that is over before anybody looks.
fn runs_too_rare(subject: &Subject<'_>, run_every: Age) -> Option<Finding> {
    let when = subject.spec.policy.when;
    period(when).filter(|period| *period < run_every)?;
    Some(Finding::new(
        Code::RunsTooRare,
        Severity::Warning,
        subject.place,
        format!(
            "{} has no effect: a run comes every {} only",
            criterion(when),
            run_every.in_full()
        ),
        "let a timer run more often, and say so with --run-every",
    ))
}

/// A log that may be due while the archive of its last rotation has the name for the next.
fn date_too_coarse(subject: &Subject<'_>, run_every: Age) -> Option<Finding> {
    let policy = &subject.spec.policy;
    let Style::Dated { format, .. } = &policy.naming.style else { return None };
    let (message, help) = match format.step() {
        None => (
            "names from this `dateformat` come back: until the old archive is gone, a log that \
             is due does not rotate"
                .to_owned(),
            "have year, month and day in it, or %s",
        ),
        Some(step) => {
            let by_length = matches!(policy.when, RotateWhen::Size(_)) || policy.max_size.is_some();
            let again = if by_length {
                run_every
            } else {
                period(policy.when).unwrap_or(run_every).max(run_every)
            };
            if step <= again {
                return None;
            }
            (
                format!(
                    "archives are named by a date that is the same for {}: a log that is due \
                     again before waits, and grows",
                    step.in_full()
                ),
                "use a finer `dateformat`, such as -%Y%m%d-%H%M%S",
            )
        }
    };
    Some(Finding::new(Code::DateTooCoarse, Severity::Warning, subject.place, message, help))
}
