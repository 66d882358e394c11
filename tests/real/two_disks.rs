//! One block of a configuration whose logs are on two file systems.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use logquota_tests::mounts::{Mount, needs_root};

use crate::kit::{
    BIN, HOUR, PATIENCE, Scene, assert_code, file, logquota, noise, prose, said, within,
};

fn logs(mount: &Mount) -> std::path::PathBuf {
    let logs = mount.folder("logs");
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o755)).expect("its mode");
    for (number, name) in ["x.log", "x.log.1", "x.log.2", "x.log.3"].iter().enumerate() {
        let age = HOUR * u32::try_from(number + 1).expect("a number");
        file(&logs.join(name), &noise(name, 300 << 10), age);
    }
    logs
}

fn count(logs: &Path) -> usize {
    fs::read_dir(logs).expect("a folder").count()
}

#[test]
fn what_goes_on_one_file_system_is_not_counted_as_free_on_another() {
    if needs_root() {
        return;
    }
    for more in ["", " reserve 1M\n", " quota 1M\n"] {
        let (one, two) = (Mount::tmpfs("size=8m,mode=0755"), Mount::tmpfs("size=8m,mode=0755"));
        let (first, second) = (logs(&one), logs(&two));
        let scene = Scene::new();
        let blocks = format!(
            "LOGS/*.log {}/*.log {{\n rotate 2\n size 1k\n{more}}}\n",
            second.to_str().expect("UTF-8")
        );
        let output = logquota(scene.config(&first, &blocks));
        assert_code(&output, 0);
        assert!(count(&first) <= 3 && count(&second) <= 3, "{more}");
    }
}

/// A block's logs on a disk that has room are no part of what the full one needs, whichever of its
/// patterns they match.
#[test]
fn to_free_one_file_system_nothing_goes_on_another() {
    if needs_root() {
        return;
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for is_first in [true, false] {
        let (full, other) = (Mount::tmpfs("size=8m,mode=0755"), Mount::tmpfs("size=8m,mode=0755"));
        let (there, elsewhere) = (logs(&full), logs(&other));
        file(&elsewhere.join("large.log"), &noise("large", 2 << 20), HOUR);
        full.fill(false, true);
        let (first, second) = if is_first { (&there, &elsewhere) } else { (&elsewhere, &there) };
        let scene = Scene::new();
        let blocks = format!(
            "LOGS/*.log {}/*.log {{\n rotate 9\n size 1G\n}}\n",
            second.to_str().expect("UTF-8")
        );
        let config = scene.config(first, &blocks).pop().expect("its path");
        let free = |more: &[&std::ffi::OsStr]| {
            let mut command = std::process::Command::new(BIN);
            command.args(["free", "1100k", "--trim-active", "--max-fraction", "1"]);
            command.args(["--host", &host]).args(more).arg("--config").arg(&config);
            within(PATIENCE, &mut command)
        };
        let before = count(&elsewhere);
        let output = free(&[]);
        assert_code(&output, 2);
        assert!(said(&output).contains("on several file systems"), "{}", said(&output));
        let output = free(&["--on".as_ref(), there.as_ref(), "--yes".as_ref()]);
        assert_code(&output, 0);
        assert!(full.free().0 >= 1100 << 10, "{}", said(&output));
        assert_eq!((count(&elsewhere), count(&there)), (before, 1));
        let large = elsewhere.join("large.log").metadata().expect("the log");
        assert_eq!(large.len(), 2 << 20);
    }
}

/// Compressed archives on another disk give nothing to the one that lacks room.
#[test]
fn what_compression_gains_on_one_file_system_is_not_counted_for_the_reserve_of_another() {
    if needs_root() {
        return;
    }
    for (more, code) in [("reserve 7M", 6), ("reserve 4M", 0)] {
        let (one, two) = (Mount::tmpfs("size=8m,mode=0755"), Mount::tmpfs("size=8m,mode=0755"));
        let (first, second) = (one.folder("logs"), two.folder("old"));
        for folder in [&first, &second] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        file(&first.join("x.log"), &noise("x", 2 << 20), HOUR);
        file(&second.join("x.log.1"), &prose("x", 3 << 20), HOUR * 30);
        let scene = Scene::new();
        let block = format!(
            "LOGS/*.log {{\n rotate 9\n size 1G\n compress\n copytruncate\n olddir {}\n {more}\n}}\n",
            second.to_str().expect("UTF-8")
        );
        let output = logquota(scene.config(&first, &block));
        assert_code(&output, code);
        assert!(second.join("x.log.1.gz").exists(), "{more}: {}", said(&output));
        assert_eq!(first.join("x.log").metadata().expect("the log").len(), 2 << 20);
    }
}
