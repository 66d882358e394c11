//! Splitting text into words the way a simple shell does, and numbers the way C does.

/// A word and where its first byte stood in what was split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: Vec<u8>,
    pub(super) at: usize,
}

/// Why a text has no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SplitError {
    /// A quote that opened here is never closed.
    Unclosed { at: usize, quote: u8 },
    /// A backslash at the end.
    Dangling { at: usize },
}

/// White space separates; `'…'` and `"…"` group and may touch other text; a backslash outside
/// quotes takes the next byte literally; inside quotes it is dropped only before that quote.
pub(super) fn split(bytes: impl IntoIterator<Item = (usize, u8)>) -> Result<Vec<Word>, SplitError> {
    match split_leniently(bytes) {
        (words, None) => Ok(words),
        (_, Some(error)) => Err(error),
    }
}

/// As logrotate splits: a quote that is never closed ends with the text, and a backslash at
/// the end stands for nothing. Also what a stricter reader would say about it.
pub(super) fn split_leniently(
    bytes: impl IntoIterator<Item = (usize, u8)>,
) -> (Vec<Word>, Option<SplitError>) {
    let mut error = None;
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<(usize, u8)> = None;
    let mut bytes = bytes.into_iter().peekable();
    while let Some((at, byte)) = bytes.next() {
        if quote.is_none() && is_space(byte) {
            words.extend(word.take());
            continue;
        }
        let text = &mut word.get_or_insert_with(|| Word { text: Vec::new(), at }).text;
        match (quote, byte) {
            (Some((_, open)), close) if close == open => quote = None,
            (Some((_, open)), b'\\') => match bytes.next_if(|(_, next)| *next == open) {
                Some((_, next)) => text.push(next),
                None => text.push(b'\\'),
            },
            (None, b'\'' | b'"') => quote = Some((at, byte)),
            (None, b'\\') => match bytes.next() {
                Some((_, next)) => text.push(next),
                None => error = Some(SplitError::Dangling { at }),
            },
            (_, literal) => text.push(literal),
        }
    }
    if let Some((at, quote)) = quote {
        error = Some(SplitError::Unclosed { at, quote });
    }
    words.extend(word);
    (words, error)
}

/// [`split`] on a slice.
pub(super) fn split_slice(bytes: &[u8]) -> Result<Vec<Word>, SplitError> {
    split(bytes.iter().copied().enumerate())
}

/// White space as C's `isspace`.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// A whole number in C's automatic base: `0x10` is 16, `010` is 8. Nothing may be left over.
pub(super) fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = base(digits);
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// The base a number is written in, and its digits.
pub(super) fn base(text: &str) -> (u32, &str) {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return (16, hex);
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => (8, octal),
        _ => (10, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<String>, SplitError> {
        let lossy = |word: Word| String::from_utf8_lossy(&word.text).into_owned();
        split_slice(text.as_bytes()).map(|words| words.into_iter().map(lossy).collect())
    }

    #[test]
    fn words_are_split_as_by_a_simple_shell() {
        for (text, expected) in [
            ("a b\n\tc ", vec!["a", "b", "c"]),
            ("", vec![]),
            (" \n", vec![]),
            ("'a b' \"c d\"", vec!["a b", "c d"]),
            ("a'b c'd", vec!["ab cd"]),
            ("a\\ b", vec!["a b"]),
            ("a\\\nb", vec!["a\nb"]),
            (r#""a\"b" 'a\"b' "a\b" "a\\b""#, vec!["a\"b", "a\\\"b", "a\\b", "a\\\\b"]),
            ("''", vec![""]),
            ("a''", vec!["a"]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(Into::into).collect();
            assert_eq!(texts(text), Ok(expected), "{text}");
        }
        assert_eq!(texts("a 'b"), Err(SplitError::Unclosed { at: 2, quote: b'\'' }));
        assert_eq!(texts("a\\"), Err(SplitError::Dangling { at: 1 }));
    }

    #[test]
    fn h32_numbers_have_the_base_that_c_gives_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("010", Some(8)),
            ("0x10", Some(16)),
            ("-1", Some(-1)),
            ("+3", Some(3)),
            ("08", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("+-1", None),
            ("0x", None),
            ("0x-1", None),
            ("1.5", None),
            ("9999999999999999999", None),
            ("1_0", None),
            ("٣", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }
}
