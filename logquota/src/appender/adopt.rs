//! Which file is the log, and whose: opened, made, shared, or taken over.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;

use chrono::NaiveDateTime;

use super::ballast;
use super::builder::OnFull;
use super::env::{Env, lock};
use super::event::{Cause, Event};
use super::failure::Failure;
use super::log::{Log, RIVALS, Segment};
use super::segment::{Done, held, is_no_space, point};
use super::upkeep::{self, Goal};
use crate::error::{Error, Op};
use crate::fs::{AppendFile, Hold};
use crate::inventory::DirId;
use crate::stamp::FileId;

/// Blocks of buffered writers end at a multiple of this, and so does what a disk had room for;
/// only there can a kill have cut a record.
const BLOCK_MIN: u64 = 512;

/// So many ticks after others were met they are expected still.
pub(super) const COMPANY: u32 = 60;

/// So often in a row a log may be found in the hands of somebody who believes himself alone.
const JOINS: u32 = 8;

impl Log {
    /// Opens the log as it is, or makes it.
    pub(super) fn open(&mut self, env: &Env) -> Done {
        self.open_since(env, None)
    }

    /// The same; `since` is when its period began, if it is not empty.
    pub(super) fn open_since(&mut self, env: &Env, since: Option<NaiveDateTime>) -> Done {
        let mut since = since;
        for _ in 0..RIVALS {
            match self.open_once(env, since) {
                Ok(true) => return Ok(()),
                Ok(false) => since = None,
                Err(failure) => {
                    // Perhaps the directory was made anew under its old name.
                    env.forget_dir();
                    return Err(failure);
                }
            }
        }
        Err(Failure::because(Cause::Unavailable))
    }

    /// `false` if the log was another file when it was to be ours.
    fn open_once(&mut self, env: &Env, since: Option<NaiveDateTime>) -> Done<bool> {
        let dir = env.open_dir().map_err(Failure::of)?;
        let file = match env.fs.open_log(dir, env.name(), None) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => match self.make(env, dir, 1)? {
                Some(file) => file,
                None => return Ok(false),
            },
            Err(error) => return Err(Failure::of(Error::io(Op::Open, &env.path)(error))),
        };
        self.adopt(env, dir, file, since)
    }

    /// Makes the log, for which `claim` bytes may be needed; `None` if somebody was faster.
    pub(super) fn make(
        &mut self,
        env: &Env,
        dir: DirId,
        claim: u64,
    ) -> Done<Option<Box<dyn AppendFile>>> {
        let make = || env.fs.open_log(dir, env.name(), Some(&env.attributes));
        let mut file = make();
        if file.as_ref().is_err_and(is_no_space) && ballast::helps(env) {
            file = make();
        }
        if let Err(error) = &file
            && is_no_space(error)
            && env.on_full == OnFull::EvictOldest
            && self.make_room(env, Goal::Disk(claim))
        {
            file = make();
        }
        match file {
            Ok(file) => {
                env.is_unsynced.store(true, Ordering::Release);
                Ok(Some(file))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(Failure::of(Error::io(Op::Create, &env.path)(error))),
        }
    }

    /// Goes on with a log that is there. Who else may claim room is kept out by the turn,
    /// from the look at what there is until the blocks are set aside. `false` if it is not
    /// the log any more.
    fn adopt(
        &mut self,
        env: &Env,
        dir: DirId,
        file: Box<dyn AppendFile>,
        since: Option<NaiveDateTime>,
    ) -> Done<bool> {
        let id = self.may_be_ours(env, &*file)?;
        let is_shared = self.company > 0 || !held(&*file, Hold::Alone);
        if is_shared && !held(&*file, Hold::Together) {
            // Its writer believes itself alone and counts by itself. It keeps that segment, and
            // finds us when it looks again.
            return self.take_over(env, dir, &*file).map(|()| false);
        }
        self.turn_at(&*file);
        if !is_log(env, dir, &id)? {
            return Ok(false);
        }
        if is_shared && !env.is_shared.load(Ordering::Acquire) {
            env.tell(Event::Shared);
        }
        env.set_shared(is_shared);
        upkeep::look(env).map(|seen| upkeep::close(env, &seen)).map_err(Failure::of_look)?;
        let stamp = file.meta().map_err(|e| Failure::of(Error::io(Op::Stat, &env.path)(e)))?.stamp;
        let (len, allocated) = (stamp.len, stamp.allocated.get());
        let (mut limit, claim) = {
            let mut books = lock(&env.books);
            books.begin(allocated);
            let limit = books.fit(env.segment);
            (limit.max(len), books.claim(limit).max(allocated))
        };
        if self.finds_room(env, claim.saturating_sub(allocated)) {
            lock(&env.books).begin(claim);
        } else {
            // There is no room for the rest of it.
            limit = len;
        }
        let now = env.clock.now().naive_local();
        let is_cut = || len % BLOCK_MIN == 0 && !ends_a_line(env, dir, len);
        let is_ragged = len > 0 && (self.ragged == Some(id) || is_cut());
        let is_reserved = limit > len && self.sets_aside(env, &*file, limit, is_shared);
        if is_shared {
            self.company = COMPANY;
        } else {
            let _ = file.end_turn();
        }
        self.joins = 0;
        self.has(
            env,
            Segment {
                file,
                id,
                len,
                limit,
                is_reserved,
                is_shared,
                is_ragged,
                opened: since.filter(|_| len > 0).unwrap_or(now),
                records: lock(&env.books).reclaim(&id, len),
            },
        );
        point(env, dir);
        Ok(true)
    }

    /// Which file it is, if nothing else is wrong with it.
    pub(super) fn may_be_ours(&self, env: &Env, file: &dyn AppendFile) -> Done<FileId> {
        let stamp = file.meta().map_err(|e| Failure::of(Error::io(Op::Stat, &env.path)(e)))?.stamp;
        if stamp.nlink > 1 {
            let names = format!("it has {} names (hard links)", stamp.nlink);
            let error = io::Error::new(ErrorKind::InvalidInput, names);
            return Err(Failure::of(Error::io(Op::Open, &env.path)(error)));
        }
        Ok(stamp.id)
    }

    pub(super) fn has(&mut self, env: &Env, segment: Segment) {
        *lock(&env.segment_id) = Some(segment.id);
        self.head = 0;
        self.segment = Some(segment);
    }

    /// Another writer holds the log for itself: what it writes becomes an archive, and a new
    /// log is to be begun that both can share.
    ///
    /// That writer appends without taking turns; but it claims room and rotates in one, and
    /// so do we. What it may still write is set aside, and so it is seen.
    fn take_over(&mut self, env: &Env, dir: DirId, theirs: &dyn AppendFile) -> Done {
        self.company = COMPANY;
        self.joins = self.joins.saturating_add(1);
        if self.joins > JOINS {
            self.joins = 0;
            return Err(Failure::because(Cause::Unavailable));
        }
        let id = self.may_be_ours(env, theirs)?;
        self.turn_at(theirs);
        if !is_log(env, dir, &id)? {
            return Ok(());
        }
        // Others have made archives since: the next number is behind theirs.
        upkeep::look(env).map(|seen| upkeep::close(env, &seen)).map_err(Failure::of_look)?;
        match self.rename_away(env, dir) {
            // It was moved by somebody who takes no turns.
            Err(failure) if failure.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Whether this file has the log's name.
fn is_log(env: &Env, dir: DirId, id: &FileId) -> Done<bool> {
    let found = env.fs.stat(dir, env.name());
    let found = found.map_err(|e| Failure::of(Error::io(Op::Stat, &env.path)(e)))?;
    Ok(found.is_some_and(|meta| meta.stamp.id == *id))
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
