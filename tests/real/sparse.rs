//! Holes in logs.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::kit::{Scene, assert_code, files, listing, logquota, said, unpacked};

const HOLE: u64 = 10 << 20;

/// Words at these places, and so long.
fn make(path: &Path, words: &[u64], len: u64) {
    let file = File::create(path).expect("a log");
    for at in words {
        file.write_all_at(b"word", *at).expect("a word");
    }
    file.set_len(len).expect("its length");
}

#[test]
fn sparse_logs_have_sparse_copies_of_the_same_length() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    for mount in [Mount::tmpfs("size=64m"), Mount::ext4(32, &[], "noatime")] {
        for (name, words, len) in [
            ("between", &[0, 4 + HOLE][..], HOLE + 8),
            ("at-the-end", &[0], HOLE),
            ("at-the-start", &[HOLE], HOLE + 4),
            ("nothing-else", &[], HOLE + 1),
        ] {
            for method in ["copy", "copytruncate", "copytruncate\n compress"] {
                let scene = Scene::new();
                let logs = mount.folder(&format!("{name}-{}", method.replace("\n ", "-")));
                let log = logs.join("app.log");
                make(&log, words, len);
                let content = fs::read(&log).expect("its content");
                let args = scene
                    .config(&logs, &format!("LOGS/*.log {{\n size 1\n rotate 2\n {method}\n}}\n"));
                let output = logquota(&args);
                let about = format!("{name} {method}: {}\n{}", said(&output), listing(&logs));
                assert_code(&output, 0);
                let found = files(&logs);
                let copy = found.iter().find(|path| **path != log).expect(&about);
                let meta = copy.metadata().expect("its inode");
                assert!(unpacked(copy) == content, "{about}");
                assert!(meta.blocks() * 512 <= 64 << 10, "{about}");
            }
        }
    }
}
