//! What a plan is bound to: machine, start, folders, configuration, and what was asked for. Each
//! has a digest of its own, so that a refusal can say what differs.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::SourceJson;
use crate::inventory::{Dir, Inventory};
use crate::plan::{Expect, Host, Plan};
use crate::stamp::FileId;

/// So many digits tell what was seen of a file. Only to name it: the plan's id is over all of it.
const SEEN_DIGITS: usize = 8;

/// A digest of the machine's identity that does not give the identity away.
#[must_use]
pub fn machine_digest(host: &Host) -> String {
    machine_digest_of(&host.machine_id)
}

pub(super) fn machine_digest_of(machine_id: &str) -> String {
    digest(b"logquota machine 1\0", [machine_id.trim().as_bytes()])
}

/// The same for one start of the machine.
#[must_use]
pub fn boot_digest(host: &Host) -> String {
    digest(b"logquota boot 1\0", [host.boot_id.trim().as_bytes()])
}

/// What a plan is bound to, each part as 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bonds {
    /// The machine and its name; also those of the machine whose disk it is.
    pub machine: String,
    /// This start of the machine.
    pub boot: String,
    /// Path, device, inode and mount of the folders of logs that lie in no other one, and of the
    /// other machine's disk.
    pub folders: String,
    /// The configuration.
    pub policy: String,
    /// What the plan was made from and for how long it holds; see [`source_digest`].
    pub source: String,
}

impl Bonds {
    /// Those of a plan.
    #[must_use]
    pub fn new(plan: &Plan, inventory: &Inventory, source: String) -> Self {
        let host = &plan.host;
        let disk = host.disk.as_ref();
        let owner = disk.map_or([""; 2], |disk| [disk.name.as_str(), disk.machine_id.as_str()]);
        let machine = [host.name.as_str(), host.machine_id.trim(), owner[0], owner[1]];
        let mut folders: Vec<Vec<u8>> = topmost(inventory)
            .map(|dir| identity(&dir.path, &(dir.id.dev, dir.id.ino, dir.mount)))
            .collect();
        folders.sort_unstable();
        let disk = disk.map(|disk| identity(&disk.path, &(disk.id.dev, disk.id.ino, disk.mount)));
        folders.extend(disk);
        Self {
            machine: digest(b"logquota machines 1\0", machine.map(str::as_bytes)),
            boot: boot_digest(host),
            folders: digest(b"logquota folders 1\0", folders.iter().map(Vec::as_slice)),
            policy: plan.policy.clone(),
            source,
        }
    }
}

/// A digest over what a plan was made from, and for how many seconds it holds. With it in the
/// plan's id ([`Plan::bind`]), a plan file in which either was changed is no plan any more.
#[must_use]
pub fn source_digest(source: &SourceJson, valid_for: i64) -> String {
    // The disk of another machine is in every id by itself.
    let source = SourceJson { root: None, ..source.clone() };
    // Plain data: there is nothing in it that cannot be written.
    let text = serde_json::to_vec(&source).unwrap_or_default();
    digest(b"logquota source 1\0", [text.as_slice(), valid_for.to_string().as_bytes()])
}

/// The folders that lie in no other one. Those below may come and go with the archives in them.
fn topmost(inventory: &Inventory) -> impl Iterator<Item = &Dir> {
    let dirs = || inventory.dirs.values();
    let paths: BTreeSet<&Path> = dirs().map(|dir| dir.path.as_path()).collect();
    dirs().filter(move |dir| !dir.path.ancestors().skip(1).any(|above| paths.contains(above)))
}

fn identity(path: &Path, numbers: &impl std::fmt::Debug) -> Vec<u8> {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    // No path has it.
    bytes.push(0);
    bytes.extend_from_slice(format!("{numbers:?}").as_bytes());
    bytes
}

/// What a step has seen of its file.
pub(super) fn seen(expect: &Expect) -> Option<String> {
    let short = |what: String| -> String {
        digest(b"logquota seen 1\0", [what.as_bytes()]).chars().take(SEEN_DIGITS).collect()
    };
    let file = |id: &FileId| short(format!("{:?}", (id.dev, id.ino, id.btime)));
    match expect {
        Expect::SameFile(id) => Some(file(id)),
        Expect::SameOldest(id, oldest) => {
            Some(format!("{}-{}", file(id), short(format!("{oldest:?}"))))
        }
        Expect::Unchanged(stamp) => {
            let what = (stamp.len, stamp.mtime, stamp.ctime, stamp.nlink);
            Some(format!("{}-{}", file(&stamp.id), short(format!("{what:?}"))))
        }
        Expect::Nothing | Expect::Made => None,
    }
}

/// 16 hexadecimal digits.
fn digest<'a>(what: &[u8], parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    digest.update(what);
    for (number, part) in parts.into_iter().enumerate() {
        // Of several, each with its length: no two lists write the same bytes.
        if number > 0 {
            digest.update(part.len().to_le_bytes());
        }
        digest.update(part);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
