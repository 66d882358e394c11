//! Decides what goes for space: quota, reserve, file limits, of each set and of all together.
//!
//! Within a set of n logs, a log that uses no more than an nth of the quota never loses an
//! archive to it. Of the others the largest gives first, its oldest archive first, without
//! gaps. What turns out not to have been needed is given back at the end, newest decision
//! first, so that no eviction is for nothing.
//!
//! What compression may gain is not counted on: it is known only when it is done.

use std::collections::{BTreeMap, BinaryHeap};

use self::books::{Bound, Item, Pool, Victim, Volume, new_files, removed_files};
use self::deferred::Deferred;
use self::pressure::Pressed;
use super::draft::SetDraft;
use super::{Context, Purpose, Reason, Wanted};
use crate::policy::{Limits, Reserve};
use crate::units::Bytes;

mod books;
mod deferred;
mod pressure;
mod shortfall;
mod trim;

/// One decision, to be looked at again at the end.
struct Pick {
    pool: usize,
    item: Item,
    /// Until it is in the draft.
    reason: Option<Box<Reason>>,
}

/// The state of all decisions for space.
pub(super) struct Evictions {
    pools: Vec<Pool>,
    /// What can go, of one log after the other. All in one, so that it can be given back whole.
    items: Vec<Item>,
    picks: Vec<Pick>,
    pressed: Vec<Pressed>,
    sets: Vec<Bound>,
    /// Device of each set.
    devs: Vec<u64>,
    volumes: BTreeMap<u64, Volume>,
    /// A device, and how many inodes shall be free there.
    inodes: Option<(u64, u64)>,
    global: Bound,
    deferred: Vec<Deferred>,
}

impl Evictions {
    pub(super) fn new(drafts: &[SetDraft<'_>], global: Limits, purpose: Purpose) -> Self {
        let global = purpose.limits_of_all(global);
        let limits_of =
            |draft: &SetDraft<'_>| purpose.limits(draft.spec.policy.limits, draft.set.dev);
        let mut all = Self {
            pools: Vec::new(),
            items: Vec::new(),
            picks: Vec::new(),
            pressed: Vec::new(),
            sets: Vec::new(),
            devs: Vec::new(),
            volumes: BTreeMap::new(),
            inodes: purpose.goal().and_then(|goal| Some((goal.dev, goal.wanted.inodes()?))),
            global: Bound::new(global),
            deferred: Vec::new(),
        };
        // Without any limit nothing is evicted, and a million logs need no books.
        let logs: usize = drafts.iter().map(|draft| draft.logs.len()).sum();
        let is_limited = |limits: &Limits| *limits != Limits::default();
        let may_evict = is_limited(&global)
            || all.inodes.is_some()
            || drafts.iter().any(|draft| {
                let inodes = draft.set.space.free_files;
                is_limited(&limits_of(draft))
                    || inodes.is_some_and(|free| free < u64::try_from(logs).unwrap_or(u64::MAX))
            });
        if may_evict {
            all.pools.reserve_exact(logs);
            let logs = || drafts.iter().flat_map(|draft| &draft.logs);
            all.items.reserve_exact(logs().map(Pool::items_max).sum());
        }
        let mut elsewhere: BTreeMap<u64, i128> = BTreeMap::new();
        for (set, draft) in drafts.iter().enumerate() {
            let space = draft.set.space;
            let volume = all.volumes.entry(draft.set.dev).or_insert(Volume {
                total: space.total,
                free: i128::from(space.free.get()),
                files: space.free_files.map(i128::from),
                copies_renamed: 0,
            });
            let mut bound = Bound::new(limits_of(draft));
            let before = draft.set.used();
            bound.peak = bound.limits.quota.map_or(Bytes::MAX, |quota| quota.max(before));
            bound.used = draft.set.overhead;
            for (log, log_draft) in draft.logs.iter().enumerate() {
                let pool = Pool::new((set, draft.set.dev), log, log_draft, &mut all.items);
                bound.add(&pool);
                if pool.dev != draft.set.dev {
                    let files = log_draft.log.stamps().filter(|stamp| stamp.nlink <= 1);
                    let before: Bytes = files.map(|stamp| stamp.allocated).sum();
                    let gone = i128::from(before.get()) - i128::from(pool.used.get());
                    *elsewhere.entry(pool.dev).or_default() += gone;
                    volume.free -= gone;
                }
                if let Some(files) = &mut volume.files {
                    *files -= new_files(log_draft);
                }
                volume.copies_renamed += usize::from(pool.copies_renamed);
                if may_evict {
                    all.pools.push(pool);
                } else {
                    all.items.clear();
                }
            }
            // What is gone already (age, count, leftovers) will be free by then.
            volume.free += i128::from(before.get()) - i128::from(bound.used.get());
            if let Some(files) = &mut volume.files {
                *files += i128::try_from(removed_files(draft)).unwrap_or(0);
            }
            all.global.used = all.global.used.plus(bound.used);
            all.global.files = all.global.files.saturating_add(bound.files);
            all.global.logs = all.global.logs.saturating_add(bound.logs);
            all.global.peak = all.global.peak.plus(before);
            for (size, count) in &bound.copies {
                *all.global.copies.entry(*size).or_default() += count;
            }
            all.sets.push(bound);
            all.devs.push(draft.set.dev);
        }
        for (dev, gone) in elsewhere {
            if let Some(volume) = all.volumes.get_mut(&dev) {
                volume.free += gone;
            }
        }
        let before = all.global.peak;
        all.global.peak = global.quota.map_or(Bytes::MAX, |quota| quota.max(before));
        all
    }

    /// Counts on space that is given besides.
    pub(super) fn gain(&mut self, dev: u64, bytes: Bytes) {
        if let Some(volume) = self.volumes.get_mut(&dev) {
            volume.free += i128::from(bytes.get());
        }
    }

    /// Evicts until every limit holds or nothing more may go.
    pub(super) fn run(&mut self, drafts: &mut [SetDraft<'_>], context: &Context) {
        if let Purpose::Free(goal) = context.purpose {
            // Fairly among all sets of that file system.
            match goal.wanted {
                Wanted::Bytes(bytes) => {
                    self.free_up(None, Reserve::Bytes(bytes));
                    if goal.cuts_logs {
                        self.cut_to_free(drafts, goal.dev, bytes);
                    }
                }
                Wanted::Inodes(count) => self.free_inodes(goal.dev, count),
            }
            self.give_back();
            return self.write(drafts);
        }
        for set in 0..drafts.len() {
            self.meet_quota(Some(set));
            self.press(Some(set), drafts, context);
            self.meet_reserve(Some(set));
        }
        self.meet_quota(None);
        self.press(None, drafts, context);
        self.meet_reserve(None);
        for scope in (0..drafts.len()).map(Some).chain([None]) {
            self.meet_files(scope);
        }
        self.meet_inodes(drafts);
        self.let_go(drafts);
        self.give_back();
        self.defer(drafts);
        self.write(drafts);
    }

    fn bound(&self, scope: Option<usize>) -> &Bound {
        scope.and_then(|set| self.sets.get(set)).unwrap_or(&self.global)
    }

    fn in_scope(&self, scope: Option<usize>) -> Vec<usize> {
        let is_in = |pool: &Pool| scope.is_none_or(|set| pool.set == set);
        (0..self.pools.len()).filter(|i| self.pools.get(*i).is_some_and(is_in)).collect()
    }

    /// Evicts from the pools of `scope`, the one with the largest `key` first, as long as
    /// `reason` gives one and the pool's use is above `share`, if that is what counts. Where
    /// `spare_new`, archives that are yet to be made stay, for the log or all it is part of.
    fn evict(
        &mut self,
        scope: Option<usize>,
        share: Option<Bytes>,
        spare_new: fn(&Bound, &Pool) -> bool,
        key: fn(&Pool) -> u64,
        reason: impl Fn(&Self, &Pool) -> Option<Reason>,
    ) {
        // What a rotation is about to make is an archive as any other here: a run that is cut
        // after the rename must decide the same again.
        let mut heap: BinaryHeap<(u64, std::cmp::Reverse<usize>)> = self
            .in_scope(scope)
            .into_iter()
            .filter_map(|index| Some((key(self.pools.get(index)?), std::cmp::Reverse(index))))
            .collect();
        while let Some((_, std::cmp::Reverse(index))) = heap.pop() {
            let Some(pool) = self.pools.get(index) else { continue };
            let next = pool.items.clone().nth(pool.gone).and_then(|next| self.items.get(next));
            let Some(item) = next.copied() else { continue };
            let is_new = matches!(item.victim, Victim::New);
            let is_within = share.is_some_and(|share| pool.used <= share);
            if is_within || (is_new && spare_new(self.bound(scope), pool)) {
                continue;
            }
            // Its file system may have room enough while another has not.
            let Some(reason) = reason(self, pool) else { continue };
            let reason = Some(Box::new(reason));
            self.picks.push(Pick { pool: index, item, reason });
            self.account(index, item, true);
            if let Some(pool) = self.pools.get_mut(index) {
                pool.gone = pool.gone.saturating_add(1);
                heap.push((key(pool), std::cmp::Reverse(index)));
            }
        }
    }

    /// Books an eviction, or its withdrawal.
    fn account(&mut self, index: usize, item: Item, evicted: bool) {
        let Some(pool) = self.pools.get(index) else { return };
        if matches!(item.victim, Victim::New) && pool.copy_room > Bytes::ZERO {
            let (set, room) = (pool.set, pool.copy_room);
            for bound in self.sets.get_mut(set).into_iter().chain([&mut self.global]) {
                bound.book_copy(room, !evicted);
            }
        }
        if let (Victim::New, true) = (item.victim, pool.copies_renamed)
            && let Some(volume) = self.devs.get(pool.set).and_then(|dev| self.volumes.get_mut(dev))
        {
            volume.copies_renamed = if evicted {
                volume.copies_renamed.saturating_sub(1)
            } else {
                volume.copies_renamed.saturating_add(1)
            };
        }
        let gives_inode = pool.is_copied || matches!(item.victim, Victim::Archive(_));
        self.change(index, item.bytes, 1, evicted, gives_inode);
    }

    /// Takes bytes and files off a log and all it is part of, or gives them back.
    fn change(&mut self, index: usize, bytes: Bytes, files: u64, is_less: bool, inodes: bool) {
        let Some(pool) = self.pools.get_mut(index) else { return };
        let book = |used: &mut Bytes, count: &mut u64| {
            if is_less {
                *used = used.minus(bytes);
                *count = count.saturating_sub(files);
            } else {
                *used = used.plus(bytes);
                *count = count.saturating_add(files);
            }
        };
        book(&mut pool.used, &mut pool.files);
        let (set, dev) = (pool.set, pool.dev);
        for bound in self.sets.get_mut(set).into_iter().chain([&mut self.global]) {
            book(&mut bound.used, &mut bound.files);
        }
        let sign = if is_less { 1 } else { -1 };
        if let Some(volume) = self.volumes.get_mut(&dev) {
            volume.free += sign * i128::from(bytes.get());
            if let (Some(count), true) = (&mut volume.files, inodes) {
                *count += sign * i128::from(files);
            }
        }
    }

    fn meet_quota(&mut self, scope: Option<usize>) {
        let bound = self.bound(scope);
        let Some(limit) = bound.limits.quota else { return };
        let share = Bytes::new(limit.get().checked_div(bound.logs).unwrap_or(0));
        let reason = move |all: &Self, pool: &Pool| {
            let bound = all.bound(scope);
            bound.exceeds_quota().then_some(Reason::Quota {
                used: bound.used.plus(bound.copy_room()),
                limit,
                log_used: pool.used,
                share,
            })
        };
        // Room for a copy is not made by giving up what was to be copied.
        let spare_new = |bound: &Bound, _: &Pool| !bound.ends_above_quota();
        self.evict(scope, Some(share), spare_new, |pool| pool.used.get(), reason);
    }

    fn meet_reserve(&mut self, scope: Option<usize>) {
        if let Some(reserve) = self.bound(scope).limits.reserve {
            self.free_up(scope, reserve);
        }
    }

    fn free_up(&mut self, scope: Option<usize>, reserve: Reserve) {
        let reason = move |all: &Self, pool: &Pool| {
            // What goes elsewhere gives nothing to the file system of the set.
            let dev = all.devs.get(pool.set).filter(|dev| **dev == pool.dev)?;
            let volume = all.volumes.get(dev)?;
            let wanted = reserve.of(volume.total);
            let free = Bytes::new(u64::try_from(volume.free).unwrap_or(0));
            (free < wanted).then_some(Reason::Reserve { free, wanted })
        };
        // Another archive goes for what has just been rotated, if there is one.
        let spare_new = |_: &Bound, pool: &Pool| pool.new_stays;
        self.evict(scope, Some(Bytes::ZERO), spare_new, |pool| pool.used.get(), reason);
    }

    /// Of the log with the most files the oldest first.
    fn free_inodes(&mut self, dev: u64, wanted: u64) {
        let reason = move |all: &Self, pool: &Pool| {
            let is_there = pool.dev == dev;
            let free = all.volumes.get(&dev)?.files?;
            let free = u64::try_from(free).unwrap_or(0);
            (is_there && free < wanted).then_some(Reason::Inodes { free, wanted })
        };
        self.evict(None, None, |_, _| false, |pool| pool.files, reason);
    }

    fn meet_files(&mut self, scope: Option<usize>) {
        let Some(limit) = self.bound(scope).limits.max_files else { return };
        let reason = move |all: &Self, _: &Pool| {
            let files = all.bound(scope).files;
            (files > limit).then_some(Reason::MaxFiles { files, limit })
        };
        self.evict(scope, None, |_, pool| pool.new_stays, |pool| pool.files, reason);
    }

    /// Rotations make new files; what has no inode left must first give one back, and what
    /// cannot is not rotated.
    fn meet_inodes(&mut self, drafts: &mut [SetDraft<'_>]) {
        for set in 0..drafts.len() {
            let Some(dev) = self.devs.get(set).copied() else { continue };
            let is_short =
                move |all: &Self| all.volumes.get(&dev).is_some_and(Volume::lacks_inodes);
            if !is_short(self)
                || !drafts.iter().any(|d| d.logs.iter().any(|log| new_files(log) > 0))
            {
                continue;
            }
            self.evict(
                Some(set),
                None,
                // It frees no inode before it takes one.
                |_, _| true,
                |pool| pool.files,
                move |all, pool| (pool.dev == dev && is_short(all)).then_some(Reason::NoInode),
            );
        }
    }

    fn add_inodes(&mut self, set: usize, count: i128) {
        let volume = self.devs.get(set).and_then(|dev| self.volumes.get_mut(dev));
        if let Some(files) = volume.and_then(|volume| volume.files.as_mut()) {
            *files += count;
        }
    }

    /// Whether some limit does not hold that concerns this set: its own, a common one, or what
    /// its file system must keep.
    fn is_broken(&self, set: usize) -> bool {
        let mut bounds = self.sets.get(set).into_iter().chain([&self.global]);
        let volume = self.devs.get(set).and_then(|dev| self.volumes.get(dev));
        let is_short = |limits: &Limits| {
            limits.reserve.zip(volume).is_some_and(|(reserve, volume)| {
                volume.free < i128::from(reserve.of(volume.total).get())
            })
        };
        let lacks = self.inodes.filter(|(dev, _)| self.devs.get(set) == Some(dev)).is_some_and(
            |(_, wanted)| volume.is_some_and(|v| v.files.is_some_and(|free| free < wanted.into())),
        );
        lacks
            || volume.is_some_and(Volume::lacks_inodes)
            || bounds.any(|bound| {
                bound.exceeds_quota()
                    || bound.limits.max_files.is_some_and(|limit| bound.files > limit)
                    || is_short(&bound.limits)
            })
    }

    /// Puts the decisions into the drafts. What could have gone is of no use any more.
    fn write(&mut self, drafts: &mut [SetDraft<'_>]) {
        self.items = Vec::new();
        for pick in &mut self.picks {
            let Some(pool) = self.pools.get(pick.pool) else { continue };
            let Some(reason) = pick.reason.take() else { continue };
            let draft = drafts.get_mut(pool.set).and_then(|d| d.logs.get_mut(pool.log));
            let Some(draft) = draft else { continue };
            match pick.item.victim {
                Victim::Archive(index) => {
                    let index = usize::try_from(index).unwrap_or(usize::MAX);
                    draft.remove(index, *reason);
                }
                Victim::New => {
                    if let Some(rotation) = &mut draft.rotation {
                        rotation.gone = Some(*reason);
                    }
                }
            }
        }
        for (set, draft) in drafts.iter_mut().enumerate() {
            if self.is_broken(set) {
                draft.logs.iter_mut().for_each(super::retain::mark_fair_share);
            }
        }
    }

    /// New archives that are given up though only their copy on the way had no room: set, log
    /// and the room. The log itself can stay.
    pub(super) fn copies_without_room(&self) -> impl Iterator<Item = (usize, usize, Bytes)> {
        self.picks.iter().filter_map(|pick| {
            let pool = self.pools.get(pick.pool)?;
            let mut bounds = self.sets.get(pool.set).into_iter().chain([&self.global]);
            let with_copy = pick.item.bytes.plus(pool.copy_room);
            let is_new = matches!(pick.item.victim, Victim::New) && pool.copy_room > Bytes::ZERO;
            (is_new && bounds.any(|bound| bound.used.plus(with_copy) > bound.peak)).then_some((
                pool.set,
                pool.log,
                pool.copy_room,
            ))
        })
    }

    /// Archives that go, in the order in which that was decided: set, log, archive. The reasons are in
    /// the drafts.
    pub(super) fn victims(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.picks.iter().filter_map(|pick| {
            let pool = self.pools.get(pick.pool)?;
            match pick.item.victim {
                Victim::Archive(index) => {
                    let index = usize::try_from(index).ok()?;
                    Some((pool.set, pool.log, index))
                }
                Victim::New => None,
            }
        })
    }

    /// Files of a set in the end.
    pub(super) fn files(&self, set: usize) -> u64 {
        self.sets.get(set).map_or(0, |bound| bound.files)
    }
}
