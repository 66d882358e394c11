//! logrotate's configuration language and state file.
//!
//! [`read`] turns configurations into a [`Config`], as the builder calls of
//! [`Policy`](crate::Policy) would, and says what is wrong with them. All of logrotate's
//! syntax is read, plus the directives `quota`, `maxfiles`, `reserve` and `set`. What is wrong
//! is never half-obeyed: a block with an error in it is not in the result at all, and a word
//! that is not known is an error, because a misspelt `rotate` would delete logs.
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

use std::path::PathBuf;

use crate::policy::Config;

mod apply;
mod diagnostic;
pub mod directives;
mod effects;
pub mod env;
mod files;
mod glob;
mod lex;
mod parse;
mod pattern;
mod settings;
pub mod state;
mod taboo;
mod translate;
mod values;
mod words;

#[cfg(test)]
mod tests;

pub use self::diagnostic::{Diagnostic, Severity};
#[cfg(any(test, feature = "testing"))]
pub use self::env::MemEnv;
pub use self::env::{Env, SystemEnv};
pub use self::state::State;

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
