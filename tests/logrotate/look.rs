//! What a folder looks like after a run, as far as it can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chrono::NaiveDateTime;

use crate::clock::Clock;

/// One name in the folder. `None` where a case leaves it open.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Kind, mode, owner, links, ACL, holes.
    pub(crate) node: Option<String>,
    /// When it was changed: see [`Clock::seen`].
    pub(crate) mtime: Option<String>,
    pub(crate) body: Option<Body>,
}

/// What is in a file, decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Text or target; of what is long, a summary.
    Text(String),
    /// The entries of a state file, in no order.
    State(BTreeMap<String, String>),
}

impl Entry {
    fn agrees(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        same(&self.node, &other.node)
            && same(&self.mtime, &other.mtime)
            && match (&self.body, &other.body) {
                (Some(Body::State(one)), Some(Body::State(two))) => {
                    one.iter().all(|(log, when)| when == "any" || two.get(log) == Some(when))
                        && two.keys().all(|log| one.contains_key(log))
                }
                (one, two) => same(one, two),
            }
    }

    /// For people.
    fn line(&self) -> String {
        let open = || "(anything)".to_owned();
        let mut line = self.node.clone().unwrap_or_else(open);
        if let Some(mtime) = &self.mtime {
            let _ = write!(line, " {mtime}");
        }
        match &self.body {
            Some(Body::Text(text)) => {
                let _ = write!(line, " {text:?}");
            }
            Some(Body::State(entries)) => {
                let _ = write!(line, " {entries:?}");
            }
            None => {}
        }
        line
    }
}

/// All that came of one run.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// What time it was said to be.
    pub(crate) clock: Clock,
    pub(crate) tree: BTreeMap<String, Entry>,
    /// The exit status, or a death by signal as -1.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Look {
    /// The lines in which two trees differ, those of this one with `-`; and the others.
    pub(crate) fn diff(&self, other: &Self) -> (String, bool) {
        let mut text = String::new();
        let mut same = true;
        let names: std::collections::BTreeSet<&String> =
            self.tree.keys().chain(other.tree.keys()).collect();
        for name in names {
            let (one, two) = (self.tree.get(name), other.tree.get(name));
            if let (Some(one), Some(two)) = (one, two)
                && one.agrees(two)
            {
                let _ = writeln!(text, "    {name}  {}", two.line());
                continue;
            }
            same = false;
            for (sign, entry) in [('-', one), ('+', two)] {
                if let Some(entry) = entry {
                    let _ = writeln!(text, "  {sign} {name}  {}", entry.line());
                }
            }
        }
        (text, same)
    }

    /// For people.
    pub(crate) fn list(&self) -> String {
        self.tree.iter().map(|(name, entry)| format!("    {name}  {}\n", entry.line())).collect()
    }
}

/// Looks at everything below `root`. Only what is in files is read: access times do not count.
pub(crate) fn look(root: &Path, clock: &Clock) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for path in fs::read_dir(&dir).expect("a listing").map(|e| e.expect("an entry").path()) {
            let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
            let meta = path.symlink_metadata().expect("an inode");
            if meta.is_dir() {
                todo.push(path.clone());
            }
            found.insert(name, entry(&path, &meta, root, clock));
        }
    }
    found
}

fn entry(path: &Path, meta: &fs::Metadata, root: &Path, clock: &Clock) -> Entry {
    let kind = meta.file_type();
    let mut node = match () {
        () if kind.is_dir() => "dir",
        () if kind.is_symlink() => "link",
        () if kind.is_fifo() => "fifo",
        () if kind.is_file() => "file",
        () => "special",
    }
    .to_owned();
    let _ = write!(node, " {:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
    if kind.is_file() && meta.nlink() > 1 {
        let _ = write!(node, " {} links", meta.nlink());
    }
    if meta.len() > 1 << 16 && meta.blocks() * 512 < meta.len() / 2 {
        node += " sparse";
    }
    node += &acl(path);
    let body = if kind.is_symlink() {
        let target = fs::read_link(path).expect("a target").to_string_lossy().into_owned();
        Some(Body::Text(plain(&target, root)))
    } else {
        kind.is_file().then(|| body(path, root, clock))
    };
    let mtime = kind.is_file().then(|| clock.seen(meta.mtime()));
    Entry { node: Some(node), mtime, body }
}

/// A path as the cases write it.
pub(crate) fn plain(text: &str, root: &Path) -> String {
    text.replace(root.to_str().expect("UTF-8"), "@")
}

/// The access control list in hex, if there is one beyond the mode.
fn acl(path: &Path) -> String {
    let mut list = [0u8; 256];
    match rustix::fs::lgetxattr(path, "system.posix_acl_access", &mut list) {
        Ok(length) if length > 0 => list
            .iter()
            .take(length)
            .fold(" acl ".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        _ => String::new(),
    }
}

fn body(path: &Path, root: &Path, clock: &Clock) -> Body {
    let bytes = fs::read(path).expect("readable");
    let text = match decompressed(&bytes) {
        Some((how, bytes)) => format!("({how}) {}", short(&bytes)),
        None => short(&bytes),
    };
    let text = plain(&text, root);
    if !text.starts_with("logrotate state -- version") {
        return Body::Text(text);
    }
    let entry = |line: &str| {
        let (log, when) = line.rsplit_once(' ').unwrap_or((line, ""));
        (log.trim_matches('"').to_owned(), clock.seen_in_state(when))
    };
    Body::State(text.lines().skip(1).map(entry).collect())
}

/// Text of a length that a person wants to see; of more, how much and a sum.
fn short(bytes: &[u8]) -> String {
    if bytes.len() <= 4096 || bytes.starts_with(b"logrotate state") {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{} bytes, {sum:016x}", bytes.len())
}

/// What was compressed, if it was, and how; of what was compressed twice, what was at first: the
/// bytes in between are each program's own.
fn decompressed(bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let (how, plain) = decompressed_once(bytes)?;
    Some(decompressed(&plain).unwrap_or((how, plain)))
}

/// By content, as commands may call it what they like.
fn decompressed_once(bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain).ok()?;
        return Some(("gzip", plain));
    }
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        zstd::stream::read::Decoder::new(bytes).ok()?.read_to_end(&mut plain).ok()?;
        return Some(("zstd", plain));
    }
    let xz = [0xfd, b'7', b'z', b'X', b'Z'];
    let program = match () {
        () if bytes.starts_with(&xz) => "xz",
        () if bytes.starts_with(b"BZh") => "bzip2",
        () => return None,
    };
    let child =
        Command::new(program).arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.ok()?;
    child.stdin.take()?.write_all(bytes).ok()?;
    Some((program, child.wait_with_output().ok()?.stdout))
}

/// Gives what the run made the time that it was told. Otherwise the next simulated day would
/// find files from the real one.
pub(crate) fn date(root: &Path, clock: &Clock, tree: &BTreeMap<String, Entry>) {
    let now: NaiveDateTime = clock.now;
    let seconds = u64::try_from(now.and_utc().timestamp()).expect("after 1970");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let made = tree.iter().filter(|(_, entry)| entry.mtime.as_deref() == Some("now"));
    for path in made.map(|(name, _)| root.join(name)) {
        set_time(&path, time);
    }
}

/// Sets when a file was changed; it was read an hour before.
pub(crate) fn set_time(path: &PathBuf, time: std::time::SystemTime) {
    let hour = std::time::Duration::from_secs(3600);
    let times = fs::FileTimes::new().set_modified(time).set_accessed(time - hour);
    fs::File::open(path).expect("opens").set_times(times).expect("sets times");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(node: &str, mtime: &str, body: &str) -> Look {
        let entry = Entry {
            node: Some(node.to_owned()),
            mtime: Some(mtime.to_owned()),
            body: Some(Body::Text(body.to_owned())),
        };
        Look {
            clock: Clock::start(),
            tree: BTreeMap::from([("a.log".to_owned(), entry)]),
            status: 0,
            stdout: String::new(),
            stderr: String::new(),
        }
    }

    #[test]
    fn one_attribute_is_enough_to_differ() {
        let one = tree("file 644 0:0", "now", "x");
        assert!(one.diff(&one).1);
        for other in [
            tree("file 640 0:0", "now", "x"),
            tree("file 644 0:0", "2026-11-20 12:34:56", "x"),
            tree("file 644 0:0", "now", "y"),
        ] {
            assert!(!one.diff(&other).1);
        }
        let mut more = one.clone();
        more.tree.insert("b.log".to_owned(), one.tree["a.log"].clone());
        assert!(!one.diff(&more).1 && !more.diff(&one).1);
    }
}
