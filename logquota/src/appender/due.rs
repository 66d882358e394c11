//! When the calendar ends a segment.

use chrono::{NaiveDateTime, TimeDelta};

use super::env::Env;
use crate::plan::period_is_over;
use crate::policy::RotateWhen;

/// Whether a segment that was begun at `opened` (by the local clock) ends now.
pub(super) fn is_due(env: &Env, opened: NaiveDateTime) -> bool {
    if matches!(env.policy.when, RotateWhen::Size(_) | RotateWhen::Never) {
        return false;
    }
    ends(env.policy.when, opened, env.clock.now().naive_local())
}

/// A clock that is set back a little, or an hour that comes twice, ends no period again; one
/// that was a day ahead does.
fn ends(when: RotateWhen, opened: NaiveDateTime, now: NaiveDateTime) -> bool {
    let ahead = opened.signed_duration_since(now);
    (ahead <= TimeDelta::zero() && period_is_over(when, opened, now))
        || ahead > TimeDelta::hours(25)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn at(day: u32, hour: u32, minute: u32) -> NaiveDateTime {
        let date = NaiveDate::from_ymd_opt(2026, 10, day).expect("a date");
        date.and_hms_opt(hour, minute, 0).expect("a time")
    }

    #[test]
    fn a_clock_set_back_over_midnight_ends_no_second_day() {
        assert!(ends(RotateWhen::Daily, at(24, 23, 59), at(25, 0, 0)));
        assert!(!ends(RotateWhen::Daily, at(25, 0, 1), at(24, 23, 59)));
        assert!(!ends(RotateWhen::Hourly, at(25, 2, 30), at(25, 2, 10)));
        assert!(!ends(RotateWhen::Hourly, at(25, 3, 0), at(25, 2, 10)));
    }

    #[test]
    fn h59_a_segment_from_the_far_future_ends_at_once() {
        assert!(ends(RotateWhen::Daily, at(28, 0, 0), at(25, 0, 0)));
    }
}
