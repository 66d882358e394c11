//! logrotate's configuration language and state file.
//!
//! [`read`] turns configurations into a [`Config`], as the builder calls of
//! [`Policy`] would, and says what is wrong with them. All of logrotate's
//! syntax is read, plus the directives `quota`, `maxfiles`, `reserve`, `ballast`, `set` and
//! `livetrim`. What is wrong is never half-obeyed: a block with an error in it is not in the
//! result at all, and a word that is not known is an error, because a misspelt `rotate` would
//! delete logs.
//!
//! [`read_as`] reads the same as logrotate itself does, for what stands in for it.
//!
//! Nothing here touches the disk (see [`Env`]), expands a pattern, or decides about a log.
//!
//! ```
//! use logquota::logrotate::{SystemEnv, read};
//! let parsed = read(&["/etc/logrotate.conf".into()], &SystemEnv::new(None));
//! for problem in &parsed.diagnostics {
//!     eprintln!("{problem}");
//! }
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::policy::{ArchiveDir, Config, Policy};

mod apply;
mod classic;
mod diagnostic;
pub mod directives;
mod effects;
pub mod env;
mod expand;
mod files;
mod glob;
mod lex;
mod parse;
mod pattern;
mod settings;
pub mod state;
mod taboo;
mod transcript;
mod translate;
mod values;
mod words;

#[cfg(test)]
mod tests;

pub use self::diagnostic::{Diagnostic, Kind, Place, Severity, Word};
#[cfg(any(test, feature = "testing"))]
pub use self::env::MemEnv;
pub use self::env::{Env, GlobError, SystemEnv};
pub use self::state::State;
pub use self::transcript::{Level, Line};

/// Whose rules hold where ours and logrotate's differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Ours: what is wrong is never half-obeyed, a word that is not known is an error, a block
    /// with an error keeps its logs to itself, patterns are matched by the scan.
    #[default]
    Own,
    /// logrotate's, newer than 3.21: a word that is not known is a warning, errors reach as far
    /// as there, and patterns are expanded when the configuration is read. See
    /// `docs/logrotate-differences.md`.
    Logrotate,
}

/// Where a set of logrotate's dialect comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file as it was given; of an included folder's files the name alone.
    pub file: PathBuf,
    /// The line of its first path, 1 the first.
    pub line: usize,
    /// The text before the brace: without comments and white space at its end.
    pub pattern: OsString,
    /// Its logs in the order of the text, each literally; a wildcard without a match is among
    /// them as it was written. They are compared as text: `/var//log/x` is another name.
    pub logs: Vec<PathBuf>,
}

/// A block with an `olddir`, at its closing brace. See [`Env::check_old_dir`].
#[derive(Clone, Copy, Debug)]
pub struct Closed<'a> {
    /// As [`Origin::file`].
    pub file: &'a Path,
    /// The line of the closing brace, 1 the first.
    pub line: usize,
    /// As [`Origin::logs`].
    pub logs: &'a [PathBuf],
    /// The folder, and how it is made if it is missing.
    pub old_dir: &'a ArchiveDir,
    /// What the block says in all: `missingok`, `su`, and whether it copies.
    pub policy: &'a Policy,
}

/// What was read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Parsed {
    /// The blocks without errors, in the order of the text, and the global limits.
    pub config: Config,
    /// What is wrong, in the order of the text: errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// What somebody who asks for a check may want to know besides: directives without effect
    /// as they stand in files that distributions ship.
    pub notes: Vec<Diagnostic>,
    /// Every file that was read, in the order of reading.
    pub files: Vec<PathBuf>,
    /// In [`Dialect::Logrotate`]: what logrotate would have printed meanwhile, in its order and
    /// its words.
    pub transcript: Vec<Line>,
    /// In [`Dialect::Logrotate`]: for each set of `config`, where it comes from.
    pub origins: Vec<Origin>,
    /// For each set of `config`: where its block stands, and its paths as written.
    pub places: Vec<Place>,
}

impl Parsed {
    /// Whether something of the configuration is not used because it is wrong.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }
}

/// Reads configurations, one after the other: files, or folders whose files are read as if
/// included. What one sets outside of blocks holds for those after it.
///
/// For root, a file or included folder that others own or may write is an error and not read.
/// Relative paths behind `include` start at the folder of the file they stand in.
#[must_use]
pub fn read(paths: &[PathBuf], env: &dyn Env) -> Parsed {
    let mut reader = translate::Reader::new(env);
    for path in paths {
        reader.top(path);
    }
    reader.finish()
}

/// [`read`] in a dialect.
///
/// In [`Dialect::Logrotate`] relative includes start at the current folder, or at the included
/// folder that their file stands in; and whether the run has failed already is said by
/// [`Line::fails`].
#[must_use]
pub fn read_as(paths: &[PathBuf], env: &dyn Env, dialect: Dialect) -> Parsed {
    match dialect {
        Dialect::Own => read(paths, env),
        Dialect::Logrotate => {
            let mut reader = classic::Reader::new(env);
            for path in paths {
                reader.top(path);
            }
            reader.finish()
        }
    }
}
