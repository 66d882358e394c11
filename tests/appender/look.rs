//! What is on the disk, as somebody would judge it who knows what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use logquota::Naming;
use logquota::fs::sim::SimFs;
use logquota::naming::{Label, is_temporary_shape};
use logquota::stamp::Kind;
use logquota_tests::records::{Id, Piece, pieces};
use logquota_tests::sandbox::decompressed;

/// One file of the log.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) len: u64,
    pub(crate) pieces: Vec<Piece>,
}

impl File {
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Record(id) => Some(*id),
            _ => None,
        })
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// In the order in which they were written; the active one is the last.
    pub(crate) files: Vec<File>,
    /// Archives that others have named.
    pub(crate) odd: Vec<File>,
    pub(crate) active: Option<u64>,
    /// Records in files that are not the log's.
    pub(crate) elsewhere: BTreeSet<Id>,
    /// The same archive plain and compressed.
    pub(crate) twice: Vec<String>,
    /// Blocks of everything of the log that has a name.
    pub(crate) blocks: u64,
    pub(crate) names: u64,
}

impl Disk {
    pub(crate) fn of(fs: &SimFs, lenient: bool) -> Result<Self, String> {
        let mut disk = Self::default();
        let mut archives: BTreeMap<u64, File> = BTreeMap::new();
        let mut active = None;
        for (path, entry) in fs.snapshot() {
            if entry.kind != Kind::File || path.ends_with(".logquota/ballast") {
                continue;
            }
            let name = path.file_name().unwrap_or_default();
            let text = name.to_string_lossy().into_owned();
            if path.starts_with("/filler") || is_temporary_shape(name) {
                if !path.starts_with("/filler") {
                    disk.blocks += blocks(fs, &path);
                    disk.names += 1;
                }
                continue;
            }
            let len = entry.len();
            let parsed = Naming::sequence().parse(OsStr::new("app.log"), name);
            let content = decompressed(&path, entry.content())
                .map_err(|error| format!("{text} is damaged: {error}"));
            let content = match content {
                Err(_) if lenient => Vec::new(),
                other => other?,
            };
            let found = pieces(&content, lenient).map_err(|why| format!("{text}: {why}"))?;
            let file = File { name: text, len, pieces: found };
            let is_log = path == Path::new(crate::setup::LOG);
            let is_here = path.starts_with("/log") && (is_log || parsed.is_some());
            if !is_here {
                disk.elsewhere.extend(file.ids());
                continue;
            }
            disk.blocks += blocks(fs, &path);
            disk.names += 1;
            match parsed.map(|parsed| parsed.label) {
                None => {
                    disk.active = Some(len);
                    active = Some(file);
                }
                Some(Label::Sequence { number, .. }) => {
                    if let Some(before) = archives.insert(number, file) {
                        let now = &archives[&number];
                        let bare = |name: &str| {
                            name.trim_end_matches(".zst").trim_end_matches(".gz").to_owned()
                        };
                        if bare(&before.name) == bare(&now.name) {
                            disk.twice.push(before.name.clone());
                        } else {
                            disk.odd.push(before);
                        }
                    }
                }
                Some(_) => disk.odd.push(file),
            }
        }
        disk.files = archives.into_values().chain(active).collect();
        Ok(disk)
    }

    /// All records that are in the log, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        self.files.iter().flat_map(File::ids)
    }

    /// The records of one writer.
    pub(crate) fn of_writer(&self, writer: u16) -> Vec<u64> {
        let ids = self.ids().filter(|id| id.writer == writer);
        ids.map(|id| id.number).collect()
    }

    /// How many records of one writer are anywhere in the set.
    pub(crate) fn count(&self, writer: u16) -> u64 {
        let odd = self.odd.iter().flat_map(File::ids);
        let count = self.ids().chain(odd).filter(|id| id.writer == writer).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// What the lines about losses add up to.
    pub(crate) fn announced(&self) -> u64 {
        let all = self.files.iter().chain(&self.odd).flat_map(|file| &file.pieces);
        all.map(|piece| if let Piece::Loss { records, .. } = piece { *records } else { 0 }).sum()
    }

    /// Records that are there in part.
    pub(crate) fn fragments(&self) -> usize {
        let all = self.files.iter().chain(&self.odd).flat_map(|file| &file.pieces);
        all.filter(|piece| **piece == Piece::Fragment).count()
    }

    /// Files by name and content, for people.
    pub(crate) fn story(&self) -> String {
        let mut text = String::new();
        for file in self.files.iter().chain(&self.odd) {
            text.push_str(&format!("  {} {} B {:?}\n", file.name, file.len, file.pieces));
        }
        text
    }
}

fn blocks(fs: &SimFs, path: &Path) -> u64 {
    fs.meta(path).map_or(0, |meta| meta.stamp.allocated.get())
}
