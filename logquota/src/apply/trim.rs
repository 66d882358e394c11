//! The head of a log is cut off while others write to it.
//!
//! One call does it or does not, so at any instant the log is what it was or what was planned:
//! nothing is copied, and nothing is needed that a full disk has not. Where the gap cannot be
//! closed, or somebody writes who would not notice, it stays, and reads as zeros.

use std::io::ErrorKind;

use super::Runner;
use super::remove::must_not_be_held;
use crate::error::{Error, Op, Result};
use crate::fs::TrimFile;
use crate::inventory::Place;
use crate::plan::Step;
use crate::units::Bytes;

impl Runner<'_> {
    pub(super) fn trim(&mut self, step: &Step, at: &Place, cut: Bytes, keep: Bytes) -> Result<()> {
        let found = self.must_find(step, at)?;
        // Its writer keeps a quota by itself, and books of how long it is.
        must_not_be_held(self.fs, at, || self.path(at))?;
        let space = self.fs.space(at.dir).map_err(Error::io(Op::Space, self.path(at)))?;
        let block = space.block;
        let missing = step.only_below.map(|below| below.wanted.minus(space.free).in_blocks(block));
        let cut = missing.map_or(cut, |missing| missing.min(cut));
        let open = self.fs.open_to_trim(at.dir, &at.name, &found.stamp.id);
        let open = open.map_err(Error::io(Op::Open, self.path(at)))?;
        let Some(mut log) = open else {
            return Err(Error::Changed { path: self.path(at) });
        };
        let failed = |runner: &Self| Error::io(Op::Trim, runner.path(at));
        let (end, freed) = head(log.as_mut(), (cut, keep), block).map_err(failed(self))?;
        if end == 0 {
            // It was cut or emptied meanwhile.
            return Err(Error::Changed { path: self.path(at) });
        }
        cut_off(log.as_ref(), end).map_err(failed(self))?;
        self.ledger.give(step.set, freed);
        log.sync().map_err(Error::io(Op::Sync, self.path(at)))
    }
}

/// Where the first `cut` bytes that occupy blocks end, in whole blocks and before the last `keep`
/// bytes; and how many such bytes there are up to there.
fn head(
    log: &mut dyn TrimFile,
    (cut, keep): (Bytes, Bytes),
    block: Bytes,
) -> std::io::Result<(u64, Bytes)> {
    let block = block.get().max(1);
    let whole = |at: u64| (at / block).saturating_mul(block);
    let most = whole(log.meta()?.stamp.len.saturating_sub(keep.get()));
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

/// Closes the gap if all who write would notice and the file system can, else leaves it.
fn cut_off(log: &dyn TrimFile, end: u64) -> std::io::Result<()> {
    // If that cannot be found out, a gap is what harms nobody.
    if log.has_only_appenders().unwrap_or(false) {
        match log.collapse(end) {
            // That takes more than to leave a gap: on a full disk perhaps too much.
            Err(error) if is_not_possible(error.kind()) => {}
            other => return other,
        }
    }
    log.punch(end)
}

const fn is_not_possible(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
