//! The paths that a pattern stands for, as glob(3) finds them when the configuration is read.
//!
//! Links to folders on the way are followed, also below wildcards; those at the end are among
//! the paths, and whether a log may be worked on is looked at when its turn comes. One component is matched at a time
//! by the matcher of the scan, so that both mean the same by a wildcard. Names are bytes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::env::NameKind;
use crate::scan::pattern::Component;

/// A folder that a pattern leads through cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to list `{}`", path.display())]
pub struct GlobError {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// What of the disk is needed to expand a pattern.
pub(super) trait Names {
    /// The names in a folder but `.` and `..`, and of what kind they are if that costs nothing.
    fn names(&self, folder: &Path) -> io::Result<Vec<(OsString, Option<NameKind>)>>;

    /// What stands under a path, a link at its end not followed.
    fn kind(&self, path: &Path) -> Option<NameKind>;
}

/// A path on its way.
struct Found {
    path: Vec<u8>,
    /// As the last listing said.
    kind: Option<NameKind>,
    /// Whether a listing had it.
    is_certain: bool,
}

/// Every path that `pattern` matches, sorted by its bytes, but no folders. None if nothing
/// matches at all: then the word itself is the name. Folders that do not exist match nothing.
///
/// Slashes are kept as they are written, since names are compared as text: `/var//log/*` gives
/// `/var//log/a`.
pub(super) fn expand(pattern: &[u8], disk: &dyn Names) -> Result<Option<Vec<PathBuf>>, GlobError> {
    let mut found = vec![Found { path: Vec::new(), kind: None, is_certain: false }];
    let mut rest = pattern;
    while !rest.is_empty() {
        let slashes = rest.iter().take_while(|b| **b == b'/').count();
        let (slashes, tail) = rest.split_at_checked(slashes).unwrap_or((rest, &[]));
        let end = tail.iter().position(|b| *b == b'/').unwrap_or(tail.len());
        let (part, tail) = tail.split_at_checked(end).unwrap_or((tail, &[]));
        rest = tail;
        let mut next = Vec::new();
        match Component::parse(part) {
            Component::Literal(name) => {
                for mut one in found {
                    one.path.extend_from_slice(slashes);
                    one.path.extend_from_slice(name.as_bytes());
                    next.push(Found { kind: None, is_certain: false, ..one });
                }
            }
            Component::Wild(matcher) => {
                for mut one in found {
                    one.path.extend_from_slice(slashes);
                    matching(&one.path, &|name| matcher.matches(name), disk, &mut next)?;
                }
            }
        }
        found = next;
    }
    // What stands behind the last wildcard need not exist.
    let kind_of = |one: &Found| match one.kind {
        Some(kind) if one.is_certain => Some(kind),
        _ => disk.kind(Path::new(OsStr::from_bytes(&one.path))),
    };
    let mut paths = Vec::with_capacity(found.len());
    let mut any = false;
    for one in found {
        match kind_of(&one) {
            None if !one.is_certain => {}
            Some(NameKind::Dir) => any = true,
            _ => {
                any = true;
                paths.push(one.path);
            }
        }
    }
    paths.sort_unstable();
    Ok(any.then(|| paths.into_iter().map(|path| OsString::from_vec(path).into()).collect()))
}

/// The names of one folder that match.
fn matching(
    folder: &[u8],
    is_meant: &dyn Fn(&OsStr) -> bool,
    disk: &dyn Names,
    into: &mut Vec<Found>,
) -> Result<(), GlobError> {
    let path = match folder {
        [] => Path::new("."),
        folder => Path::new(OsStr::from_bytes(folder)),
    };
    let names = match disk.names(path) {
        Ok(names) => names,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(());
        }
        Err(source) => return Err(GlobError { path: path.to_owned(), source }),
    };
    for (name, kind) in names {
        if is_meant(&name) {
            let mut path = folder.to_vec();
            path.extend_from_slice(name.as_bytes());
            into.push(Found { path, kind, is_certain: true });
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make their own files")]
mod tests {
    use super::super::env::{Env as _, SystemEnv};
    use super::*;

    #[test]
    fn a_pattern_is_expanded_on_the_disk_as_by_the_c_library() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &[u8]| dir.path().join(OsStr::from_bytes(name));
        for name in [b"b/log".as_slice(), b"a/log", b"a-/log", b"b/.x", b"\xff.log"] {
            let path = at(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, "").expect("a file");
        }
        std::os::unix::fs::symlink("b", at(b"link")).expect("a link");
        std::os::unix::fs::symlink("nowhere", at(b"dangling")).expect("a link");
        for (pattern, expected) in [
            (
                b"/*/log".as_slice(),
                Some(vec![b"/a-/log".as_slice(), b"/a/log", b"/b/log", b"/link/log"]),
            ),
            (b"/*", Some(vec![b"/dangling", b"/link", b"/\xff.log"])),
            (b"/b/*", Some(vec![b"/b/log"])),
            (b"/b//.*", Some(vec![b"/b//.x"])),
            (b"/[!a]", Some(vec![])),
            (b"/b", Some(vec![])),
            (b"/\xff*", Some(vec![b"/\xff.log"])),
            (b"/\\dangling", Some(vec![b"/dangling"])),
            (b"/none", None),
            (b"/none/*", None),
            (b"/*/none", None),
            (b"/b/log/*", None),
        ] {
            let base = dir.path().as_os_str().as_bytes();
            let found = SystemEnv::default().glob(&[base, pattern].concat()).expect("readable");
            let expected = expected.map(|paths| {
                let whole = |path: &[u8]| OsString::from_vec([base, path].concat());
                paths.into_iter().map(whole).collect::<Vec<_>>()
            });
            let found = found
                .map(|paths| paths.into_iter().map(PathBuf::into_os_string).collect::<Vec<_>>());
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(pattern));
        }
    }
}
