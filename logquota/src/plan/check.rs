//! Checks the promises of a plan, independently of the planner.

use super::Plan;
use crate::inventory::Inventory;
use crate::policy::Config;

/// A promise that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number of the promise, 1 to 8.
    pub promise: u8,
    /// What is wrong.
    pub what: String,
}

/// Every promise that `plan` breaks; empty for a good plan.
#[must_use]
pub fn check(_inventory: &Inventory, _config: &Config, _plan: &Plan) -> Vec<Violation> {
    Vec::new()
}
