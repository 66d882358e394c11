//! logrotate's state file: when each log was rotated last.
//!
//! Pure text to entries and back; reading and replacing the file is the caller's. The state is
//! a hint: a lost one makes logs due later, never larger than their quota. Names are compared
//! as text and never opened.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use chrono::{Datelike as _, Days, NaiveDate, NaiveDateTime, TimeDelta, Timelike as _};

use super::words;

/// The first lines that a state file may have.
pub const TOP_LINES: [&str; 2] = ["logrotate state -- version 1", "logrotate state -- version 2"];

/// Entries of logs that no run has seen for so long are dropped, in seconds (365.24 days).
const FORGET_AFTER: i64 = 31_556_926;

/// When each log was rotated last, by the local clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    // Unsorted: each log asks for its own, and the order matters only when it is written.
    entries: HashMap<Box<OsStr>, NaiveDateTime>,
}

/// Where a state file stops making sense. What stood before is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The first line is not that of version 1 or 2. No entry is used.
    #[error("bad top line in state file")]
    TopLine,
    /// A line that is no entry.
    #[error("bad line {line} in state file")]
    Line {
        /// Which, 1 the first.
        line: usize,
    },
    /// The last line, without its newline: a torn write.
    #[error("line {line} without an end in state file")]
    Torn {
        /// Which, 1 the first.
        line: usize,
    },
    /// A number out of its range.
    #[error("bad {part} {found} in line {line} of state file")]
    Date {
        /// Which, 1 the first.
        line: usize,
        /// Year, month, day, hour, minute or second.
        part: &'static str,
        /// The number.
        found: i32,
        /// Whose entry it is.
        name: OsString,
    },
}

impl State {
    /// Reads the text of a state file, of version 1 or 2. At the first bad line reading stops:
    /// the entries before it are there, those after it are lost, and the error says where.
    /// An empty text is a state without entries.
    #[must_use]
    pub fn parse(text: &[u8]) -> (Self, Option<StateError>) {
        let mut state = Self::default();
        let error = state.read(text).err();
        (state, error)
    }

    fn read(&mut self, text: &[u8]) -> Result<(), StateError> {
        // At once: what grows piece by piece leaves holes behind it.
        self.entries.reserve(text.iter().filter(|byte| **byte == b'\n').count());
        for (line, content) in (1..).zip(text.split_inclusive(|b| *b == b'\n')) {
            let Some(content) = content.strip_suffix(b"\n") else {
                // A torn write: what is there may be part of a longer entry.
                return Err(match line {
                    1 => StateError::TopLine,
                    _ => StateError::Torn { line },
                });
            };
            if line == 1 {
                if !TOP_LINES.iter().any(|line| line.as_bytes() == content) {
                    return Err(StateError::TopLine);
                }
            } else if !content.iter().all(|b| words::is_space(*b)) {
                let (name, at) = entry(content, line)?;
                self.entries.insert(name.into_boxed_os_str(), at);
            }
        }
        Ok(())
    }

    /// The text to write, as version 2, sorted by name. [`State::parse`] gives the same state
    /// back; times outside the years 1970 to 2100 are moved to that range's edge, because
    /// logrotate would give the file up there.
    #[must_use]
    pub fn format(&self) -> Vec<u8> {
        // At once, with room for quotes, blank and date: what grows is copied each time.
        let names: usize = self.entries.keys().map(|name| name.len().saturating_add(24)).sum();
        let mut text = Vec::with_capacity(names.saturating_add(64));
        text.extend_from_slice(b"logrotate state -- version 2\n");
        for (name, at) in self.iter() {
            text.push(b'"');
            for byte in name.as_bytes() {
                match byte {
                    b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
                    b'\n' => text.extend_from_slice(b"\\n"),
                    byte => text.push(*byte),
                }
            }
            text.extend_from_slice(b"\" ");
            let at = within_range(at);
            let _ = writeln!(
                text,
                "{}-{}-{}-{}:{}:{}",
                at.year(),
                at.month(),
                at.day(),
                at.hour(),
                at.minute(),
                at.second()
            );
        }
        text
    }

    /// When this log was rotated last. `/var//log/x` is another name than `/var/log/x`.
    #[must_use]
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<NaiveDateTime> {
        self.entries.get(name.as_ref()).copied()
    }

    /// Makes room for so many more entries.
    pub fn reserve(&mut self, entries: usize) {
        self.entries.reserve(entries);
    }

    /// Notes a rotation. A name that is empty or has a NUL byte is no file's and is not noted.
    pub fn set(&mut self, name: impl Into<OsString>, at: NaiveDateTime) {
        let name = name.into();
        if !name.is_empty() && !name.as_bytes().contains(&0) {
            self.entries.insert(name.into_boxed_os_str(), at);
        }
    }

    /// Drops the entries of logs that `found` does not know and that were rotated more than
    /// 31,556,926 seconds (365.24 days) before `now`.
    pub fn prune(&mut self, now: NaiveDateTime, found: impl Fn(&OsStr) -> bool) {
        self.entries.retain(|name, at| !is_forgettable(now, *at) || found(name));
    }

    /// All entries, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, NaiveDateTime)> {
        let mut entries: Vec<(&OsStr, NaiveDateTime)> =
            self.entries.iter().map(|(name, at)| (&**name, *at)).collect();
        entries.sort_unstable();
        entries.into_iter()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Whether an entry is so old that it goes if its log was not found (365.24 days, as in
/// logrotate).
#[must_use]
pub fn is_forgettable(now: NaiveDateTime, at: NaiveDateTime) -> bool {
    now.signed_duration_since(at) > TimeDelta::seconds(FORGET_AFTER)
}

/// What a log gets that is seen first at `now`: the hour it is. So it is not due in its first
/// hour, day, week, month or year.
#[must_use]
pub fn first_seen(now: NaiveDateTime) -> NaiveDateTime {
    now.date().and_hms_opt(now.hour(), 0, 0).unwrap_or(now)
}

fn within_range(at: NaiveDateTime) -> NaiveDateTime {
    let edge = |year, month, day, hour, minute| {
        NaiveDate::from_ymd_opt(year, month, day)
            .and_then(|date| date.and_hms_opt(hour, minute, minute))
            .unwrap_or(at)
    };
    match at.year() {
        1900 | 1970..=2100 => at,
        ..1970 => edge(1970, 1, 1, 0, 0),
        _ => edge(2100, 12, 31, 23, 59),
    }
}

/// A name and a date.
fn entry(content: &[u8], line: usize) -> Result<(OsString, NaiveDateTime), StateError> {
    if let Some(usual) = usual_entry(content) {
        return Ok(usual);
    }
    let bad = StateError::Line { line };
    let (name, rest) = name(content).ok_or_else(|| bad.clone())?;
    if name.is_empty() || name.contains(&0) {
        return Err(bad);
    }
    let words = words::split_slice(rest).map_err(|_| bad.clone())?;
    let [date] = words.as_slice() else { return Err(bad) };
    let date = std::str::from_utf8(&date.text).map_err(|_| bad)?;
    let name = OsString::from_vec(name);
    let at = moment(date, line, &name)?;
    Ok((name, at))
}

/// A line as it is always written, for a name without quotes and backslashes. It says the
/// same as the general way, without its allocations: there may be a million lines.
fn usual_entry(content: &[u8]) -> Option<(OsString, NaiveDateTime)> {
    let rest = content.strip_prefix(b"\"")?;
    let end = rest.iter().position(|b| matches!(b, b'"' | b'\\' | b'\'' | 0))?;
    let (name, rest) = rest.split_at_checked(end)?;
    let date = std::str::from_utf8(rest.strip_prefix(b"\" ")?).ok()?;
    let mut numbers = [0u32; 6];
    let mut parts = date.split(['-', ':']);
    for number in &mut numbers {
        let text = parts.next()?;
        if text.is_empty() || text.len() > 4 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = text.parse().ok()?;
    }
    let [year, month, day, hour, minute, second] = numbers;
    // Everything out of the ordinary is left to the general way, which knows how to say it.
    if parts.next().is_some() || name.is_empty() || !(1970..=2100).contains(&year) {
        return None;
    }
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some((OsString::from_vec(name.to_vec()), date.and_hms_opt(hour, minute, second)?))
}

/// The first word, and what follows the white space behind it. As the words of a configuration,
/// but in double quotes `\\` and `\n` stand for what was written so.
fn name(content: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    let mut quote: Option<u8> = None;
    let mut rest = content.trim_ascii_start();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (quote, *byte) {
            (None, space) if words::is_space(space) => return Some((name, rest)),
            (None, open @ (b'"' | b'\'')) => quote = Some(open),
            (Some(open), close) if close == open => quote = None,
            (_, b'\\') => match (quote, tail) {
                (Some(b'"'), [b'n', tail @ ..]) => {
                    name.push(b'\n');
                    rest = tail;
                }
                (Some(b'"'), [escaped @ (b'"' | b'\\'), tail @ ..])
                | (Some(b'\''), [escaped @ b'\'', tail @ ..])
                | (None, [escaped, tail @ ..]) => {
                    name.push(*escaped);
                    rest = tail;
                }
                _ => name.push(b'\\'),
            },
            (_, literal) => name.push(literal),
        }
    }
    // Nothing behind it, so no date.
    None
}

/// `Y-M-D` or `Y-M-D-h[:m[:s]]`. Read as scanf(3) does, up to where it is something else.
fn moment(text: &str, line: usize, name: &OsStr) -> Result<NaiveDateTime, StateError> {
    let mut numbers = Vec::new();
    let mut rest = text;
    for separator in ["", "-", "-", "-", ":", ":"] {
        let Some((number, behind)) = rest.strip_prefix(separator).and_then(number) else { break };
        numbers.push(number);
        rest = behind;
    }
    let [year, month, day, clock @ ..] = numbers.as_slice() else {
        return Err(StateError::Line { line });
    };
    let (year, month, day) = (*year, *month, *day);
    let mut clock = clock.iter().copied();
    let mut next = || clock.next().unwrap_or(0);
    let (hour, minute, second) = (next(), next(), next());
    for (part, found, good) in [
        ("year", year, (1970..=2100).contains(&year) || year == 1900),
        ("month", month, (1..=12).contains(&month)),
        ("day", day, (0..=31).contains(&day)),
        ("hour", hour, (0..=23).contains(&hour)),
        ("minute", minute, (0..=59).contains(&minute)),
        ("second", second, (0..=59).contains(&second)),
    ] {
        if !good {
            let name = name.to_owned();
            return Err(StateError::Date { line, part, found, name });
        }
    }
    let unsigned = |number: i32| u32::try_from(number).unwrap_or_default();
    // Day 0 is the last of the month before, 31 February a day in March, as in C.
    let first = NaiveDate::from_ymd_opt(year, unsigned(month), 1);
    let date = first.and_then(|first| match unsigned(day).checked_sub(1) {
        Some(days) => first.checked_add_days(Days::new(days.into())),
        None => first.pred_opt(),
    });
    date.and_then(|date| date.and_hms_opt(unsigned(hour), unsigned(minute), unsigned(second)))
        .ok_or(StateError::Line { line })
}

/// A whole number at the beginning of a text, white space before it, and what stands behind.
/// One that is too large is as large as can be, and so out of every range.
fn number(text: &str) -> Option<(i32, &str)> {
    let text = text.trim_ascii_start();
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => (-1, digits),
        Some(("+", digits)) => (1, digits),
        _ => (1, text),
    };
    let end = digits.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).filter(|_| end > 0)?;
    Some((digits.parse().unwrap_or(i32::MAX).saturating_mul(sign), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect(text)
    }

    fn parse(lines: &str) -> (State, Option<StateError>) {
        State::parse(format!("logrotate state -- version 2\n{lines}").as_bytes())
    }

    #[test]
    fn entries_are_read_as_logrotate_writes_them() {
        for (line, name, when) in [
            ("\"/var/log/a.log\" 2026-11-21-18:41:36", "/var/log/a.log", "2026-11-21 18:41:36"),
            ("/var/log/a.log 2026-1-2", "/var/log/a.log", "2026-01-02 00:00:00"),
            (" '/a b'  2026-01-02-3", "/a b", "2026-01-02 03:00:00"),
            ("/a\\ b 2026-1-2-3:4\t", "/a b", "2026-01-02 03:04:00"),
            (r#""/q\"b\\c\nd" 2026-1-2-3:4:5"#, "/q\"b\\c\nd", "2026-01-02 03:04:05"),
            (r#""/a\b" 2026-1-2"#, "/a\\b", "2026-01-02 00:00:00"),
            ("/a 2026-3-0", "/a", "2026-02-28 00:00:00"),
            ("/a 2026-2-31", "/a", "2026-03-03 00:00:00"),
            ("/a 1970-1-0", "/a", "1969-12-31 00:00:00"),
            ("/a 1900-1-1", "/a", "1900-01-01 00:00:00"),
            ("relative.log 2026-1-2", "relative.log", "2026-01-02 00:00:00"),
            ("/a +2026-+1-+2", "/a", "2026-01-02 00:00:00"),
            ("/a \"2026- 1- 2\"", "/a", "2026-01-02 00:00:00"),
            ("/a 2026-1-2-3:4x", "/a", "2026-01-02 03:04:00"),
            ("/a 2026-1-2-3-4", "/a", "2026-01-02 03:00:00"),
            ("/a 2026-1-2-3:4:5:6", "/a", "2026-01-02 03:04:05"),
        ] {
            let (state, error) = parse(&format!("{line}\n"));
            assert_eq!((error, state.get(name)), (None, Some(at(when))), "{line}");
        }
    }

    #[test]
    fn a_bad_line_ends_the_reading_and_the_entries_before_it_stay() {
        let bad = |line| Some(StateError::Line { line });
        let date = |part, found| {
            Some(StateError::Date { line: 4, part, found, name: OsString::from("/b") })
        };
        for (line, expected) in [
            ("# comment\n", bad(4)),
            ("/b\n", bad(4)),
            ("/b 2026-1\n", bad(4)),
            ("/b 2026-1-2 x\n", bad(4)),
            ("/b 2026-1-x\n", bad(4)),
            ("/b 2026-1--2\n", date("day", -2)),
            ("/b 2026-1-2--3:0:0\n", date("hour", -3)),
            ("\"/b 2026-1-2\n", bad(4)),
            ("/b\0 2026-1-2\n", bad(4)),
            ("'' 2026-1-2\n", bad(4)),
            ("/b 2026-1-2", bad(4)),
            ("/b 1969-1-2\n", date("year", 1969)),
            ("/b 2101-1-2\n", date("year", 2101)),
            ("/b 2026-0-2\n", date("month", 0)),
            ("/b 2026-13-2\n", date("month", 13)),
            ("/b 2026-1-32\n", date("day", 32)),
            ("/b 2026-1-2-24\n", date("hour", 24)),
            ("/b 2026-1-2-3:60\n", date("minute", 60)),
            ("/b 2026-1-2-3:4:60\n", date("second", 60)),
            ("/b 99999999999-1-2\n", date("year", i32::MAX)),
            ("/b -99999999999-1-2\n", date("year", -i32::MAX)),
        ] {
            let (state, error) = parse(&format!("/a 2026-1-1\n\n{line}/c 2026-1-1\n"));
            let torn = line.ends_with(|c| c != '\n');
            assert_eq!(error, expected, "{line}");
            assert_eq!((state.len(), state.get("/a").is_some()), (1, true), "{line} {torn}");
        }
    }

    #[test]
    fn h34_a_last_line_without_its_end_is_torn_and_not_used() {
        let (state, error) = parse("/a 2026-1-1\n/b 2026-1-2");
        assert_eq!(error, Some(StateError::Torn { line: 3 }));
        assert_eq!((state.len(), state.get("/b")), (1, None));
    }

    #[test]
    fn of_two_lines_for_one_name_the_later_wins_and_names_are_text() {
        let (state, _) = parse("/a 2026-1-1\n/a 2026-1-2\n//a 2026-1-3\n");
        assert_eq!(state.get("/a"), Some(at("2026-01-02 00:00:00")));
        assert_eq!(state.get("//a"), Some(at("2026-01-03 00:00:00")));
    }

    #[test]
    fn other_headers_are_refused_and_no_header_is_fine() {
        assert_eq!(State::parse(b""), (State::default(), None));
        for text in ["logrotate state -- version 3\n", "x\n", "logrotate state -- version 2", "\n"]
        {
            let got = State::parse(format!("{text}/a 2026-1-1\n").as_bytes());
            assert_eq!(got, (State::default(), Some(StateError::TopLine)), "{text}");
        }
        assert_eq!(State::parse(b"logrotate state -- version 1\n/a 2026-1-1\n").0.len(), 1);
    }

    #[test]
    fn h14_a_name_of_any_byte_makes_one_entry_and_comes_back() {
        let mut state = State::default();
        for byte in (1..=255).filter(|b| *b != b'/') {
            state.set(OsString::from_vec(vec![b'/', byte]), at("2026-01-02 03:04:05"));
            state.set(
                OsString::from_vec(vec![b'/', b'x', byte, b'\\', byte]),
                at("2026-01-02 03:04:05"),
            );
        }
        state.set(OsString::from_vec((1..=255).collect()), at("2026-01-02 03:04:05"));
        let text = state.format();
        assert_eq!(text.iter().filter(|b| **b == b'\n').count(), state.len() + 1);
        assert_eq!(State::parse(&text), (state, None));
    }

    #[test]
    fn h34_a_file_cut_at_any_length_gives_the_entries_before_the_cut() {
        let mut state = State::default();
        for name in ["/a b", "/c\n\"d", "/e\\"] {
            state.set(name, at("2026-11-21 18:41:36"));
        }
        let text = state.format();
        for cut in 0..text.len() {
            let (read, error) = State::parse(&text[..cut]);
            let whole_lines = text[..cut].iter().filter(|b| **b == b'\n').count();
            assert_eq!(read.len(), whole_lines.saturating_sub(1), "{cut}");
            let clean = cut == 0 || text[cut - 1] == b'\n';
            assert_eq!(error.is_none(), clean, "{cut}");
        }
    }

    #[test]
    fn old_entries_of_logs_that_are_gone_are_dropped() {
        let now = at("2026-11-21 12:00:00");
        let limit = now - TimeDelta::seconds(FORGET_AFTER);
        let older = limit - TimeDelta::seconds(1);
        let mut state = State::default();
        state.set("/found", older);
        state.set("/gone", older);
        state.set("/recent", limit);
        state.set("/future", at("2099-01-01 00:00:00"));
        state.prune(now, |name| name == "/found");
        let left: Vec<_> = state.iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(left, ["/found", "/future", "/recent"]);
    }

    #[test]
    fn a_time_that_logrotate_would_choke_on_is_moved_to_the_edge() {
        let mut state = State::default();
        state.set("/a", at("1850-01-02 03:04:05"));
        state.set("/b", at("3000-01-02 03:04:05"));
        state.set("", at("2026-01-02 03:04:05"));
        state.set("a\0b", at("2026-01-02 03:04:05"));
        assert_eq!(
            String::from_utf8_lossy(&state.format()),
            "logrotate state -- version 2\n\"/a\" 1970-1-1-0:0:0\n\"/b\" 2100-12-31-23:59:59\n"
        );
    }

    #[test]
    fn a_log_seen_first_gets_the_hour() {
        assert_eq!(first_seen(at("2026-11-21 18:41:36")), at("2026-11-21 18:00:00"));
    }

    #[test]
    fn h34_two_hundred_thousand_entries_take_no_minutes() {
        let mut state = State::default();
        for n in 0..200_000 {
            state.set(format!("/var/log/{n}"), at("2000-01-01 00:00:00"));
        }
        let (mut state, error) = State::parse(&state.format());
        assert_eq!((state.len(), error), (200_000, None));
        state.prune(at("2026-11-21 18:41:36"), |_| false);
        assert!(state.is_empty());
    }

    proptest! {
        #[test]
        fn h14_writing_and_reading_are_inverse(
            entries in prop::collection::btree_map(
                prop::collection::vec(1u8..=255, 1..20),
                0i64..4_102_444_800,
                0..8,
            )
        ) {
            let mut state = State::default();
            for (name, seconds) in entries {
                let at = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
                state.set(OsString::from_vec(name), at.naive_utc());
            }
            prop_assert_eq!(State::parse(&state.format()), (state, None));
        }
    }
}
