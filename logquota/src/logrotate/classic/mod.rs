//! The dialect of the mode that replaces logrotate: how far an error reaches there, in which
//! order what is said, and which files are read.
//!
//! Lexer, parser, directive table and values are those of our own dialect; this is what
//! [`translate`](super::translate) is there. Here a word that is not known is passed over with
//! a warning, a faulty block gives its logs up, and patterns are expanded at once.
//!
//! An error outside of blocks ends its file. Any error takes back, at the end of its file, the
//! defaults that the file had set, and the same is done for the files that include it, which
//! go on; blocks that were completed stay. (logrotate does all that.)

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::apply::apply;
use super::diagnostic::{Fault, Place, Pos, Severity, Sink, Source, show_all};
use super::directives::{self, Effect, Scope};
use super::env::{EntryKind, Env};
use super::files::{Files, Refused};
use super::parse::{self, Item, Statement};
use super::settings::Settings;
use super::taboo::Taboo;
use super::transcript::{Line, Transcript};
use super::values::{self as common, Problem};
use super::{Dialect, Origin, Parsed};
use crate::error::printable;
use crate::policy::{Config, SetSpec};

mod block;
pub(super) mod phrases;
pub(super) mod values;

/// Reads configurations one after the other; settings carry over.
pub(super) struct Reader<'e> {
    env: &'e dyn Env,
    sink: Sink,
    transcript: Transcript,
    sets: Vec<SetSpec>,
    origins: Vec<Origin>,
    places: Vec<Place>,
    owners: Owners,
    files: Files<'e>,
    settings: Settings,
    taboo: Taboo,
    /// Where relative includes start: the folder whose files are being read, if any.
    cwd: PathBuf,
    /// The last criterion since the file began or a block ended.
    criterion: Option<&'static str>,
}

/// Which block has which path. Names are compared as text.
#[derive(Debug, Default)]
struct Owners {
    blocks: HashMap<OsString, usize>,
    /// For each block whether it has `ignoreduplicates`.
    ignoring: Vec<bool>,
}

/// How a file, or a part of it, was read. The worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Complete,
    /// To the end, with errors.
    Flawed,
    /// The rest is not used.
    Abandoned,
}

/// What came of opening a file. What is wrong with it has been told.
enum Opened {
    File(Rc<Source>),
    /// It is not read, and that is no error.
    Ignored,
    Refused,
}

impl<'e> Reader<'e> {
    pub(super) fn new(env: &'e dyn Env) -> Self {
        Self {
            env,
            sink: Sink::default(),
            transcript: Transcript::default(),
            sets: Vec::new(),
            origins: Vec::new(),
            places: Vec::new(),
            owners: Owners::default(),
            files: Files::new(env),
            settings: Settings::default(),
            taboo: Taboo::default(),
            cwd: PathBuf::new(),
            criterion: None,
        }
    }

    /// A file or folder that was named by the caller.
    pub(super) fn top(&mut self, path: &Path) {
        // Without the rest of a file there is nothing to abandon.
        let _ = self.path(path);
    }

    pub(super) fn finish(self) -> Parsed {
        let found = self.sink.finish();
        let (notes, diagnostics) = found.into_iter().partition(|d| d.severity == Severity::Note);
        Parsed {
            config: Config {
                sets: self.sets,
                global: self.settings.limits,
                ballast: self.settings.ballast,
            },
            diagnostics,
            notes,
            files: self.files.into_read(),
            transcript: self.transcript.finish(),
            origins: self.origins,
            places: self.places,
        }
    }

    /// A file or folder. What is wrong there never ends the file that includes it.
    fn path(&mut self, given: &Path) -> Outcome {
        let outcome = match self.open(given, given) {
            Ok(source) => self.opened(source),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.folder(given),
            Err(error) => {
                let shown = printable(given);
                self.about(given, format!("cannot stat {shown}: {}", reason(&error)));
                Outcome::Flawed
            }
        };
        outcome.min(Outcome::Flawed)
    }

    fn opened(&mut self, file: Opened) -> Outcome {
        match file {
            Opened::File(source) => self.file(&source),
            Opened::Ignored => Outcome::Complete,
            Opened::Refused => Outcome::Flawed,
        }
    }

    /// Opens a file that may be used. One that may not has been told about.
    fn open(&mut self, given: &Path, shown: &Path) -> io::Result<Opened> {
        let path = self.cwd.join(given);
        let name = printable(shown);
        let opened = self.files.open_classic(&path, shown);
        if let Ok((_, Some(mode))) | Err(Refused::Why(_, Some(mode))) = &opened {
            let text = format!("Potentially dangerous mode on {name}: 0{mode:o}");
            self.transcript.say(Line::warning(text));
        }
        match opened {
            Ok((source, _)) => Ok(Opened::File(source)),
            Err(Refused::Io(error)) => Err(error),
            Err(Refused::NotRegular) => {
                self.ignore(shown);
                Ok(Opened::Ignored)
            }
            Err(Refused::Why(why, _)) => {
                self.about(shown, why);
                Ok(Opened::Refused)
            }
        }
    }

    fn file(&mut self, source: &Rc<Source>) -> Outcome {
        let name = printable(&source.shown);
        self.transcript.say(Line::progress(format!("reading config file {name}")));
        let before = (self.settings.clone(), self.taboo.clone());
        let criterion = self.criterion.take();
        self.files.enter(source);
        let outcome = self.items(source);
        self.files.leave();
        self.criterion = criterion;
        if outcome != Outcome::Complete {
            (self.settings, self.taboo) = before;
        }
        outcome
    }

    /// Every file of a folder that is not taboo. A bad one does not spoil the others.
    fn folder(&mut self, given: &Path) -> Outcome {
        let folder = self.cwd.join(given);
        let Some(names) = self.listed(&folder) else { return Outcome::Flawed };
        let mut worst = Outcome::Complete;
        let above = std::mem::replace(&mut self.cwd, folder);
        for (name, kind) in names {
            let name = Path::new(&name);
            let outcome = match self.open_listed(name.as_os_str(), kind) {
                Ok(source) => self.opened(source),
                Err(error) => {
                    let shown = printable(name);
                    let why = reason(&error);
                    self.about(name, format!("failed to open config file {shown}: {why}"));
                    Outcome::Flawed
                }
            };
            worst = worst.max(outcome);
            if outcome != Outcome::Complete {
                let text = format!("found error in file {}, skipping", printable(name));
                self.transcript.say(Line::error(text));
            }
        }
        self.cwd = above;
        worst
    }

    /// The names in a folder that are not taboo, sorted.
    fn listed(&mut self, folder: &Path) -> Option<Vec<(OsString, EntryKind)>> {
        let mut entries = match self.env.list_dir(folder) {
            Ok(dir) if self.files.is_of_others(&dir) => {
                let shown = printable(folder);
                self.about(
                    folder,
                    format!(
                        "Ignoring directory {shown} because it has insecure permissions (others \
                         than root may change what is in it)."
                    ),
                );
                return None;
            }
            Ok(dir) => dir.entries,
            Err(error) => {
                let shown = printable(folder);
                self.about(folder, format!("cannot open directory {shown}: {}", reason(&error)));
                return None;
            }
        };
        entries.sort_unstable();
        entries.retain(|(name, _)| {
            let Some(pattern) = self.taboo.hit(name) else { return true };
            let (name, pattern) = (printable(name), show_all(pattern));
            let text = format!("Ignoring {name}, because of {pattern} pattern match");
            self.transcript.say(Line::progress(text));
            false
        });
        Some(entries)
    }

    /// Opens a file of the folder that is being read.
    fn open_listed(&mut self, name: &OsStr, kind: EntryKind) -> io::Result<Opened> {
        if kind == EntryKind::File {
            return self.open(name.as_ref(), name.as_ref());
        }
        self.ignore(name.as_ref());
        Ok(Opened::Ignored)
    }

    fn ignore(&mut self, shown: &Path) {
        let text = format!("Ignoring {} because it's not a regular file.", printable(shown));
        self.transcript.say(Line::progress(text));
    }

    fn items(&mut self, source: &Rc<Source>) -> Outcome {
        let mut worst = Outcome::Complete;
        for item in parse::file(&source.bytes, Dialect::Logrotate) {
            let outcome = match item {
                Item::Block(block) => self.block(source, block),
                Item::Unknown(fault) => {
                    self.remark(source, fault);
                    Outcome::Complete
                }
                Item::Fault(fault) => {
                    self.wrong(source, fault);
                    Outcome::Abandoned
                }
                Item::Statement(statement) => self.global(source, &statement),
            };
            worst = worst.max(outcome);
            if outcome == Outcome::Abandoned {
                break;
            }
        }
        worst
    }

    /// A directive outside of blocks.
    fn global(&mut self, source: &Source, statement: &Statement<'_>) -> Outcome {
        let directive = statement.directive;
        if self.passes_over(source, statement) {
            if directive.name() == "dateformat" {
                (self.settings.date_format, self.settings.bad_date) = (None, None);
            }
            return Outcome::Complete;
        }
        let done = match directive.effect() {
            _ if directive.scope() == Scope::Block => {
                Err(directives::misplaced(directive, statement.pos))
            }
            Effect::Include => match self.included(statement) {
                Ok(path) => return self.path(&path),
                Err(fault) => Err(fault),
            },
            Effect::Taboo { whole } => self.taboo.change(statement, whole),
            _ => follow(&mut self.settings, statement, self.env),
        };
        match done {
            Ok(()) => {
                self.note_effect(statement);
                Outcome::Complete
            }
            Err(fault) => {
                self.wrong(source, fault);
                Outcome::Abandoned
            }
        }
    }

    /// What logrotate only remarks on: the obsolete directive, and a value that is missing
    /// where it does without.
    fn passes_over(&mut self, source: &Source, statement: &Statement<'_>) -> bool {
        let directive = statement.directive;
        if directive.is_obsolete() {
            let message = "`errors` is obsolete";
            self.sink.report(
                Severity::Warning,
                source,
                Fault::new(statement.pos, message, "remove it"),
            );
            let (file, line) = (printable(&source.shown), statement.pos.line);
            let text =
                format!("{file}: {line}: the errors directive is deprecated and no longer used.");
            self.transcript.say(Line::warning(text));
            return true;
        }
        if statement.value.is_empty() && directive.may_lack_value() {
            let name = directive.name();
            let message = format!("`{name}` needs a value");
            let fault = Fault::new(statement.pos, message, "write one behind it");
            self.remark(source, fault.classic(phrases::missing_value(name)));
            return true;
        }
        false
    }

    /// What logrotate says with `-v` about a directive that was followed.
    fn note_effect(&mut self, statement: &Statement<'_>) {
        let name = statement.directive.name();
        let what = match name {
            "olddir" => "olddir",
            "compresscmd" => "compress_prog",
            "uncompresscmd" => "uncompress_prog",
            "compressext" => "compress_ext",
            "compressoptions" => "compress_options",
            _ => "",
        };
        if !what.is_empty() {
            let text = format!("{what} is now {}", show_all(statement.value));
            self.transcript.say(Line::progress(text));
        }
        if statement.directive.is_criterion() {
            if let Some(previous) = self.criterion.filter(|previous| *previous != name) {
                let text = format!("note: '{name}' overrides previously specified '{previous}'");
                self.transcript.say(Line::progress(text));
            }
            self.criterion = Some(name);
        }
    }

    /// The path that an `include` names, not yet joined to where it starts.
    fn included(&mut self, statement: &Statement<'_>) -> Result<PathBuf, Fault> {
        let wrong = |message: &str, words: &str| {
            Err(Fault::new(statement.value_pos, message, "write a path behind it").classic(words))
        };
        if statement.value.is_empty() {
            return wrong("`include` needs a value", "argument expected after include");
        }
        let path = common::at_home(statement.value, self.env);
        let Some(path) = path.filter(|_| !statement.value.contains(&0)) else {
            return wrong("this path cannot be included", "bad include path");
        };
        self.transcript.say(Line::progress(format!("including {}", printable(&path))));
        if self.files.is_too_deep() {
            return wrong("files include each other too deeply", "include nesting too deep");
        }
        Ok(path)
    }

    /// Something that ends more than its line.
    fn wrong(&mut self, source: &Source, fault: Fault) {
        self.say_at(source, fault.pos, classic_words(&fault), Line::error);
        self.sink.report(Severity::Error, source, fault);
    }

    /// Something that ends its line at most.
    fn remark(&mut self, source: &Source, fault: Fault) {
        let words = classic_words(&fault);
        if words.starts_with("unknown option") {
            self.say_at(source, fault.pos, words, Line::warning);
        } else if !words.is_empty() {
            self.say_at(source, fault.pos, words, |text| Line::error(text).harmless());
        }
        self.sink.report(Severity::Warning, source, fault);
    }

    fn say_at(&mut self, source: &Source, pos: Pos, words: String, line: impl Fn(String) -> Line) {
        let text = format!("{}:{} {words}", printable(&source.shown), pos.line);
        self.transcript.say(line(text));
    }

    /// About a file as a whole.
    fn about(&mut self, file: &Path, text: String) {
        self.sink.about(file, text.clone(), "");
        self.transcript.say(Line::error(text));
    }
}

/// Follows a directive that is no include and no taboo list.
fn follow(settings: &mut Settings, statement: &Statement<'_>, env: &dyn Env) -> Result<(), Fault> {
    apply(settings, statement, env, Dialect::Logrotate).map_err(|problem| match problem {
        Problem::Wrong(fault) | Problem::Undone(fault) => fault,
    })
}

fn classic_words(fault: &Fault) -> String {
    fault.classic.clone().unwrap_or_else(|| fault.message.clone())
}

/// As the C library says it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "No such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "Permission denied".to_owned(),
        _ => {
            let text = error.to_string();
            text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_owned())
        }
    }
}
