//! One segment after the other: opened, shared, rotated, found again.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;

use chrono::NaiveDateTime;

use super::builder::OnFull;
use super::env::{Env, Retired, lock};
use super::event::{Cause, Event};
use super::log::{Failure, Log, Segment};
use super::upkeep::{self, Goal};
use crate::error::{Error, Op};
use crate::fs::{AppendFile, Hold};
use crate::inventory::DirId;
use crate::naming::sequence_label;
use crate::policy::Count;
use crate::stamp::Kind;
use crate::units::Bytes;

pub(super) type Done<T = ()> = std::result::Result<T, Failure>;

/// Blocks of buffered writers are no smaller than this; only at a multiple of it can one have
/// ended within a record.
const BLOCK_MIN: u64 = 4096;

/// Renames away from names that are taken.
const NAMES: u32 = 8;

/// So many segments may wait for the background to close or delete them.
const BEHIND: usize = 4;

/// So many ticks after others were met they are expected still.
const COMPANY: u32 = 60;

/// So often in a row a log may be found in the hands of somebody who believes himself alone.
const JOINS: u32 = 8;

/// How a segment is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    Alone,
    Together,
}

impl Log {
    /// Opens the log as it is, or makes it.
    pub(super) fn open(&mut self, env: &Env) -> Done {
        self.open_since(env, None)
    }

    /// The same; `since` is when its period began, if it is not empty.
    pub(super) fn open_since(&mut self, env: &Env, since: Option<NaiveDateTime>) -> Done {
        if !self.has_looked {
            upkeep::look(env).map(|seen| upkeep::close(env, &seen)).map_err(Failure::of_look)?;
            self.has_looked = true;
        }
        let dir = env.open_dir().map_err(Failure::of)?;
        let opened = match env.fs.open_log(dir, env.name(), None) {
            Ok(file) => return self.adopt(env, dir, file, since),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let is_alone = self.company == 0;
                self.begin(env, 0, if is_alone { Company::Alone } else { Company::Together })
            }
            Err(error) => Err(Failure::of(Error::io(Op::Open, &env.path)(error))),
        };
        if opened.is_err() && self.segment.is_none() {
            // Perhaps the directory was made anew under its old name.
            env.forget_dir();
        }
        opened
    }

    /// Goes on with a file that is there.
    fn adopt(
        &mut self,
        env: &Env,
        dir: DirId,
        file: Box<dyn AppendFile>,
        since: Option<NaiveDateTime>,
    ) -> Done {
        let meta = file.meta().map_err(|e| Failure::of(Error::io(Op::Stat, &env.path)(e)))?;
        if meta.stamp.nlink > 1 {
            let names = format!("it has {} names (hard links)", meta.stamp.nlink);
            let error = io::Error::new(ErrorKind::InvalidInput, names);
            return Err(Failure::of(Error::io(Op::Open, &env.path)(error)));
        }
        let is_shared = !held(&*file, Hold::Alone);
        if is_shared && !held(&*file, Hold::Together) {
            // Its writer believes itself alone and counts by itself. It keeps that segment, and
            // finds us when it looks again.
            return self.take_over(env, dir, &*file);
        }
        let len = meta.stamp.len;
        let allocated = meta.stamp.allocated.get();
        let (mut limit, claim) = {
            let mut books = lock(&env.books);
            let limit = books.fit(env.segment).max(len);
            let claim = books.claim(books.fit(env.segment)).max(allocated);
            books.expect(claim);
            (limit, claim)
        };
        if lock(&env.books).has_room(0) || self.make_room(env, Goal::Quota(0)) {
            lock(&env.books).begin(claim);
        } else {
            // There is no room for the rest of it.
            limit = len;
            lock(&env.books).begin(allocated);
        }
        let now = env.clock.now().naive_local();
        let is_ragged = len > 0 && len % BLOCK_MIN == 0 && !ends_a_line(env, dir, len);
        let mut segment = Segment {
            file,
            id: meta.stamp.id,
            len,
            limit,
            is_reserved: false,
            is_shared,
            is_ragged,
            opened: since.filter(|_| len > 0).unwrap_or(now),
            records: lock(&env.books).reclaim(&meta.stamp.id),
        };
        if limit > len {
            segment.is_reserved = set_aside(&*segment.file, limit, is_shared).is_ok();
        }
        env.set_shared(is_shared);
        if is_shared {
            self.company = COMPANY;
            env.tell(Event::Shared);
            let _ = segment.file.begin_turn();
            if let Ok(meta) = segment.file.meta() {
                segment.len = meta.stamp.len;
            }
        }
        self.segment = Some(segment);
        point(env, dir);
        Ok(())
    }

    /// Another writer holds the log for itself: what it writes becomes an archive, and a new
    /// log is begun that both can share.
    ///
    /// That writer appends without taking turns; but what it compresses in the background
    /// claims its room in a turn, and so do we.
    fn take_over(&mut self, env: &Env, dir: DirId, theirs: &dyn AppendFile) -> Done {
        self.company = COMPANY;
        self.joins = self.joins.saturating_add(1);
        if self.joins > JOINS {
            self.joins = 0;
            return Err(Failure::because(Cause::Unavailable));
        }
        let _ = theirs.begin_turn();
        let begun = self.begin_together(env, dir);
        let _ = theirs.end_turn();
        if begun.is_ok() {
            self.joins = 0;
        }
        begun
    }

    fn begin_together(&mut self, env: &Env, dir: DirId) -> Done {
        // Others have made archives since: the next number is behind theirs.
        upkeep::look(env).map(|seen| upkeep::close(env, &seen)).map_err(Failure::of_look)?;
        match self.rename_away(env, dir) {
            // So does somebody else.
            Err(failure) if failure.is_not_found() => {}
            other => drop(other?),
        }
        // With what the other has reserved.
        upkeep::look(env).map(|seen| upkeep::close(env, &seen)).map_err(Failure::of)?;
        self.begin(env, 0, Company::Together)
    }

    /// Makes a new segment that can hold a record of `need` bytes.
    fn begin(&mut self, env: &Env, need: u64, company: Company) -> Done {
        let limit = lock(&env.books).fit(env.segment).max(need);
        let claim = lock(&env.books).claim(limit);
        if !self.finds_room(env, claim) {
            return Err(Failure::because(Cause::QuotaFull));
        }
        let dir = env.open_dir().map_err(Failure::of)?;
        let make = || env.fs.open_log(dir, env.name(), Some(&env.attributes));
        let mut file = make();
        if let Err(error) = &file
            && is_no_space(error)
            && env.on_full == OnFull::EvictOldest
            && self.make_room(env, Goal::Disk(claim))
        {
            file = make();
        }
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // Somebody was faster; it is the log all the same.
                let file = env.fs.open_log(dir, env.name(), None);
                let file = file.map_err(|e| Failure::of(Error::io(Op::Open, &env.path)(e)))?;
                return self.adopt(env, dir, file, None);
            }
            Err(error) => return Err(Failure::of(Error::io(Op::Create, &env.path)(error))),
        };
        env.is_unsynced.store(true, Ordering::Release);
        let meta = file.meta().map_err(|e| Failure::of(Error::io(Op::Stat, &env.path)(e)))?;
        lock(&env.books).begin(claim);
        let is_shared = match company {
            Company::Alone => !held(&*file, Hold::Alone),
            Company::Together => true,
        };
        if is_shared && !held(&*file, Hold::Together) {
            // Somebody opened it before we held it.
            return self.adopt(env, dir, file, None);
        }
        env.set_shared(is_shared);
        if is_shared {
            let _ = file.begin_turn();
        }
        let mut reserved = set_aside(&*file, limit, is_shared);
        if let Err(error) = &reserved
            && is_no_space(error)
            && env.on_full == OnFull::EvictOldest
            && self.make_room(env, Goal::Disk(claim))
        {
            reserved = set_aside(&*file, limit, is_shared);
        }
        self.segment = Some(Segment {
            file,
            id: meta.stamp.id,
            len: 0,
            limit,
            is_reserved: reserved.is_ok(),
            is_shared,
            is_ragged: false,
            opened: env.clock.now().naive_local(),
            records: 0,
        });
        self.head = 0;
        point(env, dir);
        Ok(())
    }

    /// An empty segment takes a record that is longer than segments usually are.
    pub(super) fn enlarge(&mut self, env: &Env, need: u64) -> Done {
        if self.segment.as_ref().is_some_and(|segment| segment.is_shared) {
            // Others make and delete archives, too.
            upkeep::look(env).map(|seen| upkeep::close(env, &seen)).map_err(Failure::of)?;
        }
        let (claim, more) = {
            let books = lock(&env.books);
            let claim = books.claim(need);
            (claim, claim.saturating_sub(books.active()))
        };
        if !self.finds_room(env, more) {
            return Err(Failure::because(Cause::QuotaFull));
        }
        lock(&env.books).begin(claim);
        if let Some(segment) = &mut self.segment {
            segment.limit = need;
            segment.is_reserved = set_aside(&*segment.file, need, segment.is_shared).is_ok();
        }
        Ok(())
    }

    /// The record that the segment was to be larger for was not written.
    pub(super) fn shrink(&mut self, env: &Env) {
        let Some(segment) = &mut self.segment else { return };
        let limit = lock(&env.books).fit(env.segment).max(segment.len);
        if segment.limit <= limit {
            return;
        }
        segment.limit = limit;
        if segment.file.trim().is_ok() {
            segment.is_reserved = segment.file.reserve(Bytes::new(limit)).is_ok();
            let mut books = lock(&env.books);
            let claim = books.claim(limit);
            books.begin(claim);
        }
    }

    /// Makes the segment an archive and begins a new one, which can hold `need` bytes.
    pub(super) fn rotate(&mut self, env: &Env, need: u64) -> Done {
        if self.check_identity(env)? {
            return Ok(());
        }
        let Some(segment) = &self.segment else { return self.open(env) };
        if segment.len == 0 {
            return Ok(());
        }
        if segment.is_shared {
            // Others make and delete archives, too.
            upkeep::look(env).map(|seen| upkeep::close(env, &seen)).map_err(Failure::of)?;
        }
        let claim = {
            let books = lock(&env.books);
            books.claim(books.fit(env.segment).max(need))
        };
        let is_evicting = env.on_full == OnFull::EvictOldest;
        let mut goes_itself = false;
        if !self.finds_room(env, claim) {
            // Only the segment itself is left to go. While others hold it, that frees nothing.
            let is_alone = self
                .segment
                .as_ref()
                .is_some_and(|own| !own.is_shared || held(&*own.file, Hold::Alone));
            let books = lock(&env.books);
            goes_itself = is_evicting && is_alone && books.has_room_instead(claim);
            if !goes_itself {
                return Err(Failure::because(Cause::QuotaFull));
            }
        }
        let dir = env.open_dir().map_err(Failure::of)?;
        let archive = match self.rename_away(env, dir) {
            // Somebody was faster since we looked.
            Err(failure) if failure.is_not_found() => {
                return self.reopen(env, "it was moved or deleted");
            }
            other => other?,
        };
        let Some(old) = self.segment.take() else { return Ok(()) };
        self.head = 0;
        self.counts.rotations = self.counts.rotations.saturating_add(1);
        env.wants_upkeep.store(true, Ordering::Release);
        env.is_unsynced.store(true, Ordering::Release);
        let len = Bytes::new(old.len);
        env.tell(Event::Rotated { archive: env.folder.join(&archive), len });
        let is_met = old.is_shared && self.company == 0 && !held(&*old.file, Hold::Alone);
        if is_met {
            self.company = COMPANY;
        }
        let company =
            if old.is_shared && self.company > 0 { Company::Together } else { Company::Alone };
        if goes_itself {
            drop(old);
            env.fs
                .remove(dir, &archive)
                .map_err(|e| Failure::of(Error::io(Op::Delete, env.folder.join(&archive))(e)))?;
            let mut books = lock(&env.books);
            books.removed(&archive);
            books.evicted_files = books.evicted_files.saturating_add(1);
        } else {
            let _ = old.file.end_turn();
            // Here and not in the background: a plan to delete it must find it as it was.
            let is_trimmed = !old.is_shared && old.file.trim().is_ok();
            lock(&env.retired).push(Retired { file: old.file, archive, is_trimmed });
            self.keep_up(env);
        }
        self.begin(env, need, company)
    }

    /// Where the background does not keep up, the caller does its work: what is open, and
    /// what is one archive too many, must not grow without end.
    fn keep_up(&mut self, env: &Env) {
        let waiting = lock(&env.retired).len();
        if waiting > BEHIND {
            upkeep::settle_retired(env, true);
        }
        let kept = match env.policy.count {
            Count::AtMost(count) => usize::try_from(count).unwrap_or(usize::MAX),
            Count::Unlimited => return,
        };
        if lock(&env.books).files() > kept.saturating_add(BEHIND) {
            let _ = self.make_room(env, Goal::Quota(0));
        }
    }

    /// Whether so much fits within the quota, or can be made to fit.
    fn finds_room(&mut self, env: &Env, bytes: u64) -> bool {
        let has_room = lock(&env.books).has_room(bytes);
        has_room || (env.on_full == OnFull::EvictOldest && self.make_room(env, Goal::Quota(bytes)))
    }

    /// Gives the log the name of its archive.
    fn rename_away(&mut self, env: &Env, dir: DirId) -> Done<std::ffi::OsString> {
        let records = self.segment.as_ref().map_or(0, |segment| segment.records);
        let now = env.clock.now().timestamp();
        for _ in 0..NAMES {
            let number = lock(&env.books).next_number();
            let label = sequence_label(number, now);
            let archive = env.policy.naming.format(env.name(), &label, "");
            match env.fs.rename(dir, env.name(), dir, &archive) {
                Ok(()) => {
                    lock(&env.books).retire(&archive, records);
                    return Ok(archive);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Failure::of(Error::io(Op::Rename, &env.path)(error)));
                }
            }
        }
        Err(Failure::because(Cause::Unavailable))
    }
}

/// Reserves a segment's blocks, all or none: some file systems keep what they found when it
/// was not enough.
pub(super) fn set_aside(file: &dyn AppendFile, len: u64, is_shared: bool) -> io::Result<()> {
    let reserved = file.reserve(Bytes::new(len));
    if reserved.is_err() && !is_shared {
        let _ = file.trim();
    }
    reserved
}

/// Takes the log for appending. Where nobody can, everybody is alone.
pub(super) fn held(file: &dyn AppendFile, hold: Hold) -> bool {
    file.hold(hold).unwrap_or(true)
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether the last byte of the log ends a line. What cannot be read does.
pub(super) fn ends_a_line(env: &Env, dir: DirId, len: u64) -> bool {
    use std::io::Read as _;
    let Ok(mut file) = env.fs.read(dir, env.name()) else { return true };
    let mut last = [0u8; 1];
    match file.next_data(len.saturating_sub(1)) {
        Ok(Some(range)) if range.start == len.saturating_sub(1) => {
            file.read(&mut last).map_or(true, |count| count == 0 || last == *b"\n")
        }
        _ => true,
    }
}

/// Points the link at the log. What is no link stays.
fn point(env: &Env, dir: DirId) {
    let Some(link) = &env.latest else { return };
    match env.fs.stat(dir, link) {
        Ok(None) => {}
        // Where it points is not known; at the log from now on.
        Ok(Some(meta)) if meta.kind == Kind::Symlink => {
            let _ = env.fs.remove(dir, link);
        }
        _ => return,
    }
    if let Err(error) = env.fs.link_to(dir, link, env.name()) {
        let path = env.folder.join(link);
        env.tell(Event::UpkeepFailed { why: Error::io(Op::Create, path)(error).chain() });
    }
}
