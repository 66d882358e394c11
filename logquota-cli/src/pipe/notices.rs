//! What is said about losses while they happen, and how often: one line when they begin, one
//! when they end, one a minute in between, and never more than two lines a minute.
//!
//! Pure: time is an argument. What may not be said now is added to what is said later.

use std::time::Duration;

/// The time for which the number of lines is limited, and between two lines that count.
const MINUTE: Duration = Duration::from_secs(60);

/// Lines of a pipe for standard error.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// When the last two lines were said.
    said: [Option<Duration>; 2],
    /// Why records are being lost, if they are.
    losing: Option<String>,
    /// What could not be said when it happened.
    held: Option<Held>,
}

#[derive(Debug)]
enum Held {
    /// That records are written again.
    Ended,
    Other(String),
}

impl Notices {
    /// Records are being lost from now on.
    pub(crate) fn began(&mut self, now: Duration, why: &str) -> Option<String> {
        self.losing = Some(why.to_owned());
        self.may_say(now).then(|| format!("records are being lost: {why}"))
    }

    /// Records are written again. `lost` is in words.
    pub(crate) fn ended(&mut self, now: Duration, lost: &str) -> Option<String> {
        self.losing = None;
        if !self.may_say(now) {
            self.held = Some(Held::Ended);
            return None;
        }
        Some(format!("records are written again; {lost}"))
    }

    /// Something else that a person should know of.
    pub(crate) fn other(&mut self, now: Duration, what: &str) -> Option<String> {
        if !self.may_say(now) {
            self.held = Some(Held::Other(what.to_owned()));
            return None;
        }
        Some(what.to_owned())
    }

    /// What is due by now, and how long until this is to be asked again. `lost`, in words, is
    /// what has been lost since the start.
    pub(crate) fn tick(
        &mut self,
        now: Duration,
        lost: impl FnOnce() -> String,
    ) -> (Option<String>, Option<Duration>) {
        let last = self.said[1];
        let due = last.map_or(now, |last| last + MINUTE);
        if now < due {
            let waits = self.losing.is_some() || self.held.is_some();
            return (None, waits.then(|| due - now));
        }
        let line = match (&self.losing, self.held.take()) {
            (Some(why), _) => Some(format!("{} so far, and more are being lost: {why}", lost())),
            (None, Some(Held::Ended)) => {
                Some(format!("records are written again; {} so far", lost()))
            }
            (None, Some(Held::Other(line))) => Some(line),
            (None, None) => None,
        };
        let line = line.filter(|_| self.may_say(now));
        (line, self.losing.is_some().then_some(MINUTE))
    }

    /// Whether [`tick`](Self::tick) has something to wait for.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.losing.is_some() || self.held.is_some()
    }

    /// Whether another line may be said now, which then is.
    fn may_say(&mut self, now: Duration) -> bool {
        if self.said[0].is_some_and(|said| now < said + MINUTE) {
            return false;
        }
        self.held = None;
        self.said = [self.said[1], Some(now)];
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn lost() -> String {
        "7 records (70 B) were lost".to_owned()
    }

    #[test]
    fn h38_a_loss_is_one_line_at_its_beginning_one_a_minute_and_one_at_its_end() {
        let mut notices = Notices::default();
        assert_eq!(notices.tick(at(0), lost), (None, None));
        let began = notices.began(at(10), "disk full").expect("a line");
        assert_eq!(began, "records are being lost: disk full");
        assert_eq!(notices.tick(at(30), lost), (None, Some(at(40))));
        let (line, next) = notices.tick(at(70), lost);
        let so_far = "7 records (70 B) were lost so far, and more are being lost: disk full";
        assert_eq!((line.as_deref(), next), (Some(so_far), Some(MINUTE)));
        assert_eq!(notices.tick(at(71), lost), (None, Some(at(59))));
        assert!(notices.ended(at(75), "7 records").is_some());
        assert_eq!(notices.tick(at(500), lost), (None, None));
    }

    #[test]
    fn h38_a_disk_that_is_full_and_not_full_in_turns_makes_two_lines_a_minute() {
        let mut notices = Notices::default();
        let mut lines = Vec::new();
        for second in 0..600 {
            lines.extend(notices.began(at(second), "disk full").map(|_| second));
            lines.extend(notices.ended(at(second), "2 records").map(|_| second));
            lines.extend(notices.tick(at(second), lost).0.map(|_| second));
        }
        assert!((10..=20).contains(&lines.len()), "{lines:?}");
        for pair in lines.windows(3) {
            assert!(pair[2] - pair[0] >= 60, "{lines:?}");
        }
    }

    #[test]
    fn what_could_not_be_said_is_said_later() {
        let mut notices = Notices::default();
        assert!(notices.began(at(0), "disk full").is_some());
        assert!(notices.ended(at(1), "2 records").is_some());
        assert_eq!(notices.other(at(2), "something"), None);
        assert!(notices.is_waiting());
        assert_eq!(notices.tick(at(3), lost), (None, Some(at(58))));
        assert_eq!(notices.tick(at(61), lost).0.as_deref(), Some("something"));
        assert!(!notices.is_waiting());
    }
}
