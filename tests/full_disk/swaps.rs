//! Between what was shown and what is done, other files come to stand where the shown ones stood.
//! None of them is ever deleted, and no log is cut that is not the one, as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use logquota_tests::mounts::{Mount, needs, needs_root};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::kit::{self, HOUR, code, is_long, json, logquota, said, set_time};

/// So much does each file here have; what a swap puts there has as much.
const LEN: usize = 8192;

const ARCHIVES: u32 = 3;

/// A folder on a file system that gives the inode of a deleted file to the next one.
struct Scene {
    mount: Mount,
    round: u32,
}

/// Puts other files in the place of those that were shown; whether that was as hard to see as it
/// is meant to be.
type Swap = fn(&Scene) -> bool;

impl Scene {
    fn dir(&self) -> PathBuf {
        self.mount.at().join("log")
    }

    fn plan(&self) -> PathBuf {
        self.mount.at().join("plan.json")
    }

    fn archive(&self, number: u32) -> PathBuf {
        self.dir().join(format!("app.log.{number}"))
    }

    /// A text that no other file has.
    fn text(&self, about: &str) -> Vec<u8> {
        let mut content = format!("{about} of round {}\n", self.round).into_bytes();
        content.resize(LEN, b'.');
        content
    }

    /// As at the first look: a log, its archives, and somebody else's file.
    fn lay_out(&self) {
        let dir = self.dir();
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("a folder");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("its mode");
        kit::file(&dir.join("app.log"), &self.text("the log"), Duration::ZERO);
        kit::file(&dir.join("customer.csv"), &self.text("the customer's"), HOUR);
        for number in 1..=ARCHIVES {
            kit::file(&self.archive(number), &self.text("an archive"), HOUR * number);
        }
    }

    /// Every content below, and how often.
    fn contents(&self) -> BTreeMap<Vec<u8>, u32> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.dir()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    *found.entry(fs::read(path).expect("a file")).or_default() += 1;
                }
            }
        }
        found
    }

    fn free(&self, more: [&str; 2], dir: &Path) -> Output {
        let dir = dir.to_str().expect("UTF-8");
        let all = ["free", "100%", "--max-fraction", "1", "--json"];
        logquota(all.into_iter().chain(more).chain([dir]))
    }

    /// Shows, swaps, applies by the id and by the plan.
    fn round(&self, swap: Swap) -> bool {
        let plan = self.plan();
        let shown = self.free(["-o", plan.to_str().expect("UTF-8")], &self.dir());
        assert_eq!(code(&shown), 6, "{}", said(&shown));
        let shown = json(&shown);
        assert_eq!(shown["steps"].as_array().map(Vec::len), Some(ARCHIVES as usize), "{shown}");
        let id = shown["free"]["apply_id"].as_str().expect("an id");
        let is_hard = swap(self);
        let before = self.contents();
        let by_id = self.free(["--apply", id], &self.dir());
        let by_plan = logquota([Path::new("apply"), &plan]);
        for output in [by_id, by_plan] {
            assert_eq!(code(&output), 5, "round {}: {}", self.round, said(&output));
        }
        assert_eq!(before, self.contents(), "round {}: a wrong deletion", self.round);
        is_hard
    }
}

/// So much has a log that is cut.
const LOG_LEN: usize = 256 << 10;

/// So much of it stays.
const KEPT: usize = 64 << 10;

impl Scene {
    /// Records that no other log has, and none twice.
    fn records(&self, about: &str, len: usize) -> Vec<u8> {
        let record = |number| format!("{about} of round {}: {number}\n", self.round).into_bytes();
        (0u32..).flat_map(record).take(len).collect()
    }

    fn log(&self) -> PathBuf {
        self.dir().join("app.log")
    }

    /// What the log has, behind a gap.
    fn content(&self) -> Vec<u8> {
        let all = fs::read(self.log()).expect("a log");
        let gap = all.iter().take_while(|byte| **byte == 0).count();
        all[gap..].to_vec()
    }

    fn append(&self, bytes: &[u8]) {
        let mut log = fs::File::options().append(true).open(self.log()).expect("a log");
        log.write_all(bytes).expect("it is written");
    }

    fn by_id(&self, id: &str) -> Output {
        let dir = self.dir();
        let all = ["free", "100%", "--trim-active", "--apply", id];
        logquota(all.into_iter().chain([dir.to_str().expect("UTF-8")]))
    }

    fn by_plan(&self) -> Output {
        logquota([Path::new("apply"), &self.plan()])
    }

    /// Shows a cut, lets something happen, and applies it.
    fn cut_round(&self, change: fn(&Self, &str) -> bool) -> bool {
        let (dir, plan) = (self.dir(), self.plan());
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("a folder");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("its mode");
        kit::file(&self.log(), &self.records("the log", LOG_LEN), Duration::ZERO);
        let all = ["free", "100%", "--trim-active", "--json", "-o"];
        let paths = [&plan, &dir].map(|path| path.to_str().expect("UTF-8"));
        let shown = logquota(all.into_iter().chain(paths));
        assert_eq!(code(&shown), 6, "{}", said(&shown));
        let shown = json(&shown);
        assert_eq!(shown["steps"][0]["action"], "trim", "{shown}");
        let is_hard = change(self, shown["free"]["apply_id"].as_str().expect("an id"));
        let before = self.content();
        for output in
            [self.by_id(shown["free"]["apply_id"].as_str().expect("an id")), self.by_plan()]
        {
            assert_eq!(code(&output), 5, "round {}: {}", self.round, said(&output));
        }
        assert!(before == self.content(), "round {}: a wrong cut", self.round);
        is_hard
    }
}

fn rounds(about: &str, swap: Swap) {
    every_round(about, |scene| {
        scene.lay_out();
        scene.round(swap)
    });
}

fn every_round(about: &str, one: impl Fn(&Scene) -> bool + Sync) {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    let count = if is_long() { 1000 } else { 60 };
    let one = &one;
    std::thread::scope(|scope| {
        for size in ["256", "128"] {
            scope.spawn(move || {
                let since = Instant::now();
                let mut scene = Scene { mount: Mount::ext4(16, &["-I", size], ""), round: 0 };
                let mut hard = 0;
                for round in 0..count {
                    scene.round = round;
                    hard += u32::from(one(&scene));
                }
                let took = since.elapsed().as_secs();
                println!(
                    "{about}, inodes of {size}: {hard} of {count} rounds, {took} s, none wrong"
                );
                assert!(hard > count / 2, "{about}: only {hard} of {count} tried anything");
            });
        }
    });
}

/// Name, length and time of the last change are those of the file that was deleted; so is, on
/// ext4, the inode. With inodes of 128 bytes no time of birth tells them apart, and no time is
/// finer than a second.
#[test]
fn h19_a_new_file_in_the_inode_of_an_old_one_is_not_deleted() {
    rounds("inode reuse", |scene| {
        let victim = scene.archive(1 + scene.round % ARCHIVES);
        let before = victim.metadata().expect("its inode");
        fs::remove_file(&victim).expect("deleted");
        kit::file(&victim, &scene.text("a new file"), HOUR);
        set_time(&victim, before.modified().expect("its time"));
        let after = victim.metadata().expect("its inode");
        (before.ino(), before.len()) == (after.ino(), after.len())
    });
}

/// The application has rotated by itself: each name means the file before it.
#[test]
fn h20_archives_that_were_renamed_meanwhile_are_not_deleted() {
    rounds("renames", |scene| {
        for number in (1..=ARCHIVES).rev() {
            fs::rename(scene.archive(number), scene.archive(number + 1)).expect("renamed");
        }
        fs::rename(scene.dir().join("app.log"), scene.archive(1)).expect("renamed");
        kit::file(&scene.dir().join("app.log"), &scene.text("a new log"), Duration::ZERO);
        true
    });
}

/// Somebody else's file has the name of an archive, and the archive has its.
#[test]
fn h20_a_file_that_changed_places_with_an_archive_is_not_deleted() {
    rounds("swaps", |scene| {
        let (archive, other) = (scene.archive(ARCHIVES), scene.dir().join("customer.csv"));
        let time = archive.metadata().and_then(|meta| meta.modified()).expect("its time");
        set_time(&other, time);
        renameat_with(CWD, &archive, CWD, &other, RenameFlags::EXCHANGE).expect("swapped");
        true
    });
}

/// Another folder stands where the one that was looked at stood, with the same names in it.
#[test]
fn h20_the_files_of_another_folder_in_its_place_are_not_deleted() {
    rounds("another folder", |scene| {
        let (dir, aside) = (scene.dir(), scene.mount.at().join("aside"));
        let _ = fs::remove_dir_all(&aside);
        let times = |number| scene.archive(number).metadata().and_then(|meta| meta.modified());
        let times: Vec<_> = (1..=ARCHIVES).map(|number| times(number).expect("time")).collect();
        fs::rename(&dir, &aside).expect("renamed");
        scene.lay_out();
        for (number, time) in (1..=ARCHIVES).zip(times) {
            set_time(&scene.archive(number), time);
        }
        true
    });
}

/// As above, for a log that is cut: with inodes of 128 bytes it has all that the old one had but its
/// records.
#[test]
fn h19_a_new_log_in_the_inode_of_an_old_one_is_not_cut() {
    every_round("inode reuse by a log", |scene| {
        scene.cut_round(|scene, _| {
            let before = scene.log().metadata().expect("its inode");
            fs::remove_file(scene.log()).expect("deleted");
            kit::file(&scene.log(), &scene.records("a new log", LOG_LEN), Duration::ZERO);
            let after = scene.log().metadata().expect("its inode");
            (before.ino(), before.len()) == (after.ino(), after.len())
        })
    });
}

/// What was shown is cut though the log has grown; filled again to the byte, it is another one.
#[test]
fn h24_a_log_that_was_cut_and_has_grown_again_is_not_cut_again() {
    every_round("cut and filled again", |scene| {
        scene.cut_round(|scene, id| {
            scene.append(b"a record of a writer that goes on\n");
            let done = if scene.round % 2 == 0 { scene.by_id(id) } else { scene.by_plan() };
            assert_eq!(code(&done), 6, "round {}: {}", scene.round, said(&done));
            let left = scene.content();
            assert!(left.len() < KEPT + 4096, "round {}: {}", scene.round, left.len());
            scene.append(&scene.records("later", LOG_LEN - left.len()));
            scene.content().len() == LOG_LEN
        })
    });
}
