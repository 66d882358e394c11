//! A disk that is really full.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use logquota::fs::os::{read_small, replace_file};
use logquota_tests::tree::names;
use rustix::mount::{MountFlags, UnmountFlags};

use super::is_root;

/// A small file system, unmounted when it goes.
struct Small(PathBuf);

impl Small {
    fn mount(path: &Path, options: &std::ffi::CStr) -> Option<Self> {
        fs::create_dir(path).expect("a folder");
        match rustix::mount::mount("none", path, "tmpfs", MountFlags::empty(), options) {
            Ok(()) => Some(Self(path.to_owned())),
            Err(error) => {
                println!("skipped: may not mount: {error}");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn h34_without_space_the_old_state_stays_and_nothing_is_left_behind() {
    if !is_root() {
        return;
    }
    for options in [c"size=64k", c"size=1m,nr_inodes=3"] {
        let folder = tempfile::tempdir().expect("a folder");
        let Some(small) = Small::mount(&folder.path().join("small"), options) else { return };
        let path = small.0.join("state");
        replace_file(&path, b"old", 0o640).expect("there is room");
        let filler = small.0.join("filler");
        let mut len = 4096;
        while fs::write(&filler, vec![0; len]).is_ok() && len < 1 << 20 {
            len += 4096;
        }
        let new = vec![b'n'; 16_384];
        let error = replace_file(&path, &new, 0o640).expect_err("it is full");
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        assert_eq!(read_small(&path, 100).expect("it"), b"old");
        assert_eq!(names(&small.0), ["filler", "state"]);
        fs::remove_file(&filler).expect("room again");
        replace_file(&path, &new, 0o640).expect("there is room");
        assert_eq!(read_small(&path, 100_000).expect("it"), new);
    }
}
