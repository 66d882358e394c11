//! What else is in the folders of the logs: files that are not ours, the largest first. They are
//! shown to a person whose disk is full, and never touched.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::path::{Path, PathBuf};

use crate::fs::ReadFs;
use crate::inventory::{Ballast, DirId, Inventory, Log, Names};
use crate::stamp::{Kind, Meta};
use crate::units::Bytes;

/// More names than this are not looked at: the list is a help, and must come soon.
const NAMES_MAX: usize = 1_000_000;

/// Folders are not entered deeper than this.
const DEPTH_MAX: usize = 64;

/// Files that are not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// The largest, with what each occupies.
    pub largest: Vec<(Bytes, PathBuf)>,
    /// How many there are in all.
    pub files: u64,
    /// What they occupy in all.
    pub bytes: Bytes,
    /// Whether there are more names than are looked at, or folders that could not be read.
    pub is_partial: bool,
}

/// What is below those of `roots` that are on the device `dev` and not in `inventory`: no log, archive or leftover of any set. Links
/// are not followed, other mounts not entered. At most `largest` files are named.
#[must_use]
pub fn foreign(
    fs: &dyn ReadFs,
    inventory: &Inventory,
    roots: &[PathBuf],
    dev: u64,
    largest: usize,
) -> Foreign {
    // On the one device, and in order: eight bytes a file.
    let stamps = || inventory.sets.iter().flat_map(|set| &set.logs).flat_map(Log::stamps);
    let mut ours = Vec::with_capacity(stamps().count());
    ours.extend(stamps().filter(|stamp| stamp.id.dev == dev).map(|stamp| stamp.id.ino));
    let ballasts = inventory.ballasts.iter().filter_map(Ballast::stamp);
    ours.extend(ballasts.filter(|stamp| stamp.id.dev == dev).map(|stamp| stamp.id.ino));
    ours.sort_unstable();
    let mut search = Search {
        fs,
        dev,
        ours,
        seen: HashSet::new(),
        heap: BinaryHeap::new(),
        largest,
        names: 0,
        found: Foreign::default(),
    };
    for root in roots {
        match fs.open_root(root) {
            Ok(dir) => {
                if fs.stat_dir(dir).is_ok_and(|meta| meta.stamp.id.dev == dev) {
                    search.walk(dir, root, 0);
                }
                fs.close_dir(dir);
            }
            Err(_) => search.found.is_partial = true,
        }
    }
    let files = search.heap.into_iter();
    let mut largest: Vec<_> = files.map(|Reverse((bytes, Reverse(path)))| (bytes, path)).collect();
    largest.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    Foreign { largest, ..search.found }
}

struct Search<'a> {
    fs: &'a dyn ReadFs,
    dev: u64,
    /// Inodes of our files, in order.
    ours: Vec<u64>,
    /// What may be come upon once more, by its inode: folders, and files with several names.
    seen: HashSet<u64>,
    /// Of those with the same size, the first by name.
    heap: BinaryHeap<Reverse<(Bytes, Reverse<PathBuf>)>>,
    largest: usize,
    names: usize,
    found: Foreign,
}

impl Search<'_> {
    fn walk(&mut self, dir: DirId, path: &Path, depth: usize) {
        match self.fs.stat_dir(dir) {
            // A subvolume of btrfs is no mount, and has other inodes of the same numbers.
            Ok(meta) if meta.stamp.id.dev != self.dev => return,
            // By two patterns it is reached twice.
            Ok(meta) if self.is_known(&meta) => return,
            Ok(_) => {}
            Err(_) => return self.found.is_partial = true,
        }
        // Most names are looked at while they are listed: to keep them all takes as much memory
        // as the scan has kept.
        let fs = self.fs;
        let mut names = Names::default();
        let mut is_cut = depth > DEPTH_MAX;
        let listed = fs.list(dir, &mut |name, _| {
            is_cut |= self.names >= NAMES_MAX;
            if is_cut {
                return;
            }
            self.names = self.names.saturating_add(1);
            let Ok(Some(meta)) = fs.stat(dir, name) else { return };
            match meta.kind {
                Kind::File if meta.stamp.nlink <= 1 => self.look(&meta, || path.join(name)),
                // In the order of their names, for what has several to be found under the same.
                Kind::File | Kind::Dir => is_cut |= !names.push(name),
                _ => {}
            }
        });
        self.found.is_partial |= is_cut || listed.is_err();
        names.sort();
        for name in (0..names.len()).filter_map(|index| names.get(index)) {
            let Ok(Some(meta)) = self.fs.stat(dir, name) else { continue };
            match meta.kind {
                Kind::Dir => {
                    if let Ok(below) = self.fs.open_dir(dir, name) {
                        self.walk(below, &path.join(name), depth.saturating_add(1));
                        self.fs.close_dir(below);
                    }
                }
                Kind::File => self.look(&meta, || path.join(name)),
                _ => {}
            }
        }
    }

    /// Whether it is ours, or was come upon before.
    fn is_known(&mut self, meta: &Meta) -> bool {
        let stamp = &meta.stamp;
        let is_ours = stamp.id.dev == self.dev && self.ours.binary_search(&stamp.id.ino).is_ok();
        let may_come_again = meta.kind == Kind::Dir || stamp.nlink > 1;
        is_ours || may_come_again && !self.seen.insert(stamp.id.ino)
    }

    fn look(&mut self, meta: &Meta, path: impl FnOnce() -> PathBuf) {
        if !self.is_known(meta) {
            self.count(meta.stamp.allocated, path);
        }
    }

    fn count(&mut self, bytes: Bytes, path: impl FnOnce() -> PathBuf) {
        self.found.files = self.found.files.saturating_add(1);
        self.found.bytes = self.found.bytes.plus(bytes);
        let is_small = self.heap.len() >= self.largest
            && self.heap.peek().is_none_or(|Reverse((least, _))| bytes < *least);
        if is_small || bytes == Bytes::ZERO {
            return;
        }
        self.heap.push(Reverse((bytes, Reverse(path()))));
        if self.heap.len() > self.largest {
            self.heap.pop();
        }
    }
}
