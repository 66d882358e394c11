//! Hostile trees, made from a seed: everything that may lie in a folder of logs and is none.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use logquota::naming::{DateFormat, DateShift, Naming, temporary_name};
use logquota::policy::{ArchiveDir, Codec, Count, Method, NewFile, ParentRule, RotateWhen};
use logquota::{Bytes, Config, Policy, SetSpec};
use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::{MountFlags, UnmountFlags};

/// Numbers that are the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.number() % n.max(1)
    }

    /// Once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = usize::try_from(self.below(from.len() as u64)).expect("small");
        from[index].clone()
    }
}

/// A tree, and what to take away before it is removed.
#[derive(Debug)]
pub struct Hostile {
    root: PathBuf,
    mounts: Vec<PathBuf>,
    dice: Dice,
    is_root: bool,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        for mount in self.mounts.iter().rev() {
            let _ = rustix::mount::unmount(mount, UnmountFlags::DETACH);
        }
    }
}

const BASES: [&str; 12] = [
    "app.log",
    "b.log",
    "sys log.log",
    "-rf",
    "$(touch X).log",
    ";id.log",
    "syslog",
    "a\nb.log",
    "x'\"\\.log",
    "app.log.log",
    "\u{202e}gol.log",
    "app",
];

const ENDS: [&str; 22] = [
    "",
    "",
    "",
    "",
    ".1",
    ".2",
    ".3",
    ".2.gz",
    ".3.gz",
    ".1.gz",
    ".4.zst",
    "-20260101",
    "-20261120.gz",
    ".0000000001-20261120T184136Z",
    ".0000000002-20261121T184136Z.gz",
    ".0000000003-20251121T184136Z.zst",
    ".1.gz.tmp",
    ".tmp",
    ".gz",
    ".01",
    ".99999999999",
    ".1.1",
];

impl Hostile {
    /// Makes a tree below `root` (which is made), with links and mounts into `outside`.
    ///
    /// # Panics
    ///
    /// If the tree cannot be made.
    #[must_use]
    pub fn new(root: &Path, outside: &Path, seed: u64) -> Self {
        fs::create_dir(root).expect("the root");
        let is_root = rustix::process::geteuid().is_root();
        let mut tree =
            Self { root: root.to_owned(), mounts: Vec::new(), dice: Dice::new(seed), is_root };
        tree.fill(root, outside, 0);
        tree
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn fill(&mut self, folder: &Path, outside: &Path, depth: u32) {
        for _ in 0..self.dice.below(24) {
            let path = folder.join(self.name());
            self.make(&path, outside, depth);
        }
        if self.is_root && self.dice.once_in(8) {
            let owner = self.dice.pick(&[0, 65534]);
            std::os::unix::fs::chown(folder, Some(owner), Some(owner)).expect("owner");
        }
        if self.dice.once_in(8) {
            let mode = self.dice.pick(&[0o777, 0o775, 0o1777, 0o700]);
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("mode");
        }
    }

    /// A name: of a log, of an archive, of something like one, or of any bytes.
    fn name(&mut self) -> OsString {
        if self.dice.once_in(12) {
            let len = 1 + self.dice.below(40);
            let bytes: Vec<u8> =
                (0..len).map(|_| self.dice.pick(&[b'a', 0xff, b'\n', 0x1b, b'.', 0xc3])).collect();
            if bytes != b"." && bytes != b".." {
                return OsString::from_vec(bytes);
            }
        }
        let mut name = OsString::from(self.dice.pick(&BASES));
        name.push(self.dice.pick(&ENDS));
        if self.dice.once_in(10) {
            return temporary_name(&name);
        }
        if self.dice.once_in(30) {
            // As long as a name can be, or nearly.
            let bytes = name.as_bytes();
            let len = 255 - usize::try_from(self.dice.below(6)).expect("small");
            let mut long = vec![b'l'; len.saturating_sub(bytes.len())];
            long.extend_from_slice(bytes);
            return OsString::from_vec(long);
        }
        name
    }

    /// Something under a name, unless the name is taken.
    fn make(&mut self, path: &Path, outside: &Path, depth: u32) {
        if fs::symlink_metadata(path).is_ok() {
            return;
        }
        match self.dice.below(32) {
            0 => symlink(outside.join("secret"), path).expect("a link"),
            1 => symlink(outside.join("sub"), path).expect("a link"),
            2 => symlink("nowhere", path).expect("a link"),
            3 => symlink(path.file_name().expect("a name"), path).expect("a link"),
            4 => node(path, FileType::Fifo, 0),
            5 => drop(std::os::unix::net::UnixListener::bind(path)),
            // /dev/full: reading it never ends.
            6 if self.is_root => node(path, FileType::CharacterDevice, rustix::fs::makedev(1, 7)),
            7 => fs::hard_link(outside.join("app.log"), path).expect("a link"),
            8 => self.link_inside(path),
            9 => fs::create_dir(path).expect("a folder"),
            10 => sparse(path, 10 << 40),
            11 => reserved(path),
            12 if self.is_root && self.dice.once_in(4) => self.mount(path, outside),
            13..=15 if depth < 3 => {
                fs::create_dir(path).expect("a folder");
                self.fill(path, outside, depth + 1);
            }
            16 => fs::write(path, "").expect("a file"),
            _ => self.file(path),
        }
    }

    fn file(&mut self, path: &Path) {
        let len = usize::try_from(self.dice.below(40_000)).expect("small");
        let content: Vec<u8> = if self.dice.once_in(3) {
            (0..len).map(|_| self.dice.number().to_le_bytes()[0]).collect()
        } else {
            b"one more line of a log, as there are many\n"
                .iter()
                .copied()
                .cycle()
                .take(len)
                .collect()
        };
        fs::write(path, content).expect("a file");
        let mode = self.dice.pick(&[0o644, 0o600, 0o640, 0o444, 0o666, 0o4755]);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
        if self.is_root && self.dice.once_in(4) {
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("owner");
        }
        let times = [1_795_000_000, 1_700_000_000, 0, -2_082_844_800, 9_000_000_000];
        let when = self.dice.pick(&times);
        let spec = rustix::fs::Timespec { tv_sec: when, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: spec, last_modification: spec };
        rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::empty()).expect("times");
    }

    fn link_inside(&mut self, path: &Path) {
        let folder = path.parent().expect("a folder");
        let other = fs::read_dir(folder)
            .expect("a listing")
            .flatten()
            .find(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        if let Some(other) = other {
            let _ = fs::hard_link(other.path(), path);
        }
    }

    fn mount(&mut self, path: &Path, outside: &Path) {
        let mounted = match self.dice.below(3) {
            0 => {
                fs::create_dir(path).expect("a folder");
                rustix::mount::mount("none", path, "tmpfs", MountFlags::empty(), None)
            }
            1 => {
                fs::create_dir(path).expect("a folder");
                rustix::mount::mount_bind(outside, path)
            }
            _ => {
                fs::write(path, "").expect("a file");
                rustix::mount::mount_bind(outside.join("secret"), path)
            }
        };
        if mounted.is_ok() {
            self.mounts.push(path.to_owned());
        }
    }

    /// A configuration that goes for as much of the tree as it can.
    #[must_use]
    pub fn config(&mut self) -> Config {
        let count = 1 + self.dice.below(3);
        let sets = (0..count)
            .map(|_| {
                let policy = self.policy();
                let pattern = match self.dice.below(5) {
                    0 => return SetSpec::directory(&self.root, policy),
                    1 => "*",
                    2 => "*.log",
                    3 => "*/*",
                    _ => "app.log",
                };
                SetSpec::pattern(self.root.join(pattern), policy)
            })
            .collect();
        Config { sets, ..Config::default() }
    }

    fn policy(&mut self) -> Policy {
        let dice = &mut self.dice;
        let mut policy = Policy::for_directory(Bytes::kib(8 + dice.below(400)));
        if dice.once_in(4) {
            policy.limits.quota = None;
        }
        policy.when =
            dice.pick(&[RotateWhen::Size(Bytes::new(1)), RotateWhen::Daily, RotateWhen::Never]);
        policy.naming = match dice.below(4) {
            0 => Naming::numbered(1),
            1 => Naming::numbered(0),
            2 => Naming::dated(
                DateFormat::defaults().into_iter().next().expect("a format"),
                DateShift::default(),
            ),
            _ => Naming::sequence(),
        };
        policy.method = dice.pick(&[
            Method::Rename,
            Method::Rename,
            Method::CopyTruncate,
            Method::Copy,
            Method::RenameCopy,
        ]);
        policy.count = dice.pick(&[Count::Unlimited, Count::AtMost(0), Count::AtMost(2)]);
        policy.create = dice.pick(&[None, Some(NewFile::default())]);
        policy.max_age_days = dice.pick(&[None, None, Some(30)]);
        // Who allows several names and truncation asks for the file to be emptied.
        policy.allow_hard_links = dice.once_in(4) && policy.method != Method::CopyTruncate;
        policy.missing_ok = dice.once_in(2);
        policy.parents = dice.pick(&[ParentRule::Strict, ParentRule::Logrotate]);
        if dice.once_in(6) {
            let create = dice.pick(&[None, Some(NewFile::default())]);
            policy.archive_dir = Some(ArchiveDir { path: "old/er".into(), create });
        }
        match dice.below(3) {
            0 => policy,
            1 => policy.compress(Codec::Gzip),
            _ => policy.compress(Codec::Zstd),
        }
    }
}

fn node(path: &Path, kind: FileType, dev: u64) {
    // Not everywhere may even root make devices.
    let _ = rustix::fs::mknodat(CWD, path, kind, Mode::RWXU, dev);
}

/// A file of which nothing is there but its length.
///
/// # Panics
///
/// If it cannot be made.
pub fn sparse(path: &Path, len: u64) {
    let file = fs::File::create(path).expect("a file");
    file.set_len(len).expect("a length");
}

/// A file that has blocks and no length.
fn reserved(path: &Path) {
    let file = fs::File::create(path).expect("a file");
    let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
    let _ = rustix::fs::fallocate(&file, flags, 0, 4 << 20);
}

/// The names in a folder.
///
/// # Panics
///
/// If it cannot be listed.
#[must_use]
pub fn names(folder: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(folder).expect("a listing");
    let mut names: Vec<OsString> =
        entries.map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names
}

/// Whether a name is in a folder, as whatever it may be.
#[must_use]
pub fn has(folder: &Path, name: impl AsRef<OsStr>) -> bool {
    fs::symlink_metadata(folder.join(name.as_ref())).is_ok()
}
