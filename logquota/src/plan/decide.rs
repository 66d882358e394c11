//! The planner: who rotates, what stays, what goes for space, and then in which order.

use std::collections::HashSet;

use super::ballast::Released;
use super::blocked::why;
use super::classic::{Last, Target};
use super::draft::{Classic, LogDraft, Rotation, SetDraft, Source, Stop};
use super::not_now::half_compressed;
pub(super) use super::not_now::{NotNow, PutOff, no_inode, no_room_for_copy};
use super::quota::Evictions;
use super::rotate::{NAME_MAX, NoName, due, new_label};
use super::twofold::Roles;
use super::{
    Context, Due, LogVerdicts, Plan, Problem, Purpose, Reason, ballast, classic, digest, free,
    order, retain, trim,
};
use crate::inventory::{Blocked, Inventory, LeftoverKind};
use crate::naming::{Label, Style, sequence_label};
use crate::policy::{Config, Count, Method, Rules};
use crate::units::{Bytes, Generation};

mod impossible;

/// Decides what is done. Pure, total, and independent of the order in which the inventory
/// was found.
///
/// # What is not guaranteed
///
/// That the files are still what they were: [`apply`](crate::apply::apply) checks each one again.
#[must_use]
pub fn plan(inventory: &Inventory, config: &Config, context: &Context) -> Plan {
    // A scan is in order already; sorting a copy costs as much memory as the scan itself.
    let sorted = (!inventory.is_normal()).then(|| {
        let mut copy = inventory.clone();
        copy.normalize();
        copy
    });
    let inventory = sorted.as_ref().unwrap_or(inventory);
    let released = ballast::released(inventory, config, context.purpose);
    // A rotation that turns out to be impossible must not have cost anything: everything is
    // decided again without it. Each round puts off at least one more log.
    let mut put_off = PutOff::new();
    let mut plain: HashSet<(usize, usize)> = HashSet::new();
    let (attempt, ordered) = loop {
        let attempt = Attempt::new(inventory, config, context, (&put_off, &plain), &released);
        let Attempt { drafts, evictions, .. } = &attempt;
        let mut ordered =
            order::order(inventory, config, context.purpose, (drafts, evictions), &released);
        let mut more = attempt.impossible();
        more.append(&mut ordered.impossible);
        more.retain(|log, not_now| {
            let known = put_off.get(log);
            known.is_none_or(|known| known.is_for_room && !not_now.is_for_room)
        });
        if more.is_empty() && ordered.plain.is_subset(&plain) {
            break (attempt, ordered);
        }
        plain.extend(ordered.plain);
        put_off.append(&mut more);
    };
    let unmet = attempt.evictions.unmet(&attempt.drafts, inventory, &attempt.problems);
    let Attempt { drafts, evictions, mut problems } = attempt;
    let due = drafts.iter().enumerate().flat_map(|(set, draft)| {
        draft.logs.iter().enumerate().filter_map(move |(log, draft)| {
            let reason = draft.due.as_deref()?.clone();
            Some(Due { set, log, reason })
        })
    });
    let due = due.collect();
    let sets = order::sums(inventory, &drafts, &evictions, &ordered);
    // Its books are no small part of the memory, and of no use any more.
    drop(evictions);
    problems.extend(order::unfinished(inventory, &drafts));
    problems.extend(trim::left_whole(
        inventory,
        &drafts,
        &sets,
        (context.purpose, config.global.quota),
    ));
    let verdicts = drafts.into_iter().enumerate().flat_map(|(set, draft)| {
        let logs = draft.logs.into_iter().enumerate();
        logs.filter_map(move |(log, draft)| {
            let verdicts = draft.into_verdicts();
            (!verdicts.is_empty()).then_some(LogVerdicts { set, log, verdicts })
        })
    });
    let mut plan = Plan {
        id: String::new(),
        due,
        host: context.host.clone(),
        purpose: context.purpose,
        policy: digest::policy(config),
        created: context.now,
        sets,
        global_quota: config.global.quota,
        verdicts: verdicts.collect(),
        steps: ordered.steps,
        problems,
        unmet,
        dirs: inventory.dirs.clone(),
    };
    plan.id = digest::digest(&plan, config);
    debug_assert_eq!(super::check(inventory, config, &plan), []);
    plan
}

/// Everything decided, but the order.
struct Attempt<'a> {
    drafts: Vec<SetDraft<'a>>,
    evictions: Evictions,
    problems: Vec<Problem>,
}

impl<'a> Attempt<'a> {
    fn new(
        inventory: &'a Inventory,
        config: &'a Config,
        context: &Context,
        (put_off, plain): (&PutOff, &HashSet<(usize, usize)>),
        released: &[Released<'_>],
    ) -> Self {
        let notes = inventory.notes.iter();
        let mut problems: Vec<Problem> = notes
            .map(|n| Problem { path: n.path.clone(), why: n.why.clone(), is_error: n.is_error })
            .collect();
        let mut drafts = SetDraft::all(inventory, config);
        for (set, draft) in drafts.iter_mut().enumerate() {
            // What is not known well enough to be rotated is not known well enough to be deleted.
            let is_faulty = draft.spec.policy.is_left_alone();
            for (number, log) in draft.logs.iter_mut().enumerate() {
                log.stays_plain = plain.contains(&(set, number));
                log.is_aside = is_faulty;
            }
            if context.purpose != Purpose::Routine {
                free::look(draft, inventory, context, &mut problems);
                continue;
            }
            let roles = Roles::new(draft, inventory);
            let later: HashSet<usize> = roles.logs.iter().copied().collect();
            for (number, log) in draft.logs.iter_mut().enumerate() {
                if !later.contains(&number) {
                    let not_now = put_off.get(&(set, number));
                    look(log, inventory, context, not_now, &mut problems);
                }
            }
            for number in roles.logs.iter().copied() {
                roles.settle(draft, number, context);
                if let Some(log) = draft.logs.get_mut(number) {
                    let not_now = put_off.get(&(set, number));
                    look(log, inventory, context, not_now, &mut problems);
                }
            }
            stop_together(draft);
        }
        refuse_twins(&mut drafts, inventory, &mut problems);
        let mut evictions = Evictions::new(&drafts, config.global, context.purpose);
        released.iter().for_each(|ballast| evictions.gain(ballast.of.dev, ballast.of.kept()));
        evictions.run(&mut drafts, context);
        Self { drafts, evictions, problems }
    }
}

/// Decides about one log by the rules of its set, unless it is put off.
fn look(
    log: &mut LogDraft<'_>,
    inventory: &Inventory,
    context: &Context,
    not_now: Option<&NotNow>,
    problems: &mut Vec<Problem>,
) {
    // What a `renamecopy` that was interrupted has renamed is finished by our rules: logrotate
    // would overwrite it.
    let is_begun = log.log.leftovers.iter().any(|l| l.kind == LeftoverKind::Renamed);
    let is_ours = log.policy.rules == Rules::Own || is_begun;
    if is_ours {
        look_at(log, inventory, context, problems);
    } else {
        look_classic(log, inventory, context, problems);
    }
    // Both halves would have to be renamed as one.
    let renames = log.policy.rules == Rules::Logrotate
        || matches!(log.policy.naming.style, Style::Numbered { .. });
    let is_half = renames && log.log.heads() > 0 && !log.is_blocked();
    let half = is_half.then(half_compressed);
    if let Some(NotNow { why, is_for_room, is_error }) = half.as_ref().or(not_now) {
        let path = inventory.path(log.log.dir, &log.log.name);
        problems.push(Problem { path, why: why.clone(), is_error: *is_error });
        log.rotation = None;
        log.recreate = false;
        if log.classic.take().is_some() {
            log.keep_all();
        }
        log.is_put_off = !is_for_room;
    }
    if is_ours {
        retain::retain(log, context);
    }
}

/// Whether one log rotates, is finished, or is left alone, and why.
fn look_at(
    draft: &mut LogDraft<'_>,
    inventory: &Inventory,
    context: &Context,
    problems: &mut Vec<Problem>,
) {
    let log = draft.log;
    let path = || inventory.path(log.dir, &log.name);
    if let Some(blocked) = &log.blocked {
        problems.push(Problem { path: path(), why: why(blocked), is_error: blocked.is_error() });
        return;
    }
    let policy = draft.policy;
    let newest = log.archives.first();
    let renamed = log.leftovers.iter().find(|l| l.kind == LeftoverKind::Renamed);
    let (reason, bytes, source) = if let Some(leftover) = renamed {
        draft.recreate = log.active.is_none() && policy.create.is_some();
        let stamp = leftover.meta.stamp;
        let is_copied = newest.is_some_and(|archive| {
            let copy = archive.stamp();
            archive.is_plain() && (copy.len, copy.mtime) == (stamp.len, stamp.mtime)
        });
        if is_copied {
            draft.renamed_is_copied = true;
            return;
        }
        (Reason::Interrupted, stamp.allocated, Source::Renamed)
    } else if let Some(active) = &log.active {
        let Some(reason) = due(&active.stamp, log.last_rotated, policy, context) else { return };
        draft.due = Some(Box::new(reason.clone()));
        if policy.method == Method::Copy && policy.count == Count::AtMost(0) {
            return;
        }
        let is_copied = policy.method == Method::CopyTruncate
            && active.stamp.len > 0
            && newest.is_some_and(|archive| {
                let copy = archive.stamp();
                archive.is_plain()
                    && (copy.len, copy.mtime) == (active.stamp.len, active.stamp.mtime)
            });
        if is_copied {
            (Reason::Interrupted, Bytes::ZERO, Source::Copied)
        } else {
            (reason, active.stamp.allocated, Source::Active)
        }
    } else {
        // The rename was done and what follows it was not. A compressed archive is no sign of
        // that: the new log is made before anything is compressed.
        draft.recreate = policy.create.is_some()
            && matches!(policy.method, Method::Rename | Method::RenameCopy)
            && newest.is_some_and(|archive| archive.is_plain());
        return;
    };
    match new_label(log, policy, context, |_, _| true) {
        Ok(label) => {
            let rotation = Rotation { reason, label, bytes, gone: None, source };
            draft.rotation = Some(Box::new(rotation));
        }
        // The copy that was made before the interruption has that name.
        Err(NoName::Exists(name)) if source == Source::Copied => {
            let parsed = policy.naming.parse(&log.name, &name);
            draft.rotation = parsed.map(|parsed| {
                Box::new(Rotation { reason, label: parsed.label, bytes, gone: None, source })
            });
        }
        Err(NoName::Exists(name)) => problems.push(Problem {
            path: path(),
            why: format!(
                "is due, but `{}`, which its rotation would make, already exists; it is rotated \
                 when that is gone or the date gives another name",
                crate::error::printable(&name)
            ),
            is_error: true,
        }),
        Err(NoName::TooLong(name)) => problems.push(Problem {
            path: path(),
            why: format!(
                "is due, but the name of its archive would have {} bytes and 255 is the most; \
                 give the log a shorter name",
                name.len()
            ),
            is_error: true,
        }),
    }
}

/// The same by logrotate's rules.
fn look_classic(
    draft: &mut LogDraft<'_>,
    inventory: &Inventory,
    context: &Context,
    problems: &mut Vec<Problem>,
) {
    let (log, policy) = (draft.log, draft.policy);
    let path = || inventory.path(log.dir, &log.name);
    if let Some(blocked) = &log.blocked {
        problems.push(Problem { path: path(), why: why(blocked), is_error: blocked.is_error() });
        return;
    }
    let Some(active) = &log.active else {
        // Its archives are still there, and tell nothing: logrotate does not look at them.
        if !policy.missing_ok {
            let why = why(&Blocked::Missing);
            problems.push(Problem { path: path(), why, is_error: true });
        }
        return;
    };
    let Some(reason) = due(&active.stamp, log.last_rotated, policy, context) else { return };
    draft.due = Some(Box::new(reason.clone()));
    let label = match &policy.naming.style {
        Style::Numbered { start } => Label::Number(*start),
        Style::Dated { format, shift } => format.label(context.now, *shift),
        Style::Sequence => sequence_label(0, context.now.timestamp()),
    };
    let suffix = policy.compress.as_ref().map_or("", |compress| &compress.suffix);
    let longest = policy.naming.format(&log.name, &label, suffix);
    if longest.len() > NAME_MAX {
        let why = format!(
            "is due, but the name of its archive would have {} bytes and 255 is the most; \
             give the log a shorter name",
            longest.len()
        );
        problems.push(Problem { path: path(), why, is_error: true });
        return;
    }
    let plain = policy.naming.format(&log.name, &label, "");
    let target = Target { label, plain };
    let copies = classic::old_copies(draft, &target, context.now);
    if let Some(name) = &copies.stops {
        let taken = crate::error::printable(inventory.path(log.archive_dir, name));
        let why = format!("destination {taken} already exists, skipping rotation");
        problems.push(Problem { path: path(), why, is_error: true });
    } else {
        let is_gone = !classic::has_copy(policy) || copies.last == Last::New;
        let limit = 0;
        let gone = is_gone.then_some(Reason::Count { generation: Generation::NEWEST, limit });
        let bytes = active.stamp.allocated;
        let label = target.label;
        let rotation = Rotation { reason, label, bytes, gone, source: Source::Active };
        draft.rotation = Some(Box::new(rotation));
        for index in &copies.stuck {
            let Some((archive, _)) = draft.copy(*index) else { continue };
            let number = copies.moves.iter().find(|(moved, _)| moved == index).map(|(_, to)| *to);
            let name = match number {
                Some(to) => policy.naming.format(&log.name, &Label::Number(to), archive.suffix()),
                None => archive.name().to_owned(),
            };
            let copy = crate::error::printable(inventory.path(log.archive_dir, &name));
            let why = format!("Failed to remove old log {copy}: it is no regular file");
            problems.push(Problem { path: path(), why, is_error: true });
        }
    }
    let aside = format!("-{}.backup", context.now.format("%Y%m%d%H"));
    draft.classic = Some(Box::new(Classic { copies, plain: target.plain, aside }));
}

/// Under logrotate's rules two logs may be given copies of the same name: the first has them. A
/// copy that is one of these logs, too, is not what it was taken for.
fn refuse_twins(drafts: &mut [SetDraft<'_>], inventory: &Inventory, problems: &mut Vec<Problem>) {
    let mut taken = HashSet::new();
    for draft in drafts {
        let is_twin = |log: &LogDraft<'_>| {
            let classic = log.classic.as_ref().filter(|_| log.rotation.is_some());
            classic.is_some_and(|c| !taken.insert((log.log.archive_dir, c.plain.clone())))
        };
        let twins: Vec<bool> = draft.logs.iter().map(is_twin).collect();
        let has_twins = twins.contains(&true);
        for (log, is_twin) in draft.logs.iter_mut().zip(twins) {
            if !(is_twin || has_twins && log.is_twofold()) {
                continue;
            }
            let Some(classic) = log.classic.take() else { continue };
            let copy = inventory.path(log.log.archive_dir, &classic.plain);
            let why = format!(
                "the copies of another log have the same names, such as {}; give one of them another \
                 name or folder",
                crate::error::printable(copy)
            );
            let path = inventory.path(log.log.dir, &log.log.name);
            problems.push(Problem { path, why, is_error: true });
            log.rotation = None;
            log.keep_all();
        }
    }
}

/// With `sharedscripts`, logrotate rotates all logs of a block or none.
fn stop_together(draft: &mut SetDraft<'_>) {
    let policy = &draft.spec.policy;
    let is_unfit = |log: &LogDraft<'_>| {
        let is_missing = log.log.blocked.is_none() && log.log.active.is_none();
        log.log.blocked.as_ref().is_some_and(Blocked::is_error)
            || (is_missing && !log.policy.missing_ok)
    };
    let is_hindered = |log: &LogDraft<'_>| {
        log.classic.as_ref().is_some_and(|classic| classic.copies.stops.is_some())
    };
    let stop = if draft.logs.iter().any(is_unfit) {
        Stop::BeforePrerotate
    } else if draft.logs.iter().any(is_hindered) {
        Stop::BehindPrerotate
    } else {
        return;
    };
    if policy.rules != Rules::Logrotate || !policy.scripts.shared {
        return;
    }
    for log in &mut draft.logs {
        if log.classic.take().is_some() {
            draft.stop = stop;
            log.rotation = None;
            log.keep_all();
        }
    }
}
