//! The state file: when each log was last rotated, in logrotate's format.
//!
//! It is a cache. Quotas never depend on it, and one that is torn or gone costs at most one
//! period of a log that has no archives yet.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, NaiveDateTime};
use logquota::apply::{Outcome, Report};
use logquota::clock;
use logquota::error::printable;
use logquota::fs::os::{Tree, replace_file};
use logquota::inventory::{Inventory, Log};
use logquota::logrotate::state::{StateError, TOP_LINES, first_seen, is_forgettable};
use logquota::logrotate::{Env as _, State as Entries};
use logquota::plan::{Action, Plan, Reason};
use logquota::{Error, Op};

use crate::exit::Failure;
use crate::output::Output;
use crate::root::place;
use crate::source::{Source, system};

/// The longest state file that is read, in bytes: half a million logs.
pub(crate) const STATE_LEN_MAX: usize = 64 << 20;

/// Where it is for root.
const ROOTS_PATH: &str = "/var/lib/logquota/status";

/// So many logs are freed at a time: seldom enough to cost nothing.
const LOGS_FREED: usize = 4_096;

/// Who may read a new one: it tells names of logs.
pub(crate) const STATE_MODE: u32 = 0o640;

/// What is known of the last rotations.
#[derive(Debug, Default)]
pub(crate) struct State {
    path: Option<PathBuf>,
    entries: Entries,
    is_damaged: bool,
    /// What has its name may be no state file, and is never written over.
    is_foreign: bool,
    /// Whether there is anything to write.
    is_changed: bool,
    /// Whether the entries were given back, to be read again if they are needed.
    is_released: bool,
}

/// Where the state file is: as given; for configuration files at its usual place; a directory
/// with a quota needs none. `/dev/null` means none, as for logrotate.
pub(crate) fn path(
    tree: &Tree,
    given: Option<&Path>,
    source: &Source,
) -> Result<Option<PathBuf>, Failure> {
    match (given, source) {
        (Some(path), _) if path == Path::new("/dev/null") => Ok(None),
        (Some(path), _) => place(tree, path).map(Some),
        (None, Source::Dir(_)) => Ok(None),
        (None, Source::Files(_)) if tree.path().is_some() => Ok(Some(ROOTS_PATH.into())),
        (None, Source::Files(_)) => default_path()
            .ok_or_else(|| {
                Failure::Usage("there is no home for the state file; give --state FILE".to_owned())
            })
            .map(Some),
    }
}

fn default_path() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = if let Some(folders) = var("STATE_DIRECTORY") {
        std::env::split_paths(&folders).next()?
    } else if system().effective_uid() == 0 {
        PathBuf::from("/var/lib/logquota")
    } else if let Some(base) = var("XDG_STATE_HOME") {
        PathBuf::from(base).join("logquota")
    } else {
        PathBuf::from(var("HOME")?).join(".local/state/logquota")
    };
    folder.is_absolute().then(|| folder.join("status"))
}

/// Makes the folder of the state file, if that is the usual one. What goes wrong shows when
/// the file is made.
pub(crate) fn make_folder(path: &Path) {
    if default_path().as_deref() == Some(path)
        && let Some(folder) = path.parent()
    {
        let _ = std::fs::create_dir_all(folder);
    }
}

/// What has the name of the state file.
enum Found {
    /// Nothing.
    New,
    /// A state file, or an empty one.
    Whole(Entries),
    /// A state file up to where something is wrong.
    Damaged(Entries, String),
    /// Something else, or what cannot be read; and why.
    Foreign(String),
}

impl Found {
    fn read(tree: &Tree, file: &Path) -> Self {
        let text = match tree.read_small(file, STATE_LEN_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::New,
            Err(error) => return Self::Foreign(error.to_string()),
        };
        match Entries::parse(&text) {
            (entries, None) => Self::Whole(entries),
            (_, Some(wrong @ StateError::TopLine)) if !may_be_torn(&text) => {
                Self::Foreign(format!("it is no state file ({wrong})"))
            }
            (entries, Some(wrong)) => Self::Damaged(entries, wrong.to_string()),
        }
    }

    fn into_entries(self) -> Entries {
        match self {
            Self::Whole(entries) | Self::Damaged(entries, _) => entries,
            Self::New | Self::Foreign(_) => Entries::default(),
        }
    }
}

/// Whether a text without the first line of a state file is the beginning of one and zeros: what
/// a power failure leaves.
fn may_be_torn(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let begun = text.get(..end).unwrap_or_default();
    TOP_LINES.iter().any(|line| line.as_bytes().starts_with(begun))
}

impl State {
    /// Reads it. What is wrong with it is printed, and what stands before that is used.
    pub(crate) fn read(tree: &Tree, path: Option<PathBuf>, out: &mut Output) -> Self {
        let Some(file) = &path else { return Self::default() };
        let found = Found::read(tree, file);
        let shown = printable(file);
        let told = match &found {
            Found::New | Found::Whole(_) => None,
            Found::Damaged(_, wrong) => Some(format!(
                "the state file `{shown}` is damaged ({wrong}); logs without an entry are judged by \
                 their newest archive"
            )),
            Found::Foreign(why) => Some(format!(
                "`{shown}` was given as the state file and is left alone: {why}. When logs are \
                 rotated is not noted, and they are judged by their newest archive. Give the right \
                 file with --state FILE, or move this one away"
            )),
        };
        if let Some(told) = told.filter(|told| out.is_news(told)) {
            out.warning(&told);
        }
        let is_damaged = matches!(found, Found::Damaged(..) | Found::Foreign(_));
        let (is_new, is_foreign) =
            (matches!(found, Found::New), matches!(found, Found::Foreign(_)));
        let entries = found.into_entries();
        Self { path, entries, is_damaged, is_foreign, is_changed: is_new, is_released: false }
    }

    /// When a log was last rotated, as far as the file says.
    pub(crate) fn last_rotated(&self, log: &Path) -> Option<NaiveDateTime> {
        self.entries.get(log)
    }

    /// Gives the entries back once the scan has asked for them all: most runs have no news,
    /// and a hundred thousand entries take as much room as the plan.
    pub(crate) fn release(&mut self, now: DateTime<FixedOffset>) {
        let now = now.naive_local();
        let has_old = self.entries.iter().any(|(_, at)| is_forgettable(now, at));
        if !self.is_damaged && !self.is_changed && !has_old {
            self.entries = Entries::default();
            self.is_released = true;
        }
    }

    /// Reads them again, if there is news.
    fn reclaim(&mut self) {
        if std::mem::take(&mut self.is_released)
            && let Some(file) = &self.path
        {
            // It is locked and was whole a moment ago. What is lost is written anew.
            let found = Found::read(&Tree::default(), file);
            self.is_foreign = matches!(found, Found::Foreign(_));
            self.is_damaged = !matches!(found, Found::Whole(_));
            self.entries = found.into_entries();
        }
    }

    /// Whether entries may be missing that once were there.
    pub(crate) const fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// What a damaged file does not say is told by the newest archive: it was last written to
    /// when it was still the log.
    pub(crate) fn fill_in(&self, inventory: &mut Inventory) {
        if !self.is_damaged {
            return;
        }
        for log in inventory.sets.iter_mut().flat_map(|set| &mut set.logs) {
            if log.last_rotated.is_none() {
                let newest = log.archives.first().map(|archive| archive.stamp().mtime.secs);
                let newest = newest.and_then(|secs| DateTime::from_timestamp(secs, 0));
                log.last_rotated = newest.map(|at| clock::local(at).naive_local());
            }
        }
    }

    /// Notes which logs were seen, and which were rotated at `now`: those whose rotation was
    /// begun, even if it failed later, so that it is not tried again before its time. The
    /// inventory is in the order that plans count in, and may have lost its logs afterwards.
    pub(crate) fn note(
        &mut self,
        inventory: &mut Inventory,
        plan: &Plan,
        report: &Report,
        now: DateTime<FixedOffset>,
    ) {
        let now = now.naive_local();
        let begun: HashSet<_> = plan
            .steps
            .iter()
            .zip(&report.outcomes)
            .filter(|(step, outcome)| {
                is_rotation(&step.action, &step.reason)
                    && matches!(outcome, Outcome::Done | Outcome::Failed(_))
            })
            .filter_map(|(step, _)| Some((step.set, step.log?)))
            .collect();
        // Plans count logs in the order of the scan.
        debug_assert!(inventory.is_normal());
        let is_settled = |log: &Log| log.last_rotated.is_some_and(|at| !is_forgettable(now, at));
        let mut logs = inventory.sets.iter().flat_map(|set| &set.logs);
        if begun.is_empty() && self.is_released && logs.all(is_settled) {
            return;
        }
        self.reclaim();
        if self.entries.is_empty() {
            self.entries.reserve(inventory.sets.iter().map(|set| set.logs.len()).sum());
        }
        let mut found = HashSet::new();
        let mut sets = std::mem::take(&mut inventory.sets);
        for (index, set) in sets.iter_mut().enumerate() {
            let mut logs = std::mem::take(&mut set.logs);
            // Nobody needs them any more: what they give back the entries take.
            while let Some(log) = logs.pop() {
                let number = logs.len();
                if number.is_multiple_of(LOGS_FREED) {
                    logs.shrink_to_fit();
                }
                let is_begun = begun.contains(&(index, number));
                // The scan has asked for each log; most have their entry and keep it.
                if !is_begun && !self.is_damaged && is_settled(&log) {
                    continue;
                }
                let name = inventory.path(log.dir, &log.name).into_os_string();
                let known = self.entries.get(&name);
                if is_begun {
                    self.set(name, now);
                } else if known.is_none() {
                    self.set(name, log.last_rotated.unwrap_or(first_seen(now)));
                } else if known.is_some_and(|at| is_forgettable(now, at)) {
                    // Only these would go; a list of all is as large as the state.
                    found.insert(name);
                }
            }
        }
        inventory.sets = sets;
        let before = self.entries.len();
        self.entries.prune(now, |name: &OsStr| found.contains(name));
        self.is_changed |= self.entries.len() != before;
    }

    fn set(&mut self, name: OsString, at: NaiveDateTime) {
        self.entries.set(name, at);
        self.is_changed = true;
    }

    /// Writes it whole, or leaves the old one, and always what is no state file.
    pub(crate) fn write(&self) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.is_foreign {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "it is no state file");
            return Err(Error::io(Op::Write, path)(why));
        }
        // A run without news leaves the file alone: no flush to wait for, nothing worn out.
        if !self.is_changed && !self.is_damaged {
            return Ok(());
        }
        let text = self.entries.format();
        replace_file(path, &text, STATE_MODE).map_err(Error::io(Op::Write, path))
    }
}

/// Whether a step is what rotates a log, and not what makes room or finishes for it.
pub(crate) const fn is_rotation(action: &Action, reason: &Reason) -> bool {
    matches!(action, Action::Rename { .. } | Action::Copy { .. } | Action::Truncate { .. })
        && matches!(
            reason,
            Reason::Size { .. }
                | Reason::MaxSize { .. }
                | Reason::Interval { .. }
                | Reason::FutureDate { .. }
                | Reason::Forced
                | Reason::Interrupted
                | Reason::QuotaPressure { .. }
        )
}
