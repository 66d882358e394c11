//! What a run did, beside what was planned.

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;

use super::{ProblemJson, SetJson, StepJson};
use crate::apply::{Outcome, Report};
use crate::plan::Plan;

/// What a run did, as a JSON object: the plan's members and what became of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunJson {
    /// `logquota.run/1` or `logquota.apply/1`.
    pub schema: String,
    /// The plan's digest.
    pub id: String,
    /// The host's name.
    pub host: String,
    /// For which moment it was planned.
    pub created: DateTime<Utc>,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// By how much the free space of the file systems grew, as they say it; negative if
    /// others wrote more. `null` in a dry run.
    pub freed: Option<i64>,
    /// The sums of each set.
    pub sets: Vec<SetRunJson>,
    /// What was done, in order.
    pub steps: Vec<StepRunJson>,
    /// What could not be done.
    pub problems: Vec<ProblemJson>,
}

/// The sums of one set, planned and measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetRunJson {
    /// As planned; after a run `used_peak` and `used_after` are what was measured.
    #[serde(flatten)]
    pub sums: SetJson,
    /// By how much the free space of its file system grew.
    pub freed: Option<i64>,
}

/// One step and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepRunJson {
    /// As planned.
    #[serde(flatten)]
    pub step: StepJson,
    /// `done`, `skipped`, `failed`, `not_reached` or `not_needed`; `null` in a dry run.
    pub outcome: Option<&'static str>,
    /// Why it was skipped or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RunJson {
    /// Plan and report side by side; without a report, a dry run.
    ///
    /// What was freed is that of a set's file system, whoever has freed it there.
    #[must_use]
    pub fn new(schema: &str, plan: &Plan, report: Option<&Report>) -> Self {
        let sets = plan.sets.iter().enumerate().map(|(index, set)| {
            let mut sums = SetJson::new(set);
            if let Some(report) = report {
                sums.used_peak = report.peak.get(index).copied().unwrap_or(sums.used_peak);
                sums.used_after = report.used.get(index).copied().unwrap_or(sums.used_after);
            }
            SetRunJson { sums, freed: report.and_then(|r| freed_of(plan, r, index)) }
        });
        let steps = plan.steps.iter().enumerate().map(|(index, step)| {
            let outcome = report.and_then(|r| r.outcomes.get(index));
            StepRunJson {
                step: StepJson::new(plan, step),
                outcome: outcome.map(outcome_name),
                error: outcome.and_then(outcome_error),
            }
        });
        Self {
            schema: schema.to_owned(),
            id: plan.id.clone(),
            host: plan.host.name.clone(),
            created: plan.created.with_timezone(&Utc).trunc_subsecs(0),
            dry_run: report.is_none(),
            freed: report.map(freed_in_all),
            sets: sets.collect(),
            steps: steps.collect(),
            problems: plan.problems.iter().chain(&plan.unmet).map(ProblemJson::new).collect(),
        }
    }
}

/// Of the file system that its first step is on.
fn freed_of(plan: &Plan, report: &Report, set: usize) -> Option<i64> {
    let steps = plan.steps.iter().filter(|step| step.set == set);
    let dir = steps.filter_map(|step| step.action.place()).map(|place| place.dir).next()?;
    report.freed.get(&plan.dirs.get(&dir)?.id.dev).map(|freed| narrowed(*freed))
}

/// By how much the free space of all file systems grew, each counted once.
#[must_use]
pub fn freed_in_all(report: &Report) -> i64 {
    narrowed(report.freed.values().fold(0, |sum, freed| sum.saturating_add(*freed)))
}

fn narrowed(freed: i128) -> i64 {
    i64::try_from(freed).unwrap_or(if freed < 0 { i64::MIN } else { i64::MAX })
}

/// The word for an outcome in machine output.
#[must_use]
pub const fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Skipped(_) => "skipped",
        Outcome::Failed(_) => "failed",
        Outcome::NotReached => "not_reached",
        Outcome::NotNeeded => "not_needed",
    }
}

fn outcome_error(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Skipped(error) | Outcome::Failed(error) => Some(error.chain()),
        Outcome::Done | Outcome::NotReached | Outcome::NotNeeded => None,
    }
}
