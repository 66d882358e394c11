//! The paths in front of a block, once their words are split.
//!
//! What leaves here is absolute and never climbs. Wildcards stay as they are: matching them
//! against the disk is for the scan.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::diagnostic::{Fault, Pos, show};
use super::env::Env;

/// The longest path that a block may name, in bytes, as in logrotate.
pub(super) const PATTERN_MAX: usize = 2048;

/// With a leading `~` or `~user` replaced; or why it cannot be a pattern.
pub(super) fn checked(word: &[u8], pos: Pos, env: &dyn Env) -> Result<OsString, Fault> {
    let wrong = |why: &str, help: &str| {
        Err(Fault::new(pos, format!("the path \"{}\" {why}", show(word)), help))
    };
    if word.len() > PATTERN_MAX {
        return wrong("is longer than 2048 bytes", "shorten it");
    }
    if word.contains(&0) {
        return wrong("has a NUL byte", "no file name can have one; correct it");
    }
    let Some(pattern) = expand(word, env) else {
        return wrong("begins with a home folder that nobody has", "write the whole path");
    };
    if !pattern.starts_with(b"/") {
        return wrong("is relative", "begin it with `/`: relative to what, would depend");
    }
    // An escaped dot is a dot.
    let climbs = |part: &[u8]| {
        let plain = part.iter().filter(|b| **b != b'\\');
        plain.eq(b"..")
    };
    if pattern.split(|b| *b == b'/').any(climbs) {
        return wrong("has `..` in it", "write the folder that is meant");
    }
    if pattern.ends_with(b"/") {
        return wrong("names a folder", "name the logs in it, such as `/var/log/app/*.log`");
    }
    Ok(OsString::from_vec(pattern))
}

/// With a leading `~` or `~user` replaced; none if nobody has that home folder.
pub(super) fn expand(word: &[u8], env: &dyn Env) -> Option<Vec<u8>> {
    let Some(rest) = word.strip_prefix(b"~") else { return Some(word.to_vec()) };
    let slash = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    let (user, rest) = rest.split_at_checked(slash)?;
    let home = match OsStr::from_bytes(user).to_str()? {
        "" => env.home()?,
        user => env.user_home(user)?,
    };
    // The name of a folder is no pattern.
    let mut pattern = Vec::new();
    for byte in home.as_os_str().as_bytes() {
        if matches!(byte, b'*' | b'?' | b'[' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.extend_from_slice(rest);
    Some(pattern)
}
