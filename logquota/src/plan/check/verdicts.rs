//! Promise 1: every archive has exactly one verdict, with a reason whose numbers are true,
//! and the steps do what the verdict says.

use super::Found;
use super::model::{LogView, SetView, World};
use crate::inventory::Archive;
use crate::naming::{Label, Style};
use crate::plan::{LogVerdicts, Plan, Reason, Verdict, Why};
use crate::policy::{Count, Limits, Rules};
use crate::stamp::Kind;
use crate::units::Age;

pub(super) fn check(world: &World<'_>, plan: &Plan, found: &mut Found) {
    let mut given = plan.verdicts.iter().peekable();
    for (set_number, set) in world.sets.iter().enumerate() {
        for (log_number, log) in set.logs.iter().enumerate() {
            let here = given.next_if(|given| (given.set, given.log) == (set_number, log_number));
            let mut verdicts = here.into_iter().flat_map(|given| given.verdicts.iter());
            for (archive, content) in world.archives(log) {
                let lost = content.and_then(|content| content.lost);
                if let Err(what) = judge(world, plan, set, log, archive, verdicts.next(), lost) {
                    let name = crate::error::printable(archive.name());
                    found.add(1, format_args!("archive `{name}`: {what}"));
                }
            }
            if verdicts.next().is_some() {
                let name = crate::error::printable(&log.log.name);
                found.add(1, format_args!("`{name}` has more verdicts than archives"));
            }
        }
    }
    if let Some(LogVerdicts { set, log, .. }) = given.next() {
        found.add(
            1,
            format_args!("log {log} of set {set} has two verdicts, or one and was not scanned"),
        );
    }
}

fn judge(
    world: &World<'_>,
    plan: &Plan,
    set: &SetView<'_>,
    log: &LogView<'_>,
    archive: &Archive,
    verdict: Option<Verdict<'_>>,
    lost: Option<(usize, &Reason)>,
) -> Result<(), String> {
    match (verdict, lost) {
        (None, _) => Err("no verdict".to_owned()),
        (Some(Verdict::Keep(_)), Some((step, _))) => {
            Err(format!("is kept, and step {step} deletes it"))
        }
        (Some(Verdict::Remove(_)), None) => Err("is removed, and no step deletes it".to_owned()),
        (Some(Verdict::Keep(Why::HardLinked)), None) if archive.stamp().nlink <= 1 => {
            Err("is kept for its other names, and has none".to_owned())
        }
        (Some(Verdict::Keep(Why::NoFile)), None) if archive.kind() == Kind::File => {
            Err("is kept for being no regular file, and is one".to_owned())
        }
        (Some(Verdict::Keep(Why::Blocked)), None) if log.log.blocked.is_none() => {
            Err("is kept because its log is left alone, which is not".to_owned())
        }
        (Some(Verdict::Keep(_)), None) => Ok(()),
        (Some(Verdict::Remove(reason)), Some((step, given))) => {
            if reason != given {
                return Err(format!("the verdict is {reason:?}, step {step} says {given:?}"));
            }
            is_true(world, plan, set, log, archive, reason)
        }
    }
}

/// Whether the numbers of a reason are those of inventory and configuration.
fn is_true(
    world: &World<'_>,
    plan: &Plan,
    set: &SetView<'_>,
    log: &LogView<'_>,
    archive: &Archive,
    reason: &Reason,
) -> Result<(), String> {
    let stated = |limit: fn(&Limits) -> Option<u64>, number: u64| {
        [&set.policy.limits, &world.config.global].into_iter().any(|l| limit(l) == Some(number))
    };
    let is_true = match *reason {
        // Its step compares the contents.
        Reason::Duplicate => true,
        Reason::Count { generation, limit } if set.policy.rules == Rules::Logrotate => {
            archive.is_own_style()
                && set.policy.count == Count::AtMost(limit)
                && generation.get() > limit
        }
        Reason::Overwritten => {
            let number = match (archive.label(), &set.policy.naming.style) {
                (Label::Number(number), Style::Numbered { start }) => number.checked_sub(*start),
                _ => None,
            };
            let limit = match set.policy.count {
                Count::AtMost(limit) => Some(limit.max(1)),
                Count::Unlimited => None,
            };
            set.policy.rules == Rules::Logrotate && limit.is_some() && number == limit
        }
        Reason::Count { generation, limit } => {
            log.rotated
                && archive.is_own_style()
                && set.policy.count == Count::AtMost(limit)
                && (1..=generation.get()).contains(&limit)
        }
        Reason::MaxAge { age, limit } => {
            let now = plan.created.timestamp();
            age == Age::between(now, archive.stamp().mtime.secs)
                && set.policy.max_age_days.is_some_and(|days| {
                    limit == Age::days(days.into()) && age.whole_days() > days.into()
                })
        }
        Reason::Quota { used, limit, .. } => {
            used > limit && stated(|l| l.quota.map(|quota| quota.get()), limit.get())
        }
        Reason::MaxFiles { files, limit } => files > limit && stated(|l| l.max_files, limit),
        Reason::Reserve { free, wanted } if world.goal.is_some() => {
            free < wanted && world.reserve(set) == Some(wanted)
        }
        Reason::Reserve { free, wanted } => {
            let total = set.set.space.total;
            free < wanted
                && [set.policy.limits.reserve, world.config.global.reserve]
                    .into_iter()
                    .flatten()
                    .any(|reserve| reserve.of(total) == wanted)
        }
        Reason::Inodes { free, wanted } => {
            let goal = world.goal.filter(|goal| goal.dev == set.set.dev);
            free < wanted && goal.is_some_and(|goal| goal.wanted.inodes() == Some(wanted))
        }
        Reason::NoInode => set.set.space.free_files.is_some(),
        _ => false,
    };
    if is_true { Ok(()) } else { Err(format!("is removed for no true reason: {reason:?}")) }
}
