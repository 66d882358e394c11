//! What is written behind a directive: numbers, sizes, owners, paths.

use std::ffi::OsStr;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr as _;

use super::classic::{phrases, values as classic};
use super::diagnostic::{Fault, Pos, show};
use super::env::Env;
use super::settings::{Level, Settings};
use super::{Dialect, words};
use crate::naming::DateFormat;
use crate::policy::{Codec, Count, Identity, NewFile, Reserve};
use crate::units::Bytes;

/// Why a directive cannot be followed.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is wrong.
    Wrong(Fault),
    /// It is right, and this version does not do it.
    Undone(Fault),
}

/// A directive's value and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument<'a> {
    pub(super) name: &'static str,
    pub(super) bytes: &'a [u8],
    pub(super) pos: Pos,
    pub(super) dialect: Dialect,
}

impl Problem {
    /// With logrotate's words for it.
    pub(super) fn classic(self, words: impl Into<String>) -> Self {
        match self {
            Self::Wrong(fault) => Self::Wrong(fault.classic(words)),
            Self::Undone(fault) => Self::Undone(fault.classic(words)),
        }
    }
}

impl<'a> Argument<'a> {
    pub(super) fn wrong(&self, message: impl Into<String>, help: impl Into<String>) -> Problem {
        // The likeliest mistake of those who know other languages.
        let comment = self.bytes.windows(2).any(|pair| pair == b" #" || pair == b"\t#");
        let help = if comment {
            "a comment cannot stand behind a value; give it a line of its own".to_owned()
        } else {
            help.into()
        };
        let fault = Fault::new(self.pos, message, help);
        Problem::Wrong(fault.classic(phrases::bad_value(self.name, self.bytes)))
    }

    /// As text, without NUL and not empty.
    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        let name = self.name;
        if self.bytes.is_empty() {
            return Err(self
                .wrong(format!("`{name}` needs a value"), "write one behind it on the same line"));
        }
        match std::str::from_utf8(self.bytes) {
            Ok(text) if !text.chars().any(char::is_control) => Ok(text),
            _ => Err(self.wrong(
                format!("the value of `{name}` is no plain text: {}", show(self.bytes)),
                "write it in UTF-8, without control characters",
            )),
        }
    }

    pub(super) fn expected(&self, what: &str, help: &str) -> Problem {
        let found = show(self.bytes);
        self.wrong(format!("`{}` needs {what}, found \"{found}\"", self.name), help)
    }
}

fn integer(a: &Argument<'_>, help: &str) -> Result<i64, Problem> {
    words::number(a.text()?).ok_or_else(|| a.expected("a whole number", help))
}

/// 0 or more.
pub(super) fn whole(a: &Argument<'_>) -> Result<u32, Problem> {
    let help = "write 0 or more";
    u32::try_from(integer(a, help)?).map_err(|_| a.expected("a whole number from 0 up", help))
}

/// 1 or more.
pub(super) fn positive(a: &Argument<'_>) -> Result<NonZeroU32, Problem> {
    let help = "write 1 or more";
    let number = u32::try_from(integer(a, help)?).ok().and_then(NonZeroU32::new);
    number.ok_or_else(|| a.expected("a whole number from 1 up", help))
}

/// `rotate`: 0 or more, or -1.
pub(super) fn count(a: &Argument<'_>) -> Result<Count, Problem> {
    let help = "write 0 or more, or -1 to keep all";
    match integer(a, help)? {
        -1 => Ok(Count::Unlimited),
        number => u32::try_from(number)
            .map(Count::AtMost)
            .map_err(|_| a.expected("a whole number from -1 up", help)),
    }
}

/// An optional day up to `most`; 0 if none is given.
pub(super) fn day(a: &Argument<'_>, most: u8, what: &str) -> Result<u8, Problem> {
    if a.bytes.is_empty() {
        return Ok(0);
    }
    let day = words::number(a.text()?).and_then(|day| u8::try_from(day).ok());
    day.filter(|day| *day <= most).ok_or_else(|| a.expected(what, "correct it, or leave it out"))
}

/// Days; 0 switches off.
pub(super) fn set_days(slot: &mut Option<u32>, a: &Argument<'_>) -> Result<(), Problem> {
    let days = whole(a)?;
    *slot = (days > 0).then_some(days);
    Ok(())
}

/// Whether a blank may stand between a number and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blank {
    /// logrotate's directives.
    Refused,
    /// Ours.
    Allowed,
}

/// A number as C reads it and a unit.
pub(super) fn size(a: &Argument<'_>, blank: Blank) -> Result<Bytes, Problem> {
    let text = a.text()?;
    if a.dialect == Dialect::Logrotate && blank == Blank::Refused {
        return classic::size(a, text);
    }
    if blank == Blank::Refused && text.contains(char::is_whitespace) {
        return Err(a.expected("a size", "write the number and its unit together, such as 64M"));
    }
    let (radix, digits) = words::base(text);
    // Decimal digits are left to `Bytes`; other bases are rewritten for it.
    let decimal = if radix == 10 {
        text.to_owned()
    } else {
        let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        let (digits, unit) = digits.split_at(end);
        match u64::from_str_radix(digits, radix) {
            Ok(number) if !unit.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("{number}{unit}")
            }
            _ => return Err(a.expected("a size", "a number that begins with 0 is octal")),
        }
    };
    Bytes::from_str(&decimal).map_err(|error| {
        let name = a.name;
        a.wrong(format!("`{name}`: {error}"), "write a whole number and k, M, G or T")
    })
}

/// A size; 0 switches off.
pub(super) fn set_size(slot: &mut Option<Bytes>, a: &Argument<'_>) -> Result<(), Problem> {
    let size = size(a, Blank::Refused)?;
    *slot = (size > Bytes::ZERO).then_some(size);
    Ok(())
}

/// A size above 0.
pub(super) fn quota(a: &Argument<'_>) -> Result<Bytes, Problem> {
    let quota = size(a, Blank::Allowed)?;
    if quota == Bytes::ZERO {
        return Err(a.wrong("a quota of 0 bytes would leave no log at all", "write a larger size"));
    }
    Ok(quota)
}

/// A size; 0 for none.
pub(super) fn ballast(a: &Argument<'_>) -> Result<Bytes, Problem> {
    size(a, Blank::Allowed)
}

/// A size, or a part of the file system in percent.
pub(super) fn reserve(a: &Argument<'_>) -> Result<Reserve, Problem> {
    let Some(percent) = a.text()?.strip_suffix('%') else {
        return size(a, Blank::Allowed).map(Reserve::Bytes);
    };
    let percent = words::number(percent.trim_end()).and_then(|number| u8::try_from(number).ok());
    percent.filter(|percent| *percent <= 100).map(Reserve::Percent).ok_or_else(|| {
        a.expected("a size, or a whole number of percent up to 100%", "write it as `2G` or `10%`")
    })
}

/// A set's name: it stands in reports and metrics.
pub(super) fn set_name(a: &Argument<'_>) -> Result<String, Problem> {
    let name = a.text()?;
    if crate::error::printable(name) != name || name.len() > 255 {
        let help = "use plain letters, at most 255 bytes";
        return Err(a.expected("a name that can be printed", help));
    }
    Ok(name.to_owned())
}

/// `dateformat`
pub(super) fn set_date_format(s: &mut Settings, a: &Argument<'_>) -> Result<(), Problem> {
    let text = a.text()?;
    if a.dialect == Dialect::Logrotate {
        classic::set_date_format(s, text);
        return Ok(());
    }
    let format = DateFormat::new(text)
        .map_err(|error| a.wrong(format!("`dateformat`: {error}"), "for example `-%Y%m%d`"))?;
    s.date_format = Some(format);
    Ok(())
}

/// Part of a file name.
pub(super) fn set_suffix(slot: &mut Option<String>, a: &Argument<'_>) -> Result<(), Problem> {
    let text = a.text()?;
    if text.contains('/') {
        return Err(a.expected("the end of a file name", "leave the `/` out"));
    }
    *slot = Some(text.to_owned());
    Ok(())
}

/// A word without blanks.
pub(super) fn one_word<'a>(a: &Argument<'a>) -> Result<&'a str, Problem> {
    let text = a.text()?;
    if text.contains(char::is_whitespace) {
        return Err(a.expected("one word", "options go behind `compressoptions`"));
    }
    Ok(text)
}

/// The codec that a compression program stands for. gzip and zstd are built in, and not started.
pub(super) fn codec(command: &str) -> Option<Codec> {
    let name = match command.rsplit_once('/') {
        Some((_, name)) if command.starts_with('/') => name,
        Some(_) => "",
        None => command,
    };
    match name {
        "gzip" => Some(Codec::Gzip),
        "zstd" => Some(Codec::Zstd),
        _ => None,
    }
}

/// `compressoptions`: a level, if any.
pub(super) fn level(a: &Argument<'_>) -> Result<Option<Level>, Problem> {
    let mut level = None;
    for word in split(a)? {
        level = match word.as_str() {
            "--best" => Some(Level::Best),
            "--fast" => Some(Level::Fast),
            // Neither changes the result here.
            "-q" | "--quiet" | "-n" | "--no-name" => level,
            other => {
                let number = other.strip_prefix('-').filter(|n| n.len() <= 2);
                match number.and_then(|n| n.parse::<u8>().ok()) {
                    Some(number) => Some(Level::Number(i32::from(number))),
                    None => return Ok(Some(Level::Other)),
                }
            }
        };
    }
    if a.bytes.is_empty() {
        return Err(a.wrong("`compressoptions` needs a value", "give a level such as `-9`"));
    }
    Ok(level)
}

/// `olddir`
pub(super) fn old_dir(a: &Argument<'_>, env: &dyn Env) -> Result<PathBuf, Problem> {
    if a.bytes.is_empty() {
        return Err(a.wrong("`olddir` needs a value", "write a folder behind it"));
    }
    if a.bytes.iter().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
        return Err(a.expected("a path without blanks", "choose another folder"));
    }
    let path = at_home(a.bytes, env)
        .ok_or_else(|| a.wrong("there is no home folder for `~`", "write the whole path"))?;
    if a.dialect == Dialect::Own && climbs(&path) {
        return Err(a.expected("a path without `..`", "write the whole path"));
    }
    Ok(path)
}

/// With a leading `~/` replaced. `None` if there is no home.
pub(super) fn at_home(bytes: &[u8], env: &dyn Env) -> Option<PathBuf> {
    match bytes.strip_prefix(b"~/") {
        Some(rest) => Some(env.home()?.join(OsStr::from_bytes(rest))),
        None => Some(PathBuf::from(OsStr::from_bytes(bytes))),
    }
}

/// Whether a path leaves what it names through `..`.
pub(super) fn climbs(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

/// `su`: user and group, both.
pub(super) fn identity(a: &Argument<'_>, env: &dyn Env) -> Result<Identity, Problem> {
    let words = split(a)?;
    match words.as_slice() {
        [user, group] => {
            Ok(Identity { gid: group_of(a, group, env)?, uid: user_of(a, user, env)? })
        }
        [] => Err(a
            .wrong("no user for `su`", "write a user and a group behind it")
            .classic("no user for su")),
        [_] => Err(a
            .wrong("no group for `su`", "write a user and a group behind it")
            .classic("no group for su")),
        _ => Err(a
            .wrong("extra arguments for `su`", "write only a user and a group behind it")
            .classic("extra arguments for su")),
    }
}

/// `create` and `createolddir`: mode owner group; owner group; mode; or nothing. As in older
/// versions of logrotate also mode owner, and owner, where that is the only possible reading.
pub(super) fn new_file(a: &Argument<'_>, env: &dyn Env) -> Result<NewFile, Problem> {
    let words = split(a)?;
    let owned = |mode: Option<u32>, owner: &str, group: &str| {
        let gid = Some(group_of(a, group, env)?);
        Ok(NewFile { mode, uid: Some(user_of(a, owner, env)?), gid })
    };
    let invalid = |word: &str| {
        a.wrong(
            format!("`{}`: \"{}\" is an invalid mode", a.name, show(word)),
            "write octal digits, such as 0640",
        )
        .classic(format!("invalid mode '{}' for {}", show(word), a.name))
    };
    match words.as_slice() {
        [] => Ok(NewFile::default()),
        [one] => match (mode(one), user(one, env)) {
            (Some(mode), _) => Ok(NewFile { mode: Some(mode), ..NewFile::default() }),
            (None, Some(uid)) => Ok(NewFile { uid: Some(uid), ..NewFile::default() }),
            (None, None) => Err(invalid(one)),
        },
        [first, second] => match (user(first, env), mode(first), user(second, env)) {
            (None, Some(mode), Some(uid)) => {
                Ok(NewFile { mode: Some(mode), uid: Some(uid), gid: None })
            }
            _ => owned(None, first, second),
        },
        [first, owner, group] => {
            owned(Some(mode(first).ok_or_else(|| invalid(first))?), owner, group)
        }
        _ => Err(a
            .wrong(
                format!("extra arguments for `{}`", a.name),
                "write at most mode, owner and group",
            )
            .classic(format!("extra arguments for {}", a.name))),
    }
}

fn split(a: &Argument<'_>) -> Result<Vec<String>, Problem> {
    if a.bytes.is_empty() {
        return Ok(Vec::new());
    }
    a.text()?;
    let words = words::split_slice(a.bytes)
        .map_err(|_| a.wrong(format!("a quote behind `{}` is never closed", a.name), "close it"))?;
    Ok(words.into_iter().map(|word| String::from_utf8_lossy(&word.text).into_owned()).collect())
}

fn mode(text: &str) -> Option<u32> {
    let octal =
        !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    octal.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|mode| *mode <= 0o7777)
}

fn user(text: &str, env: &dyn Env) -> Option<u32> {
    env.user_id(text).or_else(|| by_number(text, |id| env.user_exists(id)))
}

fn user_of(a: &Argument<'_>, text: &str, env: &dyn Env) -> Result<u32, Problem> {
    user(text, env).ok_or_else(|| nobody(a, "user", text))
}

fn group_of(a: &Argument<'_>, text: &str, env: &dyn Env) -> Result<u32, Problem> {
    env.group_id(text)
        .or_else(|| by_number(text, |id| env.group_exists(id)))
        .ok_or_else(|| nobody(a, "group", text))
}

fn nobody(a: &Argument<'_>, what: &str, text: &str) -> Problem {
    a.wrong(
        format!("`{}`: unknown {what} '{}'", a.name, show(text)),
        format!("create the {what}, or write its number with a colon before it, such as `:1234`"),
    )
    .classic(format!("unknown {what} '{}'", show(text)))
}

/// An id by number: `:1234` whatever the database says, `1234` if it knows it.
fn by_number(text: &str, exists: impl Fn(u32) -> bool) -> Option<u32> {
    let (digits, forced) = match text.strip_prefix(':') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The highest id means "leave it" to the system.
    let id = digits.parse().ok().filter(|id| *id != u32::MAX)?;
    (forced || exists(id)).then_some(id)
}
