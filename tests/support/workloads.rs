//! Machines in the middle of ordinary work, for the crash and fault tests.
//!
//! Each is made from a seed, which varies sizes, counts and quotas. Files are a few blocks
//! long: what matters is how many there are and what becomes of them.

use std::num::NonZeroU32;

use chrono::NaiveDate;
use logquota::fs::sim::{Content, HeadCuts, SimDisk, SimFs};
use logquota::naming::{DateFormat, DateShift, temporary_name};
use logquota::policy::{
    ArchiveDir, Compress, Count, Limits, Method, NewFile, Reserve, RotateWhen, Scripts,
};
use logquota::{Bytes, Codec, Config, Naming, Policy, SetSpec};

use crate::sandbox::{Machine, NOON};

/// SplitMix64: the same seed, the same numbers.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// A number from `low` to `high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }
}

/// What a test may expect of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// After a crash the same archives stay, and the same log.
    Same,
    /// With `rotate 0`, a crash before the new archive is deleted leaves it, as in logrotate:
    /// no later run can tell it from one that somebody wants.
    ///
    /// Archives are evicted for space. An eviction that a power failure took back may not be
    /// needed any more, because what was compressed meanwhile is smaller: then an archive
    /// more stays. Never one less.
    SameOrMore,
    /// A log is copied, not moved: between the copy and the truncation (or the state file)
    /// it is there twice, and no later run can tell a copy from a log that is the same again.
    /// The newest content may be there more than once, at the cost of the oldest archives.
    MayRepeat,
}

/// A machine before a run.
pub struct Workload {
    /// Its name, for replays.
    pub name: &'static str,
    /// What it is configured to do.
    pub machine: Machine,
    /// Its disk.
    pub fs: SimFs,
    /// What may be expected.
    pub promise: Promise,
}

/// Makes a workload from a seed.
pub type Make = fn(u64) -> Workload;

/// Text of about this length that compresses as logs do, and is different for each name.
#[must_use]
pub fn text(name: &str, len: u64) -> Content {
    let mut bytes = Vec::new();
    let mut random =
        Random(name.bytes().fold(7, |h: u64, b| h.wrapping_mul(31).wrapping_add(u64::from(b))));
    let mut line = 0;
    while u64::try_from(bytes.len()).unwrap_or(u64::MAX) < len {
        let code = random.below(100_000);
        bytes.extend_from_slice(format!("{name} {line} GET /item/{code} 200\n").as_bytes());
        line += 1;
    }
    bytes.truncate(usize::try_from(len).unwrap_or(0));
    Content::Bytes(bytes)
}

/// Bytes that do not compress.
#[must_use]
pub fn noise(seed: u64, len: u64) -> Content {
    let mut random = Random(seed);
    Content::Bytes((0..len).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect())
}

mod ordinary;
mod short;

const DAY: i64 = 86_400;

/// What the makers below put together.
struct Scene {
    fs: SimFs,
    random: Random,
    serial: u32,
}

impl Scene {
    fn new(seed: u64) -> Self {
        Self::on(seed, SimDisk::default())
    }

    fn on(seed: u64, shape: SimDisk) -> Self {
        let fs = SimFs::new(shape);
        fs.set_time(NOON);
        Self { fs, random: Random(seed ^ 0x6c6f_6771), serial: 0 }
    }

    fn dir(&self, path: &str) {
        self.fs.mkdir(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    /// A file of some length, so many days old, with an owner of its own.
    fn file(&mut self, path: &str, (low, high): (u64, u64), days: i64) {
        let len = self.random.within(low, high);
        self.serial += 1;
        let content = text(&format!("{}-{}", self.serial, self.random.below(1 << 40)), len);
        self.put(path, content, days);
    }

    fn put(&mut self, path: &str, content: Content, days: i64) {
        let content = match content {
            Content::Bytes(bytes) if path.ends_with(".gz") => Content::Bytes(gzip(&bytes)),
            Content::Bytes(bytes) if path.ends_with(".zst") => {
                Content::Bytes(zstd::encode_all(bytes.as_slice(), 3).unwrap_or_default())
            }
            other => other,
        };
        let done = self
            .fs
            .put(path, content, NOON - days * DAY - i64::from(self.serial % 50) - 10)
            .and_then(|()| self.fs.chown(path, 0o640, 0, 4));
        done.unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    /// Numbered archives 1 to `count`, the first so many of them plain.
    fn numbered(&mut self, log: &str, count: u64, plain: u64, suffix: &str) {
        for n in 1..=count {
            let suffix = if n <= plain { "" } else { suffix };
            let days = i64::try_from(n).unwrap_or(0);
            self.file(&format!("{log}.{n}{suffix}"), (600, 4000), days);
        }
    }

    fn done(self, name: &'static str, promise: Promise, config: Config) -> Workload {
        for set in &config.sets {
            set.policy.validate().unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        self.fs.settle();
        self.fs.forget();
        Workload { name, machine: Machine::new(config), fs: self.fs, promise }
    }
}

/// A gzip file of these bytes.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Due at 2 KiB, a new log with mode 0640, owner root:adm.
fn size_policy() -> Policy {
    let mut policy = Policy::default().rotate_at(Bytes::kib(2));
    policy.create = Some(NewFile { mode: Some(0o640), uid: Some(0), gid: Some(4) });
    policy.if_empty = false;
    policy
}

fn yesterday(workload: &mut Workload, logs: &[&str]) {
    let day = NaiveDate::from_ymd_opt(2026, 11, 20).and_then(|day| day.and_hms_opt(1, 2, 3));
    for log in logs {
        workload.machine.state.insert(log.into(), day.unwrap_or_default());
    }
}

fn sequence_name(log: &str, number: u64, suffix: &str) -> String {
    format!("{log}.{number:010}-202611{:02}T080000Z{suffix}", number % 20 + 1)
}

/// All of them.
pub const ALL: [(&str, Make); 25] = [
    ("numbered-gzip", ordinary::numbered_gzip),
    ("numbered-zstd", ordinary::numbered_zstd),
    ("delayed", ordinary::delayed),
    ("dated", ordinary::dated),
    ("directory", ordinary::directory),
    ("fair", ordinary::fair),
    ("max-files", ordinary::max_files),
    ("old-dir", ordinary::old_dir),
    ("create-old-dir", ordinary::create_old_dir),
    ("copy-truncate", ordinary::copy_truncate),
    ("copied", ordinary::copied),
    ("rename-copy", ordinary::rename_copy),
    ("aged", short::aged),
    ("quota-lowered", short::quota_lowered),
    ("leftovers", short::leftovers),
    ("rotate-zero", short::rotate_zero),
    ("scripts", short::scripts),
    ("mixed-styles", short::mixed_styles),
    ("reserve", short::reserve),
    ("two-sets", short::two_sets),
    ("full-disk", short::full_disk),
    ("no-inodes", short::no_inodes),
    ("strange", short::strange),
    ("live-trim", short::live_trim),
    ("live-trim-gap", short::live_trim_gap),
];
