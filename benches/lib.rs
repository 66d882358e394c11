//! Benchmarks only; see `benches/README.md`.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const SMALL_MAX: usize = 4 << 10;
const LARGE: usize = 1 << 20;

/// Makes `files` logs below `tree`, `folder` in each folder: one in a hundred has a mebibyte,
/// the others less than 4 KiB. Says how many are large.
///
/// # Errors
///
/// What writing them gives.
pub fn make_tree(tree: &Path, files: usize, folder: usize) -> io::Result<usize> {
    let mut text = Vec::new();
    let mut line = 0u64;
    while text.len() < LARGE {
        line += 1;
        let id = line.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(
            text,
            "2026-11-21T18:{:02}:{:02}.{:06}Z WARN player::net request {:08x} took {} ms, retrying",
            line / 60 % 60,
            line % 60,
            id % 1_000_000,
            id % 9_973,
            id % 977
        )?;
    }
    let mut large = 0;
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    for start in (0..files).step_by(folder) {
        let dir = tree.join(format!("app{:05}", start / folder));
        fs::create_dir_all(&dir)?;
        mode(&dir, 0o755)?;
        for number in start..files.min(start + folder) {
            let is_large = number % 100 == 50;
            let len = if is_large { LARGE } else { number.wrapping_mul(2_654_435_761) % SMALL_MAX };
            large += usize::from(is_large);
            fs::write(dir.join(format!("log{number:06}.log")), &text[..len])?;
        }
    }
    mode(tree, 0o755)?;
    Ok(large)
}

/// Checks that every large log was rotated once and packed, and that nothing large is left.
///
/// # Errors
///
/// What reading the folders gives.
///
/// # Panics
///
/// If it is not so.
pub fn check_tree(tree: &Path, large: usize, name: &str) -> io::Result<()> {
    let (mut packed, mut left) = (0usize, 0usize);
    for dir in fs::read_dir(tree)? {
        for file in fs::read_dir(dir?.path())? {
            let file = file?;
            let file_name = file.file_name().to_string_lossy().into_owned();
            packed += usize::from(file_name.contains(".log.1.") || file_name.contains(".log-"));
            let is_log = file_name.ends_with(".log");
            left += usize::from(is_log && file.metadata()?.len() >= 100 << 10);
        }
    }
    assert_eq!((packed, left), (large, 0), "{name}: packed and left over");
    Ok(())
}
