//! When the ballast goes, and when there is room for it again.

use logquota::ballast::Keeper;
use logquota::inventory::{BallastFound, DirId, Set};
use logquota::plan::{Action, Goal, Plan, Reason, Step, Wanted, check, plan};
use logquota::policy::{Limits, Reserve};
use logquota::units::Bytes;
use logquota_tests::generate::{Case, Odd, build, cases};
use logquota_tests::show::show;
use logquota_tests::{model, proptest_config};
use proptest::prelude::*;

const ODD: Odd = Odd { ballast: true, ..Odd::ALL };

fn is_release(action: &Action) -> bool {
    matches!(action, Action::ReleaseBallast { .. })
}

fn is_restore(action: &Action) -> bool {
    matches!(action, Action::RestoreBallast { .. })
}

fn count(plan: &Plan, is: fn(&Action) -> bool) -> usize {
    plan.steps.iter().filter(|step| is(&step.action)).count()
}

fn plan_of(case: &Case) -> Plan {
    plan(&case.inventory, &case.config, &case.context)
}

/// One log that nothing happens to, with so much free and a ballast of 64 blocks (256 KiB), which
/// is there or not.
fn quiet(free: Bytes, reserve: Option<Bytes>, is_there: bool) -> Case {
    let mut case = build(&([0; 8], vec![([0; 20], [0; 8], vec![([0; 10], Vec::new())])]), ODD);
    case.config.global = Limits::default();
    let policy = &mut case.config.sets[0].policy;
    policy.when = logquota::policy::RotateWhen::Never;
    policy.limits = Limits { reserve: reserve.map(Reserve::Bytes), ..policy.limits };
    (policy.limits.quota, policy.limits.max_files) = (None, None);
    case.config.ballast = Some(Bytes::kib(256));
    case.inventory.sets[0].space.free = free;
    let ballast = &mut case.inventory.ballasts[0];
    if is_there {
        // One that the generator makes whole.
        let whole = build(
            &([0, 0, 0, 0, 0, 0, 0, 10], vec![([0; 20], [0; 8], vec![([0; 10], Vec::new())])]),
            ODD,
        );
        ballast.found = whole.inventory.ballasts[0].found.clone();
        assert_eq!(ballast.kept(), Bytes::kib(256));
    } else {
        ballast.found = BallastFound::Missing { since: None };
    }
    case
}

#[test]
fn it_goes_below_the_reserve_and_comes_back_an_eighth_of_its_size_above() {
    let mib = Some(Bytes::mib(1));
    for (reserve, free, is_there, released, restored) in [
        (mib, 1023, true, 1, 0),
        (mib, 1024, true, 0, 0),
        (mib, 1024 + 256 + 31, false, 0, 0),
        (mib, 1024 + 256 + 32, false, 0, 1),
        // Without a reserve an eighth of its size must be free.
        (None, 31, true, 1, 0),
        (None, 32, true, 0, 0),
        (None, 32 + 256 + 31, false, 0, 0),
        (None, 32 + 256 + 32, false, 0, 1),
        (None, 0, false, 0, 0),
    ] {
        let plan = plan_of(&quiet(Bytes::kib(free), reserve, is_there));
        let found = (count(&plan, is_release), count(&plan, is_restore));
        assert_eq!(found, (released, restored), "{reserve:?} {free} {is_there}\n{}", show(&plan));
        assert_eq!(plan.steps.len(), released + restored);
    }
}

#[test]
fn one_that_nobody_asks_for_stays_and_only_free_counts_on_it() {
    let mut case = quiet(Bytes::ZERO, Some(Bytes::mib(1)), true);
    case.config.ballast = None;
    assert_eq!(plan_of(&case).steps.len(), 0);
    let goal = Goal {
        wanted: Wanted::Bytes(Bytes::kib(200)),
        dev: case.inventory.sets[0].dev,
        cuts_logs: false,
    };
    case.context = case.context.to_free(goal);
    let plan = plan_of(&case);
    assert_eq!((count(&plan, is_release), plan.steps.len()), (1, 1), "{}", show(&plan));
    assert_eq!(plan.sets[0].free_after, Bytes::kib(256));
    assert_eq!(plan.sets[0].shortfall, Bytes::ZERO);
}

#[test]
fn a_half_made_one_is_made_whole_when_there_is_room_for_the_rest() {
    let mut case = quiet(Bytes::kib(32 + 128 + 32), None, true);
    if let BallastFound::Ours(meta) = &mut case.inventory.ballasts[0].found {
        meta.stamp.allocated = Bytes::kib(128);
    }
    let plan = plan_of(&case);
    assert_eq!(count(&plan, is_restore), 1, "{}", show(&plan));
    assert_eq!(plan.sets[0].free_after, Bytes::kib(64));
    case.inventory.sets[0].space.free = Bytes::kib(32 + 128 + 31);
    assert_eq!(plan_of(&case).steps.len(), 0);
}

/// A run has made it, for 256 KiB, and there is room for all.
fn made(by: Keeper, asked: Bytes) -> Case {
    let mut case = quiet(Bytes::mib(10), None, true);
    case.inventory.ballasts[0].keeper = by;
    case.config.ballast = Some(asked);
    case
}

#[test]
fn a_larger_one_than_is_asked_for_is_made_smaller_if_a_configuration_asked_for_it() {
    let plan = plan_of(&made(Keeper::Configuration, Bytes::kib(64)));
    assert_eq!((count(&plan, is_restore), plan.steps.len()), (1, 1), "{}", show(&plan));
    let (len, asked) = (Bytes::kib(256), Bytes::kib(64));
    assert_eq!(plan.steps[0].reason, Reason::BallastTooLarge { len, asked });
    assert_eq!(plan.sets[0].free_after, Bytes::mib(10).plus(Bytes::kib(192)));
    // What it gives is room enough for the smaller one, and what must be left with that.
    let mut short = made(Keeper::Configuration, Bytes::kib(64));
    short.inventory.sets[0].space.free = Bytes::kib(8);
    assert_eq!(count(&plan_of(&short), is_restore), 1);
    // A program decides for itself, and where one is not made it is not made smaller.
    assert_eq!(plan_of(&made(Keeper::Program, Bytes::kib(64))).steps.len(), 0);
    let mut elsewhere = made(Keeper::Configuration, Bytes::kib(64));
    elsewhere.inventory.ballasts[0].can_be_made = false;
    assert_eq!(plan_of(&elsewhere).steps.len(), 0);
}

#[test]
fn one_that_is_not_wanted_any_more_goes_if_a_configuration_asked_for_it() {
    let plan = plan_of(&made(Keeper::Configuration, Bytes::ZERO));
    assert_eq!((count(&plan, is_release), plan.steps.len()), (1, 1), "{}", show(&plan));
    assert_eq!(plan.steps[0].only_below, None);
    let mut elsewhere = made(Keeper::Configuration, Bytes::ZERO);
    elsewhere.inventory.ballasts[0].can_be_made = false;
    assert_eq!(count(&plan_of(&elsewhere), is_release), 1);
    assert_eq!(plan_of(&made(Keeper::Program, Bytes::ZERO)).steps.len(), 0);
    // If nothing is said, it may be another configuration's.
    let mut silent = made(Keeper::Configuration, Bytes::ZERO);
    silent.config.ballast = None;
    assert_eq!(plan_of(&silent).steps.len(), 0);
}

/// Beside the place for it, one in another folder: of a program, or where the place was before.
fn two(free: Bytes, is_made: bool) -> Case {
    let mut case = quiet(free, None, true);
    let mut other = case.inventory.ballasts[0].clone();
    (other.place.dir, other.can_be_made) = (DirId(77), false);
    let dir = case.inventory.dirs[&case.inventory.ballasts[0].place.dir].clone();
    case.inventory.dirs.insert(DirId(77), dir);
    case.inventory.ballasts.push(other);
    if !is_made {
        case.inventory.ballasts[0].found = BallastFound::Missing { since: None };
    }
    case
}

#[test]
fn one_where_none_is_made_counts_goes_first_and_is_never_made_there() {
    let places = |plan: &Plan| -> Vec<_> {
        plan.steps.iter().filter_map(|step| Some(step.action.place()?.dir)).collect()
    };
    let here = quiet(Bytes::ZERO, None, true).inventory.ballasts[0].place.dir;
    // What it gives is enough, and then it is not.
    for (reserve, gone) in
        [(Bytes::kib(100), vec![DirId(77)]), (Bytes::kib(300), vec![DirId(77), here])]
    {
        let mut case = two(Bytes::kib(8), true);
        case.config.sets[0].policy.limits.reserve = Some(Reserve::Bytes(reserve));
        let plan = plan_of(&case);
        assert_eq!(
            (count(&plan, is_release), places(&plan)),
            (gone.len(), gone),
            "{}",
            show(&plan)
        );
    }
    // With it there is no need for one in its place.
    assert_eq!(plan_of(&two(Bytes::mib(10), false)).steps.len(), 0);
    let mut gone = two(Bytes::mib(10), false);
    gone.inventory.ballasts[1].found = BallastFound::Missing { since: None };
    let plan = plan_of(&gone);
    assert_eq!((count(&plan, is_restore), places(&plan)), (1, vec![here]));
}

#[test]
fn what_is_not_ours_is_neither_counted_on_nor_replaced() {
    let mut case = quiet(Bytes::ZERO, None, true);
    case.inventory.ballasts[0].found = BallastFound::Foreign { why: "odd".into() };
    assert_eq!(plan_of(&case).steps.len(), 0);
    case.inventory.sets[0].space.free = Bytes::mib(10);
    assert_eq!(plan_of(&case).steps.len(), 0);
}

#[test]
fn another_ballast_is_found_out() {
    let case = quiet(Bytes::kib(8), None, true);
    let good = plan_of(&case);
    let is_found = |change: fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        let found = check(&case.inventory, &case.config, &plan);
        assert!(found.iter().any(|violation| violation.promise == 10), "{found:?}");
    };
    is_found(|plan| plan.steps.clear());
    is_found(|plan| plan.steps.push(plan.steps[0].clone()));
    is_found(|plan| plan.steps[0].only_below = None);
    is_found(|plan| {
        if let Action::ReleaseBallast { at } = &mut plan.steps[0].action {
            at.name = "other".into();
        }
    });
    is_found(|plan| {
        plan.steps[0].reason = Reason::LowSpace { free: Bytes::kib(8), wanted: Bytes::kib(9) };
    });
    is_found(|plan| {
        if let Action::ReleaseBallast { at } = plan.steps[0].action.clone() {
            let (size, left) = (Bytes::kib(256), Bytes::kib(64));
            plan.steps[0].action = Action::RestoreBallast { at, size, left };
        }
    });
}

#[test]
fn one_that_is_made_smaller_or_goes_for_no_reason_is_found_out() {
    for (asked, keeper) in [(64, Keeper::Program), (0, Keeper::Program)] {
        let good = plan_of(&made(Keeper::Configuration, Bytes::kib(asked)));
        let case = made(keeper, Bytes::kib(asked));
        let found = check(&case.inventory, &case.config, &good);
        assert!(found.iter().any(|violation| violation.promise == 10), "{asked}: {found:?}");
    }
    let good = plan_of(&made(Keeper::Configuration, Bytes::kib(64)));
    let mut case = made(Keeper::Configuration, Bytes::kib(64));
    case.inventory.ballasts[0].can_be_made = false;
    let found = check(&case.inventory, &case.config, &good);
    assert!(found.iter().any(|violation| violation.promise == 10), "{found:?}");
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn promise_10_the_ballast_goes_first_and_in_need_and_comes_last_and_with_room(
        case in cases(ODD),
    ) {
        let first = plan_of(&case);
        let found = check(&case.inventory, &case.config, &first);
        prop_assert!(found.is_empty(), "{found:#?}\n{}", show(&first));
        for (set, sums) in case.inventory.sets.iter().zip(&first.sets) {
            prop_assert!(sums.used_before == set.used(), "it is no log");
        }
    }

    #[test]
    fn promise_10_it_goes_first_of_what_frees_space_and_counts(
        case in cases(ODD),
        part in 0u64..=110,
    ) {
        let Some(set) = case.inventory.sets.first() else { return Ok(()) };
        let used: Bytes = case.inventory.sets.iter().map(Set::used).sum();
        let more = u128::from(used.get()) * u128::from(part) / 100;
        let more = Bytes::new(u64::try_from(more).unwrap_or(u64::MAX));
        let cuts_logs = part % 2 == 0;
        let goal = Goal { wanted: Wanted::Bytes(set.space.free.plus(more)), dev: set.dev, cuts_logs };
        let context = case.context.clone().to_free(goal);
        let plan = plan(&case.inventory, &case.config, &context);
        let found = check(&case.inventory, &case.config, &plan);
        prop_assert!(found.is_empty(), "{found:#?}\n{}", show(&plan));
        prop_assert_eq!(count(&plan, is_restore), 0);
    }

    /// No run takes what the one before has made, or the other way round.
    #[test]
    fn promise_10_it_does_not_come_and_go(case in cases(Odd { links: false, ..ODD })) {
        let first = plan_of(&case);
        let mut second = case.clone();
        second.inventory = model::apply(&case, &first, 100);
        let again = plan_of(&second);
        let found = check(&second.inventory, &second.config, &again);
        prop_assert!(found.is_empty(), "{found:#?}\n{}", show(&again));
        let story = || format!("{}\n{}", show(&first), show(&again));
        for (set, sums) in second.inventory.sets.iter().zip(&first.sets) {
            let on = |plan: &Plan, is: fn(&Action) -> bool| {
                let mut steps = plan.steps.iter().filter(|step| is(&step.action));
                steps.any(|step| second.inventory.sets[step.set].dev == set.dev)
            };
            prop_assert!(!on(&first, is_restore) || !on(&again, is_release), "{}", story());
            // Only where more is free by then than the first one could count on.
            let is_early = |step: &Step| {
                let is_there = second.inventory.sets[step.set].dev == set.dev;
                let free = match step.reason {
                    Reason::RoomForBallast { free, .. } if is_there => free,
                    _ => return false,
                };
                free <= sums.free_after
            };
            let is_early = again.steps.iter().any(is_early);
            prop_assert!(!on(&first, is_release) || !is_early, "{}", story());
        }
    }
}
