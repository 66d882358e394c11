//! How an appender takes over what is there, and how it ends.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::ballast;
use super::block::Block;
use super::builder::{Builder, Delivery};
use super::combine::Combine;
use super::core::{Core, Front};
use super::drain::Queued;
use super::env::{Env, Parts, lock};
use super::event::Stats;
use super::log::{Log, Segment};
use super::threads::Bell;
use super::upkeep::{self, Goal};
use crate::error::{Error, Op, Result};
use crate::fs::os::OsFs;
use crate::naming::Label;

impl Core {
    pub(super) fn open(builder: &Builder) -> Result<Self> {
        let policy = builder.finished_policy()?;
        let path =
            std::path::absolute(&builder.path).map_err(Error::io(Op::Open, &builder.path))?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            let text = format!("`{}` is not the name of a log", crate::error::printable(&path));
            return Err(Error::Policy(text));
        };
        // The longest name that an archive gets must fit into 255 bytes.
        let longest = name.len().saturating_add(".0000000042-20261121T184136Z.zst".len() + 10);
        if longest > 255 {
            let text = format!("the name of the log has {} bytes; 200 is the most", name.len());
            return Err(Error::Policy(text));
        }
        let is_real = builder.fs.is_none();
        let fs = builder.fs.clone().unwrap_or_else(|| Arc::new(OsFs::new()));
        let parts = Parts { fs, folder: folder.to_owned(), name: name.to_owned(), is_real };
        let env = Env::new(builder, policy, parts);
        let front = match builder.delivery {
            Delivery::Written => Front::Written(Combine::new()),
            Delivery::Queued { .. } if !builder.background => {
                let text = "a queue needs a thread that empties it; allow `background`";
                return Err(Error::Policy(text.to_owned()));
            }
            Delivery::Queued { records, bytes, when_full } => {
                Front::Queued(Box::new(Queued::new(records, bytes.get(), when_full)?))
            }
            Delivery::Buffered { bytes, .. } => {
                Front::Buffered(Mutex::new(Block::new(bytes.get())))
            }
        };
        let mut log = Log::default();
        if let Front::Buffered(block) = &front {
            log.spare = super::block::Buffer::of(lock(block).size());
        }
        let core = Self {
            env,
            log: Mutex::new(log),
            front,
            delivery: builder.delivery,
            keeper: Bell::default(),
            packer: Bell::default(),
            ticked: AtomicI64::new(i64::MIN),
        };
        if let Err(error) = core.start()
            && !builder.degraded
        {
            return Err(error);
        }
        Ok(core)
    }

    /// Takes over what is there, and brings it under its limits.
    fn start(&self) -> Result<()> {
        let env = &self.env;
        let mut log = lock(&self.log);
        env.open_dir()?;
        let seen = upkeep::look(env)?;
        let refusal = upkeep::refusal(&seen);
        let since = seen.log().and_then(|log| {
            let newest = log.archives.iter().find_map(|archive| match archive.label() {
                Label::Sequence { at, .. } => Some(at),
                _ => None,
            });
            let stamp = log.active.as_ref().map(|meta| meta.stamp);
            let began = newest.or_else(|| {
                let stamp = stamp?;
                Some(stamp.id.btime.unwrap_or(stamp.mtime).secs)
            })?;
            let began = chrono::DateTime::from_timestamp(began, 0)?;
            Some(env.clock.local(began).naive_local())
        });
        if refusal.is_none() {
            // What others made archives of as they took a log over, before they were killed.
            upkeep::remove_empty(env, &seen, None);
        }
        let has_halves = seen.log().is_some_and(|log| log.heads() > 0);
        env.has_halves.store(has_halves, Ordering::Release);
        upkeep::close(env, &seen);
        if let Some(why) = refusal {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
            return Err(Error::io(Op::Open, &env.path)(source));
        }
        log.open_since(env, since).map_err(|failure| self.error(failure))?;
        log.end_turn();
        log.tick(env);
        drop(log);
        // What is there already may be more than the quota: first of all it is brought under it.
        upkeep::tidy(env, Goal::Routine { compress: false })?;
        if !env.background {
            ballast::look_after(env);
        }
        env.wants_upkeep.store(env.policy.compress.is_some(), Ordering::Release);
        Ok(())
    }

    /// No record is taken any more; what waits is written.
    pub(super) fn begin_close(&self) -> Result<()> {
        match &self.front {
            // The writer writes what is left, and ends; then the log is closed.
            Front::Queued(queued) => {
                queued.queue.close();
                return Ok(());
            }
            Front::Buffered(block) => lock(block).is_closed = true,
            Front::Written(_) => {}
        }
        let result = self.flush();
        lock(&self.log).is_closed = true;
        self.end_background();
        result
    }

    pub(super) fn end_background(&self) {
        self.env.is_closing.store(true, Ordering::Release);
        self.keeper.ring();
        self.packer.ring();
    }

    /// The threads have ended: gives everything back.
    pub(super) fn end_close(&self) -> Stats {
        let mut log = lock(&self.log);
        log.is_closed = true;
        let mut empty = None;
        if let Some(segment) = log.segment.take() {
            self.disown(&segment);
            if matches!(segment.file.hold(crate::fs::Hold::Alone), Ok(true)) {
                let _ = segment.file.trim();
            }
            if let Ok(meta) = segment.file.meta() {
                lock(&self.env.books).begin(meta.stamp.allocated.get());
                empty = (meta.stamp.len == 0).then_some(meta.stamp.id);
            }
        }
        drop(log);
        // What is one too many goes now; archives that others have deleted are noticed once more.
        self.upkeep(false);
        if let Ok(seen) = upkeep::look(&self.env) {
            if let Some(id) = empty {
                upkeep::remove_empty(&self.env, &seen, Some(&id));
            }
            upkeep::close(&self.env, &seen);
        }
        self.env.forget_dir();
        self.stats()
    }

    /// Our records in a log that somebody has taken away are where a look finds them, as long
    /// as we hold it: then nobody compresses it.
    fn disown(&self, segment: &Segment) {
        let found = self.env.open_dir().ok().map(|dir| self.env.fs.stat(dir, self.env.name()));
        if let Some(Ok(found)) = found
            && found.is_none_or(|found| found.stamp.id != segment.id)
        {
            let linked = segment.file.meta().is_ok_and(|meta| meta.stamp.nlink > 0);
            let id = linked.then_some(segment.id);
            lock(&self.env.books).orphaned(id, segment.records, segment.len);
            if let Ok(seen) = upkeep::look(&self.env) {
                upkeep::close(&self.env, &seen);
            }
        }
    }
}
