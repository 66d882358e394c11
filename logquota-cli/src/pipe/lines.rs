//! Which lines belong together: a line of a log and the stack trace below it are one record.
//!
//! Pure, and told from the text alone: a line is looked at by its first bytes, and by what is
//! right above it. So the last start of a record in a megabyte is found from its end, without
//! reading what is before. What no text can tell is not guessed: the second line of a message
//! that is not indented begins a record.
//!
//! Cutting and buffering are not done here; see [`block`](super::block).

use memchr::{memchr, memmem, memrchr};

/// What the lines so far mean for the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing that waits for more: the beginning, a blank line, a stack frame.
    #[default]
    Nothing,
    /// A line of a log; a `Traceback` or an exception below it is its own.
    Plain,
    /// The first line of a Java or JavaScript stack trace.
    Exception,
    /// A Python traceback whose exception has not come yet.
    Traceback,
    /// The exception line of a Python traceback.
    Raised,
    /// `During handling of the above exception …`: the next traceback belongs to it.
    Chain,
    /// `thread 'main' panicked at …:`, and the message comes in the next line.
    Panicked,
    /// In a stack trace of Go, where each function is a line that is not indented.
    Goroutine,
    /// The line itself has begun and is not at its end.
    HalfLine,
}

/// What a line is, by its own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Blank,
    Indented,
    /// Never begins a record: `Caused by: …`, `... 12 more`, `at …`.
    More,
    Chain,
    Goroutine,
    /// `\t/src/main.go:12 +0x1d`
    GoFile,
    Traceback,
    Panicked,
    Exception,
    /// `main.run(0x1, 0x2)`, `created by main.main`: a frame if Go's trace is right above.
    GoCall,
    /// Anything that starts with a letter; may be the exception line of a traceback.
    Word,
    Other,
}

/// Beginnings of lines that continue a record.
const MORE: [&[u8]; 15] = [
    b"Caused by:",
    b"Suppressed:",
    b"Wrapped by:",
    b"at ",
    b"... ",
    b"--- End of ",
    b"Stack trace:",
    b"stack backtrace:",
    b"note: run with ",
    b"note: Some details ",
    b"exit status ",
    b"[signal ",
    b"}",
    b"]",
    b")",
];

const CHAIN: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred",
    b"The above exception was the direct cause of the following exception",
];

/// How much of a line is looked at. What tells is in its beginning.
const HEAD: usize = 512;

fn kind(line: &[u8]) -> Kind {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(first) = line.first() else { return Kind::Blank };
    let head = line.get(..HEAD).unwrap_or(line);
    match first {
        b' ' | b'\t' if head.iter().all(u8::is_ascii_whitespace) => Kind::Blank,
        b'\t' if memmem::find(head, b".go:").is_some() => Kind::GoFile,
        b' ' | b'\t' => Kind::Indented,
        // `#0 /srv/index.php(12): run()`, `#1 0x4f in run`
        b'#' if head.get(1).is_some_and(u8::is_ascii_digit) => Kind::More,
        _ if MORE.iter().any(|more| head.starts_with(more)) => Kind::More,
        _ if CHAIN.iter().any(|chain| head.starts_with(chain)) => Kind::Chain,
        _ if head.starts_with(b"goroutine ") && line.ends_with(b"]:") => Kind::Goroutine,
        _ if head.starts_with(b"Traceback (") => Kind::Traceback,
        _ if head.starts_with(b"thread '") && memmem::find(head, b" panicked at ").is_some() => {
            Kind::Panicked
        }
        _ if is_exception(head) => Kind::Exception,
        b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
            let is_call = line.ends_with(b")") || head.starts_with(b"created by ");
            if is_call { Kind::GoCall } else { Kind::Word }
        }
        _ => Kind::Other,
    }
}

impl Kind {
    /// Text that is not indented and says nothing of itself: what it is depends on what is above.
    const fn is_text(self) -> bool {
        matches!(self, Self::Exception | Self::GoCall | Self::Word | Self::Other)
    }
}

/// `java.io.IOException: no such file`, `TypeError: x is not a function`.
fn is_exception(head: &[u8]) -> bool {
    let name = head.get(..memchr(b':', head).unwrap_or(head.len())).unwrap_or(head);
    let ends = [&b"Exception"[..], b"Error", b"Throwable"];
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$');
    ends.iter().any(|end| name.ends_with(end)) && name.iter().all(is_part)
}

/// Whether a line of this kind begins a record behind `before`, and what it means for the next.
///
/// This is the whole rule. [`last_start`] and [`after`] come to the same from the other end.
fn step(before: Before, kind: Kind) -> (bool, Before) {
    if before == Before::HalfLine {
        return (false, Before::Nothing);
    }
    match kind {
        Kind::Blank if before == Before::Chain => (false, Before::Chain),
        Kind::Indented | Kind::GoFile if before == Before::Traceback => (false, before),
        Kind::Blank | Kind::Indented | Kind::More => (false, Before::Nothing),
        Kind::Chain => (false, Before::Chain),
        Kind::Goroutine | Kind::GoFile => (false, Before::Goroutine),
        Kind::Panicked => (true, Before::Panicked),
        Kind::Traceback => {
            let belongs = matches!(before, Before::Plain | Before::Chain | Before::Panicked);
            (!belongs, Before::Traceback)
        }
        Kind::Exception | Kind::GoCall | Kind::Word | Kind::Other => match (before, kind) {
            (Before::Panicked, _) | (Before::Goroutine, Kind::GoCall) => (false, Before::Nothing),
            (Before::Traceback, Kind::Exception | Kind::GoCall | Kind::Word) => {
                (false, Before::Raised)
            }
            (Before::Plain, Kind::Exception) => (false, Before::Exception),
            (_, Kind::Exception) => (true, Before::Exception),
            _ => (true, Before::Plain),
        },
    }
}

/// The lines of `bytes`, each with the place where it begins. The last may have no newline.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let len = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
        let begin = at;
        at += len;
        rest.get(..len).map(|line| (begin, line))
    })
}

/// Where the first record begins in `bytes`, which come behind `before`. Reads from the front.
pub(crate) fn first_start(bytes: &[u8], mut before: Before) -> Option<usize> {
    for (at, line) in lines(bytes) {
        let (starts, next) = step(before, kind(line));
        if starts {
            return Some(at);
        }
        before = next;
    }
    None
}

/// Where the last record begins in `bytes`, which come behind `before` and end with a line.
/// Reads from the end, and up to the line that ends at or before `floor` at most.
pub(crate) fn last_start(bytes: &[u8], before: Before, floor: usize) -> Option<usize> {
    let mut above = bytes;
    while above.len() > floor {
        let (rest, kind) = split_last(above, before)?;
        // Most lines of a trace are told by their own text, without what is above.
        let can_start = kind.is_text() || matches!(kind, Kind::Panicked | Kind::Traceback);
        if can_start && step(after(rest, before), kind).0 {
            return Some(rest.len());
        }
        above = rest;
    }
    None
}

/// What `bytes`, which come behind `before` and end with a line, mean for the line below them.
/// Reads from the end: of many lines of one kind all, else two.
pub(crate) fn after(bytes: &[u8], before: Before) -> Before {
    let Some((above, kind)) = split_last(bytes, before) else { return before };
    let before_line = match kind {
        Kind::Blank => below(above, before, |kind| kind == Kind::Blank),
        Kind::Indented | Kind::GoFile => {
            below(above, before, |kind| matches!(kind, Kind::Indented | Kind::GoFile))
        }
        // Below another line of text it means the same whatever that one was.
        _ if kind.is_text() => below(above, before, Kind::is_text),
        _ => Before::Nothing,
    };
    step(before_line, kind).1
}

/// What the last line means for the next that is not `alike`; [`Before::Nothing`] below lines of
/// text, which mean something only to a line that asks for its neighbour with [`after`].
fn below(bytes: &[u8], before: Before, alike: impl Fn(Kind) -> bool) -> Before {
    let mut bytes = bytes;
    while let Some((above, kind)) = split_last(bytes, before) {
        if !alike(kind) {
            return if kind.is_text() { Before::Nothing } else { after(bytes, before) };
        }
        if kind.is_text() {
            return Before::Nothing;
        }
        bytes = above;
    }
    before
}

/// What is above the last line, and what that line is.
fn split_last(bytes: &[u8], before: Before) -> Option<(&[u8], Kind)> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let at = memrchr(b'\n', body).map_or(0, |newline| newline + 1);
    let (above, line) = bytes.split_at_checked(at).filter(|(_, line)| !line.is_empty())?;
    let is_rest = above.is_empty() && before == Before::HalfLine;
    Some((above, if is_rest { Kind::More } else { kind(line) }))
}

#[cfg(test)]
pub(super) mod tests;
