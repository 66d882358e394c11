//! Whether two patterns can match the same path, whatever exists: for those who check a
//! configuration. Byte by byte, which is what decides unless a pattern has a class or a `?`
//! for a character of several bytes.

use super::Class;

/// One element of a component.
#[derive(Debug)]
enum Token {
    One(u8),
    Any,
    Star,
    Class(Class),
}

/// Longer patterns are taken not to meet: the work is the product of their lengths.
const LEN_MAX: usize = 4_096;

/// Whether there is a path that both match.
pub(crate) fn meet(a: &[u8], b: &[u8]) -> bool {
    if a.len() > LEN_MAX || b.len() > LEN_MAX {
        return false;
    }
    let parts = |pattern: &[u8]| -> Vec<Vec<Token>> {
        pattern.split(|b| *b == b'/').filter(|p| !p.is_empty()).map(tokens).collect()
    };
    let (a, b) = (parts(a), parts(b));
    a.len() == b.len() && std::iter::zip(&a, &b).all(|(a, b)| names_meet(a, b))
}

/// Whether anything in it is a wildcard.
pub(crate) fn is_wild(pattern: &[u8]) -> bool {
    let mut parts = pattern.split(|b| *b == b'/');
    parts.any(|part| tokens(part).iter().any(|token| !matches!(token, Token::One(_))))
}

fn tokens(part: &[u8]) -> Vec<Token> {
    // Each byte is the character of that number, as in `Matcher::bytes`.
    let text: Vec<char> = part.iter().map(|b| char::from(*b)).collect();
    let mut found = Vec::new();
    let mut rest = text.as_slice();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        found.push(match (first, tail) {
            ('*', _) => Token::Star,
            ('?', _) => Token::Any,
            ('[', tail) => match Class::parse(tail) {
                Some((class, behind)) => {
                    rest = behind;
                    Token::Class(class)
                }
                None => Token::One(b'['),
            },
            ('\\', [escaped, behind @ ..]) => {
                rest = behind;
                Token::One(super::low_byte(*escaped))
            }
            (other, _) => Token::One(super::low_byte(*other)),
        });
    }
    found
}

/// Row by row through the table of which beginnings of `a` and `b` match a common text. (A star
/// never matches a dot in front, so a pattern that begins with one meets none that has it.)
fn names_meet(a: &[Token], b: &[Token]) -> bool {
    let is_dot = |tokens: &[Token]| matches!(tokens.first(), Some(Token::One(b'.')));
    let is_wild = |tokens: &[Token]| !matches!(tokens.first(), Some(Token::One(_)) | None);
    let hidden = is_dot(a) && is_wild(b) || is_dot(b) && is_wild(a);
    if hidden || begins_hidden(a) && is_dot(b) || begins_hidden(b) && is_dot(a) {
        return false;
    }
    let mut row = vec![false; b.len().saturating_add(1)];
    for (i, ahead) in std::iter::once(None).chain(a.iter().map(Some)).enumerate() {
        let mut next = vec![false; row.len()];
        let mut left = false;
        for j in 0..row.len() {
            let above = row.get(j).copied().unwrap_or(false);
            let across = j.checked_sub(1).and_then(|j| row.get(j)).copied().unwrap_or(false);
            let other = j.checked_sub(1).and_then(|j| b.get(j));
            let star_a = matches!(ahead, Some(Token::Star));
            let star_b = matches!(other, Some(Token::Star));
            let both = match (ahead, other) {
                (Some(x), Some(y)) => across && share(x, y),
                _ => false,
            };
            let here = i == 0 && j == 0
                // A star matches nothing, or one more of whatever the other has.
                || star_a && (above || left)
                || star_b && (left || above)
                || both;
            if let Some(slot) = next.get_mut(j) {
                *slot = here;
            }
            left = here;
        }
        row = next;
    }
    row.last().copied().unwrap_or(false)
}

/// Stars in front of a dot: the dot would be the name's first, which no star allows.
fn begins_hidden(tokens: &[Token]) -> bool {
    matches!(tokens.first(), Some(Token::Star))
        && matches!(tokens.iter().find(|t| !matches!(t, Token::Star)), Some(Token::One(b'.')))
}

/// Whether two elements can match the same byte.
fn share(a: &Token, b: &Token) -> bool {
    // Where ranges begin, and what stands right behind them: somewhere there the answer is.
    let edges = |token: &Token| -> Vec<u8> {
        match token {
            Token::One(byte) => vec![*byte],
            Token::Any | Token::Star => Vec::new(),
            Token::Class(class) => class
                .ranges
                .iter()
                .flat_map(|(low, high)| {
                    [super::low_byte(*low), super::low_byte(*high).saturating_add(1)]
                })
                .collect(),
        }
    };
    let mut candidates = edges(a);
    candidates.extend(edges(b));
    candidates.push(1);
    candidates.iter().any(|byte| has(a, *byte) && has(b, *byte))
}

fn has(token: &Token, byte: u8) -> bool {
    match token {
        Token::One(one) => *one == byte,
        Token::Any | Token::Star => byte != 0,
        Token::Class(class) => {
            let c = char::from(byte);
            class.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != class.is_negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_patterns_meet_where_a_path_matches_both() {
        for (a, b) in [
            ("/v/a.log", "/v/a.log"),
            ("/v/a.log", "/v//a.log"),
            ("/v/*.log", "/v/app.log"),
            ("/v/*.log", "/v/app*"),
            ("/v/a*b*c", "/v/*x*c"),
            ("/v/[a-f]1", "/v/[e-z]?"),
            ("/v/[!a]x", "/v/[!b]x"),
            ("/v/*/x.log", "/v/app/*.log"),
            ("/v/**", "/v/?"),
            (r"/v/\*.log", "/v/?.log"),
            ("/v/[[:digit:]].log", "/v/7.log"),
            ("/v/*.log", "/v/*.log.1*"),
            ("/v/.*", "/v/.a"),
        ] {
            assert!(meet(a.as_bytes(), b.as_bytes()), "{a} {b}");
            assert!(meet(b.as_bytes(), a.as_bytes()), "{b} {a}");
        }
        for (a, b) in [
            ("/v/a.log", "/v/b.log"),
            ("/v/*.log", "/v/app.txt"),
            ("/v/*.log", "/v/*.log.1"),
            ("/v/*.log", "/w/*.log"),
            ("/v/*.log", "/v/a/x.log"),
            ("/v/[a-c]1", "/v/[d-f]1"),
            ("/v/[!a]", "/v/a"),
            ("/v/a?", "/v/a"),
            (r"/v/\*.log", "/v/a.log"),
            ("/v/*", "/v/.hidden"),
            ("/v/*.a", "/v/.a"),
            ("/v/?a", "/v/.a"),
        ] {
            assert!(!meet(a.as_bytes(), b.as_bytes()), "{a} {b}");
            assert!(!meet(b.as_bytes(), a.as_bytes()), "{b} {a}");
        }
    }

    #[test]
    fn what_a_sample_of_one_pattern_matches_meets_it() {
        use crate::scan::pattern::Component;
        let patterns = ["*.log", "a*", "?b*", "[a-c]*.1", "*a*b", "ab", "[!a]?", "x.log.[0-9]"];
        let names = ["a.log", "ab", "b.log.1", "c.1", "xab", "bb", "x.log.7", "aab", "ba"];
        let matches = |pattern: &str, name: &str| match Component::parse(pattern.as_bytes()) {
            Component::Literal(literal) => literal == name,
            Component::Wild(matcher) => matcher.matches(name.as_ref()),
        };
        for (a, b) in patterns.iter().flat_map(|a| patterns.iter().map(move |b| (a, b))) {
            if names.iter().any(|name| matches(a, name) && matches(b, name)) {
                assert!(meet(a.as_bytes(), b.as_bytes()), "{a} {b}");
            }
        }
    }

    #[test]
    fn only_what_stands_for_other_names_is_wild() {
        for (pattern, wild) in [
            ("/v/a.log", false),
            ("/v/*.log", true),
            (r"/v/\*", false),
            ("/v/[", false),
            ("/*/a", true),
        ] {
            assert_eq!(is_wild(pattern.as_bytes()), wild, "{pattern}");
        }
    }
}
