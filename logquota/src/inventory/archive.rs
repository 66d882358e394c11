//! An archive as it was scanned, in little room: there may be very many.
//!
//! Names of one folder lie in one piece of memory. What most archives have in common (owner,
//! mode, suffix, file system) is kept once.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use super::Head;
use super::names::Text;
use crate::naming::{ArchiveName, Label, newest_first};
use crate::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use crate::units::Bytes;

/// An archive as it was scanned. Under logrotate's rules it may be a link, a folder or a pipe
/// that has the name of one: that is renamed like the others, and neither opened nor deleted.
#[derive(Clone)]
pub struct Archive {
    text: Text,
    common: Arc<Common>,
    label: Label,
    ino: u64,
    len: u64,
    allocated: Bytes,
    /// Where its name begins in `text`.
    start: u32,
    btime: Moment,
    mtime: Moment,
    ctime: Moment,
}

/// What most archives of a log have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Common {
    suffix: String,
    own_style: bool,
    has_btime: bool,
    kind: Kind,
    dev: u64,
    mount: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    is_hollow: bool,
    /// Its compressed beginning. Hardly any has one.
    head: Option<Box<Head>>,
}

/// A [`Timestamp`] in twelve bytes: seconds, their upper half first, and nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Moment([u32; 3]);

/// Finds what archives have in common.
#[derive(Debug, Default)]
pub(crate) struct Commons {
    known: HashSet<Arc<Common>>,
    labels: HashSet<Label>,
}

impl Archive {
    /// An archive of that name.
    #[must_use]
    pub fn new(name: &OsStr, parsed: ArchiveName, meta: &Meta) -> Self {
        Self::within(&mut Commons::default(), (&Text::one(name), 0), parsed, meta)
    }

    /// An archive whose name begins at `start` in `text`.
    pub(crate) fn within(
        commons: &mut Commons,
        (text, start): (&Text, u32),
        parsed: ArchiveName,
        meta: &Meta,
    ) -> Self {
        let stamp = &meta.stamp;
        let common = commons.of(Common {
            suffix: parsed.suffix,
            own_style: parsed.own_style,
            has_btime: stamp.id.btime.is_some(),
            kind: meta.kind,
            dev: stamp.id.dev,
            mount: meta.mount,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            nlink: stamp.nlink,
            is_hollow: false,
            head: None,
        });
        Self {
            text: text.clone(),
            common,
            label: commons.label(parsed.label),
            ino: stamp.id.ino,
            len: stamp.len,
            allocated: stamp.allocated,
            start,
            btime: Moment::new(stamp.id.btime.unwrap_or_default()),
            mtime: Moment::new(stamp.mtime),
            ctime: Moment::new(stamp.ctime),
        }
    }

    /// Its file name in the log's archive folder.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        self.text.at(self.start)
    }

    /// Which archive of its log it is, as its name says.
    #[must_use]
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// Compression suffix with its dot; empty for a plain archive.
    #[must_use]
    pub fn suffix(&self) -> &str {
        &self.common.suffix
    }

    /// Whether it is not compressed.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.common.suffix.is_empty()
    }

    /// Whether the name is in the style the policy asks for.
    #[must_use]
    pub fn is_own_style(&self) -> bool {
        self.common.own_style
    }

    /// What was seen of it: which file, its sizes and times.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let common = &self.common;
        let btime = common.has_btime.then(|| self.btime.get());
        Stamp {
            id: FileId { dev: common.dev, ino: self.ino, btime },
            len: self.len,
            allocated: self.allocated,
            mtime: self.mtime.get(),
            ctime: self.ctime.get(),
            nlink: common.nlink,
        }
    }

    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.common.kind
    }

    /// All that was seen of it, except when it was last read: that is not kept, and is said to
    /// be its last change.
    #[must_use]
    pub fn meta(&self) -> Meta {
        let common = &self.common;
        let (kind, mode, uid, gid) = (common.kind, common.mode, common.uid, common.gid);
        let accessed = self.mtime.get();
        Meta { stamp: self.stamp(), accessed, kind, mode, uid, gid, mount: common.mount }
    }

    /// Its compressed beginning, if its compression in place was interrupted.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.common.head.as_deref()
    }

    /// Says that this is its compressed beginning.
    pub fn set_head(&mut self, head: Head) {
        Arc::make_mut(&mut self.common).head = Some(Box::new(head));
    }

    /// Whether it has a length and no content: a compression in place has finished with it.
    #[must_use]
    pub fn is_hollow(&self) -> bool {
        self.common.is_hollow
    }

    /// Says that it has no content.
    pub fn set_hollow(&mut self) {
        Arc::make_mut(&mut self.common).is_hollow = true;
    }

    /// What it occupies, with its compressed beginning.
    #[must_use]
    pub fn allocated(&self) -> Bytes {
        self.allocated.plus(self.head_allocated())
    }

    /// What its deletion gives back.
    #[must_use]
    pub fn freed_by_deletion(&self) -> Bytes {
        self.stamp().freed_by_unlink().plus(self.head_allocated())
    }

    fn head_allocated(&self) -> Bytes {
        self.head().map_or(Bytes::ZERO, |head| head.meta.stamp.allocated)
    }

    /// The same name, with this seen under it.
    #[must_use]
    pub fn with_meta(&self, meta: &Meta) -> Self {
        let (label, suffix) = (self.label.clone(), self.common.suffix.clone());
        let parsed = ArchiveName { label, suffix, own_style: self.common.own_style };
        Self::within(&mut Commons::default(), (&self.text, self.start), parsed, meta)
    }

    /// Newest first, by what the names say.
    #[must_use]
    pub fn newest_first(&self, other: &Self) -> Ordering {
        let key = |archive: &Self| archive.common.own_style;
        newest_first(
            (key(self), &self.label, self.suffix()),
            (key(other), &other.label, other.suffix()),
        )
        .then_with(|| self.name().cmp(other.name()))
    }
}

impl PartialEq for Archive {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.label == other.label
            && self.common == other.common
            && self.stamp() == other.stamp()
    }
}

impl Eq for Archive {}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("name", &self.name())
            .field("label", &self.label)
            .field("meta", &self.meta())
            .finish_non_exhaustive()
    }
}

impl Commons {
    fn of(&mut self, common: Common) -> Arc<Common> {
        if let Some(known) = self.known.get(&common) {
            return known.clone();
        }
        let common = Arc::new(common);
        self.known.insert(common.clone());
        common
    }

    /// Logs are rotated together, and their archives have the same dates.
    fn label(&mut self, label: Label) -> Label {
        if !matches!(label, Label::Date(_)) {
            return label;
        }
        if let Some(known) = self.labels.get(&label) {
            return known.clone();
        }
        self.labels.insert(label.clone());
        label
    }
}

impl Moment {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    const fn new(time: Timestamp) -> Self {
        let secs = time.secs.cast_unsigned();
        Self([(secs >> 32) as u32, secs as u32, time.nanos])
    }

    fn get(self) -> Timestamp {
        let [high, low, nanos] = self.0;
        let secs = u64::from(high) << 32 | u64::from(low);
        Timestamp { secs: secs.cast_signed(), nanos }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::Naming;

    #[test]
    fn an_archive_gives_back_what_was_seen_of_it() {
        for (secs, nanos, btime) in [(0, 0, false), (-1, 999_999_999, true), (i64::MIN, 1, true)] {
            let time = Timestamp { secs, nanos };
            let other = Timestamp { secs: i64::MAX, nanos: nanos / 2 };
            let id = FileId { dev: 7, ino: u64::MAX, btime: btime.then_some(other) };
            let allocated = Bytes::new(u64::MAX - 1);
            let stamp = Stamp { id, len: 5, allocated, mtime: time, ctime: other, nlink: 3 };
            let (kind, mount) = (Kind::Symlink, u64::MAX);
            let meta = Meta { stamp, accessed: time, kind, mode: 0o7777, uid: 1, gid: 2, mount };
            let name = OsStr::new("a.log-20261121.gz");
            let parsed = Naming::numbered(1).parse(OsStr::new("a.log"), name).expect("a name");
            let archive = Archive::new(name, parsed.clone(), &meta);
            assert_eq!((archive.name(), archive.meta()), (name, meta));
            let own = archive.is_own_style();
            assert_eq!((archive.label(), archive.suffix(), own), (&parsed.label, ".gz", false));
        }
    }

    #[test]
    fn an_archive_takes_little_room() {
        assert!(size_of::<Archive>() <= 104, "{}", size_of::<Archive>());
    }
}
