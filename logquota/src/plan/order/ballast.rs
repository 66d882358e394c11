//! The steps about the ballast: it goes before everything else, since everything else may need its
//! room, and is made after everything else, from what is left then.

use super::{At, Builder};
use crate::inventory::{Ballast, Set};
use crate::plan::ballast::{Released, is_too_large, rule, space, too_large};
use crate::plan::{Action, Expect, OnlyBelow, Reason, Step, Wanted};
use crate::units::Bytes;

/// Inodes that must be free before one is taken for a ballast: logs come first.
const SPARE_INODES: i128 = 16;

impl Builder<'_> {
    pub(super) fn release(&mut self, released: &[Released<'_>]) {
        for Released { of, stamp, reason, wanted } in released {
            let action = Action::ReleaseBallast { at: of.place.clone() };
            let expect = Expect::Unchanged(*stamp);
            let index = self.push(At::set(of.set), action, expect, of.kept(), reason.clone());
            if let Some(step) = self.steps.get_mut(index) {
                step.only_below = wanted
                    .map(|wanted| OnlyBelow { wanted: Wanted::Bytes(wanted), dir: of.place.dir });
            }
        }
    }

    pub(super) fn restore(&mut self, released: &[Released<'_>]) {
        let inventory = self.inventory;
        let is_released =
            |ballast: &Ballast| released.iter().any(|released| released.of.place == ballast.place);
        let mut done: Vec<u64> = Vec::new();
        for ballast in &inventory.ballasts {
            let dev = ballast.dev;
            if !ballast.is_place() || done.contains(&dev) {
                continue;
            }
            done.push(dev);
            let Some(rule) = rule(inventory, self.config, dev) else { continue };
            let shrinks = is_too_large(ballast, rule.size) && !is_released(ballast);
            let mut others = inventory.ballasts.iter().filter(|other| other.dev == dev);
            if !shrinks && others.any(|other| other.kept() >= rule.size && !is_released(other)) {
                continue;
            }
            let Some(space) = space(inventory, dev) else { continue };
            let old = ballast.stamp().filter(|_| !is_released(ballast));
            let freed = old.map_or(Bytes::ZERO, |old| old.allocated);
            let free = self.free_by_now(dev, space.free).plus(freed);
            let inodes = space.free_files.map(|files| self.inodes_by_now(dev, files));
            if !rule.has_room(free) || inodes.is_some_and(|files| files < SPARE_INODES) {
                continue;
            }
            let (at, size, left) = (ballast.place.clone(), rule.size, rule.left());
            let expect = old.map_or(Expect::Nothing, Expect::Unchanged);
            let room = Reason::RoomForBallast { free, wanted: left.plus(size) };
            let reason = old.filter(|_| shrinks).map_or(room, |old| too_large(&old, size));
            let action = Action::RestoreBallast { at, size, left };
            self.push(At::set(ballast.set), action, expect, size, reason);
        }
    }

    fn inodes_by_now(&self, dev: u64, free: u64) -> i128 {
        let change = |step: &Step| match (&step.action, step.expect) {
            (Action::Delete { .. }, Expect::Unchanged(stamp)) if stamp.nlink > 1 => 0,
            (Action::Delete { .. } | Action::ReleaseBallast { .. }, _) => 1,
            (Action::Compress { keep: true, .. }, _) => -1,
            (Action::Create { .. } | Action::MakeDir { .. } | Action::Copy { .. }, _) => -1,
            _ => 0,
        };
        i128::from(free) + self.steps_on(dev).map(change).sum::<i128>()
    }

    fn steps_on(&self, dev: u64) -> impl Iterator<Item = &Step> {
        let is_there =
            move |step: &&Step| self.inventory.sets.get(step.set).is_some_and(|set| set.dev == dev);
        self.steps.iter().filter(is_there)
    }

    /// What a set's file system has free once the ballast is released, if it is.
    pub(super) fn free_with_ballast(&self, set: &Set) -> Bytes {
        let ballasts: i128 = self.steps_on(set.dev).map(change).sum();
        let free = i128::from(set.space.free.get()) + ballasts;
        Bytes::new(u64::try_from(free.max(0)).unwrap_or(u64::MAX))
    }

    /// What a file system has free when all steps so far were done, at least.
    pub(super) fn free_by_now(&self, dev: u64, free: Bytes) -> Bytes {
        let sets = self.inventory.sets.iter().zip(&self.before);
        let sets = sets.map(|(set, before)| (set.dev, *before)).collect();
        let freed = super::freed(self.inventory, sets, &self.steps);
        let freed = freed.get(&dev).copied().unwrap_or_default();
        let free = i128::from(free.get()) + freed;
        Bytes::new(u64::try_from(free.max(0)).unwrap_or(u64::MAX))
    }
}

/// What the file system gets by a step about a ballast.
pub(super) fn change(step: &Step) -> i128 {
    match (&step.action, step.expect) {
        (Action::ReleaseBallast { .. }, _) => i128::from(step.bytes.get()),
        (Action::RestoreBallast { size, .. }, Expect::Unchanged(old)) => {
            i128::from(old.allocated.get()) - i128::from(size.get())
        }
        (Action::RestoreBallast { size, .. }, _) => -i128::from(size.get()),
        _ => 0,
    }
}
