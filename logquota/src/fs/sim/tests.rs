//! The simulated disk does what a real one does, where it matters here.

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read as _, Write as _};

use super::*;
use crate::fs::{Attributes, ReadFs as _, WriteFs as _};
use crate::stamp::Kind;

fn os(text: &str) -> &OsStr {
    OsStr::new(text)
}

/// A disk with a folder `/d` and its handle.
fn disk(shape: SimDisk) -> (SimFs, DirId) {
    let fs = SimFs::new(shape);
    fs.mkdir("/d").unwrap();
    let dir = fs.open_root("/d".as_ref()).unwrap();
    (fs, dir)
}

fn small(blocks: u64) -> SimDisk {
    SimDisk { capacity: Bytes::new(512 * (blocks + 2)), ..SimDisk::default() }
}

fn make(fs: &SimFs, dir: DirId, name: &str, bytes: &[u8], sync: bool) -> io::Result<()> {
    let mut file = fs.create(dir, os(name))?;
    file.write_all(bytes)?;
    if sync { file.sync() } else { Ok(()) }
}

fn names(fs: &SimFs) -> Vec<String> {
    let found = fs.snapshot();
    found.keys().skip(1).map(|path| path.display().to_string().split_off(3)).collect()
}

#[test]
fn blocks_are_allocated_whole_and_a_full_disk_takes_what_fits() {
    let (fs, dir) = disk(small(4));
    make(&fs, dir, "a", b"x", false).unwrap();
    assert_eq!(fs.usage().files, Bytes::new(512));
    let mut file = fs.create(dir, os("b")).unwrap();
    assert_eq!(file.write(&[7; 4000]).unwrap(), 3 * 512);
    assert_eq!(file.write(&[7]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.meta().unwrap().stamp.len, 3 * 512);
    let space = fs.space(dir).unwrap();
    assert_eq!((space.free, space.block), (Bytes::ZERO, Bytes::new(512)));
    fs.remove(dir, os("a")).unwrap();
    assert_eq!(file.write(&[7]).unwrap(), 1);
    assert_eq!(fs.peak_used(), Bytes::new(4 * 512));
}

#[test]
fn an_unlinked_file_keeps_its_blocks_and_inode_until_it_is_closed() {
    let (fs, dir) = disk(SimDisk { inodes: 3, ..small(2) });
    fs.put("/d/a", Content::Fill(b'x', 1024), 0).unwrap();
    let mut file = fs.read(dir, os("a")).unwrap();
    fs.remove(dir, os("a")).unwrap();
    assert_eq!(fs.usage().unlinked, Bytes::new(1024));
    assert_eq!(fs.create(dir, os("b")).err().map(|e| e.kind()), Some(ErrorKind::StorageFull));
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), 1024);
    assert_eq!(file.meta().unwrap().stamp.nlink, 0);
    drop(file);
    assert_eq!(fs.usage().files, Bytes::ZERO);
    assert!(fs.create(dir, os("b")).is_ok());
}

#[test]
fn nothing_is_replaced_or_followed() {
    let (fs, dir) = disk(SimDisk::default());
    fs.put("/d/a", "a", 5).unwrap();
    fs.put("/d/b", "b", 5).unwrap();
    fs.symlink("/d/a", "/d/link").unwrap();
    fs.special("/d/pipe").unwrap();
    let exists = Some(ErrorKind::AlreadyExists);
    assert_eq!(fs.rename(dir, os("a"), dir, os("b")).err().map(|e| e.kind()), exists);
    assert_eq!(fs.create(dir, os("link")).err().map(|e| e.kind()), exists);
    assert!(fs.read(dir, os("link")).is_err() && fs.read(dir, os("pipe")).is_err());
    assert!(fs.read(dir, os("../d/a")).is_err() && fs.remove(dir, os("..")).is_err());
    let id = fs.stat(dir, os("a")).unwrap().unwrap().stamp.id;
    assert!(fs.truncate(dir, os("link"), &id, None).is_err());
    assert!(!fs.truncate(dir, os("b"), &id, None).unwrap());
    assert!(!fs.truncate(dir, os("a"), &id, Some(2)).unwrap());
    assert!(fs.truncate(dir, os("a"), &id, Some(1)).unwrap());
    assert_eq!(fs.stat(dir, os("nobody")).unwrap(), None);
    let mut seen = Vec::new();
    fs.list(dir, &mut |name, kind| seen.push((name.to_owned(), kind))).unwrap();
    assert_eq!(seen.len(), 4);
    for (name, kind) in seen {
        let real = fs.stat(dir, &name).unwrap().unwrap().kind;
        assert!(kind.is_none_or(|kind| kind == real), "{name:?}");
    }
}

#[test]
fn another_mount_is_not_entered_from_its_parent() {
    let (fs, dir) = disk(SimDisk::default());
    fs.mkmount("/d/other").unwrap();
    fs.mkdir("/d/own").unwrap();
    fs.symlink("/d/own", "/d/way").unwrap();
    assert_eq!(fs.open_dir(dir, os("other")).unwrap_err().kind(), ErrorKind::CrossesDevices);
    assert_eq!(fs.open_dir(dir, os("way")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert!(fs.open_dir(dir, os("own")).is_ok());
    assert!(fs.open_root("/d/way".as_ref()).is_ok());
    let other = fs.open_root("/d/other".as_ref()).unwrap();
    assert_ne!(fs.stat_dir(other).unwrap().mount, fs.stat_dir(dir).unwrap().mount);
    fs.put("/d/a", "a", 5).unwrap();
    let error = fs.rename(dir, os("a"), other, os("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CrossesDevices);
    fs.close_dir(other);
    assert!(fs.stat_dir(other).is_err());
}

#[test]
fn times_owner_and_mode_are_kept_and_renaming_changes_only_the_ctime() {
    let (fs, dir) = disk(SimDisk::default());
    fs.put("/d/a", "a", -5).unwrap();
    let before = fs.stat(dir, os("a")).unwrap().unwrap();
    fs.rename(dir, os("a"), dir, os("b")).unwrap();
    let after = fs.stat(dir, os("b")).unwrap().unwrap();
    assert_eq!(before.stamp.mtime, Timestamp { secs: -5, nanos: 0 });
    assert!(before.stamp.has_same_content(&after.stamp));
    assert!(before.stamp.ctime < after.stamp.ctime);
    let mut file = fs.create(dir, os("c")).unwrap();
    assert_eq!(file.meta().unwrap().mode, 0o600);
    let times = Some((Timestamp::default(), Timestamp { secs: 9, nanos: 1 }));
    file.set_attributes(&Attributes { mode: Some(0o644), owner: Some((3, 4)), times }).unwrap();
    let meta = file.meta().unwrap();
    assert_eq!((meta.mode, meta.uid, meta.gid), (0o644, 3, 4));
    assert_eq!(meta.stamp.mtime, Timestamp { secs: 9, nanos: 1 });
    assert_eq!(meta.kind, Kind::File);
}

#[test]
fn holes_and_reserved_blocks_are_no_data() {
    let (fs, dir) = disk(SimDisk::default());
    let mut file = fs.create(dir, os("a")).unwrap();
    file.write_all(b"head").unwrap();
    file.skip(10_000_000_000_000).unwrap();
    file.write_all(b"tail").unwrap();
    assert_eq!(fs.usage().files, Bytes::new(1024));
    let mut read = fs.read(dir, os("a")).unwrap();
    assert_eq!(read.next_data(0).unwrap(), Some(0..512));
    let tail = read.next_data(512).unwrap().unwrap();
    let mut text = vec![0; usize::try_from(tail.end - tail.start).unwrap()];
    read.read_exact(&mut text).unwrap();
    assert!(text.ends_with(b"tail") && text.iter().filter(|b| **b != 0).count() == 4);
    assert_eq!(read.next_data(tail.end).unwrap(), None);
    fs.put("/d/r", Content::Reserved(4096), 0).unwrap();
    fs.put("/d/s", Content::Sparse(1 << 40), 0).unwrap();
    let stat = |name| fs.stat(dir, os(name)).unwrap().unwrap().stamp;
    assert_eq!((stat("r").len, stat("r").allocated), (0, Bytes::new(4096)));
    assert_eq!((stat("s").len, stat("s").allocated), (1 << 40, Bytes::ZERO));
    assert_eq!(fs.read(dir, os("r")).unwrap().next_data(0).unwrap(), None);
}

#[test]
fn faults_strike_the_call_they_are_planned_for_once_or_for_ever() {
    let (fs, dir) = disk(SimDisk::default());
    fs.forget();
    fs.fail_at(2, Fault::ReadOnly, Times::Once);
    assert!(make(&fs, dir, "a", b"x", false).is_err());
    assert!(fs.exists("/d/a") && fs.faults_struck() == 1);
    make(&fs, dir, "b", b"x", false).unwrap();
    fs.fail_at(fs.calls() + 1, Fault::NoSpace, Times::Forever);
    assert!(fs.stat(dir, os("b")).is_ok() && fs.remove(dir, os("b")).is_ok());
    assert!(fs.create(dir, os("c")).is_err() && fs.create(dir, os("c")).is_err());
    fs.heal();
    fs.fail_at(fs.calls() + 1, Fault::Interrupted, Times::Forever);
    let error = fs.create(dir, os("c")).err().map(|e| e.kind());
    assert_eq!(error, Some(ErrorKind::Interrupted));
    make(&fs, dir, "c", &[5; 100], false).unwrap();
    fs.heal();
    let mut file = fs.read(dir, os("c")).unwrap();
    fs.fail_at(fs.calls() + 1, Fault::Short, Times::Once);
    assert_eq!(file.read(&mut [0; 60]).unwrap(), 30);
    assert_eq!(file.read(&mut [0; 60]).unwrap(), 60);
    assert_eq!(fs.log().last().map(|call| (call.op, call.at)), Some((SimOp::Read, 30)));
}

#[test]
fn after_a_crash_nothing_happens_any_more() {
    let (fs, dir) = disk(SimDisk::default());
    let mut file = fs.create(dir, os("a")).unwrap();
    fs.remove(dir, os("a")).unwrap();
    file.write_all(b"x").unwrap();
    fs.fail_at(fs.calls() + 1, Fault::Crash, Times::Once);
    assert!(fs.remove(dir, os("b")).is_err());
    assert!(file.write(b"x").is_err() && fs.stat_dir(dir).is_err());
    drop(file);
    assert_eq!(fs.usage().unlinked, Bytes::new(512));
    let after = fs.reboot(Unsynced::Kept, 0);
    assert_eq!(after.usage().files, Bytes::ZERO);
    assert!(after.stat_dir(dir).is_err());
}

#[test]
fn a_reboot_keeps_what_was_synced_and_the_model_decides_the_rest() {
    let (fs, dir) = disk(SimDisk::default());
    fs.put("/d/old", "old", 1).unwrap();
    make(&fs, dir, "data", b"synced", true).unwrap();
    make(&fs, dir, "name", b"lost", false).unwrap();
    fs.sync_dir(dir).unwrap();
    make(&fs, dir, "nameless", b"synced", true).unwrap();
    fs.remove(dir, os("old")).unwrap();
    let kept = fs.reboot(Unsynced::Kept, 0);
    assert_eq!(names(&kept), ["data", "name", "nameless"]);
    assert_eq!(kept.content("/d/name").unwrap(), b"lost");
    let dropped = fs.reboot(Unsynced::Dropped, 0);
    assert_eq!(names(&dropped), ["data", "name", "old"]);
    assert_eq!(dropped.content("/d/data").unwrap(), b"synced");
    assert_eq!(dropped.content("/d/name").unwrap(), b"");
    assert_eq!(dropped.content("/d/old").unwrap(), b"old");
}

#[test]
fn torn_directories_have_a_prefix_of_their_changes() {
    let (fs, dir) = disk(SimDisk::default());
    fs.mkdir("/e").unwrap();
    let other = fs.open_root("/e".as_ref()).unwrap();
    for name in ["1", "2", "3"] {
        make(&fs, dir, name, b"", false).unwrap();
    }
    fs.rename(dir, os("1"), other, os("1")).unwrap();
    make(&fs, other, "2", b"", false).unwrap();
    make(&fs, dir, "4", b"", false).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let found = fs.reboot(Unsynced::Torn, seed).snapshot();
        let in_d: String =
            found.keys().filter_map(|p| p.strip_prefix("/d/").ok()?.to_str()).collect();
        let in_e: String =
            found.keys().filter_map(|p| p.strip_prefix("/e/").ok()?.to_str()).collect();
        seen.insert((in_d, in_e));
    }
    let possible = [
        ("", ""),
        ("1", ""),
        ("12", ""),
        ("123", ""),
        ("23", "1"),
        ("234", "1"),
        ("23", "12"),
        ("234", "12"),
    ];
    assert_eq!(seen, possible.map(|(d, e)| (d.to_owned(), e.to_owned())).into());
    // Syncing one side of a rename syncs what came before it on the other, and no more.
    fs.sync_dir(other).unwrap();
    assert_eq!(fs.reboot(Unsynced::Dropped, 0).snapshot().len(), 6);
}

#[test]
fn mode_and_owner_reach_the_disk_in_order_with_names() {
    let (fs, dir) = disk(SimDisk::default());
    let mut file = fs.create(dir, os("a")).unwrap();
    let attributes = Attributes { mode: Some(0o640), owner: Some((3, 4)), times: None };
    file.set_attributes(&attributes).unwrap();
    fs.rename(dir, os("a"), dir, os("b")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let after = fs.reboot(Unsynced::Torn, seed);
        let mode = |path: &str| after.meta(path).ok().map(|meta| (meta.mode, meta.gid));
        seen.insert((mode("/d/a"), mode("/d/b")));
    }
    let (new, done) = (Some((0o600, 0)), Some((0o640, 4)));
    assert_eq!(seen, [(None, None), (new, None), (done, None), (None, done)].into());
    fs.sync_dir(dir).unwrap();
    assert_eq!(fs.reboot(Unsynced::Dropped, 0).meta("/d/b").unwrap().mode, 0o640);
}

#[test]
fn torn_content_is_a_beginning_or_has_a_block_of_zeros() {
    let (fs, dir) = disk(SimDisk::default());
    let mut file = fs.create(dir, os("a")).unwrap();
    fs.sync_dir(dir).unwrap();
    file.write_all(&[1; 700]).unwrap();
    file.sync().unwrap();
    file.write_all(&[2; 2000]).unwrap();
    let whole = fs.content("/d/a").unwrap();
    let (mut cut, mut zeroed, mut all, mut none) = (0, 0, 0, 0);
    for seed in 0..200 {
        let found = fs.reboot(Unsynced::Torn, seed).content("/d/a").unwrap();
        assert_eq!(found[..700], whole[..700], "what was synced stays");
        match found.len() {
            700 => none += 1,
            2700 if found == whole => all += 1,
            2700 => zeroed += 1,
            len => {
                assert_eq!(found, whole[..len]);
                cut += 1;
            }
        }
    }
    assert!(cut > 10 && zeroed > 10 && all > 10 && none > 10);
}

#[test]
fn h54_pages_are_gone_after_an_fsync_that_failed() {
    let (fs, dir) = disk(SimDisk::default());
    let mut file = fs.create(dir, os("a")).unwrap();
    file.write_all(b"x").unwrap();
    fs.fail_at(fs.calls() + 1, Fault::Io, Times::Once);
    assert!(file.sync().is_err());
    assert!(file.sync().is_ok());
    fs.sync_dir(dir).unwrap();
    assert_eq!(fs.reboot(Unsynced::Dropped, 0).content("/d/a").unwrap(), b"");
}

#[test]
fn images_are_what_a_crash_before_that_call_leaves() {
    let run = |fs: &SimFs| -> io::Result<()> {
        let dir = fs.open_root("/d".as_ref())?;
        make(fs, dir, "a", b"x", true)?;
        fs.stat(dir, os("a"))?;
        fs.rename(dir, os("a"), dir, os("b"))?;
        fs.sync_dir(dir)
    };
    let start = || {
        let fs = SimFs::new(SimDisk::default());
        fs.mkdir("/d").unwrap();
        fs
    };
    let whole = start();
    whole.record_images();
    run(&whole).unwrap();
    let images = whole.images();
    assert_eq!(images.len(), 6);
    for image in images {
        for model in Unsynced::ALL {
            let cut = start();
            cut.fail_at(image.call(), Fault::Crash, Times::Once);
            let _ = run(&cut);
            let (a, b) = (image.reboot(model, 7), cut.reboot(model, 7));
            assert_eq!(a.snapshot(), b.snapshot(), "{model:?} before call {}", image.call());
        }
    }
}

#[test]
fn another_program_can_do_something_at_the_worst_moment() {
    let (fs, dir) = disk(SimDisk::default());
    fs.put("/d/a", Content::Fill(b'x', 2048), 0).unwrap();
    fs.interrupt(
        |call| call.op == SimOp::Read && call.at >= 1024,
        |fs| {
            fs.append("/d/a", b"more").unwrap();
        },
    );
    let mut file = fs.read(dir, os("a")).unwrap();
    let mut buffer = [0; 512];
    let mut total = 0;
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert_eq!(total, 2052);
}

#[test]
fn the_first_call_above_the_bound_is_named() {
    let (fs, dir) = disk(SimDisk::default());
    fs.assert_used_at_most(Bytes::new(512));
    make(&fs, dir, "a", &[1; 512], true).unwrap();
    assert!(fs.exceeded().is_none());
    make(&fs, dir, "b", &[1], true).unwrap();
    let (call, used) = fs.exceeded().unwrap();
    assert_eq!((call.op, used), (SimOp::Write, Bytes::new(1024)));
    assert!(call.to_string().ends_with("Write /d/b"), "{call}");
}

#[test]
fn h41_a_full_copy_on_write_disk_cannot_truncate_but_can_unlink() {
    let (fs, dir) = disk(SimDisk { copy_on_write: true, ..small(4) });
    fs.put("/d/a", "a", 0).unwrap();
    fs.fill_disk("/d/full").unwrap();
    let id = fs.stat(dir, os("a")).unwrap().unwrap().stamp.id;
    let quota = Some(ErrorKind::QuotaExceeded);
    assert_eq!(fs.truncate(dir, os("a"), &id, None).err().map(|e| e.kind()), quota);
    assert_eq!(fs.create(dir, os("b")).err().map(|e| e.kind()), quota);
    fs.remove(dir, os("a")).unwrap();
    assert!(fs.create(dir, os("b")).is_ok());
}

#[test]
fn access_control_lists_and_attributes_are_kept_and_reach_the_disk_with_the_file() {
    let (fs, dir) = disk(SimDisk::default());
    fs.put("/d/a", "a", 5).unwrap();
    let bytes = [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255];
    let acl = crate::fs::Acl::from_bytes(&bytes);
    let others = vec![("user.note".into(), b"1".to_vec())];
    let extended = crate::fs::Extended { label: Some(b"a".to_vec()), others };
    fs.set_extended("/d/a", acl.clone(), extended.clone()).unwrap();
    let source = fs.read(dir, os("a")).unwrap();
    assert_eq!((source.acl().unwrap(), source.extended().unwrap()), (acl.clone(), extended));
    let mut file = fs.create(dir, os("b")).unwrap();
    file.set_extended(&source.extended().unwrap().label_only()).unwrap();
    file.set_access(&Attributes { mode: Some(0o640), owner: None, times: None }, acl.as_ref())
        .unwrap();
    fs.sync_dir(dir).unwrap();
    let after = fs.reboot(Unsynced::Dropped, 1);
    let (found, extended) = after.extended("/d/b").unwrap();
    assert_eq!((found, extended.label, extended.others), (acl, Some(b"a".to_vec()), vec![]));
    assert_eq!(after.meta("/d/b").unwrap().mode, 0o640);
}

/// Such a loop once took 18 GB for the list of its calls.
#[test]
#[should_panic(expected = "SyncDir now: this does not end")]
fn a_loop_without_an_end_is_stopped() {
    let (fs, dir) = disk(small(1));
    fs.record_images();
    while fs.sync_dir(dir).is_ok() {}
}
