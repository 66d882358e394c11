//! Values that logrotate reads otherwise than our own dialect does.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::super::diagnostic::show;
use super::super::settings::Settings;
use super::super::values::{Argument, Problem, one_word};
use super::super::words;
use crate::naming::{DateFormat, DateFormatError};
use crate::units::Bytes;

/// A size as logrotate has it: digits, and at most one of `k K M G` behind them.
pub(in super::super) fn size(a: &Argument<'_>, text: &str) -> Result<Bytes, Problem> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, unit @ ('k' | 'K' | 'M' | 'G'))) => {
            let shift = match unit {
                'M' => 20,
                'G' => 30,
                _ => 10,
            };
            (text.get(..at).unwrap_or_default(), shift)
        }
        Some((_, unit)) if !unit.is_ascii_digit() => {
            let help = "write a whole number, and k, M or G right behind it";
            return Err(a
                .expected("a size", help)
                .classic(format!("unknown unit '{}'", show(unit.to_string()))));
        }
        _ => (text, 0),
    };
    let number = words::number(digits).and_then(|number| u64::try_from(number).ok());
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.map(Bytes::new).ok_or_else(|| {
        a.expected("a size", "write a whole number, and k, M or G right behind it")
            .classic(format!("bad size '{}'", show(digits)))
    })
}

/// `dateformat`. One that cannot be used is an error only for the blocks that date their
/// archives by it.
pub(in super::super) fn set_date_format(s: &mut Settings, text: &str) {
    let too_long = || format!("Date format {} is too long", show(text));
    (s.date_format, s.bad_date) = match DateFormat::new(text) {
        Ok(_) if pattern_len(text) > DATE_PATTERN_MAX => (None, Some(too_long())),
        Ok(format) => (Some(format), None),
        Err(DateFormatError::TooLong(_)) => (None, Some(too_long())),
        Err(error) => (None, Some(error.to_string())),
    };
}

/// How long the pattern may be by which logrotate finds dated archives, in bytes.
const DATE_PATTERN_MAX: usize = 127;

/// How long that pattern is: five bytes for a digit.
fn pattern_len(format: &str) -> usize {
    let mut len = 0usize;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        let field = chars.next_if(|field| c == '%' && "YmdHMSVsGgyjUWuwz".contains(*field));
        len = len.saturating_add(match field {
            None => c.len_utf8(),
            Some('Y' | 'G') => 20,
            Some('s') => 50,
            Some('j') => 15,
            Some('u' | 'w') => 5,
            Some('z') => 24,
            Some(_) => 10,
        });
    }
    len
}

/// `mail`: one word that can be printed.
pub(in super::super) fn mail_address(a: &Argument<'_>) -> Result<String, Problem> {
    let text = a.text()?;
    if text.contains(char::is_whitespace) {
        return Err(a.expected("one address without blanks", "correct it"));
    }
    Ok(text.to_owned())
}

/// `compresscmd`, any program. The suffix of those that are known comes with it.
pub(in super::super) fn compressor(s: &mut Settings, a: &Argument<'_>) -> Result<(), Problem> {
    let command = one_word(a)?;
    let name = command.rsplit_once('/').map_or(command, |(_, name)| name);
    let suffix = match name {
        "gzip" => Some(".gz"),
        "bzip2" => Some(".bz2"),
        "xz" => Some(".xz"),
        "zstd" => Some(".zst"),
        "compress" => Some(".Z"),
        "zip" => Some(".zip"),
        _ => None,
    };
    if let Some(suffix) = suffix {
        s.suffix = Some(suffix.to_owned());
    }
    s.compressor = Some(command.to_owned());
    Ok(())
}

/// `compressoptions`, for any program.
pub(in super::super) fn options(a: &Argument<'_>) -> Result<Vec<OsString>, Problem> {
    if a.bytes.is_empty() || a.bytes.contains(&0) {
        return Err(a.wrong("`compressoptions` needs a value", "give a level such as `-9`"));
    }
    let (words, _) = words::split_leniently(a.bytes.iter().copied().enumerate());
    Ok(words.into_iter().map(|word| OsString::from_vec(word.text)).collect())
}
