//! Rotation in all its ways, with room enough.

use super::*;

pub(super) fn numbered_gzip(seed: u64) -> Workload {
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

pub(super) fn numbered_zstd(seed: u64) -> Workload {
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
    s.done("numbered-zstd", Promise::Same, Config { sets, ..Config::default() })
}

pub(super) fn delayed(seed: u64) -> Workload {
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

pub(super) fn dated(seed: u64) -> Workload {
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

pub(super) fn directory(seed: u64) -> Workload {
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

pub(super) fn fair(seed: u64) -> Workload {
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

pub(super) fn max_files(seed: u64) -> Workload {
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

pub(super) fn old_dir(seed: u64) -> Workload {
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

pub(super) fn create_old_dir(seed: u64) -> Workload {
    let mut s = Scene::new(seed);
    s.dir("/var/log");
    s.file("/var/log/app.log", (2100, 6000), 0);
    let mut policy = size_policy().keep_count(3).compress(Codec::Zstd);
    let owner = NewFile { mode: Some(0o750), uid: Some(0), gid: Some(4) };
    policy.archive_dir = Some(ArchiveDir { path: "old".into(), create: Some(owner) });
    let set = SetSpec::pattern("/var/log/*.log", policy);
    s.done("create-old-dir", Promise::Same, Config::single(set))
}

pub(super) fn copy_truncate(seed: u64) -> Workload {
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

pub(super) fn copied(seed: u64) -> Workload {
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

pub(super) fn rename_copy(seed: u64) -> Workload {
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
