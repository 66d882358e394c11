//! The planner decides what a slow, obvious one decides.

use logquota::plan::plan;
use logquota::policy::Method;
use logquota_tests::generate::{Odd, cases};
use logquota_tests::proptest_config;
use logquota_tests::reference::{decide, decisions_of};
use logquota_tests::show::show;
use proptest::prelude::*;

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn the_planner_decides_what_the_slow_one_decides(case in cases(Odd::NONE)) {
        let mut case = case;
        for spec in &mut case.config.sets {
            spec.policy.method = Method::Rename;
        }
        case.config.global = Default::default();
        let plan = plan(&case.inventory, &case.config, &case.context);
        prop_assume!(plan.problems.iter().all(|problem| !problem.why.starts_with("is due")));
        let (fast, slow) = (decisions_of(&case, &plan), decide(&case));
        prop_assert_eq!(&fast, &slow, "{}", show(&plan));
    }
}
