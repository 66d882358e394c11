//! Promise 3: what is used stays within the larger of quota and what was used at the start,
//! after every step; the sums that a plan states are true.

use std::collections::{HashMap, HashSet};

use super::Found;
use super::model::World;
use super::steps::Change;
use crate::inventory::Log;
use crate::plan::{Plan, Step};
use crate::units::Bytes;

/// What is used, after every step.
pub(super) struct Ledger {
    pub(super) start: Vec<u128>,
    pub(super) used: Vec<u128>,
    pub(super) total: u128,
    total_start: u128,
    pub(super) files: Vec<i64>,
    files_start: Vec<i64>,
    /// Files with several names that were deleted: still counted, or not.
    linked: Vec<i64>,
    peak: Vec<u128>,
    /// The last `used_after` that the plan states for each set.
    stated: Vec<Bytes>,
    /// Bytes and files that each device has got back.
    pub(super) freed: HashMap<u64, (i128, i64)>,
    /// The largest copy that each set makes.
    pub(super) copies: Vec<u128>,
    /// For each device: files deleted before anything was made there, and files made.
    pub(super) inodes: HashMap<u64, (i64, i64)>,
    /// For each step: what its device has got back.
    pub(super) history: Vec<Moment>,
    /// For each step: what its set uses and what all use. None to free space, where no limit is
    /// about that.
    pub(super) uses: Vec<(u128, u128)>,
}

/// The state after a step.
pub(super) struct Moment {
    pub(super) dev: u64,
    pub(super) freed: i128,
    pub(super) freed_files: i64,
}

pub(super) fn cut(exact: u128) -> Bytes {
    Bytes::new(u64::try_from(exact).unwrap_or(u64::MAX))
}

impl Ledger {
    /// For so many steps.
    pub(super) fn new(world: &World<'_>, steps: usize) -> Self {
        let mut start = Vec::new();
        let mut files = Vec::new();
        for view in &world.sets {
            let mut seen = HashSet::new();
            let (mut used, mut count) = (u128::from(view.set.overhead.get()), 0);
            for stamp in view.set.logs.iter().flat_map(Log::stamps) {
                if stamp.nlink <= 1 || seen.insert((stamp.id.dev, stamp.id.ino)) {
                    used += u128::from(stamp.allocated.get());
                    count += 1;
                }
            }
            start.push(used);
            // What is half compressed is one archive.
            let heads: usize = view.set.logs.iter().map(Log::heads).sum();
            files.push(count - i64::try_from(heads).unwrap_or(i64::MAX));
        }
        Self {
            used: start.clone(),
            total: start.iter().sum(),
            total_start: start.iter().sum(),
            peak: start.clone(),
            stated: start.iter().copied().map(cut).collect(),
            linked: vec![0; files.len()],
            files_start: files.clone(),
            files,
            start,
            freed: HashMap::new(),
            copies: vec![0; world.sets.len()],
            inodes: HashMap::new(),
            history: Vec::with_capacity(steps),
            uses: Vec::with_capacity(if world.goal.is_none() { steps } else { 0 }),
        }
    }

    /// The most that a set may use on the way, if there is such a limit.
    fn bound(&self, world: &World<'_>, set: usize) -> Option<u128> {
        let quota = world.sets.get(set)?.policy.limits.quota?;
        Some(u128::from(quota.get()).max(*self.start.get(set)?))
    }

    /// The most that all sets may use together on the way.
    pub(super) fn bound_of_all(&self, world: &World<'_>) -> Option<u128> {
        let quota = world.config.global.quota?;
        Some(u128::from(quota.get()).max(self.total_start))
    }

    /// Counts what a step changes and compares it with what the plan says.
    pub(super) fn book(
        &mut self,
        world: &World<'_>,
        plan: &Plan,
        index: usize,
        step: &Step,
        change: Change,
        found: &mut Found,
    ) {
        let set = step.set;
        let bound = self.bound(world, set);
        let bound_of_all = self.bound_of_all(world);
        let free = self.free_left(world, set);
        let (Some(used), Some(files), Some(linked)) =
            (self.used.get_mut(set), self.files.get_mut(set), self.linked.get_mut(set))
        else {
            return;
        };
        let before = *used;
        *used = before.saturating_add_signed(change.used);
        *files += change.files;
        *linked += change.linked;
        let after = *used;
        self.total = self.total.saturating_add_signed(change.used);
        let total = self.total;

        // What a compression needs on the way is taken only where there is room for it.
        let room = [bound.map(|bound| bound.saturating_sub(before)), free]
            .into_iter()
            .chain([bound_of_all.map(|bound| bound.saturating_sub(total))])
            .flatten()
            .fold(change.meanwhile, u128::min);
        if let Some(peak) = self.peak.get_mut(set) {
            *peak = (*peak).max(after).max(before + room);
        }
        if let Some(largest) = self.copies.get_mut(set) {
            *largest = (*largest).max(u128::try_from(change.used).unwrap_or(0));
        }
        let inodes = self.inodes.entry(change.dev).or_default();
        inodes.1 += change.files.max(0);
        inodes.0 += if inodes.1 == 0 { change.old_files } else { 0 };
        let freed = self.freed.entry(change.dev).or_default();
        freed.0 = freed.0.saturating_sub(change.used).saturating_add(change.gained);
        freed.1 -= change.files;
        let (freed, freed_files) = *freed;
        let dev = change.dev;
        self.history.push(Moment { dev, freed, freed_files });
        if world.goal.is_none() {
            self.uses.push((after, total));
        }

        if bound.is_some_and(|bound| after > bound) {
            let limit = cut(bound.unwrap_or_default());
            found.add(3, format_args!("after step {index} {} are used of {limit}", cut(after)));
        }
        if bound_of_all.is_some_and(|bound| total > bound) {
            let limit = cut(bound_of_all.unwrap_or_default());
            found.add(3, format_args!("after step {index} all sets use {} of {limit}", cut(total)));
        }
        let stated = step.used_after;
        if stated < cut(after) {
            found.add(
                3,
                format_args!("step {index} leaves {} and not at most {stated}", cut(after)),
            );
        }
        if bound.is_some_and(|bound| stated > cut(bound)) {
            found.add(3, format_args!("step {index} says it may use {stated}, past the limit"));
        }
        if plan.sets.get(set).is_some_and(|sums| sums.used_peak < stated) {
            found.add(3, format_args!("step {index} passes the peak that is stated for its set"));
        }
        if let Some(last) = self.stated.get_mut(set) {
            *last = stated;
        }
    }

    /// What the file system of a set has free by now, at least.
    fn free_left(&self, world: &World<'_>, set: usize) -> Option<u128> {
        let set = world.sets.get(set)?.set;
        let freed = self.freed.get(&set.dev).map_or(0, |freed| freed.0);
        Some(u128::from(set.space.free.get()).saturating_add_signed(freed))
    }

    /// The sums per set.
    pub(super) fn check_ends(&self, world: &World<'_>, plan: &Plan, found: &mut Found) {
        for (number, (view, sums)) in world.sets.iter().zip(&plan.sets).enumerate() {
            let name = &sums.name;
            let mut say = |what: std::fmt::Arguments<'_>| {
                found.add(3, format_args!("set `{name}`: {what}"));
            };
            let at = |list: &[u128]| list.get(number).copied().unwrap_or_default();
            let (start, end, peak) = (at(&self.start), at(&self.used), at(&self.peak));
            let limits = &view.policy.limits;
            if sums.quota != limits.quota {
                say(format_args!("another quota than the configuration's is stated"));
            }
            if sums.used_before != cut(start) {
                say(format_args!("{} are used, not {}", cut(start), sums.used_before));
            }
            if sums.used_peak < cut(peak) {
                say(format_args!("up to {} are used, not {}", cut(peak), sums.used_peak));
            }
            if let Some(bound) = self.bound(world, number)
                && sums.used_peak > cut(bound)
            {
                say(format_args!("the peak {} is above the limit", sums.used_peak));
            }
            if sums.used_after < cut(end) || self.stated.get(number) != Some(&sums.used_after) {
                say(format_args!("{} are used in the end, not {}", cut(end), sums.used_after));
            }
            self.check_files(number, sums, &mut say);
            if sums.free_before != view.set.space.free {
                say(format_args!("free is not what was scanned"));
            }
            let free = self.free_left(world, number).unwrap_or_default();
            if sums.free_after > cut(free) {
                say(format_args!("{} will be free, not {}", cut(free), sums.free_after));
            }

            let quota = limits.quota.filter(|_| world.goal.is_none());
            let over = quota.map_or(Bytes::ZERO, |quota| sums.used_after.minus(quota));
            let wanted = world.reserve(view).unwrap_or_default();
            let missing = wanted.minus(cut(free));
            if (over > Bytes::ZERO || missing > Bytes::ZERO) && sums.shortfall == Bytes::ZERO {
                say(format_args!("{over} over quota, {missing} short of reserve, not said"));
            }
            let few = world.goal.filter(|goal| goal.dev == view.set.dev).and_then(|goal| {
                let will = i128::from(view.set.space.free_files?)
                    + i128::from(self.freed.get(&view.set.dev).map_or(0, |freed| freed.1));
                Some(will < goal.wanted.inodes()?.into())
            });
            if few.is_some_and(|few| few != (sums.files_shortfall > 0)) {
                say(format_args!("{} inodes are said to be missing", sums.files_shortfall));
            }
            let only_quota = world.reserve(view).is_none() && world.config.global.quota.is_none();
            if only_quota && sums.shortfall > over {
                say(format_args!("a shortfall of {} where {over} are over", sums.shortfall));
            }
        }
        let total = cut(self.total);
        if world.goal.is_none()
            && world.config.global.quota.is_some_and(|quota| total > quota)
            && plan.sets.iter().all(|sums| sums.shortfall == Bytes::ZERO)
        {
            found
                .add(3, format_args!("all sets use {total} in the end, above the quota, not said"));
        }
    }

    fn check_files(
        &self,
        set: usize,
        sums: &crate::plan::SetPlan,
        say: &mut dyn FnMut(std::fmt::Arguments<'_>),
    ) {
        let at = |list: &[i64]| list.get(set).copied().unwrap_or_default();
        let (before, after) = (at(&self.files_start), at(&self.files));
        let stated = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        if stated(sums.files_before) != before {
            say(format_args!("there are {before} files, not {}", sums.files_before));
        }
        // A file with several names is gone, or not, when one of its names is.
        let least = after - at(&self.linked);
        if !(least..=after).contains(&stated(sums.files_after)) {
            say(format_args!("there will be {after} files, not {}", sums.files_after));
        }
    }
}
