//! Patterns of file names, as the C library's `glob(3)` understands them.
//!
//! The `glob` crate only compares one component with one name here; it never walks.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use glob::{MatchOptions, Pattern};

#[cfg(feature = "logrotate")]
mod meet;

#[cfg(feature = "logrotate")]
pub(crate) use self::meet::{is_wild, meet};

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// An absolute path with wildcards, taken apart.
#[derive(Debug)]
pub(super) struct PathPattern {
    /// The folders before the first wildcard.
    pub(super) root: PathBuf,
    /// The folders from the first wildcard on.
    pub(super) folders: Vec<Component>,
    /// The name of the log.
    pub(super) last: Component,
}

/// One component of a path.
#[derive(Debug)]
pub(crate) enum Component {
    /// A name.
    Literal(OsString),
    /// A pattern.
    Wild(Matcher),
}

impl PathPattern {
    /// Takes a pattern apart; says in words why it cannot be one.
    pub(super) fn parse(pattern: &OsStr) -> Result<Self, &'static str> {
        let bytes = pattern.as_bytes();
        if !bytes.starts_with(b"/") {
            return Err("the path of a log must be absolute");
        }
        if bytes.ends_with(b"/") {
            return Err("this names a folder, not a log");
        }
        if bytes.contains(&0) {
            return Err("no path can have a NUL byte");
        }
        let mut root = PathBuf::from("/");
        let mut folders: Vec<Component> = Vec::new();
        let mut parts = bytes.split(|b| *b == b'/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            if part == b"." || part == b".." {
                return Err("`.` and `..` cannot be part of the path of a log");
            }
            let component = Component::parse(part);
            if parts.peek().is_none() {
                return Ok(Self { root, folders, last: component });
            }
            match component {
                Component::Literal(name) if folders.is_empty() => root.push(name),
                other => folders.push(other),
            }
        }
        Err("this names a folder, not a log")
    }
}

impl Component {
    /// Takes one component apart, backslashes included.
    pub(crate) fn parse(part: &[u8]) -> Self {
        let text = std::str::from_utf8(part).ok().map(|text| translate(text.chars()));
        let bytes = translate(part.iter().map(|b| char::from(*b)));
        if !bytes.is_wild {
            return Self::Literal(OsString::from_vec(
                bytes.literal.chars().map(low_byte).collect(),
            ));
        }
        let compile = |pattern: &Translated| Pattern::new(&pattern.glob).ok();
        Self::Wild(Matcher {
            starts_with_dot: bytes.glob.starts_with('.'),
            text: text.as_ref().and_then(compile),
            bytes: compile(&bytes),
        })
    }
}

/// A pattern for one name.
#[derive(Debug)]
pub(crate) struct Matcher {
    /// Only then it matches names that do. (To the `glob` crate an empty `*` in front of a
    /// literal dot is good enough, to the C library it is not.)
    starts_with_dot: bool,
    /// Character by character, if the pattern is UTF-8.
    text: Option<Pattern>,
    /// Byte by byte: each byte is the character of that number.
    bytes: Option<Pattern>,
}

impl Matcher {
    /// Whether `name` is one of those that are meant. A name or a pattern that is not UTF-8
    /// is compared byte by byte.
    pub(crate) fn matches(&self, name: &OsStr) -> bool {
        if name.as_bytes().starts_with(b".") && !self.starts_with_dot {
            return false;
        }
        if let (Some(pattern), Some(text)) = (&self.text, name.to_str()) {
            return pattern.matches_with(text, OPTIONS);
        }
        let text: String = name.as_bytes().iter().map(|b| char::from(*b)).collect();
        self.bytes.as_ref().is_some_and(|pattern| pattern.matches_with(&text, OPTIONS))
    }
}

/// The byte that a character of a byte-by-byte pattern stands for.
fn low_byte(c: char) -> u8 {
    u8::try_from(u32::from(c)).unwrap_or(b'?')
}

#[derive(Debug, Default)]
struct Translated {
    /// In the words of the `glob` crate.
    glob: String,
    /// With the backslashes taken away; meaningful where nothing is wild.
    literal: String,
    is_wild: bool,
}

impl Translated {
    fn push_literal(&mut self, c: char) {
        match c {
            '*' | '?' | '[' | ']' => {
                self.glob.push('[');
                self.glob.push(c);
                self.glob.push(']');
            }
            _ => self.glob.push(c),
        }
        self.literal.push(c);
    }
}

fn translate(pattern: impl Iterator<Item = char>) -> Translated {
    let pattern: Vec<char> = pattern.collect();
    let mut out = Translated::default();
    let mut rest = pattern.as_slice();
    let mut after_star = false;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let is_star = *first == '*';
        match first {
            // A run of stars means one; to the `glob` crate two mean something else.
            '*' => {
                if !after_star {
                    out.glob.push('*');
                }
                out.is_wild = true;
            }
            '?' => {
                out.glob.push('?');
                out.is_wild = true;
            }
            '[' => match Class::parse(tail) {
                Some((class, behind)) => {
                    class.write(&mut out.glob);
                    out.is_wild = true;
                    rest = behind;
                }
                None => out.push_literal('['),
            },
            '\\' => match tail.split_first() {
                Some((escaped, behind)) => {
                    out.push_literal(*escaped);
                    rest = behind;
                }
                None => out.push_literal('\\'),
            },
            other => out.push_literal(*other),
        }
        after_star = is_star;
    }
    out
}

/// `[…]`: what it has, as ranges.
#[derive(Debug)]
struct Class {
    is_negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    /// Reads what is behind a `[`; none if it is never closed: then it means itself.
    fn parse(text: &[char]) -> Option<(Self, &[char])> {
        let mut rest = text;
        let mut class = Self { is_negated: false, ranges: Vec::new() };
        if let ['!' | '^', tail @ ..] = rest {
            class.is_negated = true;
            rest = tail;
        }
        let mut is_first = true;
        loop {
            match rest {
                [']', tail @ ..] if !is_first => return Some((class, tail)),
                ['[', ':', tail @ ..] if let_named(tail).is_some() => {
                    let (ranges, behind) = let_named(tail)?;
                    class.ranges.extend_from_slice(ranges);
                    rest = behind;
                }
                _ => {
                    let (low, tail) = one(rest)?;
                    rest = tail;
                    let high = match rest {
                        ['-', next, ..] if *next != ']' => {
                            let (high, tail) = one(rest.split_first()?.1)?;
                            rest = tail;
                            high
                        }
                        _ => low,
                    };
                    class.ranges.push((low, high));
                }
            }
            is_first = false;
        }
    }

    /// Writes it so that the `glob` crate reads the same: there `]` must be first, `-` last,
    /// and `!` anywhere but first.
    fn write(&self, out: &mut String) {
        let has = |c: char| self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
        let mut body = String::new();
        if has(']') {
            body.push(']');
        }
        for (low, high) in &self.ranges {
            write_range(*low, *high, &mut body);
        }
        if has('-') {
            body.push('-');
        }
        if has('!') {
            if body.is_empty() && !self.is_negated {
                // `[!]` is no class there; outside of one it means itself.
                out.push('!');
                return;
            }
            body.push('!');
        }
        if body.is_empty() {
            // Ranges that are upside down have nothing: `[z-a]` matches no character,
            // `[!z-a]` any.
            out.push_str(if self.is_negated { "?" } else { "[\u{10ffff}]" });
            return;
        }
        out.push('[');
        if self.is_negated {
            out.push('!');
        }
        out.push_str(&body);
        out.push(']');
    }
}

/// A range without the three characters that have their own places.
fn write_range(low: char, high: char, body: &mut String) {
    let mut from = low;
    for stop in ['!', '-', ']'] {
        if from <= stop && stop <= high {
            if let Some(before) = previous(stop)
                && from <= before
            {
                push_range(from, before, body);
            }
            match next(stop) {
                Some(behind) => from = behind,
                None => return,
            }
        }
    }
    if from <= high {
        push_range(from, high, body);
    }
}

fn push_range(low: char, high: char, body: &mut String) {
    body.push(low);
    if low != high {
        body.push('-');
        body.push(high);
    }
}

fn previous(c: char) -> Option<char> {
    char::from_u32(u32::from(c).checked_sub(1)?)
}

fn next(c: char) -> Option<char> {
    char::from_u32(u32::from(c).checked_add(1)?)
}

/// One character of a class, perhaps behind a backslash.
fn one(text: &[char]) -> Option<(char, &[char])> {
    match text {
        ['\\', c, tail @ ..] | [c, tail @ ..] => Some((*c, tail)),
        [] => None,
    }
}

type Ranges = &'static [(char, char)];

/// `alpha:]` and the like, in the C locale.
fn let_named(text: &[char]) -> Option<(Ranges, &[char])> {
    const NAMED: [(&str, Ranges); 12] = [
        ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        ("alpha", &[('A', 'Z'), ('a', 'z')]),
        ("blank", &[(' ', ' '), ('\t', '\t')]),
        ("cntrl", &[('\u{1}', '\u{1f}'), ('\u{7f}', '\u{7f}')]),
        ("digit", &[('0', '9')]),
        ("graph", &[('!', '~')]),
        ("lower", &[('a', 'z')]),
        ("print", &[(' ', '~')]),
        ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        ("space", &[(' ', ' '), ('\t', '\r')]),
        ("upper", &[('A', 'Z')]),
        ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
    ];
    NAMED.iter().find_map(|(name, ranges)| {
        let mut rest = text;
        for c in name.chars().chain([':', ']']) {
            let (first, tail) = rest.split_first()?;
            if *first != c {
                return None;
            }
            rest = tail;
        }
        Some((*ranges, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        match Component::parse(pattern.as_bytes()) {
            Component::Literal(literal) => literal == name,
            Component::Wild(matcher) => matcher.matches(OsStr::new(name)),
        }
    }

    #[test]
    fn patterns_mean_what_the_c_library_means() {
        for (pattern, yes, no) in [
            ("*.log", &["a.log", "ä.log"][..], &[".log", ".a.log", "a.LOG", "a.log.1"][..]),
            ("***.log", &["a.log"], &[".log"]),
            ("a**b", &["ab", "axb"], &["a", "ac"]),
            ("?.log", &["a.log", "ö.log"], &["ab.log", "..log"]),
            ("[^a]x", &["bx"], &["ax", ".x"]),
            ("[!a-c]x", &["dx"], &["bx"]),
            ("[]a]x", &["]x", "ax"], &["bx"]),
            ("[a-]x", &["-x", "ax"], &["bx"]),
            ("[!]x", &["[!]x"], &["!x"]),
            ("[!!]x", &["ax"], &["!x"]),
            ("[a!]x", &["!x", "ax"], &["bx"]),
            ("[+-^]x", &["-x", "]x", "Ax", "+x"], &["ax", "*x"]),
            ("[[:digit:]]x", &["1x"], &["ax", ":x"]),
            ("[z-a]x", &[], &["ax", "zx", "-x"]),
            (".*", &[".a", ".."], &["a"]),
            (r"\.*", &[".a"], &["a"]),
            (r"\*.log", &["*.log"], &["a.log"]),
            (r"a\b", &["ab"], &[r"a\b"]),
            (r"[\]]*", &["]a"], &["a"]),
            ("a[b", &["a[b"], &["ab"]),
            ("*[", &["x["], &["x"]),
            (r"*\", &[r"x\"], &["x"]),
            ("*[*]", &["x*"], &["xy"]),
        ] {
            for name in yes {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn h13_names_and_patterns_may_be_any_bytes() {
        let Component::Wild(matcher) = Component::parse(b"a\xff*.l\xc3\xb6g") else {
            panic!("it has a wildcard");
        };
        assert!(matcher.matches(OsStr::from_bytes(b"a\xff\xfe.l\xc3\xb6g")));
        assert!(!matcher.matches(OsStr::from_bytes(b"a\xfe.l\xc3\xb6g")));
        let Component::Wild(matcher) = Component::parse("*.lög".as_bytes()) else {
            panic!("it has a wildcard");
        };
        assert!(matcher.matches(OsStr::from_bytes(b"\xff\xfe.l\xc3\xb6g")));
    }

    #[test]
    fn h03_a_pattern_cannot_climb_out() {
        for bad in ["a.log", "", "/", "/var/log/", "/var/../etc/x", "/./x", "/a/..", "/a\0b"] {
            assert!(PathPattern::parse(OsStr::new(bad)).is_err(), "{bad:?}");
        }
        let good = PathPattern::parse(OsStr::new("//srv///*/log/[ab].log")).expect("a pattern");
        assert_eq!(good.root, PathBuf::from("/srv"));
        assert_eq!(good.folders.len(), 2);
        assert!(matches!(good.last, Component::Wild(_)));
    }
}
