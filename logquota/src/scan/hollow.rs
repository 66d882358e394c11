//! What a compression in place that was interrupted at its very end leaves of its source: a length,
//! and perhaps the block of an attribute, but no content.
//!
//! Only the file system can tell that, and it is asked only of a plain archive with holes beside a
//! compressed one of the same time, which hardly any log ever has.

use std::collections::HashSet;

use super::walk::Folder;
use crate::fs::ReadFs;
use crate::inventory::{Archive, Log};
use crate::stamp::Kind;
use crate::units::Bytes;

/// Finds those among the archives of a log.
pub(super) fn find(fs: &dyn ReadFs, folder: &Folder, log: &mut Log) {
    let has_holes = |archive: &Archive| {
        archive.is_plain() && archive.kind() == Kind::File && archive.stamp().holes() > Bytes::ZERO
    };
    if !log.archives.iter().any(has_holes) {
        return;
    }
    let which = |archive: &Archive| (archive.label().clone(), archive.stamp().mtime);
    let packed = log.archives.iter().filter(|archive| !archive.is_plain());
    let packed: HashSet<_> = packed.map(which).collect();
    for archive in log.archives.iter_mut().filter(|archive| has_holes(archive)) {
        if packed.contains(&which(archive)) && has_no_data(fs, folder, archive) {
            archive.set_hollow();
        }
    }
}

fn has_no_data(fs: &dyn ReadFs, folder: &Folder, archive: &Archive) -> bool {
    let Ok(mut file) = fs.read(folder.dir, archive.name()) else { return false };
    let is_it = file.meta().is_ok_and(|meta| meta.stamp.id == archive.stamp().id);
    is_it && matches!(file.next_data(0), Ok(None))
}
