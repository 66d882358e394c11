//! Promise 10: the ballast goes before everything else and only where less is free than must be;
//! it is made after everything else and only where more than that is left; it is no log, and no
//! other file is taken for it.

use super::Found;
use super::amounts::Ledger;
use super::model::World;
use super::steps::Change;
use crate::ballast::Keeper;
use crate::inventory::{Ballast, BallastFound, Place};
use crate::plan::{Action, Expect, Plan, Reason, Step, Wanted};
use crate::units::Bytes;

/// What a step about a ballast changes; none for other steps.
pub(super) fn change(world: &World<'_>, step: &Step) -> Option<Change> {
    let (at, size) = match &step.action {
        Action::ReleaseBallast { at } => (at, 0),
        Action::RestoreBallast { at, size, .. } => (at, i128::from(size.get())),
        _ => return None,
    };
    let old = match step.expect {
        Expect::Unchanged(stamp) => i128::from(stamp.allocated.get()),
        _ => 0,
    };
    let dev = known(world, at).map_or(0, |ballast| ballast.dev);
    Some(Change { gained: old - size, dev, ..Change::default() })
}

fn known<'a>(world: &World<'a>, at: &Place) -> Option<&'a Ballast> {
    world.inventory.ballasts.iter().find(|ballast| ballast.place == *at)
}

/// The file that a scan has seen there, if it is ours.
fn file(ballast: &Ballast) -> Option<Expect> {
    match &ballast.found {
        BallastFound::Ours(meta) => Some(Expect::Unchanged(meta.stamp)),
        _ => None,
    }
}

/// Size, and what must be free, on a file system.
fn wanted(world: &World<'_>, dev: u64) -> Option<(u128, u128)> {
    let size = u128::from(world.config.ballast.filter(|size| *size > Bytes::ZERO)?.get());
    let views = world.sets.iter().filter(|view| view.set.dev == dev);
    let reserve = views.filter_map(|view| world.reserve(view)).max();
    Some((size, reserve.map_or(size / 8, |reserve| u128::from(reserve.get()))))
}

fn free(world: &World<'_>, dev: u64) -> u128 {
    let view = world.sets.iter().find(|view| view.set.dev == dev);
    view.map_or(0, |view| u128::from(view.set.space.free.get()))
}

pub(super) fn check(world: &World<'_>, plan: &Plan, ledger: &Ledger, found: &mut Found) {
    let is_release = |step: &Step| matches!(step.action, Action::ReleaseBallast { .. });
    let is_restore = |step: &Step| matches!(step.action, Action::RestoreBallast { .. });
    let mut released: Vec<&Place> = Vec::new();
    let mut restored: Vec<u64> = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let what = match &step.action {
            Action::ReleaseBallast { at } => {
                let what = release(world, step, at, &released);
                released.push(at);
                what.or_else(|| {
                    let mut before = plan.steps.iter().take(index);
                    before.any(|other| !is_release(other)).then_some("is not the first to go")
                })
            }
            Action::RestoreBallast { at, size, left } => {
                let gone = released.contains(&at);
                let what = restore(world, step, (at, *size, *left), gone, &released);
                let dev = known(world, at).map_or(0, |ballast| ballast.dev);
                let is_second = restored.contains(&dev);
                restored.push(dev);
                let is_early = plan.steps.iter().skip(index).any(|other| !is_restore(other));
                what.or_else(|| is_second.then_some("is the second one"))
                    .or_else(|| is_early.then_some("is made before all is done"))
                    .or_else(|| {
                        let freed = ledger.history.get(index).map_or(0, |moment| moment.freed);
                        let kept = free(world, dev).saturating_add_signed(freed);
                        (kept < u128::from(left.get())).then_some("leaves too little free")
                    })
            }
            _ => continue,
        };
        if let Some(what) = what {
            found.add(10, format_args!("step {index}: the ballast {what}"));
        }
    }
    for ballast in &world.inventory.ballasts {
        let limit = match world.goal {
            Some(goal) => {
                let bytes = goal.wanted.bytes().filter(|_| goal.dev == ballast.dev);
                bytes.map(|bytes| u128::from(bytes.get()))
            }
            None => wanted(world, ballast.dev).map(|(_, floor)| floor),
        };
        let there = free(world, ballast.dev) + given(world, ballast.dev, &released);
        let is_needed = limit.is_some_and(|limit| there < limit);
        let has_some = ballast.kept() > Bytes::ZERO;
        if is_needed && has_some && !released.contains(&&ballast.place) {
            let shown = world.show(&ballast.place);
            found.add(10, format_args!("`{shown}` stays though its room is needed"));
        }
    }
}

/// What those on one file system give that go.
fn given(world: &World<'_>, dev: u64, released: &[&Place]) -> u128 {
    let gone = world.inventory.ballasts.iter().filter(|ballast| ballast.dev == dev);
    let gone = gone.filter(|ballast| released.contains(&&ballast.place));
    gone.map(|ballast| u128::from(ballast.kept().get())).sum()
}

fn release(world: &World<'_>, step: &Step, at: &Place, before: &[&Place]) -> Option<&'static str> {
    let Some(ballast) = known(world, at) else { return Some("is another file") };
    if before.contains(&at) || file(ballast) != Some(step.expect) || step.log.is_some() {
        return Some("is not ours, or goes twice");
    }
    if step.bytes != ballast.kept() {
        return Some("gives another amount");
    }
    if let Reason::BallastTooLarge { .. } = step.reason {
        let is_unwanted = world.goal.is_none() && world.config.ballast == Some(Bytes::ZERO);
        let is_right = is_unwanted && is_too_large(ballast, Bytes::ZERO, step);
        return (!is_right || step.only_below.is_some()).then_some("goes and nobody said so");
    }
    let Reason::LowSpace { free: stated, wanted: limit } = step.reason else {
        return Some("goes for another reason");
    };
    let is_limit = match world.goal {
        Some(goal) => goal.dev == ballast.dev && goal.wanted == Wanted::Bytes(limit),
        None => {
            wanted(world, ballast.dev).is_some_and(|(_, floor)| floor == u128::from(limit.get()))
        }
    };
    let there = free(world, ballast.dev) + given(world, ballast.dev, before);
    let is_free = there == u128::from(stated.get());
    let below = step.only_below.map(|below| (below.wanted, below.dir));
    if !is_limit || !is_free || stated >= limit || below != Some((Wanted::Bytes(limit), at.dir)) {
        return Some("goes though there is room enough");
    }
    None
}

/// Whether a run has made it, and longer than is asked for, as the step says.
fn is_too_large(ballast: &Ballast, asked: Bytes, step: &Step) -> bool {
    let BallastFound::Ours(meta) = &ballast.found else { return false };
    let len = Bytes::new(meta.stamp.len);
    ballast.keeper == Keeper::Configuration
        && len > asked
        && step.reason == Reason::BallastTooLarge { len, asked }
}

fn restore(
    world: &World<'_>,
    step: &Step,
    (at, size, left): (&Place, Bytes, Bytes),
    is_released: bool,
    released: &[&Place],
) -> Option<&'static str> {
    let Some(ballast) = known(world, at) else { return Some("is made elsewhere") };
    let expected = match &ballast.found {
        BallastFound::Foreign { .. } => return Some("is made where something else is"),
        _ if is_released => Expect::Nothing,
        _ => file(ballast).unwrap_or(Expect::Nothing),
    };
    let Some((asked, floor)) = wanted(world, ballast.dev) else {
        return Some("is made and nobody asked for it");
    };
    if world.goal.is_some() || step.log.is_some() || expected != step.expect {
        return Some("is made when it is not its time");
    }
    if u128::from(size.get()) != asked || step.bytes != size {
        return Some("is made in another size");
    }
    if u128::from(left.get()) < floor + asked / 8 {
        return Some("would go again soon");
    }
    if !ballast.can_be_made {
        return Some("is made where somebody else keeps one");
    }
    let shrinks = matches!(step.reason, Reason::BallastTooLarge { .. });
    if shrinks {
        let is_right = !is_released && is_too_large(ballast, size, step);
        return (!is_right).then_some("is made smaller and nobody said so");
    }
    let mut others = world.inventory.ballasts.iter().filter(|other| other.dev == ballast.dev);
    let has_one = others.any(|other| {
        let stays = !released.contains(&&other.place);
        stays && u128::from(other.kept().get()) >= asked
    });
    has_one.then_some("is made though there is one")
}
