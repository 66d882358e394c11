//! An archive as it was scanned, in little room: there may be very many.
//!
//! Names of one folder lie in one piece of memory. What most archives have in common (that
//! piece, owner, mode, suffix, file system) is kept once.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use super::Head;
use super::names::Text;
use crate::naming::{ArchiveName, Date, Label, newest_first};
use crate::stamp::{FileId, Kind, Meta, Stamp, Timestamp};
use crate::units::Bytes;

/// An archive as it was scanned. Under logrotate's rules it may be a link, a folder or a pipe
/// that has the name of one: that is renamed like the others, and neither opened nor deleted.
#[derive(Clone)]
pub struct Archive {
    common: Arc<Common>,
    label: Short,
    ino: u64,
    len: u64,
    /// In [`SECTOR`]s.
    allocated: u32,
    /// Where its name begins in the text.
    start: u32,
    times: [Moment; TIMES],
}

/// What most archives of a log have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Common {
    /// Where their names are.
    text: Text,
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
    /// What an archive has no room for. Hardly any needs it.
    odd: Option<Box<Odd>>,
    /// Its compressed beginning. Hardly any has one.
    head: Option<Box<Head>>,
}

/// Where one of these is beyond what an archive has room for: all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Odd {
    times: [Timestamp; TIMES],
    allocated: Bytes,
}

/// In such units stat(2) says what a file occupies, whatever the file system's block is. Four bytes
/// are enough for 2 TiB.
const SECTOR: u64 = 512;

/// Birth, last change of the content, last change of the inode.
const TIMES: usize = 3;

/// A [`Timestamp`] in eight bytes: 34 bits of seconds since 1970, enough for 500 years, and then 30
/// of nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moment(u64);

/// How many bits the nanoseconds have.
const NANOS: u32 = 30;

/// A [`Label`] in sixteen bytes.
#[derive(Clone)]
enum Short {
    Number(u32),
    Date(Arc<Date>),
    Sequence {
        number: u32,
        at: u32,
    },
    /// A sequence number or a time that four bytes are too few for.
    Long {
        sequence: Box<(u64, i64)>,
    },
}

/// Finds what archives have in common.
#[derive(Debug, Default)]
pub(crate) struct Commons {
    known: HashSet<Arc<Common>>,
    dates: HashSet<Arc<Date>>,
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
        let times = [stamp.id.btime.unwrap_or_default(), stamp.mtime, stamp.ctime];
        let short = times.map(Moment::new);
        let allocated = sectors(stamp.allocated);
        let is_odd = short.contains(&None) || allocated.is_none();
        let common = commons.of(Common {
            text: text.clone(),
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
            odd: is_odd.then(|| Box::new(Odd { times, allocated: stamp.allocated })),
            head: None,
        });
        Self {
            common,
            label: Short::new(commons.label(parsed.label)),
            ino: stamp.id.ino,
            len: stamp.len,
            allocated: allocated.unwrap_or_default(),
            start,
            times: short.map(Option::unwrap_or_default),
        }
    }

    /// Its file name in the log's archive folder.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        self.common.text.at(self.start)
    }

    /// Which archive of its log it is, as its name says.
    #[must_use]
    pub fn label(&self) -> Label {
        self.label.get()
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
        let [btime, mtime, ctime] = self.times();
        let btime = common.has_btime.then_some(btime);
        Stamp {
            id: FileId { dev: common.dev, ino: self.ino, btime },
            len: self.len,
            allocated: self.own_allocated(),
            mtime,
            ctime,
            nlink: common.nlink,
        }
    }

    fn times(&self) -> [Timestamp; TIMES] {
        let odd = self.common.odd.as_deref();
        odd.map_or_else(|| self.times.map(Moment::get), |odd| odd.times)
    }

    fn own_allocated(&self) -> Bytes {
        let odd = self.common.odd.as_deref();
        let own = || Bytes::new(u64::from(self.allocated) * SECTOR);
        odd.map_or_else(own, |odd| odd.allocated)
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
        let (stamp, mount) = (self.stamp(), common.mount);
        Meta { stamp, accessed: stamp.mtime, kind, mode, uid, gid, mount }
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
        self.own_allocated().plus(self.head_allocated())
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
        let (label, suffix) = (self.label(), self.common.suffix.clone());
        let parsed = ArchiveName { label, suffix, own_style: self.common.own_style };
        Self::within(&mut Commons::default(), (&self.common.text, self.start), parsed, meta)
    }

    /// Newest first, by what the names say.
    #[must_use]
    pub fn newest_first(&self, other: &Self) -> Ordering {
        newest_first(
            (self.is_own_style(), &self.label(), self.suffix()),
            (other.is_own_style(), &other.label(), other.suffix()),
        )
        .then_with(|| self.name().cmp(other.name()))
    }
}

impl PartialEq for Archive {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.label() == other.label()
            && self.suffix() == other.suffix()
            && self.is_own_style() == other.is_own_style()
            && self.meta() == other.meta()
            && self.is_hollow() == other.is_hollow()
            && self.head() == other.head()
    }
}

impl Eq for Archive {}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("name", &self.name())
            .field("label", &self.label())
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
        let Label::Date(date) = label else { return label };
        if let Some(known) = self.dates.get(&date) {
            return Label::Date(known.clone());
        }
        self.dates.insert(date.clone());
        Label::Date(date)
    }
}

impl Short {
    fn new(label: Label) -> Self {
        match label {
            Label::Number(number) => Self::Number(number),
            Label::Date(date) => Self::Date(date),
            Label::Sequence { number, at } => match (u32::try_from(number), u32::try_from(at)) {
                (Ok(number), Ok(at)) => Self::Sequence { number, at },
                _ => Self::Long { sequence: Box::new((number, at)) },
            },
        }
    }

    fn get(&self) -> Label {
        match self {
            Self::Number(number) => Label::Number(*number),
            Self::Date(date) => Label::Date(date.clone()),
            Self::Sequence { number, at } => {
                Label::Sequence { number: u64::from(*number), at: i64::from(*at) }
            }
            Self::Long { sequence } => Label::Sequence { number: sequence.0, at: sequence.1 },
        }
    }
}

fn sectors(bytes: Bytes) -> Option<u32> {
    let is_whole = bytes.get().is_multiple_of(SECTOR);
    u32::try_from(bytes.get() / SECTOR).ok().filter(|_| is_whole)
}

impl Moment {
    fn new(time: Timestamp) -> Option<Self> {
        let secs = u64::try_from(time.secs).ok().filter(|secs| secs >> (u64::BITS - NANOS) == 0)?;
        (time.nanos >> NANOS == 0).then(|| Self(secs << NANOS | u64::from(time.nanos)))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the bits that remain are few")]
    const fn get(self) -> Timestamp {
        let secs = (self.0 >> NANOS).cast_signed();
        Timestamp { secs, nanos: self.0 as u32 & ((1 << NANOS) - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::Naming;

    #[test]
    fn an_archive_gives_back_what_was_seen_of_it() {
        let (last, far) = (Timestamp { secs: (1 << 34) - 1, nanos: 999_999_999 }, i64::MAX);
        let most = u64::from(u32::MAX) * SECTOR;
        for (secs, nanos, btime, other, allocated) in [
            (0, 0, false, last, 0),
            (0, 0, true, last, most),
            (0, 0, true, last, most + SECTOR),
            (0, 0, true, last, most + 1),
            (0, 0, true, last, u64::MAX),
            (0, 0, true, last, SECTOR - 1),
            (1 << 34, 0, true, last, 4096),
            (1_700_000_000, u32::MAX, true, last, SECTOR),
            (-1, 999_999_999, true, Timestamp { secs: far, nanos: 1 }, 8192),
            (i64::MIN, 1, true, Timestamp { secs: far, nanos: 0 }, 8192),
        ] {
            let time = Timestamp { secs, nanos };
            let id = FileId { dev: 7, ino: u64::MAX, btime: btime.then_some(other) };
            let allocated = Bytes::new(allocated);
            let stamp = Stamp { id, len: 5, allocated, mtime: time, ctime: other, nlink: 3 };
            let (kind, mount) = (Kind::Symlink, u64::MAX);
            let meta = Meta { stamp, accessed: time, kind, mode: 0o7777, uid: 1, gid: 2, mount };
            let name = OsStr::new("a.log-20261121.gz");
            let parsed = Naming::numbered(1).parse(OsStr::new("a.log"), name).expect("a name");
            let archive = Archive::new(name, parsed.clone(), &meta);
            assert_eq!((archive.name(), archive.meta()), (name, meta));
            let own = archive.is_own_style();
            assert_eq!((archive.label(), archive.suffix(), own), (parsed.label, ".gz", false));
        }
    }

    #[test]
    fn a_label_is_given_back_whatever_its_numbers() {
        let sequence = |number, at| Label::Sequence { number, at };
        let four = u64::from(u32::MAX);
        let labels = [
            Label::Number(u32::MAX),
            sequence(four, i64::from(u32::MAX)),
            sequence(four + 1, 0),
            sequence(0, i64::from(u32::MAX) + 1),
            sequence(u64::MAX, -1),
        ];
        for label in labels {
            assert_eq!(Short::new(label.clone()).get(), label);
        }
    }

    #[test]
    fn an_archive_takes_little_room() {
        assert!(size_of::<Archive>() <= 72, "{}", size_of::<Archive>());
    }
}
