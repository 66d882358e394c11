//! One hazard each.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use logquota::fs::os::OsFs;
use logquota::inventory::Blocked;
use logquota::naming::{head_name, temporary_name};
use logquota::policy::{Codec, Method};
use logquota::scan::scan;
use logquota::{Bytes, Config, Policy, SetSpec};
use logquota_tests::canary::{Canary, look, look_at_tree};
use logquota_tests::tree::{has, names, sparse};
use rustix::mount::{MountFlags, UnmountFlags};

use super::{folder_config, is_root, numbered, run, run_unchecked, within_patience, write};

const METHODS: [Method; 4] =
    [Method::Rename, Method::Copy, Method::CopyTruncate, Method::RenameCopy];

#[test]
fn h01_a_log_that_is_a_link_is_passed_over_whatever_the_method() {
    for method in METHODS {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        let mut canary = Canary::new(&folder.path().join("outside"));
        fs::create_dir(&root).expect("a folder");
        symlink(canary.root().join("secret"), root.join("app.log")).expect("a link");
        symlink(canary.root().join("app.log.1"), root.join("app.log.1")).expect("a link");
        symlink(canary.root().join("app.log"), root.join("b.log.1")).expect("a link");
        write(root.join("b.log"), "content\n");
        canary.remember();
        let mut policy = numbered(Bytes::kib(64)).compress(Codec::Gzip);
        policy.method = method;
        run(&OsFs::new(), &folder_config(&root, policy), true);
        assert_eq!(canary.changes(), Vec::<String>::new(), "{method:?}");
        for name in ["app.log", "app.log.1", "b.log.1"] {
            let link = fs::symlink_metadata(root.join(name)).expect("still there");
            assert!(link.is_symlink(), "{name}");
        }
    }
}

#[test]
fn h03_paths_that_climb_out_select_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    fs::create_dir(&root).expect("a folder");
    write(folder.path().join("out.log"), "x");
    for pattern in ["../*.log", "./../out.log", "*/../../out.log", "\0.log"] {
        let mut path = root.clone().into_os_string();
        path.push("/");
        path.push(pattern);
        let mut policy = numbered(Bytes::kib(64));
        policy.missing_ok = true;
        let config = Config::single(SetSpec::pattern(path, policy));
        let done = run(&OsFs::new(), &config, true);
        assert!(done.plan.steps.is_empty(), "{pattern:?}");
        assert!(done.inventory.notes.iter().any(|note| note.is_error), "{pattern:?}");
    }
    assert_eq!(names(folder.path()), ["out.log", "root"]);
}

#[test]
fn h04_a_file_system_that_is_mounted_inside_is_not_ours() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("mnt")).expect("folders");
    write(root.join("app.log"), "x");
    let mount = root.join("mnt");
    if rustix::mount::mount("none", &mount, "tmpfs", MountFlags::empty(), None).is_err() {
        println!("skipped: may not mount");
        return;
    }
    for name in ["big.log", "big.log.1"] {
        write(mount.join(name), vec![b'x'; 100_000]);
    }
    // A log that is itself a mount point, as containers have them.
    write(root.join("bound.log"), "");
    rustix::mount::mount_bind(root.join("app.log"), root.join("bound.log")).expect("mounted");
    let before = look_at_tree(&mount);
    let config = Config::single(SetSpec::directory(&root, numbered(Bytes::kib(16))));
    let done = std::panic::catch_unwind(|| run(&OsFs::new(), &config, false));
    let after = look_at_tree(&mount);
    for mounted in [root.join("bound.log"), mount] {
        rustix::mount::unmount(&mounted, UnmountFlags::DETACH).expect("unmounted");
    }
    let done = done.expect("a run");
    assert_eq!(before, after);
    assert!(done.inventory.notes.iter().any(|note| note.path.ends_with("mnt")));
    let logs = &done.inventory.sets[0].logs;
    assert_eq!(logs.iter().map(|log| &log.name).collect::<Vec<_>>(), ["app.log", "bound.log"]);
    assert!(matches!(logs[1].blocked, Some(Blocked::Unreadable { .. })));
}

#[test]
fn h05_a_hard_link_to_a_sensitive_file_gives_it_to_nobody() {
    for method in METHODS {
        for allow in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().join("root");
            let mut canary = Canary::new(&folder.path().join("outside"));
            fs::create_dir(&root).expect("a folder");
            for name in ["app.log", "b.log.1", "b.log.2.gz"] {
                fs::hard_link(canary.root().join("secret"), root.join(name)).expect("a link");
            }
            write(root.join("b.log"), "content\n");
            canary.remember();
            let mut policy = numbered(Bytes::kib(64)).compress(Codec::Gzip);
            policy.method = method;
            // Who allows several names and truncation asks for the file to be emptied.
            policy.allow_hard_links = allow && method != Method::CopyTruncate;
            run_unchecked(&OsFs::new(), &folder_config(&root, policy), true);
            assert_eq!(canary.changes(), Vec::<String>::new(), "{method:?} {allow}");
        }
    }
}

#[test]
fn h06_three_names_of_one_file_are_counted_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    write(path.join("app.log.1"), vec![b'x'; 4 << 20]);
    for name in ["app.log.2", "app.log.3"] {
        fs::hard_link(path.join("app.log.1"), path.join(name)).expect("a link");
    }
    let config = Config::single(SetSpec::directory(path, numbered(Bytes::gib(1))));
    let inventory = scan(&OsFs::new(), &config, &|_| None).expect("a scan");
    let used = inventory.sets[0].used();
    assert!(used >= Bytes::mib(4) && used < Bytes::mib(5), "{used}");
    assert_eq!(inventory.sets[0].files(), 1);
}

#[test]
fn h06_a_scan_during_a_storm_of_renames_sees_no_less_without_saying_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    write(path.join("app.log"), "x");
    for n in [10, 20, 30] {
        write(path.join(format!("app.log.{n}")), vec![b'x'; 1 << 20]);
    }
    let config = folder_config(path, numbered(Bytes::gib(1)));
    let truth = scan(&OsFs::new(), &config, &|_| None).expect("a scan").sets[0].used();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for (from, to) in [(10, 9), (20, 19), (30, 31), (9, 10), (19, 20), (31, 30)] {
                    let name = |n: u32| path.join(format!("app.log.{n}"));
                    fs::rename(name(from), name(to)).expect("renamed");
                }
            }
        });
        for _ in 0..300 {
            let inventory = scan(&OsFs::new(), &config, &|_| None).expect("a scan");
            let used = inventory.sets[0].used();
            let is_unsure = inventory.notes.iter().any(|note| note.why.contains("renamed"));
            assert!(used == truth || is_unsure, "{used} of {truth}: {:#?}", inventory.notes);
            assert!(used <= truth, "{used} of {truth}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn h07_h08_sparse_and_reserved_files_count_by_their_blocks() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_owned();
    sparse(&root.join("sparse.log"), 10 << 40);
    sparse(&root.join("big.log"), 5 << 30);
    sparse(&root.join("big.log.1"), 5 << 30);
    let reserved = fs::File::create(root.join("reserved.log")).expect("a file");
    let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
    let has_blocks = rustix::fs::fallocate(&reserved, flags, 0, 4 << 20).is_ok();
    for method in METHODS {
        let mut policy = numbered(Bytes::mib(16)).compress(Codec::Zstd);
        policy.method = method;
        let config = folder_config(&root, policy);
        let done = within_patience(move || run(&OsFs::new(), &config, true));
        let set = &done.inventory.sets[0];
        assert!(set.used() < Bytes::mib(16), "{}", set.used());
        let len = |name: &str| {
            let log = set.logs.iter().find(|log| log.name == name).expect(name);
            log.active.map_or(0, |meta| meta.stamp.len)
        };
        if method == Method::Rename {
            assert!(!has_blocks || set.used() >= Bytes::mib(4), "{}", set.used());
            assert_eq!((len("sparse.log"), len("big.log")), (10 << 40, 5 << 30));
        }
        let blocks: u64 = names(&root)
            .iter()
            .map(|name| fs::metadata(root.join(name)).expect("it").blocks() * 512)
            .sum();
        assert!(blocks < 16 << 20, "{method:?}: {blocks}");
    }
}

#[test]
fn h09_a_run_over_pipes_sockets_and_devices_does_not_block() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_owned();
    for base in ["app.log", "b.log", "b.log.1", "b.log.2.gz"] {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, root.join(base), kind, rustix::fs::Mode::RWXU, 0)
            .expect("a pipe");
    }
    let _socket = std::os::unix::net::UnixListener::bind(root.join("sock.log")).expect("a socket");
    if is_root() {
        let kind = rustix::fs::FileType::CharacterDevice;
        let zero = rustix::fs::makedev(1, 5);
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("dev.log"),
            kind,
            rustix::fs::Mode::RWXU,
            zero,
        );
        println!("device: {made:?}");
    }
    let before = look_at_tree(&root);
    for method in METHODS {
        for set in [
            SetSpec::directory(&root, Policy::default()),
            SetSpec::pattern(root.join("*"), Policy::default()),
        ] {
            let mut set = set;
            set.policy = numbered(Bytes::kib(64)).compress(Codec::Gzip);
            set.policy.method = method;
            let config = Config::single(set);
            let done = within_patience(move || run(&OsFs::new(), &config, true));
            assert!(done.plan.steps.is_empty(), "{:#?}", done.plan.steps);
        }
    }
    assert_eq!(before, look_at_tree(&root));
}

#[test]
fn h10_in_a_folder_of_others_root_does_nothing_and_says_what_to_do() {
    if !is_root() {
        return;
    }
    let cases: [(u32, u32, u32, &str); 3] = [
        (0o1777, 0, 0, "everybody may write"),
        (0o775, 0, 4, "group 4 may write"),
        (0o755, 65534, 65534, "belongs to user 65534"),
    ];
    for (mode, uid, gid, words) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("logs");
        fs::create_dir(&root).expect("a folder");
        for name in ["app.log", "app.log.1", "app.log.2"] {
            write(root.join(name), vec![b'x'; 50_000]);
        }
        std::os::unix::fs::chown(&root, Some(uid), Some(gid)).expect("owner");
        fs::set_permissions(&root, fs::Permissions::from_mode(mode)).expect("mode");
        let before = look_at_tree(&root);
        let config = folder_config(&root, numbered(Bytes::kib(16)).compress(Codec::Gzip));
        let done = run(&OsFs::new(), &config, true);
        assert!(done.plan.steps.is_empty());
        let problem = done.plan.problems.iter().find(|p| p.why.contains(words)).expect(words);
        assert!(problem.is_error && problem.why.contains("su "), "{problem:?}");
        assert_eq!(before, look_at_tree(&root));
    }
}

#[test]
fn h11_a_compressed_copy_is_never_wider_than_its_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    for (name, mode) in [("a.log", 0o600), ("b.log", 0o640), ("c.log", 0o644), ("d.log", 0o400)] {
        write(path.join(name), "content\n".repeat(5_000));
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).expect("mode");
    }
    for method in METHODS {
        let mut policy = numbered(Bytes::mib(64)).compress(Codec::Gzip);
        policy.method = method;
        run(&OsFs::new(), &folder_config(path, policy), true);
    }
    for name in names(path) {
        let mode = |name: &OsStr| fs::metadata(path.join(name)).expect("it").mode() & 0o777;
        let base = OsStr::from_bytes(&name.as_bytes()[..5]).to_owned();
        let wanted = [("a.log", 0o600), ("b.log", 0o640), ("c.log", 0o644), ("d.log", 0o400)]
            .into_iter()
            .find(|(log, _)| base == *log)
            .expect("a log of ours")
            .1;
        assert_eq!(mode(&name) & !wanted, 0, "{}", name.display());
    }
}

#[test]
fn h12_a_name_that_has_no_room_for_a_suffix_is_counted_and_goes_when_it_must() {
    for len in 245..=255 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        let name = format!("{}.log", "n".repeat(len - 4));
        write(path.join(&name), vec![b'x'; 20_000]);
        let mut compressed = numbered(Bytes::mib(1)).compress(Codec::Zstd);
        compressed.create = None;
        let os = OsFs::new();
        for _ in 0..3 {
            let done = run(&os, &folder_config(path, compressed.clone()), true);
            for outcome in &done.report.outcomes {
                let text = format!("{outcome:?}");
                assert!(!text.contains("NameTooLong") && !text.contains("ENAMETOOLONG"), "{text}");
            }
        }
        let total: u64 =
            names(path).iter().map(|name| fs::metadata(path.join(name)).expect("it").len()).sum();
        assert!(total > 0, "it was lost");
        let inventory = scan(&os, &folder_config(path, compressed.clone()), &|_| None);
        assert!(inventory.expect("a scan").sets[0].used() > Bytes::ZERO);
    }
}

#[test]
fn h12_folders_deeper_than_a_path_can_say_are_worked_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut at = rustix::fs::openat(
        rustix::fs::CWD,
        folder.path(),
        rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .expect("the folder");
    let name = "d".repeat(250);
    for _ in 0..20 {
        rustix::fs::mkdirat(&at, &name, rustix::fs::Mode::RWXU).expect("a folder");
        at = rustix::fs::openat(
            &at,
            &name,
            rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )
        .expect("the folder");
    }
    let held =
        std::path::PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&at)));
    for name in ["app.log", "app.log.1", "app.log.2"] {
        write(held.join(name), vec![b'x'; 50_000]);
    }
    let policy = numbered(Bytes::kib(300));
    let config = Config::single(SetSpec::directory(folder.path(), policy));
    let done = run(&OsFs::new(), &config, true);
    assert!(done.report.is_complete(), "{:#?}", done.report);
    assert!(has(&held, "app.log.3"), "{:?}", names(&held));
}

#[test]
fn h13_h14_names_of_any_bytes_are_rotated_like_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let mut bases: Vec<Vec<u8>> =
        (1..=255u8).filter(|b| *b != b'/').map(|b| vec![b'a', b, b'z']).collect();
    bases.push(b"app\xff\xfe".to_vec());
    bases.push(b"-rf".to_vec());
    bases.push(b"$(touch X)".to_vec());
    for base in &bases {
        write(path.join(OsStr::from_bytes(&[base, &b".log"[..]].concat())), base);
    }
    let mut policy = numbered(Bytes::mib(64));
    policy.create = None;
    let done = run(&OsFs::new(), &folder_config(path, policy), true);
    assert!(done.report.is_complete(), "{:#?}", done.report);
    let mut wanted: Vec<Vec<u8>> =
        bases.iter().map(|base| [base, &b".log.1"[..]].concat()).collect();
    wanted.sort();
    let found: Vec<Vec<u8>> = names(path).iter().map(|n| n.as_bytes().to_vec()).collect();
    assert_eq!(found, wanted);
    for base in &bases {
        let name = [base, &b".log.1"[..]].concat();
        assert_eq!(&fs::read(path.join(OsStr::from_bytes(&name))).expect("it"), base);
    }
}

#[test]
fn h57_temporary_files_of_others_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let ours = temporary_name(OsStr::new("app.log.1.gz"));
    let foreign = temporary_name(OsStr::new("app.log.9.gz"));
    // The beginning of an archive that is not here, which may be nowhere else.
    let head = head_name(OsStr::new("app.log.9.gz"));
    write(path.join(&head), "half done");
    let others = ["app.log.tmp", "app.log.1.gz.tmp", "x.gz.tmp", ".logquota-0123456789abcdef.tmp"];
    for name in others.iter().map(Path::new).chain([Path::new(&ours), Path::new(&foreign)]) {
        write(path.join(name), "half done");
    }
    write(path.join("app.log"), "content\n");
    write(path.join("app.log.1"), "content\n");
    let before: Vec<_> = others.iter().map(|name| look(&path.join(name))).collect();
    run(&OsFs::new(), &folder_config(path, numbered(Bytes::mib(1)).compress(Codec::Gzip)), true);
    assert!(!has(path, &ours));
    assert!(has(path, &foreign) && has(path, &head));
    let after: Vec<_> = others.iter().map(|name| look(&path.join(name))).collect();
    assert_eq!(before, after);
}
