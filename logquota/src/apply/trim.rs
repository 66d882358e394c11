//! The head of a log is cut off while others write to it.
//!
//! One call does it or does not, and what stays is never touched: nothing is copied, and nothing is
//! needed that a full disk has not. (If the power fails meanwhile, what goes may have gone in part,
//! and on XFS, which moves what stays extent by extent, the gap may be anywhere.) Where the gap
//! cannot be closed, or somebody writes who would not notice, it stays, and reads as zeros.

use std::io::ErrorKind;

use super::Runner;
use super::remove::is_held;
use crate::error::{Error, Op, Result};
use crate::fs::{TrimFile, oldest};
use crate::inventory::Place;
use crate::plan::{Expect, Step, cut_at_most};
use crate::stamp::Meta;
use crate::units::Bytes;

impl Runner<'_> {
    pub(super) fn trim(&mut self, step: &Step, at: &Place, cut: Bytes, keep: Bytes) -> Result<()> {
        let found = self.must_find(step, at)?;
        let fs = self.fs;
        // Its holder keeps a quota by itself, and books of how long it is. Nor is it cut where
        // nobody may look at who that is.
        if is_held(fs, at, || self.path(at))? != Some(false) {
            return Err(Error::StillWritten { path: self.path(at) });
        }
        let path = self.path(at);
        let space = || fs.space(at.dir).map_err(Error::io(Op::Space, &path));
        let block = space()?.block;
        let open = fs.open_to_trim(at.dir, &at.name, &found.stamp.id);
        let changed = || Error::Changed { path: path.clone() };
        let mut log = open.map_err(Error::io(Op::Open, &path))?.ok_or_else(changed)?;
        self.must_be_as_seen(step, at, log.as_ref())?;
        // No cut gives an inode back.
        let wanted = step.only_below.map(|below| below.wanted.bytes().unwrap_or_default());
        let missing = |most: Bytes| match wanted {
            Some(wanted) => Ok(wanted.minus(space()?.free).in_blocks(block).min(most)),
            None => Ok(most),
        };
        let first = missing(cut)?;
        if first == Bytes::ZERO {
            return Ok(());
        }
        // None if it was cut or emptied meanwhile.
        let freed = self.cut_head(step, at, log.as_mut(), (first, keep, block))?;
        let freed = freed.ok_or_else(changed)?;
        // The file system may have taken a block for the gap itself.
        let is_last = self.plan.steps.last().is_some_and(|last| std::ptr::eq(last, step));
        if step.only_below.is_some() && is_last {
            let more = missing(cut_at_most(cut).minus(freed))?;
            self.cut_head(step, at, log.as_mut(), (more, keep, block))?;
        }
        Ok(())
    }

    /// To free space, what goes is what a person has seen, and goes once: a log that was cut since
    /// is another one, however long it has become again. While `log` is open, no other file has
    /// its inode.
    fn must_be_as_seen(&self, step: &Step, at: &Place, log: &dyn TrimFile) -> Result<()> {
        if step.only_below.is_none() {
            return Ok(());
        }
        let path = || self.path(at);
        let Expect::SameOldest(_, seen) = step.expect else {
            // It could not be looked at.
            return Err(Error::StillWritten { path: path() });
        };
        let mut file = self.fs.read(at.dir, &at.name).map_err(Error::io(Op::Open, path()))?;
        let id = |meta: std::io::Result<Meta>| {
            meta.map(|meta| meta.stamp.id).map_err(Error::io(Op::Stat, path()))
        };
        let is_it = id(file.meta())? == id(log.meta())?;
        let found = oldest(&mut *file).map_err(Error::io(Op::Read, path()))?;
        if is_it && found == Some(seen) { Ok(()) } else { Err(Error::Changed { path: path() }) }
    }

    /// Cuts off so much at most; says how much that was, or none if there is no such head.
    fn cut_head(
        &mut self,
        step: &Step,
        at: &Place,
        log: &mut dyn TrimFile,
        (most, keep, block): (Bytes, Bytes, Bytes),
    ) -> Result<Option<Bytes>> {
        let failed = || Error::io(Op::Trim, self.path(at));
        let len = log.meta().map_err(failed())?.stamp.len;
        if len < most.plus(keep).get() {
            // Somebody has made it shorter: what is there now is newer.
            return Ok(None);
        }
        let (end, freed) = head(log, len, (most, keep), block).map_err(failed())?;
        if end == 0 || !cut_off(log, end, len).map_err(failed())? {
            return Ok(None);
        }
        self.ledger.cut_off(step.set, freed);
        log.sync().map_err(Error::io(Op::Sync, self.path(at)))?;
        Ok(Some(freed))
    }
}

/// Where the first `cut` bytes that occupy blocks end, in whole blocks and before the last `keep`
/// bytes of `len`; and how many such bytes there are up to there.
fn head(
    log: &mut dyn TrimFile,
    len: u64,
    (cut, keep): (Bytes, Bytes),
    block: Bytes,
) -> std::io::Result<(u64, Bytes)> {
    let block = block.get().max(1);
    let whole = |at: u64| (at / block).saturating_mul(block);
    let most = whole(len.saturating_sub(keep.get()));
    let (mut end, mut freed) = (0u64, 0u64);
    while freed < cut.get() {
        let Some(data) = log.next_data(end)? else { break };
        let start = whole(data.start);
        let wanted = cut.get().saturating_sub(freed);
        let next = whole(data.end).min(most).min(start.saturating_add(wanted));
        if next <= start {
            break;
        }
        freed = freed.saturating_add(next.saturating_sub(start));
        end = next;
    }
    Ok((end, Bytes::new(freed)))
}

/// Closes the gap if all who write would notice and the file system can, else leaves it. False if
/// somebody has made the log shorter than `len` meanwhile: what is there now is newer.
fn cut_off(log: &dyn TrimFile, end: u64, len: u64) -> std::io::Result<bool> {
    let is_shorter = || std::io::Result::Ok(log.meta()?.stamp.len < len);
    // If that cannot be found out, a gap is what harms nobody.
    if log.has_only_appenders().unwrap_or(false) {
        if is_shorter()? {
            return Ok(false);
        }
        match log.collapse(end) {
            // That takes more than to leave a gap: on a full disk perhaps too much.
            Err(error) if is_not_possible(error.kind()) => {}
            other => return other.map(|()| true),
        }
    }
    if is_shorter()? {
        return Ok(false);
    }
    log.punch(end).map(|()| true)
}

const fn is_not_possible(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
