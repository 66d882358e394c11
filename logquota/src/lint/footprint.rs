//! What a block's files can use at most, by what its policy says and how often it is run.
//!
//! No run sees a log grow: a limit of length is looked at when a run comes, and so is a quota.
//! So nothing bounds a log between two runs, and every bound here is that right after a run.
//! What depends on how much a log grows is said as the time in which it grows, and becomes an
//! amount for who says how much a log grows in a day.
//!
//! Assumed is that every run succeeds, that writers open their log again when they are told,
//! and that what was there before the first run fitted. Archives count as if compression
//! gained nothing, and every file with one block more than its length.

use std::fmt;

use crate::naming::Style;
use crate::policy::{Count, Limits, Method, Policy, RotateWhen, Rules};
use crate::units::{Age, Bytes};

/// What is used at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many bytes, and what one log grows in so much time.
    AtMost {
        /// Whatever happens.
        fixed: Bytes,
        /// The times of several logs are added.
        growth: Age,
    },
    /// Nothing bounds it.
    Unbounded,
}

impl Amount {
    const NONE: Self = Self::fixed(Bytes::ZERO);

    const fn fixed(fixed: Bytes) -> Self {
        Self::AtMost { fixed, growth: Age::seconds(0) }
    }

    const fn growth(growth: Age) -> Self {
        Self::AtMost { fixed: Bytes::ZERO, growth }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::AtMost { fixed, growth },
                Self::AtMost { fixed: other_fixed, growth: other },
            ) => {
                let seconds = growth.as_seconds().saturating_add(other.as_seconds());
                Self::AtMost { fixed: fixed.plus(other_fixed), growth: Age::seconds(seconds) }
            }
            _ => Self::Unbounded,
        }
    }

    fn times(self, count: u64) -> Self {
        match self {
            _ if count == 0 => Self::NONE,
            Self::AtMost { fixed, growth } => Self::AtMost {
                fixed: Bytes::new(fixed.get().saturating_mul(count)),
                growth: Age::seconds(growth.as_seconds().saturating_mul(count)),
            },
            Self::Unbounded => Self::Unbounded,
        }
    }

    /// No less than that.
    fn at_least(self, least: Bytes) -> Self {
        match self {
            Self::AtMost { fixed, growth } => Self::AtMost { fixed: fixed.max(least), growth },
            Self::Unbounded => Self::Unbounded,
        }
    }

    /// In bytes, if a log grows by `daily` in a day at most; `None` if nothing bounds it, or if
    /// nobody says how much a log grows.
    #[must_use]
    pub fn bytes(self, daily: Option<Bytes>) -> Option<Bytes> {
        match self {
            Self::AtMost { fixed, growth } if growth == Age::seconds(0) => Some(fixed),
            Self::AtMost { fixed, growth } => {
                let grown = u128::from(growth.as_seconds()) * u128::from(daily?.get());
                let grown = u64::try_from(grown.div_ceil(86_400)).unwrap_or(u64::MAX);
                Some(fixed.plus(Bytes::new(grown)))
            }
            Self::Unbounded => None,
        }
    }

    /// The time in which a log grows by what is not fixed.
    const fn time(self) -> Age {
        match self {
            Self::AtMost { growth, .. } => growth,
            Self::Unbounded => Age::seconds(0),
        }
    }
}

/// For people: `10.0 MiB and what one log grows in 3 d`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost { fixed, growth } if *growth == Age::seconds(0) => write!(f, "{fixed}"),
            Self::AtMost { fixed: Bytes::ZERO, growth } => {
                write!(f, "what one log grows in {}", growth.in_full())
            }
            Self::AtMost { fixed, growth } => {
                write!(f, "{fixed} and what one log grows in {}", growth.in_full())
            }
            Self::Unbounded => f.write_str("any amount"),
        }
    }
}

/// What holds the amount right after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Basis {
    /// The block's `quota`.
    Quota,
    /// The `quota` of all blocks together.
    GlobalQuota,
    /// `reserve`: archives go until so much of the disk is free.
    Reserve,
    /// How long logs get, how many archives stay, and for how long.
    Rotation,
}

/// Why there is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missing {
    /// A log rotates when its time has come, however long it is.
    Length,
    /// A log may grow by any amount between two runs.
    Growth,
    /// Every archive stays.
    Count,
    /// `minage` holds a log back for as long as it is written to.
    MinAge,
    /// `copy` never shortens the log.
    Copy,
    /// Names of archives come back before the old archives are gone.
    Dates,
    /// A pattern may match any number of logs.
    Logs,
    /// A pattern matches archives of its logs, which become logs themselves.
    OwnArchives,
    /// A quota takes neither a log in use nor what a run has just rotated (without `livetrim`).
    InUse,
    /// A log waits, and grows, while the quota has no room for its copy (without `livetrim`).
    Waits,
}

/// What the files of a block can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// So many logs are counted: those that there are now, one at least.
    pub logs: u64,
    /// Whether a pattern may match more.
    pub may_be_more: bool,
    /// Right after a run.
    pub after_run: Amount,
    /// What holds that.
    pub basis: Basis,
    /// What may come on top of it until the end of the next run: what logs grow, and while it
    /// lasts copies and compressed files beside what they are made from.
    pub on_top: Amount,
    /// Why it is not bounded; empty if it is.
    pub missing: Vec<Missing>,
}

/// What a block is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) run_every: Age,
    pub(super) logs: u64,
    pub(super) may_be_more: bool,
    /// Whether archives of its logs become logs.
    pub(super) multiplies: bool,
    pub(super) global: Limits,
    /// The size of its file system, if it is known.
    pub(super) disk: Option<Bytes>,
    pub(super) block: Bytes,
    /// How much a log grows in a day.
    pub(super) daily: Option<Bytes>,
}

/// What a log and its archives come to.
struct Each {
    active: Amount,
    archive: Amount,
    archives: Amount,
    missing: Vec<Missing>,
}

pub(super) fn footprint(policy: &Policy, given: &Circumstances) -> Footprint {
    let logs = given.logs.max(1);
    let each = each(policy, given);
    let actives = each.active.times(logs);
    let mut missing = each.missing;
    let mut archives = each.archives.times(logs);
    let files = policy.limits.max_files.into_iter().chain(given.global.max_files).min();
    if let Some(files) = files
        && archives == Amount::Unbounded
    {
        archives = each.archive.times(files);
        missing.retain(|why| *why != Missing::Count);
    }
    let mut found = Footprint {
        logs,
        may_be_more: given.may_be_more,
        after_run: actives.plus(archives),
        basis: Basis::Rotation,
        on_top: Amount::growth(given.run_every).times(logs),
        missing,
    };
    // A log waits, and grows, while its copy has no room beside it.
    let may_wait = policy.method != Method::Rename;
    let makes_copies = policy.compress.is_some() || policy.method != Method::Rename;
    let quota = policy.limits.quota.map(|quota| (quota, Basis::Quota));
    let global = given.global.quota.map(|quota| (quota, Basis::GlobalQuota));
    if let Some((quota, basis)) = quota.into_iter().chain(global).min_by_key(|(quota, _)| *quota)
        // Even a log that is only copied is cut if it alone passes the quota.
        && (policy.method != Method::Copy || policy.live_trim)
    {
        found.missing.clear();
        let copy = if may_wait { each.archive } else { Amount::NONE };
        let rotated = found.after_run.plus(copy).bytes(given.daily);
        if !found.may_be_more && rotated.is_some_and(|bytes| bytes <= quota) {
            if makes_copies {
                found.on_top = found.on_top.plus(each.archive.times(logs));
            }
            return found;
        }
        // A run makes room first for what it makes, so nothing but growth comes on top.
        (found.after_run, found.basis) = (Amount::fixed(quota), basis);
        if policy.live_trim {
            return found;
        }
        if may_wait {
            (found.after_run, found.missing) = (Amount::Unbounded, vec![Missing::Waits]);
            return found;
        }
        // All its archives may be gone, but what is in use stays, or was rotated by this run.
        found.after_run = each.archive.times(logs).at_least(quota);
        if found.after_run.bytes(given.daily).is_none() {
            found.missing.push(Missing::InUse);
        }
        return found;
    }
    if makes_copies {
        found.on_top = found.on_top.plus(each.archive.times(logs));
    }
    if policy.method == Method::Copy {
        found.missing = vec![Missing::Copy];
        return found;
    }
    // What was rotated by the same run stays, and a log that has no room for its copy waits.
    let new = each.archive.times(logs).bytes(given.daily);
    if let (Some(free), Some(new), false) = (reserve(policy, given), new, given.may_be_more)
        && !may_wait
    {
        let most = given.disk.unwrap_or(Bytes::MAX).minus(free).max(new);
        if found.after_run.bytes(given.daily).is_none_or(|bytes| bytes > most) {
            (found.after_run, found.basis) = (Amount::fixed(most), Basis::Reserve);
            found.missing.clear();
            return found;
        }
    }
    if given.may_be_more && found.missing.is_empty() {
        found.missing.push(Missing::Logs);
    }
    if found.after_run.bytes(given.daily).is_some() && given.daily.is_some() {
        found.missing.clear();
    }
    if given.multiplies {
        found.missing.push(Missing::OwnArchives);
    }
    found
}

/// The most that a run keeps free, where the size of the disk is known.
fn reserve(policy: &Policy, given: &Circumstances) -> Option<Bytes> {
    let disk = given.disk?;
    let reserves = policy.limits.reserve.into_iter().chain(given.global.reserve);
    reserves.map(|reserve| reserve.of(disk)).max()
}

fn each(policy: &Policy, given: &Circumstances) -> Each {
    let mut missing = Vec::new();
    let size = limit_of_length(policy);
    let mut active = match (size, period(policy.when)) {
        _ if policy.method == Method::Copy => Amount::Unbounded,
        (Some(size), _) => {
            missing.push(Missing::Growth);
            Amount::fixed(size)
        }
        (None, Some(_)) if policy.min_age_days.is_some_and(|days| days > 0) => {
            missing.push(Missing::MinAge);
            Amount::Unbounded
        }
        (None, Some(period)) => {
            missing.push(Missing::Length);
            Amount::growth(period).plus(Amount::fixed(policy.min_size.unwrap_or_default()))
        }
        (None, None) => {
            missing.push(Missing::Length);
            Amount::Unbounded
        }
    };
    if let Style::Dated { format, .. } = &policy.naming.style {
        match format.step() {
            // Until the date is another one, the log goes on.
            Some(step) if step > given.run_every => active = active.plus(Amount::growth(step)),
            Some(_) => {}
            None => {
                missing.push(Missing::Dates);
                active = Amount::Unbounded;
            }
        }
    }
    let block = Amount::fixed(given.block);
    let archive = active.plus(Amount::growth(given.run_every)).plus(block);
    let archives = match (kept(policy), policy.max_age_days) {
        (Some(count), _) => archive.times(count),
        // Whatever was written in that time, and the archive that reaches back the furthest.
        // A block for each of those archives: one a run at most.
        (None, Some(days)) => {
            let days = Age::days(u64::from(days).saturating_add(1));
            let runs = days.as_seconds() / given.run_every.as_seconds().max(1);
            Amount::growth(days).plus(archive).plus(block.times(runs.saturating_add(1)))
        }
        (None, None) => {
            missing.push(Missing::Count);
            Amount::Unbounded
        }
    };
    if archives == Amount::NONE && size.is_some() {
        // What grew between two runs goes with the archive that it makes.
        missing.retain(|why| *why != Missing::Growth || active.time() > Age::seconds(0));
    }
    Each { active: active.plus(block), archive, archives, missing }
}

/// The length at which a log is due whatever the time.
fn limit_of_length(policy: &Policy) -> Option<Bytes> {
    let size = match policy.when {
        RotateWhen::Size(size) => Some(size),
        _ => None,
    };
    let max_size = policy.max_size.filter(|limit| *limit > Bytes::ZERO);
    size.into_iter().chain(max_size).min()
}

/// How long a log may go on after its last rotation; `None` if for ever.
pub(super) fn period(when: RotateWhen) -> Option<Age> {
    Some(match when {
        RotateWhen::Hourly => Age::seconds(3_600),
        RotateWhen::Daily => Age::days(1),
        RotateWhen::Weekly { .. } => Age::days(7),
        RotateWhen::Monthly { .. } => Age::days(31),
        RotateWhen::Yearly => Age::days(366),
        RotateWhen::Minutes(minutes) => {
            Age::seconds(u64::from(minutes.get()).saturating_add(1).saturating_mul(60))
        }
        _ => return None,
    })
}

/// How many archives stay, if their number decides.
fn kept(policy: &Policy) -> Option<u64> {
    match policy.count {
        // There logrotate counts the new one among those that stay, also with `rotate 0`.
        Count::AtMost(0)
            if policy.rules == Rules::Logrotate
                && matches!(policy.naming.style, Style::Dated { .. }) =>
        {
            Some(1)
        }
        Count::AtMost(count) => Some(u64::from(count)),
        Count::Unlimited => None,
    }
}
