//! Promise 9: a plan to free space deletes and compresses, cuts logs only where that was asked
//! for, all on the one file system, and does nothing else; and it evicts and cuts only as long as
//! there is too little.

use super::Found;
use super::model::World;
use crate::plan::{Action, Goal, Hook, Plan, Reason, Step};

pub(super) fn check(world: &World<'_>, plan: &Plan, found: &mut Found) {
    let Some(goal) = world.goal else {
        let optional = plan.steps.iter().enumerate().filter(|(_, s)| s.only_below.is_some());
        let is_release = |step: &Step| matches!(step.action, Action::ReleaseBallast { .. });
        for (index, _) in optional.filter(|(_, step)| !is_release(step)) {
            found.add(9, format_args!("step {index} may be left out of an ordinary run"));
        }
        return;
    };
    if !plan.due.is_empty() {
        found.add(9, format_args!("a log is said to be due"));
    }
    let (mut evictions, mut cuts) = (0usize, false);
    for (index, step) in plan.steps.iter().enumerate() {
        let is_eviction = matches!(step.reason, Reason::Reserve { .. } | Reason::Inodes { .. });
        if !is_allowed(world, step, goal) {
            found.add(9, format_args!("step {index} does something else: {:?}", step.action));
        }
        if matches!(step.action, Action::ReleaseBallast { .. }) {
            continue;
        }
        let is_script = matches!(step.action, Action::RunHook { .. });
        // The first that goes may make the room for it.
        let is_squeeze = matches!(step.action, Action::Squeeze { .. });
        let packs = is_squeeze
            || matches!(step.action, Action::Compress { .. })
            || step.reason == Reason::Compressed;
        let given = step.only_below.map(|below| below.wanted);
        if is_eviction && given != Some(goal.wanted) {
            found.add(9, format_args!("step {index} evicts also when there is room enough"));
        }
        let may_be_left_out = given.is_some() && !is_squeeze;
        let is_late = evictions > usize::from(packs);
        if !is_eviction && !is_script && (may_be_left_out || is_late) {
            found.add(9, format_args!("step {index} comes too late or may be left out"));
        }
        let is_cut = matches!(step.action, Action::Trim { .. });
        if cuts && !is_cut {
            found.add(9, format_args!("step {index} comes behind what is cut off a log"));
        }
        evictions += usize::from(is_eviction);
        cuts |= is_cut;
    }
}

fn is_allowed(world: &World<'_>, step: &Step, goal: Goal) -> bool {
    let is_there = step.action.place().is_none_or(|place| {
        world.inventory.dirs.get(&place.dir).is_some_and(|dir| dir.id.dev == goal.dev)
    });
    let is_short = world
        .sets
        .get(step.set)
        .filter(|view| !view.is_left_alone)
        .is_some_and(|view| view.set.dev == goal.dev && !goal.wanted.is_met(&view.set.space));
    let is_small = match &step.action {
        Action::Delete { .. } => matches!(
            step.reason,
            Reason::Leftover
                | Reason::Duplicate
                | Reason::MaxAge { .. }
                | Reason::Reserve { .. }
                | Reason::Inodes { .. }
                // The source of a compression, which its policy does not let go by itself.
                | Reason::Compressed
        ),
        Action::Compress { .. } | Action::Squeeze { .. } | Action::ReleaseBallast { .. } => {
            goal.wanted.inodes().is_none()
        }
        Action::Trim { .. } => goal.cuts_logs && matches!(step.reason, Reason::Reserve { .. }),
        Action::RunHook { hook, .. } => *hook == Hook::PreRemove,
        _ => false,
    };
    is_there && is_short && is_small
}
