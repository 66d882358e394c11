//! Decides when the ballast goes: when less is free than must be, and only then.
//!
//! What it gives counts as free from then on, so that no archive is evicted for it. When there is
//! room for it again is known when everything else is: see [`order`](super::order).

use super::{Purpose, Reason};
use crate::ballast::Rule;
use crate::inventory::{Ballast, Inventory, Space};
use crate::policy::Config;
use crate::stamp::Stamp;
use crate::units::Bytes;

/// A ballast that goes.
pub(super) struct Released<'a> {
    pub(super) of: &'a Ballast,
    pub(super) stamp: Stamp,
    pub(super) reason: Reason,
    /// With so much free it need not go.
    pub(super) wanted: Bytes,
}

/// Those that go.
pub(super) fn released<'a>(
    inventory: &'a Inventory,
    config: &Config,
    purpose: Purpose,
) -> Vec<Released<'a>> {
    let release = |of: &'a Ballast| {
        let stamp = of.stamp().filter(|stamp| stamp.allocated > Bytes::ZERO)?;
        let wanted = match purpose {
            // It has one inode, which is not worth it.
            Purpose::Free(goal) => goal.wanted.bytes().filter(|_| goal.dev == of.dev)?,
            Purpose::Routine => rule(inventory, config, of.dev)?.floor,
        };
        let free = space(inventory, of.dev)?.free;
        let reason = Reason::LowSpace { free, wanted };
        (free < wanted).then_some(Released { of, stamp, reason, wanted })
    };
    inventory.ballasts.iter().filter_map(release).collect()
}

/// What holds on one file system, if a ballast is asked for.
pub(super) fn rule(inventory: &Inventory, config: &Config, dev: u64) -> Option<Rule> {
    let total = space(inventory, dev)?.total;
    let sets = inventory.sets.iter().zip(&config.sets).filter(|(set, _)| set.dev == dev);
    let limits = sets.map(|(_, spec)| spec.policy.limits).chain([config.global]);
    let reserve = limits.filter_map(|limits| Some(limits.reserve?.of(total))).max();
    Some(Rule::new(config.ballast?, reserve))
}

pub(super) fn space(inventory: &Inventory, dev: u64) -> Option<Space> {
    Some(inventory.sets.iter().find(|set| set.dev == dev)?.space)
}
