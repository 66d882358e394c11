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
use crate::inventory::{Archive, Blocked, DirId, Head, Log};
use crate::naming::head_name;
use crate::policy::{Codec, Policy};
use crate::stamp::{Meta, Stamp};
use crate::units::Bytes;

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
                    let target = spec.policy.naming.format(&log.name, &seen.label(), &suffix);
                    let at = (set, number, archive, suffix);
                    expected.entry(head_name(&target)).or_insert(at);
                }
            }
        }
    }
    let (dir, path, euid) = (folder.dir, folder.path.clone(), world.fs.effective_uid());
    let mut orphan = None;
    for name in names {
        let meta = match world.fs.stat(dir, name) {
            Ok(Some(meta)) => meta,
            Ok(None) => continue,
            Err(_) => {
                orphan = Some(crate::error::printable(name));
                continue;
            }
        };
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
                && may_be_of(&meta, &archive.stamp())
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
        orphan = Some(crate::error::printable(name));
    }
    if let Some(orphan) = orphan {
        leave_alone(dir, logs, &orphan);
    }
}

/// Whether it may be the beginning of this archive, and not of another one that had its name
/// before: it is as old as that, or younger, or that lacks something.
fn may_be_of(head: &Meta, archive: &Stamp) -> bool {
    archive.mtime <= head.stamp.mtime || archive.holes() > Bytes::ZERO
}

/// What the archive may be going to be called.
fn suffixes(policy: &Policy) -> Vec<String> {
    let mut found = vec![Codec::Gzip.suffix().to_owned(), Codec::Zstd.suffix().to_owned()];
    let own = policy.compress.iter().map(|compress| &compress.suffix);
    for suffix in own.chain(&policy.naming.extra_suffixes) {
        if !found.contains(suffix) {
            found.push(suffix.clone());
        }
    }
    found
}

/// Leaves logs alone whose archives may lack what is in a beginning that belongs to none.
fn leave_alone(dir: DirId, logs: &mut [Vec<Log>], head: &str) {
    for log in logs.iter_mut().flatten().filter(|log| log.archive_dir == dir) {
        let lacks = |a: &Archive| {
            a.is_plain() && a.head().is_none() && !a.is_hollow() && a.stamp().holes() > Bytes::ZERO
        };
        if log.blocked.is_none() && log.archives.iter().any(lacks) {
            let why = format!(
                "an archive of it has holes, and its beginning may be in `{head}` beside it, which \
                 has no archive; move that away if it is of another one"
            );
            log.blocked = Some(Blocked::Unreadable { why });
        }
    }
}
