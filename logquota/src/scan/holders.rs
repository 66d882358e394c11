//! Which logs in use somebody holds, who keeps a quota for them by himself (an
//! [`Appender`](crate::Appender)): their heads are not cut off.
//!
//! It takes a look into each file, so it is only asked where logs may be cut: here for all of
//! them, where a person permits that, and by the scan itself where the policy does.

use std::ffi::OsStr;

use crate::fs::ReadFs;
use crate::inventory::{DirId, Inventory};
use crate::plan::KEPT_MIN;
use crate::stamp::{Kind, Meta};

/// Notes which logs are held, of those that are long enough to be cut to free space.
///
/// # What is not guaranteed
///
/// That it is still so later: who cuts a log asks again.
pub fn note_holders(fs: &dyn ReadFs, inventory: &mut Inventory) {
    for log in inventory.sets.iter_mut().flat_map(|set| &mut set.logs) {
        let active = log.active.filter(|active| active.stamp.allocated > KEPT_MIN);
        log.is_held |= active.is_some_and(|active| is_held(fs, log.dir, &log.name, &active));
    }
}

/// What cannot be asked is not known to be held, and is asked again before it is cut.
pub(super) fn is_held(fs: &dyn ReadFs, dir: DirId, name: &OsStr, active: &Meta) -> bool {
    active.kind == Kind::File && fs.is_held(dir, name).unwrap_or(false)
}
