use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::*;
use crate::apply::{Options, Outcome, Report, apply};
use crate::fs::ReadFs as _;
use crate::fs::os::OsFs;
use crate::plan::{Action, Hook, Host, Plan, Reason};
use crate::policy::Identity;
use crate::stamp::Stamp;
use crate::units::Bytes;

/// Overwrites as shred(1) would, and tells how often it was asked.
#[derive(Default)]
struct Shredder {
    asked: u32,
}

impl Hooks for Shredder {
    fn run(&mut self, _: Hook, _: &str, _: &[OsString]) -> Result<()> {
        Ok(())
    }

    fn shred(&mut self, _: Shred, file: BorrowedFd<'_>, _: Option<Identity>) -> Result<()> {
        self.asked += 1;
        rustix::io::pwrite(file, b"XXX", 0).expect("written");
        Ok(())
    }
}

/// Deletes `file` in `folder`, as a plan says that was made when it had this stamp.
fn shred(folder: &Path, file: &str, stamp: Stamp, hooks: &mut dyn Hooks, os: &OsFs) -> Report {
    let dir = os.open_root(folder).expect("the root");
    let step = Step {
        set: 0,
        log: None,
        action: Action::Delete {
            at: Place { dir, name: file.into() },
            shred: Some(Shred::default()),
            same_as: None,
            head: None,
        },
        expect: Expect::SameFile(stamp.id),
        bytes: Bytes::ZERO,
        reason: Reason::Leftover,
        used_after: Bytes::ZERO,
        needs: Vec::new(),
        only_below: None,
    };
    let plan = Plan {
        id: String::new(),
        host: Host::default(),
        purpose: crate::plan::Purpose::Routine,
        policy: String::new(),
        created: chrono::DateTime::UNIX_EPOCH.fixed_offset(),
        sets: Vec::new(),
        global_quota: None,
        steps: vec![step],
        due: Vec::new(),
        verdicts: Vec::new(),
        problems: Vec::new(),
        unmet: Vec::new(),
        dirs: BTreeMap::new(),
    };
    apply(&plan, os, hooks, &Options { threads: 1 })
}

fn stamp(os: &OsFs, folder: &Path, file: &str) -> Stamp {
    let dir = os.open_root(folder).expect("the root");
    os.stat(dir, OsStr::new(file)).expect("a look").expect("a file").stamp
}

#[test]
fn a_file_is_overwritten_before_it_is_deleted() {
    let (os, folder) = (OsFs::new(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("old");
    fs::write(&path, "secret").expect("a file");
    let dir = os.open_root(folder.path()).expect("the root");
    let mut open = os.read(dir, OsStr::new("old")).expect("it opens");
    let mut hooks = Shredder::default();
    let report = shred(folder.path(), "old", stamp(&os, folder.path(), "old"), &mut hooks, &os);
    assert!(report.is_complete(), "{report:?}");
    assert!(hooks.asked == 1 && !path.exists());
    assert_eq!(std::io::read_to_string(&mut open).expect("still open"), "XXXret");
}

#[test]
fn a_file_with_other_names_is_deleted_and_not_overwritten() {
    let (os, folder) = (OsFs::new(), tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("old");
    fs::write(&path, "secret").expect("a file");
    fs::hard_link(&path, folder.path().join("other")).expect("another name");
    let mut hooks = Shredder::default();
    let report = shred(folder.path(), "old", stamp(&os, folder.path(), "old"), &mut hooks, &os);
    assert!(report.is_complete(), "{report:?}");
    assert!(hooks.asked == 0 && !path.exists());
    assert_eq!(fs::read(folder.path().join("other")).expect("it"), b"secret");
}

#[test]
fn a_link_in_place_of_a_file_is_left_alone() {
    let (os, folder) = (OsFs::new(), tempfile::tempdir().expect("a folder"));
    let (path, target) = (folder.path().join("old"), folder.path().join("target"));
    fs::write(&path, "secret").expect("a file");
    let before = stamp(&os, folder.path(), "old");
    fs::rename(&path, &target).expect("moved");
    std::os::unix::fs::symlink(&target, &path).expect("a link");
    let mut hooks = Shredder::default();
    let report = shred(folder.path(), "old", before, &mut hooks, &os);
    assert!(matches!(report.outcomes[..], [Outcome::Skipped(Error::Changed { .. })]));
    assert!(hooks.asked == 0 && path.is_symlink());
    assert_eq!(fs::read(&target).expect("it"), b"secret");
}
