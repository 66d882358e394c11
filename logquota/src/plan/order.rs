//! Puts the decisions into their order, chooses every name, and adds up what is used after
//! each step.
//!
//! Deletions come before everything that needs room, a name or an inode: rotation and
//! eviction must work on a disk that has none of these left. Compressions come last, the
//! smallest first, so that each makes room for the next.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;

use super::ballast::Released;
use super::decide::PutOff;
use super::draft::{LogDraft, SetDraft, Source};
use super::quota::Evictions;
use super::retain::twin;
use super::{Action, Begun, Expect, Hook, Purpose, Reason, SetPlan, Step};
use crate::inventory::{Archive, Inventory, LeftoverKind, Place};
use crate::policy::{Config, Rules};
use crate::stamp::Stamp;
use crate::units::Bytes;

mod ballast;
mod classic;
mod due;
mod free;
mod in_place;
mod mail;
mod new_log;
mod room;
mod rotation;
mod squeeze;
mod trim;

pub(super) use self::due::turns;
pub(super) use self::in_place::unfinished;
pub(crate) use self::in_place::{PIECE_MAX, PIECE_MIN, is_fit, piece};
pub(super) use self::squeeze::HOLES_MAX;
pub(crate) use self::squeeze::admits;

/// The steps, and what the sums need of them.
pub(super) struct Ordered {
    pub(super) steps: Vec<Step>,
    /// The most each set occupies on the way.
    pub(super) peak: Vec<Bytes>,
    /// What each set occupies in the end, at most.
    pub(super) used: Vec<Bytes>,
    /// Rotations that turned out to be impossible; if there are any, the rest is of no use.
    pub(super) impossible: PutOff,
    /// Logs whose old copies turned out to have no room to be compressed before they move.
    pub(super) plain: HashSet<(usize, usize)>,
}

/// Everything that is known while steps are written down.
struct Builder<'a> {
    inventory: &'a Inventory,
    config: &'a Config,
    steps: Vec<Step>,
    peak: Vec<Bytes>,
    used: Vec<Bytes>,
    before: Vec<Bytes>,
    /// Which step took a name away, so that whoever wants it next waits for that. In a plan to
    /// free space nobody wants one: what is compressed has a name that nothing had.
    freed: HashMap<Place, usize>,
    /// Which step makes the new log of that name.
    created: HashMap<Place, usize>,
    /// Directories that a step makes.
    made: HashMap<Place, usize>,
    impossible: PutOff,
    plain: HashSet<(usize, usize)>,
    purpose: Purpose,
    /// What compressions of copies may have added, by set.
    grown: Vec<Bytes>,
}

pub(super) fn order(
    inventory: &Inventory,
    config: &Config,
    purpose: Purpose,
    (drafts, evictions): (&[SetDraft<'_>], &Evictions),
    released: &[Released<'_>],
) -> Ordered {
    let before: Vec<Bytes> = drafts.iter().map(|draft| draft.set.used()).collect();
    let mut builder = Builder {
        inventory,
        config,
        steps: Vec::new(),
        peak: before.clone(),
        used: before.clone(),
        before,
        freed: HashMap::new(),
        created: HashMap::new(),
        made: HashMap::new(),
        impossible: PutOff::new(),
        plain: HashSet::new(),
        purpose,
        grown: vec![Bytes::ZERO; drafts.len()],
    };
    builder.release(released);
    for (set, draft) in drafts.iter().enumerate() {
        for (log, log_draft) in draft.logs.iter().enumerate() {
            builder.clear_leftovers(set, log, log_draft);
        }
    }
    match purpose {
        Purpose::Routine => {
            builder.run(drafts);
            builder.restore(released);
        }
        Purpose::Free(goal) => builder.free(drafts, evictions, goal),
    }
    let Builder { steps, peak, used, impossible, plain, .. } = builder;
    Ordered { steps, peak, used, impossible, plain }
}

impl Builder<'_> {
    /// An ordinary run, behind its leftovers.
    fn run(&mut self, drafts: &[SetDraft<'_>]) {
        for (set, draft) in drafts.iter().enumerate() {
            for (log, log_draft) in draft.logs.iter().enumerate() {
                self.evict(set, log, log_draft);
            }
        }
        // Last of what makes room: what it takes is the newest.
        for (set, draft) in drafts.iter().enumerate() {
            for (log, log_draft) in draft.logs.iter().enumerate() {
                self.trim((set, log), log_draft, None);
            }
        }
        for (set, draft) in drafts.iter().enumerate() {
            self.go_on_in_place(set, draft);
        }
        for (set, draft) in drafts.iter().enumerate() {
            match draft.spec.policy.rules {
                Rules::Own => self.rotate_set(set, draft),
                Rules::Logrotate => self.classic_set(set, draft),
            }
        }
        self.find_impossible();
    }

    /// Adds a step and returns its index.
    fn push(
        &mut self,
        at: At,
        action: Action,
        expect: Expect,
        bytes: Bytes,
        reason: Reason,
    ) -> usize {
        let index = self.steps.len();
        let used = self.used.get(at.set).copied().unwrap_or_default();
        let used_after = match &action {
            // What was compressed counts as much as before, under its new name.
            Action::Delete { .. } if reason == Reason::Compressed => used,
            Action::Delete { .. } | Action::Truncate { .. } | Action::Trim { .. } => {
                used.minus(bytes)
            }
            Action::Copy { room, .. } => used.plus(*room),
            _ => used,
        };
        // Only what the limits have room for, which is judged when its turn comes.
        let meanwhile = match &action {
            Action::Compress { room, keep: true, .. } => used.plus(*room).min(self.bound(at.set)),
            _ => used_after,
        };
        let mut needs = at.needs;
        // A name that somebody must give up first.
        if let Some(freed) = action.target().and_then(|target| self.freed.get(target)) {
            needs.push(*freed);
        }
        if let Some(made) = action.target().and_then(|target| self.dir_made(target)) {
            needs.push(made);
        }
        if expect == Expect::Made
            && let Some(made) = action.place().and_then(|place| self.created.get(place))
        {
            needs.push(*made);
        }
        needs.sort_unstable();
        needs.dedup();
        match &action {
            Action::Rename { from, .. } => {
                self.freed.insert(from.clone(), index);
            }
            Action::Delete { at, .. } if self.purpose == Purpose::Routine => {
                self.freed.insert(at.clone(), index);
            }
            Action::Create { at, .. } => {
                self.created.insert(at.clone(), index);
            }
            _ => {}
        }
        if let Some(slot) = self.used.get_mut(at.set) {
            *slot = used_after;
        }
        if let Some(peak) = self.peak.get_mut(at.set) {
            *peak = (*peak).max(meanwhile);
        }
        let (set, log, used_after) = (at.set, at.log, meanwhile);
        let only_below = None;
        let step = Step { set, log, action, expect, bytes, reason, used_after, needs, only_below };
        self.steps.push(step);
        index
    }

    /// The most that a set may use on the way.
    fn bound(&self, set: usize) -> Bytes {
        let quota = self.config.sets.get(set).and_then(|spec| spec.policy.limits.quota);
        let before = self.before.get(set).copied().unwrap_or_default();
        quota.map_or(Bytes::MAX, |quota| quota.max(before))
    }

    fn dir_made(&self, target: &Place) -> Option<usize> {
        let dir = self.inventory.dirs.get(&target.dir)?;
        self.made.get(dir.missing.as_ref()?).copied()
    }

    /// Temporaries of interrupted runs, and plain files whose compressed copy is complete.
    fn clear_leftovers(&mut self, set: usize, log: usize, draft: &LogDraft<'_>) {
        if draft.is_blocked() {
            return;
        }
        for leftover in &draft.log.leftovers {
            let stamp = leftover.meta.stamp;
            let same_as = match leftover.kind {
                LeftoverKind::Temporary => None,
                LeftoverKind::Renamed if draft.renamed_is_copied => draft
                    .log
                    .archives
                    .first()
                    .map(|copy| Place { dir: draft.log.archive_dir, name: copy.name().to_owned() }),
                LeftoverKind::Renamed => continue,
            };
            let same_as = same_as.map(Box::new);
            self.push(
                At::log(set, log),
                Action::Delete { at: leftover.place.clone(), shred: None, same_as, head: None },
                Expect::Unchanged(stamp),
                stamp.freed_by_unlink(),
                Reason::Leftover,
            );
        }
        for (index, archive, reason) in draft.removed() {
            if *reason != Reason::Duplicate {
                continue;
            }
            let stamp = archive.stamp();
            let dir = draft.log.archive_dir;
            let same_as = twin(draft, index)
                .map(|twin| Box::new(Place { dir, name: twin.name().to_owned() }));
            let place = Place { dir, name: archive.name().to_owned() };
            let at = self.asked(At::log(set, log), draft, &place);
            self.push(
                at,
                Action::Delete { at: place, shred: draft.policy.shred, same_as, head: None },
                Expect::Unchanged(stamp),
                stamp.freed_by_unlink(),
                Reason::Duplicate,
            );
        }
    }

    /// Archives that go whether or not anything rotates, the oldest first.
    fn evict(&mut self, set: usize, log: usize, draft: &LogDraft<'_>) {
        // Asked once: there may be many thousand archives.
        let (is_due, has_last_trace) = (due::is_due(draft), draft.last_trace().is_some());
        let (for_room, evicted) = (due::first_for_room(draft), draft.first_evicted());
        let is_from = |first: Option<usize>, index: usize| first.is_some_and(|at| at <= index);
        let going: Vec<_> = draft
            .removed()
            .filter(|(index, _, r)| match r {
                Reason::Duplicate => false,
                _ if is_due => is_from(for_room, *index),
                _ if has_last_trace && *index == 0 => false,
                Reason::Count { .. } => is_from(evicted, *index),
                _ => true,
            })
            .collect();
        for (_, archive, reason) in going.into_iter().rev() {
            let at = At::log(set, log).after(self.mail_old(set, log, draft, archive, reason));
            self.delete_archive(at, draft, archive, reason.clone());
        }
    }

    /// Behind the script that is asked before a file is deleted.
    fn asked(&mut self, mut at: At, draft: &LogDraft<'_>, place: &Place) -> At {
        if let Some(script) = &draft.policy.scripts.pre_remove {
            let path = self.inventory.path(place.dir, &place.name);
            let hook = self.hook(at.clone(), Hook::PreRemove, script, vec![path.into_os_string()]);
            at.needs.push(hook);
        }
        at
    }

    /// The deletion of an archive as it was scanned, also of one that is half compressed.
    fn delete_archive(
        &mut self,
        at: At,
        draft: &LogDraft<'_>,
        archive: &Archive,
        reason: Reason,
    ) -> usize {
        let place = Place { dir: draft.log.archive_dir, name: archive.name().to_owned() };
        let at = self.asked(at, draft, &place);
        let head = archive.head();
        let head =
            head.map(|head| Box::new(Begun { name: head.name.clone(), stamp: head.meta.stamp }));
        let action = Action::Delete { at: place, shred: draft.policy.shred, same_as: None, head };
        let expect = Expect::Unchanged(archive.stamp());
        self.push(at, action, expect, archive.freed_by_deletion(), reason)
    }

    /// A deletion, with the script that is asked first.
    fn delete(
        &mut self,
        at: At,
        draft: &LogDraft<'_>,
        place: Place,
        expect: Expect,
        bytes: Bytes,
        reason: Reason,
    ) -> usize {
        let at = self.asked(at, draft, &place);
        let shred = draft.policy.shred;
        let action = Action::Delete { at: place, shred, same_as: None, head: None };
        self.push(at, action, expect, bytes, reason)
    }

    fn hook(
        &mut self,
        at: At,
        hook: Hook,
        script: &std::sync::Arc<str>,
        args: Vec<OsString>,
    ) -> usize {
        let script = script.clone();
        let action = Action::RunHook { hook, script, args };
        self.push(at, action, Expect::Nothing, Bytes::ZERO, Reason::Script)
    }
}

/// Where a step belongs, and what must have been done before it.
#[derive(Clone)]
struct At {
    set: usize,
    log: Option<usize>,
    needs: Vec<usize>,
}

impl At {
    const fn set(set: usize) -> Self {
        Self { set, log: None, needs: Vec::new() }
    }

    const fn log(set: usize, log: usize) -> Self {
        Self { set, log: Some(log), needs: Vec::new() }
    }

    fn after(mut self, needs: impl IntoIterator<Item = usize>) -> Self {
        self.needs.extend(needs);
        self
    }
}

impl<'a> LogDraft<'a> {
    /// Archives that go, newest first, and why.
    fn removed(
        &self,
    ) -> impl DoubleEndedIterator<Item = (usize, &'a crate::inventory::Archive, &Reason)> {
        self.archives().filter_map(|(index, archive, verdict)| match verdict {
            super::Verdict::Remove(reason) => Some((index, archive, reason)),
            super::Verdict::Keep(_) => None,
        })
    }

    /// The newest archive of a log that is missing and will be made again, if that archive
    /// goes: until then it is what tells that there was a log.
    fn last_trace(&self) -> Option<(&'a crate::inventory::Archive, &Reason)> {
        let (index, archive, reason) = self.removed().next()?;
        // What a `renamecopy` has renamed tells it, too.
        let is_missing = self.recreate && self.rotation.is_none();
        let goes = is_missing && index == 0 && *reason != Reason::Duplicate;
        goes.then_some((archive, reason))
    }

    /// The newest archive that is evicted. Older ones that are too many go with it and not with
    /// the rotation: there must be no instant at which it has gone and they have not.
    fn first_evicted(&self) -> Option<usize> {
        let is_evicted =
            |reason: &Reason| !matches!(reason, Reason::Duplicate | Reason::Count { .. });
        self.removed().find(|(.., reason)| is_evicted(reason)).map(|(index, ..)| index)
    }

    /// What the file that is rotated must still be: it may have grown.
    fn source_expect(&self, stamp: &Stamp) -> Expect {
        match self.rotation.as_ref().map(|r| r.source) {
            Some(Source::Copied) => Expect::Unchanged(*stamp),
            _ => Expect::SameFile(stamp.id),
        }
    }
}

/// Names that exist in the archive folder of a log when its archives have moved.
type Names = HashSet<OsString>;

/// What each file system gets back by these steps, given that of each set, and what it uses
/// before. The files of a set may be on several.
fn freed(
    inventory: &Inventory,
    mut sets: Vec<(u64, Bytes)>,
    steps: &[Step],
) -> BTreeMap<u64, i128> {
    let mut freed: BTreeMap<u64, i128> = BTreeMap::new();
    for step in steps {
        let Some((dev, used)) = sets.get_mut(step.set) else { continue };
        let place = step.action.target().or_else(|| step.action.place());
        let there = place.and_then(|place| inventory.dirs.get(&place.dir)).map(|dir| dir.id.dev);
        let change = i128::from(used.get()) - i128::from(step.used_after.get());
        *used = step.used_after;
        *freed.entry(there.unwrap_or(*dev)).or_default() += change + ballast::change(step);
    }
    freed
}

/// The sums of all sets.
pub(super) fn sums(
    inventory: &Inventory,
    drafts: &[SetDraft<'_>],
    evictions: &Evictions,
    ordered: &Ordered,
) -> Vec<SetPlan> {
    let used_after = |set: usize| ordered.used.get(set).copied().unwrap_or_default();
    let sets = drafts.iter().map(|draft| (draft.set.dev, draft.set.used())).collect();
    let freed = freed(inventory, sets, &ordered.steps);
    let free_after = |draft: &SetDraft<'_>| {
        let freed = freed.get(&draft.set.dev).copied().unwrap_or_default();
        let free = (i128::from(draft.set.space.free.get()) + freed).max(0);
        Bytes::new(u64::try_from(free).unwrap_or(u64::MAX))
    };
    let set_plan = |(set, draft): (usize, &SetDraft<'_>)| {
        let used_before = draft.set.used();
        let short = evictions.shortfall(set);
        SetPlan {
            name: draft.spec.name.clone(),
            quota: draft.spec.policy.limits.quota,
            used_before,
            used_peak: ordered.peak.get(set).copied().unwrap_or_default(),
            used_after: used_after(set),
            shortfall: short.bytes,
            files_before: draft.set.files(),
            files_after: evictions.files(set).saturating_sub(twofold_gone(draft)),
            files_shortfall: short.files,
            free_before: draft.set.space.free,
            free_after: free_after(draft),
            run_as: draft.spec.policy.run_as,
        }
    };
    drafts.iter().enumerate().map(set_plan).collect()
}

/// Logs that go as copies of other ones. Nothing that is evicted is among them.
fn twofold_gone(draft: &SetDraft<'_>) -> u64 {
    let gone: usize = draft.logs.iter().map(LogDraft::twofold_gone).sum();
    u64::try_from(gone).unwrap_or(u64::MAX)
}
