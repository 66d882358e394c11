//! What else lies in the folders of logs: files that no set has. A scan does not look at them;
//! who checks a configuration does.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::fs::ReadFs;
use crate::inventory::{DirId, Inventory};
use crate::naming::{is_head_shape, is_temporary_shape};
use crate::stamp::{Kind, Stamp};

/// A file that no set has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Where.
    pub path: PathBuf,
    /// What was seen of it.
    pub stamp: Stamp,
}

/// More files than this of one folder are not looked at.
const NAMES_MAX: usize = 10_000;

/// The regular files beside the logs of `inventory` that belong to none of them, by path. Of
/// what cannot be looked at nothing is said: the scan has.
///
/// # What is not guaranteed
///
/// Of a folder with very many such files only the first 10,000 that the system lists are
/// looked at.
#[must_use]
pub fn others(fs: &dyn ReadFs, inventory: &Inventory) -> Vec<Other> {
    let mut found = Vec::new();
    let with_logs: BTreeSet<DirId> =
        inventory.sets.iter().flat_map(|set| &set.logs).map(|log| log.dir).collect();
    let known = known(inventory);
    for dir in with_logs {
        let mut names: Vec<OsString> = Vec::new();
        // A listing that breaks off still has what came before.
        let _ = fs.list(dir, &mut |name, kind| {
            let may_be = matches!(kind, None | Some(Kind::File))
                && names.len() < NAMES_MAX
                && !is_temporary_shape(name)
                && !is_head_shape(name)
                && !known.contains(&(dir, name));
            if may_be {
                names.push(name.to_owned());
            }
        });
        for name in names {
            let Ok(Some(meta)) = fs.stat(dir, &name) else { continue };
            if meta.kind == Kind::File {
                found.push(Other { path: inventory.path(dir, &name), stamp: meta.stamp });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every name that belongs to a log.
fn known(inventory: &Inventory) -> BTreeSet<(DirId, &OsStr)> {
    let mut known = BTreeSet::new();
    for log in inventory.sets.iter().flat_map(|set| &set.logs) {
        known.insert((log.dir, log.name.as_os_str()));
        known.extend(log.archives.iter().map(|a| (log.archive_dir, a.name())));
        known.extend(log.obstacles.iter().map(|name| (log.archive_dir, name.as_os_str())));
        known.extend(log.leftovers.iter().map(|l| (l.place.dir, l.place.name.as_os_str())));
    }
    known
}
