//! What to work on: configuration files, or one directory and its limits; and the
//! [`Config`] that comes of it.

use std::path::{Path, PathBuf};

use logquota::error::printable;
use logquota::fs::os::Tree;
use logquota::logrotate::{Env as _, Severity, SystemEnv, read};
use logquota::policy::{Identity, RotateWhen};
use logquota::report::{PathJson, SourceJson};
use logquota::{Bytes, Config, Policy, Selector, SetSpec};

use crate::args::{CompressArg, SourceArgs};
use crate::exit::Failure;
use crate::free::args::FreeArgs;
use crate::output::Output;
use crate::root::place;

/// The configuration files that are looked for when none is given.
const DEFAULT_CONFIGS: [&str; 2] = ["/etc/logquota.conf", "/etc/logrotate.conf"];

/// What to work on. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Configuration files, or directories of them.
    Files(Vec<PathBuf>),
    /// One directory.
    Dir(DirSource),
}

/// One directory and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirSource {
    dir: PathBuf,
    /// None only for `status`, which changes nothing, and `free`, which rotates nothing.
    quota: Option<Bytes>,
    size: Option<Bytes>,
    ballast: Option<Bytes>,
    compress: CompressArg,
    livetrim: bool,
    su: Option<String>,
}

/// A configuration, ready to be worked on.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) config: Config,
    /// Whether something in the configuration files is wrong, which has been printed.
    pub(crate) is_faulty: bool,
    /// Directives that would run something of another machine's disk, and of which set.
    pub(crate) forgotten: Vec<(&'static str, String)>,
}

impl Source {
    /// From the arguments, the environment, and what the paths are.
    pub(crate) fn from_args(
        args: &SourceArgs,
        changes: bool,
        tree: &Tree,
    ) -> Result<Self, Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        let dirs = args.paths.iter().filter(|path| tree.has_dir(path)).count();
        if let Some(quota) = args.quota {
            return match args.paths.as_slice() {
                [dir] if dirs == 1 => Self::dir(args, dir, Some(quota), tree),
                [] => usage("--quota needs the directory that it is for".to_owned()),
                [path] => usage(format!(
                    "--quota is for a directory, and `{}` is none; for a configuration file, \
                     write `quota {}` into it",
                    printable(path),
                    quota.get()
                )),
                _ => usage("--quota is for one directory at a time".to_owned()),
            };
        }
        match args.paths.as_slice() {
            [dir] if dirs == 1 && !changes => return Self::dir(args, dir, None, tree),
            paths => {
                if let Some(dir) = paths.iter().find(|path| tree.has_dir(path)) {
                    return usage(format!(
                        "`{}` is a directory: give its quota with --quota SIZE, or, if it is a \
                         directory of configuration files, use --config",
                        printable(dir)
                    ));
                }
            }
        }
        if args.su.is_some() {
            return usage(
                "--su is for a directory with --quota; in a configuration, write `su`".to_owned(),
            );
        }
        let mut files = args.config.clone();
        files.extend_from_slice(&args.paths);
        if files.is_empty() {
            files.push(default_config(tree)?);
        }
        let files = files.iter().map(|file| place(tree, file));
        files.collect::<Result<_, _>>().map(Self::Files)
    }

    fn dir(
        args: &SourceArgs,
        dir: &Path,
        quota: Option<Bytes>,
        tree: &Tree,
    ) -> Result<Self, Failure> {
        let source = DirSource {
            dir: place(tree, dir)?,
            quota,
            size: args.size,
            ballast: args.ballast,
            compress: args.compress.unwrap_or_default(),
            livetrim: args.livetrim,
            su: args.su.clone(),
        };
        // Limits without sense are wrong arguments here, not a wrong configuration.
        source.policy(tree).and_then(|policy| {
            policy.validate().map_err(|error| Failure::Usage(error.to_string()))
        })?;
        Ok(Self::Dir(source))
    }

    /// Of `free`: one directory, or configuration files.
    pub(crate) fn to_free(args: &FreeArgs, tree: &Tree) -> Result<Self, Failure> {
        let args = SourceArgs {
            paths: args.paths.clone(),
            config: args.config.clone(),
            quota: None,
            size: None,
            ballast: None,
            // Whoever looks after the logs may not know the suffix.
            compress: Some(args.compress.unwrap_or(CompressArg::None)),
            livetrim: false,
            su: args.su.clone(),
            state: None,
        };
        if let [dir] = args.paths.as_slice()
            && args.config.is_empty()
            && tree.has_dir(dir)
        {
            return Self::dir(&args, dir, None, tree);
        }
        if args.paths.iter().any(|path| tree.has_dir(path)) {
            return Err(Failure::Usage(
                "give one directory of logs, or configuration files; a directory of configuration \
                 files is given with --config"
                    .to_owned(),
            ));
        }
        Self::from_args(&args, true, tree)
    }

    /// The one directory, if that is it.
    pub(crate) fn as_dir(&self) -> Option<&Path> {
        match self {
            Self::Dir(source) => Some(&source.dir),
            Self::Files(_) => None,
        }
    }

    /// From a plan file.
    pub(crate) fn from_json(json: &SourceJson) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::Refused(format!("the plan file's source {what}"));
        let path = |path: &PathJson| match path.to_path() {
            Some(path) if path.is_absolute() => Ok(path),
            _ => Err(wrong("has a path that is not absolute")),
        };
        match json {
            SourceJson {
                config: Some(files),
                dir: None,
                quota: None,
                size: None,
                ballast: None,
                compress: None,
                livetrim: false,
                su: None,
                ..
            } if !files.is_empty() => {
                files.iter().map(path).collect::<Result<_, _>>().map(Self::Files)
            }
            SourceJson {
                config: None,
                dir: Some(dir),
                quota,
                size,
                ballast,
                compress,
                livetrim,
                su,
                free,
                ..
            } if quota.is_some() != free.is_some() => {
                let compress = match compress.as_deref() {
                    Some("zstd") => CompressArg::Zstd,
                    Some("gzip") => CompressArg::Gzip,
                    Some("none") => CompressArg::None,
                    _ => return Err(wrong("names a compression that is not known")),
                };
                let source = DirSource {
                    dir: path(dir)?,
                    quota: *quota,
                    size: *size,
                    ballast: *ballast,
                    compress,
                    livetrim: *livetrim,
                    su: su.clone(),
                };
                Ok(Self::Dir(source))
            }
            _ => Err(wrong("is neither configuration files nor a directory with a quota")),
        }
    }

    /// For a plan file.
    pub(crate) fn to_json(&self, state: Option<&Path>) -> SourceJson {
        let state = state.map(PathJson::new);
        match self {
            Self::Files(files) => SourceJson {
                config: Some(files.iter().map(|file| PathJson::new(file)).collect()),
                state,
                ..SourceJson::default()
            },
            Self::Dir(source) => SourceJson {
                dir: Some(PathJson::new(&source.dir)),
                quota: source.quota,
                size: source.size,
                ballast: source.ballast,
                compress: Some(source.compress.word().to_owned()),
                livetrim: source.livetrim,
                su: source.su.clone(),
                state,
                ..SourceJson::default()
            },
        }
    }

    /// The configuration. What is wrong in configuration files is printed.
    pub(crate) fn ready(&self, tree: &Tree, out: &mut Output) -> Result<Ready, Failure> {
        let mut ready = match self {
            Self::Files(files) => read_files(files, tree, out)?,
            Self::Dir(source) => {
                let set = SetSpec::directory(&source.dir, source.policy(tree)?);
                let config = Config { ballast: source.ballast, ..Config::single(set) };
                Ready { config, is_faulty: false, forgotten: Vec::new() }
            }
        };
        if tree.path().is_some() {
            ready.forgotten = ready.config.forget_programs();
        }
        Ok(ready)
    }
}

impl DirSource {
    fn policy(&self, tree: &Tree) -> Result<Policy, Failure> {
        let mut policy = match self.quota {
            Some(quota) => Policy::for_directory(quota),
            None => {
                let mut policy = Policy::for_directory(Bytes::MAX);
                policy.limits.quota = None;
                policy.rotate_when(RotateWhen::Never)
            }
        };
        if let Some(size) = self.size {
            policy = policy.rotate_at(size);
        }
        if let Some(codec) = self.compress.codec() {
            policy = policy.compress(codec);
        }
        policy.live_trim = self.livetrim;
        policy.run_as = self.su.as_deref().map(|su| identity(su, tree)).transpose()?;
        Ok(policy)
    }
}

/// `USER` or `USER:GROUP`, names or numbers.
fn identity(text: &str, tree: &Tree) -> Result<Identity, Failure> {
    let unknown = |what: &str, name: &str| {
        Failure::Usage(format!("there is no {what} `{}`", name.escape_debug()))
    };
    let (user, group) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
    let number = |text: &str| text.parse::<u32>().ok();
    let env = machine(tree);
    let uid = env.user_id(user).or_else(|| number(user)).ok_or_else(|| unknown("user", user))?;
    let gid = match group {
        Some(group) => env.group_id(group).or_else(|| number(group)),
        None => env.first_group_of(user),
    };
    let gid = gid.ok_or_else(|| unknown("group", group.unwrap_or(user)))?;
    Ok(Identity { uid, gid })
}

/// `$LOGQUOTA_CONFIG`, which says nothing of another machine's disk; else the first default file
/// that exists.
pub(crate) fn default_config(tree: &Tree) -> Result<PathBuf, Failure> {
    let given = std::env::var_os("LOGQUOTA_CONFIG").filter(|path| !path.is_empty());
    if let Some(path) = given.filter(|_| tree.path().is_none()) {
        return Ok(path.into());
    }
    let found = DEFAULT_CONFIGS.iter().map(PathBuf::from).find(|path| tree.has(path));
    if let (None, Some(root)) = (&found, tree.path()) {
        return Err(Failure::Usage(format!(
            "the disk at `{}` has no {} or {}: give a configuration or a directory on it",
            printable(root),
            DEFAULT_CONFIGS[0],
            DEFAULT_CONFIGS[1]
        )));
    }
    found.ok_or_else(|| {
        Failure::Usage(format!(
            "nothing to work on: give a configuration file, or --quota SIZE and a directory \
             (there is no $LOGQUOTA_CONFIG, {} or {})",
            DEFAULT_CONFIGS[0], DEFAULT_CONFIGS[1]
        ))
    })
}

/// Absolute, links and `..` left as they are: the system resolves them when it is opened.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::Usage(format!("`{}` is no path: {error}", printable(path))))
}

/// Every directory that the configuration works in, as far as its patterns tell, once.
pub(crate) fn roots(config: &Config) -> Vec<PathBuf> {
    let selectors = config.sets.iter().flat_map(|set| &set.selectors);
    let mut roots: Vec<_> = selectors
        .filter_map(|selector| match selector {
            Selector::Directory(dir) => Some(dir.clone()),
            Selector::Pattern(pattern) => Some(fixed_part(Path::new(pattern))),
            _ => None,
        })
        .collect();
    roots.sort();
    roots.dedup();
    roots
}

/// The folders of a pattern before the first component with a wildcard.
fn fixed_part(pattern: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let has_wildcard = |part: &std::path::Component<'_>| {
        part.as_os_str().as_bytes().iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'))
    };
    let folder = pattern.parent().unwrap_or(pattern);
    folder.components().take_while(|part| !has_wildcard(part)).collect()
}

/// Reads configuration files; what is wrong in them is printed.
///
/// Blocks with errors are not used, the others are: a folder that nobody looks after because
/// of a typo in another one's file would fill the disk.
fn read_files(files: &[PathBuf], tree: &Tree, out: &mut Output) -> Result<Ready, Failure> {
    let parsed = read(files, &machine(tree));
    for found in &parsed.diagnostics {
        let text = found.to_string();
        if (found.severity == Severity::Error || !out.quiet) && out.is_news(&text) {
            out.diagnostic(&text);
        }
    }
    if out.verbose {
        for note in &parsed.notes {
            let text = note.to_string();
            if out.is_news(&text) {
                out.diagnostic(&text);
            }
        }
    }
    let is_faulty = parsed.has_errors();
    if is_faulty && parsed.config.sets.is_empty() {
        return Err(Failure::Config("the configuration has nothing that can be used".to_owned()));
    }
    Ok(Ready { config: parsed.config, is_faulty, forgotten: Vec::new() })
}

/// This machine, or that whose disk it is, as configurations see it.
fn machine(tree: &Tree) -> SystemEnv {
    match tree.path() {
        Some(_) => SystemEnv::within(tree.clone()),
        None => system(),
    }
}

/// This machine, as configurations see it.
pub(crate) fn system() -> SystemEnv {
    SystemEnv::new(std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_to_lock_is_what_stands_before_the_first_wildcard() {
        for (pattern, folder) in [
            ("/var/log/*.log", "/var/log"),
            ("/var/log/app.log", "/var/log"),
            ("/srv/*/logs/*.log", "/srv"),
            ("/srv/a[bc]/x", "/srv"),
            ("/x", "/"),
        ] {
            assert_eq!(fixed_part(Path::new(pattern)), Path::new(folder), "{pattern}");
        }
    }

    #[test]
    fn a_source_survives_a_plan_file() {
        let dir = Source::Dir(DirSource {
            dir: "/logs".into(),
            quota: Some(Bytes::mib(1)),
            size: None,
            ballast: Some(Bytes::mib(2)),
            compress: CompressArg::Gzip,
            livetrim: true,
            su: Some("root:root".to_owned()),
        });
        let files = Source::Files(vec!["/etc/a".into(), "/etc/b".into()]);
        for source in [dir, files] {
            let json = source.to_json(Some(Path::new("/state")));
            assert_eq!(Source::from_json(&json).ok(), Some(source));
        }
        let both = SourceJson {
            config: Some(vec![PathJson::new(Path::new("/etc/a"))]),
            dir: Some(PathJson::new(Path::new("/logs"))),
            ..SourceJson::default()
        };
        let relative = SourceJson {
            config: Some(vec![PathJson::new(Path::new("etc/a"))]),
            ..SourceJson::default()
        };
        for bad in [SourceJson::default(), both, relative] {
            assert!(Source::from_json(&bad).is_err(), "{bad:?}");
        }
    }
}
