//! The promises that take two plans: order of the input, what a plan leaves, larger quotas.

use logquota::inventory::{Inventory, LeftoverKind, Place};
use logquota::plan::{Action, Expect, Plan, Reason, Step, plan};
use logquota::policy::{Limits, Method, RotateWhen};
use logquota::units::Bytes;
use logquota_tests::generate::{Case, Odd, cases};
use logquota_tests::show::show;
use logquota_tests::{model, proptest_config};
use proptest::prelude::*;

/// More rounds of plan and apply than any state may need until nothing is left to do.
const ROUNDS_MAX: usize = 8;

fn plan_of(case: &Case) -> Plan {
    plan(&case.inventory, &case.config, &case.context)
}

/// Logs, archives, leftovers and obstacles in another order.
fn shuffled(inventory: &Inventory, by: u64) -> Inventory {
    fn turn<T>(list: &mut [T], by: &mut u64) {
        for at in (1..list.len()).rev() {
            *by =
                by.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            list.swap(at, (*by >> 33) as usize % (at + 1));
        }
    }
    let (mut inventory, mut by) = (inventory.clone(), by);
    for set in &mut inventory.sets {
        turn(&mut set.logs, &mut by);
        for log in &mut set.logs {
            turn(&mut log.archives, &mut by);
            turn(&mut log.leftovers, &mut by);
            turn(&mut log.obstacles, &mut by);
        }
    }
    inventory
}

/// Without what makes a log due again at once: `copy` leaves it as large as it was, and
/// `--force` asks for it.
fn settles(case: &mut Case) {
    for spec in &mut case.config.sets {
        let by_size = matches!(spec.policy.when, RotateWhen::Size(_));
        if spec.policy.method == Method::Copy && (by_size || spec.policy.max_size.is_some()) {
            spec.policy.method = Method::CopyTruncate;
        }
    }
    // What an interrupted run left is finished first; what is due then is for the next run.
    for set in &mut case.inventory.sets {
        set.logs.retain(|log| log.active.is_some() || log.blocked.is_some());
        for log in &mut set.logs {
            log.leftovers.retain(|leftover| leftover.kind == LeftoverKind::Temporary);
        }
    }
}

/// Whether a step deletes for want of space.
fn is_eviction(step: &Step) -> bool {
    matches!(step.reason, Reason::Quota { .. } | Reason::QuotaPressure { .. })
        && matches!(step.action, Action::Delete { .. } | Action::Truncate { .. })
}

/// Bytes that go for want of space, archives that are only about to be made included.
fn evicted(plan: &Plan) -> u64 {
    plan.steps.iter().filter(|step| is_eviction(step)).map(|step| step.bytes.get()).sum()
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn promise_7_the_order_of_the_input_does_not_matter(
        case in cases(Odd::ALL),
        by in any::<u64>(),
    ) {
        let other = Case { inventory: shuffled(&case.inventory, by), ..case.clone() };
        prop_assert_eq!(plan_of(&case), plan_of(&other));
    }

    /// Not where a log that is due is put off, or would have to go as soon as it is rotated: the room or the name that it lacked may be there
    /// the next time. What a set could not compress for want of room, it may when later sets
    /// have given theirs back.
    #[test]
    fn promise_7_what_a_plan_leaves_needs_no_other_plan(
        case in cases(Odd { links: false, ..Odd::ALL }),
        percent in prop::sample::select(vec![10u64, 1, 50]),
    ) {
        let mut case = case;
        settles(&mut case);
        let first = plan_of(&case);
        // What was rotated, and has no room within the limits, is for the next run.
        let is_rotated = first.steps.iter().any(|step| matches!(step.action.name(), "rename" | "copy"));
        let lacks = first.sets.iter().any(|sums| {
            sums.shortfall > Bytes::ZERO || sums.files_shortfall > 0
        });
        let is_due = first.problems.iter().any(|problem| problem.why.starts_with("is due"));
        let is_put_off = is_due || is_rotated && lacks;
        let mut next = case.clone();
        next.inventory = model::apply(&case, &first, percent);
        next.context.force = false;
        let second = plan_of(&next);
        // What was planned, and found no room when its turn came.
        let waits = |from: &Place| first.steps.iter().any(|step| {
            matches!(&step.action, Action::Compress { from: earlier, .. } if earlier == from)
        });
        // What is compressed in place makes room that was not there.
        let makes_room = first.steps.iter().any(|s| matches!(s.action, Action::Squeeze { .. }));
        let is_room = |step: &Step| match &step.action {
            Action::Compress { from, .. } | Action::Squeeze { from, .. } => {
                next.config.sets.len() > 1 || makes_room || waits(from)
            }
            // What becomes of its source then.
            Action::RunHook { .. } | Action::Delete { .. } => step.needs.iter().any(|need| {
                matches!(second.steps[*need].action, Action::Compress { .. })
            }),
            _ => false,
        };
        prop_assert!(
            is_put_off || second.steps.iter().all(is_room),
            "first:\n{}then:\n{:?}\n{}", show(&first), next, show(&second)
        );
    }

    /// Whatever was found, and however badly it packs.
    #[test]
    fn promise_7_planning_and_doing_comes_to_an_end(
        case in cases(Odd::ALL),
        percent in prop::sample::select(vec![10u64, 1, 50, 99, 100, 103]),
    ) {
        let mut case = case;
        for spec in &mut case.config.sets {
            if spec.policy.method == Method::Copy {
                spec.policy.method = Method::CopyTruncate;
            }
        }
        let mut plans = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let plan = plan_of(&case);
            if plan.steps.is_empty() {
                return Ok(());
            }
            case.inventory = model::apply(&case, &plan, percent);
            case.context.force = false;
            plans.push(show(&plan));
        }
        prop_assert!(false, "{case:?}\n{}", plans.join("then\n"));
    }

    /// As long as archives are enough. Where the logs themselves have to give, or would have to,
    /// fairness decides which: with a larger quota a small log may be within its share that was not before, and
    /// then a large one has to give.
    #[test]
    fn promise_8_a_larger_quota_never_deletes_more(
        case in cases(Odd::NONE),
        quota in 1u64..2_000_000,
        more in prop_oneof![Just(1u64), Just(4096), 1u64..1_000_000],
    ) {
        let with = |quota: u64| {
            let mut case = case.clone();
            for spec in &mut case.config.sets {
                let quota = Some(Bytes::new(quota));
                spec.policy.limits = Limits { quota, ..Limits::default() };
                spec.policy.method = Method::Rename;
            }
            let plan = plan_of(&case);
            (evicted(&plan), plan)
        };
        let (small, small_plan) = with(quota);
        let (large, large_plan) = with(quota + more);
        let gives_log = |step: &Step| matches!(step.expect, Expect::SameFile(_)) && is_eviction(step);
        let lacks = |plan: &Plan| plan.sets.iter().any(|sums| sums.shortfall > Bytes::ZERO);
        let lacks = lacks(&small_plan) || lacks(&large_plan);
        prop_assert!(
            large <= small || lacks || large_plan.steps.iter().any(gives_log),
            "{large} > {small}\n{}{}", show(&small_plan), show(&large_plan)
        );
    }
}
