//! A slow, obvious planner: which logs rotate, which archives go, and why in one word.
//!
//! Everything is counted anew before every decision. It decides no order, no names and no
//! numbers, and knows only tidy cases ([`Odd::NONE`](crate::generate::Odd::NONE)): one quota per
//! set, files with one name, enough disk, logs that are renamed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Datelike as _;
use chrono::Timelike as _;
use logquota::inventory::{Archive, Log, Set};
use logquota::plan::{Context, Plan, Reason, Verdict};
use logquota::policy::{Count, Policy, RotateWhen};

use crate::generate::Case;

/// Why something goes, without numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is there twice.
    Duplicate,
    /// `rotate`
    Count,
    /// `maxage`
    MaxAge,
    /// `quota`
    Quota,
    /// Another reason, which no tidy case has.
    Other,
}

/// What is decided: indices of set and log, and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    /// Logs that rotate.
    pub rotate: BTreeSet<(usize, usize)>,
    /// Logs whose new archive goes at once.
    pub new_goes: BTreeMap<(usize, usize), Why>,
    /// Archives that go.
    pub remove: BTreeMap<(usize, usize, String), Why>,
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::Duplicate => Self::Duplicate,
            Reason::Count { .. } => Self::Count,
            Reason::MaxAge { .. } => Self::MaxAge,
            Reason::Quota { .. } | Reason::QuotaPressure { .. } => Self::Quota,
            _ => Self::Other,
        }
    }
}

/// What a plan decides.
#[must_use]
pub fn decisions_of(case: &Case, plan: &Plan) -> Decisions {
    use logquota::plan::Action;
    let mut found = Decisions::default();
    let mut new = BTreeMap::new();
    for step in &plan.steps {
        let Some(log) = step.log else { continue };
        let name = &case.inventory.sets[step.set].logs[log].name;
        match &step.action {
            Action::Rename { from, to } if from.name == *name => {
                found.rotate.insert((step.set, log));
                new.insert(to.clone(), (step.set, log));
            }
            Action::Delete { at, .. }
                if new.contains_key(at) && step.reason != Reason::Compressed =>
            {
                found.new_goes.insert(new[at], (&step.reason).into());
            }
            _ => {}
        }
    }
    for given in &plan.verdicts {
        let archives = &case.inventory.sets[given.set].logs[given.log].archives;
        for (archive, verdict) in archives.iter().zip(given.verdicts.iter()) {
            if let Verdict::Remove(reason) = verdict {
                let name = archive.name().to_string_lossy().into_owned();
                found.remove.insert((given.set, given.log, name), reason.into());
            }
        }
    }
    found
}

/// A log, half decided.
struct State<'a> {
    log: &'a Log,
    at: (usize, usize),
    rotates: bool,
    /// The new archive, if it stays.
    new: Option<u64>,
    /// Bytes of the active file, unless it rotates.
    active: u64,
    /// Archives that stay, newest first.
    kept: Vec<&'a Archive>,
}

impl State<'_> {
    fn used(&self) -> u64 {
        let kept: u64 = self.kept.iter().map(|a| a.stamp().allocated.get()).sum();
        kept + self.active + self.new.unwrap_or(0)
    }
}

/// What should be decided.
#[must_use]
pub fn decide(case: &Case) -> Decisions {
    let mut decided = Decisions::default();
    for (number, (set, spec)) in case.inventory.sets.iter().zip(&case.config.sets).enumerate() {
        let logs = set.logs.iter().enumerate();
        let mut states: Vec<State<'_>> = logs
            .map(|(at, log)| look(log, (number, at), &spec.policy, &case.context, &mut decided))
            .collect();
        meet_quota(set, &spec.policy, &mut states, &mut decided);
    }
    decided
}

fn look<'a>(
    log: &'a Log,
    at: (usize, usize),
    policy: &Policy,
    context: &Context,
    decided: &mut Decisions,
) -> State<'a> {
    let active = log.active.map_or(0, |meta| meta.stamp.allocated.get());
    let kept = log.archives.iter().collect();
    let mut state = State { log, at, rotates: false, new: None, active, kept };
    if log.blocked.is_some() {
        return state;
    }
    state.rotates = log.active.is_some() && is_due(log, policy, context);
    if state.rotates {
        decided.rotate.insert(at);
        state.new = Some(std::mem::take(&mut state.active));
    }
    let mut remove = |archive: &Archive, why: Why| {
        let name = archive.name().to_string_lossy().into_owned();
        decided.remove.insert((at.0, at.1, name), why);
    };
    let now = context.now.timestamp();
    let is_old = |secs: i64| {
        let days = policy.max_age_days.unwrap_or(0);
        days > 0 && now > secs && (now - secs) / 86_400 > i64::from(days)
    };
    state.kept.retain(|archive| {
        let is_old = is_old(archive.stamp().mtime.secs);
        if is_old {
            remove(archive, Why::MaxAge);
        }
        !is_old
    });
    if state.rotates && log.active.is_some_and(|meta| is_old(meta.stamp.mtime.secs)) {
        state.new = None;
        decided.new_goes.insert(at, Why::MaxAge);
    }
    match policy.count {
        Count::AtMost(0) if state.rotates => {
            state.new = None;
            decided.new_goes.insert(at, Why::Count);
        }
        Count::AtMost(limit) if state.rotates => {
            let mut stays = limit - 1;
            state.kept.retain(|archive| {
                let counts = archive.is_own_style();
                let is_kept = !counts || stays > 0;
                if counts && is_kept {
                    stays -= 1;
                }
                if !is_kept {
                    remove(archive, Why::Count);
                }
                is_kept
            });
        }
        _ => {}
    }
    state
}

/// Evictions, one by one: archives, at last what is about to become one; then the logs
/// themselves.
fn meet_quota(set: &Set, policy: &Policy, states: &mut [State<'_>], decided: &mut Decisions) {
    let Some(quota) = policy.limits.quota.map(|quota| quota.get()) else { return };
    let overhead = set.overhead.get();
    let used = |states: &[State<'_>]| states.iter().map(State::used).sum::<u64>() + overhead;
    let share = quota / states.len() as u64;
    // What went, in order: which log, and the archive or none for what was new or active.
    let mut gone: Vec<(usize, Option<&Archive>, u64)> = Vec::new();
    while used(states) > quota {
        // The largest; of equal ones the first.
        let candidates = states.iter().enumerate().filter(|(_, state)| {
            let has_victim = !state.kept.is_empty() || state.new.is_some();
            state.log.blocked.is_none() && has_victim && state.used() > share
        });
        let largest = candidates.map(|(at, s)| (s.used(), std::cmp::Reverse(at))).max();
        let Some((_, std::cmp::Reverse(at))) = largest else { break };
        let victim = states[at].kept.pop();
        let bytes = match victim {
            Some(archive) => archive.stamp().allocated.get(),
            None => states[at].new.take().unwrap_or(0),
        };
        gone.push((at, victim, bytes));
    }
    let mut pressed: Vec<(usize, u64)> = Vec::new();
    let mut by_size: Vec<(u64, std::cmp::Reverse<usize>)> = states
        .iter()
        .enumerate()
        .filter(|(_, state)| {
            state.log.blocked.is_none()
                && !state.rotates
                && state.active > 0
                && state.kept.is_empty()
                && state.used() > share
        })
        .map(|(at, state)| (state.active, std::cmp::Reverse(at)))
        .collect();
    by_size.sort();
    while used(states) > quota
        && let Some((bytes, std::cmp::Reverse(at))) = by_size.pop()
    {
        states[at].active = 0;
        pressed.push((at, bytes));
    }
    // What was not needed after all comes back, the logs first.
    let mut spare = quota.saturating_sub(used(states));
    let is_over = used(states) > quota;
    let mut closed = BTreeSet::new();
    for (at, bytes) in pressed {
        if !is_over && bytes <= spare {
            spare -= bytes;
        } else {
            closed.insert(at);
            // It would have to, and stays: others write it.
            if policy.evict_new {
                decided.rotate.insert(states[at].at);
                decided.new_goes.insert(states[at].at, Why::Quota);
            }
        }
    }
    for (at, victim, bytes) in gone.into_iter().rev() {
        if !is_over && !closed.contains(&at) && bytes <= spare {
            spare -= bytes;
            continue;
        }
        closed.insert(at);
        let (number, log) = states[at].at;
        match victim {
            Some(archive) => {
                let name = archive.name().to_string_lossy().into_owned();
                decided.remove.insert((number, log, name), Why::Quota);
            }
            None if policy.evict_new => {
                decided.new_goes.insert((number, log), Why::Quota);
            }
            // It stays until the next run.
            None => {}
        }
    }
}

/// logrotate's questions, in its order.
fn is_due(log: &Log, policy: &Policy, context: &Context) -> bool {
    let Some(active) = &log.active else { return false };
    let len = active.stamp.len;
    if len == 0 && !policy.if_empty {
        return false;
    }
    if context.force || policy.max_size.is_some_and(|limit| limit.get() > 0 && len > limit.get()) {
        return true;
    }
    if let RotateWhen::Size(limit) = policy.when {
        return len >= limit.get();
    }
    let (Some(last), now) = (log.last_rotated, context.now.naive_local()) else { return false };
    if policy.when == RotateWhen::Never {
        return false;
    }
    if (last - now).num_seconds() > 25 * 3_600 {
        return true;
    }
    let minute = |t: chrono::NaiveDateTime| t.format("%Y-%m-%d %H:%M").to_string();
    if minute(last) == minute(now) {
        return false;
    }
    let days = (now.date() - last.date()).num_days();
    let time_has_come = match policy.when {
        RotateWhen::Hourly => days != 0 || last.hour() != now.hour(),
        RotateWhen::Daily => days != 0,
        RotateWhen::Weekly { weekday } => {
            let today = now.weekday().num_days_from_sunday();
            days >= 7 || days >= 1 && today == u32::from(weekday)
        }
        RotateWhen::Monthly { day: 0 } => (last.year(), last.month()) != (now.year(), now.month()),
        RotateWhen::Monthly { day } => {
            let is_last_day = (now.date() + chrono::Days::new(1)).day() == 1;
            days >= 31 || days >= 1 && (now.day() == u32::from(day) || is_last_day)
        }
        RotateWhen::Yearly => last.year() != now.year(),
        RotateWhen::Minutes(n) => (now - last).num_minutes() > i64::from(n.get()),
        _ => false,
    };
    let is_large_enough = policy.min_size.is_none_or(|limit| len >= limit.get());
    let idle = context.now.timestamp() - active.stamp.mtime.secs;
    let is_old_enough =
        policy.min_age_days.is_none_or(|days| days == 0 || idle > i64::from(days) * 86_400);
    time_has_come && is_large_enough && is_old_enough
}
