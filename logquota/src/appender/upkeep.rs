//! Upkeep: `scan -> plan -> apply` on the appender's own log, by the same planner as the
//! program's.
//!
//! The appender rotates by itself; what is left to the planner is what goes for space, number
//! and age, what is compressed, and what an interrupted run has left. Its limits are the
//! policy's, less what the books know and a look at the disk cannot: the rest of the active
//! segment, and what is kept free for the next one.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ballast;
use super::builder::OnFull;
use super::env::{Env, Retired, lock};
use super::event::Event;
use super::guard::Guard;
use crate::apply::{NoHooks, Options, Outcome, apply};
use crate::error::{Error, Op, Result};
use crate::fs::{Hold, os};
use crate::inventory::{Archive, Blocked, Inventory, Log};
use crate::naming::Label;
use crate::plan::{Action, Context, Host, Plan, Purpose, Step, plan};
use crate::policy::{Config, Count, Limits, Policy, Reserve, RotateWhen, Selector, SetSpec};
use crate::scan::scan;
use crate::stamp::FileId;
use crate::units::Bytes;

/// What upkeep is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Everything that is due; compression only if it is asked for.
    Routine {
        /// Whether archives are compressed, too.
        compress: bool,
    },
    /// A caller waits for so many bytes within the quota.
    Quota(u64),
    /// A caller waits for so many bytes, and an inode, on the disk.
    Disk(u64),
}

/// What a look at the disk found of the active segment and the archives.
pub(super) struct Seen {
    pub(super) inventory: Inventory,
    /// What the books count for archives beyond what was seen.
    unseen: u64,
}

impl Seen {
    pub(super) fn log(&self) -> Option<&Log> {
        self.inventory.sets.first().and_then(|set| set.logs.first())
    }

    /// Temporary files stay where they are, and count. Without the directory's lock nobody
    /// knows whether another process is at work on them.
    fn spare_leftovers(&mut self) {
        let logs = self.inventory.sets.iter_mut().flat_map(|set| &mut set.logs);
        for leftover in logs.flat_map(|log| log.leftovers.drain(..)) {
            self.unseen = self.unseen.saturating_add(leftover.meta.stamp.allocated.get());
        }
    }

    pub(super) fn active_blocks(&self) -> u64 {
        let active = self.log().and_then(|log| log.active.as_ref());
        active.map_or(0, |meta| meta.stamp.allocated.get())
    }
}

/// Looks at the directory and brings the books in line with it.
///
/// # Errors
///
/// [`Error::Lost`] and others where the log must be left alone.
pub(super) fn look(env: &Env) -> Result<Seen> {
    let epoch = lock(&env.books).begin_look();
    let config = config(env, env.policy.clone());
    let mut inventory = scan(&*env.fs, &config, &|_| None)?;
    if let Some(why) = unseen(&inventory) {
        // What could not be seen has not gone: the books stay as they are.
        inventory.dirs.keys().for_each(|dir| env.fs.close_dir(*dir));
        return Err(Error::io(Op::List, &env.folder)(std::io::Error::other(why)));
    }
    let directory = inventory
        .dirs
        .keys()
        .next()
        .and_then(|dir| env.fs.stat_dir(*dir).ok())
        // It may grow by a block with the next name.
        .map_or(0, |meta| meta.stamp.allocated.get().saturating_mul(2));
    let mut books = lock(&env.books);
    let logs = inventory.sets.iter_mut().flat_map(|set| &mut set.logs);
    let mut found: Vec<(std::ffi::OsString, u64, FileId)> = Vec::new();
    for log in logs {
        // What we are just making is no leftover.
        log.leftovers.retain(|leftover| !books.is_making(&leftover.place.name));
        let packed: HashSet<Label> =
            log.archives.iter().filter(|archive| !archive.is_plain()).map(Archive::label).collect();
        for archive in &log.archives {
            if let Label::Sequence { number, .. } = archive.label() {
                books.saw_number(number);
            }
            let stamp = &archive.stamp();
            let bytes = stamp.allocated.get();
            if let Some(head) = archive.head() {
                let stamp = &head.meta.stamp;
                found.push((head.name.clone(), stamp.allocated.get(), stamp.id));
            }
            // Blocks of what is still being written back are noted later. What is compressed, by
            // half or all, is not, and may have lost most of them.
            let is_fresh = archive.is_plain()
                && archive.head().is_none()
                && !packed.contains(&archive.label());
            let bytes = if is_fresh { bytes.max(books.claim(stamp.len)) } else { bytes };
            found.push((archive.name().to_owned(), bytes, stamp.id));
        }
        let leftovers = log.leftovers.iter().map(|leftover| {
            let stamp = &leftover.meta.stamp;
            (leftover.place.name.clone(), stamp.allocated.get(), stamp.id)
        });
        found.extend(leftovers);
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let seen: u64 = inventory.sets.iter().map(|set| set.used().minus(set.overhead).get()).sum();
    books.end_look(epoch, directory, found.iter().map(|(name, bytes, id)| (&**name, *bytes, *id)));
    for archive in inventory.sets.iter().flat_map(|set| &set.logs).flat_map(|log| &log.archives) {
        books.found(archive.name(), &archive.stamp().id);
    }
    let active = inventory.sets.first().and_then(|set| set.logs.first()?.active.as_ref());
    books.forget_orphans(epoch, active.map(|meta| &meta.stamp.id));
    let mut seen = Seen { unseen: seen, inventory };
    let active = seen.active_blocks();
    books.at_least(active);
    let archives = seen.unseen.saturating_sub(active);
    seen.unseen = books.others().saturating_sub(archives);
    Ok(seen)
}

/// Why the scan may have missed something, if so.
fn unseen(inventory: &Inventory) -> Option<String> {
    let mut blocked = inventory.sets.iter().flat_map(|set| &set.logs).map(|log| &log.blocked);
    let unreadable = blocked.find_map(|blocked| match blocked {
        Some(Blocked::Unreadable { why }) => Some(why),
        _ => None,
    });
    let noted = inventory.notes.iter().find(|note| note.is_error).map(|note| &note.why);
    unreadable.or(noted).cloned()
}

/// Gives the directories back that a scan has opened.
pub(super) fn close(env: &Env, seen: &Seen) {
    seen.inventory.dirs.keys().for_each(|dir| env.fs.close_dir(*dir));
}

/// Deletes archives that nothing was ever written to: one that was ours, or all that nobody holds.
/// Says whether there were any.
pub(super) fn remove_empty(env: &Env, seen: &Seen, ours: Option<&FileId>) -> bool {
    let Some(log) = seen.log() else { return false };
    let mut removed = false;
    let is_empty = |archive: &&Archive| archive.stamp().len == 0 && archive.head().is_none();
    for archive in log.archives.iter().filter(is_empty) {
        let goes = match ours {
            Some(id) => archive.stamp().id == *id,
            None => {
                matches!(archive.label(), Label::Sequence { .. })
                    && matches!(env.fs.is_held(log.archive_dir, archive.name()), Ok(false))
            }
        };
        if goes && env.fs.remove(log.archive_dir, archive.name()).is_ok() {
            lock(&env.books).removed(archive.name());
            removed = true;
        }
    }
    removed
}

/// Why the log may not be worked on, if so.
pub(super) fn refusal(seen: &Seen) -> Option<String> {
    let log = seen.log()?;
    match log.blocked.as_ref()? {
        Blocked::Symlink => Some("it is a symbolic link".to_owned()),
        Blocked::Special => Some("it is not a regular file".to_owned()),
        Blocked::HardLinks { names } => Some(format!("it has {names} names (hard links)")),
        Blocked::InsecureParent { why } => Some(why.clone()),
        Blocked::Unreadable { why } => Some(why.clone()),
        Blocked::Missing => None,
    }
}

/// Does what `goal` asks for, as far as it can be done. Says whether an archive was deleted.
pub(super) fn tidy(env: &Env, goal: Goal) -> Result<bool> {
    let in_haste = !matches!(goal, Goal::Routine { .. });
    settle_retired(env, in_haste);
    let at_it = if in_haste { None } else { Some(env.upkeep.try_lock()) };
    if let Some(Err(TryLockError::WouldBlock)) = at_it {
        env.is_put_off.store(true, Ordering::Release);
        return Ok(false);
    }
    let locked = if env.is_real && !in_haste {
        // Somebody else is at it: the next time will do.
        match os::Lock::dir(&env.folder, Duration::ZERO) {
            Ok(lock) => Some(lock),
            Err(Error::Locked { .. }) => {
                env.is_put_off.store(true, Ordering::Release);
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    let mut seen = look(env)?;
    if in_haste {
        seen.spare_leftovers();
    } else if remove_empty(env, &seen, None) {
        // Whoever made it an archive, and should have taken it away, could not.
        close(env, &seen);
        seen = look(env)?;
    }
    if !in_haste && env.policy.limits.reserve.is_some() {
        // Before an archive goes for the reserve.
        for set in &mut seen.inventory.sets {
            set.space.free = set.space.free.plus(ballast::relieve(env, &set.space));
        }
    }
    let result = tidy_seen(env, goal, &seen);
    close(env, &seen);
    drop(locked);
    if !in_haste {
        // What fails is tried again the next time.
        let _ = sync_names(env);
    }
    result
}

/// Brings renames and new names to the disk.
pub(super) fn sync_names(env: &Env) -> Result<()> {
    if !env.is_unsynced.swap(false, Ordering::AcqRel) {
        return Ok(());
    }
    let synced = env
        .open_dir()
        .and_then(|dir| env.fs.sync_dir(dir).map_err(Error::io(Op::Sync, &env.folder)));
    if synced.is_err() {
        env.is_unsynced.store(true, Ordering::Release);
    }
    synced
}

fn tidy_seen(env: &Env, goal: Goal, seen: &Seen) -> Result<bool> {
    let now = env.clock.now();
    let (policy, free) = {
        let last = seen.log().and_then(|log| {
            let active = log.active.as_ref().map(|meta| meta.stamp.mtime.secs);
            active.into_iter().chain(log.archives.first().map(|a| a.stamp().mtime.secs)).max()
        });
        let believes = env.policy.max_age_days.is_none() || env.believes_clock(now, last);
        limits(env, goal, seen, believes)
    };
    let config = config(env, policy);
    let context = Context { now, host: Host::default(), force: false, purpose: Purpose::Routine };
    let mut plan = plan(&seen.inventory, &config, &context);
    // What an interrupted compression has left is cleared away in any case. In place none is
    // begun here, as room is made before it is missing; one that `run` has begun is finished.
    let is_left_out = |step: &Step| match step.action {
        Action::Squeeze { begun: None, .. } => true,
        Action::Compress { .. } | Action::Squeeze { .. } => {
            goal != Goal::Routine { compress: true }
        }
        _ => false,
    };
    let first = plan.steps.iter().position(is_left_out).unwrap_or(plan.steps.len());
    plan.steps.truncate(first);
    if plan.steps.is_empty() {
        return Ok(false);
    }
    let in_haste = !matches!(goal, Goal::Routine { .. });
    let guard = Guard::new(env, &plan, free, in_haste);
    let report = apply(&plan, &guard, &mut NoHooks, &Options { threads: 1 });
    Ok(tell(env, &plan, &report))
}

/// The policy as it is right now, and what must stay free within the quota.
fn limits(env: &Env, goal: Goal, seen: &Seen, believes_clock: bool) -> (Policy, u64) {
    let books = lock(&env.books);
    // History that may not go for newer records does not go for room that is kept free, either.
    let segment = books.fit(env.segment);
    let (next, work) = match env.on_full {
        OnFull::EvictOldest => (books.headroom(segment), books.working_room(segment)),
        OnFull::DropNewest | OnFull::Refuse => (0, 0),
    };
    let free = match goal {
        Goal::Quota(bytes) => bytes,
        Goal::Disk(_) => 0,
        // Room to work in is made before, and used here.
        Goal::Routine { compress: false } if env.policy.compress.is_some() => {
            next.saturating_add(work)
        }
        Goal::Routine { .. } => next,
    };
    let active = seen.active_blocks();
    let growth = books.active().saturating_sub(active);
    let mut policy = env.policy.clone();
    policy.when = RotateWhen::Never;
    policy.evict_new = true;
    (policy.max_size, policy.create) = (None, None);
    if !matches!(goal, Goal::Routine { .. }) {
        policy.compress = None;
    }
    if !believes_clock || !matches!(goal, Goal::Routine { .. }) {
        policy.max_age_days = None;
    }
    // The planner judges the number of archives when it rotates, which it does not do here.
    let kept = match policy.count {
        Count::AtMost(count) => {
            Some(u64::from(count).saturating_add(u64::from(active > 0 || books.active() > 0)))
        }
        Count::Unlimited => None,
    };
    policy.count = Count::Unlimited;
    let quota = books.quota().map(|quota| {
        let kept = growth.saturating_add(free).saturating_add(books.margin());
        let less = quota.saturating_sub(kept).saturating_sub(seen.unseen);
        Bytes::new(less)
    });
    // What the disk lacks is taken from what we have there, whatever it says is free: that
    // may be reserved, or count for somebody else's quota.
    let set = seen.inventory.sets.first();
    let used = set.map_or(Bytes::ZERO, |set| set.used());
    let disk = match goal {
        Goal::Disk(bytes) => Some(used.minus(Bytes::new(bytes))),
        Goal::Quota(_) | Goal::Routine { .. } => None,
    };
    let inodes = match goal {
        Goal::Disk(_) => set
            .filter(|set| set.space.free_files == Some(0))
            .map(|set| set.files().saturating_sub(1)),
        Goal::Quota(_) | Goal::Routine { .. } => None,
    };
    // The active segment itself is never pressed out.
    let quota = [quota, disk].into_iter().flatten().min();
    let quota = quota.map(|quota| quota.max(Bytes::new(active)).max(Bytes::new(1)));
    let reserve = match (goal, policy.limits.reserve) {
        (Goal::Routine { .. }, Some(Reserve::Bytes(bytes))) => {
            Some(Reserve::Bytes(bytes.plus(Bytes::new(next))))
        }
        (_, other) => other,
    };
    let max_files = [policy.limits.max_files, kept, inodes].into_iter().flatten().min();
    policy.limits = Limits { quota, max_files, reserve };
    // A compression may use the working room, and must leave the next segment's.
    (policy, next)
}

fn config(env: &Env, policy: Policy) -> Config {
    let pattern = glob_escaped(env.path.as_os_str());
    let spec = SetSpec {
        name: env.path.display().to_string(),
        pattern_text: pattern.clone(),
        selectors: vec![Selector::Pattern(pattern)],
        policy,
        ignore_duplicates: false,
    };
    Config::single(spec)
}

/// The path as a pattern that matches itself only.
fn glob_escaped(path: &OsStr) -> std::ffi::OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut out = Vec::with_capacity(path.len());
    for byte in path.as_bytes() {
        match byte {
            b'*' | b'?' | b'[' | b']' => out.extend_from_slice(&[b'[', *byte, b']']),
            _ => out.push(*byte),
        }
    }
    std::ffi::OsString::from_vec(out)
}

/// Tells of what was done, and says whether an archive was deleted.
fn tell(env: &Env, plan: &Plan, report: &crate::apply::Report) -> bool {
    let path = |place: &crate::inventory::Place| -> PathBuf { env.folder.join(&place.name) };
    let mut evicted = false;
    for (step, outcome) in std::iter::zip(&plan.steps, &report.outcomes) {
        match (&step.action, outcome) {
            (Action::Delete { at, same_as: None, .. }, Outcome::Done) => {
                evicted = true;
                let mut books = lock(&env.books);
                books.evicted_files = books.evicted_files.saturating_add(1);
                drop(books);
                env.tell(Event::Evicted { archive: path(at), bytes: step.bytes });
            }
            (Action::Compress { to, .. } | Action::Squeeze { to, .. }, Outcome::Done) => {
                let bytes = env.fs.stat(to.dir, &to.name).ok().flatten();
                let bytes = bytes.map_or(Bytes::ZERO, |meta| meta.stamp.allocated);
                env.tell(Event::Compressed { archive: path(to), bytes });
            }
            // Evicted meanwhile: there is nothing left to do.
            (Action::Compress { from, .. } | Action::Squeeze { from, .. }, Outcome::Failed(_))
                if matches!(env.fs.stat(from.dir, &from.name), Ok(None)) => {}
            (_, Outcome::Failed(error)) => {
                // A caller may evict what is being compressed.
                let is_gone = matches!(error, Error::Io { source, .. }
                    if source.kind() == std::io::ErrorKind::NotFound);
                let is_closing = env.is_closing.load(Ordering::Acquire);
                if !(error.is_no_space() || is_gone || is_closing) {
                    env.tell(Event::UpkeepFailed { why: error.chain() });
                }
            }
            _ => {}
        }
    }
    for error in &report.errors {
        env.tell(Event::UpkeepFailed { why: error.chain() });
    }
    evicted
}

/// Closes segments that are archives now, and gives back what was reserved behind their ends.
/// In haste they are only closed: a file that is held open gives nothing back when it is
/// deleted.
pub(super) fn settle_retired(env: &Env, in_haste: bool) {
    let retired = std::mem::take(&mut *lock(&env.retired));
    for Retired { file, archive, is_trimmed } in retired {
        if !in_haste && !is_trimmed && matches!(file.hold(Hold::Alone), Ok(true)) {
            // What cannot be given back now goes with the archive.
            let _ = file.trim();
        }
        let meta = file.meta();
        drop(file);
        if let Ok(meta) = meta {
            let mut books = lock(&env.books);
            let bytes = meta.stamp.allocated.get().max(books.claim(meta.stamp.len));
            if meta.stamp.nlink == 0 {
                books.removed(&archive);
            } else if !in_haste {
                books.seen_if_known(&archive, bytes);
            }
        }
    }
}
