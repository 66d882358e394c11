//! When a log will next be due, for the table of `status`.
//!
//! Says what the planner will decide, and decides nothing itself. Only the criterion is
//! looked at: `maxsize` and the quota may come earlier; `minsize`, `minage` and empty logs
//! that are passed over, later.

use chrono::{Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _};

use crate::policy::RotateWhen;
use crate::units::Bytes;

/// When a log is next due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextDue {
    /// At the next run.
    Now,
    /// At the first run at or after this reading of the local clock. Where the clock skips
    /// it (summer time), at the first run after.
    At(NaiveDateTime),
    /// When it is so long.
    Size(Bytes),
    /// Only on demand, or when the quota forces it.
    Never,
}

/// When the criterion `when` is next met by a log that was last rotated at `last`, both by
/// the local clock. A log that nobody has seen before counts from the hour that has begun,
/// as logrotate does it.
#[must_use]
pub fn next_due(when: RotateWhen, last: Option<NaiveDateTime>, now: NaiveDateTime) -> NextDue {
    match when {
        RotateWhen::Size(limit) => return NextDue::Size(limit),
        RotateWhen::Never => return NextDue::Never,
        _ => {}
    }
    let last = last.unwrap_or_else(|| start_of_hour(now));
    // More than a day ahead is a clock that was wrong then, not a rotation to wait for.
    if last.signed_duration_since(now) > TimeDelta::days(1) {
        return NextDue::Now;
    }
    let next = match when {
        RotateWhen::Hourly => {
            if start_of_hour(now) != start_of_hour(last) {
                return NextDue::Now;
            }
            start_of_hour(last).checked_add_signed(TimeDelta::hours(1))
        }
        RotateWhen::Minutes(minutes) => last.checked_add_signed(TimeDelta::seconds(
            // Whole minutes that passed have to exceed the number.
            (i64::from(minutes.get()) + 1) * 60,
        )),
        _ => {
            let (today, then) = (now.date(), last.date());
            if is_due_on(when, then, today) {
                return NextDue::Now;
            }
            // Every criterion is met within a year of the last rotation, and that is at
            // most a day ahead.
            today
                .iter_days()
                .skip(1)
                .take(400)
                .find(|day| is_due_on(when, then, *day))
                .map(|day| day.and_time(NaiveTime::MIN))
        }
    };
    match next {
        Some(next) if next <= now => NextDue::Now,
        Some(next) => NextDue::At(next),
        None => NextDue::Never,
    }
}

/// Whether a log that was last rotated on `last` is due on `day`, for the criteria that
/// look at the date only.
fn is_due_on(when: RotateWhen, last: NaiveDate, day: NaiveDate) -> bool {
    let days = day.signed_duration_since(last).num_days();
    match when {
        RotateWhen::Daily => day != last,
        RotateWhen::Weekly { weekday } => {
            days >= 7 || days >= 1 && day.weekday().num_days_from_sunday() == u32::from(weekday)
        }
        RotateWhen::Monthly { day: 0 } => (day.year(), day.month()) != (last.year(), last.month()),
        RotateWhen::Monthly { day: wanted } => {
            days >= 31 || days >= 1 && (day.day() == u32::from(wanted) || is_last_of_month(day))
        }
        RotateWhen::Yearly => day.year() != last.year(),
        _ => false,
    }
}

fn is_last_of_month(day: NaiveDate) -> bool {
    day.checked_add_days(Days::new(1)).is_none_or(|next| next.month() != day.month())
}

fn start_of_hour(at: NaiveDateTime) -> NaiveDateTime {
    at.date().and_time(NaiveTime::from_hms_opt(at.hour(), 0, 0).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect(text)
    }

    fn next(when: RotateWhen, last: &str, now: &str) -> String {
        match next_due(when, (last != "never").then(|| at(last)), at(now)) {
            NextDue::At(at) => at.format("%Y-%m-%d %H:%M").to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_criterion_names_the_moment_at_which_it_is_met() {
        use RotateWhen::{Daily, Hourly, Minutes, Monthly, Weekly, Yearly};
        let minutes = Minutes(NonZeroU32::new(10).expect("not zero"));
        // 2026-11-21 is a Saturday.
        for (when, last, now, expected) in [
            (Hourly, "2026-11-21 12:10", "2026-11-21 12:50", "2026-11-21 13:00"),
            (Hourly, "2026-11-21 12:59", "2026-11-21 13:00", "Now"),
            (Daily, "2026-11-21 00:01", "2026-11-21 23:59", "2026-11-22 00:00"),
            (Daily, "2026-11-20 23:59", "2026-11-21 00:00", "Now"),
            (Daily, "never", "2026-11-21 12:00", "2026-11-22 00:00"),
            (Weekly { weekday: 0 }, "2026-11-21 09:00", "2026-11-21 12:00", "2026-11-22 00:00"),
            (Weekly { weekday: 6 }, "2026-11-21 09:00", "2026-11-21 12:00", "2026-11-28 00:00"),
            (Weekly { weekday: 7 }, "2026-11-18 09:00", "2026-11-21 12:00", "2026-11-25 00:00"),
            (Monthly { day: 0 }, "2026-11-01 09:00", "2026-11-21 12:00", "2026-12-01 00:00"),
            (Monthly { day: 15 }, "2026-11-15 09:00", "2026-11-21 12:00", "2026-11-30 00:00"),
            (Monthly { day: 25 }, "2026-11-15 09:00", "2026-11-21 12:00", "2026-11-25 00:00"),
            (Yearly, "2026-01-01 00:00", "2026-11-21 12:00", "2027-01-01 00:00"),
            (minutes, "2026-11-21 12:00", "2026-11-21 12:05", "2026-11-21 12:11"),
            (minutes, "2026-11-21 12:00", "2026-11-21 12:11", "Now"),
        ] {
            assert_eq!(next(when, last, now), expected, "{when:?} {last} {now}");
        }
    }

    #[test]
    fn h58_a_last_rotation_far_in_the_future_is_not_waited_for() {
        assert_eq!(next(RotateWhen::Yearly, "2099-01-01 00:00", "2026-11-21 12:00"), "Now");
    }

    #[test]
    fn a_size_and_never_do_not_depend_on_the_time() {
        let now = at("2026-11-21 12:00");
        let size = RotateWhen::Size(Bytes::kib(1));
        assert_eq!(next_due(size, None, now), NextDue::Size(Bytes::kib(1)));
        assert_eq!(next_due(RotateWhen::Never, Some(now), now), NextDue::Never);
    }
}
