//! Counts what a log and all that belongs to it may occupy, before it does.
//!
//! Pure: no disk, no clock. Each file has an entry with the most that it can occupy: an
//! archive what was seen of it, the active segment the whole of its reservation, a file in
//! the making all that it may become. The sum of the entries never passes the quota, so the
//! sum of what is really there never does.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::codec::bound;
use crate::naming::KNOWN_SUFFIXES;
use crate::stamp::FileId;
use crate::units::Bytes;

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// The most that it occupies.
    bytes: u64,
    /// Records of this appender in it.
    records: u64,
    /// When it was last booked.
    epoch: u64,
    /// Which file it is, once a look has seen it.
    id: Option<FileId>,
    /// The archive that it is made from, while it is in the making.
    source: Option<OsString>,
}

/// A segment that somebody took away from us.
#[derive(Clone, Copy, Debug)]
struct Orphan {
    id: FileId,
    /// Our records in it, and its length.
    records: u64,
    len: u64,
    /// A look that had begun before cannot tell that it is nowhere.
    epoch: u64,
}

/// An archive that occupies what it does until it is let go of, whether or not it has a name.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// By how many.
    by: u32,
    /// What it occupies without a name.
    unnamed: u64,
}

/// What the files of one log occupy, at most.
#[derive(Debug)]
pub(super) struct Books {
    quota: Option<u64>,
    block: u64,
    files: BTreeMap<OsString, Entry>,
    files_sum: u64,
    /// Blocks of the directory itself.
    directory: u64,
    /// The active segment's reservation; 0 without one.
    active: u64,
    epoch: u64,
    /// The highest number that an archive has.
    number: u64,
    /// What another process may occupy unseen.
    margin: u64,
    /// Archives that we read, or that are just being deleted.
    held: BTreeMap<OsString, Held>,
    /// Segments that somebody took away from us.
    orphans: Vec<Orphan>,
    pub(super) peak: u64,
    pub(super) evicted_records: u64,
    pub(super) evicted_files: u64,
    pub(super) compressions: u64,
}

impl Books {
    pub(super) fn new(quota: Option<u64>, block: u64) -> Self {
        Self {
            quota,
            block: block.max(1),
            files: BTreeMap::new(),
            files_sum: 0,
            directory: 0,
            active: 0,
            epoch: 0,
            number: 0,
            margin: 0,
            held: BTreeMap::new(),
            orphans: Vec::new(),
            peak: 0,
            evicted_records: 0,
            evicted_files: 0,
            compressions: 0,
        }
    }

    pub(super) fn set_block(&mut self, block: u64) {
        self.block = block.max(1);
    }

    /// The most that a plain file of this length occupies: its blocks, and those in which a
    /// file system notes where they are (ext4: 340 extents to a block; one extent may be one
    /// block on a fragmented disk).
    pub(super) fn claim(&self, len: u64) -> u64 {
        if len == 0 {
            return 0;
        }
        let blocks = len.div_ceil(self.block);
        let noted = blocks.checked_div(256).unwrap_or(0).saturating_add(2);
        blocks.saturating_add(noted).saturating_mul(self.block)
    }

    pub(super) fn quota(&self) -> Option<u64> {
        self.quota
    }

    pub(super) const fn active(&self) -> u64 {
        self.active
    }

    /// Everything but the active segment.
    pub(super) fn others(&self) -> u64 {
        self.files_sum.saturating_add(self.directory).saturating_add(self.unnamed())
    }

    pub(super) fn used(&self) -> u64 {
        self.others().saturating_add(self.active)
    }

    /// How many files there are besides the active segment.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// Whether `more` bytes fit in.
    pub(super) fn has_room(&self, more: u64) -> bool {
        let wanted = self.used().saturating_add(self.margin).saturating_add(more);
        self.quota.is_none_or(|quota| wanted <= quota)
    }

    /// Whether a claim fits in in the place of the active segment, which may be larger than
    /// was agreed: others append to it, too.
    pub(super) fn has_room_instead(&self, claim: u64) -> bool {
        self.quota.is_none_or(|quota| self.others().saturating_add(claim) <= quota)
    }

    /// Whether a claim could fit in if everything else were gone.
    pub(super) fn could_hold(&self, claim: u64) -> bool {
        self.quota.is_none_or(|quota| self.directory.saturating_add(claim) <= quota)
    }

    /// The longest segment up to this length of which one fits in: the quota is for blocks,
    /// its own and the directory's included.
    pub(super) fn fit(&self, segment: u64) -> u64 {
        let Some(quota) = self.quota else { return segment };
        let blocks = quota.saturating_sub(self.directory).checked_div(self.block).unwrap_or(0);
        // The inverse of `claim`: the most that fits with one more for each 256.
        let most = blocks.saturating_sub(2);
        let noted = most.saturating_add(1).checked_div(257).unwrap_or(0);
        let most = most.saturating_sub(noted);
        segment.min(most.saturating_mul(self.block)).max(1)
    }

    /// What is kept free for the next segment; nothing where the quota is too small for two.
    pub(super) fn headroom(&self, segment: u64) -> u64 {
        self.spare(segment, 2)
    }

    /// What is kept free for the output of a compression, where the quota is not tight.
    pub(super) fn working_room(&self, segment: u64) -> u64 {
        self.spare(bound(Bytes::new(segment)).get(), 5)
    }

    /// Others share the directory, or do not any more. One process at a time compresses; what
    /// we delete while that one reads it keeps its blocks until it lets go.
    pub(super) fn set_shared(&mut self, segment: Option<u64>) {
        self.margin = segment.map_or(0, |segment| self.working_room(segment));
    }

    pub(super) const fn margin(&self) -> u64 {
        self.margin
    }

    fn spare(&self, segment: u64, at_least: u64) -> u64 {
        let claim = self.claim(segment);
        let quota = self.quota.unwrap_or(u64::MAX);
        let needed = claim.saturating_mul(at_least).saturating_add(self.directory);
        if quota >= needed { claim } else { 0 }
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.used());
    }

    /// A new active segment.
    pub(super) fn begin(&mut self, claim: u64) {
        self.active = claim;
        self.note_peak();
    }

    /// The log occupies more than we made it, or is not ours.
    pub(super) fn at_least(&mut self, active: u64) {
        self.begin(self.active.max(active));
    }

    /// The active segment became the archive `name`.
    pub(super) fn retire(&mut self, name: &OsStr, records: u64, id: Option<FileId>) {
        let claim = std::mem::take(&mut self.active);
        // What had the name before has gone.
        self.removed(name);
        self.book(name, claim, records, None);
        self.is_file(name, id);
    }

    /// What became that archive was somebody else's log; ours is one that was taken away.
    pub(super) fn was_not_ours(&mut self, name: &OsStr, id: FileId, records: u64, len: u64) {
        if let Some(entry) = self.files.get_mut(name) {
            entry.records = entry.records.saturating_sub(records);
            entry.id = None;
        }
        self.orphaned(Some(id), records, len);
    }

    fn is_file(&mut self, name: &OsStr, id: Option<FileId>) {
        if let Some(entry) = self.files.get_mut(name) {
            entry.id = id;
        }
    }

    /// There is no active segment any more, and nothing was left of it.
    pub(super) fn end(&mut self) {
        self.active = 0;
    }

    /// Books a file that is about to be made, if it fits in beside what is kept free.
    pub(super) fn make(&mut self, name: &OsStr, room: u64, free: u64, source: &OsStr) -> bool {
        // With the blocks that note where its blocks are.
        let room = self.claim(room);
        let fits = self.has_room(room.saturating_add(free));
        if fits {
            self.book(name, room, 0, Some(source.to_owned()));
        }
        fits
    }

    /// Says that a file which an interrupted run has begun is gone on with, from that source.
    /// `false` if it is not there.
    pub(super) fn go_on(&mut self, name: &OsStr, source: &OsStr) -> bool {
        let Some(entry) = self.files.get_mut(name) else { return false };
        entry.source = Some(source.to_owned());
        true
    }

    /// Books that it becomes as long as that, if there is room beside what is kept free.
    pub(super) fn lengthen(&mut self, name: &OsStr, len: u64, free: u64) -> bool {
        let claim = self.claim(len);
        let Some(entry) = self.files.get(name) else { return false };
        let (more, records) = (claim.saturating_sub(entry.bytes), entry.records);
        let fits = more == 0 || self.has_room(more.saturating_add(free));
        if fits && more > 0 {
            let source = entry.source.clone();
            self.book(name, claim, records, source);
        }
        fits
    }

    /// It is not gone on with any more: looks find what it is.
    pub(super) fn leave_off(&mut self, name: &OsStr) {
        if let Some(entry) = self.files.get_mut(name) {
            entry.source = None;
        }
    }

    /// Whether this file is being made by us just now.
    pub(super) fn is_making(&self, name: &OsStr) -> bool {
        self.files.get(name).is_some_and(|entry| entry.source.is_some())
    }

    fn book(&mut self, name: &OsStr, bytes: u64, records: u64, source: Option<OsString>) {
        let entry = self.files.entry(name.to_owned()).or_default();
        let before = entry.bytes;
        *entry = Entry { bytes, records, epoch: self.epoch, id: entry.id, source };
        self.files_sum = self.files_sum.saturating_sub(before).saturating_add(bytes);
        self.note_peak();
    }

    /// What a file was seen to occupy. Its records stay.
    pub(super) fn seen(&mut self, name: &OsStr, bytes: u64) {
        let records = self.files.get(name).map_or(0, |entry| entry.records);
        self.book(name, bytes, records, None);
    }

    /// The same, unless it has gone or got another name meanwhile.
    pub(super) fn seen_if_known(&mut self, name: &OsStr, bytes: u64) {
        if self.files.contains_key(name) {
            self.seen(name, bytes);
        }
    }

    /// Somebody took the active segment away, to a name that the next look may find, or
    /// deleted it.
    pub(super) fn orphaned(&mut self, id: Option<FileId>, records: u64, len: u64) {
        match id.filter(|_| records > 0) {
            Some(id) => self.orphans.push(Orphan { id, records, len, epoch: self.epoch }),
            None => self.evicted_records = self.evicted_records.saturating_add(records),
        }
    }

    /// A look found this file: perhaps it is one that was taken away.
    pub(super) fn found(&mut self, name: &OsStr, id: &FileId) {
        let Some(at) = self.orphans.iter().position(|orphan| orphan.id == *id) else { return };
        let Orphan { records, .. } = self.orphans.swap_remove(at);
        match self.files.get_mut(name) {
            Some(entry) => entry.records = entry.records.saturating_add(records),
            None => self.evicted_records = self.evicted_records.saturating_add(records),
        }
    }

    /// What this look has not found is nowhere that we know of, unless it is the log.
    pub(super) fn forget_orphans(&mut self, epoch: u64, log: Option<&FileId>) {
        let is_gone = |orphan: &mut Orphan| Some(&orphan.id) != log && orphan.epoch < epoch;
        let gone = self.orphans.extract_if(.., is_gone);
        let gone = gone.fold(0, |sum: u64, orphan| sum.saturating_add(orphan.records));
        self.gone(gone);
    }

    /// The log, of this length, is one that was believed to be taken away: our records in it.
    pub(super) fn reclaim(&mut self, log: &FileId, len: u64) -> u64 {
        let Some(at) = self.orphans.iter().position(|orphan| orphan.id == *log) else { return 0 };
        let orphan = self.orphans.swap_remove(at);
        self.cut(orphan.records, orphan.len, len)
    }

    /// Somebody cut a log with so many records of ours: how many are left. All are gone with all
    /// of it; otherwise nobody can tell which.
    pub(super) fn cut(&mut self, records: u64, before: u64, now: u64) -> u64 {
        let gone = before.saturating_sub(now).saturating_mul(records).div_ceil(before.max(1));
        self.gone(gone.min(records));
        records.saturating_sub(gone)
    }

    /// So many records are nowhere any more.
    pub(super) fn gone(&mut self, records: u64) {
        self.evicted_records = self.evicted_records.saturating_add(records);
    }

    /// A file got another name.
    pub(super) fn renamed(&mut self, from: &OsStr, to: &OsStr) {
        if let Some(entry) = self.take(from) {
            self.book(to, entry.bytes, entry.records, None);
        }
    }

    fn take(&mut self, name: &OsStr) -> Option<Entry> {
        let entry = self.files.remove(name)?;
        self.files_sum = self.files_sum.saturating_sub(entry.bytes);
        Some(entry)
    }

    /// A file is gone. Its records live on in what was made, or is being made, from it;
    /// otherwise they are gone, too.
    pub(super) fn removed(&mut self, name: &OsStr) {
        let Some(entry) = self.take(name) else { return };
        if let Some(held) = self.held.get_mut(name) {
            held.unnamed = held.unnamed.saturating_add(entry.bytes);
        }
        if entry.records == 0 {
            return;
        }
        let heir = self.files.iter_mut().find(|(other, candidate)| {
            candidate.source.as_deref() == Some(name) || is_packed_from(other, name)
        });
        match heir {
            Some((_, heir)) => heir.records = heir.records.saturating_add(entry.records),
            None => self.evicted_records = self.evicted_records.saturating_add(entry.records),
        }
    }

    /// An archive is opened to be read, or is about to be deleted. Without a name it still
    /// occupies what it did: the system takes milliseconds to delete a large file, whose name is
    /// gone at once.
    pub(super) fn hold(&mut self, name: &OsStr) {
        let held = self.held.entry(name.to_owned()).or_default();
        held.by = held.by.saturating_add(1);
    }

    /// It is closed again, or gone.
    pub(super) fn let_go(&mut self, name: &OsStr) {
        let Some(held) = self.held.get_mut(name) else { return };
        held.by = held.by.saturating_sub(1);
        if held.by == 0 {
            self.held.remove(name);
        }
    }

    /// Whether an archive is held.
    pub(super) fn is_held(&self, name: &OsStr) -> bool {
        self.held.contains_key(name)
    }

    /// Whether an archive that is held has been deleted.
    pub(super) fn is_unnamed(&self, name: &OsStr) -> bool {
        self.held.get(name).is_some_and(|held| held.unnamed > 0)
    }

    /// What held files without a name occupy.
    pub(super) fn unnamed(&self) -> u64 {
        self.held.values().fold(0, |sum, held| sum.saturating_add(held.unnamed))
    }

    /// What was compressed from this file, and has its name already.
    pub(super) fn packed_from(&self, name: &OsStr) -> Option<OsString> {
        self.files.keys().find(|other| is_packed_from(other, name)).cloned()
    }

    /// Begins a look at the disk. What is booked from now on is newer than what it sees.
    pub(super) fn begin_look(&mut self) -> u64 {
        self.epoch = self.epoch.saturating_add(1);
        self.epoch
    }

    /// Takes over what a look saw. What was booked meanwhile stays as it is.
    pub(super) fn end_look<'a>(
        &mut self,
        epoch: u64,
        directory: u64,
        found: impl Iterator<Item = (&'a OsStr, u64, FileId)>,
    ) {
        let mut gone: Vec<OsString> = self
            .files
            .iter()
            .filter(|(_, entry)| entry.epoch < epoch && entry.source.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        self.directory = directory;
        let peak = self.peak;
        for (name, bytes, id) in found {
            if let Ok(at) = gone.binary_search_by(|probe| probe.as_os_str().cmp(name)) {
                gone.remove(at);
            }
            let is_older = self
                .files
                .get(name)
                .is_none_or(|entry| entry.epoch < epoch && entry.source.is_none());
            if is_older {
                let before = self.files.get(name).and_then(|entry| entry.id);
                if before.is_some_and(|before| before != id) {
                    // Another one, by somebody who gave it the name of one that had gone.
                    self.removed(name);
                }
                self.seen(name, bytes);
                self.is_file(name, Some(id));
            }
        }
        for name in gone {
            self.removed(&name);
        }
        // What has got another name was counted under both for a moment.
        self.peak = peak;
        self.note_peak();
    }

    /// An archive with this number exists.
    pub(super) fn saw_number(&mut self, number: u64) {
        self.number = self.number.max(number);
    }

    /// The number of the next archive.
    pub(super) fn next_number(&mut self) -> u64 {
        self.number = self.number.saturating_add(1);
        self.number
    }
}

/// Whether `packed` is `plain` with the suffix of a compressor.
fn is_packed_from(packed: &OsStr, plain: &OsStr) -> bool {
    let suffix = packed.as_bytes().strip_prefix(plain.as_bytes());
    suffix.is_some_and(|suffix| {
        !suffix.is_empty() && KNOWN_SUFFIXES.iter().any(|known| known.as_bytes() == suffix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(ino: u64) -> FileId {
        FileId { dev: 1, ino, btime: None }
    }

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn a_claim_covers_a_file_whose_every_block_is_an_extent_of_its_own() {
        let books = Books::new(None, 4096);
        // 1,024 blocks need 4 leaves of 340 extents, and the root is in the inode.
        assert_eq!(books.claim(4 << 20), (1024 + 4 + 2) * 4096);
        assert_eq!(books.claim(1), 3 * 4096);
    }

    #[test]
    fn a_segment_is_no_longer_than_what_the_quota_can_hold() {
        let quotas = [(9830, 1024), (65_536, 4096), (1 << 20, 512), (4096, 4096), (21_708, 4096)];
        // Around the first blocks that note where 256 others are.
        let around = (255..262).chain(510..520).map(|blocks| (blocks * 512, 512));
        for (quota, block) in quotas.into_iter().chain(around) {
            let mut books = Books::new(Some(quota), block);
            books.directory = 2 * block;
            let fit = books.fit(quota);
            assert!(fit == 1 || books.could_hold(books.claim(fit)), "{quota} {fit}");
            let next = if fit == 1 { 1 } else { fit + 1 };
            assert!(!books.could_hold(books.claim(next)), "{quota} {fit}");
        }
        assert_eq!(Books::new(None, 512).fit(77), 77);
    }

    #[test]
    fn records_of_a_compressed_archive_are_not_lost_with_its_source() {
        let mut books = Books::new(Some(1 << 20), 512);
        books.begin(1000);
        books.retire(name("a.1"), 7, None);
        assert!(books.make(name("t"), 500, 0, name("a.1")));
        books.renamed(name("t"), name("a.1.zst"));
        books.seen(name("a.1.zst"), 100);
        books.removed(name("a.1"));
        assert_eq!((books.used(), books.evicted_records), (100, 0));
        books.removed(name("a.1.zst"));
        assert_eq!((books.used(), books.evicted_records), (0, 7));
    }

    #[test]
    fn an_archive_that_is_evicted_while_it_is_compressed_lives_on_in_the_copy() {
        let mut books = Books::new(Some(1 << 20), 512);
        books.begin(1000);
        books.retire(name("a.1"), 7, None);
        assert!(books.make(name("t"), 500, 0, name("a.1")));
        books.removed(name("a.1"));
        assert_eq!(books.evicted_records, 0);
        books.removed(name("t"));
        assert_eq!(books.evicted_records, 7);
    }

    #[test]
    fn h45_an_archive_that_is_deleted_while_it_is_read_counts_until_it_is_closed() {
        let mut books = Books::new(Some(1000), 512);
        books.begin(600);
        books.retire(name("a.1"), 7, None);
        books.hold(name("a.1"));
        assert!(!books.is_unnamed(name("a.1")));
        books.removed(name("a.1"));
        assert!(books.is_unnamed(name("a.1")) && !books.has_room(500));
        books.let_go(name("a.1"));
        assert!(books.has_room(1000));
    }

    #[test]
    fn h36_room_for_what_another_process_reads_is_left_where_the_quota_is_not_tight() {
        let mut books = Books::new(Some(8 << 20), 4096);
        books.set_shared(Some(1 << 20));
        assert_eq!(books.margin(), books.claim(bound(Bytes::mib(1)).get()));
        assert!(books.has_room(6 << 20) && !books.has_room(7 << 20));
        books.set_shared(None);
        assert!(books.has_room(7 << 20));
        books.set_shared(Some(4 << 20));
        assert!(books.has_room(8 << 20));
    }

    #[test]
    fn what_is_booked_during_a_look_is_newer_than_the_look() {
        let mut books = Books::new(None, 512);
        books.begin(100);
        books.retire(name("old"), 1, None);
        let epoch = books.begin_look();
        books.begin(200);
        books.retire(name("new"), 2, None);
        books.end_look(epoch, 512, [(name("found"), 50, file(1))].into_iter());
        assert_eq!(books.used(), 200 + 50 + 512);
        assert_eq!(books.evicted_records, 1);
    }

    #[test]
    fn another_file_under_the_name_of_one_that_has_gone_has_none_of_its_records() {
        let mut books = Books::new(None, 512);
        books.begin(100);
        books.retire(name("a.1"), 7, Some(file(1)));
        for (ino, gone) in [(1, 0), (2, 7), (2, 7)] {
            let epoch = books.begin_look();
            books.end_look(epoch, 0, [(name("a.1"), 50, file(ino))].into_iter());
            assert_eq!((books.used(), books.evicted_records), (50, gone), "{ino}");
        }
    }

    #[test]
    fn a_look_that_began_before_a_segment_was_taken_away_does_not_miss_it() {
        let mut books = Books::new(None, 512);
        let early = books.begin_look();
        books.orphaned(Some(file(1)), 7, 100);
        books.forget_orphans(early, None);
        assert_eq!(books.evicted_records, 0);
        let late = books.begin_look();
        books.forget_orphans(late, Some(&file(1)));
        assert_eq!(books.evicted_records, 0);
        books.forget_orphans(late, None);
        assert_eq!(books.evicted_records, 7);
    }

    #[test]
    fn records_stay_with_their_file_when_another_one_was_renamed_in_its_place() {
        let mut books = Books::new(None, 512);
        books.begin(100);
        books.retire(name("a.2"), 7, Some(file(1)));
        books.was_not_ours(name("a.2"), file(1), 7, 100);
        let epoch = books.begin_look();
        let found = [(name("a.1"), 50, file(1)), (name("a.2"), 50, file(2))];
        books.end_look(epoch, 0, found.into_iter());
        books.found(name("a.1"), &file(1));
        books.forget_orphans(epoch, None);
        books.removed(name("a.2"));
        assert_eq!(books.evicted_records, 0);
        books.removed(name("a.1"));
        assert_eq!(books.evicted_records, 7);
    }

    #[test]
    fn of_a_log_that_was_cut_meanwhile_its_share_of_the_records_is_gone() {
        for (len, left) in [(100, 7), (200, 7), (50, 3), (0, 0)] {
            let mut books = Books::new(None, 512);
            books.orphaned(Some(file(1)), 7, 100);
            assert_eq!(books.reclaim(&file(1), len), left);
            assert_eq!(books.evicted_records, 7 - left);
        }
    }

    #[test]
    fn a_quota_of_less_than_two_segments_keeps_nothing_free() {
        let mut books = Books::new(Some(8 << 20), 4096);
        assert_eq!(books.headroom(8 << 20), 0);
        assert_eq!(books.headroom(1 << 20), books.claim(1 << 20));
        books.begin(8 << 20);
        assert!(!books.has_room(1) && books.has_room(0));
    }
}
