//! Inventories, configurations and moments as a scan could have found them, most of them
//! odd: names of every style, several links, leftovers, obstacles, full disks, limits just
//! above and just below what is used.
//!
//! A case is built from a tree of bytes, so that a failing one shrinks to small numbers and
//! few files: every byte picks from a list whose first entry is the plainest.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;

use chrono::{DateTime, Duration, FixedOffset, NaiveDateTime};
use logquota::ballast::Keeper;
use logquota::inventory::{
    Archive, Ballast, BallastFound, Blocked, Dir, DirId, Inventory, Leftover, LeftoverKind, Log,
    Place, Set, Space,
};
use logquota::naming::{
    DateFormat, DateShift, Label, Naming, Style, sequence_label, temporary_name,
};
use logquota::plan::{Context, Host, Purpose};
use logquota::policy::{
    ArchiveDir, Codec, Compress, Config, Count, Limits, Mail, MailWhen, Method, NewFile, Policy,
    Reserve, RotateWhen, Rules, Scripts, SetSpec, Shred,
};
use logquota::stamp::{FileId, Kind, Meta, Oldest, Stamp, Timestamp};
use logquota::units::Bytes;
use proptest::array::{uniform5, uniform8, uniform10, uniform20};
use proptest::prelude::*;

/// What the generated file systems allocate in.
pub const BLOCK: u64 = 4096;

/// Input of one call of the planner.
#[derive(Clone)]
pub struct Case {
    /// What was scanned.
    pub inventory: Inventory,
    /// What shall be.
    pub config: Config,
    /// When and where.
    pub context: Context,
}

/// Which oddities a case may have.
#[derive(Clone, Copy, Debug)]
pub struct Odd {
    /// Obstacles, leftovers, duplicates, dates of today, archives in other styles.
    pub names: bool,
    /// Disks with little or no room or inodes.
    pub disk: bool,
    /// Files with several names.
    pub links: bool,
    /// Sizes that no disk holds.
    pub huge: bool,
    /// Limits over all sets, `maxfiles` and `reserve`.
    pub limits: bool,
    /// Sets under logrotate's rules.
    pub classic: bool,
    /// Logs that may be cut at their heads.
    pub live_trim: bool,
    /// A ballast that is asked for, or is there.
    pub ballast: bool,
}

impl Odd {
    /// Everything.
    pub const ALL: Self = Self {
        names: true,
        disk: true,
        links: true,
        huge: true,
        limits: true,
        classic: false,
        live_trim: true,
        ballast: false,
    };
    /// Nothing: one quota per set, enough disk, tidy names.
    pub const NONE: Self = Self {
        names: false,
        disk: false,
        links: false,
        huge: false,
        limits: false,
        classic: false,
        live_trim: false,
        ballast: false,
    };
}

/// Bytes of one log, and of each of its archives.
type RawLog = ([u8; 10], Vec<[u8; 5]>);
/// Bytes of a policy, of its file system, and its logs.
type RawSet = ([u8; 20], [u8; 8], Vec<RawLog>);
/// Bytes of the whole.
type Raw = ([u8; 8], Vec<RawSet>);

/// Cases with these oddities: 1 to 3 sets of 1 to 6 logs with up to 12 archives each.
pub fn cases(odd: Odd) -> impl Strategy<Value = Case> {
    let archives = prop::collection::vec(uniform5(any::<u8>()), 0..=12);
    let logs = prop::collection::vec((uniform10(any::<u8>()), archives), 1..=6);
    let sets = (uniform20(any::<u8>()), uniform8(any::<u8>()), logs);
    (uniform8(any::<u8>()), prop::collection::vec(sets, 1..=3))
        .prop_map(move |raw| build(&raw, odd))
}

fn pick<T: Clone>(byte: u8, options: &[T]) -> T {
    options[usize::from(byte) % options.len()].clone()
}

/// Whether a byte says yes; one in `n` does, and zero does not.
fn one_in(n: u8, byte: u8) -> bool {
    byte % n == n - 1
}

struct Builder {
    odd: Odd,
    now: DateTime<FixedOffset>,
    huge: bool,
    ino: u64,
    taken: HashSet<(DirId, OsString)>,
    spaces: BTreeMap<u64, Space>,
}

/// The case that a tree of bytes stands for.
#[must_use]
pub fn build((host, raw_sets): &Raw, odd: Odd) -> Case {
    let seconds = [1_795_286_496, 1_795_286_496 + 86_400 * 40, 1_798_757_999, 1_772_323_200];
    let offset = FixedOffset::east_opt(pick(host[1], &[0, 3600, -18_000])).expect("an offset");
    let now = DateTime::from_timestamp(pick(host[0], &seconds), 0).expect("a time");
    let mut builder = Builder {
        odd,
        now: now.with_timezone(&offset),
        huge: odd.huge && one_in(24, host[2]),
        ino: 100,
        taken: HashSet::new(),
        spaces: BTreeMap::new(),
    };
    let mut dirs = BTreeMap::new();
    let mut config = Config::default();
    let mut sets = Vec::new();
    for (number, raw) in raw_sets.iter().enumerate() {
        let (set, spec) = builder.set(number, raw, &mut dirs);
        sets.push(set);
        config.sets.push(spec);
    }
    let used = sets.iter().map(Set::used).sum();
    let files = sets.iter().map(Set::files).sum();
    if odd.limits {
        let free = sets[0].space.free;
        config.global = limits([host[3], host[4], host[5]], used, files, free);
    }
    let mut ballasts = Vec::new();
    if odd.ballast {
        let sizes = [64, 0, 1, 8, 1000].map(|blocks: u64| Bytes::new(blocks * BLOCK));
        let size = pick(host[7], &sizes);
        let is_said = size > Bytes::ZERO || one_in(2, host[7] / 5);
        config.ballast = is_said.then_some(size);
        ballasts = builder.ballasts((host[7] / 5, size), &sets, &mut dirs);
    }
    let inventory = {
        let mut inventory = Inventory { dirs, sets, ballasts, notes: Vec::new() };
        inventory.normalize();
        inventory
    };
    let context = Context {
        now: builder.now,
        host: Host { name: "host".into(), machine_id: "0123".into(), ..Host::default() },
        force: one_in(4, host[6]),
        purpose: Purpose::Routine,
    };
    Case { inventory, config, context }
}

/// Limits around what is used.
fn limits(raw: [u8; 3], used: Bytes, files: u64, free: Bytes) -> Limits {
    let (used, block) = (used.get(), BLOCK);
    let quota = match raw[0] % 12 {
        0..=3 => None,
        4 => Some(used),
        5 => Some(used.saturating_sub(block)),
        6 => Some(used.saturating_add(block)),
        7 => Some(used / 2),
        8 => Some(used / 3 * 2),
        9 => Some(used / 8),
        10 => Some(block),
        _ => Some(used.saturating_mul(2)),
    };
    let max_files = match raw[1] % 8 {
        0..=4 => None,
        5 => Some(files),
        6 => Some(files.saturating_sub(1)),
        _ => Some(files / 2),
    };
    let reserve = match raw[2] % 8 {
        0..=4 => None,
        5 => Some(Reserve::Bytes(free.plus(Bytes::new(block * 3)))),
        6 => Some(Reserve::Bytes(free)),
        _ => Some(Reserve::Percent(raw[2] % 101)),
    };
    Limits {
        quota: quota.map(|quota| Bytes::new(quota.max(1))),
        max_files: max_files.map(|files| files.max(1)),
        reserve,
    }
}

impl Builder {
    /// Beside each set: none, one of any size, or something else.
    fn ballasts(
        &mut self,
        (byte, size): (u8, Bytes),
        sets: &[Set],
        dirs: &mut BTreeMap<DirId, Dir>,
    ) -> Vec<Ballast> {
        let mut found = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            let at = u32::try_from(number).expect("few");
            let dir = DirId(31 + at);
            let id = FileId { dev: set.dev, ino: u64::from(dir.0), btime: None };
            let path = format!("/var/log/set{number}/.logquota").into();
            let missing = Some(Place { dir: DirId(1 + at), name: ".logquota".into() });
            let choice = (usize::from(byte) >> number) % 6;
            let missing = missing.filter(|_| choice == 0);
            dirs.insert(dir, Dir { path, id, mount: set.dev, missing });
            self.ino += 1;
            let kept = [0, 0, 2, 1, 3][choice.min(4)] * size.get().max(BLOCK * 4) / 2;
            let stamp = Stamp {
                id: FileId { dev: set.dev, ino: self.ino, btime: None },
                len: kept,
                allocated: Bytes::new(kept).in_blocks(Bytes::new(BLOCK)),
                mtime: Timestamp { secs: self.now.timestamp() - 100, nanos: 0 },
                ctime: Timestamp { secs: self.now.timestamp() - 100, nanos: 0 },
                nlink: 1,
            };
            let what = match choice {
                0 => BallastFound::Missing { since: None },
                1 => BallastFound::Missing { since: Some(stamp.mtime) },
                5 => BallastFound::Foreign { why: "odd".into() },
                _ => BallastFound::Ours(Meta {
                    stamp,
                    accessed: stamp.mtime,
                    kind: Kind::File,
                    mode: 0o600,
                    uid: 0,
                    gid: 0,
                    mount: set.dev,
                }),
            };
            let place = Place { dir, name: "ballast".into() };
            let keeper = if one_in(2, byte) { Keeper::Program } else { Keeper::Configuration };
            let can_be_made = choice == 0 || !one_in(3, byte.rotate_left(at + 1));
            let dev = set.dev;
            found.push(Ballast { place, set: number, dev, found: what, keeper, can_be_made });
        }
        found
    }

    fn set(
        &mut self,
        number: usize,
        (raw, fs, raw_logs): &RawSet,
        dirs: &mut BTreeMap<DirId, Dir>,
    ) -> (Set, SetSpec) {
        let id = u32::try_from(number).expect("few");
        let dev = if one_in(3, fs[0]) { 2 } else { 1 };
        let mut add_dir = |id: u32, path: String, dev: u64| {
            let file = FileId { dev, ino: u64::from(id), btime: None };
            dirs.insert(DirId(id), Dir { path: path.into(), id: file, mount: dev, missing: None });
            DirId(id)
        };
        let mut policy = self.policy(raw);
        let dir = add_dir(1 + id, format!("/var/log/set{number}"), dev);
        let mut archive_dir = dir;
        if one_in(5, raw[9]) {
            archive_dir = add_dir(11 + id, format!("/var/old/set{number}"), dev);
            policy.archive_dir =
                Some(ArchiveDir { path: format!("/var/old/set{number}").into(), create: None });
        }
        let logs = raw_logs
            .iter()
            .enumerate()
            .map(|(at, log)| self.log(number, at, log, &policy, (dir, archive_dir), dev))
            .collect();
        // One file system, one answer.
        let space = *self.spaces.entry(dev).or_insert_with(|| space(fs, self.odd));
        let mut set = Set { logs, overhead: Bytes::ZERO, space, dev };
        let whole_dir = one_in(4, raw[17]);
        if whole_dir {
            set.overhead = Bytes::new(BLOCK);
        }
        let free = set.space.free;
        policy.limits = limits([raw[14], raw[15], raw[16]], set.used(), set.files(), free);
        if !self.odd.limits {
            policy.limits.max_files = None;
            policy.limits.reserve = None;
        }
        if let (RotateWhen::Size(size), Some(quota)) = (policy.when, &mut policy.limits.quota) {
            *quota = (*quota).max(size);
        }
        assert!(policy.validate().is_ok(), "{policy:?}");
        let path = format!("/var/log/set{number}");
        let mut spec = if whole_dir {
            SetSpec::directory(path, policy)
        } else {
            SetSpec::pattern(path + "/*", policy)
        };
        spec.name = format!("set{number}");
        (set, spec)
    }

    fn policy(&self, raw: &[u8; 20]) -> Policy {
        let kib = |byte: u8| Bytes::kib(pick(byte, &[20, 4, 64]));
        let mut policy = Policy::default();
        policy.when = match raw[0] % 14 {
            0..=4 => RotateWhen::Size(kib(raw[1])),
            5 => RotateWhen::Size(Bytes::new(1)),
            6 => RotateWhen::Hourly,
            7 => RotateWhen::Daily,
            8 => RotateWhen::Weekly { weekday: raw[1] % 8 },
            9 => RotateWhen::Monthly { day: raw[1] % 32 },
            10 => RotateWhen::Yearly,
            11 => RotateWhen::Minutes(pick(raw[1], &[1, 30]).try_into().expect("not zero")),
            _ => RotateWhen::Never,
        };
        let rarely = |byte: u8| one_in(6, byte);
        policy.max_size = rarely(raw[2]).then(|| kib(raw[1]));
        policy.min_size = rarely(raw[3]).then(|| kib(raw[1]));
        policy.min_age_days = rarely(raw[4]).then_some(u32::from(raw[1] % 3));
        policy.if_empty = !raw[5].is_multiple_of(2);
        policy.method = match raw[6] % 8 {
            0..=3 => Method::Rename,
            4 | 5 => Method::CopyTruncate,
            6 => Method::Copy,
            _ => Method::RenameCopy,
        };
        policy.create = (!one_in(3, raw[7])).then(NewFile::default);
        policy.naming = namings(raw[8]);
        policy.count = match raw[10] % 8 {
            7 => Count::Unlimited,
            n => Count::AtMost([3, 0, 1, 2, 5, 9, 3][usize::from(n)]),
        };
        policy.max_age_days = one_in(3, raw[11]).then(|| pick(raw[1], &[7, 1, 30]));
        policy.compress = match raw[12] % 4 {
            0 | 1 => None,
            2 => Some(Compress { delay: one_in(3, raw[13]), ..Compress::with(Codec::Gzip) }),
            _ => Some(Compress { delay: one_in(3, raw[13]), ..Compress::with(Codec::Zstd) }),
        };
        let script = |bit: u8| (raw[18] >> bit & 1 == 1 && raw[18] > 127).then(|| "true".into());
        policy.scripts = Scripts {
            first: script(0),
            pre: script(1),
            post: script(2),
            last: script(3),
            pre_remove: script(4),
            shared: raw[18] & 32 != 0,
        };
        if self.odd.classic {
            if !one_in(4, raw[19]) {
                policy.rules = Rules::Logrotate;
            }
            policy.shred = one_in(8, raw[17]).then(Shred::default);
            policy.mail = one_in(8, raw[16]).then(|| Mail {
                address: "root".to_owned(),
                when: pick(raw[15], &[MailWhen::Last, MailWhen::First]),
                unpack: "gunzip".into(),
            });
        }
        policy.live_trim = self.odd.live_trim && one_in(3, raw[14]);
        policy.evict_new = one_in(2, raw[16]);
        policy.missing_ok = one_in(2, raw[19]);
        policy.allow_hard_links = self.odd.links && one_in(3, raw[19]);
        policy
    }

    fn log(
        &mut self,
        set: usize,
        number: usize,
        (raw, raw_archives): &RawLog,
        policy: &Policy,
        (dir, archive_dir): (DirId, DirId),
        dev: u64,
    ) -> Log {
        let ending = pick(raw[0], &[".log", "", ".txt", "-x.log"]);
        let name = OsString::from(format!("{}{set}{ending}", char::from(b'a' + number as u8)));
        self.taken.insert((dir, name.clone()));
        let blocked = one_in(10, raw[1]).then(|| match raw[2] % 4 {
            0 => Blocked::Symlink,
            1 => Blocked::HardLinks { names: 2 },
            2 => Blocked::InsecureParent { why: "it is writable by others".into() },
            _ => Blocked::Missing,
        });
        let mut active = self.meta(raw[2], 10, dev);
        let since = pick(raw[3], &[30, 7_200, 86_400 * 3, -86_400]);
        active.stamp.mtime.secs = self.now.timestamp() - since;
        if one_in(6, raw[4]) && policy.allow_hard_links
            || matches!(blocked, Some(Blocked::HardLinks { .. }))
        {
            active.stamp.nlink = 2;
        }
        let active = (!one_in(12, raw[5])
            && !matches!(blocked, Some(Blocked::Missing | Blocked::Symlink)))
        .then_some(active);
        let mut log = Log {
            dir,
            is_held: self.odd.live_trim && active.is_some() && one_in(5, raw[5]),
            oldest: active.filter(|_| one_in(2, raw[6])).map(|active| {
                let digest = u128::from(active.stamp.id.ino).to_le_bytes();
                Box::new(Oldest { start: 0, digest })
            }),
            active,
            name,
            archive_dir,
            archives: Vec::new(),
            leftovers: Vec::new(),
            obstacles: Vec::new(),
            last_rotated: self.last_rotated(raw[6]),
            blocked,
        };
        if log.blocked != Some(Blocked::Missing) {
            let every = pick(raw[9], &[86_400, 3_600, 40]);
            self.archives(&mut log, raw_archives, policy, (every, dev));
            if self.odd.names {
                self.oddities(&mut log, raw, policy, dev);
            }
        }
        if log.active.is_none() && log.archives.is_empty() && log.blocked.is_none() {
            log.blocked = Some(Blocked::Missing);
            log.leftovers.clear();
        }
        log
    }

    fn last_rotated(&self, byte: u8) -> Option<NaiveDateTime> {
        let now = self.now.naive_local();
        let ago = match byte % 12 {
            0 => return None,
            1 => Duration::zero(),
            2 => Duration::minutes(2),
            3 => Duration::minutes(31),
            4 => Duration::minutes(90),
            5 => Duration::hours(20),
            6 => Duration::days(1),
            7 => Duration::days(6),
            8 => Duration::days(33),
            9 => Duration::days(400),
            10 => -Duration::hours(26),
            _ => -Duration::hours(2),
        };
        now.checked_sub_signed(ago)
    }

    /// A file of some size; `blocks` are repeated for bytes above.
    fn meta(&mut self, byte: u8, mode: u32, dev: u64) -> Meta {
        self.ino += 1;
        let blocks = pick(byte, &[1, 2, 3, 5, 8, 16, 0, 40]);
        let (mut len, mut allocated) = (blocks * BLOCK, blocks * BLOCK);
        match byte / 8 % 8 {
            5 => len = len.saturating_sub(100),
            6 if blocks > 0 => len += 1 << 40,
            7 => allocated += 3 * BLOCK,
            _ => {}
        }
        if self.huge && byte % 4 == 3 {
            allocated = 1 << (54 + byte / 4 % 3);
            len = u64::MAX;
        }
        let secs = self.now.timestamp() - 60;
        let time = Timestamp { secs, nanos: 5 };
        let stamp = Stamp {
            id: FileId { dev, ino: self.ino, btime: Some(time) },
            len,
            allocated: Bytes::new(allocated),
            mtime: time,
            ctime: time,
            nlink: 1,
        };
        Meta {
            stamp,
            accessed: stamp.mtime,
            kind: Kind::File,
            mode: 0o600 | mode,
            uid: 0,
            gid: 0,
            mount: dev,
        }
    }

    fn archives(
        &mut self,
        log: &mut Log,
        raw: &[[u8; 5]],
        policy: &Policy,
        (every, dev): (i64, u64),
    ) {
        let naming = &policy.naming;
        let suffix = policy.compress.as_ref().map_or("", |compress| compress.suffix.as_str());
        let mut place = 0;
        for raw in raw {
            place += if one_in(5, raw[0]) && self.odd.names { 2 } else { 1 };
            let style = if one_in(8, raw[0]) && self.odd.names {
                pick(raw[1], &[Naming::numbered(1), Naming::sequence(), namings(2)]).style
            } else {
                naming.style.clone()
            };
            let label = self.label(&style, place);
            let suffix = match raw[1] % 8 {
                0..=3 => suffix,
                4 | 5 => "",
                6 => ".gz",
                _ => ".zst",
            };
            let mut meta = self.meta(raw[2], 0, dev);
            let age = every.saturating_mul(place.into());
            meta.stamp.mtime.secs = match raw[3] % 10 {
                8 => -5,
                9 => self.now.timestamp() + age,
                n => self.now.timestamp() - age * i64::from(n / 4 + 1),
            };
            let links = self.odd.links && one_in(8, raw[4]);
            if links {
                meta.stamp.nlink = 2;
            }
            self.add_archive(log, naming, &label, suffix, meta);
            let is_doubled = raw[4] % 8 == 6 && self.odd.names && !suffix.is_empty();
            if is_doubled {
                let mut plain = self.meta(raw[2].wrapping_add(8), 0, dev);
                plain.stamp.mtime = meta.stamp.mtime;
                self.add_archive(log, naming, &label, "", plain);
            }
            if links && one_in(16, raw[4]) {
                // The other name is an archive, too.
                place += 1;
                let label = self.label(&naming.style, place);
                self.add_archive(log, naming, &label, "", meta);
            }
        }
    }

    /// The label of the archive at a place in the line, 1 the newest.
    fn label(&self, style: &Style, place: u32) -> Label {
        match style {
            Style::Numbered { start } => Label::Number(start + place - 1),
            Style::Dated { format, shift } => {
                let first = if self.odd.names { 1 } else { 0 };
                format.label(self.now - Duration::days(i64::from(place) - first), *shift)
            }
            _ => sequence_label(u64::from(1000 - place), self.now.timestamp() - i64::from(place)),
        }
    }

    /// Adds it if the name is free and is that of an archive.
    fn add_archive(
        &mut self,
        log: &mut Log,
        naming: &Naming,
        label: &Label,
        suffix: &str,
        meta: Meta,
    ) {
        let name = naming.format(&log.name, label, suffix);
        let Some(parsed) = naming.parse(&log.name, &name) else { return };
        if self.taken.insert((log.archive_dir, name.clone())) {
            log.archives.push(Archive::new(&name, parsed, &meta));
        }
    }

    /// Leftovers and obstacles.
    fn oddities(&mut self, log: &mut Log, raw: &[u8; 10], policy: &Policy, dev: u64) {
        let first = policy.naming.format(&log.name, &self.label(&policy.naming.style, 1), "");
        let waiting = {
            let mut name = log.name.clone();
            name.push(".tmp");
            name
        };
        let mut leftover = |dir: DirId, name: OsString, kind| {
            if self.taken.insert((dir, name.clone())) {
                let meta = self.meta(raw[8] / 8, 0, dev);
                log.leftovers.push(Leftover { place: Place { dir, name }, meta, kind });
            }
        };
        match raw[8] % 8 {
            6 => leftover(log.archive_dir, temporary_name(&first), LeftoverKind::Temporary),
            7 if policy.method == Method::RenameCopy => {
                leftover(log.dir, waiting, LeftoverKind::Renamed);
            }
            _ => {}
        }
        let place = u32::from(raw[7] / 8 % 4) + 1;
        let label = self.label(&policy.naming.style, place);
        let suffix = policy.compress.as_ref().map_or("", |compress| compress.suffix.as_str());
        let name = match raw[7] % 8 {
            5 => policy.naming.format(&log.name, &label, ""),
            6 => policy.naming.format(&log.name, &label, suffix),
            7 => temporary_name(&policy.naming.format(&log.name, &label, suffix)),
            _ => return,
        };
        if self.taken.insert((log.archive_dir, name.clone())) {
            log.obstacles.push(name);
        }
    }
}

fn namings(byte: u8) -> Naming {
    let explicit = DateFormat::new("-%d%m%Y").expect("a format");
    let mut naming = match byte % 6 {
        0 | 1 => Naming::numbered(1),
        2 => Naming::dated(DateFormat::daily(), DateShift::default()),
        3 => Naming::dated(explicit, DateShift::default()),
        4 => Naming::numbered(0),
        _ => Naming::sequence(),
    };
    match byte / 6 % 6 {
        4 => naming.extension = Some(".log".into()),
        5 => naming.add_extension = Some(".txt".into()),
        _ => {}
    }
    naming
}

fn space(raw: &[u8; 8], odd: Odd) -> Space {
    let mut space = Space {
        total: Bytes::gib(1),
        free: Bytes::mib(512),
        free_files: Some(100_000),
        total_files: Some(200_000),
        block: Bytes::new(BLOCK),
    };
    if odd.disk {
        space.free = Bytes::new(pick(raw[2], &[1 << 29, 1 << 29, 0, BLOCK, 10 * BLOCK, 1 << 18]));
        space.free_files = pick(raw[3], &[Some(100_000), None, Some(0), Some(1), Some(2)]);
    }
    space
}
