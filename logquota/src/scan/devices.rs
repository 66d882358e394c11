//! Sets whose logs are on several file systems, as several sets.

use std::collections::BTreeMap;

use crate::fs::ReadFs;
use crate::inventory::{Inventory, Log, Set};
use crate::policy::Config;
use crate::units::Bytes;

/// Makes of each set a set for each file system that logs of it are on, under the name of the folder
/// of the first of these: to free space on one of them.
///
/// A log that is on two itself stays in its set. So does one on a file system that cannot be looked
/// at. What a set may use is for its parts, too: not for runs that keep limits.
pub fn part_by_device(fs: &dyn ReadFs, inventory: &mut Inventory, config: &mut Config) {
    let sets = inventory.sets.len().min(config.sets.len());
    for number in 0..sets {
        let Some(set) = inventory.sets.get_mut(number) else { continue };
        let dev = set.dev;
        let elsewhere = |log: &mut Log| dev_of(log).is_some_and(|of| of != dev);
        let mut parts: BTreeMap<u64, Vec<Log>> = BTreeMap::new();
        for log in set.logs.extract_if(.., elsewhere) {
            parts.entry(dev_of(&log).unwrap_or(dev)).or_default().push(log);
        }
        for (dev, logs) in parts {
            let first = logs.first().map(|log| log.dir);
            let space = first.and_then(|dir| fs.space(dir).ok());
            let (Some(dir), Some(space), Some(mut spec)) =
                (first, space, config.sets.get(number).cloned())
            else {
                if let Some(set) = inventory.sets.get_mut(number) {
                    set.logs.extend(logs);
                }
                continue;
            };
            if let Some(dir) = inventory.dirs.get(&dir) {
                spec.name = dir.path.to_string_lossy().into_owned();
            }
            config.sets.push(spec);
            inventory.sets.push(Set { logs, overhead: Bytes::ZERO, space, dev });
        }
    }
    for ballast in &mut inventory.ballasts {
        let is_there = |set: &Set| set.dev == ballast.dev;
        if !inventory.sets.get(ballast.set).is_some_and(is_there) {
            ballast.set = inventory.sets.iter().position(is_there).unwrap_or(ballast.set);
        }
    }
}

/// The file system that all of a log is on.
fn dev_of(log: &Log) -> Option<u64> {
    let mut devs = log.stamps().map(|stamp| stamp.id.dev);
    let first = devs.next()?;
    devs.all(|dev| dev == first).then_some(first)
}
