//! Which set wants which names of one folder.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

use super::pattern::Matcher;

/// Names that are ours alone and never a log.
const PRIVATE: &[u8] = b".logquota";

/// How a set came to want a name. The surer, the less it takes for the name to be a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    /// It was named: always a log, even if it does not exist.
    Literal,
    /// A wildcard matches it.
    Wild,
    /// A whole folder was given, and it ends in `.log`.
    FolderLog,
    /// A whole folder was given: a log if archives of it lie beside it.
    FolderOther,
}

/// A set that wants a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) set: usize,
    pub(super) strength: Strength,
}

/// What all sets want of one folder. Sets are added in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Claims {
    literals: HashMap<OsString, Vec<usize>>,
    wild: Vec<(usize, Rc<Matcher>)>,
    whole: Vec<usize>,
}

impl Claims {
    pub(super) fn add_literal(&mut self, set: usize, name: &OsStr) {
        self.literals.entry(name.to_owned()).or_default().push(set);
    }

    pub(super) fn add_wild(&mut self, set: usize, matcher: Rc<Matcher>) {
        self.wild.push((set, matcher));
    }

    pub(super) fn add_whole(&mut self, set: usize) {
        self.whole.push(set);
    }

    /// The names that were given as such.
    pub(super) fn literals(&self) -> impl Iterator<Item = &OsStr> {
        self.literals.keys().map(OsString::as_os_str)
    }

    /// Every set that wants anything here, each once.
    pub(super) fn sets(&self) -> Vec<usize> {
        let wild = self.wild.iter().map(|(set, _)| set);
        let mut sets: Vec<usize> =
            self.literals.values().flatten().chain(wild).chain(&self.whole).copied().collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    /// Every set that wants this name, in no order.
    fn all<'a>(&'a self, name: &'a OsStr) -> impl Iterator<Item = Claim> + 'a {
        let is_private = name.as_bytes().starts_with(PRIVATE);
        let claim = |strength| move |set: &usize| Claim { set: *set, strength };
        let literal = self.literals.get(name).into_iter().flatten().map(claim(Strength::Literal));
        let wild = self
            .wild
            .iter()
            .filter(move |(_, matcher)| matcher.matches(name))
            .map(|(set, _)| Claim { set: *set, strength: Strength::Wild });
        let bytes = name.as_bytes();
        let strength =
            if bytes.ends_with(b".log") { Strength::FolderLog } else { Strength::FolderOther };
        // As with wildcards, a leading dot hides a name.
        let is_hidden = bytes.starts_with(b".");
        let whole = self.whole.iter().filter(move |_| !is_hidden).map(claim(strength));
        literal.chain(wild).chain(whole).filter(move |_| !is_private)
    }

    /// The set that has it: the first that wants it.
    pub(super) fn owner(&self, name: &OsStr) -> Option<Claim> {
        // The first of equals, and literals come first.
        self.all(name).min_by_key(|claim| claim.set)
    }

    /// Whether a set wants the name for itself, and not only beside archives.
    pub(super) fn wants(&self, name: &OsStr) -> bool {
        self.owner(name).is_some_and(|claim| claim.strength != Strength::FolderOther)
    }

    /// The other sets that want it, which do not get it.
    pub(super) fn losers(&self, name: &OsStr, owner: usize) -> Vec<usize> {
        // Whoever is alone has no rival.
        if self.literals.is_empty() && self.wild.len().saturating_add(self.whole.len()) <= 1 {
            return Vec::new();
        }
        let mut sets: Vec<usize> =
            self.all(name).map(|claim| claim.set).filter(|set| *set != owner).collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }
}
