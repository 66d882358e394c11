//! logrotate's `dateformat`: what it prints and what it recognises.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, Duration, FixedOffset, NaiveDate, Timelike as _};

use super::{Date, Label};
use crate::units::Age;

/// Which moment a date names, besides now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DateShift {
    /// 12 o'clock of the day before (`dateyesterday`).
    pub yesterday: bool,
    /// An hour earlier (`datehourago`).
    pub hour_ago: bool,
}

/// A date format that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DateFormat {
    parts: Vec<Part>,
    /// Whether it was written in the configuration: then the date decides the order, else
    /// the text does (the same, for the default formats).
    explicit: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Field(char),
}

/// Why a text is no date format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateFormatError {
    /// It, or what it prints, is too long.
    #[error("date format `{0}` is too long")]
    TooLong(String),
    /// It has a slash: an archive would leave its folder.
    #[error("date format `{0}` has a `/`, which cannot stand in a file name")]
    Slash(String),
    /// It prints the same on every day, so no second archive could be made.
    #[error("date format `{0}` has no date in it; use %Y, %m, %d, %H, %M, %S or %s")]
    NoDate(String),
}

/// Bytes that a formatted date may have, as in logrotate.
const FORMATTED_MAX: usize = 63;

/// How many bytes a field has when printed; all are of fixed width.
fn width(field: char) -> usize {
    match field {
        'Y' | 'G' => 4,
        's' => 10,
        'j' => 3,
        'u' | 'w' => 1,
        'z' => 5,
        _ => 2,
    }
}

impl DateFormat {
    /// Checks a format: `%Y %m %d %H %M %S %V %s %G %g %y %j %U %W %u %w %z`; every other
    /// `%x` is literal text, percent sign included (`dateformat` in logrotate(8)).
    ///
    /// # Errors
    ///
    /// See [`DateFormatError`].
    pub fn new(text: &str) -> Result<Self, DateFormatError> {
        Self::parse(text, true)
    }

    fn parse(text: &str, explicit: bool) -> Result<Self, DateFormatError> {
        if text.contains(['/', '\0']) {
            return Err(DateFormatError::Slash(text.to_owned()));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match chars.peek() {
                Some(field) if c == '%' && "YmdHMSVsGgyjUWuwz".contains(*field) => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Field(*field));
                    chars.next();
                }
                _ => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        let length: usize = parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.len(),
                Part::Field(field) => width(*field),
            })
            .sum();
        if length > FORMATTED_MAX {
            return Err(DateFormatError::TooLong(text.to_owned()));
        }
        if !parts.iter().any(|part| matches!(part, Part::Field(f) if *f != 'z')) {
            return Err(DateFormatError::NoDate(text.to_owned()));
        }
        Ok(Self { parts, explicit })
    }

    fn built_in(text: &str) -> Self {
        Self::parse(text, false).unwrap_or(Self { parts: Vec::new(), explicit: false })
    }

    /// `-%Y%m%d`, logrotate's default.
    #[must_use]
    pub fn daily() -> Self {
        Self::built_in("-%Y%m%d")
    }

    /// `-%Y%m%d%H`, its default with `hourly`.
    #[must_use]
    pub fn hourly() -> Self {
        Self::built_in("-%Y%m%d%H")
    }

    /// `-%Y%m%d%H%M`, its default with `minutes`.
    #[must_use]
    pub fn minutes() -> Self {
        Self::built_in("-%Y%m%d%H%M")
    }

    /// `.%Y%m%d`
    pub(super) fn dotted() -> Self {
        Self::built_in(".%Y%m%d")
    }

    /// The three default formats.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        vec![Self::daily(), Self::hourly(), Self::minutes()]
    }

    /// How far apart two rotations have to be at most for their archives to have different names;
    /// `None` if names come back after a while, as `-%d` does every month.
    #[must_use]
    pub fn step(&self) -> Option<Age> {
        let has = |fields: &str| {
            let has = |part: &Part| matches!(part, Part::Field(f) if fields.contains(*f));
            self.parts.iter().any(has)
        };
        if has("s") {
            return Some(Age::seconds(1));
        }
        // From coarse to fine, each field means something only within those before it.
        let year = has("YyGg");
        let day = has("j") || has("m") && has("d") || has("VUW") && has("uw");
        let rows = [
            (has("S"), has("M") && has("H") && day && year, Age::seconds(1)),
            (has("M"), has("H") && day && year, Age::seconds(60)),
            (has("H"), day && year, Age::seconds(3_600)),
            (has("djuw"), day && year, Age::days(1)),
            (has("VUW"), year, Age::days(7)),
            (has("m"), year, Age::days(31)),
            (year, true, Age::days(366)),
        ];
        let (_, is_unique, step) = rows.into_iter().find(|(has_field, ..)| *has_field)?;
        is_unique.then_some(step)
    }

    /// Whether it ends in text of its own and not in a number.
    pub(super) fn has_text_end(&self) -> bool {
        matches!(self.parts.last(), Some(Part::Text(_)))
    }

    /// The date that a rotation at `now` gets: the text, and what orders it.
    #[must_use]
    pub fn label(&self, now: DateTime<FixedOffset>, shift: DateShift) -> Label {
        let mut at = now;
        if shift.yesterday {
            // The hour alone is set, as logrotate does: minutes and seconds are those of now.
            let noon = at.naive_local();
            let noon = noon.with_hour(12).unwrap_or(noon);
            let noon = noon.checked_sub_signed(Duration::days(1)).unwrap_or(noon);
            at = noon.and_local_timezone(*now.offset()).single().unwrap_or(at);
        }
        if shift.hour_ago {
            at = at.checked_sub_signed(Duration::hours(1)).unwrap_or(at);
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Field('s') => text.push_str(&format!("{:010}", at.timestamp())),
                Part::Field(field) => text.push_str(&at.format(&format!("%{field}")).to_string()),
            }
        }
        let date = self.split(text.as_bytes()).map(|(_, date)| date);
        let date = date.unwrap_or_else(|| Date {
            key: Box::new([
                i64::from(at.year()),
                i64::from(at.month()),
                i64::from(at.day()),
                i64::from(at.hour()),
            ]),
            text: text.clone().into(),
        });
        Label::Date(Arc::new(Date { text: text.into(), ..date }))
    }

    /// Takes the date off the end of `rest`: what stands before it, and the date. Each field is digits of a fixed width; whether that date exists is not asked,
    /// as in logrotate.
    #[must_use]
    pub fn split<'a>(&self, rest: &'a [u8]) -> Option<(&'a [u8], Date)> {
        let mut end = rest.len();
        let mut fields: Vec<(char, i64)> = Vec::new();
        for part in self.parts.iter().rev() {
            match part {
                Part::Text(literal) => {
                    let head = rest.get(..end)?;
                    end = head.strip_suffix(literal.as_bytes())?.len();
                }
                Part::Field(field) => {
                    let start = end.checked_sub(width(*field))?;
                    let digits = std::str::from_utf8(rest.get(start..end)?).ok()?;
                    let number = match field {
                        'z' => digits.strip_prefix(['+', '-'])?,
                        _ => digits,
                    };
                    if !number.bytes().all(|b| b.is_ascii_digit()) {
                        return None;
                    }
                    fields.push((*field, number.parse().ok()?));
                    end = start;
                }
            }
        }
        let (base, text) = rest.split_at_checked(end)?;
        let text = std::str::from_utf8(text).ok()?.into();
        let mut key = Vec::new();
        if self.explicit {
            for wanted in
                ['s', 'Y', 'G', 'y', 'g', 'j', 'm', 'V', 'U', 'W', 'd', 'u', 'w', 'H', 'M', 'S']
            {
                key.extend(fields.iter().filter(|(f, _)| *f == wanted).map(|(_, n)| *n));
            }
        } else {
            key.extend(fields.iter().rev().map(|(_, n)| *n));
        }
        Some((base, Date { key: key.into(), text }))
    }

    /// The moment by which logrotate orders a date that is perhaps none, as strptime(3) and
    /// mktime(3) read it: a number ends where one more digit would be too much (`26` is month 2,
    /// and `6` goes to the next field), reading ends at the first number that is out of its range,
    /// and what was not read is the beginning of 1900. Days that a month does not have go into the
    /// next one. `None` where the text orders, and for fields that 3.21 does not know.
    pub(crate) fn moment(&self, text: &str) -> Option<i64> {
        let is_known =
            |part: &Part| !matches!(part, Part::Field(field) if !"YmdHMSVs".contains(*field));
        (self.explicit && self.parts.iter().all(is_known)).then(|| self.moment_of(text))
    }

    fn moment_of(&self, text: &str) -> i64 {
        let (mut year, mut month, mut days, mut seconds) = (1900, 1, 0, 0);
        let mut rest = text.as_bytes();
        for part in &self.parts {
            let field = match part {
                Part::Text(literal) => match rest.strip_prefix(literal.as_bytes()) {
                    Some(behind) => {
                        rest = behind;
                        continue;
                    }
                    None => break,
                },
                Part::Field(field) => *field,
            };
            let (from, to) = match field {
                'Y' => (0, 9999),
                'm' => (1, 12),
                'd' => (1, 31),
                'H' => (0, 23),
                'M' => (0, 59),
                'S' => (0, 61),
                'V' => (0, 53),
                _ => (0, 9_999_999_999),
            };
            let Some(number) = take_number(&mut rest, width(field), from, to) else { break };
            match field {
                'Y' => year = number,
                'm' => month = number,
                'd' => days = number,
                'H' => seconds += number * 3600,
                'M' => seconds += number * 60,
                'S' => seconds += number,
                's' => return number,
                _ => {}
            }
        }
        let first = i32::try_from(year).ok().zip(u32::try_from(month).ok());
        let first = first.and_then(|(year, month)| NaiveDate::from_ymd_opt(year, month, 1));
        let first = first.and_then(|first| first.and_hms_opt(0, 0, 0));
        first.map_or(0, |first| first.and_utc().timestamp()) + (days - 1) * 86_400 + seconds
    }
}

/// Takes a number off the front of `rest`, of so many digits at most.
fn take_number(rest: &mut &[u8], digits: usize, from: i64, to: i64) -> Option<i64> {
    let mut number: Option<i64> = None;
    for _ in 0..digits {
        let Some((digit, behind)) = rest.split_first().filter(|(d, _)| d.is_ascii_digit()) else {
            break;
        };
        if number.is_some_and(|number| number * 10 > to) {
            break;
        }
        number = Some(number.unwrap_or(0) * 10 + i64::from(digit - b'0'));
        *rest = behind;
    }
    number.filter(|number| (from..=to).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339(text).expect(text)
    }

    fn text(format: &str, now: &str, shift: DateShift) -> String {
        match DateFormat::new(format).expect(format).label(at(now), shift) {
            Label::Date(date) => date.text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dates_are_printed_as_logrotate_prints_them() {
        let now = "2026-11-21T00:30:05+01:00";
        let none = DateShift::default();
        assert_eq!(text("-%Y%m%d", now, none), "-20261121");
        assert_eq!(text(".%Y-%m-%d-%H%M%S", now, none), ".2026-11-21-003005");
        assert_eq!(text("-%s", now, none), "-1795217405");
        assert_eq!(text("-%d%q%%", now, none), "-21%q%%");
        assert_eq!(text("-%G-%V-%u-%j-%y-%z", now, none), "-2026-47-6-325-26-+0100");
        assert_eq!(text("-%d%H", now, DateShift { yesterday: true, hour_ago: false }), "-2012");
        assert_eq!(text("-%d%H", now, DateShift { yesterday: false, hour_ago: true }), "-2023");
        assert_eq!(text("-%d%H", now, DateShift { yesterday: true, hour_ago: true }), "-2011");
    }

    #[test]
    fn the_date_orders_and_not_the_text_when_the_format_is_explicit() {
        let format = DateFormat::new("-%d%m%Y").expect("valid");
        let key = |name: &[u8]| format.split(name).expect("a date").1;
        assert!(key(b"a-01122026") > key(b"a-30112026"));
        assert_eq!(format.split(b"a-0112202x"), None);
    }

    #[test]
    fn dates_that_are_none_are_ordered_as_logrotate_orders_them() {
        let format = DateFormat::new(".%Y-%m-%d").expect("valid");
        let moment = |text: &str| format.moment(text).expect("known fields");
        assert_eq!(moment(".1970-01-02"), 86_400);
        // Read as far as the year only, and so the last day of the year before.
        assert_eq!(moment(".2012-13-01"), moment(".2012-01-32"));
        assert_eq!(moment(".2012-13-01"), moment(".2011-12-31"));
        assert_eq!(moment(".2012-02-30"), moment(".2012-03-01"));
        let format = DateFormat::new("-%d%m%Y").expect("valid");
        let moment = |text: &str| format.moment(text).expect("known fields");
        // The 20th of February 6112.
        assert_eq!(moment("-20261120"), moment("-20026112"));
        assert_eq!(DateFormat::daily().moment("-20261120"), None);
    }

    #[test]
    fn h03_a_date_cannot_leave_the_folder_or_grow_without_bound() {
        assert!(matches!(DateFormat::new("/../%Y"), Err(DateFormatError::Slash(_))));
        assert!(matches!(DateFormat::new(&"%Y".repeat(16)), Err(DateFormatError::TooLong(_))));
        assert!(matches!(DateFormat::new("-old"), Err(DateFormatError::NoDate(_))));
    }

    #[test]
    fn a_format_tells_how_long_its_name_is_taken() {
        for (format, step) in [
            ("-%Y%m%d", Some(Age::days(1))),
            ("-%Y%m%d%H", Some(Age::seconds(3_600))),
            ("-%Y-%m-%dT%H:%M", Some(Age::seconds(60))),
            ("-%Y%j-%H%M%S", Some(Age::seconds(1))),
            ("-%d-%s", Some(Age::seconds(1))),
            ("-%GW%V", Some(Age::days(7))),
            ("-%Y%m", Some(Age::days(31))),
            ("-%y", Some(Age::days(366))),
            ("-%d", None),
            ("-%m%d", None),
            ("-%H", None),
            ("-%Y%m%H", None),
            ("-%u", None),
        ] {
            assert_eq!(DateFormat::new(format).expect("a format").step(), step, "{format}");
        }
    }
}
