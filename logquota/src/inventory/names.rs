//! Many names in little memory: their bytes, and four bytes each while they are looked up.

use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// The bytes of many names, each with its length (a name has at most 255 bytes) in front.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text(Arc<Vec<u8>>);

/// Names of one folder, sorted once they are all there.
#[derive(Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    starts: Vec<u32>,
    /// `bytes`, once they are all there.
    text: Text,
}

impl Text {
    /// One name. What is longer than 255 bytes is no name, and is cut off.
    pub(crate) fn one(name: &OsStr) -> Self {
        let name = name.as_bytes();
        let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let mut bytes = Vec::with_capacity(usize::from(len) + 1);
        bytes.push(len);
        bytes.extend(name.iter().take(len.into()));
        Self(Arc::new(bytes))
    }

    /// The name that begins there.
    pub(crate) fn at(&self, start: u32) -> &OsStr {
        OsStr::from_bytes(at(&self.0, start))
    }
}

/// Two are the same if they are one piece of memory: what is in them is not looked at.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Names {
    /// Adds a name. What is beyond 4 GiB of names is not taken; says whether it was.
    pub(crate) fn push(&mut self, name: &OsStr) -> bool {
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

    /// Puts them in order; nothing is added any more.
    pub(crate) fn sort(&mut self) {
        let Self { bytes, starts, text } = self;
        starts.sort_unstable_by(|a, b| at(bytes, *a).cmp(at(bytes, *b)));
        starts.shrink_to_fit();
        bytes.shrink_to_fit();
        *text = Text(Arc::new(std::mem::take(bytes)));
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(crate) const fn text(&self) -> &Text {
        &self.text
    }

    /// Where a name begins in the text.
    pub(crate) fn start(&self, index: usize) -> Option<u32> {
        self.starts.get(index).copied()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&OsStr> {
        self.start(index).map(|start| self.text.at(start))
    }

    /// Which one it is, if it is there; only once they are sorted.
    pub(crate) fn position(&self, name: &OsStr) -> Option<usize> {
        self.starts.binary_search_by(|start| self.text.at(*start).cmp(name)).ok()
    }

    /// Whether it has the name; only once they are sorted.
    pub(crate) fn contains(&self, name: &OsStr) -> bool {
        self.position(name).is_some()
    }
}

fn at(bytes: &[u8], start: u32) -> &[u8] {
    let rest = usize::try_from(start).ok().and_then(|start| bytes.get(start..));
    match rest.and_then(<[u8]>::split_first) {
        Some((len, rest)) => rest.get(..usize::from(*len)).unwrap_or_default(),
        None => &[],
    }
}
