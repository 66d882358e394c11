//! Wildcards of the taboo lists: `*`, `?`, `[…]` on one whole file name, as bytes.
//!
//! Not for the patterns of blocks; those are matched against the disk by the scan.

/// Whether `pattern` matches the whole of `name`. A wildcard at the front never matches a dot
/// there, as in the shell.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && matches!(pattern.first(), Some(b'*' | b'?' | b'[')) {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on if a guess about the last `*` was too short. Only the last one matters,
    // so the time is at most the product of the lengths.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = pattern.get(p..).and_then(|rest| one(rest, name.get(n).copied()));
        match step {
            Some(One::Star) => {
                p += 1;
                retry = Some((p, n));
            }
            Some(One::Matched(len)) => {
                p += len;
                n += 1;
            }
            Some(One::End) => return true,
            None => match retry {
                Some((star, at)) if at < name.len() => {
                    (p, n) = (star, at + 1);
                    retry = Some((star, at + 1));
                }
                _ => return false,
            },
        }
    }
}

enum One {
    Star,
    /// The first element, of so many bytes, matched one byte of the name.
    Matched(usize),
    /// Pattern and name end together.
    End,
}

fn one(pattern: &[u8], byte: Option<u8>) -> Option<One> {
    let Some(first) = pattern.first() else {
        return byte.is_none().then_some(One::End);
    };
    if *first == b'*' {
        return Some(One::Star);
    }
    let byte = byte?;
    match first {
        b'?' => Some(One::Matched(1)),
        b'[' => match set(pattern.get(1..).unwrap_or_default(), byte) {
            Some((true, len)) => Some(One::Matched(len + 1)),
            Some((false, _)) => None,
            // A bracket that is never closed stands for itself.
            None => (byte == b'[').then_some(One::Matched(1)),
        },
        b'\\' => match pattern.get(1) {
            Some(literal) => (*literal == byte).then_some(One::Matched(2)),
            None => (byte == b'\\').then_some(One::Matched(1)),
        },
        literal => (*literal == byte).then_some(One::Matched(1)),
    }
}

/// Whether the set behind `[` has `byte`, and how long it is with its `]`.
fn set(text: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    let mut at = start;
    let mut found = false;
    loop {
        match (text.get(at)?, text.get(at + 1), text.get(at + 2)) {
            (b']', ..) if at > start => return Some((found != negated, at + 1)),
            (low, Some(b'-'), Some(high)) if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                at += 3;
            }
            (b'\\', Some(literal), _) => {
                found |= *literal == byte;
                at += 2;
            }
            (literal, ..) => {
                found |= *literal == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_whole_names() {
        for (pattern, name, expected) in [
            ("*.bak", "app.bak", true),
            ("*.bak", "app.bak2", false),
            ("*~", "app~", true),
            ("*.rhn-cfg-tmp-*", "a.rhn-cfg-tmp-1", true),
            ("*.swp", ".app.swp", false),
            (".*", ".app.swp", true),
            ("?.x", ".x", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxx", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn h32_a_hostile_pattern_takes_no_exponential_time() {
        let pattern = "*a".repeat(200);
        assert!(!matches(pattern.as_bytes(), "a".repeat(5000).as_bytes()) || pattern.len() < 5000);
        assert!(!matches(format!("{pattern}b").as_bytes(), "a".repeat(5000).as_bytes()));
    }
}
