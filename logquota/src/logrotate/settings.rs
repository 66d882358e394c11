//! The options that a block ends up with: what directives set, and what the library's
//! [`Policy`] says for the same. One copy holds the defaults, each block starts from it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use crate::naming::{DateFormat, DateShift, KNOWN_SUFFIXES, Naming};
use crate::policy::{
    ArchiveDir, Codec, Compress, Count, Identity, Limits, Mail, MailWhen, Method, NewFile,
    ParentRule, Policy, Program, RotateWhen, Rules, Scripts, Shred,
};
use crate::units::Bytes;

/// How hard to compress, as `compressoptions` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Number(i32),
    Fast,
    Best,
    /// Something else, for a program.
    Other,
}

/// Every option. `None` and `false` are what logrotate does when nothing is said.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) when: Option<RotateWhen>,
    pub(super) max_size: Option<Bytes>,
    pub(super) min_size: Option<Bytes>,
    pub(super) min_age: Option<u32>,
    pub(super) max_age: Option<u32>,
    pub(super) if_empty: bool,
    pub(super) copy: bool,
    pub(super) copy_truncate: bool,
    pub(super) rename_copy: bool,
    pub(super) create: Option<NewFile>,
    pub(super) dated: bool,
    pub(super) date_format: Option<DateFormat>,
    pub(super) shift: DateShift,
    pub(super) start: u32,
    pub(super) extension: Option<String>,
    pub(super) add_extension: Option<String>,
    pub(super) old_dir: Option<PathBuf>,
    pub(super) create_old_dir: Option<NewFile>,
    pub(super) count: Count,
    pub(super) compress: bool,
    pub(super) delay: bool,
    /// None where a program compresses.
    pub(super) codec: Option<Codec>,
    pub(super) suffix: Option<String>,
    pub(super) level: Option<Level>,
    pub(super) scripts: Scripts,
    pub(super) missing_ok: bool,
    pub(super) ignore_duplicates: bool,
    pub(super) hard_links: bool,
    pub(super) run_as: Option<Identity>,
    /// Of the block; among the defaults: of all blocks together, and not inherited.
    pub(super) limits: Limits,
    /// Among the defaults only.
    pub(super) ballast: Option<Bytes>,
    /// Not inherited.
    pub(super) name: Option<String>,
    /// Directives in force that this version cannot follow.
    pub(super) undone: Vec<&'static str>,
    /// Why the `dateformat` in force cannot be used; matters where archives are dated.
    pub(super) bad_date: Option<String>,
    /// `compresscmd` and `compressoptions` as they were written.
    pub(super) compressor: Option<String>,
    pub(super) options: Vec<OsString>,
    pub(super) mail: Option<String>,
    pub(super) mail_when: MailWhen,
    /// `uncompresscmd`
    pub(super) unpack: Option<String>,
    pub(super) shred: bool,
    pub(super) shred_cycles: u32,
    /// Not inherited.
    pub(super) live_trim: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            when: None,
            max_size: None,
            min_size: None,
            min_age: None,
            max_age: None,
            if_empty: true,
            copy: false,
            copy_truncate: false,
            rename_copy: false,
            create: None,
            dated: false,
            date_format: None,
            shift: DateShift::default(),
            start: 1,
            extension: None,
            add_extension: None,
            old_dir: None,
            create_old_dir: None,
            count: Count::AtMost(0),
            compress: false,
            delay: false,
            codec: Some(Codec::Gzip),
            suffix: None,
            level: None,
            scripts: Scripts::default(),
            missing_ok: false,
            ignore_duplicates: false,
            hard_links: false,
            run_as: None,
            limits: Limits::default(),
            ballast: None,
            name: None,
            undone: Vec::new(),
            bad_date: None,
            compressor: None,
            options: Vec::new(),
            mail: None,
            mail_when: MailWhen::Last,
            unpack: None,
            shred: false,
            shred_cycles: 0,
            live_trim: false,
        }
    }
}

impl Settings {
    /// What a block starts from.
    pub(super) fn for_block(&self) -> Self {
        Self { limits: Limits::default(), name: None, live_trim: false, ..self.clone() }
    }

    /// Marks a directive that this version cannot follow as in force, or not any more.
    pub(super) fn set_undone(&mut self, name: &'static str, in_force: bool) {
        self.undone.retain(|known| *known != name);
        if in_force {
            self.undone.push(name);
        }
    }

    /// The method in force; `None` for `copy` with `renamecopy`, which exclude each other.
    pub(super) const fn method(&self) -> Option<Method> {
        match (self.copy_truncate, self.copy, self.rename_copy) {
            (true, _, _) => Some(Method::CopyTruncate),
            (false, true, true) => None,
            (false, true, false) => Some(Method::Copy),
            (false, false, true) => Some(Method::RenameCopy),
            (false, false, false) => Some(Method::Rename),
        }
    }

    /// The policy where logrotate is replaced, if there is one.
    pub(super) fn classic_policy(&self) -> Result<Policy, String> {
        if let (true, Some(why)) = (self.dated, &self.bad_date) {
            return Err(why.clone());
        }
        let policy = Policy {
            rules: Rules::Logrotate,
            parents: ParentRule::Logrotate,
            compress: self.compress.then(|| self.classic_compression()),
            ..Self { compress: false, ..self.clone() }.policy()?
        };
        policy.validate().map_err(|error| error.to_string())?;
        Ok(policy)
    }

    /// A program only where the built-in codec would not do the same.
    fn classic_compression(&self) -> Compress {
        let command = self.compressor.as_deref().unwrap_or("gzip");
        let suffix = self.suffix.clone().unwrap_or_else(|| Codec::Gzip.suffix().to_owned());
        let built_in = match command {
            "gzip" | "/bin/gzip" | "/usr/bin/gzip" => Some((Codec::Gzip, 9)),
            "zstd" | "/bin/zstd" | "/usr/bin/zstd" => Some((Codec::Zstd, 19)),
            _ => None,
        };
        let level = match self.options.as_slice() {
            [] => Some(None),
            [one] => level_of(one, built_in).map(Some),
            _ => None,
        };
        let (codec, level, program) = match (built_in, level) {
            (Some((codec, _)), Some(level)) => (codec, level, None),
            _ => {
                let options = self.options.clone();
                (Codec::Gzip, None, Some(Arc::new(Program { command: command.into(), options })))
            }
        };
        Compress { program, codec, suffix, level, delay: self.delay }
    }

    /// The policy, if there is one.
    pub(super) fn policy(&self) -> Result<Policy, String> {
        let method = self.method().ok_or_else(|| {
            "`copy` and `renamecopy` exclude each other; remove one of them".to_owned()
        })?;
        let policy = Policy {
            when: self.when.unwrap_or_else(|| default_size(self.limits.quota)),
            max_size: self.max_size,
            min_size: self.min_size,
            min_age_days: self.min_age,
            if_empty: self.if_empty,
            method,
            create: self.create,
            naming: self.naming(),
            archive_dir: self
                .old_dir
                .clone()
                .map(|path| ArchiveDir { path, create: self.create_old_dir }),
            count: self.count,
            max_age_days: self.max_age,
            compress: if self.compress { Some(self.compression()?) } else { None },
            limits: self.limits,
            live_trim: self.live_trim,
            scripts: self.scripts.clone(),
            missing_ok: self.missing_ok,
            allow_hard_links: self.hard_links,
            run_as: self.run_as,
            mail: self.mail.clone().map(|address| Mail {
                address,
                when: self.mail_when,
                unpack: self.unpack.clone().unwrap_or_else(|| Mail::UNPACK.to_owned()).into(),
            }),
            shred: self.shred.then_some(Shred { cycles: self.shred_cycles }),
            ..Policy::default()
        };
        policy.validate().map_err(|error| error.to_string())?;
        Ok(policy)
    }

    fn naming(&self) -> Naming {
        let mut naming = if self.dated {
            let format = self.date_format.clone().unwrap_or_else(|| match self.when {
                Some(RotateWhen::Hourly) => DateFormat::hourly(),
                Some(RotateWhen::Minutes(_)) => DateFormat::minutes(),
                _ => DateFormat::daily(),
            });
            Naming::dated(format, self.shift)
        } else {
            Naming::numbered(self.start)
        };
        naming.extension.clone_from(&self.extension);
        naming.add_extension.clone_from(&self.add_extension);
        let unknown = |suffix: &&String| !KNOWN_SUFFIXES.contains(&suffix.as_str());
        naming.extra_suffixes.extend(self.suffix.iter().filter(unknown).cloned());
        naming
    }

    /// A program where the built-in codecs cannot do the same.
    fn compression(&self) -> Result<Compress, String> {
        let (Some(codec), None | Some(Level::Number(_) | Level::Fast | Level::Best)) =
            (self.codec, self.level)
        else {
            return self.compression_by_program();
        };
        let (name, most) = match codec {
            Codec::Zstd => ("zstd", 19),
            Codec::Gzip => ("gzip", 9),
        };
        let level = match self.level {
            None => None,
            Some(Level::Fast) => Some(1),
            Some(Level::Best | Level::Other) => Some(most),
            Some(Level::Number(level)) if (1..=most).contains(&level) => Some(level),
            Some(Level::Number(level)) => {
                return Err(format!(
                    "`compressoptions -{level}`: {name} has the levels 1 to {most}"
                ));
            }
        };
        Ok(Compress {
            program: None,
            codec,
            suffix: self.suffix.clone().unwrap_or_else(|| codec.suffix().to_owned()),
            level,
            delay: self.delay,
        })
    }

    fn compression_by_program(&self) -> Result<Compress, String> {
        let command = self.compressor.as_deref().unwrap_or("gzip");
        let suffix = self.suffix.as_deref().or_else(|| self.codec.map(Codec::suffix));
        let suffix = suffix.ok_or_else(|| {
            format!(
                "`compresscmd {}`: say with `compressext` what ending its files have",
                command.escape_default()
            )
        })?;
        let program = Program { command: command.into(), options: self.options.clone() };
        let codec = self.codec.unwrap_or(Codec::Gzip);
        Ok(Compress {
            program: Some(Arc::new(program)),
            codec,
            suffix: suffix.to_owned(),
            level: None,
            delay: self.delay,
        })
    }
}

/// The level that a compressor's only option gives, if the codec has it.
fn level_of(option: &OsStr, codec: Option<(Codec, i32)>) -> Option<i32> {
    let (codec, most) = codec?;
    match (option.to_str()?, codec) {
        ("--fast", Codec::Gzip) => Some(1),
        ("--best", Codec::Gzip) => Some(most),
        (text, _) => {
            let digits = text.strip_prefix('-')?;
            let is_number = digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit());
            let level = is_number.then(|| digits.parse().ok()).flatten()?;
            (1..=most).contains(&level).then_some(level)
        }
    }
}

/// Nothing is said about when: logrotate's 1 MiB, or less if the quota has no room for that.
fn default_size(quota: Option<Bytes>) -> RotateWhen {
    let usual = Bytes::mib(1);
    RotateWhen::Size(match quota {
        Some(quota) if quota < usual => Bytes::new((quota.get() / 8).max(1)),
        _ => usual,
    })
}
