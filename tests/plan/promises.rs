//! The promises that one plan can break, one property each. What they mean in detail is said
//! where they are checked, in `logquota::plan::check`.

use logquota::plan::{Violation, check, plan};
use logquota_tests::generate::{Case, Odd, cases};
use logquota_tests::proptest_config;
use logquota_tests::show::show;
use proptest::prelude::*;

/// Fails if the plan of a case breaks this promise.
fn keeps(promise: u8, case: &Case) -> Result<(), TestCaseError> {
    let plan = plan(&case.inventory, &case.config, &case.context);
    let mut found = check(&case.inventory, &case.config, &plan);
    found.retain(|violation| violation.promise == promise);
    if found.is_empty() {
        return Ok(());
    }
    let found: Vec<String> = found.iter().map(Violation::to_string).collect();
    Err(TestCaseError::fail(format!("{found:#?}\n{}", show(&plan))))
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn promise_1_every_archive_has_a_verdict_with_a_reason_and_nothing_else_is_touched(
        case in cases(Odd::ALL),
    ) {
        keeps(1, &case)?;
    }

    #[test]
    fn promise_2_the_active_file_is_never_deleted(case in cases(Odd::ALL)) {
        keeps(2, &case)?;
    }

    #[test]
    fn promise_3_no_prefix_passes_the_larger_of_quota_and_start(case in cases(Odd::ALL)) {
        keeps(3, &case)?;
    }

    #[test]
    fn promise_4_no_eviction_is_needless(case in cases(Odd::ALL)) {
        keeps(4, &case)?;
    }

    #[test]
    fn promise_5_evictions_are_fair_and_leave_no_gaps(case in cases(Odd::ALL)) {
        keeps(5, &case)?;
    }

    #[test]
    fn promises_hold_under_logrotates_rules(
        case in cases(Odd { classic: true, ..Odd::ALL }),
    ) {
        for promise in 1..=6 {
            keeps(promise, &case)?;
        }
    }

    #[test]
    fn promise_6_no_step_writes_to_a_name_that_exists(case in cases(Odd::ALL)) {
        keeps(6, &case)?;
    }
}
