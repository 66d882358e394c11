//! Which logs in use somebody holds, who keeps a quota for them by himself (an
//! [`Appender`](crate::Appender)): their heads are not cut off. And what the others begin with.
//!
//! It takes a look into each file, so it is only asked where logs may be cut: here for all of
//! them, where a person permits that, and by the scan itself where the policy does.

use std::ffi::OsStr;

use crate::fs::{ReadFs, oldest};
use crate::inventory::{DirId, Inventory};
use crate::plan::KEPT_MIN;
use crate::stamp::{FileId, Kind, Meta, Oldest};
use crate::units::Bytes;

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

/// Looks at the oldest content of the logs on one file system that may be cut there to free space,
/// so that what is cut is what was seen. To be called after [`note_holders`].
///
/// What cannot be read stays unknown, and is not cut.
pub fn note_oldest(fs: &dyn ReadFs, inventory: &mut Inventory, dev: u64) {
    let sets = inventory.sets.iter_mut().filter(|set| set.dev == dev);
    for log in sets.flat_map(|set| &mut set.logs) {
        let Some(active) = log.active.filter(|_| log.blocked.is_none() && !log.is_held) else {
            continue;
        };
        let stamp = active.stamp;
        let is_long = stamp.allocated.min(Bytes::new(stamp.len)) > KEPT_MIN;
        if is_long && active.kind == Kind::File && stamp.nlink <= 1 {
            log.oldest = oldest_of(fs, log.dir, &log.name, &stamp.id).map(Box::new);
        }
    }
}

fn oldest_of(fs: &dyn ReadFs, dir: DirId, name: &OsStr, id: &FileId) -> Option<Oldest> {
    let mut file = fs.read(dir, name).ok()?;
    let is_it = file.meta().ok()?.stamp.id == *id;
    oldest(&mut *file).ok()?.filter(|_| is_it)
}

/// What cannot be asked is not known to be held, and is asked again before it is cut.
pub(super) fn is_held(fs: &dyn ReadFs, dir: DirId, name: &OsStr, active: &Meta) -> bool {
    active.kind == Kind::File && fs.is_held(dir, name).unwrap_or(false)
}
