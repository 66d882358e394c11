//! A clock of which both hands can be moved: the one on the wall, which people and NTP set,
//! and the one that counts since the start, which nobody can.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta};
use logquota::clock::Clock;

/// Stands until it is moved.
#[derive(Debug)]
pub struct TwoHands(Mutex<(DateTime<FixedOffset>, Duration)>);

impl TwoHands {
    /// A clock that says `now`, and has just been started.
    #[must_use]
    pub const fn new(now: DateTime<FixedOffset>) -> Self {
        Self(Mutex::new((now, Duration::ZERO)))
    }

    fn hands(&self) -> MutexGuard<'_, (DateTime<FixedOffset>, Duration)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time passes.
    pub fn pass(&self, seconds: u32) {
        let mut hands = self.hands();
        hands.0 += TimeDelta::seconds(i64::from(seconds));
        hands.1 += Duration::from_secs(u64::from(seconds));
    }

    /// Somebody sets the clock on the wall, forward or back.
    pub fn jump(&self, seconds: i64) {
        let mut hands = self.hands();
        let moved = hands.0.checked_add_signed(TimeDelta::seconds(seconds));
        hands.0 = moved.unwrap_or(hands.0);
    }

    /// Summer time begins or ends: the same instant has another name.
    pub fn shift_offset(&self, hours: i32) {
        let mut hands = self.hands();
        let offset = hands.0.offset().local_minus_utc() + hours * 3600;
        if let Some(offset) = FixedOffset::east_opt(offset.clamp(-12 * 3600, 12 * 3600)) {
            hands.0 = hands.0.with_timezone(&offset);
        }
    }

    /// Seconds since the epoch, by the clock on the wall.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.hands().0.timestamp()
    }
}

impl Clock for TwoHands {
    fn now(&self) -> DateTime<FixedOffset> {
        self.hands().0
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(self.hands().1)
    }
}
