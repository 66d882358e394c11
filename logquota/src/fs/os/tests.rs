use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::error::Error;
use crate::stamp::Timestamp;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn n(name: &str) -> &OsStr {
    OsStr::new(name)
}

/// Everything must hold with `openat2` and without.
fn both(mut test: impl FnMut(&OsFs, &Path)) {
    for fs in [OsFs::new(), OsFs::without_openat2()] {
        let folder = folder();
        test(&fs, folder.path());
    }
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

#[test]
fn h02_folders_are_opened_below_and_links_are_not_followed() {
    both(|os, path| {
        fs::create_dir_all(path.join("a/b")).expect("folders");
        symlink("a", path.join("link")).expect("a link");
        fs::write(path.join("file"), "").expect("a file");
        let root = os.open_root(path).expect("the root");
        let a = os.open_dir(root, n("a")).expect("a folder");
        assert!(os.stat(a, n("b")).expect("a look").is_some_and(|m| m.kind == Kind::Dir));
        for bad in ["link", "file"] {
            let error = os.open_dir(root, n(bad)).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::NotADirectory, "{bad}");
        }
        assert_eq!(os.open_dir(root, n("none")).map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    });
}

#[test]
fn h03_a_name_has_one_component() {
    both(|os, path| {
        fs::create_dir_all(path.join("a/b")).expect("folders");
        let root = os.open_root(path).expect("the root");
        for bad in ["", ".", "..", "a/b", "/etc", "a/", "../x", "a\0b"] {
            let name = n(bad);
            let refused = |kind: ErrorKind| assert_eq!(kind, ErrorKind::InvalidInput, "{bad:?}");
            refused(os.open_dir(root, name).expect_err(bad).kind());
            refused(os.stat(root, name).expect_err(bad).kind());
            refused(os.read(root, name).err().expect(bad).kind());
            refused(os.create(root, name).err().expect(bad).kind());
            refused(os.remove(root, name).expect_err(bad).kind());
            refused(os.rename(root, name, root, n("x")).expect_err(bad).kind());
            refused(os.rename(root, n("a"), root, name).expect_err(bad).kind());
            refused(os.make_dir(root, name, &Attributes::default()).expect_err(bad).kind());
        }
    });
}

#[test]
fn h04_another_mount_is_not_entered() {
    if !is_root() {
        return;
    }
    both(|os, _| {
        let root = os.open_root(Path::new("/")).expect("the root");
        let error = os.open_dir(root, n("proc")).expect_err("another file system");
        assert_eq!(error.kind(), ErrorKind::CrossesDevices);
    });
}

#[test]
fn h09_only_regular_files_are_opened() {
    both(|os, path| {
        let target = path.join("target");
        fs::write(&target, "secret").expect("a file");
        symlink(&target, path.join("link")).expect("a link");
        rustix::fs::mknodat(rustix::fs::CWD, path.join("pipe"), FileType::Fifo, Mode::RWXU, 0)
            .expect("a pipe");
        fs::create_dir(path.join("dir")).expect("a folder");
        let root = os.open_root(path).expect("the root");
        let id = os.stat(root, n("target")).expect("a look").expect("a file").stamp.id;
        for bad in ["link", "pipe", "dir"] {
            let refused = os.read(root, n(bad)).err().expect(bad);
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{bad}");
            os.truncate(root, n(bad), &id, None).expect_err(bad);
        }
        assert_eq!(fs::read(&target).expect("still there"), b"secret");
    });
}

#[test]
fn h11_a_new_file_is_for_its_maker_until_it_is_widened() {
    both(|os, path| {
        let root = os.open_root(path).expect("the root");
        let mut file = os.create(root, n("new")).expect("a file");
        file.write_all(b"content").expect("written");
        assert_eq!(file.meta().expect("a look").mode, 0o600);
        let then = Timestamp { secs: -5, nanos: 7 };
        let attributes = Attributes { mode: Some(0o640), owner: None, times: Some((then, then)) };
        file.set_attributes(&attributes).expect("set");
        file.sync().expect("synced");
        let meta = file.meta().expect("a look");
        assert_eq!((meta.mode, meta.stamp.mtime), (0o640, then));
        for name in ["new", "link"] {
            let _ = symlink("nowhere", path.join("link"));
            let error = os.create(root, n(name)).err().expect("it exists");
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        }
    });
}

#[test]
fn a_rename_never_replaces() {
    both(|os, path| {
        fs::write(path.join("a"), "a").expect("a file");
        fs::write(path.join("b"), "b").expect("a file");
        let root = os.open_root(path).expect("the root");
        let error = os.rename(root, n("a"), root, n("b")).expect_err("it exists");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        os.rename(root, n("a"), root, n("c")).expect("renamed");
        assert_eq!(fs::read(path.join("c")).expect("c"), b"a");
        os.sync_dir(root).expect("synced");
    });
}

#[test]
fn where_a_rename_cannot_refuse_to_replace_a_link_does() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("a"), "a").expect("a file");
    fs::write(path.join("b"), "b").expect("a file");
    let dir = resolve::open_root(path).expect("the root");
    let rename = |to: &str| {
        resolve::rename(dir.as_fd(), n("a"), dir.as_fd(), n(to), |_, _, _, _| Err(Errno::INVAL))
    };
    assert_eq!(rename("b").map_err(|e| e.kind()), Err(ErrorKind::AlreadyExists));
    assert_eq!(fs::read(path.join("b")).expect("b"), b"b");
    rename("c").expect("renamed");
    assert!(!path.join("a").exists());
    assert_eq!(fs::metadata(path.join("c")).expect("c").nlink(), 1);
}

#[test]
fn a_file_is_emptied_only_if_it_is_the_one_that_was_meant() {
    both(|os, path| {
        fs::write(path.join("a"), "abc").expect("a file");
        fs::write(path.join("b"), "abc").expect("a file");
        let root = os.open_root(path).expect("the root");
        let id = os.stat(root, n("a")).expect("a look").expect("a file").stamp.id;
        assert!(!os.truncate(root, n("b"), &id, Some(3)).expect("no error"));
        assert!(!os.truncate(root, n("a"), &id, Some(2)).expect("no error"));
        assert_eq!(fs::read(path.join("a")).expect("a"), b"abc");
        assert!(os.truncate(root, n("a"), &id, Some(3)).expect("no error"));
        assert_eq!(fs::read(path.join("a")).expect("a"), b"");
        os.remove(root, n("a")).expect("removed");
        assert_eq!(os.stat(root, n("a")).expect("no error"), None);
    });
}

#[test]
fn h07_holes_are_skipped_when_reading_and_writing() {
    both(|os, path| {
        let root = os.open_root(path).expect("the root");
        let hole = 4 << 40;
        let mut file = os.create(root, n("sparse")).expect("a file");
        file.write_all(b"head").expect("written");
        file.skip(hole).expect("skipped");
        file.write_all(b"middle").expect("written");
        file.skip(hole).expect("skipped");
        file.sync().expect("synced");
        let meta = file.meta().expect("a look");
        assert_eq!(meta.stamp.len, 10 + 2 * hole);
        assert!(meta.stamp.allocated < Bytes::mib(1));
        let mut file = os.read(root, n("sparse")).expect("readable");
        let first = file.next_data(0).expect("no error").expect("data");
        assert_eq!(first.start, 0);
        let mut head = [0; 4];
        file.read_exact(&mut head).expect("read");
        assert_eq!(&head, b"head");
        let second = file.next_data(first.end).expect("no error").expect("data");
        assert!(second.start <= hole + 4 && hole + 10 <= second.end);
        assert_eq!(file.next_data(second.end).expect("no error"), None);
        assert_eq!(file.next_data(u64::MAX).expect("no error"), None);
    });
}

#[test]
fn a_folder_is_made_with_its_mode_and_pending_until_then() {
    both(|os, path| {
        let root = os.open_root(path).expect("the root");
        let pending = os.pending_dir(root, n("new")).expect("an id");
        assert_eq!(os.stat_dir(pending).map_err(|e| e.kind()), Err(ErrorKind::NotFound));
        let attributes = Attributes { mode: Some(0o2755), ..Attributes::default() };
        os.make_dir(root, n("new"), &attributes).expect("made");
        assert_eq!(os.stat_dir(pending).expect("a look").mode, 0o2755);
        let again = os.make_dir(root, n("new"), &attributes).expect_err("it exists");
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn more_folders_than_may_be_open_are_held() {
    both(|os, path| {
        let root = os.open_root(path).expect("the root");
        let names: Vec<String> = (0..500).map(|i| format!("d{i}")).collect();
        let dirs: Vec<DirId> = names
            .iter()
            .map(|name| {
                fs::create_dir(path.join(name)).expect("a folder");
                fs::write(path.join(name).join(name), "").expect("a file");
                os.open_dir(root, n(name)).expect("opened")
            })
            .collect();
        for (name, dir) in names.iter().zip(&dirs) {
            assert!(os.stat(*dir, n(name)).expect("a look").is_some());
        }
        for dir in dirs {
            os.close_dir(dir);
            assert!(os.stat_dir(dir).is_err());
        }
    });
}

#[test]
fn a_folder_that_was_replaced_is_not_taken_for_the_old_one() {
    both(|os, path| {
        let root = os.open_root(path).expect("the root");
        fs::create_dir(path.join("a")).expect("a folder");
        let a = os.open_dir(root, n("a")).expect("opened");
        for i in 0..100 {
            let name = format!("other{i}");
            fs::create_dir(path.join(&name)).expect("a folder");
            os.open_dir(root, n(&name)).expect("opened");
        }
        fs::rename(path.join("a"), path.join("moved")).expect("moved");
        fs::create_dir(path.join("a")).expect("another");
        assert_eq!(os.stat_dir(a).map_err(|e| e.kind()), Err(ErrorKind::NotFound));
    });
}

#[test]
fn a_parent_that_was_given_back_still_leads_to_its_children() {
    both(|os, path| {
        fs::create_dir_all(path.join("a/b")).expect("folders");
        let root = os.open_root(path).expect("the root");
        let a = os.open_dir(root, n("a")).expect("opened");
        let b = os.open_dir(a, n("b")).expect("opened");
        os.close_dir(a);
        os.close_dir(root);
        for i in 0..100 {
            let name = format!("other{i}");
            fs::create_dir(path.join("a/b").join(&name)).expect("a folder");
            os.open_dir(b, n(&name)).expect("opened");
        }
        assert_eq!(os.stat_dir(b).expect("reached").kind, Kind::Dir);
    });
}

#[test]
fn h34_a_small_file_is_replaced_whole_or_not_at_all() {
    let folder = folder();
    let path = folder.path().join("state");
    replace_file(&path, b"one", 0o640).expect("made");
    assert_eq!(fs::metadata(&path).expect("it").permissions().mode() & 0o7777, 0o640);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).expect("mode");
    replace_file(&path, b"two", 0o640).expect("replaced");
    assert_eq!(fs::metadata(&path).expect("it").permissions().mode() & 0o7777, 0o660);
    assert_eq!(read_small(&path, 3).expect("read"), b"two");
    assert_eq!(read_small(&path, 2).map_err(|e| e.kind()), Err(ErrorKind::FileTooLarge));
    // A killed run's temporary is no obstacle, and nothing stays behind.
    let temp = folder.path().join(crate::naming::temporary_name(n("state")));
    fs::write(&temp, "torn").expect("a leftover");
    replace_file(&path, b"three", 0o640).expect("replaced");
    assert_eq!(fs::read_dir(folder.path()).expect("a listing").count(), 1);
    // A link is replaced, and what it named is not touched.
    let target = folder.path().join("target");
    fs::write(&target, "secret").expect("a file");
    fs::remove_file(&path).expect("removed");
    symlink(&target, &path).expect("a link");
    replace_file(&path, b"four", 0o640).expect("replaced");
    assert_eq!(fs::read(&target).expect("still there"), b"secret");
    assert!(fs::symlink_metadata(&path).expect("it").is_file());
    fs::create_dir(folder.path().join("dir")).expect("a folder");
    assert!(replace_file(&folder.path().join("dir"), b"x", 0o640).is_err());
    assert!(read_small(&folder.path().join("dir"), 9).is_err());
}

#[test]
fn h35_a_lock_is_for_one_and_is_waited_for_within_bounds() {
    let folder = folder();
    let wait = Duration::from_millis(40);
    let held = Lock::dir(folder.path(), wait).expect("the first");
    assert!(matches!(Lock::dir(folder.path(), wait), Err(Error::Locked { .. })));
    drop(held);
    let together = Lock::dir_together(folder.path(), wait).expect("free again");
    let other = Lock::dir_together(folder.path(), wait).expect("shared");
    assert!(matches!(Lock::dir(folder.path(), wait), Err(Error::Locked { .. })));
    drop((together, other));
    Lock::dir(folder.path(), Duration::ZERO).expect("free again");
    let (below, other) = (folder.path().join("a/log"), folder.path().join("b"));
    fs::create_dir_all(&below).expect("folders");
    fs::create_dir(&other).expect("a folder");
    symlink("a", folder.path().join("link to a")).expect("a link");
    let lock = |paths: &[&Path]| {
        let paths: Vec<_> = paths.iter().copied().map(Path::to_owned).collect();
        Lock::dirs_in(&Tree::default(), &paths, wait)
    };
    let held = lock(&[&below]).expect("free");
    assert!(matches!(lock(&[folder.path()]), Err(Error::Locked { .. })), "all below");
    assert!(lock(&[&other]).is_ok() && Lock::dir(&other, wait).is_ok(), "beside it");
    drop(held);
    // What other programs lock above it for ever stops nobody.
    let held = Lock::dir(folder.path(), wait).expect("free");
    assert!(lock(&[&below]).is_ok());
    drop(held);
    let link = folder.path().join("link to a/log");
    let held = lock(&[&below, &link, &other, Path::new("/no such folder")]);
    let held = held.expect("one of two names");
    assert!(matches!(Lock::dir(&other, wait), Err(Error::Locked { .. })));
    drop(held);
    let path = folder.path().join("state");
    let held = Lock::file(&path, wait).expect("the first");
    assert_eq!(fs::metadata(&path).expect("it").permissions().mode() & 0o7777, 0o600);
    assert!(matches!(Lock::file(&path, wait), Err(Error::Locked { .. })));
    drop(held);
    symlink("state", folder.path().join("link")).expect("a link");
    assert!(matches!(Lock::file(&folder.path().join("link"), wait), Err(Error::Io { .. })));
}

#[test]
fn work_as_somebody_else_ends_with_the_way_back() {
    if !is_root() {
        return;
    }
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("mode");
    let os = OsFs::new();
    let root = os.open_root(folder.path()).expect("the root");
    os.act_as(Some(Identity { uid: 65534, gid: 65534 })).expect("nobody");
    os.create(root, n("theirs")).expect("a file");
    os.act_as(Some(Identity { uid: 1, gid: 1 })).expect("another");
    os.create(root, n("daemons")).expect("a file");
    os.act_as(None).expect("back");
    os.create(root, n("ours")).expect("a file");
    let owner = |name: &str| {
        let meta = fs::metadata(folder.path().join(name)).expect("it");
        (meta.uid(), meta.gid())
    };
    assert_eq!(owner("theirs"), (65534, 65534));
    assert_eq!(owner("daemons"), (1, 1));
    assert_eq!(owner("ours").0, 0);
    assert_eq!(os.effective_uid(), 0);
}

#[test]
fn a_file_that_cannot_be_given_away_is_not_opened_to_the_wrong_group() {
    if !is_root() {
        return;
    }
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("mode");
    let os = OsFs::new();
    let root = os.open_root(folder.path()).expect("the root");
    os.act_as(Some(Identity { uid: 65534, gid: 65534 })).expect("nobody");
    let mut file = os.create(root, n("a")).expect("a file");
    let attributes = Attributes { mode: Some(0o664), owner: Some((0, 4)), times: None };
    let set = file.set_attributes(&attributes);
    os.act_as(None).expect("back");
    set.expect("what could be set");
    assert_eq!(file.meta().expect("a look").mode, 0o644);
}

#[test]
fn the_host_has_a_name() {
    assert!(!host().name.is_empty());
}

#[test]
fn free_space_is_that_of_the_file_system() {
    let folder = folder();
    let os = OsFs::new();
    let root = os.open_root(folder.path()).expect("the root");
    let space = os.space(root).expect("an answer");
    assert!(space.block > Bytes::ZERO && space.free <= space.total);
}

#[test]
fn h07_a_hole_at_the_end_stays_one_and_keeps_its_length() {
    both(|os, path| {
        let root = os.open_root(path).expect("the root");
        let mut file = os.create(root, n("a")).expect("a file");
        file.write_all(b"word").expect("written");
        file.skip(10 << 20).expect("skipped");
        file.set_attributes(&Attributes { mode: Some(0o640), ..Attributes::default() })
            .expect("set");
        let stamp = file.meta().expect("a look").stamp;
        assert_eq!(stamp.len, (10 << 20) + 4);
        assert!(stamp.allocated < Bytes::kib(64), "{stamp:?}");
        // What comes later comes behind it.
        file.write_all(b"more").expect("written");
        assert_eq!(file.meta().expect("a look").stamp.len, (10 << 20) + 8);
        let mut file = os.read(root, n("a")).expect("readable");
        let first = file.next_data(0).expect("no error").expect("data");
        let last = file.next_data(first.end).expect("no error").expect("data");
        assert!(last.start <= (10 << 20) + 4 && last.start > 1 << 20);
    });
}

#[test]
fn h09_only_a_regular_file_is_opened_to_be_overwritten_and_keeps_its_length() {
    both(|os, path| {
        let target = path.join("target");
        fs::write(&target, "secret").expect("a file");
        symlink(&target, path.join("link")).expect("a link");
        symlink("nowhere", path.join("dangling")).expect("a link");
        rustix::fs::mknodat(rustix::fs::CWD, path.join("pipe"), FileType::Fifo, Mode::RWXU, 0)
            .expect("a pipe");
        fs::create_dir(path.join("dir")).expect("a folder");
        let root = os.open_root(path).expect("the root");
        let id = |name| os.stat(root, n(name)).expect("a look").expect("it").stamp.id;
        let own = id("target");
        let open = |name| os.open_to_overwrite(root, n(name), &own);
        // A pipe that nobody reads would block who opens it to write: that this ends is tested.
        for bad in ["link", "dangling", "pipe", "dir"] {
            let refused = open(bad).expect_err(bad);
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{bad}");
        }
        // Nor one that somebody reads.
        let _reader = rustix::fs::open(
            path.join("pipe"),
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .expect("a reader");
        assert!(open("pipe").is_err());
        assert!(!path.join("nowhere").exists());
        for bad in ["../target", "", "."] {
            let refused = open(bad).expect_err(bad);
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{bad}");
        }
        let missing = open("none").expect_err("none");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let file = open("target").expect("no error").expect("a file");
        assert_eq!(fs::read(&target).expect("still there"), b"secret");
        rustix::io::pwrite(&file, b"XXX", 0).expect("written");
        assert_eq!(fs::read(&target).expect("still there"), b"XXXret");
        // Another file than the one that was meant, and one that somebody else has, too.
        fs::write(path.join("other"), "other").expect("a file");
        assert!(open("other").expect("no error").is_none());
        fs::hard_link(&target, path.join("second")).expect("a second name");
        assert!(open("target").expect("no error").is_none());
    });
}

/// A device whose driver is missing tells by its error whether it was opened.
#[test]
fn h09_a_device_in_the_place_of_a_small_file_is_not_even_opened() {
    if !is_root() {
        return;
    }
    let folder = folder();
    fs::create_dir(folder.path().join("etc")).expect("a folder");
    let tree = Tree::mounted(folder.path()).expect("a tree");
    for name in ["etc/hostname", "etc/machine-id", "etc/passwd"] {
        let path = folder.path().join(name);
        let device = rustix::fs::makedev(240, 77);
        let kind = FileType::CharacterDevice;
        if rustix::fs::mknodat(rustix::fs::CWD, &path, kind, Mode::RUSR, device).is_err() {
            println!("skipped: no devices can be made here");
            return;
        }
        let inside = Path::new("/").join(name);
        for read in [tree.read_small(&inside, 99), read_small(&path, 99)] {
            let error = read.expect_err("no file");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}: {error}");
        }
    }
    let disk = tree.disk().expect("a disk").expect("one");
    assert_eq!((disk.name.as_str(), disk.machine_id.as_str()), ("", ""));
}
