//! Compressions in place: of archives for which there is no room beside their source, and of
//! those that an interrupted run has begun.
//!
//! What has just been renamed is compressed so, too, when the scripts that have its writer open the
//! log again have been run. If that has it open nevertheless, it is left alone.

use std::ffi::OsString;

use super::squeeze::Job;
use super::{At, Builder};
use crate::codec;
use crate::error::printable;
use crate::inventory::{Archive, Head, Inventory, Place};
use crate::naming::head_name;
use crate::plan::draft::{LogDraft, SetDraft};
use crate::plan::{Action, Expect, Problem, Reason};
use crate::policy::{Codec, Method, Policy, Rules};
use crate::stamp::Stamp;
use crate::units::Bytes;

/// The least that is compressed at a time, as long as there is more.
pub(crate) const PIECE_MIN: Bytes = Bytes::kib(64);

/// More is never compressed at a time: it is held in memory.
pub(crate) const PIECE_MAX: Bytes = Bytes::mib(1);

/// What must be free to begin: what the smallest piece of a log usually becomes, and more.
pub(super) const LEAST: Bytes = Bytes::kib(16);

/// How much of a file of `len` bytes is compressed at a time, if there is room for it.
pub(crate) fn piece(len: u64) -> Bytes {
    let least = PIECE_MIN.get();
    Bytes::new((len / 16).clamp(least, PIECE_MAX.get()) / least * least)
}

/// Whether pieces end where blocks do, so that they can be given back. They do not where a file
/// system's unit is larger (ZFS with records of 128 KiB, NFS, CephFS).
pub(crate) fn is_fit(block: Bytes) -> bool {
    PIECE_MIN.get().is_multiple_of(block.get().max(1))
}

impl Builder<'_> {
    /// A compression for which there is no room beside its source.
    pub(super) fn begin_in_place(&mut self, set: usize, draft: &SetDraft<'_>, job: Job) {
        let stamp = job.meta.stamp;
        let can = (matches!(job.expect, Expect::Unchanged(_))
            || draft.spec.policy.method == Method::Rename)
            // There, what is left of the source at the end would be taken for an archive.
            && draft.spec.policy.rules == Rules::Own
            && job.has_head_name
            && is_fit(draft.set.space.block)
            && stamp.len > PIECE_MIN.get()
            // What was punched out must be told from what was never there.
            && stamp.holes() == Bytes::ZERO;
        let Some(compress) = draft.spec.policy.compress.as_ref().filter(|_| can) else { return };
        let how = (compress.codec, compress.level);
        let at = At::log(set, job.log).after(job.needs);
        self.squeeze((at, job.expect), draft, (job.from, job.to), &stamp, None, how);
    }

    /// What an interrupted run has begun. The archives of such a log keep their names for now.
    pub(super) fn go_on_in_place(&mut self, set: usize, draft: &SetDraft<'_>) {
        for (number, log) in draft.logs.iter().enumerate().filter(|(_, log)| !log.is_blocked()) {
            for (_, archive) in log.kept() {
                let Some(head) = archive.head() else { continue };
                let Ok((to, (codec, level))) = go_on(log, archive, head) else { continue };
                let dir = log.log.archive_dir;
                let from = Place { dir, name: archive.name().to_owned() };
                let to = Place { dir, name: to };
                let (stamp, begun) = (archive.stamp(), Some(head));
                let on = (At::log(set, number), Expect::Unchanged(stamp));
                self.squeeze(on, draft, (from, to), &stamp, begun, (codec, level));
            }
        }
    }

    fn squeeze(
        &mut self,
        (at, expect): (At, Expect),
        draft: &SetDraft<'_>,
        (from, to): (Place, Place),
        stamp: &Stamp,
        begun: Option<&Head>,
        (codec, level): (Codec, Option<i32>),
    ) {
        let Some(log) = at.log.and_then(|number| draft.logs.get(number)) else { return };
        let room = codec::bound(piece(stamp.len)).in_blocks(draft.set.space.block);
        let bytes = begun.map_or(Bytes::ZERO, |head| head.meta.stamp.allocated);
        let action = Action::Squeeze {
            head: head_name(&to.name).into(),
            from,
            to: Box::new(to),
            begun: begun.map(|head| Box::new(head.meta.stamp.id)),
            log: Box::new(Place { dir: log.log.dir, name: log.log.name.clone() }),
            codec,
            level,
            room,
        };
        let reason = Reason::Compression { len: Bytes::new(stamp.len) };
        self.raise_peak(at.set, room);
        self.push(at, action, expect, stamp.allocated.plus(bytes), reason);
    }
}

/// Under which name and how the compression of an archive is gone on with, or why it is not.
fn go_on(
    log: &LogDraft<'_>,
    archive: &Archive,
    head: &Head,
) -> Result<(OsString, (Codec, Option<i32>)), String> {
    let how = how(&head.suffix, log.policy)
        .ok_or_else(|| format!("`{}` is no suffix of a known codec", head.suffix))?;
    let to = log.policy.naming.format(&log.log.name, &archive.label(), &head.suffix);
    let names = archive.stamp().nlink;
    if names > 1 {
        return Err(format!("it has {names} names (hard links); remove the others"));
    }
    let is_taken =
        log.log.obstacles.contains(&to) || log.log.archives.iter().any(|other| other.name() == to);
    if is_taken {
        return Err(format!("`{}` is in the way; move it away", printable(&to)));
    }
    Ok((to, how))
}

/// Archives that stay half compressed: until somebody helps, logs with numbered archives do not
/// rotate.
pub(in crate::plan) fn unfinished(inventory: &Inventory, drafts: &[SetDraft<'_>]) -> Vec<Problem> {
    let logs = drafts.iter().flat_map(|draft| &draft.logs).filter(|log| !log.is_blocked());
    let problem = |log: &LogDraft<'_>, archive: &Archive| {
        let why = go_on(log, archive, archive.head()?).err()?;
        let path = inventory.path(log.log.archive_dir, archive.name());
        let why = format!("is compressed in place to one part, and cannot be finished: {why}");
        Some(Problem { path, why, is_error: true })
    };
    logs.flat_map(|log| log.kept().filter_map(move |(_, archive)| problem(log, archive))).collect()
}

/// How an archive of this suffix is made; none if that is not known any more.
fn how(suffix: &str, policy: &Policy) -> Option<(Codec, Option<i32>)> {
    let own = policy.compress.as_ref().filter(|own| own.suffix == suffix && own.program.is_none());
    let known = [Codec::Gzip, Codec::Zstd].into_iter().find(|codec| codec.suffix() == suffix);
    own.map(|own| (own.codec, own.level)).or_else(|| known.map(|codec| (codec, None)))
}
