//! Decides which logs rotate now, and what their new archive is called.
//!
//! Which archives go is not looked at here. The rules are logrotate's (logrotate(8)):
//! the order of the questions, and comparisons by the local calendar.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use chrono::{Datelike as _, NaiveDateTime, Timelike as _};

use super::{Context, Reason};
use crate::inventory::{Archive, Log};
use crate::naming::{Label, Naming, Style, sequence_label, temporary_name};
use crate::policy::{Method, Policy, RotateWhen};
use crate::stamp::Stamp;
use crate::units::{Age, Bytes};

/// The longest name that a file may have on every file system we know, in bytes.
pub(crate) const NAME_MAX: usize = 255;

/// Why `log` is due now, or `None`.
///
/// The order of the questions is logrotate's: forced, `maxsize`, `size`, a date in the future,
/// the time criterion and then `minsize` and `minage`; an empty log under `notifempty` never.
pub(super) fn due(
    active: &Stamp,
    last: Option<NaiveDateTime>,
    policy: &Policy,
    context: &Context,
) -> Option<Reason> {
    if active.len == 0 && !policy.if_empty {
        return None;
    }
    if context.force {
        return Some(Reason::Forced);
    }
    let len = Bytes::new(active.len);
    if let Some(limit) = policy.max_size.filter(|limit| *limit > Bytes::ZERO && len > *limit) {
        return Some(Reason::MaxSize { len, limit });
    }
    let every = match policy.when {
        RotateWhen::Size(limit) => return (len >= limit).then_some(Reason::Size { len, limit }),
        RotateWhen::Never => return None,
        RotateWhen::Hourly => "hourly".to_owned(),
        RotateWhen::Daily => "daily".to_owned(),
        RotateWhen::Weekly { .. } => "weekly".to_owned(),
        RotateWhen::Monthly { .. } => "monthly".to_owned(),
        RotateWhen::Yearly => "yearly".to_owned(),
        RotateWhen::Minutes(n) => format!("every {n} min"),
    };
    // Seen for the first time: its period begins now.
    let last = last?;
    let now = context.now.naive_local();
    if last.signed_duration_since(now) > chrono::TimeDelta::hours(25) {
        return Some(Reason::FutureDate { last });
    }
    if !period_is_over(policy.when, last, now) {
        return None;
    }
    if policy.min_size.is_some_and(|limit| len < limit) {
        return None;
    }
    if let Some(days) = policy.min_age_days.filter(|days| *days > 0)
        && Age::between(context.now.timestamp(), active.mtime.secs) <= Age::days(days.into())
    {
        return None;
    }
    Some(Reason::Interval { every, last: Some(last) })
}

/// Whether the criterion's period has ended between two moments of the local clock.
pub(crate) fn period_is_over(when: RotateWhen, last: NaiveDateTime, now: NaiveDateTime) -> bool {
    let minute = |t: NaiveDateTime| (t.date(), t.hour(), t.minute());
    if minute(last) == minute(now) {
        return false;
    }
    let days = now.date().signed_duration_since(last.date()).num_days();
    match when {
        RotateWhen::Hourly => (last.date(), last.hour()) != (now.date(), now.hour()),
        RotateWhen::Daily => last.date() != now.date(),
        RotateWhen::Weekly { weekday } => {
            days >= 7 || (days >= 1 && now.weekday().num_days_from_sunday() == u32::from(weekday))
        }
        RotateWhen::Monthly { day: 0 } => (last.year(), last.month()) != (now.year(), now.month()),
        RotateWhen::Monthly { day } => {
            let tomorrow = now.date().succ_opt();
            let is_last_of_month = tomorrow.is_none_or(|t| t.month() != now.month());
            days >= 31 || (days >= 1 && (now.day() == u32::from(day) || is_last_of_month))
        }
        RotateWhen::Yearly => last.year() != now.year(),
        RotateWhen::Minutes(n) => {
            now.signed_duration_since(last).num_minutes() > i64::from(n.get())
        }
        RotateWhen::Size(_) | RotateWhen::Never => false,
    }
}

/// Why a rotation that is due cannot be done.
pub(super) enum NoName {
    /// An archive of that name exists.
    Exists(OsString),
    /// The name would have more than 255 bytes.
    TooLong(OsString),
}

/// The label of the archive that a rotation now makes. Numbered archives move out of its way.
/// Only archives that stay are in the way of a date.
pub(super) fn new_label(
    log: &Log,
    policy: &Policy,
    context: &Context,
    stays: impl Fn(usize, &Archive) -> bool,
) -> Result<Label, NoName> {
    let naming = &policy.naming;
    let label = match &naming.style {
        Style::Numbered { start } => {
            let taken = obstacle_numbers(log, naming);
            Label::Number(first_free(*start, &taken))
        }
        Style::Sequence => {
            let newest = log.archives.iter().filter_map(|archive| match archive.label() {
                Label::Sequence { number, .. } => Some(number),
                _ => None,
            });
            let blocked = log.obstacles.iter().filter_map(|name| {
                match naming.parse(&log.name, name)?.label {
                    Label::Sequence { number, .. } => Some(number),
                    _ => None,
                }
            });
            let number = newest.chain(blocked).max().unwrap_or(0).saturating_add(1);
            sequence_label(number, context.now.timestamp())
        }
        Style::Dated { format, shift } => format.label(context.now, *shift),
    };
    let longest = policy.compress.as_ref().map_or("", |c| c.suffix.as_str());
    let name = naming.format(&log.name, &label, longest);
    if name.len() > NAME_MAX {
        return Err(NoName::TooLong(name));
    }
    let plain = naming.format(&log.name, &label, "");
    if policy.method == Method::RenameCopy {
        let renamed = rename_copy_name(&log.name);
        if renamed.len() > NAME_MAX {
            return Err(NoName::TooLong(renamed));
        }
        if log.obstacles.contains(&renamed) {
            return Err(NoName::Exists(renamed));
        }
    }
    if !matches!(policy.method, Method::Rename) {
        let temp = temporary_name(&plain);
        if log.obstacles.contains(&temp) {
            return Err(NoName::Exists(temp));
        }
    }
    if matches!(naming.style, Style::Dated { .. }) {
        let staying = log.archives.iter().enumerate().filter(|(index, a)| stays(*index, a));
        let existing = staying.map(|(_, archive)| archive.name());
        let existing = existing.chain(log.obstacles.iter().map(|name| name.as_os_str()));
        for taken in existing {
            if *taken == name || *taken == plain {
                return Err(NoName::Exists(taken.to_owned()));
            }
        }
    }
    Ok(label)
}

/// Numbers that something else than an archive has.
pub(super) fn obstacle_numbers(log: &Log, naming: &Naming) -> Vec<u32> {
    let number = |name: &OsString| match naming.parse(&log.name, name)?.label {
        Label::Number(n) => Some(n),
        _ => None,
    };
    log.obstacles.iter().filter_map(number).collect()
}

/// The first number from `from` on that is not taken.
pub(super) fn first_free(from: u32, taken: &[u32]) -> u32 {
    let mut number = from;
    while taken.contains(&number) && number < u32::MAX {
        number = number.saturating_add(1);
    }
    number
}

/// `LOG.tmp`, logrotate's name during a `renamecopy`.
pub(super) fn rename_copy_name(log: &OsStr) -> OsString {
    let mut name = log.to_os_string();
    name.push(".tmp");
    debug_assert!(!name.as_bytes().contains(&b'/'));
    name
}
