//! The compressed beginnings of archives whose compression in place was interrupted.
//!
//! Such a file is known by its name, which is computed from that of the archive beside it, and
//! by its owner. One that belongs to no archive is left alone for good: what it has may be
//! nowhere else.

use std::collections::HashMap;
use std::ffi::OsString;

use super::leftovers::is_owner;
use super::look::is_plain_file;
use super::walk::World;
use crate::inventory::{Head, Log};
use crate::naming::head_name;
use crate::policy::{Codec, Policy};

/// Puts the beginnings in one folder to the archives that they belong to.
pub(super) fn find_in(
    world: &mut World<'_>,
    index: usize,
    names: &[OsString],
    logs: &mut [Vec<Log>],
) {
    let Some(folder) = world.folders.get(index) else { return };
    let mut expected: HashMap<OsString, (usize, usize, usize, String)> = HashMap::new();
    for (set, (logs, spec)) in logs.iter().zip(&world.config.sets).enumerate() {
        for (number, log) in logs.iter().enumerate().filter(|(_, l)| l.archive_dir == folder.dir) {
            let plain = log.archives.iter().enumerate().filter(|(_, a)| a.is_plain());
            for (archive, seen) in plain {
                for suffix in suffixes(&spec.policy) {
                    let target = spec.policy.naming.format(&log.name, seen.label(), &suffix);
                    let at = (set, number, archive, suffix);
                    expected.entry(head_name(&target)).or_insert(at);
                }
            }
        }
    }
    let (dir, path, euid) = (folder.dir, folder.path.clone(), world.fs.effective_uid());
    for name in names {
        let Ok(Some(meta)) = world.fs.stat(dir, name) else { continue };
        let Some(folder) = world.folders.get(index) else { return };
        let is_file = is_plain_file(&meta, folder) && meta.stamp.nlink == 1;
        let found = expected.remove(name);
        let log = found.as_ref().and_then(|(set, number, ..)| logs.get_mut(*set)?.get_mut(*number));
        if let (Some((set, _, archive, suffix)), Some(log)) = (found, log) {
            let policy = world.config.sets.get(set).map(|spec| &spec.policy);
            let is_ours = policy.is_some_and(|policy| is_owner(&meta, log, policy, euid, true));
            if is_file
                && is_ours
                && let Some(archive) = log.archives.get_mut(archive)
                && archive.head().is_none()
            {
                archive.set_head(Head { name: name.clone(), suffix, meta });
                continue;
            }
            // It keeps its name from whoever would make a file of that name.
            log.obstacles.push(name.clone());
        }
        let why = "looks like the beginning of an archive that was being compressed in place, but \
                   belongs to none that is here; it stays";
        world.note(&path.join(name), why, false);
    }
}

/// What the archive may be going to be called.
fn suffixes(policy: &Policy) -> Vec<String> {
    let mut found = vec![Codec::Gzip.suffix().to_owned(), Codec::Zstd.suffix().to_owned()];
    if let Some(compress) = &policy.compress
        && !found.contains(&compress.suffix)
    {
        found.push(compress.suffix.clone());
    }
    found
}
