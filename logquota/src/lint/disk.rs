//! What is said about the file systems: quotas against their sizes, logs that a run leaves
//! alone, files that nobody looks after.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Code, Finding, Question, Seen};
use crate::ballast::Rule;
use crate::inventory::{Blocked, Inventory, Set};
use crate::logrotate::{Place, Severity};
use crate::naming::Naming;
use crate::scan::{ALSO_MATCHED, Other};
use crate::units::{Age, Bytes};

/// A file system with logs, and the quotas on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A folder with logs on it; empty if it has none.
    pub path: PathBuf,
    /// Its size.
    pub total: Bytes,
    /// What could still be allocated.
    pub free: Bytes,
    /// What the blocks use.
    pub used: Bytes,
    /// The quotas of its blocks together, but never more than that of all blocks.
    pub quotas: Bytes,
    /// The ballast that is asked for.
    pub ballast: Bytes,
    /// What of it is there.
    pub ballast_kept: Bytes,
    /// What a run wants to find free before it makes that, and some more.
    pub ballast_needs: Bytes,
    /// So many blocks are on it.
    pub blocks: usize,
    /// So many of these have no quota, neither their own nor that of all.
    pub without_quota: usize,
}

/// The file systems of the blocks.
pub(super) fn disks(question: &Question<'_>) -> Vec<Disk> {
    let Some(seen) = question.seen else { return Vec::new() };
    let config = &question.parsed.config;
    let global = config.global.quota;
    let mut found: Vec<(u64, Disk)> = Vec::new();
    for subject in question.blocks() {
        let Some(set) = subject.set.filter(|set| set.space.total > Bytes::ZERO) else { continue };
        let at = match found.iter().position(|(dev, _)| *dev == set.dev) {
            Some(at) => at,
            None => {
                let disk = Disk {
                    path: PathBuf::new(),
                    total: set.space.total,
                    free: set.space.free,
                    used: Bytes::ZERO,
                    quotas: Bytes::ZERO,
                    ballast: config.wanted_ballast().unwrap_or_default(),
                    ballast_kept: Bytes::ZERO,
                    ballast_needs: Bytes::ZERO,
                    blocks: 0,
                    without_quota: 0,
                };
                found.push((set.dev, disk));
                found.len().saturating_sub(1)
            }
        };
        let Some((_, disk)) = found.get_mut(at) else { continue };
        if disk.path.as_os_str().is_empty() {
            disk.path = folder_of(set, seen.inventory).unwrap_or_default();
        }
        disk.blocks = disk.blocks.saturating_add(1);
        disk.used = disk.used.plus(set.used());
        if let Some(size) = config.wanted_ballast() {
            let limits = [subject.spec.policy.limits, config.global].into_iter();
            let reserve = limits
                .filter_map(|limits| limits.reserve)
                .max_by_key(|reserve| reserve.of(disk.total));
            let rule = Rule::new(size, reserve.map(|reserve| reserve.of(disk.total)));
            disk.ballast_needs = disk.ballast_needs.max(rule.left().plus(size));
        }
        match subject.spec.policy.limits.quota.or(global) {
            Some(quota) => disk.quotas = disk.quotas.plus(quota),
            None => disk.without_quota = disk.without_quota.saturating_add(1),
        }
    }
    for (_, disk) in &mut found {
        disk.quotas = disk.quotas.min(global.unwrap_or(Bytes::MAX));
    }
    for ballast in &seen.inventory.ballasts {
        if let Some((_, disk)) = found.iter_mut().find(|(dev, _)| *dev == ballast.dev) {
            disk.ballast_kept = disk.ballast_kept.plus(ballast.kept());
        }
    }
    found.into_iter().map(|(_, disk)| disk).collect()
}

fn folder_of(set: &Set, inventory: &Inventory) -> Option<PathBuf> {
    let log = set.logs.first()?;
    inventory.dirs.get(&log.dir).map(|dir| dir.path.clone())
}

pub(super) fn findings(question: &Question<'_>, disks: &[Disk], found: &mut Vec<Finding>) {
    let Some(seen) = question.seen else { return };
    left_alone(question, &seen, found);
    let paths: BTreeSet<&Path> = seen.others.iter().map(|other| other.path.as_path()).collect();
    let others = seen.others.iter().filter(|other| !is_archive(&other.path, &paths));
    found.extend(others.filter_map(|other| unmatched(other, seen.now)));
    for disk in disks {
        let folder = match disk.path.as_os_str().is_empty() {
            true => question.parsed.files.first().cloned().unwrap_or_default(),
            false => disk.path.clone(),
        };
        let place = whole(&folder);
        let had = disk.used.plus(disk.free).plus(disk.ballast_kept);
        let wanted = match disk.quotas {
            Bytes::ZERO => Bytes::ZERO,
            quotas => quotas.plus(disk.ballast),
        };
        let finding = |code, severity, what: &str, size| {
            let quotas = wanted;
            let with = if disk.ballast > Bytes::ZERO { " with the ballast" } else { "" };
            let message = format!("the quotas here are {quotas} together{with}, {what} {size}");
            Finding::new(code, severity, &place, message, "lower them, or add `reserve SIZE`")
        };
        if disk.ballast_needs > disk.total {
            let message = format!(
                "the ballast of {} is never made: {} must be free for it, and the whole file \
                 system has {}",
                disk.ballast, disk.ballast_needs, disk.total
            );
            let (code, help) = (Code::BallastExceedsDisk, "lower it, or `reserve`");
            found.push(Finding::new(code, Severity::Warning, &place, message, help));
        }
        if wanted > disk.total {
            let what = "and the whole file system has";
            found.push(finding(Code::QuotasExceedDisk, Severity::Warning, what, disk.total));
        } else if wanted > had {
            let what = "and with what others have taken there is room for";
            found.push(finding(Code::QuotasExceedFree, Severity::Note, what, had));
        }
    }
}

/// What a run would complain about: logs that it cannot work on, patterns without a log.
fn left_alone(question: &Question<'_>, seen: &Seen<'_>, found: &mut Vec<Finding>) {
    let mut tell = |path: &Path, why: String, is_error: bool| {
        let severity = if is_error { Severity::Warning } else { Severity::Note };
        found.push(Finding::new(Code::LeftAlone, severity, &whole(path), why, ""));
    };
    for note in &seen.inventory.notes {
        // What two patterns match is said where the second stands.
        if !note.why.starts_with(ALSO_MATCHED) {
            tell(&note.path, note.why.clone(), note.is_error);
        }
    }
    for subject in question.blocks() {
        for log in subject.set.map(|set| set.logs.as_slice()).unwrap_or_default() {
            let why = match &log.blocked {
                None => continue,
                Some(Blocked::Missing) if subject.spec.policy.missing_ok => continue,
                Some(Blocked::Missing) => {
                    "it does not exist, and without `missingok` the run fails".to_owned()
                }
                Some(Blocked::Symlink) => "it is a link, and is left alone".to_owned(),
                Some(Blocked::Special) => "it is no file, and is left alone".to_owned(),
                Some(Blocked::HardLinks { names }) => {
                    format!("it has {names} names, and without `allowhardlink` it is left alone")
                }
                Some(Blocked::InsecureParent { why } | Blocked::Unreadable { why }) => {
                    format!("it is left alone: {why}")
                }
            };
            tell(&seen.inventory.path(log.dir, &log.name), why, true);
        }
    }
}

/// Whether it is an archive of one of `logs`, about which enough is said.
fn is_archive(path: &Path, logs: &BTreeSet<&Path>) -> bool {
    let split = path.file_name().map(|name| Naming::default().split(name)).unwrap_or_default();
    split.iter().any(|(log, _)| logs.contains(path.with_file_name(log).as_path()))
}

/// A file that was written to within a day and that no block has.
fn unmatched(other: &Other, now: i64) -> Option<Finding> {
    let age = Age::between(now, other.stamp.mtime.secs);
    if other.stamp.len == 0 || age >= Age::days(1) {
        return None;
    }
    // Others may be anything: accounts of logins, a database.
    let is_log = other.path.extension().is_some_and(|extension| extension == "log");
    Some(Finding::new(
        Code::UnmatchedLog,
        if is_log { Severity::Warning } else { Severity::Note },
        &whole(&other.path),
        format!(
            "{}, last written {age} ago, and no pattern matches it",
            Bytes::new(other.stamp.len)
        ),
        "let a block match it, if it is a log",
    ))
}

fn whole(path: &Path) -> Place {
    Place { file: path.to_owned(), ..Place::default() }
}
