//! Limits, full disks, leftovers, and files that are not what they seem.

use super::*;

pub(super) fn aged(seed: u64) -> Workload {
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

pub(super) fn quota_lowered(seed: u64) -> Workload {
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

pub(super) fn leftovers(seed: u64) -> Workload {
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
    policy.limits.quota = seed.is_multiple_of(2).then(|| Bytes::kib(24));
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("leftovers", Promise::SameOrMore, Config::single(set))
}

pub(super) fn rotate_zero(seed: u64) -> Workload {
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

pub(super) fn scripts(seed: u64) -> Workload {
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

pub(super) fn mixed_styles(seed: u64) -> Workload {
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

pub(super) fn reserve(seed: u64) -> Workload {
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

pub(super) fn two_sets(seed: u64) -> Workload {
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
    s.done("two-sets", Promise::SameOrMore, Config { sets, global, ..Config::default() })
}

pub(super) fn full_disk(seed: u64) -> Workload {
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

pub(super) fn no_inodes(seed: u64) -> Workload {
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

pub(super) fn strange(seed: u64) -> Workload {
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

/// Logs that alone pass the quota, on a full disk.
fn trimmed(seed: u64, name: &'static str, head_cuts: HeadCuts) -> Workload {
    let shape = SimDisk { capacity: Bytes::kib(48), head_cuts, ..SimDisk::default() };
    let mut s = Scene::on(seed, shape);
    s.dir("/var/log");
    s.file("/var/log/a.log", (6000, 14_000), 0);
    s.file("/var/log/b.log", (100, 9000), 0);
    for log in ["/var/log/a.log", "/var/log/b.log"] {
        let count = s.random.below(3);
        s.numbered(log, count, 1, ".gz");
    }
    s.fs.fill_disk("/film").unwrap_or_else(|e| panic!("{e}"));
    let mut policy = size_policy().rotate_when(RotateWhen::Never).keep_count(9);
    policy.limits.quota = Some(Bytes::new(s.random.within(3000, 8000)));
    let set = SetSpec::pattern("/var/log/*.log", policy.compress(Codec::Gzip).live_trim());
    s.done(name, Promise::Same, Config::single(set))
}

pub(super) fn live_trim(seed: u64) -> Workload {
    trimmed(seed, "live-trim", HeadCuts::Close)
}

pub(super) fn live_trim_gap(seed: u64) -> Workload {
    trimmed(seed, "live-trim-gap", HeadCuts::Leave)
}
