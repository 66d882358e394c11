//! The machine stops again while it recovers from a crash.

use logquota::fs::sim::Unsynced;
use logquota_tests::workloads::{ALL, Random};

use crate::common::{ROUNDS, Reference, Wanted, calls, fail, word};

/// Pairs of crashes, over all workloads and both tests below.
const PAIRS: usize = 10_000;
const SEEDS: u64 = 20;

fn crash_twice(remainder: usize) {
    let wanted = Wanted::from_env();
    let per_seed = PAIRS.div_ceil(ALL.len() * 20);
    let mut tried = 0;
    for (_, (name, make)) in ALL.iter().enumerate().filter(|(i, _)| i % 2 == remainder) {
        for seed in 100..100 + wanted.seeds(SEEDS) {
            let row = format!("twice/{name}/{seed}");
            if !wanted.is(&row) {
                continue;
            }
            let reference = Reference::of(*make, seed, &row);
            let fs = reference.fs();
            fs.record_images();
            if let Err(why) = reference.machine().settle(&fs, ROUNDS) {
                fail(&row, &why, &calls(&fs.log(), u64::MAX));
            }
            let images = fs.images();
            let mut random = Random(seed);
            for pair in 0..per_seed {
                let case = format!("{row}/{pair}");
                let pick = |random: &mut Random, count: usize| {
                    usize::try_from(random.below(u64::try_from(count).unwrap_or(1))).unwrap_or(0)
                };
                let model = |random: &mut Random| {
                    *Unsynced::ALL.get(pick(random, 3)).unwrap_or(&Unsynced::Kept)
                };
                let (first, second) = (model(&mut random), model(&mut random));
                let Some(image) = images.get(pick(&mut random, images.len())) else { continue };
                let again = image.reboot(first, random.below(u64::MAX));
                again.record_images();
                let outcome = reference.machine().settle(&again, ROUNDS).and_then(|_| {
                    let images = again.images();
                    let Some(image) = images.get(pick(&mut random, images.len())) else {
                        return Ok(());
                    };
                    let after = image.reboot(second, random.below(u64::MAX));
                    // What was lost on the way is judged by the harsher of the two.
                    reference.recover(&after, first.max(second)).map(drop).map_err(|why| {
                        let calls = calls(&again.log(), image.call());
                        format!("{why}\nfirst recovery ({}):\n{calls}", word(second))
                    })
                });
                tried += 1;
                if let (Err(why), true) = (outcome, wanted.is(&case)) {
                    let text = calls(&fs.log(), image.call());
                    fail(&case, &why, &format!("({})\n{text}", word(first)));
                }
            }
        }
    }
    println!("{tried} pairs of crashes");
}

#[test]
fn h56_a_crash_during_recovery_is_recovered_from() {
    crash_twice(0);
}

#[test]
fn h56_a_crash_during_recovery_is_recovered_from_in_the_other_workloads() {
    crash_twice(1);
}
