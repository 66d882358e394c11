//! Statements and blocks to [`Config`]: defaults, includes, and how far an error reaches.
//!
//! An error in a block drops that block, whole. An error outside of blocks drops the rest of
//! the file and takes back the defaults that the file had set; blocks completed before stay.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use super::apply::apply;
use super::diagnostic::{Fault, Place, Severity, Sink, Source, show};
use super::directives::{self, Effect, Scope};
use super::effects::{self, Given};
use super::env::Env;
use super::files::{Files, Unusable};
use super::parse::{self, Block, Item, Statement};
use super::settings::Settings;
use super::taboo::Taboo;
use super::values::Problem;
use super::{Dialect, Parsed, pattern};
use crate::error::printable;
use crate::policy::{Config, Policy, Selector, SetSpec};

/// How many sets there may be: each is held in memory, and 16 MiB of text have millions.
const SETS_MAX: usize = 50_000;

/// Reads configurations one after the other; settings carry over.
pub(super) struct Reader<'e> {
    env: &'e dyn Env,
    sink: Sink,
    sets: Vec<SetSpec>,
    places: Vec<Place>,
    set_names: Vec<String>,
    files: Files<'e>,
    settings: Settings,
    taboo: Taboo,
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
            places: Vec::new(),
            set_names: Vec::new(),
            files: Files::new(env),
            settings: Settings::default(),
            taboo: Taboo::default(),
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
            config: Config {
                sets: self.sets,
                global: self.settings.limits,
                ballast: self.settings.ballast,
            },
            diagnostics,
            notes,
            files: self.files.into_read(),
            transcript: Vec::new(),
            origins: Vec::new(),
            places: self.places,
        }
    }

    fn file(&mut self, path: &Path) -> Result<Outcome, Unusable> {
        let source = self.files.open(path)?;
        let before = (self.settings.clone(), self.taboo.clone());
        self.files.enter(&source);
        let outcome = self.items(&source);
        self.files.leave();
        if outcome == Outcome::Abandoned {
            (self.settings, self.taboo) = before;
        }
        Ok(outcome)
    }

    /// Every file of a folder that is not taboo. A bad one does not spoil the others.
    fn folder(&mut self, path: &Path) -> Result<Outcome, Unusable> {
        for file in self.files.listed(path, &self.taboo)? {
            if let Err(unusable) = self.file(&file) {
                self.sink.about(&file, unusable.message, &unusable.help);
            }
        }
        Ok(Outcome::Complete)
    }

    fn items(&mut self, source: &Rc<Source>) -> Outcome {
        for item in parse::file(&source.bytes, Dialect::Own) {
            let fault = match item {
                Item::Block(block) if self.sets.len() >= SETS_MAX => Some(Fault::new(
                    block.pos,
                    format!("more than {SETS_MAX} blocks"),
                    "let one block have more than one path",
                )),
                Item::Block(block) => {
                    self.block(source, block);
                    continue;
                }
                Item::Fault(fault) | Item::Unknown(fault) => Some(fault),
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
            _ => match apply(&mut self.settings, &statement, self.env, Dialect::Own) {
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
        let path = self.files.included(source, &statement)?;
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

    fn block(&mut self, source: &Rc<Source>, block: Block<'_>) {
        let mut draft =
            Draft { settings: self.settings.for_block(), given: Vec::new(), failed: false };
        let place = Place::new(source, block.pos, &block.words);
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
        let undone = !draft.settings.undone.is_empty();
        let policy = match draft.settings.policy() {
            Ok(policy) if !draft.failed && !undone => policy,
            Err(message) if !draft.failed && !undone => {
                self.block_error(source, Fault::new(block.pos, message, ""), &mut draft);
                return self.leave_alone(&block.text, selectors, place);
            }
            _ => return self.leave_alone(&block.text, selectors, place),
        };
        let has_quota = self.settings.limits.quota.is_some();
        let in_vain = effects::without_effect(&draft.given, &draft.settings, has_quota);
        for (severity, source, fault) in in_vain {
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
        self.places.push(place);
    }

    /// A faulty block keeps its logs: a later, wider one must not do to them what this one
    /// was written to prevent.
    fn leave_alone(&mut self, text: &[u8], selectors: Vec<Selector>, place: Place) {
        let first = match selectors.first() {
            Some(Selector::Pattern(pattern)) => printable(pattern),
            _ => return,
        };
        self.sets.push(SetSpec {
            name: format!("{first} (faulty, left alone)"),
            pattern_text: OsStr::from_bytes(text).to_owned(),
            selectors,
            policy: Policy::left_alone(),
            ignore_duplicates: true,
        });
        self.places.push(place);
    }

    fn statements(&mut self, source: &Rc<Source>, body: parse::Body<'_>, draft: &mut Draft) {
        for fault in body.notes {
            self.sink.report(Severity::Warning, source, fault);
        }
        // In the order of the file, whoever found the fault.
        let mut faults = body.faults;
        for statement in body.statements {
            if faults.len() > parse::FAULTS_MAX {
                break;
            }
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
        apply(&mut draft.settings, statement, self.env, Dialect::Own).map_err(|problem| {
            match problem {
                Problem::Wrong(fault) | Problem::Undone(fault) => fault,
            }
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
        let path = self.files.included(source, statement)?;
        let opened = match self.files.open(&path) {
            Err(unusable) if unusable.is_folder => {
                let files = self.files.listed(&path, &self.taboo).map_err(wrong)?;
                files.into_iter().map(|file| self.files.open(&file)).collect::<Result<Vec<_>, _>>()
            }
            other => other.map(|source| vec![source]),
        };
        for inner in opened.map_err(wrong)? {
            self.files.enter(&inner);
            self.statements(&inner, parse::inside(&inner.bytes, Dialect::Own), draft);
            self.files.leave();
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
