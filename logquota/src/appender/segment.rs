//! One segment after the other: begun, made larger, rotated.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;

use super::adopt::COMPANY;
use super::ballast;
use super::builder::OnFull;
use super::env::{Env, Retired, lock};
use super::event::{Cause, Event};
use super::failure::Failure;
use super::guard::Going;
use super::log::{Log, Segment};
use super::upkeep::{self, Goal};
use crate::error::{Error, Op};
use crate::fs::{AppendFile, Hold};
use crate::inventory::DirId;
use crate::naming::sequence_label;
use crate::policy::Count;
use crate::stamp::Kind;
use crate::units::Bytes;

pub(super) type Done<T = ()> = std::result::Result<T, Failure>;

/// Renames away from names that are taken.
const NAMES: u32 = 8;

/// So many segments may wait for the background to close or delete them.
const BEHIND: usize = 4;

impl Log {
    /// Makes the next segment, which can hold a record of `need` bytes, of a log that is ours
    /// alone: what there is we know, and for this there is room.
    fn begin(&mut self, env: &Env, dir: DirId, need: u64) -> Done {
        let limit = lock(&env.books).fit(env.segment).max(need);
        let claim = lock(&env.books).claim(limit);
        if !self.finds_room(env, claim) {
            return Err(Failure::because(Cause::QuotaFull));
        }
        let Some(file) = self.make(env, dir, claim)? else { return self.open(env) };
        let id = self.may_be_ours(env, &*file)?;
        // Who wants to take it over waits from here on, and who holds it already is in the way.
        self.turn_at(&*file);
        if !held(&*file, Hold::Alone) {
            drop(file);
            return self.open(env);
        }
        env.set_shared(false);
        lock(&env.books).begin(claim);
        let is_reserved = self.sets_aside(env, &*file, limit, false);
        let opened = env.clock.now().naive_local();
        self.has(
            env,
            Segment {
                file,
                id,
                len: 0,
                limit,
                is_reserved,
                is_shared: false,
                is_ragged: false,
                opened,
                records: 0,
            },
        );
        point(env, dir);
        Ok(())
    }

    /// Whether the blocks of a segment could be set aside, in the place of archives if need be.
    pub(super) fn sets_aside(
        &mut self,
        env: &Env,
        file: &dyn AppendFile,
        len: u64,
        is_shared: bool,
    ) -> bool {
        let mut reserved = set_aside(file, len, is_shared);
        if reserved.as_ref().is_err_and(is_no_space) && ballast::helps(env) {
            reserved = set_aside(file, len, is_shared);
        }
        if let Err(error) = &reserved
            && is_no_space(error)
            && env.on_full == OnFull::EvictOldest
        {
            let claim = lock(&env.books).claim(len);
            if self.make_room(env, Goal::Disk(claim)) {
                reserved = set_aside(file, len, is_shared);
            }
        }
        reserved.is_ok()
    }

    /// An empty segment takes a record that is longer than segments usually are, or than there
    /// was room for when it was begun.
    pub(super) fn enlarge(&mut self, env: &Env, need: u64) -> Done {
        self.take_turn();
        let done = self.enlarge_in_turn(env, need);
        self.end_turn_alone();
        done
    }

    fn enlarge_in_turn(&mut self, env: &Env, need: u64) -> Done {
        let Some(segment) = &self.segment else { return Ok(()) };
        let is_shared = segment.is_shared;
        if !is_shared && self.check_identity(env)? {
            return Ok(());
        }
        let sums = || {
            let books = lock(&env.books);
            let need = books.fit(env.segment).max(need);
            let claim = books.claim(need);
            (need, claim, claim.saturating_sub(books.active()))
        };
        if is_shared {
            self.look_again(env, sums().2)?;
        }
        let (need, claim, more) = sums();
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

    /// Others make and delete archives, too: before `bytes` are claimed. Where room was looked
    /// for in vain already, another look for each record would be a flood.
    fn look_again(&self, env: &Env, bytes: u64) -> Done {
        if self.is_stuck && !lock(&env.books).has_room(bytes) {
            return Ok(());
        }
        upkeep::look(env).map(|seen| upkeep::close(env, &seen)).map_err(Failure::of)
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
        self.take_turn();
        let done = self.rotate_in_turn(env, need);
        self.end_turn_alone();
        done
    }

    fn rotate_in_turn(&mut self, env: &Env, need: u64) -> Done {
        if self.check_identity(env)? {
            return Ok(());
        }
        let Some(segment) = &self.segment else { return self.open(env) };
        if segment.len == 0 {
            return Ok(());
        }
        let claim = || {
            let books = lock(&env.books);
            books.claim(books.fit(env.segment).max(need))
        };
        if segment.is_shared {
            self.look_again(env, claim())?;
        }
        let claim = claim();
        let is_evicting = env.on_full == OnFull::EvictOldest;
        let mut goes_itself = false;
        if !self.finds_room(env, claim) {
            // Only the segment itself is left to go. While others hold it, that frees nothing.
            let is_alone = self
                .segment
                .as_ref()
                .is_some_and(|own| !own.is_shared || held(&*own.file, Hold::Alone));
            let books = lock(&env.books);
            goes_itself =
                is_evicting && is_alone && !self.is_blind && books.has_room_instead(claim);
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
        if old.is_shared
            && let Ok(Some(found)) = env.fs.stat(dir, &archive)
            && found.stamp.id != old.id
        {
            // Somebody went on without a turn, while we hung in ours.
            lock(&env.books).was_not_ours(&archive, old.id, old.records, old.len);
        }
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
        let is_alone = !old.is_shared || self.company == 0;
        if goes_itself {
            drop(old);
            let _going = Going::new(env, &archive);
            env.fs
                .remove(dir, &archive)
                .map_err(|e| Failure::of(Error::io(Op::Delete, env.folder.join(&archive))(e)))?;
            let mut books = lock(&env.books);
            books.removed(&archive);
            books.evicted_files = books.evicted_files.saturating_add(1);
        } else {
            self.leaving = Some((old.file, archive));
            // There is one more that can be evicted.
            (self.is_stuck, self.is_disk_stuck) = (false, false);
        }
        if is_alone {
            let begun = self.begin(env, dir, need);
            self.let_go(env);
            begun
        } else {
            // What is not needed of it is for the next one.
            self.let_go(env);
            self.open(env)
        }
    }

    /// Lets go of the segment that has become an archive, when its successor is there or
    /// wants its room.
    pub(super) fn let_go(&mut self, env: &Env) {
        let Some((file, archive)) = self.leaving.take() else { return };
        // Here and not in the background: a plan to delete it must find it as it was. In our
        // turn, after which nobody appends to it.
        let is_trimmed = file.trim().is_ok();
        let _ = file.end_turn();
        lock(&env.retired).push(Retired { file, archive, is_trimmed });
        // Only now it can be closed, and then compressed.
        env.wants_upkeep.store(true, Ordering::Release);
        self.keep_up(env);
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
    pub(super) fn finds_room(&mut self, env: &Env, bytes: u64) -> bool {
        let has_room = lock(&env.books).has_room(bytes);
        has_room || (env.on_full == OnFull::EvictOldest && self.make_room(env, Goal::Quota(bytes)))
    }

    /// Gives the log the name of its archive.
    pub(super) fn rename_away(&mut self, env: &Env, dir: DirId) -> Done<std::ffi::OsString> {
        let segment = self.segment.as_ref();
        let (records, id) = segment.map_or((0, None), |s| (s.records, Some(s.id)));
        let now = env.clock.now().timestamp();
        for _ in 0..NAMES {
            let number = lock(&env.books).next_number();
            let label = sequence_label(number, now);
            let archive = env.policy.naming.format(env.name(), &label, "");
            match env.fs.rename(dir, env.name(), dir, &archive) {
                Ok(()) => {
                    lock(&env.books).retire(&archive, records, id);
                    return Ok(archive);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                // On XFS a longer name may take a block.
                Err(error) if is_no_space(&error) && ballast::helps(env) => {}
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

pub(super) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Points the link at the log. What is no link stays.
pub(super) fn point(env: &Env, dir: DirId) {
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
