//! What a crash leaves: which of the unsynced changes the platters have.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use super::data::Data;
use super::disk::{Body, Disk, Ino, Node, ROOT};
use crate::fs::{Acl, Extended};

/// What becomes of changes that were not flushed when the machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unsynced {
    /// All of them reached the disk: what the death of the process alone leaves.
    Kept,
    /// None did: files are as at their last fsync, new ones empty, and names as at the last
    /// sync of their directory.
    Dropped,
    /// Some did. Each file, independently: nothing of what was not flushed, all of it, its
    /// beginning, or all but a block that reads as zeros. Each directory, independently: the
    /// first so many of its changes. Changes within one directory keep their order, and a
    /// rename between two directories is in both or in neither: that is what file systems
    /// with a journal (ext4, xfs, btrfs) give, as they give this: mode and owner of a file reach
    /// the disk in order with the names of its folder. Content has no order with anything.
    Torn,
}

impl Unsynced {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Kept, Self::Dropped, Self::Torn];
}

/// A name that now means another inode, or none.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) dir: Ino,
    pub(super) name: OsString,
    pub(super) ino: Option<Ino>,
}

/// What reaches the disk as one, in order with the rest of its directories.
#[derive(Clone, Debug)]
pub(super) enum DirOp {
    /// One change, or the two halves of a rename.
    Names(Vec<Change>),
    /// Mode, owner, group and the rest of what a file in this directory has.
    Attributes { dir: Ino, ino: Ino, who: (u32, u32, u32), acl: Option<Acl>, extended: Extended },
}

impl DirOp {
    fn touches(&self, dirs: &BTreeSet<Ino>) -> bool {
        self.dirs().any(|dir| dirs.contains(&dir))
    }

    fn dirs(&self) -> impl Iterator<Item = Ino> {
        let (names, own) = match self {
            Self::Names(changes) => (changes.as_slice(), None),
            Self::Attributes { dir, .. } => (&[][..], Some(*dir)),
        };
        names.iter().map(|change| change.dir).chain(own)
    }
}

impl Disk {
    /// Content, mode, owner and times of a file reach the disk. Its name may not.
    pub(super) fn sync_file(&mut self, ino: Ino) -> io::Result<()> {
        if !self.lost.contains(&ino) {
            self.node_mut(ino)?.cut = None;
        }
        let node = self.nodes.get(&ino).map(Arc::clone);
        // After an fsync that failed, the pages are clean and gone: nothing is written.
        if let Some(node) = node
            && !self.lost.contains(&ino)
        {
            self.durable.insert(ino, node);
        }
        Ok(())
    }

    /// All changes of names in a directory reach the disk, and whatever must precede them.
    pub(super) fn sync_dir(&mut self, dir: Ino) -> io::Result<()> {
        self.entries(dir)?;
        let mut dirs = BTreeSet::from([dir]);
        let mut due = vec![false; self.pending.len()];
        for (op, due) in self.pending.iter().zip(&mut due).rev() {
            if op.touches(&dirs) {
                *due = true;
                dirs.extend(op.dirs());
            }
        }
        self.persist(|index, _| due.get(index).copied().unwrap_or(false));
        Ok(())
    }

    /// Everything reaches the disk.
    pub(super) fn settle(&mut self) {
        self.pending.clear();
        self.lost.clear();
        self.durable = self.nodes.clone();
    }

    fn persist(&mut self, mut due: impl FnMut(usize, &DirOp) -> bool) {
        let pending = std::mem::take(&mut self.pending);
        for (index, op) in pending.into_iter().enumerate() {
            if !due(index, &op) {
                self.pending.push(op);
                continue;
            }
            let changes = match op {
                DirOp::Names(changes) => changes,
                DirOp::Attributes { ino, who, acl, extended, .. } => {
                    if let Some(node) = self.durable.get_mut(&ino) {
                        let node = Arc::make_mut(node);
                        (node.mode, node.uid, node.gid) = who;
                        (node.acl, node.extended) = (acl, extended);
                    }
                    continue;
                }
            };
            for Change { dir, name, ino } in changes {
                let Some(node) = self.durable.get_mut(&dir) else { continue };
                if let Body::Dir(entries) = &mut Arc::make_mut(node).body {
                    match ino {
                        Some(ino) => entries.insert(name, ino),
                        None => entries.remove(&name),
                    };
                }
            }
        }
    }

    /// The disk as it is found after the machine was started again.
    pub(super) fn reboot(mut self, model: Unsynced, seed: u64) -> Self {
        let mut random = Random(seed);
        let now = self.nodes.clone();
        let mut found = match model {
            Unsynced::Kept => now.clone(),
            Unsynced::Dropped => self.durable.clone(),
            Unsynced::Torn => {
                let mut cut: BTreeMap<Ino, bool> = BTreeMap::new();
                // Where a directory's changes end: at each there is one chance in so many.
                let odds: BTreeMap<Ino, u64> =
                    self.durable.keys().map(|ino| (*ino, 1 + random.below(12))).collect();
                self.persist(|_, op| {
                    let ends = op.dirs().any(|dir| {
                        let odds = odds.get(&dir).copied().unwrap_or(1);
                        let cut = cut.entry(dir).or_default();
                        *cut = *cut || random.below(odds) == 0;
                        *cut
                    });
                    if ends {
                        cut.extend(op.dirs().map(|dir| (dir, true)));
                    }
                    !ends
                });
                self.durable.clone()
            }
        };
        let names = reachable(&found);
        found.retain(|ino, _| names.contains_key(ino));
        for (ino, node) in &mut found {
            let node = Arc::make_mut(node);
            if let (Unsynced::Torn, Some(now)) = (model, now.get(ino)) {
                tear(node, now, self.shape.gaps_in_parts, &mut random);
            }
            node.nlink = names.get(ino).copied().unwrap_or(0);
            node.open = 0;
            node.cut = None;
        }
        self.nodes = found;
        self.settle();
        self
    }
}

/// Inodes that have a name, and how many.
fn reachable(nodes: &BTreeMap<Ino, Arc<Node>>) -> BTreeMap<Ino, u32> {
    let mut names = BTreeMap::from([(ROOT, 1)]);
    let mut left = vec![ROOT];
    while let Some(dir) = left.pop() {
        let Some(Body::Dir(entries)) = nodes.get(&dir).map(|node| &node.body) else { continue };
        for ino in entries.values() {
            let count = names.entry(*ino).or_insert(0);
            *count += 1;
            if *count == 1 {
                left.push(*ino);
            }
        }
    }
    names
}

/// Makes of a flushed inode what a crash can make of it on the way to `now`.
fn tear(node: &mut Node, now: &Node, gaps_in_parts: bool, random: &mut Random) {
    let (Body::File(old), Body::File(new)) = (&node.body, &now.body) else { return };
    if let Some(cut) = now.cut.as_deref().filter(|_| gaps_in_parts)
        && cut.len() == old.len()
        && random.below(4) == 0
    {
        let parted = old.with_part_of_gap(cut, |count| random.below(count));
        node.body = Body::File(parted);
        return;
    }
    // Any other cut is there as a whole, or not at all; what follows it may be torn.
    let old = now.cut.as_deref().unwrap_or(old);
    let (old, new) = (old.clone(), new.clone());
    let choice = random.below(4);
    if choice == 0 {
        return;
    }
    let torn = torn_data(&old, &new, choice, random);
    let times = (node.mtime, node.ctime);
    let (mode, uid, gid) = (node.mode, node.uid, node.gid);
    let (acl, extended) = (node.acl.clone(), node.extended.clone());
    *node = Node { body: Body::File(torn), mode, uid, gid, acl, extended, ..now.clone() };
    if random.below(2) == 0 {
        (node.mtime, node.ctime) = times;
    }
}

fn torn_data(old: &Data, new: &Data, choice: u64, random: &mut Random) -> Data {
    let mut data = new.clone();
    // What was cut off and not flushed may be back, but what was in front of it stays.
    let safe = new.common_start(old);
    let fresh = new.len() - safe.min(new.len());
    match choice {
        1 => {}
        _ if fresh == 0 => {}
        2 => data.set_len(safe + random.below(fresh)),
        _ => {
            let block = data.block();
            // Only a block that has nothing but unflushed bytes.
            let first = safe.div_ceil(block);
            let count = new.len().div_ceil(block).saturating_sub(first);
            if count > 0 {
                data.zero_block(first + random.below(count));
            }
        }
    }
    data
}

/// SplitMix64: the same seed, the same disk.
struct Random(u64);

impl Random {
    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}
