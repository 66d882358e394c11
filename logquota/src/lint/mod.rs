//! Checks a configuration before it is relied on: what its blocks can use at most, and what in
//! it does not do what it seems to.
//!
//! Pure: what was read and what was seen go in, findings come out. Whether a text is a
//! configuration at all is said by its reader ([`read`](crate::logrotate::read)); its
//! diagnostics are among the findings. Nothing is decided here about any log.
//!
//! ```
//! use logquota::lint::{Question, lint};
//! use logquota::logrotate::{Dialect, SystemEnv, read};
//! use logquota::Age;
//!
//! let parsed = read(&["/etc/logquota.conf".into()], &SystemEnv::new(None));
//! let question = Question::new(&parsed, Dialect::Own).run_every(Age::seconds(3_600));
//! for finding in &lint(&question).findings {
//!     eprintln!("{} [{}]", finding.diagnostic, finding.code.name());
//! }
//! ```

use std::ffi::OsStr;
use std::sync::LazyLock;

use crate::inventory::{Inventory, Set};
use crate::logrotate::{Diagnostic, Dialect, Kind, Parsed, Place, Severity};
use crate::policy::SetSpec;
use crate::scan::Other;
use crate::scan::pattern::is_wild;
use crate::units::{Age, Bytes};

mod blocks;
mod disk;
mod footprint;
mod patterns;

#[cfg(test)]
mod tests;

pub use self::disk::Disk;
pub use self::footprint::{Amount, Basis, Footprint, Missing};

/// What is to be checked, and under which circumstances.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Question<'a> {
    /// The configuration.
    pub parsed: &'a Parsed,
    /// In which dialect it was read.
    pub dialect: Dialect,
    /// How much time is between two runs.
    pub run_every: Age,
    /// How much one log grows in a day at most, if somebody says so.
    pub growth: Option<Bytes>,
    /// What was seen on the disk; none for a configuration of another machine.
    pub seen: Option<Seen<'a>>,
}

/// What was seen on the disk.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Of the logs of the configuration.
    pub inventory: &'a Inventory,
    /// Files beside them.
    pub others: &'a [Other],
    /// When, in seconds since the epoch.
    pub now: i64,
}

impl<'a> Question<'a> {
    /// A configuration that is run once a day, looked at alone.
    #[must_use]
    pub const fn new(parsed: &'a Parsed, dialect: Dialect) -> Self {
        Self { parsed, dialect, run_every: Age::days(1), growth: None, seen: None }
    }

    /// With so much time between two runs.
    #[must_use]
    pub const fn run_every(self, run_every: Age) -> Self {
        Self { run_every, ..self }
    }

    /// If one log grows by so much in a day at most.
    #[must_use]
    pub const fn growth(self, growth: Option<Bytes>) -> Self {
        Self { growth, ..self }
    }

    /// With what was seen on the disk.
    #[must_use]
    pub const fn seen(self, seen: Seen<'a>) -> Self {
        Self { seen: Some(seen), ..self }
    }

    /// Its blocks, but for those with errors, whose logs are left alone.
    fn blocks(&self) -> impl Iterator<Item = Subject<'a>> {
        let seen = self.seen.map(|seen| seen.inventory);
        let specs = self.parsed.config.sets.iter().enumerate();
        specs.filter(|(_, spec)| !spec.policy.is_left_alone()).map(move |(index, spec)| Subject {
            index,
            spec,
            place: self.parsed.places.get(index).unwrap_or(&NOWHERE),
            set: seen.and_then(|inventory| inventory.sets.get(index)),
        })
    }
}

/// Of a configuration that nobody read from a file.
static NOWHERE: LazyLock<Place> = LazyLock::new(Place::default);

/// One block, and what is known of it.
#[derive(Clone, Copy)]
struct Subject<'a> {
    index: usize,
    spec: &'a SetSpec,
    place: &'a Place,
    set: Option<&'a Set>,
}

/// What kind of finding it is. The names are for programs, and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// What the reader of the configuration says.
    Configuration,
    /// A directive without effect.
    NoEffect,
    /// Nothing bounds what a block uses.
    Unbounded,
    /// A log is to rotate more often than anybody runs.
    RunsTooRare,
    /// A log may be due again while its last archive has the name that the next one needs.
    DateTooCoarse,
    /// Two blocks can match the same log.
    OverlappingPatterns,
    /// A pattern matches archives of its own logs.
    MatchesOwnArchives,
    /// What is written while a log is cut is lost.
    CopytruncateWindow,
    /// A log is there that a run leaves alone, or could not look at.
    LeftAlone,
    /// A file beside the logs grows, and no pattern matches it.
    UnmatchedLog,
    /// The quotas are more than the file system has.
    QuotasExceedDisk,
    /// The quotas are more than can be had now.
    QuotasExceedFree,
    /// The file system is too small for the ballast.
    BallastExceedsDisk,
}

impl Code {
    /// In kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::NoEffect => "no-effect",
            Self::Unbounded => "unbounded",
            Self::RunsTooRare => "runs-too-rare",
            Self::DateTooCoarse => "date-too-coarse",
            Self::OverlappingPatterns => "overlapping-patterns",
            Self::MatchesOwnArchives => "matches-own-archives",
            Self::CopytruncateWindow => "copytruncate-window",
            Self::LeftAlone => "left-alone",
            Self::UnmatchedLog => "unmatched-log",
            Self::QuotasExceedDisk => "quotas-exceed-disk",
            Self::QuotasExceedFree => "quotas-exceed-free",
            Self::BallastExceedsDisk => "ballast-exceeds-disk",
        }
    }
}

/// Something that a person should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// How bad, where, what, and what to do. Its file may also be a log, with the line 0.
    pub diagnostic: Diagnostic,
}

impl Finding {
    fn new(
        code: Code,
        severity: Severity,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let diagnostic = Diagnostic::remark(severity, place, message.into(), help.into());
        Self { code, diagnostic }
    }
}

/// What a block can use, and uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name in reports.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// At most.
    pub footprint: Footprint,
    /// Now, if anybody looked.
    pub used: Option<Bytes>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lint {
    /// What the reader found first, then block by block, then about the disk.
    pub findings: Vec<Finding>,
    /// The blocks without errors, in the order of the configuration.
    pub blocks: Vec<Block>,
    /// The quotas and what the file systems have.
    pub disks: Vec<Disk>,
    /// So many blocks have errors; their logs are left alone.
    pub faulty: usize,
}

impl Lint {
    /// How many findings are as bad as this.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|found| found.diagnostic.severity == severity).count()
    }
}

/// Checks a configuration.
#[must_use]
pub fn lint(question: &Question<'_>) -> Lint {
    let mut findings: Vec<Finding> = Vec::new();
    let parsed = question.parsed;
    for diagnostic in parsed.diagnostics.iter().chain(&parsed.notes) {
        let code = match diagnostic.kind {
            Kind::NoEffect => Code::NoEffect,
            _ => Code::Configuration,
        };
        findings.push(Finding { code, diagnostic: diagnostic.clone() });
    }
    let mut blocks = Vec::new();
    for subject in question.blocks() {
        let block = blocks::block(&subject, question);
        blocks::findings(&subject, &block.footprint, question, &mut findings);
        blocks.push(block);
    }
    patterns::findings(question, &mut findings);
    let disks = disk::disks(question);
    disk::findings(question, &disks, &mut findings);
    let faulty = parsed.config.sets.len().saturating_sub(blocks.len());
    Lint { findings, blocks, disks, faulty }
}

/// The patterns of a block: what stands for its logs, and where it was written.
fn patterns_of<'a>(subject: &Subject<'a>, dialect: Dialect) -> Vec<(&'a OsStr, Place)> {
    let at =
        |line, column| Place { file: subject.place.file.clone(), line, column, words: Vec::new() };
    let words = subject.place.words.iter();
    if dialect == Dialect::Logrotate {
        // There a set has the logs that were found, and only the text tells the pattern.
        return words.map(|w| (w.text.as_os_str(), at(w.line, w.column))).collect();
    }
    let mut places = words.map(|word| at(word.line, word.column));
    let patterns = subject.spec.selectors.iter().filter_map(|selector| match selector {
        crate::policy::Selector::Pattern(pattern) => Some(pattern.as_os_str()),
        _ => None,
    });
    let block = || at(subject.place.line, subject.place.column);
    patterns.map(|pattern| (pattern, places.next().unwrap_or_else(block))).collect()
}

/// Whether anything in a block stands for more than one log.
fn may_be_more(subject: &Subject<'_>, dialect: Dialect) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let has_folder = subject
        .spec
        .selectors
        .iter()
        .any(|selector| matches!(selector, crate::policy::Selector::Directory(_)));
    has_folder
        || patterns_of(subject, dialect).iter().any(|(pattern, _)| is_wild(pattern.as_bytes()))
}
