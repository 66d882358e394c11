//! logrotate's command line: what it accepts, what it answers itself, and what is wrong with
//! it. Needs no disk.
//!
//! Options and configurations come in any order, short flags may be bundled, a value follows
//! as the next argument, glued to its flag, or behind `=`; long names are not abbreviated.
//! Whichever of `--help`, `--version` or a mistake comes first decides, as in the original.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::voice::show;
use crate::exit::Exit;

/// The version of logrotate whose behaviour this is. Its place in the first line is what
/// scripts look at.
const LIKE_VERSION: &str = "3.22.0";

const STATE_PATH: &str = "/var/lib/logrotate/status";
const MAIL_COMMAND: &str = crate::programs::MAIL;

const HELP: &str = "\
Usage: logrotate [OPTION...] <configfile>
  -d, --debug                   Change nothing; show what a run would do
  -f, --force                   Rotate every log, due or not
  -m, --mail=command            Program that sends mail (instead of
                                `/usr/bin/mail')
  -s, --state=statefile         Where the times of rotations are kept
      --skip-state-lock         Do not lock the state file
      --wait-for-state-lock     Wait for the lock on the state file
  -v, --verbose                 Say what is done
  -l, --log=logfile             Also write that to this file, or to syslog
                                if it is `syslog'
      --version                 Show the version

Help options:
  -?, --help                    Show this help
      --usage                   Show a short one
";

const USAGE: &str = "\
Usage: logrotate [-dfv?] [-d|--debug] [-f|--force] [-m|--mail=command]
        [-s|--state=statefile] [--skip-state-lock] [--wait-for-state-lock]
        [-v|--verbose] [-l|--log=logfile] [--version] [-?|--help] [--usage]
        [OPTION...] <configfile>
";

/// What a run is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) force: bool,
    /// Show, and change nothing.
    pub(super) debug: bool,
    pub(super) verbose: bool,
    pub(super) state: PathBuf,
    pub(super) lock: Lock,
    /// Where all messages go besides; `syslog` is no file.
    pub(super) log: Option<PathBuf>,
    pub(super) mail: OsString,
    /// At least one.
    pub(super) configs: Vec<PathBuf>,
}

/// How the state file is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lock {
    /// At once or not at all.
    #[default]
    Try,
    /// However long it takes.
    Wait,
    /// Not at all.
    Skip,
}

/// What the arguments come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Run(Box<Options>),
    Version,
    Help,
    Usage,
    /// There is no configuration.
    Nothing,
    /// `--skip-state-lock` and `--wait-for-state-lock`.
    Contradiction,
    Bad {
        /// As it was written.
        argument: OsString,
        why: &'static str,
    },
}

#[derive(Clone, Copy)]
enum Opt {
    Debug,
    Force,
    Verbose,
    Version,
    Help,
    Usage,
    SkipLock,
    WaitForLock,
    Mail,
    State,
    Log,
}

impl Opt {
    fn short(letter: u8) -> Option<Self> {
        Some(match letter {
            b'd' => Self::Debug,
            b'f' => Self::Force,
            b'v' => Self::Verbose,
            b'm' => Self::Mail,
            b's' => Self::State,
            b'l' => Self::Log,
            b'?' => Self::Help,
            _ => return None,
        })
    }

    fn long(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"debug" => Self::Debug,
            b"force" => Self::Force,
            b"verbose" => Self::Verbose,
            b"mail" => Self::Mail,
            b"state" => Self::State,
            b"log" => Self::Log,
            b"skip-state-lock" => Self::SkipLock,
            b"wait-for-state-lock" => Self::WaitForLock,
            b"version" => Self::Version,
            b"help" => Self::Help,
            b"usage" => Self::Usage,
            _ => return None,
        })
    }

    const fn takes_value(self) -> bool {
        matches!(self, Self::Mail | Self::State | Self::Log)
    }
}

/// What has been read so far.
#[derive(Default)]
struct Read {
    force: bool,
    debug: bool,
    verbose: bool,
    skip_lock: bool,
    wait_for_lock: bool,
    state: Option<OsString>,
    log: Option<OsString>,
    mail: Option<OsString>,
    configs: Vec<PathBuf>,
}

/// Reads the arguments behind the program's name.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Asked {
    let mut args = args.into_iter();
    let mut read = Read::default();
    while let Some(arg) = args.next() {
        let answer = match arg.as_bytes() {
            b"--" => {
                read.configs.extend(args.by_ref().map(PathBuf::from));
                None
            }
            [b'-', b'-', rest @ ..] => read.long(&arg, rest, &mut args),
            [b'-', rest @ ..] if !rest.is_empty() => read.bundle(&arg, rest, &mut args),
            _ => {
                read.configs.push(PathBuf::from(arg));
                None
            }
        };
        if let Some(answer) = answer {
            return answer;
        }
    }
    read.finish()
}

impl Read {
    fn long(
        &mut self,
        arg: &OsStr,
        text: &[u8],
        args: &mut dyn Iterator<Item = OsString>,
    ) -> Option<Asked> {
        let equals = text.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals.and_then(|at| text.split_at_checked(at)) {
            Some((name, value)) => (name, value.strip_prefix(b"=")),
            None => (text, None),
        };
        let Some(opt) = Opt::long(name) else { return bad(arg, "unknown option") };
        if !opt.takes_value() {
            return match value {
                Some(_) => bad(arg, "option takes no value"),
                None => self.flag(opt),
            };
        }
        match value.map(owned).or_else(|| args.next()) {
            Some(value) => self.value(opt, value),
            None => bad(arg, "option needs a value"),
        }
    }

    /// `-vfs FILE`, `-vfsFILE`, `-vfs=FILE`.
    fn bundle(
        &mut self,
        arg: &OsStr,
        letters: &[u8],
        args: &mut dyn Iterator<Item = OsString>,
    ) -> Option<Asked> {
        let mut rest = letters;
        while let [letter, tail @ ..] = rest {
            let Some(opt) = Opt::short(*letter) else { return bad(arg, "unknown option") };
            if opt.takes_value() {
                let glued = (!tail.is_empty()).then(|| tail.strip_prefix(b"=").unwrap_or(tail));
                return match glued.map(owned).or_else(|| args.next()) {
                    Some(value) => self.value(opt, value),
                    None => bad(arg, "option needs a value"),
                };
            }
            if let Some(answer) = self.flag(opt) {
                return Some(answer);
            }
            rest = tail;
        }
        None
    }

    const fn flag(&mut self, opt: Opt) -> Option<Asked> {
        match opt {
            Opt::Debug => self.debug = true,
            Opt::Force => self.force = true,
            Opt::Verbose => self.verbose = true,
            Opt::SkipLock => self.skip_lock = true,
            Opt::WaitForLock => self.wait_for_lock = true,
            Opt::Version => return Some(Asked::Version),
            Opt::Help => return Some(Asked::Help),
            Opt::Usage => return Some(Asked::Usage),
            Opt::Mail | Opt::State | Opt::Log => {}
        }
        None
    }

    fn value(&mut self, opt: Opt, value: OsString) -> Option<Asked> {
        match opt {
            Opt::Mail => self.mail = Some(value),
            Opt::State => self.state = Some(value),
            Opt::Log => self.log = Some(value),
            _ => {}
        }
        None
    }

    fn finish(self) -> Asked {
        let lock = match (self.skip_lock, self.wait_for_lock) {
            (true, true) => return Asked::Contradiction,
            (true, false) => Lock::Skip,
            (false, true) => Lock::Wait,
            (false, false) => Lock::Try,
        };
        if self.configs.is_empty() {
            return Asked::Nothing;
        }
        Asked::Run(Box::new(Options {
            force: self.force,
            debug: self.debug,
            verbose: self.verbose || self.debug,
            state: self.state.map_or_else(|| PathBuf::from(STATE_PATH), PathBuf::from),
            lock,
            log: self.log.map(PathBuf::from),
            mail: self.mail.unwrap_or_else(|| MAIL_COMMAND.into()),
            configs: self.configs,
        }))
    }
}

fn owned(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn bad(argument: &OsStr, why: &'static str) -> Option<Asked> {
    Some(Asked::Bad { argument: argument.to_owned(), why })
}

/// Prints what was asked for, unless that is a run.
pub(super) fn answer(asked: Asked) -> Result<Options, Exit> {
    match asked {
        Asked::Run(options) => Ok(*options),
        Asked::Version => Err(result(&version())),
        Asked::Help => Err(result(HELP)),
        Asked::Usage => Err(result(USAGE)),
        Asked::Nothing => {
            complain(&format!("logrotate {LIKE_VERSION} ({})\n\n{USAGE}", ours()));
            Err(Exit::Failed)
        }
        Asked::Contradiction => {
            complain(
                "logrotate: options --skip-state-lock and --wait-for-state-lock are mutually \
                 exclusive\n",
            );
            Err(Exit::Failed)
        }
        Asked::Bad { argument, why } => {
            complain(&format!("logrotate: bad argument {}: {why}\n", show(&argument)));
            Err(Exit::Usage)
        }
    }
}

fn ours() -> String {
    format!("logquota {}", env!("CARGO_PKG_VERSION"))
}

fn version() -> String {
    format!(
        "logrotate {LIKE_VERSION}

    Default mail command:       {MAIL_COMMAND}
    Default compress command:   /bin/gzip (built in)
    Default uncompress command: /bin/gunzip
    Default compress extension: .gz
    Default state file path:    {STATE_PATH}
    ACL support:                yes
    SELinux support:            yes
    Provided by:                {}
",
        ours()
    )
}

fn result(text: &str) -> Exit {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    Exit::Done.or_failed_if(written.is_err())
}

/// Standard error is the last place to complain; if it is gone, so be it.
fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Asked {
        parse(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from))
    }

    fn options(line: &str) -> Options {
        match asked(line) {
            Asked::Run(options) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_value_follows_its_option_in_every_way_that_logrotate_takes() {
        for line in [
            "-s FILE c",
            "-sFILE c",
            "-s=FILE c",
            "--state FILE c",
            "--state=FILE c",
            "c --state FILE",
            "-vfs FILE c",
            "-vfs=FILE c",
            "-s other -sFILE c",
        ] {
            assert_eq!(options(line).state, PathBuf::from("FILE"), "{line}");
        }
        // Only what is glued on loses its `=`.
        assert_eq!(options("--state =FILE c").state, PathBuf::from("=FILE"));
        assert_eq!(options("--state= c").state, PathBuf::new());
        assert_eq!(options("c").state, PathBuf::from("/var/lib/logrotate/status"));
        let all = options("-l log -m mailer c");
        assert_eq!((all.log, all.mail), (Some("log".into()), "mailer".into()));
        assert_eq!((options("c").log, options("c").mail), (None, "/usr/bin/mail".into()));
    }

    #[test]
    fn flags_are_bundled_and_come_in_any_order_with_configurations() {
        let options = options("a -fv b --skip-state-lock -- -d");
        assert_eq!(options.configs, ["a", "b", "-d"].map(PathBuf::from));
        assert_eq!((options.force, options.verbose, options.debug), (true, true, false));
        assert_eq!(options.lock, Lock::Skip);
        assert_eq!(self::options("--wait-for-state-lock c").lock, Lock::Wait);
        assert_eq!(self::options("c").lock, Lock::Try);
        assert!(self::options("-d c").verbose, "debug is verbose");
        assert_eq!(self::options("-").configs, [PathBuf::from("-")]);
    }

    #[test]
    fn what_logrotate_does_not_know_is_a_bad_argument() {
        for line in [
            "-h c",
            "-V c",
            "-q c",
            "-fV c",
            "-f=1 c",
            "--force=1 c",
            "--version=3 c",
            "--versio c",
            "--stat FILE c",
            "--quiet c",
            "c -s",
            "c -vs",
            "c --state",
            "c --mail",
        ] {
            assert!(matches!(asked(line), Asked::Bad { .. }), "{line}");
        }
        let asked = asked("-fQ c");
        assert_eq!(asked, Asked::Bad { argument: "-fQ".into(), why: "unknown option" });
    }

    #[test]
    fn what_comes_first_decides() {
        for (line, expected) in [
            ("", Asked::Nothing),
            ("-v", Asked::Nothing),
            // It takes the configuration for its value.
            ("-s c", Asked::Nothing),
            ("--", Asked::Nothing),
            ("-? -Q", Asked::Help),
            ("-v? c", Asked::Help),
            ("--help", Asked::Help),
            ("--usage c", Asked::Usage),
            ("--version -Q", Asked::Version),
            ("--skip-state-lock --wait-for-state-lock c", Asked::Contradiction),
        ] {
            assert_eq!(asked(line), expected, "{line}");
        }
    }

    #[test]
    fn the_version_has_its_number_where_scripts_look_and_says_whose_it_is() {
        let text = version();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("logrotate 3.22.0"));
        assert_eq!(lines.next(), Some(""));
        assert!(text.contains("logquota"));
    }
}
