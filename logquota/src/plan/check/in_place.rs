//! Archives that are half compressed: both halves are one archive, and what is done to one is
//! done to both.

use super::Found;
use super::model::{File, World};
use super::steps::{Change, is_active, is_free, source, target};
use crate::inventory::Place;
use crate::naming::head_name;
use crate::plan::{Action, Begun, Expect, Step};

/// Plays a compression in place.
pub(super) fn play<'a>(
    world: &mut World<'a>,
    index: usize,
    step: &'a Step,
    found: &mut Found,
) -> Option<Change> {
    let Action::Squeeze { from, to, head, begun, room, .. } = &step.action else { return None };
    let file = source(world, index, step, from, found)?;
    let shown = world.show(from);
    // What this plan has renamed may have grown since it was looked at.
    let content = world.content(world.files.get(file)?.content)?;
    let is_known = match step.expect {
        Expect::Unchanged(_) => true,
        Expect::SameFile(_) => content.is_live() && content.holders == 1,
        Expect::Nothing | Expect::Made | Expect::SameOldest(..) => false,
    };
    if is_active(world, step, from) || !is_known {
        found.add(2, format_args!("step {index} compresses `{shown}` in place, which is in use"));
    }
    target(world, index, step, to, found);
    let scanned = world.files.get(file)?.head();
    let is_right = match scanned {
        Some(scanned) => {
            (&*scanned.name, Some(scanned.meta.stamp.id)) == (&**head, begun.as_deref().copied())
        }
        None => {
            is_free(world, index, to.dir, head, found);
            begun.is_none()
        }
    };
    if **head != *head_name(&to.name) || !is_right {
        found.add(6, format_args!("step {index} has another beginning for `{shown}`"));
    }
    if world.files.get(file)?.linked {
        found.add(1, format_args!("step {index}: `{shown}` has other names"));
    }
    if let Some(scanned) = scanned {
        world.forget((to.dir, &scanned.name));
    }
    world.unname(from);
    world.name(to, file);
    let file = world.files.get_mut(file)?;
    file.seen = None;
    let meanwhile = u128::from(room.get());
    Some(Change { meanwhile, dev: file.dev, ..Change::default() })
}

/// Half of it may not be deleted by itself.
pub(super) fn goes_whole(
    world: &mut World<'_>,
    (index, at): (usize, &Place),
    file: usize,
    head: Option<&Begun>,
    found: &mut Found,
) {
    let scanned = world.files.get(file).and_then(File::head);
    let expected = scanned.map(|head| (&head.name, head.meta.stamp));
    if expected != head.map(|head| (&head.name, head.stamp)) {
        let shown = world.show(at);
        found.add(1, format_args!("step {index} parts `{shown}` from its beginning"));
    }
    if let Some(scanned) = scanned {
        world.forget((at.dir, &scanned.name));
    }
}
