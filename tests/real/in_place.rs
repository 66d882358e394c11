//! Archives that are compressed in place on file systems that are full but for a little, and by
//! a program that is killed at every call of that.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use logquota::naming::head_name;
use logquota_tests::halves::{self, joined};
use logquota_tests::mounts::{Mount, needs, needs_root};
use logquota_tests::strace::{self, SYNCING, Strace, needs_strace};
use logquota_tests::workloads::gzip;

use crate::kill::{Cut, in_parallel, traced};
use crate::kit::{
    HOUR, Scene, assert_code, assert_tidy, file, listing, logquota, prose, said, unpacked,
    was_killed,
};

const CONFIG: &str = "LOGS/app.log {\n monthly\n rotate 9\n compress\n}\n";

/// A log with one plain archive of `kib` KiB, on a file system with no more than `gap_kib` free.
fn full(mount: &Mount, kib: usize, gap_kib: usize) -> (PathBuf, Vec<u8>) {
    let logs = mount.folder("log");
    let content = prose("app.log.1", kib << 10);
    file(&logs.join("app.log"), b"now\n", HOUR);
    file(&logs.join("app.log.1"), &content, HOUR * 24);
    fs::set_permissions(logs.join("app.log.1"), fs::Permissions::from_mode(0o640)).expect("mode");
    let gap = mount.at().join("gap");
    fs::write(&gap, vec![1; gap_kib << 10]).expect("a gap");
    fs::File::open(&gap).and_then(|gap| gap.sync_all()).expect("on the disk");
    mount.fill(false, true);
    fs::remove_file(gap).expect("a gap");
    rustix::fs::sync();
    (logs, content)
}

fn is_compressed(name: &str, mount: &Mount, kib: usize, gap_kib: usize) {
    let (logs, content) = full(mount, kib, gap_kib);
    let before = fs::metadata(logs.join("app.log.1")).expect("an archive");
    let (free, _) = mount.free();
    assert!(free < (kib as u64) << 9, "{name}: {free}");
    let scene = Scene::new();
    let output = logquota(scene.config(&logs, CONFIG));
    let seen = || format!("{name}: {free} free: {}\n{}", said(&output), listing(&logs));
    assert_eq!(output.status.code(), Some(0), "{}", seen());
    assert_tidy(&logs, &seen());
    let packed = logs.join("app.log.1.gz");
    assert!(packed.exists() && !logs.join("app.log.1").exists(), "{}", seen());
    assert!(unpacked(&packed) == content, "{}", seen());
    let after = fs::metadata(&packed).expect("an archive");
    assert_eq!(
        (after.mode(), after.mtime(), after.mtime_nsec()),
        (before.mode(), before.mtime(), before.mtime_nsec())
    );
    rustix::fs::sync();
    assert!(mount.free().0 > (kib as u64) << 9, "{:?} {}", mount.free(), seen());
}

#[test]
fn a_tmpfs_with_64_kib_free_has_its_archive_compressed_in_place() {
    if needs_root() {
        return;
    }
    is_compressed("tmpfs", &Mount::tmpfs("size=8m,mode=0755"), 3000, 64);
}

#[test]
fn an_ext4_with_64_kib_free_has_its_archive_compressed_in_place() {
    if needs_root() || needs(&["mkfs.ext4"]) {
        return;
    }
    is_compressed("ext4", &Mount::ext4(16, &[], ""), 3000, 64);
    is_compressed("ext4, small inodes", &Mount::ext4(16, &["-I", "128"], ""), 3000, 64);
}

#[test]
fn a_full_xfs_has_its_archive_compressed_in_place() {
    if needs_root() || needs(&["mkfs.xfs"]) {
        return;
    }
    is_compressed("xfs", &Mount::image("mkfs.xfs", &["-q", "-f"], 320, ""), 6000, 512);
}

/// Shown, and done by `free`: three archives, of which compression in place spares the oldest.
#[test]
fn on_a_full_disk_free_compresses_in_place_before_anything_goes() {
    if needs_root() {
        return;
    }
    let mount = Mount::tmpfs("size=12m,mode=0755");
    let logs = mount.folder("log");
    for number in 2..=4 {
        let name = format!("app.log.{number}");
        file(&logs.join(&name), &prose(&name, 1500 << 10), HOUR * 24 * number);
    }
    let (logs, content) = full(&mount, 3000, 64);
    let scene = Scene::new();
    let config = scene.config(&logs, CONFIG).pop().expect("a configuration");
    let free = |more: &[&str]| {
        let args = ["free", "2M", "--max-fraction", "1", "--config"].map(OsString::from);
        let more = more.iter().map(OsString::from);
        logquota(args.into_iter().chain([config.clone()]).chain(more))
    };
    let shown = free(&[]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("Compress in place, a piece at a time"), "{}", said(&shown));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let done = free(&["--yes", "--host", &host]);
    let seen = || format!("{}\n{}\n{}", said(&shown), said(&done), listing(&logs));
    assert_eq!(done.status.code(), Some(0), "{}", seen());
    assert!(mount.free().0 >= 2 << 20, "{}", seen());
    assert!(logs.join("app.log.4").exists(), "nothing had to go: {}", seen());
    assert!(unpacked(&logs.join("app.log.1.gz")) == content, "{}", seen());
    println!("{}", seen());
}

/// Btrfs gives the blocks of a piece back when nothing is left of what was written at once: what
/// has no room then stays half done, whole, and goes as one.
#[test]
fn on_btrfs_an_archive_that_cannot_be_finished_is_whole_all_the_same() {
    if needs_root() || needs(&["mkfs.btrfs"]) {
        return;
    }
    let mount = Mount::image("mkfs.btrfs", &["-q", "-f"], 256, "");
    let (logs, content) = full(&mount, 6000, 1024);
    let scene = Scene::new();
    let args = scene.config(&logs, CONFIG);
    let output = logquota(&args);
    let seen = || format!("{}\n{}", said(&output), listing(&logs));
    assert_eq!(output.status.code(), Some(0), "{}", seen());
    assert!(whole(&logs) == Ok(content.clone()), "{}", seen());
    fs::remove_file(mount.at().join("foreign.bin")).expect("room");
    rustix::fs::sync();
    assert_code(&logquota(&args), 0);
    assert_tidy(&logs, &seen());
    assert!(unpacked(&logs.join("app.log.1.gz")) == content, "{}", listing(&logs));
}

/// Where nothing can be punched out, nothing is lost by trying.
#[test]
fn where_the_file_system_cannot_punch_holes_the_archive_stays_plain() {
    if needs_root() || needs_strace() {
        return;
    }
    let mount = Mount::tmpfs("size=8m,mode=0755");
    let (logs, content) = full(&mount, 3000, 256);
    let scene = Scene::new();
    let strace = Strace::new().serial().inject("fallocate:error=EOPNOTSUPP");
    let output = traced(&strace, &scene, &scene.config(&logs, CONFIG));
    let calls = strace::calls(&scene.path("trace"));
    assert_eq!(calls.iter().filter(|call| call.name == "fallocate").count(), 1);
    assert_eq!(output.status.code(), Some(0), "{}\n{}", said(&output), listing(&logs));
    assert!(fs::read(logs.join("app.log.1")).expect("it is there") == content);
    assert_tidy(&logs, &listing(&logs));
}

/// What is left of a source at the end has no content, but the block of an attribute that did not
/// fit into its inode; and its suffix is not what the configuration asks for by now.
#[test]
fn what_is_left_of_a_source_goes_also_with_a_large_attribute_and_another_suffix() {
    if needs_root() || needs(&["mkfs.ext4", "mkfs.xfs"]) {
        return;
    }
    let large = [b'x'; 700];
    for (name, mount) in [
        ("ext4", Mount::ext4(16, &["-I", "256"], "")),
        ("xfs", Mount::image("mkfs.xfs", &["-q", "-f"], 320, "")),
    ] {
        let logs = mount.folder("log");
        let content = prose("app.log.1", 300 << 10);
        file(&logs.join("app.log"), b"now\n", HOUR);
        file(&logs.join("app.log.1.gz"), &gzip(&content), HOUR * 24);
        let plain = logs.join("app.log.1");
        for is_hollow in [true, false] {
            file(&plain, b"", HOUR * 24);
            let source = fs::File::options().write(true).open(&plain).expect("a file");
            source.set_len(300 << 10).expect("a length");
            if !is_hollow {
                // The first and only block.
                fs::File::options()
                    .write(true)
                    .open(&plain)
                    .expect("a file")
                    .write_all(b"mine")
                    .expect("room");
            }
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(&plain, "user.note", &large, flags).expect("an attribute");
            let time = fs::metadata(logs.join("app.log.1.gz")).and_then(|m| m.modified());
            source.set_modified(time.expect("a time")).expect("a time");
            assert!(fs::metadata(&plain).expect("its inode").blocks() > 0, "{name}");
            let scene = Scene::new();
            let text =
                CONFIG.replace("compress\n", "compress\n compressext .zst\n compresscmd zstd\n");
            let output = logquota(scene.config(&logs, &text));
            let seen = || format!("{name}: {}\n{}", said(&output), listing(&logs));
            assert_eq!(output.status.code(), Some(0), "{}", seen());
            // Content is never taken for none: it stays, or is compressed beside the other one.
            let is_there = plain.exists() || logs.join("app.log.1.zst").exists();
            assert_eq!(is_there, !is_hollow, "{}", seen());
            assert!(unpacked(&logs.join("app.log.1.gz")) == content, "{}", seen());
        }
    }
}

/// The archive, from whatever it is in.
fn whole(logs: &Path) -> Result<Vec<u8>, String> {
    let plain = fs::read(logs.join("app.log.1"));
    let head = fs::read(logs.join(head_name("app.log.1.gz".as_ref())));
    match (logs.join("app.log.1.gz").exists(), head, plain) {
        (true, Err(_), _) => Ok(unpacked(&logs.join("app.log.1.gz"))),
        (false, Err(_), Ok(plain)) => Ok(plain),
        (false, Ok(head), Ok(plain)) => joined(&halves::unpacked(&head), plain),
        (packed, head, plain) => Err(format!("{packed} {} {}", head.is_ok(), plain.is_ok())),
    }
}

#[test]
fn h52_killed_at_any_call_of_a_compression_in_place_the_archive_is_whole_and_the_next_run_ends_it()
{
    if needs_root() || needs_strace() {
        return;
    }
    let disk = || {
        let mount = Mount::tmpfs("size=2m,mode=0755");
        let (logs, content) = full(&mount, 400, 40);
        let scene = Scene::new();
        let args = scene.config(&logs, CONFIG);
        (mount, logs, content, scene, args)
    };
    let cuts: Vec<Cut> = {
        let (_mount, logs, content, scene, args) = disk();
        let output = traced(&Strace::new().serial(), &scene, &args);
        assert_code(&output, 0);
        assert!(unpacked(&logs.join("app.log.1.gz")) == content, "{}", listing(&logs));
        let calls = strace::calls(&scene.path("trace"));
        assert_eq!(calls.iter().filter(|call| call.name == "fallocate").count(), 7);
        let is_cut = |call: &&strace::Call| call.changes_files() || SYNCING.contains(&&*call.name);
        let cut = |call: &strace::Call| Cut { call: call.name.clone(), number: call.number };
        calls.iter().filter(is_cut).map(cut).collect()
    };
    in_parallel(&cuts, |cut| {
        let about = format!("killed at {} {}", cut.call, cut.number);
        let (_mount, logs, content, scene, args) = disk();
        let output = traced(&Strace::new().serial().kill_at(&cut.call, cut.number), &scene, &args);
        assert!(was_killed(&output), "{about}: {}", said(&output));
        let left = listing(&logs);
        assert!(whole(&logs) == Ok(content.clone()), "{about}: {left}");
        let output = logquota(&args);
        assert_eq!(output.status.code(), Some(0), "{about}: {}\n{left}", said(&output));
        assert_tidy(&logs, &format!("{about}\n{left}"));
        assert!(unpacked(&logs.join("app.log.1.gz")) == content, "{about}\n{left}");
    });
}
