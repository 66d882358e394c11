//! Checks what a plan promises, independently of the planner.
//!
//! The steps are played over a model of the inventory: names, the files behind them, what
//! each occupies at most. Nothing of the planner is used here, only the data types, so that
//! a mistake there is not repeated here. One pass over the steps and one over the archives;
//! the cost grows with their number.
//!
//! Not checked here, because it takes more than one plan: that the order of the input does
//! not matter, that what a plan left needs no further plan, that a larger quota deletes
//! less. Nor is it checked that a plan does enough: which logs rotate is compared with a
//! slow reference planner in the tests.
//!
//! # How amounts are counted
//!
//! Each file counts with the most that it may occupy: what the scan saw; `room` for a copy;
//! for a compressed file what its source occupied: more than that it may only take where the
//! limits have place for it, which is judged when its turn comes. Deleting a name frees nothing
//! while the file has other names. The sums are exact (128 bits) and cut off at the largest
//! [`Bytes`](crate::units::Bytes) only when they are compared.

use std::fmt::{self, Write as _};

use self::model::World;
use super::Plan;
use crate::inventory::Inventory;
use crate::policy::Config;

mod amounts;
mod ballast;
mod evictions;
mod free;
mod in_place;
mod model;
mod steps;
#[cfg(test)]
mod tests;
mod trims;
mod verdicts;

/// A promise that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number of the promise, 1 to 10.
    pub promise: u8,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promise {}: {}", self.promise, self.what)
    }
}

/// Every promise that `plan` breaks; empty for a good plan.
///
/// The inventory may be in any order; the indices in the plan are those of
/// [`Inventory::normalize`].
#[must_use]
pub fn check(inventory: &Inventory, config: &Config, plan: &Plan) -> Vec<Violation> {
    let mut found = Found::default();
    let sets = inventory.sets.len();
    if config.sets.len() != sets || plan.sets.len() != sets {
        found.add(
            1,
            format_args!(
                "{sets} sets were scanned, {} are configured and {} are planned",
                config.sets.len(),
                plan.sets.len()
            ),
        );
        return found.violations;
    }
    let mut world = World::new(inventory, config, plan);
    let mut ledger = amounts::Ledger::new(&world, plan.steps.len());
    for (index, step) in plan.steps.iter().enumerate() {
        let change = steps::play(&mut world, plan, index, step, &mut found);
        ledger.book(&world, plan, index, step, change, &mut found);
    }
    world.drop_names();
    ledger.check_ends(&world, plan, &mut found);
    verdicts::check(&world, plan, &mut found);
    evictions::check_needed(&world, plan, &ledger, &mut found);
    evictions::check_fair(&world, &mut found);
    trims::check_needed(&world, &ledger, &mut found);
    free::check(&world, plan, &mut found);
    ballast::check(&world, plan, &ledger, &mut found);
    found.violations
}

/// Where violations are collected.
#[derive(Default)]
struct Found {
    violations: Vec<Violation>,
}

impl Found {
    fn add(&mut self, promise: u8, what: fmt::Arguments<'_>) {
        let mut text = String::new();
        let _ = text.write_fmt(what);
        self.violations.push(Violation { promise, what: text });
    }
}
