//! Amounts: bytes, ages, generations. No disk, no clock.
//!
//! Sizes and times come from directories that others write to and may be anything, so
//! arithmetic here saturates and never panics.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// Bytes on disk. Arithmetic saturates: sizes come from a directory that others
/// write to, and a sum of them may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Bytes(u64);

impl Bytes {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than any disk holds; "no limit" in comparisons.
    pub const MAX: Self = Self(u64::MAX);

    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB (1024 bytes).
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// So many GiB.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Sum; stops at [`Bytes::MAX`].
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference; stops at zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// What a file of this length occupies in blocks of `block` bytes.
    #[must_use]
    pub const fn in_blocks(self, block: Self) -> Self {
        if block.0 == 0 {
            return self;
        }
        Self(self.0.div_ceil(block.0).saturating_mul(block.0))
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Self::plus)
    }
}

/// For people: `4.0 MiB`, `512 B`. For machines use [`Bytes::get`].
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        for (unit, shift) in UNITS {
            if self.0 >> shift != 0 {
                let tenths = (u128::from(self.0) * 10) >> shift;
                return f.pad(&format!("{}.{} {unit}", tenths / 10, tenths % 10));
            }
        }
        f.pad(&format!("{} B", self.0))
    }
}

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseBytesError {
    /// There is no number in front.
    #[error("`{0}` is not a size; write a whole number and k, M, G or T, such as 64M")]
    NotANumber(String),
    /// A unit that is not one of ours.
    #[error("unknown unit `{0}`; use k, M, G or T (1024-based), or KiB, MiB, GiB, TiB")]
    UnknownUnit(String),
    /// `MB` and the like, which mean different things to different people.
    #[error("`{given}` could mean 1000 or 1024; write `{fix}`")]
    Ambiguous {
        /// What was given.
        given: String,
        /// What to write instead.
        fix: String,
    },
    /// More than 2^64-1 bytes.
    #[error("`{0}` is more than this program can count")]
    TooLarge(String),
}

/// `512`, `512k`, `64M`, `2G`, `1T` (1024-based, as logrotate) and `KiB`, `MiB`, `GiB`, `TiB`.
impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        if digits.is_empty() {
            return Err(ParseBytesError::NotANumber(text.to_owned()));
        }
        let number: u64 = digits.parse().map_err(|_| ParseBytesError::TooLarge(text.to_owned()))?;
        let unit = unit.trim_start();
        let shift = match unit {
            "" | "B" => 0,
            "k" | "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            "T" | "TiB" => 40,
            "kB" | "KB" | "MB" | "GB" | "TB" => {
                let letter = &unit[..1];
                return Err(ParseBytesError::Ambiguous {
                    given: text.to_owned(),
                    fix: format!("{digits}{}iB", letter.to_uppercase()),
                });
            }
            other => return Err(ParseBytesError::UnknownUnit(other.to_owned())),
        };
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or_else(|| ParseBytesError::TooLarge(text.to_owned()))
    }
}

/// A length of time in whole seconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Age(u64);

impl Age {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(n: u64) -> Self {
        Self(n)
    }

    /// So many days of 86,400 seconds.
    #[must_use]
    pub const fn days(n: u64) -> Self {
        Self(n.saturating_mul(86_400))
    }

    /// From `then` to `now`, both in seconds since the epoch. A `then` in the future
    /// is new, not ancient: the age stops at zero.
    #[must_use]
    pub fn between(now: i64, then: i64) -> Self {
        if then >= now { Self(0) } else { Self(now.abs_diff(then)) }
    }

    /// For people, nothing rounded off: `1 d 6 h`.
    #[must_use]
    pub fn in_full(self) -> String {
        let parts = [
            (self.0 / 86_400, "d"),
            (self.0 / 3_600 % 24, "h"),
            (self.0 / 60 % 60, "min"),
            (self.0 % 60, "s"),
        ];
        let said: Vec<_> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count} {unit}"))
            .collect();
        if said.is_empty() { "0 s".to_owned() } else { said.join(" ") }
    }

    /// In seconds.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0
    }

    /// Whole days that have passed.
    #[must_use]
    pub const fn whole_days(self) -> u64 {
        self.0 / 86_400
    }
}

/// For people: `3 d`, `5 h`, `40 s`.
impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            s if s >= 86_400 => format!("{} d", s / 86_400),
            s if s >= 3_600 => format!("{} h", s / 3_600),
            s if s >= 60 => format!("{} min", s / 60),
            s => format!("{s} s"),
        };
        f.pad(&text)
    }
}

/// Where an archive stands behind its log. 1 is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Generation(NonZeroU32);

impl Generation {
    /// The newest archive.
    pub const NEWEST: Self = Self(NonZeroU32::MIN);

    /// The generation of the archive at `index` in a list that is sorted newest first.
    #[must_use]
    pub fn from_index(index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX - 1);
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    /// 1 is the newest.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_the_units_of_logrotate_and_the_iec_ones() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512k", 512 << 10),
            ("1K", 1 << 10),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("64 MiB", 64 << 20),
            ("2G", 2 << 30),
            ("1T", 1 << 40),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(text.parse::<Bytes>().map(Bytes::get), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn h32_sizes_that_could_mean_two_things_or_nothing_are_refused_with_the_fix() {
        let error = |text: &str| text.parse::<Bytes>().map_err(|e| e.to_string());
        assert_eq!(
            error("10 MB"),
            Err("`10 MB` could mean 1000 or 1024; write `10MiB`".to_owned())
        );
        for bad in [
            "",
            "M",
            "-1",
            "1.5M",
            "NaN",
            "inf",
            "0x10",
            "10 parsec",
            "18446744073709551616",
            "16777216T",
        ] {
            assert!(error(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn h58_an_age_is_never_negative() {
        assert_eq!(Age::between(100, 200), Age::seconds(0));
        assert_eq!(Age::between(200, 100), Age::seconds(100));
        assert_eq!(Age::between(i64::MAX, i64::MIN), Age::seconds(u64::MAX));
    }

    #[test]
    fn h08_sums_of_sizes_saturate() {
        assert_eq!(Bytes::MAX.plus(Bytes::new(1)), Bytes::MAX);
        assert_eq!([Bytes::MAX, Bytes::MAX].into_iter().sum::<Bytes>(), Bytes::MAX);
        assert_eq!(Bytes::ZERO.minus(Bytes::new(1)), Bytes::ZERO);
        assert_eq!(Bytes::MAX.to_string(), "16777215.9 TiB");
    }

    #[test]
    fn an_age_in_full_loses_nothing() {
        for (seconds, text) in
            [(0, "0 s"), (86_400, "1 d"), (108_000, "1 d 6 h"), (90_061, "1 d 1 h 1 min 1 s")]
        {
            assert_eq!(Age::seconds(seconds).in_full(), text);
        }
    }
}
