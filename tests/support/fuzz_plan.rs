//! Fuzz target for plan files: any bytes give a plan or an error, and what was understood is
//! written so that it is understood again.

use chrono::{DateTime, Utc};
use logquota::plan::Host;
use logquota::report::{PLAN_SCHEMA, PLAN_VALID_SECONDS_MAX, PathJson, PlanJson};

/// Any bytes as a plan file: no panic; what is accepted is of our schema, says the same when
/// it is written again, and is never for another host or outside its time.
///
/// # Panics
///
/// If that is not so.
pub fn fuzz_plan(data: &[u8]) {
    let plan = match PlanJson::parse(data) {
        Ok(plan) => plan,
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.is_empty() && shown.len() < data.len() + 1024, "{shown}");
            return;
        }
    };
    assert_eq!(plan.schema, PLAN_SCHEMA);
    let text = serde_json::to_vec(&plan).expect("plain data");
    let again = PlanJson::parse(&text).expect("what was written");
    assert_eq!(plan, again);
    assert_eq!(plan.differs_from(&again), None);
    for path in plan.source.config.iter().flatten().chain(&plan.source.dir) {
        if let Some(path) = path.to_path() {
            assert_eq!(PathJson::new(&path).to_path(), Some(path));
        }
    }
    let there = Host { name: format!("{}x", plan.host), ..Host::default() };
    let made = plan.created.timestamp();
    for now in [0, made, made + PLAN_VALID_SECONDS_MAX + 1] {
        let now = DateTime::<Utc>::from_timestamp(now, 0).unwrap_or_default();
        assert!(plan.is_for(&there, now).is_err());
        let here =
            Host { name: plan.host.clone(), machine_id: "one".to_owned(), ..Host::default() };
        let is_for = plan.is_for(&here, now).is_ok();
        let age = now.timestamp().saturating_sub(plan.created.timestamp());
        assert!(!is_for || (-301..=PLAN_VALID_SECONDS_MAX).contains(&age), "{age}");
    }
}
