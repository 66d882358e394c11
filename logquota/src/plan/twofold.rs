//! Files that are two things under logrotate's rules: a log of their own, and by their name a
//! copy of another log. With `extension .log` and the pattern `*.log`, `a.1.log` is one.
//!
//! logrotate does both: such a log has its turn, and whatever has its name when the turn of the
//! other one comes is moved or removed as a copy. What that will be is said here; for that, those
//! that come before must have been decided about.
//!
//! In the way, as what else has the name of a copy, is one whose turn is yet to come, also because
//! `sharedscripts` puts the steps of all logs together; and any where limits count every byte.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use super::draft::{LogDraft, SetDraft};
use super::order::turns;
use super::rotate::due;
use super::{Context, Expect};
use crate::inventory::{Archive, DirId, Inventory};
use crate::policy::{Method, Rules};
use crate::stamp::{Meta, Timestamp};
use crate::units::Bytes;

/// The logs that are copies of one other, as they are when its turn comes.
#[derive(Default)]
pub(super) struct Twofold {
    /// With what must be found there.
    pub(super) copies: Vec<(Archive, Expect)>,
    /// Names that are obstacles, but not by then.
    pub(super) settled: Vec<OsString>,
}

/// The other roles of the logs of one set.
#[derive(Default)]
pub(super) struct Roles<'a> {
    /// Logs with such copies, in the order of their turns.
    pub(super) logs: Vec<usize>,
    /// Where each log has its turn.
    turns: Vec<usize>,
    /// All logs by their places.
    names: HashMap<(DirId, &'a OsStr), usize>,
}

impl<'a> Roles<'a> {
    /// Finds them. Almost every set has none.
    pub(super) fn new(draft: &SetDraft<'a>, inventory: &Inventory) -> Self {
        let policy = &draft.spec.policy;
        let is_plain = |log: &LogDraft<'_>| log.has_limits || log.log.obstacles.is_empty();
        if policy.rules != Rules::Logrotate || draft.logs.iter().all(is_plain) {
            return Self::default();
        }
        let names = draft.logs.iter().enumerate();
        let names = names.map(|(at, log)| ((log.log.dir, log.log.name.as_os_str()), at));
        let names: HashMap<_, _> = names.collect();
        let is_one = |log: &LogDraft<'_>| {
            log.log.obstacles.iter().any(|name| {
                names.contains_key(&(log.log.archive_dir, name.as_os_str()))
                    && policy.naming.parse(&log.log.name, name).is_some_and(|p| p.own_style)
            })
        };
        let logs = draft.logs.iter().enumerate().filter(|(_, log)| is_one(log));
        let mut logs: Vec<usize> = logs.map(|(number, _)| number).collect();
        let by_path = turns(draft);
        let turn = |log: &LogDraft<'_>| {
            let path = inventory.path(log.log.dir, &log.log.name);
            by_path.get(path.as_path()).copied().unwrap_or(usize::MAX)
        };
        let turns: Vec<usize> = draft.logs.iter().map(turn).collect();
        logs.sort_by_key(|number| turns.get(*number).copied());
        Self { logs, turns, names }
    }

    /// Says what a log finds under the names of its copies. All that have their turns before it
    /// were decided about, and all that have no such copies.
    pub(super) fn settle(&self, draft: &mut SetDraft<'_>, number: usize, context: &Context) {
        let mut twofold = Twofold::default();
        let Some(log) = draft.logs.get(number) else { return };
        for name in &log.log.obstacles {
            let other = self.names.get(&(log.log.archive_dir, name.as_os_str()));
            let Some((at, other)) = other.and_then(|at| Some((*at, draft.logs.get(*at)?))) else {
                continue;
            };
            let parsed = log.policy.naming.parse(&log.log.name, name).filter(|p| p.own_style);
            let (Some(parsed), Some(active)) = (parsed, other.log.active) else { continue };
            let is_before = self.turns.get(at) < self.turns.get(number);
            let is_due =
                || due(&active.stamp, other.log.last_rotated, other.policy, context).is_some();
            // Its own turn would not find it any more, or not as it was.
            let is_late = !is_before || log.policy.scripts.shared;
            if other.is_blocked() || (is_late && is_due()) {
                continue;
            }
            twofold.settled.push(name.clone());
            let found = after(other, active, context);
            let copy = |meta| Archive::new(name, parsed, &meta);
            twofold.copies.extend(found.map(|(meta, expect)| (copy(meta), expect)));
        }
        if let Some(log) = draft.logs.get_mut(number) {
            log.set_twofold(twofold);
        }
    }
}

/// What has the name of a log when its turn is over.
fn after(log: &LogDraft<'_>, active: Meta, context: &Context) -> Option<(Meta, Expect)> {
    let same = Expect::SameFile(active.stamp.id);
    let mut emptied = active;
    emptied.stamp.len = 0;
    emptied.stamp.allocated = Bytes::ZERO;
    emptied.stamp.mtime = Timestamp { secs: context.now.timestamp(), nanos: 0 };
    let is_stopped = log.classic.as_ref().is_none_or(|classic| classic.copies.stops.is_some());
    match log.policy.method {
        _ if log.rotation.is_none() || is_stopped => Some((active, same)),
        Method::Copy => Some((active, same)),
        Method::CopyTruncate => Some((emptied, same)),
        Method::Rename | Method::RenameCopy => {
            log.policy.create.is_some().then_some((emptied, Expect::Made))
        }
    }
}
