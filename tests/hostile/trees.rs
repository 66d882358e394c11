//! Trees of everything, from a seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use logquota::fs::os::OsFs;
use logquota::inventory::Inventory;
use logquota_tests::canary::{Canary, Seen, differences, look_at_tree};
use logquota_tests::tree::Hostile;

use super::{Run, run_unchecked, try_look, within_patience};

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
    all_are_fine(|seed, tree, outside| {
        let config = tree.config();
        let before = look_at_tree(tree.root());
        let again = config.clone();
        let done = within_patience(move || run_unchecked(&OsFs::new(), &again, seed % 2 == 0));
        let mut wrong: Vec<String> =
            outside.changes().into_iter().map(|change| format!("outside: {change}")).collect();
        wrong.extend(changes_to_others(tree.root(), &before, &done));
        for (index, set) in config.sets.iter().enumerate() {
            let (before, after) = (done.inventory.sets[index].used(), done.report.used[index]);
            if set.policy.limits.quota.is_some_and(|quota| after > before.max(quota)) {
                wrong.push(format!("set {index} grew from {before} to {after}"));
            }
        }
        if std::env::var_os("LOGQUOTA_SEED").is_some() {
            println!("{config:#?}\n{done:#?}");
        }
        wrong
    });
}

#[test]
fn plans_for_hostile_trees_keep_their_promises() {
    all_are_fine(|seed, tree, outside| {
        let config = tree.config();
        let (.., violations) =
            within_patience(move || try_look(&OsFs::new(), &config, seed % 2 == 0));
        let mut wrong = outside.changes();
        wrong.extend(violations.iter().map(|v| format!("promise {}: {}", v.promise, v.what)));
        wrong
    });
}

/// Tries every seed; `LOGQUOTA_SEED` makes only that tree again.
fn all_are_fine(test: impl Fn(u64, &mut Hostile, &Canary) -> Vec<String>) {
    let mut wrong: Vec<String> = Vec::new();
    for seed in seeds() {
        // Most of them in memory, where flushing costs nothing; some on what is there.
        let folder = match tempfile::tempdir_in("/dev/shm") {
            Ok(folder) if seed % 8 != 0 => folder,
            _ => tempfile::tempdir().expect("a folder"),
        };
        let mut canary = Canary::new(&folder.path().join("outside"));
        let mut tree = Hostile::new(&folder.path().join("root"), canary.root(), seed);
        canary.remember();
        let found = test(seed, &mut tree, &canary);
        wrong.extend(found.into_iter().map(|what| format!("LOGQUOTA_SEED={seed}: {what}")));
    }
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
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
        ours.extend(log.archives.iter().map(|a| inventory.path(log.archive_dir, a.name())));
        let leftovers = log.leftovers.iter().map(|l| &l.place);
        ours.extend(leftovers.map(|place| inventory.path(place.dir, &place.name)));
    }
    let targets = done.plan.steps.iter().filter_map(|step| step.action.target());
    ours.extend(targets.map(|place| inventory.path(place.dir, &place.name)));
    ours
}
