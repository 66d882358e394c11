//! Somebody swaps a folder for a link while we work.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use logquota::apply::{NoHooks, Options, apply};
use logquota::fs::ReadFs as _;
use logquota::fs::os::{OsFs, Tree};
use logquota::policy::Codec;
use logquota::{Bytes, Config, SetSpec};
use logquota_tests::canary::Canary;
use rustix::fs::{CWD, RenameFlags};

use super::{look, numbered, run, write};

/// What the kernel's own test of `openat2` does.
const RESOLUTIONS: u32 = 400_000;

/// Resolves a name again and again while it is a folder in one moment and a link to the
/// outside in the next; every folder we get must be the one inside.
fn resolve_while_swapped(os: &OsFs) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    fs::create_dir_all(path.join("root/sub")).expect("folders");
    fs::create_dir(path.join("outside")).expect("a folder");
    write(path.join("root/sub/inside"), "");
    write(path.join("outside/secret"), "");
    symlink("../outside", path.join("root/link")).expect("a link");
    let (sub, link) = (path.join("root/sub"), path.join("root/link"));
    let is_over = AtomicBool::new(false);
    let (mut inside, mut refused, mut escapes) = (0u32, 0u32, 0u32);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &sub, CWD, &link, RenameFlags::EXCHANGE)
                    .expect("swapped");
            }
        });
        let root = os.open_root(&path.join("root")).expect("the root");
        for round in 0..RESOLUTIONS {
            match os.open_dir(root, OsStr::new("sub")) {
                Ok(dir) => {
                    inside += 1;
                    let secret = os.stat(dir, OsStr::new("secret")).expect("a look");
                    let mut listed_secret = false;
                    if round % 64 == 0 {
                        os.list(dir, &mut |name, _| listed_secret |= name == "secret")
                            .expect("a listing");
                    }
                    escapes += u32::from(secret.is_some() || listed_secret);
                    os.close_dir(dir);
                }
                Err(_) => refused += 1,
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{inside} inside, {refused} refused, {escapes} escapes");
    assert_eq!(escapes, 0);
    assert!(inside > 0, "the folder was never reached");
    assert!(refused > 0, "it was never a link, so nothing was tried");
}

#[test]
fn h02_400_000_resolutions_while_a_folder_is_swapped_for_a_link_never_escape() {
    resolve_while_swapped(&OsFs::new());
}

#[test]
fn h02_nor_do_they_without_openat2() {
    resolve_while_swapped(&OsFs::without_openat2());
}

/// A path on the disk of another machine, whose links mean what they mean there.
#[test]
fn h02_100_000_paths_on_another_machines_disk_never_lead_out_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    fs::create_dir_all(path.join("disk/var/log")).expect("folders");
    fs::create_dir(path.join("disk/etc")).expect("a folder");
    fs::create_dir(path.join("outside")).expect("a folder");
    write(path.join("disk/var/log/inside"), "");
    write(path.join("outside/secret"), "");
    let tree = Tree::mounted(&path.join("disk")).expect("a disk");
    let os = OsFs::within(tree);
    let log = path.join("disk/var/log");
    for leads in [path.join("outside"), "../../../outside".into(), "..".into()] {
        let link = path.join("disk/var/link");
        symlink(&leads, &link).expect("a link");
        let is_over = AtomicBool::new(false);
        let (mut inside, mut refused, mut escapes) = (0u32, 0u32, 0u32);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    rustix::fs::renameat_with(CWD, &log, CWD, &link, RenameFlags::EXCHANGE)
                        .expect("swapped");
                }
            });
            for round in 0..100_000 {
                let name = ["/var/log", "/var/../var/log/", "/../../var/log"][round % 3];
                let Ok(dir) = os.open_root(Path::new(name)) else {
                    refused += 1;
                    continue;
                };
                let secret = os.stat(dir, OsStr::new("secret")).expect("a look");
                escapes += u32::from(secret.is_some());
                inside += 1;
                os.close_dir(dir);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        println!("{}: {inside} inside, {refused} refused", leads.display());
        assert_eq!(escapes, 0, "{}", leads.display());
        assert!(inside > 0 && (refused > 0 || leads.ends_with("..")));
        let is_link = fs::symlink_metadata(&log).expect("it").is_symlink();
        fs::remove_file(if is_link { &log } else { &link }).expect("removed");
        if is_link {
            fs::rename(&link, &log).expect("renamed");
        }
    }
}

/// The folder is swapped between the scan and the first deletion.
#[test]
fn h02_a_folder_that_is_swapped_after_the_scan_leads_nowhere() {
    for os in [OsFs::new(), OsFs::without_openat2()] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let mut canary = Canary::new(&path.join("outside"));
        canary.remember();
        fs::create_dir_all(path.join("root/sub")).expect("folders");
        for name in ["app.log", "app.log.1", "app.log.2.gz"] {
            write(path.join("root/sub").join(name), vec![b'x'; 20_000]);
        }
        let policy = numbered(Bytes::kib(24)).compress(Codec::Gzip);
        let config = Config::single(SetSpec::pattern(path.join("root/*/*.log"), policy));
        let (_, plan) = look(&os, &config, false);
        assert!(plan.steps.iter().any(|s| s.action.name() == "delete"), "{plan:#?}");
        fs::rename(path.join("root/sub"), path.join("root/moved")).expect("moved");
        symlink("../outside", path.join("root/sub")).expect("a link");
        apply(&plan, &os, &mut NoHooks, &Options { threads: 1 });
        assert_eq!(canary.changes(), Vec::<String>::new());
    }
}

/// The same while whole runs go on; the link leads to where all the same names are.
#[test]
fn h02_runs_while_a_folder_is_swapped_touch_nothing_outside() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let mut canary = Canary::new(&path.join("outside"));
    canary.remember();
    fs::create_dir_all(path.join("root/sub")).expect("folders");
    symlink("../outside", path.join("root/link")).expect("a link");
    let (sub, link) = (path.join("root/sub"), path.join("root/link"));
    // Whatever it is called at the moment.
    let held = fs::File::open(&sub).expect("the folder");
    let inside = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let is_over = AtomicBool::new(false);
    let mut rotated = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &sub, CWD, &link, RenameFlags::EXCHANGE)
                    .expect("swapped");
                std::thread::yield_now();
            }
        });
        let policy = numbered(Bytes::kib(64)).compress(Codec::Gzip);
        let config = Config::single(SetSpec::directory(path.join("root"), policy));
        for _ in 0..200 {
            write(inside.join("app.log"), vec![b'x'; 20_000]);
            rotated += run(&OsFs::new(), &config, true).plan.steps.len();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(rotated > 0, "no run ever found the folder");
    assert_eq!(canary.changes(), Vec::<String>::new());
}
