//! Small real file systems, for tests that run as root. Each is unmounted, and its image
//! deleted, when its guard is dropped, so that a failed test leaves nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FallocateFlags;

/// Says why a test is not done; true if this is not root.
#[must_use]
pub fn needs_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    !is_root
}

/// Says why a test is not done; true if one of the programs is missing.
#[must_use]
pub fn needs(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| find(program).is_none()).collect();
    for program in &missing {
        println!("skipped: needs {program}");
    }
    !missing.is_empty()
}

/// A program; also those that are for root only and not on everybody's path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut found = std::env::split_paths(&path).chain(more).map(|dir| dir.join(program));
    found.find(|path| path.is_file())
}

/// Runs a system program that must succeed.
///
/// # Panics
///
/// If it does not.
pub fn system<I: AsRef<std::ffi::OsStr>>(program: &str, args: impl IntoIterator<Item = I>) {
    let path = find(program).unwrap_or_else(|| panic!("{program} is missing"));
    let output = Command::new(path).args(args).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {} {said}", output.status);
}

/// A mounted file system, until it is dropped.
#[derive(Debug)]
pub struct Mount {
    // Dropped after the unmount, with the image in it.
    dir: tempfile::TempDir,
    is_mounted: bool,
}

impl Mount {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("logquota-mount-").tempdir();
        let dir = dir.expect("a temporary folder");
        fs::create_dir(dir.path().join("at")).expect("a folder to mount on");
        Self { dir, is_mounted: false }
    }

    /// A tmpfs with these options, such as `size=8m,nr_inodes=32`.
    #[must_use]
    pub fn tmpfs(options: &str) -> Self {
        let mut mount = Self::new();
        mount.mount(&["-t", "tmpfs", "-o", options, "none"]);
        mount
    }

    /// A file system without access control lists and extended attributes. It has no limit.
    #[must_use]
    pub fn ramfs() -> Self {
        let mut mount = Self::new();
        mount.mount(&["-t", "ramfs", "none"]);
        mount
    }

    /// A file system of `mib` MiB in a file, made by `mkfs` with `args`, mounted with
    /// `options`.
    #[must_use]
    pub fn image(mkfs: &str, args: &[&str], mib: u64, options: &str) -> Self {
        let mut mount = Self::new();
        let image = mount.dir.path().join("image");
        let file = File::create(&image).expect("an image");
        file.set_len(mib << 20).expect("its size");
        drop(file);
        let name = image.to_str().expect("UTF-8");
        system(mkfs, args.iter().copied().chain([name]));
        mount.mount(&["-o", &format!("loop,{options}"), name]);
        mount
    }

    /// An ext4 of `mib` MiB without blocks for root only; `args` go to `mkfs.ext4`.
    #[must_use]
    pub fn ext4(mib: u64, args: &[&str], options: &str) -> Self {
        let args: Vec<_> = ["-q", "-F", "-m", "0"].iter().chain(args).copied().collect();
        Self::image("mkfs.ext4", &args, mib, options)
    }

    /// Another view of `from`, read-only.
    #[must_use]
    pub fn read_only_view(from: &Path) -> Self {
        let mut mount = Self::new();
        let from = from.to_str().expect("UTF-8");
        mount.mount(&["--bind", from]);
        // Since 2.27 in one call; the second one works everywhere.
        system("mount", ["-o", "remount,bind,ro", mount.at().to_str().expect("UTF-8")]);
        mount
    }

    fn mount(&mut self, args: &[&str]) {
        let at = self.at();
        let at = at.to_str().expect("UTF-8");
        system("mount", args.iter().copied().chain([at]));
        self.is_mounted = true;
    }

    /// Mounts it again with other options.
    pub fn remount(&self, options: &str) {
        let at = self.at();
        system("mount", ["-o", &format!("remount,{options}"), at.to_str().expect("UTF-8")]);
    }

    /// Unmounts it, has the image checked and repaired, and mounts that again.
    #[must_use]
    pub fn repaired(mut self) -> Self {
        let at = self.at();
        system("umount", [&at]);
        self.is_mounted = false;
        let image = self.dir.path().join("image");
        let image = image.to_str().expect("UTF-8");
        // It says 1 if it repaired something.
        let fsck = find("fsck.ext4").unwrap_or_else(|| "fsck.ext4".into());
        let status = Command::new(fsck).args(["-p", "-f", image]).output().expect("fsck").status;
        assert!(status.code().is_some_and(|code| code <= 1), "fsck: {status}");
        self.mount(&["-o", "loop", image]);
        self
    }

    /// Unmounts it, and mounts a copy of all its blocks in the same place, on the same device.
    #[must_use]
    pub fn replaced_by_a_copy(mut self) -> Self {
        let device = Path::new("/dev").join(self.device());
        // As long as somebody has it open, the device keeps its number.
        let held = OpenOptions::new().read(true).write(true).open(&device);
        let mut held = held.expect("the device");
        system("umount", [&self.at()]);
        self.is_mounted = false;
        let copy = fs::read(self.dir.path().join("image")).expect("its blocks");
        held.write_all(&copy).and_then(|()| held.sync_all()).expect("the copy");
        self.mount(&[device.to_str().expect("UTF-8")]);
        self
    }

    /// Where it is mounted.
    #[must_use]
    pub fn at(&self) -> PathBuf {
        self.dir.path().join("at")
    }

    /// A folder in it.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.at().join(name);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// The block device, such as `loop3`.
    #[must_use]
    pub fn device(&self) -> String {
        let at = self.at();
        // Others may have mounts with any names.
        let mounts = fs::read("/proc/self/mounts").expect("the mounts");
        let mounts = String::from_utf8_lossy(&mounts);
        let of = |line: &str| {
            let mut fields = line.split(' ');
            let device = fields.next()?.strip_prefix("/dev/")?.to_owned();
            (fields.next().map(Path::new) == Some(&at)).then_some(device)
        };
        mounts.lines().find_map(of).expect("its device")
    }

    /// Free blocks in bytes and free inodes, for everybody.
    #[must_use]
    pub fn free(&self) -> (u64, u64) {
        let found = rustix::fs::statvfs(self.at()).expect("its numbers");
        (found.f_bavail * found.f_frsize, found.f_favail)
    }

    /// Takes what others can take of the space, whatever the file system keeps back at first: one
    /// large file, then small ones. They are in the folder `others`.
    pub fn fill_to_the_last_block(&self) {
        let folder = self.folder("others");
        let large = OpenOptions::new().create(true).append(true).open(folder.join("large"));
        let mut large = large.expect("a foreign file");
        let mut len = 1u64 << 40;
        // Reserved and not written, since that is as good and quicker.
        while len >= 512 {
            let end = large.metadata().expect("its length").len();
            if rustix::fs::fallocate(&large, FallocateFlags::empty(), end, len).is_err() {
                len /= 2;
            }
        }
        let mut piece = vec![0xa5u8; 1 << 16];
        while piece.len() >= 512 {
            match large.write(&piece) {
                Ok(_) => {}
                Err(error) if is_full(&error) => piece.truncate(piece.len() / 2),
                Err(error) => panic!("{error}"),
            }
        }
        // What a file system gives back when it writes is taken, too.
        for _ in 0..2 {
            let _ = rustix::fs::syncfs(&large);
            self.fill_with_small(&folder, &[0xa5; 2000]);
        }
    }

    /// Takes the last free inode by empty files, in the folder `others`.
    pub fn fill_to_the_last_inode(&self) {
        self.fill_with_small(&self.folder("others"), &[]);
    }

    fn fill_with_small(&self, folder: &Path, content: &[u8]) {
        let first = fs::read_dir(folder).expect("a folder").count();
        for number in first.. {
            let made = File::create_new(folder.join(number.to_string()));
            match made.and_then(|mut file| file.write_all(content)) {
                Ok(()) => {}
                Err(error) if is_full(&error) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Takes the last free inode by empty foreign files, the last block by one that is not,
    /// or both.
    pub fn fill(&self, inodes: bool, blocks: bool) {
        let mut file = File::create(self.at().join("foreign.bin")).expect("a foreign file");
        let folder = self.folder("foreign");
        for number in 0u32.. {
            if !inodes {
                break;
            }
            match File::create_new(folder.join(format!("{number}"))) {
                Ok(_) => {}
                Err(error) if is_full(&error) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let mut chunk = vec![0xa5u8; if blocks { 1 << 20 } else { 0 }];
        // Large pieces first; in the end single blocks, since what is left may be in pieces.
        while chunk.len() >= 512 {
            match file.write(&chunk) {
                Ok(_) => {}
                Err(error) if is_full(&error) => chunk.truncate(chunk.len() / 2),
                Err(error) => panic!("{error}"),
            }
        }
        if let Err(error) = file.sync_all() {
            assert!(is_full(&error), "{error}");
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.is_mounted {
            let at = self.at();
            let unmount = |flags: &[&str]| {
                let path = find("umount").unwrap_or_else(|| "umount".into());
                Command::new(path).args(flags).arg(&at).output().is_ok_and(|o| o.status.success())
            };
            // Lazily if a killed process is not gone yet. The loop device goes with the mount.
            if !unmount(&[]) && !unmount(&["-l"]) {
                eprintln!("`{}` could not be unmounted", at.display());
            }
        }
    }
}
