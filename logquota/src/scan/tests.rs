use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::scan;
use crate::fs::os::OsFs;
use crate::fs::sim::{Content, SimDisk, SimFs};
use crate::inventory::{Blocked, Inventory, LeftoverKind, Log};
use crate::naming::{Naming, temporary_name};
use crate::policy::{ArchiveDir, Codec, Config, Method, ParentRule, Policy, Selector, SetSpec};
use crate::units::Bytes;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new(names: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().expect("a folder"));
        for name in names {
            tree.file(name);
        }
        tree
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: impl AsRef<Path>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, "one line\n").expect("a file");
    }

    fn pattern(&self, pattern: &str, policy: Policy) -> SetSpec {
        SetSpec::pattern(self.path(pattern), policy)
    }

    fn scan(&self, sets: Vec<SetSpec>) -> Inventory {
        let config = Config { sets, ..Config::default() };
        scan(&OsFs::new(), &config, &|_| None).expect("a scan")
    }

    fn scan_pattern(&self, pattern: &str) -> Inventory {
        self.scan(vec![self.pattern(pattern, policy())])
    }

    fn scan_whole(&self) -> Inventory {
        let policy = Policy { parents: ParentRule::Logrotate, ..whole() };
        self.scan(vec![SetSpec::directory(self.0.path(), policy)])
    }
}

fn policy() -> Policy {
    Policy { parents: ParentRule::Logrotate, ..Policy::default() }
}

fn whole() -> Policy {
    Policy::for_directory(Bytes::mib(64)).compress(Codec::Gzip)
}

/// Every log as `folder/name: archives`, `-` in front of those without a file.
fn words(inventory: &Inventory, tree: &Tree) -> Vec<String> {
    inventory
        .sets
        .iter()
        .flat_map(|set| &set.logs)
        .map(|log| {
            let path = inventory.path(log.dir, &log.name);
            let name = path.strip_prefix(tree.0.path()).expect("below").display().to_string();
            let mut text = if log.active.is_some() { name } else { format!("-{name}") };
            text.push(':');
            for archive in &log.archives {
                text.push(' ');
                text.push_str(&archive.name().to_string_lossy());
            }
            text
        })
        .collect()
}

fn only(inventory: &Inventory) -> &Log {
    let logs: Vec<&Log> = inventory.sets.iter().flat_map(|set| &set.logs).collect();
    assert_eq!(logs.len(), 1, "{inventory:#?}");
    logs[0]
}

#[test]
fn archives_are_found_beside_their_log_newest_first() {
    let tree = Tree::new(&[
        "app.log",
        "app.log.2.gz",
        "app.log.1",
        "app.log-20260101",
        "app.log.bak",
        "app.log.x1",
        "other.log.1",
        "app.log.01",
    ]);
    assert_eq!(
        words(&tree.scan_pattern("app.log"), &tree),
        ["app.log: app.log.1 app.log.2.gz app.log-20260101"]
    );
}

#[test]
fn a_wildcard_does_not_take_archives_for_logs() {
    let tree =
        Tree::new(&["app.log", "app.log.1", "app.log.2.gz", "b", "b.1", "c.1", "d-20260101"]);
    assert_eq!(
        words(&tree.scan_pattern("*"), &tree),
        ["app.log: app.log.1 app.log.2.gz", "b: b.1", "-c: c.1", "d-20260101:"]
    );
}

#[test]
fn a_copy_of_a_copy_is_a_log_of_its_own_where_the_pattern_says_so() {
    let tree = Tree::new(&["a", "a.1", "a.1.1"]);
    assert_eq!(words(&tree.scan_pattern("a*"), &tree), ["a: a.1", "a.1.1:"]);
    let tree = Tree::new(&["a", "a.1", "a.1.1"]);
    assert_eq!(words(&tree.scan_pattern("a"), &tree), ["a: a.1"]);
}

#[test]
fn a_log_that_was_named_is_no_archive_of_another() {
    let tree = Tree::new(&["a", "a.1", "a.1.1"]);
    let sets = vec![tree.pattern("a", policy()), tree.pattern("a.1", policy())];
    let inventory = tree.scan(sets);
    assert_eq!(words(&inventory, &tree), ["a:", "a.1: a.1.1"]);
    assert_eq!(inventory.sets[0].logs[0].obstacles, ["a.1"]);
}

#[test]
fn the_first_set_has_a_log_and_the_second_is_told() {
    let tree = Tree::new(&["app.log", "app.log.1", "b.log"]);
    let sets = vec![tree.pattern("app.log", policy()), tree.pattern("*.log", policy())];
    let inventory = tree.scan(sets);
    assert_eq!(inventory.sets[0].logs.len(), 1);
    assert_eq!(inventory.sets[1].logs.len(), 1);
    assert_eq!(inventory.notes.len(), 1);
    assert!(inventory.notes[0].is_error && inventory.notes[0].why.starts_with("also matched by"));
}

#[test]
fn a_folder_that_is_reached_by_two_paths_is_one() {
    let tree = Tree::new(&["real/app.log", "real/app.log.1"]);
    symlink(tree.path("real"), tree.path("alias")).expect("a link");
    let sets = vec![tree.pattern("real/*.log", policy()), tree.pattern("alias/*.log", policy())];
    let inventory = tree.scan(sets);
    assert_eq!(words(&inventory, &tree), ["real/app.log: app.log.1"]);
    assert_eq!(inventory.notes.len(), 1, "{:?}", inventory.notes);
}

#[test]
fn wildcards_in_folders_are_followed_and_links_are_not() {
    let tree = Tree::new(&["a/log/x.log", "b/log/x.log", "c/other/x.log", "far/log/x.log", "file"]);
    fs::create_dir(tree.path("srv")).expect("a folder");
    for name in ["a", "b", "c"] {
        fs::rename(tree.path(name), tree.path("srv").join(name)).expect("moved");
    }
    symlink(tree.path("far"), tree.path("srv/far")).expect("a link");
    fs::create_dir(tree.path("srv/d")).expect("a folder");
    symlink(tree.path("far/log"), tree.path("srv/d/log")).expect("a link");
    assert_eq!(
        words(&tree.scan_pattern("srv/*/log/*.log"), &tree),
        ["srv/a/log/x.log:", "srv/b/log/x.log:"]
    );
}

#[test]
fn a_log_that_is_missing_is_said_unless_that_is_fine() {
    let tree = Tree::new(&["b.log.1"]);
    assert_eq!(only(&tree.scan_pattern("a.log")).blocked, Some(Blocked::Missing));
    let log = tree.scan_pattern("b.log");
    assert_eq!((only(&log).blocked.as_ref(), only(&log).archives.len()), (None, 1));
    let none = tree.scan_pattern("nowhere/a.log");
    assert!(none.sets[0].logs.is_empty() && none.notes[0].is_error);
    assert!(tree.scan_pattern("*.txt").notes[0].is_error);
    for pattern in ["a.log", "nowhere/a.log", "*.txt"] {
        let ok = Policy { missing_ok: true, ..policy() };
        let inventory = tree.scan(vec![tree.pattern(pattern, ok)]);
        assert!(inventory.sets[0].logs.is_empty() && inventory.notes.is_empty(), "{pattern}");
    }
}

#[test]
fn a_whole_folder_has_its_logs_at_any_depth_and_counts_its_folders() {
    let tree = Tree::new(&[
        "app.log",
        "app.log.0000000001-20261121T184136Z.gz",
        "deep/er/x.log.1",
        "syslog",
        "syslog.1",
        "data",
        "data.txt",
        "photo1.jpg",
        ".hidden.log",
    ]);
    let inventory = tree.scan_whole();
    assert_eq!(
        words(&inventory, &tree),
        [
            "app.log: app.log.0000000001-20261121T184136Z.gz",
            "syslog: syslog.1",
            "-deep/er/x.log: x.log.1"
        ]
    );
    let folders = ["", "deep", "deep/er"].map(|name| {
        std::os::unix::fs::MetadataExt::blocks(&fs::metadata(tree.path(name)).expect("it")) * 512
    });
    assert_eq!(inventory.sets[0].overhead, Bytes::new(folders.iter().sum()));
}

#[test]
fn archives_may_be_in_another_folder() {
    let tree = Tree::new(&["app.log", "app.log.9", "old/app.log.1", "old/gone.log.2", "old/x"]);
    for path in [PathBuf::from("old"), tree.path("old"), PathBuf::from("./old/../old")] {
        let archive_dir = Some(ArchiveDir { path: path.clone(), create: None });
        let policy = Policy { archive_dir, ..policy() };
        let inventory = tree.scan(vec![tree.pattern("*.log", policy)]);
        assert_eq!(
            words(&inventory, &tree),
            ["app.log: app.log.1", "-gone.log: gone.log.2"],
            "{}",
            path.display()
        );
    }
    let archive_dir = Some(ArchiveDir { path: "none".into(), create: None });
    let inventory = tree.scan(vec![tree.pattern("app.log", Policy { archive_dir, ..policy() })]);
    assert!(matches!(only(&inventory).blocked, Some(Blocked::Unreadable { .. })));
}

#[test]
fn an_archive_folder_that_may_be_made_is_planned_for_and_not_made() {
    let tree = Tree::new(&["a/app.log"]);
    let create = Some(crate::policy::NewFile::default());
    for (pattern, path) in [("a/app.log", "new/old"), ("*/app.log", "new/old")] {
        let archive_dir = Some(ArchiveDir { path: path.into(), create });
        let inventory = tree.scan(vec![tree.pattern(pattern, Policy { archive_dir, ..policy() })]);
        let log = only(&inventory);
        assert_eq!(log.blocked, None);
        let old = &inventory.dirs[&log.archive_dir];
        assert_eq!(old.path, tree.path("a/new/old"));
        let missing = old.missing.as_ref().expect("it is missing");
        assert_eq!(missing.name, "old");
        let new = &inventory.dirs[&missing.dir];
        assert_eq!(new.missing.as_ref().map(|place| place.dir), Some(log.dir));
        assert!(!tree.path("a/new").exists());
    }
}

#[test]
fn two_logs_of_one_name_do_not_share_archives() {
    let tree = Tree::new(&["a/x.log", "b/x.log", "old/x.log.1"]);
    let archive_dir = Some(ArchiveDir { path: tree.path("old"), create: None });
    let inventory = tree.scan(vec![tree.pattern("[ab]/x.log", Policy { archive_dir, ..policy() })]);
    assert_eq!(words(&inventory, &tree), ["a/x.log: x.log.1", "b/x.log:"]);
    assert!(matches!(inventory.sets[0].logs[1].blocked, Some(Blocked::Unreadable { .. })));
}

#[test]
fn h01_h09_links_pipes_and_folders_under_a_log_name_are_passed_over() {
    let tree = Tree::new(&["real"]);
    symlink(tree.path("real"), tree.path("link.log")).expect("a link");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.path("pipe.log"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("a pipe");
    fs::create_dir(tree.path("dir.log")).expect("a folder");
    let _socket = std::os::unix::net::UnixListener::bind(tree.path("sock.log")).expect("a socket");
    let inventory = tree.scan_pattern("*.log");
    assert_eq!(words(&inventory, &tree), ["-link.log:", "-pipe.log:", "-sock.log:"]);
    let blocked: Vec<_> = inventory.sets[0].logs.iter().map(|l| l.blocked.clone()).collect();
    assert_eq!(blocked, [Some(Blocked::Symlink), Some(Blocked::Special), Some(Blocked::Special)]);
    assert_eq!(only(&tree.scan_pattern("dir.log")).blocked, Some(Blocked::Special));
}

#[test]
fn h05_a_log_with_several_names_is_left_alone() {
    let tree = Tree::new(&["app.log"]);
    fs::hard_link(tree.path("app.log"), tree.path("again")).expect("a link");
    let inventory = tree.scan_pattern("app.log");
    assert_eq!(only(&inventory).blocked, Some(Blocked::HardLinks { names: 2 }));
    let policy = Policy { allow_hard_links: true, ..policy() };
    assert_eq!(only(&tree.scan(vec![tree.pattern("app.log", policy)])).blocked, None);
}

#[test]
fn h09_what_is_no_file_under_an_archive_name_is_in_the_way() {
    let tree = Tree::new(&["app.log", "app.log.3"]);
    fs::create_dir(tree.path("app.log.1")).expect("a folder");
    symlink("/etc/passwd", tree.path("app.log.2.gz")).expect("a link");
    let inventory = tree.scan_pattern("app.log");
    assert_eq!(words(&inventory, &tree), ["app.log: app.log.3"]);
    assert_eq!(only(&inventory).obstacles, ["app.log.1", "app.log.2.gz"]);
}

#[test]
fn h10_root_does_not_work_in_a_folder_of_others() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let tree = Tree::new(&["app.log"]);
    let run = |mode: u32, owner: Option<u32>, gid: Option<u32>, policy: Policy| {
        std::os::unix::fs::chown(tree.0.path(), owner, gid).expect("owner");
        fs::set_permissions(tree.0.path(), Permissions::from_mode(mode)).expect("mode");
        only(&tree.scan(vec![tree.pattern("app.log", policy)])).blocked.clone()
    };
    let is_insecure = |b: &Option<Blocked>| matches!(b, Some(Blocked::InsecureParent { .. }));
    assert!(is_insecure(&run(0o1777, None, None, policy())));
    assert!(is_insecure(&run(0o775, None, Some(4), policy())));
    assert_eq!(run(0o775, None, Some(0), policy()), None);
    assert_eq!(run(0o755, Some(65534), None, policy()), None);
    let strict = Policy { parents: ParentRule::Strict, ..policy() };
    assert!(is_insecure(&run(0o755, Some(65534), None, strict)));
    let run_as = Some(crate::policy::Identity { uid: 65534, gid: 65534 });
    assert_eq!(run(0o777, Some(65534), None, Policy { run_as, ..policy() }), None);
}

#[test]
fn h13_h14_names_of_any_bytes_are_logs_like_others() {
    let tree = Tree::new(&[]);
    let mut odd: Vec<Vec<u8>> =
        (1..=255u8).filter(|b| *b != b'/').map(|b| vec![b'a', b, b'z']).collect();
    odd.push(b"app\xff\xfe".to_vec());
    for name in &odd {
        for end in [&b".log"[..], b".log.1"] {
            tree.file(OsStr::from_bytes(&[name, end].concat()));
        }
    }
    let inventory = tree.scan_pattern("a*.log");
    assert_eq!(inventory.sets[0].logs.len(), odd.len());
    assert!(inventory.sets[0].logs.iter().all(|log| log.archives.len() == 1));
}

#[test]
fn h57_only_a_temporary_file_with_a_proven_name_is_ours() {
    let tree = Tree::new(&["app.log", "app.log.1", "app.log.1.gz.tmp", "x.tmp"]);
    let ours = temporary_name(OsStr::new("app.log.1.gz"));
    let foreign = temporary_name(OsStr::new("app.log.7.gz"));
    tree.file(&ours);
    tree.file(&foreign);
    let inventory = tree.scan(vec![tree.pattern("app.log", policy().compress(Codec::Gzip))]);
    let log = only(&inventory);
    assert_eq!(log.leftovers.len(), 1);
    assert_eq!(log.leftovers[0].place.name, ours);
    assert_eq!(inventory.notes.len(), 1);
    assert_eq!(inventory.notes[0].path, tree.path(&foreign));
    assert!(!inventory.notes[0].is_error);
}

#[test]
fn a_copy_in_the_making_is_known_by_its_owner() {
    let tree = Tree::new(&["app.log"]);
    let temp = temporary_name(OsStr::new("whatever"));
    tree.file(&temp);
    let policy = Policy { method: Method::CopyTruncate, naming: Naming::sequence(), ..policy() };
    let inventory = tree.scan(vec![tree.pattern("app.log", policy)]);
    assert_eq!(only(&inventory).leftovers.len(), 1);
}

#[test]
fn a_log_on_its_way_to_another_device_is_not_lost() {
    let tree = Tree::new(&["app.log.tmp"]);
    let policy = Policy { method: Method::RenameCopy, ..policy() };
    for pattern in ["app.log", "*"] {
        let inventory = tree.scan(vec![tree.pattern(pattern, policy.clone())]);
        let log = only(&inventory);
        assert_eq!(log.name, "app.log");
        assert_eq!(log.leftovers[0].kind, LeftoverKind::Renamed);
        assert_eq!(log.blocked, None);
    }
}

#[test]
fn the_last_rotation_is_asked_by_path() {
    let tree = Tree::new(&["app.log"]);
    let config = Config::single(tree.pattern("*.log", policy()));
    let day = chrono::NaiveDate::from_ymd_opt(2026, 1, 2).and_then(|d| d.and_hms_opt(3, 4, 5));
    let wanted = tree.path("app.log");
    let inventory =
        scan(&OsFs::new(), &config, &|path| day.filter(|_| path == wanted)).expect("a scan");
    assert_eq!(only(&inventory).last_rotated, day);
}

#[test]
fn h06_a_scan_that_sees_a_file_twice_counts_it_once() {
    let tree = Tree::new(&["app.log"]);
    for name in ["app.log.1", "app.log.2"] {
        fs::hard_link(tree.path("app.log"), tree.path(name)).expect("a link");
    }
    fs::write(tree.path("app.log"), vec![b'x'; 4 << 20]).expect("content");
    let inventory = tree.scan_pattern("app.log");
    assert_eq!(inventory.sets[0].logs[0].stamps().count(), 3);
    assert_eq!(inventory.sets[0].files(), 1);
    assert!(inventory.sets[0].used() < Bytes::mib(5));
}

#[test]
fn a_path_that_is_given_literally_has_no_wildcards_and_keeps_its_spelling() {
    let tree = Tree::new(&["a*.log", "ab.log", "sub/x", "x"]);
    symlink("ab.log", tree.path("link")).expect("a link");
    let spelt = |name: &str| {
        let mut path = tree.0.path().as_os_str().to_owned();
        path.push(name);
        PathBuf::from(path)
    };
    let logs = ["//sub//x", "/a*.log", "/link", "/none", "/sub/../x", "/sub/"];
    let logs: Vec<PathBuf> = logs.iter().map(|name| spelt(name)).collect();
    for log in &logs {
        let set =
            SetSpec { selectors: vec![Selector::Log(log.clone())], ..tree.pattern("", policy()) };
        let inventory = tree.scan(vec![set]);
        let found: Vec<_> = inventory.sets.iter().flat_map(|set| &set.logs).collect();
        let name = log.to_string_lossy().into_owned();
        if name.ends_with('/') {
            assert!(found.is_empty() && inventory.notes.len() == 1, "{name}: a folder");
            continue;
        }
        assert_eq!(found.len(), 1, "{name}");
        let path = inventory.path(found[0].dir, &found[0].name);
        assert_eq!(path.as_os_str(), log.as_os_str(), "as it was written");
        assert_eq!(found[0].active.is_none(), name.ends_with("link") || name.ends_with("none"));
    }
    // Relative ones are called as they are, too.
    let set = SetSpec {
        selectors: vec![Selector::Log("Cargo.toml".into())],
        ..tree.pattern("", policy())
    };
    let inventory = tree.scan(vec![set]);
    let log = inventory.sets[0].logs.first().expect("the file of this package");
    assert_eq!(inventory.path(log.dir, &log.name).as_os_str(), "Cargo.toml");
}

/// On vfat, where they are counted in characters: three times as many bytes.
#[test]
fn a_longer_name_than_ours_can_be_stops_no_log_of_its_folder() {
    let long = |more: &str| format!("{}{more}", "\u{20ac}".repeat(250));
    let pattern = SetSpec::pattern("/d/*.log", policy());
    let folder = SetSpec::directory("/d", Policy { parents: ParentRule::Logrotate, ..whole() });
    let literal = SetSpec::pattern(format!("/d/{}", long(".log")), policy());
    let short =
        [("app.log", 1), ("web.log", 0)].map(|(name, archives)| (name.to_owned(), archives));
    for (set, expected) in [
        (pattern, short.to_vec()),
        (folder, short.to_vec()),
        // Named as a log, it is looked at.
        (literal, vec![(long(".log"), 0)]),
    ] {
        let fs = SimFs::new(SimDisk { name_max: 765, ..SimDisk::default() });
        fs.mkdir("/d").expect("a folder");
        let names = ["app.log", "app.log.1", "web.log"].map(str::to_owned);
        for name in names.into_iter().chain([".log", ".log.1", ".1.tmp", ""].map(long)) {
            fs.put(format!("/d/{name}"), Content::from("one line\n"), 0).expect("a file");
        }
        let config = Config::single(set);
        let inventory = scan(&fs, &config, &|_| None).expect("a scan");
        assert!(inventory.notes.is_empty(), "{:?}", inventory.notes);
        let logs = inventory.sets.iter().flat_map(|set| &set.logs);
        let mut found: Vec<_> = logs
            .inspect(|log| assert!(log.blocked.is_none() && log.active.is_some(), "{log:#?}"))
            .map(|log| (log.name.to_string_lossy().into_owned(), log.archives.len()))
            .collect();
        found.sort();
        assert_eq!(found, expected);
    }
}
