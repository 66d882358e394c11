//! The ballast on real file systems: made, kept against a disk that others fill to the last block,
//! given up, and made again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use logquota::ballast::TEXT;
use logquota::{Appender, Bytes};
use logquota_tests::mounts::{Mount, needs, needs_root};

use crate::kit::{HOUR, Scene, assert_code, listing, logquota, noise, said};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 4 * MIB;

type Disk = (&'static str, fn() -> Mount);

const DISKS: [Disk; 4] = [
    ("tmpfs", || Mount::tmpfs("size=24m")),
    ("ext4", || Mount::ext4(32, &[], "")),
    ("xfs", || Mount::image("mkfs.xfs", &["-q", "-f"], 320, "")),
    ("btrfs", || Mount::image("mkfs.btrfs", &["-q", "-f"], 160, "")),
];

const CONFIG: &str = "ballast 4M\nreserve 1M\nLOGS/*.log {\n rotate 9\n size 20M\n missingok\n}\n";

/// On each file system that can be made here.
fn on_each(test: impl Fn(&str, &Mount)) {
    if needs_root() {
        return;
    }
    for (name, mount) in DISKS {
        if name != "tmpfs" && needs(&[&format!("mkfs.{name}")]) {
            continue;
        }
        test(name, &mount());
    }
}

/// What is free once the file system has done what it puts off.
fn free(mount: &Mount) -> u64 {
    let root = File::open(mount.at()).expect("the root");
    // On a full btrfs that may fail.
    let _ = rustix::fs::syncfs(root);
    mount.free().0
}

fn kept(folder: &Path) -> u64 {
    let found = fs::symlink_metadata(folder.join(".logquota/ballast"));
    found.map_or(0, |found| found.blocks() * 512)
}

fn logs(mount: &Mount) -> std::path::PathBuf {
    let folder = mount.folder("log");
    let file = |name: &str, kib: usize, age: u32| {
        crate::kit::file(&folder.join(name), &noise(name, kib << 10), HOUR * 24 * age + HOUR);
    };
    file("app.log", 300, 0);
    (1..=3).for_each(|number| file(&format!("app.log.{number}"), 300, number));
    folder
}

fn archives(folder: &Path) -> usize {
    (1..=3).filter(|number| folder.join(format!("app.log.{number}")).exists()).count()
}

/// The arguments of a run, with another verb and more.
fn other(run: &[OsString], words: &[&str]) -> Vec<OsString> {
    let config = run.last().expect("a configuration").clone();
    words.iter().map(OsString::from).chain(["--config".into(), config]).collect()
}

#[test]
fn a_run_makes_it_gives_it_up_on_a_full_disk_and_makes_it_again() {
    on_each(|name, mount| {
        let scene = Scene::new();
        let folder = logs(mount);
        let run = scene.config(&folder, CONFIG);
        let done = logquota(&run);
        let seen = |done| format!("{name}: {}\n{}", said(done), listing(&folder));
        assert_eq!(done.status.code(), Some(0), "{}", seen(&done));
        assert!(kept(&folder) >= SIZE, "{}", seen(&done));
        let (file, dir) = (folder.join(".logquota/ballast"), folder.join(".logquota"));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o7777;
        assert_eq!((mode(&file), mode(&dir)), (0o600, 0o700));
        assert!(fs::read(&file).expect("its content").starts_with(TEXT));
        let inode = fs::metadata(&file).expect("there").ino();

        // Full to the last block: it stays what it is until somebody needs it.
        mount.fill(false, true);
        assert!(mount.free().0 < MIB, "{name}: {}", mount.free().0);
        assert_eq!(fs::metadata(&file).expect("there").ino(), inode);
        let done = logquota(&run);
        assert_eq!(done.status.code(), Some(0), "{}", seen(&done));
        assert_eq!((kept(&folder), archives(&folder)), (0, 3), "{}", seen(&done));
        assert!(free(mount) >= MIB, "{} {}", free(mount), seen(&done));
        // One can log in, and log.
        fs::write(mount.at().join("login"), vec![1; 1 << 20]).expect("room");
        let status = logquota(other(&run, &["status"]));
        let text: Vec<_> = said(&status).split_whitespace().map(str::to_owned).collect();
        let text = text.join(" ");
        assert!(text.contains("none of 4.0 MiB: released since"), "{text}");

        fs::remove_file(mount.at().join("foreign.bin")).expect("room");
        let _ = free(mount);
        let done = logquota(&run);
        assert_eq!(done.status.code(), Some(0), "{}", seen(&done));
        assert!(kept(&folder) >= SIZE, "{}", seen(&done));
        let done = logquota(&run);
        assert!(said(&done).contains("nothing to do"), "{}", seen(&done));
    });
}

#[test]
fn free_counts_on_it_before_any_archive() {
    on_each(|name, mount| {
        let scene = Scene::new();
        let folder = logs(mount);
        let run = scene.config(&folder, CONFIG);
        assert_code(&logquota(&run), 0);
        mount.fill(false, true);
        let words = ["free", "2M", "--max-fraction", "1"];
        let shown = logquota(other(&run, &words));
        let text = said(&shown);
        assert_eq!(shown.status.code(), Some(0), "{name}: {text}");
        let line = text.lines().find(|line| line.starts_with(" 1. ")).unwrap_or_default();
        assert!(line.contains("Release the ballast"), "{name}: {text}");
        assert!(!text.contains("Delete archives"), "{name}: {text}");
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let words = [&words[..], &["--yes", "--host", &host]].concat();
        let done = logquota(other(&run, &words));
        assert_eq!(done.status.code(), Some(0), "{name}: {}", said(&done));
        assert!(said(&done).contains("4.0 MiB of ballast released"), "{}", said(&done));
        assert_eq!((kept(&folder), archives(&folder)), (0, 3), "{name}");
        assert!(free(mount) >= 2 * MIB, "{name}");
    });
}

#[test]
fn h37_an_appender_on_a_full_disk_loses_nothing_while_the_ballast_lasts() {
    on_each(|name, mount| {
        let folder = mount.folder("log");
        let builder = Appender::builder(folder.join("app.log")).rotate_at(Bytes::kib(256));
        let builder = builder.quota(Bytes::mib(8)).ballast(Bytes::new(SIZE)).background(false);
        let log = builder.open().expect("a log");
        assert!(kept(&folder) >= SIZE, "{name}");
        let line = [b'x'; 1023];
        let write = |count: u32| {
            for _ in 0..count {
                let mut record = line.to_vec();
                record.push(b'\n');
                log.write_record(&record).map(drop).unwrap_or_else(|e| {
                    panic!("{name}: {e}, {:?} are free\n{}", mount.free(), listing(&folder))
                });
            }
        };
        write(1000);
        mount.fill(false, true);
        write(1500);
        assert_eq!(kept(&folder), 0, "{name}");
        let stats = log.close().expect("closed");
        assert_eq!((stats.evicted_files, stats.dropped.total()), (0, 0), "{name}: {stats:?}");
        assert_eq!(stats.written, 2500);
    });
}

#[test]
fn h57_on_a_full_disk_a_file_that_is_not_ours_stays() {
    on_each(|name, mount| {
        let scene = Scene::new();
        let folder = logs(mount);
        let run = scene.config(&folder, CONFIG);
        let dir = folder.join(".logquota");
        fs::create_dir(&dir).expect("a folder");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("its mode");
        let mut file = File::create_new(dir.join("ballast")).expect("a file");
        file.write_all(&vec![7; 1 << 20]).expect("content");
        mount.fill(false, true);
        let done = logquota(&run);
        // The reserve is not met, and that is told first.
        assert!(matches!(done.status.code(), Some(1 | 6)), "{name}: {}", said(&done));
        assert!(said(&done).contains("no ballast is kept here"), "{name}: {}", said(&done));
        assert_eq!(fs::read(dir.join("ballast")).expect("there"), vec![7; 1 << 20], "{name}");
    });
}
