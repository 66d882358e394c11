//! One block: its paths are expanded, its directives followed, and the first error drops it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::rc::Rc;

use super::super::diagnostic::{Fault, Place, Pos, Reach, Source, show, show_all};
use super::super::directives::{self, Effect, Scope};
use super::super::effects::{self, Given};
use super::super::env::GlobError;
use super::super::parse::{self, Block, Statement};
use super::super::settings::Settings;
use super::super::transcript::Line;
use super::super::{Closed, Dialect, Origin, pattern};
use super::{Opened, Outcome, Owners, Reader, follow, reason};
use crate::error::printable;
use crate::policy::{Policy, Selector, SetSpec};

/// How many blocks and paths there may be in all: each is held in memory.
const PATHS_MAX: usize = 1_000_000;

/// A block on its way.
struct Draft {
    settings: Settings,
    logs: Vec<PathBuf>,
    /// The first pattern that could not be expanded. Whether that matters is known only at
    /// the closing brace.
    unread: Option<(Pos, String)>,
    /// Whether a path of it belongs to another: an error that spares the rest of it.
    has_duplicates: bool,
    /// What it says, for remarks.
    given: Vec<Given>,
}

/// Something was wrong; it has been told, and the block is not to be used.
struct Dropped(Reach);

/// What stands in a block, in the order of the text.
enum Event<'a> {
    Statement(Statement<'a>),
    Remark(Fault),
    Fault(Fault),
}

impl Reader<'_> {
    pub(super) fn block(&mut self, source: &Rc<Source>, block: Block<'_>) -> Outcome {
        let Block { pos, text, words, body } = block;
        let (end, is_open) = (body.end, body.is_open);
        let mut draft = Draft {
            settings: self.settings.for_block(),
            logs: Vec::new(),
            unread: None,
            has_duplicates: false,
            given: Vec::new(),
        };
        self.owners.ignoring.push(draft.settings.ignore_duplicates);
        let done = self
            .paths(source, pos, &words, &mut draft)
            .and_then(|()| self.body(source, body, &mut draft))
            .and_then(|()| self.close(source, pos, end, is_open, &mut draft));
        self.criterion = None;
        match done {
            Ok(policy) => {
                let has_quota = self.settings.limits.quota.is_some();
                let in_vain = effects::without_effect(&draft.given, &draft.settings, has_quota);
                for (severity, source, fault) in in_vain {
                    self.sink.report(severity, &source, fault);
                }
                self.places.push(Place::new(source, pos, &words));
                let first = words.first().map(|(word, _)| printable(OsStr::from_bytes(word)));
                let outcome =
                    if draft.has_duplicates { Outcome::Flawed } else { Outcome::Complete };
                self.complete(source, pos, &text, first.unwrap_or_default(), draft, policy);
                outcome
            }
            Err(Dropped(reach)) => {
                self.owners.release(&draft.logs);
                if reach == Reach::File {
                    return Outcome::Abandoned;
                }
                let text = format!("found error in {}, skipping", show_all(&text));
                self.transcript.say(Line::error(text));
                Outcome::Flawed
            }
        }
    }

    /// Keeps a block that is right.
    fn complete(
        &mut self,
        source: &Source,
        pos: Pos,
        text: &[u8],
        first: String,
        draft: Draft,
        policy: Policy,
    ) {
        self.owners.settle(draft.settings.ignore_duplicates);
        let pattern = OsStr::from_bytes(text).to_owned();
        self.sets.push(SetSpec {
            name: draft.settings.name.unwrap_or(first),
            pattern_text: pattern.clone(),
            selectors: draft.logs.iter().cloned().map(Selector::Log).collect(),
            policy,
            ignore_duplicates: draft.settings.ignore_duplicates,
        });
        self.origins.push(Origin {
            file: source.shown.clone(),
            line: pos.line,
            pattern,
            logs: draft.logs,
        });
    }

    /// Expands the words in front of a block, each as glob(3) does, now.
    fn paths(
        &mut self,
        source: &Source,
        start: Pos,
        words: &[(Vec<u8>, Pos)],
        draft: &mut Draft,
    ) -> Result<(), Dropped> {
        let found = self.owners.blocks.len().saturating_add(self.sets.len());
        if found.saturating_add(words.len()) > PATHS_MAX {
            let fault = Fault::new(start, format!("more than {PATHS_MAX} paths"), "name fewer");
            return Err(self.drop_block(source, fault.ends_file()));
        }
        for (word, pos) in words {
            let wrong = |why: &str, words: &str| {
                let message = format!("the path \"{}\" {why}", show(word));
                Fault::new(*pos, message, "correct it").classic(words).ends_file()
            };
            if word.is_empty() || word.contains(&0) {
                let fault = wrong("is no file's name", "error parsing filename");
                return Err(self.drop_block(source, fault));
            }
            if word.len() > pattern::PATTERN_MAX {
                let fault = wrong("is longer than 2048 bytes", "glob string too long");
                return Err(self.drop_block(source, fault));
            }
            match self.expanded(word) {
                Ok(paths) => self.take(source, *pos, paths, draft),
                Err(error) => {
                    let path = show_all(word);
                    let text = format!("glob failed for {path}: {}", reason(&error.source));
                    draft.unread.get_or_insert((*pos, text));
                }
            }
        }
        Ok(())
    }

    /// The paths of one word; without a match the word itself, but not if it names a folder.
    fn expanded(&self, word: &[u8]) -> Result<Vec<PathBuf>, GlobError> {
        let found = match pattern::expand(word, self.env) {
            Some(pattern) => self.env.glob(&pattern)?,
            None => None,
        };
        Ok(found.unwrap_or_else(|| vec![OsString::from_vec(word.to_vec()).into()]))
    }

    /// The first block that has a path keeps it. A second mention ends the word it comes from.
    fn take(&mut self, source: &Source, pos: Pos, paths: Vec<PathBuf>, draft: &mut Draft) {
        for path in paths {
            match self.owners.owner_ignores(&path) {
                None => {
                    self.owners.claim(&path);
                    draft.logs.push(path);
                }
                Some(true) => {
                    let words = format!("ignore duplicate log entry for {}", printable(&path));
                    self.say_at(source, pos, words, Line::progress);
                }
                Some(false) => {
                    draft.has_duplicates = true;
                    let shown = printable(&path);
                    let message = format!("`{shown}` stands in another place already");
                    let help = "name it once, or set `ignoreduplicates` for the first block";
                    let fault = Fault::new(pos, message, help);
                    self.wrong(source, fault.classic(format!("duplicate log entry for {shown}")));
                    return;
                }
            }
        }
    }

    /// Directives, remarks and faults in the order of the text, up to the first error.
    fn body(
        &mut self,
        source: &Rc<Source>,
        body: parse::Body<'_>,
        draft: &mut Draft,
    ) -> Result<(), Dropped> {
        let mut events: Vec<(usize, Event<'_>)> = Vec::new();
        events.extend(body.statements.into_iter().map(|s| (s.pos.offset, Event::Statement(s))));
        events.extend(body.notes.into_iter().map(|f| (f.pos.offset, Event::Remark(f))));
        events.extend(body.faults.into_iter().map(|f| (f.pos.offset, Event::Fault(f))));
        events.sort_by_key(|(offset, _)| *offset);
        for (_, event) in events {
            match event {
                Event::Statement(statement) => self.statement(source, &statement, draft)?,
                Event::Remark(fault) => self.remark(source, fault),
                Event::Fault(fault) => return Err(self.drop_block(source, fault)),
            }
        }
        Ok(())
    }

    fn statement(
        &mut self,
        source: &Rc<Source>,
        statement: &Statement<'_>,
        draft: &mut Draft,
    ) -> Result<(), Dropped> {
        let directive = statement.directive;
        let done = if directive.scope() == Scope::Global {
            Err(directives::misplaced(directive, statement.pos))
        } else if self.passes_over(source, statement) {
            if directive.name() == "dateformat" {
                (draft.settings.date_format, draft.settings.bad_date) = (None, None);
            }
            return Ok(());
        } else if matches!(directive.effect(), Effect::Include) {
            return self.include_inside(source, statement, draft);
        } else {
            follow(&mut draft.settings, statement, self.env)
        };
        match done {
            Ok(()) => {
                draft.given.push(Given {
                    directive,
                    source: Rc::clone(source),
                    pos: statement.pos,
                    value: statement.value.into(),
                });
                self.note_effect(statement);
                Ok(())
            }
            // A day that is wrong ends the file even here.
            Err(fault) if matches!(directive.name(), "weekly" | "monthly") => {
                Err(self.drop_block(source, fault.ends_file()))
            }
            Err(fault) => Err(self.drop_block(source, fault)),
        }
    }

    /// The directives of another file, or of a folder's files, as if they stood in the block.
    fn include_inside(
        &mut self,
        source: &Rc<Source>,
        statement: &Statement<'_>,
        draft: &mut Draft,
    ) -> Result<(), Dropped> {
        let path = match self.included(statement) {
            Ok(path) => path,
            Err(fault) => return Err(self.drop_block(source, fault)),
        };
        match self.open(&path, &path) {
            Ok(inner) => self.inner(inner, draft),
            Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
                let folder = self.cwd.join(&path);
                let names = self.listed(&folder).ok_or(Dropped(Reach::Block))?;
                let above = std::mem::replace(&mut self.cwd, folder);
                let done =
                    names.iter().try_for_each(|(name, kind)| match self.open_listed(name, *kind) {
                        Ok(inner) => self.inner(inner, draft),
                        Err(_) => Err(Dropped(Reach::Block)),
                    });
                self.cwd = above;
                done
            }
            Err(error) => {
                let text = format!("cannot stat {}: {}", printable(&path), reason(&error));
                self.about(&path, text);
                Err(Dropped(Reach::Block))
            }
        }
    }

    fn inner(&mut self, opened: Opened, draft: &mut Draft) -> Result<(), Dropped> {
        let source = match opened {
            Opened::File(source) => source,
            Opened::Ignored => return Ok(()),
            Opened::Refused => return Err(Dropped(Reach::Block)),
        };
        let name = printable(&source.shown);
        self.transcript.say(Line::progress(format!("reading config file {name}")));
        let criterion = self.criterion.take();
        self.files.enter(&source);
        let body = parse::inside(&source.bytes, Dialect::Logrotate);
        let done = self.body(&source, body, draft);
        self.files.leave();
        self.criterion = criterion;
        // The end of the included file is not that of the block's.
        done.map_err(|_| Dropped(Reach::Block))
    }

    /// What is looked at when the brace closes.
    fn close(
        &mut self,
        source: &Rc<Source>,
        pos: Pos,
        end: Pos,
        is_open: bool,
        draft: &mut Draft,
    ) -> Result<Policy, Dropped> {
        if let (Some((at, text)), false) = (draft.unread.take(), draft.settings.missing_ok) {
            let message = format!("a folder of this pattern cannot be read: {text}");
            let fault = Fault::new(Pos { line: end.line, ..at }, message, "or set `missingok`");
            return Err(self.drop_block(source, fault.classic(text).ends_file()));
        }
        let policy = match draft.settings.classic_policy() {
            Ok(policy) => policy,
            Err(message) => return Err(self.drop_block(source, Fault::new(pos, message, ""))),
        };
        let Some(old_dir) = policy.archive_dir.as_ref().filter(|_| !is_open) else {
            return Ok(policy);
        };
        let block = Closed {
            file: &source.shown,
            line: end.line,
            logs: &draft.logs,
            old_dir,
            policy: &policy,
        };
        let transcript = &mut self.transcript;
        let checked = self.env.check_old_dir(&block, &mut |line| transcript.say(line));
        match checked {
            Ok(()) => Ok(policy),
            Err(words) => {
                let message = "the archives of this block have no place to go";
                let fault = Fault::new(end, message, "see to its `olddir`");
                Err(self.drop_block(source, fault.classic(words).ends_file()))
            }
        }
    }

    fn drop_block(&mut self, source: &Source, fault: Fault) -> Dropped {
        let reach = fault.reach;
        self.wrong(source, fault);
        Dropped(reach)
    }
}

impl Owners {
    /// The block that is being read, which is the last.
    fn last(&self) -> usize {
        self.ignoring.len().saturating_sub(1)
    }

    /// Whether the block that has `path` ignores duplicates; `None` if no block has it.
    fn owner_ignores(&self, path: &std::path::Path) -> Option<bool> {
        let owner = self.blocks.get(path.as_os_str())?;
        Some(self.ignoring.get(*owner).copied().unwrap_or(false))
    }

    fn claim(&mut self, path: &std::path::Path) {
        self.blocks.insert(path.as_os_str().to_owned(), self.last());
    }

    /// The last block is complete, and this is what it ended up with.
    fn settle(&mut self, ignores: bool) {
        if let Some(last) = self.ignoring.last_mut() {
            *last = ignores;
        }
    }

    /// The last block is dropped; others may have its paths.
    fn release(&mut self, logs: &[PathBuf]) {
        for path in logs {
            self.blocks.remove(path.as_os_str());
        }
    }
}
