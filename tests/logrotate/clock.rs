//! What time it is in a case, and times that are written relative to that.

use chrono::{DateTime, Duration, NaiveDateTime, Utc};

/// How a state file writes a time.
const IN_STATE: &str = "%Y-%-m-%-d-%-H:%-M:%-S";

/// Times this close to the clock's were made by the run. Much longer than a run takes.
const NOW_MINUTES: i64 = 10;

/// A clock of one case. Both programs see the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What time it is said to be, in UTC, which is the local time of the programs too.
    pub(crate) now: NaiveDateTime,
    /// What time it really is.
    pub(crate) real: NaiveDateTime,
}

impl Clock {
    /// The real time.
    pub(crate) fn start() -> Self {
        let real = Utc::now().naive_utc();
        Self { now: real, real }
    }

    /// Whether the program has to be told the time.
    pub(crate) fn is_set(&self) -> bool {
        self.now != self.real
    }

    /// Whether a second began since, or an hour just before: what is due may have changed in
    /// between, and in its first second `now` is on the hour.
    pub(crate) fn is_unclear(&self) -> bool {
        let hour = |at: NaiveDateTime| at.format("%d%H").to_string();
        let second = |at: NaiveDateTime| at.and_utc().timestamp();
        second(Utc::now().naive_utc()) != second(self.real)
            || hour(self.real) != hour(self.real - Duration::seconds(2))
    }

    /// `-3d` from now; `now`.
    pub(crate) fn at(&self, span: &str) -> Option<NaiveDateTime> {
        if span == "now" {
            return Some(self.now);
        }
        let (number, unit) = span.split_at_checked(span.len().checked_sub(1)?)?;
        let number: i64 = number.parse().ok()?;
        let span = match unit {
            "s" => Duration::seconds(number),
            "m" => Duration::minutes(number),
            "h" => Duration::hours(number),
            "d" => Duration::days(number),
            _ => return None,
        };
        Some(self.now + span)
    }

    /// A time as a state file has it, from `-3d`, or what was written out.
    pub(crate) fn in_state(&self, text: &str) -> String {
        self.at(text).map_or_else(|| text.to_owned(), |at| at.format(IN_STATE).to_string())
    }

    /// A time that the file system has. One that the run made is `now`.
    pub(crate) fn seen(&self, seconds: i64) -> String {
        let at = DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc();
        if (at - self.real).num_minutes().abs() < NOW_MINUTES {
            return "now".to_owned();
        }
        at.format("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// A time that a state file has: `now`, `hour` for this one with nothing after it, or the
    /// time itself.
    pub(crate) fn seen_in_state(&self, text: &str) -> String {
        let Ok(at) = NaiveDateTime::parse_from_str(text, "%Y-%m-%d-%H:%M:%S") else {
            return text.to_owned();
        };
        if at.format("%F %T").to_string() == self.now.format("%F %H:00:00").to_string() {
            return "hour".to_owned();
        }
        if (at - self.now).num_minutes().abs() < NOW_MINUTES {
            return "now".to_owned();
        }
        at.format(IN_STATE).to_string()
    }

    /// Puts times in where a text has `<-1d>`, `<-1d %Y>` or `<today>`.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            filled += before;
            let time = after.split_once('>').and_then(|(inner, more)| {
                let (span, format) = inner.split_once(' ').unwrap_or((inner, IN_STATE));
                let (span, format) =
                    if span == "today" { ("0d", "%Y%m%d") } else { (span, format) };
                Some((self.at(span)?.format(format).to_string(), more))
            });
            match time {
                Some((time, more)) => {
                    filled += &time;
                    rest = more;
                }
                None => {
                    filled.push('<');
                    rest = after;
                }
            }
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_unclear_when_a_second_begins() {
        let mut clock = Clock::start();
        clock.real -= Duration::seconds(1);
        assert!(clock.is_unclear());
    }

    #[test]
    fn times_in_a_text_are_those_of_its_clock() {
        let mut clock = Clock::start();
        clock.now = NaiveDateTime::parse_from_str("2026-11-21 02:03:04", "%F %T").expect("a time");
        assert_eq!(clock.fill("a-<today>.gz < b <1>"), "a-20261121.gz < b <1>");
        assert_eq!(clock.fill("<-1d> <+2h %H><0d %-d>"), "2026-11-20-2:3:4 0421");
        assert_eq!(clock.seen_in_state("2026-11-21-02:03:59"), "now");
        assert_eq!(clock.seen_in_state("2026-11-21-2:0:0"), "hour");
        assert_eq!(clock.seen_in_state("2026-11-20-2:0:0"), "2026-11-20-2:0:0");
    }
}
