//! Statements and blocks to [`Config`]: defaults, includes, and how far an error reaches.
//!
//! An error in a block drops that block, whole. An error outside of blocks drops the rest of
//! the file and takes back the defaults that the file had set; blocks completed before stay.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::diagnostic::{Fault, Pos, Severity, Sink, Source, show};
use super::directives::{self, Effect, Scope};
use super::effects::{self, Given};
use super::env::{EntryKind, Env};
use super::parse::{self, Block, Item, Statement};
use super::settings::Settings;
use super::taboo::Taboo;
use super::values::{self, Argument, Problem};
use super::{Parsed, pattern};
use crate::error::printable;
use crate::policy::{Config, Selector, SetSpec};

/// How deep files may include each other, as in logrotate.
const NESTING_MAX: usize = 16;

/// How many files are read at most, and how many bytes in all: with links, a few small files
/// can include each other more often than anybody can wait for.
const FILES_MAX: usize = 4096;
const BYTES_MAX: usize = 64 << 20;

/// Reads configurations one after the other; settings carry over.
pub(super) struct Reader<'e> {
    env: &'e dyn Env,
    sink: Sink,
    sets: Vec<SetSpec>,
    set_names: Vec<String>,
    files: Vec<PathBuf>,
    bytes: usize,
    settings: Settings,
    taboo: Taboo,
    /// The files being read, outermost first.
    stack: Vec<PathBuf>,
}

/// Why a file cannot be used at all.
struct Unusable {
    message: String,
    help: String,
    is_folder: bool,
}

impl Unusable {
    fn new(message: String, help: impl Into<String>) -> Self {
        Self { message, help: help.into(), is_folder: false }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        let is_folder = error.kind() == io::ErrorKind::IsADirectory;
        let message = format!("cannot read `{}`: {error}", printable(path));
        Self { is_folder, ..Self::new(message, "") }
    }
}

/// Whether a file was read to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Complete,
    Abandoned,
}

/// A block on its way: its settings so far, and what it gave.
struct Draft {
    settings: Settings,
    given: Vec<Given>,
    failed: bool,
}

impl<'e> Reader<'e> {
    pub(super) fn new(env: &'e dyn Env) -> Self {
        Self {
            env,
            sink: Sink::default(),
            sets: Vec::new(),
            set_names: Vec::new(),
            files: Vec::new(),
            bytes: 0,
            settings: Settings::default(),
            taboo: Taboo::default(),
            stack: Vec::new(),
        }
    }

    /// A file or folder that was named by the caller.
    pub(super) fn top(&mut self, path: &Path) {
        let result = match self.file(path) {
            Err(unusable) if unusable.is_folder => self.folder(path),
            other => other,
        };
        if let Err(unusable) = result {
            self.sink.about(path, unusable.message, &unusable.help);
        }
    }

    pub(super) fn finish(self) -> Parsed {
        let found = self.sink.finish();
        let (notes, diagnostics) = found.into_iter().partition(|d| d.severity == Severity::Note);
        Parsed {
            config: Config { sets: self.sets, global: self.settings.limits },
            diagnostics,
            notes,
            files: self.files,
        }
    }

    fn file(&mut self, path: &Path) -> Result<Outcome, Unusable> {
        let source = self.open(path)?;
        let before = (self.settings.clone(), self.taboo.clone());
        self.stack.push(path.to_owned());
        let outcome = self.items(&source);
        self.stack.pop();
        if outcome == Outcome::Abandoned {
            (self.settings, self.taboo) = before;
        }
        Ok(outcome)
    }

    /// Every file of a folder that is not taboo. A bad one does not spoil the others.
    fn folder(&mut self, path: &Path) -> Result<Outcome, Unusable> {
        for file in self.listed(path)? {
            if let Err(unusable) = self.file(&file) {
                self.sink.about(&file, unusable.message, &unusable.help);
            }
        }
        Ok(Outcome::Complete)
    }

    fn listed(&self, path: &Path) -> Result<Vec<PathBuf>, Unusable> {
        let dir = self.env.list_dir(path).map_err(|error| Unusable::io(path, &error))?;
        self.trust(path, dir.mode, dir.uid)?;
        let mut names: Vec<OsString> = dir
            .entries
            .into_iter()
            .filter(|(name, kind)| *kind == EntryKind::File && !self.taboo.has(name))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|name| path.join(name)).collect())
    }

    /// What root obeys, nobody else may write.
    fn trust(&self, path: &Path, mode: u32, uid: u32) -> Result<(), Unusable> {
        let shown = printable(path);
        if self.env.effective_uid() != 0 {
            return Ok(());
        }
        if uid != 0 {
            return Err(Unusable::new(
                format!("`{shown}` belongs to user {uid} and not to root: file owner is wrong"),
                "give it to root",
            ));
        }
        if mode & 0o022 != 0 {
            return Err(Unusable::new(
                format!("`{shown}` is writable by group or others (mode {mode:04o})"),
                "take that away with `chmod go-w`",
            ));
        }
        Ok(())
    }

    fn open(&mut self, path: &Path) -> Result<Rc<Source>, Unusable> {
        let shown = printable(path);
        if self.stack.iter().any(|open| open == path) {
            return Err(Unusable::new(format!("`{shown}` includes itself"), "remove the include"));
        }
        if self.stack.len() > NESTING_MAX {
            return Err(Unusable::new(
                format!("include nesting too deep: more than {NESTING_MAX} files in each other"),
                "perhaps a file includes itself by another name",
            ));
        }
        if self.files.len() >= FILES_MAX || self.bytes >= BYTES_MAX {
            return Err(Unusable::new(
                format!("`{shown}` is not read: more than {FILES_MAX} files, or 64 MiB, by now"),
                "perhaps files include each other by several names",
            ));
        }
        let file = self.env.read(path).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Unusable::new(
                format!("`{shown}` is too long for a configuration"),
                "at most 16777215 bytes are read",
            ),
            _ => Unusable::io(path, &error),
        })?;
        if !file.is_regular {
            return Err(Unusable::new(format!("`{shown}` is no regular file"), ""));
        }
        self.trust(path, file.mode, file.uid)?;
        self.files.push(path.to_owned());
        self.bytes = self.bytes.saturating_add(file.bytes.len());
        Ok(Rc::new(Source { path: path.to_owned(), bytes: file.bytes }))
    }

    fn items(&mut self, source: &Rc<Source>) -> Outcome {
        for item in parse::file(&source.bytes) {
            let fault = match item {
                Item::Block(block) => {
                    self.block(source, block);
                    continue;
                }
                Item::Fault(fault) => Some(fault),
                Item::Statement(statement) => self.global(source, statement),
            };
            if let Some(fault) = fault {
                let until = "until then the rest of this file is not used";
                self.sink.report(Severity::Error, source, and(fault, until));
                return Outcome::Abandoned;
            }
        }
        Outcome::Complete
    }

    /// A directive outside of blocks. A fault ends the file.
    fn global(&mut self, source: &Source, statement: Statement<'_>) -> Option<Fault> {
        let directive = statement.directive;
        if directive.scope() == Scope::Block && directive.is_done() {
            return Some(directives::misplaced(directive, statement.pos));
        }
        match directive.effect() {
            Effect::Include => self.include(source, statement).err(),
            Effect::Taboo { whole } => self.taboo.change(&statement, whole).err(),
            _ => match self.apply(&statement, None) {
                Ok(()) => None,
                Err(Problem::Wrong(fault)) => Some(fault),
                Err(Problem::Undone(fault)) => {
                    // Said once, here; blocks that inherit it are left out without a word.
                    self.settings.set_undone(directive.name(), true);
                    let until = "until then the blocks below it are left alone";
                    self.sink.report(Severity::Error, source, and(fault, until));
                    None
                }
            },
        }
    }

    /// An included file that cannot be used ends the including one too: what follows may rely
    /// on settings that it makes, such as how many archives stay.
    fn include(&mut self, source: &Source, statement: Statement<'_>) -> Result<(), Fault> {
        let path = self.included(source, &statement)?;
        let result = match self.file(&path) {
            Err(unusable) if unusable.is_folder => self.folder(&path),
            other => other,
        };
        match result {
            Ok(Outcome::Complete) => Ok(()),
            Ok(Outcome::Abandoned) => Err(Fault::new(
                statement.value_pos,
                format!("`{}` has errors", printable(&path)),
                "correct them",
            )),
            Err(unusable) => Err(Fault::new(statement.value_pos, unusable.message, unusable.help)),
        }
    }

    fn included(&self, source: &Source, statement: &Statement<'_>) -> Result<PathBuf, Fault> {
        let wrong = |message: String, help: &str| Fault::new(statement.value_pos, message, help);
        if statement.value.is_empty() {
            return Err(wrong("`include` needs a value".to_owned(), "write a path behind it"));
        }
        if statement.value.contains(&0) {
            return Err(wrong("a path with a NUL byte".to_owned(), "correct it"));
        }
        let path = values::at_home(statement.value, self.env).ok_or_else(|| {
            wrong("there is no home folder for `~`".to_owned(), "write the whole path")
        })?;
        // `join` keeps an absolute path as it is.
        Ok(source.path.parent().unwrap_or(Path::new("")).join(path))
    }

    /// Follows a directive other than `include` and the taboo lists, in a block or as default.
    fn apply(
        &mut self,
        statement: &Statement<'_>,
        block: Option<&mut Settings>,
    ) -> Result<(), Problem> {
        let directive = statement.directive;
        let settings = match block {
            Some(settings) => settings,
            None => &mut self.settings,
        };
        match directive.effect() {
            Effect::Flag(set) => set(settings),
            Effect::Value(set) => {
                let argument = Argument {
                    name: directive.name(),
                    bytes: statement.value,
                    pos: statement.value_pos,
                };
                set(settings, &argument, self.env)?;
            }
            Effect::Script(slot) => *slot(&mut settings.scripts) = Some(script(statement)?),
            Effect::Undone => return Err(Problem::Undone(undone(statement))),
            Effect::Include | Effect::Taboo { .. } => {}
        }
        Ok(())
    }

    fn block(&mut self, source: &Rc<Source>, block: Block<'_>) {
        let mut draft =
            Draft { settings: self.settings.for_block(), given: Vec::new(), failed: false };
        let mut selectors = Vec::with_capacity(block.words.len());
        for (word, pos) in &block.words {
            match pattern::checked(word, *pos, self.env) {
                Ok(pattern) => selectors.push(Selector::Pattern(pattern)),
                Err(fault) => self.block_error(source, fault, &mut draft),
            }
        }
        if block.words.is_empty() {
            let fault = Fault::new(block.pos, "a block without paths", "write one before the `{`");
            self.block_error(source, fault, &mut draft);
        }
        self.statements(source, block.body, &mut draft);
        // `compresscmd` and its options hurt nobody where nothing is compressed.
        let hurts = |name: &&str| draft.settings.compress || !name.starts_with("compress");
        if draft.failed || draft.settings.undone.iter().any(|name| hurts(&name)) {
            return;
        }
        let policy = match draft.settings.policy() {
            Ok(policy) => policy,
            Err(message) => {
                self.block_error(source, Fault::new(block.pos, message, ""), &mut draft);
                return;
            }
        };
        for (severity, source, fault) in effects::without_effect(&draft.given, &draft.settings) {
            self.sink.report(severity, &source, fault);
        }
        if let Some(name) = &draft.settings.name {
            if self.set_names.contains(name) {
                let message = format!("another set is called `{}` as well", show(name));
                let fault = Fault::new(block.pos, message, "give each set a name of its own");
                self.sink.report(Severity::Warning, source, fault);
            }
            self.set_names.push(name.clone());
        }
        let first = match selectors.first() {
            Some(Selector::Pattern(pattern)) => printable(pattern),
            _ => String::new(),
        };
        self.sets.push(SetSpec {
            name: draft.settings.name.unwrap_or(first),
            pattern_text: OsStr::from_bytes(&block.text).to_owned(),
            selectors,
            policy,
            ignore_duplicates: draft.settings.ignore_duplicates,
        });
    }

    fn statements(&mut self, source: &Rc<Source>, body: parse::Body<'_>, draft: &mut Draft) {
        for fault in body.notes {
            self.sink.report(Severity::Warning, source, fault);
        }
        // In the order of the file, whoever found the fault.
        let mut faults = body.faults;
        for statement in body.statements {
            if let Err(fault) = self.statement(source, &statement, draft) {
                faults.push(fault);
            }
        }
        faults.sort_by_key(|fault| fault.pos.offset);
        for fault in faults {
            self.block_error(source, fault, draft);
        }
    }

    fn statement(
        &mut self,
        source: &Rc<Source>,
        statement: &Statement<'_>,
        draft: &mut Draft,
    ) -> Result<(), Fault> {
        let directive = statement.directive;
        if directive.scope() == Scope::Global && directive.is_done() {
            return Err(directives::misplaced(directive, statement.pos));
        }
        if matches!(directive.effect(), Effect::Include) {
            return self.include_inside(source, statement, draft);
        }
        draft.given.push(Given {
            directive,
            source: Rc::clone(source),
            pos: statement.pos,
            value: statement.value.into(),
        });
        self.apply(statement, Some(&mut draft.settings)).map_err(|problem| match problem {
            Problem::Wrong(fault) | Problem::Undone(fault) => fault,
        })
    }

    /// The directives of another file, as if they stood in the block.
    fn include_inside(
        &mut self,
        source: &Rc<Source>,
        statement: &Statement<'_>,
        draft: &mut Draft,
    ) -> Result<(), Fault> {
        let wrong = |bad: Unusable| Fault::new(statement.value_pos, bad.message, bad.help);
        let path = self.included(source, statement)?;
        let opened = match self.open(&path) {
            Err(unusable) if unusable.is_folder => {
                let files = self.listed(&path).map_err(wrong)?;
                files.into_iter().map(|file| self.open(&file)).collect::<Result<Vec<_>, _>>()
            }
            other => other.map(|source| vec![source]),
        };
        for inner in opened.map_err(wrong)? {
            self.stack.push(inner.path.clone());
            self.statements(&inner, parse::inside(&inner.bytes), draft);
            self.stack.pop();
        }
        Ok(())
    }

    fn block_error(&mut self, source: &Source, fault: Fault, draft: &mut Draft) {
        draft.failed = true;
        let until = "until then the logs of this block are left alone";
        self.sink.report(Severity::Error, source, and(fault, until));
    }
}

/// With what happens until it is corrected.
fn and(mut fault: Fault, until: &str) -> Fault {
    fault.help = if fault.help.is_empty() {
        format!("correct it; {until}")
    } else {
        format!("{}; {until}", fault.help)
    };
    fault
}

fn undone(statement: &Statement<'_>) -> Fault {
    let name = statement.directive.name();
    let (message, help) = match name {
        "errors" => (format!("`{name}` is obsolete"), "remove it".to_owned()),
        _ => (
            format!("`{name}` is not done by this version"),
            match statement.directive.inverse() {
                Some(inverse) => format!("remove it, or write `{inverse}` where it is not needed"),
                None => "remove it".to_owned(),
            },
        ),
    };
    Fault::new(statement.pos, message, help)
}

/// A script can be handed over only as text without NUL.
fn script(statement: &Statement<'_>) -> Result<Arc<str>, Problem> {
    let body = statement.value;
    let name = statement.directive.name();
    let at = |offset: usize| {
        let before = body.get(..offset).unwrap_or_default();
        let lines = before.iter().filter(|b| **b == b'\n').count();
        Pos { offset: statement.value_pos.offset + offset, line: statement.value_pos.line + lines }
    };
    let wrong = |offset: usize, what: &str, help: &str| {
        let message = format!("the script of `{name}` {what}");
        Problem::Wrong(Fault::new(at(offset), message, help))
    };
    if let Some(nul) = body.iter().position(|b| *b == 0) {
        return Err(wrong(nul, "has a NUL byte", "remove it"));
    }
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(wrong(
            error.valid_up_to(),
            "is no UTF-8",
            "put what needs other bytes into a file of its own, and call that",
        )),
    }
}
