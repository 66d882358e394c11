//! Logs that are appended to, on real file systems: blocks set aside, and room that is still taken.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use logquota::Bytes;
use logquota::fs::os::OsFs;
use logquota::fs::{AppendFile, Attributes, ReadFs as _, WriteFs as _};
use logquota_tests::mounts::{Mount, needs, needs_root};

const MIB: u64 = 1 << 20;

type Disk = (&'static str, fn() -> Mount);

const DISKS: [Disk; 4] = [
    ("tmpfs", || Mount::tmpfs("size=16m")),
    ("ext4", || Mount::ext4(24, &[], "")),
    ("xfs", || Mount::image("mkfs.xfs", &["-q", "-f"], 320, "")),
    ("btrfs", || Mount::image("mkfs.btrfs", &["-q", "-f"], 160, "")),
];

/// On each file system that can be made here, an empty folder.
fn on_each(test: impl Fn(&str, &Mount, &Path)) {
    if needs_root() {
        return;
    }
    for (name, mount) in DISKS {
        let program = format!("mkfs.{name}");
        if name != "tmpfs" && needs(&[&program]) {
            continue;
        }
        let mount = mount();
        let folder = mount.folder("logs");
        test(name, &mount, &folder);
    }
}

fn make(folder: &Path, name: &str) -> Box<dyn AppendFile> {
    let os = OsFs::new();
    let dir = os.open_root(folder).expect("the folder");
    let made = os.open_log(dir, OsStr::new(name), Some(&Attributes::default()));
    made.expect("a new log")
}

fn blocks(path: &Path) -> u64 {
    fs::metadata(path).expect("a look").blocks() * 512
}

/// What is free once the file system has done what it puts off.
fn free(mount: &Mount) -> u64 {
    let root = File::open(mount.at()).expect("the root");
    rustix::fs::syncfs(root).expect("flushed");
    mount.free().0
}

/// Appends until the disk is full; says how much it was.
fn append_all(log: &dyn AppendFile, chunk: &[u8], at_most: u64) -> u64 {
    let mut len = 0;
    while len < at_most {
        match log.append(chunk) {
            Ok(count) => len += u64::try_from(count).expect("a length"),
            Err(error) => {
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded));
                break;
            }
        }
    }
    len
}

#[test]
fn what_is_reserved_is_gone_from_the_disk_and_comes_back_by_trimming() {
    on_each(|name, mount, folder| {
        let log = make(folder, "a.log");
        let path = folder.join("a.log");
        log.append(&[b'x'; 5000]).expect("an append");
        let before = free(mount);
        log.reserve(Bytes::mib(4)).expect("room");
        assert!(blocks(&path) >= 4 * MIB, "{name}");
        assert!(before - free(mount) > 3 * MIB, "{name}");
        log.trim().expect("trimmed");
        assert!(blocks(&path) < 128 << 10, "{name}: {}", blocks(&path));
        assert!(before - free(mount).min(before) < 128 << 10, "{name}");
        log.reserve(Bytes::mib(4)).expect("room");
        log.append(&[b'y'; 5000]).expect("an append");
        log.cut(5000).expect("cut");
        assert!(blocks(&path) < 128 << 10, "{name}: {}", blocks(&path));
        assert_eq!(fs::read(&path).expect("it"), [b'x'; 5000], "{name}");
    });
}

#[test]
fn h41_what_is_reserved_can_be_written_on_a_full_disk() {
    on_each(|name, mount, folder| {
        let log = make(folder, "a.log");
        log.reserve(Bytes::mib(2)).expect("room");
        mount.fill(false, true);
        // btrfs writes a block that is there already to another place, and needs room for it.
        let chunk = if name == "btrfs" { 4096 } else { 1024 };
        assert_eq!(append_all(&*log, &vec![b'x'; chunk], 2 * MIB), 2 * MIB, "{name}");
        log.sync().expect("flushed");
    });
}

#[test]
fn h41_a_reservation_that_does_not_fit_can_be_given_back() {
    on_each(|name, mount, folder| {
        let log = make(folder, "a.log");
        log.append(b"hello\n").expect("an append");
        log.sync().expect("flushed");
        let before = free(mount);
        let error = log.reserve(Bytes::gib(2)).map_err(|error| error.kind());
        assert_eq!(error, Err(ErrorKind::StorageFull), "{name}");
        println!("{name}: {} stayed", blocks(&folder.join("a.log")));
        log.trim().expect("trimmed");
        assert!(before - free(mount).min(before) < 256 << 10, "{name}");
        log.append(b"world\n").expect("an append");
    });
}

#[test]
fn h41_a_full_disk_takes_a_part_which_can_be_taken_back() {
    on_each(|name, mount, folder| {
        let log = make(folder, "a.log");
        log.append(b"hello\n").expect("an append");
        log.sync().expect("flushed");
        mount.fill(false, true);
        let len = 6 + append_all(&*log, &[b'x'; 1 << 20], 512 * MIB);
        assert_eq!(log.meta().expect("a look").stamp.len, len, "{name}");
        // On a full btrfs even that may need room.
        if name != "btrfs" {
            log.cut(6).expect("cut");
            assert_eq!(fs::read(folder.join("a.log")).expect("it"), b"hello\n", "{name}");
        }
    });
}

#[test]
fn h45_an_unlinked_log_keeps_its_blocks_until_it_is_closed() {
    on_each(|name, mount, folder| {
        let log = make(folder, "a.log");
        let before = free(mount);
        assert_eq!(append_all(&*log, &[b'x'; 1 << 20], 6 * MIB), 6 * MIB);
        log.sync().expect("flushed");
        fs::remove_file(folder.join("a.log")).expect("deleted");
        assert!(before - free(mount) > 5 * MIB, "{name}: its blocks are still taken");
        assert_eq!(log.meta().expect("a look").stamp.nlink, 0, "{name}");
        drop(log);
        // XFS frees them in its own time, soon.
        let is_free = |_| before - free(mount).min(before) < MIB;
        assert!((0..10_000).any(is_free), "{name}: they are free");
    });
}
