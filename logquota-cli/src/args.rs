//! The arguments. Needs no disk: what a path is, is found out later, in `source`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum};
use logquota::report::{PLAN_VALID_SECONDS, PLAN_VALID_SECONDS_MAX};
use logquota::{Bytes, Codec};

use crate::exit::Exit;
use crate::free::args::FreeArgs;
use crate::lint::args::{LintArgs, time};
use crate::output;
use crate::pipe::args::PipeArgs;
use crate::programs;

/// Keeps logs within a hard disk quota: rotates, compresses and deletes by a plan that is
/// shown first and done exactly as shown.
#[derive(Debug, Parser)]
#[command(name = "logquota", bin_name = "logquota", version)]
#[command(arg_required_else_help = true, max_term_width = 80)]
#[command(after_help = "Exit codes: 0 done, 1 failed or partly failed, 2 usage, 3 another \
instance is at work, 4 configuration invalid, 5 plan refused, 6 quota cannot be met.")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Arguments of every verb.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Common {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing but errors and warnings
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more: every step of a run, what stays and why
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Whether to use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set, or TERM is dumb or not set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Do one pass now; for cron and timers
    Run(RunArgs),
    /// Show what a run would do, and why; change nothing
    Plan(PlanArgs),
    /// Do exactly what a plan file says, here, once
    Apply(ApplyArgs),
    /// Make so much free on a full file system: shows what that would take, does it on demand
    Free(FreeArgs),
    /// Show what each set and log uses, and when it is next due
    Status(StatusArgs),
    /// Check configurations: what their logs can use at most, and what does not do what it
    /// seems to
    Lint(LintArgs),
    /// Write standard input to a log that rotates and stays within its quota
    Pipe(PipeArgs),
    /// Be logrotate: its arguments, configurations and state file; see `logrotate --help`
    #[command(disable_help_flag = true)]
    Logrotate {
        /// What logrotate takes
        #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) act: ActArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Write the plan to this file, for `logquota apply`
    #[arg(short, long, value_name = "PLAN.json")]
    pub(crate) output: Option<PathBuf>,
    /// For how long the plan holds: 30m, 2h, 1d; a week at most
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) valid_for: ValidFor,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    /// The plan file, or - for standard input
    #[arg(value_name = "PLAN.json")]
    pub(crate) plan: PathBuf,
    #[command(flatten)]
    pub(crate) act: ActArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Work on the disk of another machine that is mounted here: its configuration, and paths as
    /// they are there; nothing that it names is run
    #[arg(long, value_name = "MOUNTED")]
    pub(crate) root: Option<PathBuf>,
    /// List deleted files that processes have open on the same file systems: their space is not free
    #[arg(long)]
    pub(crate) open_deleted: bool,
}

/// Arguments of the verbs that change something.
#[derive(Debug, clap::Args)]
pub(crate) struct ActArgs {
    /// Show what would be done, and change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// How long to wait for another instance, at most
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) lock_wait: u32,
    /// The program that sends mail, for configurations that have `mail`
    #[arg(long, value_name = "PROGRAM", default_value = programs::MAIL)]
    pub(crate) mail: OsString,
}

/// For how many seconds a plan holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValidFor(pub(crate) i64);

impl Default for ValidFor {
    fn default() -> Self {
        Self(PLAN_VALID_SECONDS)
    }
}

impl FromStr for ValidFor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match i64::try_from(time(text)?.as_seconds()) {
            Ok(seconds) if seconds <= PLAN_VALID_SECONDS_MAX => Ok(Self(seconds)),
            _ => Err("a plan holds for a week at most".to_owned()),
        }
    }
}

impl std::fmt::Display for ValidFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
        match units.into_iter().find(|(_, seconds)| self.0 % seconds == 0) {
            Some((unit, seconds)) => write!(f, "{}{unit}", self.0 / seconds),
            None => write!(f, "{}s", self.0),
        }
    }
}

/// What to work on.
#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    /// Configuration files; or, with --quota, one directory of logs. Without any:
    /// $LOGQUOTA_CONFIG, /etc/logquota.conf or /etc/logrotate.conf, whichever is first
    #[arg(value_name = "CONFIG|DIR")]
    pub(crate) paths: Vec<PathBuf>,
    /// A configuration file, or a directory of them
    #[arg(long, value_name = "FILE", conflicts_with = "quota")]
    pub(crate) config: Vec<PathBuf>,
    /// The most that the logs in DIR may occupy on the disk, such as 64M or 2G
    #[arg(long, value_name = "SIZE")]
    pub(crate) quota: Option<Bytes>,
    /// The length at which a log in DIR rotates [default: an eighth of the quota]
    #[arg(long, value_name = "SIZE", requires = "quota")]
    pub(crate) size: Option<Bytes>,
    /// A file of this size in DIR keeps room: it goes first when the disk is full. The quota does not
    /// count it. 0 deletes one that a run has made
    #[arg(long, value_name = "SIZE", requires = "quota")]
    pub(crate) ballast: Option<Bytes>,
    /// How the archives in DIR are compressed [default: zstd]
    #[arg(long, value_enum, value_name = "HOW", requires = "quota")]
    pub(crate) compress: Option<CompressArg>,
    /// A log in DIR that alone passes the quota is cut at its head while it is written
    #[arg(long, requires = "quota")]
    pub(crate) livetrim: bool,
    /// Work on DIR as this user, for a directory that is not root's
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(crate) su: Option<String>,
    /// The state file, in logrotate's format
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressArg {
    /// Zstandard (.zst)
    #[default]
    Zstd,
    /// gzip (.gz)
    Gzip,
    /// Not at all
    None,
}

impl CompressArg {
    pub(crate) const fn codec(self) -> Option<Codec> {
        match self {
            Self::Zstd => Some(Codec::Zstd),
            Self::Gzip => Some(Codec::Gzip),
            Self::None => None,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::None => "none",
        }
    }
}

/// What the arguments come to.
pub(crate) enum Parsed {
    /// A verb to run.
    Run(Box<Args>),
    /// Help, version or a usage error, which has been printed.
    Said(Exit),
}

/// Parses the arguments of this process.
pub(crate) fn parse() -> Parsed {
    let error = match Args::try_parse() {
        Ok(args) => return Parsed::Run(Box::new(args)),
        Err(error) => error,
    };
    // Without clap's colours: its text repeats arguments, and those may hold anything.
    let text: Vec<_> = error.render().to_string().lines().map(output::clean).collect();
    let text = text.join("\n") + "\n";
    if error.use_stderr() {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        return Parsed::Said(Exit::Usage);
    }
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    Parsed::Said(Exit::Done.or_failed_if(written.is_err()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn how_long_a_plan_holds_is_read_as_it_is_written() {
        for text in ["1s", "90s", "30m", "1h", "36h", "2d", "7d"] {
            assert_eq!(text.parse::<ValidFor>().expect(text).to_string(), text);
        }
        assert_eq!("1h".parse(), Ok(ValidFor::default()));
        for wrong in ["", "0s", "8d", "1w", "60", "-1m", "1.5h"] {
            assert!(wrong.parse::<ValidFor>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn h27_no_verb_and_no_flag_can_be_abbreviated() {
        for line in [
            vec!["logquota"],
            vec!["logquota", "ru"],
            vec!["logquota", "app", "p.json"],
            vec!["logquota", "run", "--quo", "1M", "/x"],
            vec!["logquota", "apply"],
            vec!["logquota", "run", "--size", "1M", "/x"],
            vec!["logquota", "run", "--quota", "1MB", "/x"],
            vec!["logquota", "free"],
            vec!["logquota", "free", "1G", "--app", "0123456789ab-m6pawqrftk-6b01e5e0"],
            vec!["logquota", "free", "1G", "--ye", "--host", "here"],
            vec!["logquota", "free", "101%"],
            vec!["logquota", "free", "1G", "--yes"],
            vec!["logquota", "free", "1G", "--max-fraction", "1.5"],
            vec!["logquota", "pipe", "--quo", "1M", "/x"],
        ] {
            assert!(Args::try_parse_from(&line).is_err(), "{line:?}");
        }
        assert!(Args::try_parse_from(["logquota", "run", "--quota", "1M", "/x"]).is_ok());
    }
}
