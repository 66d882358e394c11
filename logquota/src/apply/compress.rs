//! Compressions: several files at once, each by way of its own temporary name.
//!
//! What somebody still holds to append to it is left for a later run, and so are the archives of
//! a log that is held: its writer fills the room that is left within the quota. Of the rest:
//! write, finish, flush, rename without replacing, flush the folder, and only then unlink the
//! source. Any instant of that is a good one to be killed: what is left is a temporary that
//! the next scan recognises, or the archive twice.

use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::sync::mpsc::{self, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::ledger::Ledger;
use super::remove::{discard, must_not_be_held};
use super::{Hooks, Known, Outcome, Runner, is_expected, outcome_of, path};
use crate::codec::Encoder;
use crate::error::{Error, Op, Result};
use crate::fs::{Attributes, NewFile, ReadFile, WriteFs};
use crate::inventory::Place;
use crate::plan::{Action, Expect, Plan, Step};
use crate::policy::{Codec, Identity, Program};
use crate::stamp::{FileId, Meta, Stamp};
use crate::units::Bytes;

const CHUNK: usize = 128 << 10;

/// One compression as its worker needs it.
struct Job<'p> {
    from: &'p Place,
    to: &'p Place,
    temp: Place,
    log: &'p Place,
    codec: Codec,
    level: Option<i32>,
    room: Bytes,
    keep: bool,
    expect: &'p Expect,
    set: usize,
}

impl<'p> Job<'p> {
    fn new(step: &'p Step) -> Option<Self> {
        let Action::Compress { from, to, temp, log, codec, level, room, keep, .. } = &step.action
        else {
            return None;
        };
        let temp = Place { dir: to.dir, name: temp.to_os_string() };
        let (codec, level, room, keep) = (*codec, *level, *room, *keep);
        let (expect, set) = (&step.expect, step.set);
        Some(Self { from, to, temp, log, codec, level, room, keep, expect, set })
    }
}

/// What workers share.
struct Queue<'l> {
    next: usize,
    running: usize,
    ledger: &'l mut Ledger,
    /// Sources as they were, and what became of them.
    packed: Vec<(Stamp, FileId)>,
}

/// What a finished compression changed.
struct Packed {
    source: Stamp,
    archive: FileId,
    took: Bytes,
    freed: Bytes,
    /// Why the source is still there beside its archive, if so. Then the next run finds a
    /// duplicate; to take the archive back here could lose both, since what failed may have
    /// been done.
    stays: Option<Error>,
}

impl Runner<'_> {
    /// The compressions of one set.
    pub(super) fn compress_batch(
        &mut self,
        range: Range<usize>,
        threads: usize,
        hooks: &mut dyn Hooks,
    ) {
        let plan = self.plan;
        let steps = plan.steps.get(range.clone()).unwrap_or_default();
        let Some(first) = steps.first() else { return };
        let run_as = plan.sets.get(first.set).and_then(|set| set.run_as);
        let ready = self.act_as(run_as, first).and_then(|()| self.settle());
        if let Err(error) = ready {
            let mut error = Some(error);
            for index in range {
                let outcome = error.take().map_or(Outcome::NotReached, Outcome::Failed);
                hooks.on_step(index, &outcome);
                self.set(index, outcome);
            }
            return;
        }
        let reachable: Vec<bool> = steps.iter().map(|step| self.is_reachable(step)).collect();
        let workers = threads.max(1).min(steps.len());
        let queue = Queue { next: 0, running: 0, ledger: &mut self.ledger, packed: Vec::new() };
        let press = Press { plan, fs: self.fs, known: &self.known };
        let batch = Batch {
            press,
            steps,
            reachable: &reachable,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
        };
        let start = range.start;
        let mut told = |(index, outcome): &(usize, Outcome)| {
            hooks.on_step(start.saturating_add(*index), outcome);
        };
        let mut outcomes = Vec::new();
        std::thread::scope(|scope| {
            let (ended, news) = mpsc::channel();
            let batch = &batch;
            let spawn = |_| {
                let ended = ended.clone();
                let work = move || while batch.work_once(&ended) {};
                std::thread::Builder::new().spawn_scoped(scope, work).ok()
            };
            let wanted = if workers == 1 { 0 } else { workers };
            if (0..wanted).map_while(spawn).count() == 0 {
                // Where no thread can be had, this one does the work.
                while batch.work_once(&ended) {
                    outcomes.extend(news.try_iter().inspect(&mut told));
                }
            }
            drop(ended);
            // Until the last worker has ended.
            outcomes.extend(news.iter().inspect(&mut told));
        });
        let packed = std::mem::take(&mut batch.lock().packed);
        drop(batch);
        for (source, archive) in packed {
            self.known.note_copy(source.id, archive);
            self.known.packed.insert(source.id, source);
        }
        for (index, outcome) in outcomes {
            self.set(start.saturating_add(index), outcome);
        }
    }

    /// One compression by a program of the configuration.
    pub(super) fn compress_by(
        &mut self,
        step: &Step,
        program: &Program,
        hooks: &mut dyn Hooks,
    ) -> Result<()> {
        let Some(job) = Job::new(step) else { return Ok(()) };
        self.settle()?;
        let no_room = || Error::NoRoom { path: path(self.plan, job.to) };
        if !self.ledger.admits(job.set, step.bytes, job.room) {
            return Err(no_room());
        }
        let press = Press { plan: self.plan, fs: self.fs, known: &self.known };
        let who = self.acting_as;
        let most = self.ledger.has_quota(job.set).then_some(job.room);
        let packed = press.compress(&job, &mut |source, before, new| {
            press.pack_by(&job, (program, most), &mut *hooks, who, (source, before, new))
        });
        let packed = packed.map_err(|error| match error {
            Error::Hook { .. } => error,
            error if error.is_no_space() => no_room(),
            error => error,
        })?;
        self.ledger.take(job.set, packed.took);
        self.ledger.give(job.set, packed.freed);
        self.known.note_copy(packed.source.id, packed.archive);
        self.known.packed.insert(packed.source.id, packed.source);
        packed.stays.map_or(Ok(()), Err)
    }
}

/// What it takes to compress one file.
#[derive(Clone, Copy)]
struct Press<'b> {
    plan: &'b Plan,
    fs: &'b dyn WriteFs,
    known: &'b Known,
}

/// One batch at work.
struct Batch<'b> {
    press: Press<'b>,
    steps: &'b [Step],
    reachable: &'b [bool],
    queue: Mutex<Queue<'b>>,
    changed: Condvar,
}

/// A file to be packed: its source, what that was when it was opened, and where to.
type Files<'f> = (&'f mut dyn ReadFile, &'f Meta, Box<dyn NewFile + 'f>);

/// What packs a file: from its source, what that was when it was opened, and where to.
type Pack<'a> = dyn FnMut(&mut dyn ReadFile, &Meta, Box<dyn NewFile + '_>) -> Result<FileId> + 'a;

impl<'b> Batch<'b> {
    fn lock(&self) -> MutexGuard<'_, Queue<'b>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next file for which there is room, and compresses it. `false` when there is
    /// nothing left.
    fn work_once(&self, ended: &Sender<(usize, Outcome)>) -> bool {
        let tell = |index, outcome| {
            // Its receiver outlives all workers.
            let _ = ended.send((index, outcome));
        };
        let mut queue = self.lock();
        let (index, job) = loop {
            let index = queue.next;
            let Some(step) = self.steps.get(index) else { return false };
            let (Some(job), Some(true)) = (Job::new(step), self.reachable.get(index)) else {
                queue.next = index.saturating_add(1);
                tell(index, Outcome::NotReached);
                continue;
            };
            if queue.ledger.admits(job.set, step.bytes, job.room)
                && self.disk_has(job.room.plus(queue.ledger.outstanding()), job.to)
            {
                break (index, job);
            }
            if queue.running > 0 {
                // What runs now gives its room back soon.
                drop(self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner));
                return true;
            }
            queue.next = index.saturating_add(1);
            let error = Error::NoRoom { path: path(self.press.plan, job.to) };
            tell(index, Outcome::Skipped(error));
        };
        queue.next = index.saturating_add(1);
        queue.running = queue.running.saturating_add(1);
        queue.ledger.reserve(job.set, job.room);
        drop(queue);

        let press = self.press;
        let result =
            press.compress(&job, &mut |source, before, new| press.pack(&job, source, before, new));

        let mut queue = self.lock();
        queue.running = queue.running.saturating_sub(1);
        queue.ledger.release(job.set, job.room);
        let outcome = match result {
            Ok(packed) => {
                queue.ledger.take(job.set, packed.took);
                queue.ledger.give(job.set, packed.freed);
                queue.packed.push((packed.source, packed.archive));
                packed.stays.map_or(Outcome::Done, outcome_of)
            }
            Err(error) if error.is_no_space() => {
                Outcome::Skipped(Error::NoRoom { path: path(self.press.plan, job.to) })
            }
            Err(error) => outcome_of(error),
        };
        drop(queue);
        tell(index, outcome);
        self.changed.notify_all();
        true
    }

    fn disk_has(&self, room: Bytes, to: &Place) -> bool {
        self.press.fs.space(to.dir).map_or(true, |space| {
            space.free >= room && space.free_files.is_none_or(|files| files > 0)
        })
    }
}

impl Press<'_> {
    fn compress(&self, job: &Job<'_>, pack: &mut Pack<'_>) -> Result<Packed> {
        let from = || path(self.plan, job.from);
        let mut source =
            self.fs.read(job.from.dir, &job.from.name).map_err(Error::io(Op::Open, from()))?;
        let before = source.meta().map_err(Error::io(Op::Stat, from()))?;
        if !is_expected(&before, job.expect, self.known) || before.stamp.nlink > 1 {
            return Err(Error::Changed { path: from() });
        }
        must_not_be_held(self.fs, job.from, from)?;
        must_not_be_held(self.fs, job.log, || path(self.plan, job.log))?;
        let label = source.extended().map_err(Error::io(Op::Stat, from()))?.label_only();
        let temp = || path(self.plan, &job.temp);
        let new = self.fs.create(job.temp.dir, &job.temp.name);
        let mut new = new.map_err(Error::io(Op::Create, temp()))?;
        let labelled = new.set_extended(&label).map_err(Error::io(Op::SetAttributes, temp()));
        let made = labelled
            .and_then(|()| pack(&mut *source, &before, new))
            .and_then(|id| self.publish(job, id).map(|took| (id, took)));
        let (id, took) = made.inspect_err(|_| discard(self.fs, &job.temp, None))?;
        let packed =
            Packed { source: before.stamp, archive: id, took, freed: Bytes::ZERO, stays: None };
        if job.keep {
            return Ok(packed);
        }
        match self.retire(job, &before) {
            Ok(()) => Ok(Packed { freed: before.stamp.freed_by_unlink(), ..packed }),
            Err(error @ (Error::StillWritten { .. } | Error::Changed { .. })) => {
                // What is compressed is not all of it.
                discard(self.fs, job.to, Some(id));
                Err(error)
            }
            Err(error) => Ok(Packed { stays: Some(error), ..packed }),
        }
    }

    /// The content, up to a synced temporary file.
    fn pack(
        &self,
        job: &Job<'_>,
        source: &mut dyn ReadFile,
        before: &Meta,
        new: Box<dyn NewFile + '_>,
    ) -> Result<FileId> {
        let temp = || path(self.plan, &job.temp);
        let from = || path(self.plan, job.from);
        let out = Bounded { file: new, left: job.room.get() };
        let mut encoder = Encoder::new(job.codec, job.level, Some(before.stamp.len), out)?;
        let mut buffer = vec![0u8; CHUNK];
        let mut len = 0u64;
        loop {
            let read = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io(Op::Read, from())(error)),
            };
            len = len.saturating_add(u64::try_from(read).unwrap_or(0));
            if len > before.stamp.len {
                return Err(Error::StillWritten { path: from() });
            }
            let chunk = buffer.get(..read).unwrap_or_default();
            encoder.write_all(chunk).map_err(Error::io(Op::Write, temp()))?;
        }
        let after = source.meta().map_err(Error::io(Op::Stat, from()))?;
        if len != before.stamp.len || !before.stamp.has_same_content(&after.stamp) {
            return Err(Error::StillWritten { path: from() });
        }
        let file = encoder.finish().map_err(Error::io(Op::Write, temp()))?.file;
        self.complete(job, (source, before), file)
    }

    /// The same, by a program. What takes more room than there is, is known when it has ended.
    fn pack_by(
        &self,
        job: &Job<'_>,
        (program, most): (&Program, Option<Bytes>),
        hooks: &mut dyn Hooks,
        who: Option<Identity>,
        (source, before, new): Files<'_>,
    ) -> Result<FileId> {
        let from = path(self.plan, job.from);
        {
            let (Some(input), Some(output)) = (source.as_fd(), new.as_fd()) else {
                return Err(super::no_program(&program.command));
            };
            hooks.compress(program, &from, input, output, who)?;
        }
        let after = source.meta().map_err(Error::io(Op::Stat, &from))?;
        // A program may remove what it has read.
        let nlink = if after.stamp.nlink == 0 { before.stamp.nlink } else { after.stamp.nlink };
        if !before.stamp.has_same_content(&Stamp { nlink, ..after.stamp }) {
            return Err(Error::StillWritten { path: from });
        }
        let temp = || path(self.plan, &job.temp);
        let made = new.meta().map_err(Error::io(Op::Stat, temp()))?;
        if most.is_some_and(|most| made.stamp.allocated > most) {
            return Err(Error::io(Op::Write, temp())(ErrorKind::StorageFull.into()));
        }
        self.complete(job, (source, before), new)
    }

    /// Owner, mode, times and access control list of what it was made from, on the disk.
    fn complete(
        &self,
        job: &Job<'_>,
        (source, before): (&dyn ReadFile, &Meta),
        mut file: Box<dyn NewFile + '_>,
    ) -> Result<FileId> {
        let temp = || path(self.plan, &job.temp);
        let attributes = Attributes {
            mode: Some(before.mode & 0o7777),
            owner: Some((before.uid, before.gid)),
            times: Some((before.accessed, before.stamp.mtime)),
        };
        let acl = source.acl().map_err(Error::io(Op::Stat, path(self.plan, job.from)))?;
        let set = file.set_access(&attributes, acl.as_ref());
        set.map_err(Error::io(Op::SetAttributes, temp()))?;
        file.sync().map_err(Error::io(Op::Sync, temp()))?;
        let made = file.meta().map_err(Error::io(Op::Stat, temp()))?;
        Ok(made.stamp.id)
    }

    /// The final name, durably; says what the file occupies.
    fn publish(&self, job: &Job<'_>, id: FileId) -> Result<Bytes> {
        let to = || path(self.plan, job.to);
        self.fs
            .rename(job.temp.dir, &job.temp.name, job.to.dir, &job.to.name)
            .map_err(Error::io(Op::Rename, to()))?;
        let undo = |_: &Error| discard(self.fs, job.to, Some(id));
        let found = self.fs.stat(job.to.dir, &job.to.name);
        let found = found.map_err(Error::io(Op::Stat, to())).inspect_err(undo)?;
        self.fs.sync_dir(job.to.dir).map_err(Error::io(Op::Sync, to())).inspect_err(undo)?;
        Ok(found.map_or(Bytes::ZERO, |meta| meta.stamp.allocated))
    }

    /// Unlinks the source, if nothing was added to it.
    fn retire(&self, job: &Job<'_>, before: &Meta) -> Result<()> {
        let from = || path(self.plan, job.from);
        let found = self.fs.stat(job.from.dir, &job.from.name);
        match found.map_err(Error::io(Op::Stat, from()))? {
            None => Ok(()),
            Some(now) if now.stamp.id != before.stamp.id => Err(Error::Changed { path: from() }),
            Some(now) if !before.stamp.has_same_content(&now.stamp) => {
                Err(Error::StillWritten { path: from() })
            }
            Some(_) => {
                self.fs.remove(job.from.dir, &job.from.name).map_err(Error::io(Op::Delete, from()))
            }
        }
    }
}

/// Passes on as many bytes as were reserved, and no more.
struct Bounded<'f> {
    file: Box<dyn NewFile + 'f>,
    left: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if u64::try_from(buf.len()).unwrap_or(u64::MAX) > self.left {
            return Err(io::Error::from(ErrorKind::StorageFull));
        }
        let written = self.file.write(buf)?;
        self.left = self.left.saturating_sub(u64::try_from(written).unwrap_or(0));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
