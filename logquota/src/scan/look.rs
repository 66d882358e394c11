//! Looks at every file that a draft names, and says what stands in the way of a log.

use std::ffi::OsStr;
use std::io;

use super::claims::Strength;
use super::drafts::Draft;
use super::holders::is_held;
use super::hollow;
use super::walk::{Folder, World};
use crate::error::{Error, Op};
use crate::inventory::{Archive, Blocked, DirId, Leftover, LeftoverKind, Log, Place};
use crate::policy::{Method, ParentRule, Rules, Selector, SetSpec};
use crate::stamp::{Kind, Meta};
use crate::units::Bytes;

/// What came of a draft.
pub(super) enum Looked {
    /// A log.
    Log(Box<Log>),
    /// Nothing that concerns anybody.
    Nothing,
}

/// What was seen under the log's own name.
enum Active {
    Absent,
    File(Meta),
    Other(Blocked, Kind),
    Unknown(Blocked),
}

/// Looks at one log and its archives. `seen` is what was found under the log's own name, if
/// that was asked already.
pub(super) fn look(
    world: &mut World<'_>,
    draft: Draft,
    seen: Option<io::Result<Option<Meta>>>,
) -> Looked {
    let Some(spec) = world.config.sets.get(draft.claim.set) else { return Looked::Nothing };
    let Some(folder) = world.folders.get(draft.folder) else { return Looked::Nothing };
    let archive_folder = match &draft.archive_folder {
        Ok(index) => world.folders.get(*index).unwrap_or(folder),
        Err(_) => folder,
    };
    let policy = &spec.policy;
    // What of it could not be looked at: its archives are in an order, and with one unknown
    // nothing can be decided about the others.
    let (mut unknown, mut restless) = (None, Vec::new());
    let seen = seen.unwrap_or_else(|| world.fs.stat(folder.dir, &draft.name));
    let active = match look_at_active(folder, &draft.name, seen, spec.policy.rules) {
        Active::File(meta) if policy.live_trim => {
            Active::File(without_reserve(world, folder, meta, &draft.name))
        }
        other => other,
    };
    let is_held = match &active {
        Active::File(meta) if policy.live_trim => is_held(world.fs, folder.dir, &draft.name, meta),
        _ => false,
    };
    if matches!(active, Active::Absent) && folder.names.contains(&draft.name) {
        restless.push(folder.dir);
    }
    let mut log = Log {
        dir: folder.dir,
        name: draft.name,
        active: match active {
            Active::File(meta) => Some(meta),
            _ => None,
        },
        archive_dir: archive_folder.dir,
        archives: Vec::with_capacity(draft.archives.len()),
        leftovers: Vec::new(),
        obstacles: draft.taken,
        blocked: None,
        is_held,
        oldest: None,
        last_rotated: None,
    };
    let text = archive_folder.names.text();
    for start in draft.archives {
        let name = text.at(start);
        let Some(parsed) = policy.naming.parse(&log.name, name) else { continue };
        match world.fs.stat(archive_folder.dir, name) {
            // It was deleted while we looked, or renamed to a name that we have not seen.
            Ok(None) => restless.push(archive_folder.dir),
            Ok(Some(meta))
                if (meta.kind == Kind::File || policy.rules == Rules::Logrotate)
                    && is_same_mount(&meta, archive_folder) =>
            {
                let commons = &mut world.commons;
                log.archives.push(Archive::within(commons, (text, start), parsed, &meta));
            }
            Ok(Some(_)) => log.obstacles.push(name.to_owned()),
            Err(error) => {
                unknown = Some(unreadable(archive_folder, name, error));
                log.obstacles.push(name.to_owned());
            }
        }
    }
    hollow::find(world.fs, archive_folder, &mut log);
    if policy.method == Method::RenameCopy {
        unknown = look_for_renamed(world, folder, &mut log).or(unknown);
    }
    world.restless.extend(restless);
    let is_absent = matches!(active, Active::Absent);
    let has_more = !log.archives.is_empty() || !log.leftovers.is_empty() || unknown.is_some();
    let is_named = draft.claim.strength == Strength::Literal;
    if !has_more && !is_named {
        match active {
            Active::Absent => return Looked::Nothing,
            // A wildcard means logs, and a folder is none; that is so common that it is not
            // worth a word.
            Active::Other(_, Kind::Dir) => return Looked::Nothing,
            _ => {}
        }
    }
    if is_absent && !has_more && policy.missing_ok {
        return Looked::Nothing;
    }
    log.blocked = blocked(world, spec, &draft.archive_folder, folder, archive_folder, active)
        .or(unknown)
        .or_else(|| (is_absent && !has_more).then_some(Blocked::Missing));
    Looked::Log(Box::new(log))
}

/// Why the log is left alone, the most dangerous reason first.
fn blocked(
    world: &World<'_>,
    spec: &SetSpec,
    archives: &Result<usize, String>,
    folder: &Folder,
    archive_folder: &Folder,
    active: Active,
) -> Option<Blocked> {
    let is_root = world.fs.effective_uid() == 0;
    if is_root && spec.policy.run_as.is_none() {
        for folder in [folder, archive_folder] {
            if let Some(why) = insecure(folder, spec) {
                return Some(Blocked::InsecureParent { why });
            }
        }
    }
    if let Err(why) = archives {
        return Some(Blocked::Unreadable { why: why.clone() });
    }
    for folder in [folder, archive_folder] {
        if let Some(why) = &folder.unreadable {
            return Some(Blocked::Unreadable { why: why.clone() });
        }
    }
    match active {
        Active::Absent => None,
        Active::Other(blocked, _) | Active::Unknown(blocked) => Some(blocked),
        Active::File(meta) => (meta.stamp.nlink > 1 && !spec.policy.allow_hard_links)
            .then_some(Blocked::HardLinks { names: meta.stamp.nlink }),
    }
}

fn look_at_active(
    folder: &Folder,
    name: &OsStr,
    seen: io::Result<Option<Meta>>,
    rules: Rules,
) -> Active {
    let meta = match seen {
        Ok(Some(meta)) => meta,
        Ok(None) => return Active::Absent,
        Err(error) => {
            return Active::Unknown(unreadable(folder, name, error));
        }
    };
    match meta.kind {
        Kind::File if is_same_mount(&meta, folder) => Active::File(meta),
        Kind::File => Active::Unknown(Blocked::Unreadable {
            why: "something else is mounted in its place".to_owned(),
        }),
        Kind::Symlink => Active::Other(Blocked::Symlink, meta.kind),
        // logrotate renames a pipe or device like a file. It is not opened.
        Kind::Special if rules == Rules::Logrotate && is_same_mount(&meta, folder) => {
            Active::File(meta)
        }
        Kind::Dir | Kind::Special => Active::Other(Blocked::Special, meta.kind),
    }
}

/// What a file system may need to keep track of a file's blocks: at most this, and such a part of
/// the content. It is not told from what is reserved.
const TRACKING: Bytes = Bytes::kib(64);
const TRACKING_PART: u64 = 256;

/// What a log that may be cut occupies, without most of the blocks behind its content: XFS
/// reserves up to as much again for a log that grows, and takes that back when space runs out. If
/// it counted, records would be given up for it.
fn without_reserve(world: &World<'_>, folder: &Folder, mut meta: Meta, name: &OsStr) -> Meta {
    if let Some(content) = content(world, folder, &meta, name) {
        let tracking = Bytes::new(content.get() / TRACKING_PART).plus(TRACKING);
        meta.stamp.allocated = meta.stamp.allocated.min(content.plus(tracking));
    }
    meta
}

/// The blocks that have content; `None` where that cannot be seen.
fn content(world: &World<'_>, folder: &Folder, meta: &Meta, name: &OsStr) -> Option<Bytes> {
    if meta.kind != Kind::File {
        return None;
    }
    let block = world.fs.space(folder.dir).ok()?.block.get().max(1);
    let mut file = world.fs.read(folder.dir, name).ok()?;
    if file.meta().ok()?.stamp.id != meta.stamp.id {
        return None;
    }
    let (mut content, mut at) = (0u64, 0u64);
    while let Some(data) = file.next_data(at).ok()?.filter(|data| data.end > at) {
        let blocks = data.end.div_ceil(block).saturating_sub(data.start / block);
        content = content.saturating_add(blocks.saturating_mul(block));
        at = data.end;
    }
    Some(Bytes::new(content))
}

/// `LOG.tmp` of a `renamecopy` rotation that did not end: the log itself, under that name.
/// `LOG.tmp`, if there is one; otherwise why nobody knows.
fn look_for_renamed(world: &World<'_>, folder: &Folder, log: &mut Log) -> Option<Blocked> {
    let mut name = log.name.clone();
    name.push(".tmp");
    let meta = match world.fs.stat(folder.dir, &name) {
        Ok(Some(meta)) => meta,
        Ok(None) => return None,
        Err(error) => return Some(unreadable(folder, &name, error)),
    };
    if meta.kind == Kind::File && meta.stamp.nlink == 1 && is_same_mount(&meta, folder) {
        let place = Place { dir: folder.dir, name };
        log.leftovers.push(Leftover { place, meta, kind: LeftoverKind::Renamed });
    } else {
        log.obstacles.push(name);
    }
    None
}

fn unreadable(folder: &Folder, name: &OsStr, error: io::Error) -> Blocked {
    Blocked::Unreadable { why: Error::io(Op::Stat, folder.path.join(name))(error).chain() }
}

fn is_same_mount(meta: &Meta, folder: &Folder) -> bool {
    meta.mount == folder.meta.mount && meta.stamp.id.dev == folder.meta.stamp.id.dev
}

/// What is wrong with a folder for somebody who is root, and what to do about it. Whoever may
/// write to it can put another file in the place of a log between two of our calls.
fn insecure(folder: &Folder, spec: &SetSpec) -> Option<String> {
    let Meta { mode, uid, gid, .. } = folder.meta;
    // Only on demand: a set may name many thousand logs, and this is asked for each of them.
    let fix = || {
        let is_by_flags = spec.selectors.iter().any(|s| matches!(s, Selector::Directory(_)));
        let how = if is_by_flags { "--su USER:GROUP" } else { "su USER GROUP" };
        format!("or work as the owner of the logs: `{how}`")
    };
    let path = || crate::error::printable(&folder.path);
    if mode & 0o002 != 0 {
        let (path, fix) = (path(), fix());
        return Some(format!("everybody may write to `{path}`; take that away (chmod o-w), {fix}"));
    }
    if mode & 0o020 != 0 && gid != 0 {
        let (path, fix) = (path(), fix());
        return Some(format!(
            "group {gid} may write to `{path}`; take that away (chmod g-w), {fix}"
        ));
    }
    if spec.policy.parents == ParentRule::Strict && uid != 0 {
        let (path, fix) = (path(), fix());
        return Some(format!(
            "`{path}` belongs to user {uid}, and not to root; change that (chown root), {fix}"
        ));
    }
    None
}

/// A folder's mount is its own: files in it that are on another were mounted there.
pub(super) fn is_plain_file(meta: &Meta, folder: &Folder) -> bool {
    meta.kind == Kind::File && is_same_mount(meta, folder)
}

/// Where something is.
pub(super) fn place(dir: DirId, name: &OsStr) -> Place {
    Place { dir, name: name.to_owned() }
}
