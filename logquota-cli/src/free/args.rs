//! The arguments of `free`.

use std::path::PathBuf;
use std::str::FromStr;

use logquota::Bytes;
use logquota::policy::Reserve;

use super::id::PlanId;
use crate::args::{CompressArg, ValidFor};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FreeArgs {
    /// How much shall be free on the file system: a size such as 2G, or a part of it such as 10%
    #[arg(value_name = "SIZE|N%")]
    pub(crate) goal: GoalArg,
    /// So many inodes shall be free, and not bytes: a number such as 1000, or a part such as 10%
    #[arg(long, conflicts_with = "trim_active")]
    pub(crate) inodes: bool,
    /// A directory of logs, or configuration files. Without any: $LOGQUOTA_CONFIG,
    /// /etc/logquota.conf or /etc/logrotate.conf, whichever is first
    #[arg(value_name = "DIR|CONFIG")]
    pub(crate) paths: Vec<PathBuf>,
    /// A configuration file, or a directory of them; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// The file system, by a directory on it, where a configuration has logs on several
    #[arg(long, value_name = "DIR")]
    pub(crate) on: Option<PathBuf>,
    /// Work on the disk of another machine that is mounted here: its configuration, and paths as
    /// they are there; nothing that it names is run
    #[arg(long, value_name = "MOUNTED")]
    pub(crate) root: Option<PathBuf>,
    /// How archives in DIR are compressed where there is room for it [default: none]
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) compress: Option<CompressArg>,
    /// Work on DIR as this user, for a directory that is not root's
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(crate) su: Option<String>,
    /// If that is not enough, cut the oldest records off logs in use; their writers go on
    #[arg(long)]
    pub(crate) trim_active: bool,
    /// Do what was shown under this id, if it is still exactly that
    #[arg(long, value_name = "ID", conflicts_with_all = ["yes", "output"])]
    pub(crate) apply: Option<PlanId>,
    /// Do it at once, without showing it first; for scripts
    #[arg(long, requires = "host", conflicts_with = "output")]
    pub(crate) yes: bool,
    /// Only if this is the name of the host; with --root, that of the machine whose disk it is, or
    /// its machine id if it has no name
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Write the plan to this file, too, for `logquota apply`
    #[arg(short, long, value_name = "PLAN.json")]
    pub(crate) output: Option<PathBuf>,
    /// For how long the id and the plan hold: 30m, 2h, 1d; a week at most
    #[arg(long, value_name = "TIME", default_value = "1h", conflicts_with = "yes")]
    pub(crate) valid_for: ValidFor,
    /// Delete so many files at most
    #[arg(long, value_name = "N")]
    pub(crate) max_files: Option<u64>,
    /// Take so much away at most, with what may be cut off logs in use
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bytes: Option<Bytes>,
    /// Delete such a part of the logs and archives there at most
    #[arg(long, value_name = "0..1", default_value = "0.5")]
    pub(crate) max_fraction: Fraction,
    /// How long to wait for another instance, at most
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) lock_wait: u32,
}

/// A size, or a part of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GoalArg(pub(crate) Reserve);

impl FromStr for GoalArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(number) = text.strip_suffix('%') else {
            return text.parse().map(|b| Self(Reserve::Bytes(b))).map_err(|e| format!("{e}"));
        };
        match number.trim_end().parse::<u8>() {
            Ok(percent) if percent <= 100 => Ok(Self(Reserve::Percent(percent))),
            _ => Err("a part of the file system is a whole number from 0% to 100%".to_owned()),
        }
    }
}

impl std::fmt::Display for GoalArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Reserve::Percent(percent) => write!(f, "{percent}%"),
            Reserve::Bytes(bytes) => {
                let units = [("T", 40), ("G", 30), ("M", 20), ("k", 10)];
                let exact = units
                    .into_iter()
                    .find(|(_, shift)| bytes.get() > 0 && bytes.get() % (1 << shift) == 0);
                match exact {
                    Some((unit, shift)) => write!(f, "{}{unit}", bytes.get() >> shift),
                    None => write!(f, "{}", bytes.get()),
                }
            }
            _ => Err(std::fmt::Error),
        }
    }
}

/// A number from 0 to 1, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fraction(pub(crate) u16);

impl std::fmt::Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "a part is a number from 0 to 1 with three decimals at most".to_owned();
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 3 || text.len() > 5 {
            return Err(wrong());
        }
        let digits = format!("{whole}{part:0<3}");
        match digits.parse::<u16>() {
            Ok(thousandths) if thousandths <= 1000 => Ok(Self(thousandths)),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_and_parts_are_read_as_they_are_written() {
        for goal in ["2G", "10%", "0%", "1536M", "1000", "3k"] {
            assert_eq!(goal.parse::<GoalArg>().expect(goal).to_string(), goal);
        }
        for wrong in ["", "%", "101%", "2GB", "-1", "1.5G"] {
            assert!(wrong.parse::<GoalArg>().is_err(), "{wrong}");
        }
        for (text, thousandths) in
            [("0.5", 500), ("1", 1000), ("0", 0), ("0.667", 667), (".25", 250)]
        {
            assert_eq!(text.parse(), Ok(Fraction(thousandths)));
        }
        for wrong in ["1.1", "-0.5", "0.1234", "NaN", "half", "99999"] {
            assert!(wrong.parse::<Fraction>().is_err(), "{wrong}");
        }
        for (thousandths, text) in [(0, "0"), (500, "0.5"), (667, "0.667"), (1000, "1")] {
            assert_eq!(Fraction(thousandths).to_string(), text);
        }
    }
}
