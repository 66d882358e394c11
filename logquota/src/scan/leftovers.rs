//! Files with the shape of our temporary names: which of them are ours.
//!
//! The shape proves nothing: anybody can make such a name. It is ours if it is the name that
//! work on a file beside it would have used. For a copy whose name had the time in it, and for
//! a compressed archive whose source has been evicted meanwhile, that cannot be computed
//! again; then the owner decides, and how the file begins.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;

use super::heads;
use super::look::{is_plain_file, place};
use super::walk::World;
use crate::inventory::{Leftover, LeftoverKind, Log};
use crate::naming::{Label, Style, is_head_shape, temporary_name};
use crate::policy::{Method, Policy};
use crate::stamp::Meta;

/// Puts the leftovers in every folder to the logs that they belong to. `logs` are all, by
/// set.
pub(super) fn find(world: &mut World<'_>, logs: &mut [Vec<Log>]) {
    for index in 0..world.folders.len() {
        let Some(folder) = world.folders.get_mut(index) else { continue };
        let names = std::mem::take(&mut folder.temporaries);
        let (heads, names): (Vec<_>, Vec<_>) = names.into_iter().partition(|n| is_head_shape(n));
        if !names.is_empty() {
            find_in(world, index, &names, logs);
        }
        if !heads.is_empty() {
            heads::find_in(world, index, &heads, logs);
        }
    }
}

fn find_in(world: &mut World<'_>, index: usize, names: &[OsString], logs: &mut [Vec<Log>]) {
    let Some(folder) = world.folders.get(index) else { return };
    let euid = world.fs.effective_uid();
    let mut expected: HashMap<OsString, (usize, usize)> = HashMap::new();
    let mut copying: Option<(usize, usize)> = None;
    let all = logs.iter().enumerate().flat_map(|(set, logs)| {
        logs.iter().enumerate().map(move |(number, log)| ((set, number), log))
    });
    for (at, log) in all {
        let Some(spec) = world.config.sets.get(at.0) else { continue };
        if log.dir == folder.dir && spec.policy.create.is_some() {
            expected.entry(temporary_name(&log.name)).or_insert(at);
        }
        if log.archive_dir == folder.dir {
            for target in targets(log, &spec.policy) {
                expected.entry(temporary_name(&target)).or_insert(at);
            }
            if (copies(&spec.policy) || forgets(&spec.policy)) && copying.is_none() {
                copying = Some(at);
            }
        }
    }
    if expected.is_empty()
        && copying.is_none()
        && !logs.iter().flatten().any(|l| l.dir == folder.dir)
    {
        return;
    }
    let mut notes = Vec::new();
    for name in names {
        let Ok(Some(meta)) = world.fs.stat(folder.dir, name) else { continue };
        let is_file = is_plain_file(&meta, folder) && meta.stamp.nlink == 1;
        let proven = expected.get(name).copied();
        let found = proven.or(copying).filter(|at| {
            let owner = logs.get(at.0).and_then(|logs| logs.get(at.1)).is_some_and(|log| {
                let policy = world.config.sets.get(at.0).map(|spec| &spec.policy);
                policy.is_some_and(|p| {
                    is_owner(&meta, log, p, euid, proven.is_some())
                        && (proven.is_some() || copies(p) || is_packed(world, index, name))
                })
            });
            is_file && owner
        });
        match found.and_then(|(set, number)| logs.get_mut(set)?.get_mut(number)) {
            Some(log) => log.leftovers.push(Leftover {
                place: place(folder.dir, name),
                meta,
                kind: LeftoverKind::Temporary,
            }),
            None => {
                // It keeps its name from whoever would make a file of that name.
                if let Some((set, number)) = proven
                    && let Some(log) = logs.get_mut(set).and_then(|logs| logs.get_mut(number))
                {
                    log.obstacles.push(name.clone());
                }
                notes.push(folder.path.join(name));
            }
        }
    }
    for path in notes {
        world.note(&path, "looks like a temporary file of ours, but is not; it stays", false);
    }
}

/// Every name that work on the log's files may have been about to make.
fn targets(log: &Log, policy: &Policy) -> Vec<OsString> {
    let mut found = Vec::new();
    if let Some(compress) = &policy.compress {
        let plain = log.archives.iter().filter(|archive| archive.is_plain());
        for archive in plain {
            found.push(policy.naming.format(&log.name, &archive.label(), &compress.suffix));
        }
    }
    if copies(policy)
        && let Style::Numbered { start } = policy.naming.style
    {
        found.push(policy.naming.format(&log.name, &Label::Number(start), ""));
    }
    found
}

fn copies(policy: &Policy) -> bool {
    matches!(policy.method, Method::Copy | Method::CopyTruncate | Method::RenameCopy)
}

/// Whether archives that are being compressed may be gone before that is done: an appender
/// evicts what it needs the room of. Their names have the time in them.
fn forgets(policy: &Policy) -> bool {
    policy.compress.is_some() && policy.naming.style == Style::Sequence
}

/// Whether the file is empty, or begins as what a compressor makes. One that cannot be read
/// does not.
fn is_packed(world: &World<'_>, folder: usize, name: &OsStr) -> bool {
    let Some(folder) = world.folders.get(folder) else { return false };
    let mut begin = Vec::new();
    let read = world.fs.read(folder.dir, name).and_then(|file| {
        let mut first = file.take(4);
        first.read_to_end(&mut begin)
    });
    read.is_ok() && (begin.is_empty() || begin.starts_with(&GZIP) || begin == ZSTD)
}

/// How a file of `gzip` begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How a file of `zstd` begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether the file has an owner that our work could have given it. One that is not proven
/// by its name must be of the one who works.
pub(super) fn is_owner(
    meta: &Meta,
    log: &Log,
    policy: &Policy,
    euid: u32,
    is_proven: bool,
) -> bool {
    let worker = policy.run_as.map_or(euid, |who| who.uid);
    meta.uid == worker
        || is_proven
            && (meta.uid == euid
                || policy.create.is_some_and(|create| create.uid == Some(meta.uid))
                || log.active.is_some_and(|active| active.uid == meta.uid)
                || log.archives.iter().any(|archive| archive.meta().uid == meta.uid))
}
