//! How archives are called: format and strict parse, exact inverses of each other.
//!
//! A name is only taken for an archive if it is one that we or logrotate could have
//! written for a log of that name; a prefix is not a name.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Datelike as _, Utc};

pub use self::date::{DateFormat, DateFormatError, DateShift};
use crate::error::{Error, Result};

mod date;
mod temp;

pub use self::temp::{head_name, is_head_shape, is_temporary_shape, temporary_name};

/// What stands between a log's name and the compression suffix of its archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Label {
    /// `.N`: the higher, the older.
    Number(u32),
    /// A date in the log's format. Shared: logs are rotated together.
    Date(Arc<Date>),
    /// `.SEQUENCE-TIME`: the sequence number decides the order, the time is for people.
    Sequence {
        /// The higher, the newer.
        number: u64,
        /// Seconds since the epoch.
        at: i64,
    },
}

/// A date in the name of an archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// What orders: year, month, day, hour, minute, second as far as the format has them.
    pub key: Box<[i64]>,
    /// The text in the name.
    pub text: Box<str>,
}

/// A file name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArchiveName {
    /// Which archive of its log it is.
    pub label: Label,
    /// Compression suffix with its dot; empty for a plain archive.
    pub suffix: String,
    /// Whether the name is in the style the policy asks for (and not in another that we or
    /// logrotate write).
    pub own_style: bool,
}

impl ArchiveName {
    /// Whether it is not compressed.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.suffix.is_empty()
    }

    /// Newest first. Sequence numbers are newer than numbered archives, which are newer
    /// than dated ones: that is the order in which a log moves between the styles.
    #[must_use]
    pub fn newest_first(&self, other: &Self) -> Ordering {
        newest_first(
            (self.own_style, &self.label, &self.suffix),
            (other.own_style, &other.label, &other.suffix),
        )
    }
}

/// See [`ArchiveName::newest_first`]: of whether it is in the policy's own style, label and suffix.
pub(crate) fn newest_first(
    (own, label, suffix): (bool, &Label, &str),
    (other_own, other, other_suffix): (bool, &Label, &str),
) -> Ordering {
    let rank = |label: &Label| match label {
        Label::Sequence { .. } => 0,
        Label::Number(_) => 1,
        Label::Date(_) => 2,
    };
    let by_style = other_own.cmp(&own).then(rank(label).cmp(&rank(other)));
    by_style
        .then_with(|| match (label, other) {
            (Label::Number(a), Label::Number(b)) => a.cmp(b),
            (Label::Sequence { number: a, at: s }, Label::Sequence { number: b, at: t }) => {
                b.cmp(a).then(t.cmp(s))
            }
            (Label::Date(a), Label::Date(b)) => b.cmp(a),
            _ => Ordering::Equal,
        })
        // A plain file is what a compressed one of the same label is made from.
        .then_with(|| suffix.cmp(other_suffix))
}

/// How new archives are labelled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Style {
    /// logrotate's numbers; the newest gets `start`, the others move up.
    Numbered {
        /// Number of the newest.
        start: u32,
    },
    /// logrotate's `dateext`.
    Dated {
        /// The format of the date.
        format: DateFormat,
        /// Which moment it names.
        shift: DateShift,
    },
    /// Ours: nothing is ever renamed again.
    Sequence,
}

/// How the archives of a log are called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Naming {
    /// How new archives are labelled.
    pub style: Style,
    /// logrotate's `extension`: moves behind the label if the log's name ends with it.
    pub extension: Option<String>,
    /// logrotate's `addextension`: put behind every label, not doubled.
    pub add_extension: Option<String>,
    /// Compression suffixes that mark an archive, besides [`KNOWN_SUFFIXES`].
    pub extra_suffixes: Vec<String>,
}

/// Suffixes of compressors that logrotate knows, and none.
pub const KNOWN_SUFFIXES: [&str; 8] = ["", ".gz", ".zst", ".bz2", ".xz", ".Z", ".zip", ".lz4"];

impl Default for Naming {
    fn default() -> Self {
        Self::numbered(1)
    }
}

impl Naming {
    fn of(style: Style) -> Self {
        Self { style, extension: None, add_extension: None, extra_suffixes: Vec::new() }
    }

    /// `app.log.1`, `app.log.2.gz`.
    #[must_use]
    pub fn numbered(start: u32) -> Self {
        Self::of(Style::Numbered { start })
    }

    /// `app.log-20261121.gz`.
    #[must_use]
    pub fn dated(format: DateFormat, shift: DateShift) -> Self {
        Self::of(Style::Dated { format, shift })
    }

    /// `app.log.0000000042-20261121T184136Z.zst`.
    #[must_use]
    pub fn sequence() -> Self {
        Self::of(Style::Sequence)
    }

    /// Whether archives can be told from their names.
    ///
    /// # Errors
    ///
    /// [`Error::Policy`] if an extension is empty or has a slash.
    pub fn validate(&self) -> Result<()> {
        for text in self.extension.iter().chain(&self.add_extension).chain(&self.extra_suffixes) {
            if text.is_empty() || text.contains(['/', '\0']) {
                return Err(Error::Policy(format!(
                    "`{}` cannot be an extension",
                    text.escape_default()
                )));
            }
        }
        Ok(())
    }

    /// The log's name without the extension that moves, and what goes behind the label.
    fn split_extension<'a>(&'a self, log: &'a OsStr) -> (&'a [u8], &'a str) {
        let bytes = log.as_bytes();
        for extension in [&self.extension, &self.add_extension].into_iter().flatten() {
            if let Some(base) = bytes.strip_suffix(extension.as_bytes()) {
                return (base, extension);
            }
        }
        (bytes, self.add_extension.as_deref().unwrap_or(""))
    }

    /// The file name of an archive of `log`.
    #[must_use]
    pub fn format(&self, log: &OsStr, label: &Label, suffix: &str) -> OsString {
        let (base, extension) = self.split_extension(log);
        let mut name = base.to_vec();
        name.extend_from_slice(label_text(label).as_bytes());
        name.extend_from_slice(extension.as_bytes());
        name.extend_from_slice(suffix.as_bytes());
        OsString::from_vec(name)
    }

    /// Takes `name` apart if it is an archive of `log`.
    #[must_use]
    pub fn parse(&self, log: &OsStr, name: &OsStr) -> Option<ArchiveName> {
        self.split(name).into_iter().find(|(of, _)| of == log).map(|(_, parsed)| parsed)
    }

    /// Every log that `name` could be an archive of, most specific first. Empty for most
    /// names, one for most archives, seldom more.
    #[must_use]
    pub fn split(&self, name: &OsStr) -> Vec<(OsString, ArchiveName)> {
        let mut found: Vec<(OsString, ArchiveName)> = Vec::new();
        let bytes = name.as_bytes();
        // Every label ends in a digit or has fixed text of the format behind it; only a
        // name with a digit can be an archive. Most logs have none and stop here.
        if !bytes.iter().any(u8::is_ascii_digit) {
            return found;
        }
        let extra = self.extra_suffixes.iter().map(String::as_str);
        for suffix in KNOWN_SUFFIXES.into_iter().chain(extra) {
            let Some(rest) = bytes.strip_suffix(suffix.as_bytes()) else { continue };
            for extension in [self.extension.as_deref(), self.add_extension.as_deref(), Some("")] {
                let Some(extension) = extension else { continue };
                let Some(rest) = rest.strip_suffix(extension.as_bytes()) else { continue };
                if !self.may_end_in_label(rest) {
                    continue;
                }
                for (base, label, own_style) in self.split_label(rest) {
                    let parsed = ArchiveName { label, suffix: suffix.to_owned(), own_style };
                    for tail in [extension, ""] {
                        let mut log = base.to_vec();
                        log.extend_from_slice(tail.as_bytes());
                        if log.is_empty() {
                            continue;
                        }
                        let log = OsString::from_vec(log);
                        // Only what `format` would have written counts.
                        if self.format(&log, &parsed.label, suffix).as_bytes() == bytes
                            && !found.iter().any(|(known, _)| *known == log)
                        {
                            found.push((log, parsed.clone()));
                        }
                    }
                }
            }
        }
        found
    }

    /// Every label ends in a digit, or in the `Z` of a sequence, or as a format of the
    /// configuration wants it. Most names do not, and are not taken apart.
    fn may_end_in_label(&self, rest: &[u8]) -> bool {
        let has_own_end = match &self.style {
            Style::Dated { format, .. } => format.has_text_end(),
            _ => false,
        };
        has_own_end || rest.last().is_some_and(|end| end.is_ascii_digit() || *end == b'Z')
    }

    /// Labels at the end of `rest`: the policy's own style first, then the others that we
    /// or logrotate write by default.
    fn split_label<'a>(&self, rest: &'a [u8]) -> Vec<(&'a [u8], Label, bool)> {
        let mut found = Vec::new();
        let is = |style: &Style, found: &mut Vec<_>, own: bool| {
            let split = match style {
                Style::Numbered { start } => split_number(rest, *start),
                Style::Sequence => split_sequence(rest),
                Style::Dated { format, .. } => {
                    format.split(rest).map(|(base, date)| (base, Label::Date(Arc::new(date))))
                }
            };
            found.extend(split.map(|(base, label)| (base, label, own)));
        };
        is(&self.style, &mut found, true);
        if !matches!(self.style, Style::Numbered { .. }) {
            is(&Style::Numbered { start: 1 }, &mut found, false);
        }
        if !matches!(self.style, Style::Sequence) {
            is(&Style::Sequence, &mut found, false);
        }
        if !matches!(self.style, Style::Dated { .. }) {
            static DEFAULTS: LazyLock<Vec<Style>> = LazyLock::new(|| {
                let style = |format| Style::Dated { format, shift: DateShift::default() };
                DateFormat::defaults().into_iter().map(style).collect()
            });
            DEFAULTS.iter().for_each(|style| is(style, &mut found, false));
            let day = split_day(rest).map(|(base, date)| (base, Label::Date(Arc::new(date))));
            found.extend(day.map(|(base, label)| (base, label, false)));
        }
        found
    }
}

/// The text of a label as it stands in a name.
fn label_text(label: &Label) -> String {
    match label {
        Label::Number(n) => format!(".{n}"),
        Label::Date(date) => date.text.to_string(),
        Label::Sequence { number, at } => {
            let at = DateTime::<Utc>::from_timestamp(*at, 0).unwrap_or_default();
            format!(".{number:010}-{}", at.format("%Y%m%dT%H%M%SZ"))
        }
    }
}

/// The label of an archive that is made at `at` (seconds since the epoch) with this number.
/// Times outside the years 1970 to 9999 are moved to that range's edge.
#[must_use]
pub fn sequence_label(number: u64, at: i64) -> Label {
    Label::Sequence { number, at: at.clamp(0, 253_402_300_799) }
}

/// So many archives at most have a number: each is renamed in every rotation. A larger number is a
/// day or a month (`.20261121`, `.202611`), and of those the largest is the newest.
const NUMBERED_MAX: u32 = 100_000;

fn split_number(rest: &[u8], start: u32) -> Option<(&[u8], Label)> {
    let (base, digits) = split_digits(rest);
    let base = base.strip_suffix(b".")?;
    // logrotate writes no leading zeros.
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    let number = digits.parse().ok().filter(|n| *n <= start.saturating_add(NUMBERED_MAX))?;
    Some((base, Label::Number(number)))
}

/// `.%Y%m%d`, which many configurations have in the place of the default; a real day.
fn split_day(rest: &[u8]) -> Option<(&[u8], Date)> {
    static FORMAT: LazyLock<DateFormat> = LazyLock::new(DateFormat::dotted);
    let (base, date) = FORMAT.split(rest)?;
    let day = chrono::NaiveDate::parse_from_str(&date.text, ".%Y%m%d").ok()?;
    (day.year() >= 1970).then_some((base, date))
}

/// The digits at the end, as text.
fn split_digits(rest: &[u8]) -> (&[u8], &str) {
    let count = rest.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (base, digits) = rest.split_at(rest.len().saturating_sub(count));
    (base, std::str::from_utf8(digits).unwrap_or(""))
}

fn split_sequence(rest: &[u8]) -> Option<(&[u8], Label)> {
    // `.0000000042-20261121T184136Z`
    let rest = rest.strip_suffix(b"Z")?;
    let dash = rest.len().checked_sub("-20261121T184136".len())?;
    let (head, time) = rest.split_at_checked(dash)?;
    let time = std::str::from_utf8(time.strip_prefix(b"-")?).ok()?;
    let at = chrono::NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S").ok()?;
    let (base, digits) = split_digits(head);
    let base = base.strip_suffix(b".")?;
    if digits.len() < 10 || (digits.len() > 10 && digits.starts_with('0')) {
        return None;
    }
    let label = Label::Sequence { number: digits.parse().ok()?, at: at.and_utc().timestamp() };
    Some((base, label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn os(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn names_are_those_of_logrotate() {
        let plain = Naming::numbered(1);
        assert_eq!(plain.format(os("app.log"), &Label::Number(3), ".gz"), "app.log.3.gz");
        let moved = Naming { extension: Some(".log".into()), ..Naming::numbered(1) };
        assert_eq!(moved.format(os("a.log"), &Label::Number(1), ""), "a.1.log");
        assert_eq!(moved.format(os("messages"), &Label::Number(1), ""), "messages.1");
        assert_eq!(moved.format(os(".log"), &Label::Number(1), ""), ".1.log");
        let added = Naming { add_extension: Some(".log".into()), ..Naming::numbered(1) };
        assert_eq!(added.format(os("test"), &Label::Number(1), ""), "test.1.log");
        assert_eq!(added.format(os("test.log"), &Label::Number(1), ""), "test.1.log");
        let ours = Naming::sequence();
        assert_eq!(
            ours.format(os("app.log"), &sequence_label(42, 1_795_286_496), ".zst"),
            "app.log.0000000042-20261121T184136Z.zst"
        );
    }

    #[test]
    fn a_prefix_is_not_a_name() {
        let naming = Naming::numbered(1);
        for name in [
            "app.log",
            "app.log.",
            "app.log.01",
            "app.log.1.bak",
            "app.log.x",
            "app.log.1.gz.tmp",
            "app.log.-1",
            "app.log.99999999999",
            "xapp.log.1",
            ".1",
            "app.log1",
        ] {
            assert_eq!(naming.parse(os("app.log"), os(name)), None, "{name}");
        }
        assert!(naming.parse(os("app.log"), os("app.log.1.gz")).is_some());
        assert!(naming.parse(os("app.log"), os("app.log-20261121")).is_some_and(|p| !p.own_style));
    }

    #[test]
    fn a_day_behind_a_dot_is_no_number() {
        let label = |naming: &Naming, name: &str| {
            naming.parse(os("app.log"), os(name)).map(|parsed| parsed.label)
        };
        let plain = Naming::numbered(1);
        let day = |name: &str| plain.parse(os("app.log"), os(name)).expect(name);
        let (newer, older) = (day("app.log.20261124"), day("app.log.20261120.gz"));
        assert!(matches!(newer.label, Label::Date(_)) && !newer.own_style);
        assert_eq!(newer.newest_first(&older), Ordering::Less);
        for name in ["app.log.202611", "app.log.261124", "app.log.20261324", "app.log.2026112407"] {
            assert_eq!(label(&plain, name), None, "{name}");
        }
        assert_eq!(label(&plain, "app.log.99999"), Some(Label::Number(99_999)));
        let far = Naming::numbered(20_000_000);
        assert_eq!(label(&far, "app.log.20099999"), Some(Label::Number(20_099_999)));
    }

    #[test]
    fn h60_a_sequence_number_decides_the_order_and_not_the_time_in_the_name() {
        let naming = Naming::sequence();
        let parse = |name: &str| naming.parse(os("a"), os(name)).expect(name);
        let newer = parse("a.0000000002-20200101T000000Z");
        let older = parse("a.0000000001-20261121T000000Z.gz");
        assert_eq!(newer.newest_first(&older), Ordering::Less);
    }

    fn namings() -> impl Strategy<Value = Naming> {
        let style = prop_oneof![
            (0u32..5).prop_map(|start| Style::Numbered { start }),
            Just(Style::Sequence),
            prop::sample::select(DateFormat::defaults())
                .prop_map(|format| Style::Dated { format, shift: DateShift::default() }),
        ];
        let extension = || prop::option::of(prop::sample::select(vec![".log", ".txt", ".1"]));
        (style, extension(), extension()).prop_map(|(style, a, b)| Naming {
            style,
            extension: a.map(Into::into),
            add_extension: b.map(Into::into),
            extra_suffixes: vec![".packed".into()],
        })
    }

    fn labels() -> impl Strategy<Value = Label> {
        prop_oneof![
            (0u32..NUMBERED_MAX).prop_map(Label::Number),
            (any::<u64>(), 0i64..253_402_300_799).prop_map(|(n, t)| sequence_label(n, t)),
        ]
    }

    proptest! {
        #[test]
        fn h13_parse_finds_every_log_that_format_was_given(
            naming in namings(),
            label in labels(),
            log in prop::collection::vec(1u8..=255, 1..40),
            suffix in prop::sample::select(vec!["", ".gz", ".zst", ".packed"]),
        ) {
            let log = OsString::from_vec(log.into_iter().filter(|b| *b != b'/').chain([b'x']).collect());
            let name = naming.format(&log, &label, suffix);
            let found = naming.split(&name);
            for (of, parsed) in &found {
                prop_assert_eq!(naming.format(of, &parsed.label, &parsed.suffix), name.clone());
            }
            prop_assert!(
                found.iter().any(|(of, parsed)| *of == log && parsed.label == label),
                "{:?} {:?}", name, found
            );
        }
    }
}
