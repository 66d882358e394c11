//! The machine stops before every call of a run, with three answers to what becomes of what
//! was not flushed. The runs after that end where the uncut run ends.
//!
//! A crash before a call that only looks leaves the same disk as one before the next call
//! that changes something, so only the latter are tried.
//!
//! What is asserted, for each log: the active file is the same, owner and mode included; the
//! archives are the same, in the same order, under the same names if nothing unflushed was
//! lost; nothing half done and nothing new lies about. Where archives are evicted for space,
//! see [`Promise::SameOrMore`](logquota_tests::workloads::Promise), where a log is copied,
//! `MayRepeat`. At no call of any run do the files occupy more than
//! the larger of what they did at its start and the quota.

use logquota::fs::sim::Unsynced;
use logquota_tests::workloads::{ALL, Make};

use crate::common::{Reference, Wanted, calls, fail, word};

const SEEDS: u64 = 50;

fn cut_everywhere(name: &str) {
    let wanted = Wanted::from_env();
    let make: Make = ALL
        .iter()
        .find(|(known, _)| *known == name)
        .map_or_else(|| panic!("no workload is called {name}"), |(_, make)| *make);
    let mut tried = 0;
    for seed in 0..wanted.seeds(SEEDS) {
        let row = format!("cut/{name}/{seed}");
        if !wanted.is(&row) {
            continue;
        }
        let reference = Reference::of(make, seed, &row);
        let fs = reference.fs();
        fs.record_images();
        if let Err(why) = reference.machine().settle(&fs, crate::common::ROUNDS) {
            fail(&row, &why, &calls(&fs.log(), u64::MAX));
        }
        for image in &fs.images() {
            for model in Unsynced::ALL {
                let case = format!("{row}/{}/{}", word(model), image.call());
                if !wanted.is(&case) {
                    continue;
                }
                let after = image.reboot(model, seed ^ image.call());
                tried += 1;
                if let Err(why) = reference.recover(&after, model) {
                    fail(&case, &why, &calls(&fs.log(), image.call()));
                }
            }
        }
    }
    println!("{name}: {tried} crashes");
}

macro_rules! cuts {
    ($($test:ident $name:literal)*) => {$(
        #[test]
        fn $test() {
            cut_everywhere($name);
        }
    )*
        #[test]
        fn every_workload_is_cut() {
            let cut = [$($name),*];
            assert!(ALL.iter().all(|(name, _)| cut.contains(name)));
        }
    };
}

cuts! {
    h52_numbered_gzip_survives_a_crash_at_every_call "numbered-gzip"
    h52_numbered_zstd_survives_a_crash_at_every_call "numbered-zstd"
    h52_delayed_compression_survives_a_crash_at_every_call "delayed"
    h52_dates_survive_a_crash_at_every_call "dated"
    h52_a_directory_survives_a_crash_at_every_call "directory"
    h52_fair_eviction_survives_a_crash_at_every_call "fair"
    h52_a_file_limit_survives_a_crash_at_every_call "max-files"
    h53_another_folder_survives_a_crash_at_every_call "old-dir"
    h53_a_new_folder_survives_a_crash_at_every_call "create-old-dir"
    h53_copytruncate_survives_a_crash_at_every_call "copy-truncate"
    h53_copying_survives_a_crash_at_every_call "copied"
    h53_renamecopy_to_another_mount_survives_a_crash_at_every_call "rename-copy"
    h52_expiry_survives_a_crash_at_every_call "aged"
    h33_a_lowered_quota_survives_a_crash_at_every_call "quota-lowered"
    h53_leftovers_survive_a_crash_at_every_call "leftovers"
    h52_keeping_nothing_survives_a_crash_at_every_call "rotate-zero"
    h52_scripts_survive_a_crash_at_every_call "scripts"
    h52_mixed_styles_survive_a_crash_at_every_call "mixed-styles"
    h52_a_reserve_survives_a_crash_at_every_call "reserve"
    h52_a_ceiling_over_two_sets_survives_a_crash_at_every_call "two-sets"
    h52_a_full_disk_survives_a_crash_at_every_call "full-disk"
    h52_a_full_inode_table_survives_a_crash_at_every_call "no-inodes"
    h52_strange_files_survive_a_crash_at_every_call "strange"
    h52_a_cut_head_survives_a_crash_at_every_call "live-trim"
    h52_a_head_cut_with_a_gap_survives_a_crash_at_every_call "live-trim-gap"
}
