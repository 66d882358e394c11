//! Asks for many files at the same time.
//!
//! Most of a scan is waiting for the kernel to look names up, and it can look up as many at a
//! time as there are cores. What is seen is the same, whoever asks.

use std::ffi::OsStr;
use std::io;

use super::drafts::Draft;
use super::walk::World;
use crate::fs::ReadFs;
use crate::inventory::DirId;
use crate::stamp::Meta;

/// Below so many files a thread is not worth its start.
const MIN_PER_THREAD: usize = 256;

/// More threads would only wait for each other in the kernel.
const THREADS_MAX: usize = 4;

type Seen = Option<io::Result<Option<Meta>>>;

/// What is under each draft's own name. `None` for all where it does not pay: whoever needs
/// it then asks for itself.
pub(super) fn stat_all(world: &World<'_>, drafts: &[Draft]) -> Vec<Seen> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(THREADS_MAX).min(drafts.len() / MIN_PER_THREAD);
    if threads < 2 {
        return drafts.iter().map(|_| None).collect();
    }
    let names: Vec<Option<(DirId, &OsStr)>> = drafts
        .iter()
        .map(|draft| Some((world.folders.get(draft.folder)?.dir, draft.name.as_os_str())))
        .collect();
    let fs = world.fs;
    let mut parts = names.chunks(names.len().div_ceil(threads));
    let own = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| {
                let spawned =
                    std::thread::Builder::new().spawn_scoped(scope, move || stat_each(fs, part));
                (part, spawned)
            })
            .collect();
        let mut seen = stat_each(fs, own);
        for (part, spawned) in others {
            // Where no thread can be had, this one does it.
            let done = spawned.ok().and_then(|handle| handle.join().ok());
            seen.extend(done.unwrap_or_else(|| stat_each(fs, part)));
        }
        seen
    })
}

fn stat_each(fs: &dyn ReadFs, names: &[Option<(DirId, &OsStr)>]) -> Vec<Seen> {
    names.iter().map(|name| name.map(|(dir, name)| fs.stat(dir, name))).collect()
}
