//! Who is measured, by name: each runs in a process of its own.

use std::path::PathBuf;
use std::time::Duration;

use crate::{floor, ours};

/// Where and how a subject logs.
pub(crate) struct Setup {
    pub(crate) dir: PathBuf,
    /// Bytes at which a file is rotated.
    pub(crate) segment: u64,
    /// Archives beside the log.
    pub(crate) keep: u32,
    /// Compression where the subject can be asked for it.
    pub(crate) is_compressed: bool,
}

/// A writer under measurement. Records end with a newline.
pub(crate) trait Sink: Send + Sync {
    fn put(&self, record: &str);

    /// Everything accepted is in the kernel afterwards, or lost.
    fn finish(self: Box<Self>) -> Said;
}

/// What a subject says of itself.
#[derive(Default)]
pub(crate) struct Said {
    /// Records it dropped.
    pub(crate) dropped: Option<u64>,
    pub(crate) kept: Kept,
    /// Memory that its queue may hold, as it was configured.
    pub(crate) queue_bytes: u64,
}

/// How to know what it wrote: archives that are gone are not on the disk any more.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It takes a record, or counts it as dropped, or fails.
    #[default]
    AllButDropped,
    /// What is on the disk; such a subject deletes nothing.
    #[cfg_attr(not(feature = "rivals"), expect(dead_code, reason = "only they need it"))]
    OnDisk,
    /// It counts.
    Bytes(u64),
}

/// Block size of everybody who has one to set.
pub(crate) const BUFFER: usize = 64 << 10;
/// Longest that buffered bytes wait, where it can be set.
pub(crate) const FLUSH: Duration = Duration::from_secs(1);

/// `None` if this build has no such subject.
pub(crate) fn open(name: &str, setup: &Setup) -> Option<Box<dyn Sink>> {
    match name {
        "floor" => Some(Box::new(floor::Floor::new(setup, false))),
        "floor, reserved" => Some(Box::new(floor::Floor::new(setup, true))),
        "mutex + write_all" => Some(Box::new(floor::MutexFile::new(setup))),
        "nothing" => Some(Box::new(Nothing)),
        _ if name.starts_with("logquota") => ours::open(name, setup),
        #[cfg(feature = "rivals")]
        _ => crate::rivals::open(name, setup),
        #[cfg(not(feature = "rivals"))]
        _ => None,
    }
}

/// What the measuring itself costs.
struct Nothing;

impl Sink for Nothing {
    fn put(&self, record: &str) {
        std::hint::black_box(record);
    }

    fn finish(self: Box<Self>) -> Said {
        Said::default()
    }
}
