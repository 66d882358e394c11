//! Whether the log is still the file that we hold, and whose turn it is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::adopt::ends_a_line;
use super::env::{Env, lock};
use super::event::Event;
use super::failure::Failure;
use super::log::Log;
use super::segment::{Done, held, set_aside};
use super::upkeep;
use crate::fs::{AppendFile, Hold};
use crate::stamp::{Kind, Meta};

/// How long a turn is waited for. Most last a few microseconds.
const TURN: Duration = Duration::from_millis(250);

impl Log {
    /// Whether the log is still the file that we hold. If not, the one that is there now is
    /// opened, and the answer is that it was.
    pub(super) fn check_identity(&mut self, env: &Env) -> Done<bool> {
        let Some(segment) = &mut self.segment else { return Ok(false) };
        let dir = env.open_dir().map_err(Failure::of)?;
        let found = env.fs.stat(dir, env.name());
        let why = match found {
            Ok(Some(Meta { kind: Kind::File, stamp, .. })) if stamp.id == segment.id => {
                if stamp.len == segment.len || segment.is_shared {
                    segment.len = stamp.len;
                    return Ok(false);
                }
                let before = std::mem::replace(&mut segment.len, stamp.len);
                if before < stamp.len {
                    lock(&env.books).at_least(stamp.allocated.get());
                    return Ok(false);
                }
                segment.records = lock(&env.books).cut(segment.records, before, stamp.len);
                // The cut has given the reservation back, and what a long record was given.
                let limit = lock(&env.books).fit(env.segment);
                if segment.limit > limit && stamp.len <= limit {
                    segment.limit = limit;
                    let mut books = lock(&env.books);
                    let claim = books.claim(limit);
                    books.begin(claim);
                }
                segment.is_reserved =
                    set_aside(&*segment.file, segment.limit, segment.is_shared).is_ok();
                segment.is_ragged = stamp.len > 0 && !ends_a_line(env, dir, stamp.len);
                self.head = 0;
                self.counts.reopened = self.counts.reopened.saturating_add(1);
                env.tell(Event::Reopened { why: "it was truncated" });
                return Ok(false);
            }
            Ok(Some(_)) => "another file has its name",
            Ok(None) => "it was moved or deleted",
            Err(_) => {
                env.forget_dir();
                "its directory cannot be looked at"
            }
        };
        self.reopen(env, why)?;
        Ok(true)
    }

    /// Lets go of the segment, which is not the log any more, and opens what is.
    pub(super) fn reopen(&mut self, env: &Env, why: &'static str) -> Done {
        let mut empty = None;
        // As long as we hold it nobody compresses it: the look finds it, under whatever name.
        let old = self.segment.take();
        // There may be something to evict that there was not.
        (self.is_stuck, self.is_disk_stuck) = (false, false);
        if let Some(old) = &old {
            self.ragged = old.is_ragged.then_some(old.id);
            let meta = old.file.meta();
            // What cannot be looked at has not gone.
            let linked = meta.as_ref().map_or(true, |meta| meta.stamp.nlink > 0);
            if linked && held(&*old.file, Hold::Alone) {
                let _ = old.file.trim();
                empty = meta.ok().filter(|meta| meta.stamp.len == 0).map(|meta| meta.stamp.id);
            }
            let _ = old.file.end_turn();
            let mut books = lock(&env.books);
            books.orphaned(linked.then_some(old.id), old.records, old.len);
            // The look finds it as what it is now. Nobody claims room before.
            books.end();
        }
        self.head = 0;
        self.counts.reopened = self.counts.reopened.saturating_add(1);
        env.wants_upkeep.store(true, Ordering::Release);
        env.tell(Event::Reopened { why });
        if env.open_dir().is_ok_and(|dir| env.fs.stat_dir(dir).is_ok_and(|m| m.stamp.nlink == 0)) {
            env.forget_dir();
        }
        let seen = upkeep::look(env).map_err(Failure::of_look)?;
        drop(old);
        if let Some(id) = empty {
            // Another writer made an archive of it before there was anything in it; nobody
            // else will write to it.
            upkeep::remove_empty(env, &seen, Some(&id));
        }
        upkeep::close(env, &seen);
        self.open(env)
    }

    /// Where others append, too: waits for the turn, and sees how long the log is by now.
    pub(super) fn begin_turn(&mut self, env: &Env) {
        for _ in 0..4 {
            if !self.segment.as_ref().is_some_and(|segment| segment.is_shared) {
                return;
            }
            self.take_turn();
            match self.check_identity(env) {
                Ok(false) | Err(_) => return,
                Ok(true) => {}
            }
        }
    }

    pub(super) fn end_turn(&mut self) {
        if let Some(segment) = self.segment.as_ref().filter(|segment| segment.is_shared) {
            let _ = segment.file.end_turn();
        }
    }

    /// The turn for what is more than to append: whoever rotates the log or claims room has
    /// it, also who is alone.
    pub(super) fn take_turn(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.turn_at(&*segment.file);
            self.segment = Some(segment);
        }
    }

    pub(super) fn turn_at(&mut self, file: &dyn AppendFile) {
        let wait = if self.is_turn_stuck { Duration::ZERO } else { TURN };
        // Without it things go on, too: somebody who hangs must not stop us.
        self.is_turn_stuck = matches!(file.begin_turn(wait), Ok(false));
    }

    /// Who is alone needs no turn to append.
    pub(super) fn end_turn_alone(&mut self) {
        if let Some(segment) = self.segment.as_ref().filter(|segment| !segment.is_shared) {
            let _ = segment.file.end_turn();
        }
    }
}
