//! Machines in the middle of ordinary work, for the crash and fault tests.
//!
//! Each is made from a seed, which varies sizes, counts and quotas. Files are a few blocks
//! long: what matters is how many there are and what becomes of them.

use std::num::NonZeroU32;

use chrono::NaiveDate;
use logquota::fs::sim::{Content, SimDisk, SimFs};
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

fn numbered_gzip(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log/a");
    let keep = s.random.within(2, 5);
    for log in ["/var/log/a/app.log", "/var/log/a/web.log", "/var/log/a/quiet.log"] {
        let active = if log.contains("quiet") { (10, 500) } else { (2100, 6000) };
        s.file(log, active, 0);
        let count = s.random.below(keep + 2);
        let plain = s.random.below(2);
        s.numbered(log, count, plain, ".gz");
    }
    let keep = u32::try_from(keep).unwrap_or(3);
    let policy = size_policy().keep_count(keep).compress(Codec::Gzip);
    let set = SetSpec::pattern("/var/log/a/*.log", policy);
    s.done("numbered-gzip", Promise::Same, Config::single(set))
}

fn numbered_zstd(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log/a");
    s.dir("/var/log/b");
    for log in ["/var/log/a/app.log", "/var/log/b/app.log"] {
        s.file(log, (2100, 6000), 0);
        let count = s.random.below(5);
        s.numbered(log, count, 0, ".gz");
    }
    let policy = size_policy().keep_count(3).compress(Codec::Zstd);
    let set = |dir: &str, policy: &Policy| SetSpec::pattern(format!("{dir}/*.log"), policy.clone());
    let sets = vec![set("/var/log/a", &policy), set("/var/log/b", &policy)];
    s.done("numbered-zstd", Promise::Same, Config { sets, global: Limits::default() })
}

fn delayed(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    s.file("/var/log/app.log", (2100, 6000), 0);
    let count = s.random.within(1, 4);
    let plain = s.random.below(3);
    s.numbered("/var/log/app.log", count, plain, ".gz");
    let mut policy = size_policy().keep_count(3);
    policy.compress = Some(Compress { delay: true, ..Compress::with(Codec::Gzip) });
    s.done("delayed", Promise::Same, Config::single(SetSpec::pattern("/var/log/*.log", policy)))
}

fn dated(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    for log in ["app.log", "web.log"] {
        s.file(&format!("/var/log/{log}"), (100, 5000), 0);
        for day in 0..s.random.below(5) {
            let name = format!("/var/log/{log}-202611{:02}.gz", 20 - day);
            s.file(&name, (600, 4000), i64::try_from(day).unwrap_or(0) + 1);
        }
    }
    let mut policy = size_policy().keep_count(3).compress(Codec::Gzip);
    policy.when = RotateWhen::Daily;
    policy.naming = Naming::dated(DateFormat::daily(), DateShift::default());
    let set = SetSpec::pattern("/var/log/*.log", policy);
    let mut done = s.done("dated", Promise::Same, Config::single(set));
    yesterday(&mut done, &["/var/log/app.log", "/var/log/web.log"]);
    done
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

fn directory(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/srv/logs/deep/er");
    for log in ["/srv/logs/app.log", "/srv/logs/deep/web.log", "/srv/logs/deep/er/job.log"] {
        s.file(log, (100, 9000), 0);
        for n in 1..=s.random.below(6) {
            let suffix = if s.random.below(4) == 0 { "" } else { ".zst" };
            s.file(
                &sequence_name(log, n, suffix),
                (2000, 20_000),
                20 - i64::try_from(n).unwrap_or(0),
            );
        }
    }
    let quota = Bytes::kib(s.random.within(12, 60));
    let policy = Policy::for_directory(quota).compress(Codec::Zstd);
    let set = SetSpec::directory("/srv/logs", policy);
    s.done("directory", Promise::SameOrMore, Config::single(set))
}

fn fair(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    for (log, count, sizes) in [
        ("/var/log/flood.log", s.random.within(3, 8), (3000, 9000)),
        ("/var/log/small.log", s.random.within(1, 3), (100, 1500)),
        ("/var/log/web.log", s.random.within(1, 5), (2000, 5000)),
    ] {
        s.file(log, (500, 5000), 0);
        for n in 1..=count {
            s.file(&format!("{log}.{n}"), sizes, i64::try_from(n).unwrap_or(0));
        }
    }
    let quota = Bytes::kib(s.random.within(16, 40));
    let policy = size_policy().keep_count(20).compress(Codec::Gzip).quota(quota);
    s.done("fair", Promise::SameOrMore, Config::single(SetSpec::pattern("/var/log/*.log", policy)))
}

fn max_files(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    for log in ["/var/log/a.log", "/var/log/b.log"] {
        s.file(log, (100, 5000), 0);
        let count = s.random.within(1, 6);
        s.numbered(log, count, 1, ".gz");
    }
    let mut policy = size_policy().keep_count(20).compress(Codec::Gzip);
    policy.limits.max_files = Some(s.random.within(4, 9));
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("max-files", Promise::SameOrMore, Config::single(set))
}

fn old_dir(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log/old");
    for log in ["app.log", "web.log"] {
        s.file(&format!("/var/log/{log}"), (2100, 6000), 0);
        let count = s.random.below(5);
        s.numbered(&format!("/var/log/old/{log}"), count, 1, ".gz");
    }
    let mut policy = size_policy().keep_count(3).compress(Codec::Gzip);
    policy.archive_dir = Some(ArchiveDir { path: "old".into(), create: None });
    s.done("old-dir", Promise::Same, Config::single(SetSpec::pattern("/var/log/*.log", policy)))
}

fn create_old_dir(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    s.file("/var/log/app.log", (2100, 6000), 0);
    let mut policy = size_policy().keep_count(3).compress(Codec::Zstd);
    let owner = NewFile { mode: Some(0o750), uid: Some(0), gid: Some(4) };
    policy.archive_dir = Some(ArchiveDir { path: "old".into(), create: Some(owner) });
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("create-old-dir", Promise::Same, Config::single(set))
}

fn copy_truncate(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    s.file("/var/log/app.log", (2100, 6000), 0);
    let count = s.random.below(5);
    s.numbered("/var/log/app.log", count, 0, ".gz");
    let mut policy = size_policy().keep_count(3).compress(Codec::Gzip);
    policy.method = Method::CopyTruncate;
    policy.create = None;
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("copy-truncate", Promise::MayRepeat, Config::single(set))
}

fn copied(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    s.file("/var/log/app.log", (100, 6000), 0);
    let count = s.random.below(5);
    s.numbered("/var/log/app.log", count, 0, ".gz");
    let mut policy = size_policy().keep_count(3).compress(Codec::Gzip);
    policy.when = RotateWhen::Daily;
    policy.method = Method::Copy;
    policy.create = None;
    let set = SetSpec::pattern("/var/log/*.log", policy);
    let mut done = s.done("copied", Promise::MayRepeat, Config::single(set));
    yesterday(&mut done, &["/var/log/app.log"]);
    done
}

fn rename_copy(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    if s.fs.mkmount("/mnt/old").is_err() {
        panic!("no mount");
    }
    s.file("/var/log/app.log", (2100, 6000), 0);
    let count = s.random.below(5);
    s.numbered("/mnt/old/app.log", count, 0, ".gz");
    let mut policy = size_policy().keep_count(3).compress(Codec::Gzip);
    policy.method = Method::RenameCopy;
    policy.archive_dir = Some(ArchiveDir { path: "/mnt/old".into(), create: None });
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("rename-copy", Promise::Same, Config::single(set))
}

fn aged(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    for log in ["/var/log/a.log", "/var/log/b.log"] {
        s.file(log, (100, 6000), 0);
        for n in 1..=s.random.within(1, 6) {
            let days = i64::try_from(n * s.random.within(1, 4)).unwrap_or(0) - 2;
            s.file(&format!("{log}.{n}.gz"), (100, 3000), days);
        }
    }
    let mut policy = size_policy().keep_count(10).compress(Codec::Gzip);
    policy.max_age_days = Some(7);
    s.done("aged", Promise::Same, Config::single(SetSpec::pattern("/var/log/*.log", policy)))
}

fn quota_lowered(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    s.file("/var/log/app.log", (100, 1500), 0);
    for n in 1..=s.random.within(6, 14) {
        let suffix = if n < 3 { "" } else { ".gz" };
        s.file(
            &format!("/var/log/app.log.{n}{suffix}"),
            (2000, 9000),
            i64::try_from(n).unwrap_or(0),
        );
    }
    let quota = Bytes::kib(s.random.within(4, 12));
    let policy = size_policy().keep_count(30).compress(Codec::Gzip).quota(quota);
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("quota-lowered", Promise::SameOrMore, Config::single(set))
}

fn leftovers(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    let log = "/var/log/app.log";
    s.file(log, (100, 5000), 0);
    s.numbered(log, 4, 4, "");
    for n in [1, 2] {
        let name = temporary_name(format!("app.log.{n}.gz").as_ref());
        s.put(&format!("/var/log/{}", name.display()), noise(seed, 700), 0);
        let path = format!("/var/log/{}", name.display());
        s.fs.chown(&path, 0o600, 0, 0).unwrap_or_else(|e| panic!("{e}"));
    }
    // Compressed, and its source not deleted any more.
    let source = s.fs.content("/var/log/app.log.3").unwrap_or_default();
    let mtime = s.fs.meta("/var/log/app.log.3").map(|m| m.stamp.mtime.secs).unwrap_or_default();
    let copy = Content::Bytes(gzip(&source));
    let done =
        s.fs.put("/var/log/app.log.3.gz", copy, mtime)
            .and_then(|()| s.fs.chown("/var/log/app.log.3.gz", 0o640, 0, 4));
    done.unwrap_or_else(|e| panic!("{e}"));
    let mut policy = size_policy().keep_count(9).compress(Codec::Gzip);
    policy.limits.quota = (seed % 2 == 0).then(|| Bytes::kib(24));
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("leftovers", Promise::SameOrMore, Config::single(set))
}

fn rotate_zero(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    s.file("/var/log/app.log", (2100, 6000), 0);
    let count = s.random.below(3);
    s.numbered("/var/log/app.log", count, 1, ".gz");
    let policy = size_policy().keep_count(0);
    s.done(
        "rotate-zero",
        Promise::SameOrMore,
        Config::single(SetSpec::pattern("/var/log/*.log", policy)),
    )
}

fn scripts(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    for log in ["/var/log/a.log", "/var/log/b.log"] {
        s.file(log, (2100, 6000), 0);
        let count = s.random.below(5);
        s.numbered(log, count, 0, ".gz");
    }
    let mut policy = size_policy().keep_count(3).compress(Codec::Gzip);
    let script = |text: &str| Some(text.into());
    policy.scripts = Scripts {
        first: script("first"),
        pre: script("pre"),
        post: script("post"),
        last: script("last"),
        pre_remove: script("remove"),
        shared: seed.is_multiple_of(2),
    };
    s.done("scripts", Promise::Same, Config::single(SetSpec::pattern("/var/log/*.log", policy)))
}

fn mixed_styles(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/srv/logs");
    let log = "/srv/logs/app.log";
    s.file(log, (100, 8000), 0);
    for n in 1..=s.random.within(1, 3) {
        s.file(&sequence_name(log, n, ".zst"), (1000, 9000), 2);
        s.file(&format!("{log}.{n}.gz"), (1000, 9000), 5 + i64::try_from(n).unwrap_or(0));
        s.file(&format!("{log}-202610{:02}.gz", 20 - n), (1000, 9000), 30);
    }
    let quota = Bytes::kib(s.random.within(8, 40));
    let policy = Policy::for_directory(quota).compress(Codec::Zstd);
    let set = SetSpec::directory("/srv/logs", policy);
    s.done("mixed-styles", Promise::SameOrMore, Config::single(set))
}

fn reserve(seed: u64) -> Workload {
    let mut s = Scene::on(seed, SimDisk { capacity: Bytes::kib(96), ..SimDisk::default() });
    s.dir("/var/log");
    for log in ["/var/log/a.log", "/var/log/b.log"] {
        s.file(log, (2100, 5000), 0);
        let count = s.random.within(2, 6);
        s.numbered(log, count, 2, ".gz");
    }
    s.dir("/home");
    let foreign = s.fs.free().get().saturating_sub(s.random.within(0, 6) * 1024);
    s.put("/home/film", Content::Fill(1, foreign), 0);
    let policy = size_policy().keep_count(20).compress(Codec::Gzip);
    let mut policy = policy.reserve(Bytes::kib(s.random.within(4, 16)));
    if seed.is_multiple_of(3) {
        policy.limits.reserve = Some(Reserve::Percent(10));
    }
    s.done(
        "reserve",
        Promise::SameOrMore,
        Config::single(SetSpec::pattern("/var/log/*.log", policy)),
    )
}

fn two_sets(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    for dir in ["/var/log/a", "/var/log/b"] {
        s.dir(dir);
        for log in ["one.log", "two.log"] {
            let log = format!("{dir}/{log}");
            s.file(&log, (100, 6000), 0);
            let count = s.random.within(0, 4);
            s.numbered(&log, count, 1, ".gz");
        }
    }
    let quota = Bytes::kib(s.random.within(10, 24));
    let own = size_policy().keep_count(9).compress(Codec::Gzip).quota(quota);
    let free = size_policy().keep_count(4).compress(Codec::Zstd);
    let sets =
        vec![SetSpec::pattern("/var/log/a/*.log", own), SetSpec::pattern("/var/log/b/*.log", free)];
    let global = Limits { quota: Some(quota.plus(Bytes::kib(6))), ..Limits::default() };
    s.done("two-sets", Promise::SameOrMore, Config { sets, global })
}

fn full_disk(seed: u64) -> Workload {
    let shape = SimDisk {
        capacity: Bytes::kib(64),
        copy_on_write: seed.is_multiple_of(2),
        ..SimDisk::default()
    };
    let mut s = Scene::on(seed, shape);
    s.dir("/var/log");
    s.file("/var/log/app.log", (2100, 5000), 0);
    let count = s.random.within(2, 6);
    s.numbered("/var/log/app.log", count, count, "");
    s.fs.fill_disk("/foreign").unwrap_or_else(|e| panic!("{e}"));
    let quota = s.fs.usage().files.get() / 1024;
    let quota = Bytes::kib(s.random.within(6, quota.clamp(7, 16)));
    let policy = size_policy().keep_count(20).compress(Codec::Gzip).quota(quota);
    s.done(
        "full-disk",
        Promise::SameOrMore,
        Config::single(SetSpec::pattern("/var/log/*.log", policy)),
    )
}

fn no_inodes(seed: u64) -> Workload {
    let mut s = Scene::on(seed, SimDisk { inodes: 12, ..SimDisk::default() });
    s.dir("/var/log");
    s.file("/var/log/app.log", (2100, 5000), 0);
    s.numbered("/var/log/app.log", 8, 2, ".gz");
    let keep = u32::try_from(s.random.within(3, 8)).unwrap_or(3);
    let mut policy = size_policy().keep_count(keep).compress(Codec::Gzip);
    if seed.is_multiple_of(2) {
        policy.limits.quota = Some(Bytes::kib(64));
    }
    s.done(
        "no-inodes",
        Promise::SameOrMore,
        Config::single(SetSpec::pattern("/var/log/*.log", policy)),
    )
}

fn strange(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log/sub");
    s.file("/var/log/app.log", (2100, 5000), 0);
    s.numbered("/var/log/app.log", 3, 1, ".gz");
    s.put("/var/log/holes.log", Content::Sparse(1 << 20), 0);
    s.put("/var/log/big.log.1", Content::Reserved(8192), 1);
    s.file("/var/log/big.log", (2100, 5000), 0);
    s.file("/var/log/twice.log", (2100, 5000), 0);
    let made =
        s.fs.hardlink("/var/log/twice.log", "/var/log/sub/again")
            .and_then(|()| s.fs.symlink("/etc/shadow", "/var/log/link.log"))
            .and_then(|()| s.fs.special("/var/log/pipe.log"))
            .and_then(|()| s.fs.mkdir("/var/log/dir.log"));
    made.unwrap_or_else(|e| panic!("{e}"));
    let mut policy = size_policy().keep_count(4).compress(Codec::Zstd);
    if let Some(minutes) = NonZeroU32::new(5) {
        policy.when = RotateWhen::Minutes(minutes);
    }
    policy.max_size = Some(Bytes::kib(2));
    policy.count = Count::AtMost(3);
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("strange", Promise::Same, Config::single(set))
}

/// All of them.
pub const ALL: [(&str, Make); 23] = [
    ("numbered-gzip", numbered_gzip),
    ("numbered-zstd", numbered_zstd),
    ("delayed", delayed),
    ("dated", dated),
    ("directory", directory),
    ("fair", fair),
    ("max-files", max_files),
    ("old-dir", old_dir),
    ("create-old-dir", create_old_dir),
    ("copy-truncate", copy_truncate),
    ("copied", copied),
    ("rename-copy", rename_copy),
    ("aged", aged),
    ("quota-lowered", quota_lowered),
    ("leftovers", leftovers),
    ("rotate-zero", rotate_zero),
    ("scripts", scripts),
    ("mixed-styles", mixed_styles),
    ("reserve", reserve),
    ("two-sets", two_sets),
    ("full-disk", full_disk),
    ("no-inodes", no_inodes),
    ("strange", strange),
];
