//! The compressions of a set: which archives, in which order, and whether there is room.

use super::in_place::LEAST;
use super::room::frees_inode;
use super::rotation::Done;
use super::{At, Builder};
use crate::codec;
use crate::inventory::Place;
use crate::naming::{head_name, temporary_name};
use crate::plan::draft::SetDraft;
use crate::plan::rotate::NAME_MAX;
use crate::plan::{Action, Expect, Reason};
use crate::stamp::Meta;
use crate::units::Bytes;

/// A file with more holes than this stays as it is: reading and packing terabytes of zeros
/// takes hours and frees nothing.
pub(in crate::plan) const HOLES_MAX: Bytes = Bytes::gib(1);

/// How often what did not fit is looked at again, now that others have made room. Twice is
/// enough but where sizes differ wildly; what is left then waits for the next run.
const PASSES_MAX: usize = 4;

pub(super) struct Job {
    pub(super) log: usize,
    pub(super) from: Place,
    pub(super) to: Place,
    room: Bytes,
    pub(super) meta: Meta,
    pub(super) expect: Expect,
    pub(super) needs: Vec<usize>,
    /// The name for its compressed beginning is free.
    pub(super) has_head_name: bool,
}

impl Builder<'_> {
    /// Compressions, the smallest first.
    ///
    /// Source and result exist together for a while. A compression is planned only if that
    /// may fit within the larger of the quota and what is used at the start, given the best
    /// that earlier ones can gain; when its turn comes and it does not, the file stays plain.
    /// What does not is compressed in place.
    pub(super) fn compress_set(
        &mut self,
        set: usize,
        draft: &SetDraft<'_>,
        done: &[(usize, Done)],
    ) {
        let Some(compress) = &draft.spec.policy.compress else { return };
        let block = draft.set.space.block;
        let mut jobs = Vec::new();
        for (log, done) in done {
            let (log, Some(log_draft)) = (*log, draft.logs.get(*log)) else { continue };
            if log_draft.is_blocked() {
                continue;
            }
            let dir = log_draft.log.archive_dir;
            let mut newest_is_spared = compress.delay;
            let new = done.new.iter().map(|new| {
                let expect = Expect::SameFile(new.meta.stamp.id);
                (&new.label, new.place.name.clone(), new.meta, expect, done.archive.clone())
            });
            let old = done.moved.iter().filter_map(|moved| {
                let archive = log_draft.log.archives.get(moved.index)?;
                if archive.head().is_some() {
                    // It is gone on with, and waits for no other.
                    return None;
                }
                let waits = moved.by.into_iter().chain(
                    // An interrupted copytruncate: not before the log is cut.
                    log_draft.rotation.as_ref().and(done.made.filter(|_| done.new.is_none())),
                );
                let expect = Expect::Unchanged(archive.stamp());
                let is_plain = archive.is_plain() && archive.stamp().nlink <= 1;
                (is_plain || compress.delay).then(|| {
                    (&moved.label, moved.name.clone(), archive.meta(), expect, waits.collect())
                })
            });
            for (label, name, meta, expect, needs) in new.chain(old) {
                if std::mem::take(&mut newest_is_spared) {
                    continue;
                }
                let plain = log_draft.policy.naming.format(&log_draft.log.name, label, "");
                let target =
                    log_draft.policy.naming.format(&log_draft.log.name, label, &compress.suffix);
                let is_possible = plain_or_other_style(&name, &plain, log_draft, &target)
                    && meta.stamp.nlink <= 1
                    // Of what occupies nothing there is nothing to gain.
                    && meta.stamp.allocated > Bytes::ZERO
                    && meta.stamp.holes() <= HOLES_MAX;
                let is_taken =
                    done.names.contains(&target) || done.names.contains(&temporary_name(&target));
                if !is_possible || is_taken || target.len() > NAME_MAX {
                    continue;
                }
                jobs.push(Job {
                    log,
                    from: Place { dir, name },
                    has_head_name: !done.names.contains(&head_name(&target)),
                    to: Place { dir, name: target },
                    room: codec::bound(Bytes::new(meta.stamp.len)).in_blocks(block),
                    meta,
                    expect,
                    needs,
                });
            }
        }
        jobs.sort_by(|a, b| (a.room, a.log, &a.from).cmp(&(b.room, b.log, &b.from)));
        self.push_jobs(set, draft, jobs);
    }

    /// Whether there is an inode for what is made beside its source.
    fn has_inode(&self, draft: &SetDraft<'_>) -> bool {
        let Some(free) = draft.set.space.free_files else { return true };
        let free = usize::try_from(free).unwrap_or(usize::MAX);
        if free > self.steps.len() {
            return true;
        }
        let (mut made, mut gone) = (0usize, 0usize);
        for step in &self.steps {
            let Some(set) = self.inventory.sets.get(step.set) else { continue };
            if set.dev != draft.set.dev {
                continue;
            }
            match step.action {
                Action::Delete { .. } if step.reason == Reason::Compressed => {}
                Action::Create { .. } | Action::Copy { .. } => made = made.saturating_add(1),
                Action::Delete { .. } if frees_inode(step, set) => gone = gone.saturating_add(1),
                _ => {}
            }
        }
        free.saturating_add(gone) > made
    }

    /// A compression needs that much on the way, and takes at most what the limits leave.
    pub(super) fn raise_peak(&mut self, set: usize, room: Bytes) {
        let used = self.used.get(set).copied().unwrap_or_default();
        let bound = self.bound(set);
        if let Some(peak) = self.peak.get_mut(set) {
            *peak = (*peak).max(used.plus(room).min(bound));
        }
    }

    fn push_jobs(&mut self, set: usize, draft: &SetDraft<'_>, jobs: Vec<Job>) {
        let Some(compress) = &draft.spec.policy.compress else { return };
        if !self.has_inode(draft) {
            return;
        }
        let used = self.used.get(set).copied().unwrap_or_default();
        let before = self.before.get(set).copied().unwrap_or_default();
        let quota = draft.spec.policy.limits.quota;
        let global = self.config.global.quota;
        let all_used: Bytes = self.used.iter().copied().sum();
        let all_before: Bytes = self.before.iter().copied().sum();
        let policy = &draft.spec.policy;
        let keep = policy.scripts.pre_remove.is_some() || policy.shred.is_some();
        let there = self.free_with_ballast(draft.set);
        let mut gained = Bytes::ZERO;
        let mut waiting = jobs;
        for _ in 0..PASSES_MAX {
            let (jobs, known) = (std::mem::take(&mut waiting), gained);
            for job in jobs {
                let Some(log_draft) = draft.logs.get(job.log) else { continue };
                let log = log_draft.log;
                let stamp = job.meta.stamp;
                let source = stamp.allocated;
                let fits = |quota: Option<Bytes>, before: Bytes, used: Bytes| {
                    admits(quota, before, used.minus(gained), source, job.room)
                };
                let free = there.plus(before).minus(used).plus(gained);
                if !fits(quota, before, used)
                    || !fits(global, all_before, all_used)
                    || job.room > free
                {
                    waiting.push(job);
                    continue;
                }
                gained = gained.plus(source);
                self.raise_peak(set, job.room);
                let action = Action::Compress {
                    temp: temporary_name(&job.to.name).into(),
                    from: job.from.clone(),
                    to: Box::new(job.to),
                    log: Box::new(Place { dir: log.dir, name: log.name.clone() }),
                    program: compress.program.clone(),
                    codec: compress.codec,
                    level: compress.level,
                    room: job.room,
                    keep,
                };
                let reason = Reason::Compression { len: Bytes::new(stamp.len) };
                let at = At::log(set, job.log).after(job.needs);
                let packed = self.push(at, action, job.expect, source, reason);
                if keep {
                    let at = At::log(set, job.log).after([packed]);
                    let freed = stamp.freed_by_unlink();
                    self.delete(at, log_draft, job.from, job.expect, freed, Reason::Compressed);
                }
            }
            if waiting.is_empty() || gained == known {
                break;
            }
        }
        if compress.program.is_some() || keep {
            return;
        }
        for job in waiting {
            let source = job.meta.stamp.allocated;
            let least = LEAST.in_blocks(draft.set.space.block);
            let free = there.plus(before).minus(used).plus(gained);
            let fits = |quota: Option<Bytes>, before: Bytes, used: Bytes| {
                admits(quota, before, used.minus(gained), source, least)
            };
            if fits(quota, before, used) && fits(global, all_before, all_used) && least <= free {
                self.begin_in_place(set, draft, job);
            }
        }
    }
}

/// Whether a result of at most `room` bytes may exist beside its source of `source` bytes, and
/// then in its place, without breaking the quota.
pub(crate) fn admits(
    quota: Option<Bytes>,
    used_at_start: Bytes,
    used: Bytes,
    source: Bytes,
    room: Bytes,
) -> bool {
    let Some(quota) = quota else { return true };
    let on_the_way = used.plus(room) <= quota.max(used_at_start);
    let in_the_end = used > quota || used.plus(room).minus(source) <= quota;
    on_the_way && in_the_end
}

/// Whether `name` is a plain archive: its own name, or the plain name of another style.
fn plain_or_other_style(
    name: &std::ffi::OsStr,
    plain: &std::ffi::OsStr,
    draft: &crate::plan::draft::LogDraft<'_>,
    target: &std::ffi::OsStr,
) -> bool {
    let parsed = draft.policy.naming.parse(&draft.log.name, name);
    name == plain && name != target && parsed.is_some_and(|parsed| parsed.is_plain())
}
