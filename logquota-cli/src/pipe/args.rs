//! The arguments of `logquota pipe`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::ValueEnum;
use logquota::{Bytes, Interval, OnFull};

use crate::args::CompressArg;

/// The smallest segment: less holds no stack trace.
const SEGMENT_MIN: Bytes = Bytes::kib(4);

/// Without a quota, and without `--size`.
const SEGMENT: Bytes = Bytes::mib(8);

const EXAMPLES: &str = "\
Examples:
  player 2>&1 | logquota pipe --quota 64M /var/log/player/player.log
  player 2>&1 | logquota pipe --size 8M --keep 20 --compress zstd app.log
  player 2>&1 | logquota pipe --every day --keep-for 14 --quota 1G app.log

A line and the stack trace below it stay in one file where they fit. A full disk stops no \
program that writes to the pipe: lines are lost then, counted, and told in the log and on \
standard error. Signals: TERM and INT write what is in the pipe and end, HUP opens LOGFILE \
again after somebody has moved it, USR1 rotates now.

Exit codes: 0 all lines were written, or given up as --on-full says; 1 lines were lost, or \
LOGFILE or the input failed; 2 usage; 6 lines were lost to the quota.";

/// Arguments of `pipe`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PipeArgs {
    /// The log. Its archives are beside it: LOGFILE.NUMBER-TIME[.zst|.gz]
    #[arg(value_name = "LOGFILE")]
    pub(crate) log: PathBuf,
    /// The most that the log and its archives may occupy on the disk, such as 64M
    #[arg(long, value_name = "SIZE")]
    pub(crate) quota: Option<Bytes>,
    /// The length at which the log rotates [default: an eighth of the quota, or 8M]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<Bytes>,
    /// Rotate by the calendar, too: hour, day, week, month, year, or minutes: 15m
    #[arg(long, value_name = "WHEN", value_parser = interval)]
    pub(crate) every: Option<Interval>,
    /// The most archives
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<u32>,
    /// Delete archives after so many days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keep_for: Option<u64>,
    /// What must stay free on the disk: archives are deleted until it is
    #[arg(long, value_name = "SIZE")]
    pub(crate) reserve: Option<Bytes>,
    /// A file of this size beside the log keeps room: when the disk is full, it goes before an
    /// archive or a line. The quota counts it
    #[arg(long, value_name = "SIZE")]
    pub(crate) ballast: Option<Bytes>,
    /// How archives are compressed
    #[arg(long, value_enum, value_name = "HOW", default_value = "none")]
    pub(crate) compress: CompressArg,
    /// Copy everything to standard output, too, and wait for who reads it
    #[arg(long)]
    pub(crate) tee: bool,
    /// What happens when the quota is used up
    #[arg(long, value_enum, value_name = "WHAT", default_value = "evict")]
    pub(crate) on_full: OnFullArg,
    /// The permissions of new files, in octal [default: 640]
    #[arg(long, value_name = "OCTAL", value_parser = mode)]
    pub(crate) mode: Option<u32>,
}

impl PipeArgs {
    /// The length at which the log rotates.
    pub(crate) fn segment(&self) -> Bytes {
        let part = self.quota.map(|quota| Bytes::new(quota.get() / 8).max(SEGMENT_MIN));
        self.size.or(part).unwrap_or(SEGMENT)
    }

    /// What is wrong with the arguments together, and what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.quota.is_none() && self.keep.is_none() && self.keep_for.is_none() {
            return Err("nothing says how much may be kept; add --quota SIZE (such as \
                        --quota 64M), --keep N or --keep-for DAYS"
                .to_owned());
        }
        if self.segment() < SEGMENT_MIN {
            return Err(format!("--size must be {SEGMENT_MIN} or more, such as --size 1M"));
        }
        if let Some(quota) = self.quota
            && self.segment() > quota
        {
            return Err(format!(
                "a log that rotates at {} cannot stay within a quota of {quota}; lower --size or \
                 raise --quota",
                self.segment()
            ));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFullArg {
    /// The oldest archives go
    Evict,
    /// New lines are thrown away and counted
    Drop,
    /// The same, and the exit code is not 0
    Fail,
}

impl OnFullArg {
    pub(crate) const fn policy(self) -> OnFull {
        match self {
            Self::Evict => OnFull::EvictOldest,
            Self::Drop => OnFull::DropNewest,
            Self::Fail => OnFull::Refuse,
        }
    }
}

fn interval(text: &str) -> Result<Interval, String> {
    Ok(match text {
        "hour" => Interval::Hour,
        "day" => Interval::Day,
        "week" => Interval::Week,
        "month" => Interval::Month,
        "year" => Interval::Year,
        _ => {
            let minutes = text.strip_suffix('m').and_then(|n| n.parse::<NonZeroU32>().ok());
            let wrong = "write hour, day, week, month, year, or minutes such as 15m";
            Interval::Minutes(minutes.ok_or(wrong)?)
        }
    })
}

fn mode(text: &str) -> Result<u32, String> {
    let is_octal = !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    let mode = is_octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    let mode = mode.filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| "write permissions in octal, such as 640 or 600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_words_or_minutes() {
        let minutes = |n| NonZeroU32::new(n).map(Interval::Minutes);
        assert_eq!(interval("day"), Ok(Interval::Day));
        assert_eq!(interval("15m").ok(), minutes(15));
        for wrong in ["", "m", "0m", "daily", "-1m", "1h", "15 m", "99999999999m"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn permissions_are_octal_and_nothing_else() {
        assert_eq!(mode("640"), Ok(0o640));
        assert_eq!(mode("0600"), Ok(0o600));
        for wrong in ["", "8", "+640", "-1", "1777", "u=rw", "0o640"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
