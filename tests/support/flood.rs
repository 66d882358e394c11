//! Records that say who wrote them and can be checked to the last byte, as `logquota-flooder`
//! writes them and the tests of a flood find them again.

use std::io::Read as _;
use std::path::Path;

/// Who wrote a record, and the how manieth it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Which program.
    pub process: u32,
    /// Which of its threads.
    pub thread: u32,
    /// The number of the record, from 0.
    pub number: u64,
}

/// The length of a record's first line.
const HEAD: usize = 30;

/// Length of the lines below it.
const LINE: usize = 64;

/// Writes the record `id` of `len` bytes (at least 32) to `into`: a head, and lines as a thrown
/// exception has them, which a compressor makes about a quarter of.
pub fn record(id: Id, len: usize, into: &mut Vec<u8>) {
    use std::io::Write as _;
    let Id { process, thread, number } = id;
    into.clear();
    let written = writeln!(into, "@{process:04} {thread:04} {number:010} {len:07}");
    assert!(written.is_ok() && into.len() == HEAD && len > HEAD, "a record of {len} bytes");
    let mut state = number ^ (u64::from(process) << 40) ^ (u64::from(thread) << 52) ^ 0x9e37;
    while into.len() < len {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let hash = state ^ (state >> 29);
        let line = b"\tat com.example.player.Decoder.decode";
        into.extend_from_slice(line);
        for nibble in 0..16 {
            let digit = (hash >> (nibble * 4)) & 15;
            into.push(b"0123456789abcdef"[usize::try_from(digit).unwrap_or(0)]);
        }
        into.resize(into.len() + LINE - line.len() - 17, b'.');
        into.push(b'\n');
    }
    into.truncate(len - 1);
    into.push(b'\n');
}

/// What a log and its archives hold, in their order.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Every whole record.
    pub records: Vec<Id>,
    /// How many records each line about losses tells of.
    pub lost: Vec<u64>,
    /// What is neither.
    pub torn: Vec<Torn>,
    /// How many archives are there.
    pub archives: usize,
}

/// Bytes that are no whole record.
#[derive(Clone, Debug)]
pub struct Torn {
    /// Where it is and how it begins.
    pub what: String,
    /// The record that it begins like.
    pub of: Option<Id>,
    /// Where it ends in its file.
    pub end: usize,
}

/// Reads the log at `log` and its archives. An archive that is there both plain and compressed
/// (after a kill) is read once.
///
/// # Panics
///
/// If one cannot be read, or not be unpacked.
#[must_use]
pub fn read(log: &Path) -> Found {
    let folder = log.parent().expect("a folder");
    let prefix = format!("{}.", log.file_name().expect("a name").to_string_lossy());
    let mut archives = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let Some(label) = name.strip_prefix(&prefix) else { continue };
        if !label.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let label = label.trim_end_matches(".zst").trim_end_matches(".gz").to_owned();
        // The plain one comes first, and is the one that is certainly whole.
        archives.entry(label).or_insert_with(Vec::new).push(name);
    }
    let mut found = Found { archives: archives.len(), ..Found::default() };
    for mut names in archives.into_values() {
        names.sort();
        let path = folder.join(&names[0]);
        take_apart(&unpacked(&path), &names[0], &mut found);
    }
    if log.exists() {
        take_apart(&unpacked(log), "the log", &mut found);
    }
    found
}

fn unpacked(path: &Path) -> Vec<u8> {
    let raw = std::fs::read(path).expect("its content");
    match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("zst") => {
            zstd::decode_all(&*raw).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
        }
        Some("gz") => {
            let mut content = Vec::new();
            let unpacked = flate2::read::MultiGzDecoder::new(&*raw).read_to_end(&mut content);
            unpacked.unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
            content
        }
        _ => raw,
    }
}

fn take_apart(content: &[u8], name: &str, found: &mut Found) {
    let mut expected = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let rest = &content[at..];
        if let Some((id, len)) = head(rest) {
            record(id, len, &mut expected);
            if rest.starts_with(&expected) {
                found.records.push(id);
                at += len;
                continue;
            }
        } else if rest.starts_with(b"logquota: ") {
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            let count = line.split(' ').nth(1).and_then(|word| word.parse().ok());
            if let Some(count) = count
                && rest.len() > line.len()
            {
                found.lost.push(count);
                at += line.len() + 1;
                continue;
            }
        }
        let begin = String::from_utf8_lossy(&rest[..rest.len().min(40)]).into_owned();
        let next = rest.windows(2).position(|two| two == b"\n@" || two == b"\nl");
        let len = next.map_or(rest.len(), |next| next + 1);
        let what = format!("{name} at {at}: {len} bytes: {begin:?}");
        at += len;
        found.torn.push(Torn { what, of: head(rest).map(|(id, _)| id), end: at });
    }
}

fn head(bytes: &[u8]) -> Option<(Id, usize)> {
    let line = bytes.get(..HEAD)?.strip_prefix(b"@")?.strip_suffix(b"\n")?;
    let mut fields = std::str::from_utf8(line).ok()?.split(' ');
    let process = fields.next()?.parse().ok()?;
    let thread = fields.next()?.parse().ok()?;
    let number = fields.next()?.parse().ok()?;
    let len: usize = fields.next()?.parse().ok()?;
    (len > HEAD).then_some((Id { process, thread, number }, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_again_and_a_torn_one_is_said() {
        let mut content = Vec::new();
        let mut one = Vec::new();
        let id = |number| Id { process: 3, thread: 1, number };
        for number in 0..5 {
            record(id(number), 31 + 700 * usize::try_from(number).unwrap_or(0), &mut one);
            assert_eq!(one.len(), 31 + 700 * usize::try_from(number).unwrap_or(0));
            assert!(one.ends_with(b"\n"));
            content.extend_from_slice(if number == 3 { &one[..100] } else { &one });
            content.extend_from_slice(if number == 3 { b"\nlogquota: 7 records\n" } else { b"" });
        }
        let mut found = Found::default();
        take_apart(&content, "x", &mut found);
        assert_eq!(found.records, [id(0), id(1), id(2), id(4)]);
        assert_eq!((found.torn.len(), found.lost), (1, vec![7]), "{:?}", found.torn);
    }
}
