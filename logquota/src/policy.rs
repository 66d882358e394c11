//! What shall become of a set of logs: when they rotate, how, what is kept, what they
//! may occupy. Data only; made by the builder calls here or from a configuration text.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

mod foreign;

use crate::error::{Error, Result};
use crate::naming::Naming;
use crate::units::{Age, Bytes};

/// The criterion that makes a log due. One at a time; the last one set wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RotateWhen {
    /// When the file has at least so many bytes of length (logrotate's `size`).
    Size(Bytes),
    /// When year, month, day or hour of the local clock differ from the last rotation.
    Hourly,
    /// When year, month or day differ.
    Daily,
    /// logrotate's `weekly [0-7]`: after seven days, or on that weekday (0 Sunday) if at
    /// least one day has passed. 7: only the first.
    Weekly {
        /// 0 Sunday to 6 Saturday, 7 for none.
        weekday: u8,
    },
    /// logrotate's `monthly [0-31]`: 0 when the month differs; otherwise after 31 days, on
    /// that day of the month, or on the last day of a month.
    Monthly {
        /// 0 for none, else 1 to 31.
        day: u8,
    },
    /// When the year differs.
    Yearly,
    /// When more than so many whole minutes have passed.
    Minutes(NonZeroU32),
    /// Only on demand or when the quota forces it.
    Never,
}

/// What happens to the live log when it rotates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Renamed; the writer is told by a script, or notices.
    Rename,
    /// Copied, then truncated in place. What is written between the last byte copied and
    /// the truncation is lost; that window cannot be closed, only made small.
    CopyTruncate,
    /// Copied and left alone.
    Copy,
    /// Renamed to `LOG.tmp`, and copied from there to its final name after `postrotate`;
    /// for archives on another device.
    RenameCopy,
}

/// Mode and owner of something new. What is not given is taken from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NewFile {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// How archives are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// gzip (RFC 1952), level 6.
    Gzip,
    /// Zstandard (RFC 8878), level 3.
    Zstd,
}

impl Codec {
    /// The file name suffix, with its dot.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// A program that reads standard input and writes standard output (logrotate's `compresscmd`).
/// The library starts none: it hands them to [`Hooks`](crate::apply::Hooks).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Its path, or a name to look up in `$PATH`.
    pub command: OsString,
    /// Its arguments.
    pub options: Vec<OsString>,
}

/// Whether and how archives are compressed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compress {
    /// In place of the codec: a program.
    pub program: Option<Arc<Program>>,
    /// Which codec.
    pub codec: Codec,
    /// The suffix to use, with its dot if it has one; normally [`Codec::suffix`].
    pub suffix: String,
    /// Compression level; the codec's default if none.
    pub level: Option<i32>,
    /// Leave the newest archive plain until the next rotation (logrotate's `delaycompress`).
    pub delay: bool,
}

impl Compress {
    /// With the codec's own suffix and level, at once.
    #[must_use]
    pub fn with(codec: Codec) -> Self {
        let suffix = codec.suffix().to_owned();
        Self { program: None, codec, suffix, level: None, delay: false }
    }
}

/// How many archives stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Count {
    /// The newest so many; 0 removes the new archive right after its rotation.
    AtMost(u32),
    /// None is removed for its number.
    Unlimited,
}

/// Another folder for the archives (logrotate's `olddir`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArchiveDir {
    /// Absolute, or relative to the folder of the log.
    pub path: PathBuf,
    /// If it does not exist: make it, with this mode and owner.
    pub create: Option<NewFile>,
}

/// Scripts of the configuration, run by `/bin/sh -c`. The library starts no process: it
/// hands them to [`Hooks`](crate::apply::Hooks).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scripts {
    /// Once per set before everything, if a log is due. If it fails, nothing rotates.
    pub first: Option<Arc<str>>,
    /// Before a log is rotated. If it fails, the log is not.
    pub pre: Option<Arc<str>>,
    /// After a log was rotated. If it fails, the new archive is not compressed.
    pub post: Option<Arc<str>>,
    /// Once per set after everything, if a log was due.
    pub last: Option<Arc<str>>,
    /// Before an archive is deleted. If it fails, that archive stays.
    pub pre_remove: Option<Arc<str>>,
    /// `pre` and `post` run once for all logs of the set.
    pub shared: bool,
}

/// What must stay free on the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reserve {
    /// So many bytes.
    Bytes(Bytes),
    /// So many percent of its size, at most 100.
    Percent(u8),
}

impl Reserve {
    /// In bytes, on a file system of `total` bytes.
    #[must_use]
    pub fn of(self, total: Bytes) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let bytes = u128::from(total.get()) * u128::from(percent.min(100)) / 100;
                Bytes::new(u64::try_from(bytes).unwrap_or(u64::MAX))
            }
        }
    }
}

/// What a set, or all sets together, may occupy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The most that everything we own in the set may occupy, in allocated bytes
    /// (`st_blocks` x 512): active files, archives, temporaries, half-compressed files.
    ///
    /// # What is not guaranteed
    ///
    /// Other programs write to the active files between two runs; a run brings the set back
    /// under the limit. Only the embedded writer can refuse a record beforehand.
    pub quota: Option<Bytes>,
    /// The most files (inodes).
    pub max_files: Option<u64>,
    /// What must stay free on the file system; archives of ours are evicted until it is.
    pub reserve: Option<Reserve>,
}

/// As whom the files of a set are worked on (logrotate's `su`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Whose rules decide about rotation, where logrotate's and ours differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rules {
    /// Ours: nothing is overwritten, everything that is deleted goes before anything is made,
    /// what an interrupted run has begun is finished.
    #[default]
    Own,
    /// logrotate's: its order of steps, its names, and only what it would look at. See
    /// `docs/logrotate-differences.md` for what is left out on purpose.
    Logrotate,
}

/// Where archives are mailed to (logrotate's `mail`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail {
    /// To whom.
    pub address: String,
    /// Which archive.
    pub when: MailWhen,
    /// The program that unpacks what was compressed (`uncompresscmd`).
    pub unpack: OsString,
}

impl Mail {
    /// The program that unpacks where none is given, as in Debian's logrotate.
    pub const UNPACK: &str = "/bin/gunzip";
}

/// Which archive is mailed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MailWhen {
    /// The newest, after each rotation (`mailfirst`).
    First,
    /// One that is about to go (`maillast`).
    #[default]
    Last,
}

/// Files are overwritten before they are deleted (logrotate's `shred`), by shred(1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shred {
    /// How often; 0 for shred's own default.
    pub cycles: u32,
}

/// Which folders are trusted when we run as root and no `su` is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParentRule {
    /// Owned by root, and not writable by the world or by a group other than root's.
    #[default]
    Strict,
    /// logrotate's rule: the owner does not matter.
    Logrotate,
}

/// Everything that decides about the logs of one set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Policy {
    /// Whose rules.
    pub rules: Rules,
    /// What makes a log due.
    pub when: RotateWhen,
    /// Due at once when longer than this, whatever the criterion says.
    pub max_size: Option<Bytes>,
    /// With a time criterion: not due while shorter.
    pub min_size: Option<Bytes>,
    /// With a time criterion: not due while its last change is not older than so many days.
    pub min_age_days: Option<u32>,
    /// Whether empty logs rotate when due. Even so, an empty file never becomes an archive
    /// because a disk or quota is full.
    pub if_empty: bool,
    /// What happens to the live log.
    pub method: Method,
    /// A new empty log after the rename.
    pub create: Option<NewFile>,
    /// How archives are called.
    pub naming: Naming,
    /// Another folder for them.
    pub archive_dir: Option<ArchiveDir>,
    /// How many stay, judged when the log rotates.
    pub count: Count,
    /// Archives whose last change is more whole days ago than this are removed.
    pub max_age_days: Option<u32>,
    /// Compression of archives.
    pub compress: Option<Compress>,
    /// Quota and its relatives.
    pub limits: Limits,
    /// Scripts.
    pub scripts: Scripts,
    /// A log that does not exist is no error.
    pub missing_ok: bool,
    /// Logs and archives with several names may be worked on.
    pub allow_hard_links: bool,
    /// As whom.
    pub run_as: Option<Identity>,
    /// Which folders are trusted.
    pub parents: ParentRule,
    /// Archives are mailed.
    pub mail: Option<Mail>,
    /// Files are overwritten before they are deleted.
    pub shred: Option<Shred>,
    /// See [`Policy::live_trim`].
    pub live_trim: bool,
    /// See [`Policy::evict_new`].
    pub evict_new: bool,
}

/// logrotate's defaults: due at 1 MiB, nothing kept (`rotate 0`), no compression, no limits.
impl Default for Policy {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            when: RotateWhen::Size(Bytes::mib(1)),
            max_size: None,
            min_size: None,
            min_age_days: None,
            if_empty: true,
            method: Method::Rename,
            create: None,
            naming: Naming::default(),
            archive_dir: None,
            count: Count::AtMost(0),
            max_age_days: None,
            compress: None,
            limits: Limits::default(),
            scripts: Scripts::default(),
            missing_ok: false,
            allow_hard_links: false,
            run_as: None,
            parents: ParentRule::default(),
            mail: None,
            shred: None,
            live_trim: false,
            evict_new: false,
        }
    }
}

impl Policy {
    /// The policy of a folder that is given without a configuration: everything stays until
    /// the quota needs its room; a log rotates when it reaches `rotate_at`, by default an
    /// eighth of the quota; archives carry a sequence number and a UTC time.
    ///
    /// ```
    /// use logquota::{Bytes, Codec, Policy};
    /// let policy = Policy::for_directory(Bytes::mib(64)).compress(Codec::Zstd);
    /// assert_eq!(policy.validate().is_ok(), true);
    /// ```
    #[must_use]
    pub fn for_directory(quota: Bytes) -> Self {
        Self {
            when: RotateWhen::Size(Bytes::new((quota.get() / 8).max(1))),
            if_empty: false,
            create: Some(NewFile::default()),
            naming: Naming::sequence(),
            count: Count::Unlimited,
            limits: Limits { quota: Some(quota), ..Limits::default() },
            missing_ok: true,
            ..Self::default()
        }
    }

    /// The policy of logs that nothing is done to: never due, nothing removed, no limit.
    #[must_use]
    pub fn left_alone() -> Self {
        Self {
            when: RotateWhen::Never,
            count: Count::Unlimited,
            missing_ok: true,
            parents: ParentRule::Logrotate,
            allow_hard_links: true,
            ..Self::default()
        }
    }

    /// Whether it is that one.
    #[must_use]
    pub fn is_left_alone(&self) -> bool {
        *self == Self::left_alone()
    }

    /// Rotate when the log has so many bytes.
    #[must_use]
    pub fn rotate_at(mut self, size: Bytes) -> Self {
        self.when = RotateWhen::Size(size);
        self
    }

    /// Rotate by this criterion.
    #[must_use]
    pub fn rotate_when(mut self, when: RotateWhen) -> Self {
        self.when = when;
        self
    }

    /// Keep so many archives of each log.
    #[must_use]
    pub fn keep_count(mut self, count: u32) -> Self {
        self.count = Count::AtMost(count);
        self
    }

    /// Keep archives for so many whole days.
    #[must_use]
    pub fn keep_for(mut self, age: Age) -> Self {
        self.max_age_days = Some(u32::try_from(age.whole_days()).unwrap_or(u32::MAX));
        self
    }

    /// Compress archives at once with `codec`.
    #[must_use]
    pub fn compress(mut self, codec: Codec) -> Self {
        self.compress = Some(Compress::with(codec));
        self
    }

    /// The most this set may occupy. See [`Limits::quota`].
    #[must_use]
    pub fn quota(mut self, limit: Bytes) -> Self {
        self.limits.quota = Some(limit);
        self
    }

    /// Where archives alone cannot meet the quota, an active file is cut at its head, in place: the
    /// oldest of it goes and the newest stays, while its writer goes on. Without it an active file
    /// stays whole, and the plan states the shortfall.
    ///
    /// # What is not guaranteed
    ///
    /// Whole blocks are cut off, so the first record that stays is usually torn. Where the file
    /// system cannot close the gap, or a writer would not notice, the file keeps its length and
    /// reads as zeros up to there. Who reads the log and remembers how far loses the place.
    #[must_use]
    pub fn live_trim(mut self) -> Self {
        self.live_trim = true;
        self
    }

    /// Where archives alone cannot meet the limits, logs in use are rotated and go whole, and what
    /// is rotated because it is due may go in the same run. An [`Appender`](crate::Appender) does
    /// so: the file is its own, and closed by then.
    ///
    /// Without it a log in use stays whatever the limits say, and so does what a run has rotated,
    /// until the next one: others write it, it is the newest there is, and it may become smaller
    /// yet. The plan states the shortfall.
    #[must_use]
    pub fn evict_new(mut self) -> Self {
        self.evict_new = true;
        self
    }

    /// What must stay free on the file system.
    #[must_use]
    pub fn reserve(mut self, free: Bytes) -> Self {
        self.limits.reserve = Some(Reserve::Bytes(free));
        self
    }

    /// Whether it can work at all.
    ///
    /// # Errors
    ///
    /// [`Error::Policy`] with the rule that is broken: a quota or file limit of zero, a
    /// rotation size above the quota, a reserve above 100 %, a weekday above 7, a day
    /// above 31, a compression suffix that is empty or has a slash.
    pub fn validate(&self) -> Result<()> {
        let broken = |text: String| Err(Error::Policy(text));
        if self.limits.quota == Some(Bytes::ZERO) {
            return broken("a quota of 0 bytes would leave no log at all".to_owned());
        }
        if self.limits.max_files == Some(0) {
            return broken("maxfiles 0 would leave no log at all".to_owned());
        }
        if let (RotateWhen::Size(size), Some(quota)) = (self.when, self.limits.quota)
            && size > quota
        {
            return broken(format!(
                "a log that rotates at {size} cannot stay within a quota of {quota}; \
                 lower the size or raise the quota"
            ));
        }
        if let Some(Reserve::Percent(percent)) = self.limits.reserve
            && percent > 100
        {
            return broken(format!("a reserve of {percent} % is more than the file system"));
        }
        match self.when {
            RotateWhen::Weekly { weekday } if weekday > 7 => {
                return broken(format!("weekday {weekday} is not within 0 to 7"));
            }
            RotateWhen::Monthly { day } if day > 31 => {
                return broken(format!("day {day} is not within 0 to 31"));
            }
            _ => {}
        }
        if let Some(compress) = &self.compress
            && (compress.suffix.is_empty() || compress.suffix.contains(['/', '\0']))
        {
            return broken(format!(
                "`{}` cannot be the suffix of a compressed archive",
                compress.suffix.escape_default()
            ));
        }
        self.naming.validate()
    }
}

/// Where the logs of a set are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Selector {
    /// An absolute path whose components may have the wildcards `*`, `?`, `[…]`. The
    /// components before the first wildcard are opened as the administrator wrote them,
    /// links included; what is matched by a wildcard, and all below, is never a link.
    Pattern(OsString),
    /// One path, literally: nothing in it is a wildcard. Its folder is opened as it is written,
    /// links and `..` included; its last component is never a link.
    Log(PathBuf),
    /// Every log in this folder and the folders below, on the same mount: `*.log`, and other
    /// names that have archives of ours or of logrotate beside them.
    Directory(PathBuf),
}

/// One set: the logs that one block of the configuration matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetSpec {
    /// Its name in reports; by default its first pattern.
    pub name: String,
    /// The patterns as the configuration wrote them; what shared scripts are given.
    pub pattern_text: OsString,
    /// Where its logs are. The first set that matches a log owns it.
    pub selectors: Vec<Selector>,
    /// What shall become of them.
    pub policy: Policy,
    /// A log of this set that a later set matches too is left to this one without a word
    /// (logrotate's `ignoreduplicates`); otherwise the second match is an error.
    pub ignore_duplicates: bool,
}

impl SetSpec {
    /// One folder as one set.
    #[must_use]
    pub fn directory(path: impl Into<PathBuf>, policy: Policy) -> Self {
        let path = path.into();
        Self {
            name: crate::error::printable(&path),
            pattern_text: path.clone().into_os_string(),
            selectors: vec![Selector::Directory(path)],
            policy,
            ignore_duplicates: false,
        }
    }

    /// One pattern as one set.
    #[must_use]
    pub fn pattern(pattern: impl Into<OsString>, policy: Policy) -> Self {
        let pattern = pattern.into();
        Self {
            name: crate::error::printable(&pattern),
            pattern_text: pattern.clone(),
            selectors: vec![Selector::Pattern(pattern)],
            policy,
            ignore_duplicates: false,
        }
    }
}

/// All sets of one run, and the ceiling over them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Config {
    /// In the order of the configuration.
    pub sets: Vec<SetSpec>,
    /// A ceiling over all sets together.
    pub global: Limits,
    /// See [`Config::ballast`].
    pub ballast: Option<Bytes>,
}

impl Config {
    /// On each file system that logs are on, a file of this size keeps room for an emergency:
    /// it is deleted first when less is free than there must be, before any log suffers, and is
    /// made again when there is room for it. See `docs/full-disk.md`.
    ///
    /// It holds nothing, and no quota counts it. With a size of zero none is wanted: a run deletes
    /// those that runs have made. If nothing is said, it leaves them alone.
    #[must_use]
    pub fn ballast(mut self, size: Bytes) -> Self {
        self.ballast = Some(size);
        self
    }

    /// The size of the ballast that is wanted, if one is.
    #[must_use]
    pub fn wanted_ballast(&self) -> Option<Bytes> {
        self.ballast.filter(|size| *size > Bytes::ZERO)
    }

    /// The sets that anything is done to: all but those of blocks with errors.
    pub fn at_work(&self) -> impl Iterator<Item = &SetSpec> {
        self.sets.iter().filter(|set| !set.policy.is_left_alone())
    }

    /// A configuration of one set.
    #[must_use]
    pub fn single(set: SetSpec) -> Self {
        Self { sets: vec![set], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h32_limits_without_sense_are_refused() {
        let ok = Policy::for_directory(Bytes::mib(1));
        assert!(ok.validate().is_ok());
        let cases = [
            ok.clone().quota(Bytes::ZERO),
            ok.clone().rotate_at(Bytes::mib(2)),
            Policy { limits: Limits { max_files: Some(0), ..ok.limits }, ..ok.clone() },
            Policy {
                limits: Limits { reserve: Some(Reserve::Percent(101)), ..ok.limits },
                ..ok.clone()
            },
            ok.clone().rotate_when(RotateWhen::Weekly { weekday: 8 }),
            ok.clone().rotate_when(RotateWhen::Monthly { day: 32 }),
            Policy {
                compress: Some(Compress { suffix: "/x".into(), ..Compress::with(Codec::Gzip) }),
                ..ok.clone()
            },
        ];
        for policy in cases {
            let error = policy.validate().map_err(|e| e.to_string());
            assert!(error.is_err(), "{policy:?}");
        }
    }

    #[test]
    fn a_reserve_in_percent_does_not_overflow() {
        assert_eq!(Reserve::Percent(50).of(Bytes::MAX).get(), u64::MAX / 2);
    }
}
