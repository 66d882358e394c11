//! The only place that asks what time it is.

use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use chrono::{
    DateTime, FixedOffset, Local, LocalResult, NaiveDateTime, TimeDelta, TimeZone as _, Utc,
};

/// Tells the time. One question per run: everything is decided for that one "now".
pub trait Clock: Send + Sync {
    /// Now, with the local offset from UTC.
    fn now(&self) -> DateTime<FixedOffset>;

    /// An instant by the local clock. Without a time zone of its own, a clock has always had
    /// the offset that it has now.
    fn local(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        at.with_timezone(self.now().offset())
    }

    /// Time that has passed since some fixed moment, which nobody can set; `None` if this
    /// clock cannot tell.
    fn elapsed(&self) -> Option<Duration> {
        None
    }
}

/// The machine's clock and time zone.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    fn now(&self) -> DateTime<FixedOffset> {
        Local::now().fixed_offset()
    }

    fn local(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        local(at)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    fn elapsed(&self) -> Option<Duration> {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Some(Instant::now().saturating_duration_since(*START))
    }
}

/// A clock that stands until it is set.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<FixedOffset>>);

impl ManualClock {
    /// A clock that says `now`.
    #[must_use]
    pub const fn new(now: DateTime<FixedOffset>) -> Self {
        Self(Mutex::new(now))
    }

    /// Sets it.
    pub fn set(&self, now: DateTime<FixedOffset>) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<FixedOffset> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// An instant with the offset that the machine's time zone has then.
#[must_use]
pub fn local(at: DateTime<Utc>) -> DateTime<FixedOffset> {
    at.with_timezone(&Local).fixed_offset()
}

/// The instant at which the local clock shows `reading`: the earlier one where the clock
/// shows it twice, and the end of the gap where it skips it. `None` outside all calendars.
#[must_use]
pub fn instant_of(reading: NaiveDateTime) -> Option<DateTime<Utc>> {
    // Gaps are an hour almost everywhere; no zone has skipped more than a day.
    (0..=24 * 4).find_map(|quarters| {
        let reading = reading.checked_add_signed(TimeDelta::minutes(quarters * 15))?;
        match Local.from_local_datetime(&reading) {
            LocalResult::Single(at) => Some(at.with_timezone(&Utc)),
            LocalResult::Ambiguous(a, b) => Some(a.min(b).with_timezone(&Utc)),
            LocalResult::None => None,
        }
    })
}
