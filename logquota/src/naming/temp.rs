//! Names of files that are being made.
//!
//! The name is a digest of the name it will get, so that a scan can prove that a leftover
//! is ours: it computes the name again from what lies beside it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use sha2::{Digest as _, Sha256};

const PREFIX: &str = ".logquota-";
const SUFFIX: &str = ".tmp";
const HEAD_SUFFIX: &str = ".head";

/// The temporary name for a file that will be called `target` in the same folder. Always
/// 30 bytes, so that it fits where `target` does.
#[must_use]
pub fn temporary_name(target: &OsStr) -> OsString {
    named(b"logquota temporary 1\0", target, SUFFIX)
}

/// The name for a file that will be called `target` in the same folder and is compressed in
/// place: what it has of its source, the source has no longer. So it has not the shape of a
/// temporary name, which whoever comes later may delete. Always 31 bytes.
#[must_use]
pub fn head_name(target: &OsStr) -> OsString {
    named(b"logquota head 1\0", target, HEAD_SUFFIX)
}

fn named(what: &[u8], target: &OsStr, suffix: &str) -> OsString {
    let mut digest = Sha256::new();
    digest.update(what);
    digest.update(target.as_bytes());
    let mut name = String::from(PREFIX);
    for byte in digest.finalize().iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(suffix);
    OsString::from(name)
}

/// Whether a name has the shape of one of ours. Not a proof: see [`temporary_name`].
#[must_use]
pub fn is_temporary_shape(name: &OsStr) -> bool {
    has_shape(name, SUFFIX)
}

/// The same for [`head_name`].
#[must_use]
pub fn is_head_shape(name: &OsStr) -> bool {
    has_shape(name, HEAD_SUFFIX)
}

fn has_shape(name: &OsStr, suffix: &str) -> bool {
    name.as_bytes()
        .strip_prefix(PREFIX.as_bytes())
        .and_then(|rest| rest.strip_suffix(suffix.as_bytes()))
        .is_some_and(|hex| {
            hex.len() == 16 && hex.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h57_a_temporary_name_is_proven_by_its_target() {
        let name = temporary_name(OsStr::new("app.log.1.gz"));
        assert!(is_temporary_shape(&name));
        assert_eq!(name.len(), 30);
        assert_ne!(name, temporary_name(OsStr::new("app.log.2.gz")));
        for other in ["a.tmp", ".logquota-.tmp", ".logquota-0123456789abcdeF.tmp", "app.gz.tmp"] {
            assert!(!is_temporary_shape(OsStr::new(other)), "{other}");
        }
    }

    #[test]
    fn a_head_is_no_temporary_file() {
        let head = head_name(OsStr::new("app.log.1.gz"));
        assert!(is_head_shape(&head) && !is_temporary_shape(&head));
        assert_eq!(head.len(), 31);
        assert!(!is_head_shape(&temporary_name(OsStr::new("app.log.1.gz"))));
    }
}
