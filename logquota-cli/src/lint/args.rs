//! The arguments of `logquota lint`.

use std::path::PathBuf;

use clap::ValueEnum;
use logquota::logrotate::Dialect;
use logquota::{Age, Bytes};

const NOTES: &str = "\
Reads only. Configurations are read as `logquota run` reads them; with --as logrotate as \
logrotate does, and as `logquota logrotate` does in its place.

Exit codes: 0 no errors, 1 warnings and --strict, 2 usage, 4 errors.";

/// Arguments of `lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct LintArgs {
    /// Configuration files, or directories of them. Without any: $LOGQUOTA_CONFIG,
    /// /etc/logquota.conf or /etc/logrotate.conf, whichever is first
    #[arg(value_name = "CONFIG")]
    pub(crate) paths: Vec<PathBuf>,
    /// A configuration to check, as with the other verbs
    #[arg(long, value_name = "CONFIG")]
    pub(crate) config: Vec<PathBuf>,
    /// Whose rules the configuration is for
    #[arg(long = "as", value_enum, value_name = "WHOSE", default_value = "logquota")]
    pub(crate) dialect: DialectArg,
    /// How much time is between two runs: 15m, 1h, 1d
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = time)]
    pub(crate) run_every: Age,
    /// How much one log grows in a day at most, if you know
    #[arg(long, value_name = "SIZE")]
    pub(crate) growth: Option<Bytes>,
    /// Do not look at the logs: the configuration is for another machine
    #[arg(long)]
    pub(crate) no_scan: bool,
    /// Fail if there are warnings
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectArg {
    /// logquota's own: what is wrong is never half-obeyed
    Logquota,
    /// logrotate's, with all its leniency
    Logrotate,
}

impl DialectArg {
    pub(crate) const fn dialect(self) -> Dialect {
        match self {
            Self::Logquota => Dialect::Own,
            Self::Logrotate => Dialect::Logrotate,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Logquota => "logquota",
            Self::Logrotate => "logrotate",
        }
    }
}

/// A whole number and `s`, `m`, `h` or `d`; at least one second.
pub(crate) fn time(text: &str) -> Result<Age, String> {
    let wrong = || format!("`{text}` is no time; write a whole number and s, m, h or d: 15m");
    let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (digits, unit) = text.split_at(end);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(seconds) if seconds > 0 => Ok(Age::seconds(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(time(text), Ok(Age::seconds(seconds)));
        }
        for text in ["", "1", "0d", "h", "1w", "-1d", "1.5h", "99999999999999999999d"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
