//! Decides when the ballast goes: when less is free than must be, or when none is wanted any more.
//!
//! What it gives counts as free from then on, so that no archive is evicted for it. When there is
//! room for it again is known when everything else is: see [`order`](super::order).

use super::{Purpose, Reason};
use crate::ballast::{Keeper, Rule};
use crate::inventory::{Ballast, Inventory, Space};
use crate::policy::Config;
use crate::stamp::Stamp;
use crate::units::Bytes;

/// A ballast that goes.
pub(super) struct Released<'a> {
    pub(super) of: &'a Ballast,
    pub(super) stamp: Stamp,
    pub(super) reason: Reason,
    /// With so much free it need not go; none if it goes in any case.
    pub(super) wanted: Option<Bytes>,
}

/// Those that go: each only if what those before it give is not enough. First those that are not
/// wanted any more, then those that are not where one is made again.
pub(super) fn released<'a>(
    inventory: &'a Inventory,
    config: &Config,
    purpose: Purpose,
) -> Vec<Released<'a>> {
    let is_unwanted = |of: &Ballast| purpose == Purpose::Routine && is_unwanted(of, config);
    let mut there: Vec<_> = inventory.ballasts.iter().collect();
    there.sort_by_key(|of| (!is_unwanted(of), of.can_be_made));
    let mut released: Vec<Released<'a>> = Vec::new();
    for of in there {
        let Some(stamp) = of.stamp().filter(|stamp| stamp.allocated > Bytes::ZERO) else {
            continue;
        };
        if is_unwanted(of) {
            let reason = too_large(&stamp, Bytes::ZERO);
            released.push(Released { of, stamp, reason, wanted: None });
            continue;
        }
        let limit = match purpose {
            // It has one inode, which is not worth it.
            Purpose::Free(goal) => goal.wanted.bytes().filter(|_| goal.dev == of.dev),
            Purpose::Routine => rule(inventory, config, of.dev).map(|rule| rule.floor),
        };
        let Some((wanted, space)) = limit.zip(space(inventory, of.dev)) else { continue };
        let given = released.iter().filter(|other| other.of.dev == of.dev);
        let free = space.free.plus(given.map(|other| other.of.kept()).sum());
        if free < wanted {
            let reason = Reason::LowSpace { free, wanted };
            released.push(Released { of, stamp, reason, wanted: Some(wanted) });
        }
    }
    released
}

/// Whether the configuration says that there shall be none, and one has made it.
fn is_unwanted(of: &Ballast, config: &Config) -> bool {
    config.ballast == Some(Bytes::ZERO) && of.keeper == Keeper::Configuration
}

/// Whether a run has made it larger than is asked for now, where it may be made anew.
pub(super) fn is_too_large(of: &Ballast, asked: Bytes) -> bool {
    of.can_be_made
        && of.keeper == Keeper::Configuration
        // No file system gives less than a block, and its text has to be in it.
        && of.stamp().is_some_and(|stamp| stamp.len > asked.get().max(4096))
}

/// Why it goes, or becomes smaller.
pub(super) fn too_large(stamp: &Stamp, asked: Bytes) -> Reason {
    Reason::BallastTooLarge { len: Bytes::new(stamp.len), asked }
}

/// What holds on one file system, if a ballast is asked for.
pub(super) fn rule(inventory: &Inventory, config: &Config, dev: u64) -> Option<Rule> {
    let total = space(inventory, dev)?.total;
    let sets = inventory.sets.iter().zip(&config.sets).filter(|(set, _)| set.dev == dev);
    let limits = sets.map(|(_, spec)| spec.policy.limits).chain([config.global]);
    let reserve = limits.filter_map(|limits| Some(limits.reserve?.of(total))).max();
    Some(Rule::new(config.wanted_ballast()?, reserve))
}

pub(super) fn space(inventory: &Inventory, dev: u64) -> Option<Space> {
    Some(inventory.sets.iter().find(|set| set.dev == dev)?.space)
}
