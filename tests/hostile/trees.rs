//! Trees of everything, from a seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use logquota::fs::os::OsFs;
use logquota::inventory::Inventory;
use logquota_tests::canary::{Canary, Seen, differences, look_at_tree};
use logquota_tests::tree::Hostile;

use super::{Run, run, within_patience};

/// As many trees are made; each is another.
const TREES: u64 = 1_000;

fn seeds() -> Vec<u64> {
    match std::env::var("LOGQUOTA_SEED") {
        Ok(seed) => vec![seed.parse().expect("LOGQUOTA_SEED is a number")],
        Err(_) => (0..TREES).collect(),
    }
}

#[test]
fn h01_h05_h09_h13_h14_no_tree_makes_us_touch_what_is_not_ours() {
    for seed in seeds() {
        one_tree(seed);
    }
}

fn one_tree(seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    let mut canary = Canary::new(&folder.path().join("outside"));
    let mut tree = Hostile::new(&root, canary.root(), seed);
    let config = tree.config();
    canary.remember();
    let before = look_at_tree(&root);
    let again = config.clone();
    println!("LOGQUOTA_SEED={seed}");
    let done = within_patience(move || run(&OsFs::new(), &again, seed % 2 == 0));
    let changes = canary.changes();
    assert!(changes.is_empty(), "seed {seed}: {changes:#?}\n{config:#?}");
    let changes = changes_to_others(&root, &before, &done);
    assert!(changes.is_empty(), "seed {seed}: {changes:#?}\n{:#?}", done.plan);
    for (set, used) in done.report.used.iter().enumerate() {
        let before = done.inventory.sets[set].used();
        let bound = config.sets[set].policy.limits.quota.map_or(before, |q| q.max(before));
        let quota = config.sets[set].policy.limits.quota;
        assert!(quota.is_none() || *used <= bound, "seed {seed}: {used:?} > {bound:?}");
    }
}

/// What changed below the root though it is neither log, archive nor leftover.
fn changes_to_others(root: &Path, before: &BTreeMap<PathBuf, Seen>, done: &Run) -> Vec<String> {
    let ours = our_paths(&done.inventory, done);
    let others = |tree: &BTreeMap<PathBuf, Seen>| -> BTreeMap<PathBuf, Seen> {
        tree.iter()
            .filter(|(path, seen)| !ours.contains(*path) && !is_folder(seen))
            .map(|(path, seen)| (path.clone(), seen.clone()))
            .collect()
    };
    differences(&others(before), &others(&look_at_tree(root)))
}

/// Folders change their times when something in them is renamed.
fn is_folder(seen: &Seen) -> bool {
    seen.mode & 0o170_000 == 0o040_000
}

fn our_paths(inventory: &Inventory, done: &Run) -> std::collections::BTreeSet<PathBuf> {
    let mut ours = std::collections::BTreeSet::new();
    for log in inventory.sets.iter().flat_map(|set| &set.logs).filter(|l| l.blocked.is_none()) {
        ours.insert(inventory.path(log.dir, &log.name));
        ours.extend(log.archives.iter().map(|a| inventory.path(log.archive_dir, &a.name)));
        let leftovers = log.leftovers.iter().map(|l| &l.place);
        ours.extend(leftovers.map(|place| inventory.path(place.dir, &place.name)));
    }
    let targets = done.plan.steps.iter().filter_map(|step| step.action.target());
    ours.extend(targets.map(|place| inventory.path(place.dir, &place.name)));
    ours
}
