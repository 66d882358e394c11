//! Many names in little memory: their bytes, and four bytes each.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// Names of one folder, sorted once they are all there.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each name with its length (a name has at most 255 bytes) in front.
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Names {
    /// Adds a name. What is beyond 4 GiB of names is not taken; says whether it was.
    pub(super) fn push(&mut self, name: &OsStr) -> bool {
        let (Ok(start), Ok(len)) =
            (u32::try_from(self.bytes.len()), u8::try_from(name.as_bytes().len()))
        else {
            return false;
        };
        self.starts.push(start);
        self.bytes.push(len);
        self.bytes.extend_from_slice(name.as_bytes());
        true
    }

    pub(super) fn sort(&mut self) {
        let Self { bytes, starts } = self;
        starts.sort_unstable_by(|a, b| at(bytes, *a).cmp(at(bytes, *b)));
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&OsStr> {
        self.starts.get(index).map(|start| OsStr::from_bytes(at(&self.bytes, *start)))
    }

    /// Whether it has the name; only once it is sorted.
    pub(super) fn contains(&self, name: &OsStr) -> bool {
        self.starts.binary_search_by(|start| at(&self.bytes, *start).cmp(name.as_bytes())).is_ok()
    }
}

fn at(bytes: &[u8], start: u32) -> &[u8] {
    let rest = usize::try_from(start).ok().and_then(|start| bytes.get(start..));
    match rest.and_then(<[u8]>::split_first) {
        Some((len, rest)) => rest.get(..usize::from(*len)).unwrap_or_default(),
        None => &[],
    }
}
