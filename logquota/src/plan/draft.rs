//! What the planner knows of each log while it decides: the inventory, and the decisions
//! made so far.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use super::classic::OldCopies;
use super::twofold::Twofold;
use super::{Expect, Reason, Verdict, Verdicts, Why};
use crate::inventory::{Archive, Inventory, Leftover, LeftoverKind, Log, Place, Set};
use crate::naming::{Label, Style};
use crate::policy::{Config, Limits, Method, Policy, SetSpec};
use crate::stamp::{Kind, Meta};
use crate::units::Bytes;

/// One set, half decided.
pub(super) struct SetDraft<'a> {
    pub(super) spec: &'a SetSpec,
    pub(super) set: &'a Set,
    pub(super) logs: Vec<LogDraft<'a>>,
    pub(super) stop: Stop,
}

/// Whether a set is stopped as a whole though a log of it is due (logrotate's `sharedscripts`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not.
    Never,
    /// A log of it failed when it was looked at.
    BeforePrerotate,
    /// A file is in the way of a copy. logrotate sees that behind the script.
    BehindPrerotate,
}

/// One log, half decided.
pub(super) struct LogDraft<'a> {
    pub(super) log: &'a Log,
    pub(super) policy: &'a Policy,
    /// What becomes of each archive, in the order of the inventory (newest first).
    pub(super) verdicts: Verdicts,
    /// Why it is due, whether or not it is rotated.
    pub(super) due: Option<Box<Reason>>,
    /// Boxed: most logs have none, and there may be a million of them.
    pub(super) rotation: Option<Box<Rotation>>,
    /// Its head is cut off.
    pub(super) trim: Option<Box<Trim>>,
    /// The log is missing though a rotation should have made a new one.
    pub(super) recreate: bool,
    /// Nothing of it is touched by this plan.
    pub(super) is_aside: bool,
    /// Its newest archive stays.
    pub(super) spares_newest: bool,
    /// It cannot be rotated now, not even to make room.
    pub(super) is_put_off: bool,
    /// `LOG.tmp` of a `renamecopy` has its copy already.
    pub(super) renamed_is_copied: bool,
    /// Under logrotate's rules: it is due, and this becomes of its old copies. `rotation` is none
    /// if it is not rotated all the same.
    pub(super) classic: Option<Box<Classic>>,
    /// Logs that are copies of this one, too. Boxed: almost no log has any.
    twofold: Option<Box<Twofold>>,
    /// There are limits, so that every byte counts.
    pub(super) has_limits: bool,
    /// The limits have no room to compress its newest old copy, so that this keeps its name's end.
    pub(super) stays_plain: bool,
    /// Allocated bytes of this log's hard-linked files that no log before it has counted.
    pub(super) linked: Bytes,
    /// How many such files.
    pub(super) linked_files: u64,
    /// What of `linked` is the active file.
    linked_active: Bytes,
}

/// A log that is due under logrotate's rules.
pub(super) struct Classic {
    pub(super) copies: OldCopies,
    /// The new copy's name without a compressor's suffix.
    pub(super) plain: OsString,
    /// What in-the-way files are called: this is put behind their names.
    pub(super) aside: String,
}

/// A rotation that will be done.
pub(super) struct Rotation {
    pub(super) reason: Reason,
    /// What its archive is called.
    pub(super) label: Label,
    /// Allocated bytes of the file that becomes the archive.
    pub(super) bytes: Bytes,
    /// The archive goes again at once.
    pub(super) gone: Option<Reason>,
    /// What is rotated.
    pub(super) source: Source,
}

/// The head of an active file that goes.
pub(super) struct Trim {
    pub(super) reason: Reason,
    /// Whole blocks.
    pub(super) cut: Bytes,
}

/// What becomes the new archive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The active file.
    Active,
    /// The active file, which an interrupted run has copied already: only truncate it.
    Copied,
    /// `LOG.tmp` of an interrupted `renamecopy`.
    Renamed,
}

impl<'a> SetDraft<'a> {
    pub(super) fn all(inventory: &'a Inventory, config: &'a Config) -> Vec<Self> {
        let draft = |spec: &'a SetSpec, set: &'a Set| {
            // As in `Set::used`: a file that has names in two sets counts in both.
            let mut linked = HashSet::new();
            let limits = [spec.policy.limits, config.global];
            let has_limits = limits.iter().any(|limits| *limits != Limits::default());
            let new = |log| LogDraft::new(log, &spec.policy, has_limits, &mut linked);
            let logs = set.logs.iter().map(new);
            Self { spec, set, logs: logs.collect(), stop: Stop::Never }
        };
        config.sets.iter().zip(&inventory.sets).map(|(spec, set)| draft(spec, set)).collect()
    }
}

impl<'a> LogDraft<'a> {
    fn new(
        log: &'a Log,
        policy: &'a Policy,
        has_limits: bool,
        seen: &mut HashSet<(u64, u64)>,
    ) -> Self {
        // The active file comes first.
        let linked_active = log
            .active
            .map(|meta| meta.stamp)
            .filter(|stamp| stamp.nlink > 1 && !seen.contains(&(stamp.id.dev, stamp.id.ino)));
        let linked_active = linked_active.map_or(Bytes::ZERO, |stamp| stamp.allocated);
        let kept = if log.blocked.is_some() { Why::Blocked } else { Why::WithinLimits };
        let (mut linked, mut linked_files) = (Bytes::ZERO, 0u64);
        for stamp in log.stamps().filter(|stamp| stamp.nlink > 1) {
            if seen.insert((stamp.id.dev, stamp.id.ino)) {
                linked = linked.plus(stamp.allocated);
                linked_files = linked_files.saturating_add(1);
            }
        }
        let verdicts = log
            .archives
            .iter()
            .map(|archive| {
                if log.blocked.is_some() {
                    kept
                } else if archive.kind() != Kind::File {
                    Why::NoFile
                } else if archive.stamp().nlink > 1 {
                    Why::HardLinked
                } else {
                    kept
                }
            })
            .collect();
        Self {
            log,
            policy,
            verdicts,
            due: None,
            rotation: None,
            trim: None,
            recreate: false,
            is_aside: false,
            spares_newest: false,
            is_put_off: false,
            renamed_is_copied: false,
            classic: None,
            twofold: None,
            has_limits,
            stays_plain: false,
            linked,
            linked_files,
            linked_active,
        }
    }

    /// Whether nothing of it may be touched.
    pub(super) fn is_blocked(&self) -> bool {
        self.log.blocked.is_some() || self.is_aside
    }

    /// Archives with their verdicts, newest first.
    pub(super) fn archives(
        &self,
    ) -> impl DoubleEndedIterator<Item = (usize, &'a Archive, Verdict<'_>)> {
        self.log
            .archives
            .iter()
            .zip(self.verdicts.iter())
            .enumerate()
            .map(|(index, (archive, verdict))| (index, archive, verdict))
    }

    /// Puts down the logs that are copies of this one. In all lists they come behind its archives.
    pub(super) fn set_twofold(&mut self, twofold: Twofold) {
        self.verdicts.truncate(self.log.archives.len());
        for _ in &twofold.copies {
            self.verdicts.push(Why::WithinLimits);
        }
        self.twofold = Some(Box::new(twofold));
    }

    /// What becomes of each of its own archives.
    pub(super) fn into_verdicts(mut self) -> Verdicts {
        self.verdicts.truncate(self.log.archives.len());
        self.verdicts.shrink();
        self.verdicts
    }

    fn twofold(&self) -> &[(Archive, Expect)] {
        self.twofold.as_ref().map_or(&[], |twofold| twofold.copies.as_slice())
    }

    /// An archive, or a log that is a copy of this one, and what a step that acts on it must find.
    pub(super) fn copy(&self, index: usize) -> Option<(&Archive, Expect)> {
        if let Some(archive) = self.log.archives.get(index) {
            return Some((archive, Expect::Unchanged(archive.stamp())));
        }
        let behind = index.checked_sub(self.log.archives.len())?;
        self.twofold().get(behind).map(|(archive, expect)| (archive, *expect))
    }

    /// How many of the logs that are copies of this one go.
    pub(super) fn twofold_gone(&self) -> usize {
        let verdicts = self.verdicts.iter().skip(self.log.archives.len());
        verdicts.filter(|verdict| matches!(verdict, Verdict::Remove(_))).count()
    }

    /// All that has the name of a copy and stays so far, newest first as logrotate orders them.
    pub(super) fn copies(&self) -> Vec<(usize, &Archive)> {
        let behind = (self.log.archives.len()..).zip(self.twofold().iter().map(|(copy, _)| copy));
        let mut all: Vec<(usize, &Archive)> = self.kept().collect();
        if self.twofold.is_some() {
            all.extend(behind);
            all.sort_by(|(_, a), (_, b)| a.newest_first(b));
        }
        if let Style::Dated { format, .. } = &self.policy.naming.style {
            let moment = |archive: &Archive| match archive.label() {
                Label::Date(date) => format.moment(&date.text),
                _ => None,
            };
            // Where there is none for one there is none for any.
            all.sort_by_cached_key(|(_, archive)| {
                let moment = moment(archive);
                Reverse(moment.map(|moment| (moment, archive.name().to_owned())))
            });
        }
        all
    }

    /// Whether something that is no copy of it has this name when its turn comes.
    pub(super) fn is_obstacle(&self, name: &OsStr) -> bool {
        let has = |names: &[OsString]| names.iter().any(|other| other == name);
        has(&self.log.obstacles)
            && !self.twofold.as_ref().is_some_and(|twofold| has(&twofold.settled))
    }

    /// Whether another log has to have its turn before its own old copies are looked at.
    pub(super) fn is_twofold(&self) -> bool {
        self.twofold.is_some()
    }

    /// Archives that stay so far, newest first.
    pub(super) fn kept(&self) -> impl DoubleEndedIterator<Item = (usize, &'a Archive)> {
        self.archives()
            .filter(|(_, _, verdict)| matches!(verdict, Verdict::Keep(_)))
            .map(|(index, archive, _)| (index, archive))
    }

    /// Whatever was decided about archives, none of them goes.
    pub(super) fn keep_all(&mut self) {
        self.verdicts.keep_all();
    }

    pub(super) fn remove(&mut self, index: usize, reason: Reason) {
        self.verdicts.remove(index, reason);
    }

    /// Whether an archive may be deleted at all.
    pub(super) fn may_delete(&self, archive: &Archive) -> bool {
        let is_spared = self.spares_newest
            && self.log.archives.first().is_some_and(|newest| std::ptr::eq(newest, archive));
        !self.is_blocked()
            && !is_spared
            && archive.kind() == Kind::File
            && (archive.stamp().nlink <= 1 || self.policy.allow_hard_links)
    }

    /// The copy that an interrupted run has made, if it stays. (If it had to go for space there
    /// is nothing left to compare with.)
    pub(super) fn copy_made(&self) -> Option<Place> {
        let (_, copy) = self.kept().next().filter(|(index, _)| *index == 0)?;
        Some(Place { dir: self.log.archive_dir, name: copy.name().to_owned() })
    }

    /// The file that a rotation turns into an archive.
    pub(super) fn source(&self) -> Option<(&'a Meta, OsString)> {
        match self.rotation.as_ref()?.source {
            Source::Active | Source::Copied => {
                Some((self.log.active.as_ref()?, self.log.name.clone()))
            }
            Source::Renamed => {
                let is_renamed = |l: &&Leftover| l.kind == LeftoverKind::Renamed;
                let leftover = self.log.leftovers.iter().find(is_renamed)?;
                Some((&leftover.meta, leftover.place.name.clone()))
            }
        }
    }

    /// Leftovers that this plan does not clear away.
    pub(super) fn staying_leftovers(&self) -> impl Iterator<Item = &'a Leftover> {
        let is_finished = self.rotation.as_ref().is_some_and(|r| r.source == Source::Renamed);
        let (blocked, copied) = (self.is_blocked(), self.renamed_is_copied);
        self.log.leftovers.iter().filter(move |leftover| {
            blocked || (leftover.kind == LeftoverKind::Renamed && !is_finished && !copied)
        })
    }

    /// Bytes that this log occupies and that no eviction can free: the active file unless it
    /// is rotated away, and files with several names.
    pub(super) fn fixed_bytes(&self) -> Bytes {
        let active = self.log.active.filter(|meta| meta.stamp.nlink <= 1);
        let active = active.map_or(Bytes::ZERO, |meta| meta.stamp.allocated);
        let stays = match &self.rotation {
            Some(rotation) => match (rotation.source, self.policy.method) {
                // The copy is the archive; the log itself stays as large as it is.
                (Source::Active, Method::Copy) => active,
                (Source::Active | Source::Copied, _) => Bytes::ZERO,
                (Source::Renamed, _) => active,
            },
            None => active,
        };
        let is_cut = self.policy.method == Method::CopyTruncate
            && self.rotation.as_ref().is_some_and(|r| r.source != Source::Renamed);
        let linked = self.linked.minus(if is_cut { self.linked_active } else { Bytes::ZERO });
        let leftovers = self.staying_leftovers().map(|l| l.meta.stamp.allocated).sum();
        stays.plus(linked).plus(leftovers)
    }

    /// Files of this log in the end, besides archives with one name.
    pub(super) fn fixed_files(&self) -> u64 {
        let active = self.log.active.is_some_and(|meta| meta.stamp.nlink <= 1);
        let renamed_away = self.rotation.as_ref().is_some_and(|r| {
            r.source == Source::Active
                && matches!(self.policy.method, Method::Rename | Method::RenameCopy)
        });
        let has_log =
            if renamed_away { self.policy.create.is_some() } else { active || self.recreate };
        let leftovers = self.staying_leftovers().count();
        u64::from(has_log)
            .saturating_add(self.linked_files)
            .saturating_add(u64::try_from(leftovers).unwrap_or(u64::MAX))
    }
}
