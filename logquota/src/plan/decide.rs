//! The planner: who rotates, what stays, what goes for space, and then in which order.

use super::draft::{LogDraft, Rotation, SetDraft, Source};
use super::quota::Evictions;
use super::rotate::{NoName, due, new_label};
use super::{ArchiveVerdict, Context, Plan, Problem, Reason, digest, order, retain};
use crate::inventory::{Blocked, Inventory, LeftoverKind};
use crate::policy::{Config, Count, Method};
use crate::units::Bytes;

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
    let mut problems: Vec<Problem> = inventory
        .notes
        .iter()
        .map(|n| Problem { path: n.path.clone(), why: n.why.clone(), is_error: n.is_error })
        .collect();
    let mut drafts = SetDraft::all(inventory, config);
    for draft in &mut drafts {
        for log in &mut draft.logs {
            look_at(log, inventory, context, &mut problems);
            retain::retain(log, context);
        }
        drop_copies_without_room(draft, inventory, &mut problems);
    }
    let mut evictions = Evictions::new(&drafts, config.global);
    evictions.run(&mut drafts, context);
    for (set, draft) in drafts.iter_mut().enumerate() {
        if evictions.lacks_inodes(set) {
            drop_for_inodes(draft, inventory, &mut problems);
        }
    }
    let ordered = order::order(inventory, config, &drafts, &mut problems);
    let verdicts = drafts.iter().enumerate().flat_map(|(set, draft)| {
        draft.logs.iter().enumerate().flat_map(move |(log, draft)| {
            draft.archives().map(move |(_, archive, verdict)| ArchiveVerdict {
                set,
                log,
                name: archive.name.clone(),
                verdict: verdict.clone(),
            })
        })
    });
    let mut plan = Plan {
        id: String::new(),
        host: context.host.clone(),
        created: context.now,
        sets: order::sums(&drafts, &evictions, &ordered),
        global_quota: config.global.quota,
        verdicts: verdicts.collect(),
        steps: ordered.steps,
        problems,
        dirs: inventory.dirs.clone(),
    };
    plan.id = digest::digest(&plan, config);
    plan
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
            let copy = archive.meta.stamp;
            archive.parsed.is_plain() && (copy.len, copy.mtime) == (stamp.len, stamp.mtime)
        });
        if is_copied {
            draft.renamed_is_copied = true;
            return;
        }
        (Reason::Interrupted, stamp.allocated, Source::Renamed)
    } else if let Some(active) = &log.active {
        let Some(reason) = due(&active.stamp, log.last_rotated, policy, context) else { return };
        if policy.method == Method::Copy && policy.count == Count::AtMost(0) {
            return;
        }
        let is_copied = policy.method == Method::CopyTruncate
            && active.stamp.len > 0
            && newest.is_some_and(|archive| {
                let copy = archive.meta.stamp;
                archive.parsed.is_plain()
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
            && newest.is_some_and(|archive| archive.parsed.is_plain());
        return;
    };
    match new_label(log, policy, context) {
        Ok(label) => {
            draft.rotation = Some(Rotation { reason, label, bytes, gone: None, source });
        }
        // The copy that was made before the interruption has that name.
        Err(NoName::Exists(name)) if source == Source::Copied => {
            let parsed = policy.naming.parse(&log.name, &name);
            draft.rotation = parsed.map(|parsed| Rotation {
                reason,
                label: parsed.label,
                bytes,
                gone: None,
                source,
            });
        }
        Err(NoName::Exists(name)) => problems.push(Problem {
            path: path(),
            why: format!(
                "is due, but its archive `{}` already exists; it is rotated when the date \
                 gives another name",
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

/// A copy that could not be made even if every archive went must not cost any of them.
fn drop_copies_without_room(
    draft: &mut SetDraft<'_>,
    inventory: &Inventory,
    problems: &mut Vec<Problem>,
) {
    let Some(quota) = draft.spec.policy.limits.quota else { return };
    if !matches!(draft.spec.policy.method, Method::CopyTruncate | Method::RenameCopy | Method::Copy)
    {
        return;
    }
    let peak = quota.max(draft.set.used());
    let fixed: Bytes = draft.logs.iter().map(LogDraft::fixed_bytes).sum();
    let rotating = draft.logs.iter().filter_map(|log| log.rotation.as_ref());
    let new: Bytes = rotating.filter(|r| r.gone.is_none()).map(|r| r.bytes).sum();
    let fixed = fixed.plus(new).plus(draft.set.overhead);
    for log in &mut draft.logs {
        let Some(rotation) = &log.rotation else { continue };
        let needs_room = rotation.gone.is_none() && rotation.source != Source::Copied;
        if needs_room && fixed.plus(rotation.bytes) > peak {
            problems.push(Problem {
                path: inventory.path(log.log.dir, &log.log.name),
                why: format!(
                    "is due, but a copy of {} does not fit beside it within the quota of {quota}; \
                     raise the quota, lower the size, or rotate by renaming",
                    rotation.bytes
                ),
                is_error: true,
            });
            log.rotation = None;
        }
    }
}

/// Rotations for which there is no inode are put off, the last ones first.
fn drop_for_inodes(draft: &mut SetDraft<'_>, inventory: &Inventory, problems: &mut Vec<Problem>) {
    let free = draft.set.space.free_files.unwrap_or(u64::MAX);
    let mut left = free;
    for log in &draft.logs {
        let gone = log
            .archives()
            .filter(|(_, a, v)| matches!(v, super::Verdict::Remove(_)) && a.meta.stamp.nlink <= 1)
            .count();
        let leftovers = log.log.leftovers.len().saturating_sub(log.staying_leftovers().count());
        left = left.saturating_add(u64::try_from(gone.saturating_add(leftovers)).unwrap_or(0));
    }
    for log in &mut draft.logs {
        if !super::quota::makes_file(log) {
            continue;
        }
        if let Some(less) = left.checked_sub(1) {
            left = less;
            continue;
        }
        problems.push(Problem {
            path: inventory.path(log.log.dir, &log.log.name),
            why: "is due, but the file system has no inode for a new log and no archive is \
                  left to give one"
                .to_owned(),
            is_error: true,
        });
        log.rotation = None;
        log.recreate = false;
    }
}

/// In words, with what to do.
fn why(blocked: &Blocked) -> String {
    match blocked {
        Blocked::Symlink => "is a symbolic link and was left alone".to_owned(),
        Blocked::Special => "is not a regular file and was left alone".to_owned(),
        Blocked::HardLinks { names } => {
            format!("has {names} names (hard links) and was left alone; `allowhardlink` permits it")
        }
        Blocked::InsecureParent { why } => why.clone(),
        Blocked::Missing => "does not exist; `missingok` permits that".to_owned(),
        Blocked::Unreadable { why } => format!("could not be looked at: {why}"),
    }
}
