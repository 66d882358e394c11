//! Tells logs from archives by their names alone, and archives to their logs.
//!
//! Every folder is listed once, and of its names only those are kept that a set wants, that
//! have a digit (no archive is without), or that look like temporary files of ours.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use super::claims::{Claim, Strength};
use super::index::Index;
use super::walk::World;
use crate::error::{Error, Op};
use crate::naming::{ArchiveName, Naming, is_head_shape, is_temporary_shape};
use crate::plan::NAME_MAX;
use crate::policy::Method;
use crate::stamp::Kind;

/// How often a name may have the label of an archive behind that of another before it is
/// not looked into further (`app.log.1.1.1`).
const NESTED_MAX: u8 = 8;

/// A log, before anything of it was looked at.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) claim: Claim,
    pub(super) folder: usize,
    pub(super) name: OsString,
    /// Folder of its archives, or why there is none.
    pub(super) archive_folder: Result<usize, String>,
    /// Where their names begin in the text of that folder.
    pub(super) archives: Vec<u32>,
    /// Names of archives of it that belong to another log.
    pub(super) taken: Vec<OsString>,
}

/// Logs by folder and name.
pub(super) struct Drafts<'w, 'a> {
    world: &'w mut World<'a>,
    /// The namings that are in use, each once.
    namings: Vec<&'a Naming>,
    naming_of: Vec<usize>,
    /// For each folder: the namings of the sets that want something there.
    namings_in: Vec<Vec<usize>>,
    found: Vec<Draft>,
    index: Index,
    /// Archive folders by folder and set.
    archive_folders: HashMap<(usize, usize), Result<usize, String>>,
    /// Logs with their archives elsewhere, by archive folder, naming and name.
    elsewhere: HashMap<(usize, usize, OsString), usize>,
    /// Whether a name is a file, for folders that are given whole.
    is_file: HashMap<(usize, OsString), bool>,
    /// Archives in another style of logs that are not there, as far as is known.
    later: Vec<(usize, usize)>,
}

/// All logs with the names of their archives.
pub(super) fn drafts(world: &mut World<'_>) -> Vec<Draft> {
    let mut namings: Vec<&Naming> = Vec::new();
    let mut known: HashMap<&Naming, usize> = HashMap::new();
    let config = world.config;
    let naming_of = config
        .sets
        .iter()
        .map(|spec| {
            *known.entry(&spec.policy.naming).or_insert_with(|| {
                namings.push(&spec.policy.naming);
                namings.len() - 1
            })
        })
        .collect();
    let mut drafts = Drafts {
        world,
        namings,
        naming_of,
        namings_in: Vec::new(),
        found: Vec::new(),
        index: Index::default(),
        archive_folders: HashMap::new(),
        elsewhere: HashMap::new(),
        is_file: HashMap::new(),
        later: Vec::new(),
    };
    drafts.run();
    drafts.found
}

impl Drafts<'_, '_> {
    fn run(&mut self) {
        // Archive folders first: they join the folders that are listed.
        let with_logs = self.world.folders.len();
        let mut elsewhere: Vec<(usize, usize)> = Vec::new();
        for folder in 0..with_logs {
            for set in self.sets_of(folder) {
                if let Ok(archives) = self.archive_folder(folder, set)
                    && archives != folder
                {
                    elsewhere.push((folder, set));
                }
            }
        }
        for folder in 0..self.world.folders.len() {
            self.list(folder);
        }
        self.index = Index::of(&self.world.folders);
        for folder in 0..with_logs {
            let namings = self.distinct_namings(&self.sets_of(folder));
            self.namings_in.push(namings);
        }
        for folder in 0..with_logs {
            self.sort_out(folder);
        }
        self.sort_out_later();
        self.sort_out_elsewhere(&elsewhere);
    }

    fn sets_of(&self, folder: usize) -> Vec<usize> {
        self.world.folders.get(folder).map(|f| f.claims.sets()).unwrap_or_default()
    }

    fn distinct_namings(&self, sets: &[usize]) -> Vec<usize> {
        let mut namings: Vec<usize> =
            sets.iter().filter_map(|set| self.naming_of.get(*set).copied()).collect();
        namings.sort_unstable();
        namings.dedup();
        namings
    }

    fn archive_folder(&mut self, folder: usize, set: usize) -> Result<usize, String> {
        if let Some(known) = self.archive_folders.get(&(folder, set)) {
            return known.clone();
        }
        let spec = self.world.config.sets.get(set);
        let found = match spec.and_then(|spec| spec.policy.archive_dir.as_ref()) {
            Some(archives) => self.world.archive_folder(folder, archives),
            None => Ok(folder),
        };
        self.archive_folders.insert((folder, set), found.clone());
        found
    }

    fn list(&mut self, folder: usize) {
        let fs = self.world.fs;
        let Some(folder) = self.world.folders.get_mut(folder) else { return };
        if folder.missing.is_some() {
            return;
        }
        let (claims, names) = (&folder.claims, &mut folder.names);
        let temporaries = &mut folder.temporaries;
        let mut is_complete = true;
        let listed = fs.list(folder.dir, &mut |name, _| {
            if name.len() > NAME_MAX {
                // Where names are counted in characters (vfat) there are longer ones than ours are.
            } else if is_temporary_shape(name) || is_head_shape(name) {
                temporaries.push(name.to_owned());
            } else if name.as_bytes().iter().any(u8::is_ascii_digit)
                || claims.wants(name)
                || unrenamed(name).is_some_and(|base| claims.wants(base))
            {
                is_complete &= names.push(name);
            }
        });
        names.sort();
        temporaries.sort_unstable();
        let why = match listed {
            Err(error) => Some(Error::io(Op::List, &folder.path)(error).chain()),
            Ok(()) if !is_complete => Some("its folder has too many names".to_owned()),
            Ok(()) => None,
        };
        folder.unreadable.clone_from(&why);
        // Perhaps it has no log that could say so.
        let path = folder.path.clone();
        if let Some(why) = why {
            self.world.note(&path, why, true);
        }
    }

    /// Goes through the names of a folder that has logs.
    fn sort_out(&mut self, folder: usize) {
        let literals: Vec<OsString> = self.world.folders.get(folder).map_or_else(Vec::new, |f| {
            let mut names: Vec<OsString> = f.claims.literals().map(OsStr::to_owned).collect();
            names.sort_unstable();
            names
        });
        for name in literals {
            if let Some(claim) = self.owner(folder, &name) {
                self.draft(folder, &name, claim);
            }
        }
        let count = self.world.folders.get(folder).map_or(0, |f| f.names.len());
        for at in 0..count {
            let name = self.world.folders.get(folder).and_then(|f| f.names.get(at));
            if let Some(name) = name.map(OsStr::to_owned) {
                self.sort_out_name((folder, at), &name);
            }
        }
    }

    fn sort_out_name(&mut self, (folder, at): (usize, usize), name: &OsStr) {
        let claim = self.owner(folder, name);
        if claim.is_some_and(|claim| claim.strength == Strength::Literal) {
            // It was named as a log, so it is no archive; one of that name is in the way.
            if let Some((log, _)) = self.archive_of(folder, name, 0, &mut false)
                && let Some(draft) = self.found.get_mut(log)
            {
                draft.taken.push(name.to_owned());
            }
            return;
        }
        let mut is_open = false;
        if let Some((log, at_home)) = self.archive_of(folder, name, 0, &mut is_open) {
            // Copies beside a log whose archives are elsewhere are from before that was
            // configured, and are left alone.
            if at_home {
                self.add_archive(log, (folder, at));
            }
            return;
        }
        if is_open {
            self.later.push((folder, at));
            return;
        }
        self.draft_if_log(folder, name);
    }

    /// `at` is the place of its name in `folder`, which is the log's for archives.
    fn add_archive(&mut self, log: usize, (folder, at): (usize, usize)) {
        let start = self.world.folders.get(folder).and_then(|folder| folder.names.start(at));
        if let (Some(draft), Some(start)) = (self.found.get_mut(log), start) {
            draft.archives.push(start);
        }
    }

    fn draft_if_log(&mut self, folder: usize, name: &OsStr) {
        if let Some((base, claim)) = self.renamed_log(folder, name) {
            self.draft(folder, &base, claim);
            return;
        }
        let Some(claim) = self.owner(folder, name) else { return };
        if claim.strength != Strength::FolderOther {
            self.draft(folder, name, claim);
        }
    }

    /// The log that `name` is, on its way to another device (`renamecopy`'s `LOG.tmp`).
    fn renamed_log(&self, folder: usize, name: &OsStr) -> Option<(OsString, Claim)> {
        let base = unrenamed(name)?;
        let claim = self.owner(folder, base)?;
        let spec = self.world.config.sets.get(claim.set)?;
        let is_log = claim.strength != Strength::FolderOther;
        (is_log && spec.policy.method == Method::RenameCopy).then(|| (base.to_owned(), claim))
    }

    /// Archives in a style that is not the policy's do not prove a log of their own. By now
    /// all logs are known.
    fn sort_out_later(&mut self) {
        for (folder, at) in std::mem::take(&mut self.later) {
            let name = self.world.folders.get(folder).and_then(|f| f.names.get(at));
            let Some(name) = name.map(OsStr::to_owned) else { continue };
            let mut candidates = self.candidates(folder, &name).into_iter();
            match candidates.find_map(|(base, ..)| self.log_at(folder, &base)) {
                Some(log) => {
                    let draft = self.found.get(log);
                    if draft.is_some_and(|draft| draft.archive_folder == Ok(folder)) {
                        self.add_archive(log, (folder, at));
                    }
                }
                None => self.draft_if_log(folder, &name),
            }
        }
    }

    /// Folders that have the archives of logs in other folders.
    fn sort_out_elsewhere(&mut self, sources: &[(usize, usize)]) {
        let mut by_folder: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
        for (folder, set) in sources {
            if let Ok(archives) = self.archive_folder(*folder, *set) {
                by_folder.entry(archives).or_default().push((*folder, *set));
            }
        }
        for log in 0..self.found.len() {
            self.put_elsewhere(log);
        }
        let mut archive_folders: Vec<usize> = by_folder.keys().copied().collect();
        archive_folders.sort_unstable();
        for archives in archive_folders {
            let sources = by_folder.remove(&archives).unwrap_or_default();
            let sets: Vec<usize> = sources.iter().map(|(_, set)| *set).collect();
            let namings = self.distinct_namings(&sets);
            let count = self.world.folders.get(archives).map_or(0, |f| f.names.len());
            for at in 0..count {
                let name = self.world.folders.get(archives).and_then(|f| f.names.get(at));
                if let Some(name) = name.map(OsStr::to_owned) {
                    self.sort_out_archive((archives, at), &name, &sources, &namings);
                }
            }
        }
    }

    fn put_elsewhere(&mut self, log: usize) {
        let Some(draft) = self.found.get_mut(log) else { return };
        let Ok(archives) = draft.archive_folder else { return };
        let naming = self.naming_of.get(draft.claim.set).copied().unwrap_or_default();
        if archives == draft.folder {
            return;
        }
        let first = *self.elsewhere.entry((archives, naming, draft.name.clone())).or_insert(log);
        if first != log {
            draft.archive_folder =
                Err("another log of the same name has its archives in the same folder".to_owned());
        }
    }

    fn sort_out_archive(
        &mut self,
        (archives, at): (usize, usize),
        name: &OsStr,
        sources: &[(usize, usize)],
        namings: &[usize],
    ) {
        if self.log_at(archives, name).is_some() {
            return;
        }
        for naming in namings {
            let Some(split) = self.namings.get(*naming).map(|n| n.split(name)) else { continue };
            for (base, parsed) in split {
                let log = match self.elsewhere.get(&(archives, *naming, base.clone())) {
                    Some(log) => Some(*log),
                    None => self.log_without_file(&base, *naming, &parsed, sources),
                };
                let has_them_there = |log: &usize| {
                    self.found.get(*log).is_some_and(|d| d.archive_folder == Ok(archives))
                };
                if let Some(log) = log.filter(has_them_there) {
                    return self.add_archive(log, (archives, at));
                }
            }
        }
    }

    /// A log that does not exist, but has archives in another folder. Only if that folder is
    /// for the logs of one other: else nobody knows whose they are.
    fn log_without_file(
        &mut self,
        base: &OsStr,
        naming: usize,
        parsed: &ArchiveName,
        sources: &[(usize, usize)],
    ) -> Option<usize> {
        let (folder, _) = *sources.first()?;
        if !parsed.own_style || sources.iter().any(|(other, _)| *other != folder) {
            return None;
        }
        let claim = self.owner(folder, base)?;
        if self.naming_of.get(claim.set) != Some(&naming)
            || claim.strength == Strength::FolderOther
            || !sources.contains(&(folder, claim.set))
        {
            return None;
        }
        let log = self.draft(folder, base, claim);
        self.put_elsewhere(log);
        Some(log)
    }

    fn owner(&self, folder: usize, name: &OsStr) -> Option<Claim> {
        self.world.folders.get(folder)?.claims.owner(name)
    }

    /// Logs that `name` could be an archive of, by name and owner.
    fn candidates(&self, folder: usize, name: &OsStr) -> Vec<(OsString, ArchiveName, Claim)> {
        let mut found = Vec::new();
        for naming in self.namings_in.get(folder).into_iter().flatten().copied() {
            let Some(split) = self.namings.get(naming).map(|n| n.split(name)) else { continue };
            for (base, parsed) in split {
                if let Some(claim) = self.owner(folder, &base)
                    && self.naming_of.get(claim.set) == Some(&naming)
                {
                    found.push((base, parsed, claim));
                }
            }
        }
        found
    }

    /// The log in `folder` that `name` is an archive of, and whether its archives belong
    /// there. `is_open` is set if that depends on names not seen yet.
    fn archive_of(
        &mut self,
        folder: usize,
        name: &OsStr,
        nested: u8,
        is_open: &mut bool,
    ) -> Option<(usize, bool)> {
        for (base, parsed, claim) in self.candidates(folder, name) {
            if let Some(log) = self.log_at(folder, &base) {
                let at_home = self.found.get(log)?.archive_folder == Ok(folder);
                return Some((log, at_home));
            }
            let exists = match claim.strength {
                Strength::Literal | Strength::FolderLog => true,
                Strength::Wild => parsed.own_style || self.is_there(folder, &base),
                Strength::FolderOther => self.is_file(folder, &base),
            };
            if !exists {
                *is_open |= claim.strength == Strength::Wild;
                continue;
            }
            // What is an archive itself has no archives, unless it was named as a log.
            if claim.strength != Strength::Literal
                && (nested >= NESTED_MAX
                    || self.archive_of(folder, &base, nested + 1, &mut false).is_some())
            {
                continue;
            }
            let log = self.draft(folder, &base, claim);
            let at_home = self.found.get(log)?.archive_folder == Ok(folder);
            return Some((log, at_home));
        }
        None
    }

    fn is_there(&self, folder: usize, name: &OsStr) -> bool {
        self.world.folders.get(folder).is_some_and(|f| f.names.contains(name))
    }

    fn is_file(&mut self, folder: usize, name: &OsStr) -> bool {
        let key = (folder, name.to_owned());
        if let Some(known) = self.is_file.get(&key) {
            return *known;
        }
        let Some(dir) = self.world.folders.get(folder).map(|f| f.dir) else { return false };
        let found = self.world.fs.stat(dir, name);
        let is_file = matches!(found, Ok(Some(meta)) if meta.kind == Kind::File);
        self.is_file.insert(key, is_file);
        is_file
    }

    fn draft(&mut self, folder: usize, name: &OsStr, claim: Claim) -> usize {
        if let Some(known) = self.log_at(folder, name) {
            return known;
        }
        let archive_folder = self.archive_folder(folder, claim.set);
        self.found.push(Draft {
            claim,
            folder,
            name: name.to_owned(),
            archive_folder,
            archives: Vec::new(),
            taken: Vec::new(),
        });
        let log = self.found.len() - 1;
        self.index.insert(&self.world.folders, (folder, name), log);
        log
    }

    /// The log of that name in `folder`.
    fn log_at(&self, folder: usize, name: &OsStr) -> Option<usize> {
        self.index.get(&self.world.folders, (folder, name))
    }
}

/// What `LOG.tmp` was called before.
fn unrenamed(name: &OsStr) -> Option<&OsStr> {
    name.as_bytes().strip_suffix(b".tmp").map(OsStr::from_bytes)
}
