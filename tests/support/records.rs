//! Records that say which they are, so that what is found on a disk can be judged: each one
//! whole, none twice, none missing that nobody has counted.

use std::fmt;

/// The longest head, which is also the shortest record but for its end.
const HEAD: usize = 21;

/// A record can be no shorter.
pub const SHORTEST: usize = HEAD + 1;

/// Which record: of what writer, the how manieth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// One opened appender.
    pub writer: u16,
    /// Counted from 0.
    pub number: u64,
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.writer, self.number)
    }
}

/// A record of this length, its end of line included. Every fourth has several lines, and
/// every third cannot be compressed.
#[must_use]
pub fn record(id: Id, len: usize) -> Vec<u8> {
    let len = len.max(SHORTEST);
    let mut bytes = format!("W{:03} {:08} {len:06} ", id.writer % 1000, id.number).into_bytes();
    let mut random = id.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(id.writer);
    while bytes.len() < len - 1 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let noise = u8::try_from(random >> 56).unwrap_or(0);
        let is_new_line = id.number % 4 == 3 && bytes.len() % 48 == 47;
        bytes.push(match noise {
            _ if is_new_line => b'\n',
            _ if !id.number.is_multiple_of(3) => b'a' + u8::try_from(bytes.len() % 26).unwrap_or(0),
            b'\n' => b' ',
            other => other,
        });
    }
    bytes.push(b'\n');
    bytes
}

/// What a log is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole record.
    Record(Id),
    /// The appender's own line about lost ones.
    Loss {
        /// How many.
        records: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A line of another program, which begins with `foreign`.
    Foreign,
    /// The beginning of a record, and no more of it.
    Fragment,
    /// Bytes that nobody has written.
    Garbage,
}

/// Takes a file apart.
///
/// # Errors
///
/// A sentence, if two records are mixed, or something in it is of nobody. With `lenient` that
/// is garbage, which ends where the next whole record begins.
pub fn pieces(content: &[u8], lenient: bool) -> Result<Vec<Piece>, String> {
    let mut found = Vec::new();
    let mut rest = content;
    let mut skipped = 0usize;
    while !rest.is_empty() {
        match first(rest) {
            Some((piece, len)) if !lenient || !matches!(piece, Piece::Fragment) => {
                if skipped > 0 {
                    found.push(Piece::Garbage);
                    skipped = 0;
                }
                found.push(piece);
                rest = rest.get(len..).unwrap_or_default();
            }
            _ if lenient => {
                skipped += 1;
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => {
                let at = content.len() - rest.len();
                let shown = rest.get(..rest.len().min(60)).unwrap_or_default();
                let shown = String::from_utf8_lossy(shown);
                return Err(format!("at {at} of {}: no whole record: {shown:?}", content.len()));
            }
        }
    }
    if skipped > 0 {
        found.push(Piece::Garbage);
    }
    Ok(found)
}

/// The first piece and its length.
fn first(rest: &[u8]) -> Option<(Piece, usize)> {
    let line = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
    let text = std::str::from_utf8(rest.get(..line)?).unwrap_or("");
    if let Some(loss) = text.strip_prefix("logquota: ") {
        return Some((parse_loss(loss).unwrap_or(Piece::Fragment), line));
    }
    if !text.is_empty() && "logquota: ".starts_with(text.trim_end()) {
        return Some((Piece::Fragment, line));
    }
    // Of which a full disk takes a part.
    if text.starts_with("foreign") || (!text.is_empty() && "foreign".starts_with(text)) {
        return Some((Piece::Foreign, line));
    }
    if let Some((id, len)) = parse_head(rest) {
        let whole = record(id, len);
        let same = rest.iter().zip(&whole).take_while(|(a, b)| a == b).count();
        if same == whole.len() {
            return Some((Piece::Record(id), same));
        }
        return fragment(rest, same);
    }
    let same = rest.iter().zip(b"W000 00000000 000000 ").take_while(|(a, b)| fits(**a, **b));
    fragment(rest, same.count())
}

fn fits(found: u8, pattern: u8) -> bool {
    if pattern == b'0' { found.is_ascii_digit() } else { found == pattern }
}

/// A beginning of a record counts as such only if its line was ended, or nothing follows.
fn fragment(rest: &[u8], same: usize) -> Option<(Piece, usize)> {
    match rest.get(same) {
        _ if same == 0 => None,
        None => Some((Piece::Fragment, same)),
        Some(b'\n') => Some((Piece::Fragment, same + 1)),
        Some(_) if rest.get(same - 1) == Some(&b'\n') => Some((Piece::Fragment, same)),
        Some(_) => None,
    }
}

fn parse_head(rest: &[u8]) -> Option<(Id, usize)> {
    let head = std::str::from_utf8(rest.get(..HEAD)?).ok()?;
    let mut words = head.strip_prefix('W')?.strip_suffix(' ')?.split(' ');
    let writer = words.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    let len = words.next()?.parse().ok()?;
    Some((Id { writer, number }, len))
}

/// `1234 records (56789 bytes) were lost since ...`
fn parse_loss(text: &str) -> Option<Piece> {
    let (records, rest) = text.split_once(' ')?;
    let (_, rest) = rest.split_once('(')?;
    let (bytes, rest) = rest.split_once(" bytes) ")?;
    let is_whole = rest.contains("lost since ") && rest.ends_with('\n');
    is_whole
        .then(|| Some(Piece::Loss { records: records.parse().ok()?, bytes: bytes.parse().ok()? }))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Id {
        Id { writer: 7, number }
    }

    #[test]
    fn records_are_found_again_whatever_their_lengths() {
        let ids: Vec<Id> = (0..40).map(id).collect();
        let content: Vec<u8> = ids
            .iter()
            .flat_map(|id| record(*id, usize::try_from(id.number * 13).unwrap_or(0)))
            .collect();
        let found = pieces(&content, false).expect("whole records");
        assert!(found.iter().zip(&ids).all(|(piece, id)| *piece == Piece::Record(*id)));
        assert_eq!(found.len(), ids.len());
    }

    #[test]
    fn a_mixed_record_is_found_and_a_cut_one_that_was_ended_is_a_fragment() {
        let (first, second) = (record(id(1), 100), record(id(2), 100));
        let mixed = [&first[..50], &second[..], &first[50..]].concat();
        assert!(pieces(&mixed, false).is_err());
        let ended = [&first[..50], b"\n", &second[..]].concat();
        let found = pieces(&ended, false).expect("a fragment");
        assert_eq!(found, [Piece::Fragment, Piece::Record(id(2))]);
        let found = pieces(&mixed, true).expect("lenient");
        assert_eq!(found, [Piece::Garbage, Piece::Record(id(2)), Piece::Garbage]);
    }

    #[test]
    fn a_line_about_losses_is_read() {
        let line =
            b"logquota: 12 records (345 bytes) were lost since 2026-11-21T18:41:36Z: disk full\n";
        let found = pieces(line, false).expect("a line");
        assert_eq!(found, [Piece::Loss { records: 12, bytes: 345 }]);
    }
}
