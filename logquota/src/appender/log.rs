//! The active segment: who may append now, where it goes, and what happens when it does not.
//!
//! One of these is behind the appender's lock. It decides by its [`Books`](super::meter::Books),
//! without a look at the disk, until a segment is full or something is not as it was.

use std::ffi::OsString;
use std::sync::atomic::Ordering;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::ballast;
use super::builder::OnFull;
use super::env::{Env, lock};
use super::event::{Cause, Dropped, Event, Fate};
use super::failure::Failure;
use super::records::Records;
use super::upkeep::{self, Goal};
use crate::error::{Error, Op, Result};
use crate::fs::AppendFile;
use crate::stamp::FileId;

/// The file that records go to now.
pub(super) struct Segment {
    pub(super) file: Box<dyn AppendFile>,
    pub(super) id: FileId,
    pub(super) len: u64,
    /// Its length at most.
    pub(super) limit: u64,
    /// Whether its blocks are reserved.
    pub(super) is_reserved: bool,
    /// Others append to it, too: everybody takes turns.
    pub(super) is_shared: bool,
    /// Its last line was cut off by a kill or a failed write.
    pub(super) is_ragged: bool,
    /// Since when it is the log, by the local clock.
    pub(super) opened: NaiveDateTime,
    /// Our records in it.
    pub(super) records: u64,
}

/// Records are being lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) since: DateTime<Utc>,
    pub(super) cause: Cause,
}

/// Counts that need no look at the books.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) received_bytes: u64,
    pub(super) written: u64,
    pub(super) written_bytes: u64,
    pub(super) dropped: Dropped,
    pub(super) dropped_bytes: u64,
    pub(super) rotations: u64,
    pub(super) reopened: u64,
}

/// The log as its writer sees it.
#[derive(Default)]
pub(super) struct Log {
    pub(super) segment: Option<Segment>,
    pub(super) counts: Counts,
    pub(super) loss: Option<Loss>,
    /// Room within the quota was looked for in vain; not looked for again before the next
    /// tick.
    pub(super) is_stuck: bool,
    /// The same on the disk: what others fill says nothing of the quota.
    pub(super) is_disk_stuck: bool,
    /// So many bytes of what was put last are in the log and could not be taken back.
    pub(super) kept: u64,
    /// What was left of a segment whose last line is cut off, in case that it is the log again.
    pub(super) ragged: Option<FileId>,
    /// The directory could not be looked at then: there may be something to evict.
    pub(super) is_blind: bool,
    /// For so many more ticks others are expected at the log, though none was met lately:
    /// who rotates faster than others look again would take himself to be alone.
    pub(super) company: u32,
    /// How often in a row it was taken over from somebody.
    pub(super) joins: u32,
    pub(super) is_closed: bool,
    /// The segment that has just become an archive, and its name as one.
    pub(super) leaving: Option<(Box<dyn AppendFile>, OsString)>,
    /// The turn was waited for in vain: until somebody gives it back, it is only asked for.
    pub(super) is_turn_stuck: bool,
    /// The second block of a buffered writer.
    pub(super) spare: super::block::Buffer,
    /// Bytes at the end of the segment of a record whose rest is in the next block.
    pub(super) head: u64,
    /// The head of the record that the next block goes on with was lost.
    pub(super) lost_head: bool,
}

/// So often in a row somebody may take the log away from under us before a record is given up.
const TRIES: u32 = 4;

/// So many segments others may begin and fill before it is given up.
pub(super) const RIVALS: u32 = 64;

impl Log {
    /// Writes whole records, as many of them as can be; all counting but of what was received.
    pub(super) fn put(&mut self, env: &Env, batch: &dyn Records) -> Result<Fate> {
        let bytes = batch.bytes();
        if self.try_put(bytes, batch.count(0, bytes.len())) {
            return Ok(Fate::Accepted);
        }
        self.put_slowly(env, batch)
    }

    /// Writes whole records if nothing stands in the way: one comparison, one system call.
    #[inline]
    pub(super) fn try_put(&mut self, bytes: &[u8], records: u64) -> bool {
        let (Some(segment), None) = (&mut self.segment, &self.loss) else { return false };
        let len = as_u64(bytes.len());
        if segment.is_shared || segment.is_ragged || segment.len.saturating_add(len) > segment.limit
        {
            return false;
        }
        let Ok(count) = segment.file.append(bytes) else { return false };
        segment.len = segment.len.saturating_add(as_u64(count));
        if count < bytes.len() {
            // Taken back, and done again with all that may be needed for it.
            self.kept = if self.take_back(as_u64(count)) { 0 } else { as_u64(count) };
            return false;
        }
        self.wrote(records, len);
        true
    }

    pub(super) fn received(&mut self, records: u64, bytes: u64) {
        self.counts.received = self.counts.received.saturating_add(records);
        self.counts.received_bytes = self.counts.received_bytes.saturating_add(bytes);
    }

    fn put_slowly(&mut self, env: &Env, batch: &dyn Records) -> Result<Fate> {
        let bytes = batch.bytes();
        let mut fate = Ok(Fate::Accepted);
        let kept = std::mem::take(&mut self.kept);
        let mut from = self.keep_whole(batch, 0, kept);
        self.begin_turn(env);
        while from < bytes.len() {
            let placed = self.place(env, batch, from).and_then(|upto| {
                let piece = bytes.get(from..upto).unwrap_or_default();
                self.append_announced(env, piece).map(|()| (upto, piece.len()))
            });
            match placed {
                Ok((upto, len)) => {
                    self.wrote(batch.count(from, upto), as_u64(len));
                    from = upto.max(from.saturating_add(1));
                }
                Err(failure) => {
                    self.shrink(env);
                    from = self.keep_whole(batch, from, failure.kept);
                    let upto = batch.end_after(from).max(from.saturating_add(1));
                    let records = batch.count(from, upto).max(1);
                    fate = self.lose(env, records, as_u64(upto.saturating_sub(from)), failure);
                    from = upto;
                }
            }
        }
        self.end_turn();
        fate
    }

    /// Records that are whole in what could not be taken back are there; says where they end.
    fn keep_whole(&mut self, batch: &dyn Records, from: usize, kept: u64) -> usize {
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        let whole = batch.end_before(from.saturating_add(kept));
        if whole <= from {
            return from;
        }
        self.wrote(batch.count(from, whole), as_u64(whole.saturating_sub(from)));
        whole
    }

    pub(super) fn wrote(&mut self, records: u64, bytes: u64) {
        self.counts.written = self.counts.written.saturating_add(records);
        self.counts.written_bytes = self.counts.written_bytes.saturating_add(bytes);
        if let Some(segment) = &mut self.segment {
            segment.records = segment.records.saturating_add(records);
        }
    }

    /// Counts records as lost, and says to the caller what the policy says.
    pub(super) fn lose(
        &mut self,
        env: &Env,
        records: u64,
        bytes: u64,
        failure: Failure,
    ) -> Result<Fate> {
        let Failure { cause, error, .. } = failure;
        self.counts.dropped.add(cause, records);
        self.counts.dropped_bytes = self.counts.dropped_bytes.saturating_add(bytes);
        if cause != Cause::TooLarge {
            let loss = self.loss.get_or_insert_with(|| {
                let why = error.as_ref().map_or_else(|| cause.to_string(), Error::chain);
                env.tell(Event::LossBegan { cause, why });
                let since = env.clock.now().with_timezone(&Utc);
                Loss { records: 0, bytes: 0, since, cause }
            });
            loss.records = loss.records.saturating_add(records);
            loss.bytes = loss.bytes.saturating_add(bytes);
        }
        if env.on_full == OnFull::DropNewest && cause != Cause::TooLarge {
            return Ok(Fate::Dropped(cause));
        }
        Err(Error::Lost { path: env.path.clone(), cause, source: error.map(Box::new) })
    }

    /// Makes sure that a segment takes the records at `from`, and says how many bytes it does.
    fn place(
        &mut self,
        env: &Env,
        batch: &dyn Records,
        from: usize,
    ) -> std::result::Result<usize, Failure> {
        let all = batch.bytes().len();
        for _ in 0..RIVALS {
            if self.segment.is_none() {
                self.open(env)?;
            }
            let prefix = as_u64(self.prefix().len());
            let Some(segment) = &self.segment else { continue };
            let left =
                usize::try_from(segment.limit.saturating_sub(segment.len).saturating_sub(prefix))
                    .unwrap_or(usize::MAX);
            if all.saturating_sub(from) <= left {
                return Ok(all);
            }
            let cut = batch.end_before(from.saturating_add(left));
            if cut > from {
                return Ok(cut);
            }
            // The next record does not fit into what is left.
            let alone = as_u64(batch.end_after(from).saturating_sub(from));
            let next = alone.saturating_add(prefix);
            let could_hold = |bytes: u64| {
                let books = lock(&env.books);
                books.could_hold(books.claim(books.fit(env.segment).max(bytes)))
            };
            if !could_hold(next) {
                if prefix > 0 && could_hold(alone) {
                    // In a segment that has room for it, which the next turn finds.
                    self.announce_alone(env, prefix)?;
                    continue;
                }
                return Err(Failure::because(Cause::TooLarge));
            }
            if segment.len > 0 {
                self.rotate(env, next)?;
            } else if next > segment.limit {
                self.enlarge(env, next)?;
            } else {
                // A piece without an end that we know of, of at most a segment.
                return Ok(from.saturating_add(left).min(all));
            }
        }
        Err(Failure::because(Cause::Unavailable))
    }

    /// Appends one piece whole or not at all.
    pub(super) fn append(&mut self, env: &Env, piece: &[u8]) -> std::result::Result<(), Failure> {
        let mut done = 0usize;
        // Others may take at once what was made free.
        let mut tries = if env.on_full == OnFull::EvictOldest { TRIES } else { 0 };
        loop {
            let Some(segment) = &mut self.segment else {
                return Err(Failure::because(Cause::Unavailable));
            };
            let rest = piece.get(done..).unwrap_or_default();
            if rest.is_empty() {
                segment.len = segment.len.saturating_add(as_u64(done));
                return Ok(());
            }
            let failure = match segment.file.append(rest) {
                Ok(0) => Failure::because(Cause::DiskFull),
                Ok(count) => {
                    done = done.saturating_add(count);
                    continue;
                }
                Err(error) => Failure::of(Error::io(Op::Write, &env.path)(error)),
            };
            if failure.cause == Cause::DiskFull && ballast::helps(env) {
                continue;
            }
            if failure.cause == Cause::DiskFull && tries > 0 {
                tries = tries.saturating_sub(1);
                if self.make_room(env, Goal::Disk(as_u64(rest.len()).saturating_add(1 << 16))) {
                    continue;
                }
            }
            segment_len_add(&mut self.segment, done);
            let kept = if self.take_back(as_u64(done)) { 0 } else { as_u64(done) };
            return Err(Failure { kept, ..failure });
        }
    }

    /// Cuts the last `bytes` off again, which are part of a record that was not written whole;
    /// `false` if they stay.
    pub(super) fn take_back(&mut self, bytes: u64) -> bool {
        let Some(segment) = &mut self.segment else { return true };
        if bytes == 0 {
            return true;
        }
        let len = segment.len.saturating_sub(bytes);
        let is_last = segment.file.meta().is_ok_and(|meta| meta.stamp.len == segment.len);
        // A cut gives the reservation behind it back, too.
        segment.is_reserved = false;
        if is_last && segment.file.cut(len).is_ok() {
            segment.len = len;
            true
        } else {
            // Or somebody else has appended, whose lines are not ours to cut.
            segment.is_ragged = true;
            false
        }
    }

    /// Has archives deleted; says whether that helped. Asked in vain it waits for the next
    /// tick: a look at the disk for each record would be a flood, too.
    pub(super) fn make_room(&mut self, env: &Env, goal: Goal) -> bool {
        let is_disk = matches!(goal, Goal::Disk(_));
        if if is_disk { self.is_disk_stuck } else { self.is_stuck } {
            return false;
        }
        env.wants_upkeep.store(true, Ordering::Release);
        self.let_go(env);
        if let Goal::Quota(bytes @ 1..) = goal
            && env.await_released(|books| books.has_room(bytes))
        {
            // The background was just at it.
            return true;
        }
        for _ in 0..TRIES {
            let tidied = upkeep::tidy(env, goal);
            self.is_blind = tidied.is_err();
            let helped = match tidied {
                Ok(evicted) => evicted,
                Err(error) => {
                    env.tell(Event::UpkeepFailed { why: error.chain() });
                    break;
                }
            };
            let is_enough = match goal {
                Goal::Quota(bytes) => env.await_released(|books| books.has_room(bytes)),
                Goal::Disk(_) | Goal::Routine { .. } => {
                    // It is not free on the disk before.
                    env.await_released(|books| books.unnamed() == 0);
                    helped
                }
            };
            if is_enough {
                return true;
            }
            // What the background is just at work on looks changed to us; then another look
            // helps. Without an archive none does.
            if lock(&env.books).files() == 0 {
                break;
            }
        }
        *(if is_disk { &mut self.is_disk_stuck } else { &mut self.is_stuck }) = true;
        false
    }

    /// What comes before the next record: the end of a line that was cut off, and what was
    /// lost.
    pub(super) fn prefix(&self) -> String {
        let is_ragged = self.segment.as_ref().is_some_and(|s| s.is_ragged && s.len > 0);
        let mut prefix = if is_ragged { "\n".to_owned() } else { String::new() };
        if let Some(loss) = &self.loss {
            prefix.push_str(&super::note::loss_line(loss));
        }
        prefix
    }

    /// Appends one piece whole or not at all, and with it what was lost before: a line about
    /// that alone would be followed by the next loss.
    pub(super) fn append_announced(
        &mut self,
        env: &Env,
        piece: &[u8],
    ) -> std::result::Result<(), Failure> {
        let prefix = self.prefix();
        if prefix.is_empty() {
            return self.append(env, piece);
        }
        self.append(env, &[prefix.as_bytes(), piece].concat()).map_err(|failure| {
            let kept = failure.kept.saturating_sub(as_u64(prefix.len()));
            Failure { kept, ..failure }
        })?;
        if let Some(segment) = &mut self.segment {
            segment.is_ragged = false;
        }
        if let Some(Loss { records, bytes, since, cause }) = self.loss.take() {
            env.tell(Event::LossEnded { records, bytes, since, cause });
        }
        Ok(())
    }

    /// One step towards saying what was lost without a record behind it, where the next one
    /// leaves no room for that in any segment: it would be refused for the line's sake, and the
    /// line would wait for ever.
    fn announce_alone(&mut self, env: &Env, prefix: u64) -> std::result::Result<(), Failure> {
        match &self.segment {
            Some(segment) if segment.len.saturating_add(prefix) <= segment.limit => {
                self.append_announced(env, &[])
            }
            Some(segment) if segment.len > 0 => self.rotate(env, prefix),
            _ => self.enlarge(env, prefix),
        }
    }

    /// What only a look at the clock and the directory can tell: once a second at most.
    pub(super) fn tick(&mut self, env: &Env) {
        (self.is_stuck, self.is_disk_stuck) = (false, false);
        self.company = self.company.saturating_sub(1);
        if self.is_closed {
            return;
        }
        if self.segment.is_none() {
            // In vain now is tried again at the next tick, or with the next record.
            let _ = self.open(env);
        }
        self.take_turn();
        let _ = self.check_identity(env);
        let is_due = self.segment.as_ref().is_some_and(|segment| {
            segment.len > 0 && self.head == 0 && super::due::is_due(env, segment.opened)
        });
        if is_due {
            let _ = self.rotate(env, 0);
        }
        self.end_turn();
        self.end_turn_alone();
    }
}

fn segment_len_add(segment: &mut Option<Segment>, done: usize) {
    if let Some(segment) = segment {
        segment.len = segment.len.saturating_add(as_u64(done));
    }
}

pub(super) fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
