//! Lines that fit the screen.

use super::WIDTH;

/// The words of a line; an amount and its unit are one.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    let is_unit = |rest: &str| {
        let unit = rest.split([' ', ',', ';', '.', ')']).next().unwrap_or("");
        matches!(unit, "B" | "KiB" | "MiB" | "GiB" | "TiB" | "d" | "h" | "min" | "s" | "%")
    };
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = line.match_indices(' ').map(|(at, _)| at);
        let end = end.into_iter().find(|at| !is_unit(line.get(at + 1..).unwrap_or("")));
        let (word, after) = match end {
            Some(at) => (line.get(..at)?, line.get(at + 1..)),
            None => (line, None),
        };
        rest = after;
        Some(word)
    })
}

/// Breaks `line` at blanks so that it fits, each part indented.
pub(super) fn push_wrapped(text: &mut String, line: &str, indent: usize) {
    let mut width = 0;
    for word in words(line) {
        let len = word.chars().count();
        if width == 0 || width + 1 + len > WIDTH {
            if width != 0 {
                text.push('\n');
            }
            text.extend(std::iter::repeat_n(' ', indent));
            width = indent + len;
        } else {
            text.push(' ');
            width += 1 + len;
        }
        text.push_str(word);
    }
    text.push('\n');
}
