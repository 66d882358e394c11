//! Decides which archives go by age, by count, or because they exist twice.
//!
//! Pure: the same archives, policy and `now` give the same verdicts. The quota is not looked
//! at here; [`quota`](super::quota) runs after and may remove more.
//!
//! Count is judged when the log rotates, and only over archives in the policy's own style:
//! a configuration without `rotate` must not wipe out what is there before the first rotation
//! has even happened. Age is judged at every run, so that the archives of a log that
//! vanished do not stay for ever.

use super::draft::{LogDraft, Source};
use super::{Context, Reason, Why};
use crate::inventory::Archive;
use crate::policy::{Count, Method};
use crate::stamp::Kind;
use crate::units::{Age, Generation};

/// Puts verdicts of age, count and duplication on the archives of one log.
pub(super) fn retain(draft: &mut LogDraft<'_>, context: &Context) {
    if draft.is_blocked() {
        return;
    }
    duplicates(draft);
    by_age(draft, context);
    by_count(draft);
}

/// A plain archive beside a compressed one of the same label and the same time of change is
/// what an interrupted compression leaves: the compressed one is complete (it got its name
/// after it was on the disk). Apply compares the contents before it deletes.
fn duplicates(draft: &mut LogDraft<'_>) {
    let found: Vec<usize> = draft
        .archives()
        .filter(|(_, archive, _)| archive.is_plain() && archive.stamp().nlink <= 1)
        .filter(|(_, archive, _)| archive.head().is_none())
        .filter(|(_, archive, _)| archive.kind() == Kind::File)
        .filter(|(index, ..)| twin(draft, *index).is_some())
        .map(|(index, ..)| index)
        .collect();
    for index in found.into_iter().rev() {
        draft.remove(index, Reason::Duplicate);
    }
}

/// The compressed archive that is the same as the plain one at `index`.
pub(super) fn twin<'a>(draft: &LogDraft<'a>, index: usize) -> Option<&'a Archive> {
    // What has the same label comes right behind the plain one.
    let (plain, behind) = draft.log.archives.get(index..)?.split_first()?;
    behind.iter().take_while(|other| other.label() == plain.label()).find(|other| {
        !other.is_plain()
            && other.kind() == Kind::File
            && (is_ours(other.suffix(), draft) || plain.is_hollow())
            && other.stamp().mtime == plain.stamp().mtime
    })
}

/// Whether the suffix is one that this policy's codec writes: only that can be compared, and
/// what a program has made cannot.
fn is_ours(suffix: &str, draft: &LogDraft<'_>) -> bool {
    let compress = draft.policy.compress.as_ref();
    compress.is_some_and(|compress| compress.suffix == suffix && compress.program.is_none())
}

fn by_age(draft: &mut LogDraft<'_>, context: &Context) {
    let Some(days) = draft.policy.max_age_days.filter(|days| *days > 0) else { return };
    let now = context.now.timestamp();
    let expired: Vec<(usize, Age)> = draft
        .kept()
        .filter(|(_, archive)| draft.may_delete(archive))
        .filter(|(_, archive)| is_mailable(draft, archive))
        .map(|(index, archive)| (index, Age::between(now, archive.stamp().mtime.secs)))
        .filter(|(_, age)| age.whole_days() > u64::from(days))
        .collect();
    for (index, age) in expired.into_iter().rev() {
        let limit = Age::days(days.into());
        draft.remove(index, Reason::MaxAge { age, limit });
    }
    // A log that nobody wrote to for so long becomes an archive that the next run would remove.
    let Some(age) = draft.source().map(|(meta, _)| Age::between(now, meta.stamp.mtime.secs)) else {
        return;
    };
    if age.whole_days() <= u64::from(days) {
        return;
    }
    if draft.policy.method == Method::Copy {
        draft.rotation = None;
    } else if !goes_unmailed(draft)
        && let Some(rotation) = &mut draft.rotation
        && rotation.source != Source::Copied
    {
        rotation.gone = Some(Reason::MaxAge { age, limit: Age::days(days.into()) });
    }
}

/// What is mailed before it goes must be whole.
fn is_mailable(draft: &LogDraft<'_>, archive: &Archive) -> bool {
    archive.head().is_none() || draft.policy.mail.is_none()
}

/// Whether the new archive could go only without the mail that was asked for: where every byte
/// counts there may be no room for a copy that is made only to be mailed. It stays then.
fn goes_unmailed(draft: &LogDraft<'_>) -> bool {
    draft.has_limits && draft.policy.mail.is_some() && draft.policy.method != Method::Rename
}

fn by_count(draft: &mut LogDraft<'_>) {
    let (Some(_), Count::AtMost(limit)) = (&draft.rotation, draft.policy.count) else { return };
    if limit == 0 {
        // The new archive goes after everybody has seen it; older ones are not touched, as in
        // logrotate. A plain copy would never be seen by anybody.
        if draft.policy.method != Method::Copy
            && !goes_unmailed(draft)
            && let Some(rotation) = &mut draft.rotation
        {
            rotation.gone = Some(Reason::Count { generation: Generation::NEWEST, limit });
        }
        return;
    }
    // The new archive is one of them; an interrupted copy is there already.
    let new = usize::from(!draft.rotation.as_ref().is_some_and(|r| r.source == Source::Copied));
    let keep = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(new);
    let surplus: Vec<(usize, Generation)> = draft
        .kept()
        .filter(|(_, archive)| archive.is_own_style())
        .enumerate()
        .skip(keep)
        .filter(|(_, (_, archive))| draft.may_delete(archive) && is_mailable(draft, archive))
        .map(|(place, (index, _))| (index, Generation::from_index(place.saturating_add(new))))
        .collect();
    for (index, generation) in surplus.into_iter().rev() {
        draft.remove(index, Reason::Count { generation, limit });
    }
}

/// Says of the archives of logs that were left alone in a broken limit why they stay.
pub(super) fn mark_fair_share(draft: &mut LogDraft<'_>) {
    draft.verdicts.replace(Why::WithinLimits, Why::FairShare);
}
