//! The ballast of an appender: given up before an archive or a record is lost for want of space on
//! the disk, and made again when there is room.
//!
//! It is the same file as the program's, beside the log, and known by the same signs; whoever works
//! on the folder may have made it, or given it up. Nobody looks at it as long as the disk has room,
//! but for once a minute in the background.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::builder::OnFull;
use super::env::Env;
use super::event::Event;
use crate::apply::ballast::{give_up, make};
use crate::ballast::{DIR, Keeper, NAME, Rule};
use crate::error::{Error, Op, Result};
use crate::fs::{Attributes, os};
use crate::inventory::{BallastFound, DirId, Space};
use crate::scan::look_inside;
use crate::units::Bytes;

/// How often it is looked after, in seconds.
const EVERY: i64 = 60;

pub(super) struct Ballast {
    size: Bytes,
    /// Nobody knows that there is none: a disk that stays full is not asked for it again and again.
    may_be_there: AtomicBool,
    /// When it was looked after.
    last: AtomicI64,
    /// That it cannot be kept was told.
    is_told: AtomicBool,
}

impl Ballast {
    pub(super) const fn new(size: Bytes) -> Self {
        Self {
            size,
            may_be_there: AtomicBool::new(true),
            last: AtomicI64::new(i64::MIN),
            is_told: AtomicBool::new(false),
        }
    }

    fn rule(&self, env: &Env, space: &Space) -> Rule {
        // As upkeep does, which would give archives for the next segment otherwise.
        let next = match env.on_full {
            OnFull::EvictOldest => Bytes::new(env.segment),
            OnFull::DropNewest | OnFull::Refuse => Bytes::ZERO,
        };
        let reserve = env.policy.limits.reserve;
        Rule::new(self.size, reserve.map(|reserve| reserve.of(space.total).plus(next)))
    }
}

/// Its folder, open, and what is in there.
struct Opened<'e> {
    env: &'e Env,
    dir: DirId,
    found: BallastFound,
}

impl<'e> Opened<'e> {
    /// None if there is no such folder.
    fn new(env: &'e Env) -> Result<Option<Self>> {
        let path = env.folder.join(DIR);
        let dir = match env.fs.open_dir(env.open_dir()?, OsStr::new(DIR)) {
            Ok(dir) => dir,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(Op::OpenDir, path)(error)),
        };
        let mut opened = Self { env, dir, found: BallastFound::Missing { since: None } };
        (opened.found, _) = look_inside(&*env.fs, dir, &path, env.fs.effective_uid())?;
        Ok(Some(opened))
    }

    fn kept(&self) -> Bytes {
        match &self.found {
            BallastFound::Ours(meta) => meta.stamp.allocated,
            _ => Bytes::ZERO,
        }
    }

    /// Nothing, if there is none.
    fn remove(&self) -> Result<()> {
        let BallastFound::Ours(meta) = &self.found else { return Ok(()) };
        let path = self.env.folder.join(DIR).join(NAME);
        give_up(&*self.env.fs, self.dir, OsStr::new(NAME), &meta.stamp.id)
            .map_err(Error::io(Op::Delete, path))
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.env.fs.close_dir(self.dir);
    }
}

/// Gives it up; says whether that gave anything.
pub(super) fn helps(env: &Env) -> bool {
    release(env) > Bytes::ZERO
}

/// Gives it up; says what that gave.
fn release(env: &Env) -> Bytes {
    let Some(ballast) = &env.ballast else { return Bytes::ZERO };
    if !ballast.may_be_there.swap(false, Ordering::AcqRel) {
        return Bytes::ZERO;
    }
    let given = Opened::new(env).and_then(|opened| {
        let Some(opened) = opened.filter(|opened| opened.kept() > Bytes::ZERO) else {
            return Ok(Bytes::ZERO);
        };
        opened.remove().map(|()| opened.kept())
    });
    match given {
        Ok(bytes) => {
            if bytes > Bytes::ZERO {
                env.tell(Event::BallastReleased { bytes });
            }
            bytes
        }
        Err(error) => {
            env.tell(Event::UpkeepFailed { why: error.chain() });
            Bytes::ZERO
        }
    }
}

/// Gives it up if less is free than must be; says what that gave.
pub(super) fn relieve(env: &Env, space: &Space) -> Bytes {
    match &env.ballast {
        Some(ballast) if space.free < ballast.rule(env, space).floor => release(env),
        _ => Bytes::ZERO,
    }
}

/// Makes it if there is room, or gives it up; looks at the disk once a minute at most. Not for the
/// call of somebody who only writes.
pub(super) fn look_after(env: &Env) {
    let Some(ballast) = &env.ballast else { return };
    let now = env.clock.now().timestamp();
    let last = ballast.last.load(Ordering::Relaxed);
    // Also if the clock was set back.
    if last != i64::MIN && now.saturating_sub(last).saturating_abs() < EVERY {
        return;
    }
    ballast.last.store(now, Ordering::Relaxed);
    match look(env, ballast) {
        Ok(()) => ballast.is_told.store(false, Ordering::Relaxed),
        Err(error) => {
            if !ballast.is_told.swap(true, Ordering::Relaxed) {
                env.tell(Event::UpkeepFailed { why: error.chain() });
            }
        }
    }
}

fn look(env: &Env, ballast: &Ballast) -> Result<()> {
    let _lock = if env.is_real {
        match os::Lock::dir(&env.folder, Duration::ZERO) {
            Ok(lock) => Some(lock),
            // Somebody else is at it: the next time will do.
            Err(Error::Locked { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    let base = env.open_dir()?;
    let space = env.fs.space(base).map_err(Error::io(Op::Space, &env.folder))?;
    let rule = ballast.rule(env, &space);
    let opened = Opened::new(env)?;
    if let Some(Opened { found: BallastFound::Foreign { why }, .. }) = &opened {
        let error = std::io::Error::new(ErrorKind::AlreadyExists, why.clone());
        return Err(Error::io(Op::Create, env.folder.join(DIR).join(NAME))(error));
    }
    let kept = opened.as_ref().map_or(Bytes::ZERO, Opened::kept);
    ballast.may_be_there.store(kept > Bytes::ZERO, Ordering::Release);
    if space.free < rule.floor {
        release(env);
        return Ok(());
    }
    if kept >= rule.size || !rule.has_room(space.free.plus(kept)) {
        return Ok(());
    }
    let opened = match opened {
        Some(opened) => opened,
        None => match make_folder(env, base)? {
            Some(opened) => opened,
            // Somebody else has made it: the next time will tell.
            None => return Ok(()),
        },
    };
    opened.remove()?;
    // Room that was just given must be so for good before it is taken.
    let sync = |dir: DirId| env.fs.sync_dir(dir).map_err(Error::io(Op::Sync, &env.folder));
    sync(opened.dir)?;
    let what = (rule.size, Keeper::Program);
    // Whoever runs out of room meanwhile gives up what there is of it.
    ballast.may_be_there.store(true, Ordering::Release);
    let made = make(&*env.fs, opened.dir, OsStr::new(NAME), what);
    made.map_err(|(op, error)| Error::io(op, env.folder.join(DIR).join(NAME))(error))?;
    sync(opened.dir)?;
    if !ballast.may_be_there.load(Ordering::Acquire) {
        // Somebody has given up what there was of it. What came after that is there.
        let is_there = Opened::new(env)?.is_some_and(|opened| opened.kept() > Bytes::ZERO);
        ballast.may_be_there.store(is_there, Ordering::Release);
        return Ok(());
    }
    env.tell(Event::BallastRestored { bytes: rule.size });
    Ok(())
}

fn make_folder(env: &Env, base: DirId) -> Result<Option<Opened<'_>>> {
    let attributes = Attributes { mode: Some(0o700), ..Attributes::default() };
    let path = || env.folder.join(DIR);
    let made = env.fs.make_dir(base, OsStr::new(DIR), &attributes);
    made.map_err(Error::io(Op::MakeDir, path()))?;
    env.fs.sync_dir(base).map_err(Error::io(Op::Sync, &env.folder))?;
    let opened = Opened::new(env)?;
    Ok(opened.filter(|opened| matches!(opened.found, BallastFound::Missing { .. })))
}
