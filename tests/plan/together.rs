//! The promises that take two plans: order of the input, what a plan leaves, larger quotas.

use logquota::inventory::Inventory;
use logquota::plan::{Plan, Reason, Verdict, plan};
use logquota::policy::{Limits, Method, RotateWhen};
use logquota::units::Bytes;
use logquota_tests::generate::{Case, Odd, cases, show};
use logquota_tests::{model, proptest_config};
use proptest::prelude::*;

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
}

/// Bytes that go for want of space.
fn evicted(case: &Case, plan: &Plan) -> u64 {
    let given: Vec<_> = plan.verdicts.iter().collect();
    let mut bytes = 0;
    for verdict in given {
        if let Verdict::Remove(Reason::Quota { .. } | Reason::QuotaPressure { .. }) =
            verdict.verdict
        {
            let log = &case.inventory.sets[verdict.set].logs[verdict.log];
            let archive = log.archives.iter().find(|archive| archive.name == verdict.name);
            bytes += archive.map_or(0, |archive| archive.meta.stamp.allocated.get());
        }
    }
    bytes
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

    #[test]
    fn promise_7_what_a_plan_leaves_needs_no_other_plan(
        case in cases(Odd::ALL),
        percent in prop::sample::select(vec![10u64, 1, 50, 99, 100, 103]),
    ) {
        let mut case = case;
        settles(&mut case);
        let first = plan_of(&case);
        let mut next = case.clone();
        next.inventory = model::apply(&case, &first, percent);
        next.context.force = false;
        let second = plan_of(&next);
        prop_assert!(
            second.steps.is_empty(),
            "first:\n{}then:\n{:?}\n{}", show(&first), next, show(&second)
        );
    }

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
            (evicted(&case, &plan), plan)
        };
        let (small, small_plan) = with(quota);
        let (large, large_plan) = with(quota + more);
        prop_assert!(
            large <= small,
            "{large} > {small}\n{}{}", show(&small_plan), show(&large_plan)
        );
    }
}
