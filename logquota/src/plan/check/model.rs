//! The world that the steps are played over: names, files, contents.
//!
//! A *content* is what would be lost: it lives as long as one file holds it. A copy and
//! its source hold the same one, a compressed file holds that of its source.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::ops::Range;

use crate::inventory::{Archive, DirId, Head, Inventory, LeftoverKind, Log, Place, Set};
use crate::plan::{Action, Goal, Plan, Purpose, Reason};
use crate::policy::{Config, Policy};
use crate::stamp::{Kind, Stamp};
use crate::units::Bytes;

/// A log with where it stands in the plan.
pub(super) struct LogView<'a> {
    pub(super) log: &'a Log,
    /// Newest first, where the scan does not have them in that order.
    sorted: Option<Box<[&'a Archive]>>,
    /// Which of [`World::placed`] are its own.
    placed: Range<Index>,
    /// Whether the active file was renamed, copied or emptied.
    pub(super) rotated: bool,
    /// What its copies may occupy.
    pub(super) copied: u128,
    /// What was cut off its head, and for which quota.
    pub(super) cut: Option<Box<(Bytes, Bytes)>>,
}

/// A set with its logs in the order of the plan.
pub(super) struct SetView<'a> {
    pub(super) set: &'a Set,
    pub(super) policy: &'a Policy,
    /// Whether its block of the configuration has errors.
    pub(super) is_left_alone: bool,
    pub(super) logs: Vec<LogView<'a>>,
}

/// A place in a list, in little room: there may be very many. What has none has the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index(u32);

impl Index {
    pub(super) fn new(place: usize) -> Self {
        Self(u32::try_from(place).unwrap_or(u32::MAX))
    }

    pub(super) fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// What the active file has.
    Live,
    /// An archive of the inventory; the number of its place in the log.
    Archive,
    /// Unfinished work; its source is elsewhere.
    Temporary,
    /// Something that is not ours, or a folder.
    Foreign,
}

pub(super) struct Content<'a> {
    pub(super) origin: Origin,
    pub(super) set: Index,
    pub(super) log: Index,
    /// Files that hold it.
    pub(super) holders: u32,
    /// The step that took the last holder, and why.
    pub(super) lost: Option<(usize, &'a Reason)>,
    /// What the deletion gave back, and on which device.
    pub(super) freed: u64,
    pub(super) dev: u64,
}

impl Content<'_> {
    /// Whether it is that of an active file.
    pub(super) fn is_live(&self) -> bool {
        self.origin == Origin::Live
    }
}

/// What a file was scanned as.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    Archive(&'a Archive),
    Other(&'a Stamp),
}

impl Seen<'_> {
    fn stamp(self) -> Stamp {
        match self {
            Self::Archive(archive) => archive.stamp(),
            Self::Other(stamp) => *stamp,
        }
    }
}

impl File<'_> {
    /// As it was scanned; none for what the plan makes.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.seen.map(Seen::stamp)
    }
}

impl<'a> File<'a> {
    /// Its compressed beginning.
    pub(super) fn head(&self) -> Option<&'a Head> {
        match self.seen? {
            Seen::Archive(archive) => archive.head(),
            Seen::Other(_) => None,
        }
    }
}

pub(super) struct File<'a> {
    /// As it was scanned; none for what the plan makes.
    pub(super) seen: Option<Seen<'a>>,
    pub(super) content: Index,
    /// What it occupies at most.
    pub(super) allocated: u64,
    /// It is a link, a folder or a pipe with the name of an archive.
    pub(super) is_no_file: bool,
    /// It has other names, perhaps elsewhere.
    pub(super) linked: bool,
    pub(super) dev: u64,
}

pub(super) struct World<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) config: &'a Config,
    /// What must be free on which device, if that is what the plan is for.
    pub(super) goal: Option<Goal>,
    pub(super) sets: Vec<SetView<'a>>,
    pub(super) files: Vec<File<'a>>,
    pub(super) contents: Vec<Content<'a>>,
    /// Of archives that steps name: their places in their logs, newest first, and their contents.
    /// All in one: there may be very many logs.
    placed: Vec<(Index, Index)>,
    /// The names that steps name, and the files they are; nothing asks for others.
    names: HashMap<(DirId, &'a OsStr), Option<Index>>,
}

impl<'a> LogView<'a> {
    /// Its archives, newest first.
    pub(super) fn archives(&self) -> impl Iterator<Item = &'a Archive> {
        let (sorted, scanned) = match &self.sorted {
            Some(sorted) => (&**sorted, &[][..]),
            None => (&[][..], self.log.archives.as_slice()),
        };
        sorted.iter().copied().chain(scanned)
    }
}

impl<'a> World<'a> {
    pub(super) fn new(inventory: &'a Inventory, config: &'a Config, plan: &'a Plan) -> Self {
        let goal = match plan.purpose {
            Purpose::Free(goal) => Some(goal),
            Purpose::Routine => None,
        };
        let names = names_in(plan);
        // At once: what grows piece by piece leaves holes behind it.
        let count = names.len();
        let mut world = Self {
            inventory,
            config,
            goal,
            sets: Vec::new(),
            files: Vec::with_capacity(count),
            contents: Vec::with_capacity(count),
            placed: Vec::with_capacity(count),
            names,
        };
        for (number, (set, spec)) in inventory.sets.iter().zip(&config.sets).enumerate() {
            let mut logs: Vec<&Log> = set.logs.iter().collect();
            let path = |log: &Log| inventory.dirs.get(&log.dir).map(|dir| dir.path.as_path());
            logs.sort_by(|a, b| (path(a), &a.name, a.dir).cmp(&(path(b), &b.name, b.dir)));
            let logs = logs.iter().enumerate().map(|(at, log)| world.add_log((number, at), log));
            let logs = logs.collect();
            world.sets.push(SetView {
                set,
                policy: &spec.policy,
                is_left_alone: spec.policy.is_left_alone(),
                logs,
            });
        }
        for log in inventory.sets.iter().flat_map(|set| &set.logs) {
            for name in &log.obstacles {
                let key = (log.archive_dir, name.as_os_str());
                if world.names.get(&key).is_some_and(Option::is_none) {
                    let content = world.add_content(Origin::Foreign, usize::MAX, usize::MAX);
                    world.add_file(key, content, None);
                }
            }
        }
        world
    }

    /// What must be free on the file system of a set.
    pub(super) fn reserve(&self, view: &SetView<'_>) -> Option<Bytes> {
        match self.goal {
            Some(goal) => goal.wanted.bytes().filter(|_| goal.dev == view.set.dev),
            None => [view.policy.limits.reserve, self.config.global.reserve]
                .into_iter()
                .flatten()
                .map(|reserve| reserve.of(view.set.space.total))
                .max(),
        }
    }

    fn add_log(&mut self, (set, number): (usize, usize), log: &'a Log) -> LogView<'a> {
        if let Some(active) = &log.active
            && self.names.contains_key(&(log.dir, log.name.as_os_str()))
        {
            let content = self.add_content(Origin::Live, set, number);
            self.add_file((log.dir, &log.name), content, Some(Seen::Other(&active.stamp)));
        }
        let is_sorted = log.archives.is_sorted_by(|a, b| a.newest_first(b).is_le());
        let sorted = (!is_sorted).then(|| {
            let mut archives: Vec<&Archive> = log.archives.iter().collect();
            archives.sort_by(|a, b| a.newest_first(b));
            archives.into_boxed_slice()
        });
        let begin = Index::new(self.placed.len());
        let placed = begin..begin;
        let mut view = LogView { log, sorted, placed, rotated: false, copied: 0, cut: None };
        for (place, archive) in view.archives().enumerate() {
            let key = (log.archive_dir, archive.name());
            if !self.names.contains_key(&key) {
                continue;
            }
            let content = self.add_content(Origin::Archive, set, number);
            self.placed.push((Index::new(place), content));
            let file = self.add_file(key, content, Some(Seen::Archive(archive)));
            // Both together are one file, under both names.
            if let Some(head) = archive.head()
                && let Some(named) = self.names.get_mut(&(log.archive_dir, head.name.as_os_str()))
            {
                *named = Some(Index::new(file));
            }
            if let Some(file) = self.files.get_mut(file) {
                file.is_no_file = archive.kind() != Kind::File;
                file.allocated = archive.allocated().get();
            }
        }
        view.placed.end = Index::new(self.placed.len());
        for leftover in &log.leftovers {
            let place = &leftover.place;
            if !self.names.contains_key(&(place.dir, place.name.as_os_str())) {
                continue;
            }
            let origin = match leftover.kind {
                LeftoverKind::Temporary => Origin::Temporary,
                // The only copy of what was the active file.
                LeftoverKind::Renamed => Origin::Live,
            };
            let content = self.add_content(origin, set, number);
            self.add_file(
                (place.dir, &place.name),
                content,
                Some(Seen::Other(&leftover.meta.stamp)),
            );
        }
        view
    }

    /// The archives of a log, newest first, with the step that took each and why.
    pub(super) fn archives<'w>(
        &'w self,
        log: &'w LogView<'a>,
    ) -> impl Iterator<Item = (&'a Archive, Option<&'w Content<'a>>)> {
        let mut contents = self.placed(log).iter().peekable();
        log.archives().enumerate().map(move |(place, archive)| {
            let content = contents.next_if(|(at, _)| at.get() == place);
            (archive, content.and_then(|(_, content)| self.content(*content)))
        })
    }

    /// The contents of archives that steps name, newest first.
    pub(super) fn contents_of(&self, log: &LogView<'a>) -> impl Iterator<Item = &Content<'a>> {
        self.placed(log).iter().filter_map(|(_, content)| self.content(*content))
    }

    fn placed(&self, log: &LogView<'a>) -> &[(Index, Index)] {
        self.placed.get(log.placed.start.get()..log.placed.end.get()).unwrap_or_default()
    }

    pub(super) fn content(&self, content: Index) -> Option<&Content<'a>> {
        self.contents.get(content.get())
    }

    /// A content that nobody holds yet.
    pub(super) fn add_content(&mut self, origin: Origin, set: usize, log: usize) -> Index {
        let (set, log, holders) = (Index::new(set), Index::new(log), 0);
        self.contents.push(Content { origin, set, log, holders, lost: None, freed: 0, dev: 0 });
        Index::new(self.contents.len() - 1)
    }

    /// A file with that content under a name that is free.
    pub(super) fn add_file(
        &mut self,
        (dir, name): (DirId, &'a OsStr),
        content: Index,
        seen: Option<Seen<'a>>,
    ) -> usize {
        let stamp = seen.map(Seen::stamp);
        let dev = stamp.map(|stamp| stamp.id.dev).or_else(|| self.dev_of(dir)).unwrap_or(0);
        self.files.push(File {
            seen,
            content,
            allocated: stamp.map_or(0, |stamp| stamp.allocated.get()),
            is_no_file: false,
            linked: stamp.is_some_and(|stamp| stamp.nlink > 1),
            dev,
        });
        if let Some(content) = self.contents.get_mut(content.get()) {
            content.holders += 1;
        }
        let file = self.files.len() - 1;
        self.names.entry((dir, name)).or_default().get_or_insert(Index::new(file));
        file
    }

    fn dev_of(&self, dir: DirId) -> Option<u64> {
        self.inventory.dirs.get(&dir).map(|dir| dir.id.dev)
    }

    pub(super) fn at(&self, place: &Place) -> Option<usize> {
        self.names.get(&(place.dir, place.name.as_os_str())).copied().flatten().map(Index::get)
    }

    pub(super) fn exists(&self, dir: DirId, name: &OsStr) -> bool {
        self.names.get(&(dir, name)).is_some_and(Option::is_some)
    }

    pub(super) fn unname(&mut self, place: &'a Place) {
        self.names.remove(&(place.dir, place.name.as_os_str()));
    }

    /// No step is left that could ask for one.
    pub(super) fn drop_names(&mut self) {
        self.names = HashMap::new();
    }

    pub(super) fn forget(&mut self, (dir, name): (DirId, &'a OsStr)) {
        self.names.remove(&(dir, name));
    }

    pub(super) fn name(&mut self, place: &'a Place, file: usize) {
        self.names.insert((place.dir, place.name.as_os_str()), Some(Index::new(file)));
    }

    /// Takes a file's content from it.
    pub(super) fn let_go(&mut self, file: usize, step: usize, reason: &'a Reason, freed: u64) {
        let Some(file) = self.files.get(file) else { return };
        let dev = file.dev;
        if let Some(content) = self.contents.get_mut(file.content.get()) {
            content.holders = content.holders.saturating_sub(1);
            if content.holders == 0 {
                content.lost = Some((step, reason));
                content.freed = freed;
                content.dev = dev;
            }
        }
    }

    pub(super) fn log(&self, set: usize, log: Option<usize>) -> Option<&LogView<'a>> {
        self.sets.get(set)?.logs.get(log?)
    }

    /// A place, for people.
    pub(super) fn show(&self, place: &Place) -> String {
        crate::error::printable(self.inventory.path(place.dir, &place.name))
    }
}

/// Every name that a step takes, makes or compares with.
fn names_in(plan: &Plan) -> HashMap<(DirId, &OsStr), Option<Index>> {
    let mut named = HashMap::with_capacity(plan.steps.len());
    for action in plan.steps.iter().map(|step| &step.action) {
        let other = match action {
            Action::Delete { same_as, .. } => same_as.as_deref(),
            Action::Truncate { same_as, .. } => same_as.as_ref(),
            _ => None,
        };
        let places = [action.place(), action.target(), other].into_iter().flatten();
        named.extend(places.map(|place| ((place.dir, place.name.as_os_str()), None)));
        let other = match action {
            Action::Copy { to, temp, .. } => Some((to.dir, &**temp)),
            Action::Compress { to, temp, .. } => Some((to.dir, &**temp)),
            Action::Squeeze { to, head, .. } => Some((to.dir, &**head)),
            Action::Delete { at, head: Some(head), .. } => Some((at.dir, head.name.as_os_str())),
            _ => None,
        };
        named.extend(other.map(|name| (name, None)));
    }
    named
}

/// What a file occupied, the compressed one that has its content occupies from now on.
pub(super) fn hand_over(
    world: &mut World<'_>,
    index: usize,
    file: usize,
    shown: &str,
    found: &mut super::Found,
) {
    let Some(plain) = world.files.get(file) else { return };
    let (content, allocated) = (plain.content, plain.allocated);
    let packed = world.files.iter_mut().enumerate().rev().find(|(number, other)| {
        *number != file && other.content == content && other.seen.is_none() && other.allocated == 0
    });
    match packed {
        Some((_, packed)) => packed.allocated = allocated,
        None => found.add(1, format_args!("step {index}: `{shown}` was not compressed")),
    }
    if let Some(plain) = world.files.get_mut(file) {
        plain.allocated = 0;
    }
}
